//! Putting files into the tree: directories as FOSSology makes them, never through a symbolic
//! link, never over what is there.
//!
//! Every path is walked from the open root, one component at a time, and a link on the way is an
//! error: a tree may be hostile. A file is there whole or not at all: it is linked, or copied beside
//! the tree (in fogold's own directory, which no check looks into), put on disk, and renamed.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Gid, Mode, OFlags, RenameFlags, Uid};
use rustix::io::Errno;

use crate::repository::{Tree, TreePath};
use crate::sysconf::RepositoryType;

/// The directory that holds what is fogold's own, at the root or in a host's directory.
pub const OWN: &[u8] = b".fogold";

/// FOSSology's mode for directories.
const DIRECTORY_MODE: u32 = 0o2770;
/// The mode of a directory that has not got its owner and mode yet: with the sticky bit, which no
/// directory of FOSSology's has.
const IN_THE_MAKING: u32 = 0o1700;
/// FOSSology's modes for files.
const GOLD_MODE: u32 = 0o2664;
const FILE_MODE: u32 = 0o2660;
/// Types, which stand where a host would when no host claims a name.
const TYPES: [&[u8]; 3] = [b"gold", b"files", b"license"];

/// How a file came to its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    /// As a further hard link.
    Linked,
    /// As a copy: links across file systems cannot be made.
    Copied,
    /// Something stands there already, and was left alone.
    Occupied,
}

/// The directory of fogold's own for a path: that of the path's host, so that a rename to it stays
/// on the file system. Also the rest of the path below the host.
pub fn own_directory(path: &TreePath) -> (TreePath, TreePath) {
    let mut parts = path.0.splitn(2, |byte| *byte == b'/');
    let first = parts.next().unwrap_or_default();
    match parts.next() {
        Some(rest) if !TYPES.contains(&first) => {
            (TreePath(first.to_vec()).join(OWN), TreePath(rest.to_vec()))
        }
        _ => (TreePath(OWN.to_vec()), path.clone()),
    }
}

/// Opens a directory of the tree.
pub fn open_directory(tree: &Tree, path: &TreePath) -> io::Result<OwnedFd> {
    walk(tree, path, open_below)
}

/// Opens a directory of the tree; what is missing of it is made, with FOSSology's mode and owner.
pub fn make_directory(tree: &Tree, path: &TreePath) -> io::Result<OwnedFd> {
    make_directory_by(tree, path, Sync::Now)
}

/// When what was made is put on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sync {
    /// Before the call returns.
    Now,
    /// By the caller, for many at once.
    Later,
}

/// As [`make_directory`].
pub(super) fn make_directory_by(tree: &Tree, path: &TreePath, sync: Sync) -> io::Result<OwnedFd> {
    walk(tree, path, |parent, name| {
        match open_below(parent, name) {
            Ok(there) if !is_in_the_making(&there)? => return Ok(there),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                match rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(IN_THE_MAKING)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Err(error) => return Err(error),
        }
        let made = open_below(parent, name)?;
        give(tree, &made, parent, DIRECTORY_MODE)?;
        if sync == Sync::Now {
            rustix::fs::fsync(parent)?;
        }
        Ok(made)
    })
}

/// Whether a directory was made by somebody who was killed before it had its owner and mode.
/// FOSSology could not write into it, and every unpack would fail.
fn is_in_the_making(directory: &OwnedFd) -> io::Result<bool> {
    let mode = Mode::from_raw_mode(rustix::fs::fstat(directory)?.st_mode);
    // The set-group-id bit comes from the directory that it is in.
    Ok(mode.difference(Mode::SGID).bits() == IN_THE_MAKING)
}

/// Puts the file at `from` also at `to`, as a hard link where that can be.
pub fn place(tree: &Tree, from: &TreePath, to: &TreePath) -> io::Result<Placed> {
    let (source, target) = (
        open_directory(tree, &from.parent())?,
        make_directory(tree, &to.parent())?,
    );
    let (old, new) = (last_name(from)?, last_name(to)?);
    let linked = rustix::fs::linkat(&source, &*old, &target, &*new, AtFlags::empty());
    let placed = match linked {
        Ok(()) => Placed::Linked,
        Err(Errno::EXIST) => return Ok(Placed::Occupied),
        // Another file system, one without links, or a file with as many as there can be.
        Err(Errno::XDEV | Errno::PERM | Errno::MLINK | Errno::OPNOTSUPP) => {
            let file = open_file(&source, &old)?;
            match copy(tree, file, to, &target, &new)? {
                true => Placed::Copied,
                false => return Ok(Placed::Occupied),
            }
        }
        Err(error) => return Err(error.into()),
    };
    rustix::fs::fsync(&target)?;
    Ok(placed)
}

