//! What a run found, for people and for programs: text, a page, JSON, NDJSON and metrics; and how the
//! runs before it went.
//!
//! Every format is made from the same [`Report`] and the same findings. Names, paths and URLs come
//! from a tree and a database that may be hostile: text escapes control characters, and JSON is
//! always valid UTF-8.

mod accepted;
mod advice;
mod backup;
mod drill;
mod history;
mod html;
mod json;
mod ledger;
mod manifest;
mod number;
mod plan;
mod prometheus;
mod repair;
mod restore;
mod store;
mod text;
mod usage;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

pub use accepted::AcceptedFindings;
pub use advice::SameServer;
pub use backup::NewSet;
pub use drill::{DrilledSet, LostUpload};
pub use history::{History, Run, RunSet};
pub use ledger::ReadSoFar;
pub use manifest::{ManifestReport, NotTaken};
pub use number::{bytes_for_people, counted, grouped, time_for_people};
pub use plan::PlanReport;
pub use repair::{Left, RepairSums, RepairedRepository};
pub use restore::RestoredServer;
pub use store::StoreCoverage;
pub use text::{Style, printable};
pub use usage::UsageReport;

use crate::catalog::{Amount, Catalog, CatalogError, Provenance};
use crate::check::{Coverage, FailOn, Kind, Options, Outcome, Severity, Spool, Tally};
use crate::repository::Tree;
use crate::sysconf::RepositoryType;

/// Why a report could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The output.
    #[error("cannot write the report")]
    Output(#[from] io::Error),
    /// The findings on disk.
    #[error(transparent)]
    Findings(#[from] CatalogError),
}

/// The report object: the last line of NDJSON, the whole of JSON.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// `fogold`
    pub tool: &'static str,
    /// The program's version.
    pub version: &'static str,
    /// What was run.
    pub command: &'static str,
    /// One sentence: can this be relied on?
    pub verdict: String,
    /// Everything that was asked for was looked at.
    pub complete: bool,
    /// The exit status that goes with the report.
    pub exit_status: u8,
    /// When the run began, RFC 3339.
    pub started: String,
    /// How long it took.
    pub seconds: f64,
    /// Findings by kind.
    pub counts: BTreeMap<&'static str, u64>,
    /// Findings by severity; all four are there.
    pub severities: BTreeMap<&'static str, u64>,
    /// Bytes concerned, by kind.
    pub bytes: BTreeMap<&'static str, u64>,
    /// Findings that do not count, where some were accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accepted: Option<AcceptedFindings>,
    /// What was looked at.
    pub coverage: LookedAt,
    /// What the tree was held against.
    pub catalog: Option<ReportCatalog>,
    /// The repository or store that a run which came to nothing was about.
    #[serde(skip)]
    about: Option<String>,
    /// The file names of uploads, for people.
    #[serde(skip)]
    upload_names: BTreeMap<i32, String>,
    /// What makes a command be about the same server.
    #[serde(skip)]
    same_server: SameServer,
}

/// What was looked at, by the kind of command.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum LookedAt {
    /// A repository.
    Repository(ReportCoverage),
    /// A store.
    Store(StoreCoverage),
    /// What went into a new set.
    NewSet(Box<NewSet>),
    /// What was restored, and the repository after it.
    Restored(Box<RestoredServer>),
    /// What a set would bring back.
    Drilled(Box<DrilledSet>),
    /// What a set would hold.
    Manifest(Box<ManifestReport>),
    /// What a repair found, and what it did about it.
    Repaired(Box<RepairedRepository>),
}

impl LookedAt {
    /// What was looked at of a repository.
    fn repository(&self) -> Option<&ReportCoverage> {
        match self {
            LookedAt::Repository(coverage) => Some(coverage),
            LookedAt::Restored(restored) => restored.after.as_ref(),
            LookedAt::Repaired(repaired) => Some(&repaired.coverage),
            LookedAt::Store(_)
            | LookedAt::NewSet(_)
            | LookedAt::Drilled(_)
            | LookedAt::Manifest(_) => None,
        }
    }
}

/// Files by host and type.
pub type ByHost = BTreeMap<String, BTreeMap<RepositoryType, Amount>>;

