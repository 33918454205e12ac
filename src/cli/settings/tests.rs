//! What counts before what, and what is told of settings that cannot be meant.

use std::collections::BTreeSet;

use super::in_force::VARIABLE;
use super::*;
use crate::cli;

/// A file of this text, and the words of a command line that names it.
struct Case {
    file: tempfile::NamedTempFile,
    variables: Vec<(&'static str, &'static str)>,
}

impl Case {
    fn new(text: &str) -> Case {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), text).expect("written");
        Case {
            file,
            variables: Vec::new(),
        }
    }

    fn with(mut self, name: &'static str, value: &'static str) -> Case {
        self.variables.push((name, value));
        self
    }

    fn parse(&self, line: &str) -> Result<Parsed, Refused> {
        let words = line.split(' ').map(OsString::from);
        let words = ["fogold".into()].into_iter().chain(words).collect();
        parse_with(words, &|name| {
            if name == VARIABLE {
                return Some(self.file.path().into());
            }
            let found = self.variables.iter().find(|(it, _)| *it == name);
            found.map(|(_, value)| value.into())
        })
    }

    /// The command that comes of a line, as the parser shows it.
    fn shown(&self, line: &str) -> String {
        match self.parse(line) {
            Ok(parsed) => format!("{:?} {:?}", parsed.cli.global, parsed.cli.command),
            Err(refused) => panic!("{line}: {refused:?}"),
        }
    }

    fn refused(&self, line: &str) -> (String, Vec<String>) {
        match self.parse(line).map(|_| ()) {
            Err(Refused::Settings(failure)) => {
                assert_eq!(failure.status, cli::exit::MISUSE);
                (failure.to_string(), Vec::new())
            }
            Err(Refused::Words(error, notes)) => (error.to_string(), notes),
            Ok(()) => panic!("{line} was taken"),
        }
    }
}

#[test]
fn a_flag_counts_before_a_variable_before_the_file() {
    let text = "jobs = 3\nstore = '/file'\n[check]\nslice = '1/9'\nverify = true\nreport = ['a.txt', 'b.json']\n";
    let case = Case::new(text);
    let check = case.shown("check");
    for wanted in [
        "jobs: Some(3)",
        "verify: true",
        "report: [\"a.txt\", \"b.json\"]",
        "store: []",
    ] {
        assert!(check.contains(wanted), "{wanted}: {check}");
    }
    assert!(case.shown("-j 4 check").contains("jobs: Some(4)"));
    assert!(case.shown("check --jobs=4").contains("jobs: Some(4)"));
    let slice = |case: &Case, line: &str| {
        let shown = case.shown(line);
        let at = shown.find("slice: ").expect("a slice");
        shown[at..].chars().take(40).collect::<String>()
    };
    let (nine, eight) = (slice(&case, "check"), slice(&case, "check --slice 1/8"));
    assert_ne!(nine, eight);
    let case = Case::new(text)
        .with("FOGOLD_CHECK_SLICE", "1/8")
        .with("FOGOLD_CHECK_VERIFY", "off");
    assert_eq!(slice(&case, "check"), eight);
    assert_eq!(slice(&case, "check --slice 1/9"), nine);
    assert!(case.shown("check").contains("verify: false"));
    assert!(case.shown("check --verify").contains("verify: true"));
    let case = Case::new("").with("FOGOLD_CHECK_REPORT", "a.txt:b.txt");
    assert!(
        case.shown("check")
            .contains("report: [\"a.txt\", \"b.txt\"]")
    );
}

