//! Goes along with a check and sees how often the contents of each pfile stand on disk.
//!
//! Hard links are one copy. A file of the wrong length is none, and neither is one in license/ or
//! out of its place.

use std::io;

use crate::catalog::ShardPfiles;
use crate::check::{Companion, CompanionError, Listed, ShardCompanion};
use crate::monitor::Monitor;
use crate::repository::{At, ContentReader, InPlace, Proof, Shard, seek};
use crate::sysconf::RepositoryType;

/// Is told of each shard that was listed. Shared by all threads.
pub(super) trait CountShard: Sync {
    /// The pfiles of a shard, and for each of them how many copies stand in gold and files together.
    fn count(&self, pfiles: &ShardPfiles, copies: &[u16]);
}

/// Counts copies while a check lists the tree, perhaps beside somebody else who goes along.
pub(super) struct Copies<'a> {
    counter: &'a dyn CountShard,
    beside: Option<&'a dyn Companion>,
}

impl<'a> Copies<'a> {
    /// Tells `counter`; `beside` sees everything, too.
    pub(super) fn new(
        counter: &'a dyn CountShard,
        beside: Option<&'a dyn Companion>,
    ) -> Copies<'a> {
        Copies { counter, beside }
    }
}

impl Companion for Copies<'_> {
    fn begin<'a>(
        &'a self,
        shard: Shard,
        pfiles: &'a ShardPfiles,
    ) -> Result<Box<dyn ShardCompanion + 'a>, CompanionError> {
        let beside = self.beside.map(|beside| beside.begin(shard, pfiles));
        Ok(Box::new(ShardCopies {
            counter: self.counter,
            beside: beside.transpose()?,
            pfiles,
            next: 0,
            copies: vec![0; pfiles.pfiles().len()],
        }))
    }
}

struct ShardCopies<'a> {
    counter: &'a dyn CountShard,
    beside: Option<Box<dyn ShardCompanion + 'a>>,
    pfiles: &'a ShardPfiles,
    /// Where the next file's pfile probably stands.
    next: usize,
    copies: Vec<u16>,
}

impl ContentReader for ShardCopies<'_> {
    fn read(
        &mut self,
        at: At<'_>,
        number: usize,
        file: &InPlace,
        ty: RepositoryType,
        monitor: &dyn Monitor,
    ) {
        let pfiles = self.pfiles.pfiles();
        if ty != RepositoryType::License
            && let Ok(pfile) = seek(pfiles, self.next, |pfile| pfile.name.cmp(&file.name))
        {
            self.next = pfile + 1;
            self.copies[pfile] = self.copies[pfile].saturating_add(1);
        }
        if let Some(beside) = &mut self.beside {
            beside.read(at, number, file, ty, monitor);
        }
    }

    fn reads_all(&self) -> bool {
        self.beside
            .as_ref()
            .is_some_and(|beside| beside.reads_all())
    }

    fn finish(&mut self, monitor: &dyn Monitor) -> Vec<(usize, io::Result<Proof>)> {
        match &mut self.beside {
            Some(beside) => ContentReader::finish(&mut **beside, monitor),
            None => Vec::new(),
        }
    }
}

impl ShardCompanion for ShardCopies<'_> {
    fn finish(self: Box<Self>, listed: &[Listed]) -> Result<(), CompanionError> {
        self.counter.count(self.pfiles, &self.copies);
        match self.beside {
            Some(beside) => ShardCompanion::finish(beside, listed),
            None => Ok(()),
        }
    }
}
