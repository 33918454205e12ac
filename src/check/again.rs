//! Where the second look at a live database finds rows: asked for by name, or all read once more.
//!
//! A statement for a shard's names is quick for some of them, and very slow for millions: the files of a
//! server of which only the database and the gold were restored. Then a second catalog takes less time.

use super::Options;
use crate::catalog::{Catalog, CatalogError, LiveRows, RowNow};
use crate::monitor::{Monitor, Phase};
use crate::repository::{RepositoryName, Shard};

/// To ask for a row by its name takes as long as to read so many rows, or longer.
const ROWS_TO_A_NAME: u64 = 300;
/// Fewer names than these are asked for in a few seconds.
const FEW_NAMES: u64 = 20_000;

/// Where the second look finds rows as they are now.
pub(super) enum Again<'a> {
    /// They are asked for by name.
    Asked(&'a dyn LiveRows),
    /// All were read once more; what cannot be read back is asked for.
    Read {
        now: Box<Catalog>,
        live: &'a dyn LiveRows,
    },
}

impl<'a> Again<'a> {
    /// Where so many names are looked for once more: in all rows, read again, where that is faster.
    pub(super) fn of(
        names: u64,
        live: &'a dyn LiveRows,
        catalog: &Catalog,
        options: &Options,
        monitor: &dyn Monitor,
    ) -> Again<'a> {
        let summary = catalog.summary();
        let rows = summary.pfile_rows + summary.tree_rows;
        if names < FEW_NAMES.max(rows / ROWS_TO_A_NAME) || monitor.stopped() {
            return Again::Asked(live);
        }
        let read = live.all_rows_now(&options.scratch, options.threads, monitor);
        monitor.phase(Phase::SecondLook, Some(256));
        match read {
            Ok(Some(now)) => Again::Read {
                now: Box::new(now),
                live,
            },
            Ok(None) | Err(CatalogError::Stopped) => Again::Asked(live),
            Err(error) => {
                monitor.warn(&format!(
                    "the rows cannot all be read again ({error}): they are asked for by name, which takes its time"
                ));
                Again::Asked(live)
            }
        }
    }

    /// The rows of names of one shard, with the keys of the rows that were known to bear them.
    pub(super) fn rows(
        &self,
        shard: Shard,
        names: &[(RepositoryName, Vec<i32>)],
    ) -> Result<Vec<(RepositoryName, RowNow)>, CatalogError> {
        let (now, live) = match self {
            Again::Asked(live) => (None, live),
            Again::Read { now, live } => (now.shard(shard).ok(), live),
        };
        match now {
            Some(pfiles) => {
                let rows = names
                    .iter()
                    .map(|(name, _)| (*name, RowNow::of(name, &pfiles)));
                Ok(rows.collect())
            }
            None => live.rows_now(names),
        }
    }
}
