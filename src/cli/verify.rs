//! `fogold verify`: a store against its manifests.

use std::path::PathBuf;

use super::error::Failure;
use super::interrupt::Interrupt;
use super::low_impact::LowImpactArguments;
use super::output::{Output, OutputArguments};
use super::programs::ProgramArguments;
use super::progress::Progress;
use super::{Global, exit};
use crate::check::Slice;
use crate::monitor::Monitor;
use crate::report::{Clock, Report};
use crate::store::verify::{self, Options};
use crate::store::{Store, StoreError};

/// Read a store back against its manifests
///
/// Reads all contents that the sets name, each once, and holds them against the digests in the
/// manifests; holds each set's own files against its record; and proves that the manifest and the
/// database dump of a set name the same gold. Nothing is changed but the notes in the store's
/// state: which sets were verified, for 'fogold sets' and 'fogold prune', and which contents are
/// damaged, so that the next backup copies them again. A store on a read-only mount will do.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// The store
    store: PathBuf,
    /// The set, by its id or a unique beginning of it [default: all sets]
    set: Option<String>,
    /// Read only part I of N of the contents; auto/N takes the part of the day
    ///
    /// Run every day with auto/N, it reads everything once in N days; run once a week, in N weeks,
    /// unless N is a multiple of 7. N is at most 256. What a set
    /// has by itself is read each time, but that its dump and manifest agree is proven once in N
    /// days; and whether contents are there, and how long they are, is looked at for all.
    #[arg(long, value_name = "I/N|auto/N", default_value = "1/1")]
    slice: Slice,
    #[command(flatten)]
    programs: ProgramArguments,
    #[command(flatten)]
    low_impact: LowImpactArguments,
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
    let result = attempt(global, arguments, progress, interrupt, &output, clock);
    interrupt.forget_last_word();
    output.tell_failure("verify", clock, &result, progress);
    result
}

/// Verifies and reports; a failure is reported by the caller.
fn attempt(
    global: &Global,
    arguments: &Arguments,
    progress: &Progress,
    interrupt: &Interrupt,
    output: &Output,
    clock: Clock,
) -> Result<u8, Failure> {
    output.is_about(&arguments.store);
    let store = Store::open_read_only(&arguments.store)?;
    output.refuse_inside(store.path(), "the store")?;
    let last = output.clone();
    interrupt.set_last_word(Box::new(move || {
        // The process ends here; there is nobody to tell of a closed output.
        let _ = last.write(&Report::of_nothing("verify", clock), None);
    }));
    arguments.low_impact.apply(progress);
    let options = Options {
        slice: arguments.slice,
        programs: arguments.programs.programs(),
        threads: global.threads(),
        scratch: global.scratch.clone(),
        low_impact: arguments.low_impact.low_impact(),
    };
    let verified = verify::run(&store, arguments.set.as_deref(), &options, progress);
    interrupt.forget_last_word();
    progress.finish();
    let verified = match verified {
        Ok(verified) => verified,
        Err(StoreError::Stopped) if progress.stopped() => {
            output.write(&Report::of_nothing("verify", clock), None)?;
            return Ok(exit::WORLD);
        }
        Err(error) => return Err(error.into()),
    };
    let report = Report::of_verify(&verified, &store, &options, clock);
    output.write(&report, Some(&verified.findings))?;
    Ok(report.exit_status)
}
