//! Misplaced files: taken at the end, from where they lie, for whoever has no copy in the right
//! place.

use std::collections::HashSet;

use super::{Keeper, ShardKeeper};
use crate::catalog::{Catalog, ShardPfiles};
use crate::check::{CompanionError, Finding};
use crate::manifest::Selection;
use crate::manifest::draft::Drafted;
use crate::manifest::entry::{Entry, Place};
use crate::monitor::Monitor;
use crate::repository::{Claim, LowImpact, Prover, RepositoryName, Shard, Tree, TreePath};

/// An entry whose file lies in no right place.
pub(super) struct Taken {
    pub(super) entry: Entry,
    pub(super) is_listing: bool,
    pub(super) path: TreePath,
}

/// Takes misplaced files, finding by finding.
pub(super) struct Late<'a> {
    pub(super) selection: &'a Selection,
    pub(super) keeper: Option<&'a dyn Keeper>,
    pub(super) low_impact: &'a LowImpact,
    /// What was taken from the right places.
    pub(super) manifest: &'a Drafted,
    pub(super) tree: &'a Tree,
    pub(super) catalog: &'a Catalog,
    pub(super) fetched: HashSet<RepositoryName>,
    /// The shard that was looked at last: findings come in the order of shards.
    pub(super) shard: Option<LateShard<'a>>,
    pub(super) taken: Vec<Taken>,
}

/// What is known of a shard whose misplaced files are taken.
pub(super) struct LateShard<'a> {
    shard: Shard,
    pfiles: ShardPfiles,
    /// What the set holds.
    held: HashSet<RepositoryName>,
    keeper: Option<Box<dyn ShardKeeper + 'a>>,
    prover: Prover,
}

impl<'a> Late<'a> {
    pub(super) fn misplaced(
        &mut self,
        finding: &Finding,
        monitor: &dyn Monitor,
    ) -> Result<(), CompanionError> {
        let (Some(Ok(name)), Some(path)) = (
            finding.name.as_ref().map(|name| name.parse()),
            finding.tree_path(),
        ) else {
            return Ok(());
        };
        let name: RepositoryName = name;
        if self.fetched.contains(&name) {
            return Ok(());
        }
        let (tree, selection) = (self.tree, self.selection);
        let shard = self.shard_of(&name)?;
        let pfile = shard.pfiles.find(&name);
        let wanted = pfile.and_then(|pfile| selection.wants(pfile));
        let Some(types) = wanted.filter(|types| !types.is_none()) else {
            return Ok(());
        };
        let is_listing = pfile.is_some_and(crate::catalog::Pfile::is_listing);
        if shard.held.contains(&name) {
            return Ok(());
        }
        let blake3 = match shard.take(tree, &name, &path, monitor)? {
            Held::Not => return Ok(()),
            Held::InTree => None,
            Held::Kept(blake3) => Some(blake3),
        };
        shard.held.insert(name);
        let urls = selection.urls(&name).cloned().unwrap_or_default();
        let entry = Entry {
            name,
            types,
            blake3,
            place: Place::Pool,
            urls: urls.urls,
            url_withheld: urls.withheld,
        };
        self.taken.push(Taken {
            entry,
            is_listing,
            path,
        });
        Ok(())
    }

    fn shard_of(&mut self, name: &RepositoryName) -> Result<&mut LateShard<'a>, CompanionError> {
        let shard = name.shard();
        let known = self.shard.take().filter(|known| known.shard == shard);
        let loaded = match known {
            Some(known) => known,
            None => self.load(shard)?,
        };
        Ok(self.shard.insert(loaded))
    }

    fn load(&self, shard: Shard) -> Result<LateShard<'a>, CompanionError> {
        let entries = self.manifest.entries(shard)?;
        let keeper = self.keeper;
        Ok(LateShard {
            shard,
            pfiles: self.catalog.shard(shard)?,
            held: entries
                .into_iter()
                .filter(|entry| entry.place == Place::Pool)
                .map(|entry| entry.name)
                .collect(),
            keeper: keeper.map(|keeper| keeper.begin(shard)).transpose()?,
            prover: Prover::new(false).sparing(self.low_impact),
        })
    }
}

/// What has become of a misplaced file.
enum Held {
    /// It is not what its name says, or is gone.
    Not,
    /// It stays where it is; nobody keeps copies.
    InTree,
    /// The keeper has it, with this BLAKE3.
    Kept([u8; 32]),
}

impl LateShard<'_> {
    fn take(
        &mut self,
        tree: &Tree,
        name: &RepositoryName,
        path: &TreePath,
        monitor: &dyn Monitor,
    ) -> Result<Held, CompanionError> {
        let Some(keeper) = &mut self.keeper else {
            return Ok(Held::InTree);
        };
        let claim = Claim {
            path: path.clone(),
            name: *name,
            size: name.size,
        };
        tree.prove_before(&[claim], &mut self.prover, &mut **keeper, monitor);
        if let Some(failure) = keeper.failure() {
            return Err(failure);
        }
        Ok(keeper.held(name).map_or(Held::Not, Held::Kept))
    }
}
