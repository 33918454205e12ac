//! The report as a page: one file that loads nothing, runs nothing, and can be read on a telephone or
//! printed.
//!
//! Every text goes through the template engine, which escapes it for HTML; what is put in as it is are
//! the page's own words and styles. The page grows with the kinds of finding and not with findings:
//! so many of each are shown, and the rest is counted.

mod actions;
mod bars;
mod changes;
mod findings;
mod trend;

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{Environment, UndefinedBehavior, escape_formatter};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::drill::for_people;
use super::history::{History, Run};
use super::number::grouped;
use super::text::{coverage, printable};
use super::{Report, ReportError};
use crate::check::{Severity, Spool};

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
/// Where the styles go in the page.
const STYLE_PLACE: &str = "@style@";

/// Everything that the page says.
#[derive(Serialize)]
struct Page<'a> {
    report: &'a Report,
    /// Allows the page's own styles, and nothing else.
    policy: String,
    level: Level,
    word: &'a str,
    verdict: &'a str,
    when: String,
    took: String,
    severities: Vec<SeverityCard>,
    changes: Option<changes::Changes<'a>>,
    /// Whether how this run went is kept for the next one.
    is_kept: bool,
    actions: Option<actions::Actions>,
    findings: findings::Findings,
    accepted: Option<AcceptedFiles>,
    bars: Vec<bars::Group>,
    trend: Option<trend::Trend>,
    looked_at: Vec<Line>,
}

/// How bad it is, for the eye.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Ok,
    Damaged,
    Loss,
    Broken,
}

impl Level {
    fn of(run: &Run) -> Level {
        if run.exit_status > 1 || !run.complete {
            Level::Broken
        } else if run.severity(Severity::Loss.as_str()) > 0 {
            Level::Loss
        } else if run.exit_status > 0 || run.severity(Severity::Recoverable.as_str()) > 0 {
            Level::Damaged
        } else {
            Level::Ok
        }
    }
}

#[derive(Serialize)]
struct SeverityCard {
    name: &'static str,
    count: u64,
    meaning: &'static str,
}

/// Where findings are accepted.
#[derive(Serialize)]
struct AcceptedFiles {
    findings: u64,
    files: String,
    /// What is to be done about their entries.
    amiss: Vec<String>,
}

/// What was looked at of one thing.
#[derive(Serialize)]
struct Line {
    about: String,
    text: String,
}

pub(super) fn write(
    report: &Report,
    spool: Option<&Spool>,
    history: &History,
    out: &mut dyn Write,
) -> Result<(), ReportError> {
    let now = Run::of(report, spool.is_some());
    let (word, verdict) = match report.verdict.split_once(": ") {
        Some((word, rest)) if word.chars().all(|c| c.is_ascii_uppercase() || c == ' ') => {
            (word, rest)
        }
        _ => ("", &*report.verdict),
    };
    let seen = spool.map(bars::Seen::of).transpose()?.unwrap_or_default();
    let page = Page {
        report,
        policy: policy(),
        level: Level::of(&now),
        word,
        verdict,
        when: moment(&report.started),
        took: for_people(report.seconds),
        severities: spool.map_or_else(Vec::new, |_| severities(report)),
        changes: changes::since(history, &now),
        is_kept: history.is_kept,
        actions: actions::of(report),
        findings: findings::of(report, spool, &seen)?,
        accepted: report.accepted.as_ref().map(|accepted| AcceptedFiles {
            findings: accepted.findings,
            files: accepted.files.join(", "),
            amiss: accepted.amiss(),
        }),
        bars: bars::of(report, &seen),
        trend: trend::of(history, &now),
        looked_at: looked_at(report)?,
    };
    // The page is small whatever was found, and in memory it can be told whose fault an error is.
    let page = render(&page).map_err(io::Error::other)?;
    Ok(out.write_all(page.as_bytes())?)
}

fn render(page: &Page<'_>) -> Result<String, minijinja::Error> {
    let mut engine = Environment::new();
    engine.set_undefined_behavior(UndefinedBehavior::Strict);
    engine.set_syntax(
        SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()?,
    );
    engine.set_formatter(|out, state, value| match value.as_str() {
        Some(text) => escape_formatter(out, state, &Value::from(printable(text))),
        None => escape_formatter(out, state, value),
    });
    engine.add_filter("grouped", grouped);
    let template = PAGE.replace(STYLE_PLACE, STYLE);
    // The engine escapes by the ending of the template's name.
    engine.add_template("page.html", &template)?;
    engine.get_template("page.html")?.render(Serde(page))
}

