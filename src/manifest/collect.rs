//! Goes along with a check of the tree and makes the entries of a set.
//!
//! An entry stands for what is really there. Without a [`Keeper`] that is the good file in the
//! tree: a manifest of what a set would hold. With one, it is what the keeper holds once the check
//! has shown it the files that it had not yet: a backup.
//!
//! Entries are collected shard by shard, on disk. Misplaced files are taken at the end, from where
//! they lie, for whoever has no copy in the right place.

mod late;
mod without_gold;

use std::collections::HashSet;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use late::{Late, Taken};
use without_gold::WithoutGold;

use super::archive;
use super::draft::{Draft, Drafted, Target, Whole};
use super::entry::{Entry, Place, Types};
use super::error::ManifestError;
use super::frames::ShardLines;
use super::jsonl::{self, Footer, Header};
use super::selection::Selection;
use super::{SetKind, UrlGold};
use crate::catalog::{Amount, Catalog, ShardPfiles};
use crate::check::{Companion, CompanionError, Kind, Listed, Outcome, Severity, ShardCompanion};
use crate::monitor::Monitor;
use crate::repository::{
    At, ContentReader, InPlace, LowImpact, Proof, Prover, RepositoryName, Shard, Tree, TreePath,
    Witness, seek,
};
use crate::sysconf::RepositoryType;

/// Keeps the contents of a set's files. Shared by all threads.
pub trait Keeper: Sync {
    /// The keeper of one shard's files.
    fn begin(&self, shard: Shard) -> Result<Box<dyn ShardKeeper + '_>, CompanionError>;
}

/// Keeps the contents of one shard's files: what it is shown as a [`Witness`], if its proof holds.
pub trait ShardKeeper: Witness {
    /// The BLAKE3 of what is kept under a name; `None` when nothing is.
    fn held(&mut self, name: &RepositoryName) -> Option<[u8; 32]>;

    /// Why the keeper can keep nothing more, such as a full disk.
    fn failure(&mut self) -> Option<CompanionError>;

    /// The lines of the shard's entries, if an older manifest has just these. Asked for once.
    fn lines_of(&mut self, entries: &[Entry]) -> Option<ShardLines>;
}

/// Whether fetching a URL now gives a name's contents.
pub type ProveUrl<'a> = &'a (dyn Fn(&str, &RepositoryName) -> bool + Sync);

/// Goes along with a check, and collects what a set holds.
pub struct Collector<'a> {
    selection: &'a Selection,
    keeper: Option<&'a dyn Keeper>,
    prove_url: Option<ProveUrl<'a>>,
    low_impact: LowImpact,
    threads: usize,
    scratch: &'a Path,
    draft: Draft,
    collected: Mutex<Totals>,
}

/// What a set holds, and what it leaves out: numbers of files and bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Amounts {
    /// Gold in the set.
    pub gold: Amount,
    /// Other files in the set, without listings.
    pub files: Amount,
    /// Listings in the set.
    pub listings: Amount,
    /// Files of license/ in the set.
    pub license: Amount,
    /// What is left out.
    pub left_out: LeftOut,
    /// Gold in the set that `--url-gold skip` would leave out.
    pub skip_would_save: Amount,
}

/// What a set leaves out, by reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Gold that can be fetched again from a URL.
    pub fetched: Amount,
    /// Files that unpacking brings back.
    pub unpacked: Amount,
    /// Derived files that are there and that no unpacking brings back: no upload that uses them has
    /// its gold.
    pub without_gold: Amount,
    /// Files that a row names and nothing uses.
    pub unused: Amount,
    /// Gold of which no good copy was found.
    pub gold_not_found: Amount,
    /// Listings of which no good copy was found.
    pub listings_not_found: Amount,
    /// Other files of which no good copy was found, and that no unpacking brings back.
    pub files_not_found: Amount,
}

impl LeftOut {
    fn add(&mut self, other: &LeftOut) {
        self.fetched += other.fetched;
        self.unpacked += other.unpacked;
        self.without_gold += other.without_gold;
        self.unused += other.unused;
        self.gold_not_found += other.gold_not_found;
        self.listings_not_found += other.listings_not_found;
        self.files_not_found += other.files_not_found;
    }
}

impl Amounts {
    pub(super) fn add(&mut self, other: &Amounts) {
        self.gold += other.gold;
        self.files += other.files;
        self.listings += other.listings;
        self.license += other.license;
        self.skip_would_save += other.skip_would_save;
        self.left_out.add(&other.left_out);
    }

