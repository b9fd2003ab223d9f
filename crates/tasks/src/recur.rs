//! Tasks that come back.

use jiff::civil::Weekday;
use jiff::fmt::temporal::DateTimeParser;
use jiff::{Span, Zoned};
use tolstoy_edn::Instant;

use crate::dates::{Calendar, instant, span};
use crate::json::{self, Json};
use crate::{Author, Document, Refusal};

/// How often a task comes back, and from when on.
#[derive(Debug, Clone)]
pub struct Recurrence {
    every: Every,
    from: Zoned,
}

#[derive(Debug, Clone)]
enum Every {
    Span(Span),
    Weekday,
}

/// What became of a task that was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// It is done.
    ForGood,
    /// It comes back, and is due then.
    Until(Instant),
}

impl Recurrence {
    /// A recurrence that begins at this moment of this time zone.
    ///
    /// # Errors
    /// Where `every` is no length of time of at least a minute, and not `weekdays`.
    pub fn new(every: &str, from: Zoned) -> Result<Self, Refusal> {
        let refusal = || {
            let text = json::shortened(every);
            Refusal(format!(
                "{text:?} says not how often: write 1d, 2w, 1mo, 1y, 1w2d or the like, a minute at least, or weekdays"
            ))
        };
        let every = match every.to_ascii_lowercase().as_str() {
            "weekdays" => Every::Weekday,
            text => {
                let every = span(text).ok_or_else(refusal)?;
                let minute = from.checked_add(jiff::SignedDuration::from_mins(1)).map_err(|_| refusal())?;
                if from.checked_add(every).map_err(|_| refusal())? < minute {
                    return Err(refusal());
                }
                Every::Span(every)
            }
        };
        Ok(Self { every, from })
    }

    /// `recur_from` as a document has it.
    pub fn from_text(&self) -> String {
        self.from.to_string()
    }

    /// The first time that is after this moment; `None` where that is beyond the year 9999.
    pub fn next_after(&self, after: Instant) -> Option<Zoned> {
        match self.every {
            Every::Weekday => self.next_weekday(after),
            Every::Span(every) => {
                let time = |n: i64| every.checked_mul(n).ok().and_then(|span| self.from.checked_add(span).ok());
                // What is beyond the end of time is after everything.
                let is_after = |n: i64| time(n).and_then(|time| instant(&time)).is_none_or(|time| time > after);
                let mut high = 1;
                while !is_after(high) {
                    high *= 2;
                }
                let mut low = 0;
                while low < high {
                    let middle = low + (high - low) / 2;
                    if is_after(middle) { high = middle } else { low = middle + 1 }
                }
                time(low).filter(|time| instant(time).is_some())
            }
        }
    }

    fn next_weekday(&self, after: Instant) -> Option<Zoned> {
        let zone = self.from.time_zone();
        let after = crate::dates::zoned(after, zone)?;
        let mut day = after.date().max(self.from.date());
        loop {
            let time = day.to_datetime(self.from.time()).to_zoned(zone.clone()).ok()?;
            let works = !matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday);
            if works && time > after && time >= self.from {
                return instant(&time).map(|_| time);
            }
            day = day.tomorrow().ok()?;
        }
    }
}

impl Document {
    /// Marks the task as done. One that recurs moves on to its next time instead.
    ///
    /// # Errors
    /// Where `recur` or `recur_from` say nothing that is understood, and where a property cannot be edited.
    pub fn complete(&mut self, author: &Author, calendar: &Calendar) -> Result<Done, Refusal> {
        let now = Json::String(author.now.to_string());
        let task = self.task();
        let (Some(every), Some(due)) = (task.text("recur"), task.instant("due")) else {
            self.set(author, "done", Some(now))?;
            return Ok(Done::ForGood);
        };
        let recurrence = Recurrence::new(every, recurring_from(task.text("recur_from"), due, calendar)?)?;
        let next = recurrence.next_after(due.max(author.now)).and_then(|next| instant(&next));
        let Some(next) = next else {
            self.set(author, "done", Some(now))?;
            return Ok(Done::ForGood);
        };
        let mut changed = self.clone();
        changed.set(author, "due", Some(Json::String(next.to_string())))?;
        if let Some(wait) = task.instant("wait") {
            let moved = wait.as_micros().saturating_add(next.as_micros() - due.as_micros());
            changed.set(author, "wait", Some(Json::String(Instant::from_micros(moved).to_string())))?;
        }
        changed.set(author, "snooze", None)?;
        changed.set(author, "recur_from", Some(Json::String(recurrence.from_text())))?;
        changed.set(author, "last_done", Some(now))?;
        *self = changed;
        Ok(Done::Until(next))
    }
}

fn recurring_from(text: Option<&str>, due: Instant, calendar: &Calendar) -> Result<Zoned, Refusal> {
    let refusal =
        |text: &str| Refusal(format!("`recur_from`: {:?} is no date with a time zone", json::shortened(text)));
    match text {
        Some(text) => DateTimeParser::new().parse_zoned_with(calendar.zones(), text).map_err(|_| refusal(text)),
        None => calendar.local(due).ok_or_else(|| refusal(&due.to_string())),
    }
}
