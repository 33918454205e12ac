//! Copying files into a bag: shown by the prover while it reads them, and kept when they hold.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use super::tags::encode;
use super::{Bag, Lines, Unproven};
use crate::catalog::scatter;
use crate::manifest::formats::{FormatError, Source};
use crate::manifest::{Entry, Place};
use crate::monitor::Monitor;
use crate::repository::{Claim, Proof, Prover, RepositoryName, TreePath, Witness};

/// Copies files, one shard after the other; one for each thread.
pub(super) struct Copier<'a> {
    bag: &'a Path,
    prover: Prover,
    sha1: scatter::Writer,
    sha256: scatter::Writer,
    fetch: scatter::Writer,
    /// The directory that was made last: names come in order.
    directory: PathBuf,
}

/// A copy to be made.
struct Copy {
    name: RepositoryName,
    from: TreePath,
    to: TreePath,
}

impl<'a> Copier<'a> {
    pub(super) fn new(bag: &'a Path, lines: &Lines) -> Copier<'a> {
        Copier {
            bag,
            prover: Prover::new(true),
            sha1: lines.sha1.writer(),
            sha256: lines.sha256.writer(),
            fetch: lines.fetch.writer(),
            directory: PathBuf::new(),
        }
    }

    /// Copies the entries of a shard that are in the set.
    pub(super) fn copy(
        &mut self,
        source: Source<'_>,
        entries: &[Entry],
        bag: &mut Bag,
        monitor: &dyn Monitor,
    ) -> Result<(), FormatError> {
        let held = entries.iter().filter(|entry| entry.place == Place::Pool);
        let mut rounds: Vec<Vec<Copy>> = Vec::new();
        for entry in held {
            let paths = source.paths(entry);
            if paths.is_empty() {
                let place = source.place_for(entry);
                bag.unproven.extend(place.map(|path| Unproven {
                    name: entry.name,
                    path,
                    detail: "it has gone".to_owned(),
                }));
            }
            for (number, path) in paths.into_iter().enumerate() {
                if rounds.len() <= number {
                    rounds.push(Vec::new());
                }
                rounds[number].push(Copy {
                    name: entry.name,
                    from: path.clone(),
                    to: path,
                });
            }
        }
        // What is shown bears its name only, so each round has a name once.
        for round in rounds {
            self.round(source, round, bag, monitor)?;
        }
        Ok(())
    }

    fn round(
        &mut self,
        source: Source<'_>,
        round: Vec<Copy>,
        bag: &mut Bag,
        monitor: &dyn Monitor,
    ) -> Result<(), FormatError> {
        for (number, detail) in self.attempt(source, &round, bag, monitor)? {
            let Copy { name, from, to } = &round[number];
            let others: Vec<TreePath> = source
                .all_copies(name)
                .filter(|path| path != from)
                .collect();
            let mut is_copied = false;
            for other in others {
                let copy = Copy {
                    name: *name,
                    from: other,
                    to: to.clone(),
                };
                is_copied = self.attempt(source, &[copy], bag, monitor)?.is_empty();
                if is_copied {
                    break;
                }
            }
            if !is_copied {
                bag.unproven.push(Unproven {
                    name: *name,
                    path: to.clone(),
                    detail,
                });
            }
        }
        Ok(())
    }

    /// Copies files; hands back the numbers of those that do not hold, and why.
    fn attempt(
        &mut self,
        source: Source<'_>,
        copies: &[Copy],
        bag: &mut Bag,
        monitor: &dyn Monitor,
    ) -> Result<Vec<(usize, String)>, FormatError> {
        let claims: Vec<Claim> = copies
            .iter()
            .map(|copy| Claim {
                path: copy.from.clone(),
                name: copy.name,
                size: copy.name.size,
            })
            .collect();
        let mut taker = Taker {
            bag: self.bag,
            places: copies.iter().map(|copy| (copy.name, &copy.to)).collect(),
            sha1: &mut self.sha1,
            sha256: &mut self.sha256,
            directory: &mut self.directory,
            taken: bag,
            large: None,
            failure: None,
        };
        let results = source
            .tree
            .prove_before(&claims, &mut self.prover, &mut taker, monitor);
        if let Some(failure) = taker.failure.take() {
            return Err(failure);
        }
        let bad = results.into_iter().filter_map(|(number, result)| {
            let detail = match result {
                Ok(proof) if proof.holds() => return None,
                Ok(proof) => format!("its contents differ in {}", proof.differences()),
                Err(error) => error.to_string(),
            };
            Some((number, detail))
        });
        Ok(bad.collect())
    }

    /// Names a file that is to be fetched.
    pub(super) fn leave_out(
        &mut self,
        name: &RepositoryName,
        path: &TreePath,
        url: &str,
        sha256: Option<[u8; 32]>,
    ) -> Result<(), FormatError> {
        let shard = name.shard().0;
        put_sum(&mut self.sha1, shard, &name.sha1, path)?;
        if let Some(sha256) = sha256 {
            put_sum(&mut self.sha256, shard, &sha256, path)?;
        }
        self.fetch.push(shard, |out| {
            for byte in url.bytes() {
                if byte.is_ascii_graphic() {
                    out.push(byte);
                } else {
                    out.extend_from_slice(format!("%{byte:02X}").as_bytes());
                }
            }
            out.extend_from_slice(format!(" {} data/", name.size).as_bytes());
            encode(&path.0, out);
            out.push(b'\n');
        })?;
        Ok(())
    }

    pub(super) fn finish(self) -> Result<(), FormatError> {
        self.sha1.finish()?;
        self.sha256.finish()?;
        Ok(self.fetch.finish()?)
    }
}

/// Appends a line of a manifest.
fn put_sum(
    writer: &mut scatter::Writer,
    shard: u8,
    digest: &[u8],
    path: &TreePath,
) -> Result<(), FormatError> {
    writer.push(shard, |out| {
        for byte in digest {
            out.extend_from_slice(format!("{byte:02x}").as_bytes());
        }
        out.extend_from_slice(b"  data/");
        encode(&path.0, out);
        out.push(b'\n');
    })?;
    Ok(())
}

/// Takes what the prover shows into the bag.
struct Taker<'a> {
    bag: &'a Path,
    places: HashMap<RepositoryName, &'a TreePath>,
    sha1: &'a mut scatter::Writer,
    sha256: &'a mut scatter::Writer,
    directory: &'a mut PathBuf,
    taken: &'a mut Bag,
    /// A large file that is being shown.
    large: Option<(File, PathBuf)>,
    failure: Option<FormatError>,
}

