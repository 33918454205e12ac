//! `fogold check`: the repository against the database.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use jiff::SignedDuration;

use super::accept::{AcceptArguments, NewFile};
use super::error::Failure;
use super::interrupt::Interrupt;
use super::low_impact::LowImpactArguments;
use super::output::{Output, OutputArguments, is_inside};
use super::programs::ProgramArguments;
use super::progress::Progress;
use super::source::Source;
use super::{Global, exit, place};
use crate::check::{self, Aids, Backups, FailOn, Ledger, Options, Slice, TimeLimit};
use crate::monitor::Monitor;
use crate::report::{Clock, Report};
use crate::state::State;
use crate::store::Store;
use crate::store::held::Held;
use crate::sysconf::RepositoryType;

/// Hold the repository against the database
///
/// Finds what is missing, damaged, orphaned or misplaced, and says how each can be recovered.
/// Nothing is changed, neither in the repository nor in the database. FOSSology may go on working:
/// with a live database, findings that work in progress can explain are looked at again at the end.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// Read contents too, and prove each name: sha1, md5 and size
    ///
    /// Without it, names, lengths, places and modes are checked, and no file is opened.
    #[arg(long)]
    verify: bool,
    /// Also prove the sha256 of the rows (with --verify)
    #[arg(long, requires = "verify")]
    sha256: bool,
    /// Read only part I of N of the contents; auto/N takes the part of the day
    ///
    /// Run every day with auto/N, it reads everything once in N days; run once a week, in N weeks,
    /// unless N is a multiple of 7. N is at most 256. Only the
    /// reading of --verify is limited; everything else is checked in full each time.
    #[arg(long, value_name = "I/N|auto/N", default_value = "1/1")]
    slice: Slice,
    /// Read contents for so long, those first that were read least recently (with --verify and --state)
    ///
    /// A number of hours, minutes or seconds: 2h, 90m, 1h30m. The time begins with the run; when it is
    /// over, no more contents are read, and everything else is checked in full. What was bad the last time
    /// comes first. The report says how long ago all contents were read.
    #[arg(long, value_name = "TIME", value_parser = duration, conflicts_with = "slice")]
    max_duration: Option<Duration>,
    /// Report on these types only
    ///
    /// Findings about uploads are reported whatever the types.
    #[arg(
        long,
        value_name = "TYPE,…",
        value_delimiter = ',',
        default_value = "gold,files,license"
    )]
    types: Vec<CheckedType>,
    /// Exit with 1 from this severity on, or at this kind of finding, or never
    ///
    /// The severities, the worst first: loss, recoverable, waste, notice. The kinds of finding are
    /// listed in fogold-check(1).
    #[arg(
        long,
        value_name = "KIND|SEVERITY|never",
        default_value = "recoverable"
    )]
    fail_on: FailOn,
    /// Check also what is empty although the database knows files there
    ///
    /// Without it, a repository, or one host's part of it, that is empty although it should hold
    /// files is an error ("is it mounted?", exit status 3), and not a repository that lost them all.
    #[arg(long)]
    allow_empty: bool,
    /// A store of backups, asked for what is missing or damaged
    ///
    /// May be given more than once. What a store holds is not lost: recovery is then 'backup', and
    /// the finding names the file in the store. A store holds what stands in its pool under the name
    /// and with the right length: contents are not read, and count until a 'fogold verify' has found
    /// them damaged. By default, the store of the configuration file is asked, where it is there.
    #[arg(long, value_name = "STORE")]
    store: Vec<PathBuf>,
    #[command(flatten)]
    accept: AcceptArguments,
    /// Begin a file of accepted findings from what this run finds
    ///
    /// What --accept covers is left out. The file must not be there yet. Look through it, and say in it why
    /// each of them is no fault.
    #[arg(long, value_name = "FILE")]
    write_accept: Option<PathBuf>,
    #[command(flatten)]
    programs: ProgramArguments,
    #[command(flatten)]
    low_impact: LowImpactArguments,
    #[command(flatten)]
    output: OutputArguments,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum CheckedType {
    Gold,
    Files,
    License,
}

impl Arguments {
    fn types(&self) -> Vec<RepositoryType> {
        let mut types: Vec<RepositoryType> = self
            .types
            .iter()
            .map(|ty| match ty {
                CheckedType::Gold => RepositoryType::Gold,
                CheckedType::Files => RepositoryType::Files,
                CheckedType::License => RepositoryType::License,
            })
            .collect();
        types.sort_unstable();
        types.dedup();
        types
    }

    /// Whether a limit of time, where there is one, can be meant.
    fn can_limit_time(&self, global: &Global) -> Result<(), Failure> {
        let lacks = match self.max_duration {
            None => return Ok(()),
            Some(_) if !self.slice.is_all() => "goes by the time, and --slice by parts: give one",
            Some(_) if !self.verify => "limits the reading of contents: give --verify too",
            Some(_) if global.state.is_none() => {
                "goes on where the last run ended: give --state DIR too, where that is noted"
            }
            Some(_) => return Ok(()),
        };
        Err(Failure::misuse(format_args!("--max-duration {lacks}")))
    }
}

/// The text of `--max-duration`.
fn duration(text: &str) -> Result<Duration, String> {
    let parsed: Option<SignedDuration> = text.parse().ok();
    let length = parsed.and_then(|length| Duration::try_from(length).ok());
    length
        .filter(|length| !length.is_zero())
        .ok_or_else(|| "want a time such as 2h, 90m, 1h30m or 90s".to_owned())
}

