//! The pieces that a database is read in, so that several connections have about as much to do.
//!
//! Every table of many rows is a piece of its own, and a large one is several: ranges of its blocks,
//! which PostgreSQL finds without reading the others since release 14.

use std::ops::Range;

use super::statement::LARGE_TABLES;
use crate::catalog::CatalogError;
use crate::sysconf::RowStream;

/// The first release, as a number, that reads a range of blocks alone.
const RANGES_SINCE: i32 = 140_000;

/// So many blocks are a piece, at least: 16 MiB. Smaller ones would be asked for more often than it
/// gains.
const FEWEST_BLOCKS: i64 = 2048;

/// A large table is cut into so many pieces, at most.
const MOST_RANGES: i64 = 16;

/// Rows that one statement gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Of `pfile`, the rows in a range of blocks, as a condition.
    Pfiles { range: String },
    /// Of a table with tree rows.
    Trees { table: String, range: String },
    /// All of the other tables.
    Rest,
}

/// A table as the database describes it.
struct Table {
    is_pfile: bool,
    name: String,
    blocks: i64,
    readable: bool,
}

/// How a database is read.
pub(super) struct Pieces {
    pub(super) all: Vec<Piece>,
    /// So many connections have something to do.
    pub(super) connections: usize,
}

impl Pieces {
    /// Asks the database for its tables and cuts them. Tables that do not stay (`locked`) are not
    /// read by their own names.
    pub(super) fn of(stream: &RowStream, locked: bool) -> Result<Pieces, CatalogError> {
        let rows = LARGE_TABLES.query(stream)?;
        let version = rows.first().map_or(0, |row| row.get(4));
        let tables = rows.iter().map(|row| Table {
            is_pfile: row.get(0),
            name: row.get(1),
            blocks: row.get(2),
            readable: locked && row.get(3),
        });
        Ok(cut(&tables.collect::<Vec<_>>(), version >= RANGES_SINCE))
    }
}

fn cut(tables: &[Table], by_range: bool) -> Pieces {
    let blocks: i64 = tables.iter().map(|table| table.blocks).sum();
    let ranges = |table: &Table| match by_range {
        true => conditions(table.blocks),
        false => vec![String::new()],
    };
    let mut all = vec![Piece::Rest];
    for table in tables.iter().filter(|table| table.is_pfile) {
        all.extend(
            ranges(table)
                .into_iter()
                .map(|range| Piece::Pfiles { range }),
        );
    }
    let trees = || tables.iter().filter(|table| !table.is_pfile);
    if trees().all(|table| table.readable) {
        for table in trees().filter(|table| table.blocks > 0) {
            all.extend(ranges(table).into_iter().map(|range| Piece::Trees {
                table: format!("ONLY {}", table.name),
                range,
            }));
        }
    } else {
        // The right to read uploadtree is one to read what inherits from it, but only as a part.
        all.push(Piece::Trees {
            table: "public.uploadtree".to_owned(),
            range: String::new(),
        });
    }
    Pieces {
        connections: usize::try_from(blocks / FEWEST_BLOCKS).unwrap_or(0) + 1,
        all,
    }
}

/// Conditions that share out a table of so many blocks. The last has no end: where the table ends is
/// for the database to say.
fn conditions(blocks: i64) -> Vec<String> {
    let count = (blocks / FEWEST_BLOCKS).clamp(1, MOST_RANGES);
    let start = |part| blocks * part / count;
    (0..count)
        .map(|part| condition(start(part)..start(part + 1), part + 1 == count))
        .collect()
}

fn condition(blocks: Range<i64>, last: bool) -> String {
    let from = (blocks.start > 0).then(|| format!("ctid >= '({},0)'", blocks.start));
    let to = (!last).then(|| format!("ctid < '({},0)'", blocks.end));
    match (from, to) {
        (None, None) => String::new(),
        (Some(only), None) | (None, Some(only)) => format!("WHERE {only}"),
        (Some(from), Some(to)) => format!("WHERE {from} AND {to}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str, blocks: i64) -> Table {
        Table {
            is_pfile: name == "public.pfile",
            name: name.to_owned(),
            blocks,
            readable: true,
        }
    }

    #[test]
    fn ranges_follow_each_other_and_the_last_is_open() {
        assert_eq!(conditions(0), [""]);
        assert_eq!(conditions(4095), [""]);
        assert_eq!(
            conditions(6145),
            [
                "WHERE ctid < '(2048,0)'",
                "WHERE ctid >= '(2048,0)' AND ctid < '(4096,0)'",
                "WHERE ctid >= '(4096,0)'",
            ]
        );
        assert_eq!(conditions(10_000_000).len(), 16);
    }

    #[test]
    fn a_small_database_is_read_over_one_connection() {
        let pieces = cut(
            &[table("public.pfile", 3), table("public.uploadtree", 0)],
            true,
        );
        assert_eq!(pieces.connections, 1);
        let pfiles = Piece::Pfiles {
            range: String::new(),
        };
        assert_eq!(pieces.all, [Piece::Rest, pfiles]);
    }

    #[test]
    fn tables_are_cut_only_where_the_server_finds_ranges() {
        let tables = [
            table("public.pfile", 9000),
            table("public.uploadtree_a", 9000),
        ];
        assert_eq!(cut(&tables, true).all.len(), 9);
        assert_eq!(cut(&tables, false).all.len(), 3);
        assert_eq!(cut(&tables, false).connections, 9);
    }

    #[test]
    fn what_may_not_be_read_by_name_is_read_as_a_part() {
        let mut tables = [
            table("public.uploadtree", 1),
            table("public.uploadtree_a", 9000),
        ];
        tables[1].readable = false;
        let whole = Piece::Trees {
            table: "public.uploadtree".to_owned(),
            range: String::new(),
        };
        assert_eq!(cut(&tables, true).all, [Piece::Rest, whole]);
    }
}
