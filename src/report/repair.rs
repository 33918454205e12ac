//! The report of `fogold repair`: what would be done about each finding, or was.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;

use super::advice::Advice;
use super::number::{bytes_for_people, counted, grouped};
use super::text::printable;
use super::{Clock, LookedAt, Report, ReportCoverage};
use crate::catalog::Catalog;
use crate::check::{Action, Finding, Kind, MendingStatus, Options, Severity, Tally};
use crate::recover::repair::{Acted, Outcome};
use crate::repository::Tree;

/// What a repair would do, or has done, and the repository before it.
#[derive(Clone, Debug, Serialize)]
pub struct RepairedRepository {
    /// What the check before looked at.
    #[serde(flatten)]
    pub coverage: ReportCoverage,
    /// The repair.
    pub repair: RepairSums,
}

/// The sums of a repair.
#[derive(Clone, Debug, Serialize)]
pub struct RepairSums {
    /// Whether anything was to be done, and not only planned.
    pub applied: bool,
    /// The run's name, for an undo; absent when nothing was changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Where the quarantine of this run is, in each host's directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<String>,
    /// Findings of the check before.
    pub findings: u64,
    /// Findings that are no more.
    pub mended: u64,
    /// What was, or would be, done.
    pub actions: BTreeMap<Action, Acted>,
    /// Golds made one file with their copy in files again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relinked: Option<Acted>,
    /// Rows whose sha256 was filled in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256_filled: Option<Acted>,
    /// Why the run did not come to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// The findings that are left.
    #[serde(skip)]
    pub left: Left,
}

/// Findings that a repair has left, by severity and kind.
#[derive(Clone, Debug, Default)]
pub struct Left(BTreeMap<(Severity, Kind), Tally>);

impl Left {
    /// How many there are.
    pub(super) fn findings(&self, severity: Severity, kind: Kind) -> u64 {
        let tally = self.0.get(&(severity, kind));
        tally.map_or(0, |tally| tally.findings)
    }

    /// Whether there is any of a kind.
    pub(super) fn has(&self, kind: Kind) -> bool {
        self.0.keys().any(|(_, other)| *other == kind)
    }

    /// All of them, the worst first.
    pub(super) fn tallies(&self) -> Vec<(Severity, Kind, Tally)> {
        let each = self.0.iter();
        each.map(|((severity, kind), tally)| (*severity, *kind, *tally))
            .collect()
    }
}

impl Report {
    /// The report of a repair. It counts what is left; its lines are all findings of the check before.
    pub fn of_repair(
        outcome: &Outcome,
        tree: &Tree,
        catalog: &Catalog,
        options: &Options,
        clock: Clock,
    ) -> Report {
        let mut report = Report::blank("repair", clock);
        report.complete = outcome.complete;
        let left = Left(outcome.left.clone());
        let tallies = left.tallies();
        report.count_all(&tallies);
        report.catalog = Some(super::report_catalog(catalog));
        report.upload_names = super::upload_names(catalog);
        report.exit_status = match outcome.complete {
            true => u8::from(outcome.fails),
            false => 3,
        };
        let sum = |tallies: &[(Severity, Kind, Tally)]| -> u64 {
            tallies.iter().map(|(.., tally)| tally.findings).sum()
        };
        let findings = sum(&outcome.findings.tallies());
        let sums = RepairSums {
            applied: outcome.applied,
            quarantine: outcome
                .run
                .as_ref()
                .map(|run| format!(".fogold/quarantine/{run}")),
            run: outcome.run.clone(),
            findings,
            mended: findings - sum(&tallies),
            actions: outcome.actions.clone(),
            relinked: outcome.relinked,
            sha256_filled: outcome.sha256,
            trouble: outcome.trouble.clone(),
            left,
        };
        report.verdict = sums.verdict(outcome);
        report.coverage = LookedAt::Repaired(Box::new(RepairedRepository {
            coverage: super::coverage(&outcome.checked, tree, options),
            repair: sums,
        }));
        report
    }
}

