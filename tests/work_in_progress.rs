//! A server that works while it is checked: what comes and goes is no damage.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use postgres::Client;
use serde_json::Value;
use sha1::{Digest, Sha1};

use fogold::fixtures::{RowsOnly, Server};

use crate::support::made_up::write_dump;
use crate::support::{Cluster, Fogold, MadeStore, MadeUp};

/// Files of an upload besides its gold.
const FILES: u64 = 20;

/// A FOSSology in small: it adds uploads and deletes them again, in the order in which FOSSology
/// touches rows and files.
struct Worker {
    client: Client,
    root: PathBuf,
    /// Makes the contents of every file different.
    fresh: u64,
}

struct Stored {
    pfile: i32,
    name: String,
}

impl Worker {
    fn new(cluster: &Cluster, database: &str, root: PathBuf, seed: u64) -> Worker {
        Worker {
            client: cluster.connect(database),
            root,
            fresh: seed << 32,
        }
    }

    /// A row of pfile; its file comes after it.
    fn row(&mut self) -> (Stored, Vec<u8>) {
        self.fresh += 1;
        let contents = format!("made while it was checked: {}\n", self.fresh).into_bytes();
        let digests = (
            hex(&Sha1::digest(&contents)),
            hex(&md5::Md5::digest(&contents)),
        );
        let name = format!("{}.{}.{}", digests.0, digests.1, contents.len());
        let row = self
            .client
            .query_one(
                "INSERT INTO pfile (pfile_sha1, pfile_md5, pfile_size) \
                 VALUES (upper($1), upper($2), $3) RETURNING pfile_pk",
                &[&digests.0, &digests.1, &(contents.len() as i64)],
            )
            .expect("a row of pfile");
        let stored = Stored {
            pfile: row.get(0),
            name,
        };
        (stored, contents)
    }

    fn place(&self, ty: &str, name: &str) -> PathBuf {
        let levels = format!("{}/{}/{}", &name[..2], &name[2..4], &name[4..6]);
        self.root.join("localhost").join(ty).join(levels).join(name)
    }

    /// Imports as FOSSology does: a temporary name, then a rename.
    fn import(&self, ty: &str, name: &str, contents: &[u8]) {
        let path = self.place(ty, name);
        directories(&self.root, path.parent().expect("a directory"));
        let half = path.with_file_name(format!("{name}.I"));
        fs::write(&half, contents).expect("a file");
        fs::set_permissions(&half, fs::Permissions::from_mode(0o660)).expect("its mode");
        fs::rename(&half, &path).expect("a rename");
    }

    /// Adds an upload: the row of it, its gold, the row and file of each of its files, its tree.
    fn add(&mut self) -> (i32, Vec<Stored>) {
        let upload: i32 = self
            .client
            .query_one(
                "INSERT INTO upload (upload_filename, user_fk, upload_mode, upload_origin, uploadtree_tablename) \
                 VALUES ('new.tar', 3, 8, 'new.tar', 'uploadtree_a') RETURNING upload_pk",
                &[],
            )
            .expect("an upload")
            .get(0);
        let job: i32 = self
            .client
            .query_one(
                "INSERT INTO job (job_queued, job_priority, job_name, job_upload_fk, job_user_fk) \
                 VALUES (now(), 0, 'new.tar', $1, 3) RETURNING job_pk",
                &[&upload],
            )
            .expect("a job")
            .get(0);
        let queue: i32 = self
            .client
            .query_one(
                "INSERT INTO jobqueue (jq_job_fk, jq_type, jq_args, jq_starttime, jq_end_bits) \
                 VALUES ($1, 'ununpack', $2, now(), 0) RETURNING jq_pk",
                &[&job, &upload.to_string()],
            )
            .expect("a row of the queue")
            .get(0);
        let (gold, contents) = self.row();
        self.import("gold", &gold.name, &contents);
        let copy = self.place("files", &gold.name);
        directories(&self.root, copy.parent().expect("a directory"));
        fs::hard_link(self.place("gold", &gold.name), copy).expect("a hard link");
        self.client
            .execute(
                "UPDATE upload SET pfile_fk = $1 WHERE upload_pk = $2",
                &[&gold.pfile, &upload],
            )
            .expect("the gold's row");
        self.hang(upload, &gold);
        let mut all = vec![gold];
        for _ in 0..FILES {
            let (file, contents) = self.row();
            self.import("files", &file.name, &contents);
            self.hang(upload, &file);
            all.push(file);
        }
        let items = all.len() as i32;
        self.client
            .execute(
                "UPDATE jobqueue SET jq_endtime = now(), jq_end_bits = 1, jq_itemsprocessed = $2 WHERE jq_pk = $1",
                &[&queue, &items],
            )
            .expect("the end of the job");
        self.client
            .execute(
                "UPDATE upload SET upload_mode = 104 WHERE upload_pk = $1",
                &[&upload],
            )
            .expect("a complete upload");
        (upload, all)
    }

