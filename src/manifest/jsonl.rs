//! fogold's own form of a manifest: format 1. Its page is `doc/manifest-format.md`.
//!
//! ```text
//! {"fogold_manifest":1,"kind":"gold-only","url_gold":"keep",…}          the header
//! {"name":"<sha1>.<md5>.<size>","types":["gold"],"blake3":"…","where":"pool"}   a line a file,
//! {"name":"…","types":["gold"],"where":"urls","urls":["https://…"]}             sorted by name
//! {"entries":2,"files":1,"bytes":7,"left_out_files":1,…,"blake3":"…"}   the footer
//! ```
//!
//! The footer's blake3 is over all bytes before it. A manifest that was cut, changed or put in
//! another order is refused: what reads it gets every entry or an error.

use std::io::{self, BufRead, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::entry::{Entry, Place, Types};
use super::error::ManifestError;
use super::{SetKind, UrlGold};
use crate::catalog::Amount;
use crate::repository::name::{NameBuffer, hex};
use crate::repository::{Parsed, RepositoryName};

/// The format that this program writes and reads.
pub const VERSION: u32 = 1;

/// The longest line that is read: an entry with a thousand long URLs.
const LINE_LIMIT: u64 = 4 * 1024 * 1024;

/// About as long is the line of an entry.
const LINE: usize = 220;

/// How many bytes of lines are digested at once.
const DIGESTED_TOGETHER: usize = 64 * 1024;

/// The first line of a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The format.
    pub fogold_manifest: u32,
    /// What the set is to bring back.
    pub kind: SetKind,
    /// What became of gold that can be fetched again.
    pub url_gold: UrlGold,
    /// The program and its version.
    pub made_by: String,
    /// The database or dump it was made from, for a person; never a password.
    pub origin: String,
}

impl Header {
    /// The header of a manifest that this program makes.
    pub fn new(kind: SetKind, url_gold: UrlGold, origin: &str) -> Header {
        Header {
            fogold_manifest: VERSION,
            kind,
            url_gold,
            made_by: format!("fogold {}", env!("CARGO_PKG_VERSION")),
            origin: origin.to_owned(),
        }
    }

    /// The header as a line.
    pub(super) fn line(&self) -> Vec<u8> {
        // Writing text and numbers into memory cannot fail.
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }
}

/// The last line of a manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Footer {
    /// Number of entries.
    pub entries: u64,
    /// Entries whose contents are in the set.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Entries that are left out.
    pub left_out_files: u64,
    /// Their bytes.
    pub left_out_bytes: u64,
    /// BLAKE3 of all bytes before the footer, in hex.
    pub blake3: String,
}

impl Footer {
    /// What entries count up to.
    pub(super) fn of(entries: &[Entry]) -> Footer {
        let mut counts = Footer::default();
        for entry in entries {
            counts.count(entry);
        }
        counts
    }

    pub(super) fn count(&mut self, entry: &Entry) {
        self.entries += 1;
        let (files, bytes) = match entry.place {
            Place::Pool => (&mut self.files, &mut self.bytes),
            Place::Urls => (&mut self.left_out_files, &mut self.left_out_bytes),
        };
        *files += 1;
        *bytes = bytes.saturating_add(entry.name.size);
    }

    /// What is in the set.
    pub fn held(&self) -> Amount {
        Amount {
            files: self.files,
            bytes: self.bytes,
        }
    }
}

/// An entry as a line.
#[derive(Deserialize)]
struct Line<'a> {
    name: &'a str,
    #[serde(borrow)]
    types: Vec<&'a str>,
    #[serde(default)]
    blake3: Option<&'a str>,
    #[serde(rename = "where")]
    place: &'a str,
    #[serde(default)]
    urls: Vec<String>,
    #[serde(default)]
    url_withheld: bool,
}

/// Appends an entry's line to `out`. Written by hand, for there are as many lines as files; only
/// URLs hold what JSON must escape.
pub fn put_line(out: &mut Vec<u8>, entry: &Entry) {
    let mut buffer = NameBuffer::default();
    out.extend_from_slice(b"{\"name\":\"");
    out.extend_from_slice(entry.name.write_to(&mut buffer).as_bytes());
    out.extend_from_slice(b"\",\"types\":[");
    for (number, ty) in entry.types.iter().enumerate() {
        out.extend_from_slice(if number == 0 { b"\"" } else { b",\"" });
        out.extend_from_slice(ty.as_str().as_bytes());
        out.push(b'"');
    }
    out.push(b']');
    if let Some(digest) = entry.blake3 {
        out.extend_from_slice(b",\"blake3\":\"");
        out.extend_from_slice(blake3::Hash::from(digest).to_hex().as_bytes());
        out.push(b'"');
    }
    out.extend_from_slice(match entry.place {
        Place::Pool => b",\"where\":\"pool\"",
        Place::Urls => b",\"where\":\"urls\"",
    });
    if !entry.urls.is_empty() {
        out.extend_from_slice(b",\"urls\":");
        // Writing a list of text into memory cannot fail.
        let _ = serde_json::to_writer(&mut *out, &entry.urls);
    }
    if entry.url_withheld {
        out.extend_from_slice(b",\"url_withheld\":true");
    }
    out.extend_from_slice(b"}\n");
}

