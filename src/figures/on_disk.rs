//! What the tree holds besides what uploads refer to.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::catalog::{Amount, CatalogError};
use crate::check::{Kind, Outcome, Severity, path_text};
use crate::monitor::Monitor;
use crate::repository::Tree;

/// What was seen of the tree.
#[derive(Clone, Debug, Default, Serialize)]
pub struct OnDisk {
    /// Everything was looked at.
    pub complete: bool,
    /// Files in gold.
    pub gold: Amount,
    /// Files in files.
    pub files: Amount,
    /// Files in license.
    pub license: Amount,
    /// Copies of contents that stand on disk more than once, without the first: mostly gold, which
    /// stands in files too.
    pub twice: Amount,
    /// Files that no row knows.
    pub orphans: Amount,
    /// Files that a row knows and no upload refers to.
    pub unreferenced: Amount,
    /// What interrupted imports left.
    pub partial_imports: Amount,
    /// Superfluous copies in wrong places.
    pub misplaced: Amount,
    /// Temporary trees, by path.
    pub temporary: Vec<TemporaryTree>,
}

/// A temporary tree of FOSSology's agents.
#[derive(Clone, Debug, Serialize)]
pub struct TemporaryTree {
    /// Where it lies, relative to the repository.
    pub path: String,
    /// Files in it.
    #[serde(flatten)]
    pub amount: Amount,
    /// No job that is open can own it.
    pub abandoned: bool,
}

impl OnDisk {
    /// What a check has seen.
    pub(super) fn of(
        tree: &Tree,
        outcome: &Outcome,
        twice: Amount,
        monitor: &dyn Monitor,
    ) -> Result<OnDisk, CatalogError> {
        let waste = |kind| waste(outcome, kind);
        Ok(OnDisk {
            complete: outcome.complete,
            gold: outcome.coverage.gold,
            files: outcome.coverage.files,
            license: outcome.coverage.license,
            twice,
            orphans: waste(Kind::Orphan),
            unreferenced: waste(Kind::Unreferenced),
            partial_imports: waste(Kind::PartialImport),
            misplaced: waste(Kind::Misplaced),
            temporary: temporary_trees(tree, outcome, monitor)?,
        })
    }

    /// Temporary trees, all together or only those that no open job can own.
    pub fn in_temporary_trees(&self, only_abandoned: bool) -> Amount {
        let mut sum = Amount::default();
        for tree in &self.temporary {
            if tree.abandoned || !only_abandoned {
                sum += tree.amount;
            }
        }
        sum
    }
}

/// The findings of a kind that take space and are of no use.
fn waste(outcome: &Outcome, wanted: Kind) -> Amount {
    let mut sum = Amount::default();
    for (severity, kind, tally) in outcome.findings.tallies() {
        if kind == wanted && severity == Severity::Waste {
            sum += Amount {
                files: tally.findings,
                bytes: tally.bytes,
            };
        }
    }
    sum
}

fn temporary_trees(
    tree: &Tree,
    outcome: &Outcome,
    monitor: &dyn Monitor,
) -> Result<Vec<TemporaryTree>, CatalogError> {
    let mut abandoned = BTreeSet::new();
    outcome
        .findings
        .for_each::<CatalogError>(Severity::Waste, Kind::Abandoned, |finding| {
            abandoned.extend(finding.path);
            Ok(())
        })?;
    // The check tells only of those that nobody can be working in.
    let survey = tree.survey(monitor);
    let trees = survey.temporary.into_iter().map(|temporary| {
        let path = path_text(&temporary.path).0;
        TemporaryTree {
            abandoned: abandoned.contains(&path),
            path,
            amount: Amount {
                files: temporary.files,
                bytes: temporary.bytes,
            },
        }
    });
    Ok(trees.collect())
}
