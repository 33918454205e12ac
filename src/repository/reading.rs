//! Reading the files of a shard while their directories are open for listing.

use std::collections::HashMap;
use std::os::fd::OwnedFd;

use super::listing::{InPlace, Proofs};
use super::name::RepositoryName;
use super::proof::Prover;
use crate::monitor::Monitor;
use crate::sysconf::RepositoryType;

/// Reads contents while a shard is listed.
pub struct Reading<'a> {
    prover: &'a mut Prover,
    types: &'a [RepositoryType],
    /// The first of the hard links that were read, by what they share.
    first_link: HashMap<(u64, u64, RepositoryName), usize>,
    /// Later hard links and the first one.
    links: Vec<(usize, usize)>,
}

impl<'a> Reading<'a> {
    /// Reads files of these types.
    pub fn of(prover: &'a mut Prover, types: &'a [RepositoryType]) -> Reading<'a> {
        Reading {
            prover,
            types,
            first_link: HashMap::new(),
            links: Vec::new(),
        }
    }

    pub(super) fn file(
        &mut self,
        directory: &OwnedFd,
        path: impl rustix::path::Arg + Copy,
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
        self.prover
            .read(directory, path, number, name, meta.size, monitor);
    }

    pub(super) fn finish(self, monitor: &dyn Monitor) -> Proofs {
        self.prover.finish(monitor);
        Proofs {
            read: self.prover.take_results(),
            links: self.links,
        }
    }
}
