//! Good copies in the making, in fogold's own directory on the file system of the place that they
//! are for.
//!
//! A copy is proven as it lies there, whole and on disk, before anything is journalled about it.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, OFlags};
use rustix::io::Errno;

use super::error::RepairError;
use super::journal::Step;
use super::steps::is_absent;
use crate::manifest::fetch::{FetchError, Fetcher};
use crate::monitor::Monitor;
use crate::recover::place::{
    Sync, create, file_mode, give, last_name, make_directory_by, open_directory, open_file,
    own_directory,
};
use crate::repository::{Claim, Meta, Prover, RepositoryName, Tree, TreePath};
use crate::sysconf::RepositoryType;

/// What names of files in the making begin with.
const OURS: &str = "repair-";

/// A good copy that waits for its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Staged {
    pub(super) path: TreePath,
    pub(super) inode: u64,
}

/// Makes good copies.
pub(super) struct Staging<'a> {
    pub(super) tree: &'a Tree,
    pub(super) monitor: &'a dyn Monitor,
    pub(super) prover: Prover,
    made: u64,
}

/// Why there is no copy: this one, or any.
pub(super) enum NoCopy {
    /// This source gives none.
    Bad(String),
    /// None can be made: the disk is full, or the run is to stop.
    Broken(RepairError),
}

