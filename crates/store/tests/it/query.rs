//! What queries answer.

use tolstoy_edn::{Limits, Value as Edn, read_all};
use tolstoy_store::{Shape, Store};

use crate::common::{must, render, store_with};

pub(crate) const SCHEMA: &str = "[
  {:db/ident :person/name :db/valueType :db.type/string :db/cardinality :db.cardinality/one :db/index true}
  {:db/ident :person/email :db/valueType :db.type/string :db/cardinality :db.cardinality/one
   :db/unique :db.unique/identity}
  {:db/ident :person/age :db/valueType :db.type/long :db/cardinality :db.cardinality/one :db/index true}
  {:db/ident :person/height :db/valueType :db.type/double :db/cardinality :db.cardinality/one}
  {:db/ident :person/alive :db/valueType :db.type/boolean :db/cardinality :db.cardinality/one}
  {:db/ident :person/born :db/valueType :db.type/instant :db/cardinality :db.cardinality/one}
  {:db/ident :person/key :db/valueType :db.type/uuid :db/cardinality :db.cardinality/one}
  {:db/ident :person/page :db/valueType :db.type/uri :db/cardinality :db.cardinality/one}
  {:db/ident :person/print :db/valueType :db.type/bytes :db/cardinality :db.cardinality/one}
  {:db/ident :person/mood :db/valueType :db.type/keyword :db/cardinality :db.cardinality/one}
  {:db/ident :person/sex :db/valueType :db.type/ref :db/cardinality :db.cardinality/one}
  {:db/ident :person/alias :db/valueType :db.type/string :db/cardinality :db.cardinality/many}
  {:db/ident :person/friend :db/valueType :db.type/ref :db/cardinality :db.cardinality/many}
  {:db/ident :sex/male} {:db/ident :sex/female}]";

const FACTS: &str = r##"[
  {:db/id "a" :person/name "Anna" :person/email "anna@x" :person/age 30 :person/height 1.7 :person/sex :sex/female
   :person/alive true :person/mood :happy :person/alias ["Anya" "Annie"] :person/friend ["b" "g"]
   :person/born #inst "1812-01-01T00:00:00Z" :person/key #uuid "00000000-0000-0000-0000-00000000000a"
   :person/page #uri "https://a.example" :person/print #bytes "0aff"}
  {:db/id "b" :person/name "Boris" :person/email "boris@x" :person/age 30 :person/height 30.0 :person/sex :sex/male
   :person/alive false :person/mood :sad :person/alias ["Borya"] :person/friend ["v"]}
  {:db/id "g" :person/name "Grisha" :person/email "grisha@x" :person/age 17 :person/sex :sex/male :person/friend ["a"]}
  {:db/id "v" :person/name "Vera" :person/email "vera@x" :person/age 1 :person/height 1.0 :person/sex :sex/female
   :person/alive true}]"##;

pub(crate) fn people() -> Store {
    store_with(&[SCHEMA, FACTS])
}

fn values(text: &str) -> Vec<Edn> {
    read_all(text, &Limits::default()).unwrap().iter().map(tolstoy_edn::Form::to_value).collect()
}

/// The answer as text; rows and collections without `:order` are sorted first, since their order is not promised.
pub(crate) fn ask_with(store: &Store, query: &str, inputs: &str) -> String {
    let answer = store.query(query, &values(inputs)).unwrap_or_else(|e| panic!("{}", render(&e, query)));
    let mut edn = answer.to_edn();
    if let (Edn::Vector(rows), false) = (&mut edn, query.contains(":order"))
        && matches!(answer.shape, Shape::Relation(_) | Shape::Collection(_))
    {
        rows.sort();
    }
    edn.to_string()
}

pub(crate) fn ask(store: &Store, query: &str) -> String {
    ask_with(store, query, "")
}

