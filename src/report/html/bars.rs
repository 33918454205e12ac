//! Bytes by type, host and state, as bars.
//!
//! A bar is a picture without words, so that it may take any width; the words stand beside it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::catalog::Amount;
use crate::check::{Finding, Kind, Severity, Spool};
use crate::report::backup::NewSet;
use crate::report::drill::DrilledSet;
use crate::report::number::bytes_for_people;
use crate::report::{
    ByHost, LookedAt, ManifestReport, Report, ReportCoverage, ReportError, StoreCoverage,
};
use crate::sysconf::RepositoryType;

/// The width of the longest bar.
const WIDTH: u64 = 1000;

/// What is there at all can be seen.
const THINNEST: u64 = 6;

/// What is known of bytes. The order is that in a bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Good,
    Unread,
    Elsewhere,
    Waste,
    Recoverable,
    Loss,
}

/// What findings say of bytes and uploads, from one pass over all of them.
#[derive(Default)]
pub(super) struct Seen {
    /// Findings that count, and are left, by upload: lost ones, and ones to recover.
    pub(super) uploads: BTreeMap<i32, (u64, u64)>,
    /// Bytes by host and type.
    bytes: BTreeMap<(String, RepositoryType), BTreeMap<State, u64>>,
    /// Of these, what was counted as listed in its place.
    in_place: BTreeMap<(String, RepositoryType), u64>,
}

impl Seen {
    pub(super) fn of(spool: &Spool) -> Result<Seen, ReportError> {
        let mut seen = Seen::default();
        for (severity, kind, _) in spool.tallies() {
            spool.for_each(severity, kind, |finding| {
                if finding.is_left() {
                    seen.add_uploads(severity, finding.uploads.as_deref().unwrap_or_default());
                }
                seen.add_bytes_of(finding);
                Ok::<(), ReportError>(())
            })?;
        }
        // Bytes are damaged whoever accepts that.
        for (severity, kind, _) in spool.accepted() {
            spool.for_each_accepted(severity, kind, |finding| {
                seen.add_bytes_of(finding);
                Ok::<(), ReportError>(())
            })?;
        }
        Ok(seen)
    }

    fn add_bytes_of(&mut self, finding: Finding) {
        if let (Some(ty), Some(bytes)) = (finding.ty, finding.bytes) {
            let place = (finding.host.unwrap_or_default(), ty);
            self.add_bytes(place, finding.severity, finding.kind, bytes);
        }
    }

    fn add_uploads(&mut self, severity: Severity, uploads: &[i32]) {
        if severity > Severity::Recoverable {
            return;
        }
        for upload in uploads {
            let (lost, to_recover) = self.uploads.entry(*upload).or_default();
            match severity {
                Severity::Loss => *lost += 1,
                _ => *to_recover += 1,
            }
        }
    }

    fn add_bytes(
        &mut self,
        place: (String, RepositoryType),
        severity: Severity,
        kind: Kind,
        bytes: u64,
    ) {
        let state = match severity {
            Severity::Loss => State::Loss,
            Severity::Recoverable => State::Recoverable,
            Severity::Waste => State::Waste,
            Severity::Notice => return,
        };
        // The contents are as they should be.
        if matches!(kind, Kind::WrongMode | Kind::WrongSha256) {
            return;
        }
        let is_in_place = matches!(
            kind,
            Kind::Corrupt | Kind::WrongSize | Kind::Unreadable | Kind::Orphan | Kind::Unreferenced
        );
        if is_in_place {
            *self.in_place.entry(place.clone()).or_default() += bytes;
        }
        let states = self.bytes.entry(place).or_default();
        *states.entry(state).or_default() += bytes;
    }
}

/// Bars that are drawn to one scale.
#[derive(Serialize)]
pub(super) struct Group {
    title: &'static str,
    /// When that was, where it is not so any more.
    before: &'static str,
    /// How wide the longest bar came out: parts that would be too thin to see are wider.
    width: u64,
    legend: Vec<Legend>,
    bars: Vec<Bar>,
}

