//! The forms of a manifest that other programs read.
//!
//! [`list`] names files for programs that copy or prove them: `rsync`, `tar`, restic, borg,
//! `sha1sum`. [`bagit`] makes a bag of RFC 8493 with copies of the files. Both are made of what a
//! [`Collector`](super::Collector) found in the tree; fogold's own form is [`super::jsonl`].

pub mod bagit;
mod error;
pub mod list;
mod location;

pub use error::FormatError;

use super::Collected;
use crate::repository::Tree;

/// A set's files and where they lie.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// The tree they lie in.
    pub tree: &'a Tree,
    /// What was found there.
    pub collected: &'a Collected,
}
