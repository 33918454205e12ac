//! A catalog from a live PostgreSQL, and the second look at it.
//!
//! One repeatable-read, read-only snapshot is shared by several connections, each of which reads
//! pieces of the tables. Where the server cannot share a snapshot (some standbys and poolers), one
//! connection reads everything. Nothing is written, not even a temporary table, so a role that may
//! read is enough.

mod facts;
mod piece;
mod statement;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use r2d2::{Pool, PooledConnection};

use super::build::Builder;
use super::row_writer::RowWriter;
use super::rows::Micros;
use super::rows_now::{LiveRows, RowNow};
use super::{Catalog, CatalogError, Provenance};
use crate::monitor::{Monitor, Phase, free_room};
use crate::repository::RepositoryName;
use crate::sysconf::{ConnectError, Connector, RowStream};
use facts::{Facts, require_rights};
use piece::Pieces;
use statement::{
    BEGIN, DATABASE_SIZE, ENCODING, EXPORT_SNAPSHOT, LOCK_TREES, LOCK_TREES_REFUSED, NO_JIT,
    ROWS_NOW, SIZES, TEMPORARY_TREES_NOW, Watch,
};

/// So many names are asked for in one statement of the second look.
const NAMES_AT_ONCE: usize = 2000;

/// More connections than this would be felt by those who work on the server, and each holds some
/// MiB of rows.
const MOST_CONNECTIONS: usize = 4;

/// How long a connection for the second look may take.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(15);

/// The least that a row of pfile takes in its table, and about what a finding takes as a line.
const PFILE_ROW: u64 = 120;
const FINDING: u64 = 400;

/// Bytes of scratch space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScratchNeed {
    /// For sorting rows: so many are needed.
    pub sorting: u64,
    /// For a finding about each pfile: so many are needed at worst, and mostly next to none.
    pub findings: u64,
}

/// A live FOSSology database.
#[derive(Debug)]
pub struct LiveDatabase {
    connector: Connector,
    /// The connection of the second look.
    pool: Pool<Connector>,
    target: String,
    /// Held while the second look asks: a thread that waited for a connection instead would give up
    /// when others need long.
    asking: Mutex<()>,
    /// Who the users are, and what lies in which folder, is read with a catalog.
    with_directory: bool,
}

impl LiveDatabase {
    /// A database whose connections `connector` makes. `target` names it in messages, without a
    /// password. Connects once at first, so that a wrong password is said at once.
    pub fn open(connector: Connector, target: &str) -> Result<LiveDatabase, CatalogError> {
        connector.connect().map_err(refused)?;
        Ok(LiveDatabase {
            pool: Pool::builder()
                .max_size(1)
                .min_idle(Some(0))
                .connection_timeout(CONNECTION_TIMEOUT)
                .error_handler(Box::new(r2d2::NopErrorHandler))
                .build_unchecked(connector.clone()),
            connector,
            target: target.to_owned(),
            asking: Mutex::default(),
            with_directory: false,
        })
    }

    /// Reads also who the users are, and what lies in which folder, as far as the role may.
    #[must_use]
    pub fn with_directory(self) -> LiveDatabase {
        LiveDatabase {
            with_directory: true,
            ..self
        }
    }

    /// The scratch space that work on the database's rows takes, roughly.
    pub fn scratch_needed(&self) -> Result<ScratchNeed, CatalogError> {
        let stream = self.connector.stream().map_err(refused)?;
        let rows = SIZES.query(&stream)?;
        stream.close();
        let size = |column| u64::try_from(rows[0].get::<_, i64>(column)).unwrap_or(0);
        Ok(ScratchNeed {
            sorting: size(0) * 3 / 2 + size(1) / 3,
            findings: (size(0) / PFILE_ROW).saturating_mul(FINDING),
        })
    }

    /// How much of its server's disk the database takes.
    pub fn size(&self) -> Result<u64, CatalogError> {
        let stream = self.connector.stream().map_err(refused)?;
        let rows = DATABASE_SIZE.query(&stream)?;
        stream.close();
        Ok(u64::try_from(rows[0].get::<_, i64>(0)).unwrap_or(0))
    }

