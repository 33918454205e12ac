//! What a run has planned and done.

use serde::{Serialize, Serializer};

use super::clean::Cleaned;
use super::golds::PlacedGold;
use super::plan::{Open, Pick, shown};
use super::rebuild::CutTree;
use super::statement::{self, array};
use crate::catalog::{Amount, Summary, UploadIds};
use crate::repository::{RepositoryName, TreePath};

/// What the statement that queues an upload is called where it is shown.
const PREPARED: &str = "fogold_requeue";

/// How a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum JobEnd {
    /// Not queued: a dry run, or the run ended before.
    Planned,
    /// Queued, and not known to have ended.
    Queued,
    /// It ended and says that it is well.
    Completed,
    /// It ended and failed.
    Failed,
    /// Not queued: when its turn came, somebody had queued it, or deleted the upload.
    Dropped,
}

/// An unpack that is needed.
#[derive(Clone, Debug, Serialize)]
pub struct Job {
    /// The upload that is unpacked again.
    pub upload: i32,
    /// Its file name; bytes that are not UTF-8 are replaced.
    pub filename: String,
    /// All uploads that the job serves: those of one gold and the same arguments.
    pub serves: UploadIds,
    /// The arguments that were given at upload.
    #[serde(serialize_with = "lossy")]
    pub arguments: Vec<u8>,
    /// The missing files that it brings back; some may also come from others.
    pub brings: Amount,
    /// How long it takes: as long as it took before, or an estimate.
    pub seconds: f64,
    /// Whether `seconds` is known and no estimate.
    pub seconds_known: bool,
    /// The user whose job it is.
    pub user: Option<i32>,
    /// How it stands.
    pub end: JobEnd,
    /// The row of jobqueue, once queued; of the last try.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<i32>,
    /// Rows in progress that now wait for it.
    pub waiting: Vec<i32>,
    /// How often it was tried.
    pub tries: u32,
    /// The last lines of its log, when it failed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,
    #[serde(skip)]
    pub(super) waits: Vec<i32>,
}

/// An unpack that was queued by somebody before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OpenUnpack {
    /// The upload.
    pub upload: i32,
    /// The row of jobqueue that has no end.
    pub row: i32,
    /// When it was started, RFC 3339; absent while it is still to start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<String>,
    /// Somebody has paused it: nothing of it runs before it is resumed.
    pub paused: bool,
    /// Whether the scheduler is at it; absent when it is still to start, or the scheduler does not
    /// say. One that nobody is at stays as it is until the scheduler is started with `--reset`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_work: Option<bool>,
    /// The missing files that it will bring back.
    pub brings: Amount,
    /// How it stands.
    pub end: JobEnd,
    #[serde(skip)]
    pub(super) gold: (RepositoryName, TreePath),
}

/// An upload that cannot be unpacked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LostUpload {
    /// The upload.
    pub upload: i32,
    /// Its file name.
    pub filename: String,
    /// Why.
    pub why: String,
}

/// Whether the scheduler was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Told {
    /// There was nothing to tell.
    Nothing,
    /// It answered.
    Yes,
    /// It did not; why.
    No(String),
}

/// What a check found after the jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct After {
    /// Files that are still missing.
    pub missing: Amount,
    /// Listings that are missing.
    pub listings: u64,
}

/// What a run has planned and done.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// Nothing was changed, by request.
    pub dry_run: bool,
    /// Everything that was asked for was done.
    pub complete: bool,
    /// Why it was not.
    pub troubles: Vec<String>,
    /// Files that unpacking brings back.
    pub wanted: Amount,
    /// The unpacks, by upload.
    pub jobs: Vec<Job>,
    /// Unpacks that were queued before.
    pub open: Vec<OpenUnpack>,
    /// Uploads that cannot be unpacked.
    pub lost: Vec<LostUpload>,
    /// Missing files that nothing in this server brings back.
    pub beyond: Amount,
    /// Missing files of which a good copy stands elsewhere in the repository.
    pub elsewhere: Amount,
    /// Missing listings, which no unpack brings back.
    pub listings: u64,
    /// Files and directories that FOSSology's user or group cannot use: unpacks fail there.
    pub unusable: u64,
    /// Golds that were put into files/.
    pub placed: Vec<PlacedGold>,
    /// Golds that are to be put into files/, besides those of the jobs.
    pub unlinked_golds: u64,
    /// Cut trees.
    pub trees: Vec<CutTree>,
    /// Whether the scheduler was told.
    pub scheduler: Told,
    /// What a check found after the jobs.
    pub after: Option<After>,
    /// What came of cleaning up.
    pub cleaned: Option<Cleaned>,
}

