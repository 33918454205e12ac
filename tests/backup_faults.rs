//! The world is in the way: no backup that did not end well is a set, and no finished set suffers.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use fogold::fixtures::ServerSpec;
use fogold::store::WriteLock;

use crate::support::{
    Cluster, ClusterOptions, Fogold, MadeStore, MadeUp, SmallDisk, Unprivileged, kinds,
};
use crate::work_in_progress::while_it_works;

/// The finished sets of a store.
fn finished(store: &MadeStore) -> usize {
    let sets = store.open().sets(&fogold::monitor::Silent);
    sets.expect("the sets").len()
}

/// Directories of sets that were begun and not finished.
fn partials(store: &MadeStore) -> usize {
    let sets = store.sets();
    sets.iter()
        .filter(|name| name.starts_with(".partial-"))
        .count()
}

#[test]
fn store_and_repository_lie_apart() {
    let made_up = MadeUp::small();
    let root = made_up.repository();
    let before = fs::read_dir(&root).expect("a directory").count();
    std::os::unix::fs::symlink(&root, made_up.directory().join("link")).expect("a link");
    for place in [
        root.clone(),
        root.join("store"),
        root.join("localhost/gold/00/store"),
        made_up.directory().join("link/store"),
        root.parent().expect("a directory").to_owned(),
    ] {
        let outcome = Fogold::new(["backup", "--full", "--repository"])
            .arg(&root)
            .arg("--dump")
            .arg(made_up.dump())
            .arg(&place)
            .run();
        outcome.assert_code(2);
        assert!(
            outcome.complaint().contains("one inside the other"),
            "{}",
            outcome.complaint()
        );
        assert!(!place.join("store.json").exists());
        assert_eq!(fs::read_dir(&root).expect("a directory").count(), before);
    }
}

#[test]
fn a_store_of_a_newer_format_and_what_is_no_store() {
    let made_up = MadeUp::small();
    let store = MadeStore::new();
    let file = store.path().join("store.json");
    let text = fs::read_to_string(&file).expect("a store");
    fs::write(&file, text.replace("\"format\": 1", "\"format\": 2")).expect("a store");
    let before = store.everything();
    let outcome = store.backup_of(&made_up, "--full").run();
    outcome.assert_code(2);
    assert!(
        outcome.complaint().contains("format 2"),
        "{}",
        outcome.complaint()
    );
    assert_eq!(store.everything(), before);
    let home = MadeStore::nowhere();
    fs::create_dir(home.path()).expect("a directory");
    fs::write(home.path().join("letter"), "mine").expect("a file");
    home.backup_of(&made_up, "--full").run().assert_code(2);
    assert_eq!(fs::read_dir(home.path()).expect("a directory").count(), 1);
}

#[test]
fn one_backup_at_a_time() {
    let made_up = MadeUp::small();
    let store = MadeStore::new();
    let lock = WriteLock::take(&store.open(), "backup").expect("the lock");
    let marker = made_up.directory().join("stopped");
    let outcome = store
        .backup_of(&made_up, "--full")
        .args(["--start-scheduler", "false", "--stop-scheduler"])
        .arg(format!("touch '{}'", marker.display()))
        .run();
    outcome.assert_code(3);
    let owner = format!("by fogold backup (process {}", std::process::id());
    assert!(
        outcome.complaint().contains(&owner),
        "{}",
        outcome.complaint()
    );
    assert!(!marker.exists(), "the other one's scheduler was stopped");
    assert_eq!(outcome.report()["complete"], false);
    drop(lock);
    store.backup_of(&made_up, "--full").run().assert_code(0);
    // The text of one that died locks nothing.
    fs::write(
        store.path().join("state/lock"),
        "{\"command\":\"backup\",\"pid\":1}",
    )
    .expect("a text");
    std::thread::sleep(Duration::from_millis(1_050));
    store.backup_of(&made_up, "--full").run().assert_code(0);
}

