//! The report of `fogold restore`: what was restored, and what a check found after it.

use std::io::{self, Write};

use serde::Serialize;

use super::number::{bytes_for_people, counted, grouped};
use super::text::printable;
use super::{Clock, LookedAt, Report, ReportCoverage};
use crate::catalog::{Amount, Catalog};
use crate::check::{FailOn, Kind, Options, Outcome, Severity};
use crate::manifest::SetKind;
use crate::recover::database;
use crate::recover::files::Restored;
use crate::recover::restore::Done;
use crate::repository::Tree;
use crate::sysconf::RepositoryType;

/// So many jobs are named one by one.
const MOST_JOBS: usize = 20;

/// What was restored, and the repository after it.
#[derive(Clone, Debug, Serialize)]
pub struct RestoredServer {
    /// What was done, or in a dry run would be.
    pub restored: Done,
    /// The repository after it; absent when there was no check.
    #[serde(flatten)]
    pub after: Option<ReportCoverage>,
}

impl Report {
    /// The report of a restore, and of the check behind it.
    pub fn of_restore(
        done: Done,
        outcome: &Outcome,
        tree: &Tree,
        catalog: &Catalog,
        options: &Options,
        clock: Clock,
    ) -> Report {
        let fail_on = FailOn::Severity(Severity::Recoverable);
        let mut report = Report::of_check(outcome, tree, catalog, options, fail_on, clock);
        report.command = "restore";
        // What no database knows, no check misses.
        let lost = done.files.as_ref().map_or(0, |files| files.lost.files);
        report.exit_status = report.exit_status.max(u8::from(lost > 0));
        if !done.is_whole() {
            report.complete = false;
            report.exit_status = 3;
        }
        let restored = match done.nothing_of() {
            Some(ty) => nothing_of(&done.set, ty),
            None => format!(
                "set {} is restored{}{}",
                done.set,
                but_for(done.files.as_ref()),
                report.left_to_unpacking(&done, outcome)
            ),
        };
        report.verdict = format!("{restored}. Check: {}", report.verdict);
        if let LookedAt::Repository(after) = report.coverage {
            report.coverage = LookedAt::Restored(Box::new(RestoredServer {
                restored: done,
                after: Some(after),
            }));
        }
        report
    }

    /// What to do next, when nothing is amiss but what a gold-only set leaves to FOSSology.
    fn left_to_unpacking(&self, done: &Done, outcome: &Outcome) -> String {
        let is_gold_only = done.set.ends_with(SetKind::GoldOnly.as_str());
        let tallies = outcome.findings.tallies();
        let missing: u64 = tallies
            .iter()
            .filter(|(severity, kind, _)| {
                (*severity, *kind) == (Severity::Recoverable, Kind::MissingDerived)
            })
            .map(|(.., tally)| tally.findings)
            .sum();
        let severe = self.severity(Severity::Loss) + self.severity(Severity::Recoverable);
        if is_gold_only && missing > 0 && missing == severe {
            format!(
                ", as far as a gold-only set goes: FOSSology unpacks {} again (fogold requeue --wait)",
                counted(missing, "file")
            )
        } else {
            String::new()
        }
    }

    /// The report of a restore without a check: a dry run, or one of the database alone where there
    /// is no repository.
    pub fn of_restore_unchecked(done: Done, clock: Clock) -> Report {
        let mut report = Report::blank("restore", clock);
        report.complete = true;
        let lost = done.files.as_ref().map_or(0, |files| files.lost.files);
        // What a check after it would find beyond that, only a restore can tell.
        report.exit_status = u8::from(lost > 0);
        report.verdict = if let Some(ty) = done.nothing_of() {
            format!("DRY RUN: {}", nothing_of(&done.set, ty))
        } else if done.dry_run {
            format!(
                "DRY RUN: nothing was changed; set {} would be restored{}",
                done.set,
                but_for(done.files.as_ref())
            )
        } else {
            format!(
                "set {} is restored; no repository was there to check it against",
                done.set
            )
        };
        report.coverage = LookedAt::Restored(Box::new(RestoredServer {
            restored: done,
            after: None,
        }));
        report
    }
}

