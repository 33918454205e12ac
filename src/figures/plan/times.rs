//! Estimated times, each with what it was reckoned from.

use std::time::Duration;

use serde::Serialize;

use super::drills::Past;
use super::sample::Sampled;
use super::unpacking::Unpacking;
use crate::catalog::Amount;
use crate::manifest::SetKind;

/// A rule: PostgreSQL restores so many bytes of a database, as it lies on disk, in a second.
const DATABASE_BYTES: f64 = 25.0 * 1024.0 * 1024.0;

/// A rule, where the size is not known: so many rows of pfile and of the trees in a second.
const ROWS: f64 = 100_000.0;

/// A rule: what the smallest restore of a database takes, in seconds.
const LEAST: f64 = 0.2;

/// An estimated time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Time {
    /// Seconds; `None` when nothing is known that it could be reckoned from.
    pub seconds: Option<f64>,
    /// How it was reckoned.
    pub how: String,
}

/// A step of a restore.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// `database`, `files`, `check`, `unpack`
    pub step: &'static str,
    /// How long it takes.
    #[serde(flatten)]
    pub time: Time,
}

/// The time until everything is back.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Restore {
    /// All steps together; `None` when one of them is not known.
    pub seconds: Option<f64>,
    /// The steps in order.
    pub steps: Vec<Step>,
}

/// What this very run has shown.
pub(super) struct Clocked {
    /// Reading the rows.
    pub(super) rows: Option<Duration>,
    /// Listing the tree.
    pub(super) listing: Duration,
    /// Contents that were listed.
    pub(super) listed: u64,
}

impl Clocked {
    /// A check of so many files, without reading them.
    fn check(&self, files: u64) -> f64 {
        let share = files as f64 / self.listed.max(1) as f64;
        let rows = self.rows.unwrap_or_default().as_secs_f64();
        rows + self.listing.as_secs_f64() * share.min(1.0)
    }
}

/// Reckons times.
pub(super) struct Estimator<'a> {
    pub(super) clocked: Clocked,
    /// Rows of pfile and of the trees.
    pub(super) rows: u64,
    pub(super) database_bytes: Option<u64>,
    pub(super) sample: Option<&'a Sampled>,
    /// Past drills, the newest last.
    pub(super) past: &'a [Past],
    pub(super) unpacking: &'a Unpacking,
}

impl Estimator<'_> {
    /// A backup that copies so many files.
    pub(super) fn backup(&self, new: Amount) -> Time {
        let dump = self.database_by_rule(self.rows) / 2.0;
        let copy = self.sample.map(|sample| sample.copy.time(new));
        let listing = self.clocked.listing.as_secs_f64();
        let how = match self.sample {
            Some(_) => {
                "the dump as half of the database's restore, listing the tree as in this run, \
                        and copying as in the sample"
            }
            None => "there is no sample",
        };
        Time {
            seconds: copy.map(|copy| dump + listing + copy),
            how: how.to_owned(),
        }
    }

    /// A restore of so many files.
    pub(super) fn restore(&self, kind: SetKind, holds: Amount) -> Restore {
        let mut steps = vec![
            step("database", self.database()),
            step("files", self.files(kind, holds)),
            step("check", self.check(kind, holds)),
        ];
        if kind == SetKind::GoldOnly {
            steps.push(step(
                "unpack",
                Time {
                    seconds: self.unpacking.seconds,
                    how: self.unpacking.how.clone(),
                },
            ));
        }
        Restore {
            seconds: steps.iter().map(|step| step.time.seconds).sum(),
            steps,
        }
    }

    /// All steps of a drill that restored so many files, estimated without any drill.
    pub(super) fn without_drills(&self, rows: u64, files: Amount) -> Option<f64> {
        let sample = self.sample?;
        let check = self.clocked.check(files.files) + sample.read.time(files);
        Some(self.database_by_rule(rows) + sample.copy.time(files) + check)
    }

    fn database_by_rule(&self, rows: u64) -> f64 {
        let share = rows as f64 / self.rows.max(1) as f64;
        LEAST
            + match self.database_bytes {
                Some(bytes) => bytes as f64 / DATABASE_BYTES * share,
                None => rows as f64 / ROWS,
            }
    }

    fn database(&self) -> Time {
        if let Some(past) = self.past.last() {
            let share = self.rows as f64 / past.rows.max(1) as f64;
            return Time {
                seconds: Some(past.seconds(&["dump", "database"]) * share),
                how: format!(
                    "as in the drill of {} on {}, for {} times its rows",
                    past.drill.when,
                    past.drill.machine,
                    factor(share)
                ),
            };
        }
        let how = match self.database_bytes {
            Some(_) => "by a rule: 25 MiB of the database, as it lies on disk, a second",
            None => {
                "by a rule: 100,000 rows of pfile and the trees a second; what agents have found \
                 is not in it"
            }
        };
        Time {
            seconds: Some(self.database_by_rule(self.rows)),
            how: how.to_owned(),
        }
    }

    /// The last drill that restored files: of this kind of set, or else of the other one.
    fn full_drill(&self, kind: SetKind) -> Option<&Past> {
        let full = || self.past.iter().rev().filter(|past| past.drill.full);
        full()
            .find(|past| past.kind == kind)
            .or_else(|| full().next())
    }

    /// A step that a drill has made for other files.
    fn as_in_drill(&self, kind: SetKind, step: &'static str, files: Amount) -> Option<Time> {
        let past = self.full_drill(kind)?;
        let share = |now: u64, then: u64| now as f64 / then.max(1) as f64;
        let then = past.drill.files;
        let share = share(files.files, then.files).max(share(files.bytes, then.bytes));
        Some(Time {
            seconds: Some(past.seconds(&[step]) * share),
            how: format!(
                "as in the drill of {} on {}, for {} times its files",
                past.drill.when,
                past.drill.machine,
                factor(share)
            ),
        })
    }

    fn files(&self, kind: SetKind, holds: Amount) -> Time {
        self.as_in_drill(kind, "files", holds)
            .unwrap_or_else(|| match self.sample {
                Some(sample) => Time {
                    seconds: Some(sample.copy.time(holds)),
                    how: "as in the sample".to_owned(),
                },
                None => unknown(),
            })
    }

    fn check(&self, kind: SetKind, holds: Amount) -> Time {
        self.as_in_drill(kind, "check", holds)
            .unwrap_or_else(|| match self.sample {
                Some(sample) => Time {
                    seconds: Some(self.clocked.check(holds.files) + sample.read.time(holds)),
                    how: "rows and listing as in this run, and every file read as in the sample"
                        .to_owned(),
                },
                None => unknown(),
            })
    }
}

