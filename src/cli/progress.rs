//! Progress on standard error: a bar on a terminal, a line now and then in a log.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::monitor::{Monitor, Phase, Room};
use crate::report::{bytes_for_people, grouped};

/// When to show progress.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// A bar, if standard error is a terminal
    #[default]
    Auto,
    /// A bar on a terminal, a line now and then elsewhere
    Always,
    /// Nothing
    Never,
}

/// Between two lines in a log.
const LINE_EVERY: Duration = Duration::from_secs(20);

enum Show {
    Nothing,
    Bar(ProgressBar),
    Lines,
}

/// The command line's monitor.
pub struct Progress {
    show: Show,
    quiet: bool,
    verbose: bool,
    stop: Arc<AtomicBool>,
    bytes: Arc<AtomicU64>,
    state: Mutex<State>,
    held_back: Mutex<Vec<String>>,
}

struct State {
    phase: Option<Phase>,
    total: Option<u64>,
    steps: u64,
    began: Instant,
    last_line: Instant,
}

impl Progress {
    /// A monitor that asks to stop once `stop` is set. When `quiet`, warnings are held back until
    /// [`Progress::release`].
    pub fn new(when: When, quiet: bool, verbose: bool, stop: Arc<AtomicBool>) -> Progress {
        let on_terminal = std::io::stderr().is_terminal();
        let bytes = Arc::new(AtomicU64::new(0));
        let show = match when {
            When::Never => Show::Nothing,
            When::Auto if quiet || !on_terminal => Show::Nothing,
            When::Always if !on_terminal => Show::Lines,
            _ => Show::Bar(bar(&bytes)),
        };
        let now = Instant::now();
        Progress {
            show,
            quiet,
            verbose,
            stop,
            bytes,
            state: Mutex::new(State {
                phase: None,
                total: None,
                steps: 0,
                began: now,
                last_line: now,
            }),
            held_back: Mutex::default(),
        }
    }

    /// Says something on standard error, above the bar.
    pub fn say(&self, message: &str) {
        match &self.show {
            Show::Bar(bar) => bar.suspend(|| line(message)),
            _ => line(message),
        }
    }

    /// Says something that a quiet run keeps back until [`Progress::release`].
    pub fn log_line(&self, message: &str) {
        if !self.quiet {
            return self.say(message);
        }
        let mut held = self
            .held_back
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        held.push(message.to_owned());
    }

    /// Says something that a quiet run leaves out.
    pub fn note(&self, message: &str) {
        if !self.quiet {
            self.say(message);
        }
    }

    /// Says something that only a talkative run says.
    pub fn tell(&self, message: &str) {
        if self.verbose {
            self.say(message);
        }
    }

    /// Removes the bar.
    pub fn finish(&self) {
        if let Show::Bar(bar) = &self.show {
            bar.finish_and_clear();
        }
    }

    /// Says the warnings that were held back.
    pub fn release(&self) {
        let held = std::mem::take(
            &mut *self
                .held_back
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        for message in held {
            self.say(&message);
        }
    }

    fn log(&self, state: &mut State) {
        let Some(phase) = state.phase else { return };
        let seconds = state.began.elapsed().as_secs_f64().max(0.001);
        let bytes = self.bytes.load(Ordering::Relaxed);
        let of = state
            .total
            .map_or_else(String::new, |total| format!(" of {}", grouped(total)));
        let rate = grouped((state.steps as f64 / seconds) as u64);
        let eta = state
            .total
            .filter(|total| *total > state.steps && state.steps > 0)
            .map_or_else(String::new, |total| {
                let rest = (total - state.steps) as f64 * seconds / state.steps as f64;
                format!(", {} s left", grouped(rest as u64))
            });
        let read = if bytes > 0 {
            format!(", {} read", bytes_for_people(bytes))
        } else {
            String::new()
        };
        line(&format!(
            "{}: {}{of} ({rate}/s{eta}){read}",
            phase.title(),
            grouped(state.steps)
        ));
        state.last_line = Instant::now();
    }
}

/// What room is needed, for what, and what there is.
pub(super) fn room_for_people(room: &Room<'_>) -> String {
    format!(
        "room for {}: up to {} in {}, where {} are free",
        room.what,
        bytes_for_people(room.need),
        room.place.display(),
        bytes_for_people(room.free)
    )
}

/// Says something on standard error, where there is no bar.
pub(super) fn line(message: &str) {
    // There is nobody left to tell that standard error is closed.
    let _ = writeln!(std::io::stderr(), "fogold: {message}");
}

fn bar(bytes: &Arc<AtomicU64>) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(8));
    bar.set_style(style(bytes, false));
    bar
}

fn style(bytes: &Arc<AtomicU64>, has_total: bool) -> ProgressStyle {
    let template = if has_total {
        "{msg:<15} [{bar:24}] {human_pos}/{human_len} {per_sec} {read} ETA {eta}"
    } else {
        "{msg:<15} {spinner} {human_pos} {per_sec} {read} {elapsed}"
    };
    let bytes = Arc::clone(bytes);
    let style = ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ");
    style.with_key(
        "read",
        move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            let read = bytes.load(Ordering::Relaxed);
            if read > 0 {
                let rate = read as f64 / state.elapsed().as_secs_f64().max(0.001);
                let _ = write!(
                    out,
                    "{} {}/s",
                    bytes_for_people(read),
                    bytes_for_people(rate as u64)
                );
            }
        },
    )
}

impl Monitor for Progress {
    fn phase(&self, phase: Phase, total: Option<u64>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = state.phase {
            let seconds = state.began.elapsed().as_secs_f64();
            self.tell(&format!("{}: {seconds:.2} s", before.title()));
        }
        self.bytes.store(0, Ordering::Relaxed);
        *state = State {
            phase: Some(phase),
            total,
            steps: 0,
            began: Instant::now(),
            last_line: Instant::now(),
        };
        match &self.show {
            Show::Nothing => {}
            Show::Bar(bar) => {
                bar.set_style(style(&self.bytes, total.is_some()));
                bar.set_message(phase.title());
                bar.reset();
                match total {
                    Some(total) => bar.set_length(total),
                    None => bar.unset_length(),
                }
            }
            Show::Lines => line(&format!("{} …", phase.title())),
        }
    }

    fn advance(&self, steps: u64, bytes: u64) {
        if bytes > 0 {
            self.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        match &self.show {
            Show::Nothing => {}
            Show::Bar(bar) => bar.inc(steps),
            Show::Lines => {
                let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                state.steps += steps;
                if state.last_line.elapsed() >= LINE_EVERY {
                    self.log(&mut state);
                }
            }
        }
    }

    fn warn(&self, message: &str) {
        self.log_line(&format!("warning: {message}"));
    }

    fn room(&self, room: &Room<'_>) {
        if room.need == 0 {
            return;
        }
        let text = room_for_people(room);
        if room.need > room.free {
            self.warn(&format!("there may not be {text}"));
        } else {
            self.note(&text);
        }
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}
