//! The report as metrics, for the textfile collector of Prometheus' node_exporter.
//!
//! Each file is the last run of one command, and every sample says which. What was not looked at is
//! left out: a zero would say that all is well. Times are those of the run, in seconds since 1970;
//! Prometheus makes ages of them.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::history::{History, Run};
use super::text::printable;
use super::{LookedAt, NewSet, ReadSoFar, Report, StoreCoverage};
use crate::catalog::Amount;
use crate::check::{Severity, Spool};
use crate::store::SetId;

/// All metrics, in the order in which they are written, with what they say. All are gauges.
const METRICS: [(&str, &str); 27] = [
    (
        "fogold_info",
        "The version of the fogold that wrote this file",
    ),
    (
        "fogold_last_run_timestamp_seconds",
        "When the last run ended",
    ),
    (
        "fogold_last_run_duration_seconds",
        "How long the last run took",
    ),
    (
        "fogold_last_run_exit_status",
        "Exit status of the last run: 0 good, 1 findings, 2 nothing tried, 3 failed or not complete",
    ),
    (
        "fogold_last_run_complete",
        "Whether the last run looked at everything it was asked to",
    ),
    (
        "fogold_last_complete_run_timestamp_seconds",
        "When the last complete run ended; runs before this one are known with --state alone",
    ),
    (
        "fogold_severity_findings",
        "Findings of the last run by severity: loss, recoverable, waste, notice; of a repair, those that are left; \
         after a run that was not complete no less than of the last complete one (with --state)",
    ),
    (
        "fogold_findings",
        "Findings of the last run by kind and severity; of a repair, those that are left",
    ),
    (
        "fogold_finding_bytes",
        "Bytes that findings of the last run concern, by kind and severity; of a repair, those that are left",
    ),
    (
        "fogold_accepted_findings",
        "Findings of the last run that somebody has accepted, by kind and severity",
    ),
    (
        "fogold_accepted_expired_findings",
        "Findings of the last run that count again, for the day up to which they were accepted is over",
    ),
    (
        "fogold_accepted_worse_findings",
        "Findings of the last run that count again, for they are worse than what was accepted",
    ),
    (
        "fogold_accepted_unmatched_entries",
        "Entries of accepted findings that match nothing any more",
    ),
    (
        "fogold_repository_files",
        "Files in their place in the repository, by host and type; not of a repair, which changes them",
    ),
    (
        "fogold_repository_bytes",
        "Bytes of the files in their place in the repository, by host and type",
    ),
    (
        "fogold_read_files",
        "Files whose contents the last run read",
    ),
    ("fogold_read_bytes", "Bytes that the last run read"),
    (
        "fogold_oldest_verified_shard_timestamp_seconds",
        "When the part of the repository was read that was read least recently (with --state)",
    ),
    (
        "fogold_never_verified_shards",
        "Parts of 256 of the repository that were never read to their end (with --state)",
    ),
    (
        "fogold_bad_shards",
        "Parts of 256 in which contents were bad when last read, and are not accepted (with --state)",
    ),
    (
        "fogold_last_good_backup_timestamp_seconds",
        "When the last set was finished for which everything could be read",
    ),
    (
        "fogold_set_files",
        "Files in the last set, or in one that would be made, by its kind",
    ),
    (
        "fogold_set_bytes",
        "Bytes in the last set, or in one that would be made, by its kind",
    ),
    (
        "fogold_set_new_bytes",
        "Bytes in the last set that the store did not have before, by its kind",
    ),
    ("fogold_store_sets", "Finished sets in the store"),
    (
        "fogold_store_bytes",
        "Bytes of the contents that the sets of the store name, each once",
    ),
    (
        "fogold_drill_step_duration_seconds",
        "How long the steps of the last drill took",
    ),
];

/// The samples of a report, by metric.
struct Samples {
    command: &'static str,
    by_metric: BTreeMap<&'static str, Vec<String>>,
}

pub(super) fn write(
    report: &Report,
    findings: Option<&Spool>,
    history: &History,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut samples = Samples {
        command: report.command,
        by_metric: BTreeMap::new(),
    };
    samples.of_run(report, findings.is_some(), history);
    if let Some(findings) = findings {
        samples.of_findings(report, findings);
    }
    samples.of_coverage(report);
    samples.write(out)
}

