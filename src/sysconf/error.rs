//! What can be wrong with FOSSology's configuration.
//!
//! Each message names the file, and the line where there is one, and says what to do next where
//! that is not plain; the cause is the error's source, not repeated in its text.

use std::io;
use std::path::PathBuf;

use super::hosts::BadHostLine;

/// Why FOSSology's configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SysconfError {
    /// The directory has no `fossology.conf`.
    #[error(
        "there is no fossology.conf in {}; name the directory that has one with --sysconfdir",
        directory.display()
    )]
    NotFound {
        /// The directory that was named.
        directory: PathBuf,
    },
    /// A file is there but cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A line fits nothing.
    #[error(
        "{}, line {line}: {text:?} is neither a section nor a setting (a comment begins with ';')",
        path.display()
    )]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line's number, from 1.
        line: usize,
        /// The line's text.
        text: String,
    },
    /// A setting stands before the first section.
    #[error("{}, line {line}: {text:?} belongs to no section; put it below a line such as [FOSSOLOGY]", path.display())]
    NoSection {
        /// The file.
        path: PathBuf,
        /// The line's number, from 1.
        line: usize,
        /// The line's text.
        text: String,
    },
    /// The repository's root is not configured.
    #[error(
        "{} has no 'path' in section [FOSSOLOGY]; add it, or name the repository with --repository",
        path.display()
    )]
    NoRepository {
        /// The file.
        path: PathBuf,
    },
    /// A setting has a value that it cannot have.
    #[error("{}, line {line}: {key} = {text:?}, but it must be {want}", path.display())]
    BadValue {
        /// The file.
        path: PathBuf,
        /// The line's number, from 1.
        line: usize,
        /// The setting.
        key: &'static str,
        /// Its value.
        text: String,
        /// What would be right.
        want: &'static str,
    },
    /// A line of `[REPOSITORY]` cannot be understood.
    #[error("{}, line {line} does not say which files its host holds", path.display())]
    BadHost {
        /// The file.
        path: PathBuf,
        /// The line's number, from 1.
        line: usize,
        /// What is wrong with it.
        source: BadHostLine,
    },
    /// `Db.conf` does not say which database.
    #[error(
        "{} has no line 'dbname=…;', so the database is not known; mend it, or name a source with --catalog",
        path.display()
    )]
    NoDbName {
        /// The file.
        path: PathBuf,
    },
    /// The database is needed, and there is no `Db.conf`.
    #[error(
        "there is no {}, so the database is not known; name it, a dump or a saved catalog with --catalog",
        path.display()
    )]
    NoDbConf {
        /// The file that is not there.
        path: PathBuf,
    },
}
