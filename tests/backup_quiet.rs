//! Backups that disturb nobody: with the scheduler stopped, slowly, and interrupted by a signal.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use fogold::fixtures::ServerSpec;
use rustix::process::Signal;

use crate::support::{Cluster, Fogold, MadeStore, MadeUp, Running};

/// How long a run may take to come to where it is interrupted.
const A_WHILE: Duration = Duration::from_secs(20);

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < A_WHILE, "{what} does not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A server whose scheduler is a file that says what it was told.
struct Scheduler {
    made_up: MadeUp,
    store: MadeStore,
    said: PathBuf,
}

impl Scheduler {
    fn new() -> Scheduler {
        let made_up = MadeUp::small();
        let said = made_up.directory().join("scheduler");
        Scheduler {
            made_up,
            store: MadeStore::nowhere(),
            said,
        }
    }

    /// A backup that stops and starts the scheduler; `stop` and `start` say more of how.
    fn backup(&self, stop: &str, start: &str) -> Fogold {
        let said = self.said.display();
        self.store
            .backup_of(&self.made_up, "--gold-only")
            .arg("--stop-scheduler")
            .arg(format!("echo stop >>'{said}'; {stop}"))
            .arg("--start-scheduler")
            .arg(format!("{start}; echo start >>'{said}'"))
    }

    fn said(&self) -> String {
        let said = fs::read_to_string(&self.said).unwrap_or_default();
        said.replace('\n', " ").trim().to_owned()
    }
}

#[test]
fn the_scheduler_is_started_again_whatever_happens() {
    let server = Scheduler::new();
    server.backup("true", "true").run().assert_code(0);
    assert_eq!(server.said(), "stop start");

    // The scheduler does not stop.
    let server = Scheduler::new();
    let outcome = server.backup("exit 4", "true").run();
    outcome.assert_code(3);
    assert!(
        outcome.complaint().contains("--stop-scheduler"),
        "{}",
        outcome.complaint()
    );
    assert_eq!(server.said(), "stop start");
    assert_eq!(
        server.store.sets(),
        Vec::<String>::new(),
        "nothing was begun"
    );

    // The dump fails.
    let server = Scheduler::new();
    let text = fs::read(server.made_up.dump()).expect("a dump");
    fs::write(server.made_up.dump(), &text[..text.len() / 2]).expect("half a dump");
    server.backup("true", "true").run().assert_code(3);
    assert_eq!(server.said(), "stop start");

    // It does not start: that is said aloud, and the set is none the worse.
    let server = Scheduler::new();
    let outcome = server.backup("true", "exit 5").run();
    outcome.assert_code(3);
    assert_eq!(outcome.report()["exit_status"], 3);
    assert!(
        outcome.complaint().contains("START THE SCHEDULER BY HAND"),
        "{}",
        outcome.complaint()
    );
    server.store.assert_verified();

    // What the commands print is no part of the report.
    let server = Scheduler::new();
    let outcome = server.backup("echo noise", "echo noise").run();
    outcome.assert_code(0);
    assert_eq!(outcome.lines().len(), 1);
    assert!(outcome.complaint().contains("noise"));
}

/// A backup that waits for the rest of its dump.
fn waiting(server: &Scheduler, stop: &str, start: &str) -> Running {
    let said = server.said.display();
    let mut running = server
        .store
        .backup(["--gold-only", "--dump", "-", "--sysconfdir"])
        .arg(server.made_up.sysconfdir())
        .arg("--stop-scheduler")
        .arg(format!("echo stop >>'{said}'; {stop}"))
        .arg("--start-scheduler")
        .arg(format!("{start}; echo start >>'{said}'"))
        .start();
    let text = fs::read(server.made_up.dump()).expect("a dump");
    let stdin = running.stdin.as_mut().expect("a pipe");
    stdin.write_all(&text[..1_000]).expect("some of it");
    running
}

