//! Reports as pages and as metrics, and the history that they tell.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fogold::fixtures::{RowsOnly, Server};
use fogold::manifest::SetKind;
use serde_json::{Value, json};

use crate::support::browser::opened;
use crate::support::made_up::write_dump;
use crate::support::{Fogold, MadeStore, MadeUp, Outcome, PROGRAM, skipped};

/// A check of a made-up server's dump.
fn check(made_up: &MadeUp) -> Fogold {
    Fogold::check_configured(&made_up.sysconfdir())
        .arg("--catalog")
        .arg(made_up.dump())
}

fn lose(made_up: &MadeUp, path: &str) {
    fs::remove_file(made_up.repository().join(path)).expect("a file to remove");
}

/// The lines of a history.
fn history(state: &Path) -> Vec<Value> {
    let text = fs::read_to_string(state.join("history.ndjson")).expect("a history");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("a line"))
        .collect()
}

/// A page without what is not to be read.
fn page(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("a page");
    text.split_once("</style>").expect("styles").1.to_owned()
}

#[test]
fn runs_leave_how_they_went_for_the_next_report() {
    let made_up = MadeUp::small();
    let at = |name: &str| made_up.directory().join(name);
    let state = at("state");
    let run = |fogold: Fogold| -> Outcome { fogold.arg("--state").arg(&state).run() };

    run(check(&made_up)).assert_code(0);
    let golds = made_up.files("gold");
    for gold in &golds[..3] {
        lose(&made_up, gold);
    }
    // One that comes to nothing in between is told, and nothing is held against it.
    let nowhere = Fogold::new(["check", "--sysconfdir", "/nonexistent"]);
    run(nowhere).assert_code(2);
    let outcome = run(check(&made_up)
        .arg("--report")
        .arg(at("now.html"))
        .arg("--report")
        .arg(at("now.prom")));
    outcome.assert_code(1);
    let missing = outcome.report()["counts"]["missing-gold"].clone();
    let text = page(&at("now.html"));
    let change = format!(
        "<tr><td>missing-gold</td><td class=\"n\">0</td><td class=\"n\">{missing}</td>\
         <td class=\"n more\">+{missing}</td></tr>"
    );
    assert!(text.contains(&change), "{text}");
    assert!(text.contains("3 runs since"), "{text}");
    assert!(
        text.contains("<span class=\"tag broken\">FAILED</span>"),
        "{text}"
    );

    // A store has a line of runs of its own, and a prune is one of them.
    let store = MadeStore::new();
    store.back_up(&made_up, SetKind::GoldOnly);
    run(store
        .fogold("verify")
        .arg("-q")
        .arg("--report")
        .arg(at("verify.html")))
    .assert_code(0);
    let first = "No earlier report of the same kind is known: this is the first with this";
    assert!(page(&at("verify.html")).contains(first));
    run(store.fogold("prune").args(["-q", "--keep-last", "1"])).assert_code(0);
    run(store
        .fogold("prune")
        .args(["-q", "--keep-last", "1", "--apply"]))
    .assert_code(0);

    let lines = history(&state);
    let told: Vec<(&str, u64)> = lines
        .iter()
        .map(|line| {
            let status = line["exit_status"].as_u64().expect("a status");
            (line["command"].as_str().expect("a command"), status)
        })
        .collect();
    let wanted = [
        ("check", 0),
        ("check", 2),
        ("check", 1),
        ("verify", 0),
        ("prune", 0),
    ];
    assert_eq!(told, wanted);
    assert_eq!(lines[2]["counts"]["missing-gold"], missing);
    let mode = fs::metadata(state.join("history.ndjson")).expect("there");
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);

    // A damaged history is said, and costs no run.
    fs::write(state.join("history.ndjson"), "\u{0}nonsense\n").expect("written");
    let outcome = run(check(&made_up));
    outcome.assert_code(1);
    assert!(
        outcome.complaint().contains("history.ndjson"),
        "{}",
        outcome.complaint()
    );
    assert_eq!(history(&state).len(), 1);

    // Nothing is left in the repository.
    let inside = made_up.repository().join("state");
    let outcome = check(&made_up).arg("--state").arg(&inside).run();
    outcome.assert_code(2);
    assert!(!inside.exists());
}

/// Names as an uploader or a user of the machine may choose them.
const SCRIPT: &str =
    "<script>document.title=\"owned\"</script><img src=x onerror=\"document.title='owned'\">";

