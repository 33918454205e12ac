//! Dumps that only `pg_restore` can read: it is run from where the user says it is.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Fogold, MadeStore, MadeUp};

/// A dump in custom format, as far as its first bytes say it, and a `pg_restore` that knows what is in
/// it. No other one does.
struct OwnPrograms {
    made_up: MadeUp,
    dump: PathBuf,
    directory: PathBuf,
}

impl OwnPrograms {
    fn new() -> OwnPrograms {
        let made_up = MadeUp::small();
        let dump = made_up.directory().join("database.dump");
        fs::write(&dump, b"PGDMP\x01\x0e\x00\x04\x08\x01").expect("a dump");
        let directory = made_up.directory().join("bin");
        fs::create_dir(&directory).expect("a directory");
        let script = format!("#!/bin/sh\nexec cat '{}'\n", made_up.dump().display());
        let draft = directory.join("draft");
        fs::write(&draft, script).expect("a script");
        fs::set_permissions(&draft, fs::Permissions::from_mode(0o755)).expect("its mode");
        // `cp` has closed it before anybody runs it.
        let copied = Command::new("cp")
            .arg("-p")
            .arg(&draft)
            .arg(directory.join("pg_restore"))
            .status();
        assert!(copied.expect("cp runs").success());
        OwnPrograms {
            made_up,
            dump,
            directory,
        }
    }

    /// Every command that reads a dump with `--catalog`.
    fn commands(&self) -> [Fogold; 3] {
        let output = |name: &str| self.made_up.directory().join(name);
        let on_dump = |command: &str| {
            Fogold::new([command, "--catalog"])
                .arg(&self.dump)
                .arg("--repository")
                .arg(self.made_up.repository())
        };
        [
            on_dump("check"),
            on_dump("snapshot").arg("-o").arg(output("saved.fogold")),
            on_dump("manifest")
                .args(["--gold-only", "-o"])
                .arg(output("gold.jsonl")),
        ]
    }
}

fn in_directory(command: Fogold, directory: &Path) -> Fogold {
    command.arg("--pg-bindir").arg(directory)
}

#[test]
fn a_dump_is_read_by_the_programs_of_the_directory_that_is_named() {
    let own = OwnPrograms::new();
    for command in own.commands() {
        in_directory(command, &own.directory).run().assert_code(0);
    }
    for command in own.commands() {
        let command = command.env("FOGOLD_PG_BINDIR", &own.directory);
        command.run().assert_code(0);
    }
    // The option counts before the variable, and what is not there is named.
    let nowhere = own.made_up.directory().join("nowhere");
    for command in own.commands() {
        let command = command.env("FOGOLD_PG_BINDIR", &own.directory);
        let outcome = in_directory(command, &nowhere).run();
        outcome.assert_code(3);
        let complaint = outcome.complaint();
        let program = nowhere.join("pg_restore").display().to_string();
        assert!(
            complaint.contains(&program) && complaint.contains("--pg-bindir"),
            "{complaint}"
        );
    }
}

#[test]
fn a_set_with_such_a_dump_is_made_and_verified() {
    let own = OwnPrograms::new();
    let store = MadeStore::nowhere();
    let backup = store
        .backup(["--full", "--repository"])
        .arg(own.made_up.repository())
        .arg("--dump")
        .arg(&own.dump);
    in_directory(backup, &own.directory).run().assert_code(0);
    in_directory(store.fogold("verify"), &own.directory)
        .run()
        .assert_code(0);
    let nowhere = own.made_up.directory().join("nowhere");
    in_directory(store.fogold("verify"), &nowhere)
        .run()
        .assert_code(3);
}
