//! One file of a set: where it belongs, what stands there, and what is to be done.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::bring::with_withheld_url;
use super::{FilesError, Request, Restored};
use crate::manifest::{Entry, Place, Types};
use crate::monitor::Monitor;
use crate::recover::place::{last_name, open_directory, open_file};
use crate::recover::quarantine::Quarantine;
use crate::repository::{Claim, Prover, Tree, TreePath};
use crate::store::reading::{Broken, read_to_end};
use crate::sysconf::RepositoryType;

/// So many files of a kind are named one by one; the check behind a restore names them all.
const MOST_NAMED: usize = 20;

/// What all threads share.
pub(super) struct Work<'a> {
    pub(super) request: &'a Request<'a>,
    pub(super) tree: &'a Tree,
    pub(super) monitor: &'a dyn Monitor,
    pub(super) quarantine: Quarantine<'a>,
    /// How many lost files there are to name.
    pub(super) named_lost: AtomicUsize,
    /// How many files that could not be put in their place there are to name.
    pub(super) named_unwritten: AtomicUsize,
}

/// One thread's part.
pub(super) struct Worker<'a> {
    pub(super) work: &'a Work<'a>,
    pub(super) piece: Vec<u8>,
    pub(super) restored: Restored,
    /// What is known of the inodes of the entry at hand.
    pub(super) inodes: HashMap<(u64, u64), bool>,
}

/// A place that a file of the set belongs to.
pub(super) struct Target {
    pub(super) ty: RepositoryType,
    pub(super) path: TreePath,
    /// Something bad stands there.
    pub(super) is_occupied: bool,
}

