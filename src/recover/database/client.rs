//! Connections to the server that is restored into.

use std::thread;
use std::time::{Duration, Instant};

use postgres::Client;

use super::error::Answer;
use super::quoting::identifier;
use super::{DatabaseError, Target};
use crate::monitor::Monitor;
use crate::sysconf::{ConnectError, ConnectionParameters};

/// The databases that every server has, from which others are made.
const MAINTENANCE: [&str; 2] = ["postgres", "template1"];

/// How long a restore that was killed may take to leave the server.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often it is looked whether it has.
const STEP: Duration = Duration::from_millis(100);

/// Turns a server's answer into an error about `what` it should have done.
pub(super) fn refused(
    target: &str,
    what: impl Into<String>,
) -> impl FnOnce(postgres::Error) -> DatabaseError {
    let (target, what) = (target.to_owned(), what.into());
    move |error| DatabaseError::Refused {
        target,
        what,
        source: Answer::from(error),
    }
}

/// A connection to the target; `None` when there is no such database.
pub(super) fn reach(target: &Target) -> Result<Option<Client>, DatabaseError> {
    match connect(&target.connection) {
        Ok(client) => Ok(Some(client)),
        Err(DatabaseError::Connect(ConnectError::NoSuchDatabase { .. })) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A connection from which databases are made and renamed.
pub(super) fn maintenance(target: &Target) -> Result<Client, DatabaseError> {
    let mut last = None;
    for database in MAINTENANCE {
        match connect(&target.connection.with_database(database)) {
            Err(
                error @ DatabaseError::Connect(
                    ConnectError::NoSuchDatabase { .. } | ConnectError::Denied { .. },
                ),
            ) => last = Some(error),
            result => return result,
        }
    }
    Err(last.unwrap_or(DatabaseError::Stopped))
}

fn connect(parameters: &ConnectionParameters) -> Result<Client, DatabaseError> {
    match parameters.connector()?.connect() {
        Ok(client) => Ok(client),
        Err(error @ (ConnectError::WrongPassword { .. } | ConnectError::RoleRefused { .. })) => {
            Err(DatabaseError::NoRole {
                target: parameters.target(),
                role: identifier(parameters.user()),
                source: Box::new(error),
            })
        }
        Err(error) => Err(DatabaseError::Connect(error)),
    }
}

/// Makes this the only restore at work on the database that `client` is connected to. One that was
/// killed holds the server for as long as its last statement takes.
pub(super) fn lock(
    client: &mut Client,
    target: &str,
    monitor: &dyn Monitor,
) -> Result<(), DatabaseError> {
    let start = Instant::now();
    let mut warned = false;
    loop {
        let row = client
            .query_one(include_str!("../../../sql/restore-lock.sql"), &[])
            .map_err(refused(target, "lock it"))?;
        if row.get(0) {
            return Ok(());
        }
        if monitor.stopped() {
            return Err(DatabaseError::Stopped);
        }
        if start.elapsed() >= PATIENCE {
            let holder = client
                .query_opt(include_str!("../../../sql/restore-lock-holder.sql"), &[])
                .map_err(refused(target, "say who holds its lock"))?;
            let session = match holder {
                Some(row) => {
                    let (pid, address): (i32, String) = (row.get(0), row.get(1));
                    format!("server process {pid}, from {address}")
                }
                None => "just gone".to_owned(),
            };
            return Err(DatabaseError::Locked {
                target: target.to_owned(),
                session,
            });
        }
        if !warned {
            monitor.warn("another restore is at work on this database; waiting for its end");
            warned = true;
        }
        thread::sleep(STEP);
    }
}
