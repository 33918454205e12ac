//! Large files: each digest against the plain one, whatever befalls the files and the threads.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use md5::{Digest, Md5};
use proptest::prelude::*;
use sha1::Sha1;
use sha2::Sha256;

use super::crew::{Crew, PIECE};
use super::{Nobody, Proof, Prover, SMALL, Witness};
use crate::monitor::{Monitor, Silent};
use crate::repository::RepositoryName;

/// Bytes that hardly repeat.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn name_of(bytes: &[u8]) -> RepositoryName {
    RepositoryName {
        sha1: Sha1::digest(bytes).into(),
        md5: Md5::digest(bytes).into(),
        size: bytes.len() as u64,
    }
}

/// A directory with some large files.
struct Files {
    directory: tempfile::TempDir,
    handle: OwnedFd,
}

impl Files {
    fn new() -> Files {
        let directory = tempfile::tempdir().expect("a directory");
        let handle = File::open(directory.path()).expect("a handle").into();
        Files { directory, handle }
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.directory.path().join(name), bytes).expect("a file");
    }

    /// What one prover makes of one file.
    fn read(
        &self,
        prover: &mut Prover,
        path: &str,
        name: &RepositoryName,
        witness: &mut dyn Witness,
        monitor: &dyn Monitor,
    ) -> Option<std::io::Result<Proof>> {
        let listed = SMALL + 1;
        prover.read(&self.handle, path, 7, name, listed, witness, monitor);
        let result = prover.finish(witness, monitor).pop()?;
        assert_eq!(result.0, 7);
        Some(result.1)
    }
}

/// Reads the files with as many threads as the crew has, and looks at each result.
fn read_by_crew(turns: usize, spares: usize, contents: &[Vec<u8>]) {
    let files = Files::new();
    for (number, bytes) in contents.iter().enumerate() {
        files.put(&number.to_string(), bytes);
    }
    let crew = Arc::new(Crew::of(turns, spares));
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..crew.threads() {
            scope.spawn(|| {
                let Some(_seat) = crew.begin() else { return };
                let mut prover = Prover::new(true).in_crew(&crew);
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed) as usize;
                    let Some(bytes) = contents.get(number) else {
                        break;
                    };
                    let name = name_of(bytes);
                    let proof = files
                        .read(
                            &mut prover,
                            &number.to_string(),
                            &name,
                            &mut Nobody,
                            &Silent,
                        )
                        .expect("a result")
                        .expect("a proof");
                    assert!(proof.holds(), "{number}: {proof:?}");
                    assert_eq!(proof.bytes, bytes.len() as u64);
                    assert_eq!(proof.sha256, Some(Sha256::digest(bytes).into()));
                }
            });
        }
    });
    assert!(next.into_inner() as usize >= contents.len());
}

/// Lengths at which something changes, and some others.
fn length() -> impl Strategy<Value = usize> {
    let piece = (0usize..5, -65isize..66)
        .prop_map(|(pieces, more)| (pieces * PIECE).saturating_add_signed(more));
    prop_oneof![piece, 0usize..4 * PIECE]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn digests_are_the_plain_ones(
        turns in 1usize..4,
        spares in 0usize..10,
        lengths in proptest::collection::vec(length(), 0..20),
    ) {
        let contents: Vec<Vec<u8>> = lengths
            .iter()
            .zip(1..)
            .map(|(length, seed)| noise(*length, seed))
            .collect();
        read_by_crew(turns, spares, &contents);
    }
}

#[test]
fn each_difference_is_told() {
    let files = Files::new();
    let bytes = noise(3 * PIECE + 1, 1);
    files.put("file", &bytes);
    let good = name_of(&bytes);
    let mut prover = Prover::new(false);
    let mut told = |name: RepositoryName| {
        let result = files.read(&mut prover, "file", &name, &mut Nobody, &Silent);
        result.expect("a result").expect("a proof").differences()
    };
    assert_eq!(told(good), "");
    let mut other = good;
    other.md5[3] ^= 1;
    assert_eq!(told(other), "md5");
    other.sha1[3] ^= 1;
    assert_eq!(told(other), "sha1, md5");
    other = RepositoryName { size: 5, ..good };
    assert_eq!(told(other), "size");
}

/// What befalls a file.
type Change = fn(&mut File);

/// Changes the file once its first piece was read.
struct Meddler<'a> {
    file: &'a std::path::Path,
    change: Change,
    pieces: usize,
    ended: bool,
}

impl Witness for Meddler<'_> {
    fn whole(&mut self, _: &RepositoryName, _: &Proof, _: &[u8]) {}
    fn begin(&mut self, _: &RepositoryName, _: &OwnedFd) -> Option<OwnedFd> {
        None
    }
    fn piece(&mut self, _: &[u8]) {
        if self.pieces == 0 {
            let mut file = OpenOptions::new()
                .append(true)
                .open(self.file)
                .expect("a file");
            (self.change)(&mut file);
        }
        self.pieces += 1;
    }
    fn end(&mut self, _: &RepositoryName, _: &Proof) {
        self.ended = true;
    }
}

