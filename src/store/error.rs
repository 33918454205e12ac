//! What can go wrong with a store.
//!
//! Messages are lower case, name the store, set or file, and say what to do next where that is not
//! plain; the cause is the error's source, not repeated in its text.

use std::io;
use std::path::PathBuf;

use crate::catalog::CatalogError;
use crate::manifest::ManifestError;

/// Why something could not be done with a store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A file or directory of the store cannot be read or written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried: "read", "create", "rename", …
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// There is no such directory.
    #[error(
        "there is no store at {}: is it mounted? ('fogold backup' makes a new one)",
        path.display()
    )]
    NotThere {
        /// The store.
        path: PathBuf,
    },
    /// A new store is to be made where nothing is.
    #[error(
        "the store {} cannot be made, for {} is not there: is it mounted? (else, as root: install -d -o fossy -g fossy -m 700 {0})",
        path.display(),
        parent.display()
    )]
    NoParent {
        /// The store.
        path: PathBuf,
        /// What is missing above it.
        parent: PathBuf,
    },
    /// Whoever makes the store may not write there.
    #[error(
        "the store {} cannot be made: is it mounted? (else, as root, for the user that makes the backups: install -d -o fossy -g \
         fossy -m 700 {0})",
        path.display()
    )]
    NotAllowed {
        /// The store.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The directory is there, and empty.
    #[error("{} is empty, and no store: is it mounted?", path.display())]
    Empty {
        /// The directory.
        path: PathBuf,
    },
    /// Something else stands there.
    #[error(
        "{} is no store (it has no store.json): name a store, or an empty or new directory to make one",
        path.display()
    )]
    NotAStore {
        /// The directory, or whatever it is.
        path: PathBuf,
    },
    /// The store, or a set in it, was made by a newer program.
    #[error(
        "{} has format {found}, this fogold knows {known}: use the newer fogold that made it",
        path.display()
    )]
    NewerFormat {
        /// The file that says so.
        path: PathBuf,
        /// The format it names.
        found: u64,
        /// The newest format that this program knows.
        known: u64,
    },
    /// Store and repository lie one inside the other.
    #[error(
        "the store {} and the repository {} lie one inside the other: put the store elsewhere, best on another disk",
        store.display(),
        repository.display()
    )]
    Inside {
        /// The store.
        store: PathBuf,
        /// The repository.
        repository: PathBuf,
    },
    /// A symbolic link stands where the store has a directory of its own.
    #[error(
        "{} is a symbolic link, and what it leads to is no part of the store: put the directory itself in its place, or \
         mount it there",
        path.display()
    )]
    Linked {
        /// The link.
        path: PathBuf,
    },
    /// A file of the store's own is not as it was written.
    #[error("{} is damaged: {why}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        why: String,
    },
    /// A file of a set is shorter, or longer, than it was written.
    #[error("{} has {bytes} bytes instead of {wanted}", path.display())]
    Cut {
        /// The file.
        path: PathBuf,
        /// Its length.
        bytes: u64,
        /// The length that the set's record says.
        wanted: u64,
    },
    /// A file of the set that is to be restored is missing or damaged.
    #[error(
        "nothing was restored, for set {set} is damaged: take another set ('fogold sets {}' lists them)",
        store.display()
    )]
    DamagedSet {
        /// The set.
        set: String,
        /// The store.
        store: PathBuf,
        /// What is missing or damaged.
        source: Box<StoreError>,
    },
    /// There is nothing in the pool.
    #[error("{} is empty, but the sets have contents in it: is it mounted?", pool.display())]
    EmptyPool {
        /// The pool.
        pool: PathBuf,
    },
    /// Another process works on the store.
    #[error("the store {} is in use{}: wait until it has ended", store.display(), by(owner))]
    Locked {
        /// The store.
        store: PathBuf,
        /// Who holds the lock, for a person; empty when it cannot be told.
        owner: String,
    },
    /// Something reads the store that must not be disturbed.
    #[error(
        "the store {} is being read (by verify, restore or drill): wait until that has ended",
        store.display()
    )]
    BeingRead {
        /// The store.
        store: PathBuf,
    },
    /// The store holds no finished set.
    #[error("the store {} holds no finished set: make one with 'fogold backup'", store.display())]
    NoSet {
        /// The store.
        store: PathBuf,
    },
    /// No set bears this id.
    #[error(
        "the store {} has no set {wanted:?}: 'fogold sets {}' lists them",
        store.display(),
        store.display()
    )]
    NoSuchSet {
        /// The store.
        store: PathBuf,
        /// What was asked for.
        wanted: String,
    },
    /// Several sets begin with this text.
    #[error("{wanted:?} may be {}: give more of the set's id", candidates.join(" or "))]
    AmbiguousSet {
        /// What was asked for.
        wanted: String,
        /// The sets that begin so.
        candidates: Vec<String>,
    },
    /// A manifest cannot be read.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// Not everything that is needed can be told.
    #[error(
        "nothing is deleted, for not everything that sets name can be told{}",
        mending(source)
    )]
    NothingDeleted {
        /// What cannot be read.
        source: Box<StoreError>,
    },
    /// Scratch files, or a catalog.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The monitor asked to stop.
    #[error("stopped")]
    Stopped,
}

/// What to do about what keeps prune from deleting, as part of a sentence. A newer format and a full
/// scratch directory say it themselves, and nothing is damaged then.
fn mending(source: &StoreError) -> &'static str {
    match source {
        StoreError::NewerFormat { .. }
        | StoreError::Manifest(ManifestError::OtherFormat { .. })
        | StoreError::Catalog(CatalogError::Scratch { .. } | CatalogError::NoRoom { .. }) => "",
        _ => {
            ": bring the damaged file back from a copy of the store (where the set is not finished, run the backup \
             again), or move the directory of its set out of the store and do without it"
        }
    }
}

/// The owner of a lock, as part of a sentence.
fn by(owner: &str) -> String {
    if owner.is_empty() {
        String::new()
    } else {
        format!(" by {owner}")
    }
}

impl StoreError {
    /// The format that is too new for this program, where that is what the error says of a set.
    pub(super) fn newer_format(&self) -> Option<u64> {
        match self {
            StoreError::NewerFormat { found, .. } => Some(*found),
            StoreError::Manifest(ManifestError::OtherFormat { found, known, .. })
                if found > known =>
            {
                Some(u64::from(*found))
            }
            _ => None,
        }
    }

    /// Whether what was asked cannot be meant (exit status 2), rather than the world being in the
    /// way (exit status 3).
    pub fn is_misuse(&self) -> bool {
        match self {
            StoreError::NotAStore { .. }
            | StoreError::NewerFormat { .. }
            | StoreError::Inside { .. }
            | StoreError::AmbiguousSet { .. } => true,
            StoreError::Catalog(error) => error.is_misuse(),
            StoreError::Manifest(error) => error.is_misuse(),
            StoreError::NothingDeleted { source } => source.is_misuse(),
            _ => false,
        }
    }
}
