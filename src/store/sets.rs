//! Which sets a store has.

use std::fs;

use super::durable::failed;
use super::layout::{SetEntry, SetId};
use super::record::SetRecord;
use super::{Store, StoreError};
use crate::monitor::Monitor;

/// What stands in a store's directory of sets, each kind in time order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// Finished sets.
    pub finished: Vec<SetId>,
    /// Sets in the making, by a backup that runs or that was interrupted.
    pub partial: Vec<SetId>,
    /// Sets whose removal has begun.
    pub removed: Vec<SetId>,
}

impl Store {
    /// Everything in the directory of sets. What is none of ours is left out with a warning.
    pub fn list(&self, monitor: &dyn Monitor) -> Result<Listed, StoreError> {
        let path = self.layout().sets();
        let mut listed = Listed::default();
        let entries = fs::read_dir(&path).map_err(|source| failed("read", &path, source))?;
        for entry in entries {
            let entry = entry.map_err(|source| failed("read", &path, source))?;
            let is_directory = entry.file_type().is_ok_and(|ty| ty.is_dir());
            let name = entry.file_name();
            match name
                .to_str()
                .and_then(SetEntry::of)
                .filter(|_| is_directory)
            {
                Some(SetEntry::Finished(id)) => listed.finished.push(id),
                Some(SetEntry::Partial(id)) => listed.partial.push(id),
                Some(SetEntry::Removed(id)) => listed.removed.push(id),
                None => monitor.warn(&format!("{name:?} in {} is no set", path.display())),
            }
        }
        for ids in [
            &mut listed.finished,
            &mut listed.partial,
            &mut listed.removed,
        ] {
            ids.sort_unstable();
        }
        Ok(listed)
    }

    /// The finished sets, in time order.
    pub fn sets(&self, monitor: &dyn Monitor) -> Result<Vec<SetId>, StoreError> {
        Ok(self.list(monitor)?.finished)
    }

    /// The finished set that a text means: by its id or a unique beginning of it; the newest
    /// without one. A set from the future, which a wrong clock has made, is the newest only when
    /// there is no other.
    pub fn find_set(
        &self,
        wanted: Option<&str>,
        monitor: &dyn Monitor,
    ) -> Result<SetId, StoreError> {
        let sets = self.sets(monitor)?;
        let store = self.path().to_owned();
        let Some(wanted) = wanted else {
            let now = jiff::Timestamp::now();
            let (past, future): (Vec<SetId>, Vec<SetId>) =
                sets.iter().partition(|id| !id.is_of_the_future(now));
            if let (Some(future), false) = (future.last(), past.is_empty()) {
                monitor.warn(&format!(
                    "set {future} is from the future (a wrong clock has made it), and is not taken for the newest"
                ));
            }
            return past
                .last()
                .or(future.last())
                .copied()
                .ok_or(StoreError::NoSet { store });
        };
        let alike: Vec<SetId> = sets
            .into_iter()
            .filter(|id| !wanted.is_empty() && id.to_string().starts_with(wanted))
            .collect();
        let exact = alike.iter().find(|id| id.to_string() == wanted);
        match (exact, &alike[..]) {
            (Some(id), _) | (None, [id]) => Ok(*id),
            (None, []) => Err(StoreError::NoSuchSet {
                store,
                wanted: wanted.to_owned(),
            }),
            (None, several) => Err(StoreError::AmbiguousSet {
                wanted: wanted.to_owned(),
                candidates: several.iter().take(5).map(ToString::to_string).collect(),
            }),
        }
    }

    /// The record of a finished set.
    pub fn record(&self, id: SetId) -> Result<SetRecord, StoreError> {
        SetRecord::read(&self.layout().set(id), id)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::monitor::Silent;
    use crate::store::tests::new_store;

    #[derive(Default)]
    struct Warnings(Mutex<Vec<String>>);

    impl Monitor for Warnings {
        fn warn(&self, message: &str) {
            self.0.lock().unwrap().push(message.to_owned());
        }
    }

    fn with_sets(names: &[&str]) -> (tempfile::TempDir, Store) {
        let (directory, store) = new_store();
        for name in names {
            fs::create_dir(store.layout().sets().join(name)).unwrap();
        }
        (directory, store)
    }

    #[test]
    fn only_finished_sets_are_sets() {
        let (_directory, store) = with_sets(&[
            "2026-11-21T070500Z-gold-only",
            "2025-01-01T000000Z-full",
            ".partial-2026-11-22T070500Z-full",
            ".removed-2024-11-22T070500Z-full",
            "notes",
        ]);
        let outside = store.path().join("state");
        let link = store.layout().sets().join("2023-01-01T000000Z-full");
        std::os::unix::fs::symlink(outside, link).unwrap();
        let warnings = Warnings::default();
        let listed = store.list(&warnings).unwrap();
        let texts = |ids: &[SetId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            texts(&listed.finished),
            ["2025-01-01T000000Z-full", "2026-11-21T070500Z-gold-only"]
        );
        assert_eq!(texts(&listed.partial), ["2026-11-22T070500Z-full"]);
        assert_eq!(texts(&listed.removed), ["2024-11-22T070500Z-full"]);
        assert_eq!(warnings.0.into_inner().unwrap().len(), 2);
    }

    #[test]
    fn a_set_is_found_by_its_beginning() {
        let (_directory, store) = with_sets(&[
            "2025-11-21T070500Z-full",
            "2025-11-21T070500Z-gold-only",
            "2025-12-01T000000Z-full",
        ]);
        let find = |wanted| store.find_set(wanted, &Silent);
        let newest = find(None).unwrap().to_string();
        assert_eq!(newest, "2025-12-01T000000Z-full");
        assert_eq!(find(Some("2025-12")).unwrap().to_string(), newest);
        let full = find(Some("2025-11-21T070500Z-full")).unwrap();
        assert_eq!(full.to_string(), "2025-11-21T070500Z-full");
        assert!(find(Some("2025-11-21")).unwrap_err().is_misuse());
        for none in ["", "2027", "../2025", "gold-only"] {
            let error = find(Some(none)).unwrap_err();
            assert!(matches!(error, StoreError::NoSuchSet { .. }), "{error}");
            assert!(!error.is_misuse());
        }
        let (_directory, store) =
            with_sets(&["2025-11-21T070500Z-full", "9999-01-01T000000Z-full"]);
        let newest = store.find_set(None, &Silent).unwrap().to_string();
        assert_eq!(newest, "2025-11-21T070500Z-full", "not one from the future");
        let (_directory, empty) = with_sets(&[]);
        let error = empty.find_set(None, &Silent).unwrap_err();
        assert!(matches!(error, StoreError::NoSet { .. }), "{error}");
    }
}
