//! A manifest handed out shard by shard, to several threads.
//!
//! A manifest is one stream, sorted by name, and so by shard. Threads that take shards in
//! ascending order ([`crate::parallel::share_out`]) ask for them nearly in that order: whoever
//! asks reads on to the shard that it wants, and leaves those in between for the others. Memory
//! holds about as many shards as there are threads.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::sync::{Mutex, PoisonError};

use super::entry::Entry;
use super::error::ManifestError;
use super::jsonl::{Footer, Reader};
use crate::repository::Shard;

/// A manifest, shard by shard; each shard can be taken once.
pub struct ByShard<R> {
    state: Mutex<State<R>>,
}

struct State<R> {
    reader: Reader<R>,
    /// The first entry beyond what was handed out.
    next: Option<Entry>,
    at_end: bool,
    /// Shards that were read and not yet taken.
    ready: BTreeMap<u8, Vec<Entry>>,
    /// The first shard that is not wholly read.
    reading: u16,
}

impl<R: BufRead> ByShard<R> {
    /// Hands out what `reader` reads.
    pub fn new(reader: Reader<R>) -> ByShard<R> {
        ByShard {
            state: Mutex::new(State {
                reader,
                next: None,
                at_end: false,
                ready: BTreeMap::new(),
                reading: 0,
            }),
        }
    }

    /// The entries of a shard, sorted by name.
    pub fn take(&self, shard: Shard) -> Result<Vec<Entry>, ManifestError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while state.reading <= u16::from(shard.0) {
            state.read_shard()?;
        }
        Ok(state.ready.remove(&shard.0).unwrap_or_default())
    }

    /// Reads what is left, and hands back the footer: the manifest is whole.
    pub fn finish(self) -> Result<Footer, ManifestError> {
        let mut state = self
            .state
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        while state.reader.next_entry()?.is_some() {}
        Ok(state.reader.footer().cloned().unwrap_or_default())
    }
}

impl<R: BufRead> State<R> {
    fn read_shard(&mut self) -> Result<(), ManifestError> {
        let mut entries = Vec::new();
        while !self.at_end {
            let entry = match self.next.take() {
                Some(entry) => entry,
                None => match self.reader.next_entry()? {
                    Some(entry) => entry,
                    None => {
                        self.at_end = true;
                        break;
                    }
                },
            };
            if u16::from(entry.name.shard().0) > self.reading {
                self.next = Some(entry);
                break;
            }
            entries.push(entry);
        }
        if !entries.is_empty() {
            self.ready.insert(self.reading as u8, entries);
        }
        self.reading += 1;
        Ok(())
    }
}
