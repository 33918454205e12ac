//! The check that ends a restore.

use std::path::PathBuf;

use crate::catalog::Catalog;
use crate::check::{self, Aids, Backups, Options};
use crate::cli::Global;
use crate::cli::error::Failure;
use crate::cli::progress::Progress;
use crate::cli::source::{self, Source};
use crate::manifest::Types;
use crate::monitor::Monitor;
use crate::recover::database::Target;
use crate::recover::restore::{Done, Parts};
use crate::report::{Clock, Report};
use crate::repository::{LowImpact, Tree};
use crate::store::held::Held;
use crate::store::{SetId, SetRecord, Store};
use crate::sysconf::{Programs, RepositoryType, Sysconf};

/// The types that a check looks at after a restore.
pub(super) fn checked_types(parts: Parts) -> Vec<RepositoryType> {
    let all = [
        RepositoryType::Gold,
        RepositoryType::Files,
        RepositoryType::License,
    ];
    all.into_iter()
        .filter(|ty| parts.database || parts.types.has(Types::of(*ty)))
        .collect()
}

/// The check after a restore.
pub(super) struct After<'a> {
    pub(super) global: &'a Global,
    pub(super) sysconf: Option<&'a Sysconf>,
    pub(super) database: Option<&'a Target>,
    pub(super) store: &'a Store,
    pub(super) id: SetId,
    pub(super) record: &'a SetRecord,
    /// The set's dump: what there is to check against where no database can be reached.
    pub(super) dump: PathBuf,
    pub(super) programs: &'a Programs,
    pub(super) types: Vec<RepositoryType>,
}

/// What a check found.
pub(super) struct Checked {
    pub(super) outcome: check::Outcome,
    catalog: Catalog,
    options: Options,
}

impl Checked {
    /// The report of the restore and of this check.
    pub(super) fn report(&self, done: Done, tree: &Tree, clock: Clock) -> Report {
        Report::of_restore(
            done,
            &self.outcome,
            tree,
            &self.catalog,
            &self.options,
            clock,
        )
    }
}

impl After<'_> {
    /// Checks the tree that files were brought back into.
    pub(super) fn check(
        &self,
        done: &Done,
        tree: &Tree,
        progress: &Progress,
    ) -> Result<Checked, Failure> {
        let (source, catalog) = self.rows(done, progress)?;
        let options = Options {
            types: self.types.clone(),
            verify: false,
            sha256: false,
            slice: check::Slice::ALL,
            allow_empty: true,
            threads: self.global.threads(),
            scratch: self.global.scratch.clone(),
            low_impact: LowImpact::default(),
        };
        let mut held = Held::of(self.store)?;
        if let Some(files) = &done.files {
            held = held.without(&files.broken);
        }
        let backups: [&dyn Backups; 1] = [&held];
        let aids = Aids {
            live: source.live_rows(),
            backups: &backups,
            ..Aids::default()
        };
        let outcome = check::run_with(tree, &catalog, aids, &options, progress)?;
        Ok(Checked {
            outcome,
            catalog,
            options,
        })
    }

    /// What to check against: the live database. Files can be brought back before it is, and are
    /// then held against the set's own dump.
    fn rows(&self, done: &Done, progress: &Progress) -> Result<(Source, Catalog), Failure> {
        let read = |source: Source| {
            let catalog = source.read(self.global, self.sysconf, self.programs, None, progress)?;
            Ok((source, catalog))
        };
        let live = self.database.map(|target| {
            let database = source::connect(&target.connection)?;
            read(Source::Live(database))
        });
        match live {
            Some(Ok(live)) => return Ok(live),
            Some(Err(failure)) if done.database.is_some() || progress.stopped() => {
                return Err(failure);
            }
            Some(Err(failure)) => progress.warn(&format!(
                "the live database cannot be read, so the files are held against the set's own dump: {failure}"
            )),
            None => {}
        }
        // Where the database is restored too, this was done before anything was touched.
        if done.database.is_none() {
            let proven = self.store.make_sure_of_dump(self.id, self.record, progress);
            proven.map_err(|error| {
                let error = Failure::from(error);
                Failure::world(format_args!(
                    "the files are restored, but cannot be held against the set's own dump: {error}; 'fogold verify' says \
                     what else is damaged"
                ))
            })?;
        }
        read(Source::dump(self.dump.clone()))
    }
}
