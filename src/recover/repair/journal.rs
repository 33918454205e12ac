//! The journal of a repair: what it does, on disk before it is done, and so the way back.
//!
//! A file a run, `<path>/<host>/.fogold/repair/<run>.ndjson`, with a line a step: of the first host
//! whose directory is there, or else of none. A run is looked for at every host, also at those that
//! the configuration does not name any more.
//! A step is written, and put on disk, before it is taken; whether it was taken shows in the tree
//! itself, by the inodes that the line names. So whatever kills a run, what the journal says is
//! enough to put everything back. The format is in `doc/repair-journal.md`.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};

use rustix::fs::{AtFlags, Mode, OFlags};
use serde::{Deserialize, Serialize};

use super::age;
use super::error::RepairError;
use crate::recover::place::{OWN, make_directory, open_directory, open_file};
use crate::repository::{Tree, TreePath};

/// The form of the file.
const FORMAT: u32 = 1;
/// The ending of its name.
const ENDING: &str = ".ndjson";
/// Runs that may begin in one second.
const MOST_ALIKE: u32 = 1000;

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) format: u32,
    pub(super) run: String,
    pub(super) tool: String,
    /// The database, where one was asked: rows are put back in no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) database: Option<String>,
}

/// Owner, group and mode of a file or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Rights {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mode: u32,
}

/// A step: enough to take it, and to take it back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub(super) enum Step {
    /// What stands at `path` is renamed to `to`, in the quarantine.
    Take {
        #[serde(with = "path_text")]
        path: TreePath,
        #[serde(with = "path_text")]
        to: TreePath,
        inode: u64,
    },
    /// A file is renamed to where FOSSology looks for it.
    Move {
        #[serde(with = "path_text")]
        path: TreePath,
        #[serde(with = "path_text")]
        to: TreePath,
        inode: u64,
    },
    /// A good copy, which waits at `staged`, gets a place where nothing stands.
    Put {
        #[serde(with = "path_text")]
        path: TreePath,
        #[serde(with = "path_text")]
        staged: TreePath,
        inode: u64,
    },
    /// A good copy takes the place of what stands there, which goes to `to`, in the quarantine.
    Replace {
        #[serde(with = "path_text")]
        path: TreePath,
        #[serde(with = "path_text")]
        staged: TreePath,
        inode: u64,
        #[serde(with = "path_text")]
        to: TreePath,
        old: u64,
    },
    /// Owner, group and mode are changed.
    Mode {
        #[serde(with = "path_text")]
        path: TreePath,
        inode: u64,
        old: Rights,
        new: Rights,
    },
    /// A row that has no sha256 gets one.
    Sha256 { pfile: i32, digest: String },
}

impl Step {
    /// Where a file goes that is moved out of its place.
    pub(super) fn target(&self) -> Option<&TreePath> {
        match self {
            Step::Take { to, .. } | Step::Move { to, .. } | Step::Replace { to, .. } => Some(to),
            Step::Put { .. } | Step::Mode { .. } | Step::Sha256 { .. } => None,
        }
    }
}

/// Paths as journals hold them: text, or base64 where they are not UTF-8.
mod path_text {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD as BASE64;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::repository::TreePath;

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Written {
        Text(String),
        Bytes { base64: String },
    }

    pub(super) fn serialize<S: Serializer>(path: &TreePath, to: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&path.0) {
            Ok(text) => Written::Text(text.to_owned()),
            Err(_) => Written::Bytes {
                base64: BASE64.encode(&path.0),
            },
        }
        .serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<TreePath, D::Error> {
        match Written::deserialize(from)? {
            Written::Text(text) => Ok(TreePath(text.into_bytes())),
            Written::Bytes { base64 } => BASE64
                .decode(base64)
                .map(TreePath)
                .map_err(serde::de::Error::custom),
        }
    }
}

