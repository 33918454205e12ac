//! The check: a merge join of the tree and the catalog, and its findings.
//!
//! 1. The tree is surveyed from the top, and quick looks make sure that there is something to
//!    check: a repository that is not mounted must not look like one that has lost every file.
//! 2. Shard by shard, in parallel, tree and catalog are compared (`compare`); each shard leaves
//!    drafts of findings on disk.
//! 3. When all shards have been seen, the drafts are settled (`settle`): only now is it known which
//!    golds are lost and which strays are somebody's missing file. With a live database, what work
//!    in progress can explain is looked at again (`again`).
//!
//! The check changes nothing. It can be stopped at any time, and then tells the truth about the
//! shards that it had finished.

mod accept;
mod again;
mod companion;
mod compare;
mod draft;
mod finding;
mod kind;
mod ledger;
mod memory;
mod presence;
mod reads;
mod settle;
mod slice;
mod spool;
mod uploads;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::Serialize;

pub use accept::{AcceptError, Accepted, Matches, write as write_accepted};
pub use companion::{Backups, Companion, CompanionError, Listed, ShardCompanion};
pub use finding::{Action, Finding, Mending, MendingStatus, Recovery, path_text};
pub use kind::{FailOn, Kind, Severity, UnknownFailOn};
pub use ledger::{Ledger, Standing};
pub use reads::TimeLimit;
pub use slice::{BadSlice, Slice};
pub use spool::{Batch, Spool, Tally};

use crate::catalog::scatter::{self, Scatter};
use crate::catalog::{Amount, Catalog, CatalogError, LiveRows};
use crate::monitor::{Monitor, Phase, Silent};
use crate::parallel::share_out;
use crate::repository::{LowImpact, OddWhat, Prover, RepositoryError, Shard, Stray, Survey, Tree};
use crate::sysconf::RepositoryType;
use again::Again;
use compare::{Compared, Comparer};
use draft::StrayRecord;
use memory::{crew_for, threads_to_settle};
use presence::make_sure_of_files;
use reads::Reads;
use settle::Settler;

/// What to check, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The types to report on.
    pub types: Vec<RepositoryType>,
    /// Read contents and prove names.
    pub verify: bool,
    /// Also prove the rows' sha256.
    pub sha256: bool,
    /// Which shards' contents are read.
    pub slice: Slice,
    /// An empty repository, or an empty part of a host, is what it should be.
    pub allow_empty: bool,
    /// Threads; at least 1.
    pub threads: usize,
    /// Where scratch files go.
    pub scratch: PathBuf,
    /// How contents are read.
    pub low_impact: LowImpact,
}

impl Options {
    /// A check of everything by its listing: no contents are read.
    pub fn of_listing(threads: usize, scratch: &Path) -> Options {
        Options {
            types: vec![
                RepositoryType::Gold,
                RepositoryType::Files,
                RepositoryType::License,
            ],
            verify: false,
            sha256: false,
            slice: Slice::ALL,
            allow_empty: false,
            threads,
            scratch: scratch.to_owned(),
            low_impact: LowImpact::default(),
        }
    }

    /// The types whose directories are listed: whatever is reported, gold and files are known, for
    /// each may hold the copy that the other lacks.
    fn listed_types(&self) -> Vec<RepositoryType> {
        let mut types = vec![RepositoryType::Gold, RepositoryType::Files];
        types.extend(
            self.types
                .contains(&RepositoryType::License)
                .then_some(RepositoryType::License),
        );
        types
    }

    /// The types whose contents are read: to judge derived files, gold must be proven too. (The
    /// other way round, the copies of bad golds are proven one by one.)
    fn read_types(&self) -> Vec<RepositoryType> {
        let mut types = self.types.clone();
        if types.contains(&RepositoryType::Files) && !types.contains(&RepositoryType::Gold) {
            types.push(RepositoryType::Gold);
        }
        types
    }

    /// What reads contents as was asked for.
    fn prover(&self, with_sha256: bool) -> Prover {
        Prover::new(with_sha256)
            .sparing(&self.low_impact)
            .without_witness()
            .beside(self.threads)
    }

