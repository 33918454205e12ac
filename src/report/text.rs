//! The report for people: the verdict first, then a table, then the findings, the worst first, then
//! what to do about them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use super::advice::what_to_do;
use super::number::{bytes_for_people, counted, grouped};
use super::repair;
use super::{LookedAt, Report, ReportCatalog, ReportCoverage, ReportError};
use crate::catalog::Amount;
use crate::check::{Finding, Kind, Severity, Spool, Tally};

/// At most so many findings of a kind are printed.
const MOST_OF_A_KIND: usize = 20;

/// How text may look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Colours, as terminals understand them.
    pub color: bool,
    /// Accepted findings are listed too.
    pub accepted: bool,
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
    coverage(report, out)?;
    if let LookedAt::Repaired(repaired) = &report.coverage {
        repaired.repair.write(out)?;
    }
    if let Some(accepted) = &report.accepted {
        accepted.write(style.accepted, out)?;
    }
    let Some(findings) = findings else {
        return Ok(());
    };
    if tallies.is_empty() {
        return list_accepted(findings, report, style, out);
    }
    table(&tallies, report, style, out)?;
    let mut kinds = kinds_worst_first(&tallies);
    if let LookedAt::Drilled(drilled) = &report.coverage {
        kinds.retain(|kind| !drilled.is_expected(*kind));
    }
    for kind in &kinds {
        of_kind(*kind, &tallies, findings, report, style, out)?;
    }
    list_accepted(findings, report, style, out)?;
    for (number, advice) in what_to_do(report, findings)?.into_iter().enumerate() {
        let heading = if number == 0 { "\nWhat to do\n" } else { "" };
        let about = advice.about.map_or(String::new(), |about| about + ": ");
        writeln!(out, "{heading}  {about}{}", advice.text)?;
        if let Some(command) = advice.command {
            writeln!(out, "    {command}")?;
        }
    }
    Ok(())
}

/// What was looked at, or done; what a repair did is told apart.
pub(super) fn coverage(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    match &report.coverage {
        LookedAt::Repository(coverage) => {
            if let Some(catalog) = &report.catalog {
                looked_at(coverage, catalog, out)?;
            }
        }
        LookedAt::Store(coverage) => coverage.write(out)?,
        LookedAt::NewSet(new) => new.write(out)?,
        LookedAt::Drilled(drilled) => drilled.write(out)?,
        LookedAt::Manifest(manifest) => manifest.write_coverage(out)?,
        LookedAt::Repaired(repaired) => {
            if let Some(catalog) = &report.catalog {
                looked_at(&repaired.coverage, catalog, out)?;
            }
        }
        LookedAt::Restored(restored) => {
            restored.write(out)?;
            if let (Some(after), Some(catalog)) = (&restored.after, &report.catalog) {
                looked_at(after, catalog, out)?;
            }
        }
    }
    Ok(())
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
    if let Some(ledger) = &coverage.ledger {
        let now = match coverage.max_seconds {
            Some(_) => format!(
                "contents of {} of 256 shards read now; ",
                coverage.shards_read
            ),
            None => String::new(),
        };
        writeln!(out, "  ledger    {now}{}", ledger.for_people())?;
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

/// Findings by kind; after a repair, those that were found, and how many of them are left.
fn table(
    tallies: &[(Severity, Kind, Tally)],
    report: &Report,
    style: Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    let left = report.left();
    let (number, more) = match left {
        Some(_) => ("found", format!(" {:>12}", "left")),
        None => ("findings", String::new()),
    };
    writeln!(
        out,
        "\n  {:<22} {:<12} {number:>12} {:>12}{more}",
        "kind", "severity", "bytes"
    )?;
    for (severity, kind, tally) in tallies {
        let name = format!("{:<12}", severity.as_str());
        let more = left.map_or(String::new(), |left| {
            format!(" {:>12}", grouped(left.findings(*severity, *kind)))
        });
        writeln!(
            out,
            "  {:<22} {} {:>12} {:>12}{more}",
            kind.as_str(),
            style.paint(Some(*severity), &name),
            grouped(tally.findings),
            bytes_for_people(tally.bytes)
        )?;
    }
    Ok(())
}

pub(super) fn kinds_worst_first(tallies: &[(Severity, Kind, Tally)]) -> Vec<Kind> {
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
            of_severity(*severity, &line(&finding, report), style, out)?;
        }
    }
    and_more(total - printed as u64, out)?;
    Ok(())
}

/// The findings that do not count, each with its reason, where that is wanted.
fn list_accepted(
    findings: &Spool,
    report: &Report,
    style: Style,
    out: &mut dyn Write,
) -> Result<(), ReportError> {
    if !style.accepted {
        return Ok(());
    }
    let tallies = findings.accepted();
    for kind in kinds_worst_first(&tallies) {
        writeln!(out, "\n{kind}, accepted")?;
        for (severity, _, tally) in tallies.iter().filter(|(_, other, _)| *other == kind) {
            let shown = findings.first_accepted(*severity, kind, MOST_OF_A_KIND)?;
            for finding in &shown {
                let reason = printable(finding.reason.as_deref().unwrap_or_default());
                let text = format!("{}; accepted: {reason}", line(finding, report));
                of_severity(*severity, &text, style, out)?;
            }
            and_more(tally.findings - shown.len() as u64, out)?;
        }
    }
    Ok(())
}

fn of_severity(
    severity: Severity,
    text: &str,
    style: Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    let name = format!("{:<11}", severity.as_str());
    writeln!(out, "  {} {text}", style.paint(Some(severity), &name))
}

fn and_more(more: u64, out: &mut dyn Write) -> io::Result<()> {
    if more > 0 {
        writeln!(out, "  and {} more: --format ndjson", grouped(more))?;
    }
    Ok(())
}

/// What a person needs to know of a finding, on one line.
fn line(finding: &Finding, report: &Report) -> String {
    let mut parts: Vec<String> = Vec::new();
    parts.extend(subject(finding));
    parts.extend(uploads(finding, report));
    parts.extend(repair::mending(finding).or_else(|| recovery(finding)));
    parts.extend(finding.detail.clone());
    printable(&parts.join("; "))
}

/// The file or row that a finding is about.
pub(super) fn subject(finding: &Finding) -> Option<String> {
    let subject = finding.path.clone().or_else(|| finding.name.clone());
    match (subject, finding.pfile) {
        (Some(subject), Some(pfile)) if finding.kind == Kind::WrongSha256 => {
            Some(format!("{subject}; pfile {pfile}"))
        }
        (Some(subject), _) => Some(subject),
        (None, Some(pfile)) => Some(format!("pfile {pfile}")),
        (None, None) => None,
    }
}

/// The uploads that a finding concerns, with their names.
pub(super) fn uploads(finding: &Finding, report: &Report) -> Option<String> {
    let uploads = finding.uploads.as_deref().filter(|ids| !ids.is_empty())?;
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
    Some(format!("{word} {}{more}", shown.join(", ")))
}

/// How what a finding is about comes back.
pub(super) fn recovery(finding: &Finding) -> Option<String> {
    let recovery = finding.recovery?.as_str();
    let source = finding.source.as_deref().or(finding.url.as_deref());
    Some(match source {
        Some(source) => format!("recovery: {recovery} from {source}"),
        None => format!("recovery: {recovery}"),
    })
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
