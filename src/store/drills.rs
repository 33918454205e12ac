//! How long drills took: a note in a store's state, `drills.json`.
//!
//! It has a list a set, the newest drill last. Nothing but figures and names of machines stands in
//! it: how long a restore would take is reckoned from these. A store works without it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::durable::write_file;
use super::layout::SetId;
use super::lock::host_name;
use super::notes::is_not_found;
use super::record::{damaged, read_small};
use super::{Store, StoreError, now};
use crate::catalog::Amount;

/// Drills, by set.
const DRILLS: &str = "drills.json";

/// So many drills of a set are kept.
const MOST_KEPT: usize = 10;

/// How long a drill took, and with how much.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Drill {
    /// When it ended, RFC 3339.
    pub when: String,
    /// Files were restored too, and not only looked at in the pool.
    pub full: bool,
    /// Nothing would be lost, and everything that the set promises is there.
    pub passed: bool,
    /// Seconds by step: `server`, `dump`, `database`, `files`, `check`.
    pub seconds: BTreeMap<String, f64>,
    /// The length of the dump.
    pub dump_bytes: u64,
    /// Contents that were restored, or looked at in the pool.
    pub files: Amount,
    /// The machine that it ran on.
    pub machine: String,
    /// The program, with its version.
    pub tool: String,
}

impl Drill {
    /// A drill that ends now, on this machine, with this program.
    pub fn now() -> Drill {
        Drill {
            when: now(),
            full: false,
            passed: false,
            seconds: BTreeMap::new(),
            dump_bytes: 0,
            files: Amount::default(),
            machine: host_name(),
            tool: format!("fogold {}", env!("CARGO_PKG_VERSION")),
        }
    }
}

/// Drills by the id of their set, the newest last.
pub type Drills = BTreeMap<String, Vec<Drill>>;

impl Store {
    /// The drills that were noted.
    pub fn drills(&self) -> Result<Drills, StoreError> {
        let path = self.note(DRILLS);
        match read_small(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| damaged(&path, error)),
            Err(error) if is_not_found(&error) => Ok(Drills::new()),
            Err(error) => Err(error),
        }
    }

    /// Notes a drill of a set.
    pub fn note_drill(&self, set: SetId, drill: Drill) -> Result<(), StoreError> {
        self.change_drills(|drills| {
            let of_set = drills.entry(set.to_string()).or_default();
            of_set.push(drill);
            let too_many = of_set.len().saturating_sub(MOST_KEPT);
            of_set.drain(..too_many);
        })
    }

    /// Keeps the drills of those sets only that `keep` says.
    pub(super) fn retain_drills(&self, keep: impl Fn(&str) -> bool) -> Result<(), StoreError> {
        match self.drills() {
            Ok(drills) if drills.keys().all(|set| keep(set)) => return Ok(()),
            Ok(_) | Err(StoreError::Damaged { .. }) => {}
            Err(error) => return Err(error),
        }
        self.change_drills(|drills| drills.retain(|set, _| keep(set)))
    }

    fn change_drills(&self, change: impl FnOnce(&mut Drills)) -> Result<(), StoreError> {
        self.change(|| {
            // Notes that cannot be read are worth nothing; they are begun anew.
            let mut drills = self.drills().or_else(|error| match error {
                StoreError::Damaged { .. } => Ok(Drills::new()),
                error => Err(error),
            })?;
            change(&mut drills);
            let text = serde_json::to_vec_pretty(&drills).unwrap_or_default();
            write_file(&self.note(DRILLS), &text)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::new_store;

    #[test]
    fn the_newest_drills_of_each_set_are_kept() {
        let (_directory, store) = new_store();
        assert_eq!(store.drills().unwrap(), Drills::new());
        let ids = ["2026-01-01T000000Z-full", "2026-01-02T000000Z-gold-only"];
        for number in 0..25 {
            let drill = Drill {
                dump_bytes: number,
                ..Drill::now()
            };
            let id = ids[usize::from(number % 5 == 0)].parse().unwrap();
            store.note_drill(id, drill).unwrap();
        }
        let noted = |id: &str| -> Vec<u64> {
            let drills = store.drills().unwrap();
            let of_set = drills.get(id).into_iter().flatten();
            of_set.map(|drill| drill.dump_bytes).collect()
        };
        assert_eq!(
            noted(ids[0]),
            [12, 13, 14, 16, 17, 18, 19, 21, 22, 23, 24][1..]
        );
        assert_eq!(noted(ids[1]), [0, 5, 10, 15, 20]);
        store.retain_drills(|set| set == ids[1]).unwrap();
        assert!(noted(ids[0]).is_empty() && !noted(ids[1]).is_empty());
        std::fs::write(store.note(DRILLS), "{").unwrap();
        assert!(store.drills().is_err());
        store
            .note_drill(ids[0].parse().unwrap(), Drill::now())
            .unwrap();
        assert_eq!(noted(ids[0]), [0]);
    }
}
