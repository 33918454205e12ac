//! The database is dumped, lost, and brought back.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fogold::fixtures::ServerSpec;
use fogold::monitor::{Monitor, Silent};
use fogold::recover::database::{
    DatabaseError, JobState, Options, Outcome, Owner, Source, Target, restore, seal,
};
use fogold::recover::scratch_cluster::{ScratchCluster, ScratchClusterError};
use fogold::sysconf::programs::{take_dump, take_globals};
use fogold::sysconf::{ConnectionParameters, Environment, Programs, Secret};
use postgres::Client;
use tempfile::TempDir;

use crate::support::cluster::PASSWORD;
use crate::support::{Capture, Cluster, ClusterOptions, Encoding, MadeUp};

/// The programs of the server that the tests run.
fn programs() -> Programs {
    Programs::new(std::env::var_os("FOGOLD_PG_BINDIR").map(Into::into))
}

fn parameters(text: &str) -> ConnectionParameters {
    ConnectionParameters::from_source(text, &Environment::empty().with_user("nobody"))
        .expect("parameters")
}

fn place() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

/// A database of a cluster, reached as its superuser.
fn target(cluster: &Cluster, database: &str) -> Target {
    Target {
        connection: parameters(&cluster.conninfo(database)),
        owner: None,
    }
}

fn options(journal: &Path) -> Options {
    Options {
        clean: false,
        run_deletions: false,
        rewrite_paths: None,
        journal: journal.to_owned(),
        dry_run: false,
        programs: programs(),
    }
}

fn source(dump: impl Into<PathBuf>) -> Source {
    Source {
        dump: dump.into(),
        ..Source::default()
    }
}

/// Restores a dump into a database that is not there.
fn restored(cluster: &Cluster, database: &str, dump: impl Into<PathBuf>) -> Outcome {
    let place = place();
    restore(
        &source(dump),
        &target(cluster, database),
        &options(place.path()),
        &Silent,
    )
    .unwrap_or_else(|error| panic!("{database}: {error:?}"))
}

