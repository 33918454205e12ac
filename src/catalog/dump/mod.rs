//! Reads the rows of FOSSology's tables out of a dump.
//!
//! A dump is read once, from front to back, in bounded memory: plain SQL as `pg_dump` and
//! `pg_dumpall` write it, the same compressed with gzip or zstd, or an archive in custom, tar or
//! directory format, of which `pg_restore` makes plain SQL. Decompression and parsing run in
//! threads of their own.
//!
//! **Never a short catalog.** The rows of a dump are handed over only when it is whole: its closing
//! comment was seen, each table that is read had its rows, and so had each table in which an
//! upload has its tree. Everything else is an error that says where the dump stops or what it
//! lacks. Rows reach a sink before that is known, so a sink counts for nothing until [`read`]
//! returns it.

mod block;
mod collect;
mod copy;
mod input;
mod lexer;
mod relay;
mod restore;
mod script;
mod segment;
mod statement;
mod table;
mod tar;
mod timestamp;
mod walk;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

pub use collect::read_catalog;
pub use input::Input;
pub(crate) use script::{Piece, Script};
pub(crate) use statement::{Token, tokens};

use crate::catalog::CatalogError;
use crate::catalog::rows::RowSink;
use crate::monitor::Monitor;
use walk::Walk;

/// How a dump is to be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DumpOptions {
    /// Of several FOSSology databases in one dump, the one to take.
    pub database: Option<String>,
    /// Where `pg_restore` is looked for first.
    pub bindir: Option<PathBuf>,
    /// Also read who the users are and what lies in which folder.
    pub with_directory: bool,
}

/// How a database stores and sorts text; absent where the dump does not say it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Creation {
    /// The encoding, such as `UTF8` or `SQL_ASCII`.
    pub encoding: Option<String>,
    /// `LC_COLLATE`. A dump of one database has it only when made with `--create`.
    pub collate: Option<String>,
    /// `LC_CTYPE`, likewise.
    pub ctype: Option<String>,
}

/// What a dump says of its database, besides its rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DumpFacts {
    /// The database's name. A plain dump of one database holds it only when made with `--create`.
    pub database: Option<String>,
    /// The version of the server, such as `15.20`.
    pub server_version: Option<String>,
    /// Whether `pfile` has the column `pfile_sha256`: since 3.6.0.
    pub has_sha256: bool,
    /// Whether there is a table `ununpack_ars`.
    pub has_ununpack_ars: bool,
    /// How the database that it was taken of stores and sorts text, as far as the dump says it.
    pub creation: Creation,
    /// The functions in schema `public`.
    pub functions: BTreeSet<String>,
    /// The extensions that the database has.
    pub extensions: BTreeSet<String>,
    /// The tables that hold tree rows: `uploadtree` and those that inherit from it.
    pub tree_tables: Vec<String>,
    /// How many rows were read of each table.
    pub rows: BTreeMap<String, u64>,
}

/// Reads the rows of the FOSSology database in a dump.
///
/// A dump of a cluster holds several databases, and which of them is FOSSology's is known only
/// when each has been read: `open` is called for a new sink whenever one may be, and the sinks of
/// the others are dropped. `monitor` is told of the bytes read: those of the file, compressed as
/// it may be; of an archive that `pg_restore` opens by itself, those of the text it makes.
pub fn read<S: RowSink>(
    input: Input,
    options: &DumpOptions,
    open: impl FnMut() -> Result<S, CatalogError>,
    monitor: &dyn Monitor,
) -> Result<(S, DumpFacts), CatalogError> {
    let origin = input.origin();
    let mut walk = Walk::new(origin.clone(), options, open);
    let mut feed = input.start(options)?;
    loop {
        match feed.next(monitor) {
            Ok(Some(block)) => {
                walk.feed(&block)?;
                feed.recycle(block);
            }
            Ok(None) => return walk.finish(),
            Err(fault) => return Err(fault.at(origin, walk.place())),
        }
    }
}
