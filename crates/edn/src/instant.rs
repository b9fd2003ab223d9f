//! Points in time, to the microsecond.

use std::fmt;

use jiff::SignedDuration;
use jiff::civil::{Date, DateTime, date};

/// A point in time: microseconds since 1970-01-01T00:00:00Z, before it negative.
///
/// It displays as RFC 3339 in UTC with the fewest of 0, 3 or 6 fraction digits that lose nothing. Years outside
/// 0000-9999 carry a sign and six digits (`+012345-01-01T00:00:00Z`), as ISO 8601 and ECMAScript write them, so every
/// instant has a text and [`Instant::parse_rfc3339`] reads each of them back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(i64);

/// The Gregorian calendar repeats every 400 years. All calendar arithmetic is done inside the cycle that starts in the
/// year 2000; the number of whole cycles is added apart, so that instants beyond a calendar library's years work too.
const CYCLE_YEARS: i64 = 400;
const CYCLE_SECONDS: i64 = 146_097 * 86_400;
const CYCLE_START: Date = date(2000, 1, 1);
/// 2000-01-01T00:00:00Z in seconds since 1970.
const CYCLE_START_SECONDS: i64 = 946_684_800;

impl Instant {
    /// The instant that many microseconds after (before, where negative) 1970-01-01T00:00:00Z.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Reads the text of an EDN `#inst`: RFC 3339 (`2026-11-21T20:02:01.123456Z`, or with an offset such as `+02:00`),
    /// cut short after any field as Clojure's reader allows (`2026`, `2026-11-21`, `2026-11-21T20:02`).
    ///
    /// Fields left out are the earliest they can be; without an offset the text is UTC. Up to nine fraction digits
    /// are taken, and what is finer than a microsecond is cut off towards the past. Second 60 is accepted in minute 59
    /// and means the start of the next minute. `None` for anything else, dates that do not exist, and instants that do
    /// not fit 64 bits of microseconds.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let (local, offset_seconds) = split_offset(text)?;
        let mut fields = Fields(local.as_bytes());
        let year = fields.year()?;
        let month = fields.optional(b"-", 1)?;
        let day = if month.is_some() { fields.optional(b"-", 1)? } else { None };
        let hour = if day.is_some() { fields.optional(b"Tt", 0)? } else { None };
        let minute = if hour.is_some() { fields.optional(b":", 0)? } else { None };
        let second = if minute.is_some() { fields.optional(b":", 0)? } else { None };
        let micros = if second.is_some() { fields.fraction()? } else { 0 };
        if !fields.0.is_empty() {
            return None;
        }
        let (hour, minute, second) = (hour.unwrap_or(0), minute.unwrap_or(0), second.unwrap_or(0));
        let last_second = if minute == 59 { 60 } else { 59 };
        if hour > 23 || minute > 59 || second > last_second {
            return None;
        }
        let seconds = days_start(year, month.unwrap_or(1), day.unwrap_or(1))? + hour * 3600 + minute * 60 + second
            - offset_seconds;
        let micros = i128::from(seconds) * 1_000_000 + i128::from(micros);
        i64::try_from(micros).ok().map(Self)
    }
}

