//! Merges that go wrong easily, one by one. The oracle judges each of them as well.

use tolstoy_store::{Change, Entid, ErrorKind, Overwrite, Reason, Value};
use tolstoy_sync::{Error, Outcome};

use super::lab::Lab;

const NAME: &str = "{:db/ident :u/name :db/valueType :db.type/string :db/cardinality :db.cardinality/one
                     :db/unique :db.unique/identity}";
const KEY: &str = "{:db/ident :u/key :db/valueType :db.type/long :db/cardinality :db.cardinality/one
                    :db/unique :db.unique/identity}";
const BADGE: &str = "{:db/ident :u/badge :db/valueType :db.type/string :db/cardinality :db.cardinality/one
                      :db/unique :db.unique/value}";
const OWNER: &str = "{:db/ident :u/owner :db/valueType :db.type/ref :db/cardinality :db.cardinality/one
                      :db/unique :db.unique/identity}";
const AGE: &str = "{:db/ident :u/age :db/valueType :db.type/long :db/cardinality :db.cardinality/one}";
const BOSS: &str = "{:db/ident :u/boss :db/valueType :db.type/ref :db/cardinality :db.cardinality/one}";
const FRIEND: &str = "{:db/ident :u/friend :db/valueType :db.type/ref :db/cardinality :db.cardinality/many}";
const NOTE: &str = "{:db/ident :u/note :db/valueType :db.type/string :db/cardinality :db.cardinality/many}";

/// Devices that all have the schema, and the facts of `text`.
fn lab(devices: u64, text: &str) -> Lab {
    let mut lab = Lab::new(devices);
    lab.transact(1, &format!("[{NAME} {KEY} {BADGE} {OWNER} {AGE} {BOSS} {FRIEND} {NOTE}]"));
    if !text.is_empty() {
        lab.transact(1, text);
    }
    for n in 1..=devices as usize {
        lab.sync(n);
    }
    lab
}

fn long(n: i64) -> Value {
    Value::Long(n)
}

#[test]
fn contradicting_definitions_stop_the_sync_and_change_nothing() {
    let mut lab = Lab::new(2);
    lab.transact(1, &format!("[{AGE} {NAME}]"));
    lab.transact(1, "[{:u/name \"Anna\" :u/age 1}]");
    lab.transact(2, &format!("[{}]", AGE.replace("cardinality/one", "cardinality/many")));
    lab.transact(2, "[{:u/age [1 2]}]");
    lab.sync(1);
    let (digest, log, state) = (lab.store(2).facts_digest().unwrap(), lab.log(2), lab.hub.state().unwrap());
    for _ in 0..2 {
        let error = lab.try_sync(2, u32::MAX).unwrap_err();
        let Error::Store(error) = error else { panic!("{error}") };
        assert_eq!(error.kind(), ErrorKind::Definitions);
        assert_eq!(
            error.to_string(),
            "both sides defined the attribute :u/age, and differently: here it is :db.type/long many, in the log it is \
             :db.type/long one; nothing was changed"
        );
        assert_eq!(lab.store(2).facts_digest().unwrap(), digest);
        assert_eq!(lab.log(2), log);
        assert_eq!(lab.store(2).side_timelines().unwrap(), []);
        assert_eq!(lab.store(2).last_positioned().unwrap(), None);
        assert_eq!(lab.hub.state().unwrap(), state);
    }
    lab.transact(2, "[{:u/age 3}]");
    assert_eq!(lab.sync(1).passes[0].outcome, Outcome::NoChanges);
}