    /// Whether a complete run finds what there is of a kind about something of a type.
    fn looks_for(&self, kind: Kind, ty: Option<RepositoryType>, shards_read: u64) -> bool {
        let reads_all = shards_read == 256;
        let can_see = match kind {
            Kind::Corrupt | Kind::Unreadable => reads_all,
            Kind::WrongSha256 => reads_all && self.sha256,
            Kind::DeletedMeanwhile => false,
            _ => true,
        };
        can_see && ty.map_or(self.types.len() == 3, |ty| self.types.contains(&ty))
    }

    /// Whether the contents of a shard are read.
    fn reads(&self, shard: Shard) -> bool {
        self.verify && self.slice.contains(shard)
    }
}

/// Why there was no check.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// Rows or scratch files.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The repository cannot be opened.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The repository, or a host's part of it, is empty although the catalog knows files there.
    #[error(
        "{} holds no file, but the database knows {known}: is it mounted? \
         (--allow-empty checks it all the same)",
        path.display()
    )]
    NotMounted {
        /// The root, or the host's directory.
        path: PathBuf,
        /// What the database knows there.
        known: String,
    },
    /// The database knows nothing at all, and the repository holds files.
    #[error(
        "the database knows no upload and no file, but {} holds files: is it the right database? \
         (--allow-empty checks it all the same)",
        path.display()
    )]
    EmptyDatabase {
        /// The root.
        path: PathBuf,
    },
    /// A host's or a type's directory is a symbolic link.
    #[error(
        "{} is a symbolic link, and fogold follows none below the repository's root: \
         mount its target there (mount --bind)",
        path.display()
    )]
    Linked {
        /// The link.
        path: PathBuf,
    },
    /// This process may have no more files or memory: what it could not see is not missing.
    #[error(
        "the system gives fogold no more files or memory: raise the limit (ulimit -n), or lower -j"
    )]
    Exhausted {
        /// The system's answer.
        source: std::io::Error,
    },
    /// Who went along with the check cannot go on.
    #[error(transparent)]
    Companion(#[from] CompanionError),
    /// Files are there, but none at the configured depth.
    #[error(
        "no file stands at depth {configured} below {}, the first ones stand at depth {found}: \
         correct depth in fossology.conf, or give --depth {found}",
        path.display()
    )]
    WrongDepth {
        /// The root.
        path: PathBuf,
        /// The depth that the configuration says.
        configured: usize,
        /// The depth at which files were found.
        found: usize,
    },
}

impl CheckError {
    /// Whether what was asked cannot be meant (exit status 2), rather than the world being in the
    /// way (exit status 3).
    pub fn is_misuse(&self) -> bool {
        match self {
            CheckError::Catalog(error) => error.is_misuse(),
            CheckError::WrongDepth { .. } => true,
            CheckError::Repository(_)
            | CheckError::NotMounted { .. }
            | CheckError::EmptyDatabase { .. }
            | CheckError::Linked { .. }
            | CheckError::Companion(_)
            | CheckError::Exhausted { .. } => false,
        }
    }
}

/// What was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// Files listed in their place in gold.
    pub gold: Amount,
    /// Files listed in their place in files.
    pub files: Amount,
    /// Files listed in their place in license.
    pub license: Amount,
    /// The same by host and type; what lies at the root itself, which is no host, is under the empty
    /// name.
    pub hosts: BTreeMap<String, BTreeMap<RepositoryType, Amount>>,
    /// Directories listed.
    pub directories: u64,
    /// Files whose contents were read: once, however many hard links they have.
    pub read: Amount,
}

impl Coverage {
    fn listed(&mut self, ty: RepositoryType) -> &mut Amount {
        match ty {
            RepositoryType::Gold => &mut self.gold,
            RepositoryType::License => &mut self.license,
            _ => &mut self.files,
        }
    }

    fn on_host(&mut self, host: &str, ty: RepositoryType, amount: Amount) {
        if !self.hosts.contains_key(host) {
            self.hosts.insert(host.to_owned(), BTreeMap::new());
        }
        if let Some(types) = self.hosts.get_mut(host) {
            *types.entry(ty).or_default() += amount;
        }
    }

