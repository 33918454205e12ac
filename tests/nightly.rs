//! Nights on a made-up server: what runs, what does not, how it ends, and who is told.

use std::fs;
use std::io::Write;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use super::support::web::{Reply, WebServer};
use super::support::{Fogold, MadeUp, Outcome, skipped};

/// A server with a configuration file for its nights.
struct Server {
    made_up: MadeUp,
    hook: WebServer,
}

impl Server {
    fn new() -> Server {
        let server = Server {
            made_up: MadeUp::small(),
            hook: WebServer::start(|_| Reply::File(Vec::new())),
        };
        server.made_up.dump();
        fs::write(server.path("url"), server.hook.url("/hush\n")).expect("written");
        let sendmail = "#!/bin/sh\necho \"$@\" > \"$0.words\"\ncat > \"$0.mail\"\n";
        install(&server.path("sendmail"), sendmail);
        server.configure("");
        server
    }

    fn path(&self, name: &str) -> PathBuf {
        self.made_up.directory().join(name)
    }

    /// Writes the configuration; `more` comes at its end.
    fn configure(&self, more: &str) {
        let at = |name: &str| format!("'{}'", self.path(name).display());
        let text = format!(
            "sysconfdir = '{}'\nstore = {}\nstate = {}\n\
             [backup]\ngold-only = true\ndump = {dump}\n[nightly.check]\ncatalog = {dump}\n\
             [retention]\nkeep-daily = 7\n\
             [mail]\nto = ['root', 'admin@example.org']\nsendmail = {}\n\
             [hooks]\ncommand = 'cat > {}'\nwebhook = {{ file = {} }}\n\
             [reports]\ndirectory = {}\nformats = ['json', 'txt']\n{more}",
            self.made_up.sysconfdir().display(),
            at("store"),
            at("state"),
            at("sendmail"),
            self.path("command.json").display(),
            at("url"),
            at("reports"),
            dump = at("dump.sql"),
        );
        fs::write(self.path("fogold.toml"), text).expect("written");
    }

    /// Changes the configuration in one place.
    fn edit(&self, old: &str, new: &str) {
        let text = fs::read_to_string(self.path("fogold.toml")).expect("a file");
        fs::write(self.path("fogold.toml"), text.replace(old, new)).expect("written");
    }

    fn nightly(&self, words: &[&str]) -> Fogold {
        Fogold::new(["nightly", "--config"])
            .arg(self.path("fogold.toml"))
            .args(words)
    }

    fn night(&self, words: &[&str]) -> Outcome {
        self.nightly(words).run()
    }

    /// What the last night left behind.
    fn verdict(&self) -> Value {
        json(&self.path("state/verdict.json"))
    }

    /// The steps of the last night with their exit statuses.
    fn steps(&self) -> Vec<(String, Option<u64>)> {
        let verdict = self.verdict();
        let steps = verdict["steps"].as_array().expect("steps").iter();
        steps
            .map(|step| {
                let name = step["step"].as_str().expect("a name");
                (name.to_owned(), step["exit_status"].as_u64())
            })
            .collect()
    }

    /// How often each of the three was told; what was told is taken away.
    fn told(&self) -> [bool; 3] {
        let gone = |name: &str| fs::remove_file(self.path(name)).is_ok();
        let asked = self.hook.take_requests().len();
        assert!(asked < 2);
        [gone("command.json"), gone("sendmail.mail"), asked == 1]
    }
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("a file")).expect("JSON")
}

/// Puts a script where it can be run: closed by another process, so that no child of this one still
/// has it open.
fn install(path: &Path, text: &str) {
    let source = path.with_extension("text");
    fs::write(&source, text).expect("written");
    let made = Command::new("install")
        .args(["-m", "755"])
        .args([source.as_path(), path])
        .status();
    assert!(made.expect("install runs").success());
}

fn wanted(steps: &[(&str, Option<u64>)]) -> Vec<(String, Option<u64>)> {
    let steps = steps.iter();
    steps
        .map(|(name, status)| ((*name).to_owned(), *status))
        .collect()
}

