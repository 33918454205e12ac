//! The store: a directory with the contents of many sets, each contents once.
//!
//! Its page is `doc/store-format.md`. What holds at every point in time, with the plug pulled:
//!
//! - A finished set is whole: its directory gets its final name after everything that it names is
//!   on disk. It is never changed later.
//! - Contents in the pool are never changed, and go only when no set names them.
//!
//! This room opens and makes stores, keeps their locks, lists, verifies and prunes sets.

pub mod backup;
mod digest;
mod drills;
mod durable;
mod error;
#[cfg(test)]
mod fixture;
pub mod held;
pub mod intake;
pub mod layout;
pub mod lock;
mod named;
mod notes;
mod pool;
mod privacy;
pub mod prune;
pub(crate) mod reading;
pub mod record;
pub mod retention;
mod sets;
pub mod verify;

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use drills::{Drill, Drills};
pub use durable::{create_file, make_directory, rename, sync_directory, write_file};
pub use error::StoreError;
pub use layout::{Layout, NotASetId, SetId, pool_path};
pub use lock::{ReadLock, SoleLock, WriteLock};
pub use named::ManifestReader;
pub use notes::{Parts, Verdict, Verification, Verifications};
pub use record::SetRecord;
pub use sets::Listed;

use durable::{DIRECTORY_MODE, failed};
use record::{damaged, read_small};

/// The format of stores that this program writes, and the newest that it reads.
pub const FORMAT: u64 = 1;

/// What stands in every store, for a person without fogold.
const README: &str = include_str!("README.txt");

/// What `store.json` says.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct StoreRecord {
    format: u64,
    id: String,
    created: String,
}

/// A store.
#[derive(Clone, Debug)]
pub struct Store {
    layout: Layout,
    id: String,
}

impl Store {
    /// Makes a store in a new or empty directory. One that is there already is opened. The directory
    /// above it must be there: it is not, when the disk for backups is not mounted.
    ///
    /// `store.json` comes first: where making a store was cut short, the next attempt goes on.
    pub fn create(path: &Path) -> Result<Store, StoreError> {
        let parent = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        if let Some(parent) = parent.filter(|parent| !parent.exists()) {
            return Err(StoreError::NoParent {
                path: path.to_owned(),
                parent: parent.to_owned(),
            });
        }
        // A link to a directory is as good as one.
        if !path.is_dir() {
            make_directory(path).map_err(|error| not_allowed(path, error))?;
        }
        let _making = keep_other_makers_out(path);
        match Store::read(path) {
            Err(StoreError::Empty { .. }) => {}
            Err(error) => return Err(error),
            Ok(store) => {
                store.complete()?;
                return Ok(store);
            }
        }
        let mode = fs::Permissions::from_mode(DIRECTORY_MODE);
        let opened = fs::set_permissions(path, mode);
        opened.map_err(|e| not_allowed(path, failed("set the mode of", path, e)))?;
        let record = StoreRecord {
            format: FORMAT,
            id: random_id().map_err(|source| failed("create", path, source))?,
            created: now(),
        };
        let mut text = serde_json::to_string_pretty(&record).unwrap_or_default();
        text.push('\n');
        write_file(&path.join(layout::STORE_FILE), text.as_bytes())?;
        let store = Store::read(path)?;
        store.complete()?;
        Ok(store)
    }

    /// Opens a store to write to it. What a making that was cut short left out is made now.
    pub fn open(path: &Path) -> Result<Store, StoreError> {
        let _making = keep_other_makers_out(path);
        let store = Store::read(path)?;
        store.complete()?;
        Ok(store)
    }

    /// Opens a store without writing to it: one on a read-only mount will do.
    pub fn open_read_only(path: &Path) -> Result<Store, StoreError> {
        Store::read(path)
    }

    /// Where things stand in the store.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The store's own directory.
    pub fn path(&self) -> &Path {
        self.layout.root()
    }

