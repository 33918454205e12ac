//! Golds: proven before anything is queued, and put where FOSSology takes them from.
//!
//! The unpack agent takes the top file from files/ first and from gold second, and whatever it finds
//! there it unpacks: a bad copy in files/ beats a good gold, and says "Completed". So the first copy
//! in files/ that FOSSology would find is made a good one.

use std::collections::HashMap;

use serde::Serialize;

use super::error::RequeueError;
use crate::catalog::CatalogError;
use crate::monitor::Monitor;
use crate::recover::place::{self, Placed};
use crate::recover::quarantine::Quarantine;
use crate::repository::{Claim, Prover, RepositoryName, Tree, TreePath};
use crate::sysconf::RepositoryType;

/// The system's number for a failed medium.
const EIO: i32 = rustix::io::Errno::IO.raw_os_error();

/// What was done so that FOSSology takes the right top file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlacedGold {
    /// The gold.
    pub name: String,
    /// Where it stands now, relative to the repository.
    pub path: String,
    /// `linked`, `copied`, or `found`: it stood there once a bad copy before it was gone.
    pub how: &'static str,
    /// Where a bad copy went that stood there, relative to the repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quarantined: Option<String>,
}

/// The golds that were looked at.
pub(super) struct Golds<'a> {
    tree: &'a Tree,
    prover: Prover,
    proven: HashMap<RepositoryName, Result<TreePath, String>>,
}

impl<'a> Golds<'a> {
    pub(super) fn of(tree: &'a Tree) -> Golds<'a> {
        Golds {
            tree,
            prover: Prover::new(false),
            proven: HashMap::new(),
        }
    }

    /// Where a good copy of a gold stands, its contents read; or why there is none.
    pub(super) fn prove(
        &mut self,
        name: &RepositoryName,
        monitor: &dyn Monitor,
    ) -> Result<TreePath, String> {
        if let Some(known) = self.proven.get(name) {
            return known.clone();
        }
        let result = self.find(name, monitor);
        if !monitor.stopped() {
            self.proven.insert(*name, result.clone());
        }
        result
    }

    fn find(&mut self, name: &RepositoryName, monitor: &dyn Monitor) -> Result<TreePath, String> {
        let mut troubles = Vec::new();
        for (ty, what) in [
            (RepositoryType::Gold, "gold"),
            (RepositoryType::Files, "copy in files"),
        ] {
            for path in self.tree.layout().places(ty, name) {
                match self.judge(&path, name, monitor) {
                    Judgement::Good => return Ok(path),
                    Judgement::Missing => {}
                    Judgement::Bad(why) => troubles.push(format!("its {what} {why}")),
                    Judgement::Unread(error) => {
                        troubles.push(format!("its {what} was not read ({error})"));
                    }
                }
            }
        }
        if troubles.is_empty() {
            troubles.push("its gold is missing".to_owned());
        }
        Err(troubles.join(", "))
    }

    /// Makes the copy in files/ that FOSSology would find first a good one.
    pub(super) fn settle(
        &mut self,
        name: &RepositoryName,
        source: &TreePath,
        quarantine: &Quarantine<'_>,
        monitor: &dyn Monitor,
    ) -> Result<Option<PlacedGold>, RequeueError> {
        let places = self.tree.layout().places(RepositoryType::Files, name);
        let mut quarantined = None;
        let placed = |path: &TreePath, how, quarantined: &Option<TreePath>| PlacedGold {
            name: name.to_string(),
            path: text(path),
            how,
            quarantined: quarantined.as_ref().map(text),
        };
        for path in &places {
            match self.judge_copy(path, source, name, monitor) {
                Judgement::Good => {
                    let changed = quarantined.is_some();
                    return Ok(changed.then(|| placed(path, "found", &quarantined)));
                }
                Judgement::Missing => {}
                Judgement::Bad(_) => {
                    let to = quarantine
                        .take(path)
                        .map_err(|error| self.failed("move to the quarantine", path, error))?;
                    quarantined = quarantined.or(Some(to));
                }
                // It may be a good one.
                Judgement::Unread(_) if monitor.stopped() => {
                    return Err(CatalogError::Stopped.into());
                }
                Judgement::Unread(error) => return Err(self.failed("read", path, error)),
            }
        }
        let Some(first) = places.first() else {
            return Ok(None);
        };
        let how = match place::place(self.tree, source, first)
            .map_err(|error| self.failed("put the gold at", first, error))?
        {
            Placed::Linked => "linked",
            Placed::Copied => "copied",
            Placed::Occupied => return Ok(None),
        };
        Ok(Some(placed(first, how, &quarantined)))
    }

    /// Judges a copy in files/. One that is the very file that was proven is not read again.
    fn judge_copy(
        &mut self,
        path: &TreePath,
        source: &TreePath,
        name: &RepositoryName,
        monitor: &dyn Monitor,
    ) -> Judgement {
        let inode = |path: &TreePath| {
            let meta = self.tree.meta(path).ok()?;
            Some((meta.device, meta.inode))
        };
        match (inode(path), inode(source)) {
            (Some(copy), Some(gold)) if copy == gold => Judgement::Good,
            _ => self.judge(path, name, monitor),
        }
    }

    fn judge(
        &mut self,
        path: &TreePath,
        name: &RepositoryName,
        monitor: &dyn Monitor,
    ) -> Judgement {
        let meta = match self.tree.meta(path) {
            Ok(meta) => meta,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Judgement::Missing;
            }
            Err(error) => return Judgement::Unread(error),
        };
        if !meta.is_file() {
            return Judgement::Bad("is no regular file".to_owned());
        }
        if meta.size != name.size {
            return Judgement::Bad(format!("has {} bytes instead of {}", meta.size, name.size));
        }
        let claim = Claim {
            path: path.clone(),
            name: *name,
            size: meta.size,
        };
        match self.tree.prove(&[claim], &mut self.prover, monitor).pop() {
            Some((_, Ok(proof))) if proof.holds() => Judgement::Good,
            Some((_, Ok(proof))) => {
                Judgement::Bad(format!("is corrupt (differs in {})", proof.differences()))
            }
            // The medium says so; anything else may be about this process only.
            Some((_, Err(error))) if error.raw_os_error() == Some(EIO) => {
                Judgement::Bad(format!("cannot be read ({error})"))
            }
            Some((_, Err(error))) => Judgement::Unread(error),
            None => Judgement::Unread(std::io::ErrorKind::Interrupted.into()),
        }
    }

