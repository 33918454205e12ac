//! The ledger: when each shard's contents were last read to their end, and whether they were good.
//!
//! It lies in the state directory, as `ledger.json`, for any number of repositories: each by the path of
//! its root, in it each type by itself, for a run may look at some types only. Runs at the same time
//! keep one another's entries. What is in it is worth a few nights of reading and no more: when it
//! cannot be believed, it is begun anew.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::finding::path_text;
use super::kind::Severity;
use crate::monitor::Monitor;
use crate::repository::{Shard, TreePath};
use crate::state::{State, StateError};
use crate::sysconf::RepositoryType;

/// The file in the state directory.
const FILE: &str = "ledger.json";
/// The version of its form.
const VERSION: u32 = 1;

/// Between two times that it is written: what a run that is killed has read since is read again.
const WRITE_EVERY: Duration = Duration::from_secs(2);
/// Clocks are set back by so much without being wrong, in seconds.
const CLOCK_SLACK: i64 = 3600;
/// So many shards that were bad come first. With more, the rest of the repository would never have its
/// turn on a storage that spoils one shard after the other.
const BAD_FIRST: usize = 16;

/// The file.
#[derive(Debug, Serialize, Deserialize)]
struct Document {
    version: u32,
    repositories: BTreeMap<String, Record>,
}

impl Default for Document {
    fn default() -> Document {
        Document {
            version: VERSION,
            repositories: BTreeMap::new(),
        }
    }
}

/// What is known of a repository: by type, by shard.
type Record = BTreeMap<String, BTreeMap<String, Entry>>;

/// The last time that the contents of a shard were read to their end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    /// When that began.
    read: Timestamp,
    /// Nothing was corrupt or unreadable.
    good: bool,
    /// Of what was not good, the worst severity; none when all of it is accepted.
    #[serde(default = "not_judged", skip_serializing_if = "is_not_judged")]
    worst: Option<Severity>,
}

/// What bad contents count as until they are judged: a run that is killed never does it.
fn not_judged() -> Option<Severity> {
    Some(Severity::Recoverable)
}

fn is_not_judged(worst: &Option<Severity>) -> bool {
    *worst == not_judged()
}

impl Entry {
    /// Whether contents were bad, and not all of that is accepted.
    fn is_bad(&self) -> bool {
        !self.good && self.worst.is_some()
    }

    /// Whether contents were bad that an upload needs.
    fn is_damaged(&self) -> bool {
        let needed = |worst| worst <= Severity::Recoverable;
        self.is_bad() && self.worst.is_some_and(needed)
    }
}

/// What was read when, of one repository.
#[derive(Debug)]
pub struct Ledger {
    state: State,
    repository: String,
    pages: Mutex<Pages>,
}

#[derive(Debug, Default)]
struct Pages {
    /// All that is known.
    known: Record,
    /// What this run has read.
    fresh: Record,
    /// What an earlier run has noted counts no more.
    anew: bool,
    unwritten: bool,
    written: Option<Instant>,
    failure: Option<StateError>,
}

/// How far a repository has been read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// When the shard was read that was read least recently, of those that were read at all.
    pub oldest: Option<Timestamp>,
    /// Shards that were never read to their end.
    pub never: u64,
    /// Shards in which something was corrupt or unreadable when they were last read, and is not accepted.
    pub bad: u64,
    /// Those of them in which something was lost or had to be recovered, and that this run did not read:
    /// no finding tells of them.
    pub bad_unread: u64,
    /// Those of these in which something was lost.
    pub lost_unread: u64,
}