    fn add(&mut self, other: &Coverage) {
        self.gold += other.gold;
        self.files += other.files;
        self.license += other.license;
        for (host, types) in &other.hosts {
            for (ty, amount) in types {
                self.on_host(host, *ty, *amount);
            }
        }
        self.directories += other.directories;
        self.read += other.read;
    }
}

/// What a check found.
#[derive(Debug)]
pub struct Outcome {
    /// All findings, in order.
    pub findings: Spool,
    /// What was looked at.
    pub coverage: Coverage,
    /// Everything that was asked for was looked at.
    pub complete: bool,
    /// The shards that were looked at completely.
    pub complete_shards: Vec<Shard>,
    /// The shards whose contents were read to their end.
    pub shards_read: u64,
    /// The shards outside of the slice that were to be read because they were bad the last time.
    pub read_again: u64,
    /// How long contents were read at most.
    pub time_limit: Option<Duration>,
    /// How far the repository has been read, by this run and those before it.
    pub standing: Option<Standing>,
    /// What came of [`Aids::accepted`].
    pub accepted: Option<Matches>,
}

/// What comparing all shards left in memory.
#[derive(Default)]
struct Seen {
    coverage: Coverage,
    complete_shards: Vec<Shard>,
    shards_read: u64,
    golds_at_risk: Vec<crate::repository::RepositoryName>,
    faults: HashMap<(bool, bool), u64>,
    /// Names that the second look asks for, roughly.
    in_doubt: u64,
}

impl Seen {
    fn add(&mut self, other: Seen) {
        self.coverage.add(&other.coverage);
        self.complete_shards.extend(other.complete_shards);
        self.shards_read += other.shards_read;
        self.golds_at_risk.extend(other.golds_at_risk);
        self.in_doubt += other.in_doubt;
        for (fault, count) in other.faults {
            *self.faults.entry(fault).or_default() += count;
        }
    }
}

/// Checks a repository against a catalog. With `live`, findings that work in progress can explain
/// are looked at again.
pub fn run(
    tree: &Tree,
    catalog: &Catalog,
    live: Option<&dyn LiveRows>,
    options: &Options,
    monitor: &dyn Monitor,
) -> Result<Outcome, CheckError> {
    let aids = Aids {
        live,
        ..Aids::default()
    };
    run_with(tree, catalog, aids, options, monitor)
}

/// What a check may draw on besides tree and catalog.
#[derive(Clone, Copy, Default)]
pub struct Aids<'a> {
    /// A live database, for the second look.
    pub live: Option<&'a dyn LiveRows>,
    /// Goes along, and reads what it likes in place of `--verify`.
    pub companion: Option<&'a dyn Companion>,
    /// Stores that may hold what is missing.
    pub backups: &'a [&'a dyn Backups],
    /// Findings that do not count.
    pub accepted: Option<&'a Accepted>,
    /// Where it is noted which contents were read.
    pub ledger: Option<&'a Ledger>,
    /// How long contents are read; those first that the ledger says.
    pub time_limit: Option<TimeLimit>,
}

