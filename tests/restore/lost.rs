//! The disasters: everything, just the database, one agent host.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use fogold::manifest::SetKind;

use super::{count, database, last, of_type, two_hosts};
use crate::support::site::{contents, standing};
use crate::support::{Cluster, ClusterOptions, MadeStore, MadeUp, Outcome, Recorded, Site};

/// Makes a set of a recorded server from its live database.
fn back_up(recorded: &Recorded, store: &MadeStore, kind: SetKind) -> Outcome {
    let outcome = store
        .fogold("backup")
        .arg(format!("--{kind}"))
        .arg("--with-logs")
        .arg("--sysconfdir")
        .arg(recorded.sysconfdir())
        .run();
    outcome.assert_code(0);
    outcome
}

/// Makes directories with FOSSology's mode.
fn make_directories(path: &Path) {
    if !path.is_dir() {
        make_directories(path.parent().expect("a directory"));
        fs::create_dir(path).expect("a directory");
        fs::set_permissions(path, fs::Permissions::from_mode(0o2770)).expect("its mode");
    }
}

/// Copies what a check misses out of the lost tree, as an unpack would make it again.
fn unpack(site: &Site, original: &Path) -> usize {
    let outcome = site.check().run();
    let mut copied = 0;
    for finding in outcome.findings() {
        let kind = finding["kind"].as_str().expect("a kind");
        if kind == "unreferenced" || kind == "pfile-without-use" {
            continue;
        }
        assert_eq!(kind, "missing-derived", "{finding}");
        assert_eq!(finding["recovery"], "unpack", "{finding}");
        let path = finding["path"].as_str().expect("a path");
        let to = site.repository().join(path);
        make_directories(to.parent().expect("a directory"));
        fs::copy(original.join(path), to).expect("a file");
        copied += 1;
    }
    copied
}

/// Contents by type and name, wherever they lie.
fn by_name(contents: &BTreeMap<String, blake3::Hash>) -> BTreeMap<(String, String), blake3::Hash> {
    let key = |path: &str| {
        let ty = path.split('/').nth(1).unwrap_or_default().to_owned();
        (ty, last(path).to_owned())
    };
    contents
        .iter()
        .map(|(path, hash)| (key(path), *hash))
        .collect()
}

#[test]
fn everything_is_lost_but_a_gold_only_set() {
    let Some(recorded) = Recorded::open("A-healthy", "lost_a_gold") else {
        return;
    };
    let store = MadeStore::new();
    back_up(&recorded, &store, SetKind::GoldOnly);
    let untouched = store.everything();
    let site = Site::new("restored_a_gold");
    let outcome = site.restore(&store).run();
    outcome.assert_code(1);
    assert_eq!(outcome.report()["complete"], true);
    assert_eq!(count(&outcome, "copied"), 11 + 9);
    assert_eq!(count(&outcome, "linked"), 11);
    assert_eq!(count(&outcome, "lost"), 0);
    assert_eq!(database(&outcome)["created"], true);
    assert_eq!(database(&outcome)["rows"]["pfile"], 89);
    // The plain text file and what it was uploaded as are whole again; so are all listings.
    for finding in outcome.findings() {
        let kind = finding["kind"].as_str();
        assert!(
            matches!(kind, Some("missing-derived" | "pfile-without-use")),
            "{finding}"
        );
        let uploads = finding["uploads"].as_array().cloned().unwrap_or_default();
        assert!(!uploads.contains(&4.into()), "{finding}");
    }
    let logs = |root: &Path| {
        let mut all = contents(root);
        all.retain(|path, _| path.starts_with("logs/"));
        all
    };
    assert!(!logs(&recorded.repository()).is_empty());
    assert_eq!(logs(&site.repository()), logs(&recorded.repository()));

    assert!(unpack(&site, &recorded.repository()) > 50);
    let outcome = site.assert_well();
    // The three of version control are in no tree: no upload of a gold-only set brings them back
    // by what a check knows.
    let kinds: Vec<_> = outcome
        .findings()
        .iter()
        .map(|finding| finding["kind"].clone())
        .collect();
    assert_eq!(kinds, ["pfile-without-use"; 3]);
    assert_eq!(store.everything(), untouched);
    // The database that was restored is now one that is not empty.
    let again = site.restore(&store).run();
    again.assert_code(2);
    assert!(
        again.complaint().contains("--only gold,files,license"),
        "{}",
        again.complaint()
    );
}

