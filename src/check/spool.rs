//! Findings on disk, in their one order.
//!
//! There can be millions of findings, so they are not held in memory: each is written, as the JSON
//! line that reports print, to a scratch file that has no name. Groups of one severity and kind are
//! kept apart, and within a group what concerns the whole repository comes before shard 00, 01, …;
//! the order in which threads deliver shards does not matter.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use super::finding::Finding;
use super::kind::{FailOn, Kind, Severity};
use crate::catalog::CatalogError;
use crate::catalog::scatter::scratch_file;

/// Number and bytes of the findings of one severity and kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// How many findings.
    pub findings: u64,
    /// The bytes they concern, together.
    pub bytes: u64,
}

#[derive(Clone, Copy, Debug)]
struct Extent {
    offset: u64,
    length: usize,
}

#[derive(Debug, Default)]
struct Index {
    end: u64,
    extents: BTreeMap<(Severity, Kind, u16), Extent>,
    tallies: BTreeMap<(Severity, Kind), Tally>,
}

/// Text is kept, and written, in pieces of about this size.
const PIECE: usize = 256 * 1024;

/// All findings of a run.
#[derive(Debug)]
pub struct Spool {
    file: File,
    directory: PathBuf,
    index: Mutex<Index>,
}

/// The findings of one shard (or of what is above the shards), while they are made.
#[derive(Debug, Default)]
pub struct Batch {
    groups: BTreeMap<(Severity, Kind), Group>,
}

/// The findings of one severity and kind, as lines in the order in which they came. A shard can have
/// one for each of its files, so what sorts them is kept apart and small.
#[derive(Debug, Default)]
struct Group {
    lines: Text,
    /// Names and paths.
    words: Text,
    order: Vec<Sortable>,
    tally: Tally,
}

/// What the order of findings within a group hangs on, and where the finding's line is.
#[derive(Debug)]
struct Sortable {
    name: Option<Place>,
    path: Option<Place>,
    pfile: Option<i32>,
    upload: Option<i32>,
    line: Place,
}

/// Much text, bit by bit. It is kept in pieces: one that doubled as it grows would take three times
/// its size in the end.
#[derive(Debug, Default)]
struct Text {
    pieces: Vec<Vec<u8>>,
    length: usize,
}

/// Where in a text something stands.
#[derive(Clone, Copy, Debug)]
struct Place {
    piece: u32,
    start: u32,
    end: u32,
}

impl Text {
    /// Adds what `write` writes.
    fn add(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Place {
        if self.pieces.last().is_none_or(|piece| piece.len() >= PIECE) {
            self.pieces.push(Vec::with_capacity(PIECE + PIECE / 8));
        }
        let number = self.pieces.len() - 1;
        let piece = &mut self.pieces[number];
        let start = piece.len();
        write(piece);
        self.length += piece.len() - start;
        Place {
            piece: number as u32,
            start: start as u32,
            end: piece.len() as u32,
        }
    }

    fn at(&self, place: Place) -> &[u8] {
        &self.pieces[place.piece as usize][place.start as usize..place.end as usize]
    }
}

impl Batch {
    /// Adds a finding.
    pub fn push(&mut self, finding: Finding) {
        let group = self
            .groups
            .entry((finding.severity, finding.kind))
            .or_default();
        group.tally.findings += 1;
        group.tally.bytes = group.tally.bytes.saturating_add(finding.bytes.unwrap_or(0));
        let line = group.lines.add(|out| {
            // Writing to memory fails only for maps whose keys are no text, and a finding has none.
            let _ = serde_json::to_writer(&mut *out, &finding);
            out.push(b'\n');
        });
        let mut word = |word: &Option<String>| {
            let word = word.as_ref()?;
            Some(
                group
                    .words
                    .add(|out| out.extend_from_slice(word.as_bytes())),
            )
        };
        group.order.push(Sortable {
            name: word(&finding.name),
            path: word(&finding.path),
            pfile: finding.pfile,
            upload: finding
                .uploads
                .as_ref()
                .and_then(|ids| ids.first().copied()),
            line,
        });
    }
}

impl Group {
    fn sort(&mut self) {
        let word = |place: Option<Place>| place.map(|place| self.words.at(place));
        self.order.sort_by(|a, b| {
            word(a.name)
                .cmp(&word(b.name))
                .then_with(|| a.pfile.cmp(&b.pfile))
                .then_with(|| word(a.path).cmp(&word(b.path)))
                .then_with(|| a.upload.cmp(&b.upload))
        });
    }
}

impl Spool {
    /// An empty spool whose file lies, without a name, in `directory`.
    pub fn new(directory: &Path) -> Result<Spool, CatalogError> {
        Ok(Spool {
            file: scratch_file(directory)?,
            directory: directory.to_owned(),
            index: Mutex::default(),
        })
    }

