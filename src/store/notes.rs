//! What verifications have shown: notes in a store's state.
//!
//! `verified.json` has an entry a set: when it was last verified, and which of the 256 parts of it
//! have been read and found good. `damaged` has the names whose contents in the pool are not what
//! they should be, a line each: the next backup copies them again. A store works without either.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use super::durable::{failed, write_file};
use super::layout::SetId;
use super::lock::open_for_writing;
use super::record::{damaged, read_small};
use super::{Store, StoreError};
use crate::repository::name::hex;
use crate::repository::{RepositoryName, Shard};

/// Verifications, by set.
const VERIFIED: &str = "verified.json";
/// Names whose contents are damaged.
const DAMAGED: &str = "damaged";
/// Held for the moment in which a note is changed.
const NOTES: &str = "notes";

/// Some of the 256 parts of a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Parts([u8; 32]);

impl Parts {
    /// Adds a part.
    pub fn insert(&mut self, shard: Shard) {
        self.0[shard.index() / 8] |= 1 << (shard.index() % 8);
    }

    /// Takes a part out.
    pub fn remove(&mut self, shard: Shard) {
        self.0[shard.index() / 8] &= !(1 << (shard.index() % 8));
    }

    /// Whether a part is among them.
    pub fn contains(&self, shard: Shard) -> bool {
        self.0[shard.index() / 8] & (1 << (shard.index() % 8)) != 0
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        self.0.iter().map(|byte| byte.count_ones()).sum()
    }
}

impl From<Parts> for String {
    fn from(parts: Parts) -> String {
        parts.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl FromStr for Parts {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Parts, &'static str> {
        hex(text.as_bytes()).map(Parts).ok_or("not 64 hex digits")
    }
}

impl TryFrom<String> for Parts {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Parts, &'static str> {
        text.parse()
    }
}

/// What the verifications of a set have shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    /// When the last one ended, RFC 3339.
    pub when: String,
    /// Which part of the contents it read.
    pub slice: String,
    /// What it came to, with those before it.
    pub result: Verdict,
    /// The parts that are known to be good, by this one or one before it.
    pub proven: Parts,
}

impl Verification {
    /// Whether every part is known to be good.
    pub fn is_whole(&self) -> bool {
        self.proven.count() == 256
    }
}

/// What a verification came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Nothing was wrong in what was read, nor in what was read before.
    Good,
    /// Something was, and not every part has been found good since.
    Damaged,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::Good => "good",
            Verdict::Damaged => "damaged",
        })
    }
}

/// Verifications by the id of their set.
pub type Verifications = BTreeMap<String, Verification>;

impl Store {
    /// What the verifications of all sets have shown.
    pub fn verifications(&self) -> Result<Verifications, StoreError> {
        let path = self.note(VERIFIED);
        match read_small(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| damaged(&path, error)),
            Err(error) if is_not_found(&error) => Ok(Verifications::new()),
            Err(error) => Err(error),
        }
    }

    /// The newest of these sets that is known to be good as a whole.
    pub fn last_verified(&self, sets: &[SetId]) -> Result<Option<SetId>, StoreError> {
        let notes = self.verifications()?;
        let is_whole = |id: &&SetId| {
            notes
                .get(&id.to_string())
                .is_some_and(Verification::is_whole)
        };
        Ok(sets.iter().filter(is_whole).max().copied())
    }

    /// Changes the notes of verifications.
    pub fn note_verifications(
        &self,
        change: impl FnOnce(&mut Verifications),
    ) -> Result<(), StoreError> {
        self.change(|| {
            // Notes that cannot be read are worth nothing; they are begun anew.
            let mut notes = self.verifications().or_else(|error| match error {
                StoreError::Damaged { .. } => Ok(Verifications::new()),
                error => Err(error),
            })?;
            change(&mut notes);
            let text = serde_json::to_vec_pretty(&notes).unwrap_or_default();
            write_file(&self.note(VERIFIED), &text)
        })
    }

    /// The names whose contents in the pool are known to be damaged. Lines that are no names are
    /// passed over.
    pub fn damaged(&self) -> Result<BTreeSet<RepositoryName>, StoreError> {
        match read_small(&self.note(DAMAGED)) {
            Ok(text) => Ok(String::from_utf8_lossy(&text)
                .lines()
                .filter_map(|line| line.parse().ok())
                .collect()),
            Err(error) if is_not_found(&error) => Ok(BTreeSet::new()),
            Err(error) => Err(error),
        }
    }

    /// Changes the list of names whose contents are damaged.
    pub fn note_damaged(
        &self,
        change: impl FnOnce(&mut BTreeSet<RepositoryName>),
    ) -> Result<(), StoreError> {
        self.change(|| {
            let before = self.damaged()?;
            let mut names = before.clone();
            change(&mut names);
            if names == before {
                return Ok(());
            }
            let text: String = names.iter().map(|name| format!("{name}\n")).collect();
            write_file(&self.note(DAMAGED), text.as_bytes())
        })
    }

    /// Runs `change` while nobody else changes a note.
    pub(super) fn change(
        &self,
        change: impl FnOnce() -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let path = self.note(NOTES);
        let file = open_for_writing(&path).map_err(|source| failed("open", &path, source))?;
        let locked =
            rustix::io::retry_on_intr(|| rustix::fs::flock(&file, FlockOperation::LockExclusive));
        locked.map_err(|error| failed("lock", &path, error.into()))?;
        change()
    }

    pub(super) fn note(&self, name: &str) -> PathBuf {
        self.layout().state().join(name)
    }
}

