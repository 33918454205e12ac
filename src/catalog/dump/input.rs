//! Opens a dump, whatever its form, and feeds its plain text in blocks.
//!
//! The form is told by the first bytes, never by the file's name. Reading and decompression run in
//! a thread of their own, so that they overlap with parsing; the blocks go round and are used
//! again. A thread that waits for a source that gives nothing more is left behind when the reader
//! gives up: it holds a few blocks, and ends with the next byte or with the program.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::thread;
use std::time::Duration;

use flate2::bufread::MultiGzDecoder;

use super::DumpOptions;
use super::restore::{Archive, Restore, empty_member};
use super::tar::Watched;
use crate::catalog::CatalogError;
use crate::monitor::Monitor;

/// How much text goes from thread to thread at once.
const BLOCK: usize = 256 * 1024;

/// How many blocks may wait for the parser.
const WAITING: usize = 4;

/// How often the caller is asked whether to stop while a source gives nothing.
const PATIENCE: Duration = Duration::from_millis(100);

/// How many bytes tell the form: as many as a tar header has.
const SNIFF: usize = 512;

/// Where a dump comes from.
pub struct Input {
    name: PathBuf,
    source: Source,
    size: Option<u64>,
    with_database: bool,
}

enum Source {
    File(File),
    Directory,
    Stream(Box<dyn Read + Send>),
}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Input")
            .field("name", &self.name)
            .field("size", &self.size)
            .finish()
    }
}

