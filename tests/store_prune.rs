//! Sets go, and with them what no other set needs: never more.

use std::fs;
use std::process::Command;

use fogold::manifest::SetKind;
use fogold::store::lock::ReadLock;
use fogold::store::{Verdict, Verification, WriteLock};
use serde_json::{Value, json};

use crate::support::store::{MadeStore, name};
use crate::support::{Fogold, MadeUp, Outcome, skipped};

/// Three sets; each shares some contents with the next, and has some of its own.
fn three_sets() -> MadeStore {
    let store = MadeStore::new();
    store.add_set("2026-01-01T010000Z-full", 0..30);
    store.add_set("2026-01-02T010000Z-full", 10..40);
    store.add_set("2026-01-03T010000Z-full", 20..50);
    store
}

fn prune(store: &MadeStore, more: &[&str]) -> Fogold {
    store.fogold("prune").args(more)
}

fn names(numbers: impl IntoIterator<Item = u32>) -> Vec<String> {
    let mut names: Vec<String> = numbers.into_iter().map(|n| name(n).to_string()).collect();
    names.sort();
    names
}

#[test]
fn a_set_that_is_not_complete_or_of_the_future_pushes_none_out() {
    let store = three_sets();
    store.add_set("2999-01-01T000000Z-full", 20..50);
    store.edit_record("2026-01-03T010000Z-full", |record| {
        record["complete"] = false.into();
    });
    prune(&store, &["--keep-last", "1", "--apply"])
        .run()
        .assert_code(0);
    let left = [
        "2026-01-02T010000Z-full",
        "2026-01-03T010000Z-full",
        "2999-01-01T000000Z-full",
    ];
    assert_eq!(store.sets(), left);
    assert_eq!(store.pool(), names(10..50));
}

#[test]
fn a_set_that_is_damaged_pushes_no_good_one_out() {
    for verify in [true, false] {
        let store = three_sets();
        let newest = "2026-01-03T010000Z-full";
        let dump = store.set(newest).join(store.dump_of(newest));
        let text = fs::read(&dump).unwrap();
        fs::write(&dump, &text[1..]).unwrap();
        if verify {
            // A cut file could not be looked at whole.
            store.fogold("verify").arg(newest).run().assert_code(3);
            // What verify has noted counts, also when the length is right.
            fs::write(&dump, &text).unwrap();
        }
        let outcome = prune(&store, &["--keep-last", "1", "--apply"]).run();
        outcome.assert_code(0);
        assert_eq!(store.sets(), ["2026-01-02T010000Z-full", newest]);
        let text = outcome.text();
        let line = format!("{newest:<28} kept      last; damaged: counted apart\n");
        assert!(text.contains(&line), "{line:?} is not in:\n{text}");
        let outcome = prune(&store, &["--keep-last", "1", "--format", "json"]).run();
        let table: Value = serde_json::from_slice(&outcome.stdout).expect("one object");
        assert_eq!(table["sets"][1]["apart"], "damaged");
        assert_eq!(table["sets"][0].get("apart"), None);
    }
}

#[test]
fn what_no_set_names_goes_and_nothing_else() {
    let store = three_sets();
    // Left by backups that were killed, and things that are none of ours.
    store.put(900);
    let half = store.open().layout().pool_path(&name(901));
    fs::create_dir_all(half.parent().unwrap()).unwrap();
    fs::write(half.with_file_name(format!("{}.part", name(901))), "half").unwrap();
    let foreign = half.with_file_name("letter.txt");
    fs::write(&foreign, "mine").unwrap();
    let before = store.everything();

    let outcome = prune(&store, &["--keep-last", "2"]).run();
    outcome.assert_code(0);
    assert!(outcome.text().contains("would go"), "{}", outcome.text());
    assert_eq!(
        store.everything(),
        before,
        "a dry run has deleted something"
    );

    let outcome = prune(&store, &["--keep-last", "2", "--apply", "--format", "json"]).run();
    outcome.assert_code(0);
    let table: Value = serde_json::from_slice(&outcome.stdout).expect("one object");
    let kept = |id: &str, kept, because: Value| json!({"id": id, "kept": kept, "because": because});
    assert_eq!(
        table["sets"],
        json!([
            kept("2026-01-01T010000Z-full", false, json!([])),
            kept("2026-01-02T010000Z-full", true, json!(["last"])),
            kept("2026-01-03T010000Z-full", true, json!(["last"])),
        ])
    );
    assert_eq!(table["contents"]["files"], 11);
    assert_eq!(table["halves"], json!({"files": 1, "bytes": 4}));
    assert_eq!(table["contents_kept"], 40);
    assert_eq!(table["foreign"], 1);
    let own: u64 = before.len() as u64 - store.everything().len() as u64 - 12;
    assert_eq!(table["own_files"]["files"], own);
    assert!(foreign.exists());
    fs::remove_file(&foreign).unwrap();
    assert_eq!(store.pool(), names(10..50));
    store.assert_whole();

    // There is nothing left to do.
    let before = store.everything();
    let again = prune(&store, &["--keep-last", "2", "--apply", "--format", "json"]).run();
    let table: Value = serde_json::from_slice(&again.stdout).expect("one object");
    assert_eq!(table["freed_bytes"], 0);
    assert_eq!(store.everything(), before);
}

