//! Derived files whose gold is lost: a gold-only set leaves them out, and says that no unpacking
//! brings them back.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::support::{Fogold, MadeStore, MadeUp, Outcome};

/// What a set says that it left out for a reason that begins so.
fn left_out(store: &MadeStore, reason: &str) -> u64 {
    let record = store.record(&store.newest());
    let reasons = record["counts"]["left_out"].as_array().expect("a list");
    let of_reason = reasons.iter().filter(|each| {
        let text = each["reason"].as_str().expect("a reason");
        text.starts_with(reason)
    });
    of_reason
        .map(|each| each["files"].as_u64().expect("a number"))
        .sum()
}

/// The table of a manifest of a gold-only set.
fn manifest(made_up: &MadeUp) -> (Outcome, Value) {
    let report = made_up.directory().join("manifest-table.json");
    let outcome = Fogold::new(["manifest", "--gold-only", "-o"])
        .arg(made_up.directory().join("manifest.jsonl"))
        .arg("--sysconfdir")
        .arg(made_up.sysconfdir())
        .arg("--catalog")
        .arg(made_up.dump())
        .arg("--report")
        .arg(&report)
        .run();
    let table = serde_json::from_slice(&fs::read(report).expect("a table")).expect("JSON");
    (outcome, table)
}

/// The derived files that a check calls lost once all derived files are away. Those of the golds
/// themselves are not among them.
fn lost_without_derived_files(made_up: &MadeUp) -> BTreeSet<String> {
    let (root, away) = (made_up.repository(), made_up.directory().join("away"));
    for host in ["north", "south"] {
        let files = root.join(host).join("files");
        fs::rename(&files, away.with_extension(host)).expect("moved");
        fs::create_dir(&files).expect("an empty one");
    }
    let outcome = Fogold::check_configured(&made_up.sysconfdir())
        .arg("--catalog")
        .arg(made_up.dump())
        .run();
    for host in ["north", "south"] {
        let files = root.join(host).join("files");
        fs::remove_dir(&files).expect("it is empty");
        fs::rename(away.with_extension(host), &files).expect("moved back");
    }
    let names = |kind: &str| -> BTreeSet<String> {
        let findings = outcome.findings();
        let lost = findings
            .iter()
            .filter(|each| each["kind"] == kind && each["severity"] == "loss");
        lost.map(|each| each["name"].as_str().expect("a name").to_owned())
            .collect()
    };
    &names("missing-derived") - &names("missing-gold")
}

/// Removes every copy of some golds.
fn lose_golds(made_up: &MadeUp, count: usize) {
    let derived = made_up.files("files");
    for gold in &made_up.files("gold")[..count] {
        let name = gold.rsplit('/').next().expect("a name");
        for path in derived.iter().filter(|path| path.ends_with(name)) {
            fs::remove_file(made_up.repository().join(path)).expect("a file");
        }
        fs::remove_file(made_up.repository().join(gold)).expect("a file");
    }
}

