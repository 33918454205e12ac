//! Writing past the page cache.
//!
//! A dump can be as large as the memory of the server that it is made on, and nobody reads the
//! set's copy of it soon. Written past the page cache it pushes nothing of FOSSology's out, and is
//! on disk at once. Where a file system cannot do that, it is written as any file is.

use std::fs::File;
use std::io::{self, Write};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

/// What addresses, offsets and lengths are multiples of. No disk has larger sectors.
const BLOCK: usize = 4096;

/// How much is written at once.
const PIECE: usize = 1024 * 1024;

/// A file that is written from its beginning, past the page cache. [`Direct::finish`] ends it.
pub(super) struct Direct {
    file: File,
    is_direct: bool,
    buffer: Vec<u8>,
    /// Where in the buffer the piece begins: at an address that suits.
    begins: usize,
    filled: usize,
}

impl Direct {
    /// Begins to write an empty file.
    pub(super) fn new(file: File) -> Direct {
        let buffer = vec![0; PIECE + BLOCK];
        let begins = buffer.as_ptr().align_offset(BLOCK).min(BLOCK);
        let mut direct = Direct {
            file,
            is_direct: false,
            buffer,
            begins,
            filled: 0,
        };
        direct.is_direct = direct.set(true).is_ok();
        direct
    }

    fn set(&self, direct: bool) -> io::Result<()> {
        let mut flags = fcntl_getfl(&self.file)?;
        flags.set(OFlags::DIRECT, direct);
        Ok(fcntl_setfl(&self.file, flags)?)
    }

    /// Writes what is left; all of the file has been handed to the system then.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        let whole = self.filled / BLOCK * BLOCK;
        self.put(0, whole)?;
        self.be_plain()?;
        self.put(whole, self.filled)?;
        self.filled = 0;
        Ok(())
    }

    fn be_plain(&mut self) -> io::Result<()> {
        if self.is_direct {
            self.is_direct = false;
            self.set(false)?;
        }
        Ok(())
    }

    /// Writes a part of the piece.
    fn put(&mut self, mut from: usize, to: usize) -> io::Result<()> {
        while from < to {
            let bytes = &self.buffer[self.begins + from..self.begins + to];
            match self.file.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) if from + count < to => {
                    // The rest need not begin where it suits.
                    from += count;
                    self.be_plain()?;
                }
                Ok(count) => from += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if self.is_direct && error.kind() == io::ErrorKind::InvalidInput => {
                    self.be_plain()?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Write for Direct {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.filled == PIECE {
            self.put(0, PIECE)?;
            self.filled = 0;
        }
        let count = bytes.len().min(PIECE - self.filled);
        let at = self.begins + self.filled;
        self.buffer[at..at + count].copy_from_slice(&bytes[..count]);
        self.filled += count;
        Ok(count)
    }

    /// Does nothing: only whole pieces can be written past the page cache.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(directory: &std::path::Path, lengths: &[usize]) {
        let path = directory.join("f");
        let mut direct = Direct::new(File::create(&path).unwrap());
        let mut all = Vec::new();
        for (number, length) in lengths.iter().enumerate() {
            let piece: Vec<u8> = (0..*length).map(|at| (at / 7 + number) as u8).collect();
            direct.write_all(&piece).unwrap();
            all.extend(piece);
        }
        direct.finish().unwrap();
        assert!(std::fs::read(&path).unwrap() == all, "{lengths:?}");
    }

    #[test]
    fn a_file_of_any_length_is_written_whole() {
        // A scratch directory on disk, and one in memory, where there is no direct writing.
        for directory in ["/var/tmp", "/dev/shm"] {
            let Ok(directory) = tempfile::tempdir_in(directory) else {
                continue;
            };
            for lengths in [
                &[][..],
                &[1],
                &[BLOCK],
                &[BLOCK + 1, 5],
                &[PIECE],
                &[PIECE, 1],
                &[PIECE - 1, 2, 3 * PIECE + 5000],
                &[100; 30_000],
            ] {
                written(directory.path(), lengths);
            }
        }
    }

    #[test]
    fn what_cannot_be_written_is_an_error() {
        let mut direct = Direct::new(File::options().write(true).open("/dev/full").unwrap());
        direct.write_all(&[1; 5]).unwrap();
        let error = direct.finish().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
