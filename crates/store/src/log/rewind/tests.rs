#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;

use proptest::prelude::*;
use tolstoy_env::Env;

use super::*;
use crate::store::Store;

fn store() -> Store {
    let mut store = Store::in_memory(Env::repeatable(1)).unwrap();
    store
        .transact_str(
            "[{:db/ident :m/one :db/valueType :db.type/long :db/cardinality :db.cardinality/one}
              {:db/ident :m/many :db/valueType :db.type/string :db/cardinality :db.cardinality/many :db/index true}
              {:db/ident :m/id :db/valueType :db.type/long :db/cardinality :db.cardinality/one :db/unique :db.unique/identity}
              {:db/ident :m/ref :db/valueType :db.type/ref :db/cardinality :db.cardinality/many :db/isComponent true}]",
        )
        .unwrap();
    store
}

/// Forms of which most are accepted: the entities are those with an id of 0 to 4.
fn form() -> impl Strategy<Value = String> {
    let ids = || 0_i64..5;
    prop_oneof![
        4 => (ids(), 0_i64..4).prop_map(|(id, n)| format!("{{:m/id {id} :m/one {n}}}")),
        4 => (ids(), "[abc]").prop_map(|(id, s)| format!("{{:m/id {id} :m/many \"{s}\"}}")),
        2 => (ids(), ids()).prop_map(|(id, to)| format!("{{:m/id {id} :m/ref {{:m/id {to}}}}}")),
        2 => (ids(), "[abc]").prop_map(|(id, s)| format!("[:db/retract [:m/id {id}] :m/many \"{s}\"]")),
        1 => (ids(), ids()).prop_map(|(id, n)| format!("[:db/add [:m/id {id}] :m/id {n}]")),
        1 => ids().prop_map(|id| format!("[:db/retractEntity [:m/id {id}]]")),
        1 => any::<bool>().prop_map(|is| format!("{{:db/id :m/one :db/index {is}}}")),
        1 => prop::sample::select(vec!["one", "many"]).prop_map(|n| format!("{{:db/id :m/many :db/cardinality :db.cardinality/{n}}}")),
        1 => prop::sample::select(vec!["value", "identity"]).prop_map(|u| format!("{{:db/id :m/one :db/unique :db.unique/{u}}}")),
        1 => Just("[:db/retract :m/one :db/unique [:db.unique/value :db.unique/identity]]".to_owned()),
        1 => Just("[:db/retract :m/one :db/unique :db.unique/identity]".to_owned()),
        1 => (0..4).prop_map(|n| format!("{{:db/ident :new/a{n} :db/valueType :db.type/long :db/cardinality :db.cardinality/one}}")),
        1 => (0..4).prop_map(|n| format!("[:db/add :new/a{n} :db/ident :renamed/a{n}]")),
    ]
}

/// All that a rewind has to restore.
#[derive(Debug, PartialEq)]
struct Picture {
    digest: [u8; 32],
    rows: Vec<String>,
    schema: Arc<Schema>,
    basis: crate::core::Basis,
}

fn picture(store: &mut Store) -> Picture {
    let digest = store.facts_digest().unwrap();
    let rows = {
        let mut statement = store.sql.prepare("SELECT e, a, quote(v), vt, tx, avet, uniq FROM datoms").unwrap();
        let row = |r: &rusqlite::Row<'_>| {
            let text: String = r.get(2)?;
            let n = |i| r.get::<_, Option<i64>>(i);
            Ok(format!("{:?} {:?} {text} {:?} {:?} {:?} {:?}", n(0)?, n(1)?, n(3)?, n(4)?, n(5)?, n(6)?))
        };
        statement.query_map([], row).unwrap().collect::<rusqlite::Result<_>>().unwrap()
    };
    let (schema, basis) = store.write(|w, _, _| Ok::<_, Error>((Arc::clone(&w.schema), w.basis))).unwrap();
    Picture { digest, rows, schema, basis }
}

fn rewind(store: &mut Store, root: Entid) -> Option<Timeline> {
    store.write(|working, _, _| working.rewind(root).map_err(Error::from)).unwrap().map(|rewound| rewound.side)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn rewinding_restores_every_point(history in prop::collection::vec(prop::collection::vec(form(), 1..4), 1..12),
                                      stops in prop::collection::vec(any::<bool>(), 12)) {
        let mut store = store();
        let mut pictures = vec![picture(&mut store)];
        for forms in &history {
            if store.transact_str(&format!("[{}]", forms.concat())).is_ok() {
                pictures.push(picture(&mut store));
            }
        }
        let log = store.transactions(Timeline::MAIN, Entid::TX0.plus(1), usize::MAX).unwrap();
        prop_assert_eq!(log.len() + 1, pictures.len());
        let mut moved = log.len();
        for (n, expected) in pictures.iter().enumerate().rev().skip(1) {
            // Several transactions at once, or one after the other.
            if n > 0 && !stops[n] {
                continue;
            }
            let side = rewind(&mut store, Entid::TX0.plus(1 + n as i64)).expect("something is moved");
            prop_assert_eq!(&picture(&mut store), expected);
            prop_assert_eq!(&store.transactions(side, Entid::new(0), usize::MAX).unwrap(), &log[n..moved]);
            moved = n;
        }
        prop_assert_eq!(store.transactions(Timeline::MAIN, Entid::TX0.plus(1), usize::MAX).unwrap(), vec![]);
    }
}

#[test]
fn without_later_transactions_nothing_happens() {
    let mut store = store();
    let before = picture(&mut store);
    let basis = store.basis();
    assert_eq!(rewind(&mut store, basis), None);
    assert_eq!(picture(&mut store), before);
    assert!(store.side_timelines().unwrap().is_empty());
}

#[test]
fn what_was_moved_off_keeps_its_origin_and_main_may_have_it_again() {
    let mut store = store();
    let report = store.transact_str("[{:m/id 1}]").unwrap();
    let side = rewind(&mut store, report.tx.plus(-1)).unwrap();
    assert_eq!(store.by_origin(report.origin.id).unwrap(), None);
    assert_eq!(store.side_timelines().unwrap(), [side]);
    let again = store.transact_str("[{:m/id 2}]").unwrap();
    assert_eq!((again.tx, again.datoms.len()), (report.tx, report.datoms.len()));
    assert_eq!(rewind(&mut store, report.tx.plus(-1)), Some(Timeline(side.0 + 1)));
}

#[test]
fn the_high_water_mark_of_every_transaction_is_known() {
    let mut store = store();
    let one = store.transact_str("[{:m/id 1} {:m/id 2}]").unwrap();
    let next = |store: &mut Store, tx| store.write(|w, _, _| crate::log::read::next_entid_at(w.sql, tx)).unwrap();
    assert_eq!(next(&mut store, one.tx), Entid::USER0.plus(6));
    assert_eq!(next(&mut store, one.tx.plus(-1)), Entid::USER0.plus(4));
    assert!(store.write(|w, _, _| crate::log::read::next_entid_at(w.sql, one.tx.plus(1))).is_err());
}
