//! The plug is pulled in the midst of a restore, and the same command is typed again.

use std::collections::BTreeMap;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::{Cluster, MadeStore, MadeUp, Recorded, Site, tampered};

/// A set to restore, and what comes of an undisturbed restore of it.
struct Undisturbed {
    store: MadeStore,
    in_store: BTreeMap<String, blake3::Hash>,
    contents: BTreeMap<String, blake3::Hash>,
    modes: BTreeMap<String, u32>,
    tables: i64,
    rows: i64,
    findings: Vec<serde_json::Value>,
}

/// Rows of what matters most.
const ROWS: &str = "SELECT (SELECT count(*) FROM pfile) + (SELECT count(*) FROM uploadtree) \
    + (SELECT count(*) FROM upload) + (SELECT count(*) FROM jobqueue)";

fn modes(site: &Site) -> BTreeMap<String, u32> {
    let all = site.standing().into_iter();
    all.filter(|(path, _)| !path.contains(".fogold"))
        .map(|(path, standing)| (path, standing.mode))
        .collect()
}

impl Undisturbed {
    fn of(store: MadeStore, database: &str) -> Undisturbed {
        let site = Site::new(database);
        let outcome = site.restore(&store).run();
        assert!(
            matches!(outcome.code, Some(0 | 1)),
            "{}",
            outcome.complaint()
        );
        Undisturbed {
            in_store: store.everything(),
            store,
            contents: site.contents(),
            modes: modes(&site),
            tables: site.tables(),
            rows: site.number(ROWS),
            findings: outcome.findings(),
        }
    }

    /// What must hold after a kill: the store as it was, the database whole or empty, and nothing
    /// in the tree that is not as it should be.
    fn assert_unhurt(&self, site: &Site, when: &str) {
        assert_eq!(self.store.everything(), self.in_store, "{when}: the store");
        match site.tables() {
            0 => {}
            tables => {
                assert_eq!(tables, self.tables, "{when}: half a database");
                assert_eq!(site.number(ROWS), self.rows, "{when}: half a database");
            }
        }
        for (path, hash) in site.contents() {
            // A log in the making has another name.
            if !path.ends_with(".fogold") {
                assert_eq!(self.contents.get(&path), Some(&hash), "{when}: {path}");
            }
        }
    }

    /// The same command again comes to the same end.
    fn assert_ends_alike(&self, site: &Site, when: &str) {
        let again = site.restore(&self.store).run();
        assert!(
            matches!(again.code, Some(0 | 1)),
            "{when}: {}",
            again.complaint()
        );
        assert_eq!(again.findings(), self.findings, "{when}");
        self.assert_unhurt(site, when);
        assert_eq!(site.tables(), self.tables, "{when}");
        assert_eq!(site.contents(), self.contents, "{when}");
        assert_eq!(modes(site), self.modes, "{when}");
    }
}

#[test]
fn at_chosen_points() {
    let made_up = MadeUp::small();
    made_up.go_live(Cluster::shared(), "unplugged_source");
    let store = MadeStore::new();
    store
        .fogold("backup")
        .args(["--full", "--with-logs", "--sysconfdir"])
        .arg(made_up.sysconfdir())
        .run()
        .assert_code(0);
    let end = Undisturbed::of(store, "unplugged_never");
    let mut kills = 0;
    for (number, with) in [
        // The first words with the server; the dump at its beginning, in its middle, at its end.
        "sendto:signal=KILL:when=3",
        "sendto:signal=KILL:when=12",
        "sendto:signal=KILL:when=40",
        "sendto:signal=KILL:when=100",
        "sendto:signal=KILL:when=200",
        // Directories: the first ones, and one whose owner and mode are not yet given.
        "mkdirat:signal=KILL:when=1",
        "fchown:signal=KILL:when=2",
        "fchmod:signal=KILL:when=9",
        "mkdirat:signal=KILL:when=300",
        // Files: before the first has its place, and later; further places of them.
        "renameat2:signal=KILL:when=1",
        "renameat2:signal=KILL:when=150",
        "linkat:signal=KILL:when=1",
        "linkat:signal=KILL:when=20",
        // Everything is there, and not yet on disk; and after that.
        "syncfs:signal=KILL:when=1",
        "syncfs:signal=KILL:when=2",
        "syncfs:signal=KILL:when=3",
    ]
    .into_iter()
    .enumerate()
    {
        let site = Site::new(&format!("unplugged_{number}"));
        let restore = site.restore(&end.store).args(["-j", "1"]);
        let Some(outcome) = tampered(restore, with) else {
            return;
        };
        kills += u32::from(outcome.code.is_none());
        assert_eq!(outcome.code, None, "{with} came too late");
        end.assert_unhurt(&site, with);
        end.assert_ends_alike(&site, with);
    }
    assert!(kills >= 12, "only {kills} were killed");
}

#[test]
fn at_random_points() {
    let Some(recorded) = Recorded::open("A-healthy", "unplugged_random_source") else {
        return;
    };
    let store = MadeStore::new();
    store
        .fogold("backup")
        .args(["--gold-only", "--sysconfdir"])
        .arg(recorded.sysconfdir())
        .run()
        .assert_code(0);
    let end = Undisturbed::of(store, "unplugged_randomly_never");
    let start = std::time::Instant::now();
    let site = Site::new("unplugged_by_nobody");
    site.restore(&end.store).run();
    let whole = start.elapsed();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut kills = 0;
    for number in 0..12 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let wait = whole.mul_f64((random % 1000) as f64 / 1100.0);
        let site = Site::new(&format!("unplugged_randomly_{number}"));
        let mut running = site.restore(&end.store).start();
        std::thread::sleep(wait);
        let was_at_work = running.is_at_work();
        if was_at_work {
            running.signal(Signal::KILL);
        }
        let outcome = running.end_within(Duration::from_secs(20));
        if outcome.code.is_some() {
            continue;
        }
        kills += 1;
        let when = format!("after {wait:?}");
        end.assert_unhurt(&site, &when);
        end.assert_ends_alike(&site, &when);
    }
    assert!(kills >= 6, "only {kills} were killed");
}
