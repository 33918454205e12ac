//! Rows on their way to a thread of their own.
//!
//! To take in a row of pfile or of an upload tree (digests out of their hex, buckets, scratch files)
//! costs about as much as to find it in the text of a dump. So the two are done side by side: whoever
//! reads the dump hands rows over in batches, and goes on reading.

use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

use crate::catalog::rows::{PfileRow, RowSink, TreeRow};
use crate::catalog::{CatalogError, RowWriter};

/// Rows in a batch: few enough to stay in the processor's cache.
const ROWS: usize = 1024;
/// A batch of longer rows has fewer.
const BYTES: usize = 256 * 1024;
/// Batches under way.
const UNDER_WAY: usize = 4;

/// Hands rows of the large tables to a [`RowWriter`] on another thread.
pub(super) struct Relay {
    sender: SyncSender<Batch>,
    writer: Option<JoinHandle<Result<(), CatalogError>>>,
    pfiles: Pfiles,
    trees: Vec<TreeRow>,
}

enum Batch {
    Pfiles(Pfiles),
    Trees(Vec<TreeRow>),
}

/// Rows of pfile; their texts stand one after the other in `bytes`.
#[derive(Default)]
struct Pfiles {
    rows: Vec<PfileOf>,
    bytes: Vec<u8>,
}

/// A [`PfileRow`] with the lengths of its texts.
struct PfileOf {
    pk: i64,
    size: i64,
    sha1: usize,
    md5: usize,
    sha256: Option<usize>,
}

impl Pfiles {
    fn push(&mut self, row: &PfileRow<'_>) {
        self.rows.push(PfileOf {
            pk: row.pk,
            size: row.size,
            sha1: row.sha1.len(),
            md5: row.md5.len(),
            sha256: row.sha256.map(<[u8]>::len),
        });
        self.bytes.extend_from_slice(row.sha1);
        self.bytes.extend_from_slice(row.md5);
        self.bytes.extend_from_slice(row.sha256.unwrap_or_default());
    }

    fn is_full(&self) -> bool {
        self.rows.len() >= ROWS || self.bytes.len() >= BYTES
    }

    fn hand_to(&self, writer: &mut RowWriter) -> Result<(), CatalogError> {
        let mut rest = &self.bytes[..];
        let mut take = |length| {
            let (text, after) = rest.split_at(length);
            rest = after;
            text
        };
        self.rows.iter().try_for_each(|row| {
            writer.pfile(&PfileRow {
                pk: row.pk,
                sha1: take(row.sha1),
                md5: take(row.md5),
                sha256: row.sha256.map(&mut take),
                size: row.size,
            })
        })
    }
}

impl Relay {
    /// Begins; `None` where the system gives no further thread.
    pub(super) fn begin(writer: RowWriter) -> Option<Relay> {
        let (sender, receiver) = sync_channel(UNDER_WAY);
        let writer = Builder::new()
            .name("rows".to_owned())
            .spawn(move || write(writer, &receiver))
            .ok()?;
        Some(Relay {
            sender,
            writer: Some(writer),
            pfiles: Pfiles::default(),
            trees: Vec::new(),
        })
    }

    pub(super) fn pfile(&mut self, row: &PfileRow<'_>) -> Result<(), CatalogError> {
        self.pfiles.push(row);
        if self.pfiles.is_full() {
            let batch = std::mem::take(&mut self.pfiles);
            self.send(Batch::Pfiles(batch))?;
        }
        Ok(())
    }

    pub(super) fn tree(&mut self, row: &TreeRow) -> Result<(), CatalogError> {
        self.trees.push(*row);
        if self.trees.len() >= ROWS {
            let batch = std::mem::replace(&mut self.trees, Vec::with_capacity(ROWS));
            self.send(Batch::Trees(batch))?;
        }
        Ok(())
    }

    /// Hands over the last rows, and waits until all count.
    pub(super) fn close(mut self) -> Result<(), CatalogError> {
        let (pfiles, trees) = (
            std::mem::take(&mut self.pfiles),
            std::mem::take(&mut self.trees),
        );
        self.send(Batch::Pfiles(pfiles))?;
        self.send(Batch::Trees(trees))?;
        let Relay { sender, writer, .. } = self;
        drop(sender);
        writer.map_or(Ok(()), ended)
    }

    fn send(&mut self, batch: Batch) -> Result<(), CatalogError> {
        match self.sender.send(batch) {
            Ok(()) => Ok(()),
            // It has ended before its time, and says why.
            Err(_) => self.writer.take().map_or(Ok(()), ended),
        }
    }
}

fn write(mut writer: RowWriter, batches: &Receiver<Batch>) -> Result<(), CatalogError> {
    for batch in batches {
        match batch {
            Batch::Pfiles(pfiles) => pfiles.hand_to(&mut writer)?,
            Batch::Trees(rows) => rows.iter().try_for_each(|row| writer.tree(row))?,
        }
    }
    writer.close()
}

fn ended(writer: JoinHandle<Result<(), CatalogError>>) -> Result<(), CatalogError> {
    writer.join().unwrap_or_else(|panic| resume_unwind(panic))
}
