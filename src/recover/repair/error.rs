//! Why a repair was not begun, or did not come to its end.

use std::io;
use std::path::PathBuf;

use crate::catalog::CatalogError;
use crate::check::CheckError;
use crate::recover::files::FilesError;
use crate::repository::TreePath;
use crate::store::StoreError;

/// Why a repair was not begun, or did not come to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepairError {
    /// Rows or scratch files.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The check that comes before.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// A store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The repository as a whole.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// No connection to the database.
    #[error(transparent)]
    Connect {
        /// What failed, on which database, and why; never with a password.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A statement failed.
    #[error("the database refused {statement}")]
    Query {
        /// The name of the statement's file in `sql/`.
        statement: &'static str,
        /// The server's answer.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The role may not write what is to be written.
    #[error(
        "{target} may not fill in a sha256: as the owner of the tables, GRANT SELECT, UPDATE (pfile_sha256) ON pfile TO \
         that role, or make one with sql/roles/fogold_repair.sql"
    )]
    NoRight {
        /// Database, host and user.
        target: String,
    },
    /// The release has no such column.
    #[error(
        "{target} has no column pfile_sha256: FOSSology before 3.6.0 keeps none, so there is none to fill in"
    )]
    NoColumn {
        /// Database, host and user.
        target: String,
    },
    /// Another one is at work on the repository.
    #[error(
        "another repair is at work on the repository {}, or a restore, or a 'fogold requeue --clean': wait for its end, and \
         type the same command again",
        path.display()
    )]
    Locked {
        /// The root.
        path: PathBuf,
    },
    /// What nothing needs can be told only with the rows as they are now.
    #[error(
        "orphan, unreferenced, partial-import or abandoned files ({findings} findings) are moved to the quarantine only when \
         the live database says that nothing needs them: leave out --catalog, or leave them where they are with \
         --only mode,put-back,move"
    )]
    NotLive {
        /// How many findings are concerned.
        findings: u64,
    },
    /// Too much would be moved.
    #[error(
        "{moved} of {listed} {what} in the repository would be moved, {share:.1} percent, and a run moves no more than {limit} \
         unless it is told so: is this the right database, and are depth and hosts right? If they are, type --max-share {enough}"
    )]
    TooMuch {
        /// Files or bytes that would be moved.
        moved: u64,
        /// Files or bytes that there are in their places.
        listed: u64,
        /// `files` or `bytes`.
        what: &'static str,
        /// Their share in percent.
        share: f64,
        /// The share that was allowed.
        limit: u8,
        /// The share that would have to be.
        enough: u8,
    },
    /// No journal has this run.
    #[error("no repair of that name is known here: {run:?}; there are: {}", known.join(", "))]
    NoSuchRun {
        /// What was asked for.
        run: String,
        /// The runs that there are.
        known: Vec<String>,
    },
    /// The journal cannot be kept or read.
    #[error(
        "cannot {action} the journal in {}/{} (run fogold as FOSSology's user or as root)",
        root.display(),
        path.as_path().display()
    )]
    Journal {
        /// `write`, `read`.
        action: &'static str,
        /// The repository.
        root: PathBuf,
        /// Where.
        path: TreePath,
        /// The system's answer.
        source: io::Error,
    },
    /// A directory of the repository.
    #[error(
        "cannot {action} {}/{} (run fogold as FOSSology's user or as root)",
        root.display(),
        path.as_path().display()
    )]
    Tree {
        /// What was tried.
        action: &'static str,
        /// The repository.
        root: PathBuf,
        /// Where.
        path: TreePath,
        /// The system's answer.
        source: io::Error,
    },
    /// The disk is full.
    #[error(
        "no room is left for {} in the repository; make some, and type the same command again: it goes on from here",
        path.as_path().display()
    )]
    Full {
        /// What was being put there.
        path: TreePath,
        /// The system's answer.
        source: io::Error,
    },
    /// The monitor asked to stop.
    #[error("stopped")]
    Stopped,
}

impl RepairError {
    /// Whether what was asked cannot be meant (exit status 2), rather than the world being in the
    /// way (exit status 3).
    pub fn is_misuse(&self) -> bool {
        match self {
            RepairError::Catalog(error) => error.is_misuse(),
            RepairError::Check(error) => error.is_misuse(),
            RepairError::Store(error) => error.is_misuse(),
            RepairError::Files(error) => error.is_misuse(),
            RepairError::NotLive { .. }
            | RepairError::TooMuch { .. }
            | RepairError::NoColumn { .. }
            | RepairError::NoSuchRun { .. } => true,
            RepairError::Connect { .. }
            | RepairError::Query { .. }
            | RepairError::NoRight { .. }
            | RepairError::Locked { .. }
            | RepairError::Journal { .. }
            | RepairError::Tree { .. }
            | RepairError::Full { .. }
            | RepairError::Stopped => false,
        }
    }
}
