//! Findings that somebody has seen and accepted: counted apart, and no reason to fail.

use std::fs;
use std::path::{Path, PathBuf};

use fogold::fixtures::ServerSpec;
use serde_json::Value;

use crate::support::{Fogold, MadeUp, Outcome};

/// A damaged server, and a check of it that reads everything.
struct Server {
    made_up: MadeUp,
    dump: PathBuf,
}

impl Server {
    fn damaged(count: usize) -> Server {
        let spec = ServerSpec {
            files: 300,
            bytes: 300_000,
            per_upload: 10,
            ..ServerSpec::default()
        };
        let made_up = MadeUp::damaged(spec, count);
        let dump = made_up.dump();
        Server { made_up, dump }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.made_up.directory().join(name)
    }

    fn check(&self) -> Fogold {
        self.check_as("ndjson")
    }

    fn check_as(&self, format: &str) -> Fogold {
        Fogold::new([
            "check",
            "--verify",
            "--sha256",
            "--format",
            format,
            "--repository",
        ])
        .arg(self.made_up.repository())
        .arg("--catalog")
        .arg(&self.dump)
    }

    fn accepting(&self, file: &Path) -> Fogold {
        self.check().arg("--accept").arg(file)
    }
}

/// How many findings are accepted, by the report and by the findings themselves.
fn accepted(outcome: &Outcome) -> usize {
    let findings = outcome.findings();
    let accepted = findings.iter().filter(|each| each["accepted"] == true);
    let count = accepted
        .inspect(|each| assert!(each["reason"].is_string()))
        .count();
    assert_eq!(outcome.report()["accepted"]["findings"], count);
    count
}

fn counted(report: &Value) -> u64 {
    let counts = report["counts"].as_object().expect("counts");
    counts.values().filter_map(Value::as_u64).sum()
}

#[test]
fn what_is_known_is_no_news_and_what_is_new_is() {
    let server = Server::damaged(60);
    let known = server.file("known.accept");
    let before = server.check().arg("--write-accept").arg(&known).run();
    before.assert_code(1);
    assert!(before.report().get("accepted").is_none());
    let all = before.findings().len();
    assert_eq!(all, 60);

    // All of it is accepted.
    let after = server
        .accepting(&known)
        .arg("--fail-on")
        .arg("notice")
        .run();
    after.assert_code(0);
    assert_eq!(accepted(&after), all);
    let report = after.report();
    assert_eq!(counted(&report), 0);
    assert_eq!(report["severities"]["loss"], 0);
    assert_eq!(
        report["accepted"]["severities"],
        before.report()["severities"],
        "{report}"
    );
    let verdict = report["verdict"].as_str().expect("a verdict");
    assert!(
        verdict.starts_with("OK: nothing else is missing or damaged; 60 accepted."),
        "{verdict}"
    );

    // A file that is gone since counts, and nothing else.
    let gone = server
        .made_up
        .files("files")
        .into_iter()
        .find(|path| !after.text().contains(path.as_str()))
        .expect("a file without a finding");
    fs::remove_file(server.made_up.repository().join(&gone)).expect("removed");
    let news = server.accepting(&known).run();
    news.assert_code(1);
    assert_eq!((accepted(&news), counted(&news.report())), (all, 1));
    let (first, rest) = {
        let mut findings = news.findings();
        findings.retain(|each| each.get("accepted").is_none());
        (findings.remove(0), findings)
    };
    assert_eq!(
        (first["path"].as_str(), rest.len()),
        (Some(gone.as_str()), 0)
    );

    // A second file for it; the first stays as it is.
    let text = fs::read(&known).expect("the file");
    let taken = server
        .accepting(&known)
        .arg("--write-accept")
        .arg(&known)
        .run();
    taken.assert_code(2);
    assert!(
        taken.complaint().contains("there already"),
        "{}",
        taken.complaint()
    );
    let more = server.file("more.accept");
    let news = server.accepting(&known).arg("--write-accept").arg(&more);
    news.run().assert_code(1);
    assert_eq!(fs::read(&known).expect("the file"), text);
    let entries = fs::read_to_string(&more).expect("the file");
    assert_eq!(entries.matches("name = ").count(), 1, "{entries}");
    let both = server.accepting(&known).arg("--accept").arg(&more).run();
    both.assert_code(0);
    assert_eq!(accepted(&both), all + 1);
    let inside = server.made_up.repository().join("known.accept");
    let inside = server.check().arg("--write-accept").arg(&inside).run();
    inside.assert_code(2);
}

