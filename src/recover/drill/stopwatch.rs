//! How long each step of a drill takes.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::monitor::{Monitor, Phase, Room};

/// A step of a drill, as its times are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// A PostgreSQL of our own is made and started.
    Server,
    /// The set's own files are held against its record, and the dump is read to its end.
    Dump,
    /// The dump is played into the database, and that is proven.
    Database,
    /// Files are put into a tree.
    Files,
    /// The restored database is held against the tree or the pool.
    Check,
}

impl Step {
    /// The name that reports and notes use.
    pub fn as_str(self) -> &'static str {
        match self {
            Step::Server => "server",
            Step::Dump => "dump",
            Step::Database => "database",
            Step::Files => "files",
            Step::Check => "check",
        }
    }
}

/// A monitor that looks at the clock between steps, and hands everything on.
pub(super) struct Stopwatch<'a> {
    inner: &'a dyn Monitor,
    laps: Mutex<Laps>,
}

struct Laps {
    step: Step,
    since: Instant,
    seconds: BTreeMap<Step, f64>,
}

impl Laps {
    fn stop(&mut self) {
        let now = Instant::now();
        let lap = now.duration_since(self.since).as_secs_f64();
        *self.seconds.entry(self.step).or_default() += lap;
        self.since = now;
    }
}

impl<'a> Stopwatch<'a> {
    /// Starts with the first step.
    pub(super) fn start(step: Step, inner: &'a dyn Monitor) -> Stopwatch<'a> {
        Stopwatch {
            inner,
            laps: Mutex::new(Laps {
                step,
                since: Instant::now(),
                seconds: BTreeMap::new(),
            }),
        }
    }

    /// The next step begins.
    pub(super) fn begin(&self, step: Step) {
        let mut laps = self.laps();
        laps.stop();
        laps.step = step;
    }

    /// The last step ends: seconds by step, to the millisecond.
    pub(super) fn seconds(&self) -> BTreeMap<String, f64> {
        let mut laps = self.laps();
        laps.stop();
        let rounded = |seconds: f64| (seconds * 1000.0).round() / 1000.0;
        laps.seconds
            .iter()
            .map(|(step, seconds)| (step.as_str().to_owned(), rounded(*seconds)))
            .collect()
    }

    fn laps(&self) -> MutexGuard<'_, Laps> {
        self.laps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Monitor for Stopwatch<'_> {
    fn phase(&self, phase: Phase, total: Option<u64>) {
        // Restoring a database reads its dump first.
        if phase == Phase::RestoreDatabase {
            self.begin(Step::Database);
        }
        self.inner.phase(phase, total);
    }

    fn advance(&self, steps: u64, bytes: u64) {
        self.inner.advance(steps, bytes);
    }

    fn room(&self, room: &Room<'_>) {
        self.inner.room(room);
    }

    fn warn(&self, message: &str) {
        self.inner.warn(message);
    }

    fn stopped(&self) -> bool {
        self.inner.stopped()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::Silent;

    #[test]
    fn time_counts_for_the_step_that_it_was_spent_on() {
        let watch = Stopwatch::start(Step::Dump, &Silent);
        std::thread::sleep(std::time::Duration::from_millis(20));
        watch.phase(Phase::RestoreDatabase, None);
        watch.begin(Step::Check);
        std::thread::sleep(std::time::Duration::from_millis(20));
        let seconds = watch.seconds();
        let steps: Vec<&str> = seconds.keys().map(String::as_str).collect();
        assert_eq!(steps, ["check", "database", "dump"]);
        assert!(seconds["dump"] >= 0.02 && seconds["check"] >= 0.02);
        assert!(seconds["database"] < 0.02, "{seconds:?}");
    }
}