/// A page that gets out something that was slipped into a name after all still runs no script and
/// loads nothing.
fn policy() -> String {
    let digest = BASE64.encode(Sha256::digest(STYLE.as_bytes()));
    format!("default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'")
}

fn severities(report: &Report) -> Vec<SeverityCard> {
    let meaning = |severity| match severity {
        Severity::Loss => "gone, and no way is known to get it back",
        Severity::Recoverable => "missing or damaged, and there is a way",
        Severity::Waste => "takes space, and nothing needs it",
        Severity::Notice => "worth knowing",
    };
    Severity::ALL
        .into_iter()
        .map(|severity| SeverityCard {
            name: severity.as_str(),
            count: report.severity(severity),
            meaning: meaning(severity),
        })
        .collect()
}

/// What was looked at, line by line, as the report for people has it.
fn looked_at(report: &Report) -> io::Result<Vec<Line>> {
    let mut text = Vec::new();
    coverage(report, &mut text)?;
    let mut lines: Vec<Line> = Vec::new();
    for line in String::from_utf8_lossy(&text).lines() {
        let line = line.trim();
        // Two words at most stand before the gap.
        let (about, text) = match line.split_once("  ") {
            Some((about, text)) => (about, text.trim_start()),
            None => line.split_once(' ').unwrap_or((line, "")),
        };
        lines.push(Line {
            about: about.to_owned(),
            text: text.to_owned(),
        });
    }
    Ok(lines)
}

/// A moment of a report, to the minute. What is none is shown as it is.
fn moment(text: &str) -> String {
    match text.parse::<jiff::Timestamp>() {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M UTC").to_string(),
        Err(_) => text.chars().take(20).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Batch, Finding, Kind};
    use crate::report::Clock;

    /// A name that grows as much as one can by being escaped.
    fn hostile() -> String {
        "</title><script>'\"&\u{202e}\n".repeat(40)
    }

    fn page(report: &Report, spool: Option<&Spool>) -> String {
        let mut out = Vec::new();
        write(report, spool, &History::default(), &mut out).expect("a page");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn a_page_stays_small_whatever_was_found() {
        let scratch = tempfile::tempdir().expect("temporary directory");
        let spool = Spool::new(scratch.path()).expect("a spool");
        let mut batch = Batch::default();
        for kind in Kind::ALL {
            for _ in 0..600 {
                let mut finding = Finding::new(*kind, Severity::Loss);
                finding.path = Some(hostile());
                finding.uploads = Some(vec![1, 2, 3]);
                finding.source = Some(hostile());
                finding.detail = Some(hostile());
                batch.push(finding);
            }
        }
        spool.deliver(1, batch).expect("delivered");
        let mut report = Report::of_failure("check", Clock::start(), 1, "much");
        report.upload_names = (1..4).map(|id| (id, hostile())).collect();
        report.count(&spool);
        let page = page(&report, Some(&spool));
        assert!(page.len() < 5_000_000, "{}", page.len());
        assert!(page.len() > 2_000_000, "{}", page.len());
        // Each kind says how many there are, shown or not.
        assert_eq!(
            page.matches(r#"<span class="count">600</span>"#).count(),
            Kind::ALL.len()
        );
        assert!(!page.contains("<script"));
        assert_eq!(page.matches("</title>").count(), 1);
        assert!(!page.contains('\u{202e}'));
    }

    #[test]
    fn a_page_of_a_failure_says_what_failed() {
        let message = format!("no <b>room</b> in {}", hostile());
        let page = page(
            &Report::of_failure("backup", Clock::start(), 3, &message),
            None,
        );
        assert!(
            page.contains("<strong>FAILED</strong> no &lt;b&gt;room&lt;"),
            "{page}"
        );
        assert!(page.contains("fogold backup: FAILED"));
        // Nothing was looked at, so no number says that there is nothing.
        assert!(!page.contains("class=\"cards\""));
    }

    #[test]
    fn the_styles_are_those_that_the_policy_allows() {
        let page = page(&Report::of_nothing("check", Clock::start()), None);
        let style = page.split_once("<style>").expect("styles").1;
        let style = style.split_once("</style>").expect("their end").0;
        let digest = BASE64.encode(Sha256::digest(style.as_bytes()));
        // As it stands in an attribute.
        let digest = digest.replace('/', "&#x2f;");
        assert!(page.contains(&format!("sha256-{digest}")), "{style}");
        assert!(!page.contains(" style="), "styles of their own are refused");
    }
}
