//! A manifest in the making: the lines of each shard, compressed, on disk.
//!
//! Shards come from several threads, nearly in order. The digest of all lines is over them in order,
//! so it is taken of a shard as soon as all before it are there, while its lines are still at hand.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::entry::Entry;
use super::frames::{compress, decompress};
use super::jsonl::{self, Footer, Header, Tally};
use crate::catalog::CatalogError;
use crate::catalog::scatter::Scatter;
use crate::check::CompanionError;
use crate::repository::Shard;

/// So many bytes of lines wait in memory until those before them are there. What is more is read
/// back from disk.
const WAITING: usize = 16 * 1024 * 1024;

/// A manifest in the making.
pub(super) struct Draft {
    header: Vec<u8>,
    frames: Arc<Scatter>,
    progress: Mutex<Progress>,
}

/// How far the digest is.
struct Progress {
    tally: Tally,
    /// The first shard that is not in the digest.
    next: u16,
    waiting: BTreeMap<u8, Waiting>,
    waiting_bytes: usize,
    counts: Vec<Footer>,
}

/// A shard before which others are missing; without its lines when there are too many.
struct Waiting {
    lines: Option<Vec<u8>>,
}

impl Draft {
    /// An empty draft; its file lies without a name in `scratch`.
    pub(super) fn new(header: &Header, scratch: &Path) -> Result<Draft, CatalogError> {
        let header = header.line();
        Ok(Draft {
            frames: Scatter::new(scratch)?,
            progress: Mutex::new(Progress {
                tally: Tally::after(&header),
                next: 0,
                waiting: BTreeMap::new(),
                waiting_bytes: 0,
                counts: vec![Footer::default(); 256],
            }),
            header,
        })
    }

    /// Puts in a shard's lines, of entries that `counts` has counted; `frame` is the same
    /// compressed, if it is at hand.
    pub(super) fn put(
        &self,
        shard: Shard,
        lines: Vec<u8>,
        counts: Footer,
        frame: Option<Vec<u8>>,
    ) -> Result<(), CompanionError> {
        let frame = match frame {
            Some(frame) => frame,
            None => compress(&lines)?,
        };
        self.frames.append(shard.0, &frame)?;
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.counts[shard.index()] = counts;
        let has_room = progress.waiting_bytes + lines.len() <= WAITING;
        let lines = (has_room || progress.next == u16::from(shard.0)).then_some(lines);
        progress.waiting_bytes += lines.as_ref().map_or(0, Vec::len);
        progress.waiting.insert(shard.0, Waiting { lines });
        Ok(progress.go_on(&self.frames)?)
    }

    /// The entries of a shard, in order.
    pub(super) fn entries(&self, shard: Shard) -> Result<Vec<Entry>, CatalogError> {
        entries_of(&self.frames, shard)
    }

    /// No shard comes any more.
    pub(super) fn finish(self) -> Result<Drafted, CatalogError> {
        let mut progress = self
            .progress
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        while progress.next < 256 {
            progress.go_on(&self.frames)?;
            // A shard that never came says nothing.
            progress.next += 1;
        }
        Ok(Drafted {
            header: self.header,
            frames: self.frames,
            tally: progress.tally,
            counts: progress.counts,
        })
    }
}

impl Progress {
    /// Takes into the digest what can be taken.
    fn go_on(&mut self, frames: &Scatter) -> Result<(), CatalogError> {
        while let Some(waiting) = u8::try_from(self.next)
            .ok()
            .and_then(|next| self.waiting.remove(&next))
        {
            let number = self.next as u8;
            self.waiting_bytes -= waiting.lines.as_ref().map_or(0, Vec::len);
            let lines = match waiting.lines {
                Some(lines) => lines,
                None => lines_of(frames, Shard(number))?,
            };
            self.tally.take(&lines, &self.counts[usize::from(number)]);
            self.next += 1;
        }
        Ok(())
    }
}

/// All shards of a manifest.
pub(super) struct Drafted {
    header: Vec<u8>,
    frames: Arc<Scatter>,
    tally: Tally,
    counts: Vec<Footer>,
}

impl Drafted {
    /// The entries of a shard, in order.
    pub(super) fn entries(&self, shard: Shard) -> Result<Vec<Entry>, CatalogError> {
        entries_of(&self.frames, shard)
    }

    /// The same with other entries in some shards: those for which `replace` gives some.
    pub(super) fn with(
        self,
        replace: impl Fn(&Drafted, Shard) -> Result<Option<Vec<Entry>>, CatalogError>,
        scratch: &Path,
    ) -> Result<Drafted, CompanionError> {
        let mut tally = Tally::after(&self.header);
        let frames = Scatter::new(scratch)?;
        let mut counts = self.counts.clone();
        for shard in Shard::all() {
            let lines = match replace(&self, shard)? {
                None => lines_of(&self.frames, shard)?,
                Some(entries) => {
                    let (lines, counted) = jsonl::lines_of(&entries);
                    counts[shard.index()] = counted;
                    lines
                }
            };
            tally.take(&lines, &counts[shard.index()]);
            frames.append(shard.0, &compress(&lines)?)?;
        }
        Ok(Drafted {
            header: self.header,
            frames,
            tally,
            counts,
        })
    }

