//! Merge policies: what becomes of a value that both sides changed.

use insta::assert_snapshot;
use tolstoy_edn::Value as Edn;
use tolstoy_store::{Overwrite, Reason, Rebased, Stands, Store, Value};

use crate::common::*;
use crate::rebase::{Log, device, main_of, value, with_schema};

/// Two devices that share Anna, whose `:n` has this policy and this value.
fn anna(policy: &str, n: &str) -> (Log, Store, Store) {
    let (mut log, mut one, mut two) = with_schema();
    let merge = if policy.is_empty() { String::new() } else { format!(":db/merge :db.merge/{policy}") };
    let value_type = if n.contains('.') { "double" } else { "long" };
    must(
        &mut one,
        &format!("[{{:db/ident :n :db/valueType :db.type/{value_type} :db/cardinality :db.cardinality/one {merge}}}]"),
    );
    must(&mut one, &format!("[{{:name \"Anna\" {}}}]", if n.is_empty() { String::new() } else { format!(":n {n}") }));
    log.settle(&mut one, &mut two);
    (log, one, two)
}

fn set(store: &mut Store, n: &str) {
    must(store, &format!("[[:db/add [:name \"Anna\"] :n {n}]]"));
}

fn unset(store: &mut Store, n: &str) {
    must(store, &format!("[[:db/retract [:name \"Anna\"] :n {n}]]"));
}

fn n(store: &Store) -> String {
    Edn::Vector(value(store, "Anna", ":n")).to_string()
}

/// What stands of `incoming` and, one after the other, `local` values; and what is recorded: base, incoming, local, result.
fn merged(policy: &str, base: &str, incoming: &str, local: &[&str]) -> (String, Vec<String>) {
    let (mut log, mut one, mut two) = anna(policy, base);
    set(&mut one, incoming);
    local.iter().for_each(|n| set(&mut two, n));
    log.sync(&mut one);
    let rebased = log.sync(&mut two);
    assert_eq!(rebased.displaced, []);
    log.settle(&mut one, &mut two);
    assert_eq!(log.sync(&mut two).overwritten, [], "a merge that is done is not done again");
    let logged: Vec<Overwrite> = main_of(&one).into_iter().flat_map(|t| t.overwritten).collect();
    assert_eq!(logged, rebased.overwritten);
    (n(&one), recorded(&rebased))
}

fn recorded(rebased: &Rebased) -> Vec<String> {
    let show = |v: Option<&Value>| v.map_or("-".to_owned(), ToString::to_string);
    let line = |o: &Overwrite| {
        let result = if o.stands == Stands::Local { "local".to_owned() } else { show(o.result()) };
        format!("{} {} {} {result}", show(o.base.as_ref()), show(o.incoming.as_ref()), o.local)
    };
    rebased.overwritten.iter().map(line).collect()
}

fn is(found: (String, Vec<String>), stands: &str, recorded: &[&str]) {
    assert_eq!(
        (found.0.as_str(), found.1.iter().map(String::as_str).collect::<Vec<_>>().as_slice()),
        (stands, recorded)
    );
}

#[test]
fn last_is_the_default_and_lets_the_local_value_stand() {
    for policy in ["", "last"] {
        is(merged(policy, "1", "2", &["3"]), "[3]", &["1 2 3 local"]);
        is(merged(policy, "1", "2", &["3", "4"]), "[4]", &["1 2 3 local"]);
    }
}

#[test]
fn first_lets_what_is_in_the_log_stand() {
    is(merged("first", "1", "2", &["3"]), "[2]", &["1 2 3 2"]);
    is(merged("first", "1", "2", &["3", "4"]), "[2]", &["1 2 3 2", "1 2 4 2"]);
    is(merged("first", "1", "2", &["2"]), "[2]", &[]);
}

#[test]
fn journal_lets_what_is_in_the_log_stand_and_keeps_the_local_value() {
    is(merged("journal", "1", "2", &["3"]), "[2]", &["1 2 3 2"]);
    is(merged("journal", "1", "2", &["3", "4"]), "[2]", &["1 2 3 2", "1 2 4 2"]);
}

