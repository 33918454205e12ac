//! What is counted shard by shard for a plan.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::growth::{Growth, MonthNumber, month_of};
use crate::catalog::{Amount, Pfile, ShardPfiles, Summary, Upload, Usage, Use};
use crate::check::Backups;
use crate::figures::copies::CountShard;
use crate::manifest::SetKind;
use crate::repository::RepositoryName;
use crate::store::held::Held;

/// Files up to this length tell what a file takes, longer ones what a byte takes.
const SMALL: u64 = 256 * 1024;

/// Longer files are not in a sample: one of them would take all of its time.
const TOO_LONG: u64 = 64 << 20;

/// So many names of each class are remembered of a shard for a sample.
const REMEMBERED: usize = 2;

/// An amount for each kind of set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ByKind {
    pub(super) full: Amount,
    pub(super) gold_only: Amount,
}

impl ByKind {
    pub(super) fn of(&self, kind: SetKind) -> Amount {
        match kind {
            SetKind::Full => self.full,
            SetKind::GoldOnly => self.gold_only,
        }
    }

    pub(super) fn add(&mut self, other: &ByKind) {
        self.full += other.full;
        self.gold_only += other.gold_only;
    }
}

/// Names that stand in the tree, for a sample.
#[derive(Clone, Debug, Default)]
pub(super) struct Candidates {
    pub(super) small: Vec<RepositoryName>,
    pub(super) large: Vec<RepositoryName>,
}

/// What was counted.
pub(super) struct Counted {
    /// Copies beyond the first.
    pub(super) twice: Amount,
    /// What the store does not have; `None` without a store.
    pub(super) new: Option<ByKind>,
    pub(super) growth: Growth,
    pub(super) candidates: Candidates,
}

/// Counts shards as they are listed, from several threads.
pub(super) struct Tally<'a> {
    uploads: &'a [Upload],
    /// The month of each upload.
    months: Vec<Option<MonthNumber>>,
    held: Option<&'a Held<'a>>,
    totals: Mutex<Totals>,
}

#[derive(Default)]
struct Totals {
    twice: Amount,
    new: ByKind,
    months: BTreeMap<MonthNumber, ByKind>,
    candidates: Candidates,
}

impl<'a> Tally<'a> {
    pub(super) fn new(summary: &'a Summary, held: Option<&'a Held<'a>>) -> Tally<'a> {
        let months = summary.uploads.iter().map(|upload| {
            let uploaded = upload.uploaded?;
            month_of(uploaded)
        });
        Tally {
            uploads: &summary.uploads,
            months: months.collect(),
            held,
            totals: Mutex::default(),
        }
    }

    pub(super) fn finish(self) -> Counted {
        let totals = self
            .totals
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        Counted {
            twice: totals.twice,
            new: self.held.map(|_| totals.new),
            growth: Growth::of(totals.months, jiff::Timestamp::now()),
            candidates: totals.candidates,
        }
    }

    /// The month of the first upload that uses a pfile in one of these ways.
    fn first_month(&self, uses: &[Use], usage: Usage) -> Option<MonthNumber> {
        let wanted = uses.iter().filter(|each| each.usage.has(usage));
        let month = |each: &Use| {
            let at = self
                .uploads
                .binary_search_by_key(&each.upload, |upload| upload.pk);
            self.months[at.ok()?]
        };
        wanted.filter_map(month).min()
    }

    fn grow(&self, totals: &mut Totals, pfile: &Pfile, uses: &[Use]) {
        let any = Usage::GOLD.and(Usage::TREE).and(Usage::LISTING);
        let size = pfile.name.size;
        if let Some(month) = self.first_month(uses, any) {
            totals.months.entry(month).or_default().full.add(size);
        }
        let in_gold_only = match pfile.is_listing() {
            true => Usage::LISTING,
            false => Usage::GOLD,
        };
        if let Some(month) = self.first_month(uses, in_gold_only) {
            totals.months.entry(month).or_default().gold_only.add(size);
        }
    }
}

impl CountShard for Tally<'_> {
    fn count(&self, pfiles: &ShardPfiles, copies: &[u16]) {
        let mut here = Totals::default();
        for (pfile, copies) in pfiles.pfiles().iter().zip(copies) {
            let size = pfile.name.size;
            for _ in 1..*copies {
                here.twice.add(size);
            }
            self.grow(&mut here, pfile, pfiles.uses(pfile));
            if *copies == 0 {
                continue;
            }
            // Names are as good as random, and in order.
            let class = match size {
                ..=SMALL => &mut here.candidates.small,
                _ => &mut here.candidates.large,
            };
            if size <= TOO_LONG && class.len() < REMEMBERED {
                class.push(pfile.name);
            }
            if self
                .held
                .is_some_and(|held| held.holds(&pfile.name).is_none())
            {
                here.new.full.add(size);
                if pfile.in_gold() || pfile.is_listing() {
                    here.new.gold_only.add(size);
                }
            }
        }
        let mut totals = self.totals.lock().unwrap_or_else(PoisonError::into_inner);
        totals.twice += here.twice;
        totals.new.add(&here.new);
        totals.candidates.small.extend(here.candidates.small);
        totals.candidates.large.extend(here.candidates.large);
        for (month, grown) in here.months {
            totals.months.entry(month).or_default().add(&grown);
        }
    }
}
