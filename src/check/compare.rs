//! The merge join: one shard of the catalog against the same shard of the tree.
//!
//! Both sides are sorted by name. What stands on one side only, or on both but wrongly, becomes a
//! draft. With `--verify`, the contents of the shard's files are read here, each once however many
//! hard links it has.

use std::collections::HashMap;
use std::io;

use super::companion::{Companion, Listed, ShardCompanion};
use super::draft::{Draft, Verdict};
use super::kind::{Kind, Severity};
use super::reads::Reads;
use super::{CheckError, Coverage, Options};
use crate::catalog::{Amount, Catalog, Pfile, Sha256, ShardPfiles, Usage};
use crate::monitor::Monitor;
use crate::repository::{
    InPlace, Leftover, Listing, Odd, OddWhat, Proof, Prover, Reading, RepositoryName, Shard, Stray,
    Survey, Tree, TreePath,
};
use crate::sysconf::RepositoryType;

/// What comparing a shard gave.
#[derive(Default)]
pub(super) struct Compared {
    pub drafts: Vec<Draft>,
    pub strays: Vec<Stray>,
    /// Gold names of which no good copy was seen in this shard.
    pub golds_at_risk: Vec<RepositoryName>,
    pub coverage: Coverage,
    /// Directories that FOSSology cannot use, by who is shut out.
    pub faults: HashMap<(bool, bool), u64>,
    /// A directory of the shard could not be read.
    pub incomplete: bool,
    /// Its contents were read to their end.
    pub is_read: bool,
    /// Of each type of which there were contents to read, or none was expected, whether they were good.
    pub contents: Vec<(RepositoryType, bool)>,
}

/// What is known of the contents of a file in its place.
#[derive(Clone)]
enum Contents {
    /// Of the right length; not read.
    Unread,
    Good(Option<[u8; 32]>),
    WrongSize,
    Corrupt(String),
    Unreadable(String),
    Vanished,
}

impl Contents {
    fn is_good(&self) -> bool {
        matches!(self, Contents::Unread | Contents::Good(_))
    }
}

struct File {
    listed: InPlace,
    ty: RepositoryType,
    contents: Contents,
}

/// Compares shards; shared by all threads.
pub(super) struct Comparer<'a> {
    pub tree: &'a Tree,
    pub catalog: &'a Catalog,
    pub survey: &'a Survey,
    pub options: &'a Options,
    pub monitor: &'a dyn Monitor,
    /// Unreadable directories above the shards.
    pub unreadable_above: Vec<TreePath>,
    /// Hosts in which no file lies.
    pub empty_hosts: Vec<String>,
    /// Whose contents are read.
    pub reads: &'a Reads<'a>,
    /// Reads in place of `--verify`.
    pub companion: Option<&'a dyn Companion>,
}