    /// Moves files from what is in the set to what was not found; those of license/, which no row
    /// names, only out of it.
    pub fn take_out(&mut self, missing: &Amounts) {
        let left_out = &mut self.left_out;
        for (held, not_found, missing) in [
            (
                &mut self.gold,
                Some(&mut left_out.gold_not_found),
                missing.gold,
            ),
            (
                &mut self.listings,
                Some(&mut left_out.listings_not_found),
                missing.listings,
            ),
            (
                &mut self.files,
                Some(&mut left_out.files_not_found),
                missing.files,
            ),
            (&mut self.license, None, missing.license),
        ] {
            held.files -= missing.files;
            held.bytes -= missing.bytes;
            if let Some(not_found) = not_found {
                *not_found += missing;
            }
        }
    }

    /// Everything that is in the set.
    pub fn held(&self) -> Amount {
        let mut all = self.gold;
        all += self.files;
        all += self.listings;
        all += self.license;
        all
    }
}

#[derive(Default)]
struct Totals {
    amounts: Amounts,
    /// Gold that is left out although it is there.
    fetched: HashSet<RepositoryName>,
    /// Gold that is not in the set and cannot be fetched either.
    no_gold: HashSet<RepositoryName>,
}

/// What was collected.
pub struct Collected {
    /// Numbers of files and bytes.
    pub amounts: Amounts,
    manifest: Drafted,
    /// Entries that were taken at the end, in order.
    late: Vec<Taken>,
}

impl<'a> Collector<'a> {
    /// A collector whose scratch files lie in `scratch`. `origin` says where the catalog comes
    /// from, as the manifest's header has it. The manifest is written, compressed, to `target`; to
    /// a scratch file where there is none.
    pub fn new(
        selection: &'a Selection,
        origin: &str,
        keeper: Option<&'a dyn Keeper>,
        scratch: &'a Path,
        target: Option<Target>,
    ) -> Result<Collector<'a>, ManifestError> {
        let target = target.map_or_else(|| Target::scratch(scratch), Ok)?;
        let header = Header::new(selection.kind, selection.url_gold, origin);
        Ok(Collector {
            selection,
            keeper,
            prove_url: None,
            low_impact: LowImpact::default(),
            threads: 1,
            scratch,
            draft: Draft::new(&header, target, scratch)?,
            collected: Mutex::default(),
        })
    }

    /// Asks `prove_url` before gold is left out.
    #[must_use]
    pub fn proving_urls(self, prove_url: ProveUrl<'a>) -> Collector<'a> {
        Collector {
            prove_url: Some(prove_url),
            ..self
        }
    }

    /// Spares others in this way while contents are read.
    #[must_use]
    pub fn sparing(self, low_impact: &LowImpact) -> Collector<'a> {
        Collector {
            low_impact: low_impact.clone(),
            ..self
        }
    }

    fn totals(&self) -> MutexGuard<'_, Totals> {
        self.collected
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Works in so many threads.
    #[must_use]
    pub fn in_threads(self, threads: usize) -> Collector<'a> {
        Collector { threads, ..self }
    }

    /// The check is over: takes misplaced files from where they lie, where no copy in the right
    /// place was found, and hands out what was collected.
    pub fn finish(
        self,
        tree: &Tree,
        catalog: &Catalog,
        outcome: &Outcome,
        monitor: &dyn Monitor,
    ) -> Result<Collected, CompanionError> {
        let Totals {
            mut amounts,
            fetched,
            mut no_gold,
        } = self
            .collected
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        let mut manifest = self.draft.finish()?;
        let mut late = Late {
            selection: self.selection,
            keeper: self.keeper,
            low_impact: &self.low_impact,
            manifest: &manifest,
            tree,
            catalog,
            fetched,
            shard: None,
            taken: Vec::new(),
        };
        for severity in Severity::ALL {
            outcome
                .findings
                .for_each(severity, Kind::Misplaced, |finding| {
                    late.misplaced(&finding, monitor)
                })?;
        }
        let mut taken = std::mem::take(&mut late.taken);
        drop(late);
        taken.sort_unstable_by_key(|taken| taken.entry.name);
        for Taken {
            entry, is_listing, ..
        } in &taken
        {
            let (held, not_found) = if entry.types.has(Types::GOLD) {
                (&mut amounts.gold, &mut amounts.left_out.gold_not_found)
            } else if *is_listing {
                (
                    &mut amounts.listings,
                    &mut amounts.left_out.listings_not_found,
                )
            } else {
                (&mut amounts.files, &mut amounts.left_out.files_not_found)
            };
            held.add(entry.name.size);
            not_found.files -= 1;
            not_found.bytes -= entry.name.size;
            no_gold.remove(&entry.name);
        }
        if self.selection.kind == SetKind::GoldOnly {
            WithoutGold::find(no_gold, catalog, outcome)?.count(
                self.selection,
                tree,
                catalog,
                &mut amounts.left_out,
            )?;
        }
        if !taken.is_empty() {
            let with_late = |draft: &Drafted, shard| {
                let late = late_of(&taken, shard);
                let entries = draft.entries(shard);
                (!late.is_empty())
                    .then(|| entries.map(|entries| joined(entries, late)))
                    .transpose()
            };
            manifest = manifest.with(with_late, self.scratch)?;
        }
        Ok(Collected {
            amounts,
            manifest,
            late: taken,
        })
    }
}

