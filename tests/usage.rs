//! Who has how much of the repository, against what the database itself says.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use fogold::fixtures::ServerSpec;
use postgres::Client;
use serde_json::Value;

use crate::support::{Cluster, Fogold, MadeUp, Outcome, Recorded};

/// Which group each upload belongs to, and the name of each content that it uses; `{membership}` is
/// a query of groups and their uploads.
const SHARES: &str = "
WITH referred AS (
  SELECT upload_fk, pfile_fk FROM uploadtree
   UNION SELECT upload_pk, pfile_fk FROM upload),
uses AS (
  SELECT DISTINCT m.id, p.pfile_sha1, p.pfile_md5, p.pfile_size
    FROM ({membership}) m
    JOIN upload u ON u.upload_pk = m.upload
    JOIN referred r ON r.upload_fk = u.upload_pk
    JOIN pfile p ON p.pfile_pk = r.pfile_fk
   WHERE NOT (u.pfile_fk IS NULL AND coalesce(u.expire_action, '') = 'd')),
counted AS (
  SELECT *, count(*) OVER (PARTITION BY pfile_sha1, pfile_md5, pfile_size) AS groups FROM uses)
SELECT id,
       coalesce(sum(pfile_size) FILTER (WHERE groups = 1), 0)::int8,
       coalesce(sum(pfile_size) FILTER (WHERE groups > 1), 0)::int8
  FROM counted GROUP BY id";

const BY_UPLOAD: &str = "SELECT upload_pk AS id, upload_pk AS upload FROM upload";
const BY_USER: &str = "SELECT user_fk AS id, upload_pk AS upload FROM upload";
const BY_FOLDER: &str = "
SELECT parent_fk AS id, child_id AS upload FROM foldercontents WHERE foldercontents_mode = 2
 UNION
SELECT NULL, upload_pk FROM upload
 WHERE upload_pk NOT IN (SELECT child_id FROM foldercontents WHERE foldercontents_mode = 2)";

/// Own and shared bytes by group, as the database says; nothing for groups without any.
type Shares = BTreeMap<Option<i64>, (i64, i64)>;

fn by_sql(client: &mut Client, membership: &str) -> Shares {
    let statement = SHARES.replace("{membership}", membership);
    let rows = client.query(&statement, &[]).expect("figures");
    rows.iter()
        .map(|row| {
            let id: Option<i32> = row.get(0);
            (id.map(i64::from), (row.get(1), row.get(2)))
        })
        .collect()
}

fn json(outcome: &Outcome) -> Value {
    serde_json::from_slice(&outcome.stdout).expect("one object")
}

fn told(report: &Value) -> Shares {
    let groups = report["groups"].as_array().expect("groups").iter();
    let bytes = |group: &Value, what: &str| group[what]["bytes"].as_i64().expect("bytes");
    groups
        .filter(|group| group["total"]["files"] != 0)
        .map(|group| {
            assert_eq!(
                bytes(group, "total"),
                bytes(group, "own") + bytes(group, "shared")
            );
            let id = group["id"].as_i64();
            (id, (bytes(group, "own"), bytes(group, "shared")))
        })
        .collect()
}

/// The bytes of all inodes below some directories.
fn bytes_of_inodes(directories: &[&Path]) -> u64 {
    let mut open: Vec<_> = directories.iter().map(|path| path.to_path_buf()).collect();
    let mut seen = BTreeSet::new();
    let mut bytes = 0;
    while let Some(path) = open.pop() {
        let meta = fs::symlink_metadata(&path).expect("an entry");
        if meta.is_dir() {
            let entries = fs::read_dir(&path).expect("a directory");
            open.extend(entries.map(|entry| entry.expect("an entry").path()));
        } else if seen.insert(meta.ino()) {
            bytes += meta.len();
        }
    }
    bytes
}

fn usage(sysconfdir: &Path, more: &[&str]) -> Fogold {
    Fogold::new(["usage", "--sysconfdir"])
        .arg(sysconfdir)
        .args(more)
}

fn named<'a>(report: &'a Value, name: &str) -> &'a Value {
    let groups = report["groups"].as_array().expect("groups");
    let found = groups.iter().find(|group| group["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {report:#}"))
}

