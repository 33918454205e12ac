//! A store is read back: what was damaged since the backup shows, and what was not does not.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use fogold::manifest::SetKind;
use fogold::store::Verdict;
use rustix::mount::{MountFlags, UnmountFlags};
use rustix::process::Signal;
use serde_json::Value;

use crate::support::store::name;
use crate::support::{Fogold, MadeStore, MadeUp, Outcome, Unprivileged, skipped};

/// A store with a gold-only and a full set of one server.
fn two_sets() -> (MadeUp, MadeStore) {
    let made_up = MadeUp::small();
    let store = MadeStore::new();
    for (kind, id) in [
        (SetKind::GoldOnly, "2026-01-01T010000Z-gold-only"),
        (SetKind::Full, "2026-01-02T010000Z-full"),
    ] {
        let made = store.back_up(&made_up, kind);
        store.date(&made, id);
    }
    (made_up, store)
}

const GOLD_ONLY: &str = "2026-01-01T010000Z-gold-only";
const FULL: &str = "2026-01-02T010000Z-full";

fn verify(store: &MadeStore, more: &[&str]) -> Outcome {
    store
        .fogold("verify")
        .args(["--format", "ndjson"])
        .args(more)
        .run()
}

/// Kinds and last components of paths of all findings.
fn found(outcome: &Outcome) -> BTreeSet<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    outcome
        .findings()
        .iter()
        .map(|finding| {
            let path = text(&finding["path"]);
            let last = path.rsplit('/').next().unwrap_or_default();
            (text(&finding["kind"]), last.to_owned())
        })
        .collect()
}

fn one(kind: &str, last: &str) -> BTreeSet<(String, String)> {
    BTreeSet::from([(kind.to_owned(), last.to_owned())])
}

/// Paths of the pool's files, relative to the store: those that are gold, and the others.
fn pool_files(made_up: &MadeUp, store: &MadeStore) -> (Vec<String>, Vec<String>) {
    let golds: BTreeSet<String> = made_up
        .files("gold")
        .into_iter()
        .filter_map(|path| Some(path.rsplit_once('/')?.1.to_owned()))
        .collect();
    store
        .pool()
        .into_iter()
        // An empty file cannot be damaged.
        .filter(|name| !name.ends_with(".0"))
        .map(|name| format!("pool/{}/{}/{name}", &name[..2], &name[2..4]))
        .partition(|path| golds.contains(path.rsplit('/').next().unwrap_or_default()))
}

#[test]
fn a_sound_store_is_sound_and_that_is_noted() {
    let (made_up, store) = two_sets();
    let outcome = verify(&store, &[]);
    outcome.assert_code(0);
    assert_eq!(outcome.findings(), Vec::<Value>::new());
    let report = outcome.report();
    assert_eq!(report["command"], "verify");
    assert_eq!(report["complete"], true);
    let coverage = &report["coverage"];
    assert_eq!(coverage["sets"].as_array().map(Vec::len), Some(2));
    for set in coverage["sets"].as_array().into_iter().flatten() {
        for part in ["manifest", "dump", "others", "agreement"] {
            assert_eq!(set[part], "good", "{set}");
        }
    }
    let files = store.pool().len();
    assert!(files > 150, "{files}");
    for part in ["named", "found", "to_read", "read"] {
        assert_eq!(coverage[part]["files"], files, "{part}");
    }
    let bytes: u64 = store
        .pool()
        .iter()
        .filter_map(|name| name.rsplit('.').next()?.parse::<u64>().ok())
        .sum();
    assert_eq!(coverage["read"]["bytes"], bytes);
    let notes = store.open().verifications().expect("notes");
    assert_eq!(notes.len(), 2);
    assert!(notes.values().all(|note| note.is_whole()));
    // The same for people, and for those who want to hear of trouble only.
    let text = store.fogold("verify").run();
    text.assert_code(0);
    assert!(
        text.text()
            .starts_with("OK: nothing is missing or damaged. 2 sets")
    );
    let quiet = store.fogold("verify").arg("-q").run();
    quiet.assert_code(0);
    assert_eq!((quiet.text(), quiet.complaint()), Default::default());
    drop(made_up);
}

