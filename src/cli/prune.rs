//! `fogold prune`: take sets out of a store.

use std::io::Write;
use std::path::PathBuf;

use serde::Serialize;

use super::error::Failure;
use super::past::Past;
use super::progress::Progress;
use super::sets::{ListFormat, print_json};
use super::{Global, exit};
use crate::catalog::Amount;
use crate::report::{Clock, bytes_for_people, counted, grouped, printable};
use crate::store::Store;
use crate::store::prune::{self, Options, Pruned};
use crate::store::retention::{Apart, Keep};

/// Take sets out of a store, and the contents that no other set needs
///
/// Without --apply it only shows which sets would go, which would stay and why, and how much room
/// that makes. Sets of each kind are counted by themselves, in UTC. So are, within a kind, sets that
/// are damaged (a verify has found it, or a file of theirs is missing or short), sets that are not
/// complete (not everything could be read when they were made), and sets whose date lies in the
/// future: the rules count them among themselves, and none of them makes an ordinary set go. The
/// newest set that 'fogold verify' found good as a whole always stays, and so do the files of a
/// backup that was interrupted and will go on. Nothing is deleted when any manifest cannot be read
/// whole.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// The store
    store: PathBuf,
    #[command(flatten)]
    keep: KeepArguments,
    /// Delete; without it, only show what would be deleted
    #[arg(long)]
    apply: bool,
    /// The form of the table
    #[arg(long, value_enum, default_value = "text")]
    format: ListFormat,
}

/// What to keep. At least one must be given.
#[derive(clap::Args, Debug)]
#[group(required = true, multiple = true)]
struct KeepArguments {
    /// Keep the last N sets
    #[arg(long, value_name = "N", value_parser = count())]
    keep_last: Option<u32>,
    /// Keep the last set of each of the last N hours that have one
    #[arg(long, value_name = "N", value_parser = count())]
    keep_hourly: Option<u32>,
    /// Keep the last set of each of the last N days that have one
    #[arg(long, value_name = "N", value_parser = count())]
    keep_daily: Option<u32>,
    /// Keep the last set of each of the last N weeks (from Monday) that have one
    #[arg(long, value_name = "N", value_parser = count())]
    keep_weekly: Option<u32>,
    /// Keep the last set of each of the last N months that have one
    #[arg(long, value_name = "N", value_parser = count())]
    keep_monthly: Option<u32>,
    /// Keep the last set of each of the last N years that have one
    #[arg(long, value_name = "N", value_parser = count())]
    keep_yearly: Option<u32>,
}

/// A rule that keeps nothing is none.
fn count() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..)
}

impl KeepArguments {
    fn keep(&self) -> Keep {
        Keep {
            last: self.keep_last.unwrap_or(0),
            hourly: self.keep_hourly.unwrap_or(0),
            daily: self.keep_daily.unwrap_or(0),
            weekly: self.keep_weekly.unwrap_or(0),
            monthly: self.keep_monthly.unwrap_or(0),
            yearly: self.keep_yearly.unwrap_or(0),
        }
    }
}

#[derive(Serialize)]
struct Table {
    tool: &'static str,
    version: &'static str,
    command: &'static str,
    store: String,
    store_id: String,
    applied: bool,
    sets: Vec<Line>,
    partial: Vec<String>,
    resumed: Vec<String>,
    contents: Amount,
    halves: Amount,
    own_files: Amount,
    freed_bytes: u64,
    contents_kept: u64,
    foreign: u64,
}

#[derive(Serialize)]
struct Line {
    id: String,
    kept: bool,
    because: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    apart: Option<&'static str>,
}

impl Line {
    /// Why the set stays, and what is said of one that is counted apart.
    fn because(&self) -> String {
        let mut because = self.because.join(", ");
        if let Some(apart) = self.apart {
            if !because.is_empty() {
                because.push_str("; ");
            }
            because.push_str(apart);
            because.push_str(": counted apart");
        }
        because
    }
}

