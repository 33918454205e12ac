//! Mending what can be mended without FOSSology.
//!
//! A check comes first, and its findings become a plan: nothing more is done without
//! [`Options::apply`]. Findings are taken up kind by kind, some at a time. About each, file and live
//! row are looked at again; a good copy is made beside its place and proven there; what is to be done
//! is written to a journal, on disk; then it is done, by renaming. So a run that is killed loses
//! nothing, the next run goes on, and [`undo`] puts everything back.
//!
//! Nothing is overwritten and nothing deleted: what leaves its place goes to the quarantine, which
//! only [`empty`](empty::run) empties.

mod act;
mod age;
mod decide;
pub mod empty;
mod error;
mod journal;
mod outcome;
mod plan;
mod ready;
mod relink;
mod rights;
mod sha256;
mod staging;
mod steps;
pub mod undo;

use std::time::Duration;

pub use decide::Urls;
pub use error::RepairError;
pub use outcome::{Acted, Outcome};

use crate::catalog::{Catalog, LiveRows};
use crate::check::{self, Action, Aids, Backups, FailOn, Finding, Kind, Severity};
use crate::manifest::fetch::Fetcher;
use crate::monitor::{Monitor, Phase, Room, free_room};
use crate::recover::lock::keep_others_out;
use crate::recover::quarantine::{Quarantine, run_name};
use crate::repository::{Prover, Tree};
use crate::sysconf::Connector;
use act::Actor;
use decide::Decider;
use journal::Journal;
use outcome::Tallies;
use plan::Planner;
use staging::Staging;

/// So many findings are taken up at a time: one question to the database, one write to the journal.
const AT_ONCE: usize = 128;

/// Kinds in the order in which they are taken up: what others need to be done comes first. Golds
/// before derived files, which can be links to them; bad files before misplaced ones, which are the
/// good copies of some.
const ORDER: [Kind; 12] = [
    Kind::WrongMode,
    Kind::MissingGold,
    Kind::Orphan,
    Kind::Unreferenced,
    Kind::PartialImport,
    Kind::Abandoned,
    Kind::Corrupt,
    Kind::WrongSize,
    Kind::Unreadable,
    Kind::MissingDerived,
    Kind::MissingListing,
    Kind::Misplaced,
];

/// What to do, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// Do it; else only plan.
    pub apply: bool,
    /// The actions that may be done.
    pub actions: Vec<Action>,
    /// Whether gold is fetched from URLs, and from which.
    pub urls: Urls,
    /// What was changed since is not moved to the quarantine.
    pub min_age: Duration,
    /// So many percent of the files, and of the bytes, may be moved.
    pub max_share: u8,
    /// Make gold and its copy in files one file again.
    pub relink: bool,
    /// Fill in sha256 of rows that have none.
    pub fill_sha256: bool,
    /// From which findings on the run counts as failed.
    pub fail_on: FailOn,
    /// How the check before is done.
    pub check: check::Options,
}

/// A server, and what there is to mend it with.
pub struct Server<'a> {
    /// The repository.
    pub tree: &'a Tree,
    /// What the database knows.
    pub catalog: &'a Catalog,
    /// The live database; without it nothing is moved because no row needs it.
    pub live: Option<&'a dyn LiveRows>,
    /// Makes the connection that fills in sha256.
    pub connector: Option<&'a Connector>,
    /// Stores of backups.
    pub backups: &'a [&'a dyn Backups],
    /// Fetches gold.
    pub fetcher: Option<&'a Fetcher>,
}

