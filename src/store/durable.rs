//! Files and directories that are on disk, and private, when a function returns.
//!
//! A store survives a pulled plug: what is there under its final name is there whole. So files are
//! written beside their place, synced, renamed, and the rename is synced as well. Everything is
//! for its owner alone, whatever the umask.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use super::StoreError;

/// The mode of a store's directories.
pub(super) const DIRECTORY_MODE: u32 = 0o700;
/// The mode of a store's files.
pub(super) const FILE_MODE: u32 = 0o600;

/// The ending of a file that is being written.
pub(super) const HALF: &str = ".part";

/// Makes a directory, unless it is there. What stands there as something else is an error.
pub fn make_directory(path: &Path) -> Result<(), StoreError> {
    match DirBuilder::new().mode(DIRECTORY_MODE).create(path) {
        Ok(()) => {
            // The umask may have taken bits away.
            fs::set_permissions(path, Permissions::from_mode(DIRECTORY_MODE))
                .map_err(|source| failed("set the mode of", path, source))?;
            sync_parent(path)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let there = fs::symlink_metadata(path).map_err(|e| failed("read", path, e))?;
            if there.is_dir() {
                return Ok(());
            }
            Err(failed("create", path, io::ErrorKind::NotADirectory.into()))
        }
        Err(source) => Err(failed("create", path, source)),
    }
}

/// Opens a new, empty file for writing, over an earlier one.
pub fn create_file(path: &Path) -> Result<File, StoreError> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(FILE_MODE)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32)
        .open(path)
        .map_err(|source| failed("create", path, source))?;
    file.set_permissions(Permissions::from_mode(FILE_MODE))
        .map_err(|source| failed("set the mode of", path, source))?;
    Ok(file)
}

/// As [`create_file`], for reading too.
pub(super) fn create_read_write(path: &Path) -> Result<File, StoreError> {
    create_file(path)?;
    OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .map_err(|source| failed("open", path, source))
}

/// Writes a small file whole, over an earlier one.
pub fn write_file(path: &Path, contents: &[u8]) -> Result<(), StoreError> {
    let mut half = path.as_os_str().to_owned();
    half.push(HALF);
    let half = Path::new(&half);
    let mut file = create_file(half)?;
    file.write_all(contents)
        .and_then(|()| file.sync_all())
        .map_err(|source| failed("write", half, source))?;
    rename(half, path)
}

/// A file that goes to the disk while other work goes on.
pub(super) struct Syncing {
    path: PathBuf,
    thread: io::Result<JoinHandle<io::Result<()>>>,
}

impl Syncing {
    /// Begins to put a file on disk.
    pub(super) fn begin(path: &Path) -> Syncing {
        let own = path.to_owned();
        Syncing {
            path: path.to_owned(),
            thread: thread::Builder::new()
                .name("sync".to_owned())
                .spawn(move || sync_file(&own)),
        }
    }

    /// Waits until it is there.
    pub(super) fn finish(self) -> Result<(), StoreError> {
        let synced = match self.thread.map(JoinHandle::join) {
            Ok(Ok(synced)) => synced,
            // There was no thread to do it.
            Ok(Err(_)) | Err(_) => sync_file(&self.path),
        };
        synced.map_err(|source| failed("sync", &self.path, source))
    }
}

/// Puts the contents of a file on disk.
pub(super) fn sync_file(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Renames within a directory, or between directories, and puts the rename on disk.
pub fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    fs::rename(from, to).map_err(|source| failed("rename", from, source))?;
    sync_parent(to)
}

/// Puts the entries of a directory on disk.
pub fn sync_directory(path: &Path) -> Result<(), StoreError> {
    match File::open(path).and_then(|directory| directory.sync_all()) {
        // Some file systems have nothing to sync in a directory, and say so.
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INVAL.raw_os_error()) => {
            Ok(())
        }
        other => other.map_err(|source| failed("sync", path, source)),
    }
}

fn sync_parent(path: &Path) -> Result<(), StoreError> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_directory(parent),
        _ => sync_directory(Path::new(".")),
    }
}

/// The error of a file operation.
pub(super) fn failed(action: &'static str, path: &Path, source: io::Error) -> StoreError {
    StoreError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn what_is_made_is_private() {
        let directory = tempfile::tempdir().unwrap();
        let (inner, file) = (directory.path().join("a"), directory.path().join("a/f"));
        make_directory(&inner).unwrap();
        make_directory(&inner).unwrap();
        write_file(&file, b"one").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        write_file(&file, b"two").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"two");
        assert_eq!((mode(&inner), mode(&file)), (0o700, 0o600));
        assert_eq!(fs::read_dir(&inner).unwrap().count(), 1);
    }

    #[test]
    fn a_link_is_not_written_through() {
        let directory = tempfile::tempdir().unwrap();
        let outside = directory.path().join("outside");
        fs::write(&outside, "mine").unwrap();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&outside, &link).unwrap();
        assert!(create_file(&link).is_err());
        assert!(make_directory(&link).is_err());
        // A whole file takes the link's place.
        write_file(&link, b"theirs").unwrap();
        assert_eq!(fs::read(&outside).unwrap(), b"mine");
    }
}
