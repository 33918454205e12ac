//! The grammar of `fossology.conf`, as FOSSology itself reads it.
//!
//! Sections `[X]`, settings `key = value`, lists `key[] = value`; a comment begins with `;`, also
//! behind a value. FOSSology looks for the first place in a line where one of these forms fits, so
//! `#` is no comment: `#depth = 2` sets `depth`. Values are trimmed but not unquoted, and `$KEY` in
//! a value stands for an earlier setting of the same section. A section named again starts empty,
//! a key named again replaces, a list grows. The text is bytes: what is not UTF-8 is replaced, and
//! lines may end in CRLF.

use std::collections::BTreeMap;

/// A parsed `fossology.conf`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conf {
    sections: BTreeMap<String, BTreeMap<String, Setting>>,
}

/// One value and the line (from 1) on which it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The value, trimmed, with `$KEY` filled in.
    pub text: String,
    /// The line's number, from 1.
    pub line: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Setting {
    list: bool,
    entries: Vec<Entry>,
}

impl Setting {
    /// What `$KEY` stands for: a list is kept by FOSSology as `[a][b]`.
    fn as_text(&self) -> String {
        if self.list {
            self.entries
                .iter()
                .map(|entry| format!("[{}]", entry.text))
                .collect()
        } else {
            self.entries
                .iter()
                .map(|entry| entry.text.as_str())
                .collect()
        }
    }
}

/// A line that FOSSology would refuse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// The line's number, from 1.
    pub line: usize,
    /// The line's text, trimmed.
    pub text: String,
    /// Why it is refused.
    pub reason: BadLineReason,
}

/// Why a line is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadLineReason {
    /// It is neither a section nor a setting nor a comment.
    Malformed,
    /// It is a setting before the first section.
    NoSection,
}

enum Line<'a> {
    Blank,
    Section(&'a str),
    Setting {
        key: &'a str,
        list: bool,
        value: &'a str,
    },
    Malformed,
}

impl Conf {
    /// Reads the bytes of a `fossology.conf`.
    pub fn parse(bytes: &[u8]) -> Result<Conf, BadLine> {
        let text = String::from_utf8_lossy(bytes);
        let mut sections: BTreeMap<String, BTreeMap<String, Setting>> = BTreeMap::new();
        let mut current: Option<String> = None;
        for (index, raw) in text.split('\n').enumerate() {
            let line = index + 1;
            let refuse = |reason| BadLine {
                line,
                text: raw.trim().to_owned(),
                reason,
            };
            match read_line(raw) {
                Line::Blank => {}
                Line::Malformed => return Err(refuse(BadLineReason::Malformed)),
                Line::Section(name) => {
                    sections.insert(name.to_owned(), BTreeMap::new());
                    current = Some(name.to_owned());
                }
                Line::Setting { key, list, value } => {
                    let section = current
                        .as_ref()
                        .and_then(|name| sections.get_mut(name))
                        .ok_or_else(|| refuse(BadLineReason::NoSection))?;
                    let text = substitute(value, section);
                    store(section, key, list, Entry { text, line });
                }
            }
        }
        Ok(Conf { sections })
    }

    /// The value of `key`, unless it is absent or a list.
    pub fn get(&self, section: &str, key: &str) -> Option<&str> {
        self.entry(section, key).map(|entry| entry.text.as_str())
    }

    /// As [`Conf::get`], with the line on which the value stands.
    pub fn entry(&self, section: &str, key: &str) -> Option<&Entry> {
        let setting = self.sections.get(section)?.get(key)?;
        if setting.list {
            None
        } else {
            setting.entries.last()
        }
    }

    /// The values of the list `key`, in file order; none when it is absent or not a list.
    pub fn list(&self, section: &str, key: &str) -> &[Entry] {
        self.sections
            .get(section)
            .and_then(|settings| settings.get(key))
            .filter(|setting| setting.list)
            .map_or(&[], |setting| &setting.entries)
    }

    /// The names of the sections, in byte order.
    pub fn sections(&self) -> impl Iterator<Item = &str> {
        self.sections.keys().map(String::as_str)
    }

    /// The keys of a section, lists and plain ones, in byte order.
    pub fn keys(&self, section: &str) -> impl Iterator<Item = &str> {
        self.sections
            .get(section)
            .into_iter()
            .flat_map(|settings| settings.keys().map(String::as_str))
    }
}

