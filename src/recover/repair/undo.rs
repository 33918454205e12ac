//! Taking a run back, step by step, the last one first.
//!
//! What a step was, its journal says; whether it was taken, the tree itself. Nothing that stands
//! anywhere now is overwritten: what has changed since is left, and said. So a run can be taken back
//! twice, and an undo that was killed is gone on with by the same call. Files come first, and need no
//! database; rows come last, as far as there is one.

use serde::Serialize;

use super::error::RepairError;
use super::journal::{Record, Step, runs};
use super::sha256::Rows;
use super::steps::{self, Taken};
use crate::check::path_text;
use crate::monitor::{Monitor, Phase};
use crate::recover::files;
use crate::recover::in_full::in_full;
use crate::recover::lock::keep_others_out;
use crate::recover::quarantine::Quarantine;
use crate::repository::{Tree, TreePath};
use crate::sysconf::Connector;

/// So many things that were left are named.
const MOST_NAMED: usize = 50;
/// So many rows are cleared at a time.
const ROWS_AT_ONCE: usize = 1000;

/// What was taken back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Undone {
    /// The run.
    pub run: String,
    /// Whether anything was done, and not only looked at.
    pub applied: bool,
    /// Steps in its journal.
    pub steps: u64,
    /// Steps that were, or would be, taken back.
    pub undone: u64,
    /// Steps that were left.
    pub left: u64,
    /// The first of those, each with the reason.
    pub named: Vec<Left>,
    /// Why it did not come to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// A step that was left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Left {
    /// Where.
    pub path: String,
    /// Why.
    pub why: String,
}

/// Takes a run back; with `apply` it is done, else only counted.
pub fn run(
    tree: &Tree,
    name: &str,
    connector: Option<&Connector>,
    apply: bool,
    monitor: &dyn Monitor,
) -> Result<Undone, RepairError> {
    if apply && !keep_others_out(tree) {
        return Err(RepairError::Locked {
            path: tree.path().to_owned(),
        });
    }
    let Some(mut record) = Record::open(tree, name)? else {
        return Err(RepairError::NoSuchRun {
            run: name.to_owned(),
            known: runs(tree)?,
        });
    };
    let mut undo = Undo {
        tree,
        quarantine: Quarantine::of(tree, name),
        connector,
        database: record.head.database.clone().unwrap_or_default(),
        database_rows: None,
        apply,
        undone: Undone {
            run: record.head.run.clone(),
            applied: apply,
            steps: record.len() as u64,
            ..Undone::default()
        },
    };
    monitor.phase(Phase::Repair, Some(record.len() as u64));
    let mut result = undo.all(&mut record, monitor);
    if apply {
        result = result.and(files::sync(tree).map_err(RepairError::from));
    }
    undo.undone.trouble = result.err().map(|error| in_full(&error));
    Ok(undo.undone)
}

struct Undo<'a> {
    tree: &'a Tree,
    quarantine: Quarantine<'a>,
    connector: Option<&'a Connector>,
    /// The database that the run was about.
    database: String,
    /// The connection; or why there is none any more.
    database_rows: Option<Result<Rows, String>>,
    apply: bool,
    undone: Undone,
}

impl Undo<'_> {
    /// The steps about files, the last one first; then those about rows.
    fn all(&mut self, record: &mut Record, monitor: &dyn Monitor) -> Result<(), RepairError> {
        let mut has_rows = false;
        for number in (0..record.len()).rev() {
            if monitor.stopped() {
                return Err(RepairError::Stopped);
            }
            let step = record.step(self.tree, number)?;
            if let Step::Sha256 { .. } = step {
                has_rows = true;
                continue;
            }
            self.file(&step);
            monitor.advance(1, 0);
        }
        // Read a second time, for there may be more of them than memory holds.
        let mut rows = Vec::new();
        for number in (0..record.len()).rev().filter(|_| has_rows) {
            if monitor.stopped() {
                return Err(RepairError::Stopped);
            }
            if let Step::Sha256 { pfile, digest } = record.step(self.tree, number)? {
                rows.push((pfile, digest));
                monitor.advance(1, 0);
            }
            if rows.len() == ROWS_AT_ONCE {
                self.rows(&std::mem::take(&mut rows));
            }
        }
        self.rows(&rows);
        Ok(())
    }

    fn file(&mut self, step: &Step) {
        if !self.apply {
            self.undone.undone += u64::from(steps::is_taken(self.tree, step));
            return;
        }
        match steps::take_back(self.tree, &self.quarantine, step) {
            Taken::Done => self.undone.undone += 1,
            Taken::Nothing => {}
            Taken::Left(why) => {
                let path = step
                    .path()
                    .map_or_else(String::new, |path| path_text(path).0);
                self.leave(path, why);
            }
        }
    }

    /// Takes the sha256 of rows away, or counts those that would lose it. Whatever is the matter with
    /// the database, they are left, and that is said.
    fn rows(&mut self, given: &[(i32, String)]) {
        if given.is_empty() {
            return;
        }
        let connector = self.connector;
        let rows = self.database_rows.get_or_insert_with(|| match connector {
            Some(connector) => Rows::connect(connector).map_err(|error| in_full(&error)),
            None => Err("its sha256 can be taken away in the live database alone".to_owned()),
        });
        let done = match rows {
            Ok(rows) if self.apply => rows.clear(given, &self.database),
            Ok(rows) => rows.filled(given, &self.database),
            Err(why) => {
                let why = why.clone();
                return self.leave_rows(given, &why);
            }
        };
        match done {
            Ok(number) => self.undone.undone += number,
            Err(error) => {
                let why = in_full(&error);
                self.leave_rows(given, &why);
                self.database_rows = Some(Err(why));
            }
        }
    }

    fn leave_rows(&mut self, given: &[(i32, String)], why: &str) {
        for (pfile, _) in given {
            self.leave(format!("pfile {pfile}"), why.to_owned());
        }
    }

    fn leave(&mut self, path: String, why: String) {
        self.undone.left += 1;
        if self.undone.named.len() < MOST_NAMED {
            self.undone.named.push(Left { path, why });
        }
    }
}

impl Step {
    /// The path that it is about.
    fn path(&self) -> Option<&TreePath> {
        match self {
            Step::Take { path, .. }
            | Step::Move { path, .. }
            | Step::Put { path, .. }
            | Step::Replace { path, .. }
            | Step::Mode { path, .. } => Some(path),
            Step::Sha256 { .. } => None,
        }
    }
}
