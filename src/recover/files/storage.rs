//! Whether the storage of the hosts is there, before anything is written.
//!
//! A restore fills directories that are not there: after a loss that is its work. Where the storage
//! of one host is just not mounted, all of it would land on the root's file system, to be hidden by
//! the next mount. What a mount point looks like cannot be told from what a loss looks like, so a
//! person is told; only one that names the host is refused.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::FilesError;
use crate::manifest::Types;
use crate::monitor::Monitor;
use crate::sysconf::HostTable;

/// Looks at the directories of the hosts that files of these types go to, or at that of one host.
/// `root` need not be there.
pub fn look_at_storage(
    root: &Path,
    hosts: &HostTable,
    types: Types,
    host: Option<&str>,
    monitor: &dyn Monitor,
) -> Result<(), FilesError> {
    if let Some(host) = host {
        require_host(hosts, host)?;
        let path = root.join(host);
        if !path.is_dir() {
            return Err(FilesError::NoHostDirectory {
                host: host.to_owned(),
                path,
            });
        }
    }
    // All is lost, and all is made anew.
    if is_empty(root) {
        return Ok(());
    }
    let others_are_mounted = are_mounted(root, hosts);
    for name in hosts
        .names()
        .filter(|name| host.is_none_or(|host| host == *name))
        .filter(|name| hosts.names_a_type_of(name, |ty| types.has(Types::of(ty))))
    {
        let path = root.join(name);
        let what = if !path.exists() {
            "is not there"
        } else if others_are_mounted && device(&path) == device(root) && is_empty(&path) {
            "is empty, on the root's file system, while other hosts have storage of their own"
        } else {
            continue;
        };
        monitor.warn(&format!(
            "{}, the directory of host {name}, {what}: is its storage mounted? If not, stop here, mount it, and type \
             the same command again; what is restored to it lies on the root's file system otherwise",
            path.display()
        ));
    }
    Ok(())
}

/// Refuses a host that no line of `[REPOSITORY]` names.
pub(super) fn require_host(hosts: &HostTable, host: &str) -> Result<(), FilesError> {
    if hosts.names().any(|known| known == host) {
        return Ok(());
    }
    let known: Vec<&str> = hosts.names().collect();
    Err(FilesError::UnknownHost {
        host: host.to_owned(),
        known: known.join(", "),
    })
}

/// Whether any host's directory lies on another file system than the root.
fn are_mounted(root: &Path, hosts: &HostTable) -> bool {
    let of_root = device(root);
    hosts.names().any(|name| {
        let of_host = device(&root.join(name));
        of_host.is_some() && of_host != of_root
    })
}

fn device(path: &Path) -> Option<u64> {
    fs::metadata(path).ok().map(|meta| meta.dev())
}

/// Whether there is nothing in a directory, or no directory. One that cannot be read is not empty.
fn is_empty(directory: &Path) -> bool {
    match fs::read_dir(directory) {
        Ok(mut entries) => entries.all(|entry| {
            entry.is_ok_and(|entry| {
                entry.file_name() == "lost+found" || entry.file_name() == ".fogold"
            })
        }),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}
