//! Edits by a client without clocks, of a document that it holds beside what it knows of it.

use std::collections::BTreeSet;

use tolstoy_edn::Instant;

use super::adopt::Said;
use super::edit::at_end;
use super::parse::instant_of;
use super::{Document, History, Refusal};
use crate::clock::{Clock, FIRST, TagStamp};
use crate::json::Json;

impl Document {
    /// Takes in what such a client says now, having been `told` what stands here. What it says otherwise it has written, and what it
    /// does not say any more it has removed, at this time or, where what stands is newer, right after that.
    ///
    /// # Errors
    /// Where a clock is at its end.
    pub(crate) fn edit_outside(&mut self, told: Said<'_>, says: Said<'_>, at: Instant) -> Result<(), Refusal> {
        let names: BTreeSet<&String> = told.0.keys().chain(says.0.keys()).collect();
        for name in names.into_iter().filter(|name| told.0.get(*name) != says.0.get(*name)) {
            self.edit_property(name, says.0.get(name).cloned(), at)?;
        }
        for tag in told.1.symmetric_difference(says.1) {
            let on = says.1.contains(tag);
            let clock = match self.tags.get(tag) {
                Some(stamp) if stamp.on == on => continue,
                Some(stamp) => stamp.clock.next_foreign(at).map_err(|e| at_end(tag, e))?,
                None if !on => continue,
                None => Clock::foreign(at),
            };
            self.tags.insert(tag.clone(), TagStamp { clock, on });
            self.lists_tags = true;
        }
        if at > FIRST && self.updated_at.as_ref().and_then(instant_of).is_none_or(|there| there < at) {
            self.updated_at = Some(Json::String(at.to_string()));
        }
        Ok(())
    }

    fn edit_property(&mut self, name: &str, value: Option<Json>, at: Instant) -> Result<(), Refusal> {
        if self.get(name) == value.as_ref() {
            return Ok(());
        }
        match self.properties.get_mut(name) {
            Some(history) => {
                let newest = history.newest().map_or_else(|| Clock::foreign(FIRST), |stamp| stamp.clock.clone());
                history.replace(newest.next_foreign(at).map_err(|e| at_end(name, e))?, value);
            }
            None => drop(self.properties.insert(name.to_owned(), History::of(Clock::foreign(at), value))),
        }
        Ok(())
    }

    /// When the value of a property that stands was written; where there is none, when the document was.
    pub(crate) fn written_at(&self, property: &str) -> Instant {
        let stamp = self.properties.get(property).and_then(History::newest);
        stamp.map_or_else(|| self.changed_at(), |stamp| stamp.clock.instant)
    }

    /// When a tag was put on or taken off.
    pub(crate) fn tagged_at(&self, tag: &str) -> Instant {
        self.tags.get(tag).map_or_else(|| self.changed_at(), |stamp| stamp.clock.instant)
    }

    fn changed_at(&self) -> Instant {
        self.updated_at.as_ref().and_then(instant_of).unwrap_or(FIRST)
    }
}
