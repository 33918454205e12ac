//! The pool's intake: takes in the contents of a set's files, each once.
//!
//! What the pool has under a name is believed when the newest set of a kind vouches for it with
//! its BLAKE3; it is then not read again, only its length is looked at. What no set vouches for,
//! such as the work of a backup that was killed, is read and proven before it is used. That is
//! why a small file can be written under its final name at once: a cut one is found out. Nothing
//! is put on disk file by file; whoever makes a set does that once, before the set gets its name.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::durable::HALF;
use super::{Store, StoreError};
use crate::catalog::Amount;
use crate::check::CompanionError;
use crate::manifest::frames::{Frames, ShardLines};
use crate::manifest::{Entry, Keeper, Place, ShardKeeper, jsonl};
use crate::monitor::Monitor;
use crate::repository::name::NameBuffer;
use crate::repository::{LowImpact, Proof, Prover, RepositoryName, Shard, Witness, seek};

/// A set that vouches for what the pool has.
pub struct Voucher {
    manifest: Frames<File>,
}

impl Voucher {
    /// A set's manifest, which was found to be as it was written.
    pub(super) fn new(manifest: Frames<File>) -> Voucher {
        Voucher { manifest }
    }

    /// What the set says of a shard.
    fn of_shard(&self, shard: Shard) -> Result<Vouched, StoreError> {
        let said = self.manifest.take(shard)?;
        // A line is seldom shorter.
        let mut entries = Vec::with_capacity(said.lines.len() / 180);
        for line in said.lines.split_inclusive(|byte| *byte == b'\n') {
            let entry = jsonl::parse_line(line).map_err(|why| self.manifest.damaged(&why))?;
            entries.push(entry);
        }
        Ok(Vouched {
            said,
            entries,
            next: 0,
        })
    }
}

/// The pool of a store, which a set in the making fills.
pub struct Pool<'a> {
    root: PathBuf,
    vouchers: Vec<Voucher>,
    damaged: BTreeSet<RepositoryName>,
    low_impact: &'a LowImpact,
    monitor: &'a dyn Monitor,
    new: Mutex<Amount>,
    healed: Mutex<BTreeSet<RepositoryName>>,
    failure: Mutex<Option<StoreError>>,
    failed: AtomicBool,
    unvouched: AtomicBool,
}

impl<'a> Pool<'a> {
    /// The pool of a store. Names in `damaged` are taken for absent. What nobody vouches for is read
    /// as `low_impact` says.
    pub fn new(
        store: &Store,
        vouchers: Vec<Voucher>,
        damaged: BTreeSet<RepositoryName>,
        low_impact: &'a LowImpact,
        monitor: &'a dyn Monitor,
    ) -> Pool<'a> {
        Pool {
            root: store.layout().pool(),
            vouchers,
            damaged,
            low_impact,
            monitor,
            new: Mutex::default(),
            healed: Mutex::default(),
            failure: Mutex::default(),
            failed: AtomicBool::new(false),
            unvouched: AtomicBool::new(false),
        }
    }

    /// What was taken in.
    pub fn new_contents(&self) -> Amount {
        *self.new.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether anything in the pool that the set counts on may not be on disk yet: what was taken in
    /// now, and what nobody vouched for.
    pub fn needs_sync(&self) -> bool {
        self.unvouched.load(Ordering::Relaxed) || self.new_contents().files > 0
    }

    /// The damaged names whose contents were taken in anew.
    pub fn healed(&self) -> BTreeSet<RepositoryName> {
        self.healed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Why nothing more could be taken in, the first time that happened.
    pub fn take_failure(&self) -> Option<StoreError> {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    fn error(&self, action: &'static str, below: &str, source: io::Error) -> StoreError {
        StoreError::Io {
            action,
            path: self.root.join(below),
            source,
        }
    }
}

impl Keeper for Pool<'_> {
    fn begin(&self, shard: Shard) -> Result<Box<dyn ShardKeeper + '_>, CompanionError> {
        if self.failed.load(Ordering::Relaxed) {
            return Err(StoreError::Stopped.into());
        }
        let vouched = self.vouchers.iter().map(|voucher| voucher.of_shard(shard));
        let vouched = vouched.collect::<Result<Vec<Vouched>, StoreError>>()?;
        let below = shard.to_string();
        let directory = open_or_make(&self.root, &below)
            .map_err(|source| self.error("open", &below, source))?;
        has_only_directories(&directory)
            .map_err(|(entry, source)| self.error("read", &format!("{below}/{entry}"), source))?;
        Ok(Box::new(ShardPool {
            pool: self,
            shard,
            directory,
            vouched,
            held: HashMap::new(),
            stream: None,
        }))
    }
}

