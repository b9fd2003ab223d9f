//! A store with a clock and randomness that the test owns, and facts as text.

use std::sync::Arc;

use tolstoy_edn::Keyword;
use tolstoy_env::Env;
use tolstoy_store::{Datom, Entid, Error, Store, TxReport, Value, ValueType};

/// A new store in memory.
pub(crate) fn store() -> Store {
    Store::in_memory(Env::repeatable(1)).unwrap()
}

/// A new store in memory after these transactions.
pub(crate) fn store_with(texts: &[&str]) -> Store {
    let mut store = store();
    for text in texts {
        must(&mut store, text);
    }
    store
}

/// Runs a transaction that has to succeed.
pub(crate) fn must(store: &mut Store, text: &str) -> TxReport {
    store.transact_str(text).unwrap_or_else(|e| panic!("{}", render(&e, text)))
}

/// Runs a transaction that has to fail and leave no trace, and shows the error as a user sees it.
pub(crate) fn refused(store: &mut Store, text: &str) -> String {
    let (facts, schema, basis) = (store.facts_digest().unwrap(), Arc::clone(store.schema()), store.basis());
    let error = store.transact_str(text).expect_err("the transaction should be refused");
    assert_eq!(store.facts_digest().unwrap(), facts, "the facts changed");
    assert_eq!(*store.schema(), schema, "the schema changed");
    assert_eq!(store.basis(), basis, "the basis changed");
    format!("{:?}: {}", error.kind(), render(&error, text))
}

/// The error with its place, as the command line shows it.
pub(crate) fn render(error: &Error, text: &str) -> String {
    match error.span() {
        Some(span) => tolstoy_edn::render_error("tx", text, span, &error.to_string()),
        None => error.to_string(),
    }
}

/// Datoms as text, one a line, with idents where there are, the transaction's own instant left out.
pub(crate) fn show(store: &Store, datoms: &[Datom]) -> String {
    let name = |e: Entid| store.schema().name(e);
    let mut lines = Vec::new();
    for d in datoms.iter().filter(|d| d.e != d.tx || name(d.a) != ":db/txInstant") {
        let sign = if d.added { '+' } else { '-' };
        let v = match &d.v {
            Value::Ref(to) => name(*to),
            other => other.to_string(),
        };
        lines.push(format!("{sign} {} {} {v}", name(d.e), name(d.a)));
    }
    lines.join("\n")
}

/// Runs a transaction that has to succeed and shows what it did.
pub(crate) fn effects(store: &mut Store, text: &str) -> String {
    let report = must(store, text);
    show(store, &report.datoms)
}

/// The entity with this ident.
pub(crate) fn entid(store: &Store, ident: &str) -> Entid {
    store.schema().entid(&Keyword::parse(ident).unwrap()).unwrap()
}

/// All facts above the bootstrap, from the log, as text: what was asserted and not retracted again.
pub(crate) fn facts(store: &Store) -> String {
    let mut facts: Vec<Datom> = Vec::new();
    for transaction in store.transactions(tolstoy_store::Timeline::MAIN, Entid::TX0, usize::MAX).unwrap() {
        for d in transaction.datoms() {
            if d.added {
                facts.push(d);
            } else {
                facts.retain(|f| (f.e, f.a, &f.v) != (d.e, d.a, &d.v));
            }
        }
    }
    facts.retain(|d| !d.e.is_tx() || d.v.value_type() != ValueType::Instant);
    facts.sort();
    show(store, &facts)
}

/// People with a unique email, a unique number, names, friends and parts.
pub(crate) const PEOPLE: &str = "[
  {:db/ident :person/name :db/valueType :db.type/string :db/cardinality :db.cardinality/one}
  {:db/ident :person/age :db/valueType :db.type/long :db/cardinality :db.cardinality/one}
  {:db/ident :person/email :db/valueType :db.type/string :db/cardinality :db.cardinality/one
   :db/unique :db.unique/identity}
  {:db/ident :person/ssn :db/valueType :db.type/long :db/cardinality :db.cardinality/one
   :db/unique :db.unique/identity}
  {:db/ident :person/badge :db/valueType :db.type/string :db/cardinality :db.cardinality/one
   :db/unique :db.unique/value}
  {:db/ident :person/alias :db/valueType :db.type/string :db/cardinality :db.cardinality/many}
  {:db/ident :person/friend :db/valueType :db.type/ref :db/cardinality :db.cardinality/many}
  {:db/ident :person/spouse :db/valueType :db.type/ref :db/cardinality :db.cardinality/one}
  {:db/ident :person/home :db/valueType :db.type/ref :db/cardinality :db.cardinality/one :db/isComponent true}
  {:db/ident :person/account :db/valueType :db.type/ref :db/cardinality :db.cardinality/one
   :db/unique :db.unique/identity}
  {:db/ident :home/street :db/valueType :db.type/string :db/cardinality :db.cardinality/one}
  {:db/ident :home/room :db/valueType :db.type/ref :db/cardinality :db.cardinality/many :db/isComponent true}]";
