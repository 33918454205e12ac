//! The plan: which uploads are unpacked again, and what each brings back.
//!
//! Uploads of one gold that were unpacked with the same arguments are one *unpack*: a job of any of
//! them brings back the files of all. Memory holds a few numbers an upload, and the candidates of
//! files as `cover` bounds them; the files themselves are streamed, shard by shard, three times.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::cover::Cover;
use super::database::{OpenRow, Queued};
use super::error::RequeueError;
use super::golds::Golds;
use super::wanted::Wanted;
use crate::catalog::{Amount, Catalog, Summary, UploadIds, Usage, Use};
use crate::monitor::Monitor;
use crate::repository::{RepositoryName, TreePath};

/// Seconds for a gold of which nothing else is known: a start, and so many bytes a second.
const START: f64 = 1.0;
const BYTES_A_SECOND: f64 = 4e6;

/// Uploads that one job serves.
#[derive(Clone, Debug)]
pub(super) struct Unpack {
    /// Ascending.
    pub(super) uploads: Vec<i32>,
    pub(super) gold: RepositoryName,
    pub(super) arguments: Vec<u8>,
    /// The time it took, where the queue knows it.
    pub(super) known_seconds: Option<f64>,
    /// An upload of it and the row of its unpack that has no end.
    pub(super) open: Option<(i32, OpenRow)>,
}

/// An unpack that is to be queued.
#[derive(Clone, Debug)]
pub(super) struct Pick {
    /// The upload whose job it will be: the first one.
    pub(super) upload: i32,
    pub(super) unpack: Unpack,
    /// Where its gold was proven.
    pub(super) gold: TreePath,
    /// The missing files that it brings back.
    pub(super) brings: Amount,
    pub(super) seconds: f64,
    /// Uploads whose jobs in progress have to wait for it.
    pub(super) waiting: Vec<i32>,
}

/// An unpack that is needed and has a row without an end already.
#[derive(Clone, Debug)]
pub(super) struct Open {
    pub(super) upload: i32,
    pub(super) row: OpenRow,
    /// Its gold, and where that was proven.
    pub(super) gold: (RepositoryName, TreePath),
    /// The missing files that it brings back.
    pub(super) brings: Amount,
}

/// What is to be done.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    pub(super) picks: Vec<Pick>,
    /// Unpacks that are needed and have a row without an end already.
    pub(super) open: Vec<Open>,
    /// Uploads whose gold is lost, and why.
    pub(super) lost: BTreeMap<i32, String>,
    /// Files that no unpack brings back after all.
    pub(super) beyond: Amount,
    /// About how long unpacking takes for each upload whose tree is mended. How long it took before is
    /// no help: that run was cut short.
    pub(super) mending: BTreeMap<i32, f64>,
}

/// Makes the plan.
pub(super) struct Planner<'a> {
    wanted: &'a Wanted,
    catalog: &'a Catalog,
    queued: &'a BTreeMap<i32, Queued>,
    unpacks: Vec<Unpack>,
    /// The unpack of each upload.
    of_upload: HashMap<i32, u32>,
    pace: Pace,
    weights: Vec<f64>,
    /// Unpacks whose gold is not there.
    barred: HashSet<u32>,
}

/// What one look at all files showed.
struct Tally {
    brings: Vec<Amount>,
    beyond: Amount,
}

