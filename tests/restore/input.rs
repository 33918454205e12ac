//! Stores, sets and targets that are not as they should be, and what a dry run shows.

use std::fs;
use std::path::Path;

use fogold::manifest::SetKind;
use serde_json::{Value, json};

use super::{count, database, files, last};
use crate::support::{Cluster, Fogold, MadeStore, MadeUp, Outcome, Site, Unprivileged};

/// A made-up server's full set.
fn full_set() -> (MadeUp, MadeStore, String) {
    let made_up = MadeUp::small();
    let store = MadeStore::new();
    let id = store.back_up(&made_up, SetKind::Full);
    (made_up, store, id)
}

/// Panics unless a restore is refused with a status, says why, and has changed nothing.
fn refused(site: &Site, restore: Fogold, code: i32, why: &str) -> Outcome {
    let before: Vec<String> = site.contents().into_keys().collect();
    let outcome = restore.run();
    outcome.assert_code(code);
    let complaint = outcome.complaint();
    assert!(complaint.contains(why), "{why:?} is not in: {complaint}");
    assert_eq!(site.tables(), 0, "{why}: the database was filled");
    let after: Vec<String> = site.contents().into_keys().collect();
    assert_eq!(after, before, "{why}: something was restored");
    outcome
}

#[test]
fn a_dry_run_shows_everything_and_changes_nothing() {
    let (made_up, store, _) = full_set();
    let site = Site::new("dry_run");
    let before = store.everything();
    let outcome = site.restore(&store).arg("--dry-run").run();
    outcome.assert_code(0);
    let verdict = outcome.report()["verdict"].as_str().unwrap().to_owned();
    assert!(verdict.starts_with("DRY RUN"), "{verdict}");
    assert_eq!(database(&outcome)["created"], true);
    let planned = count(&outcome, "copied") + count(&outcome, "linked");
    let all =
        made_up.files("gold").len() + made_up.files("files").len() + made_up.files("license").len();
    assert_eq!(planned, all as u64);
    assert!(!site.repository().exists());
    assert!(!site.has_database());
    assert_eq!(fs::read_dir(site.scratch()).unwrap().count(), 0);
    assert_eq!(store.everything(), before);

    let real = site.restore(&store).run();
    real.assert_code(0);
    assert_eq!(files(&real), files(&outcome), "the plan was another");
    assert_eq!(store.everything(), before);

    // On what is there, too: a plan that cannot be done is none.
    let outcome = site.restore(&store).arg("--dry-run").run();
    outcome.assert_code(2);
    let outcome = site.restore(&store).args(["--dry-run", "--clean"]).run();
    outcome.assert_code(0);
    let kept = database(&outcome)["kept"].as_str().unwrap().to_owned();
    assert!(kept.starts_with("dry_run_before_"), "{kept}");
    assert_eq!(count(&outcome, "copied"), 0);
    // For people: nothing reads as if it had been done.
    let text = Fogold::new(["restore", "--dry-run", "--clean", "--sysconfdir"])
        .arg(site.sysconfdir())
        .arg(store.path())
        .run()
        .text();
    assert!(text.contains("database  dry_run would be made"), "{text}");
    assert!(
        text.contains("would be renamed to dry_run_before_"),
        "{text}"
    );
    assert!(!text.contains("dropdb"), "{text}");
    for said in [" stand in their place and are good", " would be copied "] {
        assert!(text.contains(said), "{text}");
    }
    for said in ["  copied", "  linked", "  kept", "that stood"] {
        assert!(!text.contains(said), "{said}: {text}");
    }
}

#[test]
fn a_dry_run_ends_as_the_restore_would() {
    let made_up = MadeUp::small();
    let store = MadeStore::new();
    let id = store.back_up(&made_up, SetKind::GoldOnly);
    let site = Site::new("dry_run_of_gold");
    let plan = || {
        let plan = Fogold::new(["restore", "--dry-run", "--sysconfdir"]);
        plan.arg(site.sysconfdir()).arg(store.path()).run()
    };
    let outcome = plan();
    outcome.assert_code(0);
    let record = store.record(&id);
    let left = record["counts"]["left_out"].as_array().expect("a list");
    let left = left
        .iter()
        .find(|each| each["reason"] == "unpacking brings it back")
        .expect("derived files");
    let said = format!("  unpack    {} files, ", left["files"]);
    assert!(outcome.text().contains(&said), "{said}: {}", outcome.text());
    let gold = made_up.files("gold").remove(0);
    let name = last(&gold).parse().expect("a name");
    fs::remove_file(store.open().layout().pool_path(&name)).expect("contents");
    let outcome = plan();
    outcome.assert_code(1);
    assert!(
        outcome.text().contains("  not had   1 file, "),
        "{}",
        outcome.text()
    );
}

