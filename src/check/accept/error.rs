//! Why accepted findings could not be read or written.

use std::io;
use std::path::PathBuf;

use crate::catalog::CatalogError;

/// What went wrong with a file of accepted findings.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// The file cannot be read.
    #[error("cannot read the accepted findings in {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The file is not what it should be.
    #[error("{}, line {line}: {message}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        message: String,
    },
    /// The file is longer than anybody has looked through.
    #[error(
        "{} is longer than 4 MiB: so many findings are no exceptions; mend what they have in \
         common, or let only worse ones count with --fail-on",
        path.display()
    )]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// There are more findings than anybody has looked through.
    #[error(
        "there are too many findings to accept them one by one: mend what they have in common, or \
         let only worse ones count with --fail-on"
    )]
    TooMany,
    /// The output.
    #[error("cannot write the accepted findings")]
    Output(#[from] io::Error),
    /// The findings on disk.
    #[error(transparent)]
    Findings(#[from] CatalogError),
}

impl AcceptError {
    /// Whether what was asked cannot be meant (exit status 2), rather than the world being in the way
    /// (exit status 3).
    pub fn is_misuse(&self) -> bool {
        match self {
            AcceptError::Read { source, .. } => matches!(
                source.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::IsADirectory | io::ErrorKind::InvalidData
            ),
            AcceptError::Malformed { .. } | AcceptError::TooLong { .. } => true,
            AcceptError::TooMany | AcceptError::Output(_) | AcceptError::Findings(_) => false,
        }
    }
}