impl Input {
    /// A file, a directory that `pg_dump -Fd` made, or standard input for `-`.
    pub fn open(path: &Path) -> Result<Input, CatalogError> {
        if path == Path::new("-") {
            return Ok(Input::from_reader("standard input", io::stdin()));
        }
        let failed = |source| CatalogError::Io {
            action: "open",
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        let name = path.to_owned();
        if metadata.is_dir() {
            if !path.join("toc.dat").is_file() {
                return Err(CatalogError::NotADump { path: name });
            }
            return Ok(Input {
                name,
                source: Source::Directory,
                size: None,
                with_database: false,
            });
        }
        if !metadata.is_file() {
            return Ok(Input {
                name,
                source: Source::Stream(Box::new(file)),
                size: None,
                with_database: false,
            });
        }
        Ok(Input {
            name,
            source: Source::File(file),
            size: Some(metadata.len()),
            with_database: false,
        })
    }

    /// Any source of bytes, with a name for messages such as `standard input`.
    pub fn from_reader(name: impl Into<PathBuf>, reader: impl Read + Send + 'static) -> Input {
        Input {
            name: name.into(),
            source: Source::Stream(Box::new(reader)),
            size: None,
            with_database: false,
        }
    }

    /// The same; of an archive also what it says of the database itself: name, encoding, locale. A
    /// plain dump says that or not, as it was made.
    pub fn with_database(mut self) -> Input {
        self.with_database = true;
        self
    }

    /// The dump's name in messages.
    pub fn origin(&self) -> String {
        self.name.display().to_string()
    }

    /// How many bytes the file has, when it is one.
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// Tells the form and starts reading.
    pub(super) fn start(self, options: &DumpOptions) -> Result<Feed, CatalogError> {
        let bindir = options.bindir.as_deref();
        let create = self.with_database;
        let read = Arc::new(AtomicU64::new(0));
        let broken = Arc::new(AtomicBool::new(false));
        let (mut raw, path): (Box<dyn Read + Send>, _) = match self.source {
            Source::Directory => {
                let empty = empty_member(&self.name).map_err(|source| CatalogError::Io {
                    action: "read",
                    path: self.name.clone(),
                    source,
                })?;
                if let Some(file) = empty {
                    return Err(CatalogError::Cut {
                        origin: self.origin(),
                        place: format!("at its file {}, which is empty", file.display()),
                        source: None,
                    });
                }
                let (restore, text) =
                    Restore::of_path(bindir, Archive::Directory, create, &self.name)?;
                let text = Counted {
                    inner: text,
                    read: read.clone(),
                    broken: broken.clone(),
                };
                return Feed::start(self.name, Box::new(text), read, broken, Some(restore));
            }
            Source::File(file) => (Box::new(file), Some(self.name.clone())),
            Source::Stream(stream) => (stream, None),
        };
        let mut first = Vec::new();
        raw.by_ref()
            .take(SNIFF as u64)
            .read_to_end(&mut first)
            .map_err(|source| CatalogError::Io {
                action: "read",
                path: self.name.clone(),
                source,
            })?;
        let form = Form::of(&first);
        let raw = Cursor::new(first).chain(raw);
        let counted = Counted {
            inner: raw,
            read: read.clone(),
            broken: broken.clone(),
        };
        let buffered = |inner| io::BufReader::with_capacity(BLOCK, inner);
        let mut restore = None;
        let text: Box<dyn Read + Send> = match form {
            Form::Plain => Box::new(counted),
            Form::Gzip => Box::new(MultiGzDecoder::new(buffered(counted))),
            Form::Zstd => Box::new(
                zstd::stream::read::Decoder::with_buffer(buffered(counted)).map_err(|source| {
                    CatalogError::Io {
                        action: "read",
                        path: self.name.clone(),
                        source,
                    }
                })?,
            ),
            Form::Archive(archive) => {
                let (child, text): (_, Box<dyn Read + Send>) = match (archive, path) {
                    (Archive::Tar, _) => {
                        let watched = Box::new(Watched::new(counted));
                        let (child, text) = Restore::of_stream(bindir, archive, create, watched)?;
                        (child, Box::new(text))
                    }
                    (_, None) => {
                        let (child, text) =
                            Restore::of_stream(bindir, archive, create, Box::new(counted))?;
                        (child, Box::new(text))
                    }
                    // What can be sought in, pg_restore reads in any order.
                    (_, Some(path)) => {
                        let (child, inner) = Restore::of_path(bindir, archive, create, &path)?;
                        let (read, broken) = (read.clone(), broken.clone());
                        (
                            child,
                            Box::new(Counted {
                                inner,
                                read,
                                broken,
                            }),
                        )
                    }
                };
                restore = Some(child);
                text
            }
            Form::Tar => return Err(CatalogError::NotADump { path: self.name }),
            Form::Packed(program) => {
                return Err(CatalogError::UnusableDump {
                    origin: self.name.display().to_string(),
                    why: format!(
                        "it is compressed with {program}; hand it in as \
                         '{program} -dc FILE | fogold … --catalog -'"
                    ),
                });
            }
        };
        Feed::start(self.name, text, read, broken, restore)
    }
}

/// What the first bytes of a dump say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Plain,
    Gzip,
    Zstd,
    Archive(Archive),
    /// A tar file that is no dump.
    Tar,
    /// Compressed by a program whose form is not read.
    Packed(&'static str),
}

impl Form {
    fn of(first: &[u8]) -> Form {
        const TOC: &[u8] = b"toc.dat\0";
        match first {
            [0x1f, 0x8b, ..] => Form::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Form::Zstd,
            [b'P', b'G', b'D', b'M', b'P', ..] => Form::Archive(Archive::Custom),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Form::Packed("xz"),
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Form::Packed("bzip2"),
            [0x04, 0x22, 0x4d, 0x18, ..] => Form::Packed("lz4"),
            _ if first.get(257..262) == Some(b"ustar") && first.starts_with(TOC) => {
                Form::Archive(Archive::Tar)
            }
            _ if first.get(257..262) == Some(b"ustar") => Form::Tar,
            _ => Form::Plain,
        }
    }
}

/// Counts what is read, and remembers whether the source itself failed, rather than what is made
/// of it.
struct Counted<R> {
    inner: R,
    read: Arc<AtomicU64>,
    broken: Arc<AtomicBool>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.inner.read(buffer) {
            Ok(count) => {
                self.read.fetch_add(count as u64, Ordering::Relaxed);
                Ok(count)
            }
            Err(error) => {
                if error.kind() != io::ErrorKind::Interrupted {
                    self.broken.store(true, Ordering::Relaxed);
                }
                Err(error)
            }
        }
    }
}

/// A piece of the dump's text.
pub(super) struct Block {
    buffer: Vec<u8>,
    length: usize,
}

impl std::ops::Deref for Block {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.buffer[..self.length]
    }
}

enum Message {
    Block(Block),
    End,
    Failed(io::Error),
}

/// Why there is no more text.
#[derive(Debug)]
pub(super) enum Fault {
    /// Nothing can be said of the dump.
    Other(CatalogError),
    /// The dump itself is cut or damaged.
    Cut(io::Error),
}

impl Fault {
    /// The error, with the dump and the place in it.
    pub(super) fn at(self, origin: String, place: String) -> CatalogError {
        match self {
            Fault::Other(error) => error,
            Fault::Cut(source) => CatalogError::Cut {
                origin,
                place,
                source: Some(source),
            },
        }
    }
}

/// The running end of an input.
pub(super) struct Feed {
    name: PathBuf,
    blocks: Receiver<Message>,
    spare: Sender<Vec<u8>>,
    read: Arc<AtomicU64>,
    told: u64,
    broken: Arc<AtomicBool>,
    restore: Option<Restore>,
}

