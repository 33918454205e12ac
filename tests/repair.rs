//! Mending what can be mended without FOSSology, and taking it back.

mod faults;
mod kills;
mod midway;
mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use fogold::fixtures::ServerSpec;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::site::standing;
use crate::support::{Cluster, Fogold, MadeUp, Outcome};

/// A damaged server whose rows are live.
fn damaged(database: &str) -> MadeUp {
    let spec = ServerSpec {
        files: 300,
        bytes: 300_000,
        per_upload: 20,
        ..ServerSpec::default()
    };
    let made_up = MadeUp::damaged(spec, 60);
    made_up.go_live(Cluster::shared(), database);
    made_up
}

fn repair(made_up: &MadeUp) -> Fogold {
    Fogold::new(["repair", "--format", "ndjson", "--sysconfdir"]).arg(made_up.sysconfdir())
}

/// One that does all it can.
fn mend(made_up: &MadeUp) -> Fogold {
    repair(made_up).args([
        "--verify",
        "--min-age",
        "0",
        "--max-share",
        "100",
        "--no-urls",
        "--apply",
    ])
}

fn undo(made_up: &MadeUp, run: &str) -> Fogold {
    repair(made_up).args(["--apply", "--undo", run])
}

/// What stands in a tree by path, without times and without what is fogold's own.
fn tree(root: &Path) -> BTreeMap<String, (u32, Option<blake3::Hash>)> {
    standing(root)
        .into_iter()
        .filter(|(path, standing)| !path.contains(".fogold") && standing.contents.is_some())
        .map(|(path, standing)| (path, (standing.mode, standing.contents)))
        .collect()
}

/// The same files, whatever their modes: one that became a link to its gold has the gold's.
fn assert_same(
    left: &BTreeMap<String, (u32, Option<blake3::Hash>)>,
    right: &BTreeMap<String, (u32, Option<blake3::Hash>)>,
) {
    let differing: Vec<&String> = left
        .keys()
        .chain(right.keys())
        .filter(|path| left.get(*path).map(|file| file.1) != right.get(*path).map(|file| file.1))
        .collect();
    assert!(differing.is_empty(), "{differing:?}");
}

/// How often each contents stand below a root, fogold's own included.
fn contents(root: &Path) -> BTreeMap<[u8; 32], u64> {
    let mut contents = BTreeMap::new();
    for standing in standing(root).into_values() {
        if let Some(hash) = standing.contents {
            *contents.entry(*hash.as_bytes()).or_default() += 1;
        }
    }
    contents
}

/// Whether everything that stood somewhere before stands somewhere now.
fn assert_nothing_lost(before: &BTreeMap<[u8; 32], u64>, root: &Path, when: &str) {
    let now = contents(root);
    for (hash, number) in before {
        let there = now.get(hash).copied().unwrap_or(0);
        assert!(there >= *number, "{when}: {there} of {number} are there");
    }
}

/// A copy of a tree, as it is.
fn copy_of(root: &Path) -> TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory");
    copy(root, directory.path());
    directory
}

fn copy(root: &Path, to: &Path) {
    let copied = Command::new("cp")
        .arg("-a")
        .arg(root.join("."))
        .arg(to)
        .status();
    assert!(copied.expect("cp runs").success());
}

fn run_of(outcome: &Outcome) -> String {
    let run = &outcome.report()["coverage"]["repair"]["run"];
    run.as_str().expect("a run").to_owned()
}

fn status_of<'a>(findings: &'a [Value], kind: &str) -> Vec<&'a str> {
    findings
        .iter()
        .filter(|finding| finding["kind"] == kind)
        .filter_map(|finding| finding["repair"]["status"].as_str())
        .collect()
}

/// Page and metrics of a repair say what is left, and what was found only as that.
fn reports_count_what_is_left(report: &Value, findings: &[Value], page: &Path, metrics: &Path) {
    let [page, metrics] = [page, metrics].map(|path| fs::read_to_string(path).expect("a report"));
    let number = |value: &Value| value.as_u64().expect("a number");
    for (kind, left) in report["counts"].as_object().expect("counts") {
        let samples = metrics.lines().filter(|line| {
            line.starts_with("fogold_findings{") && line.contains(&format!("kind=\"{kind}\""))
        });
        let counted = samples.map(|line| line.rsplit(' ').next().expect("a value"));
        let counted: u64 = counted.map(|it| it.parse::<u64>().expect("a number")).sum();
        assert_eq!(counted, number(left), "{kind} in {metrics}");
    }
    assert!(!metrics.contains("kind=\"abandoned\""), "{metrics}");
    assert!(!metrics.contains("fogold_repository_files"), "{metrics}");

    let repair = &report["coverage"]["repair"];
    let sums = format!(
        "{} found before it, {} mended, {} left",
        repair["findings"],
        repair["mended"],
        number(&repair["findings"]) - number(&repair["mended"])
    );
    assert!(page.contains(&sums), "{sums} in {page}");
    let moved = &repair["actions"]["quarantine"]["done"]["files"];
    let row = format!("<td>quarantine</td><td class=\"n\">{moved}</td>");
    assert!(page.contains(&row), "{row} in {page}");
    let is_left = |finding: &&Value| finding["repair"]["mended"] != true;
    let left = findings.iter().filter(is_left);
    let severe = left
        .filter(|finding| ["loss", "recoverable"].contains(&finding["severity"].as_str().unwrap()));
    let concerned: BTreeSet<u64> = severe
        .filter_map(|finding| finding["uploads"].as_array())
        .flatten()
        .map(number)
        .collect();
    let listed = page
        .split_once("Uploads concerned by what is left")
        .map_or("", |(_, rest)| rest);
    let listed = listed.split_once("</table>").map_or("", |(table, _)| table);
    assert_eq!(
        listed.matches("<tr><td>").count(),
        concerned.len().min(10),
        "{listed}"
    );
    let run = repair["run"].as_str().expect("a run");
    let undo = format!(" repair --undo {run} --apply</pre>");
    let command = page.lines().find(|line| line.contains(&undo));
    let command = command.unwrap_or_else(|| panic!("{undo} in {page}"));
    assert!(command.contains("<pre>fogold -c "), "{command}");
}

