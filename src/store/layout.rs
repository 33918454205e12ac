//! Where things stand in a store: set ids, and the path of each name.
//!
//! What bears another name than this module makes is no part of the store, and is left alone.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::manifest::SetKind;
use crate::repository::RepositoryName;

/// The clocks of machines that share a store differ by less.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_hours(1);

/// The file that makes a directory a store.
pub const STORE_FILE: &str = "store.json";
/// How to restore by hand.
pub const README_FILE: &str = "README.txt";
/// The directory of contents.
pub const POOL: &str = "pool";
/// The directory of locks and notes.
pub const STATE: &str = "state";
/// The directory of sets.
pub const SETS: &str = "sets";
/// The record of a set.
pub const RECORD_FILE: &str = "set.json";
/// What a set holds, a line a file.
pub const MANIFEST_FILE: &str = "manifest.jsonl.zst";
/// The catalog that a set in the making has read out of its dump.
pub const CATALOG_FILE: &str = "catalog";

/// How the directory of a set in the making begins.
const PARTIAL: &str = ".partial-";
/// How the directory of a set that is being removed begins.
const REMOVED: &str = ".removed-";

/// The id of a set: when it was begun, to the second in UTC, and its kind. Ordered by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SetId {
    /// When it was begun; whole seconds.
    pub time: Timestamp,
    /// What it is made of.
    pub kind: SetKind,
}

impl SetId {
    /// The id of a set that is begun at a moment.
    pub fn new(time: Timestamp, kind: SetKind) -> SetId {
        let time = Timestamp::from_second(time.as_second()).unwrap_or(time);
        SetId { time, kind }
    }

    /// Whether a wrong clock has made it, by what the time is `now`.
    pub fn is_of_the_future(self, now: Timestamp) -> bool {
        self.time.duration_since(now) > CLOCKS_DIFFER
    }
}

impl fmt::Display for SetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = self.time.to_zoned(TimeZone::UTC).datetime();
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}{:02}{:02}Z-{}",
            time.year(),
            time.month(),
            time.day(),
            time.hour(),
            time.minute(),
            time.second(),
            self.kind
        )
    }
}

/// The text is no set id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the id of a set (<YYYY>-<MM>-<DD>T<hhmmss>Z-<kind>)")]
pub struct NotASetId;

impl FromStr for SetId {
    type Err = NotASetId;

    /// Strict: what is accepted is written again byte for byte.
    fn from_str(text: &str) -> Result<SetId, NotASetId> {
        let parsed = parse(text).ok_or(NotASetId)?;
        if parsed.to_string() == text {
            Ok(parsed)
        } else {
            Err(NotASetId)
        }
    }
}

fn parse(text: &str) -> Option<SetId> {
    let (time, kind) = text.split_once("Z-")?;
    let number = |from: usize, to: usize| -> Option<i16> {
        let digits = time.get(from..to)?;
        let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit());
        is_plain.then(|| digits.parse().ok())?
    };
    let part = |from: usize| number(from, from + 2).and_then(|n| i8::try_from(n).ok());
    let time = jiff::civil::DateTime::new(
        number(0, 4)?,
        part(5)?,
        part(8)?,
        part(11)?,
        part(13)?,
        part(15)?,
        0,
    );
    let time = time.ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp();
    Some(SetId {
        time,
        kind: kind.parse().ok()?,
    })
}

/// What stands in the directory of sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SetEntry {
    Finished(SetId),
    Partial(SetId),
    Removed(SetId),
}

impl SetEntry {
    /// Judges a name; `None` when it is not one of ours.
    pub(super) fn of(name: &str) -> Option<SetEntry> {
        if let Some(id) = name.strip_prefix(PARTIAL) {
            return id.parse().ok().map(SetEntry::Partial);
        }
        if let Some(id) = name.strip_prefix(REMOVED) {
            return id.parse().ok().map(SetEntry::Removed);
        }
        name.parse().ok().map(SetEntry::Finished)
    }
}

