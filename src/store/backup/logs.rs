//! The repository's logs/ and report/ in a set: one packed archive.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::{BackupError, Digesting, ZSTD_LEVEL};
use crate::catalog::Amount;
use crate::monitor::Monitor;
use crate::repository::Tree;
use crate::store::durable::failed;
use crate::store::record::LogsRecord;
use crate::store::{StoreError, create_file};

/// The archive in the set.
pub(crate) const LOGS_FILE: &str = "logs.tar.zst";

/// What is packed, below the repository's root.
pub(crate) const DIRECTORIES: [&str; 2] = ["logs", "report"];

/// Packs the directories that are there. Symbolic links and whatever is no regular file stay out.
/// A log that somebody writes to meanwhile is taken as long as it was when it was opened.
pub(super) fn pack(
    tree: &Tree,
    set: &Path,
    monitor: &dyn Monitor,
) -> Result<LogsRecord, BackupError> {
    let path = set.join(LOGS_FILE);
    let cannot_write = |source| failed("write", &path, source);
    let out = zstd::Encoder::new(Digesting::new(create_file(&path)?), ZSTD_LEVEL)
        .map_err(cannot_write)?;
    let mut packing = Packing {
        root: tree.root(),
        archive: tar::Builder::new(out),
        packed: Amount::default(),
        monitor,
    };
    for directory in DIRECTORIES {
        packing.pack(directory).map_err(cannot_write)?;
        if monitor.stopped() {
            return Err(StoreError::Stopped.into());
        }
    }
    let packed = packing.packed;
    let out = packing.archive.into_inner().map_err(cannot_write)?;
    let file = out.finish().map_err(cannot_write)?.record(LOGS_FILE);
    Ok(LogsRecord { file, packed })
}

struct Packing<'a, W: io::Write> {
    /// The repository's root.
    root: &'a OwnedFd,
    archive: tar::Builder<W>,
    packed: Amount,
    monitor: &'a dyn Monitor,
}

impl<W: io::Write> Packing<'_, W> {
    /// Packs a directory of the root with all below it. The error is the archive's; what cannot be
    /// read is told.
    fn pack(&mut self, top: &str) -> io::Result<()> {
        let mut waiting = vec![PathBuf::from(top)];
        while let Some(below) = waiting.pop() {
            let names = match names_in(self.root, &below) {
                Ok(names) => names,
                Err(Errno::NOENT) => continue,
                Err(error) => {
                    self.say(&below, &error.into());
                    continue;
                }
            };
            for name in names {
                if self.monitor.stopped() {
                    return Ok(());
                }
                let path = below.join(name);
                match type_of(self.root, &path) {
                    Ok(FileType::Directory) => waiting.push(path),
                    Ok(FileType::RegularFile) => self.pack_file(&path)?,
                    Err(error) if error != Errno::NOENT => self.say(&path, &error.into()),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn pack_file(&mut self, path: &Path) -> io::Result<()> {
        let opened = open(self.root, path, OFlags::NONBLOCK)
            .map_err(io::Error::from)
            .map(File::from)
            .and_then(|file| Ok((file.metadata()?, file)));
        let (metadata, file) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                self.say(path, &error);
                return Ok(());
            }
        };
        let mut header = tar::Header::new_gnu();
        header.set_metadata(&metadata);
        let size = metadata.len();
        let mut contents = Padded { file, error: None };
        self.archive
            .append_data(&mut header, path, (&mut contents).take(size))?;
        self.packed.add(size);
        if let Some(error) = contents.error {
            self.say(path, &error);
        }
        Ok(())
    }

    fn say(&self, path: &Path, error: &io::Error) {
        self.monitor.warn(&format!(
            "{} cannot be read, and is not whole in {LOGS_FILE}: {error}",
            path.display()
        ));
    }
}

/// A log that is cut while it is read, or that cannot be read to its end, is filled up with zeros:
/// the archive stays whole.
struct Padded {
    file: File,
    error: Option<io::Error>,
}

impl Read for Padded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.error.is_none() {
            match self.file.read(buffer) {
                Ok(0) => {}
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    self.error = Some(error);
                }
                other => return other,
            }
        }
        buffer.fill(0);
        Ok(buffer.len())
    }
}

/// Opens what stands below the root. Nothing is reached through a symbolic link.
fn open(root: &OwnedFd, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let mut at = root.try_clone().map_err(|_| Errno::MFILE)?;
    let mut parts = path.iter().peekable();
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        let flags = if last { flags } else { OFlags::DIRECTORY };
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | flags;
        at = rustix::fs::openat(&at, part, flags, Mode::empty())?;
    }
    Ok(at)
}

/// What stands in a directory, in order.
fn names_in(root: &OwnedFd, path: &Path) -> rustix::io::Result<Vec<OsString>> {
    let directory = open(root, path, OFlags::DIRECTORY)?;
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(&directory)? {
        let name = OsStr::from_bytes(entry?.file_name().to_bytes()).to_owned();
        if name != "." && name != ".." {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn type_of(root: &OwnedFd, path: &Path) -> rustix::io::Result<FileType> {
    let stat = rustix::fs::statat(root, path, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(FileType::from_raw_mode(stat.st_mode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_cannot_be_read_to_its_end_is_filled_up() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        std::fs::write(&path, "one").unwrap();
        let file = File::open(&path).unwrap();
        let mut cut = Padded { file, error: None };
        let mut read = Vec::new();
        (&mut cut).take(6).read_to_end(&mut read).unwrap();
        assert_eq!(read, b"one\0\0\0");
        assert!(cut.error.is_none());
        // A directory can be opened, and not read.
        let file = File::open(directory.path()).unwrap();
        let mut unread = Padded { file, error: None };
        let mut read = Vec::new();
        (&mut unread).take(3).read_to_end(&mut read).unwrap();
        assert_eq!(read, b"\0\0\0");
        assert!(unread.error.is_some());
    }

    #[test]
    fn nothing_is_reached_through_a_link() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::fs::create_dir_all(at("outside/inner")).unwrap();
        std::fs::write(at("outside/inner/log"), "secret").unwrap();
        std::fs::create_dir(at("logs")).unwrap();
        std::os::unix::fs::symlink(at("outside"), at("logs/link")).unwrap();
        let root = OwnedFd::from(File::open(directory.path()).unwrap());
        let open = |path: &str| open(&root, Path::new(path), OFlags::empty());
        assert!(open("outside/inner/log").is_ok());
        for path in ["logs/link/inner/log", "logs/link"] {
            assert!(open(path).is_err(), "{path}");
        }
    }
}
