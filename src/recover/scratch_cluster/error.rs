//! Why there is no PostgreSQL of our own.

use std::io;
use std::path::PathBuf;

use crate::sysconf::{ConnectionError, ProgramError};

/// Why there is no scratch cluster.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScratchClusterError {
    /// The server's programs are not there.
    #[error(
        "no PostgreSQL server is installed here ({program}), and a drill needs one of its own: apt-get install postgresql, or name the directory of its programs with --pg-bindir"
    )]
    NotInstalled {
        /// The program that is missing.
        program: String,
    },
    /// Root has nobody to run the server as.
    #[error(
        "root cannot run PostgreSQL, and there is no user postgres or nobody to run it as; run the drill as another user"
    )]
    NoUser,
    /// The path of the socket would be too long.
    #[error("{} is too long a path for a socket; choose a shorter one with --scratch", directory.display())]
    LongPath {
        /// The scratch directory.
        directory: PathBuf,
    },
    /// The scratch directory cannot be used.
    #[error("cannot {action} {} for a PostgreSQL to try the restore in (choose another place with --scratch)", path.display())]
    Io {
        /// What was tried: "make", "write".
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// `initdb` failed.
    #[error("a PostgreSQL to try the restore in cannot be made in {}; can {user} reach that directory?", directory.display())]
    Make {
        /// Its directory.
        directory: PathBuf,
        /// The user that runs it.
        user: String,
        /// What `initdb` said.
        source: Box<ProgramError>,
    },
    /// The server does not start.
    #[error("the PostgreSQL to try the restore in does not start: {why}")]
    Start {
        /// The end of its log.
        why: String,
    },
    /// How it is reached cannot be said.
    #[error(transparent)]
    Parameters(#[from] ConnectionError),
    /// The monitor asked to stop.
    #[error("stopped")]
    Stopped,
}

impl ScratchClusterError {
    /// Whether what was asked cannot be meant (exit status 2), rather than the world being in the
    /// way (exit status 3).
    pub fn is_misuse(&self) -> bool {
        matches!(
            self,
            ScratchClusterError::LongPath { .. } | ScratchClusterError::Parameters(_)
        )
    }
}