#[test]
fn max_and_min_compare_what_came_in_with_the_last_local_value() {
    is(merged("max", "1", "2", &["3"]), "[3]", &["1 2 3 local"]);
    is(merged("max", "1", "3", &["2"]), "[3]", &["1 3 2 3"]);
    is(merged("max", "1", "4", &["3", "5"]), "[5]", &["1 4 3 4", "1 4 5 local"]);
    is(merged("max", "1", "4", &["5", "6"]), "[6]", &["1 4 5 local"]);
    is(merged("max", "1", "4", &["6", "2"]), "[4]", &["1 4 6 local", "1 4 2 4"]);
    is(merged("min", "5", "4", &["3"]), "[3]", &["5 4 3 local"]);
    is(merged("min", "5", "3", &["4"]), "[3]", &["5 3 4 3"]);
    is(merged("max", "1.5", "-0.5", &["-1.5"]), "[-0.5]", &["1.5 -0.5 -1.5 -0.5"]);
}

#[test]
fn sum_adds_what_each_side_added_and_records_nothing() {
    is(merged("sum", "10", "12", &["15"]), "[17]", &[]);
    is(merged("sum", "10", "12", &["15", "18"]), "[20]", &[]);
    is(merged("sum", "10", "7", &["4"]), "[1]", &[]);
    is(merged("sum", "1.5", "2.0", &["1.75"]), "[2.25]", &[]);
}

/// A merge that was not pushed decided against a local value, and then the other side came to say the same.
#[test]
fn what_was_decided_against_stands_where_the_other_side_comes_to_say_it_too() {
    for policy in ["first", "journal", "max"] {
        let (mut log, mut one, mut two) = anna(policy, "10");
        set(&mut one, "12");
        set(&mut two, "9");
        log.sync(&mut one);
        let pushed = log.0.clone();
        assert_eq!(recorded(&log.sync(&mut two)), ["10 12 9 12"]);
        log.0 = pushed;
        set(&mut one, "9");
        log.sync(&mut one);
        log.sync(&mut two);
        log.settle(&mut one, &mut two);
        let overwritten = main_of(&one).into_iter().flat_map(|t| t.overwritten).collect();
        is((n(&one), recorded(&Rebased { overwritten, ..Rebased::default() })), "[9]", &[]);
    }
}

#[test]
fn what_both_sides_took_back_and_one_gave_again_is_no_overwrite_in_a_sum() {
    let (mut log, mut one, mut two) = anna("sum", "2");
    unset(&mut one, "2");
    unset(&mut two, "2");
    set(&mut two, "2");
    log.sync(&mut one);
    let rebased = log.sync(&mut two);
    log.settle(&mut one, &mut two);
    is((n(&one), recorded(&rebased)), "[2]", &[]);
}

#[test]
fn a_value_given_by_both_sides_where_there_was_none() {
    is(merged("sum", "", "2", &["3"]), "[5]", &[]);
    is(merged("max", "", "2", &["3"]), "[3]", &["- 2 3 local"]);
    is(merged("first", "", "2", &["3"]), "[2]", &["- 2 3 2"]);
    is(merged("journal", "", "2", &["3"]), "[2]", &["- 2 3 2"]);
}

#[test]
fn an_entity_made_by_both_sides_with_a_value_each() {
    for (policy, stands, told) in
        [("sum", "[5]", vec![]), ("max", "[3]", vec!["- 2 3 local"]), ("first", "[2]", vec!["- 2 3 2"])]
    {
        let (mut log, mut one, mut two) = anna(policy, "1");
        must(&mut one, "[{:name \"Vera\" :n 2}]");
        must(&mut two, "[{:name \"Vera\" :n 3}]");
        log.sync(&mut one);
        let rebased = log.sync(&mut two);
        log.settle(&mut one, &mut two);
        assert_eq!(
            (Edn::Vector(value(&one, "Vera", ":n")).to_string(), recorded(&rebased)),
            (stands.to_owned(), told.into_iter().map(str::to_owned).collect())
        );
    }
}

#[test]
fn a_value_that_came_in_retracted() {
    let merged = |policy: &str| {
        let (mut log, mut one, mut two) = anna(policy, "10");
        unset(&mut one, "10");
        set(&mut two, "15");
        log.sync(&mut one);
        let rebased = log.sync(&mut two);
        log.settle(&mut one, &mut two);
        (n(&one), recorded(&rebased))
    };
    is(merged("last"), "[15]", &["10 - 15 local"]);
    is(merged("max"), "[15]", &["10 - 15 local"]);
    is(merged("first"), "[]", &["10 - 15 -"]);
    is(merged("journal"), "[]", &["10 - 15 -"]);
    is(merged("sum"), "[5]", &[]);
}

#[test]
fn a_value_that_only_one_side_changed_is_just_a_value() {
    for policy in ["first", "journal", "max", "min", "sum"] {
        let (mut log, mut one, mut two) = anna(policy, "5");
        must(&mut one, "[{:name \"Vera\" :n 2}]");
        log.sync(&mut one);
        set(&mut two, "9");
        set(&mut two, "2");
        assert_eq!(log.sync(&mut two).overwritten, []);
        log.settle(&mut one, &mut two);
        assert_eq!(n(&one), "[2]", "{policy}");
    }
}