fn open_or_make(root: &std::path::Path, below: &str) -> io::Result<OwnedFd> {
    let path = root.join(below);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::open(&path, flags, Mode::empty()) {
        Err(Errno::NOENT) => match rustix::fs::mkdir(&path, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => Ok(rustix::fs::open(&path, flags, Mode::empty())?),
            Err(error) => Err(error.into()),
        },
        other => Ok(other?),
    }
}

/// Makes sure that none of the directories below a shard's is a link: what is asked for in it would
/// be looked for elsewhere.
fn has_only_directories(shard: &OwnedFd) -> Result<(), (String, io::Error)> {
    let whole = |errno: Errno| (String::new(), errno.into());
    for entry in Dir::read_from(shard).map_err(whole)? {
        let entry = entry.map_err(whole)?;
        let name = entry.file_name();
        let is_link = match entry.file_type() {
            FileType::Symlink => true,
            FileType::Unknown => rustix::fs::statat(shard, name, AtFlags::SYMLINK_NOFOLLOW)
                .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_symlink()),
            _ => false,
        };
        if is_link {
            let name = name.to_string_lossy().into_owned();
            return Err((name, Errno::NOTDIR.into()));
        }
    }
    Ok(())
}

/// The pool's part of one shard.
struct ShardPool<'a> {
    pool: &'a Pool<'a>,
    shard: Shard,
    directory: OwnedFd,
    /// What sets say of the shard.
    vouched: Vec<Vouched>,
    /// What was proven here.
    held: HashMap<RepositoryName, [u8; 32]>,
    stream: Option<Stream>,
}

/// What a set says of a shard.
struct Vouched {
    said: ShardLines,
    /// The same, in order.
    entries: Vec<Entry>,
    /// Where what is asked for next probably stands there.
    next: usize,
}

impl Vouched {
    /// The BLAKE3 of what the set has in the pool under a name.
    fn of(&mut self, name: &RepositoryName) -> Option<[u8; 32]> {
        let at = seek(&self.entries, self.next, |entry| entry.name.cmp(name)).ok()?;
        self.next = at + 1;
        let entry = &self.entries[at];
        entry.blake3.filter(|_| entry.place == Place::Pool)
    }
}

/// A large file on its way into the pool.
struct Stream {
    path: String,
    file: File,
    /// The file is a clone of its source and needs no writing.
    is_clone: bool,
    digest: blake3::Hasher,
}

/// Where a name stands below its shard's directory.
fn path_of(name: &RepositoryName) -> String {
    let mut buffer = NameBuffer::default();
    let text = name.write_to(&mut buffer);
    // As long as the longest name that is at all common, so that it need not grow.
    let mut path = String::with_capacity(96);
    path.push_str(&text[2..4]);
    path.push('/');
    path.push_str(text);
    path
}

