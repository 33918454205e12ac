//! Getting ready: file and row are looked at again, and good copies are made, before anything is
//! written down or done.

use std::collections::HashMap;
use std::path::Path;

use rustix::io::Errno;

use super::act::Actor;
use super::age;
use super::decide::{Because, Decision, PutBack, SetAside, Work};
use super::error::RepairError;
use super::journal::Step;
use super::rights::Opener;
use super::staging::{NoCopy, Staged};
use super::steps::is_absent;
use crate::catalog::RowNow;
use crate::check::path_text;
use crate::recover::place::{Sync, make_directory_by};
use crate::repository::{Meta, RepositoryName, TreePath};
use crate::sysconf::RepositoryType;

/// Clocks of hosts differ: a temporary tree must be so much older than a job, in seconds, to be none
/// of its.
const CLOCK_SLACK: i64 = 60;

/// What is to be done about one finding, ready to be done.
pub(super) enum Ready {
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

impl Actor<'_> {
    /// Looks at files again, and prepares what is to be done.
    pub(super) fn ready(
        &mut self,
        decision: &Decision,
        rows: &HashMap<RepositoryName, RowNow>,
    ) -> Ready {
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
        let meta = match self.regular(from, Some((name, ty)))? {
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
        let wanted = match &aside.because {
            Because::Bad(name, ty) => Some((name, *ty)),
            _ => None,
        };
        let meta = match self.regular(&aside.path, wanted)? {
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
            Because::Bad(name, _) => match self.is_bad(&aside.path, &name)? {
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

    /// What stands at a path, where that is a regular file. `wanted` is what FOSSology misses once
    /// it is gone.
    fn regular(
        &mut self,
        path: &TreePath,
        wanted: Option<(&RepositoryName, RepositoryType)>,
    ) -> Result<Result<Meta, Ready>, RepairError> {
        Ok(match (self.tree.meta(path), wanted) {
            (Ok(meta), _) if meta.is_file() => Ok(meta),
            (Ok(_), _) => Err(Ready::Left("it is no regular file".to_owned())),
            (Err(error), None) if is_absent(&error) => {
                Err(Ready::Settled("it is not there any more".to_owned()))
            }
            (Err(error), Some((name, ty))) if is_absent(&error) => Err(self.vanished(name, ty)?),
            (Err(error), _) => Err(Ready::Left(error.to_string())),
        })
    }

    /// A file that FOSSology needs has vanished: all is well only where a good copy stands.
    fn vanished(
        &mut self,
        name: &RepositoryName,
        ty: RepositoryType,
    ) -> Result<Ready, RepairError> {
        let places = self.tree.layout().places(ty, name);
        let first = places.iter().find(|path| self.tree.meta(path).is_ok());
        if let Some(first) = first
            && self.is_bad(first, name)? == Ok(false)
        {
            return Ok(Ready::Settled(
                "a good copy stands in its place now".to_owned(),
            ));
        }
        Ok(Ready::Left(
            "it is not there any more, and no good copy stands in its place: check again"
                .to_owned(),
        ))
    }
}

impl Ready {
    /// The steps to be taken.
    pub(super) fn steps(&self) -> &[Step] {
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

/// Whether rows use a name as a file of a type: every gold is in files too.
pub(super) fn uses(row: RowNow, ty: RepositoryType) -> bool {
    row.in_gold || (ty != RepositoryType::Gold && row.in_files)
}
