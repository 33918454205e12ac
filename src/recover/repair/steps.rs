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
use crate::recover::place::{Sync, last_name, make_directory_by, open_directory, rename};
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

/// A rename cannot do it.
const ELSEWHERE: &str = "it is on another file system than the directory of its host, and fogold moves files only \
                         within one: do it by hand, or mount that file system at the host's directory";

/// Takes a step.
pub(super) fn take(tree: &Tree, step: &Step) -> Taken {
    let result = match step {
        Step::Take { path, to, inode } | Step::Move { path, to, inode } => {
            match inode_at(tree, path) {
                Ok(Some(there)) if there == *inode => move_this(tree, path, to, *inode),
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
    came_of(result)
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
    came_of(result)
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
        // The tree shows nothing of rows.
        Step::Sha256 { .. } => false,
    }
}

fn came_of(result: io::Result<bool>) -> Taken {
    match result {
        Ok(true) => Taken::Done,
        Ok(false) => left(CHANGED),
        Err(error) => match Errno::from_io_error(&error) {
            Some(Errno::EXIST) => left(OCCUPIED),
            Some(Errno::XDEV) => left(ELSEWHERE),
            _ => Taken::Left(error.to_string()),
        },
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

/// Renames what was judged; what took its place in the last moment goes back.
fn move_this(tree: &Tree, from: &TreePath, to: &TreePath, inode: u64) -> io::Result<bool> {
    move_to(tree, from, to)?;
    if inode_at(tree, to)? == Some(inode) {
        return Ok(true);
    }
    move_to(tree, to, from)?;
    Ok(false)
}

/// Renames; never over what is there, and never through a link.
fn move_to(tree: &Tree, from: &TreePath, to: &TreePath) -> io::Result<bool> {
    let source = open_directory(tree, &from.parent())?;
    let target = make_directory_by(tree, &to.parent(), Sync::Later)?;
    rename(&source, &last_name(from)?, &target, &last_name(to)?)?;
    Ok(true)
}

/// Has `staged` take the place of `path`, which is at `to` from then on. In between it has both
/// names, so that no moment is without it; only where the file system has no hard links is the place
/// empty for a moment.
fn replace(tree: &Tree, path: &TreePath, staged: &TreePath, to: &TreePath) -> io::Result<bool> {
    let source = open_directory(tree, &staged.parent())?;
    let target = open_directory(tree, &path.parent())?;
    let aside = make_directory_by(tree, &to.parent(), Sync::Later)?;
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;

    use super::*;
    use crate::repository::{Access, Layout};
    use crate::sysconf::HostTable;

    fn tree(root: &Path) -> Tree {
        let layout = Layout {
            depth: 3,
            hosts: HostTable::of_found_hosts(["h".to_owned()]),
        };
        Tree::open(root, layout, Access::default()).unwrap()
    }

    fn path(text: &str) -> TreePath {
        TreePath(text.as_bytes().to_vec())
    }

    /// Writes a file; returns its inode.
    fn write(root: &Path, at: &str, text: &str) -> u64 {
        let at = root.join(at);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::write(&at, text).unwrap();
        fs::metadata(at).unwrap().ino()
    }

    #[test]
    fn what_has_changed_is_neither_taken_nor_taken_back() {
        let root = tempfile::tempdir().unwrap();
        let (root, tree) = (root.path(), tree(root.path()));
        let quarantine = Quarantine::of(&tree, "run");
        let inode = write(root, "h/files/x", "one");
        let step = Step::Take {
            path: path("h/files/x"),
            to: path("h/.fogold/quarantine/run/files/x"),
            inode,
        };
        // Somebody has written it anew before.
        fs::rename(root.join("h/files/x"), root.join("aside")).unwrap();
        write(root, "h/files/x", "two");
        assert_eq!(take(&tree, &step), left(CHANGED));
        fs::rename(root.join("aside"), root.join("h/files/x")).unwrap();
        assert_eq!(take(&tree, &step), Taken::Done);
        assert!(is_taken(&tree, &step));
        // And after.
        write(root, "h/files/x", "three");
        assert_eq!(take_back(&tree, &quarantine, &step), left(OCCUPIED));
        assert_eq!(fs::read_to_string(root.join("h/files/x")).unwrap(), "three");
        fs::remove_file(root.join("h/files/x")).unwrap();
        assert_eq!(take_back(&tree, &quarantine, &step), Taken::Done);
        assert_eq!(take_back(&tree, &quarantine, &step), Taken::Nothing);
        assert_eq!(fs::read_to_string(root.join("h/files/x")).unwrap(), "one");
    }

    #[test]
    fn a_good_copy_takes_the_place_of_a_bad_one_and_gives_it_back() {
        let root = tempfile::tempdir().unwrap();
        let (root, tree) = (root.path(), tree(root.path()));
        let quarantine = Quarantine::of(&tree, "run");
        let step = Step::Replace {
            path: path("h/files/x"),
            staged: path("h/.fogold/staging/x"),
            inode: write(root, "h/.fogold/staging/x", "good"),
            to: path("h/.fogold/quarantine/run/files/x"),
            old: write(root, "h/files/x", "bad"),
        };
        let text = |at: &str| fs::read_to_string(root.join(at)).unwrap();
        assert_eq!(take(&tree, &step), Taken::Done);
        assert_eq!(text("h/files/x"), "good");
        assert_eq!(text("h/.fogold/quarantine/run/files/x"), "bad");
        // A second time there is another file, which nobody has judged.
        assert_eq!(take(&tree, &step), left(CHANGED));
        assert_eq!(take_back(&tree, &quarantine, &step), Taken::Done);
        assert_eq!(text("h/files/x"), "bad");
        assert_eq!(text("h/.fogold/quarantine/run/files/x.1"), "good");
        assert_eq!(take_back(&tree, &quarantine, &step), Taken::Nothing);
        // Where somebody has mended it since, that stays.
        let inode = write(root, "h/.fogold/staging/x", "good");
        let again = match step {
            Step::Replace {
                path,
                staged,
                to,
                old,
                ..
            } => Step::Replace {
                path,
                staged,
                inode,
                to,
                old,
            },
            other => other,
        };
        assert_eq!(take(&tree, &again), Taken::Done);
        fs::rename(root.join("h/files/x"), root.join("aside")).unwrap();
        write(root, "h/files/x", "mended");
        assert_eq!(take_back(&tree, &quarantine, &again), left(CHANGED));
        assert_eq!(text("h/files/x"), "mended");
    }

    #[test]
    fn what_no_rename_can_do_is_said() {
        let came = |errno: Errno| came_of(Err(errno.into()));
        assert_eq!(came(Errno::XDEV), left(ELSEWHERE));
        assert_eq!(came(Errno::EXIST), left(OCCUPIED));
        assert!(matches!(came(Errno::IO), Taken::Left(why) if why.contains("Input/output")));
    }

    #[test]
    fn rights_are_set_only_where_they_are_still_what_they_were() {
        let root = tempfile::tempdir().unwrap();
        let (root, tree) = (root.path(), tree(root.path()));
        let quarantine = Quarantine::of(&tree, "run");
        write(root, "h/files/x", "one");
        let meta = tree.meta(&path("h/files/x")).unwrap();
        let old = rights_of(&meta);
        let step = Step::Mode {
            path: path("h/files/x"),
            inode: meta.inode,
            old,
            new: Rights { mode: 0o660, ..old },
        };
        assert_eq!(take(&tree, &step), Taken::Done);
        assert_eq!(tree.meta(&path("h/files/x")).unwrap().mode & 0o7777, 0o660);
        assert_eq!(take(&tree, &step), left(CHANGED));
        assert_eq!(take_back(&tree, &quarantine, &step), Taken::Done);
        assert_eq!(rights_of(&tree.meta(&path("h/files/x")).unwrap()), old);
        // A link is no file.
        fs::remove_file(root.join("h/files/x")).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", root.join("h/files/x")).unwrap();
        assert_eq!(take(&tree, &step), left(CHANGED));
    }
}
