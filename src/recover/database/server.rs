//! The database itself: made, or moved out of the way, from a connection to another one.

use std::thread;
use std::time::{Duration, Instant};

use postgres::Client;

use super::client::refused;
use super::error::Answer;
use super::quoting::{identifier, literal};
use super::{DatabaseError, Target};
use crate::catalog::dump::Creation;
use crate::monitor::Monitor;

/// How long our own former sessions may take to leave.
const PATIENCE: Duration = Duration::from_secs(3);
const STEP: Duration = Duration::from_millis(50);

/// What stands between a database's name and the time of its renaming, and the length of that.
const BEFORE: &str = "_before_";
const TIME_LENGTH: usize = "20261121T070500Z".len();

/// The longest name that PostgreSQL keeps.
const NAME_LIMIT: usize = 63;

/// SQLSTATE of a missing right.
pub(super) const NO_RIGHT: &str = "42501";
const OBJECT_IN_USE: &str = "55006";

/// What a server answers when the database is there already, or is just being made.
const DUPLICATE_DATABASE: [&str; 2] = ["42P04", "23505"];

/// What a server answers to an encoding and locale that it does not have, or that do not go
/// together.
const OTHER_LOCALE: [&str; 2] = ["22023", "42809"];

/// Makes the database, in the encoding and, where the server has it, the locale of the source. It
/// belongs to `owner`.
pub(super) fn create(
    client: &mut Client,
    target: &Target,
    creation: &Creation,
    monitor: &dyn Monitor,
) -> Result<(), DatabaseError> {
    let own = template_encoding(client, target)?;
    let mut failure = None;
    for locale in locales(creation, &own) {
        let statement = statement(target, creation, target.other_owner(), &locale);
        let answer = match client.batch_execute(&statement) {
            Ok(()) => {
                if failure.is_some() {
                    monitor.warn(&format!(
                        "the server lacks the locale of the source; the new database sorts text{locale}"
                    ));
                }
                return Ok(());
            }
            Err(error) => Answer::from(error),
        };
        match answer.code() {
            // Another run was faster; what is in it is looked at next.
            code if DUPLICATE_DATABASE.contains(&code) => return Ok(()),
            NO_RIGHT => {
                let user = target.connection.user();
                // Typed by an administrator, it would belong to that one.
                let owner = target.other_owner().unwrap_or(user);
                let statement = self::statement(target, creation, Some(owner), &locale);
                return Err(DatabaseError::MayNot {
                    target: target.name(),
                    what: "create databases".to_owned(),
                    statement: format!("ALTER ROLE {} CREATEDB; or {statement};", identifier(user)),
                    source: answer,
                });
            }
            code if OTHER_LOCALE.contains(&code) => failure = Some(answer),
            _ => return Err(create_refused(target, answer)),
        }
    }
    match failure {
        Some(answer) => Err(create_refused(target, answer)),
        None => Ok(()),
    }
}

fn create_refused(target: &Target, source: Answer) -> DatabaseError {
    DatabaseError::Refused {
        target: target.name(),
        what: format!(
            "create database {}",
            identifier(target.connection.database())
        ),
        source,
    }
}

fn template_encoding(client: &mut Client, target: &Target) -> Result<String, DatabaseError> {
    client
        .query_one(include_str!("../../../sql/restore-template.sql"), &[])
        .map(|row| row.get(0))
        .map_err(refused(&target.name(), "say its encoding"))
}

fn statement(target: &Target, creation: &Creation, owner: Option<&str>, locale: &str) -> String {
    let mut statement = format!(
        "CREATE DATABASE {}",
        identifier(target.connection.database())
    );
    if let Some(owner) = owner {
        statement.push_str(&format!(" OWNER {}", identifier(owner)));
    }
    statement.push_str(" TEMPLATE template0");
    if let Some(encoding) = &creation.encoding {
        statement.push_str(&format!(" ENCODING {}", literal(encoding)));
    }
    statement + locale
}

/// The ways to ask for a locale, best first: that of the source, the server's own where it goes
/// with the encoding, and the one that goes with all.
fn locales(creation: &Creation, own_encoding: &str) -> Vec<String> {
    let locale = |collate: &str, ctype: &str| {
        format!(
            " LC_COLLATE {} LC_CTYPE {}",
            literal(collate),
            literal(ctype)
        )
    };
    let mut locales = Vec::new();
    if let (Some(collate), Some(ctype)) = (&creation.collate, &creation.ctype) {
        locales.push(locale(collate, ctype));
    }
    if creation
        .encoding
        .as_deref()
        .is_none_or(|encoding| encoding == own_encoding)
    {
        locales.push(String::new());
    }
    locales.push(locale("C", "C"));
    locales
}

