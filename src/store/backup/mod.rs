//! Making a set: the dump first, then the files that its catalog names.
//!
//! The database dump is taken first, the catalog is read out of that very dump, and a check of the
//! tree against it goes along and shows the pool every file that it does not have. So the set
//! agrees with its own dump, without FOSSology being stopped: files never change in place, and what
//! was deleted meanwhile is found missing and named.
//!
//! The set grows in a directory `.partial-…`. When everything that it names is on disk, that is
//! renamed, and only then is there a set. What a backup that was cut short has put into the pool is
//! proven and used by the next one.

mod configuration;
mod direct;
mod dump;
mod error;
mod findings;
mod logs;

use std::fs::File;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use dump::Dump;
pub use error::BackupError;

use super::digest;
use super::durable::{Syncing, failed, sync_file};
use super::held::Held;
use super::intake::{Pool, Voucher};
use super::layout::{CATALOG_FILE, MANIFEST_FILE, SetId};
use super::lock::WriteLock;
use super::record::{
    Counts, FileRecord, LEFT_TO_UNPACKING, LEFT_TO_URLS, LEFT_WITHOUT_GOLD, LeftOut,
    ManifestRecord, RowCounts, SourceRecord,
};
use super::{SetRecord, Store, StoreError, make_directory, rename};
use crate::catalog::dump::{DumpOptions, Input};
use crate::catalog::{Amount, Catalog, Hosts, LiveRows};
use crate::check::{self, Aids, Backups, Outcome, Spool};
use crate::manifest::frames::Frames;
use crate::manifest::{
    Amounts, Collected, Collector, ProveUrl, Selection, SetKind, Target, UrlGold, Whole,
};
use crate::monitor::{Monitor, Phase, Room, free_room};
use crate::repository::{LowImpact, Shard, Tree};
use crate::sysconf::programs::server_version;
use crate::sysconf::{ConnectionParameters, ProgramError, Programs, RepositoryType};

/// How much logs are compressed.
const ZSTD_LEVEL: i32 = 3;

/// Where the dump of a set comes from.
pub enum DumpSource<'a> {
    /// `pg_dump` of a live database.
    Live(Box<ConnectionParameters>),
    /// A command of one's own, whose standard output is the dump.
    Command(&'a str),
    /// A file that a person made; `-` is standard input.
    Given(&'a Path),
}

impl DumpSource<'_> {
    /// What is dumped, for a person; never a password, which a command may hold.
    pub fn origin(&self) -> String {
        match self {
            DumpSource::Live(parameters) => parameters.target(),
            DumpSource::Command(_) => "the dump of a command of one's own".to_owned(),
            DumpSource::Given(path) if *path == Path::new("-") => "standard input".to_owned(),
            DumpSource::Given(path) => path.display().to_string(),
        }
    }
}

/// What kind of set to make, and how.
pub struct Request<'a> {
    /// What it is to bring back.
    pub kind: SetKind,
    /// What becomes of gold that can be fetched again.
    pub url_gold: UrlGold,
    /// Whether fetching a URL gives a name's contents, for [`UrlGold::Verified`].
    pub prove_url: Option<ProveUrl<'a>>,
    /// The hosts from which gold can be fetched.
    pub hosts: Hosts,
    /// The dump.
    pub dump: DumpSource<'a>,
    /// PostgreSQL's client programs.
    pub programs: &'a Programs,
    /// Of several FOSSology databases in one dump, the one to take.
    pub database: Option<String>,
    /// The directory of FOSSology's configuration.
    pub sysconfdir: Option<&'a Path>,
    /// Take the configuration with the passwords in it.
    pub with_passwords: bool,
    /// Take logs/ and report/ too.
    pub with_logs: bool,
    /// How the repository is read.
    pub low_impact: LowImpact,
    /// Threads; at least 1.
    pub threads: usize,
    /// Where scratch files go.
    pub scratch: &'a Path,
}

