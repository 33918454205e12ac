//! The command line: arguments in, report out.
//!
//! One file a command. What a library user would miss does not belong here; this is the only room
//! that prints.

mod accept;
mod backup;
mod check;
mod completions;
mod config;
mod demo;
mod drill;
pub mod error;
pub mod exit;
mod figures;
mod interrupt;
mod low_impact;
mod manifest;
mod nightly;
mod output;
mod output_file;
mod past;
mod place;
mod plan;
mod programs;
mod progress;
mod prune;
mod repair;
mod requeue;
mod restore;
mod same_server;
mod scheduler_pause;
mod sets;
mod settings;
mod snapshot;
mod source;
mod usage;
mod verify;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::monitor::Monitor;
use interrupt::Interrupt;
use progress::{Progress, When};
use settings::{Parsed, Refused};

/// Keep the file repository of a FOSSology server whole
///
/// fogold proves that the repository of a FOSSology server and its database agree. It says what is
/// missing, damaged, orphaned or misplaced, and how each can be recovered.
#[derive(Parser, Debug)]
#[command(
    name = "fogold",
    version,
    max_term_width = 100,
    arg_required_else_help = true
)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options that every command takes.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Global options")]
struct Global {
    /// FOSSology's configuration directory [default: /etc/fossology or /usr/local/etc/fossology]
    ///
    /// The one with fossology.conf and Db.conf in it. Of the two default places, the first that has
    /// a fossology.conf is taken. None is needed when --repository and --catalog are given.
    #[arg(short = 'c', long, value_name = "DIR", global = true)]
    sysconfdir: Option<PathBuf>,
    /// The repository's root [default: 'path' in fossology.conf]
    #[arg(long, value_name = "DIR", global = true)]
    repository: Option<PathBuf>,
    /// Directory levels between type and file [default: 'depth' in fossology.conf]
    ///
    /// Where there is no fossology.conf, the depth is that of the first files found.
    #[arg(long, value_name = "N", global = true, value_parser = clap::value_parser!(u8).range(0..=16))]
    depth: Option<u8>,
    /// What the database knows: a database, a dump or a saved catalog [default: see Db.conf]
    ///
    /// A PostgreSQL URL (postgresql://...) or connection string (host=... dbname=...), the file of
    /// a dump ('-' is standard input) or the directory of one, or a catalog that 'fogold snapshot'
    /// saved. By default, the live database that Db.conf names.
    #[arg(long, value_name = "SOURCE", global = true)]
    catalog: Option<OsString>,
    /// Number of threads [default: one for each processor]
    #[arg(short = 'j', long, value_name = "N", global = true, value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
    /// Print nothing when the exit status is 0
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Say more about what is done
    #[arg(short, long, global = true)]
    verbose: bool,
    /// Show progress on standard error
    #[arg(long, value_name = "WHEN", global = true, default_value = "auto")]
    progress: When,
    /// Use colours
    #[arg(long, value_name = "WHEN", global = true, default_value = "auto")]
    color: Color,
    /// Directory with room for sorting
    ///
    /// How much is needed and free is said at the start. The files there have no name: nothing is
    /// left behind, however the program ends.
    #[arg(long, value_name = "DIR", global = true, default_value = "/var/tmp")]
    scratch: PathBuf,
    /// Directory for what a run leaves for the next one [default: nothing is left]
    ///
    /// Which contents were read and found good, and how the last runs went. It is made when it is
    /// not there. The contents are small.
    #[arg(long, value_name = "DIR", global = true)]
    state: Option<PathBuf>,
    /// The configuration file [default: /etc/fogold/fogold.toml, where it is there]
    ///
    /// Every option may stand in it, and in a variable of the environment: see 'fogold config'.
    /// With /dev/null, nothing but the command line and the environment counts.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Color {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Also into files and pipes
    Always,
    /// Nowhere
    Never,
}

