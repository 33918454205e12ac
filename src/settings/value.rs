//! What a key may be set to.

use std::ffi::OsStr;
use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

/// No secret is longer.
const LONGEST: u64 = 64 << 10;

/// Where systemd puts the credentials of a service.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// A value as the file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `true` or `false`.
    Switch(bool),
    /// A text, or a number as text.
    Text(String),
    /// Several of them.
    List(Vec<String>),
    /// A secret that is kept elsewhere.
    Elsewhere(Place),
}

/// Where a secret is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// `{ credential = "name" }`: what the service's `LoadCredential=` names.
    Credential(String),
    /// `{ file = "path" }`
    File(PathBuf),
}

impl Place {
    /// The place that a table names, when that is all there is in it.
    pub(super) fn of(table: &DeTable<'_>) -> Option<Place> {
        let mut entries = table.iter();
        let (Some((key, value)), None) = (entries.next(), entries.next()) else {
            return None;
        };
        let DeValue::String(text) = value.get_ref() else {
            return None;
        };
        match key.get_ref().as_ref() {
            "credential" => Some(Place::Credential(text.to_string())),
            "file" => Some(Place::File(PathBuf::from(text.as_ref()))),
            _ => None,
        }
    }

    /// Reads the secret: the file without the line end behind it.
    pub(super) fn fetch(&self) -> io::Result<String> {
        self.fetch_with(std::env::var_os(CREDENTIALS).as_deref())
    }

    fn fetch_with(&self, credentials: Option<&OsStr>) -> io::Result<String> {
        let path = match self {
            Place::File(path) => path.clone(),
            Place::Credential(name) => {
                let directory = credentials.ok_or_else(|| {
                    io::Error::other(format!(
                        "{CREDENTIALS} is not set: only a service of systemd with LoadCredential={name}:… has it"
                    ))
                })?;
                if Path::new(name).components().count() != 1 || name.starts_with('.') {
                    return Err(io::Error::other("that is no name of a credential"));
                }
                Path::new(directory).join(name)
            }
        };
        let mut text = String::new();
        std::fs::File::open(path)?
            .take(LONGEST)
            .read_to_string(&mut text)?;
        let text = text.trim_end_matches(['\n', '\r']);
        if text.is_empty() {
            return Err(io::Error::other("it is empty"));
        }
        Ok(text.to_owned())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Credential(name) => write!(f, "credential {name}"),
            Place::File(path) => write!(f, "file {}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_read_from_their_place() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(directory.path().join("url"), "https://x/y\n").expect("a file");
        std::fs::write(directory.path().join("none"), "\n").expect("a file");
        let credentials = Some(directory.path().as_os_str());
        let credential = |name: &str, from| Place::Credential(name.to_owned()).fetch_with(from);
        assert_eq!(credential("url", credentials).unwrap(), "https://x/y");
        let file = Place::File(directory.path().join("url"));
        assert_eq!(file.fetch_with(None).unwrap(), "https://x/y");
        for bad in ["none", "gone", "../url", "a/b", "..", ""] {
            assert!(credential(bad, credentials).is_err(), "{bad}");
        }
        let error = credential("url", None).unwrap_err().to_string();
        assert!(error.contains("LoadCredential=url"), "{error}");
    }
}
