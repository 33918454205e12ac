//! Whether others on this machine can read what a store holds.
//!
//! A store is made for its owner alone, for a dump holds secrets. A copy of one is as the copying has
//! made it (`cp -r` goes by the umask), and is said to be open. Who has given rights to a group has
//! done so on purpose.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::layout::SetId;
use super::{Layout, Store};
use crate::monitor::Monitor;

/// Others may pass through a directory.
const PASS: u32 = 0o001;
/// Others may read a file.
const READ: u32 = 0o004;

impl Store {
    /// Warns when others can read a file of these sets.
    pub(super) fn warn_of_open_sets(&self, sets: &[SetId], monitor: &dyn Monitor) {
        if let Some(path) = open_file(self.layout(), sets) {
            monitor.warn(&format!(
                "everybody on this machine can read {}, and a dump holds secrets: chmod 700 {}",
                path.display(),
                self.path().display()
            ));
        }
    }
}

/// A file of a set that others can read. What cannot be looked at is told by whoever needs it.
fn open_file(layout: &Layout, sets: &[SetId]) -> Option<PathBuf> {
    let passes = |directory: &Path| has(directory, PASS);
    if !passes(layout.root()) || !passes(&layout.sets()) {
        return None;
    }
    let directories = sets.iter().map(|id| layout.set(*id));
    directories.filter(|path| passes(path)).find_map(|path| {
        let mut files = fs::read_dir(path).ok()?.filter_map(Result::ok);
        files
            .find(|entry| {
                entry.file_type().is_ok_and(|ty| ty.is_file()) && has(&entry.path(), READ)
            })
            .map(|entry| entry.path())
    })
}

fn has(path: &Path, right: u32) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & right != 0)
}
