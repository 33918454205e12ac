//! Who may work on a store at the same time.
//!
//! A writer (backup, prune) holds `state/lock` alone. Whatever reads a set (verify, restore, drill)
//! shares `state/readers`, which prune takes alone as well, so that nothing is deleted under a
//! restore; a backup only adds, and disturbs no reader. The locks are the kernel's (`flock`): they
//! end with the process that holds them, however it ends. The text in the file only says who that
//! is, and an old text locks nothing.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, OFlags};
use serde::{Deserialize, Serialize};

use super::digest::open_regular;
use super::durable::{FILE_MODE, failed};
use super::{Store, StoreError};

/// The writers' lock.
const WRITERS: &str = "lock";
/// The readers' lock.
const READERS: &str = "readers";

/// So long a writer waits for whoever only looks at its lock.
const MOMENT: Duration = Duration::from_millis(100);

/// At most so much is read of an owner: the file may hold anything.
const MOST_OF_AN_OWNER: u64 = 4096;

/// Who holds a lock, as the lock's file says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// What it does: `backup`, `prune`.
    pub command: String,
    /// Its process.
    pub pid: u32,
    /// The machine it runs on.
    pub host: String,
    /// Who started it.
    pub user: String,
    /// Since when, RFC 3339.
    pub since: String,
}

impl Owner {
    fn new(command: &str) -> Owner {
        let now = jiff::Timestamp::now();
        let since = jiff::Timestamp::from_second(now.as_second()).unwrap_or(now);
        Owner {
            command: command.to_owned(),
            pid: std::process::id(),
            host: host_name(),
            user: whoami::username().unwrap_or_default(),
            since: since.to_string(),
        }
    }

    /// The owner, on one line. The file may have been written by anybody.
    pub fn for_people(&self) -> String {
        let Owner {
            command,
            pid,
            host,
            user,
            since,
        } = self;
        format!("fogold {command} (process {pid} of {user} on {host}, since {since})")
            .escape_debug()
            .to_string()
    }
}

/// The name of this machine.
pub(crate) fn host_name() -> String {
    let uname = rustix::system::uname();
    uname.nodename().to_string_lossy().into_owned()
}

/// A store that nobody else writes to, until this is dropped.
#[derive(Debug)]
pub struct WriteLock {
    file: File,
}

impl WriteLock {
    /// Takes the writers' lock for a command, or says at once who has it.
    pub fn take(store: &Store, command: &str) -> Result<WriteLock, StoreError> {
        let path = store.layout().state().join(WRITERS);
        WriteLock::take_at(&path, command)?.ok_or_else(|| StoreError::Locked {
            store: store.path().to_owned(),
            owner: named(&path),
        })
    }

    /// Takes a lock of this kind that is no store's, for a command; `None` when somebody has it.
    pub fn take_at(path: &Path, command: &str) -> Result<Option<WriteLock>, StoreError> {
        let mut file = open_for_writing(path).map_err(|source| failed("open", path, source))?;
        let try_it = || {
            try_lock(&file, FlockOperation::NonBlockingLockExclusive)
                .map_err(|source| failed("lock", path, source))
        };
        if !try_it()? {
            // Whoever asks for the holder may have it for a moment.
            std::thread::sleep(MOMENT);
            if !try_it()? {
                return Ok(None);
            }
        }
        let mut text = serde_json::to_string(&Owner::new(command)).unwrap_or_default();
        text.push('\n');
        file.set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| file.write_all(text.as_bytes()))
            .map_err(|source| failed("write", path, source))?;
        Ok(Some(WriteLock { file }))
    }

    /// The lock's file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Who has a lock of this kind, for people; empty when its file does not say.
    pub fn owner_at(path: &Path) -> String {
        named(path)
    }

    /// Who holds the writers' lock now; `None` when nobody does, and when it cannot be told.
    pub fn holder(store: &Store) -> Option<Owner> {
        let path = store.layout().state().join(WRITERS);
        // A lock that nobody holds says nothing of an owner, unless one has crashed.
        let owner = owner(&path)?;
        let file = File::from(open_regular(&path).ok()?);
        let is_free = try_lock(&file, FlockOperation::NonBlockingLockShared).ok()?;
        (!is_free).then_some(owner)
    }
}

impl Drop for WriteLock {
    fn drop(&mut self) {
        // The lock itself goes with the handle. An old owner in the file would only mislead.
        let _ = self.file.set_len(0);
    }
}

/// A store whose contents stay, until this is dropped.
#[derive(Debug)]
pub struct ReadLock {
    // Absent on a read-only mount that has no lock file: who prunes the store elsewhere cannot be
    // told from here.
    _file: Option<File>,
}

impl ReadLock {
    /// Takes a share in the readers' lock.
    pub fn take(store: &Store) -> Result<ReadLock, StoreError> {
        let path = store.layout().state().join(READERS);
        let file = match open_to_share(&path) {
            Ok(file) => file,
            Err(error) if cannot_write(&error) => return Ok(ReadLock { _file: None }),
            Err(source) => return Err(failed("open", &path, source)),
        };
        match try_lock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(true) => Ok(ReadLock { _file: Some(file) }),
            Ok(false) => Err(StoreError::Locked {
                store: store.path().to_owned(),
                owner: named(&store.layout().state().join(WRITERS)),
            }),
            Err(error) if cannot_write(&error) => Ok(ReadLock { _file: None }),
            Err(source) => Err(failed("lock", &path, source)),
        }
    }
}

/// A store that nobody else writes to or reads a set from, until this is dropped.
#[derive(Debug)]
pub struct SoleLock {
    _writers: WriteLock,
    _readers: File,
}

