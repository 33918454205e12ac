//! What a store could give back, for a check.

use std::collections::BTreeSet;

use super::{Store, StoreError};
use crate::check::Backups;
use crate::repository::RepositoryName;

/// A store that a check asks for what is missing.
pub struct Held<'a> {
    store: &'a Store,
    damaged: BTreeSet<RepositoryName>,
}

impl Held<'_> {
    /// What `store` holds: by name and length, and without what is known to be damaged.
    pub fn of(store: &Store) -> Result<Held<'_>, StoreError> {
        Ok(Held {
            store,
            damaged: store.damaged()?,
        })
    }

    /// Without these either: a restore has read them, and could not use them.
    pub fn without(mut self, broken: &BTreeSet<RepositoryName>) -> Self {
        self.damaged.extend(broken);
        self
    }
}

impl Backups for Held<'_> {
    fn holds(&self, name: &RepositoryName) -> Option<String> {
        let path = self.store.layout().pool_path(name);
        let metadata = std::fs::symlink_metadata(&path).ok()?;
        let is_whole = metadata.is_file() && metadata.len() == name.size;
        (is_whole && !self.damaged.contains(name)).then(|| path.display().to_string())
    }
}
