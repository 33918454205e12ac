//! The text form of COPY data: fields of a line, escapes, and the end of a block.
//!
//! A field without a backslash is borrowed from the line; one that has any is decoded into a
//! scratch buffer, which the caller uses again for each row.

use std::ops::Range;

use memchr::{memchr, memchr_iter, memmem};

/// The line that ends a block of rows.
pub(super) const END_LINE: &[u8] = b"\\.";

/// What stands for NULL.
const NULL: &[u8] = b"\\N";

/// Where the fields of one line are.
#[derive(Debug, Default)]
pub(super) struct Fields {
    ends: Vec<u32>,
}

impl Fields {
    /// Finds the fields of `line`, which is shorter than 4 GiB, and returns how many there are.
    pub(super) fn split(&mut self, line: &[u8]) -> usize {
        self.ends.clear();
        self.ends
            .extend(memchr_iter(b'\t', line).map(|at| at as u32));
        self.ends.push(line.len() as u32);
        self.ends.len()
    }

    /// The bytes of field `index` as they stand in the line; `None` when it is NULL.
    pub(super) fn raw<'l>(&self, line: &'l [u8], index: usize) -> Option<&'l [u8]> {
        let start = if index == 0 {
            0
        } else {
            self.ends[index - 1] as usize + 1
        };
        let field = &line[start..self.ends[index] as usize];
        (field != NULL).then_some(field)
    }
}

/// A field's text: borrowed from its line or decoded into the scratch buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Text<'l> {
    /// As it stands in the line.
    Plain(&'l [u8]),
    /// Where in the scratch buffer it is.
    Decoded(Range<usize>),
}

impl<'l> Text<'l> {
    /// Reads a field; `None` when it ends in the middle of an escape.
    pub(super) fn read(field: &'l [u8], scratch: &mut Vec<u8>) -> Option<Text<'l>> {
        if memchr(b'\\', field).is_none() {
            return Some(Text::Plain(field));
        }
        let start = scratch.len();
        decode(field, scratch)?;
        Some(Text::Decoded(start..scratch.len()))
    }

    /// The text itself.
    pub(super) fn bytes<'s>(&self, scratch: &'s [u8]) -> &'s [u8]
    where
        'l: 's,
    {
        match self {
            Text::Plain(field) => field,
            Text::Decoded(range) => &scratch[range.clone()],
        }
    }
}

/// Appends `field` to `out` with its escapes resolved; `None` when it ends in the middle of one.
fn decode(field: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut rest = field;
    while let Some(stop) = memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..stop]);
        let (&escape, after) = rest[stop + 1..].split_first()?;
        rest = after;
        let byte = match escape {
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 0x0b,
            b'0'..=b'7' => {
                let more = number(&mut rest, 8, 2);
                // As PostgreSQL does, what does not fit in a byte is cut off.
                (u32::from(escape - b'0') << (3 * more.1) | more.0) as u8
            }
            b'x' => match number(&mut rest, 16, 2) {
                (_, 0) => escape,
                (value, _) => value as u8,
            },
            other => other,
        };
        out.push(byte);
    }
    out.extend_from_slice(rest);
    Some(())
}

/// Takes up to `most` digits off `text`; returns their value and how many there were.
fn number(text: &mut &[u8], radix: u32, most: usize) -> (u32, usize) {
    let mut value = 0;
    let mut count = 0;
    while count < most {
        let Some(digit) = text
            .first()
            .and_then(|&byte| char::from(byte).to_digit(radix))
        else {
            break;
        };
        value = value * radix + digit;
        count += 1;
        *text = &text[1..];
    }
    (value, count)
}

/// Looks for the end of a block of rows without looking at the rows.
#[derive(Debug)]
pub(super) struct Skip {
    marker: memmem::Finder<'static>,
    matched: usize,
}

/// The end of a block as it stands between two rows' bytes.
const MARKER: &[u8] = b"\n\\.\n";

impl Skip {
    /// A search for the ends of blocks.
    pub(super) fn new() -> Skip {
        Skip {
            marker: memmem::Finder::new(MARKER),
            matched: 0,
        }
    }

    /// A block begins: the line end before it counts for a block without rows.
    pub(super) fn start(&mut self) {
        self.matched = 1;
    }

