//! Cuts what stands outside a dump's COPY data into statements, comments, meta-commands and blank
//! lines, the way `psql` does.
//!
//! A dump is cut by quoting rules alone: text in a string, a function's body or a comment may look
//! like any statement and is none. The lexer takes its input in pieces of any size and keeps at
//! most [`STATEMENT_LIMIT`] bytes of a statement, so that no statement costs memory. It does not
//! know what a statement means.

use memchr::{memchr, memchr2};

/// The most bytes that are kept of a statement: more than a COPY statement with PostgreSQL's 1600
/// columns, each with a quoted name of 63 bytes, can have.
pub(super) const STATEMENT_LIMIT: usize = 256 * 1024;

/// The most bytes that are kept of a comment line, a meta-command or the tag of a dollar quote.
const LINE_LIMIT: usize = 8 * 1024;

/// The longest word that the lexer itself must know.
const WORD_LIMIT: usize = 16;

/// What the lexer has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A statement has ended at its semicolon. [`Lexer::text`] is the statement without comments
    /// and without the bodies of dollar quotes; its strings are in the standard form, in which
    /// only a quote is doubled.
    Statement,
    /// A `--` line outside a statement; [`Lexer::text`] is all of it but the line's end.
    Comment,
    /// A backslash command at the start of a line; [`Lexer::text`] is all of it but the line's end.
    Meta,
    /// An empty line outside a statement.
    Blank,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In a statement or between two, outside of all quotes.
    Code,
    /// After a `-` that may begin a comment.
    Dash,
    /// After a `/` that may begin a comment.
    Slash,
    /// In `'…'`; `backslashes`: they escape; `escaped`: the last byte was one that does.
    Single { backslashes: bool, escaped: bool },
    /// In `"…"`.
    Double,
    /// After a `$` that may begin a dollar quote; its tag so far is in `line`.
    Tag,
    /// In a dollar quote; `matched`: how many bytes of the closing `$tag$` have been seen.
    Dollar { matched: usize },
    /// In a `--` comment; `alone`: outside a statement.
    Comment { alone: bool },
    /// In a `/* */` comment; `last`: the byte before, when it may be half of a bracket.
    Block { depth: u32, last: u8 },
    /// In a backslash command.
    Meta,
}

/// An incremental lexer. See the module.
#[derive(Debug)]
pub(super) struct Lexer {
    state: State,
    statement: Vec<u8>,
    line: Vec<u8>,
    spent: Option<Event>,
    at_line_start: bool,
    backslashes: bool,
    /// The last two bytes of code, for `E'…'` and for `a$b`.
    last: [u8; 2],
    /// How the string that ended just before this byte treated backslashes: `''` goes on with it.
    closed: Option<bool>,
    parentheses: u32,
    word: Vec<u8>,
    opening: Opening,
    begins: u32,
}

/// How far a statement's first words say that it makes a function, whose body may hold semicolons
/// between `BEGIN ATOMIC` and `END`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opening {
    Start,
    Create,
    CreateOr,
    CreateOrReplace,
    Routine,
    Other,
}

impl Lexer {
    /// A lexer at the start of a dump.
    pub(super) fn new() -> Lexer {
        Lexer {
            state: State::Code,
            statement: Vec::new(),
            line: Vec::new(),
            spent: None,
            at_line_start: true,
            backslashes: false,
            last: [0; 2],
            closed: None,
            parentheses: 0,
            word: Vec::new(),
            opening: Opening::Start,
            begins: 0,
        }
    }

    /// Whether backslashes escape in plain strings too: `standard_conforming_strings` is off.
    pub(super) fn set_backslashes(&mut self, escape: bool) {
        self.backslashes = escape;
    }

    /// The next byte begins a line: COPY data, which the lexer does not see, has ended before it.
    pub(super) fn start_line(&mut self) {
        self.at_line_start = true;
    }

    /// The text of the event that [`Lexer::step`] has just returned.
    pub(super) fn text(&self) -> &[u8] {
        match self.spent {
            Some(Event::Statement) => &self.statement,
            _ => &self.line,
        }
    }

    /// Whether the input so far ends within a statement.
    pub(super) fn in_statement(&self) -> bool {
        match self.state {
            State::Comment { alone } => !alone,
            State::Meta => false,
            State::Code => self.spent.is_none() && !self.statement.is_empty(),
            _ => true,
        }
    }

    /// Reads on until the next event or the end of `input`; returns how many bytes it took.
    pub(super) fn step(&mut self, input: &[u8]) -> (usize, Option<Event>) {
        self.forget_spent();
        let mut at = 0;
        while at < input.len() {
            let (taken, event) = self.advance(&input[at..]);
            at += taken;
            if event.is_some() {
                self.spent = event;
                return (at, event);
            }
        }
        (at, None)
    }

