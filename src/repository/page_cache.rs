//! Reading files without changing what the page cache holds.
//!
//! FOSSology and its database work on the same machine, and what they use most stands in the page
//! cache. A pass over the whole repository would put its own pages in their place. So only what was
//! in the cache before a file was read is left there: a small file is read with `RWF_DONTCACHE`; and
//! a large one, or any file where the kernel (before 6.14) or the file system does not know that,
//! first with `RWF_NOWAIT`, which gives only what is in the cache: from the first place where it
//! gives nothing, the file's pages are dropped once they were read. `RWF_DONTCACHE` is not for large
//! files: it drops a run of pages as soon as any of them was read, and the rest is fetched again.
//!
//! What the kernel reads ahead looks as if it had been there before, so nobody can tell page by page.
//! A file whose first pages have left the cache while the last one stands in it has been read not long
//! ago: all of its pages are left alone.
//!
//! Where a file system knows neither (NFS, tmpfs), nothing is known of a file's pages, and all are
//! left alone.

use std::io::{self, IoSliceMut};
use std::num::NonZeroU64;
use std::os::fd::{AsFd, BorrowedFd};
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
/// The kernel may keep so many bytes together, and drops them only together.
const FOLIO: u64 = 2 * 1024 * 1024;

/// What the kernel keeps is at least so long.
const PAGE: u64 = 4096;

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

/// The last page of a file, before any of it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Nobody asked, or nobody can tell.
    Unknown,
    There,
    /// It begins here. To ask for it has brought it in.
    Missing(u64),
}

impl End {
    fn of(file: BorrowedFd<'_>) -> io::Result<End> {
        let length = rustix::fs::fstat(file)?.st_size as u64;
        let last = length.saturating_sub(1);
        let mut byte = [0];
        let buffers = &mut [IoSliceMut::new(&mut byte)];
        Ok(
            match rustix::io::preadv2(file, buffers, last, ReadWriteFlags::NOWAIT) {
                Ok(_) => End::There,
                Err(Errno::AGAIN) => End::Missing(last / PAGE * PAGE),
                Err(_) => End::Unknown,
            },
        )
    }

    fn to_drop(self) -> Option<u64> {
        match self {
            End::Missing(from) => Some(from),
            End::Unknown | End::There => None,
        }
    }
}

