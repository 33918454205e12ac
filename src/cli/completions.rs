//! `fogold completions`: what a shell needs to complete fogold's command lines.

use std::io::Write;

use clap::CommandFactory;
use clap_complete::Shell;

use super::error::Failure;
use super::{Cli, exit};

/// Print a completion script for a shell
///
/// The script goes to standard output; load it where the shell looks for completions.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// The shell to complete for
    shell: Shell,
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "fogold", &mut script);
    std::io::stdout().lock().write_all(&script)?;
    Ok(exit::DONE)
}
