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
        self.options.reads(shard) && !self.given_up[shard.index()].load(Ordering::Relaxed)
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