/// The second since 1970 at which that day begins in UTC; `None` where the calendar has no such day.
fn days_start(year: i64, month: i64, day: i64) -> Option<i64> {
    let year_in_cycle = i16::try_from(year.rem_euclid(CYCLE_YEARS) + 2000).ok()?;
    let date = Date::new(year_in_cycle, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()?;
    let cycles = year.div_euclid(CYCLE_YEARS) - 2000 / CYCLE_YEARS;
    Some(cycles * CYCLE_SECONDS + CYCLE_START_SECONDS + date.duration_since(CYCLE_START).as_secs())
}

/// Takes `Z` or an offset `+hh:mm` off the end. Colons stand only after `T` or another field of the time, so these last
/// six characters cannot be anything else.
fn split_offset(text: &str) -> Option<(&str, i64)> {
    if let Some(local) = text.strip_suffix(['Z', 'z']) {
        return Some((local, 0));
    }
    let Some((local, offset)) = text.len().checked_sub(6).and_then(|at| text.split_at_checked(at)) else {
        return Some((text, 0));
    };
    let sign = match offset.as_bytes() {
        [b'+', _, _, b':', _, _] => 1,
        [b'-', _, _, b':', _, _] => -1,
        _ => return Some((text, 0)),
    };
    let mut fields = Fields(offset.as_bytes().get(1..)?);
    let hours = fields.digits(2)?;
    let minutes = fields.optional(b":", 0)??;
    (hours < 24 && minutes < 60).then_some((local, sign * (hours * 3600 + minutes * 60)))
}

/// What is left of the text, field by field.
struct Fields<'t>(&'t [u8]);

