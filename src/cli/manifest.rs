//! `fogold manifest`: what a set would hold.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::error::Failure;
use super::interrupt::Interrupt;
use super::output::{with_format, write_file};
use super::output_file::OutputFile;
use super::past::Past;
use super::programs::ProgramArguments;
use super::progress::Progress;
use super::source::Source;
use super::{Global, exit, place};
use crate::catalog::{Catalog, Hosts};
use crate::check::{self, Aids};
use crate::manifest::fetch::{FetchOptions, Fetcher};
use crate::manifest::formats::{self, bagit, list};
use crate::manifest::{Collected, Collector, Selection, SetKind, UrlGold};
use crate::monitor::{Monitor, Phase, free_room};
use crate::report::{Clock, Format, ManifestReport, Report, Run};
use crate::repository::{RepositoryName, Tree};

/// Say what a backup set would hold, in a form for other programs
///
/// Nothing is changed, neither in the repository nor in the database. The manifest goes to -o; what
/// is in it, what is left out and why, is told in a table.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    #[command(flatten)]
    selection: SelectionArguments,
    /// The form of the manifest
    #[arg(long, value_enum, default_value = "jsonl")]
    format: ManifestFormat,
    /// End each path with a zero byte instead of a line end (with --format files-from)
    #[arg(short = '0', long = "null")]
    null: bool,
    /// The file to write, '-' for standard output; for bagit, a directory that is not there yet
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
    /// Write the table also to a file, in the form of its ending: .txt, .json, .ndjson, .html, .prom
    #[arg(long, value_name = "FILE")]
    report: Vec<PathBuf>,
    #[command(flatten)]
    programs: ProgramArguments,
}

