//! The tag files of a bag: what it is, and the checksums of everything in it.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use sha1::{Digest, Sha1};
use sha2::Sha256;

use super::{Bag, Lines};
use crate::catalog::scatter::Scatter;
use crate::manifest::SetKind;
use crate::manifest::formats::FormatError;
use crate::repository::Shard;

/// Writes tag files, and remembers their checksums.
pub(super) struct Tags<'a> {
    bag: &'a Path,
    sha1: String,
    sha256: String,
}

impl<'a> Tags<'a> {
    pub(super) fn new(bag: &'a Path) -> Tags<'a> {
        Tags {
            bag,
            sha1: String::new(),
            sha256: String::new(),
        }
    }

    /// Writes all tag files.
    pub(super) fn write_all(
        mut self,
        bag: &Bag,
        lines: &Lines,
        kind: SetKind,
    ) -> Result<(), FormatError> {
        // A bag without a payload has the directory all the same.
        std::fs::create_dir_all(self.bag.join("data")).map_err(|source| FormatError::Io {
            action: "make",
            path: self.bag.join("data"),
            source,
        })?;
        self.text(
            "bagit.txt",
            "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n",
        )?;
        self.text("bag-info.txt", &info(bag, kind))?;
        self.lines("manifest-sha1.txt", &lines.sha1)?;
        if bag.has_sha256 {
            self.lines("manifest-sha256.txt", &lines.sha256)?;
        }
        if bag.to_fetch.files > 0 {
            self.lines("fetch.txt", &lines.fetch)?;
        }
        let (sha1, sha256) = (self.sha1.clone(), self.sha256.clone());
        self.text("tagmanifest-sha1.txt", &sha1)?;
        self.text("tagmanifest-sha256.txt", &sha256)
    }

    fn text(&mut self, name: &str, text: &str) -> Result<(), FormatError> {
        self.file(name, |out| Ok(out.write_all(text.as_bytes())?))
    }

    fn lines(&mut self, name: &str, lines: &Scatter) -> Result<(), FormatError> {
        self.file(name, |out| {
            for shard in Shard::all() {
                let bytes = lines.read(shard.0).map_err(Failed::Format)?;
                out.write_all(&bytes)?;
            }
            Ok(())
        })
    }

    fn file(
        &mut self,
        name: &str,
        fill: impl FnOnce(&mut dyn Write) -> Result<(), Failed>,
    ) -> Result<(), FormatError> {
        let path = self.bag.join(name);
        let make = || -> Result<(), Failed> {
            let mut options = OpenOptions::new();
            let file = options
                .write(true)
                .create_new(true)
                .mode(0o640)
                .open(&path)?;
            let mut out = Summing {
                out: BufWriter::new(file),
                sha1: Sha1::new(),
                sha256: Sha256::new(),
            };
            fill(&mut out)?;
            out.flush()?;
            self.sha1.push_str(&sum(&out.sha1.finalize(), name));
            self.sha256.push_str(&sum(&out.sha256.finalize(), name));
            Ok(())
        };
        make().map_err(|failed| match failed {
            Failed::Format(error) => error.into(),
            Failed::Io(source) => FormatError::Io {
                action: "write",
                path: self.bag.join(name),
                source,
            },
        })
    }
}

enum Failed {
    Io(io::Error),
    Format(crate::catalog::CatalogError),
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Failed {
        Failed::Io(error)
    }
}

/// Adds up checksums of what is written.
struct Summing<W> {
    out: W,
    sha1: Sha1,
    sha256: Sha256,
}

impl<W: Write> Write for Summing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.sha1.update(&bytes[..count]);
        self.sha256.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn sum(digest: &[u8], name: &str) -> String {
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{hex}  {name}\n")
}

fn info(bag: &Bag, kind: SetKind) -> String {
    let mut all = bag.payload;
    all += bag.to_fetch;
    let today = jiff::Timestamp::now().to_string();
    format!(
        "Bag-Software-Agent: fogold {}\n\
         Bagging-Date: {}\n\
         External-Description: files of a FOSSology repository ({kind})\n\
         Payload-Oxum: {}.{}\n",
        env!("CARGO_PKG_VERSION"),
        &today[..10],
        all.bytes,
        all.files,
    )
}

/// A path as manifests of bags write it.
pub(super) fn encode(path: &[u8], out: &mut Vec<u8>) {
    for byte in path {
        match byte {
            b'%' => out.extend_from_slice(b"%25"),
            b'\n' => out.extend_from_slice(b"%0A"),
            b'\r' => out.extend_from_slice(b"%0D"),
            byte => out.push(*byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_on_their_line() {
        let mut out = Vec::new();
        encode(b"100%/a\nb\rc", &mut out);
        assert_eq!(out, b"100%25/a%0Ab%0Dc");
    }
}
