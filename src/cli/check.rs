//! `fogold check`: the repository against the database.

use std::path::PathBuf;

use clap::ValueEnum;

use super::error::Failure;
use super::interrupt::Interrupt;
use super::low_impact::LowImpactArguments;
use super::output::{Output, OutputArguments};
use super::programs::ProgramArguments;
use super::progress::Progress;
use super::source::Source;
use super::{Global, exit, place};
use crate::check::{self, Aids, Backups, FailOn, Options, Slice};
use crate::monitor::Monitor;
use crate::report::{Clock, Report};
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
    /// them damaged.
    #[arg(long, value_name = "STORE")]
    store: Vec<PathBuf>,
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
) -> Result<u8, Failure> {
    if !arguments.slice.is_all() && !arguments.verify {
        progress.warn("--slice says which contents to read, and without --verify none are read");
    }
    if arguments.low_impact.has_limit() && !arguments.verify {
        progress
            .warn("--bwlimit limits the reading of contents, and without --verify none are read");
    }
    arguments.low_impact.apply(progress);
    let sysconf = place::sysconf(global)?;
    let tree = place::tree(global, sysconf.as_ref())?;
    output.refuse_inside(tree.path(), "the repository")?;
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
            companion: None,
            backups: &backups,
        };
        let outcome = check::run_with(&tree, &catalog, aids, &options, progress)?;
        Ok((outcome, catalog))
    });
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
    let report = Report::of_check(
        &outcome,
        &tree,
        &catalog,
        &options,
        arguments.fail_on,
        clock,
    );
    output.write(&report, Some(&outcome.findings))?;
    Ok(report.exit_status)
}
