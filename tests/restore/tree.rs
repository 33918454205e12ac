//! What is put into a tree, how it lies there, and what is left alone.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use fogold::manifest::SetKind;

use super::{count, database, last, of_type};
use crate::support::site::standing;
use crate::support::{MadeStore, MadeUp, Site, Unprivileged};

/// A full set and a site whose files are there already, and whose database is not.
fn with_files(database: &str) -> (MadeUp, MadeStore, Site) {
    let made_up = MadeUp::small();
    let store = MadeStore::new();
    store.back_up(&made_up, SetKind::Full);
    let site = Site::new(database);
    for part in ["gold", "files", "license"] {
        site.restore(&store)
            .args(["--only", part])
            .run()
            .assert_code(0);
    }
    (made_up, store, site)
}

#[test]
fn each_part_by_itself() {
    let made_up = MadeUp::small();
    // A licence text, which no row knows.
    let license = "localhost/license/2e/f7/bd/2ef7bde608ce5404e97d5f042f95f89f1c232871.\
                   ed076287532e86365e841e92bfc50d8c.12";
    let path = made_up.repository().join(license);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, "Hello World!").unwrap();
    let store = MadeStore::new();
    store.back_up(&made_up, SetKind::Full);
    let site = Site::new("each_part");
    for (part, others) in [("gold", "files"), ("files", "license"), ("license", "")] {
        let outcome = site.restore(&store).args(["--only", part]).run();
        outcome.assert_code(0);
        let (found, wanted) = (of_type(&site, part), made_up.files(part));
        assert!(!wanted.is_empty());
        assert_eq!(found, wanted, "{part}");
        assert_eq!(of_type(&site, others), Vec::<String>::new());
        assert!(!site.has_database(), "--only {part} made a database");
    }
    site.restore(&store)
        .args(["--only", "database"])
        .run()
        .assert_code(0);
    site.assert_well();

    let site = Site::new("several_parts");
    let outcome = site
        .restore(&store)
        .args(["--only", "gold,license", "--only", "files"])
        .run();
    outcome.assert_code(0);
    for part in ["gold", "files", "license"] {
        assert_eq!(of_type(&site, part), made_up.files(part), "{part}");
    }
    assert!(!site.has_database());
}

#[test]
fn it_lies_there_as_fossology_would_have_put_it() {
    let made_up = MadeUp::small();
    let store = MadeStore::new();
    store.back_up(&made_up, SetKind::Full);
    let is_root = rustix::process::geteuid().is_root();
    let site = Site::with(
        "as_fossology",
        3,
        &["localhost[] = * 00 ff"],
        "[DIRECTORIES]\nPROJECTUSER=nobody\nPROJECTGROUP=daemon\n",
    );
    // A new file system, just mounted.
    fs::create_dir_all(site.repository().join("lost+found")).unwrap();
    let restored = site.restore(&store).run();
    restored.assert_code(if is_root {
        0
    } else {
        restored.code.unwrap_or(-1)
    });
    let all = site.standing();
    let golds = of_type(&site, "gold");
    assert!(golds.len() > 20);
    for path in &golds {
        let copy = &all[&path.replacen("/gold/", "/files/", 1)];
        assert_eq!(all[path], *copy, "{path}");
        assert_eq!((copy.links, copy.mode), (2, 0o2664), "{path}");
    }
    for (path, standing) in &all {
        if path.contains("lost+found") || path.contains(".fogold") {
            continue;
        }
        if is_root {
            assert_eq!(standing.owner, (65_534, 1), "{path}");
        }
        let is_alone = standing.contents.is_some() && standing.links == 1;
        match standing.contents {
            Some(_) if is_alone => assert_eq!(standing.mode, 0o2660, "{path}"),
            Some(_) => {}
            None => assert_eq!(standing.mode, 0o2770, "{path}"),
        }
    }
}

#[test]
fn who_is_not_root_restores_as_himself() {
    let made_up = MadeUp::small();
    let store = MadeStore::new();
    store.back_up(&made_up, SetKind::Full);
    let site = Site::new("not_root");
    let somebody = Unprivileged::new();
    somebody.own(site.directory());
    somebody.own(store.path().parent().unwrap());
    let outcome = somebody.run_as(site.restore(&store)).run();
    outcome.assert_code(0);
    let own = fs::metadata(site.directory()).unwrap().uid();
    for (path, standing) in site.standing() {
        assert_eq!(standing.owner.0, own, "{path}");
    }
    site.assert_well();
}

