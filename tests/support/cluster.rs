//! A private PostgreSQL, in a temporary directory, that does not outlive the tests.
//!
//! The server is the child of a small shell that waits for the end of its standard input. The pipe
//! ends with the test process, however that ends: by return, panic or SIGKILL. The shell then stops
//! the server and removes the directory.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use postgres::{Client, NoTls};

/// The password of the role `postgres`, where one is asked for.
pub(crate) const PASSWORD: &str = "made-up-password";

const MISSING: &str = "PostgreSQL is not installed: these tests start a server of their own. \
    'tests/run' installs it (Debian), or FOGOLD_PG_BINDIR names the directory of initdb and postgres";

/// Starts the server at each line of standard input; at its end stops it and takes everything away.
/// A program that makes the cluster may still be writing then: what it wrote goes at the next try.
const WATCH: &str = r#"
server=
stop() { [ -z "$server" ] || { kill -INT "$server" 2>/dev/null; wait "$server"; }; }
while read -r _; do
    stop
    "$1/postgres" -D "$2/data" >"$2/log" 2>&1 </dev/null &
    server=$!
done
stop
cd /
for _ in 1 2 3 4 5; do
    rm -rf "$2" && break
    sleep 1
done
"#;

/// How a database stores text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// What FOSSology uses since 3.10.
    Utf8,
    /// What it used before, and in its compose file.
    SqlAscii,
}

impl Encoding {
    fn name(self) -> &'static str {
        match self {
            Encoding::Utf8 => "UTF8",
            Encoding::SqlAscii => "SQL_ASCII",
        }
    }
}

/// What a cluster asks of its clients.
#[derive(Clone, Debug)]
pub(crate) struct ClusterOptions {
    /// Method for connections over TCP, as `pg_hba.conf` has it: `trust`, `scram-sha-256`, `md5`.
    /// The socket is open to all.
    pub(crate) auth: &'static str,
    /// A directory with `server.crt` and `server.key`: TCP connections may then use TLS.
    pub(crate) certificates: Option<PathBuf>,
    /// Whether TCP connections must use TLS.
    pub(crate) only_tls: bool,
    /// The encoding of new databases.
    pub(crate) encoding: Encoding,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        ClusterOptions {
            auth: "trust",
            certificates: None,
            only_tls: false,
            encoding: Encoding::Utf8,
        }
    }
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Cluster {
    directory: PathBuf,
    programs: PathBuf,
    port: u16,
    encoding: Encoding,
    watch: Child,
    /// Held open as long as the server should run.
    leash: Option<ChildStdin>,
}

