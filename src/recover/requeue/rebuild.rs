//! Trees that a killed unpack has cut.
//!
//! The unpack agent that is run again sees rows, takes the tree for whole and adds nothing to it:
//! such an upload stays cut for ever. What mends it: its tree rows go, its runs count as failed, and
//! it is unpacked and numbered anew. Tree rows then have other keys, so all that hangs on the old
//! ones would be lost: an upload on whose tree a decision or a finding hangs is left alone and named.

use std::cell::LazyCell;
use std::collections::BTreeMap;

use serde::Serialize;

use super::database::{self, Database, Queued, refused};
use super::error::RequeueError;
use super::golds::Golds;
use super::report::{JobEnd, filename};
use super::scheduler::Running;
use super::statement::{self, array, identifier};
use super::wanted::Wanted;
use crate::catalog::Summary;
use crate::monitor::Monitor;
use crate::repository::{RepositoryName, TreePath};

/// An upload with a cut tree, and what is done about it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CutTree {
    /// The upload.
    pub upload: i32,
    /// Its file name; bytes that are not UTF-8 are replaced.
    pub filename: String,
    /// Rows that its tree has now.
    pub tree_rows: u64,
    /// Why it is left alone; absent when it is mended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// How the unpack stands that mends it; absent when it is left alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<JobEnd>,
    /// About how long that takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// The row of the unpack that mends it, once queued.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<i32>,
    /// The row of a killed unpack that is run again, instead of a new one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub killed_row: Option<i32>,
    #[serde(skip)]
    pub(super) gold: Option<(RepositoryName, TreePath)>,
    #[serde(skip)]
    pub(super) user: Option<i32>,
}

impl CutTree {
    /// The statements that mend it, as they could be given to `psql`.
    pub(super) fn shown(&self) -> Vec<String> {
        let upload = self.upload.to_string();
        let of_upload = std::slice::from_ref(&upload);
        let mut shown = vec![
            "BEGIN;".to_owned(),
            statement::FELL_TREE.shown(of_upload),
            statement::CLEAR_ARS.shown(of_upload),
        ];
        match (self.killed_row, self.user) {
            (Some(row), _) => shown.push(statement::RESTART.shown(&[row.to_string()])),
            (None, user) => {
                let user = user.map_or_else(|| "NULL".to_owned(), |user| user.to_string());
                let waits = array(&[self.upload]);
                shown.push(statement::QUEUE.shown(&[upload.clone(), user, waits]));
                // What the program has been told by then, psql looks up.
                let last = |column: &str| {
                    format!(
                        "(SELECT max(q.{column}) FROM public.jobqueue q JOIN public.job j ON j.job_pk = q.jq_job_fk \
                         WHERE j.job_upload_fk = {upload} AND q.jq_type = 'ununpack')"
                    )
                };
                let keys = [upload.clone(), last("jq_job_fk"), last("jq_pk")];
                shown.push(statement::NUMBER_TREE.shown(&keys));
            }
        }
        shown.push("COMMIT;".to_owned());
        shown
    }
}

/// What rows say of an upload whose unpack was killed.
struct Facts {
    tree_rows: i64,
    killed_row: Option<i32>,
    waiting_row: Option<i32>,
    killed_run: bool,
}

