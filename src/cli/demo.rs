//! `fogold demo`: a made-up server, damaged, checked, backed up, lost and restored, to see what
//! fogold does.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::error::Failure;
use super::progress::Progress;
use super::{Global, exit, output};
use crate::catalog::dump::{self, DumpOptions, Input};
use crate::catalog::{Catalog, CatalogError, Hosts};
use crate::check::{FailOn, Finding, Options, Outcome, Slice};
use crate::fixtures::{DamagePlan, Expected, FixtureError, Server, ServerSpec, damage};
use crate::manifest::{SetKind, Types, UrlGold};
use crate::monitor::{Monitor, Phase};
use crate::recover::restore::{self, Parts};
use crate::recover::{files, requeue};
use crate::report::{
    self, Clock, Format, History, Report, SameServer, Style, bytes_for_people, counted,
};
use crate::repository::{Access, LowImpact, Tree};
use crate::store::Store;
use crate::store::backup::{self, DumpSource};
use crate::store::layout::SetId;
use crate::sysconf::{Programs, RepositoryType};

/// Files of the made-up server: enough for every kind of damage.
const FILES: u64 = 1_500;
/// Their bytes.
const BYTES: u64 = 12_000_000;
/// Findings that the damage gives.
const DAMAGES: usize = 44;

/// Make up a server, damage it, check it, back it up, lose it, restore it, and explain what one sees
///
/// Everything is made in a temporary directory, which is removed at the end. Neither FOSSology nor
/// PostgreSQL is needed: the database is a dump. So the restore brings back the repository alone, and
/// the unpack jobs are shown instead of queued.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// Make the server in this directory, which must not exist yet, and leave it there
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Another number makes another server
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

pub(super) fn run(
    global: &Global,
    arguments: &Arguments,
    progress: &Progress,
) -> Result<u8, Failure> {
    let clock = Clock::start();
    let (directory, _temporary) = place(global, arguments)?;
    let made_up = MadeUp::make(&directory, arguments.seed)?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    made_up.introduce(&mut out)?;
    out.flush()?;

    let tree = Tree::open(
        &made_up.root,
        made_up.server.layout().clone(),
        Access::default(),
    )?;
    let options = Options {
        types: vec![
            RepositoryType::Gold,
            RepositoryType::Files,
            RepositoryType::License,
        ],
        verify: true,
        sha256: true,
        slice: Slice::ALL,
        allow_empty: false,
        threads: global.threads(),
        scratch: global.scratch.clone(),
        low_impact: LowImpact::default(),
    };
    let catalog = made_up.catalog(&options, progress)?;
    let outcome = crate::check::run(&tree, &catalog, None, &options, progress)?;
    let report = Report::of_check(
        &outcome,
        &tree,
        &catalog,
        &options,
        FailOn::default(),
        clock,
    )
    // Not of the server that this machine may have.
    .to_advise_on(SameServer {
        options: vec![
            "-c".to_owned(),
            directory.join("sysconf").display().to_string(),
        ],
        catalog: Some(directory.join("fossology.sql").display().to_string()),
        stores: Vec::new(),
    });
    progress.finish();
    let style = output::style(global.color);
    report::write(
        &report,
        Some(&outcome.findings),
        Format::Text,
        style,
        &History::default(),
        &mut out,
    )?;
    made_up.explain(&outcome, &mut out)?;
    out.flush()?;
    drop(tree);
    let disaster = Disaster {
        made_up: &made_up,
        store: directory.join("store"),
        options: &options,
        style,
        progress,
    };
    disaster.run(&mut out)?;
    if arguments.keep.is_some() {
        writeln!(
            out,
            "\nThe server is left in {}. Try:\n  fogold check -c {} --catalog {}\n  fogold verify {}",
            directory.display(),
            directory.join("sysconf").display(),
            made_up.dump.display(),
            directory.join("store").display()
        )?;
    }
    out.flush()?;
    Ok(if progress.stopped() {
        exit::WORLD
    } else {
        exit::DONE
    })
}

