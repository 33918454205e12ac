//! The plan: which uploads, and that it is what a real agent then brought back.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use fogold::fixtures::ServerSpec;
use serde_json::json;

use super::{
    NEEDED, corrupt, file_of, gold_of, list, listing_paths, queue, run, unused_in_healthy, uploads,
};
use crate::support::{Cluster, FakeScheduler, Fogold, MadeUp, Mood, Recorded};

#[test]
fn a_dry_run_shows_the_plan_and_changes_nothing() {
    let Some(server) = Recorded::open("B-gold-only", "requeue_dry") else {
        return;
    };
    let (rows, files) = (queue(&server), server.files(true));
    let report = run(server.requeue().arg("--dry-run"), 0);
    assert_eq!(uploads(&report["jobs"]), NEEDED);
    assert_eq!(report["jobs"][0]["serves"]["first"], json!([2, 8]));
    assert_eq!(report["unlinked_golds"], 11);
    assert_eq!(report["listings"], 9);
    assert_eq!(report["sql"].as_array().map(Vec::len), Some(1 + 10));
    // The recorded times: upload 2 took 1.26 s.
    assert_eq!(report["jobs"][0]["seconds_known"], true);
    let seconds = report["jobs"][0]["seconds"].as_f64().expect("a time");
    assert!((seconds - 1.257).abs() < 0.01, "{seconds}");
    assert_eq!(queue(&server), rows);
    assert_eq!(server.files(true), files);

    // The statements that are shown are those that would run.
    let text = Fogold::new(["requeue", "--dry-run", "--sysconfdir"])
        .arg(server.sysconfdir())
        .run();
    text.assert_code(0);
    let text = text.text();
    assert!(text.starts_with("PLAN: 10 unpacks, about "), "{text}");
    let statements: Vec<&str> = list(&report["sql"])
        .iter()
        .map(|statement| statement.as_str().expect("a statement"))
        .collect();
    for statement in &statements {
        assert!(text.contains(statement), "{text}");
    }
    server.sql(&statements.join("\n"));
    let by_hand = server.new_rows("jobqueue", &rows["jobqueue"]).len();
    assert_eq!(by_hand, 10);
}

#[test]
fn the_plan_is_what_the_real_agent_brought_back() {
    let Some(server) = Recorded::open("B-gold-only", "requeue_predicted") else {
        return;
    };
    let recorded = server.capture.json("reunpack.json");
    let had: BTreeSet<&str> = list(&recorded["verified_procedure"]["jobs"])
        .iter()
        .map(|job| job["upload"].as_i64().expect("an upload"))
        .filter(|upload| *upload != 4)
        .map(|upload| NEEDED.contains(&upload))
        .map(|known| if known { "planned" } else { "not planned" })
        .collect();
    assert_eq!(had, BTreeSet::from(["planned"]));

    let report = run(server.requeue().arg("--dry-run"), 0);
    // Listings that never came back, and the new ones that came instead.
    let new: BTreeSet<String> = list(&recorded["compared_with_healthy"]["new"])
        .iter()
        .map(|path| path.as_str().expect("a path").to_owned())
        .collect();
    let mut all: BTreeSet<String> = BTreeSet::new();
    let mut listings = listing_paths(&server);
    // Version-control files of upload 10, which no tree row uses.
    listings.extend(unused_in_healthy(&server));
    let golds: BTreeSet<String> = (2..=13)
        .map(|upload| {
            let path = gold_of(&server, upload, "files");
            let below = path.strip_prefix(server.repository()).expect("below");
            below.to_str().expect("UTF-8").to_owned()
        })
        .collect();
    for of in list(&recorded["uploads"]) {
        let written: BTreeSet<String> = ["files_new", "files_rewritten_same_bytes"]
            .iter()
            .flat_map(|kind| list(&of[*kind]))
            .map(|path| path.as_str().expect("a path").to_owned())
            .filter(|path| !new.contains(path) && !golds.contains(path) && !listings.contains(path))
            .collect();
        let job = list(&report["jobs"])
            .iter()
            .find(|job| job["upload"] == of["upload"]);
        if let Some(job) = job {
            let (upload, files) = (&of["upload"], written.len());
            assert_eq!(job["brings"]["files"], files, "upload {upload}");
            let arguments = of["jq_cmd_args"].as_str().unwrap_or("");
            assert_eq!(job["arguments"], arguments, "upload {upload}");
        }
        all.extend(written);
    }
    assert_eq!(report["wanted"]["files"], all.len());
}

