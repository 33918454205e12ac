//! Doing what was decided: look again, prepare, write it down, do it, and look once more.

use std::collections::HashMap;

use super::Options;
use super::decide::{Decider, Decision, Work};
use super::error::RepairError;
use super::journal::{Journal, Step};
use super::outcome::Mended;
use super::ready::{Ready, uses};
use super::staging::Staging;
use super::steps::{self, Taken};
use crate::catalog::{LiveRows, RowNow};
use crate::check::{Finding, Mending, MendingStatus, path_text};
use crate::manifest::fetch::Fetcher;
use crate::monitor::Monitor;
use crate::recover::files;
use crate::recover::quarantine::Quarantine;
use crate::repository::{RepositoryName, Tree};

/// A run at work.
pub(super) struct Actor<'a> {
    pub(super) tree: &'a Tree,
    pub(super) live: Option<&'a dyn LiveRows>,
    pub(super) decider: &'a Decider<'a>,
    pub(super) options: &'a Options,
    pub(super) fetcher: Option<&'a Fetcher>,
    pub(super) journal: Journal<'a>,
    pub(super) quarantine: Quarantine<'a>,
    pub(super) staging: Staging<'a>,
    pub(super) monitor: &'a dyn Monitor,
    /// Why the run is at its end before the end.
    pub(super) broken: Option<RepairError>,
}

