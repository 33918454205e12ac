//! Which directories of the pool have not changed since a set was made.
//!
//! A backup looks at every file that a set vouches for: is it there, has it its length? With ten
//! million files that is most of what a backup with nothing new does. But entries come into a
//! directory and go out of it only with a change of the directory's own times. So once a backup has
//! looked at every file of a set in a directory, a mark of the directory is kept, and the next
//! backup looks at the directory alone while that is as it was.
//!
//! A mark is kept only of a directory that had been left alone for a moment, and only on file
//! systems that are known to keep these times. What a mark cannot show is damage within a file:
//! finding that is for `verify`, whose notes come first. A store works without marks.

use std::io;
use std::os::fd::AsFd;

use jiff::Timestamp;
use rustix::fs::AtFlags;
use rustix::io::Errno;

use super::durable::write_file;
use super::layout::SetId;
use super::{Store, StoreError};
use crate::manifest::SetKind;
use crate::repository::Shard;

/// Directories of the pool: two bytes of a name.
const LEAVES: usize = 256 * 256;

/// How the file of marks begins.
const HEAD: &str = "fogold marks 1 ";

/// How long a directory must have been left alone: clocks of file systems are coarse, and two
/// changes within one tick would look like one.
const SETTLED: jiff::SignedDuration = jiff::SignedDuration::from_secs(2);

/// File systems that change a directory's times with its entries (their magic numbers, from
/// `linux/magic.h` and their own sources).
const KNOWN: [u64; 9] = [
    0xef53,      // ext2, ext3, ext4
    0x5846_5342, // xfs
    0x9123_683e, // btrfs
    0x2fc1_2fc1, // zfs
    0xca45_1a4e, // bcachefs
    0xf2f5_2010, // f2fs
    0x0102_1994, // tmpfs
    0x6969,      // nfs
    0x794c_7630, // overlayfs
];

/// What a directory looked like: 0 when nothing is known of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark(u64);

impl Mark {
    /// No mark: the directory's files have to be looked at one by one.
    pub(super) const NONE: Mark = Mark(0);

    /// The mark of a directory below an open one; none if it is not there, or cannot be relied upon,
    /// because it has changed so shortly before `now` that another change could look the same. What
    /// stands there as something else, such as a symbolic link, is an error.
    pub(super) fn of(shard: impl AsFd, leaf: u8, now: Timestamp) -> io::Result<Mark> {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let name = [
            DIGITS[usize::from(leaf >> 4)],
            DIGITS[usize::from(leaf & 15)],
        ];
        let stat = match rustix::fs::statat(shard, &name[..], AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(Mark::NONE),
            stat => stat?,
        };
        if !rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir() {
            return Err(Errno::NOTDIR.into());
        }
        let changed = Timestamp::from_second(stat.st_ctime);
        if !changed.is_ok_and(|changed| now.duration_since(changed) > SETTLED) {
            return Ok(Mark::NONE);
        }
        let mut digest = blake3::Hasher::new();
        for word in [
            stat.st_dev,
            stat.st_ino,
            stat.st_ctime as u64,
            stat.st_ctime_nsec,
            stat.st_mtime as u64,
            stat.st_mtime_nsec,
        ] {
            digest.update(&word.to_le_bytes());
        }
        let mut first = [0; 8];
        first.copy_from_slice(&digest.finalize().as_bytes()[..8]);
        Ok(Mark(u64::from_le_bytes(first)))
    }

    /// Whether anything is known.
    pub(super) fn is_known(self) -> bool {
        self != Mark::NONE
    }
}

/// Whether the file system of an open directory keeps the times that marks rely on.
pub(super) fn keeps_times(directory: impl AsFd) -> bool {
    rustix::fs::fstatfs(directory).is_ok_and(|stat| KNOWN.contains(&(stat.f_type as u64)))
}

/// The marks of all directories of the pool, as they were when a set was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Marks(Vec<Mark>);

impl Default for Marks {
    fn default() -> Marks {
        Marks(vec![Mark::NONE; LEAVES])
    }
}

impl Marks {
    /// The mark of one directory.
    pub(super) fn of(&self, shard: Shard, leaf: u8) -> Mark {
        self.0[shard.index() * 256 + usize::from(leaf)]
    }

