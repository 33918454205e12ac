//! How fast this machine reads, proves and writes files: some of them, timed.
//!
//! Files are copied as a restore copies them, into a scratch directory of their own. Reading is timed
//! on these copies, after they have been dropped from memory: what FOSSology has read lately stands
//! there, and would read faster than the rest. A sample is bounded by its time.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::tally::Candidates;
use crate::catalog::{Amount, CatalogError};
use crate::check::Options;
use crate::monitor::{Monitor, Phase, free_room};
use crate::recover::scratch_directory::{ScratchDirectory, remove_leftovers};
use crate::repository::{Access, Claim, Proof, Prover, RepositoryName, Tree, TreePath, Witness};
use crate::sysconf::RepositoryType;

/// The time for each of four stretches: large and small files are written, and read.
const TIME: Duration = Duration::from_millis(1250);

/// Fewer bytes than this in large files do not tell what a byte takes: they take no longer than the
/// system's own habits, such as the end of a sync.
const FEWEST_BYTES: u64 = 8 << 20;

/// More bytes than this are not written, nor more than a part of what is free.
const MOST_BYTES: u64 = 1 << 30;

/// That part: a quarter.
const SHARE_OF_FREE: u64 = 4;

/// So many small files are read at a time: between them it is looked at the clock.
const AT_ONCE: usize = 16;

/// What the names of a sample's directories begin with.
const PREFIX: &str = ".fogold-sample-";

/// How a copy's name ends while it is written.
const HALF: &str = "half";

/// More threads than this are not sampled with.
const MOST_THREADS: usize = 8;

/// What a file takes: so many seconds for itself, and so many for each of its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Rates {
    /// Seconds a file.
    pub a_file: f64,
    /// Seconds a byte.
    pub a_byte: f64,
}

impl Rates {
    /// The time for so many files.
    pub fn time(&self, amount: Amount) -> f64 {
        amount.files as f64 * self.a_file + amount.bytes as f64 * self.a_byte
    }

    /// Two classes of files tell what a file takes and what a byte takes.
    fn of(small: (Amount, f64), large: (Amount, f64)) -> Rates {
        let ((small, small_seconds), (large, large_seconds)) = (small, large);
        let [n1, b1, n2, b2] =
            [small.files, small.bytes, large.files, large.bytes].map(|number| number as f64);
        if large.bytes < FEWEST_BYTES {
            return Rates {
                a_file: (small_seconds + large_seconds) / (n1 + n2).max(1.0),
                a_byte: 0.0,
            };
        }
        let a_byte = large_seconds / b2.max(1.0);
        if n1 == 0.0 {
            return Rates {
                a_file: 0.0,
                a_byte,
            };
        }
        let both = n1 * b2 - n2 * b1;
        let a_file = (small_seconds * b2 - large_seconds * b1) / both;
        let rest = (large_seconds - n2 * a_file) / b2.max(1.0);
        if both > 0.0 && a_file >= 0.0 && rest >= 0.0 {
            return Rates {
                a_file,
                a_byte: rest,
            };
        }
        Rates {
            a_file: small_seconds / n1,
            a_byte,
        }
    }
}

/// How fast some files were read and written.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Sampled {
    /// The files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How long it took.
    pub seconds: f64,
    /// Threads that worked side by side, as a backup's do.
    pub threads: usize,
    /// Reading and proving, by all threads together.
    pub read: Rates,
    /// Reading, proving and writing, by all threads together.
    pub copy: Rates,
}

/// Takes a sample; `None` when there is no file to take.
pub(super) fn take(
    tree: &Tree,
    candidates: &Candidates,
    options: &Options,
    monitor: &dyn Monitor,
) -> Result<Option<Sampled>, CatalogError> {
    monitor.phase(Phase::Sample, None);
    let threads = options.threads.clamp(1, MOST_THREADS);
    let own = rustix::process::geteuid().as_raw();
    remove_leftovers(&options.scratch, PREFIX, &[own], |_| {});
    let failed = |source| failed(&options.scratch, source);
    let directory = ScratchDirectory::make(&options.scratch, PREFIX).map_err(failed)?;
    let room = free_room(directory.path()).map_err(failed)? / SHARE_OF_FREE;
    let fits = |names: &[RepositoryName]| fitting(names, room.min(MOST_BYTES) / 2);
    let taker = Taker {
        tree,
        copies: Tree::open(directory.path(), tree.layout().clone(), Access::default())
            .map_err(|error| failed(std::io::Error::other(error)))?,
        scratch: directory.path(),
        threads,
        monitor,
    };
    let began = Instant::now();
    let (large, small) = (fits(&candidates.large), fits(&candidates.small));
    let large = taker.class(&candidates.large[..large], 1)?;
    let small = taker.class(&candidates.small[..small], AT_ONCE)?;
    let mut amount = large.written.amount;
    amount += small.written.amount;
    if amount.files == 0 {
        return Ok(None);
    }
    let of = |stretch: &Stretch| (stretch.amount, stretch.seconds / threads as f64);
    let read = Rates::of(of(&small.read), of(&large.read));
    let write = Rates::of(of(&small.written), of(&large.written));
    Ok(Some(Sampled {
        files: amount.files,
        bytes: amount.bytes,
        seconds: began.elapsed().as_secs_f64(),
        threads,
        read,
        copy: Rates {
            a_file: read.a_file + write.a_file,
            a_byte: read.a_byte + write.a_byte,
        },
    }))
}

