//! Following the jobs: what came of them, and why nothing moves.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use super::{corrupt, file_of, list, listing_paths, report, run, unused_in_healthy, uploads};
use crate::support::{Capture, FakeScheduler, Mood, Play, Recorded};

#[test]
fn waiting_for_the_jobs_brings_everything_back() {
    let Some(server) = Recorded::open("B-gold-only", "requeue_wait") else {
        return;
    };
    let Some(scheduler) = FakeScheduler::start(&server, Mood::Works, &[(6, Play::FailsOnce)])
    else {
        return;
    };
    let report = run(server.requeue().args(["--wait", "--batch", "4"]), 0);
    assert_eq!(report["after"]["missing"]["files"], 0);
    for job in list(&report["jobs"]) {
        assert_eq!(job["end"], "completed", "{job}");
        assert_eq!(
            job["tries"],
            if job["upload"] == 6 { 2 } else { 1 },
            "{job}"
        );
    }
    // Three batches, and once more for the one that failed.
    assert_eq!(scheduler.looks(), 4);
    server.check().run().assert_code(0);

    // What the jobs left behind goes, by a later run, once nothing is unfinished.
    server.sql("UPDATE jobqueue SET jq_endtime = NULL WHERE jq_pk = 2");
    let postponed = run(server.requeue().arg("--clean"), 3);
    let why = postponed["cleaned"]["postponed"].as_str().expect("why");
    assert!(
        why.starts_with("upload 2 is not finished (its ununpack has no end)"),
        "{why}"
    );
    server.sql("UPDATE jobqueue SET jq_endtime = now() WHERE jq_pk = 2");
    let (rows, files) = (server.rows("pfile"), server.files(false));
    let report = run(server.requeue().arg("--clean"), 0);
    assert_eq!(report["cleaned"]["rows"], 10);
    assert_eq!(report["cleaned"]["files"]["files"], 10);
    assert_eq!(server.rows("pfile").len(), rows.len() - 10);
    assert_eq!(server.files(false).len(), files.len() - 10);
    let quarantined = server
        .files(true)
        .iter()
        .filter(|path| path.contains("/.fogold/quarantine/") && path.ends_with(".7"))
        .count();
    assert_eq!(quarantined, 10);
    let again = run(server.requeue().arg("--clean"), 0);
    assert_eq!(again["cleaned"]["rows"], 0);
    // But for the listings, the server is the healthy one.
    let healthy = Capture::open("A-healthy").expect("it was there before");
    let listings = listing_paths(&server);
    let wanted: Vec<String> = crate::support::recorded::files(&healthy.repository(), false)
        .into_iter()
        .filter(|path| !listings.contains(path) && path.starts_with("localhost/"))
        .collect();
    let unused = unused_in_healthy(&server);
    let found: BTreeSet<String> = server.files(false).into_iter().collect();
    for path in wanted.iter().filter(|path| !unused.contains(*path)) {
        assert!(found.contains(path), "{path}");
    }
}

#[test]
fn damaged_files_are_unpacked_again_too() {
    let Some(server) = Recorded::open("A-healthy", "requeue_damaged") else {
        return;
    };
    let Some(_scheduler) = FakeScheduler::start(&server, Mood::Works, &[]) else {
        return;
    };
    let short = file_of(&server, &[13]);
    fs::write(&short, "").expect("a file");
    corrupt(&file_of(&server, &[5]));
    // Without reading contents, only the short one shows.
    let report = run(server.requeue().arg("--dry-run"), 0);
    assert_eq!(uploads(&report["jobs"]), [13]);
    let report = run(server.requeue().args(["--verify", "--wait"]), 0);
    assert_eq!(uploads(&report["jobs"]), [5, 13]);
    assert_eq!(report["verdict"], "OK: all files are back, by 2 unpacks");
    server.check().arg("--verify").run().assert_code(0);
    let report = run(server.requeue().args(["--verify", "--wait"]), 0);
    assert_eq!(report["verdict"], "OK: nothing to unpack");
}

