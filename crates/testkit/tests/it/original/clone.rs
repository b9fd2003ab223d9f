//! The recorded log, read.

use std::collections::BTreeSet;
use std::path::Path;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Row};
use tolstoy_store::{Entid, Timeline, bootstrap};
use tolstoy_sync::Outcome;

use super::reader::{self, Fact};
use super::{lab, tx};

/// The facts in the first recorded client's database, afterwards.
fn database() -> BTreeSet<Fact> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../store/tests/fixtures/mentat-v1.db");
    let uri = format!("file:{}?immutable=1", path.display());
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let sql = Connection::open_with_flags(uri, flags).unwrap();
    let mut statement = sql.prepare("SELECT e, a, v, value_type_tag, tx FROM datoms").unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, value(row), row.get(4)?))).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

fn value(row: &Row<'_>) -> String {
    match (row.get::<_, i64>(3).unwrap(), row.get_ref(2).unwrap()) {
        (0, ValueRef::Integer(e)) => format!("Ref {e}"),
        (1, ValueRef::Integer(b)) => format!("Boolean {}", b == 1),
        (4, ValueRef::Integer(t)) => format!("Instant {t}"),
        (5, ValueRef::Integer(n)) => format!("Long {n}"),
        (5, ValueRef::Real(x)) => format!("Double {x:?}"),
        (10, ValueRef::Text(s)) => format!("String {}", std::str::from_utf8(s).unwrap()),
        (11, ValueRef::Blob(u)) => format!("Uuid {}", uuid::Uuid::from_slice(u).unwrap()),
        (13, ValueRef::Text(k)) => {
            let (ns, name) = std::str::from_utf8(&k[1..]).unwrap().split_once('/').unwrap();
            format!("Keyword {:?} {name}", Some(ns))
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_recorded_log_is_read_as_the_original_read_it() {
    let mut lab = lab(2, usize::MAX);
    assert_eq!(lab.outcomes(1), [Outcome::LocalFastForward]);
    let facts = reader::shared(lab.store(1));
    assert_eq!(facts, database());
    assert_eq!(facts, reader::facts_of(&lab.hub));
    // The original left a number out.
    let numbers: Vec<Entid> = lab.log(1).iter().map(|t| t.tx).collect();
    assert_eq!(numbers, [1, 2, 3, 5, 6].map(tx));
    assert!(lab.log(1).iter().all(|t| t.origin.device.is_nil() && t.origin.authored == t.instant && t.said.is_none()));
    let bootstrap = &lab.store(1).transactions(Timeline::MAIN, tx(-1), 1).unwrap()[0];
    assert_eq!(bootstrap.origin.id, bootstrap::ORIGIN.id);
    assert_eq!(bootstrap.instant.to_string(), "2026-11-21T20:26:51.016286Z");
    lab.sync(2);
    assert_eq!(lab.outcomes(1), [Outcome::NoChanges]);
    assert_eq!(lab.store(2).facts_digest().unwrap(), lab.store(1).facts_digest().unwrap());
}

#[test]
fn what_arrives_in_parts_is_what_arrives_at_once() {
    let mut lab = lab(2, 0);
    for (id, chunks) in super::recorded() {
        super::put(&lab.hub, id, &chunks);
        lab.sync(1);
    }
    lab.sync(2);
    assert_eq!(lab.log(1), lab.log(2));
    assert_eq!(lab.store(2).facts_digest().unwrap(), lab.store(1).facts_digest().unwrap());
}

#[test]
fn a_store_with_changes_joins_the_recorded_log() {
    let mut lab = lab(2, usize::MAX);
    lab.transact(
        1,
        "[{:db/ident :person/name :db/valueType :db.type/string :db/cardinality :db.cardinality/one
           :db/unique :db.unique/identity :db/index true :db/doc \"Full name\"}
          {:db/ident :person/nick :db/valueType :db.type/string :db/cardinality :db.cardinality/many}]",
    );
    lab.transact(1, "[{:person/name \"Anna\" :person/nick \"Anya\"} {:person/name \"Petr\"}]");
    assert_eq!(lab.outcomes(1), [Outcome::Merge { follow_up: true }, Outcome::RemoteFastForward]);
    assert_eq!(lab.outcomes(2), [Outcome::LocalFastForward]);
    lab.quiesce();
    let facts = lab.data(2);
    for fact in ["[65544 :person/nick \"Anya\"]", "[65548 :person/name \"Petr\"]", "[65545 :person/name \"Boris\"]"] {
        assert!(facts.contains(&fact.to_owned()), "{fact} in {facts:#?}");
    }
    assert_eq!(reader::facts_of(&lab.hub), reader::shared(lab.store(1)));
    assert_eq!(lab.log(2).iter().map(|t| t.tx).collect::<Vec<_>>(), [1, 2, 3, 5, 6, 7, 8].map(tx));
}
