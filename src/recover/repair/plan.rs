//! What a run would do, as far as that shows without reading contents; and what keeps it from doing
//! anything.

use super::age;
use super::decide::{Decider, Decision, PutBack, Work};
use super::outcome::{Mended, Tallies};
use super::{Options, RepairError};
use crate::catalog::Amount;
use crate::check::{self, Finding, Mending, MendingStatus, path_text};
use crate::repository::Tree;

/// Plans.
pub(super) struct Planner<'a> {
    pub(super) tree: &'a Tree,
    pub(super) decider: &'a Decider<'a>,
    pub(super) options: &'a Options,
    pub(super) is_live: bool,
}

/// A part of all, in percent.
const WHOLE: f64 = 100.0;

impl Planner<'_> {
    /// What would be done about some findings.
    pub(super) fn some(&self, findings: &[Finding]) -> Vec<Mended> {
        findings.iter().map(|finding| self.one(finding)).collect()
    }

    fn one(&self, finding: &Finding) -> Mended {
        let decision = self.decider.decide(finding);
        let (status, from, to, why) = match &decision {
            Decision::Leave(why) => (MendingStatus::Left, None, None, Some(why.clone())),
            Decision::Do(work) => match self.obstacle(work) {
                Some(why) => (MendingStatus::Left, None, None, Some(why)),
                None => {
                    let (from, to) = self.ways(work);
                    (MendingStatus::Planned, from, to, None)
                }
            },
        };
        let work = match decision {
            Decision::Do(work) => Some(work),
            Decision::Leave(_) => None,
        };
        Mended {
            mending: Mending {
                action: work.as_ref().map(Work::action),
                status,
                from,
                to,
                why,
                mended: None,
            },
            is_mended: false,
            work,
        }
    }

    /// What shows already that it would be left.
    fn obstacle(&self, work: &Work) -> Option<String> {
        if work.needs_live() && !self.is_live {
            return Some(
                "only the live database can tell that nothing needs it: leave out --catalog"
                    .to_owned(),
            );
        }
        match work {
            Work::SetAside(aside) => {
                let meta = self.tree.meta(&aside.path).ok()?;
                age::too_young(&meta, self.options.min_age)
            }
            Work::Clear { path } => {
                let names = age::entries(self.tree, path).ok()?;
                let young: Vec<String> = names
                    .iter()
                    .filter_map(|name| self.tree.meta(&path.join(name)).ok())
                    .filter_map(|meta| age::too_young(&meta, self.options.min_age))
                    .collect();
                let all = !names.is_empty() && young.len() == names.len();
                young.into_iter().next().filter(|_| all)
            }
            Work::OpenUp { .. } | Work::PutBack(_) | Work::SetRight { .. } => None,
        }
    }

    /// Where contents come from, and where a file goes.
    fn ways(&self, work: &Work) -> (Option<String>, Option<String>) {
        match work {
            Work::PutBack(work) => (self.source(work), None),
            Work::SetRight { name, ty, .. } => {
                let places = self.tree.layout().places(*ty, name);
                (None, places.first().map(|path| path_text(path).0))
            }
            Work::OpenUp { .. } | Work::SetAside(_) | Work::Clear { .. } => (None, None),
        }
    }

    /// Where good contents are known to be: what the check has found wanting is no source.
    fn source(&self, work: &PutBack) -> Option<String> {
        let copy = work.copy.as_ref();
        copy.map(|path| path_text(path).0)
            .or_else(|| self.decider.stored(&work.name).into_iter().next())
            .or_else(|| work.urls.first().cloned())
    }

    /// Nothing is moved away on the word of rows that may be old.
    pub(super) fn refuse_without_rows(&self, plan: &Tallies) -> Result<(), RepairError> {
        if self.is_live || plan.need_live == 0 {
            return Ok(());
        }
        Err(RepairError::NotLive {
            findings: plan.need_live,
        })
    }

    /// A run that would move much of the repository is more likely to be about the wrong database.
    pub(super) fn refuse_too_much(
        &self,
        plan: &Tallies,
        checked: &check::Outcome,
    ) -> Result<(), RepairError> {
        let mut listed = checked.coverage.gold;
        listed += checked.coverage.files;
        listed += checked.coverage.license;
        let limit = self.options.max_share;
        // Misplaced files stand in no place that is listed.
        let share = |moved: u64, listed: u64| match moved {
            0 => 0.0,
            _ => WHOLE * moved as f64 / listed.max(moved) as f64,
        };
        let Amount { files, bytes } = plan.to_move;
        for (what, moved, listed) in [
            ("files", files, listed.files),
            ("bytes", bytes, listed.bytes),
        ] {
            let share = share(moved, listed);
            if share > f64::from(limit) {
                return Err(RepairError::TooMuch {
                    moved,
                    listed,
                    what,
                    share,
                    limit,
                    enough: share.ceil().min(WHOLE) as u8,
                });
            }
        }
        Ok(())
    }
}
