//! Absolute paths in the rows: they break when the repository lies elsewhere than it did.

use postgres::Client;
use serde::Serialize;

use super::DatabaseError;
use super::client::refused;

/// Where they stand: table, column.
const COLUMNS: [(&str, &str); 2] = [("jobqueue", "jq_log"), ("reportgen", "filepath")];

const COUNT: &str = include_str!("../../../sql/restore-count-paths.sql");
const REWRITE: &str = include_str!("../../../sql/restore-rewrite-paths.sql");

/// How many rows name a file of the repository by its absolute path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Paths {
    /// Rows of `jobqueue` (`jq_log`).
    pub logs: u64,
    /// Rows of `reportgen` (`filepath`).
    pub reports: u64,
}

/// Counts the rows whose path is below `from`.
pub(super) fn count(client: &mut Client, target: &str, from: &str) -> Result<Paths, DatabaseError> {
    each(client, target, |client, table, column| {
        let statement = adapted(COUNT, table, column);
        let row = client.query_one(&statement, &[&below(from)])?;
        Ok(u64::try_from(row.get::<_, i64>(0)).unwrap_or(0))
    })
}

/// Has the rows whose path is below `from` name the same file below `to`.
pub(super) fn rewrite(
    client: &mut Client,
    target: &str,
    from: &str,
    to: &str,
) -> Result<Paths, DatabaseError> {
    each(client, target, |client, table, column| {
        let statement = adapted(REWRITE, table, column);
        client.execute(&statement, &[&below(from), &below(to)])
    })
}

/// Releases before 3.0 have no `reportgen`.
fn each(
    client: &mut Client,
    target: &str,
    work: impl Fn(&mut Client, &str, &str) -> Result<u64, postgres::Error>,
) -> Result<Paths, DatabaseError> {
    let mut counts = [0; 2];
    for (count, (table, column)) in counts.iter_mut().zip(COLUMNS) {
        let there: bool = client
            .query_one(
                include_str!("../../../sql/restore-has-column.sql"),
                &[&table, &column],
            )
            .map_err(refused(target, "say which columns it has"))?
            .get(0);
        if there {
            *count = work(client, table, column)
                .map_err(refused(target, format!("look through {table}.{column}")))?;
        }
    }
    let [logs, reports] = counts;
    Ok(Paths { logs, reports })
}

fn adapted(statement: &str, table: &str, column: &str) -> String {
    statement
        .replace("{table}", table)
        .replace("{column}", column)
}

/// What a path below a directory begins with.
fn below(directory: &str) -> String {
    format!("{}/", directory.trim_end_matches('/'))
}
