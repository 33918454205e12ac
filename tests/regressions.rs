//! Wrong answers that the program once gave, so that it does not give them again.

use std::fs;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::Value;

use crate::support::{Cluster, Fogold, MadeUp, PROGRAM};

/// The files below a directory, in order.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut rest = vec![directory.to_owned()];
    while let Some(path) = rest.pop() {
        for entry in fs::read_dir(&path).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                rest.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The golds of a made-up server, each with its copy in files.
fn golds(made_up: &MadeUp) -> Vec<(PathBuf, PathBuf)> {
    let host = made_up.repository().join("localhost");
    let (gold, derived) = (host.join("gold"), host.join("files"));
    files(&gold)
        .into_iter()
        .map(|path| {
            let below = path.strip_prefix(&gold).expect("a gold").to_owned();
            (path, derived.join(below))
        })
        .collect()
}

fn remove(path: &Path) {
    fs::remove_file(path).expect("a file to remove");
}

fn of_kind<'a>(findings: &'a [Value], kind: &str) -> Vec<&'a Value> {
    findings
        .iter()
        .filter(|finding| finding["kind"] == kind)
        .collect()
}

/// The second look took the last of several rows for the name, and knew digests in upper or lower
/// case only: a lost gold was "deleted meanwhile", and all was well.
#[test]
fn a_lost_gold_is_lost_whatever_its_rows_look_like() {
    let cluster = Cluster::shared();
    let made_up = MadeUp::small();
    made_up.go_live(cluster, "regression_rows");
    let mut client = cluster.connect("regression_rows");
    for (number, statement) in [
        "UPDATE pfile SET pfile_sha1 = overlay(lower(pfile_sha1) placing upper(substr(pfile_sha1, 1, 9)) from 1 for 9)",
        "INSERT INTO pfile (pfile_pk, pfile_sha1, pfile_md5, pfile_size, pfile_sha256)
         SELECT 1000000 + pfile_pk, upper(pfile_sha1), pfile_md5, pfile_size, repeat('A', 64) FROM pfile",
    ]
    .into_iter()
    .enumerate()
    {
        client.batch_execute(statement).expect("odd rows");
        let (gold, copy) = golds(&made_up).swap_remove(0);
        remove(&gold);
        remove(&copy);
        let outcome = Fogold::check_configured(&made_up.sysconfdir()).run();
        outcome.assert_code(1);
        let findings = outcome.findings();
        let lost = of_kind(&findings, "missing-gold");
        assert_eq!(lost.len(), number + 1, "{statement}");
        assert!(of_kind(&findings, "deleted-meanwhile").is_empty());
    }
}

/// `--types` says what is reported on, not what is known.
#[test]
fn a_severity_is_the_same_whatever_types_are_reported_on() {
    let made_up = MadeUp::small();
    let golds = golds(&made_up);
    let astray = made_up.repository().join("localhost/gold/00/00/00");
    fs::create_dir_all(&astray).expect("a directory");
    // One gold lies astray and has no copy; of another the copy lies astray and the gold is gone;
    // a third is corrupt and has no copy.
    let (first, second, third) = (&golds[0], &golds[1], &golds[2]);
    let name = |path: &Path| path.file_name().expect("a name").to_owned();
    fs::rename(&first.0, astray.join(name(&first.0))).expect("a move");
    remove(&first.1);
    let elsewhere = made_up.repository().join("localhost/files/00/00/00");
    fs::create_dir_all(&elsewhere).expect("a directory");
    fs::rename(&second.1, elsewhere.join(name(&second.1))).expect("a move");
    remove(&second.0);
    let mut contents = fs::read(&third.0).expect("contents");
    contents[0] ^= 1;
    remove(&third.1);
    fs::write(&third.0, contents).expect("other contents");

    let check = |types: &str| {
        let outcome = Fogold::check_configured(&made_up.sysconfdir())
            .arg("--catalog")
            .arg(made_up.dump())
            .args(["--verify", "--types", types])
            .run();
        outcome.findings()
    };
    let all = check("gold,files");
    for ty in ["gold", "files"] {
        let some = check(ty);
        let of_type = |findings: &[Value]| -> Vec<Value> {
            let mut own = findings.to_vec();
            own.retain(|finding| finding["type"] == ty);
            own
        };
        assert_eq!(of_type(&some), of_type(&all), "{ty}");
        assert!(!of_type(&some).is_empty());
    }
}

