//! What can be wrong with what the program is given: each has its message and its exit status.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use fogold::fixtures::{DbConf, ServerSpec};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};

use crate::support::{
    Cluster, ClusterOptions, Fogold, MadeUp, Outcome, PROGRAM, Unprivileged, agree, kinds, skipped,
};

/// Long enough for any run here; a run that waits for a fifo's other end takes longer.
const NO_HANG: Duration = Duration::from_secs(30);

/// The program must end with `code` and say all of `words` on standard error. Where nothing was
/// tried, it prints nothing; where the world was in the way, programs get a report that says so.
fn refused(fogold: Fogold, code: i32, words: &[&str]) -> Outcome {
    let outcome = fogold.limit(NO_HANG).run();
    outcome.assert_code(code);
    let complaint = outcome.complaint();
    for word in words {
        assert!(complaint.contains(word), "no {word:?} in:\n{complaint}");
    }
    let printed = outcome.text();
    if code == 3 && !printed.is_empty() {
        let report: Value = serde_json::from_str(&printed).expect("one report object");
        assert_eq!(report["complete"], json!(false));
        assert_eq!(report["exit_status"], json!(3));
    } else {
        assert_eq!(printed, "", "a refusal prints nothing on standard output");
    }
    assert!(
        !complaint.contains("panicked"),
        "a panic is no message:\n{complaint}"
    );
    outcome
}

fn dumped(made_up: &MadeUp) -> Fogold {
    Fogold::check_configured(&made_up.sysconfdir())
        .arg("--catalog")
        .arg(made_up.dump())
        .limit(NO_HANG)
}

/// Runs a check that must be complete and end with `code`; its findings.
fn found(fogold: Fogold, code: i32) -> Vec<Value> {
    let outcome = fogold.run();
    outcome.assert_code(code);
    assert_eq!(outcome.report()["complete"], true);
    outcome.findings()
}

fn edit(path: &Path, change: impl FnOnce(String) -> String) {
    let text = fs::read_to_string(path).expect("a text file");
    fs::write(path, change(text)).expect("another text");
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("another mode");
}

mod configuration {
    use super::*;

    #[test]
    fn there_is_none() {
        let empty = tempfile::tempdir().expect("a temporary directory");
        refused(
            Fogold::check_configured(empty.path()),
            2,
            &["no fossology.conf in", &empty.path().display().to_string()],
        );
        if Path::new("/etc/fossology").exists() || Path::new("/usr/local/etc/fossology").exists() {
            skipped("FOSSology is installed here");
            return;
        }
        refused(
            Fogold::new(["check"]),
            2,
            &["no fossology.conf in", "/etc/fossology", "-c"],
        );
    }

    #[test]
    fn a_line_is_bad() {
        let made_up = MadeUp::small();
        let conf = made_up.sysconfdir().join("fossology.conf");
        let good = fs::read_to_string(&conf).expect("a configuration");
        for (line, word) in [
            ("this is no setting", "neither a section nor a setting"),
            ("[FOSSOLOGY", "neither a section nor a setting"),
            ("depth = three", "depth"),
            ("depth = 99", "depth"),
        ] {
            edit(&conf, |_| good.replace("depth = 3", line));
            let number = good
                .lines()
                .position(|line| line == "depth = 3")
                .expect("it is there")
                + 1;
            refused(
                Fogold::check_configured(&made_up.sysconfdir()),
                2,
                &[&conf.display().to_string(), &format!("line {number}"), word],
            );
        }
        edit(&conf, |_| good.replace("* 00 ff", "nonsense"));
        refused(
            Fogold::check_configured(&made_up.sysconfdir()),
            2,
            &[&conf.display().to_string(), "line"],
        );
    }

    #[test]
    fn db_conf_is_missing() {
        let made_up = MadeUp::small();
        let path = made_up.sysconfdir().join("Db.conf");
        fs::remove_file(&path).expect("it is there");
        refused(
            Fogold::check_configured(&made_up.sysconfdir()),
            2,
            &[&path.display().to_string()],
        );
        // It is not needed for a dump.
        found(dumped(&made_up), 0);
    }

    #[test]
    fn the_repository_is_not_there() {
        let made_up = MadeUp::small();
        fs::remove_dir_all(made_up.repository()).expect("it is there");
        let path = made_up.repository().display().to_string();
        refused(dumped(&made_up), 3, &[&path, "mounted"]);
        // A file is no repository either.
        fs::write(made_up.repository(), "").expect("a file");
        refused(dumped(&made_up), 3, &[&path]);
    }

