//! The pool: one file a name, `pool/<aa>/<bb>/<name>`.
//!
//! What bears another kind of name, lies in another place or is no regular file is none of ours:
//! it is counted and left alone. Only `<name>.part` is: contents on their way into the pool, left
//! behind by a backup that was killed.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::durable::{HALF, failed};
use super::{Layout, StoreError};
use crate::repository::{RepositoryName, Shard};

/// What lies in a shard of the pool.
#[derive(Debug, Default)]
pub(super) struct PoolShard {
    /// The names that stand in their place, in order.
    pub names: Vec<RepositoryName>,
    /// Contents that were on their way.
    pub halves: Vec<PathBuf>,
    /// How much there is that is none of ours.
    pub foreign: u64,
}

impl PoolShard {
    /// Lists a shard; one that has no directory is empty.
    pub(super) fn list(layout: &Layout, shard: Shard) -> Result<PoolShard, StoreError> {
        let mut listed = PoolShard::default();
        let top = layout.pool().join(shard.to_string());
        if !fs::symlink_metadata(&top).is_ok_and(|meta| meta.is_dir()) {
            return Ok(listed);
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
            } else if text
                .strip_suffix(HALF)
                .and_then(name_of)
                .is_some_and(|name| is_here(&name))
            {
                self.halves.push(entry.path());
            } else {
                self.foreign += 1;
            }
        }
        Ok(())
    }
}

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
        assert_eq!(listed.halves, [beside(&format!("{}.part", name(1)))]);
        assert_eq!(listed.foreign, foreign.len() as u64 + 3);
    }
}
