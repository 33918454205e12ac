//! `pg_restore`, which makes plain SQL of the formats that only PostgreSQL's own programs know.
//!
//! The program runs as a child whose standard output is read; its messages are read along, so that
//! it never waits for anyone to take them, and the last one says why it failed. The child is ended
//! and waited for whatever happens.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::input::Fault;
use crate::catalog::CatalogError;
use crate::monitor::Monitor;
use crate::sysconf::programs::{Messages, Programs};

const PROGRAM: &str = "pg_restore";

/// What `pg_restore` says of an archive that is cut or damaged.
const CUT: [&str; 10] = [
    "end of file",
    "could not read from input file",
    "could not open input file",
    "could not close data file",
    "could not find header for file",
    "could not find file",
    "block ID",
    "tar header",
    "could not uncompress",
    "could not decompress",
];

/// The formats that go through `pg_restore`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Archive {
    /// `pg_dump -Fc`
    Custom,
    /// `pg_dump -Ft`
    Tar,
    /// `pg_dump -Fd`
    Directory,
}

impl Archive {
    fn flag(self) -> &'static str {
        match self {
            Archive::Custom => "--format=custom",
            Archive::Tar => "--format=tar",
            Archive::Directory => "--format=directory",
        }
    }
}

/// A running `pg_restore`.
#[derive(Debug)]
pub(super) struct Restore {
    child: Child,
    messages: Option<JoinHandle<Messages>>,
    /// Feeds the child, when it does not read by itself.
    pump: Option<JoinHandle<()>>,
    /// What went wrong with the stream that the child is fed with.
    source: Arc<Mutex<Option<io::Error>>>,
}

impl Restore {
    /// Starts it for an archive that it opens by itself.
    pub(super) fn of_path(
        bindir: Option<&Path>,
        archive: Archive,
        create: bool,
        path: &Path,
    ) -> Result<(Restore, ChildStdout), CatalogError> {
        let mut command = command(bindir, archive, create);
        command.arg("--").arg(path).stdin(Stdio::null());
        start(command)
    }

    /// Starts it for an archive that is handed to it.
    pub(super) fn of_stream(
        bindir: Option<&Path>,
        archive: Archive,
        create: bool,
        mut stream: Box<dyn Read + Send>,
    ) -> Result<(Restore, ChildStdout), CatalogError> {
        let mut command = command(bindir, archive, create);
        command.stdin(Stdio::piped());
        let (mut restore, text) = start(command)?;
        if let Some(mut stdin) = restore.child.stdin.take() {
            let failure = restore.source.clone();
            restore.pump = Some(spawn(move || {
                let fail = |error| {
                    *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                };
                // A failure must be known before the child sees the end of its input.
                let wanted = pass_on(&mut *stream, &mut stdin).map_err(fail);
                drop(stdin);
                // What the child does not want is read all the same: whether the stream is whole
                // shows only at its end, and whoever writes it should not fail for our haste.
                if let Ok(Wanted::Part) = wanted
                    && let Err(error) = io::copy(&mut stream, &mut io::sink())
                {
                    fail(error);
                }
            })?);
        }
        Ok((restore, text))
    }

    /// What went wrong with the stream that it is fed with, if anything did. It may wait for ever
    /// for what such a stream lacks.
    pub(super) fn source_fault(&self, name: &Path) -> Result<(), Fault> {
        match self
            .source
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
        {
            None => Ok(()),
            Some(source) if source.kind() == io::ErrorKind::UnexpectedEof => {
                Err(Fault::Cut(source))
            }
            Some(source) => {
                let path = name.to_owned();
                Err(Fault::Other(CatalogError::Io {
                    action: "read",
                    path,
                    source,
                }))
            }
        }
    }

