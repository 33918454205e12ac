//! What a statement or a meta-command of a dump means for its reader.
//!
//! Only the statements that decide which rows belong to which table are known: COPY, CREATE TABLE
//! with its parents, INSERT, and the settings that change how names and strings are read.
//! Everything else is [`Statement::Other`].

use super::Creation;
use super::lexer::in_word;

/// The name of a table, as far as the statement gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TableName {
    /// The schema, when the name has one.
    pub(super) schema: Option<String>,
    /// The table.
    pub(super) table: String,
}

/// What a statement means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Statement {
    /// `COPY … FROM stdin`: rows follow.
    Copy {
        /// The table.
        name: TableName,
        /// Its columns, in the order of the fields.
        columns: Vec<String>,
        /// Why the rows are not in the plain text form, when they are not.
        form: Option<&'static str>,
    },
    /// A table is made, or made the child of others.
    CreateTable {
        /// The table.
        name: TableName,
        /// Those that it inherits from.
        parents: Vec<TableName>,
    },
    /// A row in the form that [`super::read`] does not take.
    Insert {
        /// The table.
        name: TableName,
    },
    /// A database is made.
    CreateDatabase {
        /// Its name.
        name: String,
        /// How it stores and sorts text.
        creation: Creation,
    },
    /// A function is made.
    CreateFunction {
        /// Its name.
        name: TableName,
    },
    /// An extension is asked for.
    CreateExtension(String),
    /// The text of the dump is in this encoding.
    ClientEncoding(String),
    /// Names without schema now belong to this one; `None`: to none.
    SearchPath(Option<String>),
    /// `standard_conforming_strings`
    StandardStrings(bool),
    /// Nothing that matters.
    Other,
}

/// What a backslash command means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meta {
    /// What follows belongs to this database.
    Connect(String),
    /// Only `\unrestrict` with this key is a command from here on.
    Restrict(Vec<u8>),
    /// The end of that.
    Unrestrict(Vec<u8>),
    /// Nothing that matters.
    Other,
}

/// A piece of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// An unquoted word, in lower case.
    Word(String),
    /// A quoted identifier.
    Quoted(String),
    /// A string.
    Text(String),
    /// Any other byte.
    Mark(u8),
}

/// The pieces of a statement as the lexer hands it over.
pub(crate) fn tokens(text: &[u8]) -> impl Iterator<Item = Token> {
    let mut tokens = Tokens { text };
    std::iter::from_fn(move || tokens.next())
}

/// Understands a statement as the lexer hands it over.
pub(super) fn parse(text: &[u8]) -> Statement {
    let mut tokens = Tokens { text };
    let Some(Token::Word(verb)) = tokens.next() else {
        return Statement::Other;
    };
    let parsed = match verb.as_str() {
        "copy" => copy(tokens),
        "create" => create(tokens),
        "alter" => alter_table(tokens),
        "insert" => insert(tokens),
        "set" => set(tokens),
        "select" => select(tokens),
        _ => None,
    };
    parsed.unwrap_or(Statement::Other)
}

fn copy(mut tokens: Tokens<'_>) -> Option<Statement> {
    let first = tokens.next()?;
    let (name, mut next) = table_name(first, &mut tokens)?;
    let mut columns = Vec::new();
    if next == Some(Token::Mark(b'(')) {
        loop {
            columns.push(identifier(tokens.next()?)?);
            match tokens.next()? {
                Token::Mark(b',') => {}
                Token::Mark(b')') => break,
                _ => return None,
            }
        }
        next = tokens.next();
    }
    let mut form = None;
    if is_word(next.as_ref(), "with") && is_word(tokens.next().as_ref(), "oids") {
        form = Some("it was made with --oids; make it without");
        next = tokens.next();
    }
    if !is_word(next.as_ref(), "from") || !is_word(tokens.next().as_ref(), "stdin") {
        return None;
    }
    if tokens.next().is_some() {
        form = form.or(Some(
            "its COPY statements have options that pg_dump never gives",
        ));
    }
    Some(Statement::Copy {
        name,
        columns,
        form,
    })
}

fn create(mut tokens: Tokens<'_>) -> Option<Statement> {
    let mut next = tokens.next()?;
    if is_word(Some(&next), "or") {
        tokens.next()?;
        next = tokens.next()?;
    }
    match &next {
        Token::Word(word) if word == "database" => create_database(tokens),
        Token::Word(word) if word == "function" => {
            let first = tokens.next()?;
            let (name, _) = table_name(first, &mut tokens)?;
            Some(Statement::CreateFunction { name })
        }
        Token::Word(word) if word == "extension" => {
            let mut name = tokens.next()?;
            if is_word(Some(&name), "if") {
                tokens.next()?;
                tokens.next()?;
                name = tokens.next()?;
            }
            Some(Statement::CreateExtension(identifier(name)?))
        }
        _ => create_table(next, tokens),
    }
}

