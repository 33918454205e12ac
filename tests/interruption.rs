//! Signals: the program ends within a second whatever it waits for, and tells the truth about what
//! it has seen.

use std::fs;
use std::io::Write;
use std::time::{Duration, Instant};

use fogold::fixtures::ServerSpec;
use rustix::process::Signal;
use serde_json::json;

use crate::support::{Cluster, Fogold, MadeStore, MadeUp, Outcome, Running};

/// How long the end of a run may take, on a machine that has other things to do as well.
const SOON: Duration = Duration::from_millis(2_500);

/// How long a run may take by itself to come to where it is interrupted.
const A_WHILE: Duration = Duration::from_secs(20);

/// Sends a signal, waits for the end, and looks at the report.
fn interrupt(mut running: Running, signal: Signal) -> Outcome {
    assert!(running.is_at_work(), "it ended before it was interrupted");
    let start = Instant::now();
    running.signal(signal);
    // Its standard input stays open: the program must not wait for the end of it.
    let outcome = running.end_within(SOON);
    let took = start.elapsed();
    assert!(took < SOON, "{took:?}");
    outcome.assert_code(3);
    let report = outcome.report();
    assert_eq!(report["complete"], false);
    assert_eq!(report["exit_status"], 3);
    let verdict = report["verdict"].as_str().expect("a verdict");
    assert!(verdict.starts_with("INCOMPLETE"), "{verdict}");
    outcome
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < A_WHILE, "{what} does not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_dump_that_never_ends() {
    let made_up = MadeUp::small();
    let text = fs::read(made_up.dump()).expect("a dump");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let scratch = directory.path().display().to_string();
    for signal in [Signal::INT, Signal::TERM] {
        let file = made_up.directory().join("report.ndjson");
        let check = Fogold::check(&made_up.repository(), "-")
            .args(["--scratch", &scratch, "--report"])
            .arg(&file);
        let mut running = check.start();
        let stdin = running.stdin.as_mut().expect("a pipe");
        stdin
            .write_all(&text[..text.len() / 2])
            .expect("half a dump");
        stdin.flush().expect("half a dump");
        std::thread::sleep(Duration::from_millis(300));
        let outcome = interrupt(running, signal);
        assert_eq!(outcome.lines().len(), 1);
        let written = fs::read(&file).expect("a report");
        assert_eq!(written, outcome.stdout, "the file says something else");
        fs::remove_file(&file).expect("it is there");
        assert_eq!(outcome.report()["coverage"]["shards_complete"], json!([]));
        let left = fs::read_dir(&scratch).expect("a directory").count();
        assert_eq!(left, 0, "something is left behind");
    }
}

#[test]
fn a_table_that_another_session_has_locked() {
    let cluster = Cluster::shared();
    let made_up = MadeUp::small();
    made_up.go_live(cluster, "interrupted_lock");
    for (table, signal) in [
        ("pfile", Signal::INT),
        ("uploadtree_a", Signal::TERM),
        ("upload", Signal::INT),
    ] {
        let mut other = cluster.connect("interrupted_lock");
        let mut transaction = other.transaction().expect("a transaction");
        transaction
            .batch_execute(&format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))
            .expect("a lock");
        let running = Fogold::check_configured(&made_up.sysconfdir()).start();
        let mut observer = cluster.connect("interrupted_lock");
        wait_until("a wait for the lock", || {
            let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted \
                           AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
            let row = observer.query_one(waiting, &[]).expect("a count");
            row.get::<_, i64>(0) > 0
        });
        let outcome = interrupt(running, signal);
        assert_eq!(outcome.findings(), Vec::<serde_json::Value>::new());
        transaction.rollback().expect("an end");
    }
    // Nothing of it is left, and the next run works.
    Fogold::check_configured(&made_up.sysconfdir())
        .run()
        .assert_code(0);
}

