//! A run from its beginning to its end: check, plan, act, and check again.

use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::clean::{self, Cleaned};
use super::database::{Database, Queued};
use super::error::RequeueError;
use super::follow::{GaveUp, Patience};
use super::golds::Golds;
use super::journal::{Entry, Journal};
use super::plan::{Plan, Planner};
use super::rebuild::{self, CutTree};
use super::report::{After, Job, LostUpload, OpenUnpack, Outcome, Told, filename};
use super::scheduler::{Running, Scheduler};
use super::wanted::Wanted;
use crate::catalog::{Amount, Catalog, CatalogError, LiveRows};
use crate::check;
use crate::monitor::{Monitor, Phase};
use crate::recover::in_full::in_full;
use crate::recover::lock::keep_others_out;
use crate::recover::quarantine::{Quarantine, run_name};
use crate::repository::{RepositoryName, Tree, TreePath};
use crate::sysconf::Connector;

/// How long cleaning up is put off for what comes after jobs that were waited for, and between two
/// tries.
const CLEAN_PATIENCE: Duration = Duration::from_secs(60);
const CLEAN_PAUSE: Duration = Duration::from_millis(500);

/// What is to be done, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// Plan only.
    pub dry_run: bool,
    /// Follow the jobs to their end, and check again.
    pub wait: Option<Patience>,
    /// Clean up after jobs that have ended.
    pub clean: bool,
    /// Mend trees that a killed unpack has cut.
    pub rebuild_trees: bool,
    /// So many jobs are queued at a time.
    pub batch: usize,
    /// How the checks before and after are done.
    pub check: check::Options,
}

/// A server: its repository, its database, its scheduler.
pub struct Server<'a> {
    /// The repository.
    pub tree: &'a Tree,
    /// Makes a fresh catalog of the live database.
    pub catalog: &'a dyn Fn() -> Result<Catalog, CatalogError>,
    /// The live database, for the second look of checks.
    pub live: &'a dyn LiveRows,
    /// Makes the connection that writes.
    pub connector: &'a Connector,
    /// Where the scheduler listens, if that is known.
    pub scheduler: Option<Scheduler>,
}

/// Has FOSSology unpack again what is missing.
pub fn run(
    server: &Server<'_>,
    options: &Options,
    monitor: &dyn Monitor,
) -> Result<Outcome, RequeueError> {
    let mut database = Database::connect(server.connector)?;
    database.require_rights(options.dry_run)?;
    if !options.dry_run {
        database.lock(monitor)?;
    }
    if options.clean && !options.dry_run && !keep_others_out(server.tree) {
        return Err(RequeueError::Busy {
            root: server.tree.path().to_owned(),
        });
    }
    let name = run_name(jiff::Timestamp::now(), "requeue");
    let mut run = Run {
        server,
        options,
        monitor,
        database,
        golds: Golds::of(server.tree),
        quarantine: Quarantine::of(server.tree, &name),
        journal: Journal::of(server.tree),
        name,
        began: Instant::now(),
    };
    let (mut outcome, work) = run.plan()?;
    if options.dry_run {
        return Ok(outcome);
    }
    match run.act(&mut outcome, &work) {
        // What was done until then is not to be forgotten over what went wrong.
        Err(error) if outcome.has_changed_something() => {
            let text = in_full(&error);
            monitor.warn(&text);
            outcome.complete = false;
            outcome.troubles.push(text);
            Ok(outcome)
        }
        result => result.map(|()| outcome),
    }
}

/// What the plan needs besides what it reports.
pub(super) struct Work {
    /// The golds of the jobs, by upload, with where they were proven.
    pub(super) golds: BTreeMap<i32, (RepositoryName, TreePath)>,
    /// Golds whose copy in files/ is missing, and that are good.
    unlinked: Vec<(RepositoryName, TreePath)>,
}

/// A run at work.
pub(super) struct Run<'a> {
    pub(super) server: &'a Server<'a>,
    pub(super) options: &'a Options,
    pub(super) monitor: &'a dyn Monitor,
    pub(super) database: Database,
    golds: Golds<'a>,
    quarantine: Quarantine<'a>,
    journal: Journal<'a>,
    name: String,
    /// When waiting for jobs began.
    pub(super) began: Instant,
}

