//! Paths below a repository's root.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A path relative to the repository's root: bytes, which need not be UTF-8.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreePath(pub Vec<u8>);

impl TreePath {
    /// The path one level down.
    #[must_use]
    pub fn join(&self, name: &[u8]) -> TreePath {
        let mut path = Vec::with_capacity(self.0.len() + 1 + name.len());
        path.extend_from_slice(&self.0);
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        TreePath(path)
    }

    /// The path one level up; of the root, the root.
    #[must_use]
    pub fn parent(&self) -> TreePath {
        let end = self.0.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        TreePath(self.0[..end].to_vec())
    }

    /// As a path of the standard library.
    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }

    /// Whether `self` is `directory` or lies below it.
    pub fn is_below(&self, directory: &TreePath) -> bool {
        directory.0.is_empty()
            || self
                .0
                .strip_prefix(&directory.0[..])
                .is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    }
}