#[test]
fn one_store_serves_every_command_that_takes_one() {
    let case = Case::new("store = '/file'\n[verify]\nstore = '/own'\n");
    assert!(case.shown("sets").contains("store: \"/file\""));
    assert!(case.shown("verify").contains("store: \"/own\""));
    assert!(case.shown("sets /word").contains("store: \"/word\""));
    let shown = case.shown("verify /word 2026 --slice 1/2");
    assert!(
        shown.contains("store: \"/word\", set: Some(\"2026\")"),
        "{shown}"
    );
    let case = Case::new("store = '/file'\n").with("FOGOLD_STORE", "/variable");
    assert!(case.shown("sets").contains("store: \"/variable\""));
    let case = case.with("FOGOLD_SETS_STORE", "/own");
    assert!(case.shown("sets").contains("store: \"/own\""));
    // Who has no store yet does without, and is told; who names one means it.
    let parsed = case.parse("check").expect("a check");
    assert!(format!("{:?}", parsed.cli.command).contains("store: []"));
    let warned = parsed.settings.warnings().concat();
    assert!(
        warned.starts_with("there is no store at /variable: is it mounted?")
            && warned.ends_with("; check goes on without the store, which FOGOLD_STORE names"),
        "{warned}"
    );
    assert!(
        case.shown("check --store /word")
            .contains("store: [\"/word\"]")
    );
    let case = Case::new("store = '/file'\n[plan]\nstore = '/own'\n");
    assert!(case.shown("plan").contains("store: Some(\"/own\")"));
    let case = Case::new("pg-bindir = '/pg'\n");
    assert!(case.shown("check").contains("pg_bindir: Some(\"/pg\")"));
}

#[test]
fn the_store_is_asked_by_who_can_ask_one() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let store = directory.path().join("store");
    crate::store::Store::create(&store).expect("a store");
    let case = Case::new(&format!("store = '{}'\n", store.display()));
    for (line, wanted) in [
        ("check", format!("store: [{store:?}]")),
        ("plan", format!("store: Some({store:?})")),
        ("repair", format!("from: [{store:?}]")),
        ("repair --undo x --apply", "from: []".to_owned()),
        ("repair --from /word", "from: [\"/word\"]".to_owned()),
    ] {
        let parsed = case.parse(line).expect(line);
        let shown = format!("{:?}", parsed.cli.command);
        assert!(shown.contains(&wanted), "{line}: {shown}");
        assert_eq!(parsed.settings.warnings(), Vec::<String>::new(), "{line}");
    }
}

#[test]
fn what_counts_more_puts_out_what_it_excludes() {
    let case = Case::new(
        "store = '/s'\nquiet = true\n[backup]\ngold-only = true\npg-dump-command = 'x'\n",
    );
    let shown = case.shown("backup");
    assert!(shown.contains("gold_only: true, full: false"), "{shown}");
    let shown = case.shown("backup --full --dump d -v");
    for wanted in [
        "gold_only: false, full: true",
        "dump: Some(\"d\"), pg_dump_command: None",
        "quiet: false, verbose: true",
    ] {
        assert!(shown.contains(wanted), "{wanted}: {shown}");
    }
    // Two that count the same are for the parser to refuse, and it is said where they came from.
    let case = Case::new("store = '/s'\n[backup]\ngold-only = true\nfull = true\n");
    let (said, notes) = case.refused("backup");
    assert!(said.contains("cannot be used with"), "{said}");
    assert!(
        notes
            .iter()
            .any(|note| note.starts_with("--full comes from ") && note.ends_with(":4")),
        "{notes:?}"
    );
}

#[test]
fn retention_is_for_prune() {
    let case = Case::new(
        "store = '/s'\n[retention]\nkeep-daily = 7\nkeep-last = 2\n[prune]\nkeep-last = 3\n",
    );
    let shown = case.shown("prune");
    assert!(
        shown.contains("keep_last: Some(3)") && shown.contains("keep_daily: Some(7)"),
        "{shown}"
    );
    let (said, _) = Case::new("store = '/s'").refused("prune");
    assert!(said.contains("--keep-daily"), "{said}");
}

