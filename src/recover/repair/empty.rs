//! Emptying the quarantine: the one place where fogold deletes what was somebody's file.
//!
//! Only what has been there for long enough goes, of every run of every command; and only after a
//! clean check, with a store whose newest set is of this repository, was read back and found good, and
//! was begun after the file had gone to the quarantine. And a file goes only when no live row uses its
//! name, or when the contents of that name stand in their place and have just been proven there. What
//! a finding of the check could still need stays in any case.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rustix::fs::AtFlags;
use serde::Serialize;

use super::age;
use super::error::RepairError;
use super::staging::Staging;
use super::steps::is_absent;
use crate::catalog::{Amount, CatalogError, LiveRows};
use crate::check::{FailOn, Kind, Outcome, Severity};
use crate::monitor::{Monitor, Phase};
use crate::recover::lock::keep_others_out;
use crate::recover::place::{OWN, last_name, open_directory};
use crate::recover::quarantine::run_start;
use crate::repository::{Meta, Parsed, Prover, RepositoryName, Tree, TreePath};
use crate::store::{Store, StoreError, Verdict};
use crate::sysconf::RepositoryType;

/// So many files are looked at together: one question to the database.
const AT_ONCE: usize = 128;

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
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// Only what has not been changed, moved there included, for so long.
    pub older_than: Duration,
    /// Delete it; else only count.
    pub apply: bool,
    /// From which findings on the check is not clean.
    pub fail_on: FailOn,
    /// The store that must be good.
    pub store: &'a Store,
    /// The live database: a dump does not know what has come to be used since.
    pub live: &'a dyn LiveRows,
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
    /// Files that a finding of the check may need, or of which no good copy stands in its place.
    pub needed: Amount,
    /// Files that could not be deleted.
    pub failed: u64,
    /// It was stopped before the end.
    pub stopped: bool,
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
        refused: unclean(checked, request.fail_on),
        ..Emptied::default()
    };
    if emptied.refused.is_some() {
        return Ok(emptied);
    }
    let backed_up = match backup(tree, request.store, monitor)? {
        Ok(began) => began,
        Err(why) => {
            emptied.refused = Some(why);
            return Ok(emptied);
        }
    };
    monitor.phase(Phase::Repair, None);
    let mut sweep = Sweep {
        tree,
        request,
        backed_up,
        needed: needed(checked)?,
        staging: Staging::of(tree, Prover::new(false), monitor),
        monitor,
        emptied,
    };
    for quarantine in quarantines(tree)? {
        sweep.sweep(&quarantine)?;
    }
    Ok(sweep.emptied)
}

fn unclean(checked: &Outcome, fail_on: FailOn) -> Option<String> {
    if !checked.complete {
        return Some("the check could not look at everything".to_owned());
    }
    checked.findings.fails(fail_on).then(|| {
        "the check is not clean: mend what it finds first (fogold repair), or say with --fail-on what may stay".to_owned()
    })
}

/// When the newest set was begun, if it is a good backup of this repository; else why not.
fn backup(
    tree: &Tree,
    store: &Store,
    monitor: &dyn Monitor,
) -> Result<Result<Timestamp, String>, RepairError> {
    let path = store.path().display();
    let newest = match store.find_set(None, monitor) {
        Err(StoreError::NoSet { .. }) => return Ok(Err(format!("{path} holds no set"))),
        other => other?,
    };
    let record = store.record(newest)?;
    let of = Path::new(&record.source.repository);
    if of != tree.path() && real(of) != real(tree.path()) {
        return Ok(Err(format!(
            "set {newest}, the newest in {path}, is of the repository {}, not of this one",
            of.display()
        )));
    }
    if !record.complete {
        return Ok(Err(format!(
            "set {newest}, the newest in {path}, is not complete: make another one (fogold backup)"
        )));
    }
    let notes = store.verifications()?;
    let is_good = notes
        .get(&newest.to_string())
        .is_some_and(|note| note.is_whole() && note.result == Verdict::Good);
    if !is_good {
        return Ok(Err(format!(
            "set {newest}, the newest in {path}, was not read back and found good: fogold verify {path}"
        )));
    }
    // One that cannot be read was begun before everything.
    Ok(Ok(record.began.parse().unwrap_or(Timestamp::MIN)))
}

fn real(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
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

/// A file that is old enough to go.
struct Candidate {
    path: TreePath,
    /// What it is called, where that is a repository name.
    name: Option<RepositoryName>,
    bytes: u64,
}

struct Sweep<'a> {
    tree: &'a Tree,
    request: &'a Request<'a>,
    /// When the newest set was begun.
    backed_up: Timestamp,
    needed: HashSet<RepositoryName>,
    staging: Staging<'a>,
    monitor: &'a dyn Monitor,
    emptied: Emptied,
}

