//! Accepted findings, as reports say them: counted apart from those that count.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;

use super::number::{counted, grouped};
use super::text::printable;
use super::{Counts, counts};
use crate::check::{Matches, Severity, Spool};

/// So many entries that match nothing are named to a person.
const MOST_SHOWN: usize = 5;

/// What came of `--accept`.
#[derive(Clone, Debug, Serialize)]
pub struct AcceptedFindings {
    /// The files of accepted findings, as they were named.
    pub files: Vec<String>,
    /// How many findings are accepted.
    pub findings: u64,
    /// Accepted findings by kind.
    pub counts: BTreeMap<&'static str, u64>,
    /// Accepted findings by severity; all four are there.
    pub severities: BTreeMap<&'static str, u64>,
    /// Bytes that accepted findings concern, by kind.
    pub bytes: BTreeMap<&'static str, u64>,
    /// Findings that count again, for the day up to which they were accepted is over.
    pub expired: u64,
    /// Findings that count again, for they are worse than what was accepted.
    pub worse: u64,
    /// Entries that match nothing any more.
    pub unmatched: u64,
    /// Where the first of these stand: `file:line`.
    pub unmatched_at: Vec<String>,
}

impl AcceptedFindings {
    pub(super) fn of(matches: &Matches, findings: &Spool) -> AcceptedFindings {
        let Counts {
            counts,
            severities,
            bytes,
        } = counts(&findings.accepted());
        AcceptedFindings {
            files: matches
                .files
                .iter()
                .map(|path| path.display().to_string())
                .collect(),
            findings: counts.values().sum(),
            counts,
            severities,
            bytes,
            expired: matches.expired,
            worse: matches.worse,
            unmatched: matches.unmatched,
            unmatched_at: matches
                .unmatched_at
                .iter()
                .map(|(path, line)| format!("{}:{line}", path.display()))
                .collect(),
        }
    }

    /// Whether some of them would be losses.
    pub(super) fn have_losses(&self) -> bool {
        self.have(Severity::Loss)
    }

    /// Whether some of them would be losses or damage.
    pub(super) fn are_severe(&self) -> bool {
        self.have(Severity::Loss) || self.have(Severity::Recoverable)
    }

    fn have(&self, severity: Severity) -> bool {
        let number = self.severities.get(severity.as_str());
        number.is_some_and(|number| *number > 0)
    }

    /// What a verdict adds for them.
    pub(super) fn in_verdict(&self) -> String {
        match self.findings {
            0 => String::new(),
            n => format!("; {} accepted", grouped(n)),
        }
    }

    /// What a person is told of them; `listed` when they stand further down.
    pub(super) fn write(&self, listed: bool, out: &mut dyn Write) -> io::Result<()> {
        let hint = if listed || self.findings == 0 {
            ""
        } else {
            "; -v lists them"
        };
        let files = printable(&self.files.join(", "));
        writeln!(
            out,
            "  accepted  {} ({files}){hint}",
            counted(self.findings, "finding")
        )?;
        for line in self.amiss() {
            writeln!(out, "            {}", printable(&line))?;
        }
        Ok(())
    }

    /// What is to be done about the entries.
    pub(super) fn amiss(&self) -> Vec<String> {
        let mut lines = Vec::new();
        match self.expired {
            0 => {}
            1 => {
                lines.push("1 finding was accepted up to a day that is over: it counts".to_owned())
            }
            n => lines.push(format!(
                "{} findings were accepted up to a day that is over: they count",
                grouped(n)
            )),
        }
        match self.worse {
            0 => {}
            1 => lines.push("1 finding is worse than what was accepted: it counts".to_owned()),
            n => lines.push(format!(
                "{} findings are worse than what was accepted: they count",
                grouped(n)
            )),
        }
        let shown = self.unmatched_at.len().min(MOST_SHOWN);
        let places = self.unmatched_at[..shown].join(", ");
        let more = if self.unmatched > shown as u64 {
            ", …"
        } else {
            ""
        };
        match self.unmatched {
            0 => {}
            1 => lines.push(format!(
                "1 entry matches nothing any more: remove it ({places})"
            )),
            n => lines.push(format!(
                "{} entries match nothing any more: remove them ({places}{more})",
                grouped(n)
            )),
        }
        lines
    }
}
