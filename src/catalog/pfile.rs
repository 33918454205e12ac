//! A pfile as a catalog holds it: a name, the rows that bear it, and what uses them.
//!
//! A pfile is its name, never its `pfile_pk`: two rows for one name do occur, and are one [`Pfile`]
//! with two [`Row`]s. Within a shard, pfiles are sorted by name, each name once.

use std::ops::Range;

use super::codec::{Cursor, put_varint};
use crate::repository::{RepositoryName, Shard};

/// What a row says of the sha256.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sha256 {
    /// NULL or blank: an old row.
    Unknown,
    /// The digest.
    Known([u8; 32]),
    /// A text that is no digest.
    Malformed,
}

impl Sha256 {
    /// Judges the text of `pfile_sha256`.
    pub fn of_row(text: Option<&[u8]>) -> Sha256 {
        match text.map(<[u8]>::trim_ascii_end) {
            None | Some([]) => Sha256::Unknown,
            Some(text) => {
                crate::repository::name::hex(text).map_or(Sha256::Malformed, Sha256::Known)
            }
        }
    }

    pub(crate) fn put(self, out: &mut Vec<u8>) {
        match self {
            Sha256::Unknown => out.push(0),
            Sha256::Known(digest) => {
                out.push(1);
                out.extend_from_slice(&digest);
            }
            Sha256::Malformed => out.push(2),
        }
    }

    pub(crate) fn take(cursor: &mut Cursor<'_>) -> Option<Sha256> {
        match cursor.byte()? {
            0 => Some(Sha256::Unknown),
            1 => cursor.array().map(Sha256::Known),
            2 => Some(Sha256::Malformed),
            _ => None,
        }
    }
}

/// A row of `pfile`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// `pfile_pk`
    pub pk: i32,
    /// `pfile_sha256`
    pub sha256: Sha256,
}

/// How an upload uses a pfile: any of gold, tree row, listing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage(u8);

impl Usage {
    /// `upload.pfile_fk` points at it: it is the upload's gold.
    pub const GOLD: Usage = Usage(1);
    /// A tree row points at it and gives it a name of its own.
    pub const TREE: Usage = Usage(2);
    /// A tree row points at it as the listing of an archive.
    pub const LISTING: Usage = Usage(4);
    /// Only what is left of a deleted upload points at it: nobody expects the file, but it is in
    /// use.
    pub const LEFT: Usage = Usage(8);

    /// Both usages.
    #[must_use]
    pub fn and(self, other: Usage) -> Usage {
        Usage(self.0 | other.0)
    }

    /// Whether any of `other` is in this usage.
    pub fn has(self, other: Usage) -> bool {
        self.0 & other.0 != 0
    }

    /// Nothing uses it.
    pub fn is_none(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn bits(self) -> u8 {
        self.0
    }

    pub(crate) fn of_bits(bits: u8) -> Option<Usage> {
        (bits < 16).then_some(Usage(bits))
    }
}

/// One upload's use of a pfile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Use {
    /// `upload_pk`
    pub upload: i32,
    /// How.
    pub usage: Usage,
}

/// A name that at least one usable row bears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pfile {
    /// The name.
    pub name: RepositoryName,
    /// The usages of all uploads together.
    pub usage: Usage,
    rows: Range<u32>,
    uses: Range<u32>,
}

impl Pfile {
    /// Whether FOSSology looks for the file in gold.
    pub fn in_gold(&self) -> bool {
        self.usage.has(Usage::GOLD)
    }

    /// Whether FOSSology looks for the file in files: every gold is there too.
    pub fn in_files(&self) -> bool {
        self.usage
            .has(Usage::GOLD.and(Usage::TREE).and(Usage::LISTING))
    }

    /// Whether it is only ever the listing of an archive, which no unpacking writes again.
    pub fn is_listing(&self) -> bool {
        self.usage.has(Usage::LISTING) && !self.usage.has(Usage::GOLD.and(Usage::TREE))
    }
}

/// The pfiles of one shard, sorted by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardPfiles {
    pfiles: Vec<Pfile>,
    rows: Vec<Row>,
    uses: Vec<Use>,
}

impl ShardPfiles {
    /// The pfiles in order.
    pub fn pfiles(&self) -> &[Pfile] {
        &self.pfiles
    }

