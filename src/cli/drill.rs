//! `fogold drill`: try whether a set brings the server back.

use std::path::PathBuf;

use super::error::Failure;
use super::output::{Output, OutputArguments};
use super::programs::ProgramArguments;
use super::progress::Progress;
use super::{Global, exit};
use crate::catalog::Hosts;
use crate::manifest::fetch::{FetchOptions, Fetcher};
use crate::monitor::Monitor;
use crate::recover::drill::{self, Request};
use crate::report::{Clock, Report};
use crate::store::{ReadLock, Store};

/// Try whether a set brings the server back, and how long it takes
///
/// Restores the set's database into a PostgreSQL of its own, in the scratch directory, and holds
/// the restored database against what the set has: what would be lost is named, with the uploads.
/// With --full the files are restored too, into a tree that is checked by reading it. How long each
/// step took is kept in the store. At the end everything is taken away again.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// The store
    store: PathBuf,
    /// The set, by its id or a unique beginning of it [default: the newest]
    set: Option<String>,
    /// Restore the files too, and read them back
    ///
    /// Needs room for them in the scratch directory. Without it, it is looked whether they are in
    /// the pool and how long they are, and no contents are read. Gold that the set left out is
    /// fetched from its URLs.
    #[arg(long)]
    full: bool,
    /// Fetch gold from URLs of this machine and of its own link too (with --full)
    #[arg(long, requires = "full")]
    allow_local_urls: bool,
    #[command(flatten)]
    programs: ProgramArguments,
    #[command(flatten)]
    output: OutputArguments,
}

pub(super) fn run(
    global: &Global,
    arguments: &Arguments,
    progress: &Progress,
) -> Result<u8, Failure> {
    let clock = Clock::start();
    let output = arguments.output.output(global, progress)?;
    match attempt(global, arguments, progress, &output, clock) {
        // This is what the drill was to show.
        Err(failure) if failure.status == exit::FINDINGS => {
            let report = Report::of_failure("drill", clock, failure.status, &failure.to_string());
            output.write(&report, None)?;
            Ok(failure.status)
        }
        Err(failure) => {
            let report = Report::of_failure("drill", clock, failure.status, &failure.to_string());
            output.write_failure(&report, progress);
            Err(failure)
        }
        Ok(status) => Ok(status),
    }
}

/// Drills and reports; a failure is reported by the caller.
fn attempt(
    global: &Global,
    arguments: &Arguments,
    progress: &Progress,
    output: &Output,
    clock: Clock,
) -> Result<u8, Failure> {
    output.is_about(&arguments.store);
    let store = Store::open_read_only(&arguments.store)?;
    let _lock = ReadLock::take(&store)?;
    output.refuse_inside(store.path(), "the store")?;
    let id = store.find_set(arguments.set.as_deref(), progress)?;
    let record = store.record(id)?;
    let hosts = if arguments.allow_local_urls {
        Hosts::Any
    } else {
        Hosts::Remote
    };
    let fetch = || {
        Fetcher::new(FetchOptions {
            hosts,
            ..FetchOptions::default()
        })
    };
    let fetcher = arguments.full.then(fetch).transpose()?;
    let request = Request {
        store: &store,
        id,
        record: &record,
        full: arguments.full,
        fetcher: fetcher.as_ref(),
        programs: &arguments.programs.programs(),
        scratch: &global.scratch,
        threads: global.threads(),
    };
    let drilled = drill::run(&request, progress);
    progress.finish();
    let drilled = match drilled {
        Ok(drilled) => drilled,
        Err(_) if progress.stopped() => {
            output.write(&Report::of_nothing("drill", clock), None)?;
            return Ok(exit::WORLD);
        }
        Err(error) => return Err(error.into()),
    };
    let report = Report::of_drill(&drilled, &record, &store, clock);
    output.write(&report, Some(&drilled.findings))?;
    Ok(report.exit_status)
}
