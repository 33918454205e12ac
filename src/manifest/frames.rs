//! The compressed form of a manifest: a zstd frame for the header, one for each shard in order,
//! and one for the footer.
//!
//! To a decoder that is one stream, as if it had been compressed in one piece. But each shard can
//! be compressed and decompressed by itself, on any thread, and where nothing has changed in a
//! shard the next manifest takes its frame as it is.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use zstd::zstd_safe;

use super::entry::Entry;
use super::error::ManifestError;
use super::jsonl::{Footer, Header, Tally, lines_of};
use crate::repository::Shard;

/// How much a manifest is compressed. It is digests for the most part, which no effort makes small.
const LEVEL: i32 = 1;

/// How much is read at once.
const PIECE: usize = 1024 * 1024;

/// The largest frame that is taken for one: ten thousand times the files of a large server.
const LIMIT: usize = 1024 * 1024 * 1024;

/// Lines as a frame.
pub(super) fn compress(lines: &[u8]) -> io::Result<Vec<u8>> {
    zstd::bulk::compress(lines, LEVEL)
}

/// The lines of a frame.
pub(super) fn decompress(frame: &[u8]) -> io::Result<Vec<u8>> {
    let mut lines = Vec::with_capacity(frame.len() * 3);
    zstd::Decoder::with_buffer(frame)?
        .single_frame()
        .take(LIMIT as u64)
        .read_to_end(&mut lines)?;
    if lines.len() == LIMIT {
        return Err(io::Error::other("it has no end"));
    }
    Ok(lines)
}

/// A whole manifest of entries, which stand in ascending order; and its footer. For a few entries.
pub fn of_entries(header: &Header, entries: &[Entry]) -> io::Result<(Vec<u8>, Footer)> {
    let header = header.line();
    let mut tally = Tally::after(&header);
    let mut bytes = compress(&header)?;
    for shard in Shard::all() {
        let from = entries.partition_point(|entry| entry.name.shard() < shard);
        let to = entries.partition_point(|entry| entry.name.shard() <= shard);
        let entries = &entries[from..to];
        let lines = lines_of(entries);
        tally.take(&lines, &Footer::of(entries));
        bytes.extend(compress(&lines)?);
    }
    let (footer, last) = tally.end();
    bytes.extend(compress(&last)?);
    Ok((bytes, footer))
}

/// What a manifest says of one shard.
#[derive(Default)]
pub struct ShardLines {
    /// Its entries' lines.
    pub lines: Vec<u8>,
    /// The same, compressed.
    pub frame: Vec<u8>,
}

/// A manifest handed out shard by shard, to several threads that take shards in ascending order.
///
/// Whether the manifest is as it was written is for others to prove before.
pub struct Frames<R> {
    path: PathBuf,
    state: Mutex<State<R>>,
}

struct State<R> {
    input: R,
    at_end: bool,
    /// What was read, of which the first bytes were handed out.
    buffer: Vec<u8>,
    from: usize,
    /// Frames that were read and not yet taken.
    ready: BTreeMap<u8, Vec<u8>>,
    /// The first shard whose frame was not read.
    next: u16,
}

impl<R: Read> Frames<R> {
    /// Reads the header; `path` is for messages.
    pub fn new(input: R, path: &Path) -> Result<Frames<R>, ManifestError> {
        let frames = Frames {
            path: path.to_owned(),
            state: Mutex::new(State {
                input,
                at_end: false,
                buffer: Vec::new(),
                from: 0,
                ready: BTreeMap::new(),
                next: 0,
            }),
        };
        let header = frames.state().next_frame();
        let header = header
            .and_then(|frame| decompress(&frame))
            .map_err(|source| frames.failed(source))?;
        if memchr::memchr_iter(b'\n', &header).count() == 1 {
            Ok(frames)
        } else {
            Err(frames.damaged("its shards are not compressed each by itself"))
        }
    }

    /// What is said of a shard. Each shard can be taken once; nothing is left of it then.
    pub fn take(&self, shard: Shard) -> Result<ShardLines, ManifestError> {
        let mut state = self.state();
        while state.next <= u16::from(shard.0) {
            let frame = state.next_frame().map_err(|source| self.failed(source))?;
            let number = state.next as u8;
            state.ready.insert(number, frame);
            state.next += 1;
        }
        let frame = state.ready.remove(&shard.0);
        drop(state);
        let Some(frame) = frame else {
            return Ok(ShardLines::default());
        };
        let lines = decompress(&frame).map_err(|source| self.failed(source))?;
        Ok(ShardLines { lines, frame })
    }