pub(super) fn run(
    global: &Global,
    arguments: &Arguments,
    progress: &Progress,
) -> Result<u8, Failure> {
    let clock = Clock::start();
    let past = Past::read(global, progress)?;
    let pruned = attempt(global, arguments, progress);
    // To show what would go is no run that others go by.
    if arguments.apply {
        let added = past.add_ended("prune", &arguments.store, clock, &pruned);
        if pruned.is_ok() {
            added?;
        }
    }
    pruned.map(|(status, _)| status)
}

/// Prunes and prints the table; gives the exit status and what came of it.
fn attempt(
    global: &Global,
    arguments: &Arguments,
    progress: &Progress,
) -> Result<(u8, String), Failure> {
    let store = if arguments.apply {
        Store::open(&arguments.store)?
    } else {
        Store::open_read_only(&arguments.store)?
    };
    let options = Options {
        keep: arguments.keep.keep(),
        apply: arguments.apply,
        threads: global.threads(),
        scratch: global.scratch.clone(),
    };
    let pruned = prune::run(&store, &options, progress)?;
    progress.finish();
    let table = Table::of(&pruned, &store, arguments.apply);
    if !global.quiet {
        let mut out = std::io::stdout().lock();
        match arguments.format {
            ListFormat::Json => print_json(&mut out, &table)?,
            ListFormat::Text => table.print(&mut out)?,
        }
    }
    Ok((exit::DONE, table.verdict()))
}

impl Table {
    fn of(pruned: &Pruned, store: &Store, applied: bool) -> Table {
        let lines = pruned.judged.iter().map(|judged| Line {
            id: judged.set.to_string(),
            kept: judged.is_kept(),
            because: judged.reasons.iter().map(ToString::to_string).collect(),
            apart: judged.apart.map(Apart::as_str),
        });
        Table {
            tool: "fogold",
            version: env!("CARGO_PKG_VERSION"),
            command: "prune",
            store: store.path().display().to_string(),
            store_id: store.id().to_owned(),
            applied,
            sets: lines.collect(),
            partial: pruned.partial.iter().map(ToString::to_string).collect(),
            resumed: pruned.resumed.iter().map(ToString::to_string).collect(),
            contents: pruned.contents,
            halves: pruned.halves,
            own_files: pruned.own,
            freed_bytes: pruned.freed(),
            contents_kept: pruned.kept,
            foreign: pruned.foreign,
        }
    }

    /// What a prune came to, in one sentence.
    fn verdict(&self) -> String {
        let stay = self.sets.iter().filter(|line| line.kept).count() as u64;
        let gone = (self.sets.len() + self.resumed.len()) as u64 - stay;
        format!(
            "OK: {} removed, {} freed; {} kept",
            counted(gone, "set"),
            bytes_for_people(self.freed_bytes),
            counted(stay, "set")
        )
    }

    fn print(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let (goes, freed) = if self.applied {
            ("removed", "freed")
        } else {
            ("would go", "would be freed (--apply does it)")
        };
        writeln!(out, "{:<28} {:<9} because", "set", "is")?;
        for line in &self.sets {
            let is = if line.kept { "kept" } else { goes };
            writeln!(out, "{:<28} {is:<9} {}", line.id, line.because())?;
        }
        for id in &self.partial {
            writeln!(
                out,
                "{id:<28} kept      not finished: 'fogold backup' goes on from it"
            )?;
        }
        for id in &self.resumed {
            writeln!(out, "{id:<28} {goes:<9} its removal had been interrupted")?;
        }
        writeln!(
            out,
            "{} {freed}: {} of the pool ({}), {} of the sets ({}); {} of the pool {}",
            bytes_for_people(self.freed_bytes),
            counted(self.contents.files + self.halves.files, "file"),
            bytes_for_people(self.contents.bytes + self.halves.bytes),
            grouped(self.own_files.files),
            bytes_for_people(self.own_files.bytes),
            counted(self.contents_kept, "file"),
            if self.contents_kept == 1 {
                "stays"
            } else {
                "stay"
            }
        )?;
        if self.foreign > 0 {
            writeln!(
                out,
                "{} in {}/pool {}",
                counted(self.foreign, "thing"),
                printable(&self.store),
                if self.foreign == 1 {
                    "is none of fogold's, and stays"
                } else {
                    "are none of fogold's, and stay"
                }
            )?;
        }
        Ok(())
    }
}
