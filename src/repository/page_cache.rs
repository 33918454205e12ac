//! Reading files without changing what the page cache holds.
//!
//! FOSSology and its database work on the same machine, and what they use most stands in the page
//! cache. A pass over the whole repository would put its own pages in their place. So only what was
//! in the cache before a file was read is left there: a small file is read with `RWF_DONTCACHE`; and
//! a large one, or any file where the kernel (before 6.14) or the file system does not know that,
//! first with `RWF_NOWAIT`, which gives only what is in the cache: from the first place where it
//! gives nothing, the file's pages are dropped once they were read. `RWF_DONTCACHE` is not for large
//! files: it drops a run of pages as soon as any of them was read.
//!
//! Where a file system knows neither (NFS, tmpfs), nothing is known of a file's pages, and all are
//! left alone.

use std::io::{self, IoSliceMut};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::Advice;
use rustix::io::{Errno, ReadWriteFlags};

/// What becomes of the pages of files that are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PageCache {
    /// Those that were not in the cache before leave it again.
    #[default]
    AsFound,
    /// All stay.
    Keep,
    /// All leave, also those that were there before.
    Drop,
}

/// `RWF_DONTCACHE` (since Linux 6.14): what the read brings into the cache leaves it again.
const DONTCACHE: ReadWriteFlags = ReadWriteFlags::from_bits_retain(0x80);
/// Pages of a large file are dropped behind the reader in stretches of this size.
const STRETCH: u64 = 8 * 1024 * 1024;

/// Set once the kernel or a file system has refused `RWF_DONTCACHE`.
static DONTCACHE_IS_REFUSED: AtomicBool = AtomicBool::new(false);

/// How the next bytes of a file are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// With `RWF_DONTCACHE`: whoever asks takes the whole file at once.
    DontCache,
    /// With `RWF_NOWAIT`: all of the file so far was in the cache.
    NoWait,
    /// Plainly.
    Plain,
}

/// The pages of one file, while it is read from its beginning to its end.
#[derive(Debug)]
pub struct Pages {
    policy: PageCache,
    way: Way,
    offset: u64,
    /// From here on, pages are to be dropped.
    drop_from: Option<u64>,
}

impl Pages {
    /// The pages of a file that is read at once.
    pub fn of_small(policy: PageCache) -> Pages {
        let way = match policy {
            PageCache::Keep | PageCache::Drop => Way::Plain,
            PageCache::AsFound if DONTCACHE_IS_REFUSED.load(Ordering::Relaxed) => Way::NoWait,
            PageCache::AsFound => Way::DontCache,
        };
        Pages::read_in(way, policy)
    }

    /// The pages of a file that is read piece by piece.
    pub fn of_large(policy: PageCache) -> Pages {
        Pages::read_in(Way::NoWait, policy)
    }

    fn read_in(way: Way, policy: PageCache) -> Pages {
        Pages {
            policy,
            way,
            offset: 0,
            drop_from: (policy == PageCache::Drop).then_some(0),
        }
    }

    /// Reads the next bytes; 0 at the end of the file.
    pub fn read(&mut self, file: impl AsFd, buffer: &mut [u8]) -> io::Result<usize> {
        let file = file.as_fd();
        let count = loop {
            let flags = match self.way {
                Way::DontCache => DONTCACHE,
                Way::NoWait => ReadWriteFlags::NOWAIT,
                Way::Plain => ReadWriteFlags::empty(),
            };
            let buffers = &mut [IoSliceMut::new(buffer)];
            match rustix::io::preadv2(file, buffers, self.offset, flags) {
                Ok(count) => break count,
                Err(Errno::INTR) => {}
                Err(error) => self.other_way(error)?,
            }
        };
        self.offset += count as u64;
        if let Some(from) = self.drop_from
            && self.offset - from >= STRETCH
        {
            self.drop_behind(file, from);
        }
        Ok(count)
    }

    /// Reads until the buffer is full or the file ends.
    pub fn fill(&mut self, file: impl AsFd, buffer: &mut [u8]) -> io::Result<usize> {
        let mut length = 0;
        while length < buffer.len() {
            match self.read(&file, &mut buffer[length..])? {
                0 => break,
                count => length += count,
            }
        }
        Ok(length)
    }

    /// Whether all that was read of a large file was in the cache.
    pub fn were_there(&self) -> bool {
        self.way == Way::NoWait
    }

    /// The file is read.
    pub fn end(self, file: impl AsFd) {
        if let Some(from) = self.drop_from {
            // Advice: nothing depends on whether it is taken.
            let _ = rustix::fs::fadvise(file, from, None, Advice::DontNeed);
        }
    }

    /// How to ask after an answer that was none.
    fn other_way(&mut self, error: Errno) -> io::Result<()> {
        let refused = matches!(error, Errno::OPNOTSUPP | Errno::INVAL);
        self.way = match self.way {
            Way::DontCache if refused => {
                DONTCACHE_IS_REFUSED.store(true, Ordering::Relaxed);
                Way::NoWait
            }
            Way::NoWait if refused => Way::Plain,
            Way::NoWait if error == Errno::AGAIN => {
                if self.policy == PageCache::AsFound {
                    self.drop_from = Some(self.offset);
                }
                Way::Plain
            }
            _ => return Err(error.into()),
        };
        Ok(())
    }

    fn drop_behind(&mut self, file: impl AsFd, from: u64) {
        let length = std::num::NonZeroU64::new(self.offset - from);
        // Advice, as above.
        let _ = rustix::fs::fadvise(file, from, length, Advice::DontNeed);
        self.drop_from = Some(self.offset);
    }
}
