//! Owners and modes: FOSSology's user and group get what they need, and nobody loses anything.
//!
//! Bits are added, never taken away. The owner is changed only where bits alone do not help, and by
//! root alone. A directory stands for all that is in it: a check reports it, and not each file there.

use std::io;

use rustix::fs::Dir;

use super::error::RepairError;
use super::journal::{Journal, Rights, Step};
use super::steps::{self, Taken, rights_of};
use crate::monitor::Monitor;
use crate::recover::place::{OWN, file_mode, open_directory};
use crate::repository::{Meta, Tree, TreePath};
use crate::sysconf::RepositoryType;

/// What a directory must let FOSSology do.
const DIRECTORY: u32 = 0o2770;
/// The types that have a place in the layout.
const TYPES: [&[u8]; 3] = [b"gold", b"files", b"license"];
/// So many steps are journalled at a time.
const AT_ONCE: usize = 256;

/// What came of opening up.
#[derive(Debug, Default)]
pub(super) struct Opened {
    /// Files and directories that were changed.
    pub(super) changed: u64,
    /// Those that could not be, and why the first could not.
    pub(super) left: u64,
    pub(super) why: Option<String>,
}

/// Opens files and directories up to FOSSology.
pub(super) struct Opener<'a, 'b> {
    pub(super) tree: &'a Tree,
    pub(super) journal: &'b mut Journal<'a>,
    pub(super) monitor: &'a dyn Monitor,
}

impl Opener<'_, '_> {
    /// Opens up a file, or a directory and all that is in it. `.` is the whole repository.
    pub(super) fn open_up(&mut self, path: &TreePath) -> Result<Opened, RepairError> {
        let mut opened = Opened::default();
        let mut waiting = Vec::new();
        let meta = match self.tree.meta(path) {
            Ok(meta) => meta,
            Err(error) => {
                opened.leave(error.to_string());
                return Ok(opened);
            }
        };
        if !meta.is_directory() {
            self.file(path, &meta, &mut waiting, &mut opened);
            self.take(&mut waiting, &mut opened)?;
            return Ok(opened);
        }
        let mut rest = vec![path.clone()];
        while let Some(path) = rest.pop() {
            if self.monitor.stopped() {
                return Err(RepairError::Stopped);
            }
            self.directory(&path, &mut opened)?;
            if let Err(error) = self.entries(&path, &mut rest, &mut waiting, &mut opened) {
                opened.leave(format!("{}: {error}", path.as_path().display()));
            }
            if waiting.len() >= AT_ONCE {
                self.take(&mut waiting, &mut opened)?;
            }
        }
        self.take(&mut waiting, &mut opened)?;
        Ok(opened)
    }

    /// A directory is opened up before it is looked into.
    fn directory(&mut self, path: &TreePath, opened: &mut Opened) -> Result<(), RepairError> {
        let Ok(meta) = self.tree.meta(path) else {
            return Ok(());
        };
        if self.tree.access().to_directory(&meta).is_none() {
            return Ok(());
        }
        let new = self.wanted(&meta, DIRECTORY, |meta| {
            self.tree.access().to_directory(meta).is_none()
        });
        let mut step = Vec::new();
        self.plan(path, &meta, new, &mut step, opened);
        self.take(&mut step, opened)
    }

    fn entries(
        &self,
        path: &TreePath,
        rest: &mut Vec<TreePath>,
        waiting: &mut Vec<Step>,
        opened: &mut Opened,
    ) -> io::Result<()> {
        let directory = open_directory(self.tree, path)?;
        for entry in Dir::read_from(&directory)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") || !self.belongs(path, name) {
                continue;
            }
            let below = if path.0 == b"." {
                TreePath(name.to_vec())
            } else {
                path.join(name)
            };
            match self.tree.meta(&below) {
                Ok(meta) if meta.is_directory() => rest.push(below),
                Ok(meta) if meta.is_file() => self.file(&below, &meta, waiting, opened),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether an entry of a directory is the repository's: above the types, only what leads to them
    /// is.
    fn belongs(&self, path: &TreePath, name: &[u8]) -> bool {
        let is_host = |name: &[u8]| {
            let mut hosts = self.tree.layout().hosts.names();
            hosts.any(|host| host.as_bytes() == name)
        };
        if path.0 == b"." {
            is_host(name) || TYPES.contains(&name)
        } else if is_host(&path.0) {
            TYPES.contains(&name)
        } else {
            name != OWN
        }
    }

    fn file(&self, path: &TreePath, meta: &Meta, waiting: &mut Vec<Step>, opened: &mut Opened) {
        if self.tree.access().to_file(meta).is_none() {
            return;
        }
        let is_gold = path
            .0
            .split(|byte| *byte == b'/')
            .any(|part| part == b"gold");
        let ty = if is_gold {
            RepositoryType::Gold
        } else {
            RepositoryType::Files
        };
        let new = self.wanted(meta, file_mode(ty), |meta| {
            self.tree.access().to_file(meta).is_none()
        });
        self.plan(path, meta, new, waiting, opened);
    }

    /// The rights that are enough; `None` when nothing that this process may do is.
    fn wanted(&self, meta: &Meta, bits: u32, is_enough: impl Fn(&Meta) -> bool) -> Option<Rights> {
        let opened = Meta {
            mode: meta.mode | bits,
            ..*meta
        };
        if is_enough(&opened) {
            return Some(rights_of(&opened));
        }
        let (uid, gid) = self.tree.access().owner();
        let given = Meta {
            uid: uid.unwrap_or(meta.uid),
            gid: gid.unwrap_or(meta.gid),
            ..opened
        };
        let may = rustix::process::geteuid().is_root();
        (may && is_enough(&given)).then(|| rights_of(&given))
    }

    fn plan(
        &self,
        path: &TreePath,
        meta: &Meta,
        new: Option<Rights>,
        waiting: &mut Vec<Step>,
        opened: &mut Opened,
    ) {
        match new {
            Some(new) => waiting.push(Step::Mode {
                path: path.clone(),
                inode: meta.inode,
                old: rights_of(meta),
                new,
            }),
            None => opened.leave("only root may give it to FOSSology's user".to_owned()),
        }
    }

    fn take(&mut self, waiting: &mut Vec<Step>, opened: &mut Opened) -> Result<(), RepairError> {
        self.journal.write(waiting)?;
        for step in waiting.drain(..) {
            match steps::take(self.tree, &step) {
                Taken::Done => opened.changed += 1,
                Taken::Nothing => {}
                Taken::Left(why) => opened.leave(why),
            }
        }
        Ok(())
    }
}

impl Opened {
    fn leave(&mut self, why: String) {
        self.left += 1;
        self.why.get_or_insert(why);
    }
}