#[test]
fn notes_are_private_whatever_the_umask() {
    let store = MadeStore::new();
    store.add_set("2026-01-01T010000Z-full", 0..5);
    for mask in ["000", "077", "0777"] {
        let mut shell = Command::new("bash");
        shell.args(["-c", "umask $1; shift; exec \"$@\"", "-", mask]);
        let state = store.path().join("state");
        for note in ["verified.json", "notes", "readers"] {
            let _ = fs::remove_file(state.join(note));
        }
        store.fogold("verify").behind(shell, None).run();
        for note in ["verified.json", "notes", "readers"] {
            let mode = fs::metadata(state.join(note))
                .expect("a note")
                .permissions()
                .mode();
            assert_eq!(mode & 0o7777, 0o600, "{note} with umask {mask}");
        }
    }
}

#[test]
fn each_kind_of_damage_in_the_pool_is_found_in_the_sets_that_have_it() {
    let (made_up, store) = two_sets();
    let (golds, mut derived) = pool_files(&made_up, &store);
    // Listings are in both sets.
    let in_both = store.names_of(GOLD_ONLY);
    derived.retain(|path| !in_both.iter().any(|name| path.ends_with(name)));
    type Damage = fn(&Path);
    let flip: Damage = |path| {
        let mut bytes = fs::read(path).expect("a file");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(path, bytes).expect("a file");
    };
    let cut: Damage = |path| {
        let bytes = fs::read(path).expect("a file");
        fs::write(path, &bytes[..bytes.len() - 1]).expect("a file");
    };
    let longer: Damage = |path| {
        let mut bytes = fs::read(path).expect("a file");
        bytes.push(0);
        fs::write(path, bytes).expect("a file");
    };
    let gone: Damage = |path| fs::remove_file(path).expect("a file");
    let link: Damage = |path| {
        let elsewhere = path.with_extension("elsewhere");
        fs::rename(path, &elsewhere).expect("a file");
        std::os::unix::fs::symlink(&elsewhere, path).expect("a link");
    };
    let directory: Damage = |path| {
        fs::remove_file(path).expect("a file");
        fs::create_dir(path).expect("a directory");
    };
    let cases: [(Damage, &str, &str); 6] = [
        (flip, "corrupt", "corrupt"),
        (cut, "wrong-size", "wrong-size"),
        (longer, "wrong-size", "wrong-size"),
        (gone, "missing-gold", "missing-derived"),
        (link, "unreadable", "unreadable"),
        (directory, "unreadable", "unreadable"),
    ];
    for (number, (damage, of_gold, of_derived)) in cases.into_iter().enumerate() {
        for (files, kind, severity) in [
            (&golds, of_gold, "loss"),
            (&derived, of_derived, "recoverable"),
        ] {
            let victim = &files[number * 7 % files.len()];
            let store = store.copy();
            damage(&store.path().join(victim));
            let outcome = verify(&store, &[]);
            outcome.assert_code(1);
            let findings = outcome.findings();
            assert_eq!(findings.len(), 1, "{kind}: {findings:?}");
            let finding = &findings[0];
            assert_eq!(finding["kind"], kind);
            assert_eq!(finding["path"], victim.as_str());
            assert_eq!(finding["severity"], severity);
            let detail = finding["detail"].as_str().expect("a detail");
            assert!(detail.contains(FULL), "{detail}");
            assert_eq!(detail.contains(GOLD_ONLY), severity == "loss", "{detail}");
            // The set that has not the file is still good as a whole.
            let notes = store.open().verifications().expect("notes");
            assert!(!notes[FULL].is_whole());
            assert_eq!(notes[GOLD_ONLY].is_whole(), severity != "loss");
            // What is there and no good is kept for the next backup, which sees by itself what is gone.
            let noted = store.open().damaged().expect("notes").len();
            assert_eq!(noted, usize::from(!kind.starts_with("missing")), "{kind}");
        }
    }
}

#[test]
fn what_was_mended_is_taken_from_the_notes() {
    let (made_up, store) = two_sets();
    let (golds, _) = pool_files(&made_up, &store);
    let victim = store.path().join(&golds[3]);
    let good = fs::read(&victim).expect("a file");
    let mut bad = good.clone();
    bad[0] ^= 1;
    fs::write(&victim, bad).expect("a file");
    verify(&store, &[GOLD_ONLY]).assert_code(1);
    assert_eq!(store.open().damaged().expect("notes").len(), 1);
    // The next backup copies it again, without a look at the rest.
    store.back_up(&made_up, SetKind::GoldOnly);
    assert_eq!(fs::read(&victim).expect("a file"), good);
    verify(&store, &[]).assert_code(0);
    assert!(store.open().damaged().expect("notes").is_empty());
    assert!(store.open().verifications().expect("notes")[GOLD_ONLY].is_whole());
}

