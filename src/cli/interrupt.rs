//! SIGINT and SIGTERM: work is asked to stop, and ends within a second whatever it waits for.
//!
//! Work looks at a flag between files and rows. Where it waits for something that does not come (a
//! locked table, a dead network mount), a last word is printed without it and the process ends.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::exit;

/// How long the work has to end by itself.
const PATIENCE: Duration = Duration::from_millis(850);

/// How often it is looked at whether it has.
const STEP: Duration = Duration::from_millis(10);

type LastWord = Box<dyn FnOnce() + Send>;

/// The two signals, taken in by a thread of its own.
pub(super) struct Interrupt {
    flag: Arc<AtomicBool>,
    done: Arc<AtomicBool>,
    last_word: Arc<Mutex<Option<LastWord>>>,
    last_act: Arc<Mutex<Option<LastWord>>>,
}

impl Interrupt {
    /// Begins to listen.
    pub(super) fn install() -> Interrupt {
        let interrupt = Interrupt {
            flag: Arc::default(),
            done: Arc::default(),
            last_word: Arc::default(),
            last_act: Arc::default(),
        };
        let (flag, done) = (Arc::clone(&interrupt.flag), Arc::clone(&interrupt.done));
        let last_word = Arc::clone(&interrupt.last_word);
        let last_act = Arc::clone(&interrupt.last_act);
        let exit = move || {
            let act = last_act
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            if let Some(act) = act {
                act();
            }
            std::process::exit(i32::from(exit::WORLD));
        };
        // Without the thread the signals simply end the process.
        if let Ok(mut signals) = Signals::new([SIGINT, SIGTERM]) {
            std::thread::spawn(move || {
                let mut signals = signals.forever();
                if signals.next().is_none() {
                    return;
                }
                flag.store(true, Ordering::Relaxed);
                let began = Instant::now();
                while began.elapsed() < PATIENCE {
                    if done.load(Ordering::Relaxed) {
                        return;
                    }
                    std::thread::sleep(STEP);
                }
                // Held until the process ends, so that the work cannot begin to print beside it.
                let mut last_word = last_word.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(word) = last_word.take() {
                    word();
                    exit();
                }
                drop(last_word);
                // The report is being written and may take its time; whoever cannot wait for it
                // asks once more.
                if signals.next().is_some() {
                    exit();
                }
            });
        }
        interrupt
    }

    /// Set once a signal has come.
    pub(super) fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.flag)
    }

    /// What to print when the work does not end by itself.
    pub(super) fn set_last_word(&self, word: LastWord) {
        *self
            .last_word
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(word);
    }

    /// What must be done before a signal ends the process, in whatever state the work is.
    pub(super) fn set_last_act(&self, act: LastWord) {
        *self.last_act.lock().unwrap_or_else(PoisonError::into_inner) = Some(act);
    }

    /// The work has ended and begins to print for itself.
    pub(super) fn forget_last_word(&self) {
        self.last_word
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }

    /// All is printed.
    pub(super) fn done(&self) {
        self.done.store(true, Ordering::Relaxed);
    }
}
