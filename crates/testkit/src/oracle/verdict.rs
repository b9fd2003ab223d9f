//! The judgement over a log that everybody agreed on, against what users committed.

use std::collections::{BTreeMap, BTreeSet};

use tolstoy_edn::Instant;
use tolstoy_store::{Change, Displaced, Entid, Overwrite, Reason, Transaction, Update, Value};
use uuid::Uuid;

use super::facts::{Facts, core, defines, show};
use super::history::{Authored, History};
use super::intents::{At, Intent, outcome, updates};
use super::names::{Meant, Name, Who, facts_of, mentioned, names};

/// What the judged log held, for coverage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Numbers that were allocated for different entities on different devices.
    pub colliding_entids: u64,
    /// Idents that several devices gave to new entities of different numbers.
    pub differing_attributes: u64,
    /// Mentions of entities whose allocation was displaced, by changes that did not allocate them.
    pub refs_into_displaced: u64,
    /// Facts that users retracted.
    pub retractions: u64,
    /// Carriers, by the word of their reason.
    pub displaced: BTreeMap<&'static str, u64>,
    /// Values that overwrote concurrent ones, as far as the oracle demanded that they are listed.
    pub overwritten: u64,
    /// Operations that were done.
    pub operations: u64,
    /// Values that only increments made, each the sum of them.
    pub counters: u64,
    /// Entities that were one with an entity of another device.
    pub unified: u64,
    /// Of them, those that took the identity in a later change than the one that allocated them.
    pub unified_late: u64,
}

/// Judges a log against the history.
///
/// The entity correspondence is verified, not trusted. What each number meant to its author was written down in names (the
/// change that brought the entity into being, and the number it had there). The log's `entids` claim an entity for each
/// name; the claim is accepted if every change, read in names, is accounted for under it, and if it gives one entity to
/// several names only where those names took the same unique identity. A claim that passes both is, up to a renaming that
/// no fact can tell, the true one.
///
/// # Errors
/// What was lost, doubled, made up or misplaced.
pub fn judge(log: &[Transaction], history: &History) -> Result<Verdict, String> {
    let mut judge = Judge::new(log, history)?;
    judge.origins(log)?;
    let mut rest = log.iter();
    let bootstrap = rest.next().ok_or("the log has no bootstrap")?;
    let mut facts = Facts::default();
    facts.apply(bootstrap)?;
    let mut previous = bootstrap.instant;
    for transaction in rest {
        judge
            .transaction(transaction, &mut facts, previous)
            .map_err(|what| format!("transaction {} of {}: {what}", transaction.tx, transaction.origin.id))?;
        previous = transaction.instant;
    }
    judge.unifications(&facts)?;
    judge.sums(&facts)?;
    judge.count();
    Ok(judge.verdict)
}

/// The facts that a transaction takes back, with the transactions that asserted them.
type Replaced = BTreeMap<(Entid, Entid, Value), Entid>;

struct Judge<'h> {
    history: &'h History,
    /// Who each name is in this log.
    is: BTreeMap<Name, Entid>,
    carriers: BTreeSet<Uuid>,
    /// Each main transaction's origin.
    origin_of: BTreeMap<Entid, Uuid>,
    /// What the increments of a value add up to.
    counters: BTreeMap<(Entid, Entid), i64>,
    /// The values of which more was said than increments.
    touched: BTreeSet<(Entid, Entid)>,
    /// The entities that were deleted whole, each by which change.
    deleted: BTreeMap<Entid, Uuid>,
    /// Who asserted a value of a unique identity.
    claims: BTreeMap<(Entid, Value), Vec<Claim<'h>>>,
    verdict: Verdict,
}

