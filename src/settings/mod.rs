//! fogold's own configuration file, `/etc/fogold/fogold.toml`.
//!
//! A flat list of entries, each with its section, its key and its line, so that whoever uses a value
//! can say where it came from. Which keys there are is told by the caller ([`Settings::check`]); an
//! unknown one is an error that names the nearest. Values that are secret may stand elsewhere: in a
//! credential of systemd or a file of their own, which are read only when they are wanted.

mod error;
mod nightly;
mod value;

use std::io::Read;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

pub use error::SettingsError;
pub use nightly::{Hooks, Mail, Reports, Webhook};
pub use value::{Place, Value};

use crate::sysconf::{ConnectionParameters, Environment};

/// The file that is read where none is named.
pub const DEFAULT_FILE: &str = "/etc/fogold/fogold.toml";

/// No such file is longer; a longer one is something else.
const LONGEST: u64 = 1 << 20;

/// Bits of the mode: everybody may read, and everybody may write.
const READ_BY_ALL: u32 = 0o004;
const WRITTEN_BY_ALL: u32 = 0o002;

/// The commands that `fogold nightly` can run, in the order in which it does.
pub const STEPS: [&str; 4] = ["backup", "check", "verify", "prune"];

/// The sections for `fogold nightly` that are no command's.
pub const OWN_SECTIONS: [(&str, &[&str]); 3] = [
    (Mail::SECTION, &Mail::KEYS),
    (Hooks::SECTION, &Hooks::KEYS),
    (Reports::SECTION, &Reports::KEYS),
];

/// A key with its value.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The section: empty at the top, `check`, `nightly.check`.
    pub section: String,
    /// The key.
    pub key: String,
    /// The value.
    pub value: Value,
    /// The line that the key stands on, from 1.
    pub line: usize,
}

impl Entry {
    /// The key with its section before it.
    pub fn name(&self) -> String {
        if self.section.is_empty() {
            self.key.clone()
        } else {
            format!("{}.{}", self.section, self.key)
        }
    }
}

/// A section and the keys that it may have.
#[derive(Clone, Debug)]
pub struct Section {
    /// Its name; empty for the top.
    pub name: String,
    /// The keys.
    pub keys: Vec<String>,
}

/// A configuration file that was read.
#[derive(Clone, Debug)]
pub struct Settings {
    path: PathBuf,
    entries: Vec<Entry>,
    /// Sections with their lines, also those without a key.
    sections: Vec<(String, usize)>,
    mode: u32,
}

impl Settings {
    /// Reads a file; `None` when it is not there.
    pub fn read(path: &Path) -> Result<Option<Settings>, SettingsError> {
        let failed = |source| SettingsError::Read {
            path: path.to_owned(),
            source,
        };
        let file = match std::fs::File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let mode = file.metadata().map_err(failed)?.mode();
        let mut text = String::new();
        file.take(LONGEST + 1)
            .read_to_string(&mut text)
            .map_err(failed)?;
        if text.len() as u64 > LONGEST {
            return Err(failed(std::io::ErrorKind::FileTooLarge.into()));
        }
        let settings = Settings::parse(path, &text)?;
        Ok(Some(Settings { mode, ..settings }))
    }

    /// The settings in a text, as if it stood in a file.
    pub fn parse(path: &Path, text: &str) -> Result<Settings, SettingsError> {
        let table = DeTable::parse(text).map_err(|error| SettingsError::Syntax {
            path: path.to_owned(),
            line: error.span().map_or(1, |span| line_of(text, &span)),
            why: error.message().to_owned(),
        })?;
        let mut settings = Settings {
            path: path.to_owned(),
            entries: Vec::new(),
            sections: Vec::new(),
            mode: 0,
        };
        settings.take(text, "", table.into_inner())?;
        settings.entries.sort_by_key(|entry| entry.line);
        Ok(settings)
    }

    /// Takes what a table holds: tables in it are sections, but for those that name a secret.
    fn take(&mut self, text: &str, section: &str, table: DeTable<'_>) -> Result<(), SettingsError> {
        for (key, value) in table {
            let line = line_of(text, &key.span());
            let key = key.into_inner().into_owned();
            let entry = |value| Entry {
                section: section.to_owned(),
                key: key.clone(),
                value,
                line,
            };
            match self.value(value, line)? {
                Ok(value) => self.entries.push(entry(value)),
                Err(table) => {
                    let inner = entry(Value::Switch(false)).name();
                    self.sections.push((inner.clone(), line));
                    self.take(text, &inner, table)?;
                }
            }
        }
        Ok(())
    }

