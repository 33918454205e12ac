//! Why a drill did not come to its end.

use std::io;
use std::path::PathBuf;

use crate::catalog::CatalogError;
use crate::check::CheckError;
use crate::recover::database::DatabaseError;
use crate::recover::files::FilesError;
use crate::recover::scratch_cluster::ScratchClusterError;
use crate::repository::RepositoryError;
use crate::store::StoreError;
use crate::sysconf::ConnectionError;
use crate::sysconf::hosts::BadHostLine;

/// Why a drill did not come to its end. Whatever it had made is gone again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DrillError {
    /// The database of the set cannot be brought back: the drill has failed.
    #[error("the database of set {set} was not restored; try 'fogold verify', and another set")]
    Unrestorable {
        /// The set.
        set: String,
        /// What a server of our own made of it.
        source: Box<DatabaseError>,
    },
    /// The set's record names hosts that nobody can have configured.
    #[error("the record of set {set} names hosts that fossology.conf cannot have had")]
    Hosts {
        /// The set.
        set: String,
        /// What is wrong.
        source: BadHostLine,
    },
    /// There is not room enough.
    #[error(
        "{} has {free} bytes free, and a drill of this set needs at least {need} there (choose another place with --scratch)",
        directory.display()
    )]
    NoRoom {
        /// The scratch directory.
        directory: PathBuf,
        /// Bytes needed.
        need: u64,
        /// Bytes free.
        free: u64,
    },
    /// The scratch directory cannot be used.
    #[error("cannot {action} {} for a drill (choose another place with --scratch)", path.display())]
    Scratch {
        /// What was tried: "use", "make a directory in".
        action: &'static str,
        /// The directory.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The store, or the set in it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A PostgreSQL of our own.
    #[error(transparent)]
    Cluster(#[from] ScratchClusterError),
    /// The database was not restored, and that says nothing about the set.
    #[error(transparent)]
    Database(Box<DatabaseError>),
    /// How the server is reached cannot be said.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// The rows cannot be read or sorted.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The files cannot be written.
    #[error("the files of the set cannot be put into the scratch directory")]
    Files(#[from] FilesError),
    /// The tree cannot be opened.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// There was no check.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// The monitor asked to stop.
    #[error("stopped")]
    Stopped,
}

impl DrillError {
    /// Whether the error is the drill's outcome: this set does not bring the server back (exit
    /// status 1).
    pub fn is_verdict(&self) -> bool {
        matches!(self, DrillError::Unrestorable { .. })
    }

    /// Whether what was asked cannot be meant (exit status 2), rather than the world being in the
    /// way (exit status 3).
    pub fn is_misuse(&self) -> bool {
        match self {
            DrillError::Store(error) => error.is_misuse(),
            DrillError::Cluster(error) => error.is_misuse(),
            DrillError::Database(error) => error.is_misuse(),
            DrillError::Catalog(error) => error.is_misuse(),
            DrillError::Files(error) => error.is_misuse(),
            _ => false,
        }
    }

    /// What an error of restoring the database of `set` means for a drill.
    pub(super) fn of_database(set: &str, error: DatabaseError) -> DrillError {
        match error {
            DatabaseError::OtherRows { .. }
            | DatabaseError::Foreign { .. }
            | DatabaseError::Statement { .. }
            | DatabaseError::Unproven { .. } => DrillError::Unrestorable {
                set: set.to_owned(),
                source: Box::new(error),
            },
            other => DrillError::Database(Box::new(other)),
        }
    }
}
