//! Where figures go: standard output, and files by their endings.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::error::Failure;
use super::output_file::OutputFile;
use super::{Global, exit, place};
use crate::report::ReportError;

/// What is said when a signal ends a wait.
pub(super) fn last_word() {
    // The process ends here; there is nobody to tell that standard error is closed.
    let _ = writeln!(std::io::stderr(), "fogold: stopped; nothing was counted");
}

/// The form of figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    Json,
    Csv,
}

impl Form {
    fn ending(self) -> &'static str {
        match self {
            Form::Text => "txt",
            Form::Json => "json",
            Form::Csv => "csv",
        }
    }
}

/// Where figures go.
pub(super) struct Output {
    form: Form,
    files: Vec<(PathBuf, Form)>,
    quiet: bool,
}

impl Output {
    /// Figures go to standard output as `form`, and to `files`, which may have the endings of
    /// `forms`.
    pub(super) fn of(
        form: Form,
        files: &[PathBuf],
        forms: &[Form],
        global: &Global,
    ) -> Result<Output, Failure> {
        let file = |path: &PathBuf| {
            let ending = path.extension().and_then(|ending| ending.to_str());
            let form = forms.iter().find(|form| Some(form.ending()) == ending);
            form.map(|form| (path.clone(), *form)).ok_or_else(|| {
                let endings: Vec<String> = forms
                    .iter()
                    .map(|form| format!(".{}", form.ending()))
                    .collect();
                Failure::misuse(format_args!(
                    "--report {}: the ending must be one of {}",
                    path.display(),
                    endings.join(", ")
                ))
            })
        };
        Ok(Output {
            form,
            files: files.iter().map(file).collect::<Result<_, _>>()?,
            quiet: global.quiet,
        })
    }

    /// Nothing is ever written into the repository.
    pub(super) fn refuse_inside(&self, root: &Path) -> Result<(), Failure> {
        self.files
            .iter()
            .try_for_each(|(path, _)| place::refuse_inside(root, path))
    }

    /// Writes the figures wherever they go.
    pub(super) fn tell(
        &self,
        status: u8,
        write: impl Fn(Form, &mut dyn Write) -> Result<(), ReportError>,
    ) -> Result<(), Failure> {
        for (path, form) in &self.files {
            let file = OutputFile::create(path, 0o640)?;
            let mut out = BufWriter::new(file.file()?);
            write(*form, &mut out)?;
            out.flush()?;
            drop(out);
            file.keep()?;
        }
        if self.quiet && status == exit::DONE {
            return Ok(());
        }
        let mut out = BufWriter::new(std::io::stdout().lock());
        write(self.form, &mut out)?;
        Ok(out.flush()?)
    }
}
