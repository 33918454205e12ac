//! The next backup: what the store has is not copied again, what it lacks is, and what is damaged
//! takes the place of nothing that is good.

use std::collections::BTreeSet;
use std::fs::{self, File, FileTimes};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use fogold::fixtures::ServerSpec;
use serde_json::Value;

use crate::support::{MadeStore, MadeUp, Outcome, SmallDisk, kinds, skipped};

/// Sets bear the second in which they were begun.
fn a_second_later() {
    std::thread::sleep(Duration::from_millis(1_050));
}

/// How many files were new in the last set.
fn new_files(store: &MadeStore) -> u64 {
    let record = store.record(&store.newest());
    record["counts"]["new"]["files"].as_u64().expect("a number")
}

fn name_of(path: &str) -> String {
    path.rsplit('/').next().expect("a name").to_owned()
}

/// Overwrites the first bytes; the length stays.
fn damage(path: &Path) {
    let mut bytes = fs::read(path).expect("a file");
    let replaced = b"damaged!".iter().cycle();
    bytes
        .iter_mut()
        .zip(replaced)
        .take(40)
        .for_each(|(to, from)| *to = *from);
    fs::set_permissions(path, fs::Permissions::from_mode(0o660)).expect("its mode");
    fs::write(path, bytes).expect("a file");
}

/// A gold whose copy in files is another inode, and whose size is not 0.
fn a_gold(made_up: &MadeUp, number: usize) -> String {
    let inode = |ty, name: &str| fs::metadata(made_up.place(ty, name)).expect("a file").ino();
    let golds = made_up.files("gold");
    let mut fitting = golds
        .iter()
        .map(|path| name_of(path))
        .filter(|name| !name.ends_with(".0") && inode("gold", name) != inode("files", name));
    fitting.nth(number).expect("a gold")
}

/// Runs a backup and lists the files of repository and pool that it opened, by name. `None` when
/// the tests may not trace.
fn opened(store: &MadeStore, made_up: &MadeUp, kind: &str) -> Option<(Outcome, BTreeSet<String>)> {
    let log = made_up.directory().join("opened");
    let mut strace = Command::new("strace");
    strace
        .args(["-f", "-q", "-e", "trace=open,openat,openat2", "-o"])
        .arg(&log);
    if Command::new("strace").arg("-V").output().is_err() {
        skipped("strace is missing");
        return None;
    }
    let outcome = store.backup_of(made_up, kind).behind(strace, None).run();
    let Ok(text) = fs::read_to_string(&log) else {
        skipped("strace cannot trace");
        return None;
    };
    let is_name = |text: &&str| text.parse::<fogold::repository::RepositoryName>().is_ok();
    let names = text
        .lines()
        .filter_map(|line| line.split('"').nth(1))
        .filter_map(|path| path.rsplit('/').next().filter(is_name))
        .map(str::to_owned)
        .collect();
    Some((outcome, names))
}

/// The golds of the newest set that have a URL: their first bytes tell whether they are tars.
fn from_urls(store: &MadeStore) -> BTreeSet<String> {
    let entries = store.entries(&store.newest());
    let with_url = entries.iter().filter(|entry| entry.get("urls").is_some());
    let name = |entry: &Value| entry["name"].as_str().expect("a name").to_owned();
    with_url.map(name).collect()
}

#[test]
fn what_the_store_has_is_not_read_again() {
    let made_up = MadeUp::small();
    let store = MadeStore::nowhere();
    let Some((first, all)) = opened(&store, &made_up, "--full") else {
        return;
    };
    first.assert_code(0);
    assert_eq!(all.len(), store.pool().len(), "the first one opens each");
    let before = store.newest();
    // FOSSology touches what it reads.
    for ty in ["gold", "files", "license"] {
        for path in made_up.files(ty) {
            let file = File::open(made_up.repository().join(path)).expect("a file");
            let now = SystemTime::now() + Duration::from_secs(60);
            file.set_times(FileTimes::new().set_modified(now))
                .expect("times");
        }
    }
    for kind in ["--full", "--gold-only"] {
        a_second_later();
        let (again, names) = opened(&store, &made_up, kind).expect("as before");
        again.assert_code(0);
        let expected = from_urls(&store);
        assert!(names.is_subset(&expected), "{kind}: {names:?}");
        assert_eq!(new_files(&store), 0);
        assert_ne!(store.newest(), before);
    }
    assert!(store.entries(&before) == store.entries(&store.sets()[1]));
    store.assert_verified();
}

