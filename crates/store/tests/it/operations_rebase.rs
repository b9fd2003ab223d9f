//! What becomes of operations when their change is applied again on another base.

use tolstoy_store::{
    Change, Entid, Facts, Function, FunctionError, Operation, Parameter, Reason, Statement, Store, Update, Value,
};

use crate::common::{entid, must};
use crate::rebase::{Log, device, main_of, value, with_schema};

/// Two devices that share a schema and Anna, whose age is 20.
fn with_anna() -> (Log, Store, Store) {
    let (mut log, mut one, mut two) = with_schema();
    must(&mut one, r#"[{:name "Anna" :age 20}]"#);
    log.settle(&mut one, &mut two);
    (log, one, two)
}

fn became(store: &Store, report: &tolstoy_store::TxReport) -> tolstoy_store::Transaction {
    let tx = store.by_origin(report.origin.id).unwrap().unwrap();
    store.transaction(tx).unwrap().unwrap()
}

const INC: &str = r#"[[:db/inc [:name "Anna"] :age 1]]"#;

#[test]
fn two_increments_are_two() {
    let (mut log, mut one, mut two) = with_anna();
    must(&mut one, INC);
    let report = must(&mut two, INC);
    log.sync(&mut one);
    let rebased = log.sync(&mut two);
    assert_eq!((rebased.reapplied, rebased.overwritten.len(), rebased.displaced.len()), (1, 0, 0));
    log.settle(&mut one, &mut two);
    assert_eq!(value(&one, "Anna", ":age"), [22.into()]);
    // Its datoms are those of the new base; it says nothing beside its operation.
    let transaction = became(&one, &report);
    let (e, a) = (transaction.changes[0].e, entid(&one, "age"));
    let facts: Vec<_> = transaction.facts().cloned().collect();
    assert_eq!(facts, [Change::retract(e, a, Value::Long(21)), Change::add(e, a, Value::Long(22))]);
    assert_eq!(transaction.said, Some(Vec::new()));
    assert_eq!(transaction.operations, [Operation::Update { e, a, update: Update::Inc(Value::Long(1)) }]);
    assert_eq!(transaction.overwritten, []);
}

/// A third device supplies one of the increments again to a log that lost it: it is still the same one.
#[test]
fn an_increment_that_is_supplied_again_is_one() {
    let (mut log, mut one, mut two) = with_anna();
    let mut three = device(3);
    log.sync(&mut three);
    let backup = log.0.clone();
    must(&mut one, INC);
    log.sync(&mut one);
    log.sync(&mut three);
    log.0 = backup;
    must(&mut two, INC);
    log.sync(&mut two);
    // Three and one both have one's increment.
    log.sync(&mut three);
    assert_eq!(log.sync(&mut one).known, 1);
    log.settle(&mut one, &mut two);
    log.sync(&mut three);
    for store in [&one, &two, &three] {
        assert_eq!(value(store, "Anna", ":age"), [22.into()]);
    }
}

#[test]
fn a_cas_that_fails_on_the_new_base_is_displaced_with_what_depends_on_it() {
    let (mut log, mut one, mut two) = with_anna();
    must(&mut one, r#"[[:db/cas [:name "Anna"] :age 20 21]]"#);
    let cas = must(&mut two, r#"[[:db/cas [:name "Anna"] :age 20 30] {:db/id "n" :ssn 7 :friend [:name "Anna"]}]"#);
    let new = cas.tempids["n"];
    let edit = must(&mut two, &format!("[[:db/inc {new} :age 3]]"));
    let free = must(&mut two, INC);
    log.sync(&mut one);
    let rebased = log.sync(&mut two);
    let displaced: Vec<_> = rebased.displaced.iter().map(|d| (d.origin, d.reason)).collect();
    assert_eq!(displaced, [(cas.origin.id, Reason::Operation), (edit.origin.id, Reason::Depends)]);
    insta::assert_snapshot!(rebased.displaced[0].detail, @":age of 65540 is 21, not 20 as :db/cas expects");
    log.settle(&mut one, &mut two);
    assert_eq!(value(&one, "Anna", ":age"), [22.into()]);
    assert!(became(&one, &free).displaced.is_none());
    // The carriers hold the operations, apart from the datoms, and name the entity that is not there.
    let (anna, age) = (new.plus(-1), entid(&one, "age"));
    let carrier = became(&one, &cas);
    assert_eq!((carrier.operations, carrier.said), (Vec::new(), None));
    let carried = carrier.displaced.unwrap();
    assert_eq!(
        carried.operations,
        [Operation::Update {
            e: anna,
            a: age,
            update: Update::Cas { old: Some(Value::Long(20)), new: Some(Value::Long(30)) }
        }]
    );
    assert_eq!(carried.changes.iter().map(|c| (c.e, c.added)).collect::<Vec<_>>(), [(Entid::new(-1), true); 2]);
    let carried = became(&one, &edit).displaced.unwrap();
    assert_eq!(
        carried.operations,
        [Operation::Update { e: Entid::new(-1), a: age, update: Update::Inc(Value::Long(3)) }]
    );
    assert_eq!((carried.unbound[0].origin, carried.unbound[0].authored), (cas.origin.id, new));
}

/// A carrier's operations follow it to the next base, their entities too.
#[test]
fn a_carrier_of_operations_moves_on() {
    let (mut log, mut one, mut two) = with_anna();
    must(&mut one, r#"[[:db/cas [:name "Anna"] :age 20 21]]"#);
    let vera = must(&mut two, r#"[{:db/id "v" :name "Vera"}]"#).tempids["v"];
    let cas = must(&mut two, &format!(r#"[[:db/cas [:name "Anna"] :age 20 30] [:db/inc {vera} :age 1]]"#));
    log.sync(&mut one);
    let before = log.0.clone();
    log.sync(&mut two);
    log.0 = before;
    let carrier = became(&two, &cas).displaced.unwrap();
    must(&mut one, r#"[{:name "Oleg"}]"#);
    log.sync(&mut one);
    assert_eq!(log.sync(&mut two).carried, 1);
    log.settle(&mut one, &mut two);
    let moved = became(&one, &cas).displaced.unwrap();
    assert_ne!(moved.operations[1], carrier.operations[1]);
    let is = value(&one, "Vera", ":friend");
    assert_eq!(is, []);
    let Operation::Update { e, .. } = &moved.operations[1] else { panic!() };
    let name = Value::String("Vera".into());
    assert!(one.datoms().unwrap().iter().any(|d| d.e == *e && d.v == name), "it is Vera's number there");
}

#[test]
fn an_overflow_on_the_new_base_is_displaced() {
    let (mut log, mut one, mut two) = with_anna();
    must(&mut one, &format!(r#"[[:db/inc [:name "Anna"] :age {}]]"#, i64::MAX - 25));
    must(&mut two, r#"[[:db/inc [:name "Anna"] :age 10]]"#);
    log.sync(&mut one);
    let rebased = log.sync(&mut two);
    assert_eq!(rebased.displaced[0].reason, Reason::Operation);
    insta::assert_snapshot!(rebased.displaced[0].detail, @":age of 65540 would be beyond what its type can hold");
}

#[test]
fn an_operation_on_what_the_other_side_deleted_is_displaced() {
    let (mut log, mut one, mut two) = with_anna();
    let boris = must(&mut one, r#"[{:db/id "b" :name "Boris" :age 3}]"#).tempids["b"];
    log.settle(&mut one, &mut two);
    must(&mut one, r#"[[:db/retractEntity [:name "Anna"]]]"#);
    must(&mut two, INC);
    must(&mut two, r#"[[:db/max [:name "Anna"] :age 90] [:db/add [:name "Anna"] :name "Anna"]]"#);
    // By the entity's number, with its identity stated anew.
    must(&mut two, &format!(r#"[[:db/inc {} :age 7] {{:db/id {} :name "Anne"}}]"#, boris.plus(-1), boris.plus(-1)));
    must(&mut two, &format!("[[:db/inc {boris} :age 1]]"));
    log.sync(&mut one);
    let rebased = log.sync(&mut two);
    assert_eq!(rebased.displaced.iter().map(|d| d.reason).collect::<Vec<_>>(), [Reason::Deleted, Reason::Deleted]);
    insta::assert_snapshot!(rebased.displaced[0].detail, @"it operates on entity 65540, which the other side deleted");
    log.settle(&mut one, &mut two);
    assert_eq!(value(&one, "Anne", ":age"), [7.into()]);
    assert_eq!(value(&one, "Boris", ":age"), [4.into()]);
}

/// An entity in an operation is who it is on main: by an identity that is learnt late, and in every position.
#[test]
fn entities_in_operations_are_rewritten() {
    let (mut log, mut one, mut two) = with_schema();
    let boss = "{:db/ident :boss :db/valueType :db.type/ref :db/cardinality :db.cardinality/one}";
    let score = "{:db/ident :score :db/valueType :db.type/long :db/cardinality :db.cardinality/one}";
    must(&mut one, &format!(r#"[{{:name "somebody"}} {boss} {score} {{:name "Anna" :score 5}}]"#));
    // Attributes with other numbers, and an entity whose name comes last.
    must(&mut two, &format!("[{score} {boss}]"));
    let report = must(&mut two, r#"[[:db/inc "a" :score 2] [:db/add "b" :ssn 1] [:db/cas "b" :boss nil "a"]]"#);
    let [a, b] = ["a", "b"].map(|name| report.tempids[name]);
    must(&mut two, &format!("[[:db/cas {b} :boss {a} {b}]]"));
    must(&mut two, &format!(r#"[[:db/add {a} :name "Anna"]]"#));
    log.sync(&mut one);
    let rebased = log.sync(&mut two);
    assert_eq!(rebased.displaced, []);
    log.settle(&mut one, &mut two);
    assert_eq!(value(&one, "Anna", ":score"), [7.into()]);
    let transaction = became(&one, &report);
    let anna = one.datoms().unwrap().iter().find(|d| d.v == Value::String("Anna".into())).unwrap().e;
    assert_eq!(
        transaction.operations[0],
        Operation::Update { e: anna, a: entid(&one, "score"), update: Update::Inc(Value::Long(2)) }
    );
    let Operation::Update { e, a, update: Update::Cas { old: None, new: Some(Value::Ref(to)) } } =
        &transaction.operations[1]
    else {
        panic!("{:?}", transaction.operations)
    };
    assert_eq!((*a, *to), (entid(&one, "boss"), anna));
    let facts = one.datoms().unwrap();
    assert!(facts.iter().any(|d| (d.e, d.a, &d.v) == (*e, *a, &Value::Ref(*e))), "b is its own boss in the end");
}

/// Adds a person's age to another's, and makes a friend who did not exist.
fn functions(store: &mut Store) {
    let add = |facts: &Facts<'_>, args: &[Value]| {
        let [Value::Ref(from), Value::Ref(to)] = args else { return Err(FunctionError::refused("two people")) };
        let age = facts.entid("age")?;
        let Some(years) = facts.value(*from, age)? else { return Err(FunctionError::refused("who has no age")) };
        Ok(vec![Statement::inc(*to, age, years)])
    };
    store.register(Function::new("my/add-age", [Parameter::Entity, Parameter::Entity], add).unwrap()).unwrap();
    let name = |facts: &Facts<'_>, args: &[Value]| {
        let [Value::Ref(e), text @ Value::String(_)] = args else { return Err(FunctionError::refused("a name")) };
        let name = facts.entid("name")?;
        Ok(match facts.lookup(name, text)? {
            Some(known) if known != *e => Vec::new(),
            _ => vec![Statement::add(*e, name, text.clone())],
        })
    };
    store.register(Function::new("my/name", [Parameter::Entity, Parameter::Value], name).unwrap()).unwrap();
}

#[test]
fn a_function_runs_again_on_the_new_base() {
    let (mut log, mut one, mut two) = with_anna();
    functions(&mut two);
    must(&mut one, INC);
    let report = must(&mut two, r#"[{:db/id "b" :name "Boris"} [:my/add-age [:name "Anna"] "b"]]"#);
    assert_eq!(value(&two, "Boris", ":age"), [20.into()]);
    log.sync(&mut one);
    assert_eq!(log.sync(&mut two).displaced, []);
    log.settle(&mut one, &mut two);
    // One does not know the function, and has what it came to.
    assert_eq!(value(&one, "Boris", ":age"), [21.into()]);
    let transaction = became(&one, &report);
    assert_eq!(transaction.said.map(|said| said.len()), Some(1));
}

#[test]
fn a_function_that_is_not_known_displaces_its_change_only_where_it_has_to_run() {
    let (mut log, mut one, mut two) = with_anna();
    functions(&mut two);
    let report = must(&mut two, r#"[{:db/id "b" :name "Boris"} [:my/add-age [:name "Anna"] "b"]]"#);
    log.sync(&mut two);
    // One takes it in, and builds on it.
    log.sync(&mut one);
    must(&mut one, r#"[[:db/inc [:name "Boris"] :age 1]]"#);
    log.settle(&mut one, &mut two);
    assert_eq!(value(&one, "Boris", ":age"), [21.into()]);
    assert!(became(&one, &report).displaced.is_none());

    // The log loses it, and one is the first to supply it again, on another base: there it would have to run.
    let lost = log.0.iter().position(|t| t.origin == report.origin).unwrap();
    log.0.truncate(lost);
    let mut three = device(3);
    log.sync(&mut three);
    must(&mut three, r#"[{:name "Yuri"}]"#);
    log.sync(&mut three);
    let rebased = log.sync(&mut one);
    let reasons: Vec<_> = rebased.displaced.iter().map(|d| (d.origin == report.origin.id, d.reason)).collect();
    assert_eq!(reasons, [(true, Reason::Operation), (false, Reason::Depends)]);
    insta::assert_snapshot!(rebased.displaced[0].detail, @"this program knows no operation :my/add-age");
    let carried = became(&one, &report).displaced.unwrap();
    let Operation::Call { name, args } = &carried.operations[0] else { panic!() };
    assert_eq!((name.to_string().as_str(), args.last()), (":my/add-age", Some(&Value::Ref(Entid::new(-1)))));
    log.settle(&mut one, &mut two);
}

#[test]
fn a_function_that_refuses_on_the_new_base_displaces_its_change() {
    let (mut log, mut one, mut two) = with_anna();
    functions(&mut two);
    must(&mut one, r#"[[:db/retract [:name "Anna"] :age 20]]"#);
    must(&mut two, r#"[{:db/id "b" :name "Boris"} [:my/add-age [:name "Anna"] "b"]]"#);
    log.sync(&mut one);
    let rebased = log.sync(&mut two);
    assert_eq!(rebased.displaced[0].reason, Reason::Operation);
    insta::assert_snapshot!(rebased.displaced[0].detail, @":my/add-age refused: who has no age");
    log.settle(&mut one, &mut two);
}

/// An identity that a function gave shows who is who, as a stated one does.
#[test]
fn an_identity_that_a_function_gives_is_looked_ahead_for() {
    let (mut log, mut one, mut two) = with_schema();
    functions(&mut two);
    must(&mut one, r#"[{:name "Anna" :age 5}]"#);
    let anna = must(&mut two, r#"[[:my/name "a" "Anna"]]"#).tempids["a"];
    must(&mut two, &format!("[[:db/inc {anna} :age 1]]"));
    log.sync(&mut one);
    let rebased = log.sync(&mut two);
    assert_eq!((rebased.displaced.len(), rebased.empty, rebased.reapplied), (0, 1, 1));
    log.settle(&mut one, &mut two);
    assert_eq!(value(&one, "Anna", ":age"), [6.into()]);
}

/// The numbers of entities have no holes: one about which nothing would be stated is not made.
#[test]
fn a_function_that_leaves_a_new_entity_alone_displaces_its_change() {
    let (mut log, mut one, mut two) = with_anna();
    let maybe = |facts: &Facts<'_>, args: &[Value]| {
        let [Value::Ref(e)] = args else { return Err(FunctionError::refused("an entity")) };
        let oleg = facts.lookup(facts.entid("name")?, &Value::String("Oleg".into()))?;
        let ssn = facts.entid("ssn")?;
        Ok(if oleg.is_none() { vec![Statement::add(*e, ssn, Value::Long(1))] } else { Vec::new() })
    };
    two.register(Function::new("my/unless-oleg", [Parameter::Entity], maybe).unwrap()).unwrap();
    must(&mut one, r#"[{:name "Oleg"}]"#);
    must(&mut two, r#"[[:my/unless-oleg "x"]]"#);
    must(&mut two, r#"[{:name "Vera"}]"#);
    log.sync(&mut one);
    let rebased = log.sync(&mut two);
    assert_eq!(rebased.displaced.iter().map(|d| d.reason).collect::<Vec<_>>(), [Reason::Operation]);
    insta::assert_snapshot!(rebased.displaced[0].detail, @"nothing is stated about the new entity 65542");
    log.settle(&mut one, &mut two);
    must(&mut one, r#"[{:name "Yuri"}]"#);
    log.settle(&mut one, &mut two);
}

/// A value that an operation updated and that a later local change replaces: what came in is overwritten, and told as it
/// came in.
#[test]
fn what_came_in_below_an_operation_is_not_overwritten_in_silence() {
    let (mut log, mut one, mut two) = with_anna();
    must(&mut one, r#"[[:db/add [:name "Anna"] :age 50]]"#);
    must(&mut two, INC);
    must(&mut two, r#"[[:db/add [:name "Anna"] :age 30]]"#);
    must(&mut two, INC);
    log.sync(&mut one);
    let overwritten = log.sync(&mut two).overwritten;
    let told: Vec<_> = overwritten.into_iter().map(|o| (o.base, o.incoming, o.local)).collect();
    assert_eq!(told, [(Some(Value::Long(20)), Some(Value::Long(50)), Value::Long(30))]);
    log.settle(&mut one, &mut two);
    assert_eq!(value(&one, "Anna", ":age"), [31.into()]);
}

/// Nothing came in for the value, but the operation came to another one: nobody's value is overwritten.
#[test]
fn what_only_local_operations_changed_is_no_overwrite() {
    let (mut log, mut one, mut two) = with_anna();
    functions(&mut two);
    let boris = must(&mut two, r#"[{:db/id "b" :name "Boris" :age 1}]"#).tempids["b"];
    log.settle(&mut two, &mut one);
    must(&mut one, INC);
    must(&mut two, &format!(r#"[[:my/add-age [:name "Anna"] {boris}]]"#));
    must(&mut two, &format!("[[:db/add {boris} :age 7]]"));
    log.sync(&mut one);
    assert_eq!(log.sync(&mut two).overwritten, []);
    log.settle(&mut one, &mut two);
    assert_eq!(value(&one, "Boris", ":age"), [7.into()]);
}

/// A kind of operation that a newer program wrote: it is taken in, and displaced where it would have to run.
#[test]
fn an_unknown_kind_is_kept_and_displaced() {
    let (mut log, mut one, mut two) = with_anna();
    must(&mut one, INC);
    log.sync(&mut one);
    let newest = log.0.last_mut().unwrap();
    let Operation::Update { e, a, .. } = newest.operations[0] else { panic!() };
    let unknown = Operation::Unknown {
        kind: "push".to_owned(),
        fields: vec![tolstoy_store::Field::Entity(e), tolstoy_store::Field::Entity(a)],
    };
    newest.operations = vec![unknown.clone()];
    log.sync(&mut two);
    assert_eq!(value(&two, "Anna", ":age"), [21.into()]);
    assert_eq!(main_of(&two).last().unwrap().operations, std::slice::from_ref(&unknown));
    log.0.pop();
    let mut three = device(3);
    log.sync(&mut three);
    must(&mut three, r#"[{:name "Yuri"}]"#);
    log.sync(&mut three);
    let rebased = log.sync(&mut two);
    assert_eq!(rebased.displaced.iter().map(|d| d.reason).collect::<Vec<_>>(), [Reason::Operation]);
    insta::assert_snapshot!(rebased.displaced[0].detail, @"this program knows no operation push");
    assert_eq!(main_of(&two).last().unwrap().displaced.as_ref().unwrap().operations, [unknown]);
}

#[test]
fn a_log_whose_operations_do_not_fit_is_refused() {
    let (mut log, mut one, mut two) = with_anna();
    must(&mut one, INC);
    log.sync(&mut one);
    let good = log.0.clone();
    let last = good.len() - 1;
    let spoils: [fn(&mut tolstoy_store::Transaction); 2] = [
        |t| {
            t.operations =
                vec![Operation::Update { e: t.tx.plus(1), a: Entid::new(1), update: Update::Inc(Value::Long(1)) }]
        },
        |t| {
            t.changes.retain(|c| c.e == t.tx);
            t.said = None;
            t.displaced = Some(tolstoy_store::Displaced {
                reason: Reason::Operation,
                detail: String::new(),
                unbound: Vec::new(),
                changes: Vec::new(),
                operations: Vec::new(),
            });
        },
    ];
    for spoil in spoils {
        log.0 = good.clone();
        spoil(&mut log.0[last]);
        assert_eq!(log.try_sync(&mut two).unwrap_err().kind(), tolstoy_store::ErrorKind::Damaged);
    }
    log.0 = good;
    log.settle(&mut one, &mut two);
}
