//! Trees that a killed unpack has cut.

use serde_json::Value;
use serde_json::json;

use super::{list, queue, run, summary};
use crate::support::{FakeScheduler, Fogold, Mood, Recorded};

#[test]
fn a_cut_tree_is_made_anew() {
    let Some(server) = Recorded::open("D-killed-midunpack", "requeue_cut") else {
        return;
    };
    // Without being asked, nothing is done about it.
    let report = run(server.requeue(), 0);
    assert_eq!(report["trees"], json!([]));
    assert_eq!(
        server.number("SELECT count(*) FROM uploadtree WHERE upload_fk = 15"),
        41
    );
    let before = queue(&server);
    let shown = run(server.requeue().args(["--rebuild-trees", "--dry-run"]), 0);
    assert_eq!(shown["trees"][0]["upload"], 15);
    assert_eq!(shown["trees"][0]["tree_rows"], 41);
    assert_eq!(queue(&server), before);
    // What it costs is counted.
    assert_eq!(shown["trees"][0]["end"], "planned");
    let seconds = shown["trees"][0]["seconds"].as_f64().expect("an estimate");
    assert!(seconds >= 1.0, "{seconds}");
    let filename = shown["trees"][0]["filename"].as_str().expect("a name");
    let jobs: f64 = list(&shown["jobs"])
        .iter()
        .filter_map(|job| job["seconds"].as_f64())
        .sum();
    let unpacks = list(&shown["jobs"]).len() + 1;
    let s = if unpacks == 1 { "" } else { "s" };
    let sum = (jobs + seconds).ceil();
    assert_eq!(
        shown["verdict"],
        format!("PLAN: {unpacks} unpack{s}, about {sum} s")
    );
    let as_text = Fogold::new(["requeue", "--dry-run", "--rebuild-trees", "--sysconfdir"])
        .arg(server.sysconfdir())
        .run()
        .text();
    let line = format!(
        "  upload 15 ({filename}): planned; its cut tree of 41 rows is made anew, about {} s\n",
        seconds.ceil()
    );
    assert!(as_text.contains(&line), "{as_text}");

    let report = run(server.requeue().arg("--rebuild-trees"), 0);
    assert_eq!(report["trees"][0]["row"], 31);
    assert_eq!(report["trees"][0]["end"], "queued");
    assert_eq!(
        server.number("SELECT count(*) FROM uploadtree WHERE upload_fk = 15"),
        0
    );
    assert_eq!(
        server.number("SELECT count(*) FROM ununpack_ars WHERE upload_fk = 15 AND ars_success"),
        0
    );
    // The killed row runs again, and adj2nest still waits for it.
    let rows = server.rows("jobqueue");
    let row = |pk: i64| rows.iter().find(|row| row["jq_pk"] == pk).expect("a row");
    for (column, value) in [
        ("jq_type", json!("ununpack")),
        ("jq_args", json!("15")),
        ("jq_starttime", Value::Null),
        ("jq_endtime", Value::Null),
        ("jq_endtext", Value::Null),
        ("jq_end_bits", json!(0)),
    ] {
        assert_eq!(row(31)[column], value, "{column}");
    }
    assert_eq!(row(32)["jq_type"], "adj2nest");
    assert!(
        server
            .rows("jobdepends")
            .contains(&json!({"jdep_jq_fk": 32, "jdep_jq_depends_fk": 31}))
    );
    assert_eq!(rows.len(), before["jobqueue"].len());
    let rows = queue(&server);
    run(server.requeue().arg("--rebuild-trees"), 0);
    assert_eq!(queue(&server), rows);
}

/// What was recorded of D after a start of the scheduler with --reset: both jobs completed, the tree
/// as it was.
fn after_a_reset(database: &str) -> Option<Recorded> {
    let server = Recorded::open("D-killed-midunpack", database)?;
    server.sql(
        "UPDATE jobqueue SET jq_starttime = now(), jq_endtime = now(), jq_endtext = 'Completed', \
         jq_end_bits = 1, jq_itemsprocessed = 615 WHERE jq_pk IN (31, 32);
         UPDATE upload SET upload_mode = 104 WHERE upload_pk = 15;
         INSERT INTO ununpack_ars (agent_fk, upload_fk, ars_success, ars_starttime, ars_endtime) \
         VALUES (4, 15, TRUE, '2026-11-21', '2026-11-21')",
    );
    Some(server)
}

