//! Servers recorded from a real FOSSology: a check of them finds what is known to be wrong with
//! them, however it learns what the database knows, and nothing else.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;

use crate::support::{Capture, Cluster, ClusterOptions, Fogold, agree, kinds};

/// The recorded damages, and what is reported without any.
fn damages() -> Option<Value> {
    let text = fs::read(Capture::directory()?.join("damage.json")).expect("damage.json");
    Some(serde_json::from_slice(&text).expect("JSON"))
}

fn already_there(damages: &Value) -> Vec<Value> {
    list(&damages["already_there"])
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().expect("a list").clone()
}

fn dump_of(capture: &Capture) -> PathBuf {
    capture.file("dump.sql.gz")
}

/// Findings and report of a check, which must end with `code`.
fn checked(fogold: Fogold, code: i32) -> (Vec<Value>, Value) {
    let outcome = fogold.run();
    outcome.assert_code(code);
    let report = outcome.report();
    assert_eq!(report["exit_status"], code);
    assert_eq!(report["complete"], true);
    (outcome.findings(), report)
}

#[test]
fn a_healthy_server_has_three_files_too_many() {
    let (Some(capture), Some(damages)) = (Capture::open("A-healthy"), damages()) else {
        return;
    };
    let repository = capture.repository();
    let dump = dump_of(&capture);
    for more in [&[][..], &["--verify", "--sha256"]] {
        let (findings, report) = checked(Fogold::check(&repository, &dump).args(more), 0);
        agree("A", &already_there(&damages), &findings);
        assert_eq!(report["counts"]["unreferenced"], 3);
        assert_eq!(report["severities"]["waste"], 3);
        let counts = capture.json("counts.json");
        assert_eq!(
            report["coverage"]["listed"]["gold"]["files"],
            counts["gold_files"]
        );
        assert_eq!(
            report["coverage"]["listed"]["files"]["files"],
            counts["files_files"]
        );
        assert_eq!(report["catalog"]["pfiles"], counts["pfile_rows"]);
        assert_eq!(report["catalog"]["tree_rows"], counts["uploadtree_rows"]);
    }
}

#[test]
fn the_three_forms_of_a_report_say_the_same() {
    let Some(capture) = Capture::open("A-healthy") else {
        return;
    };
    let run = |format: &str| {
        let outcome = Fogold::new(["check", "--format", format, "--repository"])
            .arg(capture.repository())
            .arg("--catalog")
            .arg(dump_of(&capture))
            .run();
        outcome.assert_code(0);
        outcome
    };
    let lines = run("ndjson");
    let verdict = lines.report()["verdict"]
        .as_str()
        .expect("a verdict")
        .to_owned();
    assert!(verdict.starts_with("OK: "), "{verdict}");
    let text = run("text").text();
    assert_eq!(text.lines().next(), Some(&verdict[..]));
    for finding in lines.findings() {
        assert!(text.contains(finding["path"].as_str().expect("a path")));
    }
    let object: Value = serde_json::from_slice(&run("json").stdout).expect("one JSON value");
    assert_eq!(object["verdict"], verdict);
    assert_eq!(object["findings"], Value::Array(lines.findings()));
}

#[test]
fn every_source_of_the_catalog_gives_the_same_findings() {
    let Some(capture) = Capture::open("A-healthy") else {
        return;
    };
    let repository = capture.repository();
    // Something of most kinds, so that there is an order to keep.
    let Some(damages) = damages() else { return };
    for damage in list(&damages["files"]) {
        apply(&repository, &damage);
    }
    let cluster = Cluster::shared();
    capture.load(cluster, "captured_sources");
    let wanted = checked(Fogold::check(&repository, dump_of(&capture)), 1).0;

    let mut sources: Vec<PathBuf> = ["dump.sql.gz", "dump-Fc.dump", "dumpall.sql.gz"]
        .iter()
        .map(|name| capture.file(name))
        .collect();
    for dump in sources.clone() {
        let piped = Fogold::check(&repository, "-").input(fs::read(&dump).expect("a dump"));
        assert_eq!(
            checked(piped, 1).0,
            wanted,
            "standard input: {}",
            dump.display()
        );
    }
    sources.push(cluster.conninfo("captured_sources").into());
    let directory = tempfile::tempdir().expect("a temporary directory");
    for (number, source) in sources.into_iter().enumerate() {
        let direct = checked(Fogold::check(&repository, &source), 1).0;
        assert_eq!(direct, wanted, "{}", source.display());
        let saved = directory.path().join(format!("{number}.catalog"));
        Fogold::new(["snapshot", "-o"])
            .arg(&saved)
            .arg("--catalog")
            .arg(&source)
            .run()
            .assert_code(0);
        let again = checked(Fogold::check(&repository, &saved), 1).0;
        assert_eq!(again, wanted, "saved from {}", source.display());
    }
    // The recorded configuration names user, host ranges and depth; the tree shows the same.
    let configured = Fogold::check(&repository, dump_of(&capture))
        .arg("--sysconfdir")
        .arg(capture.sysconfdir());
    assert_eq!(checked(configured, 1).0, wanted);
}

