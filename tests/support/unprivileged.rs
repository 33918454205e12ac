//! The program run by a user who may not do everything: root is stopped by no permission.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::binary::{Fogold, PROGRAM};

/// User and group `nobody`.
const NOBODY: u32 = 65_534;

/// A user without rights: `nobody` where the tests run as root, else who runs them.
#[derive(Debug)]
pub(crate) struct Unprivileged {
    /// The program where that user can reach it; absent when that is where it is.
    copy: Option<(TempDir, PathBuf)>,
}

impl Unprivileged {
    pub(crate) fn new() -> Unprivileged {
        if !rustix::process::geteuid().is_root() {
            return Unprivileged { copy: None };
        }
        let directory = tempfile::tempdir().expect("a temporary directory");
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))
            .expect("a directory for all");
        let program = directory.path().join("fogold");
        // Another test may start a program while this one's copy is open for writing, and would
        // keep it busy: `cp` has closed it before anything is run.
        let copied = Command::new("cp").arg(PROGRAM).arg(&program).status();
        assert!(copied.expect("cp runs").success());
        Unprivileged {
            copy: Some((directory, program)),
        }
    }

    /// Runs the program as that user.
    pub(crate) fn run_as(&self, fogold: Fogold) -> Fogold {
        match &self.copy {
            Some((_, program)) => fogold.behind(setpriv(), Some(program)),
            None => fogold,
        }
    }

    /// Gives a directory, and all that is in it, to that user.
    pub(crate) fn own(&self, path: &Path) {
        if self.copy.is_none() {
            return;
        }
        let metadata = fs::symlink_metadata(path).expect("a file");
        if metadata.uid() != NOBODY {
            std::os::unix::fs::lchown(path, Some(NOBODY), Some(NOBODY)).expect("a new owner");
            if !metadata.is_symlink() {
                // The kernel takes the set-id bits away.
                fs::set_permissions(path, metadata.permissions()).expect("its mode");
            }
        }
        if metadata.is_dir() {
            for entry in fs::read_dir(path).expect("a directory") {
                self.own(&entry.expect("an entry").path());
            }
        }
    }
}

fn setpriv() -> Command {
    let mut command = Command::new("setpriv");
    command
        .arg(format!("--reuid={NOBODY}"))
        .arg(format!("--regid={NOBODY}"))
        .args(["--clear-groups", "--"]);
    command
}