#[test]
fn a_signal_starts_the_scheduler_again() {
    for signal in [Signal::INT, Signal::TERM] {
        let server = Scheduler::new();
        let running = waiting(&server, "true", "true");
        wait_until("the stop", || server.said() == "stop");
        std::thread::sleep(Duration::from_millis(300));
        running.signal(signal);
        // Its standard input stays open: it must not wait for the end of it.
        let outcome = running.end_within(Duration::from_secs(5));
        outcome.assert_code(3);
        assert_eq!(outcome.report()["complete"], false);
        assert_eq!(server.said(), "stop start");
        assert!(
            server
                .store
                .sets()
                .iter()
                .all(|name| name.starts_with(".partial-"))
        );
    }
}

#[test]
fn two_signals_do_not_keep_the_scheduler_from_starting() {
    let server = Scheduler::new();
    let running = waiting(&server, "true", "sleep 2");
    wait_until("the stop", || server.said() == "stop");
    std::thread::sleep(Duration::from_millis(300));
    running.signal(Signal::INT);
    std::thread::sleep(Duration::from_millis(200));
    running.signal(Signal::INT);
    running.signal(Signal::TERM);
    running.end_within(Duration::from_secs(10)).assert_code(3);
    assert_eq!(server.said(), "stop start");
}

#[test]
fn a_signal_while_the_scheduler_is_being_stopped() {
    let server = Scheduler::new();
    let running = waiting(&server, "sleep 600", "true");
    wait_until("the stop", || server.said() == "stop");
    std::thread::sleep(Duration::from_millis(300));
    running.signal(Signal::TERM);
    running.end_within(Duration::from_secs(5)).assert_code(3);
    assert_eq!(server.said(), "stop start");
    assert_eq!(server.store.sets(), Vec::<String>::new());
}

#[test]
fn a_signal_while_pg_dump_waits_for_a_lock() {
    let cluster = Cluster::shared();
    let made_up = MadeUp::small();
    made_up.go_live(cluster, "backup_signal");
    let mut other = cluster.connect("backup_signal");
    let mut transaction = other.transaction().expect("a transaction");
    transaction
        .batch_execute("LOCK TABLE jobqueue IN ACCESS EXCLUSIVE MODE")
        .expect("a lock");
    let store = MadeStore::nowhere();
    let running = store
        .backup(["--full", "--sysconfdir"])
        .arg(made_up.sysconfdir())
        .start();
    let mut observer = cluster.connect("backup_signal");
    let mut waits = || {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'backup_signal' \
                   AND query LIKE 'LOCK TABLE%' AND wait_event_type = 'Lock'";
        observer
            .query_one(sql, &[])
            .expect("a count")
            .get::<_, i64>(0)
            > 0
    };
    wait_until("a wait for the lock", &mut waits);
    running.signal(Signal::INT);
    let outcome = running.end_within(Duration::from_millis(2_500));
    outcome.assert_code(3);
    assert_eq!(outcome.report()["complete"], false);
    // Nobody is left behind in the database.
    wait_until("the end of pg_dump", || !waits());
    transaction.rollback().expect("an end");
    store
        .backup(["--full", "--sysconfdir"])
        .arg(made_up.sysconfdir())
        .run()
        .assert_code(0);
    assert_eq!(store.sets().len(), 1);
    store.assert_verified();
}

/// Enough to read that a limit shows.
fn four_megabytes() -> MadeUp {
    MadeUp::healthy(ServerSpec {
        files: 150,
        bytes: 4_000_000,
        per_upload: 10,
        hard_links: false,
        ..ServerSpec::default()
    })
}

