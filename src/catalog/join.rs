//! The second and third step of making a catalog: uses are joined to their pfiles, and pfiles are
//! sorted by name.

use std::collections::HashSet;

use super::CatalogError;
use super::codec::Cursor;
use super::pfile::{Row, Sha256, ShardPfiles, Usage, Use, put_uses, take_uses};
use super::scatter::{self, Scatter};
use super::summary::{Amount, Dangling, Unusable, UploadIds};
use crate::repository::RepositoryName;

/// The bucket of a pk: spread evenly, whatever the step of the sequence.
pub(super) fn bucket_of(pk: i32) -> u8 {
    ((pk as u32).wrapping_mul(0x9e37_79b1) >> 24) as u8
}

pub(super) fn put_name(out: &mut Vec<u8>, name: &RepositoryName) {
    out.extend_from_slice(&name.sha1);
    out.extend_from_slice(&name.md5);
    out.extend_from_slice(&name.size.to_le_bytes());
}

fn take_name(cursor: &mut Cursor<'_>) -> Option<RepositoryName> {
    Some(RepositoryName {
        sha1: cursor.array()?,
        md5: cursor.array()?,
        size: u64::from_le_bytes(cursor.array()?),
    })
}

/// What the join of some buckets found besides pfiles.
#[derive(Default)]
pub(super) struct Joined {
    pub(super) dangling: Vec<Dangling>,
    pub(super) unusable: Vec<Unusable>,
    pub(super) golds: Vec<(i32, RepositoryName)>,
}

enum Joinable {
    Pfile(RepositoryName, Sha256),
    Unusable(String),
}

pub(super) struct Joiner<'a> {
    pub(super) pfiles: &'a Scatter,
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
        let mut pfiles =
            decode_pfiles(&self.pfiles.read(bucket)?).ok_or_else(|| self.pfiles.scrambled())?;
        pfiles.sort_by_cached_key(|(pk, _)| *pk);
        let uses = decode_uses(&self.uses.read(bucket)?);
        let mut rest = &uses[..];
        let mut live = Vec::new();
        for (pk, joinable) in pfiles {
            let ahead = rest.partition_point(|(pfile, ..)| *pfile < pk);
            self.dangle(&rest[..ahead], joined);
            let count = rest[ahead..].partition_point(|(pfile, ..)| *pfile == pk);
            let own = &rest[ahead..ahead + count];
            rest = &rest[ahead + count..];
            let left = self.split(own, &mut live);
            match joinable {
                Joinable::Unusable(why) => joined.unusable.push(Unusable {
                    pk,
                    why,
                    uploads: UploadIds::of(live.iter().map(|each| each.upload)),
                }),
                Joinable::Pfile(name, sha256) => {
                    joined.golds.extend(
                        live.iter()
                            .filter(|each| each.usage.has(Usage::GOLD))
                            .map(|each| (each.upload, name)),
                    );
                    by_shard.push(name.shard().0, |out| {
                        put_name(out, &name);
                        out.extend_from_slice(&pk.to_le_bytes());
                        sha256.put(out);
                        out.push(left.bits());
                        put_uses(out, &live);
                    })?;
                }
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

fn decode_pfiles(bytes: &[u8]) -> Option<Vec<(i32, Joinable)>> {
    let mut pfiles = Vec::new();
    let mut cursor = Cursor::new(bytes);
    while !cursor.is_empty() {
        let pk = cursor.int4()?;
        let joinable = if cursor.byte()? == 1 {
            Joinable::Pfile(take_name(&mut cursor)?, Sha256::take(&mut cursor)?)
        } else {
            let length = cursor.varint()?;
            let text: Option<Vec<u8>> = (0..length).map(|_| cursor.byte()).collect();
            Joinable::Unusable(String::from_utf8(text?).ok()?)
        };
        pfiles.push((pk, joinable));
    }
    Some(pfiles)
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

/// What sorting some shards counted.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) names: u64,
    pub(super) gold: Amount,
    pub(super) files: Amount,
    pub(super) last_unreferenced: Option<i32>,
}

struct Draft {
    name: RepositoryName,
    row: Row,
    left: Usage,
    pub(super) uses: std::ops::Range<usize>,
}

/// The pfiles of a shard, sorted and merged by name; `None` when the bytes are not what was
/// written.
pub(super) fn sort_shard(bytes: &[u8], counts: &mut Counts) -> Option<ShardPfiles> {
    let mut uses = Vec::new();
    let mut drafts = Vec::new();
    let mut cursor = Cursor::new(bytes);
    while !cursor.is_empty() {
        let name = take_name(&mut cursor)?;
        let row = Row {
            pk: cursor.int4()?,
            sha256: Sha256::take(&mut cursor)?,
        };
        let left = Usage::of_bits(cursor.byte()?)?;
        let first = uses.len();
        take_uses(&mut cursor, &mut uses)?;
        drafts.push(Draft {
            name,
            row,
            left,
            uses: first..uses.len(),
        });
    }
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