/// All that `pg_dump` says of a database.
fn text_of(cluster: &Cluster, database: &str) -> String {
    let output = cluster
        .client("pg_dump", database)
        .args(["--no-owner", "--no-privileges", "--no-comments"])
        .output()
        .expect("pg_dump runs");
    assert!(output.status.success(), "{output:?}");
    // The key is another each time.
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter(|line| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict"))
        .map(|line| line.to_owned() + "\n")
        .collect()
}

/// Dumps a database of a cluster with more options.
fn dumped(cluster: &Cluster, database: &str, to: &Path, more: &[&str]) {
    let output = cluster
        .client("pg_dump", database)
        .args(more)
        .arg("--file")
        .arg(to)
        .output()
        .expect("pg_dump runs");
    assert!(output.status.success(), "{output:?}");
}

fn number(client: &mut Client, statement: &str) -> i64 {
    client.query_one(statement, &[]).expect("a number").get(0)
}

fn is_there(cluster: &Cluster, database: &str) -> bool {
    let statement = "SELECT count(*) FROM pg_database WHERE datname = $1";
    let row = cluster
        .connect("postgres")
        .query_one(statement, &[&database])
        .expect("a number");
    row.get::<_, i64>(0) == 1
}

/// How many tables a database has.
fn tables(cluster: &Cluster, database: &str) -> i64 {
    number(
        &mut cluster.connect(database),
        "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'",
    )
}

/// Keeps what is said.
#[derive(Default)]
struct Warnings(Mutex<Vec<String>>);

impl Monitor for Warnings {
    fn warn(&self, message: &str) {
        self.0.lock().expect("a list").push(message.to_owned());
    }
}

#[test]
fn a_dump_is_taken_wherever_a_connection_can_be_made() {
    let cluster = Cluster::start(&ClusterOptions {
        auth: "scram-sha-256",
        ..ClusterOptions::default()
    });
    cluster.create_database("a b'c");
    let place = place();
    let dump = place.path().join("database.dump");
    let (socket, port) = (cluster.socket_directory().display(), cluster.port());
    let database = r"dbname='a b\'c' user=postgres";
    parameters(&format!("host={socket} port={port} {database}"))
        .connector()
        .expect("a connector")
        .connect()
        .expect("a connection")
        .batch_execute("CREATE TABLE here (x int)")
        .expect("a table");
    let warnings = Warnings::default();
    for source in [
        format!("host={socket} port={port} {database}"),
        format!("host=127.0.0.1 port={port} {database} password={PASSWORD}"),
        // The first of them is not there; some keywords have no variable.
        format!(
            "host=/nonexistent,localhost hostaddr=,127.0.0.1 port=1,{port} {database} \
             password={PASSWORD} keepalives_idle=9 target_session_attrs=read-write"
        ),
    ] {
        let parameters = parameters(&source);
        let dumped = take_dump(&parameters, &programs(), &dump, &warnings)
            .unwrap_or_else(|error| panic!("{source}: {error}"));
        assert_eq!(dumped.bytes, fs::metadata(&dump).expect("a dump").len());
        let contents = Command::new(programs().path("pg_restore"))
            .arg("--list")
            .arg(&dump)
            .output()
            .expect("pg_restore runs");
        let contents = String::from_utf8_lossy(&contents.stdout);
        assert!(contents.contains(" here "), "{source}");
        let globals = place.path().join("globals.sql");
        take_globals(&parameters, &programs(), &globals, &warnings)
            .unwrap_or_else(|error| panic!("{source}: {error}"));
        let text = fs::read_to_string(&globals).expect("globals");
        assert!(text.contains("CREATE ROLE postgres"));
        assert!(!text.contains("SCRAM-SHA-256") && !text.contains(PASSWORD));
    }
    assert_eq!(warnings.0.into_inner().expect("a list"), [""; 0]);
    let wrong = parameters(&format!(
        "host=127.0.0.1 port={port} {database} password=not-it"
    ));
    let error = take_dump(&wrong, &programs(), &dump, &Silent).expect_err("a wrong password");
    assert!(!error.is_misuse() && !error.to_string().contains("not-it"));
}

/// Puts a script where it can be run; who wrote it has closed it before.
fn install(path: &Path, script: &str) {
    let text = path.with_extension("text");
    fs::write(&text, script).expect("a script");
    let installed = Command::new("install")
        .args(["-m", "755"])
        .args([text.as_path(), path])
        .status();
    assert!(installed.expect("install runs").success());
}

#[test]
fn the_client_decides_how_a_dump_is_compressed() {
    let cluster = Cluster::shared();
    let place = place();
    let said = place.path().join("said");
    let dump = place.path().join("database.dump");
    let programs = Programs::new(Some(place.path().to_owned()));
    let take = |version: &str, script: &str| {
        let text = format!(
            "#!/bin/sh\n[ \"$1\" = --version ] && exec echo 'pg_dump (PostgreSQL) {version}'\n\
             echo \"$@\" >> '{}'\n{script}\nexec printf x\n",
            said.display()
        );
        install(&place.path().join("pg_dump"), &text);
        let _ = fs::remove_file(&said);
        let connection = parameters(&cluster.conninfo("postgres"));
        let outcome = take_dump(&connection, &programs, &dump, &Silent);
        (outcome, fs::read_to_string(&said).unwrap_or_default())
    };
    let (outcome, said) = take("99.1", "");
    assert_eq!(outcome.expect("a dump").made_by, "pg_dump 99.1");
    assert_eq!(said, "--format=custom --no-password --compress=zstd\n");

    let without = "case \"$*\" in *zstd*) echo 'pg_dump: error: this build does not support \
                   compression with ZSTD' >&2; exit 1;; esac";
    let (outcome, said) = take("99.1", without);
    assert!(outcome.is_ok());
    assert!(
        said.ends_with("\n--format=custom --no-password\n"),
        "{said}"
    );

    let (outcome, said) = take("9.6.24", "");
    let error = outcome.expect_err("an old client");
    assert!(error.is_misuse() && said.is_empty(), "{error}");
}

#[test]
fn every_form_of_a_dump_gives_the_same_database() {
    let cluster = Cluster::shared();
    for recording in ["A-healthy", "E-pending"] {
        let Some(capture) = Capture::open(recording) else {
            return;
        };
        let original = format!("original {recording}").replace([' ', '-'], "_");
        capture.load(cluster, &original);
        let expected = text_of(cluster, &original);
        let place = place();
        let mut dumps = vec![capture.file("dump.sql.gz")];
        dumps.extend(
            ["dump-Fc.dump", "dumpall.sql.gz"]
                .map(|name| capture.file(name))
                .into_iter()
                .filter(|path| path.exists()),
        );
        for (name, more) in [
            ("tar", &["--format=tar"][..]),
            ("directory", &["--format=directory"]),
            ("custom", &["--format=custom", "--create", "--clean"]),
            ("clean.sql", &["--clean", "--if-exists", "--create"]),
            ("clean-alone.sql", &["--clean"]),
            ("session.sql", &["--use-set-session-authorization"]),
        ] {
            let path = place.path().join(name);
            dumped(cluster, &original, &path, more);
            dumps.push(path);
        }
        for (index, dump) in dumps.iter().enumerate() {
            let database = format!("{original}_{index}");
            let mut target = target(cluster, &database);
            target.owner = Some(Owner {
                name: "fossy".to_owned(),
                password: None,
            });
            let mut options = options(place.path());
            options.run_deletions = true;
            let outcome = restore(&source(dump), &target, &options, &Silent)
                .unwrap_or_else(|error| panic!("{}: {error:?}", dump.display()));
            assert!(outcome.created && !outcome.resumed);
            let found = text_of(cluster, &database);
            assert!(found == expected, "{} differs", dump.display());
            let mut client = cluster.connect(&database);
            let foreign = "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace \
                WHERE nspname = 'public' AND relkind IN ('r', 'S') AND relowner <> 'fossy'::regrole";
            assert_eq!(number(&mut client, foreign), 0, "{}", dump.display());
            let rows = number(&mut client, "SELECT count(*) FROM uploadtree");
            assert_eq!(outcome.rows["uploadtree"], rows as u64);
        }
    }
}

#[test]
fn a_database_that_is_not_empty_is_kept() {
    let cluster = Cluster::shared();
    let made_up = MadeUp::small();
    made_up.go_live(cluster, "kept_source");
    let place = place();
    let dump = place.path().join("database.dump");
    dumped(cluster, "kept_source", &dump, &["--format=custom"]);
    cluster.create_database("kept");
    cluster
        .connect("kept")
        .batch_execute("CREATE TABLE precious (x int)")
        .expect("a table");
    let target = target(cluster, "kept");
    let mut options = options(place.path());
    let error = restore(&source(&dump), &target, &options, &Silent).expect_err("not empty");
    assert!(
        matches!(error, DatabaseError::NotEmpty { tables: 1, .. }),
        "{error}"
    );
    assert!(error.is_misuse());

    options.clean = true;
    let mut guest = cluster.connect("kept");
    guest
        .batch_execute("SET application_name = 'the scheduler'")
        .expect("a name");
    let error = restore(&source(&dump), &target, &options, &Silent).expect_err("in use");
    assert!(
        error.to_string().contains("the scheduler as postgres"),
        "{error}"
    );
    drop(guest);
    assert_eq!(tables(cluster, "kept"), 1);

    options.dry_run = true;
    let planned = restore(&source(&dump), &target, &options, &Silent).expect("a plan");
    assert!(planned.created && planned.kept.is_some());
    assert_eq!(tables(cluster, "kept"), 1);

    options.dry_run = false;
    let outcome = restore(&source(&dump), &target, &options, &Silent).expect("a restore");
    let kept = outcome.kept.expect("the former database");
    assert!(
        kept.starts_with("kept_before_20") && kept.ends_with('Z'),
        "{kept}"
    );
    assert_eq!(tables(cluster, &kept), 1);

    // As if the call had been killed between the renaming and the rest.
    cluster
        .connect("postgres")
        .batch_execute("DROP DATABASE kept WITH (FORCE)")
        .expect("no database");
    let outcome = restore(&source(&dump), &target, &options, &Silent).expect("a restore");
    assert_eq!(outcome.kept, Some(kept));
    assert_eq!(text_of(cluster, "kept"), text_of(cluster, "kept_source"));
}

#[test]
fn what_fails_after_the_renaming_says_how_to_go_back() {
    let cluster = Cluster::shared();
    let made_up = MadeUp::small();
    let place = place();
    let dump = place.path().join("bad.sql");
    // The rows are well formed, but a constraint behind them fails.
    let text = fs::read_to_string(made_up.dump()).expect("a dump");
    let end = "--\n-- PostgreSQL database dump complete";
    assert!(text.contains(end));
    let bad = text.replace(
        end,
        &format!("ALTER TABLE public.nothing ADD CONSTRAINT c CHECK (false);\n\n{end}"),
    );
    fs::write(&dump, bad).expect("a dump");
    cluster.create_database("gone_back");
    cluster
        .connect("gone_back")
        .batch_execute("CREATE TABLE precious (x int)")
        .expect("a table");
    let target = target(cluster, "gone_back");
    let mut options = options(place.path());
    options.clean = true;
    let error = restore(&source(&dump), &target, &options, &Silent).expect_err("a bad dump");
    let DatabaseError::AfterRename {
        kept,
        source: inner,
        ..
    } = &error
    else {
        panic!("{error:?}");
    };
    assert!(!error.is_misuse());
    let inner = inner.to_string();
    assert!(inner.contains("ALTER TABLE public.nothing"), "{inner}");
    let advice = error.to_string();
    assert!(
        advice.contains(&format!("ALTER DATABASE {kept} RENAME TO gone_back;")),
        "{advice}"
    );
    assert_eq!(tables(cluster, "gone_back"), 0);

    // What it says works.
    let mut client = cluster.connect("postgres");
    client
        .batch_execute("DROP DATABASE gone_back")
        .expect("no database");
    client
        .batch_execute(&format!("ALTER DATABASE {kept} RENAME TO gone_back"))
        .expect("the former one");
    assert_eq!(tables(cluster, "gone_back"), 1);
}

/// Ends the work at one of its questions whether to go on.
struct StopAt(AtomicU64);

impl Monitor for StopAt {
    fn stopped(&self) -> bool {
        let left = |left: u64| left.checked_sub(1);
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, left)
            .is_err()
    }
}

