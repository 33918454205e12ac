//! Emptying the quarantine: the one place where fogold deletes what was somebody's file.
//!
//! Only what has been there for long enough goes, of every run of every command; and only after a
//! clean check, with a store whose newest set was read back and found good. What a finding of the
//! check could still need stays in any case.

use std::collections::HashSet;
use std::io;
use std::time::Duration;

use rustix::fs::AtFlags;
use serde::Serialize;

use super::age;
use super::error::RepairError;
use super::steps::is_absent;
use crate::catalog::{Amount, CatalogError};
use crate::check::{FailOn, Kind, Outcome, Severity};
use crate::monitor::{Monitor, Phase};
use crate::recover::lock::keep_others_out;
use crate::recover::place::{OWN, last_name, open_directory};
use crate::repository::{Meta, Parsed, RepositoryName, Tree, TreePath};
use crate::store::{Store, StoreError, Verdict};

/// Kinds of finding that a file in the quarantine may mend.
const MENDABLE: [Kind; 6] = [
    Kind::MissingGold,
    Kind::MissingDerived,
    Kind::MissingListing,
    Kind::Corrupt,
    Kind::WrongSize,
    Kind::Unreadable,
];

/// What to delete.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Only what has not been changed, moved there included, for so long.
    pub older_than: Duration,
    /// Delete it; else only count.
    pub apply: bool,
    /// From which findings on the check is not clean.
    pub fail_on: FailOn,
    /// The store that must be good.
    pub store: &'a Store,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Emptied {
    /// Whether anything was to be deleted, and not only counted.
    pub applied: bool,
    /// Why nothing is deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Files that were, or would be, deleted.
    pub deleted: Amount,
    /// Files that are too young.
    pub too_young: Amount,
    /// Files that a finding of the check may need.
    pub needed: Amount,
    /// Files that could not be deleted.
    pub failed: u64,
}

/// Makes sure that the quarantine may be emptied, and does it. `checked` is a check of this very
/// moment.
pub fn run(
    tree: &Tree,
    request: &Request<'_>,
    checked: &Outcome,
    monitor: &dyn Monitor,
) -> Result<Emptied, RepairError> {
    if request.apply && !keep_others_out(tree) {
        return Err(RepairError::Locked {
            path: tree.path().to_owned(),
        });
    }
    let mut emptied = Emptied {
        applied: request.apply,
        refused: match unclean(checked, request.fail_on) {
            Some(why) => Some(why),
            None => without_backup(request.store, monitor)?,
        },
        ..Emptied::default()
    };
    if emptied.refused.is_some() {
        return Ok(emptied);
    }
    monitor.phase(Phase::Repair, None);
    let sweep = Sweep {
        tree,
        request,
        needed: needed(checked)?,
        monitor,
    };
    for quarantine in quarantines(tree)? {
        sweep.below(&quarantine, &mut emptied)?;
    }
    Ok(emptied)
}

fn unclean(checked: &Outcome, fail_on: FailOn) -> Option<String> {
    if !checked.complete {
        return Some("the check could not look at everything".to_owned());
    }
    checked.findings.fails(fail_on).then(|| {
        "the check is not clean: mend what it finds first (fogold repair), or say with --fail-on what may stay".to_owned()
    })
}

/// Why there is no good backup.
fn without_backup(store: &Store, monitor: &dyn Monitor) -> Result<Option<String>, RepairError> {
    let path = store.path().display();
    let newest = match store.find_set(None, monitor) {
        Err(StoreError::NoSet { .. }) => return Ok(Some(format!("{path} holds no set"))),
        other => other?,
    };
    if !store.record(newest)?.complete {
        return Ok(Some(format!(
            "set {newest}, the newest in {path}, is not complete: make another one (fogold backup)"
        )));
    }
    let notes = store.verifications()?;
    let is_good = notes
        .get(&newest.to_string())
        .is_some_and(|note| note.is_whole() && note.result == Verdict::Good);
    Ok((!is_good).then(|| {
        format!(
            "set {newest}, the newest in {path}, was not read back and found good: fogold verify {path}"
        )
    }))
}