#[test]
fn what_the_pool_lacks_is_copied_and_nothing_else() {
    let made_up = MadeUp::small();
    let store = MadeStore::nowhere();
    store.backup_of(&made_up, "--full").run().assert_code(0);
    let whole = store.everything();
    let pool: Vec<PathBuf> = store
        .pool()
        .iter()
        .filter(|name| !name.ends_with(".0"))
        .map(|name| {
            store
                .open()
                .layout()
                .pool_path(&name.parse().expect("a name"))
        })
        .collect();
    fs::remove_file(&pool[0]).expect("it is there");
    File::options()
        .write(true)
        .open(&pool[1])
        .expect("a file")
        .set_len(1)
        .expect("a length");
    File::options()
        .write(true)
        .open(&pool[2])
        .expect("a file")
        .set_len(1 << 20)
        .expect("a length");
    fs::remove_file(&pool[3]).expect("it is there");
    std::os::unix::fs::symlink(
        made_up.place("files", &name_of(&pool[3].display().to_string())),
        &pool[3],
    )
    .expect("a link");
    a_second_later();
    let Some((outcome, names)) = opened(&store, &made_up, "--full") else {
        return;
    };
    outcome.assert_code(0);
    let gone: BTreeSet<String> = pool[..4]
        .iter()
        .map(|path| name_of(&path.display().to_string()))
        .collect();
    let expected: BTreeSet<String> = from_urls(&store).union(&gone).cloned().collect();
    assert!(names.is_subset(&expected), "{names:?}");
    assert_eq!(new_files(&store), 4);
    let after = store.everything();
    for (path, digest) in whole.iter().filter(|(path, _)| path.starts_with("pool/")) {
        assert_eq!(after.get(path), Some(digest), "{path}");
    }
    assert!(fs::symlink_metadata(&pool[3]).expect("a file").is_file());
    store.assert_verified();
}

/// Whatever sets vouch for: name and length of each file are looked at, every time.
#[test]
fn what_was_cut_or_removed_in_the_pool_is_copied_again() {
    let made_up = MadeUp::small();
    let store = MadeStore::nowhere();
    for _ in 0..2 {
        store.backup_of(&made_up, "--full").run().assert_code(0);
        // A clock of the file system that ticks seldom tells nothing of what happens next.
        std::thread::sleep(Duration::from_millis(3_100));
    }
    let place = |number| {
        let name = a_gold(&made_up, number).parse().expect("a name");
        store.open().layout().pool_path(&name)
    };
    let [cut, gone] = [place(0), place(1)];
    let good = fs::read(&cut).expect("contents");
    let file = File::options().write(true).open(&cut).expect("a file");
    file.set_len(1).expect("a length");
    fs::remove_file(&gone).expect("it is there");
    store.backup_of(&made_up, "--full").run().assert_code(0);
    assert_eq!(new_files(&store), 2);
    assert!(gone.exists());
    assert!(fs::read(&cut).expect("contents") == good);
    store.assert_verified();
}

#[test]
fn a_directory_of_the_pool_that_is_a_link_ends_the_backup() {
    let made_up = MadeUp::small();
    let store = MadeStore::nowhere();
    store.backup_of(&made_up, "--full").run().assert_code(0);
    let name = a_gold(&made_up, 0).parse().expect("a name");
    let place = store.open().layout().pool_path(&name);
    let leaf = place.parent().expect("a directory");
    let elsewhere = made_up.directory().join("elsewhere");
    fs::rename(leaf, &elsewhere).expect("a directory");
    std::os::unix::fs::symlink(&elsewhere, leaf).expect("a link");
    let before = store.sets();
    let outcome = store.backup_of(&made_up, "--full").run();
    outcome.assert_code(3);
    let complaint = outcome.complaint();
    assert!(
        complaint.contains(&leaf.display().to_string()),
        "{complaint}"
    );
    assert!(complaint.contains("Not a directory"), "{complaint}");
    let finished = |name: &String| !name.starts_with(".partial-");
    assert_eq!(
        store.sets().into_iter().filter(finished).count(),
        before.len()
    );
}

