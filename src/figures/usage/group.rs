//! By what usage is told: which groups there are, and to which of them a pfile belongs.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use serde::Serialize;

use crate::catalog::{Catalog, Directory, FolderContents, Particulars, Pfile, Upload, Use};
use crate::figures::FiguresError;

/// By what usage is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// Each upload.
    Upload,
    /// The users whose uploads they are.
    User,
    /// The folders that uploads lie in, each without those below it.
    Folder,
    /// gold and files.
    Type,
}

impl By {
    /// The word that options and reports use.
    pub fn as_str(self) -> &'static str {
        match self {
            By::Upload => "upload",
            By::User => "user",
            By::Folder => "folder",
            By::Type => "type",
        }
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One upload, user, folder or type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Group {
    /// Its key in the database; none for a type, and for what belongs to nobody.
    pub id: Option<i32>,
    /// What it is called; of a folder, the path to it.
    pub name: String,
    /// How many uploads it has; unknown for a type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uploads: Option<u64>,
}

/// The groups, and the way from an upload to its own.
pub(super) struct Grouping<'a> {
    pub(super) by: By,
    pub(super) groups: Vec<Group>,
    uploads: &'a [Upload],
    /// Where the groups of each upload begin in `members`, and where those of the last one end.
    starts: Vec<u32>,
    members: Vec<u32>,
    /// The group of uploads that have none.
    nobody: u32,
}

/// How far up a folder is followed: folders that lie in each other would have no end.
const DEEPEST: usize = 64;