/// What was looked at of a repository, as reports say it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ReportCoverage {
    /// The repository's root.
    pub repository: String,
    /// Its depth.
    pub depth: usize,
    /// Its hosts, in FOSSology's order.
    pub hosts: Vec<String>,
    /// The types reported on.
    pub types: Vec<&'static str>,
    /// Files listed in their place.
    pub listed: BTreeMap<&'static str, Amount>,
    /// The same by host and type; what lies at the root itself is under the empty name.
    pub listed_by_host: ByHost,
    /// Directories listed.
    pub directories: u64,
    /// Contents were asked to be read.
    pub verify: bool,
    /// The rows' sha256 were asked to be proven.
    pub sha256: bool,
    /// Which part of the contents was asked for.
    pub slice: String,
    /// Shards outside of that part that were to be read because they were bad the last time.
    #[serde(skip_serializing_if = "is_zero")]
    pub shards_again: u64,
    /// How long contents were to be read at most, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_seconds: Option<u64>,
    /// Files whose contents were read.
    pub read: Amount,
    /// How many shards' contents were read to their end.
    pub shards_read: u64,
    /// How far all runs together have read, where that is noted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ledger: Option<ReadSoFar>,
    /// The shards that were looked at completely.
    pub shards_complete: Vec<String>,
}

impl ReportCoverage {
    /// Whether nothing but time was wanting, and that for everything.
    fn lacked_time(&self) -> bool {
        self.max_seconds.is_some() && self.shards_read == 0 && self.shards_complete.len() == 256
    }
}

/// What serde leaves out.
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What the tree was held against, as reports say it.
#[derive(Clone, Debug, Serialize)]
pub struct ReportCatalog {
    /// `live` or `dump`.
    pub kind: String,
    /// The database or dump.
    pub origin: String,
    /// The database's name.
    pub database: Option<String>,
    /// The server's version.
    pub server_version: Option<String>,
    /// When the snapshot was taken, RFC 3339.
    pub taken: Option<String>,
    /// Rows of pfile.
    pub pfiles: u64,
    /// Rows of the upload trees.
    pub tree_rows: u64,
    /// Rows of upload, deleted ones included.
    pub uploads: u64,
    /// Files that FOSSology looks for in gold.
    pub gold: Amount,
    /// Files that FOSSology looks for in files.
    pub files: Amount,
}

/// When a run began.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: jiff::Timestamp,
}

impl Clock {
    /// Starts now.
    pub fn start() -> Clock {
        Clock {
            started: jiff::Timestamp::now(),
        }
    }

    /// Seconds since then, to the millisecond.
    pub fn seconds(self) -> f64 {
        let elapsed = jiff::Timestamp::now().duration_since(self.started);
        (elapsed.as_secs_f64() * 1000.0).round() / 1000.0
    }

    /// When it was, RFC 3339, to the second.
    pub fn text(self) -> String {
        let whole = jiff::Timestamp::from_second(self.started.as_second());
        whole.unwrap_or(self.started).to_string()
    }
}

impl Report {
    /// The report of a check.
    pub fn of_check(
        outcome: &Outcome,
        tree: &Tree,
        catalog: &Catalog,
        options: &Options,
        fail_on: FailOn,
        clock: Clock,
    ) -> Report {
        let mut report = Report::blank("check", clock);
        report.complete = outcome.complete;
        report.count(&outcome.findings);
        let accepted = outcome.accepted.as_ref();
        report.accepted = accepted.map(|matches| AcceptedFindings::of(matches, &outcome.findings));
        let coverage = coverage(outcome, tree, options);
        report.catalog = Some(report_catalog(catalog));
        report.upload_names = upload_names(catalog);
        let knows_bad = |ledger: &ReadSoFar| ledger.fails(fail_on);
        report.exit_status = if !outcome.complete {
            3
        } else {
            let known = coverage.ledger.as_ref().is_some_and(knows_bad);
            u8::from(outcome.findings.fails(fail_on) || known)
        };
        report.verdict = report.check_verdict(&coverage);
        report.coverage = LookedAt::Repository(coverage);
        report
    }

    /// The report of a command that was stopped before it had anything to report. What it has done by
    /// then is of use all the same.
    pub fn of_nothing(command: &'static str, clock: Clock) -> Report {
        let mut report = Report::blank(command, clock);
        report.exit_status = 3;
        let stopped = match command {
            "backup" => {
                "stopped, and there is no new set; files that were taken in stay in the store, and the next backup \
                 goes on with them"
            }
            "restore" => "stopped; what was restored so far stays, and the same command goes on",
            "drill" => "stopped before anything was found out",
            "repair" => {
                "stopped; what was done so far is in the journal, and the same command goes on"
            }
            _ => "stopped before anything was looked at",
        };
        report.verdict = format!("INCOMPLETE: {stopped}");
        report
    }

    /// The report of a command that could not do its work.
    pub fn of_failure(
        command: &'static str,
        clock: Clock,
        exit_status: u8,
        message: &str,
    ) -> Report {
        let mut report = Report::blank(command, clock);
        report.exit_status = exit_status;
        report.verdict = format!("FAILED: {message}");
        report
    }

