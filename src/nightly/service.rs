//! What a service manager is told: that the night has begun, what it is at, and that it is alive.
//!
//! Without one (`NOTIFY_SOCKET` is not set) nobody is told, and a manager that cannot be told
//! changes nothing.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sd_notify::NotifyState;

/// The service manager.
#[derive(Debug)]
pub struct Service {
    /// How often it wants a sign of life.
    every: Option<Duration>,
    last: Mutex<Instant>,
}

impl Service {
    /// The variables that name the service manager.
    pub(super) const VARIABLES: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];

    /// Tells the service manager that the work begins.
    pub fn begin() -> Service {
        tell(&[NotifyState::Ready]);
        Service {
            // In time, also when one sign comes late.
            every: sd_notify::watchdog_enabled().map(|limit| limit / 3),
            last: Mutex::new(Instant::now()),
        }
    }

    /// Says in a few words what is done now.
    pub fn status(&self, text: &str) {
        tell(&[NotifyState::Status(text)]);
    }

    /// Gives a sign of life, when it is time for one.
    pub fn tick(&self) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if self.every.is_some_and(|every| last.elapsed() >= every) {
            *last = Instant::now();
            tell(&[NotifyState::Watchdog]);
        }
    }

    /// Says that the work is over.
    pub fn end(&self, text: &str) {
        tell(&[NotifyState::Stopping, NotifyState::Status(text)]);
    }
}

fn tell(state: &[NotifyState<'_>]) {
    // A night goes on whether or not its manager hears of it.
    let _ = sd_notify::notify(state);
}