impl RestoredServer {
    /// What was done, for people.
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let done = &self.restored;
        if let Some(database) = &done.database {
            if done.dry_run {
                planned(database, out)?;
            } else {
                filled(database, out)?;
            }
            of_queue_and_paths(database, done, out)?;
        }
        if let Some(files) = &done.files {
            of_files(files, done, out)?;
        }
        if let Some(left) = done.left_to_unpacking {
            let why = " are not in the set: FOSSology has to unpack them again (fogold requeue)";
            line("unpack", left, why, out)?;
        }
        if let Some(logs) = &done.logs {
            line("logs", *logs, "", out)?;
        }
        if let Some(quarantine) = &done.quarantine {
            writeln!(out, "  moved     to {quarantine} in the host's directory")?;
        }
        if let Some(configuration) = &done.configuration {
            writeln!(
                out,
                "  sysconf   of the source: {} (not put in place)",
                printable(&configuration.display().to_string())
            )?;
        }
        Ok(())
    }
}

/// That a set holds nothing of what was asked for.
fn nothing_of(set: &str, ty: RepositoryType) -> String {
    format!("nothing was restored, for set {set} holds no files of {ty}/")
}

/// What a restore leaves out.
fn but_for(files: Option<&Restored>) -> String {
    let (lost, unwritten) = files.map_or((0, 0), |files| (files.lost.files, files.unwritten.files));
    let left = match lost + unwritten {
        0 => return String::new(),
        left => format!(" but for {}", counted(left, "file")),
    };
    if unwritten == 0 {
        let unreached = files.map_or(0, |files| files.unreached.files);
        return match unreached {
            0 => left,
            unreached if unreached == lost => format!("{left} (not fetched: no URL answered)"),
            unreached => format!("{left} (of {} no URL answered)", grouped(unreached)),
        };
    }
    format!(
        "{left} ({} could not be put in place: mend that, and run the same command again)",
        grouped(unwritten)
    )
}

/// How many rows there are of what people know.
fn rows(database: &database::Outcome) -> String {
    let rows = |table, thing| counted(database.rows.get(table).copied().unwrap_or(0), thing);
    format!(
        "{}, {}, {}",
        rows("upload", "upload"),
        rows("pfile", "pfile"),
        rows("uploadtree", "tree row")
    )
}

/// What a run would do to the database.
fn planned(database: &database::Outcome, out: &mut dyn Write) -> io::Result<()> {
    let what = match (database.resumed, database.created) {
        (true, _) => "is restored already, by an earlier run",
        (false, true) => "would be made",
        (false, false) => "is empty, and would be filled",
    };
    let name = printable(&database.database);
    writeln!(out, "  database  {name} {what}: {}", rows(database))?;
    if let Some(kept) = &database.kept {
        writeln!(
            out,
            "            the one that is there now would be renamed to {}",
            printable(kept)
        )?;
    }
    Ok(())
}

/// What was done to the database.
fn filled(database: &database::Outcome, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "  restored  database {}{}: {}",
        printable(&database.database),
        if database.resumed {
            " (by an earlier run)"
        } else {
            ""
        },
        rows(database)
    )?;
    if let Some(kept) = &database.kept {
        let kept = printable(kept);
        writeln!(
            out,
            "            the former one is {kept} now; to drop it: dropdb {kept}"
        )?;
    }
    if !database.roles_missing.is_empty() {
        writeln!(
            out,
            "  roles     not there: {}",
            printable(&database.roles_missing.join(", "))
        )?;
    }
    writeln!(
        out,
        "  rights    belong to FOSSology's role alone: give other roles theirs again (GRANT)"
    )
}

