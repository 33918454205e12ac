//! The rows, held against those that a real server's own page made.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use serde_json::Value;
use serde_json::json;

use super::{NEEDED, gold_of, list, queue, run, uploads};
use crate::support::{Cluster, ClusterOptions, Encoding, FakeScheduler, Mood, Play, Recorded};

#[test]
fn the_rows_are_those_of_the_real_page() {
    let Some(server) = Recorded::open("B-gold-only", "requeue_rows") else {
        return;
    };
    let before = queue(&server);
    let untouched = [
        server.rows("upload"),
        server.rows("uploadtree"),
        server.rows("pfile"),
    ];
    let report = run(server.requeue(), 0);
    assert_eq!(uploads(&report["jobs"]), NEEDED);
    assert!(report["scheduler"].get("no").is_some());

    let recorded = server.capture.json("reunpack.json");
    for of in list(&recorded["uploads"]) {
        let upload = &of["upload"];
        if !NEEDED.contains(&upload.as_i64().expect("an upload")) {
            continue;
        }
        let queued = &of["after_queueing"];
        let jobs = server.new_rows("job", &before["job"]);
        let job = jobs
            .iter()
            .find(|job| job["job_upload_fk"] == *upload)
            .expect("a job");
        same_but(
            job,
            &queued["job"]["inserted"][0],
            &["job_pk", "job_queued"],
        );
        let rows = server.new_rows("jobqueue", &before["jobqueue"]);
        let row = rows
            .iter()
            .find(|row| row["jq_job_fk"] == job["job_pk"])
            .expect("a row");
        let wanted = &queued["jobqueue"]["inserted"][0];
        same_but(row, wanted, &["jq_pk", "jq_job_fk", "jq_cmd_args"]);
        // The page loses the arguments; they are those of the upload's first unpack.
        assert_eq!(row["jq_cmd_args"], of["jq_cmd_args"]);
        let changed = &queued["ununpack_ars"]["changed"][0];
        let ars = server.rows("ununpack_ars");
        let run = ars
            .iter()
            .find(|run| run["ars_pk"] == changed["key"]["ars_pk"])
            .expect("a run");
        assert_eq!(run["ars_success"], changed["after"]["ars_success"]);
    }
    assert_eq!(server.new_rows("job", &before["job"]).len(), NEEDED.len());
    assert_eq!(
        server.new_rows("jobqueue", &before["jobqueue"]).len(),
        NEEDED.len()
    );
    assert_eq!(
        server.new_rows("jobdepends", &before["jobdepends"]),
        Vec::<Value>::new()
    );
    let after = [
        server.rows("upload"),
        server.rows("uploadtree"),
        server.rows("pfile"),
    ];
    assert_eq!(after, untouched);

    // Every gold stands in files/ now, as a link; so nothing of upload 4 is missing any more.
    assert_eq!(list(&report["placed"]).len(), 11);
    let (gold, copy) = (gold_of(&server, 4, "gold"), gold_of(&server, 4, "files"));
    let inode = |path: &PathBuf| fs::metadata(path).expect("a file").ino();
    assert_eq!(inode(&gold), inode(&copy));
    let directory = fs::metadata(copy.parent().expect("a directory")).expect("a directory");
    assert_eq!(directory.mode() & 0o7777, 0o2770);

    // A second run adds nothing.
    let rows = queue(&server);
    let report = run(server.requeue(), 0);
    assert_eq!(uploads(&report["jobs"]), Vec::<i64>::new());
    assert_eq!(uploads(&report["open"]), NEEDED);
    assert_eq!(queue(&server), rows);
}

/// Compares two rows, but for columns whose values cannot be the same.
fn same_but(row: &Value, wanted: &Value, but: &[&str]) {
    let (row, wanted) = (
        row.as_object().expect("a row"),
        wanted.as_object().expect("a row"),
    );
    assert_eq!(
        row.keys().collect::<BTreeSet<_>>(),
        wanted.keys().collect::<BTreeSet<_>>()
    );
    for (column, value) in wanted {
        assert!(
            but.contains(&&column[..]) || row[column] == *value,
            "{column}: {row:?}"
        );
    }
}

#[test]
fn a_job_of_the_page_is_used_again() {
    let Some(server) = Recorded::open("B-gold-only", "requeue_reuse") else {
        return;
    };
    server.sql(
        "INSERT INTO job (job_queued, job_name, job_upload_fk, job_user_fk) \
         VALUES (now(), 'reunpack', 3, 3), (now(), 'reunpack', 5, 2)",
    );
    let before = queue(&server);
    run(server.requeue(), 0);
    let jobs = server.new_rows("job", &before["job"]);
    let of = |upload: i64| {
        jobs.iter()
            .filter(|job| job["job_upload_fk"] == upload)
            .count()
    };
    // The job of upload 5 is another user's.
    assert_eq!((of(3), of(5)), (0, 1));
}

