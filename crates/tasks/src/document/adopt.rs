//! What a client without clocks says of a task as a whole, when it was told what is here.

use std::collections::{BTreeMap, BTreeSet};

use tolstoy_edn::Instant;

use super::parse::instant_of;
use super::{Document, History};
use crate::clock::{Clock, FIRST, TagStamp};
use crate::json::Json;

/// Properties and tags.
pub(super) type Said<'s> = (&'s BTreeMap<String, Json>, &'s BTreeSet<String>);

impl Document {
    /// Takes in what such a client says at this time, having been `told` what stands here. What it was told it does not say anew.
    ///
    /// A value from a client without clocks gives way to a later one, or to none: it is the same client's, as far as anybody knows.
    /// A value with a device's stamp is nothing that the client has seen; so what the client says is resolved with it, and what
    /// it does not say is no removal.
    pub(crate) fn adopt(&mut self, told: Said<'_>, says: Said<'_>, at: Instant) {
        let clock = Clock::foreign(at);
        let names: BTreeSet<&String> = told.0.keys().chain(says.0.keys()).collect();
        for name in names.into_iter().filter(|name| told.0.get(*name) != says.0.get(*name)) {
            self.adopt_property(name, says.0.get(name).cloned(), &clock);
        }
        for tag in told.1.symmetric_difference(says.1) {
            let on = says.1.contains(tag);
            let takes = match self.tags.get(tag) {
                None => on,
                Some(there) => there.clock < clock && (on || there.clock.device.is_none()),
            };
            if takes {
                self.tags.insert(tag.clone(), TagStamp { clock: clock.clone(), on });
                self.lists_tags = true;
            }
        }
        if at > FIRST && self.updated_at.as_ref().and_then(instant_of).is_none_or(|there| there < at) {
            self.updated_at = Some(Json::String(at.to_string()));
        }
    }

    fn adopt_property(&mut self, name: &str, value: Option<Json>, clock: &Clock) {
        match (self.properties.get_mut(name), value) {
            (None, None) => {}
            (None, Some(value)) => {
                self.properties.insert(name.to_owned(), History::of(clock.clone(), Some(value)));
            }
            (Some(history), value) => {
                let gives_way =
                    history.newest().is_some_and(|newest| newest.clock.device.is_none() && newest.clock < *clock);
                if gives_way {
                    history.replace(clock.clone(), value);
                } else if value.is_some() {
                    *history = history.join(&History::of(clock.clone(), value));
                }
            }
        }
    }
}
