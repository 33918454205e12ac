//! The directory of a cluster, and what a killed process may have left of it.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::thread;
use std::time::Instant;

use rustix::process::{Pid, Signal, geteuid, kill_process};

use super::account::Account;
use super::{END, PORT, STEP, ScratchClusterError};
use crate::recover::scratch_directory::{self, ScratchDirectory};

/// What the name of a cluster's directory begins with.
const PREFIX: &str = "fogold-postgres-";

/// The longest path of a socket that the kernel takes.
const SOCKET_LIMIT: usize = 107;

/// Makes a directory for a cluster that `account` runs.
pub(super) fn make(
    scratch: &Path,
    account: &Account,
) -> Result<ScratchDirectory, ScratchClusterError> {
    let failed = |action| {
        move |source| ScratchClusterError::Io {
            action,
            path: scratch.to_owned(),
            source,
        }
    };
    let real = fs::canonicalize(scratch).map_err(failed("use"))?;
    let directory = ScratchDirectory::make(&real, PREFIX).map_err(failed("make a directory in"))?;
    let socket = directory.path().join(format!(".s.PGSQL.{PORT}"));
    if socket.as_os_str().as_bytes().len() > SOCKET_LIMIT {
        return Err(ScratchClusterError::LongPath { directory: real });
    }
    account
        .own(directory.path())
        .map_err(failed("make a directory in"))?;
    Ok(directory)
}

/// Takes away the directories that killed processes have left.
pub(super) fn remove_leftovers(scratch: &Path, account: &Account) {
    let ours = [geteuid().as_raw(), account.uid()];
    scratch_directory::remove_leftovers(scratch, PREFIX, &ours, |path| {
        end_server(&path.join("data"));
    });
}

/// Ends the server that works on `data`, should it still be there.
fn end_server(data: &Path) {
    let running = || {
        let text = fs::read_to_string(data.join("postmaster.pid")).ok()?;
        let pid: i32 = text.lines().next()?.trim().parse().ok()?;
        // The number may be another's by now; a server stands in its data.
        let place = fs::read_link(format!("/proc/{pid}/cwd")).ok()?;
        (place == data).then(|| Pid::from_raw(pid)).flatten()
    };
    let start = Instant::now();
    let mut told = false;
    while let Some(pid) = running() {
        if !told {
            let _ = kill_process(pid, Signal::INT);
            told = true;
        }
        if start.elapsed() > END {
            let _ = kill_process(pid, Signal::KILL);
            return;
        }
        thread::sleep(STEP);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_is_no_server_is_left_alone() {
        let scratch = tempfile::tempdir().unwrap();
        let account = Account::unprivileged().unwrap();
        let left = scratch.path().join(format!("{PREFIX}left"));
        fs::create_dir_all(left.join("data")).unwrap();
        let pid = format!("{}\n", std::process::id());
        fs::write(left.join("data/postmaster.pid"), pid).unwrap();
        remove_leftovers(scratch.path(), &account);
        assert!(!left.exists());
    }

    #[test]
    fn a_long_path_is_refused() {
        let scratch = tempfile::tempdir().unwrap();
        let long = scratch.path().join("x".repeat(100));
        fs::create_dir(&long).unwrap();
        let error = make(&long, &Account::unprivileged().unwrap()).unwrap_err();
        assert!(error.is_misuse(), "{error}");
        assert_eq!(fs::read_dir(&long).unwrap().count(), 0);
    }
}
