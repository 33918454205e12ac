//! Which sets are kept: counts of the last, and of hours, days, weeks, months and years.
//!
//! The rule is that of restic's `forget`. Going from the newest set to the oldest, each rule keeps
//! the newest set of each of its last N periods that have one; periods without a set do not count.
//! A set is kept when any rule keeps it. Each kind of set is counted by itself: a nightly gold-only
//! set does not push out the weekly full one. Days begin at midnight UTC, as the ids say; weeks on
//! Monday (ISO 8601). Sets that push no other out are counted apart: those that are known to be
//! damaged, those that were made while not everything could be read, and those from the future, which
//! a wrong clock has made. The newest set
//! that was verified is kept whatever the rules say.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::layout::SetId;

/// How many sets to keep, by rule; 0 for a rule that was not given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// The last so many.
    pub last: u32,
    /// The last of each of so many hours.
    pub hourly: u32,
    /// … days.
    pub daily: u32,
    /// … weeks.
    pub weekly: u32,
    /// … months.
    pub monthly: u32,
    /// … years.
    pub yearly: u32,
}

impl Keep {
    /// Whether no rule was given.
    pub fn is_nothing(&self) -> bool {
        *self == Keep::default()
    }
}

/// Why a set is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It is one of the last ones.
    Last,
    /// It is the last one of a period: the rule, and the period.
    Period(&'static str, String),
    /// It is the newest one that was verified.
    Verified,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Last => f.write_str("last"),
            Reason::Period(rule, period) => write!(f, "{rule} {period}"),
            Reason::Verified => f.write_str("verified"),
        }
    }
}

/// What is to become of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// The set.
    pub set: SetId,
    /// Why it is kept; none for one that goes.
    pub reasons: Vec<Reason>,
    /// Why it is counted apart.
    pub apart: Option<Apart>,
}

impl Judged {
    /// Whether the set stays.
    pub fn is_kept(&self) -> bool {
        !self.reasons.is_empty()
    }
}

/// A rule while it is applied to the sets of one kind, from the newest to the oldest.
struct Rule {
    name: &'static str,
    left: u32,
    period: fn(&DateTime) -> String,
    seen: Option<String>,
}

impl Rule {
    fn all(keep: &Keep) -> [Rule; 5] {
        let rule = |name, left, period| Rule {
            name,
            left,
            period,
            seen: None,
        };
        [
            rule("hourly", keep.hourly, hour),
            rule("daily", keep.daily, day),
            rule("weekly", keep.weekly, week),
            rule("monthly", keep.monthly, month),
            rule("yearly", keep.yearly, year),
        ]
    }

    /// Whether the rule keeps a set of this moment, and for which period.
    fn keeps(&mut self, time: &DateTime) -> Option<Reason> {
        if self.left == 0 {
            return None;
        }
        let period = (self.period)(time);
        if self.seen.as_ref() == Some(&period) {
            return None;
        }
        self.left -= 1;
        self.seen = Some(period.clone());
        Some(Reason::Period(self.name, period))
    }
}

/// Why a set is no reason for another one to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Apart {
    /// It is known not to be as it was written: it may not bring back what a good one does.
    Damaged,
    /// Not everything could be read when it was made: it may lack what an older one has.
    Incomplete,
    /// It bears a time that has not been yet.
    Future,
}

impl Apart {
    /// Its name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Apart::Damaged => "damaged",
            Apart::Incomplete => "not complete",
            Apart::Future => "of the future",
        }
    }
}

/// Judges sets, whatever their order; the answer is in time order. `verified` is kept in any case, and
/// those that are set `apart` count for one another only.
pub fn judge(
    sets: &[SetId],
    keep: &Keep,
    verified: Option<SetId>,
    apart: impl Fn(SetId) -> Option<Apart>,
) -> Vec<Judged> {
    let class = |set: &SetId| (set.kind, apart(*set));
    let mut sets = sets.to_vec();
    // Newest first, each kind by itself.
    sets.sort_by_cached_key(|set| (class(set), std::cmp::Reverse(set.time)));
    let mut judged = Vec::with_capacity(sets.len());
    for of_a_kind in sets.chunk_by(|a, b| class(a) == class(b)) {
        let mut last = keep.last;
        let mut rules = Rule::all(keep);
        for set in of_a_kind {
            let mut reasons = Vec::new();
            if last > 0 {
                last -= 1;
                reasons.push(Reason::Last);
            }
            let time = in_utc(set.time);
            reasons.extend(rules.iter_mut().filter_map(|rule| rule.keeps(&time)));
            if verified == Some(*set) {
                reasons.push(Reason::Verified);
            }
            judged.push(Judged {
                set: *set,
                reasons,
                apart: apart(*set),
            });
        }
    }
    judged.sort_unstable_by_key(|judged| judged.set);
    judged
}

fn in_utc(time: Timestamp) -> DateTime {
    time.to_zoned(TimeZone::UTC).datetime()
}

fn hour(time: &DateTime) -> String {
    format!("{} {:02}h", day(time), time.hour())
}

fn day(time: &DateTime) -> String {
    format!("{}-{:02}", month(time), time.day())
}

fn week(time: &DateTime) -> String {
    let week = time.date().iso_week_date();
    format!("{:04}-W{:02}", week.year(), week.week())
}

fn month(time: &DateTime) -> String {
    format!("{}-{:02}", year(time), time.month())
}

