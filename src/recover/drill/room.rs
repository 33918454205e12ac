//! The room that a drill takes in its scratch directory, before it begins.
//!
//! How large a database becomes can only be reckoned from its dump. So two figures are told apart:
//! what it takes at least, without which there is no drill, and what it may take.

use std::path::Path;

use super::DrillError;
use crate::monitor::{self, Monitor, free_room};
use crate::store::SetRecord;
use crate::store::record::{LEFT_TO_URLS, LeftOut};

/// An empty server: three databases and its log.
const SERVER: u64 = 64 * 1024 * 1024;

/// A file takes whole blocks, and half a block more than its length on the average.
const HALF_A_BLOCK: u64 = 2048;

/// What a row of pfile and one of the trees take when they are sorted.
const SORTED_ROW: u64 = 96;

/// Bytes that a drill takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    pub(super) least: u64,
    pub(super) most: u64,
}

impl Room {
    pub(super) fn of(record: &SetRecord, full: bool) -> Room {
        let dump = record.dump.file.bytes;
        // Packed, rows are a fifth of their text or less; a database has headers and indexes
        // besides, and about as many bytes again.
        let is_packed = !matches!(record.dump.form.as_str(), "plain" | "tar");
        let (least, most) = if is_packed { (2, 12) } else { (1, 3) };
        let sorting = (record.rows.pfiles + record.rows.tree_rows).saturating_mul(SORTED_ROW);
        let files = if full { files(record) } else { 0 };
        let with = |times: u64| {
            SERVER
                .saturating_add(dump.saturating_mul(times))
                .saturating_add(sorting)
                .saturating_add(files)
        };
        Room {
            least: with(least),
            most: with(most),
        }
    }

    /// Says what is needed, and refuses to begin without the least of it.
    pub(super) fn require(self, scratch: &Path, monitor: &dyn Monitor) -> Result<(), DrillError> {
        let free = free_room(scratch).map_err(|source| DrillError::Scratch {
            action: "use",
            path: scratch.to_owned(),
            source,
        })?;
        monitor.room(&monitor::Room {
            what: "the drill",
            place: scratch,
            need: self.most,
            free,
        });
        if free < self.least {
            return Err(DrillError::NoRoom {
                directory: scratch.to_owned(),
                need: self.least,
                free,
            });
        }
        Ok(())
    }
}

/// The set's contents in a tree, each once: further places are links.
fn files(record: &SetRecord) -> u64 {
    let counts = &record.counts;
    let (mut count, mut bytes) = (counts.pool.files, counts.pool.bytes);
    let to_fetch = |left_out: &&LeftOut| left_out.reason == LEFT_TO_URLS;
    for left_out in counts.left_out.iter().filter(to_fetch) {
        count = count.saturating_add(left_out.files);
        bytes = bytes.saturating_add(left_out.bytes);
    }
    bytes.saturating_add(count.saturating_mul(HALF_A_BLOCK))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Amount;
    use crate::manifest::UrlGold;
    use crate::monitor::Silent;

    fn record() -> SetRecord {
        let id = "2026-01-01T000000Z-full".parse().unwrap();
        let mut record = SetRecord::of(id, UrlGold::Skip);
        record.dump.file.bytes = 1_000_000;
        record.dump.form = "custom".to_owned();
        record.counts.pool = Amount {
            files: 100,
            bytes: 5_000_000,
        };
        for (reason, bytes) in [(LEFT_TO_URLS, 70_000), ("nothing uses it", 900_000)] {
            record.counts.left_out.push(LeftOut {
                reason: reason.to_owned(),
                files: 1,
                bytes,
            });
        }
        record
    }

    #[test]
    fn files_are_counted_as_they_will_stand_there() {
        let (cheap, full) = (Room::of(&record(), false), Room::of(&record(), true));
        assert_eq!(cheap.least, SERVER + 2_000_000);
        assert_eq!(full.least - cheap.least, 5_070_000 + 101 * HALF_A_BLOCK);
        assert!(cheap.most > cheap.least);
    }

    #[test]
    fn without_room_there_is_no_drill() {
        let scratch = tempfile::tempdir().unwrap();
        let mut record = record();
        record.counts.pool.bytes = u64::MAX / 2;
        let room = Room::of(&record, false);
        room.require(scratch.path(), &Silent).unwrap();
        let error = Room::of(&record, true).require(scratch.path(), &Silent);
        let error = error.unwrap_err();
        assert!(matches!(error, DrillError::NoRoom { .. }), "{error}");
        assert!(!error.is_misuse());
    }
}
