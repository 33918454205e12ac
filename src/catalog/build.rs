//! Rows become a catalog: an external sort in three steps.
//!
//! 1. As rows arrive, pfiles are scattered by shard; their keys, each with its shard, and the uses of
//!    pfiles by a hash of `pfile_pk`.
//! 2. Bucket by bucket, uses are joined to the keys, and scattered again, now by shard.
//! 3. Shard by shard, pfiles are joined to their uses, sorted by name and written.
//!
//! A pfile, ten times as long as a use, is so written only twice: as it comes and in its place.
//!
//! Memory holds one bucket a thread and the small tables (uploads, their jobs); everything else is
//! in scratch files without a name, which a crash cannot leave behind.

use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::file::{CatalogFile, CatalogWriter};
use super::join::{Counts, Joined, Joiner, sort_shard};
use super::row_writer::RowWriter;
use super::scatter::{BUCKETS, Scatter, scratch_file};
use super::small_tables::SmallTables;
use super::summary::{Provenance, Unusable};
use super::{Catalog, CatalogError};
use crate::monitor::{Monitor, Phase};
use crate::parallel::share_out;
use crate::repository::Shard;

/// More threads than this do not make the sort faster, and each holds a bucket in memory.
const MOST_THREADS: usize = 4;

/// Collects the rows of one database.
pub struct Builder {
    origin: String,
    scratch: PathBuf,
    pfiles: Arc<Scatter>,
    keys: Arc<Scatter>,
    uses: Arc<Scatter>,
    small: Arc<Mutex<SmallTables>>,
}

impl Builder {
    /// A builder that keeps its scratch files in `scratch`. `origin` names the database or dump in
    /// messages.
    pub fn new(origin: &str, scratch: &Path) -> Result<Builder, CatalogError> {
        Ok(Builder {
            origin: origin.to_owned(),
            scratch: scratch.to_owned(),
            pfiles: Scatter::new(scratch)?,
            keys: Scatter::new(scratch)?,
            uses: Scatter::new(scratch)?,
            small: Arc::default(),
        })
    }

    /// A sink for rows; each thread that reads rows has its own. Its rows count once it is closed.
    pub fn writer(&self) -> RowWriter {
        RowWriter::new(
            self.origin.clone(),
            self.pfiles.writer(),
            self.keys.writer(),
            self.uses.writer(),
            Arc::clone(&self.small),
        )
    }

    /// Sorts what all closed writers were given into a catalog. It is kept in `destination`, an
    /// empty file (its path is for messages), or in a scratch file that goes with it.
    pub fn finish(
        self,
        provenance: Provenance,
        destination: Option<(File, &Path)>,
        threads: usize,
        monitor: &dyn Monitor,
    ) -> Result<Catalog, CatalogError> {
        monitor.phase(Phase::SortRows, Some(2 * BUCKETS as u64));
        let threads = threads.clamp(1, MOST_THREADS);
        let mut small =
            std::mem::take(&mut *self.small.lock().unwrap_or_else(PoisonError::into_inner));
        let mut summary = small.summary(provenance);
        let particulars = small.particulars;
        let deleted: HashSet<i32> = summary
            .uploads
            .iter()
            .filter(|upload| upload.deleted)
            .map(|upload| upload.pk)
            .collect();
        let joiner = Joiner {
            keys: &self.keys,
            uses: &self.uses,
            deleted: &deleted,
        };
        let by_shard = Scatter::new(&self.scratch)?;
        let joined = share_out(threads, monitor, |buckets| {
            let mut joined = Joined::default();
            let mut writer = by_shard.writer();
            for bucket in buckets {
                monitor.advance(1, 0);
                joiner.join(bucket, &mut writer, &mut joined)?;
            }
            writer.finish()?;
            Ok(joined)
        })?;
        if monitor.stopped() {
            return Err(CatalogError::Stopped);
        }
        for part in joined {
            summary.dangling.extend(part.dangling);
            for (pk, uploads) in part.unusable {
                let why = small.unusable.remove(&pk).unwrap_or_default();
                summary.unusable.push(Unusable { pk, why, uploads });
            }
        }
        summary.dangling.sort_unstable();
        summary.unusable.sort_unstable();

        let (file, path) = match destination {
            Some((file, path)) => (file, path.to_owned()),
            None => (scratch_file(&self.scratch)?, self.scratch.clone()),
        };
        let writer = CatalogWriter::new(file, &path)?;
        let counts = share_out(threads, monitor, |buckets| {
            let mut counts = Counts::default();
            for bucket in buckets {
                monitor.advance(1, 0);
                let shard = Shard(bucket);
                let (pfiles, uses) = (self.pfiles.read(bucket)?, by_shard.read(bucket)?);
                let pfiles =
                    sort_shard(&pfiles, &uses, &mut counts).ok_or_else(|| by_shard.scrambled())?;
                writer.shard(shard, &pfiles)?;
            }
            Ok(counts)
        })?;
        if monitor.stopped() {
            return Err(CatalogError::Stopped);
        }
        for part in counts {
            summary.names += part.names;
            summary.gold += part.gold;
            summary.files += part.files;
            summary.last_unreferenced = summary.last_unreferenced.max(part.last_unreferenced);
            for (upload, name) in part.golds {
                let at = summary
                    .uploads
                    .binary_search_by_key(&upload, |upload| upload.pk);
                if let Ok(at) = at {
                    summary.uploads[at].gold = Some(name);
                }
            }
        }
        let file: CatalogFile = writer.finish(&summary)?;
        Ok(Catalog::of(file, summary, particulars))
    }
}
