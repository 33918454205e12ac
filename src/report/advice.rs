//! What to do about findings, with commands that can be pasted.

use std::borrow::Cow;
use std::path::Path;

use super::backup::MEND_WITHOUT_GOLD;
use super::number::grouped;
use super::text::{kinds_worst_first, printable};
use super::{Left, LookedAt, Report, ReportError};
use crate::check::{Kind, Recovery, Severity, Spool, Tally};

/// So many findings are looked at for the store that has what they miss.
const MOST_ASKED: usize = 20;

/// What a command in a report has to be given again, so that it is about the same server.
#[derive(Clone, Debug, Default)]
pub struct SameServer {
    /// Options and their values, but for the database.
    pub options: Vec<String>,
    /// The value of `--catalog`, where it was given, without what is secret.
    pub catalog: Option<String>,
    /// The stores of backups that were given.
    pub stores: Vec<String>,
}

/// What to do about findings.
pub(super) struct Advice {
    /// The kind of finding, or what else it is about; nothing when it is about all.
    pub(super) about: Option<String>,
    /// What to do.
    pub(super) text: Cow<'static, str>,
    /// The command that does it.
    pub(super) command: Option<String>,
}

/// What to do about findings, the worst first.
pub(super) fn what_to_do(report: &Report, findings: &Spool) -> Result<Vec<Advice>, ReportError> {
    let tallies = findings.tallies();
    let about_all = |text: &'static str| Advice {
        about: None,
        text: text.into(),
        command: None,
    };
    match &report.coverage {
        _ if tallies.is_empty() => return Ok(Vec::new()),
        LookedAt::Drilled(drilled) => {
            return Ok(drilled.what_to_do().into_iter().map(about_all).collect());
        }
        LookedAt::Store(coverage) => {
            return Ok(coverage.what_to_do().into_iter().map(about_all).collect());
        }
        LookedAt::Repository(_)
        | LookedAt::NewSet(_)
        | LookedAt::Restored(_)
        | LookedAt::Repaired(_)
        | LookedAt::Manifest(_) => {}
    }
    let mut advice = Vec::new();
    if let LookedAt::NewSet(new) = &report.coverage
        && new.without_gold().files > 0
    {
        advice.push(Advice {
            about: Some("derived files without gold".to_owned()),
            ..about_all(MEND_WITHOUT_GOLD)
        });
    }
    let mut kinds = kinds_worst_first(&tallies);
    if let LookedAt::Repaired(repaired) = &report.coverage {
        let undo = |run: &str| report.command(false, &["repair", "--undo", run, "--apply"]);
        advice.extend(repaired.repair.what_to_do(undo));
        kinds.retain(|kind| repaired.repair.applied && repaired.repair.left.has(*kind));
    }
    for kind in kinds {
        advice.extend(about_kind(kind, report, findings)?);
    }
    Ok(advice)
}

/// What to do about a kind: for what is missing or damaged, a line for each way in which some of it
/// comes back; for all else, what the manual says.
fn about_kind(kind: Kind, report: &Report, findings: &Spool) -> Result<Vec<Advice>, ReportError> {
    let about = |text: Cow<'static, str>, command| Advice {
        about: Some(kind.to_string()),
        text,
        command,
    };
    let by_recovery = match kind {
        Kind::MissingGold
        | Kind::MissingDerived
        | Kind::MissingListing
        | Kind::Corrupt
        | Kind::WrongSize => findings.recoveries(kind),
        _ => Vec::new(),
    };
    if by_recovery.is_empty() {
        return Ok(vec![about(kind.mend().into(), report.mend_command(kind))]);
    }
    let verify = report.reads_contents().then_some("--verify");
    let put_back: Vec<(Recovery, u64)> = by_recovery
        .iter()
        .copied()
        .filter(|(recovery, _)| is_put_back(*recovery))
        .collect();
    let mut advice = Vec::new();
    if !put_back.is_empty() {
        let stores = match put_back.iter().any(|(it, _)| *it == Recovery::Backup) {
            true => report.stores(kind, findings)?,
            // What is given may have the same, where a copy turns out to be bad.
            false => report.same_server.stores.clone(),
        };
        let from = stores.iter().flat_map(|store| ["--from", store]);
        let words = ["repair"].into_iter().chain(verify).chain(from);
        let words: Vec<&str> = words.chain(["--only", "put-back", "--apply"]).collect();
        let ways: Vec<String> = put_back
            .iter()
            .map(|(recovery, number)| way(*recovery, *number))
            .collect();
        let what = match kind {
            Kind::Corrupt => {
                "look after the storage first; then fogold repair moves what stands there to the \
                 quarantine, and puts the good copies in their places"
            }
            Kind::WrongSize => {
                "fogold repair moves what stands there to the quarantine, and puts the good copies \
                 in their places"
            }
            _ => "fogold repair proves the good copies, and puts them in their places",
        };
        let ways = ways.join(", ");
        let text = format!("{ways}: {what} (as FOSSology's user or root)");
        advice.push(about(text.into(), report.command(false, &words)));
    }
    for (recovery, number) in by_recovery {
        let number = way(recovery, number);
        if recovery == Recovery::Unpack {
            let words = ["requeue"].into_iter().chain(verify).chain(["--wait"]);
            let command = report.command(true, &words.collect::<Vec<_>>());
            let first = match report.left().is_none() && !report.same_server.stores.is_empty() {
                true => "; before that, fogold repair --from STORE takes what a store has",
                false => "",
            };
            let text = format!(
                "{number}: fogold requeue has FOSSology do that, and checks afterwards{first}"
            );
            advice.push(about(text.into(), command));
        } else if recovery == Recovery::None {
            let text = format!("{number}: {}", without_a_way(kind));
            advice.push(about(text.into(), None));
        }
    }
    let is_waste = |(severity, other, _): &(Severity, Kind, Tally)| {
        (*severity, *other) == (Severity::Waste, kind)
    };
    let left = report.left().map(Left::tallies);
    let tallies = left.unwrap_or_else(|| findings.tallies());
    if let Some((.., tally)) = tallies.iter().find(|each| is_waste(each)) {
        let words = ["repair"].into_iter().chain(verify);
        let words: Vec<&str> = words.chain(["--only", "quarantine", "--apply"]).collect();
        let text = format!(
            "{} that nothing needs: fogold repair moves that to the quarantine, against the live \
             database alone",
            grouped(tally.findings)
        );
        advice.push(about(text.into(), report.command(true, &words)));
    }
    Ok(advice)
}

