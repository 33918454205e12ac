//! Made-up servers: tree, dump, database, and what a check of them must find.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use fogold::fixtures::{DamagePlan, DbConf, Expected, Server, ServerSpec, damage};
use serde_json::Value;
use tempfile::TempDir;

use super::Cluster;
use super::finding::expectation;

/// A made-up server in a directory of its own.
#[derive(Debug)]
pub(crate) struct MadeUp {
    pub(crate) server: Server,
    expected: Vec<Expected>,
    directory: TempDir,
}

impl MadeUp {
    /// A healthy one.
    pub(crate) fn healthy(spec: ServerSpec) -> MadeUp {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let server = Server::build(spec, directory.path()).expect("a server");
        MadeUp {
            expected: server.already_there(),
            server,
            directory,
        }
    }

    /// A healthy one, as small as they come.
    pub(crate) fn small() -> MadeUp {
        MadeUp::healthy(ServerSpec {
            files: 300,
            bytes: 300_000,
            per_upload: 10,
            ..ServerSpec::default()
        })
    }

    /// A small one on two hosts.
    pub(crate) fn on_two_hosts() -> MadeUp {
        let host = |name: &str, line: &str| (name.to_owned(), line.to_owned());
        MadeUp::healthy(ServerSpec {
            files: 400,
            bytes: 900_000,
            per_upload: 10,
            depth: 2,
            hosts: vec![host("north", "* 00 7f"), host("south", "* 80 ff")],
            ..ServerSpec::default()
        })
    }

    /// One with so many findings to come.
    pub(crate) fn damaged(spec: ServerSpec, count: usize) -> MadeUp {
        let seed = spec.seed;
        let mut made_up = MadeUp::healthy(spec);
        let plan = DamagePlan { seed, count };
        let damaged = damage::apply(&mut made_up.server, &plan).expect("damage");
        made_up.expected.extend(damaged);
        made_up
    }

    /// Its directory, for whatever else belongs to it.
    pub(crate) fn directory(&self) -> PathBuf {
        self.directory.path().to_owned()
    }

    pub(crate) fn repository(&self) -> PathBuf {
        self.server.repository().expect("a tree")
    }

    pub(crate) fn sysconfdir(&self) -> PathBuf {
        self.server.sysconfdir().expect("a configuration")
    }

    /// Its plain dump, written at the first call.
    pub(crate) fn dump(&self) -> PathBuf {
        let path = self.directory.path().join("dump.sql");
        if !path.exists() {
            write_dump(&self.server, &path);
        }
        path
    }

    /// Loads its rows into a new database of a cluster and has its configuration name it.
    pub(crate) fn go_live(&self, cluster: &Cluster, database: &str) {
        cluster.create_database(database);
        self.server
            .load_into(&mut cluster.connect(database))
            .expect("rows in a database");
        self.configure(cluster, database);
    }

    /// Has its configuration name a database of a cluster.
    pub(crate) fn configure(&self, cluster: &Cluster, database: &str) {
        let conf = DbConf {
            dbname: database.to_owned(),
            host: cluster.socket_directory().display().to_string(),
            port: Some(cluster.port()),
            user: "postgres".to_owned(),
            ..DbConf::default()
        };
        self.server.write_sysconf(&conf).expect("a configuration");
    }

    /// What a check must find that reads contents, and proves sha256, as said.
    pub(crate) fn expected(&self, verify: bool, sha256: bool) -> Vec<Value> {
        self.expected
            .iter()
            .filter(|each| (verify || !each.needs_verify) && (sha256 || !each.needs_sha256))
            .map(expectation)
            .collect()
    }

    /// Where the file of a type stands whose name ends so.
    pub(crate) fn place(&self, ty: &str, name: &str) -> PathBuf {
        let files = self.files(ty);
        let path = files.iter().find(|path| path.ends_with(name));
        self.repository().join(path.expect("a file of that name"))
    }

    /// The paths of all files in gold or files, relative to the repository, in order.
    pub(crate) fn files(&self, ty: &str) -> Vec<String> {
        let root = self.repository();
        let mut open = vec![root.clone()];
        let mut found = Vec::new();
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(&directory).expect("a directory") {
                let entry = entry.expect("an entry");
                if entry.file_type().expect("its type").is_dir() {
                    open.push(entry.path());
                    continue;
                }
                let path = entry.path();
                let path = path.strip_prefix(&root).expect("below the root");
                if let Some(text) = path
                    .to_str()
                    .filter(|text| text.split('/').nth(1) == Some(ty))
                {
                    found.push(text.to_owned());
                }
            }
        }
        found.sort();
        found
    }
}

/// Writes a server's plain dump to a file.
pub(crate) fn write_dump(server: &Server, path: &Path) {
    let mut out = BufWriter::new(File::create(path).expect("a file for the dump"));
    server.write_dump(&mut out).expect("a dump");
    out.flush().expect("a whole dump");
}
