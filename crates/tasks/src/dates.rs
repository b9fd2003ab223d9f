//! Dates as people write them.

use jiff::civil::{Date, DateTime, Time, Weekday, time};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Span, ToSpan, Zoned};
use thiserror::Error;
use tolstoy_edn::Instant;

use crate::clock::{FIRST, LAST};
use crate::json;

/// The time now, in the user's time zone, and the zones that there are.
#[derive(Debug, Clone)]
pub struct Calendar {
    now: Zoned,
    zones: TimeZoneDatabase,
}

/// A text that is no date.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{0:?} is no date: write 2026-11-25, 2026-11-25T09:30, now, today, tomorrow, fri, next friday, eod, eow, eom, eoy, 3d, 2w, 1mo, or a day with a time, such as fri 09:30"
)]
pub struct NoDate(String);

/// What a date means: a moment, or a day, where all of it is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
enum When {
    Day(Date),
    At(Zoned),
}

impl Calendar {
    /// The calendar of a moment in a time zone; `None` where the moment is outside the years 0000 to 9999.
    pub fn new(now: Instant, zone: TimeZone, zones: TimeZoneDatabase) -> Option<Self> {
        Some(Self { now: zoned(now, &zone)?, zones })
    }

    /// The time now.
    pub fn now(&self) -> Instant {
        instant(&self.now).unwrap_or(LAST)
    }

    pub(crate) const fn zones(&self) -> &TimeZoneDatabase {
        &self.zones
    }

    /// A moment in the user's time zone.
    pub fn local(&self, at: Instant) -> Option<Zoned> {
        zoned(at, self.now.time_zone())
    }

    /// The moment that a text means. Of a day it is the beginning.
    ///
    /// # Errors
    /// Where it is no date.
    pub fn parse(&self, text: &str) -> Result<Instant, NoDate> {
        self.range(text).map(|(from, _)| from)
    }

    /// The moments that a text means, the second excluded: all of a day, or one moment.
    pub(crate) fn range(&self, text: &str) -> Result<(Instant, Instant), NoDate> {
        let range = || {
            let (from, to) = match self.when(text)? {
                When::At(at) => (instant(&at)?, Instant::from_micros(instant(&at)?.as_micros() + 1)),
                When::Day(day) => {
                    let start = |day: Date| day.to_zoned(self.now.time_zone().clone()).ok().and_then(|z| instant(&z));
                    (start(day)?, day.tomorrow().ok().and_then(start).unwrap_or(LAST))
                }
            };
            Some((from, to))
        };
        range().ok_or_else(|| NoDate(json::shortened(text)))
    }

    fn when(&self, text: &str) -> Option<When> {
        let lower = text.to_ascii_lowercase();
        match *lower.split_whitespace().collect::<Vec<_>>() {
            [word] => self.word(word).or_else(|| self.iso(text.trim())),
            ["next", word] => self.next(word).map(When::Day),
            ["next", word, time] => self.at(self.next(word)?, time),
            [word, time] => match self.word(word).or_else(|| self.iso(word))? {
                When::Day(day) => self.at(day, time),
                When::At(_) => None,
            },
            _ => None,
        }
    }

    fn word(&self, word: &str) -> Option<When> {
        let today = self.now.date();
        let end_of = |day: Date| self.at(day, "eod");
        match word {
            "now" => Some(When::At(self.now.clone())),
            "today" => Some(When::Day(today)),
            "tomorrow" => today.tomorrow().ok().map(When::Day),
            "yesterday" => today.yesterday().ok().map(When::Day),
            "eod" => end_of(today),
            "eow" => end_of(today.checked_add(i64::from(today.weekday().until(Weekday::Sunday)).days()).ok()?),
            "eom" => end_of(today.last_of_month()),
            "eoy" => end_of(today.last_of_year()),
            _ => match weekday(word) {
                Some(weekday) => today.nth_weekday(1, weekday).ok().map(When::Day),
                None => self.now.checked_add(span(word)?).ok().map(When::At),
            },
        }
    }

