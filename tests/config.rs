//! The configuration file, the environment and the command line together.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use super::support::{Fogold, MadeUp};

/// A configuration file.
struct Configured {
    directory: TempDir,
}

impl Configured {
    fn new(text: &str) -> Configured {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let configured = Configured { directory };
        fs::write(configured.path(), text).expect("written");
        configured
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("fogold.toml")
    }

    fn fogold(&self, line: &str) -> Fogold {
        Fogold::new(line.split(' ')).env("FOGOLD_CONFIG", self.path())
    }
}

/// The line of a setting.
fn setting<'a>(list: &'a Value, section: &str, key: &str) -> &'a Value {
    let lines = list["settings"].as_array().expect("settings");
    let found = lines
        .iter()
        .find(|line| line["section"] == section && line["key"] == key);
    found.unwrap_or_else(|| panic!("no {section}.{key} in {list}"))
}

#[test]
fn config_says_what_is_in_force_and_where_it_came_from() {
    let text = "store = '/backup'\ncatalog = 'postgresql://fossy:hush@h/fossology'\n[check]\nverify = true\n\
                [retention]\nkeep-daily = 7\n[hooks]\nwebhook = 'https://h/hush'\n[mail]\nto = ['a', 'b']\n";
    let configured = Configured::new(text);
    fs::set_permissions(configured.path(), fs::Permissions::from_mode(0o644)).expect("a mode");
    let config = configured
        .fogold("-j 3 config --format json")
        .env("FOGOLD_CHECK_SLICE", "1/9");
    let outcome = config.run();
    outcome.assert_code(0);
    let list: Value = serde_json::from_slice(&outcome.stdout).expect("JSON");
    let place = |line: usize| format!("{}:{line}", configured.path().display());
    for (section, key, value, from, wanted) in [
        ("", "jobs", Value::from("3"), "flag", None),
        (
            "check",
            "slice",
            "1/9".into(),
            "environment",
            Some("FOGOLD_CHECK_SLICE".to_owned()),
        ),
        ("check", "verify", true.into(), "file", Some(place(4))),
        ("sets", "store", "/backup".into(), "file", Some(place(1))),
        ("prune", "keep-daily", "7".into(), "file", Some(place(6))),
        ("check", "fail-on", "recoverable".into(), "default", None),
        ("hooks", "webhook", "***".into(), "file", Some(place(8))),
        ("mail", "to", vec!["a", "b"].into(), "file", Some(place(10))),
        ("repair", "from", "/backup".into(), "file", Some(place(1))),
        ("nightly.verify", "slice", "auto/28".into(), "default", None),
        ("nightly.prune", "apply", true.into(), "default", None),
        (
            "nightly.backup",
            "state",
            "/var/lib/fogold".into(),
            "default",
            None,
        ),
    ] {
        let line = setting(&list, section, key);
        assert_eq!(line["value"], value, "{line}");
        assert_eq!(line["from"], from, "{line}");
        assert_eq!(line["place"].as_str(), wanted.as_deref(), "{line}");
    }
    // The slice that the environment sets is that of the night as well.
    let lines = list["settings"].as_array().expect("settings");
    assert!(
        !lines
            .iter()
            .any(|line| line["section"] == "nightly.check" && line["key"] != "state")
    );
    let catalog = setting(&list, "", "catalog")["value"]
        .as_str()
        .expect("text");
    assert!(catalog.contains("database fossology on h"), "{catalog}");
    assert!(!outcome.text().contains("hush") && !outcome.complaint().contains("hush"));
    assert!(
        outcome
            .complaint()
            .contains("line 2: catalog holds a secret"),
        "{}",
        outcome.complaint()
    );

    let text = configured
        .fogold("config --all")
        .env("FOGOLD_CHEK_SLICE", "1/2")
        .run();
    text.assert_code(0);
    let strange = "warning: FOGOLD_CHEK_SLICE sets nothing: there is no such option\n";
    assert!(text.complaint().contains(strange), "{}", text.complaint());
    let said = text.text();
    for wanted in [
        "[check]\n",
        "verify = true",
        "# not set; FOGOLD_BACKUP_DUMP",
        "catalog = \"***",
    ] {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
    assert!(!said.contains("hush"), "{said}");
}

#[test]
fn a_wrong_file_stops_every_command_before_it_begins() {
    let configured = Configured::new("[check]\nverify = true\nslize = 'auto/28'\n");
    for line in ["check", "sets /nowhere", "config"] {
        let outcome = configured.fogold(line).run();
        outcome.assert_code(2);
        let wanted = format!(
            "fogold: {}, line 3: there is no setting check.slize; did you mean slice?\n",
            configured.path().display()
        );
        assert_eq!(outcome.complaint(), wanted);
    }
    let outcome = Fogold::new(["config", "--config", "/nowhere/fogold.toml"]).run();
    outcome.assert_code(2);
    assert_eq!(
        outcome.complaint(),
        "fogold: --config /nowhere/fogold.toml: no such file\n"
    );
}

#[test]
fn a_check_takes_all_it_needs_from_the_file() {
    let made_up = MadeUp::small();
    let (directory, toml) = (made_up.directory(), made_up.directory().join("fogold.toml"));
    let quoted = |path: &Path| format!("{:?}", path.display().to_string());
    let text = format!(
        "sysconfdir = {}\ncatalog = {}\n[check]\nverify = true\nformat = 'ndjson'\nreport = [{}, {}]\n",
        quoted(&made_up.sysconfdir()),
        quoted(&made_up.dump()),
        quoted(&directory.join("a.txt")),
        quoted(&directory.join("b.json")),
    );
    fs::write(&toml, text).expect("written");
    let outcome = Fogold::new(["check", "--config"]).arg(&toml).run();
    outcome.assert_code(0);
    let report = outcome.report();
    assert_eq!(report["coverage"]["verify"], true);
    assert!(directory.join("a.txt").exists() && directory.join("b.json").exists());
    let outcome = Fogold::new(["check", "--format", "text", "--config"])
        .arg(&toml)
        .env("FOGOLD_CHECK_VERIFY", "false")
        .run();
    assert!(outcome.assert_code(0).text().contains("contents not read"));
}
