//! What a repair has done, or would do.

use serde::Serialize;

use crate::report::number::bytes_for_people;
use crate::report::{LookedAt, Report};

#[derive(Serialize)]
pub(super) struct Actions {
    /// They are done, and not only planned.
    applied: bool,
    found: u64,
    mended: u64,
    table: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    name: &'static str,
    files: u64,
    bytes: String,
    left: u64,
}

/// The actions of a repair; nothing, when the report is of something else.
pub(super) fn of(report: &Report) -> Option<Actions> {
    let LookedAt::Repaired(repaired) = &report.coverage else {
        return None;
    };
    let sums = &repaired.repair;
    let row = |(name, acted): (_, crate::recover::repair::Acted)| {
        let amount = match sums.applied {
            true => acted.done,
            false => acted.planned,
        };
        Row {
            name,
            files: amount.files,
            bytes: bytes_for_people(amount.bytes),
            left: acted.left.files,
        }
    };
    Some(Actions {
        applied: sums.applied,
        found: sums.findings,
        mended: sums.mended,
        table: sums.all().map(row).collect(),
    })
}
