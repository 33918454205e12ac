//! Killed anywhere, a repair loses nothing, and can be gone on with and taken back.

use std::fs;
use std::path::Path;

use super::{assert_nothing_lost, contents, copy_of, damaged, mend, tree, undo};
use crate::support::{Fogold, MadeUp, tampered};

/// A repair of another tree of the same server.
fn mend_at(made_up: &MadeUp, root: &Path) -> Fogold {
    mend(made_up).args(["-j", "1", "--repository"]).arg(root)
}

/// The runs that have left a journal, the newest first.
fn runs(root: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(root.join("localhost/.fogold/repair")) else {
        return Vec::new();
    };
    let mut runs: Vec<(std::time::SystemTime, String)> = entries
        .map(|entry| {
            let entry = entry.expect("an entry");
            let name = entry.file_name().into_string().expect("UTF-8");
            let written = entry.metadata().and_then(|meta| meta.modified());
            let run = name.trim_end_matches(".ndjson").to_owned();
            (written.expect("a time"), run)
        })
        .collect();
    runs.sort();
    runs.into_iter().rev().map(|(_, run)| run).collect()
}

#[test]
fn at_chosen_points() {
    let made_up = damaged("repair_killed");
    let root = made_up.repository();
    let (before, all) = (tree(&root), contents(&root));
    let undisturbed = copy_of(&root);
    mend_at(&made_up, undisturbed.path()).run().assert_code(1);
    let after = tree(undisturbed.path());
    assert_ne!(after, before);
    for with in [
        // The journal: before its first line, after it, and later.
        "fdatasync:signal=KILL:when=1",
        "fdatasync:signal=KILL:when=8",
        // A mode, before and after an owner.
        "fchmodat:signal=KILL:when=1",
        // A copy in the making, and before and after it has its place.
        "linkat:signal=KILL:when=2",
        "renameat:signal=KILL:when=1",
        // A move, to its place or to the quarantine.
        "renameat2:signal=KILL:when=2",
        "renameat2:signal=KILL:when=9",
        // A directory of the quarantine.
        "mkdirat:signal=KILL:when=9",
    ] {
        let copy = copy_of(&root);
        let root = copy.path();
        let Some(outcome) = tampered(mend_at(&made_up, root), with) else {
            return;
        };
        assert_eq!(outcome.code, None, "{with} came too late");
        assert_nothing_lost(&all, root, with);
        mend_at(&made_up, root).run().assert_code(1);
        assert_eq!(tree(root), after, "{with}");
        assert_nothing_lost(&all, root, with);
        let staged = fs::read_dir(root.join("localhost/.fogold/staging"));
        assert_eq!(staged.map_or(0, Iterator::count), 0, "{with}: half files");
        for run in runs(root) {
            let undone = undo(&made_up, &run).arg("--repository").arg(root);
            undone.run().assert_code(0);
        }
        assert_eq!(tree(root), before, "{with}");
        assert_nothing_lost(&all, root, with);
    }
    // So is an undo.
    let root = undisturbed.path();
    let [run] = &runs(root)[..] else {
        panic!("one run");
    };
    let undo = || undo(&made_up, run).arg("--repository").arg(root);
    for with in [
        "renameat2:signal=KILL:when=4",
        "renameat:signal=KILL:when=2",
    ] {
        let outcome = tampered(undo(), with).expect("as before");
        assert_eq!(outcome.code, None, "{with} came too late");
        assert_nothing_lost(&all, root, with);
    }
    undo().run().assert_code(0);
    assert_eq!(tree(root), before);
}
