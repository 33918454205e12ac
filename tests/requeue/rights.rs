//! Who may: FOSSology's users, and roles of the database.

use super::{queue, run};
use crate::support::Recorded;

#[test]
fn the_user_must_be_one_who_may() {
    let Some(server) = Recorded::open("B-gold-only", "requeue_user") else {
        return;
    };
    server.sql(
        "INSERT INTO users (user_name, root_folder_fk, user_perm) VALUES ('other', 1, 10), ('third', 1, 10);
         UPDATE users SET user_perm = 3 WHERE user_name = 'fossy'",
    );
    let other = server.number("SELECT user_pk::int8 FROM users WHERE user_name = 'other'");
    server.sql(&format!(
        "UPDATE upload SET user_fk = {} WHERE upload_pk = 3",
        other + 1
    ));
    let before = queue(&server);
    run(server.requeue(), 0);
    for job in server.new_rows("job", &before["job"]) {
        let wanted = if job["job_upload_fk"] == 3 {
            other + 1
        } else {
            other
        };
        assert_eq!(job["job_user_fk"], wanted, "{job}");
    }
}

#[test]
fn without_a_user_nothing_is_touched() {
    let Some(server) = Recorded::open("B-gold-only", "requeue_no_user") else {
        return;
    };
    server.sql("UPDATE users SET user_perm = 3");
    let (rows, files) = (queue(&server), server.files(true));
    let outcome = server.requeue().run();
    outcome.assert_code(3);
    assert!(
        outcome
            .complaint()
            .contains("no user of FOSSology may have upload 2 unpacked")
    );
    assert_eq!((queue(&server), server.files(true)), (rows, files));
}

#[test]
fn a_role_that_may_only_read_is_told_what_it_lacks() {
    let Some(server) = Recorded::open("B-gold-only", "requeue_rights") else {
        return;
    };
    server.sql(
        "DROP ROLE IF EXISTS requeue_reader; CREATE ROLE requeue_reader LOGIN;
         GRANT SELECT ON ALL TABLES IN SCHEMA public TO requeue_reader;
         REVOKE SELECT ON users FROM requeue_reader",
    );
    server.configure("requeue_reader");
    let files = server.files(true);
    let outcome = server.requeue().arg("--dry-run").run();
    outcome.assert_code(3);
    let said = outcome.complaint();
    assert!(
        said.ends_with("GRANT SELECT (user_pk, user_perm) ON users TO requeue_reader\n"),
        "{said}"
    );
    let outcome = server.requeue().run();
    outcome.assert_code(3);
    let said = outcome.complaint();
    let grants = [
        "GRANT DELETE ON jobdepends TO requeue_reader",
        "GRANT INSERT ON job, jobdepends, jobqueue TO requeue_reader",
        "GRANT SELECT (user_pk, user_perm) ON users TO requeue_reader",
        "GRANT UPDATE ON ununpack_ars TO requeue_reader",
        "GRANT USAGE ON SEQUENCE job_job_pk_seq, jobqueue_jq_pk_seq TO requeue_reader",
    ];
    for grant in grants {
        assert!(said.contains(grant), "{said}");
    }
    assert_eq!(server.files(true), files);
    // With what it names, it works.
    server.sql(&grants.join(";"));
    run(server.requeue().arg("--dry-run"), 0);
    run(server.requeue(), 0);
    // Rows of pfile are their owner's to take away.
    let outcome = server.requeue().arg("--clean").run();
    outcome.assert_code(3);
    let said = outcome.complaint();
    assert!(
        said.contains(
            "may not do requeue-clean-lock: run it as the role that owns FOSSology's tables"
        ),
        "{said}"
    );
    server.sql("DROP OWNED BY requeue_reader; DROP ROLE requeue_reader");
}

#[test]
fn jobs_are_queued_in_live_databases_only() {
    let Some(server) = Recorded::open("B-gold-only", "requeue_dump") else {
        return;
    };
    let dump = server.capture.file("dump.sql.gz");
    let outcome = server.requeue().arg("--catalog").arg(dump).run();
    outcome.assert_code(2);
    assert!(outcome.complaint().contains("this needs the live database"));
    // Two at once are one too many.
    let mut other = server.client();
    let lock = include_str!("../../sql/requeue-lock.sql");
    other.query_one(lock, &[]).expect("the lock");
    let outcome = server.requeue().run();
    outcome.assert_code(3);
    assert!(
        outcome
            .complaint()
            .contains("another 'fogold requeue' is at work")
    );
}
