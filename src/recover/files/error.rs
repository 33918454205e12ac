//! Why files were not restored.
//!
//! Each message says what failed, on which file, and what to do next.

use std::io;
use std::path::PathBuf;

use rustix::io::Errno;

use crate::repository::TreePath;
use crate::store::StoreError;

/// Giving a file its owner and mode: who may not do that to one may not do it to any.
pub(super) const GIVE: &str = "give its owner and mode to";
/// Making a file in fogold's own directory, which all files of a host come through.
pub(super) const CREATE: &str = "create";

/// What is about one path, and what stands there; a full or broken disk is about all.
const OF_ONE_PATH: [Errno; 11] = [
    Errno::ACCESS,
    Errno::PERM,
    Errno::NOTDIR,
    Errno::ISDIR,
    Errno::NOTEMPTY,
    Errno::LOOP,
    Errno::EXIST,
    Errno::NAMETOOLONG,
    Errno::BUSY,
    Errno::XDEV,
    Errno::FBIG,
];

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
        "another restore is at work on the repository {}, or a repair; when it has ended, type the same command again",
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
    /// The host that was named has no directory.
    #[error(
        "{} is not there, the directory of host {host}: mount it, or mkdir it if it is meant to lie there (then chown \
         it to FOSSology's user), and type the same command again",
        path.display()
    )]
    NoHostDirectory {
        /// The host.
        host: String,
        /// Where its directory should be.
        path: PathBuf,
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
            | FilesError::NoHostDirectory { .. }
            | FilesError::Stopped => false,
        }
    }

    /// Whether it is about one file alone, so that the others can be restored all the same.
    pub(super) fn is_of_one_file(&self) -> bool {
        let FilesError::Tree { action, source, .. } = self else {
            return false;
        };
        let error = source.raw_os_error().map(Errno::from_raw_os_error);
        ![GIVE, CREATE].contains(action) && error.is_some_and(|error| OF_ONE_PATH.contains(&error))
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