#[test]
fn a_restored_gold_lacks_all_that_was_unpacked() {
    let Some(capture) = Capture::open("B-gold-only") else {
        return;
    };
    let (findings, report) = checked(
        Fogold::check(&capture.repository(), dump_of(&capture)).arg("--verify"),
        1,
    );
    let kinds: Vec<(String, usize)> = kinds(&findings).into_iter().collect();
    let wanted = [
        ("missing-derived", 77),
        ("missing-listing", 9),
        ("pfile-without-use", 3),
    ];
    assert_eq!(
        kinds,
        wanted.map(|(kind, count)| (kind.to_owned(), count)),
        "{report}"
    );
    let derived = |recovery: &str| {
        findings
            .iter()
            .filter(|each| each["kind"] == "missing-derived" && each["recovery"] == recovery)
            .count()
    };
    assert_eq!((derived("copy"), derived("unpack")), (11, 66));
    for finding in findings.iter().filter(|each| each["recovery"] == "copy") {
        let source = finding["source"].as_str().expect("a source");
        assert!(capture.repository().join(source).is_file(), "{finding}");
    }
}

#[test]
fn a_server_in_the_midst_of_work_is_not_damaged() {
    let Some(damages) = damages() else { return };
    for (name, unfinished) in [
        ("D-killed-midunpack", &[15][..]),
        ("E-pending", &[15, 16][..]),
    ] {
        let Some(capture) = Capture::open(name) else {
            return;
        };
        let mut wanted = already_there(&damages);
        wanted.extend(unfinished.iter().map(|upload| {
            serde_json::json!({"kind": "unfinished-upload", "severity": "notice", "uploads": [upload]})
        }));
        for more in [&[][..], &["--verify", "--sha256"]] {
            let check = Fogold::check(&capture.repository(), dump_of(&capture)).args(more);
            agree(name, &wanted, &checked(check, 0).0);
        }
    }
}

/// What a check must find: what a damage says, and what was there already.
fn expected(damages: &Value, of: &[Value], verify: bool) -> Vec<Value> {
    let mut expected = already_there(damages);
    for damage in of {
        let own = list(&damage["expect"]);
        expected.extend(
            own.into_iter()
                .filter(|each| verify || each["verify"] != true),
        );
    }
    expected
}

fn exit_code(findings: &[Value]) -> i32 {
    let fails = |each: &Value| matches!(each["severity"].as_str(), Some("loss" | "recoverable"));
    i32::from(findings.iter().any(fails))
}

/// Checks with and without reading contents, and compares.
fn assert_damage(what: &str, damages: &Value, of: &[Value], repository: &Path, source: &Path) {
    for (verify, flags) in [(false, &[][..]), (true, &["--verify", "--sha256"])] {
        let outcome = Fogold::check(repository, source).args(flags).run();
        let findings = outcome.findings();
        agree(
            &format!("{what}, verify: {verify}"),
            &expected(damages, of, verify),
            &findings,
        );
        outcome.assert_code(exit_code(&findings));
    }
}

#[test]
fn each_damage_to_files_is_found_and_nothing_else() {
    let Some(damages) = damages() else { return };
    for damage in list(&damages["files"]) {
        let Some(capture) = Capture::open("A-healthy") else {
            return;
        };
        let repository = capture.repository();
        apply(&repository, &damage);
        let what = damage["id"].as_str().expect("an id");
        let of = [damage.clone()];
        assert_damage(what, &damages, &of, &repository, &dump_of(&capture));
    }
}

#[test]
fn all_damages_to_files_together_are_found() {
    let (Some(capture), Some(damages)) = (Capture::open("A-healthy"), damages()) else {
        return;
    };
    let all = list(&damages["files"]);
    for damage in &all {
        apply(&capture.repository(), damage);
    }
    let (repository, dump) = (capture.repository(), dump_of(&capture));
    assert_damage("all", &damages, &all, &repository, &dump);
}

#[test]
fn damages_to_rows_are_found_live_and_in_every_kind_of_dump() {
    let (Some(capture), Some(damages)) = (Capture::open("A-healthy"), damages()) else {
        return;
    };
    // Of its own: pg_dumpall takes every database of the cluster.
    let cluster = Cluster::start(&ClusterOptions::default());
    capture.load(&cluster, "as_recorded");
    let rows = list(&damages["rows"]);
    for damage in &rows {
        make_over(&cluster, std::slice::from_ref(damage));
        let what = damage["id"].as_str().expect("an id");
        let of = [damage.clone()];
        assert_rows(what, &cluster, &capture, &damages, &of);
    }
    make_over(&cluster, &rows);
    assert_rows("all rows", &cluster, &capture, &damages, &rows);
    for damage in list(&damages["files"]) {
        apply(&capture.repository(), &damage);
    }
    let all = [list(&damages["files"]), rows].concat();
    assert_rows("everything", &cluster, &capture, &damages, &all);
}

