//! Jobs that the restored database would run again, and the deletions among them that are held.
//!
//! A dump taken at night holds the queue of that night. The scheduler runs each row without an end
//! again when it starts; a deletion would then take away what was just brought back. So pending
//! deletions are ended, and what their rows held before is in a journal, on disk before they change.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, lchown};
use std::path::Path;

use postgres::Client;
use postgres::types::{FromSql, Type};
use rustix::fs::OFlags;
use serde::Serialize;

use super::DatabaseError;
use super::client::refused;

/// The agents that delete.
const DELETING: [&str; 2] = ["delagent", "maintagent"];

/// How far a job had come when the dump was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobState {
    /// It waits for its turn.
    Queued,
    /// It was running.
    Running,
    /// Somebody paused it before it began.
    Paused,
}

impl JobState {
    pub(super) fn of(started: bool, paused: bool) -> JobState {
        match (started, paused) {
            (false, _) => JobState::Queued,
            (true, true) => JobState::Paused,
            (true, false) => JobState::Running,
        }
    }
}

/// A job without an end: the scheduler runs it again when it starts with `--reset`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OpenJob {
    /// `jq_pk`
    pub jq_pk: i64,
    /// The agent that does it (`jq_type`).
    pub agent: String,
    /// The upload that it is for.
    pub upload: Option<i64>,
    /// How far it had come.
    pub state: JobState,
}

impl OpenJob {
    /// Whether it deletes uploads or files.
    pub fn deletes(&self) -> bool {
        DELETING.contains(&self.agent.as_str())
    }
}

/// A text of a database whose encoding nobody knows.
pub(super) struct Lossy(pub(super) String);

impl<'a> FromSql<'a> for Lossy {
    fn from_sql(
        _: &Type,
        raw: &'a [u8],
    ) -> Result<Lossy, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Lossy(String::from_utf8_lossy(raw).into_owned()))
    }

    fn accepts(ty: &Type) -> bool {
        matches!(*ty, Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME)
    }
}

/// The jobs without an end.
pub(super) fn open_jobs(client: &mut Client, target: &str) -> Result<Vec<OpenJob>, DatabaseError> {
    jobs(
        client,
        target,
        include_str!("../../../sql/restore-open-jobs.sql"),
    )
}

fn jobs(client: &mut Client, target: &str, statement: &str) -> Result<Vec<OpenJob>, DatabaseError> {
    let rows = client
        .query(statement, &[])
        .map_err(refused(target, "list its jobs"))?;
    let job = |row: postgres::Row| OpenJob {
        jq_pk: row.get(0),
        agent: row
            .get::<_, Option<Lossy>>(1)
            .map_or(String::new(), |text| text.0),
        upload: row.get(2),
        state: JobState::of(row.get(3), row.get(4)),
    };
    Ok(rows.into_iter().map(job).collect())
}

/// A line of the journal: a row of `jobqueue` before it was changed.
#[derive(Serialize)]
struct Before {
    jq_pk: i64,
    jq_type: String,
    jq_starttime: Option<String>,
    jq_endtime: Option<String>,
    jq_endtext: Option<String>,
    jq_end_bits: i64,
}

/// The deletions that are held.
pub(super) fn held(client: &mut Client, target: &str) -> Result<Vec<OpenJob>, DatabaseError> {
    jobs(
        client,
        target,
        include_str!("../../../sql/restore-held.sql"),
    )
}

/// Ends the pending deletions, and writes their old values to `journal` before; whether there were
/// any.
pub(super) fn hold_deletions(
    client: &mut Client,
    target: &str,
    journal: &Path,
) -> Result<bool, DatabaseError> {
    let rows = client
        .query(include_str!("../../../sql/restore-old-deletions.sql"), &[])
        .map_err(refused(target, "list the pending deletions"))?;
    if rows.is_empty() {
        return Ok(false);
    }
    let text = |row: &postgres::Row, at| row.get::<_, Option<Lossy>>(at).map(|text| text.0);
    let lines: Vec<Before> = rows
        .iter()
        .map(|row| Before {
            jq_pk: row.get(0),
            jq_type: text(row, 1).unwrap_or_default(),
            jq_starttime: text(row, 2),
            jq_endtime: None,
            jq_endtext: text(row, 3),
            jq_end_bits: row.get::<_, Option<i64>>(4).unwrap_or(0),
        })
        .collect();
    write(journal, &lines).map_err(|source| DatabaseError::Journal {
        path: journal.to_owned(),
        source,
    })?;
    client
        .batch_execute(include_str!("../../../sql/restore-hold-deletions.sql"))
        .map_err(refused(target, "hold the pending deletions"))?;
    Ok(true)
}

/// Makes a directory. What is new takes after the directory that it is made in, in owner, group and
/// mode: in a repository that is FOSSology's.
fn make_directory(directory: &Path) -> io::Result<()> {
    if directory.as_os_str().is_empty() || directory.is_dir() {
        return Ok(());
    }
    let Some(parent) = directory.parent() else {
        return Ok(());
    };
    make_directory(parent)?;
    let like = fs::metadata(if parent.as_os_str().is_empty() {
        Path::new(".")
    } else {
        parent
    })?;
    match fs::create_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    if rustix::process::geteuid().is_root() {
        lchown(directory, Some(like.uid()), Some(like.gid()))?;
    }
    fs::set_permissions(directory, fs::Permissions::from_mode(like.mode() & 0o7777))
}

/// Writes the journal; it is on disk when this returns. One of an earlier try that came to nothing
/// is replaced.
fn write(path: &Path, lines: &[Before]) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        make_directory(directory)?;
    }
    let new = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits() as i32)
        .open(&new)?;
    for line in lines {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        file.write_all(&text)?;
    }
    file.sync_all()?;
    fs::rename(&new, path)?;
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}
