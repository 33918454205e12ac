//! The repository as a whole: made, locked, given to FOSSology, put on disk.

use std::io;
use std::path::Path;

use super::FilesError;
use crate::recover::lock::keep_others_out;
use crate::recover::place::{give, open_directory};
use crate::repository::{Tree, TreePath};

/// Makes the repository's root where there is none, so that it can be opened.
pub fn make_root(path: &Path) -> Result<(), FilesError> {
    if path.is_dir() {
        return Ok(());
    }
    std::fs::create_dir_all(path).map_err(|source| FilesError::Root {
        path: path.to_owned(),
        source,
    })
}

/// Keeps a second restore out as long as the tree is open: both would write the same half files.
pub(super) fn lock(tree: &Tree) -> Result<(), FilesError> {
    if keep_others_out(tree) {
        return Ok(());
    }
    Err(FilesError::Locked {
        path: tree.path().to_owned(),
    })
}

/// A root with nothing in it but what a new file system has was just made, or mounted: it is given
/// FOSSology's owner and mode.
pub(in crate::recover) fn own_the_root(tree: &Tree) -> Result<(), FilesError> {
    let failed = |source| FilesError::Root {
        path: tree.path().to_owned(),
        source,
    };
    for entry in std::fs::read_dir(tree.path()).map_err(failed)? {
        if entry.map_err(failed)?.file_name() != "lost+found" {
            return Ok(());
        }
    }
    let root = open_directory(tree, &TreePath::default()).map_err(failed)?;
    give(tree, &root, &root, 0o2770).map_err(failed)
}

/// Puts everything on disk: each file system that the hosts' directories lie on.
pub(in crate::recover) fn sync(tree: &Tree) -> Result<(), FilesError> {
    let mut roots = vec![TreePath::default()];
    roots.extend(
        tree.layout()
            .hosts
            .names()
            .map(|host| TreePath(host.as_bytes().to_vec())),
    );
    for path in roots {
        match open_directory(tree, &path) {
            Ok(directory) => {
                rustix::fs::syncfs(&directory).map_err(|error| FilesError::Tree {
                    action: "put on disk",
                    path: path.as_path().to_owned(),
                    source: error.into(),
                })?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => {
                return Err(FilesError::Tree {
                    action: "open",
                    path: path.as_path().to_owned(),
                    source,
                });
            }
        }
    }
    Ok(())
}
