//! Drafts become findings: what all shards together know decides severity and recovery.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};

use super::Options;
use super::again::Again;
use super::companion::Backups;
use super::draft::{self, Draft, StrayRecord, Verdict};
use super::finding::{Finding, Recovery, path_text};
use super::kind::{Kind, Severity};
use super::reads::Reads;
use super::spool::Batch;
use crate::catalog::scatter::Scatter;
use crate::catalog::{
    Catalog, CatalogError, Origin, Pfile, RowNow, ShardPfiles, Summary, UploadIds, Usage,
};
use crate::monitor::Monitor;
use crate::repository::access::Fault;
use crate::repository::{Claim, Prover, RepositoryName, Shard, Tree, TreePath};
use crate::sysconf::RepositoryType;

/// Settles shards; shared by all threads.
pub(super) struct Settler<'a> {
    pub tree: &'a Tree,
    pub catalog: &'a Catalog,
    pub options: &'a Options,
    /// Whose contents were read.
    pub reads: &'a Reads<'a>,
    pub monitor: &'a dyn Monitor,
    pub again: Option<Again<'a>>,
    pub backups: &'a [&'a dyn Backups],
    pub drafts: &'a Scatter,
    pub strays: &'a Scatter,
    /// Uploads whose gold is nowhere to be had.
    pub lost: HashSet<i32>,
    /// The live database could not be asked again for some finding.
    pub second_look_failed: AtomicBool,
    /// Kinds of shut-out that so many directories share that the root stands for them all.
    pub common_faults: HashSet<(bool, bool)>,
}

/// A stray of the shard and whether its contents are good, as far as that was looked at.
struct Judged {
    stray: StrayRecord,
    bad: Option<(Kind, String)>,
}

