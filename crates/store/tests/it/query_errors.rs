//! What is wrong with a query, in words and with its place.

use tolstoy_edn::Value as Edn;
use tolstoy_store::{ErrorKind, Store};

use crate::common::must;
use crate::query::people;

fn refused_with(query: &str, inputs: &[Edn]) -> String {
    let error = people().query(query, inputs).expect_err(query);
    match error.span() {
        Some(span) => {
            assert_eq!(error.kind(), ErrorKind::Input, "{error}");
            tolstoy_edn::render_error("query", query, span, &error.to_string())
        }
        None => format!("{:?}: {error}", error.kind()),
    }
}

fn refused(queries: &[&str]) -> String {
    queries.iter().map(|q| refused_with(q, &[])).collect::<Vec<_>>().join("\n")
}

#[test]
fn malformed_queries() {
    insta::assert_snapshot!(refused(&[
        "[:find ?x",
        "(:find ?x)",
        "[]",
        "[?x]",
        "[:where [?x]]",
        "[:find :where [?x]]",
        "[:find ?x :were [?x]]",
        "[:find ?x :where [?x] :find ?x]",
        "{:find [?x] \"where\" [[?x]]}",
        "[:find x :where [?x]]",
        "[:find (cuont ?x) :where [?x]]",
        "[:find (count) :where [?x]]",
        "[:find (count x) :where [?x]]",
        "[:find [] :where [?x]]",
        "[:find ?x [?x ...] :where [?x]]",
        "[:find ?x :in x :where [?x]]",
        "[:find ?x :in ?x [?x ...]]",
        "[:find ?x :in [[_ _]] :where [?x]]",
        "[:find ?x :with (count ?x) :where [?x]]",
        "[:find ?x :where [?x] :order (descending ?x)]",
        "[:find ?x :where [?x] :limit -1]",
        "[:find ?x :where [?x] :limit 1 2]",
        "[:find ?x :where [?x] :limit ?x]",
    ]), @r#"
    query:1:1: this `[` is never closed: a `]` is missing
      [:find ?x
      ^
    query:1:1: a query is a vector [:find ...] or a map {:find [...]}, not a list
      (:find ?x)
      ^^^^^^^^^^
    query:1:1: a query needs :find, such as [:find ?x :where [?x :db/ident]]
      []
      ^^
    query:1:2: a query begins with :find
      [?x]
       ^^
    query:1:1: a query needs :find, such as [:find ?x :where [?x :db/ident]]
      [:where [?x]]
      ^^^^^^^^^^^^^
    query:1:2: nothing stands after :find
      [:find :where [?x]]
       ^^^^^
    query:1:11: a query has no :were (did you mean :where?); it has :find, :in, :with, :where, :order and :limit
      [:find ?x :were [?x]]
                ^^^^^
    query:1:23: the query has :find twice
      [:find ?x :where [?x] :find ?x]
                            ^^^^^
    query:1:13: a query's keys are keywords, not a string
      {:find [?x] "where" [[?x]]}
                  ^^^^^^^
    query:1:8: :find takes a variable such as ?x, or an aggregate such as (count ?x), not a symbol
      [:find x :where [?x]]
             ^
    query:1:9: there is no aggregate `cuont` (did you mean count?); there are count, count-distinct, sum, avg, min, max and the
      [:find (cuont ?x) :where [?x]]
              ^^^^^
    query:1:8: an aggregate has a name and one variable, such as (count ?x)
      [:find (count) :where [?x]]
             ^^^^^^^
    query:1:15: an aggregate takes variables such as ?x, not a symbol
      [:find (count x) :where [?x]]
                    ^
    query:1:8: nothing is asked for here: write [?x ...] or [?x ?y]
      [:find [] :where [?x]]
             ^^
    query:1:11: [...] stands alone in :find, as [?x ...] or [?x ?y]
      [:find ?x [?x ...] :where [?x]]
                ^^^^^^^^
    query:1:15: :in takes variables such as ?x, not a symbol
      [:find ?x :in x :where [?x]]
                    ^
    query:1:19: ?x is an input already
      [:find ?x :in ?x [?x ...]]
                        ^^
    query:1:15: these rows bind no variable
      [:find ?x :in [[_ _]] :where [?x]]
                    ^^^^^^^
    query:1:17: :with takes variables such as ?x, not a list
      [:find ?x :with (count ?x) :where [?x]]
                      ^^^^^^^^^^
    query:1:30: :order takes ?x, (asc ?x) and (desc ?x), and aggregates of :find in the same way
      [:find ?x :where [?x] :order (descending ?x)]
                                   ^^^^^^^^^^^^^^^
    query:1:30: :limit takes an integer from 0, or a variable of :in
      [:find ?x :where [?x] :limit -1]
                                   ^^
    query:1:32: :limit takes one integer or variable
      [:find ?x :where [?x] :limit 1 2]
                                     ^
    query:1:30: :limit takes an integer or a single value of :in, and ?x is not that
      [:find ?x :where [?x] :limit ?x]
                                   ^^
    "#);
}

#[test]
fn malformed_clauses() {
    insta::assert_snapshot!(refused(&[
        "[:find ?x :where ?x]",
        "[:find ?x :where []]",
        "[:find ?x :where [$]]",
        "[:find ?x :where (?x :person/name)]",
        "[:find ?x :where (or [?x :person/name] [?x :person/age])]",
        "[:find ?x :where (< ?x 5)]",
        "[:find ?x :where [?x :person/name ?n ?tx ?added]]",
        "[:find ?x :where [?x :person/name name]]",
        "[:find ?x :where [?x :person/name nil]]",
        "[:find ?x :where [?x :person/age ?a] [()]]",
        "[:find ?x :where [?x :person/age ?a] [(< ?a)]]",
        "[:find ?x :where [?x :person/age ?a] [(< 1 2)]]",
        "[:find ?x :where [?x :person/age ?a] [(< ?a _)]]",
        "[:find ?x :where [?x :person/age ?a] [(!= ?a 1 2)]]",
        "[:find ?x :where [?x :person/age ?a] [(smaller ?a 5)]]",
        "[:find ?x :where [?x :person/age ?a] [(:a ?a 5)]]",
        "[:find ?x :where [?x :person/age ?a] [(< ?a 5) ?b]]",
    ]), @r"
    query:1:18: a clause is a pattern such as [?x :person/name ?name] or a predicate such as [(< ?age 18)], not a symbol
      [:find ?x :where ?x]
                       ^^
    query:1:18: this clause is empty: a clause is a pattern such as [?x :person/name ?name] or a predicate such as [(< ?age 18)]
      [:find ?x :where []]
                       ^^
    query:1:18: this pattern is empty: it needs an entity, such as [?x :person/name]
      [:find ?x :where [$]]
                       ^^^
    query:1:18: there is no clause `?x`: a clause is a pattern such as [?x :person/name ?name] or a predicate such as [(< ?age 18)]
      [:find ?x :where (?x :person/name)]
                       ^^^^^^^^^^^^^^^^^
    query:1:18: there is no clause `or`: a clause is a pattern such as [?x :person/name ?name] or a predicate such as [(< ?age 18)]
      [:find ?x :where (or [?x :person/name] [?x :person/age])]
                       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    query:1:18: a predicate stands in a vector: [(< ...)]
      [:find ?x :where (< ?x 5)]
                       ^^^^^^^^
    query:1:42: a pattern has four positions at most: [entity attribute value tx]
      [:find ?x :where [?x :person/name ?n ?tx ?added]]
                                               ^^^^^^
    query:1:35: `name` means nothing here: variables begin with `?`, as in ?name
      [:find ?x :where [?x :person/name name]]
                                        ^^^^
    query:1:35: no fact holds nil: write _ for any value
      [:find ?x :where [?x :person/name nil]]
                                        ^^^
    query:1:39: this predicate is empty: write one such as (< ?age 18)
      [:find ?x :where [?x :person/age ?a] [()]]
                                            ^^
    query:1:39: (< ...) compares two values at least
      [:find ?x :where [?x :person/age ?a] [(< ?a)]]
                                            ^^^^^^
    query:1:39: (< ...) has no variable to compare
      [:find ?x :where [?x :person/age ?a] [(< 1 2)]]
                                            ^^^^^^^
    query:1:39: `_` has no value that (< ...) could compare
      [:find ?x :where [?x :person/age ?a] [(< ?a _)]]
                                            ^^^^^^^^
    query:1:39: (!= ...) compares two values
      [:find ?x :where [?x :person/age ?a] [(!= ?a 1 2)]]
                                            ^^^^^^^^^^^
    query:1:40: there is no predicate `smaller`; there are < <= > >= = != differ unpermute tx-after tx-before
      [:find ?x :where [?x :person/age ?a] [(smaller ?a 5)]]
                                             ^^^^^^^
    query:1:40: a predicate begins with its name, such as (< ?age 18), not a keyword
      [:find ?x :where [?x :person/age ?a] [(:a ?a 5)]]
                                             ^^
    query:1:48: a predicate binds nothing: nothing may stand after its list
      [:find ?x :where [?x :person/age ?a] [(< ?a 5) ?b]]
                                                     ^^
    ");
}

#[test]
fn names_that_do_not_exist() {
    insta::assert_snapshot!(refused(&[
        "[:find ?x :where [?x :person/nmae]]",
        "[:find ?x :where [?x :sex/male]]",
        "[:find ?x :where [?x 65599]]",
        "[:find ?x :where [?x \"person/name\"]]",
        "[:find ?x :where [?y :person/_freind ?x]]",
        "[:find ?x :where [?x :person/sex :sex/mail]]",
        "[:find ?x :where [?x :person/friend [:person/mail \"anna@x\"]]]",
        "[:find ?x :where [?x :person/friend [:person/name \"Anna\"]]]",
        "[:find ?x :where [:nobody/here :person/friend ?x]]",
    ]), @r#"
    query:1:22: :person/nmae is not an attribute (did you mean :person/name?)
      [:find ?x :where [?x :person/nmae]]
                           ^^^^^^^^^^^^
    query:1:22: :sex/male is not an attribute
      [:find ?x :where [?x :sex/male]]
                           ^^^^^^^^^
    query:1:22: 65599 is not an attribute
      [:find ?x :where [?x 65599]]
                           ^^^^^
    query:1:22: an attribute is a keyword such as :person/name, not "person/name"
      [:find ?x :where [?x "person/name"]]
                           ^^^^^^^^^^^^^
    query:1:22: :person/freind is not an attribute (did you mean :person/friend?)
      [:find ?x :where [?y :person/_freind ?x]]
                           ^^^^^^^^^^^^^^^
    query:1:34: :person/sex: no entity has the ident :sex/mail (did you mean :sex/male?)
      [:find ?x :where [?x :person/sex :sex/mail]]
                                       ^^^^^^^^^
    query:1:37: :person/friend: :person/mail is not an attribute (did you mean :person/email?)
      [:find ?x :where [?x :person/friend [:person/mail "anna@x"]]]
                                          ^^^^^^^^^^^^^^^^^^^^^^^
    query:1:37: :person/friend: a lookup ref needs a unique attribute, and :person/name is none
      [:find ?x :where [?x :person/friend [:person/name "Anna"]]]
                                          ^^^^^^^^^^^^^^^^^^^^^
    query:1:19: no entity has the ident :nobody/here
      [:find ?x :where [:nobody/here :person/friend ?x]]
                        ^^^^^^^^^^^^
    "#);
}

#[test]
fn variables_that_nothing_binds() {
    insta::assert_snapshot!(refused(&[
        "[:find ?y :where [?x :person/name]]",
        "[:find (count ?y) . :where [?x :person/name]]",
        "[:find ?x :where [?x :person/age ?a] [(< ?a ?b)]]",
        "[:find ?x :with ?y :where [?x :person/age ?a]]",
        "[:find ?x :where [?x :person/age ?a] :order ?y]",
    ]), @r"
    query:1:8: ?y is not bound: no pattern and no input gives it a value
      [:find ?y :where [?x :person/name]]
             ^^
    query:1:15: ?y is not bound: no pattern and no input gives it a value
      [:find (count ?y) . :where [?x :person/name]]
                    ^^
    query:1:45: ?b is not bound: no pattern and no input gives it a value
      [:find ?x :where [?x :person/age ?a] [(< ?a ?b)]]
                                                  ^^
    query:1:17: ?y is not bound: no pattern and no input gives it a value
      [:find ?x :with ?y :where [?x :person/age ?a]]
                      ^^
    query:1:45: ?y is not bound: no pattern and no input gives it a value
      [:find ?x :where [?x :person/age ?a] :order ?y]
                                                  ^^
    ");
}

#[test]
fn types_that_do_not_fit() {
    insta::assert_snapshot!(refused(&[
        "[:find ?x :where [?x :person/age \"thirty\"]]",
        "[:find ?x :where [?x :person/name 5]]",
        "[:find ?x :where [?x :person/height 9007199254740993]]",
        "[:find ?x :where [?x :person/print #bytes \"f\"]]",
        "[:find ?x :where [?x :person/age 5N]]",
        "[:find ?x :where [?x :person/height ##NaN]]",
        "[:find ?x :where [\"Anna\" :person/age ?x]]",
        "[:find ?x :where [?x :person/friend [:person/email 5]]]",
        "[:find ?x :where [?x :person/name ?v] [?y :person/age ?v]]",
        "[:find ?x :where [?x :person/name ?v] [?v :person/age 5]]",
        "[:find ?x :where [?x :person/name ?n] [(< ?n 5)]]",
        "[:find ?x :where [?x :person/age ?a] [?x :person/name ?n] [(= ?a ?n)]]",
        "[:find ?x :where [?x :person/mood ?m] [(< ?m :sad)]]",
        "[:find ?x :where [?x :person/age ?a] [(tx-after ?x ?a)]]",
        "[:find (sum ?n) :where [?x :person/name ?n]]",
        "[:find (avg ?v) :where [_ _ ?v]]",
        "[:find (max ?v) :where [_ _ ?v]]",
        "[:find (the ?x) (count ?x) :where [?x :person/name]]",
        "[:find (the ?x) (min ?a) (max ?a) :where [?x :person/age ?a]]",
        "[:find (max ?a) :where [?x :person/age ?a] :order ?x]",
    ]), @r#"
    query:1:34: :person/age: a long is needed here, not "thirty", which is a string
      [:find ?x :where [?x :person/age "thirty"]]
                                       ^^^^^^^^
    query:1:35: :person/name: a string is needed here, not 5, which is a long
      [:find ?x :where [?x :person/name 5]]
                                        ^
    query:1:37: :person/height: 9007199254740993 is too long for a double: write it with a point
      [:find ?x :where [?x :person/height 9007199254740993]]
                                          ^^^^^^^^^^^^^^^^
    query:1:36: :person/print: #bytes stands before a string of hex digits, two a byte
      [:find ?x :where [?x :person/print #bytes "f"]]
                                         ^^^^^^^^^^
    query:1:34: :person/age: 5N is not a value that a fact can have, and not a lookup ref such as [:person/name "Ivan"]
      [:find ?x :where [?x :person/age 5N]]
                                       ^^
    query:1:37: :person/height: ##NaN is not a value that a fact can have, and not a lookup ref such as [:person/name "Ivan"]
      [:find ?x :where [?x :person/height ##NaN]]
                                          ^^^^^
    query:1:19: an entity is needed here, not "Anna", which is a string
      [:find ?x :where ["Anna" :person/age ?x]]
                        ^^^^^^
    query:1:37: :person/friend: a string is needed here, not 5, which is a long
      [:find ?x :where [?x :person/friend [:person/email 5]]]
                                          ^^^^^^^^^^^^^^^^^
    query:1:55: ?v would have to be a long here, and it is a string elsewhere in the query
      [:find ?x :where [?x :person/name ?v] [?y :person/age ?v]]
                                                            ^^
    query:1:40: ?v would have to be an entity here, and it is a string elsewhere in the query
      [:find ?x :where [?x :person/name ?v] [?v :person/age 5]]
                                             ^^
    query:1:40: (< ...) compares values of one type, and here ?n is a string, 5 is a long
      [:find ?x :where [?x :person/name ?n] [(< ?n 5)]]
                                             ^^^^^^^^
    query:1:60: (= ...) compares values of one type, and here ?a is a long, ?n is a string
      [:find ?x :where [?x :person/age ?a] [?x :person/name ?n] [(= ?a ?n)]]
                                                                 ^^^^^^^^^
    query:1:40: (< ...) compares numbers, instants and strings, and ?m is a keyword
      [:find ?x :where [?x :person/mood ?m] [(< ?m :sad)]]
                                             ^^^^^^^^^^^
    query:1:39: (tx-after ...) compares entities, and ?a is a long
      [:find ?x :where [?x :person/age ?a] [(tx-after ?x ?a)]]
                                            ^^^^^^^^^^^^^^^^
    query:1:13: (sum ?n) needs numbers, and ?n is a string
      [:find (sum ?n) :where [?x :person/name ?n]]
                  ^^
    query:1:13: (avg ?v) needs values of one type, and ?v is a value of any type: name the attribute
      [:find (avg ?v) :where [_ _ ?v]]
                  ^^
    query:1:13: (max ?v) needs values of one type, and ?v is a value of any type: name the attribute
      [:find (max ?v) :where [_ _ ?v]]
                  ^^
    query:1:13: (the ?x) is the value where a minimum or maximum is: the query needs exactly one (min ...) or (max ...)
      [:find (the ?x) (count ?x) :where [?x :person/name]]
                  ^^
    query:1:13: (the ?x) is the value where a minimum or maximum is: the query needs exactly one (min ...) or (max ...)
      [:find (the ?x) (min ?a) (max ?a) :where [?x :person...
                  ^^
    query:1:51: ?x is not among the elements of :find, so rows have no ?x to be ordered by
      [:find (max ?a) :where [?x :person/age ?a] :order ?x]
                                                        ^^
    "#);
}

#[test]
fn inputs_that_do_not_fit() {
    let long = "[:find ?x :in ?a :where [?x :person/age ?a]]";
    let collection = "[:find ?x :in [?a ...] :where [?x :person/age ?a]]";
    let tuple = "[:find ?x :in [?n ?a] :where [?x :person/age ?a] [?x :person/name ?n]]";
    let relation = "[:find ?x :in [[?n ?a]] :where [?x :person/age ?a] [?x :person/name ?n]]";
    let limit = "[:find ?x :in ?l :where [?x :person/age] :limit ?l]";
    let attribute = "[:find ?x :in ?a :where [?x ?a]]";
    let vector = |values: &[Edn]| Edn::Vector(values.to_vec());
    let shown = [
        refused_with("[:find ?x :where [?x]]", &[1.into()]),
        refused_with(long, &[]),
        refused_with("[:find ?x :in $ ?a [?b ...] [_ ?c] [[?d]] :where [?x]]", &[1.into()]),
        refused_with(long, &["Anna".into()]),
        refused_with(long, &[Edn::Nil]),
        refused_with(long, &[vector(&[1.into()])]),
        refused_with(collection, &[1.into()]),
        refused_with(collection, &[vector(&[1.into(), "Anna".into()])]),
        refused_with(collection, &[vector(&["Anna".into()])]),
        refused_with(
            "[:find ?x :in [?f ...] :where [?x :person/friend ?f]]",
            &[vector(&[vector(&[tolstoy_edn::Keyword::parse("person/email").unwrap().into(), "anna@x".into()])])],
        ),
        refused_with(tuple, &[vector(&[1.into()])]),
        refused_with(relation, &[vector(&[1.into()])]),
        refused_with(limit, &[(-1).into()]),
        refused_with(attribute, &[tolstoy_edn::Keyword::parse("person/nam").unwrap().into()]),
    ];
    insta::assert_snapshot!(shown.join("\n"), @r#"
    query:1:1: the query takes no inputs (it has no :in), and one was given
      [:find ?x :where [?x]]
      ^^^^^^^^^^^^^^^^^^^^^^
    query:1:15: the query takes one input, ?a, and none was given
      [:find ?x :in ?a :where [?x :person/age ?a]]
                    ^^
    query:1:21: the query takes 4 inputs, ?a [?b ...] [_ ?c] [[?d]], and one was given
      [:find ?x :in $ ?a [?b ...] [_ ?c] [[?d]] :where [?x]]
                          ^^
    query:1:15: the input ?a: a long is needed here, not "Anna", which is a string
      [:find ?x :in ?a :where [?x :person/age ?a]]
                    ^^
    query:1:15: the input ?a: nil is not a value that a fact can have, and not a lookup ref such as [:person/name "Ivan"]
      [:find ?x :in ?a :where [?x :person/age ?a]]
                    ^^
    query:1:15: the input ?a: [1] is not a value that a fact can have, and not a lookup ref such as [:person/name "Ivan"]
      [:find ?x :in ?a :where [?x :person/age ?a]]
                    ^^
    query:1:16: [?a ...] takes a vector of values, not 1
      [:find ?x :in [?a ...] :where [?x :person/age ?a]]
                     ^^
    query:1:16: the input ?a: a long is needed here, not "Anna", which is a string
      [:find ?x :in [?a ...] :where [?x :person/age ?a]]
                     ^^
    query:1:16: the input ?a: a long is needed here, not "Anna", which is a string
      [:find ?x :in [?a ...] :where [?x :person/age ?a]]
                     ^^
    query:1:16: the input ?f: a lookup ref cannot be given in a collection or a relation: give the entity, or its value
      [:find ?x :in [?f ...] :where [?x :person/friend ?f]]
                     ^^
    query:1:15: this takes a vector of 2 values, not [1]
      [:find ?x :in [?n ?a] :where [?x :person/age ?a] [?x :...
                    ^^^^^^^
    query:1:15: this takes a vector of vectors of 2 values each
      [:find ?x :in [[?n ?a]] :where [?x :person/age ?a] [?x...
                    ^^^^^^^^^
    query:1:49: the input ?l: a limit is an integer from 0, not -1
      [:find ?x :in ?l :where [?x :person/age] :limit ?l]
                                                      ^^
    query:1:15: the input ?a: :person/nam is not an attribute (did you mean :person/name?)
      [:find ?x :in ?a :where [?x ?a]]
                    ^^
    "#);
}

#[test]
fn more_than_one_statement_can_be() {
    let many = |n: usize, clause: &str| vec![clause; n].join(" ");
    let patterns = refused_with(&format!("[:find ?x :where {}]", many(65, "[?x :person/age]")), &[]);
    let clauses = refused_with(&format!("[:find ?x :where {}]", many(257, "[?x :person/age]")), &[]);
    let elements = refused_with(&format!("[:find {} :where [?x]]", many(257, "?x")), &[]);
    let first = |shown: &str| shown.lines().next().unwrap().to_owned();
    let chain = (0..1000).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
    let shown = [
        first(&patterns),
        first(&clauses),
        first(&elements),
        first(&refused_with(&format!("[:find ?x :where [?x :person/age ?a] [(< ?a {chain})]]"), &[])),
        first(&refused_with(
            "[:find ?x :in [?a ...] :where [?x :person/age ?a]]",
            &[Edn::Vector((0..40_000).map(Edn::Integer).collect())],
        )),
        first(&refused_with(&format!("[:find ?x :where [?x :person/name \"{}\"]]", "x".repeat(1 << 20)), &[])),
    ];
    insta::assert_snapshot!(shown.join("\n"), @r"
    query:1:1: the query joins 65 patterns and collections; 64 is the most
    query:1:4370: the query has 257 clauses; 256 is the most
    query:1:2: :find has 257 elements; 256 is the most
    query:1:1: the query has too many clauses for one statement: take some away, or ask in two steps
    query:1:1: the query is given 40000 values; 32766 is the most: ask in several steps
    query:1:1: the text is 1048614 bytes long; at most 1048576 are read
    ");
    // What is just within the limits is answered.
    let store = people();
    let most = many(64, "[?x :person/age]");
    assert_eq!(store.query(&format!("[:find ?x :where {most}]"), &[]).unwrap().len(), 4);
    let most = Edn::Vector((0..32_000).map(Edn::Integer).collect());
    assert_eq!(store.query("[:find ?x :in [?a ...] :where [?x :person/age ?a]]", &[most]).unwrap().len(), 4);
}

#[test]
fn sums_beyond_a_long() {
    fn sum(store: &Store, query: &str) -> Result<String, String> {
        store.query(query, &[]).map(|r| r.to_edn().to_string()).map_err(|e| format!("{:?}: {e}", e.kind()))
    }
    let mut store = people();
    must(&mut store, "[{:person/age 9223372036854775807}]");
    insta::assert_snapshot!(
        sum(&store, "[:find (sum ?a) . :where [_ :person/age ?a]]").unwrap_err(),
        @r"
    Refused: the sum is beyond what a long can hold (64 bits): add up doubles, or less
    "
    );
    must(&mut store, "[{:person/height ##Inf} {:person/height ##-Inf}]");
    insta::assert_snapshot!(
        sum(&store, "[:find (sum ?a) . :where [_ :person/height ?a]]").unwrap_err(),
        @r"
    Refused: an aggregate of these values is no number
    "
    );
    assert_eq!(sum(&store, "[:find (max ?a) . :where [_ :person/height ?a]]").unwrap(), "##Inf");
}
