//! A restore that is only reckoned: the catalog of the restored database against the set's manifest
//! and the pool.
//!
//! What the database needs is in the set, or is left to a URL, or comes back by unpacking, or is
//! lost; and what the set promises stands in the pool with the right length. Nothing is read but
//! names and lengths, so contents that were changed in place are not seen; those that a
//! verification has noted as damaged count as absent.

use std::collections::{BTreeSet, HashSet};
use std::fs;

use crate::catalog::{Amount, Catalog, Pfile, ShardPfiles, UploadIds, Usage};
use crate::check::{Batch, Finding, Kind, Recovery, Severity, Spool};
use crate::manifest::{ByShard, Entry, Place, SetKind, Types};
use crate::monitor::{Monitor, Phase};
use crate::parallel::share_out;
use crate::repository::{Layout, RepositoryName, Shard, TreePath};
use crate::store::layout::pool_path;
use crate::store::{SetRecord, Store, StoreError};
use crate::sysconf::RepositoryType;

use super::{DrillError, Request};

/// Gold stands in files/ too, and each can be copied from the other.
const ANY_COPY: Types = Types::GOLD.and(Types::FILES);

/// What a restore would come to.
#[derive(Debug)]
pub(super) struct Reckoned {
    /// What would be missing.
    pub(super) findings: Spool,
    /// Contents that the set promises and that stand in the pool.
    pub(super) held: Amount,
    /// Contents that the set promises and that do not.
    pub(super) broken: Amount,
    /// Gold that is left to its URLs.
    pub(super) to_fetch: Amount,
    /// Files that come back by unpacking alone.
    pub(super) to_unpack: Amount,
}

#[derive(Debug, Default)]
struct Sums {
    held: Amount,
    broken: Amount,
    to_fetch: Amount,
    to_unpack: Amount,
}

/// Reckons what the restore of a set would come to. `layout` is the source's.
pub(super) fn reckon(
    request: &Request<'_>,
    catalog: &Catalog,
    layout: &Layout,
    monitor: &dyn Monitor,
) -> Result<Reckoned, DrillError> {
    let mut reckoner = Reckoner {
        store: request.store,
        record: request.record,
        catalog,
        layout,
        known_damaged: request.store.damaged()?,
        lost: HashSet::new(),
    };
    monitor.phase(Phase::ComparePool, Some(2 * 256));
    let parts = reckoner.over_shards(request, monitor, |both| reckoner.lost_uploads(&both))?;
    reckoner.lost = parts.into_iter().flatten().flatten().collect();
    let findings = Spool::new(request.scratch)?;
    let parts = reckoner.over_shards(request, monitor, |both| {
        let (sums, batch) = reckoner.shard(&both);
        findings.deliver(u16::from(both.shard.0) + 1, batch)?;
        Ok(sums)
    })?;
    let mut all = Sums::default();
    for sums in parts.into_iter().flatten() {
        all.held += sums.held;
        all.broken += sums.broken;
        all.to_fetch += sums.to_fetch;
        all.to_unpack += sums.to_unpack;
    }
    Ok(Reckoned {
        findings,
        held: all.held,
        broken: all.broken,
        to_fetch: all.to_fetch,
        to_unpack: all.to_unpack,
    })
}

/// A shard of the manifest and of the catalog.
struct BothShards {
    shard: Shard,
    entries: Vec<Entry>,
    pfiles: ShardPfiles,
}

impl BothShards {
    fn entry(&self, name: &RepositoryName) -> Option<&Entry> {
        let at = self.entries.binary_search_by(|entry| entry.name.cmp(name));
        at.ok().map(|at| &self.entries[at])
    }
}

/// What a set can do for a file.
enum State {
    /// Its contents stand in the pool.
    Held,
    /// It is left to its URLs.
    Urls,
    /// It is not in the set, or the pool does not keep the promise: why.
    Gone(Option<String>),
}

struct Reckoner<'a> {
    store: &'a Store,
    record: &'a SetRecord,
    catalog: &'a Catalog,
    layout: &'a Layout,
    known_damaged: BTreeSet<RepositoryName>,
    /// Uploads whose gold is nowhere to be had.
    lost: HashSet<i32>,
}

