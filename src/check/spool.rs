//! Findings on disk, in their one order.
//!
//! There can be millions of findings, so they are not held in memory: each is written, as the JSON
//! line that reports print, to a scratch file that has no name. Groups of one severity and kind are
//! kept apart, and within a group what concerns the whole repository comes before shard 00, 01, …;
//! the order in which threads deliver shards does not matter. Findings that somebody has accepted
//! come after the others of their severity and kind, and are counted apart.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use super::finding::{Finding, Recovery};
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

impl Tally {
    fn add(&mut self, other: Tally) {
        self.findings += other.findings;
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

/// What is kept together: findings of one severity and kind, and whether they are accepted.
type GroupKey = (Severity, Kind, bool);

#[derive(Clone, Copy, Debug)]
struct Extent {
    offset: u64,
    length: usize,
    tally: Tally,
    recoveries: Recoveries,
}

/// Findings by how they come back, in the order of [`Recovery::ALL`].
type Recoveries = [u64; Recovery::ALL.len()];

#[derive(Debug, Default)]
struct Index {
    end: u64,
    extents: BTreeMap<(GroupKey, u16), Extent>,
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
    groups: BTreeMap<GroupKey, Group>,
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
    recoveries: Recoveries,
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
            .entry((
                finding.severity,
                finding.kind,
                finding.accepted == Some(true),
            ))
            .or_default();
        group.tally.add(Tally {
            findings: 1,
            bytes: finding.bytes.unwrap_or(0),
        });
        if let Some(recovery) = finding.recovery
            && finding.is_left()
        {
            group.recoveries[recovery as usize] += 1;
        }
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
        for (key, mut group) in batch.groups {
            group.sort();
            let length = group.lines.length;
            let offset = {
                let mut index = self.index();
                let offset = index.end;
                index.end += length as u64;
                let extent = Extent {
                    offset,
                    length,
                    tally: group.tally,
                    recoveries: group.recoveries,
                };
                index.extents.insert((key, sequence), extent);
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

    /// Sets findings of some kinds apart: those to which `reason` has an answer are accepted for it.
    pub fn set_apart(
        &self,
        kinds: &BTreeSet<Kind>,
        mut reason: impl FnMut(&Finding) -> Option<String>,
    ) -> Result<(), CatalogError> {
        let of_kind = self.extents(|(_, kind, accepted)| kinds.contains(&kind) && !accepted);
        for ((key, sequence), extent) in of_kind {
            let mut batch = Batch::default();
            let mut changed = false;
            self.for_each_in(extent, |mut finding| -> Result<(), CatalogError> {
                finding.reason = reason(&finding);
                finding.accepted = finding.reason.is_some().then_some(true);
                changed |= finding.accepted.is_some();
                batch.push(finding);
                Ok(())
            })?;
            if changed {
                self.index().extents.remove(&(key, sequence));
                self.deliver(sequence, batch)?;
            }
        }
        Ok(())
    }

    /// Number and bytes by severity and kind, the worst first, of the findings that count.
    pub fn tallies(&self) -> Vec<(Severity, Kind, Tally)> {
        self.tallies_of(false)
    }

    /// The same of those that are accepted.
    pub fn accepted(&self) -> Vec<(Severity, Kind, Tally)> {
        self.tallies_of(true)
    }

    fn tallies_of(&self, accepted: bool) -> Vec<(Severity, Kind, Tally)> {
        let mut tallies: BTreeMap<(Severity, Kind), Tally> = BTreeMap::new();
        for (((severity, kind, set_apart), _), extent) in &self.index().extents {
            if *set_apart == accepted {
                let tally = tallies.entry((*severity, *kind)).or_default();
                tally.add(extent.tally);
            }
        }
        tallies
            .into_iter()
            .map(|((severity, kind), tally)| (severity, kind, tally))
            .collect()
    }

    /// How findings of a kind that count, and that no repair has mended, come back, and how many each
    /// way. What nothing needs is not among them.
    pub fn recoveries(&self, kind: Kind) -> Vec<(Recovery, u64)> {
        let of_kind = self.extents(|(severity, other, accepted)| {
            other == kind && severity != Severity::Waste && !accepted
        });
        let count = |recovery: Recovery| {
            let each = of_kind.iter();
            each.map(|(_, extent)| extent.recoveries[recovery as usize])
                .sum()
        };
        Recovery::ALL
            .into_iter()
            .map(|recovery| (recovery, count(recovery)))
            .filter(|(_, findings)| *findings > 0)
            .collect()
    }

    /// Whether any finding that counts meets `fail_on`.
    pub fn fails(&self, fail_on: FailOn) -> bool {
        self.tallies()
            .iter()
            .any(|(severity, kind, _)| fail_on.is_met_by(*kind, *severity))
    }

    /// Calls `each` with the JSON lines of every finding, the accepted ones among them, in order, in
    /// pieces of whole lines.
    pub fn for_each_piece<E: From<CatalogError>>(
        &self,
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        for (_, extent) in self.extents(|_| true) {
            each(&self.read(extent)?)?;
        }
        Ok(())
    }

    /// The first `most` findings of a severity and kind that count.
    pub fn first(
        &self,
        severity: Severity,
        kind: Kind,
        most: usize,
    ) -> Result<Vec<Finding>, CatalogError> {
        self.first_of((severity, kind, false), most)
    }

    /// The same of those that are accepted.
    pub fn first_accepted(
        &self,
        severity: Severity,
        kind: Kind,
        most: usize,
    ) -> Result<Vec<Finding>, CatalogError> {
        self.first_of((severity, kind, true), most)
    }

    fn first_of(&self, wanted: GroupKey, most: usize) -> Result<Vec<Finding>, CatalogError> {
        let mut findings = Vec::new();
        for (_, extent) in self.extents(|key| key == wanted) {
            for line in self.read(extent)?.split_inclusive(|byte| *byte == b'\n') {
                if findings.len() == most {
                    return Ok(findings);
                }
                findings.push(self.parse(line)?);
            }
        }
        Ok(findings)
    }

    /// Calls `each` with every finding of a severity and kind that counts, in order.
    pub fn for_each<E: From<CatalogError>>(
        &self,
        severity: Severity,
        kind: Kind,
        each: impl FnMut(Finding) -> Result<(), E>,
    ) -> Result<(), E> {
        self.for_each_of((severity, kind, false), each)
    }

    /// The same with those that are accepted.
    pub fn for_each_accepted<E: From<CatalogError>>(
        &self,
        severity: Severity,
        kind: Kind,
        each: impl FnMut(Finding) -> Result<(), E>,
    ) -> Result<(), E> {
        self.for_each_of((severity, kind, true), each)
    }

    fn for_each_of<E: From<CatalogError>>(
        &self,
        wanted: GroupKey,
        mut each: impl FnMut(Finding) -> Result<(), E>,
    ) -> Result<(), E> {
        for (_, extent) in self.extents(|key| key == wanted) {
            self.for_each_in(extent, &mut each)?;
        }
        Ok(())
    }

    /// The numbers of the batches that have findings of a severity and kind that count, in order.
    pub fn batches(&self, severity: Severity, kind: Kind) -> Vec<u16> {
        let key = (severity, kind, false);
        let index = self.index();
        let batches = index.extents.range((key, 0)..=(key, u16::MAX));
        batches.map(|((_, sequence), _)| *sequence).collect()
    }

    /// Calls `each` with every finding of a severity and kind that counts in one batch, in order.
    pub fn for_each_in_batch<E: From<CatalogError>>(
        &self,
        (severity, kind, sequence): (Severity, Kind, u16),
        each: impl FnMut(Finding) -> Result<(), E>,
    ) -> Result<(), E> {
        let key = ((severity, kind, false), sequence);
        let extent = self.index().extents.get(&key).copied();
        extent.map_or(Ok(()), |extent| self.for_each_in(extent, each))
    }

    fn for_each_in<E: From<CatalogError>>(
        &self,
        extent: Extent,
        mut each: impl FnMut(Finding) -> Result<(), E>,
    ) -> Result<(), E> {
        for line in self.read(extent)?.split_inclusive(|byte| *byte == b'\n') {
            each(self.parse(line)?)?;
        }
        Ok(())
    }

    fn parse(&self, line: &[u8]) -> Result<Finding, CatalogError> {
        serde_json::from_slice(line).map_err(|error| self.failed(io::Error::other(error)))
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn extents(&self, wanted: impl Fn(GroupKey) -> bool) -> Vec<((GroupKey, u16), Extent)> {
        self.index()
            .extents
            .iter()
            .filter(|((key, _), _)| wanted(*key))
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