/// The names that findings are about which a file in the quarantine may mend.
fn needed(checked: &Outcome) -> Result<HashSet<RepositoryName>, CatalogError> {
    let mut names = HashSet::new();
    for kind in MENDABLE {
        for severity in [Severity::Loss, Severity::Recoverable, Severity::Notice] {
            checked.findings.for_each(severity, kind, |finding| {
                let name = finding
                    .name
                    .and_then(|name| name.parse::<RepositoryName>().ok());
                names.extend(name);
                Ok::<(), CatalogError>(())
            })?;
        }
    }
    Ok(names)
}

/// Every quarantine there is: at the root, and in whatever directory below it has one.
fn quarantines(tree: &Tree) -> Result<Vec<TreePath>, RepairError> {
    let root = TreePath::default();
    let names = age::entries(tree, &root).map_err(|source| failed(tree, "read", &root, source))?;
    let own = |path: &TreePath| path.join(OWN).join(b"quarantine");
    let mut found = vec![own(&root)];
    found.extend(
        names
            .into_iter()
            .filter(|name| name != OWN)
            .map(|name| own(&root.join(&name))),
    );
    found.retain(|path| open_directory(tree, path).is_ok());
    Ok(found)
}

struct Sweep<'a> {
    tree: &'a Tree,
    request: &'a Request<'a>,
    needed: HashSet<RepositoryName>,
    monitor: &'a dyn Monitor,
}

impl Sweep<'_> {
    /// Deletes what may go below a directory, and the directories that are empty then.
    fn below(&self, top: &TreePath, emptied: &mut Emptied) -> Result<(), RepairError> {
        let mut rest = vec![(top.clone(), false)];
        while let Some((path, is_done)) = rest.pop() {
            if self.monitor.stopped() {
                return Err(RepairError::Stopped);
            }
            if is_done {
                if self.request.apply && path != *top {
                    // One that is not empty stays.
                    let _ = self.unlink(&path, AtFlags::REMOVEDIR);
                }
                continue;
            }
            let names = match age::entries(self.tree, &path) {
                Ok(names) => names,
                Err(error) if is_absent(&error) => continue,
                Err(source) => return Err(failed(self.tree, "read", &path, source)),
            };
            rest.push((path.clone(), true));
            for name in names {
                let below = path.join(&name);
                match self.tree.meta(&below) {
                    Ok(meta) if meta.is_directory() => rest.push((below, false)),
                    Ok(meta) => self.file(&below, &name, &meta, emptied),
                    Err(_) => emptied.failed += 1,
                }
            }
        }
        Ok(())
    }

    fn file(&self, path: &TreePath, name: &[u8], meta: &Meta, emptied: &mut Emptied) {
        if age::too_young(meta, self.request.older_than).is_some() {
            emptied.too_young.add(meta.size);
        } else if self.is_needed(name) {
            emptied.needed.add(meta.size);
        } else if !self.request.apply || self.unlink(path, AtFlags::empty()).is_ok() {
            emptied.deleted.add(meta.size);
        } else {
            emptied.failed += 1;
        }
    }

    /// Whether a finding is about the name; of several files of one name, all but the first have a
    /// number behind it.
    fn is_needed(&self, name: &[u8]) -> bool {
        let without_number = name.iter().rposition(|byte| *byte == b'.');
        let shorter = without_number.map(|at| &name[..at]);
        [Some(name), shorter].into_iter().flatten().any(|name| {
            matches!(Parsed::of(name), Parsed::Name { name, .. } if self.needed.contains(&name))
        })
    }

    fn unlink(&self, path: &TreePath, flags: AtFlags) -> io::Result<()> {
        let directory = open_directory(self.tree, &path.parent())?;
        Ok(rustix::fs::unlinkat(&directory, &*last_name(path)?, flags)?)
    }
}

fn failed(tree: &Tree, action: &'static str, path: &TreePath, source: io::Error) -> RepairError {
    RepairError::Tree {
        action,
        root: tree.path().to_owned(),
        path: path.clone(),
        source,
    }
}
