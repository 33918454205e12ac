//! Taking a step, and taking it back.
//!
//! A step is looked at once more right before it is taken: what stands at its path must be what was
//! judged, by its inode. Nothing that stands in a place is ever overwritten but by [`Step::Replace`],
//! which gives the old file its second name in the quarantine first.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use super::journal::{Rights, Step};
use crate::recover::place::{last_name, make_directory, open_directory, rename};
use crate::recover::quarantine::Quarantine;
use crate::repository::{Meta, Tree, TreePath};

/// What came of a step, or of taking one back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is done.
    Done,
    /// There was nothing to do.
    Nothing,
    /// It was left, and why.
    Left(String),
}

/// What stands there is not what was judged.
const CHANGED: &str = "it was changed meanwhile";
/// Something stands where something should go.
const OCCUPIED: &str = "something else stands in its place now";

/// Takes a step.
pub(super) fn take(tree: &Tree, step: &Step) -> Taken {
    let result = match step {
        Step::Take { path, to, inode } | Step::Move { path, to, inode } => {
            match inode_at(tree, path) {
                Ok(Some(there)) if there == *inode => move_to(tree, path, to),
                Ok(Some(_)) => return left(CHANGED),
                Ok(None) => return left("it is not there any more"),
                Err(error) => Err(error),
            }
        }
        Step::Put { path, staged, .. } => move_to(tree, staged, path),
        Step::Replace {
            path,
            staged,
            to,
            old,
            ..
        } => match inode_at(tree, path) {
            Ok(Some(there)) if there == *old => replace(tree, path, staged, to),
            Ok(_) => return left(CHANGED),
            Err(error) => Err(error),
        },
        Step::Mode {
            path,
            inode,
            old,
            new,
        } => set_rights(tree, path, *inode, *old, *new),
        Step::Sha256 { .. } => return Taken::Nothing,
    };
    match result {
        Ok(true) => Taken::Done,
        Ok(false) => left(CHANGED),
        Err(error) if Errno::from_io_error(&error) == Some(Errno::EXIST) => left(OCCUPIED),
        Err(error) => Taken::Left(error.to_string()),
    }
}

/// Takes a step back, as far as it was taken: whatever stands anywhere now stays.
pub(super) fn take_back(tree: &Tree, quarantine: &Quarantine<'_>, step: &Step) -> Taken {
    let result = match step {
        Step::Take { path, to, inode } => match (inode_at(tree, path), inode_at(tree, to)) {
            // It was never taken, or was taken back before.
            (Ok(Some(there)), Ok(None)) if there == *inode => return Taken::Nothing,
            (Ok(Some(_)), Ok(Some(_))) => return left(OCCUPIED),
            (Ok(_), Ok(None)) => return left("it is not in the quarantine any more"),
            (Ok(None), Ok(Some(_))) => move_to(tree, to, path),
            (Err(error), _) | (_, Err(error)) => Err(error),
        },
        Step::Move { path, to, inode } => match (inode_at(tree, path), inode_at(tree, to)) {
            (Ok(None), Ok(Some(there))) if there == *inode => move_to(tree, to, path),
            (Ok(Some(there)), _) if there == *inode => return Taken::Nothing,
            (Ok(Some(_)), Ok(_)) => return left(OCCUPIED),
            (Ok(None), Ok(_)) => return left(CHANGED),
            (Err(error), _) | (_, Err(error)) => Err(error),
        },
        Step::Put { path, inode, .. } => match inode_at(tree, path) {
            Ok(Some(there)) if there == *inode => quarantine
                .place_for(path)
                .and_then(|to| move_to(tree, path, &to)),
            Ok(Some(_)) => return left(CHANGED),
            Ok(None) => return Taken::Nothing,
            Err(error) => Err(error),
        },
        Step::Replace {
            path,
            inode,
            to,
            old,
            ..
        } => match (inode_at(tree, path), inode_at(tree, to)) {
            (Ok(Some(there)), Ok(Some(kept))) if there == *inode && kept == *old => quarantine
                .place_for(path)
                .and_then(|aside| replace(tree, path, to, &aside)),
            (Ok(Some(there)), _) if there == *old => return Taken::Nothing,
            (Ok(Some(there)), Ok(_)) if there == *inode => {
                return left("what stood there before is not in the quarantine any more");
            }
            (Ok(None), Ok(Some(kept))) if kept == *old => move_to(tree, to, path),
            (Ok(_), Ok(_)) => return left(CHANGED),
            (Err(error), _) | (_, Err(error)) => Err(error),
        },
        Step::Mode {
            path,
            inode,
            old,
            new,
        } => match tree.meta(path) {
            Ok(meta) if rights_of(&meta) == *old => return Taken::Nothing,
            Ok(_) => set_rights(tree, path, *inode, *new, *old),
            Err(error) => Err(error),
        },
        Step::Sha256 { .. } => return Taken::Nothing,
    };
    match result {
        Ok(true) => Taken::Done,
        Ok(false) => left(CHANGED),
        Err(error) if Errno::from_io_error(&error) == Some(Errno::EXIST) => left(OCCUPIED),
        Err(error) => Taken::Left(error.to_string()),
    }
}

