//! Who runs a server: PostgreSQL refuses root.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::unistd::User;
use rustix::process::geteuid;

use super::ScratchClusterError;

/// The users that root may run PostgreSQL as, best first.
const USERS: [&str; 2] = ["postgres", "nobody"];

/// Who runs the server.
pub(super) struct Account {
    /// For messages.
    pub(super) name: String,
    /// User and group to become, for root.
    other: Option<(u32, u32)>,
}

impl Account {
    pub(super) fn unprivileged() -> Result<Account, ScratchClusterError> {
        if !geteuid().is_root() {
            return Ok(Account {
                name: "this user".to_owned(),
                other: None,
            });
        }
        let user = USERS
            .iter()
            .find_map(|name| User::from_name(name).ok().flatten())
            .ok_or(ScratchClusterError::NoUser)?;
        Ok(Account {
            other: Some((user.uid.as_raw(), user.gid.as_raw())),
            name: format!("user {}", user.name),
        })
    }

    pub(super) fn uid(&self) -> u32 {
        self.other
            .map_or_else(|| geteuid().as_raw(), |(uid, _)| uid)
    }

    pub(super) fn own(&self, path: &Path) -> io::Result<()> {
        match self.other {
            Some((uid, gid)) => chown(path, Some(uid), Some(gid)),
            None => Ok(()),
        }
    }

    /// A command that runs as that user, in `directory`, and knows nothing of other servers.
    pub(super) fn command(&self, program: &OsStr, directory: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(directory);
        for (name, _) in std::env::vars_os() {
            if name.as_bytes().starts_with(b"PG") {
                command.env_remove(name);
            }
        }
        if let Some((uid, gid)) = self.other {
            command.uid(uid).gid(gid).env("HOME", directory);
        }
        command
    }
}