/// The path functions of a store.
#[derive(Clone, Debug)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The layout below a root.
    pub(super) fn of(root: PathBuf) -> Layout {
        Layout { root }
    }

    /// The store's own directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The directory of contents.
    pub fn pool(&self) -> PathBuf {
        self.root.join(POOL)
    }

    /// The directory of locks and notes.
    pub fn state(&self) -> PathBuf {
        self.root.join(STATE)
    }

    /// The directory of sets.
    pub fn sets(&self) -> PathBuf {
        self.root.join(SETS)
    }

    /// Where the contents of a name stand.
    pub fn pool_path(&self, name: &RepositoryName) -> PathBuf {
        self.root.join(pool_path(name))
    }

    /// The directory of a finished set.
    pub fn set(&self, id: SetId) -> PathBuf {
        self.sets().join(id.to_string())
    }

    /// The directory of a set in the making.
    pub fn partial(&self, id: SetId) -> PathBuf {
        self.sets().join(format!("{PARTIAL}{id}"))
    }

    /// The directory of a set that is being removed.
    pub fn removed(&self, id: SetId) -> PathBuf {
        self.sets().join(format!("{REMOVED}{id}"))
    }
}

/// Where the contents of a name stand, relative to the store: `pool/<aa>/<bb>/<name>`.
pub fn pool_path(name: &RepositoryName) -> String {
    let [first, second, ..] = name.sha1;
    format!("{POOL}/{first:02x}/{second:02x}/{name}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_id_is_written_as_it_is_read() {
        let text = "2026-11-21T070500Z-gold-only";
        let id: SetId = text.parse().unwrap();
        assert_eq!(id.to_string(), text);
        assert_eq!(id.kind, SetKind::GoldOnly);
        assert_eq!(id.time, "2026-11-21T07:05:00Z".parse().unwrap());
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for text in [
            "",
            "2026-11-21T070500Z",
            "2026-11-21T070500Z-",
            "2026-11-21T070500Z-partly",
            "2026-11-21T070500Z-full ",
            "2026-11-21T070500Z-Full",
            "2026-11-21t070500Z-full",
            "2026-11-21 070500Z-full",
            "2026-11-21T07:05:00Z-full",
            "2026-11-31T070500Z-full",
            "2026-11-21T240000Z-full",
            "2026-11-21T070560Z-full",
            "+026-11-21T070500Z-full",
            "2026-11-21T0705000Z-full",
            "../2026-11-21T070500Z-full",
            "２026-11-21T070500Z-full",
        ] {
            assert_eq!(text.parse::<SetId>(), Err(NotASetId), "{text}");
            assert_eq!(SetEntry::of(text), None, "{text}");
        }
    }

    #[test]
    fn a_directory_of_sets_is_sorted_out() {
        let id = "2026-11-21T070500Z-full".parse().unwrap();
        for (name, entry) in [
            ("2026-11-21T070500Z-full", Some(SetEntry::Finished(id))),
            (
                ".partial-2026-11-21T070500Z-full",
                Some(SetEntry::Partial(id)),
            ),
            (
                ".removed-2026-11-21T070500Z-full",
                Some(SetEntry::Removed(id)),
            ),
            (".partial-.partial-2026-11-21T070500Z-full", None),
            (".partial-", None),
            ("lost+found", None),
        ] {
            assert_eq!(SetEntry::of(name), entry, "{name}");
        }
    }

    #[test]
    fn contents_stand_two_levels_deep() {
        let name = format!("0A1b{:036}.{:032}.7", 1, 2).parse().unwrap();
        assert_eq!(
            pool_path(&name),
            format!("pool/0a/1b/0a1b{:036}.{:032}.7", 1, 2)
        );
    }

    proptest! {
        #[test]
        fn ids_are_ordered_by_time_as_text_and_as_ids(a in 0i64..200_000_000_000, b in 0i64..200_000_000_000) {
            let id = |second| SetId::new(Timestamp::from_second(second).unwrap(), SetKind::Full);
            prop_assert_eq!(id(a).to_string().parse(), Ok(id(a)));
            prop_assert_eq!(id(a).cmp(&id(b)), id(a).to_string().cmp(&id(b).to_string()));
        }
    }
}
