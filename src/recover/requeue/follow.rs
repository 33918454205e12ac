//! Following jobs to their end: never without a limit.
//!
//! A job's "Completed" proves nothing about files; that is looked at afterwards. Here it only counts
//! whether the jobs have ended, and, when nothing moves, why not: a scheduler may be down, may hang
//! in its self-test while it answers, or may run other things.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::database::{Database, JobState};
use super::error::RequeueError;
use super::scheduler::Scheduler;
use crate::monitor::Monitor;

/// The shortest and longest time between two looks at the queue.
const LOOKS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// How often the scheduler is reminded of the queue while nothing moves.
const REMIND: Duration = Duration::from_secs(60);
/// The scheduler looks at the queue at least every two minutes: after this it is asked what is up.
const FIRST_DOUBT: Duration = Duration::from_secs(180);
/// Between two questions whether to stop.
const NAP: Duration = Duration::from_millis(50);

/// How long to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For all jobs together.
    pub overall: Duration,
    /// While nothing moves: no job starts, ends, or reports items.
    pub standstill: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            overall: Duration::from_secs(24 * 3600),
            standstill: Duration::from_secs(3600),
        }
    }
}

/// Why waiting ended before the jobs did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum GaveUp {
    /// The monitor asked to stop.
    Stopped,
    /// For the reason given.
    Because(String),
}

/// Follows jobs.
pub(super) struct Follower<'a> {
    pub(super) scheduler: Option<&'a Scheduler>,
    pub(super) patience: Patience,
    /// When waiting began, over all batches.
    pub(super) began: Instant,
    pub(super) monitor: &'a dyn Monitor,
}

impl Follower<'_> {
    /// Waits until all rows have ended; `now` keeps their last known states.
    pub(super) fn until_ended(
        &self,
        database: &mut Database,
        rows: &[i32],
        now: &mut BTreeMap<i32, JobState>,
    ) -> Result<Option<GaveUp>, RequeueError> {
        let mut last_move = Instant::now();
        let mut reminded = Instant::now();
        let mut doubted = false;
        let mut pause = LOOKS.0;
        loop {
            let states = database.progress(rows)?;
            let before = ended(now, rows);
            if states != *now {
                last_move = Instant::now();
                pause = LOOKS.0;
                *now = states;
                self.monitor.advance(ended(now, rows) - before, 0);
            }
            // A row that somebody has deleted will never end.
            if rows
                .iter()
                .all(|row| now.get(row).is_none_or(|state| state.ended))
            {
                return Ok(None);
            }
            let stands = last_move.elapsed();
            if self.began.elapsed() >= self.patience.overall {
                let why = format!(
                    "the jobs have not ended within {}",
                    minutes(self.patience.overall)
                );
                return Ok(Some(GaveUp::Because(why)));
            }
            if stands >= self.patience.standstill {
                let why = self.diagnosis(rows, now, stands);
                return Ok(Some(GaveUp::Because(why)));
            }
            if !doubted && stands >= FIRST_DOUBT && !now.values().any(|state| state.started) {
                doubted = true;
                self.monitor.warn(&self.diagnosis(rows, now, stands));
            }
            if let (Some(scheduler), true) = (self.scheduler, reminded.elapsed() >= REMIND) {
                reminded = Instant::now();
                // Why it does not answer is said when nothing moves.
                let _ = scheduler.look_at_queue();
            }
            if !self.sleep(pause) {
                return Ok(Some(GaveUp::Stopped));
            }
            pause = (pause * 2).min(LOOKS.1).min(self.patience.standstill / 2);
        }
    }

    /// Sleeps; false when asked to stop.
    fn sleep(&self, pause: Duration) -> bool {
        let began = Instant::now();
        while began.elapsed() < pause {
            if self.monitor.stopped() {
                return false;
            }
            std::thread::sleep(NAP.min(pause));
        }
        !self.monitor.stopped()
    }

    /// Why nothing moves, as far as the scheduler itself tells.
    fn diagnosis(&self, rows: &[i32], now: &BTreeMap<i32, JobState>, stands: Duration) -> String {
        let time = minutes(stands);
        let Some(scheduler) = self.scheduler else {
            return format!("nothing has moved for {time}: is the scheduler running?");
        };
        let status = match scheduler.status() {
            Ok(status) => status,
            Err(error) => {
                return format!(
                    "nothing has moved for {time}, and the scheduler at {scheduler} does not answer ({error}): start it"
                );
            }
        };
        if let Some(test) = status.self_test.first() {
            return format!(
                "nothing has moved for {time}: the scheduler at {scheduler} answers but runs nothing, for it hangs in \
                 its self-test (its status shows job {test}): restart it"
            );
        }
        let running: Vec<String> = rows
            .iter()
            .filter(|row| status.jobs.contains(row))
            .map(i32::to_string)
            .collect();
        if running.is_empty() {
            let started = now.values().any(|state| state.started && !state.ended);
            let hint = if started {
                "its status does not show the started ones; restart it, so that it runs them again"
            } else {
                "look at its log, and restart it"
            };
            return format!(
                "nothing has moved for {time}: the scheduler at {scheduler} answers but runs none of the queued jobs; {hint}"
            );
        }
        format!(
            "nothing has moved for {time}, though the scheduler at {scheduler} says that it runs {}",
            running.join(", ")
        )
    }
}

fn ended(states: &BTreeMap<i32, JobState>, rows: &[i32]) -> u64 {
    let ended = |row: &&i32| states.get(row).is_some_and(|state| state.ended);
    rows.iter().filter(ended).count() as u64
}

/// A time for people.
fn minutes(time: Duration) -> String {
    match time.as_secs() {
        seconds if seconds < 120 => format!("{seconds} s"),
        seconds if seconds < 7200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}
