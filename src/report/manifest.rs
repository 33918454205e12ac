//! What a set would hold and leave out, as a table for people and as an object for programs.

use std::io::{self, Write};

use serde::Serialize;

use super::backup::MEND_WITHOUT_GOLD;
use super::number::{bytes_for_people, counted, grouped};
use super::{Clock, Format, History, LookedAt, Report, ReportError, Style};
use crate::catalog::Amount;
use crate::check::{Kind, Outcome};
use crate::manifest::formats::bagit::Bag;
use crate::manifest::{Amounts, SetKind, UrlGold};

/// What came of making a manifest.
#[derive(Clone, Debug, Serialize)]
pub struct ManifestReport {
    /// `fogold`
    pub tool: &'static str,
    /// The program's version.
    pub version: &'static str,
    /// `manifest`
    pub command: &'static str,
    /// Everything was looked at, and the manifest was written.
    pub complete: bool,
    /// The exit status that goes with the report.
    pub exit_status: u8,
    /// When the run began, RFC 3339.
    pub started: String,
    /// How long it took.
    pub seconds: f64,
    /// What the set is to bring back.
    pub kind: SetKind,
    /// What became of gold that can be fetched again.
    pub url_gold: UrlGold,
    /// What the set holds and leaves out.
    pub amounts: Amounts,
    /// Files in the tree that no row knows: never in a set.
    pub orphans: Amount,
    /// Files that were there when the tree was listed, and could not be taken: gone since, or not
    /// what their names promise.
    pub not_taken: Vec<NotTaken>,
    /// How many of these there are.
    pub not_taken_files: u64,
}

/// A file that could not be taken.
#[derive(Clone, Debug, Serialize)]
pub struct NotTaken {
    /// Its name.
    pub name: String,
    /// Where it should be.
    pub path: String,
    /// What is wrong with it.
    pub detail: String,
}

/// At most so many files that could not be taken are named.
const MOST_NOT_TAKEN: usize = 20;

impl ManifestReport {
    /// The report of a manifest that was collected, and is yet to be written.
    pub fn new(
        kind: SetKind,
        url_gold: UrlGold,
        amounts: &Amounts,
        outcome: &Outcome,
        clock: Clock,
    ) -> ManifestReport {
        let mut orphans = Amount::default();
        for (_, kind, tally) in outcome.findings.tallies() {
            if kind == Kind::Orphan {
                orphans += Amount {
                    files: tally.findings,
                    bytes: tally.bytes,
                };
            }
        }
        ManifestReport {
            tool: "fogold",
            version: env!("CARGO_PKG_VERSION"),
            command: "manifest",
            complete: outcome.complete,
            exit_status: 0,
            started: clock.text(),
            seconds: 0.0,
            kind,
            url_gold,
            amounts: amounts.clone(),
            orphans,
            not_taken: Vec::new(),
            not_taken_files: 0,
        }
    }

    /// Notes what was left out of a bag.
    pub fn note_bag(&mut self, bag: &Bag) {
        self.amounts.take_out(&bag.lacking);
        self.not_taken_files += bag.unproven.len() as u64;
        let first = bag.unproven.iter().take(MOST_NOT_TAKEN);
        self.not_taken.extend(first.map(|file| NotTaken {
            name: file.name.to_string(),
            path: crate::check::path_text(&file.path).0,
            detail: file.detail.clone(),
        }));
    }

    /// Notes files that had gone when a list was written.
    pub fn note_gone(&mut self, files: u64) {
        self.not_taken_files += files;
    }

    /// Sets what goes with the end of the run.
    pub fn finish(&mut self, exit_status: u8, clock: Clock) {
        self.exit_status = exit_status;
        self.seconds = clock.seconds();
    }

    /// Files that neither the set nor unpacking brings back, and that are no listings: nothing
    /// needs to be done about a listing.
    pub fn lacking(&self) -> u64 {
        let left_out = &self.amounts.left_out;
        left_out.gold_not_found.files
            + left_out.files_not_found.files
            + left_out.without_gold.files
            + self.not_taken_files
    }

