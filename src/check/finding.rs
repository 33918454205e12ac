//! A finding, as reports hold it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use super::kind::{Kind, Severity};
use crate::catalog::UploadIds;
use crate::repository::{RepositoryName, TreePath};
use crate::sysconf::RepositoryType;

/// How what is missing or damaged can be brought back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Recovery {
    /// A good copy stands in the repository.
    Copy,
    /// FOSSology can unpack it again from good gold.
    Unpack,
    /// It can be fetched again from a URL.
    Url,
    /// A store of backups holds it.
    Backup,
    /// No way is known.
    None,
}

impl Recovery {
    /// All of them, the least trouble first.
    pub const ALL: [Recovery; 5] = [
        Recovery::Copy,
        Recovery::Unpack,
        Recovery::Url,
        Recovery::Backup,
        Recovery::None,
    ];

    /// The name that reports use.
    pub fn as_str(self) -> &'static str {
        match self {
            Recovery::Copy => "copy",
            Recovery::Unpack => "unpack",
            Recovery::Url => "url",
            Recovery::Backup => "backup",
            Recovery::None => "none",
        }
    }
}

/// One fact about one file, row or upload. Fields that are unknown or do not apply are absent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What is wrong.
    pub kind: Kind,
    /// How bad it is.
    pub severity: Severity,
    /// The type of the file concerned.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub ty: Option<RepositoryType>,
    /// The host of the file concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The canonical name, in lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The path relative to the repository; for a missing file, where FOSSology would look first.
    /// Bytes that are not UTF-8 are written `\xNN`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The path's bytes in base64, where they are not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_bytes: Option<String>,
    /// The (lowest) `pfile_pk` concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pfile: Option<i32>,
    /// The uploads concerned, ascending, at most 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uploads: Option<Vec<i32>>,
    /// How many uploads are concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uploads_total: Option<u64>,
    /// How to bring it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<Recovery>,
    /// Where a good copy stands: relative to the repository, or in a store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The URL to fetch it from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// There is a URL, which is a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url_withheld: Option<bool>,
    /// Files in a tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<u64>,
    /// Bytes concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// When it was last changed, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified: Option<String>,
    /// How many whole days ago that was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_days: Option<u64>,
    /// More, for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// A person has seen and accepted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<bool>,
    /// Why it was accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What a repair would do about it, or has done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repair: Option<Mending>,
}

/// What a repair would do about a finding, or has done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mending {
    /// What is to be done; absent when a repair can do nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<Action>,
    /// How far that is.
    pub status: MendingStatus,
    /// Where it came from, or is to come from: relative to the repository, in a store, or a URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Where it went, relative to the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Why it was left, or what else is to be said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The finding is no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mended: Option<bool>,
}

/// What a repair can do about a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Give FOSSology's user and group what they need.
    Mode,
    /// Put a good copy in its place.
    PutBack,
    /// Move it to where FOSSology looks for it.
    Move,
    /// Move it to the quarantine.
    Quarantine,
}

impl Action {
    /// All actions, in the order in which they are done.
    pub const ALL: [Action; 4] = [
        Action::Mode,
        Action::PutBack,
        Action::Move,
        Action::Quarantine,
    ];

    /// The name that reports and options use.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Mode => "mode",
            Action::PutBack => "put-back",
            Action::Move => "move",
            Action::Quarantine => "quarantine",
        }
    }
}

/// How far a repair is with a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MendingStatus {
    /// It would be done.
    Planned,
    /// It is done.
    Done,
    /// It was left as it is.
    Left,
}

impl MendingStatus {
    /// The name that reports use.
    pub fn as_str(self) -> &'static str {
        match self {
            MendingStatus::Planned => "planned",
            MendingStatus::Done => "done",
            MendingStatus::Left => "left",
        }
    }
}

impl Finding {
    /// Whether a repair has not made it go away.
    pub fn is_left(&self) -> bool {
        let mending = self.repair.as_ref();
        mending.is_none_or(|mending| mending.mended != Some(true))
    }

    /// A finding with nothing but its kind and severity.
    pub fn new(kind: Kind, severity: Severity) -> Finding {
        Finding {
            kind,
            severity,
            ty: None,
            host: None,
            name: None,
            path: None,
            path_bytes: None,
            pfile: None,
            uploads: None,
            uploads_total: None,
            recovery: None,
            source: None,
            url: None,
            url_withheld: None,
            files: None,
            bytes: None,
            modified: None,
            age_days: None,
            detail: None,
            accepted: None,
            reason: None,
            repair: None,
        }
    }

    /// Sets the name, and the bytes concerned to its size.
    #[must_use]
    pub fn named(mut self, name: &RepositoryName) -> Finding {
        self.name = Some(name.to_string());
        self.bytes = Some(name.size);
        self
    }

    /// Sets the path.
    #[must_use]
    pub fn at(mut self, path: &TreePath) -> Finding {
        let (text, bytes) = path_text(path);
        self.path = Some(text);
        self.path_bytes = bytes;
        self
    }

    /// The path's bytes.
    pub fn tree_path(&self) -> Option<TreePath> {
        match &self.path_bytes {
            Some(bytes) => BASE64.decode(bytes).ok().map(TreePath),
            None => self
                .path
                .as_ref()
                .map(|path| TreePath(path.clone().into_bytes())),
        }
    }

    /// Sets the uploads.
    #[must_use]
    pub fn concerning(mut self, uploads: UploadIds) -> Finding {
        self.uploads = Some(uploads.first);
        self.uploads_total = Some(uploads.total);
        self
    }
}

/// A path as text, with `\xNN` for every byte that is not UTF-8, and in base64 if there is such a
/// byte.
pub fn path_text(path: &TreePath) -> (String, Option<String>) {
    let mut text = String::with_capacity(path.0.len());
    for chunk in path.0.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    let bytes = std::str::from_utf8(&path.0)
        .is_err()
        .then(|| BASE64.encode(&path.0));
    (text, bytes)
}
