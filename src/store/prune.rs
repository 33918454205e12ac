//! Taking sets out of a store, and the contents that no other set needs.
//!
//! Nothing is deleted before every manifest of the store was read whole: a set that cannot be read
//! may need anything. Then, with nobody else at work in the store:
//!
//! 1. The directory of each set that goes is renamed to `.removed-…`, and the rename is on disk.
//! 2. Contents go that no set names any more. Those of a backup that was interrupted, and will go
//!    on, are named by the catalog it has saved. Files of license/ are in no catalog: beside a full
//!    set in the making, only contents go that a set which goes has in gold or files.
//! 3. The directories of removed sets go.
//!
//! Cut short at any point, this leaves every other set whole, and the next prune finishes it: step 2
//! looks at what is named, not at what was removed.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::digest::{Reader, intact};
use super::durable::{HALF, failed, rename};
use super::layout::{CATALOG_FILE, SetId};
use super::lock::{ReadLock, SoleLock};
use super::named::{NameList, Named};
use super::notes::Verdict;
use super::pool::{OpenShard, PoolShard};
use super::record::SetRecord;
use super::retention::{Apart, Judged, Keep, judge};
use super::{Listed, Store, StoreError};
use crate::catalog::{Amount, Catalog, ShardPfiles};
use crate::manifest::{SetKind, Types};
use crate::monitor::{Monitor, Phase};
use crate::parallel::share_out;
use crate::repository::{RepositoryName, Shard};

/// How to prune.
#[derive(Clone, Debug)]
pub struct Options {
    /// What to keep.
    pub keep: Keep,
    /// Delete; otherwise only say what would be.
    pub apply: bool,
    /// Threads; at least 1.
    pub threads: usize,
    /// Where scratch files go.
    pub scratch: PathBuf,
}

/// What was deleted, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Every finished set, in time order, with what becomes of it.
    pub judged: Vec<Judged>,
    /// Sets whose removal an earlier prune had begun.
    pub resumed: Vec<SetId>,
    /// Sets in the making, whose files stay.
    pub partial: Vec<SetId>,
    /// Contents that go.
    pub contents: Amount,
    /// Left-overs in the pool of backups that were killed, that go.
    pub halves: Amount,
    /// The removed sets' own files: manifests, dumps.
    pub own: Amount,
    /// Contents that stay.
    pub kept: u64,
    /// Things in the pool that are none of fogold's, and stay.
    pub foreign: u64,
}

impl Pruned {
    /// The bytes that go, all together.
    pub fn freed(&self) -> u64 {
        [self.contents, self.halves, self.own]
            .iter()
            .fold(0, |sum, amount| sum.saturating_add(amount.bytes))
    }
}

/// Prunes a store.
pub fn run(store: &Store, options: &Options, monitor: &dyn Monitor) -> Result<Pruned, StoreError> {
    // Held to the end. Without --apply, only who deletes is kept out.
    let _locks = if options.apply {
        (Some(SoleLock::take(store, "prune")?), None)
    } else {
        (None, Some(ReadLock::take(store)?))
    };
    let listed = store.list(monitor)?;
    if listed.finished.is_empty() {
        // Were the sets' directory on a disk that is not mounted, all contents would go.
        return Err(StoreError::NoSet {
            store: store.path().to_owned(),
        });
    }
    let apart = set_apart(store, &listed.finished).map_err(unsafe_to_go)?;
    let verified = last_verified(store, &listed.finished, &apart).map_err(unsafe_to_go)?;
    let judged = judge(&listed.finished, &options.keep, verified, |id| {
        apart.get(&id).copied()
    });
    let in_use = InUse::read(store, &judged, &listed, options, monitor).map_err(unsafe_to_go)?;
    let mut pruned = Pruned {
        judged,
        resumed: listed.removed,
        partial: listed.partial,
        ..Pruned::default()
    };
    if options.apply {
        for judged in pruned.judged.iter().filter(|judged| !judged.is_kept()) {
            let layout = store.layout();
            rename(&layout.set(judged.set), &layout.removed(judged.set))?;
        }
    }
    sweep(store, &in_use, options, &mut pruned, monitor)?;
    remove_sets(store, options, &mut pruned)?;
    // Notes of what is gone harm nobody; a full disk, which is why one prunes, must not stop it.
    if options.apply
        && let Err(error) = forget(store, &pruned)
    {
        monitor.warn(&format!(
            "the store's notes still name removed sets: {error}"
        ));
    }
    Ok(pruned)
}

