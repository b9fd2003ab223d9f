//! Writing to a store.

use rusqlite::Connection;
use tempfile::TempDir;
use tolstoy_env::Env;
use tolstoy_store::Store;

use crate::people::{self, Person};
use crate::round::{Comparison, Table, time};

/// Small transactions of a round.
const SMALL: usize = 5_000;

/// A store in a new directory, with the schema.
pub(crate) fn with_schema() -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open_or_create(&dir.path().join("people.db"), Env::system()).unwrap();
    store.transact_str(people::SCHEMA).unwrap();
    (dir, store)
}

/// A connection to a store's file, with the store's own settings.
pub(crate) fn by_hand(dir: &TempDir) -> Connection {
    by_hand_at(&dir.path().join("people.db"))
}

/// The same, wherever the file is.
pub(crate) fn by_hand_at(path: &std::path::Path) -> Connection {
    let sql = Connection::open(path).unwrap();
    sql.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).unwrap();
    sql.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4000; PRAGMA cache_size = -65536; PRAGMA temp_store = MEMORY",
    )
    .unwrap();
    sql
}

pub(crate) fn bulk(table: &mut Table) {
    if !table.wants("store bulk") {
        return;
    }
    let mut text = String::from("[\n");
    people::people().for_each(|person| people::edn(&person, &mut text));
    text.push(']');
    table.compare(Comparison {
        name: "store bulk",
        unit: "datoms/s",
        units: (people::COUNT * 5) as f64,
        goal: 0.5,
        against: "the same rows put by hand into the same tables and indexes, one transaction",
        rounds: 5,
        ours: Box::new(|| {
            let (_dir, mut store) = with_schema();
            time(|| assert_eq!(store.transact_str(&text).unwrap().datoms.len(), people::COUNT * 5 + 1))
        }),
        floor: Box::new(|| {
            let (dir, store) = with_schema();
            let ident = |name: &str| store.schema().entid(&tolstoy_edn::Keyword::parse(name).unwrap()).unwrap().get();
            let attributes = ["person/name", "person/lastName", "person/sex", "person/age", "person/salary"].map(ident);
            drop(store);
            let mut sql = by_hand(&dir);
            time(|| insert_by_hand(&mut sql, attributes))
        }),
    });
}

/// What the store writes for [`bulk`], written by hand.
fn insert_by_hand(sql: &mut Connection, [name, last_name, sex, age, salary]: [i64; 5]) {
    const TX: i64 = 0x1000_0000 + 2;
    let transaction = sql.transaction().unwrap();
    {
        let mut datom = transaction
            .prepare("INSERT INTO datoms (e, a, v, vt, tx, avet, uniq) VALUES (?1, ?2, ?3, ?4, ?5, 1, NULL)")
            .unwrap();
        let mut log = transaction
            .prepare("INSERT INTO log (timeline, tx, n, e, a, v, vt, added, was) VALUES (0, ?1, ?2, ?3, ?4, ?5, ?6, 1, NULL)")
            .unwrap();
        let mut n = 0;
        for (e, person) in (70_000_i64..).zip(people::people()) {
            let Person { name: first, last_name: last, sex: which, age: years, salary: money } = person;
            for (a, vt, text) in [(name, 27, first), (last_name, 27, last), (sex, 24, which)] {
                datom.execute((e, a, text, vt, TX)).unwrap();
                log.execute((TX, n, e, a, text, vt)).unwrap();
                n += 1;
            }
            for (a, number) in [(age, years), (salary, money)] {
                datom.execute((e, a, number, 25, TX)).unwrap();
                log.execute((TX, n, e, a, number, 25)).unwrap();
                n += 1;
            }
        }
        let head = "INSERT INTO transactions VALUES (0, ?1, ?2, zeroblob(16), zeroblob(16), ?2, 90000, NULL)";
        transaction.execute(head, (TX, i64::MAX / 2)).unwrap();
    }
    transaction.commit().unwrap();
}

pub(crate) fn small(table: &mut Table) {
    if !table.wants("store small") {
        return;
    }
    let texts: Vec<String> = people::people()
        .take(SMALL)
        .map(|person| {
            let mut text = String::from("[");
            people::edn(&person, &mut text);
            text.push(']');
            text
        })
        .collect();
    table.compare(Comparison {
        name: "store small",
        unit: "transactions/s",
        units: SMALL as f64,
        goal: 0.6,
        against: "as many durable SQLite commits of one row",
        rounds: 5,
        ours: Box::new(|| {
            let (_dir, mut store) = with_schema();
            time(|| texts.iter().for_each(|text| drop(store.transact_str(text).unwrap())))
        }),
        floor: Box::new(|| {
            let (dir, store) = with_schema();
            drop(store);
            let sql = by_hand(&dir);
            sql.execute_batch("CREATE TABLE commits (n INTEGER PRIMARY KEY, text TEXT)").unwrap();
            time(|| {
                let mut insert = sql.prepare("INSERT INTO commits (text) VALUES (?1)").unwrap();
                texts.iter().for_each(|text| assert_eq!(insert.execute([text]).unwrap(), 1));
            })
        }),
    });
}
