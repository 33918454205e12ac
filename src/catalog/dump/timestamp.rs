//! Points in time as PostgreSQL prints them in a dump (`DateStyle` ISO).
//!
//! `YYYY-MM-DD HH:MM:SS[.ffffff][±HH[:MM[:SS]]][ BC]`, `infinity` and `-infinity`. A time without
//! offset, as columns of old releases without time zone have it, counts as UTC. What lies beyond
//! the range of [`Micros`] becomes its end.

use crate::catalog::rows::Micros;

const SECOND: i128 = 1_000_000;

/// Reads a point in time; `None` when `text` is none.
pub(super) fn parse(text: &[u8]) -> Option<Micros> {
    match text {
        b"infinity" => return Some(Micros::MAX),
        b"-infinity" => return Some(Micros::MIN),
        _ => {}
    }
    let (text, before_christ) = match text.strip_suffix(b" BC") {
        Some(text) => (text, true),
        None => (text, false),
    };
    let mut rest = text;
    let year_digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !(4..=6).contains(&year_digits) {
        return None;
    }
    let year = digits(&mut rest, year_digits)?;
    let month = after(&mut rest, b'-')?;
    let day = after(&mut rest, b'-')?;
    let hour = after(&mut rest, b' ')?;
    let minute = after(&mut rest, b':')?;
    let second = after(&mut rest, b':')?;
    let fraction = fraction(&mut rest)?;
    let offset = offset(rest)?;
    let year = if before_christ { 1 - year } else { year };
    if year == 0 && !before_christ
        || !(1..=12).contains(&month)
        || !(1..=days_in(year, month)).contains(&day)
        || hour > 23
        || minute > 59
        || second > 60
    {
        return None;
    }
    let seconds = i128::from(days_since_epoch(year, month, day)) * 86_400
        + i128::from(hour * 3_600 + minute * 60 + second - offset);
    let micros = seconds * SECOND + i128::from(fraction);
    Some(micros.clamp(i128::from(Micros::MIN), i128::from(Micros::MAX)) as Micros)
}

fn digits(rest: &mut &[u8], count: usize) -> Option<i64> {
    let (number, after) = rest.split_at_checked(count)?;
    *rest = after;
    number.iter().try_fold(0, |value, byte| {
        byte.is_ascii_digit()
            .then(|| value * 10 + i64::from(byte - b'0'))
    })
}

fn after(rest: &mut &[u8], mark: u8) -> Option<i64> {
    *rest = rest.strip_prefix(&[mark])?;
    digits(rest, 2)
}

/// A fraction of a second, in microseconds.
fn fraction(rest: &mut &[u8]) -> Option<i64> {
    let Some(text) = rest.strip_prefix(b".") else {
        return Some(0);
    };
    let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !(1..=6).contains(&count) {
        return None;
    }
    *rest = text;
    let value = digits(rest, count)?;
    Some(value * 10_i64.pow(6 - count as u32))
}

/// The offset from UTC in seconds, east positive.
fn offset(text: &[u8]) -> Option<i64> {
    let (&sign, mut rest) = match text.split_first() {
        None => return Some(0),
        Some(split) => split,
    };
    let mut seconds = digits(&mut rest, 2)? * 3_600;
    for unit in [60, 1] {
        if rest.is_empty() {
            break;
        }
        let part = after(&mut rest, b':')?;
        if part > 59 {
            return None;
        }
        seconds += part * unit;
    }
    match sign {
        _ if !rest.is_empty() => None,
        b'+' => Some(seconds),
        b'-' => Some(-seconds),
        _ => None,
    }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a day of the Gregorian calendar, in which year 0 is 1 BC.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    // Years that begin in March have their leap day last.
    let year = if month > 2 { year } else { year - 1 };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_postgresql_prints() {
        for (text, micros) in [
            ("1970-01-01 00:00:00+00", 0),
            ("2026-11-21 02:54:44.384377+00", 1_795_229_684_384_377),
            ("2026-11-21 08:24:44.384377+05:30", 1_795_229_684_384_377),
            ("2026-11-20 19:54:44.384377-07", 1_795_229_684_384_377),
            ("2026-11-21 02:54:44.384377", 1_795_229_684_384_377),
            ("1969-12-31 23:59:59.5+00", -500_000),
            ("2000-02-29 00:00:00+00", 951_782_400_000_000),
            ("1883-11-18 12:03:57-04:56:02", -2_717_650_801_000_000),
            ("0001-01-01 00:00:00+00", -62_135_596_800_000_000),
            ("0001-12-31 00:00:00+00 BC", -62_135_683_200_000_000),
            ("4714-11-24 00:00:00+00 BC", -210_866_803_200_000_000),
            ("9999-12-31 00:00:00+00", 253_402_214_400_000_000),
            ("infinity", i64::MAX),
            ("-infinity", i64::MIN),
            ("294276-12-31 23:59:59.999999+00", i64::MAX),
        ] {
            assert_eq!(parse(text.as_bytes()), Some(micros), "{text}");
        }
    }

    #[test]
    fn refuses_everything_else() {
        for text in [
            "",
            "now",
            "2026-11-21",
            "2026-11-21 02:54+00",
            "2026-11-31 02:54:44+00",
            "2025-02-29 02:54:44+00",
            "2026-13-21 02:54:44+00",
            "2026-00-21 02:54:44+00",
            "2026-11-00 02:54:44+00",
            "2026-11-21 24:00:00+00",
            "2026-11-21 02:60:44+00",
            "2026-11-21 02:54:61+00",
            "2026-11-21 02:54:44.+00",
            "2026-11-21 02:54:44.1234567+00",
            "2026-11-21 02:54:44+0",
            "2026-11-21 02:54:44+00:",
            "2026-11-21 02:54:44+00:00:00:00",
            "2026-11-21 02:54:44 AD",
            "2026-11-21T02:54:44+00",
            "21.11.2026 02:54:44 CET",
            "0000-01-01 00:00:00+00",
            "26-11-21 02:54:44+00",
            " 2026-11-21 02:54:44+00",
            "2026-11-21 02:54:44+00 ",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_a_calendar(seconds in -377_705_000_000_i64..253_402_000_000, micros in 0_i64..1_000_000) {
            let time = jiff::Timestamp::from_second(seconds).unwrap();
            let civil = time.to_zoned(jiff::tz::TimeZone::UTC);
            let year = i64::from(civil.year());
            let (shown, era) = if year > 0 { (year, "") } else { (1 - year, " BC") };
            let text = format!(
                "{shown:04}-{:02}-{:02} {:02}:{:02}:{:02}.{micros:06}+00{era}",
                civil.month(), civil.day(), civil.hour(), civil.minute(), civil.second()
            );
            prop_assert_eq!(parse(text.as_bytes()), Some(seconds * 1_000_000 + micros));
        }

        #[test]
        fn never_panics(text in "[0-9+: BC.-]{0,40}") {
            let _ = parse(text.as_bytes());
        }
    }
}
