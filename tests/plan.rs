//! What backups of either kind would take, against manifests, the database, and a timed drill.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use fogold::fixtures::ServerSpec;
use fogold::manifest::SetKind;
use postgres::Client;
use serde_json::Value;

use crate::support::{Cluster, Fogold, MadeStore, MadeUp, Outcome};

/// The time of the last unpack job of each original that completed, one after the other.
const UNPACKING: &str = "
WITH last AS (
  SELECT DISTINCT ON (job_upload_fk) job_upload_fk AS upload,
         extract(epoch FROM jq_endtime - jq_starttime)::float8 AS seconds
    FROM jobqueue JOIN job ON job_pk = jq_job_fk
   WHERE jq_type = 'ununpack' AND jq_end_bits = 1 AND jq_itemsprocessed > 0
   ORDER BY job_upload_fk, jq_pk DESC)
SELECT sum(seconds)::float8 FROM (
  SELECT max(seconds) AS seconds FROM upload JOIN last ON last.upload = upload_pk
   WHERE pfile_fk IS NOT NULL GROUP BY pfile_fk) AS of_gold";

/// Contents by the month of the first upload that refers to them.
const GROWTH: &str = "
WITH referred AS (
  SELECT upload_fk, pfile_fk FROM uploadtree
   UNION SELECT upload_pk, pfile_fk FROM upload),
first AS (
  SELECT p.pfile_sha1, p.pfile_size, min(u.upload_ts) AS came
    FROM referred r JOIN upload u ON u.upload_pk = r.upload_fk
    JOIN pfile p ON p.pfile_pk = r.pfile_fk
   WHERE u.pfile_fk IS NOT NULL GROUP BY 1, 2)
SELECT to_char(came AT TIME ZONE 'UTC', 'YYYY-MM'), sum(pfile_size)::int8
  FROM first GROUP BY 1 ORDER BY 1";

fn plan(made_up: &MadeUp, more: &[&str]) -> Fogold {
    Fogold::new(["plan", "--sysconfdir"])
        .arg(made_up.sysconfdir())
        .args(more)
}

fn json(outcome: &Outcome) -> Value {
    outcome.assert_code(0);
    serde_json::from_slice(&outcome.stdout).expect("one object")
}

fn set<'a>(plan: &'a Value, kind: &str, url_gold: &str) -> &'a Value {
    let sets = plan["sets"].as_array().expect("sets").iter();
    let mut wanted = sets.filter(|set| set["kind"] == kind && set["url_gold"] == url_gold);
    wanted
        .next()
        .unwrap_or_else(|| panic!("no such set in {plan:#}"))
}

fn step(set: &Value, name: &str) -> Value {
    let steps = set["restore"]["steps"].as_array().expect("steps");
    let step = steps.iter().find(|step| step["step"] == name);
    step.map_or(Value::Null, |step| step["seconds"].clone())
}

/// What a manifest of this kind holds: files and bytes.
fn held(made_up: &MadeUp, kind: &str, url_gold: &str) -> (u64, u64) {
    let report = made_up.directory().join("manifest.json");
    let manifest = Fogold::new(["manifest", kind, "--url-gold", url_gold, "-q", "-o"])
        .arg(made_up.directory().join("manifest.jsonl"))
        .arg("--report")
        .arg(&report)
        .arg("--sysconfdir")
        .arg(made_up.sysconfdir())
        .arg("--catalog")
        .arg(made_up.dump());
    manifest.run().assert_code(0);
    let report: Value = serde_json::from_slice(&fs::read(report).expect("a report")).expect("JSON");
    let amounts = &report["amounts"];
    let sum = |what: &str| -> u64 {
        let parts = ["gold", "files", "listings", "license"].iter();
        parts.filter_map(|part| amounts[part][what].as_u64()).sum()
    };
    (sum("files"), sum("bytes"))
}

fn by_sql(client: &mut Client) -> (f64, Vec<(String, i64)>) {
    let unpacking = client.query_one(UNPACKING, &[]).expect("a row").get(0);
    let growth = client.query(GROWTH, &[]).expect("rows");
    let growth = growth.iter().map(|row| (row.get(0), row.get(1)));
    (unpacking, growth.collect())
}

/// Uploads over a year and a half, and jobs that took longer for some; one of no known time, and one
/// that was told to do nothing.
const HISTORY: &str = "
UPDATE upload SET upload_ts = timestamptz '2024-07-15 12:00+00' + upload_pk * interval '13 days';
UPDATE jobqueue SET jq_endtime = jq_starttime + jq_pk * interval '100 milliseconds'
 WHERE jq_type = 'ununpack';
INSERT INTO jobqueue (jq_pk, jq_job_fk, jq_type, jq_args, jq_starttime, jq_endtime, jq_endtext,
                      jq_end_bits, jq_itemsprocessed)
SELECT 90001, jq_job_fk, 'ununpack', jq_args, now(), now(), 'Completed', 1, 0
  FROM jobqueue WHERE jq_type = 'ununpack' ORDER BY jq_pk LIMIT 1";

