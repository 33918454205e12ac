//! What becomes of each statement of a dump.
//!
//! A dump is restored into a database of another server perhaps, with other roles. So what it says
//! of owners, rights, roles and databases is left out: everything belongs to FOSSology's role of the
//! target. What it undoes first (`pg_dump --clean`) is not there. What no dump holds is refused: a
//! dump is data, and not a script that somebody wrote.

use std::collections::HashSet;

use crate::catalog::dump::{Token, tokens};

/// What becomes of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is run.
    Run,
    /// An extension is made, unless it is there.
    Extension(String),
    /// It is left out: it is about something else than the database's contents.
    Leave,
    /// It is left out, and gave somebody a right.
    LeaveRight,
    /// Nothing of the dump is restored: it holds this.
    Refuse(&'static str),
}

use Verdict::{Extension, Leave, LeaveRight, Refuse, Run};

/// Judges a statement as the lexer hands it over. `settings` are those that the server knows.
pub(super) fn verdict(plain: &[u8], settings: &HashSet<String>) -> Verdict {
    let mut all = tokens(plain);
    let Some(Token::Word(verb)) = all.next() else {
        return Leave;
    };
    match verb.as_str() {
        "set" => of_set(all, settings),
        "create" => of_create(all),
        "alter" => of_alter(&all.collect::<Vec<_>>()),
        "comment" => of_comment(all),
        "grant" | "revoke" => LeaveRight,
        "drop" | "security" | "reassign" | "reset" => Leave,
        // Around large objects; all of the dump is in one transaction.
        "begin" | "start" | "commit" | "end" => Leave,
        "rollback" | "abort" | "prepare" | "savepoint" | "release" => {
            Refuse("a statement that ends a transaction")
        }
        "do" | "call" | "load" | "execute" => Refuse("a statement that runs a program"),
        "copy" => Refuse("a COPY that is not from the dump itself"),
        _ => Run,
    }
}

fn word(token: Option<Token>) -> String {
    match token {
        Some(Token::Word(word) | Token::Quoted(word)) => word,
        _ => String::new(),
    }
}

fn of_set(mut all: impl Iterator<Item = Token>, settings: &HashSet<String>) -> Verdict {
    let mut name = word(all.next());
    if name == "session" || name == "local" {
        name = word(all.next());
    }
    if matches!(name.as_str(), "role" | "authorization" | "transaction") {
        return Leave;
    }
    let value = all.nth(1);
    let has_tablespace = name == "default_tablespace"
        && !matches!(&value, Some(Token::Text(text)) if text.is_empty());
    if has_tablespace || !settings.contains(&name) {
        return Leave;
    }
    Run
}

fn of_create(mut all: impl Iterator<Item = Token>) -> Verdict {
    let mut what = word(all.next());
    while matches!(what.as_str(), "or" | "replace" | "trusted" | "procedural") {
        what = word(all.next());
    }
    match what.as_str() {
        "database" | "role" | "user" | "group" | "tablespace" | "language" | "publication"
        | "subscription" => Leave,
        "schema" if word(all.next()) == "public" => Leave,
        "extension" => {
            let mut name = word(all.next());
            if name == "if" {
                name = word(all.nth(2));
            }
            Extension(name)
        }
        _ => Run,
    }
}

fn of_alter(all: &[Token]) -> Verdict {
    let is = |at: usize, text: &str| matches!(all.get(at), Some(Token::Word(word)) if word == text);
    let elsewhere = [
        "database",
        "role",
        "user",
        "group",
        "tablespace",
        "system",
        "default",
        "language",
        "publication",
        "subscription",
    ];
    if elsewhere.iter().any(|what| is(0, what)) {
        return Leave;
    }
    let owner = all.len().checked_sub(3);
    if owner.is_some_and(|at| is(at, "owner") && is(at + 1, "to")) {
        return Leave;
    }
    let undone = ["constraint", "default", "identity"];
    let drops =
        (0..all.len()).any(|at| is(at, "drop") && undone.iter().any(|what| is(at + 1, what)));
    if drops { Leave } else { Run }
}

fn of_comment(mut all: impl Iterator<Item = Token>) -> Verdict {
    match word(all.nth(1)).as_str() {
        "database" | "extension" | "language" | "role" | "tablespace" => Leave,
        "schema" if word(all.next()) == "public" => Leave,
        _ => Run,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(text: &str) -> Verdict {
        let settings = ["client_encoding", "default_tablespace", "search_path"];
        verdict(
            text.as_bytes(),
            &settings.map(str::to_owned).into_iter().collect(),
        )
    }

    #[test]
    fn what_makes_the_contents_is_run() {
        for text in [
            "SET client_encoding = 'UTF8'",
            "SET default_tablespace = ''",
            "SELECT pg_catalog.setval('public.a_seq', 7, true)",
            "CREATE TABLE public.owner (a int)",
            "CREATE OR REPLACE FUNCTION public.f() RETURNS int LANGUAGE sql AS ''",
            "CREATE SCHEMA other",
            "ALTER TABLE ONLY public.t ADD CONSTRAINT c PRIMARY KEY (a)",
            "ALTER TABLE ONLY public.t ALTER COLUMN a SET DEFAULT nextval('s'::regclass)",
            "ALTER SEQUENCE public.s OWNED BY public.t.a",
            "COMMENT ON TABLE public.t IS 'x'",
            "INSERT INTO public.t VALUES (1)",
        ] {
            assert_eq!(judge(text), Run, "{text}");
        }
    }

    #[test]
    fn what_is_about_something_else_is_left_out() {
        for text in [
            "ALTER TABLE public.t OWNER TO fossy",
            "ALTER TABLE public.t OWNER TO \"odd one\"",
            "ALTER DATABASE fossology SET search_path TO 'x'",
            "CREATE DATABASE fossology",
            "CREATE ROLE fossy",
            "CREATE SCHEMA public",
            "CREATE OR REPLACE PROCEDURAL LANGUAGE plpgsql",
            "COMMENT ON EXTENSION \"uuid-ossp\" IS 'x'",
            "COMMENT ON SCHEMA public IS 'x'",
            "DROP TABLE public.t",
            "ALTER TABLE IF EXISTS ONLY public.t DROP CONSTRAINT IF EXISTS c",
            "SET transaction_timeout = 0",
            "SET SESSION AUTHORIZATION 'postgres'",
            "SET default_tablespace = fast",
            "BEGIN",
            "",
        ] {
            assert_eq!(judge(text), Leave, "{text}");
        }
        assert_eq!(
            judge("GRANT SELECT ON TABLE public.t TO reader"),
            LeaveRight
        );
        assert_eq!(
            judge("CREATE EXTENSION IF NOT EXISTS \"uuid-ossp\" WITH SCHEMA public"),
            Extension("uuid-ossp".to_owned())
        );
    }

    #[test]
    fn what_no_dump_holds_is_refused() {
        for text in [
            "ROLLBACK",
            "DO ''",
            "COPY public.t FROM PROGRAM 'rm -rf /'",
            "COPY public.t TO '/etc/passwd'",
        ] {
            assert!(matches!(judge(text), Refuse(_)), "{text}");
        }
    }
}
