//! Why a manifest cannot be made or read.

use std::io;
use std::path::PathBuf;

use crate::catalog::CatalogError;

/// Why a manifest cannot be made or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// Reading or writing failed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// `read`, `write` or `compress`.
        action: &'static str,
        /// The manifest.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// It was cut or changed, or never was a manifest.
    #[error("{} is damaged, line {line}: {why}", path.display())]
    Damaged {
        /// The manifest.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        why: String,
    },
    /// It was written by a newer fogold.
    #[error(
        "{} has manifest format {found}, and this fogold knows {known}: use a newer fogold",
        path.display()
    )]
    OtherFormat {
        /// The manifest.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format that is known here.
        known: u32,
    },
    /// A scratch file of one in the making cannot be written or read back.
    #[error(transparent)]
    Scratch(#[from] CatalogError),
}

impl ManifestError {
    /// Whether what was asked cannot be meant (exit status 2), rather than the world being in the
    /// way (exit status 3).
    pub fn is_misuse(&self) -> bool {
        matches!(self, ManifestError::OtherFormat { .. })
    }
}
