//! What is said of an undo, and of emptying the quarantine: these have no findings.

use std::io::Write;

use serde::Serialize;

use super::Arguments;
use crate::cli::error::Failure;
use crate::cli::{Global, exit};
use crate::recover::repair::empty::Emptied;
use crate::recover::repair::undo::Undone;
use crate::report::{bytes_for_people, counted, grouped, printable};

/// What is said to programs of a run that has no findings.
#[derive(Serialize)]
struct ShortReport<'a> {
    tool: &'static str,
    version: &'static str,
    command: &'static str,
    verdict: String,
    exit_status: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    undo: Option<&'a Undone>,
    #[serde(skip_serializing_if = "Option::is_none")]
    emptied: Option<&'a Emptied>,
}

impl ShortReport<'_> {
    fn of(verdict: String, exit_status: u8) -> ShortReport<'static> {
        ShortReport {
            tool: "fogold",
            version: env!("CARGO_PKG_VERSION"),
            command: "repair",
            verdict,
            exit_status,
            undo: None,
            emptied: None,
        }
    }

    /// Prints it for programs; or, for people, the verdict and these lines.
    fn print(
        &self,
        global: &Global,
        arguments: &Arguments,
        lines: &[String],
    ) -> Result<u8, Failure> {
        if global.quiet && self.exit_status == exit::DONE {
            return Ok(self.exit_status);
        }
        let mut out = std::io::stdout().lock();
        if arguments.output.is_for_programs() {
            serde_json::to_writer(&mut out, self).map_err(std::io::Error::from)?;
            writeln!(out)?;
        } else {
            writeln!(out, "{}", self.verdict)?;
            for line in lines {
                writeln!(out, "  {}", printable(line))?;
            }
        }
        Ok(self.exit_status)
    }
}

/// Says what came of emptying the quarantine.
pub(super) fn tell_emptied(
    global: &Global,
    arguments: &Arguments,
    emptied: &Emptied,
) -> Result<u8, Failure> {
    let is_partial = emptied.stopped || emptied.failed > 0;
    let status = match &emptied.refused {
        Some(_) => exit::FINDINGS,
        None if is_partial => exit::WORLD,
        None => exit::DONE,
    };
    let files = counted(emptied.deleted.files, "file");
    let bytes = bytes_for_people(emptied.deleted.bytes);
    let verdict = match (&emptied.refused, emptied.applied) {
        (Some(why), _) => format!("REFUSED: nothing was deleted: {why}"),
        (None, false) => format!("PLAN: {files} ({bytes}) would be deleted (--apply does it)"),
        (None, true) if is_partial => format!("INCOMPLETE: {files} ({bytes}) deleted"),
        (None, true) => format!("OK: {files} ({bytes}) deleted"),
    };
    let stay = [
        ("too young", emptied.too_young.files),
        (
            "no good copy of them is where it belongs, or the check found something that they may mend",
            emptied.needed.files,
        ),
        ("cannot be deleted", emptied.failed),
    ];
    let lines: Vec<String> = stay
        .into_iter()
        .filter(|(_, files)| *files > 0)
        .map(|(why, files)| format!("{} in the quarantine: {why}", counted(files, "more file")))
        .collect();
    let report = ShortReport {
        emptied: Some(emptied),
        ..ShortReport::of(verdict, status)
    };
    report.print(global, arguments, &lines)
}

/// Says what came of an undo.
pub(super) fn tell_undone(
    global: &Global,
    arguments: &Arguments,
    undone: &Undone,
) -> Result<u8, Failure> {
    let status = match (&undone.trouble, undone.left) {
        (Some(_), _) => exit::WORLD,
        (None, 0) => exit::DONE,
        (None, _) => exit::FINDINGS,
    };
    let trouble = undone.trouble.iter();
    let trouble = trouble.map(|why| format!("the end was not reached: {why}"));
    let left = undone.named.iter();
    let left = left.map(|left| format!("left: {}: {}", left.path, left.why));
    let lines: Vec<String> = trouble.chain(left).collect();
    let report = ShortReport {
        undo: Some(undone),
        ..ShortReport::of(verdict(undone), status)
    };
    report.print(global, arguments, &lines)
}

/// One sentence: what was taken back?
fn verdict(undone: &Undone) -> String {
    let steps = format!(
        "{} of {} of run {}",
        grouped(undone.undone),
        counted(undone.steps, "step"),
        printable(&undone.run)
    );
    match (undone.applied, undone.left) {
        (false, 0) => format!("PLAN: {steps} would be taken back (--apply does it)"),
        (false, left) => format!(
            "PLAN: {steps} would be taken back (--apply does it), {} left",
            grouped(left)
        ),
        (true, 0) if undone.trouble.is_none() => format!("OK: {steps} are taken back"),
        (true, left) => format!("NOT ALL: {steps} are taken back, {} left", grouped(left)),
    }
}
