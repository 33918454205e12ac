//! Making connections.
//!
//! A [`Connector`] tries the servers in their order, each with and without encryption as `sslmode`
//! asks, and within `connect_timeout`, which holds for all of a server's greeting and not only for
//! reaching it. It is its own manager for a pool of connections.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use postgres::config::SslMode as Encryption;
use postgres::error::SqlState;
use postgres::{Client, NoTls};
use tokio_postgres::Config;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::connect_error::{ConnectError, Failure, cause, failure};
use super::row_stream::{OpenError, RowStream};
use super::tls::SslMode;

/// One server with everything that is needed to log in.
pub(super) struct Plan {
    /// Database, this server and user.
    pub(super) target: String,
    /// The driver's settings, but for encryption.
    pub(super) config: Config,
    /// Whether encryption is out of the question, as on a local socket.
    pub(super) local: bool,
}

struct Plans {
    target: String,
    plans: Vec<Plan>,
    mode: SslMode,
    tls: Option<MakeRustlsConnect>,
    limit: Option<Duration>,
}

/// Makes connections to one database. Cheap to clone; also a manager for `r2d2` pools.
#[derive(Clone)]
pub struct Connector {
    plans: Arc<Plans>,
}

impl Connector {
    pub(super) fn new(
        target: String,
        plans: Vec<Plan>,
        mode: SslMode,
        tls: Option<MakeRustlsConnect>,
        limit: Option<Duration>,
    ) -> Connector {
        Connector {
            plans: Arc::new(Plans {
                target,
                plans,
                mode,
                tls,
                limit,
            }),
        }
    }

    /// Database, servers and user, as in error messages; never a password.
    pub fn target(&self) -> &str {
        &self.plans.target
    }

    /// Opens a connection. Of several servers, those that cannot be reached are passed over.
    pub fn connect(&self) -> Result<Client, ConnectError> {
        self.open(|config, tls| {
            let config = postgres::Config::from(config);
            Ok(match tls {
                Some(tls) => config.connect(tls),
                None => config.connect(NoTls),
            }?)
        })
    }

    /// Opens a connection for reading rows by the million, in the same way.
    pub fn stream(&self) -> Result<RowStream, ConnectError> {
        self.open(|config, tls| {
            Ok(match tls {
                Some(tls) => RowStream::open(&config, tls),
                None => RowStream::open(&config, NoTls),
            }?)
        })
    }

    fn open<T: Send + 'static>(&self, way: Way<T>) -> Result<T, ConnectError> {
        let (last, others) = self.plans.plans.split_last().expect("at least one server");
        for plan in others {
            match self.open_at(plan, way) {
                Err(error) if error.may_try_next_host() => {}
                result => return result,
            }
        }
        self.open_at(last, way)
    }

    /// Connects to one server, with a second try with or without encryption where `sslmode` leaves
    /// that open and the first failure was about it.
    fn open_at<T: Send + 'static>(&self, plan: &Plan, way: Way<T>) -> Result<T, ConnectError> {
        let (first, second) = match self.plans.mode {
            _ if plan.local => (Encryption::Disable, None),
            SslMode::Disable => (Encryption::Disable, None),
            SslMode::Allow => (Encryption::Disable, Some(Encryption::Require)),
            SslMode::Prefer => (Encryption::Prefer, Some(Encryption::Disable)),
            SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => {
                (Encryption::Require, None)
            }
        };
        let sorted = |attempt: Attempt| match attempt {
            Attempt::Failed(error) => ConnectError::of(&plan.target, error),
            Attempt::TimedOut(limit) => ConnectError::TimedOut {
                target: plan.target.clone(),
                limit,
            },
            Attempt::NoRoom(error) => ConnectError::Other {
                target: plan.target.clone(),
                source: Box::new(error),
            },
        };
        let refused = match self.attempt(plan, first, way) {
            Ok(client) => return Ok(client),
            Err(refused) => refused,
        };
        let Some(second) = second.filter(|_| refused.is_about_encryption()) else {
            return Err(sorted(refused));
        };
        match self.attempt(plan, second, way) {
            Ok(client) => Ok(client),
            // The way that was wanted more says better what is wrong.
            Err(other) if other.is_about_encryption() => Err(sorted(refused)),
            Err(other) => Err(sorted(other)),
        }
    }

    /// The driver limits only the time to reach a server; one that takes the connection and then
    /// says nothing would hold it for ever. So it works in a thread of its own, which is left
    /// behind when the time is over and ends when the server closes.
    fn attempt<T: Send + 'static>(
        &self,
        plan: &Plan,
        encryption: Encryption,
        way: Way<T>,
    ) -> Result<T, Attempt> {
        let mut config = plan.config.clone();
        config.ssl_mode(encryption);
        let tls = self.plans.tls.clone();
        let tls = tls.filter(|_| encryption != Encryption::Disable);
        let connect = move || way(config, tls);
        let Some(limit) = self.plans.limit else {
            return connect();
        };
        let (sender, receiver) = mpsc::channel();
        thread::Builder::new()
            .name("connect".to_owned())
            .spawn(move || {
                // After the limit nobody waits for the answer.
                let _ = sender.send(connect());
            })
            .map_err(Attempt::NoRoom)?;
        receiver
            .recv_timeout(limit)
            .unwrap_or(Err(Attempt::TimedOut(limit)))
    }
}

