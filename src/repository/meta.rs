//! What the kernel says of a file or directory.

/// What the kernel says of a file or directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// Length in bytes.
    pub size: u64,
    /// Type and permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Device.
    pub device: u64,
    /// Inode number: with the device, what hard links share.
    pub inode: u64,
    /// Number of hard links.
    pub links: u64,
    /// Last change of contents, seconds since 1970.
    pub modified: i64,
    /// Last change of contents or inode, seconds since 1970.
    pub changed: i64,
}

impl Meta {
    pub(super) fn of(stat: &rustix::fs::Stat) -> Meta {
        Meta {
            size: u64::try_from(stat.st_size).unwrap_or(0),
            mode: stat.st_mode,
            uid: stat.st_uid,
            gid: stat.st_gid,
            device: stat.st_dev,
            inode: stat.st_ino,
            links: stat.st_nlink,
            modified: stat.st_mtime,
            changed: stat.st_ctime,
        }
    }

    /// Whether it is a regular file.
    pub fn is_file(&self) -> bool {
        rustix::fs::FileType::from_raw_mode(self.mode) == rustix::fs::FileType::RegularFile
    }

    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        rustix::fs::FileType::from_raw_mode(self.mode) == rustix::fs::FileType::Directory
    }
}