    /// Writes the table in the form of a file's ending.
    pub fn write(
        &self,
        format: Format,
        history: &History,
        out: &mut dyn Write,
    ) -> Result<(), ReportError> {
        match format {
            Format::Text => self.write_text(out),
            Format::Json => self.write_json(out),
            Format::Ndjson => {
                serde_json::to_writer(&mut *out, self).map_err(io::Error::from)?;
                Ok(writeln!(out)?)
            }
            Format::Html | Format::Prometheus => super::write(
                &Report::of_manifest(self),
                None,
                format,
                Style::default(),
                history,
                out,
            ),
        }
    }

    /// Amounts in the set, by what they are; there may be none of it.
    pub(super) fn in_set(&self) -> [(&'static str, Amount); 4] {
        [
            ("gold", self.amounts.gold),
            ("files", self.amounts.files),
            ("listings", self.amounts.listings),
            ("license", self.amounts.license),
        ]
    }

    /// What is left out, by why.
    pub(super) fn left_out(&self) -> [(&'static str, Amount); 4] {
        let left_out = &self.amounts.left_out;
        [
            ("can be fetched again", left_out.fetched),
            ("unpacking brings it back", left_out.unpacked),
            ("no upload uses it", left_out.unused),
            ("no row knows it", self.orphans),
        ]
    }

    /// What should be in the set and cannot be had.
    pub(super) fn not_had(&self) -> [(&'static str, Amount); 4] {
        let left_out = &self.amounts.left_out;
        [
            ("gold, missing or damaged", left_out.gold_not_found),
            ("listings, missing or damaged", left_out.listings_not_found),
            ("other files, missing or damaged", left_out.files_not_found),
            ("derived files without gold", left_out.without_gold),
        ]
    }

    /// What the set holds and does not, for people.
    pub(super) fn write_coverage(&self, out: &mut dyn Write) -> io::Result<()> {
        for (what, amounts) in [
            ("in it", self.in_set()),
            ("left out", self.left_out()),
            ("not had", self.not_had()),
        ] {
            for (why, amount) in amounts.into_iter().filter(|(_, amount)| amount.files > 0) {
                let files = counted(amount.files, "file");
                let bytes = bytes_for_people(amount.bytes);
                writeln!(out, "  {what:<9} {files}, {bytes}: {why}")?;
            }
        }
        Ok(())
    }

    /// Writes the object for programs.
    pub fn write_json(&self, out: &mut dyn Write) -> Result<(), ReportError> {
        serde_json::to_writer_pretty(&mut *out, self).map_err(io::Error::from)?;
        Ok(writeln!(out)?)
    }

    /// Writes the table for people.
    pub fn write_text(&self, out: &mut dyn Write) -> Result<(), ReportError> {
        let held = self.amounts.held();
        writeln!(
            out,
            "A {} set holds {}, {}.",
            self.kind,
            counted(held.files, "file"),
            bytes_for_people(held.bytes)
        )?;
        let amounts = &self.amounts;
        let left_out = &amounts.left_out;
        let mut table = Table::default();
        table.title("in the set");
        table.always("gold", amounts.gold);
        match self.kind {
            SetKind::GoldOnly => {
                table.always(
                    "listings, which no unpacking writes again",
                    amounts.listings,
                );
            }
            SetKind::Full => {
                table.always("derived files", amounts.files);
                table.always("listings", amounts.listings);
                table.always("license/", amounts.license);
            }
        }
        if self.kind == SetKind::GoldOnly {
            table.sometimes("derived files", amounts.files);
        }
        table.title("left out");
        table.always("gold that can be fetched again", left_out.fetched);
        if self.kind == SetKind::GoldOnly {
            table.always(
                "derived files that unpacking brings back",
                left_out.unpacked,
            );
            table.sometimes(
                "derived files without gold, which no unpacking brings back",
                left_out.without_gold,
            );
            table.always("files that no upload uses", left_out.unused);
        }
        table.always("orphans: no row knows them", self.orphans);
        table.title("not found: see fogold check");
        table.always("gold, missing or damaged", left_out.gold_not_found);
        table.always("listings, missing or damaged", left_out.listings_not_found);
        table.always("other files, missing or damaged", left_out.files_not_found);
        table.write(out)?;
        if left_out.without_gold.files > 0 {
            writeln!(
                out,
                "\nWithout gold, no unpacking brings back {}, {}: {MEND_WITHOUT_GOLD}.",
                counted(left_out.without_gold.files, "derived file"),
                bytes_for_people(left_out.without_gold.bytes)
            )?;
        }
        if self.url_gold != UrlGold::Skip && amounts.skip_would_save.files > 0 {
            writeln!(
                out,
                "\n--url-gold skip would leave out {} more, {}: gold that can be fetched again from its URL.",
                counted(amounts.skip_would_save.files, "file"),
                bytes_for_people(amounts.skip_would_save.bytes)
            )?;
        }
        self.write_not_taken(out)
    }

    fn write_not_taken(&self, out: &mut dyn Write) -> Result<(), ReportError> {
        if self.not_taken_files == 0 {
            return Ok(());
        }
        writeln!(
            out,
            "\n{} could not be taken: gone since the tree was listed, or not what the name promises.",
            counted(self.not_taken_files, "file")
        )?;
        for file in &self.not_taken {
            writeln!(
                out,
                "  {}: {}",
                super::text::printable(&file.path),
                file.detail
            )?;
        }
        let named = self.not_taken.len() as u64;
        if named > 0 && self.not_taken_files > named {
            writeln!(out, "  and {} more", grouped(self.not_taken_files - named))?;
        }
        Ok(())
    }
}

impl Report {
    /// The table of a manifest, as a report without findings: these are the check's.
    pub fn of_manifest(manifest: &ManifestReport) -> Report {
        let held = manifest.amounts.held();
        let holds = format!(
            "a {} set holds {}, {}",
            manifest.kind,
            counted(held.files, "file"),
            bytes_for_people(held.bytes)
        );
        Report {
            verdict: match manifest.lacking() {
                0 => format!("OK: {holds}"),
                lacking => format!(
                    "DAMAGED: {holds}; {} that it should hold cannot be had: see fogold check",
                    counted(lacking, "file")
                ),
            },
            complete: manifest.complete,
            exit_status: manifest.exit_status,
            started: manifest.started.clone(),
            seconds: manifest.seconds,
            coverage: LookedAt::Manifest(Box::new(manifest.clone())),
            ..Report::blank("manifest", Clock::start())
        }
    }
}

/// Amounts below each other.
#[derive(Default)]
pub(super) struct Table(Vec<(String, Option<Amount>)>);

impl Table {
    pub(super) fn title(&mut self, title: &str) {
        self.0.push((title.to_owned(), None));
    }

    pub(super) fn always(&mut self, what: &str, amount: Amount) {
        self.0.push((format!("  {what}"), Some(amount)));
    }

    pub(super) fn sometimes(&mut self, what: &str, amount: Amount) {
        if amount.files > 0 {
            self.always(what, amount);
        }
    }

    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let amounts = || self.0.iter().filter_map(|(_, amount)| *amount);
        let wide = |text: usize| text.max(5);
        let what = self.0.iter().map(|(what, _)| what.len()).max().unwrap_or(0);
        let count = wide(amounts().map(|a| grouped(a.files).len()).max().unwrap_or(0));
        let bytes = wide(
            amounts()
                .map(|a| bytes_for_people(a.bytes).len())
                .max()
                .unwrap_or(0),
        );
        for (text, amount) in &self.0 {
            match amount {
                None => writeln!(
                    out,
                    "\n{text:<what$}  {:>count$}  {:>bytes$}",
                    "files", "bytes"
                )?,
                Some(amount) => writeln!(
                    out,
                    "{text:<what$}  {:>count$}  {:>bytes$}",
                    grouped(amount.files),
                    bytes_for_people(amount.bytes)
                )?,
            }
        }
        Ok(())
    }
}
