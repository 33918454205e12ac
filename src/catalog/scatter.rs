//! Records sorted roughly, into 256 buckets, on disk.
//!
//! The building block of the external sort: writers on several threads append records to buckets,
//! each bucket is then small enough to be sorted in memory. All buckets share one temporary file
//! that has no name, so nothing is left behind by a crash. A bucket is a list of extents; the
//! order of records within it depends on the threads' timing, and readers must not rely on it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::CatalogError;

/// Number of buckets: one a value of a byte.
pub const BUCKETS: usize = 256;

/// A bucket's buffer is written when it holds this much: large enough for few system calls, small
/// enough for 256 of them a writer.
const FLUSH_AT: usize = 24 * 1024;

#[derive(Clone, Copy)]
struct Extent {
    offset: u64,
    length: usize,
}

/// A new file in a scratch directory. It has no name, so nothing is left behind by a crash.
pub fn scratch_file(directory: &Path) -> Result<File, CatalogError> {
    tempfile::tempfile_in(directory).map_err(|source| CatalogError::Scratch {
        directory: directory.to_owned(),
        source,
    })
}

/// 256 buckets of bytes on disk.
pub struct Scatter {
    file: File,
    directory: PathBuf,
    end: AtomicU64,
    extents: Vec<Mutex<Vec<Extent>>>,
}

impl Scatter {
    /// An empty scatter whose file lies, without a name, in `directory`.
    pub fn new(directory: &Path) -> Result<Arc<Scatter>, CatalogError> {
        Ok(Arc::new(Scatter {
            file: scratch_file(directory)?,
            directory: directory.to_owned(),
            end: AtomicU64::new(0),
            extents: (0..BUCKETS).map(|_| Mutex::default()).collect(),
        }))
    }

    /// A writer; each thread has its own.
    pub fn writer(self: &Arc<Self>) -> Writer {
        Writer {
            scatter: Arc::clone(self),
            buffers: vec![Vec::new(); BUCKETS],
        }
    }

    /// How many bytes were written to all buckets.
    pub fn size(&self) -> u64 {
        self.end.load(Ordering::Relaxed)
    }

    /// All that was written to a bucket.
    pub fn read(&self, bucket: u8) -> Result<Vec<u8>, CatalogError> {
        let extents = self.bucket(bucket);
        let mut bytes = vec![0; extents.iter().map(|extent| extent.length).sum()];
        let mut at = 0;
        for extent in extents.iter() {
            self.file
                .read_exact_at(&mut bytes[at..at + extent.length], extent.offset)
                .map_err(|source| self.failed(source))?;
            at += extent.length;
        }
        Ok(bytes)
    }

    /// The error for a bucket whose bytes make no sense.
    pub fn scrambled(&self) -> CatalogError {
        self.failed(io::Error::new(
            io::ErrorKind::InvalidData,
            "what was read back is not what was written",
        ))
    }

    /// Appends bytes to a bucket at once.
    pub fn append(&self, bucket: u8, bytes: &[u8]) -> Result<(), CatalogError> {
        let length = bytes.len();
        let offset = self.end.fetch_add(length as u64, Ordering::Relaxed);
        self.file
            .write_all_at(bytes, offset)
            .map_err(|source| self.failed(source))?;
        self.bucket(bucket).push(Extent { offset, length });
        Ok(())
    }

    fn bucket(&self, bucket: u8) -> std::sync::MutexGuard<'_, Vec<Extent>> {
        self.extents[usize::from(bucket)]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, source: io::Error) -> CatalogError {
        CatalogError::Scratch {
            directory: self.directory.clone(),
            source,
        }
    }
}

/// Appends to the buckets of a [`Scatter`]. What was pushed counts only after [`Writer::finish`].
pub struct Writer {
    scatter: Arc<Scatter>,
    buffers: Vec<Vec<u8>>,
}

impl Writer {
    /// Appends one record, written by `encode`, to a bucket. A record is never split between
    /// extents.
    pub fn push(
        &mut self,
        bucket: u8,
        encode: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), CatalogError> {
        let buffer = &mut self.buffers[usize::from(bucket)];
        encode(buffer);
        if buffer.len() >= FLUSH_AT {
            self.scatter.append(bucket, buffer)?;
            buffer.clear();
        }
        Ok(())
    }

    /// Writes what is still buffered.
    pub fn finish(mut self) -> Result<(), CatalogError> {
        for (bucket, buffer) in self.buffers.iter_mut().enumerate() {
            if !buffer.is_empty() {
                self.scatter.append(bucket as u8, buffer)?;
                *buffer = Vec::new();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out_by_bucket() {
        let directory = tempfile::tempdir().unwrap();
        let scatter = Scatter::new(directory.path()).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..3u32 {
                let scatter = &scatter;
                scope.spawn(move || {
                    let mut writer = scatter.writer();
                    for number in 0..50_000u32 {
                        let value = thread * 50_000 + number;
                        writer
                            .push(value as u8, |out| {
                                out.extend_from_slice(&value.to_le_bytes());
                            })
                            .unwrap();
                    }
                    writer.finish().unwrap();
                });
            }
        });
        let mut all = Vec::new();
        for bucket in 0..=u8::MAX {
            for word in scatter.read(bucket).unwrap().chunks_exact(4) {
                let value = u32::from_le_bytes(word.try_into().unwrap());
                assert_eq!(value as u8, bucket);
                all.push(value);
            }
        }
        all.sort_unstable();
        assert!(all.into_iter().eq(0..150_000));
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