#[test]
fn a_changed_configuration_is_damage() {
    let made_up = MadeUp::small();
    let store = MadeStore::nowhere();
    store.backup_of(&made_up, "--full").run().assert_code(0);
    verify(&store, &[]).assert_code(0);
    let sysconf = store.set(&store.newest()).join("sysconf");
    let conf = sysconf.join("fossology.conf");
    let mut bytes = fs::read(&conf).expect("a configuration");
    bytes[0] ^= 1;
    fs::write(&conf, bytes).expect("a configuration");
    let outcome = verify(&store, &[]);
    outcome.assert_code(1);
    assert_eq!(outcome.report()["coverage"]["sets"][0]["others"], "damaged");
    fs::remove_dir_all(sysconf).expect("a configuration");
    verify(&store, &[]).assert_code(3);
}

#[test]
fn over_n_slices_everything_is_read_once_and_lengths_always() {
    let (made_up, store) = two_sets();
    let (golds, derived) = pool_files(&made_up, &store);
    let (corrupt, missing) = (&golds[5], &derived[9]);
    let path = store.path().join(corrupt);
    let mut bytes = fs::read(&path).expect("a file");
    bytes[0] ^= 0x80;
    fs::write(&path, bytes).expect("a file");
    fs::remove_file(store.path().join(missing)).expect("a file");
    let (mut read, mut agreements, mut corrupted) = (0, 0, 0);
    for part in 1..=5 {
        let outcome = verify(&store, &["--slice", &format!("{part}/5")]);
        outcome.assert_code(1);
        let coverage = &outcome.report()["coverage"];
        read += coverage["read"]["files"].as_u64().expect("a number");
        assert_eq!(coverage["named"]["files"], store.pool().len() + 1);
        let sets = coverage["sets"].as_array().expect("sets");
        agreements += sets.iter().filter(|set| set["agreement"] == "good").count();
        let findings = outcome.findings();
        let of = |path: &str| findings.iter().filter(|each| each["path"] == path).count();
        assert_eq!(of(missing), 1, "what is not there shows in every slice");
        corrupted += of(corrupt);
    }
    assert_eq!(read, store.pool().len() as u64);
    assert_eq!(agreements, 2);
    assert_eq!(corrupted, 1);
    let notes = store.open().verifications().expect("notes");
    // All parts but those of the two files were good.
    assert_eq!(notes[FULL].proven.count(), 254);
    assert_eq!(notes[GOLD_ONLY].proven.count(), 255);
    for bad in ["0/5", "6/5", "1/257", "a"] {
        verify(&store, &["--slice", bad]).assert_code(2);
    }
}

#[test]
fn a_manifest_or_dump_that_was_cut_makes_the_run_incomplete() {
    let (_made_up, store) = two_sets();
    for (file, damage, kind, code) in [
        ("manifest.jsonl.zst", "cut", "wrong-size", 3),
        ("manifest.jsonl.zst", "flip", "corrupt", 3),
        ("manifest.jsonl.zst", "gone", "unreadable", 3),
        ("set.json", "cut", "corrupt", 3),
        ("dump", "cut", "wrong-size", 3),
        ("dump", "gone", "unreadable", 3),
        ("dump", "flip", "corrupt", 1),
    ] {
        let store = store.copy();
        let file = if file == "dump" {
            store.dump_of(GOLD_ONLY)
        } else {
            file.to_owned()
        };
        let path = store.set(GOLD_ONLY).join(&file);
        let mut bytes = fs::read(&path).expect("a file");
        let middle = bytes.len() / 2;
        match damage {
            "cut" => fs::write(&path, &bytes[..middle]).expect("a file"),
            "gone" => fs::remove_file(&path).expect("a file"),
            _ => {
                bytes[middle] ^= 1;
                fs::write(&path, &bytes).expect("a file");
            }
        }
        let outcome = verify(&store, &[]);
        outcome.assert_code(code);
        let report = outcome.report();
        assert_eq!(report["complete"], code == 1, "{file} {damage}");
        assert_eq!(found(&outcome), one(kind, &file), "{file} {damage}");
        // The path stands in the finding; its detail says the rest.
        let finding = &outcome.findings()[0];
        let detail = finding["detail"].as_str().expect("a detail");
        assert!(!detail.contains(&file), "{detail}");
        assert!(finding["bytes"].as_u64() > Some(0), "{finding}");
        // The other set was verified all the same.
        assert!(report["coverage"]["read"]["files"].as_u64() > Some(150));
        let notes = store.open().verifications().expect("notes");
        assert!(notes[FULL].is_whole());
        assert_eq!(notes[GOLD_ONLY].proven.count(), 0);
        // And so it is when it is asked for alone.
        verify(&store, &["2026-01-02"]).assert_code(0);
        verify(&store, &["2026-01-01"]).assert_code(code);
        let text = store.fogold("verify").run();
        text.assert_code(code);
        assert!(text.text().contains(&file), "{}", text.text());
    }
}