/// Where the server is made; the guard removes a temporary place.
fn place(
    global: &Global,
    arguments: &Arguments,
) -> Result<(PathBuf, Option<tempfile::TempDir>), Failure> {
    let failed = |path: &Path, source| {
        Failure::from(CatalogError::Io {
            action: "make",
            path: path.to_owned(),
            source,
        })
    };
    if let Some(directory) = &arguments.keep {
        std::fs::create_dir(directory).map_err(|source| failed(directory, source))?;
        return Ok((directory.clone(), None));
    }
    let temporary = tempfile::Builder::new()
        .prefix("fogold-demo-")
        .tempdir_in(&global.scratch)
        .map_err(|source| failed(&global.scratch, source))?;
    Ok((temporary.path().to_owned(), Some(temporary)))
}

/// The server, and what was done to it.
struct MadeUp {
    server: Server,
    root: PathBuf,
    dump: PathBuf,
    expected: Vec<Expected>,
}

impl MadeUp {
    fn make(directory: &Path, seed: u64) -> Result<MadeUp, FixtureError> {
        let spec = ServerSpec {
            seed,
            files: FILES,
            bytes: BYTES,
            ..ServerSpec::default()
        };
        let mut server = Server::build(spec, directory)?;
        let root = directory.join("repository");
        let plan = DamagePlan {
            seed,
            count: DAMAGES,
        };
        let expected = damage::apply(&mut server, &plan)?;
        let dump = directory.join("fossology.sql");
        let file = File::create(&dump).map_err(FixtureError::io("make", &dump))?;
        let mut out = BufWriter::new(file);
        server.write_dump(&mut out)?;
        out.flush().map_err(FixtureError::io("write", &dump))?;
        Ok(MadeUp {
            server,
            root,
            dump,
            expected,
        })
    }

    fn catalog(&self, options: &Options, progress: &Progress) -> Result<Catalog, CatalogError> {
        progress.phase(Phase::ReadRows, None);
        dump::read_catalog(
            Input::open(&self.dump)?,
            &DumpOptions::default(),
            &options.scratch,
            None,
            options.threads,
            progress,
        )
    }

    fn introduce(&self, out: &mut dyn Write) -> std::io::Result<()> {
        let counts = self.server.counts();
        writeln!(
            out,
            "A made-up FOSSology server, with a dump in place of its database:\n  \
             {}, {} ({}), {}, {}",
            counted(counts.uploads, "upload"),
            counted(counts.gold_files + counts.derived_files, "file"),
            bytes_for_people(counts.bytes),
            counted(counts.pfiles, "pfile"),
            counted(counts.tree_rows, "tree row")
        )?;
        writeln!(
            out,
            "Then {} things went wrong with it: every kind that needs neither a bad disk nor work in progress.\n\n\
             How to read the report below: its first line is the verdict. 'loss' is gone for good,\n\
             'recoverable' can be brought back, 'waste' only takes space, a 'notice' is worth knowing.\n\
             'recovery' says how: from a copy in the repository, by having FOSSology unpack an upload\n\
             again, or from the upload's URL. On a real server the exit status would be 1.\n\n\
             $ fogold check --verify --sha256\n",
            self.expected.len()
        )
    }

    /// Says whether the check found the damage, all of it and nothing else.
    fn explain(&self, outcome: &Outcome, out: &mut dyn Write) -> Result<(), Failure> {
        let mut found: Vec<Finding> = Vec::new();
        for (severity, kind, _) in outcome.findings.tallies() {
            found.extend(outcome.findings.first(severity, kind, usize::MAX)?);
        }
        let total = found.len();
        let hits = self
            .expected
            .iter()
            .filter(|expected| {
                let at = found.iter().position(|finding| is(finding, expected));
                at.map(|at| found.swap_remove(at)).is_some()
            })
            .count();
        writeln!(
            out,
            "\n{hits} of the {} damages were found, each once; {} of the {total} findings are about anything else.",
            self.expected.len(),
            found.len()
        )?;
        Ok(())
    }
}

/// The worst day: everything is lost, and brought back from a set.
struct Disaster<'a> {
    made_up: &'a MadeUp,
    store: PathBuf,
    options: &'a Options,
    style: Style,
    progress: &'a Progress,
}

