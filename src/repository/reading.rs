//! Reading the files of a shard while their directories are open for listing.

use std::collections::HashMap;
use std::ffi::CStr;
use std::io;
use std::os::fd::OwnedFd;

use super::listing::{InPlace, Proofs};
use super::name::RepositoryName;
use super::proof::{Proof, open};
use crate::monitor::Monitor;
use crate::sysconf::RepositoryType;

/// A file where it was listed.
pub struct At<'a> {
    /// A directory that is open.
    pub directory: &'a OwnedFd,
    /// The file's path relative to it.
    pub path: &'a CStr,
    /// The file itself, where it was opened already.
    pub open: Option<OwnedFd>,
}

/// What reads the contents of listed files; one for each thread.
pub trait ContentReader {
    /// A file in its place whose length is right. Its result, if there is one, comes under `number`
    /// from [`ContentReader::finish`].
    fn read(
        &mut self,
        at: At<'_>,
        number: usize,
        file: &InPlace,
        ty: RepositoryType,
        monitor: &dyn Monitor,
    );

    /// Whether every file is going to be read. Then it is opened at once, and asked for its length
    /// through its handle: that saves looking its name up a second time.
    fn reads_all(&self) -> bool {
        false
    }

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

    /// Opens a file that is going to be read; `None` where it is not, or where that fails: then it
    /// is looked at by its name, and opening it is tried again.
    pub(super) fn open(
        &self,
        directory: &OwnedFd,
        path: &CStr,
        ty: RepositoryType,
    ) -> Option<OwnedFd> {
        let is_read = self.reader.reads_all() && self.types.contains(&ty);
        is_read.then(|| open(directory, path).ok())?
    }

    pub(super) fn file(
        &mut self,
        at: At<'_>,
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
        self.reader.read(at, number, file, ty, monitor);
    }

    pub(super) fn finish(self, monitor: &dyn Monitor) -> Proofs {
        Proofs {
            read: self.reader.finish(monitor),
            links: self.links,
        }
    }
}