/// The sets that are no reason for another one to go: they are damaged, may lack what it has, or bear
/// a time that has not been yet. A set that is several of these counts as the first.
fn set_apart(store: &Store, sets: &[SetId]) -> Result<BTreeMap<SetId, Apart>, StoreError> {
    let now = Timestamp::now();
    let notes = store.verifications()?;
    let mut apart = BTreeMap::new();
    for id in sets {
        let record = store.record(*id)?;
        let note = notes.get(&id.to_string());
        let found_damaged = note.is_some_and(|note| note.result == Verdict::Damaged);
        if found_damaged || !has_its_files(&record, &store.layout().set(*id)) {
            apart.insert(*id, Apart::Damaged);
        } else if id.is_of_the_future(now) {
            apart.insert(*id, Apart::Future);
        } else if !record.complete {
            apart.insert(*id, Apart::Incomplete);
        }
    }
    Ok(apart)
}

/// Whether a set's own files are there, as long as they were written. Nobody may have verified it.
fn has_its_files(record: &SetRecord, directory: &Path) -> bool {
    record.files().chain(&record.sysconf).all(|file| {
        fs::symlink_metadata(file.path(directory))
            .is_ok_and(|meta| meta.is_file() && meta.len() == file.bytes)
    })
}

/// The newest set that is known to be good as a whole; one that is set apart only when no other is.
fn last_verified(
    store: &Store,
    sets: &[SetId],
    apart: &BTreeMap<SetId, Apart>,
) -> Result<Option<SetId>, StoreError> {
    let ordinary: Vec<SetId> = sets
        .iter()
        .filter(|id| !apart.contains_key(id))
        .copied()
        .collect();
    match store.last_verified(&ordinary)? {
        None => store.last_verified(sets),
        found => Ok(found),
    }
}

/// An error that keeps everything in place; being asked to stop is none.
fn unsafe_to_go(error: StoreError) -> StoreError {
    match error {
        StoreError::Stopped => error,
        error => StoreError::NothingDeleted {
            source: Box::new(error),
        },
    }
}

/// What the sets that stay, and those in the making, name.
struct InUse {
    names: NameList,
    catalogs: Vec<Catalog>,
    /// What the sets that go name, where nothing else may go.
    going: Option<NameList>,
}

impl InUse {
    /// Reads it, and every manifest of the store whole, those of the sets that go as well.
    fn read(
        store: &Store,
        judged: &[Judged],
        listed: &Listed,
        options: &Options,
        monitor: &dyn Monitor,
    ) -> Result<InUse, StoreError> {
        monitor.phase(Phase::ReadSets, Some(judged.len() as u64));
        let mut reader = Reader::default();
        let (mut kept, mut going): (Vec<(SetId, SetRecord)>, _) = (Vec::new(), Vec::new());
        for judged in judged {
            let record = store.record(judged.set)?;
            let directory = store.layout().set(judged.set);
            intact(&record.manifest.file, &directory, &mut reader, monitor)?;
            let sets = if judged.is_kept() {
                &mut kept
            } else {
                &mut going
            };
            sets.push((judged.set, record));
            monitor.advance(1, 0);
        }
        // Sets of one kind next to one another: their contents then are in few runs of sets.
        kept.sort_by_key(|(id, _)| (id.kind, id.time));
        let mut catalogs = Vec::new();
        let mut has_full = false;
        for id in &listed.partial {
            let path = store.layout().partial(*id).join(CATALOG_FILE);
            if fs::symlink_metadata(&path).is_ok() {
                catalogs.push(saved_catalog(&path)?);
                has_full |= id.kind == SetKind::Full;
            }
        }
        let names = |sets: &[_]| NameList::of_sets(store, sets, &options.scratch, monitor);
        Ok(InUse {
            names: names(&kept)?,
            catalogs,
            going: has_full.then(|| names(&going)).transpose()?,
        })
    }

    fn shard(&self, shard: Shard) -> Result<InUseShard, StoreError> {
        let catalogs = self.catalogs.iter().map(|catalog| catalog.shard(shard));
        Ok(InUseShard {
            names: self.names.shard(shard)?,
            catalogs: catalogs.collect::<Result<_, _>>()?,
            going: self
                .going
                .as_ref()
                .map(|names| names.shard(shard))
                .transpose()?,
        })
    }
}

/// Opens the catalog of a set in the making, and reads it whole.
fn saved_catalog(path: &Path) -> Result<Catalog, StoreError> {
    let catalog = Catalog::open(path)?;
    for shard in Shard::all() {
        catalog.shard(shard)?;
    }
    Ok(catalog)
}

