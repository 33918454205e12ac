//! A manifest in the making: compressed, shard by shard in order, into its file.
//!
//! Shards come from several threads, nearly in order. A shard is written, and goes into the digest
//! over all lines, as soon as all before it are there; until then it waits in memory, or, when too
//! much waits, on disk.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::entry::Entry;
use super::error::ManifestError;
use super::frames::{compress, decompress};
use super::jsonl::{self, Footer, Header, Tally};
use crate::catalog::scatter::{Scatter, scratch_file};
use crate::check::CompanionError;
use crate::repository::Shard;

/// So many bytes wait in memory until the shards before them are there.
const WAITING: usize = 16 * 1024 * 1024;

/// A manifest in the making.
pub(super) struct Draft {
    aside: Arc<Scatter>,
    progress: Mutex<Progress>,
}

/// How far the manifest is.
struct Progress {
    written: Written,
    /// The first shard that is not written.
    next: u16,
    waiting: BTreeMap<u8, Waiting>,
    waiting_bytes: usize,
}

/// A shard before which others are missing.
struct Waiting {
    counts: Footer,
    /// Its lines, and the same compressed; `None` when it was put aside on disk.
    here: Option<(Vec<u8>, Vec<u8>)>,
}

impl Waiting {
    fn bytes(&self) -> usize {
        let here = self.here.as_ref();
        here.map_or(0, |(lines, frame)| lines.len() + frame.len())
    }
}

/// The file that a manifest is written to; it can be read too.
pub struct Target {
    /// The file, empty.
    pub file: File,
    /// Where it lies, for messages.
    pub path: PathBuf,
}

impl Target {
    /// A file without a name in a scratch directory.
    pub(super) fn scratch(directory: &Path) -> Result<Target, ManifestError> {
        Ok(Target {
            file: scratch_file(directory)?,
            path: directory.to_owned(),
        })
    }

    fn failed(&self, action: &'static str, source: io::Error) -> ManifestError {
        ManifestError::Io {
            action,
            path: self.path.clone(),
            source,
        }
    }
}

/// What is written of a manifest.
struct Written {
    target: Target,
    header: Vec<u8>,
    tally: Tally,
    bytes: u64,
    digest: blake3::Hasher,
    /// The frame of each shard.
    extents: Vec<Extent>,
}

/// Where a shard's frame stands, and what its entries count up to.
struct Extent {
    offset: u64,
    length: usize,
    counts: Footer,
}

impl Written {
    fn begin(header: Vec<u8>, target: Target) -> Result<Written, ManifestError> {
        let mut written = Written {
            target,
            tally: Tally::after(&header),
            bytes: 0,
            digest: blake3::Hasher::new(),
            extents: Vec::with_capacity(256),
            header,
        };
        let frame = written.compressed(&written.header)?;
        written.push_frame(&frame)?;
        Ok(written)
    }

    fn compressed(&self, lines: &[u8]) -> Result<Vec<u8>, ManifestError> {
        compress(lines).map_err(|source| self.target.failed("compress", source))
    }

    /// Writes the next shard.
    fn push(&mut self, lines: &[u8], frame: &[u8], counts: &Footer) -> Result<(), ManifestError> {
        self.tally.take(lines, counts);
        self.extents.push(Extent {
            offset: self.bytes,
            length: frame.len(),
            counts: counts.clone(),
        });
        self.push_frame(frame)
    }

    fn push_frame(&mut self, frame: &[u8]) -> Result<(), ManifestError> {
        let written = self.target.file.write_all(frame);
        written.map_err(|source| self.target.failed("write", source))?;
        self.digest.update(frame);
        self.bytes += frame.len() as u64;
        Ok(())
    }

    /// The frame of a shard that was written.
    fn frame(&self, shard: Shard) -> Result<Vec<u8>, ManifestError> {
        let extent = &self.extents[shard.index()];
        let mut frame = vec![0; extent.length];
        let read = self.target.file.read_exact_at(&mut frame, extent.offset);
        read.map_err(|source| self.target.failed("read", source))?;
        Ok(frame)
    }

