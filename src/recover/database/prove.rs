//! What is in the database is held against what was in the dump, before any of it counts.
//!
//! Restores that pass over errors look fine and fail weeks later, in the midst of an unpack: a
//! function is missing, or the extension, or rows.

use postgres::Client;

use super::client::refused;
use super::quoting::identifier;
use super::{DatabaseError, RowCounts};
use crate::catalog::dump::DumpFacts;
use crate::monitor::Monitor;

/// What FOSSology's agents call.
const FUNCTIONS: [&str; 2] = ["getitemparent", "uploadtree2path"];
const EXTENSION: &str = "uuid-ossp";

/// Proves rows, functions and extensions; warns of what the source itself lacked.
pub(super) fn prove(
    client: &mut Client,
    target: &str,
    facts: &DumpFacts,
    monitor: &dyn Monitor,
) -> Result<(), DatabaseError> {
    let unproven = |what: String| DatabaseError::Unproven {
        target: target.to_owned(),
        what,
    };
    for (table, &expected) in &facts.rows {
        let found = count(client, target, "ONLY", table)?;
        if found != expected {
            return Err(unproven(format!(
                "table {table} has {found} rows, and the dump has {expected}"
            )));
        }
    }
    let function = include_str!("../../../sql/restore-has-function.sql");
    for name in &facts.functions {
        if !has(client, target, function, name)? {
            return Err(unproven(format!("function {name} is missing")));
        }
    }
    let extension = include_str!("../../../sql/restore-has-extension.sql");
    for name in &facts.extensions {
        if !has(client, target, extension, name)? {
            return Err(unproven(format!("extension {name} is missing")));
        }
    }
    for name in FUNCTIONS {
        if !facts.functions.contains(name) {
            monitor.warn(&format!(
                "the dump has no function {name}, so unpacking will fail: run FOSSology's fo-postinstall --database-only"
            ));
        }
    }
    if !facts.extensions.contains(EXTENSION) {
        monitor.warn(&format!(
            "the dump has no extension {EXTENSION}: newer releases of FOSSology need it (CREATE EXTENSION \"{EXTENSION}\")"
        ));
    }
    for sequence in sequences_behind(client, target)? {
        monitor.warn(&sequence);
    }
    Ok(())
}

/// Rows by table; the tables of tree rows together as `uploadtree`.
pub(super) fn count_rows(
    client: &mut Client,
    target: &str,
    tables: &RowCounts,
) -> Result<RowCounts, DatabaseError> {
    tables
        .keys()
        .map(|table| Ok((table.clone(), count(client, target, "", table)?)))
        .collect()
}

fn count(client: &mut Client, target: &str, only: &str, table: &str) -> Result<u64, DatabaseError> {
    let statement = include_str!("../../../sql/restore-count-rows.sql")
        .replace("{only}", only)
        .replace("{table}", &identifier(table));
    let row = client
        .query_one(&statement, &[])
        .map_err(refused(target, "count rows"))?;
    Ok(u64::try_from(row.get::<_, i64>(0)).unwrap_or(0))
}

fn has(
    client: &mut Client,
    target: &str,
    statement: &str,
    name: &str,
) -> Result<bool, DatabaseError> {
    client
        .query_one(statement, &[&name])
        .map(|row| row.get(0))
        .map_err(refused(target, "say which functions and extensions it has"))
}

/// Sequences that would give a key a second time. The source had them so: it is no failure of the
/// restore, but the next upload fails.
fn sequences_behind(client: &mut Client, target: &str) -> Result<Vec<String>, DatabaseError> {
    let rows = client
        .query(include_str!("../../../sql/restore-sequences.sql"), &[])
        .map_err(refused(target, "list its sequences"))?;
    let mut behind = Vec::new();
    for row in rows {
        let (sequence, table, column): (String, String, String) =
            (row.get(0), row.get(1), row.get(2));
        let statement = include_str!("../../../sql/restore-sequence.sql")
            .replace("{sequence}", &sequence)
            .replace("{table}", &table)
            .replace("{column}", &column);
        let row = client
            .query_one(&statement, &[])
            .map_err(refused(target, "say how far its sequences are"))?;
        let (last, greatest): (i64, Option<i64>) = (row.get(0), row.get(1));
        if let Some(greatest) = greatest.filter(|greatest| *greatest > last) {
            behind.push(format!(
                "sequence {sequence} is at {last}, and {table} has {column} {greatest}: \
                 SELECT setval('{sequence}', {greatest})"
            ));
        }
    }
    Ok(behind)
}
