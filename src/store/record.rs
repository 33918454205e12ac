//! The record of a set, `set.json`: what, when, from where, how much, and what was wrong.
//!
//! Fields that this program does not know are passed over, so that a later one can add some; what
//! changes the meaning of a field raises the format.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::digest::open_regular;
use super::durable::{failed, write_file};
use super::layout::{MANIFEST_FILE, RECORD_FILE, SetId};
use super::{FORMAT, StoreError, check_format};
use crate::catalog::Amount;
use crate::check::Finding;
use crate::manifest::{SetKind, UrlGold};
use crate::sysconf::HostTable;
use crate::sysconf::hosts::BadHostLine;

/// At most so many findings stand in the record; all are in [`FINDINGS_FILE`] when there are more.
pub const MOST_FINDINGS: usize = 1000;

/// Where all findings stand, a line each, when the record cannot hold them.
pub const FINDINGS_FILE: &str = "findings.ndjson";

/// The directory of the configuration in a set.
pub(super) const SYSCONF: &str = "sysconf";

/// The reason of gold that was left out because it can be fetched again.
pub const LEFT_TO_URLS: &str = "can be fetched again from its URL";

/// The reason of derived files that a gold-only set leaves out.
pub const LEFT_TO_UNPACKING: &str = "unpacking brings it back";

/// The reason of derived files that a gold-only set leaves out and that no unpacking brings back.
pub const LEFT_WITHOUT_GOLD: &str =
    "their gold was not found, so no unpacking brings them back; a full set would hold them";

/// A repository has at most so many levels.
const MOST_LEVELS: usize = 16;

/// A record is read up to this size.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// What `set.json` says of a set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SetRecord {
    /// The version of the store's format.
    pub format: u64,
    /// The set's id, as its directory is named.
    pub id: String,
    /// What it is made of.
    pub kind: SetKind,
    /// What was done with gold that can be fetched again.
    pub url_gold: UrlGold,
    /// The program that made it, with its version.
    pub tool: String,
    /// When it was begun, RFC 3339.
    pub began: String,
    /// When it was finished, RFC 3339.
    pub finished: String,
    /// Where it came from.
    pub source: SourceRecord,
    /// The database.
    pub dump: DumpRecord,
    /// The server's roles; absent with a dump that was handed in.
    pub globals: Option<FileRecord>,
    /// What the dump's catalog holds.
    pub rows: RowCounts,
    /// Files and bytes.
    pub counts: Counts,
    /// What the set holds, a line a file.
    pub manifest: ManifestRecord,
    /// What was wrong.
    pub findings: FindingsRecord,
    /// Logs and reports, where they were asked for.
    #[serde(default)]
    pub logs: Option<LogsRecord>,
    /// The files of the configuration; empty in sets of before they were recorded.
    #[serde(default)]
    pub sysconf: Vec<FileRecord>,
    /// Everything that the set should hold was looked at: no directory was unreadable.
    #[serde(default = "yes")]
    pub complete: bool,
}

fn yes() -> bool {
    true
}

/// Logs and reports, packed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogsRecord {
    /// The archive.
    #[serde(flatten)]
    pub file: FileRecord,
    /// What is packed in it.
    pub packed: Amount,
}

/// Where a set came from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceRecord {
    /// The name of the machine that made the set.
    pub host: String,
    /// The repository's root.
    pub repository: String,
    /// Its depth.
    pub depth: usize,
    /// The lines of `[REPOSITORY]`.
    pub hosts: Vec<String>,
    /// The database's name.
    pub database: Option<String>,
    /// The server's version.
    pub server_version: Option<String>,
}

impl SourceRecord {
    /// The hosts of the source's repository.
    pub fn host_table(&self) -> Result<HostTable, BadHostLine> {
        let mut table = HostTable::default();
        for line in &self.hosts {
            // A host is one directory, whoever wrote the record.
            let host_line = line.split_once("[] = ").filter(|(host, _)| is_plain(host));
            let (host, text) = host_line.ok_or_else(|| BadHostLine {
                host: String::new(),
                text: line.clone(),
            })?;
            table.add(host, text)?;
        }
        Ok(table)
    }
}

/// A file of the set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Its name in the set's directory.
    pub file: String,
    /// Its length.
    pub bytes: u64,
    /// Its blake3.
    #[serde(with = "hex_digest")]
    pub blake3: [u8; 32],
}

/// The database dump.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DumpRecord {
    /// The file.
    #[serde(flatten)]
    pub file: FileRecord,
    /// A person made it and handed it in.
    pub given: bool,
    /// `custom`, `plain`, `tar`, with how it is compressed.
    pub form: String,
}

/// The manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestRecord {
    /// The file, compressed as it is.
    #[serde(flatten)]
    pub file: FileRecord,
    /// How many files it names.
    pub entries: u64,
}