    fn forget_spent(&mut self) {
        match self.spent.take() {
            Some(Event::Statement) => {
                self.statement.clear();
                self.word.clear();
                self.last = [0; 2];
                self.closed = None;
                self.opening = Opening::Start;
                self.begins = 0;
                self.parentheses = 0;
            }
            Some(_) => self.line.clear(),
            None => {}
        }
    }

    /// One step of the state machine: at least one byte is taken, or the state changes.
    fn advance(&mut self, input: &[u8]) -> (usize, Option<Event>) {
        match self.state {
            State::Code => self.code(input[0]),
            State::Dash => {
                if input[0] == b'-' {
                    self.end_word();
                    let alone = self.statement.is_empty();
                    if alone {
                        self.line.clear();
                        self.line.extend_from_slice(b"--");
                    }
                    self.state = State::Comment { alone };
                    (1, None)
                } else {
                    self.push_code(b'-');
                    self.state = State::Code;
                    (0, None)
                }
            }
            State::Slash => {
                if input[0] == b'*' {
                    self.end_word();
                    self.state = State::Block { depth: 1, last: 0 };
                    (1, None)
                } else {
                    self.push_code(b'/');
                    self.state = State::Code;
                    (0, None)
                }
            }
            State::Single {
                backslashes,
                escaped,
            } => (self.single(input, backslashes, escaped), None),
            State::Double => {
                let (text, closed) = up_to(input, memchr(b'"', input));
                self.keep(text);
                if closed {
                    self.state = State::Code;
                }
                (text.len(), None)
            }
            State::Tag => (self.tag(input[0]), None),
            State::Dollar { matched } => (self.dollar(input, matched), None),
            State::Comment { alone } => self.comment(input, alone),
            State::Block { depth, last } => {
                self.block_comment(input[0], depth, last);
                (1, None)
            }
            State::Meta => {
                let (text, ended) = up_to(input, memchr(b'\n', input));
                self.keep_line(if ended { &text[..text.len() - 1] } else { text });
                if ended {
                    self.state = State::Code;
                    self.at_line_start = true;
                    return (text.len(), Some(Event::Meta));
                }
                (text.len(), None)
            }
        }
    }

    fn code(&mut self, byte: u8) -> (usize, Option<Event>) {
        if self.statement.is_empty() {
            let line_start = std::mem::replace(&mut self.at_line_start, byte == b'\n');
            match byte {
                b'\n' if line_start => {
                    self.line.clear();
                    return (1, Some(Event::Blank));
                }
                b'\\' if line_start => {
                    self.line.clear();
                    self.line.push(byte);
                    self.state = State::Meta;
                    return (1, None);
                }
                _ if byte.is_ascii_whitespace() => return (1, None),
                _ => {}
            }
        } else {
            self.at_line_start = byte == b'\n';
        }
        let closed = self.closed.take();
        if !in_word(byte) {
            self.end_word();
        }
        match byte {
            b'-' => self.state = State::Dash,
            b'/' => self.state = State::Slash,
            b'\'' => {
                let marked = matches!(self.last[1], b'e' | b'E') && !in_word(self.last[0]);
                let backslashes = closed.unwrap_or(marked || self.backslashes);
                self.push_code(byte);
                self.state = State::Single {
                    backslashes,
                    escaped: false,
                };
            }
            b'"' => {
                self.push_code(byte);
                self.state = State::Double;
            }
            b'$' if !in_word(self.last[1]) => {
                self.line.clear();
                self.line.push(byte);
                self.state = State::Tag;
            }
            b';' if self.parentheses == 0 && self.begins == 0 => {
                self.at_line_start = false;
                return (1, Some(Event::Statement));
            }
            _ => {
                match byte {
                    b'(' => self.parentheses += 1,
                    b')' => self.parentheses = self.parentheses.saturating_sub(1),
                    _ if in_word(byte) && self.word.len() < WORD_LIMIT => {
                        self.word.push(byte.to_ascii_lowercase());
                    }
                    _ => {}
                }
                self.push_code(byte);
            }
        }
        (1, None)
    }

    /// Takes note of a word that has just ended, as `psql` does to find a function's body.
    fn end_word(&mut self) {
        if self.word.is_empty() {
            return;
        }
        let word = self.word.as_slice();
        self.opening = match (self.opening, word) {
            (Opening::Start, b"create") => Opening::Create,
            (Opening::Create, b"or") => Opening::CreateOr,
            (Opening::CreateOr, b"replace") => Opening::CreateOrReplace,
            (Opening::Create | Opening::CreateOrReplace, b"function" | b"procedure") => {
                Opening::Routine
            }
            (Opening::Routine, _) => Opening::Routine,
            _ => Opening::Other,
        };
        if self.opening == Opening::Routine && self.parentheses == 0 {
            match word {
                b"begin" => self.begins += 1,
                b"case" if self.begins > 0 => self.begins += 1,
                b"end" => self.begins = self.begins.saturating_sub(1),
                _ => {}
            }
        }
        self.word.clear();
    }

