//! `fogold backup`: make a set.

use std::path::{Path, PathBuf};

use super::accept::AcceptArguments;
use super::error::Failure;
use super::interrupt::Interrupt;
use super::low_impact::LowImpactArguments;
use super::manifest::{SelectionArguments, gives};
use super::output::{Output, OutputArguments};
use super::programs::ProgramArguments;
use super::progress::Progress;
use super::scheduler_pause::SchedulerPause;
use super::source;
use super::{Global, exit, place};
use crate::catalog::{LiveDatabase, LiveRows};
use crate::monitor::Monitor;
use crate::report::{Clock, Report};
use crate::repository::RepositoryName;
use crate::store::backup::{self, DumpSource, Made, Request};
use crate::store::{Store, WriteLock};
use crate::sysconf::{Programs, Sysconf};

/// Make a set: the database, the repository and the configuration
///
/// Takes a dump of the database first, and then copies the files that this very dump names and the
/// store does not have yet. FOSSology may go on working: the set agrees with its own dump, and what
/// was deleted meanwhile is named. Each file is proven while it is copied; what does not match its
/// name becomes a finding. A backup that was interrupted leaves every finished set whole, and the
/// next one goes on from what it has copied.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// The store: a directory of its own, best on another disk; made when it is not there
    store: PathBuf,
    #[command(flatten)]
    selection: SelectionArguments,
    /// Take this dump instead of making one: a file, or '-' for standard input
    ///
    /// Plain SQL (also packed with gzip or zstd), or pg_dump's custom or tar format. Take it before
    /// the backup begins, not after. Roles are then not in the set. What seems to be missing is looked
    /// at again only in a live database that --catalog names.
    #[arg(long, value_name = "FILE", conflicts_with = "pg_dump_command")]
    dump: Option<PathBuf>,
    /// A shell command that writes the dump to its standard output, for a server in a container
    ///
    /// For example: docker compose exec -T db pg_dump -Fc -U fossy fossology
    #[arg(long, value_name = "CMD")]
    pg_dump_command: Option<String>,
    #[command(flatten)]
    programs: ProgramArguments,
    /// Take the repository's logs/ and report/ too
    #[arg(long)]
    with_logs: bool,
    /// Take the configuration with the passwords in it
    #[arg(long)]
    with_passwords: bool,
    #[command(flatten)]
    accept: AcceptArguments,
    #[command(flatten)]
    low_impact: LowImpactArguments,
    /// A shell command that stops FOSSology's scheduler before the dump is taken
    #[arg(long, value_name = "CMD", requires = "start_scheduler")]
    stop_scheduler: Option<String>,
    /// A shell command that starts the scheduler again, run at the end whatever happens
    #[arg(long, value_name = "CMD")]
    start_scheduler: Option<String>,
    #[command(flatten)]
    output: OutputArguments,
}

pub(super) fn run(
    global: &Global,
    arguments: &Arguments,
    progress: &Progress,
    interrupt: &Interrupt,
) -> Result<u8, Failure> {
    let clock = Clock::start();
    let output = arguments.output.output(global, progress)?;
    output.is_about(&arguments.store);
    let last = output.clone();
    interrupt.set_last_word(Box::new(move || {
        // The process ends here; there is nobody to tell of a closed output.
        let _ = last.write(&Report::of_nothing("backup", clock), None);
    }));
    let result = arguments.accept.read().and_then(|accepted| {
        let (made, store, is_started) = attempt(global, arguments, progress, interrupt, &output)?;
        // A set names all that was wrong when it was made, whoever accepts it.
        let matches = accepted.map(|accepted| accepted.set_apart(&made.findings, |_, _| false));
        Ok((made, store, is_started, matches.transpose()?))
    });
    interrupt.forget_last_word();
    progress.finish();
    match result {
        Ok((made, store, is_started, accepted)) => {
            let mut report = Report::of_backup(&made, accepted.as_ref(), &store, clock)
                .to_advise_on(global.same_server(&[store.path().to_owned()]));
            if !is_started {
                // The set is whole, and the server does not work: never 0.
                report.exit_status = exit::WORLD;
                report.verdict.push_str("; THE SCHEDULER WAS NOT STARTED");
            }
            output.write(&report, Some(&made.findings))?;
            Ok(report.exit_status)
        }
        Err(_) if progress.stopped() => {
            output.write(&Report::of_nothing("backup", clock), None)?;
            Ok(exit::WORLD)
        }
        Err(failure) => {
            let report = Report::of_failure("backup", clock, failure.status, &failure.to_string());
            output.write_failure(&report, progress);
            Err(failure)
        }
    }
}

