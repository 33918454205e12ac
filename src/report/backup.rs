//! The report of `fogold backup`: the set that was made.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;

use super::number::{bytes_for_people, counted, grouped};
use super::text::{printable, read, tree};
use super::{
    AcceptedFindings, ByHost, Clock, LookedAt, Report, listed, report_catalog, upload_names,
};
use crate::catalog::Amount;
use crate::check::{FailOn, Matches, Severity};
use crate::monitor::Silent;
use crate::store::backup::Made;
use crate::store::record::LEFT_WITHOUT_GOLD;
use crate::store::{SetRecord, Store};

/// A set that was made, as reports say it.
#[derive(Clone, Debug, Serialize)]
pub struct NewSet {
    /// The store's directory.
    pub store: String,
    /// How many finished sets the store holds now.
    pub sets_in_store: u64,
    /// The set's record, without the list of findings: they stand in the report.
    pub set: SetRecord,
    /// Gold in the set that `--url-gold skip` would leave out.
    pub skip_would_save: Amount,
    /// Files of the repository listed in their place; where that lies is in the set's `source`.
    pub listed: BTreeMap<&'static str, Amount>,
    /// The same by host and type.
    pub listed_by_host: ByHost,
    /// Directories of the repository listed.
    pub directories: u64,
    /// Files of the repository whose contents were read: those that the store did not have.
    pub read: Amount,
    /// The shards that were looked at completely.
    pub shards_complete: Vec<String>,
}

impl Report {
    /// The report of a backup that finished its set.
    pub fn of_backup(
        made: &Made,
        accepted: Option<&Matches>,
        store: &Store,
        clock: Clock,
    ) -> Report {
        let mut report = Report::blank("backup", clock);
        report.complete = made.record.complete;
        report.count(&made.findings);
        report.accepted = accepted.map(|matches| AcceptedFindings::of(matches, &made.findings));
        // The set's own copy was read, under a name that it has no more.
        report.catalog = Some(super::ReportCatalog {
            origin: made.origin.clone(),
            ..report_catalog(&made.catalog)
        });
        report.upload_names = upload_names(&made.catalog);
        let default = FailOn::Severity(Severity::Recoverable);
        report.exit_status = if made.record.complete {
            let lacks = made.record.counts.left_out(LEFT_WITHOUT_GOLD).files > 0;
            u8::from(made.findings.fails(default) || (lacks && !report.accepts_every_loss()))
        } else {
            3
        };
        let mut set = made.record.clone();
        set.findings.list.clear();
        let new = NewSet {
            store: store.path().display().to_string(),
            // The new one is there, whatever else cannot be listed.
            sets_in_store: store
                .list(&Silent)
                .map_or(1, |listed| listed.finished.len() as u64),
            set,
            skip_would_save: made.skip_would_save,
            listed: listed(&made.coverage),
            listed_by_host: made.coverage.hosts.clone(),
            directories: made.coverage.directories,
            read: made.coverage.read,
            shards_complete: made
                .complete_shards
                .iter()
                .map(ToString::to_string)
                .collect(),
        };
        report.verdict = report.backup_verdict(&new);
        report.coverage = LookedAt::NewSet(Box::new(new));
        report
    }

    /// Whether losses were accepted and no other is there: then so is what comes of them.
    fn accepts_every_loss(&self) -> bool {
        let accepted = self.accepted.as_ref();
        self.severity(Severity::Loss) == 0 && accepted.is_some_and(AcceptedFindings::have_losses)
    }

    /// One sentence about the set.
    fn backup_verdict(&self, new: &NewSet) -> String {
        let counts = &new.set.counts;
        let (loss, recoverable) = (
            self.severity(Severity::Loss),
            self.severity(Severity::Recoverable),
        );
        let accepted = self.accepted.as_ref();
        let accepts_damage = accepted.is_some_and(AcceptedFindings::are_severe);
        let accepted = accepted.map_or(String::new(), AcceptedFindings::in_verdict);
        let state = match (loss, recoverable) {
            (0, 0) if accepts_damage => {
                "nothing else that it should hold is missing or damaged".to_owned()
            }
            (0, 0) => "nothing that it should hold is missing or damaged".to_owned(),
            (0, n) => format!("{} to recover on the server, nothing is lost", grouped(n)),
            (n, 0) => format!("{} lost", grouped(n)),
            (n, m) => format!("{} lost, {} to recover", grouped(n), grouped(m)),
        };
        let word = if !self.complete {
            "INCOMPLETE"
        } else if loss > 0 {
            "LOSS"
        } else if recoverable > 0 {
            "DAMAGED"
        } else {
            "OK"
        };
        let without_gold = match new.without_gold().files {
            0 => String::new(),
            1 => "; 1 derived file is not in it, and no unpacking brings it back".to_owned(),
            n => format!(
                "; {} derived files are not in it, and no unpacking brings them back",
                grouped(n)
            ),
        };
        let unseen = if self.complete {
            ""
        } else {
            "; some directories could not be read, and what lies below them is not in the set; or the \
             database could not be asked again about what is missing"
        };
        format!(
            "{word}: set {} is finished: {}, {}, of which {} ({}) {} new; {state}{accepted}{without_gold}{unseen}",
            new.set.id,
            counted(counts.pool.files, "file"),
            bytes_for_people(counts.pool.bytes),
            grouped(counts.new.files),
            bytes_for_people(counts.new.bytes),
            if counts.new.files == 1 { "is" } else { "are" },
        )
    }
}

impl NewSet {
    /// Derived files that the set leaves out and that no unpacking brings back.
    pub(super) fn without_gold(&self) -> Amount {
        self.set.counts.left_out(LEFT_WITHOUT_GOLD)
    }

    /// What the set holds, for people.
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let counts = &self.set.counts;
        let dump = &self.set.dump;
        let source = &self.set.source;
        tree(&source.repository, source.depth, &self.listed, out)?;
        read(self.read, out)?;
        writeln!(out, "  store     {}", printable(&self.store))?;
        writeln!(
            out,
            "  database  {}: {}, {}{}",
            printable(&dump.file.file),
            dump.form,
            bytes_for_people(dump.file.bytes),
            if self.set.globals.is_some() {
                "; roles in globals.sql"
            } else {
                "; without roles: they must be made by hand on another server"
            }
        )?;
        for (what, amount) in [
            ("gold", counts.gold),
            ("files", counts.files),
            ("listings", counts.listings),
            ("license", counts.license),
        ] {
            if amount.files > 0 {
                let why = if what == "listings" {
                    " (unpacking does not bring them back)"
                } else {
                    ""
                };
                line(what, amount, why, out)?;
            }
        }
        if let Some(logs) = &self.set.logs {
            line("logs", logs.packed, "", out)?;
        }
        for left_out in &counts.left_out {
            let amount = Amount {
                files: left_out.files,
                bytes: left_out.bytes,
            };
            line("left out", amount, &format!(": {}", left_out.reason), out)?;
        }
        if self.skip_would_save.files > 0 {
            line(
                "urls",
                self.skip_would_save,
                " of gold could be fetched again: --url-gold skip would leave it out",
                out,
            )?;
        }
        Ok(())
    }
}

/// What to do about derived files that a gold-only set leaves out and that no unpacking brings back.
pub(super) const MEND_WITHOUT_GOLD: &str = "make a full set, or mend the gold first";

fn line(what: &str, amount: Amount, why: &str, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "  {what:<9} {}, {}{why}",
        counted(amount.files, "file"),
        bytes_for_people(amount.bytes)
    )
}