/// A set that was made.
pub struct Made {
    /// Its id.
    pub id: SetId,
    /// Its record, as it was written.
    pub record: SetRecord,
    /// What was wrong, of what concerns the set.
    pub findings: Spool,
    /// Gold in the set that `--url-gold skip` would leave out.
    pub skip_would_save: Amount,
    /// The names of uploads, for reports.
    pub catalog: Catalog,
    /// What was dumped, for a person.
    pub origin: String,
    /// What was looked at of the repository.
    pub coverage: check::Coverage,
    /// The shards that were looked at completely.
    pub complete_shards: Vec<Shard>,
}

/// Makes sure that a database can be dumped: it is FOSSology's server that answers, and the client
/// programs are not older than it.
pub fn can_dump(
    parameters: &ConnectionParameters,
    programs: &Programs,
) -> Result<(), ProgramError> {
    let server = server_version(parameters)?;
    programs.require(&["pg_dump", "pg_dumpall", "pg_restore"], &server)
}

/// Makes a set of the repository and its database. `live` is asked again about what seems to be
/// missing.
pub fn run(
    store: &Store,
    tree: &Tree,
    live: Option<&dyn LiveRows>,
    request: &Request<'_>,
    monitor: &dyn Monitor,
) -> Result<Made, BackupError> {
    let lock = WriteLock::take(store, "backup")?;
    run_locked(store, &lock, tree, live, request, monitor)
}

/// As [`run`], for who has locked the store already and has done something since.
pub fn run_locked(
    store: &Store,
    _lock: &WriteLock,
    tree: &Tree,
    live: Option<&dyn LiveRows>,
    request: &Request<'_>,
    monitor: &dyn Monitor,
) -> Result<Made, BackupError> {
    let root = store.path();
    // Opened before anything is written: what cannot be put on disk from here on is told at the end.
    let root = File::open(root).map_err(|source| failed("open", root, source))?;
    let listed = store.list(monitor)?;
    store.warn_of_open_sets(&listed.finished, monitor);
    for id in &listed.finished {
        remove_catalog(&store.layout().set(*id))?;
    }
    let older = listed.partial;
    for id in &older {
        keep_only_catalog(&store.layout().partial(*id))?;
    }
    let id = new_id(store, request.kind)?;
    let directory = store.layout().partial(id);
    make_directory(&directory)?;
    let making = Making {
        store,
        tree,
        request,
        monitor,
        id,
        directory,
        root,
    };
    let made = making.make(live)?;
    // Until here their catalogs kept what they name from being pruned.
    for id in older {
        remove_partial(&store.layout().partial(id))?;
    }
    Ok(made)
}

/// An id that no set bears: of now, or of the next free second.
fn new_id(store: &Store, kind: SetKind) -> Result<SetId, StoreError> {
    let layout = store.layout();
    loop {
        let id = SetId::new(Timestamp::now(), kind);
        let paths = [layout.set(id), layout.partial(id), layout.removed(id)];
        if paths.iter().all(|path| !path.exists()) {
            return Ok(id);
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

/// Empties a set in the making that was interrupted, but for the catalog of what it counts on in the
/// pool: night after night of it, the dumps would fill the store.
fn keep_only_catalog(directory: &Path) -> Result<(), StoreError> {
    let entries = std::fs::read_dir(directory).map_err(|e| failed("read", directory, e))?;
    for entry in entries {
        let entry = entry.map_err(|source| failed("read", directory, source))?;
        if entry.file_name() == CATALOG_FILE {
            continue;
        }
        let path = entry.path();
        let is_directory = entry.file_type().is_ok_and(|ty| ty.is_dir());
        let removed = if is_directory {
            std::fs::remove_dir_all(&path)
        } else {
            std::fs::remove_file(&path)
        };
        removed.map_err(|source| failed("remove", &path, source))?;
    }
    Ok(())
}

/// Puts the files of a set on disk, and its directories.
fn sync_files(directory: &Path) -> Result<(), StoreError> {
    let entries = std::fs::read_dir(directory).map_err(|e| failed("read", directory, e))?;
    for entry in entries {
        let path = entry.map_err(|e| failed("read", directory, e))?.path();
        if path.is_dir() {
            sync_files(&path)?;
        } else if path.file_name() != Some(CATALOG_FILE.as_ref()) {
            sync_file(&path).map_err(|source| failed("sync", &path, source))?;
        }
    }
    super::sync_directory(directory)
}

/// Takes away the catalog that a set was made by: its dump says the same.
fn remove_catalog(set: &Path) -> Result<(), StoreError> {
    let path = set.join(CATALOG_FILE);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(failed("remove", &path, error))
        }
        _ => Ok(()),
    }
}

fn remove_partial(directory: &Path) -> Result<(), StoreError> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(failed("remove", directory, error))
        }
        _ => Ok(()),
    }
}