    /// Reads a catalog over up to `threads` connections. It is kept in `destination`, an empty file,
    /// or in a scratch file that goes with it.
    pub fn read_catalog(
        &self,
        scratch: &Path,
        destination: Option<(std::fs::File, &Path)>,
        threads: usize,
        monitor: &dyn Monitor,
    ) -> Result<Catalog, CatalogError> {
        monitor.phase(Phase::ReadRows, None);
        let main = self.begin()?;
        let facts = Facts::of(&main, self.with_directory)?;
        facts.require_fossology(&self.target)?;
        require_rights(&main, &self.target)?;
        let builder = Builder::new(&self.target, scratch)?;
        self.read_rows(main, &facts, &builder, threads, monitor)?;
        let provenance = Provenance {
            kind: "live".to_owned(),
            origin: self.target.clone(),
            database: Some(facts.database),
            server_version: Some(facts.server_version),
            taken: Some(facts.taken),
            made_by: env!("CARGO_PKG_VERSION").to_owned(),
        };
        builder.finish(provenance, destination, threads, monitor)
    }

    /// A connection with a transaction that only reads.
    fn begin(&self) -> Result<RowStream, CatalogError> {
        let stream = self.connector.stream().map_err(refused)?;
        ENCODING.run(&stream)?;
        BEGIN.run(&stream)?;
        Ok(stream)
    }

