//! A recorded server at work: its tree, its rows in a database of their own, and a configuration
//! that names both.

use std::fs;
use std::path::{Path, PathBuf};

use postgres::Client;
use serde_json::Value;
use tempfile::TempDir;

use super::{Capture, Cluster, Fogold};

/// A recorded server whose rows are live.
#[derive(Debug)]
pub(crate) struct Recorded {
    pub(crate) capture: Capture,
    cluster: &'static Cluster,
    database: String,
    sysconf: TempDir,
}

impl Recorded {
    /// Loads a recording such as `B-gold-only` into a new database; `None`, with the reason on
    /// standard error, when it is not there.
    pub(crate) fn open(state: &str, database: &str) -> Option<Recorded> {
        Recorded::open_in(Cluster::shared(), state, database)
    }

    /// The same in a cluster of its own.
    pub(crate) fn open_in(
        cluster: &'static Cluster,
        state: &str,
        database: &str,
    ) -> Option<Recorded> {
        let capture = Capture::open(state)?;
        capture.load(cluster, database);
        let recorded = Recorded {
            capture,
            cluster,
            database: database.to_owned(),
            sysconf: tempfile::tempdir().expect("a temporary directory"),
        };
        recorded.configure("postgres");
        // Nobody listens there until somebody does.
        recorded.scheduler_at(1);
        Some(recorded)
    }

    /// Has its configuration name a role of the database.
    pub(crate) fn configure(&self, role: &str) {
        let text = format!(
            "dbname={};\nhost={};\nport={};\nuser={role};\n",
            self.database,
            self.cluster.socket_directory().display(),
            self.cluster.port()
        );
        fs::write(self.sysconfdir().join("Db.conf"), text).expect("Db.conf");
    }

    /// Has its configuration name the scheduler's port.
    pub(crate) fn scheduler_at(&self, port: u16) {
        self.configure_hosts(port, "localhost[] = * 00 ff");
    }

    /// Has its configuration name the scheduler's port and the repository's hosts.
    pub(crate) fn configure_hosts(&self, port: u16, hosts: &str) {
        let text = format!(
            "[FOSSOLOGY]\nport = {port}\naddress = 127.0.0.1\ndepth = 3\npath = {}\n\
             [HOSTS]\nlocalhost = localhost /etc/fossology 10\n[REPOSITORY]\n{hosts}\n",
            self.repository().display()
        );
        fs::write(self.sysconfdir().join("fossology.conf"), text).expect("fossology.conf");
    }

    pub(crate) fn sysconfdir(&self) -> &Path {
        self.sysconf.path()
    }

    pub(crate) fn repository(&self) -> PathBuf {
        self.capture.repository()
    }

    /// A superuser's connection.
    pub(crate) fn client(&self) -> Client {
        self.cluster.connect(&self.database)
    }

    /// Runs statements.
    pub(crate) fn sql(&self, statements: &str) {
        self.client()
            .batch_execute(statements)
            .expect("statements that run");
    }

    /// A number that a statement gives.
    pub(crate) fn number(&self, statement: &str) -> i64 {
        let row = self.client().query_one(statement, &[]).expect("a row");
        row.get(0)
    }

    /// The rows of a table as JSON objects, in a fixed order.
    pub(crate) fn rows(&self, table: &str) -> Vec<Value> {
        let statement = format!("SELECT to_jsonb(t)::text FROM public.{table} t ORDER BY 1");
        let rows = self.client().query(&statement, &[]).expect("rows");
        rows.iter()
            .map(|row| serde_json::from_str(row.get(0)).expect("JSON"))
            .collect()
    }

    /// The rows of a table that were not among `before`.
    pub(crate) fn new_rows(&self, table: &str, before: &[Value]) -> Vec<Value> {
        let mut rows = self.rows(table);
        rows.retain(|row| !before.contains(row));
        rows
    }

    /// A run of the program with its configuration, and a report as JSON.
    pub(crate) fn requeue(&self) -> Fogold {
        Fogold::new(["requeue", "--format", "json", "--sysconfdir"]).arg(self.sysconfdir())
    }

    /// A check with its configuration.
    pub(crate) fn check(&self) -> Fogold {
        Fogold::check_configured(self.sysconfdir())
    }

    /// The paths of all files below the root, in order; with `own`, also what is fogold's own.
    pub(crate) fn files(&self, own: bool) -> Vec<String> {
        files(&self.repository(), own)
    }
}

/// The paths of all files below a root, in order.
pub(crate) fn files(root: &Path, own: bool) -> Vec<String> {
    let mut open = vec![root.to_owned()];
    let mut found = Vec::new();
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() && !path.is_symlink() {
                if own || !path.ends_with(".fogold") {
                    open.push(path);
                }
                continue;
            }
            let below = path.strip_prefix(root).expect("below the root");
            found.push(below.to_str().expect("UTF-8").to_owned());
        }
    }
    found.sort();
    found
}