#[test]
fn one_missing_file_is_brought_back_the_cheapest_way() {
    let Some(server) = Recorded::open("A-healthy", "requeue_cheapest") else {
        return;
    };
    let report = run(server.requeue(), 0);
    assert_eq!(report["verdict"], "OK: nothing to unpack");
    assert_eq!(report["scheduler"], "nothing");
    // main.c is in uploads 2, 7 and 8; that of 7 took a ninth of the time.
    let shared = file_of(&server, &[2, 7, 8]);
    fs::remove_file(&shared).expect("a file");
    let report = run(server.requeue().arg("--dry-run"), 0);
    assert_eq!(uploads(&report["jobs"]), [7]);
    assert_eq!(report["jobs"][0]["brings"]["files"], 1);
    // When 2 is needed anyway, 7 is not.
    fs::remove_file(file_of(&server, &[2, 8])).expect("a file");
    let report = run(server.requeue().arg("--dry-run"), 0);
    assert_eq!(uploads(&report["jobs"]), [2]);
    assert_eq!(report["jobs"][0]["brings"]["files"], 2);
    // What is queued already counts, whoever queued it.
    server.sql(
        "INSERT INTO job (job_queued, job_name, job_upload_fk, job_user_fk) VALUES (now(), 'reunpack', 8, 3);
         INSERT INTO jobqueue (jq_job_fk, jq_type, jq_args) SELECT max(job_pk), 'ununpack', '8' FROM job",
    );
    let report = run(server.requeue(), 0);
    assert_eq!(uploads(&report["jobs"]), Vec::<i64>::new());
    assert_eq!(uploads(&report["open"]), [8]);
    assert_eq!(report["verdict"], "OK: what is needed is queued already");
}

#[test]
fn what_is_lost_is_named_and_not_queued() {
    let Some(server) = Recorded::open("B-gold-only", "requeue_lost") else {
        return;
    };
    fs::remove_file(gold_of(&server, 3, "gold")).expect("a gold");
    corrupt(&gold_of(&server, 9, "gold"));
    let report = run(server.requeue(), 1);
    let wanted: Vec<i64> = NEEDED
        .into_iter()
        .filter(|upload| ![3, 9].contains(upload))
        .collect();
    assert_eq!(uploads(&report["jobs"]), wanted);
    assert_eq!(
        report["verdict"],
        "NOT ALL: 8 unpacks queued; not everything comes back that way"
    );
    assert_eq!(uploads(&report["lost"]), [3, 9]);
    assert_eq!(report["lost"][0]["why"], "its gold is missing");
    assert_eq!(
        report["lost"][1]["why"],
        "its gold is corrupt (differs in sha1, md5)"
    );
    assert!(report["beyond"]["files"].as_u64().expect("a number") > 0);
    assert!(
        !gold_of(&server, 9, "files").exists(),
        "a bad gold is not spread"
    );
}

#[test]
fn a_queued_unpack_of_a_gold_that_is_lost_is_not_counted_on() {
    let Some(server) = Recorded::open("B-gold-only", "requeue_lost_and_queued") else {
        return;
    };
    run(server.requeue(), 0);
    // Of the right length, so only reading shows it; in files/ it is the same inode.
    for ty in ["gold", "files"] {
        corrupt(&gold_of(&server, 5, ty));
    }
    let report = run(server.requeue(), 1);
    assert_eq!(uploads(&report["jobs"]), Vec::<i64>::new());
    let open = uploads(&report["open"]);
    assert_eq!(open.len(), NEEDED.len() - 1, "{open:?}");
    assert!(!open.contains(&5), "{open:?}");
    assert_eq!(uploads(&report["lost"]), [5]);
}

