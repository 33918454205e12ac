//! Taking a dump: of the database, of the roles, or by a person's own command.
//!
//! A dump is written to a new file that only its owner can read, and is on disk when the call
//! returns. A dump that failed is taken away: it must never look like a good one. Whether a file is
//! a *whole* dump is known only to who reads it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Messages, ProgramError, Programs, Running, Version};
use crate::monitor::{Monitor, Phase};
use crate::sysconf::ConnectionParameters;

const PG_DUMP: &str = "pg_dump";
const PG_DUMPALL: &str = "pg_dumpall";

/// The first release whose `pg_dump` can compress with zstd.
const ZSTD_SINCE: (u32, u32) = (16, 0);

/// A dump that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dumped {
    /// The size of its file.
    pub bytes: u64,
    /// What made it, such as `pg_dump 15.20`; never a person's command, which may hold a password.
    pub made_by: String,
    /// The server's version, when it was asked.
    pub server: Option<Version>,
}

/// Dumps the database that `parameters` name into the new file `destination`, in custom format,
/// compressed with zstd where `pg_dump` knows it. A former file of that name is replaced.
pub fn take_dump(
    parameters: &ConnectionParameters,
    programs: &Programs,
    destination: &Path,
    monitor: &dyn Monitor,
) -> Result<Dumped, ProgramError> {
    let server = server_version(parameters)?;
    programs.require(&[PG_DUMP], &server)?;
    let version = programs.version(PG_DUMP)?;
    let mut bytes = Err(ProgramError::Stopped);
    if version.release() >= ZSTD_SINCE {
        bytes = dump_database(
            parameters,
            programs,
            &["--compress=zstd"],
            destination,
            monitor,
        );
    }
    let built_without_zstd = matches!(
        &bytes,
        Err(ProgramError::Failed { why, .. }) if why.contains("does not support compression")
    );
    if version.release() < ZSTD_SINCE || built_without_zstd {
        bytes = dump_database(parameters, programs, &[], destination, monitor);
    }
    Ok(Dumped {
        bytes: bytes?,
        made_by: format!("{PG_DUMP} {version}"),
        server: Some(server),
    })
}

fn dump_database(
    parameters: &ConnectionParameters,
    programs: &Programs,
    more: &[&str],
    destination: &Path,
    monitor: &dyn Monitor,
) -> Result<u64, ProgramError> {
    let mut command = Command::new(programs.path(PG_DUMP));
    command
        .args(["--format=custom", "--no-password"])
        .args(more);
    if let Some(conninfo) = parameters.hand_to(&mut command) {
        command.arg(format!("--dbname={conninfo}"));
    }
    write_to(command, PG_DUMP, destination, monitor)
}

/// Dumps the roles and tablespaces of the server, without passwords, into the new file
/// `destination`.
pub fn take_globals(
    parameters: &ConnectionParameters,
    programs: &Programs,
    destination: &Path,
    monitor: &dyn Monitor,
) -> Result<Dumped, ProgramError> {
    let server = server_version(parameters)?;
    programs.require(&[PG_DUMPALL], &server)?;
    let version = programs.version(PG_DUMPALL)?;
    let mut command = Command::new(programs.path(PG_DUMPALL));
    command
        .args(["--globals-only", "--no-role-passwords", "--no-password"])
        // The role need not be let into the database that it would choose by itself.
        .arg(format!("--database={}", parameters.database()));
    if let Some(conninfo) = parameters.hand_to(&mut command) {
        command.arg(format!("--dbname={conninfo}"));
    }
    Ok(Dumped {
        bytes: write_to(command, PG_DUMPALL, destination, monitor)?,
        made_by: format!("{PG_DUMPALL} {version}"),
        server: Some(server),
    })
}

/// Has a person's own command, run by `sh -c`, write a dump to its standard output, and keeps it in
/// the new file `destination`. Roles are not in it unless the command puts them there.
pub fn take_dump_with(
    command: &str,
    destination: &Path,
    monitor: &dyn Monitor,
) -> Result<Dumped, ProgramError> {
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(command);
    let name = "the command that makes the dump (--pg-dump-command)";
    Ok(Dumped {
        bytes: write_to(shell, name, destination, monitor)?,
        made_by: "a command of one's own".to_owned(),
        server: None,
    })
}

