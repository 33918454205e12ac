//! What is said of a night while it goes on: a line a step, and what the steps themselves say.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::cli::interrupt::Interrupt;
use crate::cli::progress::Progress;
use crate::monitor::Monitor;
use crate::nightly::{self, Listener, Service, Step, StepVerdict, Verdict};
use crate::report::printable;

/// The log, on standard error and to the service manager.
pub(super) struct Log<'a> {
    progress: &'a Progress,
    service: Service,
    /// The step's process; 0 when there is none.
    process: Arc<AtomicU32>,
}

impl<'a> Log<'a> {
    pub(super) fn begin(progress: &'a Progress, interrupt: &Interrupt) -> Log<'a> {
        let process = Arc::new(AtomicU32::new(0));
        let at_exit = Arc::clone(&process);
        // Whoever asks a second time does not wait for the step, but the step is told again.
        interrupt.set_last_act(Box::new(move || match at_exit.load(Ordering::Relaxed) {
            0 => {}
            process => nightly::end(process),
        }));
        Log {
            progress,
            service: Service::begin(),
            process,
        }
    }

    pub(super) fn end(&self, verdict: &Verdict) {
        self.say(
            "nightly",
            Some(verdict.exit_status),
            verdict.seconds,
            &verdict.verdict,
        );
        self.service.end(&printable(&verdict.verdict));
    }

    fn say(&self, step: &str, status: Option<u8>, seconds: f64, verdict: &str) {
        let now = jiff::Timestamp::now();
        let now = jiff::Timestamp::from_second(now.as_second()).unwrap_or(now);
        let verdict = printable(verdict);
        self.progress.log_line(&match status {
            Some(status) => format!("{now} {step}: exit {status}, {seconds:.1} s: {verdict}"),
            None => format!("{now} {step}: {verdict}"),
        });
    }
}

impl Listener for Log<'_> {
    fn begins(&self, step: &Step, number: usize, of: usize) {
        let status = format!("{}, step {number} of {of}", step.command);
        self.service.status(&status);
        self.progress.tell(&status);
    }

    fn at_work(&self, process: Option<u32>) {
        self.process.store(process.unwrap_or(0), Ordering::Relaxed);
    }

    fn said(&self, step: &Step, message: &str) {
        let line = format!("{}: {}", step.command, printable(message));
        self.service.status(&line);
        self.progress.log_line(&line);
    }

    fn ended(&self, verdict: &StepVerdict) {
        self.say(
            &verdict.step,
            verdict.exit_status,
            verdict.seconds,
            &verdict.verdict,
        );
    }

    fn tick(&self) {
        self.service.tick();
    }

    fn stopped(&self) -> bool {
        self.progress.stopped()
    }
}
