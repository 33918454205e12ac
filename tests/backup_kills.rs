//! The plug is pulled in the midst of a backup: every finished set is whole, and the same command
//! again comes to the same as if nothing had happened.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::time::Duration;

use fogold::fixtures::ServerSpec;
use rustix::process::Signal;
use serde_json::Value;

use crate::support::{MadeStore, MadeUp, skipped};

/// A server, and a store that has an older and smaller set of it.
fn begun() -> (MadeUp, MadeStore) {
    let made_up = MadeUp::healthy(ServerSpec {
        files: 120,
        bytes: 6_000_000,
        per_upload: 10,
        ..ServerSpec::default()
    });
    let store = MadeStore::nowhere();
    store
        .backup_of(&made_up, "--gold-only")
        .run()
        .assert_code(0);
    store.date(&store.newest(), "2026-01-01T010000Z-gold-only");
    (made_up, store)
}

/// What a store comes to: the pool, and of each set what it says but for ids and times.
#[derive(Debug, PartialEq)]
struct End {
    pool: BTreeMap<String, blake3::Hash>,
    sets: Vec<(Vec<Value>, Value)>,
    leftovers: Vec<String>,
}

fn end_of(store: &MadeStore) -> End {
    let pool = store
        .everything()
        .into_iter()
        .filter(|(path, _)| path.starts_with("pool/"));
    let ids = store.sets();
    let sets = ids.iter().filter(|id| !id.starts_with('.')).map(|id| {
        let mut record = store.record(id);
        // What the killed one had copied already is not new to the next.
        record["counts"]["new"].take();
        for key in ["id", "began", "finished"] {
            record[key].take();
        }
        (store.entries(id), record)
    });
    End {
        pool: pool.collect(),
        sets: sets.collect(),
        leftovers: ids
            .iter()
            .filter(|id| id.starts_with('.'))
            .cloned()
            .collect(),
    }
}

/// Runs the same backup until it is done, and holds the store against an undisturbed one.
fn finish(what: &str, made_up: &MadeUp, store: &MadeStore, end: &End) {
    store.assert_whole();
    let finished = store
        .open()
        .sets(&fogold::monitor::Silent)
        .expect("the sets");
    for id in &finished {
        let verify = store.fogold("verify").arg(id.to_string()).run();
        assert_eq!(verify.code, Some(0), "{what}: {id}: {}", verify.text());
    }
    if finished.len() == 1 {
        store.backup_of(made_up, "--full").run().assert_code(0);
    } else if !end_of(store).leftovers.is_empty() {
        panic!("{what}: finished, and something is left");
    }
    let own = end_of(store);
    assert_eq!(own.leftovers, end.leftovers, "{what}");
    assert_eq!(own.pool, end.pool, "{what}");
    for (own, end) in own.sets.iter().zip(&end.sets) {
        assert_eq!(own.1, end.1, "{what}: another record");
        assert!(own.0 == end.0, "{what}: other entries");
    }
    assert_eq!(own.sets.len(), end.sets.len(), "{what}");
    store.assert_whole();
}

#[test]
fn killed_at_chosen_points() {
    if Command::new("strace").arg("-V").output().is_err() {
        skipped("strace is missing");
        return;
    }
    let (made_up, before) = begun();
    let undisturbed = before.copy();
    undisturbed
        .backup_of(&made_up, "--full")
        .run()
        .assert_code(0);
    let end = end_of(&undisturbed);
    assert_eq!(end.leftovers, Vec::<String>::new());
    let mut kills = 0;
    for (calls, when) in [
        // The lock, the set's directory, the dump, the catalog and its name.
        ("flock", 1),
        ("mkdir", 1),
        ("write", 1),
        ("write", 6),
        ("rename", 1),
        // Contents, small and large, in the pool.
        ("mkdirat", 1),
        ("mkdirat", 30),
        ("renameat", 1),
        ("renameat", 2),
        ("renameat", 5),
        ("ioctl", 1),
        ("ioctl", 3),
        // The record, everything on disk, the catalog goes, and the set gets its name.
        ("rename", 2),
        ("syncfs", 1),
        ("unlink", 1),
        ("rename", 3),
        ("fsync", 1),
        ("fsync", 2),
        ("fsync", 3),
        ("fsync", 4),
    ] {
        let store = before.copy();
        let mut strace = Command::new("strace");
        strace.args(["-f", "-q", "-o", "/dev/null", "-e"]);
        strace.arg(format!("inject={calls}:signal=KILL:when={when}"));
        let backup = store.backup_of(&made_up, "--full").args(["-j", "1"]);
        let outcome = backup.behind(strace, None).run();
        if outcome.code.is_some_and(|code| code != 0) {
            skipped(format_args!("strace cannot trace: {}", outcome.complaint()));
            return;
        }
        kills += usize::from(outcome.code.is_none());
        finish(&format!("{calls} {when}"), &made_up, &store, &end);
    }
    assert!(kills >= 16, "only {kills} were killed");
}

#[test]
fn killed_at_random() {
    let (made_up, before) = begun();
    let undisturbed = before.copy();
    undisturbed
        .backup_of(&made_up, "--full")
        .run()
        .assert_code(0);
    let end = end_of(&undisturbed);
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut kills = 0;
    for number in 0..13 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let store = before.copy();
        // Slowed down, so that there is something to hit.
        let mut running = store
            .backup_of(&made_up, "--full")
            .args(["--bwlimit", "2M"])
            .start();
        let after = Duration::from_millis(20 + random % 1_200);
        std::thread::sleep(after);
        if running.is_at_work() {
            running.signal(Signal::KILL);
            kills += 1;
        }
        running.end_within(Duration::from_secs(30));
        finish(
            &format!("{number}: after {after:?}"),
            &made_up,
            &store,
            &end,
        );
    }
    assert!(kills >= 12, "only {kills} were killed");
}

#[test]
fn killed_again_and_again_it_comes_to_its_end() {
    let (made_up, store) = begun();
    let undisturbed = store.copy();
    undisturbed
        .backup_of(&made_up, "--full")
        .run()
        .assert_code(0);
    let end = end_of(&undisturbed);
    let before = store
        .open()
        .sets(&fogold::monitor::Silent)
        .expect("the sets");
    for number in 1..6_u64 {
        let mut running = store
            .backup_of(&made_up, "--full")
            .args(["--bwlimit", "12M"])
            .start();
        std::thread::sleep(Duration::from_millis(90 * number));
        if running.is_at_work() {
            running.signal(Signal::KILL);
        }
        running.end_within(Duration::from_secs(30));
        let sets = store
            .open()
            .sets(&fogold::monitor::Silent)
            .expect("the sets");
        if sets.len() > before.len() {
            // It was faster than the signal.
            break;
        }
        // Nobody else is disturbed by what is left: it can be pruned around.
        store
            .fogold("prune")
            .args(["--keep-last", "5", "--apply"])
            .run()
            .assert_code(0);
        let dumps = fs::read_dir(store.path().join("sets"))
            .expect("sets")
            .flatten()
            .filter(|entry| entry.path().join("database.sql").exists())
            .count();
        assert!(dumps <= 3, "{dumps} dumps pile up");
    }
    finish("again and again", &made_up, &store, &end);
}
