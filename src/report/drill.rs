//! The report of `fogold drill`: can this set bring the server back, and how long does it take?

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;

use super::number::{bytes_for_people, counted, grouped};
use super::text::printable;
use super::{Clock, LookedAt, Report, report_catalog, upload_names};
use crate::catalog::Amount;
use crate::check::Kind;
use crate::manifest::SetKind;
use crate::recover::database::RowCounts;
use crate::recover::drill::{Drilled, Step};
use crate::recover::files::Restored;
use crate::store::record::LEFT_WITHOUT_GOLD;
use crate::store::{SetRecord, Store};

/// So many lost uploads are named for people.
const MOST_UPLOADS: usize = 20;

/// What a drill looked at, as reports say it.
#[derive(Clone, Debug, Serialize)]
pub struct DrilledSet {
    /// The store's directory.
    pub store: String,
    /// The set's id.
    pub set: String,
    /// What the set is made of.
    pub kind: SetKind,
    /// Files were restored and read; otherwise names and lengths were looked at in the pool.
    pub full: bool,
    /// Seconds by step: `server`, `dump`, `database`, `files`, `check`.
    pub steps: BTreeMap<String, f64>,
    /// The times stand in the store.
    pub times_kept: bool,
    /// Rows of the restored database, by table.
    pub rows: RowCounts,
    /// Contents that the set holds and that are there.
    pub held: Amount,
    /// Contents that the set promises and that cannot be had.
    pub broken: Amount,
    /// Gold that is fetched again from its URLs: still to fetch, or, in a full drill, fetched.
    pub from_urls: Amount,
    /// Files that come back by unpacking alone.
    pub by_unpacking: Amount,
    /// Derived files that were there when the set was made, and that it left out although no unpacking
    /// brings them back: their gold was not found.
    pub without_gold: Amount,
    /// Uploads whose gold is lost, at most 1000 of them.
    pub lost_uploads: Vec<LostUpload>,
    /// How many there are.
    pub lost_uploads_total: u64,
    /// Files that would be lost.
    pub lost: u64,
    /// Files that would be missing and can be had otherwise than from the set or by unpacking.
    pub to_recover: u64,
    /// Faults of the database itself, which comes back as it was; looked for in a full drill.
    pub as_before: u64,
    /// What was restored of the files, in a full drill.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<Restored>,
    /// Files whose contents were read back.
    pub read: Amount,
}

/// An upload whose gold is lost.
#[derive(Clone, Debug, Serialize)]
pub struct LostUpload {
    /// `upload_pk`
    pub upload: i32,
    /// Its file name.
    pub name: String,
}

impl Report {
    /// The report of a drill. One that has not passed is exit status 1.
    pub fn of_drill(drilled: &Drilled, record: &SetRecord, store: &Store, clock: Clock) -> Report {
        let mut report = Report::blank("drill", clock);
        report.complete = drilled.complete;
        report.count(&drilled.findings);
        let mut catalog = report_catalog(&drilled.catalog);
        // The server that held it is gone.
        catalog.origin = format!("the database of set {}, restored", record.id);
        report.catalog = Some(catalog);
        report.upload_names = upload_names(&drilled.catalog);
        report.exit_status = if drilled.complete {
            u8::from(!drilled.passed)
        } else {
            3
        };
        let coverage = DrilledSet::of(drilled, record, store);
        report.verdict = verdict(drilled, &coverage);
        report.coverage = LookedAt::Drilled(Box::new(coverage));
        report
    }
}