fn store(section: &mut BTreeMap<String, Setting>, key: &str, list: bool, entry: Entry) {
    match section.get_mut(key) {
        Some(setting) if list && setting.list => setting.entries.push(entry),
        _ => {
            section.insert(
                key.to_owned(),
                Setting {
                    list,
                    entries: vec![entry],
                },
            );
        }
    }
}

/// Finds the first place in the line where a section or a setting fits.
fn read_line(raw: &str) -> Line<'_> {
    let text = raw.split(';').next().unwrap_or("").trim();
    if text.is_empty() {
        return Line::Blank;
    }
    let mut at = 0;
    while let Some(character) = text[at..].chars().next() {
        let rest = &text[at..];
        if character == '['
            && let Some(name) = section_name(rest)
        {
            return Line::Section(name);
        }
        let key_length = prefix_length(rest, is_key);
        if key_length > 0
            && let Some((list, value)) = setting_value(&rest[key_length..])
        {
            return Line::Setting {
                key: &rest[..key_length],
                list,
                value,
            };
        }
        // A later start within the same word would meet the same end.
        at += key_length.max(character.len_utf8());
    }
    Line::Malformed
}

/// The name in `[ name ]` when that is all that is left of the line.
fn section_name(rest: &str) -> Option<&str> {
    let name = rest
        .strip_prefix('[')?
        .strip_suffix(']')?
        .trim_matches(is_blank);
    (!name.is_empty() && name.bytes().all(is_word)).then_some(name)
}

/// What follows a key: `= value` or `[] = value`.
fn setting_value(after_key: &str) -> Option<(bool, &str)> {
    let (list, rest) = match after_key.strip_prefix("[]") {
        Some(rest) => (true, rest),
        None => (false, after_key),
    };
    let value = rest.trim_start_matches(is_blank).strip_prefix('=')?;
    Some((list, value.trim()))
}

/// Puts earlier settings of the section in place of `$KEY`; a key that is not there leaves nothing.
fn substitute(value: &str, section: &BTreeMap<String, Setting>) -> String {
    let mut filled = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(dollar) = rest.find('$') {
        filled.push_str(&rest[..dollar]);
        rest = &rest[dollar + 1..];
        let length = prefix_length(rest, is_word);
        if length == 0 {
            filled.push('$');
        } else if let Some(setting) = section.get(&rest[..length]) {
            filled.push_str(&setting.as_text());
        }
        rest = &rest[length..];
    }
    filled.push_str(rest);
    filled
}

fn prefix_length(text: &str, wanted: fn(u8) -> bool) -> usize {
    text.bytes().take_while(|byte| wanted(*byte)).count()
}

