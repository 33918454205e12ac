//! A set is tried: restored into scratch, checked, timed, and nothing is left behind.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fogold::fixtures::ServerSpec;
use fogold::manifest::SetKind;
use rustix::mount::{MountFlags, UnmountFlags};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::web::WebServer;
use crate::support::{Fogold, MadeStore, MadeUp, Outcome, Recorded, Unprivileged, skipped};

/// A store, and a scratch directory that must be empty after every drill.
struct Range {
    store: MadeStore,
    scratch: TempDir,
}

impl Range {
    fn new() -> Range {
        let scratch = tempfile::tempdir().expect("a temporary directory");
        // Root's server runs as somebody else.
        fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o755)).expect("its mode");
        Range {
            store: MadeStore::new(),
            scratch,
        }
    }

    /// One with a set of a made-up server; and the id of the set.
    fn with_set(made_up: &MadeUp, kind: SetKind) -> (Range, String) {
        let range = Range::new();
        let id = range.store.back_up(made_up, kind);
        (range, id)
    }

    fn command(&self, more: &[&str]) -> Fogold {
        self.command_on(&self.store.path(), more)
    }

    fn command_on(&self, store: &Path, more: &[&str]) -> Fogold {
        let drill = self.for_people(&["--format", "ndjson"]);
        drill.arg(store).args(more)
    }

    /// A drill without its store, with a report for people.
    fn for_people(&self, more: &[&str]) -> Fogold {
        let mut drill = Fogold::new(["drill", "--scratch"]).arg(self.scratch.path());
        // What is fetched comes from this machine.
        for name in ["http_proxy", "https_proxy", "all_proxy"] {
            drill = drill.env(name, "http://127.0.0.1:9");
        }
        drill.args(more)
    }

    /// A drill that leaves nothing behind.
    fn drill(&self, more: &[&str]) -> Outcome {
        let outcome = self.command(more).run();
        self.assert_clean();
        outcome
    }

    fn assert_clean(&self) {
        assert_eq!(self.left(), Vec::<String>::new());
        assert_eq!(self.processes(), Vec::<String>::new());
    }

    /// What lies in the scratch directory.
    fn left(&self) -> Vec<String> {
        let entries = fs::read_dir(self.scratch.path()).expect("a directory");
        let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
        entries
            .map(|entry| name(entry).to_string_lossy().into_owned())
            .collect()
    }

    /// Processes that have anything to do with the scratch directory.
    fn processes(&self) -> Vec<String> {
        let place = self.scratch.path().display().to_string();
        let entries = fs::read_dir("/proc").expect("the processes").flatten();
        let lines = entries.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
        lines
            .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
            .filter(|line| line.contains(&place))
            .collect()
    }

    fn wait_for(&self, what: &str, holds: impl Fn(&Range) -> bool) {
        let start = Instant::now();
        while !holds(self) {
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "{what} does not come"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// What a drill says of losses, whichever way it went about it.
fn losses(outcome: &Outcome) -> Vec<Value> {
    let report = outcome.report();
    [
        "lost",
        "to_recover",
        "broken",
        "by_unpacking",
        "lost_uploads",
        "held",
    ]
    .iter()
    .map(|field| report["coverage"][field].clone())
    .collect()
}

/// Removes every copy of some golds from a repository; their names.
fn lose_golds(made_up: &MadeUp, count: usize) -> Vec<String> {
    let golds = made_up.files("gold");
    let mut lost = Vec::new();
    for path in &golds[..count] {
        let name = path.rsplit('/').next().expect("a name").to_owned();
        for each in made_up.files("files").iter().chain([path]) {
            if each.ends_with(&name) {
                fs::remove_file(made_up.repository().join(each)).expect("a file");
            }
        }
        lost.push(name);
    }
    lost
}

/// The path in the pool of the first gold that is not empty.
fn pooled_gold(made_up: &MadeUp, store: &MadeStore) -> PathBuf {
    let golds = made_up.files("gold");
    let mut names = golds.iter().filter_map(|path| path.rsplit('/').next());
    let name = names.find(|name| !name.ends_with(".0")).expect("a gold");
    let name = name.parse().expect("a name");
    store.open().layout().pool_path(&name)
}

#[test]
fn sets_of_recorded_servers_are_tried() {
    for (state, gold_only, full) in [
        // Files in the set, files that unpacking brings back, exit status.
        ("A-healthy", (20, 66, 0), (89, 0, 0)),
        ("E-pending", (21, 66, 0), (90, 0, 0)),
        // Nothing but gold was there.
        ("B-gold-only", (11, 66, 0), (11, 0, 1)),
    ] {
        let database = format!("drill_{}", state[..1].to_lowercase());
        let Some(server) = Recorded::open(state, &database) else {
            return;
        };
        let range = Range::new();
        for (kind, (held, unpacked, status)) in [("--gold-only", gold_only), ("--full", full)] {
            let backup = range.store.fogold("backup").arg(kind).arg("-c");
            let backup = backup.arg(server.sysconfdir()).run();
            assert!(matches!(backup.code, Some(0 | 1)), "{}", backup.complaint());
            let (cheap, whole) = (range.drill(&[]), range.drill(&["--full"]));
            for outcome in [&cheap, &whole] {
                outcome.assert_code(status);
                let coverage = &outcome.report()["coverage"];
                assert_eq!(coverage["held"]["files"], held, "{state} {kind}");
                assert_eq!(
                    coverage["by_unpacking"]["files"], unpacked,
                    "{state} {kind}"
                );
                assert_eq!(coverage["lost"], 0, "{state} {kind}");
                assert_eq!(coverage["times_kept"], true);
            }
            assert_eq!(losses(&cheap), losses(&whole), "{state} {kind}");
            assert_eq!(whole.report()["coverage"]["read"]["files"], held);
        }
        let drills = range.store.open().drills().expect("notes");
        assert_eq!(drills.len(), 2);
        for of_set in drills.values() {
            assert_eq!(of_set.len(), 2);
            let steps: Vec<&String> = of_set[1].seconds.keys().collect();
            assert_eq!(steps, ["check", "database", "dump", "files", "server"]);
            assert!(!of_set[0].seconds.contains_key("files"));
            assert!(of_set.iter().all(|drill| drill.dump_bytes > 100_000));
        }
    }
}

#[test]
fn people_are_told_first_whether_it_can_be_relied_on() {
    let made_up = MadeUp::small();
    let (range, id) = Range::with_set(&made_up, SetKind::GoldOnly);
    let tell = |more: &[&str]| range.for_people(more).arg(range.store.path()).run();
    let cheap = tell(&[]);
    cheap.assert_code(0);
    let text = cheap.text();
    assert!(
        text.starts_with(&format!("OK: set {id}: database restored in ")),
        "{text}"
    );
    assert!(text.contains("(names and lengths looked at; --full restores and reads them)"));
    assert!(text.contains("; nothing would be lost; "), "{text}");
    assert!(text.contains(" files come back by unpacking\n"), "{text}");
    let whole = tell(&["--full"]);
    whole.assert_code(0);
    let text = whole.text();
    assert!(
        text.starts_with(&format!("OK: set {id} can be restored: database in ")),
        "{text}"
    );
    assert!(text.contains("\n  took      server "), "{text}");
    assert!(
        !text.contains(&range.scratch.path().display().to_string()),
        "{text}"
    );
    // What is expected is counted, and not listed file by file.
    assert!(!text.contains("recovery: unpack"), "{text}");
    let quiet = range.command(&["-q"]).run();
    quiet.assert_code(0);
    assert_eq!(
        (quiet.text(), quiet.complaint()),
        (String::new(), String::new())
    );
}

#[test]
fn lost_gold_is_named_with_its_uploads() {
    let made_up = MadeUp::small();
    let lost = lose_golds(&made_up, 2);
    for kind in [SetKind::GoldOnly, SetKind::Full] {
        let (range, id) = Range::with_set(&made_up, kind);
        let (cheap, whole) = (range.drill(&[]), range.drill(&["--full"]));
        assert_eq!(losses(&cheap), losses(&whole), "{kind}");
        for outcome in [cheap, whole] {
            outcome.assert_code(1);
            let report = outcome.report();
            let verdict = report["verdict"].as_str().expect("a verdict");
            let begins = format!("LOSS: set {id} does not bring back everything");
            assert!(verdict.starts_with(&begins), "{verdict}");
            let uploads = report["coverage"]["lost_uploads"]
                .as_array()
                .expect("uploads");
            assert!(uploads.len() >= 2, "{kind}: {uploads:?}");
            assert!(uploads.iter().all(|each| each["name"] != ""), "{uploads:?}");
            let findings = outcome.findings();
            let mut golds: Vec<&str> = findings
                .iter()
                .filter(|each| each["kind"] == "missing-gold" && each["severity"] == "loss")
                .filter_map(|each| each["name"].as_str())
                .collect();
            golds.sort_unstable();
            assert_eq!(golds, lost, "{kind}");
        }
        let text = range.for_people(&[]).arg(range.store.path()).run().text();
        assert!(text.contains("\n  lost      upload "), "{text}");
        let first = match kind {
            SetKind::GoldOnly => "Derived files without gold were left out",
            SetKind::Full => "What is not in the set was missing",
        };
        assert!(text.contains(&format!("\nWhat to do\n  {first}")), "{text}");
    }
}

#[test]
fn the_tree_is_laid_out_as_the_sources_was() {
    let host = |name: &str, line: &str| (name.to_owned(), line.to_owned());
    let made_up = MadeUp::healthy(ServerSpec {
        files: 200,
        bytes: 200_000,
        per_upload: 10,
        depth: 2,
        hosts: vec![host("north", "* 00 7f"), host("south", "* 80 ff")],
        ..ServerSpec::default()
    });
    lose_golds(&made_up, 1);
    // The whole server's configuration goes into the set.
    let range = Range::new();
    let backup = range.store.fogold("backup").arg("--full").arg("--dump");
    let backup = backup
        .arg(made_up.dump())
        .arg("-c")
        .arg(made_up.sysconfdir());
    backup.run().assert_code(1);
    let (cheap, whole) = (range.drill(&[]), range.drill(&["--full"]));
    assert_eq!(losses(&cheap), losses(&whole));
    for outcome in [cheap, whole] {
        outcome.assert_code(1);
        let findings = outcome.findings();
        let mut missing = findings.iter().filter(|each| each["severity"] == "loss");
        let first = missing.next().expect("a loss");
        let path = first["path"].as_str().expect("a path");
        let name = first["name"].as_str().expect("a name");
        let host = if name < "8" { "north" } else { "south" };
        let ty = first["type"].as_str().expect("a type");
        assert_eq!(
            path,
            format!("{host}/{ty}/{}/{}/{name}", &name[..2], &name[2..4])
        );
        assert_eq!(first["host"], host);
    }
}

#[test]
fn both_ways_to_drill_agree_about_damaged_servers() {
    let mut alike = 0;
    for seed in [3, 4] {
        let spec = ServerSpec {
            seed,
            files: 200,
            bytes: 200_000,
            per_upload: 10,
            ..ServerSpec::default()
        };
        let made_up = MadeUp::damaged(spec, 12);
        for kind in [SetKind::GoldOnly, SetKind::Full] {
            let (range, _) = Range::with_set(&made_up, kind);
            let (cheap, whole) = (range.drill(&[]), range.drill(&["--full"]));
            assert!(matches!(cheap.code, Some(0 | 1)), "{}", cheap.complaint());
            let count = |outcome: &Outcome, field: &str| {
                outcome.report()["coverage"][field]["files"].as_u64()
            };
            let from_urls = count(&cheap, "from_urls");
            if from_urls == Some(0) {
                assert_eq!(losses(&cheap), losses(&whole), "seed {seed}, {kind}");
                assert_eq!(cheap.code, whole.code, "seed {seed}, {kind}");
                alike += 1;
            } else {
                // Nobody answers at these URLs, and only the full drill tries.
                assert_eq!(count(&whole, "broken"), from_urls, "seed {seed}, {kind}");
                whole.assert_code(1);
                let lost = |outcome: &Outcome| outcome.report()["coverage"]["lost_uploads"].clone();
                assert_eq!(lost(&cheap), lost(&whole), "seed {seed}, {kind}");
            }
        }
    }
    assert!(alike > 0, "{alike}");
}

#[test]
fn what_the_store_has_lost_is_a_broken_promise() {
    let made_up = MadeUp::small();
    let (range, _) = Range::with_set(&made_up, SetKind::Full);
    let gold = pooled_gold(&made_up, &range.store);
    let contents = fs::read(&gold).expect("contents");
    let broken = |outcome: &Outcome| outcome.report()["coverage"]["broken"]["files"].clone();

    fs::write(&gold, &contents[1..]).expect("a shorter file");
    for more in [&[][..], &["--full"]] {
        let outcome = range.drill(more);
        outcome.assert_code(1);
        assert_eq!(broken(&outcome), 1);
        assert_eq!(
            outcome.report()["coverage"]["lost"],
            2,
            "in gold and in files"
        );
    }

    // A changed byte is seen by reading only; once it was seen, it is known.
    let mut changed = contents.clone();
    changed[0] ^= 1;
    fs::write(&gold, &changed).expect("another file");
    range.drill(&[]).assert_code(0);
    let whole = range.drill(&["--full"]);
    whole.assert_code(1);
    assert_eq!(broken(&whole), 1);
    range.store.fogold("verify").run().assert_code(1);
    let known = range.drill(&[]);
    known.assert_code(1);
    assert_eq!(broken(&known), 1);
    let drills = range.store.open().drills().expect("notes");
    let passed: Vec<bool> = drills
        .values()
        .flatten()
        .map(|drill| drill.passed)
        .collect();
    assert_eq!(passed, [false, false, true, false, false]);

    // What lies in license/ is in no database, and in the set all the same.
    fs::write(&gold, &contents).expect("the contents");
    range.store.fogold("verify").run().assert_code(0);
    let license = made_up.files("license");
    let name = license[0].rsplit('/').next().expect("a name");
    let name = name.parse().expect("a name");
    let pooled = range.store.open().layout().pool_path(&name);
    fs::remove_file(pooled).expect("no file");
    for more in [&[][..], &["--full"]] {
        let outcome = range.drill(more);
        outcome.assert_code(1);
        assert_eq!(broken(&outcome), 1);
        assert_eq!(outcome.report()["coverage"]["lost"], 0);
    }

    fs::remove_dir_all(range.store.path().join("pool")).expect("no pool");
    let outcome = range.drill(&[]);
    outcome.assert_code(3);
    assert!(
        outcome.complaint().contains("is it mounted?"),
        "{}",
        outcome.complaint()
    );
}

/// Puts another dump in the place of a set's, as if it had been there from the beginning.
fn replace_dump(store: &MadeStore, id: &str, contents: &[u8]) {
    fs::write(store.set(id).join(store.dump_of(id)), contents).expect("a dump");
    store.edit_record(id, |record| {
        record["dump"]["bytes"] = contents.len().into();
        record["dump"]["blake3"] = blake3::hash(contents).to_hex().as_str().into();
    });
}

#[test]
fn a_dump_that_does_not_bring_the_database_back_fails_the_drill() {
    let made_up = MadeUp::small();
    let (range, id) = Range::with_set(&made_up, SetKind::GoldOnly);
    let dump = range.store.set(&id).join(range.store.dump_of(&id));
    let whole = fs::read(&dump).expect("a dump");

    // Cut after it was written: the store's trouble, and nothing is known of the set.
    fs::write(&dump, &whole[..whole.len() / 2]).expect("half a dump");
    let outcome = range.drill(&[]);
    outcome.assert_code(3);
    assert!(
        outcome.complaint().contains("bytes instead of"),
        "{}",
        outcome.complaint()
    );
    assert_eq!(outcome.report()["complete"], false);
    // Cut before.
    replace_dump(&range.store, &id, &whole[..whole.len() / 2]);
    range.drill(&[]).assert_code(3);

    // Whole, and yet no server takes it; or it is another one.
    let text = String::from_utf8(whole.clone()).expect("a plain dump");
    let bad = text.replacen(
        "COPY public.pfile ",
        "SELECT nothing FROM nowhere;\nCOPY public.pfile ",
        1,
    );
    assert_ne!(bad, text);
    replace_dump(&range.store, &id, bad.as_bytes());
    let refused = range.drill(&[]);
    replace_dump(&range.store, &id, &whole);
    range
        .store
        .edit_record(&id, |record| record["rows"]["pfiles"] = 7.into());
    let other = range.drill(&["--full"]);
    for outcome in [refused, other] {
        outcome.assert_code(1);
        let report = outcome.report();
        let verdict = report["verdict"].as_str().expect("a verdict");
        let begins = format!("FAILED: the database of set {id} was not restored; ");
        assert!(verdict.starts_with(&begins), "{verdict}");
    }
    assert!(range.store.open().drills().expect("notes").is_empty());
}

#[test]
fn gold_at_its_urls_is_fetched_in_a_full_drill_only() {
    let Some(server) = Recorded::open("A-healthy", "drill_urls") else {
        return;
    };
    let golds = server.files(false);
    let name: String = {
        let row = server.client().query_one(
            "SELECT lower(trim(pfile_sha1)) FROM pfile JOIN upload ON pfile_fk = pfile_pk WHERE upload_pk = 7",
            &[],
        );
        row.expect("a gold").get(0)
    };
    let gold = golds
        .iter()
        .find(|path| path.contains(&format!("/gold/{}", &name[..2])) && path.contains(&name));
    let contents = fs::read(server.repository().join(gold.expect("a gold"))).expect("contents");
    let web = WebServer::of_files(vec![("/pub/web-2.0.tar.gz".to_owned(), contents)]);
    let elsewhere = web.url("/pub/");
    server.sql(&format!(
        "UPDATE upload SET upload_origin = replace(upload_origin, 'http://127.0.0.1/pub/', '{elsewhere}');
         UPDATE jobqueue SET jq_args = replace(jq_args, 'http://127.0.0.1/pub/', '{elsewhere}')"
    ));
    let range = Range::new();
    let backup = range
        .store
        .fogold("backup")
        .arg("-c")
        .arg(server.sysconfdir());
    backup
        .args(["--gold-only", "--url-gold", "skip", "--allow-local-urls"])
        .run()
        .assert_code(0);
    let left = |outcome: &Outcome| outcome.report()["coverage"]["from_urls"]["files"].clone();
    let cheap = range.drill(&[]);
    cheap.assert_code(0);
    assert_eq!(left(&cheap), 1);
    let verdict = cheap.report()["verdict"].as_str().map(str::to_owned);
    assert!(verdict.is_some_and(|verdict| verdict.contains("; 1 is left to its URL (not tried)")));
    assert_eq!(web.requests().len(), 0);
    let whole = range.drill(&["--full", "--allow-local-urls"]);
    whole.assert_code(0);
    assert_eq!(left(&whole), 1);
    assert_eq!(web.requests().len(), 1);
    // Nobody is asked without leave, and then it is lost.
    let refused = range.drill(&["--full"]);
    refused.assert_code(1);
    assert_eq!(web.requests().len(), 1);
    let uploads = refused.report()["coverage"]["lost_uploads"].clone();
    assert_eq!(uploads[0]["upload"], 7);
    assert_eq!(uploads[0]["name"], "web-2.0.tar.gz");
}

#[test]
fn a_store_that_cannot_be_written_to_is_drilled() {
    let made_up = MadeUp::small();
    let (range, _) = Range::with_set(&made_up, SetKind::GoldOnly);
    let place = range.store.path().with_file_name("mounted");
    fs::create_dir(&place).expect("a directory");
    let mounted = rustix::mount::mount_bind(range.store.path(), &place).and_then(|()| {
        rustix::mount::mount_remount(&place, MountFlags::BIND | MountFlags::RDONLY, "")
    });
    if let Err(error) = mounted {
        skipped(format_args!("nothing can be mounted: {error}"));
        return;
    }
    let outcome = range.command_on(&place, &["--full"]).run();
    rustix::mount::unmount(&place, UnmountFlags::DETACH).expect("unmounted");
    range.assert_clean();
    outcome.assert_code(0);
    assert_eq!(outcome.report()["coverage"]["times_kept"], false);
    let complaint = outcome.complaint();
    assert!(
        complaint.contains("cannot be kept in the store"),
        "{complaint}"
    );
}

#[test]
fn anybody_who_can_read_the_store_can_drill() {
    let made_up = MadeUp::small();
    let (range, _) = Range::with_set(&made_up, SetKind::Full);
    let unprivileged = Unprivileged::new();
    let store = range.store.path();
    unprivileged.own(store.parent().expect("a directory"));
    unprivileged.own(range.scratch.path());
    for more in [&[][..], &["--full"]] {
        let drill = range.command(more).current_dir(Path::new("/"));
        let outcome = unprivileged.run_as(drill).run();
        outcome.assert_code(0);
        range.assert_clean();
    }
}

#[test]
fn the_world_in_the_way_is_said_before_anything_is_made() {
    let made_up = MadeUp::small();
    let (range, id) = Range::with_set(&made_up, SetKind::GoldOnly);
    let said = |outcome: Outcome, code: i32, text: &str| {
        outcome.assert_code(code);
        assert!(
            outcome.complaint().contains(text),
            "{}",
            outcome.complaint()
        );
    };
    let nothing = range.scratch.path().display().to_string();
    let none = range.drill(&["--pg-bindir", &nothing]);
    said(none, 3, "apt-get install postgresql");
    let missing = range.store.path().join("nothing").display().to_string();
    let elsewhere = range.store.fogold("drill").args(["--scratch", &missing]);
    said(elsewhere.run(), 3, "choose another place with --scratch");
    said(range.drill(&["2001"]), 3, "has no set");
    let no_store = range.command_on(range.scratch.path(), &[]).run();
    said(no_store, 3, "no store");
    range.drill(&["--allow-local-urls"]).assert_code(2);
    range.store.edit_record(&id, |record| {
        record["counts"]["pool"]["bytes"] = (1_u64 << 60).into();
    });
    said(
        range.drill(&["--full"]),
        3,
        "bytes free, and a drill of this set needs at least",
    );
    range.drill(&[]).assert_code(0);
    range.store.edit_record(&id, |record| {
        record["counts"]["pool"]["bytes"] = 0.into();
        record["source"]["hosts"] = serde_json::json!(["../../elsewhere[] = * 00 ff"]);
    });
    said(range.drill(&["--full"]), 3, "elsewhere");
}

#[test]
fn a_signal_ends_it_and_nothing_stays() {
    let made_up = MadeUp::small();
    let (range, _) = Range::with_set(&made_up, SetKind::Full);
    let mut ended = 0;
    for (number, signal) in [Signal::TERM, Signal::INT]
        .into_iter()
        .cycle()
        .take(8)
        .enumerate()
    {
        let mut running = range.command(&["--full"]).start();
        std::thread::sleep(Duration::from_millis(30 + 170 * number as u64));
        if !running.is_at_work() {
            running.end_within(Duration::from_secs(1)).assert_code(0);
            continue;
        }
        running.signal(signal);
        let outcome = running.end_within(Duration::from_secs(10));
        range.assert_clean();
        // A signal that comes before the program listens ends it as it ends any.
        if outcome.code.is_some_and(|code| code != 0) {
            outcome.assert_code(3);
            assert_eq!(outcome.report()["complete"], false);
            ended += 1;
        }
    }
    assert!(ended > 3, "{ended}");
}

#[test]
fn what_a_killed_drill_leaves_goes_with_the_next() {
    let made_up = MadeUp::small();
    let (range, _) = Range::with_set(&made_up, SetKind::Full);
    let mut left = 0;
    for number in 0..6 {
        let mut running = range.command(&["--full"]).start();
        std::thread::sleep(Duration::from_millis(200 + 230 * number));
        if !running.is_at_work() {
            running.end_within(Duration::from_secs(1)).assert_code(0);
            continue;
        }
        running.signal(Signal::KILL);
        running.end_within(Duration::from_secs(5));
        range.wait_for("the server's end", |range| range.processes().is_empty());
        left += range.left().len();
    }
    assert!(left > 0, "never in the midst of it");
    // Not what merely looks alike.
    let tree = range.scratch.path().join("fogold-drill-left");
    fs::create_dir_all(tree.join("repository/localhost/gold")).expect("a directory");
    let file = range.scratch.path().join("fogold-drill-notes.txt");
    fs::write(&file, "mine").expect("a file");
    range.command(&[]).run().assert_code(0);
    assert_eq!(range.left(), ["fogold-drill-notes.txt"]);
    assert_eq!(range.processes(), Vec::<String>::new());
}
