//! The original client's reader, as strict as the original is known to be: what it would refuse, or take for something
//! else, panics here. It shares no code with the store or the sync.

use std::collections::{BTreeMap, BTreeSet};

use crate::lab::Hub;
use serde_json::{Map, Value as Json};
use tolstoy_edn::Instant;
use tolstoy_hub::service::{ListOutcome, Service};
use tolstoy_proto::{LogId, TrnId};
use tolstoy_store::{Store, Value};

/// `(e, a, value, tx)`, the value as text with its tag.
pub(crate) type Fact = (i64, i64, String, i64);

const TX0: i64 = 0x1000_0000;
const USER0: i64 = 0x1_0000;

/// All facts that an original client has after reading the log.
pub(crate) fn facts_of(hub: &Hub) -> BTreeSet<Fact> {
    let log = crate::lab::LOG.parse().unwrap();
    let mut reader = Reader::default();
    for (_, chunks) in transactions(hub.service(), log) {
        reader.receive(&chunks);
    }
    assert_ne!(reader.received, 1, "a log with the bootstrap alone cannot be joined by an original with changes");
    reader.facts.iter().map(|((e, a, v), tx)| (*e, *a, v.clone(), *tx)).collect()
}

/// The log as it is listed and got: each transaction's id and its chunks.
pub(crate) fn transactions(service: &Service, log: LogId) -> Vec<(TrnId, Vec<String>)> {
    let mut all = Vec::new();
    let mut from = TrnId::ROOT;
    loop {
        // It never says a limit, so that a hundred come at a time.
        let ListOutcome::Listed(ids) = service.v0_list(log, from, 100).unwrap() else { panic!("{from} is gone") };
        let Some(last) = ids.last() else { return all };
        from = *last;
        for id in ids {
            let transaction = service.v0_transaction(log, id).unwrap().unwrap();
            let chunk = |id| String::from_utf8(service.v0_chunk(log, id).unwrap().unwrap().to_vec()).unwrap();
            all.push((id, transaction.chunks.iter().map(chunk).collect()));
        }
    }
}

/// The facts of a store that an original client can have: those that mention none of our further built-ins.
pub(crate) fn shared(store: &Store) -> BTreeSet<Fact> {
    let further = |e: i64| (41..USER0).contains(&e);
    let datoms = store.datoms().unwrap().into_iter();
    let shared = datoms.filter(|d| {
        !further(d.e.get()) && !further(d.a.get()) && !d.v.as_ref_entid().is_some_and(|to| further(to.get()))
    });
    shared.map(|d| (d.e.get(), d.a.get(), text(&d.v), d.tx.get())).collect()
}

fn text(v: &Value) -> String {
    match v {
        Value::Ref(e) => format!("Ref {e}"),
        Value::Boolean(b) => format!("Boolean {b}"),
        Value::Long(n) => format!("Long {n}"),
        Value::Double(x) => format!("Double {:?}", x.get()),
        Value::Instant(t) => format!("Instant {}", t.as_micros()),
        Value::String(s) => format!("String {s}"),
        Value::Keyword(k) => format!("Keyword {:?} {}", k.namespace(), k.name()),
        Value::Uuid(u) => format!("Uuid {u}"),
        Value::Uri(_) | Value::Bytes(_) => panic!("the original has no such values: {v}"),
    }
}

#[derive(Default)]
struct Reader {
    facts: BTreeMap<(i64, i64, String), i64>,
    last: i64,
    received: usize,
}

impl Reader {
    fn receive(&mut self, chunks: &[String]) {
        let parts: Vec<Map<String, Json>> =
            chunks.iter().map(|c| serde_json::from_str::<Json>(c).unwrap().as_object().unwrap().clone()).collect();
        let next = partitions(&parts[0]["partitions"]);
        for part in &parts[1..] {
            assert!(part["partitions"].is_null());
        }
        let int = |part: &Map<String, Json>, key: &str| part[key].as_i64().unwrap();
        // It makes room for one transaction in the partition it is given, and lets its transactor allocate.
        let tx = next[":db.part/tx"] - 1;
        assert!(tx > self.last, "{tx} after {}", self.last);
        let ours = parts[0].contains_key("tolstoy");
        let mut adds: BTreeMap<(i64, i64), Vec<String>> = BTreeMap::new();
        let mut retracts = Vec::new();
        let mut instants = 0;
        for (part, raw) in parts.iter().zip(chunks) {
            assert_eq!(int(part, "tx"), tx);
            let (e, a) = (int(part, "e"), int(part, "a"));
            let v = tagged(&part["v"], raw);
            instants += usize::from(e == tx && a == 3);
            let to = v.strip_prefix("Ref ").map(|to| to.parse().unwrap());
            for e in [Some(e), Some(a), to].into_iter().flatten() {
                let part = if e >= TX0 {
                    ":db.part/tx"
                } else if e >= USER0 {
                    ":db.part/user"
                } else {
                    ":db.part/db"
                };
                // What the original says of the user partition itself is often too low.
                assert!(!ours || (1..next[part]).contains(&e), "{e} is not allocated: {raw}");
            }
            if part["added"].as_bool().unwrap() {
                adds.entry((e, a)).or_default().push(v);
            } else {
                retracts.push((e, a, v));
            }
        }
        assert_eq!(instants, 1, "{chunks:?}");
        self.transact(tx, &adds, &retracts);
        if self.received == 0 {
            assert_eq!((tx, parts.len()), (TX0, 95));
            assert_eq!(next[":db.part/user"], USER0);
            assert!(self.has(40, 38, "Long 1"), "the schema's version is checked at the first sync");
        }
        (self.last, self.received) = (tx, self.received + 1);
    }