/// A set in the making.
struct Making<'a> {
    store: &'a Store,
    tree: &'a Tree,
    request: &'a Request<'a>,
    monitor: &'a dyn Monitor,
    id: SetId,
    directory: PathBuf,
    /// The store's directory.
    root: File,
}

impl Making<'_> {
    fn make(&self, live: Option<&dyn LiveRows>) -> Result<Made, BackupError> {
        let request = self.request;
        let mut record = SetRecord::of(self.id, request.url_gold);
        let (dump, globals) = self.take_dump()?;
        record.globals = globals;
        let (catalog, file) = self.read_catalog(dump)?;
        // A dump is large; it is on disk by the time that the tree has been looked at.
        let syncing = Syncing::begin(&file.path(&self.directory));
        record.dump = self.dump_record(file)?;
        let summary = catalog.summary();
        record.source = self.source(summary);
        record.rows = RowCounts {
            uploads: summary.uploads.len() as u64,
            pfiles: summary.pfile_rows,
            tree_rows: summary.tree_rows,
        };
        let (vouchers, held) = self.vouchers()?;
        self.say_what_room_it_needs(&catalog, held);
        let selection = Selection::of(request.kind, request.url_gold, request.hosts, summary);
        let pool = Pool::new(
            self.store,
            vouchers,
            self.store.damaged()?,
            &request.low_impact,
            self.monitor,
        );
        let (outcome, collected) = self
            .copy(&catalog, live, &selection, &pool)
            // One thread met the reason; the others only know that they had to stop.
            .map_err(|error| pool.take_failure().map_or(error, BackupError::from))?;
        record.counts = counts(&collected.amounts, pool.new_contents());
        let skip_would_save = collected.amounts.skip_would_save;
        let manifest = collected.end().map_err(StoreError::from)?;
        record.manifest = manifest_record(&manifest);
        let findings = findings::of_set(&outcome, &catalog, &selection, request.scratch)?;
        record.findings = findings::record(&findings, &self.directory)?;
        if let Some(sysconfdir) = request.sysconfdir {
            let with_passwords = request.with_passwords;
            record.sysconf =
                configuration::copy(sysconfdir, &self.directory, with_passwords, self.monitor)?;
        }
        if request.with_logs {
            record.logs = Some(logs::pack(self.tree, &self.directory, self.monitor)?);
        }
        if self.monitor.stopped() {
            return Err(StoreError::Stopped.into());
        }
        record.complete = outcome.complete;
        syncing.finish()?;
        self.finish(&mut record, pool.needs_sync())?;
        let healed = pool.healed();
        if !healed.is_empty() {
            self.store
                .note_damaged(|names| names.retain(|name| !healed.contains(name)))?;
        }
        Ok(Made {
            id: self.id,
            record,
            findings,
            skip_would_save,
            catalog,
            origin: request.dump.origin(),
            coverage: outcome.coverage,
            complete_shards: outcome.complete_shards,
        })
    }

    /// Reads the catalog out of the set's own dump, and keeps it until the set is finished: it says
    /// which of the pool's files a set in the making counts on.
    fn read_catalog(&self, dump: Dump) -> Result<(Catalog, FileRecord), BackupError> {
        let options = DumpOptions {
            database: self.request.database.clone(),
            bindir: self.request.programs.directory().map(Path::to_owned),
            ..DumpOptions::default()
        };
        self.monitor.phase(Phase::ReadRows, None);
        let path = self.directory.join(CATALOG_FILE);
        // Under its name it is whole: prune deletes nothing where it finds one that is cut.
        let half = path.with_extension("part");
        let file = super::durable::create_read_write(&half)?;
        let input = match &dump {
            Dump::There(file) => Input::open(&file.path(&self.directory))?,
            Dump::Coming(coming) => coming.input(),
        };
        let catalog = crate::catalog::dump::read_catalog(
            input,
            &options,
            self.request.scratch,
            Some((file, &half)),
            self.request.threads,
            self.monitor,
        );
        if let Dump::Coming(coming) = &dump
            && let Some(error) = coming.failure()
        {
            return Err(error);
        }
        let catalog = catalog?;
        let file = match dump {
            Dump::There(file) => file,
            Dump::Coming(coming) => coming.finish(self.monitor)?,
        };
        std::fs::rename(&half, &path).map_err(|source| failed("rename", &half, source))?;
        Ok((catalog, file))
    }

    /// What sets vouch for in the pool: the newest of each kind, and where a wrong clock has made
    /// that one, the newest that is not from the future too. And how many bytes the largest of them has
    /// there.
    fn vouchers(&self) -> Result<(Vec<Voucher>, u64), BackupError> {
        let now = Timestamp::now();
        let mut newest: Vec<SetId> = Vec::new();
        for id in self.store.sets(self.monitor)?.into_iter().rev() {
            let is_newer = |known: &SetId| {
                known.kind == id.kind && (id.is_of_the_future(now) || !known.is_of_the_future(now))
            };
            if !newest.iter().any(is_newer) {
                newest.push(id);
            }
        }
        let mut vouchers = Vec::new();
        let mut held = 0;
        for id in newest {
            match self.voucher(id) {
                Ok((manifest, bytes)) => {
                    vouchers.push(Voucher::new(manifest));
                    held = bytes.max(held);
                }
                Err(StoreError::Stopped) => return Err(StoreError::Stopped.into()),
                Err(error) => self.monitor.warn(&format!(
                    "{error}{}; what set {id} has in the pool is read and proven again",
                    std::error::Error::source(&error)
                        .map_or(String::new(), |cause| format!(": {cause}"))
                )),
            }
        }
        Ok((vouchers, held))
    }

    /// The manifest of a set, when it is as it was written: what it says goes into the next one.
    /// And the bytes that the set has in the pool.
    fn voucher(&self, id: SetId) -> Result<(Frames<File>, u64), StoreError> {
        let record = self.store.record(id)?;
        let mut reader = digest::Reader::default();
        let directory = self.store.layout().set(id);
        digest::intact(&record.manifest.file, &directory, &mut reader, self.monitor)?;
        let manifest = self.store.manifest_frames(id, &record)?;
        Ok((manifest, record.counts.pool.bytes))
    }

    fn copy(
        &self,
        catalog: &Catalog,
        live: Option<&dyn LiveRows>,
        selection: &Selection,
        pool: &Pool<'_>,
    ) -> Result<(Outcome, Collected), BackupError> {
        let request = self.request;
        let options = check::Options {
            types: vec![
                RepositoryType::Gold,
                RepositoryType::Files,
                RepositoryType::License,
            ],
            verify: false,
            sha256: false,
            slice: check::Slice::ALL,
            allow_empty: false,
            threads: request.threads,
            scratch: request.scratch.to_owned(),
            low_impact: request.low_impact.clone(),
        };
        let origin = request.dump.origin();
        let path = self.directory.join(MANIFEST_FILE);
        let target = Target {
            file: super::durable::create_read_write(&path)?,
            path,
        };
        let mut collector = Collector::new(
            selection,
            &origin,
            Some(pool),
            request.scratch,
            Some(target),
        )
        .map_err(StoreError::from)?
        .sparing(&request.low_impact)
        .in_threads(request.threads);
        if let Some(prove_url) = request.prove_url {
            collector = collector.proving_urls(prove_url);
        }
        let held = Held::of(self.store)?;
        let backups: [&dyn Backups; 1] = [&held];
        let aids = Aids {
            live,
            companion: Some(&collector),
            backups: &backups,
            ..Aids::default()
        };
        let outcome = check::run_with(self.tree, catalog, aids, &options, self.monitor)?;
        if self.monitor.stopped() {
            return Err(StoreError::Stopped.into());
        }
        let collected = collector
            .finish(self.tree, catalog, &outcome, self.monitor)
            .map_err(check::CheckError::Companion)?;
        Ok((outcome, collected))
    }

    fn source(&self, summary: &crate::catalog::Summary) -> SourceRecord {
        let layout = self.tree.layout();
        let path = self.tree.path();
        SourceRecord {
            host: rustix::system::uname()
                .nodename()
                .to_string_lossy()
                .into_owned(),
            repository: std::path::absolute(path)
                .unwrap_or_else(|_| path.to_owned())
                .display()
                .to_string(),
            depth: layout.depth,
            hosts: layout.hosts.lines().collect(),
            // A dump of one database does not say which.
            database: match &self.request.dump {
                DumpSource::Live(parameters) => Some(parameters.database().to_owned()),
                _ => summary.provenance.database.clone(),
            },
            server_version: summary.provenance.server_version.clone(),
        }
    }

    /// Puts everything on disk, and gives the set its name.
    ///
    /// `all` asks for the whole file system. Where the pool holds nothing new, the set's own files are
    /// enough: nobody else's data is forced out then.
    fn finish(&self, record: &mut SetRecord, all: bool) -> Result<(), StoreError> {
        record.finished = super::now();
        record.write(&self.directory)?;
        if all {
            let path = self.store.path();
            rustix::fs::syncfs(&self.root).map_err(|source| failed("sync", path, source.into()))?;
        } else {
            sync_files(&self.directory)?;
        }
        let set = self.store.layout().set(self.id);
        rename(&self.directory, &set)?;
        // Until the set has its name, the catalog keeps its contents from being pruned.
        remove_catalog(&set)
    }

    /// Says what room the contents need, of which some sets have `held` bytes already. How much of
    /// that is the same shows only as the work goes on.
    fn say_what_room_it_needs(&self, catalog: &Catalog, held: u64) {
        let summary = catalog.summary();
        let (what, all) = match self.request.kind {
            SetKind::GoldOnly => ("new gold", summary.gold),
            SetKind::Full => ("new files of uploads", summary.files),
        };
        if let Ok(free) = free_room(self.store.path()) {
            self.monitor.room(&Room {
                what,
                place: self.store.path(),
                need: all.bytes.saturating_sub(held),
                free,
            });
        }
    }
}

