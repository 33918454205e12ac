//! What came month by month: contents by the date of the first upload that holds them.
//!
//! Deleted uploads are not counted: what is asked is how fast that grows which is kept.

use std::collections::BTreeMap;

use serde::Serialize;

use super::tally::ByKind;
use crate::catalog::Amount;
use crate::catalog::rows::Micros;
use crate::manifest::SetKind;

/// The average goes over so many whole months.
const MONTHS: i32 = 12;

/// A month: twelve times the year, and the month of it from 0.
pub(super) type MonthNumber = i32;

/// What came in a month.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Month {
    /// `2026-01`
    pub month: String,
    /// Contents that a full set holds.
    pub full: Amount,
    /// Contents that a gold-only set holds.
    pub gold_only: Amount,
}

/// What came month by month.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Growth {
    /// Months in which anything came, in order.
    pub months: Vec<Month>,
    /// Over so many months the average goes: the whole ones among the last twelve, since the first
    /// upload.
    pub averaged_over: u32,
    #[serde(skip)]
    average: ByKind,
}

/// The month of a point in time.
pub(super) fn month_of(time: Micros) -> Option<MonthNumber> {
    let date = jiff::Timestamp::from_microsecond(time).ok()?;
    let date = date.to_zoned(jiff::tz::TimeZone::UTC).date();
    Some(i32::from(date.year()) * 12 + i32::from(date.month()) - 1)
}

impl Growth {
    /// What came, seen from `now`.
    pub(super) fn of(months: BTreeMap<MonthNumber, ByKind>, now: jiff::Timestamp) -> Growth {
        let this = month_of(now.as_microsecond()).unwrap_or(0);
        let first = months.keys().next().copied().unwrap_or(this);
        // A server that is younger than a month has no whole one.
        let range = match first.max(this - MONTHS) {
            from if from < this => from..this,
            _ => this..this + 1,
        };
        let count = u64::try_from(range.len()).unwrap_or(1);
        let mut sum = ByKind::default();
        for (_, grown) in months.range(range) {
            sum.add(grown);
        }
        let share = |amount: Amount| Amount {
            files: amount.files / count,
            bytes: amount.bytes / count,
        };
        Growth {
            months: months
                .into_iter()
                .map(|(month, grown)| Month {
                    month: format!("{:04}-{:02}", month / 12, month % 12 + 1),
                    full: grown.full,
                    gold_only: grown.gold_only,
                })
                .collect(),
            averaged_over: count as u32,
            average: ByKind {
                full: share(sum.full),
                gold_only: share(sum.gold_only),
            },
        }
    }

    /// What comes each month, on the average.
    pub fn a_month(&self, kind: SetKind) -> Amount {
        self.average.of(kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn months(of: &[(i32, u64)]) -> BTreeMap<MonthNumber, ByKind> {
        let amount = |bytes| Amount { files: 1, bytes };
        let grown = |bytes| ByKind {
            full: amount(bytes),
            gold_only: amount(bytes / 2),
        };
        of.iter()
            .map(|(month, bytes)| (*month, grown(*bytes)))
            .collect()
    }

    #[test]
    fn the_average_goes_over_whole_months() {
        let now: jiff::Timestamp = "2026-03-15T12:00:00Z".parse().unwrap();
        let this = month_of(now.as_microsecond()).unwrap();
        assert_eq!(this, 2026 * 12 + 2);
        let average = |of: &[(i32, u64)]| {
            let growth = Growth::of(months(of), now);
            (growth.averaged_over, growth.a_month(SetKind::Full).bytes)
        };
        // This month is not over, and what came long ago says nothing.
        assert_eq!(
            average(&[(this - 40, 9_000), (this - 2, 1_200), (this, 7)]),
            (12, 100)
        );
        assert_eq!(average(&[(this - 2, 100), (this - 1, 300)]), (2, 200));
        assert_eq!(average(&[(this, 70)]), (1, 70));
        assert_eq!(average(&[]), (1, 0));
        let growth = Growth::of(months(&[(this - 2, 100)]), now);
        assert_eq!(growth.months[0].month, "2026-01");
        assert_eq!(growth.a_month(SetKind::GoldOnly).bytes, 25);
    }
}
