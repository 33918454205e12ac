//! What came of a restore.

use std::path::PathBuf;

use serde::Serialize;

use super::{OpenJob, Paths, RowCounts};

/// What was done, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// The database's name.
    pub database: String,
    /// Whether the database was made.
    pub created: bool,
    /// Whether an earlier call had already restored it.
    pub resumed: bool,
    /// The name that the former database has now: renamed by this call, or by an earlier one that
    /// was interrupted.
    pub kept: Option<String>,
    /// The roles that were made.
    pub roles_created: Vec<String>,
    /// The roles of the source that the target lacks.
    pub roles_missing: Vec<String>,
    /// Statements of the dump about rights, which were left out.
    pub rights_left_out: u64,
    /// Rows by table, as proven; in a dry run those of the dump.
    pub rows: RowCounts,
    /// Jobs that the scheduler runs again when it starts.
    pub open_jobs: Vec<OpenJob>,
    /// Deletions that were pending and are held.
    pub held: Vec<OpenJob>,
    /// The old values of the rows of these.
    pub journal: Option<PathBuf>,
    /// Rows that name files below the source's repository.
    pub paths: Paths,
    /// Whether they name files of the new one now.
    pub paths_rewritten: bool,
}