#[test]
fn everything_is_lost_but_a_full_set() {
    let Some(recorded) = Recorded::open("A-healthy", "lost_a_full") else {
        return;
    };
    let store = MadeStore::new();
    back_up(&recorded, &store, SetKind::Full);
    let site = Site::new("restored_a_full");
    let outcome = site.restore(&store).run();
    outcome.assert_code(0);
    let complaint = outcome.complaint();
    assert!(!complaint.contains("mounted"), "{complaint}");
    let kinds: Vec<_> = outcome
        .findings()
        .iter()
        .map(|finding| finding["kind"].clone())
        .collect();
    assert_eq!(kinds, ["unreferenced"; 3]);
    let mut wanted = contents(&recorded.repository());
    wanted.retain(|path, _| !path.starts_with("fossology01/"));
    assert_eq!(site.contents(), wanted);
    assert_eq!(site.assert_well().findings().len(), 3);
}

#[test]
fn a_server_in_the_midst_of_its_work_comes_back_as_it_was() {
    for state in ["D-killed-midunpack", "E-pending", "B-gold-only"] {
        let name = state[..1].to_lowercase();
        let Some(recorded) = Recorded::open(state, &format!("lost_{name}_midst")) else {
            return;
        };
        let store = MadeStore::new();
        let backup = store
            .fogold("backup")
            .args(["--full", "--sysconfdir"])
            .arg(recorded.sysconfdir())
            .run();
        // What is not there cannot be taken along, which is said.
        backup.assert_code(if state == "B-gold-only" { 1 } else { 0 });
        let site = Site::new(&format!("restored_{name}_midst"));
        site.restore(&store).run();
        let found = |outcome: &Outcome| -> Vec<(String, String)> {
            let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            let mut found: Vec<_> = outcome
                .findings()
                .iter()
                .map(|finding| (text(&finding["kind"]), text(&finding["path"])))
                .filter(|(kind, _)| kind != "abandoned")
                .collect();
            found.sort();
            found
        };
        let before = found(&recorded.check().run());
        let mut after = found(&site.check().run());
        if state == "B-gold-only" {
            // Restored gold stands in files/ too: what is one plain file is whole again.
            let golds = of_type(&site, "gold");
            assert_eq!(before.len() - after.len(), golds.len());
            after.extend(golds.iter().map(|path| {
                let path = path.replacen("/gold/", "/files/", 1);
                ("missing-derived".to_owned(), path)
            }));
            after.sort();
        }
        assert_eq!(after, before, "{state}");
    }
}

#[test]
fn without_a_configuration_it_is_laid_out_as_it_was() {
    let made_up = two_hosts(2);
    let store = MadeStore::new();
    store
        .fogold("backup")
        .args(["--full", "--dump"])
        .arg(made_up.dump())
        .arg("--sysconfdir")
        .arg(made_up.sysconfdir())
        .run()
        .assert_code(0);
    let site = Site::new("no_configuration");
    let outcome = store
        .fogold("restore")
        .args(["--format", "ndjson", "--repository"])
        .arg(site.repository())
        .arg("--database")
        .arg(Cluster::shared().conninfo(site.database()))
        .run();
    outcome.assert_code(0);
    for ty in ["gold", "files"] {
        assert_eq!(of_type(&site, ty), made_up.files(ty));
    }
}

#[test]
fn the_new_server_is_laid_out_as_its_own_configuration_says() {
    let made_up = two_hosts(2);
    let store = MadeStore::new();
    store.back_up(&made_up, SetKind::Full);
    let mut source = contents(&made_up.repository());
    source
        .retain(|path, _| ["gold", "files", "license"].contains(&path.split('/').nth(1).unwrap()));
    let layouts: [(usize, &[&str]); 4] = [
        (1, &["localhost[] = * 00 ff"]),
        (3, &["a[] = gold 00 ff", "b[] = * 00 ff"]),
        (2, &["south[] = * 00 3f", "north[] = * 40 ff"]),
        // Some names have no host.
        (3, &["only[] = * 00 9f"]),
    ];
    for (number, (depth, hosts)) in layouts.into_iter().enumerate() {
        let site = Site::with(&format!("layout_{number}"), depth, hosts, "");
        let outcome = site.restore(&store).run();
        outcome.assert_code(0);
        assert_eq!(outcome.findings(), Vec::<serde_json::Value>::new());
        site.assert_well();
        let restored = site.contents();
        assert_eq!(restored.len(), source.len());
        if number != 3 {
            assert_eq!(by_name(&restored), by_name(&source));
        }
    }
}

