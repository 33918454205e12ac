//! Quick looks at a tree before a long one: is anything there, and how deep does it lie?

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;

use super::access::Access;
use super::directory::{self, EntryKind};
use super::layout::Layout;
use super::name::Parsed;
use super::path::TreePath;
use super::survey::Survey;
use super::tree::{RepositoryError, Tree};
use crate::sysconf::{HostTable, RepositoryType};

/// So many files are enough to tell the depth of a tree.
const SAMPLE: usize = 200;

/// The depth that FOSSology ships with.
const SHIPPED_DEPTH: usize = 3;

/// What a quick look at one host, or at all of them, found in gold and files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Probe {
    /// There is a well-named file.
    pub any_file: bool,
    /// One stands at the layout's depth.
    pub at_depth: bool,
    /// The depth at which the first one stands, where that is another.
    pub other_depth: Option<usize>,
}

impl Tree {
    /// Looks below the places of one host for a file, until one is found at the layout's depth.
    pub fn probe(&self, survey: &Survey, host: Option<&str>) -> Probe {
        let mut probe = Probe::default();
        for place in &survey.places {
            if place.host.as_deref() != host || place.ty == RepositoryType::License {
                continue;
            }
            let top = TreePath(host.unwrap_or_default().as_bytes().to_vec())
                .join(place.ty.as_str().as_bytes());
            let _ = self.visit_files(&top, &mut |depth| {
                probe.any_file = true;
                if depth == Some(self.layout().depth) {
                    probe.at_depth = true;
                    return ControlFlow::Break(());
                }
                probe.other_depth = probe.other_depth.or(depth);
                ControlFlow::Continue(())
            });
            if probe.at_depth {
                break;
            }
        }
        probe
    }

    /// Calls `visit` for every well-named file below `top` with its depth: the number of levels
    /// between `top` and the file, where these are what its name makes of them.
    fn visit_files(
        &self,
        top: &TreePath,
        visit: &mut dyn FnMut(Option<usize>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let mut rest: Vec<(TreePath, Vec<u8>)> = vec![(top.clone(), Vec::new())];
        while let Some((path, levels)) = rest.pop() {
            let entries = directory::sorted_entries(self.root(), &path).unwrap_or_default();
            // The first of the sorted entries is looked at first.
            for (name, kind) in entries.into_iter().rev() {
                match kind {
                    EntryKind::Directory => {
                        let mut levels = levels.clone();
                        levels.extend_from_slice(&name);
                        rest.push((path.join(&name), levels));
                    }
                    EntryKind::File if matches!(Parsed::of(&name), Parsed::Name { .. }) => {
                        let depth = name.starts_with(&levels).then_some(levels.len() / 2);
                        visit(depth)?;
                    }
                    _ => {}
                }
            }
        }
        ControlFlow::Continue(())
    }
}

/// The layout of a tree for which there is no configuration: every directory that holds `gold` or
/// `files` is a host that claims every name, and the depth is that of the first files found (the
/// depth that FOSSology ships with, when there are none). `depth`, where given, is taken as it is.
pub fn discover_layout(root: &Path, depth: Option<usize>) -> Result<Layout, RepositoryError> {
    let tree = Tree::open(
        root,
        Layout {
            depth: depth.unwrap_or(SHIPPED_DEPTH),
            hosts: HostTable::default(),
        },
        Access::default(),
    )?;
    let top = TreePath::default();
    let mut hosts = Vec::new();
    let mut types = Vec::new();
    for (name, kind) in directory::sorted_entries(tree.root(), &top).unwrap_or_default() {
        if kind != EntryKind::Directory {
            continue;
        }
        let path = top.join(&name);
        if matches!(&name[..], b"gold" | b"files") {
            types.push(path);
            continue;
        }
        let below = directory::sorted_entries(tree.root(), &path).unwrap_or_default();
        let own: Vec<TreePath> = below
            .into_iter()
            .filter(|(name, kind)| {
                *kind == EntryKind::Directory && matches!(&name[..], b"gold" | b"files")
            })
            .map(|(name, _)| path.join(&name))
            .collect();
        if let (false, Ok(host)) = (own.is_empty(), String::from_utf8(name)) {
            hosts.push(host);
            types.extend(own);
        }
    }
    let depth = depth.unwrap_or_else(|| {
        let mut votes: HashMap<usize, usize> = HashMap::new();
        for path in &types {
            let mut seen = 0;
            let _ = tree.visit_files(path, &mut |depth| {
                seen += 1;
                if let Some(depth) = depth {
                    *votes.entry(depth).or_default() += 1;
                }
                if seen < SAMPLE {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            });
        }
        let winner = votes
            .into_iter()
            .max_by_key(|(depth, votes)| (*votes, *depth));
        winner.map_or(SHIPPED_DEPTH, |(depth, _)| depth)
    });
    Ok(Layout {
        depth,
        hosts: HostTable::of_found_hosts(hosts),
    })
}
