//! `:db/cas`, `:db/inc`, `:db/max`, `:db/min` and functions, in one store.

use tolstoy_edn::Value as Edn;
use tolstoy_env::Env;
use tolstoy_store::{
    Entid, Field, Function, FunctionError, Operation, Parameter, Statement, Store, Timeline, TxReport, Value,
};

use crate::common::{PEOPLE, effects, entid, must, refused, store_with};

const MEASURES: &str = "[
  {:db/ident :m/long :db/valueType :db.type/long :db/cardinality :db.cardinality/one}
  {:db/ident :m/double :db/valueType :db.type/double :db/cardinality :db.cardinality/one}
  {:db/ident :m/instant :db/valueType :db.type/instant :db/cardinality :db.cardinality/one}]";

/// Anna is 65551, and 28 years old; Boris is 65552.
fn store() -> Store {
    store_with(&[
        PEOPLE,
        MEASURES,
        r#"[{:person/email "anna" :person/name "Anna" :person/age 28} {:person/email "boris" :person/name "Boris"}]"#,
    ])
}

fn last(store: &Store) -> tolstoy_store::Transaction {
    store.transaction(store.basis()).unwrap().unwrap()
}

/// What the newest transaction says plainly, and its operations, as text.
fn kept(store: &Store) -> String {
    let transaction = last(store);
    let said = transaction.said.as_ref().expect("operations come with what is said beside them");
    let datoms: Vec<_> = said.iter().map(|c| c.clone().at(transaction.tx)).collect();
    let mut lines = vec![crate::common::show(store, &datoms)];
    lines.extend(transaction.operations.iter().map(|o| o.to_edn(store.schema()).to_string()));
    lines.retain(|line| !line.is_empty());
    lines.join("\n")
}