#[test]
fn a_damaged_dump_is_told_with_what_to_do() {
    let (_made_up, store, id) = full_set();
    let site = Site::new("cut_dump");
    let dump = store.set(&id).join(store.dump_of(&id));
    let whole = fs::read(&dump).expect("a dump");
    fs::write(&dump, &whole[..whole.len() / 2]).expect("half a dump");
    let said = format!(
        "nothing was restored, for set {id} is damaged: take another set ('fogold sets {}' lists them): ",
        store.path().display()
    );
    for more in [&["--dry-run"][..], &[]] {
        let outcome = site.restore(&store).args(more).run();
        outcome.assert_code(3);
        let complaint = outcome.complaint();
        assert!(
            complaint.contains(&said) && complaint.contains(" bytes instead of "),
            "{complaint}"
        );
    }
    let drill = store.fogold("drill").run();
    drill.assert_code(3);
    assert!(drill.complaint().contains(&said), "{}", drill.complaint());
    assert!(!site.has_database());
}

#[test]
fn a_set_without_a_part_says_so() {
    let made_up = MadeUp::small();
    let store = MadeStore::new();
    let id = store.back_up(&made_up, SetKind::GoldOnly);
    let site = Site::new("no_license");
    let said = format!("nothing was restored, for set {id} holds no files of license/");
    for more in [&[][..], &["--dry-run"]] {
        let restore = site.restore(&store).args(["--only", "license"]);
        let outcome = restore.args(more).run();
        outcome.assert_code(0);
        let report = outcome.report();
        let verdict = report["verdict"].as_str().expect("a verdict");
        assert!(verdict.contains(&said), "{verdict}");
        assert!(!verdict.contains("is restored"), "{verdict}");
    }
}

#[test]
fn reports_say_the_same_in_every_form() {
    let (_made_up, store, id) = full_set();
    let site = Site::new("forms");
    let report = site.directory().join("report.json");
    let outcome = site
        .restore(&store)
        .arg("-q")
        .arg("--report")
        .arg(&report)
        .run();
    outcome.assert_code(0);
    assert_eq!((outcome.text(), outcome.complaint()), Default::default());
    let report: Value = serde_json::from_slice(&fs::read(&report).unwrap()).unwrap();
    assert_eq!(report["command"], "restore");
    assert_eq!(report["exit_status"], 0);
    assert_eq!(report["coverage"]["restored"]["set"], id);
    let restored = &report["coverage"]["restored"]["files"]["copied"]["files"];
    assert!(restored.as_u64() > Some(300), "{restored}");
    // Where it may not stand.
    for place in [site.repository(), store.path()] {
        let place = place.join("report.json");
        let restore = site.restore(&store).args(["--only", "gold"]);
        let outcome = restore.arg("--report").arg(&place).run();
        outcome.assert_code(2);
        assert!(!place.exists());
    }
}

#[test]
fn options_that_do_not_go_together() {
    let (_made_up, store, _) = full_set();
    let site = Site::new("options");
    for more in [
        &["--only", "gold", "--clean"][..],
        &["--only", "files", "--run-deletions"],
        &["--host", "localhost", "--rewrite-paths"],
        &["--only", "database", "--host", "localhost"],
        &["--only", "everything"],
        &["--host", "nowhere"],
    ] {
        let restore = site.restore(&store).args(more);
        refused(&site, restore, 2, "");
    }
}

#[test]
fn nobody_says_which_database() {
    let (_made_up, store, _) = full_set();
    let site = Site::new("which_database");
    fs::remove_file(site.sysconfdir().join("Db.conf")).unwrap();
    let outcome = refused(&site, site.restore(&store), 2, "Db.conf");
    assert!(!site.repository().exists(), "{}", outcome.complaint());
    let restore = store
        .fogold("restore")
        .arg("--repository")
        .arg(site.repository());
    refused(&site, restore, 2, "--database");
    // Files need none.
    let outcome = site.restore(&store).args(["--only", "gold"]).run();
    outcome.assert_code(0);
}