/// Opens a regular file for reading, not through a link.
pub fn open_file(directory: impl AsFd, name: &CString) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::openat(
        directory,
        &**name,
        flags,
        Mode::empty(),
    )?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a regular file",
        ));
    }
    Ok(file)
}

/// Creates a file, over what an interrupted run has left of it.
pub(super) fn create(directory: impl AsFd, name: &CString) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(0o600);
    Ok(File::from(rustix::fs::openat(
        directory, &**name, flags, mode,
    )?))
}

/// Renames, and never over something else. Where the file system knows no such renaming (NFS does
/// not), a file gets its second name before it loses the first; only a directory is looked for and
/// then renamed.
pub(super) fn rename(
    from: impl AsFd,
    old: &CString,
    to: impl AsFd,
    new: &CString,
) -> Result<(), Errno> {
    match rustix::fs::renameat_with(&from, &**old, &to, &**new, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {}
        other => return other,
    }
    match rustix::fs::linkat(&from, &**old, &to, &**new, AtFlags::empty()) {
        Ok(()) => return rustix::fs::unlinkat(&from, &**old, AtFlags::empty()),
        Err(Errno::PERM | Errno::OPNOTSUPP) => {}
        Err(error) => return Err(error),
    }
    match rustix::fs::statat(&to, &**new, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => Err(Errno::EXIST),
        Err(Errno::NOENT) => rustix::fs::renameat(&from, &**old, &to, &**new),
        Err(error) => Err(error),
    }
}

/// FOSSology's mode for files of a type.
pub(super) fn file_mode(ty: RepositoryType) -> u32 {
    match ty {
        RepositoryType::Gold => GOLD_MODE,
        _ => FILE_MODE,
    }
}

/// The last component of a path.
pub fn last_name(path: &TreePath) -> io::Result<CString> {
    let name = path.0.rsplit(|byte| *byte == b'/').next();
    CString::new(name.unwrap_or_default()).map_err(io::Error::other)
}

/// Copies a file to `new` in `target`; false when something stands there already.
fn copy(
    tree: &Tree,
    mut file: File,
    to: &TreePath,
    target: &OwnedFd,
    new: &CString,
) -> io::Result<bool> {
    let staging = make_directory(tree, &own_directory(to).0.join(b"staging"))?;
    let half = CString::new(format!("{}-{}", std::process::id(), new.to_string_lossy()))
        .map_err(io::Error::other)?;
    let mut out = create(&staging, &half)?;
    let result = (|| {
        io::copy(&mut file, &mut out)?;
        give(tree, &out, target, FILE_MODE)?;
        out.sync_all()?;
        match rename(&staging, &half, target, new) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            Err(error) => Err(error.into()),
        }
    })();
    if !matches!(result, Ok(true)) {
        // What is left of it lies where nothing looks; that it stays changes nothing.
        let _ = rustix::fs::unlinkat(&staging, &*half, AtFlags::empty());
    }
    result
}

/// Gives what was made FOSSology's owner, where this process may, and its mode. Where this machine
/// does not know FOSSology's user (it may live in a container), the owner is that of the directory.
pub(super) fn give(
    tree: &Tree,
    made: impl AsFd,
    directory: impl AsFd,
    mode: u32,
) -> io::Result<()> {
    if rustix::process::geteuid().is_root() {
        let (user, group) = tree.access().owner();
        let around = rustix::fs::fstat(directory)?;
        let user = Uid::from_raw(user.unwrap_or(around.st_uid));
        let group = Gid::from_raw(group.unwrap_or(around.st_gid));
        rustix::fs::fchown(&made, Some(user), Some(group))?;
    }
    // After the owner: a change of owner takes the set-id bits away.
    rustix::fs::fchmod(&made, Mode::from_raw_mode(mode))?;
    Ok(())
}

