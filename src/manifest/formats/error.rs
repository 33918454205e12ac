//! Why a manifest was not written in one of its forms.

use std::io;
use std::path::PathBuf;

use crate::catalog::CatalogError;
use crate::manifest::ManifestError;

/// Why a manifest was not written in one of its forms.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// A file of the manifest cannot be written, or a directory not made.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried: "write", "make".
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A bag is made where nothing is.
    #[error("{} is there already: a bag is made where nothing is, so name another place", path.display())]
    Exists {
        /// The place.
        path: PathBuf,
    },
    /// An earlier run was interrupted.
    #[error("{} is left of a run that was interrupted, or belongs to one at work: remove it if no fogold is running", path.display())]
    Leftover {
        /// The half-made bag.
        path: PathBuf,
    },
    /// Lines cannot be sorted in a scratch file.
    #[error(transparent)]
    Scratch(#[from] CatalogError),
    /// Entries cannot be read back.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The monitor asked to stop.
    #[error("stopped")]
    Stopped,
}

impl FormatError {
    /// Whether what was asked cannot be meant (exit status 2), rather than the world being in the
    /// way (exit status 3).
    pub fn is_misuse(&self) -> bool {
        matches!(
            self,
            FormatError::Exists { .. } | FormatError::Leftover { .. }
        )
    }
}
