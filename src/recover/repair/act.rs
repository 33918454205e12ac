//! Doing what was decided: look again, prepare, write it down, do it, and look once more.

use std::collections::HashMap;
use std::path::Path;

use rustix::io::Errno;

use super::decide::{Because, Decider, Decision, PutBack, SetAside, Work};
use super::error::RepairError;
use super::journal::{Journal, Step};
use super::outcome::Mended;
use super::rights::Opener;
use super::staging::{NoCopy, Staged, Staging};
use super::steps::{self, Taken, is_absent};
use super::{Options, age};
use crate::catalog::{LiveRows, RowNow};
use crate::check::{Finding, Mending, MendingStatus, path_text};
use crate::manifest::fetch::Fetcher;
use crate::monitor::Monitor;
use crate::recover::files;
use crate::recover::place::{Sync, make_directory_by};
use crate::recover::quarantine::Quarantine;
use crate::repository::{Meta, RepositoryName, Tree, TreePath};
use crate::sysconf::RepositoryType;

/// Clocks of hosts differ: a temporary tree must be so much older than a job, in seconds, to be none
/// of its.
const CLOCK_SLACK: i64 = 60;

/// What is to be done about one finding, ready to be done.
enum Ready {
    /// These steps, in this order.
    Steps {
        steps: Vec<Step>,
        from: Option<String>,
        /// What else is to be said.
        why: Option<String>,
    },
    /// It is no more, and why.
    Settled(String),
    /// It is left, and why.
    Left(String),
    /// It was done already, as it was prepared.
    Done(String),
}

/// A run at work.
pub(super) struct Actor<'a> {
    pub(super) tree: &'a Tree,
    pub(super) live: Option<&'a dyn LiveRows>,
    pub(super) decider: &'a Decider<'a>,
    pub(super) options: &'a Options,
    pub(super) fetcher: Option<&'a Fetcher>,
    pub(super) journal: Journal<'a>,
    pub(super) quarantine: Quarantine<'a>,
    pub(super) staging: Staging<'a>,
    pub(super) monitor: &'a dyn Monitor,
    /// Why the run is at its end before the end.
    pub(super) broken: Option<RepairError>,
}

