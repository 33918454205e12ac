//! Symbolic links in a store: what they lead to is no part of it, and stays as it is.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use fogold::manifest::SetKind;

use crate::support::store::name;
use crate::support::{Fogold, MadeStore, MadeUp};

/// Moves something out of a store, and puts a link in its place; returns where it is now.
fn move_out(store: &MadeStore, below: &Path) -> PathBuf {
    let path = store.path().join(below);
    let elsewhere = store.path().with_file_name("elsewhere");
    fs::rename(&path, &elsewhere).expect("moved");
    symlink(&elsewhere, &path).expect("a link");
    elsewhere
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found
}

#[test]
fn contents_behind_a_link_are_missing() {
    let sound = MadeStore::new();
    sound.back_up(&MadeUp::small(), SetKind::Full);
    let of_somebody = sound.pool().swap_remove(7);
    let (first, second) = (&of_somebody[..2], &of_somebody[2..4]);
    for below in [format!("pool/{first}"), format!("pool/{first}/{second}")] {
        let store = sound.copy();
        let elsewhere = move_out(&store, Path::new(&below));
        let behind = files_below(&elsewhere).len();
        let outcome = store.fogold("verify").args(["--format", "ndjson"]).run();
        outcome.assert_code(1);
        let findings = outcome.findings();
        assert_eq!(findings.len(), behind, "{below}");
        for finding in findings {
            let kind = finding["kind"].as_str().expect("a kind");
            assert!(kind.starts_with("missing-"), "{kind}");
            let detail = finding["detail"].as_str().expect("a detail");
            assert!(
                detail.starts_with(&format!("{below} is no directory")),
                "{detail}"
            );
        }
        let coverage = &outcome.report()["coverage"];
        let read = coverage["read"]["files"].as_u64().expect("a number");
        assert_eq!(read, (sound.pool().len() - behind) as u64);
    }
}

#[test]
fn prune_deletes_nothing_behind_a_link() {
    let two_sets = MadeStore::new();
    two_sets.add_set("2026-01-01T010000Z-full", 0..30);
    two_sets.add_set("2026-01-02T010000Z-full", 10..30);
    let goes = name(3).to_string();
    let (first, second) = (&goes[..2], &goes[2..4]);
    for below in [format!("pool/{first}"), format!("pool/{first}/{second}")] {
        let store = two_sets.copy();
        let elsewhere = move_out(&store, Path::new(&below));
        let before = files_below(&elsewhere);
        assert!(before.iter().any(|path| path.ends_with(&goes)));
        let outcome = store
            .fogold("prune")
            .args(["--keep-last", "1", "--apply", "--format", "json"])
            .run();
        outcome.assert_code(0);
        assert!(
            outcome.text().contains("\"foreign\": 1"),
            "{}",
            outcome.text()
        );
        assert_eq!(files_below(&elsewhere), before);
    }
}

#[test]
fn a_state_that_is_a_link_is_refused_and_nothing_is_written_there() {
    let made_up = MadeUp::small();
    let store = MadeStore::new();
    store.back_up(&made_up, SetKind::GoldOnly);
    let elsewhere = move_out(&store, Path::new("state"));
    let written = |directory: &Path| {
        let mut files: Vec<(PathBuf, Vec<u8>)> = files_below(directory)
            .into_iter()
            .map(|path| (path.clone(), fs::read(path).expect("a file")))
            .collect();
        files.sort();
        files
    };
    let before = written(&elsewhere);
    let on_store = |command: &str| Fogold::new([command]).arg(store.path());
    for command in [
        on_store("verify"),
        on_store("sets"),
        on_store("prune").args(["--keep-last", "1"]),
        on_store("prune").args(["--keep-last", "1", "--apply"]),
        store.backup_of(&made_up, "--full"),
    ] {
        let outcome = command.run();
        outcome.assert_code(3);
        let complaint = outcome.complaint();
        assert!(
            complaint.contains("state is a symbolic link"),
            "{complaint}"
        );
    }
    assert_eq!(written(&elsewhere), before);
}
