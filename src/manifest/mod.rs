//! What a set holds and leaves out, and the forms in which that is written down.
//!
//! A manifest is a sorted list of [`Entry`]: a repository name, the types under which the set
//! brings it back, and where its contents are. [`Selection`] says what a kind of set wants of a
//! catalog; [`Collector`] goes along with a check of the tree and makes the entries of what is
//! really there; [`jsonl`] is fogold's own form on disk.

pub mod archive;
pub mod collect;
mod draft;
pub mod entry;
pub mod error;
pub mod fetch;
pub mod formats;
pub mod frames;
pub mod jsonl;
mod proving;
pub mod selection;
pub mod shards;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use collect::{Amounts, Collected, Collector, Keeper, LeftOut, ProveUrl, ShardKeeper};
pub use draft::{Target, Whole};
pub use entry::{Entry, Place, Types};
pub use error::ManifestError;
pub use frames::Frames;
pub use selection::{GoldUrls, Selection};
pub use shards::ByShard;

/// What a set is to bring back by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SetKind {
    /// Gold and every listing: the rest is unpacked again by FOSSology.
    GoldOnly,
    /// Every well-named file that a pfile row names, and license/.
    Full,
}

impl SetKind {
    /// The name that commands, directories and manifests use.
    pub fn as_str(self) -> &'static str {
        match self {
            SetKind::GoldOnly => "gold-only",
            SetKind::Full => "full",
        }
    }
}

/// What becomes of gold that can be fetched again from its URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UrlGold {
    /// It is left out.
    Skip,
    /// It is kept.
    Keep,
    /// It is left out when fetching it now gives the same bytes.
    Verified,
}

impl UrlGold {
    /// The name that commands and manifests use.
    pub fn as_str(self) -> &'static str {
        match self {
            UrlGold::Skip => "skip",
            UrlGold::Keep => "keep",
            UrlGold::Verified => "verified",
        }
    }
}

/// The text is none of the words that are known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not one of {known}")]
pub struct UnknownWord {
    known: &'static str,
}

impl FromStr for SetKind {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<SetKind, UnknownWord> {
        [SetKind::GoldOnly, SetKind::Full]
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or(UnknownWord {
                known: "gold-only, full",
            })
    }
}

impl FromStr for UrlGold {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<UrlGold, UnknownWord> {
        [UrlGold::Skip, UrlGold::Keep, UrlGold::Verified]
            .into_iter()
            .find(|policy| policy.as_str() == text)
            .ok_or(UnknownWord {
                known: "skip, keep, verified",
            })
    }
}

impl fmt::Display for SetKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for UrlGold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
