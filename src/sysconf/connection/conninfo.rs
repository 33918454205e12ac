//! Connection strings `host=localhost dbname='a b'`, as libpq reads them.
//!
//! Values hold no blanks unless in single quotes; a backslash takes the next character as it is.
//! Errors name keywords, never values: one of these is a password.

use std::iter::Peekable;
use std::str::Chars;

use super::ConnectionError;
use super::settings::{Settings, is_keyword};

const PLACE: &str = "the connection string";

/// Whether a text looks like a connection string rather than a file name: it begins with a keyword
/// of libpq and `=`.
pub(super) fn is_conninfo(text: &str) -> bool {
    text.split_once('=')
        .is_some_and(|(word, _)| is_keyword(word.trim()))
}

/// The settings in a connection string.
pub(super) fn parse(text: &str) -> Result<Settings, ConnectionError> {
    let mut settings = Settings::default();
    let mut rest = text.chars().peekable();
    let mut before = None;
    loop {
        skip_blanks(&mut rest);
        if rest.peek().is_none() {
            return Ok(settings);
        }
        let keyword = keyword(&mut rest).ok_or_else(|| ConnectionError::Syntax {
            why: match &before {
                // The word itself may be the rest of a password with a blank in it.
                Some(before) => format!(
                    "a word after {before} has no '='; a value with blanks goes into single quotes"
                ),
                None => "its first word has no '='".to_owned(),
            },
        })?;
        let value = value(&mut rest).ok_or_else(|| ConnectionError::Syntax {
            why: format!("the quoted value of {keyword} has no end"),
        })?;
        settings.set(&keyword, &value, PLACE)?;
        before = Some(keyword);
    }
}

/// A single value as it would stand in a connection string: without its quotes and backslashes.
/// What is not properly quoted is left as it is.
pub(in crate::sysconf) fn unquote(text: &str) -> String {
    let mut rest = text.chars().peekable();
    match value(&mut rest) {
        Some(value) if rest.peek().is_none() => value,
        _ => text.to_owned(),
    }
}

/// A value as it may stand in a connection string, whatever it holds.
pub(super) fn quote(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('\'', "\\'");
    format!("'{escaped}'")
}

fn skip_blanks(rest: &mut Peekable<Chars<'_>>) {
    while rest.next_if(|c| c.is_ascii_whitespace()).is_some() {}
}

/// The keyword before the next `=`, which is consumed; `None` when a blank word or none comes.
fn keyword(rest: &mut Peekable<Chars<'_>>) -> Option<String> {
    let mut keyword = String::new();
    while let Some(c) = rest.next_if(|c| *c != '=' && !c.is_ascii_whitespace()) {
        keyword.push(c);
    }
    skip_blanks(rest);
    rest.next_if_eq(&'=').filter(|_| !keyword.is_empty())?;
    Some(keyword)
}

/// The value behind a `=`; `None` when its quote is not closed.
fn value(rest: &mut Peekable<Chars<'_>>) -> Option<String> {
    skip_blanks(rest);
    let quoted = rest.next_if_eq(&'\'').is_some();
    let mut value = String::new();
    loop {
        match rest.peek() {
            None => return (!quoted).then_some(value),
            Some('\'') if quoted => {
                rest.next();
                return Some(value);
            }
            Some(c) if !quoted && c.is_ascii_whitespace() => return Some(value),
            Some('\\') => {
                rest.next();
                value.extend(rest.next());
            }
            Some(_) => value.extend(rest.next()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn error(text: &str) -> String {
        parse(text)
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    }

    #[test]
    fn quotes_backslashes_and_blanks() {
        let settings =
            parse(" host = h\n dbname='a b' password='x\\'y\\\\' user=a\\ b port='' options=")
                .unwrap();
        assert_eq!(settings.get("host"), Some("h"));
        assert_eq!(settings.get("dbname"), Some("a b"));
        assert_eq!(settings.get("password"), Some("x'y\\"));
        assert_eq!(settings.get("user"), Some("a b"));
        assert_eq!(settings.get("port"), None);
        assert_eq!(settings.get("options"), None);
        assert_eq!(
            parse("password=a=b==").unwrap().get("password"),
            Some("a=b==")
        );
        assert_eq!(parse("host=a host=b").unwrap().get("host"), Some("b"));
    }

    #[test]
    fn errors_name_keywords_and_no_values() {
        assert_eq!(
            error("password=hunter 2 dbname=x"),
            "the connection string cannot be understood: a word after password has no '='; a value with blanks goes into single quotes"
        );
        assert_eq!(
            error("dbname='x"),
            "the connection string cannot be understood: the quoted value of dbname has no end"
        );
        assert_eq!(
            error("dbname=x colour=red"),
            "the connection string: libpq has no keyword \"colour\""
        );
        assert_eq!(
            error("=x"),
            "the connection string cannot be understood: its first word has no '='"
        );
    }

    #[test]
    fn told_from_file_names() {
        for text in ["dbname=x", "host = a", "password="] {
            assert!(is_conninfo(text), "{text}");
        }
        for text in ["dump.sql", "a=b.dump", "-", ""] {
            assert!(!is_conninfo(text), "{text}");
        }
    }

    #[test]
    fn single_values() {
        assert_eq!(unquote("plain"), "plain");
        assert_eq!(unquote("'a b'"), "a b");
        assert_eq!(unquote("it\\'s"), "it's");
        assert_eq!(unquote("a b"), "a b");
        assert_eq!(unquote("'open"), "'open");
    }

    proptest! {
        #[test]
        fn quoted_values_are_read_back(password in "\\PC{0,20}", dbname in "\\PC{0,20}") {
            let quote = |text: &str| text.replace('\\', "\\\\").replace('\'', "\\'");
            let text = format!("password='{}' dbname='{}'", quote(&password), quote(&dbname));
            let settings = parse(&text).unwrap();
            prop_assert_eq!(settings.get("password").unwrap_or(""), password);
            prop_assert_eq!(settings.get("dbname").unwrap_or(""), dbname);
        }

        #[test]
        fn no_text_makes_it_panic(text in "[a'=\\\\ h\u{e9}]{0,40}") {
            let _ = parse(&text);
            let _ = unquote(&text);
        }
    }
}
