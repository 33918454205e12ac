//! Where good copies come from, and what becomes of what was moved away.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process::Command;

use fogold::manifest::SetKind;

use super::{assert_same, contents, mend, repair, run_of, tree, undo};
use crate::support::site::standing;
use crate::support::web::WebServer;
use crate::support::{Cluster, Fogold, MadeStore, MadeUp, SmallDisk};

#[test]
fn from_a_store_and_from_another_host() {
    let made_up = MadeUp::on_two_hosts();
    made_up.go_live(Cluster::shared(), "repair_from_store");
    let root = made_up.repository();
    let store = MadeStore::new();
    store.back_up(&made_up, SetKind::Full);
    let whole = tree(&root);
    let (golds, files) = (made_up.files("gold"), made_up.files("files"));
    // A gold and its copy, a derived file, and one that is on the wrong host.
    let name = golds[0].rsplit('/').next().expect("a name");
    for path in [&golds[0]]
        .into_iter()
        .chain(files.iter().filter(|path| path.ends_with(name)))
    {
        fs::remove_file(root.join(path)).expect("a file");
    }
    let derived: Vec<&String> = files
        .iter()
        .filter(|path| {
            !golds
                .iter()
                .any(|gold| gold.rsplit('/').next() == path.rsplit('/').next())
        })
        .collect();
    let corrupt = root.join(derived[0]);
    let mut bytes = fs::read(&corrupt).expect("a file");
    bytes[0] ^= 1;
    fs::write(&corrupt, bytes).expect("a file");
    let strayed = derived
        .iter()
        .find(|path| path.starts_with("north/"))
        .expect("on north");
    let wrong = root.join(strayed.replacen("north/", "south/", 1));
    fs::create_dir_all(wrong.parent().expect("a directory")).expect("a directory");
    fs::rename(root.join(strayed), &wrong).expect("a move");
    let damaged = contents(&root);

    let outcome = mend(&made_up).arg("--from").arg(store.path()).run();
    outcome.assert_code(0);
    assert_same(&tree(&root), &whole);
    super::assert_nothing_lost(&damaged, &root, "mended");
    assert!(root.join("south/.fogold").exists() || root.join("north/.fogold").exists());
    // A corrupt file of which only the store has a good copy is what the undo brings back.
    undo(&made_up, &run_of(&outcome)).run().assert_code(0);
    assert_eq!(contents_of_types(&made_up), damaged);
}

/// Contents outside of what is fogold's own.
fn contents_of_types(made_up: &MadeUp) -> std::collections::BTreeMap<[u8; 32], u64> {
    let mut found = std::collections::BTreeMap::new();
    for (_, hash) in tree(&made_up.repository()).into_values() {
        *found.entry(*hash.expect("a file").as_bytes()).or_default() += 1;
    }
    found
}

#[test]
fn from_the_url_that_gold_came_from() {
    let made_up = MadeUp::small();
    let cluster = Cluster::shared();
    made_up.go_live(cluster, "repair_from_url");
    let root = made_up.repository();
    let row = cluster
        .connect("repair_from_url")
        .query_one(
            "SELECT upload_origin, lower(pfile_sha1 || '.' || pfile_md5 || '.' || pfile_size) \
             FROM upload JOIN pfile ON pfile_pk = pfile_fk \
             WHERE upload_origin LIKE 'https://downloads.example.org/%._%' \
             AND upload_origin NOT LIKE '%/' ORDER BY upload_pk LIMIT 1",
            &[],
        )
        .expect("an upload");
    let (url, name): (String, String) = (row.get(0), row.get(1));
    let path = url
        .trim_start_matches("https://downloads.example.org")
        .to_owned();
    let bytes = fs::read(made_up.place("gold", &name)).expect("gold");
    let web = WebServer::of_files(vec![(path.clone(), bytes)]);
    let whole = tree(&root);
    for ty in ["gold", "files"] {
        fs::remove_file(made_up.place(ty, &name)).expect("a file");
    }
    for (table, column) in [("upload", "upload_origin"), ("jobqueue", "jq_args")] {
        let sql = format!(
            "UPDATE {table} SET {column} = replace({column}, '{url}', '{}')",
            web.url(&path)
        );
        cluster
            .connect("repair_from_url")
            .batch_execute(&sql)
            .expect("another URL");
    }
    let apply = || repair(&made_up).args(["--apply"]);
    // A URL of this machine is asked only when that is allowed, and none with --no-urls.
    apply().run().assert_code(1);
    apply().arg("--no-urls").run().assert_code(1);
    assert_eq!(web.requests().len(), 0);
    apply().arg("--allow-local-urls").run().assert_code(0);
    assert_eq!(web.requests().len(), 1, "the second place is a link");
    assert_same(&tree(&root), &whole);
}