/// The entry of a line; the error says what is wrong with it.
pub fn parse_line(line: &[u8]) -> Result<Entry, String> {
    plain_line(line).map_or_else(|| parse_any_line(line), Ok)
}

/// The entry of a line of the common kind: contents in the pool, and no URL. There are as many of
/// these as files, so they are read as [`put_line`] writes them; `None` for every other line.
fn plain_line(line: &[u8]) -> Option<Entry> {
    let rest = line.strip_prefix(b"{\"name\":\"")?;
    let end = memchr::memchr(b'"', rest)?;
    let (text, rest) = rest.split_at(end);
    let Parsed::Name {
        name,
        lower_case: true,
    } = Parsed::of(text)
    else {
        return None;
    };
    let rest = rest.strip_prefix(b"\",\"types\":[")?;
    let end = memchr::memchr(b']', rest)?;
    let (types, rest) = rest.split_at(end);
    let types = match types {
        b"\"gold\"" => Types::GOLD,
        b"\"files\"" => Types::FILES,
        b"\"gold\",\"files\"" => Types::GOLD.and(Types::FILES),
        _ => return None,
    };
    let rest = rest.strip_prefix(b"],\"blake3\":\"")?;
    let (digest, rest) = rest.split_at_checked(64)?;
    let is_lower = !digest.iter().any(u8::is_ascii_uppercase);
    (is_lower && rest == b"\",\"where\":\"pool\"}\n").then_some(Entry {
        name,
        types,
        blake3: Some(hex(digest)?),
        place: Place::Pool,
        urls: Vec::new(),
        url_withheld: false,
    })
}

fn parse_any_line(line: &[u8]) -> Result<Entry, String> {
    let line: Line<'_> = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    let mut buffer = NameBuffer::default();
    let name: RepositoryName = line
        .name
        .parse()
        .ok()
        .filter(|name: &RepositoryName| name.write_to(&mut buffer) == line.name)
        .ok_or_else(|| format!("{:?} is not a repository name", shown(line.name)))?;
    let mut types = Types::NONE;
    for text in &line.types {
        types = types.and(match *text {
            "gold" => Types::GOLD,
            "files" => Types::FILES,
            "license" => Types::LICENSE,
            other => return Err(format!("unknown type {:?}", shown(other))),
        });
    }
    if types.is_none() {
        return Err("an entry without a type".to_owned());
    }
    let place = match line.place {
        "pool" => Place::Pool,
        "urls" => Place::Urls,
        other => return Err(format!("unknown place {:?}", shown(other))),
    };
    if place == Place::Urls && line.urls.is_empty() {
        return Err("it is left out, and has no URL".to_owned());
    }
    let blake3 = line
        .blake3
        .map(|text| hex(text.as_bytes()).ok_or("a blake3 that is none"))
        .transpose()?;
    Ok(Entry {
        name,
        types,
        blake3,
        place,
        urls: line.urls,
        url_withheld: line.url_withheld,
    })
}

/// The beginning of a text that may be long.
fn shown(text: &str) -> String {
    text.chars().take(200).collect()
}

/// The lines of entries.
pub(super) fn lines_of(entries: &[Entry]) -> Vec<u8> {
    let mut lines = Vec::with_capacity(entries.len() * LINE);
    for entry in entries {
        put_line(&mut lines, entry);
    }
    lines
}

/// Digests and counts the lines of a manifest.
pub(super) struct Tally {
    digest: blake3::Hasher,
    counts: Footer,
}

impl Tally {
    /// A tally of nothing but the header's line.
    pub(super) fn after(header: &[u8]) -> Tally {
        let mut digest = blake3::Hasher::new();
        digest.update(header);
        Tally {
            digest,
            counts: Footer::default(),
        }
    }