impl Sweep<'_> {
    /// Deletes what may go of one quarantine, and the directories that are empty then.
    fn sweep(&mut self, quarantine: &TreePath) -> Result<(), RepairError> {
        for run in self.entries(quarantine)? {
            let path = quarantine.join(&run);
            match run_start(&run) {
                Some(start) if self.is_too_young(start) => self.count_young(&path)?,
                _ => {
                    self.files_of(&path)?;
                    if self.request.apply {
                        self.empty_directories(&path)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether a run was too late: whatever times its files have, they are here no longer than that.
    fn is_too_young(&self, start: Timestamp) -> bool {
        let least = i64::try_from(self.request.older_than.as_secs()).unwrap_or(i64::MAX);
        let age = Timestamp::now()
            .as_second()
            .saturating_sub(start.as_second());
        age < least || start > self.backed_up
    }

    fn count_young(&mut self, run: &TreePath) -> Result<(), RepairError> {
        self.each_file(run, &mut |sweep, _, meta| {
            sweep.emptied.too_young.add(meta.size);
            Ok(())
        })
    }

    /// Deletes the files of a run, some at a time.
    fn files_of(&mut self, run: &TreePath) -> Result<(), RepairError> {
        let mut some = Vec::with_capacity(AT_ONCE);
        self.each_file(run, &mut |sweep, path, meta| {
            let file = last_name(&path).map_err(|source| failed(sweep.tree, "read", &path, source));
            let name = name_of(file?.as_bytes());
            if age::too_young(&meta, sweep.request.older_than).is_some() {
                sweep.emptied.too_young.add(meta.size);
            } else if name.is_some_and(|name| sweep.needed.contains(&name)) {
                sweep.emptied.needed.add(meta.size);
            } else {
                let bytes = meta.size;
                some.push(Candidate { path, name, bytes });
            }
            match some.len() {
                AT_ONCE => sweep.delete(&mut some),
                _ => Ok(()),
            }
        })?;
        self.delete(&mut some)
    }

    /// Calls `each` with every file below a directory.
    fn each_file(
        &mut self,
        top: &TreePath,
        each: &mut dyn FnMut(&mut Self, TreePath, Meta) -> Result<(), RepairError>,
    ) -> Result<(), RepairError> {
        let mut rest = vec![top.clone()];
        while let Some(path) = rest.pop() {
            if self.monitor.stopped() {
                self.emptied.stopped = true;
                return Ok(());
            }
            for name in self.entries(&path)? {
                let below = path.join(&name);
                match self.tree.meta(&below) {
                    Ok(meta) if meta.is_directory() => rest.push(below),
                    Ok(meta) => each(self, below, meta)?,
                    Err(_) => self.emptied.failed += 1,
                }
            }
        }
        Ok(())
    }

    fn empty_directories(&self, top: &TreePath) -> Result<(), RepairError> {
        let mut rest = vec![(top.clone(), false)];
        while let Some((path, is_done)) = rest.pop() {
            if is_done {
                // One that is not empty stays.
                let _ = self.unlink(&path, AtFlags::REMOVEDIR);
                continue;
            }
            rest.push((path.clone(), true));
            let below = self
                .entries(&path)?
                .into_iter()
                .map(|name| path.join(&name));
            let directories = below.filter(|below| {
                let meta = self.tree.meta(below);
                meta.is_ok_and(|meta| meta.is_directory())
            });
            rest.extend(directories.map(|below| (below, false)));
        }
        Ok(())
    }

    /// Deletes, of some files, those that nothing uses, and those that stand, proven, where they
    /// belong.
    fn delete(&mut self, some: &mut Vec<Candidate>) -> Result<(), RepairError> {
        let names: Vec<(RepositoryName, Vec<i32>)> = some
            .iter()
            .filter_map(|file| Some((file.name?, Vec::new())))
            .collect();
        let mut used = HashSet::new();
        if !names.is_empty() {
            let rows = self.request.live.rows_now(&names)?.into_iter();
            used.extend(
                rows.filter(|(_, row)| row.in_gold || row.in_files)
                    .map(|(name, _)| name),
            );
        }
        for file in some.drain(..) {
            let name = file.name.filter(|name| used.contains(name));
            if name.is_some_and(|name| !self.stands_proven(&name)) {
                self.emptied.needed.add(file.bytes);
            } else if !self.request.apply || self.unlink(&file.path, AtFlags::empty()).is_ok() {
                self.emptied.deleted.add(file.bytes);
            } else {
                self.emptied.failed += 1;
            }
        }
        Ok(())
    }

    /// Whether good contents of a name stand where FOSSology looks for it, by reading them.
    fn stands_proven(&mut self, name: &RepositoryName) -> bool {
        let layout = self.tree.layout();
        let types = [RepositoryType::Gold, RepositoryType::Files];
        let places: Vec<TreePath> = types
            .into_iter()
            .flat_map(|ty| layout.places(ty, name))
            .collect();
        places
            .iter()
            .any(|place| self.staging.proves(place, name).unwrap_or(false))
    }

    /// The names in a directory; none when it is gone.
    fn entries(&self, path: &TreePath) -> Result<Vec<Vec<u8>>, RepairError> {
        match age::entries(self.tree, path) {
            Err(error) if is_absent(&error) => Ok(Vec::new()),
            other => other.map_err(|source| failed(self.tree, "read", path, source)),
        }
    }

    fn unlink(&self, path: &TreePath, flags: AtFlags) -> io::Result<()> {
        let directory = open_directory(self.tree, &path.parent())?;
        Ok(rustix::fs::unlinkat(&directory, &*last_name(path)?, flags)?)
    }
}

/// The repository name of a file in the quarantine: of several files of one name, all but the first
/// have a number behind it.
fn name_of(file: &[u8]) -> Option<RepositoryName> {
    let without_number = file.iter().rposition(|byte| *byte == b'.');
    let shorter = without_number.map(|at| &file[..at]);
    [Some(file), shorter]
        .into_iter()
        .flatten()
        .find_map(|name| match Parsed::of(name) {
            Parsed::Name { name, .. } => Some(name),
            _ => None,
        })
}

fn failed(tree: &Tree, action: &'static str, path: &TreePath, source: io::Error) -> RepairError {
    RepairError::Tree {
        action,
        root: tree.path().to_owned(),
        path: path.clone(),
        source,
    }
}
