//! Sets of a running server: what is in them, and what is not.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::on_the_web::{OnTheWeb, as_it_is};
use crate::support::web::Reply;
use crate::support::{
    Capture, Cluster, ClusterOptions, Fogold, MadeStore, MadeUp, Outcome, Recorded, kinds,
};

/// The last components of the paths of files, each once.
fn names(paths: impl IntoIterator<Item = String>) -> BTreeSet<String> {
    let last = |path: String| path.rsplit('/').next().unwrap_or_default().to_owned();
    paths.into_iter().map(last).collect()
}

/// Has `sha1sum` say what the pool's files are: each is what its name says.
fn assert_pool_by_sha1sum(store: &MadeStore) {
    let output = Command::new("find")
        .arg(store.path().join("pool"))
        .args(["-type", "f", "-exec", "sha1sum", "{}", "+"])
        .output()
        .expect("find and sha1sum run");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(text.lines().count(), store.pool().len());
    for line in text.lines() {
        let (digest, path) = line.split_once("  ").expect("a digest and a path");
        let name = path.rsplit('/').next().expect("a name");
        assert_eq!(name[..40], *digest, "{path}");
        let size = fs::metadata(path).expect("a file").len();
        assert!(name.ends_with(&format!(".{size}")), "{path}: {size}");
    }
}

fn psql(cluster: &Cluster, database: &str, query: &str) -> u64 {
    let output = cluster
        .client("psql", database)
        .args([
            "--no-psqlrc",
            "--tuples-only",
            "--no-align",
            "--command",
            query,
        ])
        .output()
        .expect("psql runs");
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    text.parse()
        .unwrap_or_else(|_| panic!("{query}: {output:?}"))
}

#[test]
fn a_full_set_of_a_live_server() {
    let cluster = Cluster::shared();
    let made_up = MadeUp::on_two_hosts();
    made_up.go_live(cluster, "backup_full");
    let store = MadeStore::nowhere();
    let outcome = store
        .backup(["--full", "--sysconfdir"])
        .arg(made_up.sysconfdir())
        .run();
    outcome.assert_code(0);
    assert_eq!(outcome.findings(), Vec::<Value>::new());
    let all = ["gold", "files", "license"].map(|ty| made_up.files(ty));
    let all = names(all.into_iter().flatten());
    assert_eq!(store.pool().into_iter().collect::<BTreeSet<_>>(), all);
    assert_pool_by_sha1sum(&store);
    store.assert_whole();
    store.assert_verified();

    let id = store.newest();
    let record = store.record(&id);
    let report = outcome.report();
    assert_eq!(report["coverage"]["set"]["id"], id.as_str());
    assert_eq!(report["complete"], true);
    let count = |query| psql(cluster, "backup_full", query);
    assert_eq!(
        record["rows"]["uploads"],
        count("SELECT count(*) FROM upload")
    );
    assert_eq!(
        record["rows"]["pfiles"],
        count("SELECT count(*) FROM pfile")
    );
    assert_eq!(
        record["rows"]["tree_rows"],
        count("SELECT count(*) FROM uploadtree")
    );
    assert_eq!(record["counts"]["pool"]["files"], all.len());
    assert_eq!(record["counts"]["new"], record["counts"]["pool"]);
    assert_eq!(
        record["source"]["hosts"],
        json!(["north[] = * 00 7f", "south[] = * 80 ff"])
    );
    assert_eq!(record["source"]["database"], "backup_full");
    // Each file's types are those under which it stands in the tree.
    for entry in store.entries(&id) {
        let name = entry["name"].as_str().expect("a name");
        let types: Vec<&str> = ["gold", "files", "license"]
            .into_iter()
            .filter(|ty| made_up.files(ty).iter().any(|path| path.ends_with(name)))
            .collect();
        assert_eq!(entry["types"], json!(types), "{name}");
        assert_eq!(entry["where"], "pool");
    }
    // PostgreSQL's own programs can read the dump, and the roles are beside it.
    let set = store.set(&id);
    let listed = cluster
        .client("pg_restore", "backup_full")
        .arg("--list")
        .arg(set.join("database.dump"))
        .output()
        .expect("pg_restore runs");
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.contains("TABLE DATA public pfile"), "{listed}");
    let globals = fs::read_to_string(set.join("globals.sql")).expect("roles");
    assert!(globals.contains("CREATE ROLE postgres") && !globals.contains("PASSWORD"));
    assert!(!set.join("catalog").exists());
    assert!(set.join("sysconf/fossology.conf").exists());
}

