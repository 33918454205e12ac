//! The database as requeue uses it: one connection of its own, which holds the lock.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use postgres::error::SqlState;
use postgres::types::ToSql;
use postgres::{Client, GenericClient, Row};

use super::error::RequeueError;
use super::statement::{self, Statement};
use crate::monitor::Monitor;
use crate::sysconf::Connector;

/// How long a lock is waited for, and between two tries.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// A row that has no end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OpenRow {
    pub(super) row: i32,
    /// When it was started, in seconds since 1970; `None` while it is still to start.
    pub(super) started: Option<i64>,
    /// Somebody has paused it: it does not start before it is resumed.
    pub(super) paused: bool,
}

/// What the queue knows of an upload.
#[derive(Clone, Debug, Default)]
pub(super) struct Queued {
    /// The arguments of its first unpack, as bytes.
    pub(super) arguments: Option<Vec<u8>>,
    /// How long its first completed unpack took.
    pub(super) seconds: Option<f64>,
    /// The row of an unpack of it that has no end.
    pub(super) open_unpack: Option<OpenRow>,
    /// Other rows of it have no end.
    pub(super) others_open: bool,
    /// A user who may write it.
    pub(super) user: Option<i32>,
}

/// How far a queued job is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct JobState {
    pub(super) started: bool,
    pub(super) ended: bool,
    pub(super) end_bits: i32,
    pub(super) end_text: Vec<u8>,
    pub(super) items: i32,
    pub(super) log: Vec<u8>,
}

impl JobState {
    /// It ended, and not well.
    pub(super) fn failed(&self) -> bool {
        self.ended && self.end_bits & 1 == 0
    }
}

/// What was queued for an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NewJob {
    pub(super) job: i32,
    pub(super) row: i32,
    /// Rows that now wait for it.
    pub(super) waiting: Vec<i32>,
}

/// The state before anything is queued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) last_pfile: i32,
    pub(super) database: String,
    pub(super) now: i64,
}

/// A connection that may write.
pub(super) struct Database {
    client: Client,
    target: String,
}

impl Database {
    pub(super) fn connect(connector: &Connector) -> Result<Database, RequeueError> {
        let target = connector.target().to_owned();
        let client = connector.connect().map_err(|error| RequeueError::Connect {
            source: Box::new(error),
        })?;
        let mut database = Database { client, target };
        database.batch(statement::LIMITS)?;
        let columns = database.query(statement::COLUMNS, &[])?;
        if !columns.is_empty() {
            return Err(RequeueError::TooOld {
                target: database.target,
                columns: columns.iter().map(|row| row.get(0)).collect(),
            });
        }
        Ok(database)
    }

    /// Makes sure that this is the only requeue, for as long as the connection lives. One that was
    /// killed has its lock until the server notices, so a moment is waited for it.
    pub(super) fn lock(&mut self, monitor: &dyn Monitor) -> Result<(), RequeueError> {
        let began = Instant::now();
        loop {
            let rows = self.query(statement::LOCK, &[])?;
            if rows.first().is_some_and(|row| row.get(0)) {
                return Ok(());
            }
            if began.elapsed() >= LOCK_PATIENCE || monitor.stopped() {
                return Err(RequeueError::Locked {
                    target: self.target.clone(),
                });
            }
            std::thread::sleep(LOCK_PAUSE);
        }
    }

    /// Makes sure that the role has all rights that are needed: to read, and, unless only a plan is
    /// wanted, to queue.
    pub(super) fn require_rights(&mut self, only_reads: bool) -> Result<(), RequeueError> {
        let mut rows = self.query(statement::RIGHTS, &[])?;
        rows.retain(|row| !only_reads || row.get::<_, &str>(0) == "SELECT");
        let Some(first) = rows.first() else {
            return Ok(());
        };
        let role: String = first.get(4);
        let mut objects: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
        for row in &rows {
            let key = (row.get(2), row.get(1));
            objects.entry(key).or_default().push(row.get(3));
        }
        let grants = objects.into_iter().map(|((kind, granted), names)| {
            let kind = if kind == "sequence" { "SEQUENCE " } else { "" };
            format!("GRANT {granted} ON {kind}{} TO {role}", names.join(", "))
        });
        Err(RequeueError::NoRight {
            target: self.target.clone(),
            grants: grants.collect(),
        })
    }

    /// What the queue knows of every upload that has a gold.
    pub(super) fn uploads(&mut self) -> Result<BTreeMap<i32, Queued>, RequeueError> {
        let rows = self.query(statement::UPLOADS, &[])?;
        let of = |row: &Row| Queued {
            arguments: row.get(1),
            seconds: row.get(2),
            open_unpack: row.get::<_, Option<i32>>(3).map(|open| OpenRow {
                row: open,
                started: row.get(4),
                paused: row.get(5),
            }),
            others_open: row.get(6),
            user: row.get(7),
        };
        Ok(rows.iter().map(|row| (row.get(0), of(row))).collect())
    }

