//! What rows say of uploads that no saved catalog holds: whose they are, in which folders they lie,
//! and how long their unpacking took.
//!
//! It is there for a catalog that was just read of a database or a dump, and lost when that is saved:
//! a catalog holds no names of people. Names are bytes, for the database may have no encoding.

use std::collections::HashMap;

use super::rows::Micros;

/// What a database or a dump says besides what a catalog keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Particulars {
    /// `upload.user_fk`, by upload.
    pub users: HashMap<i32, i32>,
    /// How long the last unpack took that completed and processed anything, by upload.
    pub unpack_times: HashMap<i32, Micros>,
    /// Names of users and folders, where they were asked for.
    pub directory: Directory,
}

/// Users and folders. A table that may not be read, or that a dump was made without, is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directory {
    /// `user_name`, by user.
    pub users: Option<HashMap<i32, Vec<u8>>>,
    /// `folder_name`, by folder.
    pub folders: Option<HashMap<i32, Vec<u8>>>,
    /// What lies in which folder.
    pub contents: Option<FolderContents>,
}

/// What lies in which folder. A folder and an upload may lie in several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FolderContents {
    /// Folder and the folder in it.
    pub folders: Vec<(i32, i32)>,
    /// Folder and the upload in it.
    pub uploads: Vec<(i32, i32)>,
}

impl Directory {
    pub(super) fn take_in(&mut self, other: Directory) {
        if let Some(users) = other.users {
            self.users.get_or_insert_default().extend(users);
        }
        if let Some(folders) = other.folders {
            self.folders.get_or_insert_default().extend(folders);
        }
        if let Some(more) = other.contents {
            let contents = self.contents.get_or_insert_default();
            contents.folders.extend(more.folders);
            contents.uploads.extend(more.uploads);
        }
    }

    /// Notes that a table can be read, though it may have no row.
    pub(super) fn note_table(&mut self, table: &str) {
        match table {
            "users" => {
                self.users.get_or_insert_default();
            }
            "folder" => {
                self.folders.get_or_insert_default();
            }
            "foldercontents" => {
                self.contents.get_or_insert_default();
            }
            _ => {}
        }
    }
}
