//! What can go wrong while a catalog is read or made.
//!
//! Messages are lower case, name the file, table or row, and say what to do next where that is not
//! plain; the cause is the error's source, not repeated in its text.

use std::io;
use std::path::PathBuf;

/// Why there is no catalog.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogError {
    /// A file cannot be opened, read or written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried: "read", "open", "write".
        action: &'static str,
        /// The file, or a name for it such as `standard input`.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The scratch directory cannot hold what is needed.
    #[error("cannot write scratch data in {} (choose another place with --scratch)", directory.display())]
    Scratch {
        /// The directory.
        directory: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// There is not enough room for sorting.
    #[error(
        "{} has {free} bytes free, and sorting needs about {need} (choose another place with --scratch)",
        directory.display()
    )]
    NoRoom {
        /// The directory.
        directory: PathBuf,
        /// Bytes needed.
        need: u64,
        /// Bytes free.
        free: u64,
    },
    /// A table or column that every FOSSology database has is not there.
    #[error("{origin} is not a FOSSology database: it has no {what}")]
    NotFossology {
        /// The database or dump.
        origin: String,
        /// `table pfile`, `column pfile.pfile_sha1`, …
        what: String,
    },
    /// The file is neither a dump nor a saved catalog.
    #[error("{} is neither a PostgreSQL dump nor a saved catalog", path.display())]
    NotADump {
        /// The file.
        path: PathBuf,
    },
    /// The dump ends before it is complete.
    #[error("{origin} is cut short: the dump stops {place}")]
    Cut {
        /// The dump.
        origin: String,
        /// Where: `inside table uploadtree`, `after table pfile`, `before its first table`.
        place: String,
        /// What the reader met, when it was more than an early end.
        source: Option<io::Error>,
    },
    /// The dump holds the tables but not their rows, or rows in a form that is not read.
    #[error("{origin} cannot be used: {why}")]
    UnusableDump {
        /// The dump.
        origin: String,
        /// For example `it was made with --inserts; make it without`.
        why: String,
    },
    /// A row cannot be understood.
    #[error("{origin}: table {table}, row {row}: {why}")]
    BadRow {
        /// The dump or database.
        origin: String,
        /// The table.
        table: String,
        /// The row's number within the table's data, from 1.
        row: u64,
        /// What is wrong with it.
        why: String,
    },
    /// A dump of a whole cluster holds more than one FOSSology database.
    #[error("{origin} holds several FOSSology databases ({}); dump one of them alone", names.join(", "))]
    SeveralDatabases {
        /// The dump.
        origin: String,
        /// Their names.
        names: Vec<String>,
    },
    /// A helper program is missing or failed.
    #[error("{program} {why}")]
    Program {
        /// The program.
        program: String,
        /// `is not installed: …`, `failed: <its last line>`.
        why: String,
    },
    /// No connection to the database.
    #[error(transparent)]
    Connect {
        /// What failed, on which database, and why; never with a password.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The role may not read what a catalog is made of.
    #[error(
        "{target} may not read {}: as the owner of the tables, GRANT SELECT ON {} TO {role}",
        tables.join(", "),
        tables.join(", ")
    )]
    NoRight {
        /// Database, host and user.
        target: String,
        /// The tables.
        tables: Vec<String>,
        /// The role.
        role: String,
    },
    /// A statement failed.
    #[error("the database refused {statement}")]
    Query {
        /// What the statement reads, as the name of its file in `sql/`.
        statement: &'static str,
        /// The server's answer.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A saved catalog is damaged or cut short.
    #[error("{} is a damaged catalog: {why}; make it again with 'fogold snapshot'", path.display())]
    DamagedCatalog {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        why: String,
    },
    /// A saved catalog of another format.
    #[error("{} has catalog format {found}, this fogold reads {known}", path.display())]
    OtherFormat {
        /// The file.
        path: PathBuf,
        /// The file's version.
        found: u32,
        /// The version that this program reads and writes.
        known: u32,
    },
    /// The monitor asked to stop.
    #[error("stopped")]
    Stopped,
}

impl CatalogError {
    /// Whether what was asked cannot be meant (exit status 2), rather than the world being in the
    /// way (exit status 3).
    pub fn is_misuse(&self) -> bool {
        matches!(
            self,
            CatalogError::NotFossology { .. }
                | CatalogError::NotADump { .. }
                | CatalogError::UnusableDump { .. }
                | CatalogError::SeveralDatabases { .. }
                | CatalogError::OtherFormat { .. }
        )
    }
}