impl Run<'_> {
    /// Checks, and plans. Changes nothing.
    fn plan(&mut self) -> Result<(Outcome, Work), RequeueError> {
        let catalog = (self.server.catalog)()?;
        let checked = self.check(&catalog)?;
        let wanted = Wanted::of(&checked, &catalog, &self.options.check.scratch)?;
        self.monitor.phase(Phase::Plan, None);
        self.warn_of_unusable(&wanted);
        let queued = self.database.uploads()?;
        let server = self.server;
        let running = LazyCell::new(|| Running::ask(server.scheduler.as_ref()));
        let mut trees = self.cut_trees(&wanted, &catalog, &queued, &running)?;
        let mended: BTreeSet<i32> = trees
            .iter()
            .filter(|tree| tree.refused.is_none())
            .map(|tree| tree.upload)
            .collect();
        let planner = Planner::of(&wanted, &catalog, &queued);
        let plan = planner.plan(&mut self.golds, &mended, self.monitor)?;
        for tree in &mut trees {
            tree.seconds = plan.mending.get(&tree.upload).copied();
        }
        let mut beyond = plan.beyond;
        beyond += wanted.beyond;
        let work = self.work(&plan, &wanted, &mut beyond);
        if self.monitor.stopped() {
            return Err(CatalogError::Stopped.into());
        }
        let outcome = Outcome {
            dry_run: self.options.dry_run,
            complete: checked.complete,
            troubles: troubles(&checked),
            wanted: wanted.files,
            jobs: jobs(&plan, &queued, &catalog),
            open: plan
                .open
                .iter()
                .map(|open| OpenUnpack::of(open, || running.is_at(open.row.row)))
                .collect(),
            lost: lost(&plan, &catalog),
            beyond,
            elsewhere: wanted.elsewhere,
            listings: wanted.listings,
            unusable: wanted.unusable,
            placed: Vec::new(),
            unlinked_golds: work.unlinked.len() as u64,
            trees,
            scheduler: Told::Nothing,
            after: None,
            cleaned: None,
        };
        Ok((outcome, work))
    }

    fn warn_of_unusable(&self, wanted: &Wanted) {
        if wanted.unusable > 0 {
            self.monitor.warn(&format!(
                "FOSSology cannot use {} of the files and directories (wrong-mode): unpacks will fail there; \
                 mend owner and mode first, 'fogold repair --only mode --apply' does it",
                wanted.unusable
            ));
        }
    }

    /// The cut trees, where they are to be mended.
    fn cut_trees(
        &mut self,
        wanted: &Wanted,
        catalog: &Catalog,
        queued: &BTreeMap<i32, Queued>,
        running: &LazyCell<Running, impl FnOnce() -> Running>,
    ) -> Result<Vec<CutTree>, RequeueError> {
        if !self.options.rebuild_trees {
            return Ok(Vec::new());
        }
        rebuild::find(
            &mut self.database,
            wanted,
            catalog.summary(),
            queued,
            &mut self.golds,
            running,
            self.monitor,
        )
    }

    /// The golds to put into files/. One that turns out bad is beyond help.
    fn work(&mut self, plan: &Plan, wanted: &Wanted, beyond: &mut Amount) -> Work {
        let mut unlinked = Vec::new();
        for gold in &wanted.unlinked_golds {
            match self.golds.prove(gold, self.monitor) {
                Ok(path) => unlinked.push((*gold, path)),
                Err(_) => beyond.add(gold.size),
            }
        }
        Work {
            golds: plan
                .picks
                .iter()
                .map(|pick| (pick.upload, (pick.unpack.gold, pick.gold.clone())))
                .collect(),
            unlinked,
        }
    }

    fn check(&self, catalog: &Catalog) -> Result<check::Outcome, RequeueError> {
        let live = Some(self.server.live);
        let (tree, options) = (self.server.tree, &self.options.check);
        Ok(check::run(tree, catalog, live, options, self.monitor)?)
    }

    /// Does what was planned.
    fn act(&mut self, outcome: &mut Outcome, work: &Work) -> Result<(), RequeueError> {
        let mends = |outcome: &Outcome| outcome.trees.iter().any(|tree| tree.refused.is_none());
        if let Some(job) = outcome.jobs.iter().find(|job| job.user.is_none()) {
            return Err(RequeueError::NoUser { upload: job.upload });
        }
        if !outcome.jobs.is_empty() || mends(outcome) {
            self.keep_mark(outcome)?;
        }
        self.settle_before_jobs(outcome, work)?;
        self.began = Instant::now();
        let total = outcome.jobs.len() as u64;
        self.monitor.phase(Phase::Unpack, Some(total));
        if let Some(why) = self.run_jobs(outcome, work)? {
            outcome.complete = false;
            outcome.troubles.push(match why {
                GaveUp::Stopped => "stopped".to_owned(),
                GaveUp::Because(why) => why,
            });
            return Ok(());
        }
        let something = outcome.has_changed_something() || !outcome.open.is_empty();
        if self.options.wait.is_some() && something {
            self.check_again(outcome)?;
        }
        if self.options.clean {
            let cleaned = self.clean()?;
            if let Some(why) = &cleaned.postponed {
                outcome.complete = false;
                outcome.troubles.push(format!("not cleaned up: {why}"));
            }
            outcome.cleaned = Some(cleaned);
        }
        Ok(())
    }

    /// Cleans up. Who waits for jobs also waits a moment for what comes after them: a tree is numbered
    /// when it has been unpacked.
    fn clean(&mut self) -> Result<Cleaned, RequeueError> {
        let began = Instant::now();
        loop {
            let cleaned = clean::clean(
                &mut self.database,
                self.server.tree,
                &self.journal,
                &self.quarantine,
                self.monitor,
            )?;
            let again = self.options.wait.is_some()
                && cleaned.postponed.is_some()
                && began.elapsed() < CLEAN_PATIENCE
                && !self.monitor.stopped();
            if !again {
                return Ok(cleaned);
            }
            std::thread::sleep(CLEAN_PAUSE);
        }
    }

    /// Puts on disk where pfile ends, before anything can add to it.
    fn keep_mark(&mut self, outcome: &Outcome) -> Result<(), RequeueError> {
        let mark = self.database.mark()?;
        let jobs = outcome.jobs.iter().map(|job| job.upload);
        let trees = outcome.trees.iter().map(|tree| tree.upload);
        let entry = Entry::new(&self.name, &mark, jobs.chain(trees).collect());
        self.journal.keep(&entry)
    }

    /// Sees to the golds whose copy in files/ is missing, and to those of unpacks that somebody has
    /// queued and that may begin at any time.
    fn settle_before_jobs(
        &mut self,
        outcome: &mut Outcome,
        work: &Work,
    ) -> Result<(), RequeueError> {
        let to_come = outcome.open.iter().filter(|open| open.is_to_come());
        let golds: Vec<(RepositoryName, TreePath)> = to_come
            .map(|open| open.gold.clone())
            .chain(work.unlinked.iter().cloned())
            .collect();
        for (gold, source) in &golds {
            if self.monitor.stopped() {
                return Err(CatalogError::Stopped.into());
            }
            self.settle(gold, source, outcome)?;
        }
        Ok(())
    }

    /// Makes sure that FOSSology takes the right top file.
    pub(super) fn settle(
        &mut self,
        gold: &RepositoryName,
        source: &TreePath,
        outcome: &mut Outcome,
    ) -> Result<(), RequeueError> {
        let placed = self
            .golds
            .settle(gold, source, &self.quarantine, self.monitor)?;
        outcome.placed.extend(placed);
        Ok(())
    }

    /// "Completed" proves nothing: looks at the files.
    fn check_again(&mut self, outcome: &mut Outcome) -> Result<(), RequeueError> {
        let catalog = (self.server.catalog)()?;
        let checked = self.check(&catalog)?;
        let wanted = Wanted::of(&checked, &catalog, &self.options.check.scratch)?;
        let mut missing: Amount = wanted.files;
        missing += wanted.beyond;
        missing += wanted.elsewhere;
        for gold in &wanted.unlinked_golds {
            missing.add(gold.size);
        }
        outcome.complete &= checked.complete;
        outcome.after = Some(After {
            missing,
            listings: wanted.listings,
        });
        Ok(())
    }
}

/// Why a plan may not be all that is needed.
pub(super) fn troubles(checked: &check::Outcome) -> Vec<String> {
    let incomplete =
        "the check could not look at everything: more may be missing than is planned for";
    Vec::from_iter((!checked.complete).then(|| incomplete.to_owned()))
}

pub(super) fn jobs(plan: &Plan, queued: &BTreeMap<i32, Queued>, catalog: &Catalog) -> Vec<Job> {
    let of = |pick| {
        let job: &super::plan::Pick = pick;
        let user = queued.get(&job.upload).and_then(|queued| queued.user);
        Job::of(job, user, catalog.summary())
    };
    plan.picks.iter().map(of).collect()
}

pub(super) fn lost(plan: &Plan, catalog: &Catalog) -> Vec<LostUpload> {
    let of = |(upload, why): (&i32, &String)| LostUpload {
        upload: *upload,
        filename: filename(catalog.summary(), *upload),
        why: why.clone(),
    };
    plan.lost.iter().map(of).collect()
}
