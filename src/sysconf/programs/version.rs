//! Versions of PostgreSQL, as far as they decide who can talk to whom.

use std::fmt;

/// A version of a server or a client program, such as `15.20` or `9.6.24`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    text: String,
    release: (u32, u32),
}

impl Version {
    /// Reads what a server gives as `server_version`: `15.20 (Debian 15.20-0+deb12u1)`, `17beta1`.
    pub fn parse(text: &str) -> Option<Version> {
        let text = text.split_whitespace().next()?;
        let mut numbers = text.split('.').map(|part| {
            let digits = part.bytes().take_while(u8::is_ascii_digit).count();
            part[..digits].parse::<u32>().ok()
        });
        let first = numbers.next()??;
        // Until 9.6 two numbers made a release; since 10 it is one.
        let second = if first < 10 { numbers.next()?? } else { 0 };
        Some(Version {
            text: text.to_owned(),
            release: (first, second),
        })
    }

    /// The version in what a program answers to `--version`.
    pub(super) fn in_answer(text: &str) -> Option<Version> {
        let (_, version) = text.split_once("(PostgreSQL) ")?;
        Version::parse(version)
    }

    /// The release, whose members can all talk to each other: `(15, 0)`, `(9, 6)`.
    pub fn release(&self) -> (u32, u32) {
        self.release
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases() {
        for (text, release) in [
            ("15.20 (Debian 15.20-0+deb12u1)", (15, 0)),
            ("9.6.24", (9, 6)),
            ("17beta1", (17, 0)),
            ("18devel", (18, 0)),
            ("16rc1", (16, 0)),
        ] {
            assert_eq!(Version::parse(text).unwrap().release(), release, "{text}");
        }
        for text in ["", "x", "9", "9.x"] {
            assert_eq!(Version::parse(text), None, "{text}");
        }
        let answer = "pg_dump (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)\n";
        assert_eq!(Version::in_answer(answer).unwrap().to_string(), "15.20");
        assert_eq!(Version::in_answer("GNU tar 1.34\n"), None);
    }
}
