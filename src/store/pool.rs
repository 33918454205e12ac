//! The pool: one file a name, `pool/<aa>/<bb>/<name>`.
//!
//! What bears another kind of name, lies in another place or is no regular file is none of ours:
//! it is counted and left alone. Only `<name>.part` is: contents on their way into the pool, left
//! behind by a backup that was killed. A symbolic link is never followed, for what it leads to is in
//! no store: contents are looked at, and deleted, through the open directories above them.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::durable::{HALF, failed};
use super::layout::POOL;
use super::{Layout, StoreError};
use crate::repository::{RepositoryName, Shard};

/// What lies in a shard of the pool.
#[derive(Debug, Default)]
pub(super) struct PoolShard {
    /// The names that stand in their place, in order.
    pub names: Vec<RepositoryName>,
    /// The names whose contents were on their way.
    pub halves: Vec<RepositoryName>,
    /// How much there is that is none of ours.
    pub foreign: u64,
}

impl PoolShard {
    /// Lists a shard; one that has no directory is empty.
    pub(super) fn list(layout: &Layout, shard: Shard) -> Result<PoolShard, StoreError> {
        let mut listed = PoolShard::default();
        let top = layout.pool().join(shard.to_string());
        match fs::symlink_metadata(&top) {
            Ok(meta) if meta.is_dir() => {}
            Ok(_) => {
                listed.foreign += 1;
                return Ok(listed);
            }
            Err(_) => return Ok(listed),
        }
        for entry in entries(&top)? {
            let entry = entry.map_err(|source| failed("read", &top, source))?;
            let is_directory = entry.file_type().is_ok_and(|ty| ty.is_dir());
            match second_byte(&entry.file_name()).filter(|_| is_directory) {
                Some(second) => listed.leaf(&entry.path(), [shard.0, second])?,
                None => listed.foreign += 1,
            }
        }
        listed.names.sort_unstable();
        Ok(listed)
    }

    fn leaf(&mut self, path: &Path, begins: [u8; 2]) -> Result<(), StoreError> {
        for entry in entries(path)? {
            let entry = entry.map_err(|source| failed("read", path, source))?;
            let is_file = entry.file_type().is_ok_and(|ty| ty.is_file());
            let file_name = entry.file_name();
            let text = file_name.to_str().filter(|_| is_file).unwrap_or_default();
            let is_here = |name: &RepositoryName| name.sha1[..2] == begins;
            if let Some(name) = name_of(text).filter(is_here) {
                self.names.push(name);
            } else if let Some(name) = text.strip_suffix(HALF).and_then(name_of).filter(is_here) {
                self.halves.push(name);
            } else {
                self.foreign += 1;
            }
        }
        Ok(())
    }
}

/// Why contents cannot be reached.
#[derive(Debug)]
pub(super) enum Unreached {
    /// What stands above them is no directory; its path in the store.
    NoDirectory(String),
    /// The system's answer.
    System(io::Error),
}

impl From<Unreached> for io::Error {
    fn from(unreached: Unreached) -> io::Error {
        match unreached {
            Unreached::NoDirectory(path) => io::Error::new(
                io::ErrorKind::NotADirectory,
                format!("{path} is no directory"),
            ),
            Unreached::System(error) => error,
        }
    }
}

/// A shard of the pool by its open directories: no symbolic link leads out of it. The names asked
/// for are best in order.
pub(super) struct OpenShard {
    shard: Shard,
    top: Result<OwnedFd, Errno>,
    /// The directory asked for last, by the byte that it stands for.
    leaf: Option<(u8, Result<OwnedFd, Errno>)>,
}

impl OpenShard {
    /// Opens a shard. That it cannot be opened is said of each of its contents.
    pub(super) fn of(layout: &Layout, shard: Shard) -> OpenShard {
        let path = layout.pool().join(shard.to_string());
        OpenShard {
            shard,
            top: rustix::fs::open(path, DIRECTORY, Mode::empty()),
            leaf: None,
        }
    }

    /// How long contents are; `None` when what bears their name is no regular file.
    pub(super) fn length(&mut self, name: &RepositoryName) -> Result<Option<u64>, Unreached> {
        let leaf = self.leaf(name)?;
        let stat = rustix::fs::statat(leaf, name.to_string(), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| Unreached::System(error.into()))?;
        let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        Ok(is_file.then_some(stat.st_size as u64))
    }

    /// Looks at a file named `file_name` beside the contents of a name, and deletes it with `apply`;
    /// says how long it was.
    pub(super) fn delete(
        &mut self,
        name: &RepositoryName,
        file_name: &str,
        apply: bool,
    ) -> Result<u64, Unreached> {
        let leaf = self.leaf(name)?;
        let deleted =
            rustix::fs::statat(leaf, file_name, AtFlags::SYMLINK_NOFOLLOW).and_then(|stat| {
                if apply {
                    rustix::fs::unlinkat(leaf, file_name, AtFlags::empty())?;
                }
                Ok(stat.st_size as u64)
            });
        deleted.map_err(|error| Unreached::System(error.into()))
    }