impl Job {
    pub(super) fn of(pick: &Pick, user: Option<i32>, summary: &Summary) -> Job {
        Job {
            upload: pick.upload,
            filename: filename(summary, pick.upload),
            serves: shown(&pick.unpack.uploads),
            arguments: pick.unpack.arguments.clone(),
            brings: pick.brings,
            seconds: pick.seconds,
            seconds_known: pick.unpack.known_seconds.is_some(),
            user,
            end: JobEnd::Planned,
            row: None,
            waiting: Vec::new(),
            tries: 0,
            log: Vec::new(),
            waits: pick.waiting.clone(),
        }
    }

    /// The call that queues it.
    fn sql(&self) -> String {
        let user = self
            .user
            .map_or_else(|| "NULL".to_owned(), |user| user.to_string());
        let waits = array(&self.waits);
        format!("EXECUTE {PREPARED} ({}, {user}, {waits});", self.upload)
    }
}

impl OpenUnpack {
    pub(super) fn of(open: &Open, running: impl FnOnce() -> Option<bool>) -> OpenUnpack {
        let time = |seconds| jiff::Timestamp::from_second(seconds).unwrap_or_default();
        let started = open.row.started.map(|seconds| time(seconds).to_string());
        OpenUnpack {
            upload: open.upload,
            row: open.row.row,
            paused: open.row.paused,
            at_work: started.as_ref().and_then(|_| running()),
            started,
            brings: open.brings,
            end: JobEnd::Queued,
            gold: open.gold.clone(),
        }
    }

    /// Whether it will yet open its gold: nobody has begun, or who had is gone.
    pub(super) fn is_to_come(&self) -> bool {
        self.started.is_none() || self.at_work == Some(false)
    }
}

impl Outcome {
    /// Whether all is well, or will be when the queued jobs have ended.
    pub fn is_well(&self) -> bool {
        self.lost.is_empty()
            && self.beyond.files == 0
            && !self.jobs.iter().any(|job| job.end == JobEnd::Failed)
            && !self.open.iter().any(|open| open.end == JobEnd::Failed)
            && self.trees.iter().all(|tree| tree.refused.is_none())
            && self.after.is_none_or(|after| after.missing.files == 0)
    }

    /// Whether anything was queued or put into the tree.
    pub(super) fn has_changed_something(&self) -> bool {
        !self.placed.is_empty()
            || self.jobs.iter().any(|job| job.row.is_some())
            || self.trees.iter().any(|tree| tree.row.is_some())
    }

    /// The time that the jobs and the mending of trees take, one after the other.
    pub fn seconds(&self) -> f64 {
        let jobs = self.jobs.iter().map(|job| job.seconds);
        jobs.chain(self.trees.iter().filter_map(|tree| tree.seconds))
            .sum()
    }

    /// The statements of the whole plan, as they could be given to `psql`: the one that queues an
    /// upload once, and then a call of it for each.
    pub fn sql(&self) -> Vec<String> {
        let trees = self.trees.iter().filter(|tree| tree.refused.is_none());
        let mut sql: Vec<String> = trees.flat_map(CutTree::shown).collect();
        if !self.jobs.is_empty() {
            let text = statement::QUEUE.shown(&[]);
            sql.push(format!(
                "PREPARE {PREPARED} (int4, int4, int4[]) AS\n{text}"
            ));
            sql.extend(self.jobs.iter().map(Job::sql));
        }
        sql
    }
}

/// An upload's file name as text.
pub(super) fn filename(summary: &Summary, upload: i32) -> String {
    summary
        .upload(upload)
        .map(|upload| String::from_utf8_lossy(&upload.filename).into_owned())
        .unwrap_or_default()
}

fn lossy<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&String::from_utf8_lossy(bytes))
}