#[test]
fn a_record_that_counts_otherwise_than_its_manifest_is_no_record_of_it() {
    let (_made_up, store) = two_sets();
    store.edit_record(FULL, |record| record["manifest"]["entries"] = 1.into());
    let outcome = verify(&store, &[]);
    outcome.assert_code(3);
    assert_eq!(found(&outcome), one("corrupt", "manifest.jsonl.zst"));
}

/// Puts another dump into a set, and has the record agree with it.
fn replace_dump(store: &MadeStore, id: &str, contents: &[u8]) {
    let file = store.dump_of(id);
    fs::write(store.set(id).join(file), contents).expect("a dump");
    store.edit_record(id, |record| {
        record["dump"]["bytes"] = contents.len().into();
        record["dump"]["blake3"] = blake3::hash(contents).to_hex().as_str().into();
    });
}

#[test]
fn manifest_and_dump_must_name_the_same_gold() {
    let (made_up, store) = two_sets();
    let dump = fs::read_to_string(made_up.dump()).expect("a dump");
    // Another upload's gold in the dump than in the manifest: one hex digit of its sha1 differs.
    let gold = made_up.files("gold").remove(4);
    let gold = gold.rsplit('/').next().expect("a name").to_owned();
    let sha1 = gold[..40].to_uppercase();
    let other = sha1[..39].to_owned() + if sha1.ends_with('0') { "1" } else { "0" };
    assert!(dump.contains(&sha1));
    let swapped = dump.replace(&sha1, &other);
    replace_dump(&store, FULL, swapped.as_bytes());
    let outcome = verify(&store, &[FULL]);
    outcome.assert_code(1);
    let findings = outcome.findings();
    assert_eq!(findings.len(), 2, "{findings:?}");
    assert_eq!(findings[0]["kind"], "missing-gold");
    assert_eq!(
        findings[0]["name"],
        format!("{}{}", other.to_lowercase(), &gold[40..])
    );
    assert_eq!(findings[1]["kind"], "orphan");
    assert_eq!(findings[1]["name"], gold);
    assert_eq!(
        outcome.report()["coverage"]["sets"][0]["agreement"],
        "damaged"
    );

    // A gold that was missing when the set was made stands in its findings.
    store.edit_record(FULL, |record| {
        record["findings"]["list"] = serde_json::json!([findings[0]]);
    });
    let outcome = verify(&store, &[FULL]);
    let kinds: Vec<Value> = outcome
        .findings()
        .iter()
        .map(|each| each["kind"].clone())
        .collect();
    assert_eq!(kinds, ["orphan"]);

    // A dump that is cut, though its record agrees, and one of something else.
    replace_dump(&store, GOLD_ONLY, &dump.as_bytes()[..dump.len() / 2]);
    let outcome = verify(&store, &[GOLD_ONLY]);
    outcome.assert_code(3);
    assert_eq!(found(&outcome), one("corrupt", &store.dump_of(GOLD_ONLY)));
    replace_dump(&store, GOLD_ONLY, b"dear diary");
    verify(&store, &[GOLD_ONLY]).assert_code(3);
}