#[test]
fn an_interrupted_restore_leaves_nothing_and_goes_on() {
    let cluster = Cluster::shared();
    let made_up = MadeUp::small();
    made_up.go_live(cluster, "interrupted_source");
    let place = place();
    let dump = place.path().join("database.dump");
    dumped(cluster, "interrupted_source", &dump, &["--format=custom"]);
    let target = target(cluster, "interrupted");
    let options = options(place.path());
    let mut interrupted = 0;
    for questions in (0..).step_by(7) {
        let stop = StopAt(AtomicU64::new(questions));
        match restore(&source(&dump), &target, &options, &stop) {
            Ok(_) => break,
            Err(error) => assert!(error.is_stop(), "{error}"),
        }
        interrupted += 1;
        if is_there(cluster, "interrupted") {
            assert_eq!(tables(cluster, "interrupted"), 0);
        }
    }
    assert!(interrupted > 3, "only {interrupted} interruptions");
    assert_eq!(
        text_of(cluster, "interrupted"),
        text_of(cluster, "interrupted_source")
    );
}

#[test]
fn a_killed_program_or_connection_leaves_nothing() {
    let cluster = Cluster::shared();
    let made_up = MadeUp::small();
    made_up.go_live(cluster, "killed_source");
    let place = place();
    let dump = place.path().join("database.dump");
    dumped(cluster, "killed_source", &dump, &["--format=custom"]);
    // A pg_restore that is killed in the midst of its second run, in which the dump is played.
    let real = PathBuf::from(programs().path("pg_restore"));
    let bin = place.path().join("bin");
    fs::create_dir(&bin).expect("a directory");
    let script = format!(
        "#!/bin/sh\ncd '{}'\nif [ -e once ]; then '{}' \"$@\" | head -c 20000; kill -9 $$; fi\n\
         touch once\nexec '{}' \"$@\"\n",
        bin.display(),
        real.display(),
        real.display()
    );
    install(&bin.join("pg_restore"), &script);
    let target = target(cluster, "killed");
    let mut options = options(place.path());
    options.programs = Programs::new(Some(bin));
    let error = restore(&source(&dump), &target, &options, &Silent).expect_err("a killed program");
    assert!(!error.is_misuse(), "{error}");
    assert_eq!(tables(cluster, "killed"), 0);

    // The server loses the connection.
    struct Cut<'a>(&'a Cluster, AtomicU64);
    impl Monitor for Cut<'_> {
        fn stopped(&self) -> bool {
            if self.1.fetch_add(1, Ordering::Relaxed) == 40 {
                let statement = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                                 WHERE datname = 'killed' AND application_name = 'fogold'";
                self.0
                    .connect("postgres")
                    .batch_execute(statement)
                    .expect("a lost connection");
            }
            false
        }
    }
    options.programs = programs();
    let cut = Cut(cluster, AtomicU64::new(0));
    let error = restore(&source(&dump), &target, &options, &cut).expect_err("a lost connection");
    assert!(!error.is_misuse(), "{error}");
    assert_eq!(tables(cluster, "killed"), 0);

    restore(&source(&dump), &target, &options, &Silent).expect("a restore");
    assert_eq!(
        text_of(cluster, "killed"),
        text_of(cluster, "killed_source")
    );
}