impl Actor<'_> {
    /// Does what is to be done about some findings of one kind.
    pub(super) fn some(&mut self, findings: &[Finding]) -> Vec<Mended> {
        let decisions: Vec<Decision> = findings
            .iter()
            .map(|finding| self.decider.decide(finding))
            .collect();
        let rows = match self.rows(findings, &decisions) {
            Ok(rows) => rows,
            Err(error) => {
                self.broken.get_or_insert(error);
                HashMap::new()
            }
        };
        let mut ready: Vec<Ready> = decisions
            .iter()
            .map(|decision| self.ready(decision, &rows))
            .collect();
        let steps: Vec<Step> = ready.iter().flat_map(Ready::steps).cloned().collect();
        if let Err(error) = self.journal.write(&steps) {
            self.broken.get_or_insert(error);
            for each in &mut ready {
                self.give_up(each);
            }
        }
        let mut mended: Vec<Mended> = decisions
            .iter()
            .zip(&ready)
            .map(|(decision, ready)| self.act(decision, ready))
            .collect();
        self.look_once_more(findings, &decisions, &ready, &mut mended);
        mended
    }

    /// Puts on disk what was done, once for all: until then, a power cut leaves some steps as if they
    /// had not been taken, in the order in which they were.
    pub(super) fn sync(&mut self) {
        if self.journal.has_begun()
            && let Err(error) = files::sync(self.tree)
        {
            self.broken.get_or_insert(error.into());
        }
    }

    /// The rows of the names concerned, as they are now. Without a live database, none.
    fn rows(
        &self,
        findings: &[Finding],
        decisions: &[Decision],
    ) -> Result<HashMap<RepositoryName, RowNow>, RepairError> {
        let mut rows: HashMap<RepositoryName, RowNow> = HashMap::new();
        let Some(live) = self.live.filter(|_| self.broken.is_none()) else {
            return Ok(rows);
        };
        let names: Vec<(RepositoryName, Vec<i32>)> = findings
            .iter()
            .zip(decisions)
            .filter_map(|(finding, decision)| {
                let name = decision.name()?;
                Some((name, finding.pfile.into_iter().collect()))
            })
            .collect();
        if names.is_empty() {
            return Ok(rows);
        }
        for (name, row) in live.rows_now(&names)? {
            // Several rows may have one name: what uses any of them uses the file.
            let all = rows.entry(name).or_default();
            all.exists |= row.exists;
            all.in_gold |= row.in_gold;
            all.in_files |= row.in_files;
        }
        Ok(rows)
    }

    fn ready(&mut self, decision: &Decision, rows: &HashMap<RepositoryName, RowNow>) -> Ready {
        let work = match decision {
            Decision::Leave(why) => return Ready::Left(why.clone()),
            Decision::Do(work) => work,
        };
        if self.monitor.stopped() {
            self.broken.get_or_insert(RepairError::Stopped);
        }
        if self.broken.is_some() {
            return Ready::Left("the run ended before it".to_owned());
        }
        let now = |name: &RepositoryName| {
            self.live
                .map(|_| rows.get(name).copied().unwrap_or_default())
        };
        let ready = match work {
            Work::OpenUp { path } => self.open_up(path),
            Work::PutBack(work) => match now(&work.name) {
                Some(row) if !uses(row, work.ty) => {
                    Ok(Ready::Settled("no upload needs it any more".to_owned()))
                }
                _ => self.put_back(work),
            },
            Work::SetRight { name, ty, from } => match now(name) {
                Some(row) if !uses(row, *ty) => {
                    Ok(Ready::Left("no upload needs it any more".to_owned()))
                }
                _ => self.set_right(name, *ty, from),
            },
            Work::SetAside(aside) => {
                let row = aside.name().and_then(|name| now(&name));
                self.set_aside(aside, row)
            }
            Work::Clear { path } => self.clear(path),
        };
        ready.unwrap_or_else(|error| {
            let why = error.to_string();
            self.broken.get_or_insert(error);
            Ready::Left(why)
        })
    }

    fn open_up(&mut self, path: &TreePath) -> Result<Ready, RepairError> {
        let mut opener = Opener {
            tree: self.tree,
            journal: &mut self.journal,
            monitor: self.monitor,
        };
        let opened = opener.open_up(path)?;
        Ok(match (opened.left, opened.why) {
            (0, _) if opened.changed == 0 => Ready::Settled("FOSSology gets at it now".to_owned()),
            (0, _) => Ready::Done(format!("changed: {}", opened.changed)),
            (left, why) => Ready::Left(format!(
                "changed: {}, left: {left} ({})",
                opened.changed,
                why.unwrap_or_default()
            )),
        })
    }

    fn put_back(&mut self, work: &PutBack) -> Result<Ready, RepairError> {
        let old = match self.tree.meta(&work.path) {
            Ok(meta) => Some(meta),
            Err(error) if is_absent(&error) => None,
            Err(error) => return Ok(Ready::Left(error.to_string())),
        };
        match &old {
            None if self.tree.has_in_place(work.ty, &work.name) && !work.is_bad => {
                return Ok(Ready::Settled("it is in its place now".to_owned()));
            }
            None => {}
            Some(meta) if !meta.is_file() => {
                return Ok(Ready::Left(
                    "no regular file stands in its place".to_owned(),
                ));
            }
            Some(_) => match self.is_bad(&work.path, &work.name)? {
                Ok(true) => {}
                Ok(false) => return Ok(Ready::Settled("its contents are good now".to_owned())),
                Err(why) => return Ok(Ready::Left(why)),
            },
        }
        let (staged, from) = match self.good_copy(work)? {
            Ok(found) => found,
            Err(why) => return Ok(Ready::Left(why)),
        };
        let step = match old {
            None => Step::Put {
                path: work.path.clone(),
                staged: staged.path,
                inode: staged.inode,
            },
            Some(old) => match self.quarantine.place_for(&work.path) {
                Ok(to) => Step::Replace {
                    path: work.path.clone(),
                    staged: staged.path,
                    inode: staged.inode,
                    to,
                    old: old.inode,
                },
                Err(error) => {
                    self.staging.discard(&staged.path);
                    return Ok(Ready::Left(error.to_string()));
                }
            },
        };
        Ok(Ready::Steps {
            steps: vec![step],
            from: Some(from),
            why: None,
        })
    }

    /// Whether the contents of a file are bad for certain; the inner error says why that is not
    /// known.
    fn is_bad(
        &mut self,
        path: &TreePath,
        name: &RepositoryName,
    ) -> Result<Result<bool, String>, RepairError> {
        match self.staging.proves(path, name) {
            Ok(holds) => Ok(Ok(!holds)),
            Err(_) if self.monitor.stopped() => Err(RepairError::Stopped),
            // The medium says so; anything else may be about this process only.
            Err(error) if Errno::from_io_error(&error) == Some(Errno::IO) => Ok(Ok(true)),
            Err(error) => Ok(Err(format!("it cannot be read: {error}"))),
        }
    }

    /// A good copy, waiting for its place, and where it came from; or why there is none.
    fn good_copy(
        &mut self,
        work: &PutBack,
    ) -> Result<Result<(Staged, String), String>, RepairError> {
        let (name, ty, to) = (&work.name, work.ty, &work.path);
        let mut troubles = Vec::new();
        for from in self.decider.copies(work) {
            if !self.tree.has(&from, name) {
                continue;
            }
            match self.staging.copy_in_tree(&from, name, ty, to) {
                Ok(staged) => return Ok(Ok((staged, path_text(&from).0))),
                Err(NoCopy::Bad(why)) => troubles.push(why),
                Err(NoCopy::Broken(error)) => return Err(error),
            }
        }
        for from in self.decider.stored(name) {
            match self.staging.copy_in_store(Path::new(&from), name, ty, to) {
                Ok(staged) => return Ok(Ok((staged, from))),
                Err(NoCopy::Bad(why)) => troubles.push(why),
                Err(NoCopy::Broken(error)) => return Err(error),
            }
        }
        if let (Some(fetcher), Some(first)) = (self.fetcher, work.urls.first()) {
            match self.staging.fetched(fetcher, &work.urls, name, ty, to) {
                Ok(staged) => return Ok(Ok((staged, first.clone()))),
                Err(NoCopy::Bad(why)) => troubles.push(why),
                Err(NoCopy::Broken(error)) => return Err(error),
            }
        }
        Ok(Err(match troubles.is_empty() {
            true => "the good copy is not there any more".to_owned(),
            false => troubles.join("; "),
        }))
    }

    fn set_right(
        &mut self,
        name: &RepositoryName,
        ty: RepositoryType,
        from: &TreePath,
    ) -> Result<Ready, RepairError> {
        let meta = match self.regular(from) {
            Ok(meta) => meta,
            Err(ready) => return Ok(ready),
        };
        let Some(to) = self.tree.layout().places(ty, name).into_iter().next() else {
            return Ok(Ready::Left("FOSSology has no place for it".to_owned()));
        };
        if self.tree.meta(&to).is_ok() {
            return Ok(match self.is_bad(&to, name)? {
                Ok(false) => Ready::Settled("a good copy stands in its place now".to_owned()),
                Ok(true) => Ready::Left("a bad file stands in its place".to_owned()),
                Err(why) => Ready::Left(why),
            });
        }
        match self.is_bad(from, name)? {
            Ok(false) => {}
            Ok(true) => {
                return Ok(Ready::Left(
                    "its contents are not what its name says".to_owned(),
                ));
            }
            Err(why) => return Ok(Ready::Left(why)),
        }
        let place = make_directory_by(self.tree, &to.parent(), Sync::Later)
            .and_then(|directory| Ok(rustix::fs::fstat(&directory)?.st_dev));
        let device = match place {
            Ok(device) => device,
            Err(error) => return Ok(Ready::Left(error.to_string())),
        };
        // A file that FOSSology cannot read, or on another file system, is copied instead.
        if device == meta.device && self.tree.access().to_file(&meta).is_none() {
            return Ok(Ready::of(vec![Step::Move {
                path: from.clone(),
                to,
                inode: meta.inode,
            }]));
        }
        let staged = match self.staging.copy_in_tree(from, name, ty, &to) {
            Ok(staged) => staged,
            Err(NoCopy::Bad(why)) => return Ok(Ready::Left(why)),
            Err(NoCopy::Broken(error)) => return Err(error),
        };
        let put = Step::Put {
            path: to,
            staged: staged.path,
            inode: staged.inode,
        };
        Ok(match self.quarantine.place_for(from) {
            Ok(aside) => Ready::of(vec![
                put,
                Step::Take {
                    path: from.clone(),
                    to: aside,
                    inode: meta.inode,
                },
            ]),
            Err(error) => Ready::Left(error.to_string()),
        })
    }

    fn set_aside(&mut self, aside: &SetAside, row: Option<RowNow>) -> Result<Ready, RepairError> {
        let meta = match self.regular(&aside.path) {
            Ok(meta) => meta,
            Err(ready) => return Ok(ready),
        };
        if let Some(why) = age::too_young(&meta, self.options.min_age) {
            return Ok(Ready::Left(why));
        }
        let obstacle = match aside.because {
            Because::Unknown(_) | Because::Unused(..) | Because::LeftOver
                if self.live.is_none() =>
            {
                Some("only the live database can tell that nothing needs it")
            }
            Because::Unknown(_) => row
                .is_some_and(|row| row.exists)
                .then_some("a row knows it now"),
            Because::Unused(_, ty) => row
                .is_some_and(|row| uses(row, ty))
                .then_some("an upload uses it now"),
            Because::LeftOver => None,
            Because::Doubled(name, ty) => {
                let places = self.tree.layout().places(ty, &name);
                let first = places.iter().find(|path| self.tree.meta(path).is_ok());
                let is_doubled = match first.filter(|first| **first != aside.path) {
                    Some(first) => matches!(self.is_bad(first, &name)?, Ok(false)),
                    None => false,
                };
                (!is_doubled).then_some("no good copy stands where FOSSology looks first")
            }
            Because::Bad(name) => match self.is_bad(&aside.path, &name)? {
                Ok(true) => None,
                Ok(false) => {
                    return Ok(Ready::Settled("its contents are good now".to_owned()));
                }
                Err(why) => return Ok(Ready::Left(why)),
            },
        };
        if let Some(why) = obstacle {
            return Ok(Ready::Left(why.to_owned()));
        }
        Ok(match self.quarantine.place_for(&aside.path) {
            Ok(to) => Ready::of(vec![Step::Take {
                path: aside.path.clone(),
                to,
                inode: meta.inode,
            }]),
            Err(error) => Ready::Left(error.to_string()),
        })
    }

    /// A temporary tree: what is in it goes, entry by entry, and it stays itself.
    fn clear(&mut self, path: &TreePath) -> Result<Ready, RepairError> {
        let Some(live) = self.live else {
            return Ok(Ready::Left(
                "only the live database can tell that no job uses it".to_owned(),
            ));
        };
        let in_use_since = live
            .temporary_trees_in_use_since()?
            .map(|since| since.div_euclid(1_000_000).saturating_sub(CLOCK_SLACK));
        let names = match age::entries(self.tree, path) {
            Ok(names) => names,
            Err(error) if is_absent(&error) => {
                return Ok(Ready::Settled("it is not there any more".to_owned()));
            }
            Err(error) => return Ok(Ready::Left(error.to_string())),
        };
        let (mut steps, mut left) = (Vec::new(), Vec::new());
        for name in names {
            let path = path.join(&name);
            let Ok(meta) = self.tree.meta(&path) else {
                continue;
            };
            if in_use_since.is_some_and(|since| meta.modified > since) {
                left.push("a job that has no end may be using it".to_owned());
            } else if let Some(why) = age::too_young(&meta, self.options.min_age) {
                left.push(why);
            } else {
                match self.quarantine.place_for(&path) {
                    Ok(to) => steps.push(Step::Take {
                        path,
                        to,
                        inode: meta.inode,
                    }),
                    Err(error) => left.push(error.to_string()),
                }
            }
        }
        Ok(match (steps.is_empty(), left.first()) {
            (true, None) => Ready::Settled("there is nothing in it now".to_owned()),
            (true, Some(why)) => Ready::Left(why.clone()),
            (false, None) => Ready::of(steps),
            (false, Some(why)) => Ready::Steps {
                steps,
                from: None,
                why: Some(format!("left in it: {}, of the first {why}", left.len())),
            },
        })
    }

    /// What stands at a path, where that is a regular file.
    fn regular(&self, path: &TreePath) -> Result<Meta, Ready> {
        match self.tree.meta(path) {
            Ok(meta) if meta.is_file() => Ok(meta),
            Ok(_) => Err(Ready::Left("it is no regular file".to_owned())),
            Err(error) if is_absent(&error) => {
                Err(Ready::Settled("it is not there any more".to_owned()))
            }
            Err(error) => Err(Ready::Left(error.to_string())),
        }
    }

    /// Takes the steps of a finding; what cannot be taken ends it.
    fn act(&self, decision: &Decision, ready: &Ready) -> Mended {
        let work = match decision {
            Decision::Do(work) => Some(work),
            Decision::Leave(_) => None,
        };
        let mending = |status, why| Mending {
            action: work.map(Work::action),
            status,
            from: None,
            to: None,
            why,
        };
        let mends = work.is_some_and(Work::mends);
        let (steps, from, why) = match ready {
            Ready::Steps { steps, from, why } => (steps, from, why),
            Ready::Settled(why) => {
                return Mended {
                    mending: mending(MendingStatus::Done, Some(why.clone())),
                    is_mended: true,
                    work: work.cloned(),
                };
            }
            Ready::Done(why) => {
                return Mended {
                    mending: mending(MendingStatus::Done, Some(why.clone())),
                    is_mended: mends,
                    work: work.cloned(),
                };
            }
            Ready::Left(why) => {
                return Mended {
                    mending: mending(MendingStatus::Left, Some(why.clone())),
                    is_mended: false,
                    work: work.cloned(),
                };
            }
        };
        let mut to = None;
        let mut trouble = None;
        for step in steps {
            match steps::take(self.tree, step) {
                Taken::Done => to = to.or_else(|| step.target()),
                Taken::Nothing => {}
                Taken::Left(why) => {
                    self.staging.discard_of(step);
                    trouble.get_or_insert(why);
                    break;
                }
            }
        }
        let status = match trouble {
            None => MendingStatus::Done,
            Some(_) => MendingStatus::Left,
        };
        Mended {
            is_mended: status == MendingStatus::Done && mends && why.is_none(),
            mending: Mending {
                from: from.clone(),
                to: to.map(|to| path_text(to).0),
                ..mending(status, trouble.or_else(|| why.clone()))
            },
            work: work.cloned(),
        }
    }

    /// Whoever began to use a file between the last look at its rows and its move has it back.
    fn look_once_more(
        &mut self,
        findings: &[Finding],
        decisions: &[Decision],
        ready: &[Ready],
        mended: &mut [Mended],
    ) {
        let moved: Vec<usize> = (0..mended.len())
            .filter(|index| mended[*index].mending.status == MendingStatus::Done)
            .filter(|index| !ready[*index].steps().is_empty())
            .filter(|index| decisions[*index].unneeded().is_some())
            .collect();
        let Some(live) = self.live.filter(|_| !moved.is_empty()) else {
            return;
        };
        let names: Vec<(RepositoryName, Vec<i32>)> = moved
            .iter()
            .filter_map(|index| {
                Some((
                    decisions[*index].name()?,
                    findings[*index].pfile.into_iter().collect(),
                ))
            })
            .collect();
        let rows = match live.rows_now(&names) {
            Ok(rows) => rows,
            Err(error) => {
                // They were in nobody's use a moment ago, and can be put back: that is said.
                self.broken.get_or_insert(error.into());
                return;
            }
        };
        for (name, row) in rows {
            for index in &moved {
                let in_use = match decisions[*index].unneeded() {
                    Some((other, _)) if other != name => false,
                    Some((_, None)) => row.exists,
                    Some((_, Some(ty))) => uses(row, ty),
                    None => false,
                };
                if in_use {
                    self.give_back(&ready[*index], &mut mended[*index]);
                }
            }
        }
    }

    fn give_back(&self, ready: &Ready, mended: &mut Mended) {
        for step in ready.steps().iter().rev() {
            let why = match steps::take_back(self.tree, &self.quarantine, step) {
                Taken::Left(why) => format!("an upload uses it now, and it is not back: {why}"),
                Taken::Done | Taken::Nothing => "an upload uses it now: it is back".to_owned(),
            };
            mended.is_mended = false;
            mended.mending.status = MendingStatus::Left;
            mended.mending.why = Some(why);
        }
    }

    /// Nothing is done without its journal.
    fn give_up(&self, ready: &mut Ready) {
        for step in ready.steps() {
            self.staging.discard_of(step);
        }
        if let Ready::Steps { .. } = ready {
            *ready = Ready::Left("the run ended before it".to_owned());
        }
    }
}

