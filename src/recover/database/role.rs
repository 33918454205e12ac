//! Roles: the one that FOSSology connects as, and others that the source had.
//!
//! A role that is there is never changed. A new one gets FOSSology's password from the target's own
//! configuration, in the form in which the server keeps it: the password itself reaches neither the
//! server's log nor the list of what it is doing.

use std::collections::BTreeMap;
use std::path::Path;

use postgres::Client;
use postgres_protocol::password::{md5, scram_sha_256};

use super::client::refused;
use super::error::Answer;
use super::quoting::identifier;
use super::server::NO_RIGHT;
use super::{DatabaseError, Owner, Target};
use crate::catalog::dump::{DumpOptions, Input, Piece, Script, Token, tokens};
use crate::monitor::Monitor;
use crate::sysconf::programs::Version;

/// What is taken over of a role: nothing that makes it mighty.
const ATTRIBUTES: [&str; 6] = [
    "login",
    "nologin",
    "createdb",
    "nocreatedb",
    "inherit",
    "noinherit",
];

/// What makes a role too mighty to be made from a file.
const MIGHTY: [&str; 4] = ["superuser", "createrole", "replication", "bypassrls"];

/// A role of the source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Role {
    /// Attributes that are taken over.
    attributes: Vec<&'static str>,
    /// Whether it may do what only an administrator should give.
    mighty: bool,
}

/// Reads the roles in what `pg_dumpall --globals-only` wrote. Passwords in it are passed over.
pub(super) fn read_globals(
    path: &Path,
    monitor: &dyn Monitor,
) -> Result<BTreeMap<String, Role>, DatabaseError> {
    let mut roles = BTreeMap::new();
    let mut script = Script::start(Input::open(path)?, &DumpOptions::default())?;
    while let Some(piece) = script.next(monitor)? {
        if let Piece::Statement { plain, .. } = piece {
            read_role(&plain, &mut roles);
        }
    }
    Ok(roles)
}

fn read_role(plain: &[u8], roles: &mut BTreeMap<String, Role>) {
    let mut all = tokens(plain);
    let is =
        |token: Option<Token>, text: &str| matches!(token, Some(Token::Word(word)) if word == text);
    let altered = match all.next() {
        Some(Token::Word(verb)) if verb == "create" => false,
        Some(Token::Word(verb)) if verb == "alter" => true,
        _ => return,
    };
    if !is(all.next(), "role") {
        return;
    }
    let Some(Token::Word(name) | Token::Quoted(name)) = all.next() else {
        return;
    };
    let role: &mut Role = roles.entry(name).or_default();
    if !altered || !is(all.next(), "with") {
        return;
    }
    for token in all {
        if let Token::Word(word) = token {
            role.mighty |= MIGHTY.contains(&word.as_str());
            role.attributes
                .extend(ATTRIBUTES.iter().filter(|known| **known == word));
        }
    }
}

/// Makes FOSSology's role when it is not there; whether it was made.
pub(super) fn ensure_owner(
    client: &mut Client,
    target: &Target,
    owner: &Owner,
    globals: &BTreeMap<String, Role>,
) -> Result<bool, DatabaseError> {
    if exists(client, target, &owner.name)? {
        return Ok(false);
    }
    let role = globals
        .get(&owner.name)
        .filter(|role| !role.attributes.is_empty());
    let mut attributes: Vec<&str> = role.map_or(vec![], |role| role.attributes.clone());
    attributes.retain(|attribute| *attribute != "nologin");
    if !attributes.contains(&"login") {
        attributes.push("login");
    }
    let statement = create_statement(&owner.name, &attributes);
    let secret = match &owner.password {
        Some(password) => {
            let verifier = verifier(client, target, &owner.name, password.expose())?;
            format!(" PASSWORD '{verifier}'")
        }
        None => String::new(),
    };
    match client.batch_execute(&format!("{statement}{secret}")) {
        Ok(()) => Ok(true),
        Err(error) => Err(not_made(
            target,
            &format!("{statement} PASSWORD '…'"),
            error.into(),
        )),
    }
}

/// Makes the other roles of the source that are not there, without passwords; those that cannot, or
/// should not, be made are named.
pub(super) fn make_others(
    client: &mut Client,
    target: &Target,
    globals: &BTreeMap<String, Role>,
) -> Result<(Vec<String>, Vec<String>), DatabaseError> {
    let (mut made, mut missing) = (Vec::new(), Vec::new());
    for (name, role) in globals {
        if name.starts_with("pg_") || exists(client, target, name)? {
            continue;
        }
        let statement = create_statement(name, &role.attributes);
        if !role.mighty && client.batch_execute(&statement).is_ok() {
            made.push(name.clone());
        } else {
            missing.push(name.clone());
        }
    }
    Ok((made, missing))
}

fn create_statement(name: &str, attributes: &[&str]) -> String {
    let words: String = attributes.iter().map(|word| format!(" {word}")).collect();
    format!(
        "CREATE ROLE {}{}",
        identifier(name),
        words.to_ascii_uppercase()
    )
}

fn not_made(target: &Target, statement: &str, source: Answer) -> DatabaseError {
    if source.code() == NO_RIGHT {
        return DatabaseError::MayNot {
            target: target.name(),
            what: "create roles".to_owned(),
            statement: format!("{statement}; (the password of Db.conf)"),
            source,
        };
    }
    DatabaseError::Refused {
        target: target.name(),
        what: "create FOSSology's role".to_owned(),
        source,
    }
}

pub(super) fn exists(
    client: &mut Client,
    target: &Target,
    role: &str,
) -> Result<bool, DatabaseError> {
    client
        .query_one(include_str!("../../../sql/restore-role.sql"), &[&role])
        .map(|row| row.get(0))
        .map_err(refused(&target.name(), "say which roles it has"))
}

/// The password as the server keeps it.
fn verifier(
    client: &mut Client,
    target: &Target,
    role: &str,
    password: &str,
) -> Result<String, DatabaseError> {
    let row = client
        .query_one(include_str!("../../../sql/server_version.sql"), &[])
        .map_err(refused(&target.name(), "say its version"))?;
    let version = Version::parse(row.get(0));
    // Servers before 10 know only the older form.
    let knows_scram = version.is_none_or(|version| version.release() >= (10, 0));
    Ok(if knows_scram {
        scram_sha_256(password.as_bytes())
    } else {
        md5(password.as_bytes(), role)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::Silent;

    #[test]
    fn roles_of_a_file() {
        let text = "--\n-- PostgreSQL database cluster dump\n--\n\nCREATE ROLE fossy;\n\
            ALTER ROLE fossy WITH NOSUPERUSER INHERIT NOCREATEROLE CREATEDB LOGIN NOREPLICATION NOBYPASSRLS PASSWORD 'SUPERUSER';\n\
            CREATE ROLE \"odd; one\";\nALTER ROLE \"odd; one\" WITH SUPERUSER LOGIN;\n\
            ALTER ROLE fossy SET search_path TO 'x';\nGRANT fossy TO \"odd; one\";\n";
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let roles = read_globals(file.path(), &Silent).unwrap();
        assert_eq!(roles.len(), 2);
        assert_eq!(roles["fossy"].attributes, ["inherit", "createdb", "login"]);
        assert!(!roles["fossy"].mighty && roles["odd; one"].mighty);
        assert_eq!(
            create_statement("odd; one", &["login", "createdb"]),
            "CREATE ROLE \"odd; one\" LOGIN CREATEDB"
        );
    }
}