impl Ledger {
    /// The ledger of the repository whose root is given.
    pub fn open(state: State, repository: &Path, monitor: &dyn Monitor) -> Ledger {
        let root = std::fs::canonicalize(repository).unwrap_or_else(|_| repository.to_owned());
        let bytes = root.into_os_string().into_encoded_bytes();
        let repository = path_text(&TreePath(bytes)).0;
        let path = state.path(FILE);
        let mut document = document(&state).unwrap_or_else(|error| {
            monitor.warn(&format!(
                "{} cannot be used ({}): it is begun anew, as if nothing had been read yet",
                path.display(),
                first_cause(&*error)
            ));
            Document::default()
        });
        let mut pages = Pages {
            known: document
                .repositories
                .remove(&repository)
                .unwrap_or_default(),
            ..Pages::default()
        };
        let latest = Timestamp::now().as_second().saturating_add(CLOCK_SLACK);
        let mut entries = pages.known.values().flat_map(BTreeMap::values);
        if entries.any(|entry| entry.read.as_second() > latest) {
            monitor.warn(&format!(
                "{} says that contents were read at a time that is yet to come (is the clock right?): \
                 it is begun anew for this repository",
                path.display()
            ));
            (pages.known, pages.anew) = (Record::new(), true);
        }
        Ledger {
            state,
            repository,
            pages: Mutex::new(pages),
        }
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All shards in the order in which they are to be read: some that were bad, those that were never
    /// read, and then the least recently read.
    pub(super) fn order(&self, types: &[RepositoryType]) -> Vec<Shard> {
        let shards = self.pages().by_time(types);
        let mut order = bad_first(&shards);
        let rest = shards.iter().map(|(_, shard)| *shard);
        let rest: Vec<Shard> = rest.filter(|shard| !order.contains(shard)).collect();
        order.extend(rest);
        order
    }

    /// The shards that are read again whatever else is read: some of those that were bad.
    pub(super) fn bad_first(&self, types: &[RepositoryType]) -> Vec<Shard> {
        bad_first(&self.pages().by_time(types))
    }

    /// Notes that a shard was read to its end, beginning at `when`, and of each type whether it was good.
    pub(super) fn note(&self, shard: Shard, when: Timestamp, types: &[(RepositoryType, bool)]) {
        let read = Timestamp::from_second(when.as_second()).unwrap_or(when);
        let mut pages = self.pages();
        let Pages { known, fresh, .. } = &mut *pages;
        for (ty, good) in types {
            let entry = Entry {
                read,
                good: *good,
                worst: not_judged(),
            };
            for record in [&mut *known, &mut *fresh] {
                let of_type = record.entry(ty.as_str().to_owned()).or_default();
                of_type.insert(shard.to_string(), entry);
            }
        }
        pages.unwritten |= !types.is_empty();
        self.write_if_due(&mut pages);
    }

    /// Notes what the bad contents that this run has read count as, by shard.
    pub(super) fn judge(&self, worst: impl Fn(Shard) -> Option<Severity>) {
        let mut pages = self.pages();
        let Pages { known, fresh, .. } = &mut *pages;
        let mut changed = false;
        for (ty, entries) in fresh.iter_mut() {
            for shard in Shard::all() {
                let text = shard.to_string();
                let Some(entry) = entries.get_mut(&text).filter(|entry| !entry.good) else {
                    continue;
                };
                let judged = worst(shard);
                changed |= entry.worst != judged;
                entry.worst = judged;
                if let Some(of_type) = known.get_mut(ty) {
                    of_type.insert(text, *entry);
                }
            }
        }
        pages.unwritten |= changed;
    }

    /// Writes what waits to be written, where it has waited long enough: the next shard may take hours.
    pub(super) fn tick(&self) {
        // Whoever has the pages in hand sees to it.
        if let Ok(mut pages) = self.pages.try_lock() {
            self.write_if_due(&mut pages);
        }
    }

    fn write_if_due(&self, pages: &mut Pages) {
        let is_due = |at: Instant| at.elapsed() >= WRITE_EVERY;
        if pages.unwritten && pages.written.is_none_or(is_due) {
            self.write(pages);
        }
    }

    /// Writes what is not written yet; the first failure of the run, if there was one.
    pub fn end(self) -> Result<(), StateError> {
        let mut pages = self.pages();
        if pages.unwritten {
            self.write(&mut pages);
        }
        pages.failure.take().map_or(Ok(()), Err)
    }

    /// How far these types have been read.
    pub(super) fn standing(&self, types: &[RepositoryType]) -> Standing {
        let pages = self.pages();
        let mut standing = Standing::default();
        for shard in Shard::all() {
            let Some(entry) = pages.entry(shard, types) else {
                standing.never += 1;
                continue;
            };
            standing.bad += u64::from(entry.is_bad());
            if entry.is_damaged() && !pages.is_fresh(shard, types) {
                standing.bad_unread += 1;
                standing.lost_unread += u64::from(entry.worst == Some(Severity::Loss));
            }
            let oldest = standing
                .oldest
                .map_or(entry.read, |old| old.min(entry.read));
            standing.oldest = Some(oldest);
        }
        standing
    }

    fn write(&self, pages: &mut Pages) {
        pages.written = Some(Instant::now());
        match self.try_write(pages) {
            Ok(()) => (pages.unwritten, pages.failure) = (false, None),
            Err(error) => pages.failure = Some(error),
        }
    }

    /// Puts the entries of this run among what others have written meanwhile.
    fn try_write(&self, pages: &mut Pages) -> Result<(), StateError> {
        let _lock = self.state.lock(FILE)?;
        let mut document = document(&self.state).unwrap_or_default();
        let record = document
            .repositories
            .entry(self.repository.clone())
            .or_default();
        if pages.anew {
            record.clear();
        }
        for (ty, entries) in &pages.fresh {
            let of_type = record.entry(ty.clone()).or_default();
            of_type.extend(entries.iter().map(|(shard, entry)| (shard.clone(), *entry)));
        }
        let text = serde_json::to_vec(&document).unwrap_or_default();
        self.state.replace(FILE, &text)?;
        pages.anew = false;
        Ok(())
    }
}

impl Pages {
    /// What is known of all of these types together; `None` when one of them was never read.
    fn entry(&self, shard: Shard, types: &[RepositoryType]) -> Option<Entry> {
        let shard = shard.to_string();
        let of_type = |ty: &RepositoryType| self.known.get(ty.as_str())?.get(&shard).copied();
        let entries = types.iter().map(of_type).collect::<Option<Vec<Entry>>>()?;
        entries.into_iter().reduce(|a, b| Entry {
            read: a.read.min(b.read),
            good: a.good && b.good,
            worst: match (a.good, b.good) {
                (false, false) => a.worst.into_iter().chain(b.worst).min(),
                (false, true) => a.worst,
                _ => b.worst,
            },
        })
    }