#[test]
fn a_tree_that_a_restarted_scheduler_left_cut() {
    let (Some(server), Some(by_hand)) = (
        after_a_reset("requeue_cut_reset"),
        after_a_reset("requeue_cut_by_hand"),
    ) else {
        return;
    };
    let before = queue(&server);
    let shown = run(by_hand.requeue().args(["--rebuild-trees", "--dry-run"]), 0);
    run(server.requeue().arg("--rebuild-trees"), 0);
    let tree = "SELECT count(*) FROM uploadtree WHERE upload_fk = 15";
    assert_eq!(server.number(tree), 0);
    let new = server.new_rows("jobqueue", &before["jobqueue"]);
    assert_eq!(new.len(), 2);
    let of = |ty: &str| new.iter().find(|row| row["jq_type"] == ty).expect("a row");
    assert_eq!(of("adj2nest")["jq_job_fk"], of("ununpack")["jq_job_fk"]);
    let dependency = json!({
        "jdep_jq_fk": of("adj2nest")["jq_pk"],
        "jdep_jq_depends_fk": of("ununpack")["jq_pk"],
    });
    assert_eq!(
        server.new_rows("jobdepends", &before["jobdepends"]),
        [dependency]
    );
    // A check knows that it is seen to.
    let details: Vec<String> = server
        .check()
        .run()
        .findings()
        .iter()
        .filter(|finding| finding["kind"] == "partial-tree")
        .filter_map(|finding| finding["detail"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(details.len(), 1, "{details:?}");
    assert!(
        details[0].ends_with(
            "the unpack that makes its tree anew has not ended: it is queued, or at work"
        ),
        "{details:?}"
    );
    let successes = "SELECT count(*) FROM ununpack_ars WHERE upload_fk = 15 AND ars_success";
    assert_eq!(server.number(successes), 0);
    // What a dry run shows does the same.
    let statements: Vec<&str> = list(&shown["sql"])
        .iter()
        .filter_map(Value::as_str)
        .collect();
    by_hand.sql(&statements.join("\n"));
    assert_eq!(by_hand.number(tree), 0);
    assert_eq!(summary(&by_hand), summary(&server));
    assert_eq!(by_hand.rows("jobdepends"), server.rows("jobdepends"));
    let rows = queue(&server);
    run(server.requeue().arg("--rebuild-trees"), 0);
    assert_eq!(queue(&server), rows);
}

#[test]
fn a_tree_on_which_a_decision_hangs_is_left_alone() {
    let Some(server) = Recorded::open("D-killed-midunpack", "requeue_cut_refused") else {
        return;
    };
    server.sql(
        "INSERT INTO clearing_decision (uploadtree_fk, pfile_fk, user_fk, group_fk, decision_type, scope) \
         SELECT min(uploadtree_pk), 2, 3, 3, 5, 0 FROM uploadtree WHERE upload_fk = 15",
    );
    let before = queue(&server);
    let report = run(server.requeue().arg("--rebuild-trees"), 1);
    let why = report["trees"][0]["refused"].as_str().expect("why");
    assert!(why.contains("(clearing_decision)"), "{why}");
    assert_eq!(
        server.number("SELECT count(*) FROM uploadtree WHERE upload_fk = 15"),
        41
    );
    assert_eq!(queue(&server), before);
}

#[test]
fn without_its_scheduler_answer_a_killed_unpack_is_left_alone() {
    let Some(server) = Recorded::open("D-killed-midunpack", "requeue_cut_running") else {
        return;
    };
    let Some(_scheduler) = FakeScheduler::start(&server, Mood::Runs(31), &[]) else {
        return;
    };
    let before = queue(&server);
    let report = run(server.requeue().arg("--rebuild-trees"), 1);
    assert_eq!(
        report["trees"][0]["refused"],
        "the scheduler is unpacking it"
    );
    assert_eq!(queue(&server), before);
}