/// How many of the first names fit into so many bytes together.
fn fitting(names: &[RepositoryName], room: u64) -> usize {
    let mut sum = 0u64;
    let fits = names.iter().take_while(|name| {
        sum = sum.saturating_add(name.size);
        sum <= room
    });
    fits.count()
}

/// What was done in a stretch; the seconds of all threads added up.
#[derive(Default)]
struct Stretch {
    amount: Amount,
    seconds: f64,
}

impl std::ops::AddAssign for Stretch {
    fn add_assign(&mut self, other: Stretch) {
        self.amount += other.amount;
        self.seconds += other.seconds;
    }
}

/// What was taken of a class of files.
#[derive(Default)]
struct Class {
    written: Stretch,
    read: Stretch,
}

struct Taker<'a> {
    tree: &'a Tree,
    /// The scratch directory, as a tree.
    copies: Tree,
    scratch: &'a Path,
    threads: usize,
    monitor: &'a dyn Monitor,
}

impl Taker<'_> {
    /// Copies files of a class until they or the time have come to their end, and reads the copies.
    fn class(&self, names: &[RepositoryName], at_once: usize) -> Result<Class, CatalogError> {
        let mut written = self.stretch(names, at_once, |names, prover| self.copy(names, prover))?;
        let began = Instant::now();
        File::open(self.scratch)
            .and_then(|directory| Ok(rustix::fs::syncfs(directory)?))
            .map_err(|source| failed(self.scratch, source))?;
        // All threads wait for it.
        written.seconds += began.elapsed().as_secs_f64() * self.threads as f64;
        let count = usize::try_from(written.amount.files).unwrap_or(usize::MAX);
        let copies = &names[..names.len().min(count)];
        for name in copies {
            self.forget(name);
        }
        let read = self.stretch(copies, at_once, |names, prover| {
            Ok(self.read_copies(names, prover))
        })?;
        Ok(Class { written, read })
    }

    /// Has all threads do something with names until they or the time have come to their end.
    fn stretch(
        &self,
        names: &[RepositoryName],
        at_once: usize,
        act: impl Fn(&[RepositoryName], &mut Prover) -> Result<Stretch, CatalogError> + Sync,
    ) -> Result<Stretch, CatalogError> {
        let deadline = Instant::now() + TIME;
        let next = AtomicUsize::new(0);
        let chunks: Vec<&[RepositoryName]> = names.chunks(at_once).collect();
        let work = || {
            let mut done = Stretch::default();
            let mut prover = Prover::new(false).beside(self.threads);
            while let Some(chunk) = chunks.get(next.fetch_add(1, Ordering::Relaxed)) {
                if Instant::now() >= deadline || self.monitor.stopped() {
                    break;
                }
                done += act(chunk, &mut prover)?;
            }
            Ok(done)
        };
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..self.threads).map(|_| scope.spawn(work)).collect();
            let mut all = work()?;
            for other in others {
                all += match other.join() {
                    Ok(done) => done?,
                    Err(panic) => std::panic::resume_unwind(panic),
                };
            }
            Ok(all)
        })
    }

    /// Copies files into the scratch directory; the time is that of writing.
    fn copy(&self, names: &[RepositoryName], prover: &mut Prover) -> Result<Stretch, CatalogError> {
        let claims: Vec<Claim> = names.iter().filter_map(|name| self.claim(name)).collect();
        let mut writer = Writer {
            taker: self,
            file: None,
            done: Stretch::default(),
            failure: None,
        };
        self.tree
            .prove_before(&claims, prover, &mut writer, self.monitor);
        match writer.failure {
            Some(source) => Err(failed(self.scratch, source)),
            None => Ok(writer.done),
        }
    }

    /// Reads copies and proves them.
    fn read_copies(&self, names: &[RepositoryName], prover: &mut Prover) -> Stretch {
        let claims: Vec<Claim> = names.iter().map(|name| self.claim_of_copy(name)).collect();
        let began = Instant::now();
        let results = self.copies.prove(&claims, prover, self.monitor);
        let mut done = Stretch {
            seconds: began.elapsed().as_secs_f64(),
            ..Stretch::default()
        };
        for proof in results.into_iter().filter_map(|(_, result)| result.ok()) {
            done.amount.add(proof.bytes);
        }
        done
    }

    /// Drops a copy from memory.
    fn forget(&self, name: &RepositoryName) {
        let path = self.scratch.join(self.place(name).as_path());
        if let Ok(file) = File::open(path) {
            // Where it stays in memory it reads faster, and that is all.
            let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed);
        }
    }

    /// Where a copy lies: below as many directories as the repository has.
    fn place(&self, name: &RepositoryName) -> TreePath {
        let text = name.to_string();
        let levels =
            (0..self.tree.layout().depth).filter_map(|level| text.get(2 * level..2 * level + 2));
        let place = levels.fold(TreePath::default(), |path, level| {
            path.join(level.as_bytes())
        });
        place.join(text.as_bytes())
    }

    fn claim_of_copy(&self, name: &RepositoryName) -> Claim {
        Claim {
            path: self.place(name),
            name: *name,
            size: name.size,
        }
    }

    /// Where a file of this name stands.
    fn claim(&self, name: &RepositoryName) -> Option<Claim> {
        let types = [RepositoryType::Files, RepositoryType::Gold];
        let mut places = types
            .iter()
            .flat_map(|ty| self.tree.layout().places(*ty, name));
        let path = places.find(|path| {
            let there = std::fs::symlink_metadata(self.tree.path().join(path.as_path()));
            there.is_ok_and(|there| there.is_file() && there.len() == name.size)
        })?;
        Some(Claim {
            path,
            name: *name,
            size: name.size,
        })
    }
}