impl<'a> Planner<'a> {
    /// A planner that knows what the queue says of each upload.
    pub(super) fn of(
        wanted: &'a Wanted,
        catalog: &'a Catalog,
        queued: &'a BTreeMap<i32, Queued>,
    ) -> Planner<'a> {
        let (unpacks, of_upload) = unpacks(catalog.summary(), queued);
        let pace = Pace::of(&unpacks);
        Planner {
            wanted,
            catalog,
            queued,
            weights: unpacks.iter().map(|unpack| pace.weight(unpack)).collect(),
            pace,
            unpacks,
            of_upload,
            barred: HashSet::new(),
        }
    }

    /// Finds the cheapest set of unpacks whose golds are good. `mended` uploads are unpacked in any
    /// case.
    pub(super) fn plan(
        mut self,
        golds: &mut Golds<'_>,
        mended: &BTreeSet<i32>,
        monitor: &dyn Monitor,
    ) -> Result<Plan, RequeueError> {
        let mut plan = Plan {
            mending: self.mending(mended),
            ..Plan::default()
        };
        self.bar_lost(golds, &mut plan, monitor);
        let given: HashSet<u32> = (0u32..)
            .zip(&self.unpacks)
            .filter(|(_, unpack)| {
                unpack.open.is_some() || unpack.uploads.iter().any(|each| mended.contains(each))
            })
            .map(|(at, _)| at)
            .collect();
        let (picked, tally) = loop {
            let (picked, tally) = self.cover(&given, monitor)?;
            if self.all_proven(&picked, &given, &tally, golds, &mut plan, monitor) {
                break (picked, tally);
            }
        };
        plan.beyond = tally.beyond;
        for at in given {
            let (unpack, brings) = (&self.unpacks[at as usize], tally.brings[at as usize]);
            let Some((upload, row)) = unpack.open.filter(|_| brings.files > 0) else {
                continue;
            };
            if let Ok(path) = golds.prove(&unpack.gold, monitor) {
                plan.open.push(Open {
                    upload,
                    row,
                    gold: (unpack.gold, path),
                    brings,
                });
            }
        }
        plan.open.sort_unstable_by_key(|open| open.upload);
        let mut waiting = self.waiting(&picked, monitor)?;
        for at in picked {
            let unpack = &self.unpacks[at as usize];
            let (Some(upload), Ok(gold)) = (
                unpack.uploads.first().copied(),
                golds.prove(&unpack.gold, monitor),
            ) else {
                continue;
            };
            let mut waits = waiting.remove(&at).unwrap_or_default();
            waits.extend(&unpack.uploads);
            plan.picks.push(Pick {
                upload,
                unpack: unpack.clone(),
                gold,
                brings: tally.brings[at as usize],
                seconds: self.weights[at as usize],
                waiting: waits.into_iter().collect(),
            });
        }
        plan.picks.sort_by_key(|pick| pick.upload);
        Ok(plan)
    }

    fn mending(&self, mended: &BTreeSet<i32>) -> BTreeMap<i32, f64> {
        let seconds = |upload| {
            let unpack = &self.unpacks[*self.of_upload.get(upload)? as usize];
            Some((*upload, self.pace.estimate(unpack)))
        };
        mended.iter().filter_map(seconds).collect()
    }

    /// Bars the uploads whose gold a check found missing or bad, unless a good copy proves itself.
    fn bar_lost(&mut self, golds: &mut Golds<'_>, plan: &mut Plan, monitor: &dyn Monitor) {
        let suspects: Vec<u32> = (0u32..)
            .zip(&self.unpacks)
            .filter(|(_, unpack)| self.wanted.bad_golds.contains(&unpack.gold))
            .map(|(at, _)| at)
            .collect();
        for at in suspects {
            self.is_proven(at, golds, plan, monitor);
        }
    }

    /// Whether the golds of all picks are proven, and those of unpacks that are counted on because
    /// they are queued already; bars the unpacks of those that are not.
    fn all_proven(
        &mut self,
        picked: &BTreeSet<u32>,
        given: &HashSet<u32>,
        tally: &Tally,
        golds: &mut Golds<'_>,
        plan: &mut Plan,
        monitor: &dyn Monitor,
    ) -> bool {
        let mut all = true;
        let counted_on = given.iter().filter(|at| {
            self.unpacks[**at as usize].open.is_some() && tally.brings[**at as usize].files > 0
        });
        let needed: BTreeSet<u32> = picked.iter().chain(counted_on).copied().collect();
        for at in needed {
            all &= self.is_proven(at, golds, plan, monitor) || monitor.stopped();
        }
        all
    }

    fn is_proven(
        &mut self,
        at: u32,
        golds: &mut Golds<'_>,
        plan: &mut Plan,
        monitor: &dyn Monitor,
    ) -> bool {
        let unpack = &self.unpacks[at as usize];
        let Err(why) = golds.prove(&unpack.gold, monitor) else {
            return true;
        };
        for upload in &unpack.uploads {
            plan.lost.insert(*upload, why.clone());
        }
        self.barred.insert(at);
        false
    }

    /// The cheapest set of unpacks that are not barred.
    fn cover(
        &self,
        given: &HashSet<u32>,
        monitor: &dyn Monitor,
    ) -> Result<(BTreeSet<u32>, Tally), RequeueError> {
        let mut tally = Tally {
            brings: vec![Amount::default(); self.unpacks.len()],
            beyond: Amount::default(),
        };
        let mut cover = Cover::new(&self.weights, given.clone());
        // Files with one candidate first: most of the others are then covered and need no room.
        self.wanted.for_each(self.catalog, monitor, |name, uses| {
            let candidates = self.candidates(name, uses);
            for at in &candidates {
                tally.brings[*at as usize].add(name.size);
            }
            match candidates.len() {
                0 => tally.beyond.add(name.size),
                1 => cover.add(&candidates),
                _ => {}
            }
        })?;
        self.wanted.for_each(self.catalog, monitor, |name, uses| {
            let candidates = self.candidates(name, uses);
            if candidates.len() > 1 {
                cover.add(&candidates);
            }
        })?;
        let mut picked = cover.solve();
        picked.retain(|at| !given.contains(at));
        Ok((picked, tally))
    }

    /// The unpacks that bring a file back: of uploads whose tree holds it under a name of its own,
    /// and not as their own gold.
    fn candidates(&self, name: &RepositoryName, uses: &[Use]) -> Vec<u32> {
        let mut candidates: Vec<u32> = uses
            .iter()
            .filter(|each| each.usage.has(Usage::TREE))
            .filter_map(|each| self.of_upload.get(&each.upload).copied())
            .filter(|at| !self.barred.contains(at) && self.unpacks[*at as usize].gold != *name)
            .collect();
        candidates.sort_unstable();
        candidates.dedup();
        candidates
    }

    /// For each pick the uploads that have jobs in progress and need files that it brings back: a
    /// job that ran before would find nothing.
    fn waiting(
        &self,
        picked: &BTreeSet<u32>,
        monitor: &dyn Monitor,
    ) -> Result<BTreeMap<u32, BTreeSet<i32>>, RequeueError> {
        let mut waiting: BTreeMap<u32, BTreeSet<i32>> = BTreeMap::new();
        let in_progress: HashSet<i32> = self
            .queued
            .iter()
            .filter(|(_, queued)| queued.others_open)
            .map(|(upload, _)| *upload)
            .collect();
        if in_progress.is_empty() || picked.is_empty() {
            return Ok(waiting);
        }
        self.wanted.for_each(self.catalog, monitor, |name, uses| {
            let mut users = uses
                .iter()
                .filter(|each| in_progress.contains(&each.upload))
                .peekable();
            if users.peek().is_none() {
                return;
            }
            let candidates = self.candidates(name, uses);
            if let Some(pick) = candidates.iter().find(|at| picked.contains(at)) {
                let uploads = waiting.entry(*pick).or_default();
                uploads.extend(users.map(|each| each.upload));
            }
        })?;
        Ok(waiting)
    }
}

