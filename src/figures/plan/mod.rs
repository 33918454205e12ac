//! What backups of either kind would take: room, time, and how both grow.
//!
//! Everything is known from one check of the tree by its listing, with a collector of sets beside
//! it. Times are estimates, and each says what it was reckoned from: past drills where there are
//! some, a timed sample of the disk, the durations of past unpack jobs.

mod drills;
mod growth;
mod sample;
mod tally;
mod times;
mod unpacking;

use std::time::{Duration, Instant};

use serde::Serialize;

use super::copies::Copies;
use super::{FiguresError, OnDisk};
use crate::catalog::{Amount, Catalog, CatalogError, Hosts, LiveRows};
use crate::check::{self, Aids, Options};
use crate::manifest::{Amounts, Collector, LeftOut, Selection, SetKind, UrlGold};
use crate::monitor::Monitor;
use crate::repository::Tree;
use crate::store::Store;
use crate::store::held::Held;
pub use drills::LastDrill;
pub use growth::{Growth, Month};
pub use sample::{Rates, Sampled};
use tally::Tally;
use times::{Clocked, Estimator};
pub use times::{Restore, Step, Time};
pub use unpacking::Unpacking;

/// What is to be planned for.
pub struct Request<'a> {
    /// The repository.
    pub tree: &'a Tree,
    /// What the database knows.
    pub catalog: &'a Catalog,
    /// How long it took to read it; `None` of a saved catalog.
    pub rows_took: Option<Duration>,
    /// The live database, for the second look.
    pub live: Option<&'a dyn LiveRows>,
    /// How large it is.
    pub database_bytes: Option<u64>,
    /// The store that backups go to.
    pub store: Option<&'a Store>,
    /// The hosts whose URLs count.
    pub hosts: Hosts,
    /// Read and write some files to see how fast that goes.
    pub sample: bool,
    /// How the tree is listed.
    pub options: &'a Options,
}

/// Figures to decide by.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// Everything was looked at.
    pub complete: bool,
    /// Full and gold-only sets, with and without gold that can be fetched again.
    pub sets: Vec<PlannedSet>,
    /// What came month by month.
    pub growth: Growth,
    /// Contents whose gold was not found; what was unpacked from them is in no gold-only set.
    pub gold_not_found: Amount,
    /// Contents that the database knows and that were not found, gold among them.
    pub not_found: Amount,
    /// What unpacking everything again takes.
    pub unpacking: Unpacking,
    /// What is on disk, and what could go.
    pub on_disk: OnDisk,
    /// How fast some files were read and written.
    pub sample: Option<Sampled>,
    /// The last drill in which files were restored, beside this estimate of it.
    pub last_drill: Option<LastDrill>,
}

/// A kind of set, and what it would take.
#[derive(Clone, Debug, Serialize)]
pub struct PlannedSet {
    /// What it brings back by itself.
    pub kind: SetKind,
    /// Gold that can be fetched again is kept or left out.
    pub url_gold: UrlGold,
    /// Contents that it holds, each once.
    pub holds: Amount,
    /// Gold that a restore would have to fetch again.
    pub to_fetch: Amount,
    /// What of it the store does not have yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<Amount>,
    /// What comes each month, on the average.
    pub growth_a_month: Amount,
    /// The time for a set when the store has nothing of it.
    pub first_backup: Time,
    /// The time for the next set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_backup: Option<Time>,
    /// The time until everything is back.
    pub restore: Restore,
}

/// Plans backups. Nothing is changed; a sample of files is written to a scratch directory of its own.
pub fn run(request: &Request<'_>, monitor: &dyn Monitor) -> Result<Plan, FiguresError> {
    let summary = request.catalog.summary();
    let selection = Selection::of(SetKind::Full, UrlGold::Keep, request.hosts, summary);
    let held = request.store.map(Held::of).transpose()?;
    let tally = Tally::new(summary, held.as_ref());
    let origin = &summary.provenance.origin;
    let collector = Collector::new(&selection, origin, None, &request.options.scratch, None)?
        .in_threads(request.options.threads);
    let copies = Copies::new(&tally, Some(&collector));
    let aids = Aids {
        live: request.live,
        companion: Some(&copies),
        ..Aids::default()
    };
    let began = Instant::now();
    let outcome = check::run_with(
        request.tree,
        request.catalog,
        aids,
        request.options,
        monitor,
    )?;
    let listing = began.elapsed();
    if monitor.stopped() {
        return Err(CatalogError::Stopped.into());
    }
    let amounts = collector
        .finish(request.tree, request.catalog, &outcome, monitor)?
        .amounts;
    let counted = tally.finish();
    let on_disk = OnDisk::of(request.tree, &outcome, counted.twice, monitor)?;
    let sample = match request.sample {
        true => sample::take(request.tree, &counted.candidates, request.options, monitor)
            .unwrap_or_else(|error| {
                monitor.warn(&format!("there is no sample: {error}"));
                None
            }),
        false => None,
    };
    let unpacking = Unpacking::of(request.catalog);
    let past = request.store.map(|store| drills::past(store, monitor));
    let estimator = Estimator {
        clocked: Clocked {
            rows: request.rows_took,
            listing,
            listed: amounts.held().files,
        },
        rows: summary.pfile_rows + summary.tree_rows,
        database_bytes: request.database_bytes,
        sample: sample.as_ref(),
        past: past.as_deref().unwrap_or_default(),
        unpacking: &unpacking,
    };
    let growth = counted.growth;
    let set = |kind, url_gold| {
        let (holds, to_fetch) = holdings(kind, url_gold, &amounts);
        let new = counted.new.as_ref().map(|new| new.of(kind));
        // What would be left out is not asked of the store.
        let new = new.filter(|_| url_gold == UrlGold::Keep);
        PlannedSet {
            kind,
            url_gold,
            holds,
            to_fetch,
            new,
            growth_a_month: growth.a_month(kind),
            first_backup: estimator.backup(holds),
            next_backup: new.map(|new| estimator.backup(new)),
            restore: estimator.restore(kind, holds),
        }
    };
    let sets = [SetKind::Full, SetKind::GoldOnly]
        .into_iter()
        .flat_map(|kind| [UrlGold::Keep, UrlGold::Skip].map(|url_gold| (kind, url_gold)))
        .map(|(kind, url_gold)| set(kind, url_gold))
        .collect();
    Ok(Plan {
        complete: outcome.complete,
        sets,
        gold_not_found: amounts.left_out.gold_not_found,
        not_found: not_found(&amounts.left_out),
        last_drill: estimator.last_drill(),
        growth,
        unpacking,
        on_disk,
        sample,
    })
}

fn not_found(left_out: &LeftOut) -> Amount {
    let mut sum = left_out.gold_not_found;
    sum += left_out.listings_not_found;
    sum += left_out.files_not_found;
    sum
}

/// What a kind of set holds, and what it leaves to URLs.
fn holdings(kind: SetKind, url_gold: UrlGold, amounts: &Amounts) -> (Amount, Amount) {
    let mut holds = match kind {
        SetKind::Full => amounts.held(),
        SetKind::GoldOnly => {
            let mut holds = amounts.gold;
            holds += amounts.listings;
            holds
        }
    };
    if url_gold == UrlGold::Keep {
        return (holds, Amount::default());
    }
    holds.files -= amounts.skip_would_save.files;
    holds.bytes -= amounts.skip_would_save.bytes;
    (holds, amounts.skip_would_save)
}
