//! The levels between a type's directory and its files, listed relative to directory handles.

use std::ffi::CStr;
use std::io;
use std::os::fd::OwnedFd;

use super::directory::{self, Buffer, EntryKind};
use super::listing::{InPlace, Listing, OddWhat, Place, Stray};
use super::meta::Meta;
use super::name::Parsed;
use super::outside::{Spot, foreign_directory, odd};
use super::path::TreePath;
use super::reading::{At, Reading};
use super::tree::Tree;
use crate::monitor::Monitor;

/// Whether a directory can be a level of the layout: two lower-case hex digits.
pub(super) fn is_level(name: &[u8]) -> bool {
    name.len() == 2
        && name
            .iter()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte))
}

/// The directory of a place.
pub(super) fn place_path(place: &Place) -> TreePath {
    let host = TreePath(place.host.clone().unwrap_or_default().into_bytes());
    host.join(place.ty.as_str().as_bytes())
}

/// The levels above a file, as the characters of their names in a row.
#[derive(Default)]
pub(super) struct Chain(Vec<u8>);

impl Chain {
    pub(super) fn push(&mut self, level: &[u8]) {
        self.0.extend_from_slice(level);
    }

    pub(super) fn pop(&mut self) {
        self.0.truncate(self.0.len() - 2);
    }

    pub(super) fn levels(&self) -> usize {
        self.0.len() / 2
    }
}

/// What a listing fills and uses on its way down.
pub(super) struct Work<'a, 'r> {
    pub(super) buffer: &'a mut Buffer,
    pub(super) listing: &'a mut Listing,
    pub(super) reading: &'a mut Option<Reading<'r>>,
}

/// Lists the levels of one place.
pub(super) struct Lister<'a> {
    pub(super) tree: &'a Tree,
    pub(super) place: &'a Place,
    pub(super) index: u16,
    pub(super) monitor: &'a dyn Monitor,
}

impl Lister<'_> {
    pub(super) fn spot(&self) -> Spot<'_> {
        Spot {
            host: self.place.host.as_deref(),
            ty: Some(self.place.ty),
        }
    }

    /// The path of the directory that a chain of levels leads to.
    pub(super) fn directory(&self, chain: &Chain) -> TreePath {
        let mut path = place_path(self.place);
        for level in chain.0.chunks(2) {
            path = path.join(level);
        }
        path
    }

    /// Lists one directory of the levels and what is below it.
    pub(super) fn level(&self, handle: &OwnedFd, chain: &mut Chain, work: &mut Work<'_, '_>) {
        if self.monitor.stopped() {
            return;
        }
        let listing = &mut *work.listing;
        listing.directories += 1;
        let meta = self
            .tree
            .judges_modes()
            .then(|| directory::meta_of(handle).ok())
            .flatten();
        let fault = meta.and_then(|meta| self.tree.access().to_directory(&meta));
        let at_fault = fault.is_some();
        let at_bottom = chain.levels() == self.tree.layout().depth;
        let mut levels: Vec<[u8; 2]> = Vec::new();
        let mut files = 0;
        let reading = &mut *work.reading;
        let listed = directory::for_each_entry(handle, work.buffer, |name, kind| {
            let bytes = name.to_bytes();
            match kind {
                EntryKind::Directory if !at_bottom && is_level(bytes) => {
                    levels.push([bytes[0], bytes[1]]);
                    Ok(())
                }
                EntryKind::Directory => {
                    let path = self.directory(chain).join(bytes);
                    foreign_directory(&path, self.spot(), listing);
                    let spot = self.spot();
                    self.tree.walk_foreign(path, spot, listing, self.monitor);
                    Ok(())
                }
                EntryKind::File => {
                    files += 1;
                    self.entry(handle, name, chain, at_fault, listing, reading)
                }
                EntryKind::Other => {
                    let path = self.directory(chain).join(bytes);
                    let what = OddWhat::ForeignFile("it is no regular file");
                    listing.odd.push(odd(path, self.spot(), what));
                    Ok(())
                }
            }
        });
        self.monitor.advance(files, 0);
        // One finding a directory: what the modes of an unreadable one are does not matter.
        match (listed, fault) {
            (Err(error), _) => {
                let path = self.directory(chain);
                self.tree.unreadable(&path, self.spot(), error, listing);
            }
            (Ok(()), Some(fault)) => {
                let what = OddWhat::WrongMode(fault);
                listing
                    .odd
                    .push(odd(self.directory(chain), self.spot(), what));
            }
            (Ok(()), None) => {}
        }
        // Names then come nearly in order, as the catalog has them.
        levels.sort_unstable();
        for level in levels {
            chain.push(&level);
            match directory::open(handle, &level[..]) {
                Ok(below) => self.level(&below, chain, work),
                Err(error) => {
                    let path = self.directory(chain);
                    self.tree
                        .unreadable(&path, self.spot(), error, work.listing);
                }
            }
            chain.pop();
        }
    }

    /// A regular file in the levels.
    fn entry(
        &self,
        handle: &OwnedFd,
        name: &CStr,
        chain: &Chain,
        below_fault: bool,
        listing: &mut Listing,
        reading: &mut Option<Reading<'_>>,
    ) -> io::Result<()> {
        let parsed = Parsed::of(name.to_bytes());
        let open = match (&*reading, parsed) {
            (Some(reading), Parsed::Name { .. }) => reading.open(handle, name, self.place.ty),
            _ => None,
        };
        let meta = match &open {
            Some(open) => directory::meta_of(open),
            None => directory::meta_at(handle, name),
        };
        let meta = match meta {
            Ok(meta) => meta,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let number = listing.files.len();
        self.file(name.to_bytes(), parsed, meta, chain, below_fault, listing);
        if let (Some(reading), Some(file)) = (reading, listing.files.get(number)) {
            let at = At {
                directory: handle,
                path: name,
                open,
            };
            reading.file(at, number, file, self.place.ty, self.monitor);
        }
        Ok(())
    }

    pub(super) fn file(
        &self,
        name: &[u8],
        parsed: Parsed,
        meta: Meta,
        chain: &Chain,
        below_fault: bool,
        listing: &mut Listing,
    ) {
        let (host, ty) = (self.place.host.as_deref(), self.place.ty);
        let in_path = || self.directory(chain).join(name);
        match parsed {
            Parsed::Name {
                name: parsed,
                lower_case,
            } => {
                let hosts = &self.tree.layout().hosts;
                let in_place = lower_case
                    && chain.levels() == self.tree.layout().depth
                    && name.starts_with(&chain.0)
                    && hosts
                        .claims_prefix(host, ty, &[name[0], name[1]])
                        .unwrap_or_else(|| hosts.is_place(host, ty, name));
                if in_place {
                    listing.files.push(InPlace {
                        name: parsed,
                        place: self.index,
                        meta,
                        below_fault,
                    });
                } else {
                    listing.strays.push(Stray {
                        name: parsed,
                        path: in_path(),
                        ty: Some(ty),
                        host: host.map(str::to_owned),
                        meta,
                    });
                }
            }
            Parsed::Leftover(parsed, leftover) => {
                let what = OddWhat::Leftover(parsed, leftover, meta.size);
                listing.odd.push(odd(in_path(), self.spot(), what));
            }
            Parsed::Foreign => {
                let what = OddWhat::ForeignFile("its name is no repository name");
                listing.odd.push(odd(in_path(), self.spot(), what));
            }
        }
    }
}
