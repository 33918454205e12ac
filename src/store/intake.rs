//! The pool's intake: takes in the contents of a set's files, each once.
//!
//! What the pool has under a name is believed when the newest set of a kind vouches for it with
//! its BLAKE3; it is then not read again, only its length is looked at. What no set vouches for,
//! such as the work of a backup that was killed, is read and proven before it is used. That is
//! why a small file can be written under its final name at once: a cut one is found out. Nothing
//! is put on disk file by file; whoever makes a set does that once, before the set gets its name.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, BufReader, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::durable::HALF;
use super::throttle::Throttle;
use super::{Store, StoreError};
use crate::catalog::Amount;
use crate::check::CompanionError;
use crate::manifest::{ByShard, Entry, Keeper, Place, ShardKeeper};
use crate::monitor::Monitor;
use crate::repository::{Proof, Prover, RepositoryName, Shard, Witness};

/// A manifest that vouches for what the pool has.
pub type Voucher = ByShard<BufReader<zstd::Decoder<'static, BufReader<File>>>>;

/// The pool of a store, which a set in the making fills.
pub struct Pool<'a> {
    root: PathBuf,
    vouchers: Vec<Voucher>,
    damaged: BTreeSet<RepositoryName>,
    throttle: Throttle,
    monitor: &'a dyn Monitor,
    new: Mutex<Amount>,
    healed: Mutex<BTreeSet<RepositoryName>>,
    failure: Mutex<Option<StoreError>>,
    failed: AtomicBool,
    unvouched: AtomicBool,
}

impl<'a> Pool<'a> {
    /// The pool of a store. Names in `damaged` are taken for absent.
    pub fn new(
        store: &Store,
        vouchers: Vec<Voucher>,
        damaged: BTreeSet<RepositoryName>,
        throttle: Throttle,
        monitor: &'a dyn Monitor,
    ) -> Pool<'a> {
        Pool {
            root: store.layout().pool(),
            vouchers,
            damaged,
            throttle,
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
        let mut vouched: Vec<(RepositoryName, [u8; 32])> = Vec::new();
        for voucher in &self.vouchers {
            for entry in voucher.take(shard).map_err(StoreError::from)? {
                let Entry {
                    name,
                    blake3,
                    place,
                    ..
                } = entry;
                if let (Place::Pool, Some(blake3)) = (place, blake3) {
                    vouched.push((name, blake3));
                }
            }
        }
        // Runs that are sorted already.
        vouched.sort();
        let below = shard.to_string();
        let directory = open_or_make(&self.root, &below)
            .map_err(|source| self.error("open", &below, source))?;
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

/// The pool's part of one shard.
struct ShardPool<'a> {
    pool: &'a Pool<'a>,
    shard: Shard,
    directory: OwnedFd,
    /// What sets say of the pool.
    vouched: Vec<(RepositoryName, [u8; 32])>,
    /// What was proven here.
    held: HashMap<RepositoryName, [u8; 32]>,
    stream: Option<Stream>,
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
    format!("{:02x}/{name}", name.sha1[1])
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
                Ok(rustix::fs::renameat(
                    &self.directory,
                    &half,
                    &self.directory,
                    path,
                )?)
            }
            Err(error) => Err(error),
        }
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

    /// Reads what stands under a name that no set vouches for.
    fn prove(&self, path: &str, name: &RepositoryName) -> Option<[u8; 32]> {
        let mut digest = Digest::default();
        let mut prover = Prover::new(false);
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
        if self.pool.damaged.contains(name) {
            return None;
        }
        let path = path_of(name);
        let stat = rustix::fs::statat(&self.directory, &path, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        let is_file = rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file();
        if !is_file || stat.st_size as u64 != name.size {
            return None;
        }
        let at = self.vouched.binary_search_by(|(known, _)| known.cmp(name));
        if let Ok(at) = at {
            return Some(self.vouched[at].1);
        }
        let blake3 = self.prove(&path, name)?;
        self.pool.unvouched.store(true, Ordering::Relaxed);
        self.held.insert(*name, blake3);
        Some(blake3)
    }

    fn failure(&mut self) -> Option<CompanionError> {
        self.has_failed().then(|| StoreError::Stopped.into())
    }
}

impl Witness for ShardPool<'_> {
    fn whole(&mut self, name: &RepositoryName, proof: &Proof, bytes: &[u8]) {
        self.pool.throttle.pass(bytes.len() as u64);
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
        self.pool.throttle.pass(bytes.len() as u64);
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
        match rustix::fs::renameat(&self.directory, &half, &self.directory, &stream.path) {
            Ok(()) => self.keep(name, *stream.digest.finalize().as_bytes()),
            Err(error) => self.fail("rename", &half, error.into()),
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