#[test]
fn a_server_with_damage_makes_a_set_whose_manifest_and_dump_agree() {
    let made_up = MadeUp::small();
    let root = made_up.repository();
    let golds = made_up.files("gold");
    for path in &golds[..3] {
        let name = path.rsplit('/').next().expect("a name");
        for each in made_up.files("files").iter().chain([path]) {
            if each.ends_with(name) {
                fs::remove_file(root.join(each)).expect("a file");
            }
        }
    }
    let store = MadeStore::new();
    store.back_up(&made_up, SetKind::Full);
    let outcome = verify(&store, &[]);
    outcome.assert_code(0);
    assert_eq!(outcome.report()["coverage"]["sets"][0]["agreement"], "good");
}

#[test]
fn nothing_to_look_at_is_no_good_news() {
    let store = MadeStore::new();
    let outcome = verify(&store, &[]);
    outcome.assert_code(3);
    assert!(
        outcome.complaint().contains("holds no finished set"),
        "{}",
        outcome.complaint()
    );
    store.add_set("2026-01-01T010000Z-full", 0..5);
    fs::rename(store.path().join("pool"), store.path().join("elsewhere")).expect("a pool");
    fs::create_dir(store.path().join("pool")).expect("a pool");
    let outcome = verify(&store, &[]);
    outcome.assert_code(3);
    assert!(
        outcome.complaint().contains("is it mounted?"),
        "{}",
        outcome.complaint()
    );
    for (wanted, code) in [("2027", 3), ("nonsense", 3), ("../..", 3)] {
        verify(&store, &[wanted]).assert_code(code);
    }
    let nowhere = store.path().join("nowhere");
    Fogold::new(["verify"]).arg(&nowhere).run().assert_code(3);
    fs::create_dir(&nowhere).expect("a directory");
    Fogold::new(["verify"]).arg(&nowhere).run().assert_code(3);
    fs::write(nowhere.join("letter"), "mine").expect("a file");
    Fogold::new(["verify"]).arg(&nowhere).run().assert_code(2);
}

#[test]
fn what_one_slice_has_found_is_not_undone_by_the_next() {
    let (made_up, store) = two_sets();
    let (_, others) = pool_files(&made_up, &store);
    let path = store.path().join(&others[0]);
    let whole = fs::read(&path).expect("contents");
    fs::remove_file(&path).expect("a file");
    let result = |slice: &str, code| {
        verify(&store, &["--slice", slice]).assert_code(code);
        store.open().verifications().expect("notes")[FULL].result
    };
    assert_eq!(result("1/1", 1), Verdict::Damaged);
    // That something is missing shows in every slice; that it came back shows in its own.
    fs::write(&path, &whole).expect("contents");
    let first = u8::from_str_radix(&others[0]["pool/".len()..][..2], 16).expect("a shard");
    let slice = |number: u32| format!("{number}/256");
    let (its_own, another) = (u32::from(first) + 1, u32::from(first.wrapping_add(1)) + 1);
    assert_eq!(result(&slice(another), 0), Verdict::Damaged);
    assert_eq!(result(&slice(its_own), 0), Verdict::Good);
}

#[test]
fn a_store_that_everybody_can_read_is_said() {
    let (made_up, store) = two_sets();
    let told = |store: &MadeStore| {
        let outcome = verify(store, &[]);
        outcome.assert_code(0);
        let backup = store.backup_of(&made_up, "--gold-only").run();
        backup.assert_code(0);
        [outcome, backup].map(|outcome| {
            outcome
                .complaint()
                .contains("a dump holds secrets: chmod 700")
        })
    };
    assert_eq!(told(&store), [false; 2]);
    // As 'cp -r' makes it.
    let change = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("its mode");
    };
    let set = store.set(FULL);
    for directory in [store.path(), store.path().join("sets"), set.clone()] {
        change(&directory, 0o755);
    }
    assert_eq!(told(&store), [false; 2], "there is nothing to read");
    change(&set.join(store.dump_of(FULL)), 0o644);
    assert_eq!(told(&store), [true; 2]);
    // What is said to be typed helps.
    change(&store.path(), 0o700);
    assert_eq!(told(&store), [false; 2]);
}