/// A report or a snapshot once replaced whatever stood at its path, devices and links too.
#[test]
fn an_output_replaces_regular_files_only() {
    let made_up = MadeUp::small();
    let place = made_up.directory();
    let fifo = place.join("fifo");
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RWXU, 0).expect("a fifo");
    for output in [fifo.as_path(), Path::new("-"), &place] {
        Fogold::new(["snapshot", "--catalog"])
            .arg(made_up.dump())
            .arg("-o")
            .arg(output)
            .run()
            .assert_code(2);
    }
    let kind = fs::symlink_metadata(&fifo).expect("the fifo").file_type();
    assert!(kind.is_fifo());

    let (target, link) = (place.join("target.json"), place.join("link.json"));
    fs::write(&target, "{}").expect("a file");
    symlink(&target, &link).expect("a link");
    let check = |report: &Path| {
        Fogold::check_configured(&made_up.sysconfdir())
            .arg("--catalog")
            .arg(made_up.dump())
            .arg("--report")
            .arg(report)
            .run()
    };
    check(&link).assert_code(0);
    let metadata = fs::symlink_metadata(&link).expect("the link");
    assert!(metadata.file_type().is_symlink());
    assert!(fs::metadata(&target).expect("the target").len() > 2);
    let inside = made_up.repository().join("report.json");
    check(&inside).assert_code(2);
    assert!(
        !inside.exists(),
        "the failure was reported into the repository"
    );
}

/// The name of a URL upload is taken from the URL, and may hold its token.
#[test]
fn a_token_in_a_url_appears_nowhere() {
    let made_up = MadeUp::small();
    let dump = fs::read_to_string(made_up.dump()).expect("the dump");
    let start = dump.find("\thttps://").expect("an upload from a URL") + 1;
    let url = dump[start..].split(['\t', ' ']).next().expect("a URL");
    let name = url.rsplit('/').next().expect("a name");
    let secret = dump.replace(name, &format!("{name}?token=SECRET1"));
    let place = made_up.directory();
    let path = place.join("secret.sql");
    fs::write(&path, secret).expect("a dump");
    for (gold, copy) in golds(&made_up) {
        remove(&gold);
        remove(&copy);
    }
    let catalog = place.join("catalog.fogold");
    Fogold::new(["snapshot", "--catalog"])
        .arg(&path)
        .arg("-o")
        .arg(&catalog)
        .run()
        .assert_code(0);
    let saved = fs::read(&catalog).expect("the catalog");
    assert!(!saved.windows(7).any(|window| window == b"SECRET1"));
    for format in ["ndjson", "json", "text"] {
        let outcome = Fogold::new(["check", "--format", format, "-c"])
            .arg(made_up.sysconfdir())
            .arg("--catalog")
            .arg(&path)
            .run();
        outcome.assert_code(1);
        assert!(!outcome.text().contains("SECRET1"));
        assert!(!outcome.complaint().contains("SECRET1"));
        if format == "ndjson" {
            let findings = outcome.findings();
            assert!(
                findings
                    .iter()
                    .any(|finding| finding["url_withheld"] == true)
            );
        }
    }
}

/// What fogold could not open for want of handles of its own was once lost.
#[test]
fn want_of_handles_is_no_damage() {
    let made_up = MadeUp::small();
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -n 14; exec \"$@\"", "sh", PROGRAM]);
    shell.args(["check", "--format", "ndjson", "-j8", "--verify", "-c"]);
    shell.arg(made_up.sysconfdir());
    shell.arg("--catalog").arg(made_up.dump());
    let outcome = Fogold::of(shell).run();
    outcome.assert_code(3);
    assert!(outcome.findings().is_empty());
}

/// FOSSology follows a link where its hosts or types should be; fogold does not, and must say so.
#[test]
fn a_type_on_a_link_is_not_missing() {
    let made_up = MadeUp::small();
    let gold = made_up.repository().join("localhost/gold");
    let moved = made_up.directory().join("other-disk");
    fs::rename(&gold, &moved).expect("a move");
    symlink(&moved, &gold).expect("a link");
    let outcome = Fogold::check_configured(&made_up.sysconfdir())
        .arg("--catalog")
        .arg(made_up.dump())
        .run();
    outcome.assert_code(3);
    assert!(outcome.complaint().contains("symbolic link"));
}

/// A database that was only just made, and a full tree: every file is an orphan, and nothing is
/// well.
#[test]
fn an_empty_database_is_the_wrong_one() {
    let cluster = Cluster::shared();
    let made_up = MadeUp::small();
    made_up.go_live(cluster, "regression_empty");
    cluster
        .connect("regression_empty")
        .batch_execute("DELETE FROM uploadtree; DELETE FROM upload; DELETE FROM pfile")
        .expect("an empty database");
    let refused = Fogold::check_configured(&made_up.sysconfdir()).run();
    refused.assert_code(3);
    assert!(refused.complaint().contains("is it the right database?"));
    Fogold::check_configured(&made_up.sysconfdir())
        .arg("--allow-empty")
        .run()
        .assert_code(0);
}

/// A report of yesterday must not go on saying that all is well.
#[test]
fn a_failed_run_leaves_no_old_report() {
    let made_up = MadeUp::small();
    let report = made_up.directory().join("report.json");
    fs::write(&report, r#"{"verdict": "OK"}"#).expect("an old report");
    Fogold::check_configured(&made_up.sysconfdir())
        .arg("--catalog")
        .arg("/nonexistent/dump.sql")
        .arg("--report")
        .arg(&report)
        .run()
        .assert_code(3);
    let text = fs::read_to_string(&report).expect("the report");
    let report: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(report["complete"], false);
    assert_eq!(report["exit_status"], 3);
}