    #[test]
    fn flags_have_values_that_they_cannot_have() {
        let made_up = MadeUp::small();
        for (arguments, word) in [
            (&["--slice", "0/5"][..], "0/5"),
            (&["--slice", "1/257"], "1/257"),
            (&["--slice", "6/5"], "6/5"),
            (&["--slice", "nonsense"], "nonsense"),
            (&["--types", "nonsense"], "nonsense"),
            (&["--types", ""], "--types"),
            (&["--fail-on", "nonsense"], "nonsense"),
            (&["--sha256"], "--verify"),
            (&["--report", "x.pdf"], "x.pdf"),
            (&["--report", "x"], "--report"),
            (&["-j", "0"], "0"),
            (&["--depth", "-1"], "-1"),
            (&["--depth", "17"], "17"),
            (&["--progress", "perhaps"], "perhaps"),
            (&["--no-such-flag"], "--no-such-flag"),
            (&["one-argument-too-many"], "one-argument-too-many"),
            (&["-q", "-v"], "--verbose"),
        ] {
            refused(dumped(&made_up).args(arguments), 2, &[word]);
        }
        refused(Fogold::new(["check", "--format", "xml"]), 2, &["xml"]);
        refused(Fogold::new(["no-such-command"]), 2, &["no-such-command"]);
        assert!(!Path::new("x.pdf").exists());
    }
}

mod database {
    use super::*;

    #[test]
    fn it_cannot_be_reached() {
        let made_up = MadeUp::small();
        let conf = |conf: &DbConf| {
            made_up.server.write_sysconf(conf).expect("a configuration");
            Fogold::check_configured(&made_up.sysconfdir())
        };
        // Nobody listens on a port that was free a moment ago, and none in an empty directory.
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("its number").port();
        drop(listener);
        let nobody = DbConf {
            host: "127.0.0.1".to_owned(),
            port: Some(port),
            ..DbConf::default()
        };
        refused(
            conf(&nobody),
            3,
            &["cannot reach", "127.0.0.1", &port.to_string()],
        );
        let empty = tempfile::tempdir().expect("a temporary directory");
        let no_socket = DbConf {
            host: empty.path().display().to_string(),
            ..DbConf::default()
        };
        refused(conf(&no_socket), 3, &["cannot reach"]);
        let no_host = DbConf {
            host: "no-such-host.invalid".to_owned(),
            ..DbConf::default()
        };
        refused(conf(&no_host), 3, &["no-such-host.invalid"]);
    }

    #[test]
    fn the_password_is_wrong() {
        let cluster = Cluster::start(&ClusterOptions {
            auth: "scram-sha-256",
            ..ClusterOptions::default()
        });
        cluster.create_database("fossology");
        let made_up = MadeUp::small();
        let conf = DbConf {
            dbname: "fossology".to_owned(),
            host: "127.0.0.1".to_owned(),
            port: Some(cluster.port()),
            user: "postgres".to_owned(),
            password: "a-wrong-secret".to_owned(),
        };
        made_up
            .server
            .write_sysconf(&conf)
            .expect("a configuration");
        let outcome = refused(
            Fogold::check_configured(&made_up.sysconfdir()),
            3,
            &["password", "postgres"],
        );
        assert!(
            !outcome.complaint().contains("a-wrong-secret"),
            "{}",
            outcome.complaint()
        );
    }

    #[test]
    fn it_does_not_exist() {
        let made_up = MadeUp::small();
        made_up.configure(Cluster::shared(), "no_such_database");
        refused(
            Fogold::check_configured(&made_up.sysconfdir()),
            3,
            &["there is no", "no_such_database"],
        );
    }

    #[test]
    fn it_is_not_fossologys() {
        let cluster = Cluster::shared();
        let made_up = MadeUp::small();
        cluster.create_database("bad_wiki");
        made_up.configure(cluster, "bad_wiki");
        refused(
            Fogold::check_configured(&made_up.sysconfdir()),
            2,
            &["not a FOSSology database", "table pfile", "bad_wiki"],
        );
        cluster
            .connect("bad_wiki")
            .batch_execute(
                "CREATE TABLE pfile (id int, name text); CREATE TABLE upload (title text)",
            )
            .expect("tables");
        refused(
            Fogold::check_configured(&made_up.sysconfdir()),
            2,
            &["not a FOSSology database", "has no"],
        );
    }

    #[test]
    fn the_role_may_not_read() {
        let cluster = Cluster::shared();
        let made_up = MadeUp::small();
        made_up.go_live(cluster, "bad_rights");
        cluster
            .connect("bad_rights")
            .batch_execute("CREATE ROLE bad_rights LOGIN")
            .expect("a role");
        let conf = DbConf {
            dbname: "bad_rights".to_owned(),
            host: cluster.socket_directory().display().to_string(),
            port: Some(cluster.port()),
            user: "bad_rights".to_owned(),
            ..DbConf::default()
        };
        made_up
            .server
            .write_sysconf(&conf)
            .expect("a configuration");
        refused(
            Fogold::check_configured(&made_up.sysconfdir()),
            3,
            &["may not read", "GRANT SELECT ON", "TO bad_rights"],
        );
    }
}

