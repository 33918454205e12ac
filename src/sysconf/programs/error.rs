//! Why one of PostgreSQL's programs, or a person's own command, did not do its work.

use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;

use super::Version;
use crate::sysconf::{ConnectError, ConnectionError};

/// Why a program did not do its work. No message holds a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProgramError {
    /// The program is not there.
    #[error(
        "{program} is not installed (apt-get install postgresql-client); or name the directory of PostgreSQL's programs with --pg-bindir"
    )]
    NotInstalled {
        /// The program.
        program: String,
    },
    /// The program is there but cannot be started.
    #[error("cannot start {program}")]
    Start {
        /// The program.
        program: String,
        /// The system's answer.
        source: io::Error,
    },
    /// The program does not say which version it has.
    #[error("{program} --version does not say a version of PostgreSQL; is it the right program?")]
    NoVersion {
        /// The program.
        program: String,
    },
    /// The program is older than the server.
    #[error(
        "{program} is of version {version} and the server of version {server}: a client must not be older than its server; install postgresql-client-{}, or name the directory of its programs with --pg-bindir, or the command that makes a dump with --pg-dump-command",
        server.release().0
    )]
    TooOld {
        /// The program.
        program: String,
        /// Its version.
        version: Version,
        /// The server's version.
        server: Version,
    },
    /// The program ended badly.
    #[error("{program} failed: {why}")]
    Failed {
        /// The program.
        program: String,
        /// Its first error message, or how it ended.
        why: String,
    },
    /// The program ended well, and wrote nothing.
    #[error(
        "{program} wrote nothing; what should write a dump must write it to its standard output"
    )]
    Empty {
        /// The program.
        program: String,
    },
    /// Its output cannot be kept.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried: "write", "create".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The parameters of the connection cannot be used.
    #[error(transparent)]
    Parameters(#[from] ConnectionError),
    /// There is no connection to the server.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The server does not say what it is.
    #[error("{target} does not say which version of PostgreSQL it has")]
    ServerVersion {
        /// Database, host and user.
        target: String,
        /// The driver's answer, when there is one.
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The monitor asked to stop.
    #[error("stopped")]
    Stopped,
}

impl ProgramError {
    /// Whether what was asked cannot be meant (exit status 2), rather than the world being in the
    /// way (exit status 3).
    pub fn is_misuse(&self) -> bool {
        matches!(
            self,
            ProgramError::TooOld { .. } | ProgramError::Parameters(_)
        )
    }

    pub(super) fn of_start(program: &OsStr, source: io::Error) -> ProgramError {
        let program = program.to_string_lossy().into_owned();
        match source.kind() {
            io::ErrorKind::NotFound => ProgramError::NotInstalled { program },
            _ => ProgramError::Start { program, source },
        }
    }
}