/// Asks the server for its version.
pub fn server_version(parameters: &ConnectionParameters) -> Result<Version, ProgramError> {
    let mut client = parameters.connector()?.connect()?;
    let answer = client.query_one(include_str!("../../../sql/server_version.sql"), &[]);
    let unknown = |source| ProgramError::ServerVersion {
        target: parameters.target(),
        source,
    };
    let row = answer.map_err(|error| unknown(Some(error.into())))?;
    Version::parse(row.get(0)).ok_or_else(|| unknown(None))
}

/// Runs a command whose output is kept.
fn write_to(
    mut command: Command,
    name: &str,
    destination: &Path,
    monitor: &dyn Monitor,
) -> Result<u64, ProgramError> {
    monitor.phase(Phase::TakeDump, None);
    let failed = |action, source| ProgramError::Io {
        action,
        path: destination.to_owned(),
        source,
    };
    let file = create(destination).map_err(|source| failed("create", source))?;
    // The program gets the file itself, in which it can seek: a dump in custom format then knows
    // where the rows of each table stand.
    let output = file.try_clone().map_err(|source| failed("write", source))?;
    command.stdin(Stdio::null()).stdout(output);
    let outcome = run(command, name, &file, monitor).and_then(|(bytes, said)| {
        if let Some(message) = said.why() {
            monitor.warn(&format!("{name}: {message}"));
        }
        file.sync_all().map_err(|source| failed("write", source))?;
        Ok(bytes)
    });
    if outcome.is_err() {
        // The error is what matters; a file that stays is replaced by the next try.
        let _ = fs::remove_file(destination);
    }
    outcome
}

fn run(
    mut command: Command,
    name: &str,
    file: &File,
    monitor: &dyn Monitor,
) -> Result<(u64, Messages), ProgramError> {
    let size = || file.metadata().map_or(0, |metadata| metadata.len());
    let mut told = 0;
    let running = Running::start(&mut command, name)?;
    let said = running.wait(monitor, || {
        let now = size();
        monitor.advance(0, now.saturating_sub(told));
        told = told.max(now);
    })?;
    match size() {
        0 => Err(ProgramError::Empty {
            program: name.to_owned(),
        }),
        bytes => Ok((bytes, said)),
    }
}

/// A new file in the place of a former one, which a program that nobody waits for any more may
/// still be writing to.
fn create(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Mutex;

    use super::*;
    use crate::monitor::Silent;

    #[test]
    fn the_output_of_a_command() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("database.dump");
        fs::write(&path, "an older and longer one").unwrap();
        let dumped = take_dump_with("printf 'a dump'", &path, &Silent).unwrap();
        assert_eq!(dumped.bytes, 6);
        assert_eq!(fs::read(&path).unwrap(), b"a dump");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_failed_dump_never_looks_good() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("database.dump");
        for (command, why) in [
            (
                "printf half; echo 'disk on fire' >&2; exit 1",
                "disk on fire",
            ),
            ("true", "wrote nothing"),
            ("printf half; kill -9 $$", "signal: 9"),
            ("no-such-program-anywhere", "not found"),
        ] {
            let error = take_dump_with(command, &path, &Silent).unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
            assert!(!error.is_misuse());
            assert!(!path.exists(), "{command}");
        }
    }

    #[test]
    fn what_a_program_says_beside_its_dump_is_passed_on() {
        #[derive(Default)]
        struct Recorder(Mutex<Vec<String>>);
        impl Monitor for Recorder {
            fn warn(&self, message: &str) {
                self.0.lock().unwrap().push(message.to_owned());
            }
        }
        let place = tempfile::tempdir().unwrap();
        let recorder = Recorder::default();
        let command = "echo 'pg_dump: error: half of it' >&2; printf x";
        take_dump_with(command, &place.path().join("d"), &recorder).unwrap();
        let said = recorder.0.into_inner().unwrap();
        assert!(said[0].ends_with(": half of it"), "{said:?}");
    }
}
