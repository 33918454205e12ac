//! The ways to bring contents to their place: out of the pool, from elsewhere in the tree, from a
//! URL, as a further link.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{AtFlags, OFlags};
use rustix::io::Errno;

use super::FilesError;
use super::error::{CREATE, GIVE, failed};
use super::worker::{Target, Worker};
use crate::manifest::Entry;
use crate::manifest::fetch::FetchError;
use crate::recover::place::{
    Placed, Sync, create, file_mode, give, last_name, make_directory_by, open_directory,
    own_directory, place, rename,
};
use crate::repository::{Tree, TreePath};
use crate::store::reading::{Broken, read_to_end};
use crate::sysconf::RepositoryType;

impl Worker<'_> {
    /// Copies contents out of the pool. Says what is wrong with them, when something is.
    pub(super) fn copy_pooled(
        &mut self,
        pool: &Path,
        entry: &Entry,
        blake3: [u8; 32],
        target: &Target,
    ) -> Result<Option<String>, FilesError> {
        let opened = std::fs::OpenOptions::new()
            .read(true)
            .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32)
            .open(pool);
        let mut source = match opened {
            Ok(source) => source,
            Err(error) => return Ok(Some(error.to_string())),
        };
        let mut half = self.half(entry, target)?;
        let read = read_to_end(
            &mut source,
            Some(&mut half.file),
            &mut self.piece,
            self.work.monitor,
        );
        match read {
            Ok(read) if read.bytes != entry.name.size => Ok(Some(format!(
                "it has {} bytes instead of {}",
                read.bytes, entry.name.size
            ))),
            Ok(read) if read.blake3 != blake3 => {
                Ok(Some("its contents are not as they were written".to_owned()))
            }
            Ok(_) => {
                self.put(entry, &half, target)?;
                Ok(None)
            }
            Err(Broken::Source(error)) => Ok(Some(error.to_string())),
            Err(Broken::Target(source)) => Err(failed("write", &target.path, source)),
            Err(Broken::Stopped) => Err(FilesError::Stopped),
        }
    }

    /// A good copy under any type, wherever FOSSology would look.
    pub(super) fn copy_in_tree(&mut self, entry: &Entry) -> Result<Option<TreePath>, FilesError> {
        let types = [
            RepositoryType::Gold,
            RepositoryType::Files,
            RepositoryType::License,
        ];
        let layout = self.work.tree.layout();
        let places = types
            .into_iter()
            .flat_map(|ty| layout.places(ty, &entry.name));
        self.first_good(places, entry)
    }

    /// Puts a copy that stands elsewhere in the tree also in a place.
    pub(super) fn copy_over(
        &mut self,
        entry: &Entry,
        from: &TreePath,
        target: &Target,
    ) -> Result<(), FilesError> {
        self.clear(entry, target)?;
        let to = &target.path;
        match place(self.work.tree, from, to) {
            Ok(Placed::Occupied) => Err(failed("write", to, Errno::EXIST.into())),
            Ok(Placed::Linked | Placed::Copied) => Ok(()),
            Err(source) => Err(failed("write", to, source)),
        }
    }

    /// Fetches gold again; says in `why` what came of it.
    pub(super) fn fetch(
        &mut self,
        entry: &Entry,
        target: &Target,
        why: &mut String,
    ) -> Result<bool, FilesError> {
        if entry.urls.is_empty() {
            *why = with_withheld_url(entry, std::mem::take(why));
            return Ok(false);
        }
        let Some(fetcher) = self.work.request.fetcher else {
            return Ok(false);
        };
        let mut half = self.half(entry, target)?;
        match fetcher.fetch_from_any(&entry.urls, &entry.name, &mut half.file, self.work.monitor) {
            Ok(_) => {
                self.put(entry, &half, target)?;
                Ok(true)
            }
            Err(errors) => {
                let mut all: Vec<String> = Vec::new();
                if !why.is_empty() {
                    all.push(std::mem::take(why));
                }
                if errors.iter().any(FetchError::is_unreached) {
                    self.restored.unreached.add(entry.name.size);
                }
                for error in errors {
                    match error {
                        // The trouble is here, and not with the URL: the gold is not lost.
                        FetchError::Write { source } => {
                            return Err(failed("write", &target.path, source));
                        }
                        FetchError::Stopped => return Err(FilesError::Stopped),
                        error => all.push(with_cause(&error)),
                    }
                }
                *why = all.join("; ");
                Ok(false)
            }
        }
    }

    /// Another place of contents that stand already.
    pub(super) fn link(
        &mut self,
        entry: &Entry,
        from: &TreePath,
        target: &Target,
    ) -> Result<(), FilesError> {
        if self.work.request.dry_run {
            self.restored.linked.add(entry.name.size);
            self.restored.quarantined += u64::from(target.is_occupied);
            return Ok(());
        }
        self.clear(entry, target)?;
        let to = &target.path;
        let placed = link_later(self.work.tree, from, to)
            .and_then(|placed| match placed {
                Some(placed) => Ok(placed),
                None => place(self.work.tree, from, to),
            })
            .map_err(|source| failed("link", to, source))?;
        if placed == Placed::Occupied {
            return Err(failed("link", to, Errno::EXIST.into()));
        }
        self.restored.linked.add(entry.name.size);
        Ok(())
    }

    /// Moves away what is bad in a place.
    fn clear(&mut self, entry: &Entry, target: &Target) -> Result<(), FilesError> {
        if !target.is_occupied {
            return Ok(());
        }
        let there = self
            .work
            .quarantine
            .take(&target.path)
            .map_err(|source| failed("move to the quarantine", &target.path, source))?;
        self.restored.quarantined += 1;
        self.work.monitor.warn(&format!(
            "{}: not what its name says ({} bytes wanted); it is in the quarantine now, at {}",
            target.path.as_path().display(),
            entry.name.size,
            there.as_path().display()
        ));
        Ok(())
    }

    /// A file in the making, in fogold's own directory on the target's file system. The directory
    /// that it is for comes first: where that cannot be, nothing is copied in vain.
    fn half(&self, entry: &Entry, target: &Target) -> Result<Half, FilesError> {
        let place = make_directory_by(self.work.tree, &target.path.parent(), Sync::Later)
            .map_err(|source| failed("write", &target.path, source))?;
        let path = own_directory(&target.path).0.join(b"staging");
        let name = CString::new(format!("restore-{}", entry.name))
            .map_err(|error| failed(CREATE, &path, error.into()))?;
        let made = make_directory_by(self.work.tree, &path, Sync::Later)
            .and_then(|directory| create(&directory, &name).map(|file| (directory, file)));
        let (directory, file) = made.map_err(|source| failed(CREATE, &path, source))?;
        Ok(Half {
            directory,
            name,
            file,
            place,
        })
    }

    /// Gives a whole file its owner, mode and place.
    fn put(&mut self, entry: &Entry, half: &Half, target: &Target) -> Result<(), FilesError> {
        self.clear(entry, target)?;
        let mode = file_mode(target.ty);
        give(self.work.tree, &half.file, &half.place, mode)
            .map_err(|source| failed(GIVE, &target.path, source))?;
        let renamed = last_name(&target.path)
            .and_then(|name| Ok(rename(&half.directory, &half.name, &half.place, &name)?));
        renamed.map_err(|source| failed("write", &target.path, source))
    }
}

