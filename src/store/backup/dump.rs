//! The database of a set: dumped now, or handed in by a person.
//!
//! A dump that is handed in as text is read once: what the catalog is read out of is what goes into
//! the set, piece by piece.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::direct::Direct;
use super::{BackupError, Digesting, DumpSource, Making};
use crate::catalog::dump::Input;
use crate::manifest::archive;
use crate::monitor::{Monitor, Phase};
use crate::store::durable::failed;
use crate::store::reading::{Broken, Contents, read_to_end};
use crate::store::record::{DumpRecord, FileRecord};
use crate::store::{StoreError, create_file};
use crate::sysconf::programs::{take_dump, take_dump_with, take_globals};

const DUMP_FILE: &str = "database.dump";
const GLOBALS_FILE: &str = "globals.sql";

/// How much is copied at once.
const PIECE: usize = 1024 * 1024;

/// First bytes that tell the form of a dump.
const FORMS: [(&[u8], &str); 3] = [
    (b"PGDMP", "custom"),
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
];

/// The dump of a set in the making.
pub(super) enum Dump {
    /// It is in the set.
    There(FileRecord),
    /// It goes there while it is read.
    Coming(Coming),
}

impl Making<'_> {
    /// Puts the dump into the set, or begins to, and the roles where the server can be asked for
    /// them.
    pub(super) fn take_dump(&self) -> Result<(Dump, Option<FileRecord>), BackupError> {
        let (programs, monitor) = (self.request.programs, self.monitor);
        let path = self.directory.join(DUMP_FILE);
        let mut globals = None;
        let dump = match &self.request.dump {
            DumpSource::Given(given) => self.given_dump(given)?,
            DumpSource::Command(command) => {
                take_dump_with(command, &path, monitor)?;
                Dump::There(self.digest(DUMP_FILE)?)
            }
            DumpSource::Live(parameters) => {
                take_dump(parameters, programs, &path, monitor)?;
                let path = self.directory.join(GLOBALS_FILE);
                match take_globals(parameters, programs, &path, monitor) {
                    Ok(_) => globals = Some(self.digest(GLOBALS_FILE)?),
                    Err(error @ crate::sysconf::ProgramError::Failed { .. }) => {
                        monitor.warn(&format!(
                            "the roles are not in the set: {error} \
                             (restoring to another server needs them to be made by hand)"
                        ));
                    }
                    Err(error) => return Err(error.into()),
                }
                Dump::There(self.digest(DUMP_FILE)?)
            }
        };
        Ok((dump, globals))
    }

    /// What a set's record says of its dump.
    pub(super) fn dump_record(&self, file: FileRecord) -> Result<DumpRecord, BackupError> {
        let form = form_of(&file.path(&self.directory))?.to_owned();
        let given = !matches!(self.request.dump, DumpSource::Live(_));
        Ok(DumpRecord { file, given, form })
    }

    /// A dump that was handed in; its ending stays. One that other programs read is copied first, for
    /// they read it in an order of their own.
    fn given_dump(&self, given: &Path) -> Result<Dump, BackupError> {
        let cannot_read = |source| BackupError::Dump {
            path: given.to_owned(),
            source,
        };
        let mut source: Box<dyn Read + Send> = if given == Path::new("-") {
            Box::new(io::stdin())
        } else {
            let file = File::open(given).map_err(cannot_read)?;
            if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
                return Err(BackupError::DirectoryDump {
                    path: given.to_owned(),
                });
            }
            Box::new(file)
        };
        self.monitor.phase(Phase::TakeDump, None);
        let head = read_head(&mut source).map_err(cannot_read)?;
        let form = form_of_head(&head);
        let name = name_for(given);
        let path = self.directory.join(&name);
        let out = Digesting::new(Direct::new(create_file(&path)?));
        let coming = Coming::new(given, path, io::Cursor::new(head).chain(source), out);
        Ok(match form {
            "custom" | "tar" => Dump::There(coming.finish(self.monitor)?),
            _ => Dump::Coming(coming),
        })
    }

    /// The record of a file of the set that another program has written.
    fn digest(&self, name: &str) -> Result<FileRecord, BackupError> {
        let path = self.directory.join(name);
        let mut file = File::open(&path).map_err(|source| failed("read", &path, source))?;
        match read_to_end(&mut file, None, &mut vec![0; PIECE], self.monitor) {
            Ok(Contents { bytes, blake3 }) => Ok(FileRecord {
                file: name.to_owned(),
                bytes,
                blake3,
            }),
            Err(Broken::Stopped) => Err(StoreError::Stopped.into()),
            Err(Broken::Source(source) | Broken::Target(source)) => {
                Err(failed("read", &path, source).into())
            }
        }
    }
}

/// A dump that goes into its set while it is read.
pub(super) struct Coming {
    given: PathBuf,
    path: PathBuf,
    way: Arc<Mutex<Way>>,
    /// Nobody wants more of it. Who waits for the source of a dump can be left behind, and is not
    /// to write then.
    is_left: Arc<AtomicBool>,
}

/// The way of a dump from its source into the set.
struct Way {
    source: Box<dyn Read + Send>,
    out: Digesting<Direct>,
    at_end: bool,
    broken: Option<Blocked>,
}

/// Why a dump came to no end.
enum Blocked {
    Read(io::Error),
    Write(io::Error),
}

