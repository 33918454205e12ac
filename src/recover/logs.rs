//! Logs and reports of a set: unpacked into the repository, never over what is there.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::place::{Sync, create, give, last_name, make_directory_by, rename};
use crate::catalog::Amount;
use crate::monitor::Monitor;
use crate::repository::{Tree, TreePath};
use crate::store::record::LogsRecord;

/// What may be in the archive.
const DIRECTORIES: [&str; 2] = ["logs", "report"];

/// Ending of a log that is not whole.
const HALF: &[u8] = b".fogold";

/// FOSSology's mode for its logs.
const MODE: u32 = 0o664;

/// Why logs cannot be restored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogsError {
    /// The archive cannot be read.
    #[error("cannot read {}; 'fogold verify' says what else of the set is damaged", path.display())]
    Archive {
        /// The archive.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// A log cannot be written.
    #[error("cannot write {} in the repository; mend that, and run the same command again: it goes on from here", path.display())]
    Write {
        /// The log.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The monitor asked to stop.
    #[error("stopped")]
    Stopped,
}

/// Unpacks a set's logs and reports; returns what was written. The caller puts it on disk.
pub fn restore(
    record: &LogsRecord,
    set: &Path,
    tree: &Tree,
    monitor: &dyn Monitor,
) -> Result<Amount, LogsError> {
    let path = record.file.path(set);
    let broken = |source| LogsError::Archive {
        path: path.clone(),
        source,
    };
    let file = File::open(&path).map_err(broken)?;
    let mut archive = tar::Archive::new(zstd::Decoder::new(file).map_err(broken)?);
    let mut written = Amount::default();
    for entry in archive.entries().map_err(broken)? {
        if monitor.stopped() {
            return Err(LogsError::Stopped);
        }
        let mut entry = entry.map_err(broken)?;
        let name = entry.path().map_err(broken)?.into_owned();
        let Some(to) = tree_path(&name).filter(|_| entry.header().entry_type().is_file()) else {
            monitor.warn(&format!(
                "{}: {} does not belong there, and is left out",
                path.display(),
                name.display()
            ));
            continue;
        };
        let failed = |source| LogsError::Write {
            path: name.clone(),
            source,
        };
        if tree.meta(&to).is_ok() {
            continue;
        }
        let directory = make_directory_by(tree, &to.parent(), Sync::Later).map_err(failed)?;
        let last = last_name(&to).map_err(failed)?;
        let half =
            CString::new([last.as_bytes(), HALF].concat()).map_err(|error| failed(error.into()))?;
        let mut out = create(&directory, &half).map_err(failed)?;
        let bytes = io::copy(&mut entry, &mut out).map_err(failed)?;
        give(tree, &out, &directory, MODE).map_err(failed)?;
        rename(&directory, &half, &directory, &last).map_err(|error| failed(error.into()))?;
        written.add(bytes);
    }
    Ok(written)
}

/// The path of a member below the repository's root; `None` for one that leads elsewhere.
fn tree_path(name: &Path) -> Option<TreePath> {
    let mut parts = name.components();
    let first = parts.next()?;
    let is_ours = matches!(first, Component::Normal(part)
        if DIRECTORIES.iter().any(|known| part == *known));
    let stays = parts.all(|part| matches!(part, Component::Normal(_)));
    let path = name.as_os_str().as_encoded_bytes().to_vec();
    (is_ours && stays).then_some(TreePath(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_in_logs_or_report() {
        for (name, stays) in [
            ("logs/00/41/004108", true),
            ("report/a.txt", true),
            ("logs/../../etc/passwd", false),
            ("/etc/passwd", false),
            ("gold/x", false),
            ("./logs/x", false),
        ] {
            assert_eq!(tree_path(Path::new(name)).is_some(), stays, "{name}");
        }
    }
}