#[test]
fn people_are_told_what_is_accepted_and_what_no_longer_is() {
    let server = Server::damaged(12);
    let known = server.file("known.accept");
    server.check().arg("--write-accept").arg(&known).run();
    let text = fs::read_to_string(&known).expect("the file");
    let kinds = text.matches("[[accept]]").count();
    assert!(kinds > 3, "{text}");
    let run = |text: &str, more: &[&str]| {
        let file = server.file("edited.accept");
        fs::write(&file, text).expect("written");
        let outcome = server
            .check_as("text")
            .arg("--accept")
            .arg(&file)
            .args(more)
            .run();
        (outcome.code, outcome.text() + &outcome.complaint())
    };

    // Without -v they are a number, with it they are listed, with the reason and escaped.
    let edited = text.replace("as found on", "seen\\u001b[1m by Anna on");
    let (code, quiet) = run(&edited, &["--quiet"]);
    assert_eq!((code, quiet.as_str()), (Some(0), ""));
    let (_, short) = run(&edited, &[]);
    assert!(short.contains("  accepted  12 findings ("), "{short}");
    assert!(!short.contains("by Anna"), "{short}");
    assert!(!short.contains("What to do"), "{short}");
    let (_, long) = run(&edited, &["-v"]);
    assert_eq!(
        long.matches("; accepted: seen\\u{1b}[1m by Anna on ")
            .count(),
        12,
        "{long}"
    );

    // A page lists them in a section of its own, and draws what is damaged as it is.
    let pages = ["plain.html", "accepted.html", "accepted.prom"].map(|name| server.file(name));
    server.check().arg("--report").arg(&pages[0]).run();
    let mut with_reports = server.accepting(&server.file("edited.accept"));
    for path in &pages[1..] {
        with_reports = with_reports.arg("--report").arg(path);
    }
    with_reports.run().assert_code(0);
    let [plain, page, metrics] = pages.map(|path| fs::read_to_string(path).expect("a report"));
    let bars = |page: &str| -> Vec<String> {
        let said = page.lines().filter(|line| line.contains("<svg viewBox"));
        said.map(str::to_owned).collect()
    };
    assert!(bars(&plain).iter().any(|bar| bar.contains("damaged")));
    assert_eq!(bars(&plain), bars(&page));
    assert!(page.contains("<h2>Accepted</h2>"), "{page}");
    let reasons = page.matches("<span>accepted: seen\\u{1b}[1m by Anna on ");
    assert_eq!(reasons.count(), 12, "{page}");
    for metric in ["expired_findings", "worse_findings", "unmatched_entries"] {
        let sample = format!("fogold_accepted_{metric}{{command=\"check\"}} 0\n");
        assert!(metrics.contains(&sample), "{metrics}");
    }

    // A group whose day is over counts again; an entry without a finding is named.
    let expired = text.replacen("findings =", "until = 2020-02-29\nfindings =", 1);
    let (code, told) = run(&expired, &[]);
    assert_eq!(code, Some(1));
    assert!(told.contains("accepted up to a day that is over"), "{told}");
    let stale = format!(
        "{text}\n[[accept]]\nkind = 'orphan'\nreason = 'x'\nfindings = [{{ path = 'a' }}]\n"
    );
    let (code, told) = run(&stale, &[]);
    assert_eq!(code, Some(0));
    let lines = stale.lines().count();
    let named = format!(
        "1 entry matches nothing any more: remove it ({}:{lines})",
        server.file("edited.accept").display()
    );
    assert!(told.contains(&named), "{told}");
    // A check that does not look there says nothing of it.
    let (_, told) = run(&stale, &["--types", "gold"]);
    assert!(!told.contains(&format!(":{lines})")), "{told}");

    // What is no such file is told before anything is done.
    let (code, told) = run(&text.replacen("\nseverity", "\nseverty", 1), &[]);
    assert_eq!(code, Some(2), "{told}");
    let line = 1 + text
        .lines()
        .take_while(|line| !line.starts_with("severity"))
        .count();
    assert!(
        told.contains(&format!("line {line}: unknown field `severty`")),
        "{told}"
    );
    let nowhere = server.accepting(&server.file("nowhere")).run();
    nowhere.assert_code(2);
}

#[test]
fn a_backup_does_not_fail_for_what_is_accepted_and_names_it_all_the_same() {
    let server = Server::damaged(60);
    let known = server.file("known.accept");
    server.check().arg("--write-accept").arg(&known).run();
    let store = server.file("store");
    let backup = || {
        Fogold::new(["backup", "--full", "--format", "ndjson", "--dump"])
            .arg(&server.dump)
            .arg("--sysconfdir")
            .arg(server.made_up.sysconfdir())
            .arg(&store)
    };
    let plain = backup().run();
    plain.assert_code(1);
    assert!(plain.report().get("accepted").is_none());
    // A set bears the second in which it was begun.
    std::thread::sleep(std::time::Duration::from_millis(1_050));
    let outcome = backup().arg("--accept").arg(&known).run();
    outcome.assert_code(0);
    let of_set = outcome.findings().len();
    assert_eq!(accepted(&outcome), of_set);
    let report = outcome.report();
    assert_eq!(
        (counted(&report), &report["accepted"]["unmatched"]),
        (0, &Value::from(0))
    );
    let sets = fs::read_dir(store.join("sets")).expect("sets");
    let newest = sets
        .map(|set| set.expect("a set").path())
        .max()
        .expect("a set");
    let record = fs::read_to_string(newest.join("set.json")).expect("a record");
    let record: Value = serde_json::from_str(&record).expect("JSON");
    let listed = record["findings"]["list"].as_array().expect("findings");
    assert_eq!(listed.len(), of_set);
    assert!(
        listed.iter().all(|each| each.get("accepted").is_none()),
        "{record}"
    );
}