impl Settler<'_> {
    /// The findings of a shard.
    pub(super) fn settle(&self, shard: Shard, prover: &mut Prover) -> Result<Batch, CatalogError> {
        let mut batch = Batch::default();
        let mut drafts: Vec<Draft> = read_all(self.drafts, shard)?;
        let strays = self.judge_strays(shard, prover)?;
        if drafts.is_empty() && strays.is_empty() {
            return Ok(batch);
        }
        drafts.retain(|draft| !self.is_common(draft));
        let pfiles = self.catalog.shard(shard)?;
        let mut good_strays: BTreeMap<RepositoryName, Vec<&StrayRecord>> = BTreeMap::new();
        for judged in strays.iter().filter(|judged| judged.bad.is_none()) {
            let same = good_strays.entry(judged.stray.name).or_default();
            same.push(&judged.stray);
        }
        self.settle_strays(&strays, &mut drafts, &pfiles);
        // A misplaced file into an empty right place is not also missing, and a row that has a
        // file somewhere is not without one.
        drafts.retain(|draft| {
            let Some(astray) = draft.name.and_then(|name| good_strays.get(&name)) else {
                return true;
            };
            match draft.kind {
                Kind::MissingGold | Kind::MissingDerived | Kind::MissingListing => {
                    !astray.iter().any(|stray| Some(type_of(stray)) == draft.ty)
                }
                Kind::PfileWithoutUse => false,
                _ => true,
            }
        });
        if let Some(again) = &self.again {
            self.look_again(again, shard, &pfiles, &mut drafts);
        }
        for draft in drafts {
            let pfile = draft.name.and_then(|name| pfiles.find(&name));
            let astray = draft
                .name
                .and_then(|name| good_strays.get(&name))
                .and_then(|strays| strays.first());
            batch.push(self.finding(draft, pfile, &pfiles, astray.copied()));
        }
        Ok(batch)
    }

    /// The findings of what lies above the shards.
    pub(super) fn findings_above(&self, drafts: Vec<Draft>) -> Vec<Finding> {
        let mut findings: Vec<Finding> = self
            .common_faults
            .iter()
            .map(|fault| {
                let mut finding = Finding::new(Kind::WrongMode, Severity::Recoverable)
                    .at(&TreePath(b".".to_vec()));
                let (user, group) = *fault;
                finding.detail = Some(format!(
                    "{} cannot list and write over half of the directories",
                    Fault { user, group }.who()
                ));
                finding
            })
            .collect();
        let none = ShardPfiles::default();
        for draft in drafts {
            if !self.is_common(&draft) {
                findings.push(self.finding(draft, None, &none, None));
            }
        }
        findings
    }

    fn judge_strays(&self, shard: Shard, prover: &mut Prover) -> Result<Vec<Judged>, CatalogError> {
        let mut strays: Vec<StrayRecord> = read_all(self.strays, shard)?;
        strays.retain(|stray| type_of(stray) != RepositoryType::License);
        strays.sort_unstable_by(|a, b| (&a.name, &a.path).cmp(&(&b.name, &b.path)));
        let mut judged: Vec<Judged> = strays
            .into_iter()
            .map(|stray| Judged {
                bad: (stray.size != stray.name.size).then(|| {
                    let detail = format!("{} bytes instead of {}", stray.size, stray.name.size);
                    (Kind::WrongSize, detail)
                }),
                stray,
            })
            .collect();
        if self.reads.contains(shard) {
            let unread: Vec<usize> = (0..judged.len())
                .filter(|index| judged[*index].bad.is_none())
                .collect();
            let claims: Vec<Claim> = unread
                .iter()
                .map(|index| claim(&judged[*index].stray))
                .collect();
            // Of what lies astray, no more is read than there is time for.
            let until = self.reads.until(self.monitor);
            for (at, result) in self.tree.prove(&claims, prover, &until) {
                judged[unread[at]].bad = match result {
                    Ok(proof) if proof.holds() => None,
                    Ok(proof) => {
                        Some((Kind::Corrupt, format!("differs in {}", proof.differences())))
                    }
                    Err(error) => Some((Kind::Unreadable, error.to_string())),
                };
            }
        }
        Ok(judged)
    }

    fn settle_strays(&self, strays: &[Judged], drafts: &mut Vec<Draft>, pfiles: &ShardPfiles) {
        let bad_in_place: BTreeSet<(RepositoryName, RepositoryType)> = drafts
            .iter()
            .filter(|draft| draft.verdict == Verdict::AsMissing)
            .filter_map(|draft| Some((draft.name?, draft.ty?)))
            .collect();
        for Judged { stray, bad } in strays {
            let ty = type_of(stray);
            if !self.options.types.contains(&ty) {
                continue;
            }
            let waste = Verdict::Settled(Severity::Waste);
            let about = |kind, verdict| Draft {
                ty: stray.ty,
                host: stray.host.clone(),
                path: Some(stray.path.clone()),
                bytes: Some(stray.size),
                ..Draft::of(kind, verdict, stray.name)
            };
            if let Some((kind, detail)) = bad {
                drafts.push(Draft {
                    detail: Some(detail.clone()),
                    ..about(*kind, waste)
                });
            }
            let Some(pfile) = pfiles.find(&stray.name) else {
                drafts.push(about(Kind::Orphan, waste));
                continue;
            };
            if !is_expected(pfile, ty) {
                if ty != RepositoryType::Files || !pfile.usage.has(Usage::LEFT) {
                    drafts.push(about(Kind::Unreferenced, waste));
                }
                continue;
            }
            if bad.is_some() {
                continue;
            }
            let in_its_place = !bad_in_place.contains(&(stray.name, ty))
                && self.tree.has_in_place(ty, &stray.name);
            let draft = if in_its_place {
                Draft {
                    detail: Some("a good copy stands in the right place".to_owned()),
                    ..about(Kind::Misplaced, waste)
                }
            } else {
                let right_place = self.tree.layout().path(ty, &stray.name.to_string());
                Draft {
                    detail: right_place.map(|path| format!("its place is {path}")),
                    ..about(Kind::Misplaced, Verdict::Settled(Severity::Recoverable))
                }
            };
            drafts.push(draft);
        }
    }

    /// Whether so many directories shut the same people out that the root stands for this one.
    fn is_common(&self, draft: &Draft) -> bool {
        draft
            .shut_out
            .is_some_and(|fault| self.common_faults.contains(&fault))
    }

    /// Of the golds of which no good copy was seen in their place, those that cannot be had again:
    /// no copy astray, none in a type that was not read or in a store, and no URL. Returns their
    /// uploads.
    pub(super) fn find_lost(
        &self,
        golds_at_risk: Vec<RepositoryName>,
        prover: &mut Prover,
    ) -> Result<HashSet<i32>, CatalogError> {
        let mut at_risk: HashSet<RepositoryName> = golds_at_risk.into_iter().collect();
        let shards: BTreeSet<Shard> = at_risk.iter().map(RepositoryName::shard).collect();
        for shard in shards {
            for judged in self.judge_strays(shard, prover)? {
                if judged.bad.is_none() {
                    at_risk.remove(&judged.stray.name);
                }
            }
        }
        at_risk.retain(|name| {
            self.backup_of(name).is_none()
                && self
                    .copy_in_unread_type(RepositoryType::Gold, name)
                    .is_none()
        });
        let summary = self.catalog.summary();
        for upload in &summary.uploads {
            if let (Some(gold), Some(_)) = (&upload.gold, upload.url()) {
                at_risk.remove(gold);
            }
        }
        Ok(summary
            .uploads
            .iter()
            .filter(|upload| upload.gold.is_none_or(|gold| at_risk.contains(&gold)))
            .map(|upload| upload.pk)
            .collect())
    }

    /// A good copy of a gold in files, when contents count and files were not read.
    fn copy_in_unread_type(&self, ty: RepositoryType, name: &RepositoryName) -> Option<TreePath> {
        let other = RepositoryType::Files;
        if ty != RepositoryType::Gold
            || self.options.types.contains(&other)
            || !self.reads.contains(name.shard())
        {
            return None;
        }
        let places = self.tree.layout().places(other, name);
        places
            .into_iter()
            .find(|path| self.tree.has(path, name) && self.proves(path, name))
    }

    fn proves(&self, path: &TreePath, name: &RepositoryName) -> bool {
        let claim = Claim {
            path: path.clone(),
            name: *name,
            size: name.size,
        };
        self.tree
            .prove(&[claim], &mut self.options.prover(false), self.monitor)
            .into_iter()
            .any(|(_, result)| result.is_ok_and(|proof| proof.holds()))
    }

    /// Looks at files and live rows again and drops what is no longer so. Where that is not
    /// possible, the drafts stay as they are, and the run does not count as complete.
    fn look_again(
        &self,
        again: &Again<'_>,
        shard: Shard,
        pfiles: &ShardPfiles,
        drafts: &mut Vec<Draft>,
    ) {
        let mut names: Vec<RepositoryName> = drafts
            .iter()
            .filter(|draft| draft.is_fleeting())
            .filter_map(|draft| draft.name)
            .collect();
        names.sort_unstable();
        names.dedup();
        if names.is_empty() || self.monitor.stopped() {
            return;
        }
        let names: Vec<(RepositoryName, Vec<i32>)> = names
            .into_iter()
            .map(|name| {
                let rows = pfiles.find(&name).map(|pfile| pfiles.rows(pfile));
                let keys = rows.unwrap_or_default().iter().map(|row| row.pk).collect();
                (name, keys)
            })
            .collect();
        let answer = match again.rows(shard, &names) {
            Ok(answer) => answer,
            Err(error) => {
                if !self.second_look_failed.swap(true, Ordering::Relaxed) {
                    self.monitor.warn(&format!(
                        "the database cannot be asked again ({error}): work in progress may stand among the findings"
                    ));
                }
                return;
            }
        };
        let mut rows: HashMap<RepositoryName, RowNow> = HashMap::new();
        for (name, row) in answer {
            // Several rows may have one name: what uses any of them uses the file.
            let all = rows.entry(name).or_default();
            all.exists |= row.exists;
            all.in_gold |= row.in_gold;
            all.in_files |= row.in_files;
        }
        let before = std::mem::take(drafts);
        for mut draft in before {
            let row = draft.name.and_then(|name| rows.get(&name)).copied();
            if !draft.is_fleeting() || self.still_holds(&mut draft, row.unwrap_or_default()) {
                drafts.push(draft);
            }
        }
    }

    /// Whether a draft about a file or row that may have changed meanwhile is still true. One about
    /// a file that was deleted meanwhile is turned into that.
    fn still_holds(&self, draft: &mut Draft, row: RowNow) -> bool {
        let (Some(name), Some(path)) = (draft.name, draft.tree_path()) else {
            // Rows without a file: nothing may use them or have made their file by now.
            return draft.kind != Kind::PfileWithoutUse
                || (row.exists
                    && !row.in_gold
                    && !row.in_files
                    && !draft.name.is_some_and(|name| {
                        self.tree.has_in_place(RepositoryType::Files, &name)
                            || self.tree.has_in_place(RepositoryType::Gold, &name)
                    }));
        };
        let file = self.tree.meta(&path).ok().filter(|meta| meta.is_file());
        let used = match draft.ty {
            Some(RepositoryType::Gold) => row.in_gold,
            _ => row.in_gold || row.in_files,
        };
        match draft.kind {
            Kind::MissingGold | Kind::MissingDerived | Kind::MissingListing => {
                let stands = draft.ty.is_some_and(|ty| self.tree.has_in_place(ty, &name));
                if !stands && !used {
                    draft.kind = Kind::DeletedMeanwhile;
                    draft.verdict = Verdict::Settled(Severity::Notice);
                    draft.good_copy = None;
                }
                !stands
            }
            Kind::Orphan => file.is_some() && !row.exists,
            Kind::Unreferenced => file.is_some() && !used,
            Kind::PartialImport => file.is_some(),
            Kind::WrongSize => file.is_some_and(|meta| meta.size != name.size),
            _ => file.is_some(),
        }
    }

    fn finding(
        &self,
        draft: Draft,
        pfile: Option<&Pfile>,
        pfiles: &ShardPfiles,
        astray: Option<&StrayRecord>,
    ) -> Finding {
        let mut finding = Finding::new(draft.kind, Severity::Notice);
        finding.ty = draft.ty;
        finding.host = draft.host.clone();
        finding.name = draft.name.map(|name| name.to_string());
        finding.bytes = draft.bytes;
        finding.detail = draft.detail.clone();
        if let Some(path) = draft.tree_path() {
            finding = finding.at(&path);
        }
        finding.pfile = draft.pfile;
        if let Some(pfile) = pfile.filter(|_| draft.kind != Kind::PartialImport) {
            finding.pfile = finding
                .pfile
                .or(pfiles.rows(pfile).first().map(|row| row.pk));
            let ids = pfiles
                .uses(pfile)
                .iter()
                .filter(|each| {
                    draft.ty != Some(RepositoryType::Gold) || each.usage.has(Usage::GOLD)
                })
                .map(|each| each.upload);
            finding = finding.concerning(UploadIds::of(ids));
        }
        match (draft.verdict, pfile) {
            (Verdict::Settled(severity), _) => finding.severity = severity,
            (Verdict::AsMissing, Some(pfile)) => {
                self.recover(&mut finding, &draft, pfile, pfiles, astray);
            }
            (Verdict::AsMissing, None) => finding.severity = Severity::Waste,
        }
        finding
    }

    /// Sets recovery and severity of a missing or damaged file.
    fn recover(
        &self,
        finding: &mut Finding,
        draft: &Draft,
        pfile: &Pfile,
        pfiles: &ShardPfiles,
        astray: Option<&StrayRecord>,
    ) {
        let copy = draft
            .good_copy
            .clone()
            .or_else(|| astray.map(|stray| stray.path.clone()))
            .map(TreePath)
            .or_else(|| self.copy_in_unread_type(draft.ty?, &pfile.name));
        let uses = pfiles.uses(pfile);
        let summary = self.catalog.summary();
        let is_gold_type = draft.ty == Some(RepositoryType::Gold);
        let (url, withheld) = url_of(summary, pfile, pfiles);
        let recovery = if let Some(copy) = copy {
            finding.source = Some(path_text(&copy).0);
            Recovery::Copy
        } else if !is_gold_type && !pfile.is_listing() && self.can_unpack(pfile, pfiles) {
            Recovery::Unpack
        } else if let (Some(url), true) = (&url, pfile.in_gold()) {
            finding.url = Some(url.clone());
            Recovery::Url
        } else if let Some(backup) = self.backup_of(&pfile.name) {
            finding.source = Some(backup);
            Recovery::Backup
        } else {
            if withheld {
                finding.url_withheld = Some(true);
            }
            Recovery::None
        };
        finding.recovery = Some(recovery);
        finding.severity = if pfile.is_listing() && !is_gold_type {
            Severity::Notice
        } else if uses.is_empty() {
            Severity::Waste
        } else if recovery == Recovery::None && draft.copy_unknown {
            finding.detail =
                Some("a copy may lie in a directory that could not be read".to_owned());
            Severity::Recoverable
        } else if recovery == Recovery::None {
            Severity::Loss
        } else {
            Severity::Recoverable
        };
    }

    /// Where a store holds a name's contents.
    fn backup_of(&self, name: &RepositoryName) -> Option<String> {
        self.backups.iter().find_map(|store| store.holds(name))
    }

    /// Whether FOSSology can bring the file back by unpacking one of its uploads whose gold can be
    /// had. The gold itself comes out of no unpacking of its own upload.
    fn can_unpack(&self, pfile: &Pfile, pfiles: &ShardPfiles) -> bool {
        pfiles.uses(pfile).iter().any(|each| {
            let Some(upload) = self.catalog.summary().upload(each.upload) else {
                return false;
            };
            upload.gold != Some(pfile.name) && !self.lost.contains(&each.upload)
        })
    }
}

