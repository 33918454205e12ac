//! Reading a store back against its manifests.
//!
//! 1. Each set's own files are held against its record, and its manifest against its dump
//!    (`own_files`, `agreement`).
//! 2. All contents that the sets name are looked at once, however many sets name them: whether they
//!    are there and how long they are, and, in the slice that was asked for, their blake3
//!    (`contents`).
//! 3. What was found is noted in the store's state.
//!
//! What is damaged is a finding and never ends a run. A set whose manifest cannot be read whole
//! makes the run incomplete: nobody can tell what it names. A set of a newer format is passed over and
//! named, unless it is the one that was asked for.

mod agreement;
mod contents;
mod own_files;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::path::PathBuf;

use serde::Serialize;

use super::digest::Reader;
use super::layout::SetId;
use super::lock::ReadLock;
use super::named::NameList;
use super::notes::{Parts, Verdict, Verification};
use super::record::SetRecord;
use super::{Store, StoreError, now, pool};
use crate::catalog::Amount;
use crate::check::{Batch, Slice, Spool};
use crate::monitor::{Monitor, Phase};
use crate::repository::{LowImpact, RepositoryName, Shard};
use crate::sysconf::Programs;
use contents::Contents;
use own_files::{SetCheck, part_of};

/// How to verify.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which parts of the contents are read. A dump is held against its manifest with the part
    /// that the set's id falls into.
    pub slice: Slice,
    /// Where `pg_restore` is, which reads the dumps.
    pub programs: Programs,
    /// Threads; at least 1.
    pub threads: usize,
    /// Where scratch files go.
    pub scratch: PathBuf,
    /// How contents are read.
    pub low_impact: LowImpact,
}

/// What was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// The sets, in time order.
    pub sets: Vec<SetCoverage>,
    /// Contents that the sets name, each once.
    pub named: Amount,
    /// Contents that were found with the right length.
    pub found: Amount,
    /// Contents that were to be read.
    pub to_read: Amount,
    /// Contents that were read.
    pub read: Amount,
}

/// What was looked at of one set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SetCoverage {
    /// The set.
    pub id: String,
    /// The manifest.
    pub manifest: State,
    /// The database dump.
    pub dump: State,
    /// The set's other files: record, roles, findings, logs.
    pub others: State,
    /// Whether manifest and dump name the same gold.
    pub agreement: State,
    /// Files that the manifest names.
    pub entries: u64,
}

impl SetCoverage {
    /// Nothing of a set was looked at yet.
    fn unread(id: SetId) -> SetCoverage {
        SetCoverage {
            id: id.to_string(),
            manifest: State::Unread,
            dump: State::Unread,
            others: State::Unread,
            agreement: State::Unread,
            entries: 0,
        }
    }

    /// Whether anything of the set's own is damaged.
    pub fn is_damaged(&self) -> bool {
        [self.manifest, self.dump, self.others, self.agreement].contains(&State::Damaged)
    }
}

/// What is known of a part of a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It was not looked at.
    #[default]
    Unread,
    /// It is as it should be.
    Good,
    /// It is not.
    Damaged,
}

/// What a verification found.
#[derive(Debug)]
pub struct Verified {
    /// All findings, in order.
    pub findings: Spool,
    /// What was looked at.
    pub coverage: Coverage,
    /// Everything that was asked for was looked at, but for the sets of a newer format.
    pub complete: bool,
    /// Sets of a format that this program does not know, and did not look at.
    pub newer: Vec<SetId>,
    /// The shards whose contents were looked at completely.
    pub complete_shards: Vec<Shard>,
    /// Why not everything could be looked at.
    pub troubles: Vec<String>,
}

impl Verified {
    /// Whether everything was looked at.
    pub fn is_complete(&self) -> bool {
        self.complete && self.newer.is_empty()
    }

    /// Names a set that this program is too old for.
    fn pass_over(&mut self, id: SetId, format: u64, monitor: &dyn Monitor) {
        let trouble = format!("set {id} is of a newer format ({format}); not verified");
        monitor.warn(&trouble);
        self.troubles.push(trouble);
        self.coverage.sets.push(SetCoverage::unread(id));
        self.newer.push(id);
        monitor.advance(1, 0);
    }
}

