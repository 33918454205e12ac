//! Parameters from every source, and which of them wins.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;

fn environment() -> Environment {
    let sockets = [Path::new("/nonexistent/run"), Path::new("/nonexistent/tmp")];
    Environment::empty()
        .with_user("me")
        .with_variable("PGSYSCONFDIR", "/nonexistent")
        .with_socket_directories(&sockets)
}

fn parameters(text: &str) -> ConnectionParameters {
    ConnectionParameters::from_source(text, &environment()).unwrap()
}

fn error(text: &str) -> String {
    ConnectionParameters::from_source(text, &environment())
        .unwrap_err()
        .to_string()
}

fn passwords(parameters: &ConnectionParameters) -> Vec<Option<&str>> {
    parameters
        .servers
        .iter()
        .map(|server| server.password.as_ref().map(Secret::expose))
        .collect()
}

fn private_file(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn targets() {
    for (text, target) in [
        (
            "dbname=fossology host=localhost user=fossy password=hunter2",
            "database fossology on localhost:5432 as fossy",
        ),
        (
            "postgresql://fossy:hunter2@db:5433/f",
            "database f on db:5433 as fossy",
        ),
        (
            "postgres://",
            "database me on socket /nonexistent/run/.s.PGSQL.5432 as me",
        ),
        (
            "user=fossy port=5433",
            "database fossy on socket /nonexistent/run/.s.PGSQL.5433 as fossy",
        ),
        (
            "host=/tmp dbname=f",
            "database f on socket /tmp/.s.PGSQL.5432 as me",
        ),
        (
            "postgres://%2Ftmp/f",
            "database f on socket /tmp/.s.PGSQL.5432 as me",
        ),
        ("postgres://[::1]/f", "database f on [::1]:5432 as me"),
        (
            "hostaddr=10.0.0.1 dbname=f",
            "database f on 10.0.0.1:5432 as me",
        ),
        (
            "postgres://a:1,b,/f",
            "database f on a:1, b:5432, socket /nonexistent/run/.s.PGSQL.5432 as me",
        ),
        ("host=a,b port=1 dbname=f", "database f on a:1, b:1 as me"),
        (
            "host=a,b hostaddr=10.0.0.1,10.0.0.2 dbname=f",
            "database f on a:5432, b:5432 as me",
        ),
        (
            "host='' dbname=f",
            "database f on socket /nonexistent/run/.s.PGSQL.5432 as me",
        ),
    ] {
        assert_eq!(parameters(text).target(), target, "{text}");
    }
}

#[test]
fn passwords_are_not_shown() {
    let parameters = parameters("postgresql://fossy:hunter2@db/f");
    assert_eq!(passwords(&parameters), [Some("hunter2")]);
    let connector = parameters.connector().unwrap();
    let shown = format!(
        "{parameters:?} {parameters:#?} {connector:?} {}",
        connector.target()
    );
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn refusals() {
    for (text, message) in [
        (
            "fossology",
            "neither a PostgreSQL URL (postgresql://user@host/dbname) nor a connection string (host=… dbname=…)",
        ),
        (
            "host=a,b hostaddr=10.0.0.1",
            "2 hosts, but 1 values for hostaddr; give one for each host",
        ),
        (
            "host=a,b port=1,2,3",
            "2 hosts, but 3 values for port; give one for each host",
        ),
        (
            "port=0",
            "port = \"0\", but it must be a number from 1 to 65535",
        ),
        (
            "port=x",
            "port = \"x\", but it must be a number from 1 to 65535",
        ),
        (
            "hostaddr=db",
            "hostaddr = \"db\", but it must be an IP address",
        ),
        (
            "sslmode=yes",
            "sslmode = \"yes\", but it must be disable, allow, prefer, require, verify-ca or verify-full",
        ),
        (
            "sslrootcert=system sslmode=require",
            "sslmode = \"require\", but it must be verify-full with sslrootcert=system",
        ),
        (
            "sslnegotiation=direct",
            "sslmode = \"prefer\", but it must be require or more with sslnegotiation=direct",
        ),
        (
            "connect_timeout=soon",
            "connect_timeout = \"soon\", but it must be a number of seconds (0 waits for ever)",
        ),
        (
            "gssencmode=require",
            "gssencmode = \"require\", but it must be disable or prefer: fogold does no GSSAPI",
        ),
        (
            "keepalives_idle=x",
            "keepalives_idle = \"x\", but it must be a whole number",
        ),
        (
            "sslcrl=/x",
            "the connection string: sslcrl is not supported by fogold; leave it out",
        ),
        (
            "postgres://h/d?replication=database",
            "the database URL: replication is not supported by fogold; leave it out",
        ),
        (
            "service=nowhere",
            "no service \"nowhere\" in any pg_service.conf; define it, or name the database itself",
        ),
    ] {
        assert_eq!(error(text), message, "{text}");
    }
    let nobody = Environment::empty();
    assert!(matches!(
        ConnectionParameters::from_source("dbname=f", &nobody),
        Err(ConnectionError::NoUser)
    ));
    let bad = environment().with_variable("PGPORT", "many");
    assert_eq!(
        ConnectionParameters::from_source("dbname=f", &bad)
            .unwrap_err()
            .to_string(),
        "port = \"many\", but it must be a number from 1 to 65535"
    );
}

#[test]
fn what_changes_nothing_is_taken() {
    parameters(
        "dbname=f krbsrvname=x gssencmode=disable client_encoding=utf8 sslcrl='' keepalives=1 \
         keepalives_idle=30 keepalives_interval=5 keepalives_count=3 tcp_user_timeout=1000 \
         target_session_attrs=any channel_binding=prefer load_balance_hosts=random sslcompression=0",
    );
}

#[test]
fn explicit_before_service_before_environment_before_defaults() {
    let home = tempfile::tempdir().unwrap();
    fs::write(
        home.path().join(".pg_service.conf"),
        "[s]\nhost=service\nport=1\ndbname=service\nuser=service\n",
    )
    .unwrap();
    let environment = environment()
        .with_home(home.path())
        .with_variable("PGSERVICE", "s")
        .with_variable("PGHOST", "environment")
        .with_variable("PGDATABASE", "environment")
        .with_variable("PGPASSWORD", "environment")
        .with_variable("PGAPPNAME", "environment")
        .with_variable("PGOPTIONS", "-c x=y")
        .with_variable("PGCONNECT_TIMEOUT", "3");
    let all = ConnectionParameters::from_source("dbname=explicit port=''", &environment).unwrap();
    // An empty explicit value hides the others and then gives the default.
    assert_eq!(all.target(), "database explicit on service:5432 as service");
    assert_eq!(passwords(&all), [Some("environment")]);
    assert_eq!(all.application_name, "environment");
    assert_eq!(all.options.as_deref(), Some("-c x=y"));
    assert_eq!(all.limit, Some(Duration::from_secs(3)));
}

#[test]
fn defaults() {
    let parameters = parameters("dbname=f");
    assert_eq!(parameters.application_name, "fogold");
    assert_eq!(parameters.limit, Some(Duration::from_secs(10)));
    assert_eq!(parameters.tls.mode, SslMode::Prefer);
    assert_eq!(passwords(&parameters), [None]);
    assert_eq!(super::tests::parameters("connect_timeout=0").limit, None);
    assert_eq!(
        super::tests::parameters("sslrootcert=system").tls.mode,
        SslMode::VerifyFull
    );
}

#[test]
fn a_db_conf_is_explicit_and_completed_from_the_environment() {
    let conf = DbConf::parse(b"dbname=fossology;\nhost=localhost;\nuser=fossy;\n");
    let environment = environment()
        .with_variable("PGHOST", "elsewhere")
        .with_variable("PGPORT", "5433")
        .with_variable("PGPASSWORD", "hunter2");
    let parameters = ConnectionParameters::from_db_conf(&conf, &environment).unwrap();
    assert_eq!(
        parameters.target(),
        "database fossology on localhost:5433 as fossy"
    );
    assert_eq!(passwords(&parameters), [Some("hunter2")]);
    let conf = DbConf::parse(b"dbname=f;\ncolour=red;\n");
    assert_eq!(
        ConnectionParameters::from_db_conf(&conf, &environment)
            .unwrap_err()
            .to_string(),
        "Db.conf: libpq has no keyword \"colour\""
    );
}

#[test]
fn password_files_know_each_server() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join(".pgpass");
    private_file(
        &file,
        "localhost:5432:f:me:local\n/elsewhere:5432:f:me:socket\na:1:f:me:a\n10.0.0.1:*:*:*:address\n",
    );
    let home_has_it = environment().with_home(home.path());
    for (text, password) in [
        ("dbname=f", Some("local")),
        ("dbname=f host=localhost", Some("local")),
        ("dbname=f host=/nonexistent/tmp", Some("local")),
        ("dbname=f host=/elsewhere", Some("socket")),
        ("dbname=f hostaddr=10.0.0.1", Some("address")),
        ("dbname=f host=db hostaddr=10.0.0.1", None),
        ("dbname=f password=given", Some("given")),
    ] {
        let parameters = ConnectionParameters::from_source(text, &home_has_it).unwrap();
        assert_eq!(passwords(&parameters), [password], "{text}");
        assert!(parameters.warnings().is_empty());
    }
    let two = ConnectionParameters::from_source("postgres://a:1,b:2/f", &home_has_it).unwrap();
    assert_eq!(passwords(&two), [Some("a"), None]);
    let variable = environment().with_variable("PGPASSFILE", file.to_str().unwrap());
    let parameters = ConnectionParameters::from_source("dbname=f", &variable).unwrap();
    assert_eq!(passwords(&parameters), [Some("local")]);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let parameters = ConnectionParameters::from_source("dbname=f", &home_has_it).unwrap();
    assert_eq!(passwords(&parameters), [None]);
    assert_eq!(parameters.warnings().len(), 1);
}

#[test]
fn certificates_that_are_missing_or_broken() {
    let home = tempfile::tempdir().unwrap();
    let environment = environment().with_home(home.path());
    let connector = |text: &str| {
        ConnectionParameters::from_source(text, &environment)
            .and_then(|parameters| parameters.connector())
            .map_err(|error| error.to_string())
    };
    assert!(connector("host=db").is_ok());
    assert!(connector("host=db sslmode=require").is_ok());
    assert!(
        connector("host=db sslmode=verify-full")
            .unwrap_err()
            .starts_with("sslmode=verify-full needs")
    );
    assert_eq!(
        connector("host=db sslmode=require sslrootcert=/nonexistent/ca").unwrap_err(),
        "cannot read /nonexistent/ca"
    );
    // No TLS, no need for certificates.
    assert!(connector("host=db sslmode=disable sslrootcert=/nonexistent/ca").is_ok());
    assert!(connector("host=/tmp sslmode=verify-full").is_ok());
    fs::create_dir(home.path().join(".postgresql")).unwrap();
    let root = home.path().join(".postgresql/root.crt");
    fs::write(&root, "no certificate").unwrap();
    assert_eq!(
        connector("host=db sslmode=verify-ca").unwrap_err(),
        format!(
            "sslrootcert: {} cannot be used: it holds no certificate in PEM form",
            root.display()
        )
    );
}

#[test]
fn sources_are_told_from_files() {
    for text in ["postgres://h", "postgresql:///d", "dbname=f", "service=s"] {
        assert!(ConnectionParameters::is_source(text), "{text}");
    }
    for text in ["-", "dump.sql.gz", "./dbname=f", "catalog"] {
        assert!(!ConnectionParameters::is_source(text), "{text}");
    }
}
