//! Reading a file of the store and its blake3.

use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use super::durable::failed;
use super::layout::{MANIFEST_FILE, SetId};
use super::reading::{Broken, Contents, read_to_end};
use super::record::{FileRecord, damaged};
use super::{SetRecord, Store, StoreError};
use crate::monitor::Monitor;
use crate::repository::{LowImpact, PageCache, Pages, Throttle};

/// Files are read in pieces of this size.
const PIECE: usize = 1024 * 1024;

/// Reads files; one for each thread.
pub(super) struct Reader {
    low_impact: LowImpact,
    piece: Vec<u8>,
}

impl Default for Reader {
    fn default() -> Self {
        Reader::sparing(&LowImpact::new(PageCache::AsFound, None))
    }
}

impl Reader {
    /// A reader that spares others in this way.
    pub(super) fn sparing(low_impact: &LowImpact) -> Reader {
        Reader {
            low_impact: low_impact.clone(),
            piece: Vec::new(),
        }
    }

    /// Reads a file; `None` when the monitor asked to stop.
    ///
    /// A manifest stays in the page cache whatever was asked for: it is about to be read again.
    pub(super) fn read(
        &mut self,
        path: &Path,
        monitor: &dyn Monitor,
    ) -> io::Result<Option<Contents>> {
        let file = open_regular(path)?;
        self.piece.resize(PIECE, 0);
        let mut sparing = Sparing {
            pages: Pages::of_large(match path.ends_with(MANIFEST_FILE) {
                true => PageCache::Keep,
                false => self.low_impact.page_cache,
            }),
            throttle: &self.low_impact.throttle,
            file: &file,
        };
        let read = match read_to_end(&mut sparing, None, &mut self.piece, monitor) {
            Ok(contents) => contents,
            Err(Broken::Stopped) => return Ok(None),
            Err(Broken::Source(error) | Broken::Target(error)) => return Err(error),
        };
        sparing.pages.end(&file);
        Ok(Some(read))
    }
}

/// A file that is read in a way that spares others.
struct Sparing<'a> {
    pages: Pages,
    throttle: &'a Throttle,
    file: &'a OwnedFd,
}

impl Read for Sparing<'_> {
    fn read(&mut self, piece: &mut [u8]) -> io::Result<usize> {
        let count = self.pages.read(self.file, piece)?;
        self.throttle.pass(count as u64);
        Ok(count)
    }
}

/// Makes sure that a file of a set is as its record says; reads all of it.
pub(super) fn intact(
    file: &FileRecord,
    directory: &Path,
    reader: &mut Reader,
    monitor: &dyn Monitor,
) -> Result<(), StoreError> {
    let path = file.path(directory);
    let read = reader.read(&path, monitor);
    let contents = read
        .map_err(|source| failed("read", &path, source))?
        .ok_or(StoreError::Stopped)?;
    if contents.bytes != file.bytes {
        return Err(StoreError::Cut {
            path,
            bytes: contents.bytes,
            wanted: file.bytes,
        });
    }
    if contents.blake3 != file.blake3 {
        return Err(damaged(&path, "its contents are not as they were written"));
    }
    Ok(())
}

impl Store {
    /// What an error about a file of a set says of the set.
    fn of_set(&self, id: SetId, error: StoreError) -> StoreError {
        let is_damage = match &error {
            StoreError::Cut { .. } | StoreError::Damaged { .. } => true,
            StoreError::Io { source, .. } => source.kind() == io::ErrorKind::NotFound,
            _ => false,
        };
        if !is_damage {
            return error;
        }
        StoreError::DamagedSet {
            set: id.to_string(),
            store: self.path().to_owned(),
            source: Box::new(error),
        }
    }

    /// Makes sure, before anything is restored, that a set's manifest is as its record says, and
    /// with `all` its other files too.
    pub fn make_sure_of(
        &self,
        id: SetId,
        record: &SetRecord,
        all: bool,
        monitor: &dyn Monitor,
    ) -> Result<(), StoreError> {
        let directory = self.layout().set(id);
        let mut reader = Reader::default();
        for file in record.files() {
            if all || file.file == record.manifest.file.file {
                intact(file, &directory, &mut reader, monitor)
                    .map_err(|error| self.of_set(id, error))?;
            }
        }
        Ok(())
    }

    /// Makes sure that a set's dump is as its record says.
    pub fn make_sure_of_dump(
        &self,
        id: SetId,
        record: &SetRecord,
        monitor: &dyn Monitor,
    ) -> Result<(), StoreError> {
        let directory = self.layout().set(id);
        intact(
            &record.dump.file,
            &directory,
            &mut Reader::default(),
            monitor,
        )
    }
}

/// Opens a regular file: never through a symbolic link in its last component, never waiting for a
/// fifo's other end.
pub(super) fn open_regular(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty())?;
    let mode = rustix::fs::fstat(&file)?.st_mode;
    if rustix::fs::FileType::from_raw_mode(mode) == rustix::fs::FileType::RegularFile {
        Ok(file)
    } else {
        Err(io::Error::other("not a regular file"))
    }
}