    /// Its output has ended: whether it went well.
    pub(super) fn finish(mut self, name: &Path, monitor: &dyn Monitor) -> Result<(), Fault> {
        let status = self
            .child
            .wait()
            .map_err(|error| Fault::Other(failed(&error.to_string())))?;
        while status.success() && self.pump.as_ref().is_some_and(|pump| !pump.is_finished()) {
            if monitor.stopped() {
                return Err(Fault::Other(CatalogError::Stopped));
            }
            thread::sleep(Duration::from_millis(1));
        }
        self.source_fault(name)?;
        if status.success() {
            return Ok(());
        }
        let messages = self.messages.take().and_then(|thread| thread.join().ok());
        match messages.and_then(|messages| messages.last) {
            Some(message) if CUT.iter().any(|sign| message.contains(sign)) => Err(Fault::Cut(
                io::Error::new(io::ErrorKind::UnexpectedEof, message),
            )),
            Some(message) => Err(Fault::Other(failed(&message))),
            None => Err(Fault::Other(failed(&status.to_string()))),
        }
    }
}

impl Drop for Restore {
    fn drop(&mut self) {
        // Both fail only when the child has ended and was waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How much of a stream the child took.
enum Wanted {
    All,
    Part,
}

/// Copies `stream` to the child.
fn pass_on(stream: &mut dyn Read, stdin: &mut ChildStdin) -> io::Result<Wanted> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(Wanted::All),
            Ok(count) => {
                if stdin.write_all(&buffer[..count]).is_err() {
                    return Ok(Wanted::Part);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn failed(why: &str) -> CatalogError {
    CatalogError::Program {
        program: PROGRAM.to_owned(),
        why: format!("failed: {why}"),
    }
}

/// The first file of a directory's tables that is empty. It would have the end of its table's rows
/// at least, and `pg_restore` takes it for a table without any.
pub(super) fn empty_member(directory: &Path) -> io::Result<Option<OsString>> {
    let mut empty = None;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let of_table = name
            .as_encoded_bytes()
            .first()
            .is_some_and(u8::is_ascii_digit);
        if of_table && entry.metadata()?.len() == 0 && empty.as_ref().is_none_or(|e| name < *e) {
            empty = Some(name);
        }
    }
    Ok(empty)
}

fn spawn<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, CatalogError> {
    thread::Builder::new()
        .name(PROGRAM.to_owned())
        .spawn(work)
        .map_err(|error| failed(&error.to_string()))
}

/// `create`: the text says also how the database itself is made.
fn command(bindir: Option<&Path>, archive: Archive, create: bool) -> Command {
    let mut command = Command::new(Programs::new(bindir.map(Path::to_owned)).path(PROGRAM));
    // Messages are recognised by their English text.
    command
        .env("LC_ALL", "C")
        .args(["--file=-", "--no-owner", "--no-privileges", archive.flag()])
        .args(create.then_some("--create"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn start(mut command: Command) -> Result<(Restore, ChildStdout), CatalogError> {
    let mut child = command.spawn().map_err(|error| {
        let program = PathBuf::from(command.get_program()).display().to_string();
        let why = if error.kind() == io::ErrorKind::NotFound {
            "is not installed: a dump in custom, tar or directory format needs it \
             (apt-get install postgresql-client); or name the directory of PostgreSQL's programs \
             with --pg-bindir"
                .to_owned()
        } else {
            format!("cannot be started: {error}")
        };
        CatalogError::Program { program, why }
    })?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let mut restore = Restore {
        child,
        messages: None,
        pump: None,
        source: Arc::new(Mutex::new(None)),
    };
    let (Some(stdout), Some(stderr)) = (stdout, stderr) else {
        return Err(failed("its output cannot be read"));
    };
    restore.messages = Some(spawn(move || Messages::read(stderr))?);
    Ok((restore, stdout))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named() {
        let error = Restore::of_path(
            Some(Path::new("/nowhere")),
            Archive::Custom,
            false,
            Path::new("/nowhere/dump"),
        )
        .unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("/nowhere/pg_restore is not installed"),
            "{text}"
        );
    }
}
