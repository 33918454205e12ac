//! Queueing the planned jobs, a batch at a time, and following them where that was asked.

use std::collections::BTreeMap;

use super::database::JobState;
use super::error::RequeueError;
use super::follow::{Follower, GaveUp, Patience};
use super::log;
use super::rebuild;
use super::report::{Job, JobEnd, Outcome, Told};
use super::run::{Run, Work};

/// A failed job is tried so often.
const TRIES: u32 = 2;

impl Run<'_> {
    /// Mends trees, queues jobs, and follows both where that was asked.
    pub(super) fn run_jobs(
        &mut self,
        outcome: &mut Outcome,
        work: &Work,
    ) -> Result<Option<GaveUp>, RequeueError> {
        if let Some(why) = self.mend_trees(outcome)? {
            return Ok(Some(why));
        }
        if let Some(why) = self.queue_all(outcome, work)? {
            return Ok(Some(why));
        }
        self.follow_open(outcome)
    }

    /// Mends the trees that can be mended.
    fn mend_trees(&mut self, outcome: &mut Outcome) -> Result<Option<GaveUp>, RequeueError> {
        let mut rows = Vec::new();
        for at in 0..outcome.trees.len() {
            if self.monitor.stopped() {
                return Ok(Some(GaveUp::Stopped));
            }
            let Some((gold, source)) = outcome.trees[at].gold.clone() else {
                continue;
            };
            self.settle(&gold, &source, outcome)?;
            let tree = &mut outcome.trees[at];
            tree.row = rebuild::mend(&mut self.database, tree)?;
            tree.end = Some(match tree.row {
                Some(_) => JobEnd::Queued,
                None => JobEnd::Dropped,
            });
            rows.extend(tree.row);
        }
        if rows.is_empty() {
            return Ok(None);
        }
        self.tell(outcome);
        let Some(patience) = self.options.wait else {
            return Ok(None);
        };
        let mut states = BTreeMap::new();
        let gave_up = self.follow(patience, &rows, &mut states)?;
        for tree in &mut outcome.trees {
            let state = tree.row.and_then(|row| states.get(&row));
            match state.filter(|state| state.ended) {
                Some(state) if state.failed() => {
                    tree.end = Some(JobEnd::Failed);
                    tree.refused = Some("its new unpack failed".to_owned());
                }
                Some(_) => tree.end = Some(JobEnd::Completed),
                None => {}
            }
        }
        Ok(gave_up)
    }

    /// Queues all jobs, a batch at a time; and follows each batch where that was asked.
    fn queue_all(
        &mut self,
        outcome: &mut Outcome,
        work: &Work,
    ) -> Result<Option<GaveUp>, RequeueError> {
        let batch = self.options.batch.max(1);
        for first in (0..outcome.jobs.len()).step_by(batch) {
            let last = (first + batch).min(outcome.jobs.len());
            for at in first..last {
                if self.monitor.stopped() {
                    return Ok(Some(GaveUp::Stopped));
                }
                if let Some((gold, source)) = work.golds.get(&outcome.jobs[at].upload) {
                    self.settle(gold, source, outcome)?;
                }
                self.queue(&mut outcome.jobs[at])?;
            }
            self.tell(outcome);
            let Some(patience) = self.options.wait else {
                self.monitor.advance((last - first) as u64, 0);
                continue;
            };
            if let Some(why) = self.follow_batch(outcome, first..last, patience)? {
                return Ok(Some(why));
            }
        }
        Ok(None)
    }

    fn queue(&mut self, job: &mut Job) -> Result<(), RequeueError> {
        let upload = job.upload;
        let user = job.user.ok_or(RequeueError::NoUser { upload })?;
        let queued = match job.row {
            None => self.database.queue(upload, user, &job.waits)?,
            Some(failed) => self
                .database
                .queue_again(failed, upload, user, &job.waits)?,
        };
        match queued {
            Some(new) => {
                job.row = Some(new.row);
                job.waiting = new.waiting;
                job.end = JobEnd::Queued;
                job.tries += 1;
            }
            None => job.end = JobEnd::Dropped,
        }
        Ok(())
    }

    /// Has the scheduler look at the queue. That it does not answer is said once.
    fn tell(&self, outcome: &mut Outcome) {
        let told = match &self.server.scheduler {
            None => Told::No("no fossology.conf says where it listens".to_owned()),
            Some(scheduler) => match scheduler.look_at_queue() {
                Ok(()) => Told::Yes,
                Err(error) => Told::No(format!("no answer at {scheduler}: {error}")),
            },
        };
        if let (Told::No(why), false) = (&told, matches!(outcome.scheduler, Told::No(_))) {
            self.monitor.warn(&format!(
                "the scheduler was not told ({why}); it finds the jobs by itself when it runs"
            ));
        }
        outcome.scheduler = told;
    }

    fn follow(
        &mut self,
        patience: Patience,
        rows: &[i32],
        states: &mut BTreeMap<i32, JobState>,
    ) -> Result<Option<GaveUp>, RequeueError> {
        let follower = Follower {
            scheduler: self.server.scheduler.as_ref(),
            patience,
            began: self.began,
            monitor: self.monitor,
        };
        follower.until_ended(&mut self.database, rows, states)
    }

    /// Follows a batch; a job that failed for no reason of its own is tried once more.
    fn follow_batch(
        &mut self,
        outcome: &mut Outcome,
        batch: std::ops::Range<usize>,
        patience: Patience,
    ) -> Result<Option<GaveUp>, RequeueError> {
        loop {
            let jobs = &outcome.jobs[batch.clone()];
            let rows: Vec<i32> = jobs
                .iter()
                .filter(|job| job.end == JobEnd::Queued)
                .filter_map(|job| job.row)
                .collect();
            let mut states = BTreeMap::new();
            let gave_up = self.follow(patience, &rows, &mut states)?;
            let mut again = false;
            for at in batch.clone() {
                let job = &mut outcome.jobs[at];
                let state = job.row.and_then(|row| states.get(&row));
                let (JobEnd::Queued, Some(state)) = (job.end, state.filter(|state| state.ended))
                else {
                    continue;
                };
                if !state.failed() {
                    job.end = JobEnd::Completed;
                    continue;
                }
                job.log = log::excerpt(self.server.tree, &state.log);
                if may_try_again(job, state) && gave_up.is_none() {
                    self.queue(job)?;
                    again |= job.end == JobEnd::Queued;
                } else {
                    job.end = JobEnd::Failed;
                }
            }
            if gave_up.is_some() || !again {
                return Ok(gave_up);
            }
            self.tell(outcome);
        }
    }

    /// Follows the unpacks that were queued before: what they bring back is wanted too. One that is
    /// paused may never end.
    fn follow_open(&mut self, outcome: &mut Outcome) -> Result<Option<GaveUp>, RequeueError> {
        let moving = outcome.open.iter().filter(|open| !open.paused);
        let rows: Vec<i32> = moving.map(|open| open.row).collect();
        let (Some(patience), false) = (self.options.wait, rows.is_empty()) else {
            return Ok(None);
        };
        self.tell(outcome);
        let mut states = BTreeMap::new();
        let gave_up = self.follow(patience, &rows, &mut states)?;
        for open in &mut outcome.open {
            match states.get(&open.row).filter(|state| state.ended) {
                Some(state) if state.failed() => open.end = JobEnd::Failed,
                Some(_) => open.end = JobEnd::Completed,
                None => {}
            }
        }
        Ok(gave_up)
    }
}

/// Whether a job failed in the one way that passes: on a fresh database, unpacks that run side by side
/// collide on a new mimetype's name, and the agent ends with code 2.
fn may_try_again(job: &Job, state: &JobState) -> bool {
    let end_text = String::from_utf8_lossy(&state.end_text);
    let mut words = job.log.iter().map(String::as_str).chain([&*end_text]);
    job.tries < TRIES && words.any(|line| line.trim_end().ends_with("code: 2"))
}
