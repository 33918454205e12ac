//! A place to restore into: a configuration, a repository and a database, of which nothing but the
//! configuration is there yet.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use postgres::Client;
use tempfile::TempDir;

use super::{Cluster, Fogold, MadeStore, Outcome};

/// A server that is to be.
#[derive(Debug)]
pub(crate) struct Site {
    directory: TempDir,
    cluster: &'static Cluster,
    database: String,
}

/// What is known of an entry of a tree, and what of it changes when somebody has touched it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) inode: u64,
    pub(crate) mode: u32,
    pub(crate) owner: (u32, u32),
    pub(crate) links: u64,
    times: [i64; 4],
    /// Of a file.
    pub(crate) contents: Option<blake3::Hash>,
}

impl Site {
    /// A site with one host and three levels.
    pub(crate) fn new(database: &str) -> Site {
        Site::with(database, 3, &["localhost[] = * 00 ff"], "")
    }

    /// A site of another layout; `more` is added to its configuration.
    pub(crate) fn with(database: &str, depth: usize, hosts: &[&str], more: &str) -> Site {
        let site = Site {
            directory: tempfile::tempdir().expect("a temporary directory"),
            cluster: Cluster::shared(),
            database: database.to_owned(),
        };
        fs::create_dir(site.sysconfdir()).expect("a directory");
        fs::create_dir(site.scratch()).expect("a directory");
        site.configure(&site.repository(), depth, hosts, more);
        let socket = site.cluster.socket_directory().display();
        let port = site.cluster.port();
        site.configure_database(&format!(
            "host={socket};\nport={port};\nuser=postgres;\ndbname={database};\n"
        ));
        site
    }

    /// Writes `fossology.conf`.
    pub(crate) fn configure(&self, repository: &Path, depth: usize, hosts: &[&str], more: &str) {
        let text = format!(
            "[FOSSOLOGY]\nport = 1\naddress = 127.0.0.1\ndepth = {depth}\npath = {}\n\
             [HOSTS]\nlocalhost = localhost /etc/fossology 10\n[REPOSITORY]\n{}\n{more}\n",
            repository.display(),
            hosts.join("\n")
        );
        fs::write(self.sysconfdir().join("fossology.conf"), text).expect("fossology.conf");
    }

    /// Writes `Db.conf`.
    pub(crate) fn configure_database(&self, text: &str) {
        fs::write(self.sysconfdir().join("Db.conf"), text).expect("Db.conf");
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn sysconfdir(&self) -> PathBuf {
        self.directory.path().join("sysconf")
    }

    pub(crate) fn repository(&self) -> PathBuf {
        self.directory.path().join("repository")
    }

    pub(crate) fn scratch(&self) -> PathBuf {
        self.directory.path().join("scratch")
    }

    pub(crate) fn database(&self) -> &str {
        &self.database
    }

    /// A restore of the newest set of a store to this site, with its report as NDJSON.
    pub(crate) fn restore(&self, store: &MadeStore) -> Fogold {
        self.restore_from(&store.path())
    }

    /// The same from whatever is at a path.
    pub(crate) fn restore_from(&self, store: &Path) -> Fogold {
        let programs = std::env::var_os("FOGOLD_PG_BINDIR");
        let fogold = Fogold::new(["restore", "--format", "ndjson", "--scratch"])
            .arg(self.scratch())
            .arg("--sysconfdir")
            .arg(self.sysconfdir())
            .arg(store);
        match programs {
            Some(directory) => fogold.arg("--pg-bindir").arg(directory),
            None => fogold,
        }
    }

    /// A check of this site.
    pub(crate) fn check(&self) -> Fogold {
        Fogold::check_configured(&self.sysconfdir())
    }

    /// A check that finds nothing of weight.
    pub(crate) fn assert_well(&self) -> Outcome {
        let outcome = self.check().arg("--verify").run();
        outcome.assert_code(0);
        outcome
    }

    /// A superuser's connection to its database.
    pub(crate) fn client(&self) -> Client {
        self.cluster.connect(&self.database)
    }

    /// A number that a statement gives.
    pub(crate) fn number(&self, statement: &str) -> i64 {
        let row = self.client().query_one(statement, &[]).expect("a row");
        row.get(0)
    }

    /// Whether its database is there.
    pub(crate) fn has_database(&self) -> bool {
        let statement = "SELECT FROM pg_database WHERE datname = $1";
        let found = self
            .cluster
            .connect("postgres")
            .query(statement, &[&self.database]);
        !found.expect("rows").is_empty()
    }

    /// How many tables its database has; none when it is not there.
    pub(crate) fn tables(&self) -> i64 {
        if !self.has_database() {
            return 0;
        }
        self.number("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
    }

    /// Takes its database away.
    pub(crate) fn drop_database(&self) {
        let statement = format!("DROP DATABASE IF EXISTS \"{}\" (FORCE)", self.database);
        self.cluster
            .connect("postgres")
            .batch_execute(&statement)
            .expect("no database");
    }

    /// All that stands in its repository.
    pub(crate) fn standing(&self) -> BTreeMap<String, Standing> {
        standing(&self.repository())
    }

    /// The contents in its repository by path, without what is fogold's own.
    pub(crate) fn contents(&self) -> BTreeMap<String, blake3::Hash> {
        contents(&self.repository())
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // The cluster may be gone already when a test has failed.
        if !std::thread::panicking() {
            self.drop_database();
        }
    }
}

/// All that stands below a root, by path.
pub(crate) fn standing(root: &Path) -> BTreeMap<String, Standing> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(path) = open.pop() {
        let Ok(meta) = fs::symlink_metadata(&path) else {
            continue;
        };
        if meta.is_dir() {
            let entries = fs::read_dir(&path).expect("a directory");
            open.extend(entries.map(|entry| entry.expect("an entry").path()));
        }
        let below = path.strip_prefix(root).expect("below the root");
        found.insert(
            below.display().to_string(),
            Standing {
                inode: meta.ino(),
                mode: meta.mode() & 0o7777,
                owner: (meta.uid(), meta.gid()),
                links: meta.nlink(),
                times: [
                    meta.mtime(),
                    meta.mtime_nsec(),
                    meta.ctime(),
                    meta.ctime_nsec(),
                ],
                contents: meta
                    .is_file()
                    .then(|| blake3::hash(&fs::read(&path).expect("a file"))),
            },
        );
    }
    found
}

/// The contents below a root by path, without what is fogold's own.
pub(crate) fn contents(root: &Path) -> BTreeMap<String, blake3::Hash> {
    standing(root)
        .into_iter()
        .filter(|(path, _)| !path.split('/').any(|part| part == ".fogold"))
        .filter_map(|(path, standing)| Some((path, standing.contents?)))
        .collect()
}
