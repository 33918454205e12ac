//! A full disk, an upload between plan and act, links that lead elsewhere, two at once.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use fogold::catalog::rows::Micros;
use fogold::catalog::{Catalog, CatalogError, LiveRows, RowNow};
use fogold::check::{self, Action, FailOn, Kind, MendingStatus, Severity, Slice};
use fogold::monitor::{Monitor, Phase};
use fogold::recover::repair::{self, Options, Server};
use fogold::repository::{Access, LowImpact, RepositoryName, Tree, discover_layout};
use fogold::sysconf::RepositoryType;

use super::{assert_nothing_lost, assert_same, contents, copy, damaged, mend, tree};
use crate::support::{Fogold, MadeStore, MadeUp, SmallDisk};
use fogold::manifest::SetKind;

/// A database in which somebody uploads every orphan once the repair has begun: after it was asked so
/// many times.
struct Uploads {
    after: usize,
    /// How often it was asked since the repair began; before that, far too seldom.
    asked: AtomicUsize,
}

const NOT_YET: usize = usize::MAX / 2;

impl Monitor for Uploads {
    fn phase(&self, phase: Phase, _total: Option<u64>) {
        if phase == Phase::Repair {
            self.asked.store(0, Ordering::Relaxed);
        }
    }
}

impl LiveRows for Uploads {
    fn rows_now(
        &self,
        names: &[(RepositoryName, Vec<i32>)],
    ) -> Result<Vec<(RepositoryName, RowNow)>, CatalogError> {
        let asked = self.asked.load(Ordering::Relaxed);
        if asked >= NOT_YET || asked < self.after {
            if asked < NOT_YET {
                self.asked.store(asked + 1, Ordering::Relaxed);
            }
            return Ok(Vec::new());
        }
        let used = RowNow {
            exists: true,
            in_gold: true,
            in_files: true,
        };
        Ok(names.iter().map(|(name, _)| (*name, used)).collect())
    }

    fn temporary_trees_in_use_since(&self) -> Result<Option<Micros>, CatalogError> {
        Ok(Some(0))
    }
}

/// The catalog of a server, as a file.
pub(super) fn snapshot(made_up: &MadeUp) -> PathBuf {
    let saved = made_up.directory().join("catalog");
    let snapshot = Fogold::new(["snapshot", "-o"]).arg(&saved).arg("--catalog");
    snapshot
        .arg(made_up.dump())
        .arg("--repository")
        .arg(made_up.repository())
        .run()
        .assert_code(0);
    saved
}

/// All that can be done without a database.
pub(super) fn options(scratch: &Path) -> Options {
    Options {
        apply: true,
        actions: Action::ALL.to_vec(),
        urls: None,
        min_age: std::time::Duration::ZERO,
        max_share: 100,
        relink: false,
        fill_sha256: false,
        fail_on: FailOn::default(),
        check: check::Options {
            types: vec![RepositoryType::Gold, RepositoryType::Files],
            verify: false,
            sha256: false,
            slice: Slice::ALL,
            allow_empty: false,
            threads: 1,
            scratch: scratch.to_owned(),
            low_impact: LowImpact::default(),
        },
    }
}

#[test]
fn what_is_uploaded_between_plan_and_act_stays() {
    let made_up = damaged("repair_raced");
    let root = made_up.repository();
    let catalog = Catalog::open(&snapshot(&made_up)).expect("a catalog");
    let layout = discover_layout(&root, Some(3)).expect("a layout");
    let scratch = tempfile::tempdir().expect("a directory");
    let options = Options {
        actions: vec![Action::Quarantine],
        ..options(scratch.path())
    };
    // At the last look before the move, and at the one after it.
    for (after, why) in [(0, "a row knows it now"), (1, "it is back")] {
        let database = Uploads {
            after,
            asked: AtomicUsize::new(NOT_YET),
        };
        let tree_there = Tree::open(&root, layout.clone(), Access::default()).expect("a tree");
        let server = Server {
            tree: &tree_there,
            catalog: &catalog,
            live: Some(&database),
            connector: None,
            backups: &[],
            fetcher: None,
        };
        let outcome = repair::run(&server, &options, &database).expect("a repair");
        let mut findings = outcome
            .findings
            .first(Severity::Waste, Kind::Orphan, 100)
            .expect("findings");
        let orphan = findings.remove(0);
        let path = orphan.tree_path().expect("a path");
        assert!(root.join(path.as_path()).exists());
        let first = orphan.repair.expect("what was done");
        assert_eq!(first.status, MendingStatus::Left);
        assert!(
            first.why.as_deref().is_some_and(|text| text.contains(why)),
            "{first:?}"
        );
        // A temporary tree that an open job may use stays as well.
        let abandoned = outcome
            .findings
            .first(Severity::Waste, Kind::Abandoned, 1)
            .expect("findings");
        let left = abandoned[0].repair.as_ref().expect("what was done");
        assert_eq!(left.status, MendingStatus::Left, "{left:?}");
        drop(tree_there);
    }
}

