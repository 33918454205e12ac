//! Where a catalog comes from: a live database, a dump, or a saved catalog.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::Global;
use super::error::Failure;
use super::progress::Progress;
use crate::catalog::dump::{self, DumpOptions, Input};
use crate::catalog::{Catalog, CatalogError, LiveDatabase, LiveRows};
use crate::monitor::{Monitor, Phase};
use crate::report::bytes_for_people;
use crate::sysconf::{ConnectionParameters, Connector, Environment, Sysconf};

/// A source that was found to be there.
pub(super) enum Source {
    Live(LiveDatabase<Connector>),
    Dump(PathBuf),
    Saved(PathBuf),
}

impl Source {
    /// Finds out what `--catalog` (or, without it, `Db.conf`) means, and connects to a database.
    pub(super) fn find(
        global: &Global,
        sysconf: Option<&Sysconf>,
        progress: &Progress,
    ) -> Result<Source, Failure> {
        let environment = Environment::of_process();
        let parameters = match &global.catalog {
            Some(text) => {
                let path = Path::new(text);
                if path == Path::new("-") {
                    return Ok(Source::Dump(path.to_owned()));
                }
                if Catalog::is_saved_at(path) {
                    return Ok(Source::Saved(path.to_owned()));
                }
                match text
                    .to_str()
                    .filter(|text| !path.exists() && ConnectionParameters::is_source(text))
                {
                    Some(text) => ConnectionParameters::from_source(text, &environment)?,
                    // Not shown: it may be a mistyped URL with a password.
                    None if !path.exists() && text.to_string_lossy().contains('@') => {
                        return Err(Failure::misuse(
                            "--catalog is neither a file, nor a PostgreSQL URL (postgresql://…), nor a connection string",
                        ));
                    }
                    None => return Ok(Source::Dump(path.to_owned())),
                }
            }
            None => {
                let sysconf = sysconf.ok_or_else(|| Failure::misuse("--catalog is missing"))?;
                ConnectionParameters::from_db_conf(&sysconf.database()?, &environment)?
            }
        };
        for warning in parameters.warnings() {
            progress.warn(warning);
        }
        let target = parameters.target();
        let database = LiveDatabase::open(parameters.connector()?, &target)?;
        Ok(Source::Live(database))
    }

    /// The live database, for the second look.
    pub(super) fn live_rows(&self) -> Option<&dyn LiveRows> {
        match self {
            Source::Live(database) => Some(database),
            Source::Dump(_) | Source::Saved(_) => None,
        }
    }

    /// Reads the catalog. It is kept in `destination`, an empty file, or in a scratch file.
    pub(super) fn read(
        &self,
        global: &Global,
        sysconf: Option<&Sysconf>,
        destination: Option<(File, &Path)>,
        progress: &Progress,
    ) -> Result<Catalog, Failure> {
        let threads = global.threads();
        let catalog = match self {
            Source::Saved(path) => Catalog::open(path)?,
            Source::Live(database) => {
                let need = database.scratch_needed()?;
                let free = room(&global.scratch, need, progress)?;
                if free < need {
                    return Err(CatalogError::NoRoom {
                        directory: global.scratch.clone(),
                        need,
                        free,
                    }
                    .into());
                }
                database.read_catalog(&global.scratch, destination, threads, progress)?
            }
            Source::Dump(path) => {
                let options = DumpOptions {
                    database: sysconf.and_then(database_name),
                    bindir: None,
                };
                let input = Input::open(path)?;
                if let Some(size) = input.size() {
                    // How much of a dump is pfiles and tree rows is known only afterwards.
                    let need = size;
                    if room(&global.scratch, need, progress)? < need {
                        progress.warn(&format!(
                            "sorting may need more room than {} has: choose another place with --scratch",
                            global.scratch.display()
                        ));
                    }
                }
                read_dump(input, &options, global, destination, progress)?
            }
        };
        Ok(catalog)
    }
}

fn read_dump(
    input: Input,
    options: &DumpOptions,
    global: &Global,
    destination: Option<(File, &Path)>,
    progress: &Progress,
) -> Result<Catalog, CatalogError> {
    progress.phase(Phase::ReadRows, None);
    dump::read_catalog(
        input,
        options,
        &global.scratch,
        destination,
        global.threads(),
        progress,
    )
}

fn database_name(sysconf: &Sysconf) -> Option<String> {
    let database = sysconf.database().ok()?;
    database.get("dbname").map(str::to_owned)
}

/// Says what room there is for sorting; returns it.
fn room(scratch: &Path, need: u64, progress: &Progress) -> Result<u64, CatalogError> {
    let stat = rustix::fs::statvfs(scratch).map_err(|source| CatalogError::Scratch {
        directory: scratch.to_owned(),
        source: source.into(),
    })?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    progress.note(&format!(
        "sorting needs up to {} in {}, which has {}",
        bytes_for_people(need),
        scratch.display(),
        bytes_for_people(free)
    ));
    Ok(free)
}
