//! Who is told of a night, and where its reports go.

use std::io::Write;
use std::path::Path;

use super::{Arguments, Tell};
use crate::cli::error::Failure;
use crate::cli::exit;
use crate::cli::output_file::OutputFile;
use crate::cli::progress::Progress;
use crate::cli::settings::InForce;
use crate::monitor::Monitor;
use crate::nightly::notify::{self, Notice, Occasion};
use crate::nightly::{Night, Verdict, report_path};
use crate::report::printable;
use crate::settings::{Hooks, Mail, Reports, Settings};

/// Who is told, and where reports go.
pub(super) struct Told {
    mail: Option<Mail>,
    hooks: Hooks,
    pub(super) reports: Option<Reports>,
    occasions: Vec<Occasion>,
}

impl Told {
    /// As the configuration file has it.
    pub(super) fn by(settings: &InForce, arguments: &Arguments) -> Result<Told, Failure> {
        let nothing = Settings::parse(Path::new(""), "")?;
        let file = settings.file().unwrap_or(&nothing);
        Ok(Told {
            mail: Mail::of(file)?,
            hooks: Hooks::of(file)?,
            reports: Reports::of(file)?,
            occasions: arguments.notify.iter().map(|when| (*when).into()).collect(),
        })
    }

    /// Keeps the verdict, writes the reports and tells who is to know; whether all of it went well.
    pub(super) fn of(
        &self,
        night: &Night,
        verdict: &mut Verdict,
        last: Option<&Verdict>,
        tell: Tell,
        progress: &Progress,
    ) -> bool {
        let notice = Notice::of(verdict, last, &self.occasions);
        verdict.untold = notice.is_some();
        let mut failures: Vec<Failure> = Vec::new();
        failures.extend(self.write_reports(verdict).err());
        // Kept before anybody is told: were this to end in between, the next night tells of it.
        failures.extend(night.keep(verdict).map_err(Failure::from).err());
        if let (Some(notice), Tell::Now) = (notice, tell) {
            let told = self.tell(&notice, night, verdict, exit::WORLD);
            failures.extend(told);
        }
        warn(&failures, progress)
    }

    /// Tells of a night, and keeps whether that arrived; returns what failed. A night that could not
    /// tell is worth no less than `worth`.
    fn tell(
        &self,
        notice: &Notice,
        night: &Night,
        verdict: &mut Verdict,
        worth: u8,
    ) -> Vec<Failure> {
        let errors = notify::tell(notice, self.mail.as_ref(), &self.hooks);
        let has_changed = !(errors.is_empty() && verdict.not_told.is_empty());
        verdict.untold = !errors.is_empty();
        verdict.not_told = errors.iter().map(ToString::to_string).collect();
        if verdict.untold {
            verdict.exit_status = verdict.exit_status.max(worth);
        }
        let mut failures: Vec<Failure> = errors.into_iter().map(Failure::world).collect();
        failures.extend(night.keep(verdict).map_err(Failure::from).err());
        if has_changed {
            failures.extend(self.write_reports(verdict).err());
        }
        failures
    }

    /// Tells what a night kept for later.
    pub(super) fn what_was_kept(&self, state: &Path, progress: &Progress) -> Result<u8, Failure> {
        let night = Night::begin(state)?;
        let last = night.last()?;
        let kept = last.and_then(|verdict| Some((Notice::kept(&verdict)?, verdict)));
        let Some((notice, mut verdict)) = kept else {
            progress.note("no night has left anything to tell");
            return Ok(exit::DONE);
        };
        // The night itself has ended, with what it ended with.
        let failures = self.tell(&notice, &night, &mut verdict, exit::DONE);
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

    /// Says who would be told, and who could not be.
    pub(super) fn show(&self, out: &mut dyn Write, progress: &Progress) -> Result<(), Failure> {
        if let Some(mail) = &self.mail {
            writeln!(out, "# mail to {}", printable(&mail.to.join(", ")))?;
            if let Err(why) = notify::can_be_sent(mail) {
                progress.warn(&format!("no mail can be sent: {why}"));
            }
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

/// Says what failed; whether nothing did.
fn warn(failures: &[Failure], progress: &Progress) -> bool {
    for failure in failures {
        progress.warn(&failure.to_string());
    }
    failures.is_empty()
}