/// Finds the cut trees and judges which can be mended. Changes nothing.
pub(super) fn find(
    database: &mut Database,
    wanted: &Wanted,
    summary: &Summary,
    queued: &BTreeMap<i32, Queued>,
    golds: &mut Golds<'_>,
    running: &LazyCell<Running, impl FnOnce() -> Running>,
    monitor: &dyn Monitor,
) -> Result<Vec<CutTree>, RequeueError> {
    let uploads: Vec<i32> = wanted
        .cut_trees
        .union(&wanted.unfinished)
        .copied()
        .collect();
    let mut found = Vec::new();
    for row in database.query(statement::CUT_TREES, &[&uploads])? {
        let upload: i32 = row.get(0);
        let facts = Facts {
            tree_rows: row.get(1),
            killed_row: row.get(2),
            waiting_row: row.get(3),
            killed_run: row.get(4),
        };
        if facts.tree_rows == 0 && facts.waiting_row.is_some() {
            // Mended already: the unpack that makes the tree anew has not begun.
            continue;
        }
        let is_cut = wanted.cut_trees.contains(&upload)
            || (facts.tree_rows > 0 && facts.killed_row.is_some() && facts.killed_run);
        if !is_cut {
            continue;
        }
        let mut tree = CutTree {
            upload,
            filename: filename(summary, upload),
            tree_rows: u64::try_from(facts.tree_rows).unwrap_or(0),
            refused: None,
            end: None,
            seconds: None,
            row: None,
            killed_row: facts.killed_row,
            gold: None,
            user: queued.get(&upload).and_then(|queued| queued.user),
        };
        tree.refused = refusal(&facts, &tree, running);
        if tree.refused.is_none() {
            tree.refused = hanging(database, upload)?;
        }
        if tree.refused.is_none() {
            let gold = summary.upload(upload).and_then(|upload| upload.gold);
            match gold.map(|gold| (gold, golds.prove(&gold, monitor))) {
                Some((gold, Ok(path))) => tree.gold = Some((gold, path)),
                Some((_, Err(why))) => tree.refused = Some(why),
                None => tree.refused = Some("its gold is not known".to_owned()),
            }
        }
        tree.end = tree.refused.is_none().then_some(JobEnd::Planned);
        found.push(tree);
    }
    Ok(found)
}

/// Mends a tree, in one transaction; returns the row of the unpack.
pub(super) fn mend(database: &mut Database, tree: &CutTree) -> Result<Option<i32>, RequeueError> {
    let upload = tree.upload;
    let user = tree.user;
    database.transaction(|transaction, target| {
        let run = |transaction: &mut postgres::Transaction<'_>,
                   statement: statement::Statement,
                   key: i32| {
            transaction
                .execute(statement.text, &[&key])
                .map_err(|error| refused(target, statement.name, error))
        };
        run(transaction, statement::FELL_TREE, upload)?;
        run(transaction, statement::CLEAR_ARS, upload)?;
        if let Some(row) = tree.killed_row {
            run(transaction, statement::RESTART, row)?;
            return Ok(Some(row));
        }
        let user = user.ok_or(RequeueError::NoUser { upload })?;
        let new = database::queue(transaction, target, upload, user, &[upload])?;
        if let Some(new) = &new {
            let keys: [&(dyn postgres::types::ToSql + Sync); 3] = [&upload, &new.job, &new.row];
            database::query(transaction, target, statement::NUMBER_TREE, &keys)?;
        }
        Ok(new.map(|new| new.row))
    })
}

/// Why the queue forbids to touch a tree.
fn refusal(facts: &Facts, tree: &CutTree, running: &Running) -> Option<String> {
    if facts.waiting_row.is_some() {
        return Some("an unpack of it is queued already: let it end, and try again".to_owned());
    }
    if let Some(row) = facts.killed_row {
        match (running.is_at(row), running) {
            (Some(false), _) => {}
            (None, Running::Unknown(why)) => {
                return Some(format!(
                    "its unpack has no end, and the scheduler does not say whether it runs ({why})"
                ));
            }
            _ => return Some("the scheduler is unpacking it".to_owned()),
        }
    } else if tree.user.is_none() {
        return Some("no user of FOSSology may have it unpacked".to_owned());
    }
    None
}

/// What hangs on the tree of an upload.
fn hanging(database: &mut Database, upload: i32) -> Result<Option<String>, RequeueError> {
    let mut tables: Vec<String> = Vec::new();
    for row in database.query(statement::TREE_REFERENCES, &[])? {
        let (table, column): (String, String) = (row.get(0), row.get(1));
        let text = statement::TREE_REFERENCED
            .text
            .replace("{table}", &identifier(&table))
            .replace("{column}", &identifier(&column));
        let found = database.query_text(statement::TREE_REFERENCED, &text, &[&upload])?;
        if found.first().is_some_and(|row| row.get(0)) {
            tables.push(table);
        }
    }
    tables.dedup();
    Ok((!tables.is_empty()).then(|| {
        format!(
            "decisions or findings hang on its tree ({}), and would be lost",
            tables.join(", ")
        )
    }))
}
