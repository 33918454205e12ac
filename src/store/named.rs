//! What sets name, all of them together: each name once, with the sets that name it.
//!
//! Manifests are sorted by name, and so by shard. A few of them at a time are merged with what was
//! merged before, shard by shard, into a scratch file without a name. Memory holds one shard, and
//! the readers of those few.

use std::fs::File;
use std::io::{self, BufReader};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::durable::failed;
use super::layout::SetId;
use super::record::{SetRecord, damaged};
use super::{Store, StoreError};
use crate::catalog::CatalogError;
use crate::catalog::scatter::scratch_file;
use crate::manifest::frames::Frames;
use crate::manifest::jsonl::Reader;
use crate::manifest::{ByShard, Entry, Place, Types};
use crate::monitor::Monitor;
use crate::repository::{RepositoryName, Shard};

/// So many manifests are read at the same time: each reader keeps a window of what it
/// decompresses, of up to 8 MiB.
const AT_ONCE: usize = 8;

/// A manifest, decompressed.
pub type ManifestReader = Reader<BufReader<zstd::Decoder<'static, BufReader<File>>>>;

impl Store {
    /// Opens the manifest of a finished set, whose record is given.
    pub fn manifest(&self, id: SetId, record: &SetRecord) -> Result<ManifestReader, StoreError> {
        let path = record.manifest.file.path(&self.layout().set(id));
        let read = |source| failed("read", &path, source);
        let file = File::open(&path).map_err(read)?;
        let text = zstd::Decoder::new(file).map_err(read)?;
        let (reader, header) = Reader::new(BufReader::new(text), &path)?;
        if header.kind == id.kind {
            return Ok(reader);
        }
        let why = format_args!("it is the manifest of a {} set", header.kind);
        Err(damaged(&path, why))
    }

    /// Opens the manifest of a finished set, to be read frame by frame. Nothing of it is proven.
    pub(super) fn manifest_frames(
        &self,
        id: SetId,
        record: &SetRecord,
    ) -> Result<Frames<File>, StoreError> {
        let path = record.manifest.file.path(&self.layout().set(id));
        let file = File::open(&path).map_err(|source| failed("read", &path, source))?;
        Ok(Frames::new(file, &path)?)
    }
}

/// Contents that sets name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Named {
    pub name: RepositoryName,
    pub blake3: Option<[u8; 32]>,
    /// The sets do not agree about the blake3.
    pub disputed: bool,
    /// In gold, in files, in license.
    types: (bool, bool, bool),
    /// The numbers of the sets that name it, ascending, as runs of first and last: contents stay
    /// in a store for a while, and are in every set of that time.
    sets: Vec<(u32, u32)>,
}

impl Named {
    fn of(entry: &Entry, set: u32) -> Named {
        Named {
            name: entry.name,
            blake3: entry.blake3,
            disputed: false,
            types: (
                entry.types.has(Types::GOLD),
                entry.types.has(Types::FILES),
                entry.types.has(Types::LICENSE),
            ),
            sets: vec![(set, set)],
        }
    }

    /// Takes in what a later set says of the same name.
    fn join(&mut self, other: &Named) {
        self.disputed |= other.disputed
            || matches!((self.blake3, other.blake3), (Some(one), Some(two)) if one != two);
        self.blake3 = self.blake3.or(other.blake3);
        self.types.0 |= other.types.0;
        self.types.1 |= other.types.1;
        self.types.2 |= other.types.2;
        for run in &other.sets {
            match self.sets.last_mut() {
                Some(last) if last.1 + 1 == run.0 => last.1 = run.1,
                _ => self.sets.push(*run),
            }
        }
    }

    /// The types under which the sets bring it back.
    pub(super) fn types(&self) -> Types {
        let (gold, files, license) = self.types;
        [
            (gold, Types::GOLD),
            (files, Types::FILES),
            (license, Types::LICENSE),
        ]
        .into_iter()
        .filter(|(is, _)| *is)
        .fold(Types::NONE, |types, (_, ty)| types.and(ty))
    }

    /// The numbers of the sets that name it.
    pub(super) fn sets(&self) -> impl Iterator<Item = usize> {
        self.sets
            .iter()
            .flat_map(|(first, last)| *first..=*last)
            .map(|number| number as usize)
    }
}

/// Everything that some sets have in the pool.
pub(super) struct NameList {
    file: File,
    scratch: PathBuf,
    /// Where each shard begins and how long it is.
    extents: Vec<(u64, usize)>,
}

impl NameList {
    /// Merges the manifests of sets, whose numbers are their places in `sets`. What was left out
    /// of a set is not named by it.
    pub(super) fn of_sets(
        store: &Store,
        sets: &[(SetId, SetRecord)],
        scratch: &Path,
        monitor: &dyn Monitor,
    ) -> Result<NameList, StoreError> {
        let mut merged = NameList::empty(scratch)?;
        for (group, sets) in sets.chunks(AT_ONCE).enumerate() {
            let first = (group * AT_ONCE) as u32;
            let mut manifests = Vec::with_capacity(sets.len());
            for (number, (id, record)) in (first..).zip(sets) {
                manifests.push((number, ByShard::new(store.manifest(*id, record)?)));
            }
            let mut next = NameList::empty(scratch)?;
            for shard in Shard::all() {
                if monitor.stopped() {
                    return Err(StoreError::Stopped);
                }
                let mut names = merged.shard(shard)?;
                for (number, manifest) in &manifests {
                    let entries = manifest.take(shard)?;
                    names = merge(names, in_pool(&entries, *number));
                }
                next.append(shard, &names)?;
            }
            for (_, manifest) in manifests {
                manifest.finish()?;
            }
            merged = next;
        }
        Ok(merged)
    }

