//! Where a report goes: standard output, and files.

use std::borrow::Cow;
use std::io::{BufWriter, IsTerminal, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use clap::ValueEnum;

use super::error::Failure;
use super::output_file::OutputFile;
use super::past::Past;
use super::progress::Progress;
use super::{Color, Global, exit};
use crate::check::Spool;
use crate::monitor::Monitor;
use crate::report::{self, Clock, Format, Report, ReportError, Run, Style};

/// The options of every command that reports findings.
#[derive(clap::Args, Debug)]
pub(super) struct OutputArguments {
    /// The form of the report on standard output
    #[arg(long, value_enum, default_value = "text")]
    format: ReportFormat,
    /// Write the report also to a file, in the form of its ending: .txt, .json, .ndjson, .html, .prom
    ///
    /// May be given more than once. The file is replaced when the new one is whole. A page (.html)
    /// loads nothing from elsewhere; metrics (.prom) are for the textfile collector of Prometheus'
    /// node_exporter. With --state, both know how the runs before went.
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
    pub(super) fn output(&self, global: &Global, progress: &Progress) -> Result<Output, Failure> {
        Ok(Output {
            format: self.format.into(),
            style: Style {
                accepted: global.verbose,
                ..style(global.color)
            },
            quiet: global.quiet,
            files: self
                .report
                .iter()
                .map(|path| with_format(path))
                .collect::<Result<_, _>>()?,
            refused: OnceLock::new(),
            subject: OnceLock::new(),
            past: Past::read(global, progress)?,
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
    /// What the run is about, as soon as that is known.
    subject: OnceLock<PathBuf>,
    past: Past,
}

impl Output {
    /// Notes the repository or store that the run is about, for the report of a run that comes to
    /// nothing: what is known of another one does not belong there.
    pub(super) fn is_about(&self, subject: &Path) {
        self.subject.get_or_init(|| subject.to_owned());
    }

    /// A report with its subject, where it has none of its own.
    fn with_subject<'r>(&self, report: &'r Report, findings: Option<&Spool>) -> Cow<'r, Report> {
        match (self.subject.get(), findings) {
            (Some(subject), None) => Cow::Owned(report.clone().about(subject)),
            _ => Cow::Borrowed(report),
        }
    }

    pub(super) fn write(&self, report: &Report, findings: Option<&Spool>) -> Result<(), Failure> {
        let report = &*self.with_subject(report, findings);
        for (path, format) in &self.files {
            self.write_file(path, *format, report, findings)?;
        }
        self.past.add(&Run::of(report, findings.is_some()))?;
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
        let report = &*self.with_subject(report, None);
        let mut written = Vec::new();
        if self.refused.get().is_none() {
            let files = self.files.iter();
            written
                .extend(files.map(|(path, format)| self.write_file(path, *format, report, None)));
            written.push(self.past.add(&Run::of(report, false)));
        }
        for failure in written.into_iter().filter_map(Result::err) {
            progress.warn(&failure.to_string());
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
        let reports = self.files.iter().map(|(path, _)| ("report", &**path));
        let state = self.past.directory().map(|path| ("state", path));
        for (what_it_is, path) in reports.chain(state) {
            if is_inside(path, root)? {
                let path = self.refused.get_or_init(|| path.to_owned());
                return Err(Failure::misuse(format_args!(
                    "--{what_it_is} {}: inside {what}, where fogold writes no {what_it_is}",
                    path.display()
                )));
            }
        }
        Ok(())
    }

    fn write_file(
        &self,
        path: &Path,
        format: Format,
        report: &Report,
        findings: Option<&Spool>,
    ) -> Result<(), Failure> {
        let history = &self.past.history;
        let style = Style {
            color: false,
            ..self.style
        };
        write_file(path, format, |out| {
            report::write(report, findings, format, style, history, out)
        })
    }

    fn print(&self, report: &Report, findings: Option<&Spool>) -> Result<(), Failure> {
        let mut out = BufWriter::with_capacity(1 << 16, std::io::stdout().lock());
        let history = &self.past.history;
        match report::write(report, findings, self.format, self.style, history, &mut out) {
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

/// Whether a file that may not be there yet lies below a directory that may not be there yet.
pub(super) fn is_inside(path: &Path, root: &Path) -> Result<bool, Failure> {
    let real = |path: &Path| match std::fs::canonicalize(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => std::path::absolute(path),
        other => other,
    };
    let root = real(root)?;
    let path = std::path::absolute(path)?;
    let is_inside = |place: &Path| real(place).is_ok_and(|place| place.starts_with(&root));
    Ok(is_inside(&path) || path.parent().is_some_and(is_inside))
}

/// Writes a report file.
pub(super) fn write_file(
    path: &Path,
    format: Format,
    write: impl FnOnce(&mut dyn Write) -> Result<(), ReportError>,
) -> Result<(), Failure> {
    let output = OutputFile::create(path, 0o640)?;
    let file = output.file()?;
    if format == Format::Prometheus {
        // The collector runs as a user of its own, and there are no names of files in it.
        file.set_permissions(PermissionsExt::from_mode(0o644))?;
    }
    let mut out = BufWriter::new(file);
    write(&mut out)?;
    out.flush()?;
    drop(out);
    output.keep()
}

/// A report file, and the format that goes with its ending.
pub(super) fn with_format(path: &Path) -> Result<(PathBuf, Format), Failure> {
    match Format::of_path(path) {
        Some(format) => Ok((path.to_owned(), format)),
        None => Err(Failure::misuse(format_args!(
            "--report {}: the ending must be one of {}",
            path.display(),
            Format::ENDINGS
        ))),
    }
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
    Style {
        color,
        ..Style::default()
    }
}