impl Comparer<'_> {
    /// Compares one shard; `None` when the monitor asked to stop before it was complete.
    pub(super) fn compare(
        &self,
        shard: Shard,
        prover: &mut Prover,
    ) -> Result<Option<Compared>, CheckError> {
        let pfiles = self.catalog.shard(shard)?;
        let mut companion = match self.companion {
            Some(companion) => Some(companion.begin(shard, &pfiles)?),
            None => None,
        };
        let mut listing = match &mut companion {
            Some(companion) => self.list(shard, Some(&mut **companion)),
            None => self.list_and_read(shard, prover),
        };
        if self.monitor.stopped() {
            return Ok(None);
        }
        let mut compared = Compared::default();
        compared.coverage.directories = listing.directories;
        let mut unreadable = self.unreadable_above.clone();
        for odd in std::mem::take(&mut listing.odd) {
            if matches!(odd.what, OddWhat::Unreadable(_)) {
                unreadable.push(odd.path.clone());
                compared.incomplete = true;
            }
            self.odd(odd, &mut compared);
        }
        compared.strays = std::mem::take(&mut listing.strays);
        let mut files = self.files(listing, &mut compared.coverage);
        files.retain(|file| !matches!(file.contents, Contents::Vanished));
        let is_read = self.companion.is_none() && self.reads.contains(shard);
        if is_read && self.unreadable_above.is_empty() {
            compared.is_read = true;
            compared.contents = self.contents(&files, &pfiles, compared.incomplete);
        }
        if let Some(companion) = companion {
            let listed: Vec<Listed> = files
                .iter()
                .map(|file| Listed {
                    name: file.listed.name,
                    ty: file.ty,
                    good: file.contents.is_good(),
                })
                .collect();
            companion.finish(&listed)?;
        }
        let join = Join {
            comparer: self,
            pfiles: &pfiles,
            unreadable: &unreadable,
            compared: &mut compared,
        };
        join.run(&files);
        Ok(Some(compared))
    }

    /// Lists a shard; who goes along reads.
    fn list(&self, shard: Shard, companion: Option<&mut dyn ShardCompanion>) -> Listing {
        let types = self.options.listed_types();
        let reading = companion.map(|companion| Reading::of(companion, &types));
        self.tree
            .list_shard(self.survey, shard, &types, reading, self.monitor)
    }

    /// Lists a shard, and reads its contents where that was asked for and there is time.
    fn list_and_read(&self, shard: Shard, prover: &mut Prover) -> Listing {
        if self.reads.begin(shard) {
            let (listed, read) = (self.options.listed_types(), self.options.read_types());
            let until = self.reads.until(self.monitor);
            let reading = Some(Reading::of(prover, &read));
            let listing = self
                .tree
                .list_shard(self.survey, shard, &listed, reading, &until);
            if !until.was_over() {
                return listing;
            }
            self.reads.give_up(shard);
        }
        self.list(shard, None)
    }

    /// Of each type that is reported on, whether all contents that were read are good. Where files are
    /// expected and none is there, as in a host that is not mounted, nothing was read.
    fn contents(
        &self,
        files: &[File],
        pfiles: &ShardPfiles,
        incomplete: bool,
    ) -> Vec<(RepositoryType, bool)> {
        let is_bad = |file: &&File| {
            matches!(
                file.contents,
                Contents::Corrupt(_) | Contents::Unreadable(_)
            )
        };
        let bad: Vec<RepositoryType> = files.iter().filter(is_bad).map(|file| file.ty).collect();
        let types = self.options.types.iter();
        types
            .filter(|ty| !self.lacks_all(**ty, files, pfiles))
            .map(|ty| (*ty, !incomplete && !bad.contains(ty)))
            .collect()
    }

    /// Whether files of a type are expected and there is none, in the shard or in a host that is empty.
    fn lacks_all(&self, ty: RepositoryType, files: &[File], pfiles: &ShardPfiles) -> bool {
        let hosts = &self.tree.layout().hosts;
        let is_expected = |pfile: &&Pfile| match ty {
            RepositoryType::Gold => pfile.in_gold(),
            RepositoryType::Files => pfile.in_files(),
            _ => false,
        };
        let mut expected = pfiles.pfiles().iter().filter(is_expected).peekable();
        if expected.peek().is_some() && !files.iter().any(|file| file.ty == ty) {
            return true;
        }
        !self.empty_hosts.is_empty()
            && expected.any(|pfile| {
                let name = pfile.name.to_string();
                let host = hosts.claimants(ty, name.as_bytes()).next();
                host.is_some_and(|host| self.empty_hosts.iter().any(|empty| empty == host))
            })
    }

    /// Turns what the tree holds besides files into drafts.
    pub(super) fn odd(&self, odd: Odd, compared: &mut Compared) {
        let unwanted = odd.ty.is_some_and(|ty| !self.options.types.contains(&ty));
        let at = |kind, severity| Draft {
            ty: odd.ty,
            host: odd.host.clone(),
            ..Draft::at(kind, severity, &odd.path)
        };
        let draft = match odd.what {
            OddWhat::ForeignFile(why) => Draft {
                detail: Some(why.to_owned()),
                ..at(Kind::Foreign, Severity::Notice)
            },
            OddWhat::ForeignDirectory => Draft {
                detail: Some("a directory that is no part of the layout".to_owned()),
                ..at(Kind::Foreign, Severity::Notice)
            },
            OddWhat::Leftover(name, leftover, bytes) => Draft {
                name: Some(name),
                bytes: Some(bytes),
                detail: Some(
                    match leftover {
                        Leftover::Import => "an import that was interrupted",
                        Leftover::Meta => "a listing that was not imported",
                    }
                    .to_owned(),
                ),
                ..at(Kind::PartialImport, Severity::Waste)
            },
            OddWhat::Unreadable(error) => Draft {
                detail: Some(format!("a directory: {error}")),
                ..at(Kind::Unreadable, Severity::Recoverable)
            },
            OddWhat::WrongMode(fault) => {
                let is_root = odd.path.0.is_empty();
                *compared
                    .faults
                    .entry((fault.user, fault.group))
                    .or_default() += 1;
                let what = if is_root {
                    "the repository itself"
                } else {
                    "it"
                };
                Draft {
                    path: Some(if is_root {
                        b".".to_vec()
                    } else {
                        odd.path.0.clone()
                    }),
                    detail: Some(format!(
                        "{} cannot list {what} and write into it",
                        fault.who()
                    )),
                    shut_out: Some((fault.user, fault.group)),
                    ..at(Kind::WrongMode, Severity::Recoverable)
                }
            }
        };
        if !unwanted || draft.kind == Kind::Unreadable {
            compared.drafts.push(draft);
        }
    }

    /// The files of a listing, with what reading them showed, in the order of the join: by name,
    /// type, and FOSSology's order of places.
    fn files(&self, listing: Listing, coverage: &mut Coverage) -> Vec<File> {
        let mut files: Vec<File> = listing
            .files
            .into_iter()
            .map(|listed| File {
                ty: self.survey.places[usize::from(listed.place)].ty,
                contents: if listed.meta.size == listed.name.size {
                    Contents::Unread
                } else {
                    Contents::WrongSize
                },
                listed,
            })
            .collect();
        let mut by_place = vec![Amount::default(); self.survey.places.len()];
        for file in &files {
            by_place[usize::from(file.listed.place)].add(file.listed.meta.size);
        }
        for (place, amount) in self.survey.places.iter().zip(by_place) {
            if amount.files > 0 {
                *coverage.listed(place.ty) += amount;
                let host = place.host.as_deref().unwrap_or_default();
                coverage.on_host(host, place.ty, amount);
            }
        }
        for (number, result) in listing.proofs.read {
            match &result {
                Ok(proof) => coverage.read.add(proof.bytes),
                Err(error) => self.tree.note_exhaustion(error),
            }
            files[number].contents = contents_of(result);
        }
        for (number, first) in listing.proofs.links {
            files[number].contents = files[first].contents.clone();
        }
        files.sort_unstable_by_key(|file| (file.listed.name, file.ty, file.listed.place));
        files
    }
}

