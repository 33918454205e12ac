//! Whether there is a repository to check at all.
//!
//! One that is not mounted, or whose depth is not the configured one, must not look like one that has
//! lost every file.

use std::path::PathBuf;

use super::{CheckError, Options};
use crate::catalog::{Catalog, CatalogError};
use crate::repository::{Shard, Survey, Tree};
use crate::sysconf::RepositoryType;

/// Refuses a repository, or a host's part of it, that is empty although the catalog knows files
/// there, and a tree none of whose files stands at the configured depth. Gives the hosts that are empty
/// and may be so.
pub(super) fn make_sure_of_files(
    tree: &Tree,
    catalog: &Catalog,
    survey: &Survey,
    options: &Options,
) -> Result<Vec<String>, CheckError> {
    let layout = tree.layout();
    refuse_links(tree)?;
    let mut at_depth = false;
    let mut other_depth = None;
    let mut any_file = false;
    let mut empty: Vec<Option<&str>> = Vec::new();
    for host in layout.hosts.names().map(Some).chain([None]) {
        let probe = tree.probe(survey, host);
        at_depth |= probe.at_depth;
        any_file |= probe.any_file;
        other_depth = other_depth.or(probe.other_depth);
        if !probe.any_file {
            empty.push(host);
        }
    }
    if let (false, Some(found)) = (at_depth, other_depth) {
        return Err(CheckError::WrongDepth {
            path: tree.path().to_owned(),
            configured: layout.depth,
            found,
        });
    }
    let empty: Vec<&str> = empty.into_iter().flatten().collect();
    let owned = || empty.iter().map(|host| (*host).to_owned()).collect();
    if options.allow_empty {
        return Ok(owned());
    }
    let summary = catalog.summary();
    if any_file && summary.uploads.is_empty() && summary.pfile_rows == 0 {
        return Err(CheckError::EmptyDatabase {
            path: tree.path().to_owned(),
        });
    }
    let known = summary.gold.files + summary.files.files;
    if !any_file && known > 0 {
        return Err(CheckError::NotMounted {
            path: tree.path().to_owned(),
            known: format!(
                "{} file{} in gold and {} in files{}",
                summary.gold.files,
                if summary.gold.files == 1 { "" } else { "s" },
                summary.files.files,
                elsewhere(survey)
            ),
        });
    }
    // Names that no host claims lie below the root itself, which is there.
    for host in &empty {
        if expects_files_on(tree, catalog, host)? {
            return Err(CheckError::NotMounted {
                path: tree.path().join(host),
                known: "files there".to_owned(),
            });
        }
    }
    Ok(owned())
}

/// Where files lie that no host of the configuration claims: a renamed host looks like one that is
/// not mounted.
fn elsewhere(survey: &Survey) -> String {
    let mut tops: Vec<&str> = survey
        .top
        .strays
        .iter()
        .filter_map(|stray| stray.host.as_deref())
        .collect();
    tops.sort_unstable();
    tops.dedup();
    match tops.first() {
        Some(top) => format!(
            " (files lie under {top}, which no line of [REPOSITORY] in fossology.conf names)"
        ),
        None => String::new(),
    }
}

/// Refuses hosts and types that are symbolic links: FOSSology follows these, fogold follows none
/// below the root, and would take all that lies behind them for missing.
fn refuse_links(tree: &Tree) -> Result<(), CheckError> {
    for host in tree.layout().hosts.names().map(Some).chain([None]) {
        let directory = match host {
            Some(host) => tree.path().join(host),
            None => tree.path().to_owned(),
        };
        let types = [RepositoryType::Gold, RepositoryType::Files];
        let mut paths: Vec<PathBuf> = types.iter().map(|ty| directory.join(ty.as_str())).collect();
        paths.extend(host.map(|_| directory));
        for path in paths {
            if std::fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_symlink()) {
                return Err(CheckError::Linked { path });
            }
        }
    }
    Ok(())
}

/// Whether the catalog knows a file that FOSSology wrote to `host`.
fn expects_files_on(tree: &Tree, catalog: &Catalog, host: &str) -> Result<bool, CatalogError> {
    let host = Some(host);
    let hosts = &tree.layout().hosts;
    for shard in Shard::all() {
        let digits = shard.to_string().into_bytes();
        let digits = [digits[0], digits[1]];
        let types = [RepositoryType::Gold, RepositoryType::Files];
        if types
            .iter()
            .all(|ty| hosts.claims_prefix(host, *ty, &digits) == Some(false))
        {
            continue;
        }
        let pfiles = catalog.shard(shard)?;
        for pfile in pfiles.pfiles() {
            let name = pfile.name.to_string();
            let first = |ty| hosts.claimants(ty, name.as_bytes()).next();
            if (pfile.in_gold() && first(RepositoryType::Gold) == host)
                || (pfile.in_files() && first(RepositoryType::Files) == host)
            {
                return Ok(true);
            }
        }
    }
    Ok(false)
}
