//! Where a name lies: `<root>/<host>/<type>/<aa>/<bb>/<cc>/<name>`.
//!
//! `depth` levels of two characters of the name, everything in lower case; a name shorter than
//! twice the depth is padded with `_`. Recorded from FOSSology's own library.

use super::name::RepositoryName;
use super::path::TreePath;
use crate::sysconf::{HostTable, RepositoryType};

/// The rules that turn a name into a path below the repository's root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Directory levels between type and file.
    pub depth: usize,
    /// The hosts and what they claim.
    pub hosts: HostTable,
}

impl Layout {
    /// The path, relative to the root, where FOSSology writes a file of this name, and where it
    /// looks first; `None` for a name that FOSSology refuses: one that begins with a dot, or holds
    /// a slash, a blank, or a character that is not printable ASCII.
    pub fn path(&self, ty: RepositoryType, name: &str) -> Option<String> {
        if name.starts_with('.')
            || name
                .bytes()
                .any(|byte| !byte.is_ascii_graphic() || byte == b'/')
        {
            return None;
        }
        let host = self.hosts.claimants(ty, name.as_bytes()).next();
        Some(self.path_on(host, ty, name))
    }

    /// Every path where FOSSology looks for a name, in its order: under each host that claims it,
    /// or, with none, below the root. At least one.
    pub fn places(&self, ty: RepositoryType, name: &RepositoryName) -> Vec<TreePath> {
        let text = name.to_string();
        let path_on = |host| TreePath(self.path_on(host, ty, &text).into_bytes());
        let mut places: Vec<TreePath> = self
            .hosts
            .claimants(ty, text.as_bytes())
            .map(|host| path_on(Some(host)))
            .collect();
        if places.is_empty() {
            places.push(path_on(None));
        }
        places
    }

    /// The path of a name under a given host (`None`: directly below the root).
    pub fn path_on(&self, host: Option<&str>, ty: RepositoryType, name: &str) -> String {
        let mut path = String::with_capacity(128);
        if let Some(host) = host {
            path.push_str(host);
            path.push('/');
        }
        path.push_str(ty.as_str());
        path.push('/');
        self.push_levels(name, &mut path);
        path.push_str(&name.to_ascii_lowercase());
        path
    }

    /// Appends the directory levels of a name, each with its closing slash.
    fn push_levels(&self, name: &str, path: &mut String) {
        let mut characters = name.chars().map(|c| c.to_ascii_lowercase());
        for _ in 0..self.depth {
            path.push(characters.next().unwrap_or('_'));
            path.push(characters.next().unwrap_or('_'));
            path.push('/');
        }
    }
}
