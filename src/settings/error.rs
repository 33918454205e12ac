//! What can be wrong with fogold's configuration file: always the writer's to mend.

use std::io;
use std::path::PathBuf;

/// Why the configuration file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// It cannot be read.
    #[error(
        "cannot read {}: run fogold as a user that may, or name another file with --config",
        path.display()
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// It is no TOML, or holds what no setting is.
    #[error("{}, line {line}: {why}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line's number, from 1.
        line: usize,
        /// What is wrong.
        why: String,
    },
    /// No command is called so.
    #[error("{}, line {line}: there is no section [{section}]{hint}", path.display())]
    UnknownSection {
        /// The file.
        path: PathBuf,
        /// The line's number, from 1.
        line: usize,
        /// The section.
        section: String,
        /// What may have been meant.
        hint: String,
    },
    /// No option is called so.
    #[error("{}, line {line}: there is no setting {key}{hint}", path.display())]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The line's number, from 1.
        line: usize,
        /// The key with its section.
        key: String,
        /// What may have been meant.
        hint: String,
    },
    /// A value that its key does not take.
    #[error("{}, line {line}: {key}: {why}", path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
        /// The line's number, from 1.
        line: usize,
        /// The key with its section.
        key: String,
        /// What is wanted.
        why: String,
    },
    /// A secret is not where the file says.
    #[error("{}, line {line}: {key}: cannot read the {place}", path.display())]
    Secret {
        /// The file.
        path: PathBuf,
        /// The line's number, from 1.
        line: usize,
        /// The key with its section.
        key: String,
        /// Where it should be.
        place: String,
        /// The system's answer.
        source: io::Error,
    },
}
