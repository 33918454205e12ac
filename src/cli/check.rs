//! `fogold check`: the repository against the database.

use std::io::{BufWriter, IsTerminal};
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::error::Failure;
use super::interrupt::Interrupt;
use super::output_file::OutputFile;
use super::progress::Progress;
use super::source::Source;
use super::{Color, Global, exit, place};
use crate::check::{self, FailOn, Options, Slice, Spool};
use crate::monitor::Monitor;
use crate::report::{self, Clock, Format, Report, Style};
use crate::sysconf::RepositoryType;

/// Hold the repository against the database
///
/// Finds what is missing, damaged, orphaned or misplaced, and says how each can be recovered.
/// Nothing is changed, neither in the repository nor in the database. FOSSology may go on working:
/// with a live database, findings that work in progress can explain are looked at again at the end.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// Read contents too, and prove each name: sha1, md5 and size
    ///
    /// Without it, names, lengths, places and modes are checked, and no file is opened.
    #[arg(long)]
    verify: bool,
    /// Also prove the sha256 of the rows (with --verify)
    #[arg(long, requires = "verify")]
    sha256: bool,
    /// Read only part I of N of the contents; auto/N takes the part of the day
    ///
    /// Run every day with auto/N, it reads everything once in N days. N is at most 256. Only the
    /// reading of --verify is limited; everything else is checked in full each time.
    #[arg(long, value_name = "I/N|auto/N", default_value = "1/1")]
    slice: Slice,
    /// Report on these types only
    ///
    /// Findings about uploads are reported whatever the types.
    #[arg(
        long,
        value_name = "TYPE,…",
        value_delimiter = ',',
        default_value = "gold,files,license"
    )]
    types: Vec<CheckedType>,
    /// Exit with 1 from this severity on, or at this kind of finding, or never
    ///
    /// The severities, the worst first: loss, recoverable, waste, notice. The kinds of finding are
    /// listed in fogold-check(1).
    #[arg(
        long,
        value_name = "KIND|SEVERITY|never",
        default_value = "recoverable"
    )]
    fail_on: FailOn,
    /// Check also what is empty although the database knows files there
    ///
    /// Without it, a repository, or one host's part of it, that is empty although it should hold
    /// files is an error ("is it mounted?", exit status 3), and not a repository that lost them all.
    #[arg(long)]
    allow_empty: bool,
    /// The form of the report on standard output
    #[arg(long, value_enum, default_value = "text")]
    format: ReportFormat,
    /// Write the report also to a file, in the form of its ending: .txt, .json or .ndjson
    ///
    /// May be given more than once. The file is replaced when the new one is whole.
    #[arg(long, value_name = "FILE")]
    report: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum CheckedType {
    Gold,
    Files,
    License,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ReportFormat {
    /// For people: a verdict, a table, the findings and what to do about them
    Text,
    /// One object with everything in it
    Json,
    /// A line a finding, the report object last
    Ndjson,
}

impl From<ReportFormat> for Format {
    fn from(format: ReportFormat) -> Format {
        match format {
            ReportFormat::Text => Format::Text,
            ReportFormat::Json => Format::Json,
            ReportFormat::Ndjson => Format::Ndjson,
        }
    }
}

impl Arguments {
    fn types(&self) -> Vec<RepositoryType> {
        let mut types: Vec<RepositoryType> = self
            .types
            .iter()
            .map(|ty| match ty {
                CheckedType::Gold => RepositoryType::Gold,
                CheckedType::Files => RepositoryType::Files,
                CheckedType::License => RepositoryType::License,
            })
            .collect();
        types.sort_unstable();
        types.dedup();
        types
    }

    /// The files to write a report to, with their formats.
    fn report_files(&self) -> Result<Vec<(PathBuf, Format)>, Failure> {
        let of = |path: &PathBuf| match Format::of_path(path) {
            Some(format) => Ok((path.clone(), format)),
            None => Err(Failure::misuse(format_args!(
                "--report {}: the ending must be one of .txt, .json, .ndjson",
                path.display()
            ))),
        };
        self.report.iter().map(of).collect()
    }
}

pub(super) fn run(
    global: &Global,
    arguments: &Arguments,
    progress: &Progress,
    interrupt: &Interrupt,
) -> Result<u8, Failure> {
    let clock = Clock::start();
    let files = arguments.report_files()?;
    let output = Output {
        format: arguments.format.into(),
        style: style(global.color),
        quiet: global.quiet,
        files,
    };
    let result = attempt(global, arguments, progress, interrupt, &output, clock);
    interrupt.forget_last_word();
    if let Err(failure) = &result {
        let report = Report::of_failure(clock, failure.status, &failure.to_string());
        output.write_failure(&report, progress);
    }
    result
}

/// Checks and reports; a failure is reported by the caller.
fn attempt(
    global: &Global,
    arguments: &Arguments,
    progress: &Progress,
    interrupt: &Interrupt,
    output: &Output,
    clock: Clock,
) -> Result<u8, Failure> {
    if !arguments.slice.is_all() && !arguments.verify {
        progress.warn("--slice says which contents to read, and without --verify none are read");
    }
    let sysconf = place::sysconf(global)?;
    let tree = place::tree(global, sysconf.as_ref())?;
    output.refuse_inside(tree.path())?;
    progress.tell(&format!(
        "repository {}, depth {}, hosts {:?}, {}",
        tree.path().display(),
        tree.layout().depth,
        tree.layout().hosts.names().collect::<Vec<_>>(),
        match &sysconf {
            Some(sysconf) => format!("configured in {}", sysconf.directory.display()),
            None => "as found, without configuration".to_owned(),
        }
    ));
    let last = output.clone();
    interrupt.set_last_word(Box::new(move || {
        // The process ends here; there is nobody to tell of a closed output.
        let _ = last.write(&Report::of_nothing(clock), None);
    }));
    let options = Options {
        types: arguments.types(),
        verify: arguments.verify,
        sha256: arguments.sha256,
        slice: arguments.slice,
        allow_empty: arguments.allow_empty,
        threads: global.threads(),
        scratch: global.scratch.clone(),
    };
    let checked = Source::find(global, sysconf.as_ref(), progress).and_then(|source| {
        let catalog = source.read(global, sysconf.as_ref(), None, progress)?;
        let live = source.live_rows();
        let outcome = check::run(&tree, &catalog, live, &options, progress)?;
        Ok((outcome, catalog))
    });
    interrupt.forget_last_word();
    progress.finish();
    let (outcome, catalog) = match checked {
        Ok(checked) => checked,
        Err(_) if progress.stopped() => {
            output.write(&Report::of_nothing(clock), None)?;
            return Ok(exit::WORLD);
        }
        Err(failure) => return Err(failure),
    };
    let report = Report::of_check(
        &outcome,
        &tree,
        &catalog,
        &options,
        arguments.fail_on,
        clock,
    );
    output.write(&report, Some(&outcome.findings))?;
    Ok(report.exit_status)
}

/// Where reports go.
#[derive(Clone)]
struct Output {
    format: Format,
    style: Style,
    quiet: bool,
    files: Vec<(PathBuf, Format)>,
}

impl Output {
    fn write(&self, report: &Report, findings: Option<&Spool>) -> Result<(), Failure> {
        for (path, format) in &self.files {
            write_file(path, *format, report, findings)?;
        }
        if self.quiet && report.exit_status == exit::DONE {
            return Ok(());
        }
        self.print(report, findings)
    }

    /// Tells programs that there was no check: an old report would go on saying that all is well.
    /// People are told on standard error.
    fn write_failure(&self, report: &Report, progress: &Progress) {
        for (path, format) in &self.files {
            if let Err(failure) = write_file(path, *format, report, None) {
                progress.warn(&failure.to_string());
            }
        }
        // Nothing was tried, so there is nothing to report but to the files.
        let is_tried = report.exit_status == exit::WORLD;
        if is_tried
            && self.format != Format::Text
            && let Err(failure) = self.print(report, None)
        {
            progress.warn(&failure.to_string());
        }
    }

    /// Nothing is ever written into the repository.
    fn refuse_inside(&self, root: &Path) -> Result<(), Failure> {
        let root = std::fs::canonicalize(root)?;
        for (path, _) in &self.files {
            let path = std::path::absolute(path)?;
            let directory = path.parent().unwrap_or(&path);
            if std::fs::canonicalize(directory).is_ok_and(|place| place.starts_with(&root)) {
                return Err(Failure::misuse(format_args!(
                    "--report {}: inside the repository, where fogold writes nothing",
                    path.display()
                )));
            }
        }
        Ok(())
    }

    fn print(&self, report: &Report, findings: Option<&Spool>) -> Result<(), Failure> {
        let mut out = BufWriter::with_capacity(1 << 16, std::io::stdout().lock());
        match report::write(report, findings, self.format, self.style, &mut out) {
            // Whoever read the beginning has seen enough.
            Err(report::ReportError::Output(error))
                if error.kind() == std::io::ErrorKind::BrokenPipe =>
            {
                let _ = out.into_parts();
                Ok(())
            }
            other => Ok(other?),
        }
    }
}

/// Writes a report file.
fn write_file(
    path: &Path,
    format: Format,
    report: &Report,
    findings: Option<&Spool>,
) -> Result<(), Failure> {
    let output = OutputFile::create(path, 0o640)?;
    let mut out = BufWriter::new(output.file()?);
    report::write(report, findings, format, Style::default(), &mut out)?;
    drop(out);
    output.keep()
}

/// The style that a choice of colours means for standard output.
pub(super) fn style(color: Color) -> Style {
    let color = match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => {
            std::io::stdout().is_terminal()
                && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
        }
    };
    Style { color }
}
