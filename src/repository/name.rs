//! The name of a repository file: `<sha1>.<md5>.<size>`.
//!
//! The name is a promise about the contents, and the only identity that a file has: FOSSology
//! writes it in lower-case hex and decimal. Database rows hold the digests in upper case. The
//! parser here is strict: what it accepts can be written again from its parts, byte for byte but
//! for the letter case of the digests.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Length of two hex digests and the two dots of a name, in bytes.
const FIXED: usize = 40 + 1 + 32 + 1;

/// The first byte of a sha1: the 256 equal, independent parts of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard(pub u8);

impl Shard {
    /// All shards, in order.
    pub fn all() -> impl DoubleEndedIterator<Item = Shard> + ExactSizeIterator {
        (0..=u8::MAX).map(Shard).collect::<Vec<_>>().into_iter()
    }

    /// The shard's number as an index.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}", self.0)
    }
}

/// The name of a repository file, and with it the identity of a pfile. Ordered by sha1, md5, size.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RepositoryName {
    /// SHA-1 of the contents.
    pub sha1: [u8; 20],
    /// MD5 of the contents.
    pub md5: [u8; 16],
    /// Length of the contents in bytes. At most `i64::MAX`, as `pfile_size` is an `int8`.
    pub size: u64,
}

impl Ord for RepositoryName {
    fn cmp(&self, other: &RepositoryName) -> Ordering {
        // Almost always the first bytes tell, and names are compared more often than all else.
        let first =
            |name: &RepositoryName| name.sha1.first_chunk().copied().map(u64::from_be_bytes);
        let rest = |name: &RepositoryName| (name.sha1, name.md5, name.size);
        first(self)
            .cmp(&first(other))
            .then_with(|| rest(self).cmp(&rest(other)))
    }
}

impl PartialOrd for RepositoryName {
    fn partial_cmp(&self, other: &RepositoryName) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl RepositoryName {
    /// The shard the name belongs to.
    pub fn shard(&self) -> Shard {
        Shard(self.sha1[0])
    }

    /// The name of the digests and size that a pfile row holds, in upper or lower case; `None`
    /// when they name no file (a malformed digest, a negative size).
    pub fn from_row(sha1: &[u8], md5: &[u8], size: i64) -> Option<RepositoryName> {
        Some(RepositoryName {
            sha1: hex(sha1)?,
            md5: hex(md5)?,
            size: u64::try_from(size).ok()?,
        })
    }

    /// Writes the canonical name into a buffer and returns the text: for the places where an
    /// allocation a file would show.
    pub fn write_to<'a>(&self, buffer: &'a mut NameBuffer) -> &'a str {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut at = 0;
        let mut digest = |bytes: &[u8], out: &mut [u8]| {
            for byte in bytes {
                out[at] = DIGITS[usize::from(byte >> 4)];
                out[at + 1] = DIGITS[usize::from(byte & 15)];
                at += 2;
            }
            out[at] = b'.';
            at += 1;
        };
        digest(&self.sha1, &mut buffer.0);
        digest(&self.md5, &mut buffer.0);
        let mut decimal = [0u8; 20];
        let mut start = decimal.len();
        let mut rest = self.size;
        loop {
            start -= 1;
            decimal[start] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        let digits = &decimal[start..];
        buffer.0[FIXED..FIXED + digits.len()].copy_from_slice(digits);
        std::str::from_utf8(&buffer.0[..FIXED + digits.len()]).unwrap_or_default()
    }
}

/// Room for the text of one name; see [`RepositoryName::write_to`].
#[derive(Clone)]
pub struct NameBuffer([u8; FIXED + 20]);

impl Default for NameBuffer {
    fn default() -> Self {
        NameBuffer([0; FIXED + 20])
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.write_to(&mut NameBuffer::default()))
    }
}

impl fmt::Debug for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is no repository name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a repository name (<sha1>.<md5>.<size>)")]
pub struct NotAName;

impl FromStr for RepositoryName {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        match Parsed::of(text.as_bytes()) {
            Parsed::Name { name, .. } => Ok(name),
            _ => Err(NotAName),
        }
    }
}

/// What FOSSology leaves behind beside a file when it is interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Leftover {
    /// `<name>.I`: an import that was not renamed into place.
    Import,
    /// `<name>.meta`: a listing that was not imported.
    Meta,
}

/// What a file name in the tree is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// A repository name.
    Name {
        /// The name.
        name: RepositoryName,
        /// Whether the digests are written in lower case, as FOSSology looks for them.
        lower_case: bool,
    },
    /// A repository name with the ending of an interrupted import.
    Leftover(RepositoryName, Leftover),
    /// Anything else.
    Foreign,
}

impl Parsed {
    /// Judges a file name. Strict: 40 and 32 hex digits, and a decimal size without sign, leading
    /// zeros or overflow.
    pub fn of(file_name: &[u8]) -> Parsed {
        if let Some((name, lower_case)) = parse(file_name) {
            return Parsed::Name { name, lower_case };
        }
        for (ending, leftover) in [(&b".I"[..], Leftover::Import), (b".meta", Leftover::Meta)] {
            if let Some((name, _)) = file_name.strip_suffix(ending).and_then(parse) {
                return Parsed::Leftover(name, leftover);
            }
        }
        Parsed::Foreign
    }
}

fn parse(text: &[u8]) -> Option<(RepositoryName, bool)> {
    if text.len() <= FIXED || text.len() > FIXED + 19 || text[40] != b'.' || text[73] != b'.' {
        return None;
    }
    let name = RepositoryName {
        sha1: hex(&text[..40])?,
        md5: hex(&text[41..73])?,
        size: decimal(&text[FIXED..])?,
    };
    let lower_case = !text[..73].iter().any(u8::is_ascii_uppercase);
    Some((name, lower_case))
}

/// The bytes that exactly `2 * N` hex digits stand for.
pub fn hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    if text.len() != 2 * N {
        return None;
    }
    let mut bytes = [0u8; N];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let (high, low) = (NIBBLE[usize::from(pair[0])], NIBBLE[usize::from(pair[1])]);
        if high | low > 15 {
            return None;
        }
        *byte = high << 4 | low;
    }
    Some(bytes)
}

/// The value of each ASCII hex digit; 16 for every other byte.
static NIBBLE: [u8; 256] = {
    let mut table = [16u8; 256];
    let mut digit = 0;
    while digit < 10 {
        table[b'0' as usize + digit] = digit as u8;
        digit += 1;
    }
    let mut letter = 0;
    while letter < 6 {
        table[b'a' as usize + letter] = 10 + letter as u8;
        table[b'A' as usize + letter] = 10 + letter as u8;
        letter += 1;
    }
    table
};

fn decimal(text: &[u8]) -> Option<u64> {
    if text.len() > 1 && text[0] == b'0' {
        return None;
    }
    let mut value: u64 = 0;
    for digit in text {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value
            .checked_mul(10)?
            .checked_add(u64::from(digit - b'0'))?;
    }
    (value <= i64::MAX as u64).then_some(value)
}
