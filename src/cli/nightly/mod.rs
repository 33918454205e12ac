//! `fogold nightly`: what cron and timers run.

mod log;
mod plan;

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::error::Failure;
use super::interrupt::Interrupt;
use super::output_file::OutputFile;
use super::progress::Progress;
use super::settings::InForce;
use super::{Global, exit};
use crate::monitor::Monitor;
use crate::nightly::notify::{self, Notice, Occasion};
use crate::nightly::{Night, Verdict, report_path};
use crate::report::printable;
use crate::settings::{Hooks, Mail, Reports, Settings};
use log::Log;
use plan::Plan;

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

/// Who is told, and where reports go.
struct Told {
    mail: Option<Mail>,
    hooks: Hooks,
    reports: Option<Reports>,
    occasions: Vec<Occasion>,
}

impl Told {
    fn by(settings: &InForce, arguments: &Arguments) -> Result<Told, Failure> {
        let nothing = Settings::parse(Path::new(""), "")?;
        let file = settings.file().unwrap_or(&nothing);
        Ok(Told {
            mail: Mail::of(file)?,
            hooks: Hooks::of(file)?,
            reports: Reports::of(file)?,
            occasions: arguments.notify.iter().map(|when| (*when).into()).collect(),
        })
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
        told.show(&mut std::io::stdout().lock())?;
        return Ok(exit::DONE);
    }
    let night = Night::begin(&state)?;
    let last = night.last().unwrap_or_else(|error| {
        progress.warn(&Failure::from(error).to_string());
        None
    });
    let before = last.as_ref().map(|last| last.verdict.clone());
    let plan = match plan {
        Ok(plan) => plan,
        Err(failure) => {
            // Nobody may look at a terminal: who is told of nights is told of this one.
            let mut verdict = Verdict::of_refusal(&failure.to_string());
            verdict.before = before;
            told.of(
                &night,
                &mut verdict,
                last.as_ref(),
                arguments.tell,
                progress,
            );
            return Err(failure);
        }
    };
    plan.notes.iter().for_each(|note| progress.note(note));
    night.keep(&Verdict {
        before: before.clone(),
        ..Verdict::of_no_end()
    })?;
    let program = std::env::current_exe()?;
    let log = Log::begin(progress, interrupt);
    if let Some(reports) = &told.reports {
        // Where it cannot be made, each step says so.
        let _ = std::fs::create_dir_all(&reports.directory);
    }
    let mut verdict = night.run(&program, &plan.steps, &log);
    verdict.before = before;
    let is_told = told.of(
        &night,
        &mut verdict,
        last.as_ref(),
        arguments.tell,
        progress,
    );
    log.end(&verdict);
    if is_told {
        Ok(verdict.exit_status)
    } else {
        Ok(verdict.exit_status.max(exit::FINDINGS))
    }
}

/// Says what failed; whether nothing did.
fn warn(failures: &[Failure], progress: &Progress) -> bool {
    for failure in failures {
        progress.warn(&failure.to_string());
    }
    failures.is_empty()
}

fn state_directory(global: &Global) -> PathBuf {
    let of_service = || std::env::split_paths(&std::env::var_os(STATE_VARIABLE)?).next();
    let named = global.state.clone().or_else(of_service);
    named.unwrap_or_else(|| PathBuf::from(STATE_DIRECTORY))
}

impl Told {
    /// Keeps the verdict, writes the reports and tells who is to know; whether all of it went well.
    fn of(
        &self,
        night: &Night,
        verdict: &mut Verdict,
        last: Option<&Verdict>,
        tell: Tell,
        progress: &Progress,
    ) -> bool {
        let mut failures: Vec<Failure> = Vec::new();
        failures.extend(self.write_reports(verdict).err());
        verdict.untold = Notice::of(verdict, last, &self.occasions).is_some();
        // Kept before anybody is told: were this to end in between, the next night tells of it.
        failures.extend(night.keep(verdict).map_err(Failure::from).err());
        if tell == Tell::Now && verdict.untold {
            let notice = Notice::of(verdict, last, &self.occasions);
            failures.extend(self.tell(notice, night, verdict));
        }
        warn(&failures, progress)
    }

    /// Tells of a night, and keeps whether that arrived; returns what failed.
    fn tell(&self, notice: Option<Notice<'_>>, night: &Night, verdict: &Verdict) -> Vec<Failure> {
        let Some(notice) = notice else {
            return Vec::new();
        };
        let errors = notify::tell(&notice, self.mail.as_ref(), &self.hooks);
        let kept = night.keep(&Verdict {
            untold: !errors.is_empty(),
            ..verdict.clone()
        });
        let errors = errors.into_iter().map(Failure::world);
        errors.chain(kept.map_err(Failure::from).err()).collect()
    }

    /// Tells what a night kept for later.
    fn what_was_kept(&self, state: &Path, progress: &Progress) -> Result<u8, Failure> {
        let night = Night::begin(state)?;
        let Some(verdict) = night.last()? else {
            progress.note("no night has left anything to tell");
            return Ok(exit::DONE);
        };
        let failures = self.tell(Notice::kept(&verdict), &night, &verdict);
        Ok(match warn(&failures, progress) {
            true => exit::DONE,
            false => exit::WORLD,
        })
    }

    /// The night itself, beside the reports of its steps.
    fn write_reports(&self, verdict: &Verdict) -> Result<(), Failure> {
        let Some(reports) = &self.reports else {
            return Ok(());
        };
        let json = serde_json::to_string_pretty(verdict).map_err(std::io::Error::from)?;
        let text = notify::for_people(verdict);
        for (ending, contents) in [("json", json), ("txt", text)] {
            let path = report_path(&reports.directory, "nightly", ending);
            let output = OutputFile::create(&path, 0o640)?;
            output.file()?.write_all(contents.as_bytes())?;
            output.keep()?;
        }
        Ok(())
    }

    /// Says who would be told.
    fn show(&self, out: &mut dyn Write) -> Result<(), Failure> {
        if let Some(mail) = &self.mail {
            writeln!(out, "# mail to {}", printable(&mail.to.join(", ")))?;
        }
        if let Some(command) = &self.hooks.command {
            writeln!(out, "# command {}", printable(command))?;
        }
        if self.hooks.webhook.is_some() {
            writeln!(out, "# webhook ***")?;
        }
        if self.mail.is_none() && self.hooks.command.is_none() && self.hooks.webhook.is_none() {
            writeln!(
                out,
                "# nobody is told: the configuration has neither [mail] nor [hooks]"
            )?;
        }
        Ok(())
    }
}