    /// Takes in the next lines, of entries that `counts` has counted.
    pub(super) fn take(&mut self, lines: &[u8], counts: &Footer) {
        self.digest.update(lines);
        let all = &mut self.counts;
        all.entries += counts.entries;
        all.files += counts.files;
        all.bytes = all.bytes.saturating_add(counts.bytes);
        all.left_out_files += counts.left_out_files;
        all.left_out_bytes = all.left_out_bytes.saturating_add(counts.left_out_bytes);
    }

    /// The footer of what was taken in, and its line.
    pub(super) fn end(&self) -> (Footer, Vec<u8>) {
        let footer = Footer {
            blake3: self.digest.finalize().to_hex().to_string(),
            ..self.counts.clone()
        };
        // Writing text and numbers into memory cannot fail.
        let mut line = serde_json::to_vec(&footer).unwrap_or_default();
        line.push(b'\n');
        (footer, line)
    }
}

/// Reads a manifest, entry by entry.
pub struct Reader<R> {
    input: R,
    path: PathBuf,
    line: u64,
    buffer: Vec<u8>,
    digest: blake3::Hasher,
    /// Lines that go into the digest together, which is faster than each by itself.
    undigested: Vec<u8>,
    seen: Footer,
    last: Option<RepositoryName>,
    footer: Option<Footer>,
}

impl<R: BufRead> Reader<R> {
    /// Reads the header; `path` is for messages.
    pub fn new(input: R, path: &Path) -> Result<(Reader<R>, Header), ManifestError> {
        let mut reader = Reader {
            input,
            path: path.to_owned(),
            line: 0,
            buffer: Vec::new(),
            digest: blake3::Hasher::new(),
            undigested: Vec::new(),
            seen: Footer::default(),
            last: None,
            footer: None,
        };
        reader.read_line()?;
        #[derive(Deserialize)]
        struct Format {
            fogold_manifest: u32,
        }
        let found = serde_json::from_slice::<Format>(&reader.buffer)
            .map_err(|_| reader.damaged("it does not begin as a manifest does"))?
            .fogold_manifest;
        if found != VERSION {
            return Err(ManifestError::OtherFormat {
                path: reader.path,
                found,
                known: VERSION,
            });
        }
        let header = serde_json::from_slice(&reader.buffer)
            .map_err(|error| reader.damaged(&error.to_string()))?;
        reader.take_in_line();
        Ok((reader, header))
    }

    /// The next entry; `None` once the footer has been read and agrees.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, ManifestError> {
        if self.footer.is_some() {
            return Ok(None);
        }
        self.read_line()?;
        if self.buffer.starts_with(b"{\"entries\"") {
            self.take_footer()?;
            return Ok(None);
        }
        self.take_in_line();
        let entry = parse_line(&self.buffer).map_err(|why| self.damaged(&why))?;
        if self.last.is_some_and(|last| last >= entry.name) {
            return Err(self.damaged("it is not in order"));
        }
        self.last = Some(entry.name);
        self.seen.count(&entry);
        Ok(Some(entry))
    }

    /// The footer, once [`Reader::next_entry`] has given `None`.
    pub fn footer(&self) -> Option<&Footer> {
        self.footer.as_ref()
    }

    fn take_footer(&mut self) -> Result<(), ManifestError> {
        let footer: Footer = serde_json::from_slice(&self.buffer)
            .map_err(|error| self.damaged(&error.to_string()))?;
        self.digest.update(&self.undigested);
        self.seen.blake3 = self.digest.finalize().to_hex().to_string();
        if footer != self.seen {
            return Err(self.damaged("its contents are not as they were written"));
        }
        self.footer = Some(footer);
        let mut rest = [0; 1];
        match self.input.read(&mut rest) {
            Ok(0) => Ok(()),
            Ok(_) => Err(self.damaged("there is something after its end")),
            Err(source) => Err(self.failed(source)),
        }
    }

    fn take_in_line(&mut self) {
        self.undigested.extend_from_slice(&self.buffer);
        if self.undigested.len() >= DIGESTED_TOGETHER {
            self.digest.update(&self.undigested);
            self.undigested.clear();
        }
    }

    fn read_line(&mut self) -> Result<(), ManifestError> {
        self.buffer.clear();
        self.line += 1;
        let read = (&mut self.input)
            .take(LINE_LIMIT)
            .read_until(b'\n', &mut self.buffer);
        match read {
            Ok(_) if self.buffer.last() == Some(&b'\n') => Ok(()),
            Ok(_) if self.buffer.len() as u64 >= LINE_LIMIT => Err(self.damaged("it has no end")),
            Ok(_) => Err(self.damaged("it was cut: its end is missing")),
            Err(source) if is_damage(&source) => Err(self.damaged(&source.to_string())),
            Err(source) => Err(self.failed(source)),
        }
    }

    fn failed(&self, source: io::Error) -> ManifestError {
        ManifestError::Io {
            action: "read",
            path: self.path.clone(),
            source,
        }
    }

    fn damaged(&self, why: &str) -> ManifestError {
        ManifestError::Damaged {
            path: self.path.clone(),
            line: self.line,
            why: why.to_owned(),
        }
    }
}