/// What was taken at the end of a shard.
fn late_of(taken: &[Taken], shard: Shard) -> &[Taken] {
    let from = taken.partition_point(|taken| taken.entry.name.shard() < shard);
    let to = taken.partition_point(|taken| taken.entry.name.shard() <= shard);
    &taken[from..to]
}

/// Entries with those that were taken at the end, which may have stood there as left out.
fn joined(mut entries: Vec<Entry>, late: &[Taken]) -> Vec<Entry> {
    let is_late = |entry: &Entry| {
        late.binary_search_by_key(&entry.name, |taken| taken.entry.name)
            .is_ok()
    };
    entries.retain(|entry| !is_late(entry));
    entries.extend(late.iter().map(|taken| taken.entry.clone()));
    entries.sort_unstable_by_key(|entry| entry.name);
    entries
}

impl Collected {
    /// The entries of a shard, sorted by name.
    pub fn entries(&self, shard: Shard) -> Result<Vec<Entry>, ManifestError> {
        self.manifest.entries(shard)
    }

    /// Where an entry's file lies that lies in no right place.
    pub fn misplaced(&self, name: &RepositoryName) -> Option<&TreePath> {
        let at = self
            .late
            .binary_search_by_key(name, |taken| taken.entry.name)
            .ok()?;
        Some(&self.late[at].path)
    }

    /// Writes fogold's own form of the manifest as text.
    pub fn write_jsonl(&self, out: &mut dyn Write) -> Result<Footer, CompanionError> {
        self.manifest.write(out)
    }

    /// Ends the compressed manifest in its file.
    pub fn end(self) -> Result<Whole, ManifestError> {
        self.manifest.end()
    }
}

impl Companion for Collector<'_> {
    fn begin<'a>(
        &'a self,
        shard: Shard,
        pfiles: &'a ShardPfiles,
    ) -> Result<Box<dyn ShardCompanion + 'a>, CompanionError> {
        let keeper = self.keeper.map(|keeper| keeper.begin(shard)).transpose()?;
        Ok(Box::new(ShardCollector {
            collector: self,
            shard,
            pfiles,
            next: 0,
            keeper,
            states: vec![State::default(); pfiles.pfiles().len()],
            license: Vec::new(),
            prover: Prover::new(false)
                .sparing(&self.low_impact)
                .beside(self.threads),
        }))
    }
}

/// What is known of a pfile while its shard is listed.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// The types under which a good file was listed.
    found: Types,
    /// The keeper was asked, and holds this.
    held: Option<[u8; 32]>,
    /// It was shown to the keeper.
    shown: bool,
    /// The gold's contents are those of a tar; `None` when they were not looked at.
    is_tar: Option<bool>,
    /// It is left out: a URL gives it again.
    is_fetched: bool,
}

struct ShardCollector<'a> {
    collector: &'a Collector<'a>,
    shard: Shard,
    pfiles: &'a ShardPfiles,
    /// Where the next file's pfile probably stands.
    next: usize,
    keeper: Option<Box<dyn ShardKeeper + 'a>>,
    states: Vec<State>,
    license: Vec<RepositoryName>,
    prover: Prover,
}

