//! What a catalog knows besides its shards: where it came from, uploads, and rows that do not fit.

use serde::{Deserialize, Serialize};

use super::rows::Micros;
use super::upload::Upload;

/// At most this many upload ids stand beside a fact; the total stands beside them.
pub const UPLOADS_SHOWN: usize = 20;

/// Where a catalog came from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// `live` or `dump`.
    pub kind: String,
    /// The database or dump, for a person; never a password.
    pub origin: String,
    /// The database's name, where the source says it.
    pub database: Option<String>,
    /// The server's version, where the source says it.
    pub server_version: Option<String>,
    /// When the snapshot was taken; unknown for a dump.
    pub taken: Option<Micros>,
    /// The version of fogold that made the catalog.
    pub made_by: String,
}

/// Some uploads: the first few ids, ascending, and how many there are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadIds {
    /// At most [`UPLOADS_SHOWN`], ascending.
    pub first: Vec<i32>,
    /// All of them.
    pub total: u64,
}

impl UploadIds {
    /// The ids of an ascending sequence without repetitions.
    pub fn of(ascending: impl IntoIterator<Item = i32>) -> UploadIds {
        let mut ids = UploadIds::default();
        for upload in ascending {
            if ids.first.len() < UPLOADS_SHOWN {
                ids.first.push(upload);
            }
            ids.total += 1;
        }
        ids
    }
}

/// A `pfile_pk` that rows point at and no row has.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Dangling {
    /// The missing `pfile_pk`.
    pub pk: i32,
    /// Whether an upload's gold is it (else only tree rows point at it).
    pub is_gold: bool,
    /// The uploads whose rows point at it.
    pub uploads: UploadIds,
}

impl PartialOrd for UploadIds {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for UploadIds {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (&self.first, self.total).cmp(&(&other.first, other.total))
    }
}

/// A row of `pfile` that names no file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Unusable {
    /// `pfile_pk`
    pub pk: i32,
    /// What is wrong with it, for a person.
    pub why: String,
    /// The uploads whose rows point at it.
    pub uploads: UploadIds,
}

/// All of a catalog but its shards.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Where it came from.
    pub provenance: Provenance,
    /// Rows of `pfile`.
    pub pfile_rows: u64,
    /// Distinct usable names.
    pub names: u64,
    /// Rows of the upload trees.
    pub tree_rows: u64,
    /// Files that FOSSology looks for in gold, and their bytes.
    pub gold: Amount,
    /// Files that FOSSology looks for in files, and their bytes.
    pub files: Amount,
    /// Rows of `upload`, deleted ones included, ascending by `upload_pk`.
    pub uploads: Vec<Upload>,
    /// Ascending by `pk`.
    pub dangling: Vec<Dangling>,
    /// Ascending by `pk`.
    pub unusable: Vec<Unusable>,
    /// The greatest `pfile_pk` that nothing refers to.
    pub last_unreferenced: Option<i32>,
    /// The earliest moment at which a `wget_agent` or `ununpack` job that has no end can have begun
    /// to write; `None` when there is no such job.
    pub temporary_trees_in_use_since: Option<Micros>,
}

/// A number of files and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// Number of files.
    pub files: u64,
    /// Their sizes together.
    pub bytes: u64,
}

impl Amount {
    /// Counts one more file.
    pub fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

impl std::ops::AddAssign for Amount {
    fn add_assign(&mut self, other: Amount) {
        self.files += other.files;
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

impl Summary {
    /// The upload of an id.
    pub fn upload(&self, pk: i32) -> Option<&Upload> {
        let at = self.uploads.binary_search_by_key(&pk, |upload| upload.pk);
        at.ok().map(|at| &self.uploads[at])
    }
}
