//! How the runs before this one went: `history.ndjson` in the state directory (`doc/history-format.md`).
//!
//! A line a run, the newest last, with what a report needs in order to say what has changed since and
//! how things have gone: never a finding by itself, so that the file stays small. Runs that end at
//! the same time each find their line in it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Clock, LookedAt, Report, ReportCoverage};
use crate::catalog::Amount;
use crate::state::{State, StateError};

/// So many runs are kept, whatever they ran.
const MOST_RUNS: usize = 1000;

/// So many characters of a verdict are kept: a message may quote anything.
const LONGEST_VERDICT: usize = 400;

/// How a run went. Fields that are not there are as in [`Run::default`], so that a later program can
/// add some.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Run {
    /// What was run.
    pub command: String,
    /// The repository or store that it was about; empty when it did not get so far.
    pub subject: String,
    /// When it began, RFC 3339.
    pub started: String,
    /// How long it took.
    pub seconds: f64,
    /// What it came to.
    pub verdict: String,
    /// Everything that was asked for was looked at, or done.
    pub complete: bool,
    /// The exit status.
    pub exit_status: u8,
    /// Findings were looked for; otherwise that there are none says nothing.
    pub judged: bool,
    /// The types that were reported on; of a backup, the kind of its set.
    pub types: Vec<String>,
    /// Which part of the contents was read; empty when none was.
    pub slice: String,
    /// Findings by kind.
    pub counts: BTreeMap<String, u64>,
    /// Findings by severity.
    pub severities: BTreeMap<String, u64>,
    /// Bytes concerned, by kind.
    pub bytes: BTreeMap<String, u64>,
    /// Files listed in their place, by type.
    pub listed: BTreeMap<String, Amount>,
    /// The set that was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set: Option<RunSet>,
}

/// A set that a run made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunSet {
    /// Its id.
    pub id: String,
    /// When it was finished, RFC 3339.
    pub finished: String,
    /// What it holds.
    pub held: Amount,
}

impl Run {
    /// What a report comes to. `judged`: findings were looked for.
    pub fn of(report: &Report, judged: bool) -> Run {
        let mut run = Run {
            judged,
            complete: report.complete,
            started: report.started.clone(),
            seconds: report.seconds,
            counts: owned(&report.counts),
            severities: owned(&report.severities),
            bytes: owned(&report.bytes),
            ..Run::ended(report.command, report.exit_status, &report.verdict)
        };
        match &report.coverage {
            LookedAt::Repository(coverage) => run.note_repository(coverage),
            LookedAt::Repaired(repaired) => run.note_repository(&repaired.coverage),
            LookedAt::Store(coverage) => {
                run.subject.clone_from(&coverage.store);
                run.slice.clone_from(&coverage.slice);
            }
            LookedAt::NewSet(new) => {
                run.subject.clone_from(&new.store);
                run.listed = owned(&new.listed);
                run.types = vec![new.set.kind.to_string()];
                run.set = Some(RunSet {
                    id: new.set.id.clone(),
                    finished: new.set.finished.clone(),
                    held: new.set.counts.pool,
                });
            }
            LookedAt::Restored(restored) => {
                if let Some(after) = &restored.after {
                    run.note_repository(after);
                }
            }
            LookedAt::Drilled(drilled) => run.subject.clone_from(&drilled.store),
            LookedAt::Manifest(manifest) => run.types = vec![manifest.kind.to_string()],
        }
        if let Some(about) = report.about.as_ref().filter(|_| run.subject.is_empty()) {
            run.subject.clone_from(about);
        }
        run
    }

    /// A run of a command that has no report.
    pub fn without_report(
        command: &str,
        subject: String,
        clock: Clock,
        exit_status: u8,
        verdict: &str,
    ) -> Run {
        Run {
            subject,
            started: clock.text(),
            seconds: clock.seconds(),
            complete: exit_status < 2,
            ..Run::ended(command, exit_status, verdict)
        }
    }

    fn ended(command: &str, exit_status: u8, verdict: &str) -> Run {
        Run {
            command: command.to_owned(),
            exit_status,
            verdict: verdict.chars().take(LONGEST_VERDICT).collect(),
            ..Run::default()
        }
    }

    fn note_repository(&mut self, coverage: &ReportCoverage) {
        self.subject.clone_from(&coverage.repository);
        self.types = coverage.types.iter().map(|ty| (*ty).to_owned()).collect();
        self.listed = owned(&coverage.listed);
        if coverage.verify {
            self.slice.clone_from(&coverage.slice);
        }
    }

    /// Findings of a severity.
    pub fn severity(&self, severity: &str) -> u64 {
        self.severities.get(severity).copied().unwrap_or(0)
    }

    /// Whether the findings of the two may be held against each other.
    fn is_like(&self, other: &Run) -> bool {
        self.judged
            && other.judged
            && self.command == other.command
            && self.subject == other.subject
            && self.types == other.types
    }

    /// Whether the two belong to one line of runs. One that came to nothing may not know what it was
    /// about, or which types, and counts for all.
    pub(super) fn is_of_the_line_of(&self, other: &Run) -> bool {
        let any = |is_empty: fn(&Run) -> bool| is_empty(self) || is_empty(other);
        self.command == other.command
            && (self.subject == other.subject || any(|run| run.subject.is_empty()))
            && (self.types == other.types || any(|run| run.types.is_empty()))
    }
}

fn owned<T: Copy>(map: &BTreeMap<&'static str, T>) -> BTreeMap<String, T> {
    map.iter()
        .map(|(key, value)| ((*key).to_owned(), *value))
        .collect()
}

