//! The report for people: the verdict first, then a table, then the findings, the worst first, then
//! what to do about them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::Path;

use super::backup::MEND_WITHOUT_GOLD;
use super::number::{bytes_for_people, counted, grouped};
use super::repair;
use super::{LookedAt, Report, ReportCatalog, ReportCoverage, ReportError};
use crate::catalog::Amount;
use crate::check::{Finding, Kind, Recovery, Severity, Spool, Tally};
use crate::sysconf::RepositoryType;

/// At most so many findings of a kind are printed.
const MOST_OF_A_KIND: usize = 20;

/// How text may look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Colours, as terminals understand them.
    pub color: bool,
}

impl Style {
    fn paint(self, severity: Option<Severity>, text: &str) -> String {
        if !self.color {
            return text.to_owned();
        }
        let code = match severity {
            Some(Severity::Loss) => "1;31",
            Some(Severity::Recoverable) => "33",
            Some(Severity::Waste | Severity::Notice) => "36",
            None => "1;32",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

pub(super) fn write(
    report: &Report,
    findings: Option<&Spool>,
    style: Style,
    out: &mut dyn Write,
) -> Result<(), ReportError> {
    let tallies = findings.map(Spool::tallies).unwrap_or_default();
    let worst = tallies.first().map(|(severity, ..)| *severity);
    let color = match worst {
        Some(Severity::Waste | Severity::Notice) | None if report.complete => None,
        None => Some(Severity::Recoverable),
        worst => worst,
    };
    writeln!(out, "{}", style.paint(color, &printable(&report.verdict)))?;
    match &report.coverage {
        LookedAt::Repository(coverage) => {
            if let Some(catalog) = &report.catalog {
                looked_at(coverage, catalog, out)?;
            }
        }
        LookedAt::Store(coverage) => coverage.write(out)?,
        LookedAt::NewSet(new) => new.write(out)?,
        LookedAt::Drilled(drilled) => drilled.write(out)?,
        LookedAt::Repaired(repaired) => {
            if let Some(catalog) = &report.catalog {
                looked_at(&repaired.coverage, catalog, out)?;
            }
            repaired.repair.write(out)?;
        }
        LookedAt::Restored(restored) => {
            restored.write(out)?;
            if let (Some(after), Some(catalog)) = (&restored.after, &report.catalog) {
                looked_at(after, catalog, out)?;
            }
        }
    }
    let Some(findings) = findings else {
        return Ok(());
    };
    if tallies.is_empty() {
        return Ok(());
    }
    table(&tallies, style, out)?;
    let mut kinds = kinds_worst_first(&tallies);
    if let LookedAt::Drilled(drilled) = &report.coverage {
        kinds.retain(|kind| !drilled.is_expected(*kind));
    }
    for kind in &kinds {
        of_kind(*kind, &tallies, findings, report, style, out)?;
    }
    if let LookedAt::Drilled(drilled) = &report.coverage {
        for (number, line) in drilled.what_to_do().into_iter().enumerate() {
            let heading = if number == 0 { "\nWhat to do\n" } else { "" };
            writeln!(out, "{heading}  {line}")?;
        }
        return Ok(());
    }
    writeln!(out, "\nWhat to do")?;
    if let LookedAt::Store(coverage) = &report.coverage {
        coverage.what_to_do(out)?;
        return Ok(());
    }
    if let LookedAt::NewSet(new) = &report.coverage
        && new.without_gold().files > 0
    {
        writeln!(out, "  derived files without gold: {MEND_WITHOUT_GOLD}")?;
    }
    if let LookedAt::Repaired(repaired) = &report.coverage {
        repaired.repair.what_to_do(out)?;
        kinds.retain(|kind| repaired.repair.applied && repaired.repair.leaves(*kind));
    }
    for kind in kinds {
        writeln!(out, "  {kind}: {}", kind.mend())?;
        if let Some(command) = copy_command(kind, &tallies, findings, report)? {
            writeln!(out, "    {command}")?;
        }
    }
    Ok(())
}

/// The command that mends the first finding of a kind that a copy or a store can mend.
fn copy_command(
    kind: Kind,
    tallies: &[(Severity, Kind, Tally)],
    findings: &Spool,
    report: &Report,
) -> Result<Option<String>, ReportError> {
    let Some(coverage) = report.coverage.repository() else {
        return Ok(None);
    };
    for (severity, ..) in tallies.iter().filter(|(_, other, _)| *other == kind) {
        for finding in findings.first(*severity, kind, MOST_OF_A_KIND)? {
            if let (Some(Recovery::Backup), Some(source)) = (finding.recovery, &finding.source) {
                // STORE/pool/aa/bb/<name>
                let store = Path::new(source)
                    .ancestors()
                    .nth(4)
                    .unwrap_or(Path::new("STORE"));
                let only = finding.ty.map_or("files", RepositoryType::as_str);
                return Ok(Some(format!(
                    "as root: fogold restore {} --only {only}",
                    quoted(&store.display().to_string())
                )));
            }
            if finding.recovery == Some(Recovery::Copy) {
                let verify = if coverage.verify { " --verify" } else { "" };
                return Ok(Some(format!(
                    "as FOSSology's user: fogold repair{verify} --only put-back --apply"
                )));
            }
        }
    }
    Ok(None)
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = word
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"/._-+:@%".contains(&byte));
    if is_plain {
        word.to_owned()
    } else {
        printable(&format!("'{}'", word.replace('\'', "'\\''")))
    }
}

fn looked_at(
    coverage: &ReportCoverage,
    catalog: &ReportCatalog,
    out: &mut dyn Write,
) -> io::Result<()> {
    tree(&coverage.repository, coverage.depth, &coverage.listed, out)?;
    writeln!(
        out,
        "  database  {}: {}, {}, {}",
        printable(&catalog.origin),
        counted(catalog.uploads, "upload"),
        counted(catalog.pfiles, "pfile"),
        counted(catalog.tree_rows, "tree row")
    )?;
    if coverage.verify {
        read(coverage.read, out)?;
    }
    Ok(())
}

/// What was listed of a repository.
pub(super) fn tree(
    repository: &str,
    depth: usize,
    listed: &BTreeMap<&str, Amount>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let listed: Vec<String> = listed
        .iter()
        .filter(|(_, amount)| amount.files > 0)
        .map(|(ty, amount)| {
            format!(
                "{} in {ty} ({})",
                grouped(amount.files),
                bytes_for_people(amount.bytes)
            )
        })
        .collect();
    writeln!(
        out,
        "  tree      {} (depth {depth}): {}",
        printable(repository),
        listed.join("; ")
    )
}

/// Whose contents were read.
pub(super) fn read(amount: Amount, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "  read      {}, {}",
        counted(amount.files, "file"),
        bytes_for_people(amount.bytes)
    )
}

fn table(tallies: &[(Severity, Kind, Tally)], style: Style, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "\n  {:<22} {:<12} {:>12} {:>12}",
        "kind", "severity", "findings", "bytes"
    )?;
    for (severity, kind, tally) in tallies {
        let name = format!("{:<12}", severity.as_str());
        writeln!(
            out,
            "  {:<22} {} {:>12} {:>12}",
            kind.as_str(),
            style.paint(Some(*severity), &name),
            grouped(tally.findings),
            bytes_for_people(tally.bytes)
        )?;
    }
    Ok(())
}

