//! The repository that a command works on: from FOSSology's configuration, or from the tree itself.

use std::path::PathBuf;

use super::Global;
use super::error::Failure;
use crate::repository::{Access, Layout, Tree, discover_layout};
use crate::sysconf::{DEFAULT_DIRECTORIES, Sysconf};

/// The user and group that FOSSology runs as, where no configuration says otherwise.
const DEFAULT_USER: &str = "fossy";

/// Reads FOSSology's configuration; `None` when there is none and none is needed.
pub(super) fn sysconf(global: &Global) -> Result<Option<Sysconf>, Failure> {
    let found = Sysconf::find(global.sysconfdir.as_deref())?;
    let is_needed = global.repository.is_none() || global.catalog.is_none();
    if found.is_none() && is_needed {
        return Err(Failure::misuse(format_args!(
            "no fossology.conf in {}: name its directory with -c, or give both --repository and --catalog",
            DEFAULT_DIRECTORIES.join(" or ")
        )));
    }
    Ok(found)
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