impl Fields<'_> {
    fn eat(&mut self, any_of: &[u8]) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        any_of.contains(first).then(|| {
            self.0 = rest;
            *first
        })
    }

    fn digits(&mut self, count: usize) -> Option<i64> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        digits.iter().try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + i64::from(digit - b'0')))
    }

    fn year(&mut self) -> Option<i64> {
        match self.eat(b"+-") {
            None => self.digits(4),
            Some(b'+') => self.digits(6),
            Some(_) => self.digits(6).filter(|year| *year != 0).map(|year| -year),
        }
    }

    /// A separator and two digits of at least `least`, or nothing (`Some(None)`).
    fn optional(&mut self, separators: &[u8], least: i64) -> Option<Option<i64>> {
        match self.eat(separators) {
            None => Some(None),
            Some(_) => self.digits(2).filter(|number| *number >= least).map(Some),
        }
    }

    /// `.` and one to nine digits, as whole microseconds; 0 where there is no fraction.
    fn fraction(&mut self) -> Option<i64> {
        if self.eat(b".").is_none() {
            return Some(0);
        }
        let count = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if !(1..=9).contains(&count) {
            return None;
        }
        let mut nanos = self.digits(count)?;
        for _ in count..9 {
            nanos *= 10;
        }
        Some(nanos / 1000)
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.div_euclid(1_000_000) - CYCLE_START_SECONDS;
        let micros = self.0.rem_euclid(1_000_000);
        let cycles = seconds.div_euclid(CYCLE_SECONDS);
        let in_cycle = SignedDuration::from_secs(seconds.rem_euclid(CYCLE_SECONDS));
        let at = DateTime::from(CYCLE_START).saturating_add(in_cycle);
        let year = i64::from(at.year()) + cycles * CYCLE_YEARS;
        match year {
            0..=9999 => write!(f, "{year:04}")?,
            _ => write!(f, "{year:+07}")?,
        }
        write!(f, "-{:02}-{:02}T{:02}:{:02}:{:02}", at.month(), at.day(), at.hour(), at.minute(), at.second())?;
        match (micros, micros % 1000) {
            (0, _) => f.write_str("Z"),
            (_, 0) => write!(f, ".{:03}Z", micros / 1000),
            _ => write!(f, ".{micros:06}Z"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use proptest::prelude::*;

    use super::*;

    fn micros(text: &str) -> Option<i64> {
        Instant::parse_rfc3339(text).map(Instant::as_micros)
    }

    #[test]
    fn reads_every_form_that_clojure_reads() {
        let day = 86_400_000_000;
        assert_eq!(micros("1970"), Some(0));
        assert_eq!(micros("1970-02"), Some(31 * day));
        assert_eq!(micros("1970-02-02"), Some(32 * day));
        assert_eq!(micros("1970-01-01T01"), Some(3_600_000_000));
        assert_eq!(micros("1970-01-01T00:01"), Some(60_000_000));
        assert_eq!(micros("1970-01-01T00:00:01"), Some(1_000_000));
        assert_eq!(micros("1970-01-01T00:00:01.5Z"), Some(1_500_000));
        assert_eq!(micros("1970-01-01t02:00:00+02:00"), Some(0));
        assert_eq!(micros("1969-12-31T21:30-02:30"), Some(0));
        assert_eq!(micros("1970-02:00"), Some(7_200_000_000));
        assert_eq!(micros("2000-02-29"), Some(951_782_400_000_000));
        assert_eq!(micros("2016-12-31T23:59:60Z"), micros("2017-01-01"));
        assert_eq!(micros("9999-12-31T23:59:59.999999Z"), Some(253_402_300_799_999_999));
    }

    #[test]
    fn cuts_finer_fractions_towards_the_past() {
        assert_eq!(micros("1970-01-01T00:00:00.000001999Z"), Some(1));
        assert_eq!(micros("1969-12-31T23:59:59.9999999Z"), Some(-1));
        assert_eq!(micros("1969-12-31T23:59:59.5Z"), Some(-500_000));
    }

    #[test]
    fn refuses_what_is_no_instant() {
        for text in [
            "",
            "Z",
            "26",
            "20261",
            "2026-",
            "2026-1",
            "2026-00",
            "2026-13",
            "2026-02-29",
            "2026-11-31",
            "2026-11-21T",
            "2026-11-21T24",
            "2026-11-21T20:60",
            "2026-11-21T20:02:60",
            "2026-11-21T20:02:61",
            "2026-11-21T20:02:01.",
            "2026-11-21T20:02:01.1234567890",
            "2026-11-21T20:02:01+24:00",
            "2026-11-21T20:02:01+02",
            "2026-11-21 20:02",
            "2026-11-21T20:02:01ZZ",
            " 2026",
            "-000000",
            "+2026",
            "+999999",
            "-290309",
            "2026-é1:00",
            "20é26",
        ] {
            assert_eq!(micros(text), None, "{text:?}");
        }
    }

    #[test]
    fn displays_the_shortest_text_that_loses_nothing() {
        let shown = |micros| Instant::from_micros(micros).to_string();
        assert_eq!(shown(0), "1970-01-01T00:00:00Z");
        assert_eq!(shown(-1), "1969-12-31T23:59:59.999999Z");
        assert_eq!(shown(1_500_000), "1970-01-01T00:00:01.500Z");
        assert_eq!(shown(253_402_300_799_999_999), "9999-12-31T23:59:59.999999Z");
        assert_eq!(shown(253_402_300_800_000_000), "+010000-01-01T00:00:00Z");
        assert_eq!(shown(-62_167_219_200_000_000), "0000-01-01T00:00:00Z");
        assert_eq!(shown(-62_167_219_200_000_001), "-000001-12-31T23:59:59.999999Z");
        assert_eq!(shown(i64::MAX), "+294247-01-10T04:00:54.775807Z");
        assert_eq!(shown(i64::MIN), "-290308-12-21T19:59:05.224192Z");
    }

    proptest! {
        #[test]
        fn every_instant_reads_back(micros: i64) {
            let instant = Instant::from_micros(micros);
            prop_assert_eq!(Instant::parse_rfc3339(&instant.to_string()), Some(instant));
        }

        #[test]
        fn agrees_with_the_calendar_library(micros in -377_000_000_000_000_000_i64..253_000_000_000_000_000) {
            let theirs = jiff::Timestamp::from_microsecond(micros).unwrap();
            if theirs >= "0000-01-01T00:00:00Z".parse().unwrap() {
                prop_assert_eq!(Instant::parse_rfc3339(&theirs.to_string()), Some(Instant::from_micros(micros)));
            }
            let ours: jiff::Timestamp = Instant::from_micros(micros).to_string().parse().unwrap();
            prop_assert_eq!(ours, theirs);
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,30}|[-+0-9TZ:.]{0,30}") {
            let _ = Instant::parse_rfc3339(&text);
        }
    }
}
