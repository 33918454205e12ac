//! The quarantine: where files go that must not stay where they are.
//!
//! `<path>/<host>/.fogold/quarantine/<run>/`, and below it the path that the file had below its
//! host: on the file's own file system, so that a move is one rename, and with nothing to look up
//! for the way back. No check looks in there, and nothing is ever deleted from it here.

use std::ffi::CString;
use std::io;

use rustix::io::Errno;

use super::place::{last_name, make_directory, open_directory, own_directory, rename};
use crate::repository::{Tree, TreePath};

/// So many files of one path can go into one run's quarantine.
const MOST_ALIKE: u32 = 1000;

/// Characters of the time in the name of a run.
const RUN_TIME: usize = 18;

/// The name of a run: its start and what it does, as `2026-11-21T070500Z-requeue`. Two runs of one
/// second share a directory, which harms nothing: no file in it is ever replaced.
pub fn run_name(start: jiff::Timestamp, command: &str) -> String {
    format!("{}-{command}", start.strftime("%Y-%m-%dT%H%M%SZ"))
}

/// When a run of this name began; `None` for a name that is none.
pub fn run_start(run: &[u8]) -> Option<jiff::Timestamp> {
    let text = std::str::from_utf8(run).ok()?.get(..RUN_TIME)?;
    let time = jiff::civil::DateTime::strptime("%Y-%m-%dT%H%M%SZ", text).ok()?;
    Some(time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
}

/// The quarantine of one run.
#[derive(Clone, Debug)]
pub struct Quarantine<'a> {
    tree: &'a Tree,
    run: String,
}

impl<'a> Quarantine<'a> {
    /// The quarantine of a run; nothing is made before something goes in.
    pub fn of(tree: &'a Tree, run: &str) -> Quarantine<'a> {
        Quarantine {
            tree,
            run: run.to_owned(),
        }
    }

    /// Where a file would go now: a place where nothing stands.
    pub fn place_for(&self, path: &TreePath) -> io::Result<TreePath> {
        let (own, rest) = own_directory(path);
        let to = own
            .join(b"quarantine")
            .join(self.run.as_bytes())
            .join(&rest.0);
        for number in 0..MOST_ALIKE {
            let place = match number {
                0 => to.clone(),
                _ => TreePath([&to.0, format!(".{number}").as_bytes()].concat()),
            };
            match self.tree.meta(&place) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(place),
                Err(error) => return Err(error),
                Ok(_) => {}
            }
        }
        Err(Errno::EXIST.into())
    }

    /// Moves a file in; returns where it is now.
    pub fn take(&self, path: &TreePath) -> io::Result<TreePath> {
        let (own, rest) = own_directory(path);
        let to = own
            .join(b"quarantine")
            .join(self.run.as_bytes())
            .join(&rest.0);
        let source = open_directory(self.tree, &path.parent())?;
        let target = make_directory(self.tree, &to.parent())?;
        let name = last_name(path)?;
        for number in 0..MOST_ALIKE {
            let (new, place) = if number == 0 {
                (name.clone(), to.clone())
            } else {
                let text = [name.as_bytes(), format!(".{number}").as_bytes()].concat();
                let place = to.parent().join(&text);
                (CString::new(text).map_err(io::Error::other)?, place)
            };
            match rename(&source, &name, &target, &new) {
                Ok(()) => {
                    rustix::fs::fsync(&target)?;
                    rustix::fs::fsync(&source)?;
                    return Ok(place);
                }
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Errno::EXIST.into())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::repository::{Access, Layout};
    use crate::sysconf::HostTable;

    #[test]
    fn the_start_of_a_run_is_in_its_name() {
        let start: jiff::Timestamp = "2026-11-21T07:05:00Z".parse().expect("a time");
        assert_eq!(run_start(run_name(start, "repair").as_bytes()), Some(start));
        for other in [
            "",
            "2026-11-21",
            "lost+found-of-some-time",
            "2026-11-21T070500",
        ] {
            assert_eq!(run_start(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn what_is_moved_keeps_its_path_and_replaces_nothing() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout {
            depth: 3,
            hosts: HostTable::default(),
        };
        let tree = Tree::open(root.path(), layout, Access::default()).unwrap();
        let quarantine = Quarantine::of(&tree, "run");
        let mut places = Vec::new();
        for (path, contents) in [
            ("h/files/aa/x", "one"),
            ("h/files/aa/x", "two"),
            ("files/aa/x", "three"),
        ] {
            let at = root.path().join(path);
            fs::create_dir_all(at.parent().unwrap()).unwrap();
            fs::write(&at, contents).unwrap();
            let place = quarantine
                .take(&TreePath(path.as_bytes().to_vec()))
                .unwrap();
            assert!(!at.exists());
            let there = fs::read_to_string(root.path().join(place.as_path())).unwrap();
            assert_eq!(there, contents);
            places.push(String::from_utf8(place.0).unwrap());
        }
        assert_eq!(
            places,
            [
                "h/.fogold/quarantine/run/files/aa/x",
                "h/.fogold/quarantine/run/files/aa/x.1",
                ".fogold/quarantine/run/files/aa/x"
            ]
        );
    }

    #[test]
    fn a_run_is_named_by_its_start() {
        let start = "2026-11-21T07:05:00Z".parse().unwrap();
        assert_eq!(run_name(start, "requeue"), "2026-11-21T070500Z-requeue");
    }
}
