//! `--accept` and `--write-accept`: findings that a person has seen.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::error::Failure;
use super::output::is_inside;
use super::output_file::OutputFile;
use crate::check::{self, Accepted, Spool};

/// The option of every command whose findings decide the exit status.
#[derive(clap::Args, Debug)]
pub(super) struct AcceptArguments {
    /// A file of findings that somebody has seen and accepted, which do not count
    ///
    /// May be given more than once. Accepted findings are counted apart, and neither raise the verdict
    /// nor the exit status. 'fogold check --write-accept FILE' begins such a file; what stands in it is
    /// said in fogold-check(1).
    #[arg(long, value_name = "FILE")]
    accept: Vec<PathBuf>,
}

impl AcceptArguments {
    /// The findings that are accepted, where there are files of them.
    pub(super) fn read(&self) -> Result<Option<Accepted>, Failure> {
        if self.accept.is_empty() {
            return Ok(None);
        }
        Ok(Some(Accepted::read(&self.accept, today())?))
    }
}

/// A file of accepted findings that is to be begun.
pub(super) struct NewFile<'a> {
    path: &'a Path,
}

impl NewFile<'_> {
    /// Makes sure that nothing stands at `path`, for reasons that somebody wrote are never written over,
    /// and that it is not in the repository, into which nothing is written.
    pub(super) fn at<'a>(path: &'a Path, repository: &Path) -> Result<NewFile<'a>, Failure> {
        refuse_standing(path)?;
        if is_inside(path, repository)? {
            return Err(Failure::misuse(format_args!(
                "--write-accept {}: inside the repository, into which fogold writes nothing",
                path.display()
            )));
        }
        // Better known now than after hours.
        OutputFile::create(path, 0o640)?;
        Ok(NewFile { path })
    }

    /// Writes every finding that counts as an accepted one.
    pub(super) fn write(self, findings: &Spool) -> Result<(), Failure> {
        let output = OutputFile::create(self.path, 0o640)?;
        let mut out = BufWriter::new(output.file()?);
        let reason = format!("as found on {}", today());
        check::write_accepted(findings, &reason, &mut out)?;
        out.flush()?;
        drop(out);
        refuse_standing(self.path)?;
        output.keep()
    }
}

fn refuse_standing(path: &Path) -> Result<(), Failure> {
    if path.symlink_metadata().is_err() {
        return Ok(());
    }
    Err(Failure::misuse(format_args!(
        "--write-accept {}: it is there already; name another file, and give both to --accept",
        path.display()
    )))
}

/// The day by which accepted findings expire, in UTC.
fn today() -> jiff::civil::Date {
    jiff::Timestamp::now()
        .to_zoned(jiff::tz::TimeZone::UTC)
        .date()
}
