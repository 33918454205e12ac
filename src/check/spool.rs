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

#[derive(Debug, Default)]
struct Group {
    findings: Vec<(SortKey, Finding)>,
    tally: Tally,
}

/// The order of findings within a group of a batch.
type SortKey = (Option<String>, Option<i32>, Option<String>, Option<i32>);

impl Batch {
    /// Adds a finding.
    pub fn push(&mut self, finding: Finding) {
        let group = self
            .groups
            .entry((finding.severity, finding.kind))
            .or_default();
        group.tally.findings += 1;
        group.tally.bytes = group.tally.bytes.saturating_add(finding.bytes.unwrap_or(0));
        let upload = finding
            .uploads
            .as_ref()
            .and_then(|ids| ids.first().copied());
        let key = (
            finding.name.clone(),
            finding.pfile,
            finding.path.clone(),
            upload,
        );
        group.findings.push((key, finding));
    }
}

impl Spool {
    /// An empty spool whose file lies, without a name, in `directory`.
    pub fn new(directory: &Path) -> Result<Spool, CatalogError> {
        let file = tempfile::tempfile_in(directory).map_err(|source| CatalogError::Scratch {
            directory: directory.to_owned(),
            source,
        })?;
        Ok(Spool {
            file,
            directory: directory.to_owned(),
            index: Mutex::default(),
        })
    }

    /// Takes in a batch. `sequence` orders batches: 0 for what is above the shards, 1 + the shard's
    /// number for a shard; each is delivered once.
    pub fn deliver(&self, sequence: u16, batch: Batch) -> Result<(), CatalogError> {
        for ((severity, kind), group) in batch.groups {
            let Group {
                mut findings,
                tally,
            } = group;
            findings.sort_by(|a, b| a.0.cmp(&b.0));
            let mut lines = Vec::new();
            for (_, finding) in &findings {
                serde_json::to_writer(&mut lines, finding)
                    .map_err(|error| self.failed(io::Error::other(error)))?;
                lines.push(b'\n');
            }
            let length = lines.len();
            let offset = {
                let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
                let offset = index.end;
                index.end += length as u64;
                index
                    .extents
                    .insert((severity, kind, sequence), Extent { offset, length });
                let total = index.tallies.entry((severity, kind)).or_default();
                total.findings += tally.findings;
                total.bytes = total.bytes.saturating_add(tally.bytes);
                offset
            };
            self.file
                .write_all_at(&lines, offset)
                .map_err(|source| self.failed(source))?;
        }
        Ok(())
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