#[test]
fn arguments_of_any_bytes_are_kept() {
    let options = ClusterOptions {
        encoding: Encoding::SqlAscii,
        ..ClusterOptions::default()
    };
    // It ends with the process, as the shared one does.
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster::start(&options)));
    let Some(server) = Recorded::open_in(cluster, "B-gold-only", "requeue_bytes") else {
        return;
    };
    server.sql(
        "UPDATE jobqueue SET jq_cmd_args = E'-E gr\\xfc\\xdf ''e' WHERE jq_args = '9' AND jq_type = 'ununpack'",
    );
    run(server.requeue(), 0);
    let mut client = server.client();
    client
        .batch_execute("SET client_encoding TO 'SQL_ASCII'")
        .expect("text as bytes");
    let kept = "SELECT count(*) FROM jobqueue WHERE jq_type = 'ununpack' \
         AND textsend(jq_cmd_args) = '-E gr\\374\\337 ''e'::bytea";
    let row = client.query_one(kept, &[]).expect("a row");
    assert_eq!(row.get::<_, i64>(0), 2);
}

#[test]
fn jobs_in_progress_wait_for_the_unpack() {
    let Some(server) = Recorded::open("E-pending", "requeue_pending") else {
        return;
    };
    // A job of upload 8, too: its files come back by the unpack of upload 2.
    server.sql(
        "INSERT INTO job (job_queued, job_name, job_upload_fk, job_user_fk) VALUES (now(), 'scan', 8, 3);
         INSERT INTO jobqueue (jq_job_fk, jq_type, jq_args) \
         SELECT job_pk, 'nomos', '8' FROM job WHERE job_upload_fk = 8 AND job_name = 'scan'",
    );
    let of_8 = server.number("SELECT max(jq_pk)::int8 FROM jobqueue");
    fs::remove_dir_all(server.repository().join("localhost/files")).expect("files");
    let before = queue(&server);
    let report = run(server.requeue(), 0);
    assert_eq!(uploads(&report["jobs"]), NEEDED);
    let row = |upload: i64| {
        let job = list(&report["jobs"])
            .iter()
            .find(|job| job["upload"] == upload);
        job.expect("a job")["row"].as_i64().expect("a row")
    };
    let mut wanted = vec![
        json!({"jdep_jq_fk": 36, "jdep_jq_depends_fk": row(2)}),
        json!({"jdep_jq_fk": of_8, "jdep_jq_depends_fk": row(2)}),
        json!({"jdep_jq_fk": 37, "jdep_jq_depends_fk": row(5)}),
    ];
    let mut found = server.new_rows("jobdepends", &before["jobdepends"]);
    for rows in [&mut wanted, &mut found] {
        rows.sort_by_key(Value::to_string);
    }
    assert_eq!(found, wanted);
    // Upload 15 has an unpack that waits; its gold is back in files/ for it.
    assert!(gold_of(&server, 15, "files").exists());
}

#[test]
fn what_waits_goes_on_waiting_when_an_unpack_is_tried_again() {
    let Some(server) = Recorded::open("E-pending", "requeue_pending_again") else {
        return;
    };
    server.sql("DELETE FROM jobqueue WHERE jq_type <> 'nomos' AND jq_endtime IS NULL");
    fs::remove_dir_all(server.repository().join("localhost/files")).expect("files");
    let Some(_scheduler) = FakeScheduler::start(&server, Mood::Works, &[(2, Play::FailsOnce)])
    else {
        return;
    };
    let report = run(server.requeue().arg("--wait"), 0);
    let job = &list(&report["jobs"])[0];
    assert_eq!((&job["upload"], &job["tries"]), (&json!(2), &json!(2)));
    assert_eq!(job["waiting"], json!([36]));
    let of_36: Vec<Value> = server
        .rows("jobdepends")
        .into_iter()
        .filter(|row| row["jdep_jq_fk"] == 36)
        .collect();
    assert_eq!(
        of_36,
        [json!({"jdep_jq_fk": 36, "jdep_jq_depends_fk": job["row"]})]
    );
}

#[test]
fn an_upload_that_is_deleted_meanwhile_is_left_alone() {
    let Some(server) = Recorded::open("B-gold-only", "requeue_deleted") else {
        return;
    };
    // Deleted between the plan and its turn: by the first row that is queued.
    server.sql(
        "CREATE FUNCTION deletes() RETURNS trigger LANGUAGE plpgsql AS \
         'BEGIN UPDATE upload SET pfile_fk = NULL, expire_action = ''d'' WHERE upload_pk = 13; RETURN NEW; END';
         CREATE TRIGGER deletes BEFORE INSERT ON jobqueue FOR EACH ROW EXECUTE FUNCTION deletes()",
    );
    let report = run(server.requeue(), 0);
    let end = |upload: i64| {
        let job = list(&report["jobs"])
            .iter()
            .find(|job| job["upload"] == upload);
        job.expect("a job")["end"].clone()
    };
    assert_eq!((end(12), end(13)), (json!("queued"), json!("dropped")));
    let jobs = "SELECT count(*) FROM job WHERE job_name = 'reunpack' AND job_upload_fk = 13";
    assert_eq!(server.number(jobs), 0);
}
