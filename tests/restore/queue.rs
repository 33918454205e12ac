//! What the restored database would do, and what it names.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use fogold::manifest::SetKind;
use serde_json::Value;

use super::database;
use crate::support::{Fogold, MadeStore, MadeUp, Recorded, Site};

/// What the scheduler does to the queue when it starts with `--reset`.
const RESET: &str = "UPDATE jobqueue SET jq_starttime = NULL, jq_endtext = NULL, jq_schedinfo = NULL \
    WHERE jq_endtime IS NULL";

/// The deletions that it would start then.
const STARTABLE_DELETIONS: &str = "SELECT count(*) FROM jobqueue q WHERE jq_starttime IS NULL \
    AND jq_end_bits < 2 AND jq_type IN ('delagent', 'maintagent') \
    AND NOT EXISTS (SELECT FROM jobdepends JOIN jobqueue d ON d.jq_pk = jdep_jq_depends_fk \
        WHERE jdep_jq_fk = q.jq_pk AND (d.jq_endtime IS NULL OR d.jq_end_bits >= 2))";

/// The recorded server with jobs pending, and three deletions among them.
fn pending(database: &str) -> Option<(Recorded, MadeStore)> {
    let recorded = Recorded::open("E-pending", database)?;
    recorded.sql(
        "INSERT INTO jobqueue (jq_pk, jq_job_fk, jq_type, jq_args, jq_starttime, jq_endtext, jq_end_bits) VALUES \
         (100, 16, 'delagent', 'DELETE UPLOAD 2', NULL, NULL, 0), \
         (101, 16, 'maintagent', '-Z', now(), 'Started', 0), \
         (102, 16, 'delagent', 'DELETE UPLOAD 3', '9999-12-31', 'Paused', 0); \
         SELECT setval('jobqueue_jq_pk_seq', 102)",
    );
    let store = MadeStore::new();
    store
        .fogold("backup")
        .args(["--full", "--sysconfdir"])
        .arg(recorded.sysconfdir())
        .run()
        .assert_code(0);
    Some((recorded, store))
}

fn keys(jobs: &Value) -> Vec<i64> {
    let jobs = jobs.as_array().expect("a list");
    jobs.iter()
        .map(|job| job["jq_pk"].as_i64().expect("a number"))
        .collect()
}

#[test]
fn pending_deletions_are_held_and_the_rest_is_named() {
    let Some((_recorded, store)) = pending("queue_source") else {
        return;
    };
    let site = Site::new("queue_held");
    let planned = site.restore(&store).arg("--dry-run").run();
    planned.assert_code(0);
    let outcome = site.restore(&store).run();
    outcome.assert_code(0);
    for done in [database(&planned), database(&outcome)] {
        assert_eq!(keys(&done["held"]), [100, 101, 102]);
        let open = keys(&done["open_jobs"]);
        assert_eq!(open.len(), 8, "{open:?}");
        assert_eq!(open[0], 31);
        assert_eq!(done["open_jobs"][0]["agent"], "ununpack");
        assert_eq!(done["open_jobs"][0]["upload"], 15);
    }
    let journal = database(&outcome)["journal"]
        .as_str()
        .expect("a journal")
        .to_owned();
    let own = site.repository().join("localhost/.fogold");
    assert!(Path::new(&journal).starts_with(&own), "{journal}");
    assert_eq!(
        fs::metadata(&journal).unwrap().permissions().mode() & 0o777,
        0o600
    );
    for directory in [own.clone(), own.join("restore")] {
        let mode = fs::metadata(&directory).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o2770, "{}", directory.display());
    }
    let lines = fs::read_to_string(&journal).unwrap();
    assert_eq!(lines.lines().count(), 3);

    let mut client = site.client();
    let held = "SELECT count(*) FROM jobqueue WHERE jq_pk BETWEEN 100 AND 102 \
                AND jq_end_bits = 2 AND jq_endtext = 'held by fogold' AND jq_endtime IS NOT NULL";
    assert_eq!(site.number(held), 3);
    client
        .batch_execute(RESET)
        .expect("a scheduler that starts");
    assert_eq!(site.number(STARTABLE_DELETIONS), 0);

    // For people.
    site.drop_database();
    let outcome = Fogold::new(["restore", "--only", "database", "--sysconfdir"])
        .arg(site.sysconfdir())
        .arg(store.path())
        .run();
    outcome.assert_code(0);
    let text = outcome.text();
    for line in [
        "pending deletions",
        "100: delagent",
        "31: ununpack, upload 15",
        &journal,
    ] {
        assert!(text.contains(line), "{line:?} is not in:\n{text}");
    }

    // Whoever wants them to run gets them.
    site.drop_database();
    let outcome = site.restore(&store).arg("--run-deletions").run();
    outcome.assert_code(0);
    assert_eq!(keys(&database(&outcome)["open_jobs"]).len(), 11);
    let mut client = site.client();
    client
        .batch_execute(RESET)
        .expect("a scheduler that starts");
    assert!(site.number(STARTABLE_DELETIONS) >= 1);
}