mod dump {
    use super::*;

    fn check(made_up: &MadeUp, dump: &Path) -> Fogold {
        Fogold::check(&made_up.repository(), dump)
    }

    fn program(command: &mut Command, input: &Path, output: &Path) {
        let status = command
            .stdin(File::open(input).expect("a file"))
            .stdout(File::create(output).expect("a file"))
            .status();
        assert!(status.expect("it runs").success(), "{command:?}");
    }

    #[test]
    fn it_is_cut_short() {
        let made_up = MadeUp::small();
        let directory = tempfile::tempdir().expect("a temporary directory");
        let plain = made_up.dump();
        let cluster = Cluster::shared();
        made_up.go_live(cluster, "bad_dump");
        let at = |name: &str| directory.path().join(name);
        program(Command::new("gzip").arg("-c"), &plain, &at("dump.sql.gz"));
        program(
            Command::new("zstd").args(["-q", "-c"]),
            &plain,
            &at("dump.sql.zst"),
        );
        let custom = cluster
            .client("pg_dump", "bad_dump")
            .arg("-Fc")
            .arg("--file")
            .arg(at("dump.dump"))
            .status();
        assert!(custom.expect("pg_dump runs").success());
        fs::copy(&plain, at("dump.sql")).expect("a copy");
        for name in ["dump.sql", "dump.sql.gz", "dump.sql.zst", "dump.dump"] {
            let whole = at(name);
            found(check(&made_up, &whole), 0);
            let length = fs::metadata(&whole).expect("a file").len();
            for kept in [length / 5, length / 2, length - 40] {
                let cut = at(&format!("cut-{name}"));
                fs::copy(&whole, &cut).expect("a copy");
                let file = File::options().write(true).open(&cut).expect("the copy");
                file.set_len(kept).expect("a cut");
                let path = cut.display().to_string();
                refused(check(&made_up, &cut), 3, &[&path, "cut short"]);
                let piped = Fogold::check(&made_up.repository(), "-")
                    .input(fs::read(&cut).expect("a dump"));
                refused(piped, 3, &["standard input", "cut short"]);
            }
        }
        // Where it stops is said.
        let text = fs::read_to_string(&plain).expect("a dump");
        let inside = text.find("COPY public.pfile ").expect("a block") + 300;
        let cut = at("inside.sql");
        fs::write(&cut, &text[..inside]).expect("a cut dump");
        refused(check(&made_up, &cut), 3, &["inside table pfile"]);
    }

    #[test]
    fn it_is_none() {
        let made_up = MadeUp::small();
        let path = made_up.directory().join("odd.sql");
        for contents in [
            &b"these are the notes of a meeting\n"[..],
            &[0, 159, 146, 150],
            b"<html></html>",
        ] {
            fs::write(&path, contents).expect("a file");
            refused(
                check(&made_up, &path),
                2,
                &[&path.display().to_string(), "neither a PostgreSQL dump"],
            );
        }
        fs::write(&path, "").expect("an empty file");
        let outcome = check(&made_up, &path).run();
        assert!(
            matches!(outcome.code, Some(2 | 3)),
            "{:?} {}",
            outcome.code,
            outcome.complaint()
        );
        assert!(outcome.complaint().contains("odd.sql"));
        refused(
            check(&made_up, &made_up.repository()),
            2,
            &[&made_up.repository().display().to_string()],
        );
    }

    #[test]
    fn it_is_missing() {
        let made_up = MadeUp::small();
        let path = made_up.directory().join("missing.sql");
        refused(
            check(&made_up, &path),
            3,
            &[&path.display().to_string(), "No such file"],
        );
    }

    #[test]
    fn a_saved_catalog_is_damaged_or_newer() {
        let made_up = MadeUp::small();
        let path = made_up.directory().join("saved.catalog");
        let saved = Fogold::new(["snapshot", "-o"])
            .arg(&path)
            .arg("--catalog")
            .arg(made_up.dump())
            .run();
        saved.assert_code(0);
        found(check(&made_up, &path), 0);
        let good = fs::read(&path).expect("a catalog");
        let shown = path.display().to_string();
        // Somewhere in the shards, in the table of contents, and in the end.
        for at in [200, good.len() / 2, good.len() - 100, good.len() - 3] {
            let mut bad = good.clone();
            bad[at] ^= 0x55;
            fs::write(&path, bad).expect("a catalog");
            refused(
                check(&made_up, &path),
                3,
                &[&shown, "damaged catalog", "fogold snapshot"],
            );
        }
        for length in [good.len() - 1, good.len() / 2, 20] {
            fs::write(&path, &good[..length]).expect("a catalog");
            refused(
                check(&made_up, &path),
                3,
                &[&shown, "damaged catalog", "fogold snapshot"],
            );
        }
        let mut newer = good;
        newer[8] += 1;
        fs::write(&path, newer).expect("a catalog");
        refused(check(&made_up, &path), 2, &[&shown, "format"]);
    }
}

