//! Why a database was not restored.
//!
//! Each message says what failed, on which database, why, and what to type next. A statement of the
//! dump is named by its place and never shown, for it may hold what nobody should see; of the
//! server's answer only the message and the line number are shown.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::catalog::CatalogError;
use crate::sysconf::{ConnectError, ConnectionError};

/// Why a database was not restored. Unless it says otherwise, nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseError {
    /// The dump cannot be used.
    #[error(transparent)]
    Dump(#[from] CatalogError),
    /// The dump is not the one that the set tells of.
    #[error(
        "{dump} has {found} rows of table {table}, and its set says {expected}; run 'fogold verify', or restore another set"
    )]
    OtherRows {
        /// The dump.
        dump: String,
        /// The table.
        table: String,
        /// What the set says.
        expected: u64,
        /// What the dump has.
        found: u64,
    },
    /// The dump holds what no dump holds, and what must not be run.
    #[error("{dump} is not restored: it holds {what}, which pg_dump never writes")]
    Foreign {
        /// The dump.
        dump: String,
        /// What it holds.
        what: String,
    },
    /// The parameters of the connection cannot be used.
    #[error(transparent)]
    Parameters(#[from] ConnectionError),
    /// There is no connection to the server.
    #[error(transparent)]
    Connect(ConnectError),
    /// The role cannot log in, perhaps because it is not there.
    #[error(
        "{target} cannot be reached; if the role is missing, let an administrator type: CREATE ROLE {role} LOGIN CREATEDB PASSWORD '…' (the password of Db.conf); or name an administrator's connection with --database"
    )]
    NoRole {
        /// Database, host and user.
        target: String,
        /// The role, as SQL has it.
        role: String,
        /// The server's answer.
        source: Box<ConnectError>,
    },
    /// There are tables in the database.
    #[error(
        "{target} is not empty, it has {tables} tables: nothing was restored. A restore that has come to its end does not go on: for the files alone, give --only gold,files,license; with --clean the database is renamed and kept, and a new one takes its place"
    )]
    NotEmpty {
        /// Database, host and user.
        target: String,
        /// How many.
        tables: i64,
    },
    /// Somebody is connected to the database that should be renamed.
    #[error(
        "database {database} cannot be renamed while it is in use by {}; stop FOSSology's scheduler and web server, then type the same command again",
        sessions.join(", ")
    )]
    InUse {
        /// The database.
        database: String,
        /// Role, program and process of each session.
        sessions: Vec<String>,
    },
    /// Another restore is at work on the database.
    #[error(
        "another restore is at work on {target} ({session}); if its fogold is gone, its session ends by itself: try again later"
    )]
    Locked {
        /// Database, host and user.
        target: String,
        /// Process and address of its session.
        session: String,
    },
    /// The role lacks a right.
    #[error(
        "{target} may not {what}; let an administrator type: {statement} and then type the same command again"
    )]
    MayNot {
        /// Database, host and user.
        target: String,
        /// What it may not do: `create databases`.
        what: String,
        /// The statement that an administrator should run.
        statement: String,
        /// The server's answer.
        source: Answer,
    },
    /// The server lacks an extension's files.
    #[error(
        "the server of {target} has no extension {extension}; install it there (apt-get install postgresql-contrib) and type the same command again"
    )]
    NoExtension {
        /// Database, host and user.
        target: String,
        /// The extension.
        extension: String,
        /// The server's answer.
        source: Answer,
    },
    /// A statement of fogold's own failed.
    #[error("{target} refused to {what}")]
    Refused {
        /// Database, host and user.
        target: String,
        /// What it should have done.
        what: String,
        /// The server's answer.
        source: Answer,
    },
    /// A statement of the dump failed.
    #[error("{target} took no more of the dump {place}; all of it was taken back")]
    Statement {
        /// Database, host and user.
        target: String,
        /// Where in the dump: `at the rows of table pfile`.
        place: String,
        /// The server's answer.
        source: Answer,
    },
    /// What is in the database is not what is in the dump.
    #[error("{target}: {what}, though no statement of the dump failed; all of it was taken back")]
    Unproven {
        /// Database, host and user.
        target: String,
        /// What does not agree.
        what: String,
    },
    /// The journal of what is changed cannot be written.
    #[error("cannot write the journal {}", path.display())]
    Journal {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The restore failed after the former database had been renamed.
    #[error(
        "database {database} was not restored; the former one is kept as {kept}: the same command tries again, and to go back an administrator types DROP DATABASE IF EXISTS {database}; ALTER DATABASE {kept} RENAME TO {database};"
    )]
    AfterRename {
        /// The database, as SQL has it.
        database: String,
        /// The new name of the former one, as SQL has it.
        kept: String,
        /// What failed.
        source: Box<DatabaseError>,
    },
    /// The monitor asked to stop.
    #[error("stopped")]
    Stopped,
}

impl DatabaseError {
    /// Whether what was asked cannot be meant (exit status 2), rather than the world being in the
    /// way (exit status 3).
    pub fn is_misuse(&self) -> bool {
        match self {
            DatabaseError::Dump(error) => error.is_misuse(),
            DatabaseError::Foreign { .. }
            | DatabaseError::Parameters(_)
            | DatabaseError::NotEmpty { .. } => true,
            _ => false,
        }
    }

    /// Whether somebody asked for the end of the work.
    pub fn is_stop(&self) -> bool {
        match self {
            DatabaseError::Stopped | DatabaseError::Dump(CatalogError::Stopped) => true,
            DatabaseError::AfterRename { source, .. } => source.is_stop(),
            _ => false,
        }
    }
}

/// What a server answered: its message, and the place in the rows, without the values there.
#[derive(Debug)]
pub struct Answer {
    text: String,
    /// The five characters that say which kind of error it is; empty when it is not the server's.
    code: String,
}

impl Answer {
    /// The code, such as `42501`; empty when the error is not the server's.
    pub fn code(&self) -> &str {
        &self.code
    }
}

impl From<postgres::Error> for Answer {
    fn from(error: postgres::Error) -> Answer {
        let Some(answer) = error.as_db_error() else {
            let text = match error.source() {
                Some(cause) => format!("{error}: {cause}"),
                None => error.to_string(),
            };
            return Answer {
                text,
                code: String::new(),
            };
        };
        // Behind the colon stands the row itself.
        let place = answer
            .where_()
            .filter(|place| place.starts_with("COPY "))
            .and_then(|place| place.split(':').next());
        Answer {
            text: match place {
                Some(place) => format!("{} ({place})", answer.message()),
                None => answer.message().to_owned(),
            },
            code: answer.code().code().to_owned(),
        }
    }
}

impl From<io::Error> for Answer {
    fn from(error: io::Error) -> Answer {
        Answer {
            text: error.to_string(),
            code: String::new(),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Answer {}