fn failed(directory: &Path, source: io::Error) -> CatalogError {
    CatalogError::Scratch {
        directory: directory.to_owned(),
        source,
    }
}

/// Writes what it is shown, and looks at the clock.
struct Writer<'a> {
    taker: &'a Taker<'a>,
    file: Option<(File, PathBuf)>,
    done: Stretch,
    failure: Option<io::Error>,
}

impl Writer<'_> {
    fn timed(&mut self, write: impl FnOnce(&mut Self) -> io::Result<()>) {
        let began = Instant::now();
        if self.failure.is_none() {
            self.failure = write(self).err();
        }
        self.done.seconds += began.elapsed().as_secs_f64();
    }

    /// Begins a file under a name for the time being.
    fn create(&mut self, name: &RepositoryName) -> io::Result<()> {
        let place = self.taker.place(name);
        let path = self.taker.scratch.join(place.as_path());
        fs::create_dir_all(self.taker.scratch.join(place.parent().as_path()))?;
        self.file = Some((File::create(path.with_added_extension(HALF))?, path));
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.file {
            Some((file, _)) => file.write_all(bytes),
            None => Ok(()),
        }
    }

    /// Gives the file its name.
    fn keep(&mut self, name: &RepositoryName) -> io::Result<()> {
        let Some((_, path)) = self.file.take() else {
            return Ok(());
        };
        self.done.amount.add(name.size);
        fs::rename(path.with_added_extension(HALF), path)
    }
}

impl Witness for Writer<'_> {
    fn whole(&mut self, name: &RepositoryName, _: &Proof, bytes: &[u8]) {
        self.timed(|writer| {
            writer.create(name)?;
            writer.write(bytes)?;
            writer.keep(name)
        });
    }

    fn begin(&mut self, name: &RepositoryName, _: &OwnedFd) -> Option<OwnedFd> {
        self.timed(|writer| writer.create(name));
        None
    }

    fn piece(&mut self, bytes: &[u8]) {
        self.timed(|writer| writer.write(bytes));
    }

    fn end(&mut self, name: &RepositoryName, _: &Proof) {
        self.timed(|writer| writer.keep(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(files: u64, bytes: u64) -> Amount {
        Amount { files, bytes }
    }

    #[test]
    fn two_classes_tell_what_a_file_and_a_byte_take() {
        let rates = Rates {
            a_file: 0.002,
            a_byte: 1e-8,
        };
        let (small, large) = (amount(1_000, 20_000_000), amount(10, 300_000_000));
        let found = Rates::of((small, rates.time(small)), (large, rates.time(large)));
        assert!(
            (found.a_file / rates.a_file - 1.0).abs() < 1e-6,
            "{found:?}"
        );
        assert!(
            (found.a_byte / rates.a_byte - 1.0).abs() < 1e-6,
            "{found:?}"
        );
    }

    #[test]
    fn a_sample_leaves_room() {
        let name = |size: u64| format!("{:040}.{:032}.{size}", 0, 0).parse().unwrap();
        let names = [name(10), name(20), name(1)];
        let counts = [0, 9, 10, 29, 30, 31].map(|room| fitting(&names, room));
        assert_eq!(counts, [0, 0, 1, 1, 2, 3]);
    }

    #[test]
    fn what_makes_no_sense_is_told_class_by_class() {
        let none = (Amount::default(), 0.0);
        let small = (amount(100, 1_000_000), 1.0);
        let large = (amount(2, 100_000_000), 0.1);
        assert_eq!(Rates::of(none, none), Rates::default());
        assert_eq!(Rates::of(small, none).time(amount(10, 7)), 0.1);
        let by_bytes = Rates::of(none, large).time(amount(7, 10_000_000));
        assert!((by_bytes - 0.01).abs() < 1e-9);
        // Small files were slower than their bytes and larger ones can explain.
        let both = Rates::of(small, large);
        assert!(both.a_file > 0.0 && both.a_byte > 0.0, "{both:?}");
    }
}
