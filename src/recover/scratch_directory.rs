//! Directories in the scratch directory: locked while they are in use, and known as leftovers when
//! they are not.
//!
//! A process that is killed takes nothing away, but its lock goes with it: the next one in the same
//! place finds directories of the same name that nobody has locked, and takes them away.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// A directory of this process. It goes when this is dropped, and is known to be in use until then.
#[derive(Debug)]
pub(crate) struct ScratchDirectory {
    path: PathBuf,
    lock: File,
}

impl ScratchDirectory {
    /// Makes a directory in `scratch` whose name begins with `prefix`, for this user alone.
    pub(crate) fn make(scratch: &Path, prefix: &str) -> io::Result<ScratchDirectory> {
        let made = tempfile::Builder::new()
            .prefix(prefix)
            .make_in(scratch, ScratchDirectory::make_at)?;
        let (directory, path) = made.into_parts();
        // It is taken away by `ScratchDirectory`.
        let _ = path.keep();
        Ok(directory)
    }

    fn make_at(path: &Path) -> io::Result<ScratchDirectory> {
        DirBuilder::new().mode(0o700).create(path)?;
        let directory = ScratchDirectory {
            path: path.to_owned(),
            lock: File::open(path)?,
        };
        directory.lock.try_lock()?;
        // Another process may have taken it for a leftover before it was locked.
        if fs::symlink_metadata(path)?.ino() != directory.lock.metadata()?.ino() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        Ok(directory)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for ScratchDirectory {
    fn drop(&mut self) {
        // What stays is taken away by the next one in the same place.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Takes away the directories of a prefix that killed processes of these users have left; `end`
/// ends first what may still be at work there.
pub(crate) fn remove_leftovers(scratch: &Path, prefix: &str, users: &[u32], end: impl Fn(&Path)) {
    let entries = fs::read_dir(scratch).into_iter().flatten().flatten();
    for entry in entries {
        if entry.file_name().as_bytes().starts_with(prefix.as_bytes()) {
            // What cannot be taken away is in nobody's way.
            let _ = remove_leftover(&entry.path(), users, &end);
        }
    }
}

fn remove_leftover(path: &Path, users: &[u32], end: &impl Fn(&Path)) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if !metadata.is_dir() || !users.contains(&metadata.uid()) {
        return Ok(());
    }
    let lock = File::open(path)?;
    if lock.try_lock().is_err() {
        return Ok(());
    }
    end(path);
    fs::remove_dir_all(path)
}

#[cfg(test)]
mod tests {
    use rustix::process::geteuid;

    use super::*;

    #[test]
    fn only_what_nobody_uses_is_taken_away() {
        let scratch = tempfile::tempdir().unwrap();
        let used = ScratchDirectory::make(scratch.path(), "of-ours-").unwrap();
        let left = scratch.path().join("of-ours-left");
        fs::create_dir_all(left.join("data")).unwrap();
        let other = scratch.path().join("other");
        fs::create_dir(&other).unwrap();
        let link = scratch.path().join("of-ours-link");
        std::os::unix::fs::symlink(&other, &link).unwrap();
        let mine = geteuid().as_raw();
        remove_leftovers(scratch.path(), "of-ours-", &[mine + 1], |_| ());
        assert!(left.exists(), "another user's");
        let ended = std::cell::RefCell::new(Vec::new());
        remove_leftovers(scratch.path(), "of-ours-", &[mine], |path| {
            ended.borrow_mut().push(path.to_owned());
        });
        assert!(used.path().is_dir() && other.is_dir() && link.is_symlink());
        assert!(!left.exists());
        assert_eq!(ended.into_inner(), [left]);
        let path = used.path().to_owned();
        drop(used);
        assert!(!path.exists());
    }
}
