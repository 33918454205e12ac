//! `fogold repair`: mend what can be mended without FOSSology.

mod short;

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use jiff::{Span, SpanRelativeTo};

use super::error::Failure;
use super::interrupt::Interrupt;
use super::low_impact::LowImpactArguments;
use super::output::{Output, OutputArguments};
use super::programs::ProgramArguments;
use super::progress::Progress;
use super::source::{self, Source};
use super::{Global, exit, place};
use crate::catalog::{Catalog, Hosts};
use crate::check::{self, Action, Aids, Backups, FailOn, Slice};
use crate::manifest::fetch::{FetchOptions, Fetcher};
use crate::monitor::Monitor;
use crate::recover::repair::empty::{self, Emptied, Request};
use crate::recover::repair::undo;
use crate::recover::repair::{self, Options, Outcome, Server};
use crate::report::{Clock, Report};
use crate::repository::Tree;
use crate::store::held::Held;
use crate::store::{ReadLock, Store};
use crate::sysconf::{Connector, RepositoryType, Sysconf};
use short::{tell_emptied, tell_undone};

/// Mend what can be mended without FOSSology
///
/// Checks the repository, and makes a plan of the findings; does it only with --apply. Missing and
/// corrupt files are put back from good copies: elsewhere in the repository, in a store (--from), or
/// at the URL that gold came from; each is proven by its contents before it gets its place. Misplaced
/// files are moved to where FOSSology looks for them, modes and owners are set right, and what
/// nothing needs goes to a quarantine. Nothing is deleted, every step is journalled before it is
/// taken, and --undo puts everything back.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// Do it; without it, only show what would be done
    #[arg(long)]
    apply: bool,
    /// Do only this; several with commas between them
    #[arg(
        long,
        value_name = "ACTION",
        value_delimiter = ',',
        default_value = "mode,put-back,move,quarantine"
    )]
    only: Vec<OnlyAction>,
    /// A store of backups to take good copies from
    ///
    /// May be given more than once. It is then also asked for what FOSSology could unpack again. By
    /// default, the store of the configuration file, where it is there.
    #[arg(long, value_name = "STORE", visible_alias = "store")]
    from: Vec<PathBuf>,
    /// Read contents too: also files that are corrupt are mended
    #[arg(long)]
    verify: bool,
    /// What was changed since is not moved to the quarantine, such as 90m, 12h, 1d; 0 is no limit
    ///
    /// The age of a file is that of its last change, of contents or inode. It keeps from the
    /// quarantine what an upload in progress has just brought.
    #[arg(long, value_name = "TIME", default_value = "1d", value_parser = time)]
    min_age: Duration,
    /// Move no more than this share of the repository's files, or bytes, out of their places
    ///
    /// A run that would move more stops before it changes anything: the database may be the wrong
    /// one.
    #[arg(long, value_name = "PERCENT", default_value = "10", value_parser = clap::value_parser!(u8).range(0..=100))]
    max_share: u8,
    /// Fetch no gold from URLs
    #[arg(long)]
    no_urls: bool,
    /// Fetch gold from URLs of this machine and of its own link too
    #[arg(long, conflicts_with = "no_urls")]
    allow_local_urls: bool,
    /// Make gold and its copy in files one file again
    ///
    /// Both are read and proven; the copy goes to the quarantine, so room is won when that is emptied.
    #[arg(long)]
    relink: bool,
    /// Fill in the sha256 of rows that have none, from contents that are read and proven
    ///
    /// The database's role must be allowed to: sql/roles/fogold_repair.sql (of the Debian package:
    /// /usr/share/fogold/roles) makes one.
    #[arg(long)]
    fill_sha256: bool,
    /// Put back everything that a run did (with --apply)
    ///
    /// RUN is the name that the run's report gave. Nothing that stands anywhere now is overwritten.
    #[arg(long, value_name = "RUN", conflicts_with_all = ["only", "from", "verify", "relink", "fill_sha256", "report"])]
    undo: Option<String>,
    /// Delete what has been in the quarantine for long enough (with --apply)
    ///
    /// Only with the live database, after a check that finds nothing at or over --fail-on, and with a
    /// store (--from) whose newest set is of this repository, was begun after the file went to the
    /// quarantine, and was found good as a whole by 'fogold verify'; else the reason is said, and the
    /// exit status is 1. What a finding may need stays, and so does a file that an upload uses, unless
    /// good contents of its name stand where they belong: they are read and proven.
    #[arg(long, requires = "older_than", requires = "from", conflicts_with_all = ["only", "undo", "relink", "fill_sha256", "report"])]
    empty_quarantine: bool,
    /// With --empty-quarantine: delete what was not changed, nor moved there, for so long, such as 30d
    #[arg(long, value_name = "TIME", value_parser = time, requires = "empty_quarantine")]
    older_than: Option<Duration>,
    /// Exit with 1 from this severity on, or at this kind of finding, or never
    ///
    /// With --apply, only what is left counts.
    #[arg(
        long,
        value_name = "KIND|SEVERITY|never",
        default_value = "recoverable"
    )]
    fail_on: FailOn,
    /// Repair also what is empty although the database knows files there
    #[arg(long)]
    allow_empty: bool,
    #[command(flatten)]
    programs: ProgramArguments,
    #[command(flatten)]
    low_impact: LowImpactArguments,
    #[command(flatten)]
    output: OutputArguments,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OnlyAction {
    /// Give FOSSology's user and group what they need
    Mode,
    /// Put good copies in the place of missing and corrupt files
    PutBack,
    /// Move misplaced files to where FOSSology looks for them
    Move,
    /// Move to the quarantine what nothing needs
    Quarantine,
}

