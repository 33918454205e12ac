//! A dump as what it is for a server: statements, and the rows that follow some of them.
//!
//! Where [`super::read`] looks for the rows that a catalog is made of, a [`Script`] gives all that
//! stands in the dump, byte for byte, so that somebody can run it. It knows no more of it than where
//! a statement ends; what is run is for the caller to say. It does not prove that the dump is whole:
//! who runs it has read it before.

use memchr::{memchr, memmem};

use super::input::{Block, Feed};
use super::lexer::{Event, Lexer};
use super::statement::{Meta, Statement, parse, parse_meta};
use super::{DumpOptions, Input};
use crate::catalog::CatalogError;
use crate::monitor::Monitor;

/// The longest statement that is taken: more than any that makes a table or function.
const STATEMENT_LIMIT: usize = 64 << 20;

/// A piece of a dump.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// What follows belongs to another database.
    Connect(String),
    /// A backslash command that only a person would write.
    Command(Vec<u8>),
    /// A statement.
    Statement {
        /// As it stands in the dump, without the semicolon.
        text: Vec<u8>,
        /// As the lexer hands it over: without comments and bodies, for [`super::tokens`].
        plain: Vec<u8>,
    },
    /// `COPY … FROM stdin`: rows follow, which [`Script::rows`] gives.
    Copy {
        /// The statement, without the semicolon.
        text: Vec<u8>,
        /// The table.
        table: String,
    },
}

/// Where in a COPY block the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// On the line of the statement.
    StatementLine,
    /// At the start of a line.
    LineStart,
    /// Behind a backslash at the start of a line.
    Backslash,
    /// Within a line.
    Within,
    /// On the line that ends the block.
    LastLine,
}

/// See the module.
pub(crate) struct Script {
    origin: String,
    feed: Feed,
    block: Option<Block>,
    at: usize,
    lexer: Lexer,
    /// The bytes of the statement so far.
    raw: Vec<u8>,
    /// Set within a COPY block.
    place: Option<Place>,
}

impl Script {
    /// Starts reading.
    pub(crate) fn start(input: Input, options: &DumpOptions) -> Result<Script, CatalogError> {
        Ok(Script {
            origin: input.origin(),
            feed: input.start(options)?,
            block: None,
            at: 0,
            lexer: Lexer::new(),
            raw: Vec::new(),
            place: None,
        })
    }

    /// The next piece; `None` at the end. Rows that nobody asked for are passed over.
    pub(crate) fn next(&mut self, monitor: &dyn Monitor) -> Result<Option<Piece>, CatalogError> {
        while self.place.is_some() && self.rows(monitor, |_| Ok(()))? {}
        loop {
            if !self.fill(monitor)? {
                return Ok(None);
            }
            let Some(block) = &self.block else {
                return Ok(None);
            };
            let text = &block[self.at..];
            let (taken, event) = self.lexer.step(text);
            self.raw.extend_from_slice(&text[..taken]);
            self.at += taken;
            if self.raw.len() > STATEMENT_LIMIT {
                return Err(self.unusable("it has a statement of more than 64 MiB"));
            }
            if let Some(event) = event
                && let Some(piece) = self.piece(event)
            {
                return Ok(Some(piece));
            }
        }
    }

