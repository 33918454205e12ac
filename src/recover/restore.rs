//! A whole restore: the database, the repository, logs, from one set.
//!
//! The set's own files are held against its record first; a damaged set is refused before anything
//! is touched. Then the database, which is all of it or nothing, and then the files. Every step
//! finds what an earlier run has done, so the same command goes on after whatever stopped it.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::database::{self, DatabaseError};
use super::files::{self, FilesError, Restored};
use super::logs::{self, LogsError};
use crate::catalog::Amount;
use crate::manifest::Types;
use crate::manifest::fetch::Fetcher;
use crate::monitor::Monitor;
use crate::repository::Tree;
use crate::store::layout::SetId;
use crate::store::record::LEFT_TO_UNPACKING;
use crate::store::{SetRecord, Store, StoreError};
use crate::sysconf::{Programs, RepositoryType};

/// Which parts of a set to restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    /// The database.
    pub database: bool,
    /// Files of these types.
    pub types: Types,
    /// Logs and reports, where the set has them.
    pub logs: bool,
}

/// What to restore, and how.
pub struct Request<'a> {
    /// The store.
    pub store: &'a Store,
    /// The set.
    pub id: SetId,
    /// Its record.
    pub record: &'a SetRecord,
    /// The parts.
    pub parts: Parts,
    /// Where the database goes; needed when it is a part.
    pub database: Option<&'a database::Target>,
    /// Rename a database that is not empty, and make a new one in its place.
    pub clean: bool,
    /// Leave pending deletions to run.
    pub run_deletions: bool,
    /// Have rows that name files in the source's repository name those in the new one.
    pub rewrite_paths: bool,
    /// Where the journal of held deletions is kept; made when there are any.
    pub journal: &'a Path,
    /// PostgreSQL's client programs.
    pub programs: &'a Programs,
    /// Only files that FOSSology writes to this host.
    pub host: Option<&'a str>,
    /// Fetches gold that the set left out.
    pub fetcher: Option<&'a Fetcher>,
    /// The name of the run, for the quarantine.
    pub run: &'a str,
    /// Threads; at least 1.
    pub threads: usize,
    /// Change nothing.
    pub dry_run: bool,
}

/// What was restored, or in a dry run would be.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Done {
    /// The set's id.
    pub set: String,
    /// Nothing was changed.
    pub dry_run: bool,
    /// The database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<database::Outcome>,
    /// The types of the files.
    #[serde(skip)]
    pub types: Types,
    /// The files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<Restored>,
    /// In a dry run: derived files that the set leaves to unpacking.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_to_unpacking: Option<Amount>,
    /// Logs and reports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logs: Option<Amount>,
    /// Where the quarantine of this run is, in each host's directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<String>,
    /// The repository that the set was made of.
    pub source_repository: String,
    /// The repository here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The configuration that the set holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configuration: Option<PathBuf>,
}

impl Done {
    /// The one type that was asked for, where the set holds nothing of it.
    pub fn nothing_of(&self) -> Option<RepositoryType> {
        let mut types = self.types.iter();
        let (ty, None) = (types.next()?, types.next()) else {
            return None;
        };
        self.files
            .as_ref()
            .is_some_and(Restored::is_nothing)
            .then_some(ty)
    }

    /// Whether every file that could be had is in its place. Where one is not, the same command is to
    /// go on once what stood in its way is gone.
    pub fn is_whole(&self) -> bool {
        self.files
            .as_ref()
            .is_none_or(|files| files.unwritten.files == 0)
    }
}

