//! Why there is no new set.

use std::path::PathBuf;

use crate::catalog::CatalogError;
use crate::check::CheckError;
use crate::store::StoreError;
use crate::sysconf::ProgramError;

/// Why there is no new set. What was copied stays in the pool, and the next backup goes on from it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The dump cannot be taken.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// The dump cannot be read, or scratch files cannot be written.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The repository cannot be looked at.
    #[error(transparent)]
    Check(CheckError),
    /// The dump that was handed in is a directory.
    #[error(
        "--dump {}: a dump in directory format cannot be put into a set: hand in a file \
         (pg_dump --format=custom)",
        path.display()
    )]
    DirectoryDump {
        /// The dump.
        path: PathBuf,
    },
    /// The dump that was handed in lies in the store's own set, or cannot be read.
    #[error("cannot read the dump {}", path.display())]
    Dump {
        /// The dump.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
}

impl From<CheckError> for BackupError {
    /// What went wrong in the store while the check went on is the store's error.
    fn from(error: CheckError) -> BackupError {
        match error {
            CheckError::Companion(source) => match source.downcast::<StoreError>() {
                Ok(error) => BackupError::Store(*error),
                Err(source) => BackupError::Check(CheckError::Companion(source)),
            },
            CheckError::Catalog(error) => BackupError::Catalog(error),
            other => BackupError::Check(other),
        }
    }
}

impl BackupError {
    /// Whether what was asked cannot be meant (exit status 2), rather than the world being in the
    /// way (exit status 3).
    pub fn is_misuse(&self) -> bool {
        match self {
            BackupError::Store(error) => error.is_misuse(),
            BackupError::Program(error) => error.is_misuse(),
            BackupError::Catalog(error) => error.is_misuse(),
            BackupError::Check(error) => error.is_misuse(),
            BackupError::DirectoryDump { .. } => true,
            BackupError::Dump { .. } => false,
        }
    }
}