impl Actor<'_> {
    /// Does what is to be done about some findings of one kind.
    pub(super) fn some(&mut self, findings: &[Finding]) -> Vec<Mended> {
        let decisions: Vec<Decision> = findings
            .iter()
            .map(|finding| self.decider.decide(finding))
            .collect();
        let rows = match self.rows(findings, &decisions) {
            Ok(rows) => rows,
            Err(error) => {
                self.broken.get_or_insert(error);
                HashMap::new()
            }
        };
        let mut ready: Vec<Ready> = decisions
            .iter()
            .map(|decision| self.ready(decision, &rows))
            .collect();
        let steps: Vec<Step> = ready.iter().flat_map(Ready::steps).cloned().collect();
        if let Err(error) = self.journal.write(&steps) {
            self.broken.get_or_insert(error);
            for each in &mut ready {
                self.give_up(each);
            }
        }
        let mut mended: Vec<Mended> = decisions
            .iter()
            .zip(&ready)
            .map(|(decision, ready)| self.act(decision, ready))
            .collect();
        self.look_once_more(findings, &decisions, &ready, &mut mended);
        mended
    }

    /// Puts on disk what was done, once for all: until then, a power cut leaves some steps as if they
    /// had not been taken, in the order in which they were.
    pub(super) fn sync(&mut self) {
        if self.journal.has_begun()
            && let Err(error) = files::sync(self.tree)
        {
            self.broken.get_or_insert(error.into());
        }
    }

    /// The rows of the names concerned, as they are now. Without a live database, none.
    fn rows(
        &self,
        findings: &[Finding],
        decisions: &[Decision],
    ) -> Result<HashMap<RepositoryName, RowNow>, RepairError> {
        let mut rows: HashMap<RepositoryName, RowNow> = HashMap::new();
        let Some(live) = self.live.filter(|_| self.broken.is_none()) else {
            return Ok(rows);
        };
        let names: Vec<(RepositoryName, Vec<i32>)> = findings
            .iter()
            .zip(decisions)
            .filter_map(|(finding, decision)| {
                let name = decision.name()?;
                Some((name, finding.pfile.into_iter().collect()))
            })
            .collect();
        if names.is_empty() {
            return Ok(rows);
        }
        for (name, row) in live.rows_now(&names)? {
            // Several rows may have one name: what uses any of them uses the file.
            let all = rows.entry(name).or_default();
            all.exists |= row.exists;
            all.in_gold |= row.in_gold;
            all.in_files |= row.in_files;
        }
        Ok(rows)
    }

    /// Takes the steps of a finding; what cannot be taken ends it.
    fn act(&self, decision: &Decision, ready: &Ready) -> Mended {
        let work = match decision {
            Decision::Do(work) => Some(work),
            Decision::Leave(_) => None,
        };
        let mending = |status, why| Mending {
            action: work.map(Work::action),
            status,
            from: None,
            to: None,
            why,
            mended: None,
        };
        let mends = work.is_some_and(Work::mends);
        let (steps, from, why) = match ready {
            Ready::Steps { steps, from, why } => (steps, from, why),
            Ready::Settled(why) => {
                return Mended {
                    mending: mending(MendingStatus::Done, Some(why.clone())),
                    is_mended: true,
                    work: work.cloned(),
                };
            }
            Ready::Done(why) => {
                return Mended {
                    mending: mending(MendingStatus::Done, Some(why.clone())),
                    is_mended: mends,
                    work: work.cloned(),
                };
            }
            Ready::Left(why) => {
                return Mended {
                    mending: mending(MendingStatus::Left, Some(why.clone())),
                    is_mended: false,
                    work: work.cloned(),
                };
            }
        };
        let mut to = None;
        let mut trouble = None;
        for step in steps {
            match steps::take(self.tree, step) {
                Taken::Done => to = to.or_else(|| step.target()),
                Taken::Nothing => {}
                Taken::Left(why) => {
                    self.staging.discard_of(step);
                    trouble.get_or_insert(why);
                    break;
                }
            }
        }
        let status = match trouble {
            None => MendingStatus::Done,
            Some(_) => MendingStatus::Left,
        };
        Mended {
            is_mended: status == MendingStatus::Done && mends && why.is_none(),
            mending: Mending {
                from: from.clone(),
                to: to.map(|to| path_text(to).0),
                ..mending(status, trouble.or_else(|| why.clone()))
            },
            work: work.cloned(),
        }
    }

    /// Whoever began to use a file between the last look at its rows and its move has it back.
    fn look_once_more(
        &mut self,
        findings: &[Finding],
        decisions: &[Decision],
        ready: &[Ready],
        mended: &mut [Mended],
    ) {
        let moved: Vec<usize> = (0..mended.len())
            .filter(|index| mended[*index].mending.status == MendingStatus::Done)
            .filter(|index| !ready[*index].steps().is_empty())
            .filter(|index| decisions[*index].unneeded().is_some())
            .collect();
        let Some(live) = self.live.filter(|_| !moved.is_empty()) else {
            return;
        };
        let names: Vec<(RepositoryName, Vec<i32>)> = moved
            .iter()
            .filter_map(|index| {
                Some((
                    decisions[*index].name()?,
                    findings[*index].pfile.into_iter().collect(),
                ))
            })
            .collect();
        let rows = match live.rows_now(&names) {
            Ok(rows) => rows,
            Err(error) => {
                // They were in nobody's use a moment ago, and can be put back: that is said.
                self.broken.get_or_insert(error.into());
                return;
            }
        };
        for (name, row) in rows {
            for index in &moved {
                let in_use = match decisions[*index].unneeded() {
                    Some((other, _)) if other != name => false,
                    Some((_, None)) => row.exists,
                    Some((_, Some(ty))) => uses(row, ty),
                    None => false,
                };
                if in_use {
                    self.give_back(&ready[*index], &mut mended[*index]);
                }
            }
        }
    }

    fn give_back(&self, ready: &Ready, mended: &mut Mended) {
        for step in ready.steps().iter().rev() {
            let why = match steps::take_back(self.tree, &self.quarantine, step) {
                Taken::Left(why) => format!("an upload uses it now, and it is not back: {why}"),
                Taken::Done | Taken::Nothing => "an upload uses it now: it is back".to_owned(),
            };
            mended.is_mended = false;
            mended.mending.status = MendingStatus::Left;
            mended.mending.why = Some(why);
        }
    }

    /// Nothing is done without its journal.
    fn give_up(&self, ready: &mut Ready) {
        for step in ready.steps() {
            self.staging.discard_of(step);
        }
        if let Ready::Steps { .. } = ready {
            *ready = Ready::Left("the run ended before it".to_owned());
        }
    }
}
