//! What a store has is listed, whatever state it is in.

use std::fs;

use fogold::manifest::SetKind;
use fogold::store::{SetId, WriteLock};
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
fn a_set_that_is_being_made_is_told_from_one_that_was_interrupted() {
    let store = MadeStore::new();
    let interrupted = "2026-01-03T010000Z-full";
    let begin = |id: &str| {
        let directory = store.path().join("sets").join(format!(".partial-{id}"));
        fs::create_dir(directory).expect("a directory");
    };
    begin(interrupted);
    let line = |id: &str| {
        let outcome = store.fogold("sets").run();
        outcome.assert_code(0);
        let text = outcome.text();
        let line = text.lines().find(|line| line.starts_with(id));
        line.expect("a line").to_owned()
    };
    let goes_on = "not finished: the next 'fogold backup' goes on from it";

    // A backup that has locked the store, and has made nothing yet.
    let lock = WriteLock::take(&store.open(), "backup").expect("a lock");
    assert!(line(interrupted).ends_with(goes_on));
    assert_eq!(list(&store)["in_the_making"], Value::Null);
    let making = SetId::new(jiff::Timestamp::now(), SetKind::Full).to_string();
    begin(&making);
    let process = format!("process {} ", std::process::id());
    let told = line(&making);
    assert!(
        told.contains("in the making (locked by fogold backup (") && told.contains(&process),
        "{told}"
    );
    assert!(line(interrupted).ends_with(goes_on));
    let listed = list(&store);
    assert_eq!(listed["in_the_making"]["id"], making);
    assert_eq!(
        listed["in_the_making"]["locked_by"]["pid"],
        std::process::id()
    );
    assert_eq!(listed["partial"], json!([interrupted, making]));

    // It has crashed: its text is still there, and locks nothing. And prune makes no set.
    let file = store.path().join("state/lock");
    let text = fs::read(&file).expect("an owner");
    drop(lock);
    fs::write(&file, text).expect("an owner");
    assert!(line(&making).ends_with(goes_on));
    let _lock = WriteLock::take(&store.open(), "prune").expect("a lock");
    assert!(line(&making).ends_with(goes_on));
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
