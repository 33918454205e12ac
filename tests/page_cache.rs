//! A pass over everything leaves the page cache as it found it.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use fogold::fixtures::ServerSpec;
use rustix::fs::Advice;

use crate::support::{Fogold, MadeStore, MadeUp, skipped};

/// Bytes of a file that stand in the page cache; `None` where nothing can tell.
fn cached(file: &Path) -> Option<u64> {
    let told = Command::new("fincore")
        .args(["--bytes", "--noheadings", "--output", "RES"])
        .arg(file)
        .output()
        .ok()?;
    String::from_utf8(told.stdout).ok()?.trim().parse().ok()
}

/// Puts a file on disk, and out of the page cache.
fn chill(path: &Path) {
    let file = File::open(path).expect("a file");
    file.sync_all().expect("a disk");
    rustix::fs::fadvise(&file, 0, None, Advice::DontNeed).expect("advice");
}

/// Some files in the page cache, and some that are not.
struct Pages {
    warm: Vec<PathBuf>,
    cold: Vec<PathBuf>,
}

impl Pages {
    /// Every other of these files is to be cold; `None` where that cannot be seen to.
    fn of(files: Vec<PathBuf>) -> Option<Pages> {
        let (mut warm, mut cold) = (Vec::new(), Vec::new());
        for (number, file) in files.into_iter().enumerate() {
            match number % 2 {
                0 => warm.push(file),
                _ => cold.push(file),
            }
        }
        let pages = Pages { warm, cold };
        pages.prepare();
        if pages
            .cached(&pages.cold)
            .iter()
            .any(|bytes| *bytes != Some(0))
        {
            skipped("the page cache of this file system cannot be looked at");
            return None;
        }
        Some(pages)
    }

    fn prepare(&self) {
        for file in &self.warm {
            std::fs::read(file).expect("contents");
        }
        for file in &self.cold {
            chill(file);
        }
    }

    fn cached(&self, files: &[PathBuf]) -> Vec<Option<u64>> {
        files.iter().map(|file| cached(file)).collect()
    }

    /// Runs a command, and looks at what has become of the cold files and of the warm ones. Others
    /// work on this machine too, and may push out a page: what stays need not be the last byte.
    fn assert_after(&self, command: Fogold, cold_stay: bool, warm_stay: bool) {
        self.prepare();
        command.run().assert_code(0);
        for (what, files, stay) in [
            ("cold", &self.cold, cold_stay),
            ("warm", &self.warm, warm_stay),
        ] {
            let lengths = files.iter().map(std::fs::metadata);
            let total: u64 = lengths.map(|meta| meta.expect("a file").len()).sum();
            let cached: u64 = self.cached(files).into_iter().flatten().sum();
            let as_wanted = match stay {
                true => cached > total / 4 * 3,
                false => cached < total / 8,
            };
            assert!(
                as_wanted,
                "{what} files: {cached} of {total} bytes are cached, wanted: {stay}"
            );
        }
    }
}

/// Small and large files.
fn server() -> MadeUp {
    MadeUp::healthy(ServerSpec {
        files: 40,
        bytes: 24_000_000,
        per_upload: 5,
        hard_links: false,
        ..ServerSpec::default()
    })
}

/// The files of a repository of which a backup reads each: no other has the same contents.
fn files_of(made_up: &MadeUp) -> Vec<PathBuf> {
    let files = files_below(&made_up.repository().join("localhost"));
    let mut names: HashMap<_, usize> = HashMap::new();
    for file in &files {
        *names
            .entry(file.file_name().map(OsStr::to_owned))
            .or_default() += 1;
    }
    let is_single = |file: &PathBuf| names[&file.file_name().map(OsStr::to_owned)] == 1;
    files.into_iter().filter(is_single).collect()
}

/// All files below a directory that hold something, the largest first.
fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).expect("a directory") {
            let entry = entry.expect("an entry");
            let meta = entry.metadata().expect("a file");
            if meta.is_dir() {
                directories.push(entry.path());
            } else if meta.len() > 0 {
                files.push((meta.len(), entry.path()));
            }
        }
    }
    files.sort_unstable_by(|one, other| other.cmp(one));
    files.into_iter().map(|(_, path)| path).collect()
}

#[test]
fn a_verifying_check_leaves_the_cache_as_it_was() {
    let made_up = server();
    let files = files_of(&made_up);
    let large = |file: &&PathBuf| std::fs::metadata(file).is_ok_and(|meta| meta.len() > 300_000);
    assert!(files.iter().filter(large).count() > 1, "too few are large");
    let Some(pages) = Pages::of(files) else {
        return;
    };
    let check = || {
        Fogold::check_configured(&made_up.sysconfdir())
            .arg("--catalog")
            .arg(made_up.dump())
            .args(["--verify", "-j2"])
    };
    pages.assert_after(check(), false, true);
    pages.assert_after(check().arg("--keep-cache"), true, true);
    pages.assert_after(check().arg("--drop-cache"), false, false);
}

#[test]
fn a_backup_and_its_verification_leave_the_cache_as_it_was() {
    let made_up = server();
    let Some(pages) = Pages::of(files_of(&made_up)) else {
        return;
    };
    let store = MadeStore::nowhere();
    pages.assert_after(store.backup_of(&made_up, "--full"), false, true);
    let other = MadeStore::nowhere();
    let keeping = other.backup_of(&made_up, "--full").arg("--keep-cache");
    pages.assert_after(keeping, true, true);

    let Some(pages) = Pages::of(files_below(&store.path().join("pool"))) else {
        return;
    };
    pages.assert_after(store.fogold("verify"), false, true);
    pages.assert_after(store.fogold("verify").arg("--keep-cache"), true, true);
}