/// The first URL of an upload whose gold the pfile is; and whether there is one that is a secret.
fn url_of(summary: &Summary, pfile: &Pfile, pfiles: &ShardPfiles) -> (Option<String>, bool) {
    let mut withheld = false;
    for each in pfiles.uses(pfile) {
        if !each.usage.has(Usage::GOLD) {
            continue;
        }
        let Some(upload) = summary.upload(each.upload) else {
            continue;
        };
        if let Some(url) = upload.url() {
            return (Some(url.to_owned()), false);
        }
        withheld |= upload.origin == Origin::Withheld;
    }
    (None, withheld)
}

/// The type that a stray counts as: outside the directories of types, what lies about is taken for
/// a derived file.
fn type_of(stray: &StrayRecord) -> RepositoryType {
    stray.ty.unwrap_or(RepositoryType::Files)
}

fn is_expected(pfile: &Pfile, ty: RepositoryType) -> bool {
    match ty {
        RepositoryType::Gold => pfile.in_gold(),
        _ => pfile.in_files(),
    }
}

fn claim(stray: &StrayRecord) -> Claim {
    Claim {
        path: TreePath(stray.path.clone()),
        name: stray.name,
        size: stray.size,
    }
}

fn read_all<T: for<'a> serde::Deserialize<'a>>(
    scatter: &Scatter,
    shard: Shard,
) -> Result<Vec<T>, CatalogError> {
    let bytes = scatter.read(shard.0)?;
    draft::take_all(&bytes).ok_or_else(|| scatter.scrambled())
}
