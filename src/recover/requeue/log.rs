//! The end of a job's own log, for a person.
//!
//! Which file it is comes from the database, and what stands in it from an agent that has unpacked
//! hostile archives: only a log below the repository's own `logs` is read, never through a link,
//! only its end, and nothing in it reaches a terminal as it is.

use std::io::{Read, Seek, SeekFrom};

use crate::recover::place::{last_name, open_directory, open_file};
use crate::repository::{Tree, TreePath};

/// So many bytes of a log's end are read.
const TAIL: u64 = 8 * 1024;
/// So many lines of it are shown.
const LINES: usize = 8;
/// A line is cut after so many characters.
const WIDTH: usize = 300;

/// The last lines of a log; none when it cannot be read.
pub(super) fn excerpt(tree: &Tree, jq_log: &[u8]) -> Vec<String> {
    let Some(path) = below_logs(jq_log) else {
        return Vec::new();
    };
    read_end(tree, &path).map_or_else(|_| Vec::new(), |bytes| last_lines(&bytes))
}

/// The path below the root of a log that the database names by an absolute path: from the last
/// `/logs/` on, where directories and file are digits.
fn below_logs(jq_log: &[u8]) -> Option<TreePath> {
    const LOGS: &[u8] = b"/logs/";
    let at = jq_log.windows(LOGS.len()).rposition(|part| part == LOGS)?;
    let rest = &jq_log[at + LOGS.len()..];
    let mut parts = rest.split(|byte| *byte == b'/');
    let is_well_formed = parts.all(|part| !part.is_empty() && part.iter().all(u8::is_ascii_digit));
    is_well_formed.then(|| TreePath(b"logs".to_vec()).join(rest))
}

fn read_end(tree: &Tree, path: &TreePath) -> std::io::Result<Vec<u8>> {
    let directory = open_directory(tree, &path.parent())?;
    let mut file = open_file(&directory, &last_name(path)?)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn last_lines(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    lines[lines.len().saturating_sub(LINES)..]
        .iter()
        .map(|line| printable(line))
        .collect()
}

/// A text without anything that a terminal would obey.
pub(super) fn printable(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars().take(WIDTH) {
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::repository::{Access, Layout};
    use crate::sysconf::HostTable;

    #[test]
    fn only_logs_are_read() {
        let shown = |text: &str| below_logs(text.as_bytes()).map(|path| path.0);
        assert_eq!(
            shown("/srv/elsewhere/logs/00/41/08/004108"),
            Some(b"logs/00/41/08/004108".to_vec())
        );
        for other in [
            "",
            "/etc/passwd",
            "/r/logs/../gold/x",
            "/r/logs//1",
            "/r/logs/1/x",
        ] {
            assert_eq!(shown(other), None, "{other}");
        }
    }

    #[test]
    fn the_end_of_a_log_without_what_a_terminal_obeys() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout {
            depth: 3,
            hosts: HostTable::default(),
        };
        let tree = Tree::open(root.path(), layout, Access::default()).unwrap();
        fs::create_dir_all(root.path().join("logs/00/00/31")).unwrap();
        let log = root.path().join("logs/00/00/31/000031");
        let many: String = (0..5000).map(|n| format!("line {n}\n")).collect();
        fs::write(&log, format!("{many}\n\x1b[31mred\u{9b}2J\n")).unwrap();
        let lines = excerpt(&tree, b"/r/logs/00/00/31/000031");
        assert_eq!(lines.len(), LINES);
        assert_eq!(lines[LINES - 1], "\\u{1b}[31mred\\u{9b}2J");
        assert_eq!(lines[LINES - 2], "line 4999");
        fs::remove_file(&log).unwrap();
        symlink("/etc/passwd", &log).unwrap();
        assert_eq!(
            excerpt(&tree, b"/r/logs/00/00/31/000031"),
            Vec::<String>::new()
        );
    }
}