#[test]
fn a_gold_only_set_of_a_live_server() {
    let cluster = Cluster::shared();
    let made_up = MadeUp::small();
    made_up.go_live(cluster, "backup_gold");
    let store = MadeStore::nowhere();
    let outcome = store
        .backup(["--gold-only", "--sysconfdir"])
        .arg(made_up.sysconfdir())
        .run();
    outcome.assert_code(0);
    let listings = "FROM uploadtree WHERE ufile_name = 'artifact.meta' AND pfile_fk > 0";
    let count = |what: &str| psql(cluster, "backup_gold", &format!("SELECT count(*) {what}"));
    let record = store.record(&store.newest());
    assert!(count(listings) > 0);
    let golds = "FROM (SELECT DISTINCT pfile_fk FROM upload WHERE pfile_fk IS NOT NULL) AS gold";
    assert_eq!(record["counts"]["gold"]["files"], count(golds));
    assert_eq!(record["counts"]["license"]["files"], 0);
    let golds = names(made_up.files("gold"));
    let pool: BTreeSet<String> = store.pool().into_iter().collect();
    assert!(pool.is_superset(&golds));
    let listed = record["counts"]["listings"]["files"]
        .as_u64()
        .expect("a number");
    assert!(listed > 0 && listed <= count(listings));
    assert_eq!(pool.len() as u64, golds.len() as u64 + listed);
    assert_pool_by_sha1sum(&store);
    store.assert_verified();
}

/// A backup of a recorded server from its dump.
fn recorded(capture: &Capture, store: &MadeStore, kind: &str, dump: &Path) -> Outcome {
    store
        .backup([kind, "--sysconfdir"])
        .arg(capture.sysconfdir())
        .arg("--repository")
        .arg(capture.repository())
        .arg("--dump")
        .arg(dump)
        .run()
}

#[test]
fn every_form_of_a_dump_gives_the_same_set() {
    let Some(capture) = Capture::open("A-healthy") else {
        return;
    };
    let mut first = None;
    for (dump, name, form) in [
        (capture.file("dump.sql.gz"), "database.sql.gz", "gzip"),
        (capture.unpacked("dump.sql"), "database.sql", "plain"),
        (capture.file("dump-Fc.dump"), "database.dump", "custom"),
        (capture.file("dumpall.sql.gz"), "database.sql.gz", "gzip"),
        (PathBuf::from("-"), "database.dump", "plain"),
    ] {
        let store = MadeStore::nowhere();
        let mut backup = store
            .backup(["--full", "--sysconfdir"])
            .arg(capture.sysconfdir())
            .arg("--repository")
            .arg(capture.repository())
            .arg("--dump")
            .arg(&dump);
        if dump == Path::new("-") {
            backup = backup.input(fs::read(capture.unpacked("dump.sql")).expect("a dump"));
        }
        let outcome = backup.run();
        outcome.assert_code(0);
        let id = store.newest();
        let record = store.record(&id);
        assert_eq!(record["dump"]["file"], name);
        assert_eq!(record["dump"]["form"], form);
        assert_eq!(record["dump"]["given"], true);
        assert_eq!(record["globals"], Value::Null);
        let counts = &record["counts"];
        assert_eq!(counts["gold"]["files"], 11);
        assert_eq!(counts["listings"]["files"], 9);
        // A gold that is its upload's only file is counted as gold.
        assert_eq!(counts["pool"]["files"], 89);
        assert_eq!(store.pool().len(), 89);
        if dump != Path::new("-") {
            let original = fs::read(&dump).expect("a dump");
            assert!(fs::read(store.set(&id).join(name)).expect("a dump") == original);
        }
        store.assert_verified();
        let entries = store.entries(&id);
        let first = first.get_or_insert_with(|| entries.clone());
        assert!(*first == entries, "{name}: other entries");
    }
}