impl Samples {
    /// Adds a sample. A metric that is not in [`METRICS`] would not be written.
    fn add(&mut self, metric: &'static str, labels: &[(&str, &str)], value: f64) {
        debug_assert!(METRICS.iter().any(|(name, _)| *name == metric), "{metric}");
        let labels: String = labels
            .iter()
            .map(|(name, text)| format!(",{name}=\"{}\"", escaped(text)))
            .collect();
        let command = self.command;
        let sample = format!("{metric}{{command=\"{command}\"{labels}}} {value}");
        self.by_metric.entry(metric).or_default().push(sample);
    }

    fn count(&mut self, metric: &'static str, labels: &[(&str, &str)], value: u64) {
        self.add(metric, labels, value as f64);
    }

    fn of_run(&mut self, report: &Report, judged: bool, history: &History) {
        let now = Run::of(report, judged);
        self.count("fogold_info", &[("version", report.version)], 1);
        self.time("fogold_last_run_timestamp_seconds", ended(&now));
        self.add("fogold_last_run_duration_seconds", &[], report.seconds);
        let status = u64::from(report.exit_status);
        self.count("fogold_last_run_exit_status", &[], status);
        self.count("fogold_last_run_complete", &[], u64::from(report.complete));
        self.of_severities(&now, history);
        let own = history.runs.iter();
        let own = own.filter(|run| run.is_of_the_line_of(&now));
        let with_now: Vec<&Run> = own.chain([&now]).collect();
        let complete = with_now.iter().rev().find(|run| run.complete);
        self.time(
            "fogold_last_complete_run_timestamp_seconds",
            complete.and_then(|run| ended(run)),
        );
        let mut good = with_now.iter().rev().filter(|run| run.complete);
        let set = good.find_map(|run| run.set.as_ref());
        self.time(
            "fogold_last_good_backup_timestamp_seconds",
            set.and_then(|set| seconds(&set.finished)),
        );
    }

    /// Findings by severity. A run that failed, or did not see everything, takes back nothing of what the
    /// last complete one has found.
    fn of_severities(&mut self, now: &Run, history: &History) {
        let own = Some(now).filter(|now| now.judged);
        let before = match now.complete {
            true => None,
            false => history.last_judged(now),
        };
        for severity in Severity::ALL {
            let name = severity.as_str();
            let runs = own.into_iter().chain(before);
            if let Some(most) = runs.map(|run| run.severity(name)).max() {
                self.count("fogold_severity_findings", &[("severity", name)], most);
            }
        }
    }

    fn time(&mut self, metric: &'static str, time: Option<f64>) {
        if let Some(time) = time {
            self.add(metric, &[], time);
        }
    }

    fn of_findings(&mut self, report: &Report, findings: &Spool) {
        let tallies = report
            .left()
            .map_or_else(|| findings.tallies(), super::Left::tallies);
        for (severity, kind, tally) in tallies {
            let labels = [("kind", kind.as_str()), ("severity", severity.as_str())];
            self.count("fogold_findings", &labels, tally.findings);
            self.count("fogold_finding_bytes", &labels, tally.bytes);
        }
        for (severity, kind, tally) in findings.accepted() {
            let labels = [("kind", kind.as_str()), ("severity", severity.as_str())];
            self.count("fogold_accepted_findings", &labels, tally.findings);
        }
        if let Some(accepted) = &report.accepted {
            for (metric, number) in [
                ("fogold_accepted_expired_findings", accepted.expired),
                ("fogold_accepted_worse_findings", accepted.worse),
                ("fogold_accepted_unmatched_entries", accepted.unmatched),
            ] {
                self.count(metric, &[], number);
            }
        }
    }

