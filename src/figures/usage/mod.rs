//! Who has how much of the repository: by upload, user, folder or type.
//!
//! What counts is contents: a pfile counts once, by its size, however many tree rows point at it and
//! however often it stands on disk. It is a group's *own* when no other group refers to it, and
//! *shared* by all groups that do. With the tree at hand it is also known what of the disk a group's
//! own contents take, and what there is that no upload needs.

mod count;
mod group;

use serde::Serialize;

use super::copies::{Copies, CountShard};
use super::{FiguresError, OnDisk};
use crate::catalog::{Amount, Catalog, CatalogError, LiveRows};
use crate::check::{self, Aids, Options};
use crate::monitor::{Monitor, Phase};
use crate::parallel::share_out;
use crate::repository::{Shard, Tree};
use count::Counter;
pub use count::Share;
use group::Grouping;
pub use group::{By, Group};

/// How the repository is shared out.
#[derive(Clone, Debug, Serialize)]
pub struct Usage {
    /// By what.
    pub by: By,
    /// The groups, in no order.
    pub groups: Vec<Counted>,
    /// Everything that any upload refers to, once.
    pub all: Amount,
    /// What rows of `pfile` name and no upload refers to.
    pub unused: Amount,
    /// What was seen of the tree, where it was looked at.
    pub on_disk: Option<OnDisk>,
}

/// A group and what it has.
#[derive(Clone, Debug, Serialize)]
pub struct Counted {
    /// Who.
    #[serde(flatten)]
    pub group: Group,
    /// How much.
    #[serde(flatten)]
    pub share: Share,
}

/// What groups are put in order by; names ascend, bytes descend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// Own contents.
    Own,
    /// Contents that others refer to as well.
    Shared,
    /// Both together.
    Total,
    /// What they are called.
    Name,
}

impl Usage {
    /// Puts the groups in order. Of what is alike, the lower key comes first.
    pub fn sort(&mut self, order: Order) {
        self.groups.sort_by(|a, b| {
            let bytes = |counted: &Counted| match order {
                Order::Own => counted.share.own.bytes,
                Order::Shared => counted.share.shared.bytes,
                Order::Total => counted.share.total.bytes,
                Order::Name => 0,
            };
            let by_name = match order {
                Order::Name => a.group.name.cmp(&b.group.name),
                _ => std::cmp::Ordering::Equal,
            };
            (bytes(b).cmp(&bytes(a)))
                .then(by_name)
                .then(a.group.id.cmp(&b.group.id))
        });
    }
}

/// Counts by the rows alone.
pub fn of_rows(
    catalog: &Catalog,
    by: By,
    threads: usize,
    monitor: &dyn Monitor,
) -> Result<Usage, FiguresError> {
    let grouping = Grouping::of(by, catalog)?;
    let counter = Counter::new(&grouping, false);
    monitor.phase(Phase::Plan, Some(256));
    share_out(threads, monitor, |shards| {
        for shard in shards.map(Shard) {
            counter.count(&catalog.shard(shard)?, &[]);
            monitor.advance(1, 0);
        }
        Ok::<(), CatalogError>(())
    })?;
    if monitor.stopped() {
        return Err(CatalogError::Stopped.into());
    }
    Ok(counter.finish(None))
}

/// Counts with the tree at hand, which is listed as a check does it.
pub fn with_tree(
    tree: &Tree,
    catalog: &Catalog,
    live: Option<&dyn LiveRows>,
    by: By,
    options: &Options,
    monitor: &dyn Monitor,
) -> Result<Usage, FiguresError> {
    let grouping = Grouping::of(by, catalog)?;
    let counter = Counter::new(&grouping, true);
    let copies = Copies::new(&counter, None);
    let aids = Aids {
        live,
        companion: Some(&copies),
        ..Aids::default()
    };
    let outcome = check::run_with(tree, catalog, aids, options, monitor)
        .map_err(|error| FiguresError::of_check(error, true))?;
    if monitor.stopped() {
        return Err(CatalogError::Stopped.into());
    }
    let on_disk = OnDisk::of(tree, &outcome, counter.twice(), monitor)?;
    Ok(counter.finish(Some(on_disk)))
}
