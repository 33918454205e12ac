//! What a configuration file may say, and what is told of one that says something else.

use super::*;

fn parse(text: &str) -> Result<Settings, SettingsError> {
    Settings::parse(Path::new("/f.toml"), text)
}

fn known() -> Vec<Section> {
    let section = |name: &str, keys: &[&str]| Section {
        name: name.to_owned(),
        keys: keys.iter().map(|key| (*key).to_owned()).collect(),
    };
    let mut known = vec![
        section("", &["store", "jobs", "catalog"]),
        section("check", &["verify", "slice"]),
        section("nightly.check", &["verify", "slice"]),
    ];
    known.extend(OWN_SECTIONS.iter().map(|(name, keys)| section(name, keys)));
    known
}

fn complaint(text: &str) -> String {
    let outcome = parse(text).and_then(|settings| settings.check(&known()));
    outcome.expect_err("a complaint").to_string()
}

#[test]
fn entries_have_their_line_and_their_section() {
    let text = "store = \"/s\"\njobs = 0x10\ncatalog = { credential = \"db\" }\n\n[check]\nverify = true\n\
                [nightly]\ncheck.slice = 'auto/7'\n[mail]\nto = [\"a\", 'b@c']\n";
    let settings = parse(text).expect("settings");
    settings
        .check(
            &[
                known(),
                vec![Section {
                    name: "nightly".into(),
                    keys: vec![],
                }],
            ]
            .concat(),
        )
        .expect("known keys");
    let entries = settings.entries();
    let seen: Vec<_> = entries
        .iter()
        .map(|e| (e.name(), e.value.clone(), e.line))
        .collect();
    let text = |text: &str| Value::Text(text.to_owned());
    let db = Place::Credential("db".to_owned());
    let wanted = vec![
        ("store".to_owned(), text("/s"), 1),
        ("jobs".to_owned(), text("16"), 2),
        ("catalog".to_owned(), Value::Elsewhere(db), 3),
        ("check.verify".to_owned(), Value::Switch(true), 6),
        ("nightly.check.slice".to_owned(), text("auto/7"), 8),
        (
            "mail.to".to_owned(),
            Value::List(vec!["a".into(), "b@c".into()]),
            10,
        ),
    ];
    assert_eq!(seen, wanted);
}

#[test]
fn what_is_not_known_is_refused_with_the_nearest_name() {
    for (text, wanted) in [
        (
            "\nstroe = 1",
            "/f.toml, line 2: there is no setting stroe; did you mean store?",
        ),
        (
            "verify = true",
            "there is no setting verify; it belongs to [check] or [nightly.check]",
        ),
        (
            "[chek]\nverify = true",
            "line 1: there is no section [chek]; did you mean [check]?",
        ),
        (
            "[check]\njobs = 1",
            "line 2: there is no setting check.jobs; it belongs to the top of the file",
        ),
        (
            "[check]\nfrobnicate = 1",
            "check.frobnicate; 'fogold config --all' lists",
        ),
        (
            "[mail]\nform = 'x'",
            "there is no setting mail.form; did you mean from?",
        ),
        ("[check]\n[check]", "line 2: duplicate key"),
        (
            "store = 1.5",
            "line 1: no setting is a number with a fraction",
        ),
        ("store = 2020-01-01", "line 1: no setting is a date"),
        (
            "store = [[1]]",
            "line 1: no setting is a list of anything but",
        ),
        (
            "jobs = 99999999999999999999",
            "line 1: no setting is so large a number",
        ),
        ("a\n\nb = ", "line 1: "),
    ] {
        let said = complaint(text);
        assert!(said.contains(wanted), "{text:?}: {said}");
    }
}

#[test]
fn sections_of_the_night() {
    let settings = parse(
        "[mail]\nto = 'root'\n[hooks]\nwebhook = 'https://h/secret'\nlimit = '5m'\n\
         [reports]\ndirectory = '/r'\nformats = ['txt', 'html']",
    );
    let settings = settings.expect("settings");
    let mail = Mail::of(&settings).expect("mail").expect("a section");
    assert_eq!((mail.to, mail.from), (vec!["root".to_owned()], None));
    assert_eq!(mail.sendmail, Path::new("/usr/sbin/sendmail"));
    let hooks = Hooks::of(&settings).expect("hooks");
    assert_eq!(hooks.limit.as_secs(), 300);
    assert!(!format!("{hooks:?}").contains("secret"));
    let reports = Reports::of(&settings).expect("reports").expect("a section");
    assert_eq!(reports.formats, ["txt", "html"]);
    let none = parse("").expect("settings");
    assert_eq!(Mail::of(&none).expect("none"), None);
    assert_eq!(Reports::of(&none).expect("none"), None);
}

#[test]
fn sections_of_the_night_that_cannot_be_meant() {
    for (text, wanted) in [
        ("[mail]\nto = 'a\\nBcc: b'", "is no address"),
        (
            "[mail]\nto = \"a\\nBcc: b\"",
            "/f.toml, line 2: mail.to: \"a\\nBcc: b\" is no address",
        ),
        ("[mail]\nto = ['a', 'b, c']", "\"b, c\" is no address"),
        ("[mail]\nto = '-oQ/tmp'", "is no address"),
        ("[mail]\nto = 'x <>'", "is no address"),
        ("[mail]\nto = true", "mail.to: a text is wanted"),
        ("[mail]\nto = 'x'\nfrom = 'ü@x'", "mail.from: "),
        (
            "[hooks]\nwebhook = 'ftp://h/secret'",
            "hooks.webhook: a URL is wanted",
        ),
        (
            "[hooks]\nlimit = 'soon'",
            "hooks.limit: \"soon\" is no time",
        ),
        (
            "[reports]\nformats = 'a/b'",
            "reports.formats: \"a/b\" is no ending",
        ),
    ] {
        let settings = parse(text).expect("settings");
        let said = Mail::of(&settings)
            .map(|_| ())
            .and_then(|()| Hooks::of(&settings).map(|_| ()))
            .and_then(|()| Reports::of(&settings).map(|_| ()));
        let said = said.expect_err(text).to_string();
        assert!(
            said.contains(wanted) && !said.contains("secret"),
            "{text:?}: {said}"
        );
    }
    for good in ["root", "a@b.example", "FOSSology Admin <a+b@c.example>"] {
        let text = format!("[mail]\nto = '{good}'");
        assert!(Mail::of(&parse(&text).expect("settings")).is_ok(), "{good}");
    }
}

#[test]
fn a_secret_that_everybody_may_read_is_warned_of() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let warned = |text: &str, mode: u32| {
        std::fs::write(file.path(), text).expect("written");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(file.path(), mode).expect("a mode");
        let settings = Settings::read(file.path()).expect("read").expect("there");
        settings.warnings().concat()
    };
    let secret = "catalog = 'postgresql://u:hush@h/d'";
    let said = warned(secret, 0o644);
    assert!(
        said.contains("line 1: catalog holds a secret") && !said.contains("hush"),
        "{said}"
    );
    assert_eq!(warned(secret, 0o640), "");
    assert!(warned("jobs = 1", 0o646).starts_with("everybody may write /"));
    assert_eq!(warned("", 0o666), "");
    assert_eq!(warned("catalog = 'host=h dbname=d'", 0o644), "");
    assert_ne!(warned("[hooks]\nwebhook = 'https://h/hush'", 0o644), "");
    assert_eq!(
        warned("[hooks]\nwebhook = { file = '/etc/hush' }", 0o644),
        ""
    );
}