#[derive(Subcommand, Debug)]
enum Command {
    Check(check::Arguments),
    Snapshot(snapshot::Arguments),
    Backup(Box<backup::Arguments>),
    Sets(sets::Arguments),
    Verify(verify::Arguments),
    Prune(prune::Arguments),
    Manifest(manifest::Arguments),
    Plan(plan::Arguments),
    Usage(usage::Arguments),
    Restore(Box<restore::Arguments>),
    Drill(drill::Arguments),
    Requeue(requeue::Arguments),
    Repair(Box<repair::Arguments>),
    Nightly(nightly::Arguments),
    Config(config::Arguments),
    Demo(demo::Arguments),
    Completions(completions::Arguments),
}

impl Cli {
    /// The store that a backup goes to.
    fn backup_store(&self) -> Option<&Path> {
        match &self.command {
            Command::Backup(arguments) => Some(arguments.store()),
            _ => None,
        }
    }
}

impl Global {
    fn threads(&self) -> usize {
        self.jobs.map_or_else(
            || std::thread::available_parallelism().map_or(1, usize::from),
            usize::from,
        )
    }
}

/// Runs the program with the process's arguments.
pub fn main() -> ExitCode {
    let Parsed { cli, settings } = match settings::parse(std::env::args_os().collect()) {
        Ok(parsed) => parsed,
        Err(refused) => return ExitCode::from(refuse(refused)),
    };
    let interrupt = Interrupt::install();
    let global = &cli.global;
    let progress = Progress::new(
        global.progress,
        global.quiet,
        global.verbose,
        interrupt.flag(),
    );
    for warning in settings.warnings() {
        progress.warn(&warning);
    }
    let result = match &cli.command {
        Command::Check(arguments) => check::run(global, arguments, &progress, &interrupt),
        Command::Snapshot(arguments) => snapshot::run(global, arguments, &progress, &interrupt),
        Command::Sets(arguments) => sets::run(global, arguments, &progress),
        Command::Verify(arguments) => verify::run(global, arguments, &progress, &interrupt),
        Command::Prune(arguments) => prune::run(global, arguments, &progress),
        Command::Manifest(arguments) => manifest::run(global, arguments, &progress, &interrupt),
        Command::Plan(arguments) => plan::run(global, arguments, &progress, &interrupt),
        Command::Usage(arguments) => usage::run(global, arguments, &progress, &interrupt),
        Command::Backup(arguments) => backup::run(global, arguments, &progress, &interrupt),
        Command::Restore(arguments) => restore::run(global, arguments, &progress, &interrupt),
        Command::Drill(arguments) => drill::run(global, arguments, &progress),
        Command::Requeue(arguments) => requeue::run(global, arguments, &progress, &interrupt),
        Command::Repair(arguments) => repair::run(global, arguments, &progress, &interrupt),
        Command::Nightly(arguments) => {
            nightly::run(global, arguments, &settings, &progress, &interrupt)
        }
        Command::Config(arguments) => config::run(global, arguments, &settings, &progress),
        Command::Demo(arguments) => demo::run(global, arguments, &progress),
        Command::Completions(arguments) => completions::run(arguments),
    };
    progress.finish();
    let status = match result {
        Ok(status) => status,
        Err(failure) if failure.is_closed_output() => exit::DONE,
        Err(failure) => {
            progress.release();
            progress.say(&failure.to_string());
            failure.status
        }
    };
    if status != exit::DONE {
        progress.release();
    }
    interrupt.done();
    ExitCode::from(status)
}

/// Says why a command line was not taken; returns the exit status.
fn refuse(refused: Refused) -> u8 {
    match refused {
        Refused::Words(error, notes) => {
            // A closed output is no reason to complain.
            let _ = error.print();
            for note in notes {
                progress::line(&note);
            }
            if error.use_stderr() {
                exit::MISUSE
            } else {
                exit::DONE
            }
        }
        Refused::Settings(failure) => {
            progress::line(&failure.to_string());
            failure.status
        }
    }
}
