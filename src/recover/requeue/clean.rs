//! Cleaning up after unpack jobs: rows of pfile that came while they ran and that nothing uses, and
//! their files.
//!
//! Each unpack of a zip writes a new listing, with a new row that no tree row uses. They are taken
//! away only while nothing is being unpacked, each looked at again under a lock that keeps everyone
//! from beginning to use it; its file goes to the quarantine before the row is gone, so that a crash
//! leaves a row without a file (which the next run takes away), and never a file without a row.

use postgres::Transaction;
use serde::Serialize;

use super::database::{Database, query, refused};
use super::error::RequeueError;
use super::journal::{Entry, Journal};
use super::statement::{self, identifier};
use crate::catalog::Amount;
use crate::monitor::Monitor;
use crate::recover::quarantine::Quarantine;
use crate::repository::{RepositoryName, Tree};
use crate::sysconf::RepositoryType;

/// What came of cleaning up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cleaned {
    /// Rows of pfile that were taken away.
    pub rows: u64,
    /// Files that were moved to the quarantine.
    pub files: Amount,
    /// Why nothing, or not all, was cleaned up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub postponed: Option<String>,
}

/// A row that nothing uses.
struct Unused {
    pk: i32,
    name: Option<RepositoryName>,
    /// Another row bears the name: the file is that one's too.
    shared: bool,
}

/// Cleans up after all runs that have left a journal.
pub(super) fn clean(
    database: &mut Database,
    tree: &Tree,
    journal: &Journal<'_>,
    quarantine: &Quarantine<'_>,
    monitor: &dyn Monitor,
) -> Result<Cleaned, RequeueError> {
    let mut cleaned = Cleaned::default();
    let name = database.mark()?.database;
    let entries = journal.entries(&name)?;
    let (Some(began), Some(mut above)) = (
        entries.iter().map(|entry| entry.began).min(),
        entries.iter().map(|entry| entry.last_pfile).min(),
    ) else {
        return Ok(cleaned);
    };
    let unused = unused_statement(database)?;
    loop {
        if monitor.stopped() {
            cleaned.postponed = Some("stopped".to_owned());
            return Ok(cleaned);
        }
        let step = database.transaction(|transaction, target| {
            let rows = match some_unused(transaction, target, &unused, began, above)? {
                Ok(rows) => rows,
                Err(why) => return Ok(Err(why)),
            };
            let mut moved = Amount::default();
            for row in rows.iter().filter(|row| !row.shared) {
                if let Some(name) = &row.name {
                    take_files(tree, name, quarantine, &mut moved)?;
                }
            }
            let keys: Vec<i32> = rows.iter().map(|row| row.pk).collect();
            query(transaction, target, statement::DROP_ROWS, &[&keys])?;
            Ok(Ok((keys, moved)))
        })?;
        let (keys, moved) = match step {
            Ok(step) => step,
            Err(why) => {
                cleaned.postponed = Some(why);
                return Ok(cleaned);
            }
        };
        cleaned.rows += keys.len() as u64;
        cleaned.files += moved;
        let Some(last) = keys.last() else { break };
        above = *last;
    }
    close(journal, &entries)?;
    Ok(cleaned)
}

/// Under the lock, the next rows that nothing uses; or why it is too early to take any.
fn some_unused(
    transaction: &mut Transaction<'_>,
    target: &str,
    unused: &str,
    began: i64,
    above: i32,
) -> Result<Result<Vec<Unused>, String>, RequeueError> {
    transaction
        .batch_execute(statement::CLEAN_LOCK.text)
        .map_err(|error| refused(target, statement::CLEAN_LOCK.name, error))?;
    let busy = query(transaction, target, statement::UNFINISHED, &[&began])?;
    if let Some(row) = busy.first() {
        return Ok(Err(too_early(row)));
    }
    let rows = transaction
        .query(unused, &[&above])
        .map_err(|error| refused(target, statement::UNUSED.name, error))?;
    Ok(Ok(rows.iter().map(of_row).collect()))
}

fn close(journal: &Journal<'_>, entries: &[Entry]) -> Result<(), RequeueError> {
    entries.iter().try_for_each(|entry| journal.close(entry))
}

/// The statement that finds unused rows: it asks every column that may point at one.
fn unused_statement(database: &mut Database) -> Result<String, RequeueError> {
    let columns = database.query(statement::PFILE_REFERENCES, &[])?;
    let conditions: Vec<String> = columns
        .iter()
        .map(|row| {
            let (table, column) = (identifier(row.get(0)), identifier(row.get(1)));
            format!("NOT EXISTS (SELECT FROM public.{table} x WHERE x.{column} = p.pfile_pk)")
        })
        .collect();
    let unused = conditions.join("\n   AND ");
    Ok(statement::UNUSED.text.replace("{unused}", &unused))
}

fn of_row(row: &postgres::Row) -> Unused {
    let digest = |column| -> &str {
        let text: Option<&str> = row.try_get(column).unwrap_or_default();
        text.unwrap_or_default().trim_end()
    };
    Unused {
        pk: row.get(0),
        name: RepositoryName::from_row(
            digest(1).as_bytes(),
            digest(2).as_bytes(),
            row.get::<_, Option<i64>>(3).unwrap_or(-1),
        ),
        shared: row.get(4),
    }
}

fn take_files(
    tree: &Tree,
    name: &RepositoryName,
    quarantine: &Quarantine<'_>,
    moved: &mut Amount,
) -> Result<(), RequeueError> {
    for path in tree.layout().places(RepositoryType::Files, name) {
        let Some(meta) = tree.meta(&path).ok().filter(|meta| meta.is_file()) else {
            continue;
        };
        quarantine
            .take(&path)
            .map_err(|source| RequeueError::Place {
                action: "move to the quarantine",
                root: tree.path().to_owned(),
                path: path.clone(),
                source,
            })?;
        moved.add(meta.size);
    }
    Ok(())
}

/// Why it is too early to clean up.
fn too_early(row: &postgres::Row) -> String {
    let upload: Option<i32> = row.get(0);
    let upload = upload.map_or_else(|| "an upload".to_owned(), |pk| format!("upload {pk}"));
    let agent: String = row.get(1);
    if row.get(2) {
        format!(
            "{upload} is not finished (its {agent} has no end): run 'fogold requeue --clean' again when it is"
        )
    } else {
        format!(
            "{upload} was unpacked with -I meanwhile, and its version-control files are used by no tree row, by \
             right: they cannot be told from what requeue left behind"
        )
    }
}
