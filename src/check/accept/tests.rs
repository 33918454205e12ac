use super::*;
use crate::check::Batch;
use crate::repository::{RepositoryName, TreePath};

fn name(digit: &str) -> RepositoryName {
    let text = format!("{}.{}.5", digit.repeat(40), digit.repeat(32));
    text.parse().expect("a name")
}

fn orphan(path: &[u8]) -> Finding {
    let mut finding = Finding::new(Kind::Orphan, Severity::Waste)
        .named(&name("a"))
        .at(&TreePath(path.to_owned()));
    finding.ty = Some(RepositoryType::Files);
    finding.host = Some("localhost".to_owned());
    finding
}

/// A finding of each sort of identity.
fn of_each_sort() -> Vec<Finding> {
    let mut missing = orphan(b"localhost/files/aa/aa/aa");
    missing.kind = Kind::MissingDerived;
    missing.severity = Severity::Recoverable;
    let mut sha256 = orphan(b"localhost/files/aa/aa/bb");
    (sha256.kind, sha256.pfile) = (Kind::WrongSha256, Some(7));
    let mut row = Finding::new(Kind::UnusablePfile, Severity::Waste);
    (row.pfile, row.uploads) = (Some(8), Some(vec![]));
    let mut upload = Finding::new(Kind::PartialTree, Severity::Notice);
    upload.uploads = Some(vec![9]);
    vec![
        orphan(b"localhost/files/aa/\"it's #1\"\n\t\xff\x1b[0m"),
        missing,
        sha256,
        Finding::new(Kind::DuplicatePfile, Severity::Notice).named(&name("b")),
        row,
        upload,
    ]
}

fn spool(findings: impl IntoIterator<Item = Finding>) -> Spool {
    let directory = tempfile::tempdir().expect("a directory");
    let spool = Spool::new(directory.path()).expect("a spool");
    let mut batch = Batch::default();
    findings.into_iter().for_each(|finding| batch.push(finding));
    spool.deliver(0, batch).expect("delivered");
    spool
}

fn today() -> Date {
    jiff::civil::date(2026, 11, 21)
}

fn read(text: &str) -> Result<Accepted, AcceptError> {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("fogold.accept");
    std::fs::write(&path, text).expect("written");
    Accepted::read(&[path], today())
}

fn matches(text: &str, findings: &Spool) -> Matches {
    let accepted = read(text).expect("a file of accepted findings");
    accepted.set_apart(findings, |_, _| true).expect("held")
}

fn number(tallies: Vec<(Severity, Kind, super::super::Tally)>) -> u64 {
    tallies.iter().map(|(.., tally)| tally.findings).sum()
}

/// What [`write`] makes of findings.
fn written(findings: &Spool) -> String {
    let mut text = Vec::new();
    write(findings, "as found", &mut text).expect("written");
    String::from_utf8(text).expect("text")
}

#[test]
fn what_was_written_accepts_what_was_found() {
    let findings = spool(of_each_sort());
    let text = written(&findings);
    // One line a finding, whatever its name, and three for each of the six groups.
    let lines = text.lines().filter(|line| line.starts_with("  {")).count();
    assert_eq!(lines, 6, "{text}");
    assert!(!text.contains('\x1b'), "{text}");
    let found = matches(&text, &findings);
    assert_eq!((found.unmatched, found.expired, found.worse), (0, 0, 0));
    assert_eq!(number(findings.accepted()), 6);
    assert_eq!(number(findings.tallies()), 0);
    let first = &findings.first_accepted(Severity::Waste, Kind::Orphan, 9);
    let first = &first.as_ref().expect("read")[0];
    assert_eq!(first.accepted, Some(true));
    assert_eq!(first.reason.as_deref(), Some("as found"));
    // What is accepted is not written again.
    assert!(!written(&findings).contains("[[accept]]"));
}

#[test]
fn all_else_is_told_by_the_identity_alone() {
    let mut later = of_each_sort();
    for finding in &mut later {
        finding.detail = Some("other words".to_owned());
        finding.bytes = Some(77);
        finding.severity = Severity::Notice;
        if finding.kind != Kind::PartialTree {
            finding.uploads = Some(vec![1, 2, 3]);
        }
    }
    // A missing file is the same when the layout was changed.
    later[1].path = Some("localhost/files/aa/aa".to_owned());
    let text = written(&spool(of_each_sort()));
    let findings = spool(later);
    assert_eq!(matches(&text, &findings).unmatched, 0);
    assert_eq!(number(findings.accepted()), 6);

    let mut others = of_each_sort();
    others[0].path_bytes = None;
    others[1].ty = Some(RepositoryType::Gold);
    others[2].pfile = Some(70);
    others[3].name = Some(name("c").to_string());
    others[4].pfile = Some(80);
    others[5].uploads = Some(vec![90]);
    let findings = spool(others);
    assert_eq!(matches(&text, &findings).unmatched, 6);
    assert_eq!(number(findings.accepted()), 0);
}

