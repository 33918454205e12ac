//! Where the files of an entry stand in the tree.

use super::Source;
use crate::manifest::{Entry, Types};
use crate::repository::{RepositoryName, TreePath};
use crate::sysconf::RepositoryType;

impl Source<'_> {
    /// The paths of an entry: one for each of its types under which a file of the right length
    /// stands. Where there is none, the copy that was found elsewhere.
    pub(super) fn paths(&self, entry: &Entry) -> Vec<TreePath> {
        let paths: Vec<TreePath> = entry
            .types
            .iter()
            .filter_map(|ty| self.copies(ty, &entry.name).next())
            .collect();
        if paths.is_empty() {
            self.all_copies(&entry.name).take(1).collect()
        } else {
            paths
        }
    }

    /// Every path in gold and files, in place or not, at which a file of the right length stands.
    pub(super) fn all_copies(&self, name: &RepositoryName) -> impl Iterator<Item = TreePath> {
        let name = *name;
        let misplaced = self.collected.misplaced(&name).cloned();
        Types::GOLD
            .and(Types::FILES)
            .iter()
            .flat_map(move |ty| self.copies(ty, &name))
            .chain(misplaced)
    }

    /// Where FOSSology would look first for an entry.
    pub(super) fn place_for(&self, entry: &Entry) -> Option<TreePath> {
        let ty = entry.types.iter().next()?;
        let places = self.tree.layout().places(ty, &entry.name);
        places.into_iter().next()
    }

    /// Where FOSSology would find a name, in its order.
    fn copies(
        &self,
        ty: RepositoryType,
        name: &RepositoryName,
    ) -> impl Iterator<Item = TreePath> + use<'_> {
        let size = name.size;
        let places = self.tree.layout().places(ty, name).into_iter();
        places.filter(move |path| {
            let meta = self.tree.meta(path);
            meta.is_ok_and(|meta| meta.is_file() && meta.size == size)
        })
    }
}
