//! A set's own files: record, manifest, dump.

use std::path::Path;

use super::agreement::{self, Agreement};
use super::{Options, SetCoverage, State, told};
use crate::catalog::dump::{self, DumpOptions, Input};
use crate::catalog::{Catalog, CatalogError};
use crate::check::{Finding, Kind, Severity};
use crate::monitor::Monitor;
use crate::repository::{Shard, TreePath};
use crate::store::digest::{Reader, intact};
use crate::store::layout::{RECORD_FILE, SETS, SetId};
use crate::store::record::{FileRecord, SetRecord};
use crate::store::{Store, StoreError};

/// What looking at a set's own files showed.
#[derive(Debug)]
pub(super) struct SetCheck {
    pub id: SetId,
    /// Absent when it cannot be read.
    pub record: Option<SetRecord>,
    pub coverage: SetCoverage,
    pub findings: Vec<Finding>,
    /// Why something could not be looked at.
    pub troubles: Vec<String>,
}

impl SetCheck {
    /// Looks at a set. What is wrong with it is found; only being asked to stop and a lack of scratch
    /// room end the run, and a newer format the look at this set.
    pub(super) fn of(
        store: &Store,
        id: SetId,
        options: &Options,
        reader: &mut Reader,
        monitor: &dyn Monitor,
    ) -> Result<SetCheck, StoreError> {
        let mut check = SetCheck {
            id,
            record: None,
            coverage: SetCoverage::unread(id),
            findings: Vec::new(),
            troubles: Vec::new(),
        };
        let record = match store.record(id) {
            Ok(record) => record,
            Err(error) if error.newer_format().is_some() => return Err(error),
            Err(error) => {
                check.coverage.others = State::Damaged;
                let path = store.layout().set(id).join(RECORD_FILE);
                let bytes = std::fs::metadata(path).map_or(0, |meta| meta.len());
                check.damage(RECORD_FILE, bytes, Kind::Corrupt, &what_is_wrong(&error));
                check.troubles.push(told(&error));
                return Ok(check);
            }
        };
        let directory = store.layout().set(id);
        check.coverage.manifest = check.file(&record.manifest.file, &directory, reader, monitor)?;
        check.coverage.dump = check.file(&record.dump.file, &directory, reader, monitor)?;
        check.coverage.others = State::Good;
        for file in record.files().skip(2).chain(&record.sysconf) {
            if check.file(file, &directory, reader, monitor)? == State::Damaged {
                check.coverage.others = State::Damaged;
            }
        }
        if check.coverage.manifest == State::Good {
            check.contents(store, &record, options, monitor)?;
        } else {
            let path = record.manifest.file.path(&directory);
            let path = path.display();
            check.troubles.push(format!(
                "what the set {id} names cannot be told without {path}"
            ));
        }
        check.record = Some(record);
        Ok(check)
    }

    /// Holds a file against its record.
    fn file(
        &mut self,
        file: &FileRecord,
        directory: &Path,
        reader: &mut Reader,
        monitor: &dyn Monitor,
    ) -> Result<State, StoreError> {
        let error = match intact(file, directory, reader, monitor) {
            Ok(()) => return Ok(State::Good),
            Err(StoreError::Stopped) => return Err(StoreError::Stopped),
            Err(error) => error,
        };
        let kind = match &error {
            StoreError::Cut { .. } => Kind::WrongSize,
            StoreError::Damaged { .. } => Kind::Corrupt,
            _ => Kind::Unreadable,
        };
        if kind != Kind::Corrupt {
            self.troubles.push(told(&error));
        }
        self.damage(&file.file, file.bytes, kind, &what_is_wrong(&error));
        Ok(State::Damaged)
    }