impl From<OnlyAction> for Action {
    fn from(only: OnlyAction) -> Action {
        match only {
            OnlyAction::Mode => Action::Mode,
            OnlyAction::PutBack => Action::PutBack,
            OnlyAction::Move => Action::Move,
            OnlyAction::Quarantine => Action::Quarantine,
        }
    }
}

/// A time such as `90m`, `12h`, `1d`, `2w`; `0` is none.
fn time(text: &str) -> Result<Duration, String> {
    let wanted = || format!("{text:?} is no time: write it as 90m, 12h, 1d or 2w");
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let span: Span = text.parse().map_err(|_| wanted())?;
    let duration = span
        .to_duration(SpanRelativeTo::days_are_24_hours())
        .map_err(|_| wanted())?;
    Duration::try_from(duration).map_err(|_| wanted())
}

pub(super) fn run(
    global: &Global,
    arguments: &Arguments,
    progress: &Progress,
    interrupt: &Interrupt,
) -> Result<u8, Failure> {
    let clock = Clock::start();
    let output = arguments.output.output(global, progress)?;
    let result = attempt(global, arguments, progress, interrupt, &output, clock);
    interrupt.forget_last_word();
    output.tell_failure("repair", clock, &result, progress);
    result
}

/// Repairs and reports; a failure is reported by the caller.
fn attempt(
    global: &Global,
    arguments: &Arguments,
    progress: &Progress,
    interrupt: &Interrupt,
    output: &Output,
    clock: Clock,
) -> Result<u8, Failure> {
    arguments.low_impact.apply(progress);
    let sysconf =
        place::sysconf_with(global, arguments.undo.is_some() || global.catalog.is_some())?;
    let tree = place::tree(global, sysconf.as_ref())?;
    output.refuse_inside(tree.path(), "the repository")?;
    output.is_about(tree.path());
    if let Some(run) = &arguments.undo {
        return take_back(global, arguments, sysconf.as_ref(), &tree, run, progress);
    }
    if arguments.empty_quarantine && arguments.from.len() > 1 {
        return Err(Failure::misuse(
            "--empty-quarantine: give one store, the one whose newest set is to be good (--from)",
        ));
    }
    let stores = arguments
        .from
        .iter()
        .map(|path| Store::open_read_only(path))
        .collect::<Result<Vec<_>, _>>()?;
    for store in &stores {
        Store::keep_apart(store.path(), tree.path())?;
    }
    // Nothing is pruned under a copy.
    let _locks = stores
        .iter()
        .filter(|_| arguments.apply)
        .map(ReadLock::take)
        .collect::<Result<Vec<_>, _>>()?;
    let held = stores.iter().map(Held::of).collect::<Result<Vec<_>, _>>()?;
    let backups: Vec<&dyn Backups> = held.iter().map(|held| held as &dyn Backups).collect();
    let last = output.clone();
    interrupt.set_last_word(Box::new(move || {
        // The process ends here; there is nobody to tell of a closed output.
        let _ = last.write(&Report::of_nothing("repair", clock), None);
    }));
    let options = arguments.options(global);
    let connector = match arguments.fill_sha256 {
        true => Some(connector(global, sysconf.as_ref(), progress)?),
        false => None,
    };
    let fetcher = arguments.fetcher()?;
    let repaired = Source::find(global, sysconf.as_ref(), progress).and_then(|source| {
        let programs = arguments.programs.programs();
        let catalog = source.read(global, sysconf.as_ref(), &programs, None, progress)?;
        if let (Some(older_than), [store]) = (arguments.older_than, &stores[..]) {
            let live = source.live_rows().ok_or_else(|| {
                Failure::misuse(
                    "--empty-quarantine needs the live database: a dump does not know what has come to be used \
                     since (leave out --catalog)",
                )
            })?;
            let request = Request {
                older_than,
                apply: arguments.apply,
                fail_on: arguments.fail_on,
                store,
                live,
            };
            let aids = Aids {
                live: source.live_rows(),
                ..Aids::default()
            };
            let checked = check::run_with(&tree, &catalog, aids, &options.check, progress)?;
            let emptied = empty::run(&tree, &request, &checked, progress)?;
            return Ok(Came::Emptied(emptied));
        }
        let server = Server {
            tree: &tree,
            catalog: &catalog,
            live: source.live_rows(),
            connector: connector.as_ref(),
            backups: &backups,
            fetcher: fetcher.as_ref(),
        };
        let outcome = repair::run(&server, &options, progress)?;
        Ok(Came::Repaired(Box::new(outcome), Box::new(catalog)))
    });
    interrupt.forget_last_word();
    progress.finish();
    let (outcome, catalog) = match repaired {
        Ok(Came::Repaired(outcome, catalog)) => (outcome, catalog),
        Ok(Came::Emptied(emptied)) => return tell_emptied(global, arguments, &emptied),
        Err(_) if progress.stopped() => {
            output.write(&Report::of_nothing("repair", clock), None)?;
            return Ok(exit::WORLD);
        }
        Err(failure) => return Err(failure),
    };
    let report = Report::of_repair(&outcome, &tree, &catalog, &options.check, clock)
        .to_advise_on(global.same_server(&arguments.from));
    output.write(&report, Some(&outcome.findings))?;
    Ok(report.exit_status)
}

