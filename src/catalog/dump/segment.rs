//! One database of a dump: what was seen of it, and whether it is FOSSology's.
//!
//! The rows of a database go to a sink of its own, for whether the database is FOSSology's is known
//! only at its end. A database is taken only when nothing of it can be missing: each of the tables
//! it makes that is read must have had its rows.

use std::collections::{BTreeMap, BTreeSet};

use super::block::{Block, NamedTrees};
use super::statement::TableName;
use super::table::{Kind, REQUIRED, TREE, UNUNPACK_ARS};
use super::{Creation, DumpFacts};

/// The only schema that counts.
const PUBLIC: &str = "public";

/// See the module.
#[derive(Debug)]
pub(super) struct Segment<S> {
    /// The database's name, when a `\connect` gave it.
    pub(super) database: Option<String>,
    /// The sink, from the first block of rows on; a block that is being read has it.
    sink: Option<S>,
    /// The schema of names that give none.
    pub(super) schema: Option<String>,
    /// Tables that were made.
    created: BTreeSet<String>,
    /// Tables that inherit from `uploadtree`.
    children: BTreeSet<String>,
    /// Tables that had a COPY block, read or not.
    copied: BTreeSet<String>,
    /// Rows read, by table.
    rows: BTreeMap<String, u64>,
    /// The first table, and column, that shows the database to be another program's.
    foreign: Option<(String, String)>,
    /// A table whose rows came as INSERT statements.
    inserted: bool,
    /// Functions that were made.
    functions: BTreeSet<String>,
    /// Extensions that were asked for.
    extensions: BTreeSet<String>,
    /// The encoding of the text.
    pub(super) encoding: Option<String>,
    /// Where uploads say that their trees are.
    trees: NamedTrees,
    has_sha256: bool,
    /// Tables of people and folders are read, too.
    with_directory: bool,
}

/// What a database turned out to be.
#[derive(Debug)]
pub(super) enum Verdict<S> {
    /// FOSSology's, and whole.
    Ours(S, DumpFacts),
    /// FOSSology's, but something is missing, or not usable.
    Unusable(String),
    /// Not FOSSology's: how many of the tables it has, and what it lacks.
    Other {
        /// How many of [`REQUIRED`] it has.
        score: usize,
        /// `table job`, `column pfile.pfile_sha1`
        lacks: String,
    },
}

impl<S> Segment<S> {
    /// A database of which nothing was seen yet.
    pub(super) fn new(database: Option<String>, with_directory: bool) -> Segment<S> {
        Segment {
            database,
            with_directory,
            sink: None,
            schema: Some(PUBLIC.to_owned()),
            created: BTreeSet::new(),
            children: BTreeSet::new(),
            copied: BTreeSet::new(),
            rows: BTreeMap::new(),
            foreign: None,
            inserted: false,
            functions: BTreeSet::new(),
            extensions: BTreeSet::new(),
            encoding: None,
            trees: NamedTrees::default(),
            has_sha256: false,
        }
    }

    /// Whether the name is of a table in schema `public`.
    fn is_public(&self, name: &TableName) -> bool {
        name.schema.as_deref().or(self.schema.as_deref()) == Some(PUBLIC)
    }

    /// A table is made, or made a child.
    pub(super) fn create(&mut self, name: TableName, parents: &[TableName]) {
        if !self.is_public(&name) {
            return;
        }
        let child = parents.iter().any(|parent| {
            self.is_public(parent)
                && (parent.table == TREE || self.children.contains(&parent.table))
        });
        if child {
            self.children.insert(name.table.clone());
        }
        self.created.insert(name.table);
    }

    /// A function is made.
    pub(super) fn create_function(&mut self, name: TableName) {
        if self.is_public(&name) {
            self.functions.insert(name.table);
        }
    }

    /// An extension is asked for.
    pub(super) fn create_extension(&mut self, name: String) {
        self.extensions.insert(name);
    }

    /// A row comes as an INSERT statement; whether it is one of a table that is read.
    pub(super) fn insert(&mut self, name: &TableName) -> bool {
        let public = self.is_public(name);
        self.inserted |= public;
        public && self.kind_of(&name.table).is_some()
    }

    /// What the rows of a table are; `None`: not to be read.
    pub(super) fn kind_of(&self, table: &str) -> Option<Kind> {
        let child = if self.created.contains(table) {
            self.children.contains(table)
        } else {
            is_tree_name(table)
        };
        if child {
            Some(Kind::Tree)
        } else {
            Kind::of(table).filter(|kind| self.with_directory || !kind.is_of_directory())
        }
    }

    /// The rows of a table follow. What they are, when they are to be read, and whether the table
    /// had rows before.
    pub(super) fn copy(&mut self, name: &TableName) -> Option<(Kind, bool)> {
        if !self.is_public(name) {
            return None;
        }
        let first = self.copied.insert(name.table.clone());
        if self.foreign.is_some() {
            return None;
        }
        self.kind_of(&name.table).map(|kind| (kind, !first))
    }

