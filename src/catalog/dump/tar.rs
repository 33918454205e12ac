//! Watches a dump in tar format on its way to `pg_restore`, for where it ends.
//!
//! `pg_restore` reads a tar archive that is cut within a member for ever, so the cut must be seen
//! before. Only sizes and the end mark are looked at; what the members hold is `pg_restore`'s to
//! judge.

use std::io::{self, Read};

const RECORD: usize = 512;

/// A reader that fails where an archive ends without its end mark.
#[derive(Debug)]
pub(super) struct Watched<R> {
    inner: R,
    header: Vec<u8>,
    /// How many bytes of the member, with its padding, are still to come.
    left: u64,
    ended: bool,
}

impl<R> Watched<R> {
    /// Watches `inner`.
    pub(super) fn new(inner: R) -> Watched<R> {
        Watched {
            inner,
            header: Vec::with_capacity(RECORD),
            left: 0,
            ended: false,
        }
    }

    fn see(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.ended {
            let skipped = usize::try_from(self.left).map_or(bytes.len(), |n| n.min(bytes.len()));
            self.left -= skipped as u64;
            bytes = &bytes[skipped..];
            let part = bytes.len().min(RECORD - self.header.len());
            self.header.extend_from_slice(&bytes[..part]);
            bytes = &bytes[part..];
            if self.header.len() == RECORD {
                self.ended = self.header.iter().all(|&byte| byte == 0);
                self.left = size(&self.header).div_ceil(RECORD as u64) * RECORD as u64;
                self.header.clear();
            }
        }
    }
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.see(&buffer[..count]);
        if count == 0 && !buffer.is_empty() && !self.ended {
            let early = "the tar archive ends early";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, early));
        }
        Ok(count)
    }
}

/// The size that a header gives its member: octal digits, or binary after a set high bit.
fn size(header: &[u8]) -> u64 {
    let field = &header[124..136];
    let value = if field[0] & 0x80 != 0 {
        field[4..]
            .iter()
            .fold(0, |value: u64, &byte| value << 8 | u64::from(byte))
    } else {
        let digits = field.iter().filter(|byte| (b'0'..=b'7').contains(byte));
        digits.fold(0, |value: u64, &byte| value << 3 | u64::from(byte - b'0'))
    };
    // A size that no file can have comes from damage; it must not overflow what is counted.
    value.min(1 << 62)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(size_field: &[u8; 12], contents: &[u8]) -> Vec<u8> {
        let mut bytes = vec![b'x'; RECORD];
        bytes[124..136].copy_from_slice(size_field);
        bytes.extend_from_slice(contents);
        bytes.resize(bytes.len().next_multiple_of(RECORD), 0);
        bytes
    }

    #[test]
    fn every_cut_before_the_end_mark_fails() {
        let mut archive = member(b"00000001130\0", &[0; 600]);
        archive.extend(member(b"\x80\0\0\0\0\0\0\0\0\0\0\x03", b"abc"));
        archive.extend(member(b"00000000000\0", b""));
        let whole = archive.len() + RECORD;
        archive.extend([0; 2 * RECORD]);
        for length in 0..=archive.len() {
            let mut text = Vec::new();
            let outcome = Watched::new(&archive[..length]).read_to_end(&mut text);
            assert_eq!(outcome.is_ok(), length >= whole, "{length}");
        }
    }

    #[test]
    fn absurd_sizes_are_harmless() {
        let mut archive = member(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", b"");
        archive.extend(member(b"777777777777", b""));
        assert!(
            Watched::new(&archive[..])
                .read_to_end(&mut Vec::new())
                .is_err()
        );
    }
}