/// Whether a step was taken, and can be taken back, as far as that shows.
pub(super) fn is_taken(tree: &Tree, step: &Step) -> bool {
    let at = |path| inode_at(tree, path).ok().flatten();
    match step {
        Step::Take { path, to, .. } => at(path).is_none() && at(to).is_some(),
        Step::Move { path, to, inode } => at(path).is_none() && at(to) == Some(*inode),
        Step::Put { path, inode, .. } => at(path) == Some(*inode),
        Step::Replace {
            path,
            inode,
            to,
            old,
            ..
        } => at(path) == Some(*inode) && at(to) == Some(*old),
        Step::Mode {
            path, inode, new, ..
        } => tree
            .meta(path)
            .is_ok_and(|meta| meta.inode == *inode && rights_of(&meta) == *new),
        Step::Sha256 { .. } => true,
    }
}

fn left(why: &str) -> Taken {
    Taken::Left(why.to_owned())
}

/// Owner, group and mode.
pub(super) fn rights_of(meta: &Meta) -> Rights {
    Rights {
        uid: meta.uid,
        gid: meta.gid,
        mode: meta.mode & 0o7777,
    }
}

/// The inode of what stands at a path, whatever it is.
fn inode_at(tree: &Tree, path: &TreePath) -> io::Result<Option<u64>> {
    match tree.meta(path) {
        Ok(meta) => Ok(Some(meta.inode)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether nothing stands at a path, nor can: a directory above it is no directory.
pub(super) fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Renames; never over what is there, and never through a link.
fn move_to(tree: &Tree, from: &TreePath, to: &TreePath) -> io::Result<bool> {
    let source = open_directory(tree, &from.parent())?;
    let target = make_directory(tree, &to.parent())?;
    rename(&source, &last_name(from)?, &target, &last_name(to)?)?;
    Ok(true)
}

/// Has `staged` take the place of `path`, which is at `to` from then on. In between it has both
/// names, so that no moment is without it; only where the file system has no hard links is the place
/// empty for a moment.
fn replace(tree: &Tree, path: &TreePath, staged: &TreePath, to: &TreePath) -> io::Result<bool> {
    let source = open_directory(tree, &staged.parent())?;
    let target = open_directory(tree, &path.parent())?;
    let aside = make_directory(tree, &to.parent())?;
    let (name, old, kept) = (last_name(path)?, last_name(staged)?, last_name(to)?);
    match rustix::fs::linkat(&target, &*name, &aside, &*kept, AtFlags::empty()) {
        Ok(()) => rustix::fs::renameat(&source, &*old, &target, &*name)?,
        Err(Errno::PERM | Errno::OPNOTSUPP | Errno::MLINK) => {
            rename(&target, &name, &aside, &kept)?;
            rename(&source, &old, &target, &name)?;
        }
        Err(error) => return Err(error.into()),
    }
    Ok(true)
}

/// Sets owner, group and mode, where they are still what they were; false when they are not.
fn set_rights(
    tree: &Tree,
    path: &TreePath,
    inode: u64,
    old: Rights,
    new: Rights,
) -> io::Result<bool> {
    let handle = open_path(tree, path)?;
    let stat = rustix::fs::fstat(&handle)?;
    let there = Rights {
        uid: stat.st_uid,
        gid: stat.st_gid,
        mode: stat.st_mode & 0o7777,
    };
    if stat.st_ino != inode || there != old {
        return Ok(false);
    }
    if (new.uid, new.gid) != (old.uid, old.gid) {
        let (uid, gid) = (Uid::from_raw(new.uid), Gid::from_raw(new.gid));
        rustix::fs::chownat(&handle, "", Some(uid), Some(gid), AtFlags::EMPTY_PATH)?;
    }
    // The handle reads nothing, for that may not be allowed; a mode is set by its name in /proc, which
    // no symbolic link can lead elsewhere. After the owner: a change of owner takes the set-id bits
    // away.
    let name = format!("/proc/self/fd/{}", handle.as_raw_fd());
    rustix::fs::chmodat(CWD, name, Mode::from_raw_mode(new.mode), AtFlags::empty())?;
    Ok(true)
}

/// A handle on a file or directory itself, which may neither read nor write it.
fn open_path(tree: &Tree, path: &TreePath) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let parent = open_directory(tree, &path.parent())?;
    Ok(rustix::fs::openat(
        &parent,
        &*last_name(path)?,
        flags,
        Mode::empty(),
    )?)
}
