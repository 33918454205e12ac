use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::OnceLock;

use super::*;
use crate::monitor::Silent;

const GOLD: &[RepositoryType] = &[RepositoryType::Gold];
const BOTH: &[RepositoryType] = &[RepositoryType::Gold, RepositoryType::Files];

/// Keeps what it was warned of.
#[derive(Default)]
struct Warned(Mutex<Vec<String>>);

impl Monitor for Warned {
    fn warn(&self, message: &str) {
        self.0.lock().expect("a lock").push(message.to_owned());
    }
}

struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        Place {
            directory: tempfile::tempdir().expect("a directory"),
        }
    }

    fn ledger_of(&self, repository: &str) -> Ledger {
        let state = State::open(&self.directory.path().join("state")).expect("a state");
        Ledger::open(state, Path::new(repository), &Silent)
    }

    fn ledger(&self) -> Ledger {
        self.ledger_of("/srv/repository")
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("state").join(FILE)
    }

    /// What opening it warns of.
    fn warnings(&self) -> Vec<String> {
        let state = State::open(&self.directory.path().join("state")).expect("a state");
        let warned = Warned::default();
        Ledger::open(state, Path::new("/srv/repository"), &warned);
        warned.0.into_inner().expect("a lock")
    }
}

/// So many hours before the tests began.
fn ago(hours: i64) -> Timestamp {
    static NOW: OnceLock<i64> = OnceLock::new();
    let now = NOW.get_or_init(|| Timestamp::now().as_second());
    Timestamp::from_second(now - hours * 3600).expect("a time")
}

fn note(ledger: &Ledger, shards: impl IntoIterator<Item = u8>, hours: i64, good: bool) {
    for shard in shards {
        let types: Vec<_> = BOTH.iter().map(|ty| (*ty, good)).collect();
        ledger.note(Shard(shard), ago(hours), &types);
    }
}

fn first(ledger: &Ledger, count: usize) -> Vec<u8> {
    let order = ledger.order(BOTH);
    let all: BTreeSet<&Shard> = order.iter().collect();
    assert_eq!((order.len(), all.len()), (256, 256));
    order.iter().take(count).map(|shard| shard.0).collect()
}

#[test]
fn what_was_bad_comes_first_then_what_was_never_read_then_the_oldest() {
    let place = Place::new();
    let ledger = place.ledger();
    assert_eq!(first(&ledger, 3), [0, 1, 2]);
    note(&ledger, 0..=249, 10, true);
    note(&ledger, [7], 20, true);
    note(&ledger, [9], 30, true);
    note(&ledger, [100], 2, false);
    note(&ledger, [50], 1, false);
    let expected = [100, 50, 250, 251, 252, 253, 254, 255, 9, 7, 0, 1];
    assert_eq!(first(&ledger, 12), expected);
    // The next run knows it too, and a good reading puts a shard last.
    ledger.end().expect("written");
    let ledger = place.ledger();
    assert_eq!(first(&ledger, 12), expected);
    note(&ledger, [100], 0, true);
    assert_eq!(first(&ledger, 2), [50, 250]);
    assert_eq!(first(&ledger, 256)[255], 100);
}

#[test]
fn a_storage_full_of_bad_shards_lets_the_others_have_their_turn() {
    let ledger = Place::new().ledger();
    note(&ledger, 0..=255, 50, true);
    note(&ledger, 0..=200, 1, false);
    let expected: Vec<u8> = (0..16).chain(201..=205).collect();
    assert_eq!(first(&ledger, 21), expected);
}

#[test]
fn it_says_how_far_it_is() {
    let ledger = Place::new().ledger();
    let nothing = Standing {
        never: 256,
        ..Standing::default()
    };
    assert_eq!(ledger.standing(BOTH), nothing);
    note(&ledger, 0..=255, 5, true);
    note(&ledger, [3], 2, false);
    let all = Standing {
        oldest: Some(ago(5)),
        never: 0,
        bad: 1,
        ..Standing::default()
    };
    assert_eq!(ledger.standing(BOTH), all);
    // A type that was not read was not read.
    ledger.note(Shard(3), ago(1), &[(RepositoryType::Gold, true)]);
    assert_eq!(ledger.standing(GOLD).bad, 0);
    assert_eq!(ledger.standing(BOTH).bad, 1);
    assert_eq!(ledger.standing(&[RepositoryType::License]), nothing);
}