impl SoleLock {
    /// Takes both locks for a command.
    pub fn take(store: &Store, command: &str) -> Result<SoleLock, StoreError> {
        let writers = WriteLock::take(store, command)?;
        let path: PathBuf = store.layout().state().join(READERS);
        let readers = open_for_writing(&path).map_err(|source| failed("open", &path, source))?;
        if !try_lock(&readers, FlockOperation::NonBlockingLockExclusive)
            .map_err(|source| failed("lock", &path, source))?
        {
            return Err(StoreError::BeingRead {
                store: store.path().to_owned(),
            });
        }
        Ok(SoleLock {
            _writers: writers,
            _readers: readers,
        })
    }
}

/// Opens a lock file that may be there already, and is kept for ever: a lock on a file that
/// somebody replaces would lock nothing.
pub(super) fn open_for_writing(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .mode(FILE_MODE)
        .custom_flags(OFlags::NOFOLLOW.bits() as i32);
    match options.clone().create_new(true).open(path) {
        Ok(file) => {
            // The umask may have taken bits away.
            file.set_permissions(Permissions::from_mode(FILE_MODE))?;
            Ok(file)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => options.open(path),
        Err(error) => Err(error),
    }
}

/// Opens the readers' lock file, and makes it where that is possible.
fn open_to_share(path: &Path) -> io::Result<File> {
    let there = OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NOFOLLOW.bits() as i32)
        .open(path);
    match there {
        Err(error) if error.kind() == io::ErrorKind::NotFound => open_for_writing(path),
        other => other,
    }
}

/// Takes a lock on an open file; `false` when somebody else has it.
fn try_lock(file: &File, operation: FlockOperation) -> io::Result<bool> {
    match rustix::io::retry_on_intr(|| rustix::fs::flock(file, operation)) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether an error says that nothing can be written here, or that there are no locks at all. The
/// state's directory may be missing in a copy of a store.
pub(super) fn cannot_write(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::NotFound
            | io::ErrorKind::Unsupported
    ) || error.raw_os_error() == Some(rustix::io::Errno::NOLCK.raw_os_error())
}

/// What the writers' lock file says of its owner; `None` when it says nothing that can be read.
fn owner(path: &Path) -> Option<Owner> {
    let mut text = Vec::new();
    let file = File::from(open_regular(path).ok()?);
    file.take(MOST_OF_AN_OWNER).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

/// The owner, as [`StoreError::Locked`] has it.
fn named(path: &Path) -> String {
    owner(path).map_or_else(String::new, |owner| owner.for_people())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::new_store;

    #[test]
    fn a_second_writer_is_told_of_the_first() {
        let (_directory, store) = new_store();
        let first = WriteLock::take(&store, "backup").unwrap();
        let error = WriteLock::take(&store, "prune").unwrap_err();
        let text = error.to_string();
        let process = format!("process {}", std::process::id());
        assert!(
            text.contains("fogold backup") && text.contains(&process),
            "{text}"
        );
        assert!(!error.is_misuse());
        drop(first);
        WriteLock::take(&store, "prune").unwrap();
    }

    #[test]
    fn the_holder_is_told_while_there_is_one() {
        let (_directory, store) = new_store();
        assert_eq!(WriteLock::holder(&store), None);
        let lock = WriteLock::take(&store, "backup").unwrap();
        let holder = WriteLock::holder(&store).unwrap();
        assert_eq!(
            (&holder.command[..], holder.pid),
            ("backup", std::process::id())
        );
        let text = std::fs::read(store.layout().state().join(WRITERS)).unwrap();
        drop(lock);
        assert_eq!(WriteLock::holder(&store), None);
        // An owner that has crashed leaves its text behind.
        std::fs::write(store.layout().state().join(WRITERS), text).unwrap();
        assert_eq!(WriteLock::holder(&store), None);
    }

    #[test]
    fn who_looks_at_the_lock_keeps_no_writer_out() {
        let (_directory, store) = new_store();
        drop(WriteLock::take(&store, "backup").unwrap());
        let path = store.layout().state().join(WRITERS);
        let file = File::open(&path).unwrap();
        assert!(try_lock(&file, FlockOperation::NonBlockingLockShared).unwrap());
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| WriteLock::take(&store, "backup").map(|_| ()));
            std::thread::sleep(MOMENT / 20);
            drop(file);
            writer.join().unwrap().unwrap();
        });
    }

    #[test]
    fn readers_share_and_keep_prune_out() {
        let (_directory, store) = new_store();
        let writer = WriteLock::take(&store, "backup").unwrap();
        let (one, two) = (ReadLock::take(&store), ReadLock::take(&store));
        drop(writer);
        let refused = SoleLock::take(&store, "prune").unwrap_err();
        assert!(matches!(refused, StoreError::BeingRead { .. }), "{refused}");
        drop((one, two));
        let _sole = SoleLock::take(&store, "prune").unwrap();
        let refused = ReadLock::take(&store).unwrap_err();
        assert!(refused.to_string().contains("fogold prune"), "{refused}");
        assert!(WriteLock::take(&store, "backup").is_err());
    }

    #[test]
    fn an_owner_that_cannot_be_read_is_not_named() {
        let (_directory, store) = new_store();
        let _first = WriteLock::take(&store, "backup").unwrap();
        for text in [&b"\xff\xfe"[..], b"{", b"{\"command\":\"\\u001b[2J\"}", b""] {
            std::fs::write(store.layout().state().join(WRITERS), text).unwrap();
            let error = WriteLock::take(&store, "prune").unwrap_err().to_string();
            assert!(error.contains("is in use: wait"), "{error}");
        }
    }
}