struct InUseShard {
    names: Vec<Named>,
    catalogs: Vec<ShardPfiles>,
    going: Option<Vec<Named>>,
}

impl InUseShard {
    fn may_go(&self, name: &RepositoryName) -> bool {
        let is_named = find(&self.names, name).is_some()
            || self.catalogs.iter().any(|each| each.find(name).is_some());
        !is_named
            && self.going.as_ref().is_none_or(|going| {
                let in_database = Types::GOLD.and(Types::FILES);
                find(going, name).is_some_and(|named| named.types().has(in_database))
            })
    }
}

fn find<'a>(names: &'a [Named], name: &RepositoryName) -> Option<&'a Named> {
    let at = names.binary_search_by(|named| named.name.cmp(name)).ok()?;
    Some(&names[at])
}

/// Goes through the pool, shard by shard, and deletes what nothing names.
fn sweep(
    store: &Store,
    in_use: &InUse,
    options: &Options,
    pruned: &mut Pruned,
    monitor: &dyn Monitor,
) -> Result<(), StoreError> {
    monitor.phase(Phase::Sweep, Some(256));
    let parts = share_out(options.threads, monitor, |shards| {
        let mut part = Pruned::default();
        for shard in shards.map(Shard) {
            sweep_shard(
                store,
                &in_use.shard(shard)?,
                shard,
                options.apply,
                &mut part,
            )?;
            monitor.advance(1, 0);
        }
        Ok::<_, StoreError>(part)
    })?;
    for part in parts {
        pruned.contents += part.contents;
        pruned.halves += part.halves;
        pruned.kept += part.kept;
        pruned.foreign += part.foreign;
    }
    if monitor.stopped() {
        return Err(StoreError::Stopped);
    }
    Ok(())
}

fn sweep_shard(
    store: &Store,
    in_use: &InUseShard,
    shard: Shard,
    apply: bool,
    part: &mut Pruned,
) -> Result<(), StoreError> {
    let listed = PoolShard::list(store.layout(), shard)?;
    let mut directory = OpenShard::of(store.layout(), shard);
    let mut delete = |name: &RepositoryName, file_name: &str| {
        directory.delete(name, file_name, apply).map_err(|why| {
            let path = store.layout().pool_path(name).with_file_name(file_name);
            failed("delete", &path, why.into())
        })
    };
    part.foreign += listed.foreign;
    for name in &listed.names {
        if in_use.may_go(name) {
            part.contents.add(delete(name, &name.to_string())?);
        } else {
            part.kept += 1;
        }
    }
    // A backup that runs has its contents on their way; with --apply there is none.
    for name in &listed.halves {
        part.halves.add(delete(name, &format!("{name}{HALF}"))?);
    }
    Ok(())
}

/// Deletes the directories of the sets that go, and counts what is in them.
fn remove_sets(store: &Store, options: &Options, pruned: &mut Pruned) -> Result<(), StoreError> {
    let layout = store.layout();
    let going = pruned.judged.iter().filter(|judged| !judged.is_kept());
    let going = going.map(|judged| {
        if options.apply {
            layout.removed(judged.set)
        } else {
            layout.set(judged.set)
        }
    });
    let resumed = pruned.resumed.iter().map(|id| layout.removed(*id));
    let directories: Vec<PathBuf> = going.chain(resumed).collect();
    for directory in directories {
        pruned.own += amount_below(&directory)?;
        if options.apply {
            fs::remove_dir_all(&directory)
                .map_err(|source| failed("delete", &directory, source))?;
        }
    }
    Ok(())
}

/// The files in a directory and below it.
fn amount_below(directory: &Path) -> Result<Amount, StoreError> {
    let failed = |source: io::Error| failed("read", directory, source);
    let mut amount = Amount::default();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let meta = entry.metadata().map_err(failed)?;
        if meta.is_dir() {
            amount += amount_below(&entry.path())?;
        } else {
            amount.add(meta.len());
        }
    }
    Ok(amount)
}

/// Takes what is gone out of the notes.
fn forget(store: &Store, pruned: &Pruned) -> Result<(), StoreError> {
    store.note_verifications(|notes| {
        for judged in pruned.judged.iter().filter(|judged| !judged.is_kept()) {
            notes.remove(&judged.set.to_string());
        }
    })?;
    store.retain_drills(|set| {
        let judged = pruned
            .judged
            .iter()
            .find(|each| each.set.to_string() == set);
        judged.is_some_and(|judged| judged.is_kept())
    })?;
    store.note_damaged(|names| {
        names.retain(|name| fs::symlink_metadata(store.layout().pool_path(name)).is_ok());
    })
}
