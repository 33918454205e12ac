//! Why files were not restored.
//!
//! Each message says what failed, on which file, and what to do next.

use std::io;
use std::path::PathBuf;

use crate::repository::TreePath;
use crate::store::StoreError;

/// Why files cannot be restored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FilesError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The repository cannot be written.
    #[error("cannot {action} {} in the repository; mend that, and run the same command again: it goes on from here", path.display())]
    Tree {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The repository's root cannot be made, or be given to FOSSology.
    #[error("cannot make the repository {}, or give it to FOSSology's user", path.display())]
    Root {
        /// The root.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Another restore is at work on the repository.
    #[error(
        "another restore is at work on the repository {}; when it has ended, type the same command again",
        path.display()
    )]
    Locked {
        /// The root.
        path: PathBuf,
    },
    /// No line of `[REPOSITORY]` names the host.
    #[error(
        "no line of [REPOSITORY] in fossology.conf names the host {host:?}; there are: {known}"
    )]
    UnknownHost {
        /// What was asked for.
        host: String,
        /// The hosts there are.
        known: String,
    },
    /// The monitor asked to stop.
    #[error("stopped")]
    Stopped,
}

impl FilesError {
    /// Whether what was asked cannot be meant (exit status 2), rather than the world being in the
    /// way (exit status 3).
    pub fn is_misuse(&self) -> bool {
        match self {
            FilesError::Store(error) => error.is_misuse(),
            FilesError::UnknownHost { .. } => true,
            FilesError::Tree { .. }
            | FilesError::Root { .. }
            | FilesError::Locked { .. }
            | FilesError::Stopped => false,
        }
    }
}

/// An error at a path of the repository.
pub(super) fn failed(action: &'static str, path: &TreePath, source: io::Error) -> FilesError {
    FilesError::Tree {
        action,
        path: path.as_path().to_owned(),
        source,
    }
}
