//! Operations through a real hub: what was meant is done, once, whatever happens to the log.

use tolstoy_store::{Function, FunctionError, Parameter, Reason, Statement, TxReport, Value};

use crate::lab::Lab;

const SCHEMA: &str = "[
  {:db/ident :u/name :db/valueType :db.type/string :db/cardinality :db.cardinality/one :db/unique :db.unique/identity}
  {:db/ident :u/count :db/valueType :db.type/long :db/cardinality :db.cardinality/one}
  {:db/ident :u/note :db/valueType :db.type/string :db/cardinality :db.cardinality/many}]";
const INC: &str = "[[:db/inc [:u/name \"counter\"] :u/count 1]]";

/// Devices that all have a counter at 10.
fn lab(devices: u64) -> Lab {
    let mut lab = Lab::new(devices);
    lab.transact(1, SCHEMA);
    lab.transact(1, "[{:u/name \"counter\" :u/count 10}]");
    for n in 1..=devices as usize {
        lab.sync(n);
    }
    lab
}

fn count(lab: &Lab, device: usize) -> i64 {
    let a = lab.entid(device, ":u/count");
    match lab.store(device).datoms().unwrap().into_iter().find(|d| d.a == a) {
        Some(tolstoy_store::Datom { v: Value::Long(n), .. }) => n,
        other => panic!("{other:?}"),
    }
}

fn displaced(lab: &Lab, device: usize, report: &TxReport) -> Option<Reason> {
    lab.became(device, report).displaced.map(|d| d.reason)
}

#[test]
fn two_devices_that_each_increment_by_one_end_at_plus_two() {
    let mut lab = lab(2);
    lab.transact(1, INC);
    lab.transact(2, INC);
    lab.quiesce();
    assert_eq!([count(&lab, 1), count(&lab, 2)], [12, 12]);
    assert!(lab.log(1).iter().all(|t| t.overwritten.is_empty() && t.displaced.is_none()));
}

/// The push after the merge does not arrive, and the merge is made again on yet another base.
#[test]
fn an_increment_is_done_once_however_often_it_is_merged() {
    let mut lab = lab(3);
    lab.transact(1, INC);
    lab.transact(2, INC);
    lab.sync(1);
    assert!(lab.try_sync(2, 1).is_err());
    assert_eq!(count(&lab, 2), 12);
    lab.sync(3);
    lab.transact(3, "[[:db/inc [:u/name \"counter\"] :u/count 5]]");
    lab.sync(3);
    lab.quiesce();
    assert_eq!([count(&lab, 1), count(&lab, 2), count(&lab, 3)], [17; 3]);
}

/// The hub forgets one of the increments. A third device, which had heard of it, is the first to supply it again, on
/// another base than its author has it on.
#[test]
fn two_increments_are_two_also_when_a_third_supplies_one_again() {
    let mut lab = lab(3);
    let before = lab.log(1).len() as u64;
    let first = lab.transact(1, INC);
    lab.sync(1);
    lab.sync(3);
    lab.hub.restore(before).unwrap();
    let second = lab.transact(2, INC);
    lab.sync(2);
    assert!(lab.sync(3).resupplied > 0);
    assert_eq!(count(&lab, 3), 12);
    lab.quiesce();
    assert_eq!([count(&lab, 1), count(&lab, 2), count(&lab, 3)], [12; 3]);
    assert_eq!([displaced(&lab, 1, &first), displaced(&lab, 1, &second)], [None, None]);
    assert!(lab.became(1, &second).tx < lab.became(1, &first).tx);
}

#[test]
fn a_cas_that_fails_after_a_merge_is_displaced_and_what_depends_on_it_too() {
    let mut lab = lab(2);
    lab.transact(1, "[[:db/cas [:u/name \"counter\"] :u/count 10 20]]");
    let cas = lab.transact(
        2,
        "[[:db/cas [:u/name \"counter\"] :u/count 10 30] {:db/id \"r\" :u/name \"receipt\" :u/note \"30\"}]",
    );
    let after = lab.transact(2, &format!("[[:db/add {} :u/note \"paid\"]]", cas.tempids["r"]));
    let later = lab.transact(2, INC);
    lab.sync(1);
    lab.quiesce();
    assert_eq!(count(&lab, 1), 21);
    assert_eq!(displaced(&lab, 1, &cas), Some(Reason::Operation));
    assert_eq!(displaced(&lab, 1, &after), Some(Reason::Depends));
    assert_eq!(displaced(&lab, 1, &later), None);
    assert_eq!(lab.data(1), ["[65539 :u/name \"counter\"]", "[65539 :u/count 21]"]);
}

#[test]
fn the_largest_stands_whoever_says_it() {
    let mut lab = lab(3);
    for (device, n) in [(1, 15), (2, 17), (3, 12)] {
        lab.transact(device, &format!("[[:db/max [:u/name \"counter\"] :u/count {n}]]"));
        lab.sync(device);
    }
    lab.quiesce();
    assert_eq!(count(&lab, 1), 17);
    assert!(lab.log(1).iter().all(|t| t.overwritten.is_empty()));
}

/// The function is known to device 2 alone. The others have what it came to, and need it nowhere.
#[test]
fn a_function_runs_again_where_it_is_known() {
    let mut lab = lab(2);
    let double = Function::new("u/double", [Parameter::Entity], |facts, args| {
        let [Value::Ref(e)] = args else { return Err(FunctionError::refused("an entity")) };
        let a = facts.entid("u/count")?;
        match facts.value(*e, a)? {
            Some(v) => Ok(vec![Statement::inc(*e, a, v)]),
            None => Err(FunctionError::refused("there is nothing to double")),
        }
    });
    lab.stores[1].register(double.unwrap()).unwrap();
    lab.transact(1, INC);
    lab.transact(2, "[[:u/double [:u/name \"counter\"]]]");
    lab.sync(1);
    lab.quiesce();
    assert_eq!([count(&lab, 1), count(&lab, 2)], [22, 22]);
}