impl Disaster<'_> {
    fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let store = Store::create(&self.store)?;
        let id = self.back_up(&store, out)?;
        std::fs::remove_dir_all(&self.made_up.root)?;
        writeln!(
            out,
            "\nThen the server is lost with everything on it. Only the store is left.\n\
             (A real restore brings the database back first; here the dump stands in for it.)\n\n\
             $ fogold restore store\n"
        )?;
        let (outcome, tree, catalog) = self.restore(&store, id, out)?;
        writeln!(
            out,
            "\nWhat the set left to unpacking, FOSSology unpacks again. The cheapest jobs that bring it back:\n\n\
             $ fogold requeue --dry-run\n"
        )?;
        let scratch = &self.options.scratch;
        let plan = requeue::preview(&outcome, &tree, &catalog, scratch, self.progress)?;
        self.progress.finish();
        write!(out, "{}", super::requeue::plan(&plan))?;
        writeln!(
            out,
            "\nUploads that cannot be unpacked had lost their gold before the backup was made. What still stood of their\n\
             other files was in no gold-only set: mend the gold first, or make a full set, which holds them.\n\
             Next: 'fogold check' on your server. ('fogold demo --keep DIR' leaves this one to play with.)"
        )?;
        Ok(())
    }

    fn back_up(&self, store: &Store, out: &mut dyn Write) -> Result<SetId, Failure> {
        writeln!(
            out,
            "\nA gold-only set of this server: its database, its gold, and what no unpacking writes again.\n\n\
             $ fogold backup store --gold-only\n"
        )?;
        let programs = Programs::default();
        let request = backup::Request {
            kind: SetKind::GoldOnly,
            url_gold: UrlGold::Keep,
            prove_url: None,
            hosts: Hosts::Remote,
            dump: DumpSource::Given(&self.made_up.dump),
            programs: &programs,
            database: None,
            sysconfdir: None,
            with_passwords: false,
            with_logs: false,
            low_impact: LowImpact::default(),
            threads: self.options.threads,
            scratch: &self.options.scratch,
        };
        let clock = Clock::start();
        let tree = self.tree()?;
        let made = backup::run(store, &tree, None, &request, self.progress)?;
        self.progress.finish();
        let report = Report::of_backup(&made, None, store, clock);
        report::write(
            &report,
            None,
            Format::Text,
            self.style,
            &History::default(),
            out,
        )?;
        Ok(made.id)
    }

    fn restore(
        &self,
        store: &Store,
        id: SetId,
        out: &mut dyn Write,
    ) -> Result<(Outcome, Tree, Catalog), Failure> {
        let clock = Clock::start();
        files::make_root(&self.made_up.root)?;
        let tree = self.tree()?;
        let record = store.record(id)?;
        let programs = Programs::default();
        let request = restore::Request {
            store,
            id,
            record: &record,
            parts: Parts {
                database: false,
                types: Types::GOLD.and(Types::FILES).and(Types::LICENSE),
                logs: true,
            },
            database: None,
            clean: false,
            run_deletions: false,
            rewrite_paths: false,
            journal: &self.options.scratch,
            programs: &programs,
            host: None,
            fetcher: None,
            run: "demo",
            threads: self.options.threads,
            dry_run: false,
        };
        let done = restore::run(&request, Some(&tree), self.progress)?;
        let catalog = self.made_up.catalog(self.options, self.progress)?;
        let outcome = crate::check::run(&tree, &catalog, None, self.options, self.progress)?;
        self.progress.finish();
        let report = Report::of_restore(done, &outcome, &tree, &catalog, self.options, clock);
        report::write(
            &report,
            None,
            Format::Text,
            self.style,
            &History::default(),
            out,
        )?;
        Ok((outcome, tree, catalog))
    }

    fn tree(&self) -> Result<Tree, Failure> {
        let layout = self.made_up.server.layout().clone();
        Ok(Tree::open(&self.made_up.root, layout, Access::default())?)
    }
}

/// Whether a finding is the one that was expected.
fn is(finding: &Finding, expected: &Expected) -> bool {
    let agrees = |wanted: &Option<String>, given: Option<&str>| {
        wanted.is_none() || wanted.as_deref() == given
    };
    finding.kind.as_str() == expected.kind
        && agrees(&expected.severity, Some(finding.severity.as_str()))
        && agrees(&expected.path, finding.path.as_deref())
        && agrees(&expected.name, finding.name.as_deref())
        && expected
            .pfile
            .is_none_or(|pfile| finding.pfile.map(i64::from) == Some(pfile))
}