#[test]
fn what_is_no_whole_dump_of_fossology_touches_nothing() {
    let cluster = Cluster::shared();
    let made_up = MadeUp::small();
    let place = place();
    let text = fs::read(made_up.dump()).expect("a dump");
    let cut = place.path().join("cut.sql");
    fs::write(&cut, &text[..text.len() / 2]).expect("a dump");
    cluster.create_database("somebody_elses");
    cluster
        .connect("somebody_elses")
        .batch_execute("CREATE TABLE page (x int)")
        .expect("a table");
    let other = place.path().join("other.dump");
    dumped(cluster, "somebody_elses", &other, &["--format=custom"]);
    for (dump, misuse, why) in [
        (&cut, false, "cut short"),
        (&other, true, "not a FOSSology database"),
    ] {
        let error = restore(
            &source(dump),
            &target(cluster, "untouched"),
            &options(place.path()),
            &Silent,
        )
        .expect_err("no dump");
        assert!(error.to_string().contains(why), "{error}");
        assert_eq!(error.is_misuse(), misuse);
        assert!(!is_there(cluster, "untouched"));
    }
    // Other rows than the set says.
    let source = Source {
        rows: Some([("pfile".to_owned(), 1)].into()),
        ..source(made_up.dump())
    };
    let error = restore(
        &source,
        &target(cluster, "untouched"),
        &options(place.path()),
        &Silent,
    )
    .expect_err("other rows");
    assert!(error.to_string().contains("its set says 1"), "{error}");
    assert!(!is_there(cluster, "untouched"));
}

#[test]
fn a_hostile_dump_runs_nothing() {
    let cluster = Cluster::shared();
    let made_up = MadeUp::small();
    let place = place();
    let trace = place.path().join("trace");
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o777)).expect("its mode");
    let text = fs::read_to_string(made_up.dump()).expect("a dump");
    let end = "--\n-- PostgreSQL database dump complete";
    for (index, evil) in [
        format!("\\! touch {}\n", trace.display()),
        format!(
            "COPY public.pfile FROM PROGRAM 'touch {}';\n",
            trace.display()
        ),
        format!("COPY public.pfile TO '{}';\n", trace.display()),
        "ROLLBACK;\n".to_owned(),
    ]
    .iter()
    .enumerate()
    {
        let dump = place.path().join("evil.sql");
        fs::write(&dump, text.replace(end, &format!("{evil}\n{end}"))).expect("a dump");
        let database = format!("hostile_{index}");
        let error = restore(
            &source(&dump),
            &target(cluster, &database),
            &options(place.path()),
            &Silent,
        )
        .expect_err("a hostile dump");
        assert!(matches!(error, DatabaseError::Foreign { .. }), "{error}");
        assert!(error.is_misuse());
        assert_eq!(tables(cluster, &database), 0);
        assert!(!trace.exists());
    }
}