#[test]
fn nights_good_and_bad_and_who_is_told() {
    let server = Server::new();
    let good = [
        ("backup", Some(0)),
        ("check", Some(0)),
        ("verify", Some(0)),
        ("prune", Some(0)),
    ];

    let first = server.night(&[]);
    first.assert_code(0);
    assert_eq!(server.steps(), wanted(&good));
    let log = first.complaint();
    let lines: Vec<&str> = log
        .lines()
        .filter(|line| line.contains(": exit 0, "))
        .collect();
    assert_eq!(lines.len(), 5, "{log}");
    assert!(
        lines[0].starts_with("fogold: 20") && lines[0].contains("Z backup: exit 0, "),
        "{log}"
    );
    let check = json(&server.path("reports/check.json"));
    let slice = check["coverage"]["slice"].as_str().expect("a slice");
    assert!(slice.ends_with("/28"), "{slice}");
    for report in ["backup.txt", "verify.json", "nightly.txt", "nightly.json"] {
        assert!(server.path("reports").join(report).exists(), "{report}");
    }
    // The first verdict is told.
    let notice = json(&server.path("command.json"));
    assert_eq!(
        (&notice["event"], &notice["exit_status"]),
        (&"change".into(), &0.into())
    );
    let posted = server.hook.requests();
    assert_eq!(posted[0].path, "/hush");
    let posted: Value = serde_json::from_slice(&posted[0].body).expect("JSON");
    assert_eq!(posted, notice);
    let mail = fs::read_to_string(server.path("sendmail.mail")).expect("a mail");
    assert!(
        mail.starts_with("To: root, admin@example.org\nSubject: fogold on "),
        "{mail}"
    );
    assert!(
        mail.contains(": GOOD\n") && mail.contains("\nbackup: exit status 0 after "),
        "{mail}"
    );
    let words = fs::read_to_string(server.path("sendmail.words")).expect("words");
    assert_eq!(words, "-t -i\n");
    assert_eq!(server.told(), [true; 3]);

    // A night like the one before is no news, and a quiet one says nothing.
    let second = server.night(&["--quiet"]);
    assert_eq!(
        (second.assert_code(0).complaint(), second.text()),
        Default::default()
    );
    assert_eq!(server.told(), [false; 3]);
    server
        .night(&["--notify", "always", "--steps", "verify"])
        .assert_code(0);
    assert_eq!(json(&server.path("command.json"))["event"], "change");
    assert_eq!(server.told(), [true; 3]);

    // A store that is gone, and an empty directory where it was: no other takes its place unseen.
    let (store, gone) = (server.path("store"), server.path("gone"));
    fs::rename(&store, &gone).expect("moved");
    fs::create_dir(&store).expect("a mount point");
    let vanished = server.night(&["--steps", "backup,prune"]);
    vanished.assert_code(3);
    assert_eq!(server.steps(), wanted(&[("backup", None), ("prune", None)]));
    let mail = fs::read_to_string(server.path("sendmail.mail")).expect("a mail");
    assert!(
        mail.contains(" and it is gone: ")
            && mail.contains("is it mounted?")
            && mail.contains("/state/known-store.json)"),
        "{mail}"
    );
    assert_eq!(server.told(), [true; 3]);
    fs::remove_dir(&store).expect("nothing was begun in it");
    fs::rename(&gone, &store).expect("mounted again");

    // A backup that fails: no set is removed, all else is done.
    server.configure("[nightly.backup]\ndump = '/nowhere/at/all'\n");
    let bad = server.night(&["--quiet"]);
    bad.assert_code(3);
    let steps = server.steps();
    assert!(matches!(steps[0].1, Some(2 | 3)), "{steps:?}");
    assert_eq!(
        steps[1..],
        wanted(&[("check", Some(0)), ("verify", Some(0)), ("prune", None)])
    );
    assert!(
        bad.complaint().contains("prune: not run: backup failed"),
        "{}",
        bad.complaint()
    );
    let notice = json(&server.path("command.json"));
    assert_eq!(notice["event"], "failure");
    assert!(
        notice["text"]
            .as_str()
            .expect("text")
            .contains("/nowhere/at/all")
    );
    assert!(
        notice["before"]
            .as_str()
            .expect("a verdict")
            .starts_with("FAILED: backup: not run: the nights before ")
    );
    assert_eq!(server.told(), [true; 3]);

    // A check that cannot be made, and a notification that does not arrive.
    server.configure("");
    server.edit(
        "[nightly.check]\n",
        "[nightly.check]\nrepository = '/nowhere/at/all'\n",
    );
    fs::write(server.path("url"), "http://127.0.0.1:1/hush").expect("written");
    let bad = server.night(&["--steps", "check,verify,prune"]);
    bad.assert_code(3);
    let steps = [("check", Some(3)), ("verify", Some(0)), ("prune", Some(0))];
    assert_eq!(server.steps(), wanted(&steps));
    assert!(
        bad.complaint()
            .contains("nobody was told by the webhook: connection refused"),
        "{}",
        bad.complaint()
    );
    assert!(!bad.complaint().contains("hush"));
    assert_eq!(server.verdict()["untold"], true);
    assert_eq!(server.told(), [true, true, false]);

    // What was not told once is told the next night, and a night that cannot tell is no good one.
    server.configure("");
    let verify = ["--steps", "verify"];
    server.night(&verify).assert_code(3);
    assert_eq!(server.steps(), wanted(&good[2..3]));
    for kept in ["state/verdict.json", "reports/nightly.json"] {
        let kept = json(&server.path(kept));
        assert_eq!(kept["exit_status"], 3, "{kept}");
        let why = kept["not_told"][0].as_str().expect("a reason");
        assert!(why.starts_with("nobody was told by the webhook: "), "{why}");
    }
    let text = fs::read_to_string(server.path("reports/nightly.txt")).expect("a report");
    assert!(
        text.starts_with("GOOD: verify, but NOT EVERYBODY WAS TOLD\n")
            && text.contains("exit status 3.\nNOT TOLD: nobody was told by the webhook: "),
        "{text}"
    );
    fs::write(server.path("url"), server.hook.url("/hush")).expect("written");
    assert_eq!(server.told(), [true, true, false]);
    server.night(&verify).assert_code(0);
    assert_eq!(server.told(), [true; 3]);
    server.night(&verify).assert_code(0);
    assert_eq!(server.told(), [false; 3]);

    // Damage in the store and in the repository: findings everywhere, and all of it is done.
    let pool = files_below(&server.path("store/pool"));
    fs::write(&pool[0], b"").expect("written");
    let gold = files_below(&server.made_up.repository().join("localhost/files"));
    fs::remove_file(&gold[0]).expect("removed");
    let damaged = server.night(&["--steps", "check,verify,prune"]);
    damaged.assert_code(1);
    assert_eq!(
        server.steps(),
        wanted(&[("check", Some(1)), ("verify", Some(1)), ("prune", Some(0))])
    );
    let mail = fs::read_to_string(server.path("sendmail.mail")).expect("a mail");
    assert!(
        mail.contains(": FINDINGS (check, verify)\n")
            && mail.contains("\n  1 missing-derived\n")
            && mail.contains(&format!(
                "\n  see {}/check.json\n",
                server.path("reports").display()
            )),
        "{mail}"
    );
    assert_eq!(server.told(), [true; 3]);

    // A store that cannot be read: nothing is removed from it either.
    server.configure("[nightly.verify]\nstore = '/nowhere/at/all'\n");
    server
        .night(&["--steps", "verify,check,prune"])
        .assert_code(3);
    let refused = server.steps();
    assert!(matches!(refused[0].1, Some(2 | 3)), "{refused:?}");
    assert_eq!(refused[1..], wanted(&[("check", Some(1)), ("prune", None)]));
    assert_eq!(server.told(), [true; 3]);

    // The last step alone.
    server.configure("[nightly.prune]\nscratch = '/nowhere/at/all'\n");
    server.night(&["--steps", "verify,prune"]).assert_code(3);
    assert_eq!(server.steps()[1], ("prune".to_owned(), Some(3)));
    assert_eq!(server.told(), [true; 3]);
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn what_cannot_be_meant_is_told_before_anything_runs() {
    let server = Server::new();
    for (words, more, wanted) in [
        (
            &["--steps", "prune,backup"][..],
            "",
            "prune comes after backup",
        ),
        (&["--steps", "check,check"], "", "check stands there twice"),
        (&["--steps", "sleep"], "", "invalid value 'sleep'"),
        (
            &[],
            "[check]\nsha256 = true\n[nightly.verify]\nset = 'x'\n",
            "there is no setting nightly.verify.set",
        ),
        (
            &[],
            "[check]\nsha256 = true\n[check.more]\n",
            "there is no section [check.more]",
        ),
        (
            &[],
            "[nightly.verify]\nreport = 'x.pdf'\n",
            "x.pdf: there is no report with this ending",
        ),
        (
            &[],
            "[prune]\nkeep-last = 0\n",
            "prune.keep-last: invalid value '0'",
        ),
        (
            &[],
            "[check]\nverify = false\nsha256 = true\n",
            "fogold check, a step of the night: the following required arguments were not provided: --verify",
        ),
    ] {
        server.configure(more);
        let outcome = server.night(words);
        outcome.assert_code(2);
        assert!(
            outcome.complaint().contains(wanted),
            "{more}: {}",
            outcome.complaint()
        );
    }
    assert!(!server.path("store").exists());
    // Whoever has no configuration yet is told which one is missing.
    let file = "/etc/fogold/fogold.toml";
    if !Path::new(file).exists() {
        let bare = Fogold::new(["nightly", "--dry-run"]).env("FOGOLD_CONFIG", "");
        let bare = bare.run();
        let wanted = format!("<STORE>; there is no {file}, which says");
        let said = bare.assert_code(2).complaint();
        assert!(said.contains(&wanted), "{said}");
    }
    // The last one was read well enough to know who is to hear of it.
    let mail = fs::read_to_string(server.path("sendmail.mail")).expect("a mail");
    assert!(
        mail.contains("\nREFUSED: fogold check, a step of the night: "),
        "{mail}"
    );
}

#[test]
fn a_dry_run_shows_the_commands_and_does_nothing() {
    let server = Server::new();
    server.configure("[nightly.verify]\nslice = 'auto/7'\n[check]\nreport = ['a b.txt']\n[nightly]\nnotify = 'always'\n");
    let outcome = server.nightly(&["--dry-run"]).arg("--jobs=2").run();
    outcome.assert_code(0);
    let shown = outcome.text();
    let lines: Vec<&str> = shown.lines().collect();
    let common = format!(
        "fogold --jobs=2 --config {} --state={}",
        server.path("fogold.toml").display(),
        server.path("state").display()
    );
    let reports = server.path("reports");
    let of = |command: &str| {
        let path = reports.join(command);
        format!(
            "--report={0}.json --report={0}.txt --format=ndjson",
            path.display()
        )
    };
    let dump = server.path("dump.sql");
    let wanted = [
        format!("{common} backup {}", of("backup")),
        format!(
            "{common} check --catalog={} --verify --slice=auto/28 '--report=a b.txt' {}",
            dump.display(),
            of("check")
        ),
        format!("{common} verify --slice=auto/7 {}", of("verify")),
        format!("{common} prune --apply --format=json"),
        "# mail to root, admin@example.org".to_owned(),
        format!("# command cat > {}", server.path("command.json").display()),
        "# webhook ***".to_owned(),
    ];
    assert_eq!(lines, wanted);
    assert!(!server.path("state").exists());
    // Mail needs a mail program.
    assert!(!outcome.complaint().contains("no mail"));
    server.edit("/sendmail'", "/nothing'");
    let warned = server.night(&["--dry-run", "--steps", "check"]);
    let warned = warned.assert_code(0).complaint();
    assert!(
        warned.contains("warning: no mail can be sent: ")
            && warned.contains("/nothing: No such file"),
        "{warned}"
    );
    // A quiet night still hears its steps.
    let quiet = server.nightly(&["--dry-run", "--steps", "check"]);
    let quiet = quiet.env("FOGOLD_QUIET", "true").run().text();
    assert!(
        quiet.starts_with("FOGOLD_QUIET=false fogold --config "),
        "{quiet}"
    );
    // What a process's arguments say, everybody on the machine can read.
    let source = "postgresql://fossy:hush@db.example.org/fossology";
    server.edit(
        &format!("catalog = '{}'", dump.display()),
        &format!("catalog = '{source}'"),
    );
    let line = server.night(&["--dry-run", "--steps", "check"]).text();
    let is_hidden = !line.contains("--catalog") && !line.contains("hush");
    assert!(is_hidden && line.contains("CATALOG=*** "), "{line}");
}

#[test]
fn one_night_at_a_time_and_a_signal_ends_it() {
    let server = Server::new();
    // A dump that does not come: the backup waits for it.
    let pipe = server.path("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("mkfifo runs").success());
    server.configure(&format!("[nightly.backup]\ndump = '{}'\n", pipe.display()));
    let socket = UnixDatagram::bind(server.path("notify")).expect("a socket");
    socket
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("a limit");
    let mut first = server
        .nightly(&[])
        .env("NOTIFY_SOCKET", server.path("notify"))
        .env("WATCHDOG_USEC", "300000")
        .start();
    let heard = || {
        let mut bytes = [0; 4096];
        let length = socket.recv(&mut bytes).expect("a message");
        String::from_utf8_lossy(&bytes[..length]).trim().to_owned()
    };
    assert_eq!(heard(), "READY=1");
    assert_eq!(heard(), "STATUS=backup, step 1 of 4");
    let began = Instant::now();
    while heard() != "WATCHDOG=1" {
        assert!(began.elapsed() < Duration::from_secs(20));
    }
    let second = server.night(&[]);
    second.assert_code(3);
    let holder = format!(
        "another night is at work: fogold nightly (process {} of ",
        first.id()
    );
    assert!(
        second.complaint().contains(&holder),
        "{}",
        second.complaint()
    );
    assert!(first.is_at_work());
    first.signal(Signal::TERM);
    let ended = first.end_within(Duration::from_secs(20));
    ended.assert_code(3);
    assert_eq!(
        server.steps(),
        wanted(&[
            ("backup", Some(3)),
            ("check", None),
            ("verify", None),
            ("prune", None)
        ])
    );
    assert_eq!(server.told(), [true; 3]);
}

#[test]
fn what_is_kept_for_later_is_told_once() {
    let server = Server::new();
    server
        .night(&["--steps", "check", "--tell", "later"])
        .assert_code(0);
    assert_eq!(server.told(), [false; 3]);
    let tell = || server.night(&["--tell", "only"]);
    tell().assert_code(0);
    let notice = json(&server.path("command.json"));
    assert_eq!(
        (&notice["event"], &notice["verdict"]),
        (&"change".into(), &"GOOD: check".into())
    );
    assert_eq!(server.told(), [true; 3]);
    tell().assert_code(0);
    assert_eq!(server.told(), [false; 3]);

    // A night that was killed leaves word of it.
    let pipe = server.path("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("mkfifo runs").success());
    server.configure(&format!("[nightly.backup]\ndump = '{}'\n", pipe.display()));
    let night = server.nightly(&["--tell", "later"]).start();
    let began = Instant::now();
    // The backup waits for its dump at the other end.
    let mut dump = loop {
        let options = rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::NONBLOCK;
        match rustix::fs::open(&pipe, options, rustix::fs::Mode::empty()) {
            Ok(file) => break fs::File::from(file),
            Err(_) => assert!(began.elapsed() < Duration::from_secs(20)),
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    night.signal(Signal::KILL);
    night.end_within(Duration::from_secs(20));
    // Its backup goes on, and is not in the way.
    dump.write_all(b"no dump\n").expect("written");
    drop(dump);
    tell().assert_code(0);
    let mail = fs::read_to_string(server.path("sendmail.mail")).expect("a mail");
    assert!(
        mail.contains("\nFAILED: the night came to no end\n"),
        "{mail}"
    );
    assert!(mail.contains("\nThe night before: GOOD: check\n"), "{mail}");
    assert_eq!(server.told(), [true; 3]);
}

#[test]
fn the_examples_are_true() {
    let contrib = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib");
    let text = fs::read_to_string(contrib.join("fogold.toml")).expect("the example");
    // All that is commented out is a setting as well.
    let all: Vec<String> = text
        .lines()
        .map(|line| {
            line.strip_prefix('#')
                .filter(|rest| !rest.starts_with(' '))
                .unwrap_or(line)
                .to_owned()
        })
        .collect();
    assert!(all.iter().filter(|line| line.contains(" = ")).count() > 25);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let here = format!("{}/", directory.path().display());
    fs::write(
        directory.path().join("connection"),
        "host=h user=u dbname=d",
    )
    .expect("written");
    fs::write(directory.path().join("webhook"), "https://example.org/x").expect("written");
    let readme = include_str!("../README.md");
    let (_, section) = readme.split_once("### Every night").expect("a section");
    let is_setting = |line: &&str| line.starts_with("    ") && line.contains(" = ");
    let (first, metrics) = section.split_once("**Metrics").expect("a paragraph");
    let few: Vec<&str> = first.lines().filter(is_setting).map(str::trim).collect();
    assert_eq!(few.len(), 5, "{few:?}");
    let is_metric = |line: &&str| line.starts_with("    [nightly") || is_setting(line);
    let metrics = metrics.lines().filter(is_metric).map(str::trim);
    let metrics: Vec<&str> = few.iter().copied().chain(metrics).collect();
    assert_eq!(metrics.len(), 9, "{metrics:?}");
    for (name, text) in [
        ("as-is.toml", text.clone()),
        ("all.toml", all.join("\n")),
        ("few.toml", few.join("\n")),
        ("metrics.toml", metrics.join("\n")),
    ] {
        let path = directory.path().join(name);
        fs::write(&path, text.replace("/etc/fogold/", &here)).expect("written");
        let config = Fogold::new(["config", "--config"]).arg(&path).run();
        config.assert_code(0);
        let night = Fogold::new(["nightly", "--dry-run", "--config"]).arg(&path);
        let night = night.run();
        let shown = night.assert_code(0).text();
        let steps = shown.lines().filter(|line| line.starts_with("fogold "));
        assert_eq!(steps.count(), 4, "{shown}");
    }
}

#[test]
fn systemd_takes_the_units() {
    let contrib = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/systemd");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let program = super::support::PROGRAM;
    let units = ["fogold.service", "fogold-tell.service", "fogold.timer"];
    for unit in units {
        let text = fs::read_to_string(contrib.join(unit)).expect("a unit");
        let text = text.replace("/usr/bin/fogold", program);
        fs::write(directory.path().join(unit), text).expect("written");
    }
    let Ok(verified) = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .args(units.map(|unit| directory.path().join(unit)))
        .output()
    else {
        return skipped("systemd-analyze is not installed");
    };
    let said = String::from_utf8_lossy(&verified.stderr);
    let own: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("fogold"))
        .collect();
    assert!(verified.status.success() && own.is_empty(), "{said}");
    let judged = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--threshold=30"])
        .arg(directory.path().join("fogold.service"))
        .output()
        .expect("systemd-analyze runs");
    let said = String::from_utf8_lossy(&judged.stdout);
    assert!(
        judged.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&judged.stderr)
    );
}
