//! A dump is played into an empty database, in the transaction that is open there.
//!
//! Statements and rows go over our own connection and not through `psql`: there is no backslash
//! command that could be run, and when this process is killed the connection ends without a commit,
//! so that the database is as empty as before. Nothing is skipped that fails.

use std::collections::HashSet;
use std::io::Write;
use std::path::Path;

use postgres::Client;

use super::client::refused;
use super::error::Answer;
use super::quoting::identifier;
use super::server::NO_RIGHT;
use super::verdict::{Verdict, verdict};
use super::{DatabaseError, Target};
use crate::catalog::CatalogError;
use crate::catalog::dump::{DumpOptions, Input, Piece, Script};
use crate::monitor::{Monitor, Phase};

/// How much of a statement names it in a message.
const SHOWN: usize = 70;

/// SQLSTATE of a file that is not there: an extension's.
const NO_FILE: [&str; 2] = ["58P01", "0A000"];

/// What was left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Played {
    /// Statements that gave or took rights.
    pub(super) rights: u64,
    /// Rows.
    pub(super) rows: u64,
}

/// See the module.
pub(super) struct Player<'a> {
    pub(super) client: &'a mut Client,
    pub(super) target: &'a Target,
    pub(super) name: String,
    pub(super) settings: HashSet<String>,
    /// What was played last, for messages.
    pub(super) place: String,
    pub(super) played: Played,
}

