//! How FOSSology's own `maintagent -Z` and `-g` look for orphans: list `files/` and `gold/`, and ask
//! the database about each file, one after the other, through one connection.
//!
//!     one-query-a-file CONNINFO REPOSITORY
//!
//! The statement is prepared once, as there. It removes nothing, has no scheduler to report to, and is
//! compiled: what is measured is the access pattern, not an interpreter.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use postgres::{Client, NoTls, Statement};

/// The statement that is run for each file.
const STATEMENT: &str = include_str!("one-query-a-file.sql");

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "one-query-a-file: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [conninfo, repository] = &arguments[..] else {
        bail!("usage: one-query-a-file CONNINFO REPOSITORY");
    };
    let mut client = Client::connect(conninfo, NoTls).context("no connection")?;
    let statement = client.prepare(STATEMENT).context("the statement")?;
    let mut questions = Questions {
        client,
        statement,
        files: 0,
        orphans: 0,
    };
    for directory in ["files", "gold"] {
        questions.ask_below(&Path::new(repository).join("localhost").join(directory))?;
    }
    let Questions { files, orphans, .. } = questions;
    writeln!(
        std::io::stdout(),
        "{files} files, {orphans} that nothing uses"
    )?;
    Ok(())
}

struct Questions {
    client: Client,
    statement: Statement,
    files: u64,
    orphans: u64,
}

impl Questions {
    fn ask_below(&mut self, directory: &Path) -> Result<()> {
        let list = || format!("cannot list {}", directory.display());
        for entry in fs::read_dir(directory).with_context(list)? {
            let entry = entry.with_context(list)?;
            if entry.file_type().with_context(list)?.is_dir() {
                self.ask_below(&entry.path())?;
            } else {
                let name = entry.file_name();
                self.ask(&name.to_string_lossy())
                    .with_context(|| format!("the file {}", name.display()))?;
            }
        }
        Ok(())
    }

    fn ask(&mut self, name: &str) -> Result<()> {
        let mut parts = name.split('.');
        let (Some(sha1), Some(md5), Some(size)) = (parts.next(), parts.next(), parts.next()) else {
            bail!("not a name of the repository");
        };
        let (sha1, md5) = (sha1.to_ascii_uppercase(), md5.to_ascii_uppercase());
        let size: i64 = size.parse().context("the size is no number")?;
        let rows = self.client.query(&self.statement, &[&md5, &sha1, &size])?;
        self.files += 1;
        self.orphans += u64::from(rows.is_empty());
        Ok(())
    }
}