#[derive(Serialize)]
struct Legend {
    state: State,
    meaning: &'static str,
}

#[derive(Serialize)]
struct Bar {
    name: String,
    total: String,
    /// All of it in words.
    said: String,
    parts: Vec<Part>,
}

#[derive(Serialize)]
struct Part {
    state: State,
    start: u64,
    width: u64,
}

/// The states of one bar.
type States = BTreeMap<State, u64>;

pub(super) fn of(report: &Report, seen: &Seen) -> Vec<Group> {
    match &report.coverage {
        LookedAt::Repository(coverage) => of_repository(coverage, seen),
        LookedAt::Repaired(repaired) => {
            let mut groups = of_repository(&repaired.coverage, seen);
            for group in groups.iter_mut().filter(|_| repaired.repair.applied) {
                group.before = "before the repair";
            }
            groups
        }
        LookedAt::Restored(restored) => restored
            .after
            .as_ref()
            .map_or_else(Vec::new, |after| of_repository(after, seen)),
        LookedAt::Store(coverage) => vec![of_store(coverage, report)],
        LookedAt::NewSet(new) => of_set(new, seen),
        LookedAt::Drilled(drilled) => vec![of_drill(drilled)],
        LookedAt::Manifest(manifest) => vec![of_manifest(manifest)],
    }
    .into_iter()
    .filter(|group| !group.bars.is_empty())
    .collect()
}

fn of_repository(coverage: &ReportCoverage, seen: &Seen) -> Vec<Group> {
    let good = match (coverage.verify, &*coverage.slice) {
        (false, _) => "in its place, of the right length",
        (true, "1/1") => "in its place, with the right contents",
        (true, _) => "in its place; contents read in part",
    };
    by_type_and_host(&coverage.listed_by_host, seen, good)
}

/// The repository as a whole by type, and by host where there are several.
fn by_type_and_host(listed: &ByHost, seen: &Seen, good: &'static str) -> Vec<Group> {
    let mut places: BTreeMap<(String, RepositoryType), States> = BTreeMap::new();
    for (host, types) in listed {
        for (ty, amount) in types {
            let place = (host.clone(), *ty);
            let known = seen.in_place.get(&place).copied().unwrap_or(0);
            let good = amount.bytes.saturating_sub(known);
            places.entry(place).or_default().insert(State::Good, good);
        }
    }
    for (place, states) in &seen.bytes {
        add(places.entry(place.clone()).or_default(), states);
    }
    let mut types: BTreeMap<RepositoryType, States> = BTreeMap::new();
    let mut hosts: BTreeMap<String, States> = BTreeMap::new();
    for ((host, ty), states) in &places {
        add(types.entry(*ty).or_default(), states);
        add(hosts.entry(host.clone()).or_default(), states);
    }
    let mut groups = vec![Group::of(
        "Bytes by type",
        good,
        types
            .into_iter()
            .map(|(ty, states)| (ty.as_str().to_owned(), states)),
    )];
    if hosts.len() > 1 {
        let name = |host: String| match host.is_empty() {
            true => "no host".to_owned(),
            false => host,
        };
        let hosts = hosts.into_iter().map(|(host, states)| (name(host), states));
        groups.push(Group::of("Bytes by host", good, hosts));
    }
    groups
}

fn add(states: &mut States, more: &States) {
    for (state, bytes) in more {
        *states.entry(*state).or_default() += bytes;
    }
}

/// The contents that a store's sets name.
fn of_store(coverage: &StoreCoverage, report: &Report) -> Group {
    let corrupt = report.bytes.get(Kind::Corrupt.as_str()).copied();
    let read = coverage.read.bytes.min(coverage.found.bytes);
    let corrupt = corrupt.unwrap_or(0).min(read);
    let missing = coverage.named.bytes.saturating_sub(coverage.found.bytes);
    let states = States::from([
        (State::Good, read - corrupt),
        (State::Unread, coverage.found.bytes - read),
        (State::Loss, missing + corrupt),
    ]);
    let bars = std::iter::once(("contents".to_owned(), states));
    Group::of("Contents that the sets name", "read, and good", bars)
}