/// Opens a directory from the root down, by one step after the other.
fn walk(
    tree: &Tree,
    path: &TreePath,
    mut step: impl FnMut(&OwnedFd, &CString) -> io::Result<OwnedFd>,
) -> io::Result<OwnedFd> {
    let mut directory = tree.root().try_clone()?;
    for part in path
        .0
        .split(|byte| *byte == b'/')
        .filter(|part| !part.is_empty())
    {
        if part == b".." {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a path that leads out of the repository",
            ));
        }
        let name = CString::new(part).map_err(io::Error::other)?;
        directory = step(&directory, &name)?;
    }
    Ok(directory)
}

fn open_below(parent: &OwnedFd, name: &CString) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(parent, &**name, flags, Mode::empty())?)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;
    use crate::repository::{Access, Layout};
    use crate::sysconf::HostTable;

    fn tree(root: &std::path::Path) -> Tree {
        let layout = Layout {
            depth: 3,
            hosts: HostTable::default(),
        };
        Tree::open(root, layout, Access::default()).unwrap()
    }

    fn path(text: &str) -> TreePath {
        TreePath(text.as_bytes().to_vec())
    }

    #[test]
    fn a_link_in_new_directories_of_the_right_mode() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("h/gold/aa")).unwrap();
        fs::write(root.path().join("h/gold/aa/x"), "gold").unwrap();
        let tree = tree(root.path());
        let place_it = || place(&tree, &path("h/gold/aa/x"), &path("h/files/aa/x")).unwrap();
        assert_eq!(place_it(), Placed::Linked);
        let inode = |at: &str| fs::metadata(root.path().join(at)).unwrap().ino();
        assert_eq!(inode("h/gold/aa/x"), inode("h/files/aa/x"));
        for made in ["h/files", "h/files/aa"] {
            let mode = fs::metadata(root.path().join(made)).unwrap().mode();
            assert_eq!(mode & 0o7777, 0o2770, "{made}");
        }
        assert_eq!(place_it(), Placed::Occupied);
    }

    #[test]
    fn what_somebody_was_killed_over_is_finished() {
        let root = tempfile::tempdir().unwrap();
        let at = root.path().join("h");
        fs::create_dir(&at).unwrap();
        let tree = tree(root.path());
        let change = |mode| fs::set_permissions(&at, fs::Permissions::from_mode(mode)).unwrap();
        for (mode, after) in [
            (IN_THE_MAKING, DIRECTORY_MODE),
            (IN_THE_MAKING | 0o2000, DIRECTORY_MODE),
            (0o700, 0o700),
            (0o1770, 0o1770),
        ] {
            change(mode);
            make_directory(&tree, &path("h")).unwrap();
            assert_eq!(
                fs::metadata(&at).unwrap().mode() & 0o7777,
                after,
                "{mode:o}"
            );
        }
    }

    #[test]
    fn what_is_made_has_the_owner_of_what_is_around_it() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("h")).unwrap();
        std::os::unix::fs::chown(root.path().join("h"), Some(1234), Some(2345)).unwrap();
        make_directory(&tree(root.path()), &path("h/files/aa")).unwrap();
        let made = fs::metadata(root.path().join("h/files/aa")).unwrap();
        assert_eq!((made.uid(), made.gid()), (1234, 2345));
        assert_eq!(made.mode() & 0o7777, 0o2770);
    }

    #[test]
    fn a_copy_leaves_nothing_half() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("h/files")).unwrap();
        fs::write(root.path().join("x"), "gold").unwrap();
        let tree = tree(root.path());
        let target = make_directory(&tree, &path("h/files")).unwrap();
        let name = CString::new("x").unwrap();
        let copy_it = || {
            let file = File::open(root.path().join("x")).unwrap();
            copy(&tree, file, &path("h/files/x"), &target, &name).unwrap()
        };
        assert!(copy_it());
        assert_eq!(fs::read(root.path().join("h/files/x")).unwrap(), b"gold");
        assert!(!copy_it(), "what is there is left alone");
        let staging = root.path().join("h/.fogold/staging");
        assert_eq!(fs::read_dir(staging).unwrap().count(), 0);
    }

    #[test]
    fn no_way_leads_out_of_the_tree() {
        let (root, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        symlink(outside.path(), root.path().join("h")).unwrap();
        fs::write(root.path().join("x"), "gold").unwrap();
        let tree = tree(root.path());
        for to in ["h/files/x", "../x", "a/../../x"] {
            assert!(place(&tree, &path("x"), &path(to)).is_err(), "{to}");
        }
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    }
}