#[test]
fn just_the_database_is_lost() {
    let made_up = MadeUp::small();
    let store = MadeStore::new();
    store.back_up(&made_up, SetKind::GoldOnly);
    let site = Site::new("lost_database");
    site.configure(&made_up.repository(), 3, &["localhost[] = * 00 ff"], "");
    // A file that came after the set.
    let newer = "localhost/files/00/00/00/0000000000000000000000000000000000000000.\
                 00000000000000000000000000000000.1";
    let path = made_up.repository().join(newer);
    make_directories(path.parent().unwrap());
    fs::write(&path, "x").unwrap();
    let before = standing(&made_up.repository());
    let outcome = site.restore(&store).args(["--only", "database"]).run();
    outcome.assert_code(0);
    assert_eq!(
        standing(&made_up.repository()),
        before,
        "the tree was touched"
    );
    assert!(outcome.report()["coverage"]["restored"]["files"].is_null());
    let [finding] = &outcome.findings()[..] else {
        panic!("{:?}", outcome.findings());
    };
    assert_eq!(
        (&finding["kind"], &finding["path"]),
        (&"orphan".into(), &newer.into())
    );
}

#[test]
fn one_agent_host_is_lost() {
    let made_up = two_hosts(3);
    let store = MadeStore::new();
    store.back_up(&made_up, SetKind::Full);
    made_up.go_live(Cluster::shared(), "host_lost");
    let root = made_up.repository();
    let whole = contents(&root);
    fs::remove_dir_all(root.join("north")).unwrap();
    let lost = contents(&root);
    let before = standing(&root.join("south"));
    let restore = |more: &[&str]| {
        store
            .fogold("restore")
            .args(["--format", "ndjson", "--sysconfdir"])
            .arg(made_up.sysconfdir())
            .args(more)
            .run()
    };
    let outcome = restore(&["--host", "west"]);
    outcome.assert_code(2);
    assert!(
        outcome.complaint().contains("north, south"),
        "{}",
        outcome.complaint()
    );
    // Nobody can tell a lost directory from one that is not mounted.
    for more in [&["--dry-run"][..], &[]] {
        let outcome = restore(&[&["--host", "north"], more].concat());
        outcome.assert_code(3);
        let complaint = outcome.complaint();
        assert!(complaint.contains("mount it, or mkdir it"), "{complaint}");
        assert_eq!(contents(&root), lost);
        assert!(!root.join("north").exists());
    }
    let outcome = restore(&["--dry-run", "--only", "gold,files"]);
    outcome.assert_code(0);
    let complaint = outcome.complaint();
    assert!(
        complaint.contains("of host north, is not there"),
        "{complaint}"
    );
    assert!(!complaint.contains("host south"), "{complaint}");

    fs::create_dir(root.join("north")).unwrap();
    let outcome = restore(&["--host", "north", "--dry-run"]);
    outcome.assert_code(0);
    assert!(
        !outcome.complaint().contains("mounted"),
        "{}",
        outcome.complaint()
    );
    let planned = count(&outcome, "copied") + count(&outcome, "linked");
    assert_eq!(planned, (whole.len() - lost.len()) as u64);
    assert_eq!(contents(&root), lost);

    let mode = fs::Permissions::from_mode(0o2770);
    fs::set_permissions(root.join("north"), mode).unwrap();
    let outcome = restore(&["--host", "north"]);
    outcome.assert_code(0);
    assert_eq!(outcome.findings(), Vec::<serde_json::Value>::new());
    assert_eq!(contents(&root), whole);
    assert_eq!(
        standing(&root.join("south")),
        before,
        "the other host was touched"
    );
    assert_eq!(count(&outcome, "kept"), 0, "more was read than was lost");
    // Nothing to do is no failure.
    let outcome = restore(&["--host", "north"]);
    outcome.assert_code(0);
    assert_eq!(count(&outcome, "copied") + count(&outcome, "linked"), 0);
}

#[test]
fn the_role_comes_back_with_the_password_that_the_configuration_has() {
    let made_up = MadeUp::small();
    let cluster = Cluster::start(&ClusterOptions {
        auth: "scram-sha-256",
        ..ClusterOptions::default()
    });
    let store = MadeStore::new();
    store.back_up(&made_up, SetKind::Full);
    let site = Site::new("unused_but_for_its_name");
    let port = cluster.port();
    site.configure_database(&format!(
        "dbname=fossology;\nhost=127.0.0.1;\nport={port};\nuser=fossy;\npassword=made up 1;\n"
    ));
    // FOSSology's role is not there: nothing can be restored as it.
    let outcome = site.restore(&store).run();
    outcome.assert_code(3);
    assert!(
        outcome.complaint().contains("CREATE ROLE fossy"),
        "{}",
        outcome.complaint()
    );
    let outcome = site
        .restore(&store)
        .arg("--database")
        .arg(cluster.conninfo("fossology"))
        .run();
    outcome.assert_code(0);
    assert_eq!(database(&outcome)["roles_created"][0], "fossy");
    for text in [outcome.text(), outcome.complaint()] {
        assert!(!text.contains("made up 1"), "{text}");
    }
    site.check().run().assert_code(0);
    assert!(!of_type(&site, "gold").is_empty());
}
