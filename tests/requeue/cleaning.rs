//! Cleaning up what unpack jobs leave behind.

use std::time::Duration;

use rustix::process::Signal;

use super::{run, until_held_up};
use crate::support::{FakeScheduler, Mood, Recorded};

#[test]
fn what_is_in_use_is_not_cleaned_up() {
    let Some(server) = Recorded::open("B-gold-only", "requeue_clean_used") else {
        return;
    };
    let Some(_scheduler) = FakeScheduler::start(&server, Mood::Works, &[]) else {
        return;
    };
    run(server.requeue().arg("--wait"), 0);
    // Of the new rows one came to be used by an agent's table, and one by a tree.
    server.sql(
        "INSERT INTO agent_wc (pfile_fk, wc_words, wc_lines) SELECT max(pfile_pk), 1, 1 FROM pfile;
         INSERT INTO uploadtree_a (parent, upload_fk, pfile_fk, ufile_mode, ufile_name) \
         SELECT NULL, 2, max(pfile_pk) - 1, 0, 'later' FROM pfile",
    );
    let report = run(server.requeue().arg("--clean"), 0);
    assert_eq!(report["cleaned"]["rows"], 8);
    let left = "SELECT count(*) FROM pfile WHERE pfile_size = 7";
    assert_eq!(server.number(left), 2);
}

#[test]
fn a_version_control_upload_meanwhile_postpones_cleaning() {
    let Some(server) = Recorded::open("B-gold-only", "requeue_clean_scm") else {
        return;
    };
    let Some(_scheduler) = FakeScheduler::start(&server, Mood::Works, &[]) else {
        return;
    };
    run(server.requeue().arg("--wait"), 0);
    server.sql(
        "INSERT INTO upload (upload_filename, user_fk, upload_mode) VALUES ('scm', 3, 104);
         INSERT INTO job (job_name, job_upload_fk, job_user_fk) SELECT 'scm', max(upload_pk), 3 FROM upload;
         INSERT INTO jobqueue (jq_job_fk, jq_type, jq_args, jq_starttime, jq_endtime, jq_end_bits, jq_cmd_args) \
         SELECT max(job_pk), 'ununpack', '99', now(), now(), 1, '-I' FROM job",
    );
    let report = run(server.requeue().arg("--clean"), 3);
    let why = report["cleaned"]["postponed"].as_str().expect("why");
    assert!(why.contains("was unpacked with -I meanwhile"), "{why}");
}

#[test]
fn killed_while_it_cleans_up_it_goes_on() {
    let Some(server) = Recorded::open("B-gold-only", "requeue_clean_killed") else {
        return;
    };
    let Some(scheduler) = FakeScheduler::start(&server, Mood::Works, &[]) else {
        return;
    };
    run(server.requeue().arg("--wait"), 0);
    drop(scheduler);
    // The files are in the quarantine when the rows are about to go.
    server.sql(
        "CREATE FUNCTION held_up() RETURNS trigger LANGUAGE plpgsql AS \
         'BEGIN PERFORM pg_advisory_xact_lock_shared(7, 1); RETURN OLD; END';
         CREATE TRIGGER held_up BEFORE DELETE ON pfile FOR EACH ROW EXECUTE FUNCTION held_up()",
    );
    let mut holder = server.client();
    holder
        .batch_execute("SELECT pg_advisory_lock(7, 1)")
        .expect("a lock");
    let running = server.requeue().arg("--clean").start();
    until_held_up(&server);
    running.signal(Signal::KILL);
    running.end_within(Duration::from_secs(10));
    drop(holder);
    let report = run(server.requeue().arg("--clean"), 0);
    assert_eq!(report["cleaned"]["rows"], 10);
    assert_eq!(
        report["cleaned"]["files"]["files"], 0,
        "they had gone before"
    );
    assert_eq!(
        server.number("SELECT count(*) FROM pfile WHERE pfile_size = 7"),
        0
    );
    let quarantined = server.files(true);
    let quarantined = quarantined
        .iter()
        .filter(|path| path.contains("/.fogold/quarantine/"));
    assert_eq!(quarantined.count(), 10);
    server.check().run().assert_code(0);
}
