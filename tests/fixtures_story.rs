//! The made-up servers are what they say: proved with programs that share no code with them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fogold::fixtures::{DamagePlan, Expected, RowsOnly, Server, ServerSpec, damage};
use tempfile::TempDir;

use crate::support::{Capture, Cluster, Encoding};

fn build(spec: ServerSpec) -> (TempDir, Server) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let server = Server::build(spec, directory.path()).expect("a server");
    (directory, server)
}

fn two_hosts() -> ServerSpec {
    let host = |name: &str, line: &str| (name.to_owned(), line.to_owned());
    ServerSpec {
        hosts: vec![host("north", "* 00 7f"), host("south", "* 80 ff")],
        depth: 2,
        ..ServerSpec::default()
    }
}

fn dump(server: &Server) -> Vec<u8> {
    let mut text = Vec::new();
    server.write_dump(&mut text).expect("a dump");
    text
}

/// Every file below a directory, relative to it.
fn walk(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).expect("a directory") {
            let entry = entry.expect("an entry");
            if entry.file_type().expect("its type").is_dir() {
                open.push(entry.path());
            } else {
                found.push(
                    entry
                        .path()
                        .strip_prefix(root)
                        .expect("below the root")
                        .to_owned(),
                );
            }
        }
    }
    found.sort();
    found
}

/// Runs `sha1sum` and its like over the files that a repository name names.
fn sums_agree(root: &Path, program: &str, part: usize) {
    let mut list = String::new();
    for path in walk(root) {
        let path = path.to_str().expect("text");
        let name = path.rsplit('/').next().expect("a name");
        let parts: Vec<&str> = name.split('.').collect();
        if let [sha1, md5, size] = parts[..] {
            let size: u64 = size.parse().unwrap_or(u64::MAX);
            if sha1.len() == 40 && md5.len() == 32 {
                assert_eq!(
                    fs::metadata(root.join(path)).expect("a file").len(),
                    size,
                    "{path}"
                );
                list.push_str(&format!("{}  {path}\n", parts[part]));
            }
        }
    }
    assert!(list.lines().count() > 900, "a tree of some size");
    let mut child = Command::new(program)
        .args(["--check", "--strict", "--quiet"])
        .current_dir(root)
        .stdin(Stdio::piped())
        .spawn()
        .expect("it runs");
    child
        .stdin
        .take()
        .expect("a pipe")
        .write_all(list.as_bytes())
        .expect("a list");
    assert!(
        child.wait().expect("an end").success(),
        "{program} disagrees"
    );
}

/// The COPY blocks of a dump, each with its lines in order.
fn blocks(dump: &str) -> BTreeMap<String, Vec<String>> {
    let mut blocks = BTreeMap::new();
    let mut lines = dump.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("COPY ") {
            let rows = lines
                .by_ref()
                .take_while(|line| *line != "\\.")
                .map(str::to_owned)
                .collect();
            blocks.insert(line.to_owned(), rows);
        }
    }
    blocks
}

#[test]
fn every_name_tells_the_truth() {
    for spec in [ServerSpec::default(), two_hosts()] {
        let (_directory, server) = build(spec);
        let root = server.repository().expect("a tree");
        sums_agree(&root, "sha1sum", 0);
        sums_agree(&root, "md5sum", 1);
    }
}

#[test]
fn every_sha256_tells_the_truth() {
    let (_directory, server) = build(ServerSpec::default());
    let root = server.repository().expect("a tree");
    let text = String::from_utf8(dump(&server)).expect("UTF-8");
    let mut list = String::new();
    for (statement, rows) in blocks(&text) {
        if !statement.starts_with("COPY public.pfile ") {
            continue;
        }
        for row in rows {
            let columns: Vec<&str> = row.split('\t').collect();
            if columns[3] != "\\N" {
                let sha1 = columns[2].to_lowercase();
                let name = format!("{sha1}.{}.{}", columns[1].to_lowercase(), columns[4]);
                let path = format!(
                    "localhost/files/{}/{}/{}/{name}",
                    &sha1[..2],
                    &sha1[2..4],
                    &sha1[4..6]
                );
                list.push_str(&format!("{}  {path}\n", columns[3].to_lowercase()));
            }
        }
    }
    assert!(list.lines().count() > 900);
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), list).expect("a list");
    let status = Command::new("sha256sum")
        .args(["--check", "--strict", "--quiet"])
        .arg(file.path())
        .current_dir(root)
        .status();
    assert!(status.expect("sha256sum runs").success());
}

