//! Filling in sha256 of rows that have none (`--fill-sha256`), from contents that are read and proven
//! for it.
//!
//! Releases before 3.6.0 kept none, and the migration is skipped on big servers. Sha1, md5, sha256
//! and size are unique together, so of several rows that bear one name one is filled in.

use std::collections::HashSet;

use postgres::Client;
use postgres::error::SqlState;

use super::act::Actor;
use super::journal::Step;
use super::outcome::Acted;
use super::{AT_ONCE, RepairError, Server};
use crate::catalog::{CatalogError, Pfile, Sha256, ShardPfiles};
use crate::monitor::{Monitor, Phase};
use crate::repository::{Claim, Prover, RepositoryName, Shard, Tree};
use crate::sysconf::{Connector, RepositoryType};

const LIMITS: (&str, &str) = (
    "repair-limits",
    include_str!("../../../sql/repair-limits.sql"),
);
const RIGHTS: (&str, &str) = (
    "repair-rights",
    include_str!("../../../sql/repair-rights.sql"),
);
const FILL: (&str, &str) = (
    "repair-fill-sha256",
    include_str!("../../../sql/repair-fill-sha256.sql"),
);
const FILLED: (&str, &str) = (
    "repair-filled-sha256",
    include_str!("../../../sql/repair-filled-sha256.sql"),
);
const CLEAR: (&str, &str) = (
    "repair-clear-sha256",
    include_str!("../../../sql/repair-clear-sha256.sql"),
);

/// A row to be filled in.
pub(super) struct Given {
    pub(super) pfile: i32,
    pub(super) digest: String,
    pub(super) name: RepositoryName,
    size: u64,
}

/// A connection that may write this one column.
pub(super) struct Rows {
    client: Client,
    target: String,
}

impl Rows {
    pub(super) fn connect(connector: &Connector) -> Result<Rows, RepairError> {
        let target = connector.target().to_owned();
        let mut client = connector.connect().map_err(|error| RepairError::Connect {
            source: Box::new(error),
        })?;
        client
            .batch_execute(LIMITS.1)
            .map_err(|error| refused(&target, LIMITS.0, error))?;
        let row = client
            .query_one(RIGHTS.1, &[])
            .map_err(|error| refused(&target, RIGHTS.0, error))?;
        if !row.get::<_, bool>(0) {
            return Err(RepairError::NoColumn { target });
        }
        if !row.get::<_, bool>(1) {
            return Err(RepairError::NoRight { target });
        }
        Ok(Rows { client, target })
    }

    fn fill(&mut self, given: &[Given]) -> Result<HashSet<i32>, RepairError> {
        let keys: Vec<i32> = given.iter().map(|each| each.pfile).collect();
        let digests: Vec<&str> = given.iter().map(|each| each.digest.as_str()).collect();
        let names: Vec<String> = given.iter().map(|each| each.name.to_string()).collect();
        let rows = self
            .client
            .query(FILL.1, &[&keys, &digests, &names])
            .map_err(|error| refused(&self.target, FILL.0, error))?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// How many of these rows still have the digest that they were given, in the database that the run
    /// was about.
    pub(super) fn filled(
        &mut self,
        given: &[(i32, String)],
        database: &str,
    ) -> Result<u64, RepairError> {
        let (keys, digests): (Vec<i32>, Vec<String>) = given.iter().cloned().unzip();
        let row = self
            .client
            .query_one(FILLED.1, &[&keys, &digests, &database])
            .map_err(|error| refused(&self.target, FILLED.0, error))?;
        Ok(row.get::<_, i64>(0).unsigned_abs())
    }

    /// Takes digests away again that are still as they were filled in, in the database that the run
    /// was about; returns how many were.
    pub(super) fn clear(
        &mut self,
        given: &[(i32, String)],
        database: &str,
    ) -> Result<u64, RepairError> {
        let (keys, digests): (Vec<i32>, Vec<String>) = given.iter().cloned().unzip();
        self.client
            .execute(CLEAR.1, &[&keys, &digests, &database])
            .map_err(|error| refused(&self.target, CLEAR.0, error))
    }
}

/// What a refusal means.
fn refused(target: &str, statement: &'static str, error: postgres::Error) -> RepairError {
    if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) {
        return RepairError::NoRight {
            target: target.to_owned(),
        };
    }
    RepairError::Query {
        statement,
        source: Box::new(error),
    }
}

