//! One file of a set: where it belongs, what stands there, and what is to be done.

use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, PoisonError};

use super::bring::digest;
use super::{FilesError, Request, Restored};
use crate::manifest::{Entry, Place, Types};
use crate::monitor::Monitor;
use crate::recover::place::{last_name, open_directory, open_file};
use crate::recover::quarantine::Quarantine;
use crate::repository::{Claim, Prover, Tree, TreePath};
use crate::sysconf::RepositoryType;

/// So many lost files are named one by one; the check behind a restore names them all.
const MOST_NAMED: usize = 20;

/// What all threads share.
pub(super) struct Work<'a> {
    pub(super) request: &'a Request<'a>,
    pub(super) tree: &'a Tree,
    pub(super) monitor: &'a dyn Monitor,
    pub(super) quarantine: Quarantine<'a>,
    /// How many lost files were named.
    pub(super) named: Mutex<usize>,
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
        let mut good: Option<TreePath> = None;
        let mut empty = Vec::new();
        for (ty, places) in self.targets(entry) {
            let standing = places.iter().position(|path| self.is_good(path, entry));
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
        let mut empty = empty.into_iter();
        if good.is_none() {
            let Some(first) = empty.next() else {
                return Ok(());
            };
            if !self.bring_back(entry, &first)? {
                return Ok(());
            }
            good = Some(first.path);
        }
        for target in empty {
            if let Some(from) = &good {
                self.link(entry, from, &target)?;
            }
        }
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

    /// Whether a good copy of an entry stands at a path.
    pub(super) fn is_good(&mut self, path: &TreePath, entry: &Entry) -> bool {
        let Ok(meta) = self.work.tree.meta(path) else {
            return false;
        };
        if !meta.is_file() || meta.size != entry.name.size {
            return false;
        }
        let key = (meta.device, meta.inode);
        if let Some(known) = self.inodes.get(&key) {
            return *known;
        }
        let is_good = self.proves(path, entry);
        self.inodes.insert(key, is_good);
        is_good
    }

    fn proves(&mut self, path: &TreePath, entry: &Entry) -> bool {
        let Some(blake3) = entry.blake3 else {
            let claim = Claim {
                path: path.clone(),
                name: entry.name,
                size: entry.name.size,
            };
            let mut prover = Prover::new(false);
            let results = self
                .work
                .tree
                .prove(&[claim], &mut prover, self.work.monitor);
            return results
                .into_iter()
                .any(|(_, result)| result.is_ok_and(|proof| proof.holds()));
        };
        let opened = open_directory(self.work.tree, &path.parent())
            .and_then(|directory| open_file(&directory, &last_name(path)?));
        opened.is_ok_and(|mut file| {
            digest(&mut file, &mut io::sink(), &mut self.piece)
                .is_ok_and(|read| read == (entry.name.size, blake3))
        })
    }

    /// Puts the contents of an entry in a place; false when they cannot be had.
    fn bring_back(&mut self, entry: &Entry, target: &Target) -> Result<bool, FilesError> {
        let size = entry.name.size;
        if self.work.request.dry_run {
            return Ok(self.would_bring_back(entry, target));
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
        if let Some(from) = self.copy_in_tree(entry) {
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
    fn would_bring_back(&mut self, entry: &Entry, target: &Target) -> bool {
        let size = entry.name.size;
        let pool = self.work.request.store.layout().pool_path(&entry.name);
        let is_pooled = entry.place == Place::Pool
            && std::fs::symlink_metadata(&pool)
                .is_ok_and(|pooled| pooled.is_file() && pooled.len() == size);
        if is_pooled {
            self.restored.copied.add(size);
        } else if self.copy_in_tree(entry).is_some() {
            self.restored.taken_from_tree.add(size);
        } else if !entry.urls.is_empty() && self.work.request.fetcher.is_some() {
            self.restored.fetched.add(size);
        } else {
            self.restored.lost.add(size);
            let why = match entry.place {
                Place::Pool => format!("the store lacks {}", pool.display()),
                Place::Urls => String::new(),
            };
            self.name_lost(entry, &why);
            return false;
        }
        self.restored.quarantined += u64::from(target.is_occupied);
        true
    }

    fn name_lost(&self, entry: &Entry, why: &str) {
        let mut named = self
            .work
            .named
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *named += 1;
        match *named {
            ..=MOST_NAMED => self.work.monitor.warn(&format!(
                "{} cannot be brought back{}{why}",
                entry.name,
                if why.is_empty() { "" } else { ": " }
            )),
            number if number == MOST_NAMED + 1 => self
                .work
                .monitor
                .warn("more files cannot be brought back; the check names them all"),
            _ => {}
        }
    }
}