#[test]
fn figures_are_those_of_manifests_and_the_database() {
    let made_up = MadeUp::healthy(ServerSpec {
        per_upload: 20,
        depth: 1,
        ..ServerSpec::default()
    });
    let cluster = Cluster::shared();
    made_up.go_live(cluster, "plan_figures");
    let mut client = cluster.connect("plan_figures");
    client.batch_execute(HISTORY).expect("a history");
    let store = MadeStore::nowhere();
    store
        .backup_of(&made_up, "--gold-only")
        .run()
        .assert_code(0);
    let store = store.path();
    let store = store.to_str().expect("UTF-8");
    let report = json(&plan(&made_up, &["--format", "json", "--store", store]).run());

    for kind in ["full", "gold-only"] {
        for url_gold in ["keep", "skip"] {
            let planned = &set(&report, kind, url_gold)["holds"];
            let planned = (&planned["files"], &planned["bytes"]);
            let (files, bytes) = held(&made_up, &format!("--{kind}"), url_gold);
            assert_eq!(planned, (&files.into(), &bytes.into()), "{kind} {url_gold}");
        }
    }
    // The store has what a gold-only set holds, and of a full one no more than that.
    let bytes = |set: &Value, what: &str| set[what]["bytes"].as_u64().expect("bytes");
    let (full, gold_only) = (
        set(&report, "full", "keep"),
        set(&report, "gold-only", "keep"),
    );
    assert_eq!(bytes(gold_only, "new"), 0);
    assert!(bytes(full, "new") > 0);
    let license = report["on_disk"]["license"]["bytes"]
        .as_u64()
        .expect("bytes");
    assert_eq!(
        bytes(full, "new") + bytes(gold_only, "holds") + license,
        bytes(full, "holds")
    );
    assert!(set(&report, "full", "skip").get("new").is_none());

    let (unpacking, growth) = by_sql(&mut client);
    let planned = report["unpacking"]["seconds"].as_f64().expect("seconds");
    assert!((planned - unpacking).abs() < 0.01, "{planned} {unpacking}");
    assert_eq!(step(gold_only, "unpack"), planned);
    assert_eq!(step(full, "unpack"), Value::Null);
    let months = report["growth"]["months"].as_array().expect("months");
    let months: Vec<(String, i64)> = months
        .iter()
        .map(|month| {
            let name = month["month"].as_str().expect("a month").to_owned();
            (name, month["full"]["bytes"].as_i64().expect("bytes"))
        })
        .collect();
    assert!(growth.len() > 12, "{growth:?}");
    assert_eq!(months, growth);

    // What is not known is said to be so.
    let saved = made_up.directory().join("catalog");
    let snapshot = Fogold::new(["snapshot", "-o"]).arg(&saved).arg("--catalog");
    snapshot.arg(made_up.dump()).run().assert_code(0);
    let saved = saved.to_str().expect("UTF-8");
    let few = plan(
        &made_up,
        &["--no-sample", "--catalog", saved, "--format", "json"],
    )
    .run();
    let few = json(&few);
    assert_eq!(few["sample"], Value::Null);
    for kind in ["full", "gold-only"] {
        let set = set(&few, kind, "keep");
        assert_eq!(set["first_backup"]["seconds"], Value::Null);
        assert_eq!(set["restore"]["seconds"], Value::Null);
        assert!(step(set, "database").is_f64());
    }
    let text = plan(&made_up, &["--no-sample", "--catalog", saved])
        .run()
        .text();
    assert!(text.contains("not known"), "{text}");
    assert!(text.contains("no drill has restored files yet"), "{text}");
    assert!(text.contains("a saved catalog does not say"), "{text}");
    let nowhere = plan(&made_up, &["--store", "/nowhere/at/all"]).run();
    assert_ne!(nowhere.code, Some(0));
}

#[test]
#[allow(clippy::print_stdout)]
fn the_estimate_of_a_restore_is_held_against_a_drill() {
    let made_up = MadeUp::healthy(ServerSpec {
        files: 800,
        bytes: 20_000_000,
        depth: 1,
        ..ServerSpec::default()
    });
    let store = MadeStore::new();
    store.back_up(&made_up, SetKind::Full);
    let scratch = tempfile::tempdir().expect("a temporary directory");
    // Root's server runs as somebody else.
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o755)).expect("its mode");
    let estimate = |format: &str| {
        plan(&made_up, &["--format", format, "--catalog"])
            .arg(made_up.dump())
            .arg("--scratch")
            .arg(scratch.path())
            .arg("--store")
            .arg(store.path())
            .run()
    };
    // Others may keep the machine busy for a while: one of several drills has to fit.
    let mut factors = Vec::new();
    while !factors.iter().any(|factor| (0.5..=2.0).contains(factor)) {
        assert!(
            factors.len() < 5,
            "no drill took what was estimated: {factors:?}"
        );
        let drill = Fogold::new(["drill", "--full", "--scratch"])
            .arg(scratch.path())
            .arg(store.path())
            .run();
        drill.assert_code(0);
        let report = json(&estimate("json"));
        let last = &report["last_drill"];
        let factor = last["factor"].as_f64().expect("a factor");
        let (estimate, took) = (&last["estimate"], &last["seconds"]);
        println!("estimated {estimate} s, took {took} s: {factor:.2} times");
        factors.push(factor);
        // Of the same kind of set, the drill itself is what a restore would take.
        let restore = &set(&report, "full", "keep")["restore"]["seconds"];
        let (restore, took) = (restore.as_f64(), took.as_f64());
        let (restore, took) = (restore.expect("seconds"), took.expect("seconds"));
        assert!((restore / took - 1.0).abs() < 0.1, "{restore} {took}");
    }
    let text = estimate("text").text();
    assert!(text.contains("as in the drill of "), "{text}");
    assert!(
        text.contains("; the estimate of it without drills is "),
        "{text}"
    );
    assert_eq!(
        fs::read_dir(scratch.path()).expect("a directory").count(),
        0
    );
}
