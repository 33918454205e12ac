//! What was wrong when a set was made, of what concerns the set.

use std::io::Write;
use std::path::Path;

use super::{BackupError, Digesting};
use crate::catalog::{Catalog, CatalogError, ShardPfiles};
use crate::check::{Batch, Finding, Kind, Outcome, Spool};
use crate::manifest::{Selection, SetKind};
use crate::repository::{RepositoryName, Shard};
use crate::store::durable::failed;
use crate::store::record::{FINDINGS_FILE, FindingsRecord, MOST_FINDINGS};
use crate::store::{StoreError, create_file};
use crate::sysconf::RepositoryType;

/// The kinds that say something of what a set holds. The rest concerns the server alone.
const KINDS: [Kind; 13] = [
    Kind::MissingGold,
    Kind::MissingDerived,
    Kind::MissingListing,
    Kind::Corrupt,
    Kind::WrongSize,
    Kind::Unreadable,
    Kind::Misplaced,
    Kind::Orphan,
    Kind::UnusablePfile,
    Kind::DanglingReference,
    Kind::UploadWithoutPfile,
    Kind::UnfinishedUpload,
    Kind::DeletedMeanwhile,
];

/// Those of a check's findings that concern the set.
pub(super) fn of_set(
    outcome: &Outcome,
    catalog: &Catalog,
    selection: &Selection,
    scratch: &Path,
) -> Result<Spool, CatalogError> {
    let spool = Spool::new(scratch)?;
    let mut concern = Concern {
        catalog,
        selection,
        shard: None,
    };
    for (severity, kind, _) in outcome.findings.tallies() {
        if !KINDS.contains(&kind) {
            continue;
        }
        // Findings come in the order of shards, those of none first.
        let mut sequence = 0;
        let mut batch = Batch::default();
        outcome
            .findings
            .for_each(severity, kind, |finding| -> Result<(), CatalogError> {
                let next = name_of(&finding).map_or(0, |name| 1 + u16::from(name.shard().0));
                if next > sequence {
                    spool.deliver(sequence, std::mem::take(&mut batch))?;
                    sequence = next;
                }
                if concern.has(&finding)? {
                    batch.push(finding);
                }
                Ok(())
            })?;
        spool.deliver(sequence, batch)?;
    }
    Ok(spool)
}

fn name_of(finding: &Finding) -> Option<RepositoryName> {
    finding.name.as_ref().and_then(|name| name.parse().ok())
}

/// The record of a set's findings. When there are more than the record holds, all of them stand in
/// a file of their own.
pub(super) fn record(findings: &Spool, directory: &Path) -> Result<FindingsRecord, BackupError> {
    let mut record = FindingsRecord::default();
    for (severity, kind, tally) in findings.tallies() {
        *record.counts.entry(kind.as_str().to_owned()).or_default() += tally.findings;
        let severities = &mut record.severities;
        *severities.entry(severity.as_str().to_owned()).or_default() += tally.findings;
        let room = MOST_FINDINGS - record.list.len();
        record.list.extend(findings.first(severity, kind, room)?);
    }
    if record.total() > MOST_FINDINGS as u64 {
        let path = directory.join(FINDINGS_FILE);
        let mut all = Digesting::new(create_file(&path)?);
        findings.for_each_piece(|lines| -> Result<(), StoreError> {
            all.write_all(lines)
                .map_err(|source| failed("write", &path, source))
        })?;
        record.file = Some(all.record(FINDINGS_FILE));
    }
    Ok(record)
}

/// Tells which findings concern a set.
struct Concern<'a> {
    catalog: &'a Catalog,
    selection: &'a Selection,
    /// The shard that was looked at last.
    shard: Option<(Shard, ShardPfiles)>,
}

impl Concern<'_> {
    fn has(&mut self, finding: &Finding) -> Result<bool, CatalogError> {
        if self.selection.kind == SetKind::Full || finding.ty == Some(RepositoryType::Gold) {
            return Ok(true);
        }
        match (finding.kind, name_of(finding)) {
            (Kind::Orphan, _) => Ok(false),
            (Kind::DeletedMeanwhile, _) => Ok(true),
            // Gold's copy in files/ comes back with the gold.
            (_, Some(name)) => self.is_listing(name),
            (_, None) => Ok(finding.ty.is_none()),
        }
    }

    fn is_listing(&mut self, name: RepositoryName) -> Result<bool, CatalogError> {
        let shard = name.shard();
        if self.shard.as_ref().is_none_or(|(known, _)| *known != shard) {
            self.shard = Some((shard, self.catalog.shard(shard)?));
        }
        let pfile = self
            .shard
            .as_ref()
            .and_then(|(_, pfiles)| pfiles.find(&name));
        Ok(pfile.is_some_and(crate::catalog::Pfile::is_listing))
    }
}