impl ShardPool<'_> {
    fn fail(&self, action: &'static str, below: &str, source: io::Error) {
        let below = format!("{}/{below}", self.shard);
        let error = self.pool.error(action, &below, source);
        self.pool
            .failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(error);
        self.pool.failed.store(true, Ordering::Relaxed);
    }

    /// Whether there is no use in going on.
    fn has_failed(&self) -> bool {
        self.pool.failed.load(Ordering::Relaxed)
    }

    /// Creates a file, and its directory where that is not there yet.
    fn create(&self, path: &str, flags: OFlags) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC | flags;
        let mode = Mode::RUSR | Mode::WUSR;
        let open = || rustix::fs::openat(&self.directory, path, flags, mode);
        let opened = match open() {
            Err(Errno::ISDIR) => {
                self.set_aside(path)?;
                open()
            }
            Err(Errno::NOENT) => {
                match rustix::fs::mkdirat(&self.directory, &path[..2], Mode::RWXU) {
                    Ok(()) | Err(Errno::EXIST) => open(),
                    Err(error) => Err(error),
                }
            }
            other => other,
        };
        Ok(File::from(opened?))
    }

    /// Writes proven contents under their name.
    fn write(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        match self.create(path, OFlags::EXCL) {
            Ok(mut file) => file.write_all(bytes).inspect_err(|_| {
                // What is left there is found out by whoever looks at it next.
                let _ = rustix::fs::unlinkat(&self.directory, path, AtFlags::empty());
            }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let half = format!("{path}{HALF}");
                self.create(&half, OFlags::TRUNC)?.write_all(bytes)?;
                self.put_in_place(&half, path)
            }
            Err(error) => Err(error),
        }
    }

    /// Gives whole contents their name, in the place of whatever bears it.
    fn put_in_place(&self, half: &str, path: &str) -> io::Result<()> {
        let rename = || rustix::fs::renameat(&self.directory, half, &self.directory, path);
        match rename() {
            Err(Errno::ISDIR) => {
                self.set_aside(path)?;
                Ok(rename()?)
            }
            other => Ok(other?),
        }
    }

    /// Moves a directory out of a name's way: nobody knows what is in it. It is one more thing in the
    /// pool that is none of fogold's.
    fn set_aside(&self, path: &str) -> io::Result<()> {
        let is_free = |aside: &String| {
            let stat = rustix::fs::statat(&self.directory, aside, AtFlags::SYMLINK_NOFOLLOW);
            stat.is_err_and(|error| error == Errno::NOENT)
        };
        let aside = (1..u32::MAX)
            .map(|number| format!("{path}.aside{number}"))
            .find(is_free)
            .ok_or(Errno::EXIST)?;
        rustix::fs::renameat(&self.directory, path, &self.directory, &aside)?;
        let shard = self.pool.root.join(self.shard.to_string());
        self.pool.monitor.warn(&format!(
            "{} is a directory where contents belong: it is {} now; look what is in it, and remove it",
            shard.join(path).display(),
            shard.join(&aside).display()
        ));
        Ok(())
    }

    fn keep(&mut self, name: &RepositoryName, blake3: [u8; 32]) {
        self.held.insert(*name, blake3);
        self.pool
            .new
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .add(name.size);
        if self.pool.damaged.contains(name) {
            self.pool
                .healed
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(*name);
        }
    }

    /// What stands under a name, if it can be believed or proven.
    fn find(&mut self, name: &RepositoryName) -> Option<[u8; 32]> {
        if self.pool.damaged.contains(name) {
            return None;
        }
        let path = path_of(name);
        let stat = rustix::fs::statat(&self.directory, &path, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        let is_file = FileType::from_raw_mode(stat.st_mode).is_file();
        if !is_file || stat.st_size as u64 != name.size {
            return None;
        }
        if let Some(blake3) = self.vouched.iter_mut().find_map(|vouched| vouched.of(name)) {
            return Some(blake3);
        }
        let blake3 = self.prove(&path, name)?;
        self.pool.unvouched.store(true, Ordering::Relaxed);
        self.held.insert(*name, blake3);
        Some(blake3)
    }

    /// Reads what stands under a name that no set vouches for.
    fn prove(&self, path: &str, name: &RepositoryName) -> Option<[u8; 32]> {
        let mut digest = Digest::default();
        let mut prover = Prover::new(false).sparing(self.pool.low_impact);
        prover.read(
            &self.directory,
            path,
            0,
            name,
            name.size,
            &mut digest,
            self.pool.monitor,
        );
        let holds = prover
            .finish(&mut digest, self.pool.monitor)
            .into_iter()
            .any(|(_, result)| result.is_ok_and(|proof| proof.holds()));
        holds.then(|| *digest.0.finalize().as_bytes())
    }
}