impl Taker<'_> {
    /// Makes an empty file for a name, with the directories above it.
    fn create(&mut self, name: &RepositoryName) -> Option<(File, PathBuf)> {
        if self.failure.is_some() {
            return None;
        }
        let path = self.places.get(name)?;
        let full = below(&self.bag.join("data"), path.as_path())?;
        let made = self
            .make_directory(full.parent()?)
            .and_then(|()| create(&full));
        match made {
            Ok(file) => Some((file, full)),
            Err(source) => {
                self.fail(full, source);
                None
            }
        }
    }

    fn make_directory(&mut self, directory: &Path) -> io::Result<()> {
        if *self.directory != directory {
            let mut builder = DirBuilder::new();
            builder.recursive(true).mode(0o750).create(directory)?;
            directory.clone_into(self.directory);
        }
        Ok(())
    }

    fn note(&mut self, name: &RepositoryName, proof: &Proof) {
        let Some(path) = self.places.get(name) else {
            return;
        };
        let shard = name.shard().0;
        let sha256 = proof.sha256.unwrap_or_default();
        let put = put_sum(self.sha1, shard, &name.sha1, path)
            .and_then(|()| put_sum(self.sha256, shard, &sha256, path));
        self.failure = self.failure.take().or(put.err());
        self.taken.payload.add(name.size);
    }

    fn fail(&mut self, path: PathBuf, source: io::Error) {
        self.failure.get_or_insert(FormatError::Io {
            action: "write",
            path,
            source,
        });
    }

    fn drop_large(&mut self) {
        if let Some((_, path)) = self.large.take() {
            // It has no checksum; a bag with it would not be valid.
            if let Err(source) = fs::remove_file(&path) {
                self.fail(path, source);
            }
        }
    }
}

impl Witness for Taker<'_> {
    fn whole(&mut self, name: &RepositoryName, proof: &Proof, bytes: &[u8]) {
        if !proof.holds() {
            return;
        }
        let Some((mut file, path)) = self.create(name) else {
            return;
        };
        match file.write_all(bytes) {
            Ok(()) => self.note(name, proof),
            Err(source) => self.fail(path, source),
        }
    }

    fn begin(&mut self, name: &RepositoryName, _: &OwnedFd) -> Option<OwnedFd> {
        self.drop_large();
        self.large = self.create(name);
        None
    }

    fn piece(&mut self, bytes: &[u8]) {
        let Some((file, path)) = &mut self.large else {
            return;
        };
        if let Err(source) = file.write_all(bytes) {
            let path = path.clone();
            self.drop_large();
            self.fail(path, source);
        }
    }

    fn end(&mut self, name: &RepositoryName, proof: &Proof) {
        if !proof.holds() {
            self.drop_large();
        } else if self.large.take().is_some() {
            self.note(name, proof);
        }
    }
}

impl Drop for Taker<'_> {
    /// A large file whose reading failed has no end.
    fn drop(&mut self) {
        self.drop_large();
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o640)
        .open(path)
}

/// A path below a directory, however odd the names of hosts may be.
fn below(directory: &Path, path: &Path) -> Option<PathBuf> {
    let mut parts = path.components();
    let is_plain = parts.all(|part| matches!(part, Component::Normal(_)));
    is_plain.then(|| directory.join(path))
}
