//! A file that is there whole or not at all: written beside its place and renamed.

use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::error::Failure;
use crate::catalog::CatalogError;

/// A file in the making. Dropped before [`OutputFile::keep`], it leaves nothing behind.
pub(super) struct OutputFile {
    path: PathBuf,
    temporary: NamedTempFile,
}

impl OutputFile {
    /// Begins a file that is to stand at `path` with these permissions.
    ///
    /// A symbolic link is followed, so that it stays; what is no regular file is left alone.
    pub(super) fn create(path: &Path, mode: u32) -> Result<OutputFile, Failure> {
        let path = &std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if path == Path::new("-") {
            return Err(Failure::misuse("- is no file: name one"));
        }
        if std::fs::metadata(path).is_ok_and(|there| !there.is_file()) {
            return Err(Failure::misuse(format_args!(
                "{} is no regular file, and would be replaced by one: name another",
                path.display()
            )));
        }
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let temporary = tempfile::Builder::new()
            .prefix(".fogold-")
            .permissions(PermissionsExt::from_mode(mode))
            .tempfile_in(directory)
            .map_err(|source| failed(path, source))?;
        Ok(OutputFile {
            path: path.to_owned(),
            temporary,
        })
    }

    /// Where the file stands while it is made.
    pub(super) fn half(&self) -> PathBuf {
        self.temporary.path().to_owned()
    }

    /// What is written to the file.
    pub(super) fn file(&self) -> Result<File, Failure> {
        let reopened = self.temporary.reopen();
        reopened.map_err(|source| failed(&self.path, source))
    }

    /// Puts the file on disk and in its place, over an earlier one.
    pub(super) fn keep(self) -> Result<(), Failure> {
        let OutputFile { path, temporary } = self;
        temporary
            .as_file()
            .sync_all()
            .map_err(|source| failed(&path, source))?;
        temporary
            .persist(&path)
            .map_err(|error| failed(&path, error.error))?;
        Ok(())
    }
}

fn failed(path: &Path, source: std::io::Error) -> Failure {
    CatalogError::Io {
        action: "write",
        path: path.to_owned(),
        source,
    }
    .into()
}
