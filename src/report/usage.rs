//! The report of `fogold usage`: who has how much of the repository.

use std::io::{self, Write};

use serde::Serialize;

use super::manifest::Table;
use super::number::{bytes_for_people, counted, grouped};
use super::text::printable;
use super::{Clock, ReportCatalog, ReportError, report_catalog};
use crate::catalog::Catalog;
use crate::figures::OnDisk;
use crate::figures::usage::{By, Counted, Order, Usage};

/// At most so many temporary trees are named for people.
const MOST_TREES: usize = 20;

/// Who has how much, as text, as an object and as a table for other programs.
#[derive(Clone, Debug, Serialize)]
pub struct UsageReport {
    /// `fogold`
    pub tool: &'static str,
    /// The program's version.
    pub version: &'static str,
    /// `usage`
    pub command: &'static str,
    /// Everything that was asked for was looked at.
    pub complete: bool,
    /// The exit status that goes with the report.
    pub exit_status: u8,
    /// When the run began, RFC 3339.
    pub started: String,
    /// How long it took.
    pub seconds: f64,
    /// What the groups are in order by.
    pub sort: Order,
    /// How many groups there are; those that were not asked for are not in `groups`.
    pub groups_total: u64,
    /// What was counted.
    #[serde(flatten)]
    pub usage: Usage,
    /// What it was counted by.
    pub catalog: ReportCatalog,
}

impl UsageReport {
    /// The report of what was counted: the first `top` groups in order.
    pub fn new(
        mut usage: Usage,
        sort: Order,
        top: Option<usize>,
        catalog: &Catalog,
        clock: Clock,
    ) -> UsageReport {
        usage.sort(sort);
        let groups_total = usage.groups.len() as u64;
        usage.groups.truncate(top.unwrap_or(usize::MAX));
        UsageReport {
            tool: "fogold",
            version: env!("CARGO_PKG_VERSION"),
            command: "usage",
            complete: usage.on_disk.as_ref().is_none_or(|disk| disk.complete),
            exit_status: 0,
            started: clock.text(),
            seconds: 0.0,
            sort,
            groups_total,
            usage,
            catalog: report_catalog(catalog),
        }
    }

    /// Sets what goes with the end of the run.
    pub fn finish(&mut self, exit_status: u8, clock: Clock) {
        self.exit_status = exit_status;
        self.seconds = clock.seconds();
    }

    /// Writes the object for programs.
    pub fn write_json(&self, out: &mut dyn Write) -> Result<(), ReportError> {
        serde_json::to_writer_pretty(&mut *out, self).map_err(io::Error::from)?;
        Ok(writeln!(out)?)
    }

    /// Writes a line a group, as spreadsheets read it.
    pub fn write_csv(&self, out: &mut dyn Write) -> Result<(), ReportError> {
        let mut table = csv::Writer::from_writer(out);
        let by = self.usage.by.as_str();
        let columns = [
            by,
            "name",
            "uploads",
            "own_files",
            "own_bytes",
            "shared_files",
            "shared_bytes",
            "total_files",
            "total_bytes",
            "frees_bytes",
        ];
        table.write_record(columns).map_err(io::Error::from)?;
        let maybe = |number: Option<u64>| number.map_or_else(String::new, |n| n.to_string());
        for Counted { group, share } in &self.usage.groups {
            let record = [
                group.id.map_or_else(String::new, |id| id.to_string()),
                as_text(printable(&group.name)),
                maybe(group.uploads),
                share.own.files.to_string(),
                share.own.bytes.to_string(),
                share.shared.files.to_string(),
                share.shared.bytes.to_string(),
                share.total.files.to_string(),
                share.total.bytes.to_string(),
                maybe(share.frees),
            ];
            table.write_record(record).map_err(io::Error::from)?;
        }
        Ok(table.flush()?)
    }

    /// Writes the table for people.
    pub fn write_text(&self, out: &mut dyn Write) -> Result<(), ReportError> {
        let all = self.usage.all;
        writeln!(
            out,
            "Uploads refer to {}, {}; each counts once, however often it stands on disk.\n",
            counted(all.files, "content"),
            bytes_for_people(all.bytes)
        )?;
        self.write_groups(out)?;
        if let Some(disk) = &self.usage.on_disk {
            write_disk(disk, out)?;
        } else if self.usage.unused.files > 0 {
            writeln!(
                out,
                "\nRows of pfile that no upload refers to name {} more, {}.",
                counted(self.usage.unused.files, "content"),
                bytes_for_people(self.usage.unused.bytes)
            )?;
        }
        Ok(())
    }