/// `CREATE DATABASE name WITH TEMPLATE = template0 ENCODING = 'UTF8' LC_COLLATE = 'C' …`
fn create_database(mut tokens: Tokens<'_>) -> Option<Statement> {
    let name = identifier(tokens.next()?)?;
    let mut creation = Creation::default();
    let mut setting = String::new();
    while let Some(token) = tokens.next() {
        match token {
            Token::Word(word) => setting = word,
            Token::Text(value) => match setting.as_str() {
                "encoding" => creation.encoding = Some(value),
                "lc_collate" => creation.collate = Some(value),
                "lc_ctype" => creation.ctype = Some(value),
                "locale" => {
                    creation.collate = Some(value.clone());
                    creation.ctype = Some(value);
                }
                _ => {}
            },
            Token::Quoted(_) | Token::Mark(_) => {}
        }
    }
    Some(Statement::CreateDatabase { name, creation })
}

fn create_table(first: Token, mut tokens: Tokens<'_>) -> Option<Statement> {
    let mut next = first;
    while ["unlogged", "foreign"]
        .iter()
        .any(|word| is_word(Some(&next), word))
    {
        next = tokens.next()?;
    }
    if !is_word(Some(&next), "table") {
        return None;
    }
    next = tokens.next()?;
    if is_word(Some(&next), "if") {
        tokens.next()?;
        tokens.next()?;
        next = tokens.next()?;
    }
    let (name, mut next) = table_name(next, &mut tokens)?;
    let mut depth = 0_u32;
    let mut parents = Vec::new();
    while let Some(token) = next {
        match token {
            Token::Mark(b'(') => depth += 1,
            Token::Mark(b')') => depth = depth.saturating_sub(1),
            Token::Word(word) if depth == 0 && word == "inherits" => {
                tokens.next()?;
                loop {
                    let first = tokens.next()?;
                    let (parent, after) = table_name(first, &mut tokens)?;
                    parents.push(parent);
                    if after != Some(Token::Mark(b',')) {
                        break;
                    }
                }
            }
            _ => {}
        }
        next = tokens.next();
    }
    Some(Statement::CreateTable { name, parents })
}

/// `ALTER TABLE [ONLY] name INHERIT parent`: how some tools write what [`create_table`] reads.
fn alter_table(mut tokens: Tokens<'_>) -> Option<Statement> {
    if !is_word(tokens.next().as_ref(), "table") {
        return None;
    }
    let mut first = tokens.next()?;
    if is_word(Some(&first), "only") {
        first = tokens.next()?;
    }
    let (name, next) = table_name(first, &mut tokens)?;
    if !is_word(next.as_ref(), "inherit") {
        return None;
    }
    let first = tokens.next()?;
    let (parent, _) = table_name(first, &mut tokens)?;
    Some(Statement::CreateTable {
        name,
        parents: vec![parent],
    })
}

fn insert(mut tokens: Tokens<'_>) -> Option<Statement> {
    if !is_word(tokens.next().as_ref(), "into") {
        return None;
    }
    let first = tokens.next()?;
    let (name, _) = table_name(first, &mut tokens)?;
    Some(Statement::Insert { name })
}

fn set(mut tokens: Tokens<'_>) -> Option<Statement> {
    let Token::Word(mut setting) = tokens.next()? else {
        return None;
    };
    if setting == "session" {
        let Token::Word(word) = tokens.next()? else {
            return None;
        };
        setting = word;
    }
    match tokens.next()? {
        Token::Mark(b'=') => {}
        Token::Word(to) if to == "to" => {}
        _ => return None,
    }
    let (Token::Word(value) | Token::Quoted(value) | Token::Text(value)) = tokens.next()? else {
        return None;
    };
    match setting.as_str() {
        "search_path" => Some(search_path(value)),
        "client_encoding" => Some(Statement::ClientEncoding(value)),
        "standard_conforming_strings" => Some(Statement::StandardStrings(value != "off")),
        _ => None,
    }
}

fn select(mut tokens: Tokens<'_>) -> Option<Statement> {
    let first = tokens.next()?;
    let (function, next) = table_name(first, &mut tokens)?;
    if function.table != "set_config" || next != Some(Token::Mark(b'(')) {
        return None;
    }
    if tokens.next()? != Token::Text("search_path".to_owned()) {
        return None;
    }
    tokens.next()?;
    let Token::Text(value) = tokens.next()? else {
        return None;
    };
    let first = value
        .split(',')
        .next()
        .unwrap_or_default()
        .trim()
        .trim_matches('"')
        .to_owned();
    Some(search_path(first))
}

