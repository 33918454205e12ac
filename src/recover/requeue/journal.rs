//! What requeue must remember after it has ended: where the table of pfiles ended before it queued
//! anything.
//!
//! An unpack makes rows that nothing uses (new listings of archives); `--clean` takes away those that
//! came after that mark, perhaps days later, by another process. So the mark is on disk before the
//! first job is queued: a file a run, in `<path>/<host>/.fogold/requeue/`, beside the quarantine. It
//! goes when what came after it has been cleaned up.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Write};

use rustix::fs::{AtFlags, Dir, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::error::RequeueError;
use crate::recover::place::{OWN, make_directory, open_directory, open_file};
use crate::repository::{Tree, TreePath};

/// The form of the file.
const FORMAT: u32 = 1;
/// A journal is small; what is larger is none.
const MOST: u64 = 64 << 20;

/// A run that queued jobs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) format: u32,
    /// Names the file, and the run's quarantine.
    pub(super) run: String,
    /// The database's name: a repository may have been used with another.
    pub(super) database: String,
    /// The database's clock before anything was queued, in microseconds since 1970.
    pub(super) began: i64,
    /// The greatest `pfile_pk` before anything was queued.
    pub(super) last_pfile: i32,
    /// The uploads whose unpack was to be queued.
    pub(super) uploads: Vec<i32>,
}

/// The journals of a repository.
pub(super) struct Journal<'a> {
    tree: &'a Tree,
    directory: TreePath,
}

impl Entry {
    pub(super) fn new(run: &str, mark: &super::database::Mark, uploads: Vec<i32>) -> Entry {
        Entry {
            format: FORMAT,
            run: run.to_owned(),
            database: mark.database.clone(),
            began: mark.now,
            last_pfile: mark.last_pfile,
            uploads,
        }
    }
}

impl<'a> Journal<'a> {
    pub(super) fn of(tree: &'a Tree) -> Journal<'a> {
        let host = tree.layout().hosts.names().next().unwrap_or_default();
        let own = TreePath(host.as_bytes().to_vec()).join(OWN);
        Journal {
            tree,
            directory: own.join(b"requeue"),
        }
    }

    /// Puts an entry on disk.
    pub(super) fn keep(&self, entry: &Entry) -> Result<(), RequeueError> {
        self.write(entry)
            .map_err(|source| self.failed("write", source))
    }

    fn write(&self, entry: &Entry) -> io::Result<()> {
        let directory = make_directory(self.tree, &self.directory)?;
        let (half, whole) = (name(&entry.run, ".half")?, name(&entry.run, ".json")?);
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o640);
        let mut file = File::from(rustix::fs::openat(&directory, &*half, flags, mode)?);
        file.write_all(&serde_json::to_vec(entry)?)?;
        file.sync_all()?;
        let flags = RenameFlags::NOREPLACE;
        match rustix::fs::renameat_with(&directory, &*half, &directory, &*whole, flags) {
            // Of a run of the same second: its mark is the older one, and says more.
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        rustix::fs::fsync(&directory)?;
        Ok(())
    }

    /// The entries about a database.
    pub(super) fn entries(&self, database: &str) -> Result<Vec<Entry>, RequeueError> {
        let mut entries = self.read().map_err(|source| self.failed("read", source))?;
        entries.retain(|entry| entry.format == FORMAT && entry.database == database);
        Ok(entries)
    }

    fn read(&self) -> io::Result<Vec<Entry>> {
        let directory = match open_directory(self.tree, &self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let mut entries = Vec::new();
        for each in Dir::read_from(&directory)? {
            let each = each?;
            if !each.file_name().to_bytes().ends_with(b".json") {
                continue;
            }
            let mut bytes = Vec::new();
            open_file(&directory, &each.file_name().to_owned())?
                .take(MOST)
                .read_to_end(&mut bytes)?;
            // The whole file was on disk before it got its name: what cannot be read is not ours.
            entries.extend(serde_json::from_slice::<Entry>(&bytes).ok());
        }
        Ok(entries)
    }

    /// Removes an entry whose run has been cleaned up after.
    pub(super) fn close(&self, entry: &Entry) -> Result<(), RequeueError> {
        let remove = || -> io::Result<()> {
            let directory = open_directory(self.tree, &self.directory)?;
            rustix::fs::unlinkat(&directory, &*name(&entry.run, ".json")?, AtFlags::empty())?;
            Ok(())
        };
        remove().map_err(|source| self.failed("remove", source))
    }

    fn failed(&self, action: &'static str, source: io::Error) -> RequeueError {
        RequeueError::Journal {
            action,
            root: self.tree.path().to_owned(),
            path: self.directory.clone(),
            source,
        }
    }
}

/// The name of a run's file. A run's name comes from a file as well: it must not lead elsewhere.
fn name(run: &str, ending: &str) -> io::Result<CString> {
    if run.contains('/') {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    CString::new(format!("{run}{ending}")).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::super::database::Mark;
    use super::*;
    use crate::repository::{Access, Layout};
    use crate::sysconf::HostTable;

    #[test]
    fn what_is_kept_is_read_and_closed() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout {
            depth: 3,
            hosts: HostTable::of_found_hosts(["h".to_owned()]),
        };
        let tree = Tree::open(root.path(), layout, Access::default()).unwrap();
        let journal = Journal::of(&tree);
        assert_eq!(journal.entries("fossology").unwrap(), []);
        let mark = |database: &str| Mark {
            last_pfile: 94,
            database: database.to_owned(),
            now: 5,
        };
        let entry = Entry::new("run", &mark("fossology"), vec![2, 3]);
        journal.keep(&entry).unwrap();
        journal
            .keep(&Entry::new("other", &mark("another"), vec![]))
            .unwrap();
        assert!(root.path().join("h/.fogold/requeue/run.json").exists());
        std::fs::write(root.path().join("h/.fogold/requeue/odd.json"), "{").unwrap();
        assert_eq!(
            journal.entries("fossology").unwrap(),
            std::slice::from_ref(&entry)
        );
        journal.close(&entry).unwrap();
        assert_eq!(journal.entries("fossology").unwrap(), []);
    }
}