    fn write_groups(&self, out: &mut dyn Write) -> io::Result<()> {
        let by = self.usage.by;
        let frees = self.usage.on_disk.is_some();
        let mut heads = vec!["own", "shared", "total"];
        heads.extend(frees.then_some("frees"));
        heads.extend(matches!(by, By::User | By::Folder).then_some("uploads"));
        heads.extend((by != By::Type).then_some("id"));
        let mut lines = vec![heads.into_iter().map(str::to_owned).collect::<Vec<_>>()];
        for Counted { group, share } in &self.usage.groups {
            let mut line = vec![
                bytes_for_people(share.own.bytes),
                bytes_for_people(share.shared.bytes),
                bytes_for_people(share.total.bytes),
            ];
            line.extend(frees.then(|| bytes_for_people(share.frees.unwrap_or(0))));
            if matches!(by, By::User | By::Folder) {
                line.push(grouped(group.uploads.unwrap_or(0)));
            }
            if by != By::Type {
                line.push(group.id.map_or_else(|| "-".to_owned(), |id| id.to_string()));
            }
            lines.push(line);
        }
        let wide: Vec<usize> = (0..lines[0].len())
            .map(|column| {
                let cells = lines.iter().map(|line| line[column].len());
                cells.max().unwrap_or(0)
            })
            .collect();
        let names = self.usage.groups.iter().map(|counted| &counted.group.name);
        let names = names.map(|name| printable(name));
        for (line, name) in lines
            .iter()
            .zip(std::iter::once(by.to_string()).chain(names))
        {
            for (cell, wide) in line.iter().zip(&wide) {
                write!(out, "{cell:>wide$}  ")?;
            }
            writeln!(out, "{name}")?;
        }
        let left = self.groups_total - self.usage.groups.len() as u64;
        if left > 0 {
            writeln!(out, "and {} (--top)", counted(left, &format!("more {by}")))?;
        }
        Ok(())
    }
}

/// A name as a cell that no spreadsheet takes for a formula: whoever uploads chooses the name.
fn as_text(name: String) -> String {
    match name.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        true => format!("'{name}"),
        false => name,
    }
}

/// What the tree holds, and what of it could go.
pub(super) fn write_disk(disk: &OnDisk, out: &mut dyn Write) -> io::Result<()> {
    let mut table = Table::default();
    table.title("on disk");
    table.always("gold/", disk.gold);
    table.always("files/", disk.files);
    table.title("what could go: no upload needs it (fogold check names it)");
    table.always("files that no row knows", disk.orphans);
    table.always("files whose row no upload refers to", disk.unreferenced);
    table.sometimes("left by interrupted imports", disk.partial_imports);
    table.sometimes("superfluous copies in wrong places", disk.misplaced);
    table.always("abandoned temporary trees", disk.in_temporary_trees(true));
    table.sometimes("license/, a relic of FOSSology 1", disk.license);
    table.title("what could be one inode");
    table.always("gold that stands in files once more", disk.twice);
    table.write(out)?;
    if !disk.temporary.is_empty() {
        writeln!(out, "\ntemporary trees")?;
    }
    for tree in disk.temporary.iter().take(MOST_TREES) {
        writeln!(
            out,
            "  {}: {}, {}{}",
            printable(&tree.path),
            counted(tree.amount.files, "file"),
            bytes_for_people(tree.amount.bytes),
            if tree.abandoned {
                ", no job can need it any more"
            } else {
                ", a job may be working in it"
            }
        )?;
    }
    let more = disk.temporary.len().saturating_sub(MOST_TREES) as u64;
    if more > 0 {
        writeln!(out, "  and {} more", grouped(more))?;
    }
    if !disk.complete {
        writeln!(
            out,
            "\nNot everything could be looked at: 'fogold check' says where."
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_no_formula() {
        for name in [
            "=1+cmd|'/C calc'!A0",
            "+1",
            "-1",
            "@SUM(A1)",
            "\t=1",
            "\r=1",
        ] {
            assert_eq!(as_text(name.to_owned()), format!("'{name}"));
        }
        for name in ["", "a=1.tar", "'quoted'", "1-2.zip"] {
            assert_eq!(as_text(name.to_owned()), name);
        }
    }
}