#[test]
fn wrong_values_are_told_with_their_line() {
    for (text, line, wanted) in [
        (
            "jobs = 'many'",
            "sets /s",
            ":1: jobs: invalid value 'many' for '--jobs <N>'",
        ),
        ("jobs = 0", "sets /s", "0 is not in 1..=256"),
        (
            "jobs = true",
            "sets /s",
            ", line 1: jobs: a value is wanted",
        ),
        (
            "\n[check]\nverify = 'yes'",
            "sets /s",
            ", line 3: check.verify: true or false is wanted",
        ),
        (
            "[check]\nslice = '9/8'",
            "sets /s",
            ", line 2: check.slice: invalid value '9/8'",
        ),
        (
            "[check]\nslice = ['1/2']",
            "sets /s",
            "check.slice: one value is wanted",
        ),
        (
            "[nightly.check]\nslice = 'x'",
            "sets /s",
            "nightly.check.slice: invalid value",
        ),
        (
            "[retention]\nkeep-daily = 0",
            "sets /s",
            "retention.keep-daily: invalid value",
        ),
        ("config = '/x'", "sets /s", "there is no setting config"),
        (
            "[sets]\nset = 'x'",
            "sets /s",
            "there is no setting sets.set",
        ),
        (
            "catalog = { file = '/nowhere/at/all' }",
            "check",
            "catalog: cannot read the file /nowhere",
        ),
    ] {
        let (said, _) = Case::new(text).refused(line);
        let wanted = wanted.replace(":1: ", ", line 1: ");
        assert!(said.contains(&wanted), "{text:?}: {said}");
    }
    let case = Case::new("").with("FOGOLD_CHECK_VERIFY", "perhaps");
    assert_eq!(
        case.refused("check").0,
        "FOGOLD_CHECK_VERIFY: true or false is wanted"
    );
    let case = Case::new("").with("FOGOLD_CHECK_SLICE", "x");
    let (said, notes) = case.refused("check");
    assert!(said.contains("--slice"), "{said}");
    assert_eq!(notes, ["--slice comes from FOGOLD_CHECK_SLICE"]);
}

#[test]
fn secrets_are_fetched_from_their_place() {
    let secret = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(secret.path(), "host=h password=hush\n").expect("written");
    let text = format!("catalog = {{ file = '{}' }}", secret.path().display());
    let shown = Case::new(&text).shown("check");
    assert!(
        shown.contains("catalog: Some(\"host=h password=hush\")"),
        "{shown}"
    );
}

#[test]
fn a_named_file_must_be_there_and_help_needs_none() {
    let case = Case::new("nonsense");
    assert!(matches!(
        case.parse("check --help"),
        Err(Refused::Words(_, _))
    ));
    assert!(case.parse("completions bash").is_ok());
    let (said, _) = case.refused("--config /nowhere/at/all sets /s");
    assert_eq!(said, "--config /nowhere/at/all: no such file");
    assert!(case.parse("--config /dev/null sets /s").is_ok());
    let (said, _) = case.refused("sets /s");
    assert!(said.contains(", line 1: "), "{said}");
}

#[test]
fn words_after_a_double_dash_stay_words() {
    let case = Case::new("jobs = 3");
    let shown = case.shown("sets -- -s");
    assert!(
        shown.contains("jobs: Some(3)") && shown.contains("store: \"-s\""),
        "{shown}"
    );
}

#[test]
fn every_option_has_a_key_and_a_variable_of_its_own() {
    let settings = InForce::nothing({
        let mut definition = Cli::command();
        definition.build();
        definition
    });
    let all = settings.all();
    assert!(all.len() > 80, "{}", all.len());
    let variables: BTreeSet<String> = all.iter().map(|it| it.variables()[0].clone()).collect();
    assert_eq!(variables.len(), all.len());
    for of_tests in ["FOGOLD_BLESS", "FOGOLD_STORY", "FOGOLD_CAPTURES", VARIABLE] {
        let used = all.iter().flat_map(Setting::variables);
        assert!(!used.into_iter().any(|name| name == of_tests), "{of_tests}");
    }
}