/// The journal of the run at work; there is no file before the first step.
pub(super) struct Journal<'a> {
    tree: &'a Tree,
    /// The run's name, which is that of its quarantine as well.
    run: String,
    database: Option<String>,
    file: Option<File>,
}

impl<'a> Journal<'a> {
    /// The journal of a new run: no other has its name.
    pub(super) fn begin(
        tree: &'a Tree,
        name: &str,
        database: Option<String>,
    ) -> Result<Journal<'a>, RepairError> {
        let taken = runs(tree)?;
        let run = (1..MOST_ALIKE)
            .map(|number| match number {
                1 => name.to_owned(),
                _ => format!("{name}-{number}"),
            })
            .find(|run| !taken.contains(run))
            .unwrap_or_else(|| name.to_owned());
        Ok(Journal {
            tree,
            run,
            database,
            file: None,
        })
    }

    pub(super) fn run(&self) -> &str {
        &self.run
    }

    /// Whether any step was written.
    pub(super) fn has_begun(&self) -> bool {
        self.file.is_some()
    }

    /// Puts steps on disk, which may then be taken.
    pub(super) fn write(&mut self, steps: &[Step]) -> Result<(), RepairError> {
        if steps.is_empty() {
            return Ok(());
        }
        self.try_to_write(steps)
            .map_err(|source| failed("write", self.tree, source))
    }

    fn try_to_write(&mut self, steps: &[Step]) -> io::Result<()> {
        let mut text = Vec::new();
        if self.file.is_none() {
            let head = Head {
                format: FORMAT,
                run: self.run.clone(),
                tool: format!("fogold {}", env!("CARGO_PKG_VERSION")),
                database: self.database.clone(),
            };
            push(&mut text, &head)?;
        }
        for step in steps {
            push(&mut text, step)?;
        }
        match &mut self.file {
            Some(file) => file.write_all(&text).and_then(|()| file.sync_data()),
            None => {
                self.file = Some(create(self.tree, &self.run, &text)?);
                Ok(())
            }
        }
    }
}

/// A journal that is read backwards, for an undo.
pub(super) struct Record {
    pub(super) head: Head,
    file: BufReader<File>,
    /// Where each step's line begins.
    lines: Vec<u64>,
}

impl Record {
    /// The journal of a run; `None` when there is none.
    pub(super) fn open(tree: &Tree, run: &str) -> Result<Option<Record>, RepairError> {
        let known = journals(tree)?;
        let Some((_, directory)) = known.into_iter().find(|(known, _)| known == run) else {
            return Ok(None);
        };
        let open = || -> io::Result<Record> {
            let directory = open_directory(tree, &directory)?;
            let mut file = BufReader::new(open_file(&directory, &file_name(run)?)?);
            let mut line = Vec::new();
            let mut at = file.read_until(b'\n', &mut line)? as u64;
            // The run was killed, or the disk was full, before its first step.
            if line.last() != Some(&b'\n') {
                let head = Head {
                    format: FORMAT,
                    run: run.to_owned(),
                    tool: String::new(),
                    database: None,
                };
                let lines = Vec::new();
                return Ok(Record { head, file, lines });
            }
            let head: Head = serde_json::from_slice(&line)?;
            if head.format != FORMAT {
                return Err(io::Error::other("it is of another version of fogold"));
            }
            let mut lines = Vec::new();
            loop {
                line.clear();
                let length = file.read_until(b'\n', &mut line)? as u64;
                // A line without its end was being written when the run was killed: what it says was
                // not begun.
                if line.last() != Some(&b'\n') {
                    break;
                }
                lines.push(at);
                at += length;
            }
            Ok(Record { head, file, lines })
        };
        open()
            .map(Some)
            .map_err(|source| failed("read", tree, source))
    }