/// A server with hostile names: of all uploads, and of files that are none of FOSSology's. Its dump.
fn with_hostile_names(made_up: &MadeUp) -> PathBuf {
    let dump = fs::read(made_up.dump()).expect("a dump");
    let mut is_upload = false;
    let mut lines: Vec<Vec<u8>> = Vec::new();
    for line in dump.split(|byte| *byte == b'\n') {
        let mut fields: Vec<&[u8]> = line.split(|byte| *byte == b'\t').collect();
        let mut name = format!("{SCRIPT}\\n\\033[31m\\\\\"' {{{{ 7 * 7 }}}}").into_bytes();
        name.extend(b"\xe2\x80\xae");
        if is_upload && fields.len() > 5 {
            fields[2] = &name;
        }
        lines.push(fields.join(&b'\t'));
        is_upload = line.starts_with(b"COPY public.upload (") || (is_upload && line != b"\\.");
    }
    let path = made_up.directory().join("hostile.sql");
    fs::write(&path, lines.join(&b'\n')).expect("a dump");

    let leaf = made_up.repository().join(&made_up.files("files")[0]);
    let leaf = leaf.parent().expect("a directory");
    for name in [
        &b"<svg onload=document.title='owned'>\"'&amp;"[..],
        b"two\nlines\x1b[31m\r",
        b"no utf-8 \xff\xfe <b>",
        b"{{ 7 * 7 }}{% raw %}-->",
    ] {
        fs::write(leaf.join(std::ffi::OsStr::from_bytes(name)), "").expect("a file");
    }
    path
}

#[test]
fn hostile_names_do_no_harm_in_any_format() {
    let made_up = MadeUp::small();
    let dump = with_hostile_names(&made_up);
    let golds = made_up.files("gold");
    for gold in &golds[..2] {
        lose(&made_up, gold);
    }
    let at = |ending: &str| made_up.directory().join(format!("report.{ending}"));
    let mut check = Fogold::check_configured(&made_up.sysconfdir())
        .arg("--catalog")
        .arg(&dump);
    for ending in ["txt", "json", "ndjson", "html", "prom"] {
        check = check.arg("--report").arg(at(ending));
    }
    check.run().assert_code(1);
    let read = |ending: &str| {
        let text = fs::read(at(ending)).expect("a report");
        String::from_utf8(text).expect("UTF-8")
    };
    for ending in ["txt", "html", "prom"] {
        let text = read(ending);
        let harmful = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!text.contains(harmful), "{ending}: {text}");
    }
    assert!(
        read("txt").contains("no utf-8 \\xff\\xfe <b>"),
        "{}",
        read("txt")
    );
    let whole: Value = serde_json::from_str(&read("json")).expect("JSON");
    assert_eq!(whole["counts"]["foreign"], 4);
    assert_eq!(whole["counts"]["missing-gold"], 2);
    for line in read("ndjson").lines() {
        serde_json::from_str::<Value>(line).expect("JSON");
    }
    let source = read("html");
    for tag in [
        "<script",
        "<img",
        "<svg onload",
        "<b>\"",
        " onerror=\"",
        "url(",
    ] {
        assert!(!source.contains(tag), "{tag} in {source}");
    }
    assert!(source.contains("&lt;script&gt;document.title="), "{source}");
    assert!(
        source.contains("{{ 7 * 7 }}"),
        "a name is no template: {source}"
    );
    let Some(seen) = opened(&at("html")) else {
        return;
    };
    assert!(seen.contains("<title>fogold check: "), "{seen}");
    assert!(!seen.contains("<title>owned"), "a script ran");
    assert!(!seen.contains("<script"), "{seen}");
    let verdict = whole["verdict"].as_str().expect("a verdict");
    let (word, rest) = verdict.split_once(": ").expect("a word");
    assert!(
        seen.contains(&format!("<strong>{word}</strong> {rest}")),
        "{seen}"
    );
}

