//! What a live database says now, after the tree was listed.
//!
//! FOSSology goes on working while fogold looks: files and rows come and go between the catalog's
//! snapshot and the listing. So with a live database every finding that such work can explain is
//! looked at again at the end, row and file.

use super::CatalogError;
use super::rows::Micros;
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

/// A live database that can be asked again.
pub trait LiveRows: Sync {
    /// The rows of these names as they are now: each name with the keys of the rows that were
    /// known to bear it. A name that no row bears may be left out; one that several rows bear may
    /// come several times.
    fn rows_now(
        &self,
        names: &[(RepositoryName, Vec<i32>)],
    ) -> Result<Vec<(RepositoryName, RowNow)>, CatalogError>;

    /// The earliest moment at which a job that has no end now can have begun to write to a temporary
    /// tree; `None` when there is no such job.
    fn temporary_trees_in_use_since(&self) -> Result<Option<Micros>, CatalogError>;
}