/// What a merge decided that was not pushed is decided the same in the next one; what came after it, knowing it, stands.
#[test]
fn a_second_merge_decides_as_the_first_did() {
    let again = |policy: &str, later: Option<&str>| {
        let (mut log, mut one, mut two) = anna(policy, "10");
        set(&mut one, "12");
        set(&mut two, "15");
        set(&mut two, "11");
        log.sync(&mut one);
        let pushed = log.0.clone();
        log.sync(&mut two);
        if let Some(n) = later {
            set(&mut two, n);
        }
        log.0 = pushed;
        must(&mut one, "[{:name \"Vera\"}]");
        log.sync(&mut one);
        assert_eq!(log.sync(&mut two).overwritten, [], "nothing is news");
        log.settle(&mut one, &mut two);
        let logged = Rebased {
            overwritten: main_of(&one).into_iter().flat_map(|t| t.overwritten).collect(),
            ..Rebased::default()
        };
        (n(&one), recorded(&logged))
    };
    is(again("first", None), "[12]", &["10 12 15 12", "10 12 11 12"]);
    is(again("journal", None), "[12]", &["10 12 15 12", "10 12 11 12"]);
    is(again("max", None), "[12]", &["10 12 15 local", "10 12 11 12"]);
    is(again("min", None), "[11]", &["10 12 15 12", "10 12 11 local"]);
    is(again("sum", None), "[13]", &[]);
    is(again("last", None), "[11]", &["10 12 15 local"]);
    is(again("first", Some("20")), "[20]", &["10 12 15 12", "10 12 11 12"]);
    is(again("max", Some("5")), "[5]", &["10 12 15 local", "10 12 11 12"]);
    is(again("sum", Some("20")), "[20]", &[]);
}

/// The log may have got a change of ours by another way: what follows it knew it.
#[test]
fn a_change_that_follows_one_that_the_log_has_is_no_contest() {
    for policy in ["first", "journal", "min"] {
        let (mut log, mut one, mut two) = anna(policy, "10");
        set(&mut two, "15");
        log.sync(&mut two);
        set(&mut two, "20");
        let mut restored = Log(log.0.clone());
        restored.sync(&mut one);
        must(&mut one, "[{:name \"Vera\"}]");
        restored.sync(&mut one);
        restored.sync(&mut two);
        restored.settle(&mut one, &mut two);
        assert_eq!(n(&one), "[20]", "{policy}");
    }
}

/// What a displaced change would have replaced is replaced, and recorded, by the next; and a sum lacks what it would have added.
#[test]
fn a_displaced_change_decides_nothing() {
    for (policy, stands, told) in [("max", "[20]", vec!["10 12 20 local"]), ("sum", "[17]", vec![])] {
        let (mut log, mut one, mut two) = anna(policy, "10");
        must(&mut one, "[{:name \"Anna\" :n 12} {:name \"Boris\" :ssn 7}]");
        must(&mut two, "[{:name \"Anna\" :n 15} {:name \"Vera\" :ssn 7}]");
        set(&mut two, "20");
        log.sync(&mut one);
        let rebased = log.sync(&mut two);
        assert_eq!(rebased.displaced.len(), 1);
        assert_eq!(recorded(&rebased), told);
        log.settle(&mut one, &mut two);
        assert_eq!(n(&one), stands);
    }
}

#[test]
fn three_devices_add_up_whoever_pushes_first() {
    let (mut log, mut one, mut two) = anna("sum", "10");
    let mut three = device(3);
    log.sync(&mut three);
    for (store, n) in [(&mut one, "11"), (&mut two, "12"), (&mut three, "14")] {
        set(store, n);
    }
    log.sync(&mut three);
    log.sync(&mut one);
    log.sync(&mut two);
    log.settle(&mut one, &mut three);
    assert_eq!(n(&one), "[17]");
}

#[test]
fn a_sum_that_is_out_of_range_is_displaced() {
    let (mut log, mut one, mut two) = anna("sum", "0");
    set(&mut one, "9223372036854775807");
    set(&mut two, "1");
    log.sync(&mut one);
    let [displaced] = log.sync(&mut two).displaced.try_into().unwrap();
    assert_eq!(displaced.reason, Reason::Operation);
    assert_snapshot!(displaced.detail, @"by its merge policy :n of entity 65541 would be a sum that is out of range");
    log.settle(&mut one, &mut two);
    assert_eq!(n(&one), "[9223372036854775807]");
}

