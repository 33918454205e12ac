//! `fogold nightly`: what cron and timers run.

mod log;
mod plan;
mod told;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::ValueEnum;

use super::error::Failure;
use super::interrupt::Interrupt;
use super::progress::Progress;
use super::settings::{InForce, step_section};
use super::{Global, exit};
use crate::monitor::Monitor;
use crate::nightly::notify::Occasion;
use crate::nightly::{Night, Verdict};
use crate::settings::STEPS;
use log::Log;
use plan::Plan;
use told::Told;

/// Where a night leaves its verdict for the next one, when nothing says so.
const STATE_DIRECTORY: &str = "/var/lib/fogold";

/// Where systemd says that a service's state is.
const STATE_VARIABLE: &str = "STATE_DIRECTORY";

/// Do what every night takes: back up, check, read the store back, prune, and tell who is to know
///
/// The configuration file says what the steps do; without it, the check reads a part of the contents
/// (--verify --slice auto/28), and so does verify. Each step is a fogold of its own. A step that fails
/// stops no other, but that no set is removed in a night whose backup or verify failed. The exit status
/// is that of the worst step. Only one night is at work at a time.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// What to run, in this order [default: backup,check,verify,prune]
    ///
    /// By default, prune is left out where nothing says which sets to keep.
    #[arg(long, value_name = "STEP,…", value_delimiter = ',')]
    steps: Vec<StepName>,
    /// When to tell the mail addresses, the command and the webhook of the configuration file
    #[arg(
        long,
        value_name = "WHEN,…",
        value_delimiter = ',',
        default_value = "failure,change"
    )]
    notify: Vec<When>,
    /// Whether to tell them now
    ///
    /// A service that is shut in cannot send mail through most mail programs: so it keeps for later what
    /// is to be told, and another service tells it.
    #[arg(long, value_name = "HOW", default_value = "now")]
    tell: Tell,
    /// Only show what would be run, and who would be told
    #[arg(long)]
    dry_run: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum StepName {
    /// Make a set
    Backup,
    /// Hold the repository against the database
    Check,
    /// Read the store back
    Verify,
    /// Remove old sets
    Prune,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum When {
    /// The exit status is not 0
    Failure,
    /// The night says something else than the one before
    Change,
    /// Every night
    Always,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Tell {
    /// At the end of the night
    Now,
    /// Keep it for 'fogold nightly --tell only'
    Later,
    /// Run no step; tell what was kept, where something was
    Only,
}

impl From<When> for Occasion {
    fn from(when: When) -> Occasion {
        match when {
            When::Failure => Occasion::Failure,
            When::Change => Occasion::Change,
            When::Always => Occasion::Always,
        }
    }
}

pub(super) fn run(
    global: &Global,
    arguments: &Arguments,
    settings: &InForce,
    progress: &Progress,
    interrupt: &Interrupt,
) -> Result<u8, Failure> {
    let told = Told::by(settings, arguments)?;
    let state = state_directory(global);
    if arguments.tell == Tell::Only {
        return told.what_was_kept(&state, progress);
    }
    progress.finish();
    let plan = Plan::of(settings, &arguments.steps, &state, told.reports.as_ref());
    if arguments.dry_run {
        let plan = plan?;
        plan.notes.iter().for_each(|note| progress.note(note));
        plan.show(&mut std::io::stdout().lock())?;
        told.show(&mut std::io::stdout().lock(), progress)?;
        return Ok(exit::DONE);
    }
    let night = Night::begin(&state)?;
    let last = night.last().unwrap_or_else(|error| {
        progress.warn(&Failure::from(error).to_string());
        None
    });
    let mut verdict = match &plan {
        Ok(plan) => {
            plan.notes.iter().for_each(|note| progress.note(note));
            let log = Log::begin(progress, interrupt);
            go_through(&night, plan, last.as_ref(), &told, &log)?
        }
        // Nobody may look at a terminal: who is told of nights is told of this one.
        Err(failure) => Verdict::of_refusal(&failure.to_string()),
    };
    verdict.before = before(last.as_ref());
    let ended_with = verdict.exit_status;
    let is_told = told.of(
        &night,
        &mut verdict,
        last.as_ref(),
        arguments.tell,
        progress,
    );
    plan?;
    if is_told {
        return Ok(verdict.exit_status);
    }
    let status = verdict.exit_status.max(exit::WORLD);
    if status != ended_with {
        progress.warn(&format!("so the exit status is {status}"));
    }
    Ok(status)
}

/// Runs the steps. Until they have ended, the verdict is that they came to no end.
fn go_through(
    night: &Night,
    plan: &Plan,
    last: Option<&Verdict>,
    told: &Told,
    log: &Log<'_>,
) -> Result<Verdict, Failure> {
    let mut no_end = Verdict::of_no_end();
    no_end.before = before(last);
    night.keep(&no_end)?;
    if let Some(reports) = &told.reports {
        // Where it cannot be made, each step says so.
        let _ = std::fs::create_dir_all(&reports.directory);
    }
    let verdict = night.run(&std::env::current_exe()?, &plan.steps, log);
    log.end(&verdict);
    Ok(verdict)
}

/// What the last night said.
fn before(last: Option<&Verdict>) -> Option<String> {
    last.map(|last| last.verdict.clone())
}

/// What a night does where nothing says so.
pub(super) struct Default {
    pub(super) section: String,
    pub(super) key: &'static str,
    /// `None` where it is a switch that is on.
    pub(super) value: Option<OsString>,
}

/// All of them, but for what something sets.
pub(super) fn defaults(global: &Global, settings: &InForce) -> Result<Vec<Default>, Failure> {
    let mut defaults = Vec::new();
    for step in STEPS {
        let section = || step_section(step);
        if settings.in_night(step, "state")?.is_none() && global.state.is_none() {
            defaults.push(Default {
                section: section(),
                key: "state",
                value: Some(state_directory(global).into()),
            });
        }
        let added = plan::filled_in(settings, step)?.into_iter();
        defaults.extend(added.map(|(key, value)| Default {
            section: section(),
            key,
            value: value.map(OsString::from),
        }));
    }
    Ok(defaults)
}

fn state_directory(global: &Global) -> PathBuf {
    let of_service = || std::env::split_paths(&std::env::var_os(STATE_VARIABLE)?).next();
    let named = global.state.clone().or_else(of_service);
    named.unwrap_or_else(|| PathBuf::from(STATE_DIRECTORY))
}
