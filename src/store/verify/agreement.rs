//! Whether a manifest and the dump beside it name the same gold.
//!
//! Every upload's original that the dump knows is in the manifest, or stands in the set's findings:
//! it was missing or damaged when the set was made. What lay below a directory that could not be read
//! then has no finding of its own, and is found here. The other way round, the dump knows every name
//! of the manifest, but those in license, which no database knows.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use crate::catalog::{Catalog, ShardPfiles};
use crate::check::{Finding, Kind, Severity};
use crate::manifest::{ByShard, Entry, ManifestError, Place, Types};
use crate::repository::{RepositoryName, Shard};
use crate::store::StoreError;
use crate::store::durable::failed;
use crate::store::named::ManifestReader;
use crate::store::record::SetRecord;

/// At most so many names of a set are listed that do not agree: a wrong dump knows none of them.
const MOST: usize = 1000;

/// What comparing showed.
#[derive(Debug, Default)]
pub(super) struct Agreement {
    /// Files that the manifest names.
    pub entries: u64,
    /// What does not agree.
    pub findings: Vec<Finding>,
    more: u64,
}

/// Reads a manifest to its end, and holds it against the catalog of the set's dump.
pub(super) fn compare(
    manifest: ManifestReader,
    catalog: Option<&Catalog>,
    record: &SetRecord,
    directory: &Path,
) -> Result<Agreement, StoreError> {
    let mut agreement = Agreement::default();
    let path = record.manifest.file.path(directory);
    let explained = match catalog {
        Some(catalog) => Explained::read(golds_of(catalog), record, directory)?,
        None => Explained::default(),
    };
    let manifest = ByShard::new(manifest);
    for shard in Shard::all() {
        let entries = manifest.take(shard)?;
        if let Some(entry) = entries.iter().find(|entry| is_without_digest(entry)) {
            return Err(ManifestError::Damaged {
                path,
                line: 0,
                why: format!("{} is in the pool, and has no blake3", entry.name),
            }
            .into());
        }
        if let Some(catalog) = catalog {
            agreement.shard(&entries, &catalog.shard(shard)?, &explained, record);
        }
    }
    agreement.entries = manifest.finish()?.entries;
    agreement.say_how_many_more(record);
    Ok(agreement)
}

fn golds_of(catalog: &Catalog) -> HashSet<RepositoryName> {
    let uploads = catalog.summary().uploads.iter();
    uploads.filter_map(|upload| upload.gold).collect()
}

fn is_without_digest(entry: &Entry) -> bool {
    entry.place == Place::Pool && entry.blake3.is_none()
}

impl Agreement {
    fn shard(
        &mut self,
        entries: &[Entry],
        pfiles: &ShardPfiles,
        explained: &Explained,
        record: &SetRecord,
    ) {
        for pfile in pfiles.pfiles().iter().filter(|pfile| pfile.in_gold()) {
            let entry = entries.binary_search_by(|entry| entry.name.cmp(&pfile.name));
            let has_gold = entry.is_ok_and(|at| entries[at].types.has(Types::GOLD));
            if !has_gold && !explained.has(&pfile.name) {
                let detail = format!(
                    "{} has it neither in its manifest nor in its findings{}",
                    record.id,
                    if record.complete {
                        ""
                    } else {
                        ": not everything could be read when it was made"
                    }
                );
                self.push(Kind::MissingGold, Severity::Loss, &pfile.name, detail);
            }
        }
        let of_database = entries
            .iter()
            .filter(|entry| entry.types.has(Types::GOLD.and(Types::FILES)));
        for entry in of_database {
            if pfiles.find(&entry.name).is_none() {
                let detail = format!(
                    "in the manifest of {}, whose dump does not know it",
                    record.id
                );
                self.push(Kind::Orphan, Severity::Waste, &entry.name, detail);
            }
        }
    }

    /// Adds one finding for all names that are not listed.
    fn say_how_many_more(&mut self, record: &SetRecord) {
        if self.more > 0 {
            let mut finding = Finding::new(Kind::MissingGold, Severity::Loss);
            finding.detail = Some(format!(
                "{} more names do not agree between manifest and dump of {}",
                self.more, record.id
            ));
            self.findings.push(finding);
        }
    }

    fn push(&mut self, kind: Kind, severity: Severity, name: &RepositoryName, detail: String) {
        if self.findings.len() >= MOST {
            self.more += 1;
            return;
        }
        let mut finding = Finding::new(kind, severity).named(name);
        finding.detail = Some(detail);
        self.findings.push(finding);
    }
}

/// The golds that stand in a set's findings. Findings can be as many as there are files, so other
/// names are not kept.
#[derive(Debug, Default)]
struct Explained {
    golds: HashSet<RepositoryName>,
    names: HashSet<RepositoryName>,
}

impl Explained {
    fn read(
        golds: HashSet<RepositoryName>,
        record: &SetRecord,
        directory: &Path,
    ) -> Result<Explained, StoreError> {
        let mut explained = Explained {
            golds,
            ..Explained::default()
        };
        let Some(file) = &record.findings.file else {
            record
                .findings
                .list
                .iter()
                .for_each(|finding| explained.take(finding));
            return Ok(explained);
        };
        let path = file.path(directory);
        let read = |source| failed("read", &path, source);
        for line in BufReader::new(File::open(&path).map_err(read)?).lines() {
            // The report at the end is no finding.
            if let Ok(finding) = serde_json::from_str(&line.map_err(read)?) {
                explained.take(&finding);
            }
        }
        Ok(explained)
    }

    fn take(&mut self, finding: &Finding) {
        let name = finding.name.as_ref().and_then(|name| name.parse().ok());
        if let Some(name) = name.filter(|name| self.golds.contains(name)) {
            self.names.insert(name);
        }
    }

    fn has(&self, name: &RepositoryName) -> bool {
        self.names.contains(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::UrlGold;

    #[test]
    fn of_the_names_in_findings_only_golds_are_kept() {
        let name = |size| RepositoryName {
            sha1: [7; 20],
            md5: [7; 16],
            size,
        };
        let mut explained = Explained {
            golds: HashSet::from([name(1), name(2)]),
            ..Explained::default()
        };
        for size in [1, 3] {
            explained.take(&Finding::new(Kind::MissingGold, Severity::Loss).named(&name(size)));
        }
        assert!(explained.has(&name(1)) && !explained.has(&name(2)));
        assert_eq!(explained.names.len(), 1);
    }

    #[test]
    fn a_dump_that_knows_nothing_of_the_manifest_is_told_briefly() {
        let record = SetRecord::of("2026-01-01T000000Z-full".parse().unwrap(), UrlGold::Keep);
        let mut agreement = Agreement::default();
        for size in 0..1_234 {
            let name = RepositoryName {
                sha1: [7; 20],
                md5: [7; 16],
                size,
            };
            agreement.push(Kind::Orphan, Severity::Waste, &name, String::new());
        }
        agreement.say_how_many_more(&record);
        assert_eq!(agreement.findings.len(), MOST + 1);
        let detail = agreement.findings[MOST].detail.clone().unwrap();
        assert!(detail.starts_with("234 more names"), "{detail}");
    }
}