/// What the restored rows would do, and what they name.
fn of_queue_and_paths(
    database: &database::Outcome,
    done: &Done,
    out: &mut dyn Write,
) -> io::Result<()> {
    let Done {
        source_repository,
        dry_run,
        ..
    } = done;
    let here = done.repository.as_ref();
    jobs(
        "jobs      the scheduler runs these again when it starts:",
        &database.open_jobs,
        out,
    )?;
    let held = if *dry_run {
        "held      pending deletions, which would not run:"
    } else {
        "held      pending deletions, which do not run:"
    };
    jobs(held, &database.held, out)?;
    if let Some(journal) = &database.journal {
        writeln!(
            out,
            "            what their rows held: {}",
            printable(&journal.display().to_string())
        )?;
    }
    let paths = database.paths.logs + database.paths.reports;
    let source = printable(source_repository);
    let name = if paths == 1 { "names" } else { "name" };
    if paths > 0 && database.paths_rewritten {
        writeln!(
            out,
            "  paths     {} that named files below {source} {name} the new place now",
            counted(paths, "row")
        )?;
    } else if paths > 0 && here.is_some_and(|here| here != source_repository) {
        writeln!(
            out,
            "  paths     {} {name} files below {source}, which is not where the repository is now;\n            \
             to have the new place named: the same command with --rewrite-paths --clean",
            counted(paths, "row")
        )?;
    }
    Ok(())
}

fn jobs(what: &str, jobs: &[database::OpenJob], out: &mut dyn Write) -> io::Result<()> {
    if jobs.is_empty() {
        return Ok(());
    }
    writeln!(out, "  {what}")?;
    for job in jobs.iter().take(MOST_JOBS) {
        let upload = job
            .upload
            .map(|upload| format!(", upload {upload}"))
            .unwrap_or_default();
        writeln!(
            out,
            "            {}: {}{upload}",
            job.jq_pk,
            printable(&job.agent)
        )?;
    }
    if jobs.len() > MOST_JOBS {
        writeln!(out, "            and {} more", jobs.len() - MOST_JOBS)?;
    }
    Ok(())
}

fn of_files(files: &Restored, done: &Done, out: &mut dyn Write) -> io::Result<()> {
    let dry_run = done.dry_run;
    let both = [
        (
            files.copied,
            ("copied", " out of the store"),
            ("copy", " would be copied out of the store"),
        ),
        (
            files.fetched,
            ("fetched", " from their URLs"),
            ("fetch", " would be fetched from their URLs (not tried)"),
        ),
        (
            files.taken_from_tree,
            (
                "taken",
                " from elsewhere in the repository: the store's are damaged or not there",
            ),
            (
                "take",
                " would be taken from elsewhere in the repository: the store's are not there",
            ),
        ),
        (
            files.linked,
            ("linked", " to contents that stand there"),
            ("link", " would be linked to contents that stand there then"),
        ),
        (
            files.kept,
            ("kept", " that stood in their place and are good"),
            ("keep", " stand in their place and are good"),
        ),
    ];
    for (at, (amount, done, planned)) in both.into_iter().enumerate() {
        let (what, why) = if dry_run { planned } else { done };
        if at == 0 || amount.files > 0 {
            line(what, amount, why, out)?;
        }
    }
    if dry_run && files.quarantined > 0 {
        writeln!(
            out,
            "  move      {} in their places would go to the quarantine",
            counted(files.quarantined, "bad file")
        )?;
    }
    let not_had = Amount {
        files: files.lost.files - files.unreached.files,
        bytes: files.lost.bytes - files.unreached.bytes,
    };
    if not_had.files > 0 {
        line(
            "not had",
            not_had,
            " could not be had: neither the store nor a URL gives them",
            out,
        )?;
    }
    if files.unreached.files > 0 {
        let why = " whose URLs did not answer: when the network is back, type";
        line("unreached", files.unreached, why, out)?;
        writeln!(out, "            {}", again(done))?;
    }
    if files.unwritten.files > 0 {
        let why = " could not be put in their place";
        line("unwritten", files.unwritten, why, out)?;
    }
    Ok(())
}

/// How to bring back what could not be fetched. The database is there by then, and is refused.
fn again(done: &Done) -> String {
    match &done.database {
        Some(_) => format!("fogold restore STORE {} --only gold,files", done.set),
        None => "the same command again".to_owned(),
    }
}

fn line(what: &str, amount: Amount, why: &str, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "  {what:<9} {}, {}{why}",
        counted(amount.files, "file"),
        bytes_for_people(amount.bytes)
    )
}
