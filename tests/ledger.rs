//! The ledger: what was read when, and a check that goes on from it for as long as it may.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fogold::fixtures::ServerSpec;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Fogold, MadeUp, Outcome};

/// A server, a dump of it and a state directory.
struct Server {
    made_up: MadeUp,
    dump: PathBuf,
}

impl Server {
    fn new() -> Server {
        let made_up = MadeUp::healthy(ServerSpec {
            files: 500,
            bytes: 1_500_000,
            per_upload: 10,
            ..ServerSpec::default()
        });
        let dump = made_up.dump();
        Server { made_up, dump }
    }

    fn state(&self) -> PathBuf {
        self.made_up.directory().join("state")
    }

    fn check(&self) -> Fogold {
        Fogold::check(&self.made_up.repository(), &self.dump)
            .args(["--verify", "-j2", "--state"])
            .arg(self.state())
    }

    /// A check that reads a part of the contents in its time.
    fn a_part(&self) -> Fogold {
        self.check()
            .args(["--max-duration", "2s", "--bwlimit", "500K"])
    }

    /// When each shard of files was read, and whether it was good.
    fn noted(&self) -> BTreeMap<String, (String, bool)> {
        let text = fs::read(self.state().join("ledger.json")).expect("a ledger");
        let ledger: Value = serde_json::from_slice(&text).expect("JSON");
        let root = fs::canonicalize(self.made_up.repository()).expect("the root");
        let files = &ledger["repositories"][root.to_str().expect("text")]["files"];
        let shards = files.as_object().cloned().unwrap_or_default();
        let entry = |(shard, entry): (String, Value)| {
            let read = entry["read"].as_str().expect("a time").to_owned();
            (shard, (read, entry["good"] == true))
        };
        shards.into_iter().map(entry).collect()
    }

    /// Has everything read long ago, the shards one after the other.
    fn read_long_ago(&self, bad: &[&str]) {
        let root = fs::canonicalize(self.made_up.repository()).expect("the root");
        let shards: BTreeMap<String, Value> = (0..256)
            .map(|number| {
                let shard = format!("{number:02x}");
                let read = format!(
                    "2026-01-{:02}T0{}:{:02}:00Z",
                    1 + number / 100,
                    number / 60,
                    number % 60
                );
                let good = !bad.contains(&shard.as_str());
                (shard, json!({ "read": read, "good": good }))
            })
            .collect();
        let of_types = json!({ "gold": shards, "files": shards, "license": shards });
        let ledger =
            json!({ "version": 1, "repositories": { root.to_str().expect("text"): of_types } });
        fs::create_dir_all(self.state()).expect("a directory");
        fs::write(self.state().join("ledger.json"), ledger.to_string()).expect("written");
    }

    /// Spoils a derived file that no other copy can stand for; gives its path and its contents.
    fn spoil(&self) -> (PathBuf, Vec<u8>) {
        let golds = self.made_up.files("gold");
        let is_gold = |path: &str| {
            let name = path.rsplit('/').next().expect("a name");
            golds.iter().any(|gold| gold.ends_with(name))
        };
        let mut files = self.made_up.files("files");
        files.retain(|path| !is_gold(path) && !path.ends_with(".0"));
        self.overwrite(files.last().expect("a file"))
    }

    /// Writes something else of the same length into a file; gives its path and what was in it.
    fn overwrite(&self, path: &str) -> (PathBuf, Vec<u8>) {
        let path = self.made_up.repository().join(path);
        let before = fs::read(&path).expect("its contents");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o660)).expect("its mode");
        fs::write(&path, "x".repeat(before.len())).expect("spoilt");
        (path, before)
    }
}

fn shard_of(path: &Path) -> String {
    let name = path.file_name().and_then(|name| name.to_str());
    name.expect("a name")[..2].to_owned()
}

fn number(outcome: &Outcome, field: &str) -> u64 {
    let coverage = &outcome.report()["coverage"];
    let value = coverage.pointer(field).and_then(Value::as_u64);
    value.unwrap_or_else(|| panic!("no {field} in {coverage}"))
}

#[test]
fn run_after_run_goes_on_until_everything_was_read() {
    let server = Server::new();
    let mut never = 256u64;
    let mut runs = 0;
    while never > 0 {
        runs += 1;
        assert!(runs < 20, "no end of it");
        let run = server.a_part().run();
        // What was promised was done.
        run.assert_code(0);
        let report = run.report();
        assert_eq!(report["complete"], true);
        let seen = report["coverage"]["shards_complete"].as_array();
        assert_eq!(seen.map(Vec::len), Some(256), "{report}");
        let read = number(&run, "/shards_read");
        assert!(read > 0, "{report}");
        if never == 256 {
            assert!(read < 256, "the first run was to read a part: {read}");
        }
        let left = number(&run, "/ledger/never");
        assert_eq!(left, never.saturating_sub(read), "{report}");
        never = left;
        let verdict = report["verdict"].as_str().expect("a verdict").to_owned();
        assert!(verdict.starts_with("OK: "), "{verdict}");
        assert!(
            verdict.ends_with(&format!("read: {read} of 256 shards")),
            "{verdict}"
        );
    }
    assert!(runs > 1);
    assert_eq!(server.noted().len(), 256);

    // From then on, what was read least recently is read again.
    server.read_long_ago(&[]);
    let run = server.a_part().run();
    let read = usize::try_from(number(&run, "/shards_read")).expect("a number");
    let again: Vec<String> = server
        .noted()
        .into_iter()
        .filter(|(_, (at, _))| !at.starts_with("2026-01"))
        .map(|(shard, _)| shard)
        .collect();
    // Two threads read, so two shards may have been cut off, however many were finished since.
    let begun: Vec<String> = (0..read + 2)
        .map(|number| format!("{number:02x}"))
        .collect();
    assert!(
        again.iter().all(|shard| begun.contains(shard)) && again.len() == read,
        "{again:?}"
    );
    let days = number(&run, "/ledger/days");
    assert!(days > 100, "{days}");
    assert_eq!(number(&run, "/max_seconds"), 2);
}

