//! The report of `fogold plan`: what backups of either kind would take.

use std::io::{self, Write};

use serde::Serialize;

use super::number::{bytes_for_people, counted, grouped, time_for_people};
use super::text::printable;
use super::usage::write_disk;
use super::{Clock, ReportCatalog, ReportError, report_catalog};
use crate::catalog::{Amount, Catalog};
use crate::figures::plan::{LastDrill, Plan, PlannedSet, Sampled, Step};
use crate::manifest::{SetKind, UrlGold};

/// So many months are shown to people.
const MONTHS: usize = 13;

/// What backups would take, as text and as an object.
#[derive(Clone, Debug, Serialize)]
pub struct PlanReport {
    /// `fogold`
    pub tool: &'static str,
    /// The program's version.
    pub version: &'static str,
    /// `plan`
    pub command: &'static str,
    /// The exit status that goes with the report.
    pub exit_status: u8,
    /// When the run began, RFC 3339.
    pub started: String,
    /// How long it took.
    pub seconds: f64,
    /// The figures.
    #[serde(flatten)]
    pub plan: Plan,
    /// What they were counted by.
    pub catalog: ReportCatalog,
}

impl PlanReport {
    /// The report of a plan.
    pub fn new(plan: Plan, catalog: &Catalog, exit_status: u8, clock: Clock) -> PlanReport {
        PlanReport {
            tool: "fogold",
            version: env!("CARGO_PKG_VERSION"),
            command: "plan",
            exit_status,
            started: clock.text(),
            seconds: clock.seconds(),
            plan,
            catalog: report_catalog(catalog),
        }
    }

    /// Writes the object for programs.
    pub fn write_json(&self, out: &mut dyn Write) -> Result<(), ReportError> {
        serde_json::to_writer_pretty(&mut *out, self).map_err(io::Error::from)?;
        Ok(writeln!(out)?)
    }

    /// Writes the tables for people.
    pub fn write_text(&self, out: &mut dyn Write) -> Result<(), ReportError> {
        let plan = &self.plan;
        write_sets(&plan.sets, out)?;
        if plan.gold_not_found.files > 0 {
            writeln!(
                out,
                "\nThe gold of {} was not found: what was unpacked from it is in no gold-only set \
                 (fogold manifest --gold-only counts it).",
                counted(plan.gold_not_found.files, "content")
            )?;
        }
        if plan.not_found.files > 0 {
            writeln!(
                out,
                "\n{}, {}, that the database knows were not found, and are in no set (fogold check \
                 names them).",
                counted(plan.not_found.files, "content"),
                bytes_for_people(plan.not_found.bytes)
            )?;
        }
        write_how(plan, out)?;
        write_growth(plan, out)?;
        write_disk(&plan.on_disk, out)?;
        Ok(())
    }
}

/// What is told of each kind of set: what it is, and its words for a set.
type Row<'a> = (&'a str, Box<dyn Fn(&PlannedSet) -> String>);

fn write_sets(sets: &[PlannedSet], out: &mut dyn Write) -> io::Result<()> {
    let with_store = sets.iter().any(|set| set.new.is_some());
    let step = |name: &'static str| -> Box<dyn Fn(&PlannedSet) -> String> {
        Box::new(move |set| {
            let steps = &set.restore.steps;
            let step = steps.iter().find(|step| step.step == name);
            step.map_or_else(String::new, |step| time(step.time.seconds))
        })
    };
    let mut rows: Vec<Row<'_>> = vec![
        ("contents", Box::new(|set| grouped(set.holds.files))),
        ("bytes", Box::new(|set| bytes_for_people(set.holds.bytes))),
        (
            "  more each month",
            Box::new(|set| bytes_for_people(set.growth_a_month.bytes)),
        ),
        (
            "  left to URLs",
            Box::new(|set| bytes_for_people(set.to_fetch.bytes)),
        ),
        (
            "first backup",
            Box::new(|set| time(set.first_backup.seconds)),
        ),
    ];
    if with_store {
        rows.push((
            "next backup",
            Box::new(|set| match &set.next_backup {
                Some(next) => time(next.seconds),
                None => String::new(),
            }),
        ));
        rows.push((
            "  not in the store yet",
            Box::new(|set| match &set.new {
                Some(new) => bytes_for_people(new.bytes),
                None => String::new(),
            }),
        ));
    }
    rows.extend([
        (
            "restore",
            Box::new(|set: &PlannedSet| time(set.restore.seconds)) as Box<_>,
        ),
        ("  database", step("database")),
        ("  files", step("files")),
        ("  check", step("check")),
        ("  unpacking", step("unpack")),
    ]);
    let heads: Vec<String> = sets.iter().map(head).collect();
    let label = rows.iter().map(|(what, _)| what.len()).max().unwrap_or(0);
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|(_, of)| sets.iter().map(of).collect())
        .collect();
    let wide: Vec<usize> = (0..sets.len())
        .map(|column| {
            let of_rows = cells.iter().map(|row| row[column].len());
            of_rows.chain([heads[column].len()]).max().unwrap_or(0)
        })
        .collect();
    let mut line = |what: &str, cells: &[String]| -> io::Result<()> {
        let mut text = format!("{what:<label$}");
        for (cell, wide) in cells.iter().zip(&wide) {
            text.push_str(&format!("  {cell:>wide$}"));
        }
        writeln!(out, "{}", text.trim_end())
    };
    line("", &heads)?;
    for ((what, _), cells) in rows.iter().zip(&cells) {
        line(what, cells)?;
    }
    writeln!(
        out,
        "* without gold that can be fetched again from its URL (--url-gold skip)"
    )
}