/// Uploads of several users, of one that is gone and of none, in several folders and in none.
const OWNERS: &str = "
UPDATE upload SET user_fk = 2 WHERE upload_pk % 3 = 0;
UPDATE upload SET user_fk = 77 WHERE upload_pk % 7 = 0;
UPDATE upload SET user_fk = NULL WHERE upload_pk % 11 = 0;
UPDATE folder SET folder_name = 'Top' WHERE folder_pk = 1;
INSERT INTO folder (folder_pk, folder_name) VALUES (5, 'Team <b>'), (6, E'a\\tb');
INSERT INTO foldercontents (foldercontents_pk, parent_fk, foldercontents_mode, child_id)
VALUES (9001, 1, 1, 5), (9002, 5, 1, 6);
DELETE FROM foldercontents WHERE foldercontents_mode = 2 AND child_id % 5 = 0;
INSERT INTO foldercontents (foldercontents_pk, parent_fk, foldercontents_mode, child_id)
SELECT 10000 + upload_pk, 5, 2, upload_pk FROM upload WHERE upload_pk % 2 = 0;
INSERT INTO foldercontents (foldercontents_pk, parent_fk, foldercontents_mode, child_id)
SELECT 20000 + upload_pk, 6, 2, upload_pk FROM upload WHERE upload_pk % 4 = 0";

#[test]
fn figures_are_those_of_the_database() {
    let made_up = MadeUp::healthy(ServerSpec {
        per_upload: 20,
        depth: 1,
        ..ServerSpec::default()
    });
    let cluster = Cluster::shared();
    made_up.go_live(cluster, "usage_figures");
    let sysconfdir = made_up.sysconfdir();
    let run = |more: &[&str]| {
        let outcome = usage(&sysconfdir, more).args(["--format", "json"]).run();
        outcome.assert_code(0);
        json(&outcome)
    };
    // One user has everything: without them, every inode would be free.
    let all = run(&["--by", "user"]);
    let root = made_up.repository().join("localhost");
    let inodes = bytes_of_inodes(&[&root.join("gold"), &root.join("files")]);
    assert_eq!(named(&all, "keeper")["frees"], inodes);
    assert_eq!(named(&all, "keeper")["own"], all["all"]);

    let mut client = cluster.connect("usage_figures");
    client.batch_execute(OWNERS).expect("owners");
    for (by, membership, groups) in [
        ("upload", BY_UPLOAD, 40),
        ("user", BY_USER, 4),
        ("folder", BY_FOLDER, 4),
    ] {
        let expected = by_sql(&mut client, membership);
        assert!(expected.len() >= groups, "{by}: {expected:?}");
        assert!(
            expected
                .values()
                .any(|(own, shared)| *own > 0 && *shared > 0)
        );
        assert_eq!(told(&run(&["--by", by])), expected, "by {by}");
        assert_eq!(told(&run(&["--by", by, "--no-tree"])), expected, "by {by}");
    }
    let users = run(&["--by", "user", "--no-tree"]);
    for name in ["keeper", "nobody", "(user 77, without a row)", "(no user)"] {
        named(&users, name);
    }
    let folders = run(&["--by", "folder", "--sort", "name", "--no-tree"]);
    for name in ["Top", "Top/Team <b>", "Top/Team <b>/a\tb", "(in no folder)"] {
        named(&folders, name);
    }
    let text = usage(&sysconfdir, &["--by", "folder"]).run().text();
    assert!(text.contains("Top/Team <b>/a\\tb"), "{text}");

    // A dump says the same, and a saved catalog says what it knows.
    let dump = made_up.directory().join("live.sql");
    let dumped = cluster
        .client("pg_dump", "usage_figures")
        .arg("--file")
        .arg(&dump)
        .status();
    assert!(dumped.expect("pg_dump runs").success());
    let of_dump = |by: &str| {
        let outcome = Fogold::new([
            "usage",
            "--no-tree",
            "--format",
            "json",
            "--by",
            by,
            "--catalog",
        ])
        .arg(&dump)
        .run();
        outcome.assert_code(0);
        told(&json(&outcome))
    };
    assert_eq!(of_dump("user"), told(&users));
    assert_eq!(of_dump("folder"), told(&folders));
    let saved = made_up.directory().join("catalog");
    let snapshot = Fogold::new(["snapshot", "--catalog"])
        .arg(&dump)
        .arg("-o")
        .arg(&saved);
    snapshot.run().assert_code(0);
    let of_saved = |by: &str| {
        Fogold::new([
            "usage",
            "--no-tree",
            "--format",
            "json",
            "--by",
            by,
            "--catalog",
        ])
        .arg(&saved)
        .run()
    };
    let by_upload = of_saved("upload");
    by_upload.assert_code(0);
    assert_eq!(told(&json(&by_upload)), by_sql(&mut client, BY_UPLOAD));
    of_saved("type").assert_code(0);
    for by in ["user", "folder"] {
        let refused = of_saved(by);
        refused.assert_code(2);
        assert!(refused.complaint().contains("a saved catalog does not say"));
    }
}

