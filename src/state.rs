//! The state directory: what one run of fogold leaves for the next.
//!
//! A few small files, each with one purpose: which shards were read and found good, how the last
//! runs went. They are worth keeping, and no more than that: whoever finds one missing or unreadable
//! goes on as if it were the first run, and says so. A file is replaced whole or not at all.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

/// No file of a state directory grows beyond this; a longer one is not ours.
const LONGEST: u64 = 64 << 20;

/// Why the state directory could not be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}", path.display())]
pub struct StateError {
    /// What was tried.
    action: &'static str,
    /// On which file or directory.
    path: PathBuf,
    /// Why it failed.
    source: io::Error,
}

/// Keeps other runs out of a file, until it is dropped.
#[derive(Debug)]
#[must_use]
pub struct StateLock {
    _file: File,
}

/// A directory that outlives a run.
#[derive(Clone, Debug)]
pub struct State {
    directory: PathBuf,
}

impl State {
    /// The state in `directory`, which is made, for its owner alone, when it is not there.
    pub fn open(directory: &Path) -> Result<State, StateError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|source| StateError {
                action: "create",
                path: directory.to_owned(),
                source,
            })?;
        Ok(State {
            directory: directory.to_owned(),
        })
    }

    /// Where a file of this name stands.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The contents of a file; `None` when there is none.
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>, StateError> {
        let path = self.path(name);
        let contents = std::fs::metadata(&path).and_then(|there| {
            if !there.is_file() || there.len() > LONGEST {
                return Err(io::Error::other("not a file that fogold wrote"));
            }
            std::fs::read(&path)
        });
        match contents {
            Ok(contents) => Ok(Some(contents)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StateError {
                action: "read",
                path,
                source,
            }),
        }
    }

    /// Writes a file, over an earlier one; after a crash either of the two is there, whole.
    pub fn replace(&self, name: &str, contents: &[u8]) -> Result<(), StateError> {
        let path = self.path(name);
        self.write(&path, contents).map_err(|source| StateError {
            action: "write",
            path,
            source,
        })
    }

    /// Waits until no other run changes a file, and keeps others out of it. The lock is a file beside
    /// it, for the file itself is replaced.
    pub fn lock(&self, name: &str) -> Result<StateLock, StateError> {
        let path = self.path(&format!("{name}.lock"));
        let mut open = OpenOptions::new();
        open.create(true).append(true).mode(0o600);
        open.open(&path)
            .and_then(|file| {
                self.adopt(&file);
                rustix::io::retry_on_intr(|| {
                    rustix::fs::flock(&file, FlockOperation::LockExclusive)
                })?;
                Ok(StateLock { _file: file })
            })
            .map_err(|source| StateError {
                action: "lock",
                path,
                source,
            })
    }

    /// Gives a file to the owner of the directory: what root has done by hand once, FOSSology's user
    /// goes on with every night.
    pub fn adopt(&self, file: &File) {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        if let Ok(owner) = std::fs::metadata(&self.directory) {
            // Where it cannot be done, root alone goes on.
            let _ = fchown(file, Some(owner.uid()), Some(owner.gid()));
        }
    }

    fn write(&self, path: &Path, contents: &[u8]) -> io::Result<()> {
        let mut half = tempfile::Builder::new()
            .prefix(".fogold-")
            .permissions(PermissionsExt::from_mode(0o600))
            .tempfile_in(&self.directory)?;
        self.adopt(half.as_file());
        half.write_all(contents)?;
        half.as_file().sync_all()?;
        half.persist(path)?;
        File::open(&self.directory)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_is_found() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let state = State::open(&directory.path().join("a/b")).expect("made");
        assert_eq!(state.read("ledger").expect("no file"), None);
        state.replace("ledger", b"one").expect("written");
        state.replace("ledger", b"two").expect("written over");
        assert_eq!(state.read("ledger").expect("read"), Some(b"two".to_vec()));
        let mode = std::fs::metadata(state.path("ledger")).expect("there");
        assert_eq!(mode.permissions().mode() & 0o777, 0o600);
        let left = std::fs::read_dir(directory.path().join("a/b")).expect("listed");
        assert_eq!(left.count(), 1);
    }

    #[test]
    fn what_root_leaves_belongs_to_the_owner_of_the_directory() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let directory = tempfile::tempdir().expect("temporary directory");
        std::os::unix::fs::chown(directory.path(), Some(65_534), Some(65_534)).expect("given away");
        let state = State::open(directory.path()).expect("there");
        state.replace("ledger", b"one").expect("written");
        let there = std::fs::metadata(state.path("ledger")).expect("there");
        assert_eq!((there.uid(), there.gid()), (65_534, 65_534));
    }

    #[test]
    fn what_is_no_file_is_an_error_that_names_it() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let state = State::open(directory.path()).expect("there");
        std::fs::create_dir(state.path("ledger")).expect("made");
        let error = state.read("ledger").expect_err("no file");
        assert!(error.to_string().contains("ledger"), "{error}");
    }
}
