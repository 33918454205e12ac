//! Findings by kind, the worst first, as far as there is room.

use serde::Serialize;

use super::bars::Seen;
use crate::check::{Finding, Kind, Severity, Spool, Tally};
use crate::report::advice::{Advice, what_to_do};
use crate::report::number::bytes_for_people;
use crate::report::repair::mending;
use crate::report::text::{kinds_worst_first, printable, recovery, subject, uploads};
use crate::report::{LookedAt, Report, ReportError};

/// At most so many findings of a kind are shown.
const MOST_OF_A_KIND: usize = 500;

/// At most so many accepted findings of a kind are shown.
const MOST_ACCEPTED: usize = 20;

/// So many of them at most can be seen without a click.
const MOST_OPEN: usize = 10;

/// What all findings together may take in the page, escaped.
const ROOM: usize = 3 << 20;

/// What is around the texts of a finding.
const AROUND: usize = 180;

/// A text is cut at so many characters: a name may be as long as whoever made it liked.
const LONGEST: usize = 400;

/// So many uploads are listed.
const MOST_UPLOADS: usize = 10;

#[derive(Default, Serialize)]
pub(super) struct Findings {
    /// A row for each severity and kind.
    table: Vec<Row>,
    /// What is counted is what a repair found; what it has left is counted beside it.
    is_repaired: bool,
    kinds: Vec<OfKind>,
    accepted: Vec<Accepted>,
    uploads: Vec<Concerned>,
    uploads_more: usize,
    /// What to do about all findings together.
    advice: Vec<ToDo>,
}

#[derive(Serialize)]
struct ToDo {
    text: String,
    command: Option<String>,
}

/// Accepted findings of a kind.
#[derive(Serialize)]
struct Accepted {
    kind: Kind,
    table: Vec<Row>,
    count: u64,
    shown: Vec<Shown>,
    more: u64,
}

#[derive(Serialize)]
struct Row {
    kind: Kind,
    severity: Severity,
    count: u64,
    left: u64,
    bytes: String,
}

#[derive(Serialize)]
struct OfKind {
    kind: Kind,
    severity: Severity,
    count: u64,
    left: u64,
    meaning: &'static str,
    to_do: Vec<ToDo>,
    /// It can be seen without a click: short, and bad.
    open: bool,
    shown: Vec<Shown>,
    more: u64,
}

#[derive(Serialize)]
struct Shown {
    severity: Severity,
    subject: String,
    uploads: String,
    recovery: String,
    detail: String,
    /// Why it was accepted.
    reason: String,
}

/// An upload that findings concern.
#[derive(Serialize)]
struct Concerned {
    id: i32,
    name: String,
    lost: u64,
    to_recover: u64,
}

pub(super) fn of(
    report: &Report,
    spool: Option<&Spool>,
    seen: &Seen,
) -> Result<Findings, ReportError> {
    let Some(spool) = spool else {
        return Ok(Findings::default());
    };
    let tallies = spool.tallies();
    let mut advice = what_to_do(report, spool)?;
    let mut room = ROOM;
    let mut kinds = Vec::new();
    for kind in kinds_worst_first(&tallies) {
        if let LookedAt::Drilled(drilled) = &report.coverage
            && drilled.is_expected(kind)
        {
            continue;
        }
        let mut of_kind = OfKind::of(kind, &tallies, spool, report, &mut room)?;
        let is_own = |each: &mut Advice| each.about.as_deref() == Some(kind.as_str());
        let own = advice.extract_if(.., is_own);
        of_kind.to_do = own.map(|each| ToDo::of(None, each)).collect();
        kinds.push(of_kind);
    }
    let accepted = spool.accepted();
    let accepted = kinds_worst_first(&accepted)
        .into_iter()
        .map(|kind| Accepted::of(kind, &accepted, spool, report, &mut room))
        .collect::<Result<_, _>>()?;
    let (uploads, uploads_more) = concerned(report, seen);
    let rest = advice
        .into_iter()
        .map(|mut each| ToDo::of(each.about.take(), each));
    Ok(Findings {
        table: tallies.iter().map(|row| Row::of(row, report)).collect(),
        is_repaired: report.left().is_some(),
        kinds,
        accepted,
        uploads,
        uploads_more,
        advice: rest.collect(),
    })
}

impl ToDo {
    fn of(about: Option<String>, advice: Advice) -> ToDo {
        let about = about.map_or_else(String::new, |about| about + ": ");
        ToDo {
            text: about + &advice.text,
            command: advice.command,
        }
    }
}

impl Row {
    fn of((severity, kind, tally): &(Severity, Kind, Tally), report: &Report) -> Row {
        let left = report.left();
        Row {
            kind: *kind,
            severity: *severity,
            count: tally.findings,
            left: left.map_or(tally.findings, |left| left.findings(*severity, *kind)),
            bytes: bytes_for_people(tally.bytes),
        }
    }
}

