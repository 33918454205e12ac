//! What came of a repair: each finding with what was done about it, on disk, and the sums.

use std::collections::BTreeMap;

use serde::Serialize;

use super::act::Actor;
use super::decide::Work;
use super::{AT_ONCE, Options, RepairError, fails, in_order};
use crate::catalog::{Amount, CatalogError};
use crate::check::{
    self, Action, Batch, Finding, Kind, Mending, MendingStatus, Recovery, Severity, Spool, Tally,
};
use crate::monitor::Monitor;
use crate::recover::in_full::in_full;

/// How much of an action is planned, done, or left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Acted {
    /// What `--apply` would do.
    pub planned: Amount,
    /// What is done.
    pub done: Amount,
    /// What is left as it was.
    pub left: Amount,
}

/// What came of one finding.
pub(super) struct Mended {
    pub(super) mending: Mending,
    /// Whether the finding is no more.
    pub(super) is_mended: bool,
    /// What it was about.
    pub(super) work: Option<Work>,
}

/// What came of a repair.
#[derive(Debug)]
pub struct Outcome {
    /// The name of the run, for an undo; absent when nothing was changed.
    pub run: Option<String>,
    /// Whether anything was to be done, and not only planned.
    pub applied: bool,
    /// The check before.
    pub checked: check::Outcome,
    /// Every finding of it, each with what was, or would be, done about it.
    pub findings: Spool,
    /// What was, or would be, done.
    pub actions: BTreeMap<Action, Acted>,
    /// The findings that are left.
    pub left: BTreeMap<(Severity, Kind), Tally>,
    /// Whether one of them is one that the run fails over.
    pub fails: bool,
    /// Golds whose copy in files is, or would be, made one file with them again.
    pub relinked: Option<Acted>,
    /// Rows whose sha256 is, or would be, filled in; and the bytes read for them.
    pub sha256: Option<Acted>,
    /// Everything was looked at, and the run came to its end.
    pub complete: bool,
    /// Why it did not.
    pub trouble: Option<String>,
}

impl Outcome {
    pub(super) fn of(checked: check::Outcome, options: &Options) -> Result<Outcome, RepairError> {
        Ok(Outcome {
            run: None,
            applied: options.apply,
            complete: checked.complete,
            findings: Spool::new(&options.check.scratch)?,
            checked,
            actions: BTreeMap::new(),
            left: BTreeMap::new(),
            fails: false,
            relinked: None,
            sha256: None,
            trouble: None,
        })
    }

    pub(super) fn take_in(&mut self, tallies: Tallies) {
        self.findings = tallies.spool;
        self.actions = tallies.actions;
        self.left = tallies.left;
        self.fails = tallies.fails;
    }

    /// The run is at its end, wherever that is.
    pub(super) fn end(&mut self, actor: &Actor<'_>) {
        self.run = actor
            .journal
            .has_begun()
            .then(|| actor.journal.run().to_owned());
        if let Some(error) = &actor.broken {
            self.complete = false;
            self.trouble = Some(in_full(error));
        }
    }
}

/// Sums over all findings.
pub(super) struct Tallies<'a> {
    options: &'a Options,
    spool: Spool,
    actions: BTreeMap<Action, Acted>,
    left: BTreeMap<(Severity, Kind), Tally>,
    fails: bool,
    /// Findings that something is to be done about.
    pub(super) to_do: u64,
    /// Those of them that only the live database can decide.
    pub(super) need_live: u64,
    /// Files that leave their place, and nothing takes it.
    pub(super) to_move: Amount,
    /// Bytes that come from a store or a URL.
    pub(super) to_copy: u64,
}

impl<'a> Tallies<'a> {
    pub(super) fn new(options: &'a Options) -> Result<Tallies<'a>, RepairError> {
        Ok(Tallies {
            spool: Spool::new(&options.check.scratch)?,
            options,
            actions: BTreeMap::new(),
            left: BTreeMap::new(),
            fails: false,
            to_do: 0,
            need_live: 0,
            to_move: Amount::default(),
            to_copy: 0,
        })
    }

    /// Has all findings taken up by `each`, in their order, some at a time.
    pub(super) fn take_up(
        &mut self,
        findings: &Spool,
        monitor: &dyn Monitor,
        mut each: impl FnMut(&[Finding]) -> Vec<Mended>,
    ) -> Result<(), RepairError> {
        for (severity, kind) in in_order() {
            for sequence in findings.batches(severity, kind) {
                let mut batch = Batch::default();
                let mut some = Vec::with_capacity(AT_ONCE);
                findings.for_each_in_batch((severity, kind, sequence), |finding| {
                    some.push(finding);
                    if some.len() == AT_ONCE {
                        let mended = each(&some);
                        self.count(&mut some, mended, &mut batch);
                    }
                    Ok::<(), CatalogError>(())
                })?;
                let mended = each(&some);
                self.count(&mut some, mended, &mut batch);
                self.spool.deliver(sequence, batch)?;
                if !self.options.apply && monitor.stopped() {
                    return Err(RepairError::Stopped);
                }
            }
        }
        Ok(())
    }

    fn count(&mut self, findings: &mut Vec<Finding>, mended: Vec<Mended>, batch: &mut Batch) {
        for (mut finding, mended) in findings.drain(..).zip(mended) {
            let bytes = finding.bytes.unwrap_or(0);
            let files = finding.files.unwrap_or(1);
            if let Some(action) = mended.mending.action {
                let acted = self.actions.entry(action).or_default();
                let amount = match mended.mending.status {
                    MendingStatus::Planned => &mut acted.planned,
                    MendingStatus::Done => &mut acted.done,
                    MendingStatus::Left => &mut acted.left,
                };
                *amount += Amount { files, bytes };
            }
            if let Some(work) = &mended.work {
                self.to_do += 1;
                self.need_live += u64::from(work.needs_live());
                let is_planned = mended.mending.status == MendingStatus::Planned;
                if is_planned && work.empties_a_place() {
                    self.to_move.add(bytes);
                }
                if is_planned
                    && work.action() == Action::PutBack
                    && finding.recovery != Some(Recovery::Copy)
                {
                    self.to_copy = self.to_copy.saturating_add(bytes);
                }
            }
            if !mended.is_mended {
                let left = self
                    .left
                    .entry((finding.severity, finding.kind))
                    .or_default();
                left.findings += 1;
                left.bytes = left.bytes.saturating_add(bytes);
                self.fails |= fails(self.options, &finding);
            }
            finding.repair = Some(Mending {
                mended: mended.is_mended.then_some(true),
                ..mended.mending
            });
            batch.push(finding);
        }
    }
}