impl ShardKeeper for ShardPool<'_> {
    fn held(&mut self, name: &RepositoryName) -> Option<[u8; 32]> {
        if let Some(blake3) = self.held.get(name) {
            return Some(*blake3);
        }
        self.find(name)
    }

    fn failure(&mut self) -> Option<CompanionError> {
        self.has_failed().then(|| StoreError::Stopped.into())
    }

    fn lines_of(&mut self, entries: &[Entry]) -> Option<ShardLines> {
        let mut vouched = self.vouched.iter();
        let same = vouched.position(|vouched| vouched.entries == entries)?;
        Some(std::mem::take(&mut self.vouched[same].said))
    }
}

impl Witness for ShardPool<'_> {
    fn whole(&mut self, name: &RepositoryName, proof: &Proof, bytes: &[u8]) {
        if !proof.holds() || self.has_failed() || self.held.contains_key(name) {
            return;
        }
        let path = path_of(name);
        match self.write(&path, bytes) {
            Ok(()) => self.keep(name, *blake3::hash(bytes).as_bytes()),
            Err(error) => self.fail("write", &path, error),
        }
    }

    fn begin(&mut self, name: &RepositoryName, file: &OwnedFd) -> Option<OwnedFd> {
        self.stream = None;
        if self.has_failed() || self.held.contains_key(name) {
            return None;
        }
        let path = path_of(name);
        let half = format!("{path}{HALF}");
        let target = match self.create(&half, OFlags::TRUNC) {
            Ok(target) => target,
            Err(error) => {
                self.fail("create", &half, error);
                return None;
            }
        };
        // Where the file systems share blocks, the clone is what is read and proven.
        let is_clone = rustix::fs::ioctl_ficlone(&target, file.as_fd()).is_ok();
        let instead = is_clone
            .then(|| target.as_fd().try_clone_to_owned().ok())
            .flatten();
        self.stream = Some(Stream {
            path,
            file: target,
            is_clone: instead.is_some(),
            digest: blake3::Hasher::new(),
        });
        instead
    }

    fn piece(&mut self, bytes: &[u8]) {
        let Some(stream) = &mut self.stream else {
            return;
        };
        stream.digest.update(bytes);
        if stream.is_clone {
            return;
        }
        if let Err(error) = stream.file.write_all(bytes) {
            let half = format!("{}{HALF}", stream.path);
            self.stream = None;
            let _ = rustix::fs::unlinkat(&self.directory, &half, AtFlags::empty());
            self.fail("write", &half, error);
        }
    }

    fn end(&mut self, name: &RepositoryName, proof: &Proof) {
        let Some(stream) = self.stream.take() else {
            return;
        };
        let half = format!("{}{HALF}", stream.path);
        if !proof.holds() {
            let _ = rustix::fs::unlinkat(&self.directory, &half, AtFlags::empty());
            return;
        }
        match self.put_in_place(&half, &stream.path) {
            Ok(()) => self.keep(name, *stream.digest.finalize().as_bytes()),
            Err(error) => self.fail("rename", &half, error),
        }
    }
}

/// The BLAKE3 of one file's contents.
#[derive(Default)]
struct Digest(blake3::Hasher);

impl Witness for Digest {
    fn whole(&mut self, _: &RepositoryName, _: &Proof, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn begin(&mut self, _: &RepositoryName, _: &OwnedFd) -> Option<OwnedFd> {
        None
    }

    fn piece(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn end(&mut self, _: &RepositoryName, _: &Proof) {}
}