#[test]
fn a_page_of_a_hundred_thousand_findings_opens() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let at = |name: &str| directory.path().join(name);
    let rows = RowsOnly {
        pfiles: 100_000,
        tree_rows: 125_000,
        ..RowsOnly::default()
    };
    let server = Server::rows_only(&rows).expect("rows");
    write_dump(&server, &at("dump.sql"));
    fs::create_dir_all(at("repository/localhost/gold")).expect("a directory");
    fs::create_dir_all(at("repository/localhost/files")).expect("a directory");
    let outcome = Fogold::new([
        "check",
        "-q",
        "--allow-empty",
        "--depth",
        "2",
        "--repository",
    ])
    .arg(at("repository"))
    .arg("--catalog")
    .arg(at("dump.sql"))
    .arg("--report")
    .arg(at("page.html"))
    .run();
    outcome.assert_code(1);
    let page = fs::read_to_string(at("page.html")).expect("a page");
    assert!(page.len() < 5_000_000, "{}", page.len());
    assert!(page.contains(" more: a report in .ndjson has all of them"));
    if let Some(seen) = opened(&at("page.html")) {
        assert!(seen.trim_end().ends_with("</html>"));
        assert!(seen.matches("<li").count() > 500);
    }
}

/// A program of Prometheus' own judges the metrics; nothing, and it is said, where it is not there.
fn promtool(arguments: &[&str], input: Option<&Path>) -> bool {
    let mut promtool = Command::new("promtool");
    promtool.args(arguments).stdin(Stdio::piped());
    let Ok(mut child) = promtool
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
    else {
        skipped("promtool is not installed");
        return false;
    };
    let mut stdin = child.stdin.take().expect("a pipe");
    if let Some(input) = input {
        let text = fs::read(input).expect("a file");
        stdin.write_all(&text).expect("written");
    }
    drop(stdin);
    let output = child.wait_with_output().expect("an end");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
    true
}

/// Metric names in a text.
fn metrics_in(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| word.starts_with("fogold_"))
        .map(str::to_owned)
        .collect()
}

fn contrib(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("contrib")
        .join(path)
}

#[test]
fn metrics_are_those_that_dashboard_and_alerts_ask_for() {
    let made_up = MadeUp::on_two_hosts();
    lose(&made_up, &made_up.files("gold")[0]);
    let at = |name: &str| made_up.directory().join(name);
    let store = MadeStore::nowhere();
    let backup = store.backup_of(&made_up, "--gold-only");
    backup
        .arg("--report")
        .arg(at("backup.prom"))
        .run()
        .assert_code(1);
    let verify = store
        .fogold("verify")
        .arg("--report")
        .arg(at("verify.prom"));
    verify.run().assert_code(0);
    let manifest = Fogold::new(["manifest", "--gold-only", "--sysconfdir"])
        .arg(made_up.sysconfdir())
        .arg("--catalog")
        .arg(made_up.dump())
        .arg("-o")
        .arg(at("manifest.jsonl"));
    manifest
        .arg("--report")
        .arg(at("manifest.prom"))
        .arg("--report")
        .arg(at("manifest.html"))
        .arg("--report")
        .arg(at("manifest.ndjson"))
        .run()
        .assert_code(0);
    let text = page(&at("manifest.html"));
    assert!(
        text.contains("<strong>OK</strong> a gold-only set holds"),
        "{text}"
    );
    assert!(text.contains("<b>unpacking brings it back</b>"), "{text}");
    let text = fs::read_to_string(at("manifest.ndjson")).expect("a line");
    let line: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(line["command"], "manifest");
    let umask = Fogold::of(Command::new("sh")).args(["-c", "umask 077; exec \"$@\"", "sh"]);
    umask
        .arg(PROGRAM)
        .args(["check", "--sysconfdir"])
        .arg(made_up.sysconfdir())
        .arg("--catalog")
        .arg(made_up.dump())
        .arg("--report")
        .arg(at("check.prom"))
        .run()
        .assert_code(1);
    let mode = fs::metadata(at("check.prom")).expect("there").permissions();
    assert_eq!(mode.mode() & 0o777, 0o644, "the collector is another user");

    let mut written = String::new();
    for command in ["backup", "verify", "check", "manifest"] {
        let path = at(&format!("{command}.prom"));
        let text = fs::read_to_string(&path).expect("metrics");
        assert!(!text.contains("NaN"), "{text}");
        promtool(&["check", "metrics"], Some(&path));
        written.push_str(&text);
    }
    for sample in [
        "fogold_severity_findings{command=\"check\",severity=\"recoverable\"} 1\n",
        "fogold_severity_findings{command=\"check\",severity=\"notice\"} 0\n",
        "fogold_findings{command=\"check\",kind=\"missing-gold\",severity=\"recoverable\"} 1\n",
        "fogold_last_run_exit_status{command=\"verify\"} 0\n",
        "fogold_store_sets{command=\"backup\"} 1\n",
        "fogold_store_sets{command=\"verify\"} 1\n",
        "fogold_set_files{command=\"manifest\",kind=\"gold-only\"} ",
        "fogold_repository_files{command=\"check\",host=\"north\",type=\"gold\"} ",
        "fogold_last_good_backup_timestamp_seconds{command=\"verify\"} ",
        "fogold_last_good_backup_timestamp_seconds{command=\"backup\"} ",
    ] {
        assert!(written.contains(sample), "{sample} in {written}");
    }
    let written = metrics_in(&written);
    // These take a state directory with a ledger, or a drill.
    let other = [
        "fogold_oldest_verified_shard_timestamp_seconds",
        "fogold_never_verified_shards",
        "fogold_bad_shards",
        "fogold_drill_step_duration_seconds",
    ];
    for file in [
        "grafana/fogold.json",
        "prometheus/fogold.rules.yml",
        "prometheus/fogold.rules.test.yml",
    ] {
        let text = fs::read_to_string(contrib(file)).expect("a file");
        let asked = metrics_in(&text);
        assert!(asked.len() > 5, "{file}");
        for metric in asked {
            let known = written.contains(&metric) || other.contains(&&*metric);
            assert!(known, "{file}: {metric}");
        }
    }
}

