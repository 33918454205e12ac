//! What can go wrong while unpack jobs are planned, queued and followed.

use std::io;
use std::path::PathBuf;

use crate::catalog::CatalogError;
use crate::check::CheckError;
use crate::repository::TreePath;

/// Why nothing, or not all, was queued.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequeueError {
    /// The catalog or scratch files.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The check that comes before, or after.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// No connection to the database.
    #[error(transparent)]
    Connect {
        /// What failed, on which database, and why; never with a password.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Another requeue is at work.
    #[error("another 'fogold requeue' is at work on {target}: wait for its end")]
    Locked {
        /// Database, host and user.
        target: String,
    },
    /// A restore or a repair is at work on the repository.
    #[error(
        "a restore or a repair is at work on {}: wait for its end, and run 'fogold requeue --clean' again",
        root.display()
    )]
    Busy {
        /// The repository.
        root: PathBuf,
    },
    /// The role may not read or write what queueing reads and writes.
    #[error("{target} lacks rights that requeue needs: as the owner of the tables, {}", grants.join("; "))]
    NoRight {
        /// Database, host and user.
        target: String,
        /// The statements that give the rights.
        grants: Vec<String>,
    },
    /// A right is missing that only FOSSology's own role has.
    #[error("{target} may not do {statement}: run it as the role that owns FOSSology's tables")]
    NotOwner {
        /// Database, host and user.
        target: String,
        /// The name of the statement's file in `sql/`.
        statement: &'static str,
        /// The server's answer.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The release is too old.
    #[error("{target} has no {}: FOSSology before 3.0.0 is not supported by requeue", columns.join(", "))]
    TooOld {
        /// Database, host and user.
        target: String,
        /// What it lacks.
        columns: Vec<String>,
    },
    /// A statement failed.
    #[error("the database refused {statement}")]
    Query {
        /// The name of the statement's file in `sql/`.
        statement: &'static str,
        /// The server's answer.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No user may write uploads.
    #[error(
        "no user of FOSSology may have upload {upload} unpacked: its own user may not write (users.user_perm \
         below 10), and there is no other who may; give one that permission"
    )]
    NoUser {
        /// The upload.
        upload: i32,
    },
    /// A gold cannot be put into files/, or what stands there cannot be moved away.
    #[error(
        "cannot {action} {}/{} (run fogold as FOSSology's user or as root)",
        root.display(),
        path.as_path().display()
    )]
    Place {
        /// `put the gold at`, `move to the quarantine`, `read`.
        action: &'static str,
        /// The repository.
        root: PathBuf,
        /// Where.
        path: TreePath,
        /// The system's answer.
        source: io::Error,
    },
    /// The journal cannot be kept.
    #[error(
        "cannot {action} the journal in {}/{} (run fogold as FOSSology's user or as root)",
        root.display(),
        path.as_path().display()
    )]
    Journal {
        /// `write`, `read`, `remove`.
        action: &'static str,
        /// The repository.
        root: PathBuf,
        /// Where.
        path: TreePath,
        /// The system's answer.
        source: io::Error,
    },
}

impl RequeueError {
    /// Whether what was asked cannot be meant (exit status 2), rather than the world being in the
    /// way (exit status 3).
    pub fn is_misuse(&self) -> bool {
        match self {
            RequeueError::Catalog(error) => error.is_misuse(),
            RequeueError::Check(error) => error.is_misuse(),
            RequeueError::TooOld { .. } => true,
            RequeueError::Connect { .. }
            | RequeueError::Locked { .. }
            | RequeueError::Busy { .. }
            | RequeueError::NoRight { .. }
            | RequeueError::NotOwner { .. }
            | RequeueError::Query { .. }
            | RequeueError::NoUser { .. }
            | RequeueError::Place { .. }
            | RequeueError::Journal { .. } => false,
        }
    }
}
