//! Reading a file and proving its name: sha1, md5 and size in one pass over the bytes.
//!
//! Small files are read into one buffer, several at a time, and their digests are computed side by
//! side (`digests`). Large files are streamed. Files are read, never mapped: a mapped file that shrinks
//! or meets a bad sector would kill the program. What computes several digests at once is young code, so
//! each mismatch it reports is computed again by the plain one before it is believed.

mod crew;
mod stream;
#[cfg(test)]
mod tests;

pub use crew::{Crew, Seat};

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use md5::{Digest, Md5};
use rustix::fs::{Mode, OFlags};
use sha1::Sha1;
use sha2::Sha256;

use super::digests::Contents;
use super::listing::InPlace;
use super::low_impact::LowImpact;
use super::name::RepositoryName;
use super::page_cache::Pages;
use super::path::TreePath;
use super::reading::{At, ContentReader};
use crate::monitor::Monitor;
use crate::sysconf::RepositoryType;

/// Files up to this size are read whole, always.
const SMALL: u64 = 256 * 1024;
/// What the batches of all threads may take together, …
const BATCHES: usize = 48 * 1024 * 1024;
/// … and each of them at least.
const LEAST_BATCH: usize = 512 * 1024;
/// The batch of a spare thread.
const SPARE_BATCH: usize = 2 * 1024 * 1024;

/// How many small files are hashed together.
#[derive(Clone, Copy, Debug)]
struct Batch {
    /// Once they have so many bytes, …
    bytes: usize,
    /// … or once there are so many of them.
    files: usize,
    /// Longer files are streamed.
    longest: u64,
}

impl Batch {
    /// What is enough company for lanes that are filled by length.
    const ORDINARY: Batch = Batch {
        bytes: 6 * 1024 * 1024,
        files: 512,
        longest: SMALL,
    };

    /// For wide lanes: the end of a batch, when some files are still on their way and none comes after
    /// them, is to be a small part of it.
    const WIDE: Batch = Batch {
        bytes: 16 * 1024 * 1024,
        files: 2048,
        longest: 1024 * 1024,
    };

    /// No more bytes than these: then fewer long files keep the lanes busy to the end.
    fn within(self, bytes: usize) -> Batch {
        let bytes = bytes.min(self.bytes);
        let by_bytes = (bytes / 16) as u64;
        Batch {
            bytes,
            longest: self.longest.min(by_bytes.max(SMALL)),
            ..self
        }
    }
}

/// What reading a file showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The contents have the sha1 of the name.
    pub sha1: bool,
    /// The contents have the md5 of the name.
    pub md5: bool,
    /// The contents have the size of the name.
    pub size: bool,
    /// The sha256 of the contents, where it was asked for.
    pub sha256: Option<[u8; 32]>,
    /// Bytes read.
    pub bytes: u64,
}

impl Proof {
    /// Whether the contents are what the name promises.
    pub fn holds(&self) -> bool {
        self.sha1 && self.md5 && self.size
    }

    /// In which of sha1, md5 and size the contents differ, for a person.
    pub fn differences(&self) -> String {
        let parts = [(self.sha1, "sha1"), (self.md5, "md5"), (self.size, "size")];
        let differing: Vec<&str> = parts
            .into_iter()
            .filter_map(|(same, part)| (!same).then_some(part))
            .collect();
        differing.join(", ")
    }
}

/// What else is done with contents while they are proven, such as keeping a copy of them.
///
/// A small file is shown whole, with its proof. A large one is shown piece by piece, between
/// [`Witness::begin`] and [`Witness::end`]; when its reading fails, no end comes.
pub trait Witness {
    /// The contents of a small file.
    fn whole(&mut self, name: &RepositoryName, proof: &Proof, bytes: &[u8]);
    /// A large file begins. What is returned, such as a clone of it, is read in its place.
    fn begin(&mut self, name: &RepositoryName, file: &OwnedFd) -> Option<OwnedFd>;
    /// The next piece of the large file.
    fn piece(&mut self, bytes: &[u8]);
    /// The large file was read to its end.
    fn end(&mut self, name: &RepositoryName, proof: &Proof);
}

/// Nobody is interested in the contents.
pub(super) struct Nobody;

impl Witness for Nobody {
    fn whole(&mut self, _: &RepositoryName, _: &Proof, _: &[u8]) {}
    fn begin(&mut self, _: &RepositoryName, _: &OwnedFd) -> Option<OwnedFd> {
        None
    }
    fn piece(&mut self, _: &[u8]) {}
    fn end(&mut self, _: &RepositoryName, _: &Proof) {}
}