#[test]
fn what_is_good_is_left_alone_and_what_is_bad_is_kept_aside() {
    let (_made_up, store, site) = with_files("never_over");
    let root = site.repository();
    let outside = site.directory().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("precious"), "precious").unwrap();
    let files = of_type(&site, "files");
    let singles: Vec<&String> = files
        .iter()
        .filter(|path| fs::metadata(root.join(path)).unwrap().nlink() == 1)
        .filter(|path| !path.ends_with(".0"))
        .collect();
    let [cut, corrupt, link, directory, gone, fifo, ..] = singles[..] else {
        panic!("too few files");
    };
    let text = fs::read(root.join(cut)).unwrap();
    fs::write(root.join(cut), &text[1..]).unwrap();
    let mut text = fs::read(root.join(corrupt)).unwrap();
    text[0] ^= 1;
    fs::write(root.join(corrupt), &text).unwrap();
    for path in [link, directory, gone, fifo] {
        fs::remove_file(root.join(path)).unwrap();
    }
    symlink(outside.join("precious"), root.join(link)).unwrap();
    fs::create_dir(root.join(directory)).unwrap();
    fs::write(root.join(directory).join("x"), "x").unwrap();
    let made = std::process::Command::new("mkfifo")
        .arg(root.join(fifo))
        .status();
    assert!(made.unwrap().success());
    let before = site.standing();

    let planned = site
        .restore(&store)
        .args(["--only", "files", "--dry-run"])
        .run();
    planned.assert_code(0);
    assert_eq!(site.standing(), before, "a dry run changed something");

    let outcome = site.restore(&store).args(["--only", "files"]).run();
    outcome.assert_code(0);
    assert_eq!(count(&outcome, "copied"), 6);
    assert_eq!(super::files(&outcome)["quarantined"], 5);
    assert_eq!(
        super::files(&planned),
        super::files(&outcome),
        "the plan was another"
    );
    let bad = [cut, corrupt, link, directory, fifo];
    let quarantine = root.join("localhost/.fogold/quarantine");
    let runs: Vec<_> = fs::read_dir(&quarantine).unwrap().flatten().collect();
    assert_eq!(runs.len(), 1);
    for path in bad {
        let kept = runs[0]
            .path()
            .join(path.strip_prefix("localhost/").unwrap());
        let kept = standing(&kept)[""].clone();
        assert_eq!(kept.inode, before[path].inode, "{path}");
        assert!(
            outcome.complaint().contains(last(path)),
            "{path} is not named"
        );
    }
    assert_eq!(fs::read(outside.join("precious")).unwrap(), b"precious");
    for (path, standing) in site.standing() {
        let Some(old) = before.get(&path).filter(|old| old.contents.is_some()) else {
            continue;
        };
        if !bad.contains(&&path) {
            assert_eq!(standing, *old, "{path} was touched");
        }
    }
    site.restore(&store)
        .args(["--only", "database"])
        .run()
        .assert_code(0);
    site.assert_well();
}

#[test]
fn gold_and_its_copy_are_one_inode_again() {
    let (_made_up, store, site) = with_files("one_inode");
    let root = site.repository();
    let golds = of_type(&site, "gold");
    let [bad_gold, bad_copy, both, no_copy, ..] = &golds[..] else {
        panic!("too few uploads");
    };
    let copy = |path: &String| root.join(path.replacen("/gold/", "/files/", 1));
    let spoil = |path: &std::path::Path| {
        let mut text = fs::read(path).unwrap();
        text[0] ^= 1;
        fs::write(path, text).unwrap();
    };
    // As after an unpack: two inodes, of which one goes bad; and as before it: one inode.
    for path in [bad_gold, bad_copy] {
        let text = fs::read(root.join(path)).unwrap();
        fs::remove_file(copy(path)).unwrap();
        fs::write(copy(path), text).unwrap();
        fs::set_permissions(copy(path), fs::Permissions::from_mode(0o2660)).unwrap();
    }
    fs::remove_file(copy(no_copy)).unwrap();
    spoil(&root.join(bad_gold));
    spoil(&copy(bad_copy));
    let is_linked = |path: &String| {
        let inode = |at: &std::path::Path| fs::metadata(at).unwrap().ino();
        inode(&root.join(path)) == inode(&copy(path))
    };
    // A hard link that something in the tree has, and both names of which are bad.
    if !is_linked(both) {
        fs::remove_file(copy(both)).unwrap();
        fs::hard_link(root.join(both), copy(both)).unwrap();
    }
    spoil(&root.join(both));
    let outcome = site.restore(&store).run();
    outcome.assert_code(0);
    assert_eq!(count(&outcome, "copied"), 1, "only what no copy is good of");
    assert_eq!(super::files(&outcome)["quarantined"], 4);
    for path in [bad_gold, bad_copy, both, no_copy] {
        assert!(is_linked(path), "{path}");
    }
    site.assert_well();
}