/// Makes the set, and says whether the scheduler was started again.
fn attempt(
    global: &Global,
    arguments: &Arguments,
    progress: &Progress,
    interrupt: &Interrupt,
    output: &Output,
) -> Result<(Made, Store, bool), Failure> {
    let sysconf = place::sysconf_with(global, arguments.knows_rows(global))?;
    let tree = place::tree(global, sysconf.as_ref())?.without_modes();
    output.refuse_inside(tree.path(), "the repository")?;
    Store::keep_apart(&arguments.store, tree.path())?;
    output.refuse_inside(&arguments.store, "the store")?;
    let fetcher = arguments.selection.fetcher()?;
    let programs = arguments.programs.programs();
    let Database { dump, live } =
        arguments.database(global, sysconf.as_ref(), &programs, progress)?;
    let store = Store::create(&arguments.store)?;
    let prove_url = |url: &str, name: &RepositoryName| {
        fetcher
            .as_ref()
            .is_some_and(|fetcher| gives(fetcher, url, name, progress))
    };
    arguments.low_impact.apply(progress);
    let request = Request {
        kind: arguments.selection.kind(),
        url_gold: arguments.selection.url_gold(),
        prove_url: Some(&prove_url),
        hosts: arguments.selection.hosts(),
        dump,
        programs: &programs,
        database: sysconf.as_ref().and_then(source::database_name),
        sysconfdir: sysconf.as_ref().map(|sysconf| sysconf.directory.as_path()),
        with_passwords: arguments.with_passwords,
        with_logs: arguments.with_logs,
        low_impact: arguments.low_impact.low_impact(),
        threads: global.threads(),
        scratch: &global.scratch,
    };
    // Before the scheduler is stopped: it is another backup's, then, to start it again.
    let lock = WriteLock::take(&store, "backup")?;
    let pause = SchedulerPause::begin(
        arguments.stop_scheduler.as_deref(),
        arguments.start_scheduler.as_deref(),
        interrupt,
        progress,
    )?;
    let rows = live.as_ref().map(|live| live as &dyn LiveRows);
    let made = backup::run_locked(&store, &lock, &tree, rows, &request, progress);
    // Starting the scheduler may take its time: what is to be said is said after it.
    interrupt.forget_last_word();
    let is_started = pause.end();
    drop(lock);
    Ok((made?, store, is_started))
}

/// The database of a set.
struct Database<'a> {
    dump: DumpSource<'a>,
    /// Where rows can be looked at again.
    live: Option<LiveDatabase>,
}

impl Arguments {
    pub(super) fn store(&self) -> &Path {
        &self.store
    }

    /// Whether the rows are known without FOSSology's configuration.
    fn knows_rows(&self, global: &Global) -> bool {
        global.catalog.is_some() || self.dump.is_some() || self.pg_dump_command.is_some()
    }

    /// Finds out where the dump is to come from. A database that `--catalog` names beside a dump is
    /// asked again about what seems to be missing.
    fn database(
        &self,
        global: &Global,
        sysconf: Option<&Sysconf>,
        programs: &Programs,
        progress: &Progress,
    ) -> Result<Database<'_>, Failure> {
        let given = match (&self.dump, &self.pg_dump_command) {
            (Some(file), _) => Some(DumpSource::Given(file)),
            (None, Some(command)) => Some(DumpSource::Command(command)),
            (None, None) => None,
        };
        if global.catalog.is_none()
            && let Some(dump) = given
        {
            return Ok(Database { dump, live: None });
        }
        let parameters = source::live_parameters(global, sysconf, progress)?;
        if given.is_none() {
            backup::can_dump(&parameters, programs)?;
        }
        let live = source::connect(&parameters)?;
        // The check's findings, and again those of them that concern the set.
        source::require_room(&live, 2, global, progress)?;
        Ok(Database {
            dump: given.unwrap_or_else(|| DumpSource::Live(Box::new(parameters))),
            live: Some(live),
        })
    }
}
