//! What has changed since the last report that can be held against this one.

use std::collections::BTreeSet;

use serde::Serialize;

use super::moment;
use crate::check::Kind;
use crate::report::history::{History, Run};
use crate::report::number::{bytes_for_people, grouped};

#[derive(Serialize)]
pub(super) struct Changes<'a> {
    when: String,
    /// The verdict of then.
    before: &'a str,
    kinds: Vec<Change>,
    /// How the repository has grown.
    grown: Option<String>,
    /// Other contents were read then, so that what only reading shows need not have changed.
    other_contents: bool,
}

/// A kind of which there are more or fewer findings.
#[derive(Serialize)]
pub(super) struct Change {
    kind: String,
    before: u64,
    now: u64,
    /// With its sign.
    by: String,
    more: bool,
}

/// What has changed; nothing, when there is no report before.
pub(super) fn since<'a>(history: &'a History, now: &Run) -> Option<Changes<'a>> {
    let before = history.last_like(now)?;
    Some(Changes {
        when: moment(&before.started),
        before: &before.verdict,
        kinds: kinds(before, now),
        grown: grown(before, now),
        other_contents: before.slice != now.slice,
    })
}

/// In the order of [`Kind::ALL`]; what this program does not know comes last.
fn kinds(before: &Run, now: &Run) -> Vec<Change> {
    let known = Kind::ALL.iter().map(|kind| kind.as_str());
    let all: BTreeSet<&str> = [before, now]
        .iter()
        .flat_map(|run| run.counts.keys().map(String::as_str))
        .collect();
    let unknown = all
        .iter()
        .copied()
        .filter(|kind| !known.clone().any(|known| known == *kind));
    known
        .clone()
        .chain(unknown)
        .filter_map(|kind| {
            let count = |run: &Run| run.counts.get(kind).copied().unwrap_or(0);
            let (before, now) = (count(before), count(now));
            (before != now).then(|| Change {
                kind: kind.to_owned(),
                before,
                now,
                by: signed(before, now, grouped),
                more: now > before,
            })
        })
        .collect()
}

/// A difference with its sign.
fn signed(before: u64, now: u64, text: impl Fn(u64) -> String) -> String {
    let sign = if now < before { '\u{2212}' } else { '+' };
    format!("{sign}{}", text(now.abs_diff(before)))
}

fn grown(before: &Run, now: &Run) -> Option<String> {
    let sum = |run: &Run| {
        run.listed.values().fold((0, 0), |(files, bytes), amount| {
            (files + amount.files, bytes + amount.bytes)
        })
    };
    let ((files, bytes), (files_now, bytes_now)) = (sum(before), sum(now));
    (files > 0 && (files, bytes) != (files_now, bytes_now)).then(|| {
        format!(
            "{} files, {}",
            signed(files, files_now, grouped),
            signed(bytes, bytes_now, bytes_for_people)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_that_became_more_or_fewer_are_named() {
        let run = |counts: &[(&str, u64)]| Run {
            judged: true,
            complete: true,
            counts: counts
                .iter()
                .map(|(kind, count)| ((*kind).to_owned(), *count))
                .collect(),
            ..Run::default()
        };
        let history = History {
            runs: vec![run(&[("orphan", 2_500), ("corrupt", 1), ("misplaced", 4)])],
            ..History::default()
        };
        let now = run(&[("missing-gold", 3), ("misplaced", 4), ("orphan", 500)]);
        let changes = since(&history, &now).expect("a report before");
        let said: Vec<(&str, &str)> = changes
            .kinds
            .iter()
            .map(|change| (&*change.kind, &*change.by))
            .collect();
        assert_eq!(
            said,
            [
                ("missing-gold", "+3"),
                ("corrupt", "\u{2212}1"),
                ("orphan", "\u{2212}2,000")
            ]
        );
        assert!(since(&History::default(), &now).is_none());
    }
}