mod tree {
    use super::*;

    fn two_hosts() -> MadeUp {
        let host = |name: &str, line: &str| (name.to_owned(), line.to_owned());
        MadeUp::healthy(ServerSpec {
            files: 300,
            bytes: 300_000,
            per_upload: 10,
            hosts: vec![host("north", "* 00 7f"), host("south", "* 80 ff")],
            ..ServerSpec::default()
        })
    }

    #[test]
    fn it_is_empty_although_the_database_knows_files() {
        let made_up = MadeUp::small();
        let root = made_up.repository();
        fs::remove_dir_all(&root).expect("it is there");
        fs::create_dir(&root).expect("an empty one");
        chmod(&root, 0o2770);
        refused(
            dumped(&made_up),
            3,
            &["is it mounted?", &root.display().to_string()],
        );
        let findings = found(dumped(&made_up).arg("--allow-empty"), 1);
        let kinds = kinds(&findings);
        let counts = made_up.server.counts();
        assert_eq!(kinds["missing-gold"] as u64, counts.gold_files);
        assert!(kinds["missing-derived"] > 100);
        assert!(
            kinds
                .keys()
                .all(|kind| kind.starts_with("missing-") || kind == "pfile-without-use")
        );
        // A directory for the host does not make it less empty.
        fs::create_dir_all(root.join("localhost/files/aa")).expect("directories");
        refused(dumped(&made_up), 3, &["is it mounted?"]);
    }

    #[test]
    fn one_host_of_two_is_empty() {
        let made_up = two_hosts();
        let root = made_up.repository();
        let south = root.join("south");
        fs::remove_dir_all(&south).expect("it is there");
        for _ in 0..2 {
            refused(
                dumped(&made_up),
                3,
                &["is it mounted?", &south.display().to_string()],
            );
            fs::create_dir_all(&south).expect("an empty one");
        }
        let findings = found(dumped(&made_up).arg("--allow-empty"), 1);
        let missing: Vec<&Value> = findings
            .iter()
            .filter(|each| {
                each["path"]
                    .as_str()
                    .is_some_and(|path| path.starts_with("south/"))
            })
            .collect();
        assert!(missing.len() > 100);
    }

    #[test]
    fn a_fresh_server_has_no_upload_and_no_file() {
        let made_up = MadeUp::small();
        let cluster = Cluster::shared();
        made_up.go_live(cluster, "bad_fresh");
        cluster
            .connect("bad_fresh")
            .batch_execute("TRUNCATE upload, uploadtree, uploadtree_a, pfile, job, jobqueue, ununpack_ars CASCADE")
            .expect("no rows");
        let root = made_up.repository();
        fs::remove_dir_all(&root).expect("it is there");
        fs::create_dir(&root).expect("an empty one");
        chmod(&root, 0o2770);
        for _ in 0..2 {
            let check = Fogold::check_configured(&made_up.sysconfdir());
            assert_eq!(found(check, 0), Vec::<Value>::new());
            for below in ["localhost", "localhost/gold", "localhost/files", "logs"] {
                fs::create_dir_all(root.join(below)).expect("a directory");
                chmod(&root.join(below), 0o2770);
            }
        }
    }

    #[test]
    fn the_depth_is_another() {
        let made_up = MadeUp::small();
        for depth in ["0", "1", "2", "4"] {
            refused(
                dumped(&made_up).args(["--depth", depth]),
                2,
                &[&format!("depth {depth}"), "depth 3"],
            );
        }
        // Without a configuration it is found from the tree.
        found(Fogold::check(&made_up.repository(), made_up.dump()), 0);
    }