#[test]
fn one_file_again_digests_and_an_empty_quarantine() {
    let made_up = MadeUp::small();
    let cluster = Cluster::shared();
    made_up.go_live(cluster, "repair_relinked");
    let root = made_up.repository();
    // FOSSology's first unpack has written the copy anew.
    let gold = &made_up.files("gold")[0];
    let name = gold.rsplit('/').next().expect("a name");
    let (gold, copy) = (root.join(gold), made_up.place("files", name));
    let bytes = fs::read(&gold).expect("gold");
    fs::remove_file(&copy).expect("a copy");
    fs::write(&copy, bytes).expect("a copy");
    let mode = fs::metadata(&gold).expect("gold").permissions();
    fs::set_permissions(&copy, mode).expect("a mode");
    let inode = |path: &std::path::Path| fs::metadata(path).expect("a file").ino();
    let old = inode(&copy);
    assert_ne!(inode(&gold), old);
    let missing = "SELECT count(*) FROM pfile WHERE pfile_sha256 IS NULL";
    let number = || -> i64 {
        let row = cluster.connect("repair_relinked").query_one(missing, &[]);
        row.expect("a number").get(0)
    };
    cluster
        .connect("repair_relinked")
        .batch_execute("CREATE TABLE was AS SELECT pfile_pk, pfile_sha256 FROM pfile; UPDATE pfile SET pfile_sha256 = NULL WHERE pfile_pk % 3 = 0")
        .expect("rows without digest");
    let without = number();
    assert!(without > 10);

    let outcome = repair(&made_up).args(["--relink", "--fill-sha256"]).run();
    outcome.assert_code(0);
    let planned = &outcome.report()["coverage"]["repair"];
    let pairs = planned["relinked"]["planned"]["files"]
        .as_u64()
        .expect("pairs");
    assert!(pairs > 0);
    assert_eq!((inode(&copy), number()), (old, without), "a plan");

    let outcome = repair(&made_up)
        .args(["--relink", "--fill-sha256", "--apply"])
        .run();
    outcome.assert_code(0);
    let done = &outcome.report()["coverage"]["repair"];
    assert_eq!(done["relinked"]["done"]["files"].as_u64(), Some(pairs));
    assert_eq!(inode(&copy), inode(&gold));
    let wrong = "SELECT count(*) FROM pfile p JOIN was USING (pfile_pk) WHERE p.pfile_sha256 <> was.pfile_sha256";
    let row = cluster
        .connect("repair_relinked")
        .query_one(wrong, &[])
        .expect("a number");
    assert_eq!(row.get::<_, i64>(0), 0);
    assert!(number() < without);
    // Nothing to do a second time, and the way back.
    let again = repair(&made_up)
        .args(["--relink", "--fill-sha256", "--apply"])
        .run();
    assert_eq!(
        again.report()["coverage"]["repair"]["relinked"]["done"]["files"],
        0
    );
    let run = run_of(&outcome);
    let filled = without - number();
    let plan = || {
        let outcome = repair(&made_up).args(["--undo", &run]).run();
        let undo = &outcome.report()["undo"];
        let number = |name: &str| undo[name].as_u64().expect("a number");
        (number("steps"), number("undone"), number("left"))
    };
    let filled_rows = u64::try_from(filled).expect("rows");
    let steps = pairs + filled_rows;
    assert_eq!(plan(), (steps, steps, 0));
    // Files need no database, and rows wait until it is there.
    let settings = made_up.sysconfdir().join("Db.conf");
    let good = fs::read_to_string(&settings).expect("settings");
    fs::write(&settings, good.replace("repair_relinked", "repair_gone")).expect("settings");
    assert_eq!(plan(), (steps, pairs, filled_rows));
    let half = undo(&made_up, &run).run();
    half.assert_code(1);
    assert_eq!(half.report()["undo"]["undone"].as_u64(), Some(pairs));
    assert_eq!(half.report()["undo"]["left"].as_u64(), Some(filled_rows));
    assert!(half.text().contains("repair_gone"), "{}", half.text());
    assert_eq!((inode(&copy), number()), (old, without - filled));
    fs::write(&settings, good).expect("settings");
    assert_eq!(plan(), (steps, filled_rows, 0));
    undo(&made_up, &run).run().assert_code(0);
    assert_eq!((inode(&copy), number()), (old, without));
    assert_eq!(plan(), (steps, 0, 0));

    // Once more, for the quarantine: it is emptied with a good backup alone, and for good.
    repair(&made_up)
        .args(["--relink", "--apply"])
        .run()
        .assert_code(0);
    let store = MadeStore::new();
    store.back_up(&made_up, SetKind::Full);
    let empty = |older_than: &str| {
        let empty =
            repair(&made_up).args(["--empty-quarantine", "--older-than", older_than, "--from"]);
        empty.arg(store.path())
    };
    let held = || {
        standing(&root)
            .keys()
            .filter(|path| path.contains("/quarantine/") && path.len() > 120)
            .count()
    };
    let full = held();
    assert!(full > 0);
    let refused = empty("0").arg("--apply").run();
    refused.assert_code(1);
    assert!(
        refused.text().contains("was not read back and found good"),
        "{}",
        refused.text()
    );
    store.fogold("verify").run().assert_code(0);
    empty("0").run().assert_code(0);
    empty("1d").arg("--apply").run().assert_code(0);
    assert_eq!(held(), full, "shown only, or too young");
    // Not while something is amiss.
    let lost = &made_up.files("files")[3];
    let aside = made_up.directory().join("aside");
    fs::rename(root.join(lost), &aside).expect("a move");
    empty("0").arg("--apply").run().assert_code(1);
    fs::rename(&aside, root.join(lost)).expect("a move");
    // Nor on the word of a dump, nor with a backup of another server.
    let dump = made_up.dump();
    let old = empty("0").arg("--apply").arg("--catalog").arg(dump).run();
    old.assert_code(2);
    assert!(old.complaint().contains("needs the live database"));
    let other = MadeUp::small();
    let others = MadeStore::new();
    others.back_up(&other, SetKind::Full);
    others.fogold("verify").run().assert_code(0);
    let foreign = repair(&made_up)
        .args([
            "--empty-quarantine",
            "--older-than",
            "0",
            "--apply",
            "--from",
        ])
        .arg(others.path())
        .run();
    foreign.assert_code(1);
    assert!(
        foreign.text().contains("not of this one"),
        "{}",
        foreign.text()
    );
    // What was spoilt since is in the quarantine alone; and what came in later than its times tell stays.
    let good = fs::read(&gold).expect("gold");
    let mut bad = good.clone();
    bad[0] ^= 1;
    fs::write(&gold, &bad).expect("spoilt");
    let later = root.join("localhost/.fogold/quarantine/2999-01-01T000000Z-repair/late");
    fs::create_dir_all(later.parent().expect("a run")).expect("a run");
    fs::write(&later, "late").expect("a file");
    empty("0").arg("--apply").run().assert_code(0);
    let left: Vec<String> = standing(&root)
        .into_keys()
        .filter(|path| path.contains("/quarantine/") && path.len() > 120)
        .collect();
    let is_of_it = |path: &String| path.contains(name);
    assert!(!left.is_empty() && left.iter().all(is_of_it), "{left:?}");
    assert!(later.exists());
    fs::write(&gold, &good).expect("mended");
    empty("0").arg("--apply").run().assert_code(0);
    assert_eq!(held(), 0);
    assert!(later.exists());
    for arguments in [&["--empty-quarantine"][..], &["--older-than", "1d"]] {
        repair(&made_up).args(arguments).run().assert_code(2);
    }
}