    /// A value, or the table that it is.
    fn value<'a>(
        &self,
        value: Spanned<DeValue<'a>>,
        line: usize,
    ) -> Result<Result<Value, DeTable<'a>>, SettingsError> {
        let odd = |what: &str| SettingsError::Syntax {
            path: self.path.clone(),
            line,
            why: format!("no setting is {what}"),
        };
        Ok(Ok(match value.into_inner() {
            DeValue::String(text) => Value::Text(text.into_owned()),
            DeValue::Integer(number) => Value::Text(
                i64::from_str_radix(number.as_str(), number.radix())
                    .map_err(|_| odd("so large a number"))?
                    .to_string(),
            ),
            DeValue::Boolean(on) => Value::Switch(on),
            DeValue::Array(items) => {
                let mut list = Vec::new();
                for item in items {
                    match self.value(item, line)? {
                        Ok(Value::Text(text)) => list.push(text),
                        _ => return Err(odd("a list of anything but texts and numbers")),
                    }
                }
                Value::List(list)
            }
            DeValue::Table(table) => match Place::of(&table) {
                Some(place) => Value::Elsewhere(place),
                None => return Ok(Err(table)),
            },
            DeValue::Float(_) => return Err(odd("a number with a fraction")),
            DeValue::Datetime(_) => return Err(odd("a date")),
        }))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All entries, in the order of their lines.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry of a key.
    pub fn get(&self, section: &str, key: &str) -> Option<&Entry> {
        self.entries
            .iter()
            .find(|entry| entry.section == section && entry.key == key)
    }

    /// Refuses sections and keys that are not among those `known`, and names the nearest.
    pub fn check(&self, known: &[Section]) -> Result<(), SettingsError> {
        let find = |name: &str| known.iter().find(|section| section.name == name);
        let names = || known.iter().map(|section| section.name.as_str());
        if let Some((name, line)) = self.sections.iter().find(|(name, _)| find(name).is_none()) {
            return Err(SettingsError::UnknownSection {
                path: self.path.clone(),
                line: *line,
                section: name.clone(),
                hint: nearest(name, names())
                    .map_or_else(String::new, |near| format!("; did you mean [{near}]?")),
            });
        }
        let strange = |entry: &&Entry| {
            find(&entry.section).is_none_or(|section| !section.keys.contains(&entry.key))
        };
        let Some(entry) = self.entries.iter().find(strange) else {
            return Ok(());
        };
        Err(SettingsError::UnknownKey {
            path: self.path.clone(),
            line: entry.line,
            key: entry.name(),
            hint: hint(entry, known),
        })
    }

    /// What the user ought to know: passwords that everybody may read, and a file that everybody may
    /// write, for it names commands that are run.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.mode & WRITTEN_BY_ALL != 0 && !self.entries.is_empty() {
            let path = self.path.display();
            warnings.push(format!("everybody may write {path}: chmod o-w {path}"));
        }
        let is_secret = |entry: &&Entry| matches!(&entry.value, Value::Text(text) if has_secret(&entry.key, text));
        if self.mode & READ_BY_ALL != 0 {
            let secrets = self.entries.iter().filter(is_secret);
            warnings.extend(secrets.map(|entry| self.readable(entry)));
        }
        warnings
    }

    fn readable(&self, entry: &Entry) -> String {
        format!(
            "{}, line {}: {} holds a secret, and everybody may read the file: chmod o= {0}, or write \
             {} = {{ file = \"…\" }}",
            self.path.display(),
            entry.line,
            entry.name(),
            entry.key
        )
    }

    /// The error of a value that does not fit its key.
    pub fn unfit(&self, entry: &Entry, why: impl Into<String>) -> SettingsError {
        SettingsError::Unfit {
            path: self.path.clone(),
            line: entry.line,
            key: entry.name(),
            why: why.into(),
        }
    }

    /// The text of a key, where it has one; a secret is fetched from its place.
    pub fn text(&self, section: &str, key: &str) -> Result<Option<String>, SettingsError> {
        match self.get(section, key) {
            None => Ok(None),
            Some(entry) => match &entry.value {
                Value::Text(text) => Ok(Some(text.clone())),
                Value::Elsewhere(place) => self.fetch(entry, place).map(Some),
                Value::Switch(_) | Value::List(_) => {
                    Err(self.unfit(entry, "a text is wanted, in quotes"))
                }
            },
        }
    }

    /// The texts of a key, of which one may stand without brackets.
    pub fn texts(&self, section: &str, key: &str) -> Result<Vec<String>, SettingsError> {
        match self.get(section, key).map(|entry| &entry.value) {
            Some(Value::List(list)) => Ok(list.clone()),
            _ => Ok(self.text(section, key)?.into_iter().collect()),
        }
    }

    /// What stands at the place that an entry names.
    pub fn fetch(&self, entry: &Entry, place: &Place) -> Result<String, SettingsError> {
        place.fetch().map_err(|source| SettingsError::Secret {
            path: self.path.clone(),
            line: entry.line,
            key: entry.name(),
            place: place.to_string(),
            source,
        })
    }
}

/// Whether a value is not for everybody's eyes: a URL that lets its holder in, or a connection with
/// a password. What cannot be parsed is judged by its looks.
pub fn has_secret(key: &str, text: &str) -> bool {
    if key == Hooks::WEBHOOK {
        return true;
    }
    ConnectionParameters::is_source(text)
        && ConnectionParameters::from_source(text, &Environment::empty()).map_or_else(
            |_| text.contains('@') || text.to_ascii_lowercase().contains("pass"),
            |parameters| parameters.password().is_some(),
        )
}

fn line_of(text: &str, span: &Range<usize>) -> usize {
    let before = &text.as_bytes()[..span.start.min(text.len())];
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}

/// Where the key of an entry belongs, or which one was meant.
fn hint(entry: &Entry, known: &[Section]) -> String {
    let has = |section: &&Section| section.keys.contains(&entry.key);
    let homes: Vec<String> = known
        .iter()
        .filter(has)
        .map(|section| match section.name.as_str() {
            "" => "the top of the file, before any [section]".to_owned(),
            name => format!("[{name}]"),
        })
        .collect();
    if !homes.is_empty() {
        return format!("; it belongs to {}", homes.join(" or "));
    }
    let own = known.iter().find(|section| section.name == entry.section);
    let keys = own.into_iter().flat_map(|section| &section.keys);
    match nearest(&entry.key, keys.map(String::as_str)) {
        Some(near) => format!("; did you mean {near}?"),
        None => "; 'fogold config --all' lists those that there are".to_owned(),
    }
}

/// The name nearest to one that is not known, if it is near.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let far = (name.len() / 3).max(2);
    known
        .map(|near| (strsim::damerau_levenshtein(name, near), near))
        .filter(|(distance, near)| *distance <= far && !near.is_empty())
        .min()
        .map(|(_, near)| near)
}

#[cfg(test)]
mod tests;
