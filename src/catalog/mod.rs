//! What the database knows: the sorted, sharded snapshot that everything else works on.
//!
//! One streaming pass over a live database or a dump gives the same [`Catalog`]. A catalog can be
//! saved, shipped to a host without PostgreSQL, and opened again at once; memory holds one shard
//! at a time, and the uploads.

mod binary_copy;
pub mod build;
mod codec;
pub mod dump;
pub mod error;
mod file;
mod join;
pub mod live;
pub mod origin;
pub mod particulars;
pub mod pfile;
pub mod row_writer;
pub mod rows;
mod rows_now;
pub(crate) mod scatter;
mod small_tables;
pub mod summary;
pub mod upload;

use std::fs::File;
use std::io::Read;
use std::path::Path;

pub use build::Builder;
pub use error::CatalogError;
pub use live::{LiveDatabase, ScratchNeed};
pub use particulars::{Directory, FolderContents, Particulars};
pub use pfile::{Pfile, Row, Sha256, ShardPfiles, Usage, Use};
pub use row_writer::RowWriter;
pub use rows::RowSink;
pub use rows_now::{LiveRows, RowNow};
pub use summary::{Amount, Provenance, Summary, UploadIds};
pub use upload::{Hosts, Origin, Upload};

use crate::repository::Shard;
use file::CatalogFile;

/// A snapshot of what a FOSSology database knows about its repository.
#[derive(Debug)]
pub struct Catalog {
    file: CatalogFile,
    summary: Summary,
    particulars: Option<Particulars>,
}

impl Catalog {
    fn of(file: CatalogFile, summary: Summary, particulars: Particulars) -> Catalog {
        Catalog {
            file,
            summary,
            particulars: Some(particulars),
        }
    }

    /// Opens a saved catalog. Shards are read, and proven against their checksums, when they are
    /// asked for.
    pub fn open(path: &Path) -> Result<Catalog, CatalogError> {
        let file = File::open(path).map_err(|source| CatalogError::Io {
            action: "open",
            path: path.to_owned(),
            source,
        })?;
        let file = CatalogFile::open(file, path)?;
        let summary = file.summary()?;
        Ok(Catalog {
            file,
            summary,
            particulars: None,
        })
    }

    /// Whether a file begins as a saved catalog does.
    pub fn is_saved_at(path: &Path) -> bool {
        let mut magic = [0; file::MAGIC.len()];
        File::open(path)
            .and_then(|mut file| file.read_exact(&mut magic))
            .is_ok_and(|()| &magic == file::MAGIC)
    }

    /// Everything but the shards.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// What no saved catalog holds: `None` when this is one.
    pub fn particulars(&self) -> Option<&Particulars> {
        self.particulars.as_ref()
    }

    /// The pfiles of a shard, sorted by name.
    pub fn shard(&self, shard: Shard) -> Result<ShardPfiles, CatalogError> {
        self.file.shard(shard)
    }
}