pub(super) fn is_not_found(error: &StoreError) -> bool {
    matches!(error, StoreError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture::name;
    use crate::store::tests::new_store;

    #[test]
    fn a_set_is_whole_when_every_part_was_good_once() {
        let mut parts = Parts::default();
        for shard in Shard::all() {
            assert!(!parts.contains(shard));
            parts.insert(shard);
            assert!(parts.contains(shard));
        }
        assert_eq!(parts.count(), 256);
        parts.remove(Shard(77));
        assert_eq!(parts.count(), 255);
        let text = String::from(parts);
        assert_eq!(text.parse(), Ok(parts));
        assert!("00".parse::<Parts>().is_err());
    }

    #[test]
    fn notes_are_kept() {
        let (_directory, store) = new_store();
        assert_eq!(store.verifications().unwrap(), Verifications::new());
        let mut proven = Parts::default();
        Shard::all().for_each(|shard| proven.insert(shard));
        let note = Verification {
            when: "2026-11-21T07:05:00Z".to_owned(),
            slice: "1/1".to_owned(),
            result: Verdict::Good,
            proven,
        };
        let ids = ["2026-01-01T000000Z-full", "2026-01-02T000000Z-full"];
        let sets: Vec<SetId> = ids.iter().map(|id| id.parse().unwrap()).collect();
        store
            .note_verifications(|notes| {
                notes.insert(ids[0].to_owned(), note.clone());
            })
            .unwrap();
        assert_eq!(store.last_verified(&sets).unwrap(), Some(sets[0]));
        proven.remove(Shard(3));
        store
            .note_verifications(|notes| {
                notes.insert(ids[0].to_owned(), Verification { proven, ..note });
            })
            .unwrap();
        assert_eq!(store.last_verified(&sets).unwrap(), None);
        std::fs::write(store.note(VERIFIED), "{").unwrap();
        assert!(store.last_verified(&sets).is_err());
        store.note_verifications(|_| ()).unwrap();
        assert_eq!(store.verifications().unwrap(), Verifications::new());
    }

    #[test]
    fn damaged_names_come_and_go() {
        let (_directory, store) = new_store();
        for number in [2, 1, 2] {
            store
                .note_damaged(|names| {
                    names.insert(name(number));
                })
                .unwrap();
        }
        let mut text = std::fs::read_to_string(store.note(DAMAGED)).unwrap();
        text.push_str("../../nonsense\n");
        std::fs::write(store.note(DAMAGED), text).unwrap();
        assert_eq!(store.damaged().unwrap(), BTreeSet::from([name(1), name(2)]));
        store
            .note_damaged(|names| {
                names.remove(&name(1));
            })
            .unwrap();
        assert_eq!(store.damaged().unwrap(), BTreeSet::from([name(2)]));
    }
}
