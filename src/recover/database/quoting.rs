//! Names and texts in statements that take no parameters.

/// A name as SQL has it: quoted, unless it is plain.
pub(super) fn identifier(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
    // A keyword of SQL needs quotes; names of databases and roles are hardly ever any.
    if plain && !matches!(name, "user" | "all" | "default" | "public" | "none") {
        return name.to_owned();
    }
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as SQL has it, whatever `standard_conforming_strings` says.
pub(super) fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_be_quoted_is() {
        for (name, quoted) in [
            ("fossology", "fossology"),
            (
                "fossology_before_20261121T070500Z",
                "\"fossology_before_20261121T070500Z\"",
            ),
            ("a\"; DROP DATABASE b; --", "\"a\"\"; DROP DATABASE b; --\""),
            ("9a", "\"9a\""),
            ("user", "\"user\""),
            ("", "\"\""),
        ] {
            assert_eq!(identifier(name), quoted);
        }
        assert_eq!(literal("it's \\"), "E'it\\'s \\\\'");
    }
}