fn is_put_back(recovery: Recovery) -> bool {
    match recovery {
        Recovery::Copy | Recovery::Url | Recovery::Backup => true,
        Recovery::Unpack | Recovery::None => false,
    }
}

/// So many findings with their recovery.
fn way(recovery: Recovery, number: u64) -> String {
    let way = match recovery {
        Recovery::Copy => "from a copy in the repository",
        Recovery::Unpack => "by unpacking",
        Recovery::Url => "from a URL",
        Recovery::Backup => "from a backup",
        Recovery::None => "with no way known",
    };
    format!("{} {way}", grouped(number))
}

fn without_a_way(kind: Kind) -> &'static str {
    match kind {
        Kind::MissingListing => "nothing needs to be done",
        Kind::MissingGold => {
            "run the check with --store for every store of backups there is; without one, keep the \
             upload for its results and accept the finding (--accept), or delete it in FOSSology"
        }
        _ => {
            "run the check with --store for every store of backups there is; without one, delete \
             the upload in FOSSology and upload it again"
        }
    }
}

impl Report {
    /// Says of which server and stores the report is, so that its commands are about the same.
    #[must_use]
    pub fn to_advise_on(self, same_server: SameServer) -> Report {
        Report {
            same_server,
            ..self
        }
    }

    /// A command on the same server; nothing, when it `needs_live` and the report is of a dump that
    /// was given: which database belongs to that is not known.
    fn command(&self, needs_live: bool, words: &[&str]) -> Option<String> {
        let same = &self.same_server;
        let is_live = self.catalog.as_ref().is_some_and(|it| it.kind == "live");
        if needs_live && !is_live && same.catalog.is_some() {
            return None;
        }
        let catalog = same.catalog.iter();
        let catalog = catalog.flat_map(|value| ["--catalog", value]);
        let options = same.options.iter().map(String::as_str);
        let words = options.chain(catalog).chain(words.iter().copied());
        let quoted: Vec<String> = ["fogold"].into_iter().chain(words).map(quoted).collect();
        Some(quoted.join(" "))
    }

    /// The command for kinds with one way to mend them.
    fn mend_command(&self, kind: Kind) -> Option<String> {
        let (needs_live, words): (bool, &[&str]) = match kind {
            Kind::WrongMode => (false, &["repair", "--only", "mode", "--apply"]),
            Kind::Orphan | Kind::Unreferenced | Kind::PartialImport | Kind::Abandoned => {
                (true, &["repair", "--only", "quarantine", "--apply"])
            }
            Kind::PartialTree => (true, &["requeue", "--rebuild-trees", "--wait"]),
            _ => return None,
        };
        self.command(needs_live, words)
    }

    /// Whether contents were read: only a command that reads them too sees the same.
    fn reads_contents(&self) -> bool {
        match &self.coverage {
            LookedAt::NewSet(_) => true,
            other => other.repository().is_some_and(|it| it.verify),
        }
    }