/// What a set is to hold.
#[derive(clap::Args, Debug)]
#[command(group(clap::ArgGroup::new("kind").required(true).args(["gold_only", "full"])))]
pub(super) struct SelectionArguments {
    /// Gold, and the listings that no unpacking writes again: FOSSology unpacks the rest
    #[arg(long)]
    gold_only: bool,
    /// Every file that the database knows, and license/
    #[arg(long)]
    full: bool,
    /// What to do with gold that can be fetched again from the URL of an upload
    #[arg(long, value_enum, value_name = "WHAT", default_value = "keep")]
    url_gold: UrlGoldChoice,
    /// Let URLs of this machine and its own link count, too
    ///
    /// Without it, gold that came from a loopback or link-local host is kept.
    #[arg(long)]
    allow_local_urls: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum UrlGoldChoice {
    /// Leave it out
    Skip,
    /// Keep it, and say what leaving it out would save
    Keep,
    /// Fetch it now, and leave it out when it is the same
    Verified,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ManifestFormat {
    /// fogold's own: an object a line, with a footer that proves it whole
    Jsonl,
    /// Paths, for rsync --files-from, tar -T, restic and borg
    FilesFrom,
    /// Checksums and paths, for sha1sum -c
    Sha1sum,
    /// A bag (RFC 8493) with copies of the files
    Bagit,
}

impl SelectionArguments {
    pub(super) fn kind(&self) -> SetKind {
        if self.gold_only {
            SetKind::GoldOnly
        } else {
            SetKind::Full
        }
    }

    pub(super) fn url_gold(&self) -> UrlGold {
        match self.url_gold {
            UrlGoldChoice::Skip => UrlGold::Skip,
            UrlGoldChoice::Keep => UrlGold::Keep,
            UrlGoldChoice::Verified => UrlGold::Verified,
        }
    }

    pub(super) fn hosts(&self) -> Hosts {
        if self.allow_local_urls {
            Hosts::Any
        } else {
            Hosts::Remote
        }
    }

    /// What fetches gold, when it is to be verified.
    pub(super) fn fetcher(&self) -> Result<Option<Fetcher>, Failure> {
        if self.url_gold() != UrlGold::Verified {
            return Ok(None);
        }
        let options = FetchOptions {
            hosts: self.hosts(),
            ..FetchOptions::default()
        };
        Ok(Some(Fetcher::new(options)?))
    }
}

/// Whether a URL gives a name's contents now; tells why when it does not.
pub(super) fn gives(
    fetcher: &Fetcher,
    url: &str,
    name: &RepositoryName,
    progress: &Progress,
) -> bool {
    match fetcher.fetch(url, name, &mut std::io::sink(), progress) {
        Ok(_) => true,
        Err(_) if progress.stopped() => false,
        Err(error) => {
            let failure = Failure::from(error);
            progress.warn(&format!("{failure}; the file is kept in the set"));
            false
        }
    }
}

pub(super) fn run(
    global: &Global,
    arguments: &Arguments,
    progress: &Progress,
    interrupt: &Interrupt,
) -> Result<u8, Failure> {
    let clock = Clock::start();
    let output = Output::of(arguments)?;
    let past = Past::read(global, progress)?;
    let sysconf = place::sysconf(global)?;
    let tree = place::tree(global, sysconf.as_ref())?;
    output.refuse_inside(tree.path())?;
    if let Some(state) = past.directory() {
        place::refuse_inside(tree.path(), state)?;
    }
    interrupt.set_last_word(Box::new(last_word));
    let fetcher = arguments.selection.fetcher()?;
    let source = Source::find(global, sysconf.as_ref(), progress)?;
    let programs = arguments.programs.programs();
    let catalog = source.read(global, sysconf.as_ref(), &programs, None, progress)?;
    let selection = Selection::of(
        arguments.selection.kind(),
        arguments.selection.url_gold(),
        arguments.selection.hosts(),
        catalog.summary(),
    );
    let prove_url = |url: &str, name: &RepositoryName| {
        let fetcher = fetcher.as_ref();
        fetcher.is_some_and(|fetcher| gives(fetcher, url, name, progress))
    };
    let origin = &catalog.summary().provenance.origin;
    let collector = Collector::new(&selection, origin, None, &global.scratch, None)?
        .proving_urls(&prove_url)
        .in_threads(global.threads());
    let aids = Aids {
        live: source.live_rows(),
        companion: Some(&collector),
        ..Aids::default()
    };
    let outcome = check::run_with(
        &tree,
        &catalog,
        aids,
        &check::Options::of_listing(global.threads(), &global.scratch),
        progress,
    )?;
    if progress.stopped() {
        return Err(stopped());
    }
    if !outcome.complete {
        return Err(Failure::incomplete(
            "the repository could not be read completely, so no manifest was written: 'fogold check' says where",
        ));
    }
    let collected = collector.finish(&tree, &catalog, &outcome, progress)?;
    let (kind, url_gold) = (selection.kind, selection.url_gold);
    let mut report = ManifestReport::new(kind, url_gold, &collected.amounts, &outcome, clock);
    let making = Making {
        global,
        tree: &tree,
        catalog: &catalog,
        collected: &collected,
        selection: &selection,
        progress,
        interrupt,
    };
    making.write(&output, &mut report)?;
    interrupt.forget_last_word();
    progress.finish();
    let status = if report.lacking() > 0 {
        exit::FINDINGS
    } else {
        exit::DONE
    };
    report.finish(status, clock);
    output.tell(&report, &past, global.quiet)?;
    Ok(status)
}

/// What is said when a signal ends a wait.
fn last_word() {
    // The process ends here; there is nobody to tell that standard error is closed.
    let _ = writeln!(
        std::io::stderr(),
        "fogold: stopped; no manifest was written"
    );
}

fn stopped() -> Failure {
    Failure::incomplete("stopped; no manifest was written")
}

/// A manifest that was collected, and is to be written.
struct Making<'a> {
    global: &'a Global,
    tree: &'a Tree,
    catalog: &'a Catalog,
    collected: &'a Collected,
    selection: &'a Selection,
    progress: &'a Progress,
    interrupt: &'a Interrupt,
}

impl Making<'_> {
    fn write(&self, output: &Output, report: &mut ManifestReport) -> Result<(), Failure> {
        if let Form::Bag = output.form {
            return self.write_bag(&output.path, report);
        }
        if output.is_stdout() {
            let mut out = BufWriter::with_capacity(1 << 16, std::io::stdout().lock());
            // What is printed half cannot be taken back; its last line, or the status, tells.
            self.write_to(output.form, &mut out, report)?;
            return Ok(out.flush()?);
        }
        let file = OutputFile::create(&output.path, 0o640)?;
        let half = file.half();
        self.interrupt.set_last_word(Box::new(move || {
            // It has no use; that it cannot be removed either changes nothing.
            let _ = std::fs::remove_file(&half);
            last_word();
        }));
        let mut out: BufWriter<File> = BufWriter::new(file.file()?);
        self.write_to(output.form, &mut out, report)?;
        out.flush()?;
        drop(out);
        file.keep()
    }

