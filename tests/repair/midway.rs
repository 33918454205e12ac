//! What goes away, or fails, while a repair is at work.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use fogold::catalog::Catalog;
use fogold::check::{Kind, MendingStatus, Severity};
use fogold::monitor::{Monitor, Phase, Silent};
use fogold::recover::repair::{self, Options, Outcome, Server, undo};
use fogold::repository::{Access, Tree, discover_layout};

use super::faults::{options, snapshot};
use super::{assert_nothing_lost, contents, tree};
use crate::support::{MadeUp, SmallDisk};

/// Does something when the repair begins the `at`th stretch of its work.
struct Meddles<F: Fn() + Sync> {
    at: usize,
    begun: AtomicUsize,
    meddle: F,
}

impl<F: Fn() + Sync> Meddles<F> {
    fn at(at: usize, meddle: F) -> Self {
        Meddles {
            at,
            begun: AtomicUsize::new(0),
            meddle,
        }
    }
}

impl<F: Fn() + Sync> Monitor for Meddles<F> {
    fn phase(&self, phase: Phase, _total: Option<u64>) {
        if phase == Phase::Repair && self.begun.fetch_add(1, Ordering::Relaxed) + 1 == self.at {
            (self.meddle)();
        }
    }
}

/// Repairs by the library, without a live database.
fn repair(
    made_up: &MadeUp,
    catalog: &Catalog,
    options: &Options,
    monitor: &dyn Monitor,
) -> Outcome {
    let layout = discover_layout(&made_up.repository(), Some(3)).expect("a layout");
    let tree = Tree::open(&made_up.repository(), layout, Access::default()).expect("a repository");
    let server = Server {
        tree: &tree,
        catalog,
        live: None,
        connector: None,
        backups: &[],
        fetcher: None,
    };
    repair::run(&server, options, monitor).expect("a repair")
}

/// A server on which gold and derived files are missing, each with a copy elsewhere.
fn mendable() -> MadeUp {
    let made_up = MadeUp::small();
    let root = made_up.repository();
    for gold in made_up.files("gold").iter().take(3) {
        fs::remove_file(root.join(gold)).expect("gold");
    }
    made_up
}

#[test]
fn a_file_that_vanishes_is_not_mended() {
    let made_up = MadeUp::small();
    let root = made_up.repository();
    let catalog = Catalog::open(&snapshot(&made_up)).expect("a catalog");
    let scratch = tempfile::tempdir().expect("a directory");
    // A derived file whose contents are bad, and two that stand where FOSSology does not look.
    let golds: Vec<String> = made_up.files("gold");
    let is_gold = |path: &String| {
        let name = path.rsplit('/').next().expect("a name");
        golds.iter().any(|gold| gold.ends_with(name))
    };
    let derived: Vec<String> = made_up
        .files("files")
        .into_iter()
        .filter(|path| !is_gold(path))
        .collect();
    let bad = root.join(&derived[0]);
    let size = fs::metadata(&bad).expect("a file").len() as usize;
    fs::write(&bad, vec![b'#'; size]).expect("bad contents");
    let misplaced: Vec<_> = derived[1..3]
        .iter()
        .map(|path| {
            let (place, name) = (root.join(path), path.rsplit('/').next().expect("a name"));
            let elsewhere = root.join("localhost/files").join(name);
            fs::rename(&place, &elsewhere).expect("a move");
            (place, elsewhere)
        })
        .collect();
    let options = Options {
        check: fogold::check::Options {
            verify: true,
            ..options(scratch.path()).check
        },
        ..options(scratch.path())
    };
    let vanish = Meddles::at(1, || {
        fs::remove_file(&bad).expect("a bad file");
        // One is lost, the other was moved to its place by somebody.
        fs::remove_file(&misplaced[0].1).expect("a misplaced file");
        fs::rename(&misplaced[1].1, &misplaced[1].0).expect("a move");
    });
    let outcome = repair(&made_up, &catalog, &options, &vanish);
    let statuses = |kind| -> Vec<(MendingStatus, String)> {
        Severity::ALL
            .iter()
            .flat_map(|severity| {
                outcome
                    .findings
                    .first(*severity, kind, 10)
                    .expect("findings")
            })
            .map(|finding| finding.repair.expect("what was done"))
            .map(|mending| (mending.status, mending.why.unwrap_or_default()))
            .collect()
    };
    let mut moved = statuses(Kind::Misplaced);
    moved.sort_by_key(|(status, _)| *status == MendingStatus::Left);
    assert_eq!(moved.len(), 2, "{moved:?}");
    assert_eq!(moved[0].0, MendingStatus::Done, "{moved:?}");
    assert_eq!(moved[1].0, MendingStatus::Left, "{moved:?}");
    let corrupt = statuses(Kind::Corrupt);
    assert_eq!(corrupt.len(), 1);
    for (status, why) in [&corrupt[0], &moved[1]] {
        assert_eq!(*status, MendingStatus::Left);
        assert!(why.contains("no good copy stands in its place"), "{why}");
    }
    assert!(outcome.fails, "both are missing now");
}

#[test]
fn what_was_changed_before_a_failure_is_said() {
    let made_up = mendable();
    let root = made_up.repository();
    let (before, all) = (tree(&root), contents(&root));
    let saved = snapshot(&made_up);
    let scratch = tempfile::tempdir().expect("a directory");
    let undone = |outcome: &Outcome| {
        let run = outcome.run.as_deref().expect("a run");
        let layout = discover_layout(&root, Some(3)).expect("a layout");
        let there = Tree::open(&root, layout, Access::default()).expect("a repository");
        let undone = undo::run(&there, run, None, true, &Silent).expect("an undo");
        assert!(undone.undone > 0, "{undone:?}");
        assert_eq!(tree(&root), before);
        assert_nothing_lost(&all, &root, "undone");
    };

    // The catalog cannot be read any more when the links are made anew.
    let catalog = Catalog::open(&saved).expect("a catalog");
    let relink = Options {
        relink: true,
        ..options(scratch.path())
    };
    let kept = fs::read(&saved).expect("a catalog");
    let cut = Meddles::at(2, || {
        let file = fs::OpenOptions::new().write(true).open(&saved);
        file.and_then(|file| file.set_len(0)).expect("a cut");
    });
    let outcome = repair(&made_up, &catalog, &relink, &cut);
    assert!(!outcome.complete && outcome.trouble.is_some());
    undone(&outcome);

    // The scratch directory is full when the first findings have been taken up.
    fs::write(&saved, kept).expect("a catalog");
    let catalog = Catalog::open(&saved).expect("a catalog");
    let Some(disk) = SmallDisk::mount(8 << 20) else {
        return;
    };
    let fill = Meddles::at(1, || {
        let mut file = fs::File::create(disk.path().join("filler")).expect("a file");
        let _ = std::io::copy(&mut std::io::repeat(1), &mut file);
    });
    let outcome = repair(&made_up, &catalog, &options(disk.path()), &fill);
    assert!(!outcome.complete);
    let trouble = outcome.trouble.as_deref().unwrap_or_default();
    assert!(trouble.contains("No space left"), "{trouble}");
    undone(&outcome);
}