    #[test]
    fn a_directory_cannot_be_read() {
        let user = Unprivileged::new();
        let made_up = MadeUp::small();
        let dump = made_up.dump();
        user.own(&made_up.directory());
        let files = made_up.files("files");
        let leaf = Path::new(&files[10]).parent().expect("a directory");
        let closed = made_up.repository().join(leaf);
        let check = |more: &[&str]| {
            user.run_as(Fogold::check(&made_up.repository(), &dump).args(more))
                .run()
        };
        check(&["--verify"]).assert_code(0);
        chmod(&closed, 0);
        for more in [&[][..], &["--verify"]] {
            let outcome = check(more);
            outcome.assert_code(3);
            let report = outcome.report();
            assert_eq!(report["complete"], false);
            let shards = report["coverage"]["shards_complete"]
                .as_array()
                .expect("a list")
                .len();
            assert_eq!(shards, 255);
            let unreadable: Vec<Value> = outcome
                .findings()
                .into_iter()
                .filter(|each| each["kind"] != "wrong-mode")
                .collect();
            let wanted = json!({"kind": "unreadable", "severity": "recoverable", "type": "files", "path": leaf});
            agree("an unreadable directory", &[wanted], &unreadable);
        }
        chmod(&closed, 0o2770);
        // A whole type: nothing below it is missing, and no shard was seen completely.
        let top = made_up.repository().join("localhost/files");
        chmod(&top, 0);
        let outcome = check(&[]);
        chmod(&top, 0o2770);
        outcome.assert_code(3);
        assert!(
            !kinds(&outcome.findings())
                .keys()
                .any(|kind| kind.starts_with("missing")),
            "{}",
            outcome.text()
        );
        assert_eq!(outcome.report()["coverage"]["shards_complete"], json!([]));
        // The root itself.
        chmod(&made_up.repository(), 0);
        let outcome = check(&[]);
        chmod(&made_up.repository(), 0o2770);
        outcome.assert_code(3);
        assert!(outcome.complaint().contains("Permission denied"));
    }

    #[test]
    fn a_file_cannot_be_read() {
        let user = Unprivileged::new();
        let made_up = MadeUp::small();
        let dump = made_up.dump();
        user.own(&made_up.directory());
        let path = &made_up.files("files")[3];
        chmod(&made_up.repository().join(path), 0o000);
        let check = |more: &[&str]| {
            user.run_as(Fogold::check(&made_up.repository(), &dump).args(more))
                .run()
        };
        let wrong_mode = json!({"kind": "wrong-mode", "type": "files", "path": path});
        let unreadable = json!({"kind": "unreadable", "type": "files", "path": path});
        let outcome = check(&[]);
        outcome.assert_code(1);
        agree(
            "listed",
            std::slice::from_ref(&wrong_mode),
            &outcome.findings(),
        );
        let outcome = check(&["--verify"]);
        outcome.assert_code(1);
        assert_eq!(outcome.report()["complete"], true);
        // One fact, one finding.
        agree("read", &[unreadable], &outcome.findings());
    }

    #[test]
    fn names_are_odd() {
        let made_up = MadeUp::small();
        let root = made_up.repository();
        let leaves: Vec<PathBuf> = made_up.files("files")[..3]
            .iter()
            .map(|path| root.join(path).parent().expect("a directory").to_owned())
            .collect();
        let mut long = vec![b'x'; 253];
        long.extend([0x80, 0xff]);
        fs::write(leaves[0].join(OsStr::from_bytes(&long)), "").expect("a file");
        fs::write(leaves[1].join("two\nlines\x1b[31m\r"), "").expect("a file");
        fs::write(leaves[2].join("\u{202e}txt.exe\u{9b}31m"), "").expect("a file");
        let findings = found(dumped(&made_up), 0);
        assert_eq!(kinds(&findings)["foreign"], 3, "{findings:?}");
        let of_bytes = findings
            .iter()
            .find(|each| each.get("path_bytes").is_some())
            .expect("a path that is not UTF-8");
        let path = of_bytes["path"].as_str().expect("a path");
        assert!(path.ends_with("xxx\\x80\\xff"), "{path}");
        let base64 = of_bytes["path_bytes"].as_str().expect("base64");
        let mut decoder = Command::new("base64")
            .arg("-d")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("base64 runs");
        decoder
            .stdin
            .take()
            .expect("a pipe")
            .write_all(base64.as_bytes())
            .expect("a text");
        let bytes = decoder.wait_with_output().expect("an end").stdout;
        assert!(bytes.ends_with(&long));

        let outcome = Fogold::new(["check", "--sysconfdir"])
            .arg(made_up.sysconfdir())
            .arg("--catalog")
            .arg(made_up.dump())
            .run();
        outcome.assert_code(0);
        let text = outcome.text();
        assert!(text.contains("two\\nlines\\u{1b}[31m\\r"), "{text}");
        let control = |c: char| c.is_control() && c != '\n';
        assert!(!text.contains(control), "{text:?}");
        assert!(
            !text.contains('\u{202e}'),
            "a mark that turns the direction of writing hides what follows: {text:?}"
        );
    }

