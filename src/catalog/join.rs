//! The second and third step of making a catalog: uses learn the shard of their pfile, and pfiles
//! are sorted by name.

use std::collections::HashSet;
use std::ops::Range;

use super::CatalogError;
use super::codec::Cursor;
use super::pfile::{Row, Sha256, ShardPfiles, Usage, Use, put_uses, take_uses};
use super::scatter::{self, Scatter};
use super::summary::{Amount, Dangling, UploadIds};
use crate::repository::RepositoryName;

/// The bucket of a pk: spread evenly, whatever the step of the sequence.
pub(super) fn bucket_of(pk: i32) -> u8 {
    ((pk as u32).wrapping_mul(0x9e37_79b1) >> 24) as u8
}

/// Where a row of pfile is, as its key says it: with the others of its shard, or among those that
/// name no file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Whereabouts {
    Shard(u8),
    Unusable,
}

impl Whereabouts {
    fn code(self) -> u16 {
        match self {
            Whereabouts::Shard(shard) => u16::from(shard),
            Whereabouts::Unusable => u16::MAX,
        }
    }

    fn of_code(code: u16) -> Whereabouts {
        u8::try_from(code).map_or(Whereabouts::Unusable, Whereabouts::Shard)
    }
}

/// Bytes of a record of [`put_key`].
const KEY: usize = 6;

pub(super) fn put_key(out: &mut Vec<u8>, pk: i32, place: Whereabouts) {
    out.extend_from_slice(&pk.to_le_bytes());
    out.extend_from_slice(&place.code().to_le_bytes());
}

/// What the join of some buckets found besides uses.
#[derive(Default)]
pub(super) struct Joined {
    pub(super) dangling: Vec<Dangling>,
    /// The uploads of rows that name no file.
    pub(super) unusable: Vec<(i32, UploadIds)>,
}

/// Finds for each use the shard of its pfile, by the pfile's key.
pub(super) struct Joiner<'a> {
    pub(super) keys: &'a Scatter,
    pub(super) uses: &'a Scatter,
    pub(super) deleted: &'a HashSet<i32>,
}

impl Joiner<'_> {
    pub(super) fn join(
        &self,
        bucket: u8,
        by_shard: &mut scatter::Writer,
        joined: &mut Joined,
    ) -> Result<(), CatalogError> {
        let keys = decode_keys(&self.keys.read(bucket)?);
        let uses = decode_uses(&self.uses.read(bucket)?);
        let mut rest = &uses[..];
        let mut live = Vec::new();
        for (pk, place) in keys {
            let ahead = rest.partition_point(|(pfile, ..)| *pfile < pk);
            self.dangle(&rest[..ahead], joined);
            let count = rest[ahead..].partition_point(|(pfile, ..)| *pfile == pk);
            let own = &rest[ahead..ahead + count];
            rest = &rest[ahead + count..];
            let left = self.split(own, &mut live);
            match place {
                Whereabouts::Unusable => {
                    let uploads = UploadIds::of(live.iter().map(|each| each.upload));
                    joined.unusable.push((pk, uploads));
                }
                Whereabouts::Shard(_) if own.is_empty() => {}
                Whereabouts::Shard(shard) => by_shard.push(shard, |out| {
                    out.extend_from_slice(&pk.to_le_bytes());
                    out.push(left.bits());
                    put_uses(out, &live);
                })?,
            }
        }
        self.dangle(rest, joined);
        Ok(())
    }

    /// Collects the uses by uploads that are not deleted; says whether there are others.
    fn split(&self, uses: &[(i32, i32, Usage)], live: &mut Vec<Use>) -> Usage {
        let mut left = Usage::default();
        live.clear();
        for (_, upload, usage) in uses {
            if self.deleted.contains(upload) {
                left = Usage::LEFT;
                continue;
            }
            match live.last_mut().filter(|last| last.upload == *upload) {
                Some(last) => last.usage = last.usage.and(*usage),
                None => live.push(Use {
                    upload: *upload,
                    usage: *usage,
                }),
            }
        }
        left
    }

    /// Notes uses whose pfile row does not exist.
    fn dangle(&self, uses: &[(i32, i32, Usage)], joined: &mut Joined) {
        let mut live = Vec::new();
        for own in uses.chunk_by(|a, b| a.0 == b.0) {
            self.split(own, &mut live);
            if !live.is_empty() {
                joined.dangling.push(Dangling {
                    pk: own[0].0,
                    is_gold: live.iter().any(|each| each.usage.has(Usage::GOLD)),
                    uploads: UploadIds::of(live.iter().map(|each| each.upload)),
                });
            }
        }
    }
}

/// Keys in order.
fn decode_keys(bytes: &[u8]) -> Vec<(i32, Whereabouts)> {
    let mut keys: Vec<(i32, Whereabouts)> = bytes
        .chunks_exact(KEY)
        .map(|record| {
            let pk = i32::from_le_bytes([record[0], record[1], record[2], record[3]]);
            let code = u16::from_le_bytes([record[4], record[5]]);
            (pk, Whereabouts::of_code(code))
        })
        .collect();
    keys.sort_by_key(|(pk, _)| *pk);
    keys
}

