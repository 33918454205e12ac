//! Findings about uploads and rows that concern no single file of the tree.

use super::finding::Finding;
use super::kind::{Kind, Severity};
use crate::catalog::upload::UNPACKED;
use crate::catalog::{Summary, Upload, UploadIds};
use crate::repository::{Temporary, TreePath};

/// Clocks of hosts differ, and times in a tree may lack fractions of a second: a temporary tree
/// must be so much older than a job, in seconds, to be none of its.
const CLOCK_SLACK: i64 = 60;

/// What the rows alone tell.
pub(super) fn findings(summary: &Summary) -> Vec<Finding> {
    let mut findings = Vec::new();
    for dangling in &summary.dangling {
        let severity = if dangling.is_gold {
            Severity::Loss
        } else {
            Severity::Recoverable
        };
        let mut finding =
            Finding::new(Kind::DanglingReference, severity).concerning(dangling.uploads.clone());
        finding.pfile = Some(dangling.pk);
        finding.detail = Some(
            if dangling.is_gold {
                "the gold of an upload: no row says what it was"
            } else {
                "files of an upload's tree: no row says what they were"
            }
            .to_owned(),
        );
        findings.push(finding);
    }
    for unusable in &summary.unusable {
        let severity = if unusable.uploads.total == 0 {
            Severity::Waste
        } else {
            Severity::Recoverable
        };
        let mut finding =
            Finding::new(Kind::UnusablePfile, severity).concerning(unusable.uploads.clone());
        finding.pfile = Some(unusable.pk);
        finding.detail = Some(unusable.why.clone());
        findings.push(finding);
    }
    findings.extend(
        summary
            .uploads
            .iter()
            .filter(|upload| !upload.deleted)
            .flat_map(|upload| of_upload(upload, summary)),
    );
    findings
}

fn of_upload(upload: &Upload, summary: &Summary) -> Vec<Finding> {
    let mut findings = Vec::new();
    let name = String::from_utf8_lossy(&upload.filename);
    let about = |kind, severity, detail: String| {
        let mut finding = Finding::new(kind, severity).concerning(UploadIds::of([upload.pk]));
        finding.detail = Some(detail);
        finding
    };
    if upload.is_unfinished() {
        let detail = format!("{name}: its first unpack has not completed");
        findings.push(about(Kind::UnfinishedUpload, Severity::Notice, detail));
    } else if upload.pfile == 0 {
        let has_traces = upload.mode & UNPACKED != 0 || upload.tree_rows > 0;
        let (severity, why) = if has_traces {
            (
                Severity::Recoverable,
                "it was unpacked, but its gold is not known",
            )
        } else {
            (Severity::Notice, "an upload that failed")
        };
        let detail = format!("{name}: {why}");
        findings.push(about(Kind::UploadWithoutPfile, severity, detail));
    }
    if let Some((items, rows)) = cut_tree(upload) {
        let later_rows = summary
            .last_unreferenced
            .is_some_and(|last| last > upload.pfile);
        let (severity, witness) = if upload.unpacking.killed {
            (Severity::Recoverable, "; a run of its unpack was killed")
        } else if later_rows {
            (
                Severity::Recoverable,
                "; rows of pfile made after it are used by nothing",
            )
        } else {
            (Severity::Notice, "")
        };
        let s = if rows == 1 { "" } else { "s" };
        let mending = match (upload.unpacking.open_job, rows) {
            (false, _) => "",
            (true, 0) => {
                "; the unpack that makes its tree anew has not ended: it is queued, or at work"
            }
            (true, _) => "; a job of it has not ended: it is queued, at work, or was killed",
        };
        let detail =
            format!("{name}: {rows} tree row{s}, its unpack processed {items}{witness}{mending}");
        findings.push(about(Kind::PartialTree, severity, detail));
    }
    findings
}

/// What the unpack processed and how many tree rows there are, when these are fewer.
fn cut_tree(upload: &Upload) -> Option<(u64, u64)> {
    let items = u64::try_from(upload.unpacking.items?).ok()?;
    let cut = upload.tree_rows < items && !upload.unpacking.without_version_control;
    cut.then_some((items, upload.tree_rows))
}

/// The finding for a temporary tree, unless an open job may own it. `now` is in seconds since 1970.
pub(super) fn abandoned(temporary: &Temporary, summary: &Summary, now: i64) -> Option<Finding> {
    if let Some(since) = summary.temporary_trees_in_use_since
        && temporary.modified > since.div_euclid(1_000_000).saturating_sub(CLOCK_SLACK)
    {
        return None;
    }
    let mut finding =
        Finding::new(Kind::Abandoned, Severity::Waste).at(&TreePath(temporary.path.0.clone()));
    finding.host = Some(temporary.host.clone());
    finding.files = Some(temporary.files);
    finding.bytes = Some(temporary.bytes);
    let last_change = jiff::Timestamp::from_second(temporary.modified).ok();
    finding.modified = last_change.map(|time| time.to_string());
    let age = u64::try_from(now.saturating_sub(temporary.modified)).unwrap_or(0) / 86_400;
    finding.age_days = Some(age);
    finding.detail = Some(format!(
        "{} file{}, last changed {age} day{} ago",
        temporary.files,
        if temporary.files == 1 { "" } else { "s" },
        if age == 1 { "" } else { "s" }
    ));
    Some(finding)
}