    /// Writes the manifest as text.
    pub(super) fn write(&self, out: &mut dyn Write) -> Result<Footer, CompanionError> {
        let (footer, last) = self.tally.end();
        out.write_all(&self.header)?;
        for shard in Shard::all() {
            out.write_all(&lines_of(&self.frames, shard)?)?;
        }
        out.write_all(&last)?;
        out.flush()?;
        Ok(footer)
    }

    /// Writes the manifest compressed.
    pub(super) fn write_compressed(&self, out: &mut dyn Write) -> Result<Footer, CompanionError> {
        let (footer, last) = self.tally.end();
        out.write_all(&compress(&self.header)?)?;
        for shard in Shard::all() {
            let frame = self.frames.read(shard.0)?;
            if frame.is_empty() {
                out.write_all(&compress(&[])?)?;
            } else {
                out.write_all(&frame)?;
            }
        }
        out.write_all(&compress(&last)?)?;
        out.flush()?;
        Ok(footer)
    }
}

fn lines_of(frames: &Scatter, shard: Shard) -> Result<Vec<u8>, CatalogError> {
    let frame = frames.read(shard.0)?;
    if frame.is_empty() {
        return Ok(frame);
    }
    decompress(&frame).map_err(|_| frames.scrambled())
}

fn entries_of(frames: &Scatter, shard: Shard) -> Result<Vec<Entry>, CatalogError> {
    lines_of(frames, shard)?
        .split_inclusive(|byte| *byte == b'\n')
        .map(|line| jsonl::parse_line(line).map_err(|_| frames.scrambled()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Place, SetKind, Types, UrlGold, frames};
    use crate::repository::RepositoryName;

    /// An entry in each shard, with many URLs.
    fn entries(urls: usize) -> Vec<Entry> {
        let entry = |first: u8| Entry {
            name: RepositoryName {
                sha1: [first; 20],
                md5: [7; 16],
                size: u64::from(first),
            },
            types: Types::GOLD,
            blake3: Some([first; 32]),
            place: Place::Pool,
            urls: vec!["https://example.org/a.zip".to_owned(); urls],
            url_withheld: false,
        };
        (0..=255).map(entry).collect()
    }

    fn header() -> Header {
        Header::new(SetKind::Full, UrlGold::Keep, "a dump")
    }

    fn drafted(order: impl Iterator<Item = u8>, entries: &[Entry], scratch: &Path) -> Drafted {
        let draft = Draft::new(&header(), scratch).unwrap();
        for first in order {
            let (lines, counts) = jsonl::lines_of(&entries[usize::from(first)..][..1]);
            draft.put(Shard(first), lines, counts, None).unwrap();
        }
        draft.finish().unwrap()
    }

    fn compressed(drafted: &Drafted) -> (Vec<u8>, Footer) {
        let mut bytes = Vec::new();
        let footer = drafted.write_compressed(&mut bytes).unwrap();
        (bytes, footer)
    }

    #[test]
    fn the_order_in_which_shards_come_does_not_show() {
        let scratch = tempfile::tempdir().unwrap();
        // The second kind has more than may wait in memory.
        for urls in [1, 4_000] {
            let entries = entries(urls);
            let wanted = frames::of_entries(&header(), &entries).unwrap();
            for draft in [
                drafted(0..=255, &entries, scratch.path()),
                drafted((0..=255).rev(), &entries, scratch.path()),
                drafted((0..=255).map(|n: u8| n ^ 5), &entries, scratch.path()),
            ] {
                assert!(compressed(&draft) == wanted);
                assert_eq!(draft.entries(Shard(9)).unwrap(), entries[9..10]);
                let mut text = Vec::new();
                draft.write(&mut text).unwrap();
                assert!(text == zstd::decode_all(&wanted.0[..]).unwrap());
            }
        }
    }

    #[test]
    fn shards_that_never_came_are_empty() {
        let scratch = tempfile::tempdir().unwrap();
        let entries = entries(1);
        let wanted = frames::of_entries(&header(), &entries[10..12]).unwrap();
        let draft = drafted(10..12, &entries, scratch.path());
        assert!(compressed(&draft) == wanted);
    }

    #[test]
    fn entries_can_be_replaced() {
        let scratch = tempfile::tempdir().unwrap();
        let entries = entries(1);
        let wanted = frames::of_entries(&header(), &entries).unwrap();
        let draft = drafted((0..=255).filter(|n| *n != 7), &entries, scratch.path());
        let replaced = draft
            .with(
                |_, shard| Ok((shard == Shard(7)).then(|| entries[7..8].to_vec())),
                scratch.path(),
            )
            .unwrap();
        assert!(compressed(&replaced) == wanted);
    }
}