#[test]
fn what_can_be_mended_is_and_can_be_taken_back() {
    let made_up = damaged("repair_all");
    let root = made_up.repository();
    let (before, all) = (tree(&root), contents(&root));

    // Without --apply nothing is changed.
    let shown = repair(&made_up).args(["--verify", "--min-age", "0"]).run();
    shown.assert_code(1);
    assert_eq!(tree(&root), before);
    assert!(standing(&root).keys().all(|path| !path.contains(".fogold")));
    let planned = &shown.report()["coverage"]["repair"]["actions"];
    for action in ["mode", "put-back", "move", "quarantine"] {
        assert!(
            planned[action]["planned"]["files"].as_u64() > Some(0),
            "{action}"
        );
    }

    let [page, metrics] =
        ["html", "prom"].map(|it| made_up.directory().join("repair").with_extension(it));
    let outcome = mend(&made_up)
        .arg("--report")
        .arg(&page)
        .arg("--report")
        .arg(&metrics)
        .run();
    outcome.assert_code(1);
    let report = outcome.report();
    assert_eq!(report["complete"], true, "{report}");
    reports_count_what_is_left(&report, &outcome.findings(), &page, &metrics);
    let findings = outcome.findings();
    for (kind, statuses) in [
        ("orphan", "done"),
        ("partial-import", "done"),
        ("abandoned", "done"),
        ("misplaced", "done"),
        ("wrong-mode", "done"),
        ("foreign", "left"),
        ("partial-tree", "left"),
    ] {
        let found = status_of(&findings, kind);
        assert!(!found.is_empty(), "{kind}");
        assert!(
            found.iter().all(|status| *status == statuses),
            "{kind}: {found:?}"
        );
    }
    assert_nothing_lost(&all, &root, "mended");

    // What the repair says is left is what a check finds.
    let check = Fogold::check_configured(&made_up.sysconfdir())
        .arg("--verify")
        .run();
    let mut left = report["counts"].clone();
    let mut found = check.report()["counts"].clone();
    // A bad file that an unpack writes again is out of the way, and so missing.
    for counts in [&mut left, &mut found] {
        let counts = counts.as_object_mut().expect("counts");
        let number = |name: &str| counts.get(name).and_then(Value::as_u64).unwrap_or(0);
        let sum: u64 = ["corrupt", "wrong-size", "missing-derived"]
            .into_iter()
            .map(number)
            .sum();
        counts.retain(|name, _| !["corrupt", "wrong-size", "missing-derived"].contains(&&name[..]));
        counts.insert("derived".to_owned(), sum.into());
    }
    assert_eq!(left, found);

    // A second run finds nothing more to do.
    let again = mend(&made_up).run();
    let actions = &again.report()["coverage"]["repair"]["actions"];
    for (_, acted) in actions.as_object().expect("actions") {
        assert_eq!(acted["done"]["files"], 0, "{actions}");
    }
    assert_eq!(again.report()["coverage"]["repair"]["run"], Value::Null);

    // And all of it can be taken back, twice.
    let run = run_of(&outcome);
    for _ in 0..2 {
        undo(&made_up, &run).run().assert_code(0);
        assert_eq!(tree(&root), before);
        assert_nothing_lost(&all, &root, "undone");
    }
    let unknown = undo(&made_up, "../elsewhere").run();
    unknown.assert_code(2);
    assert!(
        unknown.complaint().contains(&run),
        "{}",
        unknown.complaint()
    );
}

#[test]
fn the_database_must_be_live_and_the_share_small() {
    let made_up = damaged("repair_guards");
    let root = made_up.repository();
    let before = standing(&root);
    let from_dump = || {
        Fogold::new(["repair", "--format", "ndjson", "--apply", "--min-age", "0"])
            .arg("--sysconfdir")
            .arg(made_up.sysconfdir())
            .arg("--catalog")
            .arg(made_up.dump())
    };
    let refused = from_dump().run();
    refused.assert_code(2);
    let complaint = refused.complaint();
    assert!(
        complaint.contains("--only mode,put-back,move"),
        "{complaint}"
    );
    let refused = repair(&made_up)
        .args(["--apply", "--min-age", "0", "--max-share", "1"])
        .run();
    refused.assert_code(2);
    let complaint = refused.complaint();
    assert!(complaint.contains("type --max-share"), "{complaint}");
    assert_eq!(standing(&root), before, "nothing was changed");

    // What is young stays, and what a dump can tell is done.
    let outcome = repair(&made_up).args(["--apply", "--no-urls"]).run();
    let findings = outcome.findings();
    let orphans = status_of(&findings, "orphan");
    assert!(!orphans.is_empty() && orphans.iter().all(|status| *status == "left"));
    let outcome = from_dump().args(["--only", "mode,put-back,move"]).run();
    outcome.assert_code(1);
}
