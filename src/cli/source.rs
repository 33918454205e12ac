//! Where a catalog comes from: a live database, a dump, or a saved catalog.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::Global;
use super::error::Failure;
use super::progress::{Progress, room_for_people};
use crate::catalog::dump::{self, DumpOptions, Input};
use crate::catalog::{Catalog, CatalogError, LiveDatabase, LiveRows};
use crate::monitor::{Monitor, Phase, Room, free_room};
use crate::report::bytes_for_people;
use crate::sysconf::{ConnectionParameters, Environment, Programs, Sysconf};

/// A source that was found to be there.
pub(super) enum Source {
    Live(LiveDatabase),
    Dump { path: PathBuf, with_directory: bool },
    Saved(PathBuf),
}

/// How to reach the live database, for a command that needs one.
pub(super) fn live_parameters(
    global: &Global,
    sysconf: Option<&Sysconf>,
    progress: &Progress,
) -> Result<ConnectionParameters, Failure> {
    match Named::by(global, sysconf)? {
        Named::Database(parameters) => {
            for warning in parameters.warnings() {
                progress.warn(warning);
            }
            Ok(*parameters)
        }
        Named::Dump(path) | Named::Saved(path) => Err(Failure::misuse(format_args!(
            "--catalog {}: this needs the live database, not a dump or a saved catalog",
            path.display()
        ))),
    }
}

impl Source {
    /// Finds out what `--catalog` (or, without it, `Db.conf`) means, and connects to a database.
    pub(super) fn find(
        global: &Global,
        sysconf: Option<&Sysconf>,
        progress: &Progress,
    ) -> Result<Source, Failure> {
        match Named::by(global, sysconf)? {
            Named::Dump(path) => Ok(Source::dump(path)),
            Named::Saved(path) => Ok(Source::Saved(path)),
            Named::Database(parameters) => {
                for warning in parameters.warnings() {
                    progress.warn(warning);
                }
                Ok(Source::Live(connect(&parameters)?))
            }
        }
    }

    /// A dump.
    pub(super) fn dump(path: PathBuf) -> Source {
        Source::Dump {
            path,
            with_directory: false,
        }
    }

    /// Reads also who the users are and what lies in which folder, as far as the source says it.
    pub(super) fn with_directory(self) -> Source {
        match self {
            Source::Live(database) => Source::Live(database.with_directory()),
            Source::Dump { path, .. } => Source::Dump {
                path,
                with_directory: true,
            },
            Source::Saved(path) => Source::Saved(path),
        }
    }

    /// The live database, for the second look.
    pub(super) fn live_rows(&self) -> Option<&dyn LiveRows> {
        match self {
            Source::Live(database) => Some(database),
            Source::Dump { .. } | Source::Saved(_) => None,
        }
    }

    /// Reads the catalog; `programs` has the `pg_restore` that some dumps take. It is kept in
    /// `destination`, an empty file, or in a scratch file.
    pub(super) fn read(
        &self,
        global: &Global,
        sysconf: Option<&Sysconf>,
        programs: &Programs,
        destination: Option<(File, &Path)>,
        progress: &Progress,
    ) -> Result<Catalog, Failure> {
        let threads = global.threads();
        let catalog = match self {
            Source::Saved(path) => Catalog::open(path)?,
            Source::Live(database) => {
                require_room(database, 1, global, progress)?;
                database.read_catalog(&global.scratch, destination, threads, progress)?
            }
            Source::Dump {
                path,
                with_directory,
            } => {
                let options = DumpOptions {
                    database: sysconf.and_then(database_name),
                    bindir: programs.directory().map(Path::to_owned),
                    with_directory: *with_directory,
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

/// What `--catalog`, or without it `Db.conf`, names.
enum Named {
    Dump(PathBuf),
    Saved(PathBuf),
    Database(Box<ConnectionParameters>),
}

impl Named {
    fn by(global: &Global, sysconf: Option<&Sysconf>) -> Result<Named, Failure> {
        let environment = Environment::of_process();
        let Some(text) = &global.catalog else {
            let sysconf = sysconf.ok_or_else(|| Failure::misuse("--catalog is missing"))?;
            let parameters =
                ConnectionParameters::from_db_conf(&sysconf.database()?, &environment)?;
            return Ok(Named::Database(Box::new(parameters)));
        };
        let path = Path::new(text);
        if path == Path::new("-") {
            return Ok(Named::Dump(path.to_owned()));
        }
        if Catalog::is_saved_at(path) {
            return Ok(Named::Saved(path.to_owned()));
        }
        match text
            .to_str()
            .filter(|text| !path.exists() && ConnectionParameters::is_source(text))
        {
            Some(text) => {
                let parameters = ConnectionParameters::from_source(text, &environment)?;
                Ok(Named::Database(Box::new(parameters)))
            }
            // Not shown: it may be a mistyped URL with a password.
            None if !path.exists() && text.to_string_lossy().contains('@') => Err(Failure::misuse(
                "--catalog is neither a file, nor a PostgreSQL URL (postgresql://…), nor a connection string",
            )),
            None => Ok(Named::Dump(path.to_owned())),
        }
    }
}

/// Connects to a live database.
pub(super) fn connect(parameters: &ConnectionParameters) -> Result<LiveDatabase, Failure> {
    let database = LiveDatabase::open(parameters.connector()?, &parameters.target())?;
    Ok(database)
}

/// Makes sure that the rows of a live database can be sorted. Findings, which are kept in so many
/// `spools`, are told of only where they might not fit: at worst there is one for every file.
pub(super) fn require_room(
    database: &LiveDatabase,
    spools: u64,
    global: &Global,
    progress: &Progress,
) -> Result<(), Failure> {
    let needed = database.scratch_needed()?;
    let need = needed.sorting;
    let free = room(&global.scratch, need, progress)?;
    if free < need {
        return Err(CatalogError::NoRoom {
            directory: global.scratch.clone(),
            need,
            free,
        }
        .into());
    }
    let findings = needed.findings.saturating_mul(spools);
    if free - need < findings {
        progress.note(&format!(
            "findings need up to {} more there, were every file missing or damaged",
            bytes_for_people(findings)
        ));
    }
    Ok(())
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

/// The name that `Db.conf` gives the database.
pub(super) fn database_name(sysconf: &Sysconf) -> Option<String> {
    let database = sysconf.database().ok()?;
    database.get("dbname").map(str::to_owned)
}

/// From this need on, sorting takes so long that its room is said in any case.
const MUCH: u64 = 1 << 30;

/// Says what room there is for sorting, where that may be of interest; returns it.
fn room(scratch: &Path, need: u64, progress: &Progress) -> Result<u64, CatalogError> {
    let free = free_room(scratch).map_err(|source| CatalogError::Scratch {
        directory: scratch.to_owned(),
        source,
    })?;
    let room = Room {
        what: "sorting",
        place: scratch,
        need,
        free,
    };
    if room.is_tight() || need >= MUCH {
        progress.note(&room_for_people(&room));
    } else {
        progress.tell(&room_for_people(&room));
    }
    Ok(free)
}
