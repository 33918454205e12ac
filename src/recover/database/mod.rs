//! The database is restored from a dump: all of it or nothing.
//!
//! The dump is read to its end before anything is touched: one that is cut, or another program's,
//! is refused. What it holds goes into an empty database in one transaction, in which it is also
//! proven, and in which the queue is made safe. When anything fails, or the process is killed, the
//! database is as empty as before, and the same call goes on. A database that is not empty is never
//! changed; at most it is renamed.
//!
//! Everything that is restored belongs to the role that FOSSology itself connects as. Rights that
//! the source had given to others are left out, and counted.

mod client;
mod error;
mod inspect;
mod jobs;
mod outcome;
mod paths;
mod play;
mod prove;
mod quoting;
mod request;
mod role;
mod server;
mod verdict;
mod work;

use std::collections::BTreeMap;

pub use error::{Answer, DatabaseError};
pub use jobs::{JobState, OpenJob};
pub use outcome::Outcome;
pub use paths::Paths;
pub use request::{Options, Owner, Source, Target};

use crate::monitor::Monitor;
use client::refused;
use quoting::identifier;
use work::{REMARK, State, Work, about};

/// Rows by table; `uploadtree` stands for all tables of tree rows together.
pub type RowCounts = BTreeMap<String, u64>;

/// Restores a database. See the module.
pub fn restore(
    source: &Source,
    target: &Target,
    options: &Options,
    monitor: &dyn Monitor,
) -> Result<Outcome, DatabaseError> {
    let work = Work::prepare(source, target, options, monitor)?;
    let mut outcome = Outcome {
        database: target.connection.database().to_owned(),
        rows: work.inspected.rows(),
        ..Outcome::default()
    };
    let state = work.look()?;
    if options.dry_run {
        work.would_do(state, &mut outcome);
        return Ok(outcome);
    }
    match state {
        State::Done(mut client) => {
            work.find_kept(&mut client, &mut outcome)?;
            work.resume(&mut client, &mut outcome)?;
        }
        State::Empty(mut client) => {
            work.find_kept(&mut client, &mut outcome)?;
            work.make_roles(&mut client, &mut outcome)?;
            work.fill(client, &mut outcome)?;
        }
        State::Missing(mut client) => {
            work.find_kept(&mut client, &mut outcome)?;
            work.make_roles(&mut client, &mut outcome)?;
            work.create_and_fill(client, &mut outcome)?;
        }
        State::Full(mut client, kept) => {
            work.make_roles(&mut client, &mut outcome)?;
            drop(client);
            let mut client = client::maintenance(target)?;
            server::keep_as(&mut client, target, &kept)?;
            outcome.kept = Some(kept.clone());
            work.create_and_fill(client, &mut outcome)
                .map_err(|source| DatabaseError::AfterRename {
                    database: identifier(target.connection.database()),
                    kept: identifier(&kept),
                    source: Box::new(source),
                })?;
        }
    }
    Ok(outcome)
}

/// Takes away the remark by which [`restore`] knows a database that it has restored: the rest of
/// the work is done as well, and the next restore finds a database that is simply not empty.
pub fn seal(target: &Target) -> Result<(), DatabaseError> {
    let Some(mut client) = client::reach(target)? else {
        return Ok(());
    };
    let (_, remark) = about(&mut client, target)?;
    if !remark.is_some_and(|remark| remark.starts_with(REMARK)) {
        return Ok(());
    }
    let database = identifier(target.connection.database());
    client
        .batch_execute(&format!("COMMENT ON DATABASE {database} IS NULL"))
        .map_err(refused(
            &target.name(),
            "take back the remark on the database",
        ))
}
