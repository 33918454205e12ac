//! How the last runs went, as columns.

use serde::Serialize;

use super::{Level, moment};
use crate::check::Severity;
use crate::report::drill::for_people;
use crate::report::history::{History, Run};
use crate::report::number::{bytes_for_people, grouped};

/// So many runs are shown, this one included.
const MOST: usize = 30;

/// The height of the highest column.
const HEIGHT: u64 = 100;

/// What is there at all can be seen.
const LOWEST: u64 = 4;

#[derive(Serialize)]
pub(super) struct Trend {
    first: String,
    last: String,
    charts: Vec<Chart>,
    runs: Vec<Past>,
}

/// One picture. Its words stand beside it, for it takes any width.
#[derive(Serialize)]
struct Chart {
    title: &'static str,
    /// What the highest column stands for.
    most: String,
    said: String,
    columns: Vec<Column>,
}

/// A run in a picture.
#[derive(Serialize)]
struct Column {
    /// Its place from the left.
    at: usize,
    level: Level,
    parts: Vec<Part>,
}

#[derive(Serialize)]
struct Part {
    class: &'static str,
    top: u64,
    height: u64,
}

/// A run in words.
#[derive(Serialize)]
struct Past {
    when: String,
    level: Level,
    word: String,
    exit_status: u8,
    loss: Option<u64>,
    recoverable: Option<u64>,
    bytes: String,
    took: String,
}

/// The last runs of this kind and this one; nothing, when this is the first.
pub(super) fn of(history: &History, now: &Run) -> Option<Trend> {
    let mut runs = history.line_of(now, MOST - 1);
    let first = moment(&runs.first()?.started);
    runs.push(now);
    let charts = [
        (
            "Lost, and to recover",
            findings as fn(&Run) -> Values,
            grouped as fn(u64) -> String,
        ),
        ("Bytes", size, bytes_for_people),
    ];
    Some(Trend {
        first,
        last: moment(&now.started),
        charts: charts
            .into_iter()
            .filter_map(|(title, values, text)| Chart::of(title, &runs, values, text))
            .collect(),
        runs: runs.iter().rev().map(|run| Past::of(run)).collect(),
    })
}

/// What a column is made of, from below.
type Values = Vec<(&'static str, u64)>;

fn findings(run: &Run) -> Values {
    [Severity::Loss, Severity::Recoverable]
        .into_iter()
        .map(|severity| (severity.as_str(), run.severity(severity.as_str())))
        .collect()
}

fn size(run: &Run) -> Values {
    vec![("size", bytes(run))]
}

/// What the run was about: the set that it made, or the repository.
fn bytes(run: &Run) -> u64 {
    match &run.set {
        Some(set) => set.held.bytes,
        None => run.listed.values().map(|amount| amount.bytes).sum(),
    }
}

impl Chart {
    /// Nothing, when there is nothing to show in any run.
    fn of(
        title: &'static str,
        runs: &[&Run],
        values: fn(&Run) -> Values,
        text: fn(u64) -> String,
    ) -> Option<Chart> {
        let total = |run: &Run| values(run).iter().map(|(_, value)| value).sum::<u64>();
        let most = runs
            .iter()
            .map(|run| total(run))
            .max()
            .filter(|most| *most > 0)?;
        let last = runs.last().map_or(0, |run| total(run));
        let columns = runs.iter().enumerate().map(|(number, run)| Column {
            // New runs are on the right, however few there are.
            at: MOST - runs.len() + number,
            level: Level::of(run),
            parts: stacked(values(run), most),
        });
        Some(Chart {
            title,
            said: format!("at most {}, now {}", text(most), text(last)),
            most: text(most),
            columns: columns.collect(),
        })
    }
}

fn stacked(values: Values, most: u64) -> Vec<Part> {
    let mut top = HEIGHT;
    values
        .into_iter()
        .filter(|(_, value)| *value > 0)
        .map(|(class, value)| {
            let height = u128::from(value) * u128::from(HEIGHT) / u128::from(most);
            let height = u64::try_from(height).unwrap_or(HEIGHT).max(LOWEST).min(top);
            top -= height;
            Part { class, top, height }
        })
        .collect()
}

impl Past {
    fn of(run: &Run) -> Past {
        let severity = |severity: Severity| run.judged.then(|| run.severity(severity.as_str()));
        let word = run.verdict.split_once(": ").map_or("", |(word, _)| word);
        Past {
            when: moment(&run.started),
            level: Level::of(run),
            word: word.chars().take(20).collect(),
            exit_status: run.exit_status,
            loss: severity(Severity::Loss),
            recoverable: severity(Severity::Recoverable),
            bytes: match bytes(run) {
                0 => String::new(),
                bytes => bytes_for_people(bytes),
            },
            took: for_people(run.seconds),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_to_scale_and_stand_on_each_other() {
        let parts = stacked(vec![("loss", 1), ("recoverable", 999)], 2_000);
        let drawn: Vec<(u64, u64)> = parts.iter().map(|part| (part.top, part.height)).collect();
        assert_eq!(drawn, [(96, LOWEST), (47, 49)]);
    }

    #[test]
    fn the_first_run_has_no_trend() {
        assert!(of(&History::default(), &Run::default()).is_none());
        let history = History {
            runs: vec![Run::default()],
            ..History::default()
        };
        let trend = of(&history, &Run::default()).expect("two runs");
        assert_eq!(trend.runs.len(), 2);
        assert!(trend.charts.is_empty());
    }
}
