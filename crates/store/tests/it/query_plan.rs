//! How SQLite goes about queries: which indexes serve them, and that repeats are looked for only where there can be any.

use crate::query::people;

fn plan(query: &str) -> String {
    people().explain(query, &[]).unwrap()
}

#[test]
fn plans() {
    for q in [
        r#"[:find ?e ?age ?sex ?last :where [?e :person/name "Ivan"] [?e :person/age ?age] [?e :person/sex ?sex] [?e :person/email ?last]]"#,
        "[:find ?e ?s :where [?e :person/age ?s] [(> ?s 50000)]]",
        r#"[:find ?x . :where [?e :person/email "a"] [?e :person/name ?x]]"#,
        r#"[:find ?n ?m :where [?e :person/name ?n] [?e :person/friend ?f] [?f :person/name ?m]]"#,
        r#"[:find ?n :where [?e :person/name ?n] [?e :person/friend [:person/email "x"]]]"#,
        r#"[:find ?n :where [?e :person/name ?n] [?f :person/name "X"] [?e :person/friend ?f]]"#,
        r#"[:find ?e ?f :where [?e :person/name ?n] [?f :person/name ?n] ]"#,
        r#"[:find ?e ?f :where [?e :person/age ?n] [?f ?a ?n] ]"#,
        r#"[:find ?e ?a :where [?e ?a :sex/male] ]"#,
        r#"[:find ?e ?a :where [?s :db/ident :sex/male] [?e ?a ?s] ]"#,
        r#"[:find ?a (count ?e) :where [?e :person/age ?a]]"#,
        r#"[:find ?a (count ?n) :where [?e :person/age ?a] [?e :person/name ?n]]"#,
    ] {
        println!("{q}\n{}\n", plan(q));
    }
}
