//! What came of a night, as the next one and whoever is told of it read it.

use std::collections::BTreeMap;
use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::rules;
use crate::store::lock::host_name;

/// What an exit status says of a night, from 0 on.
const WORDS: [&str; 4] = ["GOOD", "FINDINGS", "REFUSED", "FAILED"];

/// What came of a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepVerdict {
    /// The command.
    pub step: String,
    /// Its exit status; absent when it was not run.
    pub exit_status: Option<u8>,
    /// How long it took.
    pub seconds: f64,
    /// Its report's verdict, or why it was not run.
    pub verdict: String,
    /// Its findings by kind.
    #[serde(default)]
    pub counts: BTreeMap<String, u64>,
    /// Its findings by severity.
    #[serde(default)]
    pub severities: BTreeMap<String, u64>,
    /// Its last messages, when it did not end with 0.
    #[serde(default)]
    pub messages: Vec<String>,
    /// The files of its report.
    #[serde(default)]
    pub reports: Vec<String>,
}

impl StepVerdict {
    pub(super) fn not_run(step: &str, why: String) -> StepVerdict {
        StepVerdict {
            step: step.to_owned(),
            exit_status: None,
            seconds: 0.0,
            verdict: format!("not run: {why}"),
            counts: BTreeMap::new(),
            severities: BTreeMap::new(),
            messages: Vec::new(),
            reports: Vec::new(),
        }
    }

    /// The verdict on a step that has `ended`, with its report and its last messages.
    pub(super) fn ran(
        step: &str,
        ended: io::Result<ExitStatus>,
        took: Duration,
        report: Option<&Value>,
        messages: Vec<String>,
    ) -> StepVerdict {
        let (status, odd) = match &ended {
            Ok(status) => match status.code().and_then(|code| u8::try_from(code).ok()) {
                Some(code @ 0..=3) => (code, None),
                _ => (3, Some(format!("died: {status}"))),
            },
            Err(error) => (3, Some(format!("could not be run: {error}"))),
        };
        let said = report.and_then(verdict_of);
        let last = || messages.last().cloned();
        let numbers = |key: &str| {
            let found = report.and_then(|report| report.get(key)).cloned();
            found
                .and_then(|value| serde_json::from_value(value).ok())
                .unwrap_or_default()
        };
        let last = if status > 1 { said.or_else(last) } else { said };
        StepVerdict {
            step: step.to_owned(),
            exit_status: Some(status),
            seconds: (took.as_secs_f64() * 1000.0).round() / 1000.0,
            verdict: odd.or(last).unwrap_or_else(|| "done".to_owned()),
            counts: numbers("counts"),
            severities: numbers("severities"),
            messages: if status == 0 { Vec::new() } else { messages },
            reports: Vec::new(),
        }
    }

    /// What of it makes a change when it is another the next night: no count, for each night reads
    /// another part.
    fn essence(&self) -> (&str, Option<u8>, Option<&str>) {
        let word = self.verdict.split_once(':').map(|(word, _)| word);
        let is_verdict = |word: &&str| word.chars().all(|c| c == ' ' || c.is_ascii_uppercase());
        (&self.step, self.exit_status, word.filter(is_verdict))
    }
}

/// The sentence of a report. Prune has none, and says what it has freed.
fn verdict_of(report: &Value) -> Option<String> {
    if let Some(text) = report.get("verdict").and_then(Value::as_str) {
        return Some(text.to_owned());
    }
    let freed = report.get("freed_bytes")?.as_u64()?;
    let sets = report.get("sets")?.as_array()?;
    let gone = sets.iter().filter(|set| set["kept"] == false).count();
    Some(format!(
        "{} removed, {} kept, {} freed",
        crate::report::counted(gone as u64, "set"),
        sets.len() - gone,
        crate::report::bytes_for_people(freed)
    ))
}

/// What came of a night.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// `fogold`
    pub tool: String,
    /// The program's version.
    pub version: String,
    /// The machine.
    pub host: String,
    /// When it began, RFC 3339.
    pub started: String,
    /// How long it took.
    pub seconds: f64,
    /// The exit status over all.
    pub exit_status: u8,
    /// One sentence.
    pub verdict: String,
    /// The steps, in their order.
    pub steps: Vec<StepVerdict>,
    /// The sentence of the night before.
    #[serde(default)]
    pub before: Option<String>,
    /// Somebody is to be told of it, and was not yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub untold: bool,
    /// Why somebody could not be told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_told: Vec<String>,
}

impl Verdict {
    pub(super) fn over(began: Timestamp, steps: Vec<StepVerdict>, is_stopped: bool) -> Verdict {
        let took = Timestamp::now().duration_since(began).as_secs_f64();
        let whole = Timestamp::from_second(began.as_second()).unwrap_or(began);
        let exit_status = rules::over_all(&steps, is_stopped);
        Verdict {
            tool: "fogold".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            host: host_name(),
            started: whole.to_string(),
            seconds: (took * 1000.0).round() / 1000.0,
            exit_status,
            verdict: sentence(&steps, exit_status),
            steps,
            before: None,
            untold: false,
            not_told: Vec::new(),
        }
    }

    /// What is kept while a night is at work: should nothing come after it, somebody is to know.
    pub fn of_no_end() -> Verdict {
        let mut verdict = Verdict::over(Timestamp::now(), Vec::new(), true);
        verdict.verdict = format!("{}: the night came to no end", verdict.word());
        verdict.untold = true;
        verdict
    }

    /// The verdict on a night that cannot be begun, for what is asked of it cannot be meant.
    pub fn of_refusal(why: &str) -> Verdict {
        let mut verdict = Verdict::over(Timestamp::now(), Vec::new(), false);
        verdict.exit_status = 2;
        verdict.verdict = format!("{}: {why}", verdict.word());
        verdict
    }

    /// The word that its sentence begins with.
    pub fn word(&self) -> &'static str {
        WORDS
            .get(usize::from(self.exit_status))
            .unwrap_or(&"FAILED")
    }

    /// Whether it says something else than the night before. The first night does.
    pub fn differs_from(&self, last: Option<&Verdict>) -> bool {
        last.is_none_or(|last| {
            last.exit_status != self.exit_status
                || !last
                    .steps
                    .iter()
                    .map(StepVerdict::essence)
                    .eq(self.steps.iter().map(StepVerdict::essence))
        })
    }
}

/// What the steps say that did not end with 0; of a good night, only which there were.
fn sentence(steps: &[StepVerdict], exit_status: u8) -> String {
    let word = WORDS.get(usize::from(exit_status)).unwrap_or(&"FAILED");
    if exit_status == 0 {
        let names: Vec<&str> = steps.iter().map(|step| step.step.as_str()).collect();
        return format!("{word}: {}", names.join(", "));
    }
    let odd = steps.iter().filter(|step| step.exit_status != Some(0));
    let told: Vec<String> = odd
        .map(|step| format!("{}: {}", step.step, step.verdict))
        .collect();
    format!("{word}: {}", told.join("; "))
}