    /// The state before anything is queued.
    pub(super) fn mark(&mut self) -> Result<Mark, RequeueError> {
        let row = self.one(statement::MARK, &[])?;
        Ok(Mark {
            last_pfile: row.get(0),
            database: row.get(1),
            now: row.get(2),
        })
    }

    /// Queues the unpack of an upload; `None` when one of it has no end yet, or it was deleted.
    pub(super) fn queue(
        &mut self,
        upload: i32,
        user: i32,
        waiting: &[i32],
    ) -> Result<Option<NewJob>, RequeueError> {
        let target = self.target.clone();
        queue(&mut self.client, &target, upload, user, waiting)
    }

    /// Queues the unpack of an upload once more, after `failed`; what waited for that row waits for the
    /// new one.
    pub(super) fn queue_again(
        &mut self,
        failed: i32,
        upload: i32,
        user: i32,
        waiting: &[i32],
    ) -> Result<Option<NewJob>, RequeueError> {
        self.transaction(|transaction, target| {
            query(transaction, target, statement::FORGET, &[&failed])?;
            queue(transaction, target, upload, user, waiting)
        })
    }

    /// How far jobs are.
    pub(super) fn progress(
        &mut self,
        rows: &[i32],
    ) -> Result<BTreeMap<i32, JobState>, RequeueError> {
        let found = self.query(statement::PROGRESS, &[&rows])?;
        let of = |row: &Row| JobState {
            started: row.get::<_, Option<bool>>(1).unwrap_or(false),
            ended: row.get(2),
            end_bits: row.get(3),
            end_text: row.get::<_, Option<_>>(4).unwrap_or_default(),
            items: row.get(5),
            log: row.get::<_, Option<_>>(6).unwrap_or_default(),
        };
        Ok(found.iter().map(|row| (row.get(0), of(row))).collect())
    }

    /// Runs several statements in one transaction; an error undoes them all.
    pub(super) fn transaction<T>(
        &mut self,
        work: impl FnOnce(&mut postgres::Transaction<'_>, &str) -> Result<T, RequeueError>,
    ) -> Result<T, RequeueError> {
        let target = self.target.clone();
        let failed = |error| refused(&target, "a transaction", error);
        let mut transaction = self.client.transaction().map_err(failed)?;
        let done = work(&mut transaction, &target)?;
        transaction.commit().map_err(failed)?;
        Ok(done)
    }

    pub(super) fn query(
        &mut self,
        statement: Statement,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, RequeueError> {
        query(&mut self.client, &self.target, statement, parameters)
    }

    /// Runs a statement into which names have been filled.
    pub(super) fn query_text(
        &mut self,
        statement: Statement,
        text: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, RequeueError> {
        self.client
            .query(text, parameters)
            .map_err(|error| refused(&self.target, statement.name, error))
    }

    fn one(
        &mut self,
        statement: Statement,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Row, RequeueError> {
        self.client
            .query_one(statement.text, parameters)
            .map_err(|error| refused(&self.target, statement.name, error))
    }

    fn batch(&mut self, statement: Statement) -> Result<(), RequeueError> {
        self.client
            .batch_execute(statement.text)
            .map_err(|error| refused(&self.target, statement.name, error))
    }
}

/// Queues the unpack of an upload, alone or within a transaction.
pub(super) fn queue(
    client: &mut impl GenericClient,
    target: &str,
    upload: i32,
    user: i32,
    waiting: &[i32],
) -> Result<Option<NewJob>, RequeueError> {
    let rows = query(
        client,
        target,
        statement::QUEUE,
        &[&upload, &user, &waiting],
    )?;
    Ok(rows.first().map(|row| NewJob {
        job: row.get(0),
        row: row.get(1),
        waiting: row.get(2),
    }))
}

/// Runs a statement, alone or within a transaction.
pub(super) fn query(
    client: &mut impl GenericClient,
    target: &str,
    statement: Statement,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Row>, RequeueError> {
    client
        .query(statement.text, parameters)
        .map_err(|error| refused(target, statement.name, error))
}

/// What a refusal means.
pub(super) fn refused(
    target: &str,
    statement: &'static str,
    error: postgres::Error,
) -> RequeueError {
    if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) {
        return RequeueError::NotOwner {
            target: target.to_owned(),
            statement,
            source: Box::new(error),
        };
    }
    RequeueError::Query {
        statement,
        source: Box::new(error),
    }
}