#[test]
fn what_no_unpacking_brings_back_is_not_left_to_it() {
    let made_up = MadeUp::on_two_hosts();
    let (outcome, before) = manifest(&made_up);
    outcome.assert_code(0);
    let before = &before["amounts"]["left_out"];
    assert_eq!(before["without_gold"]["files"], 0);
    lose_golds(&made_up, 4);
    let lost = lost_without_derived_files(&made_up);
    assert!(lost.len() > 2, "{lost:?}");
    let all = lost.len() as u64;

    let (outcome, after) = manifest(&made_up);
    outcome.assert_code(1);
    let after = &after["amounts"]["left_out"];
    assert_eq!(after["without_gold"]["files"], all);
    let unpacked = before["unpacked"]["files"].as_u64().expect("a number");
    assert_eq!(after["unpacked"]["files"], unpacked - all);
    assert!(
        outcome
            .text()
            .contains(": make a full set, or mend the gold first."),
        "{}",
        outcome.text()
    );
    let store = MadeStore::nowhere();
    let outcome = store.backup_of(&made_up, "--gold-only").run();
    outcome.assert_code(1);
    assert_eq!(left_out(&store, "their gold was not found"), all);
    assert_eq!(left_out(&store, "unpacking brings it back"), unpacked - all);
    let verdict = outcome.report()["verdict"]
        .as_str()
        .expect("one")
        .to_owned();
    let said = format!("; {all} derived files are not in it, and no unpacking brings them back");
    assert!(verdict.contains(&said), "{verdict}");
    // A full set has them.
    let full = MadeStore::nowhere();
    full.backup_of(&made_up, "--full").run().assert_code(1);
    let held: BTreeSet<String> = full
        .entries(&full.newest())
        .iter()
        .map(|entry| entry["name"].as_str().expect("a name").to_owned())
        .collect();
    assert!(lost.is_subset(&held));
    assert_eq!(left_out(&full, "their gold was not found"), 0);

    // Who has accepted that the golds are lost has accepted what comes of it, but no other loss.
    let known = made_up.directory().join("known.accept");
    let check = Fogold::check_configured(&made_up.sysconfdir());
    let check = check.arg("--catalog").arg(made_up.dump());
    check.arg("--write-accept").arg(&known).run().assert_code(1);
    let accepting = || {
        let store = MadeStore::nowhere();
        let backup = store.backup_of(&made_up, "--gold-only").arg("--accept");
        (backup.arg(&known).run(), left_out(&store, "their gold"))
    };
    let (outcome, without_gold) = accepting();
    outcome.assert_code(0);
    assert_eq!(without_gold, all);
    lose_golds(&made_up, 1);
    accepting().0.assert_code(1);
}

#[test]
fn what_is_gone_itself_or_astray_is_told_apart() {
    let made_up = MadeUp::on_two_hosts();
    lose_golds(&made_up, 4);
    let lost = lost_without_derived_files(&made_up);
    let mut names = lost.iter();
    let gone = made_up.place("files", names.next().expect("a file"));
    fs::remove_file(gone).expect("a file");
    let astray = names.next().expect("another");
    let place = made_up.place("files", astray);
    let elsewhere = made_up.repository().join("north/files/ff/fe");
    fs::create_dir_all(&elsewhere).expect("directories");
    fs::rename(place, elsewhere.join(astray)).expect("moved");
    let (outcome, table) = manifest(&made_up);
    outcome.assert_code(1);
    let left_out = &table["amounts"]["left_out"];
    assert_eq!(left_out["files_not_found"]["files"], 1);
    assert_eq!(left_out["without_gold"]["files"], lost.len() as u64 - 1);
}

#[test]
fn a_drill_says_why_they_are_not_in_the_set() {
    let made_up = MadeUp::on_two_hosts();
    lose_golds(&made_up, 4);
    let all = lost_without_derived_files(&made_up).len();
    let store = MadeStore::nowhere();
    store
        .backup_of(&made_up, "--gold-only")
        .run()
        .assert_code(1);
    let outcome = store.fogold("drill").run();
    outcome.assert_code(1);
    let text = outcome.text();
    for said in [
        format!("  left out  {all} files, "),
        "Derived files without gold were left out of the set although they were there".to_owned(),
        "What else is not in the set was missing or damaged".to_owned(),
    ] {
        assert!(text.contains(&said), "{said}: {text}");
    }
}

#[test]
fn a_missing_listing_is_no_reason_to_fail() {
    let made_up = MadeUp::on_two_hosts();
    let store = MadeStore::nowhere();
    store
        .backup_of(&made_up, "--gold-only")
        .run()
        .assert_code(0);
    let entries = store.entries(&store.newest());
    let golds = made_up.files("gold");
    let listing = entries
        .iter()
        .map(|entry| entry["name"].as_str().expect("a name").to_owned());
    let listing = listing
        .into_iter()
        .find(|name| !golds.iter().any(|gold| gold.ends_with(name)))
        .expect("a listing");
    fs::remove_file(made_up.place("files", &listing)).expect("a file");
    let (outcome, table) = manifest(&made_up);
    outcome.assert_code(0);
    let left_out = &table["amounts"]["left_out"];
    assert_eq!(left_out["listings_not_found"]["files"], 1);
    assert_eq!(left_out["files_not_found"]["files"], 0);
    let fresh = MadeStore::nowhere();
    let backup = fresh.backup_of(&made_up, "--gold-only").run();
    backup.assert_code(0);
    assert_eq!(backup.report()["counts"]["missing-listing"], 1);
}