    /// What a block of rows needs: the sink, which `open` makes for the first one.
    pub(super) fn lend<E>(
        &mut self,
        open: impl FnOnce() -> Result<S, E>,
    ) -> Result<(S, NamedTrees), E> {
        let sink = match self.sink.take() {
            Some(sink) => sink,
            None => open()?,
        };
        Ok((sink, std::mem::take(&mut self.trees)))
    }

    /// A column is missing: the database is another program's, and nothing of it is wanted.
    pub(super) fn reject(&mut self, table: &str, column: &str) {
        self.foreign = Some((table.to_owned(), format!("column {table}.{column}")));
        self.sink = None;
    }

    /// The rows of a table have ended, and were handed to `sink`.
    pub(super) fn keep(&mut self, table: String, block: Block<S>) {
        self.has_sha256 |= block.layout.has_sha256();
        self.rows.insert(table, block.row);
        self.sink = Some(block.sink);
        self.trees = block.trees;
    }

    /// Whether nothing at all was seen of the tables that are read.
    pub(super) fn is_empty(&self) -> bool {
        let seen = |table: &&str| self.created.contains(*table) || self.copied.contains(*table);
        !REQUIRED.iter().any(seen)
    }

    /// What the database is, after all of it was seen.
    pub(super) fn close(self, server_version: Option<String>) -> Verdict<S> {
        if let Some(lacks) = self.lacks() {
            let has =
                |table: &&&str| self.created.contains(**table) || self.copied.contains(**table);
            let score = REQUIRED
                .iter()
                .filter(has)
                .count()
                .saturating_sub(usize::from(self.foreign.is_some()));
            return Verdict::Other { score, lacks };
        }
        if let Some(why) = self.unusable() {
            return Verdict::Unusable(why);
        }
        let tree_tables = self
            .rows
            .keys()
            .filter(|table| self.kind_of(table) == Some(Kind::Tree))
            .cloned()
            .collect();
        let facts = DumpFacts {
            database: self.database,
            server_version,
            has_sha256: self.has_sha256,
            has_ununpack_ars: self.copied.contains(UNUNPACK_ARS),
            tree_tables,
            functions: self.functions,
            extensions: self.extensions,
            creation: Creation {
                encoding: self.encoding,
                ..Creation::default()
            },
            rows: self.rows,
        };
        match self.sink {
            Some(sink) => Verdict::Ours(sink, facts),
            None => Verdict::Unusable("it holds no rows (made with --schema-only?)".to_owned()),
        }
    }

    /// The first thing that a FOSSology database has and this one lacks.
    fn lacks(&self) -> Option<String> {
        for table in REQUIRED {
            match &self.foreign {
                Some((foreign, column)) if foreign == table => return Some(column.clone()),
                _ if self.created.contains(table) || self.copied.contains(table) => {}
                _ => return Some(format!("table {table}")),
            }
        }
        self.foreign.as_ref().map(|(_, column)| column.clone())
    }

    /// Why not all rows of the tables are here.
    fn unusable(&self) -> Option<String> {
        let without_rows = |table: &&str| !self.copied.contains(*table);
        if REQUIRED.iter().all(without_rows) {
            return Some(if self.inserted {
                "it was made with --inserts; make it without".to_owned()
            } else {
                "it holds no rows (made with --schema-only?)".to_owned()
            });
        }
        let optional = self
            .children
            .iter()
            .map(String::as_str)
            .chain([UNUNPACK_ARS]);
        let made = optional.filter(|table| self.created.contains(*table));
        if let Some(table) = REQUIRED.into_iter().chain(made).find(without_rows) {
            return Some(format!(
                "it holds no rows of table {table} (made with --exclude-table-data?); \
                 dump the whole database"
            ));
        }
        let lost = |(table, _): &(&Vec<u8>, &i64)| {
            std::str::from_utf8(table).map_or(true, |table| !self.copied.contains(table))
        };
        let (table, upload) = self
            .trees
            .tables
            .iter()
            .filter(|(table, _)| !table.is_empty())
            .filter(lost)
            .min_by_key(|&(_, upload)| *upload)?;
        Some(format!(
            "it holds no table {}, where upload {upload} has its tree (made with \
             --exclude-table?); dump the whole database",
            table.escape_ascii()
        ))
    }
}

/// Whether a table of this name holds tree rows in a dump that does not say how its tables are
/// made.
fn is_tree_name(table: &str) -> bool {
    match table.strip_prefix(TREE) {
        Some("" | "_a") => true,
        Some(rest) => rest.strip_prefix('_').is_some_and(|number| {
            !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
        }),
        None => false,
    }
}