    /// The store's id: random, and the same for ever.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Refuses a store in a repository, and a repository in a store. The store need not be there
    /// yet.
    pub fn keep_apart(store: &Path, repository: &Path) -> Result<(), StoreError> {
        let real = |path: &Path| resolve(path).map_err(|source| failed("resolve", path, source));
        let (inner, outer) = (real(store)?, real(repository)?);
        if inner.starts_with(&outer) || outer.starts_with(&inner) {
            return Err(StoreError::Inside {
                store: store.to_owned(),
                repository: repository.to_owned(),
            });
        }
        Ok(())
    }

    /// Refuses a pool that holds nothing although a set names contents: it is more likely not
    /// mounted than lost.
    pub fn require_pool(&self, record: &SetRecord) -> Result<(), StoreError> {
        if record.counts.pool.files > 0 && pool::is_empty(&self.layout)? {
            return Err(StoreError::EmptyPool {
                pool: self.layout.pool(),
            });
        }
        Ok(())
    }

    fn read(path: &Path) -> Result<Store, StoreError> {
        let file = path.join(layout::STORE_FILE);
        let text = match read_small(&file) {
            Ok(text) => text,
            Err(StoreError::Io { source, .. }) if is_absent(&source) => {
                return Err(what_stands_there(path));
            }
            Err(error) => return Err(error),
        };
        check_format(&file, &text)?;
        let record: StoreRecord =
            serde_json::from_slice(&text).map_err(|error| damaged(&file, error))?;
        let layout = Layout::of(path.to_owned());
        // Who only reads a store still locks it and notes what was found.
        refuse_link(&layout.state())?;
        Ok(Store {
            layout,
            id: record.id,
        })
    }

    fn complete(&self) -> Result<(), StoreError> {
        for directory in [self.layout.pool(), self.layout.state(), self.layout.sets()] {
            refuse_link(&directory)?;
            make_directory(&directory)?;
        }
        let readme = self.path().join(layout::README_FILE);
        if !readme.exists() {
            write_file(&readme, README.as_bytes())?;
        }
        Ok(())
    }
}

/// What to do where a store may not be made; any other error as it is.
fn not_allowed(path: &Path, error: StoreError) -> StoreError {
    let path = path.to_owned();
    match error {
        StoreError::Io { source, .. } if is_forbidden(&source) => {
            StoreError::NotAllowed { path, source }
        }
        other => other,
    }
}

fn is_forbidden(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
    )
}

/// Waits until nobody else makes or completes the store, and keeps others from it as long as the result
/// lives: there are no files in it yet that could be locked. A file system without such locks has
/// none.
fn keep_other_makers_out(path: &Path) -> Option<fs::File> {
    let directory = fs::File::open(path).ok()?;
    let lock = || rustix::fs::flock(&directory, rustix::fs::FlockOperation::LockExclusive);
    rustix::io::retry_on_intr(lock).ok()?;
    Some(directory)
}

/// Refuses a symbolic link in the place of a store's directory: whatever is written or deleted there
/// would be so elsewhere.
fn refuse_link(path: &Path) -> Result<(), StoreError> {
    if fs::symlink_metadata(path).is_ok_and(|meta| meta.is_symlink()) {
        return Err(StoreError::Linked {
            path: path.to_owned(),
        });
    }
    Ok(())
}

