//! FOSSology's configuration in a set: the files beside `fossology.conf`, without passwords.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use crate::monitor::Monitor;
use crate::store::durable::failed;
use crate::store::record::{FileRecord, SYSCONF};
use crate::store::{StoreError, create_file, make_directory};
use crate::sysconf::db_conf::REMOVED;

/// A configuration file is no larger than this.
const MOST_BYTES: u64 = 1024 * 1024;

/// What a key has in its name whose value is a secret.
const SECRET_KEYS: [&str; 7] = [
    "pass",
    "pwd",
    "secret",
    "token",
    "credential",
    "apikey",
    "api_key",
];

/// Copies the files of FOSSology's configuration directory into a set's. Without `with_passwords`
/// the values of keys that hold secrets are left out. Returns what the set's record says of them. A file that cannot be read is told: a set
/// without it is better than none.
pub(super) fn copy(
    sysconfdir: &Path,
    set: &Path,
    with_passwords: bool,
    monitor: &dyn Monitor,
) -> Result<Vec<FileRecord>, StoreError> {
    let target = set.join(SYSCONF);
    make_directory(&target)?;
    let mut files = Vec::new();
    let entries = fs::read_dir(sysconfdir).map_err(|e| failed("read", sysconfdir, e))?;
    for entry in entries {
        let entry = entry.map_err(|source| failed("read", sysconfdir, source))?;
        let path = entry.path();
        let is_configuration = path.extension().is_some_and(|ending| ending == "conf")
            || entry.file_name() == "VERSION";
        if !is_configuration {
            continue;
        }
        match read(&path) {
            Ok(Some(bytes)) => {
                let bytes = if with_passwords {
                    bytes
                } else {
                    without_secrets(&bytes)
                };
                write(&target.join(entry.file_name()), &bytes)?;
                files.extend(record_of(&entry.file_name(), &bytes));
            }
            Ok(None) => {}
            Err(error) => monitor.warn(&format!("{} is not in the set: {error}", path.display())),
        }
    }
    files.sort_by(|a, b| a.file.cmp(&b.file));
    Ok(files)
}

/// Writes a file, which is put on disk with all of the set.
fn write(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    create_file(path)?
        .write_all(bytes)
        .map_err(|source| failed("write", path, source))
}

/// What the set's record says of a file; nothing of one whose name is no text.
fn record_of(name: &OsStr, bytes: &[u8]) -> Option<FileRecord> {
    Some(FileRecord {
        file: format!("{SYSCONF}/{}", name.to_str()?),
        bytes: bytes.len() as u64,
        blake3: *blake3::hash(bytes).as_bytes(),
    })
}

/// The contents of a configuration file; `None` when it is something else. A link is followed:
/// Debian's package has some.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() || metadata.len() > MOST_BYTES {
        return Ok(None);
    }
    fs::read(path).map(Some)
}

/// The lines of a configuration without secrets: those whose key says so, and those that hold a URL
/// with a user in it (a proxy's). From there on the line is left out, for a password may hold
/// anything.
fn without_secrets(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let text = String::from_utf8_lossy(line);
        match secret_at(&text) {
            Some(at) => {
                out.extend_from_slice(format!("{}= {REMOVED};\n", &text[..at]).as_bytes());
            }
            None => out.extend_from_slice(line),
        }
    }
    out
}

/// Where in a line the value of the first secret begins: at its equals sign.
fn secret_at(line: &str) -> Option<usize> {
    let mut key_begins = 0;
    for (at, _) in line.match_indices('=') {
        let key = line[key_begins..at].to_ascii_lowercase();
        let value = &line[at..];
        let says_so = SECRET_KEYS.iter().any(|word| key.contains(word));
        if says_so || (value.contains("://") && value.contains('@')) {
            return Some(at);
        }
        key_begins = at + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::Silent;

    #[test]
    fn secrets_are_left_out() {
        let conf = "dbname=fossology;\nuser=fossy;\npassword=s3cret;\n\
                    [VARIABLES]\nhttp_proxy = http://u:pw@proxy:3128\nserver = http://a/b\n";
        let text = String::from_utf8(without_secrets(conf.as_bytes())).unwrap();
        assert!(!text.contains("s3cret") && !text.contains("pw@"), "{text}");
        assert!(
            text.contains("user=fossy;") && text.contains("http://a/b"),
            "{text}"
        );
    }

    #[test]
    fn a_secret_may_hold_anything_and_stand_anywhere_on_its_line() {
        for (line, rest) in [
            ("password=a;b=c;d\n", "password= (removed by fogold);\n"),
            (
                "dbname=fossology; password = s\n",
                "dbname=fossology; password = (removed by fogold);\n",
            ),
            ("PGPASSWORD=s", "PGPASSWORD= (removed by fogold);\n"),
            (
                "; old password=s\n",
                "; old password= (removed by fogold);\n",
            ),
            (
                "depth = 3 ; no password here\n",
                "depth = 3 ; no password here\n",
            ),
            ("localhost[] = * 00 ff\n", "localhost[] = * 00 ff\n"),
        ] {
            let text = without_secrets(line.as_bytes());
            assert_eq!(String::from_utf8(text).unwrap(), rest, "{line}");
        }
    }

    #[test]
    fn what_is_no_configuration_stays_out() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(from.path().join("fossology.conf"), "[FOSSOLOGY]\n").unwrap();
        fs::write(from.path().join("Db.conf"), "password=x;\n").unwrap();
        fs::write(from.path().join("notes.txt"), "mine").unwrap();
        fs::create_dir(from.path().join("mods-enabled")).unwrap();
        fs::create_dir(from.path().join("directory.conf")).unwrap();
        std::os::unix::fs::symlink("nowhere", from.path().join("gone.conf")).unwrap();
        copy(from.path(), to.path(), false, &Silent).unwrap();
        let copied = to.path().join(SYSCONF);
        assert_eq!(fs::read_dir(&copied).unwrap().count(), 2);
        assert!(
            !fs::read_to_string(copied.join("Db.conf"))
                .unwrap()
                .contains("=x")
        );
        copy(from.path(), to.path(), true, &Silent).unwrap();
        assert!(
            fs::read_to_string(copied.join("Db.conf"))
                .unwrap()
                .contains("=x")
        );
    }
}
