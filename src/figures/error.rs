//! Why there are no figures.

use std::path::PathBuf;

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
    Check(CheckError),
    /// The repository, or a host's part of it, is empty although the catalog knows files there.
    #[error("{} holds no file, but the database knows {known}: is it mounted?{}", path.display(), without_it(*could_do_without))]
    NotMounted {
        /// The root, or the host's directory.
        path: PathBuf,
        /// What the database knows there.
        known: String,
        /// The rows alone are enough for some of what was asked.
        could_do_without: bool,
    },
    /// The database knows nothing at all, and the repository holds files.
    #[error(
        "the database knows no upload and no file, but {} holds files: is it the right database?{}",
        path.display(),
        without_it(*could_do_without)
    )]
    EmptyDatabase {
        /// The root.
        path: PathBuf,
        /// The rows alone are enough for some of what was asked.
        could_do_without: bool,
    },
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

/// How to go on without the tree.
fn without_it(could_do_without: bool) -> &'static str {
    match could_do_without {
        true => " (--no-tree counts by the rows alone)",
        false => "",
    }
}

impl From<CheckError> for FiguresError {
    fn from(error: CheckError) -> FiguresError {
        FiguresError::of_check(error, false)
    }
}

impl FiguresError {
    /// What a check that the figures went along with says. It has flags that are not theirs.
    pub(super) fn of_check(error: CheckError, could_do_without: bool) -> FiguresError {
        match error {
            CheckError::NotMounted { path, known } => FiguresError::NotMounted {
                path,
                known,
                could_do_without,
            },
            CheckError::EmptyDatabase { path } => FiguresError::EmptyDatabase {
                path,
                could_do_without,
            },
            other => FiguresError::Check(other),
        }
    }

    /// Whether what was asked cannot be meant (exit status 2), rather than the world being in the
    /// way (exit status 3).
    pub fn is_misuse(&self) -> bool {
        match self {
            FiguresError::Catalog(error) => error.is_misuse(),
            FiguresError::Check(error) => error.is_misuse(),
            FiguresError::Manifest(error) => error.is_misuse(),
            FiguresError::Store(error) => error.is_misuse(),
            FiguresError::NotInCatalog { .. } => true,
            FiguresError::Companion(_)
            | FiguresError::NoFolders { .. }
            | FiguresError::NotMounted { .. }
            | FiguresError::EmptyDatabase { .. } => false,
        }
    }
}