/// A file to be read.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Where it lies.
    pub path: TreePath,
    /// What it should be.
    pub name: RepositoryName,
    /// Its length when it was listed.
    pub size: u64,
}

/// Reads files and proves their names; one for each thread.
///
/// Files are handed in one by one, under a number of the caller's, and results come out in batches:
/// `take_results` after `finish` has them all.
pub struct Prover {
    with_sha256: bool,
    low_impact: LowImpact,
    batch: Batch,
    crew: Arc<Crew>,
    /// What the files that wait contain, in their order.
    contents: Contents,
    waiting: Vec<Waiting>,
    results: Vec<(usize, io::Result<Proof>)>,
}

/// A small file that was read and waits for its digests.
struct Waiting {
    number: usize,
    name: RepositoryName,
    sha256: Option<[u8; 32]>,
}

/// Set once the kernel has refused to read without touching access times.
static ATIME_IS_TOUCHED: AtomicBool = AtomicBool::new(false);

impl Prover {
    /// A prover that also computes the sha256 where `with_sha256` says so.
    pub fn new(with_sha256: bool) -> Prover {
        Prover {
            with_sha256,
            low_impact: LowImpact::default(),
            batch: Batch::ORDINARY,
            crew: Crew::alone(),
            contents: Contents::default(),
            waiting: Vec::new(),
            results: Vec::new(),
        }
    }

    /// Spares others in this way.
    #[must_use]
    pub fn sparing(self, low_impact: &LowImpact) -> Prover {
        Prover {
            low_impact: low_impact.clone(),
            ..self
        }
    }

    /// For contents that no witness keeps a copy of: longer files are then read whole, where they are
    /// digested faster among others. (A witness may have a way to copy a large file without reading it.)
    #[must_use]
    pub fn without_witness(self) -> Prover {
        match Contents::takes_longer_ones() {
            true => Prover {
                batch: Batch::WIDE,
                ..self
            },
            false => self,
        }
    }

    /// One of so many: together they keep to some memory.
    #[must_use]
    pub fn beside(self, threads: usize) -> Prover {
        let each = BATCHES / threads.max(1);
        Prover {
            batch: self.batch.within(each.max(LEAST_BATCH)),
            ..self
        }
    }

    /// A spare thread's, which is there for large files.
    #[must_use]
    pub fn spare(self) -> Prover {
        Prover {
            batch: self.batch.within(SPARE_BATCH),
            ..self
        }
    }

    /// The most bytes of contents that it holds in memory at a time.
    pub fn memory(&self) -> u64 {
        self.batch.bytes as u64 + self.batch.longest + crew::MOST_OF_A_FILE
    }

    /// Computes the md5 of large files together with others.
    #[must_use]
    pub fn in_crew(self, crew: &Arc<Crew>) -> Prover {
        Prover {
            crew: Arc::clone(crew),
            ..self
        }
    }

    /// Reads every claimed file below `root`: see [`Tree::prove`](super::Tree::prove).
    pub(super) fn prove(
        &mut self,
        root: &OwnedFd,
        claims: &[Claim],
        witness: &mut dyn Witness,
        monitor: &dyn Monitor,
    ) -> Vec<(usize, io::Result<Proof>)> {
        for (number, claim) in claims.iter().enumerate() {
            if monitor.stopped() {
                break;
            }
            let path = claim.path.as_path();
            self.read(
                root,
                path,
                number,
                &claim.name,
                claim.size,
                witness,
                monitor,
            );
        }
        self.finish(witness, monitor)
    }

    /// Reads one file, given by a path relative to a directory, whose length was `size` when it was
    /// listed, and shows its contents to `witness`. Its result comes under `number` from
    /// [`Prover::finish`].
    #[allow(clippy::too_many_arguments)]
    pub fn read(
        &mut self,
        directory: &OwnedFd,
        path: impl rustix::path::Arg + Copy,
        number: usize,
        name: &RepositoryName,
        size: u64,
        witness: &mut dyn Witness,
        monitor: &dyn Monitor,
    ) {
        let file = open(directory, path);
        self.read_open(file, number, name, size, witness, monitor);
    }

