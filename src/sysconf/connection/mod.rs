//! Connections to PostgreSQL, as users of libpq know them.
//!
//! What the driver does not do is done here: service files, environment variables, password files,
//! default sockets and users, and every `sslmode`. What is given explicitly comes before a service,
//! a service before the environment, the environment before defaults. Reading parameters is pure
//! but for the files that they name; nothing is printed, and no password is ever shown.

mod connect_error;
mod connector;
pub(in crate::sysconf) mod conninfo;
mod environment;
mod error;
mod handing_over;
mod password_file;
mod row_stream;
mod server;
mod service;
mod settings;
mod tls;
mod url;
mod verifier;

use std::path::{Path, PathBuf};
use std::time::Duration;

use postgres::config::{ChannelBinding, SslNegotiation, TargetSessionAttrs};
use tokio_postgres::Config;

pub use connect_error::ConnectError;
pub use connector::Connector;
pub use environment::Environment;
pub use error::ConnectionError;
pub use row_stream::RowStream;

use super::db_conf::REMOVED;
use super::{DbConf, Secret};
use connector::Plan;
use handing_over::HandedOver;
use password_file::PasswordFile;
use server::{Address, Server};
use settings::Settings;
use tls::{SslMode, TlsParameters};

const APPLICATION_NAME: &str = "fogold";
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// Everything that is needed to connect to a database.
#[derive(Clone, Debug)]
pub struct ConnectionParameters {
    servers: Vec<Server>,
    database: String,
    user: String,
    application_name: String,
    options: Option<String>,
    limit: Option<Duration>,
    channel_binding: ChannelBinding,
    session: TargetSessionAttrs,
    keepalive: Keepalive,
    tls: TlsParameters,
    handed_over: HandedOver,
    warnings: Vec<String>,
}

/// What is asked of the TCP connection; absent values are the system's.
#[derive(Clone, Debug)]
struct Keepalive {
    on: bool,
    idle: Option<u64>,
    interval: Option<u64>,
    count: Option<u64>,
    user_timeout_ms: Option<u64>,
}

impl ConnectionParameters {
    /// Whether a text is a PostgreSQL URL or looks like a connection string, rather than a file's
    /// name.
    pub fn is_source(text: &str) -> bool {
        url::strip_scheme(text).is_some() || conninfo::is_conninfo(text)
    }

    /// The parameters in a PostgreSQL URL or connection string.
    pub fn from_source(
        text: &str,
        environment: &Environment,
    ) -> Result<ConnectionParameters, ConnectionError> {
        let explicit = match url::strip_scheme(text) {
            Some(rest) => url::parse(rest)?,
            // Such a text may be anything, also a password; it is not repeated.
            None if !text.contains('=') => return Err(ConnectionError::NotASource),
            None => conninfo::parse(text)?,
        };
        ConnectionParameters::resolve(explicit, environment)
    }

    /// The parameters in a `Db.conf`. What it leaves out comes from the same places as for a
    /// connection string.
    pub fn from_db_conf(
        conf: &DbConf,
        environment: &Environment,
    ) -> Result<ConnectionParameters, ConnectionError> {
        let mut explicit = Settings::default();
        for (keyword, value) in conf.settings() {
            if value.expose() == REMOVED {
                return Err(ConnectionError::Removed {
                    keyword: keyword.to_owned(),
                });
            }
            explicit.set(keyword, value.expose(), "Db.conf")?;
        }
        ConnectionParameters::resolve(explicit, environment)
    }

    /// The parameters of a server whose socket lies in `directory`, whatever the surroundings say.
    pub fn at_socket(
        directory: &Path,
        port: u16,
        user: &str,
        database: &str,
    ) -> Result<ConnectionParameters, ConnectionError> {
        let place = "a socket of our own";
        let mut settings = Settings::default();
        settings.set("host", &directory.to_string_lossy(), place)?;
        settings.set("port", &port.to_string(), place)?;
        settings.set("user", user, place)?;
        settings.set("dbname", database, place)?;
        ConnectionParameters::of(&settings, &Environment::empty())
    }

    fn resolve(
        mut settings: Settings,
        environment: &Environment,
    ) -> Result<ConnectionParameters, ConnectionError> {
        let surroundings = Settings::of_environment(environment)?;
        let from_either = |keyword| {
            settings
                .get(keyword)
                .or_else(|| surroundings.get(keyword))
                .map(str::to_owned)
        };
        if let Some(name) = from_either("service") {
            let file = from_either("servicefile");
            settings.fill_from(service::lookup(&name, file.as_deref(), environment)?);
        }
        settings.fill_from(surroundings);
        ConnectionParameters::of(&settings, environment)
    }

