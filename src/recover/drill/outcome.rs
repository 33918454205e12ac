//! What a drill showed, and whether it has passed.

use std::collections::{BTreeMap, HashSet};

use super::{DrillError, Request};
use crate::catalog::{Amount, Catalog, CatalogError};
use crate::check::{self, Kind, Severity, Spool};
use crate::manifest::SetKind;
use crate::recover::database;
use crate::recover::files::Restored;
use crate::repository::RepositoryName;
use crate::sysconf::RepositoryType;

/// At most so many lost uploads are named.
const MOST_UPLOADS: usize = 1000;

/// What a drill showed.
#[derive(Debug)]
pub struct Drilled {
    /// Seconds by step.
    pub seconds: BTreeMap<String, f64>,
    /// The restored database.
    pub database: database::Outcome,
    /// Its catalog.
    pub catalog: Catalog,
    /// What would be missing or damaged.
    pub findings: Spool,
    /// Contents that the set holds and that are there: in the pool, or, in a full drill, restored.
    pub held: Amount,
    /// Contents that the set promises and that cannot be had.
    pub broken: Amount,
    /// Gold that is left to its URLs: still to fetch, or, in a full drill, fetched.
    pub to_fetch: Amount,
    /// Files that come back by unpacking alone.
    pub to_unpack: Amount,
    /// Uploads whose gold is lost.
    pub lost_uploads: LostUploads,
    /// Files that would be lost.
    pub lost: u64,
    /// Files that would be missing and can be had otherwise; without those that a gold-only set
    /// leaves to unpacking.
    pub to_recover: u64,
    /// Faults of the database itself, which comes back as it was.
    pub as_before: u64,
    /// The restored tree, in a full drill.
    pub tree: Option<DrilledTree>,
    /// Everything that was asked for was looked at.
    pub complete: bool,
    /// Nothing would be lost, and the set keeps its promise.
    pub passed: bool,
    /// The times stand in the store.
    pub is_noted: bool,
}

/// What was made of a set's files.
#[derive(Debug)]
pub struct DrilledTree {
    /// What was restored.
    pub restored: Restored,
    /// What was looked at of it.
    pub coverage: check::Coverage,
    /// The shards that were looked at completely.
    pub complete_shards: usize,
}

/// Uploads whose gold is lost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LostUploads {
    /// The first ones: `upload_pk` and file name.
    pub first: Vec<(i32, String)>,
    /// How many there are.
    pub total: u64,
}

/// The derived files that a gold-only set leaves to unpacking.
pub(super) fn left_to_unpacking(findings: &Spool) -> Amount {
    let tallies = findings.tallies();
    let left = tallies.iter().find(|(severity, kind, _)| {
        (*severity, *kind) == (Severity::Recoverable, Kind::MissingDerived)
    });
    left.map_or_else(Amount::default, |(_, _, tally)| Amount {
        files: tally.findings,
        bytes: tally.bytes,
    })
}

impl Drilled {
    /// Says whether the drill has passed, and what would be lost.
    pub(super) fn judged(mut self, request: &Request<'_>) -> Result<Drilled, DrillError> {
        self.lost_uploads = lost_uploads(&self.findings, &self.catalog)?;
        let is_gold_only = request.record.kind == SetKind::GoldOnly;
        for (severity, kind, tally) in self.findings.tallies() {
            let count = match (severity, kind) {
                (Severity::Waste | Severity::Notice, _) => continue,
                (Severity::Recoverable, Kind::MissingDerived) if is_gold_only => continue,
                (_, kind) if !is_about_files(kind) => &mut self.as_before,
                (Severity::Loss, _) => &mut self.lost,
                (Severity::Recoverable, _) => &mut self.to_recover,
            };
            *count += tally.findings;
        }
        self.passed =
            self.complete && self.lost == 0 && self.to_recover == 0 && self.broken.files == 0;
        Ok(self)
    }
}

/// Whether a finding of this kind is about a file, which the set should have brought back. The rest
/// is in the database, which comes back as it was.
fn is_about_files(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::MissingGold
            | Kind::MissingDerived
            | Kind::MissingListing
            | Kind::WrongSize
            | Kind::Corrupt
            | Kind::Unreadable
            | Kind::Misplaced
            | Kind::WrongMode
    )
}

/// The uploads whose gold would be lost.
fn lost_uploads(findings: &Spool, catalog: &Catalog) -> Result<LostUploads, CatalogError> {
    let mut golds: HashSet<RepositoryName> = HashSet::new();
    for kind in [
        Kind::MissingGold,
        Kind::WrongSize,
        Kind::Corrupt,
        Kind::Unreadable,
    ] {
        findings.for_each::<CatalogError>(Severity::Loss, kind, |finding| {
            if finding.ty == Some(RepositoryType::Gold) {
                golds.extend(
                    finding
                        .name
                        .and_then(|name| name.parse::<RepositoryName>().ok()),
                );
            }
            Ok(())
        })?;
    }
    let mut lost = LostUploads::default();
    for upload in &catalog.summary().uploads {
        if upload.gold.is_some_and(|gold| golds.contains(&gold)) {
            lost.total += 1;
            if lost.first.len() < MOST_UPLOADS {
                let name = String::from_utf8_lossy(&upload.filename).into_owned();
                lost.first.push((upload.pk, name));
            }
        }
    }
    Ok(lost)
}
