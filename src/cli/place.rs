//! The repository that a command works on: from FOSSology's configuration, or from the tree itself.

use std::path::{Path, PathBuf};

use super::Global;
use super::error::Failure;
use crate::repository::{Access, Layout, Tree, discover_layout};
use crate::store::SetRecord;
use crate::sysconf::{DEFAULT_DIRECTORIES, Sysconf};

/// The user and group that FOSSology runs as, where no configuration says otherwise.
const DEFAULT_USER: &str = "fossy";

/// Reads FOSSology's configuration; `None` when there is none and none is needed.
pub(super) fn sysconf(global: &Global) -> Result<Option<Sysconf>, Failure> {
    sysconf_with(global, global.catalog.is_some())
}

/// As [`sysconf`], where the rows may be known from elsewhere than `--catalog`.
pub(super) fn sysconf_with(global: &Global, knows_rows: bool) -> Result<Option<Sysconf>, Failure> {
    let found = Sysconf::find(global.sysconfdir.as_deref())?;
    let is_needed = global.repository.is_none() || !knows_rows;
    if found.is_none() && is_needed {
        return Err(Failure::misuse(format_args!(
            "no fossology.conf in {}: name its directory with -c, or give both --repository and --catalog",
            DEFAULT_DIRECTORIES.join(" or ")
        )));
    }
    Ok(found)
}

/// Opens a repository that a set is restored into: as it is configured here, or, without a
/// configuration, as the set's source was.
pub(super) fn tree_as(
    global: &Global,
    sysconf: Option<&Sysconf>,
    record: &SetRecord,
) -> Result<Tree, Failure> {
    if sysconf.is_some() {
        return tree(global, sysconf);
    }
    let path = global
        .repository
        .clone()
        .ok_or_else(|| Failure::misuse("--repository is missing"))?;
    let layout = Layout {
        depth: global.depth.map_or(record.source.depth, usize::from),
        hosts: record.source.host_table().map_err(Failure::world)?,
    };
    let access = Access::of(DEFAULT_USER, DEFAULT_USER);
    Ok(Tree::open(&path, layout, access)?)
}

/// Opens the repository.
pub(super) fn tree(global: &Global, sysconf: Option<&Sysconf>) -> Result<Tree, Failure> {
    let depth = global.depth.map(usize::from);
    let (path, layout, user, group) = match sysconf {
        Some(sysconf) => {
            let path = sysconf.repository_or(global.repository.as_deref())?;
            let layout = Layout {
                depth: depth.unwrap_or(sysconf.depth),
                hosts: sysconf.hosts.clone(),
            };
            (
                path,
                layout,
                sysconf.project_user.as_str(),
                sysconf.project_group.as_str(),
            )
        }
        None => {
            let path: PathBuf = global
                .repository
                .clone()
                .ok_or_else(|| Failure::misuse("--repository is missing"))?;
            let layout = discover_layout(&path, depth)?;
            (path, layout, DEFAULT_USER, DEFAULT_USER)
        }
    };
    Ok(Tree::open(&path, layout, Access::of(user, group))?)
}

/// Refuses a place for output inside the repository, where fogold writes nothing.
pub(super) fn refuse_inside(root: &Path, path: &Path) -> Result<(), Failure> {
    let root = std::fs::canonicalize(root)?;
    let path = std::path::absolute(path)?;
    let directory = path.parent().unwrap_or(&path);
    if std::fs::canonicalize(directory).is_ok_and(|place| place.starts_with(&root)) {
        return Err(Failure::misuse(format_args!(
            "{}: inside the repository, where fogold writes nothing",
            path.display()
        )));
    }
    Ok(())
}