    /// The directory in which the contents of a name stand.
    fn leaf(&mut self, name: &RepositoryName) -> Result<&OwnedFd, Unreached> {
        let shard = self.shard;
        let unreached = |below: String, error: Errno| match error {
            Errno::NOTDIR | Errno::LOOP => Unreached::NoDirectory(format!("{POOL}/{below}")),
            error => Unreached::System(error.into()),
        };
        let top = self
            .top
            .as_ref()
            .map_err(|error| unreached(shard.to_string(), *error))?;
        let second = name.sha1[1];
        let below = format!("{second:02x}");
        let opened = match self.leaf.take() {
            Some((open, leaf)) if open == second => leaf,
            _ => rustix::fs::openat(top, &below, DIRECTORY, Mode::empty()),
        };
        let (_, leaf) = self.leaf.insert((second, opened));
        leaf.as_ref()
            .map_err(|error| unreached(format!("{shard}/{below}"), *error))
    }
}

/// A directory itself, and never what a link of its name leads to.
const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// The name that a text is, letter case included.
fn name_of(text: &str) -> Option<RepositoryName> {
    let name: RepositoryName = text.parse().ok()?;
    (name.to_string() == text).then_some(name)
}

fn entries(path: &Path) -> Result<fs::ReadDir, StoreError> {
    fs::read_dir(path).map_err(|source| failed("read", path, source))
}

/// The byte that a directory's name of two lower-case hex digits stands for.
fn second_byte(name: &OsStr) -> Option<u8> {
    let text = name.to_str().filter(|text| text.len() == 2)?;
    let byte = u8::from_str_radix(text, 16).ok()?;
    (format!("{byte:02x}") == text).then_some(byte)
}

/// Whether the pool's directory is there and has anything in it.
pub(super) fn is_empty(layout: &Layout) -> Result<bool, StoreError> {
    match fs::read_dir(layout.pool()) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(source) => Err(failed("read", &layout.pool(), source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture::{name, put};
    use crate::store::tests::new_store;

    #[test]
    fn names_in_their_place_are_told_from_all_else() {
        let (_directory, store) = new_store();
        let layout = store.layout();
        assert!(is_empty(layout).unwrap());
        let numbers = 0..40;
        numbers.clone().for_each(|number| put(&store, number));
        assert!(!is_empty(layout).unwrap());

        let [here, other] = [layout.pool_path(&name(1)), layout.pool_path(&name(2))];
        let shard = name(1).shard();
        let beside = |file_name: &str| here.with_file_name(file_name);
        fs::write(beside(&format!("{}.part", name(1))), "half").unwrap();
        let foreign = [
            beside("letter.part"),
            beside(&name(1).to_string().to_uppercase()),
            beside(other.file_name().unwrap().to_str().unwrap()),
            beside(&format!("{}.part", name(2))),
            layout.pool().join(shard.to_string()).join("letter"),
        ];
        for path in &foreign {
            fs::write(path, "mine").unwrap();
        }
        fs::create_dir(beside(&format!("{}0", name(1)))).unwrap();
        std::os::unix::fs::symlink(&here, beside(&format!("{}1", name(1)))).unwrap();
        let link = layout.pool().join(shard.to_string()).join("zz");
        std::os::unix::fs::symlink(here.parent().unwrap(), link).unwrap();

        let listed = PoolShard::list(layout, shard).unwrap();
        let mut expected: Vec<RepositoryName> = numbers
            .map(name)
            .filter(|name| name.shard() == shard)
            .collect();
        expected.sort_unstable();
        assert_eq!(listed.names, expected);
        assert_eq!(listed.halves, [name(1)]);
        assert_eq!(listed.foreign, foreign.len() as u64 + 3);
    }

    #[test]
    fn contents_behind_a_link_are_neither_seen_nor_deleted() {
        for whole_shard in [true, false] {
            let (directory, store) = new_store();
            let layout = store.layout();
            put(&store, 1);
            let path = layout.pool_path(&name(1));
            let mut open = OpenShard::of(layout, name(1).shard());
            let length = open.length(&name(1)).unwrap();
            assert_eq!(length, Some(name(1).size));
            let linked = path
                .ancestors()
                .nth(if whole_shard { 2 } else { 1 })
                .unwrap();
            let elsewhere = directory.path().join("elsewhere");
            fs::rename(linked, &elsewhere).unwrap();
            std::os::unix::fs::symlink(&elsewhere, linked).unwrap();

            let listed = PoolShard::list(layout, name(1).shard()).unwrap();
            assert_eq!((listed.names.len(), listed.foreign), (0, 1));
            let mut open = OpenShard::of(layout, name(1).shard());
            let below = linked.strip_prefix(store.path()).unwrap();
            for unreached in [
                open.length(&name(1)).map(|_| ()),
                open.delete(&name(1), &name(1).to_string(), true)
                    .map(|_| ()),
            ] {
                let Err(Unreached::NoDirectory(named)) = unreached else {
                    panic!("{unreached:?}");
                };
                assert_eq!(Path::new(&named), below);
            }
            assert!(path.exists(), "it was deleted through the link");
        }
    }

    #[test]
    fn what_is_deleted_is_gone_and_a_directory_never_is() {
        let (_directory, store) = new_store();
        put(&store, 1);
        let path = store.layout().pool_path(&name(1));
        let mut open = OpenShard::of(store.layout(), name(1).shard());
        let text = name(1).to_string();
        for apply in [false, true] {
            assert!(path.exists());
            assert_eq!(open.delete(&name(1), &text, apply).unwrap(), name(1).size);
        }
        assert!(!path.exists());
        fs::create_dir(&path).unwrap();
        assert!(matches!(open.length(&name(1)), Ok(None)));
        assert!(open.delete(&name(1), &text, true).is_err());
        assert!(path.is_dir());
    }
}
