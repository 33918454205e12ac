//! Where a report goes: standard output, and files.

use std::io::{BufWriter, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use clap::ValueEnum;

use super::error::Failure;
use super::output_file::OutputFile;
use super::progress::Progress;
use super::{Color, Global, exit};
use crate::check::Spool;
use crate::monitor::Monitor;
use crate::report::{self, Clock, Format, Report, Style};

/// The options of every command that reports findings.
#[derive(clap::Args, Debug)]
pub(super) struct OutputArguments {
    /// The form of the report on standard output
    #[arg(long, value_enum, default_value = "text")]
    format: ReportFormat,
    /// Write the report also to a file, in the form of its ending: .txt, .json or .ndjson
    ///
    /// May be given more than once. The file is replaced when the new one is whole.
    #[arg(long, value_name = "FILE")]
    report: Vec<PathBuf>,
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

impl OutputArguments {
    /// Whether standard output is for programs.
    pub(super) fn is_for_programs(&self) -> bool {
        self.format != ReportFormat::Text
    }

    /// Where the options, and those for all commands, say that reports go.
    pub(super) fn output(&self, global: &Global) -> Result<Output, Failure> {
        let of = |path: &PathBuf| match Format::of_path(path) {
            Some(format) => Ok((path.clone(), format)),
            None => Err(Failure::misuse(format_args!(
                "--report {}: the ending must be one of .txt, .json, .ndjson",
                path.display()
            ))),
        };
        Ok(Output {
            format: self.format.into(),
            style: style(global.color),
            quiet: global.quiet,
            files: self.report.iter().map(of).collect::<Result<_, _>>()?,
            refused: OnceLock::new(),
        })
    }
}

/// Where reports go.
#[derive(Clone)]
pub(super) struct Output {
    format: Format,
    style: Style,
    quiet: bool,
    files: Vec<(PathBuf, Format)>,
    /// A file that lies where nothing may be written: then no file is.
    refused: OnceLock<PathBuf>,
}

impl Output {
    pub(super) fn write(&self, report: &Report, findings: Option<&Spool>) -> Result<(), Failure> {
        for (path, format) in &self.files {
            write_file(path, *format, report, findings)?;
        }
        if self.quiet && report.exit_status == exit::DONE {
            return Ok(());
        }
        self.print(report, findings)
    }

    /// Tells programs of a command that failed; see [`Output::write_failure`].
    pub(super) fn tell_failure(
        &self,
        command: &'static str,
        clock: Clock,
        result: &Result<u8, Failure>,
        progress: &Progress,
    ) {
        if let Err(failure) = result {
            let report = Report::of_failure(command, clock, failure.status, &failure.to_string());
            self.write_failure(&report, progress);
        }
    }

    /// Tells programs that nothing was done: an old report would go on saying that all is well.
    /// People are told on standard error.
    pub(super) fn write_failure(&self, report: &Report, progress: &Progress) {
        let files = self.files.iter().filter(|_| self.refused.get().is_none());
        for (path, format) in files {
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

    /// Nothing is ever written into the repository, and nothing of a person's into a store. The
    /// store need not be there yet.
    pub(super) fn refuse_inside(&self, root: &Path, what: &str) -> Result<(), Failure> {
        let real = |path: &Path| match std::fs::canonicalize(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => std::path::absolute(path),
            other => other,
        };
        let root = real(root)?;
        for (path, _) in &self.files {
            let path = std::path::absolute(path)?;
            let directory = path.parent().unwrap_or(&path);
            if real(directory).is_ok_and(|place| place.starts_with(&root)) {
                let path = self.refused.get_or_init(|| path);
                return Err(Failure::misuse(format_args!(
                    "--report {}: inside {what}, where fogold writes no report",
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
