//! The database of a set: dumped now, or handed in by a person.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use super::{BackupError, Digesting, DumpSource, Making};
use crate::monitor::Phase;
use crate::store::durable::failed;
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

impl Making<'_> {
    /// Puts the dump into the set, and the roles where the server can be asked for them.
    pub(super) fn take_dump(&self) -> Result<(DumpRecord, Option<FileRecord>), BackupError> {
        let (programs, monitor) = (self.request.programs, self.monitor);
        let path = self.directory.join(DUMP_FILE);
        let mut globals = None;
        let file = match &self.request.dump {
            DumpSource::Given(given) => self.copy_dump(given)?,
            DumpSource::Command(command) => {
                take_dump_with(command, &path, monitor)?;
                self.digest(DUMP_FILE)?
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
                self.digest(DUMP_FILE)?
            }
        };
        let form = form_of(&file.path(&self.directory))?;
        let given = !matches!(self.request.dump, DumpSource::Live(_));
        Ok((
            DumpRecord {
                file,
                given,
                form: form.to_owned(),
            },
            globals,
        ))
    }

    /// Copies a dump that was handed in; its ending stays.
    fn copy_dump(&self, given: &Path) -> Result<FileRecord, BackupError> {
        let cannot_read = |source| BackupError::Dump {
            path: given.to_owned(),
            source,
        };
        let mut source: Box<dyn Read> = if given == Path::new("-") {
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
        let name = name_for(given);
        let path = self.directory.join(&name);
        self.monitor.phase(Phase::TakeDump, None);
        let mut out = Digesting::new(create_file(&path)?);
        let mut piece = vec![0; PIECE];
        loop {
            if self.monitor.stopped() {
                return Err(StoreError::Stopped.into());
            }
            let count = match source.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => return Err(cannot_read(source)),
            };
            out.write_all(&piece[..count])
                .map_err(|source| failed("write", &path, source))?;
            self.monitor.advance(0, count as u64);
        }
        Ok(out.finish(&name))
    }

    /// The record of a file of the set that another program has written.
    fn digest(&self, name: &str) -> Result<FileRecord, BackupError> {
        let path = self.directory.join(name);
        let mut digest = blake3::Hasher::new();
        let bytes = File::open(&path)
            .and_then(|mut file| io::copy(&mut file, &mut digest))
            .map_err(|source| failed("read", &path, source))?;
        Ok(FileRecord {
            file: name.to_owned(),
            bytes,
            blake3: *digest.finalize().as_bytes(),
        })
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
    let mut head = [0; 512];
    let mut length = 0;
    let mut file = File::open(path).map_err(|source| failed("read", path, source))?;
    while length < head.len() {
        match file.read(&mut head[length..]) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(source) => return Err(failed("read", path, source).into()),
        }
    }
    let known = FORMS.iter().find(|(magic, _)| head.starts_with(magic));
    Ok(match known {
        Some((_, form)) => form,
        None if crate::manifest::archive::is_tar(&head[..length]) => "tar",
        None => "plain",
    })
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