    /// How many steps there are.
    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    /// A step, by its number.
    pub(super) fn step(&mut self, tree: &Tree, number: usize) -> Result<Step, RepairError> {
        let mut read = || -> io::Result<Step> {
            self.file.seek(SeekFrom::Start(self.lines[number]))?;
            let mut line = Vec::new();
            self.file.read_until(b'\n', &mut line)?;
            Ok(serde_json::from_slice(&line)?)
        };
        read().map_err(|source| failed("read", tree, source))
    }
}

/// The runs that have left a journal, the oldest first.
pub(super) fn runs(tree: &Tree) -> Result<Vec<String>, RepairError> {
    Ok(journals(tree)?.into_iter().map(|(run, _)| run).collect())
}

/// The runs that have left a journal, the oldest first, each with the directory that it lies in.
fn journals(tree: &Tree) -> Result<Vec<(String, TreePath)>, RepairError> {
    let mut journals = Vec::new();
    for directory in directories(tree).map_err(|source| failed("read", tree, source))? {
        let names = match age::entries(tree, &directory) {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(source) => return Err(failed("read", tree, source)),
        };
        for name in names {
            let name = String::from_utf8_lossy(&name);
            if let Some(run) = name.strip_suffix(ENDING) {
                journals.push((run.to_owned(), directory.clone()));
            }
        }
    }
    journals.sort_unstable_by(|(run, _), (other, _)| run.cmp(other));
    Ok(journals)
}

/// Where journals may lie: at the root, at the hosts, and at what may have been a host.
fn directories(tree: &Tree) -> io::Result<Vec<TreePath>> {
    let root = TreePath::default();
    let mut found = vec![in_own(&root)];
    for name in age::entries(tree, &root)? {
        let host = TreePath(name);
        let is_known = tree
            .layout()
            .hosts
            .names()
            .any(|known| known.as_bytes() == host.0);
        let is_directory = tree.meta(&host).is_ok_and(|meta| meta.is_directory());
        let journals = in_own(&host);
        // What is closed to us, and no host, was none of ours.
        if is_directory && (is_known || open_directory(tree, &journals).is_ok()) {
            found.push(journals);
        }
    }
    Ok(found)
}

/// Where the journals of new runs go.
fn directory(tree: &Tree) -> TreePath {
    let mut hosts = tree
        .layout()
        .hosts
        .names()
        .map(|host| TreePath(host.as_bytes().to_vec()));
    let there = hosts.find(|host| tree.meta(host).is_ok_and(|meta| meta.is_directory()));
    in_own(&there.unwrap_or_default())
}

fn in_own(host: &TreePath) -> TreePath {
    host.join(OWN).join(b"repair")
}

/// A new journal with its first lines on disk; what cannot be written leaves none.
fn create(tree: &Tree, run: &str, text: &[u8]) -> io::Result<File> {
    let directory = make_directory(tree, &directory(tree))?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(0o640);
    let name = file_name(run)?;
    let mut file = File::from(rustix::fs::openat(&directory, &*name, flags, mode)?);
    let written = file
        .write_all(text)
        .and_then(|()| file.sync_data())
        .and_then(|()| Ok(rustix::fs::fsync(&directory)?));
    if let Err(error) = written {
        // No step was taken. Should the name stay, the file is read as one without steps.
        let _ = rustix::fs::unlinkat(&directory, &*name, AtFlags::empty());
        return Err(error);
    }
    Ok(file)
}

fn file_name(run: &str) -> io::Result<CString> {
    CString::new(format!("{run}{ENDING}")).map_err(io::Error::other)
}

fn push(text: &mut Vec<u8>, line: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *text, line)?;
    text.push(b'\n');
    Ok(())
}