#[test]
fn cas_replaces_what_it_expects() {
    let mut store = store();
    insta::assert_snapshot!(effects(&mut store, r#"[[:db/cas [:person/email "anna"] :person/age 28 29]]"#), @r"
    - 65551 :person/age 28
    + 65551 :person/age 29
    ");
    insta::assert_snapshot!(kept(&store), @"[:db/cas 65551 :person/age 28 29]");
    insta::assert_snapshot!(effects(&mut store, r#"[[:db/cas [:person/email "boris"] :person/age nil 40]]"#), @"+ 65552 :person/age 40");
    insta::assert_snapshot!(effects(&mut store, r#"[[:db/cas [:person/email "boris"] :person/age 40 nil]]"#), @"- 65552 :person/age 40");
    insta::assert_snapshot!(effects(&mut store, r#"[[:db/cas [:person/email "boris"] :person/age nil nil]]"#), @"");
    insta::assert_snapshot!(effects(&mut store, r#"[[:db/cas [:person/email "boris"] :person/spouse nil [:person/email "anna"]]]"#), @"+ 65552 :person/spouse 65551");
    insta::assert_snapshot!(
        effects(&mut store, r#"[[:db/cas [:person/email "boris"] :person/spouse [:person/email "anna"] "new"]
                               [:db/add "new" :person/name "Vera"]]"#),
        @r#"
    - 65552 :person/spouse 65551
    + 65552 :person/spouse 65553
    + 65553 :person/name "Vera"
    "#
    );
    insta::assert_snapshot!(kept(&store), @r#"
    + 65553 :person/name "Vera"
    [:db/cas 65552 :person/spouse 65551 65553]
    "#);
    // A name that is taken by way of cas.
    insta::assert_snapshot!(effects(&mut store, r#"[[:db/cas [:person/email "anna"] :person/email "anna" "anya"]]"#), @r#"
    - 65551 :person/email "anna"
    + 65551 :person/email "anya"
    "#);
}

#[test]
fn cas_is_refused_where_another_value_stands() {
    let mut store = store();
    insta::assert_snapshot!(refused(&mut store, r#"[[:db/cas [:person/email "anna"] :person/age 27 29]]"#), @r#"
    Refused: tx:1:2: :person/age of 65551 is 28, not 27 as :db/cas expects
      [[:db/cas [:person/email "anna"] :person/...
       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    "#);
    insta::assert_snapshot!(refused(&mut store, r#"[[:db/cas [:person/email "anna"] :person/age nil 29]]"#), @r#"
    Refused: tx:1:2: :person/age of 65551 is 28, not nil as :db/cas expects
      [[:db/cas [:person/email "anna"] :person/...
       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    "#);
    insta::assert_snapshot!(refused(&mut store, r#"[[:db/cas [:person/email "boris"] :person/age 27 29]]"#), @r#"
    Refused: tx:1:2: :person/age of 65552 is nil, not 27 as :db/cas expects
      [[:db/cas [:person/email "boris"] :person...
       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    "#);
    insta::assert_snapshot!(refused(&mut store, r#"[[:db/cas [:person/email "boris"] :person/email "boris" "anna"]]"#), @r#"
    Refused: tx:1:2: :person/email "anna" is unique and belongs to entity 65551, so entity 65552 cannot take it
      [[:db/cas [:person/email "boris"] :person...
       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    "#);
    insta::assert_snapshot!(refused(&mut store, r#"[{:person/name "x"} [:db/cas "new" :person/age nil nil]]"#), @r#"
    Input: tx:1:30: nothing is stated about the tempid "new"
      [{:person/name "x"} [:db/cas "new" :person/age nil nil]]
                                   ^^^^^
    "#);
}

#[test]
fn increments_add_up() {
    let mut store = store();
    insta::assert_snapshot!(effects(&mut store, r#"[[:db/inc [:person/email "anna"] :person/age 2]]"#), @r"
    - 65551 :person/age 28
    + 65551 :person/age 30
    ");
    insta::assert_snapshot!(effects(&mut store, r#"[[:db/inc 65551 :person/age 2] [:db/inc 65551 :person/age 2]]"#), @r"
    - 65551 :person/age 30
    + 65551 :person/age 34
    ");
    insta::assert_snapshot!(kept(&store), @r"
    [:db/inc 65551 :person/age 2]
    [:db/inc 65551 :person/age 2]
    ");
    insta::assert_snapshot!(effects(&mut store, "[[:db/inc 65551 :m/double 0.5] [:db/inc 65551 :m/long -1]]"), @r"
    + 65551 :m/long -1
    + 65551 :m/double 0.5
    ");
    // It is kept also where it changes nothing.
    insta::assert_snapshot!(effects(&mut store, "[[:db/inc 65551 :m/long 0]]"), @"");
    insta::assert_snapshot!(kept(&store), @"[:db/inc 65551 :m/long 0]");
    // With what is stated beside it, of an entity that is new or turns out to be known.
    insta::assert_snapshot!(
        effects(&mut store, r#"[[:db/inc "c" :person/age 3] [:db/inc "b" :m/long 4] {:db/id "b" :person/email "boris"}
                               {:db/id "c" :person/email "clara"}]"#),
        @r#"
    + 65552 :m/long 4
    + 65553 :person/age 3
    + 65553 :person/email "clara"
    "#
    );
    insta::assert_snapshot!(kept(&store), @r#"
    + 65553 :person/email "clara"
    [:db/inc 65553 :person/age 3]
    [:db/inc 65552 :m/long 4]
    "#);
    // Of an attribute that is defined beside it, and of the transaction.
    insta::assert_snapshot!(
        effects(&mut store, "[[:db/inc (transaction-tx) :m/new 1]
                             {:db/ident :m/new :db/valueType :db.type/long :db/cardinality :db.cardinality/one}]"),
        @r"
    + :m/new :db/ident :m/new
    + :m/new :db/valueType :db.type/long
    + :m/new :db/cardinality :db.cardinality/one
    + 268435465 :m/new 1
    "
    );
}

#[test]
fn the_largest_and_the_smallest_stand() {
    let mut store = store();
    insta::assert_snapshot!(effects(&mut store, "[[:db/max 65551 :m/long 3] [:db/min 65551 :m/double 3]]"), @r"
    + 65551 :m/long 3
    + 65551 :m/double 3.0
    ");
    insta::assert_snapshot!(effects(&mut store, "[[:db/max 65551 :m/long 2] [:db/min 65551 :m/double 3.5]]"), @"");
    insta::assert_snapshot!(effects(&mut store, "[[:db/max 65551 :m/long 4] [:db/min 65551 :m/double ##-Inf]]"), @r"
    - 65551 :m/long 3
    + 65551 :m/long 4
    - 65551 :m/double 3.0
    + 65551 :m/double ##-Inf
    ");
    insta::assert_snapshot!(
        effects(&mut store, r#"[[:db/max 65551 :m/instant #inst "2026-01-01T00:00:00Z"]]"#), @r#"+ 65551 :m/instant #inst "2026-01-01T00:00:00Z""#);
    insta::assert_snapshot!(
        effects(&mut store, r#"[[:db/max 65551 :m/instant #inst "2026-02-01T00:00:00Z"]]"#), @r#"
    - 65551 :m/instant #inst "2026-01-01T00:00:00Z"
    + 65551 :m/instant #inst "2026-02-01T00:00:00Z"
    "#);
}

#[test]
fn statements_that_do_not_agree_are_refused() {
    let mut store = store();
    for agreed in [
        "[[:db/inc 65551 :person/age 2] [:db/cas 65551 :person/age 28 30] [:db/add 65551 :person/age 30]]",
        "[[:db/max 65551 :person/age 35] [:db/retract 65551 :person/age 30]]",
    ] {
        must(&mut store, agreed);
    }
    assert_eq!(last(&store).changes.len(), 3);
    insta::assert_snapshot!(refused(&mut store, "[[:db/inc 65551 :person/age 2] [:db/add 65551 :person/age 30]]"), @r"
    Refused: tx:1:2: :person/age holds one value, but 65551 is given two: 30 and 37
      [[:db/inc 65551 :person/age 2] [:db/add 6...
       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    ");
    insta::assert_snapshot!(refused(&mut store, "[[:db/inc 65551 :person/age 2] [:db/max 65551 :person/age 30]]"), @r"
    Refused: tx:1:2: :person/age of 65551 would be both 35 and 37
      [[:db/inc 65551 :person/age 2] [:db/max 6...
       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    ");
    insta::assert_snapshot!(refused(&mut store, "[[:db/cas 65551 :person/age 35 nil] [:db/inc 65551 :person/age 1]]"), @r"
    Refused: tx:1:37: :person/age of 65551 would be both nil and 36
      [[:db/cas 65551 :person/age 35 nil] [:db/inc 65551 :person/age 1]]
                                          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    ");
    insta::assert_snapshot!(refused(&mut store, "[[:db/cas 65551 :person/age 35 nil] [:db/add 65551 :person/age 1]]"), @r"
    Refused: tx:1:2: :person/age of 65551 would be both nil and 1
      [[:db/cas 65551 :person/age 35 nil] [:db/...
       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    ");
    insta::assert_snapshot!(refused(&mut store, "[[:db/max 65551 :person/age 1] [:db/retract 65551 :person/age 35]]"), @r"
    Refused: tx:1:2: [65551 :person/age 35] is both asserted and retracted in one transaction
      [[:db/max 65551 :person/age 1] [:db/retra...
       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    ");
}

#[test]
fn what_does_not_fit_is_refused() {
    let mut store = store();
    must(&mut store, "[[:db/inc 65552 :m/long 9223372036854775807]]");
    insta::assert_snapshot!(refused(&mut store, "[[:db/inc 65552 :m/long 1]]"), @r"
    Refused: tx:1:2: :m/long of 65552 would be beyond what its type can hold
      [[:db/inc 65552 :m/long 1]]
       ^^^^^^^^^^^^^^^^^^^^^^^^^
    ");
    must(&mut store, "[[:db/inc 65552 :m/double 1e308]]");
    insta::assert_snapshot!(refused(&mut store, "[[:db/inc 65552 :m/double 1e308]]"), @r"
    Refused: tx:1:2: :m/double of 65552 would be beyond what its type can hold
      [[:db/inc 65552 :m/double 1e308]]
       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    ");
    insta::assert_snapshot!(refused(&mut store, "[[:db/inc 65552 :m/long 1.5]]"), @r"
    Refused: tx:1:25: :m/long takes values of type :db.type/long, not a float
      [[:db/inc 65552 :m/long 1.5]]
                              ^^^
    ");
    insta::assert_snapshot!(refused(&mut store, "[[:db/inc 65552 :person/name 1]]"), @r"
    Refused: tx:1:17: :db/inc is for longs and doubles; :person/name takes values of type :db.type/string
      [[:db/inc 65552 :person/name 1]]
                      ^^^^^^^^^^^^
    ");
    insta::assert_snapshot!(refused(&mut store, r#"[[:db/inc 65552 :m/instant #inst "2026-01-01T00:00:00Z"]]"#), @r#"
    Refused: tx:1:17: :db/inc is for longs and doubles; :m/instant takes values of type :db.type/instant
      [[:db/inc 65552 :m/instant #inst "2026-01-01T00:00:00Z"]...
                      ^^^^^^^^^^
    "#);
    insta::assert_snapshot!(refused(&mut store, r#"[[:db/max 65552 :person/name "x"]]"#), @r#"
    Refused: tx:1:17: :db/max is for longs, doubles and instants; :person/name takes values of type :db.type/string
      [[:db/max 65552 :person/name "x"]]
                      ^^^^^^^^^^^^
    "#);
    insta::assert_snapshot!(refused(&mut store, r#"[[:db/cas 65552 :person/alias nil "x"]]"#), @r#"
    Refused: tx:1:17: operations are for attributes of cardinality one, and :person/alias can have several values
      [[:db/cas 65552 :person/alias nil "x"]]
                      ^^^^^^^^^^^^^
    "#);
    insta::assert_snapshot!(refused(&mut store, "[[:db/cas 65552 :person/_spouse nil 65551]]"), @r"
    Input: tx:1:17: :db/cas takes an attribute that reads forwards
      [[:db/cas 65552 :person/_spouse nil 65551]]
                      ^^^^^^^^^^^^^^^
    ");
    insta::assert_snapshot!(refused(&mut store, "[[:db/cas :person/name :db/ident :person/name :person/nom]]"), @r"
    Refused: tx:1:2: :db/ident is part of the schema or of the log: it is stated, not left to an operation
      [[:db/cas :person/name :db/ident :person/...
       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    ");
    insta::assert_snapshot!(refused(&mut store, r#"[[:db/max (transaction-tx) :db/txInstant #inst "2027-01-01T00:00:00Z"]]"#), @r"
    Refused: tx:1:2: :db/txInstant is part of the schema or of the log: it is stated, not left to an operation
      [[:db/max (transaction-tx) :db/txInstant ...
       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    ");
    insta::assert_snapshot!(refused(&mut store, "[[:db/cas 65552 :person/age 1]]"), @r"
    Input: tx:1:2: :db/cas takes an entity, an attribute, the value it has and the one it gets; nil is no value: [:db/cas e a old new]
      [[:db/cas 65552 :person/age 1]]
       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    ");
    insta::assert_snapshot!(refused(&mut store, "[[:db/inc 65552 :person/age]]"), @r"
    Input: tx:1:2: :db/inc takes an entity, an attribute and a value: [:db/inc e a v]
      [[:db/inc 65552 :person/age]]
       ^^^^^^^^^^^^^^^^^^^^^^^^^^^
    ");
    insta::assert_snapshot!(refused(&mut store, "[[:db/inc 65552 :person/age nil]]"), @r"
    Refused: tx:1:29: :person/age takes values of type :db.type/long, not nil: leave out what has no value
      [[:db/inc 65552 :person/age nil]]
                                  ^^^
    ");
    insta::assert_snapshot!(refused(&mut store, "[[:db/inc 70000 :person/age 1]]"), @r"
    Input: tx:1:11: entity 70000 does not exist
      [[:db/inc 70000 :person/age 1]]
                ^^^^^
    ");
    insta::assert_snapshot!(refused(&mut store, "[[:db/sum 65552 :person/age 1]]"), @r"
    Input: tx:1:3: :db/sum is not an operation; there are :db/add, :db/retract, :db/retractEntity, :db/cas, :db/inc, :db/max, :db/min, and functions that the program registers
      [[:db/sum 65552 :person/age 1]]
        ^^^^^^^
    ");
    insta::assert_snapshot!(refused(&mut store, "[[:my/unknown 65552 :person/age 1]]"), @r"
    Input: tx:1:3: :my/unknown is not an operation: this program has registered no function of that name
      [[:my/unknown 65552 :person/age 1]]
        ^^^^^^^^^^^
    ");
}

/// Moves years from one person to another who is at least as old: reads the facts, and asks for several things.
fn give() -> Function {
    Function::new("age/give", [Parameter::Entity, Parameter::Entity, Parameter::Value], |facts, args| {
        let [Value::Ref(from), Value::Ref(to), Value::Long(years)] = args else {
            return Err(FunctionError::refused("years are a whole number"));
        };
        let age = facts.entid("person/age")?;
        match facts.value(*from, age)? {
            Some(Value::Long(has)) if has >= *years => {}
            _ => return Err(FunctionError::refused(format!("{from} is not {years} years old"))),
        }
        Ok(vec![Statement::inc(*from, age, Value::Long(-years)), Statement::inc(*to, age, Value::Long(*years))])
    })
    .unwrap()
}

fn with_functions() -> Store {
    let mut store = store();
    store.register(give()).unwrap();
    let set = |facts: &tolstoy_store::Facts<'_>, args: &[Value]| {
        let [Value::Ref(e), Value::Ref(a), v] = args else { return Err(FunctionError::refused("three")) };
        let inputs = [Edn::Integer(e.get()), Edn::Integer(a.get())];
        let known = facts.query("[:find ?e . :in $ ?e ?a :where [?e ?a _]]", &inputs)?;
        Ok(if matches!(known.to_edn(), Edn::Nil) { vec![Statement::add(*e, *a, v.clone())] } else { Vec::new() })
    };
    let parameters = [Parameter::Entity, Parameter::Attribute, Parameter::Value];
    store.register(Function::new("my/default", parameters, set).unwrap()).unwrap();
    let wild = |_: &tolstoy_store::Facts<'_>, args: &[Value]| match args {
        [Value::Long(n)] => Ok(vec![Statement::add(Entid::new(*n), Entid::new(37), Value::String("x".into()))]),
        [Value::Keyword(k)] => Ok(vec![Statement::add(Entid::new(65551), Entid::new(1), Value::Keyword(k.clone()))]),
        [Value::Boolean(_)] => Ok(vec![Statement::add(Entid::new(65551), Entid::new(37), Value::Long(1))]),
        [Value::String(text)] => {
            Ok(vec![Statement::add(Entid::new(65551), Entid::new(37), Value::String(text.clone()))])
        }
        _ => Err(FunctionError::refused("this it never does")),
    };
    store.register(Function::new("my/wild", [Parameter::Value], wild).unwrap()).unwrap();
    store
}

#[test]
fn a_function_makes_of_the_facts_what_it_says() {
    let mut store = with_functions();
    insta::assert_snapshot!(effects(&mut store, r#"[[:age/give [:person/email "anna"] [:person/email "boris"] 8]]"#), @r"
    - 65551 :person/age 28
    + 65551 :person/age 20
    + 65552 :person/age 8
    ");
    insta::assert_snapshot!(kept(&store), @"[:age/give 65551 65552 8]");
    // Its increments add up with others, and all see the facts as before the transaction.
    insta::assert_snapshot!(
        effects(&mut store, "[[:age/give 65551 65552 15] [:age/give 65551 65552 15] [:db/inc 65552 :person/age 1]]"), @r"
    - 65551 :person/age 20
    + 65551 :person/age -10
    - 65552 :person/age 8
    + 65552 :person/age 39
    ");
    insta::assert_snapshot!(effects(&mut store, "[[:my/default 65551 :m/long 5] [:my/default 65551 :person/name \"x\"]]"), @"+ 65551 :m/long 5");
    insta::assert_snapshot!(effects(&mut store, "[[:my/default \"new\" :m/long 5]]"), @"+ 65553 :m/long 5");
    insta::assert_snapshot!(kept(&store), @"[:my/default 65553 :m/long 5]");
    insta::assert_snapshot!(effects(&mut store, "[[:my/wild \"text\"] [:db/add 65551 :m/long 6]]"), @r#"
    + 65551 :db/doc "text"
    - 65551 :m/long 5
    + 65551 :m/long 6
    "#);
    insta::assert_snapshot!(kept(&store), @r#"
    - 65551 :m/long 5
    + 65551 :m/long 6
    [:my/wild "text"]
    "#);
}

#[test]
fn a_function_that_cannot_be_called_so_is_refused() {
    let mut store = with_functions();
    insta::assert_snapshot!(refused(&mut store, "[[:age/give 65551 65552 80]]"), @r"
    Refused: tx:1:2: :age/give refused: 65551 is not 80 years old
      [[:age/give 65551 65552 80]]
       ^^^^^^^^^^^^^^^^^^^^^^^^^^
    ");
    insta::assert_snapshot!(refused(&mut store, "[[:age/give 65551 65552]]"), @r"
    Input: tx:1:2: :age/give is called as [:age/give entity entity value]
      [[:age/give 65551 65552]]
       ^^^^^^^^^^^^^^^^^^^^^^^
    ");
    insta::assert_snapshot!(refused(&mut store, "[[:age/give 65551 70000 1]]"), @r"
    Input: tx:1:19: entity 70000 does not exist
      [[:age/give 65551 70000 1]]
                        ^^^^^
    ");
    insta::assert_snapshot!(refused(&mut store, "[[:age/give 65551 65552 [1]]]"), @r"
    Input: tx:1:25: :age/give takes a literal here: not a vector
      [[:age/give 65551 65552 [1]]]
                              ^^^
    ");
    insta::assert_snapshot!(refused(&mut store, "[[:age/give 65551 65552 ##NaN]]"), @r"
    Input: tx:1:25: :age/give takes a literal here: ##NaN cannot be a fact
      [[:age/give 65551 65552 ##NaN]]
                              ^^^^^
    ");
    insta::assert_snapshot!(refused(&mut store, "[[:age/gave 65551 65552 1]]"), @r"
    Input: tx:1:3: :age/gave is not an operation (did you mean :age/give?)
      [[:age/gave 65551 65552 1]]
        ^^^^^^^^^
    ");
    insta::assert_snapshot!(refused(&mut store, "[[:my/default 65551 :m/none 1]]"), @r"
    Input: tx:1:21: :m/none is not an attribute (did you mean :m/long?)
      [[:my/default 65551 :m/none 1]]
                          ^^^^^^^
    ");
    insta::assert_snapshot!(refused(&mut store, "[[:my/default 65551 :m/long \"text\"]]"), @r#"
    Refused: tx:1:2: :m/long takes values of type :db.type/long, not "text" (:db.type/string)
      [[:my/default 65551 :m/long "text"]]
       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    "#);
    insta::assert_snapshot!(refused(&mut store, "[[:my/wild 70000]]"), @r"
    Refused: tx:1:2: entity 70000 does not exist
      [[:my/wild 70000]]
       ^^^^^^^^^^^^^^^^
    ");
    insta::assert_snapshot!(refused(&mut store, "[[:my/wild :my/ident]]"), @r"
    Refused: tx:1:2: :db/ident is part of the schema or of the log: it is stated, not left to an operation
      [[:my/wild :my/ident]]
       ^^^^^^^^^^^^^^^^^^^^
    ");
    insta::assert_snapshot!(refused(&mut store, "[[:my/wild true]]"), @r"
    Refused: tx:1:2: :db/doc takes values of type :db.type/string, not 1 (:db.type/long)
      [[:my/wild true]]
       ^^^^^^^^^^^^^^^
    ");
    insta::assert_snapshot!(refused(&mut store, "[[:my/wild 1.5]]"), @r"
    Refused: tx:1:2: :my/wild refused: this it never does
      [[:my/wild 1.5]]
       ^^^^^^^^^^^^^^
    ");
}

/// A function may state nothing about an entity that it was given; then there is no such entity.
#[test]
fn a_new_entity_that_a_function_leaves_alone_is_refused() {
    let mut store = store();
    let nothing = Function::new("my/nothing", [Parameter::Entity], |_, _| Ok(Vec::new())).unwrap();
    store.register(nothing).unwrap();
    insta::assert_snapshot!(refused(&mut store, r#"[{:person/name "x"} [:my/nothing "idle"]]"#), @r#"
    Input: tx:1:34: nothing is stated about the tempid "idle"
      [{:person/name "x"} [:my/nothing "idle"]]
                                       ^^^^^^
    "#);
    assert_eq!(must(&mut store, r#"[{:person/name "x"} [:my/nothing 65551]]"#).datoms.len(), 2);
}

/// What a query says wrongly is the function's mistake, and refuses its transaction only.
#[test]
fn a_function_that_asks_wrongly_is_refused() {
    let mut store = store();
    let asks = Function::new("my/asks", [], |facts, _| {
        facts.query("[:find ?x :where [?x :no/attribute]]", &[])?;
        Ok(Vec::new())
    });
    store.register(asks.unwrap()).unwrap();
    insta::assert_snapshot!(refused(&mut store, "[[:my/asks]]"), @r"
    Refused: tx:1:2: :my/asks refused: :no/attribute is not an attribute
      [[:my/asks]]
       ^^^^^^^^^^
    ");
}

#[test]
fn operations_come_back_from_the_log_of_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.db");
    let report: TxReport = {
        let mut store = Store::open_or_create(&path, Env::repeatable(1)).unwrap();
        must(&mut store, MEASURES);
        must(&mut store, "[[:db/inc \"a\" :m/long 1] [:db/cas \"a\" :m/double nil 2.5] [:db/min \"a\" :m/double 2.5]]")
    };
    let store = Store::open(&path, Env::repeatable(2)).unwrap();
    let transaction = store.transactions(Timeline::MAIN, report.tx.plus(-1), 1).unwrap().remove(0);
    assert_eq!(transaction.said.as_deref(), Some([].as_slice()));
    let shown: Vec<String> = transaction.operations.iter().map(|o| o.to_edn(store.schema()).to_string()).collect();
    let a = report.tempids["a"];
    assert_eq!(
        shown,
        [
            format!("[:db/inc {a} :m/long 1]"),
            format!("[:db/cas {a} :m/double nil 2.5]"),
            format!("[:db/min {a} :m/double 2.5]"),
        ]
    );
}

#[test]
fn an_operation_is_shown_as_the_form_it_was() {
    let store = store();
    let unknown = Operation::Unknown {
        kind: "push".to_owned(),
        fields: vec![
            Field::Entity(entid(&store, "person/age")),
            Field::Value(None),
            Field::Values(vec![Value::Long(1)]),
        ],
    };
    assert_eq!(unknown.to_string(), r#"["push" 65537 nil [1]]"#);
}