/// Checks and plans; and mends, where the options say so.
pub fn run(
    server: &Server<'_>,
    options: &Options,
    monitor: &dyn Monitor,
) -> Result<Outcome, RepairError> {
    if options.apply && !keep_others_out(server.tree) {
        return Err(RepairError::Locked {
            path: server.tree.path().to_owned(),
        });
    }
    let mut rows = match server.connector.filter(|_| options.fill_sha256) {
        Some(connector) => Some(sha256::Rows::connect(connector)?),
        None => None,
    };
    let aids = Aids {
        live: server.live,
        backups: server.backups,
        ..Aids::default()
    };
    let checked = check::run_with(server.tree, server.catalog, aids, &options.check, monitor)?;
    let decider = Decider::of(
        server.tree,
        server.catalog.summary(),
        options,
        server.backups,
    );
    let planner = Planner {
        tree: server.tree,
        decider: &decider,
        options,
        is_live: server.live.is_some(),
    };
    monitor.phase(Phase::Plan, None);
    let mut plan = Tallies::new(options)?;
    plan.take_up(&checked.findings, monitor, |findings| {
        planner.some(findings)
    })?;
    say_what_room_it_needs(server.tree, plan.to_copy, monitor);
    let mut outcome = Outcome::of(checked, options)?;
    if !options.apply {
        outcome.take_in(plan);
        if options.relink {
            outcome.relinked = Some(relink::plan(server, monitor)?);
        }
        if options.fill_sha256 {
            outcome.sha256 = Some(sha256::plan(server, monitor)?);
        }
        return Ok(outcome);
    }
    planner.refuse_without_rows(&plan)?;
    planner.refuse_too_much(&plan, &outcome.checked)?;
    let mut actor = actor(server, &decider, options, monitor)?;
    let mut done = Tallies::new(options)?;
    monitor.phase(Phase::Repair, Some(plan.to_do));
    let taken_up = done.take_up(&outcome.checked.findings, monitor, |findings| {
        let mended = actor.some(findings);
        let taken_up = mended.iter().filter(|each| each.work.is_some());
        monitor.advance(taken_up.count() as u64, 0);
        mended
    });
    outcome.take_in(done);
    // From here on, whatever fails: what was changed is put on disk, and said with the run's name.
    if let Err(error) = taken_up {
        actor.broken.get_or_insert(error);
    }
    if options.relink && actor.broken.is_none() {
        outcome.relinked = Some(relink::run(&mut actor, server));
    }
    if let (Some(rows), None) = (&mut rows, &actor.broken) {
        outcome.sha256 = Some(sha256::run(&mut actor, rows, server));
    }
    actor.sync();
    outcome.end(&actor);
    Ok(outcome)
}

fn actor<'a>(
    server: &Server<'a>,
    decider: &'a Decider<'a>,
    options: &'a Options,
    monitor: &'a dyn Monitor,
) -> Result<Actor<'a>, RepairError> {
    let name = run_name(jiff::Timestamp::now(), "repair");
    let database = server.catalog.summary().provenance.database.clone();
    let journal = Journal::begin(server.tree, &name, database)?;
    let prover = Prover::new(false).sparing(&options.check.low_impact);
    let staging = Staging::of(server.tree, prover, monitor);
    staging.clear();
    Ok(Actor {
        tree: server.tree,
        live: server.live,
        decider,
        options,
        fetcher: server.fetcher,
        quarantine: Quarantine::of(server.tree, journal.run()),
        journal,
        staging,
        monitor,
        broken: None,
    })
}

/// Says what room the contents need that are copied or fetched, at most, and what there is.
fn say_what_room_it_needs(tree: &Tree, need: u64, monitor: &dyn Monitor) {
    if let Ok(free) = free_room(tree.path()) {
        monitor.room(&Room {
            what: "files that are put back",
            place: tree.path(),
            need,
            free,
        });
    }
}

/// Severities and kinds in the order in which they are taken up: what is missing or damaged first,
/// what is only in the way after that.
fn in_order() -> impl Iterator<Item = (Severity, Kind)> {
    let severities = [
        Severity::Loss,
        Severity::Recoverable,
        Severity::Notice,
        Severity::Waste,
    ];
    let rest = Kind::ALL.iter().filter(|kind| !ORDER.contains(kind));
    let kinds: Vec<Kind> = ORDER.iter().chain(rest).copied().collect();
    let (waste, needed): (Vec<Severity>, Vec<Severity>) = severities
        .into_iter()
        .partition(|severity| *severity == Severity::Waste);
    [needed, waste].into_iter().flat_map(move |severities| {
        let kinds = kinds.clone();
        kinds.into_iter().flat_map(move |kind| {
            let severities = severities.clone();
            severities.into_iter().map(move |severity| (severity, kind))
        })
    })
}

/// Whether a finding is one that this run has failed over.
fn fails(options: &Options, finding: &Finding) -> bool {
    options.fail_on.is_met_by(finding.kind, finding.severity)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_finding_is_taken_up_once_and_waste_comes_last() {
        let order: Vec<(Severity, Kind)> = in_order().collect();
        let all: BTreeSet<(Severity, Kind)> = order.iter().copied().collect();
        assert_eq!(order.len(), all.len());
        assert_eq!(all.len(), Severity::ALL.len() * Kind::ALL.len());
        let first_waste = order
            .iter()
            .position(|(severity, _)| *severity == Severity::Waste);
        assert_eq!(first_waste, Some(3 * Kind::ALL.len()));
        let at = |kind| order.iter().position(|(_, other)| *other == kind);
        assert!(at(Kind::WrongMode) < at(Kind::MissingGold));
        assert!(at(Kind::MissingGold) < at(Kind::MissingDerived));
        assert!(at(Kind::Corrupt) < at(Kind::Misplaced));
    }
}