    /// All shards, the least recently read first.
    fn by_time(&self, types: &[RepositoryType]) -> Vec<(Option<Entry>, Shard)> {
        let mut shards: Vec<(Option<Entry>, Shard)> = Shard::all()
            .map(|shard| (self.entry(shard, types), shard))
            .collect();
        // None, which was never read, comes before all times.
        shards.sort_by_key(|(entry, shard)| (entry.map(|entry| entry.read), *shard));
        shards
    }

    /// Whether this run has read all of these types of a shard.
    fn is_fresh(&self, shard: Shard, types: &[RepositoryType]) -> bool {
        let shard = shard.to_string();
        let of_type = |ty: &RepositoryType| self.fresh.get(ty.as_str());
        types
            .iter()
            .all(|ty| of_type(ty).is_some_and(|entries| entries.contains_key(&shard)))
    }
}

/// Some of the bad shards, of those that are the least recently read: first what is damaged, then what
/// is accepted or not needed, which may have become worse.
fn bad_first(shards: &[(Option<Entry>, Shard)]) -> Vec<Shard> {
    let bad = |damaged: bool| {
        shards.iter().filter(move |(entry, _)| {
            entry.is_some_and(|entry| !entry.good && entry.is_damaged() == damaged)
        })
    };
    let all = bad(true).chain(bad(false));
    all.take(BAD_FIRST).map(|(_, shard)| *shard).collect()
}

/// The ledger as it is written; an empty one when there is none.
fn document(state: &State) -> Result<Document, Box<dyn Error>> {
    let Some(text) = state.read(FILE)? else {
        return Ok(Document::default());
    };
    let document: Document = serde_json::from_slice(&text)?;
    if document.version != VERSION {
        return Err(format!("its version is {}", document.version).into());
    }
    Ok(document)
}

/// What is at the bottom of an error.
fn first_cause(mut error: &dyn Error) -> String {
    while let Some(cause) = error.source() {
        error = cause;
    }
    error.to_string()
}

#[cfg(test)]
mod tests;