/// Why an entry cannot be had, and why it cannot be fetched where its URL is a secret.
pub(super) fn with_withheld_url(entry: &Entry, why: String) -> String {
    let withheld = "the URL that it came from has a password or a query, and no set holds it";
    match (entry.urls.is_empty() && entry.url_withheld, why.as_str()) {
        (false, _) => why,
        (true, "") => withheld.to_owned(),
        (true, _) => format!("{why}; {withheld}"),
    }
}

/// A file in the making. Dropped before it has its place, it leaves nothing behind.
struct Half {
    directory: OwnedFd,
    name: CString,
    file: File,
    /// The directory that it is for.
    place: OwnedFd,
}

impl Drop for Half {
    fn drop(&mut self) {
        // It is not there any more when it has its place; and what stays lies where nothing looks.
        let _ = rustix::fs::unlinkat(&self.directory, &*self.name, AtFlags::empty());
    }
}

/// A further hard link, put on disk by the caller; `None` where there can be none.
fn link_later(tree: &Tree, from: &TreePath, to: &TreePath) -> io::Result<Option<Placed>> {
    let source = open_directory(tree, &from.parent())?;
    let target = make_directory_by(tree, &to.parent(), Sync::Later)?;
    let (old, new) = (last_name(from)?, last_name(to)?);
    match rustix::fs::linkat(&source, &*old, &target, &*new, AtFlags::empty()) {
        Ok(()) => Ok(Some(Placed::Linked)),
        Err(Errno::EXIST) => Ok(Some(Placed::Occupied)),
        Err(Errno::XDEV | Errno::PERM | Errno::MLINK | Errno::OPNOTSUPP) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// An error with its cause.
fn with_cause(error: &FetchError) -> String {
    std::error::Error::source(error)
        .map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}