    fn blank(command: &'static str, clock: Clock) -> Report {
        Report {
            tool: "fogold",
            version: env!("CARGO_PKG_VERSION"),
            command,
            verdict: String::new(),
            complete: false,
            exit_status: 0,
            started: clock.text(),
            seconds: clock.seconds(),
            counts: BTreeMap::new(),
            severities: counts(&[]).severities,
            bytes: BTreeMap::new(),
            accepted: None,
            coverage: LookedAt::Repository(ReportCoverage::default()),
            catalog: None,
            about: None,
            upload_names: BTreeMap::new(),
            same_server: SameServer::default(),
        }
    }

    /// What a repair that was not only planned has left.
    fn left(&self) -> Option<&Left> {
        match &self.coverage {
            LookedAt::Repaired(repaired) if repaired.repair.applied => Some(&repaired.repair.left),
            _ => None,
        }
    }

    /// The report of the same run, which came to nothing, on a repository or store.
    pub fn about(mut self, subject: &Path) -> Report {
        self.about = Some(subject.display().to_string());
        self
    }

    fn count(&mut self, findings: &Spool) {
        self.count_all(&findings.tallies());
    }

    fn count_all(&mut self, tallies: &[(Severity, Kind, Tally)]) {
        let Counts {
            counts,
            severities,
            bytes,
        } = counts(tallies);
        (self.counts, self.severities, self.bytes) = (counts, severities, bytes);
    }

    fn severity(&self, severity: Severity) -> u64 {
        self.severities.get(severity.as_str()).copied().unwrap_or(0)
    }

    /// One sentence about the whole. It claims no more than was looked at.
    fn check_verdict(&self, coverage: &ReportCoverage) -> String {
        let files: u64 = coverage.listed.values().map(|each| each.files).sum();
        let (loss, recoverable) = (
            self.severity(Severity::Loss),
            self.severity(Severity::Recoverable),
        );
        let minor = match self.severity(Severity::Waste) + self.severity(Severity::Notice) {
            0 => String::new(),
            1 => "; 1 minor finding".to_owned(),
            minor => format!("; {} minor findings", grouped(minor)),
        };
        let accepted = self.accepted.as_ref();
        let minor = minor + &accepted.map_or(String::new(), AcceptedFindings::in_verdict);
        let accepts_damage = accepted.is_some_and(AcceptedFindings::are_severe);
        let state = match (loss, recoverable) {
            (0, 0) if accepts_damage => "nothing else is missing or damaged".to_owned(),
            (0, 0) if coverage.verify => "nothing is missing or damaged".to_owned(),
            (0, 0) => "nothing is missing, and all sizes are right".to_owned(),
            (0, _) => format!("{} to recover, nothing is lost", grouped(recoverable)),
            (_, 0) => format!("{} lost", grouped(loss)),
            _ => format!(
                "{} lost, {} to recover",
                grouped(loss),
                grouped(recoverable)
            ),
        };
        let known = coverage.ledger.as_ref();
        let (bad_unread, lost_unread) =
            known.map_or((0, 0), |known| (known.bad_unread, known.lost_unread));
        let state = match known.and_then(ReadSoFar::in_verdict) {
            Some(known) if (loss, recoverable) == (0, 0) => {
                format!("{known}; in what was looked at, {state}")
            }
            Some(known) => format!("{state}; {known}"),
            None => state,
        };
        let state = match &coverage.types[..] {
            [_, _, _] => state,
            some => format!(
                "{state} in {} (nothing else was looked at)",
                some.join(" and ")
            ),
        };
        let state = if self.complete {
            format!("{state}{minor}")
        } else if coverage.lacked_time() {
            format!(
                "the time was over before the contents of one shard were read to their end: give \
                 --max-duration more; {state}{minor}"
            )
        } else {
            format!(
                "not everything was looked at ({} of 256 parts were); in these {state}{minor}",
                coverage.shards_complete.len()
            )
        };
        let word = if !self.complete {
            "INCOMPLETE"
        } else if loss > 0 || lost_unread > 0 {
            "LOSS"
        } else if recoverable > 0 || bad_unread > 0 {
            "DAMAGED"
        } else {
            "OK"
        };
        let read = if !coverage.verify {
            "contents not read (--verify reads them)".to_owned()
        } else if coverage.max_seconds.is_some() {
            format!(
                "contents of {} read: {} of 256 shards",
                grouped(coverage.read.files),
                coverage.shards_read
            )
        } else if coverage.slice == "1/1" {
            format!("contents of {} read", grouped(coverage.read.files))
        } else {
            let again = match coverage.shards_again {
                0 => String::new(),
                n => format!(" and {} that had bad contents", counted(n, "more shard")),
            };
            format!(
                "contents of {} read: slice {}{again}",
                grouped(coverage.read.files),
                coverage.slice
            )
        };
        let pfiles = self.catalog.as_ref().map_or(0, |catalog| catalog.pfiles);
        let mut verdict = format!(
            "{word}: {state}. {} against {}, {read}",
            counted(files, "file"),
            counted(pfiles, "pfile")
        );
        let orphans = self.counts.get("orphan").copied().unwrap_or(0);
        if orphans > 10 && orphans * 10 > files * 9 {
            verdict.push_str(". Hardly any file is known to this database: is it the right one?");
        }
        verdict
    }
}