#[test]
fn a_policy_goes_with_its_attribute_and_may_change() {
    let (mut log, mut one, mut two) = anna("", "1");
    must(&mut one, "[[:db/add :n :db/merge :db.merge/max]]");
    set(&mut one, "5");
    set(&mut two, "3");
    log.sync(&mut one);
    // The policy that stands in the log is the one that counts.
    assert_eq!(recorded(&log.sync(&mut two)), ["1 5 3 5"]);
    log.settle(&mut one, &mut two);
    must(&mut one, "[[:db/add :n :db/merge :db.merge/min]]");
    must(&mut two, "[[:db/add :n :db/merge :db.merge/first]]");
    log.settle(&mut one, &mut two);
    let n = two.schema().attribute(entid(&two, "n")).unwrap();
    assert_eq!(n.merge(), Some(tolstoy_store::Merge::First));
    must(&mut one, "[[:db/retract :n :db/merge :db.merge/first]]");
    assert_eq!(one.schema().attribute(entid(&one, "n")).unwrap().merge(), None);
}

#[test]
fn a_policy_must_fit_its_attribute() {
    let mut store = store();
    let mut define = |value_type: &str, cardinality: &str, policy: &str| {
        let text = format!(
            "[{{:db/ident :a :db/valueType :db.type/{value_type} :db/cardinality :db.cardinality/{cardinality} :db/merge {policy}}}]"
        );
        let message = refused(&mut store, &text);
        message.lines().next().unwrap_or_default().to_owned()
    };
    let all = [
        define("long", "many", ":db.merge/last"),
        define("string", "one", ":db.merge/max"),
        define("ref", "one", ":db.merge/min"),
        define("instant", "one", ":db.merge/sum"),
        define("long", "one", ":db.merge/average"),
        define("long", "one", ":db.type/long"),
        define("long", "one", "3"),
    ];
    assert_snapshot!(all.join("\n"), @r"
    Refused: tx:1:81: the attribute :a has a merge policy, so its cardinality must be :db.cardinality/one
    Refused: tx:1:82: the attribute :a has the merge policy :db.merge/max, so its type must be :db.type/long, :db.type/double or :db.type/instant
    Refused: tx:1:79: the attribute :a has the merge policy :db.merge/min, so its type must be :db.type/long, :db.type/double or :db.type/instant
    Refused: tx:1:83: the attribute :a has the merge policy :db.merge/sum, so its type must be :db.type/long or :db.type/double
    Input: tx:1:90: no entity has the ident :db.merge/average
    Refused: tx:1:90: :db/merge is :db.merge/last or another of :db.merge
    Refused: tx:1:90: :db/merge is :db.merge/last or another of :db.merge
    ");
    must(
        &mut store,
        "[{:db/ident :t :db/valueType :db.type/instant :db/cardinality :db.cardinality/one :db/merge :db.merge/max}]",
    );
    assert_snapshot!(store.schema().attribute(entid(&store, "t")).unwrap().to_string(), @":db.type/instant one merge-max");
    assert_snapshot!(refused(&mut store, "[[:db/add :t :db/cardinality :db.cardinality/many]]"), @r"
    Refused: tx:1:2: the attribute :t has a merge policy, so its cardinality must be :db.cardinality/one
      [[:db/add :t :db/cardinality :db.cardinal...
       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    ");
    must(&mut store, "[[:db/retract :t :db/merge :db.merge/max] [:db/add :t :db/cardinality :db.cardinality/many]]");
}

/// What a local operation made of a value that came in is no value of the other side's: that one is what the policy looks at.
#[test]
fn a_policy_looks_at_what_came_in_and_not_at_what_an_operation_made_of_it() {
    let merged = |policy: &str| {
        let (mut log, mut one, mut two) = anna(policy, "10");
        set(&mut one, "12");
        must(&mut two, "[[:db/inc [:name \"Anna\"] :n 1]]");
        set(&mut two, "11");
        set(&mut two, "15");
        log.sync(&mut one);
        let rebased = log.sync(&mut two);
        log.settle(&mut one, &mut two);
        (n(&one), recorded(&rebased))
    };
    is(merged("last"), "[15]", &["10 12 15 local"]);
    is(merged("max"), "[15]", &["10 12 15 local"]);
    is(merged("min"), "[12]", &["10 12 15 12"]);
    // What is in the log, and counted on.
    is(merged("first"), "[13]", &["10 12 15 13"]);
    is(merged("sum"), "[17]", &[]);
}