impl Accepted {
    fn of(
        kind: Kind,
        tallies: &[(Severity, Kind, Tally)],
        spool: &Spool,
        report: &Report,
        room: &mut usize,
    ) -> Result<Accepted, ReportError> {
        let own = || tallies.iter().filter(|(_, other, _)| *other == kind);
        let mut shown = Vec::new();
        for (severity, ..) in own() {
            let most = MOST_ACCEPTED - shown.len();
            let some = spool.first_accepted(*severity, kind, most)?;
            take(&mut shown, &some, report, room);
        }
        let count: u64 = own().map(|(.., tally)| tally.findings).sum();
        Ok(Accepted {
            kind,
            table: own().map(|row| Row::of(row, report)).collect(),
            count,
            more: count - shown.len() as u64,
            shown,
        })
    }
}

/// Takes as many findings as there is room for.
fn take(shown: &mut Vec<Shown>, findings: &[Finding], report: &Report, room: &mut usize) {
    for finding in findings {
        let one = Shown::of(finding, report);
        let Some(rest) = room.checked_sub(one.length()) else {
            return;
        };
        *room = rest;
        shown.push(one);
    }
}

impl OfKind {
    /// Takes as many findings of a kind as there is room for.
    fn of(
        kind: Kind,
        tallies: &[(Severity, Kind, Tally)],
        spool: &Spool,
        report: &Report,
        room: &mut usize,
    ) -> Result<OfKind, ReportError> {
        let own = || tallies.iter().filter(|(_, other, _)| *other == kind);
        let mut shown = Vec::new();
        for (severity, ..) in own() {
            let some = spool.first(*severity, kind, MOST_OF_A_KIND - shown.len())?;
            take(&mut shown, &some, report, room);
        }
        let worst = own().next().map(|(severity, ..)| *severity);
        let count = own().map(|(.., tally)| tally.findings).sum();
        let left = own().map(|row| Row::of(row, report).left).sum();
        Ok(OfKind {
            kind,
            severity: worst.unwrap_or(Severity::Notice),
            open: left > 0 && worst == Some(Severity::Loss) && shown.len() <= MOST_OPEN,
            count,
            left,
            meaning: kind.meaning(),
            to_do: Vec::new(),
            more: count - shown.len() as u64,
            shown,
        })
    }
}

impl Shown {
    fn of(finding: &Finding, report: &Report) -> Shown {
        let cut = |text: Option<String>| text.map_or_else(String::new, |text| cut(&text));
        Shown {
            severity: finding.severity,
            subject: cut(subject(finding)),
            uploads: cut(uploads(finding, report)),
            recovery: cut(mending(finding).or_else(|| recovery(finding))),
            detail: cut(finding.detail.clone()),
            reason: cut(finding.reason.clone()),
        }
    }

    /// What it takes in the page.
    fn length(&self) -> usize {
        let texts = [
            &self.subject,
            &self.uploads,
            &self.recovery,
            &self.detail,
            &self.reason,
        ];
        AROUND
            + texts
                .into_iter()
                .map(|text| escaped_length(text))
                .sum::<usize>()
    }
}

/// A text as it can be shown, and not longer than it has to be.
fn cut(text: &str) -> String {
    let text = printable(text);
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// How long a text is as HTML.
fn escaped_length(text: &str) -> usize {
    text.chars()
        .map(|character| match character {
            '<' | '>' | '&' | '"' | '\'' | '/' => "&quot;".len(),
            other => other.len_utf8(),
        })
        .sum()
}

/// Uploads that lost something or have to get something back, those with the most losses first.
fn concerned(report: &Report, seen: &Seen) -> (Vec<Concerned>, usize) {
    let mut all: Vec<Concerned> = seen
        .uploads
        .iter()
        .map(|(id, (lost, to_recover))| Concerned {
            id: *id,
            name: report
                .upload_names
                .get(id)
                .map_or_else(String::new, |name| cut(name)),
            lost: *lost,
            to_recover: *to_recover,
        })
        .collect();
    all.sort_by_key(|each| (u64::MAX - each.lost, u64::MAX - each.to_recover, each.id));
    let more = all.len().saturating_sub(MOST_UPLOADS);
    all.truncate(MOST_UPLOADS);
    (all, more)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters() {
        let long = "ü<".repeat(LONGEST);
        let cut = cut(&long);
        assert_eq!(cut.chars().count(), LONGEST + 1);
        assert!(cut.ends_with('…'));
        assert!(escaped_length("</é>") >= "&lt;&#x2f;é&gt;".len());
    }
}