fn year(time: &DateTime) -> String {
    format!("{:04}", time.year())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::manifest::SetKind;

    fn set(text: &str) -> SetId {
        text.parse().unwrap()
    }

    /// `kept` or `gone`, with the reasons, in time order.
    fn table(sets: &[&str], keep: Keep, verified: Option<&str>) -> Vec<String> {
        let sets: Vec<SetId> = sets.iter().map(|text| set(text)).collect();
        judge(&sets, &keep, verified.map(set), |_| None)
            .into_iter()
            .map(|judged| {
                let reasons: Vec<String> = judged.reasons.iter().map(ToString::to_string).collect();
                reasons.join(", ")
            })
            .collect()
    }

    #[test]
    fn each_rule_keeps_the_newest_of_its_periods() {
        let sets = [
            "2025-12-31T230000Z-full",
            "2026-01-01T010000Z-full",
            "2026-01-04T235959Z-full",
            "2026-01-05T000000Z-full",
            "2026-01-05T120000Z-full",
            "2026-01-05T123000Z-full",
        ];
        let keep = Keep {
            last: 1,
            hourly: 2,
            daily: 2,
            weekly: 2,
            monthly: 5,
            yearly: 1,
        };
        assert_eq!(
            table(&sets, keep, None),
            [
                "monthly 2025-12",
                "",
                "daily 2026-01-04, weekly 2026-W01",
                "hourly 2026-01-05 00h",
                "",
                "last, hourly 2026-01-05 12h, daily 2026-01-05, weekly 2026-W02, monthly 2026-01, yearly 2026",
            ]
        );
    }

    #[test]
    fn kinds_are_counted_apart_and_the_verified_set_stays() {
        let sets = [
            "2026-01-01T000000Z-full",
            "2026-01-02T000000Z-full",
            "2026-01-03T000000Z-gold-only",
            "2026-01-04T000000Z-gold-only",
            "2026-01-05T000000Z-gold-only",
        ];
        let keep = Keep {
            last: 1,
            ..Keep::default()
        };
        assert_eq!(
            table(&sets, keep, Some("2026-01-03T000000Z-gold-only")),
            ["", "last", "verified", "", "last"]
        );
    }

    #[test]
    fn a_set_that_is_set_apart_pushes_no_other_out() {
        let [good, partly, future] = [
            "2026-01-01T000000Z-full",
            "2026-01-02T000000Z-full",
            "2030-01-01T000000Z-full",
        ]
        .map(set);
        let keep = Keep {
            last: 1,
            ..Keep::default()
        };
        let kept = |apart: &[(SetId, Apart)]| -> Vec<bool> {
            judge(&[good, partly, future], &keep, None, |id| {
                let found = apart.iter().find(|(each, _)| *each == id);
                found.map(|(_, why)| *why)
            })
            .iter()
            .map(Judged::is_kept)
            .collect()
        };
        assert_eq!(kept(&[]), [false, false, true]);
        assert_eq!(kept(&[(future, Apart::Future)]), [false, true, true]);
        let both = [(partly, Apart::Incomplete), (future, Apart::Future)];
        assert_eq!(kept(&both), [true, true, true]);
        let all = [(partly, Apart::Damaged), (future, Apart::Future)];
        assert_eq!(kept(&all), [true, true, true]);
    }

    /// Every period of a rule with the newest set in it, the newest periods first: the rule said
    /// in another way.
    fn naive(sets: &[SetId], count: u32, period: fn(&DateTime) -> String) -> Vec<SetId> {
        let mut newest: BTreeMap<String, SetId> = BTreeMap::new();
        for set in sets {
            let entry = newest.entry(period(&in_utc(set.time))).or_insert(*set);
            *entry = (*entry).max(*set);
        }
        let mut newest: Vec<SetId> = newest.into_values().collect();
        newest.sort_unstable_by(|a, b| b.cmp(a));
        newest.truncate(count as usize);
        newest
    }

    fn moments() -> impl Strategy<Value = Vec<(i64, bool)>> {
        // Three years, some of the sets close together.
        let moment = prop_oneof![
            1_700_000_000i64..1_800_000_000,
            1_750_000_000i64..1_750_300_000
        ];
        prop::collection::vec((moment, any::<bool>()), 0..60)
    }

    proptest! {
        #[test]
        fn the_rules_agree_with_a_naive_model(
            moments in moments(),
            counts in prop::array::uniform6(0u32..6),
            verified in any::<prop::sample::Index>(),
        ) {
            let [last, hourly, daily, weekly, monthly, yearly] = counts;
            let keep = Keep { last, hourly, daily, weekly, monthly, yearly };
            let mut sets: Vec<SetId> = moments
                .into_iter()
                .map(|(second, is_full)| {
                    let kind = if is_full { SetKind::Full } else { SetKind::GoldOnly };
                    SetId::new(Timestamp::from_second(second).unwrap(), kind)
                })
                .collect();
            sets.sort_unstable();
            sets.dedup();
            let verified = (!sets.is_empty()).then(|| sets[verified.index(sets.len())]);
            let judged = judge(&sets, &keep, verified, |_| None);
            let mut expected = Vec::from_iter(verified);
            for kind in [SetKind::Full, SetKind::GoldOnly] {
                let of_kind: Vec<SetId> =
                    sets.iter().copied().filter(|set| set.kind == kind).collect();
                expected.extend(of_kind.iter().rev().take(last as usize));
                for (count, period) in [
                    (hourly, hour as fn(&DateTime) -> String),
                    (daily, day),
                    (weekly, week),
                    (monthly, month),
                    (yearly, year),
                ] {
                    expected.extend(naive(&of_kind, count, period));
                }
            }
            expected.sort_unstable();
            expected.dedup();
            let kept: Vec<SetId> =
                judged.iter().filter(|each| each.is_kept()).map(|each| each.set).collect();
            prop_assert_eq!(kept, expected);
            prop_assert_eq!(judged.iter().map(|each| each.set).collect::<Vec<_>>(), sets);
        }
    }
}