/// The unpacks of all uploads that have a gold.
fn unpacks(summary: &Summary, queued: &BTreeMap<i32, Queued>) -> (Vec<Unpack>, HashMap<i32, u32>) {
    let mut unpacks: Vec<Unpack> = Vec::new();
    let mut known: HashMap<(RepositoryName, Vec<u8>), u32> = HashMap::new();
    let mut of_upload = HashMap::new();
    for upload in summary.uploads.iter().filter(|upload| !upload.deleted) {
        let (Some(gold), Some(row)) = (upload.gold, queued.get(&upload.pk)) else {
            continue;
        };
        let arguments = row.arguments.clone().unwrap_or_default();
        let at = *known.entry((gold, arguments.clone())).or_insert_with(|| {
            unpacks.push(Unpack {
                uploads: Vec::new(),
                gold,
                arguments,
                known_seconds: None,
                open: None,
            });
            (unpacks.len() - 1) as u32
        });
        let unpack = &mut unpacks[at as usize];
        unpack.uploads.push(upload.pk);
        unpack.known_seconds = unpack.known_seconds.or(row.seconds);
        let open = row.open_unpack.map(|row| (upload.pk, row));
        // One that is still to start is more to be counted on than one that was started, or is paused.
        unpack.open = [unpack.open, open]
            .into_iter()
            .flatten()
            .min_by_key(|(_, row)| (row.started.is_some(), row.paused));
        of_upload.insert(upload.pk, at);
    }
    (unpacks, of_upload)
}

/// How many bytes a second this server unpacks.
struct Pace(f64);

impl Pace {
    /// By the unpacks whose time is known.
    fn of(unpacks: &[Unpack]) -> Pace {
        let known = unpacks
            .iter()
            .filter_map(|unpack| Some((unpack.known_seconds?, unpack.gold.size as f64)));
        let (seconds, bytes) = known.fold((0.0, 0.0), |(seconds, bytes), (s, b)| {
            (seconds + s, bytes + b)
        });
        Pace(if seconds > 0.0 && bytes >= BYTES_A_SECOND {
            bytes / seconds
        } else {
            BYTES_A_SECOND
        })
    }

    /// Seconds for so many bytes.
    fn estimate(&self, unpack: &Unpack) -> f64 {
        START + unpack.gold.size as f64 / self.0
    }

    /// Seconds an unpack takes: as long as it took before, else as this server takes for its bytes.
    fn weight(&self, unpack: &Unpack) -> f64 {
        unpack
            .known_seconds
            .unwrap_or_else(|| self.estimate(unpack))
    }
}

/// The uploads that a job serves, as reports show them.
pub(super) fn shown(uploads: &[i32]) -> UploadIds {
    UploadIds::of(uploads.iter().copied())
}
