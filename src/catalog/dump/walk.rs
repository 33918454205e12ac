//! Walks through the plain text of a dump, block by block, and hands its rows over.
//!
//! The text may come in pieces of any size. Nothing is kept of it but the unfinished line of a
//! table that is read. A dump counts as whole only when its closing comment has been seen, with
//! all that `pg_dump` writes after it: a dump that is cut anywhere is an error.

use std::collections::BTreeMap;
use std::path::PathBuf;

use memchr::memchr;

use super::block::Block;
use super::copy::Skip;
use super::lexer::{Event, Lexer};
use super::segment::{Segment, Verdict};
use super::statement::{Meta, Statement, TableName, parse, parse_meta};
use super::table::{Layout, REQUIRED, Work};
use super::{Creation, DumpFacts, DumpOptions};
use crate::catalog::CatalogError;
use crate::catalog::rows::RowSink;

/// How much text without any sign of a dump is looked at.
const PATIENCE: u64 = 16 << 20;

const HEADER: &[u8] = b"-- PostgreSQL database dump";
const TRAILER: &[u8] = b"-- PostgreSQL database dump complete";
const CLUSTER_HEADER: &[u8] = b"-- PostgreSQL database cluster dump";
const CLUSTER_TRAILER: &[u8] = b"-- PostgreSQL database cluster dump complete";
const VERSION: &[u8] = b"-- Dumped from database version ";

/// What every dump begins with.
const BEGINNINGS: [&[u8]; 2] = [
    b"--\n-- PostgreSQL database dump\n",
    b"--\n-- PostgreSQL database cluster dump\n",
];

/// Where in the dump the next byte stands.
enum Mode<S> {
    /// Outside of COPY data.
    Statements,
    /// Behind the semicolon of a COPY statement, on its line.
    CopyLine(Option<Block<S>>),
    /// In rows that are read.
    Rows(Block<S>),
    /// In rows that are not.
    Skip,
}

/// How much of a dump's end was seen.
#[derive(Debug, Default)]
struct Ending {
    /// A dump has begun and not ended.
    dump: bool,
    /// So has one of a cluster.
    cluster: bool,
    /// Some dump has ended.
    any: bool,
    /// And with it all that follows its closing comment.
    last_line: bool,
    /// The key of `\restrict`, until `\unrestrict`.
    restricted: Option<Vec<u8>>,
}

impl Ending {
    fn is_whole(&self) -> bool {
        !self.dump && !self.cluster && self.any && self.last_line && self.restricted.is_none()
    }
}

/// See the module.
pub(super) struct Walk<'o, S, O> {
    origin: String,
    prefer: Option<&'o str>,
    with_directory: bool,
    open: O,
    mode: Mode<S>,
    lexer: Lexer,
    skip: Skip,
    work: Work,
    /// The table that is being read or skipped, or was last.
    table: Option<String>,
    segment: Segment<S>,
    /// The databases that are done.
    closed: Vec<Verdict<S>>,
    server_version: Option<String>,
    /// How databases are made that follow.
    creations: BTreeMap<String, Creation>,
    ending: Ending,
    recognised: bool,
    beginning: Vec<u8>,
    seen: u64,
}