/// How many rows could be filled in.
pub(super) fn plan(server: &Server<'_>, monitor: &dyn Monitor) -> Result<Acted, RepairError> {
    let mut acted = Acted::default();
    for shard in Shard::all() {
        if monitor.stopped() {
            return Err(RepairError::Stopped);
        }
        for (_, claim) in wanting(server, shard)? {
            match claim {
                Some(claim) => acted.planned.add(claim.size),
                None => acted.left.add(0),
            }
        }
    }
    Ok(acted)
}

/// Fills in what can be. What ends the run before its end is noted with the actor.
pub(super) fn run(actor: &mut Actor<'_>, rows: &mut Rows, server: &Server<'_>) -> Acted {
    actor.monitor.phase(Phase::Repair, None);
    let mut acted = Acted::default();
    if let Err(error) = fill_all(actor, rows, server, &mut acted) {
        actor.broken.get_or_insert(error);
    }
    acted
}

fn fill_all(
    actor: &mut Actor<'_>,
    rows: &mut Rows,
    server: &Server<'_>,
    acted: &mut Acted,
) -> Result<(), RepairError> {
    let mut prover = Prover::new(true).sparing(&actor.options.check.low_impact);
    for shard in Shard::all() {
        for some in wanting(server, shard)?.chunks(AT_ONCE) {
            let given = read(actor, &mut prover, some);
            if actor.monitor.stopped() {
                return Err(RepairError::Stopped);
            }
            let steps: Vec<Step> = given.iter().map(Given::step).collect();
            actor.journal.write(&steps)?;
            let filled = rows.fill(&given)?;
            for each in given.iter().filter(|each| filled.contains(&each.pfile)) {
                acted.done.add(each.size);
            }
            acted.left.files += (some.len() - filled.len()) as u64;
            actor.monitor.advance(some.len() as u64, 0);
        }
    }
    Ok(())
}

impl Given {
    fn step(&self) -> Step {
        Step::Sha256 {
            pfile: self.pfile,
            digest: self.digest.clone(),
        }
    }
}

/// Reads contents, and hands back the digests of those that are what their names promise.
fn read(actor: &Actor<'_>, prover: &mut Prover, some: &[(i32, Option<Claim>)]) -> Vec<Given> {
    let claims: Vec<Claim> = some.iter().filter_map(|(_, claim)| claim.clone()).collect();
    let keys: Vec<i32> = some
        .iter()
        .filter_map(|(pfile, claim)| claim.as_ref().map(|_| *pfile))
        .collect();
    let proven = actor.tree.prove(&claims, prover, actor.monitor);
    proven
        .into_iter()
        .filter_map(|(at, result)| {
            let proof = result.ok().filter(|proof| proof.holds())?;
            let digest = proof.sha256?;
            Some(Given {
                pfile: keys[at],
                digest: digest.iter().map(|byte| format!("{byte:02X}")).collect(),
                name: claims[at].name,
                size: claims[at].size,
            })
        })
        .collect()
}

/// The rows of a shard that have no sha256, each with where its contents stand.
fn wanting(server: &Server<'_>, shard: Shard) -> Result<Vec<(i32, Option<Claim>)>, CatalogError> {
    let pfiles = server.catalog.shard(shard)?;
    let rows = pfiles.pfiles().iter().filter_map(|pfile| {
        let row = first_without(&pfiles, pfile)?;
        Some((row, claim(server.tree, &pfile.name)))
    });
    Ok(rows.collect())
}

/// The row of a name to be filled in, when none of them has a digest.
fn first_without(pfiles: &ShardPfiles, pfile: &Pfile) -> Option<i32> {
    let rows = pfiles.rows(pfile);
    let is_known = rows.iter().any(|row| row.sha256 != Sha256::Unknown);
    rows.first().filter(|_| !is_known).map(|row| row.pk)
}

fn claim(tree: &Tree, name: &RepositoryName) -> Option<Claim> {
    let types = [RepositoryType::Files, RepositoryType::Gold];
    let mut places = types
        .into_iter()
        .flat_map(|ty| tree.layout().places(ty, name));
    let path = places.find(|path| tree.has(path, name))?;
    Some(Claim {
        path,
        name: *name,
        size: name.size,
    })
}