#[test]
fn find_has_four_shapes() {
    let store = people();
    let cases = [
        (
            "[:find ?n ?a :where [?e :person/name ?n] [?e :person/age ?a]]",
            r#"[["Anna" 30] ["Boris" 30] ["Grisha" 17] ["Vera" 1]]"#,
        ),
        ("[:find [?n ...] :where [?e :person/name ?n]]", r#"["Anna" "Boris" "Grisha" "Vera"]"#),
        (
            r#"[:find [?n ?a] :where [?e :person/name ?n] [?e :person/age ?a] [?e :person/email "vera@x"]]"#,
            r#"["Vera" 1]"#,
        ),
        (r#"[:find ?a . :where [?e :person/age ?a] [?e :person/name "Grisha"]]"#, "17"),
        (r#"[:find ?a . :where [?e :person/age ?a] [?e :person/name "Nobody"]]"#, "nil"),
        (r#"[:find [?a ?e] :where [?e :person/age ?a] [?e :person/name "Nobody"]]"#, "nil"),
        (r#"[:find [?e ...] :where [?e :person/name "Nobody"]]"#, "[]"),
        (r#"[:find ?e :where [?e :person/name "Nobody"]]"#, "[]"),
        (r#"{:find [?n .] :where [[?e :person/name ?n] [?e :person/age 1]]}"#, r#""Vera""#),
        (
            r#"{:find [[?n ...]] :in [?a] :where [[?e :person/name ?n] [?e :person/age ?a]] :order (desc ?n) :limit 1}"#,
            "see below",
        ),
    ];
    for (query, expected) in &cases[..9] {
        assert_eq!(ask(&store, query), *expected, "{query}");
    }
    assert_eq!(ask_with(&store, cases[9].0, "30"), r#"["Boris"]"#);
    let answer = store.query("[:find ?n (count ?e) :where [?e :person/name ?n]]", &[]).unwrap();
    assert_eq!(answer.columns, ["?n", "(count ?e)"]);
    assert_eq!(answer.len(), 4);
}

#[test]
fn every_type_of_value_comes_back_as_it_went_in() {
    let store = people();
    let q = |a: &str| ask(&store, &format!("[:find ?v . :where [[:person/email \"anna@x\"] {a} ?v]]"));
    assert_eq!(q(":person/height"), "1.7");
    assert_eq!(q(":person/alive"), "true");
    assert_eq!(q(":person/born"), "#inst \"1812-01-01T00:00:00Z\"");
    assert_eq!(q(":person/key"), "#uuid \"00000000-0000-0000-0000-00000000000a\"");
    assert_eq!(q(":person/page"), "#uri \"https://a.example\"");
    assert_eq!(q(":person/print"), "#bytes \"0aff\"");
    assert_eq!(q(":person/mood"), ":happy");
    for (constant, expected) in [
        ("1.7", "1"),
        ("true", "2"),
        ("#inst \"1812-01-01T00:00:00Z\"", "1"),
        ("\"Anya\"", "1"),
        (":happy", "1"),
        ("#uuid \"00000000-0000-0000-0000-00000000000a\"", "1"),
        ("#uri \"https://a.example\"", "1"),
        ("#bytes \"0aff\"", "1"),
        ("30", "2"),
        ("30.0", "1"),
        ("1", "1"),
        ("1.0", "1"),
    ] {
        let people = ":where [?e _ V] [?e :person/name]".replace('V', constant);
        assert_eq!(ask(&store, &format!("[:find (count ?e) . {people}]")), expected, "{constant}");
    }
}

#[test]
fn patterns_join() {
    let store = people();
    let cases = [
        (
            r#"[:find [?n ...] :where [?a :person/name "Anna"] [?a :person/friend ?f] [?f :person/name ?n]]"#,
            r#"["Boris" "Grisha"]"#,
        ),
        (
            r#"[:find [?n ...] :where [?f :person/_friend ?a] [?a :person/name "Anna"] [?f :person/name ?n]]"#,
            r#"["Boris" "Grisha"]"#,
        ),
        (
            r#"[:find [?n ...] :where [[:person/email "vera@x"] :person/_friend ?a] [?a :person/name ?n]]"#,
            r#"["Boris"]"#,
        ),
        (
            r#"[:find ?x ?y :where [?e :person/friend ?f] [?f :person/friend ?e] [?e :person/name ?x] [?f :person/name ?y]]"#,
            r#"[["Anna" "Grisha"] ["Grisha" "Anna"]]"#,
        ),
        (r#"[:find [?n ...] :where [?e :person/sex :sex/male] [?e :person/name ?n]]"#, r#"["Boris" "Grisha"]"#),
        (
            r#"[:find [?n ...] :where [?e :person/friend [:person/email "vera@x"]] [?e :person/name ?n]]"#,
            r#"["Boris"]"#,
        ),
        (
            r#"[:find [?n ...] :where [?e :person/friend (lookup-ref :person/email "nobody@x")] [?e :person/name ?n]]"#,
            "[]",
        ),
        (r#"[:find ?a . :where [(lookup-ref :person/email "vera@x") :person/age ?a]]"#, "1"),
        // A value of one type never joins an equal number of another.
        (
            "[:find [?n ...] :where [?e :person/age ?v] [?e :person/name ?n] [?f ?a ?v] [?f :person/email] [?a :db/valueType :db.type/double]]",
            "[]",
        ),
        ("[:find ?n ?i :where [?e ?a 30.0] [?e :person/name ?n] [?a :db/ident ?i]]", r#"[["Boris" :person/height]]"#),
        (
            "[:find ?i :where [?e :person/name \"Grisha\"] [?e ?a] [?a :db/ident ?i]]",
            "[[:person/age] [:person/email] [:person/friend] [:person/name] [:person/sex]]",
        ),
        ("[:find (count ?e) . :where [?e] [?e :person/name _]]", "4"),
        ("[:find [?t ...] :where [:db/ident :db/valueType ?v] [?v :db/ident ?t]]", "[:db.type/keyword]"),
        ("[:find ?x . :where [$ _ :person/age ?x] [(< ?x 10)]]", "1"),
        ("[:find ?t :where [:person/name 7 ?t]]", "[[27]]"),
        ("[:find [?n ...] :where [?e :person/friend ?e] [?e :person/name ?n]]", "[]"),
    ];
    for (query, expected) in cases {
        assert_eq!(ask(&store, query), expected, "{query}");
    }
}

#[test]
fn the_fourth_position_is_the_transaction() {
    let mut store = people();
    let first = ask(&store, r#"[:find ?tx . :where [_ :person/name "Anna" ?tx]]"#);
    let report = must(&mut store, r#"[[:db/add [:person/email "vera@x"] :person/age 2]]"#);
    let tx = report.tx.to_string();
    assert_ne!(first, tx);
    assert_eq!(
        ask(&store, &format!("[:find ?n ?a :where [?e :person/age ?a {tx}] [?e :person/name ?n]]")),
        r#"[["Vera" 2]]"#
    );
    assert_eq!(ask(&store, &format!("[:find (count ?e) . :where [?e :person/age _ {first}]]")), "3");
    assert_eq!(
        ask(&store, r#"[:find ?i . :where [?e :person/age 2 ?tx] [?tx :db/txInstant ?i]]"#),
        Edn::Instant(report.instant).to_string()
    );
    assert_eq!(
        ask(&store, "[:find ?n :where [?e :person/name ?n ?t1] [?e :person/age _ ?t2] [(tx-after ?t2 ?t1)]]"),
        r#"[["Vera"]]"#
    );
    assert_eq!(
        ask(&store, "[:find (count ?e) . :where [?e :person/name _ ?t1] [?e :person/age _ ?t2] [(tx-before ?t2 ?t1)]]"),
        "0"
    );
}

#[test]
fn predicates_compare() {
    let store = people();
    let names = |clauses: &str| {
        ask(&store, &format!("[:find [?n ...] :where [?e :person/name ?n] [?e :person/age ?a] {clauses}]"))
    };
    assert_eq!(names("[(< ?a 18)]"), r#"["Grisha" "Vera"]"#);
    assert_eq!(names("[(<= ?a 17)]"), r#"["Grisha" "Vera"]"#);
    assert_eq!(names("[(> 18 ?a)]"), r#"["Grisha" "Vera"]"#);
    assert_eq!(names("[(< 1 ?a 30)]"), r#"["Grisha"]"#);
    assert_eq!(names("[(>= ?a 17.5)]"), r#"["Anna" "Boris"]"#);
    assert_eq!(names("[(= ?a 30.0)]"), r#"["Anna" "Boris"]"#);
    assert_eq!(names("[(!= ?a 30)]"), r#"["Grisha" "Vera"]"#);
    assert_eq!(names("[?e :person/height ?h] [(= ?a ?h)]"), r#"["Boris" "Vera"]"#);
    assert_eq!(names("[?e :person/height ?h] [(< ?h ?a)]"), r#"["Anna"]"#);
    assert_eq!(names("[(>= ?n \"Boris\")]"), r#"["Boris" "Grisha" "Vera"]"#);
    assert_eq!(names("[?e :person/born ?b] [(< ?b #inst \"1900-01-01T00:00:00Z\")]"), r#"["Anna"]"#);
    assert_eq!(names("[?e :person/sex ?s] [(= ?s :sex/male)]"), r#"["Boris" "Grisha"]"#);
    assert_eq!(names("[?e :person/sex ?s] [(!= ?s :sex/male)]"), r#"["Anna" "Vera"]"#);
    // Of values whose types are not known beforehand, those of another type are left out by order and by equality...
    assert_eq!(names("[?e ?x ?v] [(< ?v 2)]"), r#"["Anna" "Vera"]"#);
    assert_eq!(names("[?e ?x ?v] [(= ?v 1)] [?e :person/alive true]"), r#"["Vera"]"#);
    // ... and are not equal.
    assert_eq!(ask(&store, r#"[:find (count ?x) . :where [?e :person/name "Grisha"] [?e ?x ?v] [(!= ?v 17)]]"#), "4");
    assert_eq!(
        ask(
            &store,
            "[:find ?x ?y :where [?d :person/age ?g] [?e :person/age ?g] [(unpermute ?d ?e)] [?d :person/name ?x] [?e :person/name ?y]]"
        ),
        r#"[["Anna" "Boris"]]"#
    );
    assert_eq!(
        ask(&store, "[:find (count ?d) . :with ?e :where [?d :person/age] [?e :person/age] [(differ ?d ?e)]]"),
        "12"
    );
}

#[test]
fn inputs_are_bound_and_typed_by_their_use() {
    let store = people();
    let cases = [
        ("[:find ?n . :in ?m :where [?e :person/email ?m] [?e :person/name ?n]]", "\"vera@x\"", r#""Vera""#),
        (
            "[:find [?n ...] :in $ [?a ...] :where [?e :person/age ?a] [?e :person/name ?n]]",
            "[1 17 18]",
            r#"["Grisha" "Vera"]"#,
        ),
        ("[:find [?n ...] :in $ [?a ...] :where [?e :person/age ?a] [?e :person/name ?n]]", "[]", "[]"),
        (
            "[:find [?n ...] :in $ [?a ...] :where [?e :person/age ?a] [?e :person/name ?n]]",
            "#{1 17}",
            r#"["Grisha" "Vera"]"#,
        ),
        (
            "[:find [?n ...] :in [?a _ ?s] :where [?e :person/age ?a] [?e :person/sex ?s] [?e :person/name ?n]]",
            "[30 nil :sex/male]",
            r#"["Boris"]"#,
        ),
        (
            "[:find ?n ?x :in [[?m ?x]] :where [?e :person/email ?m] [?e :person/name ?n]]",
            r#"[["vera@x" 1] ["anna@x" :two]]"#,
            r#"[["Anna" :two] ["Vera" 1]]"#,
        ),
        ("[:find ?x :in [[?x _]]]", "[[1 2] [1 3] [1.0 4]]", "[[1] [1.0]]"),
        ("[:find ?x ?y :in ?x [?y ...]]", "1 [2 3 2]", "[[1 2] [1 3]]"),
        ("[:find [?v ...] :in ?e ?a :where [?e ?a ?v]]", "[:person/email \"boris@x\"] :person/alias", r#"["Borya"]"#),
        (
            "[:find [?n ...] :in [?k ...] :where [?a :db/ident ?k] [?e ?a ?n] [?e :person/age 1]]",
            "[:person/name :person/email]",
            r#"["Vera" "vera@x"]"#,
        ),
        (
            "[:find [?n ...] :in [?a ...] :where [?e ?a ?n] [?e :person/age 1]]",
            "[:person/name :person/email]",
            r#"["Vera" "vera@x"]"#,
        ),
        ("[:find [?n ...] :in ?h :where [?e :person/height ?h] [?e :person/name ?n]]", "30", r#"["Boris"]"#),
        (
            "[:find [?n ...] :in ?min ?max :where [?e :person/age ?a] [(<= ?min ?a ?max)] [?e :person/name ?n]]",
            "2 20",
            r#"["Grisha"]"#,
        ),
        (
            "[:find [?n ...] :in ?s :where [?e :person/sex ?s] [?e :person/name ?n]]",
            ":sex/male",
            r#"["Boris" "Grisha"]"#,
        ),
        ("[:find [?n ...] :in [?e ...] :where [?e :person/name ?n]]", "[:sex/male]", "[]"),
        (
            "[:find [?n ...] :in ?p :where [?e :person/page ?p] [?e :person/name ?n]]",
            "\"https://a.example\"",
            r#"["Anna"]"#,
        ),
    ];
    for (query, inputs, expected) in cases {
        assert_eq!(ask_with(&store, query, inputs), expected, "{query}");
    }
}

#[test]
fn long_collections_are_inputs_too() {
    let store = people();
    let ages: Vec<String> = (0..30_000).map(|n| n.to_string()).collect();
    let query = "[:find (count ?e) . :in [?a ...] :where [?e :person/age ?a]]";
    assert_eq!(ask_with(&store, query, &format!("[{}]", ages.join(" "))), "4");
}

#[test]
fn aggregates_range_over_sets() {
    let store = people();
    let cases = [
        ("[:find (count ?e) . :where [?e :person/age]]", "4"),
        ("[:find (count ?a) . :where [_ :person/age ?a]]", "3"),
        ("[:find (sum ?a) . :where [_ :person/age ?a]]", "48"),
        ("[:find (sum ?a) . :with ?e :where [?e :person/age ?a]]", "78"),
        ("[:find (avg ?a) . :with ?e :where [?e :person/age ?a]]", "19.5"),
        ("[:find [(min ?a) (max ?a)] :where [_ :person/age ?a]]", "[1 30]"),
        ("[:find (max ?h) . :where [_ :person/height ?h]]", "30.0"),
        ("[:find (sum ?h) . :where [_ :person/height ?h]]", "32.7"),
        ("[:find (min ?b) . :where [_ :person/born ?b]]", "#inst \"1812-01-01T00:00:00Z\""),
        (
            "[:find ?i (count ?e) (sum ?a) :where [?e :person/age ?a] [?e :person/sex ?s] [?s :db/ident ?i]]",
            "[[:sex/female 2 31] [:sex/male 2 47]]",
        ),
        (
            "[:find ?i (count ?a) :where [?e :person/age ?a] [?e :person/sex ?s] [?s :db/ident ?i]]",
            "[[:sex/female 2] [:sex/male 2]]",
        ),
        ("[:find ?a (count ?a) :where [_ :person/age ?a]]", "[[1 1] [17 1] [30 1]]"),
        ("[:find (the ?n) (min ?a) :where [?e :person/age ?a] [?e :person/name ?n]]", r#"[["Vera" 1]]"#),
        (
            "[:find ?i (the ?n) (min ?a) :where [?e :person/age ?a] [?e :person/name ?n] [?e :person/sex ?s] [?s :db/ident ?i]]",
            r#"[[:sex/female "Vera" 1] [:sex/male "Grisha" 17]]"#,
        ),
        // Types that are not known beforehand are told apart.
        ("[:find (count ?v) . :where [?e :person/name] [?e _ ?v] [(= ?v 30)]]", "2"),
        ("[:find (count-distinct ?v) . :with ?e :where [?e :person/name] [?e _ ?v] [(= ?v 30)]]", "2"),
        ("[:find (count-distinct ?a) . :with ?e :where [?e :person/age ?a]]", "3"),
        ("[:find ?v (count ?e) :where [?e :person/name] [?e _ ?v] [(= ?v 30)]]", "[[30 2] [30.0 1]]"),
        // Of nothing there is a count and a sum, and no average, minimum or maximum.
        ("[:find (count ?e) . :where [?e :person/age 99]]", "0"),
        ("[:find (count ?e) (sum ?a) :where [?e :person/age ?a] [(> ?a 99)]]", "[[0 0]]"),
        ("[:find (sum ?h) . :where [?e :person/height ?h] [(> ?h 99)]]", "0.0"),
        ("[:find (avg ?a) . :where [_ :person/age ?a] [(> ?a 99)]]", "nil"),
        ("[:find [(count ?a) (max ?a)] :where [_ :person/age ?a] [(> ?a 99)]]", "nil"),
        ("[:find ?e (count ?a) :where [?e :person/age ?a] [(> ?a 99)]]", "[]"),
    ];
    for (query, expected) in cases {
        assert_eq!(ask(&store, query), expected, "{query}");
    }
}

#[test]
fn order_and_limit() {
    let store = people();
    let base = ":where [?e :person/name ?n] [?e :person/age ?a]";
    let q = |head: &str, tail: &str| ask(&store, &format!("[:find {head} {base} {tail}]"));
    assert_eq!(q("[?n ...]", ":order ?n"), r#"["Anna" "Boris" "Grisha" "Vera"]"#);
    assert_eq!(q("[?n ...]", ":order (desc ?n)"), r#"["Vera" "Grisha" "Boris" "Anna"]"#);
    assert_eq!(q("?a ?n", ":order (desc ?a) (asc ?n)"), r#"[[30 "Anna"] [30 "Boris"] [17 "Grisha"] [1 "Vera"]]"#);
    assert_eq!(q("?a ?n", ":order (desc ?a) :limit 2"), r#"[[30 "Anna"] [30 "Boris"]]"#);
    assert_eq!(q("[?n ...]", ":order (desc ?a) ?n :limit 3"), r#"["Anna" "Boris" "Grisha"]"#);
    assert_eq!(q("?n .", ":order ?a"), r#""Vera""#);
    assert_eq!(q("[?n ...]", ":order ?n :limit 0"), "[]");
    assert_eq!(q("?a (count ?e)", ":order (desc (count ?e)) (desc ?a)"), "[[30 2] [17 1] [1 1]]");
    assert_eq!(q("(max ?a) ?n", ":order (max ?a) (desc ?n) :limit 2"), r#"[[1 "Vera"] [17 "Grisha"]]"#);
    assert_eq!(
        ask_with(&store, "[:find [?a ...] :in ?k :where [_ :person/age ?a] :order ?a :limit ?k]", "2"),
        "[1 17]"
    );
    assert_eq!(
        ask(&store, "[:find [?v ...] :where [?e :person/email \"boris@x\"] [?e ?a ?v] [(<= ?v 30)] :order ?v ?a]"),
        "[30 30.0]"
    );
    // A variable that only orders makes rows that differ in it different, as :with does.
    assert_eq!(
        ask(&store, "[:find [?a ...] :where [?e :person/age ?a] [?e :person/name ?n] :order ?n]"),
        "[30 30 17 1]"
    );
    assert_eq!(
        ask(&store, "[:find ?a :with ?n :where [?e :person/age ?a] [?e :person/name ?n]]"),
        "[[1] [17] [30] [30]]"
    );
    assert_eq!(
        ask(&store, "[:find ?s :with ?al :where [?e :person/sex ?s] [?e :person/alias ?al]]").matches('[').count(),
        4
    );
}

#[test]
fn a_query_can_be_parsed_once_and_asked_of_many_stores() {
    let form =
        tolstoy_edn::read_one("[:find [?n ...] :where [_ :person/name ?n] :order ?n]", &Limits::default()).unwrap();
    let query = tolstoy_store::Query::parse(&form).unwrap();
    let (one, other) = (people(), store_with(&[SCHEMA, r#"[{:person/name "Yuri"}]"#]));
    assert_eq!(one.answer(&query, &[]).unwrap().len(), 4);
    assert_eq!(other.answer(&query, &[]).unwrap().to_edn().to_string(), r#"["Yuri"]"#);
    assert_eq!(other.query_form(&form, &[]).unwrap(), other.answer(&query, &[]).unwrap());
}