fn head(set: &PlannedSet) -> String {
    match set.url_gold {
        UrlGold::Keep => set.kind.to_string(),
        UrlGold::Skip | UrlGold::Verified => format!("{} *", set.kind),
    }
}

fn time(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "not known".to_owned(), time_for_people)
}

fn write_how(plan: &Plan, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "\nhow this was estimated")?;
    let of_kind = |kind| {
        let mut sets = plan.sets.iter();
        sets.find(|set| (set.kind, set.url_gold) == (kind, UrlGold::Keep))
    };
    let (Some(full), Some(gold_only)) = (of_kind(SetKind::Full), of_kind(SetKind::GoldOnly)) else {
        return Ok(());
    };
    writeln!(out, "  backup: {}", full.first_backup.how)?;
    for Step { step, time } in &gold_only.restore.steps {
        let mut of_full = full.restore.steps.iter();
        match of_full.find(|other| other.step == *step) {
            Some(other) if other.time.how != time.how => {
                writeln!(
                    out,
                    "  {step} of a full set: {}",
                    printable(&other.time.how)
                )?;
                writeln!(out, "  {step} of a gold-only set: {}", printable(&time.how))?;
            }
            _ => writeln!(out, "  {step}: {}", printable(&time.how))?,
        }
    }
    if let Some(sample) = &plan.sample {
        writeln!(out, "  sample: {}", in_words(sample))?;
    }
    writeln!(
        out,
        "  what is left to URLs is fetched in addition; how fast its servers are is not known"
    )?;
    match &plan.last_drill {
        Some(drill) => write_drill(drill, out),
        None => writeln!(
            out,
            "  no drill has restored files yet: 'fogold drill STORE --full' shows what it really takes"
        ),
    }
}

fn in_words(sample: &Sampled) -> String {
    let rate = |a_byte: f64| match a_byte > 0.0 {
        true => format!(" and {} a second", bytes_for_people((1.0 / a_byte) as u64)),
        false => String::new(),
    };
    format!(
        "{}, {}, by {} in {}; a copy takes {:.2} ms a file{}",
        counted(sample.files, "file"),
        bytes_for_people(sample.bytes),
        counted(sample.threads as u64, "thread"),
        time_for_people(sample.seconds),
        sample.copy.a_file * 1e3,
        rate(sample.copy.a_byte)
    )
}

fn write_drill(drill: &LastDrill, out: &mut dyn Write) -> io::Result<()> {
    write!(
        out,
        "  the last drill ({}, {}) took {}, without the start of its server",
        drill.kind,
        printable(&drill.when),
        time_for_people(drill.seconds)
    )?;
    match (drill.estimate, drill.factor) {
        (Some(estimate), Some(factor)) => writeln!(
            out,
            "; the estimate of it without drills is {}, {factor:.2} times that",
            time_for_people(estimate)
        ),
        _ => writeln!(out),
    }
}

fn write_growth(plan: &Plan, out: &mut dyn Write) -> io::Result<()> {
    let months = &plan.growth.months;
    let first = months.len().saturating_sub(MONTHS);
    if months.is_empty() {
        return Ok(());
    }
    let bytes = |amount: Amount| bytes_for_people(amount.bytes);
    writeln!(
        out,
        "\ncame in, by the first upload that holds it (average over {} before this one)",
        counted(u64::from(plan.growth.averaged_over), "month")
    )?;
    writeln!(out, "  month    {:>10}  {:>10}", "full", "gold-only")?;
    for month in &months[first..] {
        writeln!(
            out,
            "  {}  {:>10}  {:>10}",
            month.month,
            bytes(month.full),
            bytes(month.gold_only)
        )?;
    }
    Ok(())
}
