//! A full disk, a disk with errors, a server that goes away, a person who does not want to wait.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use fogold::fixtures::ServerSpec;
use fogold::manifest::{SetKind, Types};
use fogold::monitor::Monitor;
use fogold::recover::files::{self, FilesError};
use fogold::repository::{Access, Tree, discover_layout};

use super::{database, two_hosts};
use crate::support::{Cluster, MadeStore, MadeUp, Site, skipped, tampered};

fn small_set() -> (MadeUp, MadeStore) {
    let made_up = MadeUp::small();
    let store = MadeStore::new();
    store.back_up(&made_up, SetKind::Full);
    (made_up, store)
}

/// A file system of its own, for as long as this lives.
struct Mounted(PathBuf);

impl Mounted {
    /// `None` where the tests may not mount, which is said.
    fn at(path: &Path, options: &str) -> Option<Mounted> {
        fs::create_dir(path).expect("a directory");
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(path)
            .output();
        match mount {
            Ok(output) if output.status.success() => Some(Mounted(path.to_owned())),
            _ => {
                skipped("no small file system can be mounted here");
                None
            }
        }
    }

    fn resize(&self, size: &str) {
        let mount = Command::new("mount")
            .arg("-o")
            .arg(format!("remount,size={size}"))
            .arg(&self.0)
            .status();
        assert!(mount.expect("mount runs").success());
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk() {
    let made_up = MadeUp::healthy(ServerSpec {
        files: 300,
        bytes: 8_000_000,
        per_upload: 10,
        ..ServerSpec::default()
    });
    let store = MadeStore::new();
    store.back_up(&made_up, SetKind::Full);
    let site = Site::new("full_disk");
    let Some(disk) = Mounted::at(&site.repository(), "size=3m,mode=0755") else {
        return;
    };
    let outcome = site.restore(&store).run();
    outcome.assert_code(3);
    assert_eq!(outcome.report()["complete"], false);
    let complaint = outcome.complaint();
    assert!(complaint.contains("No space left"), "{complaint}");
    assert!(
        complaint.contains("run the same command again"),
        "{complaint}"
    );
    // What has its place is whole, and nothing half is left in the way.
    let stored = store.pool();
    for (path, hash) in site.contents() {
        let name = super::last(&path).to_owned();
        assert!(stored.contains(&name), "{path}");
        let pooled = store
            .path()
            .join("pool")
            .join(&name[..2])
            .join(&name[2..4])
            .join(&name);
        assert_eq!(
            hash,
            blake3::hash(&fs::read(pooled).expect("contents")),
            "{path}"
        );
    }
    disk.resize("64m");
    let outcome = site.restore(&store).run();
    outcome.assert_code(0);
    assert_eq!(database(&outcome)["resumed"], true);
    site.assert_well();
    let left = fs::read_dir(site.repository().join("localhost/.fogold/staging"));
    assert_eq!(left.map_or(0, Iterator::count), 0, "half files are left");
}

#[test]
fn a_host_whose_storage_is_not_mounted() {
    let made_up = two_hosts(3);
    let store = MadeStore::new();
    store.back_up(&made_up, SetKind::Full);
    let hosts = ["north[] = * 00 7f", "south[] = * 80 ff"];
    let site = Site::with("no_storage", 3, &hosts, "");
    let gold = |more: &[&str]| {
        let outcome = site
            .restore(&store)
            .args(["--only", "gold"])
            .args(more)
            .run();
        outcome.assert_code(0);
        outcome.complaint()
    };
    // All is lost, or lay on one file system: both directories are to be filled.
    let complaint = gold(&["--dry-run"]);
    assert!(!complaint.contains("mounted"), "{complaint}");
    for path in ["", "north", "south"].map(|name| site.repository().join(name)) {
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o2770)).unwrap();
    }
    let complaint = gold(&["--dry-run"]);
    assert!(!complaint.contains("mounted"), "{complaint}");
    fs::remove_dir(site.repository().join("south")).unwrap();
    let Some(_south) = Mounted::at(&site.repository().join("south"), "size=30m,mode=2770") else {
        return;
    };
    for more in [&["--dry-run"][..], &["--dry-run", "--host", "north"], &[]] {
        let complaint = gold(more);
        assert!(
            complaint.contains("of host north, is empty, on the root's file system"),
            "{more:?}: {complaint}"
        );
        assert!(!complaint.contains("host south"), "{more:?}: {complaint}");
    }
    let complaint = gold(&[]);
    assert!(!complaint.contains("mounted"), "{complaint}");
}

#[test]
fn errors_of_the_disk() {
    let (_made_up, store) = small_set();
    for (number, with) in [
        "renameat2:error=EIO:when=40",
        "linkat:error=EIO:when=3",
        "fchmod:error=EROFS:when=30",
        "mkdirat:error=EDQUOT:when=20",
        "syncfs:error=EIO:when=1",
    ]
    .into_iter()
    .enumerate()
    {
        let site = Site::new(&format!("disk_errors_{number}"));
        let restore = site.restore(&store).args(["-j", "1"]);
        let Some(outcome) = tampered(restore, with) else {
            return;
        };
        outcome.assert_code(3);
        assert_eq!(outcome.report()["complete"], false, "{with}");
        let complaint = outcome.complaint();
        assert!(
            complaint.contains("in the repository"),
            "{with}: {complaint}"
        );
        site.restore(&store).run().assert_code(0);
        site.assert_well();
    }
}