    /// The rows that bear a pfile's name, by ascending `pfile_pk`; at least one.
    pub fn rows(&self, pfile: &Pfile) -> &[Row] {
        &self.rows[pfile.rows.start as usize..pfile.rows.end as usize]
    }

    /// The uploads that use a pfile, ascending, each once; without deleted uploads.
    pub fn uses(&self, pfile: &Pfile) -> &[Use] {
        &self.uses[pfile.uses.start as usize..pfile.uses.end as usize]
    }

    /// The pfile of a name.
    pub fn find(&self, name: &RepositoryName) -> Option<&Pfile> {
        Some(&self.pfiles[self.position(name)?])
    }

    /// Where in [`ShardPfiles::pfiles`] a name stands.
    pub fn position(&self, name: &RepositoryName) -> Option<usize> {
        self.pfiles
            .binary_search_by(|pfile| pfile.name.cmp(name))
            .ok()
    }

    /// Appends a pfile, whose name must be greater than the last one's, with its rows and uses.
    pub(crate) fn push(&mut self, name: RepositoryName, usage: Usage, rows: &[Row], uses: &[Use]) {
        let (first_row, first_use) = (self.rows.len() as u32, self.uses.len() as u32);
        self.rows.extend_from_slice(rows);
        self.uses.extend_from_slice(uses);
        self.pfiles.push(Pfile {
            name,
            usage,
            rows: first_row..self.rows.len() as u32,
            uses: first_use..self.uses.len() as u32,
        });
    }

    /// The shard as the bytes of a catalog file.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        for pfile in &self.pfiles {
            out.extend_from_slice(&pfile.name.sha1[1..]);
            out.extend_from_slice(&pfile.name.md5);
            put_varint(out, pfile.name.size);
            out.push(pfile.usage.bits());
            let rows = self.rows(pfile);
            put_varint(out, rows.len() as u64);
            for row in rows {
                out.extend_from_slice(&row.pk.to_le_bytes());
                row.sha256.put(out);
            }
            put_uses(out, self.uses(pfile));
        }
    }

    /// Reads what [`ShardPfiles::encode`] wrote; `None` when it is not that.
    pub(crate) fn decode(shard: Shard, bytes: &[u8]) -> Option<ShardPfiles> {
        let mut decoded = ShardPfiles::default();
        let mut cursor = Cursor::new(bytes);
        while !cursor.is_empty() {
            let mut sha1 = [shard.0; 20];
            sha1[1..].copy_from_slice(&cursor.array::<19>()?);
            let name = RepositoryName {
                sha1,
                md5: cursor.array()?,
                size: cursor.varint()?,
            };
            let usage = Usage::of_bits(cursor.byte()?)?;
            let first_row = decoded.rows.len() as u32;
            for _ in 0..cursor.varint()? {
                decoded.rows.push(Row {
                    pk: cursor.int4()?,
                    sha256: Sha256::take(&mut cursor)?,
                });
            }
            let first_use = decoded.uses.len() as u32;
            take_uses(&mut cursor, &mut decoded.uses)?;
            decoded.pfiles.push(Pfile {
                name,
                usage,
                rows: first_row..decoded.rows.len() as u32,
                uses: first_use..decoded.uses.len() as u32,
            });
        }
        Some(decoded)
    }
}

/// Appends uses in ascending order of upload, as differences.
pub(crate) fn put_uses(out: &mut Vec<u8>, uses: &[Use]) {
    put_varint(out, uses.len() as u64);
    let mut last = i64::from(i32::MIN);
    for each in uses {
        put_varint(out, (i64::from(each.upload) - last) as u64);
        out.push(each.usage.bits());
        last = i64::from(each.upload);
    }
}

/// Reads what [`put_uses`] wrote, onto the end of `uses`.
pub(crate) fn take_uses(cursor: &mut Cursor<'_>, uses: &mut Vec<Use>) -> Option<()> {
    let mut last = i64::from(i32::MIN);
    for _ in 0..cursor.varint()? {
        last = last.checked_add(i64::try_from(cursor.varint()?).ok()?)?;
        uses.push(Use {
            upload: i32::try_from(last).ok()?,
            usage: Usage::of_bits(cursor.byte()?)?,
        });
    }
    Some(())
}
