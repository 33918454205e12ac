//! A person reaches the database the way `psql` does: passwords, service files, sockets, TLS.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use fogold::fixtures::{DbConf, Server, ServerSpec};

use crate::support::cluster::PASSWORD;
use crate::support::{Cluster, ClusterOptions, Encoding, Fogold, MadeStore};

/// A small server whose rows are in `cluster`, and whose Db.conf says how to reach it over TCP.
fn server(cluster: &Cluster, database: &str, place: &Path, password: &str) -> Server {
    let spec = ServerSpec {
        files: 300,
        bytes: 300_000,
        ..ServerSpec::default()
    };
    let server = Server::build(spec, place).expect("a server");
    cluster.create_database(database);
    server
        .load_into(&mut cluster.connect(database))
        .expect("its rows");
    server
        .write_sysconf(&DbConf {
            dbname: database.to_owned(),
            host: "127.0.0.1".to_owned(),
            port: Some(cluster.port()),
            user: "postgres".to_owned(),
            password: password.to_owned(),
        })
        .expect("its configuration");
    server
}

fn check(place: &Path) -> Fogold {
    let sysconf = place.join("sysconf");
    Fogold::new(["check", "--progress", "never", "-c"]).arg(sysconf)
}

#[test]
fn a_configuration_out_of_a_set_lacks_its_password() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let made_up = server(Cluster::shared(), "unlocked", place.path(), PASSWORD);
    let store = MadeStore::nowhere();
    store
        .backup(["--gold-only", "--sysconfdir"])
        .arg(made_up.sysconfdir().expect("a configuration"))
        .run()
        .assert_code(0);
    let sysconf = store.set(&store.newest()).join("sysconf");
    let outcome = Fogold::new(["check", "-c"]).arg(sysconf).run();
    outcome.assert_code(2);
    let complaint = outcome.complaint();
    assert!(
        complaint.contains("Db.conf: password is (removed by fogold), for ")
            && complaint.contains("put the password in"),
        "{complaint}"
    );
}

#[test]
fn a_password_comes_from_where_psql_finds_it() {
    let cluster = Cluster::start(&ClusterOptions {
        auth: "scram-sha-256",
        encoding: Encoding::SqlAscii,
        ..ClusterOptions::default()
    });
    let place = tempfile::tempdir().expect("a temporary directory");
    let server = server(&cluster, "guarded", place.path(), PASSWORD);
    check(place.path()).run().assert_code(0);

    // Without a password in Db.conf.
    server
        .write_sysconf(&DbConf {
            dbname: "guarded".to_owned(),
            host: "127.0.0.1".to_owned(),
            port: Some(cluster.port()),
            user: "postgres".to_owned(),
            password: String::new(),
        })
        .expect("its configuration");
    let refused = check(place.path()).env("HOME", "/nonexistent").run();
    refused.assert_code(3);
    check(place.path())
        .env("PGPASSWORD", PASSWORD)
        .run()
        .assert_code(0);

    let passfile = place.path().join("passwords");
    let line = format!("127.0.0.1:*:guarded:postgres:{PASSWORD}\n");
    fs::write(&passfile, line).expect("a password file");
    fs::set_permissions(&passfile, fs::Permissions::from_mode(0o600)).expect("its mode");
    check(place.path())
        .env("PGPASSFILE", passfile.to_str().expect("a path"))
        .run()
        .assert_code(0);
    fs::set_permissions(&passfile, fs::Permissions::from_mode(0o644)).expect("its mode");
    let open_to_all = check(place.path())
        .env("PGPASSFILE", passfile.to_str().expect("a path"))
        .run();
    open_to_all.assert_code(3);
    assert!(open_to_all.complaint().contains("passwords"));

    let services = place.path().join("services.conf");
    let text = format!(
        "[fossology]\nhost=127.0.0.1\nport={}\ndbname=guarded\nuser=postgres\npassword={PASSWORD}\n",
        cluster.port()
    );
    fs::write(&services, text).expect("a service file");
    check(place.path())
        .arg("--catalog")
        .arg("service=fossology")
        .env("PGSERVICEFILE", services.to_str().expect("a path"))
        .run()
        .assert_code(0);

    let wrong = check(place.path()).env("PGPASSWORD", "not-it").run();
    wrong.assert_code(3);
    assert!(!wrong.complaint().contains("not-it"));
}

