//! What the library tells its caller as it goes, and how the caller stops it.
//!
//! The library never prints. Long work takes a [`Monitor`] as its last argument; a progress bar, a
//! log and a test's recorder are all monitors. How much room there is stands here too, for whoever
//! says what [`Monitor::room`] says.

use std::io;
use std::path::Path;

/// One stretch of a long piece of work, in the order in which a check meets them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// The database is dumped by PostgreSQL's own programs.
    TakeDump,
    /// A PostgreSQL to try something in is made and started.
    StartServer,
    /// A dump is played into an empty database.
    RestoreDatabase,
    /// PostgreSQL gathers figures about restored tables.
    Analyze,
    /// Rows are read from a live database or a dump; from a live one once more, after the tree, where
    /// very much is in doubt.
    ReadRows,
    /// Rows are sorted into the shards of a catalog.
    SortRows,
    /// The tree is listed (and with it, where asked, read) shard by shard.
    Tree,
    /// Suspicious files and rows are looked at again.
    SecondLook,
    /// The manifests and dumps of a store are read.
    ReadSets,
    /// The contents in a store are read.
    ReadPool,
    /// It is looked whether contents are in a store, without reading them.
    ComparePool,
    /// Contents in a store that nothing needs are looked for, and deleted.
    Sweep,
    /// A manifest is written, in a form that may take the files along.
    WriteManifest,
    /// Some files are read and written, to see how fast that goes.
    Sample,
    /// Files of a set are put into the repository.
    RestoreFiles,
    /// It is found out which uploads have to be unpacked again, and their gold is proven.
    Plan,
    /// Unpack jobs are queued, and waited for where that was asked.
    Unpack,
    /// What a check found is put right, step by step.
    Repair,
}

impl Phase {
    /// What the phase does, as a person would say it.
    pub fn title(self) -> &'static str {
        match self {
            Phase::TakeDump => "taking the dump",
            Phase::StartServer => "starting a PostgreSQL of our own",
            Phase::RestoreDatabase => "restoring the database",
            Phase::Analyze => "gathering statistics",
            Phase::ReadRows => "reading rows",
            Phase::SortRows => "sorting rows",
            Phase::Tree => "checking files",
            Phase::SecondLook => "looking again",
            Phase::ReadSets => "reading sets",
            Phase::ReadPool => "reading contents",
            Phase::ComparePool => "comparing",
            Phase::Sweep => "looking for what nothing needs",
            Phase::WriteManifest => "writing",
            Phase::Sample => "timing a sample of files",
            Phase::RestoreFiles => "restoring files",
            Phase::Plan => "planning",
            Phase::Unpack => "unpacking",
            Phase::Repair => "repairing",
        }
    }
}

/// So many bytes more than are needed should be free.
const AMPLE: u64 = 1 << 30;

/// The room that work needs, and what there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room<'a> {
    /// What it is for, such as `sorting`.
    pub what: &'a str,
    /// Where it is needed.
    pub place: &'a Path,
    /// Bytes that are needed at most.
    pub need: u64,
    /// Bytes that are free there.
    pub free: u64,
}

impl Room<'_> {
    /// Whether the room may be used up by this work, or by a little more of it.
    pub fn is_tight(&self) -> bool {
        self.need > 0 && (self.free / 4 < self.need || self.free.saturating_sub(self.need) < AMPLE)
    }
}

/// An observer of long work. Every method may be called from several threads at once.
pub trait Monitor: Sync {
    /// A phase begins; `total` is the number of steps that [`Monitor::advance`] will count, when
    /// it is known.
    fn phase(&self, phase: Phase, total: Option<u64>) {
        let _ = (phase, total);
    }

    /// `steps` more are done, and `bytes` more were read.
    fn advance(&self, steps: u64, bytes: u64) {
        let _ = (steps, bytes);
    }

    /// The work that begins needs room.
    fn room(&self, room: &Room<'_>) {
        let _ = room;
    }

    /// Something that the user ought to know and that stops nothing.
    fn warn(&self, message: &str) {
        let _ = message;
    }

    /// Whether the caller wants the work to end as soon as it can. Asked often: must be cheap.
    fn stopped(&self) -> bool {
        false
    }
}

/// The bytes that are free for this process on the file system of a file or directory.
pub fn free_room(path: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Sees nothing and never stops anything.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Monitor for Silent {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_tight_where_little_is_left() {
        let is_tight = |need, free| {
            let place = Path::new("/var/tmp");
            let what = "sorting";
            Room {
                what,
                place,
                need,
                free,
            }
            .is_tight()
        };
        let gib = 1 << 30;
        assert!(!is_tight(0, 0));
        assert!(!is_tight(1 << 20, 2 * gib));
        assert!(is_tight(1 << 20, gib));
        assert!(is_tight(3 * gib, 11 * gib));
        assert!(!is_tight(3 * gib, 12 * gib));
        assert!(is_tight(2, 1));
    }

    #[test]
    fn room_is_that_of_the_file_system_a_path_lies_on() {
        let directory = tempfile::tempdir().unwrap();
        let stat = rustix::fs::statvfs(directory.path()).unwrap();
        let all = stat.f_blocks * stat.f_frsize;
        let free = free_room(directory.path()).unwrap();
        assert!((1..=all).contains(&free), "{free} of {all}");
        let nowhere = free_room(&directory.path().join("nowhere")).unwrap_err();
        assert_eq!(nowhere.kind(), io::ErrorKind::NotFound);
    }
}
