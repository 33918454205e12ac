//! md5 and sha1 of many small files, side by side.
//!
//! Both are chains of steps in which each needs the one before: one file leaves most of a processor
//! idle. The contents of a number of files are therefore put one behind the other, and then the
//! digests of all are computed at once: both in sixteen lanes of AVX-512 registers where the processor
//! has them; else md5 in the lanes it has, and sha1 of two files in turn with the SHA instructions.
//!
//! Behind each file stays room for what md5 and sha1 let a message end in, so that its last block is
//! a block like the others.

mod avx512;
mod sha1_pairs;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;

use avx512::Lanes;
use md5_many::Md5Many;

/// Both digests work on blocks of so many bytes.
const BLOCK: usize = 64;
/// The words that sha1 begins with; md5 has the same but the last.
#[cfg(target_arch = "x86_64")]
const FIRST: [u32; 5] = [
    0x6745_2301,
    0xefcd_ab89,
    0x98ba_dcfe,
    0x1032_5476,
    0xc3d2_e1f0,
];
/// Behind a message stand a byte of 0x80, zeros, and its length in eight bytes.
const LEAST_END: usize = 9;
/// A file with so many bits at most: the upper half of the length that stands behind it is zero.
const MOST_BITS: usize = u32::MAX as usize;
/// With fewer files than so many in flight the wide lanes are slower than one file after the other.
const FEWEST_LANES: usize = 4;

/// The digests of one file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Digests {
    pub(super) md5: [u8; 16],
    pub(super) sha1: [u8; 20],
}

/// Where the contents of a file stand.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: usize,
    length: usize,
}

impl Span {
    /// Its length with the end that both digests put behind it: whole blocks.
    fn padded(&self) -> usize {
        (self.length + LEAST_END).next_multiple_of(BLOCK)
    }
}

/// A message in whole blocks, its length still missing from the last one.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
struct Padded<'a> {
    blocks: &'a [[u8; BLOCK]],
    /// The length of the message.
    bits: u32,
}

/// The contents of small files, one behind the other.
#[derive(Debug, Default)]
pub(super) struct Contents {
    bytes: Vec<u8>,
    used: usize,
    spans: Vec<Span>,
    /// Bytes of the files themselves.
    length: usize,
    lanes: Md5Many,
}

impl Contents {
    /// Whether files of several hundred KiB are digested faster among others than by themselves.
    pub(super) fn takes_longer_ones() -> bool {
        Lanes::detect().is_some()
    }

    /// Bytes of all files.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// Room for the contents of one more file, and its end behind it; to be taken with
    /// [`Contents::push`].
    pub(super) fn room(&mut self, length: usize) -> &mut [u8] {
        let end = self.used + length;
        let with_end = end + LEAST_END + BLOCK;
        if self.bytes.len() < with_end {
            self.bytes.resize(with_end, 0);
        }
        &mut self.bytes[self.used..end]
    }

    /// One more file, whose contents are the first `length` bytes of the room that was given last.
    pub(super) fn push(&mut self, length: usize) {
        let span = Span {
            start: self.used,
            length,
        };
        let end = self.used + span.padded();
        self.bytes[self.used + length..end].fill(0);
        self.bytes[self.used + length] = 0x80;
        self.used = end;
        self.length += length;
        self.spans.push(span);
    }

    /// The contents of a file, by its number in the order in which files were pushed.
    pub(super) fn get(&self, number: usize) -> &[u8] {
        let span = self.spans[number];
        &self.bytes[span.start..span.start + span.length]
    }

    /// Without any files; the room remains.
    pub(super) fn clear(&mut self) {
        self.spans.clear();
        (self.used, self.length) = (0, 0);
    }

    /// The digests of all files, in the order in which they were pushed.
    pub(super) fn digests(&self) -> Vec<Digests> {
        // The longest first: the short ones then fill the lanes up to the end.
        let mut order: Vec<usize> = (0..self.spans.len()).collect();
        order.sort_unstable_by_key(|number| Reverse(self.spans[*number].length));
        let mut digests = vec![Digests::default(); order.len()];
        let longest = order.first().map_or(0, |first| self.spans[*first].padded());
        let is_worth_it = self.used >= FEWEST_LANES * longest && longest <= MOST_BITS / 8;
        match Lanes::detect().filter(|_| is_worth_it) {
            Some(lanes) => self.digest_together(lanes, &order, &mut digests),
            None => self.digest_apart(&order, &mut digests),
        }
        digests
    }

    /// Both digests in wide lanes.
    fn digest_together(&self, lanes: Lanes, order: &[usize], digests: &mut [Digests]) {
        let padded = order.iter().map(|number| {
            let span = self.spans[*number];
            Padded {
                blocks: self.bytes[span.start..][..span.padded()].as_chunks().0,
                bits: span.length as u32 * 8,
            }
        });
        lanes.digest_all(padded, |place, digest| digests[order[place]] = digest);
    }

    /// First md5, then sha1.
    fn digest_apart(&self, order: &[usize], digests: &mut [Digests]) {
        let contents: Vec<&[u8]> = order.iter().map(|number| self.get(*number)).collect();
        let mut md5s = vec![[0; 16]; contents.len()];
        self.lanes.hash_many(&contents, &mut md5s);
        let mut sha1s = Vec::with_capacity(contents.len());
        sha1_pairs::digest_all(&contents, &mut sha1s);
        for ((number, md5), sha1) in order.iter().zip(md5s).zip(sha1s) {
            digests[*number] = Digests { md5, sha1 };
        }
    }
}