impl RepairSums {
    fn verdict(&self, outcome: &Outcome) -> String {
        let planned: u64 = self.all().map(|(_, acted)| acted.planned.files).sum();
        let done: u64 = self.all().map(|(_, acted)| acted.done.files).sum();
        let left = self.findings - self.mended;
        let word = match (outcome.complete, outcome.applied) {
            (false, _) => "INCOMPLETE",
            (true, false) if planned > 0 => "PLAN",
            (true, _) if outcome.fails => "NOT ALL",
            (true, _) => "OK",
        };
        let what = match (outcome.applied, planned + done) {
            (false, 0) => "there is nothing that a repair could do".to_owned(),
            (true, 0) => "nothing was changed".to_owned(),
            (false, _) => format!(
                "{} to be changed; nothing was changed yet (--apply does it)",
                counted(planned, "file")
            ),
            (true, _) => format!("{} changed", counted(done, "file")),
        };
        let findings = match (outcome.applied, left) {
            (false, _) => counted(self.findings, "finding"),
            (true, 0) => format!("{}, none is left", counted(self.findings, "finding")),
            (true, _) => format!(
                "{}, {} left",
                counted(self.findings, "finding"),
                grouped(left)
            ),
        };
        let trouble = match &outcome.trouble {
            Some(trouble) => format!(": {trouble}"),
            None if !outcome.complete => ": the check could not look at everything".to_owned(),
            None => String::new(),
        };
        format!("{word}: {what}; {findings}{trouble}")
    }

    /// Every action with its name.
    pub(super) fn all(&self) -> impl Iterator<Item = (&'static str, Acted)> {
        let actions = Action::ALL
            .into_iter()
            .filter_map(|action| Some((action.as_str(), *self.actions.get(&action)?)));
        actions
            .chain(self.relinked.map(|acted| ("relink", acted)))
            .chain(self.sha256_filled.map(|acted| ("fill-sha256", acted)))
    }

    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.all().next().is_none() {
            return Ok(());
        }
        let done = if self.applied { "done" } else { "planned" };
        writeln!(
            out,
            "\n  {:<22} {done:>12} {:>12} {:>12}",
            "action", "bytes", "left"
        )?;
        for (name, acted) in self.all() {
            let amount = if self.applied {
                acted.done
            } else {
                acted.planned
            };
            writeln!(
                out,
                "  {name:<22} {:>12} {:>12} {:>12}",
                grouped(amount.files),
                bytes_for_people(amount.bytes),
                grouped(acted.left.files)
            )?;
        }
        Ok(())
    }

    /// What else there is to do; `undo` is the command that takes a run back.
    pub(super) fn what_to_do(&self, undo: impl Fn(&str) -> Option<String>) -> Vec<Advice> {
        let mut advice = Vec::new();
        if let Some(run) = &self.run {
            let command = undo(run);
            let run = printable(run);
            advice.push(Advice {
                about: None,
                text: format!(
                    "what was moved is in <host>/.fogold/quarantine/{run}; to put everything back:"
                )
                .into(),
                command,
            });
        }
        let planned = self.all().any(|(_, acted)| acted.planned.files > 0);
        if planned && !self.applied {
            advice.push(Advice {
                about: None,
                text: "to do what is planned: the same command with --apply".into(),
                command: None,
            });
        }
        advice
    }
}

/// What a repair would do about a finding, or has done, for a person.
pub(super) fn mending(finding: &Finding) -> Option<String> {
    let mending = finding.repair.as_ref()?;
    let action = mending.action.map_or("", Action::as_str);
    let mut text = match mending.status {
        MendingStatus::Left => "left".to_owned(),
        status => format!("{}: {action}", status.as_str()),
    };
    // Where a good copy is put, it is the bad one that went elsewhere.
    let to = match mending.action {
        Some(Action::PutBack) => "and what stood there to",
        _ => "to",
    };
    for (word, value) in [("from", &mending.from), (to, &mending.to)] {
        if let Some(value) = value {
            text.push_str(&format!(" {word} {value}"));
        }
    }
    if let Some(why) = &mending.why {
        text.push_str(&format!(" ({why})"));
    }
    Some(text)
}
