//! What would be queued, told from a catalog alone: a dump knows no more.

use std::collections::BTreeMap;
use std::path::Path;

use super::database::Queued;
use super::error::RequeueError;
use super::golds::Golds;
use super::plan::Planner;
use super::report::{Outcome, Told};
use super::run::{jobs, lost, troubles};
use super::wanted::Wanted;
use crate::catalog::Catalog;
use crate::check;
use crate::monitor::{Monitor, Phase};
use crate::repository::Tree;

/// Plans the unpacks that bring back what a check found missing. Without a live database, arguments
/// and durations of former unpacks, users and jobs in progress are not known.
pub fn preview(
    checked: &check::Outcome,
    tree: &Tree,
    catalog: &Catalog,
    scratch: &Path,
    monitor: &dyn Monitor,
) -> Result<Outcome, RequeueError> {
    let wanted = Wanted::of(checked, catalog, scratch)?;
    monitor.phase(Phase::Plan, None);
    let summary = catalog.summary();
    let queued: BTreeMap<i32, Queued> = summary
        .uploads
        .iter()
        .map(|upload| (upload.pk, Queued::default()))
        .collect();
    let mut golds = Golds::of(tree);
    let planner = Planner::of(&wanted, catalog, &queued);
    let plan = planner.plan(&mut golds, &Default::default(), monitor)?;
    let mut beyond = plan.beyond;
    beyond += wanted.beyond;
    Ok(Outcome {
        dry_run: true,
        complete: checked.complete,
        troubles: troubles(checked),
        wanted: wanted.files,
        jobs: jobs(&plan, &queued, catalog),
        open: Vec::new(),
        lost: lost(&plan, catalog),
        beyond,
        elsewhere: wanted.elsewhere,
        listings: wanted.listings,
        unusable: wanted.unusable,
        placed: Vec::new(),
        unlinked_golds: 0,
        trees: Vec::new(),
        scheduler: Told::Nothing,
        after: None,
        cleaned: None,
    })
}