    fn next(&self, word: &str) -> Option<Date> {
        let today = self.now.date();
        match word {
            "day" => today.tomorrow().ok(),
            "week" => today.nth_weekday(1, Weekday::Monday).ok(),
            "month" => today.last_of_month().tomorrow().ok(),
            "year" => today.last_of_year().tomorrow().ok(),
            _ => today.nth_weekday(1, weekday(word)?).ok(),
        }
    }

    fn at(&self, day: Date, text: &str) -> Option<When> {
        let digits = |text: &str| text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        let at = match text {
            "eod" => time(23, 59, 59, 0),
            _ => {
                let parts: Vec<&str> = text.split(':').collect();
                ((2..=3).contains(&parts.len()) && parts.iter().all(|part| digits(part))).then_some(())?;
                let mut numbers = parts.iter().map(|part| part.parse::<i8>().unwrap_or(-1)).chain([0]);
                Time::new(numbers.next()?, numbers.next()?, numbers.next()?, 0).ok()?
            }
        };
        day.to_datetime(at).to_zoned(self.now.time_zone().clone()).ok().map(When::At)
    }

    fn iso(&self, text: &str) -> Option<When> {
        let upper = text.to_ascii_uppercase();
        let (date, rest) = upper.split_at_checked("2026-11-25".len())?;
        let date: Date = date.parse().ok()?;
        let Some(rest) = rest.strip_prefix('T') else { return rest.is_empty().then_some(When::Day(date)) };
        if rest.contains(['Z', '+', '-']) {
            return Instant::parse_rfc3339(&upper).and_then(|at| self.local(at)).map(When::At);
        }
        let local: DateTime = upper.parse().ok()?;
        local.to_zoned(self.now.time_zone().clone()).ok().map(When::At)
    }
}

fn weekday(word: &str) -> Option<Weekday> {
    let days = [
        ("monday", Weekday::Monday),
        ("tuesday", Weekday::Tuesday),
        ("wednesday", Weekday::Wednesday),
        ("thursday", Weekday::Thursday),
        ("friday", Weekday::Friday),
        ("saturday", Weekday::Saturday),
        ("sunday", Weekday::Sunday),
    ];
    days.into_iter().find(|(name, _)| *name == word || name.get(..3) == Some(word)).map(|(_, day)| day)
}

/// A length of time: `1w2d`, with `-` before to go back.
pub(crate) fn span(text: &str) -> Option<Span> {
    let (negative, mut rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let mut span = Span::new();
    (!rest.is_empty()).then_some(())?;
    let part = |text: &str, ends: fn(&u8) -> bool| text.bytes().position(|b| ends(&b)).unwrap_or(text.len());
    while !rest.is_empty() {
        let (digits, after) = rest.split_at_checked(part(rest, |b| !b.is_ascii_digit()))?;
        let (unit, after) = after.split_at_checked(part(after, u8::is_ascii_digit))?;
        let number: i64 = digits.parse().ok()?;
        span = match unit {
            "s" => span.try_seconds(number.checked_add(span.get_seconds())?),
            "min" => span.try_minutes(number.checked_add(span.get_minutes())?),
            "h" => span.try_hours(number.checked_add(i64::from(span.get_hours()))?),
            "d" => span.try_days(number.checked_add(i64::from(span.get_days()))?),
            "w" => span.try_weeks(number.checked_add(i64::from(span.get_weeks()))?),
            "mo" => span.try_months(number.checked_add(i64::from(span.get_months()))?),
            "y" => span.try_years(number.checked_add(i64::from(span.get_years()))?),
            _ => return None,
        }
        .ok()?;
        rest = after;
    }
    Some(if negative { span.negate() } else { span })
}

pub(crate) fn zoned(at: Instant, zone: &TimeZone) -> Option<Zoned> {
    let timestamp = jiff::Timestamp::from_microsecond(at.as_micros()).ok()?;
    Some(timestamp.to_zoned(zone.clone()))
}

pub(crate) fn instant(at: &Zoned) -> Option<Instant> {
    let instant = Instant::from_micros(at.timestamp().as_microsecond());
    (FIRST..=LAST).contains(&instant).then_some(instant)
}
