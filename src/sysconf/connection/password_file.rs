//! Password files: lines `host:port:database:user:password`, any of the first four `*`.
//!
//! A colon or backslash in a field has a backslash before it. The first line that fits counts. A
//! file that others may read is not used, and that is a warning, as in libpq.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::sysconf::Secret;

/// The lines of a password file.
pub(super) struct PasswordFile {
    text: String,
}

impl PasswordFile {
    /// Reads a file. A missing one has no lines; one that must not or cannot be read has none
    /// either, with a warning.
    pub(super) fn read(path: &Path) -> (PasswordFile, Option<String>) {
        let nothing = PasswordFile {
            text: String::new(),
        };
        let Ok(metadata) = fs::metadata(path) else {
            return (nothing, None);
        };
        let refused = |why: &str| {
            Some(format!(
                "the password file {} is not used: {why}",
                path.display()
            ))
        };
        if !metadata.is_file() {
            return (nothing, refused("it is not a plain file"));
        }
        if metadata.permissions().mode() & 0o077 != 0 {
            return (
                nothing,
                refused("group or others may read it; make it private with chmod 0600"),
            );
        }
        match fs::read(path) {
            Ok(bytes) => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                (PasswordFile { text }, None)
            }
            Err(error) => (nothing, refused(&error.to_string())),
        }
    }

    /// The password of the first line that fits.
    pub(super) fn find(&self, host: &str, port: u16, dbname: &str, user: &str) -> Option<Secret> {
        let port = port.to_string();
        let wanted = [host, &port, dbname, user];
        self.text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .find_map(|line| password_in(line, &wanted))
    }
}

/// The password of a line whose fields fit what is wanted.
fn password_in(line: &str, wanted: &[&str; 4]) -> Option<Secret> {
    let mut rest = line;
    for wanted in wanted {
        let (field, after) = split_field(rest)?;
        if field != "*" && unescape(field) != *wanted {
            return None;
        }
        rest = after;
    }
    let password = unescape(rest);
    (!password.is_empty()).then(|| Secret::new(password))
}

/// Splits at the first colon that has no backslash before it.
fn split_field(text: &str) -> Option<(&str, &str)> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b':' => return Some((&text[..at], &text[at + 1..])),
            _ => {}
        }
    }
    None
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '\\' => plain.push(rest.next().unwrap_or('\\')),
            c => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(text: &str, host: &str, port: u16, dbname: &str, user: &str) -> Option<String> {
        let file = PasswordFile {
            text: text.to_owned(),
        };
        file.find(host, port, dbname, user)
            .map(|secret| secret.expose().to_owned())
    }

    #[test]
    fn the_first_line_that_fits() {
        let text = "# db:5432:f:u:comment\ndb:5432:f:u:one\r\ndb:*:*:u:two\n*:*:*:*:three\n";
        assert_eq!(find(text, "db", 5432, "f", "u").as_deref(), Some("one"));
        assert_eq!(find(text, "db", 5433, "f", "u").as_deref(), Some("two"));
        assert_eq!(
            find(text, "other", 5433, "f", "v").as_deref(),
            Some("three")
        );
        assert_eq!(find("db:5432:f:u:one", "db2", 5432, "f", "u"), None);
        assert_eq!(find("db:5432:f\n\n:::\n", "db", 5432, "f", "u"), None);
        assert_eq!(find("*:*:*:*:\n", "db", 5432, "f", "u"), None);
    }

    #[test]
    fn escapes() {
        assert_eq!(
            find("\\:\\:1:1:a\\\\b:\\*:p\\:q\\\\r:s\\", "::1", 1, "a\\b", "*").as_deref(),
            Some("p:q\\r:s\\")
        );
        assert_eq!(find("h:1:d:\\*:p", "h", 1, "d", "u"), None);
    }

    #[test]
    fn a_file_that_others_may_read_is_not_used() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pgpass");
        let found = |path: &Path| {
            let (file, warning) = PasswordFile::read(path);
            (file.find("h", 1, "d", "u").is_some(), warning)
        };
        assert_eq!(found(&path), (false, None));
        fs::write(&path, "*:*:*:*:hunter2\n").unwrap();
        for (mode, used) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let (found, warning) = found(&path);
            assert_eq!(found, used, "{mode:o}");
            assert_eq!(warning.is_none(), used, "{mode:o}");
            assert!(!warning.unwrap_or_default().contains("hunter2"));
        }
        assert!(
            found(directory.path())
                .1
                .unwrap()
                .ends_with("it is not a plain file")
        );
    }
}