/// The ledger of a repository, where there is a state directory.
fn ledger(global: &Global, root: &Path, progress: &Progress) -> Result<Option<Ledger>, Failure> {
    let Some(directory) = &global.state else {
        return Ok(None);
    };
    if is_inside(&directory.join("file"), root)? {
        return Err(Failure::misuse(format_args!(
            "--state {}: inside the repository, into which fogold writes nothing",
            directory.display()
        )));
    }
    let state = State::open(directory)?;
    Ok(Some(Ledger::open(state, root, progress)))
}

pub(super) fn run(
    global: &Global,
    arguments: &Arguments,
    progress: &Progress,
    interrupt: &Interrupt,
) -> Result<u8, Failure> {
    let (clock, began) = (Clock::start(), Instant::now());
    let output = arguments.output.output(global, progress)?;
    let limit = arguments.max_duration;
    let limit = limit.map(|length| TimeLimit { began, length });
    let result = attempt(
        global, arguments, progress, interrupt, &output, clock, limit,
    );
    interrupt.forget_last_word();
    output.tell_failure("check", clock, &result, progress);
    result
}

/// Checks and reports; a failure is reported by the caller.
fn attempt(
    global: &Global,
    arguments: &Arguments,
    progress: &Progress,
    interrupt: &Interrupt,
    output: &Output,
    clock: Clock,
    time_limit: Option<TimeLimit>,
) -> Result<u8, Failure> {
    arguments.can_limit_time(global)?;
    if !arguments.slice.is_all() && !arguments.verify {
        progress.warn("--slice says which contents to read, and without --verify none are read");
    }
    if arguments.low_impact.has_limit() && !arguments.verify {
        progress
            .warn("--bwlimit limits the reading of contents, and without --verify none are read");
    }
    let accepted = arguments.accept.read()?;
    arguments.low_impact.apply(progress);
    let sysconf = place::sysconf(global)?;
    let tree = place::tree(global, sysconf.as_ref())?;
    output.is_about(tree.path());
    output.refuse_inside(tree.path(), "the repository")?;
    let begin = arguments.write_accept.as_deref();
    let begin = begin.map(|path| NewFile::at(path, tree.path()));
    let begin = begin.transpose()?;
    let ledger = ledger(global, tree.path(), progress)?;
    progress.tell(&format!(
        "repository {}, depth {}, hosts {:?}, {}",
        tree.path().display(),
        tree.layout().depth,
        tree.layout().hosts.names().collect::<Vec<_>>(),
        match &sysconf {
            Some(sysconf) => format!("configured in {}", sysconf.directory.display()),
            None => "as found, without configuration".to_owned(),
        }
    ));
    let stores = arguments
        .store
        .iter()
        .map(|path| Store::open_read_only(path))
        .collect::<Result<Vec<_>, _>>()?;
    let held = stores.iter().map(Held::of).collect::<Result<Vec<_>, _>>()?;
    let backups: Vec<&dyn Backups> = held.iter().map(|held| held as &dyn Backups).collect();
    let last = output.clone();
    interrupt.set_last_word(Box::new(move || {
        // The process ends here; there is nobody to tell of a closed output.
        let _ = last.write(&Report::of_nothing("check", clock), None);
    }));
    let options = Options {
        types: arguments.types(),
        verify: arguments.verify,
        sha256: arguments.sha256,
        slice: arguments.slice,
        allow_empty: arguments.allow_empty,
        threads: global.threads(),
        scratch: global.scratch.clone(),
        low_impact: arguments.low_impact.low_impact(),
    };
    let checked = Source::find(global, sysconf.as_ref(), progress).and_then(|source| {
        let programs = arguments.programs.programs();
        let catalog = source.read(global, sysconf.as_ref(), &programs, None, progress)?;
        let aids = Aids {
            live: source.live_rows(),
            backups: &backups,
            accepted: accepted.as_ref(),
            ledger: ledger.as_ref(),
            time_limit,
            ..Aids::default()
        };
        let outcome = check::run_with(&tree, &catalog, aids, &options, progress)?;
        Ok((outcome, catalog))
    });
    let noted = ledger.map_or(Ok(()), Ledger::end);
    interrupt.forget_last_word();
    progress.finish();
    let (outcome, catalog) = match checked {
        Ok(checked) => checked,
        Err(_) if progress.stopped() => {
            output.write(&Report::of_nothing("check", clock), None)?;
            return Ok(exit::WORLD);
        }
        Err(failure) => return Err(failure),
    };
    let mut report = Report::of_check(
        &outcome,
        &tree,
        &catalog,
        &options,
        arguments.fail_on,
        clock,
    )
    .to_advise_on(global.same_server(&arguments.store));
    if let Err(error) = noted {
        // The next run would read the same contents again, and none the rest: never 0.
        report.exit_status = exit::WORLD;
        report
            .verdict
            .push_str(". THE LEDGER COULD NOT BE WRITTEN: what was read is forgotten");
        progress.warn(&Failure::from(error).to_string());
    }
    output.write(&report, Some(&outcome.findings))?;
    if let Some(begin) = begin {
        begin.write(&outcome.findings)?;
    }
    Ok(report.exit_status)
}