#[test]
fn a_limit_is_kept() {
    let made_up = four_megabytes();
    let timed = |more: &[&str]| {
        let store = MadeStore::nowhere();
        let start = Instant::now();
        let outcome = store.backup_of(&made_up, "--full").args(more).run();
        outcome.assert_code(0);
        let pool = store.record(&store.newest())["counts"]["pool"]["bytes"].as_u64();
        store.assert_whole();
        (start.elapsed(), pool.expect("bytes"))
    };
    let (_, bytes) = timed(&[]);
    for threads in ["1", "4"] {
        let (slow, _) = timed(&["--bwlimit", "1M", "-j", threads]);
        let least = Duration::from_secs_f64(bytes as f64 / (1 << 20) as f64 - 0.2);
        assert!(
            slow > least,
            "{bytes} bytes took {slow:?} with {threads} threads"
        );
    }
}

#[test]
fn a_limit_is_kept_by_what_only_reads() {
    let made_up = four_megabytes();
    let store = MadeStore::nowhere();
    store.backup_of(&made_up, "--full").run().assert_code(0);
    let check = || {
        Fogold::check_configured(&made_up.sysconfdir())
            .arg("--catalog")
            .arg(made_up.dump())
            .arg("--verify")
    };
    let verify = || store.fogold("verify").args(["--format", "ndjson"]);
    for command in [&check as &dyn Fn() -> Fogold, &verify] {
        for threads in ["1", "4"] {
            let start = Instant::now();
            let outcome = command().args(["--bwlimit", "2M", "-j", threads]).run();
            outcome.assert_code(0);
            let slow = start.elapsed();
            let bytes = outcome.report()["coverage"]["read"]["bytes"].as_u64();
            let bytes = bytes.expect("bytes");
            assert!(bytes > 3_000_000, "{bytes}");
            let least = Duration::from_secs_f64(bytes as f64 / (2 << 20) as f64 - 0.2);
            assert!(slow > least, "{bytes} bytes took {slow:?}");
        }
    }
}

#[test]
fn a_limit_without_reading_is_told_of() {
    let made_up = MadeUp::small();
    let outcome = Fogold::check_configured(&made_up.sysconfdir())
        .arg("--catalog")
        .arg(made_up.dump())
        .args(["--bwlimit", "1"])
        .run();
    outcome.assert_code(0);
    assert!(outcome.complaint().contains("--bwlimit"));
}

#[test]
fn what_is_nice_is_nice_in_every_thread() {
    let made_up = four_megabytes();
    let store = MadeStore::nowhere();
    let slowly = ["--bwlimit", "2M", "-j", "3"];
    let backup = store.backup_of(&made_up, "--full");
    are_nice(backup.args(["--idle", "--drop-cache"]).args(slowly));
    store.assert_whole();
    store.assert_verified();
    are_nice(store.fogold("verify").arg("--nice").args(slowly));
    let check = Fogold::check_configured(&made_up.sysconfdir()).arg("--catalog");
    let check = check.arg(made_up.dump()).args(["--verify", "--nice"]);
    are_nice(check.args(slowly));
}

/// Runs a command, and looks how nice its threads are.
fn are_nice(command: Fogold) {
    let mut running = command.start();
    let process = running.id();
    let mut nices = Vec::new();
    wait_until("three threads at work", || {
        assert!(running.is_at_work());
        nices = threads_of(process);
        nices.iter().filter(|nice| **nice == 19).count() >= 3
    });
    running.end_within(A_WHILE).assert_code(0);
    // The thread that waits for signals began before, and does nothing.
    assert!(
        nices.iter().filter(|nice| **nice != 19).count() <= 1,
        "{nices:?}"
    );
}

/// How nice the threads of a process are.
fn threads_of(process: u32) -> Vec<i64> {
    let tasks = fs::read_dir(format!("/proc/{process}/task"));
    let nice = |entry: fs::DirEntry| {
        let text = fs::read_to_string(entry.path().join("stat")).ok()?;
        let (_, fields) = text.rsplit_once(") ")?;
        fields.split(' ').nth(16)?.parse().ok()
    };
    tasks
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(nice)
        .collect()
}