    fn failed(
        &self,
        action: &'static str,
        path: &TreePath,
        source: std::io::Error,
    ) -> RequeueError {
        RequeueError::Place {
            action,
            root: self.tree.path().to_owned(),
            path: path.clone(),
            source,
        }
    }
}

/// What was seen at a place.
enum Judgement {
    Good,
    Missing,
    Bad(String),
    /// Nothing is known of its contents.
    Unread(std::io::Error),
}

fn text(path: &TreePath) -> String {
    crate::check::path_text(path).0
}

#[cfg(test)]
mod tests {
    use std::fs;

    use sha1::{Digest, Sha1};

    use super::*;
    use crate::monitor::Silent;
    use crate::repository::{Access, Layout};
    use crate::sysconf::HostTable;

    /// Asks to stop at once.
    struct Impatient;

    impl Monitor for Impatient {
        fn stopped(&self) -> bool {
            true
        }
    }

    #[test]
    fn a_copy_that_was_not_read_to_its_end_is_left_where_it_is() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout {
            depth: 1,
            hosts: HostTable::default(),
        };
        let tree = Tree::open(root.path(), layout, Access::default()).unwrap();
        let contents = vec![7; 1 << 20];
        let name = RepositoryName {
            sha1: Sha1::digest(&contents).into(),
            md5: md5::Md5::digest(&contents).into(),
            size: contents.len() as u64,
        };
        let place = |ty| {
            root.path()
                .join(tree.layout().places(ty, &name)[0].as_path())
        };
        let (gold, copy) = (place(RepositoryType::Gold), place(RepositoryType::Files));
        for path in [&gold, &copy] {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, &contents).unwrap();
        }
        fs::write(&copy, vec![8; 1 << 20]).unwrap();

        let quarantine = Quarantine::of(&tree, "run");
        let mut golds = Golds::of(&tree);
        let source = golds.prove(&name, &Silent).unwrap();
        let stopped = golds.settle(&name, &source, &quarantine, &Impatient);
        assert!(matches!(
            stopped,
            Err(RequeueError::Catalog(CatalogError::Stopped))
        ));
        assert!(copy.exists() && !root.path().join(".fogold").exists());

        let placed = golds.settle(&name, &source, &quarantine, &Silent);
        let placed = placed.unwrap().unwrap();
        assert_eq!(placed.how, "linked");
        assert!(root.path().join(placed.quarantined.unwrap()).exists());
        assert_eq!(fs::read(&copy).unwrap(), contents);
        let again = golds.settle(&name, &source, &quarantine, &Silent);
        assert_eq!(again.unwrap(), None);
    }
}