/// What the dump's catalog holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowCounts {
    /// Rows of upload.
    pub uploads: u64,
    /// Rows of pfile.
    pub pfiles: u64,
    /// Rows of the upload trees.
    pub tree_rows: u64,
}

impl RowCounts {
    /// The counts by the table's name; `uploadtree` stands for all tables of tree rows together.
    pub fn by_table(&self) -> BTreeMap<String, u64> {
        let rows = [
            ("upload", self.uploads),
            ("pfile", self.pfiles),
            ("uploadtree", self.tree_rows),
        ];
        rows.into_iter()
            .map(|(table, count)| (table.to_owned(), count))
            .collect()
    }
}

/// Files and bytes of a set, each file once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Uploads' originals.
    pub gold: Amount,
    /// Other files, without listings.
    pub files: Amount,
    /// Files of license/.
    pub license: Amount,
    /// Listings of archives.
    pub listings: Amount,
    /// Contents in the pool, each once.
    pub pool: Amount,
    /// Contents that the pool did not have before.
    pub new: Amount,
    /// What was left out, and why.
    #[serde(default)]
    pub left_out: Vec<LeftOut>,
}

/// Files that were left out for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Why.
    pub reason: String,
    /// How many.
    pub files: u64,
    /// How large.
    pub bytes: u64,
}

/// What was wrong when the set was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingsRecord {
    /// Findings by kind.
    pub counts: BTreeMap<String, u64>,
    /// Findings by severity.
    pub severities: BTreeMap<String, u64>,
    /// The first [`MOST_FINDINGS`].
    pub list: Vec<Finding>,
    /// The file with all of them, when there are more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileRecord>,
}

impl FindingsRecord {
    /// How many there are.
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }
}

impl Counts {
    /// What was left out for a reason.
    pub fn left_out(&self, reason: &str) -> Amount {
        let mut amount = Amount::default();
        for left_out in self.left_out.iter().filter(|each| each.reason == reason) {
            amount += Amount {
                files: left_out.files,
                bytes: left_out.bytes,
            };
        }
        amount
    }
}

impl SetRecord {
    /// Writes the record into a set's directory.
    pub fn write(&self, directory: &Path) -> Result<(), StoreError> {
        let path = directory.join(RECORD_FILE);
        let mut text = serde_json::to_vec_pretty(self)
            .map_err(|error| failed("write", &path, std::io::Error::from(error)))?;
        text.push(b'\n');
        write_file(&path, &text)
    }

    /// Reads the record of the set `id` from its directory.
    pub fn read(directory: &Path, id: SetId) -> Result<SetRecord, StoreError> {
        let path = directory.join(RECORD_FILE);
        let text = read_small(&path)?;
        check_format(&path, &text)?;
        let record: SetRecord =
            serde_json::from_slice(&text).map_err(|error| damaged(&path, error))?;
        if record.id != id.to_string() || record.kind != id.kind {
            return Err(damaged(
                &path,
                format_args!("it is the record of {:?}", record.id),
            ));
        }
        if record.manifest.file.file != MANIFEST_FILE {
            let name = &record.manifest.file.file;
            return Err(damaged(
                &path,
                format_args!("{name:?} is no name of a manifest"),
            ));
        }
        if record.source.depth > MOST_LEVELS {
            let depth = record.source.depth;
            return Err(damaged(&path, format_args!("{depth} is no depth")));
        }
        let of_sysconf = record.sysconf.iter().map(|file| {
            let below = file.file.strip_prefix(SYSCONF).unwrap_or_default();
            (file, below.strip_prefix('/').unwrap_or_default())
        });
        let files = record.files().map(|file| (file, &file.file[..]));
        for (file, name) in files.chain(of_sysconf) {
            if !is_plain(name) {
                return Err(damaged(
                    &path,
                    format_args!("{:?} is no name of a file in the set", file.file),
                ));
            }
        }
        Ok(record)
    }

    /// The files of the set that the record has digests of.
    pub fn files(&self) -> impl Iterator<Item = &FileRecord> {
        [&self.manifest.file, &self.dump.file]
            .into_iter()
            .chain(&self.globals)
            .chain(&self.findings.file)
            .chain(self.logs.as_ref().map(|logs| &logs.file))
    }