/// Why a restore did not come to its end. What was done stays, and the same command goes on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The store, or the set in it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The database.
    #[error(transparent)]
    Database(#[from] Box<DatabaseError>),
    /// The repository.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// Logs and reports.
    #[error(transparent)]
    Logs(#[from] LogsError),
    /// The database is to be restored, and nobody said where.
    #[error("no database to restore into is known: give --database, or a Db.conf with -c")]
    NoDatabase,
}

impl RestoreError {
    /// Whether what was asked cannot be meant (exit status 2), rather than the world being in the
    /// way (exit status 3).
    pub fn is_misuse(&self) -> bool {
        match self {
            RestoreError::Store(error) => error.is_misuse(),
            RestoreError::Database(error) => error.is_misuse(),
            RestoreError::Files(error) => error.is_misuse(),
            RestoreError::Logs(_) => false,
            RestoreError::NoDatabase => true,
        }
    }

    /// Whether the monitor asked for it.
    pub fn is_stop(&self) -> bool {
        match self {
            RestoreError::Store(StoreError::Stopped)
            | RestoreError::Files(FilesError::Stopped | FilesError::Store(StoreError::Stopped))
            | RestoreError::Logs(LogsError::Stopped) => true,
            RestoreError::Database(error) => error.is_stop(),
            _ => false,
        }
    }
}

/// Restores a set; [`seal`] ends it. `tree` is the target's repository; without it, only the
/// database can be a part.
pub fn run(
    request: &Request<'_>,
    tree: Option<&Tree>,
    monitor: &dyn Monitor,
) -> Result<Done, RestoreError> {
    let set = request.store.layout().set(request.id);
    request
        .store
        .make_sure_of(request.id, request.record, request.parts.database, monitor)?;
    let configuration = set.join("sysconf");
    let mut done = Done {
        set: request.id.to_string(),
        dry_run: request.dry_run,
        source_repository: request.record.source.repository.clone(),
        repository: tree.and_then(absolute),
        configuration: configuration.is_dir().then_some(configuration),
        ..Done::default()
    };
    if let Some(tree) = tree.filter(|_| !request.dry_run && !request.parts.types.is_none()) {
        files::own_the_root(tree)?;
    }
    if request.parts.database {
        done.database = Some(restore_database(request, tree, &set, monitor)?);
    }
    if let Some(tree) = tree.filter(|_| !request.parts.types.is_none()) {
        let files = files::Request {
            store: request.store,
            id: request.id,
            record: request.record,
            types: request.parts.types,
            host: request.host,
            fetcher: request.fetcher,
            run: request.run,
            threads: request.threads,
            dry_run: request.dry_run,
        };
        let restored = files::restore(&files, tree, monitor)?;
        done.quarantine = (restored.quarantined > 0 && !request.dry_run)
            .then(|| format!(".fogold/quarantine/{}", request.run));
        done.types = request.parts.types;
        done.files = Some(restored);
        // How many of them belong to one host, no record says.
        if request.dry_run && request.host.is_none() && done.types.has(Types::FILES) {
            let left = request.record.counts.left_out(LEFT_TO_UNPACKING);
            done.left_to_unpacking = Some(left).filter(|left| left.files > 0);
        }
    }
    if let (true, false, Some(tree), Some(record)) = (
        request.parts.logs,
        request.dry_run,
        tree,
        &request.record.logs,
    ) {
        done.logs = Some(logs::restore(record, &set, tree, monitor)?);
        files::sync(tree)?;
    }
    Ok(done)
}

/// Says that all is done, the check behind a restore included: until then the same command goes on,
/// and from then on the database is one that is not empty. Not before [`Done::is_whole`].
pub fn seal(request: &Request<'_>) -> Result<(), RestoreError> {
    match request.database {
        Some(target) if request.parts.database && !request.dry_run => {
            Ok(database::seal(target).map_err(Box::new)?)
        }
        _ => Ok(()),
    }
}

/// Where a repository is, as rows name it.
fn absolute(tree: &Tree) -> Option<String> {
    let path = std::path::absolute(tree.path()).ok()?;
    Some(path.display().to_string())
}

fn restore_database(
    request: &Request<'_>,
    tree: Option<&Tree>,
    set: &Path,
    monitor: &dyn Monitor,
) -> Result<database::Outcome, RestoreError> {
    let target = request.database.ok_or(RestoreError::NoDatabase)?;
    let record = request.record;
    let source = database::Source {
        dump: record.dump.file.path(set),
        globals: record.globals.as_ref().map(|globals| globals.path(set)),
        rows: Some(record.rows.by_table()),
        repository: Some(record.source.repository.clone()),
        label: Some(request.id.to_string()),
    };
    let rewrite_paths = tree
        .and_then(absolute)
        .filter(|here| request.rewrite_paths && *here != record.source.repository)
        .map(|here| (record.source.repository.clone(), here));
    let options = database::Options {
        clean: request.clean,
        run_deletions: request.run_deletions,
        rewrite_paths,
        journal: request.journal.to_owned(),
        dry_run: request.dry_run,
        programs: request.programs.clone(),
    };
    Ok(database::restore(&source, target, &options, monitor).map_err(Box::new)?)
}