/// Makes a key and a certificate for `host`, signed by a fresh authority.
fn certificates(directory: &Path, host: &str) {
    let openssl = |arguments: &[&str]| {
        let done = Command::new("openssl")
            .args(arguments)
            .current_dir(directory)
            .output()
            .expect("openssl runs");
        assert!(done.status.success(), "{done:?}");
    };
    for authority in ["right", "other"] {
        let (key, certificate) = (format!("{authority}.key"), format!("{authority}.crt"));
        let subject = format!("/CN={authority} authority");
        openssl(&[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            &subject,
            "-keyout",
            &key,
            "-out",
            &certificate,
        ]);
    }
    let subject = format!("/CN={host}");
    openssl(&[
        "req",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        &subject,
        "-keyout",
        "server.key",
        "-out",
        "server.csr",
    ]);
    let names = format!("subjectAltName=DNS:{host}\n");
    fs::write(directory.join("names"), names).expect("a file");
    openssl(&[
        "x509",
        "-req",
        "-in",
        "server.csr",
        "-CA",
        "right.crt",
        "-CAkey",
        "right.key",
        "-CAcreateserial",
        "-days",
        "2",
        "-extfile",
        "names",
        "-out",
        "server.crt",
    ]);
}

#[test]
fn tls_proves_the_server_as_far_as_it_is_asked_to() {
    let keys = tempfile::tempdir().expect("a temporary directory");
    certificates(keys.path(), "localhost");
    let cluster = Cluster::start(&ClusterOptions {
        certificates: Some(keys.path().to_owned()),
        only_tls: true,
        ..ClusterOptions::default()
    });
    let place = tempfile::tempdir().expect("a temporary directory");
    server(&cluster, "encrypted", place.path(), PASSWORD);
    let root = |name: &str| keys.path().join(name).display().to_string();
    let (right, other) = (root("right.crt"), root("other.crt"));
    let with = |host: &str, settings: &str| {
        let source = format!(
            "host={host} port={} dbname=encrypted user=postgres password={PASSWORD} {settings}",
            cluster.port()
        );
        check(place.path())
            .arg("--catalog")
            .arg(source)
            .env("HOME", "/nonexistent")
            .run()
    };
    with("localhost", "sslmode=require").assert_code(0);
    with("localhost", "").assert_code(0);
    with(
        "localhost",
        &format!("sslmode=verify-full sslrootcert={right}"),
    )
    .assert_code(0);
    with(
        "127.0.0.1",
        &format!("sslmode=verify-ca sslrootcert={right}"),
    )
    .assert_code(0);
    for (host, settings) in [
        ("localhost", "sslmode=disable".to_owned()),
        (
            "localhost",
            format!("sslmode=verify-full sslrootcert={other}"),
        ),
        (
            "localhost",
            format!("sslmode=verify-ca sslrootcert={other}"),
        ),
        // The certificate is for the name, not for the address.
        (
            "127.0.0.1",
            format!("sslmode=verify-full sslrootcert={right}"),
        ),
        ("localhost", format!("sslmode=require sslrootcert={other}")),
    ] {
        let refused = with(host, &settings);
        refused.assert_code(3);
        assert!(!refused.complaint().contains(PASSWORD));
    }
}

#[test]
fn a_socket_needs_no_address() {
    let cluster = Cluster::shared();
    let place = tempfile::tempdir().expect("a temporary directory");
    server(cluster, "by_socket", place.path(), "");
    let source = format!(
        "host={} port={} dbname=by_socket user=postgres",
        cluster.socket_directory().display(),
        cluster.port()
    );
    check(place.path())
        .arg("--catalog")
        .arg(source)
        .run()
        .assert_code(0);
}
