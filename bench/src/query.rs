//! Asking a store.

use rusqlite::Connection;
use rusqlite::types::Value;
use tempfile::TempDir;
use tolstoy_store::Store;

use crate::people;
use crate::round::{Comparison, Table, time};
use crate::store::{by_hand, with_schema};

/// Runs of a query in a round.
const RUNS: usize = 20;

fn filled() -> (TempDir, Store, Connection) {
    let (dir, mut store) = with_schema();
    let mut text = String::from("[");
    people::people().for_each(|person| people::edn(&person, &mut text));
    text.push(']');
    store.transact_str(&text).unwrap();
    let sql = by_hand(&dir);
    (dir, store, sql)
}

fn compare(table: &mut Table, name: &'static str, datalog: &'static str, sql_text: &str) {
    if !table.wants(name) {
        return;
    }
    let (_dir, store, sql) = filled();
    let idents = ["person/name", "person/lastName", "person/sex", "person/age", "person/salary"];
    let sql_text = idents.iter().fold(sql_text.to_owned(), |text, ident| {
        let entid = store.schema().entid(&tolstoy_edn::Keyword::parse(ident).unwrap()).unwrap();
        text.replace(&format!(":{ident}"), &entid.to_string())
    });
    let expected = rows_by_hand(&sql, &sql_text);
    assert!(expected > 0);
    table.compare(Comparison {
        name,
        unit: "rows/s",
        units: (expected * RUNS) as f64,
        goal: 0.7,
        against: "hand-written SQL on the same tables, rows read into vectors",
        rounds: 6,
        ours: Box::new(|| {
            time(|| (0..RUNS).for_each(|_| assert_eq!(store.query(datalog, &[]).unwrap().len(), expected)))
        }),
        floor: Box::new(|| time(|| (0..RUNS).for_each(|_| assert_eq!(rows_by_hand(&sql, &sql_text), expected)))),
    });
}

fn rows_by_hand(sql: &Connection, text: &str) -> usize {
    let mut statement = sql.prepare_cached(text).unwrap();
    let width = statement.column_count();
    let rows = statement.query_map([], |row| (0..width).map(|n| row.get(n)).collect::<Result<Vec<Value>, _>>());
    rows.unwrap().map(Result::unwrap).collect::<Vec<_>>().len()
}

pub(crate) fn joins(table: &mut Table) {
    compare(
        table,
        "query joins",
        r#"[:find ?e ?age ?sex ?last :where
            [?e :person/name "Ivan"] [?e :person/age ?age] [?e :person/sex ?sex] [?e :person/lastName ?last]]"#,
        // The order of the joins is said by hand too: left alone, SQLite scans whole attributes.
        "SELECT n.e, a.v, s.v, l.v FROM datoms n CROSS JOIN datoms a CROSS JOIN datoms s CROSS JOIN datoms l
         WHERE n.a = :person/name AND n.v = 'Ivan' AND n.avet = 1
           AND a.e = n.e AND a.a = :person/age AND s.e = n.e AND s.a = :person/sex AND l.e = n.e AND l.a = :person/lastName",
    );
}

pub(crate) fn range(table: &mut Table) {
    compare(
        table,
        "query range",
        "[:find ?e ?salary :where [?e :person/salary ?salary] [(> ?salary 50000)]]",
        "SELECT e, v FROM datoms WHERE a = :person/salary AND v > 50000 AND avet = 1",
    );
}
