//! Rows of `COPY … TO STDOUT (FORMAT binary)`.

use std::io::{self, Read};

use super::rows::Micros;

/// The first bytes of the format, and how long the whole header is when it has no extension.
const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";
const HEADER: usize = 19;

/// Microseconds from 1970 to 2000, where PostgreSQL's timestamps begin.
const EPOCH: Micros = 946_684_800_000_000;

/// More columns than any statement here has.
const MOST_COLUMNS: usize = 16;

/// How much is read at a time, at most.
const PIECE: usize = 64 * 1024;

/// A stream of rows.
pub(super) struct BinaryRows<R> {
    input: R,
    buffer: Vec<u8>,
    at: usize,
    filled: usize,
    started: bool,
    fields: [Option<(usize, usize)>; MOST_COLUMNS],
}

fn bad(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

impl<R: Read> BinaryRows<R> {
    pub(super) fn new(input: R) -> BinaryRows<R> {
        BinaryRows {
            input,
            buffer: vec![0; 2 * PIECE],
            at: 0,
            filled: 0,
            started: false,
            fields: [None; MOST_COLUMNS],
        }
    }

    /// The next row; `None` after the last one. An input that ends without the format's own end
    /// mark is an error.
    pub(super) fn next(&mut self) -> io::Result<Option<BinaryRow<'_>>> {
        if !self.started {
            self.want(HEADER)?;
            if &self.buffer[..SIGNATURE.len()] != SIGNATURE {
                return Err(bad("not the binary COPY format"));
            }
            self.at = 15;
            let extension = self.int4(15)? as usize;
            self.at = HEADER;
            self.want(extension)?;
            self.at += extension;
            self.started = true;
        }
        self.want(2)?;
        let count = i16::from_be_bytes([self.buffer[self.at], self.buffer[self.at + 1]]);
        if count == -1 {
            return Ok(None);
        }
        let count = usize::try_from(count).map_err(|_| bad("a negative number of columns"))?;
        if count > MOST_COLUMNS {
            return Err(bad("too many columns"));
        }
        // Offsets are kept from the row's start, for its bytes may move while more are read.
        let mut length = 2;
        for index in 0..count {
            self.want(length + 4)?;
            let size = self.int4(self.at + length)?;
            length += 4;
            self.fields[index] = match usize::try_from(size) {
                Ok(size) => {
                    self.want(length + size)?;
                    length += size;
                    Some((length - size, size))
                }
                Err(_) => None,
            };
        }
        let start = self.at;
        self.at += length;
        Ok(Some(BinaryRow {
            bytes: &self.buffer[start..start + length],
            fields: &self.fields[..count],
        }))
    }

    fn int4(&self, at: usize) -> io::Result<i32> {
        let bytes = self.buffer[..self.filled]
            .get(at..at + 4)
            .ok_or_else(|| bad("too short"))?;
        Ok(i32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// Makes sure that `count` bytes from the current position are in the buffer.
    fn want(&mut self, count: usize) -> io::Result<()> {
        while self.filled - self.at < count {
            if self.at > 0 && self.buffer.len() - self.filled < PIECE {
                self.buffer.copy_within(self.at..self.filled, 0);
                self.filled -= self.at;
                self.at = 0;
            }
            if self.buffer.len() - self.filled < PIECE {
                self.buffer.resize(self.filled + PIECE, 0);
            }
            let read = self.input.read(&mut self.buffer[self.filled..])?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.filled += read;
        }
        Ok(())
    }
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

    /// Hands out its bytes a few at a time.
    struct Dribble<'a>(&'a [u8], usize);

    impl Read for Dribble<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(self.0.len()).min(buffer.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

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

    #[test]
    fn rows_are_the_same_however_they_arrive() {
        for step in [1, 2, 3, 7, 1000] {
            let bytes = sample();
            let mut rows = BinaryRows::new(Dribble(&bytes, step));
            let row = rows.next().unwrap().unwrap();
            assert_eq!(row.int(0).unwrap(), Some(7));
            assert_eq!(row.bytes(1), None);
            assert_eq!(row.bytes(2), Some(&b"ab"[..]));
            let row = rows.next().unwrap().unwrap();
            assert_eq!(row.time(0).unwrap(), Some(EPOCH));
            assert!(rows.next().unwrap().is_none());
        }
    }

    #[test]
    fn a_stream_that_is_cut_is_an_error() {
        let bytes = sample();
        for end in 0..bytes.len() {
            let mut rows = BinaryRows::new(&bytes[..end]);
            let result = loop {
                match rows.next() {
                    Ok(Some(_)) => {}
                    other => break other.map(|row| row.is_none()),
                }
            };
            assert!(result.is_err(), "cut at {end}");
        }
    }
}