impl<'o, S, O> Walk<'o, S, O>
where
    S: RowSink,
    O: FnMut() -> Result<S, CatalogError>,
{
    /// A walk through the dump `origin`, with what is wanted of it.
    pub(super) fn new(origin: String, options: &'o DumpOptions, open: O) -> Walk<'o, S, O> {
        Walk {
            origin,
            prefer: options.database.as_deref(),
            with_directory: options.with_directory,
            open,
            mode: Mode::Statements,
            lexer: Lexer::new(),
            skip: Skip::new(),
            work: Work::default(),
            table: None,
            segment: Segment::new(None, options.with_directory),
            closed: Vec::new(),
            server_version: None,
            creations: BTreeMap::new(),
            ending: Ending::default(),
            recognised: false,
            beginning: Vec::new(),
            seen: 0,
        }
    }

    /// Reads on.
    pub(super) fn feed(&mut self, mut text: &[u8]) -> Result<(), CatalogError> {
        if !self.recognised {
            self.look_at_beginning(text)?;
        }
        self.seen += text.len() as u64;
        while !text.is_empty() {
            let taken = match &mut self.mode {
                Mode::Statements => self.statements(text)?,
                Mode::CopyLine(block) => match memchr(b'\n', text) {
                    None => text.len(),
                    Some(end) => {
                        self.mode = match block.take() {
                            Some(block) => Mode::Rows(block),
                            None => {
                                self.skip.start();
                                Mode::Skip
                            }
                        };
                        end + 1
                    }
                },
                Mode::Rows(block) => {
                    let (taken, ended) = block.read(text, &mut self.work).map_err(|error| {
                        error.of_table(&self.origin, self.table.as_deref().unwrap_or_default())
                    })?;
                    if ended {
                        self.leave_copy();
                    }
                    taken
                }
                Mode::Skip => {
                    let (taken, ended) = self.skip.step(text);
                    if ended {
                        self.leave_copy();
                    }
                    taken
                }
            };
            text = &text[taken..];
        }
        Ok(())
    }

    /// Refuses early what cannot be a dump, before all of a large file is read.
    fn look_at_beginning(&mut self, text: &[u8]) -> Result<(), CatalogError> {
        let room = BEGINNINGS[1].len() - self.beginning.len();
        self.beginning
            .extend_from_slice(&text[..text.len().min(room)]);
        if self.beginning.starts_with(b"PGDMP") {
            return Err(self.unusable(
                "it is a dump in custom format that is compressed once more; decompress it first",
            ));
        }
        if memchr(0, text).is_some() || self.seen > PATIENCE {
            return Err(self.not_a_dump());
        }
        Ok(())
    }

    fn statements(&mut self, text: &[u8]) -> Result<usize, CatalogError> {
        let (taken, event) = self.lexer.step(text);
        match event {
            Some(Event::Statement) => self.statement()?,
            Some(Event::Comment) => self.comment(),
            Some(Event::Meta) => self.meta(),
            Some(Event::Blank) => {
                self.ending.last_line = self.ending.any && self.ending.restricted.is_none();
            }
            None => {}
        }
        Ok(taken)
    }

    fn statement(&mut self) -> Result<(), CatalogError> {
        match parse(self.lexer.text()) {
            Statement::Copy {
                name,
                columns,
                form,
            } => self.copy(name, &columns, form)?,
            Statement::CreateTable { name, parents } => self.segment.create(name, &parents),
            Statement::Insert { name } => {
                if self.recognised && self.segment.insert(&name) {
                    return Err(self.unusable("it was made with --inserts; make it without"));
                }
            }
            Statement::CreateDatabase { name, creation } => {
                self.creations.insert(name, creation);
            }
            Statement::CreateFunction { name } => self.segment.create_function(name),
            Statement::CreateExtension(name) => self.segment.create_extension(name),
            Statement::ClientEncoding(encoding) => self.segment.encoding = Some(encoding),
            Statement::SearchPath(schema) => self.segment.schema = schema,
            Statement::StandardStrings(on) => self.lexer.set_backslashes(!on),
            Statement::Other => {}
        }
        Ok(())
    }

    fn comment(&mut self) {
        let text = self.lexer.text();
        match text {
            HEADER => {
                self.recognised = true;
                self.ending.dump = true;
                self.ending.last_line = false;
            }
            CLUSTER_HEADER => {
                self.recognised = true;
                self.ending.cluster = true;
                self.ending.last_line = false;
            }
            TRAILER => {
                self.ending.dump = false;
                self.ending.any = true;
                self.ending.last_line = false;
            }
            CLUSTER_TRAILER => {
                self.ending.cluster = false;
                self.ending.last_line = false;
            }
            _ => {
                if let Some(version) = text.strip_prefix(VERSION) {
                    let version = String::from_utf8_lossy(version);
                    self.server_version = version.split_whitespace().next().map(str::to_owned);
                }
            }
        }
    }

    fn meta(&mut self) {
        match parse_meta(self.lexer.text()) {
            Meta::Connect(database) => {
                if self.segment.database.as_ref() != Some(&database) {
                    self.close_segment(Some(database));
                }
                self.lexer.set_backslashes(false);
            }
            Meta::Restrict(key) => self.ending.restricted = Some(key),
            Meta::Unrestrict(key) => {
                if self.ending.restricted.as_ref() == Some(&key) {
                    self.ending.restricted = None;
                    self.ending.last_line = false;
                }
            }
            Meta::Other => {}
        }
    }

    fn close_segment(&mut self, next: Option<String>) {
        let next = Segment::new(next, self.with_directory);
        let done = std::mem::replace(&mut self.segment, next);
        if !done.is_empty() {
            self.closed.push(done.close(self.server_version.clone()));
        }
    }

    /// Whether the database that is wanted has been read already.
    fn is_found(&self) -> bool {
        self.closed
            .iter()
            .any(|verdict| matches!(verdict, Verdict::Ours(_, facts) if self.is_preferred(facts)))
    }

    fn copy(
        &mut self,
        name: TableName,
        columns: &[String],
        form: Option<&'static str>,
    ) -> Result<(), CatalogError> {
        self.recognised = true;
        self.ending.dump = true;
        self.ending.last_line = false;
        let wanted = if self.is_found() {
            None
        } else {
            self.segment.copy(&name)
        };
        let mut block = None;
        if let Some((kind, again)) = wanted {
            match Layout::find(kind, columns) {
                Err(column) => self.segment.reject(&name.table, column),
                Ok(_) if again => {
                    return Err(self.unusable(&format!(
                        "it holds table {} twice (several dumps in one file?)",
                        name.table
                    )));
                }
                Ok(found) => {
                    if let Some(why) = form {
                        return Err(self.unusable(why));
                    }
                    let (sink, trees) = self.segment.lend(&mut self.open)?;
                    block = Some(Block::new(found, sink, trees));
                }
            }
        }
        self.table = Some(name.table);
        self.mode = Mode::CopyLine(block);
        Ok(())
    }

    fn leave_copy(&mut self) {
        if let Mode::Rows(block) = std::mem::replace(&mut self.mode, Mode::Statements) {
            self.segment
                .keep(self.table.clone().unwrap_or_default(), block);
        }
        self.lexer.start_line();
    }

    /// Where the text ends so far, for the message that it ends there.
    pub(super) fn place(&self) -> String {
        let table = self.table.as_deref().map(|table| table.escape_default());
        match (&self.mode, table) {
            (Mode::Statements, None) if self.lexer.in_statement() => {
                "inside a statement before its first table".to_owned()
            }
            (Mode::Statements, None) => "before its first table".to_owned(),
            (Mode::Statements, Some(table)) if self.lexer.in_statement() => {
                format!("inside a statement after table {table}")
            }
            (Mode::Statements, Some(table)) => format!("after table {table}"),
            (_, Some(table)) => format!("inside table {table}"),
            (_, None) => "inside a table".to_owned(),
        }
    }

    /// The text has ended: the rows of the FOSSology database in it, if all of them were there.
    pub(super) fn finish(mut self) -> Result<(S, DumpFacts), CatalogError> {
        let begins = BEGINNINGS
            .iter()
            .any(|text| text.starts_with(&self.beginning));
        if !self.recognised && !begins {
            return Err(self.not_a_dump());
        }
        if !self.ending.is_whole()
            || self.lexer.in_statement()
            || !matches!(self.mode, Mode::Statements)
        {
            return Err(CatalogError::Cut {
                place: self.place(),
                origin: self.origin,
                source: None,
            });
        }
        self.close_segment(None);
        self.choose()
    }

    /// Finds the one database that is FOSSology's.
    fn choose(mut self) -> Result<(S, DumpFacts), CatalogError> {
        let mut ours = Vec::new();
        let mut unusable = None;
        let mut nearest = (0, format!("table {}", REQUIRED[0]));
        for verdict in std::mem::take(&mut self.closed) {
            match verdict {
                Verdict::Ours(sink, facts) => ours.push((sink, facts)),
                Verdict::Unusable(why) => unusable = unusable.or(Some(why)),
                Verdict::Other { score, lacks } if score >= nearest.0 => {
                    nearest = (score + 1, lacks);
                }
                Verdict::Other { .. } => {}
            }
        }
        if ours.len() > 1 {
            let names = ours
                .iter()
                .filter_map(|(_, facts)| facts.database.clone())
                .collect();
            ours.retain(|(_, facts)| self.is_preferred(facts));
            if ours.len() != 1 {
                return Err(CatalogError::SeveralDatabases {
                    origin: self.origin,
                    names,
                });
            }
        }
        match (ours.pop(), unusable) {
            (Some((sink, mut facts)), _) => {
                let name = facts.database.as_deref().unwrap_or_default();
                if let Some(creation) = self.creations.remove(name) {
                    facts.creation = creation;
                }
                Ok((sink, facts))
            }
            (None, Some(why)) => Err(self.unusable(&why)),
            (None, None) => Err(CatalogError::NotFossology {
                origin: self.origin,
                what: nearest.1,
            }),
        }
    }

    fn is_preferred(&self, facts: &DumpFacts) -> bool {
        self.prefer.is_some() && facts.database.as_deref() == self.prefer
    }

    fn unusable(&self, why: &str) -> CatalogError {
        CatalogError::UnusableDump {
            origin: self.origin.clone(),
            why: why.to_owned(),
        }
    }

    fn not_a_dump(&self) -> CatalogError {
        CatalogError::NotADump {
            path: PathBuf::from(&self.origin),
        }
    }
}