#[test]
fn contents_that_take_long_to_read() {
    let made_up = MadeUp::healthy(ServerSpec {
        files: 2_000,
        bytes: 20_000_000,
        per_upload: 100,
        ..ServerSpec::default()
    });
    // One huge file, which nobody knows, in the middle: what comes before it is read quickly.
    let name = format!("80{:038x}.{:032x}.{}", 1, 1, 1u64 << 40);
    let leaf = made_up.repository().join("localhost/files/80/00/00");
    fs::create_dir_all(&leaf).expect("directories");
    let file = fs::File::create(leaf.join(name)).expect("a file");
    file.set_len(1 << 40).expect("a length");
    // Missing files, by which it shows that findings come from complete shards only.
    for path in made_up.files("files").iter().step_by(4) {
        if !path.ends_with(".0") {
            let _ = fs::remove_file(made_up.repository().join(path));
        }
    }
    let whole = Fogold::check(&made_up.repository(), made_up.dump()).run();
    whole.assert_code(1);
    for (signal, threads) in [(Signal::INT, "1"), (Signal::TERM, "2")] {
        let running = Fogold::check(&made_up.repository(), made_up.dump())
            .args(["--verify", "-j", threads])
            .start();
        std::thread::sleep(Duration::from_millis(2_000));
        let outcome = interrupt(running, signal);
        let report = outcome.report();
        let complete: Vec<&str> = report["coverage"]["shards_complete"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|shard| shard.as_str().expect("a shard"))
            .collect();
        assert!(!complete.contains(&"80"), "{complete:?}");
        assert!(
            complete.len() >= 20 && complete.len() < 256,
            "{} shards",
            complete.len()
        );
        // Of every shard that is called complete all is reported that a whole run reports.
        for finding in whole.findings() {
            // The directories of the huge file have no name, and no shard of their own to speak of.
            let Some(name) = finding["name"].as_str() else {
                continue;
            };
            if complete.contains(&&name[..2]) {
                let there = outcome
                    .findings()
                    .iter()
                    .any(|each| each["name"] == name && each["kind"] == finding["kind"]);
                assert!(there, "not reported: {finding}");
            }
        }
    }
}

#[test]
fn a_snapshot_that_waits() {
    let cluster = Cluster::shared();
    let made_up = MadeUp::small();
    made_up.go_live(cluster, "interrupted_snapshot");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut other = cluster.connect("interrupted_snapshot");
    let mut transaction = other.transaction().expect("a transaction");
    transaction
        .batch_execute("LOCK TABLE pfile IN ACCESS EXCLUSIVE MODE")
        .expect("a lock");
    for catalog in [cluster.conninfo("interrupted_snapshot"), "-".to_owned()] {
        let running = Fogold::new(["snapshot", "--catalog", &catalog, "-o"])
            .arg(directory.path().join("saved.catalog"))
            .start();
        std::thread::sleep(Duration::from_millis(700));
        running.signal(Signal::INT);
        let outcome = running.end_within(SOON);
        outcome.assert_code(3);
        assert!(
            outcome.complaint().contains("stopped"),
            "{}",
            outcome.complaint()
        );
        let left = fs::read_dir(directory.path()).expect("a directory").count();
        assert_eq!(left, 0, "something is left behind");
    }
}

#[test]
fn a_backup_that_is_stopped_says_what_stays() {
    let made_up = MadeUp::small();
    let store = MadeStore::new();
    let all = made_up.files("gold").len() + made_up.files("files").len();
    let running = store
        .backup_of(&made_up, "--full")
        .args(["--bwlimit", "100K"])
        .start();
    wait_until("a file in the pool", || !store.pool().is_empty());
    let outcome = interrupt(running, Signal::INT);
    let report = outcome.report();
    let verdict = report["verdict"].as_str().expect("a verdict");
    for said in [
        "there is no new set",
        "files that were taken in stay in the store, and the next backup goes on with them",
    ] {
        assert!(verdict.contains(said), "{verdict}");
    }
    let kept = store.pool().len();
    assert!((1..all).contains(&kept), "{kept} of {all}");
    let next = store.backup_of(&made_up, "--full").run();
    next.assert_code(0);
    let counts = &next.report()["coverage"]["set"]["counts"];
    let number = |what: &str| counts[what]["files"].as_u64().expect("a number");
    assert_eq!(number("pool") - number("new"), kept as u64);
}

#[test]
fn room_is_said_with_what_it_is_for() {
    let made_up = MadeUp::small();
    let store = MadeStore::new();
    let check = || Fogold::check(&made_up.repository(), made_up.dump());
    let sorting = "room for sorting: up to ";
    if fogold::monitor::free_room("/var/tmp".as_ref()).is_ok_and(|free| free > 2 << 30) {
        let silent = check().run();
        assert!(
            !silent.complaint().contains("room"),
            "{}",
            silent.complaint()
        );
    }
    let talkative = check().arg("-v").run().complaint();
    assert!(talkative.contains(sorting), "{talkative}");
    let backup = || store.backup_of(&made_up, "--full").run().complaint();
    let first = backup();
    let said = format!(" in {}, where ", store.path().display());
    assert!(
        first.contains("fogold: room for new files of uploads: up to ") && first.contains(&said),
        "{first}"
    );
    let second = backup();
    assert!(!second.contains("room for new files"), "{second}");
}
