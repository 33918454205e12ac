//! Listing one shard: its directories below every place.

use std::ffi::CString;

use super::directory::{self, Buffer};
use super::levels::{Chain, Lister, Work};
use super::listing::Listing;
use super::name::Shard;
use super::reading::{At, Reading};
use super::survey::Survey;
use super::tree::Tree;
use crate::monitor::Monitor;
use crate::sysconf::RepositoryType;

impl Tree {
    /// Lists everything that lies in the directories of a shard. `wanted` says of which types.
    ///
    /// With `reading`, the contents of the files in their place whose length is right are read and
    /// proven on the way, while their directory is open; a file with several hard links is read
    /// once.
    pub fn list_shard(
        &self,
        survey: &Survey,
        shard: Shard,
        wanted: &[RepositoryType],
        mut reading: Option<Reading<'_>>,
        monitor: &dyn Monitor,
    ) -> Listing {
        let mut listing = Listing::default();
        let mut buffer = Buffer::default();
        for file in &survey.top.files {
            let ty = survey.places[usize::from(file.place)].ty;
            if file.name.shard() == shard && wanted.contains(&ty) {
                let number = listing.files.len();
                listing.files.push(*file);
                if let Some(reading) = &mut reading {
                    let path = survey.path(file, self.layout());
                    // A path without a zero byte in it: the name of a host that was listed.
                    if let Ok(path) = CString::new(path.0) {
                        let at = At {
                            directory: self.root(),
                            path: &path,
                            open: None,
                        };
                        reading.file(at, number, file, ty, monitor);
                    }
                }
            }
        }
        let places = survey.shard_directories.get(&shard.0);
        for index in places.into_iter().flatten() {
            let place = &survey.places[usize::from(*index)];
            if !wanted.contains(&place.ty) {
                continue;
            }
            let lister = Lister {
                tree: self,
                place,
                index: *index,
                monitor,
            };
            let mut chain = Chain::default();
            chain.push(shard.to_string().as_bytes());
            let path = lister.directory(&chain);
            match directory::open(self.root(), path.as_path()) {
                Ok(handle) => {
                    let mut work = Work {
                        buffer: &mut buffer,
                        listing: &mut listing,
                        reading: &mut reading,
                    };
                    lister.level(&handle, &mut chain, &mut work);
                }
                Err(error) => self.unreadable(&path, lister.spot(), error, &mut listing),
            }
        }
        if let Some(reading) = reading {
            listing.proofs = reading.finish(monitor);
        }
        listing
    }
}