#[test]
fn a_store_of_a_newer_format_is_refused() {
    let store = MadeStore::new();
    store.add_set("2026-01-01T010000Z-full", 0..5);
    store.edit_record("2026-01-01T010000Z-full", |record| {
        record["format"] = 2.into()
    });
    verify(&store, &[]).assert_code(2);
    let path = store.path().join("store.json");
    let text = fs::read_to_string(&path).expect("a record");
    fs::write(&path, text.replace("\"format\": 1", "\"format\": 2")).expect("a record");
    for command in ["verify", "sets"] {
        let outcome = store.fogold(command).run();
        outcome.assert_code(2);
        assert!(
            outcome.complaint().contains("format 2"),
            "{}",
            outcome.complaint()
        );
    }
}

#[test]
fn a_set_of_a_newer_format_is_named_and_the_others_are_verified() {
    let (made_up, sound) = two_sets();
    verify(&sound, &[]).assert_code(0);
    let before = sound.open().verifications().expect("notes")[GOLD_ONLY].clone();
    // Of the record, and of the manifest alone.
    for newer_manifest in [false, true] {
        let store = sound.copy();
        if newer_manifest {
            let path = store.set(GOLD_ONLY).join("manifest.jsonl.zst");
            let text = zstd::decode_all(&fs::read(&path).expect("a manifest")[..]);
            let text = String::from_utf8(text.expect("a whole one")).expect("UTF-8");
            let text = text.replacen("\"fogold_manifest\":1", "\"fogold_manifest\":2", 1);
            let packed = zstd::encode_all(text.as_bytes(), 3).expect("packed");
            fs::write(&path, &packed).expect("a manifest");
            store.edit_record(GOLD_ONLY, |record| {
                record["manifest"]["bytes"] = packed.len().into();
                let blake3 = blake3::hash(&packed).to_hex();
                record["manifest"]["blake3"] = blake3.as_str().into();
            });
        } else {
            store.edit_record(GOLD_ONLY, |record| record["format"] = 2.into());
        }
        let outcome = verify(&store, &[]);
        outcome.assert_code(3);
        let told = format!("set {GOLD_ONLY} is of a newer format (2); not verified");
        assert!(
            outcome.complaint().contains(&told),
            "{}",
            outcome.complaint()
        );
        let report = outcome.report();
        assert_eq!(report["complete"], false);
        assert_eq!(report["exit_status"], 3);
        let coverage = &report["coverage"];
        assert_eq!(coverage["troubles"], serde_json::json!([told]));
        assert_eq!(coverage["sets"][0]["id"], GOLD_ONLY);
        assert_eq!(coverage["sets"][0]["manifest"], "unread");
        assert_eq!(coverage["sets"][1]["agreement"], "good");
        assert_eq!(coverage["read"]["files"], store.pool().len());
        // Nothing new is known of it; what was known stays.
        let notes = store.open().verifications().expect("notes");
        assert_eq!(notes[GOLD_ONLY], before);
        assert!(notes[FULL].is_whole());
        // Asked for by name, there is nothing to do; the other one is none of its business.
        let alone = verify(&store, &[GOLD_ONLY]);
        alone.assert_code(2);
        assert!(alone.complaint().contains("newer fogold"));
        verify(&store, &[FULL]).assert_code(0);
        // Damage beside it is found.
        let (golds, _) = pool_files(&made_up, &store);
        fs::remove_file(store.path().join(&golds[0])).expect("a file");
        let outcome = verify(&store, &[]);
        outcome.assert_code(3);
        assert_eq!(outcome.findings().len(), 1);
    }
}

#[test]
fn sets_that_disagree_about_contents_are_named() {
    let store = MadeStore::new();
    store.add_set("2026-01-01T010000Z-full", 0..5);
    // The second set says that the name has another blake3.
    store.add_set_of("2026-01-02T010000Z-full", &[name(2)]);
    let outcome = verify(&store, &[]);
    // Their made-up dumps are none, which is said as well.
    outcome.assert_code(3);
    let findings = outcome.findings();
    let disputed: Vec<&Value> = findings
        .iter()
        .filter(|finding| finding["name"] == name(2).to_string())
        .collect();
    assert_eq!(disputed.len(), 1, "{findings:?}");
    assert_eq!(disputed[0]["kind"], "corrupt");
    let detail = disputed[0]["detail"].as_str().expect("a detail");
    assert!(detail.contains("do not agree"), "{detail}");
}

