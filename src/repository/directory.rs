//! Reading one directory, relative to a handle, without following symbolic links.

use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir};

use super::meta::Meta;
use super::path::TreePath;

/// Opens a directory below `parent`; a symbolic link in its last component is an error.
pub(super) fn open(parent: impl AsFd, name: impl rustix::path::Arg) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(parent, name, flags, Mode::empty())?)
}

/// What the kernel says of an entry, itself and not what it may point to.
pub(super) fn meta_at(parent: impl AsFd, name: impl rustix::path::Arg) -> io::Result<Meta> {
    let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(Meta::of(&stat))
}

/// What the kernel says of an open directory.
pub(super) fn meta_of(directory: impl AsFd) -> io::Result<Meta> {
    Ok(Meta::of(&rustix::fs::fstat(directory)?))
}

/// What kind of thing an entry is, as far as the directory itself tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EntryKind {
    File,
    Directory,
    Other,
}

/// Room for the entries of a directory, reused from one to the next.
pub(super) struct Buffer(Vec<u8>);

impl Default for Buffer {
    fn default() -> Self {
        Buffer(Vec::with_capacity(32 * 1024))
    }
}

/// The last place in a directory.
const LAST_PLACE: u64 = i64::MAX as u64;

/// Calls `each` for every entry but `.` and `..`. Where the file system does not say what an entry
/// is, it is asked for; an entry that has vanished by then is left out.
pub(super) fn for_each_entry(
    directory: &OwnedFd,
    buffer: &mut Buffer,
    mut each: impl FnMut(&CStr, EntryKind) -> io::Result<()>,
) -> io::Result<()> {
    let room: &mut [MaybeUninit<u8>] = buffer.0.spare_capacity_mut();
    let mut entries = RawDir::new(directory, room);
    let mut next_place = 0;
    // Nothing stands behind the last place that there is, so there is no need to ask for more. ext4
    // and btrfs say that the end is there.
    while !(next_place == LAST_PLACE && entries.is_buffer_empty()) {
        let Some(entry) = entries.next() else {
            break;
        };
        let entry = entry?;
        next_place = entry.next_entry_cookie();
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let kind = match entry.file_type() {
            FileType::RegularFile => EntryKind::File,
            FileType::Directory => EntryKind::Directory,
            FileType::Unknown => match meta_at(directory, name) {
                Ok(meta) if meta.is_file() => EntryKind::File,
                Ok(meta) if meta.is_directory() => EntryKind::Directory,
                Ok(_) => EntryKind::Other,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            },
            _ => EntryKind::Other,
        };
        each(name, kind)?;
    }
    Ok(())
}

/// The names in a directory given by its path, sorted, with their kinds: for the few directories
/// outside the regular layout.
pub(super) fn sorted_entries(
    root: &OwnedFd,
    path: &TreePath,
) -> io::Result<Vec<(Vec<u8>, EntryKind)>> {
    let directory = if path.0.is_empty() {
        open(root, ".")?
    } else {
        open(root, path.as_path())?
    };
    let mut entries = Vec::new();
    for_each_entry(&directory, &mut Buffer::default(), |name, kind| {
        entries.push((name.to_bytes().to_vec(), kind));
        Ok(())
    })?;
    entries.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    Ok(entries)
}