impl<'h> Judge<'h> {
    fn new(log: &[Transaction], history: &'h History) -> Result<Self, String> {
        let mut is = BTreeMap::new();
        let mut carriers = BTreeSet::new();
        for transaction in log.iter().skip(1) {
            for (name, e) in names(transaction) {
                if !history.knows(&name) {
                    return Err(format!("{} claims {name:?}, which nobody allocated", transaction.tx));
                }
                if is.insert(name, e).is_some() {
                    return Err(format!("{name:?} is two entities"));
                }
            }
            if transaction.displaced.is_some() {
                carriers.insert(transaction.origin.id);
            } else {
                is.insert(Name { origin: transaction.origin.id, authored: Name::CARRIER }, transaction.tx);
            }
        }
        let origin_of = log.iter().map(|t| (t.tx, t.origin.id)).collect();
        Ok(Self {
            history,
            is,
            carriers,
            origin_of,
            counters: BTreeMap::new(),
            touched: BTreeSet::new(),
            deleted: BTreeMap::new(),
            claims: BTreeMap::new(),
            verdict: Verdict::default(),
        })
    }

    /// Every origin occurs once, and nothing else does.
    fn origins(&self, log: &[Transaction]) -> Result<(), String> {
        let mut found = BTreeSet::new();
        for transaction in log.iter().skip(1) {
            if !found.insert(transaction.origin.id) {
                return Err(format!("the change {} is in the log twice", transaction.origin.id));
            }
        }
        for authored in self.history.changes() {
            if !found.contains(&authored.origin) && !self.history.is_forgiven(&authored.origin) {
                return Err(format!("the change {} is lost: {}", authored.origin, authored.text));
            }
        }
        for authored in self.history.changes().filter(|c| found.contains(&c.origin)) {
            for number in &authored.allocated {
                let name = Name { origin: authored.origin, authored: *number };
                if !self.is.contains_key(&name) && !self.carriers.contains(&authored.origin) {
                    return Err(format!("the applied change {} has no entity for {number}", authored.origin));
                }
            }
        }
        Ok(())
    }

    fn transaction(&mut self, t: &Transaction, facts: &mut Facts, previous: Instant) -> Result<(), String> {
        let history = self.history;
        let authored = history.get(t.origin.id).ok_or("nobody committed it")?;
        if (t.origin.device, t.origin.authored) != (authored.device, authored.instant) {
            return Err("its device or its authored instant is not the one it had".to_owned());
        }
        let instant = authored.instant.max(Instant::from_micros(previous.as_micros() + 1));
        if t.instant != instant {
            return Err(format!("its instant is {:?} and should be {instant:?}", t.instant));
        }
        let said = self.said(authored)?;
        let identifying: BTreeSet<Entid> = said.iter().map(|(_, c)| c.a).filter(|a| facts.identifies(*a)).collect();
        let replaced: Replaced =
            facts_of(t).filter_map(|c| Some(((c.e, c.a, c.v.clone()), facts.asserted(c.e, c.a, &c.v)?))).collect();
        let produced = if t.displaced.is_some() { BTreeSet::new() } else { self.produced(authored, facts)? };
        let skeleton = self.skeleton(authored, &said, facts);
        facts.apply(t)?;
        let retracted = facts_of(t).filter(|c| !c.added).map(|c| c.e);
        self.deleted.extend(retracted.filter(|e| !facts.exists(*e)).map(|e| (e, authored.origin)));
        for (meant, change) in said {
            if identifying.contains(&change.a) || facts.identifies(change.a) {
                self.note_claim(authored, meant, change);
            }
        }
        match &t.displaced {
            Some(displaced) => self.carrier(t, displaced, authored),
            None => {
                skeleton.map_or(Ok(()), Err).and_then(|()| self.applied(t, authored, (&replaced, &produced), facts))
            }
        }
        .map_err(|what| format!("{what}\n  authored: {}", authored.text))
    }

    /// The entity that its author meant, in this log; none where its allocation was displaced.
    fn entity(&self, who: &Who) -> Result<Option<Entid>, String> {
        let named = match who {
            Who::Core(e) => return Ok(Some(*e)),
            Who::Named(names) => names,
        };
        let images: BTreeSet<Option<Entid>> = named.iter().map(|name| self.is.get(name).copied()).collect();
        match (images.len(), images.first()) {
            (1, Some(image)) => Ok(*image),
            _ => Err(format!("{named:?} were one entity to the author, and now are {images:?}")),
        }
    }