#[test]
fn a_store_mounted_read_only_is_verified_and_listed() {
    let (_made_up, store) = two_sets();
    let place = store.path().with_file_name("mounted");
    fs::create_dir(&place).expect("a directory");
    if let Err(error) = mount_read_only(&store.path(), &place) {
        skipped(format_args!("nothing can be mounted: {error}"));
        return;
    }
    let outcome = Fogold::new(["verify"]).arg(&place).run();
    let sets = Fogold::new(["sets"]).arg(&place).run();
    let prune = Fogold::new(["prune", "--keep-last", "1"]).arg(&place).run();
    let applied = Fogold::new(["prune", "--keep-last", "1", "--apply"])
        .arg(&place)
        .run();
    rustix::mount::unmount(&place, UnmountFlags::DETACH).expect("unmounted");
    outcome.assert_code(0);
    assert!(
        outcome.complaint().contains("could not be noted"),
        "{}",
        outcome.complaint()
    );
    sets.assert_code(0);
    prune.assert_code(0);
    applied.assert_code(3);
    assert!(store.open().verifications().expect("notes").is_empty());
}

fn mount_read_only(from: &Path, to: &Path) -> rustix::io::Result<()> {
    rustix::mount::mount_bind(from, to)?;
    rustix::mount::mount_remount(to, MountFlags::BIND | MountFlags::RDONLY, "")
}

#[test]
fn a_store_that_one_may_only_read_is_verified() {
    let (made_up, store) = two_sets();
    let (golds, _) = pool_files(&made_up, &store);
    let unprivileged = Unprivileged::new();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let status = Command::new("cp")
        .args(["-a", "--no-preserve=ownership"])
        .arg(store.path())
        .arg(directory.path())
        .status();
    assert!(status.expect("cp runs").success());
    let copy = directory.path().join("store");
    let open = |mode: &str| {
        let status = Command::new("chmod")
            .args(["-R", mode])
            .arg(directory.path())
            .status();
        assert!(status.expect("chmod runs").success());
    };
    open("a+rX,a-w");
    let verify = Fogold::new(["verify"]).arg(&copy);
    unprivileged.run_as(verify).run().assert_code(0);
    // What it may not read is unreadable, and not missing.
    open("u+w");
    let status = Command::new("chmod")
        .arg("000")
        .arg(copy.join(&golds[0]))
        .status();
    assert!(status.expect("chmod runs").success());
    let verify = Fogold::new(["verify", "--format", "ndjson"]).arg(&copy);
    let outcome = unprivileged.run_as(verify).run();
    outcome.assert_code(1);
    let findings = outcome.findings();
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0]["kind"], "unreadable");
}

#[test]
fn a_signal_ends_it_and_what_was_read_counts() {
    let store = MadeStore::new();
    let made_up = MadeUp::small();
    store.back_up(&made_up, SetKind::Full);
    // Contents that take for ever to read, in the middle.
    let mut huge = name(0);
    huge.sha1[0] = 0x80;
    huge.size = 1 << 40;
    let path = store.open().layout().pool_path(&huge);
    fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
    fs::File::create(&path)
        .and_then(|file| file.set_len(huge.size))
        .expect("a file");
    store.add_set_of("2027-01-01T010000Z-full", &[huge]);
    let running = store
        .fogold("verify")
        .args(["--format", "ndjson", "-j", "1", "2027"])
        .start();
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    running.signal(Signal::TERM);
    let outcome = running.end_within(std::time::Duration::from_millis(2_500));
    outcome.assert_code(3);
    let report = outcome.report();
    assert_eq!(report["complete"], false);
    assert_eq!(
        report["coverage"]["shards_complete"]
            .as_array()
            .map(Vec::len),
        Some(0x80)
    );
}

#[test]
fn a_report_goes_to_a_file_but_never_into_the_store() {
    let (_made_up, store) = two_sets();
    let file = store.path().with_file_name("report.json");
    store
        .fogold("verify")
        .arg("-q")
        .arg("--report")
        .arg(&file)
        .run()
        .assert_code(0);
    let report: Value = serde_json::from_slice(&fs::read(&file).expect("a report")).expect("JSON");
    assert_eq!(report["command"], "verify");
    let inside = store.path().join("report.json");
    store
        .fogold("verify")
        .arg("--report")
        .arg(&inside)
        .run()
        .assert_code(2);
    assert!(!inside.exists());
}