impl<'a> Staging<'a> {
    pub(super) fn of(tree: &'a Tree, prover: Prover, monitor: &'a dyn Monitor) -> Staging<'a> {
        Staging {
            tree,
            monitor,
            prover,
            made: 0,
        }
    }

    /// Whether the contents at a path are what a name promises; or the system's answer.
    pub(super) fn proves(&mut self, path: &TreePath, name: &RepositoryName) -> io::Result<bool> {
        let meta = self.tree.meta(path)?;
        if !meta.is_file() || meta.size != name.size {
            return Ok(false);
        }
        let claim = Claim {
            path: path.clone(),
            name: *name,
            size: meta.size,
        };
        match self
            .tree
            .prove(&[claim], &mut self.prover, self.monitor)
            .pop()
        {
            Some((_, result)) => Ok(result?.holds()),
            None => Err(io::ErrorKind::Interrupted.into()),
        }
    }

    /// A copy of what stands elsewhere in the tree: a further link where that can be.
    pub(super) fn copy_in_tree(
        &mut self,
        from: &TreePath,
        name: &RepositoryName,
        ty: RepositoryType,
        to: &TreePath,
    ) -> Result<Staged, NoCopy> {
        let bad = |error: io::Error| NoCopy::Bad(format!("{}: {error}", from.as_path().display()));
        let meta = self.tree.meta(from).map_err(bad)?;
        // A link has the rights of its file: those must do for FOSSology.
        if self.tree.access().to_file(&meta).is_none()
            && let Some(staged) = self.link(from, &meta, to)?
        {
            return match self.proves(&staged.path, name) {
                Ok(true) => Ok(staged),
                Ok(false) => Err(self.discard_bad(&staged.path, from)),
                Err(error) => {
                    self.discard(&staged.path);
                    Err(self.stopped_or(bad(error)))
                }
            };
        }
        let open = || -> io::Result<File> {
            let directory = open_directory(self.tree, &from.parent())?;
            open_file(&directory, &last_name(from)?)
        };
        let source = open().map_err(bad)?;
        self.copy(source, from.as_path(), name, ty, to)
    }

    /// A copy of what a store holds.
    pub(super) fn copy_in_store(
        &mut self,
        pooled: &Path,
        name: &RepositoryName,
        ty: RepositoryType,
        to: &TreePath,
    ) -> Result<Staged, NoCopy> {
        let opened = std::fs::OpenOptions::new()
            .read(true)
            .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32)
            .open(pooled);
        match opened {
            Ok(source) => self.copy(source, pooled, name, ty, to),
            Err(error) => Err(NoCopy::Bad(format!("{}: {error}", pooled.display()))),
        }
    }

    /// What a URL gives, where it is still the same.
    pub(super) fn fetched(
        &mut self,
        fetcher: &Fetcher,
        urls: &[String],
        name: &RepositoryName,
        ty: RepositoryType,
        to: &TreePath,
    ) -> Result<Staged, NoCopy> {
        let path = self.next(to);
        let mut file = self.create(&path)?;
        match fetcher.fetch_from_any(urls, name, &mut file, self.monitor) {
            Ok(_) => self.finish(&file, path, ty, to),
            Err(errors) => {
                self.discard(&path);
                let mut all = Vec::new();
                for error in errors {
                    match error {
                        FetchError::Stopped => return Err(NoCopy::Broken(RepairError::Stopped)),
                        FetchError::Write { source } => return Err(no_copy(to, source)),
                        error => all.push(error.to_string()),
                    }
                }
                Err(NoCopy::Bad(all.join("; ")))
            }
        }
    }

    /// Takes away what has no use any more: a copy or a further link, of what is elsewhere.
    pub(super) fn discard(&self, path: &TreePath) {
        // What stays lies where nothing looks, until the next run takes it away.
        let _ = open_directory(self.tree, &path.parent()).and_then(|directory| {
            let name = last_name(path)?;
            Ok(rustix::fs::unlinkat(&directory, &*name, AtFlags::empty())?)
        });
    }

    /// Takes away what a step that was not taken would have put in its place.
    pub(super) fn discard_of(&self, step: &Step) {
        if let Step::Put { staged, .. } | Step::Replace { staged, .. } = step {
            self.discard(staged);
        }
    }

    /// Takes away what a run that was killed has left: copies in the making. Only who holds the lock
    /// may.
    pub(super) fn clear(&self) {
        let hosts = self.tree.layout().hosts.names().map(str::as_bytes);
        for host in hosts.chain([&b""[..]]) {
            let own = own_directory(&TreePath(host.to_vec()).join(b"x")).0;
            let path = own.join(b"staging");
            let Ok(directory) = open_directory(self.tree, &path) else {
                continue;
            };
            let Ok(entries) = Dir::read_from(&directory) else {
                continue;
            };
            for entry in entries.filter_map(Result::ok) {
                if entry.file_name().to_bytes().starts_with(OURS.as_bytes()) {
                    let _ = rustix::fs::unlinkat(&directory, entry.file_name(), AtFlags::empty());
                }
            }
        }
    }

    /// A further link to a file, where the file system makes one.
    fn link(
        &mut self,
        from: &TreePath,
        meta: &Meta,
        to: &TreePath,
    ) -> Result<Option<Staged>, NoCopy> {
        let path = self.next(to);
        let link = || -> io::Result<Option<Staged>> {
            let source = open_directory(self.tree, &from.parent())?;
            let target = make_directory_by(self.tree, &path.parent(), Sync::Later)?;
            // The place must be on that file system too, and its directory be there.
            let place = make_directory_by(self.tree, &to.parent(), Sync::Later)?;
            if rustix::fs::fstat(&place)?.st_dev != rustix::fs::fstat(&target)?.st_dev {
                return Ok(None);
            }
            let (old, new) = (last_name(from)?, last_name(&path)?);
            match rustix::fs::linkat(&source, &*old, &target, &*new, AtFlags::empty()) {
                Ok(()) => Ok(Some(Staged {
                    path: path.clone(),
                    inode: meta.inode,
                })),
                Err(Errno::XDEV | Errno::PERM | Errno::MLINK | Errno::OPNOTSUPP) => Ok(None),
                Err(error) => Err(error.into()),
            }
        };
        link().map_err(|source| no_copy(to, source))
    }

    fn copy(
        &mut self,
        mut source: File,
        from: &Path,
        name: &RepositoryName,
        ty: RepositoryType,
        to: &TreePath,
    ) -> Result<Staged, NoCopy> {
        let path = self.next(to);
        let mut file = self.create(&path)?;
        if let Err(error) = io::copy(&mut source, &mut file) {
            self.discard(&path);
            return Err(no_copy(to, error));
        }
        let staged = self.finish(&file, path, ty, to)?;
        match self.proves(&staged.path, name) {
            Ok(true) => Ok(staged),
            Ok(false) => Err(self.discard_bad(&staged.path, &TreePath(path_bytes(from)))),
            Err(error) => {
                self.discard(&staged.path);
                Err(self.stopped_or(NoCopy::Bad(error.to_string())))
            }
        }
    }

    fn create(&self, path: &TreePath) -> Result<File, NoCopy> {
        let create = || -> io::Result<File> {
            let directory = make_directory_by(self.tree, &path.parent(), Sync::Later)?;
            create(&directory, &last_name(path)?)
        };
        create().map_err(|source| no_copy(path, source))
    }

    /// Gives a whole copy FOSSology's owner and mode, and puts it on disk.
    fn finish(
        &self,
        file: &File,
        path: TreePath,
        ty: RepositoryType,
        to: &TreePath,
    ) -> Result<Staged, NoCopy> {
        let finish = || -> io::Result<u64> {
            let place = make_directory_by(self.tree, &to.parent(), Sync::Later)?;
            give(self.tree, file, &place, file_mode(ty))?;
            file.sync_all()?;
            Ok(rustix::fs::fstat(file)?.st_ino)
        };
        match finish() {
            Ok(inode) => Ok(Staged { path, inode }),
            Err(source) => {
                self.discard(&path);
                Err(no_copy(to, source))
            }
        }
    }

    fn discard_bad(&self, staged: &TreePath, from: &TreePath) -> NoCopy {
        self.discard(staged);
        NoCopy::Bad(format!(
            "{}: its contents are not what its name says",
            from.as_path().display()
        ))
    }

    /// What was not read to its end is not to be taken for bad.
    fn stopped_or(&self, other: NoCopy) -> NoCopy {
        if self.monitor.stopped() {
            NoCopy::Broken(RepairError::Stopped)
        } else {
            other
        }
    }

    /// A name that no other copy has.
    fn next(&mut self, to: &TreePath) -> TreePath {
        self.made += 1;
        let name = format!("{OURS}{}-{}", std::process::id(), self.made);
        own_directory(to).0.join(b"staging").join(name.as_bytes())
    }
}

fn path_bytes(path: &Path) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt;
    path.as_os_str().as_bytes().to_vec()
}

/// What an error on the way to a copy means: a full disk is about all of them.
fn no_copy(path: &TreePath, source: io::Error) -> NoCopy {
    let full = [Errno::NOSPC, Errno::DQUOT, Errno::ROFS];
    if Errno::from_io_error(&source).is_some_and(|error| full.contains(&error)) {
        return NoCopy::Broken(RepairError::Full {
            path: path.clone(),
            source,
        });
    }
    if is_absent(&source) {
        return NoCopy::Bad(format!(
            "{}: a directory above it is none",
            path.as_path().display()
        ));
    }
    NoCopy::Bad(format!("{}: {source}", path.as_path().display()))
}