#[test]
fn what_nobody_needs_is_told_beside_it() {
    let made_up = MadeUp::damaged(
        ServerSpec {
            per_upload: 20,
            depth: 1,
            ..ServerSpec::default()
        },
        60,
    );
    let run = |more: &[&str]| {
        Fogold::new(["usage", "--sysconfdir"])
            .arg(made_up.sysconfdir())
            .arg("--catalog")
            .arg(made_up.dump())
            .args(more)
            .run()
    };
    let check = Fogold::check_configured(&made_up.sysconfdir())
        .arg("--catalog")
        .arg(made_up.dump())
        .run();
    let findings = check.findings();
    let sum = |kind: &str, severity: &str| -> u64 {
        let of_kind = findings
            .iter()
            .filter(|finding| finding["kind"] == kind && finding["severity"] == severity);
        of_kind
            .filter_map(|finding| finding["bytes"].as_u64())
            .sum()
    };
    let outcome = run(&["--by", "type", "--format", "json"]);
    outcome.assert_code(0);
    let report = json(&outcome);
    let disk = &report["on_disk"];
    for (what, kind) in [("orphans", "orphan"), ("unreferenced", "unreferenced")] {
        assert!(sum(kind, "waste") > 0);
        assert_eq!(disk[what]["bytes"], sum(kind, "waste"), "{what}");
    }
    let abandoned = disk["temporary"].as_array().expect("trees").iter();
    let abandoned = abandoned.filter(|tree| tree["abandoned"] == true);
    let bytes: u64 = abandoned.filter_map(|tree| tree["bytes"].as_u64()).sum();
    assert!(bytes > 0);
    assert_eq!(bytes, sum("abandoned", "waste"));
    // Of uploads, the largest first; all others are counted.
    let top = run(&["--top", "2", "--format", "csv"]);
    top.assert_code(0);
    let lines: Vec<String> = top.text().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[0].starts_with("upload,name,uploads,own_files,own_bytes,"));
    let all = json(&run(&["--format", "json"]));
    let ids: Vec<&Value> = all["groups"].as_array().expect("groups").iter().collect();
    let own = |group: &Value| group["own"]["bytes"].as_u64().expect("bytes");
    assert!(ids.windows(2).all(|pair| own(pair[0]) >= own(pair[1])));
    assert!(lines[1].starts_with(&format!("{},", ids[0]["id"])));
    let text = run(&["--top", "2"]).text();
    let left = ids.len() - 2;
    assert!(
        text.contains(&format!("and {left} more uploads (--top)")),
        "{text}"
    );
    // Reports go to files, but never into the repository.
    let file = made_up.directory().join("usage.csv");
    let written = run(&["-q", "--report", file.to_str().expect("UTF-8")]);
    assert_eq!(written.text(), "");
    assert_eq!(
        fs::read_to_string(&file).expect("a report").lines().count(),
        ids.len() + 1
    );
    let inside = made_up.repository().join("usage.csv");
    run(&["--report", inside.to_str().expect("UTF-8")]).assert_code(2);
    run(&["--report", "usage.html"]).assert_code(2);
}

#[test]
fn a_role_that_may_not_read_names_is_told_numbers() {
    let Some(server) = Recorded::open("A-healthy", "usage_role") else {
        return;
    };
    server.sql(
        "CREATE ROLE usage_few LOGIN;
         GRANT SELECT ON pfile, upload, uploadtree, job, jobqueue, ununpack_ars TO usage_few",
    );
    server.configure("usage_few");
    let by = |by: &str| usage(server.sysconfdir(), &["--by", by, "--format", "json"]).run();
    let users = by("user");
    users.assert_code(0);
    named(&json(&users), "(user 3)");
    let folders = by("folder");
    folders.assert_code(3);
    assert!(
        folders
            .complaint()
            .contains("GRANT SELECT ON folder, foldercontents")
    );
    let plan = Fogold::new(["plan", "--no-sample", "--sysconfdir"]);
    plan.arg(server.sysconfdir()).run().assert_code(0);
    server.sql(
        "GRANT SELECT (user_pk, user_name) ON users TO usage_few;
         GRANT SELECT ON folder, foldercontents TO usage_few",
    );
    named(&json(&by("user")), "fossy");
    by("folder").assert_code(0);
    server.sql("DROP OWNED BY usage_few; DROP ROLE usage_few");
}

#[test]
fn a_repository_that_is_not_mounted_can_be_done_without() {
    let made_up = MadeUp::small();
    let dump = made_up.dump();
    for host in fs::read_dir(made_up.repository()).expect("hosts") {
        let host = host.expect("a host").path();
        fs::remove_dir_all(&host).expect("emptied");
        fs::create_dir(&host).expect("a mount point");
    }
    let usage = |more: &[&str]| {
        let usage = Fogold::new(["usage", "--sysconfdir"]).arg(made_up.sysconfdir());
        usage.arg("--catalog").arg(&dump).args(more).run()
    };
    let run = usage(&[]);
    run.assert_code(3);
    let complaint = run.complaint();
    assert!(
        complaint.contains("is it mounted? (--no-tree counts by the rows alone)"),
        "{complaint}"
    );
    usage(&["--no-tree"]).assert_code(0);
}
