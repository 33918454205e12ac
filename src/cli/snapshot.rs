//! `fogold snapshot`: save a catalog.

use std::io::Write;
use std::path::PathBuf;

use super::error::Failure;
use super::interrupt::Interrupt;
use super::output_file::OutputFile;
use super::programs::ProgramArguments;
use super::progress::Progress;
use super::source::Source;
use super::{Global, exit, place};
use crate::report::counted;

/// Save what the database knows to a file
///
/// The file can be given to --catalog later, on this or another host, where no PostgreSQL is
/// needed. It is small beside a dump. It holds the names of files and uploads and the URLs they came
/// from, but no password.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// The file to write; an earlier one of that name is replaced when the new one is whole
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    programs: ProgramArguments,
}

pub(super) fn run(
    global: &Global,
    arguments: &Arguments,
    progress: &Progress,
    interrupt: &Interrupt,
) -> Result<u8, Failure> {
    // A database may make it wait for ever.
    interrupt.set_last_word(Box::new(last_word));
    let sysconf = match &global.catalog {
        Some(_) => None,
        None => place::sysconf(global)?,
    };
    let source = Source::find(global, sysconf.as_ref(), progress)?;
    if let Source::Saved(path) = &source {
        return Err(Failure::misuse(format_args!(
            "{} is a saved catalog already",
            path.display()
        )));
    }
    let path = &arguments.output;
    let output = OutputFile::create(path, 0o600)?;
    let half = output.half();
    interrupt.set_last_word(Box::new(move || {
        // It has no use; that it cannot be removed either changes nothing.
        let _ = std::fs::remove_file(&half);
        last_word();
    }));
    let destination = Some((output.file()?, path.as_path()));
    let programs = arguments.programs.programs();
    let catalog = source.read(global, sysconf.as_ref(), &programs, destination, progress)?;
    interrupt.forget_last_word();
    output.keep()?;
    let summary = catalog.summary();
    progress.finish();
    progress.note(&format!(
        "{}: {}, {}, {}",
        path.display(),
        counted(summary.uploads.len() as u64, "upload"),
        counted(summary.pfile_rows, "pfile"),
        counted(summary.tree_rows, "tree row")
    ));
    Ok(exit::DONE)
}

/// What is said when a signal ends a wait.
fn last_word() {
    // The process ends here; there is nobody to tell that standard error is closed.
    let _ = writeln!(std::io::stderr(), "fogold: stopped; no catalog was saved");
}
