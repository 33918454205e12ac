//! What brings the program to a machine: the Debian package, and the container beside FOSSology's.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::{Fogold, MadeUp, PROGRAM, skipped};

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Whether what a story needs is there; what is missing is said.
fn has(programs: &[&str]) -> bool {
    let missing = programs.iter().find(|program| {
        let found = Command::new(program).arg("--version").output();
        !found.is_ok_and(|output| output.status.success())
    });
    if let Some(missing) = missing {
        skipped(format_args!("{missing} is not installed"));
    }
    missing.is_none()
}

fn succeeded(command: &mut Command) -> Output {
    let output = command.output().expect("a program that runs");
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// dpkg with a directory that stands for a machine.
fn dpkg(machine: &Path) -> Command {
    let mut dpkg = Command::new("dpkg");
    dpkg.arg(format!("--root={}", machine.display()))
        .args(["--log=/dev/null", "--force-depends"])
        // There is nothing in there that could run the scripts.
        .arg("--force-script-chrootless");
    dpkg
}

/// All files in a directory, relative to it.
fn files(root: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else {
                let below = path.strip_prefix(root).expect("below the root");
                found.insert(below.display().to_string());
            }
        }
    }
    found
}

#[test]
fn the_debian_package_is_installed_run_removed_and_purged() {
    if !has(&["dpkg-deb", "python3", "strip"]) {
        return;
    }
    if !rustix::process::geteuid().is_root() {
        skipped("only root can install a package");
        return;
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let built = succeeded(
        Command::new(project("contrib/debian/build"))
            .args(["--fast", "--program", PROGRAM, "--out"])
            .arg(directory.path()),
    );
    let package = text(&built.stdout).trim().to_owned();
    let machine = directory.path().join("machine");
    for made in [
        "var/lib/dpkg/info",
        "var/lib/dpkg/updates",
        "backup/fossology",
    ] {
        fs::create_dir_all(machine.join(made)).expect("a directory");
    }
    fs::write(machine.join("var/lib/dpkg/status"), "").expect("a file");
    fs::write(machine.join("backup/fossology/store.json"), "{}").expect("a file");

    succeeded(dpkg(&machine).args(["--install", &package]));
    let there = files(&machine);
    for file in [
        "usr/bin/fogold",
        "usr/share/man/man1/fogold.1.gz",
        "usr/share/man/man1/fogold-check.1.gz",
        "usr/share/bash-completion/completions/fogold",
        "usr/share/zsh/vendor-completions/_fogold",
        "usr/share/fish/vendor_completions.d/fogold.fish",
        "usr/share/doc/fogold/copyright",
        "usr/share/fogold/roles/fogold_reader.sql",
        "usr/share/doc/fogold/store-format.md",
        "usr/share/doc/fogold/examples/grafana.json",
    ] {
        assert!(there.contains(file), "{file} in {there:?}");
    }
    let version = succeeded(Command::new(machine.join("usr/bin/fogold")).arg("--version"));
    let wanted = format!("fogold {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(text(&version.stdout), wanted);
    let completions = machine.join("usr/share/bash-completion/completions/fogold");
    succeeded(Command::new("bash").arg("-n").arg(completions));

    // What runs have left for each other stays with a removal and goes with a purge; reports are
    // the reader's, and a store is not the package's.
    let state = "var/lib/fogold/history.ndjson";
    fs::create_dir_all(machine.join("var/lib/fogold")).expect("a directory");
    fs::write(machine.join(state), "").expect("a file");
    let report = "var/log/fogold/check.txt";
    fs::create_dir_all(machine.join("var/log/fogold")).expect("a directory");
    fs::write(machine.join(report), "").expect("a file");
    succeeded(dpkg(&machine).args(["--remove", "fogold"]));
    let left = files(&machine);
    assert!(
        !left.iter().any(|file| file.starts_with("usr/")),
        "{left:?}"
    );
    assert!(left.contains(state));
    succeeded(dpkg(&machine).args(["--purge", "fogold"]));
    let left = files(&machine);
    let of_package: Vec<_> = left.iter().filter(|file| file.contains("fogold")).collect();
    assert_eq!(of_package, [report]);
    assert!(left.contains("backup/fossology/store.json"));
}

#[test]
fn what_is_meant_for_a_machine_is_in_the_package() {
    let manifest = fs::read_to_string(project("Cargo.toml")).expect("Cargo.toml");
    let list = manifest.split_once("\nassets = [").expect("assets").1;
    let list = list.split_once("\n]").expect("their end").0;
    let meant = [
        "contrib/systemd",
        "contrib/logrotate",
        "contrib/fogold.toml",
    ];
    for path in meant.map(project).iter().filter(|path| path.exists()) {
        let found = match path.is_dir() {
            true => files(path).iter().map(|name| path.join(name)).collect(),
            false => vec![path.clone()],
        };
        for file in found {
            let name = file.strip_prefix(project("")).expect("of the project");
            let name = name.display().to_string();
            let whole = name.rsplit_once('/').map_or("", |(directory, _)| directory);
            let is_listed = [name.clone(), format!("{whole}/*")]
                .iter()
                .any(|source| list.contains(&format!("[\"{source}\"")));
            assert!(is_listed, "{name} is not among the assets in Cargo.toml");
        }
    }
}

#[test]
fn a_container_has_the_configuration_of_fossologys_own() {
    let made_up = MadeUp::small();
    let sysconfdir = made_up.directory().join("container");
    let program = Path::new(PROGRAM).parent().expect("its directory");
    let path = std::env::var("PATH").expect("a search path");
    let check = || {
        Fogold::of(Command::new(project("contrib/docker/entrypoint")))
            .args(["check", "--format", "ndjson", "--catalog"])
            .arg(made_up.dump())
            .arg("--sysconfdir")
            .arg(&sysconfdir)
            .env("PATH", format!("{}:{path}", program.display()))
            .env("SYSCONFDIR", &sysconfdir)
            .env("FOSSOLOGY_REPOSITORY", made_up.repository())
            .env("FOSSOLOGY_DB_HOST", "db")
            .env("FOSSOLOGY_DB_PASSWORD", "a secret")
    };
    let outcome = check().run();
    outcome.assert_code(0);
    assert_eq!(outcome.report()["coverage"]["hosts"][0], "localhost");
    let database = fs::read_to_string(sysconfdir.join("Db.conf")).expect("Db.conf");
    assert_eq!(
        database,
        "dbname=fossology;\nhost=db;\nuser=fossy;\npassword=a secret;\n"
    );
    // A configuration that is mounted is left as it is.
    fs::copy(
        made_up.sysconfdir().join("fossology.conf"),
        sysconfdir.join("fossology.conf"),
    )
    .expect("another configuration");
    check()
        .env("FOSSOLOGY_REPOSITORY", "/nonexistent")
        .run()
        .assert_code(0);
}

#[test]
fn the_compose_file_fits_fossologys_own() {
    let file = project("contrib/docker/compose.fogold.yml");
    let script = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))";
    let read = Command::new("python3")
        .args(["-c", script])
        .arg(&file)
        .output();
    let Some(read) = read.ok().filter(|output| output.status.success()) else {
        skipped("Python's yaml is not installed");
        return;
    };
    let compose: serde_json::Value = serde_json::from_slice(&read.stdout).expect("JSON");
    let services = compose["services"].as_object().expect("services");
    assert_eq!(
        services.keys().collect::<Vec<_>>(),
        ["fogold", "fogold-restore"]
    );
    for (name, service) in services {
        // Without it, it would start with 'docker compose up'.
        assert_eq!(service["profiles"][0], "fogold");
        assert_eq!(service["depends_on"][0], "db");
        let mounted = service["volumes"][0].as_str().expect("a volume");
        let wanted = match name.as_str() {
            "fogold" => "repository:/srv/fossology/repository/:ro",
            _ => "repository:/srv/fossology/repository/",
        };
        assert_eq!(mounted, wanted);
        let entrypoint =
            fs::read_to_string(project("contrib/docker/entrypoint")).expect("a script");
        for variable in service["environment"].as_array().expect("variables") {
            let (variable, _) = variable
                .as_str()
                .and_then(|text| text.split_once('='))
                .expect("a variable");
            assert!(
                entrypoint.contains(&format!("${{{variable}:-")),
                "{variable}"
            );
        }
        let dockerfile = service["build"]["dockerfile"].as_str().expect("a file");
        assert!(project(dockerfile).is_file());
    }
    // What the Dockerfile copies is there.
    let dockerfile = fs::read_to_string(project("contrib/docker/Dockerfile")).expect("a file");
    for line in dockerfile
        .lines()
        .filter(|line| line.starts_with("COPY contrib/"))
    {
        let source = line.split(' ').nth(1).expect("a source");
        assert!(project(source).is_file(), "{source}");
    }
}
