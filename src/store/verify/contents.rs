//! The contents in the pool, each once.

use std::collections::BTreeSet;
use std::io;

use super::{Coverage, Options, Seen, Verified};
use crate::check::{Batch, Finding, Kind, Severity};
use crate::manifest::Types;
use crate::monitor::Monitor;
use crate::parallel::share_out;
use crate::repository::{RepositoryName, Shard, TreePath};
use crate::store::digest::Reader;
use crate::store::layout::{SetId, pool_path};
use crate::store::named::{NameList, Named};
use crate::store::pool::{OpenShard, Unreached};
use crate::store::record::SetRecord;
use crate::store::{Store, StoreError};
use crate::sysconf::RepositoryType;

/// At most so many sets are named in a finding.
const SETS_SHOWN: usize = 3;

/// Looks at contents; shared by all threads.
pub(super) struct Contents<'a> {
    pub store: &'a Store,
    pub names: &'a NameList,
    /// The sets, by their numbers in `names`.
    pub sets: &'a [(SetId, SetRecord)],
    pub options: &'a Options,
    /// What an earlier verification found damaged.
    pub known_damaged: BTreeSet<RepositoryName>,
}

/// What a thread saw.
#[derive(Default)]
struct Share {
    coverage: Coverage,
    shards: Vec<Shard>,
    seen: Seen,
}