#[test]
fn a_link_in_the_way_leads_nowhere() {
    let (_made_up, store, site) = with_files("link_in_the_way");
    let root = site.repository();
    let outside = site.directory().join("outside");
    fs::create_dir(&outside).unwrap();
    for at in ["localhost/files", "localhost/.fogold", "localhost"] {
        let (there, aside) = (root.join(at), site.directory().join("aside"));
        fs::rename(&there, &aside).unwrap();
        symlink(&outside, &there).unwrap();
        let outcome = site.restore(&store).args(["--only", "files"]).run();
        let code = outcome.code;
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "{at}");
        // What is fogold's own is not needed where nothing is to be written.
        assert_eq!(
            code,
            Some(if at.contains(".fogold") { 0 } else { 3 }),
            "{at}"
        );
        fs::remove_file(&there).unwrap();
        fs::rename(&aside, &there).unwrap();
    }
    site.restore(&store)
        .args(["--only", "database"])
        .run()
        .assert_code(0);
    site.assert_well();
}

#[test]
fn damaged_contents_in_the_store_are_taken_from_the_tree() {
    let (made_up, store, site) = with_files("damaged_pool");
    let root = site.repository();
    let golds = of_type(&site, "gold");
    // The first has its copy in files, the second has none, the third is not in the store.
    let [first, second, third, ..] = &golds[..] else {
        panic!("too few uploads");
    };
    for path in [first, second, third] {
        let name = last(path);
        let pooled = store
            .path()
            .join("pool")
            .join(&name[..2])
            .join(&name[2..4])
            .join(name);
        let mut text = fs::read(&pooled).unwrap();
        text[0] ^= 1;
        fs::set_permissions(&pooled, fs::Permissions::from_mode(0o600)).unwrap();
        match path == third {
            true => fs::remove_file(&pooled).unwrap(),
            false => fs::write(&pooled, text).unwrap(),
        }
        fs::remove_file(root.join(path)).unwrap();
        if path != first {
            fs::remove_file(root.join(path.replacen("/gold/", "/files/", 1))).unwrap();
        }
    }
    let before = store.everything();
    let outcome = site.restore(&store).args(["--only", "gold"]).run();
    outcome.assert_code(1);
    let complaint = outcome.complaint();
    assert_eq!(count(&outcome, "taken_from_tree"), 1);
    assert_eq!(count(&outcome, "lost"), 2);
    for path in [first, second, third] {
        assert!(complaint.contains(last(path)), "{complaint}");
    }
    assert!(complaint.contains("was taken in its place"), "{complaint}");
    let mut lost: Vec<_> = outcome
        .findings()
        .iter()
        .filter(|finding| finding["kind"] == "missing-gold")
        .map(|finding| finding["path"].as_str().unwrap().to_owned())
        .collect();
    lost.sort();
    assert_eq!(lost, [second.as_str(), third.as_str()]);
    // What was read in the store just now and is damaged is nothing to recover from.
    for finding in outcome.findings() {
        if finding["kind"] == "missing-gold" {
            assert_eq!(finding["severity"], "loss", "{finding}");
            assert_eq!(finding["recovery"], "none", "{finding}");
        }
    }
    assert_eq!(store.everything(), before, "the store was touched");
    // What another copy has by then comes from there.
    for path in [second, third] {
        let copy = path.replacen("/gold/", "/files/", 1);
        fs::copy(made_up.repository().join(&copy), root.join(&copy)).unwrap();
    }
    let outcome = site.restore(&store).args(["--only", "gold"]).run();
    outcome.assert_code(0);
    assert_eq!(count(&outcome, "taken_from_tree"), 2);
}