impl Ready {
    fn steps(&self) -> &[Step] {
        match self {
            Ready::Steps { steps, .. } => steps,
            _ => &[],
        }
    }

    fn of(steps: Vec<Step>) -> Ready {
        Ready::Steps {
            steps,
            from: None,
            why: None,
        }
    }
}

impl Decision {
    /// The name that it is about.
    fn name(&self) -> Option<RepositoryName> {
        match self {
            Decision::Do(Work::PutBack(work)) => Some(work.name),
            Decision::Do(Work::SetRight { name, .. }) => Some(*name),
            Decision::Do(Work::SetAside(aside)) => aside.name(),
            _ => None,
        }
    }

    /// The name of a file that goes because no row knows it, or none uses it as a file of this type.
    fn unneeded(&self) -> Option<(RepositoryName, Option<RepositoryType>)> {
        match self {
            Decision::Do(Work::SetAside(aside)) => match aside.because {
                Because::Unknown(name) => Some((name, None)),
                Because::Unused(name, ty) => Some((name, Some(ty))),
                _ => None,
            },
            _ => None,
        }
    }
}

impl SetAside {
    fn name(&self) -> Option<RepositoryName> {
        match self.because {
            Because::Unknown(name)
            | Because::Unused(name, _)
            | Because::Doubled(name, _)
            | Because::Bad(name) => Some(name),
            Because::LeftOver => None,
        }
    }
}

/// Whether rows use a name as a file of a type: every gold is in files too.
fn uses(row: RowNow, ty: RepositoryType) -> bool {
    row.in_gold || (ty != RepositoryType::Gold && row.in_files)
}