    /// Adds a tree row, as unpacking does as soon as it has the file.
    fn hang(&mut self, upload: i32, stored: &Stored) {
        self.client
            .execute(
                "INSERT INTO uploadtree_a (upload_fk, pfile_fk, ufile_mode, ufile_name) \
                 VALUES ($1, $2, 33188, 'new.c')",
                &[&upload, &stored.pfile],
            )
            .expect("a tree row");
    }

    /// Deletes an upload: first the files, then, in one transaction, the rows.
    fn delete(&mut self, upload: i32, stored: &[Stored]) {
        for each in stored {
            for ty in ["gold", "files"] {
                let _ = fs::remove_file(self.place(ty, &each.name));
            }
        }
        let keys: Vec<i32> = stored.iter().map(|each| each.pfile).collect();
        let mut transaction = self.client.transaction().expect("a transaction");
        transaction
            .execute("DELETE FROM uploadtree WHERE upload_fk = $1", &[&upload])
            .expect("no tree");
        transaction
            .execute(
                "UPDATE upload SET expire_action = 'd', expire_date = now(), pfile_fk = NULL WHERE upload_pk = $1",
                &[&upload],
            )
            .expect("a deleted upload");
        transaction
            .execute("DELETE FROM pfile WHERE pfile_pk = ANY ($1)", &[&keys])
            .expect("no rows");
        transaction.commit().expect("the end of the deletion");
    }
}

fn directories(root: &Path, path: &Path) {
    if path.is_dir() || path == root {
        return;
    }
    directories(root, path.parent().expect("a directory"));
    // With its mode from the beginning, as FOSSology's umask gives it.
    let outside = root.parent().expect("a directory");
    let fresh = tempfile::tempdir_in(outside).expect("a directory").keep();
    fs::set_permissions(&fresh, fs::Permissions::from_mode(0o2770)).expect("its mode");
    if fs::rename(&fresh, path).is_err() {
        // Another worker made it at the same time, and has put something into it.
        fs::remove_dir(&fresh).expect("an empty directory");
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Does something while two workers add uploads to a server and delete them again; returns how many
/// they have added and deleted.
pub(crate) fn while_it_works(
    cluster: &Cluster,
    database: &str,
    made_up: &MadeUp,
    act: impl FnOnce(),
) -> (u64, u64) {
    let stop = AtomicBool::new(false);
    let (added, deleted) = (AtomicU64::new(0), AtomicU64::new(0));
    let work = |seed: u64| {
        let mut worker = Worker::new(cluster, database, made_up.repository(), seed);
        let mut alive = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            alive.push(worker.add());
            added.fetch_add(1, Ordering::Relaxed);
            if alive.len() > 3 {
                let (upload, stored) = alive.remove(0);
                worker.delete(upload, &stored);
                deleted.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| work(1));
        scope.spawn(|| work(2));
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(act));
        stop.store(true, Ordering::Relaxed);
        if let Err(panic) = result {
            std::panic::resume_unwind(panic);
        }
    });
    (added.into_inner(), deleted.into_inner())
}

