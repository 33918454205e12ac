//! Stores with sets in them.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use fogold::manifest::frames;
use fogold::manifest::jsonl::Header;
use fogold::manifest::{Entry, Place, SetKind, Types, UrlGold};
use fogold::monitor::Silent;
use fogold::repository::{Access, RepositoryName, Tree, discover_layout};
use fogold::store::backup::{self, DumpSource, Request};
use fogold::store::record::SetRecord;
use fogold::store::{SetId, Store};
use fogold::sysconf::Programs;
use md5::Digest;
use serde_json::Value;
use tempfile::TempDir;

use super::{Fogold, MadeUp};

/// A store in a directory of its own.
#[derive(Debug)]
pub(crate) struct MadeStore {
    directory: TempDir,
}

impl MadeStore {
    /// An empty store.
    pub(crate) fn new() -> MadeStore {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let made = MadeStore { directory };
        Store::create(&made.path()).expect("a store");
        made
    }

    /// A place for a store, where none is yet.
    pub(crate) fn nowhere() -> MadeStore {
        MadeStore {
            directory: tempfile::tempdir().expect("a temporary directory"),
        }
    }

    /// The same store once more.
    pub(crate) fn copy(&self) -> MadeStore {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let status = std::process::Command::new("cp")
            .arg("-a")
            .arg(self.path())
            .arg(directory.path())
            .status();
        assert!(status.expect("cp runs").success());
        MadeStore { directory }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("store")
    }

    pub(crate) fn open(&self) -> Store {
        Store::open(&self.path()).expect("a store")
    }

    /// A command of the program on this store.
    pub(crate) fn fogold(&self, command: &str) -> Fogold {
        Fogold::new([command]).arg(self.path())
    }