    fn of(
        settings: &Settings,
        environment: &Environment,
    ) -> Result<ConnectionParameters, ConnectionError> {
        check_gss(settings)?;
        let user = settings
            .get("user")
            .or(environment.user())
            .ok_or(ConnectionError::NoUser)?;
        let database = settings.get("dbname").unwrap_or(user);
        let mut servers = server::servers(settings, environment)?;
        let password_file = password_file(settings, environment);
        let warnings = give_passwords(
            &mut servers,
            settings,
            password_file.as_deref(),
            environment,
            (database, user),
        );
        let application_name = settings
            .get("application_name")
            .or_else(|| settings.get("fallback_application_name"))
            .unwrap_or(APPLICATION_NAME);
        Ok(ConnectionParameters {
            servers,
            database: database.to_owned(),
            user: user.to_owned(),
            application_name: application_name.to_owned(),
            options: settings.get("options").map(str::to_owned),
            limit: limit(settings)?,
            channel_binding: channel_binding(settings)?,
            session: session(settings)?,
            keepalive: Keepalive::of(settings)?,
            tls: TlsParameters::of(settings, environment)?,
            handed_over: HandedOver::of(settings, password_file),
            warnings,
        })
    }

    /// The same servers and user, but another database, such as the one from which others are made.
    pub fn with_database(&self, database: &str) -> ConnectionParameters {
        ConnectionParameters {
            database: database.to_owned(),
            ..self.clone()
        }
    }

    /// The password, where the first server has one.
    pub fn password(&self) -> Option<&Secret> {
        self.servers.first()?.password.as_ref()
    }

    /// Database, servers and user for people, as `database fossology on localhost:5432 as fossy`;
    /// never a password.
    pub fn target(&self) -> String {
        let servers: Vec<String> = self.servers.iter().map(Server::to_string).collect();
        self.target_on(&servers.join(", "))
    }

    fn target_on(&self, servers: &str) -> String {
        format!("database {} on {servers} as {}", self.database, self.user)
    }

    /// The database's name.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// The role's name.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// What the user ought to know: password files that were not used, and why.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// What makes the connections. Reads certificates; asks no server yet.
    pub fn connector(&self) -> Result<Connector, ConnectionError> {
        let encrypted = self.tls.mode != SslMode::Disable
            && self
                .servers
                .iter()
                .any(|server| matches!(server.address, Address::Tcp { .. }));
        let tls = if encrypted {
            Some(self.tls.connector()?)
        } else {
            None
        };
        let plans = self
            .servers
            .iter()
            .map(|server| self.plan(server))
            .collect();
        Ok(Connector::new(
            self.target(),
            plans,
            self.tls.mode,
            tls,
            self.limit,
        ))
    }

    fn plan(&self, server: &Server) -> Plan {
        let mut config = Config::new();
        config
            .user(&self.user)
            .dbname(&self.database)
            .application_name(&self.application_name)
            .port(server.port)
            .target_session_attrs(self.session);
        if let Some(options) = &self.options {
            config.options(options);
        }
        if let Some(limit) = self.limit {
            config.connect_timeout(limit);
        }
        if let Some(password) = &server.password {
            config.password(password.expose());
        }
        let local = match &server.address {
            Address::Socket(directory) => {
                config.host_path(directory);
                true
            }
            Address::Tcp { host, address } => {
                config.host(host).channel_binding(self.channel_binding);
                if let Some(address) = address {
                    config.hostaddr(*address);
                }
                if self.tls.direct {
                    config.ssl_negotiation(SslNegotiation::Direct);
                }
                self.keepalive.apply(&mut config);
                false
            }
        };
        Plan {
            target: self.target_on(&server.to_string()),
            config,
            local,
        }
    }
}

impl Keepalive {
    fn of(settings: &Settings) -> Result<Keepalive, ConnectionError> {
        // Zero is the system's value, as for libpq.
        let number = |keyword| Ok(whole_number(settings, keyword)?.filter(|number| *number > 0));
        Ok(Keepalive {
            on: whole_number(settings, "keepalives")? != Some(0),
            idle: number("keepalives_idle")?,
            interval: number("keepalives_interval")?,
            count: number("keepalives_count")?,
            user_timeout_ms: number("tcp_user_timeout")?,
        })
    }