impl<'a> Player<'a> {
    pub(super) fn new(
        client: &'a mut Client,
        target: &'a Target,
    ) -> Result<Player<'a>, DatabaseError> {
        let name = target.name();
        let settings = client
            .query(include_str!("../../../sql/restore-settings.sql"), &[])
            .map_err(refused(&name, "list its settings"))?
            .into_iter()
            .map(|row| row.get(0))
            .collect();
        Ok(Player {
            client,
            target,
            name,
            settings,
            place: "before its first statement".to_owned(),
            played: Played::default(),
        })
    }

    /// Plays what the dump holds of `database`; `None`: it is a dump of one, without its name.
    pub(super) fn play(
        mut self,
        dump: &Path,
        options: &DumpOptions,
        database: Option<&str>,
        monitor: &dyn Monitor,
    ) -> Result<Played, DatabaseError> {
        monitor.phase(Phase::RestoreDatabase, None);
        let mut script = Script::start(Input::open(dump)?.with_database(), options)?;
        let mut current: Option<String> = None;
        self.become_owner()?;
        while let Some(piece) = script.next(monitor)? {
            if monitor.stopped() {
                return Err(DatabaseError::Stopped);
            }
            let wanted = current.as_deref() == database;
            match piece {
                Piece::Connect(next) => current = Some(next),
                Piece::Command(_) => {
                    return Err(foreign(dump, "a command of psql that is no part of a dump"));
                }
                Piece::Statement { text, plain } if wanted => {
                    match verdict(&plain, &self.settings) {
                        Verdict::Run => self.run(&text, &plain)?,
                        Verdict::Extension(extension) => self.extend(&extension, &text)?,
                        Verdict::Leave => {}
                        Verdict::LeaveRight => self.played.rights += 1,
                        Verdict::Refuse(what) => return Err(foreign(dump, what)),
                    }
                }
                Piece::Copy { text, table } if wanted => {
                    self.copy(&text, &table, &mut script, monitor)?;
                }
                Piece::Statement { .. } | Piece::Copy { .. } => {}
            }
        }
        Ok(self.played)
    }

    /// What is made from here on belongs to FOSSology's role.
    fn become_owner(&mut self) -> Result<(), DatabaseError> {
        let Some(owner) = self.target.other_owner() else {
            return Ok(());
        };
        self.client
            .batch_execute(&format!("SET LOCAL ROLE {}", identifier(owner)))
            .map_err(refused(&self.name, format!("work as role {owner}")))
    }

    fn run(&mut self, text: &[u8], plain: &[u8]) -> Result<(), DatabaseError> {
        let outcome = match std::str::from_utf8(text) {
            Ok(text) => self.client.batch_execute(text),
            Err(_) => self.run_bytes(text),
        };
        outcome.map_err(|error| {
            let answer = Answer::from(error);
            if answer.code() == NO_RIGHT && answer.to_string().ends_with("schema public") {
                return self.not_ours(answer);
            }
            let place = match shown(plain) {
                Some(text) => format!("at its statement {text}"),
                None => format!("at a statement {}", self.place),
            };
            self.failed(place, answer)
        })
    }

    /// Since PostgreSQL 15 only the database's owner may make anything in it.
    fn not_ours(&self, source: Answer) -> DatabaseError {
        let connection = &self.target.connection;
        let owner = self.target.other_owner().unwrap_or(connection.user());
        DatabaseError::MayNot {
            target: self.name.clone(),
            what: format!("make tables for {}", identifier(owner)),
            statement: format!(
                "ALTER DATABASE {} OWNER TO {};",
                identifier(connection.database()),
                identifier(owner)
            ),
            source,
        }
    }

    /// Runs a statement whose text is in no encoding that the driver can send: it goes to the
    /// server as a row, and is run there.
    fn run_bytes(&mut self, text: &[u8]) -> Result<(), postgres::Error> {
        self.client
            .batch_execute(include_str!("../../../sql/restore-statement-table.sql"))?;
        let mut writer = self
            .client
            .copy_in(include_str!("../../../sql/restore-statement-copy.sql"))?;
        let mut row = Vec::with_capacity(text.len() + 1);
        for &byte in text {
            match byte {
                b'\\' => row.extend(b"\\\\"),
                b'\n' => row.extend(b"\\n"),
                b'\r' => row.extend(b"\\r"),
                b'\t' => row.extend(b"\\t"),
                _ => row.push(byte),
            }
        }
        row.push(b'\n');
        // When this fails, the end of the COPY says why.
        let _ = writer.write_all(&row);
        writer.finish()?;
        self.client
            .batch_execute(include_str!("../../../sql/restore-statement-run.sql"))
    }

    /// Makes an extension, with the right of the role that we came as.
    fn extend(&mut self, extension: &str, text: &[u8]) -> Result<(), DatabaseError> {
        let there: bool = self
            .client
            .query_one(
                include_str!("../../../sql/restore-has-extension.sql"),
                &[&extension],
            )
            .map_err(refused(&self.name, "say which extensions it has"))?
            .get(0);
        if there {
            return Ok(());
        }
        let quoted = identifier(extension);
        let text = String::from_utf8_lossy(text);
        let statement = format!("RESET ROLE; {text}");
        if let Err(error) = self.client.batch_execute(&statement) {
            let source = Answer::from(error);
            let (target, extension) = (self.name.clone(), extension.to_owned());
            return Err(match source.code() {
                NO_RIGHT => DatabaseError::MayNot {
                    target,
                    what: format!("create the extension {quoted}"),
                    statement: format!("CREATE EXTENSION {quoted}; (in that database)"),
                    source,
                },
                code if NO_FILE.contains(&code) => DatabaseError::NoExtension {
                    target,
                    extension,
                    source,
                },
                _ => self.failed(format!("at its extension {quoted}"), source),
            });
        }
        self.become_owner()
    }

    fn copy(
        &mut self,
        text: &[u8],
        table: &str,
        script: &mut Script,
        monitor: &dyn Monitor,
    ) -> Result<(), DatabaseError> {
        let place = format!("at the rows of table {}", table.escape_debug());
        self.place = format!("after the rows of table {}", table.escape_debug());
        let statement = String::from_utf8_lossy(text);
        let name = self.name.clone();
        let failed = |source: Answer| DatabaseError::Statement {
            target: name.clone(),
            place: place.clone(),
            source,
        };
        let mut writer = self
            .client
            .copy_in(&*statement)
            .map_err(|error| failed(error.into()))?;
        let outcome = loop {
            let more = script.rows(monitor, |rows| {
                writer.write_all(rows).map_err(Interrupted::Write)
            });
            match more {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        match outcome {
            Ok(()) => {}
            // Dropping the writer makes the server forget the rows.
            Err(Interrupted::Dump(error)) => return Err(error.into()),
            // The end of the COPY says why the server took no more.
            Err(Interrupted::Write(error)) => {
                return Err(match writer.finish() {
                    Err(answer) => failed(answer.into()),
                    Ok(_) => failed(error.into()),
                });
            }
        }
        self.played.rows += writer.finish().map_err(|error| failed(error.into()))?;
        Ok(())
    }

    fn failed(&self, place: String, source: Answer) -> DatabaseError {
        DatabaseError::Statement {
            target: self.name.clone(),
            place,
            source,
        }
    }
}

/// Why rows went no further.
enum Interrupted {
    /// The dump gave no more.
    Dump(CatalogError),
    /// The server took no more.
    Write(std::io::Error),
}

impl From<CatalogError> for Interrupted {
    fn from(error: CatalogError) -> Interrupted {
        Interrupted::Dump(error)
    }
}

/// The beginning of a statement that makes something, and so holds no row.
fn shown(plain: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(plain);
    let line = text.lines().next()?;
    let makes = line.starts_with("CREATE ") || line.starts_with("ALTER ");
    makes.then(|| {
        line.chars()
            .take(SHOWN)
            .collect::<String>()
            .escape_debug()
            .to_string()
    })
}

fn foreign(dump: &Path, what: &str) -> DatabaseError {
    DatabaseError::Foreign {
        dump: dump.display().to_string(),
        what: what.to_owned(),
    }
}