    /// Puts in the marks of a shard.
    pub(super) fn set(&mut self, shard: Shard, marks: &[Mark; 256]) {
        let from = shard.index() * 256;
        self.0[from..from + 256].copy_from_slice(marks);
    }
}

impl Store {
    /// The marks that were kept with a set; none when there is anything odd about them.
    pub(super) fn marks(&self, id: SetId) -> Option<Marks> {
        let bytes = std::fs::read(self.note(note_of(id.kind))).ok()?;
        let head = head(id);
        let (rest, digest) = bytes.split_at_checked(bytes.len().checked_sub(blake3::OUT_LEN)?)?;
        let words = rest.strip_prefix(head.as_bytes())?;
        let is_whole = words.len() == LEAVES * 8 && blake3::hash(rest).as_bytes() == digest;
        let word = |bytes: &[u8]| bytes.try_into().map(u64::from_le_bytes).map(Mark);
        is_whole
            .then(|| words.chunks_exact(8).map(word).collect::<Result<_, _>>())?
            .ok()
            .map(Marks)
    }

    /// Keeps the marks of a finished set, in the place of those of an earlier one of its kind.
    pub(super) fn keep_marks(&self, id: SetId, marks: &Marks) -> Result<(), StoreError> {
        let mut bytes = head(id).into_bytes();
        bytes.extend(marks.0.iter().flat_map(|mark| mark.0.to_le_bytes()));
        let digest = blake3::hash(&bytes);
        bytes.extend_from_slice(digest.as_bytes());
        write_file(&self.note(note_of(id.kind)), &bytes)
    }
}

fn head(id: SetId) -> String {
    format!("{HEAD}{id}\n")
}

fn note_of(kind: SetKind) -> &'static str {
    match kind {
        SetKind::GoldOnly => "marks-gold-only",
        SetKind::Full => "marks-full",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::new_store;

    fn later() -> Timestamp {
        Timestamp::now() + jiff::SignedDuration::from_secs(60)
    }

    #[test]
    fn a_mark_changes_with_the_entries() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("0f")).unwrap();
        let shard = std::fs::File::open(directory.path()).unwrap();
        let mark = || Mark::of(&shard, 0x0f, later()).unwrap();
        let first = mark();
        assert!(first.is_known());
        assert_eq!(mark(), first);
        // Times of a directory are as coarse as the kernel's clock.
        std::thread::sleep(std::time::Duration::from_millis(20));
        std::fs::write(directory.path().join("0f/a"), "a").unwrap();
        let second = mark();
        assert_ne!(second, first);
        std::thread::sleep(std::time::Duration::from_millis(20));
        std::fs::remove_file(directory.path().join("0f/a")).unwrap();
        assert_ne!(mark(), second);
        let now = Timestamp::now();
        assert_eq!(Mark::of(&shard, 0x0f, now).unwrap(), Mark::NONE);
        assert_eq!(Mark::of(&shard, 0xf0, now).unwrap(), Mark::NONE);
        std::os::unix::fs::symlink("0f", directory.path().join("1f")).unwrap();
        assert!(Mark::of(&shard, 0x1f, later()).is_err());
    }

    #[test]
    fn marks_are_those_of_one_set_and_whole() {
        let (_directory, store) = new_store();
        let id: SetId = "2026-11-21T070500Z-full".parse().unwrap();
        assert_eq!(store.marks(id), None);
        let mut marks = Marks::default();
        let mut of_shard = [Mark::NONE; 256];
        of_shard[7] = Mark(77);
        marks.set(Shard(9), &of_shard);
        store.keep_marks(id, &marks).unwrap();
        assert_eq!(store.marks(id), Some(marks.clone()));
        assert_eq!(marks.of(Shard(9), 7), Mark(77));
        assert_eq!(marks.of(Shard(9), 8), Mark::NONE);
        assert_eq!(
            store.marks("2026-11-21T070500Z-gold-only".parse().unwrap()),
            None
        );
        assert_eq!(
            store.marks("2026-11-21T070501Z-full".parse().unwrap()),
            None
        );
        let path = store.note(note_of(id.kind));
        let bytes = std::fs::read(&path).unwrap();
        for at in [0, 30, bytes.len() / 2, bytes.len() - 1] {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            std::fs::write(&path, changed).unwrap();
            assert_eq!(store.marks(id), None, "{at}");
        }
        std::fs::write(&path, &bytes[..20]).unwrap();
        assert_eq!(store.marks(id), None);
    }
}