#[test]
fn a_set_that_is_not_there_or_not_the_only_one() {
    let (_made_up, store, id) = full_set();
    store.date(&id, "2026-01-01T010000Z-full");
    let copy = store.set("2026-01-02T010000Z-full");
    let status = std::process::Command::new("cp")
        .arg("-a")
        .arg(store.set("2026-01-01T010000Z-full"))
        .arg(copy)
        .status();
    assert!(status.unwrap().success());
    store.edit_record("2026-01-02T010000Z-full", |record| {
        record["id"] = "2026-01-02T010000Z-full".into();
    });
    let site = Site::new("which_set");
    refused(&site, site.restore(&store).arg("2026-02"), 3, "2026-02");
    refused(
        &site,
        site.restore(&store).arg("2026-01"),
        2,
        "2026-01-02T010000Z-full",
    );
    let empty = MadeStore::new();
    refused(&site, site.restore(&empty), 3, "no finished set");
    refused(
        &site,
        site.restore_from(Path::new("/nonexistent/store")),
        3,
        "",
    );
    let other = site.directory().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("letter.txt"), "mine").unwrap();
    refused(&site, site.restore_from(&other), 2, "is no store");
    assert!(!site.repository().exists(), "a repository was made");
    // A repository inside the store.
    site.configure(
        &store.path().join("repository"),
        3,
        &["localhost[] = * 00 ff"],
        "",
    );
    refused(&site, site.restore(&store), 2, "store");
    assert!(!store.path().join("repository").exists());
}

#[test]
fn formats_of_the_future() {
    let (_made_up, store, id) = full_set();
    let site = Site::new("formats");
    let newer = |path: &Path| {
        let text = fs::read_to_string(path).unwrap();
        let mut record: Value = serde_json::from_str(&text).unwrap();
        assert!(record["format"].is_number(), "{record}");
        record["format"] = json!(99);
        fs::write(path, record.to_string()).unwrap();
        text
    };
    for path in [
        store.path().join("store.json"),
        store.set(&id).join("set.json"),
    ] {
        let whole = newer(&path);
        refused(&site, site.restore(&store), 2, "newer");
        fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        refused(&site, site.restore(&store), 3, "");
        fs::write(&path, whole).unwrap();
    }
}

#[test]
fn a_damaged_set_is_refused_before_anything_is_touched() {
    let (_made_up, store, id) = full_set();
    let site = Site::new("damaged_set");
    let dump = store.dump_of(&id);
    for name in [&*dump, "manifest.jsonl.zst"] {
        let path = store.set(&id).join(name);
        let whole = fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        for damaged in [&whole[..whole.len() / 2], &flipped, &[]] {
            fs::write(&path, damaged).unwrap();
            refused(&site, site.restore(&store), 3, name);
        }
        fs::remove_file(&path).unwrap();
        refused(&site, site.restore(&store), 3, name);
        fs::write(&path, &whole).unwrap();
    }
    site.restore(&store).run().assert_code(0);
}

/// Puts another file in the place of one of a set, and has its record fit.
fn forge(store: &MadeStore, id: &str, part: &str, bytes: &[u8]) {
    let mut name = String::new();
    store.edit_record(id, |record| {
        name = record[part]["file"].as_str().unwrap().to_owned();
        record[part]["bytes"] = bytes.len().into();
        record[part]["blake3"] = blake3::hash(bytes).to_hex().as_str().into();
    });
    fs::write(store.set(id).join(name), bytes).unwrap();
}

#[test]
fn a_forged_manifest_leads_nowhere() {
    let (_made_up, store, id) = full_set();
    let site = Site::new("forged_manifest");
    let manifest = store.set(&id).join("manifest.jsonl.zst");
    let text = zstd::decode_all(&fs::read(&manifest).unwrap()[..]).unwrap();
    let text = String::from_utf8(text).unwrap();
    let around: Vec<_> = fs::read_dir(site.directory()).unwrap().flatten().collect();
    for bad in [
        text.replacen("\"name\":\"", "\"name\":\"../../", 1),
        text.replacen("\"name\":\"", "\"name\":\"/tmp/", 1),
        text.replacen("\"name\":\"", "\"name\":\".", 1),
        text[..text.len() / 2].to_owned(),
        text.lines().rev().collect::<Vec<_>>().join("\n"),
        String::new(),
    ] {
        let bytes = zstd::encode_all(bad.as_bytes(), 3).unwrap();
        forge(&store, &id, "manifest", &bytes);
        let outcome = site.restore(&store).args(["--only", "gold"]).run();
        outcome.assert_code(3);
        assert!(
            outcome.complaint().contains("manifest.jsonl.zst"),
            "{}",
            outcome.complaint()
        );
        let names: Vec<String> = site.contents().into_keys().collect();
        assert!(
            names.iter().all(|path| path.starts_with("localhost/gold/")),
            "{names:?}"
        );
    }
    let still: Vec<_> = fs::read_dir(site.directory()).unwrap().flatten().collect();
    assert_eq!(
        still.len(),
        around.len() + 1,
        "more than a repository was made"
    );
}