fn kinds_worst_first(tallies: &[(Severity, Kind, Tally)]) -> Vec<Kind> {
    let mut seen = BTreeSet::new();
    tallies
        .iter()
        .map(|(_, kind, _)| *kind)
        .filter(|kind| seen.insert(*kind))
        .collect()
}

fn of_kind(
    kind: Kind,
    tallies: &[(Severity, Kind, Tally)],
    findings: &Spool,
    report: &Report,
    style: Style,
    out: &mut dyn Write,
) -> Result<(), ReportError> {
    writeln!(out, "\n{kind}")?;
    let mut printed = 0;
    let mut total = 0;
    for (severity, _, tally) in tallies.iter().filter(|(_, other, _)| *other == kind) {
        total += tally.findings;
        for finding in findings.first(*severity, kind, MOST_OF_A_KIND - printed)? {
            printed += 1;
            let name = format!("{:<11}", severity.as_str());
            write!(out, "  {} ", style.paint(Some(*severity), &name))?;
            writeln!(out, "{}", line(&finding, report))?;
        }
    }
    let more = total - printed as u64;
    if more > 0 {
        writeln!(out, "  and {} more: --format ndjson", grouped(more))?;
    }
    Ok(())
}

/// What a person needs to know of a finding, on one line.
fn line(finding: &Finding, report: &Report) -> String {
    let subject = finding.path.clone().or_else(|| finding.name.clone());
    let mut parts: Vec<String> = Vec::new();
    match (subject, finding.pfile) {
        (Some(subject), Some(pfile)) if finding.kind == Kind::WrongSha256 => {
            parts.push(format!("{subject}; pfile {pfile}"));
        }
        (Some(subject), _) => parts.push(subject),
        (None, Some(pfile)) => parts.push(format!("pfile {pfile}")),
        (None, None) => {}
    }
    if let Some(uploads) = finding.uploads.as_deref().filter(|ids| !ids.is_empty()) {
        // The line of an upload's own fault names it already.
        let with_names = finding.path.is_some();
        let shown: Vec<String> = uploads
            .iter()
            .take(3)
            .map(|id| match report.upload_names.get(id) {
                Some(name) if with_names => format!("{id} ({name})"),
                _ => id.to_string(),
            })
            .collect();
        let total = finding.uploads_total.unwrap_or(uploads.len() as u64);
        let more = total.saturating_sub(shown.len() as u64);
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        let word = if total == 1 { "upload" } else { "uploads" };
        parts.push(format!("{word} {}{more}", shown.join(", ")));
    }
    if let Some(mending) = repair::mending(finding) {
        parts.push(mending);
    } else if let Some(recovery) = finding.recovery {
        let source = finding.source.as_deref().or(finding.url.as_deref());
        parts.push(match source {
            Some(source) => format!("recovery: {} from {source}", recovery.as_str()),
            None => format!("recovery: {}", recovery.as_str()),
        });
    }
    parts.extend(finding.detail.clone());
    printable(&parts.join("; "))
}

/// Text without control characters: a name may hold line ends and terminal codes, and marks that
/// turn the direction of writing and so make a line read as another.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        let turns = matches!(
            character,
            '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        );
        if character.is_control() || turns {
            shown.push_str(&character.escape_default().to_string());
        } else {
            shown.push(character);
        }
    }
    shown
}
