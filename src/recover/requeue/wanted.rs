//! What a check's findings ask for: the files that unpacking brings back.
//!
//! There can be millions of them, so their names stay on disk, by shard; in memory are only the
//! names of golds, of which there is at most one an upload.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::error::RequeueError;
use crate::catalog::scatter::{Scatter, Writer};
use crate::catalog::{Amount, Catalog, CatalogError, ShardPfiles, Use};
use crate::check::{Finding, Kind, Outcome, Recovery, Severity};
use crate::monitor::Monitor;
use crate::repository::{RepositoryName, Shard};
use crate::sysconf::RepositoryType;

/// A name on disk: sha1, md5, size.
const RECORD: usize = 20 + 16 + 8;

/// What the findings of a check ask for.
pub(super) struct Wanted {
    names: Arc<Scatter>,
    /// Files that some unpack brings back.
    pub(super) files: Amount,
    /// Golds whose copy in files/ is missing or bad, while the gold itself is good.
    pub(super) unlinked_golds: BTreeSet<RepositoryName>,
    /// Golds that are missing or bad in their place.
    pub(super) bad_golds: BTreeSet<RepositoryName>,
    /// Missing files that nothing brings back.
    pub(super) beyond: Amount,
    /// Missing files of which a good copy stands elsewhere in the repository.
    pub(super) elsewhere: Amount,
    /// Missing listings, which no unpack writes again.
    pub(super) listings: u64,
    /// Files and directories that FOSSology's user or group cannot use.
    pub(super) unusable: u64,
    /// Uploads with a tree that a killed unpack has cut.
    pub(super) cut_trees: BTreeSet<i32>,
    /// Uploads whose first unpack has not completed.
    pub(super) unfinished: BTreeSet<i32>,
}

impl Wanted {
    /// Reads the findings of a check.
    pub(super) fn of(
        outcome: &Outcome,
        catalog: &Catalog,
        scratch: &std::path::Path,
    ) -> Result<Wanted, RequeueError> {
        let summary = catalog.summary();
        let golds: BTreeSet<RepositoryName> = summary
            .uploads
            .iter()
            .filter_map(|upload| upload.gold)
            .collect();
        let names = Scatter::new(scratch)?;
        let mut writer = names.writer();
        let mut wanted = Wanted {
            names,
            files: Amount::default(),
            unlinked_golds: BTreeSet::new(),
            bad_golds: BTreeSet::new(),
            beyond: Amount::default(),
            elsewhere: Amount::default(),
            listings: 0,
            unusable: 0,
            cut_trees: BTreeSet::new(),
            unfinished: BTreeSet::new(),
        };
        outcome.findings.for_each_piece(|piece| {
            for line in piece
                .split(|byte| *byte == b'\n')
                .filter(|line| !line.is_empty())
            {
                let finding: Finding =
                    serde_json::from_slice(line).map_err(|error| CatalogError::Scratch {
                        directory: scratch.to_owned(),
                        source: std::io::Error::other(error),
                    })?;
                wanted.take(&finding, &golds, &mut writer)?;
            }
            Ok::<(), RequeueError>(())
        })?;
        writer.finish()?;
        Ok(wanted)
    }

    fn take(
        &mut self,
        finding: &Finding,
        golds: &BTreeSet<RepositoryName>,
        writer: &mut Writer,
    ) -> Result<(), CatalogError> {
        let uploads = || finding.uploads.iter().flatten().copied();
        match finding.kind {
            Kind::MissingListing => self.listings += 1,
            Kind::WrongMode => self.unusable += 1,
            Kind::PartialTree if finding.severity == Severity::Recoverable => {
                self.cut_trees.extend(uploads());
            }
            Kind::UnfinishedUpload => self.unfinished.extend(uploads()),
            Kind::MissingGold
            | Kind::MissingDerived
            | Kind::Corrupt
            | Kind::WrongSize
            | Kind::Unreadable => {
                let name = finding.name.as_deref().and_then(|name| name.parse().ok());
                if let Some(name) = name {
                    self.take_file(finding, name, golds, writer)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn take_file(
        &mut self,
        finding: &Finding,
        name: RepositoryName,
        golds: &BTreeSet<RepositoryName>,
        writer: &mut Writer,
    ) -> Result<(), CatalogError> {
        match finding.ty {
            Some(RepositoryType::Gold) => {
                if finding.severity <= Severity::Recoverable {
                    self.bad_golds.insert(name);
                }
                return Ok(());
            }
            Some(RepositoryType::Files) => {}
            _ => return Ok(()),
        }
        match (finding.recovery, finding.severity) {
            (Some(Recovery::Unpack), _) => {
                self.files.add(name.size);
                writer.push(name.shard().0, |out| put(out, &name))?;
            }
            (Some(Recovery::Copy), _) if golds.contains(&name) => {
                self.unlinked_golds.insert(name);
            }
            (Some(Recovery::Copy), _) => self.elsewhere.add(name.size),
            // A bad listing, or a bad file that nobody uses.
            (_, Severity::Notice | Severity::Waste) => {}
            _ => self.beyond.add(name.size),
        }
        Ok(())
    }

    /// Calls `each` with every file that unpacking brings back, and the uploads that use it; and
    /// with no upload for one whose row is gone. Once for each file, shard by shard.
    pub(super) fn for_each(
        &self,
        catalog: &Catalog,
        monitor: &dyn Monitor,
        mut each: impl FnMut(&RepositoryName, &[Use]),
    ) -> Result<(), RequeueError> {
        for shard in Shard::all() {
            if monitor.stopped() {
                return Err(CatalogError::Stopped.into());
            }
            let bytes = self.names.read(shard.0)?;
            if bytes.is_empty() {
                continue;
            }
            let mut names: Vec<RepositoryName> = bytes.chunks_exact(RECORD).map(take).collect();
            names.sort_unstable();
            names.dedup();
            let pfiles: ShardPfiles = catalog.shard(shard)?;
            for name in &names {
                let uses = pfiles.find(name).map(|pfile| pfiles.uses(pfile));
                each(name, uses.unwrap_or_default());
            }
        }
        Ok(())
    }
}

fn put(out: &mut Vec<u8>, name: &RepositoryName) {
    out.extend_from_slice(&name.sha1);
    out.extend_from_slice(&name.md5);
    out.extend_from_slice(&name.size.to_le_bytes());
}

fn take(record: &[u8]) -> RepositoryName {
    RepositoryName {
        sha1: record[..20].try_into().unwrap_or_default(),
        md5: record[20..36].try_into().unwrap_or_default(),
        size: u64::from_le_bytes(record[36..].try_into().unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_comes_back_from_disk() {
        let name = RepositoryName {
            sha1: [1; 20],
            md5: [2; 16],
            size: 3 << 40,
        };
        let mut bytes = Vec::new();
        put(&mut bytes, &name);
        assert_eq!(bytes.len(), RECORD);
        assert_eq!(take(&bytes), name);
    }
}
