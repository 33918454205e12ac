//! The report of `fogold verify`: what was looked at of a store.

use std::io::{self, Write};

use serde::Serialize;

use super::number::{counted, grouped};
use super::text::{printable, read};
use super::{Clock, LookedAt, Report};
use crate::catalog::Amount;
use crate::check::Severity;
use crate::store::Store;
use crate::store::verify::{Options, SetCoverage, State, Verified};

/// What was looked at of a store, as reports say it.
#[derive(Clone, Debug, Serialize)]
pub struct StoreCoverage {
    /// The store's directory.
    pub store: String,
    /// Its id.
    pub store_id: String,
    /// The sets, in time order.
    pub sets: Vec<SetCoverage>,
    /// Contents that the sets name, each once.
    pub named: Amount,
    /// Contents that were found with the right length.
    pub found: Amount,
    /// Which part of the contents was asked for.
    pub slice: String,
    /// Contents that were to be read.
    pub to_read: Amount,
    /// Contents that were read.
    pub read: Amount,
    /// The shards that were looked at completely.
    pub shards_complete: Vec<String>,
    /// Why not everything could be looked at.
    pub troubles: Vec<String>,
}

impl Report {
    /// The report of a verification. Damage of any kind is exit status 1; where no set could be looked
    /// at, for all are of a newer format, it is 2.
    pub fn of_verify(
        verified: &Verified,
        store: &Store,
        options: &Options,
        clock: Clock,
    ) -> Report {
        let mut report = Report::blank("verify", clock);
        report.complete = verified.is_complete();
        report.count(&verified.findings);
        let is_damaged = !verified.findings.tallies().is_empty();
        report.exit_status = match (verified.complete, verified.newer.is_empty()) {
            (true, true) => u8::from(is_damaged),
            (true, false) if verified.newer.len() == verified.coverage.sets.len() => 2,
            _ => 3,
        };
        let coverage = StoreCoverage::of(verified, store, options);
        report.verdict = report.verify_verdict(&coverage);
        report.coverage = LookedAt::Store(coverage);
        report
    }

    /// One sentence about the whole. It claims no more than was looked at.
    fn verify_verdict(&self, coverage: &StoreCoverage) -> String {
        let damaged: u64 = self.counts.values().sum();
        let sets = match &coverage.sets[..] {
            [one] => format!("set {}", one.id),
            several => format!("{} sets", several.len()),
        };
        let state = match damaged {
            0 => "nothing is missing or damaged".to_owned(),
            damaged => counted(damaged, "finding"),
        };
        let state = if self.complete {
            state
        } else if coverage.shards_complete.len() < 256 {
            format!(
                "not everything was looked at ({} of 256 parts were); in these {state}",
                coverage.shards_complete.len()
            )
        } else {
            format!("not every set could be read whole; in the rest {state}")
        };
        let word = if !self.complete {
            "INCOMPLETE"
        } else if self.severities[Severity::Loss.as_str()] > 0 {
            "LOSS"
        } else if damaged > 0 {
            "DAMAGED"
        } else {
            "OK"
        };
        let slice = if coverage.slice == "1/1" {
            String::new()
        } else {
            format!(": slice {}", coverage.slice)
        };
        format!(
            "{word}: {state}. {sets}, {} of {} found, contents of {} read{slice}",
            grouped(coverage.found.files),
            counted(coverage.named.files, "file"),
            grouped(coverage.read.files),
        )
    }
}

impl StoreCoverage {
    fn of(verified: &Verified, store: &Store, options: &Options) -> StoreCoverage {
        let coverage = &verified.coverage;
        StoreCoverage {
            store: store.path().display().to_string(),
            store_id: store.id().to_owned(),
            sets: coverage.sets.clone(),
            named: coverage.named,
            found: coverage.found,
            slice: options.slice.to_string(),
            to_read: coverage.to_read,
            read: coverage.read,
            shards_complete: verified
                .complete_shards
                .iter()
                .map(ToString::to_string)
                .collect(),
            troubles: verified.troubles.clone(),
        }
    }

    /// What was looked at, for people.
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "  store     {}", printable(&self.store))?;
        for set in &self.sets {
            writeln!(
                out,
                "  set       {}: {}; manifest {}, dump {}, other files {}, gold of the manifest against the dump: {}",
                set.id,
                counted(set.entries, "file"),
                word(set.manifest),
                word(set.dump),
                word(set.others),
                match set.agreement {
                    State::Unread => "not compared",
                    State::Good => "the same",
                    State::Damaged => "not the same",
                }
            )?;
        }
        read(self.read, out)?;
        for trouble in &self.troubles {
            writeln!(out, "  not read  {}", printable(trouble))?;
        }
        Ok(())
    }

    /// What to do about findings in a store.
    pub(super) fn what_to_do(&self) -> Vec<&'static str> {
        let mut lines = vec![
            "Look after the storage first. What is missing or damaged in pool/ is copied again by the next 'fogold \
             backup', where the repository still has it; what it has not, a copy of the store may have. Restore takes \
             a good copy in the repository in its place, and names what it cannot bring back.",
        ];
        if self.sets.iter().any(SetCoverage::is_damaged) {
            lines.push(
                "What is damaged in sets/ cannot be mended: bring the file back from a copy of the store, or make \
                 another set and move this one out of the store.",
            );
        }
        lines
    }
}

fn word(state: State) -> &'static str {
    match state {
        State::Unread => "not read",
        State::Good => "good",
        State::Damaged => "damaged",
    }
}