/// The runs before this one, the newest last.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// All of them.
    pub runs: Vec<Run>,
    /// Lines that say nothing of a run.
    pub unreadable: usize,
    /// Whether this run is added to them.
    pub is_kept: bool,
}

impl History {
    /// The file in the state directory (`doc/history-format.md`).
    pub const FILE: &str = "history.ndjson";

    /// Reads what is there; nothing, when there is none yet.
    pub fn read(state: &State) -> Result<History, StateError> {
        let text = state.read(History::FILE)?.unwrap_or_default();
        Ok(History::of(&text))
    }

    /// Adds a run.
    pub fn append(state: &State, run: &Run) -> Result<(), StateError> {
        let _lock = state.lock(History::FILE)?;
        let text = state.read(History::FILE)?.unwrap_or_default();
        let mut lines: Vec<&[u8]> = lines(&text)
            .filter(|line| serde_json::from_slice::<Run>(line).is_ok())
            .collect();
        lines.drain(..(lines.len() + 1).saturating_sub(MOST_RUNS));
        // Writing to memory fails only for maps whose keys are no text.
        let new = serde_json::to_vec(run).unwrap_or_default();
        lines.push(&new);
        let mut text = lines.join(&b'\n');
        text.push(b'\n');
        state.replace(History::FILE, &text)
    }

    fn of(text: &[u8]) -> History {
        let mut history = History::default();
        for line in lines(text) {
            match serde_json::from_slice(line) {
                Ok(run) => history.runs.push(run),
                Err(_) => history.unreadable += 1,
            }
        }
        history
    }

    /// The last run before this one whose findings can be held against it.
    pub(super) fn last_like(&self, run: &Run) -> Option<&Run> {
        self.runs
            .iter()
            .rev()
            .find(|earlier| earlier.complete && earlier.is_like(run))
    }

    /// The last complete run of the same line in which findings were looked for.
    pub(super) fn last_judged(&self, run: &Run) -> Option<&Run> {
        let mut earlier = self.runs.iter().rev();
        earlier.find(|earlier| earlier.complete && earlier.judged && earlier.is_of_the_line_of(run))
    }

    /// The last `most` runs of the same command on the same repository or store, the newest last.
    pub(super) fn line_of(&self, run: &Run, most: usize) -> Vec<&Run> {
        let mut runs: Vec<&Run> = self
            .runs
            .iter()
            .rev()
            .filter(|earlier| earlier.is_of_the_line_of(run))
            .take(most)
            .collect();
        runs.reverse();
        runs
    }
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(command: &str, subject: &str, seconds: f64) -> Run {
        Run {
            command: command.to_owned(),
            subject: subject.to_owned(),
            seconds,
            complete: true,
            judged: true,
            ..Run::default()
        }
    }

    fn state() -> (tempfile::TempDir, State) {
        let directory = tempfile::tempdir().expect("temporary directory");
        let state = State::open(directory.path()).expect("there");
        (directory, state)
    }

    #[test]
    fn the_last_thousand_are_kept_and_none_is_lost_to_another() {
        let (_directory, state) = state();
        let old: Vec<String> = (0..MOST_RUNS)
            .map(|_| serde_json::to_string(&run("old", "", 0.0)).expect("a line"))
            .collect();
        state
            .replace(History::FILE, old.join("\n").as_bytes())
            .expect("written");
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let state = &state;
                scope.spawn(move || {
                    for number in 0..10 {
                        let seconds = f64::from(thread * 10 + number);
                        History::append(state, &run("check", "/r", seconds)).expect("added");
                    }
                });
            }
        });
        let history = History::read(&state).expect("read");
        assert_eq!(history.runs.len(), MOST_RUNS);
        let mut seconds: Vec<f64> = history
            .runs
            .iter()
            .filter(|run| run.command == "check")
            .map(|run| run.seconds)
            .collect();
        seconds.sort_by(f64::total_cmp);
        let wanted: Vec<f64> = (0..40).map(f64::from).collect();
        assert_eq!(seconds, wanted);
    }

    #[test]
    fn what_is_no_run_is_passed_over() {
        let (_directory, state) = state();
        state
            .replace(
                History::FILE,
                b"\xff\xfe\nnonsense\n{\"command\": \"check\", \"new\": 1}\n[]\n",
            )
            .expect("written");
        let history = History::read(&state).expect("read");
        // A list is a run too, as serde reads it: one of which nothing is known.
        assert_eq!(history.runs[0].command, "check");
        assert_eq!(history.unreadable + history.runs.len(), 4);
        History::append(&state, &run("verify", "", 1.0)).expect("added");
        let history = History::read(&state).expect("read");
        assert_eq!(history.unreadable, 0);
        assert_eq!(history.runs.last().expect("a run").command, "verify");
    }

    #[test]
    fn only_like_is_held_against_like() {
        let history = History {
            runs: vec![
                run("check", "/r", 1.0),
                run("check", "/other", 2.0),
                run("verify", "/r", 3.0),
                Run {
                    judged: false,
                    ..run("check", "", 4.0)
                },
                Run {
                    complete: false,
                    ..run("check", "/r", 5.0)
                },
            ],
            ..History::default()
        };
        let now = run("check", "/r", 6.0);
        assert_eq!(history.last_like(&now).map(|run| run.seconds), Some(1.0));
        let line: Vec<f64> = history
            .line_of(&now, 2)
            .iter()
            .map(|run| run.seconds)
            .collect();
        assert_eq!(line, [4.0, 5.0]);
        assert_eq!(history.line_of(&now, 9).len(), 3);
    }
}
