//! A night for people: the sentence, a line a step, and what failed steps said.

use std::fmt::Write;

use crate::nightly::{StepVerdict, Verdict};
use crate::report::printable;

/// What people are told of a night.
pub fn for_people(verdict: &Verdict) -> String {
    let mut text = String::new();
    let but = match verdict.not_told.is_empty() {
        true => "",
        false => ", but NOT EVERYBODY WAS TOLD",
    };
    let _ = writeln!(text, "{}{but}\n", printable(&verdict.verdict));
    let _ = writeln!(
        text,
        "On {}, {}, {:.0} s, exit status {}.",
        printable(&verdict.host),
        printable(&verdict.started),
        verdict.seconds,
        verdict.exit_status
    );
    for why in &verdict.not_told {
        let _ = writeln!(text, "NOT TOLD: {}", printable(why));
    }
    for step in &verdict.steps {
        add_step(&mut text, step);
    }
    if let Some(before) = &verdict.before {
        let _ = writeln!(text, "\nThe night before: {}", printable(before));
    }
    text
}

fn add_step(text: &mut String, step: &StepVerdict) {
    let verdict = printable(&step.verdict);
    let _ = match step.exit_status {
        None => writeln!(text, "\n{}: {verdict}", printable(&step.step)),
        Some(status) => writeln!(
            text,
            "\n{}: exit status {status} after {:.1} s: {verdict}",
            printable(&step.step),
            step.seconds
        ),
    };
    for (kind, count) in &step.counts {
        let _ = writeln!(text, "  {count} {}", printable(kind));
    }
    // What was found is told by the verdict, and by the report.
    let has_failed = step.exit_status.is_some_and(|status| status > 1);
    let said = step.messages.iter().filter(|_| has_failed);
    for message in said.filter(|it| **it != step.verdict) {
        let _ = writeln!(text, "  > {}", printable(message));
    }
    for report in &step.reports {
        let _ = writeln!(text, "  see {}", printable(report));
    }
}