    fn apply(&self, config: &mut Config) {
        config.keepalives(self.on);
        if let Some(seconds) = self.idle {
            config.keepalives_idle(Duration::from_secs(seconds));
        }
        if let Some(seconds) = self.interval {
            config.keepalives_interval(Duration::from_secs(seconds));
        }
        if let Some(count) = self.count {
            config.keepalives_retries(u32::try_from(count).unwrap_or(u32::MAX));
        }
        if let Some(milliseconds) = self.user_timeout_ms {
            config.tcp_user_timeout(Duration::from_millis(milliseconds));
        }
    }
}

/// Where passwords are looked up that are not named.
fn password_file(settings: &Settings, environment: &Environment) -> Option<PathBuf> {
    let named = settings.get("passfile").map(PathBuf::from);
    named.or_else(|| environment.in_home(".pgpass"))
}

/// Gives each server the named password or the one in the password file; returns warnings.
fn give_passwords(
    servers: &mut [Server],
    settings: &Settings,
    file: Option<&Path>,
    environment: &Environment,
    (database, user): (&str, &str),
) -> Vec<String> {
    if let Some(password) = settings.get("password") {
        for server in servers {
            server.password = Some(Secret::new(password));
        }
        return Vec::new();
    }
    let Some(path) = file else {
        return Vec::new();
    };
    let (file, warning) = PasswordFile::read(path);
    for server in servers {
        let name = server.name_in_password_file(environment);
        server.password = file.find(&name, server.port, database, user);
    }
    warning.into_iter().collect()
}

/// Encryption by GSSAPI is never made; only who insists on it is told so.
fn check_gss(settings: &Settings) -> Result<(), ConnectionError> {
    match settings.get("gssencmode") {
        None | Some("disable" | "prefer") => Ok(()),
        Some(other) => Err(ConnectionError::BadValue {
            keyword: "gssencmode",
            value: other.to_owned(),
            want: "disable or prefer: fogold does no GSSAPI",
        }),
    }
}

fn limit(settings: &Settings) -> Result<Option<Duration>, ConnectionError> {
    let Some(text) = settings.get("connect_timeout") else {
        return Ok(Some(DEFAULT_TIMEOUT));
    };
    let seconds: i32 = text.trim().parse().map_err(|_| ConnectionError::BadValue {
        keyword: "connect_timeout",
        value: text.to_owned(),
        want: "a number of seconds (0 waits for ever)",
    })?;
    Ok(u64::try_from(seconds)
        .ok()
        .filter(|seconds| *seconds > 0)
        .map(Duration::from_secs))
}

fn channel_binding(settings: &Settings) -> Result<ChannelBinding, ConnectionError> {
    match settings.get("channel_binding") {
        None | Some("prefer") => Ok(ChannelBinding::Prefer),
        Some("disable") => Ok(ChannelBinding::Disable),
        Some("require") => Ok(ChannelBinding::Require),
        Some(other) => Err(ConnectionError::BadValue {
            keyword: "channel_binding",
            value: other.to_owned(),
            want: "disable, prefer or require",
        }),
    }
}

/// The driver knows only whether a session may write; a primary may, a standby may not.
fn session(settings: &Settings) -> Result<TargetSessionAttrs, ConnectionError> {
    match settings.get("target_session_attrs") {
        None | Some("any" | "prefer-standby") => Ok(TargetSessionAttrs::Any),
        Some("read-write" | "primary") => Ok(TargetSessionAttrs::ReadWrite),
        Some("read-only" | "standby") => Ok(TargetSessionAttrs::ReadOnly),
        Some(other) => Err(ConnectionError::BadValue {
            keyword: "target_session_attrs",
            value: other.to_owned(),
            want: "any, read-write, read-only, primary, standby or prefer-standby",
        }),
    }
}

fn whole_number(
    settings: &Settings,
    keyword: &'static str,
) -> Result<Option<u64>, ConnectionError> {
    let Some(text) = settings.get(keyword) else {
        return Ok(None);
    };
    text.trim()
        .parse()
        .map(Some)
        .map_err(|_| ConnectionError::BadValue {
            keyword,
            value: text.to_owned(),
            want: "a whole number",
        })
}

#[cfg(test)]
mod tests;
