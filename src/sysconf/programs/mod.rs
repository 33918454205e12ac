//! PostgreSQL's own client programs: where they are, which release they have, and how they are run.
//!
//! Debian keeps the programs of several releases side by side; the newest is taken, for a client
//! reads the servers of its own release and of older ones, never of newer ones. A program is told
//! by its environment, never by its arguments, how to reach a server, so that `ps` shows no
//! password. It runs in a process group of its own and is ended and waited for whatever happens.

mod child;
mod dump;
mod error;
mod version;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub(crate) use child::{Messages, Running};
pub use dump::{Dumped, server_version, take_dump, take_dump_with, take_globals};
pub use error::ProgramError;
pub use version::Version;

/// Where Debian and its kin keep the programs of each release of PostgreSQL.
const RELEASES: &str = "/usr/lib/postgresql";

/// Where the client programs are looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Programs {
    directory: Option<PathBuf>,
}

impl Programs {
    /// The programs in `directory`; without one, those of the newest release that is installed, or
    /// what the search path gives.
    pub fn new(directory: Option<PathBuf>) -> Programs {
        Programs { directory }
    }

    /// The directory that was named.
    pub fn directory(&self) -> Option<&Path> {
        self.directory.as_deref()
    }

    /// The path of a program; its bare name when only the search path may know it.
    pub fn path(&self, program: &str) -> OsString {
        self.path_in(Path::new(RELEASES), program)
    }

    fn path_in(&self, releases: &Path, program: &str) -> OsString {
        if let Some(directory) = &self.directory {
            return directory.join(program).into_os_string();
        }
        let newest = fs::read_dir(releases)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| {
                let release: u32 = entry.file_name().to_str()?.parse().ok()?;
                let path = entry.path().join("bin").join(program);
                path.is_file().then_some((release, path))
            })
            .max();
        match newest {
            Some((_, path)) => path.into_os_string(),
            None => OsString::from(program),
        }
    }

    /// The version that a program says it has.
    pub fn version(&self, program: &str) -> Result<Version, ProgramError> {
        let path = self.path(program);
        let output = Command::new(&path)
            .arg("--version")
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .output()
            .map_err(|source| ProgramError::of_start(&path, source))?;
        let text = String::from_utf8_lossy(&output.stdout);
        Version::in_answer(&text).ok_or_else(|| ProgramError::NoVersion {
            program: path.to_string_lossy().into_owned(),
        })
    }

    /// Refuses programs that are older than a server: they would fail on it, or worse, read only
    /// what they know.
    pub fn require(&self, programs: &[&str], server: &Version) -> Result<(), ProgramError> {
        for program in programs {
            let version = self.version(program)?;
            if version.release() < server.release() {
                return Err(ProgramError::TooOld {
                    program: self.path(program).to_string_lossy().into_owned(),
                    version,
                    server: server.clone(),
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn install(directory: &Path, name: &str) {
        fs::create_dir_all(directory).unwrap();
        fs::write(directory.join(name), "").unwrap();
    }

    #[test]
    fn the_newest_release_that_has_the_program() {
        let place = tempfile::tempdir().unwrap();
        let bin = |release: &str| place.path().join(release).join("bin");
        for release in ["9.6", "14", "100", "9", "x"] {
            install(&bin(release), "pg_dump");
        }
        install(&bin("101"), "psql");
        let programs = Programs::default();
        let found = |name| PathBuf::from(programs.path_in(place.path(), name));
        assert_eq!(found("pg_dump"), bin("100").join("pg_dump"));
        assert_eq!(found("psql"), bin("101").join("psql"));
        assert_eq!(found("pg_restore"), Path::new("pg_restore"));
        let named = Programs::new(Some(PathBuf::from("/d")));
        assert_eq!(named.path_in(place.path(), "pg_dump"), "/d/pg_dump");
    }

    #[test]
    fn a_missing_program_and_one_that_says_nothing() {
        let error = Programs::new(Some(PathBuf::from("/nowhere")))
            .version("pg_dump")
            .unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("/nowhere/pg_dump is not installed"),
            "{error}"
        );
        let error = Programs::new(Some(PathBuf::from("/bin")))
            .version("true")
            .unwrap_err();
        assert!(!error.is_misuse(), "{error}");
    }

    #[test]
    fn an_older_program_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let script = "#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6.24'\n";
        child::tests::install_script(&place.path().join("pg_dump"), script);
        let programs = Programs::new(Some(place.path().to_owned()));
        let server = |text| Version::parse(text).unwrap();
        assert!(programs.require(&["pg_dump"], &server("9.6.1")).is_ok());
        assert!(programs.require(&["pg_dump"], &server("9.5.25")).is_ok());
        let error = programs
            .require(&["pg_dump"], &server("15.20"))
            .unwrap_err();
        assert!(error.is_misuse());
        let text = error.to_string();
        assert!(
            text.contains("pg_dump is of version 9.6.24") && text.contains("15.20"),
            "{text}"
        );
    }
}
