//! How many threads there is memory for.
//!
//! Each thread holds a shard of the catalog, and contents where it reads them. Both are reckoned
//! beforehand, and with a very large catalog or very many jobs fewer threads work at a time.

use super::compare::Comparer;
use crate::monitor::Monitor;
use crate::repository::{Crew, Prover};

/// What settling drafts may take of the memory that a check has in all.
const ROOM_TO_SETTLE: u64 = 128 << 20;

/// How much larger drafts and their findings are in memory than drafts are on disk, at most.
const FINDINGS_TO_DRAFTS: u64 = 8;

/// Memory that the threads may take for their shards and for contents, in bytes.
const MEMORY: u64 = 144 * 1024 * 1024;
/// Memory that spare threads may take for these, in bytes.
const SPARE_MEMORY: u64 = 32 * 1024 * 1024;
/// What a row takes while its shard is compared.
const ROW_MEMORY: u64 = 500;
/// What it takes while a companion goes along: a manifest's lines, old and new, and the pool's names.
const ROW_MEMORY_OF_TWO: u64 = 1_250;

/// The threads that compare shards: as many as there is memory for. Spare ones only where contents
/// are read.
pub(super) fn crew_for(comparer: &Comparer<'_>, monitor: &dyn Monitor) -> Crew {
    let options = comparer.options;
    let shard_rows = comparer.catalog.summary().pfile_rows / 256;
    let by_shard = shard_rows
        * match comparer.companion {
            Some(_) => ROW_MEMORY_OF_TWO,
            None => ROW_MEMORY,
        };
    let prover = match comparer.companion {
        // It has its own.
        Some(_) => Some(Prover::new(false).beside(options.threads)),
        None => options.verify.then(|| options.prover(options.sha256)),
    };
    let by_thread = by_shard + prover.as_ref().map_or(0, Prover::memory);
    let turns = options.threads.min(fitting(MEMORY, by_thread).max(1));
    if turns < options.threads {
        monitor.warn(&format!(
            "{turns} jobs compare at a time, not {}: each takes up to {} MiB of memory",
            options.threads,
            by_thread.div_ceil(1 << 20),
        ));
    }
    let spares = match prover {
        Some(prover) if comparer.companion.is_none() => {
            fitting(SPARE_MEMORY, by_shard + prover.spare().memory())
        }
        _ => 0,
    };
    Crew::of(turns, spares)
}

/// How many threads that take `each` bytes there is room for.
fn fitting(room: u64, each: u64) -> usize {
    usize::try_from(room / each.max(1)).unwrap_or(usize::MAX)
}

/// What a row of a shard takes while its drafts are settled.
const SETTLED_ROW: u64 = 150;

/// How many threads may settle so many bytes of drafts, with shards of so many rows in all: each holds a
/// shard's, and the findings that they become.
pub(super) fn threads_to_settle(bytes: u64, rows: u64) -> usize {
    let findings = (bytes / 256).saturating_mul(FINDINGS_TO_DRAFTS);
    let by_thread = findings.saturating_add(rows / 256 * SETTLED_ROW).max(1);
    usize::try_from(ROOM_TO_SETTLE / by_thread).map_or(1, |threads| threads.max(1))
}
