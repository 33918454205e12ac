//! The quiet way of the old backup procedure: stop FOSSology's scheduler, and start it again
//! whatever happens in between.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use super::error::Failure;
use super::interrupt::Interrupt;
use super::progress::Progress;
use crate::monitor::Monitor;

/// How often it is looked at whether a command has ended.
const STEP: Duration = Duration::from_millis(20);

/// The scheduler is stopped until this is dropped.
pub(super) struct SchedulerPause<'a> {
    progress: &'a Progress,
    /// The command that starts it; taken by whoever runs it. Locked while the other command runs,
    /// so that the scheduler is not started first and stopped then.
    start: Arc<Mutex<Option<String>>>,
}

impl<'a> SchedulerPause<'a> {
    /// Runs `stop`, and `start` at the end: also when `stop` fails, and when a signal ends the
    /// program.
    pub(super) fn begin(
        stop: Option<&str>,
        start: Option<&str>,
        interrupt: &Interrupt,
        progress: &'a Progress,
    ) -> Result<SchedulerPause<'a>, Failure> {
        let pause = SchedulerPause {
            progress,
            start: Arc::new(Mutex::new(start.map(str::to_owned))),
        };
        let at_exit = Arc::clone(&pause.start);
        interrupt.set_last_act(Box::new(move || {
            // The process ends here, and says nothing more.
            let _ = run_once(&at_exit);
        }));
        if let Some(stop) = stop {
            progress.note(&format!("stopping the scheduler: {stop}"));
            let held = pause.start.lock().unwrap_or_else(PoisonError::into_inner);
            let stopped = run(stop, || progress.stopped());
            drop(held);
            stopped.map_err(|why| {
                Failure::world(format_args!("--stop-scheduler {stop:?} failed: {why}"))
            })?;
        }
        Ok(pause)
    }

    /// Starts the scheduler; `false` when that failed.
    pub(super) fn end(self) -> bool {
        self.start_again()
    }

    fn start_again(&self) -> bool {
        let Some(Err(why)) = run_once(&self.start) else {
            return true;
        };
        self.progress.warn(&format!(
            "--start-scheduler failed: {why}; START THE SCHEDULER BY HAND"
        ));
        false
    }
}

impl Drop for SchedulerPause<'_> {
    fn drop(&mut self) {
        self.start_again();
    }
}

/// Runs the command if nobody has run it yet. Whoever comes second waits until it has ended.
fn run_once(start: &Mutex<Option<String>>) -> Option<Result<(), String>> {
    let mut start = start.lock().unwrap_or_else(PoisonError::into_inner);
    let command = start.take()?;
    Some(run(&command, || false))
}

/// Runs a command to its end, or until it is `given_up`. It gets no signal from the terminal: an
/// interrupt there must not reach what starts the scheduler again.
fn run(command: &str, given_up: impl Fn() -> bool) -> Result<(), String> {
    let mut child = Command::new("/bin/sh")
        .arg("-c")
        .arg(command)
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .process_group(0)
        .spawn()
        .map_err(|error| error.to_string())?;
    let status = wait(&mut child, given_up).map_err(|error| error.to_string())?;
    if status.success() {
        Ok(())
    } else {
        Err(status.to_string())
    }
}

fn wait(child: &mut Child, given_up: impl Fn() -> bool) -> std::io::Result<ExitStatus> {
    let mut is_told = false;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if given_up() && !is_told {
            is_told = true;
            if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
                // It fails only when all of them have ended.
                let _ = kill_process_group(group, Signal::TERM);
            }
        }
        std::thread::sleep(STEP);
    }
}