    /// The error for a line that makes no sense.
    pub fn damaged(&self, why: &str) -> ManifestError {
        self.failed(io::Error::other(why.to_owned()))
    }

    fn state(&self) -> MutexGuard<'_, State<R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, source: io::Error) -> ManifestError {
        ManifestError::Io {
            action: "read",
            path: self.path.clone(),
            source,
        }
    }
}

impl<R: Read> State<R> {
    /// The next frame. How long one is shows only when all of it is there.
    fn next_frame(&mut self) -> io::Result<Vec<u8>> {
        loop {
            let read = &self.buffer[self.from..];
            if let Ok(length) = zstd_safe::find_frame_compressed_size(read) {
                let frame = read[..length].to_vec();
                self.from += length;
                return Ok(frame);
            }
            if self.at_end || read.len() >= LIMIT {
                return Err(io::Error::other("it does not consist of zstd frames"));
            }
            // As much again as is there: a long frame is looked at from its start each time.
            let more = read.len().max(PIECE);
            self.buffer.drain(..self.from);
            self.from = 0;
            let count = (&mut self.input)
                .take(more as u64)
                .read_to_end(&mut self.buffer)?;
            self.at_end = count < more;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Place, SetKind, Types, UrlGold};
    use crate::repository::RepositoryName;

    fn entries(count: u32) -> Vec<Entry> {
        let entry = |number: u32| Entry {
            name: RepositoryName {
                sha1: *blake3::hash(&number.to_be_bytes()).as_bytes()[..20]
                    .first_chunk()
                    .unwrap(),
                md5: [7; 16],
                size: u64::from(number),
            },
            types: Types::GOLD,
            blake3: Some([1; 32]),
            place: Place::Pool,
            urls: Vec::new(),
            url_withheld: false,
        };
        let mut entries: Vec<Entry> = (0..count).map(entry).collect();
        entries.sort_by_key(|entry| entry.name);
        entries
    }

    fn header() -> Header {
        Header::new(SetKind::Full, UrlGold::Keep, "a dump")
    }

    /// Hands out a few bytes at a time.
    struct Trickle<'a>(&'a [u8]);

    impl Read for Trickle<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = buffer.len().min(self.0.len()).min(7);
            let (now, later) = self.0.split_at(count);
            buffer[..count].copy_from_slice(now);
            self.0 = later;
            Ok(count)
        }
    }

    #[test]
    fn shards_come_out_in_any_order_as_they_went_in() {
        let entries = entries(3_000);
        let (bytes, footer) = of_entries(&header(), &entries).unwrap();
        assert_eq!(footer.entries, 3_000);
        let frames = Frames::new(Trickle(&bytes), Path::new("m")).unwrap();
        for first in [3, 0, 255, 7] {
            let of_shard: Vec<Entry> = entries
                .iter()
                .filter(|entry| entry.name.shard() == Shard(first))
                .cloned()
                .collect();
            let said = frames.take(Shard(first)).unwrap();
            assert_eq!(said.lines, lines_of(&of_shard), "shard {first}");
            assert_eq!(decompress(&said.frame).unwrap(), said.lines);
            assert!(frames.take(Shard(first)).unwrap().lines.is_empty());
        }
    }

    #[test]
    fn the_frames_are_one_stream_to_a_decoder() {
        let entries = entries(500);
        let (bytes, footer) = of_entries(&header(), &entries).unwrap();
        let text = zstd::decode_all(&bytes[..]).unwrap();
        let (mut reader, _) = super::super::jsonl::Reader::new(&text[..], Path::new("m")).unwrap();
        let mut read = Vec::new();
        while let Some(entry) = reader.next_entry().unwrap() {
            read.push(entry);
        }
        assert_eq!(read, entries);
        assert_eq!(reader.footer(), Some(&footer));
    }

    #[test]
    fn what_is_cut_or_in_another_form_is_refused() {
        let (bytes, _) = of_entries(&header(), &entries(500)).unwrap();
        let text = zstd::decode_all(&bytes[..]).unwrap();
        let in_one = zstd::bulk::compress(&text, 1).unwrap();
        assert!(Frames::new(&in_one[..], Path::new("m")).is_err());
        assert!(Frames::new(&text[..], Path::new("m")).is_err());
        assert!(Frames::new(&b""[..], Path::new("m")).is_err());
        let cut = &bytes[..bytes.len() / 2];
        let frames = Frames::new(cut, Path::new("m")).unwrap();
        assert!(frames.take(Shard(255)).is_err());
    }
}
