#![allow(clippy::unwrap_used, clippy::expect_used)]

use tolstoy_env::Env;

use super::*;
use crate::store::Store;

/// The next transaction, which states these of entities that are there.
fn transaction(working: &Working<'_>, n: u128, mut changes: Vec<Change>) -> Transaction {
    let (tx, instant) = (working.next_tx(), working.instant_for(tolstoy_edn::Instant::from_micros(0)));
    let device = uuid::Uuid::from_u128(9);
    let origin = crate::types::Origin { id: uuid::Uuid::from_u128(n), device, authored: instant };
    changes.push(Change::add(tx, TX_INSTANT, Value::Instant(instant)));
    changes.sort();
    Transaction {
        tx,
        instant,
        origin,
        entids: vec![],
        operations: vec![],
        overwritten: vec![],
        displaced: None,
        said: None,
        changes,
    }
}

/// However much comes in, only what meets local changes is remembered of it.
#[test]
fn what_is_seen_grows_with_what_local_changes_mention() {
    let mut store = Store::in_memory(Env::system()).unwrap();
    let schema = "[{:db/ident :n :db/valueType :db.type/long :db/cardinality :db.cardinality/one}]";
    store.transact_str(schema).unwrap();
    let made = store.transact_str(r#"[{:db/id "x" :n 0} {:db/id "y" :n 0}]"#).unwrap();
    let (x, y, root) = (made.tempids["x"], made.tempids["y"], made.tx);
    store.transact_str(&format!("[[:db/add {x} :n 7]]")).unwrap();
    let a = store.schema().entid(&tolstoy_edn::Keyword::parse("n").unwrap()).unwrap();
    store
        .write(|working, _, _| {
            let root_next = read::next_entid_at(working.sql, root)?;
            let side = working.rewind(root)?.unwrap().side;
            let mut seen = Seen::new(working, side, root, root_next)?;
            for n in 0..200_i64 {
                // Another old entity, and new ones, and once the one that was changed here.
                let new = working.basis.next;
                let mut changes = vec![
                    Change::retract(y, a, Value::Long(n)),
                    Change::add(y, a, Value::Long(n + 1)),
                    Change::add(new, a, Value::Long(n)),
                ];
                if n == 100 {
                    changes.extend([Change::retract(x, a, Value::Long(0)), Change::add(x, a, Value::Long(1))]);
                }
                let incoming = transaction(working, n as u128 + 1000, changes);
                working.apply_incoming(&incoming, Some(&mut seen))?;
            }
            assert_eq!(seen.changed, HashMap::from([((x, a), Some(Value::Long(0)))]));
            assert_eq!(seen.retracted, HashSet::from([x]));
            assert!(seen.made.is_empty());
            Ok::<_, Error>(())
        })
        .unwrap();
}