/// One sentence about the set. It claims no more than was tried.
fn verdict(drilled: &Drilled, coverage: &DrilledSet) -> String {
    let word = if !drilled.complete {
        "INCOMPLETE"
    } else if drilled.passed {
        "OK"
    } else if drilled.lost > 0 {
        "LOSS"
    } else {
        "DAMAGED"
    };
    let set = &coverage.set;
    let database = coverage.seconds(&[Step::Dump, Step::Database]);
    let held = counted(coverage.held.files, "file");
    let (all, are) = match coverage.held.files {
        1 => ("the 1 file".to_owned(), "is"),
        _ => (format!("all {held}"), "are"),
    };
    let tried = match (coverage.full, drilled.passed) {
        (true, passed) => format!(
            "set {set} {}: database in {database}, {} in {}",
            if passed {
                "can be restored"
            } else {
                "does not bring back everything"
            },
            counted(coverage.held.files + coverage.from_urls.files, "file"),
            coverage.seconds(&[Step::Files])
        ),
        (false, true) => format!(
            "set {set}: database restored in {database}, and {all} of the set {are} in the pool (names and \
             lengths looked at; --full restores and reads them)"
        ),
        (false, false) => format!(
            "set {set} does not bring back everything: database restored in {database}, {held} of the set {are} \
             in the pool (names and lengths looked at; --full restores and reads them)"
        ),
    };
    format!("{word}: {tried}; {}", what_is_missing(drilled, coverage))
}

fn what_is_missing(drilled: &Drilled, coverage: &DrilledSet) -> String {
    let mut parts = Vec::new();
    match drilled.lost {
        0 => parts.push("nothing would be lost".to_owned()),
        lost => parts.push(format!("{} would be lost", counted(lost, "file"))),
    }
    for (number, one, more) in [
        (
            coverage.lost_uploads_total,
            "upload would lose its original",
            "uploads would lose their original",
        ),
        (
            coverage.broken.files,
            "file that the set promises cannot be had",
            "files that the set promises cannot be had",
        ),
        (
            drilled.to_recover,
            "file would have to be recovered otherwise",
            "files would have to be recovered otherwise",
        ),
        (
            coverage.by_unpacking.files,
            "file comes back by unpacking",
            "files come back by unpacking",
        ),
        (
            drilled.as_before,
            "fault of the database itself comes back with it",
            "faults of the database itself come back with it",
        ),
    ] {
        if number > 0 {
            let what = if number == 1 { one } else { more };
            parts.push(format!("{} {what}", grouped(number)));
        }
    }
    if coverage.from_urls.files > 0 && !coverage.full {
        parts.push(match coverage.from_urls.files {
            1 => "1 is left to its URL (not tried)".to_owned(),
            files => format!("{} are left to their URLs (not tried)", grouped(files)),
        });
    }
    parts.join("; ")
}

impl DrilledSet {
    fn of(drilled: &Drilled, record: &SetRecord, store: &Store) -> DrilledSet {
        let lost = &drilled.lost_uploads;
        let tree = drilled.tree.as_ref();
        DrilledSet {
            store: store.path().display().to_string(),
            set: record.id.clone(),
            kind: record.kind,
            full: tree.is_some(),
            steps: drilled.seconds.clone(),
            times_kept: drilled.is_noted,
            rows: drilled.database.rows.clone(),
            held: drilled.held,
            broken: drilled.broken,
            from_urls: drilled.to_fetch,
            by_unpacking: drilled.to_unpack,
            without_gold: record.counts.left_out(LEFT_WITHOUT_GOLD),
            lost_uploads: lost
                .first
                .iter()
                .map(|(upload, name)| LostUpload {
                    upload: *upload,
                    name: name.clone(),
                })
                .collect(),
            lost_uploads_total: lost.total,
            lost: drilled.lost,
            to_recover: drilled.to_recover,
            as_before: drilled.as_before,
            files: tree.map(|tree| tree.restored.clone()),
            read: tree.map_or_else(Amount::default, |tree| tree.coverage.read),
        }
    }

    /// Some steps together, for people.
    fn seconds(&self, steps: &[Step]) -> String {
        let seconds: f64 = steps
            .iter()
            .filter_map(|step| self.steps.get(step.as_str()))
            .sum();
        for_people(seconds)
    }

