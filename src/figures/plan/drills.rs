//! Past drills of a store, with how many rows the set of each had.

use serde::Serialize;

use super::times::Estimator;
use crate::manifest::SetKind;
use crate::monitor::Monitor;
use crate::store::{Drill, SetId, Store};

/// A drill that came to its end.
pub(super) struct Past {
    pub(super) kind: SetKind,
    /// Rows of pfile and of the trees.
    pub(super) rows: u64,
    pub(super) drill: Drill,
}

/// The last drill in which files were restored, beside what would have been estimated for it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LastDrill {
    /// The set's kind.
    pub kind: SetKind,
    /// When it ended, RFC 3339.
    pub when: String,
    /// How long it took, without the start of a server of its own.
    pub seconds: f64,
    /// The estimate of it, made without its help; `None` without a sample.
    pub estimate: Option<f64>,
    /// So many times the drill's time is the estimate.
    pub factor: Option<f64>,
}

/// The drills that a store knows of, the newest last. Notes that cannot be read are done without.
pub(super) fn past(store: &Store, monitor: &dyn Monitor) -> Vec<Past> {
    let drills = store.drills().unwrap_or_else(|error| {
        monitor.warn(&format!("past drills are not known: {error}"));
        Default::default()
    });
    let mut past: Vec<Past> = drills
        .into_iter()
        .filter_map(|(set, drills)| {
            let id: SetId = set.parse().ok()?;
            let record = store.record(id).ok()?;
            let rows = record.rows.pfiles + record.rows.tree_rows;
            Some(drills.into_iter().map(move |drill| Past {
                kind: record.kind,
                rows,
                drill,
            }))
        })
        .flatten()
        .collect();
    past.sort_by(|a, b| a.drill.when.cmp(&b.drill.when));
    past
}

impl Past {
    /// Seconds of some steps.
    pub(super) fn seconds(&self, steps: &[&str]) -> f64 {
        let of = |step: &&str| self.drill.seconds.get(*step).copied().unwrap_or(0.0);
        steps.iter().map(of).sum()
    }

    /// How long it took, without the start of a server of its own.
    fn without_server(&self) -> f64 {
        self.seconds(&["dump", "database", "files", "check"])
    }
}

impl Estimator<'_> {
    /// The last drill that restored files, and what would be estimated for it without any drill.
    pub(super) fn last_drill(&self) -> Option<LastDrill> {
        let last = self.past.iter().rev().find(|past| past.drill.full)?;
        let seconds = last.without_server();
        let estimate = self.without_drills(last.rows, last.drill.files);
        Some(LastDrill {
            kind: last.kind,
            when: last.drill.when.clone(),
            seconds,
            estimate,
            factor: estimate
                .filter(|_| seconds > 0.0)
                .map(|estimate| estimate / seconds),
        })
    }
}
