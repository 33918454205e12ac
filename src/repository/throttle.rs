//! A limit on bytes a second, over all threads.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How far ahead of the limit a burst may run: short enough that nobody else waits for it.
const BURST: Duration = Duration::from_millis(100);

/// Lets bytes pass, no faster than its limit.
#[derive(Debug, Default)]
pub struct Throttle {
    limit: Option<u64>,
    /// When everything that has passed would have passed at the limit.
    due: Mutex<Option<Instant>>,
}

impl Throttle {
    /// A limit of so many bytes a second; none lets everything pass.
    pub fn new(limit: Option<u64>) -> Throttle {
        Throttle {
            limit: limit.filter(|limit| *limit > 0),
            due: Mutex::default(),
        }
    }

    /// Whether there is a limit.
    pub fn is_limited(&self) -> bool {
        self.limit.is_some()
    }

    /// Waits until so many more bytes may pass.
    pub fn pass(&self, bytes: u64) {
        let Some(limit) = self.limit else {
            return;
        };
        let now = Instant::now();
        let due = {
            let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
            let from = due.map_or(now, |due| due.max(now - BURST));
            let next = from + Duration::from_secs_f64(bytes as f64 / limit as f64);
            *due = Some(next);
            next
        };
        std::thread::sleep(due.saturating_duration_since(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_take_their_time() {
        let throttle = Throttle::new(Some(1_000_000));
        let began = Instant::now();
        for _ in 0..4 {
            throttle.pass(100_000);
        }
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(290), "{took:?}");
        Throttle::new(None).pass(u64::MAX);
    }
}