impl Feed {
    fn start(
        name: PathBuf,
        text: Box<dyn Read + Send>,
        read: Arc<AtomicU64>,
        broken: Arc<AtomicBool>,
        restore: Option<Restore>,
    ) -> Result<Feed, CatalogError> {
        let (full, blocks) = mpsc::sync_channel(WAITING);
        let (spare, empty) = mpsc::channel();
        thread::Builder::new()
            .name("dump".to_owned())
            .spawn(move || pump(text, &full, &empty))
            .map_err(|source| CatalogError::Io {
                action: "read",
                path: name.clone(),
                source,
            })?;
        Ok(Feed {
            name,
            blocks,
            spare,
            read,
            told: 0,
            broken,
            restore,
        })
    }

    /// The next piece of text; `None` at a good end.
    pub(super) fn next(&mut self, monitor: &dyn Monitor) -> Result<Option<Block>, Fault> {
        loop {
            if monitor.stopped() {
                return Err(Fault::Other(CatalogError::Stopped));
            }
            let message = self.blocks.recv_timeout(PATIENCE);
            let read = self.read.load(Ordering::Relaxed);
            if read > self.told {
                monitor.advance(0, read - self.told);
                self.told = read;
            }
            match message {
                Ok(Message::Block(block)) => return Ok(Some(block)),
                Ok(Message::End) => {
                    if let Some(restore) = self.restore.take() {
                        restore.finish(&self.name, monitor)?;
                    }
                    return Ok(None);
                }
                Ok(Message::Failed(error)) => return Err(self.fault(error)),
                Err(RecvTimeoutError::Timeout) => {
                    if let Some(restore) = &self.restore {
                        restore.source_fault(&self.name)?;
                    }
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(self.unreadable(io::Error::other("its reader gave up")));
                }
            }
        }
    }

    /// Gives a piece back to be filled again.
    pub(super) fn recycle(&self, block: Block) {
        // The reading thread may have ended, and then wants no buffers.
        let _ = self.spare.send(block.buffer);
    }

    fn unreadable(&self, source: io::Error) -> Fault {
        Fault::Other(CatalogError::Io {
            action: "read",
            path: self.name.clone(),
            source,
        })
    }

    fn fault(&self, error: io::Error) -> Fault {
        if self.broken.load(Ordering::Relaxed) || self.restore.is_some() {
            return self.unreadable(error);
        }
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return Fault::Cut(io::Error::new(
                error.kind(),
                "the compressed data ends early",
            ));
        }
        if error.to_string().contains("too much memory") {
            return Fault::Other(CatalogError::UnusableDump {
                origin: self.name.display().to_string(),
                why: "it is compressed with a window of more than 128 MiB; hand it in as \
                      'zstd -dc --long=31 FILE | fogold … --catalog -'"
                    .to_owned(),
            });
        }
        let message = format!("the compressed data is damaged: {error}");
        Fault::Cut(io::Error::new(io::ErrorKind::InvalidData, message))
    }
}

/// Reads until the end or until nobody listens.
fn pump(mut text: Box<dyn Read + Send>, full: &SyncSender<Message>, empty: &Receiver<Vec<u8>>) {
    loop {
        let mut buffer = empty.try_recv().unwrap_or_else(|_| vec![0; BLOCK]);
        let (length, end) = fill(&mut text, &mut buffer);
        if length > 0 && full.send(Message::Block(Block { buffer, length })).is_err() {
            return;
        }
        if let Some(last) = end {
            // Nobody listens any more when the parser has met an error first.
            let _ = full.send(last);
            return;
        }
    }
}

/// Fills a buffer as far as it goes; with the last message when the text has ended.
fn fill(text: &mut dyn Read, buffer: &mut [u8]) -> (usize, Option<Message>) {
    let mut length = 0;
    while length < buffer.len() {
        match text.read(&mut buffer[length..]) {
            Ok(0) => return (length, Some(Message::End)),
            Ok(count) => length += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (length, Some(Message::Failed(error))),
        }
    }
    (length, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_forms_by_their_first_bytes() {
        let mut tar = vec![0; SNIFF];
        tar[257..262].copy_from_slice(b"ustar");
        let mut dump = tar.clone();
        dump[..7].copy_from_slice(b"toc.dat");
        for (first, form) in [
            (&b""[..], Form::Plain),
            (b"--\n-- PostgreSQL", Form::Plain),
            (b"\x1f\x8b\x08", Form::Gzip),
            (b"\x28\xb5\x2f\xfd", Form::Zstd),
            (b"\x51\x2a\x4d\x18", Form::Zstd),
            (b"PGDMP\x01", Form::Archive(Archive::Custom)),
            (b"\xfd7zXZ\0", Form::Packed("xz")),
            (b"BZh9", Form::Packed("bzip2")),
            (&tar, Form::Tar),
            (&dump, Form::Archive(Archive::Tar)),
        ] {
            assert_eq!(Form::of(first), form, "{}", first.escape_ascii());
        }
    }
}
