//! What must hold for any bytes and any text. The fuzz targets `payload` and `transact` include this file as well.

use tolstoy_env::Env;
use tolstoy_store::{
    Entid, Error, Facts, Function, Parameter, Position, Statement, Store, Timeline, Transaction, Value, log,
};

/// Panics if decoding a payload breaks a promise: it decodes to something that encodes to the same bytes, or is refused.
pub(crate) fn check_payload(payload: &[u8]) {
    if let Ok(transaction) = log::codec::decode(payload) {
        assert_eq!(log::codec::encode(&transaction), payload);
    }
}

/// Panics if a text, as a transaction and as a query, breaks a promise of the store.
pub(crate) fn check_text(text: &str) {
    let env = Env::repeatable(1);
    let mut store = Store::in_memory(env).unwrap();
    store
        .transact_str(
            "[{:db/ident :n :db/valueType :db.type/string :db/cardinality :db.cardinality/one :db/unique :db.unique/identity}
              {:db/ident :r :db/valueType :db.type/ref :db/cardinality :db.cardinality/many}
              {:db/ident :k :db/valueType :db.type/long :db/cardinality :db.cardinality/one}
              {:n \"a\" :r {:n \"b\"}}]",
        )
        .unwrap();
    let add = |facts: &Facts<'_>, args: &[Value]| {
        let [Value::Ref(e), Value::Ref(a), v] = args else { return Ok(Vec::new()) };
        let known = facts.value(*e, *a)?;
        Ok(if known.is_none() { vec![Statement::add(*e, *a, v.clone())] } else { vec![] })
    };
    let parameters = [Parameter::Entity, Parameter::Attribute, Parameter::Value];
    store.register(Function::new("f/x", parameters, add).unwrap()).unwrap();
    let (facts, basis) = (store.facts_digest().unwrap(), store.basis());
    match store.transact_str(text) {
        Ok(report) => {
            assert_eq!(report.tx, store.basis());
            let stored = store.transactions(Timeline::MAIN, report.tx.plus(-1), 1).unwrap();
            assert_eq!(stored.len(), 1);
            let payload = log::codec::encode(&stored[0]);
            assert_eq!(log::codec::decode(&payload).unwrap(), stored[0], "what a store writes, another reads");
            check_taken_in(&store, &stored[0]);
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            assert!(error.span().is_none_or(|span| span.of(text).is_some()), "{error} stands in the text");
            assert_eq!((store.facts_digest().unwrap(), store.basis()), (facts, basis), "{error}");
        }
    }
    match store.query(text, &[]) {
        Ok(result) => drop(result.to_edn().to_string()),
        Err(error) => {
            assert!(error.span().is_none_or(|span| span.of(text).is_some()), "{error} stands in the text");
        }
    }
}

/// Panics if another store with the same facts does not take in, and then undo and do again, what this one did.
fn check_taken_in(store: &Store, newest: &Transaction) {
    let env = Env::repeatable(1);
    let mut other = Store::in_memory(env).unwrap();
    let root = newest.tx.plus(-1);
    let all = store.transactions(Timeline::MAIN, Entid::TX0, usize::MAX).unwrap();
    let position = Position { id: uuid::Uuid::nil(), digest: [0; 32] };
    let take = |store: &mut Store, root, some: &[Transaction]| {
        store.pass(|pass| pass.rebase(root, &[], some.iter().map(|t| Ok::<_, Error>((t.clone(), position))))).unwrap()
    };
    take(&mut other, Entid::TX0, &all);
    assert_eq!(other.facts_digest().unwrap(), store.facts_digest().unwrap());
    take(&mut other, root, std::slice::from_ref(newest));
    assert_eq!(other.facts_digest().unwrap(), store.facts_digest().unwrap());
}