    /// Takes in a batch. `sequence` orders batches: 0 for what is above the shards, 1 + the shard's
    /// number for a shard; each is delivered once.
    pub fn deliver(&self, sequence: u16, batch: Batch) -> Result<(), CatalogError> {
        for ((severity, kind), mut group) in batch.groups {
            group.sort();
            let length = group.lines.length;
            let offset = {
                let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
                let offset = index.end;
                index.end += length as u64;
                index
                    .extents
                    .insert((severity, kind, sequence), Extent { offset, length });
                let total = index.tallies.entry((severity, kind)).or_default();
                total.findings += group.tally.findings;
                total.bytes = total.bytes.saturating_add(group.tally.bytes);
                offset
            };
            self.write(&group, offset)?;
        }
        Ok(())
    }

    /// Writes a group's lines in their order.
    fn write(&self, group: &Group, mut offset: u64) -> Result<(), CatalogError> {
        let mut piece = Vec::with_capacity(PIECE);
        let mut write = |piece: &mut Vec<u8>| {
            let written = self.file.write_all_at(piece, offset);
            offset += piece.len() as u64;
            piece.clear();
            written.map_err(|source| self.failed(source))
        };
        for sortable in &group.order {
            let line = group.lines.at(sortable.line);
            if piece.len() + line.len() > PIECE {
                write(&mut piece)?;
            }
            piece.extend_from_slice(line);
        }
        write(&mut piece)
    }

    /// Number and bytes by severity and kind, the worst first.
    pub fn tallies(&self) -> Vec<(Severity, Kind, Tally)> {
        let index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        index
            .tallies
            .iter()
            .map(|((severity, kind), tally)| (*severity, *kind, *tally))
            .collect()
    }

    /// Whether any finding meets `fail_on`.
    pub fn fails(&self, fail_on: FailOn) -> bool {
        self.tallies()
            .iter()
            .any(|(severity, kind, _)| fail_on.is_met_by(*kind, *severity))
    }

    /// Calls `each` with the JSON lines of every finding, in order, in pieces of whole lines.
    pub fn for_each_piece<E: From<CatalogError>>(
        &self,
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        for (_, extent) in self.extents(|_, _| true) {
            each(&self.read(extent)?)?;
        }
        Ok(())
    }

    /// The first `most` findings of a severity and kind.
    pub fn first(
        &self,
        severity: Severity,
        kind: Kind,
        most: usize,
    ) -> Result<Vec<Finding>, CatalogError> {
        let mut findings = Vec::new();
        for (_, extent) in self.extents(|s, k| s == severity && k == kind) {
            let bytes = self.read(extent)?;
            for line in bytes
                .split(|byte| *byte == b'\n')
                .filter(|line| !line.is_empty())
            {
                if findings.len() == most {
                    return Ok(findings);
                }
                let finding = serde_json::from_slice(line)
                    .map_err(|error| self.failed(io::Error::other(error)))?;
                findings.push(finding);
            }
        }
        Ok(findings)
    }

    /// Calls `each` with every finding of a severity and kind, in order.
    pub fn for_each<E: From<CatalogError>>(
        &self,
        severity: Severity,
        kind: Kind,
        mut each: impl FnMut(Finding) -> Result<(), E>,
    ) -> Result<(), E> {
        for (_, extent) in self.extents(|s, k| s == severity && k == kind) {
            for line in self.read(extent)?.split_inclusive(|byte| *byte == b'\n') {
                let finding = serde_json::from_slice(line)
                    .map_err(|error| self.failed(io::Error::other(error)))?;
                each(finding)?;
            }
        }
        Ok(())
    }

    /// The numbers of the batches that have findings of a severity and kind, in order.
    pub fn batches(&self, severity: Severity, kind: Kind) -> Vec<u16> {
        let index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        let all = (severity, kind, 0)..=(severity, kind, u16::MAX);
        index.extents.range(all).map(|(key, _)| key.2).collect()
    }

    /// Calls `each` with every finding of a severity and kind in one batch, in order.
    pub fn for_each_in_batch<E: From<CatalogError>>(
        &self,
        (severity, kind, sequence): (Severity, Kind, u16),
        mut each: impl FnMut(Finding) -> Result<(), E>,
    ) -> Result<(), E> {
        let extent = {
            let index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
            index.extents.get(&(severity, kind, sequence)).copied()
        };
        let Some(extent) = extent else {
            return Ok(());
        };
        for line in self.read(extent)?.split_inclusive(|byte| *byte == b'\n') {
            let finding = serde_json::from_slice(line)
                .map_err(|error| self.failed(io::Error::other(error)))?;
            each(finding)?;
        }
        Ok(())
    }

    fn extents(
        &self,
        wanted: impl Fn(Severity, Kind) -> bool,
    ) -> Vec<((Severity, Kind, u16), Extent)> {
        let index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        index
            .extents
            .iter()
            .filter(|((severity, kind, _), _)| wanted(*severity, *kind))
            .map(|(key, extent)| (*key, *extent))
            .collect()
    }

    fn read(&self, extent: Extent) -> Result<Vec<u8>, CatalogError> {
        let mut bytes = vec![0; extent.length];
        self.file
            .read_exact_at(&mut bytes, extent.offset)
            .map_err(|source| self.failed(source))?;
        Ok(bytes)
    }

    fn failed(&self, source: io::Error) -> CatalogError {
        CatalogError::Scratch {
            directory: self.directory.clone(),
            source,
        }
    }
}