    #[test]
    fn sizes_are_odd() {
        let made_up = MadeUp::small();
        let cluster = Cluster::shared();
        made_up.go_live(cluster, "bad_sizes");
        let root = made_up.repository();
        let mut wanted = Vec::new();
        let mut client = cluster.connect("bad_sizes");
        for (number, size, real) in [
            (1, 5 << 30, 5 << 30),
            (2, (4 << 30) + 7, 7),
            (3, 7, (4 << 30) + 7),
            (4, 0, 0),
        ] {
            let (sha1, md5) = (format!("{number:040x}"), format!("{number:032x}"));
            let statement = format!(
                "WITH p AS (INSERT INTO pfile (pfile_md5, pfile_sha1, pfile_size) \
                 VALUES ('{}', '{}', {size}) RETURNING pfile_pk) \
                 INSERT INTO uploadtree_a (upload_fk, pfile_fk, ufile_mode, ufile_name) \
                 SELECT (SELECT min(upload_pk) FROM upload WHERE expire_action IS NULL), pfile_pk, 33188, 'large' FROM p",
                md5.to_uppercase(),
                sha1.to_uppercase()
            );
            client.batch_execute(&statement).expect("rows");
            let name = format!("{sha1}.{md5}.{size}");
            let directory = root.join("localhost/files/00/00/00");
            for level in directory
                .ancestors()
                .take(3)
                .collect::<Vec<_>>()
                .into_iter()
                .rev()
            {
                fs::create_dir_all(level).expect("a directory");
                chmod(level, 0o2770);
            }
            let path = directory.join(&name);
            let file = File::create(&path).expect("a file");
            file.set_len(real).expect("a length");
            chmod(&path, 0o660);
            if size != real {
                wanted.push(json!({"kind": "wrong-size", "type": "files", "name": name}));
            }
        }
        let check = Fogold::check_configured(&made_up.sysconfdir());
        let findings = found(check.limit(NO_HANG), 1);
        agree("sizes", &wanted, &findings);
    }

    #[test]
    fn things_are_no_files() {
        let made_up = MadeUp::small();
        let root = made_up.repository();
        let files = made_up.files("files");
        let spread: Vec<&String> = files.iter().step_by(files.len() / 6).take(6).collect();
        let mut wanted = Vec::new();
        let mut replace = |path: &String, make: &dyn Fn(&Path)| {
            let full = root.join(path);
            fs::remove_file(&full).expect("it is there");
            make(&full);
            wanted.push(json!({"kind": "foreign", "path": path}));
        };
        let node = |path: &Path, ty: FileType, device: u64| {
            mknodat(CWD, path, ty, Mode::from_raw_mode(0o660), device)
        };
        replace(spread[0], &|path| {
            node(path, FileType::Fifo, 0).expect("a fifo")
        });
        replace(spread[1], &|path| {
            symlink("/dev/zero", path).expect("a link")
        });
        replace(spread[2], &|path| symlink(".", path).expect("a link"));
        replace(spread[3], &|path| {
            fs::create_dir(path).expect("a directory");
            chmod(path, 0o2770);
        });
        replace(spread[4], &|path| {
            // The path of a socket is short: the directory is reached by its handle.
            let (directory, name) = (path.parent().expect("a directory"), path.file_name());
            let handle = File::open(directory).expect("a directory");
            let place = format!("/proc/self/fd/{}", handle.as_raw_fd());
            let short = Path::new(&place).join(name.expect("a name"));
            drop(UnixListener::bind(short).expect("a socket"));
        });
        if rustix::process::geteuid().is_root() {
            let zero = rustix::fs::makedev(1, 5);
            let full = root.join(spread[5]);
            let probe = made_up.directory().join("probe");
            if node(&probe, FileType::CharacterDevice, zero).is_ok() {
                replace(spread[5], &|path| {
                    node(path, FileType::CharacterDevice, zero).expect("a device");
                });
            } else {
                skipped(format_args!("no device can be made: {}", full.display()));
            }
        }
        // Loops: a level that leads back to the top, and a host that leads to itself.
        symlink("..", root.join("localhost/files/zz")).expect("a link");
        symlink(".", root.join("loop")).expect("a link");
        wanted.push(json!({"kind": "foreign", "path": "localhost/files/zz"}));
        wanted.push(json!({"kind": "foreign", "path": "loop"}));
        for more in [&[][..], &["--verify"]] {
            let findings = found(dumped(&made_up).args(more), 1);
            let (foreign, missing): (Vec<Value>, Vec<Value>) = findings
                .into_iter()
                .partition(|each| each["kind"] == "foreign");
            agree("no files", &wanted, &foreign);
            assert_eq!(missing.len(), wanted.len() - 2, "{missing:?}");
            assert!(missing.iter().all(|each| {
                each["kind"]
                    .as_str()
                    .is_some_and(|kind| kind.starts_with("missing-"))
            }));
        }
    }
}

mod output {
    use super::*;