#[test]
fn a_full_disk() {
    let made_up = MadeUp::small();
    let store = MadeStore::new();
    store.back_up(&made_up, SetKind::Full);
    let Some(disk) = SmallDisk::mount(64 << 20) else {
        return;
    };
    let root = disk.path();
    copy(&made_up.repository(), root);
    let whole = tree(root);
    for path in made_up
        .files("files")
        .iter()
        .step_by(2)
        .chain(&made_up.files("gold"))
    {
        fs::remove_file(root.join(path)).expect("a file");
    }
    let left = contents(root);
    let free = rustix::fs::statvfs(root).expect("a file system");
    disk.resize((free.f_blocks - free.f_bfree) * free.f_frsize + 100 * 1024);
    let again = || {
        Fogold::new(["repair", "--apply", "--format", "ndjson", "--from"])
            .arg(store.path())
            .arg("--repository")
            .arg(root)
            .arg("--catalog")
            .arg(made_up.dump())
    };
    let outcome = again().run();
    outcome.assert_code(3);
    let report = outcome.report();
    assert_eq!(report["complete"], false);
    let trouble = report["coverage"]["repair"]["trouble"]
        .as_str()
        .expect("why");
    assert!(trouble.contains("no room is left for"), "{trouble}");
    assert_nothing_lost(&left, root, "a full disk");
    for (path, there) in tree(root) {
        assert_eq!(whole.get(&path).map(|was| was.1), Some(there.1), "{path}");
    }
    disk.resize(64 << 20);
    again().run().assert_code(0);
    assert_same(&tree(root), &whole);

    // Not even the first line of a journal finds room: nothing is done, and none is left.
    let journals = || {
        let there = fs::read_dir(root.join("localhost/.fogold/repair"));
        there.expect("journals").count()
    };
    let before = journals();
    let gold = &made_up.files("gold")[0];
    fs::remove_file(root.join(gold)).expect("gold");
    let without = tree(root);
    let used = rustix::fs::statvfs(root).expect("a file system");
    disk.resize((used.f_blocks - used.f_bfree) * used.f_frsize);
    let outcome = again().run();
    outcome.assert_code(3);
    let report = outcome.report();
    let trouble = report["coverage"]["repair"]["trouble"].as_str();
    assert!(
        trouble.is_some_and(|text| text.contains("cannot write the journal")),
        "{report}"
    );
    assert_eq!(journals(), before);
    assert_same(&tree(root), &without);
}

#[test]
fn no_link_leads_out_and_nobody_else_is_at_work() {
    let made_up = damaged("repair_links");
    let root = made_up.repository();
    let outside = tempfile::tempdir().expect("a directory");
    let all = contents(&root);
    symlink(outside.path(), root.join("localhost/.fogold")).expect("a link");
    let before = tree(&root);
    let outcome = mend(&made_up).run();
    outcome.assert_code(3);
    assert_eq!(
        fs::read_dir(outside.path()).expect("a directory").count(),
        0
    );
    assert_eq!(tree(&root), before, "nothing is done without a journal");
    assert_nothing_lost(&all, &root, "a link");
    fs::remove_file(root.join("localhost/.fogold")).expect("a link");

    let held = fs::File::open(&root).expect("the root");
    let lock = rustix::fs::FlockOperation::NonBlockingLockExclusive;
    rustix::fs::flock(&held, lock).expect("a lock");
    let outcome = mend(&made_up).run();
    outcome.assert_code(3);
    let complaint = outcome.complaint();
    assert!(
        complaint.contains("another repair is at work"),
        "{complaint}"
    );
    let requeue = Fogold::new(["requeue", "--clean", "--sysconfdir"]).arg(made_up.sysconfdir());
    let outcome = requeue.run();
    outcome.assert_code(3);
    let complaint = outcome.complaint();
    assert!(
        complaint.contains("a restore or a repair is at work"),
        "{complaint}"
    );
}