#[test]
fn roles_are_made_or_asked_for() {
    let cluster = Cluster::start(&ClusterOptions {
        auth: "scram-sha-256",
        ..ClusterOptions::default()
    });
    let made_up = MadeUp::small();
    let dump = made_up.dump();
    let place = place();
    let globals = place.path().join("globals.sql");
    fs::write(
        &globals,
        "--\n-- PostgreSQL database cluster dump\n--\n\nCREATE ROLE fossy;\n\
         ALTER ROLE fossy WITH NOSUPERUSER INHERIT NOCREATEROLE CREATEDB LOGIN;\n\
         CREATE ROLE reader;\nALTER ROLE reader WITH NOSUPERUSER LOGIN;\n\
         CREATE ROLE boss;\nALTER ROLE boss WITH SUPERUSER LOGIN;\n",
    )
    .expect("globals");
    let port = cluster.port();
    let password = "it's \"made\" up";
    let fossys = |database: &str| {
        parameters(&format!(
            "host=127.0.0.1 port={port} dbname={database} user=fossy password='{}'",
            password.replace('\'', "\\'")
        ))
    };
    for statement in [
        "ALTER SYSTEM SET log_statement = 'all'",
        "SELECT pg_reload_conf()",
    ] {
        cluster
            .connect("postgres")
            .batch_execute(statement)
            .expect("a server that logs all");
    }
    // Without the role there is no connection as it.
    let as_fossy = |database: &str| Target {
        connection: fossys(database),
        owner: Some(Owner::of(&fossys(database))),
    };
    let options = options(place.path());
    let error = restore(&source(&dump), &as_fossy("fossology"), &options, &Silent)
        .expect_err("no such role");
    let text = format!("{error} {error:?}");
    assert!(
        text.contains("CREATE ROLE fossy LOGIN") && !text.contains(password),
        "{text}"
    );

    // An administrator makes it on the way.
    let target = Target {
        connection: parameters(&cluster.conninfo("fossology")),
        owner: Some(Owner {
            name: "fossy".to_owned(),
            password: Some(Secret::new(password)),
        }),
    };
    let with_globals = Source {
        globals: Some(globals),
        ..source(&dump)
    };
    let outcome = restore(&with_globals, &target, &options, &Silent).expect("a restore");
    assert_eq!(outcome.roles_created, ["fossy", "reader"]);
    assert_eq!(outcome.roles_missing, ["boss"]);
    let mut client = fossys("fossology")
        .connector()
        .expect("a connector")
        .connect()
        .expect("a connection with the password of Db.conf");
    client
        .batch_execute("UPDATE upload SET upload_pk = upload_pk; CREATE TABLE mine (x int)")
        .expect("its own tables");

    let log = fs::read_to_string(cluster.socket_directory().join("log")).expect("a log");
    assert!(log.contains("CREATE ROLE fossy") && log.contains("SCRAM-SHA-256$"));
    assert!(
        !log.contains("made\" up"),
        "the password is in the server's log"
    );

    // A database that is there, and is somebody else's.
    cluster.create_database("strange");
    let error = restore(&source(&dump), &as_fossy("strange"), &options, &Silent)
        .expect_err("somebody else's database");
    let advice = "ALTER DATABASE strange OWNER TO fossy;";
    assert!(error.to_string().contains(advice), "{error}");
    cluster
        .connect("postgres")
        .batch_execute(advice)
        .expect("what an administrator types");
    restore(&source(&dump), &as_fossy("strange"), &options, &Silent).expect("a restore");

    // Now the role can make a database by itself; without the right it says who can.
    restore(&source(&dump), &as_fossy("second"), &options, &Silent).expect("a restore");
    cluster
        .connect("postgres")
        .batch_execute("ALTER ROLE fossy NOCREATEDB")
        .expect("a role without rights");
    let error = restore(&source(&dump), &as_fossy("third"), &options, &Silent)
        .expect_err("a role without rights");
    assert!(!error.is_misuse());
    let text = error.to_string();
    let advice = text
        .split_once("ALTER ROLE fossy CREATEDB; or ")
        .and_then(|(_, rest)| rest.split_once(" and then type the same command again"));
    let (statement, _) = advice.unwrap_or_else(|| panic!("{text}"));
    assert!(statement.starts_with("CREATE DATABASE third OWNER fossy TEMPLATE template0"));
    cluster
        .connect("postgres")
        .batch_execute(statement)
        .expect("what an administrator types");
    restore(&source(&dump), &as_fossy("third"), &options, &Silent).expect("a restore");
}

/// What the scheduler does to the queue when it starts with `--reset`.
const RESET: &str = "UPDATE jobqueue SET jq_starttime = NULL, jq_endtext = NULL, jq_schedinfo = NULL \
    WHERE jq_endtime IS NULL";

