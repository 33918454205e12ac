//! Gold that a set left out, for it can be fetched again.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{count, last};
use crate::support::web::{Reply, WebServer};
use crate::support::{Cluster, Fogold, MadeStore, MadeUp, Site};

const GOOD: u8 = 0;
const WRONG: u8 = 1;
const GONE: u8 = 2;
const SLOW: u8 = 3;
const CUT: u8 = 4;

/// A set without the gold that its server would give again, and what that server does now.
struct OnTheWeb {
    made_up: MadeUp,
    store: MadeStore,
    mood: Arc<AtomicU8>,
    _web: WebServer,
    /// The paths of the golds that are left out.
    golds: Vec<String>,
}

impl OnTheWeb {
    fn start(database: &str) -> OnTheWeb {
        let made_up = MadeUp::small();
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
        let all = made_up.files("gold");
        let mut golds = Vec::new();
        let mut served: Vec<(String, PathBuf)> = Vec::new();
        for row in found {
            let (url, name): (String, String) = (row.get(0), row.get(1));
            let path = all.iter().find(|path| last(path) == name).expect("gold");
            let asked = url.trim_start_matches("https://downloads.example.org");
            served.push((asked.to_owned(), made_up.repository().join(path)));
            golds.push(path.clone());
        }
        golds.sort();
        golds.dedup();
        assert!(golds.len() >= 3, "enough URLs");
        let mood = Arc::new(AtomicU8::new(GOOD));
        let now = Arc::clone(&mood);
        let web = WebServer::start(move |request| {
            let Some((_, path)) = served.iter().find(|(path, _)| *path == request.path) else {
                return Reply::Status(404);
            };
            let mut bytes = fs::read(path).expect("gold");
            match now.load(Ordering::Relaxed) {
                GOOD => Reply::File(bytes),
                SLOW => Reply::Silence,
                CUT => Reply::Cut(bytes[1..].to_vec()),
                WRONG => {
                    bytes[0] ^= 1;
                    Reply::File(bytes)
                }
                _ => Reply::Status(410),
            }
        });
        for (table, column) in [("upload", "upload_origin"), ("jobqueue", "jq_args")] {
            let sql = format!(
                "UPDATE {table} SET {column} = \
                 replace({column}, 'https://downloads.example.org', 'http://127.0.0.1:{}')",
                web.port()
            );
            client.batch_execute(&sql).expect("other URLs");
        }
        let store = MadeStore::new();
        store
            .fogold("backup")
            .args([
                "--full",
                "--url-gold",
                "skip",
                "--allow-local-urls",
                "--sysconfdir",
            ])
            .arg(made_up.sysconfdir())
            .run()
            .assert_code(0);
        // A full set holds their copies in files as well; without them nothing but the URL is left.
        for path in &golds {
            let name = last(path);
            let pooled = store.path().join("pool").join(&name[..2]).join(&name[2..4]);
            assert!(!pooled.join(name).exists(), "{name} was not left out");
        }
        OnTheWeb {
            made_up,
            store,
            mood,
            _web: web,
            golds,
        }
    }

    fn turns(&self, mood: u8) {
        self.mood.store(mood, Ordering::Relaxed);
    }

    fn restore(&self, site: &Site) -> Fogold {
        site.restore(&self.store).arg("--allow-local-urls")
    }
}

#[test]
fn it_is_fetched_and_proven() {
    let server = OnTheWeb::start("urls_source");
    let site = Site::new("urls_restored");
    let outcome = server.restore(&site).arg("--dry-run").run();
    outcome.assert_code(0);
    assert_eq!(count(&outcome, "fetched"), server.golds.len() as u64);

    // Whatever the server gives that is not the file, and whatever else goes wrong, is no gold.
    let leave = ["--allow-local-urls"];
    for (mood, more, why) in [
        (WRONG, &leave[..], "another file now"),
        (GONE, &leave, "410"),
        (GOOD, &[], "--allow-local-urls"),
    ] {
        server.turns(mood);
        let outcome = site
            .restore(&server.store)
            .args(["--only", "gold"])
            .args(more)
            .run();
        outcome.assert_code(1);
        assert_eq!(outcome.report()["complete"], true);
        assert_eq!(count(&outcome, "lost"), server.golds.len() as u64, "{why}");
        let complaint = outcome.complaint();
        assert!(complaint.contains(why), "{complaint}");
        let mut missing: Vec<String> = outcome
            .findings()
            .iter()
            .inspect(|finding| assert_eq!(finding["kind"], "missing-gold", "{finding}"))
            .map(|finding| finding["path"].as_str().expect("a path").to_owned())
            .collect();
        missing.sort();
        assert_eq!(missing, server.golds);
    }
    // For people, with the upload's name.
    let text = Fogold::new(["restore", "--only", "gold", "--sysconfdir"])
        .arg(site.sysconfdir())
        .arg(server.store.path())
        .run();
    text.assert_code(1);
    let name = last(&server.golds[0]);
    let mut client = Cluster::shared().connect("urls_source");
    let upload: String = client
        .query_one(
            "SELECT upload_filename FROM upload JOIN pfile ON pfile_pk = pfile_fk \
             WHERE lower(pfile_sha1) = $1 ORDER BY upload_pk LIMIT 1",
            &[&&name[..40]],
        )
        .expect("an upload")
        .get(0);
    assert!(text.text().contains(&upload), "{upload}:\n{}", text.text());

    server.turns(GOOD);
    let outcome = server.restore(&site).run();
    outcome.assert_code(0);
    assert_eq!(count(&outcome, "fetched"), server.golds.len() as u64);
    assert_eq!(outcome.findings(), Vec::<serde_json::Value>::new());
    for path in &server.golds {
        let original = fs::read(server.made_up.repository().join(path)).expect("gold");
        assert_eq!(
            fs::read(site.repository().join(path)).expect("gold"),
            original
        );
    }
    site.assert_well();
}