/// Uses sorted by pfile and upload.
fn decode_uses(bytes: &[u8]) -> Vec<(i32, i32, Usage)> {
    let mut uses: Vec<(i32, i32, Usage)> = bytes
        .chunks_exact(9)
        .map(|record| {
            let word = |at: usize| {
                i32::from_le_bytes([record[at], record[at + 1], record[at + 2], record[at + 3]])
            };
            (
                word(0),
                word(4),
                Usage::of_bits(record[8]).unwrap_or_default(),
            )
        })
        .collect();
    uses.sort_unstable_by_key(|(pfile, upload, _)| (*pfile, *upload));
    uses
}

/// What sorting some shards counted, and the golds that were found in them.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) names: u64,
    pub(super) gold: Amount,
    pub(super) files: Amount,
    pub(super) last_unreferenced: Option<i32>,
    /// Uploads and their gold.
    pub(super) golds: Vec<(i32, RepositoryName)>,
}

struct Draft {
    name: RepositoryName,
    row: Row,
    left: Usage,
    uses: Range<usize>,
}

pub(super) fn put_pfile(out: &mut Vec<u8>, name: &RepositoryName, row: Row) {
    out.extend_from_slice(&row.pk.to_le_bytes());
    out.extend_from_slice(&name.sha1);
    out.extend_from_slice(&name.md5);
    out.extend_from_slice(&name.size.to_le_bytes());
    row.sha256.put(out);
}

fn take_draft(cursor: &mut Cursor<'_>) -> Option<Draft> {
    let pk = cursor.int4()?;
    Some(Draft {
        name: RepositoryName {
            sha1: cursor.array()?,
            md5: cursor.array()?,
            size: u64::from_le_bytes(cursor.array()?),
        },
        row: Row {
            pk,
            sha256: Sha256::take(cursor)?,
        },
        left: Usage::default(),
        uses: 0..0,
    })
}

/// The pfiles of a shard in order of their keys.
fn decode_drafts(bytes: &[u8]) -> Option<Vec<Draft>> {
    let mut drafts = Vec::new();
    let mut cursor = Cursor::new(bytes);
    while !cursor.is_empty() {
        drafts.push(take_draft(&mut cursor)?);
    }
    // Rows come nearly in this order already.
    drafts.sort_by_key(|draft| draft.row.pk);
    Some(drafts)
}

/// Gives pfiles, which are in order of their keys, the uses that are theirs; returns all uses.
fn attach_uses(drafts: &mut [Draft], bytes: &[u8]) -> Option<Vec<Use>> {
    let (mut uses, mut owners) = (Vec::new(), Vec::new());
    let mut cursor = Cursor::new(bytes);
    while !cursor.is_empty() {
        let (pk, left) = (cursor.int4()?, Usage::of_bits(cursor.byte()?)?);
        let first = uses.len();
        take_uses(&mut cursor, &mut uses)?;
        owners.push((pk, left, first..uses.len()));
    }
    owners.sort_unstable_by_key(|(pk, ..)| *pk);
    let mut owners = owners.into_iter().peekable();
    for draft in drafts {
        while owners.next_if(|(pk, ..)| *pk < draft.row.pk).is_some() {}
        if let Some((_, left, own)) = owners.next_if(|(pk, ..)| *pk == draft.row.pk) {
            (draft.left, draft.uses) = (left, own);
        }
    }
    Some(uses)
}

/// The pfiles of a shard, sorted and merged by name; `None` when the bytes are not what was
/// written.
pub(super) fn sort_shard(pfiles: &[u8], uses: &[u8], counts: &mut Counts) -> Option<ShardPfiles> {
    let mut drafts = decode_drafts(pfiles)?;
    let uses = attach_uses(&mut drafts, uses)?;
    // The first bytes nearly always tell; they are sorted without moving all the rest.
    drafts.sort_by_cached_key(|draft| {
        draft
            .name
            .sha1
            .first_chunk()
            .map(|first| u64::from_be_bytes(*first))
    });
    drafts.sort_by_key(|draft| (draft.name, draft.row.pk));
    let mut pfiles = ShardPfiles::default();
    let (mut rows, mut own) = (Vec::new(), Vec::new());
    for same in drafts.chunk_by(|a, b| a.name == b.name) {
        let name = same[0].name;
        rows.clear();
        own.clear();
        let mut usage = Usage::default();
        for draft in same {
            rows.push(draft.row);
            usage = usage.and(draft.left);
            for each in &uses[draft.uses.clone()] {
                if each.usage.has(Usage::GOLD) {
                    counts.golds.push((each.upload, name));
                }
                usage = usage.and(each.usage);
                own.push(*each);
            }
        }
        if same.len() > 1 {
            merge_uses(&mut own);
        }
        counts.names += 1;
        if usage.is_none() {
            let last = rows.iter().map(|row| row.pk).max();
            counts.last_unreferenced = counts.last_unreferenced.max(last);
        }
        pfiles.push(name, usage, &rows, &own);
        let pfile = pfiles.pfiles().last()?;
        if pfile.in_gold() {
            counts.gold.add(name.size);
        }
        if pfile.in_files() {
            counts.files.add(name.size);
        }
    }
    Some(pfiles)
}

/// Sorts uses by upload and makes one of several by the same upload.
fn merge_uses(uses: &mut Vec<Use>) {
    uses.sort_unstable_by_key(|each| each.upload);
    uses.dedup_by(|next, kept| {
        let same = next.upload == kept.upload;
        if same {
            kept.usage = kept.usage.and(next.usage);
        }
        same
    });
}