#[test]
fn a_recorded_server_needs_its_gold_and_its_listings() {
    let Some(capture) = Capture::open("A-healthy") else {
        return;
    };
    let store = MadeStore::nowhere();
    let outcome = recorded(
        &capture,
        &store,
        "--gold-only",
        &capture.file("dump.sql.gz"),
    );
    outcome.assert_code(0);
    assert_eq!(outcome.findings(), Vec::<Value>::new());
    let counts = &store.record(&store.newest())["counts"];
    assert_eq!(counts["gold"]["files"], 11);
    assert_eq!(counts["listings"]["files"], 9);
    assert_eq!(store.pool().len(), 20);
    let reasons: Vec<&Value> = counts["left_out"]
        .as_array()
        .expect("a list")
        .iter()
        .collect();
    let left = |reason: &str| {
        let found = reasons.iter().find(|each| each["reason"] == reason);
        found.map_or(0, |each| each["files"].as_u64().expect("a number"))
    };
    assert_eq!(left("nothing uses it"), 3);
    assert_eq!(left("unpacking brings it back"), 89 - 20 - 3);
    store.assert_verified();
}

#[test]
fn a_restored_gold_has_no_listings_to_take() {
    let Some(capture) = Capture::open("B-gold-only") else {
        return;
    };
    let dump = Capture::open("A-healthy")
        .expect("A is where B is")
        .file("dump.sql.gz");
    let store = MadeStore::nowhere();
    let outcome = recorded(&capture, &store, "--gold-only", &dump);
    outcome.assert_code(0);
    assert_eq!(kinds(&outcome.findings())["missing-listing"], 9);
    assert_eq!(outcome.findings().len(), 9);
    assert_eq!(store.pool().len(), 11);
    store.assert_verified();
    let outcome = recorded(&capture, &store, "--full", &dump);
    outcome.assert_code(1);
    let found = kinds(&outcome.findings());
    assert_eq!(found["missing-derived"], 77, "{found:?}");
    let id = store.newest();
    let record = store.record(&id);
    assert_eq!(record["findings"]["counts"]["missing-derived"], 77);
    // The golds' copies in files/ come from the pool: they are named for both.
    assert_eq!(record["counts"]["pool"]["files"], 11);
    store.assert_verified();
}

#[test]
fn a_server_in_the_midst_of_work() {
    for (state, database) in [
        ("D-killed-midunpack", "backup_d"),
        ("E-pending", "backup_e"),
    ] {
        let Some(recorded) = Recorded::open(state, database) else {
            return;
        };
        let store = MadeStore::nowhere();
        for kind in ["--gold-only", "--full"] {
            let outcome = store
                .backup([kind, "--sysconfdir"])
                .arg(recorded.sysconfdir())
                .run();
            outcome.assert_code(0);
            let found = kinds(&outcome.findings());
            assert!(found["unfinished-upload"] > 0, "{state}: {found:?}");
            assert_eq!(found.len(), 1, "{state}: {found:?}");
            std::thread::sleep(std::time::Duration::from_millis(1_100));
        }
        // The gold of an upload that is being unpacked goes along.
        let gold = names(walk(&recorded.capture.repository().join("localhost/gold")));
        let pool: BTreeSet<String> = store.pool().into_iter().collect();
        assert!(gold.is_subset(&pool) && gold.len() > 11);
        store.assert_verified();
    }
}

