//! Counts what is a group's own and what it shares, shard by shard.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use super::group::{By, Grouping};
use super::{Counted, Usage};
use crate::catalog::{Amount, ShardPfiles, Usage as Use};
use crate::figures::OnDisk;
use crate::figures::copies::CountShard;

/// What a group has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Share {
    /// Contents that no other group refers to.
    pub own: Amount,
    /// Contents that other groups refer to as well.
    pub shared: Amount,
    /// Both together.
    pub total: Amount,
    /// Bytes of the disk that its own contents take: what would be free without the group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frees: Option<u64>,
}

impl Share {
    fn add(&mut self, other: &Share) {
        self.own += other.own;
        self.shared += other.shared;
        self.total += other.total;
        self.frees = match (self.frees, other.frees) {
            (Some(ours), Some(theirs)) => Some(ours.saturating_add(theirs)),
            (ours, theirs) => ours.or(theirs),
        };
    }
}

/// Adds up shards as they come, from several threads.
pub(super) struct Counter<'a> {
    grouping: &'a Grouping<'a>,
    /// Copies on disk are known.
    sees_disk: bool,
    totals: Mutex<Totals>,
}

#[derive(Default)]
struct Totals {
    shares: Vec<Share>,
    all: Amount,
    unused: Amount,
    twice: Amount,
}

impl<'a> Counter<'a> {
    pub(super) fn new(grouping: &'a Grouping<'a>, sees_disk: bool) -> Counter<'a> {
        let nothing = Share {
            frees: sees_disk.then_some(0),
            ..Share::default()
        };
        Counter {
            grouping,
            sees_disk,
            totals: Mutex::new(Totals {
                shares: vec![nothing; grouping.groups.len()],
                ..Totals::default()
            }),
        }
    }

    fn totals(&self) -> MutexGuard<'_, Totals> {
        self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Contents that stand on disk more than once: the copies beyond the first.
    pub(super) fn twice(&self) -> Amount {
        self.totals().twice
    }

    /// Hands out what was counted.
    pub(super) fn finish(self, on_disk: Option<OnDisk>) -> Usage {
        let totals = self
            .totals
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        let groups = self.grouping.groups.iter().zip(totals.shares);
        let groups = groups.map(|(group, share)| Counted {
            group: group.clone(),
            share,
        });
        Usage {
            by: self.grouping.by,
            // What stands in for unknown groups is of interest only where it has something.
            groups: groups
                .filter(|counted| {
                    counted.group.id.is_some()
                        || counted.group.uploads.is_some_and(|uploads| uploads > 0)
                        || counted.share.total.files > 0
                })
                .collect(),
            all: totals.all,
            unused: totals.unused,
            on_disk,
        }
    }
}

impl CountShard for Counter<'_> {
    fn count(&self, pfiles: &ShardPfiles, copies: &[u16]) {
        let mut here: HashMap<u32, Share> = HashMap::new();
        let (mut all, mut unused, mut twice) =
            (Amount::default(), Amount::default(), Amount::default());
        let mut found = Vec::new();
        for (at, pfile) in pfiles.pfiles().iter().enumerate() {
            let size = pfile.name.size;
            let copies = copies.get(at).copied().map_or(0, u64::from);
            for _ in 1..copies {
                twice.add(size);
            }
            let uses = pfiles.uses(pfile);
            if uses.is_empty() {
                if !pfile.usage.has(Use::LEFT) {
                    unused.add(size);
                }
                continue;
            }
            all.add(size);
            found.clear();
            self.grouping.groups_of(pfile, uses, &mut found);
            for group in &found {
                let share = here.entry(*group).or_default();
                share.total.add(size);
                let freed = match found.len() {
                    1 => {
                        share.own.add(size);
                        size.saturating_mul(copies)
                    }
                    _ => {
                        share.shared.add(size);
                        // Gold and files: each frees its own copy, unless they are one inode.
                        let apart = self.grouping.by == By::Type && copies > 1;
                        if apart { size } else { 0 }
                    }
                };
                if self.sees_disk {
                    *share.frees.get_or_insert(0) += freed;
                }
            }
        }
        let mut totals = self.totals();
        for (group, share) in here {
            totals.shares[group as usize].add(&share);
        }
        totals.all += all;
        totals.unused += unused;
        totals.twice += twice;
    }
}