#[test]
fn odd_places_and_closed_directories() {
    let made_up = MadeUp::small();
    let root = made_up.repository();
    let dump = made_up.dump();
    let mend = |more: &[&str]| {
        Fogold::new(["repair", "--apply", "--format", "ndjson", "--repository"])
            .arg(&root)
            .arg("--catalog")
            .arg(&dump)
            .args(more)
    };
    // Misplaced into directories that no text can name, and on other storage.
    let files = made_up.files("files");
    let whole = standing(&root);
    let name = |path: &str| path.rsplit('/').next().expect("a name").to_owned();
    let mut odd: Vec<PathBuf> = [&b"gr\x80n"[..], b"two\nlines", b"-rf *"]
        .into_iter()
        .map(|directory| {
            root.join("localhost/files")
                .join(OsStr::from_bytes(directory))
        })
        .collect();
    let disk = SmallDisk::mount(1 << 20);
    odd.extend(disk.as_ref().map(|_| root.join("other")));
    for (path, directory) in files.iter().step_by(7).zip(&odd) {
        fs::create_dir_all(directory).expect("a directory");
        if directory.ends_with("other") {
            let disk = disk.as_ref().expect("a disk").path();
            let bound = Command::new("mount")
                .arg("--bind")
                .arg(disk)
                .arg(directory)
                .status();
            assert!(bound.expect("mount runs").success());
        }
        let from = root.join(path);
        let to = directory.join(name(path));
        if fs::rename(&from, &to).is_err() {
            fs::copy(&from, &to).expect("a copy");
            fs::remove_file(&from).expect("a file");
        }
    }
    // And hardly a directory that FOSSology's group can use.
    let directories: Vec<&String> = whole
        .iter()
        .filter(|(path, standing)| standing.contents.is_none() && path.starts_with("localhost"))
        .map(|(path, _)| path)
        .collect();
    for path in &directories {
        fs::set_permissions(root.join(path), fs::Permissions::from_mode(0o700)).expect("a mode");
    }
    let closed = standing(&root);
    let outcome = mend(&[]).run();
    if disk.is_some() {
        let _ = Command::new("umount")
            .arg("--lazy")
            .arg(root.join("other"))
            .status();
    }
    outcome.assert_code(0);
    let now = standing(&root);
    for (path, was) in &whole {
        let is = &now[path];
        assert_eq!(
            (is.contents, is.mode & 0o770),
            (was.contents, was.mode & 0o770),
            "{path}"
        );
    }
    let run = run_of(&outcome);
    let undone = mend(&["--undo", &run]).run();
    // What lay on the other storage went to its quarantine, which is not mounted any more.
    undone.assert_code(i32::from(disk.is_some()));
    let back = standing(&root);
    for path in directories {
        assert_eq!(back[path].mode, closed[path].mode, "{path}");
    }
    for directory in &odd[..3] {
        assert_eq!(fs::read_dir(directory).expect("a directory").count(), 1);
    }
}
