//! A restore, step by step: look what is there, make room, fill, prove, make safe.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use postgres::Client;

use super::client::{self, refused};
use super::error::Answer;
use super::inspect::Inspected;
use super::play::Player;
use super::quoting::{identifier, literal};
use super::role::{self, Role};
use super::{DatabaseError, OpenJob, Options, Outcome, Source, Target};
use super::{jobs, paths, prove, server};
use crate::catalog::dump::DumpOptions;
use crate::monitor::{Monitor, Phase};

/// What the remark begins with that an unfinished restore leaves on its database.
pub(super) const REMARK: &str = "restored by fogold from ";

/// In which state the target was found.
pub(super) enum State {
    /// An earlier call has restored it from the same dump.
    Done(Client),
    /// It is there, and empty.
    Empty(Client),
    /// There is none; the connection is to another database of the server.
    Missing(Client),
    /// It is not empty, and will be renamed to this.
    Full(Client, String),
}

pub(super) struct Work<'a> {
    source: &'a Source,
    target: &'a Target,
    options: &'a Options,
    monitor: &'a dyn Monitor,
    dump_options: DumpOptions,
    pub(super) inspected: Inspected,
    roles: BTreeMap<String, Role>,
}

impl<'a> Work<'a> {
    /// Reads what is to be restored.
    pub(super) fn prepare(
        source: &'a Source,
        target: &'a Target,
        options: &'a Options,
        monitor: &'a dyn Monitor,
    ) -> Result<Work<'a>, DatabaseError> {
        let dump_options = DumpOptions {
            database: Some(target.connection.database().to_owned()),
            bindir: options.programs.directory().map(Path::to_owned),
            ..DumpOptions::default()
        };
        let inspected = Inspected::of(&source.dump, &dump_options, monitor)?;
        if let Some(rows) = &source.rows {
            inspected.agree(&source.dump, rows)?;
        }
        let roles = match &source.globals {
            Some(globals) => role::read_globals(globals, monitor)?,
            None => BTreeMap::new(),
        };
        Ok(Work {
            source,
            target,
            options,
            monitor,
            dump_options,
            inspected,
            roles,
        })
    }

    /// Looks what is there.
    pub(super) fn look(&self) -> Result<State, DatabaseError> {
        let Some(mut client) = client::reach(self.target)? else {
            return Ok(State::Missing(client::maintenance(self.target)?));
        };
        if !self.options.dry_run {
            client::lock(&mut client, &self.target.name(), self.monitor)?;
        }
        let (encoding, remark) = about(&mut client, self.target)?;
        let tables = tables(&mut client, self.target)?;
        if tables > 0 && remark.is_some() && remark == self.remark() {
            return Ok(State::Done(client));
        }
        if tables == 0 {
            self.warn_of_encoding(&encoding);
            return Ok(State::Empty(client));
        }
        if !self.options.clean {
            return Err(DatabaseError::NotEmpty {
                target: self.target.name(),
                tables,
            });
        }
        let database = self.target.connection.database();
        let kept = server::kept_name(database, jiff::Timestamp::now());
        Ok(State::Full(client, kept))
    }

    fn remark(&self) -> Option<String> {
        let label = self.source.label.as_ref()?;
        Some(format!("{REMARK}{label}; not finished"))
    }

    fn warn_of_encoding(&self, encoding: &str) {
        let source = self.inspected.facts.creation.encoding.as_deref();
        if let Some(source) = source.filter(|source| *source != encoding) {
            self.monitor.warn(&format!(
                "the empty database is in {encoding} and the dump in {source}; text that does not fit is refused: \
                 drop the database to have it made anew"
            ));
        }
    }

    pub(super) fn would_do(&self, state: State, outcome: &mut Outcome) {
        outcome.open_jobs.clone_from(&self.inspected.open_jobs);
        if !self.options.run_deletions {
            let (held, open) = outcome.open_jobs.drain(..).partition(OpenJob::deletes);
            (outcome.held, outcome.open_jobs) = (held, open);
        }
        match state {
            State::Done(_) => outcome.resumed = true,
            State::Empty(_) => {}
            State::Missing(_) => outcome.created = true,
            State::Full(_, kept) => {
                outcome.created = true;
                outcome.kept = Some(kept);
            }
        }
    }

    pub(super) fn make_roles(
        &self,
        client: &mut Client,
        outcome: &mut Outcome,
    ) -> Result<(), DatabaseError> {
        if let Some(owner) = &self.target.owner
            && role::ensure_owner(client, self.target, owner, &self.roles)?
        {
            outcome.roles_created.push(owner.name.clone());
        }
        let (made, missing) = role::make_others(client, self.target, &self.roles)?;
        outcome.roles_created.extend(made);
        outcome.roles_missing = missing;
        Ok(())
    }

    pub(super) fn create_and_fill(
        &self,
        mut maintenance: Client,
        outcome: &mut Outcome,
    ) -> Result<(), DatabaseError> {
        let creation = &self.inspected.facts.creation;
        server::create(&mut maintenance, self.target, creation, self.monitor)?;
        drop(maintenance);
        outcome.created = true;
        let connector = self.target.connection.connector()?;
        let mut client = connector.connect().map_err(DatabaseError::Connect)?;
        client::lock(&mut client, &self.target.name(), self.monitor)?;
        match tables(&mut client, self.target)? {
            0 => self.fill(client, outcome),
            // Another run was faster.
            tables => Err(DatabaseError::NotEmpty {
                target: self.target.name(),
                tables,
            }),
        }
    }

    /// With `clean`, a run that was interrupted may have renamed the former database already.
    pub(super) fn find_kept(
        &self,
        client: &mut Client,
        outcome: &mut Outcome,
    ) -> Result<(), DatabaseError> {
        if self.options.clean {
            outcome.kept = server::newest_kept(client, self.target)?;
        }
        Ok(())
    }

    /// Restores into the empty database. Nothing of it counts before the commit; a client that is
    /// dropped before takes it all back.
    pub(super) fn fill(
        &self,
        mut client: Client,
        outcome: &mut Outcome,
    ) -> Result<(), DatabaseError> {
        let name = self.target.name();
        execute(&mut client, &name, "BEGIN", "begin a transaction")?;
        let before = transaction(&mut client, &name)?;
        let played = Player::new(&mut client, self.target)?.play(
            &self.source.dump,
            &self.dump_options,
            self.inspected.facts.database.as_deref(),
            self.monitor,
        )?;
        outcome.rights_left_out = played.rights;
        // The dump has set both as it needed them.
        let settings = "SET LOCAL client_encoding TO 'UTF8'; SET LOCAL search_path TO ''";
        execute(&mut client, &name, settings, "change its settings")?;
        if transaction(&mut client, &name)? != before {
            return Err(DatabaseError::Unproven {
                target: name,
                what: "the dump has ended its own transaction".to_owned(),
            });
        }
        prove::prove(&mut client, &name, &self.inspected.facts, self.monitor)?;
        self.make_safe(&mut client, outcome)?;
        self.leave_remark(&mut client)?;
        if self.monitor.stopped() {
            return Err(DatabaseError::Stopped);
        }
        execute(&mut client, &name, "COMMIT", "keep what was restored")?;
        self.analyze(&mut client);
        Ok(())
    }

    /// What an earlier call has done.
    pub(super) fn resume(
        &self,
        client: &mut Client,
        outcome: &mut Outcome,
    ) -> Result<(), DatabaseError> {
        let name = self.target.name();
        outcome.resumed = true;
        outcome.rows = prove::count_rows(client, &name, &outcome.rows)?;
        outcome.open_jobs = jobs::open_jobs(client, &name)?;
        outcome.held = jobs::held(client, &name)?;
        outcome.journal = Some(self.journal()).filter(|path| path.exists());
        self.look_at_paths(client, outcome)
    }

    /// Holds pending deletions and mends paths.
    fn make_safe(&self, client: &mut Client, outcome: &mut Outcome) -> Result<(), DatabaseError> {
        let name = self.target.name();
        if !self.options.run_deletions {
            let journal = self.journal();
            if jobs::hold_deletions(client, &name, &journal)? {
                outcome.journal = Some(journal);
            }
            outcome.held = jobs::held(client, &name)?;
        }
        outcome.open_jobs = jobs::open_jobs(client, &name)?;
        self.look_at_paths(client, outcome)
    }

    fn look_at_paths(
        &self,
        client: &mut Client,
        outcome: &mut Outcome,
    ) -> Result<(), DatabaseError> {
        let name = self.target.name();
        if let Some((from, to)) = &self.options.rewrite_paths {
            outcome.paths = paths::rewrite(client, &name, from, to)?;
            outcome.paths_rewritten = true;
        } else if let Some(from) = &self.source.repository {
            outcome.paths = paths::count(client, &name, from)?;
        }
        Ok(())
    }

    /// The journal's file: one for each dump and database, for what is written to it follows from
    /// these alone.
    fn journal(&self) -> PathBuf {
        let database = self.target.connection.database();
        let name = match &self.source.label {
            Some(label) => format!("held-{database}-{label}"),
            None => format!("held-{database}"),
        };
        let plain = |c: char| {
            if c.is_ascii_alphanumeric() || c == '-' {
                c
            } else {
                '_'
            }
        };
        let name: String = name.chars().map(plain).collect();
        self.options.journal.join(name + ".jsonl")
    }

    /// Says on the database that it is done, so that a later call goes on behind it. A role that may
    /// not say so has the database restored all the same.
    fn leave_remark(&self, client: &mut Client) -> Result<(), DatabaseError> {
        let Some(remark) = self.remark() else {
            return Ok(());
        };
        let name = self.target.name();
        let statement = format!(
            "COMMENT ON DATABASE {} IS {}",
            identifier(self.target.connection.database()),
            literal(&remark)
        );
        execute(client, &name, "SAVEPOINT remark", "set a savepoint")?;
        if client.batch_execute(&statement).is_err() {
            let back = "ROLLBACK TO SAVEPOINT remark";
            execute(client, &name, back, "go back to a savepoint")?;
        }
        Ok(())
    }

    /// Without figures about its tables a new database answers slowly.
    fn analyze(&self, client: &mut Client) {
        self.monitor.phase(Phase::Analyze, None);
        if let Err(error) = client.batch_execute("ANALYZE") {
            let answer = Answer::from(error);
            self.monitor.warn(&format!(
                "the database is restored, but ANALYZE failed ({answer}): run it, or it answers slowly"
            ));
        }
    }
}

/// The database's encoding and the remark on it.
pub(super) fn about(
    client: &mut Client,
    target: &Target,
) -> Result<(String, Option<String>), DatabaseError> {
    client
        .query_one(include_str!("../../../sql/restore-database.sql"), &[])
        .map(|row| (row.get(0), row.get(1)))
        .map_err(refused(&target.name(), "say what it is"))
}

/// How many tables somebody has made in the database.
fn tables(client: &mut Client, target: &Target) -> Result<i64, DatabaseError> {
    client
        .query_one(include_str!("../../../sql/restore-tables.sql"), &[])
        .map(|row| row.get(0))
        .map_err(refused(&target.name(), "count its tables"))
}

fn transaction(client: &mut Client, target: &str) -> Result<i64, DatabaseError> {
    client
        .query_one(include_str!("../../../sql/restore-transaction.sql"), &[])
        .map(|row| row.get(0))
        .map_err(refused(target, "name its transaction"))
}

fn execute(
    client: &mut Client,
    target: &str,
    statement: &str,
    what: &str,
) -> Result<(), DatabaseError> {
    client
        .batch_execute(statement)
        .map_err(refused(target, what))
}