/// How the driver makes one connection.
type Way<T> = fn(Config, Option<MakeRustlsConnect>) -> Result<T, Attempt>;

/// A failed attempt.
enum Attempt {
    Failed(postgres::Error),
    TimedOut(Duration),
    /// The system has no thread, or nothing to wait with, for one more connection.
    NoRoom(std::io::Error),
}

impl From<postgres::Error> for Attempt {
    fn from(error: postgres::Error) -> Attempt {
        Attempt::Failed(error)
    }
}

impl From<OpenError> for Attempt {
    fn from(error: OpenError) -> Attempt {
        match error {
            OpenError::Refused(error) => Attempt::Failed(error),
            OpenError::NoRoom(error) => Attempt::NoRoom(error),
        }
    }
}

impl Attempt {
    /// Whether encryption itself failed, or the server's rules for who may come (which tell
    /// encrypted connections from others) said no.
    fn is_about_encryption(&self) -> bool {
        let Attempt::Failed(error) = self else {
            return false;
        };
        failure(error) == Failure::Tls
            || error.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION)
    }
}

impl r2d2::ManageConnection for Connector {
    type Connection = Client;
    type Error = ConnectError;

    fn connect(&self) -> Result<Client, ConnectError> {
        Connector::connect(self)
    }

    fn is_valid(&self, client: &mut Client) -> Result<(), ConnectError> {
        client
            .simple_query("")
            .map(|_| ())
            .map_err(|error| ConnectError::Broken {
                target: self.plans.target.clone(),
                source: cause(error),
            })
    }