fn contents_of(result: io::Result<Proof>) -> Contents {
    match result {
        Ok(proof) if proof.holds() => Contents::Good(proof.sha256),
        Ok(proof) => Contents::Corrupt(format!("differs in {}", proof.differences())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Contents::Vanished,
        Err(error) => Contents::Unreadable(error.to_string()),
    }
}

/// The join of one shard.
struct Join<'a> {
    comparer: &'a Comparer<'a>,
    pfiles: &'a ShardPfiles,
    unreadable: &'a [TreePath],
    compared: &'a mut Compared,
}

impl Join<'_> {
    fn run(mut self, files: &[File]) {
        let mut pfiles = self.pfiles.pfiles().iter().peekable();
        for same_name in files.chunk_by(|a, b| a.listed.name == b.listed.name) {
            let name = same_name[0].listed.name;
            while let Some(pfile) = pfiles.next_if(|pfile| pfile.name < name) {
                self.name(pfile.name, Some(pfile), &[]);
            }
            let pfile = pfiles.next_if(|pfile| pfile.name == name);
            self.name(name, pfile, same_name);
        }
        for pfile in pfiles {
            self.name(pfile.name, Some(pfile), &[]);
        }
    }

    /// Judges all files of one name against the pfile of that name.
    fn name(&mut self, name: RepositoryName, pfile: Option<&Pfile>, files: &[File]) {
        let of_type = |ty| -> &[File] {
            let start = files.partition_point(|file| file.ty < ty);
            let end = files.partition_point(|file| file.ty <= ty);
            &files[start..end]
        };
        let gold = of_type(RepositoryType::Gold);
        let derived = of_type(RepositoryType::Files);
        if let Some(pfile) = pfile {
            self.rows(pfile, files);
        }
        let good = |files: &[File]| {
            files
                .iter()
                .find(|file| file.contents.is_good())
                .map(|file| self.path_of(file))
        };
        // A copy that was not read although contents count is proven later, one by one.
        let is_proven =
            self.wants(RepositoryType::Files) || !self.comparer.reads.contains(name.shard());
        let good_gold = good(gold);
        let good_derived = good(derived).filter(|_| is_proven);
        if pfile.is_some_and(Pfile::in_gold)
            && good_gold.is_none()
            && good_derived.is_none()
            && !self.is_unknown(RepositoryType::Gold, &name)
            && !self.is_unknown(RepositoryType::Files, &name)
        {
            self.compared.golds_at_risk.push(name);
        }
        self.of_type(RepositoryType::Gold, name, pfile, gold, &good_derived);
        self.of_type(RepositoryType::Files, name, pfile, derived, &good_gold);
        for file in of_type(RepositoryType::License) {
            self.bad_contents(file, Verdict::Settled(Severity::Waste), None);
        }
    }

    /// What is to be said of the rows themselves.
    fn rows(&mut self, pfile: &Pfile, files: &[File]) {
        let rows = self.pfiles.rows(pfile);
        if rows.len() > 1 {
            let pks: Vec<String> = rows.iter().take(20).map(|row| row.pk.to_string()).collect();
            self.compared.drafts.push(Draft {
                detail: Some(format!("{} rows: {}", rows.len(), pks.join(", "))),
                ..Draft::of(
                    Kind::DuplicatePfile,
                    Verdict::Settled(Severity::Notice),
                    pfile.name,
                )
            });
        }
        let in_tree = files.iter().any(|file| file.ty != RepositoryType::License);
        let knows_files = self.wants(RepositoryType::Files);
        if pfile.usage.is_none()
            && !in_tree
            && knows_files
            && !self.is_unknown(RepositoryType::Files, &pfile.name)
        {
            self.compared.drafts.push(Draft::of(
                Kind::PfileWithoutUse,
                Verdict::Settled(Severity::Waste),
                pfile.name,
            ));
        }
        let read = files.iter().find_map(|file| match file.contents {
            Contents::Good(Some(sha256)) => Some((file, sha256)),
            _ => None,
        });
        let Some((file, sha256)) = read else {
            return;
        };
        for row in rows {
            let detail = match row.sha256 {
                Sha256::Unknown => continue,
                Sha256::Known(known) if known == sha256 => continue,
                Sha256::Known(_) => "the row has another sha256 than the contents",
                Sha256::Malformed => "the row's sha256 is no digest",
            };
            let draft = Draft {
                pfile: Some(row.pk),
                detail: Some(detail.to_owned()),
                ..self.about(
                    file,
                    Kind::WrongSha256,
                    Verdict::Settled(Severity::Recoverable),
                )
            };
            self.compared.drafts.push(draft);
        }
    }

    /// Judges the files of one name and type.
    fn of_type(
        &mut self,
        ty: RepositoryType,
        name: RepositoryName,
        pfile: Option<&Pfile>,
        files: &[File],
        good_elsewhere: &Option<TreePath>,
    ) {
        if !self.wants(ty) {
            return;
        }
        let Some(pfile) = pfile else {
            for file in files {
                let waste = Verdict::Settled(Severity::Waste);
                let draft = self.about(file, Kind::Orphan, waste);
                self.compared.drafts.push(draft);
                self.bad_contents(file, waste, None);
            }
            return;
        };
        let expected = match ty {
            RepositoryType::Gold => pfile.in_gold(),
            _ => pfile.in_files(),
        };
        if !expected {
            // What is left of a deleted upload still uses the file, though nobody expects it.
            let in_use = ty == RepositoryType::Files && pfile.usage.has(Usage::LEFT);
            for file in files {
                let waste = Verdict::Settled(Severity::Waste);
                if !in_use {
                    let draft = self.about(file, Kind::Unreferenced, waste);
                    self.compared.drafts.push(draft);
                }
                self.bad_contents(file, waste, None);
            }
            return;
        }
        let [first, others @ ..] = files else {
            if !self.is_unknown(ty, &name) {
                self.missing(ty, pfile, good_elsewhere);
            }
            return;
        };
        let good_other = others
            .iter()
            .find(|file| file.contents.is_good())
            .map(|file| self.path_of(file));
        let source = good_other.as_ref().or(good_elsewhere.as_ref());
        self.bad_contents(first, Verdict::AsMissing, source);
        self.mode(first);
        for other in others {
            if other.contents.is_good() {
                let draft = Draft {
                    detail: Some(
                        "a later copy: FOSSology finds the one on another host first".to_owned(),
                    ),
                    ..self.about(other, Kind::Misplaced, Verdict::Settled(Severity::Waste))
                };
                self.compared.drafts.push(draft);
            } else {
                self.bad_contents(other, Verdict::Settled(Severity::Waste), None);
            }
        }
    }

    fn missing(&mut self, ty: RepositoryType, pfile: &Pfile, good_copy: &Option<TreePath>) {
        let kind = match ty {
            RepositoryType::Gold => Kind::MissingGold,
            _ if pfile.is_listing() => Kind::MissingListing,
            _ => Kind::MissingDerived,
        };
        let text = pfile.name.to_string();
        let layout = self.comparer.tree.layout();
        let host = layout.hosts.claimants(ty, text.as_bytes()).next();
        self.compared.drafts.push(Draft {
            ty: Some(ty),
            host: host.map(str::to_owned),
            path: Some(layout.path_on(host, ty, &text).into_bytes()),
            good_copy: good_copy.clone().map(|path| path.0),
            copy_unknown: ty == RepositoryType::Gold
                && self.is_unknown(RepositoryType::Files, &pfile.name),
            ..Draft::of(kind, Verdict::AsMissing, pfile.name)
        });
    }

    /// Reports a file whose contents are not what its name promises.
    fn bad_contents(&mut self, file: &File, verdict: Verdict, good_copy: Option<&TreePath>) {
        if !self.wants(file.ty) {
            return;
        }
        let (kind, detail) = match &file.contents {
            Contents::WrongSize => (
                Kind::WrongSize,
                format!(
                    "{} bytes instead of {}",
                    file.listed.meta.size, file.listed.name.size
                ),
            ),
            Contents::Corrupt(detail) => (Kind::Corrupt, detail.clone()),
            Contents::Unreadable(error) => (Kind::Unreadable, error.clone()),
            Contents::Unread | Contents::Good(_) | Contents::Vanished => return,
        };
        let draft = Draft {
            detail: Some(detail),
            good_copy: good_copy.map(|path| path.0.clone()),
            ..self.about(file, kind, verdict)
        };
        self.compared.drafts.push(draft);
    }

    /// Reports a file that FOSSology cannot read; not when its directory was reported, nor when
    /// fogold could not read it either.
    fn mode(&mut self, file: &File) {
        if file.listed.below_fault || matches!(file.contents, Contents::Unreadable(_)) {
            return;
        }
        if let Some(fault) = self.comparer.tree.access().to_file(&file.listed.meta) {
            let draft = Draft {
                detail: Some(format!(
                    "{} cannot read it: mode {:04o}",
                    fault.who(),
                    file.listed.meta.mode & 0o7777
                )),
                ..self.about(
                    file,
                    Kind::WrongMode,
                    Verdict::Settled(Severity::Recoverable),
                )
            };
            self.compared.drafts.push(draft);
        }
    }

    fn about(&self, file: &File, kind: Kind, verdict: Verdict) -> Draft {
        let place = &self.comparer.survey.places[usize::from(file.listed.place)];
        Draft {
            ty: Some(file.ty),
            host: place.host.clone(),
            path: Some(self.path_of(file).0),
            bytes: Some(file.listed.meta.size),
            ..Draft::of(kind, verdict, file.listed.name)
        }
    }

    fn path_of(&self, file: &File) -> TreePath {
        self.comparer
            .survey
            .path(&file.listed, self.comparer.tree.layout())
    }

    fn wants(&self, ty: RepositoryType) -> bool {
        self.comparer.options.types.contains(&ty)
    }

    /// Whether a place where the name may lie could not be read.
    fn is_unknown(&self, ty: RepositoryType, name: &RepositoryName) -> bool {
        if self.unreadable.is_empty() {
            return false;
        }
        let places = self.comparer.tree.layout().places(ty, name);
        places
            .iter()
            .any(|path| self.unreadable.iter().any(|above| path.is_below(above)))
    }
}