    fn single(&mut self, input: &[u8], backslashes: bool, escaped: bool) -> usize {
        if escaped {
            if input[0] == b'\'' {
                self.keep(b"''");
            } else {
                self.keep(&input[..1]);
            }
            self.state = State::Single {
                backslashes,
                escaped: false,
            };
            return 1;
        }
        let stop = if backslashes {
            memchr2(b'\'', b'\\', input)
        } else {
            memchr(b'\'', input)
        };
        let Some(stop) = stop else {
            self.keep(input);
            return input.len();
        };
        self.keep(&input[..stop]);
        if input[stop] == b'\'' {
            self.push_code(b'\'');
            self.closed = Some(backslashes);
            self.state = State::Code;
        } else {
            self.state = State::Single {
                backslashes,
                escaped: true,
            };
        }
        stop + 1
    }

    fn tag(&mut self, byte: u8) -> usize {
        if byte == b'$' {
            self.line.push(byte);
            self.state = State::Dollar { matched: 0 };
            return 1;
        }
        let first = self.line.len() == 1;
        if in_word(byte) && !(first && byte.is_ascii_digit()) && self.line.len() < LINE_LIMIT {
            self.line.push(byte);
            return 1;
        }
        let plain = std::mem::take(&mut self.line);
        for byte in plain {
            self.push_code(byte);
        }
        self.state = State::Code;
        0
    }

    fn dollar(&mut self, input: &[u8], mut matched: usize) -> usize {
        let mut at = 0;
        while at < input.len() {
            if matched == 0 {
                match memchr(b'$', &input[at..]) {
                    Some(found) => at += found + 1,
                    None => return self.stay_in_dollar(0, input.len()),
                }
                matched = 1;
                continue;
            }
            // A tag holds no dollar sign, so a mismatch can only go back to the first byte.
            if input[at] == self.line[matched] {
                matched += 1;
            } else {
                matched = usize::from(input[at] == b'$');
            }
            at += 1;
            if matched == self.line.len() {
                self.keep(b"''");
                self.last = [0; 2];
                self.line.clear();
                self.state = State::Code;
                return at;
            }
        }
        self.stay_in_dollar(matched, at)
    }

    fn stay_in_dollar(&mut self, matched: usize, taken: usize) -> usize {
        self.state = State::Dollar { matched };
        taken
    }

    fn comment(&mut self, input: &[u8], alone: bool) -> (usize, Option<Event>) {
        let (text, ended) = up_to(input, memchr(b'\n', input));
        if alone {
            self.keep_line(if ended { &text[..text.len() - 1] } else { text });
        }
        if !ended {
            return (text.len(), None);
        }
        self.state = State::Code;
        self.at_line_start = true;
        if alone {
            return (text.len(), Some(Event::Comment));
        }
        self.push_code(b'\n');
        (text.len(), None)
    }

    fn block_comment(&mut self, byte: u8, depth: u32, last: u8) {
        self.state = match (last, byte) {
            (b'/', b'*') => State::Block {
                depth: depth.saturating_add(1),
                last: 0,
            },
            (b'*', b'/') if depth == 1 => {
                if !self.statement.is_empty() {
                    self.push_code(b' ');
                }
                self.at_line_start = false;
                State::Code
            }
            (b'*', b'/') => State::Block {
                depth: depth - 1,
                last: 0,
            },
            _ => State::Block { depth, last: byte },
        };
    }

    fn push_code(&mut self, byte: u8) {
        self.last = [self.last[1], byte];
        self.keep(&[byte]);
    }

    fn keep(&mut self, text: &[u8]) {
        let room = STATEMENT_LIMIT - self.statement.len();
        self.statement
            .extend_from_slice(&text[..text.len().min(room)]);
    }

    fn keep_line(&mut self, text: &[u8]) {
        let room = LINE_LIMIT - self.line.len();
        self.line.extend_from_slice(&text[..text.len().min(room)]);
    }
}

/// `input` up to and with the byte at `stop`, and whether there is one.
fn up_to(input: &[u8], stop: Option<usize>) -> (&[u8], bool) {
    match stop {
        Some(stop) => (&input[..=stop], true),
        None => (input, false),
    }
}