#[test]
fn what_was_bad_is_looked_at_first_and_until_it_is_good() {
    let server = Server::new();
    let (path, before) = server.spoil();
    let shard = shard_of(&path);
    // A plain run, and one with a slice, write the ledger too.
    let whole = server.check().args(["--fail-on", "notice"]).run();
    whole.assert_code(1);
    assert_eq!(whole.findings()[0]["kind"], "corrupt");
    let bad = |server: &Server| -> Vec<String> {
        let noted = server.noted().into_iter();
        noted
            .filter(|(_, (_, good))| !good)
            .map(|(shard, _)| shard)
            .collect()
    };
    assert_eq!(bad(&server), std::slice::from_ref(&shard));
    let ledger = &whole.report()["coverage"]["ledger"];
    assert_eq!(
        (&ledger["bad"], &ledger["never"], &ledger["days"]),
        (&json!(1), &json!(0), &json!(1))
    );

    // It is the last by its number and by its time, and the first to be read.
    server.read_long_ago(&[&shard]);
    let run = server.a_part().args(["--fail-on", "notice"]).run();
    run.assert_code(1);
    assert!(number(&run, "/shards_read") < 256);
    assert_eq!(run.findings()[0]["kind"], "corrupt");
    assert_eq!(bad(&server), std::slice::from_ref(&shard));
    fs::write(&path, before).expect("mended");
    let run = server.a_part().run();
    run.assert_code(0);
    assert_eq!(number(&run, "/ledger/bad"), 0);
    assert_eq!(bad(&server), Vec::<String>::new());

    // A slice is noted.
    fs::remove_file(server.state().join("ledger.json")).expect("removed");
    let sliced = server.check().args(["--slice", "2/64"]).run();
    sliced.assert_code(0);
    assert_eq!(server.noted().len(), 4);
    assert_eq!(number(&sliced, "/ledger/never"), 252);
    // A run that reads nothing notes nothing, and says what is known.
    let listing = Fogold::check(&server.made_up.repository(), &server.dump)
        .arg("--state")
        .arg(server.state())
        .run();
    assert_eq!(number(&listing, "/ledger/never"), 252);
    let types = server.check().args(["--types", "gold"]).run();
    assert_eq!(number(&types, "/ledger/never"), 0);
    assert_eq!(server.noted().len(), 4);
}

#[test]
fn a_night_after_the_damage_does_not_say_that_all_is_well() {
    let server = Server::new();
    let golds = server.made_up.files("gold");
    let (path, _) = server.overwrite(golds.last().expect("a gold"));
    let number_of = |shard: &str| u16::from_str_radix(shard, 16).expect("hex") % 28 + 1;
    let (day, next) = {
        let day = number_of(&shard_of(&path));
        (format!("{day}/28"), format!("{}/28", day % 28 + 1))
    };
    let verdict = |run: &Outcome| run.report()["verdict"].as_str().expect("text").to_owned();
    server.check().args(["--slice", &day]).run().assert_code(1);
    // Another part of the contents, and the damage again.
    let night = server.check().args(["--slice", &next]).run();
    night.assert_code(1);
    assert_eq!(night.findings()[0]["kind"], "corrupt");
    assert_eq!(number(&night, "/shards_again"), 1);
    let text = verdict(&night);
    assert!(
        text.starts_with("DAMAGED: ")
            && text.ends_with(&format!(
                "slice {next} and 1 more shard that had bad contents"
            )),
        "{text}"
    );
    // A run that reads nothing knows of it.
    let listing = || {
        Fogold::check(&server.made_up.repository(), &server.dump)
            .arg("--state")
            .arg(server.state())
    };
    let run = listing().run();
    run.assert_code(1);
    let text = verdict(&run);
    assert!(
        text.starts_with("DAMAGED: 1 shard had bad contents when it was last read"),
        "{text}"
    );
    assert_eq!(number(&run, "/ledger/bad_unread"), 1);
    listing().args(["--fail-on", "never"]).run().assert_code(0);
    listing().args(["--fail-on", "loss"]).run().assert_code(0);
    // What is accepted fails no run, read or not.
    let accepted = server.made_up.directory().join("accepted.toml");
    let begin = server.check().args(["--slice", &next, "--write-accept"]);
    begin.arg(&accepted).run().assert_code(1);
    let run = server.check().args(["--slice", &next, "--accept"]);
    let run = run.arg(&accepted).run();
    run.assert_code(0);
    assert_eq!(number(&run, "/ledger/bad"), 0);
    listing().run().assert_code(0);
    let again = server.check().args(["--slice", &next]).run();
    again.assert_code(1);
}