    fn decompressed(&self, frame: &[u8]) -> Result<Vec<u8>, ManifestError> {
        decompress(frame).map_err(|source| self.target.failed("read", source))
    }

    /// The lines of a shard that was written.
    fn lines(&self, shard: Shard) -> Result<Vec<u8>, ManifestError> {
        self.decompressed(&self.frame(shard)?)
    }
}

impl Draft {
    /// An empty draft that is written to `target`; what has to be put aside goes to `scratch`.
    pub(super) fn new(
        header: &Header,
        target: Target,
        scratch: &Path,
    ) -> Result<Draft, ManifestError> {
        Ok(Draft {
            aside: Scatter::new(scratch)?,
            progress: Mutex::new(Progress {
                written: Written::begin(header.line(), target)?,
                next: 0,
                waiting: BTreeMap::new(),
                waiting_bytes: 0,
            }),
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
    ) -> Result<(), ManifestError> {
        let frame = match frame {
            Some(frame) => frame,
            None => compress(&lines).map_err(|_| self.aside.scrambled())?,
        };
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let is_next = progress.next == u16::from(shard.0);
        let has_room = progress.waiting_bytes + lines.len() + frame.len() <= WAITING;
        let here = if is_next || has_room {
            Some((lines, frame))
        } else {
            self.aside.append(shard.0, &frame)?;
            None
        };
        let waiting = Waiting { counts, here };
        progress.waiting_bytes += waiting.bytes();
        progress.waiting.insert(shard.0, waiting);
        progress.go_on(&self.aside)
    }

    /// No shard comes any more; one that never came has no entries.
    pub(super) fn finish(self) -> Result<Drafted, ManifestError> {
        let mut progress = self
            .progress
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        loop {
            progress.go_on(&self.aside)?;
            if progress.next > u16::from(u8::MAX) {
                break;
            }
            let empty = progress.written.compressed(&[])?;
            progress.written.push(&[], &empty, &Footer::default())?;
            progress.next += 1;
        }
        Ok(Drafted {
            written: progress.written,
            target: None,
        })
    }
}

impl Progress {
    /// Writes what can be written.
    fn go_on(&mut self, aside: &Scatter) -> Result<(), ManifestError> {
        while let Some((number, waiting)) = u8::try_from(self.next)
            .ok()
            .and_then(|next| self.waiting.remove_entry(&next))
        {
            self.waiting_bytes -= waiting.bytes();
            let (lines, frame) = match waiting.here {
                Some(here) => here,
                None => {
                    let frame = aside.read(number)?;
                    let lines = decompress(&frame).map_err(|_| aside.scrambled())?;
                    (lines, frame)
                }
            };
            self.written.push(&lines, &frame, &waiting.counts)?;
            self.next += 1;
        }
        Ok(())
    }
}

/// All shards of a manifest.
pub(super) struct Drafted {
    written: Written,
    /// The file that is to have it, when it was written to another one.
    target: Option<Target>,
}

/// A manifest that was written whole, compressed.
pub struct Whole {
    /// Its footer.
    pub footer: Footer,
    /// The file's length.
    pub bytes: u64,
    /// BLAKE3 of the file.
    pub blake3: [u8; 32],
}

impl Drafted {
    /// The entries of a shard, in order.
    pub(super) fn entries(&self, shard: Shard) -> Result<Vec<Entry>, ManifestError> {
        let lines = self.written.lines(shard)?;
        lines
            .split_inclusive(|byte| *byte == b'\n')
            .map(|line| jsonl::parse_line(line).map_err(|why| self.scrambled(why)))
            .collect()
    }

    fn scrambled(&self, why: String) -> ManifestError {
        self.written.target.failed("read", io::Error::other(why))
    }

    /// The same with other entries in some shards: those for which `replace` gives some.
    pub(super) fn with(
        self,
        replace: impl Fn(&Drafted, Shard) -> Result<Option<Vec<Entry>>, ManifestError>,
        scratch: &Path,
    ) -> Result<Drafted, ManifestError> {
        let header = self.written.header.clone();
        let mut written = Written::begin(header, Target::scratch(scratch)?)?;
        for shard in Shard::all() {
            if let Some(entries) = replace(&self, shard)? {
                let lines = jsonl::lines_of(&entries);
                let frame = written.compressed(&lines)?;
                written.push(&lines, &frame, &Footer::of(&entries))?;
            } else {
                let frame = self.written.frame(shard)?;
                let lines = self.written.decompressed(&frame)?;
                let counts = &self.written.extents[shard.index()].counts;
                written.push(&lines, &frame, counts)?;
            }
        }
        Ok(Drafted {
            written,
            target: Some(self.target.unwrap_or(self.written.target)),
        })
    }

    /// Writes the manifest as text.
    pub(super) fn write(&self, out: &mut dyn Write) -> Result<Footer, CompanionError> {
        let (footer, last) = self.written.tally.end();
        out.write_all(&self.written.header)?;
        for shard in Shard::all() {
            out.write_all(&self.written.lines(shard)?)?;
        }
        out.write_all(&last)?;
        out.flush()?;
        Ok(footer)
    }

    /// Ends the compressed manifest in its file.
    pub(super) fn end(self) -> Result<Whole, ManifestError> {
        let mut written = self.written;
        let (footer, last) = written.tally.end();
        let frame = written.compressed(&last)?;
        written.push_frame(&frame)?;
        if let Some(mut target) = self.target {
            copy_over(&mut written.target.file, &mut target.file)
                .map_err(|source| target.failed("write", source))?;
        }
        Ok(Whole {
            footer,
            bytes: written.bytes,
            blake3: *written.digest.finalize().as_bytes(),
        })
    }
}

/// Puts what is in a file in the place of what is in another one.
fn copy_over(from: &mut File, to: &mut File) -> io::Result<()> {
    to.set_len(0)?;
    to.rewind()?;
    from.rewind()?;
    io::copy(from, to).map(|_| ())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

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
        let target = Target::scratch(scratch).unwrap();
        let draft = Draft::new(&header(), target, scratch).unwrap();
        for first in order {
            let entries = &entries[usize::from(first)..][..1];
            let (lines, counts) = (jsonl::lines_of(entries), Footer::of(entries));
            draft.put(Shard(first), lines, counts, None).unwrap();
        }
        draft.finish().unwrap()
    }

    /// What is in the file at the end.
    fn compressed(drafted: Drafted) -> (Vec<u8>, Footer) {
        let target = drafted.target.as_ref().unwrap_or(&drafted.written.target);
        let mut file = target.file.try_clone().unwrap();
        let whole = drafted.end().unwrap();
        let mut bytes = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut bytes).unwrap();
        assert_eq!(whole.bytes, bytes.len() as u64);
        assert_eq!(whole.blake3, *blake3::hash(&bytes).as_bytes());
        (bytes, whole.footer)
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
                assert_eq!(draft.entries(Shard(9)).unwrap(), entries[9..10]);
                let mut text = Vec::new();
                draft.write(&mut text).unwrap();
                assert!(text == zstd::decode_all(&wanted.0[..]).unwrap());
                assert!(compressed(draft) == wanted);
            }
        }
    }

    #[test]
    fn shards_that_never_came_are_empty() {
        let scratch = tempfile::tempdir().unwrap();
        let entries = entries(1);
        let wanted = frames::of_entries(&header(), &entries[10..12]).unwrap();
        let draft = drafted(10..12, &entries, scratch.path());
        assert!(compressed(draft) == wanted);
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
        assert!(compressed(replaced) == wanted);
    }
}
