//! What a store has is listed, whatever state it is in.

use std::fs;

use fogold::manifest::SetKind;
use serde_json::{Value, json};

use crate::support::{Fogold, MadeStore, MadeUp};

fn list(store: &MadeStore) -> Value {
    let outcome = store.fogold("sets").args(["--format", "json"]).run();
    serde_json::from_slice(&outcome.stdout).expect("one object")
}

#[test]
fn sets_are_listed_with_what_is_known_of_them() {
    let made_up = MadeUp::small();
    let store = MadeStore::new();
    let first = store.back_up(&made_up, SetKind::GoldOnly);
    store.date(&first, "2026-01-01T010000Z-gold-only");
    let second = store.back_up(&made_up, SetKind::GoldOnly);
    store
        .fogold("verify")
        .arg("2026-01-01")
        .run()
        .assert_code(0);
    let sets = list(&store)["sets"].clone();
    assert_eq!(sets[0]["id"], "2026-01-01T010000Z-gold-only");
    assert_eq!(sets[1]["id"], second);
    for set in [&sets[0], &sets[1]] {
        assert_eq!(set["kind"], "gold-only");
        assert_eq!(set["files"], store.pool().len());
        assert_eq!(set["findings"], 0);
    }
    assert_eq!(sets[0]["new"]["files"], store.pool().len());
    assert_eq!(sets[1]["new"], json!({"files": 0, "bytes": 0}));
    assert_eq!(sets[0]["verified"]["result"], "good");
    assert_eq!(sets[1]["verified"], Value::Null);

    let outcome = store.fogold("sets").run();
    outcome.assert_code(0);
    let text = outcome.text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[1].ends_with("Z good"), "{text}");
    assert!(lines[2].ends_with("never"), "{text}");
}

#[test]
fn unfinished_and_foreign_directories_are_no_sets() {
    let store = MadeStore::new();
    store.add_set("2026-01-02T010000Z-full", 0..3);
    let sets = store.path().join("sets");
    for name in [
        ".partial-2026-01-03T010000Z-full",
        ".removed-2026-01-01T010000Z-full",
        "notes\u{1b}[2J",
    ] {
        fs::create_dir(sets.join(name)).expect("a directory");
    }
    let listed = list(&store);
    assert_eq!(listed["sets"].as_array().map(Vec::len), Some(1));
    assert_eq!(listed["partial"], json!(["2026-01-03T010000Z-full"]));
    assert_eq!(listed["removed"], json!(["2026-01-01T010000Z-full"]));
    let outcome = store.fogold("sets").run();
    outcome.assert_code(0);
    assert!(
        outcome.text().contains("not finished"),
        "{}",
        outcome.text()
    );
    let complaint = outcome.complaint();
    assert!(complaint.contains("is no set"), "{complaint}");
    assert!(!complaint.contains('\u{1b}'), "{complaint}");
}

#[test]
fn a_set_whose_record_cannot_be_read_is_named() {
    let store = MadeStore::new();
    store.add_set("2026-01-01T010000Z-full", 0..3);
    store.add_set("2026-01-02T010000Z-full", 0..3);
    let record = store.set("2026-01-01T010000Z-full").join("set.json");
    let whole = fs::read(&record).expect("a record");
    for bad in [&whole[..whole.len() / 2], b"\xff", b""] {
        fs::write(&record, bad).expect("a record");
        let outcome = store.fogold("sets").run();
        outcome.assert_code(3);
        assert!(outcome.text().contains("is damaged"), "{}", outcome.text());
        assert!(list(&store)["sets"][0]["error"].is_string());
        assert_eq!(list(&store)["sets"][1]["files"], 3);
    }
}

#[test]
fn a_store_that_is_none_is_refused() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("store");
    let sets = || Fogold::new(["sets"]).arg(&path).run();
    sets().assert_code(3);
    fs::create_dir(&path).expect("a directory");
    sets().assert_code(3);
    fs::write(path.join("letter.txt"), "mine").expect("a file");
    let outcome = sets();
    outcome.assert_code(2);
    assert!(
        outcome.complaint().contains("is no store"),
        "{}",
        outcome.complaint()
    );
    fs::write(path.join("store.json"), "{").expect("a file");
    sets().assert_code(3);
}

#[test]
fn an_empty_store_is_no_failure() {
    let store = MadeStore::new();
    let outcome = store.fogold("sets").run();
    outcome.assert_code(0);
    assert!(
        outcome.text().contains("no finished set"),
        "{}",
        outcome.text()
    );
}
