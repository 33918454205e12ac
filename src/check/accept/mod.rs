//! Findings that a person has seen and accepted.
//!
//! They stand in a file that is written by hand or begun by [`write`]: groups with a kind and a reason,
//! and in each a line a finding. A finding is recognised by what it is about, never by its details; once
//! it is worse than what was accepted, or the group's last day is over, it counts again. Who accepts
//! changes nothing of what is found: accepted findings are set apart from those that count.

mod error;
mod identity;
mod write;

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use serde::Deserialize;
use toml::Spanned;
use toml::value::Datetime;

pub use error::AcceptError;
use identity::Identity;
pub use write::write;

use super::finding::Finding;
use super::kind::{Kind, Severity};
use super::spool::Spool;
use crate::catalog::CatalogError;
use crate::sysconf::RepositoryType;

/// No file of accepted findings is longer: it is held in memory, and nobody has looked at more.
const LONGEST: u64 = 4 << 20;

/// So many entries that match nothing are named.
const MOST_NAMED: usize = 20;

/// A file, as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    accept: Vec<WrittenGroup>,
}

/// Findings of one kind that are accepted for one reason.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenGroup {
    kind: Kind,
    reason: Spanned<String>,
    until: Option<Spanned<Datetime>>,
    severity: Option<Severity>,
    findings: Vec<Spanned<Identity>>,
}

/// What is true of all entries of a group.
#[derive(Debug)]
struct Group {
    reason: String,
    /// The last day on which it holds.
    until: Option<Date>,
    /// The worst severity that was accepted.
    severity: Option<Severity>,
}

/// Where an entry stands.
#[derive(Debug)]
struct Entry {
    group: usize,
    file: usize,
    line: usize,
}

/// All findings that are accepted.
#[derive(Debug)]
pub struct Accepted {
    today: Date,
    files: Vec<PathBuf>,
    groups: Vec<Group>,
    entries: Vec<Entry>,
    by_identity: HashMap<(Kind, Identity), Vec<usize>>,
}

/// What came of holding findings against those that are accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matches {
    /// The files, as they were named.
    pub files: Vec<PathBuf>,
    /// Findings that count again, for the last day on which they were accepted is over.
    pub expired: u64,
    /// Findings that count again, for they are worse than what was accepted.
    pub worse: u64,
    /// Entries that match nothing any more.
    pub unmatched: u64,
    /// The first of these: file and line.
    pub unmatched_at: Vec<(PathBuf, usize)>,
}

/// What an entry says of a finding.
enum Answer<'a> {
    Accepted(&'a str),
    Expired,
    Worse,
}

impl Accepted {
    /// Reads files; `today` decides what has expired.
    pub fn read(paths: &[PathBuf], today: Date) -> Result<Accepted, AcceptError> {
        let mut accepted = Accepted {
            today,
            files: paths.to_vec(),
            groups: Vec::new(),
            entries: Vec::new(),
            by_identity: HashMap::new(),
        };
        for (file, path) in paths.iter().enumerate() {
            let text = text_of(path)?;
            accepted.take(file, path, &text)?;
        }
        Ok(accepted)
    }