fn is_blank(character: char) -> bool {
    character == ' ' || character == '\t'
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn is_key(byte: u8) -> bool {
    is_word(byte) || byte == b'.' || byte == b'-'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn conf(text: &str) -> Conf {
        Conf::parse(text.as_bytes()).unwrap()
    }

    fn texts(entries: &[Entry]) -> Vec<&str> {
        entries.iter().map(|entry| entry.text.as_str()).collect()
    }

    #[test]
    fn sections_settings_and_lists() {
        let conf = conf(
            "; head\n[FOSSOLOGY]\r\nport = 24693\r\n depth=3 ; three\npath = /srv/a b/\"x\"\nempty =\n\n\
             [ REPOSITORY\t]\nb.host-1[] = * 00 7f\nb.host-1[]=* 80 ff ; rest\n",
        );
        assert_eq!(conf.get("FOSSOLOGY", "port"), Some("24693"));
        assert_eq!(
            conf.entry("FOSSOLOGY", "depth").map(|entry| entry.line),
            Some(4)
        );
        assert_eq!(conf.get("FOSSOLOGY", "depth"), Some("3"));
        assert_eq!(conf.get("FOSSOLOGY", "path"), Some("/srv/a b/\"x\""));
        assert_eq!(conf.get("FOSSOLOGY", "empty"), Some(""));
        assert_eq!(conf.get("FOSSOLOGY", "none"), None);
        assert_eq!(
            texts(conf.list("REPOSITORY", "b.host-1")),
            ["* 00 7f", "* 80 ff"]
        );
        assert_eq!(conf.get("REPOSITORY", "b.host-1"), None);
        assert_eq!(
            conf.sections().collect::<Vec<_>>(),
            ["FOSSOLOGY", "REPOSITORY"]
        );
        assert_eq!(conf.keys("FOSSOLOGY").count(), 4);
        assert_eq!(conf.keys("none").count(), 0);
    }

    #[test]
    fn a_variable_stands_for_an_earlier_key_of_its_section() {
        let conf = conf(
            "[A]\nroot=/x\nsub = $root/y$$ $later$root\nlater = 1\nl[] = p\nl[] = q\nall = $l\n[B]\nv = <$root>\n",
        );
        assert_eq!(conf.get("A", "sub"), Some("/x/y$$ /x"));
        assert_eq!(conf.get("A", "all"), Some("[p][q]"));
        assert_eq!(conf.get("B", "v"), Some("<>"));
    }

    #[test]
    fn what_is_named_again_replaces() {
        let conf =
            conf("[A]\nx = 1\ny = 1\n[B]\nl = 1\nl[] = 2\nm[] = 1\nm = 2\n[A]\nx = 2\nx = 3\n");
        assert_eq!(conf.get("A", "x"), Some("3"));
        assert_eq!(conf.get("A", "y"), None);
        assert_eq!(texts(conf.list("B", "l")), ["2"]);
        assert_eq!(conf.get("B", "m"), Some("2"));
    }

    #[test]
    fn a_hash_is_no_comment() {
        let conf = conf("[A]\n#depth = 2\n# path = /x\n");
        assert_eq!(conf.get("A", "depth"), Some("2"));
        assert_eq!(conf.get("A", "path"), Some("/x"));
        let refused = Conf::parse(b"[A]\n# a remark\n").unwrap_err();
        assert_eq!((refused.line, refused.text.as_str()), (2, "# a remark"));
        assert_eq!(refused.reason, BadLineReason::Malformed);
    }

    #[test]
    fn lines_that_are_refused() {
        for text in ["garbage", "[A", "[]", "[A B]", "= 1", "key [] = 1", "[A]x"] {
            assert!(Conf::parse(text.as_bytes()).is_err(), "{text}");
        }
        let refused = Conf::parse(b"\nx = 1\n[A]\n").unwrap_err();
        assert_eq!(
            (refused.line, refused.reason),
            (2, BadLineReason::NoSection)
        );
    }

    #[test]
    fn bytes_that_are_not_utf8_are_replaced() {
        let conf = Conf::parse(b"[A]\nx = a\xffb\n").unwrap();
        assert_eq!(conf.get("A", "x"), Some("a\u{fffd}b"));
    }

    fn value() -> impl Strategy<Value = String> {
        "[ -#%-:<-~\u{e9}]{0,20}".prop_map(|text| text.trim().to_owned())
    }

    proptest! {
        #[test]
        fn what_is_rendered_is_read_back(
            sections in proptest::collection::btree_map(
                "[A-Za-z0-9_]{1,8}",
                proptest::collection::btree_map(
                    "[A-Za-z0-9_.-]{1,8}",
                    (any::<bool>(), proptest::collection::vec(value(), 1..4)),
                    0..5,
                ),
                0..5,
            ),
            ending in prop_oneof![Just("\n"), Just("\r\n"), Just(" ; remark\n")],
        ) {
            let mut text = String::new();
            for (name, settings) in &sections {
                text.push_str(&format!("[{name}]{ending}"));
                for (key, (list, values)) in settings {
                    for value in values {
                        let brackets = if *list { "[]" } else { "" };
                        text.push_str(&format!("{key}{brackets} = {value}{ending}"));
                    }
                }
            }
            let conf = conf(&text);
            prop_assert!(conf.sections().eq(sections.keys().map(String::as_str)));
            for (name, settings) in &sections {
                prop_assert!(conf.keys(name).eq(settings.keys().map(String::as_str)));
                for (key, (list, values)) in settings {
                    if *list {
                        prop_assert_eq!(&texts(conf.list(name, key)), values);
                    } else {
                        prop_assert_eq!(conf.get(name, key), values.last().map(String::as_str));
                    }
                }
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = Conf::parse(&bytes);
        }

        #[test]
        fn no_likely_text_makes_it_panic(text in "[\\[\\]a=$; \n\r#\u{e9}]{0,60}") {
            let _ = Conf::parse(text.as_bytes());
        }
    }
}