/// Findings by kind and severity.
struct Counts {
    counts: BTreeMap<&'static str, u64>,
    severities: BTreeMap<&'static str, u64>,
    bytes: BTreeMap<&'static str, u64>,
}

fn counts(tallies: &[(Severity, Kind, Tally)]) -> Counts {
    let mut sums = Counts {
        counts: BTreeMap::new(),
        severities: Severity::ALL
            .iter()
            .map(|each| (each.as_str(), 0))
            .collect(),
        bytes: BTreeMap::new(),
    };
    for (severity, kind, tally) in tallies {
        *sums.counts.entry(kind.as_str()).or_default() += tally.findings;
        *sums.severities.entry(severity.as_str()).or_default() += tally.findings;
        *sums.bytes.entry(kind.as_str()).or_default() += tally.bytes;
    }
    sums
}

fn coverage(outcome: &Outcome, tree: &Tree, options: &Options) -> ReportCoverage {
    let Coverage {
        directories, read, ..
    } = &outcome.coverage;
    ReportCoverage {
        repository: tree.path().display().to_string(),
        depth: tree.layout().depth,
        hosts: tree.layout().hosts.names().map(str::to_owned).collect(),
        types: options.types.iter().map(|ty| ty.as_str()).collect(),
        listed: listed(&outcome.coverage),
        listed_by_host: outcome.coverage.hosts.clone(),
        directories: *directories,
        verify: options.verify,
        sha256: options.sha256,
        slice: options.slice.to_string(),
        shards_again: outcome.read_again,
        max_seconds: outcome.time_limit.map(|length| length.as_secs()),
        read: *read,
        shards_read: outcome.shards_read,
        ledger: outcome.standing.as_ref().map(ReadSoFar::of),
        shards_complete: outcome
            .complete_shards
            .iter()
            .map(ToString::to_string)
            .collect(),
    }
}

/// Files listed in their place, by type.
fn listed(coverage: &Coverage) -> BTreeMap<&'static str, Amount> {
    BTreeMap::from([
        ("gold", coverage.gold),
        ("files", coverage.files),
        ("license", coverage.license),
    ])
}

fn upload_names(catalog: &Catalog) -> BTreeMap<i32, String> {
    catalog
        .summary()
        .uploads
        .iter()
        .map(|upload| (upload.pk, String::from_utf8_lossy(&upload.filename).into()))
        .collect()
}

fn report_catalog(catalog: &Catalog) -> ReportCatalog {
    let summary = catalog.summary();
    let Provenance {
        kind,
        origin,
        database,
        server_version,
        taken,
        ..
    } = summary.provenance.clone();
    ReportCatalog {
        kind,
        origin,
        database,
        server_version,
        taken: taken
            .and_then(|micros| jiff::Timestamp::from_microsecond(micros).ok())
            .map(|time| time.to_string()),
        pfiles: summary.pfile_rows,
        tree_rows: summary.tree_rows,
        uploads: summary.uploads.len() as u64,
        gold: summary.gold,
        files: summary.files,
    }
}

/// The form of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// One object with everything in it.
    Json,
    /// A line a finding, the report object last.
    Ndjson,
    /// A page for people.
    Html,
    /// Metrics for node_exporter.
    Prometheus,
}

impl Format {
    /// The endings of files that are reports.
    pub const ENDINGS: &str = ".txt, .json, .ndjson, .html, .prom";

    /// The format that goes with a file's ending.
    pub fn of_path(path: &Path) -> Option<Format> {
        match path.extension()?.to_ascii_lowercase().to_str()? {
            "txt" => Some(Format::Text),
            "json" => Some(Format::Json),
            "ndjson" => Some(Format::Ndjson),
            "html" => Some(Format::Html),
            "prom" => Some(Format::Prometheus),
            _ => None,
        }
    }
}

/// Writes a report. `findings` is absent when nothing was looked at; `history` is how the runs
/// before this one went.
pub fn write(
    report: &Report,
    findings: Option<&Spool>,
    format: Format,
    style: Style,
    history: &History,
    out: &mut dyn Write,
) -> Result<(), ReportError> {
    match format {
        Format::Text => text::write(report, findings, style, out),
        Format::Json => json::write_object(report, findings, out),
        Format::Ndjson => json::write_lines(report, findings, out),
        Format::Html => html::write(report, findings, history, out),
        Format::Prometheus => {
            prometheus::write(report, findings, history, out).map_err(ReportError::from)
        }
    }?;
    out.flush()?;
    Ok(())
}