    /// What was tried, for people.
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "  store     {}", printable(&self.store))?;
        let rows = |table, thing| counted(self.rows.get(table).copied().unwrap_or(0), thing);
        writeln!(
            out,
            "  database  {}, {}, {}",
            rows("upload", "upload"),
            rows("pfile", "pfile"),
            rows("uploadtree", "tree row")
        )?;
        let (held, fetched) = if self.full {
            (" restored", " fetched from their URLs")
        } else {
            (" in the pool", " left to their URLs (not tried)")
        };
        line("files", self.held, held, out)?;
        for (what, amount, why) in [
            ("urls", self.from_urls, fetched),
            ("unpack", self.by_unpacking, " come back by unpacking alone"),
            (
                "broken",
                self.broken,
                " that the set promises cannot be had",
            ),
            (
                "left out",
                self.without_gold,
                " whose gold was not found: no unpacking brings them back",
            ),
            ("read", self.read, " read back and proven"),
        ] {
            if amount.files > 0 {
                line(what, amount, why, out)?;
            }
        }
        self.write_times(out)?;
        self.write_lost(out)
    }

    fn write_times(&self, out: &mut dyn Write) -> io::Result<()> {
        let steps = [
            (Step::Server, "server"),
            (Step::Dump, "dump read"),
            (Step::Database, "database"),
            (Step::Files, "files"),
            (Step::Check, "check"),
        ];
        let took: Vec<String> = steps
            .into_iter()
            .filter(|(step, _)| self.steps.contains_key(step.as_str()))
            .map(|(step, title)| format!("{title} {}", self.seconds(&[step])))
            .collect();
        let kept = if self.times_kept {
            ""
        } else {
            " (could not be kept in the store)"
        };
        writeln!(out, "  took      {}{kept}", took.join(", "))
    }

    fn write_lost(&self, out: &mut dyn Write) -> io::Result<()> {
        for lost in self.lost_uploads.iter().take(MOST_UPLOADS) {
            let name = printable(&lost.name);
            writeln!(out, "  lost      upload {} ({name})", lost.upload)?;
        }
        let more = self.lost_uploads_total.saturating_sub(MOST_UPLOADS as u64);
        if more > 0 {
            writeln!(out, "            and {} more", grouped(more))?;
        }
        Ok(())
    }

    /// Whether findings of a kind are no more than what a gold-only set leaves to unpacking.
    pub(super) fn is_expected(&self, kind: Kind) -> bool {
        kind == Kind::MissingDerived && self.by_unpacking.files > 0 && self.lost == 0
    }

    /// What to do about findings of a drill.
    pub(super) fn what_to_do(&self) -> Vec<&'static str> {
        let mut lines = Vec::new();
        if self.broken.files > 0 {
            lines.push(
                "The store does not hold what the set promises: 'fogold verify' names it all, and the next 'fogold \
                 backup' copies again what the repository still has.",
            );
        }
        if self.without_gold.files > 0 {
            lines.push(
                "Derived files without gold were left out of the set although they were there: on the server, make \
                 a full set, which holds them, or mend the gold first.",
            );
        }
        if self.lost + self.to_recover > self.without_gold.files {
            let rest = if self.without_gold.files > 0 {
                "What else is not in the set was missing or damaged when the set was made: 'fogold check' on the \
                 server says whether it still is, and how it can be recovered; then make another set."
            } else {
                "What is not in the set was missing or damaged when the set was made: 'fogold check' on the server \
                 says whether it still is, and how it can be recovered; then make another set."
            };
            lines.push(rest);
        }
        if self.by_unpacking.files > 0 {
            lines.push(
                "What comes back by unpacking is not in a gold-only set: after a restore, 'fogold requeue' has \
                 FOSSology unpack it.",
            );
        }
        lines
    }
}

/// A time in its largest unit.
pub(super) fn for_people(seconds: f64) -> String {
    if seconds < 1.0 {
        format!("{seconds:.2} s")
    } else if seconds < 10.0 {
        format!("{seconds:.1} s")
    } else if seconds < 120.0 {
        format!("{seconds:.0} s")
    } else if seconds < 7200.0 {
        format!("{:.0} min", seconds / 60.0)
    } else {
        format!("{:.1} h", seconds / 3600.0)
    }
}

fn line(what: &str, amount: Amount, why: &str, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "  {what:<9} {}, {}{why}",
        counted(amount.files, "file"),
        bytes_for_people(amount.bytes)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_readable() {
        for (seconds, text) in [
            (0.04, "0.04 s"),
            (9.94, "9.9 s"),
            (61.2, "61 s"),
            (600.0, "10 min"),
            (9_000.0, "2.5 h"),
        ] {
            assert_eq!(for_people(seconds), text);
        }
    }
}
