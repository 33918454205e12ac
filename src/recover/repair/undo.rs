//! Taking a run back, step by step, the last one first.
//!
//! What a step was, its journal says; whether it was taken, the tree itself. Nothing that stands
//! anywhere now is overwritten: what has changed since is left, and said. So a run can be taken back
//! twice, and an undo that was killed is gone on with by the same call.

use serde::Serialize;

use super::error::RepairError;
use super::journal::{Record, Step, runs};
use super::sha256::Rows;
use super::steps::{self, Taken};
use crate::check::path_text;
use crate::monitor::{Monitor, Phase};
use crate::recover::files;
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
        rows: Vec::new(),
        undone: Undone {
            run: record.head.run.clone(),
            applied: apply,
            steps: record.len() as u64,
            ..Undone::default()
        },
    };
    monitor.phase(Phase::Repair, Some(record.len() as u64));
    for number in (0..record.len()).rev() {
        if monitor.stopped() {
            return Err(RepairError::Stopped);
        }
        let step = record.step(tree, number)?;
        if apply {
            undo.take_back(step)?;
        } else {
            undo.undone.undone += u64::from(steps::is_taken(tree, &step));
        }
        monitor.advance(1, 0);
    }
    if apply {
        undo.clear_rows()?;
        files::sync(tree)?;
    }
    Ok(undo.undone)
}

struct Undo<'a> {
    tree: &'a Tree,
    quarantine: Quarantine<'a>,
    connector: Option<&'a Connector>,
    /// The database that the run was about.
    database: String,
    /// Rows whose sha256 is to be taken away.
    rows: Vec<(i32, String)>,
    undone: Undone,
}

impl Undo<'_> {
    fn take_back(&mut self, step: Step) -> Result<(), RepairError> {
        if let Step::Sha256 { pfile, digest } = step {
            self.rows.push((pfile, digest));
            if self.rows.len() == ROWS_AT_ONCE {
                self.clear_rows()?;
            }
            return Ok(());
        }
        match steps::take_back(self.tree, &self.quarantine, &step) {
            Taken::Done => self.undone.undone += 1,
            Taken::Nothing => {}
            Taken::Left(why) => {
                let path = step
                    .path()
                    .map_or_else(String::new, |path| path_text(path).0);
                self.leave(path, why);
            }
        }
        Ok(())
    }

    fn clear_rows(&mut self) -> Result<(), RepairError> {
        let rows = std::mem::take(&mut self.rows);
        if rows.is_empty() {
            return Ok(());
        }
        let Some(connector) = self.connector else {
            for (pfile, _) in rows {
                let why = "its sha256 can be taken away in the live database alone";
                self.leave(format!("pfile {pfile}"), why.to_owned());
            }
            return Ok(());
        };
        self.undone.undone += Rows::connect(connector)?.clear(&rows, &self.database)?;
        Ok(())
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