/// The deletions that it would start then.
const STARTABLE_DELETIONS: &str = "SELECT count(*) FROM jobqueue q WHERE jq_starttime IS NULL AND jq_end_bits < 2 \
    AND jq_type IN ('delagent', 'maintagent') \
    AND NOT EXISTS (SELECT FROM jobdepends JOIN jobqueue d ON d.jq_pk = jdep_jq_depends_fk \
        WHERE jdep_jq_fk = q.jq_pk AND (d.jq_endtime IS NULL OR d.jq_end_bits >= 2))";

#[test]
fn pending_deletions_are_held() {
    let cluster = Cluster::shared();
    let Some(capture) = Capture::open("E-pending") else {
        return;
    };
    capture.load(cluster, "pending_source");
    cluster
        .connect("pending_source")
        .batch_execute(
            "INSERT INTO jobqueue (jq_pk, jq_job_fk, jq_type, jq_args, jq_starttime, jq_endtext, jq_end_bits) VALUES \
             (100, 16, 'delagent', 'DELETE UPLOAD 2', NULL, NULL, 0), \
             (101, 16, 'maintagent', '-Z', now(), 'Started', 0), \
             (102, 16, 'delagent', 'DELETE UPLOAD 3', '9999-12-31', 'Paused', 0); \
             SELECT setval('jobqueue_jq_pk_seq', 102)",
        )
        .expect("deletions");
    let place = place();
    let dump = place.path().join("database.dump");
    dumped(cluster, "pending_source", &dump, &["--format=custom"]);

    let outcome = restored_with_journal(cluster, "pending", &dump, place.path());
    let held: Vec<_> = outcome
        .held
        .iter()
        .map(|job| (job.jq_pk, job.state))
        .collect();
    let states = [JobState::Queued, JobState::Running, JobState::Paused];
    assert_eq!(
        held,
        [100, 101, 102].into_iter().zip(states).collect::<Vec<_>>()
    );
    let open: Vec<_> = outcome
        .open_jobs
        .iter()
        .map(|job| (job.jq_pk, job.agent.as_str(), job.upload))
        .collect();
    assert_eq!(open.len(), 8);
    assert_eq!(open[0], (31, "ununpack", Some(15)));
    assert_eq!(outcome.open_jobs[6].state, JobState::Running);

    let journal = fs::read_to_string(outcome.journal.expect("a journal")).expect("its text");
    let lines: Vec<serde_json::Value> = journal
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[1]["jq_endtext"], "Started");
    assert_eq!(lines[2]["jq_starttime"], "9999-12-31 00:00:00+00");
    assert_eq!(lines[0]["jq_end_bits"], 0);

    let mut client = cluster.connect("pending");
    client.batch_execute(RESET).expect("a reset");
    assert_eq!(number(&mut client, STARTABLE_DELETIONS), 0);

    // Whoever wants them to run gets them.
    let mut options = options(place.path());
    options.run_deletions = true;
    let target = target(cluster, "not_held");
    let outcome = restore(&source(&dump), &target, &options, &Silent).expect("a restore");
    assert_eq!((outcome.held.len(), outcome.open_jobs.len()), (0, 11));
    let mut client = cluster.connect("not_held");
    client.batch_execute(RESET).expect("a reset");
    assert_eq!(number(&mut client, STARTABLE_DELETIONS), 3);

    // A dry run says the same.
    let planned = dry_run(cluster, "not_made", &dump, place.path());
    assert_eq!((planned.held.len(), planned.open_jobs.len()), (3, 8));
    assert_eq!(planned.open_jobs[0].upload, Some(15));
    assert_eq!(planned.held[2].state, JobState::Paused);
    assert!(!is_there(cluster, "not_made"));
}

fn restored_with_journal(
    cluster: &Cluster,
    database: &str,
    dump: &Path,
    journal: &Path,
) -> Outcome {
    restore(
        &source(dump),
        &target(cluster, database),
        &options(journal),
        &Silent,
    )
    .expect("a restore")
}

fn dry_run(cluster: &Cluster, database: &str, dump: &Path, journal: &Path) -> Outcome {
    let mut options = options(journal);
    options.dry_run = true;
    restore(&source(dump), &target(cluster, database), &options, &Silent).expect("a plan")
}

#[test]
fn paths_follow_the_repository() {
    let cluster = Cluster::shared();
    let Some(capture) = Capture::open("A-healthy") else {
        return;
    };
    let place = place();
    let mut source = source(capture.file("dump-Fc.dump"));
    source.repository = Some("/srv/fossology/repository".to_owned());
    let mut options = options(place.path());
    let outcome =
        restore(&source, &target(cluster, "old_paths"), &options, &Silent).expect("a restore");
    assert_eq!((outcome.paths.logs, outcome.paths_rewritten), (4, false));

    options.rewrite_paths = Some(("/srv/fossology/repository/".into(), "/data/it's".into()));
    let outcome =
        restore(&source, &target(cluster, "new_paths"), &options, &Silent).expect("a restore");
    assert_eq!((outcome.paths.logs, outcome.paths_rewritten), (4, true));
    let path: String = cluster
        .connect("new_paths")
        .query_one("SELECT jq_log FROM jobqueue WHERE jq_pk = 2", &[])
        .expect("a row")
        .get(0);
    assert_eq!(path, "/data/it's/logs/00/00/02/000002");
}