#[test]
fn a_full_disk_costs_no_finished_set() {
    let made_up = MadeUp::healthy(ServerSpec {
        files: 400,
        bytes: 3_000_000,
        per_upload: 20,
        ..ServerSpec::default()
    });
    let Some(disk) = SmallDisk::mount(24 << 20) else {
        return;
    };
    let place = disk.path().join("store");
    let backup = |kind: &str| {
        Fogold::new(["backup", kind, "--format", "ndjson", "--repository"])
            .arg(made_up.repository())
            .arg("--dump")
            .arg(made_up.dump())
            .arg(&place)
            .run()
    };
    backup("--gold-only").assert_code(0);
    let used = || {
        let stat = rustix::fs::statvfs(disk.path()).expect("a file system");
        (stat.f_blocks - stat.f_bfree) * stat.f_frsize
    };
    let dump = fs::metadata(made_up.dump()).expect("a dump").len();
    let verified = || {
        Fogold::new(["verify"]).arg(&place).run().assert_code(0);
    };
    // Full in the midst of the dump, of the catalog, and of contents, small and large.
    let mut failures = 0;
    for room in [
        dump / 2,
        dump + 8_192,
        dump + 200_000,
        dump + 700_000,
        dump + 1_500_000,
    ] {
        // Whatever an earlier try has left is swept first, so the room is what is said.
        for entry in fs::read_dir(place.join("sets")).expect("sets").flatten() {
            if entry.file_name().to_string_lossy().starts_with(".partial-") {
                fs::remove_dir_all(entry.path()).expect("a partial set");
            }
        }
        disk.resize((used() + room).div_ceil(4096) * 4096);
        let outcome = backup("--full");
        outcome.assert_code(3);
        failures += 1;
        assert!(
            outcome.complaint().contains("No space left"),
            "{room}: {}",
            outcome.complaint()
        );
        assert_eq!(outcome.report()["complete"], false);
        disk.resize(64 << 20);
        verified();
    }
    assert_eq!(failures, 5);
    // Nights of it do not pile up dumps.
    disk.resize((used() + dump + 100_000).div_ceil(4096) * 4096);
    let mut left = Vec::new();
    for _ in 0..3 {
        std::thread::sleep(Duration::from_millis(1_050));
        backup("--full").assert_code(3);
        left.push(used());
    }
    assert!(left[2] < left[0] + dump, "{left:?}");
    // Prune can make room although a backup was cut short.
    Fogold::new(["prune", "--keep-last", "1", "--apply"])
        .arg(&place)
        .run()
        .assert_code(0);
    disk.resize(64 << 20);
    std::thread::sleep(Duration::from_millis(1_050));
    backup("--full").assert_code(0);
    verified();
    let undisturbed = MadeStore::nowhere();
    undisturbed
        .backup_of(&made_up, "--gold-only")
        .run()
        .assert_code(0);
    undisturbed
        .backup_of(&made_up, "--full")
        .run()
        .assert_code(0);
    assert_eq!(pool_of(&place), pool_of(&undisturbed.path()));
    let names = fs::read_dir(place.join("sets")).expect("sets").flatten();
    assert!(
        names
            .into_iter()
            .all(|entry| !entry.file_name().to_string_lossy().starts_with('.'))
    );
}

/// What `sha1sum` says of a pool.
fn pool_of(store: &Path) -> String {
    let output = Command::new("sh")
        .args(["-c", "find . -type f -print0 | sort -z | xargs -0 sha1sum"])
        .current_dir(store.join("pool"))
        .output();
    String::from_utf8(output.expect("a shell").stdout).expect("UTF-8")
}

#[test]
fn a_database_that_is_lost_in_the_midst_of_the_dump() {
    let cluster = Cluster::start(&ClusterOptions::default());
    let made_up = MadeUp::small();
    made_up.go_live(&cluster, "backup_lost");
    let store = MadeStore::nowhere();
    store
        .backup(["--full", "--sysconfdir"])
        .arg(made_up.sysconfdir())
        .run()
        .assert_code(0);
    // A locked table holds the dump up; its server process is then ended.
    let mut other = cluster.connect("backup_lost");
    let mut transaction = other.transaction().expect("a transaction");
    transaction
        .batch_execute("LOCK TABLE jobqueue IN ACCESS EXCLUSIVE MODE")
        .expect("a lock");
    let mut running = store
        .backup(["--full", "--sysconfdir"])
        .arg(made_up.sysconfdir())
        .start();
    let mut observer = cluster.connect("postgres");
    let start = Instant::now();
    loop {
        let ended = observer
            .query(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE query LIKE 'LOCK TABLE%' AND wait_event_type = 'Lock'",
                &[],
            )
            .expect("an answer");
        if !ended.is_empty() {
            break;
        }
        assert!(running.is_at_work() && start.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(10));
    }
    let outcome = running.end_within(Duration::from_secs(20));
    outcome.assert_code(3);
    assert!(
        outcome.complaint().contains("terminat"),
        "{}",
        outcome.complaint()
    );
    transaction.rollback().expect("an end");
    assert_eq!(finished(&store), 1);
    // All of it is gone.
    let sysconfdir = made_up.sysconfdir();
    drop((other, observer, cluster));
    store
        .backup(["--full", "--sysconfdir"])
        .arg(&sysconfdir)
        .run()
        .assert_code(3);
    assert_eq!(finished(&store), 1);
    store.assert_whole();
    let dumped = store.backup_of(&made_up, "--full").run();
    dumped.assert_code(0);
    assert_eq!(partials(&store), 0);
}