    /// A backup into it, with its report as NDJSON and its scratch files beside it.
    pub(crate) fn backup<I, S>(&self, arguments: I) -> Fogold
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        self.fogold("backup")
            .args(["--format", "ndjson", "--scratch"])
            .arg(self.directory.path())
            .args(arguments)
    }

    /// A backup of a made-up server from its dump.
    pub(crate) fn backup_of(&self, made_up: &MadeUp, kind: &str) -> Fogold {
        self.backup([kind, "--sysconfdir"])
            .arg(made_up.sysconfdir())
            .arg("--dump")
            .arg(made_up.dump())
    }

    /// Adds a set of made-up contents, by number; each is put into the pool. Its dump is none.
    pub(crate) fn add_set(&self, id: &str, numbers: impl IntoIterator<Item = u32>) {
        let entries = numbers.into_iter().map(|number| self.put(number));
        self.write_set(id, entries.collect());
    }

    /// Adds a set of names, whose contents nobody puts into the pool.
    pub(crate) fn add_set_of(&self, id: &str, names: &[RepositoryName]) {
        let entries = names.iter().map(|name| Entry {
            name: *name,
            types: Types::GOLD,
            blake3: Some([0; 32]),
            place: Place::Pool,
            urls: Vec::new(),
            url_withheld: false,
        });
        self.write_set(id, entries.collect());
    }

    fn write_set(&self, id: &str, mut entries: Vec<Entry>) {
        let store = self.open();
        let id: SetId = id.parse().expect("the id of a set");
        let directory = store.layout().set(id);
        fogold::store::make_directory(&directory).expect("a directory");
        entries.sort_by_key(|entry| entry.name);
        let header = Header::new(id.kind, UrlGold::Keep, "made up");
        let (manifest, footer) = frames::of_entries(&header, &entries).expect("a manifest");
        let mut record = SetRecord::of(id, UrlGold::Keep);
        record.finished = record.began.clone();
        record.counts.pool = footer.held();
        record.manifest.entries = footer.entries;
        for (file, name, contents) in [
            (&mut record.manifest.file, "manifest.jsonl.zst", manifest),
            (&mut record.dump.file, "database.dump", vec![b'x'; 5_000]),
        ] {
            fs::write(directory.join(name), &contents).expect("a file");
            file.file = name.to_owned();
            file.bytes = contents.len() as u64;
            file.blake3 = *blake3::hash(&contents).as_bytes();
        }
        record.write(&directory).expect("a record");
    }

    /// Puts made-up contents into the pool.
    pub(crate) fn put(&self, number: u32) -> Entry {
        let contents = contents(number);
        let name = name(number);
        let path = self.open().layout().pool_path(&name);
        fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        fs::write(&path, &contents).expect("a file");
        Entry {
            name,
            types: Types::GOLD,
            blake3: Some(*blake3::hash(&contents).as_bytes()),
            place: Place::Pool,
            urls: Vec::new(),
            url_withheld: false,
        }
    }

    /// Makes a set of a made-up server from its dump, whatever is found on the way; returns the
    /// set's id.
    pub(crate) fn back_up(&self, made_up: &MadeUp, kind: SetKind) -> String {
        let outcome = self
            .fogold("backup")
            .arg(format!("--{kind}"))
            .arg("--dump")
            .arg(made_up.dump())
            .arg("--repository")
            .arg(made_up.repository())
            .run();
        assert!(
            matches!(outcome.code, Some(0 | 1)),
            "{}",
            outcome.complaint()
        );
        let newest = self.open().find_set(None, &Silent).expect("a set");
        newest.to_string()
    }

    /// Gives a set another id, as if it had been made then.
    pub(crate) fn date(&self, id: &str, new: &str) {
        let sets = self.path().join("sets");
        fs::rename(sets.join(id), sets.join(new)).expect("a set");
        self.edit_record(new, |record| record["id"] = new.into());
    }

    /// Changes the record of a set.
    pub(crate) fn edit_record(&self, id: &str, change: impl FnOnce(&mut Value)) {
        let path = self.set(id).join("set.json");
        let text = fs::read(&path).expect("a record");
        let mut record = serde_json::from_slice(&text).expect("a record");
        change(&mut record);
        fs::write(&path, record.to_string()).expect("a record");
    }

    /// The name of a set's dump.
    pub(crate) fn dump_of(&self, id: &str) -> String {
        let record = fs::read(self.set(id).join("set.json")).expect("a record");
        let record: Value = serde_json::from_slice(&record).expect("a record");
        record["dump"]["file"].as_str().expect("a name").to_owned()
    }

    /// The directory of a finished set.
    pub(crate) fn set(&self, id: &str) -> PathBuf {
        self.path().join("sets").join(id)
    }

    /// What lies in the directory of sets, in order.
    pub(crate) fn sets(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.path().join("sets"))
            .expect("a directory")
            .map(|entry| entry.expect("an entry").file_name())
            .map(|name| name.to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// The names in the manifest of a set.
    pub(crate) fn names_of(&self, id: &str) -> Vec<String> {
        let id = id.parse().expect("the id of a set");
        let record = self.open().record(id).expect("a record");
        let mut manifest = self.open().manifest(id, &record).expect("a manifest");
        let mut names = Vec::new();
        while let Some(entry) = manifest.next_entry().expect("an entry") {
            names.push(entry.name.to_string());
        }
        names
    }

    /// The only set, or the newest.
    pub(crate) fn newest(&self) -> String {
        let ids = self.open().sets(&Silent).expect("the sets");
        ids.last().expect("a set").to_string()
    }

    /// The record of a set.
    pub(crate) fn record(&self, id: &str) -> Value {
        let text = fs::read(self.set(id).join("set.json")).expect("a record");
        serde_json::from_slice(&text).expect("a record")
    }

    /// The entries of a set's manifest, as they are written.
    pub(crate) fn entries(&self, id: &str) -> Vec<Value> {
        let packed = fs::read(self.set(id).join("manifest.jsonl.zst")).expect("a manifest");
        let text = zstd::decode_all(&packed[..]).expect("a whole manifest");
        let lines = String::from_utf8(text).expect("UTF-8");
        let mut lines: Vec<Value> = lines
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        lines.pop();
        lines.remove(0);
        lines
    }

    /// Has the program verify every finished set; panics unless all of them are good.
    pub(crate) fn assert_verified(&self) {
        for id in self.open().sets(&Silent).expect("the sets") {
            let verify = self.fogold("verify").arg(id.to_string());
            verify
                .arg("--scratch")
                .arg(self.directory.path())
                .run()
                .assert_code(0);
        }
    }

    /// The names in the pool, in order.
    pub(crate) fn pool(&self) -> Vec<String> {
        let pool = self.path().join("pool");
        let files = files(&pool).into_keys();
        files
            .filter_map(|path| Some(path.rsplit_once('/')?.1.to_owned()))
            .collect()
    }

    /// Everything in the store but its state: path and digest.
    pub(crate) fn everything(&self) -> BTreeMap<String, blake3::Hash> {
        let mut all = files(&self.path());
        all.retain(|path, _| !path.starts_with("state/"));
        all
    }

    /// Panics unless every finished set is there whole, to its last file.
    pub(crate) fn assert_whole(&self) {
        let store = self.open();
        for id in store.sets(&Silent).expect("the sets") {
            let record = store.record(id).expect("a record");
            for file in record.files() {
                let contents = fs::read(file.path(&store.layout().set(id))).expect("a file");
                assert_eq!(blake3::hash(&contents).as_bytes(), &file.blake3, "{id}");
            }
            let mut manifest = store.manifest(id, &record).expect("a manifest");
            let mut count = 0;
            while let Some(entry) = manifest.next_entry().expect("an entry") {
                count += 1;
                let path = store.layout().pool_path(&entry.name);
                let contents = fs::read(&path).unwrap_or_else(|_| panic!("{id} lacks {path:?}"));
                assert_eq!(Some(*blake3::hash(&contents).as_bytes()), entry.blake3);
            }
            assert_eq!(count, record.manifest.entries, "{id}");
        }
    }
}

/// The made-up contents of a number.
pub(crate) fn contents(number: u32) -> Vec<u8> {
    format!("made-up contents, number {number}\n")
        .repeat(3)
        .into_bytes()
}

/// The name of a number's contents.
pub(crate) fn name(number: u32) -> RepositoryName {
    let contents = contents(number);
    RepositoryName {
        sha1: sha1::Sha1::digest(&contents).into(),
        md5: md5::Md5::digest(&contents).into(),
        size: contents.len() as u64,
    }
}

/// All files below a directory, by their paths relative to it.
fn files(root: &Path) -> BTreeMap<String, blake3::Hash> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let below = path.strip_prefix(root).expect("below the root");
            let digest = blake3::hash(&fs::read(&path).expect("a file"));
            found.insert(below.display().to_string(), digest);
        }
    }
    found
}
