//! What lies outside the levels of the layout, or cannot be used, judged as it is met.
//!
//! One finding a directory: a foreign directory stands for what is in it, except that a well-named
//! file below it is still judged by its name; an unreadable directory stands for all below it.

use std::io;

use super::directory::{self, EntryKind};
use super::listing::{Listing, Odd, OddWhat, Stray};
use super::meta::Meta;
use super::name::Parsed;
use super::path::TreePath;
use super::tree::Tree;
use crate::monitor::Monitor;
use crate::sysconf::RepositoryType;

/// Where in the tree a listing is.
#[derive(Clone, Copy)]
pub(super) struct Spot<'a> {
    pub(super) host: Option<&'a str>,
    pub(super) ty: Option<RepositoryType>,
}

impl Tree {
    /// Lists a directory of the upper levels; an unreadable one is noted.
    pub(super) fn enter(
        &self,
        path: &TreePath,
        spot: Spot<'_>,
        note_mode: bool,
        listing: &mut Listing,
    ) -> Option<Vec<(Vec<u8>, EntryKind)>> {
        match directory::sorted_entries(self.root(), path) {
            Ok(entries) => {
                listing.directories += 1;
                if note_mode {
                    let meta = if path.0.is_empty() {
                        directory::meta_of(self.root())
                    } else {
                        self.meta(path)
                    };
                    if let Ok(meta) = meta {
                        self.note_mode(path, spot, &meta, listing);
                    }
                }
                Some(entries)
            }
            Err(error) => {
                self.unreadable(path, spot, error, listing);
                None
            }
        }
    }

    pub(super) fn note_mode(
        &self,
        path: &TreePath,
        spot: Spot<'_>,
        meta: &Meta,
        listing: &mut Listing,
    ) {
        if let Some(fault) = self.access().to_directory(meta) {
            listing
                .odd
                .push(odd(path.clone(), spot, OddWhat::WrongMode(fault)));
        }
    }

    /// Notes an unreadable directory; one that has vanished meanwhile is none.
    pub(super) fn unreadable(
        &self,
        path: &TreePath,
        spot: Spot<'_>,
        error: io::Error,
        listing: &mut Listing,
    ) {
        self.note_exhaustion(&error);
        if error.kind() != io::ErrorKind::NotFound || path.0.is_empty() {
            listing
                .odd
                .push(odd(path.clone(), spot, OddWhat::Unreadable(error)));
        }
    }

    /// Judges something outside the levels by its name.
    pub(super) fn judge(
        &self,
        path: &TreePath,
        name: &[u8],
        kind: EntryKind,
        spot: Spot<'_>,
        listing: &mut Listing,
    ) {
        if !self.judge_below_foreign(path, name, kind, spot, listing) {
            let what = OddWhat::ForeignFile(match kind {
                EntryKind::File => "its name is no repository name",
                EntryKind::Directory => "it is a directory",
                EntryKind::Other => "it is no regular file",
            });
            listing.odd.push(odd(path.clone(), spot, what));
        }
    }

    /// Judges a file by its name alone, for the directory it lies in was reported; says whether it
    /// was anything.
    pub(super) fn judge_below_foreign(
        &self,
        path: &TreePath,
        name: &[u8],
        kind: EntryKind,
        spot: Spot<'_>,
        listing: &mut Listing,
    ) -> bool {
        if kind != EntryKind::File {
            return false;
        }
        let parsed = Parsed::of(name);
        if parsed == Parsed::Foreign {
            return false;
        }
        let meta = match self.meta(path) {
            Ok(meta) => meta,
            Err(error) => {
                // A directory that can be listed but not entered is as good as unreadable.
                let directory = path.parent();
                let is_known =
                    |odd: &Odd| odd.path == directory && matches!(odd.what, OddWhat::Unreadable(_));
                if !listing.odd.last().is_some_and(is_known) {
                    self.unreadable(&directory, spot, error, listing);
                }
                return true;
            }
        };
        match parsed {
            Parsed::Name { name, .. } => listing.strays.push(Stray {
                name,
                path: path.clone(),
                ty: spot.ty,
                host: spot.host.map(str::to_owned),
                meta,
            }),
            Parsed::Leftover(name, leftover) => {
                let what = OddWhat::Leftover(name, leftover, meta.size);
                listing.odd.push(odd(path.clone(), spot, what));
            }
            Parsed::Foreign => {}
        }
        true
    }

    /// Looks for well-named files below a directory that is no part of the layout.
    pub(super) fn walk_foreign(
        &self,
        top: TreePath,
        spot: Spot<'_>,
        listing: &mut Listing,
        monitor: &dyn Monitor,
    ) {
        let mut rest = vec![top];
        while let Some(path) = rest.pop() {
            if monitor.stopped() {
                return;
            }
            for (name, kind) in self.enter(&path, spot, false, listing).unwrap_or_default() {
                let below = path.join(&name);
                if kind == EntryKind::Directory {
                    rest.push(below);
                } else {
                    self.judge_below_foreign(&below, &name, kind, spot, listing);
                }
            }
        }
    }
}

/// An odd thing at a place.
pub(super) fn odd(path: TreePath, spot: Spot<'_>, what: OddWhat) -> Odd {
    Odd {
        path,
        ty: spot.ty,
        host: spot.host.map(str::to_owned),
        what,
    }
}

/// Notes a directory that is no part of the layout.
pub(super) fn foreign_directory(path: &TreePath, spot: Spot<'_>, listing: &mut Listing) {
    listing
        .odd
        .push(odd(path.clone(), spot, OddWhat::ForeignDirectory));
}
