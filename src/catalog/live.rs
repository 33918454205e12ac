//! A catalog from a live PostgreSQL, and the second look at it.
//!
//! One repeatable-read, read-only snapshot is shared by the connections of a pool: the tree rows
//! stream over one, everything else over another. Where the server cannot share a snapshot (some
//! standbys and poolers), one connection reads everything. Nothing is written, not even a temporary
//! table, so a role that may read is enough.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use postgres::Client;
use r2d2::{ManageConnection, Pool, PooledConnection};

use super::binary_copy::{BinaryRow, BinaryRows};
use super::build::Builder;
use super::row_writer::RowWriter;
use super::rows::{JobRow, JobqueueRow, PfileRow, RowSink, TreeRow, UnunpackArsRow, UploadRow};
use super::rows_now::{LiveRows, RowNow};
use super::{Catalog, CatalogError, Provenance};
use crate::monitor::{Monitor, Phase};
use crate::repository::RepositoryName;

/// A statement and the name of its file, for messages.
struct Statement {
    name: &'static str,
    text: &'static str,
}

macro_rules! statement {
    ($name:literal) => {
        Statement {
            name: $name,
            text: include_str!(concat!("../../sql/", $name, ".sql")),
        }
    };
}

const BEGIN: Statement = statement!("begin");
const ENCODING: Statement = statement!("encoding");
const EXPORT_SNAPSHOT: Statement = statement!("export_snapshot");
const SERVER: Statement = statement!("server");
const COLUMNS: Statement = statement!("columns");
const RIGHTS: Statement = statement!("rights");
const SIZES: Statement = statement!("sizes");
const COPY_PFILE: Statement = statement!("copy_pfile");
const COPY_UPLOADTREE: Statement = statement!("copy_uploadtree");
const COPY_UPLOAD: Statement = statement!("copy_upload");
const COPY_JOB: Statement = statement!("copy_job");
const COPY_JOBQUEUE: Statement = statement!("copy_jobqueue");
const COPY_UNUNPACK_ARS: Statement = statement!("copy_ununpack_ars");
const ROWS_NOW: Statement = statement!("rows_now");

/// The tables that every FOSSology database has, in the order in which a missing one is named.
const REQUIRED: [(&str, &[&str]); 5] = [
    (
        "pfile",
        &["pfile_pk", "pfile_sha1", "pfile_md5", "pfile_size"],
    ),
    (
        "upload",
        &[
            "upload_pk",
            "upload_filename",
            "upload_mode",
            "pfile_fk",
            "upload_origin",
        ],
    ),
    (
        "uploadtree",
        &["upload_fk", "pfile_fk", "ufile_mode", "ufile_name"],
    ),
    ("job", &["job_pk", "job_upload_fk"]),
    ("jobqueue", &["jq_pk", "jq_job_fk", "jq_type", "jq_endtime"]),
];

/// So many names are asked for in one statement of the second look.
const NAMES_AT_ONCE: usize = 2000;

/// Rows between two questions whether to stop.
const ROWS_AT_ONCE: u64 = 4096;

/// Connections: one for the tree rows, one for everything else.
const CONNECTIONS: u32 = 2;

/// How long a further connection may take.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(15);

/// A live FOSSology database.
#[derive(Debug)]
pub struct LiveDatabase<M: ManageConnection<Connection = Client>> {
    pool: Pool<M>,
    target: String,
    /// Held while the second look asks: a thread that waited for a connection instead would give up
    /// when others need long.
    asking: Mutex<()>,
}

/// What the database says of itself.
struct Facts {
    database: String,
    server_version: String,
    taken: i64,
    columns: HashSet<(String, String)>,
}

