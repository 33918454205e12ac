//! The catalog file: format 1. Its page is `doc/catalog-format.md`.
//!
//! ```text
//! magic "FOGOLDCT" · version (u32) · sections … · table of contents · its length (u64)
//!   · its blake3 (32 bytes) · magic "FOGOLDCE"
//! ```
//!
//! There are 257 sections: the 256 shards and the summary. The table of contents names each one's
//! offset, length and blake3. A file that was cut or changed anywhere is refused when the part
//! concerned is read. Files are read with `pread` into buffers and not mapped: a mapped file that
//! shrinks or meets a bad sector would kill the program, and a shard fits a buffer of a few MiB.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::CatalogError;
use super::pfile::ShardPfiles;
use super::summary::Summary;
use crate::repository::Shard;

/// The first bytes of every saved catalog.
pub const MAGIC: &[u8; 8] = b"FOGOLDCT";
const END_MAGIC: &[u8; 8] = b"FOGOLDCE";
/// The format that this program writes and reads.
pub const VERSION: u32 = 1;
const HEAD: u64 = 12;
const TAIL: u64 = 8 + 32 + 8;

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Section {
    offset: u64,
    length: u64,
    blake3: [u8; 32],
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Contents {
    shards: Vec<Section>,
    summary: Section,
}

/// Writes the sections of a new catalog, in any order and from several threads.
pub(crate) struct CatalogWriter {
    file: File,
    path: PathBuf,
    state: Mutex<(u64, Contents)>,
}

impl CatalogWriter {
    /// Begins a catalog in an empty file; `path` is for messages.
    pub(crate) fn new(file: File, path: &Path) -> Result<CatalogWriter, CatalogError> {
        let writer = CatalogWriter {
            file,
            path: path.to_owned(),
            state: Mutex::new((
                HEAD,
                Contents {
                    shards: vec![Section::default(); 256],
                    ..Contents::default()
                },
            )),
        };
        let mut head = MAGIC.to_vec();
        head.extend_from_slice(&VERSION.to_le_bytes());
        writer.write(&head, 0)?;
        Ok(writer)
    }

    /// Writes a shard.
    pub(crate) fn shard(&self, shard: Shard, pfiles: &ShardPfiles) -> Result<(), CatalogError> {
        let mut bytes = Vec::new();
        pfiles.encode(&mut bytes);
        self.section(&bytes, |contents, section| {
            contents.shards[shard.index()] = section;
        })
    }

    /// Writes the summary and the end of the file, and opens the catalog.
    pub(crate) fn finish(self, summary: &Summary) -> Result<CatalogFile, CatalogError> {
        self.section(&encode(summary), |contents, section| {
            contents.summary = section;
        })?;
        let (end, contents) = &*self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut tail = encode(contents);
        let length = tail.len() as u64;
        let hash = blake3::hash(&tail);
        tail.extend_from_slice(&length.to_le_bytes());
        tail.extend_from_slice(hash.as_bytes());
        tail.extend_from_slice(END_MAGIC);
        self.write(&tail, *end)?;
        CatalogFile::open(
            self.file
                .try_clone()
                .map_err(|source| self.failed(source))?,
            &self.path,
        )
    }

    fn section(
        &self,
        bytes: &[u8],
        note: impl FnOnce(&mut Contents, Section),
    ) -> Result<(), CatalogError> {
        let blake3 = *blake3::hash(bytes).as_bytes();
        let length = bytes.len() as u64;
        let offset = {
            let (end, contents) = &mut *self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let offset = *end;
            *end += length;
            note(
                contents,
                Section {
                    offset,
                    length,
                    blake3,
                },
            );
            offset
        };
        self.write(bytes, offset)
    }

    fn write(&self, bytes: &[u8], offset: u64) -> Result<(), CatalogError> {
        self.file
            .write_all_at(bytes, offset)
            .map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> CatalogError {
        CatalogError::Io {
            action: "write",
            path: self.path.clone(),
            source,
        }
    }
}

/// Encodes into memory, which cannot fail: postcard's only errors are those of its output.
fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_stdvec(value).unwrap_or_default()
}

/// An open catalog file.
#[derive(Debug)]
pub(crate) struct CatalogFile {
    file: File,
    path: PathBuf,
    size: u64,
    contents: Contents,
}

impl CatalogFile {
    /// Opens a catalog; `path` is for messages.
    pub(crate) fn open(file: File, path: &Path) -> Result<CatalogFile, CatalogError> {
        let mut opened = CatalogFile {
            file,
            path: path.to_owned(),
            size: 0,
            contents: Contents::default(),
        };
        let end = opened
            .file
            .metadata()
            .map_err(|source| opened.failed(source))?
            .len();
        opened.size = end;
        if end < HEAD + TAIL {
            return Err(opened.damaged("it is too short"));
        }
        let head = opened.read(0, HEAD)?;
        let version = u32::from_le_bytes([head[8], head[9], head[10], head[11]]);
        if &head[..8] != MAGIC {
            return Err(opened.damaged("its beginning is not that of a catalog"));
        }
        if version != VERSION {
            return Err(CatalogError::OtherFormat {
                path: opened.path,
                found: version,
                known: VERSION,
            });
        }
        let tail = opened.read(end - TAIL, TAIL)?;
        let (length, hash) = (&tail[..8], &tail[8..40]);
        let length = u64::from_le_bytes(length.try_into().unwrap_or_default());
        if &tail[40..] != END_MAGIC || length > end - HEAD - TAIL {
            return Err(opened.damaged("its end is missing"));
        }
        let bytes = opened.read(end - TAIL - length, length)?;
        if blake3::hash(&bytes).as_bytes() != hash {
            return Err(opened.damaged("its table of contents is not as it was written"));
        }
        opened.contents = opened.decode(&bytes, "table of contents")?;
        if opened.contents.shards.len() != 256 {
            return Err(opened.damaged("it has not 256 shards"));
        }
        Ok(opened)
    }

    /// Reads the pfiles of a shard.
    pub(crate) fn shard(&self, shard: Shard) -> Result<ShardPfiles, CatalogError> {
        let bytes = self.section(self.contents.shards[shard.index()])?;
        ShardPfiles::decode(shard, &bytes)
            .ok_or_else(|| self.damaged(&format!("shard {shard} cannot be read")))
    }

    /// Reads the summary.
    pub(crate) fn summary(&self) -> Result<Summary, CatalogError> {
        let bytes = self.section(self.contents.summary)?;
        self.decode(&bytes, "summary")
    }

    fn section(&self, section: Section) -> Result<Vec<u8>, CatalogError> {
        let bytes = self.read(section.offset, section.length)?;
        if blake3::hash(&bytes).as_bytes() != &section.blake3 {
            return Err(self.damaged(&format!(
                "the {} bytes from {} are not as they were written",
                section.length, section.offset
            )));
        }
        Ok(bytes)
    }

    fn decode<T: for<'a> Deserialize<'a>>(
        &self,
        bytes: &[u8],
        what: &str,
    ) -> Result<T, CatalogError> {
        postcard::from_bytes(bytes).map_err(|_| self.damaged(&format!("its {what} cannot be read")))
    }

    fn read(&self, offset: u64, length: u64) -> Result<Vec<u8>, CatalogError> {
        if offset.checked_add(length).is_none_or(|end| end > self.size) {
            return Err(self.damaged("a part of it lies beyond its end"));
        }
        let mut bytes = vec![0; length as usize];
        self.file
            .read_exact_at(&mut bytes, offset)
            .map_err(|source| self.failed(source))?;
        Ok(bytes)
    }

    fn failed(&self, source: io::Error) -> CatalogError {
        CatalogError::Io {
            action: "read",
            path: self.path.clone(),
            source,
        }
    }

    fn damaged(&self, why: &str) -> CatalogError {
        CatalogError::DamagedCatalog {
            path: self.path.clone(),
            why: why.to_owned(),
        }
    }
}