#[test]
fn a_database_that_is_lost_before_the_second_look() {
    let cluster = Cluster::start(&ClusterOptions::default());
    let made_up = MadeUp::small();
    made_up.go_live(&cluster, "backup_second_look");
    let gold = made_up.files("gold").remove(0);
    let name = gold.rsplit('/').next().expect("a name").to_owned();
    fs::remove_file(made_up.repository().join(&gold)).expect("it is there");
    fs::remove_file(made_up.place("files", &name)).expect("it is there");
    let store = MadeStore::nowhere();
    let mut running = store
        .backup(["--full", "--dump", "-", "--catalog"])
        .arg(cluster.conninfo("backup_second_look"))
        .arg("--sysconfdir")
        .arg(made_up.sysconfdir())
        .start();
    let start = Instant::now();
    while !store.path().join("sets").exists() || partials(&store) == 0 {
        assert!(running.is_at_work() && start.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(10));
    }
    drop(cluster);
    let dump = fs::read(made_up.dump()).expect("a dump");
    let mut stdin = running.stdin.take().expect("a pipe");
    std::io::Write::write_all(&mut stdin, &dump).expect("a dump");
    drop(stdin);
    // The set is whole; what is missing may have been deleted meanwhile, and nobody can tell.
    let outcome = running.end_within(Duration::from_secs(60));
    outcome.assert_code(3);
    assert!(
        outcome.complaint().contains("cannot be asked again"),
        "{}",
        outcome.complaint()
    );
    assert_eq!(outcome.report()["complete"], false);
    assert_eq!(kinds(&outcome.findings())["missing-gold"], 1);
    assert_eq!(store.record(&store.newest())["complete"], false);
    store.assert_verified();
}

#[test]
fn dumps_that_are_none_or_not_whole() {
    let made_up = MadeUp::small();
    let store = MadeStore::nowhere();
    store.backup_of(&made_up, "--full").run().assert_code(0);
    let whole = fs::read(made_up.dump()).expect("a dump");
    let place = tempfile::tempdir().expect("a directory");
    let backup = |bytes: &[u8]| {
        let file = place.path().join("given.sql");
        fs::write(&file, bytes).expect("a file");
        let command = |name: &str| {
            Fogold::new([name, "--format", "ndjson", "--repository"]).arg(made_up.repository())
        };
        let checked = command("check").arg("--catalog").arg(&file).run();
        let outcome = command("backup")
            .arg("--full")
            .arg("--dump")
            .arg(&file)
            .arg(store.path())
            .run();
        assert_eq!(outcome.code, checked.code, "{}", outcome.complaint());
        outcome
    };
    let wiki = b"--\n-- PostgreSQL database dump\n--\n\nCREATE TABLE public.page (id integer);\n\
        COPY public.page (id) FROM stdin;\n1\n\\.\n\n--\n-- PostgreSQL database dump complete\n--\n\n";
    for (bytes, codes) in [
        (&whole[..whole.len() / 2], &[3][..]),
        (&whole[..whole.len() - 200], &[3]),
        (&[], &[2, 3]),
        (wiki, &[2, 3]),
        (b"PGDMP cut", &[2, 3]),
    ] {
        let outcome = backup(bytes);
        assert!(
            codes.contains(&outcome.code.expect("an exit status")),
            "{}",
            outcome.complaint()
        );
        assert_eq!(finished(&store), 1);
    }
    store
        .backup(["--full", "--repository"])
        .arg(made_up.repository())
        .args(["--dump", "/nowhere/at/all.sql"])
        .run()
        .assert_code(3);
    store.assert_whole();
    let last = fs::read_dir(store.path().join("sets"))
        .expect("sets")
        .count();
    assert!(last <= 8);
    std::thread::sleep(Duration::from_millis(1_050));
    store.backup_of(&made_up, "--full").run().assert_code(0);
    assert_eq!(partials(&store), 0);
}