impl Reckoner<'_> {
    /// Runs `work` on every shard; the manifest is read through once.
    fn over_shards<T: Send>(
        &self,
        request: &Request<'_>,
        monitor: &dyn Monitor,
        work: impl Fn(BothShards) -> Result<T, DrillError> + Sync,
    ) -> Result<Vec<Vec<T>>, DrillError> {
        let manifest = ByShard::new(self.store.manifest(request.id, self.record)?);
        let parts = share_out(request.threads, monitor, |shards| {
            let mut done = Vec::new();
            for shard in shards.map(Shard) {
                done.push(work(BothShards {
                    shard,
                    entries: manifest.take(shard).map_err(StoreError::from)?,
                    pfiles: self.catalog.shard(shard)?,
                })?);
                monitor.advance(1, 0);
            }
            Ok::<_, DrillError>(done)
        })?;
        if monitor.stopped() {
            return Err(DrillError::Stopped);
        }
        manifest.finish().map_err(StoreError::from)?;
        Ok(parts)
    }

    /// The uploads of a shard's golds that cannot be had.
    fn lost_uploads(&self, both: &BothShards) -> Result<Vec<i32>, DrillError> {
        let golds = both.pfiles.pfiles().iter().filter(|pfile| pfile.in_gold());
        let lost = golds.filter(|pfile| {
            let state = self.state(both.entry(&pfile.name), ANY_COPY);
            matches!(state, State::Gone(_)) && self.url(pfile, &both.pfiles).is_none()
        });
        Ok(lost
            .flat_map(|pfile| both.pfiles.uses(pfile))
            .filter(|each| each.usage.has(Usage::GOLD))
            .map(|each| each.upload)
            .collect())
    }

    fn shard(&self, both: &BothShards) -> (Sums, Batch) {
        let (mut sums, mut batch) = (Sums::default(), Batch::default());
        for entry in &both.entries {
            match self.state(Some(entry), entry.types) {
                State::Held => sums.held.add(entry.name.size),
                State::Urls => sums.to_fetch.add(entry.name.size),
                State::Gone(why) => {
                    sums.broken.add(entry.name.size);
                    if both.pfiles.find(&entry.name).is_none_or(is_unused) {
                        batch.push(self.beside_the_database(entry, why));
                    }
                }
            }
        }
        for pfile in both
            .pfiles
            .pfiles()
            .iter()
            .filter(|pfile| !is_unused(pfile))
        {
            let entry = both.entry(&pfile.name);
            let anywhere = self.state(entry, ANY_COPY);
            if pfile.in_gold()
                && let State::Gone(why) = self.state(entry, Types::GOLD)
            {
                let mut finding = self.missing(RepositoryType::Gold, pfile, &both.pfiles, why);
                if matches!(anywhere, State::Held) {
                    finding.severity = Severity::Recoverable;
                    finding.recovery = Some(Recovery::Copy);
                    finding.detail = Some("the set has it for files/ alone".to_owned());
                }
                batch.push(finding);
            }
            let State::Gone(why) = anywhere else {
                continue;
            };
            let finding = self.missing(RepositoryType::Files, pfile, &both.pfiles, why);
            let is_left_to_unpacking = self.record.kind == SetKind::GoldOnly
                && finding.recovery == Some(Recovery::Unpack)
                && !pfile.in_gold();
            if is_left_to_unpacking {
                sums.to_unpack.add(pfile.name.size);
            } else {
                batch.push(finding);
            }
        }
        (sums, batch)
    }

    /// What the set can do for a file of any of these types.
    fn state(&self, entry: Option<&Entry>, types: Types) -> State {
        let Some(entry) = entry.filter(|entry| entry.types.has(types)) else {
            return State::Gone(None);
        };
        if entry.place == Place::Urls {
            return if entry.urls.is_empty() {
                State::Gone(Some("left out, and its URL is a secret".to_owned()))
            } else {
                State::Urls
            };
        }
        match self.trouble_in_pool(&entry.name) {
            None => State::Held,
            Some(why) => State::Gone(Some(format!("{}: {why}", pool_path(&entry.name)))),
        }
    }

    /// Why contents cannot be had from the pool.
    fn trouble_in_pool(&self, name: &RepositoryName) -> Option<String> {
        let metadata = match fs::symlink_metadata(self.store.layout().pool_path(name)) {
            Ok(metadata) => metadata,
            Err(error) => return Some(error.to_string()),
        };
        if !metadata.is_file() {
            return Some("not a regular file".to_owned());
        }
        if metadata.len() != name.size {
            return Some(format!("{} bytes instead of {}", metadata.len(), name.size));
        }
        let is_damaged = self.known_damaged.contains(name);
        is_damaged.then(|| "a verification has found it damaged".to_owned())
    }

    /// A file that the set promises and no upload uses.
    fn beside_the_database(&self, entry: &Entry, why: Option<String>) -> Finding {
        let ty = entry.types.iter().next().unwrap_or(RepositoryType::Files);
        let kind = if ty == RepositoryType::Gold {
            Kind::MissingGold
        } else {
            Kind::MissingDerived
        };
        let mut finding = self.at(Finding::new(kind, Severity::Waste), ty, &entry.name);
        finding.detail = why;
        finding
    }

    /// A file that the restored database would look for in vain.
    fn missing(
        &self,
        ty: RepositoryType,
        pfile: &Pfile,
        pfiles: &ShardPfiles,
        why: Option<String>,
    ) -> Finding {
        let is_gold = ty == RepositoryType::Gold;
        let kind = match ty {
            RepositoryType::Gold => Kind::MissingGold,
            _ if pfile.is_listing() => Kind::MissingListing,
            _ => Kind::MissingDerived,
        };
        let uses = pfiles.uses(pfile);
        let mut finding = self.at(Finding::new(kind, Severity::Loss), ty, &pfile.name);
        finding.pfile = pfiles.rows(pfile).first().map(|row| row.pk);
        let of_type = uses
            .iter()
            .filter(|each| !is_gold || each.usage.has(Usage::GOLD));
        finding = finding.concerning(UploadIds::of(of_type.map(|each| each.upload)));
        finding.url = self.url(pfile, pfiles);
        let recovery = if !is_gold && !pfile.is_listing() && self.can_unpack(pfile, pfiles) {
            Recovery::Unpack
        } else if finding.url.is_some() {
            Recovery::Url
        } else {
            Recovery::None
        };
        finding.recovery = Some(recovery);
        finding.severity = match (kind, recovery) {
            (Kind::MissingListing, _) => Severity::Notice,
            _ if uses.is_empty() => Severity::Waste,
            (_, Recovery::None) => Severity::Loss,
            _ => Severity::Recoverable,
        };
        finding.detail = Some(why.unwrap_or_else(|| "not in the set".to_owned()));
        finding
    }

    fn at(&self, finding: Finding, ty: RepositoryType, name: &RepositoryName) -> Finding {
        let text = name.to_string();
        let host = self.layout.hosts.claimants(ty, text.as_bytes()).next();
        let path = TreePath(self.layout.path_on(host, ty, &text).into_bytes());
        let mut finding = finding.named(name).at(&path);
        finding.ty = Some(ty);
        finding.host = host.map(str::to_owned);
        finding
    }

    /// A URL from which an upload's gold can be fetched again.
    fn url(&self, pfile: &Pfile, pfiles: &ShardPfiles) -> Option<String> {
        let golds = pfiles
            .uses(pfile)
            .iter()
            .filter(|each| each.usage.has(Usage::GOLD));
        let mut uploads = golds.filter_map(|each| self.catalog.summary().upload(each.upload));
        uploads.find_map(|upload| upload.url().map(str::to_owned))
    }

    /// Whether an unpack of an upload whose gold can be had brings a file back. The gold itself
    /// comes out of no unpacking of its own upload.
    fn can_unpack(&self, pfile: &Pfile, pfiles: &ShardPfiles) -> bool {
        pfiles.uses(pfile).iter().any(|each| {
            let upload = self.catalog.summary().upload(each.upload);
            upload.is_some_and(|upload| {
                upload.gold.is_some_and(|gold| gold != pfile.name)
                    && !self.lost.contains(&upload.pk)
            })
        })
    }
}

/// Whether no upload needs a file.
fn is_unused(pfile: &Pfile) -> bool {
    !pfile.in_gold() && !pfile.in_files()
}
