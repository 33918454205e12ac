//! Rows of `COPY … TO STDOUT (FORMAT binary)`.

use std::io;

use super::rows::Micros;

/// The first bytes of the format, and how long the whole header is when it has no extension.
const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";
const HEADER: usize = 19;

/// Microseconds from 1970 to 2000, where PostgreSQL's timestamps begin.
const EPOCH: Micros = 946_684_800_000_000;

/// More columns than any statement here has.
const MOST_COLUMNS: usize = 16;

/// Cuts what a server sends into rows. Pieces may end anywhere; a row that comes whole, as a server
/// sends them, is read where it lies.
#[derive(Default)]
pub(super) struct BinaryRows {
    /// The beginning of what has not come whole yet.
    held: Vec<u8>,
    begun: bool,
    ended: bool,
    fields: [Option<(usize, usize)>; MOST_COLUMNS],
}

fn bad(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

impl BinaryRows {
    /// Hands every row that is complete with `piece` to `each`.
    pub(super) fn feed<E>(
        &mut self,
        piece: &[u8],
        mut each: impl FnMut(&BinaryRow<'_>) -> Result<(), E>,
    ) -> Result<(), E>
    where
        E: From<io::Error>,
    {
        if self.held.is_empty() {
            let taken = self.take(piece, &mut each)?;
            self.held.extend_from_slice(&piece[taken..]);
            return Ok(());
        }
        let mut held = std::mem::take(&mut self.held);
        held.extend_from_slice(piece);
        let taken = self.take(&held, &mut each)?;
        held.drain(..taken);
        self.held = held;
        Ok(())
    }

    /// The server has sent all it has: without the format's own end mark that is an error.
    pub(super) fn finish(self) -> io::Result<()> {
        if self.ended && self.held.is_empty() {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }

    /// Takes what is complete off the front of `bytes`; returns how much that was.
    fn take<E>(
        &mut self,
        bytes: &[u8],
        each: &mut impl FnMut(&BinaryRow<'_>) -> Result<(), E>,
    ) -> Result<usize, E>
    where
        E: From<io::Error>,
    {
        let mut at = 0;
        if !self.begun {
            let Some(header) = header(bytes)? else {
                return Ok(0);
            };
            at = header;
            self.begun = true;
        }
        while at < bytes.len() {
            if self.ended {
                return Err(bad("more behind the end").into());
            }
            match self.row(&bytes[at..])? {
                Step::Unfinished => break,
                Step::End => {
                    self.ended = true;
                    at += 2;
                }
                Step::Row { length, columns } => {
                    each(&BinaryRow {
                        bytes: &bytes[at..at + length],
                        fields: &self.fields[..columns],
                    })?;
                    at += length;
                }
            }
        }
        Ok(at)
    }

    /// Finds the columns of the row that `bytes` begin with.
    fn row(&mut self, bytes: &[u8]) -> io::Result<Step> {
        let Some(count) = bytes.first_chunk() else {
            return Ok(Step::Unfinished);
        };
        let columns = match i16::from_be_bytes(*count) {
            -1 => return Ok(Step::End),
            count => usize::try_from(count).map_err(|_| bad("a negative number of columns"))?,
        };
        if columns > MOST_COLUMNS {
            return Err(bad("too many columns"));
        }
        let mut length = 2;
        for field in &mut self.fields[..columns] {
            let Some(size) = bytes.get(length..).and_then(<[u8]>::first_chunk) else {
                return Ok(Step::Unfinished);
            };
            length += 4;
            // A negative size is NULL.
            *field = usize::try_from(i32::from_be_bytes(*size))
                .ok()
                .map(|size| (length, size));
            length += field.map_or(0, |(_, size)| size);
        }
        if bytes.len() < length {
            return Ok(Step::Unfinished);
        }
        Ok(Step::Row { length, columns })
    }
}

/// What stands next.
enum Step {
    Unfinished,
    End,
    Row { length: usize, columns: usize },
}

/// How long the header is, once it is there.
fn header(bytes: &[u8]) -> io::Result<Option<usize>> {
    let Some((fixed, rest)) = bytes.split_first_chunk::<HEADER>() else {
        return Ok(None);
    };
    if !fixed.starts_with(SIGNATURE) {
        return Err(bad("not the binary COPY format"));
    }
    let extension = u32::from_be_bytes([fixed[15], fixed[16], fixed[17], fixed[18]]) as usize;
    Ok((rest.len() >= extension).then_some(HEADER + extension))
}

/// One row.
pub(super) struct BinaryRow<'a> {
    bytes: &'a [u8],
    fields: &'a [Option<(usize, usize)>],
}

impl BinaryRow<'_> {
    /// A column's bytes; `None` for NULL.
    pub(super) fn bytes(&self, column: usize) -> Option<&[u8]> {
        let (start, length) = (*self.fields.get(column)?)?;
        Some(&self.bytes[start..start + length])
    }

    /// An integer of any width; `None` for NULL.
    pub(super) fn int(&self, column: usize) -> io::Result<Option<i64>> {
        let Some(bytes) = self.bytes(column) else {
            return Ok(None);
        };
        let value = match *bytes {
            [a, b] => i64::from(i16::from_be_bytes([a, b])),
            [a, b, c, d] => i64::from(i32::from_be_bytes([a, b, c, d])),
            [a, b, c, d, e, f, g, h] => i64::from_be_bytes([a, b, c, d, e, f, g, h]),
            _ => return Err(bad("a column is no integer")),
        };
        Ok(Some(value))
    }

    /// A key; NULL is an error.
    pub(super) fn key(&self, column: usize) -> io::Result<i64> {
        self.int(column)?.ok_or_else(|| bad("a key is NULL"))
    }

    /// A truth value; NULL is false.
    pub(super) fn truth(&self, column: usize) -> bool {
        self.bytes(column) == Some(&[1])
    }

    /// A `timestamptz`; the infinities are the ends of the range.
    pub(super) fn time(&self, column: usize) -> io::Result<Option<Micros>> {
        Ok(self.int(column)?.map(|value| match value {
            Micros::MAX | Micros::MIN => value,
            _ => value.saturating_add(EPOCH),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([0; 8]);
        bytes.extend([
            0, 3, 0, 0, 0, 4, 0, 0, 0, 7, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 2,
        ]);
        bytes.extend(b"ab");
        bytes.extend([0, 1, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend([0xff, 0xff]);
        bytes
    }

    /// Feeds `bytes` in pieces; returns the columns of every row.
    fn rows_of(bytes: &[u8], step: usize) -> io::Result<Vec<Vec<Option<Vec<u8>>>>> {
        let mut rows = BinaryRows::default();
        let mut all = Vec::new();
        for piece in bytes.chunks(step) {
            rows.feed(piece, |row| {
                let columns = 0..row.fields.len();
                all.push(
                    columns
                        .map(|column| row.bytes(column).map(<[u8]>::to_vec))
                        .collect(),
                );
                io::Result::Ok(())
            })?;
        }
        rows.finish()?;
        Ok(all)
    }

    #[test]
    fn rows_are_the_same_however_they_arrive() {
        let bytes = sample();
        for step in 1..=bytes.len() {
            assert_eq!(
                rows_of(&bytes, step).unwrap(),
                [
                    vec![Some(vec![0, 0, 0, 7]), None, Some(b"ab".to_vec())],
                    vec![Some(vec![0; 8])]
                ],
                "by {step}"
            );
        }
    }

    #[test]
    fn columns_have_their_types() {
        let mut rows = BinaryRows::default();
        let mut seen = 0;
        rows.feed(&sample(), |row| {
            seen += 1;
            if seen == 1 {
                assert_eq!(row.int(0)?, Some(7));
                assert!(row.key(1).is_err() && !row.truth(1));
            } else {
                assert_eq!(row.time(0)?, Some(EPOCH));
            }
            io::Result::Ok(())
        })
        .unwrap();
        assert_eq!(seen, 2);
    }

    #[test]
    fn a_stream_that_is_cut_or_too_long_is_an_error() {
        let bytes = sample();
        for end in 0..bytes.len() {
            assert!(rows_of(&bytes[..end], 1000).is_err(), "cut at {end}");
        }
        let longer = [&bytes[..], b"x"].concat();
        assert!(rows_of(&longer, 1000).is_err());
        assert!(rows_of(b"PGCOPY or not, it is long enough", 1000).is_err());
    }
}