#[test]
fn a_failed_job_is_shown_with_its_log() {
    let Some(server) = Recorded::open("B-gold-only", "requeue_failed") else {
        return;
    };
    let plays = [
        (3, Play::Fails("\u{1b}[2Jagent failed, code: 100")),
        (6, Play::Fails("agent failed, code: 2")),
    ];
    let Some(_scheduler) = FakeScheduler::start(&server, Mood::Works, &plays) else {
        return;
    };
    let report = run(server.requeue().arg("--wait"), 1);
    let job = |upload: i64| {
        let job = list(&report["jobs"])
            .iter()
            .find(|job| job["upload"] == upload);
        job.expect("a job").clone()
    };
    assert_eq!(job(3)["end"], "failed");
    assert_eq!(job(3)["tries"], 1);
    assert_eq!(job(3)["log"][1], "\\u{1b}[2Jagent failed, code: 100");
    assert_eq!(
        (&job(6)["end"], &job(6)["tries"]),
        (&json!("failed"), &json!(2))
    );
    assert_eq!(job(2)["end"], "completed");
    assert!(
        report["after"]["missing"]["files"]
            .as_u64()
            .expect("a number")
            > 0
    );
    assert_eq!(report["verdict"], "FAILED: 2 of 10 unpacks");
}

#[test]
fn completed_is_no_proof() {
    let Some(server) = Recorded::open("B-gold-only", "requeue_lies") else {
        return;
    };
    let Some(_scheduler) = FakeScheduler::start(&server, Mood::Works, &[(11, Play::Lies)]) else {
        return;
    };
    let report = run(server.requeue().arg("--wait"), 1);
    let missing = report["after"]["missing"]["files"]
        .as_u64()
        .expect("a number");
    assert!(missing > 0);
    assert!(
        list(&report["jobs"])
            .iter()
            .all(|job| job["end"] == "completed")
    );
    assert_eq!(
        report["verdict"],
        format!("FAILED: {missing} files still missing")
    );
}

#[test]
fn a_scheduler_that_runs_nothing_is_named() {
    for (mood, database, wanted) in [
        (
            Mood::Hangs,
            "requeue_hangs",
            "hangs in its self-test (its status shows job -3): restart it",
        ),
        (
            Mood::Idles,
            "requeue_idles",
            "answers but runs none of the queued jobs",
        ),
    ] {
        let Some(server) = Recorded::open("B-gold-only", database) else {
            return;
        };
        let Some(_scheduler) = FakeScheduler::start(&server, mood, &[]) else {
            return;
        };
        let report = run(server.requeue().args(["--wait", "--stall-limit", "1s"]), 3);
        assert_eq!(report["complete"], false);
        let trouble = report["troubles"][0].as_str().expect("a trouble");
        assert!(trouble.contains(wanted), "{trouble}");
        // Nothing is taken back; a scheduler that is mended finds the jobs, and a later run follows them.
        let Some(_scheduler) = FakeScheduler::start(&server, Mood::Works, &[]) else {
            return;
        };
        let report = run(server.requeue().arg("--wait"), 0);
        assert_eq!(report["after"]["missing"]["files"], 0);
    }
}

#[test]
fn a_scheduler_that_is_down_is_said_and_waited_for_with_a_limit() {
    let Some(server) = Recorded::open("B-gold-only", "requeue_down") else {
        return;
    };
    let outcome = server
        .requeue()
        .args(["--wait", "--wait-limit", "1s"])
        .run();
    outcome.assert_code(3);
    let said = outcome.complaint();
    assert!(
        said.contains("warning: the scheduler was not told (no answer at 127.0.0.1:1: "),
        "{said}"
    );
    let report = report(&outcome);
    assert_eq!(report["troubles"][0], "the jobs have not ended within 1 s");
}

#[test]
fn an_interrupted_wait_says_so() {
    let Some(server) = Recorded::open("B-gold-only", "requeue_interrupted") else {
        return;
    };
    let running = server.requeue().arg("--wait").start();
    for _ in 0..400 {
        let queued = "SELECT count(*) FROM jobqueue WHERE jq_endtime IS NULL";
        if server.number(queued) == 10 {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    running.signal(Signal::INT);
    let outcome = running.end_within(Duration::from_secs(3));
    outcome.assert_code(3);
    assert_eq!(report(&outcome)["complete"], false);
}