fn step(step: &'static str, time: Time) -> Step {
    Step { step, time }
}

fn unknown() -> Time {
    Time {
        seconds: None,
        how: "there is neither a drill nor a sample".to_owned(),
    }
}

/// A factor as people read it.
fn factor(factor: f64) -> String {
    match factor {
        ..10.0 => format!("{factor:.2}"),
        _ => format!("{factor:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::Rates;
    use super::*;
    use crate::store::Drill;

    fn amount(files: u64, bytes: u64) -> Amount {
        Amount { files, bytes }
    }

    fn past(kind: SetKind, full: bool) -> Past {
        let mut drill = Drill::now();
        drill.full = full;
        drill.files = amount(1_000, 1_000_000);
        let steps = [
            ("dump", 1.0),
            ("database", 3.0),
            ("files", 10.0),
            ("check", 5.0),
        ];
        drill.seconds = steps.map(|(step, took)| (step.to_owned(), took)).into();
        Past {
            kind,
            rows: 500,
            drill,
        }
    }

    fn with<T>(past: &[Past], sample: Option<&Sampled>, ask: impl Fn(&Estimator<'_>) -> T) -> T {
        ask(&Estimator {
            clocked: Clocked {
                rows: Some(Duration::from_secs(1)),
                listing: Duration::from_secs(4),
                listed: 2_000,
            },
            rows: 1_000,
            database_bytes: None,
            sample,
            past,
            unpacking: &Unpacking {
                seconds: Some(100.0),
                ..Unpacking::default()
            },
        })
    }

    #[test]
    fn a_drill_stands_for_what_is_larger_than_it_was() {
        let holds = amount(2_000, 3_000_000);
        let restore = |kind: SetKind, past: &[Past]| {
            let restore = with(past, None, |estimator| estimator.restore(kind, holds));
            let steps: Vec<_> = restore.steps.iter().map(|step| step.time.seconds).collect();
            (restore.seconds, steps)
        };
        let full = [past(SetKind::Full, true)];
        // Twice the rows, three times the bytes.
        let steps = vec![Some(8.0), Some(30.0), Some(15.0)];
        assert_eq!(restore(SetKind::Full, &full), (Some(53.0), steps));
        let (all, steps) = restore(SetKind::GoldOnly, &full);
        assert_eq!((all, steps[3]), (Some(153.0), Some(100.0)));
        // A drill that restored no file tells of the database alone.
        let (all, steps) = restore(SetKind::Full, &[past(SetKind::Full, false)]);
        assert_eq!((all, steps), (None, vec![Some(8.0), None, None]));
    }

    #[test]
    fn the_last_drill_is_held_against_the_estimate_of_it() {
        let rates = |a_file| Rates {
            a_file,
            a_byte: 0.0,
        };
        let sample = Sampled {
            read: rates(0.001),
            copy: rates(0.01),
            ..Sampled::default()
        };
        let past = [past(SetKind::Full, true)];
        let last = with(&past, Some(&sample), |estimator| estimator.last_drill()).expect("a drill");
        assert_eq!(last.seconds, 19.0);
        // The database 0.2 and 0.005, the files 10, rows 1, half of the listing 2, reading 1.
        let estimate = last.estimate.expect("an estimate");
        assert!((estimate - 14.205).abs() < 1e-9, "{estimate}");
        assert_eq!(last.factor, Some(estimate / 19.0));
        let without = with(&past, None, |estimator| estimator.last_drill()).expect("a drill");
        assert_eq!((without.estimate, without.factor), (None, None));
    }
}