impl ShardCollector<'_> {
    /// Looks at a gold file that has a URL; says whether it is left out of the set.
    fn is_fetched(&mut self, pfile: usize, name: &RepositoryName, at: &At<'_>) -> bool {
        let Some(urls) = self.collector.selection.urls(name) else {
            return false;
        };
        let is_tar = *self.states[pfile]
            .is_tar
            .get_or_insert_with(|| head_is_tar(at).unwrap_or(true));
        let mut usable = urls.usable(is_tar);
        let is_fetched = match (self.collector.selection.url_gold, self.collector.prove_url) {
            (UrlGold::Keep, _) | (UrlGold::Verified, None) => false,
            (UrlGold::Skip, _) => usable.next().is_some(),
            (UrlGold::Verified, Some(prove)) => usable.any(|url| prove(url, name)),
        };
        self.states[pfile].is_fetched = is_fetched;
        is_fetched
    }

    /// Shows a file to the keeper, unless it holds it already.
    fn show(
        &mut self,
        held: Option<[u8; 32]>,
        at: &At<'_>,
        number: usize,
        file: &InPlace,
        monitor: &dyn Monitor,
    ) {
        let (None, Some(keeper)) = (held, &mut self.keeper) else {
            return;
        };
        let InPlace { name, meta, .. } = file;
        self.prover.read(
            at.directory,
            at.path,
            number,
            name,
            meta.size,
            &mut **keeper,
            monitor,
        );
    }

    fn held(&mut self, name: &RepositoryName) -> Option<[u8; 32]> {
        self.keeper.as_mut().and_then(|keeper| keeper.held(name))
    }

    /// The entry of a pfile that the set wants; otherwise counts why there is none.
    fn entry(&mut self, at: usize, types: Types, amounts: &mut Amounts) -> Option<Entry> {
        let pfile = &self.pfiles.pfiles()[at];
        let (name, is_listing) = (pfile.name, pfile.is_listing());
        let is_gold = types.has(Types::GOLD);
        let urls = self
            .collector
            .selection
            .urls(&name)
            .filter(|_| is_gold)
            .cloned()
            .unwrap_or_default();
        let state = self.states[at];
        let entry = |types, blake3, place| Entry {
            name,
            types,
            blake3,
            place,
            urls: urls.urls.clone(),
            url_withheld: urls.withheld,
        };
        if state.is_fetched {
            amounts.left_out.fetched.add(name.size);
            return Some(entry(types, None, Place::Urls));
        }
        let blake3 = match self.keeper {
            // What was shown was not yet held when it was asked for.
            Some(_) if state.shown || state.held.is_none() => self.held(&name),
            Some(_) => state.held,
            None => None,
        };
        let is_held = match self.keeper {
            Some(_) => blake3.is_some(),
            None => !state.found.is_none(),
        };
        let types = match self.collector.selection.kind {
            SetKind::GoldOnly => types,
            SetKind::Full => types.and(state.found),
        };
        if types.is_none() {
            return None;
        }
        if !is_held {
            let left_out = &mut amounts.left_out;
            let not_found = match (is_gold, is_listing) {
                (true, _) => &mut left_out.gold_not_found,
                (_, true) => &mut left_out.listings_not_found,
                _ => &mut left_out.files_not_found,
            };
            not_found.add(name.size);
            let fetched = urls.usable(state.is_tar.unwrap_or(false)).next().is_some();
            return fetched.then(|| entry(types, None, Place::Urls));
        }
        if is_gold {
            amounts.gold.add(name.size);
            let is_tar = state.is_tar.unwrap_or(true);
            if urls.usable(is_tar).next().is_some() {
                amounts.skip_would_save.add(name.size);
            }
        } else if is_listing {
            amounts.listings.add(name.size);
        } else {
            amounts.files.add(name.size);
        }
        Some(entry(types, blake3, Place::Pool))
    }

    /// The entries of well-named files in license/, which no row names.
    fn license_entries(&mut self, amounts: &mut Amounts) -> Vec<Entry> {
        let mut names = std::mem::take(&mut self.license);
        names.sort_unstable();
        names.dedup();
        names
            .into_iter()
            .filter_map(|name| {
                let blake3 = self.held(&name);
                if self.keeper.is_some() && blake3.is_none() {
                    return None;
                }
                amounts.license.add(name.size);
                Some(Entry {
                    name,
                    types: Types::LICENSE,
                    blake3,
                    place: Place::Pool,
                    urls: Vec::new(),
                    url_withheld: false,
                })
            })
            .collect()
    }
}

