//! A drill: a set is restored into scratch, checked there, and timed.
//!
//! The database goes into a PostgreSQL of our own, the way a restore puts it into a server's. Then,
//! in a full drill, the files go into a tree that is laid out as the source's was, and the check
//! reads them all; otherwise the restored database is held against manifest and pool (`promise`),
//! which reads names and lengths only. Nothing of the source's server is needed, and nothing is
//! left behind: what a killed drill leaves is taken away by the next one in the same place.

mod error;
mod outcome;
mod promise;
mod room;
mod stopwatch;

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::process::geteuid;

pub use error::DrillError;
pub use outcome::{Drilled, DrilledTree, LostUploads};
pub use stopwatch::Step;

use super::database::{self, Owner, Source, Target};
use super::files;
use super::scratch_cluster::ScratchCluster;
use super::scratch_directory::{ScratchDirectory, remove_leftovers};
use crate::catalog::{Amount, Catalog, CatalogError, LiveDatabase};
use crate::check::{self, Aids, Slice};
use crate::manifest::fetch::Fetcher;
use crate::manifest::{SetKind, Types};
use crate::monitor::Monitor;
use crate::repository::{Access, Layout, LowImpact, Tree};
use crate::store::layout::SetId;
use crate::store::{Drill, SetRecord, Store};
use crate::sysconf::{ConnectionParameters, Programs, RepositoryType};
use outcome::left_to_unpacking;
use room::Room;
use stopwatch::Stopwatch;

/// What the name of a drill's tree begins with.
const PREFIX: &str = "fogold-drill-";

/// What the database is called where its set does not say.
const DATABASE: &str = "fossology";

/// To whom it belongs: no superuser, so that nothing of a dump runs as one.
const OWNER: &str = "fogold_drill";

/// How often it is looked whether a drill that waits for its server should stop.
const STEP: Duration = Duration::from_millis(50);

/// What to drill, and how.
pub struct Request<'a> {
    /// The store.
    pub store: &'a Store,
    /// The set.
    pub id: SetId,
    /// Its record.
    pub record: &'a SetRecord,
    /// Restore the files too, and read them back.
    pub full: bool,
    /// Fetches gold that the set left out, in a full drill; without one it stays away.
    pub fetcher: Option<&'a Fetcher>,
    /// PostgreSQL's programs, the server's among them.
    pub programs: &'a Programs,
    /// Where database and tree are made.
    pub scratch: &'a Path,
    /// Threads; at least 1.
    pub threads: usize,
}

/// Runs a drill, and notes in the store how long it took. Nobody takes anything out of the store
/// meanwhile: see [`ReadLock`](crate::store::ReadLock).
pub fn run(request: &Request<'_>, monitor: &dyn Monitor) -> Result<Drilled, DrillError> {
    match attempt(request, monitor) {
        // Work that is cut short fails in many ways.
        Err(_) if monitor.stopped() => Err(DrillError::Stopped),
        other => other,
    }
}

fn attempt(request: &Request<'_>, monitor: &dyn Monitor) -> Result<Drilled, DrillError> {
    let scratch = fs::canonicalize(request.scratch).map_err(|source| DrillError::Scratch {
        action: "use",
        path: request.scratch.to_owned(),
        source,
    })?;
    remove_leftovers(&scratch, PREFIX, &[geteuid().as_raw()], |_| ());
    let layout = source_layout(request)?;
    request.store.require_pool(request.record)?;
    Room::of(request.record, request.full).require(&scratch, monitor)?;
    let watch = Stopwatch::start(Step::Server, monitor);
    let cluster = ScratchCluster::start(&scratch, request.programs, &watch)?;
    let mut drilled = with_server(&cluster, monitor, || {
        let database = restore_database(request, &cluster, &watch)?;
        watch.begin(Step::Check);
        let live = open_restored(request, &cluster)?;
        let catalog = read_catalog(request, &live, &watch)?;
        if request.full {
            drill_tree(request, database, catalog, layout, &scratch, &watch)
        } else {
            compare_pool(request, database, catalog, &layout, &watch)
        }
    })?;
    if monitor.stopped() {
        return Err(DrillError::Stopped);
    }
    note(request, &mut drilled, monitor);
    Ok(drilled)
}

/// Works with a server, and has the server end when the work should stop: a statement that takes
/// hours is not waited for.
fn with_server<T>(
    cluster: &ScratchCluster,
    monitor: &dyn Monitor,
    work: impl FnOnce() -> Result<T, DrillError>,
) -> Result<T, DrillError> {
    let (done, is_done) = std::sync::mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            // The other end goes when the work is over.
            while is_done.recv_timeout(STEP) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                if monitor.stopped() {
                    cluster.let_go();
                    return;
                }
            }
        });
        let result = work();
        drop(done);
        result
    })
}

fn restore_database(
    request: &Request<'_>,
    cluster: &ScratchCluster,
    watch: &Stopwatch<'_>,
) -> Result<database::Outcome, DrillError> {
    watch.begin(Step::Dump);
    let Request {
        store, id, record, ..
    } = *request;
    store.make_sure_of(id, record, true, watch)?;
    let set = store.layout().set(id);
    let source = Source {
        dump: record.dump.file.path(&set),
        globals: record.globals.as_ref().map(|globals| globals.path(&set)),
        rows: Some(record.rows.by_table()),
        repository: None,
        label: None,
    };
    let target = Target {
        connection: connection(request, cluster)?,
        owner: Some(Owner {
            name: OWNER.to_owned(),
            password: None,
        }),
    };
    let options = database::Options {
        clean: false,
        // Nobody runs anything of this queue.
        run_deletions: true,
        rewrite_paths: None,
        journal: request.scratch.to_owned(),
        dry_run: false,
        programs: request.programs.clone(),
    };
    database::restore(&source, &target, &options, watch)
        .map_err(|error| DrillError::of_database(&id.to_string(), error))
}