    /// Hands over some of the rows that follow a COPY statement; whether there may be more.
    pub(crate) fn rows<E: From<CatalogError>>(
        &mut self,
        monitor: &dyn Monitor,
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<bool, E> {
        let Some(mut place) = self.place else {
            return Ok(false);
        };
        if !self.fill(monitor)? {
            return Err(E::from(self.unusable("it ends within the rows of a table")));
        }
        let Some(block) = &self.block else {
            return Ok(false);
        };
        let mut text = &block[self.at..];
        let ended = loop {
            match place.step(text, &mut take)? {
                (taken, Some(next)) => {
                    place = next;
                    text = &text[taken..];
                }
                (taken, None) => {
                    text = &text[taken..];
                    break true;
                }
            }
            if text.is_empty() {
                break false;
            }
        };
        self.at = block.len() - text.len();
        self.place = (!ended).then_some(place);
        if ended {
            self.lexer.start_line();
        }
        Ok(!ended)
    }

    /// Makes sure that there is text to look at; false at the end.
    fn fill(&mut self, monitor: &dyn Monitor) -> Result<bool, CatalogError> {
        loop {
            if let Some(block) = &self.block {
                if self.at < block.len() {
                    return Ok(true);
                }
                if let Some(block) = self.block.take() {
                    self.feed.recycle(block);
                }
            }
            self.at = 0;
            let place = || "before its end".to_owned();
            self.block = self
                .feed
                .next(monitor)
                .map_err(|fault| fault.at(self.origin.clone(), place()))?;
            if self.block.is_none() {
                return Ok(false);
            }
        }
    }

    /// What an event of the lexer is, when it is anything to run.
    fn piece(&mut self, event: Event) -> Option<Piece> {
        let raw = std::mem::take(&mut self.raw);
        match event {
            Event::Comment | Event::Blank => None,
            Event::Meta => match parse_meta(self.lexer.text()) {
                Meta::Connect(database) => {
                    self.lexer.set_backslashes(false);
                    Some(Piece::Connect(database))
                }
                Meta::Restrict(_) | Meta::Unrestrict(_) => None,
                Meta::Other => Some(Piece::Command(raw)),
            },
            Event::Statement => {
                let text = raw.trim_ascii_start();
                let text = text.strip_suffix(b";").unwrap_or(text).to_vec();
                let plain = self.lexer.text();
                match parse(plain) {
                    Statement::Copy { name, .. } => {
                        self.place = Some(Place::StatementLine);
                        Some(Piece::Copy {
                            text,
                            table: name.table,
                        })
                    }
                    parsed => {
                        let plain = plain.to_vec();
                        if let Statement::StandardStrings(on) = parsed {
                            self.lexer.set_backslashes(!on);
                        }
                        Some(Piece::Statement { text, plain })
                    }
                }
            }
        }
    }

    fn unusable(&self, why: &str) -> CatalogError {
        CatalogError::UnusableDump {
            origin: self.origin.clone(),
            why: why.to_owned(),
        }
    }
}

impl Place {
    /// Reads on in `text`, which is not empty: how much was taken, and where that leads; `None`:
    /// behind the block. Rows go to `take`; the line that ends them does not.
    fn step<E>(
        self,
        text: &[u8],
        take: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(usize, Option<Place>), E> {
        match self {
            Place::StatementLine => Ok(match memchr(b'\n', text) {
                Some(end) => (end + 1, Some(Place::LineStart)),
                None => (text.len(), Some(self)),
            }),
            Place::LineStart if text[0] == b'\\' => Ok((1, Some(Place::Backslash))),
            Place::LineStart | Place::Within => match memmem::find(text, b"\n\\") {
                // Whether the backslash begins the last line is not known yet.
                Some(end) => {
                    take(&text[..=end])?;
                    Ok((end + 2, Some(Place::Backslash)))
                }
                None => {
                    take(text)?;
                    let next = match text.last() {
                        Some(b'\n') => Place::LineStart,
                        _ => Place::Within,
                    };
                    Ok((text.len(), Some(next)))
                }
            },
            Place::Backslash if text[0] == b'.' => Ok((1, Some(Place::LastLine))),
            Place::Backslash => {
                take(b"\\")?;
                Ok((0, Some(Place::Within)))
            }
            Place::LastLine => Ok(match memchr(b'\n', text) {
                Some(end) => (end + 1, None),
                None => (text.len(), Some(self)),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::monitor::Silent;

    const DUMP: &str = "--\n-- PostgreSQL database dump\n--\n\n\\restrict abc\nSET a = 'x;y'; -- why\n\
        CREATE FUNCTION f() RETURNS int AS $$SELECT 1; -- ;$$;\n\\connect b\n\\! rm -rf /\n\
        COPY public.t (a, b) FROM stdin;\n\\N\t1\nx\\\\.\t2\n\\\\.\t3\n\\.\n\nSELECT 1;\n\
        COPY public.e (a) FROM stdin;\n\\.\n\\unrestrict abc\n";

    /// A source that gives a few bytes at a time.
    struct Dribble(Cursor<Vec<u8>>, usize);

    impl std::io::Read for Dribble {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let most = buffer.len().min(self.1);
            self.0.read(&mut buffer[..most])
        }
    }

    fn play(text: &str) -> Vec<String> {
        let input = Input::from_reader("a dump", Cursor::new(text.as_bytes().to_vec()));
        let mut script = Script::start(input, &DumpOptions::default()).unwrap();
        let mut seen = Vec::new();
        while let Some(piece) = script.next(&Silent).unwrap() {
            seen.push(match piece {
                Piece::Connect(name) => format!("connect {name}"),
                Piece::Command(text) => format!("command {}", text.escape_ascii()),
                Piece::Statement { text, .. } => String::from_utf8(text).unwrap(),
                Piece::Copy { table, text } => {
                    let mut rows = String::from_utf8(text).unwrap() + "|" + &table + "|";
                    let mut take = |some: &[u8]| -> Result<(), CatalogError> {
                        rows.push_str(std::str::from_utf8(some).unwrap());
                        Ok(())
                    };
                    while script.rows(&Silent, &mut take).unwrap() {}
                    rows
                }
            });
        }
        seen
    }

    #[test]
    fn statements_and_rows() {
        assert_eq!(
            play(DUMP),
            [
                "SET a = 'x;y'",
                "CREATE FUNCTION f() RETURNS int AS $$SELECT 1; -- ;$$",
                "connect b",
                "command \\\\! rm -rf /\\n",
                "COPY public.t (a, b) FROM stdin|t|\\N\t1\nx\\\\.\t2\n\\\\.\t3\n",
                "SELECT 1",
                "COPY public.e (a) FROM stdin|e|",
            ]
        );
    }

    #[test]
    fn rows_that_nobody_takes_are_passed_over() {
        let input = Input::from_reader("a dump", Dribble(Cursor::new(DUMP.into()), 7));
        let mut script = Script::start(input, &DumpOptions::default()).unwrap();
        let mut count = 0;
        while script.next(&Silent).unwrap().is_some() {
            count += 1;
        }
        assert_eq!(count, 7);
    }

    #[test]
    fn a_block_may_be_cut_anywhere() {
        let rows = "\nx\ty\n\\N\tz\n\n\\\\.\n\\n\n\\.\n";
        for first in 0..rows.len() {
            for second in first..rows.len() {
                let mut taken = String::new();
                let mut place = Some(Place::StatementLine);
                let mut take = |some: &[u8]| -> Result<(), ()> {
                    taken.push_str(std::str::from_utf8(some).unwrap());
                    Ok(())
                };
                let bytes = rows.as_bytes();
                for piece in [&bytes[..first], &bytes[first..second], &bytes[second..]] {
                    let mut text = piece;
                    while let Some(at) = place.filter(|_| !text.is_empty()) {
                        let (length, next) = at.step(text, &mut take).unwrap();
                        text = &text[length..];
                        place = next;
                    }
                }
                assert_eq!(place, None, "{first} {second}");
                assert_eq!(taken, "x\ty\n\\N\tz\n\n\\\\.\n\\n\n", "{first} {second}");
            }
        }
    }

    #[test]
    fn an_end_within_rows() {
        let input = Input::from_reader(
            "a dump",
            Cursor::new(b"COPY t (a) FROM stdin;\n1\n".to_vec()),
        );
        let mut script = Script::start(input, &DumpOptions::default()).unwrap();
        script.next(&Silent).unwrap();
        assert!(script.next(&Silent).is_err());
    }
}