    /// As [`Prover::read`], for a file that is open or could not be opened.
    fn read_open(
        &mut self,
        file: io::Result<OwnedFd>,
        number: usize,
        name: &RepositoryName,
        size: u64,
        witness: &mut dyn Witness,
        monitor: &dyn Monitor,
    ) {
        let result = file.and_then(|file| {
            if size <= self.longest_small() {
                self.take_small(number, name, size, &file)?;
            } else if let Some(proof) = self.stream(name, &file, witness, monitor)? {
                self.results.push((number, Ok(proof)));
            }
            Ok(())
        });
        if let Err(error) = result {
            self.results.push((number, Err(error)));
        }
        if self.waiting.len() >= self.batch.files || self.contents.length() >= self.batch.bytes {
            self.finish_batch(witness, monitor);
        }
    }

    /// Reads what is still to be read; the results of all files since the last time, in no
    /// particular order.
    pub fn finish(
        &mut self,
        witness: &mut dyn Witness,
        monitor: &dyn Monitor,
    ) -> Vec<(usize, io::Result<Proof>)> {
        self.finish_batch(witness, monitor);
        std::mem::take(&mut self.results)
    }

    /// The size up to which files are read whole: where bytes are limited, none is to wait for many.
    fn longest_small(&self) -> u64 {
        match self.low_impact.throttle.is_limited() {
            true => SMALL,
            false => self.batch.longest,
        }
    }

    /// Reads a small file whole, behind the others of its batch.
    fn take_small(
        &mut self,
        number: usize,
        name: &RepositoryName,
        size: u64,
        file: &OwnedFd,
    ) -> io::Result<()> {
        self.low_impact.throttle.pass(size);
        let mut pages = Pages::of_small(self.low_impact.page_cache);
        // Room for one byte more than expected: a file that has grown since it was listed shows.
        let room = self.contents.room(size as usize + 1);
        let mut length = 0;
        loop {
            match pages.read(file, &mut room[length..])? {
                0 => break,
                count => length += count,
            }
            if length as u64 >= size {
                break;
            }
        }
        pages.end(file);
        let bytes = &room[..length];
        let sha256 = self.with_sha256.then(|| Sha256::digest(bytes).into());
        self.contents.push(length);
        self.waiting.push(Waiting {
            number,
            name: *name,
            sha256,
        });
        Ok(())
    }

    /// Hashes the files that wait, side by side.
    fn finish_batch(&mut self, witness: &mut dyn Witness, monitor: &dyn Monitor) {
        let digests = self.contents.digests();
        for (place, (waiting, digests)) in self.waiting.iter().zip(digests).enumerate() {
            let (name, bytes) = (&waiting.name, self.contents.get(place));
            let proof = Proof {
                sha1: digests.sha1 == name.sha1 || Sha1::digest(bytes)[..] == name.sha1,
                md5: digests.md5 == name.md5 || Md5::digest(bytes)[..] == name.md5,
                size: bytes.len() as u64 == name.size,
                sha256: waiting.sha256,
                bytes: bytes.len() as u64,
            };
            witness.whole(name, &proof, bytes);
            self.results.push((waiting.number, Ok(proof)));
        }
        monitor.advance(0, self.contents.length() as u64);
        self.waiting.clear();
        self.contents.clear();
    }
}

impl ContentReader for Prover {
    fn read(
        &mut self,
        at: At<'_>,
        number: usize,
        file: &InPlace,
        _: RepositoryType,
        monitor: &dyn Monitor,
    ) {
        let InPlace { name, meta, .. } = file;
        let open = at.open.map_or_else(|| open(at.directory, at.path), Ok);
        self.read_open(open, number, name, meta.size, &mut Nobody, monitor);
    }

    fn reads_all(&self) -> bool {
        true
    }

    fn finish(&mut self, monitor: &dyn Monitor) -> Vec<(usize, io::Result<Proof>)> {
        Prover::finish(self, &mut Nobody, monitor)
    }
}

/// Opens a regular file for reading: never through a symbolic link in its last component, never
/// waiting for a fifo's other end, and, where the kernel permits, without touching its access time.
pub(super) fn open(
    directory: &OwnedFd,
    path: impl rustix::path::Arg + Copy,
) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    if !ATIME_IS_TOUCHED.load(Ordering::Relaxed) {
        let untouched = flags | OFlags::NOATIME;
        match rustix::fs::openat(directory, path, untouched, Mode::empty()) {
            Err(rustix::io::Errno::PERM) => ATIME_IS_TOUCHED.store(true, Ordering::Relaxed),
            other => return Ok(other?),
        }
    }
    Ok(rustix::fs::openat(directory, path, flags, Mode::empty())?)
}
