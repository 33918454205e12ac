//! Reading the files of a shard while their directories are open for listing.

use std::collections::HashMap;
use std::ffi::CStr;
use std::io;
use std::os::fd::OwnedFd;

use super::listing::{InPlace, Proofs};
use super::name::RepositoryName;
use super::proof::Proof;
use crate::monitor::Monitor;
use crate::sysconf::RepositoryType;

/// What reads the contents of listed files; one for each thread.
pub trait ContentReader {
    /// A file in its place whose length is right, given by a path relative to a directory that is
    /// open. Its result, if there is one, comes under `number` from [`ContentReader::finish`].
    fn read(
        &mut self,
        directory: &OwnedFd,
        path: &CStr,
        number: usize,
        file: &InPlace,
        ty: RepositoryType,
        monitor: &dyn Monitor,
    );

    /// The results of all files that were read, in no particular order.
    fn finish(&mut self, monitor: &dyn Monitor) -> Vec<(usize, io::Result<Proof>)>;
}

/// Reads contents while a shard is listed.
pub struct Reading<'a> {
    reader: &'a mut dyn ContentReader,
    types: &'a [RepositoryType],
    /// The first of the hard links that were read, by what they share.
    first_link: HashMap<(u64, u64, RepositoryName), usize>,
    /// Later hard links and the first one.
    links: Vec<(usize, usize)>,
}

impl<'a> Reading<'a> {
    /// Reads files of these types.
    pub fn of(reader: &'a mut dyn ContentReader, types: &'a [RepositoryType]) -> Reading<'a> {
        Reading {
            reader,
            types,
            first_link: HashMap::new(),
            links: Vec::new(),
        }
    }

    pub(super) fn file(
        &mut self,
        directory: &OwnedFd,
        path: &CStr,
        number: usize,
        file: &InPlace,
        ty: RepositoryType,
        monitor: &dyn Monitor,
    ) {
        let InPlace { name, meta, .. } = file;
        if meta.size != name.size || !self.types.contains(&ty) || monitor.stopped() {
            return;
        }
        if meta.links > 1 {
            let key = (meta.device, meta.inode, *name);
            if let Some(first) = self.first_link.get(&key) {
                self.links.push((number, *first));
                return;
            }
            self.first_link.insert(key, number);
        }
        self.reader.read(directory, path, number, file, ty, monitor);
    }

    pub(super) fn finish(self, monitor: &dyn Monitor) -> Proofs {
        Proofs {
            read: self.reader.finish(monitor),
            links: self.links,
        }
    }
}
