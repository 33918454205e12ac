//! `fogold usage`: who has how much of the repository.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::ValueEnum;

use super::error::Failure;
use super::figures::{Form, Output};
use super::interrupt::Interrupt;
use super::programs::ProgramArguments;
use super::progress::Progress;
use super::source::Source;
use super::{Global, exit, place};
use crate::check;
use crate::figures::usage::{self, By, Order};
use crate::report::{Clock, UsageReport};

/// Say who has how much of the repository
///
/// For each upload, user, folder or type: the bytes that are its own, those that it shares with
/// others, and what of the disk would be free without it. Contents count once, by their size. The
/// tree is listed, and no file is opened; --no-tree asks the database alone.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// What to tell it by
    #[arg(long, value_enum, default_value = "upload")]
    by: ByChoice,
    /// What to put it in order by: bytes descend, names ascend
    #[arg(long, value_enum, default_value = "own")]
    sort: SortChoice,
    /// Show the first N only
    #[arg(long, value_name = "N")]
    top: Option<NonZeroUsize>,
    /// Do not look at the tree
    ///
    /// Then it is not known what of the disk is taken: neither what deleting would free, nor
    /// temporary trees, nor files that no upload needs. The repository need not be there.
    #[arg(long)]
    no_tree: bool,
    /// The form on standard output
    #[arg(long, value_enum, default_value = "text")]
    format: FormChoice,
    /// Write it also to a file, in the form of its ending: .txt, .json or .csv
    #[arg(long, value_name = "FILE")]
    report: Vec<PathBuf>,
    #[command(flatten)]
    programs: ProgramArguments,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ByChoice {
    /// Each upload
    Upload,
    /// The users whose uploads they are
    User,
    /// The folders that uploads lie in, each without those below it
    Folder,
    /// gold and files
    Type,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum SortChoice {
    /// Bytes that nobody else refers to
    Own,
    /// Bytes that others refer to as well
    Shared,
    /// Both together
    Total,
    /// The name
    Name,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FormChoice {
    /// A table for people
    Text,
    /// One object
    Json,
    /// A line each, for spreadsheets
    Csv,
}

impl Arguments {
    fn by(&self) -> By {
        match self.by {
            ByChoice::Upload => By::Upload,
            ByChoice::User => By::User,
            ByChoice::Folder => By::Folder,
            ByChoice::Type => By::Type,
        }
    }

    fn order(&self) -> Order {
        match self.sort {
            SortChoice::Own => Order::Own,
            SortChoice::Shared => Order::Shared,
            SortChoice::Total => Order::Total,
            SortChoice::Name => Order::Name,
        }
    }

    fn output(&self, global: &Global) -> Result<Output, Failure> {
        let form = match self.format {
            FormChoice::Text => Form::Text,
            FormChoice::Json => Form::Json,
            FormChoice::Csv => Form::Csv,
        };
        let forms = [Form::Text, Form::Json, Form::Csv];
        Output::of(form, &self.report, &forms, global)
    }
}

pub(super) fn run(
    global: &Global,
    arguments: &Arguments,
    progress: &Progress,
    interrupt: &Interrupt,
) -> Result<u8, Failure> {
    let clock = Clock::start();
    interrupt.set_last_word(Box::new(super::figures::last_word));
    let output = arguments.output(global)?;
    let sysconf = match (arguments.no_tree, &global.catalog) {
        (true, Some(_)) => None,
        _ => place::sysconf(global)?,
    };
    let tree = match arguments.no_tree {
        true => None,
        false => Some(place::tree(global, sysconf.as_ref())?),
    };
    if let Some(tree) = &tree {
        output.refuse_inside(tree.path())?;
    }
    let mut source = Source::find(global, sysconf.as_ref(), progress)?;
    let by = arguments.by();
    if matches!(by, By::User | By::Folder) {
        source = source.with_directory();
    }
    let programs = arguments.programs.programs();
    let catalog = source.read(global, sysconf.as_ref(), &programs, None, progress)?;
    let usage = match &tree {
        None => usage::of_rows(&catalog, by, global.threads(), progress)?,
        Some(tree) => {
            let options = check::Options::of_listing(global.threads(), &global.scratch);
            let live = source.live_rows();
            usage::with_tree(tree, &catalog, live, by, &options, progress)?
        }
    };
    interrupt.forget_last_word();
    progress.finish();
    let top = arguments.top.map(NonZeroUsize::get);
    let mut report = UsageReport::new(usage, arguments.order(), top, &catalog, clock);
    let status = match report.complete {
        true => exit::DONE,
        false => exit::WORLD,
    };
    report.finish(status, clock);
    output.tell(status, |form, out| match form {
        Form::Text => report.write_text(out),
        Form::Json => report.write_json(out),
        Form::Csv => report.write_csv(out),
    })?;
    Ok(status)
}
