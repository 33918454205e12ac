//! The tables that are small enough to be held in memory: uploads, and how far their jobs got.

use std::collections::{HashMap, HashSet};

use super::origin;
use super::particulars::Particulars;
use super::rows::Micros;
use super::summary::{Provenance, Summary};
use super::upload::{Unpacking, Upload};

/// The agents whose jobs say how far an upload got.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Agent {
    Fetch,
    Unpack,
    Number,
}

pub(super) struct Queued {
    pub(super) pk: i32,
    pub(super) job: i32,
    pub(super) agent: Agent,
    pub(super) started: Option<Micros>,
    pub(super) ended: bool,
    pub(super) completed: bool,
    /// From its start to its end.
    pub(super) took: Option<Micros>,
    pub(super) items: Option<i64>,
    pub(super) without_version_control: bool,
    pub(super) arguments: Option<Vec<u8>>,
}

impl Queued {
    /// The upload that the arguments begin with: for rows whose job says none.
    fn upload_by_arguments(&self) -> Option<i32> {
        let arguments = self.arguments.as_deref()?;
        let digits = arguments.split(|byte| !byte.is_ascii_digit()).next()?;
        std::str::from_utf8(digits).ok()?.parse().ok()
    }
}

/// The tables that are small enough to be held in memory.
#[derive(Default)]
pub(super) struct SmallTables {
    pub(super) uploads: Vec<(Upload, Option<Vec<u8>>)>,
    pub(super) jobs: HashMap<i32, (Option<i32>, Option<Micros>)>,
    pub(super) queue: Vec<Queued>,
    pub(super) killed: HashSet<i32>,
    pub(super) tree_rows: HashMap<i32, u64>,
    /// Rows of pfile that name no file, and why.
    pub(super) unusable: HashMap<i32, String>,
    pub(super) pfile_rows: u64,
    pub(super) tree_total: u64,
    pub(super) particulars: Particulars,
}

impl SmallTables {
    pub(super) fn take_in(&mut self, other: SmallTables) {
        self.uploads.extend(other.uploads);
        self.jobs.extend(other.jobs);
        self.queue.extend(other.queue);
        self.killed.extend(other.killed);
        self.unusable.extend(other.unusable);
        for (upload, rows) in other.tree_rows {
            *self.tree_rows.entry(upload).or_default() += rows;
        }
        self.pfile_rows += other.pfile_rows;
        self.tree_total += other.tree_total;
        self.particulars.users.extend(other.particulars.users);
        self.particulars
            .directory
            .take_in(other.particulars.directory);
    }

    /// A summary with all that the small tables tell.
    pub(super) fn summary(&mut self, provenance: Provenance) -> Summary {
        self.queue.sort_unstable_by_key(|queued| queued.pk);
        let mut unpackings: HashMap<i32, Unpacking> = HashMap::new();
        let mut fetches: HashMap<i32, &[u8]> = HashMap::new();
        let mut unpacked_first: HashSet<i32> = HashSet::new();
        let mut in_use_since: Option<Micros> = None;
        for queued in &self.queue {
            let job = self.jobs.get(&queued.job);
            if !queued.ended && queued.agent != Agent::Number {
                let since = queued
                    .started
                    .filter(|started| *started < NEVER)
                    .or_else(|| job.and_then(|(_, queued)| *queued))
                    .unwrap_or(Micros::MIN);
                in_use_since = Some(in_use_since.map_or(since, |earliest| earliest.min(since)));
            }
            let upload = job.and_then(|(upload, _)| *upload);
            let Some(upload) = upload.or_else(|| queued.upload_by_arguments()) else {
                continue;
            };
            let unpacking = unpackings.entry(upload).or_default();
            unpacking.open_job |= !queued.ended;
            match queued.agent {
                Agent::Fetch => {
                    if let Some(arguments) = &queued.arguments {
                        fetches.entry(upload).or_insert(arguments);
                    }
                }
                Agent::Unpack => {
                    // The arguments given at upload stand in the first row; a reunpack from the
                    // pages has none.
                    if unpacked_first.insert(upload) {
                        unpacking.without_version_control = queued.without_version_control;
                    }
                    if queued.completed {
                        unpacking.completed = true;
                        // One that processed nothing was told to do nothing.
                        if let Some(took) = queued.took
                            && queued.items.is_some_and(|items| items > 0)
                        {
                            self.particulars.unpack_times.insert(upload, took);
                        }
                        unpacking.items = unpacking
                            .items
                            .or_else(|| queued.items.filter(|items| *items > 0));
                    }
                }
                Agent::Number => {}
            }
        }
        let mut uploads: Vec<Upload> = Vec::with_capacity(self.uploads.len());
        for (mut upload, origin) in self.uploads.drain(..) {
            let fetch = fetches.get(&upload.pk).copied();
            upload.origin = origin::judge(origin.as_deref(), fetch);
            if origin::may_hold_a_secret(&upload.filename, &upload.origin) {
                upload.filename = b"(name withheld: it may hold a secret)".to_vec();
            }
            upload.tree_rows = self.tree_rows.get(&upload.pk).copied().unwrap_or(0);
            upload.unpacking = unpackings.remove(&upload.pk).unwrap_or_default();
            upload.unpacking.killed = self.killed.contains(&upload.pk);
            uploads.push(upload);
        }
        uploads.sort_unstable_by_key(|upload| upload.pk);
        Summary {
            provenance,
            pfile_rows: self.pfile_rows,
            tree_rows: self.tree_total,
            uploads,
            temporary_trees_in_use_since: in_use_since,
            ..Summary::default()
        }
    }
}

/// FOSSology gives a paused job the start 9999-12-31: it has not started.
const NEVER: Micros = 253_370_764_800_000_000;
