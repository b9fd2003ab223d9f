//! Writing tasks into a store: one transaction for an exchange.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use tolstoy_edn::{Keyword, Value as Edn};
use tolstoy_store::Value;

use super::vocabulary::{self, ATTRIBUTES, BLOCKED_BY, Fact, ID};
use super::{Known, StoreDriver, failed};
use crate::driver::{Answer, DriverError, Exchanged, Offer, Released, Trouble};
use crate::{Document, Hash, Refusal, TaskId, resolve};

/// How many bytes of new states one transaction takes.
const MAX_BYTES: usize = 32 << 20;

impl StoreDriver {
    /// Resolves offers with what is here, and writes what differs.
    pub(super) fn settle(&mut self, offers: &[Offer]) -> Result<Exchanged, DriverError> {
        let ids: BTreeSet<TaskId> = offers.iter().map(Offer::id).collect();
        let known = self.know(&ids)?;
        let troubles: Vec<Trouble> = known.values().flat_map(|known| known.troubles.iter().cloned()).collect();

        let mut stands: BTreeMap<TaskId, Document> =
            known.iter().filter_map(|(id, known)| Some((*id, known.document.clone()?))).collect();
        let mut refused = BTreeMap::new();
        for (id, known) in &known {
            // A state that cannot be read, or not be resolved with the others, is somebody's; it stays until it can.
            let why = known.troubles.first().map(ToString::to_string);
            refused.extend(why.map(|why| (*id, Refusal(why))));
        }
        let answers = offers.iter().map(|offer| answer(offer, &mut stands, &refused)).collect();

        let nothing = Known::default();
        let mut text = String::new();
        for (id, document) in &stands {
            let known = known.get(id).unwrap_or(&nothing);
            if known.says(document) || refused.contains_key(id) {
                continue;
            }
            self.forms(*id, known, document, &mut text)?;
            if text.len() > MAX_BYTES {
                self.transact(&std::mem::take(&mut text))?;
            }
        }
        self.transact(&text)?;
        Ok(Exchanged { answers, troubles })
    }

    /// Retracts what is said of these tasks, their ids aside: what blocks another task is still named by that.
    pub(super) fn let_go(&mut self, tasks: &BTreeMap<TaskId, Hash>) -> Result<Released, DriverError> {
        let known = self.know(&tasks.keys().copied().collect())?;
        let mut released = Released::default();
        let mut text = String::new();
        for (id, hash) in tasks {
            if let Some(known) = known.get(id).filter(|known| known.states > 0) {
                if let Some(trouble) = known.troubles.first() {
                    // A state that cannot be read is somebody's, and nobody saw that it is elsewhere.
                    released.kept.insert(*id, Refusal(trouble.to_string()));
                    continue;
                }
                if known.document.as_ref().map(Document::hash) != Some(*hash) {
                    released.keep_edited(*id);
                    continue;
                }
                known.retract_all(&mut text);
            }
            released.released.insert(*id);
            if text.len() > MAX_BYTES {
                self.transact(&std::mem::take(&mut text))?;
            }
        }
        self.transact(&text)?;
        Ok(released)
    }

    fn transact(&mut self, forms: &str) -> Result<(), DriverError> {
        if forms.is_empty() {
            return Ok(());
        }
        self.add_words()?;
        self.store.transact_str(&format!("[{forms}]")).map_err(failed)?;
        Ok(())
    }

    /// Adds what is missing of the vocabulary.
    fn add_words(&mut self) -> Result<(), DriverError> {
        let missing = |name: &str| {
            let name = Keyword::parse(name.trim_start_matches(':'));
            name.is_none_or(|name| self.store.schema().entid(&name).is_none())
        };
        let forms: Vec<String> = ATTRIBUTES
            .iter()
            .filter(|(name, _)| missing(name))
            .map(|(name, definition)| format!("{{:db/ident {name} {definition}}}"))
            .collect();
        if !forms.is_empty() {
            self.store.transact_str(&format!("[{}]", forms.join(" "))).map_err(failed)?;
        }
        Ok(())
    }

    /// Appends the forms that make a store which knows this say that.
    fn forms(&self, id: TaskId, known: &Known, document: &Document, out: &mut String) -> Result<(), DriverError> {
        let facts = vocabulary::facts(document);
        let blockers = self.blockers(known)?;
        let entity = known.entity.map_or_else(|| format!("\"{id}\""), |entity| entity.to_string());
        // Writing to a text does not fail.
        if known.entity.is_none() {
            let _ = write!(out, "[:db/add {entity} {ID} \"{id}\"]");
        }
        let wanted: BTreeSet<(&str, &str)> = facts.iter().map(|fact| (fact.attribute, fact.value.as_str())).collect();
        let attributes: BTreeSet<&str> = facts.iter().map(|fact| fact.attribute).collect();
        for (attribute, value) in &known.facts {
            let said = blockers.get(value).filter(|_| *attribute == BLOCKED_BY).unwrap_or(value);
            // A new value of an attribute that has one takes the old one's place.
            let replaced = vocabulary::is_one(attribute) && attributes.contains(attribute);
            if !replaced && !wanted.contains(&(*attribute, said)) {
                let _ = write!(out, "[:db/retract {entity} {attribute} {value}]");
            }
        }
        for Fact { attribute, value } in &facts {
            if *attribute == BLOCKED_BY {
                let tempid = value.as_str();
                let _ = write!(out, "[:db/add {tempid} {ID} {value}][:db/add {entity} {attribute} {tempid}]");
            } else {
                let _ = write!(out, "[:db/add {entity} {attribute} {value}]");
            }
        }
        Ok(())
    }

    /// The ids of the tasks that block a task, as EDN, by their entities.
    fn blockers(&self, known: &Known) -> Result<BTreeMap<String, String>, DriverError> {
        let entities: Vec<Edn> = known
            .facts
            .iter()
            .filter(|(attribute, _)| *attribute == BLOCKED_BY)
            .filter_map(|(_, entity)| entity.parse().ok().map(Edn::Integer))
            .collect();
        if entities.is_empty() {
            return Ok(BTreeMap::new());
        }
        let query = "[:find ?b ?id :in [?b ...] :where [?b :task/id ?id]]";
        let rows = self.rows(query, &[Edn::Vector(entities)])?;
        let pair = |row: Vec<Value>| match &*row {
            [Value::Ref(entity), Value::String(id)] => Some((entity.to_string(), vocabulary::text(id))),
            _ => None,
        };
        Ok(rows.into_iter().filter_map(pair).collect())
    }
}

/// Answers an offer, and takes what it brings.
fn answer(offer: &Offer, stands: &mut BTreeMap<TaskId, Document>, refused: &BTreeMap<TaskId, Refusal>) -> Answer {
    if let Some(refusal) = refused.get(&offer.id()) {
        return Answer::Refused(refusal.clone());
    }
    let here = stands.get(&offer.id());
    let Some(state) = offer.state() else { return Answer::Stands(here.cloned()) };
    let resolved = match here {
        Some(here) => resolve(here, state),
        None => state.check().map(|()| state.clone()),
    };
    match resolved {
        Err(refusal) => Answer::Refused(refusal),
        Ok(document) => {
            stands.insert(offer.id(), document.clone());
            Answer::Stands(Some(document))
        }
    }
}