impl<M> LiveDatabase<M>
where
    M: ManageConnection<Connection = Client>,
{
    /// A database whose connections `manager` makes. `target` names it in messages, without a
    /// password. Connects once at first, so that a wrong password is said at once and as such: a
    /// pool would try again and again, and hide why.
    pub fn open(manager: M, target: &str) -> Result<LiveDatabase<M>, CatalogError>
    where
        M::Error: Send + Sync,
    {
        manager.connect().map_err(|error| CatalogError::Connect {
            source: Box::new(error),
        })?;
        Ok(LiveDatabase {
            pool: Pool::builder()
                .max_size(CONNECTIONS)
                .min_idle(Some(0))
                .connection_timeout(CONNECTION_TIMEOUT)
                .error_handler(Box::new(r2d2::NopErrorHandler))
                .build_unchecked(manager),
            target: target.to_owned(),
            asking: Mutex::default(),
        })
    }

    /// Bytes of scratch space that sorting the database's rows takes, roughly.
    pub fn scratch_needed(&self) -> Result<u64, CatalogError> {
        let mut client = self.connect()?;
        let row = client
            .query_one(SIZES.text, &[])
            .map_err(|error| SIZES.refused(error))?;
        let size = |column| u64::try_from(row.get::<_, i64>(column)).unwrap_or(0);
        Ok(size(0) * 3 / 2 + size(1) / 3)
    }

    /// Reads a catalog. It is kept in `destination`, an empty file, or in a scratch file that goes
    /// with it.
    pub fn read_catalog(
        &self,
        scratch: &Path,
        destination: Option<(std::fs::File, &Path)>,
        threads: usize,
        monitor: &dyn Monitor,
    ) -> Result<Catalog, CatalogError> {
        monitor.phase(Phase::ReadRows, None);
        let mut main = self.connect()?;
        run(&mut main, &BEGIN)?;
        let facts = self.facts(&mut main)?;
        facts.require_fossology(&self.target)?;
        self.require_rights(&mut main)?;
        let builder = Builder::new(&self.target, scratch)?;
        let read = self.read_rows(&mut main, &facts, &builder, monitor);
        end(&mut main);
        read?;
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

    fn read_rows(
        &self,
        main: &mut Client,
        facts: &Facts,
        builder: &Builder,
        monitor: &dyn Monitor,
    ) -> Result<(), CatalogError> {
        let mut second = self.second_connection(main)?;
        std::thread::scope(|scope| {
            let trees = second.as_mut().map(|second| {
                scope.spawn(|| {
                    let mut writer = builder.writer();
                    let result = facts.tree_rows(second, &mut writer, monitor);
                    end(second);
                    result.and_then(|()| writer.close())
                })
            });
            let mut writer = builder.writer();
            let mut result = facts.all_but_tree_rows(main, &mut writer, monitor);
            match trees {
                Some(trees) => {
                    let other = match trees.join() {
                        Ok(other) => other,
                        Err(panic) => std::panic::resume_unwind(panic),
                    };
                    result = result.and(other);
                }
                None if result.is_ok() => {
                    result = facts.tree_rows(main, &mut writer, monitor);
                }
                None => {}
            }
            result.and_then(|()| writer.close())
        })
    }

    /// A second connection that sees the snapshot of the first; `None` where there can be none.
    fn second_connection(
        &self,
        main: &mut Client,
    ) -> Result<Option<PooledConnection<M>>, CatalogError> {
        // Neither a transaction of the client library's nor a savepoint may stand around this: the
        // one would end ours, and in the other no snapshot can be exported.
        let Ok(row) = main.query_one(EXPORT_SNAPSHOT.text, &[]) else {
            // The failed statement has ended the transaction: everything is read in another.
            end(main);
            run(main, &BEGIN)?;
            return Ok(None);
        };
        let snapshot: String = row.get(0);
        let Ok(mut second) = self.connect() else {
            return Ok(None);
        };
        let import = format!(
            "SET TRANSACTION SNAPSHOT '{}'",
            snapshot.replace('\'', "''")
        );
        let imported = run(&mut second, &BEGIN).is_ok() && second.batch_execute(&import).is_ok();
        if !imported {
            end(&mut second);
        }
        Ok(imported.then_some(second))
    }

    fn connect(&self) -> Result<PooledConnection<M>, CatalogError> {
        let mut client = self.pool.get().map_err(|error| CatalogError::Connect {
            source: Box::new(error),
        })?;
        run(&mut client, &ENCODING)?;
        Ok(client)
    }

    /// Makes sure that the role may read every table, for a run that fails at each missing right in
    /// turn is a nuisance.
    fn require_rights(&self, client: &mut Client) -> Result<(), CatalogError> {
        let rows = client
            .query(RIGHTS.text, &[])
            .map_err(|error| RIGHTS.refused(error))?;
        let Some(first) = rows.first() else {
            return Ok(());
        };
        Err(CatalogError::NoRight {
            target: self.target.clone(),
            tables: rows.iter().map(|row| row.get(0)).collect(),
            role: first.get(1),
        })
    }

    fn facts(&self, client: &mut Client) -> Result<Facts, CatalogError> {
        let server = client
            .query_one(SERVER.text, &[])
            .map_err(|error| SERVER.refused(error))?;
        let columns = client
            .query(COLUMNS.text, &[])
            .map_err(|error| COLUMNS.refused(error))?
            .into_iter()
            .map(|row| (row.get(0), row.get(1)))
            .collect();
        Ok(Facts {
            database: server.get(0),
            server_version: server.get(1),
            taken: server.get(2),
            columns,
        })
    }
}

impl Facts {
    fn has(&self, table: &str, column: &str) -> bool {
        self.columns
            .contains(&(table.to_owned(), column.to_owned()))
    }

    fn require_fossology(&self, target: &str) -> Result<(), CatalogError> {
        let missing = |what| CatalogError::NotFossology {
            origin: target.to_owned(),
            what,
        };
        for (table, _) in REQUIRED {
            if !self.columns.iter().any(|(name, _)| name == table) {
                return Err(missing(format!("table {table}")));
            }
        }
        for (table, columns) in REQUIRED {
            for column in columns {
                if !self.has(table, column) {
                    return Err(missing(format!("column {table}.{column}")));
                }
            }
        }
        Ok(())
    }

    /// A statement with the columns that this release has.
    fn adapted(&self, statement: &Statement, table: &str, optional: &[&str]) -> String {
        let mut text = statement.text.to_owned();
        for column in optional {
            let value = if self.has(table, column) {
                (*column).to_owned()
            } else {
                "NULL::text".to_owned()
            };
            text = text.replace(&format!("{{{column}}}"), &value);
        }
        text
    }

    fn tree_rows(
        &self,
        client: &mut Client,
        writer: &mut RowWriter,
        monitor: &dyn Monitor,
    ) -> Result<(), CatalogError> {
        stream(
            client,
            &COPY_UPLOADTREE,
            COPY_UPLOADTREE.text,
            monitor,
            |row| {
                Ok(writer.tree(&TreeRow {
                    upload: row.key(0)?,
                    pfile: row.int(1)?.unwrap_or(0),
                    listing: row.truth(2),
                }))
            },
        )
    }

    fn all_but_tree_rows(
        &self,
        client: &mut Client,
        writer: &mut RowWriter,
        monitor: &dyn Monitor,
    ) -> Result<(), CatalogError> {
        let text = self.adapted(&COPY_PFILE, "pfile", &["pfile_sha256"]);
        stream(client, &COPY_PFILE, &text, monitor, |row| {
            Ok(writer.pfile(&PfileRow {
                pk: row.key(0)?,
                sha1: row.bytes(1).unwrap_or_default(),
                md5: row.bytes(2).unwrap_or_default(),
                size: row.int(3)?.unwrap_or(-1),
                sha256: row.bytes(4),
            }))
        })?;
        let text = self.adapted(
            &COPY_UPLOAD,
            "upload",
            &["uploadtree_tablename", "expire_action"],
        );
        stream(client, &COPY_UPLOAD, &text, monitor, |row| {
            Ok(writer.upload(&UploadRow {
                pk: row.key(0)?,
                filename: row.bytes(1).unwrap_or_default(),
                mode: row.int(2)?.unwrap_or(0),
                pfile: row.int(3)?.unwrap_or(0),
                origin: row.bytes(4),
                uploaded: row.time(5)?,
                user: row.int(6)?,
                tree_table: row.bytes(7),
                expire_action: row.bytes(8),
            }))
        })?;
        stream(client, &COPY_JOB, COPY_JOB.text, monitor, |row| {
            Ok(writer.job(&JobRow {
                pk: row.key(0)?,
                upload: row.int(1)?,
                queued: row.time(2)?,
            }))
        })?;
        let text = self.adapted(&COPY_JOBQUEUE, "jobqueue", &["jq_cmd_args"]);
        stream(client, &COPY_JOBQUEUE, &text, monitor, |row| {
            Ok(writer.jobqueue(&JobqueueRow {
                pk: row.key(0)?,
                job: row.key(1)?,
                agent: row.bytes(2).unwrap_or_default(),
                args: row.bytes(3),
                started: row.time(4)?,
                ended: row.time(5)?,
                end_bits: row.int(6)?.unwrap_or(0),
                items: row.int(7)?,
                cmd_args: row.bytes(8),
            }))
        })?;
        if self.has("ununpack_ars", "ars_success") {
            let text = COPY_UNUNPACK_ARS.text;
            stream(client, &COPY_UNUNPACK_ARS, text, monitor, |row| {
                Ok(writer.ununpack_ars(&UnunpackArsRow {
                    upload: row.key(0)?,
                    success: row.truth(1),
                    ended: row.time(2)?,
                }))
            })?;
        }
        Ok(())
    }
}

impl<M> LiveRows for LiveDatabase<M>
where
    M: ManageConnection<Connection = Client>,
{
    fn rows_now(
        &self,
        names: &[(RepositoryName, Vec<i32>)],
    ) -> Result<Vec<(RepositoryName, RowNow)>, CatalogError> {
        let _turn = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        let mut client = self.connect()?;
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
}

impl Statement {
    fn refused(&self, error: postgres::Error) -> CatalogError {
        CatalogError::Query {
            statement: self.name,
            source: Box::new(error),
        }
    }
}

fn run(client: &mut Client, statement: &Statement) -> Result<(), CatalogError> {
    client
        .batch_execute(statement.text)
        .map_err(|error| statement.refused(error))
}

/// Ends a read-only transaction; one on a broken connection has ended already.
fn end(client: &mut Client) {
    let _ = client.batch_execute("ROLLBACK");
}

/// Hands every row of a COPY to `each`, whose outer error is about the row's form.
fn stream(
    client: &mut Client,
    statement: &Statement,
    text: &str,
    monitor: &dyn Monitor,
    mut each: impl FnMut(&BinaryRow<'_>) -> io::Result<Result<(), CatalogError>>,
) -> Result<(), CatalogError> {
    let unreadable = |source: io::Error| CatalogError::Query {
        statement: statement.name,
        source: Box::new(source),
    };
    let reader = client
        .copy_out(text)
        .map_err(|error| statement.refused(error))?;
    let mut rows = BinaryRows::new(reader);
    let mut count = 0u64;
    while let Some(row) = rows.next().map_err(unreadable)? {
        each(&row).map_err(unreadable)??;
        count += 1;
        if count.is_multiple_of(ROWS_AT_ONCE) {
            monitor.advance(ROWS_AT_ONCE, 0);
            if monitor.stopped() {
                return Err(CatalogError::Stopped);
            }
        }
    }
    monitor.advance(count % ROWS_AT_ONCE, 0);
    Ok(())
}