#[test]
fn text_without_an_encoding_comes_back_as_it_was() {
    let cluster = Cluster::shared();
    let made_up = MadeUp::small();
    cluster.create_database_in("ascii_source", Encoding::SqlAscii);
    let mut client = cluster.connect("ascii_source");
    made_up.server.load_into(&mut client).expect("rows");
    // A name, a default and a remark in ISO 8859-1.
    client
        .batch_execute(
            "UPDATE upload SET upload_filename = E'm\\xfcller\\\\\\t' WHERE upload_pk = (SELECT min(upload_pk) FROM upload); \
             ALTER TABLE upload ADD COLUMN odd text DEFAULT E'M\\xfcll';",
        )
        .expect("text in no encoding");
    let place = place();
    for (name, more) in [
        ("ascii.dump", "--format=custom"),
        ("ascii.sql", "--format=plain"),
    ] {
        let dump = place.path().join(name);
        dumped(cluster, "ascii_source", &dump, &[more]);
        let database = name.replace('.', "_");
        restored(cluster, &database, &dump);
        let mut client = cluster.connect(&database);
        let row = client
            .query_one("SELECT current_setting('server_encoding')", &[])
            .expect("a row");
        assert_eq!(row.get::<_, String>(0), "SQL_ASCII");
        let raw = |database: &str| {
            let output = cluster
                .client("pg_dump", database)
                .args(["--no-owner", "--no-comments", "--inserts"])
                .output()
                .expect("pg_dump runs");
            let lines = output.stdout.split(|byte| *byte == b'\n');
            let lines = lines.filter(|line| !line.starts_with(b"\\"));
            lines.map(<[u8]>::to_vec).collect::<Vec<_>>()
        };
        assert_eq!(raw(&database), raw("ascii_source"));
    }
}

#[test]
fn a_later_call_knows_that_the_database_is_done() {
    let cluster = Cluster::shared();
    let made_up = MadeUp::small();
    let place = place();
    let target = target(cluster, "resumed");
    let mut options = options(place.path());
    options.clean = true;
    let labelled = |label: &str| Source {
        label: Some(label.to_owned()),
        ..source(made_up.dump())
    };
    let first = restore(&labelled("set 'one'"), &target, &options, &Silent).expect("a restore");
    let again = restore(&labelled("set 'one'"), &target, &options, &Silent).expect("the same");
    assert!(!first.resumed && again.resumed);
    assert_eq!((again.rows, again.kept), (first.rows, None));
    assert_eq!(again.open_jobs, first.open_jobs);

    // What is done to the end is a database like any other.
    seal(&target).expect("no remark");
    options.clean = false;
    let error = restore(&labelled("set 'one'"), &target, &options, &Silent).expect_err("not empty");
    assert!(matches!(error, DatabaseError::NotEmpty { .. }), "{error}");
}

#[test]
fn two_restores_do_not_work_on_one_database() {
    let cluster = Cluster::shared();
    let made_up = MadeUp::small();
    let place = place();
    let dump = made_up.dump();
    let target = target(cluster, "contested");
    let options = options(place.path());
    let outcomes = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..2)
            .map(|_| scope.spawn(|| restore(&source(&dump), &target, &options, &Silent)))
            .collect();
        runs.into_iter()
            .map(|run| run.join().expect("no panic"))
            .collect::<Vec<_>>()
    });
    let (good, bad): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!((good.len(), bad.len()), (1, 1));
    let error = bad[0].as_ref().expect_err("the slower one");
    assert!(matches!(error, DatabaseError::NotEmpty { .. }), "{error}");
}

#[test]
fn a_dump_in_zstd_and_one_from_a_newer_server() {
    let cluster = Cluster::shared();
    let made_up = MadeUp::small();
    let place = place();
    let text = fs::read_to_string(made_up.dump()).expect("a dump");
    let (head, rest) = text.split_once("\nSET ").expect("settings");
    let text = format!("{head}\nSET transaction_timeout = 0;\nSET {rest}");
    let dump = place.path().join("dump.sql.zst");
    let mut file = fs::File::create(&dump).expect("a file");
    let packed = zstd::encode_all(text.as_bytes(), 1).expect("zstd");
    file.write_all(&packed).expect("a dump");
    restored(cluster, "newer", &dump);
    assert!(tables(cluster, "newer") > 4);
}

