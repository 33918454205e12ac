//! Which host of the repository a file lies on: the section `[REPOSITORY]` of `fossology.conf`.
//!
//! A line `<host>[] = <type|*> <start> <end>` claims the names between two hex prefixes. FOSSology
//! tries hosts in the byte order of their names, not in file order, and a host's lines in list
//! order. It writes to the first match; on reading it tries the later ones too. A name that no line
//! claims lies directly below the repository's root.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The kinds of file that FOSSology keeps in its repository: the directories below a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RepositoryType {
    /// Uploads, as they came.
    Gold,
    /// Everything unpacked, and every upload once more.
    Files,
    /// A relic of FOSSology 1.x: temporary, not in the database, never cleaned.
    License,
    /// Logs of jobs.
    Logs,
    /// Used by FOSSology's own tests.
    Test,
}

impl RepositoryType {
    /// All types that a line of `[REPOSITORY]` may name.
    pub const ALL: [RepositoryType; 5] = [
        RepositoryType::Gold,
        RepositoryType::Files,
        RepositoryType::License,
        RepositoryType::Logs,
        RepositoryType::Test,
    ];

    /// The type's directory name.
    pub fn as_str(self) -> &'static str {
        match self {
            RepositoryType::Gold => "gold",
            RepositoryType::Files => "files",
            RepositoryType::License => "license",
            RepositoryType::Logs => "logs",
            RepositoryType::Test => "test",
        }
    }
}

impl fmt::Display for RepositoryType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no repository type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no repository type is called {0:?} (there are gold, files, license, logs, test)")]
pub struct UnknownType(pub String);

impl FromStr for RepositoryType {
    type Err = UnknownType;

    fn from_str(text: &str) -> Result<Self, UnknownType> {
        RepositoryType::ALL
            .into_iter()
            .find(|ty| ty.as_str() == text)
            .ok_or_else(|| UnknownType(text.to_owned()))
    }
}

/// What a line of `[REPOSITORY]` claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostLine {
    /// The type claimed: `*`, a type's name, or a word that matches nothing.
    pub ty: String,
    /// First prefix claimed, as written.
    pub start: String,
    /// Last prefix claimed, as written.
    pub end: String,
}

impl HostLine {
    /// Whether the line claims `name` of type `ty`. Only the first `strlen(start)` and
    /// `strlen(end)` characters are compared, without case.
    fn claims(&self, ty: RepositoryType, name: &[u8]) -> bool {
        (self.ty == "*" || self.ty == ty.as_str())
            && compare_prefix(self.start.as_bytes(), name) != Ordering::Greater
            && compare_prefix(self.end.as_bytes(), name) != Ordering::Less
    }
}

/// `prefix` against the first `prefix.len()` bytes of `name`, without case.
fn compare_prefix(prefix: &[u8], name: &[u8]) -> Ordering {
    let name = &name[..name.len().min(prefix.len())];
    let lower = |bytes: &[u8]| bytes.to_ascii_lowercase();
    lower(prefix).cmp(&lower(name))
}

/// A line of `[REPOSITORY]` that is not `<type> <start> <end>`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("[REPOSITORY] {host}[] = {text}: want '<type|*> <start> <end>'")]
pub struct BadHostLine {
    /// The host whose line it is.
    pub host: String,
    /// The line's value.
    pub text: String,
}

/// The hosts of a repository and what each claims.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostTable {
    hosts: BTreeMap<String, Vec<HostLine>>,
}

impl HostTable {
    /// Adds the line `host[] = text` behind the host's earlier lines.
    pub fn add(&mut self, host: &str, text: &str) -> Result<(), BadHostLine> {
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let [ty, start, end] = words[..] else {
            return Err(BadHostLine {
                host: host.to_owned(),
                text: text.to_owned(),
            });
        };
        self.hosts
            .entry(host.to_owned())
            .or_default()
            .push(HostLine {
                ty: ty.to_owned(),
                start: start.to_owned(),
                end: end.to_owned(),
            });
        Ok(())
    }

    /// A table for a tree without configuration: every host found claims every name.
    pub fn of_found_hosts<I: IntoIterator<Item = String>>(hosts: I) -> HostTable {
        let line = HostLine {
            ty: "*".to_owned(),
            start: String::new(),
            end: String::new(),
        };
        HostTable {
            hosts: hosts
                .into_iter()
                .map(|host| (host, vec![line.clone()]))
                .collect(),
        }
    }

    /// The hosts' names in the order in which FOSSology tries them.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.hosts.keys().map(String::as_str)
    }

    /// Whether a line of `host` is about a type that is `wanted`.
    pub fn names_a_type_of(&self, host: &str, wanted: impl Fn(RepositoryType) -> bool) -> bool {
        let mut lines = self.hosts.get(host).into_iter().flatten();
        lines.any(|line| {
            line.ty == "*" || line.ty.parse().is_ok_and(|ty: RepositoryType| wanted(ty))
        })
    }

    /// The lines as they would stand in `[REPOSITORY]`.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        let or = |text: &str, other: &str| if text.is_empty() { other } else { text }.to_owned();
        self.hosts.iter().flat_map(move |(host, lines)| {
            lines.iter().map(move |line| {
                let (start, end) = (or(&line.start, "00"), or(&line.end, "ff"));
                format!("{host}[] = {} {start} {end}", line.ty)
            })
        })
    }

    /// Whether the table names no host.
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    /// The hosts that claim a name, in the order in which FOSSology tries them. It writes to the
    /// first; with none, the file lies directly below the root.
    pub fn claimants<'a>(
        &'a self,
        ty: RepositoryType,
        name: &'a [u8],
    ) -> impl Iterator<Item = &'a str> + 'a {
        self.hosts
            .iter()
            .filter(move |(_, lines)| lines.iter().any(|line| line.claims(ty, name)))
            .map(|(host, _)| host.as_str())
    }

    /// Whether `host` (`None`: the root, for names that no line claims) is a place for every name
    /// that begins with these two hex digits, for none of them (`Some(false)`), or for some
    /// (`None`): then [`HostTable::claims`] must be asked name by name.
    pub fn claims_prefix(
        &self,
        host: Option<&str>,
        ty: RepositoryType,
        two_digits: &[u8; 2],
    ) -> Option<bool> {
        let mut open = false;
        let lines = match host {
            Some(host) => self.hosts.get(host).into_iter().collect::<Vec<_>>(),
            None => self.hosts.values().collect(),
        };
        for line in lines.into_iter().flatten() {
            if line.start.len() <= 2 && line.end.len() <= 2 {
                if line.claims(ty, two_digits) {
                    return Some(host.is_some());
                }
            } else {
                open |= line.ty == "*" || line.ty == ty.as_str();
            }
        }
        (!open).then_some(host.is_none())
    }

    /// Whether a file of this name is in its place under `host` (`None`: the root).
    pub fn is_place(&self, host: Option<&str>, ty: RepositoryType, name: &[u8]) -> bool {
        match host {
            Some(host) => self.claims(host, ty, name),
            None => self.claimants(ty, name).next().is_none(),
        }
    }

    /// Whether `host` has a line that claims the name.
    pub fn claims(&self, host: &str, ty: RepositoryType, name: &[u8]) -> bool {
        self.hosts
            .get(host)
            .is_some_and(|lines| lines.iter().any(|line| line.claims(ty, name)))
    }
}