    fn read_rows(
        &self,
        main: RowStream,
        facts: &Facts,
        builder: &Builder,
        threads: usize,
        monitor: &dyn Monitor,
    ) -> Result<(), CatalogError> {
        let snapshot = export_snapshot(&main)?;
        let pieces = Pieces::of(&main, lock_trees(&main)?)?;
        let connections = pieces.connections.min(threads).clamp(1, MOST_CONNECTIONS);
        let others = match snapshot {
            Some(snapshot) => self.sharing(&snapshot, connections - 1),
            None => Vec::new(),
        };
        let watch = Watch::new(monitor);
        let next = AtomicUsize::new(0);
        let read = |stream: RowStream| {
            let mut writer = builder.writer();
            while let Some(piece) = pieces.all.get(next.fetch_add(1, Ordering::Relaxed)) {
                if watch.is_over() {
                    return Err(CatalogError::Stopped);
                }
                facts
                    .read(piece, &stream, &mut writer, &watch)
                    .inspect_err(|_| watch.fail())?;
            }
            Ok((stream, writer))
        };
        std::thread::scope(|scope| {
            let handles: Vec<_> = others
                .into_iter()
                .map(|stream| scope.spawn(|| read(stream)))
                .collect();
            let mut results = vec![read(main)];
            for handle in handles {
                match handle.join() {
                    Ok(result) => results.push(result),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            take_in(results)
        })
    }

    /// Up to `count` further connections that see a snapshot; fewer where there can be no more.
    fn sharing(&self, snapshot: &str, count: usize) -> Vec<RowStream> {
        let import = format!(
            "SET TRANSACTION SNAPSHOT '{}'",
            snapshot.replace('\'', "''")
        );
        let shared = || {
            let stream = self.begin().ok()?;
            stream.run(&import).ok()?;
            NO_JIT.query(&stream).ok()?;
            Some(stream)
        };
        std::iter::from_fn(shared).take(count).collect()
    }
}

/// What lets other connections see the snapshot of this one; `None` where the server has no such
/// thing to give.
fn export_snapshot(stream: &RowStream) -> Result<Option<String>, CatalogError> {
    // No savepoint may stand around this: in one, no snapshot can be exported.
    let Ok(rows) = EXPORT_SNAPSHOT.query(stream) else {
        // The failed statement has ended the transaction: everything is read in another.
        end(stream);
        BEGIN.run(stream)?;
        NO_JIT.query(stream)?;
        return Ok(None);
    };
    NO_JIT.query(stream)?;
    Ok(rows.first().map(|row| row.get(0)))
}

/// Whether the tables of trees stay while they are read one by one.
fn lock_trees(stream: &RowStream) -> Result<bool, CatalogError> {
    if LOCK_TREES.run(stream).is_ok() {
        return Ok(true);
    }
    LOCK_TREES_REFUSED.run(stream)?;
    Ok(false)
}

/// Ends a read-only transaction; one on a broken connection has ended already.
fn end(stream: &RowStream) {
    let _ = stream.run("ROLLBACK");
}

/// What has read to its end counts when all have. Of several errors, the one that made the others
/// stop is returned.
fn take_in(results: Vec<Result<(RowStream, RowWriter), CatalogError>>) -> Result<(), CatalogError> {
    let mut writers = Vec::new();
    let mut failure = None;
    for result in results {
        match result {
            Ok((stream, writer)) => {
                end(&stream);
                stream.close();
                writers.push(writer);
            }
            Err(CatalogError::Stopped) if failure.is_some() => {}
            Err(error) => failure = Some(error),
        }
    }
    match failure {
        Some(error) => Err(error),
        None => writers.into_iter().try_for_each(RowWriter::close),
    }
}

fn refused(source: ConnectError) -> CatalogError {
    CatalogError::Connect {
        source: Box::new(source),
    }
}

impl LiveRows for LiveDatabase {
    fn rows_now(
        &self,
        names: &[(RepositoryName, Vec<i32>)],
    ) -> Result<Vec<(RepositoryName, RowNow)>, CatalogError> {
        let _turn = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        let mut client = self.client()?;
        let mut rows = Vec::new();
        for some in names.chunks(NAMES_AT_ONCE) {
            let digests: Vec<String> = some
                .iter()
                .flat_map(|(name, _)| {
                    let lower = name.to_string()[..40].to_owned();
                    [lower.to_ascii_uppercase(), lower]
                })
                .collect();
            let keys: Vec<i32> = some.iter().flat_map(|(_, keys)| keys.clone()).collect();
            let found = client
                .query(ROWS_NOW.text, &[&digests, &keys])
                .map_err(|error| ROWS_NOW.refused(error))?;
            for row in found {
                // A malformed digest is NULL or any text: such a row has none of the names.
                let digest = |column| -> &str {
                    let text: Option<&str> = row.try_get(column).unwrap_or_default();
                    text.unwrap_or_default().trim_end()
                };
                let size: Option<i64> = row.get(2);
                let name = RepositoryName::from_row(
                    digest(0).as_bytes(),
                    digest(1).as_bytes(),
                    size.unwrap_or(-1),
                );
                if let Some(name) = name {
                    let row = RowNow {
                        exists: true,
                        in_gold: row.get(3),
                        in_files: row.get(4),
                    };
                    rows.push((name, row));
                }
            }
        }
        Ok(rows)
    }

    fn all_rows_now(
        &self,
        scratch: &Path,
        threads: usize,
        monitor: &dyn Monitor,
    ) -> Result<Option<Catalog>, CatalogError> {
        // What was found so far has to find room as well.
        let needed = self.scratch_needed()?.sorting.saturating_mul(2);
        if free_room(scratch).is_ok_and(|free| free < needed) {
            monitor.warn(&format!(
                "{} has no room to read all rows again: they are asked for by name, which takes its time",
                scratch.display()
            ));
            return Ok(None);
        }
        self.read_catalog(scratch, None, threads, monitor).map(Some)
    }

    fn temporary_trees_in_use_since(&self) -> Result<Option<Micros>, CatalogError> {
        let _turn = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        let row = self
            .client()?
            .query_one(TEMPORARY_TREES_NOW.text, &[])
            .map_err(|error| TEMPORARY_TREES_NOW.refused(error))?;
        Ok(row.get(0))
    }
}

impl LiveDatabase {
    /// The connection of the second look. Only who holds `asking` may wait for it.
    fn client(&self) -> Result<PooledConnection<Connector>, CatalogError> {
        let mut client = self.pool.get().map_err(|error| CatalogError::Connect {
            source: Box::new(error),
        })?;
        client
            .batch_execute(ENCODING.text)
            .map_err(|error| ENCODING.refused(error))?;
        Ok(client)
    }
}