#[test]
fn files_are_held_against_no_dump_that_is_not_as_it_was_written() {
    let (_made_up, store, id) = full_set();
    let site = Site::new("unproven_dump");
    let path = store.set(&id).join(store.dump_of(&id));
    let whole = fs::read_to_string(&path).unwrap();
    // The length stays, and every row can be read.
    assert!(whole.starts_with("--\n"));
    fs::write(&path, whole.replacen("--\n", "-- ", 1)).unwrap();
    let outcome = site.restore(&store).args(["--only", "gold"]).run();
    outcome.assert_code(3);
    let complaint = outcome.complaint();
    assert!(
        complaint.contains("cannot be held against the set's own dump"),
        "{complaint}"
    );
    assert!(
        complaint.contains("not as they were written"),
        "{complaint}"
    );
    assert!(!site.contents().is_empty(), "gold comes back all the same");
    fs::write(&path, whole).unwrap();
    let outcome = site.restore(&store).args(["--only", "gold"]).run();
    outcome.assert_code(0);
}

#[test]
fn a_forged_dump_fills_no_database() {
    let (made_up, store, id) = full_set();
    let site = Site::new("forged_dump");
    let whole = fs::read(store.set(&id).join(store.dump_of(&id))).unwrap();
    let plain = fs::read(made_up.dump()).unwrap();
    assert_eq!(whole, plain, "a dump that was handed in is kept as it is");
    let foreign = b"CREATE TABLE public.page (x int);\n\\! touch /nonexistent/x\n";
    for (bad, code) in [
        (&whole[..whole.len() / 2], 3),
        (&whole[..whole.len() - 200], 3),
        (&foreign[..], 2),
    ] {
        forge(&store, &id, "dump", bad);
        refused(&site, site.restore(&store), code, "");
        assert!(!site.has_database(), "a database was made");
    }
    forge(&store, &id, "dump", &whole);
    site.restore(&store).run().assert_code(0);
}

#[test]
fn a_store_that_cannot_be_written() {
    let (_made_up, store, _) = full_set();
    let somebody = Unprivileged::new();
    let site = Site::new("read_only");
    somebody.own(site.directory());
    somebody.own(store.path().parent().unwrap());
    let change = |mode: &str| {
        let status = std::process::Command::new("chmod")
            .args(["-R", mode])
            .arg(store.path())
            .status();
        assert!(status.unwrap().success());
    };
    change("a-w");
    let before = store.everything();
    let outcome = somebody.run_as(site.restore(&store)).run();
    change("u+w");
    outcome.assert_code(0);
    assert_eq!(store.everything(), before);
    site.assert_well();
}

#[test]
fn a_database_that_is_not_empty() {
    let (_made_up, store, _) = full_set();
    let site = Site::new("not_empty");
    Cluster::shared().create_database("not_empty");
    site.client()
        .batch_execute("CREATE TABLE precious (x int); INSERT INTO precious VALUES (7)")
        .unwrap();
    let outcome = site.restore(&store).run();
    outcome.assert_code(2);
    assert!(
        outcome.complaint().contains("--clean"),
        "{}",
        outcome.complaint()
    );
    assert_eq!(site.number("SELECT x::int8 FROM precious"), 7);
    assert_eq!(site.contents().len(), 0, "files were restored");

    let outcome = site.restore(&store).arg("--clean").run();
    outcome.assert_code(0);
    let kept = database(&outcome)["kept"].as_str().unwrap().to_owned();
    let mut client = Cluster::shared().connect(&kept);
    let row = client.query_one("SELECT x FROM precious", &[]).unwrap();
    assert_eq!(row.get::<_, i32>(0), 7);
    drop(client);
    site.assert_well();
    let mut client = Cluster::shared().connect("postgres");
    client
        .batch_execute(&format!("DROP DATABASE \"{kept}\""))
        .unwrap();
}

