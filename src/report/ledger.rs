//! How far a repository has been read, as reports say it.

use serde::Serialize;

use super::number::counted;
use crate::check::{FailOn, Kind, Severity, Standing};

/// Seconds of a day.
const DAY: i64 = 86_400;

/// What the ledger says of the types that were asked for.
#[derive(Clone, Debug, Serialize)]
pub struct ReadSoFar {
    /// When the shard was read that was read least recently, of those that were read at all; RFC 3339.
    pub oldest: Option<String>,
    /// Within how many days all of these were read.
    pub days: Option<u64>,
    /// Shards that were never read to their end.
    pub never: u64,
    /// Shards in which something was corrupt or unreadable when they were last read, and is not accepted.
    pub bad: u64,
    /// Those of them in which something was lost or had to be recovered, and that this run did not read.
    pub bad_unread: u64,
    /// Those of these in which something was lost.
    #[serde(skip)]
    pub(super) lost_unread: u64,
}

impl ReadSoFar {
    pub(super) fn of(standing: &Standing) -> ReadSoFar {
        let now = jiff::Timestamp::now().as_second();
        let days = standing.oldest.map(|oldest| {
            let seconds = now.saturating_sub(oldest.as_second()).max(1);
            u64::try_from((seconds + DAY - 1) / DAY).unwrap_or(1)
        });
        ReadSoFar {
            oldest: standing.oldest.map(|oldest| oldest.to_string()),
            days,
            never: standing.never,
            bad: standing.bad,
            bad_unread: standing.bad_unread,
            lost_unread: standing.lost_unread,
        }
    }

    /// Whether bad contents that this run did not read are to fail it.
    pub(super) fn fails(&self, fail_on: FailOn) -> bool {
        let is_met = |severity| fail_on.is_met_by(Kind::Corrupt, severity);
        (self.lost_unread > 0 && is_met(Severity::Loss))
            || (self.bad_unread > self.lost_unread && is_met(Severity::Recoverable))
    }

    /// What a verdict says of bad contents that this run did not read.
    pub(super) fn in_verdict(&self) -> Option<String> {
        match self.bad_unread {
            0 => None,
            1 => Some(
                "1 shard had bad contents when it was last read, and was not read now".to_owned(),
            ),
            n => Some(format!(
                "{} had bad contents when they were last read, and were not read now",
                counted(n, "shard")
            )),
        }
    }

    /// For a person.
    pub(super) fn for_people(&self) -> String {
        let bad = match self.bad {
            0 => String::new(),
            n => format!(
                "; {} with bad contents, to be read first",
                counted(n, "shard")
            ),
        };
        let days = self.days.map_or(String::new(), |days| match days {
            1 => "within the last day".to_owned(),
            n => format!("within the last {n} days"),
        });
        let read = match self.never {
            0 => format!("all contents read {days}"),
            256 => "no contents read yet".to_owned(),
            n => format!("{} never read, the others {days}", counted(n, "shard")),
        };
        format!("{read}{bad}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_claims_what_is_so() {
        let day = |days: i64| {
            let now = jiff::Timestamp::now().as_second();
            jiff::Timestamp::from_second(now - days * DAY + 60).ok()
        };
        let text = |oldest, never, bad| {
            let standing = Standing {
                oldest,
                never,
                bad,
                ..Standing::default()
            };
            ReadSoFar::of(&standing).for_people()
        };
        assert_eq!(text(None, 256, 0), "no contents read yet");
        assert_eq!(text(day(0), 0, 0), "all contents read within the last day");
        assert_eq!(text(day(1), 0, 0), "all contents read within the last day");
        assert_eq!(
            text(day(9), 0, 1),
            "all contents read within the last 9 days; 1 shard with bad contents, to be read first"
        );
        assert_eq!(
            text(day(2), 3, 0),
            "3 shards never read, the others within the last 2 days"
        );
    }
}