#[test]
fn it_counts_again_when_it_is_worse_or_the_day_is_over() {
    let entry = |more: &str| {
        format!(
            "[[accept]]\nkind = 'missing-derived'\nreason = 'r'\n{more}\nfindings = [\n \
             {{ type = 'files', host = 'localhost', name = '{}' }},\n]\n",
            name("a")
        )
    };
    let missing = |severity| {
        let mut missing = of_each_sort().swap_remove(1);
        missing.severity = severity;
        spool([missing])
    };
    let outcome = |text: &str, severity| {
        let findings = missing(severity);
        let found = matches(text, &findings);
        assert_eq!(found.unmatched, 0);
        (number(findings.accepted()), found.expired, found.worse)
    };
    let recoverable = Severity::Recoverable;
    assert_eq!(outcome(&entry(""), recoverable), (1, 0, 0));
    assert_eq!(outcome(&entry(""), Severity::Loss), (1, 0, 0));
    let no_worse = entry("severity = 'recoverable'");
    assert_eq!(outcome(&no_worse, Severity::Notice), (1, 0, 0));
    assert_eq!(outcome(&no_worse, recoverable), (1, 0, 0));
    assert_eq!(outcome(&no_worse, Severity::Loss), (0, 0, 1));
    assert_eq!(
        outcome(&entry("until = 2026-11-21"), recoverable),
        (1, 0, 0)
    );
    let over = entry("until = 2026-11-20");
    assert_eq!(outcome(&over, recoverable), (0, 1, 0));
    // Of several entries, one that holds is enough.
    assert_eq!(outcome(&(over + &entry("")), recoverable), (1, 0, 0));
}

#[test]
fn entries_without_a_finding_are_named_when_it_was_looked_for() {
    let text = written(&spool(of_each_sort()));
    let accepted = read(&text).expect("a file");
    let none = spool([]);
    let only_gold = |_, ty: Option<RepositoryType>| ty == Some(RepositoryType::Gold);
    let found = accepted.set_apart(&none, only_gold).expect("held");
    assert_eq!(found.unmatched, 0);
    let found = accepted.set_apart(&none, |_, _| true).expect("held");
    assert_eq!(found.unmatched, 6);
    let lines: Vec<&str> = text.lines().collect();
    for (_, line) in found.unmatched_at {
        assert!(lines[line - 1].starts_with("  {"), "{line}: {text}");
    }
}

#[test]
fn a_file_that_cannot_be_meant_is_refused_with_its_line() {
    let bad = [
        ("x", "line 1: "),
        ("[[accept]]\nkind = 'orphans'\n", "line 2: unknown variant"),
        (
            "[[accept]]\nkind = 'orphan'\nreasn = ''\n",
            "line 3: unknown field",
        ),
        (
            "[[accept]]\nkind = 'orphan'\nreason = ' '\nfindings = []\n",
            "line 3: say in 'reason'",
        ),
        (
            "[[accept]]\nkind = 'orphan'\nreason = 'r'\nuntil = 10:00:00\nfindings = []\n",
            "line 4: 'until' is a day",
        ),
        (
            "[[accept]]\nkind = 'orphan'\nreason = 'r'\nfindings = [\n  { host = 'h' },\n]\n",
            "line 5: an entry needs",
        ),
        (
            "[[accept]]\nkind = 'orphan'\nreason = 'r'\nfindings = [\n  { bytes = 1 },\n]\n",
            "line 5: unknown field",
        ),
    ];
    for (text, message) in bad {
        let error = read(text).expect_err(text);
        assert!(error.is_misuse(), "{error}");
        assert!(error.to_string().contains(message), "{error}");
    }
    assert!(read("# nothing yet\n").is_ok());
    let nowhere = Accepted::read(&[PathBuf::from("/nonexistent/a")], today());
    assert!(nowhere.expect_err("no file").is_misuse());
}

#[test]
fn more_than_anybody_looks_through_is_refused() {
    let path = "x".repeat(1 << 20);
    let many = (0..9).map(|number| orphan(format!("{number}{path}").as_bytes()));
    let error = write(&spool(many), "r", &mut Vec::new()).expect_err("too many");
    assert!(matches!(error, AcceptError::TooMany), "{error}");
    let error = read(&"#".repeat(LONGEST as usize + 1)).expect_err("too long");
    assert!(matches!(error, AcceptError::TooLong { .. }), "{error}");
}