    fn has_broken(&self, client: &mut Client) -> bool {
        client.is_closed()
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector")
            .field("target", &self.plans.target)
            .field("mode", &self.plans.mode)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;
    use crate::sysconf::{ConnectionParameters, Environment};

    /// A listener that plays one scripted answer for each connection and then goes away: bytes sent
    /// after the client's first message.
    fn server(answers: Vec<Vec<u8>>) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut message = [0; 1024];
                let _ = stream.read(&mut message);
                let _ = stream.write_all(&answer);
                // Until the client has read it and gone.
                let _ = stream.read(&mut message);
            }
        });
        port
    }

    /// An `ErrorResponse`.
    fn refusal(code: &str) -> Vec<u8> {
        let mut fields = Vec::new();
        for (field, text) in [("S", "FATAL"), ("V", "FATAL"), ("C", code), ("M", "no")] {
            fields.extend_from_slice(field.as_bytes());
            fields.extend_from_slice(text.as_bytes());
            fields.push(0);
        }
        fields.push(0);
        message(b'E', &fields)
    }

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap();
        let mut message = vec![kind];
        message.extend_from_slice(&length.to_be_bytes());
        message.extend_from_slice(body);
        message
    }

    fn connect(text: &str) -> ConnectError {
        let environment = Environment::empty().with_user("me");
        let parameters = ConnectionParameters::from_source(text, &environment).unwrap();
        parameters.connector().unwrap().connect().err().unwrap()
    }

    fn connect_to(port: u16, more: &str) -> ConnectError {
        connect(&format!(
            "host=127.0.0.1 port={port} dbname=f password=hunter2 {more}"
        ))
    }

    fn chain(error: &ConnectError) -> String {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        assert!(!text.contains("hunter2") && !format!("{error:?}").contains("hunter2"));
        text
    }

    #[test]
    fn answers_are_sorted_by_their_code() {
        for (code, what) in [
            ("28P01", "wrong password, or no such role, for database f"),
            (
                "28000",
                "the server lets nobody in as this role from here: database f",
            ),
            ("3D000", "there is no database f"),
            ("42501", "no permission to connect to database f"),
            ("53300", "the server takes no connection to database f"),
            ("57P03", "the server takes no connection to database f"),
            ("0A000", "cannot connect to database f"),
        ] {
            let error = connect_to(server(vec![refusal(code)]), "sslmode=disable");
            let text = chain(&error);
            assert!(text.starts_with(what), "{code}: {text}");
            assert!(text.ends_with(": FATAL: no"), "{code}: {text}");
        }
    }

    #[test]
    fn a_password_that_is_asked_for_and_not_known() {
        let cleartext = message(b'R', &[0, 0, 0, 3]);
        let port = server(vec![cleartext]);
        let error = connect(&format!(
            "host=127.0.0.1 port={port} dbname=f sslmode=disable"
        ));
        assert!(
            matches!(error, ConnectError::NoPassword { .. }),
            "{error:?}"
        );
        assert!(
            error.to_string().starts_with("database f on 127.0.0.1:"),
            "{error}"
        );
    }

    #[test]
    fn nobody_listens() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        assert!(matches!(
            connect_to(port, ""),
            ConnectError::Unreachable { .. }
        ));
        let error = connect("host=/nonexistent dbname=f");
        assert!(
            chain(&error)
                .starts_with("cannot reach database f on socket /nonexistent/.s.PGSQL.5432 as me;")
        );
    }

    #[test]
    fn a_silent_server_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let error = connect_to(port, "connect_timeout=1");
        assert!(matches!(error, ConnectError::TimedOut { .. }), "{error:?}");
        assert!(error.to_string().contains("within 1 s"), "{error}");
    }

    #[test]
    fn a_server_without_tls() {
        let error = connect_to(server(vec![b"N".to_vec()]), "sslmode=require");
        assert!(
            matches!(error, ConnectError::TlsRefused { .. }),
            "{error:?}"
        );
        assert!(chain(&error).contains("switch TLS on at the server"));
    }

    #[test]
    fn prefer_goes_on_without_tls_when_it_fails() {
        // Says yes to TLS and then talks rubbish; the second connection is plain.
        let port = server(vec![b"Srubbish".to_vec(), refusal("3D000")]);
        let error = connect_to(port, "sslmode=prefer");
        assert!(
            matches!(error, ConnectError::NoSuchDatabase { .. }),
            "{error:?}"
        );
    }

    #[test]
    fn allow_asks_for_tls_when_it_is_refused_without() {
        let port = server(vec![refusal("28000"), b"N".to_vec()]);
        let error = connect_to(port, "sslmode=allow");
        assert!(
            matches!(error, ConnectError::RoleRefused { .. }),
            "{error:?}"
        );
    }

    #[test]
    fn the_next_host_is_tried_only_when_one_cannot_be_reached() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let closed = listener.local_addr().unwrap().port();
        drop(listener);
        let text = |first: u16, second: u16| {
            format!("host=127.0.0.1,127.0.0.1 port={first},{second} dbname=f sslmode=disable")
        };
        let error = connect(&text(closed, server(vec![refusal("3D000")])));
        assert!(
            matches!(error, ConnectError::NoSuchDatabase { .. }),
            "{error:?}"
        );
        let error = connect(&text(server(vec![refusal("3D000")]), closed));
        assert!(
            matches!(error, ConnectError::NoSuchDatabase { .. }),
            "{error:?}"
        );
    }
}
