//! Small stores for the unit tests of this room.

use std::fs;

use sha1::{Digest, Sha1};

use super::layout::{MANIFEST_FILE, SetId};
use super::record::SetRecord;
use super::{Store, make_directory};
use crate::manifest::jsonl::Header;
use crate::manifest::{Entry, Place, Types, UrlGold, frames};
use crate::repository::RepositoryName;

/// The contents of a number.
pub(super) fn contents(number: u32) -> Vec<u8> {
    format!("contents {number}").into_bytes()
}

/// The name of a number's contents.
pub(super) fn name(number: u32) -> RepositoryName {
    let contents = contents(number);
    RepositoryName {
        sha1: Sha1::digest(&contents).into(),
        md5: md5::Md5::digest(&contents).into(),
        size: contents.len() as u64,
    }
}

/// An entry for a name, with a blake3 of some kind.
pub(super) fn entry(name: &RepositoryName) -> Entry {
    Entry {
        name: *name,
        types: Types::GOLD,
        blake3: Some([name.sha1[0]; 32]),
        place: Place::Pool,
        urls: Vec::new(),
        url_withheld: false,
    }
}

/// Puts a number's contents into the pool.
pub(super) fn put(store: &Store, number: u32) {
    let path = store.layout().pool_path(&name(number));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, contents(number)).unwrap();
}

/// Makes a set of entries, without a dump.
pub(super) fn new_set(store: &Store, id: &str, mut entries: Vec<Entry>) -> (SetId, SetRecord) {
    let id: SetId = id.parse().unwrap();
    let directory = store.layout().set(id);
    make_directory(&directory).unwrap();
    entries.sort_unstable_by_key(|entry| entry.name);
    let header = Header::new(id.kind, UrlGold::Keep, "a test");
    let (bytes, footer) = frames::of_entries(&header, &entries).unwrap();
    fs::write(directory.join(MANIFEST_FILE), &bytes).unwrap();
    let mut record = SetRecord::of(id, UrlGold::Keep);
    record.manifest.file.file = MANIFEST_FILE.to_owned();
    record.manifest.file.bytes = bytes.len() as u64;
    record.manifest.file.blake3 = *blake3::hash(&bytes).as_bytes();
    record.manifest.entries = footer.entries;
    record.dump.file.file = "database.dump".to_owned();
    record.write(&directory).unwrap();
    (id, record)
}
