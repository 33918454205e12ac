//! A made-up server whose gold can be fetched again.

use std::fs;
use std::path::PathBuf;

use super::web::{Reply, WebServer};
use super::{Cluster, Fogold, MadeUp};

/// A made-up server whose URLs lead to a server of this test, with a live database.
#[derive(Debug)]
pub(crate) struct OnTheWeb {
    /// The server.
    pub(crate) made_up: MadeUp,
    /// What serves its gold.
    pub(crate) web: WebServer,
    /// The names of the golds that came from URLs, by path of the URL.
    pub(crate) golds: Vec<(String, String)>,
    database: String,
}

impl OnTheWeb {
    /// `answer` may change what is served under a number of a URL.
    pub(crate) fn start(database: &str, answer: fn(usize, Vec<u8>) -> Reply) -> OnTheWeb {
        let made_up = MadeUp::on_two_hosts();
        let cluster = Cluster::shared();
        made_up.go_live(cluster, database);
        let mut client = cluster.connect(database);
        let found = client
            .query(
                "SELECT upload_origin, lower(pfile_sha1 || '.' || pfile_md5 || '.' || pfile_size) \
                 FROM upload JOIN pfile ON pfile_pk = pfile_fk \
                 WHERE upload_origin LIKE 'https://downloads.example.org/%._%' \
                 AND upload_origin NOT LIKE '%/' ORDER BY upload_pk",
                &[],
            )
            .expect("uploads");
        let golds: Vec<(String, String)> = found
            .iter()
            .map(|row| {
                let url: String = row.get(0);
                let path = url.trim_start_matches("https://downloads.example.org");
                (path.to_owned(), row.get(1))
            })
            .collect();
        assert!(golds.len() >= 3, "enough URLs");
        let files: Vec<(String, Vec<u8>)> = golds
            .iter()
            .map(|(path, name)| (path.clone(), fs::read(gold(&made_up, name)).expect("gold")))
            .collect();
        let web = WebServer::start(move |request| {
            let found = files.iter().position(|(path, _)| *path == request.path);
            found.map_or(Reply::Status(404), |at| answer(at, files[at].1.clone()))
        });
        for (table, column) in [("upload", "upload_origin"), ("jobqueue", "jq_args")] {
            let sql = format!(
                "UPDATE {table} SET {column} = \
                 replace({column}, 'https://downloads.example.org', 'http://127.0.0.1:{}')",
                web.port()
            );
            client.batch_execute(&sql).expect("other URLs");
        }
        OnTheWeb {
            made_up,
            web,
            golds,
            database: database.to_owned(),
        }
    }

    /// A manifest of it, from the live database.
    pub(crate) fn manifest(&self, arguments: &[&str]) -> Fogold {
        let manifest = Fogold::new(["manifest", "--sysconfdir"]);
        manifest.arg(self.made_up.sysconfdir()).args(arguments)
    }

    /// Changes its rows.
    pub(crate) fn sql(&self, statements: &str) {
        let mut client = Cluster::shared().connect(&self.database);
        client.batch_execute(statements).expect("the statements");
    }

    /// The names of the golds that came from URLs, in order.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.golds.iter().map(|(_, name)| name.clone()).collect();
        names.sort();
        names
    }
}

/// Where a gold stands.
pub(crate) fn gold(made_up: &MadeUp, name: &str) -> PathBuf {
    let files = made_up.files("gold");
    let path = files.iter().find(|path| path.ends_with(name));
    made_up.repository().join(path.expect("the gold"))
}

/// Serves what the URL gave at the time.
pub(crate) fn as_it_is(_: usize, bytes: Vec<u8>) -> Reply {
    Reply::File(bytes)
}
