//! The pretty-printer's layout.

use insta::assert_snapshot;
use tolstoy_edn::{Limits, pretty, read_one};

fn broken(text: &str, width: usize) -> String {
    pretty(&read_one(text, &Limits::default()).unwrap().to_value(), width)
}

#[test]
fn what_fits_stays_on_one_line() {
    let text = "{:db/id 1 :person/name \"Ivan\"}";
    assert_eq!(broken(text, text.len()), text);
    assert_eq!(broken(text, text.len() - 1), "{:db/id 1\n :person/name \"Ivan\"}");
}

#[test]
fn closing_brackets_count() {
    assert_eq!(broken("[[[1 2]]]", 9), "[[[1 2]]]");
    assert_eq!(broken("[[[1 2]]]", 8), "[[[1\n   2]]]");
}

#[test]
fn collections_break_aligned() {
    assert_snapshot!(broken(
        "[{:db/ident :person/name :db/valueType :db.type/string :db/cardinality :db.cardinality/one} {:db/id 2 :person/friends [{:person/name \"Иван\" :person/age 30} {:person/name \"Лев\" :person/age 82}] :person/tags #{\"writer\" \"count\" \"farmer\"}} #my/tag (1 2 3)]",
        50
    ), @r#"
    [{:db/ident :person/name
      :db/valueType :db.type/string
      :db/cardinality :db.cardinality/one}
     {:db/id 2
      :person/friends
      [{:person/name "Иван" :person/age 30}
       {:person/name "Лев" :person/age 82}]
      :person/tags #{"count" "farmer" "writer"}}
     #my/tag (1 2 3)]
    "#);
}