    #[test]
    fn fail_on_decides_the_exit_status() {
        let made_up = MadeUp::small();
        let root = made_up.repository();
        let path = &made_up.files("files")[0];
        fs::write(
            root.join(path).parent().expect("a directory").join("notes"),
            "",
        )
        .expect("a file");
        for (fail_on, code) in [
            (None, 0),
            (Some("notice"), 1),
            (Some("waste"), 0),
            (Some("recoverable"), 0),
            (Some("loss"), 0),
            (Some("foreign"), 1),
            (Some("orphan"), 0),
            (Some("never"), 0),
        ] {
            let check = dumped(&made_up).args(fail_on.map(|value| format!("--fail-on={value}")));
            assert_eq!(found(check, code).len(), 1);
        }
        fs::remove_file(root.join(path)).expect("it is there");
        for (fail_on, code) in [
            (None, 1),
            (Some("waste"), 1),
            (Some("recoverable"), 1),
            (Some("loss"), 0),
            (Some("missing-gold"), 0),
            (Some("never"), 0),
        ] {
            let check = dumped(&made_up).args(fail_on.map(|value| format!("--fail-on={value}")));
            found(check, code);
        }
    }

    #[test]
    fn quiet_says_nothing_when_all_is_well() {
        let made_up = MadeUp::small();
        for format in ["text", "json", "ndjson"] {
            let run = || {
                Fogold::new(["check", "-q", "--format", format, "--sysconfdir"])
                    .arg(made_up.sysconfdir())
                    .arg("--catalog")
                    .arg(made_up.dump())
                    .args(["--slice", "1/3"])
                    .run()
            };
            let outcome = run();
            outcome.assert_code(0);
            assert_eq!((outcome.text(), outcome.complaint()), <_>::default());
        }
        let path = &made_up.files("gold")[0];
        fs::remove_file(made_up.repository().join(path)).expect("it is there");
        let outcome = dumped(&made_up).arg("-q").run();
        outcome.assert_code(1);
        assert_eq!(outcome.findings().len(), 1);
    }

    #[test]
    fn reports_go_to_files_too() {
        let made_up = MadeUp::small();
        let path = &made_up.files("gold")[0];
        fs::remove_file(made_up.repository().join(path)).expect("it is there");
        let at = |name: &str| made_up.directory().join(name);
        let mut check = dumped(&made_up);
        let endings = ["json", "ndjson", "txt"];
        for ending in endings {
            check = check.arg("--report").arg(at(&format!("report.{ending}")));
        }
        let outcome = check.run();
        outcome.assert_code(1);
        for ending in endings {
            let file = at(&format!("report.{ending}"));
            let text = fs::read_to_string(&file).expect("a report");
            assert!(!text.is_empty(), "{}", file.display());
            match ending {
                "ndjson" => assert_eq!(text.as_bytes(), outcome.stdout),
                "json" => {
                    let report: Value = serde_json::from_str(&text).expect("JSON");
                    assert_eq!(report["findings"], json!(outcome.findings()));
                }
                _ => assert!(text.contains("missing-gold"), "{text}"),
            }
        }
        // One that cannot be written is said, and no half of it is left.
        let nowhere = at("no-such-directory/report.json");
        let outcome = dumped(&made_up).arg("--report").arg(&nowhere).run();
        outcome.assert_code(3);
        assert!(
            outcome.complaint().contains("no-such-directory"),
            "{}",
            outcome.complaint()
        );
    }

    #[test]
    fn a_closed_pipe_is_no_failure() {
        let made_up = MadeUp::small();
        fs::remove_dir_all(made_up.repository().join("localhost/files")).expect("it is there");
        for (format, fail_on, code) in [
            ("ndjson", "never", "0"),
            ("json", "never", "0"),
            ("ndjson", "recoverable", "1"),
            ("text", "never", "0"),
        ] {
            let script = r#"
                "$@" 2>"$ERRORS" | true
                echo "${PIPESTATUS[0]}"
            "#;
            let errors = made_up.directory().join("errors");
            let output = Command::new("bash")
                .args([
                    "-c",
                    script,
                    "bash",
                    PROGRAM,
                    "check",
                    "-q",
                    "--allow-empty",
                ])
                .args(["--format", format, "--fail-on", fail_on, "--repository"])
                .arg(made_up.repository())
                .arg("--catalog")
                .arg(made_up.dump())
                .env("ERRORS", &errors)
                .output()
                .expect("bash runs");
            assert_eq!(
                String::from_utf8_lossy(&output.stdout).trim(),
                code,
                "{format}"
            );
            assert_eq!(fs::read_to_string(&errors).expect("a file"), "", "{format}");
        }
    }
}

mod scratch {
    use super::*;
    use crate::support::SmallDisk;

