//! Derived files that a gold-only set leaves out and that no unpacking brings back: no upload that
//! uses them has its gold, in the set or at a URL.
//!
//! Only when all shards have been seen is it known which uploads these are. Where there is none,
//! nothing is looked at again.

use std::collections::HashSet;

use super::LeftOut;
use crate::catalog::{Catalog, CatalogError, Pfile, ShardPfiles};
use crate::check::{Kind, Outcome, Severity};
use crate::manifest::Selection;
use crate::repository::{RepositoryName, Shard, Tree};
use crate::sysconf::RepositoryType;

/// The uploads without gold, and what lies astray of their files.
pub(super) struct WithoutGold {
    uploads: HashSet<i32>,
    /// Their files that lie in no right place.
    astray: HashSet<RepositoryName>,
}

impl WithoutGold {
    /// The uploads of golds that a set has neither contents nor a URL of, and those that point at
    /// no gold. What was deleted meanwhile is not among them.
    pub(super) fn find(
        mut no_gold: HashSet<RepositoryName>,
        catalog: &Catalog,
        outcome: &Outcome,
    ) -> Result<WithoutGold, CatalogError> {
        outcome.findings.for_each::<CatalogError>(
            Severity::Notice,
            Kind::DeletedMeanwhile,
            |finding| {
                if let Some(Ok(name)) = finding.name.map(|name| name.parse()) {
                    no_gold.remove(&name);
                }
                Ok(())
            },
        )?;
        let uploads = catalog.summary().uploads.iter();
        let uploads: HashSet<i32> = uploads
            .filter(|upload| !upload.deleted && upload.tree_rows > 0)
            .filter(|upload| upload.gold.is_none_or(|gold| no_gold.contains(&gold)))
            .map(|upload| upload.pk)
            .collect();
        let mut astray = HashSet::new();
        if !uploads.is_empty() {
            outcome.findings.for_each::<CatalogError>(
                Severity::Recoverable,
                Kind::Misplaced,
                |finding| {
                    let users = finding.uploads.unwrap_or_default();
                    if let Some(Ok(name)) = finding.name.map(|name| name.parse())
                        && users.iter().all(|upload| uploads.contains(upload))
                    {
                        astray.insert(name);
                    }
                    Ok(())
                },
            )?;
        }
        Ok(WithoutGold { uploads, astray })
    }

    /// Takes their files out of what unpacking brings back.
    pub(super) fn count(
        &self,
        selection: &Selection,
        tree: &Tree,
        catalog: &Catalog,
        left_out: &mut LeftOut,
    ) -> Result<(), CatalogError> {
        if self.uploads.is_empty() {
            return Ok(());
        }
        for shard in Shard::all() {
            let pfiles = catalog.shard(shard)?;
            let theirs = pfiles
                .pfiles()
                .iter()
                .filter(|pfile| selection.wants(pfile).is_none() && self.is_theirs(pfile, &pfiles));
            for Pfile { name, .. } in theirs {
                let is_there =
                    tree.has_in_place(RepositoryType::Files, name) || self.astray.contains(name);
                let reason = if is_there {
                    &mut left_out.without_gold
                } else {
                    &mut left_out.files_not_found
                };
                reason.add(name.size);
                left_out.unpacked.files -= 1;
                left_out.unpacked.bytes -= name.size;
            }
        }
        Ok(())
    }

    /// Whether these uploads use a file, and no other does.
    fn is_theirs(&self, pfile: &Pfile, pfiles: &ShardPfiles) -> bool {
        let uses = pfiles.uses(pfile);
        !uses.is_empty() && uses.iter().all(|each| self.uploads.contains(&each.upload))
    }
}