/// Checks a repository as [`run`] does, with all the aids there are.
pub fn run_with(
    tree: &Tree,
    catalog: &Catalog,
    aids: Aids<'_>,
    options: &Options,
    monitor: &dyn Monitor,
) -> Result<Outcome, CheckError> {
    let mut survey = tree.survey(monitor);
    let top = std::mem::take(&mut survey.top.odd);
    if let Some(source) = unreadable_root(&top) {
        return Err(RepositoryError::Open {
            path: tree.path().to_owned(),
            source: std::io::Error::new(source.kind(), source.to_string()),
        }
        .into());
    }
    let unreadable_above = top
        .iter()
        .filter(|odd| matches!(odd.what, OddWhat::Unreadable(_)))
        .map(|odd| odd.path.clone())
        .collect::<Vec<_>>();
    let empty_hosts = match unreadable_above.is_empty() {
        true => make_sure_of_files(tree, catalog, &survey, options)?,
        false => Vec::new(),
    };
    let top_strays = std::mem::take(&mut survey.top.strays);
    let summary = catalog.summary();
    monitor.phase(Phase::Tree, Some(summary.gold.files + summary.files.files));

    let reads = Reads::of(options, aids.time_limit, aids.ledger);
    let comparer = Comparer {
        tree,
        catalog,
        survey: &survey,
        options,
        monitor,
        unreadable_above,
        empty_hosts,
        reads: &reads,
        companion: aids.companion,
    };
    let above_complete = comparer.unreadable_above.is_empty();
    let mut above = Compared::default();
    for odd in top {
        comparer.odd(odd, &mut above);
    }
    let drafts = Scatter::new(&options.scratch)?;
    let strays = Scatter::new(&options.scratch)?;
    let mut seen = Seen {
        coverage: Coverage {
            directories: survey.top.directories,
            ..Coverage::default()
        },
        faults: above.faults,
        ..Seen::default()
    };
    {
        let mut writer = strays.writer();
        for stray in top_strays {
            put_stray(&mut writer, stray)?;
        }
        writer.finish()?;
    }
    let crew = Arc::new(crew_for(&comparer, monitor));
    let order = order(&aids, options);
    let parts = share_out(crew.threads(), monitor, |shards| {
        let Some(seat) = crew.begin() else {
            return Ok(Seen::default());
        };
        let mut prover = options.prover(options.sha256).in_crew(&crew);
        if seat.is_spare() {
            prover = prover.spare();
        }
        let mut shards = shards.map(|turn| order[usize::from(turn)]);
        compare_shards(
            &comparer,
            prover,
            &mut shards,
            aids.ledger,
            &drafts,
            &strays,
        )
    })?;
    if let Some(source) = tree.exhausted() {
        return Err(CheckError::Exhausted { source });
    }
    for part in parts {
        seen.add(part);
    }
    seen.complete_shards.sort_unstable();
    if !above_complete {
        seen.complete_shards.clear();
    }

    monitor.phase(Phase::SecondLook, Some(256));
    let common_faults: HashSet<(bool, bool)> = seen
        .faults
        .iter()
        .filter(|(_, count)| **count * 2 > seen.coverage.directories)
        .map(|(fault, _)| *fault)
        .collect();
    let mut settler = Settler {
        tree,
        catalog,
        options,
        reads: &reads,
        monitor,
        again: None,
        backups: aids.backups,
        drafts: &drafts,
        strays: &strays,
        lost: HashSet::new(),
        second_look_failed: AtomicBool::new(false),
        common_faults,
    };
    settler.lost = settler.find_lost(seen.golds_at_risk, &mut options.prover(false))?;
    settler.again = aids
        .live
        .map(|live| Again::of(seen.in_doubt, live, catalog, options, monitor));
    let findings = Spool::new(&options.scratch)?;
    let now = jiff::Timestamp::now().as_second();
    findings.deliver(0, settle_above(above.drafts, &settler, &survey, now))?;
    // Stopping is for the long work before: what was seen completely is also reported completely.
    let shards_held = 1 + u64::from(matches!(settler.again, Some(Again::Read { .. })));
    let rows = shards_held * summary.pfile_rows;
    let threads = options.threads.min(threads_to_settle(drafts.size(), rows));
    share_out(threads, &Silent, |shards| {
        let mut prover = options.prover(false);
        for shard in shards.map(Shard) {
            findings.deliver(batch_of(shard), settler.settle(shard, &mut prover)?)?;
            monitor.advance(1, 0);
        }
        Ok::<(), CatalogError>(())
    })?;
    // A time in which no shard can be read would leave every run without a look at any contents.
    let has_read = aids.time_limit.is_none() || seen.shards_read > 0;
    let complete = seen.complete_shards.len() == 256
        && has_read
        && !monitor.stopped()
        && !settler.second_look_failed.load(Ordering::Relaxed);
    let judged = |kind, ty| complete && options.looks_for(kind, ty, seen.shards_read);
    let accepted = match aids.accepted {
        Some(accepted) => Some(accepted.set_apart(&findings, judged)?),
        None => None,
    };
    if let Some(ledger) = aids.ledger {
        let worst = worst_contents(&findings);
        ledger.judge(|shard| worst.get(&shard).copied());
    }
    Ok(Outcome {
        findings,
        coverage: seen.coverage,
        complete,
        complete_shards: seen.complete_shards,
        shards_read: seen.shards_read,
        read_again: reads.again(),
        time_limit: aids.time_limit.map(|limit| limit.length),
        standing: aids.ledger.map(|ledger| ledger.standing(&options.types)),
        accepted,
    })
}