    /// The change in entities of this log; none where it mentions one that this log does not have.
    fn image(&self, meant: &Meant) -> Result<Option<Change>, String> {
        let (e, a) = (self.entity(&meant.e)?, self.entity(&meant.a)?);
        let v = match &meant.to {
            Some(to) => self.entity(to)?.map(Value::Ref),
            None => Some(meant.v.clone()),
        };
        Ok(match (e, a, v) {
            (Some(e), Some(a), Some(v)) => Some(Change { e, a, v, added: meant.added }),
            _ => None,
        })
    }

    fn applied(
        &mut self,
        t: &Transaction,
        authored: &Authored,
        (replaced, produced): (&Replaced, &BTreeSet<Change>),
        after: &Facts,
    ) -> Result<(), String> {
        let mut expected = BTreeSet::new();
        for meant in &authored.meant {
            let image = self.image(meant)?;
            expected.insert(image.ok_or("it was applied, though it mentions an entity that was displaced")?);
        }
        self.count_up(t, authored, produced)?;
        expected.extend(produced.iter().cloned());
        let whole = !self.history.is_worn(authored);
        // Two values that were found to be one entity: what the change replaced one by the other with is stated.
        let restated = |c: &Change| !c.added && expected.contains(&Change { added: true, ..c.clone() });
        for change in expected.iter().filter(|c| whole && !restated(c)) {
            if after.holds(change.e, change.a, &change.v) != change.added {
                return Err(format!("{} was committed, and is not so after it", show(change)));
            }
        }
        for done in facts_of(t) {
            let replaces = |c: &Change| c.added && (c.e, c.a) == (done.e, done.a) && after.is_one(c.a);
            let implied = done.added
                && (done.a, &done.v) == (core::INDEX, &Value::Boolean(true))
                && expected.iter().any(|c| c.e == done.e);
            if !expected.contains(done) && !implied && (done.added || !expected.iter().any(replaces)) {
                return Err(format!("it does {}, which nobody committed", show(done)));
            }
        }
        self.overwrites(t, authored, &expected, replaced, after)?;
        Ok(())
    }

    /// What its author asserted, as far as it can be said in entities of this log.
    fn said(&self, authored: &'h Authored) -> Result<Vec<(&'h Meant, Change)>, String> {
        let mut said = Vec::new();
        for meant in authored.meant.iter().filter(|m| m.added) {
            said.extend(self.image(meant)?.map(|change| (meant, change)));
        }
        Ok(said)
    }