#[test]
fn without_a_rule_nothing_is_tried() {
    let store = three_sets();
    for more in [&["--apply"][..], &[], &["--keep-last", "0", "--apply"]] {
        prune(&store, more).run().assert_code(2);
    }
    assert_eq!(store.sets().len(), 3);
}

#[test]
fn rules_are_joined_and_say_why() {
    let store = MadeStore::new();
    for (number, day) in ["2025-12-30", "2025-12-31", "2026-01-01", "2026-01-02"]
        .into_iter()
        .enumerate()
    {
        store.add_set(&format!("{day}T010000Z-gold-only"), [number as u32]);
    }
    store.add_set("2025-01-01T010000Z-full", [100]);
    let outcome = prune(
        &store,
        &["--keep-daily", "1", "--keep-yearly", "2", "--apply"],
    )
    .run();
    outcome.assert_code(0);
    let text = outcome.text();
    for line in [
        "2025-12-30T010000Z-gold-only removed",
        "2025-12-31T010000Z-gold-only kept      yearly 2025\n",
        "2026-01-02T010000Z-gold-only kept      daily 2026-01-02, yearly 2026\n",
        "2025-01-01T010000Z-full      kept      daily 2025-01-01, yearly 2025\n",
    ] {
        assert!(text.contains(line), "{line:?} is not in:\n{text}");
    }
    assert_eq!(store.pool(), names([1, 3, 100]));
}

#[test]
fn the_last_verified_set_stays() {
    let store = three_sets();
    store
        .open()
        .note_verifications(|notes| {
            for id in ["2026-01-01T010000Z-full", "2026-01-02T010000Z-full"] {
                let note = Verification {
                    when: "2026-01-05T000000Z".to_owned(),
                    slice: "1/1".to_owned(),
                    result: Verdict::Good,
                    proven: "ff".repeat(32).parse().expect("all parts"),
                };
                notes.insert(id.to_owned(), note);
            }
        })
        .unwrap();
    prune(&store, &["--keep-last", "1", "--apply"])
        .run()
        .assert_code(0);
    assert_eq!(
        store.sets(),
        ["2026-01-02T010000Z-full", "2026-01-03T010000Z-full"]
    );
    let notes = store.open().verifications().unwrap();
    assert_eq!(notes.len(), 1, "the removed set is still noted");
    // Notes that cannot be read may have named any set.
    fs::write(store.path().join("state/verified.json"), "{").unwrap();
    refused(&store, "verified.json");
}

/// Prunes, and makes sure that it does nothing and says why.
fn refused(store: &MadeStore, why: &str) {
    let before = store.everything();
    let outcome = prune(store, &["--keep-last", "1", "--apply"]).run();
    outcome.assert_code(3);
    let complaint = outcome.complaint();
    assert!(
        complaint.contains("nothing is deleted") && complaint.contains(why),
        "{complaint}"
    );
    assert_eq!(store.everything(), before, "{why}: something was deleted");
}

#[test]
fn a_manifest_that_cannot_be_read_whole_keeps_everything() {
    for id in ["2026-01-01T010000Z-full", "2026-01-03T010000Z-full"] {
        let store = three_sets();
        let manifest = store.set(id).join("manifest.jsonl.zst");
        let whole = fs::read(&manifest).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        for damaged in [&whole[..whole.len() - 1], &whole[..0], &flipped] {
            fs::write(&manifest, damaged).unwrap();
            refused(&store, &format!("{id}/manifest.jsonl.zst"));
        }
        fs::remove_file(&manifest).unwrap();
        refused(&store, &format!("{id}/manifest.jsonl.zst"));
        fs::write(&manifest, &whole).unwrap();
        fs::write(store.set(id).join("set.json"), "{").unwrap();
        refused(&store, &format!("{id}/set.json"));
    }
}

#[test]
fn a_set_of_a_newer_format_keeps_everything_and_nobody_is_told_of_damage() {
    let store = three_sets();
    store.edit_record("2026-01-01T010000Z-full", |record| {
        record["format"] = 2.into()
    });
    let before = store.everything();
    let outcome = prune(&store, &["--keep-last", "1", "--apply"]).run();
    outcome.assert_code(2);
    let complaint = outcome.complaint();
    assert!(
        complaint.contains("nothing is deleted") && complaint.contains("use the newer fogold"),
        "{complaint}"
    );
    for wrong in ["damaged", "move the directory", "do without"] {
        assert!(!complaint.contains(wrong), "{complaint}");
    }
    assert_eq!(store.everything(), before);
}