#[test]
fn without_deletions_there_is_no_journal() {
    let made_up = MadeUp::small();
    let store = MadeStore::new();
    store.back_up(&made_up, SetKind::Full);
    let site = Site::new("queue_quiet");
    let outcome = site.restore(&store).run();
    outcome.assert_code(0);
    assert!(database(&outcome)["journal"].is_null());
    assert!(!site.repository().join("localhost/.fogold/restore").exists());
}

#[test]
fn paths_in_the_rows_are_counted_and_rewritten_when_asked() {
    let Some((recorded, store)) = pending("queue_paths") else {
        return;
    };
    let old = recorded.repository();
    recorded.sql(&format!(
        "UPDATE jobqueue SET jq_log = '{0}/logs/' || jq_pk WHERE jq_pk IN (3, 5); \
         UPDATE jobqueue SET jq_log = '{0}-not/logs/x' WHERE jq_pk = 6",
        old.display()
    ));
    store
        .fogold("backup")
        .args(["--full", "--sysconfdir"])
        .arg(recorded.sysconfdir())
        .run()
        .assert_code(0);
    let site = Site::new("queue_moved");
    let below = |path: &Path| {
        format!(
            "SELECT count(*) FROM jobqueue WHERE jq_log LIKE '{}/%'",
            path.display()
        )
    };
    let newest = store.sets().pop().expect("a set");
    let people = |more: &[&str]| {
        Fogold::new(["restore", "--sysconfdir"])
            .arg(site.sysconfdir())
            .arg(store.path())
            .arg(&newest)
            .args(more)
            .run()
    };
    let outcome = people(&[]);
    outcome.assert_code(0);
    let text = outcome.text();
    assert!(text.contains("2 rows name files below"), "{text}");
    assert!(text.contains("--rewrite-paths --clean"), "{text}");
    assert_eq!(site.number(&below(&old)), 2);

    let outcome = people(&["--rewrite-paths", "--clean"]);
    outcome.assert_code(0);
    let text = outcome.text();
    assert!(text.contains("2 rows that named files below"), "{text}");
    assert_eq!(site.number(&below(&site.repository())), 2);
    assert_eq!(site.number(&below(&old)), 0);
    let prefix = format!("dropdb {}_before_", site.database());
    let command = text
        .lines()
        .find(|line| line.contains(&prefix))
        .expect(&text);
    let kept = command.rsplit(' ').next().expect("a name");
    // What it says works.
    let mut client = crate::support::Cluster::shared().connect("postgres");
    client
        .batch_execute(&format!("DROP DATABASE \"{kept}\""))
        .expect("the former database");

    // Where the repository is where it was, nothing is offered.
    site.drop_database();
    site.configure(&old, 3, &["localhost[] = * 00 ff"], "");
    let text = people(&["--only", "database"]).text();
    assert!(!text.contains("--rewrite-paths"), "{text}");
}