fn search_path(first: String) -> Statement {
    Statement::SearchPath((!first.is_empty()).then_some(first))
}

/// A name that begins with `first`, and the token after it.
fn table_name(first: Token, tokens: &mut Tokens<'_>) -> Option<(TableName, Option<Token>)> {
    let first = identifier(first)?;
    let next = tokens.next();
    if next != Some(Token::Mark(b'.')) {
        return Some((
            TableName {
                schema: None,
                table: first,
            },
            next,
        ));
    }
    let table = identifier(tokens.next()?)?;
    Some((
        TableName {
            schema: Some(first),
            table,
        },
        tokens.next(),
    ))
}

fn identifier(token: Token) -> Option<String> {
    match token {
        Token::Word(name) | Token::Quoted(name) => Some(name),
        _ => None,
    }
}

fn is_word(token: Option<&Token>, word: &str) -> bool {
    matches!(token, Some(Token::Word(found)) if found == word)
}

struct Tokens<'a> {
    text: &'a [u8],
}

impl Tokens<'_> {
    fn next(&mut self) -> Option<Token> {
        self.text = self.text.trim_ascii_start();
        let &first = self.text.first()?;
        if first == b'"' || first == b'\'' {
            let value = self.quoted(first);
            return Some(if first == b'"' {
                Token::Quoted(value)
            } else {
                Token::Text(value)
            });
        }
        if !in_word(first) {
            self.text = &self.text[1..];
            return Some(Token::Mark(first));
        }
        let length = self
            .text
            .iter()
            .position(|&byte| !in_word(byte))
            .unwrap_or(self.text.len());
        let (word, rest) = self.text.split_at(length);
        self.text = rest;
        Some(Token::Word(
            String::from_utf8_lossy(word).to_ascii_lowercase(),
        ))
    }

    fn quoted(&mut self, quote: u8) -> String {
        let mut value = Vec::new();
        self.text = &self.text[1..];
        while let Some((&byte, rest)) = self.text.split_first() {
            self.text = rest;
            if byte != quote {
                value.push(byte);
            } else if rest.first() == Some(&quote) {
                value.push(quote);
                self.text = &rest[1..];
            } else {
                break;
            }
        }
        String::from_utf8_lossy(&value).into_owned()
    }
}

/// Understands a backslash command.
pub(super) fn parse_meta(line: &[u8]) -> Meta {
    let mut arguments = Arguments { text: line };
    let Some(verb) = arguments.next() else {
        return Meta::Other;
    };
    match verb.as_slice() {
        b"\\restrict" => Meta::Restrict(arguments.next().unwrap_or_default()),
        b"\\unrestrict" => Meta::Unrestrict(arguments.next().unwrap_or_default()),
        b"\\connect" | b"\\c" => {
            let Some(mut target) = arguments.next() else {
                return Meta::Other;
            };
            if target.starts_with(b"-reuse-previous") {
                let Some(next) = arguments.next() else {
                    return Meta::Other;
                };
                target = next;
            }
            match database_of(&target) {
                Some(name) => Meta::Connect(String::from_utf8_lossy(&name).into_owned()),
                None => Meta::Other,
            }
        }
        _ => Meta::Other,
    }
}

/// The database that an argument of `\connect` names: a name, or `dbname='…'`. `-` is the one that
/// is connected already.
fn database_of(target: &[u8]) -> Option<Vec<u8>> {
    if target == b"-" {
        return None;
    }
    let Some(value) = target.strip_prefix(b"dbname=") else {
        return Some(target.to_vec());
    };
    let (quoted, value) = match value.strip_prefix(b"'") {
        Some(rest) => (true, rest),
        None => (false, value),
    };
    let mut name = Vec::new();
    let mut bytes = value.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => name.extend(bytes.next()),
            b'\'' if quoted => break,
            b' ' if !quoted => break,
            _ => name.push(byte),
        }
    }
    Some(name)
}

/// The arguments of a meta-command: words, of which parts may be quoted.
struct Arguments<'a> {
    text: &'a [u8],
}

