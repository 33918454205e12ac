//! Gold and its copy in files as one file again (`--relink`).
//!
//! FOSSology links them when it takes an upload in, and its first unpack breaks the link. Both are
//! read and proven before; the copy goes to the quarantine in the moment in which the link takes its
//! place.

use super::act::Actor;
use super::journal::Step;
use super::outcome::Acted;
use super::staging::NoCopy;
use super::steps::{self, Taken};
use super::{AT_ONCE, RepairError, Server};
use crate::catalog::CatalogError;
use crate::monitor::{Monitor, Phase};
use crate::repository::{Meta, RepositoryName, Shard, Tree, TreePath};
use crate::sysconf::RepositoryType;

/// A gold and a copy of it that could be one file.
struct Pair {
    name: RepositoryName,
    gold: TreePath,
    copy: TreePath,
    gold_inode: u64,
    copy_inode: u64,
}

/// How many pairs there are.
pub(super) fn plan(server: &Server<'_>, monitor: &dyn Monitor) -> Result<Acted, RepairError> {
    let mut acted = Acted::default();
    for shard in Shard::all() {
        if monitor.stopped() {
            return Err(RepairError::Stopped);
        }
        for pair in pairs(server, shard)? {
            acted.planned.add(pair.name.size);
        }
    }
    Ok(acted)
}

/// Makes every pair one file. What ends the run before its end is noted with the actor.
pub(super) fn run(actor: &mut Actor<'_>, server: &Server<'_>) -> Acted {
    actor.monitor.phase(Phase::Repair, None);
    let mut acted = Acted::default();
    for shard in Shard::all() {
        let pairs = match pairs(server, shard) {
            Ok(pairs) => pairs,
            Err(error) => {
                actor.broken.get_or_insert(error.into());
                return acted;
            }
        };
        for pairs in pairs.chunks(AT_ONCE) {
            some(actor, pairs, &mut acted);
            if actor.broken.is_some() {
                return acted;
            }
        }
    }
    acted
}

fn some(actor: &mut Actor<'_>, pairs: &[Pair], acted: &mut Acted) {
    let mut ready: Vec<(Step, u64)> = Vec::new();
    for pair in pairs {
        if actor.monitor.stopped() {
            actor.broken.get_or_insert(RepairError::Stopped);
            break;
        }
        match prepare(actor, pair) {
            Ok(Some(step)) => ready.push((step, pair.name.size)),
            Ok(None) => acted.left.add(pair.name.size),
            Err(error) => {
                actor.broken.get_or_insert(error);
                break;
            }
        }
    }
    let steps: Vec<Step> = ready.iter().map(|(step, _)| step.clone()).collect();
    let is_written = match actor.journal.write(&steps) {
        Ok(()) => true,
        Err(error) => {
            actor.broken.get_or_insert(error);
            false
        }
    };
    for (step, size) in &ready {
        let taken = match is_written {
            true => steps::take(actor.tree, step),
            false => Taken::Nothing,
        };
        if taken == Taken::Done {
            acted.done.add(*size);
        } else {
            actor.staging.discard_of(step);
            acted.left.add(*size);
        }
        actor.monitor.advance(1, 0);
    }
}

/// The step that makes a pair one file; none where it cannot be, or one of both is bad.
fn prepare(actor: &mut Actor<'_>, pair: &Pair) -> Result<Option<Step>, RepairError> {
    let ty = RepositoryType::Files;
    let is_good = actor.staging.proves(&pair.copy, &pair.name);
    if !matches!(is_good, Ok(true)) {
        return Ok(None);
    }
    let staging = &mut actor.staging;
    let staged = match staging.copy_in_tree(&pair.gold, &pair.name, ty, &pair.copy) {
        Ok(staged) => staged,
        Err(NoCopy::Bad(_)) => return Ok(None),
        Err(NoCopy::Broken(error)) => return Err(error),
    };
    // Where no link can be made, a copy was.
    let place = actor.quarantine.place_for(&pair.copy);
    let (true, Ok(to)) = (staged.inode == pair.gold_inode, place) else {
        actor.staging.discard(&staged.path);
        return Ok(None);
    };
    Ok(Some(Step::Replace {
        path: pair.copy.clone(),
        staged: staged.path,
        inode: staged.inode,
        to,
        old: pair.copy_inode,
    }))
}

/// The pairs of a shard.
fn pairs(server: &Server<'_>, shard: Shard) -> Result<Vec<Pair>, CatalogError> {
    let pfiles = server.catalog.shard(shard)?;
    let golds = pfiles.pfiles().iter().filter(|pfile| pfile.in_gold());
    Ok(golds
        .filter_map(|pfile| pair(server.tree, &pfile.name))
        .collect())
}

fn pair(tree: &Tree, name: &RepositoryName) -> Option<Pair> {
    let first = |ty| -> Option<(TreePath, Meta)> {
        let places = tree.layout().places(ty, name);
        let mut standing = places
            .into_iter()
            .filter_map(|path| tree.meta(&path).ok().map(|meta| (path, meta)));
        standing
            .next()
            .filter(|(_, meta)| meta.is_file() && meta.size == name.size)
    };
    let (gold, of_gold) = first(RepositoryType::Gold)?;
    let (copy, of_copy) = first(RepositoryType::Files)?;
    let could_be_one = of_gold.device == of_copy.device && of_gold.inode != of_copy.inode;
    could_be_one.then_some(Pair {
        name: *name,
        gold,
        copy,
        gold_inode: of_gold.inode,
        copy_inode: of_copy.inode,
    })
}