/// Whether a file begins as a tar does.
fn head_is_tar(at: &At<'_>) -> io::Result<bool> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::openat(at.directory, at.path, flags, Mode::empty())?;
    let mut head = [0; archive::HEAD];
    let mut length = 0;
    while length < head.len() {
        match rustix::io::retry_on_intr(|| rustix::io::read(file.as_fd(), &mut head[length..]))? {
            0 => break,
            count => length += count,
        }
    }
    Ok(archive::is_tar(&head[..length]))
}

impl ContentReader for ShardCollector<'_> {
    fn read(
        &mut self,
        at: At<'_>,
        number: usize,
        file: &InPlace,
        ty: RepositoryType,
        monitor: &dyn Monitor,
    ) {
        let name = file.name;
        if ty == RepositoryType::License {
            if self.collector.selection.kind == SetKind::Full {
                self.license.push(name);
                let held = self.held(&name);
                self.show(held, &at, number, file, monitor);
            }
            return;
        }
        let pfiles = self.pfiles.pfiles();
        let Ok(pfile) = seek(pfiles, self.next, |pfile| pfile.name.cmp(&name)) else {
            return;
        };
        self.next = pfile + 1;
        let wanted = self.collector.selection.wants(&pfiles[pfile]);
        if wanted.is_none() || self.states[pfile].is_fetched {
            return;
        }
        let is_gold = wanted.is_some_and(|types| types.has(Types::GOLD));
        if is_gold && self.is_fetched(pfile, &name, &at) {
            return;
        }
        if self.states[pfile].held.is_none() {
            self.states[pfile].held = self.held(&name);
        }
        let held = self.states[pfile].held;
        self.states[pfile].shown |= held.is_none();
        self.show(held, &at, number, file, monitor);
    }

    fn finish(&mut self, monitor: &dyn Monitor) -> Vec<(usize, io::Result<Proof>)> {
        match &mut self.keeper {
            Some(keeper) => self.prover.finish(&mut **keeper, monitor),
            None => Vec::new(),
        }
    }
}

impl ShardCompanion for ShardCollector<'_> {
    fn finish(mut self: Box<Self>, listed: &[Listed]) -> Result<(), CompanionError> {
        if let Some(failure) = self.keeper.as_mut().and_then(|keeper| keeper.failure()) {
            return Err(failure);
        }
        let mut good = listed.iter().filter(|file| file.good).peekable();
        for (pfile, state) in self.pfiles.pfiles().iter().zip(&mut self.states) {
            while good.next_if(|file| file.name < pfile.name).is_some() {}
            while let Some(file) = good.next_if(|file| file.name == pfile.name) {
                state.found = state.found.and(Types::of(file.ty));
            }
        }
        let mut amounts = Amounts::default();
        let mut entries = Vec::new();
        let mut no_gold = Vec::new();
        for (at, pfile) in self.pfiles.pfiles().iter().enumerate() {
            match self.collector.selection.wants(pfile) {
                Some(types) => {
                    let entry = self.entry(at, types, &mut amounts);
                    if entry.is_none() && pfile.in_gold() {
                        no_gold.push(pfile.name);
                    }
                    entries.extend(entry);
                }
                None if !pfile.in_files() => amounts.left_out.unused.add(pfile.name.size),
                None => amounts.left_out.unpacked.add(pfile.name.size),
            }
        }
        for license in self.license_entries(&mut amounts) {
            match entries.binary_search_by_key(&license.name, |entry| entry.name) {
                Ok(at) => entries[at].types = entries[at].types.and(Types::LICENSE),
                Err(at) => entries.insert(at, license),
            }
        }
        if let Some(failure) = self.keeper.as_mut().and_then(|keeper| keeper.failure()) {
            return Err(failure);
        }
        let known = self
            .keeper
            .as_mut()
            .and_then(|keeper| keeper.lines_of(&entries));
        let counts = Footer::of(&entries);
        let (lines, frame) = match known {
            Some(ShardLines { lines, frame }) => (lines, Some(frame)),
            None => (jsonl::lines_of(&entries), None),
        };
        self.collector.draft.put(self.shard, lines, counts, frame)?;
        let fetched = self.pfiles.pfiles().iter().zip(&self.states);
        let fetched = fetched.filter(|(_, state)| state.is_fetched);
        let mut totals = self.collector.totals();
        totals.fetched.extend(fetched.map(|(pfile, _)| pfile.name));
        totals.no_gold.extend(no_gold);
        totals.amounts.add(&amounts);
        Ok(())
    }
}