    fn write_to(
        &self,
        form: Form,
        out: &mut dyn Write,
        report: &mut ManifestReport,
    ) -> Result<(), Failure> {
        let format = match form {
            Form::List(format) => format,
            Form::Jsonl | Form::Bag => {
                self.collected.write_jsonl(out)?;
                return Ok(());
            }
        };
        self.progress.phase(Phase::WriteManifest, None);
        let totals = list::write(
            self.source(),
            format,
            out,
            &self.global.scratch,
            self.global.threads(),
            self.progress,
        )?;
        report.note_gone(totals.gone);
        Ok(())
    }

    fn write_bag(&self, place: &Path, report: &mut ManifestReport) -> Result<(), Failure> {
        self.progress.phase(Phase::WriteManifest, None);
        self.make_sure_of_room(place)?;
        let options = bagit::BagOptions {
            place,
            kind: self.selection.kind,
            scratch: &self.global.scratch,
            threads: self.global.threads(),
        };
        let bag = bagit::write(self.source(), self.catalog, options, self.progress)?;
        report.note_bag(&bag);
        if !bag.has_sha256 {
            self.progress.note(
                "the bag has no manifest-sha256.txt: of some gold that is left out no sha256 is known",
            );
        }
        Ok(())
    }

    /// Says what room a bag needs and has, and refuses one that would not fit.
    fn make_sure_of_room(&self, place: &Path) -> Result<(), Failure> {
        let amounts = &self.collected.amounts;
        let mut need = amounts.held().bytes;
        if self.selection.kind == SetKind::Full {
            // Gold is in files/ too.
            need += amounts.gold.bytes;
        }
        let directory = match place.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let free = free_room(directory)?;
        let [need_text, free_text] = [need, free].map(crate::report::bytes_for_people);
        let room = format!(
            "the bag needs about {need_text} in {}, which has {free_text}",
            directory.display()
        );
        if free < need {
            return Err(Failure::incomplete(room));
        }
        self.progress.note(&room);
        Ok(())
    }

    fn source(&self) -> formats::Source<'_> {
        formats::Source {
            tree: self.tree,
            collected: self.collected,
        }
    }
}

/// The form of a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Jsonl,
    List(list::ListFormat),
    Bag,
}

/// Where the manifest and the table go.
struct Output {
    form: Form,
    path: PathBuf,
    reports: Vec<(PathBuf, Format)>,
}

impl Output {
    fn of(arguments: &Arguments) -> Result<Output, Failure> {
        let form = match (arguments.format, arguments.null) {
            (ManifestFormat::FilesFrom, false) => Form::List(list::ListFormat::Lines),
            (ManifestFormat::FilesFrom, true) => Form::List(list::ListFormat::ZeroEnded),
            (_, true) => return Err(Failure::misuse("-0 goes with --format files-from")),
            (ManifestFormat::Sha1sum, false) => Form::List(list::ListFormat::Sha1Sum),
            (ManifestFormat::Jsonl, false) => Form::Jsonl,
            (ManifestFormat::Bagit, false) => Form::Bag,
        };
        let path = arguments.output.clone();
        if form == Form::Bag && path == Path::new("-") {
            return Err(Failure::misuse("a bag is a directory: name one with -o"));
        }
        let reports = arguments.report.iter().map(|path| with_format(path));
        Ok(Output {
            form,
            path,
            reports: reports.collect::<Result<_, _>>()?,
        })
    }

    fn is_stdout(&self) -> bool {
        self.path == Path::new("-")
    }

    /// Nothing is ever written into the repository.
    fn refuse_inside(&self, root: &Path) -> Result<(), Failure> {
        let manifest = (!self.is_stdout()).then_some(&self.path);
        let reports = self.reports.iter().map(|(path, _)| path);
        for path in manifest.into_iter().chain(reports) {
            place::refuse_inside(root, path)?;
        }
        Ok(())
    }

    /// Writes the table: to standard error when the manifest itself went to standard output.
    fn tell(&self, report: &ManifestReport, past: &Past, is_quiet: bool) -> Result<(), Failure> {
        for (path, format) in &self.reports {
            write_file(path, *format, |out| {
                report.write(*format, &past.history, out)
            })?;
        }
        past.add(&Run::of(&Report::of_manifest(report), false))?;
        if is_quiet && report.exit_status == exit::DONE {
            return Ok(());
        }
        if self.is_stdout() {
            return Ok(report.write_text(&mut std::io::stderr().lock())?);
        }
        Ok(report.write_text(&mut std::io::stdout().lock())?)
    }
}
