//! Where PostgreSQL's client programs are, for every command that may run one.

use std::path::PathBuf;

use crate::sysconf::Programs;

/// Where PostgreSQL's client programs are.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct ProgramArguments {
    /// The directory of PostgreSQL's client programs [default: the newest installed ones]
    ///
    /// The variable FOGOLD_PG_BINDIR names it for all commands.
    #[arg(long, value_name = "DIR")]
    pg_bindir: Option<PathBuf>,
}

impl ProgramArguments {
    pub(super) fn programs(&self) -> Programs {
        Programs::new(self.pg_bindir.clone())
    }
}
