//! Lists of paths, relative to the repository, for programs that copy files or prove them.

use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{FormatError, Source};
use crate::catalog::scatter::{self, Scatter};
use crate::manifest::{Entry, Place};
use crate::monitor::Monitor;
use crate::parallel::share_out;
use crate::repository::{Shard, TreePath};

/// The form of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListFormat {
    /// A path a line, as `rsync --files-from`, `tar -T` and restic's `--files-from-verbatim` want it.
    Lines,
    /// Each path ended by a zero byte, as `rsync -0 --files-from`, `tar --null -T` and restic's
    /// `--files-from-raw` want it.
    ZeroEnded,
    /// A sha1 and a path a line, as `sha1sum -c` wants it.
    Sha1Sum,
}

/// What a list names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListTotals {
    /// Paths in the list.
    pub paths: u64,
    /// Files that had gone when their paths were looked up.
    pub gone: u64,
}

/// Writes a list of a set's files, in the order of their names. What is left out of the set is left
/// out of the list.
pub fn write(
    source: Source<'_>,
    format: ListFormat,
    out: &mut dyn Write,
    scratch: &Path,
    threads: usize,
    monitor: &dyn Monitor,
) -> Result<ListTotals, FormatError> {
    let lines = Scatter::new(scratch)?;
    let (paths, gone) = (AtomicU64::new(0), AtomicU64::new(0));
    share_out(threads, monitor, |shards| {
        let mut writer = lines.writer();
        for shard in shards.map(Shard) {
            for entry in source.collected.entries(shard)? {
                let named = push(source, format, &entry, &mut writer)?;
                paths.fetch_add(named, Ordering::Relaxed);
                let has_gone = named == 0 && entry.place == Place::Pool;
                gone.fetch_add(u64::from(has_gone), Ordering::Relaxed);
            }
        }
        Ok::<(), FormatError>(writer.finish()?)
    })?;
    if monitor.stopped() {
        return Err(FormatError::Stopped);
    }
    for shard in Shard::all() {
        out.write_all(&lines.read(shard.0)?).map_err(failed)?;
    }
    out.flush().map_err(failed)?;
    Ok(ListTotals {
        paths: paths.into_inner(),
        gone: gone.into_inner(),
    })
}

fn failed(source: std::io::Error) -> FormatError {
    FormatError::Io {
        action: "write",
        path: "the list".into(),
        source,
    }
}

/// Appends the lines of an entry; says how many.
fn push(
    source: Source<'_>,
    format: ListFormat,
    entry: &Entry,
    writer: &mut scatter::Writer,
) -> Result<u64, FormatError> {
    if entry.place != Place::Pool {
        return Ok(0);
    }
    let paths = source.paths(entry);
    for path in &paths {
        writer.push(entry.name.shard().0, |out| {
            put(out, format, entry, path);
        })?;
    }
    Ok(paths.len() as u64)
}

fn put(out: &mut Vec<u8>, format: ListFormat, entry: &Entry, path: &TreePath) {
    match format {
        ListFormat::Lines => {
            put_plain(out, path);
            out.push(b'\n');
        }
        ListFormat::ZeroEnded => {
            put_plain(out, path);
            out.push(0);
        }
        ListFormat::Sha1Sum => put_sha1(out, &entry.name.sha1, path),
    }
}

/// A path that no reader takes for an option (tar) or a comment (rsync).
fn put_plain(out: &mut Vec<u8>, path: &TreePath) {
    if matches!(path.0.first(), Some(b'-' | b'#' | b';')) {
        out.extend_from_slice(b"./");
    }
    out.extend_from_slice(&path.0);
}

/// A line of `sha1sum`: one that begins with a backslash has backslashes and line ends escaped.
fn put_sha1(out: &mut Vec<u8>, sha1: &[u8; 20], path: &TreePath) {
    let is_odd = |byte: &u8| matches!(byte, b'\\' | b'\n' | b'\r');
    if path.0.iter().any(is_odd) {
        out.push(b'\\');
    }
    for byte in sha1 {
        out.extend_from_slice(format!("{byte:02x}").as_bytes());
    }
    out.extend_from_slice(b"  ");
    for byte in &path.0 {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            byte => out.push(*byte),
        }
    }
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Types;
    use crate::repository::RepositoryName;

    fn line(format: ListFormat, path: &str) -> String {
        let entry = Entry {
            name: RepositoryName {
                sha1: [0xab; 20],
                md5: [0; 16],
                size: 7,
            },
            types: Types::GOLD,
            blake3: None,
            place: Place::Pool,
            urls: Vec::new(),
            url_withheld: false,
        };
        let mut out = Vec::new();
        put(
            &mut out,
            format,
            &entry,
            &TreePath(path.as_bytes().to_vec()),
        );
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_of_each_form() {
        let sum = "ab".repeat(20);
        for (format, path, wanted) in [
            (ListFormat::Lines, "h/gold/x", "h/gold/x\n".to_owned()),
            (ListFormat::Lines, "-T/gold/x", "./-T/gold/x\n".to_owned()),
            (ListFormat::Lines, "#h/gold/x", "./#h/gold/x\n".to_owned()),
            (ListFormat::ZeroEnded, "h/gold/x", "h/gold/x\0".to_owned()),
            (
                ListFormat::ZeroEnded,
                ";h/gold/x",
                "./;h/gold/x\0".to_owned(),
            ),
            (
                ListFormat::Sha1Sum,
                "h/gold/x",
                format!("{sum}  h/gold/x\n"),
            ),
            (
                ListFormat::Sha1Sum,
                "h\\y/x",
                format!("\\{sum}  h\\\\y/x\n"),
            ),
        ] {
            assert_eq!(line(format, path), wanted);
        }
    }
}