#[test]
fn a_manifest_whose_record_was_forged_to_fit_keeps_everything() {
    let store = three_sets();
    let id = "2026-01-03T010000Z-full";
    let manifest = store.set(id).join("manifest.jsonl.zst");
    let text = zstd::decode_all(&fs::read(&manifest).unwrap()[..]).unwrap();
    let text = String::from_utf8(text).unwrap();
    for bad in [
        text.replacen("\"name\":\"", "\"name\":\"../", 1),
        text.replacen("\"name\":\"", "\"name\":\"/", 1),
        text[..text.len() / 2].to_owned(),
        String::new(),
    ] {
        let bytes = zstd::encode_all(bad.as_bytes(), 3).unwrap();
        fs::write(&manifest, &bytes).unwrap();
        store.edit_record(id, |record| {
            record["manifest"]["bytes"] = bytes.len().into();
            record["manifest"]["blake3"] = blake3::hash(&bytes).to_hex().as_str().into();
        });
        refused(&store, &format!("{id}/manifest.jsonl.zst"));
    }
}

#[test]
fn a_set_in_the_making_keeps_what_its_catalog_names() {
    let made_up = MadeUp::small();
    let store = MadeStore::new();
    let id = store.back_up(&made_up, SetKind::Full);
    store.date(&id, "2026-01-01T010000Z-full");
    let whole = store.pool();
    // The set becomes one that was interrupted: its contents are there, its manifest is not.
    let partial = store.path().join("sets/.partial-2026-01-01T010000Z-full");
    fs::rename(store.set("2026-01-01T010000Z-full"), &partial).unwrap();
    fs::remove_file(partial.join("manifest.jsonl.zst")).unwrap();
    fs::remove_file(partial.join("set.json")).unwrap();
    let catalog = partial.join("catalog");
    Fogold::new(["snapshot", "--catalog"])
        .arg(made_up.dump())
        .arg("-o")
        .arg(&catalog)
        .run()
        .assert_code(0);
    store.add_set("2026-01-02T010000Z-full", [0]);
    store.add_set("2025-01-02T010000Z-full", [0, 2]);
    store.put(1);
    let outcome = prune(&store, &["--keep-last", "1", "--apply"]).run();
    outcome.assert_code(0);
    assert!(
        outcome.text().contains("not finished"),
        "{}",
        outcome.text()
    );
    // What was of the set that went alone is gone. Left-overs stay for this once, for files of
    // license/ look like them.
    let mut expected: Vec<String> = whole.into_iter().chain(names([0, 1])).collect();
    expected.sort();
    assert_eq!(store.pool(), expected);

    let bytes = fs::read(&catalog).unwrap();
    for length in [0, 5, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&catalog, &bytes[..length]).unwrap();
        refused(&store, "catalog");
    }
    // Killed before it had a catalog, it had copied nothing.
    fs::remove_file(&catalog).unwrap();
    prune(&store, &["--keep-last", "1", "--apply"])
        .run()
        .assert_code(0);
    assert_eq!(store.pool(), names([0]));
}

#[test]
fn a_backup_that_was_killed_keeps_what_it_has_copied() {
    let made_up = MadeUp::small();
    let store = MadeStore::new();
    store.add_set("2026-01-01T010000Z-full", [0]);
    let backup = || {
        store
            .fogold("backup")
            .args(["--full", "--dump"])
            .arg(made_up.dump())
            .arg("--repository")
            .arg(made_up.repository())
    };
    // When everything is copied, and before the set is finished.
    let mut strace = Command::new("strace");
    strace.args(["-f", "-q", "-o", "/dev/null", "-e"]);
    strace.arg("inject=syncfs:signal=KILL:when=1");
    if strace_is_missing() {
        return;
    }
    let killed = backup().behind(strace, None).run();
    assert_eq!(killed.code, None, "{}", killed.complaint());
    assert_eq!(store.sets().len(), 2, "{:?}", store.sets());
    let copied = store.pool().len();
    assert!(copied > 150, "{copied}");

    prune(&store, &["--keep-last", "1", "--apply"])
        .run()
        .assert_code(0);
    assert_eq!(store.pool().len(), copied);
    backup().run().assert_code(0);
    assert_eq!(store.sets().len(), 2, "{:?}", store.sets());
    assert_eq!(store.pool().len(), copied);
    store.assert_whole();
}

/// Whether calls cannot be traced here, which is said.
fn strace_is_missing() -> bool {
    let is_missing = Command::new("strace").arg("-V").output().is_err();
    if is_missing {
        skipped("strace is missing");
    }
    is_missing
}

