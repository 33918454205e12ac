//! The roles that `sql/roles` makes: what commands may do with them, and what they may not.

use crate::support::{Fogold, Recorded};

const READER: &str = include_str!("../sql/roles/fogold_reader.sql");
const REPAIR: &str = include_str!("../sql/roles/fogold_repair.sql");
const REQUEUE: &str = include_str!("../sql/roles/fogold_requeue.sql");

/// What FOSSology does, by its own role, for a new upload with a tree of its own.
fn make_a_new_tree(server: &Recorded) {
    let owner = "SELECT tableowner::text FROM pg_catalog.pg_tables WHERE tablename = 'pfile'";
    let owner: String = server.client().query_one(owner, &[]).expect("a row").get(0);
    server.sql(&format!(
        "GRANT CREATE ON SCHEMA public TO {owner};
         SET ROLE {owner};
         CREATE TABLE public.uploadtree_99 (CHECK (upload_fk = 99)) INHERITS (public.uploadtree);
         CREATE SEQUENCE public.made_later_seq"
    ));
}

fn command(server: &Recorded, name: &str) -> Fogold {
    Fogold::new([name, "--sysconfdir"]).arg(server.sysconfdir())
}

#[test]
fn the_reader_reads_what_is_there_and_what_comes() {
    let Some(server) = Recorded::open("B-gold-only", "role_reader") else {
        return;
    };
    // Twice does no harm.
    server.sql(READER);
    server.sql(READER);
    make_a_new_tree(&server);
    server.configure("fogold_reader");
    let place = tempfile::tempdir().expect("a temporary directory");
    let at = |name: &str| place.path().join(name);
    server.check().run().assert_code(1);
    let snapshot = command(&server, "snapshot").arg("-o").arg(at("catalog"));
    snapshot.run().assert_code(0);
    let manifest = command(&server, "manifest").args(["--gold-only", "--format", "jsonl", "-o"]);
    manifest.arg(at("manifest.jsonl")).run().assert_code(0);
    let plan = command(&server, "plan").args(["--no-sample", "--format", "json"]);
    plan.run().assert_code(0);
    for by in ["upload", "user", "folder", "type"] {
        let usage = command(&server, "usage").args(["--by", by]);
        usage.run().assert_code(0);
    }
    let backup = command(&server, "backup")
        .arg(at("store"))
        .arg("--gold-only");
    let made = backup.run();
    made.assert_code(0);
    assert!(!made.complaint().contains("roles are not in the set"));
    // It may queue nothing, and is told so before anything is touched.
    let refused = server.requeue().run();
    refused.assert_code(3);
    let complaint = refused.complaint();
    let grant = "GRANT INSERT ON job, jobdepends, jobqueue TO fogold_reader";
    assert!(complaint.contains(grant), "{complaint}");
    server.sql("DROP OWNED BY fogold_reader; DROP ROLE fogold_reader");
}

#[test]
fn the_requeue_role_queues_and_no_more() {
    let Some(server) = Recorded::open("B-gold-only", "role_requeue") else {
        return;
    };
    server.sql(REQUEUE);
    server.sql(REQUEUE);
    make_a_new_tree(&server);
    server.configure("fogold_requeue");
    server.check().run().assert_code(1);
    server.requeue().arg("--dry-run").run().assert_code(0);
    let before = server.rows("jobqueue");
    server.requeue().run().assert_code(0);
    assert!(!server.new_rows("jobqueue", &before).is_empty());
    let refused = server.requeue().arg("--clean").run();
    refused.assert_code(3);
    let complaint = refused.complaint();
    let owner = "run it as the role that owns FOSSology's tables";
    assert!(complaint.contains(owner), "{complaint}");
    // Passwords of FOSSology's users are none of its business, and so it cannot dump.
    let place = tempfile::tempdir().expect("a temporary directory");
    let backup = command(&server, "backup").arg(place.path().join("store"));
    let refused = backup.arg("--gold-only").run();
    refused.assert_code(3);
    let complaint = refused.complaint();
    assert!(complaint.contains("permission denied"), "{complaint}");
    server.sql("DROP OWNED BY fogold_requeue; DROP ROLE fogold_requeue");
}

#[test]
fn the_repair_role_fills_in_one_column_and_no_more() {
    let Some(server) = Recorded::open("A-healthy", "role_repair") else {
        return;
    };
    server.sql(
        "CREATE ROLE only_reads LOGIN; GRANT USAGE ON SCHEMA public TO only_reads;
         GRANT SELECT ON ALL TABLES IN SCHEMA public TO only_reads",
    );
    server.sql(REPAIR);
    server.sql(REPAIR);
    server.sql("UPDATE pfile SET pfile_sha256 = NULL WHERE pfile_pk % 2 = 0");
    let digests = "SELECT count(*) FROM pfile WHERE pfile_sha256 IS NOT NULL";
    let before = server.number(digests);
    let fill =
        || command(&server, "repair").args(["--fill-sha256", "--apply", "--format", "ndjson"]);
    // Who only reads is told so before anything is looked at; and repairs without it.
    server.configure("only_reads");
    let refused = fill().run();
    refused.assert_code(3);
    let complaint = refused.complaint();
    assert!(
        complaint.contains("sql/roles/fogold_repair.sql"),
        "{complaint}"
    );
    command(&server, "repair").run().assert_code(0);
    server.configure("fogold_repair");
    let outcome = fill().run();
    outcome.assert_code(0);
    let filled = server.number(digests);
    assert!(filled > before);
    let run = outcome.report()["coverage"]["repair"]["run"].clone();
    let run = run.as_str().expect("a run");
    let undo = || command(&server, "repair").args(["--format", "ndjson", "--undo", run]);
    let shown = undo().run();
    shown.assert_code(0);
    let steps = shown.report()["undo"]["undone"].as_i64();
    assert_eq!(steps, Some(filled - before));
    undo().arg("--apply").run().assert_code(0);
    assert_eq!(server.number(digests), before);
    let right = "SELECT count(*) FROM pg_attribute a WHERE attrelid = 'pfile'::regclass AND attnum > 0 \
         AND has_column_privilege('fogold_repair', attrelid, attnum, 'UPDATE')";
    assert_eq!(server.number(right), 1);
    server.sql("DROP OWNED BY fogold_repair; DROP ROLE fogold_repair");
    server.sql("DROP OWNED BY only_reads; DROP ROLE only_reads");
}
