//! Which shards' contents a run reads.

use std::fmt;
use std::str::FromStr;

use crate::repository::Shard;

/// Part I of N: over N parts, every shard once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    part: u16,
    parts: u16,
}

impl Slice {
    /// All shards.
    pub const ALL: Slice = Slice { part: 1, parts: 1 };

    /// The text of `--slice`: `I/N`, or `auto/N` for the part of the day, by its number in UTC. Over
    /// N days running every part comes once; over N weeks too, but where 7 divides N.
    pub fn parse(text: &str, day: i64) -> Result<Slice, BadSlice> {
        let bad = || BadSlice(text.to_owned());
        let (part, parts) = text.split_once('/').ok_or_else(bad)?;
        let parts: u16 = parts.parse().map_err(|_| bad())?;
        if !(1..=256).contains(&parts) {
            return Err(bad());
        }
        let part = if part == "auto" {
            (day.rem_euclid(i64::from(parts)) + 1) as u16
        } else {
            part.parse().map_err(|_| bad())?
        };
        if !(1..=parts).contains(&part) {
            return Err(bad());
        }
        Ok(Slice { part, parts })
    }

    /// Whether a shard belongs to the slice.
    pub fn contains(self, shard: Shard) -> bool {
        u16::from(shard.0) % self.parts == self.part - 1
    }

    /// Whether the slice is everything.
    pub fn is_all(self) -> bool {
        self.parts == 1
    }
}

impl fmt::Display for Slice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.part, self.parts)
    }
}

impl FromStr for Slice {
    type Err = BadSlice;

    fn from_str(text: &str) -> Result<Self, BadSlice> {
        let day = jiff::Timestamp::now().as_second().div_euclid(86_400);
        Slice::parse(text, day)
    }
}

/// The text is no slice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no slice: want I/N or auto/N with 1 ≤ I ≤ N ≤ 256")]
pub struct BadSlice(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_n_days_every_shard_comes_once() {
        for parts in [1, 7, 28, 100, 255, 256] {
            let mut times = [0; 256];
            for day in 20_000..20_000 + parts {
                let slice = Slice::parse(&format!("auto/{parts}"), day).unwrap();
                for shard in Shard::all().filter(|shard| slice.contains(*shard)) {
                    times[shard.index()] += 1;
                }
            }
            assert_eq!(times, [1; 256], "{parts}");
        }
    }

    #[test]
    fn over_n_weeks_every_shard_comes_once_unless_seven_divides_n() {
        for parts in 1..=256 {
            let mut times = [0; 256];
            for week in 0..parts {
                let slice = Slice::parse(&format!("auto/{parts}"), 20_000 + 7 * week).unwrap();
                for shard in Shard::all().filter(|shard| slice.contains(*shard)) {
                    times[shard.index()] += 1;
                }
            }
            assert_eq!(times == [1; 256], parts % 7 != 0, "{parts}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "", "1", "0/5", "6/5", "1/257", "1/0", "-1/5", "auto/0", "a/b", "1/2/3",
        ] {
            assert!(Slice::parse(text, 0).is_err(), "{text}");
        }
        assert_eq!(Slice::parse("5/5", 0).unwrap().to_string(), "5/5");
    }
}