#[test]
fn files_come_back_before_the_database_does() {
    let (_made_up, store, _) = full_set();
    let site = Site::new("not_filled");
    Cluster::shared().create_database("not_filled");
    for part in ["gold", "files", "license"] {
        let outcome = site.restore(&store).args(["--only", part]).run();
        outcome.assert_code(0);
        assert!(
            outcome.complaint().contains("the set's own dump"),
            "{}",
            outcome.complaint()
        );
    }
    site.restore(&store).run().assert_code(0);
    site.assert_well();
}

#[test]
fn programs_that_are_not_there() {
    let made_up = MadeUp::small();
    made_up.go_live(Cluster::shared(), "no_programs_source");
    let store = MadeStore::new();
    store
        .fogold("backup")
        .args(["--full", "--sysconfdir"])
        .arg(made_up.sysconfdir())
        .run()
        .assert_code(0);
    let site = Site::new("no_programs");
    let none = site.directory().join("none");
    fs::create_dir(&none).unwrap();
    let restore = Fogold::new(["restore", "--sysconfdir"])
        .arg(site.sysconfdir())
        .arg(store.path())
        .arg("--pg-bindir")
        .arg(&none);
    refused(&site, restore, 3, "none/pg_restore is not installed");
    site.restore(&store).run().assert_code(0);
    site.assert_well();
}

#[test]
fn a_check_knows_what_a_store_could_give_back() {
    let (made_up, store, _) = full_set();
    for ty in ["gold", "files"] {
        for path in made_up.files(ty) {
            fs::remove_file(made_up.repository().join(path)).unwrap();
        }
    }
    let check = |stores: &[&Path]| {
        let mut check = Fogold::check(&made_up.repository(), made_up.dump()).arg("--allow-empty");
        for store in stores {
            check = check.arg("--store").arg(store);
        }
        check.run()
    };
    let without = check(&[]);
    without.assert_code(1);
    let empty = MadeStore::new();
    let with = check(&[&empty.path(), &store.path()]);
    with.assert_code(1);
    let found = |outcome: &Outcome, kind: &str, recovery: &str| -> Vec<Value> {
        let mut found = outcome.findings();
        found.retain(|finding| finding["kind"] == kind && finding["recovery"] == recovery);
        found
    };
    for kind in ["missing-gold", "missing-derived"] {
        let lost = found(&without, kind, "none");
        assert!(lost.len() > 5, "{kind}: {}", lost.len());
        assert!(
            lost.iter().all(|finding| finding["severity"] == "loss"),
            "{kind}"
        );
    }
    assert!(!found(&without, "missing-listing", "none").is_empty());
    for kind in ["missing-gold", "missing-derived", "missing-listing"] {
        assert_eq!(found(&without, kind, "backup"), [json!(null); 0]);
        assert_eq!(found(&with, kind, "none"), [json!(null); 0]);
        let held = found(&with, kind, "backup");
        assert!(!held.is_empty(), "{kind}");
        for finding in held {
            let source = Path::new(finding["source"].as_str().unwrap());
            assert!(source.starts_with(store.path()), "{finding}");
            assert!(
                source.ends_with(finding["name"].as_str().unwrap()),
                "{finding}"
            );
            assert!(source.is_file());
            let severity = if kind == "missing-listing" {
                "notice"
            } else {
                "recoverable"
            };
            assert_eq!(finding["severity"], severity, "{finding}");
        }
    }
    // For people, with what to type.
    let text = Fogold::new(["check", "--allow-empty", "--repository"])
        .arg(made_up.repository())
        .arg("--catalog")
        .arg(made_up.dump())
        .arg("--store")
        .arg(store.path())
        .run()
        .text();
    let command = format!(
        "fogold --repository {} --catalog {} repair --from {} --only put-back --apply\n",
        made_up.repository().display(),
        made_up.dump().display(),
        store.path().display()
    );
    assert!(text.contains(&command), "{command:?} is not in:\n{text}");
    check(&[Path::new("/nonexistent/store")]).assert_code(3);
    check(&[&made_up.repository()]).assert_code(2);
}