/// What a set's record says of its manifest.
fn manifest_record(manifest: &Whole) -> ManifestRecord {
    ManifestRecord {
        file: FileRecord {
            file: MANIFEST_FILE.to_owned(),
            bytes: manifest.bytes,
            blake3: manifest.blake3,
        },
        entries: manifest.footer.entries,
    }
}

/// What a set's record says of its files.
fn counts(amounts: &Amounts, new: Amount) -> Counts {
    let reasons = [
        (LEFT_TO_URLS, amounts.left_out.fetched),
        (LEFT_TO_UNPACKING, amounts.left_out.unpacked),
        (LEFT_WITHOUT_GOLD, amounts.left_out.without_gold),
        ("nothing uses it", amounts.left_out.unused),
        (
            "gold of which no good copy was found",
            amounts.left_out.gold_not_found,
        ),
        (
            "listings of which no good copy was found",
            amounts.left_out.listings_not_found,
        ),
        ("no good copy was found", amounts.left_out.files_not_found),
    ];
    Counts {
        gold: amounts.gold,
        files: amounts.files,
        license: amounts.license,
        listings: amounts.listings,
        pool: amounts.held(),
        new,
        left_out: reasons
            .into_iter()
            .filter(|(_, amount)| amount.files > 0)
            .map(|(reason, amount)| LeftOut {
                reason: reason.to_owned(),
                files: amount.files,
                bytes: amount.bytes,
            })
            .collect(),
    }
}

/// Counts and digests what is written.
struct Digesting<W = File> {
    out: W,
    digest: blake3::Hasher,
    bytes: u64,
}

impl<W> Digesting<W> {
    fn new(out: W) -> Digesting<W> {
        Digesting {
            out,
            digest: blake3::Hasher::new(),
            bytes: 0,
        }
    }

    /// What was written so far.
    fn record(&self, name: &str) -> FileRecord {
        FileRecord {
            file: name.to_owned(),
            bytes: self.bytes,
            blake3: *self.digest.finalize().as_bytes(),
        }
    }
}

impl<W: std::io::Write> std::io::Write for Digesting<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.digest.update(&bytes[..count]);
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}