#[test]
fn a_bad_copy_gives_way_before_it_is_unpacked() {
    let Some(server) = Recorded::open("B-gold-only", "requeue_bad_copy") else {
        return;
    };
    let (gold, copy) = (gold_of(&server, 5, "gold"), gold_of(&server, 5, "files"));
    fs::create_dir_all(copy.parent().expect("a directory")).expect("directories");
    fs::copy(&gold, &copy).expect("a copy");
    corrupt(&copy);
    let bad = fs::read(&copy).expect("a copy");
    let report = run(server.requeue(), 0);
    assert_eq!(
        fs::read(&copy).expect("a copy"),
        fs::read(&gold).expect("a gold")
    );
    let placed = list(&report["placed"]);
    let quarantined: Vec<&str> = placed
        .iter()
        .filter_map(|placed| placed["quarantined"].as_str())
        .collect();
    assert_eq!(quarantined.len(), 1);
    assert!(
        quarantined[0].starts_with("localhost/.fogold/quarantine/"),
        "{quarantined:?}"
    );
    let kept = fs::read(server.repository().join(quarantined[0])).expect("the bad copy");
    assert_eq!(kept, bad);
}

/// Queues the unpack of an upload as somebody else would have; returns its row.
fn queue_by_hand(server: &Recorded, upload: i32) -> i32 {
    server.sql(&format!(
        "INSERT INTO job (job_queued, job_name, job_upload_fk, job_user_fk) VALUES (now(), 'reunpack', {upload}, 3);
         INSERT INTO jobqueue (jq_job_fk, jq_type, jq_args) SELECT max(job_pk), 'ununpack', '{upload}' FROM job",
    ));
    i32::try_from(server.number("SELECT max(jq_pk)::int8 FROM jobqueue")).expect("a key")
}

#[test]
fn an_unpack_that_was_started_and_has_no_end_is_told_from_a_queued_one() {
    let Some(server) = Recorded::open("A-healthy", "requeue_started") else {
        return;
    };
    fs::remove_file(file_of(&server, &[13])).expect("a file");
    let row = queue_by_hand(&server, 13);
    let start = |time: &str| {
        server.sql(&format!(
            "UPDATE jobqueue SET jq_starttime = {time} WHERE jq_pk = {row}"
        ));
    };
    let plan = || {
        let report = run(server.requeue().arg("--dry-run"), 0);
        assert_eq!(uploads(&report["jobs"]), Vec::<i64>::new());
        assert_eq!(uploads(&report["open"]), [13]);
        let text = Fogold::new(["requeue", "--dry-run", "--sysconfdir"])
            .arg(server.sysconfdir())
            .run();
        (report["open"][0].clone(), text.text())
    };
    // Still to start, and paused before it did.
    let paused = "but paused: nothing of that runs until somebody resumes it in FOSSology";
    for (time, is_paused, verdict, stands) in [
        ("NULL", false, String::new(), "is queued already, and"),
        (
            "'9999-12-31 00:00:00+00'",
            true,
            format!(", {paused}"),
            "is paused, and nothing of it runs until somebody resumes it in FOSSology; it then",
        ),
    ] {
        start(time);
        let (open, text) = plan();
        assert_eq!(
            (&open["started"], &open["at_work"]),
            (&json!(null), &json!(null))
        );
        assert_eq!(open["paused"], is_paused);
        let line = format!("  upload 13: job {row} {stands} brings back 1 file\n");
        assert!(text.ends_with(&line), "{text}");
        let verdict = format!("OK: what is needed is queued already{verdict}\n");
        assert!(text.starts_with(&verdict), "{text}");
    }
    // It is waited for in vain.
    let report = run(server.requeue().arg("--wait"), 1);
    assert_eq!(report["verdict"], "FAILED: 1 file still missing");
    // One that is not paused is what will come.
    let sooner = queue_by_hand(&server, 13);
    assert_eq!(plan().0["row"], sooner);
    server.sql(&format!("DELETE FROM jobqueue WHERE jq_pk = {sooner}"));

    start("'2020-01-02 03:04:05.6+00'");
    let line = |stands: &str| format!("  upload 13: job {row} {stands} brings back 1 file\n");
    let hint = "start the scheduler anew with --reset; it";
    // Nobody listens at the port.
    let (open, text) = plan();
    assert_eq!(open["started"], "2020-01-02T03:04:05Z");
    assert_eq!(open["at_work"], false);
    let stands = "was started 2020-01-02T03:04:05Z and has no end; ";
    let wanted = line(&format!("{stands}no scheduler is at it: {hint}"));
    assert!(text.ends_with(&wanted), "{text}");
    assert!(
        text.starts_with("OK: what is needed is queued or started already\n"),
        "{text}"
    );

    // What listens says nothing of jobs.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    server.scheduler_at(listener.local_addr().expect("an address").port());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            drop(stream);
        }
    });
    let (open, text) = plan();
    assert_eq!(open["at_work"], json!(null));
    let wanted = line(&format!("{stands}where no scheduler is at it, {hint}"));
    assert!(text.ends_with(&wanted), "{text}");

    for (mood, at_work) in [(Mood::Idles, false), (Mood::Runs(row), true)] {
        let Some(_scheduler) = FakeScheduler::start(&server, mood, &[]) else {
            return;
        };
        let (open, text) = plan();
        assert_eq!(open["at_work"], at_work);
        let at_it = line("has been at work since 2020-01-02T03:04:05Z, and");
        assert_eq!(text.ends_with(&at_it), at_work, "{text}");
    }
    // One that is still to start is what will come.
    let later = queue_by_hand(&server, 13);
    let (open, _) = plan();
    assert_eq!(
        (&open["row"], &open["started"]),
        (&json!(later), &json!(null))
    );
}