impl<'a> Grouping<'a> {
    /// The groups that a catalog knows.
    pub(super) fn of(by: By, catalog: &'a Catalog) -> Result<Grouping<'a>, FiguresError> {
        let uploads = &catalog.summary().uploads[..];
        let particulars = |what| {
            let particulars = catalog.particulars();
            particulars.ok_or(FiguresError::NotInCatalog { what })
        };
        Ok(match by {
            By::Type => Grouping::by_type(uploads),
            By::Upload => Grouping::by_upload(uploads),
            By::User => Grouping::by_user(uploads, particulars("whose an upload is")?),
            By::Folder => {
                let directory = &particulars("in which folder an upload lies")?.directory;
                let origin = &catalog.summary().provenance.origin;
                let contents = directory.contents.as_ref();
                let contents = contents.ok_or_else(|| FiguresError::NoFolders {
                    origin: origin.clone(),
                })?;
                Grouping::by_folder(uploads, directory, contents)
            }
        })
    }

    fn by_type(uploads: &'a [Upload]) -> Grouping<'a> {
        let group = |name: &str| Group {
            id: None,
            name: name.to_owned(),
            uploads: None,
        };
        Grouping {
            by: By::Type,
            groups: vec![group("gold"), group("files")],
            uploads,
            starts: Vec::new(),
            members: Vec::new(),
            nobody: 0,
        }
    }

    fn by_upload(uploads: &'a [Upload]) -> Grouping<'a> {
        let mut making = Making::new(By::Upload, uploads, "(uploads without a row)");
        for upload in uploads {
            if !upload.deleted {
                let name = || text(&upload.filename);
                making.member(upload.pk, name);
            }
            making.next_upload(upload.deleted);
        }
        making.finish()
    }

    fn by_user(uploads: &'a [Upload], particulars: &Particulars) -> Grouping<'a> {
        let mut making = Making::new(By::User, uploads, "(no user)");
        let names = particulars.directory.users.as_ref();
        for upload in uploads {
            let user = particulars.users.get(&upload.pk);
            if let (false, Some(user)) = (upload.deleted, user) {
                making.member(*user, || match names.map(|names| names.get(user)) {
                    Some(Some(name)) => text(name),
                    Some(None) => format!("(user {user}, without a row)"),
                    None => format!("(user {user})"),
                });
            }
            making.next_upload(upload.deleted);
        }
        making.finish()
    }

    fn by_folder(
        uploads: &'a [Upload],
        directory: &Directory,
        contents: &FolderContents,
    ) -> Grouping<'a> {
        let mut making = Making::new(By::Folder, uploads, "(in no folder)");
        let mut folders_of: HashMap<i32, Vec<i32>> = HashMap::new();
        for (folder, upload) in &contents.uploads {
            folders_of.entry(*upload).or_default().push(*folder);
        }
        let above: HashMap<i32, i32> = contents
            .folders
            .iter()
            .rev()
            .map(|(parent, child)| (*child, *parent))
            .collect();
        for upload in uploads {
            let folders = folders_of.get(&upload.pk).into_iter().flatten();
            for folder in folders.filter(|_| !upload.deleted) {
                making.member(*folder, || path_of(*folder, directory, &above));
            }
            making.next_upload(upload.deleted);
        }
        making.finish()
    }

    /// The groups that a pfile belongs to, each once.
    pub(super) fn groups_of(&self, pfile: &Pfile, uses: &[Use], found: &mut Vec<u32>) {
        if self.by == By::Type {
            found.extend(pfile.in_gold().then_some(0));
            found.extend(pfile.in_files().then_some(1));
            return;
        }
        for each in uses {
            let at = self
                .uploads
                .binary_search_by_key(&each.upload, |upload| upload.pk);
            match at {
                Ok(at) => {
                    let (from, to) = (self.starts[at] as usize, self.starts[at + 1] as usize);
                    found.extend_from_slice(&self.members[from..to]);
                }
                Err(_) => found.push(self.nobody),
            }
        }
        found.sort_unstable();
        found.dedup();
    }
}

/// A grouping while the uploads are gone through.
struct Making<'a> {
    grouping: Grouping<'a>,
    known: BTreeMap<i32, u32>,
}

impl<'a> Making<'a> {
    /// Nothing yet but the group of uploads that have none.
    fn new(by: By, uploads: &'a [Upload], nobody: &str) -> Making<'a> {
        Making {
            grouping: Grouping {
                by,
                groups: vec![Group {
                    id: None,
                    name: nobody.to_owned(),
                    uploads: Some(0),
                }],
                uploads,
                starts: vec![0],
                members: Vec::new(),
                nobody: 0,
            },
            known: BTreeMap::new(),
        }
    }

    /// The upload that is gone through belongs to a group.
    fn member(&mut self, id: i32, name: impl FnOnce() -> String) {
        let groups = &mut self.grouping.groups;
        let group = *self.known.entry(id).or_insert_with(|| {
            groups.push(Group {
                id: Some(id),
                name: name(),
                uploads: Some(0),
            });
            groups.len() as u32 - 1
        });
        let first = self.grouping.starts.last().map_or(0, |at| *at as usize);
        if !self.grouping.members[first..].contains(&group) {
            self.grouping.members.push(group);
            self.grouping.count(group);
        }
    }

    /// All groups of the upload are known. A deleted one belongs to none, and has nothing.
    fn next_upload(&mut self, deleted: bool) {
        let grouping = &mut self.grouping;
        let first = grouping.starts.last().map_or(0, |at| *at as usize);
        if grouping.members.len() == first && !deleted {
            grouping.members.push(grouping.nobody);
            grouping.count(grouping.nobody);
        }
        grouping.starts.push(grouping.members.len() as u32);
    }

    fn finish(self) -> Grouping<'a> {
        self.grouping
    }
}

impl Grouping<'_> {
    fn count(&mut self, group: u32) {
        let uploads = &mut self.groups[group as usize].uploads;
        *uploads = uploads.map(|uploads| uploads + 1);
    }
}

/// The names of a folder and those above it, as a path.
fn path_of(folder: i32, directory: &Directory, above: &HashMap<i32, i32>) -> String {
    let folders = directory.folders.as_ref();
    let mut names = Vec::new();
    let mut at = Some(folder);
    while let Some(folder) = at.filter(|_| names.len() < DEEPEST) {
        let name = folders.and_then(|folders| folders.get(&folder));
        match (name, folders) {
            (Some(name), _) => names.push(text(name)),
            (None, None) => names.push(format!("(folder {folder})")),
            // What lies above the top folder has no row in every database.
            (None, Some(_)) if names.is_empty() => {
                names.push(format!("(folder {folder}, without a row)"));
            }
            (None, Some(_)) => break,
        }
        at = above.get(&folder).copied().filter(|next| *next != folder);
    }
    names.reverse();
    names.join("/")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(names: &[(i32, &str)]) -> Directory {
        Directory {
            folders: Some(
                names
                    .iter()
                    .map(|(pk, name)| (*pk, name.as_bytes().to_owned()))
                    .collect(),
            ),
            ..Directory::default()
        }
    }

    #[test]
    fn a_folder_is_called_by_its_path() {
        let directory = directory(&[(1, "Top"), (2, "Team"), (3, "Old")]);
        let above = HashMap::from([(2, 1), (3, 2), (1, 9)]);
        assert_eq!(path_of(3, &directory, &above), "Top/Team/Old");
        assert_eq!(path_of(1, &directory, &above), "Top");
        assert_eq!(path_of(7, &directory, &above), "(folder 7, without a row)");
        assert_eq!(path_of(7, &Directory::default(), &above), "(folder 7)");
    }

    #[test]
    fn folders_that_lie_in_each_other_have_an_end() {
        let directory = directory(&[(1, "a"), (2, "b")]);
        let path = path_of(1, &directory, &HashMap::from([(1, 2), (2, 1)]));
        assert_eq!(path.split('/').count(), DEEPEST);
    }
}