    /// Reads the manifest to its end, and holds it against the dump where that is this run's to do.
    fn contents(
        &mut self,
        store: &Store,
        record: &SetRecord,
        options: &Options,
        monitor: &dyn Monitor,
    ) -> Result<(), StoreError> {
        let catalog =
            if self.coverage.dump == State::Good && options.slice.contains(part_of(self.id)) {
                self.read_dump(store, record, options, monitor)?
            } else {
                None
            };
        let manifest = store.manifest(self.id, record);
        let compared = manifest.and_then(|manifest| {
            agreement::compare(
                manifest,
                catalog.as_ref(),
                record,
                &store.layout().set(self.id),
            )
        });
        match compared {
            Ok(agreement) => self.take(agreement, record, catalog.is_some()),
            Err(StoreError::Catalog(error)) => return Err(error.into()),
            Err(error) if error.newer_format().is_some() => return Err(error),
            Err(error) => {
                self.coverage.manifest = State::Damaged;
                let manifest = &record.manifest.file;
                self.damage(
                    &manifest.file,
                    manifest.bytes,
                    Kind::Corrupt,
                    &what_is_wrong(&error),
                );
                self.troubles.push(told(&error));
            }
        }
        Ok(())
    }

    fn take(&mut self, agreement: Agreement, record: &SetRecord, with_dump: bool) {
        self.coverage.entries = agreement.entries;
        if agreement.entries != record.manifest.entries {
            let why = format!(
                "it names {} files, and the set's record says {}",
                agreement.entries, record.manifest.entries
            );
            self.coverage.manifest = State::Damaged;
            let manifest = &record.manifest.file;
            self.damage(&manifest.file, manifest.bytes, Kind::Corrupt, &why);
            self.troubles
                .push(format!("the set {}: its manifest: {why}", self.id));
        }
        if with_dump {
            let agrees = agreement.findings.is_empty();
            self.coverage.agreement = if agrees { State::Good } else { State::Damaged };
        }
        self.findings.extend(agreement.findings);
    }

    /// The catalog that the set's own dump holds; `None` when it cannot be read.
    fn read_dump(
        &mut self,
        store: &Store,
        record: &SetRecord,
        options: &Options,
        monitor: &dyn Monitor,
    ) -> Result<Option<Catalog>, StoreError> {
        let path = record.dump.file.path(&store.layout().set(self.id));
        let how = DumpOptions {
            database: record.source.database.clone(),
            bindir: options.programs.directory().map(Path::to_owned),
            ..DumpOptions::default()
        };
        let catalog = Input::open(&path).and_then(|input| {
            dump::read_catalog(
                input,
                &how,
                &options.scratch,
                None,
                options.threads,
                monitor,
            )
        });
        match catalog {
            Ok(catalog) => Ok(Some(catalog)),
            Err(_) if monitor.stopped() => Err(StoreError::Stopped),
            Err(error @ (CatalogError::Scratch { .. } | CatalogError::NoRoom { .. })) => {
                Err(error.into())
            }
            Err(error) => {
                let why = told(&error);
                // A missing program says nothing of the dump.
                if !matches!(error, CatalogError::Program { .. }) {
                    self.coverage.dump = State::Damaged;
                    let dump = &record.dump.file;
                    self.damage(&dump.file, dump.bytes, Kind::Corrupt, &why);
                }
                self.troubles.push(why);
                Ok(None)
            }
        }
    }

    /// Finds a file of the set damaged that has, or should have, so many bytes.
    fn damage(&mut self, file: &str, bytes: u64, kind: Kind, detail: &str) {
        let path = format!("{SETS}/{}/{file}", self.id);
        let mut finding = Finding::new(kind, Severity::Loss).at(&TreePath(path.into_bytes()));
        finding.bytes = Some(bytes);
        finding.detail = Some(detail.to_owned());
        self.findings.push(finding);
    }
}

/// What is wrong with a file that the finding names already.
fn what_is_wrong(error: &StoreError) -> String {
    match error {
        StoreError::Cut { bytes, wanted, .. } => format!("{bytes} bytes instead of {wanted}"),
        StoreError::Damaged { why, .. } => why.clone(),
        StoreError::Io { source, .. } => source.to_string(),
        other => told(other),
    }
}

/// The part with which a set's dump is read: over all parts of a slice, every dump once.
pub(super) fn part_of(id: SetId) -> Shard {
    Shard(blake3::hash(id.to_string().as_bytes()).as_bytes()[0])
}