fn failed(action: &'static str, tree: &Tree, source: io::Error) -> RepairError {
    RepairError::Journal {
        action,
        root: tree.path().to_owned(),
        path: directory(tree),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::{Access, Layout};
    use crate::sysconf::HostTable;

    fn tree(root: &std::path::Path) -> Tree {
        tree_of(root, &["h"])
    }

    fn tree_of(root: &std::path::Path, hosts: &[&str]) -> Tree {
        let layout = Layout {
            depth: 3,
            hosts: HostTable::of_found_hosts(hosts.iter().map(|host| (*host).to_owned())),
        };
        Tree::open(root, layout, Access::default()).unwrap()
    }

    #[test]
    fn what_is_written_is_read_and_a_cut_line_is_none() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("h")).unwrap();
        let tree = tree(root.path());
        let mut journal = Journal::begin(&tree, "run", None).unwrap();
        journal.write(&[]).unwrap();
        assert!(!journal.has_begun() && !root.path().join("h/.fogold").exists());
        let steps = [
            Step::Take {
                path: TreePath(b"h/files/gr\x80n".to_vec()),
                to: TreePath(b"h/.fogold/quarantine/run/files/gr\x80n".to_vec()),
                inode: 7,
            },
            Step::Sha256 {
                pfile: 5,
                digest: "AA".to_owned(),
            },
        ];
        journal.write(&steps[..1]).unwrap();
        journal.write(&steps[1..]).unwrap();
        let path = root.path().join("h/.fogold/repair/run.ndjson");
        let mut text = std::fs::read(&path).unwrap();
        text.extend_from_slice(b"{\"step\":\"take\",\"pa");
        std::fs::write(&path, text).unwrap();

        let mut record = Record::open(&tree, "run").unwrap().unwrap();
        assert_eq!((record.head.run.as_str(), record.len()), ("run", 2));
        for (number, step) in steps.iter().enumerate().rev() {
            assert_eq!(record.step(&tree, number).unwrap(), *step);
        }
        assert!(Record::open(&tree, "../run").unwrap().is_none());
        // A run of the same second gets another name.
        let again = Journal::begin(&tree, "run", None).unwrap();
        assert_eq!(again.run(), "run-2");
    }

    #[test]
    fn a_run_is_found_whatever_hosts_there_are_now() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("h")).unwrap();
        let step = Step::Sha256 {
            pfile: 5,
            digest: "AA".to_owned(),
        };
        let write = |tree: &Tree, run: &str| {
            let mut journal = Journal::begin(tree, run, None).unwrap();
            journal.write(std::slice::from_ref(&step)).unwrap();
        };
        // No directory is made for a host that has none.
        write(&tree_of(root.path(), &["a", "h"]), "1");
        assert!(root.path().join("h/.fogold/repair/1.ndjson").exists());
        write(&tree_of(root.path(), &["a"]), "2");
        assert!(root.path().join(".fogold/repair/2.ndjson").exists());
        std::fs::create_dir(root.path().join("a")).unwrap();
        write(&tree_of(root.path(), &["a", "h"]), "3");
        assert!(root.path().join("a/.fogold/repair/3.ndjson").exists());
        for hosts in [&["a", "h"][..], &["a"], &["h"], &["new"]] {
            let tree = tree_of(root.path(), hosts);
            assert_eq!(runs(&tree).unwrap(), ["1", "2", "3"], "{hosts:?}");
            for run in ["1", "2", "3"] {
                let record = Record::open(&tree, run).unwrap().unwrap();
                assert_eq!((record.head.run.as_str(), record.len()), (run, 1));
            }
        }
    }

    #[test]
    fn a_journal_without_its_whole_head_has_no_steps() {
        let root = tempfile::tempdir().unwrap();
        let journals = root.path().join("h/.fogold/repair");
        std::fs::create_dir_all(&journals).unwrap();
        let tree = tree(root.path());
        for text in ["", "{\"format\":1,\"run\":\"ru"] {
            std::fs::write(journals.join("run.ndjson"), text).unwrap();
            let record = Record::open(&tree, "run").unwrap().unwrap();
            assert_eq!((record.head.run.as_str(), record.len()), ("run", 0));
        }
        std::fs::write(journals.join("run.ndjson"), "{}\n").unwrap();
        assert!(Record::open(&tree, "run").is_err());
    }
}
