//! A bag (RFC 8493): copies of a set's files below `data/`, with checksums.
//!
//! Files lie below `data/` as they lie in the repository. Each is proven while it is copied, and
//! never hard-linked: a bag outlives damage in the repository. Gold that is left out by its URL
//! stands in `fetch.txt`; with its checksums among the others, the bag is whole once it was fetched.
//!
//! The bag is made beside its place, as `<name>.partial`, is put on disk, and then renamed: what
//! bears the bag's name is whole. What cannot be proven is not in the bag, and is handed back.

mod copy;
mod tags;

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::{FormatError, Source};
use crate::catalog::scatter::Scatter;
use crate::catalog::{Amount, Catalog, Sha256, ShardPfiles};
use crate::manifest::archive::says_tar;
use crate::manifest::{Amounts, Entry, Place, SetKind, Types};
use crate::monitor::Monitor;
use crate::parallel::share_out;
use crate::repository::{Claim, Prover, RepositoryName, Shard, TreePath};
use crate::sysconf::RepositoryType;
use copy::Copier;
use tags::Tags;

/// What a bag is made of, and where.
#[derive(Clone, Copy, Debug)]
pub struct BagOptions<'a> {
    /// Where the bag is to be; nothing is there.
    pub place: &'a Path,
    /// What it is to bring back.
    pub kind: SetKind,
    /// Where scratch files go.
    pub scratch: &'a Path,
    /// Threads; at least 1.
    pub threads: usize,
}

/// What is in a bag.
#[derive(Debug, Default)]
pub struct Bag {
    /// Files below `data/`.
    pub payload: Amount,
    /// Files that `fetch.txt` names.
    pub to_fetch: Amount,
    /// A sha256 is known of every file, so there is a `manifest-sha256.txt`.
    pub has_sha256: bool,
    /// Files that are not in the bag, for their contents could not be proven.
    pub unproven: Vec<Unproven>,
    /// What the set holds of which no copy is in the bag.
    pub lacking: Amounts,
}

/// A file that is not in a bag.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unproven {
    /// Its name.
    pub name: RepositoryName,
    /// Where it should be.
    pub path: TreePath,
    /// What is wrong with it, for a person.
    pub detail: String,
}

/// Makes a bag.
pub fn write(
    source: Source<'_>,
    catalog: &Catalog,
    options: BagOptions<'_>,
    monitor: &dyn Monitor,
) -> Result<Bag, FormatError> {
    let half = HalfMade::begin(options.place)?;
    let lines = Lines::new(options.scratch)?;
    let total = Mutex::new(Bag {
        has_sha256: true,
        ..Bag::default()
    });
    share_out(options.threads, monitor, |shards| {
        let mut copier = Copier::new(&half.path, &lines);
        for shard in shards.map(Shard) {
            let bag = fill(source, catalog, shard, &mut copier, monitor)?;
            if monitor.stopped() {
                break;
            }
            let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
            total.add(bag);
        }
        copier.finish()
    })?;
    if monitor.stopped() {
        return Err(FormatError::Stopped);
    }
    let mut bag = total.into_inner().unwrap_or_else(PoisonError::into_inner);
    bag.unproven.sort();
    Tags::new(&half.path).write_all(&bag, &lines, options.kind)?;
    half.keep(options.place)?;
    Ok(bag)
}

/// Puts the files of one shard into the bag.
fn fill(
    source: Source<'_>,
    catalog: &Catalog,
    shard: Shard,
    copier: &mut Copier<'_>,
    monitor: &dyn Monitor,
) -> Result<Bag, FormatError> {
    let entries = source.collected.entries(shard)?;
    let mut bag = Bag {
        has_sha256: true,
        ..Bag::default()
    };
    copier.copy(source, &entries, &mut bag, monitor)?;
    if !bag.unproven.is_empty() {
        bag.lacking = lacking(source, &entries, &bag.unproven, &catalog.shard(shard)?);
    }
    let left_out: Vec<&Entry> = entries
        .iter()
        .filter(|entry| entry.place == Place::Urls)
        .collect();
    if left_out.is_empty() {
        return Ok(bag);
    }
    let pfiles = catalog.shard(shard)?;
    for entry in left_out {
        let (Some(url), Some(path)) = (url_of(entry), place_of(source, &entry.name)) else {
            continue;
        };
        let sha256 = sha256_of(source, entry, &pfiles, monitor);
        bag.has_sha256 &= sha256.is_some();
        bag.to_fetch.add(entry.name.size);
        copier.leave_out(&entry.name, &path, url, sha256)?;
    }
    Ok(bag)
}