/// Whether an error comes from the compressed contents rather than from the system.
fn is_damage(error: &io::Error) -> bool {
    error.raw_os_error().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(first: u8, place: Place) -> Entry {
        Entry {
            name: RepositoryName {
                sha1: [first; 20],
                md5: [7; 16],
                size: u64::from(first),
            },
            types: Types::GOLD.and(Types::FILES),
            blake3: (place == Place::Pool).then_some([first; 32]),
            place,
            urls: match place {
                Place::Pool => vec![],
                Place::Urls => vec!["https://example.org/a\"b.zip".to_owned()],
            },
            url_withheld: first == 3,
        }
    }

    fn written(entries: &[Entry]) -> Vec<u8> {
        let header = Header::new(SetKind::Full, UrlGold::Skip, "a dump").line();
        let lines = lines_of(entries);
        let mut tally = Tally::after(&header);
        tally.take(&lines, &Footer::of(entries));
        [header, lines, tally.end().1].concat()
    }

    fn read(bytes: &[u8]) -> Result<Vec<Entry>, ManifestError> {
        let (mut reader, header) = Reader::new(bytes, Path::new("m"))?;
        assert_eq!(header.kind, SetKind::Full);
        let mut entries = Vec::new();
        while let Some(entry) = reader.next_entry()? {
            entries.push(entry);
        }
        Ok(entries)
    }

    #[test]
    fn what_is_written_is_read() {
        let entries = [
            entry(1, Place::Pool),
            entry(2, Place::Urls),
            entry(3, Place::Pool),
        ];
        assert_eq!(read(&written(&entries)).unwrap(), entries);
        assert_eq!(read(&written(&[])).unwrap(), []);
    }

    #[test]
    fn the_common_lines_are_read_as_all_are() {
        let mut plain = Entry {
            url_withheld: false,
            ..entry(9, Place::Pool)
        };
        for types in [
            Types::GOLD,
            Types::FILES,
            Types::GOLD.and(Types::FILES),
            Types::LICENSE,
        ] {
            plain.types = types;
            let mut line = Vec::new();
            put_line(&mut line, &plain);
            assert_eq!(parse_line(&line).as_ref(), Ok(&plain));
            assert_eq!(parse_any_line(&line).as_ref(), Ok(&plain));
            assert_eq!(plain_line(&line).is_some(), types != Types::LICENSE);
        }
    }

    #[test]
    fn every_cut_and_every_changed_byte_is_refused() {
        let bytes = written(&[entry(1, Place::Pool), entry(2, Place::Urls)]);
        for end in 0..bytes.len() {
            assert!(read(&bytes[..end]).is_err(), "cut at {end}");
        }
        let first_line = bytes.iter().position(|byte| *byte == b'\n').unwrap();
        for at in first_line..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(read(&changed).is_err(), "changed at {at}");
        }
        let longer = [&bytes[..], b"\n"].concat();
        assert!(read(&longer).is_err());
    }

    #[test]
    fn disorder_is_refused() {
        for entries in [
            [entry(2, Place::Pool), entry(1, Place::Pool)],
            [entry(1, Place::Pool), entry(1, Place::Pool)],
        ] {
            let error = read(&written(&entries)).unwrap_err();
            assert!(error.to_string().contains("not in order"), "{error}");
        }
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for name in [
            "../../etc/passwd",
            "/etc/passwd",
            "",
            "AA.bb.1",
            &format!("{}.{}.1", "A".repeat(40), "b".repeat(32)),
            &format!("{}.{}.01", "a".repeat(40), "b".repeat(32)),
            &format!("{}.{}.1/x", "a".repeat(40), "b".repeat(32)),
        ] {
            let line = format!("{{\"name\":{name:?},\"types\":[\"gold\"],\"where\":\"pool\"}}\n");
            let error = parse_line(line.as_bytes()).unwrap_err();
            assert!(error.contains("not a repository name"), "{error}");
        }
    }

    #[test]
    fn a_newer_format_is_named() {
        let bytes = b"{\"fogold_manifest\":2}\n";
        let error = Reader::new(&bytes[..], Path::new("m")).err().unwrap();
        assert!(error.is_misuse() && error.to_string().contains("format 2"));
    }
}
