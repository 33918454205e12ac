//! How old things are: an upload in progress must not lose what it has just brought.

use std::io;
use std::time::Duration;

use rustix::fs::Dir;

use crate::recover::place::open_directory;
use crate::repository::{Meta, Tree, TreePath};

/// Why something is too young to be moved away; `None` when it is old enough. Its age is that of its
/// last change, of contents or inode.
pub(super) fn too_young(meta: &Meta, least: Duration) -> Option<String> {
    let least = i64::try_from(least.as_secs()).unwrap_or(i64::MAX);
    if least == 0 {
        return None;
    }
    let now = jiff::Timestamp::now().as_second();
    let age = |time: i64| now.saturating_sub(time);
    // Else it would seem to be younger than its contents, of whose age reports tell.
    let (newest, what) = match age(meta.modified) < least {
        true => (age(meta.modified.max(meta.changed)), "it was changed"),
        false => (
            age(meta.changed),
            "its inode was changed (by a chown, a chmod or a move)",
        ),
    };
    (newest < least).then(|| {
        format!(
            "{what} {} ago: too young (--min-age {})",
            for_people(newest.max(0)),
            for_people(least)
        )
    })
}

/// A time in the largest unit that it fills, as `--min-age` takes it.
pub(super) fn for_people(seconds: i64) -> String {
    for (unit, name) in [(86_400, "d"), (3_600, "h"), (60, "m")] {
        if seconds >= unit {
            return format!("{}{name}", seconds / unit);
        }
    }
    format!("{seconds}s")
}

/// The names in a directory, in order.
pub(super) fn entries(tree: &Tree, path: &TreePath) -> io::Result<Vec<Vec<u8>>> {
    let directory = open_directory(tree, path)?;
    let mut names = Vec::new();
    for entry in Dir::read_from(&directory)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if !matches!(&name[..], b"." | b"..") {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newer_of_both_times_counts() {
        let now = jiff::Timestamp::now().as_second();
        let day = Duration::from_secs(86_400);
        let meta = |modified, changed| Meta {
            modified,
            changed,
            ..Meta::default()
        };
        let old = now - 100_000;
        assert_eq!(too_young(&meta(old, old), day), None);
        let inode = "its inode was changed (by a chown, a chmod or a move)";
        for (young, what) in [
            (meta(now - 7_200, old), "it was changed"),
            (meta(now - 7_200, now - 7_200), "it was changed"),
            (meta(old, now - 7_200), inode),
        ] {
            let why = too_young(&young, day).unwrap();
            assert_eq!(why, format!("{what} 2h ago: too young (--min-age 1d)"));
            assert_eq!(too_young(&young, Duration::ZERO), None);
        }
        // A clock that is wrong does not make anything old.
        assert!(too_young(&meta(now + 1_000, old), day).is_some());
    }
}