#[test]
fn without_a_network_it_is_told_how_to_go_on() {
    let server = OnTheWeb::start("urls_offline");
    let site = Site::new("urls_brought_later");
    let for_people = |more: &[&str]| {
        let restore = Fogold::new(["restore", "--allow-local-urls", "--sysconfdir"]);
        let restore = restore.arg(site.sysconfdir()).args(more);
        restore.arg(server.store.path())
    };
    let count = server.golds.len();
    server.turns(CUT);
    let outcome = for_people(&[]).run();
    outcome.assert_code(1);
    let text = outcome.text();
    let id = server.store.newest();
    for said in [
        format!("restored but for {count} files (not fetched: no URL answered)"),
        format!("  unreached {count} files, "),
        format!("type\n            fogold restore STORE {id} --only gold,files\n"),
    ] {
        assert!(text.contains(&said), "{said}: {text}");
    }
    assert!(!text.contains("could not be had"), "{text}");
    let again = for_people(&["--only", "gold"]).run();
    again.assert_code(1);
    let text = again.text();
    assert!(
        text.contains("type\n            the same command again"),
        "{text}"
    );
    // As it was told.
    server.turns(GOOD);
    for_people(&["--only", "gold,files"]).run().assert_code(0);
    site.assert_well();
}

#[test]
fn a_copy_that_stands_is_taken_before_anything_is_fetched() {
    let server = OnTheWeb::start("urls_copies");
    let site = Site::new("urls_copied");
    server.restore(&site).run().assert_code(0);
    fs::remove_dir_all(site.repository().join("localhost/gold")).expect("gold");
    server.turns(GONE);
    let outcome = server.restore(&site).args(["--only", "gold"]).run();
    outcome.assert_code(0);
    assert_eq!(count(&outcome, "fetched"), 0);
    assert_eq!(
        count(&outcome, "taken_from_tree"),
        server.golds.len() as u64
    );
    site.assert_well();
}

#[test]
fn a_server_that_never_answers_can_be_left() {
    let server = OnTheWeb::start("urls_slow");
    let site = Site::new("urls_left");
    server.turns(SLOW);
    let running = server.restore(&site).start();
    let staging = site.repository().join("localhost/.fogold/staging");
    let start = Instant::now();
    while !fs::read_dir(&staging).is_ok_and(|mut entries| {
        entries.any(|entry| {
            let name = entry.expect("an entry").file_name();
            let name = name.to_string_lossy().into_owned();
            server.golds.iter().any(|gold| name.ends_with(last(gold)))
        })
    }) {
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "nothing is fetched"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    running.signal(Signal::INT);
    let outcome = running.end_within(Duration::from_secs(5));
    outcome.assert_code(3);
    assert_eq!(outcome.report()["complete"], false);
    server.turns(GOOD);
    let outcome = server.restore(&site).run();
    outcome.assert_code(0);
    assert_eq!(super::database(&outcome)["resumed"], true);
    site.assert_well();
}

#[test]
fn gold_whose_url_is_a_secret_is_not_fetched() {
    let made_up = MadeUp::small();
    let cluster = Cluster::shared();
    made_up.go_live(cluster, "secret_source");
    let sql = "UPDATE upload SET upload_origin = replace(upload_origin, 'https://', 'https://me:hunter2@')";
    cluster
        .connect("secret_source")
        .batch_execute(sql)
        .expect("other URLs");
    let store = MadeStore::new();
    store
        .fogold("backup")
        .args(["--full", "--sysconfdir"])
        .arg(made_up.sysconfdir())
        .run()
        .assert_code(0);
    let entries = store.entries(&store.newest());
    let secret = entries
        .iter()
        .find(|entry| entry["url_withheld"] == true && entry["urls"].is_null())
        .expect("gold from a URL with a password");
    let name = secret["name"].as_str().expect("a name");
    let pooled = store.path().join("pool").join(&name[..2]).join(&name[2..4]);
    fs::remove_file(pooled.join(name)).expect("contents");
    let site = Site::new("secret_url");
    let gold = || site.restore(&store).args(["--only", "gold"]);
    for restore in [gold().arg("--dry-run"), gold()] {
        let outcome = restore.run();
        outcome.assert_code(1);
        assert_eq!(
            (count(&outcome, "lost"), count(&outcome, "fetched")),
            (1, 0)
        );
        let verdict = outcome.report()["verdict"]
            .as_str()
            .expect("text")
            .to_owned();
        assert!(verdict.contains("restored but for 1 file"), "{verdict}");
        let complaint = outcome.complaint();
        assert!(complaint.contains(name), "{complaint}");
        assert!(
            complaint.contains("has a password or a query, and no set holds it"),
            "{complaint}"
        );
    }
}