impl Worker<'_> {
    /// Sees to one file of the set.
    pub(super) fn entry(&mut self, entry: &Entry) -> Result<(), FilesError> {
        self.inodes.clear();
        let (mut good, empty) = self.standing(entry)?;
        if good.is_none() && empty.iter().any(|at| at.ty == RepositoryType::Files) {
            good = self.gold_beside(entry)?;
        }
        for target in &empty {
            let done = match &good {
                Some(from) => self.link(entry, from, target),
                None => match self.bring_back(entry, target) {
                    Ok(false) => return Ok(()),
                    Ok(true) => {
                        good = Some(target.path.clone());
                        Ok(())
                    }
                    Err(error) => Err(error),
                },
            };
            if let Err(error) = done {
                self.leave(entry, error)?;
            }
        }
        Ok(())
    }

    /// A good copy of an entry in its places, and those of its places that need one.
    fn standing(&mut self, entry: &Entry) -> Result<(Option<TreePath>, Vec<Target>), FilesError> {
        let mut good: Option<TreePath> = None;
        let mut empty = Vec::new();
        for (ty, places) in self.targets(entry) {
            let mut standing = None;
            for (at, path) in places.iter().enumerate() {
                if self.is_good(path, entry)? {
                    standing = Some(at);
                    break;
                }
            }
            if let Some(at) = standing {
                self.restored.kept.add(entry.name.size);
                good.get_or_insert_with(|| places[at].clone());
            }
            // FOSSology takes the first that is there: a bad one hides a good one on a later host.
            let hiding = places[..standing.unwrap_or(0)]
                .iter()
                .find(|path| self.work.tree.meta(path).is_ok());
            let first = places.first().filter(|_| standing.is_none());
            if let Some(path) = hiding.or(first) {
                empty.push(Target {
                    ty,
                    is_occupied: self.work.tree.meta(path).is_ok(),
                    path: path.clone(),
                });
            }
        }
        Ok((good, empty))
    }

    /// A good gold that stands already where only its copy in files/ is to be restored: as in a whole
    /// restore, that becomes a link to it.
    fn gold_beside(&mut self, entry: &Entry) -> Result<Option<TreePath>, FilesError> {
        if !entry.types.has(Types::GOLD) {
            return Ok(None);
        }
        let layout = self.work.tree.layout();
        self.first_good(layout.places(RepositoryType::Gold, &entry.name), entry)
    }

    /// Leaves a file out, where what went wrong is about it alone.
    fn leave(&mut self, entry: &Entry, error: FilesError) -> Result<(), FilesError> {
        if !error.is_of_one_file() {
            return Err(error);
        }
        self.restored.unwritten.add(entry.name.size);
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        self.work.name(
            &self.work.named_unwritten,
            || format!("{error}: {}", cause.unwrap_or_default()),
            "more files cannot be put in their place; the check names them all",
        );
        Ok(())
    }

    /// The types and places of an entry that are to be restored: every place where FOSSology looks,
    /// the one that it writes to first.
    fn targets(&self, entry: &Entry) -> Vec<(RepositoryType, Vec<TreePath>)> {
        let Request { types, host, .. } = *self.work.request;
        let mut wanted = entry.types;
        // FOSSology has every gold in files/ too.
        if wanted.has(Types::GOLD) {
            wanted = wanted.and(Types::FILES);
        }
        let layout = self.work.tree.layout();
        let text = entry.name.to_string();
        wanted
            .iter()
            .filter(|ty| types.has(Types::of(*ty)))
            .filter(|ty| {
                let first = layout.hosts.claimants(*ty, text.as_bytes()).next();
                host.is_none() || first == host
            })
            .map(|ty| (ty, layout.places(ty, &entry.name)))
            .collect()
    }

    /// The first of several places where a good copy of an entry stands.
    pub(super) fn first_good(
        &mut self,
        places: impl IntoIterator<Item = TreePath>,
        entry: &Entry,
    ) -> Result<Option<TreePath>, FilesError> {
        for path in places {
            if self.is_good(&path, entry)? {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }

    /// Whether a good copy of an entry stands at a path.
    pub(super) fn is_good(&mut self, path: &TreePath, entry: &Entry) -> Result<bool, FilesError> {
        let Ok(meta) = self.work.tree.meta(path) else {
            return Ok(false);
        };
        if !meta.is_file() || meta.size != entry.name.size {
            return Ok(false);
        }
        let key = (meta.device, meta.inode);
        if let Some(known) = self.inodes.get(&key) {
            return Ok(*known);
        }
        let is_good = self.proves(path, entry)?;
        self.inodes.insert(key, is_good);
        Ok(is_good)
    }

    /// Reads a copy. One that was not read to its end is not to be taken for a bad one.
    fn proves(&mut self, path: &TreePath, entry: &Entry) -> Result<bool, FilesError> {
        let (tree, monitor) = (self.work.tree, self.work.monitor);
        let Some(blake3) = entry.blake3 else {
            let claim = Claim {
                path: path.clone(),
                name: entry.name,
                size: entry.name.size,
            };
            let results = tree.prove(&[claim], &mut Prover::new(false), monitor);
            let holds = results
                .into_iter()
                .any(|(_, result)| result.is_ok_and(|proof| proof.holds()));
            return if !holds && monitor.stopped() {
                Err(FilesError::Stopped)
            } else {
                Ok(holds)
            };
        };
        let opened = open_directory(tree, &path.parent())
            .and_then(|directory| open_file(&directory, &last_name(path)?));
        let Ok(mut file) = opened else {
            return Ok(false);
        };
        match read_to_end(&mut file, None, &mut self.piece, monitor) {
            Ok(read) => Ok((read.bytes, read.blake3) == (entry.name.size, blake3)),
            Err(Broken::Stopped) => Err(FilesError::Stopped),
            Err(Broken::Source(_) | Broken::Target(_)) => Ok(false),
        }
    }

    /// Puts the contents of an entry in a place; false when they cannot be had.
    fn bring_back(&mut self, entry: &Entry, target: &Target) -> Result<bool, FilesError> {
        let size = entry.name.size;
        if self.work.request.dry_run {
            return self.would_bring_back(entry, target);
        }
        let mut why = String::new();
        if let (Place::Pool, Some(blake3)) = (entry.place, entry.blake3) {
            let path = self.work.request.store.layout().pool_path(&entry.name);
            match self.copy_pooled(&path, entry, blake3, target)? {
                None => {
                    self.restored.copied.add(size);
                    return Ok(true);
                }
                Some(damage) => {
                    self.restored.broken.insert(entry.name);
                    why = format!("{}: {damage}", path.display());
                }
            }
        }
        if let Some(from) = self.copy_in_tree(entry)? {
            self.copy_over(entry, &from, target)?;
            self.restored.taken_from_tree.add(size);
            if !why.is_empty() {
                let copy = from.as_path().display();
                self.work.monitor.warn(&format!(
                    "{why}; the good copy at {copy} in the repository was taken in its place"
                ));
            }
            return Ok(true);
        }
        if self.fetch(entry, target, &mut why)? {
            self.restored.fetched.add(size);
            return Ok(true);
        }
        self.restored.lost.add(size);
        self.name_lost(entry, &why);
        Ok(false)
    }

    /// Where the contents of an entry would come from, as far as that shows without reading them.
    fn would_bring_back(&mut self, entry: &Entry, target: &Target) -> Result<bool, FilesError> {
        let size = entry.name.size;
        let pool = self.work.request.store.layout().pool_path(&entry.name);
        let is_pooled = entry.place == Place::Pool
            && std::fs::symlink_metadata(&pool)
                .is_ok_and(|pooled| pooled.is_file() && pooled.len() == size);
        if is_pooled {
            self.restored.copied.add(size);
        } else if self.copy_in_tree(entry)?.is_some() {
            self.restored.taken_from_tree.add(size);
        } else if !entry.urls.is_empty() && self.work.request.fetcher.is_some() {
            self.restored.fetched.add(size);
        } else {
            self.restored.lost.add(size);
            let why = match entry.place {
                Place::Pool => format!("the store lacks {}", pool.display()),
                Place::Urls => String::new(),
            };
            self.name_lost(entry, &with_withheld_url(entry, why));
            return Ok(false);
        }
        self.restored.quarantined += u64::from(target.is_occupied);
        Ok(true)
    }

    fn name_lost(&self, entry: &Entry, why: &str) {
        let colon = if why.is_empty() { "" } else { ": " };
        self.work.name(
            &self.work.named_lost,
            || format!("{} cannot be brought back{colon}{why}", entry.name),
            "more files cannot be brought back; the check names them all",
        );
    }
}

impl Work<'_> {
    /// Warns of one more file, as long as there are not too many.
    fn name(&self, named: &AtomicUsize, message: impl FnOnce() -> String, more: &str) {
        match named.fetch_add(1, Ordering::Relaxed) {
            ..MOST_NAMED => self.monitor.warn(&message()),
            MOST_NAMED => self.monitor.warn(more),
            _ => {}
        }
    }
}