/// What a new set holds and leaves out, and the repository that it was made of.
fn of_set(new: &NewSet, seen: &Seen) -> Vec<Group> {
    let counts = &new.set.counts;
    let held = [
        ("gold", counts.gold),
        ("files", counts.files),
        ("listings", counts.listings),
        ("license", counts.license),
    ];
    let held = held
        .into_iter()
        .filter(|(_, amount)| amount.files > 0)
        .map(|(name, amount)| (name.to_owned(), States::from([(State::Good, amount.bytes)])));
    let left_out = counts.left_out.iter().map(|each| {
        let name = format!("left out: {}", each.reason);
        (name, States::from([(State::Elsewhere, each.bytes)]))
    });
    let mut groups = vec![Group::of("The set", "in the set", held.chain(left_out))];
    let good = "in its place on the server";
    groups.extend(by_type_and_host(&new.listed_by_host, seen, good));
    groups
}

/// What a set would hold and leave out.
fn of_manifest(manifest: &ManifestReport) -> Group {
    let all = [
        (State::Good, manifest.in_set()),
        (State::Elsewhere, manifest.left_out()),
        (State::Loss, manifest.not_had()),
    ];
    let bars = all
        .into_iter()
        .flat_map(|(state, amounts)| amounts.map(|(what, amount)| (state, what, amount)))
        .filter(|(.., amount)| amount.bytes > 0)
        .map(|(state, what, amount)| (what.to_owned(), States::from([(state, amount.bytes)])));
    Group::of("The set", "in the set", bars)
}

/// What a set would bring back, and how.
fn of_drill(drilled: &DrilledSet) -> Group {
    let one = |name: &str, state, amount: Amount| {
        (name.to_owned(), States::from([(state, amount.bytes)]))
    };
    let bars = [
        one("in the store", State::Good, drilled.held),
        one("from URLs", State::Elsewhere, drilled.from_urls),
        one("by unpacking", State::Elsewhere, drilled.by_unpacking),
        one("cannot be had", State::Loss, drilled.broken),
        one("left out without gold", State::Loss, drilled.without_gold),
    ];
    let bars = bars
        .into_iter()
        .filter(|(_, states)| states.values().any(|bytes| *bytes > 0));
    Group::of("What comes back", "in the store", bars)
}

impl Group {
    fn of(
        title: &'static str,
        good: &'static str,
        bars: impl Iterator<Item = (String, States)>,
    ) -> Group {
        let meaning = |state| match state {
            State::Good => good,
            State::Unread => "there, not read",
            State::Elsewhere => "left out, or to be had otherwise",
            State::Waste => "not needed",
            State::Recoverable => "missing or damaged, to recover",
            State::Loss => "lost, or not to be had",
        };
        let bars: Vec<(String, States)> = bars.collect();
        let longest = bars
            .iter()
            .map(|(_, states)| sum(states))
            .max()
            .unwrap_or(0);
        let mut legend: Vec<State> = bars
            .iter()
            .flat_map(|(_, states)| states.iter())
            .filter(|(_, bytes)| **bytes > 0)
            .map(|(state, _)| *state)
            .collect();
        legend.sort_unstable();
        legend.dedup();
        let bars: Vec<Bar> = bars
            .into_iter()
            .map(|(name, states)| Bar::of(name, &states, longest, meaning))
            .collect();
        let ends = bars.iter().filter_map(|bar| bar.parts.last());
        Group {
            title,
            before: "",
            width: ends
                .map(|part| part.start + part.width)
                .fold(WIDTH, u64::max),
            bars,
            legend: legend
                .into_iter()
                .map(|state| Legend {
                    state,
                    meaning: meaning(state),
                })
                .collect(),
        }
    }
}

