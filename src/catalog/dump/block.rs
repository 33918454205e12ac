//! One block of rows that is read: lines cut out of pieces of any size, and handed to the sink.

use std::collections::HashMap;

use memchr::memchr;

use super::copy::END_LINE;
use super::table::{Layout, RowError, TreeOf, Work};
use crate::catalog::CatalogError;
use crate::catalog::rows::RowSink;

/// The longest line that is taken. FOSSology's have a few hundred bytes; what is longer would cost
/// more memory than a catalog may take.
const LINE_LIMIT: usize = 64 << 20;

/// The tables in which uploads say that their trees are, each with the first upload that does.
#[derive(Debug, Default)]
pub(super) struct NamedTrees {
    /// Table to upload.
    pub(super) tables: HashMap<Vec<u8>, i64>,
    last: Vec<u8>,
}

impl NamedTrees {
    fn note(&mut self, tree: &TreeOf<'_>) {
        // Nearly all uploads name the same table.
        if tree.table == self.last && !self.tables.is_empty() {
            return;
        }
        self.last.clear();
        self.last.extend_from_slice(tree.table);
        if !self.tables.contains_key(tree.table) {
            self.tables.insert(tree.table.to_vec(), tree.upload);
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Block<S> {
    /// Where the columns are.
    pub(super) layout: Layout,
    /// Takes the rows.
    pub(super) sink: S,
    /// What uploads say of their trees.
    pub(super) trees: NamedTrees,
    /// The number of the row that was read last.
    pub(super) row: u64,
    /// The beginning of a line whose end has not come yet.
    line: Vec<u8>,
}

/// Why a row stops the reading of its dump.
#[derive(Debug)]
pub(super) struct BlockError {
    row: u64,
    cause: RowError,
}

impl BlockError {
    /// The error, with the dump and table that it is of.
    pub(super) fn of_table(self, origin: &str, table: &str) -> CatalogError {
        match self.cause {
            RowError::Sink(error) => error,
            RowError::Bad(why) => CatalogError::BadRow {
                origin: origin.to_owned(),
                table: table.to_owned(),
                row: self.row,
                why,
            },
        }
    }
}

impl<S: RowSink> Block<S> {
    /// A block that has not begun.
    pub(super) fn new(layout: Layout, sink: S, trees: NamedTrees) -> Block<S> {
        Block {
            layout,
            sink,
            trees,
            row: 0,
            line: Vec::new(),
        }
    }

    /// Reads on; returns how many bytes it took and whether the block has ended with them.
    pub(super) fn read(
        &mut self,
        text: &[u8],
        work: &mut Work,
    ) -> Result<(usize, bool), BlockError> {
        self.read_lines(text, work).map_err(|cause| BlockError {
            row: self.row,
            cause,
        })
    }

    fn read_lines(&mut self, text: &[u8], work: &mut Work) -> Result<(usize, bool), RowError> {
        let mut at = 0;
        if !self.line.is_empty() {
            let end = memchr(b'\n', text);
            self.keep(&text[..end.unwrap_or(text.len())])?;
            let Some(end) = end else {
                return Ok((text.len(), false));
            };
            at = end + 1;
            let mut line = std::mem::take(&mut self.line);
            let ended = self.take(&line, work)?;
            line.clear();
            self.line = line;
            if ended {
                return Ok((at, true));
            }
        }
        while let Some(length) = memchr(b'\n', &text[at..]) {
            let line = &text[at..at + length];
            at += length + 1;
            if self.take(line, work)? {
                return Ok((at, true));
            }
        }
        self.keep(&text[at..])?;
        Ok((text.len(), false))
    }

    /// Takes one line; whether it was the end of the block.
    fn take(&mut self, line: &[u8], work: &mut Work) -> Result<bool, RowError> {
        if line == END_LINE {
            return Ok(true);
        }
        self.row += 1;
        let trees = &mut self.trees;
        self.layout
            .hand_over(line, work, &mut self.sink, &mut |tree| trees.note(&tree))?;
        Ok(false)
    }

    fn keep(&mut self, piece: &[u8]) -> Result<(), RowError> {
        if self.line.len() + piece.len() > LINE_LIMIT {
            self.row += 1;
            return Err(RowError::Bad(format!(
                "its line is longer than {LINE_LIMIT} bytes"
            )));
        }
        self.line.extend_from_slice(piece);
        Ok(())
    }
}
