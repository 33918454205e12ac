//! A finding before it is judged.
//!
//! While shards are compared, two things are not yet known that severity and recovery hang on:
//! whether a copy lies astray in the directories of another shard, and whether the gold of the
//! uploads that hold a file is lost. So each shard leaves drafts, on disk, which are settled when
//! all shards have been seen.

use serde::{Deserialize, Serialize};

use super::kind::{Kind, Severity};
use crate::repository::{RepositoryName, Stray, TreePath};
use crate::sysconf::RepositoryType;

/// How a draft's severity and recovery come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Verdict {
    /// They are known already: this severity, and no recovery.
    Settled(Severity),
    /// They are those of the missing file of this name and type.
    AsMissing,
}

/// A finding in the making.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Draft {
    pub kind: Kind,
    pub verdict: Verdict,
    pub ty: Option<RepositoryType>,
    pub host: Option<String>,
    pub name: Option<RepositoryName>,
    pub path: Option<Vec<u8>>,
    /// The row concerned, where it is one of several that bear the name.
    pub pfile: Option<i32>,
    pub detail: Option<String>,
    pub bytes: Option<u64>,
    /// Where a good copy was seen in the same shard.
    pub good_copy: Option<Vec<u8>>,
    /// A copy may lie below a directory that could not be read.
    pub copy_unknown: bool,
    /// For a directory that FOSSology cannot use: who is shut out (user, group). Many alike become
    /// one finding.
    pub shut_out: Option<(bool, bool)>,
}

impl Draft {
    /// Whether work that goes on can make it untrue.
    pub(super) fn is_fleeting(&self) -> bool {
        matches!(
            self.kind,
            Kind::MissingGold
                | Kind::MissingDerived
                | Kind::MissingListing
                | Kind::Orphan
                | Kind::Unreferenced
                | Kind::PfileWithoutUse
                | Kind::PartialImport
                | Kind::WrongSize
        )
    }

    /// A draft about a name.
    pub(super) fn of(kind: Kind, verdict: Verdict, name: RepositoryName) -> Draft {
        Draft {
            kind,
            verdict,
            ty: None,
            host: None,
            name: Some(name),
            path: None,
            pfile: None,
            detail: None,
            bytes: Some(name.size),
            good_copy: None,
            copy_unknown: false,
            shut_out: None,
        }
    }

    /// A draft about a path that has no name.
    pub(super) fn at(kind: Kind, severity: Severity, path: &TreePath) -> Draft {
        Draft {
            kind,
            verdict: Verdict::Settled(severity),
            ty: None,
            host: None,
            name: None,
            path: Some(path.0.clone()),
            pfile: None,
            detail: None,
            bytes: None,
            good_copy: None,
            copy_unknown: false,
            shut_out: None,
        }
    }

    /// Where the file lies, or should lie.
    pub(super) fn tree_path(&self) -> Option<TreePath> {
        self.path.clone().map(TreePath)
    }
}

/// A stray as it waits on disk for its shard to be settled.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct StrayRecord {
    pub name: RepositoryName,
    pub path: Vec<u8>,
    pub ty: Option<RepositoryType>,
    pub host: Option<String>,
    pub size: u64,
}

impl From<Stray> for StrayRecord {
    fn from(stray: Stray) -> StrayRecord {
        StrayRecord {
            name: stray.name,
            path: stray.path.0,
            ty: stray.ty,
            host: stray.host,
            size: stray.meta.size,
        }
    }
}

/// Appends a record to scratch bytes.
pub(super) fn put<T: Serialize>(out: &mut Vec<u8>, record: &T) {
    // Writing to memory cannot fail: postcard's only errors are those of its output.
    let bytes = postcard::to_stdvec(record).unwrap_or_default();
    out.extend_from_slice(&bytes);
}

/// Reads all records of scratch bytes; `None` when they are not what was written.
pub(super) fn take_all<'a, T: Deserialize<'a>>(mut bytes: &'a [u8]) -> Option<Vec<T>> {
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let (record, rest) = postcard::take_from_bytes(bytes).ok()?;
        records.push(record);
        bytes = rest;
    }
    Some(records)
}