#[test]
fn a_file_system_that_knows_no_renaming_without_replacing() {
    let (_made_up, store) = small_set();
    let site = Site::new("like_nfs");
    let with = "renameat2:error=EINVAL";
    let Some(outcome) = tampered(site.restore(&store), with) else {
        return;
    };
    outcome.assert_code(0);
    // What is bad has to leave its place, be it a file or a directory.
    let files = super::of_type(&site, "files");
    let root = site.repository();
    for (path, is_directory) in [(&files[3], true), (&files[4], false)] {
        fs::remove_file(root.join(path)).expect("it is there");
        match is_directory {
            true => fs::create_dir(root.join(path)).expect("a directory"),
            false => fs::write(root.join(path), "something else").expect("a file"),
        }
    }
    let restore = site.restore(&store).args(["--only", "files"]);
    let outcome = tampered(restore, with).expect("as before");
    outcome.assert_code(0);
    assert_eq!(super::files(&outcome)["quarantined"], 2);
    site.assert_well();
}

#[test]
fn the_database_server_ends_the_connection() {
    let made_up = MadeUp::small();
    made_up.go_live(Cluster::shared(), "cut_off_source");
    let store = MadeStore::new();
    store
        .fogold("backup")
        .args(["--full", "--sysconfdir"])
        .arg(made_up.sysconfdir())
        .run()
        .assert_code(0);
    let site = Site::new("cut_off");
    let is_over = AtomicBool::new(false);
    let outcome = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut client = Cluster::shared().connect("postgres");
            // As soon as there is something to take back.
            let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                       WHERE datname = 'cut_off' AND backend_xid IS NOT NULL";
            while !is_over.load(Ordering::Relaxed) {
                let ended = client.query(end, &[]).expect("rows");
                if !ended.is_empty() {
                    return;
                }
            }
        });
        let outcome = site.restore(&store).run();
        is_over.store(true, Ordering::Relaxed);
        outcome
    });
    outcome.assert_code(3);
    assert_eq!(site.tables(), 0, "half a database is left");
    assert_eq!(site.contents().len(), 0, "files before the database");
    site.restore(&store).run().assert_code(0);
    site.assert_well();
}

#[test]
fn interrupted_it_ends_at_once_and_goes_on_later() {
    let (_made_up, store) = small_set();
    let site = Site::new("interrupted_restore");
    for with in [
        "sendto:signal=INT:when=40",
        "renameat2:signal=TERM:when=20",
        "linkat:signal=INT:when=5",
    ] {
        let restore = site.restore(&store).args(["-j", "1"]);
        let Some(outcome) = tampered(restore, with) else {
            return;
        };
        outcome.assert_code(3);
        let report = outcome.report();
        assert_eq!(report["complete"], false, "{with}");
        assert_eq!(report["command"], "restore");
    }
    site.restore(&store).run().assert_code(0);
    site.assert_well();
}

#[test]
fn two_at_once() {
    let (_made_up, store) = small_set();
    let site = Site::new("two_at_once");
    fs::create_dir(site.repository()).expect("a directory");
    let other = fs::File::open(site.repository()).expect("the root");
    rustix::fs::flock(&other, rustix::fs::FlockOperation::LockExclusive).expect("a lock");
    let restore = || site.restore(&store).args(["--only", "gold"]);
    let outcome = restore().run();
    outcome.assert_code(3);
    let complaint = outcome.complaint();
    assert!(
        complaint.contains("another restore is at work"),
        "{complaint}"
    );
    // A look is possible all the same.
    restore().arg("--dry-run").run().assert_code(0);
    drop(other);
    restore().run().assert_code(0);
}

/// Asks to stop as soon as anything has been read.
#[derive(Default)]
struct StopsOnceRead(AtomicBool);

impl Monitor for StopsOnceRead {
    fn advance(&self, _steps: u64, bytes: u64) {
        self.0.fetch_or(bytes > 0, Ordering::Relaxed);
    }

    fn stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[test]
fn what_was_not_read_to_its_end_is_not_judged() {
    let (_made_up, store) = small_set();
    let site = Site::new("stopped_while_reading");
    let gold = || site.restore(&store).args(["--only", "gold"]);
    gold().run().assert_code(0);
    // All are bad, but that shows at their ends only.
    for path in super::of_type(&site, "gold") {
        let mut text = fs::read(site.repository().join(&path)).expect("gold");
        let last = text.len() - 1;
        text[last] ^= 1;
        fs::write(site.repository().join(&path), text).expect("gold");
    }
    let before = site.standing();
    let (opened, id) = (store.open(), store.newest());
    let id = id.parse().expect("the id of a set");
    let record = opened.record(id).expect("a record");
    let layout = discover_layout(&site.repository(), None).expect("a layout");
    let tree = Tree::open(&site.repository(), layout, Access::default()).expect("a tree");
    let request = files::Request {
        store: &opened,
        id,
        record: &record,
        types: Types::GOLD,
        host: None,
        fetcher: None,
        run: "stopped",
        threads: 1,
        dry_run: false,
    };
    let restored = files::restore(&request, &tree, &StopsOnceRead::default());
    assert!(matches!(restored, Err(FilesError::Stopped)), "{restored:?}");
    assert_eq!(site.standing(), before);
}
