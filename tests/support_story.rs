//! The ground that the other stories stand on holds.

use std::process::Command;
use std::time::Duration;

use postgres::{Client, NoTls};

use crate::support::{Cluster, ClusterOptions, Encoding, Fogold};

#[test]
fn a_private_server_asks_for_its_password_and_goes_away() {
    let cluster = Cluster::start(&ClusterOptions {
        auth: "scram-sha-256",
        encoding: Encoding::SqlAscii,
        ..ClusterOptions::default()
    });
    cluster.create_database("guarded");
    let conninfo = cluster.tcp_conninfo("guarded");
    let mut client = Client::connect(&conninfo, NoTls).expect("a connection with the password");
    let encoding = client
        .query_one("SHOW server_encoding", &[])
        .expect("a row");
    assert_eq!(encoding.get::<_, String>(0), "SQL_ASCII");
    let wrong = conninfo.replace("password=", "password=not-");
    assert!(Client::connect(&wrong, NoTls).is_err());

    let directory = cluster.socket_directory().to_owned();
    drop(cluster);
    assert!(!directory.exists());
    assert!(Client::connect(&conninfo, NoTls).is_err());
}

#[test]
fn a_private_server_speaks_tls() {
    let certificates = tempfile::tempdir().expect("a temporary directory");
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "1",
            "-subj",
            "/CN=localhost",
        ])
        .args(["-keyout", "server.key", "-out", "server.crt"])
        .current_dir(certificates.path())
        .output()
        .expect("openssl runs");
    assert!(made.status.success());
    let cluster = Cluster::start(&ClusterOptions {
        certificates: Some(certificates.path().to_owned()),
        only_tls: true,
        ..ClusterOptions::default()
    });
    assert!(Client::connect(&cluster.tcp_conninfo("postgres"), NoTls).is_err());
    let answer = cluster
        .client("psql", "postgres")
        .env("PGHOST", "127.0.0.1")
        .env("PGSSLMODE", "require")
        .args(["--no-psqlrc", "--tuples-only", "--no-align"])
        .args([
            "--command",
            "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
        ])
        .output()
        .expect("psql runs");
    assert_eq!(String::from_utf8_lossy(&answer.stdout), "t\n");
}

#[test]
fn the_program_runs_within_its_time() {
    let outcome = Fogold::new(["--version"])
        .limit(Duration::from_secs(10))
        .run();
    assert!(outcome.code.is_some());
}
