//! The statements of a catalog, and how they are run.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::catalog::CatalogError;
use crate::catalog::binary_copy::{BinaryRow, BinaryRows};
use crate::monitor::Monitor;
use crate::sysconf::RowStream;

/// A statement and the name of its file, for messages.
pub(super) struct Statement {
    name: &'static str,
    pub(super) text: &'static str,
}

macro_rules! statement {
    ($name:literal) => {
        Statement {
            name: $name,
            text: include_str!(concat!("../../../sql/", $name, ".sql")),
        }
    };
}

pub(super) const BEGIN: Statement = statement!("begin");
pub(super) const NO_JIT: Statement = statement!("no_jit");
pub(super) const ENCODING: Statement = statement!("encoding");
pub(super) const EXPORT_SNAPSHOT: Statement = statement!("export_snapshot");
pub(super) const SERVER: Statement = statement!("server");
pub(super) const COLUMNS: Statement = statement!("columns");
pub(super) const RIGHTS: Statement = statement!("rights");
pub(super) const SIZES: Statement = statement!("sizes");
pub(super) const LOCK_TREES: Statement = statement!("lock_trees");
pub(super) const LOCK_TREES_REFUSED: Statement = statement!("lock_trees_refused");
pub(super) const LARGE_TABLES: Statement = statement!("large_tables");
pub(super) const COPY_PFILE: Statement = statement!("copy_pfile");
pub(super) const COPY_UPLOADTREE: Statement = statement!("copy_uploadtree");
pub(super) const COPY_UPLOAD: Statement = statement!("copy_upload");
pub(super) const COPY_JOB: Statement = statement!("copy_job");
pub(super) const COPY_JOBQUEUE: Statement = statement!("copy_jobqueue");
pub(super) const COPY_UNUNPACK_ARS: Statement = statement!("copy_ununpack_ars");
pub(super) const TEMPORARY_TREES_NOW: Statement = statement!("temporary_trees_now");
pub(super) const DATABASE_SIZE: Statement = statement!("database_size");
pub(super) const DIRECTORY: Statement = statement!("directory");
pub(super) const COPY_USERS: Statement = statement!("copy_users");
pub(super) const COPY_FOLDER: Statement = statement!("copy_folder");
pub(super) const COPY_FOLDERCONTENTS: Statement = statement!("copy_foldercontents");
pub(super) const ROWS_NOW: Statement = statement!("rows_now");

/// Rows between two questions whether to stop.
const ROWS_AT_ONCE: u64 = 4096;

impl Statement {
    pub(super) fn refused(&self, error: postgres::Error) -> CatalogError {
        CatalogError::Query {
            statement: self.name,
            source: Box::new(error),
        }
    }

    /// Runs the statement for what it does.
    pub(super) fn run(&self, stream: &RowStream) -> Result<(), CatalogError> {
        stream.run(self.text).map_err(|error| self.refused(error))
    }

    /// The few rows of the statement.
    pub(super) fn query(&self, stream: &RowStream) -> Result<Vec<postgres::Row>, CatalogError> {
        stream.query(self.text).map_err(|error| self.refused(error))
    }

    /// Hands every row of a COPY, whose text is `text`, to `each`. Its outer error is about the row's
    /// form.
    pub(super) fn copy(
        &self,
        text: &str,
        stream: &RowStream,
        watch: &Watch<'_>,
        mut each: impl FnMut(&BinaryRow<'_>) -> io::Result<Result<(), CatalogError>>,
    ) -> Result<(), CatalogError> {
        let unreadable = |source: io::Error| CatalogError::Query {
            statement: self.name,
            source: Box::new(source),
        };
        let mut rows = BinaryRows::default();
        let mut count = 0u64;
        stream
            .copy(text, |piece| {
                rows.feed(piece, |row| {
                    each(row)??;
                    count += 1;
                    if count.is_multiple_of(ROWS_AT_ONCE) {
                        watch.advance(ROWS_AT_ONCE)?;
                    }
                    Ok(())
                })
            })
            .map_err(|error| self.refused(error))?
            .map_err(|stop| match stop {
                Stop::Unreadable(source) => unreadable(source),
                Stop::Other(error) => error,
            })?;
        rows.finish().map_err(unreadable)?;
        watch.advance(count % ROWS_AT_ONCE)
    }
}

/// Why a COPY is not read on.
enum Stop {
    Unreadable(io::Error),
    Other(CatalogError),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Stop {
        Stop::Unreadable(error)
    }
}

impl From<CatalogError> for Stop {
    fn from(error: CatalogError) -> Stop {
        Stop::Other(error)
    }
}

/// What those who read at the same time look at: they stop when the caller asks them to, and when
/// one of them has failed.
pub(super) struct Watch<'a> {
    monitor: &'a dyn Monitor,
    failed: AtomicBool,
}

impl<'a> Watch<'a> {
    pub(super) fn new(monitor: &'a dyn Monitor) -> Watch<'a> {
        Watch {
            monitor,
            failed: AtomicBool::new(false),
        }
    }

    /// The others are to stop.
    pub(super) fn fail(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }

    /// Whether there is nothing more to do.
    pub(super) fn is_over(&self) -> bool {
        self.monitor.stopped() || self.failed.load(Ordering::Relaxed)
    }

    fn advance(&self, rows: u64) -> Result<(), CatalogError> {
        self.monitor.advance(rows, 0);
        if self.is_over() {
            return Err(CatalogError::Stopped);
        }
        Ok(())
    }
}
