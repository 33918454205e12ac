//! Killed at any point, the same command again leads to the same rows.

use std::time::Duration;
use std::time::Instant;

use rustix::process::Signal;

use super::{NEEDED, run, summary, until_held_up};
use crate::support::Recorded;

#[test]
fn killed_at_any_point_it_goes_on_to_the_same_rows() {
    let Some(undisturbed) = Recorded::open("B-gold-only", "requeue_undisturbed") else {
        return;
    };
    let start = Instant::now();
    run(undisturbed.requeue(), 0);
    let took = start.elapsed();
    let wanted = summary(&undisturbed);
    for point in 1..=12u32 {
        let database = format!("requeue_killed_{point}");
        let Some(server) = Recorded::open("B-gold-only", &database) else {
            return;
        };
        // The queueing comes at the end: that is where most points lie.
        let delay = took * (28 + 6 * point) / 100;
        let running = server.requeue().start();
        std::thread::sleep(delay);
        running.signal(Signal::KILL);
        running.end_within(Duration::from_secs(10));
        let outcome = server.requeue().run();
        outcome.assert_code(0);
        assert_eq!(summary(&server), wanted, "killed after {delay:?}");
        assert_eq!(server.files(false), undisturbed.files(false));
    }
}

#[test]
fn killed_in_the_midst_of_each_upload_nothing_is_queued_twice() {
    let Some(undisturbed) = Recorded::open("B-gold-only", "requeue_undisturbed_2") else {
        return;
    };
    run(undisturbed.requeue(), 0);
    let Some(server) = Recorded::open("B-gold-only", "requeue_killed_each") else {
        return;
    };
    // Every insert waits for a lock that the test holds.
    server.sql(
        "CREATE FUNCTION held_up() RETURNS trigger LANGUAGE plpgsql AS \
         'BEGIN PERFORM pg_advisory_xact_lock_shared(7, NEW.jq_args::int); RETURN NEW; END';
         CREATE TRIGGER held_up BEFORE INSERT ON jobqueue FOR EACH ROW EXECUTE FUNCTION held_up()",
    );
    for upload in NEEDED {
        let mut holder = server.client();
        let hold = format!("SELECT pg_advisory_lock(7, {upload})");
        holder.batch_execute(&hold).expect("a lock");
        let running = server.requeue().start();
        until_held_up(&server);
        running.signal(Signal::KILL);
        running.end_within(Duration::from_secs(10));
        // The server does not notice that nobody waits for the answer: it may well finish the row.
        drop(holder);
    }
    run(server.requeue(), 0);
    assert_eq!(summary(&server), summary(&undisturbed));
    assert_eq!(server.files(false), undisturbed.files(false));
}