#[test]
fn a_file_that_changes_while_it_is_read_is_what_was_read() {
    let changes: [(Change, u64, usize); 2] = [
        (|file| file.set_len(100).expect("a cut"), PIECE as u64, 1),
        (
            |file| file.write_all(&[1; 10]).expect("more"),
            (3 * PIECE + 10) as u64,
            4,
        ),
    ];
    for (change, read, pieces) in changes {
        let files = Files::new();
        let bytes = noise(3 * PIECE, 2);
        files.put("file", &bytes);
        let mut meddler = Meddler {
            file: &files.directory.path().join("file"),
            change,
            pieces: 0,
            ended: false,
        };
        let mut prover = Prover::new(false);
        let result = files.read(&mut prover, "file", &name_of(&bytes), &mut meddler, &Silent);
        let proof = result.expect("a result").expect("a proof");
        assert_eq!((proof.bytes, proof.size), (read, false));
        assert_eq!(proof.differences(), "sha1, md5, size");
        assert_eq!((meddler.pieces, meddler.ended), (pieces, true));
    }
}

/// Reads something else in the file's place.
struct Instead(&'static str);

impl Witness for Instead {
    fn whole(&mut self, _: &RepositoryName, _: &Proof, _: &[u8]) {}
    fn begin(&mut self, _: &RepositoryName, _: &OwnedFd) -> Option<OwnedFd> {
        Some(File::open(self.0).expect("a file").into())
    }
    fn piece(&mut self, _: &[u8]) {}
    fn end(&mut self, _: &RepositoryName, _: &Proof) {
        panic!("it was not read to its end");
    }
}

/// Stops after some questions.
struct StopsAfter(AtomicU64);

impl Monitor for StopsAfter {
    fn stopped(&self) -> bool {
        let left = self.0.load(Ordering::Relaxed);
        self.0.store(left.saturating_sub(1), Ordering::Relaxed);
        left == 0
    }
}

#[test]
fn who_gives_up_holds_nobody_up() {
    let files = Files::new();
    let contents: Vec<Vec<u8>> = (0..6).map(|seed| noise(9 * PIECE + 5, seed)).collect();
    for (number, bytes) in contents.iter().enumerate() {
        files.put(&number.to_string(), bytes);
    }
    let crew = Arc::new(Crew::of(2, 8));
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..crew.threads() {
            scope.spawn(|| {
                let Some(_seat) = crew.begin() else { return };
                let mut prover = Prover::new(false).in_crew(&crew);
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed) as usize;
                    let Some(bytes) = contents.get(number) else {
                        break;
                    };
                    let (path, name) = (number.to_string(), name_of(bytes));
                    let mut read = |witness: &mut dyn Witness, monitor: &dyn Monitor| {
                        files.read(&mut prover, &path, &name, witness, monitor)
                    };
                    let stops = StopsAfter(AtomicU64::new(4));
                    assert!(read(&mut Nobody, &stops).is_none());
                    // Its first page is not mapped, so it cannot be read.
                    let error = read(&mut Instead("/proc/self/mem"), &Silent);
                    error.expect("a result").expect_err("an error");
                    let proof = read(&mut Nobody, &Silent).expect("a result");
                    assert!(proof.expect("a proof").holds());
                }
            });
        }
    });
}

#[test]
fn no_more_are_at_work_than_there_are_turns() {
    struct Busy<'a>(&'a AtomicU64);
    impl Witness for Busy<'_> {
        fn whole(&mut self, _: &RepositoryName, _: &Proof, _: &[u8]) {}
        fn begin(&mut self, _: &RepositoryName, _: &OwnedFd) -> Option<OwnedFd> {
            None
        }
        fn piece(&mut self, _: &[u8]) {
            let before = self.0.fetch_add(1, Ordering::SeqCst);
            assert!(before < 2, "{before} others are at work");
            std::thread::sleep(std::time::Duration::from_micros(300));
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
        fn end(&mut self, _: &RepositoryName, _: &Proof) {}
    }
    let files = Files::new();
    let bytes = noise(5 * PIECE, 3);
    files.put("file", &bytes);
    let (name, crew) = (name_of(&bytes), Arc::new(Crew::of(2, 8)));
    assert_eq!(crew.threads(), 10);
    let (busy, begun, left) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(30));
    std::thread::scope(|scope| {
        for _ in 0..crew.threads() {
            scope.spawn(|| {
                let Some(_seat) = crew.begin() else { return };
                begun.fetch_add(1, Ordering::Relaxed);
                let mut prover = Prover::new(false).in_crew(&crew);
                while left
                    .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                        left.checked_sub(1)
                    })
                    .is_ok()
                {
                    let mut witness = Busy(&busy);
                    let result = files.read(&mut prover, "file", &name, &mut witness, &Silent);
                    assert!(result.expect("a result").expect("a proof").holds());
                }
            });
        }
    });
    // The file stands in the cache where there is one that can be asked.
    let mut pages = crate::repository::Pages::of_large(crate::repository::PageCache::Keep);
    let file = File::open(files.directory.path().join("file")).expect("the file");
    pages.read(&file, &mut [0; 10]).expect("some of it");
    if pages.were_there() {
        assert!(
            begun.into_inner() > 2,
            "the spare threads had no part in it"
        );
    }
}