#[test]
fn a_damaged_file_of_the_pool_is_healed_once_it_was_found() {
    let made_up = MadeUp::small();
    let store = MadeStore::nowhere();
    store.backup_of(&made_up, "--full").run().assert_code(0);
    let name = a_gold(&made_up, 0);
    let path = store
        .open()
        .layout()
        .pool_path(&name.parse().expect("a name"));
    let good = fs::read(&path).expect("contents");
    damage(&path);
    let verified = store.fogold("verify").args(["--format", "ndjson"]).run();
    verified.assert_code(1);
    assert_eq!(verified.findings()[0]["name"], name.as_str());
    a_second_later();
    store.backup_of(&made_up, "--full").run().assert_code(0);
    assert_eq!(new_files(&store), 1);
    assert!(fs::read(&path).expect("contents") == good);
    assert!(store.open().damaged().expect("notes").is_empty());
    store.assert_verified();

    // Where the tree has no good copy either, the name is in no new set, and stays noted.
    damage(&path);
    store.fogold("verify").run().assert_code(1);
    for ty in ["gold", "files"] {
        damage(&made_up.place(ty, &name));
    }
    a_second_later();
    let outcome = store.backup_of(&made_up, "--full").run();
    outcome.assert_code(1);
    assert_eq!(kinds(&outcome.findings())["corrupt"], 2);
    assert!(!store.names_of(&store.newest()).contains(&name));
    assert_eq!(store.open().damaged().expect("notes").len(), 1);
    let verified = store.fogold("verify").arg(store.newest()).run();
    verified.assert_code(0);
}

#[test]
fn what_does_not_match_its_name_is_not_stored() {
    let made_up = MadeUp::small();
    let (both, one) = (a_gold(&made_up, 0), a_gold(&made_up, 1));
    damage(&made_up.place("gold", &both));
    damage(&made_up.place("files", &both));
    damage(&made_up.place("gold", &one));
    let short = a_gold(&made_up, 2);
    let file = File::options()
        .write(true)
        .open(made_up.place("gold", &short));
    file.expect("a file").set_len(1).expect("a length");
    for kind in ["--gold-only", "--full"] {
        let store = MadeStore::nowhere();
        let outcome = store.backup_of(&made_up, kind).run();
        outcome.assert_code(1);
        let findings = outcome.findings();
        let of = |name: &str, ty: &str| {
            let found = findings
                .iter()
                .find(|finding| finding["name"] == name && finding["type"] == ty);
            found
                .cloned()
                .unwrap_or_else(|| panic!("no finding of {name} in {ty}: {findings:?}"))
        };
        let lost = of(&both, "gold");
        assert_eq!(lost["kind"], "corrupt");
        assert_eq!(lost["severity"], "loss");
        let copied = of(&one, "gold");
        assert_eq!(
            (copied["kind"].as_str(), copied["recovery"].as_str()),
            (Some("corrupt"), Some("copy"))
        );
        assert_eq!(of(&short, "gold")["kind"], "wrong-size");
        let id = store.newest();
        let names = store.names_of(&id);
        assert!(
            !names.contains(&both) && names.contains(&one) && names.contains(&short),
            "{kind}"
        );
        let pool = store.pool();
        assert!(
            !pool.contains(&both) && pool.contains(&one) && pool.contains(&short),
            "{kind}"
        );
        let record = store.record(&id);
        assert_eq!(
            record["findings"]["list"].as_array().map(Vec::len),
            Some(findings.len())
        );
        store.assert_whole();
        store.assert_verified();
    }
}

#[test]
fn an_older_good_copy_stays_in_the_store_and_is_named() {
    let made_up = MadeUp::small();
    let store = MadeStore::nowhere();
    store.backup_of(&made_up, "--full").run().assert_code(0);
    let before = store.entries(&store.newest());
    let (corrupt, missing) = (a_gold(&made_up, 0), a_gold(&made_up, 1));
    for ty in ["gold", "files"] {
        damage(&made_up.place(ty, &corrupt));
        fs::remove_file(made_up.place(ty, &missing)).expect("it is there");
    }
    a_second_later();
    let outcome = store.backup_of(&made_up, "--full").run();
    outcome.assert_code(1);
    let findings = outcome.findings();
    // What the store has is not read, so the damage is for a check to find.
    for finding in &findings {
        assert_eq!(finding["name"], missing.as_str(), "{finding}");
        assert_eq!(finding["recovery"], "backup");
        let source = finding["source"].as_str().expect("a place");
        assert!(fs::metadata(source).expect("a file").is_file());
    }
    assert_eq!(kinds(&findings)["missing-gold"], 1);
    assert!(store.entries(&store.newest()) == before);
    store.assert_whole();
    store.assert_verified();
}

