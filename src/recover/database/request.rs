//! What a restore is asked for.

use std::path::PathBuf;

use super::RowCounts;
use crate::sysconf::{ConnectionParameters, Programs, Secret};

/// What is restored.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// The dump, in any form that a catalog is read from.
    pub dump: PathBuf,
    /// What `pg_dumpall --globals-only` wrote on the source's server.
    pub globals: Option<PathBuf>,
    /// The rows that the dump must have, as far as they are known.
    pub rows: Option<RowCounts>,
    /// Where the source's repository was.
    pub repository: Option<String>,
    /// What the dump is called, such as the id of its set: a restore that was interrupted later on
    /// then knows that the database is done. See
    /// [`seal`](super::seal).
    pub label: Option<String>,
}

/// The role that FOSSology connects as.
#[derive(Clone, Debug)]
pub struct Owner {
    /// Its name.
    pub name: String,
    /// Its password, for when the role has to be made.
    pub password: Option<Secret>,
}

impl Owner {
    /// The role of a connection, such as that of `Db.conf`.
    pub fn of(connection: &ConnectionParameters) -> Owner {
        Owner {
            name: connection.user().to_owned(),
            password: connection.password().cloned(),
        }
    }
}

/// Where it is restored.
#[derive(Clone, Debug)]
pub struct Target {
    /// How the database is reached: as FOSSology's role, or as an administrator.
    pub connection: ConnectionParameters,
    /// To whom everything belongs; `None`: to the role of the connection.
    pub owner: Option<Owner>,
}

impl Target {
    /// Database, servers and user, for people.
    pub(super) fn name(&self) -> String {
        self.connection.target()
    }

    /// The owner's name, when it is not the role that we come as.
    pub(super) fn other_owner(&self) -> Option<&str> {
        let owner = self.owner.as_ref()?;
        (owner.name != self.connection.user()).then_some(owner.name.as_str())
    }
}

/// How it is restored.
#[derive(Clone, Debug)]
pub struct Options {
    /// Rename a database that is not empty, and make a new one in its place.
    pub clean: bool,
    /// Leave pending deletions to run.
    pub run_deletions: bool,
    /// Have rows that name files below the first directory name those below the second.
    pub rewrite_paths: Option<(String, String)>,
    /// Where the journal of what was changed is kept.
    pub journal: PathBuf,
    /// Only say what would be done. Nothing is locked, made or changed.
    pub dry_run: bool,
    /// Where `pg_restore` is looked for.
    pub programs: Programs,
}