    fn empty(scratch: &Path) -> Result<NameList, StoreError> {
        Ok(NameList {
            file: scratch_file(scratch)?,
            scratch: scratch.to_owned(),
            extents: vec![(0, 0); 256],
        })
    }

    /// Whether no set names anything.
    pub(super) fn is_empty(&self) -> bool {
        self.extents.iter().all(|(_, length)| *length == 0)
    }

    /// The names of a shard, in order.
    pub(super) fn shard(&self, shard: Shard) -> Result<Vec<Named>, StoreError> {
        let (offset, length) = self.extents[shard.index()];
        let mut bytes = vec![0; length];
        self.file
            .read_exact_at(&mut bytes, offset)
            .map_err(|source| self.failed(source))?;
        let mut names = Vec::new();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (named, after) = postcard::take_from_bytes(rest)
                .map_err(|error| self.failed(io::Error::other(error)))?;
            names.push(named);
            rest = after;
        }
        Ok(names)
    }

    /// Writes the next shard.
    fn append(&mut self, shard: Shard, names: &[Named]) -> Result<(), StoreError> {
        let offset = match shard.0.checked_sub(1) {
            Some(before) => {
                let (offset, length) = self.extents[usize::from(before)];
                offset + length as u64
            }
            None => 0,
        };
        let mut bytes = Vec::new();
        for named in names {
            // Writing to memory cannot fail.
            bytes.extend(postcard::to_stdvec(named).unwrap_or_default());
        }
        self.file
            .write_all_at(&bytes, offset)
            .map_err(|source| self.failed(source))?;
        self.extents[shard.index()] = (offset, bytes.len());
        Ok(())
    }

    fn failed(&self, source: io::Error) -> StoreError {
        let directory = self.scratch.clone();
        CatalogError::Scratch { directory, source }.into()
    }
}

/// What a manifest has in the pool.
fn in_pool(entries: &[Entry], set: u32) -> impl Iterator<Item = Named> {
    entries
        .iter()
        .filter(|entry| entry.place == Place::Pool)
        .map(move |entry| Named::of(entry, set))
}

/// Two ascending lists as one; `later` comes from later sets.
fn merge(earlier: Vec<Named>, later: impl Iterator<Item = Named>) -> Vec<Named> {
    let mut merged = Vec::with_capacity(earlier.len());
    let mut earlier = earlier.into_iter().peekable();
    for named in later {
        while let Some(before) = earlier.next_if(|each| each.name < named.name) {
            merged.push(before);
        }
        match earlier.next_if(|each| each.name == named.name) {
            Some(mut same) => {
                same.join(&named);
                merged.push(same);
            }
            None => merged.push(named),
        }
    }
    merged.extend(earlier);
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::Silent;
    use crate::store::fixture::{entry, name, new_set};
    use crate::store::tests::new_store;

    #[test]
    fn more_sets_than_are_read_at_once_are_merged() {
        let (directory, store) = new_store();
        let count = 2 * AT_ONCE as u32 + 1;
        let sets: Vec<(SetId, SetRecord)> = (0..count)
            .map(|number| {
                // Name 1 is in all sets, name 2 in every third, and each has one of its own.
                let mut entries = vec![entry(&name(1)), entry(&name(1000 + number))];
                if number % 3 == 0 {
                    entries.push(entry(&name(2)));
                }
                let mut left_out = entry(&name(3));
                left_out.place = Place::Urls;
                left_out.blake3 = None;
                left_out.urls = vec!["https://example.org/a.zip".to_owned()];
                entries.push(left_out);
                new_set(
                    &store,
                    &format!("2026-01-{:02}T000000Z-full", number + 1),
                    entries,
                )
            })
            .collect();
        let list = NameList::of_sets(&store, &sets, directory.path(), &Silent).unwrap();
        let mut all = Vec::new();
        for shard in Shard::all() {
            let names = list.shard(shard).unwrap();
            assert!(names.iter().all(|named| named.name.shard() == shard));
            assert!(names.is_sorted_by(|a, b| a.name < b.name));
            all.extend(names);
        }
        assert_eq!(all.len(), 2 + sets.len());
        let sets_of = |wanted: u32| -> Vec<usize> {
            let named = all.iter().find(|named| named.name == name(wanted));
            named.unwrap().sets().collect()
        };
        assert!(sets_of(1).into_iter().eq(0..sets.len()));
        assert!(sets_of(2).into_iter().eq((0..sets.len()).step_by(3)));
        assert_eq!(sets_of(1005), [5]);
    }

    #[test]
    fn sets_that_do_not_agree_are_noticed() {
        let (directory, store) = new_store();
        let mut other = entry(&name(1));
        other.blake3 = Some([9; 32]);
        let sets = [
            new_set(
                &store,
                "2026-01-01T000000Z-full",
                vec![entry(&name(1)), entry(&name(2))],
            ),
            new_set(
                &store,
                "2026-01-02T000000Z-full",
                vec![other, entry(&name(2))],
            ),
        ];
        let list = NameList::of_sets(&store, &sets, directory.path(), &Silent).unwrap();
        let disputed: Vec<RepositoryName> = Shard::all()
            .flat_map(|shard| list.shard(shard).unwrap())
            .filter(|named| named.disputed)
            .map(|named| named.name)
            .collect();
        assert_eq!(disputed, [name(1)]);
    }
}
