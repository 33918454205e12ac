//! The night: steps one after the other, a verdict over all of them, and who is told of it.
//!
//! Each step is a run of the program itself in a process of its own, so that one that dies takes no
//! other along and gives its memory back. One night at a time: the lock stands in the state
//! directory, and so does the verdict of the last night. What a step may do after another has failed
//! is decided in one place, `Step::refusal`. Nothing is printed: a [`Listener`] is told.

mod child;
mod error;
mod known_store;
pub mod notify;
mod rules;
mod service;
mod verdict;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use rustix::process::Signal;
use serde_json::Value;

pub use error::NightlyError;
pub use service::Service;
pub use verdict::{StepVerdict, Verdict};

use crate::state::State;
use crate::store::WriteLock;
use child::Event;

/// The lock's file in the state directory.
const LOCK: &str = "nightly.lock";

/// The last night's verdict in the state directory.
const VERDICT: &str = "verdict.json";

/// So many of a step's last messages are kept.
const MESSAGES: usize = 10;

/// No report object is longer.
const LONGEST_REPORT: usize = 1 << 20;

/// A command that is run.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its name: `backup`.
    pub command: String,
    /// The words of its command line, behind the program's name.
    pub words: Vec<OsString>,
    /// The files that its report goes to, as the words say.
    pub reports: Vec<PathBuf>,
    /// Variables that are set for it.
    pub variables: Vec<(String, OsString)>,
    /// The store that a backup goes to.
    pub store: Option<PathBuf>,
}

/// Who is told how the night goes.
pub trait Listener {
    /// A step begins: its number, from 1, of how many.
    fn begins(&self, step: &Step, number: usize, of: usize);
    /// Its process, which a signal is passed on to; `None` once it has ended.
    fn at_work(&self, process: Option<u32>);
    /// It has said something.
    fn said(&self, step: &Step, message: &str);
    /// It has ended, or is not run.
    fn ended(&self, verdict: &StepVerdict);
    /// Called now and then while a step runs.
    fn tick(&self);
    /// Whether the night is to end.
    fn stopped(&self) -> bool;
}

/// The right to be the only night at work; given back when dropped.
#[derive(Debug)]
pub struct Night {
    state: State,
    _lock: WriteLock,
}

impl Night {
    /// Begins a night, unless one is at work.
    pub fn begin(directory: &Path) -> Result<Night, NightlyError> {
        let state = State::open(directory)?;
        let path = state.path(LOCK);
        let lock = WriteLock::take_at(&path, "nightly").map_err(Box::new)?;
        let lock = lock.ok_or_else(|| NightlyError::Locked {
            owner: WriteLock::owner_at(&path),
        })?;
        state.adopt(lock.file());
        Ok(Night { state, _lock: lock })
    }

    /// The verdict of the night before, where it can be read.
    pub fn last(&self) -> Result<Option<Verdict>, NightlyError> {
        let contents = self.state.read(VERDICT)?;
        // One that is damaged is as good as none: whoever is told once too often loses nothing.
        Ok(contents.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// Keeps a verdict for the next night.
    pub fn keep(&self, verdict: &Verdict) -> Result<(), NightlyError> {
        let mut text = serde_json::to_vec_pretty(verdict).unwrap_or_default();
        text.push(b'\n');
        Ok(self.state.replace(VERDICT, &text)?)
    }

    /// Runs the steps.
    pub fn run(&self, program: &Path, steps: &[Step], listener: &dyn Listener) -> Verdict {
        let began = jiff::Timestamp::now();
        let mut done: Vec<StepVerdict> = Vec::new();
        for (at, step) in steps.iter().enumerate() {
            let refusal = if listener.stopped() {
                Some("a signal has ended the night".to_owned())
            } else {
                let other_store = || known_store::refusal(&self.state, step.store.as_deref()?);
                step.refusal(&done).or_else(other_store)
            };
            let verdict = match refusal {
                Some(why) => StepVerdict::not_run(&step.command, why),
                None => {
                    listener.begins(step, at + 1, steps.len());
                    let verdict = run_step(program, step, listener);
                    if let Some(path) = &step.store {
                        // Where nothing can be kept there, keeping the verdict says so.
                        let _ = known_store::remember(&self.state, path);
                    }
                    verdict
                }
            };
            listener.ended(&verdict);
            done.push(verdict);
        }
        Verdict::over(began, done, listener.stopped())
    }
}

/// What a step's process has told so far.
#[derive(Default)]
struct Heard {
    /// The last line on standard output.
    last: Vec<u8>,
    /// All of it, while it is not too long.
    all: Vec<u8>,
    /// The last messages.
    messages: Vec<String>,
}

impl Heard {
    fn take(&mut self, event: Event, step: &Step, listener: &dyn Listener) {
        match event {
            Event::Out(line) => {
                if self.all.len() + line.len() <= LONGEST_REPORT {
                    self.all.extend_from_slice(&line);
                }
                self.last = line;
            }
            Event::Message(message) => {
                let message = message.strip_prefix("fogold: ").unwrap_or(&message);
                listener.said(step, message);
                self.messages.push(message.to_owned());
                let surplus = self.messages.len().saturating_sub(MESSAGES);
                self.messages.drain(..surplus);
            }
        }
    }

    /// The report: the last line of NDJSON, or all of JSON.
    fn report(&self) -> Option<Value> {
        [&self.last, &self.all]
            .into_iter()
            .filter_map(|text| serde_json::from_slice(text).ok())
            .find(|value: &Value| value.is_object() && value.get("kind").is_none())
    }
}

fn run_step(program: &Path, step: &Step, listener: &dyn Listener) -> StepVerdict {
    let began = Instant::now();
    let mut command = Command::new(program);
    command.args(&step.words).envs(
        step.variables
            .iter()
            .map(|(name, value)| (name.as_str(), value)),
    );
    // The night itself speaks to the service manager.
    for variable in Service::VARIABLES {
        command.env_remove(variable);
    }
    let mut heard = Heard::default();
    let ended = child::run(
        &mut command,
        None,
        |process| listener.at_work(process),
        |event| heard.take(event, step, listener),
        || {
            listener.tick();
            listener.stopped().then_some(Signal::TERM)
        },
    );
    let report = heard.report();
    let took = began.elapsed();
    let verdict = StepVerdict::ran(&step.command, ended, took, report.as_ref(), heard.messages);
    StepVerdict {
        reports: step
            .reports
            .iter()
            .map(|path| path.display().to_string())
            .collect(),
        ..verdict
    }
}

/// Asks a step's process to end.
pub fn end(process: u32) {
    child::signal(process, Signal::TERM);
}

/// The file of a night's report in a directory of reports.
pub fn report_path(directory: &Path, command: &str, ending: &str) -> PathBuf {
    directory.join(format!("{command}.{ending}"))
}

#[cfg(test)]
mod tests;
