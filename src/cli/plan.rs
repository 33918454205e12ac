//! `fogold plan`: what backups of either kind would take.

use std::path::PathBuf;
use std::time::Instant;

use super::error::Failure;
use super::figures::{Form, Output};
use super::interrupt::Interrupt;
use super::programs::ProgramArguments;
use super::progress::Progress;
use super::sets::ListFormat;
use super::source::Source;
use super::{Global, exit, place};
use crate::catalog::Hosts;
use crate::check;
use crate::figures::plan::{self, Request};
use crate::report::{Clock, PlanReport};
use crate::store::Store;

/// Say what full and gold-only backups would take, side by side
///
/// Room, growth, and the time to back up and to restore, with the time that FOSSology needs to unpack
/// everything again after a gold-only restore; and what could go to make the repository smaller. Each
/// time says how it was estimated. Nothing is changed.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// The store that backups go to
    ///
    /// Then it is known what the next backup would add, and times are taken from past drills. By default,
    /// the store of the configuration file, where it is there.
    #[arg(long, value_name = "STORE")]
    store: Option<PathBuf>,
    /// Do not time how fast files are read and written
    ///
    /// Without it, some files of the repository are copied into the scratch directory and read there,
    /// in about five seconds.
    #[arg(long)]
    no_sample: bool,
    /// Let URLs of this machine and its own link count, too
    #[arg(long)]
    allow_local_urls: bool,
    /// The form on standard output
    #[arg(long, value_enum, default_value = "text")]
    format: ListFormat,
    /// Write it also to a file, in the form of its ending: .txt or .json
    #[arg(long, value_name = "FILE")]
    report: Vec<PathBuf>,
    #[command(flatten)]
    programs: ProgramArguments,
}

pub(super) fn run(
    global: &Global,
    arguments: &Arguments,
    progress: &Progress,
    interrupt: &Interrupt,
) -> Result<u8, Failure> {
    let clock = Clock::start();
    interrupt.set_last_word(Box::new(super::figures::last_word));
    let form = match arguments.format {
        ListFormat::Text => Form::Text,
        ListFormat::Json => Form::Json,
    };
    let output = Output::of(form, &arguments.report, &[Form::Text, Form::Json], global)?;
    let sysconf = place::sysconf(global)?;
    let tree = place::tree(global, sysconf.as_ref())?;
    output.refuse_inside(tree.path())?;
    let store = arguments.store.as_deref().map(Store::open_read_only);
    let store = store.transpose()?;
    let source = Source::find(global, sysconf.as_ref(), progress)?;
    let programs = arguments.programs.programs();
    let began = Instant::now();
    let catalog = source.read(global, sysconf.as_ref(), &programs, None, progress)?;
    let rows_took = began.elapsed();
    let database_bytes = match &source {
        Source::Live(database) => Some(database.size()?),
        Source::Dump { .. } | Source::Saved(_) => None,
    };
    let plan = plan::run(
        &Request {
            tree: &tree,
            catalog: &catalog,
            rows_took: (!matches!(source, Source::Saved(_))).then_some(rows_took),
            live: source.live_rows(),
            database_bytes,
            store: store.as_ref(),
            hosts: match arguments.allow_local_urls {
                true => Hosts::Any,
                false => Hosts::Remote,
            },
            sample: !arguments.no_sample,
            options: &check::Options::of_listing(global.threads(), &global.scratch),
        },
        progress,
    )?;
    interrupt.forget_last_word();
    progress.finish();
    let status = match plan.complete {
        true => exit::DONE,
        false => exit::WORLD,
    };
    let report = PlanReport::new(plan, &catalog, status, clock);
    output.tell(status, |form, out| match form {
        Form::Json => report.write_json(out),
        Form::Text | Form::Csv => report.write_text(out),
    })?;
    Ok(status)
}