impl Bar {
    fn of(
        name: String,
        states: &States,
        longest: u64,
        meaning: impl Fn(State) -> &'static str,
    ) -> Bar {
        let there = || states.iter().filter(|(_, bytes)| **bytes > 0);
        let said: Vec<String> = there()
            .map(|(state, bytes)| format!("{} {}", bytes_for_people(*bytes), meaning(*state)))
            .collect();
        let mut start = 0;
        let parts = there()
            .map(|(state, bytes)| {
                let width = u128::from(*bytes) * u128::from(WIDTH) / u128::from(longest.max(1));
                let width = u64::try_from(width).unwrap_or(WIDTH).max(THINNEST);
                let part = Part {
                    state: *state,
                    start,
                    width,
                };
                start += width;
                part
            })
            .collect();
        Bar {
            name,
            total: bytes_for_people(sum(states)),
            said: said.join("; "),
            parts,
        }
    }
}

fn sum(states: &States) -> u64 {
    states.values().sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Batch, Mending, MendingStatus};

    #[test]
    fn a_small_loss_can_be_seen_in_a_large_bar() {
        let states = States::from([(State::Good, 1 << 40), (State::Loss, 1)]);
        let group = Group::of("bytes", "good", [("gold".to_owned(), states)].into_iter());
        let widths: Vec<u64> = group.bars[0].parts.iter().map(|part| part.width).collect();
        assert_eq!(widths, [999, THINNEST]);
        assert_eq!(
            group.bars[0].said,
            "1.0 TiB good; 1 B lost, or not to be had"
        );
        assert_eq!(group.legend.len(), 2);
    }

    #[test]
    fn what_is_bad_in_its_place_is_not_good_as_well() {
        let place = ("localhost".to_owned(), RepositoryType::Files);
        let mut seen = Seen::default();
        seen.add_bytes(place.clone(), Severity::Recoverable, Kind::Corrupt, 10);
        seen.add_bytes(
            place.clone(),
            Severity::Recoverable,
            Kind::MissingDerived,
            5,
        );
        seen.add_bytes(place, Severity::Recoverable, Kind::WrongMode, 7);
        let amount = Amount {
            files: 3,
            bytes: 100,
        };
        let listed = ByHost::from([(
            "localhost".to_owned(),
            BTreeMap::from([(RepositoryType::Files, amount)]),
        )]);
        let groups = by_type_and_host(&listed, &seen, "good");
        assert_eq!(groups.len(), 1);
        assert_eq!(
            groups[0].bars[0].said,
            "90 B good; 15 B missing or damaged, to recover"
        );
    }

    #[test]
    fn damage_is_drawn_also_where_it_is_accepted_and_uploads_only_where_it_counts() {
        let scratch = tempfile::tempdir().expect("temporary directory");
        let spool = Spool::new(scratch.path()).expect("a spool");
        let mut batch = Batch::default();
        let place = ("localhost".to_owned(), RepositoryType::Files);
        for (upload, accepted, mended) in [
            (1, None, None),
            (2, Some(true), None),
            (3, None, Some(true)),
        ] {
            let mut finding = Finding::new(Kind::Corrupt, Severity::Recoverable);
            finding.ty = Some(place.1);
            finding.host = Some(place.0.clone());
            finding.bytes = Some(10);
            finding.uploads = Some(vec![upload]);
            finding.accepted = accepted;
            finding.repair = Some(Mending {
                action: None,
                status: MendingStatus::Left,
                from: None,
                to: None,
                why: None,
                mended,
            });
            batch.push(finding);
        }
        spool.deliver(1, batch).expect("delivered");
        let seen = Seen::of(&spool).expect("read");
        assert_eq!(seen.in_place[&place], 30);
        assert_eq!(seen.uploads, BTreeMap::from([(1, (0, 1))]));
    }
}
