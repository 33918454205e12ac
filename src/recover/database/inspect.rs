//! A dump is read from end to end before anything is touched.
//!
//! Only then is it known that it is whole, that it is FOSSology's, and which of its databases is.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::jobs::{JobState, OpenJob};
use super::{DatabaseError, RowCounts};
use crate::catalog::CatalogError;
use crate::catalog::dump::{DumpFacts, DumpOptions, Input, read};
use crate::catalog::rows::{
    JobRow, JobqueueRow, Micros, PfileRow, RowSink, TreeRow, UnunpackArsRow, UploadRow,
};
use crate::monitor::{Monitor, Phase};

/// Rows that are paused before their start have a start in the year 9999.
const PAUSED: Micros = 253_370_764_800_000_000;

/// What a dump holds.
pub(super) struct Inspected {
    /// What it says of its database.
    pub(super) facts: DumpFacts,
    /// Jobs without an end.
    pub(super) open_jobs: Vec<OpenJob>,
}

impl Inspected {
    /// Reads a dump to its end.
    pub(super) fn of(
        dump: &Path,
        options: &DumpOptions,
        monitor: &dyn Monitor,
    ) -> Result<Inspected, DatabaseError> {
        monitor.phase(Phase::ReadRows, None);
        let input = Input::open(dump)?.with_database();
        let (jobs, facts) = read(input, options, || Ok(Jobs::default()), monitor)?;
        Ok(Inspected {
            facts,
            open_jobs: jobs.open(),
        })
    }

    /// Refuses a dump that has other rows than its set says. `uploadtree` stands for all tables of
    /// tree rows together.
    pub(super) fn agree(&self, dump: &Path, expected: &RowCounts) -> Result<(), DatabaseError> {
        let rows = self.rows();
        for (table, &expected) in expected {
            let found = rows.get(table).copied().unwrap_or(0);
            if found != expected {
                return Err(DatabaseError::OtherRows {
                    dump: dump.display().to_string(),
                    table: table.clone(),
                    expected,
                    found,
                });
            }
        }
        Ok(())
    }

    /// Rows by table; the tables of tree rows together as `uploadtree`.
    pub(super) fn rows(&self) -> RowCounts {
        let mut rows = BTreeMap::new();
        for (table, count) in &self.facts.rows {
            let is_tree = self.facts.tree_tables.contains(table);
            let name = if is_tree { "uploadtree" } else { table };
            *rows.entry(name.to_owned()).or_insert(0) += count;
        }
        rows
    }
}

/// Keeps what concerns jobs that have no end.
#[derive(Default)]
struct Jobs {
    uploads: HashMap<i64, i64>,
    open: Vec<(i64, OpenJob)>,
}

impl Jobs {
    fn open(self) -> Vec<OpenJob> {
        let Jobs { uploads, open } = self;
        let mut jobs: Vec<OpenJob> = open
            .into_iter()
            .map(|(job, open)| OpenJob {
                upload: uploads.get(&job).copied(),
                ..open
            })
            .collect();
        jobs.sort_by_key(|job| job.jq_pk);
        jobs
    }
}

impl RowSink for Jobs {
    fn pfile(&mut self, _: &PfileRow<'_>) -> Result<(), CatalogError> {
        Ok(())
    }

    fn tree(&mut self, _: &TreeRow) -> Result<(), CatalogError> {
        Ok(())
    }

    fn upload(&mut self, _: &UploadRow<'_>) -> Result<(), CatalogError> {
        Ok(())
    }

    fn job(&mut self, row: &JobRow) -> Result<(), CatalogError> {
        if let Some(upload) = row.upload {
            self.uploads.insert(row.pk, upload);
        }
        Ok(())
    }

    fn jobqueue(&mut self, row: &JobqueueRow<'_>) -> Result<(), CatalogError> {
        if row.ended.is_none() {
            let open = OpenJob {
                jq_pk: row.pk,
                agent: String::from_utf8_lossy(row.agent).into_owned(),
                upload: None,
                state: JobState::of(row.started.is_some(), row.started >= Some(PAUSED)),
            };
            self.open.push((row.job, open));
        }
        Ok(())
    }

    fn ununpack_ars(&mut self, _: &UnunpackArsRow) -> Result<(), CatalogError> {
        Ok(())
    }
}