#[test]
fn a_bad_copy_gives_way_before_somebody_elses_unpack() {
    let Some(server) = Recorded::open("B-gold-only", "requeue_bad_copy_queued") else {
        return;
    };
    let (gold, copy) = (gold_of(&server, 5, "gold"), gold_of(&server, 5, "files"));
    let row = queue_by_hand(&server, 5);
    fs::create_dir_all(copy.parent().expect("a directory")).expect("directories");
    fs::copy(&gold, &copy).expect("a copy");
    let contents = fs::read(&gold).expect("a gold");
    let bring_back = |mood: Option<Mood>, time: &str| {
        server.sql(&format!(
            "UPDATE jobqueue SET jq_starttime = {time} WHERE jq_pk = {row}"
        ));
        corrupt(&copy);
        let _scheduler = mood.and_then(|mood| FakeScheduler::start(&server, mood, &[]));
        let report = run(server.requeue(), 0);
        assert!(uploads(&report["open"]).contains(&5));
        let is_good = fs::read(&copy).expect("a copy") == contents;
        let moved = list(&report["placed"])
            .iter()
            .filter(|placed| placed["quarantined"].is_string());
        assert_eq!(moved.count(), usize::from(is_good));
        is_good
    };
    // What an agent has open stays.
    assert!(!bring_back(Some(Mood::Runs(row)), "now()"));
    fs::copy(&gold, &copy).expect("a copy");
    assert!(bring_back(None, "NULL"), "it will be unpacked");
    assert!(
        bring_back(None, "now()"),
        "it will be unpacked after a reset"
    );
}