#[test]
fn files_are_linked_to_the_gold_that_stands_already() {
    let made_up = MadeUp::small();
    let store = MadeStore::new();
    store.back_up(&made_up, SetKind::Full);
    let site = Site::new("gold_then_files");
    let root = site.repository();
    site.restore(&store)
        .args(["--only", "gold"])
        .run()
        .assert_code(0);
    let golds = of_type(&site, "gold");
    // A gold that is bad is nothing to link to.
    let bad = root.join(&golds[0]);
    let mut text = fs::read(&bad).unwrap();
    text[0] ^= 1;
    fs::write(&bad, text).unwrap();
    let only_files = || site.restore(&store).args(["--only", "files"]);
    let planned = only_files().arg("--dry-run").run();
    let outcome = only_files().run();
    outcome.assert_code(0);
    assert_eq!(count(&outcome, "linked"), golds.len() as u64 - 1);
    assert_eq!(super::files(&planned), super::files(&outcome));
    let is_linked = |path: &String| {
        let inode = |at: &std::path::Path| fs::metadata(at).unwrap().ino();
        inode(&root.join(path)) == inode(&root.join(path.replacen("/gold/", "/files/", 1)))
    };
    for path in &golds[1..] {
        assert!(is_linked(path), "{path}");
    }
    assert!(!is_linked(&golds[0]));
    site.restore(&store).run().assert_code(0);
    site.assert_well();
}

#[test]
fn what_cannot_be_put_in_its_place_stops_nothing_else() {
    let (_made_up, store, site) = with_files("in_the_way");
    let root = site.repository();
    let above = |path: &String| root.join(path).parent().unwrap().to_owned();
    let block = |path: &String| {
        fs::remove_dir_all(above(path)).unwrap();
        fs::write(above(path), "in the way").unwrap();
    };
    let (golds, files) = (of_type(&site, "gold"), of_type(&site, "files"));
    let copy = golds[0].replacen("/gold/", "/files/", 1);
    let single = files
        .iter()
        .find(|path| fs::metadata(root.join(path)).unwrap().nlink() == 1 && !golds.contains(path))
        .unwrap();
    // Both are gone, and one of the places is blocked: the other gets its file all the same.
    fs::remove_file(root.join(&copy)).unwrap();
    for path in [&golds[0], single] {
        block(path);
    }
    let (first, last_one) = (&golds[1], &golds[golds.len() - 1]);
    for path in [first, last_one] {
        fs::remove_file(root.join(path)).unwrap();
    }
    for again in [false, true] {
        let outcome = site.restore(&store).run();
        outcome.assert_code(3);
        let report = outcome.report();
        assert_eq!(report["complete"], false);
        assert_eq!(count(&outcome, "unwritten"), 2);
        assert_eq!(database(&outcome)["resumed"], again);
        let complaint = outcome.complaint();
        for path in [&golds[0], single] {
            let why = format!("{path} in the repository; mend that");
            assert!(complaint.contains(&why), "{complaint}");
            let found = outcome.findings();
            let found = found
                .iter()
                .find(|finding| finding["path"] == path.as_str());
            assert!(found.is_some(), "the check does not name {path}");
        }
        assert!(complaint.contains("Not a directory"), "{complaint}");
        let verdict = report["verdict"].as_str().unwrap();
        let wanted = "is restored but for 2 files (2 could not be put in place: mend that, and run the same command again)";
        assert!(verdict.contains(wanted), "{verdict}");
        for path in [&copy, first, last_one] {
            assert!(root.join(path).is_file(), "{path}");
        }
    }
    for path in [&golds[0], single] {
        fs::remove_file(above(path)).unwrap();
    }
    // The same command goes on.
    let outcome = site.restore(&store).run();
    outcome.assert_code(0);
    assert_eq!(database(&outcome)["resumed"], true);
    site.assert_well();
}

#[test]
fn a_directory_without_permission_stops_nothing_else() {
    let made_up = MadeUp::small();
    let store = MadeStore::new();
    store.back_up(&made_up, SetKind::Full);
    let site = Site::new("no_permission");
    let root = site.repository();
    let somebody = Unprivileged::new();
    somebody.own(site.directory());
    somebody.own(store.path().parent().unwrap());
    let restore = || somebody.run_as(site.restore(&store).args(["--only", "gold"]));
    restore().run().assert_code(0);
    let golds = of_type(&site, "gold");
    for path in [&golds[0], &golds[1]] {
        fs::remove_file(root.join(path)).unwrap();
    }
    let closed = root.join(&golds[0]).parent().unwrap().to_owned();
    let allow = |mode| fs::set_permissions(&closed, fs::Permissions::from_mode(mode)).unwrap();
    allow(0o2550);
    let outcome = restore().run();
    outcome.assert_code(3);
    assert_eq!(count(&outcome, "unwritten"), 1);
    assert_eq!(count(&outcome, "copied"), 1);
    let complaint = outcome.complaint();
    assert!(complaint.contains("Permission denied"), "{complaint}");
    allow(0o2770);
    restore().run().assert_code(0);
    assert_eq!(of_type(&site, "gold"), golds);
}