/// The name under which a database is kept that makes room for another.
pub(super) fn kept_name(database: &str, now: jiff::Timestamp) -> String {
    let time = now.strftime("%Y%m%dT%H%M%SZ").to_string();
    kept_prefix(database) + &time
}

/// What that name begins with.
fn kept_prefix(database: &str) -> String {
    let mut end = database.len().min(NAME_LIMIT - BEFORE.len() - TIME_LENGTH);
    while !database.is_char_boundary(end) {
        end -= 1;
    }
    database[..end].to_owned() + BEFORE
}

/// The newest database that was renamed to make room for the target: by a run that was interrupted
/// then, when this one has found room already.
pub(super) fn newest_kept(
    client: &mut Client,
    target: &Target,
) -> Result<Option<String>, DatabaseError> {
    let prefix = kept_prefix(target.connection.database());
    let names = client
        .query(include_str!("../../../sql/restore-databases.sql"), &[])
        .map_err(refused(&target.name(), "list the databases"))?
        .into_iter()
        .map(|row| row.get::<_, String>(0));
    let is_kept = |name: &String| {
        name.strip_prefix(&prefix)
            .is_some_and(|time| time.len() == TIME_LENGTH && time.ends_with('Z'))
    };
    Ok(names.filter(is_kept).max())
}

/// Renames the database out of the way.
pub(super) fn keep_as(
    client: &mut Client,
    target: &Target,
    kept: &str,
) -> Result<(), DatabaseError> {
    let database = target.connection.database();
    wait_until_unused(client, target)?;
    let statement = format!(
        "ALTER DATABASE {} RENAME TO {}",
        identifier(database),
        identifier(kept)
    );
    let Err(error) = client.batch_execute(&statement) else {
        return Ok(());
    };
    let source = Answer::from(error);
    match source.code() {
        NO_RIGHT => Err(DatabaseError::MayNot {
            target: target.name(),
            what: "rename the database".to_owned(),
            statement: format!("{statement};"),
            source,
        }),
        OBJECT_IN_USE => Err(DatabaseError::InUse {
            database: database.to_owned(),
            sessions: vec!["a session that has just come".to_owned()],
        }),
        _ => Err(DatabaseError::Refused {
            target: target.name(),
            what: "rename the database".to_owned(),
            source,
        }),
    }
}

/// Nobody may be connected to a database that is renamed; our own session is about to leave.
fn wait_until_unused(client: &mut Client, target: &Target) -> Result<(), DatabaseError> {
    let database = target.connection.database();
    let start = Instant::now();
    loop {
        let rows = client
            .query(
                include_str!("../../../sql/restore-sessions.sql"),
                &[&database],
            )
            .map_err(refused(&target.name(), "say who is connected"))?;
        if rows.is_empty() {
            return Ok(());
        }
        if start.elapsed() >= PATIENCE {
            let session = |row: &postgres::Row| {
                let (pid, user, program, address): (i32, String, String, String) =
                    (row.get(0), row.get(1), row.get(2), row.get(3));
                format!("{program} as {user} from {address} (server process {pid})")
            };
            return Err(DatabaseError::InUse {
                database: database.to_owned(),
                sessions: rows.iter().map(session).collect(),
            });
        }
        thread::sleep(STEP);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_databases_that_are_kept() {
        let now: jiff::Timestamp = "2026-11-21T07:05:00Z".parse().unwrap();
        assert_eq!(
            kept_name("fossology", now),
            "fossology_before_20261121T070500Z"
        );
        let long = "ä".repeat(31) + "x";
        let kept = kept_name(&long, now);
        assert!(kept.len() <= NAME_LIMIT && kept.ends_with("ä_before_20261121T070500Z"));
    }

    #[test]
    fn the_locale_of_the_source_comes_first() {
        let creation = |encoding: &str, locale: Option<&str>| Creation {
            encoding: Some(encoding.to_owned()),
            collate: locale.map(str::to_owned),
            ctype: locale.map(str::to_owned),
        };
        let c = " LC_COLLATE E'C' LC_CTYPE E'C'";
        let found = locales(&creation("UTF8", Some("C.UTF-8")), "UTF8");
        assert_eq!(found, [" LC_COLLATE E'C.UTF-8' LC_CTYPE E'C.UTF-8'", "", c]);
        assert_eq!(locales(&creation("SQL_ASCII", None), "UTF8"), [c]);
        assert_eq!(locales(&Creation::default(), "UTF8"), ["", c]);
    }
}