#[test]
fn an_empty_repository_was_not_read() {
    let server = Server::new();
    let host = server.made_up.repository().join("localhost");
    fs::rename(&host, server.made_up.directory().join("elsewhere")).expect("moved away");
    fs::create_dir(&host).expect("an empty directory");
    let run = server.check().args(["--allow-empty"]).run();
    run.assert_code(1);
    let never = number(&run, "/ledger/never");
    assert!(never > 200, "{never} of 256 hold files");
    assert_eq!(number(&run, "/read/files"), 0);
}

#[test]
fn the_time_is_kept_in_a_large_shard_and_a_killed_run_keeps_what_it_has_read() {
    let server = Server::new();
    // A huge file in the last shard to be read.
    let name = format!("ff{:038x}.{:032x}.{}", 1, 1, 1u64 << 40);
    let leaf = server.made_up.repository().join("localhost/files/ff/00/00");
    fs::create_dir_all(&leaf).expect("directories");
    let huge = fs::File::create(leaf.join(name)).expect("a file");
    huge.set_len(1 << 40).expect("a length");
    let began = Instant::now();
    let run = server
        .check()
        .args(["--max-duration", "2s", "--fail-on", "loss"])
        .run();
    let took = began.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?}");
    run.assert_code(0);
    let noted = server.noted();
    assert!(!noted.contains_key("ff"), "{noted:?}");
    assert_eq!(number(&run, "/shards_read"), noted.len() as u64);
    // Nothing is said of contents that were not read to the end.
    assert!(run.findings().iter().all(|each| each["kind"] != "corrupt"));
    // Not even one shard: that is no run of anything.
    let entries = fs::read(server.state().join("ledger.json")).expect("a ledger");
    let run = server.check().args(["--max-duration", "1ms"]).run();
    run.assert_code(3);
    let verdict = run.report()["verdict"]
        .as_str()
        .expect("a verdict")
        .to_owned();
    assert!(
        verdict.starts_with("INCOMPLETE: the time was over before"),
        "{verdict}"
    );
    let unread = Fogold::check(&server.made_up.repository(), &server.dump).run();
    assert_eq!(run.findings(), unread.findings());
    assert_eq!(
        fs::read(server.state().join("ledger.json")).expect("a ledger"),
        entries
    );

    fs::remove_file(server.state().join("ledger.json")).expect("removed");
    let running = server.check().start();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(20)
        && (!server.state().join("ledger.json").exists() || server.noted().len() < 100)
    {
        std::thread::sleep(Duration::from_millis(20));
    }
    running.signal(Signal::KILL);
    assert_eq!(running.end_within(Duration::from_secs(5)).code, None);
    let left = server.noted().len();
    assert!(left >= 100, "{left}");
}

#[test]
fn what_cannot_be_meant_is_told_and_a_bad_ledger_is_begun_anew() {
    let server = Server::new();
    let plain = || Fogold::check(&server.made_up.repository(), &server.dump);
    let limited = || plain().args(["--verify", "--max-duration", "1h"]);
    let state = server.state();
    for (run, says) in [
        (limited(), "--state"),
        (
            limited().args(["--slice", "1/4", "--state"]).arg(&state),
            "--slice",
        ),
        (
            plain()
                .args(["--max-duration", "1h", "--state"])
                .arg(&state),
            "--verify",
        ),
        (server.check().args(["--max-duration", "0s"]), "want a time"),
        (server.check().args(["--max-duration", "90"]), "want a time"),
        (
            plain()
                .args(["--state"])
                .arg(server.made_up.repository().join("state")),
            "inside the repository",
        ),
    ] {
        let run = run.run();
        run.assert_code(2);
        assert!(run.complaint().contains(says), "{}", run.complaint());
    }
    assert!(!state.exists() && !server.made_up.repository().join("state").exists());

    fs::create_dir(&state).expect("a directory");
    fs::write(state.join("ledger.json"), "{\"vers").expect("written");
    let run = server.check().args(["--max-duration", "1h30m"]).run();
    run.assert_code(0);
    assert!(
        run.complaint().contains("begun anew"),
        "{}",
        run.complaint()
    );
    assert_eq!(
        (number(&run, "/shards_read"), number(&run, "/ledger/never")),
        (256, 0)
    );

    // One that cannot be written: the next run would read the same again.
    fs::remove_file(state.join("ledger.json")).expect("removed");
    fs::create_dir(state.join("ledger.json")).expect("a directory");
    let run = server.check().run();
    run.assert_code(3);
    let verdict = run.report()["verdict"]
        .as_str()
        .expect("a verdict")
        .to_owned();
    assert!(
        verdict.contains("THE LEDGER COULD NOT BE WRITTEN"),
        "{verdict}"
    );
}