    /// Reads on; returns how many bytes it took and whether the block has ended with them.
    pub(super) fn step(&mut self, input: &[u8]) -> (usize, bool) {
        let mut at = 0;
        // The marker may lie across two pieces. It begins with the only byte that occurs in it
        // again at a place where a match can begin, its last.
        while self.matched > 0 && at < input.len() {
            let byte = input[at];
            at += 1;
            if byte == MARKER[self.matched] {
                self.matched += 1;
                if self.matched == MARKER.len() {
                    return (at, true);
                }
            } else {
                self.matched = usize::from(byte == b'\n');
            }
        }
        if at == input.len() {
            return (at, false);
        }
        let rest = &input[at..];
        if let Some(found) = self.marker.find(rest) {
            return (at + found + MARKER.len(), true);
        }
        self.matched = (1..MARKER.len())
            .rev()
            .find(|&n| rest.ends_with(&MARKER[..n]))
            .unwrap_or_default();
        (input.len(), false)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As PostgreSQL writes a value in COPY's text form.
    fn encode(value: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for &byte in value {
            match byte {
                0x08 => out.extend(b"\\b"),
                0x0c => out.extend(b"\\f"),
                b'\n' => out.extend(b"\\n"),
                b'\r' => out.extend(b"\\r"),
                b'\t' => out.extend(b"\\t"),
                0x0b => out.extend(b"\\v"),
                b'\\' => out.extend(b"\\\\"),
                _ => out.push(byte),
            }
        }
        out
    }

    fn decoded(field: &[u8]) -> Option<Vec<u8>> {
        let mut scratch = b"before".to_vec();
        let text = Text::read(field, &mut scratch)?;
        Some(text.bytes(&scratch).to_vec())
    }

    #[test]
    fn resolves_every_escape() {
        for (field, value) in [
            (&br"plain"[..], &b"plain"[..]),
            (br"\b\f\n\r\t\v\\", b"\x08\x0c\n\r\t\x0b\\"),
            (br"\101\60x\7\1234", b"A0x\x07S4"),
            (br"\x41\xfz\xq\x4a4", b"A\x0fzxqJ4"),
            (br"\N\.\,", b"N.,"),
            (b"", b""),
        ] {
            assert_eq!(decoded(field).unwrap(), value, "{}", field.escape_ascii());
        }
        assert_eq!(decoded(b"abc\\"), None);
    }

    #[test]
    fn only_the_bare_marker_is_null() {
        let line = b"\\N\t\\\\N\tN\t\t\\Nx";
        let mut fields = Fields::default();
        assert_eq!(fields.split(line), 5);
        assert_eq!(fields.raw(line, 0), None);
        assert_eq!(fields.raw(line, 1), Some(&b"\\\\N"[..]));
        assert_eq!(fields.raw(line, 2), Some(&b"N"[..]));
        assert_eq!(fields.raw(line, 3), Some(&b""[..]));
        assert_eq!(fields.raw(line, 4), Some(&b"\\Nx"[..]));
    }

    /// How many bytes a block has, its end included.
    fn skipped(data: &[u8], piece: usize) -> Option<usize> {
        let mut skip = Skip::new();
        skip.start();
        let mut total = 0;
        for piece in data.chunks(piece) {
            let (taken, ended) = skip.step(piece);
            total += taken;
            if ended {
                return Some(total);
            }
            assert_eq!(taken, piece.len());
        }
        None
    }

    #[test]
    fn finds_the_end_of_a_block_across_pieces() {
        for (data, end) in [
            (&b"\\.\nrest"[..], Some(3)),
            (b"a\tb\n\\.\n", Some(7)),
            (b"a\n\n\\\n\\.x\n\n\\.\n\\.\n", Some(13)),
            (b"\\\\.\n\\.", None),
            (b"x\\.\n", None),
        ] {
            for piece in 1..=data.len() {
                assert_eq!(
                    skipped(data, piece),
                    end,
                    "{} by {piece}",
                    data.escape_ascii()
                );
            }
        }
    }

    proptest! {
        #[test]
        fn every_value_comes_back(value in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(decoded(&encode(&value)).unwrap(), value);
        }

        #[test]
        fn no_field_panics(field in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = decoded(&field);
        }

        #[test]
        fn skipping_agrees_with_lines(
            data in "[\\\\.\nxN]{0,40}",
            piece in 1_usize..9,
        ) {
            let mut at = 0;
            let mut end = None;
            for line in data.split_inclusive('\n') {
                at += line.len();
                if line == "\\.\n" {
                    end = Some(at);
                    break;
                }
            }
            prop_assert_eq!(skipped(data.as_bytes(), piece), end);
        }
    }
}