#[test]
fn uploads_that_come_and_go_are_no_damage() {
    let cluster = Cluster::shared();
    let made_up = MadeUp::small();
    made_up.go_live(cluster, "in_progress");
    let mut runs = 0;
    let (added, deleted) = while_it_works(cluster, "in_progress", &made_up, || {
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(6) || runs <= 10 {
            for more in [&[][..], &["--verify"]] {
                assert_undamaged(&made_up, more);
                runs += 1;
            }
        }
    });
    assert!(added > 8 && deleted > 3, "{added} added, {deleted} deleted");
    // When the dust has settled there is nothing at all.
    let outcome = Fogold::check_configured(&made_up.sysconfdir())
        .arg("--verify")
        .run();
    outcome.assert_code(0);
    assert_eq!(outcome.findings(), Vec::<Value>::new());
}

fn assert_undamaged(made_up: &MadeUp, more: &[&str]) {
    let outcome = Fogold::check_configured(&made_up.sysconfdir())
        .args(more)
        .run();
    for finding in outcome.findings() {
        let kind = finding["kind"].as_str().expect("a kind");
        // An upload whose row is there and whose job is not yet looks like one that failed.
        assert!(
            matches!(
                kind,
                "deleted-meanwhile" | "unfinished-upload" | "upload-without-pfile"
            ),
            "{finding}"
        );
        assert_eq!(finding["severity"], "notice");
    }
    outcome.assert_code(0);
    assert_eq!(outcome.report()["complete"], true);
}

/// A database whose files are nearly all missing, and from which something was deleted meanwhile: its
/// rows are read once more as a whole.
#[test]
fn very_many_names_in_doubt_are_not_asked_for_one_by_one() {
    let (cluster, name) = (Cluster::shared(), "many_in_doubt");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let dump = directory.path().join("dump.sql");
    let rows = RowsOnly {
        pfiles: 25_000,
        tree_rows: 31_000,
        ..RowsOnly::default()
    };
    let server = Server::rows_only(&rows).expect("rows");
    write_dump(&server, &dump);
    cluster.create_database(name);
    cluster.load(name, &dump);
    let mut client = cluster.connect(name);
    let deleted = client
        .query(
            "WITH gone AS (SELECT pfile_pk FROM pfile WHERE pfile_pk NOT IN \
               (SELECT pfile_fk FROM upload WHERE pfile_fk IS NOT NULL) ORDER BY pfile_pk LIMIT 3), \
             leaves AS (DELETE FROM uploadtree WHERE pfile_fk IN (SELECT pfile_pk FROM gone)) \
             DELETE FROM pfile WHERE pfile_pk IN (SELECT pfile_pk FROM gone) \
             RETURNING lower(pfile_sha1)",
            &[],
        )
        .expect("a deletion");
    let mut deleted: Vec<String> = deleted.iter().map(|row| row.get(0)).collect();
    deleted.sort_unstable();
    assert_eq!(deleted.len(), 3);
    // Asked shard by shard, the table is scanned 256 times at least, by its index or without.
    let scans =
        "SELECT (seq_scan + idx_scan)::int8 FROM pg_stat_user_tables WHERE relname = 'pfile'";
    let before: i64 = client.query_one(scans, &[]).expect("a count").get(0);

    let made_up = MadeUp::small();
    let outcome = MadeStore::nowhere()
        .backup(["--full", "--sysconfdir"])
        .arg(made_up.sysconfdir())
        .arg("--dump")
        .arg(&dump)
        .arg("--catalog")
        .arg(cluster.conninfo(name))
        .run();
    outcome.assert_code(1);
    let findings = outcome.findings();
    let mut told: Vec<String> = findings
        .iter()
        .filter(|finding| finding["kind"] == "deleted-meanwhile")
        .map(|finding| finding["name"].as_str().expect("a name")[..40].to_owned())
        .collect();
    told.sort_unstable();
    assert_eq!(told, deleted);
    let missing = |finding: &&Value| {
        let kind = finding["kind"].as_str().unwrap_or_default();
        kind.starts_with("missing-")
    };
    assert!(findings.iter().filter(missing).count() > 20_000);
    let after: i64 = client.query_one(scans, &[]).expect("a count").get(0);
    assert!(after - before < 100, "{} scans", after - before);
}
