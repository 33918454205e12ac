//! How the reader gets on with `pg_restore`: stand-ins that fail, flood and hang.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::*;
use crate::monitor::Monitor;

/// A directory with a `pg_restore` that runs `script`, and a file `dump.sql` beside it.
struct StandIn {
    directory: tempfile::TempDir,
}

impl StandIn {
    fn new(script: &str) -> StandIn {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("pg_restore");
        let here = directory.path().display();
        let text = directory.path().join("text");
        fs::write(&text, format!("#!/bin/sh\ncd '{here}'\n{script}\n")).unwrap();
        // A program that this process itself had written might still be open for writing in the
        // child of another test, and could then not be run.
        let made = Command::new("install")
            .args(["-m", "755"])
            .args([&text, &program])
            .status()
            .unwrap();
        assert!(made.success());
        fs::write(directory.path().join("dump.sql"), small_dump()).unwrap();
        StandIn { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn read(&self, input: Input, monitor: &dyn Monitor) -> Outcome {
        let bindir = Some(self.directory.path().to_owned());
        let options = DumpOptions {
            bindir,
            ..DumpOptions::default()
        };
        read(input, &options, || Ok(Recorder::default()), monitor)
    }

    /// Reads an archive in custom format, from a stream and from a file.
    fn both(&self) -> [Outcome; 2] {
        let archive = [&b"PGDMP\x01\x0e"[..], &[7; 300_000]].concat();
        let file = self.path("archive");
        fs::write(&file, &archive).unwrap();
        [
            self.read(Input::from_reader("a dump", Cursor::new(archive)), &Silent),
            self.read(Input::open(&file).unwrap(), &Silent),
        ]
    }
}

#[test]
fn messages_are_read_along() {
    let flood = "i=0; while [ $i -lt 20000 ]; do echo 'pg_restore: warning: xxxxxxxxxx' >&2; i=$((i+1)); done";
    for program in [
        "cat > /dev/null; cat dump.sql".to_owned(),
        // It need not read all that it is given.
        "cat dump.sql".to_owned(),
        format!("{flood}; cat dump.sql"),
    ] {
        for outcome in StandIn::new(&program).both() {
            assert_eq!(outcome.unwrap().0, read_text(small_dump()).unwrap().0);
        }
    }
}

#[test]
fn a_failure_is_one_even_after_a_whole_dump() {
    let stand_in = StandIn::new("cat dump.sql; echo 'pg_restore: error: boom' >&2; exit 1");
    for outcome in stand_in.both() {
        assert_eq!(refused(outcome), "pg_restore failed: boom");
    }
    let stand_in = StandIn::new("cat dump.sql; kill -9 $$");
    for outcome in stand_in.both() {
        let message = refused(outcome);
        assert!(
            message.starts_with("pg_restore failed: signal: 9"),
            "{message}"
        );
    }
    let stand_in = StandIn::new(
        "head -c 2000 dump.sql; echo 'pg_restore: error: could not read from input file: end of file' >&2; exit 1",
    );
    for outcome in stand_in.both() {
        let Err(error) = outcome else {
            panic!("a cut dump was read")
        };
        assert!(
            matches!(
                error,
                CatalogError::Cut {
                    source: Some(_),
                    ..
                }
            ),
            "{error}"
        );
    }
}

#[test]
fn a_stream_that_breaks_is_not_a_cut_dump() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("a bad sector"))
        }
    }
    let stand_in = StandIn::new("cat > /dev/null; exit 1");
    let stream = Cursor::new(b"PGDMP")
        .chain(Cursor::new([7; 100_000]))
        .chain(Broken);
    let outcome = stand_in.read(Input::from_reader("a dump", stream), &Silent);
    assert_eq!(refused(outcome), "cannot read a dump");
    let outcome = read_stream(Cursor::new(small_dump()).chain(Broken));
    assert_eq!(refused(outcome), "cannot read a dump");
}

#[test]
fn the_program_never_outlives_its_reader() {
    /// Stops once the program has said who it is.
    struct Stop(PathBuf, AtomicU32);
    impl Monitor for Stop {
        fn stopped(&self) -> bool {
            let pid = fs::read_to_string(&self.0)
                .ok()
                .and_then(|text| text.trim().parse().ok());
            self.1.store(pid.unwrap_or(0), Ordering::Relaxed);
            pid.is_some()
        }
    }
    let started = Instant::now();
    let stand_in = StandIn::new("echo $$ > pid.new; mv pid.new pid; exec sleep 600");
    let stop = Stop(stand_in.path("pid"), AtomicU32::new(0));
    let archive = Cursor::new(b"PGDMP\x01\x0e".to_vec());
    let outcome = stand_in.read(Input::from_reader("a dump", archive), &stop);
    assert!(matches!(outcome, Err(CatalogError::Stopped)));
    assert!(started.elapsed() < Duration::from_secs(60));
    let pid = stop.1.into_inner();
    assert!(
        !Path::new(&format!("/proc/{pid}")).exists(),
        "{pid} still runs"
    );
}

#[test]
fn a_cut_tar_archive_does_not_hang_the_program() {
    let stand_in = StandIn::new("exec sleep 600");
    let mut tar = vec![0; 1000];
    tar[..7].copy_from_slice(b"toc.dat");
    tar[124..135].copy_from_slice(b"00000007777");
    tar[257..262].copy_from_slice(b"ustar");
    let file = stand_in.path("dump.tar");
    fs::write(&file, &tar).unwrap();
    let outcome = stand_in.read(Input::open(&file).unwrap(), &Silent);
    assert!(matches!(
        outcome,
        Err(CatalogError::Cut {
            source: Some(_),
            ..
        })
    ));
}

#[test]
fn directories_are_told_by_their_table_of_contents() {
    let stand_in = StandIn::new("cat dump.sql");
    let outcome = Input::open(stand_in.directory.path());
    assert!(matches!(outcome, Err(CatalogError::NotADump { .. })));
    fs::write(stand_in.path("toc.dat"), "PGDMP").unwrap();
    let open = || Input::open(stand_in.directory.path()).unwrap();
    assert!(stand_in.read(open(), &Silent).is_ok());
    fs::write(stand_in.path("4367.dat.gz"), "").unwrap();
    let message = refused(stand_in.read(open(), &Silent));
    assert!(
        message.ends_with("stops at its file 4367.dat.gz, which is empty"),
        "{message}"
    );
}