impl Cluster {
    /// The cluster that all tests of the process share, with the default options.
    pub(crate) fn shared() -> &'static Cluster {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(|| Cluster::start(&ClusterOptions::default()))
    }

    /// Starts a cluster. Panics with what is wrong when it cannot: a test that needs a server must
    /// not pass without one.
    pub(crate) fn start(options: &ClusterOptions) -> Cluster {
        let programs = programs();
        // Short: the path of a socket has at most 107 bytes.
        let directory = tempfile::Builder::new()
            .prefix("fogold-pg-")
            .tempdir_in("/tmp")
            .expect("a temporary directory in /tmp")
            .keep();
        let account = Account::unprivileged();
        account.own(&directory);
        let mut cluster = Cluster::watched(programs, directory, &account, options.encoding);
        cluster.initialize(&account, options);
        // Another process may take the port before the server does.
        for _ in 0..5 {
            if cluster.start_server() {
                return cluster;
            }
        }
        let log = cluster.log();
        panic!("the private PostgreSQL does not start:\n{log}");
    }

    /// Creates an empty database of the cluster's encoding.
    pub(crate) fn create_database(&self, name: &str) {
        self.create_database_in(name, self.encoding);
    }

    /// Creates an empty database of another encoding.
    pub(crate) fn create_database_in(&self, name: &str, encoding: Encoding) {
        let statement = format!(
            "CREATE DATABASE \"{name}\" TEMPLATE template0 ENCODING '{}' LC_COLLATE 'C' LC_CTYPE 'C'",
            encoding.name()
        );
        self.connect("postgres")
            .batch_execute(&statement)
            .expect("a new database");
    }

    /// A superuser's connection over the socket.
    pub(crate) fn connect(&self, database: &str) -> Client {
        Client::connect(&self.conninfo(database), NoTls)
            .expect("a connection to the private PostgreSQL")
    }

    /// How a superuser reaches a database over the socket.
    pub(crate) fn conninfo(&self, database: &str) -> String {
        let host = self.directory.display();
        format!(
            "host={host} port={} user=postgres dbname={database}",
            self.port
        )
    }

    /// How a superuser reaches a database over TCP.
    pub(crate) fn tcp_conninfo(&self, database: &str) -> String {
        format!(
            "host=127.0.0.1 port={} user=postgres password={PASSWORD} dbname={database}",
            self.port
        )
    }

    /// The directory of the socket.
    pub(crate) fn socket_directory(&self) -> &Path {
        &self.directory
    }

    /// The port, on 127.0.0.1 and in the socket's name.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// A client program of the server's own version, set to connect to `database`.
    pub(crate) fn client(&self, program: &str, database: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command
            .env("PGHOST", &self.directory)
            .env("PGPORT", self.port.to_string())
            .env("PGUSER", "postgres")
            .env("PGDATABASE", database)
            .env("PGTZ", "UTC");
        command
    }

    /// Runs a plain dump through psql, which stops at the first error.
    pub(crate) fn load(&self, database: &str, dump: &Path) {
        let output = self
            .client("psql", database)
            .args([
                "--no-psqlrc",
                "--quiet",
                "--set",
                "ON_ERROR_STOP=1",
                "--file",
            ])
            .arg(dump)
            .output()
            .expect("psql runs");
        succeeded("psql", &output);
    }

    /// The shell, which does not start the server yet.
    fn watched(
        programs: PathBuf,
        directory: PathBuf,
        account: &Account,
        encoding: Encoding,
    ) -> Cluster {
        let mut watch = account
            .command(Path::new("/bin/sh"))
            .arg("-c")
            .arg(WATCH)
            .arg("watch")
            .arg(&programs)
            .arg(&directory)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // An interrupt from the terminal ends the test; the shell still has its work to do.
            .process_group(0)
            .spawn()
            .expect("a shell that watches over PostgreSQL");
        Cluster {
            directory,
            programs,
            port: 0,
            encoding,
            leash: watch.stdin.take(),
            watch,
        }
    }

    /// Has the shell start the server on a free port; whether it came up.
    fn start_server(&mut self) -> bool {
        self.port = free_port();
        let setting = format!("port = {}\n", self.port);
        append(&self.directory.join("data/postgresql.conf"), &setting);
        let leash = self.leash.as_mut().expect("a pipe to the shell");
        leash.write_all(b"start\n").expect("a shell that listens");
        for _ in 0..600 {
            let ready = self
                .client("pg_isready", "postgres")
                .args(["--quiet", "--timeout=1"])
                .status();
            if ready.is_ok_and(|status| status.success()) {
                return true;
            }
            if self.log().contains("could not create any TCP/IP sockets") {
                return false;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        false
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    fn initialize(&self, account: &Account, options: &ClusterOptions) {
        let (programs, directory) = (&self.programs, &self.directory);
        let data = directory.join("data");
        let secret = directory.join("password");
        put(&secret, PASSWORD, account);
        let output = account
            .command(&programs.join("initdb"))
            .current_dir("/")
            .args([
                "--no-sync",
                "--no-locale",
                "--username=postgres",
                "--auth-local=trust",
            ])
            .arg(format!("--auth-host={}", options.auth))
            .arg(format!("--encoding={}", options.encoding.name()))
            .arg(format!("--pwfile={}", secret.display()))
            .arg("--pgdata")
            .arg(&data)
            .output()
            .expect("initdb runs");
        succeeded("initdb", &output);
        if let Some(certificates) = &options.certificates {
            for name in ["server.crt", "server.key"] {
                let text =
                    fs::read_to_string(certificates.join(name)).expect("a certificate and its key");
                put(&data.join(name), &text, account);
            }
            append(&data.join("postgresql.conf"), "ssl = on\n");
        }
        if options.only_tls {
            let lines = format!(
                "local all all trust\nhostssl all all 127.0.0.1/32 {}\n",
                options.auth
            );
            put(&data.join("pg_hba.conf"), &lines, account);
        }
        // A test's data is not worth waiting for the disk.
        let settings = format!(
            "fsync = off\nfull_page_writes = off\nsynchronous_commit = off\nlisten_addresses = '127.0.0.1'\n\
         unix_socket_directories = '{}'\ntimezone = 'UTC'\nmax_connections = 100\n",
            directory.display()
        );
        append(&data.join("postgresql.conf"), &settings);
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.leash.take();
        let _ = self.watch.wait();
    }
}

/// Who runs the server: PostgreSQL refuses root.
struct Account {
    other: Option<(u32, u32)>,
}

impl Account {
    fn unprivileged() -> Account {
        if !rustix::process::geteuid().is_root() {
            return Account { other: None };
        }
        let passwd = fs::read_to_string("/etc/passwd").expect("/etc/passwd");
        let ids = |name: &str| {
            let line = passwd
                .lines()
                .find(|line| line.starts_with(&format!("{name}:")))?;
            let mut fields = line.split(':').skip(2);
            Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
        };
        let other = ids("postgres").or_else(|| ids("nobody"));
        assert!(
            other.is_some(),
            "no user 'postgres' or 'nobody' to run PostgreSQL as"
        );
        Account { other }
    }

    fn own(&self, path: &Path) {
        if let Some((user, group)) = self.other {
            chown(path, Some(user), Some(group)).expect("a new owner");
        }
    }

    fn command(&self, program: &Path) -> Command {
        let Some((user, group)) = self.other else {
            return Command::new(program);
        };
        let mut command = Command::new("setpriv");
        command
            .arg(format!("--reuid={user}"))
            .arg(format!("--regid={group}"))
            .arg("--clear-groups")
            .arg("--")
            .arg(program);
        command
    }
}

/// The directory of the newest server's programs.
fn programs() -> PathBuf {
    if let Some(directory) = std::env::var_os("FOGOLD_PG_BINDIR") {
        let directory = PathBuf::from(directory);
        assert!(directory.join("initdb").exists(), "{MISSING}");
        return directory;
    }
    let version = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().parse::<u32>().ok();
    let newest = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().join("bin/initdb").exists())
        .max_by_key(version);
    match newest {
        Some(entry) => entry.path().join("bin"),
        None => panic!("{MISSING}"),
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("its number").port()
}

fn put(path: &Path, text: &str, account: &Account) {
    fs::write(path, text).expect("a file of the cluster");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("its mode");
    account.own(path);
}

fn append(path: &Path, text: &str) {
    let mut file = fs::OpenOptions::new()
        .append(true)
        .open(path)
        .expect("a file of the cluster");
    file.write_all(text.as_bytes()).expect("a longer file");
}

fn succeeded(program: &str, output: &Output) {
    assert!(
        output.status.success(),
        "{program} failed:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