#[test]
fn a_store_without_sets_loses_nothing() {
    let store = three_sets();
    let sets = store.path().join("sets");
    fs::rename(&sets, store.path().join("elsewhere")).unwrap();
    fs::create_dir(&sets).unwrap();
    let before = store.pool();
    let outcome = prune(&store, &["--keep-last", "1", "--apply"]).run();
    outcome.assert_code(3);
    assert_eq!(store.pool(), before);
}

#[test]
fn it_waits_for_nobody_and_says_who_is_at_work() {
    let store = three_sets();
    let before = store.everything();
    let backup = WriteLock::take(&store.open(), "backup").unwrap();
    let outcome = prune(&store, &["--keep-last", "1", "--apply"]).run();
    outcome.assert_code(3);
    let owner = format!("by fogold backup (process {}", std::process::id());
    assert!(
        outcome.complaint().contains(&owner),
        "{}",
        outcome.complaint()
    );
    // A look is possible all the same.
    prune(&store, &["--keep-last", "1"]).run().assert_code(0);
    drop(backup);
    let restore = ReadLock::take(&store.open()).unwrap();
    let outcome = prune(&store, &["--keep-last", "1", "--apply"]).run();
    outcome.assert_code(3);
    assert!(
        outcome.complaint().contains("is being read"),
        "{}",
        outcome.complaint()
    );
    drop(restore);
    assert_eq!(store.everything(), before);
    prune(&store, &["--keep-last", "1", "--apply"])
        .run()
        .assert_code(0);
}

#[test]
fn a_quiet_run_says_nothing() {
    let store = three_sets();
    let outcome = prune(&store, &["--keep-last", "1", "--apply", "-q"]).run();
    outcome.assert_code(0);
    assert_eq!((outcome.text(), outcome.complaint()), Default::default());
}

/// Runs prune until its `when`-th call of one of these kinds, where it is killed. `None` when the
/// tests may not trace.
fn killed_at(store: &MadeStore, calls: &str, when: usize) -> Option<Outcome> {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-q", "-o", "/dev/null", "-e"]);
    strace.arg(format!("inject={calls}:signal=KILL:when={when}"));
    let prune = prune(
        store,
        &["--keep-last", "1", "--apply", "-j", "1", "--scratch"],
    );
    let outcome = prune.arg(store.path().parent()?).behind(strace, None).run();
    if outcome.code.is_some_and(|code| code != 0) {
        skipped(format_args!("strace cannot trace: {}", outcome.complaint()));
        return None;
    }
    Some(outcome)
}

#[test]
fn killed_at_any_point_it_leaves_every_set_whole_and_is_finished_by_the_next() {
    if strace_is_missing() {
        return;
    }
    let before = three_sets();
    let undisturbed = before.copy();
    prune(&undisturbed, &["--keep-last", "1", "--apply"])
        .run()
        .assert_code(0);
    let end = undisturbed.everything();
    assert_eq!(undisturbed.pool(), names(20..50));

    // Chosen points: the first, a middle and the last call of each step. (Each call is counted by
    // itself.)
    let mut points: Vec<(&str, usize)> = vec![
        ("flock", 1),
        ("flock", 2),
        ("rename", 1),
        ("rename", 2),
        ("rename", 3),
        ("fsync", 1),
        ("fsync", 2),
        // Twenty contents, and then two sets of three files.
        ("unlinkat", 1),
        ("unlinkat", 2),
        ("unlinkat", 11),
        ("unlinkat", 20),
        ("unlinkat", 21),
        ("unlinkat", 23),
        ("unlinkat", 24),
        ("unlinkat", 28),
    ];
    // And a dozen that look random: at a call of the middle part of the work.
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..14 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let (call, most) = [
            ("unlinkat", 20),
            ("unlinkat", 28),
            ("openat", 150),
            ("statx", 200),
        ][(random % 4) as usize];
        points.push((call, 1 + (random >> 8) as usize % most));
    }
    let mut kills = 0;
    for (calls, when) in points {
        let store = before.copy();
        let Some(outcome) = killed_at(&store, calls, when) else {
            return;
        };
        kills += usize::from(outcome.code.is_none());
        store.assert_whole();
        let sets = store.open().sets(&fogold::monitor::Silent).unwrap();
        assert!(
            sets.iter()
                .any(|id| id.to_string() == "2026-01-03T010000Z-full"),
            "{calls} {when}: the set that stays is gone"
        );
        prune(&store, &["--keep-last", "1", "--apply"])
            .run()
            .assert_code(0);
        assert_eq!(store.everything(), end, "{calls} {when}");
    }
    assert!(kills >= 24, "only {kills} were killed");
}