#[test]
fn the_tree_has_fossologys_modes() {
    let (_directory, server) = build(ServerSpec::default());
    let root = server.repository().expect("a tree");
    let (mut linked, mut golds) = (0, 0);
    for path in walk(&root) {
        let metadata = fs::metadata(root.join(&path)).expect("a file");
        let mode = metadata.permissions().mode() & 0o7777;
        if path.starts_with("localhost/gold") {
            golds += 1;
            linked += u64::from(metadata.nlink() == 2);
            assert_eq!(mode, 0o664, "{}", path.display());
        } else if metadata.nlink() == 1 {
            assert_eq!(mode, 0o660, "{}", path.display());
        }
        let parent =
            fs::metadata(root.join(&path).parent().expect("a directory")).expect("it is there");
        assert_eq!(parent.permissions().mode() & 0o7777, 0o2770);
    }
    assert_eq!(golds, server.counts().gold_files);
    assert!(linked > 0 && linked < golds, "{linked} of {golds}");
}

#[test]
fn one_seed_makes_one_server() {
    let damaged = || {
        let (directory, mut server) = build(ServerSpec::default());
        let expected = damage::apply(
            &mut server,
            &DamagePlan {
                seed: 7,
                count: 120,
            },
        )
        .expect("damage");
        (directory, server, expected)
    };
    let ((_a, first, expected), (_b, second, again)) = (damaged(), damaged());
    assert_eq!(expected, again);
    let roots = [
        first.repository().expect("a tree"),
        second.repository().expect("a tree"),
    ];
    assert_eq!(walk(&roots[0]), walk(&roots[1]));
    for path in walk(&roots[0]) {
        if fs::symlink_metadata(roots[0].join(&path))
            .expect("a file")
            .is_file()
        {
            assert_eq!(
                fs::read(roots[0].join(&path)).unwrap(),
                fs::read(roots[1].join(&path)).unwrap()
            );
        }
    }
    // The place of the tree stands in the rows as well.
    let text = |server: &Server, root: &Path| {
        String::from_utf8(dump(server))
            .expect("UTF-8")
            .replace(&root.display().to_string(), "ROOT")
    };
    assert!(text(&first, &roots[0]) == text(&second, &roots[1]));
    let (_c, other) = build(ServerSpec {
        seed: 2,
        ..ServerSpec::default()
    });
    assert_ne!(walk(&other.repository().expect("a tree")), walk(&roots[0]));
}

#[test]
fn the_dump_loads_and_comes_back() {
    let cluster = Cluster::shared();
    let (directory, mut server) = build(ServerSpec {
        version_control: true,
        ..ServerSpec::default()
    });
    damage::apply(
        &mut server,
        &DamagePlan {
            seed: 3,
            count: 120,
        },
    )
    .expect("damage");
    let file = directory.path().join("dump.sql");
    fs::write(&file, dump(&server)).expect("a dump");
    cluster.create_database("fixtures_by_psql");
    cluster.load("fixtures_by_psql", &file);
    // Text has no encoding there: the same bytes have to come back.
    cluster.create_database_in("fixtures_by_copy", Encoding::SqlAscii);
    server
        .load_into(&mut cluster.connect("fixtures_by_copy"))
        .expect("rows in a database");

    let ours = blocks(&String::from_utf8(dump(&server)).expect("UTF-8"));
    for database in ["fixtures_by_psql", "fixtures_by_copy"] {
        let output = cluster
            .client("pg_dump", database)
            .output()
            .expect("pg_dump runs");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let theirs = blocks(&String::from_utf8(output.stdout).expect("UTF-8"));
        assert_eq!(
            ours.keys().collect::<Vec<_>>(),
            theirs.keys().collect::<Vec<_>>()
        );
        for (statement, rows) in &ours {
            assert_eq!(rows, &theirs[statement], "{database}: {statement}");
        }
    }
    let counts = server.counts();
    let mut client = cluster.connect("fixtures_by_psql");
    for (table, count) in [
        ("upload", counts.uploads),
        ("pfile", counts.pfiles),
        ("uploadtree", counts.tree_rows),
    ] {
        let row = client
            .query_one(&format!("SELECT count(*) FROM {table}"), &[])
            .expect("a count");
        assert_eq!(row.get::<_, i64>(0) as u64, count, "{table}");
    }
    // New rows must not collide with those that were loaded.
    client
        .batch_execute("INSERT INTO job (job_name) VALUES ('new'); INSERT INTO pfile (pfile_md5, pfile_sha1, pfile_size) VALUES ('', '', 0)")
        .expect("new rows");
}

