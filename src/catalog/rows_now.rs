//! What a live database says now, after the tree was listed.
//!
//! FOSSology goes on working while fogold looks: files and rows come and go between the catalog's
//! snapshot and the listing. So with a live database every finding that such work can explain is
//! looked at again at the end, row and file. Rows are asked for by name; where very many names are in
//! doubt, it takes less time to read all rows once more.

use std::path::Path;

use super::rows::Micros;
use super::{Catalog, CatalogError, ShardPfiles, Usage};
use crate::monitor::Monitor;
use crate::repository::RepositoryName;

/// The state of a name's rows at this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowNow {
    /// A row of pfile bears the name.
    pub exists: bool,
    /// An upload's gold is it.
    pub in_gold: bool,
    /// A tree row points at it.
    pub in_files: bool,
}

impl RowNow {
    /// What the rows of a newer snapshot say of a name.
    pub fn of(name: &RepositoryName, pfiles: &ShardPfiles) -> RowNow {
        pfiles.find(name).map_or(RowNow::default(), |pfile| RowNow {
            exists: true,
            in_gold: pfile.usage.has(Usage::GOLD),
            in_files: pfile
                .usage
                .has(Usage::TREE.and(Usage::LISTING).and(Usage::LEFT)),
        })
    }
}

/// A live database that can be asked again.
pub trait LiveRows: Sync {
    /// The rows of these names as they are now: each name with the keys of the rows that were
    /// known to bear it. A name that no row bears may be left out; one that several rows bear may
    /// come several times.
    fn rows_now(
        &self,
        names: &[(RepositoryName, Vec<i32>)],
    ) -> Result<Vec<(RepositoryName, RowNow)>, CatalogError>;

    /// All rows as they are now, in a catalog that is kept in `scratch`; `None` where there is no room
    /// for it, or rows can only be asked for by name.
    fn all_rows_now(
        &self,
        scratch: &Path,
        threads: usize,
        monitor: &dyn Monitor,
    ) -> Result<Option<Catalog>, CatalogError> {
        let _ = (scratch, threads, monitor);
        Ok(None)
    }

    /// The earliest moment at which a job that has no end now can have begun to write to a temporary
    /// tree; `None` when there is no such job.
    fn temporary_trees_in_use_since(&self) -> Result<Option<Micros>, CatalogError>;
}