/// What the set holds of which no copy could be proven, counted as the collector counts it.
fn lacking(
    source: Source<'_>,
    entries: &[Entry],
    unproven: &[Unproven],
    pfiles: &ShardPfiles,
) -> Amounts {
    let mut missed: HashMap<RepositoryName, usize> = HashMap::new();
    for file in unproven {
        *missed.entry(file.name).or_default() += 1;
    }
    let mut lacking = Amounts::default();
    for entry in entries {
        let Some(missed) = missed.get(&entry.name) else {
            continue;
        };
        // Another of its paths is in the bag.
        if *missed < source.paths(entry).len() {
            continue;
        }
        let size = entry.name.size;
        if entry.types.has(Types::LICENSE) {
            lacking.license.add(size);
        }
        if let Some(pfile) = pfiles.find(&entry.name)
            && entry.types.has(Types::GOLD.and(Types::FILES))
        {
            let what = match (pfile.in_gold(), pfile.is_listing()) {
                (true, _) => &mut lacking.gold,
                (_, true) => &mut lacking.listings,
                _ => &mut lacking.files,
            };
            what.add(size);
        }
    }
    lacking
}

/// The URL to fetch gold from: one that says what a tar is, where there is one, gives a tar too.
fn url_of(entry: &Entry) -> Option<&str> {
    let says_tar = entry.urls.iter().find(|url| says_tar(url));
    says_tar.or(entry.urls.first()).map(String::as_str)
}

/// Where gold stands in a bag that was fetched: where FOSSology looks first.
fn place_of(source: Source<'_>, name: &RepositoryName) -> Option<TreePath> {
    let places = source.tree.layout().places(RepositoryType::Gold, name);
    places.into_iter().next()
}

/// The sha256 of gold that is left out: of a copy that is proven here and now, or as its row has it.
fn sha256_of(
    source: Source<'_>,
    entry: &Entry,
    pfiles: &ShardPfiles,
    monitor: &dyn Monitor,
) -> Option<[u8; 32]> {
    let mut prover = Prover::new(true);
    for path in source.all_copies(&entry.name) {
        let claim = Claim {
            path,
            name: entry.name,
            size: entry.name.size,
        };
        let results = source.tree.prove(&[claim], &mut prover, monitor);
        let proofs = results.into_iter().filter_map(|(_, result)| result.ok());
        if let Some(proof) = proofs.into_iter().find(|proof| proof.holds()) {
            return proof.sha256;
        }
    }
    let rows = pfiles.rows(pfiles.find(&entry.name)?);
    rows.iter().find_map(|row| match row.sha256 {
        Sha256::Known(digest) => Some(digest),
        Sha256::Unknown | Sha256::Malformed => None,
    })
}

impl Bag {
    fn add(&mut self, other: Bag) {
        self.payload += other.payload;
        self.to_fetch += other.to_fetch;
        self.has_sha256 &= other.has_sha256;
        self.unproven.extend(other.unproven);
        self.lacking.add(&other.lacking);
    }
}

/// The lines of manifests and `fetch.txt`, by shard, on disk.
struct Lines {
    sha1: Arc<Scatter>,
    sha256: Arc<Scatter>,
    fetch: Arc<Scatter>,
}

impl Lines {
    fn new(scratch: &Path) -> Result<Lines, FormatError> {
        Ok(Lines {
            sha1: Scatter::new(scratch)?,
            sha256: Scatter::new(scratch)?,
            fetch: Scatter::new(scratch)?,
        })
    }
}

/// A bag in the making; removed with everything in it unless it is kept.
struct HalfMade {
    path: PathBuf,
    is_kept: bool,
}

impl HalfMade {
    fn begin(place: &Path) -> Result<HalfMade, FormatError> {
        if fs::symlink_metadata(place).is_ok() {
            return Err(FormatError::Exists {
                path: place.to_owned(),
            });
        }
        // Without a slash at its end.
        let mut path = place.components().collect::<PathBuf>().into_os_string();
        path.push(".partial");
        let path = PathBuf::from(path);
        match DirBuilder::new().mode(0o750).create(&path) {
            Ok(()) => Ok(HalfMade {
                path,
                is_kept: false,
            }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(FormatError::Leftover { path })
            }
            Err(source) => Err(FormatError::Io {
                action: "make",
                path,
                source,
            }),
        }
    }

    /// Puts it on disk and in its place.
    fn keep(mut self, place: &Path) -> Result<(), FormatError> {
        let put = || {
            let bag = File::open(&self.path)?;
            rustix::fs::syncfs(&bag)?;
            let flags = rustix::fs::RenameFlags::NOREPLACE;
            let here = rustix::fs::CWD;
            rustix::fs::renameat_with(here, &self.path, here, place, flags)?;
            let directory = match place.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => parent,
                _ => Path::new("."),
            };
            File::open(directory)?.sync_all()
        };
        put().map_err(|source: io::Error| FormatError::Io {
            action: "make",
            path: place.to_owned(),
            source,
        })?;
        self.is_kept = true;
        Ok(())
    }
}

impl Drop for HalfMade {
    fn drop(&mut self) {
        if !self.is_kept {
            // What cannot be removed is named by the next run.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}