/// Whether `byte` can stand within an identifier.
pub(super) fn in_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(text: &[u8], piece: usize, backslashes: bool) -> (Vec<(Event, String)>, bool) {
        let mut lexer = Lexer::new();
        lexer.set_backslashes(backslashes);
        let mut found = Vec::new();
        for mut piece in text.chunks(piece) {
            while !piece.is_empty() {
                let (taken, event) = lexer.step(piece);
                piece = &piece[taken..];
                if let Some(event) = event {
                    let text = String::from_utf8_lossy(lexer.text()).into_owned();
                    found.push((event, text));
                }
            }
        }
        (found, lexer.in_statement())
    }

    fn statements(text: &str) -> Vec<String> {
        let whole = events(text.as_bytes(), usize::MAX, false);
        for piece in 1..6 {
            assert_eq!(
                events(text.as_bytes(), piece, false),
                whole,
                "in pieces of {piece}"
            );
        }
        whole
            .0
            .into_iter()
            .filter(|(event, _)| *event == Event::Statement)
            .map(|(_, text)| text)
            .collect()
    }

    #[test]
    fn ends_statements_at_semicolons_outside_quotes() {
        assert_eq!(
            statements("SET a = ';';\nSELECT \"x;\"\"y\", 'it''s; ';\n\nSELECT 1-2/3;"),
            [
                "SET a = ';'",
                "SELECT \"x;\"\"y\", 'it''s; '",
                "SELECT 1-2/3"
            ]
        );
    }

    #[test]
    fn backslashes_escape_only_in_e_strings() {
        assert_eq!(
            statements(r"SELECT E'a\';b''c\'', ';', 'x\'; SELECT type'\'; SELECT e'\\';"),
            [
                r"SELECT E'a'';b''c''', ';', 'x\'",
                r"SELECT type'\'",
                r"SELECT e'\'"
            ]
        );
    }

    #[test]
    fn backslashes_escape_everywhere_without_standard_conforming_strings() {
        let (found, open) = events(br"SELECT 'a\';b'; SELECT 2;", 3, true);
        assert_eq!(found[0].1, r"SELECT 'a'';b'");
        assert_eq!(found.len(), 2);
        assert!(!open);
    }

    #[test]
    fn dollar_quotes_hide_everything() {
        assert_eq!(
            statements(
                "CREATE FUNCTION f() AS $_$COPY pfile FROM stdin;\n$ $_ $$ -- '\n$_$;\nSELECT $$;'$$, a$b$, $1;"
            ),
            ["CREATE FUNCTION f() AS ''", "SELECT '', a$b$, $1"]
        );
        assert_eq!(statements("SELECT $a$$a$a$;"), ["SELECT ''a$"]);
    }

    #[test]
    fn comments_hide_everything() {
        assert_eq!(
            statements("/* a /* COPY x FROM stdin; */ ' */ SELECT /* ; */1 -- ;'\n, 2;--x;\n"),
            ["SELECT  1 \n, 2"]
        );
    }

    #[test]
    fn functions_with_an_sql_body_are_one_statement() {
        assert_eq!(
            statements(
                "CREATE OR REPLACE FUNCTION f() RETURNS int\nBEGIN ATOMIC\n SELECT CASE WHEN true THEN 1 END;\n INSERT INTO pfile VALUES (1);\nEND;\nSELECT 2;"
            )
            .len(),
            2
        );
        assert_eq!(
            statements("BEGIN; COMMIT; CREATE RULE r DO (a; b); END;").len(),
            4
        );
    }

    #[test]
    fn meta_commands_stand_at_the_start_of_a_line_outside_statements() {
        let text = b"\\restrict k\nSELECT 1,\n\\connect no\n;\n\\connect yes\n\n-- end\n--";
        for piece in [1, 2, 5, 100] {
            let (found, open) = events(text, piece, false);
            let short: Vec<_> = found
                .iter()
                .map(|(event, text)| (*event, text.as_str()))
                .collect();
            assert_eq!(
                short,
                [
                    (Event::Meta, "\\restrict k"),
                    (Event::Statement, "SELECT 1,\n\\connect no\n"),
                    (Event::Meta, "\\connect yes"),
                    (Event::Blank, ""),
                    (Event::Comment, "-- end"),
                ]
            );
            assert!(!open);
        }
    }

    #[test]
    fn a_statement_that_goes_on_is_known() {
        for open in [
            "SELECT 1",
            "SELECT '",
            "SELECT $$ ;",
            "/* ",
            "SELECT 1; X",
            "A -- b",
        ] {
            assert!(events(open.as_bytes(), 1, false).1, "{open}");
        }
        for closed in ["", "SELECT 1;", "SELECT 1;\n\n", "-- x", "\\connect x"] {
            assert!(!events(closed.as_bytes(), 1, false).1, "{closed}");
        }
    }

    #[test]
    fn long_statements_are_kept_in_part_only() {
        let mut lexer = Lexer::new();
        let piece = [b'a'; 1000];
        for _ in 0..1000 {
            lexer.step(&piece);
        }
        let (_, event) = lexer.step(b"; ");
        assert_eq!(event, Some(Event::Statement));
        assert_eq!(lexer.text().len(), STATEMENT_LIMIT);
    }
}
