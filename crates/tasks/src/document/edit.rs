//! Edits by a device that has clocks.

use tolstoy_edn::Instant;

use super::parse::instant_of;
use super::{Document, History, MAX_NAME, Refusal};
use crate::clock::{Author, Clock, EndOfTime, FIRST, LAST, TagStamp};
use crate::json::{self, Json};

impl Document {
    /// Gives a property a value, or removes it. What is so already stays as it is.
    ///
    /// # Errors
    /// Where the property cannot be edited, or its clock is at its end.
    pub fn set(&mut self, author: &Author, property: &str, value: Option<Json>) -> Result<(), Refusal> {
        let named = !property.is_empty() && property.len() <= MAX_NAME;
        if !named || ["id", "tags", "updated_at", "_clocks", "_journal"].contains(&property) {
            let name = json::shortened(property);
            return Err(Refusal(format!("{name:?} is no property that can be given a value")));
        }
        if self.get(property) == value.as_ref() {
            return Ok(());
        }
        match self.properties.get_mut(property) {
            Some(history) => {
                let newest = history.newest().map_or_else(|| Clock::foreign(FIRST), |stamp| stamp.clock.clone());
                let clock = newest.next(author.now, &author.device).map_err(|e| at_end(property, e))?;
                history.replace(clock, value);
            }
            None => {
                let clock = first_clock(author).map_err(|e| at_end(property, e))?;
                self.properties.insert(property.to_owned(), History::of(clock, value));
            }
        }
        self.touch(author.now);
        Ok(())
    }

    /// Puts a tag on, or takes it off.
    ///
    /// # Errors
    /// Where the tag is empty or too long, or its clock is at its end.
    pub fn tag(&mut self, author: &Author, tag: &str, on: bool) -> Result<(), Refusal> {
        if tag.is_empty() || tag.len() > MAX_NAME {
            return Err(Refusal(format!("the tag {:?}: a tag has 1 to {MAX_NAME} bytes", json::shortened(tag))));
        }
        let clock = match self.tags.get(tag) {
            Some(stamp) if stamp.on == on => return Ok(()),
            None if !on => return Ok(()),
            Some(stamp) => stamp.clock.next(author.now, &author.device),
            None => first_clock(author),
        };
        let clock = clock.map_err(|e| at_end(tag, e))?;
        self.tags.insert(tag.to_owned(), TagStamp { clock, on });
        self.lists_tags = true;
        self.touch(author.now);
        Ok(())
    }

    /// `updated_at` becomes now, unless it is later.
    fn touch(&mut self, now: Instant) {
        let now = now.clamp(FIRST, LAST);
        if self.updated_at.as_ref().and_then(instant_of).is_none_or(|there| there < now) {
            self.updated_at = Some(Json::String(now.to_string()));
        }
    }
}

/// The clock of the first value of a property.
fn first_clock(author: &Author) -> Result<Clock, EndOfTime> {
    let before = Instant::from_micros(author.now.as_micros().saturating_sub(1));
    Clock::foreign(before).next(author.now, &author.device)
}

pub(super) fn at_end(name: &str, end: EndOfTime) -> Refusal {
    Refusal(format!("{:?} cannot be changed: {end}", json::shortened(name)))
}