    /// A record that says nothing yet but what it is.
    pub fn of(id: SetId, url_gold: UrlGold) -> SetRecord {
        let file = FileRecord {
            file: String::new(),
            bytes: 0,
            blake3: [0; 32],
        };
        SetRecord {
            format: FORMAT,
            id: id.to_string(),
            kind: id.kind,
            url_gold,
            tool: format!("fogold {}", env!("CARGO_PKG_VERSION")),
            began: id.time.to_string(),
            finished: String::new(),
            source: SourceRecord::default(),
            dump: DumpRecord {
                file: file.clone(),
                given: false,
                form: String::new(),
            },
            globals: None,
            rows: RowCounts::default(),
            counts: Counts::default(),
            manifest: ManifestRecord { file, entries: 0 },
            findings: FindingsRecord::default(),
            logs: None,
            sysconf: Vec::new(),
            complete: true,
        }
    }
}

impl FileRecord {
    /// Where the file stands in a set's directory.
    pub fn path(&self, directory: &Path) -> PathBuf {
        directory.join(&self.file)
    }
}

/// Whether a name is that of a file in a directory, and of nothing outside it.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0']) && name != RECORD_FILE
}

/// Reads a small file of the store's own.
pub(super) fn read_small(path: &Path) -> Result<Vec<u8>, StoreError> {
    let mut text = Vec::new();
    open_regular(path)
        .and_then(|file| File::from(file).take(MOST_BYTES).read_to_end(&mut text))
        .map_err(|source| failed("read", path, source))?;
    Ok(text)
}

/// The error of a file that is not as it was written.
pub(super) fn damaged(path: &Path, why: impl ToString) -> StoreError {
    StoreError::Damaged {
        path: path.to_owned(),
        why: why.to_string(),
    }
}

/// Digests as lower-case hex.
pub(super) mod hex_digest {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::repository::name::hex;

    pub fn serialize<S: Serializer>(digest: &[u8; 32], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&blake3::Hash::from_bytes(*digest).to_hex())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(from)?;
        hex(text.as_bytes()).ok_or_else(|| D::Error::custom("not a digest of 64 hex digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Kind, Severity};

    fn id() -> SetId {
        "2026-11-21T070500Z-gold-only".parse().unwrap()
    }

    fn record() -> SetRecord {
        let mut record = SetRecord::of(id(), UrlGold::Keep);
        record.manifest.file.file = "manifest.jsonl.zst".to_owned();
        record.dump.file.file = "database.dump".to_owned();
        let list = &mut record.findings.list;
        list.push(Finding::new(Kind::MissingGold, Severity::Loss));
        record
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let directory = tempfile::tempdir().unwrap();
        record().write(directory.path()).unwrap();
        assert_eq!(SetRecord::read(directory.path(), id()).unwrap(), record());
        let other = "2026-11-21T070500Z-full".parse().unwrap();
        let error = SetRecord::read(directory.path(), other).unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    }

    #[test]
    fn what_a_later_program_adds_is_passed_over_and_a_newer_format_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(RECORD_FILE);
        let mut value = serde_json::to_value(record()).unwrap();
        value["weather"] = "fair".into();
        std::fs::write(&path, value.to_string()).unwrap();
        assert_eq!(SetRecord::read(directory.path(), id()).unwrap(), record());
        value["format"] = 2.into();
        std::fs::write(&path, value.to_string()).unwrap();
        let error = SetRecord::read(directory.path(), id()).unwrap_err();
        assert!(error.is_misuse(), "{error}");
    }

    #[test]
    fn what_is_no_file_is_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(RECORD_FILE);
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, mode).unwrap();
        let error = SetRecord::read(directory.path(), id()).unwrap_err();
        assert!(matches!(error, StoreError::Io { .. }), "{error}");
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", &path).unwrap();
        let error = SetRecord::read(directory.path(), id()).unwrap_err();
        assert!(matches!(error, StoreError::Io { .. }), "{error}");
    }

    #[test]
    fn a_record_that_is_cut_or_names_files_elsewhere_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(RECORD_FILE);
        let whole = serde_json::to_vec(&record()).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            let error = SetRecord::read(directory.path(), id()).unwrap_err();
            assert!(
                matches!(error, StoreError::Damaged { .. }),
                "{length}: {error}"
            );
        }
        let mut deep = record();
        deep.source.depth = 1 << 40;
        deep.write(directory.path()).unwrap();
        let error = SetRecord::read(directory.path(), id()).unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
        for line in ["../x[] = * 00 ff", "/x[] = * 00 ff", "..[] = * 00 ff", "x"] {
            let mut source = record().source;
            source.hosts = vec![line.to_owned()];
            assert!(source.host_table().is_err(), "{line}");
        }
        for name in [
            "",
            ".",
            "..",
            "../x",
            "/etc/passwd",
            "a/b",
            "set.json",
            "a\0",
        ] {
            let mut record = record();
            record.dump.file.file = name.to_owned();
            record.write(directory.path()).unwrap();
            let error = SetRecord::read(directory.path(), id()).unwrap_err();
            assert!(
                matches!(error, StoreError::Damaged { .. }),
                "{name:?}: {error}"
            );
        }
    }
}
