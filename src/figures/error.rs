//! Why there are no figures.

use crate::catalog::CatalogError;
use crate::check::{CheckError, CompanionError};
use crate::manifest::ManifestError;
use crate::store::StoreError;

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FiguresError {
    /// Rows or scratch files.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The repository.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// What a set would hold.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// Who went along with the check.
    #[error(transparent)]
    Companion(#[from] CompanionError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A saved catalog knows neither users nor folders.
    #[error(
        "a saved catalog does not say {what}: name the database or a dump with --catalog, \
         or ask --by upload"
    )]
    NotInCatalog {
        /// `whose an upload is`, `in which folder an upload lies`
        what: &'static str,
    },
    /// What lies in which folder may not be read, or is not in the dump.
    #[error(
        "{origin} does not show what lies in which folder: as the owner of the tables, GRANT \
         SELECT ON folder, foldercontents TO the role, or take a dump that holds them"
    )]
    NoFolders {
        /// The database or dump.
        origin: String,
    },
}

impl FiguresError {
    /// Whether what was asked cannot be meant (exit status 2), rather than the world being in the
    /// way (exit status 3).
    pub fn is_misuse(&self) -> bool {
        match self {
            FiguresError::Catalog(error) => error.is_misuse(),
            FiguresError::Check(error) => error.is_misuse(),
            FiguresError::Manifest(error) => error.is_misuse(),
            FiguresError::Store(error) => error.is_misuse(),
            FiguresError::NotInCatalog { .. } => true,
            FiguresError::Companion(_) | FiguresError::NoFolders { .. } => false,
        }
    }
}