    fn transact(&mut self, tx: i64, adds: &BTreeMap<(i64, i64), Vec<String>>, retracts: &[(i64, i64, String)]) {
        for (e, a, v) in retracts {
            assert!(!adds.get(&(*e, *a)).is_some_and(|adds| adds.contains(v)), "asserted and retracted");
            self.facts.remove(&(*e, *a, v.clone()));
        }
        // What an attribute is, is what it was before the transaction.
        let before = self.facts.clone();
        let was = |e: i64, a: i64, v: &str| before.contains_key(&(e, a, v.to_owned()));
        for ((e, a), values) in adds {
            for v in values {
                if tx != TX0 {
                    self.check_value(&was, *e, *a, v);
                }
                self.facts.entry((*e, *a, v.clone())).or_insert(tx);
            }
        }
        for e in adds.keys().map(|(e, _)| *e) {
            self.check_attribute(e);
        }
    }

    fn check_value(&mut self, was: &impl Fn(i64, i64, &str) -> bool, e: i64, a: i64, v: &str) {
        let types = ["Ref", "Keyword", "Long", "Double", "String", "Uuid", "", "Boolean", "Instant"];
        let tag = v.split(' ').next().unwrap();
        let wanted = 23 + types.iter().position(|t| *t == tag).unwrap();
        assert!(was(a, 7, &format!("Ref {wanted}")), "{a} takes no {v}");
        if was(a, 8, "Ref 33") {
            self.facts.retain(|(x, b, w), _| (*x, *b) != (e, a) || w == v);
        } else {
            assert!(was(a, 8, "Ref 34"), "{a} is an attribute");
        }
        if was(a, 9, "Ref 35") || was(a, 9, "Ref 36") {
            let holder = self.facts.keys().find(|(x, b, w)| (*b, w.as_str()) == (a, v) && *x != e);
            assert_eq!(holder, None, "{a} {v} is unique");
        }
    }

    fn check_attribute(&self, e: i64) {
        let Some(v) = self.facts.range((e, 7, String::new())..(e, 8, String::new())).map(|((.., v), _)| v).next()
        else {
            return;
        };
        let value_type: i64 = v.strip_prefix("Ref ").unwrap().parse().unwrap();
        assert!((23..=28).contains(&value_type) || [30, 31].contains(&value_type), "no type of the original's: {v}");
        let unique = self.has(e, 9, "Ref 35") || self.has(e, 9, "Ref 36");
        assert!(!unique || self.has(e, 11, "Boolean true"), "a unique attribute must be indexed");
        assert!(!self.has(e, 12, "Boolean true"), "full text breaks its sync");
    }

    fn has(&self, e: i64, a: i64, v: &str) -> bool {
        self.facts.contains_key(&(e, a, v.to_owned()))
    }
}

/// The next free number of each partition.
fn partitions(of: &Json) -> BTreeMap<String, i64> {
    let of = of.as_object().expect("the first chunk has the partitions");
    let bounds = [
        (":db.part/db", 0, USER0 - 1, false),
        (":db.part/tx", TX0, i64::MAX, false),
        (":db.part/user", USER0, TX0 - 1, true),
    ];
    assert_eq!(of.len(), bounds.len());
    let mut next = BTreeMap::new();
    for (name, start, end, allow_excision) in bounds {
        let part = of[name].as_object().unwrap();
        assert_eq!(part["start"], start);
        assert_eq!(part["end"], end);
        assert_eq!(part["allow_excision"], allow_excision);
        next.insert(name.to_owned(), part["next_entid_to_allocate"].as_i64().unwrap());
        assert_eq!(part.len(), 4);
    }
    next
}

/// The value as text with its tag.
fn tagged(v: &Json, raw: &str) -> String {
    let v = v.as_object().unwrap();
    assert_eq!(v.len(), 1);
    let (tag, v) = v.iter().next().unwrap();
    match tag.as_str() {
        "Ref" | "Long" => format!("{tag} {}", v.as_i64().unwrap()),
        "Boolean" => format!("{tag} {}", v.as_bool().unwrap()),
        "Double" => format!("{tag} {:?}", raw_double(raw)),
        "Instant" => {
            let text = v.as_str().unwrap();
            assert!([20, 24, 27, 30].contains(&text.len()) && text.ends_with('Z'), "{text}");
            format!("{tag} {}", Instant::parse_rfc3339(text).unwrap().as_micros())
        }
        "String" => format!("{tag} {}", v.as_str().unwrap()),
        "Uuid" => format!("{tag} {}", v.as_str().unwrap()),
        "Keyword" => {
            assert!(!raw.split("\"tx\":").next().unwrap().contains('\\'), "it borrows the text of keywords: {raw}");
            format!("{tag} {:?} {}", v["namespace"].as_str(), v["name"].as_str().unwrap())
        }
        other => panic!("the original has no tag {other}"),
    }
}

/// The double of a chunk, to the last bit.
fn raw_double(raw: &str) -> f64 {
    let (_, rest) = raw.split_once("{\"Double\":").unwrap();
    rest.split_once('}').unwrap().0.parse().unwrap()
}