/// The pages of one file, while it is read from its beginning to its end.
#[derive(Debug)]
pub struct Pages {
    policy: PageCache,
    way: Way,
    offset: u64,
    /// From here on, pages are to be dropped.
    drop_from: Option<u64>,
    /// Up to here, most of them were.
    dropped: u64,
    end: End,
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
            dropped: 0,
            end: End::Unknown,
        }
    }

    /// Reads the next bytes; 0 at the end of the file.
    pub fn read(&mut self, file: impl AsFd, buffer: &mut [u8]) -> io::Result<usize> {
        let file = file.as_fd();
        if self.offset == 0 && self.way == Way::NoWait && self.policy == PageCache::AsFound {
            self.end = End::of(file)?;
        }
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
        if self.drop_from.is_some() && self.offset - self.dropped >= STRETCH {
            self.drop_behind(file);
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
        if let Some(from) = self.drop_from.or(self.end.to_drop()) {
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
                if matches!(self.end, End::Missing(_)) {
                    self.drop_from = Some(self.offset);
                    self.dropped = self.offset;
                }
                Way::Plain
            }
            _ => return Err(error.into()),
        };
        Ok(())
    }

    /// Drops what was read since the last time, for the whole of a huge file would fill the cache.
    fn drop_behind(&mut self, file: BorrowedFd<'_>) {
        let end = self.offset / FOLIO * FOLIO;
        if let Some(length) = NonZeroU64::new(end.saturating_sub(self.dropped)) {
            // Advice, as above.
            let _ = rustix::fs::fadvise(file, self.dropped, Some(length), Advice::DontNeed);
            self.dropped = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;

    use super::*;

    const LENGTH: usize = 10_000_000;

    /// Ways to read, lengths of files, and how much is asked for at a time.
    const CASES: [(Way, usize, usize); 4] = [
        (Way::NoWait, LENGTH, 300_000),
        (Way::NoWait, 10_000, 300_000),
        (Way::DontCache, 10_000, 300_000),
        (Way::DontCache, 1_000_000, 1_000_001),
    ];

    /// A file on disk, and none of it in the page cache; `None` where that cannot be.
    #[allow(clippy::print_stderr)]
    fn cold(length: usize) -> Option<File> {
        let directory = std::env::temp_dir();
        let mut file = tempfile::tempfile_in(directory).expect("a file");
        file.write_all(&vec![7; length]).expect("contents");
        file.sync_all().expect("a disk");
        drop_all(&file);
        if is_there(&file, 0) {
            eprintln!("skipped: this file system keeps its pages");
            return None;
        }
        // The question had a page fetched, and only what has come can be dropped.
        rustix::io::pread(&file, &mut [0; 1][..], 0).expect("a byte");
        drop_all(&file);
        Some(file)
    }

    fn drop_all(file: &File) {
        rustix::fs::fadvise(file, 0, None, Advice::DontNeed).expect("advice");
    }

    /// Whether a page stands in the cache; if not, it may do afterwards.
    fn is_there(file: &File, offset: u64) -> bool {
        // Nothing around it is to be fetched.
        rustix::fs::fadvise(file, 0, None, Advice::Random).expect("advice");
        let mut byte = [0];
        let buffers = &mut [IoSliceMut::new(&mut byte)];
        let read = rustix::io::preadv2(file, buffers, offset, ReadWriteFlags::NOWAIT);
        rustix::fs::fadvise(file, 0, None, Advice::Normal).expect("advice");
        read.is_ok()
    }

    fn read_all(mut pages: Pages, file: &File, piece: usize) -> usize {
        let mut buffer = vec![0; piece];
        let mut length = 0;
        loop {
            let count = pages.fill(file, &mut buffer).expect("contents");
            length += count;
            assert!(buffer[..count].iter().all(|byte| *byte == 7));
            if count < piece {
                break;
            }
        }
        pages.end(file);
        length
    }

    /// Which of some places of a file, each on a page of its own, stand in the cache.
    fn places(file: &File, length: usize) -> [bool; 3] {
        let last = length as u64 - 1;
        [0, last / 2, last].map(|place| is_there(file, place))
    }

    #[test]
    fn what_was_not_there_leaves_again() {
        for (way, length, piece) in CASES {
            let Some(file) = cold(length) else { return };
            let pages = Pages::read_in(way, PageCache::AsFound);
            assert_eq!(read_all(pages, &file, piece), length);
            assert_eq!(places(&file, length), [false; 3], "{way:?} {length}");
        }
    }

    #[test]
    fn what_was_there_stays() {
        for (way, length, piece) in CASES {
            let Some(file) = cold(length) else { return };
            read_all(Pages::of_large(PageCache::Keep), &file, length + 1);
            let pages = Pages::read_in(way, PageCache::AsFound);
            assert_eq!(read_all(pages, &file, piece), length);
            assert_eq!(places(&file, length), [true; 3], "{way:?} {length}");
        }
    }

    #[test]
    fn a_beginning_or_an_end_that_was_there_stays() {
        let Some(file) = cold(LENGTH) else { return };
        assert!(!is_there(&file, 0));
        assert_eq!(rustix::io::pread(&file, &mut [0; 1][..], 0), Ok(1));
        read_all(Pages::of_large(PageCache::AsFound), &file, 300_000);
        assert!(is_there(&file, 0));

        drop_all(&file);
        let read = rustix::io::pread(&file, &mut [0; 1][..], LENGTH as u64 - 1);
        assert_eq!(read, Ok(1));
        read_all(Pages::of_large(PageCache::AsFound), &file, 300_000);
        assert!(is_there(&file, LENGTH as u64 - 1));
    }

    #[test]
    fn all_leaves_where_that_is_wanted() {
        let Some(file) = cold(LENGTH) else { return };
        read_all(Pages::of_large(PageCache::Keep), &file, 300_000);
        assert_eq!(places(&file, LENGTH), [true; 3]);
        read_all(Pages::of_large(PageCache::Drop), &file, 300_000);
        assert_eq!(places(&file, LENGTH), [false; 3]);
    }
}