#[test]
fn a_restore_is_tried_in_a_server_of_its_own() {
    let made_up = MadeUp::small();
    let place = place();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).expect("its mode");
    let cluster = ScratchCluster::start(place.path(), &programs(), &Silent).expect("a server");
    let target = Target {
        connection: cluster.connection("fossology").expect("parameters"),
        owner: None,
    };
    let outcome = restore(
        &source(made_up.dump()),
        &target,
        &options(place.path()),
        &Silent,
    )
    .expect("a restore");
    assert!(outcome.created);
    let mut client = target
        .connection
        .connector()
        .expect("a connector")
        .connect()
        .expect("a connection");
    let settings = "SELECT current_setting('listen_addresses'), current_setting('fsync')";
    let row = client.query_one(settings, &[]).expect("settings");
    assert_eq!((row.get(0), row.get(1)), ("", "off"));
    // A second one beside it does not disturb it.
    drop(ScratchCluster::start(place.path(), &programs(), &Silent).expect("another server"));
    number(&mut client, "SELECT count(*) FROM upload");
    drop(client);
    drop(cluster);
    assert_eq!(fs::read_dir(place.path()).expect("a directory").count(), 0);
}

#[test]
fn a_server_of_its_own_that_does_not_start_says_why() {
    let place = place();
    let none = Programs::new(Some(place.path().join("nothing")));
    let error = ScratchCluster::start(place.path(), &none, &Silent).expect_err("no programs");
    assert!(
        error.to_string().contains("apt-get install postgresql"),
        "{error}"
    );
    let stop = StopAt(AtomicU64::new(3));
    let error = ScratchCluster::start(place.path(), &programs(), &stop).expect_err("stopped");
    assert!(matches!(error, ScratchClusterError::Stopped), "{error}");
    assert_eq!(fs::read_dir(place.path()).expect("a directory").count(), 0);
}

/// The part of the next two stories that is played in a process of its own, and killed there.
#[test]
#[ignore = "played by other stories"]
fn in_a_process_of_its_own() {
    let Ok(directory) = std::env::var("FOGOLD_STORY") else {
        return;
    };
    let directory = PathBuf::from(directory);
    let Ok(target) = fs::read_to_string(directory.join("target")) else {
        let _cluster = ScratchCluster::start(&directory, &programs(), &Silent).expect("a server");
        std::thread::sleep(Duration::from_secs(600));
        return;
    };
    let target = Target {
        connection: parameters(&target),
        owner: None,
    };
    let source = labelled(directory.join("database.dump"));
    restore(&source, &target, &options(&directory), &Silent).expect("a restore");
}

fn labelled(dump: PathBuf) -> Source {
    Source {
        label: Some("a set".to_owned()),
        ..source(dump)
    }
}

fn process(directory: &Path) -> Child {
    Command::new(std::env::current_exe().expect("this program"))
        .args([
            "--exact",
            "database_restore::in_a_process_of_its_own",
            "--ignored",
        ])
        .env("FOGOLD_STORY", directory)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a process")
}

#[test]
fn a_restore_that_is_killed_goes_on() {
    let cluster = Cluster::shared();
    let made_up = MadeUp::healthy(ServerSpec {
        files: 8_000,
        bytes: 800_000,
        ..ServerSpec::default()
    });
    let place = place();
    fs::copy(made_up.dump(), place.path().join("database.dump")).expect("a dump");
    let begin = |database: &str| {
        fs::write(place.path().join("target"), cluster.conninfo(database)).expect("a target");
        process(place.path())
    };
    let start = Instant::now();
    assert!(begin("undisturbed").wait().expect("its end").success());
    let step = start.elapsed() / 12;
    let all = tables(cluster, "undisturbed");
    let mut empty = 0;
    for point in 1..=12 {
        let mut child = begin("murdered");
        std::thread::sleep(step * point);
        child.kill().expect("a dead process");
        child.wait().expect("its end");
        if !is_there(cluster, "murdered") {
            continue;
        }
        // What it began ends with its connection: none of it, or all.
        match tables(cluster, "murdered") {
            0 => empty += 1,
            found => {
                assert_eq!(found, all);
                cluster
                    .connect("postgres")
                    .batch_execute("DROP DATABASE murdered WITH (FORCE)")
                    .expect("no database");
            }
        }
    }
    assert!(empty > 0, "never in the midst of it");
    let outcome = restore(
        &labelled(place.path().join("database.dump")),
        &target(cluster, "murdered"),
        &options(place.path()),
        &Silent,
    )
    .expect("a restore");
    assert!(outcome.rows["pfile"] > 0);
    assert_eq!(
        text_of(cluster, "murdered"),
        text_of(cluster, "undisturbed")
    );
}

#[test]
fn a_server_of_its_own_does_not_outlive_a_killed_process() {
    let place = place();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).expect("its mode");
    let wait_for = |what: &str, holds: &dyn Fn() -> bool| {
        let start = Instant::now();
        while !holds() {
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "{what} does not come"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let mut child = process(place.path());
    let socket = || {
        let entry = fs::read_dir(place.path()).ok()?.next()?.ok()?;
        let socket = entry.path().join(".s.PGSQL.5432");
        socket.exists().then_some(socket)
    };
    wait_for("the server", &|| socket().is_some());
    child.kill().expect("a dead process");
    child.wait().expect("its end");
    wait_for("its end", &|| socket().is_none());
    assert_eq!(fs::read_dir(place.path()).expect("a directory").count(), 1);
    drop(ScratchCluster::start(place.path(), &programs(), &Silent).expect("a server"));
    assert_eq!(fs::read_dir(place.path()).expect("a directory").count(), 0);
}
