//! The repository half of a restore: files of a set, put where the target's own configuration has
//! them.
//!
//! Shard by shard, in parallel. For each file of the set: what stands in its place and is good is
//! left alone; a bad one goes to the quarantine; what is missing is copied out of the pool, proven
//! while it is written, and renamed into place. A gold that stands is linked into files/ at once:
//! that alone brings back every upload that is one plain file. Where the pool's copy is damaged,
//! another copy in the tree is taken, or the gold is fetched again. A file that cannot be put in its
//! place, for what stands there, is named and counted, and the rest goes on. Everything is put on disk
//! once, at the end; a restore that was cut short is gone on with by the same call.

mod bring;
mod error;
mod root;
mod storage;
mod worker;

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::AtomicUsize;

use serde::Serialize;

pub use error::FilesError;
pub use root::make_root;
pub(super) use root::{own_the_root, sync};
pub use storage::look_at_storage;

use super::quarantine::Quarantine;
use crate::catalog::Amount;
use crate::manifest::fetch::Fetcher;
use crate::manifest::{ByShard, Types};
use crate::monitor::{Monitor, Phase};
use crate::parallel::share_out;
use crate::repository::{RepositoryName, Shard, Tree};
use crate::store::layout::SetId;
use crate::store::{SetRecord, Store, StoreError};
use root::lock;
use storage::require_host;
use worker::{Work, Worker};

/// Contents are copied in pieces of this size.
const PIECE: usize = 1024 * 1024;

/// What files to restore, and how.
pub struct Request<'a> {
    /// The store.
    pub store: &'a Store,
    /// The set.
    pub id: SetId,
    /// Its record.
    pub record: &'a SetRecord,
    /// The types to restore.
    pub types: Types,
    /// Only what FOSSology writes to this host.
    pub host: Option<&'a str>,
    /// Fetches gold that the set left out; without one it stays away.
    pub fetcher: Option<&'a Fetcher>,
    /// The name of the run, for the quarantine.
    pub run: &'a str,
    /// Threads; at least 1.
    pub threads: usize,
    /// Only look.
    pub dry_run: bool,
}

/// What was done, or in a dry run would be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Restored {
    /// Good files that stood in their place already.
    pub kept: Amount,
    /// Contents copied out of the store.
    pub copied: Amount,
    /// Contents copied from elsewhere in the tree, for the store's are damaged.
    pub taken_from_tree: Amount,
    /// Gold fetched again.
    pub fetched: Amount,
    /// Further places of the same contents.
    pub linked: Amount,
    /// Bad files that were moved to the quarantine.
    pub quarantined: u64,
    /// Contents that could not be had.
    pub lost: Amount,
    /// Those of them of which a URL did not answer: another time it may.
    pub unreached: Amount,
    /// Files that could not be put in their place, for what stands there or on the way to it.
    pub unwritten: Amount,
    /// Contents that the store should have, and that could not be had from it.
    #[serde(skip)]
    pub broken: BTreeSet<RepositoryName>,
}

impl Restored {
    /// Whether the set holds no file that was asked for.
    pub fn is_nothing(&self) -> bool {
        *self == Restored::default()
    }

    fn add(&mut self, other: &Restored) {
        self.kept += other.kept;
        self.copied += other.copied;
        self.taken_from_tree += other.taken_from_tree;
        self.fetched += other.fetched;
        self.linked += other.linked;
        self.quarantined += other.quarantined;
        self.lost += other.lost;
        self.unreached += other.unreached;
        self.unwritten += other.unwritten;
        self.broken.extend(&other.broken);
    }
}

/// Restores files. See the module.
pub fn restore(
    request: &Request<'_>,
    tree: &Tree,
    monitor: &dyn Monitor,
) -> Result<Restored, FilesError> {
    if let Some(host) = request.host {
        require_host(&tree.layout().hosts, host)?;
    }
    let manifest = ByShard::new(request.store.manifest(request.id, request.record)?);
    monitor.phase(Phase::RestoreFiles, Some(request.record.manifest.entries));
    if !request.dry_run {
        lock(tree)?;
        own_the_root(tree)?;
    }
    let work = Work {
        request,
        tree,
        monitor,
        quarantine: Quarantine::of(tree, request.run),
        named_lost: AtomicUsize::new(0),
        named_unwritten: AtomicUsize::new(0),
    };
    let parts = share_out(request.threads, monitor, |shards| {
        let mut worker = Worker {
            work: &work,
            piece: vec![0; PIECE],
            restored: Restored::default(),
            inodes: HashMap::new(),
        };
        for shard in shards.map(Shard) {
            for entry in manifest.take(shard).map_err(StoreError::from)? {
                if monitor.stopped() {
                    return Err(FilesError::Stopped);
                }
                worker.entry(&entry)?;
                monitor.advance(1, 0);
            }
        }
        Ok(worker.restored)
    })?;
    if monitor.stopped() {
        return Err(FilesError::Stopped);
    }
    manifest.finish().map_err(StoreError::from)?;
    if !request.dry_run {
        sync(tree)?;
    }
    let mut restored = Restored::default();
    for part in parts {
        restored.add(&part);
    }
    Ok(restored)
}