    /// A tiny file system of its own.
    struct Tiny {
        directory: tempfile::TempDir,
    }

    impl Tiny {
        /// `None`, with the reason said, where this user may not mount one.
        fn mount() -> Option<Tiny> {
            let directory = tempfile::tempdir().expect("a temporary directory");
            let mounted = Command::new("mount")
                .args(["-t", "tmpfs", "-o", "size=16k", "tmpfs"])
                .arg(directory.path())
                .output();
            if mounted.is_ok_and(|output| output.status.success()) {
                return Some(Tiny { directory });
            }
            skipped("no file system can be mounted here");
            None
        }
    }

    impl Drop for Tiny {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg(self.directory.path()).status();
        }
    }

    #[test]
    fn it_is_not_there() {
        let made_up = MadeUp::small();
        made_up.go_live(Cluster::shared(), "bad_scratch");
        let nowhere = made_up.directory().join("no-such-directory");
        let path = nowhere.display().to_string();
        for check in [
            dumped(&made_up),
            Fogold::check_configured(&made_up.sysconfdir()),
        ] {
            refused(
                check.arg("--scratch").arg(&nowhere),
                3,
                &[&path, "--scratch"],
            );
        }
    }

    #[test]
    fn many_findings_might_not_fit() {
        let made_up = MadeUp::small();
        made_up.go_live(Cluster::shared(), "many_findings");
        for (bytes, is_tight) in [(256 << 10, true), (4 << 20, false)] {
            let Some(disk) = SmallDisk::mount(bytes) else {
                return;
            };
            let outcome = Fogold::check_configured(&made_up.sysconfdir())
                .arg("--scratch")
                .arg(disk.path())
                .run();
            outcome.assert_code(0);
            let complaint = outcome.complaint();
            let is_said = complaint.contains("more there, were every file missing or damaged");
            assert_eq!(is_said, is_tight, "{complaint}");
        }
    }

    #[test]
    fn it_is_full() {
        let Some(tiny) = Tiny::mount() else { return };
        let made_up = MadeUp::small();
        made_up.go_live(Cluster::shared(), "full_scratch");
        let path = tiny.directory.path().display().to_string();
        let repository = made_up.repository();
        fs::remove_dir_all(repository.join("localhost/files")).expect("it is there");
        for check in [
            dumped(&made_up),
            Fogold::check(&repository, "-").input(fs::read(made_up.dump()).expect("a dump")),
            Fogold::check_configured(&made_up.sysconfdir()),
        ] {
            let check = check.args(["--allow-empty", "--scratch", &path]);
            refused(check, 3, &[&path, "--scratch"]);
            let left = fs::read_dir(tiny.directory.path()).expect("a directory");
            assert_eq!(left.count(), 0, "something is left behind");
        }
    }
}

mod disk {
    use super::*;

    /// Puts `strace` before the program, which fails the system call on one path with EIO; `None`,
    /// with the reason said, where it cannot.
    fn failing(call: &str, path: &Path) -> Option<Command> {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-q", "-o", "/dev/null"]);
        let works = Command::new("strace")
            .args([
                "-f",
                "-q",
                "-o",
                "/dev/null",
                "-e",
                "inject=getuid:error=EIO",
                "true",
            ])
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        if !works {
            skipped("strace is missing or may not trace");
            return None;
        }
        strace
            .arg("-P")
            .arg(path)
            .args(["-e", &format!("inject={call}:error=EIO")]);
        Some(strace)
    }

    #[test]
    fn a_file_gives_an_error() {
        let made_up = MadeUp::small();
        let path = &made_up.files("files")[5];
        let Some(strace) = failing("read,pread64,preadv2", &made_up.repository().join(path)) else {
            return;
        };
        let outcome = dumped(&made_up).arg("--verify").behind(strace, None).run();
        outcome.assert_code(1);
        assert_eq!(outcome.report()["complete"], true);
        let wanted = json!({"kind": "unreadable", "type": "files", "path": path});
        agree("EIO", &[wanted], &outcome.findings());
        let detail = outcome.findings()[0]["detail"].to_string();
        assert!(detail.contains("Input/output error"), "{detail}");
    }

    #[test]
    fn a_directory_gives_an_error() {
        let made_up = MadeUp::small();
        let path = &made_up.files("files")[5];
        let leaf = Path::new(path).parent().expect("a directory");
        let Some(strace) = failing("getdents64", &made_up.repository().join(leaf)) else {
            return;
        };
        let outcome = dumped(&made_up).behind(strace, None).run();
        outcome.assert_code(3);
        assert_eq!(outcome.report()["complete"], false);
        let wanted = json!({"kind": "unreadable", "severity": "recoverable", "path": leaf});
        agree("EIO", &[wanted], &outcome.findings());
    }
}