/// Why a directory without `store.json` is no store.
fn what_stands_there(path: &Path) -> StoreError {
    let path = path.to_owned();
    let entries = match fs::read_dir(&path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return StoreError::NotThere { path };
        }
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return StoreError::NotAStore { path };
        }
        Err(source) => return failed("read", &path, source),
    };
    // A new file system has a lost+found, and a making that was cut short leaves a hidden file.
    let half = format!("{}.part", layout::STORE_FILE);
    let foreign = entries.filter_map(Result::ok).any(|entry| {
        let name = entry.file_name();
        name != "lost+found" && name != half.as_str()
    });
    if foreign {
        StoreError::NotAStore { path }
    } else {
        StoreError::Empty { path }
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Refuses a file of the store's own whose format is newer than this program's.
fn check_format(path: &Path, text: &[u8]) -> Result<(), StoreError> {
    #[derive(Deserialize)]
    struct Format {
        format: u64,
    }
    let Format { format } = serde_json::from_slice(text).map_err(|error| damaged(path, error))?;
    match format {
        FORMAT => Ok(()),
        0 => Err(damaged(path, "there is no format 0")),
        found => Err(StoreError::NewerFormat {
            path: path.to_owned(),
            found,
            known: FORMAT,
        }),
    }
}

/// The path with all links resolved, of which the last components need not exist.
fn resolve(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    let mut missing = Vec::new();
    let mut there = path.as_path();
    loop {
        match fs::canonicalize(there) {
            Ok(real) => {
                return Ok(missing
                    .iter()
                    .rev()
                    .fold(real, |path, name| path.join(name)));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        match (there.parent(), there.file_name()) {
            (Some(parent), Some(name)) => {
                missing.push(name);
                there = parent;
            }
            _ => return Ok(path),
        }
    }
}

fn random_id() -> io::Result<String> {
    use std::io::Read;
    let mut bytes = [0; 16];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Now, to the second, RFC 3339.
pub(crate) fn now() -> String {
    let now = jiff::Timestamp::now();
    jiff::Timestamp::from_second(now.as_second())
        .unwrap_or(now)
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn new_store() -> (tempfile::TempDir, Store) {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::create(&directory.path().join("store")).unwrap();
        (directory, store)
    }

    #[test]
    fn who_may_not_make_a_store_is_told_how() {
        let said = |kind: io::ErrorKind| {
            let path = Path::new("/backup/s");
            not_allowed(path, failed("create", path, kind.into())).to_string()
        };
        for kind in [
            io::ErrorKind::PermissionDenied,
            io::ErrorKind::ReadOnlyFilesystem,
        ] {
            let said = said(kind);
            assert!(
                said.contains("is it mounted?") && said.contains("-m 700 /backup/s)"),
                "{said}"
            );
        }
        assert_eq!(said(io::ErrorKind::StorageFull), "cannot create /backup/s");
        let error = Store::create(Path::new("/nowhere/at/all")).unwrap_err();
        assert!(error.to_string().ends_with("-m 700 /nowhere/at/all)"));
    }

    #[test]
    fn many_make_one_store_at_once() {
        for _ in 0..20 {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("store");
            let ids: Vec<String> = std::thread::scope(|scope| {
                let makers: Vec<_> = (0..8)
                    .map(|_| scope.spawn(|| Store::create(&path).unwrap().id().to_owned()))
                    .collect();
                makers
                    .into_iter()
                    .map(|maker| maker.join().unwrap())
                    .collect()
            });
            assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        }
    }

    #[test]
    fn a_store_is_made_and_opened_again() {
        let (_directory, store) = new_store();
        assert_eq!(store.id().len(), 32);
        for again in [
            Store::open(store.path()),
            Store::open_read_only(store.path()),
            Store::create(store.path()),
        ] {
            assert_eq!(again.unwrap().id(), store.id());
        }
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(store.path()), 0o700);
        for entry in fs::read_dir(store.path()).unwrap() {
            let path = entry.unwrap().path();
            let wanted = if path.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(mode(&path), wanted, "{}", path.display());
        }
    }

    #[test]
    fn what_is_no_store_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("there");
        let error = Store::open(&path).unwrap_err();
        assert!(matches!(error, StoreError::NotThere { .. }), "{error}");
        fs::create_dir(&path).unwrap();
        let error = Store::open(&path).unwrap_err();
        assert!(matches!(error, StoreError::Empty { .. }), "{error}");
        fs::write(path.join("letters.txt"), "mine").unwrap();
        for error in [Store::open(&path), Store::create(&path)] {
            let error = error.unwrap_err();
            assert!(matches!(error, StoreError::NotAStore { .. }), "{error}");
            assert!(error.is_misuse());
        }
        let error = Store::open(&path.join("letters.txt")).unwrap_err();
        assert!(matches!(error, StoreError::NotAStore { .. }), "{error}");
        assert_eq!(fs::read_dir(&path).unwrap().count(), 1);
    }

    #[test]
    fn a_link_to_a_store_is_the_store() {
        let (directory, store) = new_store();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(store.path(), &link).unwrap();
        assert_eq!(Store::create(&link).unwrap().id(), store.id());
        let nowhere = directory.path().join("nowhere");
        std::os::unix::fs::symlink(directory.path().join("gone"), &nowhere).unwrap();
        assert!(Store::create(&nowhere).is_err());
    }

    #[test]
    fn a_link_in_the_place_of_a_directory_of_a_store_is_refused() {
        for name in [layout::STATE, layout::POOL, layout::SETS] {
            let (directory, store) = new_store();
            let elsewhere = directory.path().join("elsewhere");
            fs::rename(store.path().join(name), &elsewhere).unwrap();
            std::os::unix::fs::symlink(&elsewhere, store.path().join(name)).unwrap();
            let error = Store::open(store.path()).unwrap_err();
            assert!(matches!(&error, StoreError::Linked { .. }), "{error}");
            assert!(error.to_string().contains("is a symbolic link"), "{error}");
            // Contents and sets may be read from wherever they are.
            let read_only = Store::open_read_only(store.path());
            assert_eq!(read_only.is_err(), name == layout::STATE);
        }
    }

    #[test]
    fn a_making_that_was_cut_short_is_taken_up() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("lost+found")).unwrap();
        fs::write(directory.path().join("store.json.part"), "{").unwrap();
        let store = Store::create(directory.path()).unwrap();
        for name in [layout::POOL, layout::STATE, layout::README_FILE] {
            let path = store.path().join(name);
            if path.is_dir() {
                fs::remove_dir(&path).unwrap();
            } else {
                fs::remove_file(&path).unwrap();
            }
            assert_eq!(Store::create(store.path()).unwrap().id(), store.id());
            assert!(path.exists());
        }
    }

    #[test]
    fn a_newer_store_is_refused_and_a_damaged_one_too() {
        let (_directory, store) = new_store();
        let file = store.path().join(layout::STORE_FILE);
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, text.replace("\"format\": 1", "\"format\": 2")).unwrap();
        let error = Store::open_read_only(store.path()).unwrap_err();
        assert!(
            matches!(error, StoreError::NewerFormat { found: 2, .. }),
            "{error}"
        );
        assert!(error.is_misuse());
        for bad in ["", "{", "[]", "{\"format\": 0}", "{\"format\": \"1\"}"] {
            fs::write(&file, bad).unwrap();
            let error = Store::open(store.path()).unwrap_err();
            assert!(
                matches!(error, StoreError::Damaged { .. }),
                "{bad}: {error}"
            );
        }
    }

    #[test]
    fn store_and_repository_lie_apart() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::create_dir_all(at("repository/localhost")).unwrap();
        std::os::unix::fs::symlink(at("repository"), at("link")).unwrap();
        for store in [
            "repository",
            "repository/store",
            "repository/a/b/c",
            "link/store",
            "link/../repository/store",
            "",
        ] {
            let error = Store::keep_apart(&at(store), &at("repository")).unwrap_err();
            assert!(
                matches!(error, StoreError::Inside { .. }),
                "{store}: {error}"
            );
            assert!(error.is_misuse());
        }
        for store in ["store", "repository-store", "repo", "a/b/c"] {
            Store::keep_apart(&at(store), &at("repository")).unwrap();
        }
    }
}
