//! Having FOSSology unpack again what is missing, held against a real server: what its own page queued
//! and what its own agent brought back.

mod cleaning;
mod kills;
mod plan;
mod rights;
mod rows;
mod trees;
mod waiting;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;

use crate::support::{Fogold, Outcome, Recorded};

/// The uploads that have to be unpacked after a restored gold-only set: all but 4, which is one plain
/// file, and 8, which has the gold of 2.
const NEEDED: [i64; 10] = [2, 3, 5, 6, 7, 9, 10, 11, 12, 13];

/// The tables that queueing writes.
const QUEUE: [&str; 4] = ["job", "jobqueue", "jobdepends", "ununpack_ars"];

fn report(outcome: &Outcome) -> Value {
    serde_json::from_slice(&outcome.stdout)
        .unwrap_or_else(|error| panic!("{error}: {} {}", outcome.text(), outcome.complaint()))
}

/// Runs it, and returns its report.
fn run(fogold: Fogold, code: i32) -> Value {
    let outcome = fogold.run();
    outcome.assert_code(code);
    let report = report(&outcome);
    assert_eq!(report["exit_status"], code);
    report
}

fn uploads(jobs: &Value) -> Vec<i64> {
    let jobs = jobs.as_array().expect("a list");
    jobs.iter()
        .map(|job| job["upload"].as_i64().expect("an upload"))
        .collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The path of a gold in gold or files.
fn gold_of(server: &Recorded, upload: i32, ty: &str) -> PathBuf {
    let name = server
        .client()
        .query_one(
            "SELECT lower(pfile_sha1 || '.' || pfile_md5) || '.' || pfile_size \
             FROM pfile JOIN upload ON pfile_fk = pfile_pk WHERE upload_pk = $1",
            &[&upload],
        )
        .expect("a gold");
    let name: String = name.get(0);
    let (a, b, c) = (&name[..2], &name[2..4], &name[4..6]);
    server
        .repository()
        .join(format!("localhost/{ty}/{a}/{b}/{c}/{name}"))
}

/// A file that the trees of just these uploads hold.
fn file_of(server: &Recorded, uploads: &[i32]) -> PathBuf {
    let statement = "SELECT min(lower(pfile_sha1 || '.' || pfile_md5) || '.' || pfile_size) FROM pfile \
         WHERE (SELECT array_agg(DISTINCT upload_fk ORDER BY upload_fk) FROM uploadtree \
                 WHERE pfile_fk = pfile_pk AND ufile_name <> 'artifact.meta') = $1 \
           AND NOT EXISTS (SELECT FROM upload WHERE pfile_fk = pfile_pk)";
    let row = server
        .client()
        .query_one(statement, &[&uploads])
        .expect("a row");
    let name: Option<String> = row.get(0);
    let name = name.expect("such a file");
    let (a, b, c) = (&name[..2], &name[2..4], &name[4..6]);
    server
        .repository()
        .join(format!("localhost/files/{a}/{b}/{c}/{name}"))
}

/// Where the listings of all archives lie.
fn listing_paths(server: &Recorded) -> BTreeSet<String> {
    let rows = server
        .client()
        .query(
            "SELECT DISTINCT lower(pfile_sha1 || '.' || pfile_md5) || '.' || pfile_size \
             FROM pfile JOIN uploadtree ON pfile_fk = pfile_pk WHERE ufile_name = 'artifact.meta'",
            &[],
        )
        .expect("listings");
    rows.iter()
        .map(|row| {
            let name: String = row.get(0);
            let (a, b, c) = (&name[..2], &name[2..4], &name[4..6]);
            format!("localhost/files/{a}/{b}/{c}/{name}")
        })
        .collect()
}

/// Files that upload 10, unpacked with -I, has and no tree row uses: the agent in small, which goes
/// by tree rows, does not make them.
fn unused_in_healthy(server: &Recorded) -> BTreeSet<String> {
    let rows = server
        .client()
        .query(
            "SELECT lower(pfile_sha1 || '.' || pfile_md5) || '.' || pfile_size FROM pfile p \
             WHERE NOT EXISTS (SELECT FROM uploadtree WHERE pfile_fk = pfile_pk)",
            &[],
        )
        .expect("rows");
    rows.iter()
        .map(|row| {
            let name: String = row.get(0);
            let (a, b, c) = (&name[..2], &name[2..4], &name[4..6]);
            format!("localhost/files/{a}/{b}/{c}/{name}")
        })
        .collect()
}

/// Changes one byte of a file, in an inode of its own.
fn corrupt(path: &PathBuf) {
    let mut bytes = fs::read(path).expect("a file");
    bytes[0] ^= 1;
    fs::remove_file(path).expect("a file");
    fs::write(path, bytes).expect("a file");
}

/// The rows of all tables that queueing writes.
fn queue(server: &Recorded) -> BTreeMap<&'static str, Vec<Value>> {
    QUEUE
        .iter()
        .map(|table| (*table, server.rows(table)))
        .collect()
}

/// What is in the queue, without keys and times.
fn summary(server: &Recorded) -> Vec<Value> {
    let mut rows: Vec<Value> = server.rows("jobqueue");
    rows.extend(server.rows("job"));
    rows.extend(server.rows("ununpack_ars"));
    for row in &mut rows {
        let row = row.as_object_mut().expect("a row");
        row.retain(|column, _| {
            ![
                "jq_pk",
                "jq_job_fk",
                "jq_starttime",
                "jq_endtime",
                "job_pk",
                "job_queued",
            ]
            .contains(&&column[..])
        });
    }
    rows.sort_by_key(Value::to_string);
    rows
}

/// Waits until a trigger of the test's holds a statement up.
fn until_held_up(server: &Recorded) {
    let held_up = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory' \
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let limit = Instant::now() + Duration::from_secs(30);
    while server.number(held_up) == 0 {
        assert!(Instant::now() < limit, "nothing is held up");
        std::thread::sleep(Duration::from_millis(5));
    }
}
