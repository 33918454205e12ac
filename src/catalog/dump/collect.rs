//! From a dump to a catalog.

use std::fs::File;
use std::path::Path;

use super::relay::Relay;
use super::{DumpOptions, Input, read};
use crate::catalog::rows::{
    FolderContentRow, JobRow, JobqueueRow, NamedRow, PfileRow, RowSink, TreeRow, UnunpackArsRow,
    UploadRow,
};
use crate::catalog::{Builder, Catalog, CatalogError, Provenance, RowWriter};
use crate::monitor::Monitor;

/// Reads the catalog of the FOSSology database in a dump. Scratch files lie in `scratch`; the
/// catalog is kept in `destination`, an empty file, or in a scratch file that goes with it.
pub fn read_catalog(
    input: Input,
    options: &DumpOptions,
    scratch: &Path,
    destination: Option<(File, &Path)>,
    threads: usize,
    monitor: &dyn Monitor,
) -> Result<Catalog, CatalogError> {
    let origin = input.origin();
    let open = || {
        let builder = Builder::new(&origin, scratch)?;
        let relay = (threads > 1).then(|| Relay::begin(builder.writer()));
        Ok(Collector {
            writer: builder.writer(),
            relay: relay.flatten(),
            builder,
        })
    };
    let (collector, facts) = read(input, options, open, monitor)?;
    let Collector {
        builder,
        mut writer,
        relay,
    } = collector;
    for table in facts.rows.keys().filter(|_| options.with_directory) {
        writer.note_table(table);
    }
    relay.map_or(Ok(()), Relay::close)?;
    writer.close()?;
    let provenance = Provenance {
        kind: "dump".to_owned(),
        origin: origin.clone(),
        database: facts.database,
        server_version: facts.server_version,
        taken: None,
        made_by: env!("CARGO_PKG_VERSION").to_owned(),
    };
    builder.finish(provenance, destination, threads, monitor)
}

/// A builder with what takes the rows of a dump in.
struct Collector {
    builder: Builder,
    writer: RowWriter,
    /// For the tables that are large; without it the writer takes them as well.
    relay: Option<Relay>,
}

impl RowSink for Collector {
    fn pfile(&mut self, row: &PfileRow<'_>) -> Result<(), CatalogError> {
        match &mut self.relay {
            Some(relay) => relay.pfile(row),
            None => self.writer.pfile(row),
        }
    }

    fn tree(&mut self, row: &TreeRow) -> Result<(), CatalogError> {
        match &mut self.relay {
            Some(relay) => relay.tree(row),
            None => self.writer.tree(row),
        }
    }

    fn upload(&mut self, row: &UploadRow<'_>) -> Result<(), CatalogError> {
        self.writer.upload(row)
    }

    fn job(&mut self, row: &JobRow) -> Result<(), CatalogError> {
        self.writer.job(row)
    }

    fn jobqueue(&mut self, row: &JobqueueRow<'_>) -> Result<(), CatalogError> {
        self.writer.jobqueue(row)
    }

    fn ununpack_ars(&mut self, row: &UnunpackArsRow) -> Result<(), CatalogError> {
        self.writer.ununpack_ars(row)
    }

    fn user(&mut self, row: &NamedRow<'_>) -> Result<(), CatalogError> {
        self.writer.user(row)
    }

    fn folder(&mut self, row: &NamedRow<'_>) -> Result<(), CatalogError> {
        self.writer.folder(row)
    }

    fn folder_content(&mut self, row: &FolderContentRow) -> Result<(), CatalogError> {
        self.writer.folder_content(row)
    }
}
