//! The store that the nights before wrote to. Where it is gone, nothing may take its place unseen: a
//! disk that is not mounted leaves an empty directory, in which a backup would begin anew and be good.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::monitor::Silent;
use crate::state::{State, StateError};
use crate::store::{Store, StoreError};

/// The file in the state directory, named apart from the file of a store: who removes it begins a new
/// store on purpose.
const KNOWN: &str = "known-store.json";

/// What is known of the store.
#[derive(Debug, Serialize, Deserialize)]
struct Known {
    path: PathBuf,
    id: String,
    /// The newest set that was seen in it.
    newest_set: Option<String>,
}

/// Why nothing is written to a store: it is not the one that stood there before. Another place in the
/// settings is meant so.
pub(super) fn refusal(state: &State, path: &Path) -> Option<String> {
    let known: Known = serde_json::from_slice(&state.read(KNOWN).ok()??).ok()?;
    if known.path != path {
        return None;
    }
    let found = match Store::open_read_only(path) {
        Ok(store) if store.id() == known.id => return None,
        Ok(_) => "another store stands there",
        Err(StoreError::NotThere { .. } | StoreError::Empty { .. }) => "it is gone",
        // The backup says what is wrong with it.
        Err(_) => return None,
    };
    let newest = known.newest_set.map_or_else(String::new, |set| {
        format!(" (id {}, newest set {set})", known.id)
    });
    Some(format!(
        "the nights before wrote to a store at {}{newest}, and {found}: is it mounted? (to begin a new one on purpose, remove {})",
        path.display(),
        state.path(KNOWN).display()
    ))
}

/// Keeps which store it is that a night has written to.
pub(super) fn remember(state: &State, path: &Path) -> Result<(), StateError> {
    let Ok(store) = Store::open_read_only(path) else {
        return Ok(());
    };
    let newest = store
        .sets(&Silent)
        .ok()
        .and_then(|sets| sets.into_iter().max());
    let known = Known {
        path: path.to_owned(),
        id: store.id().to_owned(),
        newest_set: newest.map(|set| set.to_string()),
    };
    let mut text = serde_json::to_vec_pretty(&known).unwrap_or_default();
    text.push(b'\n');
    state.replace(KNOWN, &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_takes_the_place_of_a_known_store_unseen() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let state = State::open(&directory.path().join("state")).expect("a state");
        let path = directory.path().join("store");
        assert_eq!(refusal(&state, &path), None);
        remember(&state, &path).expect("nothing to remember");
        assert_eq!(refusal(&state, &path), None);
        Store::create(&path).expect("a store");
        remember(&state, &path).expect("remembered");
        assert_eq!(refusal(&state, &path), None);

        let moved = directory.path().join("moved");
        std::fs::rename(&path, &moved).expect("moved");
        let refused = || refusal(&state, &path).expect("a refusal");
        assert!(refused().contains(" and it is gone: "));
        std::fs::create_dir(&path).expect("a mount point");
        let said = refused();
        assert!(said.contains("is it mounted?"), "{said}");
        assert!(said.ends_with(&format!("remove {})", state.path(KNOWN).display())));
        Store::create(&path).expect("another store");
        assert!(refused().contains(" and another store stands there: "));
        // Another place is another store.
        assert_eq!(refusal(&state, &moved), None);
        std::fs::remove_file(state.path(KNOWN)).expect("removed");
        assert_eq!(refusal(&state, &path), None);
    }
}