    fn of_coverage(&mut self, report: &Report) {
        if let Some(coverage) = report.coverage.repository()
            && !coverage.repository.is_empty()
        {
            // A repair that has changed it does not list it again.
            if report.left().is_none() {
                self.of_repository(&coverage.listed_by_host);
            }
            self.of_reading(coverage.read);
            if let Some(ledger) = &coverage.ledger {
                self.of_ledger(ledger);
            }
        }
        match &report.coverage {
            LookedAt::Store(coverage) => self.of_store(coverage),
            LookedAt::NewSet(new) => self.of_set(new),
            LookedAt::Drilled(drilled) => {
                self.of_reading(drilled.read);
                for (step, seconds) in &drilled.steps {
                    let metric = "fogold_drill_step_duration_seconds";
                    self.add(metric, &[("step", step)], *seconds);
                }
            }
            LookedAt::Manifest(manifest) => {
                let kind = [("kind", manifest.kind.as_str())];
                let held = manifest.amounts.held();
                self.count("fogold_set_files", &kind, held.files);
                self.count("fogold_set_bytes", &kind, held.bytes);
            }
            LookedAt::Repository(_) | LookedAt::Restored(_) | LookedAt::Repaired(_) => {}
        }
    }

    fn of_repository(&mut self, listed: &super::ByHost) {
        for (host, types) in listed {
            for (ty, amount) in types {
                let labels = [("host", &**host), ("type", ty.as_str())];
                self.count("fogold_repository_files", &labels, amount.files);
                self.count("fogold_repository_bytes", &labels, amount.bytes);
            }
        }
    }

    fn of_reading(&mut self, read: Amount) {
        self.count("fogold_read_files", &[], read.files);
        self.count("fogold_read_bytes", &[], read.bytes);
    }

    fn of_store(&mut self, coverage: &StoreCoverage) {
        self.count("fogold_store_sets", &[], coverage.sets.len() as u64);
        self.count("fogold_store_bytes", &[], coverage.named.bytes);
        self.of_reading(coverage.read);
        let good = coverage.sets.iter().filter(|set| !set.is_damaged());
        let newest = good.filter_map(|set| set.id.parse::<SetId>().ok()).max();
        self.time(
            "fogold_last_good_backup_timestamp_seconds",
            newest.map(|id| id.time.as_second() as f64),
        );
    }

    fn of_set(&mut self, new: &NewSet) {
        let counts = &new.set.counts;
        let kind = [("kind", new.set.kind.as_str())];
        self.count("fogold_set_files", &kind, counts.pool.files);
        self.count("fogold_set_bytes", &kind, counts.pool.bytes);
        self.count("fogold_set_new_bytes", &kind, counts.new.bytes);
        self.count("fogold_store_sets", &[], new.sets_in_store);
        self.of_repository(&new.listed_by_host);
        self.of_reading(new.read);
    }

    /// What the state directory knows of contents that were read, where a check has said so.
    fn of_ledger(&mut self, ledger: &ReadSoFar) {
        self.time(
            "fogold_oldest_verified_shard_timestamp_seconds",
            ledger.oldest.as_deref().and_then(seconds),
        );
        self.count("fogold_never_verified_shards", &[], ledger.never);
        self.count("fogold_bad_shards", &[], ledger.bad);
    }

    fn write(mut self, out: &mut dyn Write) -> io::Result<()> {
        for (metric, help) in METRICS {
            let Some(samples) = self.by_metric.remove(metric) else {
                continue;
            };
            writeln!(out, "# HELP {metric} {help}.\n# TYPE {metric} gauge")?;
            for sample in samples {
                writeln!(out, "{sample}")?;
            }
        }
        Ok(())
    }
}

/// When a run ended.
fn ended(run: &Run) -> Option<f64> {
    Some((seconds(&run.started)? + run.seconds).round())
}

/// A time of RFC 3339, in seconds since 1970.
fn seconds(text: &str) -> Option<f64> {
    let time: jiff::Timestamp = text.parse().ok()?;
    Some(time.as_second() as f64)
}