    /// The stores that were given; or else one that a finding names.
    fn stores(&self, kind: Kind, findings: &Spool) -> Result<Vec<String>, ReportError> {
        if !self.same_server.stores.is_empty() {
            return Ok(self.same_server.stores.clone());
        }
        for (severity, other, _) in findings.tallies() {
            if other != kind {
                continue;
            }
            for finding in findings.first(severity, kind, MOST_ASKED)? {
                if let (Some(Recovery::Backup), Some(source)) = (finding.recovery, &finding.source)
                    // STORE/pool/aa/bb/<name>
                    && let Some(store) = Path::new(source).ancestors().nth(4)
                {
                    return Ok(vec![store.display().to_string()]);
                }
            }
        }
        Ok(vec!["STORE".to_owned()])
    }
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = !word.is_empty()
        && word
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"/._-+:@%=".contains(&byte));
    if is_plain {
        word.to_owned()
    } else {
        printable(&format!("'{}'", word.replace('\'', "'\\''")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Batch, Finding};
    use crate::report::{Clock, ReportCatalog, ReportCoverage};

    fn report(kind: &str) -> Report {
        let mut report = Report::of_nothing("check", Clock::start()).to_advise_on(SameServer {
            options: vec!["-c".to_owned(), "/srv/my fossology".to_owned()],
            catalog: Some("day.sql".to_owned()),
            stores: vec!["/backup/a".to_owned(), "/backup/b".to_owned()],
        });
        report.coverage = LookedAt::Repository(ReportCoverage {
            verify: true,
            ..ReportCoverage::default()
        });
        report.catalog = Some(ReportCatalog {
            kind: kind.to_owned(),
            origin: String::new(),
            database: None,
            server_version: None,
            taken: None,
            pfiles: 0,
            tree_rows: 0,
            uploads: 0,
            gold: crate::catalog::Amount::default(),
            files: crate::catalog::Amount::default(),
        });
        report
    }

    fn spool(scratch: &Path, findings: &[(Severity, Option<Recovery>)]) -> Spool {
        let spool = Spool::new(scratch).expect("a spool");
        let mut batch = Batch::default();
        for (severity, recovery) in findings {
            let mut finding = Finding::new(Kind::Corrupt, *severity);
            finding.recovery = *recovery;
            finding.source = Some("/elsewhere/pool/aa/bb/name".to_owned());
            batch.push(finding);
        }
        spool.deliver(1, batch).expect("delivered");
        spool
    }

    fn told(report: &Report, spool: &Spool) -> Vec<(String, String)> {
        let advice = what_to_do(report, spool).expect("advice").into_iter();
        advice
            .map(|each| (each.text.into_owned(), each.command.unwrap_or_default()))
            .collect()
    }

    #[test]
    fn each_recovery_that_occurs_has_a_line_and_a_command_for_the_same_server() {
        let scratch = tempfile::tempdir().expect("temporary directory");
        let found = |recovery| (Severity::Recoverable, Some(recovery));
        let spool = spool(
            scratch.path(),
            &[
                found(Recovery::Backup),
                found(Recovery::Backup),
                found(Recovery::Copy),
                found(Recovery::Unpack),
                (Severity::Loss, Some(Recovery::None)),
                (Severity::Waste, Some(Recovery::Copy)),
            ],
        );
        let told = told(&report("dump"), &spool);
        let (texts, commands): (Vec<&str>, Vec<&str>) = told
            .iter()
            .map(|(text, command)| (text.as_str(), command.as_str()))
            .unzip();
        let begins = [
            "1 from a copy in the repository, 2 from a backup: ",
            "1 by unpacking: ",
            "1 with no way known: ",
            "1 that nothing needs: ",
        ];
        assert_eq!(texts.len(), begins.len(), "{texts:?}");
        for (text, begin) in texts.iter().zip(begins) {
            assert!(text.starts_with(begin), "{text}");
        }
        let same = "fogold -c '/srv/my fossology' --catalog day.sql";
        let put_back = format!(
            "{same} repair --verify --from /backup/a --from /backup/b --only put-back --apply"
        );
        // Which live database belongs to a dump is not known.
        assert_eq!(commands, [&put_back, "", "", ""]);

        let told = self::told(&report("live"), &spool);
        let commands: Vec<&str> = told.iter().map(|(_, command)| command.as_str()).collect();
        let requeue = format!("{same} requeue --verify --wait");
        let quarantine = format!("{same} repair --verify --only quarantine --apply");
        assert_eq!(commands, [&put_back, &requeue, "", &quarantine]);
    }

    #[test]
    fn a_store_that_was_not_named_is_that_of_a_finding() {
        let scratch = tempfile::tempdir().expect("temporary directory");
        let spool = spool(
            scratch.path(),
            &[(Severity::Recoverable, Some(Recovery::Backup))],
        );
        let report = report("live").to_advise_on(SameServer::default());
        let command = &told(&report, &spool)[0].1;
        assert_eq!(
            command,
            "fogold repair --verify --from /elsewhere --only put-back --apply"
        );
    }
}