/// What came of a run.
enum Came {
    Repaired(Box<Outcome>, Box<Catalog>),
    Emptied(Emptied),
}

impl Arguments {
    fn options(&self, global: &Global) -> Options {
        let hosts = match self.allow_local_urls {
            true => Hosts::Any,
            false => Hosts::Remote,
        };
        Options {
            apply: self.apply,
            actions: self.only.iter().copied().map(Action::from).collect(),
            urls: (!self.no_urls).then_some(hosts),
            min_age: self.min_age,
            max_share: self.max_share,
            relink: self.relink,
            fill_sha256: self.fill_sha256,
            fail_on: self.fail_on,
            check: check::Options {
                types: vec![
                    RepositoryType::Gold,
                    RepositoryType::Files,
                    RepositoryType::License,
                ],
                verify: self.verify,
                sha256: false,
                slice: Slice::ALL,
                allow_empty: self.allow_empty,
                threads: global.threads(),
                scratch: global.scratch.clone(),
                low_impact: self.low_impact.low_impact(),
            },
        }
    }

    fn fetcher(&self) -> Result<Option<Fetcher>, Failure> {
        let options = self.allow_local_urls.then_some(Hosts::Any);
        if self.no_urls || !self.apply {
            return Ok(None);
        }
        Ok(Some(Fetcher::new(FetchOptions {
            hosts: options.unwrap_or_default(),
            ..FetchOptions::default()
        })?))
    }
}

/// Makes connections to the live database.
fn connector(
    global: &Global,
    sysconf: Option<&Sysconf>,
    progress: &Progress,
) -> Result<Connector, Failure> {
    Ok(source::live_parameters(global, sysconf, progress)?.connector()?)
}

fn take_back(
    global: &Global,
    arguments: &Arguments,
    sysconf: Option<&Sysconf>,
    tree: &Tree,
    run: &str,
    progress: &Progress,
) -> Result<u8, Failure> {
    // Rows are put back where there is a database to put them back into.
    let connector = connector(global, sysconf, progress).ok();
    let undone = undo::run(tree, run, connector.as_ref(), arguments.apply, progress)?;
    progress.finish();
    tell_undone(global, arguments, &undone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, seconds) in [("0", 0), ("90m", 5_400), ("1d", 86_400), ("2w", 1_209_600)] {
            assert_eq!(time(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "1", "-1d", "1mo", "soon"] {
            assert!(time(text).is_err(), "{text}");
        }
    }
}