fn connection(
    request: &Request<'_>,
    cluster: &ScratchCluster,
) -> Result<ConnectionParameters, DrillError> {
    let database = request.record.source.database.as_deref();
    // A server has some of these names for itself.
    let database = database.filter(|name| !["postgres", "template0", "template1"].contains(name));
    Ok(cluster.connection(database.unwrap_or(DATABASE))?)
}

fn open_restored(
    request: &Request<'_>,
    cluster: &ScratchCluster,
) -> Result<LiveDatabase, DrillError> {
    let parameters = connection(request, cluster)?;
    let connector = parameters.connector()?;
    Ok(LiveDatabase::open(connector, &parameters.target())?)
}

fn read_catalog(
    request: &Request<'_>,
    live: &LiveDatabase,
    monitor: &dyn Monitor,
) -> Result<Catalog, CatalogError> {
    live.read_catalog(request.scratch, None, request.threads, monitor)
}

/// The layout that the source's repository had.
fn source_layout(request: &Request<'_>) -> Result<Layout, DrillError> {
    let source = &request.record.source;
    let hosts = source.host_table().map_err(|source| DrillError::Hosts {
        set: request.id.to_string(),
        source,
    })?;
    Ok(Layout {
        depth: source.depth,
        hosts,
    })
}

/// The cheap drill: the database against manifest and pool.
fn compare_pool(
    request: &Request<'_>,
    database: database::Outcome,
    catalog: Catalog,
    layout: &Layout,
    watch: &Stopwatch<'_>,
) -> Result<Drilled, DrillError> {
    let reckoned = promise::reckon(request, &catalog, layout, watch)?;
    let drilled = Drilled {
        seconds: watch.seconds(),
        database,
        findings: reckoned.findings,
        held: reckoned.held,
        broken: reckoned.broken,
        to_fetch: reckoned.to_fetch,
        to_unpack: reckoned.to_unpack,
        lost_uploads: LostUploads::default(),
        lost: 0,
        to_recover: 0,
        as_before: 0,
        tree: None,
        complete: true,
        passed: false,
        is_noted: false,
        catalog,
    };
    drilled.judged(request)
}

/// The full drill: the files are restored, and checked by reading them.
fn drill_tree(
    request: &Request<'_>,
    database: database::Outcome,
    catalog: Catalog,
    layout: Layout,
    scratch: &Path,
    watch: &Stopwatch<'_>,
) -> Result<Drilled, DrillError> {
    watch.begin(Step::Files);
    let directory =
        ScratchDirectory::make(scratch, PREFIX).map_err(|source| DrillError::Scratch {
            action: "make a directory in",
            path: scratch.to_owned(),
            source,
        })?;
    let root = directory.path().join("repository");
    files::make_root(&root)?;
    // Nobody but us reads this tree.
    let tree = Tree::open(&root, layout, Access::default())?;
    let restored = files::restore(
        &files::Request {
            store: request.store,
            id: request.id,
            record: request.record,
            types: Types::GOLD.and(Types::FILES).and(Types::LICENSE),
            host: None,
            fetcher: request.fetcher,
            run: "drill",
            threads: request.threads,
            dry_run: false,
        },
        &tree,
        watch,
    )?;
    watch.begin(Step::Check);
    let options = check::Options {
        types: vec![
            RepositoryType::Gold,
            RepositoryType::Files,
            RepositoryType::License,
        ],
        verify: true,
        sha256: false,
        slice: Slice::ALL,
        allow_empty: true,
        threads: request.threads,
        scratch: request.scratch.to_owned(),
        low_impact: LowImpact::default(),
    };
    let outcome = check::run_with(&tree, &catalog, Aids::default(), &options, watch)?;
    // Taking the tree away again is no part of a restore, and may take longer than the check.
    let seconds = watch.seconds();
    let to_unpack = match request.record.kind {
        SetKind::GoldOnly => left_to_unpacking(&outcome.findings),
        SetKind::Full => Amount::default(),
    };
    let complete = outcome.complete && restored.unwritten.files == 0;
    let drilled = Drilled {
        seconds,
        database,
        held: restored.copied,
        broken: restored.lost,
        to_fetch: restored.fetched,
        to_unpack,
        lost_uploads: LostUploads::default(),
        lost: 0,
        to_recover: 0,
        as_before: 0,
        tree: Some(DrilledTree {
            restored,
            coverage: outcome.coverage,
            complete_shards: outcome.complete_shards.len(),
        }),
        findings: outcome.findings,
        complete,
        passed: false,
        is_noted: false,
        catalog,
    };
    drilled.judged(request)
}

/// Notes in the store how long the drill took; one that cannot be written to does without.
fn note(request: &Request<'_>, drilled: &mut Drilled, monitor: &dyn Monitor) {
    let mut files = drilled.held;
    if request.full {
        files += drilled.to_fetch;
    }
    let drill = Drill {
        full: request.full,
        passed: drilled.passed,
        seconds: drilled.seconds.clone(),
        dump_bytes: request.record.dump.file.bytes,
        files,
        ..Drill::now()
    };
    match request.store.note_drill(request.id, drill) {
        Ok(()) => drilled.is_noted = true,
        Err(error) => monitor.warn(&format!(
            "how long the drill took cannot be kept in the store: {error}"
        )),
    }
}