/// The worst that was found of bad contents and counts, by shard.
fn worst_contents(findings: &Spool) -> BTreeMap<Shard, Severity> {
    let mut worst = BTreeMap::new();
    for severity in Severity::ALL {
        for kind in [Kind::Corrupt, Kind::Unreadable] {
            for batch in findings.batches(severity, kind) {
                if let Some(shard) = shard_of(batch) {
                    worst.entry(shard).or_insert(severity);
                }
            }
        }
    }
    worst
}

/// The number of a shard's batch of findings.
fn batch_of(shard: Shard) -> u16 {
    u16::from(shard.0) + 1
}

/// The shard of a batch; `None` for what is above the shards.
fn shard_of(batch: u16) -> Option<Shard> {
    let number = u8::try_from(batch.checked_sub(1)?).ok()?;
    Some(Shard(number))
}

/// The order in which shards are compared: where time is short, the ledger knows what comes first.
fn order(aids: &Aids<'_>, options: &Options) -> Vec<Shard> {
    match (aids.ledger, aids.time_limit) {
        (Some(ledger), Some(_)) => ledger.order(&options.types),
        _ => Shard::all().collect(),
    }
}

/// Puts a stray on disk, where the shard of its name finds it.
fn put_stray(writer: &mut scatter::Writer, stray: Stray) -> Result<(), CatalogError> {
    let record = StrayRecord::from(stray);
    writer.push(record.name.shard().0, |out| draft::put(out, &record))
}

fn unreadable_root(odd: &[crate::repository::Odd]) -> Option<&std::io::Error> {
    odd.iter().find_map(|odd| match &odd.what {
        OddWhat::Unreadable(error) if odd.path.0.is_empty() => Some(error),
        _ => None,
    })
}

/// Compares shards as they are handed out, and puts their drafts and strays on disk.
fn compare_shards(
    comparer: &Comparer<'_>,
    mut prover: Prover,
    shards: &mut dyn Iterator<Item = Shard>,
    ledger: Option<&Ledger>,
    drafts: &Arc<Scatter>,
    strays: &Arc<Scatter>,
) -> Result<Seen, CheckError> {
    let mut seen = Seen::default();
    let mut draft_writer = drafts.writer();
    let mut stray_writer = strays.writer();
    for shard in shards {
        let began = jiff::Timestamp::now();
        let Some(compared) = comparer.compare(shard, &mut prover)? else {
            break;
        };
        let fleeting = compared.drafts.iter().filter(|draft| draft.is_fleeting());
        let in_doubt = (fleeting.count() + compared.strays.len()) as u64;
        for draft in &compared.drafts {
            draft_writer.push(shard.0, |out| draft::put(out, draft))?;
        }
        for stray in compared.strays {
            put_stray(&mut stray_writer, stray)?;
        }
        // What this process had no means to read is not bad.
        if let (Some(ledger), None) = (ledger, comparer.tree.exhausted()) {
            ledger.note(shard, began, &compared.contents);
        }
        seen.add(Seen {
            shards_read: u64::from(compared.is_read),
            coverage: compared.coverage,
            complete_shards: (!compared.incomplete)
                .then_some(shard)
                .into_iter()
                .collect(),
            golds_at_risk: compared.golds_at_risk,
            faults: compared.faults,
            in_doubt,
        });
    }
    draft_writer.finish()?;
    stray_writer.finish()?;
    Ok(seen)
}

/// The findings above the shards: of the upper directories, temporary trees, uploads and rows.
fn settle_above(
    drafts: Vec<draft::Draft>,
    settler: &Settler<'_>,
    survey: &Survey,
    now: i64,
) -> Batch {
    let mut batch = Batch::default();
    let summary = settler.catalog.summary();
    for finding in settler.findings_above(drafts) {
        batch.push(finding);
    }
    for finding in uploads::findings(summary) {
        batch.push(finding);
    }
    for temporary in &survey.temporary {
        if let Some(finding) = uploads::abandoned(temporary, summary, now) {
            batch.push(finding);
        }
    }
    batch
}
