//! Where PostgreSQL's client programs are, for every command that may run one.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::sysconf::Programs;

/// Names the directory for who gives no `--pg-bindir`.
const VARIABLE: &str = "FOGOLD_PG_BINDIR";

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
        self.or(std::env::var_os(VARIABLE))
    }

    /// The option counts before the variable, and an empty variable is none.
    fn or(&self, variable: Option<OsString>) -> Programs {
        let variable = variable.filter(|value| !value.is_empty());
        let directory = self.pg_bindir.clone();
        Programs::new(directory.or_else(|| variable.map(PathBuf::from)))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_option_counts_before_the_variable() {
        let directory = |option: Option<&str>, variable: Option<&str>| {
            let pg_bindir = option.map(PathBuf::from);
            let arguments = ProgramArguments { pg_bindir };
            let programs = arguments.or(variable.map(OsString::from));
            programs.directory().map(Path::to_owned)
        };
        assert_eq!(directory(None, None), None);
        assert_eq!(directory(None, Some("")), None);
        assert_eq!(directory(None, Some("/v")), Some(PathBuf::from("/v")));
        assert_eq!(directory(Some("/o"), Some("/v")), Some("/o".into()));
    }
}
