//! Where a restore goes: the repository, the database, and the journal of what was held.

use std::path::PathBuf;

use tempfile::TempDir;

use crate::cli::error::Failure;
use crate::cli::progress::Progress;
use crate::cli::{Global, place, source};
use crate::monitor::{Monitor, Room, free_room};
use crate::recover::database::{Owner, Target};
use crate::recover::restore::{Parts, RestoreError};
use crate::recover::{files, place as own};
use crate::repository::{Tree, TreePath};
use crate::store::SetRecord;
use crate::sysconf::{ConnectionParameters, Environment, Sysconf};

/// The repository to restore into.
pub(super) struct Repository {
    pub(super) path: PathBuf,
}

impl Repository {
    /// What is configured or named. `None` when only the database is restored and there is no
    /// repository.
    pub(super) fn find(
        global: &Global,
        sysconf: Option<&Sysconf>,
        parts: Parts,
    ) -> Result<Option<Repository>, Failure> {
        let wants_files = !parts.types.is_none();
        let path = match (sysconf, &global.repository) {
            (Some(sysconf), named) => match sysconf.repository_or(named.as_deref()) {
                Ok(path) => path,
                Err(error) if wants_files => return Err(error.into()),
                Err(_) => return Ok(None),
            },
            (None, Some(named)) => named.clone(),
            (None, None) if wants_files => {
                return Err(Failure::misuse(
                    "no repository to restore into is known: name FOSSology's configuration with -c, or --repository",
                ));
            }
            (None, None) => return Ok(None),
        };
        Ok((wants_files || path.is_dir()).then_some(Repository { path }))
    }

    /// Makes sure that its hosts' storage is there, as far as that can be told, before anything is
    /// written.
    pub(super) fn look_at_storage(
        &self,
        sysconf: Option<&Sysconf>,
        record: &SetRecord,
        parts: Parts,
        host: Option<&str>,
        progress: &Progress,
    ) -> Result<(), Failure> {
        if parts.types.is_none() {
            return Ok(());
        }
        let hosts = match sysconf {
            Some(sysconf) => sysconf.hosts.clone(),
            None => record.source.host_table().map_err(Failure::world)?,
        };
        Ok(files::look_at_storage(
            &self.path,
            &hosts,
            parts.types,
            host,
            progress,
        )?)
    }

    /// Opens it; where it is not there, it is made. A dry run looks at an empty directory in its
    /// place, which is there as long as what comes with the tree.
    pub(super) fn open(
        &self,
        global: &Global,
        sysconf: Option<&Sysconf>,
        record: &SetRecord,
        dry_run: bool,
    ) -> Result<(Tree, Option<TempDir>), Failure> {
        if dry_run && !self.path.exists() {
            let empty = tempfile::tempdir_in(&global.scratch)?;
            let there = Global {
                repository: Some(empty.path().to_owned()),
                ..global.clone()
            };
            let tree = place::tree_as(&there, sysconf, record)?;
            return Ok((tree, Some(empty)));
        }
        files::make_root(&self.path)?;
        Ok((place::tree_as(global, sysconf, record)?, None))
    }
}

/// The database to restore into.
pub(super) fn database(
    global: &Global,
    named: Option<&str>,
    sysconf: Option<&Sysconf>,
    parts: Parts,
    progress: &Progress,
) -> Result<Option<Target>, Failure> {
    let environment = Environment::of_process();
    let is_needed = parts.database && named.is_none() && global.catalog.is_none();
    let configured = match sysconf.map(Sysconf::database) {
        Some(Ok(conf)) => Some(ConnectionParameters::from_db_conf(&conf, &environment)?),
        Some(Err(error)) if is_needed => return Err(error.into()),
        None if is_needed => return Err(RestoreError::NoDatabase.into()),
        Some(Err(_)) | None => None,
    };
    let owner = configured.as_ref().map(Owner::of);
    let connection = match (named, &global.catalog) {
        (Some(text), _) => Some(ConnectionParameters::from_source(text, &environment)?),
        (None, Some(_)) => Some(source::live_parameters(global, sysconf, progress)?),
        (None, None) => configured,
    };
    let Some(connection) = connection else {
        return Ok(None);
    };
    for warning in connection.warnings() {
        progress.warn(warning);
    }
    Ok(Some(Target { connection, owner }))
}

/// Where the journal of held deletions goes: beside the quarantine, or, without a repository, to
/// the scratch directory. Nothing is made yet: there may be none to hold.
pub(super) fn journal_directory(
    tree: Option<&Tree>,
    global: &Global,
    parts: Parts,
) -> Result<PathBuf, Failure> {
    let Some(tree) = tree.filter(|_| parts.database) else {
        return Ok(global.scratch.clone());
    };
    let below = match tree.layout().hosts.names().next() {
        Some(host) => format!("{host}/.fogold/restore"),
        None => ".fogold/restore".to_owned(),
    };
    let directory = tree.path().join(&below);
    match own::open_directory(tree, &TreePath(below.into_bytes())) {
        Ok(_) => Ok(directory),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(directory),
        Err(error) => Err(Failure::world(format_args!(
            "{}: what is done cannot be noted there: {error}",
            directory.display()
        ))),
    }
}

/// Says that FOSSology's user is unknown here: what root restores then belongs to whoever owns the
/// directories around it.
pub(super) fn warn_of_unknown_owner(tree: &Tree, progress: &Progress) {
    if rustix::process::geteuid().is_root() && tree.access().owner().0.is_none() {
        progress.warn(
            "FOSSology's user (PROJECTUSER in fossology.conf) is not known on this machine: what is restored belongs to \
             the owner of the directories around it, or to root; chown it where FOSSology runs",
        );
    }
}

/// Says at the start what room the files need at most, and what there is.
pub(super) fn say_what_room_it_needs(tree: Option<&Tree>, record: &SetRecord, progress: &Progress) {
    let Some(tree) = tree else { return };
    if let Ok(free) = free_room(tree.path()) {
        progress.room(&Room {
            what: "the files of the set",
            place: tree.path(),
            need: record.counts.pool.bytes,
            free,
        });
    }
}
