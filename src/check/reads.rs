//! Which shards' contents a run reads, and for how long.
//!
//! When the time is over in the midst of a shard, its contents count as not read: it is compared again
//! without them, and what is known of it is as true as of any other that was not read.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::Options;
use super::ledger::Ledger;
use crate::monitor::{Monitor, Phase, Room};
use crate::repository::Shard;

/// How long a run may read contents.
#[derive(Clone, Copy, Debug)]
pub struct TimeLimit {
    /// When the time began.
    pub began: Instant,
    /// How long it is.
    pub length: Duration,
}

impl TimeLimit {
    fn is_over(self) -> bool {
        self.began.elapsed() >= self.length
    }
}

/// Tells whose contents are read; shared by all threads.
pub(super) struct Reads<'a> {
    options: &'a Options,
    limit: Option<TimeLimit>,
    ledger: Option<&'a Ledger>,
    /// Shards outside of the slice that were bad when they were last read.
    again: Vec<Shard>,
    given_up: [AtomicBool; 256],
}

impl<'a> Reads<'a> {
    pub(super) fn of(
        options: &'a Options,
        limit: Option<TimeLimit>,
        ledger: Option<&'a Ledger>,
    ) -> Reads<'a> {
        Reads {
            options,
            limit,
            ledger,
            again: outside_of_the_slice(options, ledger),
            given_up: [const { AtomicBool::new(false) }; 256],
        }
    }

    /// Whether the contents of a shard are to be read now.
    pub(super) fn begin(&self, shard: Shard) -> bool {
        if self.limit.is_some_and(TimeLimit::is_over) {
            self.give_up(shard);
        }
        self.contains(shard)
    }

    /// The contents of a shard are not read after all.
    pub(super) fn give_up(&self, shard: Shard) {
        self.given_up[shard.index()].store(true, Ordering::Relaxed);
    }

    /// Whether the contents of a shard are read, or were.
    pub(super) fn contains(&self, shard: Shard) -> bool {
        let is_wanted = self.options.reads(shard) || self.again.contains(&shard);
        is_wanted && !self.given_up[shard.index()].load(Ordering::Relaxed)
    }

    /// How many shards outside of the slice are read, because they were bad.
    pub(super) fn again(&self) -> u64 {
        self.again.len() as u64
    }

    /// A monitor that asks to stop when the time is over, too, and keeps the ledger up to date.
    pub(super) fn until<'m>(&self, monitor: &'m dyn Monitor) -> Until<'m>
    where
        'a: 'm,
    {
        Until {
            monitor,
            limit: self.limit,
            ledger: self.ledger,
            is_over: AtomicBool::new(false),
        }
    }
}

/// The shards that a slice leaves out and that must not wait for their turn: until they are good again,
/// every run is to tell of them.
fn outside_of_the_slice(options: &Options, ledger: Option<&Ledger>) -> Vec<Shard> {
    let Some(ledger) = ledger.filter(|_| options.verify) else {
        return Vec::new();
    };
    let mut shards = ledger.bad_first(&options.types);
    shards.retain(|shard| !options.reads(*shard));
    shards
}

/// Asks to stop when the time is over.
pub(super) struct Until<'a> {
    monitor: &'a dyn Monitor,
    limit: Option<TimeLimit>,
    ledger: Option<&'a Ledger>,
    is_over: AtomicBool,
}

impl Until<'_> {
    /// Whether it asked to stop because of the time.
    pub(super) fn was_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }
}

impl Monitor for Until<'_> {
    fn phase(&self, phase: Phase, total: Option<u64>) {
        self.monitor.phase(phase, total);
    }

    fn advance(&self, steps: u64, bytes: u64) {
        self.monitor.advance(steps, bytes);
        if let Some(ledger) = self.ledger {
            ledger.tick();
        }
    }

    fn room(&self, room: &Room<'_>) {
        self.monitor.room(room);
    }

    fn warn(&self, message: &str) {
        self.monitor.warn(message);
    }

    fn stopped(&self) -> bool {
        if self.was_over() || self.limit.is_some_and(TimeLimit::is_over) {
            self.is_over.store(true, Ordering::Relaxed);
            return true;
        }
        self.monitor.stopped()
    }
}