/// All files below a directory.
fn walk(root: &Path) -> Vec<String> {
    let output = Command::new("find").arg(root).args(["-type", "f"]).output();
    let text = String::from_utf8(output.expect("find runs").stdout).expect("UTF-8");
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_command_of_ones_own_makes_the_dump() {
    let cluster = Cluster::shared();
    let made_up = MadeUp::small();
    made_up.go_live(cluster, "backup_command");
    let store = MadeStore::nowhere();
    let dump = made_up.dump();
    let backup = |command: &str| {
        store
            .backup(["--full", "--pg-dump-command", command, "--sysconfdir"])
            .arg(made_up.sysconfdir())
            .run()
    };
    backup(&format!("gzip -c '{}'", dump.display())).assert_code(0);
    let record = store.record(&store.newest());
    assert_eq!(record["dump"]["form"], "gzip");
    assert_eq!(record["dump"]["file"], "database.dump");
    store.assert_verified();
    // One that fails, or says nothing, or is cut short, leaves no set.
    let sets = store.open().sets(&fogold::monitor::Silent).expect("sets");
    for (command, word) in [
        (
            format!("cat '{}'; exit 3", dump.display()),
            "exit status: 3",
        ),
        ("true".to_owned(), "nothing"),
        (format!("head -c 20000 '{}'", dump.display()), "dump"),
    ] {
        let outcome = backup(&command);
        outcome.assert_code(3);
        assert!(
            outcome.complaint().contains(word),
            "{command}: {}",
            outcome.complaint()
        );
        let after = store.open().sets(&fogold::monitor::Silent).expect("sets");
        assert_eq!(after, sets);
    }
    // The database that --catalog names is asked again about what was deleted meanwhile.
    let gold = made_up.files("gold").remove(0);
    let name = gold.rsplit('/').next().expect("a name").to_owned();
    let sql = format!(
        "UPDATE upload SET pfile_fk = NULL, expire_action = 'd' WHERE pfile_fk IN \
           (SELECT pfile_pk FROM pfile WHERE pfile_sha1 = upper('{0}')); \
         DELETE FROM uploadtree WHERE pfile_fk IN (SELECT pfile_pk FROM pfile WHERE pfile_sha1 = upper('{0}')); \
         DELETE FROM pfile WHERE pfile_sha1 = upper('{0}');",
        &name[..40]
    );
    cluster
        .connect("backup_command")
        .batch_execute(&sql)
        .expect("a deletion");
    for ty in ["gold", "files"] {
        for path in made_up
            .files(ty)
            .iter()
            .filter(|path| path.ends_with(&name))
        {
            fs::remove_file(made_up.repository().join(path)).expect("it is there");
        }
    }
    let fresh = MadeStore::nowhere();
    let outcome = fresh
        .backup(["--gold-only", "--sysconfdir"])
        .arg(made_up.sysconfdir())
        .arg("--dump")
        .arg(&dump)
        .arg("--catalog")
        .arg(cluster.conninfo("backup_command"))
        .run();
    outcome.assert_code(0);
    let told = outcome.findings();
    assert!(!told.is_empty());
    for finding in &told {
        assert_eq!(finding["kind"], "deleted-meanwhile", "{finding}");
        assert_eq!(finding["name"], name.as_str());
    }
    fresh.assert_verified();
    let old = MadeStore::nowhere();
    let outcome = old
        .backup(["--gold-only", "--sysconfdir"])
        .arg(made_up.sysconfdir())
        .arg("--dump")
        .arg(&dump)
        .run();
    outcome.assert_code(1);
    assert_eq!(kinds(&outcome.findings())["missing-gold"], 1);
}

#[test]
fn gold_with_a_url_is_left_out_when_asked() {
    let server = OnTheWeb::start("backup_urls", |number, bytes| {
        if number == 0 {
            Reply::File(vec![b'x'; bytes.len()])
        } else {
            as_it_is(number, bytes)
        }
    });
    let store = MadeStore::nowhere();
    let mut expected = server.names();
    for (choice, left_out) in [
        ("keep", 0),
        ("skip", expected.len()),
        ("verified", expected.len() - 1),
    ] {
        let outcome = store
            .backup([
                "--gold-only",
                "--url-gold",
                choice,
                "--allow-local-urls",
                "--sysconfdir",
            ])
            .arg(server.made_up.sysconfdir())
            .run();
        outcome.assert_code(0);
        let id = store.newest();
        assert_eq!(store.record(&id)["url_gold"], choice);
        let mut out: Vec<String> = store
            .entries(&id)
            .iter()
            .filter(|entry| entry["where"] == "urls")
            .map(|entry| {
                assert!(entry.get("blake3").is_none());
                assert_eq!(entry["urls"].as_array().map(Vec::len), Some(1));
                entry["name"].as_str().expect("a name").to_owned()
            })
            .collect();
        out.sort();
        assert_eq!(out.len(), left_out, "{choice}");
        if choice == "verified" {
            let changed = &server.golds[0].1;
            expected.retain(|name| name != changed);
            assert!(
                outcome.complaint().contains("kept in the set"),
                "{}",
                outcome.complaint()
            );
        }
        if choice != "keep" {
            assert_eq!(out, expected);
        }
        let save = &outcome.report()["coverage"]["skip_would_save"]["files"];
        assert_eq!(*save, server.golds.len() - left_out, "{choice}");
        std::thread::sleep(std::time::Duration::from_millis(1_100));
    }
    store.assert_verified();
    // What was left out was never put into a store's pool.
    let store = MadeStore::nowhere();
    store
        .backup([
            "--full",
            "--url-gold",
            "skip",
            "--allow-local-urls",
            "--sysconfdir",
        ])
        .arg(server.made_up.sysconfdir())
        .run()
        .assert_code(0);
    let pool: BTreeSet<String> = store.pool().into_iter().collect();
    assert!(server.names().iter().all(|name| !pool.contains(name)));
    store.assert_verified();
}

#[test]
fn a_left_out_gold_that_lies_about_elsewhere_too() {
    let server = OnTheWeb::start("backup_urls_astray", as_it_is);
    let root = server.made_up.repository();
    let (_, name) = &server.golds[0];
    let gold = crate::support::on_the_web::gold(&server.made_up, name);
    for host in ["north", "south"] {
        let astray = root.join(host).join("gold/00/00");
        fs::create_dir_all(&astray).expect("directories");
        fs::copy(&gold, astray.join(name)).expect("a copy");
    }
    let store = MadeStore::nowhere();
    let outcome = store
        .backup([
            "--gold-only",
            "--url-gold",
            "skip",
            "--allow-local-urls",
            "--sysconfdir",
        ])
        .arg(server.made_up.sysconfdir())
        .run();
    outcome.assert_code(0);
    let entry = store
        .entries(&store.newest())
        .into_iter()
        .find(|entry| entry["name"] == name.as_str());
    assert_eq!(entry.expect("an entry")["where"], "urls");
    store.assert_verified();
}

#[test]
fn logs_go_along_when_asked() {
    let made_up = MadeUp::small();
    let root = made_up.repository();
    let outside = made_up.directory().join("outside");
    fs::create_dir(&outside).expect("a directory");
    fs::write(outside.join("secret"), "not to be packed").expect("a file");
    fs::create_dir_all(root.join("logs/00/41")).expect("directories");
    fs::write(root.join("logs/00/41/000041"), "a line\n").expect("a log");
    fs::write(root.join("logs/00/empty"), "").expect("a log");
    std::os::unix::fs::symlink(&outside, root.join("logs/link")).expect("a link");
    std::os::unix::fs::symlink(outside.join("secret"), root.join("logs/secret")).expect("a link");
    let _ = fs::remove_dir_all(root.join("report"));
    std::os::unix::fs::symlink(&outside, root.join("report")).expect("a link");
    let store = MadeStore::nowhere();
    let backup = |more: &[&str]| {
        let outcome = store
            .backup(["--gold-only", "--sysconfdir"])
            .arg(made_up.sysconfdir())
            .arg("--dump")
            .arg(made_up.dump())
            .args(more)
            .run();
        outcome.assert_code(0);
        outcome
    };
    backup(&[]);
    assert_eq!(store.record(&store.newest())["logs"], Value::Null);
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    let outcome = backup(&["--with-logs"]);
    assert!(
        outcome.complaint().contains("report cannot be read"),
        "{}",
        outcome.complaint()
    );
    let id = store.newest();
    assert!(store.record(&id)["logs"]["packed"]["files"].as_u64() >= Some(2));
    let packed = fs::read(store.set(&id).join("logs.tar.zst")).expect("an archive");
    let unpacked = zstd::decode_all(&packed[..]).expect("zstd");
    let listed = made_up.directory().join("unpacked");
    fs::create_dir(&listed).expect("a directory");
    tar::Archive::new(&unpacked[..])
        .unpack(&listed)
        .expect("a tar");
    assert_eq!(
        fs::read(listed.join("logs/00/41/000041")).expect("a log"),
        b"a line\n"
    );
    assert_eq!(fs::read(listed.join("logs/00/empty")).expect("a log"), b"");
    for path in ["logs/link", "logs/secret", "report"] {
        assert!(!listed.join(path).exists(), "{path}");
    }
    store.assert_verified();
}

#[test]
fn secrets_stay_in_the_dump_and_nobody_else_may_read_it() {
    let options = ClusterOptions {
        auth: "scram-sha-256",
        ..ClusterOptions::default()
    };
    let cluster = Cluster::start(&options);
    let made_up = MadeUp::small();
    made_up.go_live(&cluster, "backup_secrets");
    let sysconfdir = made_up.sysconfdir();
    let password = crate::support::cluster::PASSWORD;
    let conf = format!(
        "dbname=backup_secrets;\nhost=127.0.0.1;\nport={};\nuser=postgres;\npassword={password};\n",
        cluster.port()
    );
    fs::write(sysconfdir.join("Db.conf"), conf).expect("a configuration");
    let store = MadeStore::nowhere();
    // Whatever `ps` shows while it runs.
    let program = made_up.directory().join("bin");
    fs::create_dir(&program).expect("a directory");
    let seen = made_up.directory().join("seen");
    for name in ["pg_dump", "pg_dumpall", "pg_restore"] {
        let real = cluster.client(name, "").get_program().to_owned();
        let script = format!(
            "#!/bin/sh\nfor each in /proc/[0-9]*/cmdline; do tr '\\0' ' ' <$each; done >>'{}' 2>/dev/null\n\
             exec '{}' \"$@\"\n",
            seen.display(),
            real.to_string_lossy()
        );
        install(&program.join(name), &script);
    }
    let mut shell = Command::new("sh");
    shell.args(["-c", "umask 000; exec \"$0\" \"$@\""]);
    let outcome = store
        .backup(["--full", "--with-logs", "-v", "--pg-bindir"])
        .arg(&program)
        .arg("--sysconfdir")
        .arg(&sysconfdir)
        .behind(shell, None)
        .run();
    outcome.assert_code(0);
    let shown = fs::read_to_string(&seen).expect("command lines");
    assert!(
        shown.contains("--format=custom") && shown.contains("--globals-only"),
        "{shown}"
    );
    for (what, text) in [
        ("ps", shown),
        ("standard output", outcome.text()),
        ("standard error", outcome.complaint()),
    ] {
        assert!(!text.contains(password), "{what} shows the password");
    }
    let set = store.set(&store.newest());
    assert!(
        fs::read_to_string(set.join("sysconf/Db.conf"))
            .expect("a file")
            .contains("user=postgres")
    );
    let hits = Command::new("grep")
        .args(["--recursive", "--files-with-matches", password])
        .arg(store.path())
        .output()
        .expect("grep runs");
    assert_eq!(String::from_utf8_lossy(&hits.stdout), "");
    for path in walk_all(&store.path()) {
        let metadata = fs::symlink_metadata(&path).expect("it is there");
        let wanted = if metadata.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(
            metadata.permissions().mode() & 0o7777,
            wanted,
            "{}",
            path.display()
        );
        assert!(
            metadata.is_dir() || metadata.nlink() == 1,
            "{}",
            path.display()
        );
    }
    // Asked for, the passwords go along.
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    store
        .backup(["--gold-only", "--with-passwords", "--sysconfdir"])
        .arg(&sysconfdir)
        .run()
        .assert_code(0);
    let conf = store.set(&store.newest()).join("sysconf/Db.conf");
    assert!(fs::read_to_string(conf).expect("a file").contains(password));
}

/// A program of one's own. `cp` has closed it before anybody runs it.
fn install(path: &Path, script: &str) {
    let draft = path.with_extension("draft");
    fs::write(&draft, script).expect("a script");
    fs::set_permissions(&draft, fs::Permissions::from_mode(0o755)).expect("its mode");
    let copied = Command::new("cp").arg("-p").arg(&draft).arg(path).status();
    assert!(copied.expect("cp runs").success());
}

fn walk_all(root: &Path) -> Vec<PathBuf> {
    let output = Command::new("find").arg(root).output().expect("find runs");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines().map(PathBuf::from).collect()
}

#[test]
fn an_older_pg_dump_is_refused_before_anything_is_made() {
    let cluster = Cluster::shared();
    let made_up = MadeUp::small();
    made_up.go_live(cluster, "backup_old_client");
    for old in ["pg_dump", "pg_dumpall", "pg_restore"] {
        let programs = tempfile::tempdir().expect("a directory");
        for name in ["pg_dump", "pg_dumpall", "pg_restore"] {
            let version = if name == old { "9.4.26" } else { "99.1" };
            let script = format!("#!/bin/sh\necho '{name} (PostgreSQL) {version}'\n");
            install(&programs.path().join(name), &script);
        }
        let store = MadeStore::nowhere();
        let marker = made_up.directory().join("stopped");
        let outcome = store
            .backup(["--full", "--start-scheduler", "true", "--stop-scheduler"])
            .arg(format!("touch '{}'", marker.display()))
            .arg("--pg-bindir")
            .arg(programs.path())
            .arg("--sysconfdir")
            .arg(made_up.sysconfdir())
            .run();
        outcome.assert_code(2);
        let complaint = outcome.complaint();
        assert!(
            complaint.contains(old) && complaint.contains("9.4.26"),
            "{complaint}"
        );
        assert!(!store.path().exists() && !marker.exists());
    }
}

#[test]
fn reports_say_what_was_done() {
    let made_up = MadeUp::small();
    let store = MadeStore::nowhere();
    let directory = made_up.directory();
    let files: Vec<PathBuf> = ["r.json", "r.ndjson", "r.txt"]
        .map(|name| directory.join(name))
        .into();
    let backup = |kind: &str, format: &str| {
        let mut backup = Fogold::new(["backup"])
            .arg(store.path())
            .args([kind, "--format", format, "--repository"])
            .arg(made_up.repository())
            .arg("--dump")
            .arg(made_up.dump());
        for file in &files {
            backup = backup.arg("--report").arg(file);
        }
        backup
    };
    let outcome = backup("--full", "text").run();
    outcome.assert_code(0);
    let id = store.newest();
    let text = outcome.text();
    for words in [
        format!("OK: set {id} is finished").as_str(),
        "gold ",
        "without roles",
    ] {
        assert!(text.contains(words), "{words:?} is not in:\n{text}");
    }
    assert_eq!(fs::read_to_string(&files[2]).expect("a report"), text);
    let report: Value =
        serde_json::from_slice(&fs::read(&files[0]).expect("a report")).expect("JSON");
    assert_eq!(report["command"], "backup");
    assert_eq!(
        report["catalog"]["origin"],
        made_up.dump().display().to_string()
    );
    assert_eq!(report["exit_status"], 0);
    assert_eq!(report["coverage"]["set"]["id"], id.as_str());
    let coverage = &report["coverage"];
    for ty in ["gold", "files", "license"] {
        let files = made_up.files(ty);
        assert_eq!(coverage["listed"][ty]["files"], files.len(), "{ty}");
    }
    assert!(coverage["directories"].as_u64() > Some(300));
    // All that is new, and now and then another copy of it.
    let read = coverage["read"]["files"].as_u64().expect("a number");
    let new = coverage["set"]["counts"]["new"]["files"].as_u64();
    assert!(Some(read) >= new && new > Some(300), "{read}, {new:?}");
    let shards = coverage["shards_complete"].as_array().map(Vec::len);
    assert_eq!(shards, Some(256));
    let golds = made_up.files("gold").len();
    let tree = format!("  tree      {} ", made_up.repository().display());
    for words in [
        tree,
        format!(" {golds} in gold ("),
        format!("  read      {read} files, "),
    ] {
        assert!(text.contains(&words), "{words:?} is not in:\n{text}");
    }
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    let quiet = backup("--gold-only", "text").arg("-q").run();
    quiet.assert_code(0);
    assert_eq!((quiet.text(), quiet.complaint()), Default::default());
    let last = fs::read_to_string(&files[1]).expect("a report");
    let last: Value = serde_json::from_str(last.lines().last().expect("a line")).expect("JSON");
    assert_eq!(last["coverage"]["set"]["kind"], "gold-only");
    assert_eq!(
        last["coverage"]["set"]["counts"]["new"]["files"], 0,
        "the full set has them all"
    );
    assert_eq!(last["coverage"]["read"], json!({"files": 0, "bytes": 0}));
    // A report that lies where none may lie is refused, and nothing is made.
    let fresh = MadeStore::nowhere();
    for place in [
        fresh.path().join("r.json"),
        made_up.repository().join("r.json"),
    ] {
        let outcome = fresh
            .backup(["--full", "--repository"])
            .arg(made_up.repository())
            .arg("--dump")
            .arg(made_up.dump())
            .arg("--report")
            .arg(&place)
            .run();
        outcome.assert_code(2);
        assert!(!fresh.path().exists() && !place.exists());
    }
}

#[test]
fn what_cannot_be_meant() {
    let made_up = MadeUp::small();
    let store = MadeStore::nowhere();
    let dump = made_up.dump().display().to_string();
    let repository = made_up.repository().display().to_string();
    let known = ["--repository", &repository, "--dump", &dump];
    let directory = made_up.directory().display().to_string();
    for more in [
        &[][..],
        &["--gold-only", "--full"],
        &["--full", "--pg-dump-command", "true"],
        &["--full", "--bwlimit", "0"],
        &["--full", "--stop-scheduler", "true"],
        &["--full", "--url-gold", "perhaps"],
        &["--full", "--catalog", &dump],
    ] {
        store.backup(known).args(more).run().assert_code(2);
        assert!(!store.path().exists(), "{more:?}");
    }
    // Without configuration, a live database must be named.
    store
        .backup(["--full", "--repository", &repository, "--catalog", &dump])
        .run()
        .assert_code(2);
    assert!(!store.path().exists());
    // A directory cannot be kept as a dump.
    let outcome = store
        .backup(["--full", "--repository", &repository, "--dump", &directory])
        .run();
    outcome.assert_code(2);
    assert!(
        outcome.complaint().contains("directory"),
        "{}",
        outcome.complaint()
    );
}