/// Makes the database `fossology` anew, with damages.
fn make_over(cluster: &Cluster, damages: &[Value]) {
    let mut client = cluster.connect("postgres");
    for statement in [
        "DROP DATABASE IF EXISTS fossology",
        "CREATE DATABASE fossology TEMPLATE as_recorded",
    ] {
        client.batch_execute(statement).expect("a fresh database");
    }
    let mut client = cluster.connect("fossology");
    for damage in damages {
        for action in list(&damage["do"]) {
            let statement = action["sql"].as_str().expect("a statement");
            client.batch_execute(statement).expect("damage to rows");
        }
    }
}

fn assert_rows(what: &str, cluster: &Cluster, capture: &Capture, damages: &Value, of: &[Value]) {
    let repository = capture.repository();
    let live = PathBuf::from(cluster.conninfo("fossology"));
    assert_damage(&format!("{what}, live"), damages, of, &repository, &live);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let dump = |program: &str, more: &[&str]| {
        let file = directory.path().join(format!("{program}{}", more.concat()));
        let status = cluster
            .client(program, "fossology")
            .args(more)
            .arg("--file")
            .arg(&file)
            .status();
        assert!(status.expect("it runs").success(), "{program}");
        file
    };
    for (program, more) in [("pg_dump", &[][..]), ("pg_dump", &["-Fc"])] {
        let file = dump(program, more);
        assert_damage(
            &format!("{what}, {program} {more:?}"),
            damages,
            of,
            &repository,
            &file,
        );
    }
    // The recorded server is in it too: the configuration says which one is meant.
    let all = dump("pg_dumpall", &[]);
    let outcome = Fogold::check(&repository, &all).run();
    outcome.assert_code(2);
    assert!(
        outcome
            .complaint()
            .contains("several FOSSology databases (as_recorded, fossology)"),
        "{}",
        outcome.complaint()
    );
    let outcome = Fogold::check(&repository, &all)
        .arg("--sysconfdir")
        .arg(capture.sysconfdir())
        .run();
    let findings = outcome.findings();
    let wanted = expected(damages, of, false);
    agree(&format!("{what}, pg_dumpall"), &wanted, &findings);
    outcome.assert_code(exit_code(&findings));
}

/// Does a damage to a tree.
fn apply(repository: &Path, damage: &Value) {
    for action in list(&damage["do"]) {
        act(repository, &action).unwrap_or_else(|error| panic!("{action}: {error}"));
    }
}

fn act(repository: &Path, action: &Value) -> std::io::Result<()> {
    let text = |field: &str| action[field].as_str().expect("a text");
    let at = |field: &str| repository.join(text(field));
    let path = at("path");
    match text("action") {
        "write" => {
            let offset = action["offset"].as_u64().expect("an offset");
            OpenOptions::new()
                .write(true)
                .open(&path)?
                .write_all_at(&unhex(text("hex")), offset)
        }
        "truncate" => OpenOptions::new()
            .write(true)
            .open(&path)?
            .set_len(action["length"].as_u64().expect("a length")),
        "delete" => fs::remove_file(&path),
        "link" => {
            fs::remove_file(&path)?;
            fs::hard_link(at("to"), &path)
        }
        "create" => {
            make_directory_of(repository, &path)?;
            fs::write(&path, unhex(text("hex")))?;
            if let Some(seconds) = action["mtime"].as_u64() {
                let file = OpenOptions::new().write(true).open(&path)?;
                file.set_modified(UNIX_EPOCH + Duration::from_secs(seconds))?;
            }
            fs::set_permissions(&path, fs::Permissions::from_mode(0o2660))
        }
        "copy" => {
            make_directory_of(repository, &path)?;
            fs::copy(at("from"), &path)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o2660))
        }
        "move" => {
            make_directory_of(repository, &path)?;
            fs::rename(at("from"), &path)
        }
        "symlink" => {
            make_directory_of(repository, &path)?;
            symlink(text("to"), &path)
        }
        "chmod" => {
            let mode = u32::from_str_radix(text("mode"), 8).expect("an octal mode");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode))
        }
        other => panic!("no action is called {other}"),
    }
}

/// Makes the directories above a file, with FOSSology's mode.
fn make_directory_of(repository: &Path, path: &Path) -> std::io::Result<()> {
    let directory = path.parent().expect("a directory");
    if directory == repository || directory.is_dir() {
        return Ok(());
    }
    make_directory_of(repository, directory)?;
    fs::create_dir(directory)?;
    fs::set_permissions(directory, fs::Permissions::from_mode(0o2770))
}

fn unhex(text: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("hex");
    (0..text.len()).step_by(2).map(digit).collect()
}