#[test]
fn tree_rows_agree_with_the_jobs_of_a_healthy_server() {
    let cluster = Cluster::shared();
    cluster.create_database("fixtures_healthy");
    let (_directory, server) = build(ServerSpec::default());
    let mut client = cluster.connect("fixtures_healthy");
    server.load_into(&mut client).expect("rows in a database");
    let cut = "SELECT count(*) FROM upload u JOIN job ON job_upload_fk = upload_pk \
               JOIN jobqueue ON jq_job_fk = job_pk AND jq_type = 'ununpack' \
               WHERE u.expire_action IS NULL AND jq_itemsprocessed <> \
               (SELECT count(*) FROM uploadtree t WHERE t.upload_fk = upload_pk)";
    let dangling = "SELECT count(*) FROM uploadtree t WHERE pfile_fk > 0 \
                    AND NOT EXISTS (SELECT FROM pfile WHERE pfile_pk = t.pfile_fk)";
    let unused = "SELECT count(*) FROM pfile WHERE NOT EXISTS (SELECT FROM uploadtree t WHERE t.pfile_fk = pfile_pk)";
    let nested = "SELECT count(*) FROM uploadtree c JOIN uploadtree p ON c.parent = p.uploadtree_pk \
                  WHERE c.lft <= p.lft OR c.rgt >= p.rgt OR c.upload_fk <> p.upload_fk";
    for statement in [cut, dangling, unused, nested] {
        assert_eq!(
            client
                .query_one(statement, &[])
                .expect("a count")
                .get::<_, i64>(0),
            0,
            "{statement}"
        );
    }
}

#[test]
fn rows_without_a_tree_are_as_many_as_asked() {
    let server = Server::rows_only(&RowsOnly {
        pfiles: 30_000,
        tree_rows: 70_000,
        ..RowsOnly::default()
    })
    .expect("rows");
    let blocks = blocks(&String::from_utf8(dump(&server)).expect("UTF-8"));
    let rows = |table: &str| -> usize {
        let of_table = blocks
            .iter()
            .filter(|(statement, _)| statement.starts_with(table));
        of_table.map(|(_, rows)| rows.len()).sum()
    };
    assert_eq!(rows("COPY public.pfile "), 30_000);
    assert_eq!(rows("COPY public.uploadtree"), 70_000);
    assert!(
        Server::rows_only(&RowsOnly {
            pfiles: 30_000,
            tree_rows: 30_000,
            ..RowsOnly::default()
        })
        .is_err()
    );
}

#[test]
fn the_schema_is_that_of_a_recorded_server() {
    let Some(capture) = Capture::open("A-healthy") else {
        return;
    };
    let recorded = fs::read_to_string(capture.unpacked("dump.sql")).expect("a dump");
    let recorded: BTreeSet<String> = blocks(&recorded).into_keys().collect();
    let server = Server::rows_only(&RowsOnly::default()).expect("rows");
    for statement in blocks(&String::from_utf8(dump(&server)).expect("UTF-8")).into_keys() {
        let of_one = statement
            .trim_start_matches("COPY public.uploadtree_")
            .starts_with(char::is_numeric);
        assert!(of_one || recorded.contains(&statement), "{statement}");
    }
}