#[test]
fn a_misplaced_file_is_taken_from_where_it_lies() {
    let made_up = MadeUp::on_two_hosts();
    let root = made_up.repository();
    let name = a_gold(&made_up, 0);
    let derived = made_up
        .files("files")
        .iter()
        .map(|path| name_of(path))
        .find(|name| {
            let golds = made_up.files("gold");
            !golds.iter().any(|path| path.ends_with(name.as_str()))
        })
        .expect("a derived file");
    for (ty, name) in [("gold", &name), ("files", &derived)] {
        let from = made_up.place(ty, name);
        let to = root.join("north").join(ty).join("odd");
        fs::create_dir_all(&to).expect("a directory");
        fs::rename(&from, to.join(name)).expect("a move");
    }
    fs::remove_file(made_up.place("files", &name)).expect("it is there");
    let store = MadeStore::nowhere();
    let outcome = store.backup_of(&made_up, "--full").run();
    outcome.assert_code(1);
    let found = kinds(&outcome.findings());
    assert_eq!(found["misplaced"], 2, "{found:?}");
    let names = store.names_of(&store.newest());
    assert!(names.contains(&name) && names.contains(&derived));
    store.assert_whole();
    store.assert_verified();
    // The next one does not read them again.
    a_second_later();
    store.backup_of(&made_up, "--full").run().assert_code(1);
    assert_eq!(new_files(&store), 0);

    // One that is not what it says is not taken.
    damage(&root.join("north/gold/odd").join(&name));
    let fresh = MadeStore::nowhere();
    fresh.backup_of(&made_up, "--full").run().assert_code(1);
    let names = fresh.names_of(&fresh.newest());
    assert!(!names.contains(&name) && names.contains(&derived));
    fresh.assert_verified();
}

#[test]
fn store_and_repository_share_no_inode() {
    let spec = ServerSpec {
        files: 40,
        bytes: 40_000_000,
        per_upload: 10,
        ..ServerSpec::default()
    };
    let made_up = MadeUp::healthy(spec);
    let store = MadeStore::nowhere();
    store.backup_of(&made_up, "--full").run().assert_code(0);
    let mut large = 0;
    for name in store.pool() {
        let path = store
            .open()
            .layout()
            .pool_path(&name.parse().expect("a name"));
        let metadata = fs::metadata(&path).expect("a file");
        assert_eq!(metadata.nlink(), 1, "{name}");
        assert_eq!(metadata.permissions().mode() & 0o7777, 0o600, "{name}");
        large += usize::from(metadata.len() > 1 << 20);
    }
    assert!(large > 2, "only {large} are large");
    store.assert_whole();
    // On another file system it is the same.
    let Some(disk) = SmallDisk::mount(200 << 20) else {
        return;
    };
    let elsewhere = disk.path().join("store");
    let outcome = crate::support::Fogold::new(["backup", "--full", "--repository"])
        .arg(made_up.repository())
        .arg("--dump")
        .arg(made_up.dump())
        .arg(&elsewhere)
        .run();
    outcome.assert_code(0);
    crate::support::Fogold::new(["verify"])
        .arg(&elsewhere)
        .run()
        .assert_code(0);
}

#[test]
fn a_damaged_manifest_of_an_older_set_is_believed_in_nothing() {
    let made_up = MadeUp::small();
    let store = MadeStore::nowhere();
    store.backup_of(&made_up, "--full").run().assert_code(0);
    let old = store.newest();
    let manifest = store.set(&old).join("manifest.jsonl.zst");
    let whole = fs::read(&manifest).expect("a manifest");
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for bytes in [&whole[..whole.len() / 2], &flipped, &[][..]] {
        fs::write(&manifest, bytes).expect("a file");
        a_second_later();
        // The newest of its kind is what vouches; the damaged one must be it.
        for id in store.sets().iter().filter(|id| **id > old) {
            fs::remove_dir_all(store.set(id)).expect("a set");
        }
        let outcome = store.backup_of(&made_up, "--full").run();
        outcome.assert_code(0);
        assert!(
            outcome.complaint().contains("proven again"),
            "{}",
            outcome.complaint()
        );
        assert_eq!(new_files(&store), 0);
        store
            .fogold("verify")
            .arg(store.newest())
            .run()
            .assert_code(0);
    }
}

#[test]
fn many_findings_have_a_file_of_their_own() {
    let made_up = MadeUp::healthy(ServerSpec {
        files: 3_000,
        bytes: 3_000_000,
        per_upload: 100,
        ..ServerSpec::default()
    });
    for path in made_up.files("files") {
        fs::remove_file(made_up.repository().join(path)).expect("it is there");
    }
    let store = MadeStore::nowhere();
    let outcome = store.backup_of(&made_up, "--full").run();
    let findings = outcome.findings();
    outcome.assert_code(1);
    assert!(findings.len() > 1_000);
    let id = store.newest();
    let record = store.record(&id);
    assert_eq!(
        record["findings"]["list"].as_array().map(Vec::len),
        Some(1_000)
    );
    let all = fs::read_to_string(store.set(&id).join("findings.ndjson")).expect("findings");
    let all: Vec<Value> = all
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert!(all == findings);
    store.assert_verified();
}
