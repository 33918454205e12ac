//! Handing a connection's parameters to a program that uses libpq.
//!
//! The program gets them through its environment: `ps` shows arguments to everyone, and an
//! environment only to the same user and root. Where one password serves all servers it is handed
//! over as such; else the program looks into the same password file. Variables of libpq that this
//! process has do not count: they were considered when the parameters were read.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::server::{Address, Server};
use super::settings::{Settings, variables};
use super::{ConnectionParameters, conninfo};

/// Keywords whose values come from what was made of them, not as they were written, or that are of
/// no use to a program.
const RESOLVED: [&str; 13] = [
    "service",
    "servicefile",
    "user",
    "password",
    "passfile",
    "dbname",
    "host",
    "hostaddr",
    "port",
    "connect_timeout",
    "application_name",
    "fallback_application_name",
    "gssencmode",
];

/// A password file that cannot be there: libpq says nothing about it, and looks for no other.
const NO_FILE: &str = "/dev/null/none";

/// What a program of PostgreSQL is told besides servers, database and user.
#[derive(Clone, Debug, Default)]
pub(super) struct HandedOver {
    /// Keywords and values as they were written. None of them is secret.
    settings: Vec<(&'static str, String)>,
    /// Where passwords are looked up.
    pub(super) password_file: Option<PathBuf>,
}

impl HandedOver {
    pub(super) fn of(settings: &Settings, password_file: Option<PathBuf>) -> HandedOver {
        HandedOver {
            settings: settings
                .given()
                .filter(|(keyword, _)| !RESOLVED.contains(keyword))
                .map(|(keyword, value)| (keyword, value.to_owned()))
                .collect(),
            password_file,
        }
    }
}

impl ConnectionParameters {
    /// Has a program that uses libpq connect where these parameters say. What no variable can say
    /// is returned as a connection string for its `--dbname`; it holds nothing secret.
    pub fn hand_to(&self, command: &mut Command) -> Option<String> {
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"PG") {
                command.env_remove(name);
            }
        }
        self.hand_servers_to(command);
        command
            .env("PGDATABASE", &self.database)
            .env("PGUSER", &self.user)
            .env("PGAPPNAME", &self.application_name)
            .env("PGGSSENCMODE", "disable")
            .env(
                "PGCONNECT_TIMEOUT",
                self.limit.map_or(0, |limit| limit.as_secs()).to_string(),
            );
        for (variable, value) in self.tls.variables() {
            command.env(variable, value);
        }
        let mut wordless = Vec::new();
        for (keyword, value) in &self.handed_over.settings {
            match variables().find(|(known, _)| known == keyword) {
                Some((_, variable)) => {
                    command.env(variable, value);
                }
                None => wordless.push(format!("{keyword}={}", conninfo::quote(value))),
            }
        }
        if wordless.is_empty() {
            return None;
        }
        let database = conninfo::quote(&self.database);
        Some(format!("dbname={database} {}", wordless.join(" ")))
    }

    fn hand_servers_to(&self, command: &mut Command) {
        let list = |text: fn(&Server) -> String| -> String {
            let each: Vec<String> = self.servers.iter().map(text).collect();
            each.join(",")
        };
        command.env("PGPORT", list(|server| server.port.to_string()));
        command.env(
            "PGHOST",
            list(|server| match &server.address {
                Address::Socket(directory) => directory.to_string_lossy().into_owned(),
                Address::Tcp { host, .. } => host.clone(),
            }),
        );
        let numeric = list(|server| match &server.address {
            Address::Tcp {
                address: Some(address),
                ..
            } => address.to_string(),
            _ => String::new(),
        });
        if numeric.bytes().any(|byte| byte != b',') {
            command.env("PGHOSTADDR", numeric);
        }
        let first = self
            .servers
            .first()
            .and_then(|server| server.password.as_ref());
        let same = self
            .servers
            .iter()
            .all(|server| server.password.as_ref() == first);
        let file = self.handed_over.password_file.as_deref();
        match first {
            Some(password) if same => {
                command.env("PGPASSWORD", password.expose());
                command.env("PGPASSFILE", NO_FILE);
            }
            _ => {
                command.env("PGPASSFILE", file.unwrap_or(Path::new(NO_FILE)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::sysconf::{DbConf, Environment};

    fn handed(parameters: &ConnectionParameters) -> (BTreeMap<String, String>, Option<String>) {
        let mut command = Command::new("true");
        let conninfo = parameters.hand_to(&mut command);
        let variables = command
            .get_envs()
            .filter_map(|(name, value)| {
                Some((name.to_str()?.to_owned(), value?.to_str()?.to_owned()))
            })
            .collect();
        assert_eq!(command.get_args().count(), 0);
        (variables, conninfo)
    }

    fn of(text: &str) -> (BTreeMap<String, String>, Option<String>) {
        let environment = Environment::empty().with_user("me");
        handed(&ConnectionParameters::from_source(text, &environment).unwrap())
    }

    #[test]
    fn a_db_conf() {
        let conf = DbConf::parse(b"dbname=fossology;\nhost=db;\nuser=fossy;\npassword=hunter2;\n");
        let environment = Environment::empty();
        let (variables, conninfo) =
            handed(&ConnectionParameters::from_db_conf(&conf, &environment).unwrap());
        for (name, value) in [
            ("PGHOST", "db"),
            ("PGPORT", "5432"),
            ("PGDATABASE", "fossology"),
            ("PGUSER", "fossy"),
            ("PGPASSWORD", "hunter2"),
            ("PGCONNECT_TIMEOUT", "10"),
            ("PGSSLMODE", "prefer"),
            ("PGAPPNAME", "fogold"),
        ] {
            assert_eq!(
                variables.get(name).map(String::as_str),
                Some(value),
                "{name}"
            );
        }
        assert!(!variables.contains_key("PGHOSTADDR"));
        assert_eq!(conninfo, None);
    }

    #[test]
    fn lists_sockets_and_what_has_no_variable() {
        let (variables, conninfo) = of(
            "host=a,b,/run/s hostaddr=10.0.0.1,, port=1,2,3 dbname='a b' sslmode=require \
             options='-c work_mem=1MB' target_session_attrs=primary keepalives_idle=7 connect_timeout=0",
        );
        for (name, value) in [
            ("PGHOST", "a,b,/run/s"),
            ("PGHOSTADDR", "10.0.0.1,,"),
            ("PGPORT", "1,2,3"),
            ("PGDATABASE", "a b"),
            ("PGSSLMODE", "require"),
            ("PGOPTIONS", "-c work_mem=1MB"),
            ("PGTARGETSESSIONATTRS", "primary"),
            ("PGCONNECT_TIMEOUT", "0"),
            ("PGPASSFILE", NO_FILE),
        ] {
            assert_eq!(
                variables.get(name).map(String::as_str),
                Some(value),
                "{name}"
            );
        }
        assert!(!variables.contains_key("PGPASSWORD"));
        assert_eq!(
            conninfo.as_deref(),
            Some("dbname='a b' keepalives_idle='7'")
        );
    }

    #[test]
    fn passwords_that_differ_stay_in_their_file() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join(".pgpass");
        std::fs::write(&file, "a:*:*:*:one\nb:*:*:*:two\n").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        let environment = Environment::empty().with_user("me").with_home(home.path());
        let parameters = |text| ConnectionParameters::from_source(text, &environment).unwrap();
        let (variables, _) = handed(&parameters("host=a,b dbname=d"));
        assert_eq!(variables["PGPASSFILE"], file.to_str().unwrap());
        assert!(!variables.contains_key("PGPASSWORD"));
        let (variables, _) = handed(&parameters("host=b,b dbname=d"));
        assert_eq!(variables["PGPASSWORD"], "two");
    }
}
