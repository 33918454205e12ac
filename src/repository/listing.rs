//! What listing a tree finds.

use std::io;

use super::access::Fault;
use super::meta::Meta;
use super::name::{Leftover, RepositoryName};
use super::path::TreePath;
use super::proof::Proof;
use crate::sysconf::RepositoryType;

/// Where files of one type lie: a directory of a host, or of the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The host; `None` for the root.
    pub host: Option<String>,
    /// The type.
    pub ty: RepositoryType,
}

/// A regular file that lies where FOSSology looks for it.
#[derive(Clone, Copy, Debug)]
pub struct InPlace {
    /// Its name.
    pub name: RepositoryName,
    /// Index of its place in [`super::Survey::places`].
    pub place: u16,
    /// What the kernel says of it.
    pub meta: Meta,
    /// It lies in a directory whose modes are at fault already.
    pub below_fault: bool,
}

/// A well-named regular file that lies where FOSSology does not look for it.
#[derive(Clone, Debug)]
pub struct Stray {
    /// Its name.
    pub name: RepositoryName,
    /// Where it lies.
    pub path: TreePath,
    /// The type whose directory it lies in, if any.
    pub ty: Option<RepositoryType>,
    /// The top directory it lies in, when that is or could be a host.
    pub host: Option<String>,
    /// What the kernel says of it.
    pub meta: Meta,
}

/// Something in the tree that is no repository file.
#[derive(Debug)]
pub struct Odd {
    /// Where it lies.
    pub path: TreePath,
    /// The type whose directory it lies in, if any.
    pub ty: Option<RepositoryType>,
    /// The top directory it lies in, when that is or could be a host.
    pub host: Option<String>,
    /// What it is.
    pub what: OddWhat,
}

/// What an [`Odd`] thing is.
#[derive(Debug)]
pub enum OddWhat {
    /// A file whose name is no repository name, or something that is no regular file.
    ForeignFile(&'static str),
    /// A directory that is no part of the layout: one for all that is in it.
    ForeignDirectory,
    /// What an interrupted import left, and its size.
    Leftover(RepositoryName, Leftover, u64),
    /// A directory that cannot be listed: what is below it is unknown.
    Unreadable(io::Error),
    /// A directory that FOSSology cannot use.
    WrongMode(Fault),
}

/// A temporary tree of FOSSology's agents, `<host>/ununpack` or `<host>/wget`, with something in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Temporary {
    /// Where it lies.
    pub path: TreePath,
    /// The host directory it lies in.
    pub host: String,
    /// Everything in it that is not a directory.
    pub files: u64,
    /// The bytes of its regular files.
    pub bytes: u64,
    /// The latest change of the entries directly in it, seconds since 1970: the times of what lies
    /// deeper come from archives and say nothing.
    pub modified: i64,
}

/// All that listing a part of the tree found.
#[derive(Debug, Default)]
pub struct Listing {
    /// Files in their place, in no order.
    pub files: Vec<InPlace>,
    /// Files out of place.
    pub strays: Vec<Stray>,
    /// Everything else.
    pub odd: Vec<Odd>,
    /// Directories listed.
    pub directories: u64,
    /// What reading the files showed.
    pub proofs: Proofs,
}

/// What reading the files of a listing showed. Numbers are indices of [`Listing::files`].
#[derive(Debug, Default)]
pub struct Proofs {
    /// The files that were read.
    pub read: Vec<(usize, io::Result<Proof>)>,
    /// Files that were not read, for they are hard links of one that was: with that one's number.
    pub links: Vec<(usize, usize)>,
}