impl Arguments<'_> {
    fn next(&mut self) -> Option<Vec<u8>> {
        self.text = self.text.trim_ascii_start();
        if self.text.is_empty() {
            return None;
        }
        let mut value = Vec::new();
        let mut quote = None;
        while let Some((&byte, rest)) = self.text.split_first() {
            match quote {
                None if byte.is_ascii_whitespace() => break,
                None if byte == b'"' || byte == b'\'' => quote = Some(byte),
                Some(open) if byte == open && rest.first() == Some(&open) => {
                    value.push(byte);
                    self.text = &rest[1..];
                    continue;
                }
                Some(open) if byte == open => quote = None,
                _ => value.push(byte),
            }
            self.text = rest;
        }
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(schema: Option<&str>, table: &str) -> TableName {
        TableName {
            schema: schema.map(str::to_owned),
            table: table.to_owned(),
        }
    }

    #[test]
    fn knows_copy_statements() {
        assert_eq!(
            parse(b"COPY public.\"Odd \"\"t\" (a, \"B\") FROM stdin"),
            Statement::Copy {
                name: name(Some("public"), "Odd \"t"),
                columns: vec!["a".into(), "B".into()],
                form: None
            }
        );
        assert_eq!(
            parse(b"copy pfile from STDIN"),
            Statement::Copy {
                name: name(None, "pfile"),
                columns: vec![],
                form: None
            }
        );
        for other in [
            "COPY public.pfile (a) TO stdout",
            "COPY public.pfile (a) FROM '/tmp/x'",
            "COPY (SELECT 1) TO stdout",
            "COPY",
            "COPYRIGHT public.pfile FROM stdin",
        ] {
            assert_eq!(parse(other.as_bytes()), Statement::Other, "{other}");
        }
    }

    #[test]
    fn knows_forms_of_copy_that_it_cannot_read() {
        for odd in [
            "COPY t (a) WITH OIDS FROM stdin",
            "COPY t (a) FROM stdin WITH (FORMAT csv)",
        ] {
            let parsed = parse(odd.as_bytes());
            assert!(
                matches!(parsed, Statement::Copy { form: Some(_), .. }),
                "{odd}: {parsed:?}"
            );
        }
    }

    #[test]
    fn knows_parents_of_tables() {
        assert_eq!(
            parse(b"CREATE TABLE public.uploadtree_a (\n)\nINHERITS (public.uploadtree)"),
            Statement::CreateTable {
                name: name(Some("public"), "uploadtree_a"),
                parents: vec![name(Some("public"), "uploadtree")]
            }
        );
        assert_eq!(
            parse(b"CREATE TABLE t (inherits integer, x numeric(3,2)) INHERITS (a, s.b)"),
            Statement::CreateTable {
                name: name(None, "t"),
                parents: vec![name(None, "a"), name(Some("s"), "b")]
            }
        );
        assert_eq!(
            parse(b"ALTER TABLE ONLY public.uploadtree_7 INHERIT public.uploadtree"),
            Statement::CreateTable {
                name: name(Some("public"), "uploadtree_7"),
                parents: vec![name(Some("public"), "uploadtree")]
            }
        );
        assert_eq!(parse(b"CREATE VIEW public.v AS SELECT 1"), Statement::Other);
        assert_eq!(
            parse(b"ALTER TABLE public.t OWNER TO fossy"),
            Statement::Other
        );
    }

    #[test]
    fn knows_settings() {
        let public = Statement::SearchPath(Some("public".into()));
        assert_eq!(parse(b"SET search_path = public, pg_catalog"), public);
        assert_eq!(parse(b"SET search_path TO 'public'"), public);
        let nowhere = Statement::SearchPath(None);
        assert_eq!(
            parse(b"SELECT pg_catalog.set_config('search_path', '', false)"),
            nowhere
        );
        assert_eq!(
            parse(b"SET standard_conforming_strings = off"),
            Statement::StandardStrings(false)
        );
        assert_eq!(
            parse(b"SET standard_conforming_strings = on"),
            Statement::StandardStrings(true)
        );
        assert_eq!(
            parse(b"SELECT pg_catalog.setval('public.x', 6, true)"),
            Statement::Other
        );
    }

    #[test]
    fn knows_inserts() {
        assert_eq!(
            parse(b"INSERT INTO public.pfile VALUES (1)"),
            Statement::Insert {
                name: name(Some("public"), "pfile")
            }
        );
    }

    #[test]
    fn knows_databases_to_connect_to() {
        for (line, database) in [
            ("\\connect fossology", "fossology"),
            ("\\connect \"Foss ology\"", "Foss ology"),
            ("\\connect -reuse-previous=on \"dbname='foss''\"", "foss"),
            (
                r#"\connect -reuse-previous=on "dbname='a \'b\\ ""c'""#,
                r#"a 'b\ "c"#,
            ),
            ("\\c wiki", "wiki"),
        ] {
            assert_eq!(
                parse_meta(line.as_bytes()),
                Meta::Connect(database.into()),
                "{line}"
            );
        }
        for line in ["\\connect - fossy", "\\connect", "\\set x", "\\"] {
            assert_eq!(parse_meta(line.as_bytes()), Meta::Other, "{line}");
        }
        assert_eq!(
            parse_meta(b"\\restrict Ab1"),
            Meta::Restrict(b"Ab1".to_vec())
        );
        assert_eq!(
            parse_meta(b"\\unrestrict Ab1"),
            Meta::Unrestrict(b"Ab1".to_vec())
        );
    }
}