/// What is wrong with the regular files of a tree, as a naive reader of tree and rows sees it.
fn naive_look(server: &Server) -> BTreeSet<(&'static str, String)> {
    let root = server.repository().expect("a tree");
    let text = String::from_utf8(dump(server)).expect("UTF-8");
    let blocks = blocks(&text);
    let mut names = HashMap::new();
    for row in &blocks["COPY public.pfile (pfile_pk, pfile_md5, pfile_sha1, pfile_sha256, pfile_size, pfile_mimetypefk) FROM stdin;"]
    {
        let columns: Vec<&str> = row.split('\t').collect();
        let name = format!("{}.{}.{}", columns[2], columns[1], columns[4]).to_lowercase();
        if !name.contains(' ') && !name.contains('-') {
            names.insert(columns[0].to_owned(), name);
        }
    }
    let mut used = BTreeSet::new();
    for (statement, rows) in &blocks {
        let (column, types): (usize, &[&str]) = if statement.starts_with("COPY public.upload ") {
            (6, &["gold", "files"])
        } else if statement.starts_with("COPY public.uploadtree") {
            (4, &["files"])
        } else {
            continue;
        };
        for row in rows {
            let key = row.split('\t').nth(column).expect("a column");
            for ty in types.iter().filter(|_| names.contains_key(key)) {
                used.insert((ty.to_string(), names[key].clone()));
            }
        }
    }
    let known: BTreeSet<String> = names.into_values().collect();
    let mut seen = BTreeSet::new();
    let mut wrong = BTreeSet::new();
    for path in walk(&root) {
        let path = path.to_string_lossy().into_owned();
        let parts: Vec<&str> = path.split('/').collect();
        let (name, Some(ty)) = (parts[parts.len() - 1].to_lowercase(), parts.get(1)) else {
            continue;
        };
        let is_file =
            fs::symlink_metadata(root.join(&path)).is_ok_and(|metadata| metadata.is_file());
        if !["gold", "files"].contains(ty)
            || !is_file
            || name.split('.').count() != 3
            || name.len() < 75
        {
            continue;
        }
        if !known.contains(&name) {
            wrong.insert(("orphan", path));
        } else if !used.contains(&(ty.to_string(), name.clone())) {
            wrong.insert(("unreferenced", path));
        } else {
            let right = server.layout().path(ty.parse().expect("a type"), &name);
            if right.as_deref() != Some(&*path) {
                wrong.insert(("misplaced", path.clone()));
            }
            let size: u64 = name
                .rsplit('.')
                .next()
                .and_then(|size| size.parse().ok())
                .expect("a size");
            if fs::metadata(root.join(&path)).expect("a file").len() != size {
                wrong.insert(("wrong-size", path.clone()));
            }
            seen.insert((ty.to_string(), name));
        }
    }
    for (ty, name) in used.difference(&seen) {
        let path = server
            .layout()
            .path(ty.parse().expect("a type"), name)
            .expect("a place");
        wrong.insert(("missing", path));
    }
    wrong
}

#[test]
fn a_naive_reader_sees_the_damage_that_is_expected_and_no_other() {
    for (spec, count) in [(ServerSpec::default(), 90), (two_hosts(), 150)] {
        let (_directory, mut server) = build(ServerSpec {
            version_control: true,
            files: 2_500,
            ..spec
        });
        let mut expected = server.already_there();
        assert_eq!(expected.len(), 3);
        expected
            .extend(damage::apply(&mut server, &DamagePlan { seed: 11, count }).expect("damage"));
        let of_files = |finding: &Expected| {
            let kind = match finding.kind.as_str() {
                "missing-gold" | "missing-derived" | "missing-listing" => "missing",
                "orphan" => "orphan",
                "unreferenced" => "unreferenced",
                "misplaced" => "misplaced",
                "wrong-size" => "wrong-size",
                _ => return None,
            };
            Some((kind, finding.path.clone().expect("a path")))
        };
        let expected: BTreeSet<_> = expected.iter().filter_map(of_files).collect();
        assert_eq!(naive_look(&server), expected);
    }
}

#[test]
fn damage_is_as_much_as_asked_and_of_every_kind() {
    for count in [1, 19, damage::KINDS, 60, 300] {
        let (_directory, mut server) = build(ServerSpec {
            files: 3_000,
            ..ServerSpec::default()
        });
        let expected = damage::apply(&mut server, &DamagePlan { seed: 5, count }).expect("damage");
        assert_eq!(expected.len(), count);
        let kinds: BTreeSet<&str> = expected
            .iter()
            .map(|finding| finding.kind.as_str())
            .collect();
        assert_eq!(kinds.len(), count.min(damage::KINDS), "{kinds:?}");
        let places: BTreeSet<String> = expected
            .iter()
            .map(|finding| format!("{finding:?}"))
            .collect();
        assert_eq!(places.len(), count, "two findings are alike");
    }
}

#[test]
fn too_much_damage_is_an_error() {
    let (_directory, mut server) = build(ServerSpec::default());
    let error = damage::apply(
        &mut server,
        &DamagePlan {
            seed: 5,
            count: 5_000,
        },
    )
    .expect_err("too much");
    assert!(
        error.to_string().contains("is left that could be damaged"),
        "{error}"
    );
}