#[test]
fn a_repository_that_is_not_mounted_makes_no_empty_set() {
    let made_up = MadeUp::small();
    let store = MadeStore::nowhere();
    store.backup_of(&made_up, "--full").run().assert_code(0);
    let root = made_up.repository();
    fs::rename(
        root.join("localhost"),
        made_up.directory().join("elsewhere"),
    )
    .expect("a move");
    fs::create_dir(root.join("localhost")).expect("an empty one");
    for kind in ["--gold-only", "--full"] {
        let outcome = store.backup_of(&made_up, kind).run();
        outcome.assert_code(3);
        assert!(
            outcome.complaint().contains("mounted"),
            "{}",
            outcome.complaint()
        );
    }
    assert_eq!(finished(&store), 1);
    store.assert_whole();
}

#[test]
fn a_directory_that_cannot_be_read_makes_the_set_incomplete() {
    let made_up = MadeUp::small();
    let other = Unprivileged::new();
    let store = MadeStore::nowhere();
    let scratch = store.path();
    let scratch = scratch.parent().expect("a directory");
    other.own(scratch);
    let gold = made_up.files("gold").remove(0);
    let name = gold.rsplit('/').next().expect("a name").to_owned();
    fs::remove_file(made_up.place("files", &name)).expect("it is there");
    let shut = made_up.repository().join(&gold);
    let shut = shut.parent().expect("a directory");
    for directory in [made_up.directory(), made_up.repository()] {
        Command::new("chmod")
            .arg("-R")
            .arg("a+rX")
            .arg(directory)
            .status()
            .expect("chmod runs");
    }
    fs::set_permissions(shut, fs::Permissions::from_mode(0o000)).expect("its mode");
    let dump = made_up.dump();
    Command::new("chmod")
        .arg("a+r")
        .arg(&dump)
        .status()
        .expect("chmod runs");
    let outcome = other.run_as(store.backup_of(&made_up, "--gold-only")).run();
    fs::set_permissions(shut, fs::Permissions::from_mode(0o2770)).expect("its mode");
    outcome.assert_code(3);
    assert_eq!(kinds(&outcome.findings())["unreadable"], 1);
    let report = outcome.report();
    assert_eq!(report["complete"], false);
    let id = store.newest();
    assert_eq!(store.record(&id)["complete"], false);
    assert!(!store.names_of(&id).contains(&name));
    // The dump knows the gold and the set has not got it: that is never called good.
    let outcome = store.fogold("verify").args(["--format", "ndjson"]).run();
    outcome.assert_code(1);
    let findings = outcome.findings();
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(findings[0]["kind"], "missing-gold");
    assert_eq!(findings[0]["severity"], "loss");
    assert_eq!(findings[0]["name"], name.as_str());
    let sets = store.fogold("sets").run();
    assert!(sets.text().contains("not complete"), "{}", sets.text());
}

#[test]
fn a_server_that_works_meanwhile() {
    let cluster = Cluster::shared();
    let made_up = MadeUp::small();
    made_up.go_live(cluster, "backup_in_progress");
    let store = MadeStore::nowhere();
    let (mut runs, mut gone) = (0, 0);
    let (added, deleted) = while_it_works(cluster, "backup_in_progress", &made_up, || {
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(10) {
            for kind in ["--full", "--gold-only"] {
                let outcome = store
                    .backup([kind, "--sysconfdir"])
                    .arg(made_up.sysconfdir())
                    .run();
                outcome.assert_code(0);
                assert_eq!(outcome.report()["complete"], true);
                for finding in outcome.findings() {
                    let kind = finding["kind"].as_str().expect("a kind");
                    assert!(
                        matches!(
                            kind,
                            "deleted-meanwhile" | "unfinished-upload" | "upload-without-pfile"
                        ),
                        "{finding}"
                    );
                    gone += usize::from(kind == "deleted-meanwhile");
                }
                runs += 1;
            }
        }
    });
    assert!(
        runs >= 6 && added > 10 && deleted > 5,
        "{runs} {added} {deleted}"
    );
    assert!(gone > 0, "nothing was deleted under a backup");
    // Each agrees with its own dump: what is in neither manifest nor findings would show.
    store.assert_verified();
    store.assert_whole();
}

#[test]
fn first_backups_at_once_make_one_store() {
    let made_up = MadeUp::small();
    for _ in 0..5 {
        let store = MadeStore::nowhere();
        let running: Vec<_> = (0..4)
            .map(|_| store.backup_of(&made_up, "--gold-only").start())
            .collect();
        let ends: Vec<_> = running
            .into_iter()
            .map(|running| running.end_within(Duration::from_secs(60)))
            .collect();
        assert!(ends.iter().any(|end| end.code == Some(0)));
        for end in ends.iter().filter(|end| end.code != Some(0)) {
            end.assert_code(3);
            assert!(end.complaint().contains("is in use"), "{}", end.complaint());
        }
        store.assert_verified();
    }
}