#[test]
fn a_run_that_fails_tells_of_its_own_line_what_was_known() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = |name: &str| directory.path().join(name);
    let path = |name: &str| at(name).display().to_string();
    fs::create_dir_all(at("repository/localhost/gold")).expect("a repository");
    fs::create_dir(at("state")).expect("a directory");
    let lines = [
        json!({
            "command": "check", "subject": path("repository"), "complete": true, "judged": true,
            "types": ["gold", "files", "license"], "severities": { "loss": 2 },
            "started": "2026-11-01T00:00:00Z",
        }),
        json!({
            "command": "backup", "subject": path("a"), "complete": true, "judged": true,
            "types": ["full"], "started": "2026-11-01T00:00:00Z",
            "set": { "finished": "2026-11-01T00:00:00Z" },
        }),
    ];
    let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
    fs::write(at("state/history.ndjson"), lines).expect("a history");
    let metrics = |arguments: &[&str]| {
        Fogold::new(arguments)
            .args(["--depth", "3", "--repository"])
            .arg(at("repository"))
            .arg("--state")
            .arg(at("state"))
            .arg("--report")
            .arg(at("now.prom"))
            .run()
            .assert_code(3);
        fs::read_to_string(at("now.prom")).expect("metrics")
    };
    let text = metrics(&["check", "--catalog", &path("no-dump")]);
    let loss = "fogold_severity_findings{command=\"check\",severity=\"loss\"} 2\n";
    assert!(text.contains(loss), "{text}");
    let when = "fogold_last_complete_run_timestamp_seconds{command=\"check\"} 1793491200\n";
    assert!(text.contains(when), "{text}");
    let good = "fogold_last_good_backup_timestamp_seconds{";
    let text = metrics(&["backup", "--full", &path("a"), "--dump", &path("no-dump")]);
    assert!(text.contains(good), "{text}");
    let text = metrics(&["backup", "--full", &path("b"), "--dump", &path("no-dump")]);
    assert!(!text.contains(good), "{text}");
}

#[test]
fn alerts_fire_when_they_should() {
    let rules = contrib("prometheus/fogold.rules.yml");
    if promtool(&["check", "rules", &rules.display().to_string()], None) {
        let tests = contrib("prometheus/fogold.rules.test.yml");
        promtool(&["test", "rules", &tests.display().to_string()], None);
    }
}

#[test]
fn the_dashboard_is_whole() {
    let text = fs::read_to_string(contrib("grafana/fogold.json")).expect("a dashboard");
    let dashboard: Value = serde_json::from_str(&text).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let mut ids = BTreeSet::new();
    let mut queries = Vec::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64()), "{panel}");
        for target in panel["targets"].as_array().expect("queries") {
            assert!(target["expr"].is_string(), "{target}");
            queries.push(json!({"record": "asked", "expr": target["expr"]}));
        }
    }
    // A rule may ask whatever a panel may; what is JSON is YAML too.
    let rules = json!({"groups": [{"name": "panels", "rules": queries}]});
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("rules.yml");
    fs::write(&file, rules.to_string()).expect("rules");
    promtool(
        &["check", "rules", "--lint=none", &file.display().to_string()],
        None,
    );
}