impl Contents<'_> {
    /// Looks at all shards. Findings, coverage and complete shards are added to `verified`.
    pub(super) fn look(
        &self,
        verified: &mut Verified,
        monitor: &dyn Monitor,
    ) -> Result<Seen, StoreError> {
        let findings = &verified.findings;
        let shares = share_out(self.options.threads, monitor, |shards| {
            let mut share = Share::default();
            let mut reader = Reader::sparing(&self.options.low_impact);
            for shard in shards.map(Shard) {
                let mut batch = Batch::default();
                if !self.shard(shard, &mut share, &mut batch, &mut reader, monitor)? {
                    break;
                }
                findings.deliver(u16::from(shard.0) + 1, batch)?;
                share.shards.push(shard);
                monitor.advance(1, 0);
            }
            Ok::<_, StoreError>(share)
        })?;
        let mut seen = Seen::default();
        for share in shares {
            verified.coverage.add(&share.coverage);
            verified.complete_shards.extend(share.shards);
            seen.add(share.seen);
        }
        verified.complete_shards.sort_unstable();
        Ok(seen)
    }

    /// Looks at a shard; `false` when it was not looked at to its end.
    fn shard(
        &self,
        shard: Shard,
        share: &mut Share,
        batch: &mut Batch,
        reader: &mut Reader,
        monitor: &dyn Monitor,
    ) -> Result<bool, StoreError> {
        let reads = self.options.slice.contains(shard);
        let mut directory = OpenShard::of(self.store.layout(), shard);
        for named in self.names.shard(shard)? {
            let looked = self.contents(&named, reads, &mut directory, share, reader, monitor);
            let Some(fault) = looked else {
                return Ok(false);
            };
            let Some((kind, detail)) = fault else {
                if reads && self.known_damaged.contains(&named.name) {
                    share.seen.healed.push(named.name);
                }
                continue;
            };
            if matches!(kind, Kind::Corrupt | Kind::Unreadable | Kind::WrongSize) {
                share.seen.damaged.push(named.name);
            }
            for set in named.sets() {
                share
                    .seen
                    .damaged_parts
                    .entry(set)
                    .or_default()
                    .insert(shard);
            }
            batch.push(self.finding(&named, kind, detail));
        }
        Ok(true)
    }

    /// What is wrong with the contents of a name, or nothing; `None` when the monitor asked to
    /// stop.
    fn contents(
        &self,
        named: &Named,
        reads: bool,
        directory: &mut OpenShard,
        share: &mut Share,
        reader: &mut Reader,
        monitor: &dyn Monitor,
    ) -> Option<Option<(Kind, Option<String>)>> {
        if monitor.stopped() {
            return None;
        }
        let coverage = &mut share.coverage;
        let size = named.name.size;
        coverage.named.add(size);
        match directory.length(&named.name) {
            Ok(None) => {
                return Some(Some((
                    Kind::Unreadable,
                    Some("not a regular file".to_owned()),
                )));
            }
            Ok(Some(bytes)) if bytes != size => {
                let detail = format!("{bytes} bytes instead of {size}");
                return Some(Some((Kind::WrongSize, Some(detail))));
            }
            Ok(Some(_)) => coverage.found.add(size),
            Err(Unreached::NoDirectory(path)) => {
                let detail = format!("{path} is no directory, and a link is not followed");
                return Some(Some((missing(named), Some(detail))));
            }
            Err(Unreached::System(error)) => return Some(Some(of_error(&error, named))),
        }
        if !reads {
            return Some(None);
        }
        coverage.to_read.add(size);
        let path = self.store.layout().pool_path(&named.name);
        let contents = match reader.read(&path, monitor) {
            Ok(contents) => contents?,
            Err(error) => return Some(Some(of_error(&error, named))),
        };
        coverage.read.add(contents.bytes);
        Some(if named.disputed {
            let detail = "the sets do not agree about its blake3".to_owned();
            Some((Kind::Corrupt, Some(detail)))
        } else if named.blake3 != Some(contents.blake3) {
            Some((Kind::Corrupt, Some("differs in blake3".to_owned())))
        } else {
            None
        })
    }

    fn finding(&self, named: &Named, kind: Kind, detail: Option<String>) -> Finding {
        let ty = type_of(named);
        // What unpacking brings back is not lost with the store's copy; an original is, as far as
        // a store can tell.
        let severity = match ty {
            RepositoryType::Gold => Severity::Loss,
            _ => Severity::Recoverable,
        };
        let path = pool_path(&named.name).into_bytes();
        let mut finding = Finding::new(kind, severity)
            .named(&named.name)
            .at(&TreePath(path));
        finding.ty = Some(ty);
        let sets = self.sets_of(named);
        finding.detail = Some(match detail {
            Some(detail) => format!("{detail}; {sets}"),
            None => sets,
        });
        finding
    }

    /// The sets that name contents, for a person.
    fn sets_of(&self, named: &Named) -> String {
        let total = named.sets().count();
        let shown: Vec<String> = named
            .sets()
            .take(SETS_SHOWN)
            .filter_map(|number| Some(self.sets.get(number)?.0.to_string()))
            .collect();
        match total.saturating_sub(shown.len()) {
            0 => format!("in {}", shown.join(", ")),
            more => format!("in {} and {more} more", shown.join(", ")),
        }
    }
}

/// What an error of the system means for contents.
fn of_error(error: &io::Error, named: &Named) -> (Kind, Option<String>) {
    if error.kind() == io::ErrorKind::NotFound {
        return (missing(named), None);
    }
    (Kind::Unreadable, Some(error.to_string()))
}

/// The kind of contents that are not there.
fn missing(named: &Named) -> Kind {
    match type_of(named) {
        RepositoryType::Gold => Kind::MissingGold,
        _ => Kind::MissingDerived,
    }
}

/// The type that decides how bad a loss is.
fn type_of(named: &Named) -> RepositoryType {
    let types = named.types();
    if types.has(Types::GOLD) {
        RepositoryType::Gold
    } else if types.has(Types::FILES) {
        RepositoryType::Files
    } else {
        RepositoryType::License
    }
}

impl Coverage {
    fn add(&mut self, other: &Coverage) {
        self.named += other.named;
        self.found += other.found;
        self.to_read += other.to_read;
        self.read += other.read;
    }
}

impl Seen {
    fn add(&mut self, other: Seen) {
        for (set, parts) in other.damaged_parts {
            self.damaged_parts.entry(set).or_default().extend(parts);
        }
        self.damaged.extend(other.damaged);
        self.healed.extend(other.healed);
    }
}