    /// An operation in entities of this log; none where it mentions one that this log does not have.
    fn update<'i>(&self, intent: &'i Intent) -> Result<Option<At<'i>>, String> {
        let (e, a) = (self.entity(&intent.e)?, self.entity(&intent.a)?);
        Ok(e.zip(a).map(|(e, a)| (e, a, &intent.update)))
    }

    /// What the operations of a change must come to on the facts before it.
    fn produced(&self, authored: &Authored, before: &Facts) -> Result<BTreeSet<Change>, String> {
        let mut updates = Vec::new();
        for intent in &authored.intents {
            updates.push(
                self.update(intent)?.ok_or("it was applied, though it operates on an entity that was displaced")?,
            );
        }
        outcome(before, &updates).map_err(|why| format!("it was applied, and {why}"))
    }

    /// Adds up the increments of counters, and notes what else was said of a value.
    fn count_up(&mut self, t: &Transaction, authored: &Authored, produced: &BTreeSet<Change>) -> Result<(), String> {
        self.touched.extend(facts_of(t).filter(|c| !produced.contains(*c)).map(|c| (c.e, c.a)));
        for intent in &authored.intents {
            self.verdict.operations += 1;
            match self.update(intent)? {
                Some((e, a, Update::Inc(Value::Long(n)))) => *self.counters.entry((e, a)).or_default() += n,
                Some((e, a, _)) => drop(self.touched.insert((e, a))),
                None => {}
            }
        }
        Ok(())
    }

    /// Every value that only increments made is the sum of them.
    fn sums(&mut self, facts: &Facts) -> Result<(), String> {
        for ((e, a), sum) in self.counters.iter().filter(|(place, _)| !self.touched.contains(place)) {
            let held = facts.values(*e, *a).next();
            if held != Some(&Value::Long(*sum)) {
                return Err(format!("[{e} {a}] was to be incremented by {sum} in all, and is {held:?}"));
            }
            self.verdict.counters += 1;
        }
        Ok(())
    }

    /// Whom the change would bring back: an entity that its author knew, and that somebody else had deleted whole meanwhile.
    /// It may only where it states anew which entity that is.
    fn skeleton(&self, authored: &Authored, said: &[(&Meant, Change)], before: &Facts) -> Option<String> {
        if self.history.is_worn(authored) {
            return None;
        }
        let restated = |e: Entid| said.iter().any(|(_, c)| c.e == e && before.identifies(c.a));
        let numbers = |m: &Meant, c: &Change| [(Some(m.number), Some(c.e)), (m.v.as_ref_entid(), c.v.as_ref_entid())];
        let known = |(number, e): (Option<Entid>, Option<Entid>)| {
            e.filter(|_| number.is_some_and(|n| authored.known.contains(&n)))
        };
        said.iter().flat_map(|(m, c)| numbers(m, c)).filter_map(known).find_map(|e| {
            let by = self.history.get(*self.deleted.get(&e)?)?;
            let unseen = by.author != authored.author && !authored.seen.contains(&by.origin);
            let gone = unseen && !before.exists(e) && !restated(e);
            gone.then(|| format!("it speaks of {e}, which {} deleted whole meanwhile", by.origin))
        })
    }

    /// Notes which names its author took for holders of which unique identity.
    fn note_claim(&mut self, authored: &'h Authored, meant: &'h Meant, change: Change) {
        let names = match &meant.e {
            Who::Named(names) => names.clone(),
            Who::Core(e) => vec![core_name(*e)],
        };
        self.claims.entry((change.a, change.v)).or_default().push(Claim { names, meant, by: authored });
    }

    /// A value that somebody else set, whom the author had not seen, is not replaced in silence.
    fn overwrites(
        &mut self,
        t: &Transaction,
        authored: &Authored,
        expected: &BTreeSet<Change>,
        replaced: &Replaced,
        after: &Facts,
    ) -> Result<(), String> {
        for Overwrite { e, a, local, .. } in &t.overwritten {
            if !expected.contains(&Change::add(*e, *a, local.clone())) {
                return Err(format!("it says that it overwrote [{e} {a}] with {local}, which it did not set"));
            }
        }
        for gone in facts_of(t).filter(|c| !c.added && after.is_one(c.a) && !expected.contains(*c)) {
            let set_by = replaced.get(&(gone.e, gone.a, gone.v.clone())).and_then(|tx| self.origin_of.get(tx));
            let other = set_by.and_then(|origin| self.history.get(*origin));
            let Some(other) = other.filter(|o| o.author != authored.author) else { continue };
            // What an operation made of a value is another one on each base.
            if self.operates(other, gone)? || self.knew(authored, gone)? {
                continue;
            }
            let listed = t.overwritten.iter().any(|o| {
                (o.e, o.a, &o.incoming) == (gone.e, gone.a, &Some(gone.v.clone()))
                    && expected.contains(&Change::add(o.e, o.a, o.local.clone()))
            });
            if !listed {
                return Err(format!(
                    "it replaces {}, which {} set meanwhile, and does not say so",
                    show(gone),
                    other.origin
                ));
            }
            self.verdict.overwritten += 1;
        }
        Ok(())
    }

    /// Whether a change has an operation that made this fact what it is.
    fn operates(&self, change: &Authored, fact: &Change) -> Result<bool, String> {
        for intent in &change.intents {
            if self.update(intent)?.is_some_and(|(e, a, _)| (e, a) == (fact.e, fact.a)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the author of a change had the fact that it replaced, about what the author took for the entity.
    fn knew(&self, authored: &Authored, gone: &Change) -> Result<bool, String> {
        let mut about = BTreeSet::new();
        for meant in authored.meant.iter().filter(|m| m.added) {
            if self.entity(&meant.e)? == Some(gone.e) && self.entity(&meant.a)? == Some(gone.a) {
                about.insert(&meant.e);
            }
        }
        let same = |who: &Who| about.iter().any(|w| w.may_be(who));
        for seen in authored.seen.iter().filter_map(|origin| self.history.get(*origin)) {
            for meant in seen.meant.iter().filter(|m| m.added && same(&m.e)) {
                if self.image(meant)?.is_some_and(|c| (c.e, c.a, &c.v) == (gone.e, gone.a, &gone.v)) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// A carrier holds the change's own datoms, all of them, in the log's entities or, where it has none, in names.
    fn carrier(&mut self, t: &Transaction, displaced: &Displaced, authored: &Authored) -> Result<(), String> {
        if facts_of(t).next().is_some() {
            return Err("it is a carrier and does something".to_owned());
        }
        *self.verdict.displaced.entry(displaced.reason.word()).or_default() += 1;
        let mut unbound = BTreeMap::new();
        for u in &displaced.unbound {
            let name = Name { origin: u.origin, authored: u.authored };
            if u.entid.get() >= 0 || self.is.contains_key(&name) || unbound.insert(u.entid, name).is_some() {
                return Err(format!("it lists {u:?} as an entity that the log does not have"));
            }
            self.verdict.refs_into_displaced += u64::from(u.origin != t.origin.id);
        }
        let mut expected = Vec::new();
        let mut canon = BTreeMap::new();
        let mut operations = Vec::new();
        for Intent { e, a, update } in &authored.intents {
            let thing = |who: &Who| Ok::<_, String>(self.entity(who)?.map_or_else(|| first_name(who), Thing::Is));
            operations.push((thing(e)?, thing(a)?, update));
        }
        for meant in &authored.meant {
            let mut thing = |who: &Who| -> Result<Thing, String> {
                Ok(match (self.entity(who)?, who) {
                    (Some(e), _) => Thing::Is(e),
                    (None, Who::Named(names)) => {
                        let first = names.first().copied().ok_or("an entity without a name")?;
                        canon.extend(names.iter().map(|name| (*name, first)));
                        Thing::Unbound(first)
                    }
                    (None, Who::Core(e)) => Thing::Is(*e),
                })
            };
            let v = meant.to.as_ref().map_or(Ok(Datum::Value(meant.v.clone())), |to| thing(to).map(Datum::Ref))?;
            expected.push((thing(&meant.e)?, thing(&meant.a)?, v, meant.added));
        }
        let of = |e: Entid| unbound.get(&e).map_or(Thing::Is(e), |name| Thing::Unbound(*name));
        let carried: Vec<_> = updates(&displaced.operations).into_iter().map(|(e, a, u)| (of(e), of(a), u)).collect();
        let same = |(x, y): (&(Thing, Thing, &Update), &(Thing, Thing, &Update))| {
            let is = |x: &Thing, y: &Thing| x == y || matches!((x, y), (Thing::Unbound(_), Thing::Unbound(_)));
            is(&x.0, &y.0) && is(&x.1, &y.1) && x.2 == y.2
        };
        if carried.len() != operations.len() || !carried.iter().zip(&operations).all(same) {
            return Err(format!("the carrier holds the operations {carried:?} and should hold {operations:?}"));
        }
        let held = displaced.changes.iter().map(|c| {
            let thing = |e: Entid| match unbound.get(&e) {
                Some(name) => Thing::Unbound(canon.get(name).copied().unwrap_or(*name)),
                None => Thing::Is(e),
            };
            let v = c.v.as_ref_entid().map_or_else(|| Datum::Value(c.v.clone()), |to| Datum::Ref(thing(to)));
            (thing(c.e), thing(c.a), v, c.added)
        });
        let mut held: Vec<_> = held.collect();
        held.sort();
        expected.sort();
        // Of a change that others moved: nothing that it never said, under whatever names.
        let bare =
            |thing: &Thing| if let Thing::Is(_) = thing { *thing } else { Thing::Unbound(core_name(Entid::new(0))) };
        let asserts = |of: &[Held]| {
            let asserted = of.iter().filter(|(.., added)| *added).map(|(e, a, v, added)| {
                let v = if let Datum::Ref(to) = v { Datum::Ref(bare(to)) } else { v.clone() };
                (bare(e), bare(a), v, *added)
            });
            asserted.collect::<BTreeSet<Held>>()
        };
        let others = unbound.values().any(|name| self.history.worn().contains(&name.origin));
        let part = (others || self.history.is_worn(authored)) && asserts(&held).is_subset(&asserts(&expected));
        if held != expected && !part {
            return Err(format!(
                "the carrier ({}) holds {held:?} and should hold {expected:?}",
                displaced.reason.word()
            ));
        }
        let depends = expected.iter().any(|(e, a, v, _)| {
            let v = if let Datum::Ref(v) = v { Some(v) } else { None };
            [Some(e), Some(a), v]
                .into_iter()
                .flatten()
                .any(|x| matches!(x, Thing::Unbound(n) if n.origin != t.origin.id))
        });
        let depends =
            depends || operations.iter().any(|(e, a, _)| [e, a].iter().any(|x| matches!(x, Thing::Unbound(_))));
        if displaced.reason == Reason::Depends && !depends {
            return Err("it was displaced since it depends on another, and does not".to_owned());
        }
        Ok(())
    }

    /// Names that are one entity took one identity.
    fn unifications(&mut self, facts: &Facts) -> Result<(), String> {
        let mut same: BTreeMap<Entid, Vec<Name>> = BTreeMap::new();
        // An applied change has its transaction's entity under two names, of which the second is nobody's.
        let of = |name: &Name| name.authored != Name::CARRIER || self.carriers.contains(&name.origin);
        for (name, e) in self.is.iter().filter(|(name, _)| of(name)) {
            let names =
                same.entry(*e).or_insert_with(|| if *e < Entid::USER0 { vec![core_name(*e)] } else { Vec::new() });
            names.push(*name);
        }
        for (e, names) in same.iter().filter(|(_, names)| names.len() > 1) {
            let mut reached: BTreeSet<Name> = names.first().copied().into_iter().collect();
            loop {
                let before = reached.len();
                for claims in self.claims.values() {
                    for claim in claims {
                        if claim.name().is_some_and(|name| reached.contains(&name)) {
                            let others = claims.iter().filter(|other| claim.may_be(other));
                            reached.extend(others.filter_map(Claim::name).filter(|name| names.contains(name)));
                        }
                    }
                }
                if reached.len() == before {
                    break;
                }
            }
            if reached.len() != names.len() {
                let ident = facts.ident(*e);
                return Err(format!("{names:?} became one entity, {e} {ident:?}, and never took one identity"));
            }
            self.verdict.unified += names.len() as u64 - 1;
            let late = |name: &Name| {
                let own = |c: &Claim<'_>| c.name() == Some(*name) && c.by.origin == name.origin;
                name.authored.get() > 0 && !self.claims.values().flatten().any(own)
            };
            self.verdict.unified_late += names.iter().filter(|name| late(name)).count() as u64;
        }
        Ok(())
    }

    fn count(&mut self) {
        let mut by_number: BTreeMap<Entid, BTreeSet<Entid>> = BTreeMap::new();
        for (name, e) in self.is.iter().filter(|(name, _)| name.authored.get() > 0) {
            by_number.entry(name.authored).or_default().insert(*e);
        }
        self.verdict.colliding_entids = by_number.values().filter(|images| images.len() > 1).count() as u64;
        let mut by_ident: BTreeMap<&Value, BTreeSet<Entid>> = BTreeMap::new();
        for authored in self.history.changes() {
            self.verdict.retractions += authored.changes.iter().filter(|c| !c.added).count() as u64;
            for c in
                authored.changes.iter().filter(|c| c.a == core::IDENT && c.added && authored.allocated.contains(&c.e))
            {
                by_ident.entry(&c.v).or_default().insert(c.e);
            }
        }
        self.verdict.differing_attributes = by_ident.values().filter(|numbers| numbers.len() > 1).count() as u64;
    }
}

/// Somebody's statement that an entity has an identity.
struct Claim<'h> {
    /// The entity, under all its names.
    names: Vec<Name>,
    meant: &'h Meant,
    by: &'h Authored,
}

impl Claim<'_> {
    /// One of the names: that the others are the same must show elsewhere.
    fn name(&self) -> Option<Name> {
        self.names.first().copied()
    }

    /// Whether two statements that entities have the same identity make them one: not where the author of the later one
    /// knew the earlier one, and had taken the identity from that entity to give it to another.
    fn may_be(&self, other: &Self) -> bool {
        let same = |x: Option<&Who>, y: Option<&Who>| match (x, y) {
            (Some(x), Some(y)) => x.may_be(y),
            (x, y) => x.is_none() && y.is_none(),
        };
        let same_identity =
            same(Some(&self.meant.a), Some(&other.meant.a)) && same(self.meant.to.as_ref(), other.meant.to.as_ref());
        let knew = |later: &Self, earlier: &Self| {
            same_identity
                && later.by.seen.contains(&earlier.by.origin)
                && !earlier.names.iter().any(|name| later.names.contains(name))
        };
        !knew(self, other) && !knew(other, self)
    }
}

/// An entity that the log does not have.
fn first_name(who: &Who) -> Thing {
    match who {
        Who::Named(names) => names.first().map_or(Thing::Is(Entid::new(0)), |name| Thing::Unbound(*name)),
        Who::Core(e) => Thing::Is(*e),
    }
}

/// Stands for an entity of the bootstrap among names.
fn core_name(e: Entid) -> Name {
    Name { origin: Uuid::nil(), authored: e }
}

/// An entity in a displaced change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Thing {
    Is(Entid),
    Unbound(Name),
}

/// A datom of a displaced change.
type Held = (Thing, Thing, Datum, bool);

/// A value in a displaced change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Datum {
    Value(Value),
    Ref(Thing),
}

/// Whether a carrier that was just made had to be: its change cannot be said of `before`, the facts it was made on.
///
/// # Errors
/// Where nothing stands against the change.
pub fn justified(carrier: &Transaction, before: &Facts) -> Result<(), String> {
    let Some(displaced) = &carrier.displaced else { return Ok(()) };
    let changes = &displaced.changes;
    let new = |e: Entid| e.get() < 0;
    let foreign = displaced.unbound.iter().any(|u| u.origin != carrier.origin.id);
    let gone = |e: Entid| e.is_user() && !before.exists(e);
    let deleted = changes.iter().filter(|c| c.added).any(|c| gone(c.e) || c.v.as_ref_entid().is_some_and(gone));
    let operations = updates(&displaced.operations);
    let stated = |e: Entid, a: Entid| changes.iter().any(|c| (c.e, c.a) == (e, a));
    let stuck = outcome(before, &operations).is_err() || operations.iter().any(|(e, a, _)| gone(*e) || stated(*e, *a));
    let schema = changes.iter().any(|c| defines(c.a));
    let unknown = changes.iter().flat_map(mentioned).next().is_some()
        && changes.iter().any(|c| !new(c.a) && before.value_type(c.a) != Some(c.v.value_type().entid()));
    let clash = changes.iter().filter(|c| c.added).any(|c| {
        let others = changes.iter().filter(|o| (o.a, &o.v) == (c.a, &c.v));
        let twice = changes.iter().any(|o| o.added && (o.e, o.a) == (c.e, c.a) && o.v != c.v && before.is_one(c.a));
        let both = changes.iter().any(|o| !o.added && (o.e, o.a, &o.v) == (c.e, c.a, &c.v));
        let freed = |h: Entid| {
            changes.iter().any(|o| {
                (o.e, o.a) == (h, c.a) && (!o.added && o.v == c.v || o.added && before.is_one(c.a) && o.v != c.v)
            })
        };
        let taken = before.holders(c.a, &c.v).into_iter().any(|h| h != c.e && !freed(h));
        let claimed = others.filter(|o| o.added && o.e != c.e).count() > 0;
        twice || both || before.unique(c.a).is_some() && (taken || claimed)
    });
    if foreign || deleted || schema || unknown || clash || stuck {
        return Ok(());
    }
    Err(format!(
        "{} was displaced ({}: {}), and nothing stands against it",
        carrier.origin.id,
        displaced.reason.word(),
        displaced.detail
    ))
}