#[test]
fn annotations_that_differ_are_no_contradiction() {
    let mut lab = Lab::new(2);
    lab.transact(1, "[{:db/ident :a :db/valueType :db.type/long :db/cardinality :db.cardinality/one :db/doc \"one\"}]");
    lab.transact(
        2,
        "[{:db/ident :b :db/valueType :db.type/long :db/cardinality :db.cardinality/one}
          {:db/ident :a :db/valueType :db.type/long :db/cardinality :db.cardinality/one :db/index true :db/doc \"two\"}]",
    );
    lab.transact(2, "[{:a 1 :b 2}]");
    lab.rest();
    assert_eq!(lab.data(1), ["[65538 :a 1]", "[65538 :b 2]"]);
    assert!(lab.facts(1).contains(&"[:a :db/doc \"two\"]".to_owned()));
    assert!(lab.facts(1).contains(&"[:a :db/index true]".to_owned()));
}

#[test]
fn a_value_that_both_sides_set_is_the_later_ones_and_the_log_says_so() {
    let mut lab = lab(2, "[{:u/name \"counter\" :u/age 1}]");
    lab.transact(1, "[[:db/add [:u/name \"counter\"] :u/age 2]]");
    let second = lab.transact(2, "[[:db/add [:u/name \"counter\"] :u/age 3]]");
    lab.sync(1);
    let report = lab.sync(2);
    let e = Entid::USER0.plus(8);
    let overwrite =
        Overwrite { e, a: lab.entid(1, ":u/age"), base: Some(long(1)), incoming: Some(long(2)), local: long(3) };
    assert_eq!(report.passes[0].rebased.as_ref().unwrap().overwritten, std::slice::from_ref(&overwrite));
    lab.rest();
    assert_eq!(lab.became(1, &second).overwritten, [overwrite]);
    assert_eq!(lab.data(1), [format!("[{e} :u/name \"counter\"]"), format!("[{e} :u/age 3]")]);
}

#[test]
fn an_identity_learnt_late_is_known_from_the_first_mention() {
    let mut lab = lab(2, "");
    lab.transact(1, "[{:u/name \"Anna\" :u/age 28}]");
    let created = lab.transact(2, "[{:db/id \"a\" :u/note \"met at the fair\"}]");
    let e = created.tempids["a"];
    lab.transact(2, &format!("[{{:u/note \"knows her\" :u/friend {e}}}]"));
    lab.transact(2, &format!("[[:db/add {e} :u/name \"Anna\"]]"));
    lab.sync(1);
    let rebased = lab.sync(2).passes[0].rebased.clone().unwrap();
    assert_eq!((rebased.reapplied, rebased.empty, rebased.displaced.len()), (2, 1, 0));
    lab.rest();
    assert_eq!(
        lab.data(1),
        [
            "[65544 :u/name \"Anna\"]",
            "[65544 :u/age 28]",
            "[65544 :u/note \"met at the fair\"]",
            "[65545 :u/friend 65544]",
            "[65545 :u/note \"knows her\"]",
        ]
    );
}

#[test]
fn identities_chain_through_refs() {
    let mut lab = lab(2, "");
    lab.transact(1, "[{:db/id \"a\" :u/name \"Anna\"} {:db/id \"b\" :u/owner \"a\"} {:u/owner \"b\" :u/age 1}]");
    // In an order in which each is known only after the next.
    let c = lab.transact(2, "[{:db/id \"c\" :u/note \"c\"} {:db/id \"b\" :u/note \"b\"} {:db/id \"a\" :u/note \"a\"}]");
    let [a, b, c] = ["a", "b", "c"].map(|name| c.tempids[name]);
    lab.transact(2, &format!("[[:db/add {c} :u/owner {b}]]"));
    lab.transact(2, &format!("[[:db/add {b} :u/owner {a}]]"));
    lab.transact(2, &format!("[[:db/add {a} :u/name \"Anna\"]]"));
    lab.sync(1);
    lab.rest();
    assert_eq!(
        lab.data(2),
        [
            "[65544 :u/name \"Anna\"]",
            "[65544 :u/note \"a\"]",
            "[65545 :u/owner 65544]",
            "[65545 :u/note \"b\"]",
            "[65546 :u/owner 65545]",
            "[65546 :u/age 1]",
            "[65546 :u/note \"c\"]",
        ]
    );
}

#[test]
fn attributes_defined_on_both_sides_and_used_before_the_first_sync() {
    let mut lab = Lab::new(2);
    lab.transact(1, &format!("[{AGE} {NAME} {FRIEND}]"));
    lab.transact(1, "[{:u/name \"Anna\" :u/age 1}]");
    lab.transact(2, &format!("[{FRIEND} {NOTE} {NAME} {AGE}]"));
    lab.transact(2, "[{:db/id \"b\" :u/name \"Boris\" :u/age 2 :u/friend [\"b\" {:u/name \"Anna\"} :u/age]}]");
    lab.transact(
        2,
        "[[:db/add [:u/name \"Boris\"] :u/age 3] [:db/retract [:u/name \"Boris\"] :u/friend [:u/name \"Boris\"]]]",
    );
    lab.sync(1);
    lab.rest();
    assert_eq!(
        lab.data(1),
        [
            "[65539 :u/age 1]",
            "[65539 :u/name \"Anna\"]",
            "[65541 :u/age 3]",
            "[65541 :u/name \"Boris\"]",
            "[65541 :u/friend :u/age]",
            "[65541 :u/friend 65539]",
        ]
    );
}

#[test]
fn what_depends_on_a_displaced_change_is_displaced_too_however_far() {
    let mut lab = lab(2, "");
    lab.transact(1, "[{:u/badge \"7\" :u/note \"first\"}]");
    let a = lab.transact(2, "[{:db/id \"a\" :u/badge \"7\" :u/note \"second\"}]");
    let b = lab.transact(2, &format!("[{{:db/id \"b\" :u/note \"b\" :u/boss {}}}]", a.tempids["a"]));
    let c = lab
        .transact(2, &format!("[[:db/add [:u/badge \"7\"] :u/age 1] {{:u/note \"c\" :u/friend {}}}]", b.tempids["b"]));
    let about = lab.transact(2, &format!("[{{:u/note \"about a transaction\" :u/boss {}}}]", a.tx));
    let free = lab.transact(2, "[{:u/note \"free\"}]");
    lab.sync(1);
    lab.rest();
    let reason = |report| lab.became(1, report).displaced.map(|d| d.reason);
    assert_eq!(
        [&a, &b, &c, &about, &free].map(reason),
        [Some(Reason::Unique), Some(Reason::Depends), Some(Reason::Depends), Some(Reason::Depends), None]
    );
    let carried = lab.became(1, &about).displaced.unwrap();
    assert_eq!((carried.unbound[0].origin, carried.unbound[0].authored), (a.origin.id, Entid::new(0)));
    let mut data = lab.data(2);
    data.sort();
    assert_eq!(data, ["[65544 :u/badge \"7\"]", "[65544 :u/note \"first\"]", "[65545 :u/note \"free\"]"]);
}

#[test]
fn an_entity_deleted_on_one_side_and_edited_on_the_other() {
    let mut lab = lab(2, "[{:u/name \"Anna\" :u/age 28} {:u/name \"Boris\"}]");
    lab.transact(1, "[[:db/retractEntity [:u/name \"Anna\"]]]");
    let edit = lab.transact(2, "[[:db/add [:u/name \"Anna\"] :u/age 29]]");
    let refer = lab.transact(2, "[[:db/add [:u/name \"Boris\"] :u/friend [:u/name \"Anna\"]]]");
    let retract = lab.transact(2, "[[:db/retract [:u/name \"Anna\"] :u/age 29]]");
    let anew = lab.transact(2, "[{:u/name \"Vera\"}]");
    lab.sync(1);
    lab.rest();
    let reason = |report| lab.became(1, report).displaced.map(|d| d.reason);
    assert_eq!(
        [&edit, &refer, &retract, &anew].map(reason),
        [Some(Reason::Deleted), Some(Reason::Deleted), None, None]
    );
    assert_eq!(lab.data(2), ["[65545 :u/name \"Boris\"]", "[65546 :u/name \"Vera\"]"]);
}

#[test]
fn two_entities_exchange_a_unique_value_in_one_transaction() {
    let mut lab = lab(2, "[{:u/name \"Anna\" :u/badge \"1\"} {:u/name \"Boris\" :u/badge \"2\"}]");
    lab.transact(1, "[{:u/name \"Vera\"}]");
    lab.transact(2, "[[:db/add [:u/name \"Anna\"] :u/badge \"2\"] [:db/add [:u/name \"Boris\"] :u/badge \"1\"]]");
    lab.sync(1);
    lab.rest();
    assert_eq!(
        lab.data(1),
        [
            "[65544 :u/name \"Anna\"]",
            "[65544 :u/badge \"2\"]",
            "[65545 :u/name \"Boris\"]",
            "[65545 :u/badge \"1\"]",
            "[65546 :u/name \"Vera\"]",
        ]
    );
}

#[test]
fn an_attribute_renamed_on_one_side_and_used_on_the_other() {
    let mut lab = lab(2, "[{:u/name \"Anna\"}]");
    lab.transact(1, "[[:db/add :u/age :db/ident :u/years]]");
    lab.transact(2, "[[:db/add [:u/name \"Anna\"] :u/age 28]]");
    lab.sync(1);
    lab.rest();
    assert_eq!(lab.data(2), ["[65544 :u/name \"Anna\"]", "[65544 :u/years 28]"]);
}

#[test]
fn a_fact_retracted_and_stated_again() {
    let mut lab = lab(2, "[{:u/name \"Anna\" :u/note \"x\"}]");
    lab.transact(1, "[[:db/retract [:u/name \"Anna\"] :u/note \"x\"]]");
    lab.transact(2, "[[:db/retract [:u/name \"Anna\"] :u/note \"x\"]]");
    lab.transact(2, "[[:db/add [:u/name \"Anna\"] :u/note \"x\"]]");
    lab.sync(1);
    let rebased = lab.sync(2).passes[0].rebased.clone().unwrap();
    assert_eq!((rebased.reapplied, rebased.empty), (1, 1));
    lab.rest();
    assert_eq!(lab.data(1), ["[65544 :u/name \"Anna\"]", "[65544 :u/note \"x\"]"]);
}

/// A merge whose push never arrived leaves less of a change on main than it said, where some of it was true already.
/// The next merge is about all of it again.
#[test]
fn a_merge_that_was_not_pushed_does_not_wear_a_change_down() {
    let mut lab = lab(3, "[{:u/name \"Anna\"}]");
    lab.transact(1, "[[:db/add [:u/name \"Anna\"] :u/note \"x\"]]");
    let change = lab.transact(2, "[[:db/add [:u/name \"Anna\"] :u/note \"x\"] [:db/add [:u/name \"Anna\"] :u/age 28]]");
    lab.sync(1);
    // The pull arrives, the push after the merge does not.
    assert!(lab.try_sync(2, 1).is_err());
    assert_eq!(lab.became(2, &change).facts().count(), 1);
    lab.sync(3);
    lab.transact(3, "[[:db/retract [:u/name \"Anna\"] :u/note \"x\"]]");
    lab.sync(3);
    lab.rest();
    assert_eq!(lab.became(1, &change).facts().count(), 2);
    assert_eq!(lab.data(1), ["[65544 :u/name \"Anna\"]", "[65544 :u/age 28]", "[65544 :u/note \"x\"]"]);
}

/// The same, where the change is displaced in the end: its carrier holds all of it, and nothing that it never said.
#[test]
fn a_carrier_holds_all_that_its_change_said_when_it_was_committed() {
    let mut lab = lab(3, "[{:u/name \"Anna\" :u/age 1} {:u/name \"Boris\"}]");
    lab.transact(1, "[[:db/add [:u/name \"Anna\"] :u/note \"x\"] [:db/add [:u/name \"Anna\"] :u/age 2]]");
    let change = lab.transact(
        2,
        "[[:db/add [:u/name \"Anna\"] :u/note \"x\"] [:db/add [:u/name \"Anna\"] :u/age 3]
          [:db/add [:u/name \"Anna\"] :u/badge \"7\"]]",
    );
    lab.sync(1);
    assert!(lab.try_sync(2, 1).is_err());
    lab.sync(3);
    lab.transact(3, "[[:db/add [:u/name \"Boris\"] :u/badge \"7\"]]");
    lab.sync(3);
    lab.rest();
    let carrier = lab.became(1, &change).displaced.unwrap();
    assert_eq!(carrier.reason, Reason::Unique);
    let said: Vec<Change> = change
        .datoms
        .iter()
        .filter(|d| d.e != change.tx)
        .map(|d| Change { e: d.e, a: d.a, v: d.v.clone(), added: d.added })
        .collect();
    assert_eq!(carrier.changes, said);
}

/// An entity may turn out to be a transaction, or an entity of the bootstrap: they can have identities too.
#[test]
fn an_entity_that_turns_out_to_be_a_transaction() {
    let mut lab = lab(2, "");
    let tx = lab.transact(1, "[[:db/add (transaction-tx) :u/name \"the import\"] [:db/add :db/doc :u/key 1]]").tx;
    lab.transact(2, "[{:u/note \"before the rest\"}]");
    lab.transact(2, "[{:u/name \"the import\" :u/age 1} {:u/key 1 :u/age 2} {:u/note \"new\"}]");
    lab.sync(1);
    lab.rest();
    let data = lab.data(2);
    assert!(data.contains(&format!("[{tx} :u/age 1]")), "{data:?}");
    assert!(data.contains(&"[:db/doc :u/age 2]".to_owned()), "{data:?}");
}

/// A value on a transaction can be overwritten like any other.
#[test]
fn values_on_transactions_are_not_overwritten_in_silence() {
    let mut lab = lab(2, "[[:db/add (transaction-tx) :u/age 1]]");
    let tx = Entid::TX0.plus(2);
    lab.transact(1, &format!("[[:db/add {tx} :u/age 2]]"));
    let change = lab.transact(2, &format!("[[:db/add {tx} :u/age 3]]"));
    lab.sync(1);
    lab.rest();
    let overwritten = lab.became(1, &change).overwritten;
    let a = lab.entid(1, ":u/age");
    assert_eq!(overwritten, [Overwrite { e: tx, a, base: Some(long(1)), incoming: Some(long(2)), local: long(3) }]);
}

/// What was taken for a new entity is an old one: its old value was nobody's intention to replace.
#[test]
fn a_unified_entitys_old_value_is_not_overwritten_in_silence() {
    let mut lab = lab(2, "[{:u/name \"Anna\" :u/age 28}]");
    lab.transact(1, "[[:db/add [:u/name \"Anna\"] :u/key 7]]");
    let change = lab.transact(2, "[{:u/key 7 :u/age 30}]");
    lab.sync(1);
    lab.rest();
    let (e, a) = (Entid::USER0.plus(8), lab.entid(1, ":u/age"));
    let overwrite = Overwrite { e, a, base: None, incoming: Some(long(28)), local: long(30) };
    assert_eq!(lab.became(1, &change).overwritten, [overwrite]);
}

#[test]
fn a_restored_hub_gets_everything_again() {
    let mut lab = lab(3, "[{:u/name \"Anna\"}]");
    lab.transact(1, "[{:u/name \"Boris\"}]");
    lab.transact(2, "[{:u/name \"Boris\" :u/age 1} {:u/note \"x\"}]");
    lab.sync(1);
    lab.sync(2);
    lab.sync(1);
    lab.hub.restore(2).unwrap();
    lab.transact(3, "[{:u/name \"Vera\"}]");
    lab.sync(3);
    lab.rest();
    assert_eq!(lab.data(1).len(), 5);
}

#[test]
fn a_log_that_was_begun_anew_stops_the_sync() {
    let mut lab = lab(2, "[{:u/name \"Anna\"}]");
    lab.hub.delete().unwrap();
    let (digest, log) = (lab.store(1).facts_digest().unwrap(), lab.log(1));
    lab.transact(2, "[{:u/name \"Boris\"}]");
    for device in [1, 2] {
        assert!(matches!(lab.try_sync(device, u32::MAX), Err(Error::Generation { .. })));
    }
    assert_eq!(lab.store(1).facts_digest().unwrap(), digest);
    assert_eq!(lab.log(1), log);
}

/// A name that an entity gave up and another took: the other side still knows the first one by it.
#[test]
fn who_takes_an_identity_that_was_given_up_is_somebody_else() {
    let mut lab = lab(2, "[{:u/name \"Anna\" :u/age 28}]");
    lab.transact(1, "[{:u/note \"something else\"}]");
    lab.transact(2, "[[:db/add [:u/name \"Anna\"] :u/name \"Anna the elder\"]]");
    lab.transact(2, "[{:u/name \"Anna\" :u/age 3}]");
    lab.sync(1);
    lab.rest();
    assert_eq!(
        lab.data(1),
        [
            "[65544 :u/name \"Anna the elder\"]",
            "[65544 :u/age 28]",
            "[65545 :u/note \"something else\"]",
            "[65546 :u/name \"Anna\"]",
            "[65546 :u/age 3]",
        ]
    );
}

/// Of two new entities that had one identity in turn, only the first is whom the other side calls so.
#[test]
fn an_identity_that_new_entities_had_in_turn_names_the_first() {
    let mut lab = lab(2, "");
    lab.transact(1, "[{:u/name \"desk 7\" :u/note \"by the window\"}]");
    lab.transact(2, "[{:u/name \"desk 7\" :u/age 1}]");
    lab.transact(2, "[[:db/add [:u/name \"desk 7\"] :u/name \"old desk\"]]");
    lab.transact(2, "[{:u/name \"desk 7\" :u/age 2}]");
    lab.sync(1);
    lab.rest();
    assert_eq!(
        lab.data(1),
        [
            "[65544 :u/name \"old desk\"]",
            "[65544 :u/age 1]",
            "[65544 :u/note \"by the window\"]",
            "[65545 :u/name \"desk 7\"]",
            "[65545 :u/age 2]",
        ]
    );
}

/// Who mentions a carrier's transaction means the carrier, wherever the next merge moves it.
#[test]
fn a_carriers_transaction_can_be_spoken_of() {
    let mut lab = lab(3, "");
    lab.transact(1, "[{:u/badge \"7\"}]");
    let displaced = lab.transact(2, "[{:u/badge \"7\" :u/note \"mine\"}]");
    lab.sync(1);
    assert!(lab.try_sync(2, 1).is_err());
    let carrier = lab.became(2, &displaced);
    assert!(carrier.displaced.is_some());
    let remark = lab.transact(2, &format!("[[:db/add {} :u/note \"to be settled\"]]", carrier.tx));
    lab.sync(3);
    lab.transact(3, "[{:u/note \"meanwhile\"}]");
    lab.sync(3);
    lab.rest();
    let moved = lab.became(1, &displaced).tx;
    assert_ne!(moved, carrier.tx);
    assert_eq!(lab.became(1, &remark).displaced, None);
    assert!(lab.data(1).contains(&format!("[{moved} :u/note \"to be settled\"]")));
}

/// A definition that both sides have from one change is one definition, whatever one of them made of it since.
#[test]
fn an_attribute_altered_after_the_hub_lost_its_definition() {
    let mut lab = Lab::new(3);
    lab.transact(1, &format!("[{NOTE}]"));
    lab.sync(1);
    lab.sync(2);
    lab.transact(2, "[[:db/add :u/note :db/cardinality :db.cardinality/one]]");
    lab.hub.restore(0).unwrap();
    lab.transact(3, &format!("[{AGE}]"));
    lab.transact(3, "[{:u/age 1}]");
    lab.sync(3);
    lab.sync(1);
    lab.sync(2);
    lab.rest();
    let note = lab.entid(3, ":u/note");
    assert!(lab.store(3).schema().attribute(note).unwrap().is_one());
}

/// An attribute that became cardinality one while the other side went on adding values to it.
#[test]
fn a_value_added_to_an_attribute_that_became_one_is_not_overwritten_in_silence() {
    let mut lab = lab(2, "[{:u/name \"Anna\"}]");
    lab.transact(1, "[[:db/add [:u/name \"Anna\"] :u/note \"x\"]]");
    lab.transact(1, "[[:db/add :u/note :db/cardinality :db.cardinality/one]]");
    let change = lab.transact(2, "[[:db/add [:u/name \"Anna\"] :u/note \"y\"]]");
    lab.sync(1);
    lab.rest();
    assert_eq!(lab.data(1), ["[65544 :u/name \"Anna\"]", "[65544 :u/note \"y\"]"]);
    let [overwrite] = lab.became(1, &change).overwritten.try_into().unwrap();
    assert_eq!((overwrite.incoming, overwrite.local), (Some(Value::String("x".into())), Value::String("y".into())));
}

/// A carrier names what its change allocated by the numbers that it was authored with, also after an earlier merge gave
/// those entities others.
#[test]
fn a_carrier_names_its_entities_as_they_were_authored() {
    let mut lab = lab(3, "");
    lab.transact(1, "[{:u/name \"Anna\"}]");
    let change = lab.transact(2, "[{:db/id \"a\" :u/name \"Anna\" :u/note \"x\"} {:db/id \"b\" :u/badge \"7\"}]");
    lab.sync(1);
    assert!(lab.try_sync(2, 1).is_err());
    lab.sync(3);
    lab.transact(3, "[{:u/badge \"7\"}]");
    lab.sync(3);
    lab.rest();
    let carrier = lab.became(1, &change).displaced.unwrap();
    assert_eq!(carrier.reason, Reason::Unique);
    let unbound: Vec<_> = carrier.unbound.iter().map(|u| (u.origin, u.authored)).collect();
    assert_eq!(unbound, [(change.origin.id, change.tempids["b"])]);
}

/// What a change overwrote in a merge that was not pushed stands again when the change is displaced in the next one; the
/// change after it, which replaces it instead, says so.
#[test]
fn a_displaced_change_leaves_its_overwrite_to_the_next() {
    let mut lab = lab(3, "[{:u/name \"Anna\" :u/age 1}]");
    lab.transact(1, "[[:db/add [:u/name \"Anna\"] :u/age 2]]");
    let first = lab.transact(2, "[[:db/add [:u/name \"Anna\"] :u/age 3] {:u/badge \"7\"}]");
    let second = lab.transact(2, "[[:db/add [:u/name \"Anna\"] :u/age 4]]");
    lab.sync(1);
    assert!(lab.try_sync(2, 1).is_err());
    assert_eq!(lab.became(2, &first).overwritten.len(), 1);
    lab.sync(3);
    lab.transact(3, "[{:u/badge \"7\"}]");
    lab.sync(3);
    lab.rest();
    assert!(lab.became(1, &first).displaced.is_some());
    let [overwrite] = lab.became(1, &second).overwritten.try_into().unwrap();
    assert_eq!((overwrite.incoming, overwrite.local), (Some(long(2)), long(4)));
}