impl Coming {
    fn new(
        given: &Path,
        path: PathBuf,
        source: impl Read + Send + 'static,
        out: Digesting<Direct>,
    ) -> Coming {
        Coming {
            given: given.to_owned(),
            path,
            way: Arc::new(Mutex::new(Way {
                source: Box::new(source),
                out,
                at_end: false,
                broken: None,
            })),
            is_left: Arc::default(),
        }
    }

    /// The dump, to be read: what is read goes into the set.
    pub(super) fn input(&self) -> Input {
        let name = if self.given == Path::new("-") {
            Path::new("standard input")
        } else {
            &self.given
        };
        let reader = Passing {
            way: Arc::clone(&self.way),
            is_left: Arc::clone(&self.is_left),
        };
        Input::from_reader(name, reader)
    }

    /// Why nothing more came, if that is so: then what the reader made of it is beside the point.
    pub(super) fn failure(&self) -> Option<BackupError> {
        // A reader that still waits for its source holds the lock, and has met nothing.
        let broken = self.way.try_lock().ok()?.broken.take()?;
        Some(match broken {
            Blocked::Read(source) => self.unread(source),
            Blocked::Write(source) => failed("write", &self.path, source).into(),
        })
    }

    /// Takes what the reader has left, and says what is in the set now.
    pub(super) fn finish(self, monitor: &dyn Monitor) -> Result<FileRecord, BackupError> {
        let mut piece = vec![0; PIECE];
        loop {
            if monitor.stopped() {
                return Err(StoreError::Stopped.into());
            }
            let read = lock(&self.way).pass(&mut piece, &self.is_left);
            match read {
                Ok(0) => break,
                Ok(count) => monitor.advance(0, count as u64),
                Err(error) => return Err(self.failure().unwrap_or_else(|| self.unread(error))),
            }
        }
        let name = self.path.file_name().unwrap_or_default();
        let out = &mut lock(&self.way).out;
        let ended = out.out.finish();
        ended.map_err(|source| failed("write", &self.path, source))?;
        Ok(out.record(&name.to_string_lossy()))
    }

    fn unread(&self, source: io::Error) -> BackupError {
        BackupError::Dump {
            path: self.given.clone(),
            source,
        }
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        self.is_left.store(true, Ordering::Relaxed);
    }
}

fn lock(way: &Mutex<Way>) -> MutexGuard<'_, Way> {
    way.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Way {
    /// Reads a piece, and puts it into the set.
    fn pass(&mut self, piece: &mut [u8], is_left: &AtomicBool) -> io::Result<usize> {
        if self.at_end {
            return Ok(0);
        }
        let count = loop {
            match self.source.read(piece) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        let count = count.map_err(|error| self.ends(Blocked::Read(error)))?;
        if is_left.load(Ordering::Relaxed) {
            return Ok(0);
        }
        self.out
            .write_all(&piece[..count])
            .map_err(|error| self.ends(Blocked::Write(error)))?;
        self.at_end = count == 0;
        Ok(count)
    }

    /// Remembers why there is no more, for who asks; the reader gets a copy.
    fn ends(&mut self, broken: Blocked) -> io::Error {
        let (Blocked::Read(error) | Blocked::Write(error)) = &broken;
        let copy = io::Error::new(error.kind(), error.to_string());
        self.broken = Some(broken);
        copy
    }
}

/// The reading end.
struct Passing {
    way: Arc<Mutex<Way>>,
    is_left: Arc<AtomicBool>,
}

impl Read for Passing {
    fn read(&mut self, piece: &mut [u8]) -> io::Result<usize> {
        lock(&self.way).pass(piece, &self.is_left)
    }
}

/// The name of a dump in its set: `database` with the endings that it came with.
fn name_for(given: &Path) -> String {
    let name = given.file_name().and_then(|name| name.to_str());
    let known =
        |ending: &&str| ["sql", "dump", "gz", "zst", "tar", "backup", "pgdump"].contains(ending);
    // What stands before the first dot is no ending, whatever it is.
    let (_, endings) = name.unwrap_or_default().split_once('.').unwrap_or_default();
    let endings: Vec<&str> = endings.rsplit('.').take_while(known).collect();
    match endings[..] {
        [] => DUMP_FILE.to_owned(),
        [last] => format!("database.{last}"),
        [last, before, ..] => format!("database.{before}.{last}"),
    }
}

fn form_of(path: &Path) -> Result<&'static str, BackupError> {
    let head = File::open(path).and_then(|mut file| read_head(&mut file));
    Ok(form_of_head(
        &head.map_err(|source| failed("read", path, source))?,
    ))
}

/// As many of the first bytes as tell the form.
fn read_head(source: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    source.take(archive::HEAD as u64).read_to_end(&mut head)?;
    Ok(head)
}

fn form_of_head(head: &[u8]) -> &'static str {
    match FORMS.iter().find(|(magic, _)| head.starts_with(magic)) {
        Some((_, form)) => form,
        None if archive::is_tar(head) => "tar",
        None => "plain",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_keeps_its_endings() {
        for (given, name) in [
            ("/b/fossology.sql.gz", "database.sql.gz"),
            ("dump-Fc.dump", "database.dump"),
            ("fossology", "database.dump"),
            ("dump.sql", "database.sql"),
            ("dump", "database.dump"),
            ("2026.fossology.sql.gz", "database.sql.gz"),
            ("-", "database.dump"),
            ("a.b.zst", "database.zst"),
            ("x.sql/../../y", "database.dump"),
        ] {
            assert_eq!(name_for(Path::new(given)), name, "{given}");
        }
    }
}