#[test]
fn bad_shards_that_a_run_did_not_read_are_told_by_what_they_count_as() {
    let place = Place::new();
    let ledger = place.ledger();
    note(&ledger, 0..=255, 5, true);
    note(&ledger, [3, 4, 5, 6], 2, false);
    // All of them were read by this run: its findings tell of them.
    assert_eq!(ledger.standing(BOTH).bad_unread, 0);
    ledger.judge(|shard| match shard.0 {
        3 => Some(Severity::Loss),
        4 => Some(Severity::Recoverable),
        5 => Some(Severity::Notice),
        // The findings are accepted.
        _ => None,
    });
    ledger.end().expect("written");
    let ledger = place.ledger();
    let standing = ledger.standing(BOTH);
    let told = (standing.bad, standing.bad_unread, standing.lost_unread);
    assert_eq!(told, (3, 2, 1));
    // What nobody has to mend is read again too, after the rest.
    let again: Vec<u8> = ledger.bad_first(BOTH).iter().map(|s| s.0).collect();
    assert_eq!(again, [3, 4, 5, 6]);
    note(&ledger, [3], 0, false);
    let standing = ledger.standing(BOTH);
    assert_eq!((standing.bad_unread, standing.lost_unread), (1, 0));
}

#[test]
fn repositories_and_runs_at_the_same_time_do_not_disturb_one_another() {
    let place = Place::new();
    let (one, two, other) = (
        place.ledger(),
        place.ledger(),
        place.ledger_of("/srv/b\u{e4}"),
    );
    note(&one, [1], 1, true);
    note(&two, [2], 1, true);
    note(&other, [3], 1, true);
    for ledger in [one, two, other] {
        ledger.end().expect("written");
    }
    assert_eq!(place.ledger().standing(BOTH).never, 254);
    let other = place.ledger_of("/srv/b\u{e4}");
    assert_eq!(other.standing(BOTH).never, 255);
    assert_eq!(place.ledger_of("/srv").standing(BOTH).never, 256);
}

#[test]
fn what_was_noted_is_on_disk_before_the_end() {
    let place = Place::new();
    let ledger = place.ledger();
    note(&ledger, [1], 1, true);
    assert_eq!(place.ledger().standing(BOTH).never, 255);
    drop(ledger);
}

#[test]
fn a_ledger_that_cannot_be_believed_is_begun_anew_and_that_is_said() {
    let place = Place::new();
    assert_eq!(place.warnings(), Vec::<String>::new());
    for text in ["", "{", "[]", "{\"version\": 2, \"repositories\": {}}"] {
        std::fs::write(place.file(), text).expect("written");
        let warnings = place.warnings();
        assert!(warnings[0].contains("begun anew"), "{text}: {warnings:?}");
        let ledger = place.ledger();
        assert_eq!(ledger.standing(BOTH).never, 256);
        note(&ledger, [1], 1, true);
        ledger.end().expect("written");
        assert_eq!(place.ledger().standing(BOTH).never, 255);
    }
    // The clock was set back by a little, and by much.
    let ledger = place.ledger();
    note(&ledger, [1], 0, true);
    ledger.note(
        Shard(2),
        Timestamp::now() + Duration::from_secs(1800),
        &[(GOLD[0], true)],
    );
    ledger.end().expect("written");
    assert_eq!(place.warnings(), Vec::<String>::new());
    let ledger = place.ledger();
    note(&ledger, [3], -48, true);
    ledger.end().expect("written");
    assert!(place.warnings()[0].contains("is the clock right?"));
    let ledger = place.ledger();
    note(&ledger, [4], 0, true);
    ledger.end().expect("written");
    assert_eq!(place.warnings(), Vec::<String>::new());
    assert_eq!(place.ledger().standing(BOTH).never, 255);
}

#[test]
fn one_that_cannot_be_written_is_told_at_the_end() {
    let place = Place::new();
    let ledger = place.ledger();
    std::fs::create_dir(place.file()).expect("a directory in its place");
    note(&ledger, [1], 1, true);
    let error = ledger.end().expect_err("no file");
    assert!(error.to_string().contains(FILE), "{error}");
}