/// Verifies the set of a store that a text means (see [`Store::find_set`]), or all sets. Nothing is
/// taken out of the store while it runs.
pub fn run(
    store: &Store,
    wanted: Option<&str>,
    options: &Options,
    monitor: &dyn Monitor,
) -> Result<Verified, StoreError> {
    let _lock = ReadLock::take(store)?;
    let sets = match wanted {
        Some(_) => vec![store.find_set(wanted, monitor)?],
        None => store.sets(monitor)?,
    };
    if sets.is_empty() {
        return Err(StoreError::NoSet {
            store: store.path().to_owned(),
        });
    }
    store.warn_of_open_sets(&sets, monitor);
    let mut verified = Verified {
        findings: Spool::new(&options.scratch)?,
        coverage: Coverage::default(),
        complete: true,
        newer: Vec::new(),
        complete_shards: Vec::new(),
        troubles: Vec::new(),
    };
    let whole_store = wanted.is_none();
    let checks = check_sets(store, sets, whole_store, options, &mut verified, monitor)?;
    let readable: Vec<(SetId, SetRecord)> = checks
        .iter()
        .filter(|check| check.coverage.manifest == State::Good)
        .filter_map(|check| Some((check.id, check.record.clone()?)))
        .collect();
    let names = NameList::of_sets(store, &readable, &options.scratch, monitor)?;
    refuse_empty_pool(store, &names)?;
    let contents = Contents {
        store,
        names: &names,
        sets: &readable,
        options,
        known_damaged: store.damaged().unwrap_or_default(),
    };
    monitor.phase(Phase::ReadPool, Some(256));
    let seen = contents.look(&mut verified, monitor)?;
    verified.complete &= verified.complete_shards.len() == 256 && !monitor.stopped();
    if let Err(error) = note(store, &checks, &readable, &verified, &seen, options) {
        monitor.warn(&format!(
            "the outcome could not be noted in the store: {}",
            told(&error)
        ));
    }
    Ok(verified)
}

/// Checks what each set has by itself. Of a whole store, sets of a newer format are passed over.
fn check_sets(
    store: &Store,
    mut sets: Vec<SetId>,
    whole_store: bool,
    options: &Options,
    verified: &mut Verified,
    monitor: &dyn Monitor,
) -> Result<Vec<SetCheck>, StoreError> {
    monitor.phase(Phase::ReadSets, Some(sets.len() as u64));
    // Sets of one kind next to one another: their contents then are in few runs of sets.
    sets.sort_unstable_by_key(|id| (id.kind, id.time));
    let mut checks = Vec::with_capacity(sets.len());
    let mut reader = Reader::sparing(&options.low_impact);
    let mut batch = Batch::default();
    for id in sets {
        let mut check = match SetCheck::of(store, id, options, &mut reader, monitor) {
            Ok(check) => check,
            Err(error) => {
                let format = error.newer_format().filter(|_| whole_store);
                verified.pass_over(id, format.ok_or(error)?, monitor);
                continue;
            }
        };
        for finding in check.findings.drain(..) {
            batch.push(finding);
        }
        verified.complete &= check.troubles.is_empty();
        verified.troubles.append(&mut check.troubles);
        verified.coverage.sets.push(check.coverage.clone());
        checks.push(check);
        monitor.advance(1, 0);
    }
    verified.coverage.sets.sort_by(|a, b| a.id.cmp(&b.id));
    verified.findings.deliver(0, batch)?;
    Ok(checks)
}

/// A pool that holds nothing although sets name contents is more likely not mounted than lost.
fn refuse_empty_pool(store: &Store, names: &NameList) -> Result<(), StoreError> {
    if !names.is_empty() && pool::is_empty(store.layout())? {
        return Err(StoreError::EmptyPool {
            pool: store.layout().pool(),
        });
    }
    Ok(())
}

/// What looking at contents showed, for the notes.
#[derive(Debug, Default)]
struct Seen {
    /// Parts that hold damage, by the set's place among the readable ones.
    damaged_parts: BTreeMap<usize, BTreeSet<Shard>>,
    /// Contents that are not what they should be, and have the right length.
    damaged: Vec<RepositoryName>,
    /// Contents that were noted as damaged, and are good.
    healed: Vec<RepositoryName>,
}

/// Notes what was found.
fn note(
    store: &Store,
    checks: &[SetCheck],
    readable: &[(SetId, SetRecord)],
    verified: &Verified,
    seen: &Seen,
    options: &Options,
) -> Result<(), StoreError> {
    store.note_damaged(|names| {
        names.extend(&seen.damaged);
        for name in &seen.healed {
            names.remove(name);
        }
    })?;
    store.note_verifications(|notes| {
        for check in checks {
            let number = readable.iter().position(|(id, _)| *id == check.id);
            let bad = number.and_then(|number| seen.damaged_parts.get(&number));
            let before = notes.remove(&check.id.to_string());
            let was_damaged = before
                .as_ref()
                .is_some_and(|note| note.result == Verdict::Damaged);
            let mut proven = before.map_or_else(Parts::default, |note| note.proven);
            for shard in verified
                .complete_shards
                .iter()
                .filter(|s| options.slice.contains(**s))
                // The part that stands for the dump is proven by nothing else.
                .filter(|s| **s != part_of(check.id) || check.coverage.agreement == State::Good)
            {
                proven.insert(*shard);
            }
            for shard in bad.into_iter().flatten() {
                proven.remove(*shard);
            }
            if check.coverage.is_damaged() {
                proven = Parts::default();
            }
            let is_damaged = check.coverage.is_damaged() || bad.is_some();
            let mut verification = Verification {
                when: now(),
                slice: options.slice.to_string(),
                result: Verdict::Good,
                proven,
            };
            // What one slice has found is not undone by the next one, which looks elsewhere.
            if is_damaged || (was_damaged && !verification.is_whole()) {
                verification.result = Verdict::Damaged;
            }
            notes.insert(check.id.to_string(), verification);
        }
    })
}

/// An error with its causes, on one line.
fn told(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}