    /// Takes in the text of a file.
    fn take(&mut self, file: usize, path: &Path, text: &str) -> Result<(), AcceptError> {
        let malformed = |at: usize, message: String| AcceptError::Malformed {
            path: path.to_owned(),
            line: line_of(text, at),
            message,
        };
        let document: Document = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            malformed(at, error.message().to_owned())
        })?;
        let mut lines = Lines::of(text);
        for written in document.accept {
            if written.reason.get_ref().trim().is_empty() {
                let message = "say in 'reason' why these findings are accepted".to_owned();
                return Err(malformed(written.reason.span().start, message));
            }
            let until = match written.until {
                None => None,
                Some(until) => Some(day(until.get_ref()).ok_or_else(|| {
                    let message = "'until' is a day, as in until = 2027-01-31".to_owned();
                    malformed(until.span().start, message)
                })?),
            };
            self.groups.push(Group {
                reason: written.reason.into_inner(),
                until,
                severity: written.severity,
            });
            for identity in written.findings {
                let start = identity.span().start;
                let identity = identity.into_inner();
                if !identity.is_about_something() {
                    let message =
                        "an entry needs a path, a name, a pfile or an upload: that of the finding"
                            .to_owned();
                    return Err(malformed(start, message));
                }
                let number = self.entries.len();
                self.entries.push(Entry {
                    group: self.groups.len() - 1,
                    file,
                    line: lines.line(start),
                });
                let same = self.by_identity.entry((written.kind, identity));
                same.or_default().push(number);
            }
        }
        Ok(())
    }

    /// Sets those of a run's findings apart that are accepted. `judged` says whether the run would have
    /// found what there is of a kind and type: only then can an entry match nothing any more.
    pub fn set_apart(
        &self,
        findings: &Spool,
        judged: impl Fn(Kind, Option<RepositoryType>) -> bool,
    ) -> Result<Matches, CatalogError> {
        let kinds: BTreeSet<Kind> = self.by_identity.keys().map(|(kind, _)| *kind).collect();
        let mut matched = vec![false; self.entries.len()];
        let mut matches = Matches {
            files: self.files.clone(),
            ..Matches::default()
        };
        findings.set_apart(&kinds, |finding| {
            match self.answer(finding, &mut matched)? {
                Answer::Accepted(reason) => return Some(reason.to_owned()),
                Answer::Expired => matches.expired += 1,
                Answer::Worse => matches.worse += 1,
            }
            None
        })?;
        for ((kind, identity), entries) in &self.by_identity {
            if judged(*kind, identity.ty) {
                continue;
            }
            entries.iter().for_each(|entry| matched[*entry] = true);
        }
        let unmatched = self.entries.iter().zip(&matched).filter(|(_, m)| !**m);
        for (entry, _) in unmatched {
            matches.unmatched += 1;
            if matches.unmatched_at.len() < MOST_NAMED {
                let place = (self.files[entry.file].clone(), entry.line);
                matches.unmatched_at.push(place);
            }
        }
        Ok(matches)
    }

    /// What the entries say of a finding; of several, one that accepts it decides.
    fn answer(&self, finding: &Finding, matched: &mut [bool]) -> Option<Answer<'_>> {
        let identity = Identity::of(finding);
        let entries = self.by_identity.get(&(finding.kind, identity))?;
        let mut answer = None;
        for number in entries {
            matched[*number] = true;
            let group = &self.groups[self.entries[*number].group];
            if group.until.is_some_and(|until| until < self.today) {
                answer = answer.or(Some(Answer::Expired));
            } else if group.severity.is_some_and(|worst| finding.severity < worst) {
                answer = answer.or(Some(Answer::Worse));
            } else {
                return Some(Answer::Accepted(&group.reason));
            }
        }
        answer
    }
}

/// The text of a file of accepted findings.
fn text_of(path: &Path) -> Result<String, AcceptError> {
    let failed = |source| AcceptError::Read {
        path: path.to_owned(),
        source,
    };
    if std::fs::metadata(path).map_err(failed)?.len() > LONGEST {
        return Err(AcceptError::TooLong {
            path: path.to_owned(),
        });
    }
    std::fs::read_to_string(path).map_err(failed)
}

/// A day that is nothing but a day.
fn day(written: &Datetime) -> Option<Date> {
    let Datetime {
        date: Some(date),
        time: None,
        offset: None,
    } = written
    else {
        return None;
    };
    let [month, day] = [date.month, date.day].map(|part| i8::try_from(part).ok());
    Date::new(i16::try_from(date.year).ok()?, month?, day?).ok()
}

/// The line in which a byte of a text stands.
fn line_of(text: &str, at: usize) -> usize {
    Lines::of(text).line(at)
}

/// Counts lines up to places that come in order.
struct Lines<'a> {
    text: &'a [u8],
    at: usize,
    line: usize,
}

impl Lines<'_> {
    fn of(text: &str) -> Lines<'_> {
        Lines {
            text: text.as_bytes(),
            at: 0,
            line: 1,
        }
    }

    fn line(&mut self, at: usize) -> usize {
        if at < self.at {
            (self.at, self.line) = (0, 1);
        }
        let passed = &self.text[self.at..at.min(self.text.len())];
        self.line += memchr::memchr_iter(b'\n', passed).count();
        self.at = at.min(self.text.len());
        self.line
    }
}

#[cfg(test)]
mod tests;
