//! Why a server could not be talked to.
//!
//! Each message says what failed, on which target and what to do next; the server's own words are
//! the source. A target names database, host and user, never a password.

use std::error::Error;
use std::time::Duration;

use postgres::error::SqlState;

type Cause = Box<dyn Error + Send + Sync>;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The server asks for a password and none is known.
    #[error(
        "{target} asks for a password and none is known; put it into Db.conf, ~/.pgpass or PGPASSWORD"
    )]
    NoPassword {
        /// Database, host and user.
        target: String,
    },
    /// The server refuses the password.
    #[error(
        "wrong password, or no such role, for {target}; compare user and password with the server's"
    )]
    WrongPassword {
        /// Database, host and user.
        target: String,
        /// The server's answer.
        source: Cause,
    },
    /// The server does not let this role log in from here.
    #[error(
        "the server lets nobody in as this role from here: {target}; check that the role exists and may log in, and the server's pg_hba.conf"
    )]
    RoleRefused {
        /// Database, host and user.
        target: String,
        /// The server's answer.
        source: Cause,
    },
    /// There is no such database.
    #[error("there is no {target}; check dbname, or restore the database first")]
    NoSuchDatabase {
        /// Database, host and user.
        target: String,
        /// The server's answer.
        source: Cause,
    },
    /// The role may not connect to the database.
    #[error("no permission to connect to {target}; grant CONNECT on the database to the role")]
    Denied {
        /// Database, host and user.
        target: String,
        /// The server's answer.
        source: Cause,
    },
    /// The server is starting, stopping or full.
    #[error("the server takes no connection to {target} at the moment; try again later")]
    NotReady {
        /// Database, host and user.
        target: String,
        /// The server's answer.
        source: Cause,
    },
    /// No server answers.
    #[error(
        "cannot reach {target}; check that the server runs there and that host and port are right"
    )]
    Unreachable {
        /// Database, host and user.
        target: String,
        /// The system's answer.
        source: Cause,
    },
    /// A server was reached but did not answer in time.
    #[error(
        "no answer from {target} within {} s; check host and port, or give more time with connect_timeout",
        limit.as_secs()
    )]
    TimedOut {
        /// Database, host and user.
        target: String,
        /// The time that was given.
        limit: Duration,
    },
    /// No encrypted connection could be made.
    #[error("no TLS connection to {target}; {advice}")]
    TlsRefused {
        /// Database, host and user.
        target: String,
        /// What to do next.
        advice: &'static str,
        /// The TLS library's or server's answer.
        source: Cause,
    },
    /// Anything else.
    #[error("cannot connect to {target}")]
    Other {
        /// Database, host and user.
        target: String,
        /// The answer.
        source: Cause,
    },
    /// An open connection broke.
    #[error("the connection to {target} broke")]
    Broken {
        /// Database, host and user.
        target: String,
        /// The driver's answer.
        source: Cause,
    },
}

/// What a failed attempt says about trying elsewhere or otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    Tls,
    Reach,
    NoPassword,
    Answer,
    Other,
}

/// The driver keeps its kinds of error private; their texts are fixed.
pub(super) fn failure(error: &postgres::Error) -> Failure {
    if error.as_db_error().is_some() {
        return Failure::Answer;
    }
    let cause = error.source().map(ToString::to_string).unwrap_or_default();
    match error.to_string().as_str() {
        "error performing TLS handshake" => Failure::Tls,
        "invalid configuration" if cause == "password missing" => Failure::NoPassword,
        "error connecting to server"
        | "error communicating with the server"
        | "timeout waiting for server"
        | "connection closed" => Failure::Reach,
        _ => Failure::Other,
    }
}

impl ConnectError {
    /// Sorts the driver's error; its own cause becomes the source.
    pub(super) fn of(target: &str, error: postgres::Error) -> ConnectError {
        let target = target.to_owned();
        let failure = failure(&error);
        let code = error.code().cloned();
        let source = cause(error);
        match failure {
            Failure::NoPassword => ConnectError::NoPassword { target },
            Failure::Reach => ConnectError::Unreachable { target, source },
            Failure::Tls => {
                let advice = tls_advice(&source);
                ConnectError::TlsRefused {
                    target,
                    advice,
                    source,
                }
            }
            Failure::Answer | Failure::Other => ConnectError::of_answer(target, code, source),
        }
    }

    fn of_answer(target: String, code: Option<SqlState>, source: Cause) -> ConnectError {
        match code {
            Some(code) if code == SqlState::INVALID_PASSWORD => {
                ConnectError::WrongPassword { target, source }
            }
            Some(code) if code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
                ConnectError::RoleRefused { target, source }
            }
            Some(code) if code == SqlState::INVALID_CATALOG_NAME => {
                ConnectError::NoSuchDatabase { target, source }
            }
            Some(code) if code == SqlState::INSUFFICIENT_PRIVILEGE => {
                ConnectError::Denied { target, source }
            }
            Some(code) if ["53", "57"].contains(&&code.code()[..2]) => {
                ConnectError::NotReady { target, source }
            }
            _ => ConnectError::Other { target, source },
        }
    }

    /// Whether the next of several hosts may do better, by libpq's rule: a server that answers and
    /// refuses is the last word.
    pub(super) fn may_try_next_host(&self) -> bool {
        matches!(
            self,
            ConnectError::Unreachable { .. }
                | ConnectError::TimedOut { .. }
                | ConnectError::NotReady { .. }
        )
    }
}

/// The driver's text says no more than the variants here do, so its cause stands in its place.
pub(super) fn cause(error: postgres::Error) -> Cause {
    if error.source().is_none() {
        return Box::new(error);
    }
    match error.into_source() {
        Some(source) => source,
        None => "the driver gave no cause".into(),
    }
}

fn tls_advice(cause: &Cause) -> &'static str {
    let text = cause.to_string();
    if text.contains("server does not support TLS") {
        "switch TLS on at the server (ssl = on), or ask for less with sslmode=prefer"
    } else if text.contains("UnsupportedCertVersion") {
        "the server's certificate is of X.509 version 1: give the server one of version 3, or ask for less with sslmode=require and no root certificate"
    } else if text.contains("not valid for name") {
        "the server's certificate is for another host: use the name that it has, or ask for less with sslmode=verify-ca"
    } else if text.contains("certificate") {
        "check the server's certificate and the one it is checked against (sslrootcert)"
    } else {
        "check the server's ssl settings and sslmode here"
    }
}