/// A text as the value of a label.
fn escaped(text: &str) -> String {
    printable(text)
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {

    use super::*;

    fn samples() -> Samples {
        Samples {
            command: "check",
            by_metric: BTreeMap::new(),
        }
    }

    fn text(samples: Samples) -> String {
        let mut out = Vec::new();
        samples.write(&mut out).expect("written");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn labels_are_escaped() {
        let mut samples = samples();
        samples.count("fogold_info", &[("version", "a\"b\\c\nd\u{1b}")], 1);
        let text = text(samples);
        let wanted = r#"fogold_info{command="check",version="a\"b\\c\\nd\\u{1b}"} 1"#;
        assert!(text.lines().any(|line| line == wanted), "{text}");
    }

    #[test]
    fn the_oldest_shard_is_told_where_it_is_known() {
        let mut known = samples();
        known.of_ledger(&ReadSoFar {
            oldest: Some("2026-11-01T00:00:00Z".to_owned()),
            days: Some(1),
            never: 3,
            bad: 0,
            bad_unread: 0,
            lost_unread: 0,
        });
        let text = text(known);
        assert!(
            text.contains(
                "fogold_oldest_verified_shard_timestamp_seconds{command=\"check\"} 1793491200\n"
            ),
            "{text}"
        );
        assert!(text.contains("fogold_never_verified_shards{command=\"check\"} 3\n"));
        assert!(text.contains("fogold_bad_shards{command=\"check\"} 0\n"));
    }

    #[test]
    fn a_backup_that_failed_does_not_hide_the_last_good_one() {
        let good = Run {
            command: "backup".to_owned(),
            complete: true,
            set: Some(super::super::RunSet {
                finished: "2026-11-01T00:00:00Z".to_owned(),
                ..super::super::RunSet::default()
            }),
            ..Run::default()
        };
        let history = History {
            runs: vec![good],
            ..History::default()
        };
        let failed = Report::of_failure("backup", super::super::Clock::start(), 3, "no room");
        let mut out = Vec::new();
        write(&failed, None, &history, &mut out).expect("written");
        let text = String::from_utf8(out).expect("text");
        for line in [
            "fogold_last_good_backup_timestamp_seconds{command=\"backup\"} 1793491200",
            "fogold_last_run_exit_status{command=\"backup\"} 3",
            "fogold_last_run_complete{command=\"backup\"} 0",
        ] {
            assert!(text.lines().any(|each| each == line), "{line} in {text}");
        }
        // Nothing was looked at, so nothing is said to be well.
        assert!(!text.contains("_findings{"), "{text}");
    }

    /// A run of a store or repository that has come to its end.
    fn complete(command: &str, subject: &str, losses: u64) -> Run {
        Run {
            command: command.to_owned(),
            subject: subject.to_owned(),
            types: vec!["gold".to_owned()],
            complete: true,
            judged: true,
            severities: BTreeMap::from([("loss".to_owned(), losses)]),
            set: Some(super::super::RunSet {
                finished: "2026-11-01T00:00:00Z".to_owned(),
                ..super::super::RunSet::default()
            }),
            ..Run::default()
        }
    }

    /// The metrics of a run that fails after these.
    fn after_failing(command: &'static str, subject: &str, runs: Vec<Run>) -> String {
        let failed = Report::of_failure(command, super::super::Clock::start(), 3, "no catalog");
        let failed = failed.about(std::path::Path::new(subject));
        let history = History {
            runs,
            unreadable: 0,
            ..History::default()
        };
        let mut out = Vec::new();
        write(&failed, None, &history, &mut out).expect("written");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn a_check_that_failed_takes_back_no_loss() {
        let runs = || vec![complete("check", "/r", 2), complete("check", "/other", 7)];
        let text = after_failing("check", "/r", runs());
        let line = "fogold_severity_findings{command=\"check\",severity=\"loss\"} 2\n";
        assert!(text.contains(line), "{text}");
        let line = "fogold_severity_findings{command=\"check\",severity=\"recoverable\"} 0\n";
        assert!(text.contains(line), "{text}");
        let text = after_failing("check", "/new", runs());
        assert!(!text.contains("_findings{"), "{text}");
    }

    #[test]
    fn another_store_lends_no_good_backup() {
        let runs = || vec![complete("backup", "/a", 0)];
        let metric = "fogold_last_good_backup_timestamp_seconds";
        assert!(after_failing("backup", "/a", runs()).contains(metric));
        let text = after_failing("backup", "/b", runs());
        assert!(!text.contains(metric), "{text}");
        assert!(!text.contains("last_complete_run"), "{text}");
    }
}