#[test]
fn each_gold_goes_to_the_host_of_its_range() {
    let Some(server) = Recorded::open("B-gold-only", "requeue_hosts") else {
        return;
    };
    server.configure_hosts(1, "alpha[] = * 00 7f\nbeta[] = * 80 ff");
    let root = server.repository();
    let golds = fs::read_dir(root.join("localhost/gold")).expect("golds");
    for gold in golds {
        let gold = gold.expect("a directory");
        let name = gold.file_name().into_string().expect("two digits");
        let host = if name.as_str() < "80" {
            "alpha"
        } else {
            "beta"
        };
        let to = root.join(host).join("gold");
        fs::create_dir_all(&to).expect("a directory");
        fs::rename(gold.path(), to.join(name)).expect("a move");
    }
    fs::remove_dir_all(root.join("localhost")).expect("an empty host");
    for host in ["alpha", "beta"] {
        for directory in [root.join(host), root.join(host).join("gold")] {
            fs::set_permissions(directory, fs::Permissions::from_mode(0o2770)).expect("a mode");
        }
    }
    let report = run(server.requeue(), 0);
    assert_eq!(uploads(&report["jobs"]), NEEDED);
    let placed: BTreeSet<&str> = list(&report["placed"])
        .iter()
        .map(|placed| placed["path"].as_str().expect("a path"))
        .collect();
    assert_eq!(placed.len(), 11);
    for path in placed {
        let (host, rest) = path.split_once("/files/").expect("a path in files");
        assert_eq!(
            host,
            if &rest[..2] < "80" { "alpha" } else { "beta" },
            "{path}"
        );
    }
    let outcome = server.check().run();
    outcome.assert_code(1);
    let findings = outcome.findings();
    assert!(
        findings
            .iter()
            .all(|finding| finding["kind"] != "misplaced")
    );
    assert!(root.join("alpha/.fogold/requeue").is_dir());
}

#[test]
fn the_plan_covers_everything_and_holds_nothing_needless() {
    let cluster = Cluster::shared();
    let made_up = MadeUp::healthy(ServerSpec {
        files: 3_000,
        bytes: 3_000_000,
        per_upload: 30,
        ..ServerSpec::default()
    });
    made_up.go_live(cluster, "requeue_made_up");
    let mut client = cluster.connect("requeue_made_up");
    client.batch_execute("ANALYZE").expect("statistics");
    for path in made_up.files("files") {
        fs::remove_file(made_up.repository().join(path)).expect("a file");
    }
    let requeue = || {
        Fogold::new(["requeue", "--dry-run", "--format", "json", "--sysconfdir"])
            .arg(made_up.sysconfdir())
    };
    let report = run(requeue(), 0);
    let picked: BTreeSet<i64> = uploads(&report["jobs"]).into_iter().collect();
    // Each file that no listing is, and the picks that have it; a gold is linked.
    let statement = "SELECT array_agg(DISTINCT t.upload_fk)::int8[] FROM uploadtree t \
         JOIN pfile p ON p.pfile_pk = t.pfile_fk \
         JOIN upload u ON u.upload_pk = t.upload_fk AND u.pfile_fk IS NOT NULL \
         WHERE NOT (t.ufile_mode & 268435456 <> 0 AND t.ufile_name = 'artifact.meta') \
           AND NOT EXISTS (SELECT FROM upload g WHERE g.pfile_fk = p.pfile_pk) \
         GROUP BY p.pfile_sha1, p.pfile_md5, p.pfile_size";
    let rows = client.query(statement, &[]).expect("files");
    assert_eq!(report["wanted"]["files"], rows.len());
    // A pick stands for all uploads that its job serves.
    let served: BTreeMap<i64, i64> = list(&report["jobs"])
        .iter()
        .flat_map(|job| {
            let pick = job["upload"].as_i64().expect("an upload");
            let serves = list(&job["serves"]["first"]);
            serves
                .iter()
                .map(move |upload| (upload.as_i64().expect("an upload"), pick))
        })
        .collect();
    let mut needed: BTreeSet<i64> = BTreeSet::new();
    for row in rows {
        let holders: Vec<i64> = row.get(0);
        let picks: BTreeSet<i64> = holders
            .iter()
            .filter_map(|upload| served.get(upload))
            .copied()
            .collect();
        assert!(!picks.is_empty(), "a file of {holders:?} is not covered");
        if picks.len() == 1 {
            needed.extend(picks);
        }
    }
    assert_eq!(needed, picked, "a pick is needless");
    assert!(picked.len() > 20, "{picked:?}");
    // The same whenever it is made.
    let again = run(requeue(), 0);
    assert_eq!(again["jobs"], report["jobs"]);
}
