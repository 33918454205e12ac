//! `fogold sets`: what a store has.

use std::io::Write;
use std::path::PathBuf;

use clap::ValueEnum;
use serde::Serialize;

use super::error::Failure;
use super::progress::Progress;
use super::{Global, exit};
use crate::catalog::Amount;
use crate::manifest::SetKind;
use crate::monitor::Monitor;
use crate::report::{bytes_for_people, grouped, printable};
use crate::store::lock::Owner;
use crate::store::{SetId, SetRecord, Store, Verification, Verifications, WriteLock};

/// List the sets of a store
///
/// One line a set, the oldest first: when it was made, how much it holds and how much of that the
/// store did not have before, how many findings there were, and what verifying it has shown.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// The store
    store: PathBuf,
    /// The form of the list
    #[arg(long, value_enum, default_value = "text")]
    format: ListFormat,
}

/// The form of what is no report of findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ListFormat {
    /// A table for people
    Text,
    /// One object
    Json,
}

#[derive(Serialize)]
struct List {
    tool: &'static str,
    version: &'static str,
    command: &'static str,
    store: String,
    store_id: String,
    sets: Vec<Line>,
    partial: Vec<String>,
    /// The one of them that a backup makes now.
    in_the_making: Option<Making>,
    removed: Vec<String>,
}

#[derive(Serialize)]
struct Making {
    id: String,
    locked_by: Owner,
}

impl Making {
    /// The set that is being made while somebody holds the store's lock. A backup makes one that it
    /// has begun itself; those of before it were interrupted.
    fn of(partial: &[SetId], holder: Option<Owner>) -> Option<Making> {
        let locked_by = holder.filter(|owner| owner.command == "backup")?;
        let since: jiff::Timestamp = locked_by.since.parse().ok()?;
        let id = partial.last().filter(|id| id.time >= since)?.to_string();
        Some(Making { id, locked_by })
    }
}

#[derive(Serialize)]
struct Line {
    id: String,
    kind: SetKind,
    began: String,
    age_seconds: i64,
    #[serde(flatten)]
    held: Option<Held>,
    verified: Option<Verification>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// What the record of a set says.
#[derive(Serialize)]
struct Held {
    finished: String,
    files: u64,
    bytes: u64,
    new: Amount,
    findings: u64,
    complete: bool,
    severities: std::collections::BTreeMap<String, u64>,
}

impl Held {
    fn of(record: SetRecord) -> Held {
        Held {
            finished: record.finished,
            files: record.counts.pool.files,
            bytes: record.counts.pool.bytes,
            new: record.counts.new,
            findings: record.findings.counts.values().sum(),
            complete: record.complete,
            severities: record.findings.severities,
        }
    }
}

pub(super) fn run(
    global: &Global,
    arguments: &Arguments,
    progress: &Progress,
) -> Result<u8, Failure> {
    let store = Store::open_read_only(&arguments.store)?;
    let holder = WriteLock::holder(&store);
    let listed = store.list(progress)?;
    let notes = store.verifications().unwrap_or_else(|error| {
        progress.warn(&Failure::from(error).to_string());
        Verifications::new()
    });
    let lines = listed.finished.iter().map(|id| line(&store, *id, &notes));
    let list = List {
        tool: "fogold",
        version: env!("CARGO_PKG_VERSION"),
        command: "sets",
        store: store.path().display().to_string(),
        store_id: store.id().to_owned(),
        sets: lines.collect(),
        partial: listed.partial.iter().map(ToString::to_string).collect(),
        in_the_making: Making::of(&listed.partial, holder),
        removed: listed.removed.iter().map(ToString::to_string).collect(),
    };
    let is_whole = list.sets.iter().all(|line| line.error.is_none());
    if !(global.quiet && is_whole) {
        let mut out = std::io::stdout().lock();
        match arguments.format {
            ListFormat::Json => print_json(&mut out, &list)?,
            ListFormat::Text => print_table(&mut out, &list)?,
        }
    }
    Ok(if is_whole { exit::DONE } else { exit::WORLD })
}

fn line(store: &Store, id: SetId, notes: &Verifications) -> Line {
    let (held, error) = match store.record(id) {
        Ok(record) => (Some(Held::of(record)), None),
        Err(error) => (None, Some(Failure::from(error).to_string())),
    };
    Line {
        id: id.to_string(),
        kind: id.kind,
        began: id.time.to_string(),
        age_seconds: jiff::Timestamp::now().as_second() - id.time.as_second(),
        held,
        verified: notes.get(&id.to_string()).cloned(),
        error,
    }
}

pub(super) fn print_json(out: &mut dyn Write, value: &impl Serialize) -> Result<(), Failure> {
    serde_json::to_writer_pretty(&mut *out, value).map_err(std::io::Error::from)?;
    Ok(writeln!(out)?)
}

fn print_table(out: &mut dyn Write, list: &List) -> Result<(), Failure> {
    if list.sets.is_empty() {
        writeln!(out, "no finished set in {}", printable(&list.store))?;
    } else {
        writeln!(
            out,
            "{:<28} {:<9} {:>20} {:>6} {:>11} {:>10} {:>10} {:>8}  verified",
            "set", "kind", "when", "age", "files", "bytes", "new", "findings"
        )?;
    }
    for line in &list.sets {
        write!(
            out,
            "{:<28} {:<9} {:>20} {:>6} ",
            line.id,
            line.kind.as_str(),
            line.began,
            age(line.age_seconds)
        )?;
        match (&line.held, &line.error) {
            (Some(held), _) => writeln!(
                out,
                "{:>11} {:>10} {:>10} {:>8}  {}{}",
                grouped(held.files),
                bytes_for_people(held.bytes),
                bytes_for_people(held.new.bytes),
                grouped(held.findings),
                verified(line.verified.as_ref()),
                if held.complete {
                    ""
                } else {
                    "; not complete: not everything could be read when it was made"
                }
            )?,
            (None, error) => writeln!(out, "{}", printable(error.as_deref().unwrap_or_default()))?,
        }
    }
    for id in &list.partial {
        match list
            .in_the_making
            .as_ref()
            .filter(|making| making.id == *id)
        {
            Some(making) => writeln!(
                out,
                "{id:<28} in the making (locked by {})",
                making.locked_by.for_people()
            )?,
            None => writeln!(
                out,
                "{id:<28} not finished: the next 'fogold backup' goes on from it"
            )?,
        }
    }
    for id in &list.removed {
        writeln!(
            out,
            "{id:<28} being removed: 'fogold prune' goes on with it"
        )?;
    }
    Ok(())
}

/// What verifying a set has shown, in a few words.
fn verified(note: Option<&Verification>) -> String {
    match note {
        None => "never".to_owned(),
        Some(note) if note.is_whole() => format!("{} {}", printable(&note.when), note.result),
        Some(note) => format!(
            "{} {}, {} of 256 parts good",
            printable(&note.when),
            note.result,
            note.proven.count()
        ),
    }
}

/// An age in its largest unit.
fn age(seconds: i64) -> String {
    if seconds < 0 {
        return "future".to_owned();
    }
    const UNITS: [(i64, &str); 3] = [(86_400, "d"), (3_600, "h"), (60, "min")];
    UNITS
        .iter()
        .find(|(length, _)| seconds >= 2 * length)
        .map_or_else(
            || format!("{seconds}s"),
            |(length, unit)| format!("{}{unit}", seconds / length),
        )
}
