//! Sequences that try to break what a rebase promises: nothing lost, once, same log same facts, whole or nothing, bounded.

use tolstoy_edn::Instant;
use tolstoy_store::{
    Change, Displaced, Entid, EntidRun, Error, ErrorKind, Origin, Reason, Store, Transaction, Value, log,
};
use uuid::Uuid;

use crate::common::{entid, must};
use crate::rebase::{AGE, FRIEND, NAME, POSITION, SSN, device, main_of, value, with_schema};

/// How many entities have a name.
fn people(store: &Store) -> i64 {
    let found = store.query("[:find (count ?e) . :where [?e :name]]", &[]).unwrap().to_edn();
    if let tolstoy_edn::Value::Integer(n) = found { n } else { 0 }
}

/// A transaction as another device could have pushed it: after `before`, with these facts.
fn forged(before: &[Transaction], facts: &[Change], origin: u128) -> Transaction {
    let (tx, instant) = before
        .last()
        .map_or((Entid::TX0.plus(1), 1_772_400_000_000_000), |t| (t.tx.plus(1), t.instant.as_micros() + 1));
    let instant = Instant::from_micros(instant);
    let mut changes = facts.to_vec();
    changes.push(Change::add(tx, Entid::new(3), Value::Instant(instant)));
    changes.sort();
    let origin = Origin { id: Uuid::from_u128(origin), device: Uuid::nil(), authored: instant };
    Transaction {
        tx,
        instant,
        origin,
        entids: Vec::new(),
        operations: Vec::new(),
        overwritten: Vec::new(),
        displaced: None,
        said: None,
        changes,
    }
}

// Identities

#[test]
fn an_identity_that_main_gave_to_a_transaction_leaves_a_readable_store() {
    let (mut log, mut one, mut two) = with_schema();
    must(&mut one, r#"[[:db/add (transaction-tx) :name "import"]]"#);
    must(&mut two, r#"[{:name "import" :age 5}]"#);
    log.sync(&mut one);
    log.sync(&mut two);
    let read = two.transactions(tolstoy_store::Timeline::MAIN, Entid::TX0, usize::MAX);
    assert!(read.is_ok(), "the merge wrote what cannot be read: {}", read.unwrap_err());
    log.settle(&mut one, &mut two);
}

#[test]
fn an_identity_that_main_gave_to_a_core_entity_leaves_a_readable_store() {
    let (mut log, mut one, mut two) = with_schema();
    must(&mut one, r#"[[:db/add :db.part/user :name "mine"]]"#);
    must(&mut two, r#"[{:name "mine" :age 5}]"#);
    log.sync(&mut one);
    log.sync(&mut two);
    let read = two.transactions(tolstoy_store::Timeline::MAIN, Entid::TX0, usize::MAX);
    assert!(read.is_ok(), "the merge wrote what cannot be read: {}", read.unwrap_err());
    log.settle(&mut one, &mut two);
}

#[test]
fn a_name_given_up_and_given_anew_names_another_entity() {
    let (mut log, mut one, mut two) = with_schema();
    must(&mut one, r#"[{:name "Anna" :age 20}]"#);
    log.settle(&mut one, &mut two);
    must(&mut two, r#"[[:db/add [:name "Anna"] :name "Ann"]]"#);
    must(&mut two, r#"[{:name "Anna" :age 99}]"#);
    // Unrelated.
    must(&mut one, r#"[{:name "Zed"}]"#);
    log.sync(&mut one);
    let rebased = log.sync(&mut two);
    assert_eq!(people(&two), 3, "Ann and Anna became one: {rebased:?}");
    assert_eq!(value(&two, "Ann", ":age"), [20.into()]);
    assert_eq!(value(&two, "Anna", ":age"), [99.into()]);
    log.settle(&mut one, &mut two);
}

#[test]
fn an_ident_given_up_and_given_anew_names_another_attribute() {
    let (mut log, mut one, mut two) = with_schema();
    must(&mut one, r#"[{:name "Anna" :age 20}]"#);
    log.settle(&mut one, &mut two);
    must(&mut two, "[[:db/add :age :db/ident :age-in-years]]");
    must(&mut two, "[{:db/ident :age :db/valueType :db.type/string :db/cardinality :db.cardinality/one}]");
    must(&mut two, r#"[[:db/add [:name "Anna"] :age "twenty"]]"#);
    must(&mut one, r#"[{:name "Zed"}]"#);
    log.sync(&mut one);
    let rebased = log.try_sync(&mut two);
    assert!(rebased.is_ok(), "only one side defined anything: {}", rebased.unwrap_err());
    log.settle(&mut one, &mut two);
    assert_eq!(value(&one, "Anna", ":age"), ["twenty".into()]);
    assert_eq!(value(&one, "Anna", ":age-in-years"), [20.into()]);
}

#[test]
fn two_of_a_name_stay_two_where_the_name_ceased_to_be_an_identity() {
    let (mut log, mut one, mut two) = with_schema();
    must(&mut one, r#"[{:name "Anna" :age 20}]"#);
    log.settle(&mut one, &mut two);
    must(&mut two, "[[:db/retract :name :db/unique :db.unique/identity]]");
    must(&mut two, r#"[{:name "Anna" :age 99}]"#);
    assert_eq!(people(&two), 2);
    must(&mut one, r#"[{:name "Zed"}]"#);
    log.sync(&mut one);
    let rebased = log.sync(&mut two);
    assert_eq!(people(&two), 3, "{rebased:?}");
    log.settle(&mut one, &mut two);
}

#[test]
fn two_local_entities_that_had_one_name_in_turn_do_not_become_one_silently() {
    let (mut log, mut one, mut two) = with_schema();
    must(&mut two, r#"[{:name "Anna" :age 5}]"#);
    must(&mut two, r#"[[:db/add [:name "Anna"] :name "Ann"]]"#);
    must(&mut two, r#"[{:name "Anna" :age 7}]"#);
    must(&mut one, r#"[{:name "Anna"}]"#);
    log.sync(&mut one);
    let rebased = log.sync(&mut two);
    log.settle(&mut one, &mut two);
    assert!(people(&one) == 2 || !rebased.displaced.is_empty(), "Ann, aged 5, is gone: {rebased:?}");
}

#[test]
fn a_claim_that_was_displaced_identifies_nobody() {
    let (mut log, mut one, mut two) = with_schema();
    must(&mut one, r#"[{:name "Anna" :ssn 1} {:name "Vera" :ssn 2}]"#);
    let x = must(&mut two, r#"[{:db/id "x" :ssn 1}]"#).tempids["x"];
    must(&mut two, &format!(r#"[[:db/add {x} :name "Vera"]]"#));
    must(&mut two, &format!("[[:db/add {x} :age 9]]"));
    log.sync(&mut one);
    let rebased = log.sync(&mut two);
    // x is Vera by the second change, so the first clashes; that the third edits Vera is right while the second stands.
    let stands = main_of(&two).iter().filter(|t| t.displaced.is_none()).count();
    assert_eq!((rebased.displaced.len(), stands), (1, main_of(&two).len() - 1));
    log.settle(&mut one, &mut two);
}

#[test]
fn who_an_entity_is_does_not_depend_on_whether_the_change_that_tells_is_applied() {
    let (mut log, mut one, mut two) = with_schema();
    must(&mut one, r#"[{:name "Anna" :ssn 1} {:name "Vera" :ssn 2}]"#);
    let x = must(&mut two, r#"[{:db/id "x" :ssn 1}]"#).tempids["x"];
    must(&mut two, &format!(r#"[[:db/add {x} :name "Vera"] {{:name "Oleg" :ssn 2}}]"#));
    must(&mut two, &format!("[[:db/add {x} :age 9]]"));
    log.sync(&mut one);
    let rebased = log.sync(&mut two);
    let reasons: Vec<Reason> = rebased.displaced.iter().map(|d| d.reason).collect();
    assert_eq!(reasons, [Reason::Unique, Reason::Unique]);
    log.settle(&mut one, &mut two);
    assert_eq!(value(&one, "Vera", ":age"), [9.into()]);
}

// Schema

#[test]
fn a_change_that_makes_values_unique_and_states_one_that_is_taken_is_refused_as_such() {
    let (_, mut one, _) = with_schema();
    must(&mut one, r#"[{:name "Anna" :age 5}]"#);
    let error = one.transact_str(r#"[[:db/add :age :db/unique :db.unique/value] {:name "Boris" :age 5}]"#).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
}

#[test]
fn a_change_that_makes_values_unique_and_states_one_that_came_in_is_displaced() {
    let (mut log, mut one, mut two) = with_schema();
    must(&mut one, r#"[{:name "Anna" :age 5}]"#);
    must(&mut two, r#"[[:db/add :age :db/unique :db.unique/value] {:name "Boris" :age 5}]"#);
    log.sync(&mut one);
    let rebased = log.try_sync(&mut two);
    assert!(rebased.is_ok(), "the sync stops for good: {}", rebased.unwrap_err());
    assert_eq!(rebased.unwrap().displaced.len(), 1);
    log.settle(&mut one, &mut two);
}

#[test]
fn uniqueness_on_one_side_and_equal_values_on_the_other() {
    let (mut log, mut one, mut two) = with_schema();
    must(&mut one, r#"[{:name "Anna" :age 5} {:name "Vera" :age 5}]"#);
    must(&mut two, "[[:db/add :age :db/unique :db.unique/value]]");
    must(&mut two, r#"[{:name "Boris" :age 6}]"#);
    log.sync(&mut one);
    assert_eq!(log.sync(&mut two).displaced.len(), 1);
    log.settle(&mut one, &mut two);
    // And the other way round: the uniqueness comes in.
    must(&mut two, "[[:db/add :friend :db/unique :db.unique/value]]");
    must(&mut one, r#"[{:name "A" :friend [:name "Vera"]}]"#);
    must(&mut one, r#"[{:name "B" :friend [:name "Vera"]}]"#);
    log.sync(&mut two);
    assert_eq!(log.sync(&mut one).displaced.len(), 1);
    log.settle(&mut one, &mut two);
}

#[test]
fn a_definition_that_main_knows_does_not_contradict_its_own_redefinition() {
    let (mut log, mut one, mut two) = with_schema();
    let backup = log.0.clone();
    must(&mut one, "[{:db/ident :tag :db/valueType :db.type/string :db/cardinality :db.cardinality/one}]");
    log.settle(&mut one, &mut two);
    // The hub is restored, a third device writes, two supplies the definition again and then widens it.
    log.0 = backup;
    let mut three = device(3);
    log.sync(&mut three);
    must(&mut three, r#"[{:name "Yuri"}]"#);
    log.sync(&mut three);
    log.sync(&mut two);
    must(&mut two, "[[:db/add :tag :db/cardinality :db.cardinality/many]]");
    log.sync(&mut two);
    let rebased = log.try_sync(&mut one);
    assert!(rebased.is_ok(), "one defined nothing since: {}", rebased.unwrap_err());
    log.settle(&mut one, &mut two);
}

#[test]
fn values_that_a_narrowed_cardinality_drops_are_recorded() {
    let (mut log, mut one, mut two) = with_schema();
    must(&mut one, "[{:db/ident :nick :db/valueType :db.type/string :db/cardinality :db.cardinality/many}]");
    must(&mut one, r#"[{:name "Anna" :nick "A"}]"#);
    log.settle(&mut one, &mut two);
    must(&mut one, "[[:db/add :nick :db/cardinality :db.cardinality/one]]");
    must(&mut two, r#"[[:db/add [:name "Anna"] :nick "B"]]"#);
    log.sync(&mut one);
    let rebased = log.sync(&mut two);
    log.settle(&mut one, &mut two);
    let told = !rebased.overwritten.is_empty() || !rebased.displaced.is_empty();
    let left = value(&one, "Anna", ":nick");
    assert!(told || left.len() == 2, "nobody retracted \"A\", only {left:?} is left, and nothing says so");
}

#[test]
fn a_retraction_of_what_is_gone_has_no_effect_whatever_became_of_its_attribute() {
    let (mut log, mut one, mut two) = with_schema();
    must(&mut one, r#"[{:name "Anna" :age 5}]"#);
    log.settle(&mut one, &mut two);
    must(&mut one, r#"[[:db/retract [:name "Anna"] :age 5]]"#);
    must(&mut one, "[[:db/add :age :db/valueType :db.type/string]]");
    must(&mut two, r#"[[:db/retract [:name "Anna"] :age 5]]"#);
    log.sync(&mut one);
    let rebased = log.sync(&mut two);
    assert_eq!((rebased.empty, rebased.displaced.len()), (1, 0), "{:?}", rebased.displaced);
    log.settle(&mut one, &mut two);
}

#[test]
fn idents_renamed_on_both_sides() {
    let (mut log, mut one, mut two) = with_schema();
    must(&mut one, r#"[{:name "Anna" :age 5}]"#);
    log.settle(&mut one, &mut two);
    must(&mut one, "[[:db/add :age :db/ident :years]]");
    must(&mut two, "[[:db/add :age :db/ident :jahre]]");
    must(&mut two, r#"[[:db/add [:name "Anna"] :jahre 6]]"#);
    log.sync(&mut one);
    assert_eq!(log.sync(&mut two).overwritten.len(), 1);
    log.settle(&mut one, &mut two);
    assert_eq!(value(&one, "Anna", ":jahre"), [6.into()]);
    let reopened = one.schema().idents().len();
    assert_eq!(reopened, two.schema().idents().len());
}

// Nothing lost when history below is written anew

#[test]
fn what_was_true_already_is_stated_again_where_it_no_longer_is() {
    let (mut log, mut one, mut two) = with_schema();
    let backup = log.0.clone();
    must(&mut one, r#"[{:name "Anna" :age 20 :ssn 7}]"#);
    let authored = must(&mut two, r#"[{:name "Anna" :age 20}]"#);
    log.sync(&mut one);
    assert_eq!(log.sync(&mut two).empty, 1);
    // The hub is restored and the number is given to somebody else: the first of the two changes is displaced.
    log.0 = backup;
    let mut three = device(3);
    log.sync(&mut three);
    must(&mut three, r#"[{:name "Yuri" :ssn 7}]"#);
    log.sync(&mut three);
    log.sync(&mut two);
    assert_accounted(&two, authored.origin.id);
}

/// Anna is 20, or the change that says so is a carrier.
fn assert_accounted(store: &Store, origin: Uuid) {
    let change = main_of(store).into_iter().find(|t| t.origin.id == origin).unwrap();
    assert!(
        value(store, "Anna", ":age") == [20.into()] || change.displaced.is_some(),
        "the change is neither applied nor a carrier, and what it states is not true: {change:?}"
    );
}

#[test]
fn what_was_true_already_is_stated_again_whoever_supplies_it() {
    let (mut log, mut one, mut two) = with_schema();
    let backup = log.0.clone();
    must(&mut one, r#"[{:name "Anna" :age 20 :ssn 7}]"#);
    let authored = must(&mut two, r#"[{:name "Anna" :age 20}]"#);
    log.sync(&mut one);
    log.settle(&mut one, &mut two);
    log.0 = backup;
    let mut three = device(3);
    log.sync(&mut three);
    must(&mut three, r#"[{:name "Yuri" :ssn 7}]"#);
    log.sync(&mut three);
    // The receiver of two's change is the first to meet the restored log.
    log.sync(&mut one);
    log.sync(&mut two);
    assert_accounted(&two, authored.origin.id);
}

#[test]
fn a_carrier_holds_the_original_datoms() {
    let (mut log, mut one, mut two) = with_schema();
    let backup = log.0.clone();
    must(&mut one, r#"[{:name "Anna" :age 20}]"#);
    let authored = must(&mut two, r#"[{:name "Anna" :age 20 :ssn 7}]"#);
    log.sync(&mut one);
    log.sync(&mut two);
    log.0 = backup;
    let mut three = device(3);
    log.sync(&mut three);
    must(&mut three, r#"[{:name "Yuri" :ssn 7}]"#);
    log.sync(&mut three);
    log.sync(&mut two);
    let carried = main_of(&two).into_iter().find(|t| t.origin == authored.origin).unwrap().displaced.unwrap();
    assert_eq!(carried.changes.len(), authored.datoms.len() - 1, "{:?}", carried.changes);
}

#[test]
fn an_unbound_entity_has_one_name_in_all_carriers() {
    let (mut log, mut one, mut two) = with_schema();
    let backup = log.0.clone();
    // Of the two entities that two allocates the first is one's, so that a run of the re-applied change spans both.
    must(&mut one, r#"[{:name "Anna"}]"#);
    must(&mut two, r#"[{:name "Vera"}]"#);
    let authored = must(&mut two, r#"[{:db/id "a" :name "Anna"} {:db/id "b" :name "Boris" :ssn 7}]"#);
    log.sync(&mut one);
    log.sync(&mut two);
    must(&mut two, r#"[[:db/add [:name "Boris"] :age 3]]"#);
    log.0 = backup;
    let mut three = device(3);
    log.sync(&mut three);
    must(&mut three, r#"[{:name "Yuri" :ssn 7}]"#);
    log.sync(&mut three);
    let rebased = log.sync(&mut two);
    assert_eq!(rebased.displaced.len(), 2);
    let names: Vec<Vec<(Uuid, Entid)>> = main_of(&two)
        .into_iter()
        .filter_map(|t| t.displaced)
        .map(|d| d.unbound.iter().map(|u| (u.origin, u.authored)).collect())
        .collect();
    assert_eq!(
        names,
        [vec![(authored.origin.id, authored.tempids["b"])], vec![(authored.origin.id, authored.tempids["b"])]]
    );
}

#[test]
fn an_unbound_entity_has_one_name_in_all_carriers_where_its_run_begins_with_anothers() {
    let (mut log, mut one, mut two) = with_schema();
    let backup = log.0.clone();
    // Anna is the newest entity on main, so that what two allocates beside her follows her number.
    must(&mut one, r#"[{:name "Zed"} {:name "Anna"}]"#);
    let authored = must(&mut two, r#"[{:db/id "a" :name "Anna"} {:db/id "b" :name "Boris" :ssn 7}]"#);
    log.sync(&mut one);
    log.sync(&mut two);
    let run = main_of(&two).into_iter().find(|t| t.origin == authored.origin).unwrap().entids;
    must(&mut two, r#"[[:db/add [:name "Boris"] :age 3]]"#);
    log.0 = backup;
    let mut three = device(3);
    log.sync(&mut three);
    must(&mut three, r#"[{:name "Yuri" :ssn 7}]"#);
    log.sync(&mut three);
    log.sync(&mut two);
    let names: Vec<Entid> = main_of(&two)
        .into_iter()
        .filter_map(|t| t.displaced)
        .flat_map(|d| d.unbound.into_iter().map(|u| u.authored))
        .collect();
    assert_eq!(names, [authored.tempids["b"]; 2], "run {run:?}");
}

#[test]
fn what_is_said_of_a_carrier_follows_it() {
    let (mut log, mut one, mut two) = with_schema();
    must(&mut one, r#"[{:name "Anna" :ssn 7}]"#);
    must(&mut two, r#"[{:name "Boris" :ssn 7}]"#);
    log.sync(&mut one);
    let before = log.0.clone();
    let carrier = log.sync(&mut two).displaced[0].tx;
    must(&mut two, &format!(r#"[[:db/add {carrier} :name "to be settled"]]"#));
    log.0 = before;
    must(&mut one, r#"[{:name "Oleg"}]"#);
    log.sync(&mut one);
    let rebased = log.sync(&mut two);
    assert_eq!((rebased.carried, rebased.displaced.len()), (1, 0), "{:?}", rebased.displaced);
    log.settle(&mut one, &mut two);
}

// Entities deleted and made again

#[test]
fn an_entity_deleted_and_made_again_by_the_other_side() {
    let (mut log, mut one, mut two) = with_schema();
    must(&mut one, r#"[{:name "Anna" :age 20}]"#);
    log.settle(&mut one, &mut two);
    must(&mut one, r#"[[:db/retractEntity [:name "Anna"]]]"#);
    must(&mut one, r#"[{:name "Anna" :age 30}]"#);
    must(&mut two, r#"[[:db/add [:name "Anna"] :age 21]]"#);
    log.sync(&mut one);
    let reasons: Vec<Reason> = log.sync(&mut two).displaced.iter().map(|d| d.reason).collect();
    assert_eq!(reasons, [Reason::Deleted]);
    log.settle(&mut one, &mut two);
    assert_eq!(value(&one, "Anna", ":age"), [30.into()]);
}

#[test]
fn a_move_between_two_entities_that_turn_out_to_be_one_is_no_contradiction() {
    let (mut log, mut one, mut two) = with_schema();
    must(&mut one, r#"[{:name "Anna"}]"#);
    must(&mut two, r#"[{:db/id "x" :name "Anna"}]"#);
    let y = must(&mut two, r#"[{:db/id "y" :ssn 9}]"#).tempids["y"];
    must(&mut two, &format!(r#"[[:db/retract {y} :ssn 9] [:db/add [:name "Anna"] :ssn 9]]"#));
    must(&mut two, &format!(r#"[[:db/retract [:name "Anna"] :name "Anna"] [:db/add {y} :name "Anna"]]"#));
    log.sync(&mut one);
    let rebased = log.sync(&mut two);
    // Whatever is decided: all of it is in the log, and both ends agree.
    assert_eq!(rebased.reapplied + rebased.empty + rebased.displaced.len() as u64, 4);
    log.settle(&mut one, &mut two);
}

// Instants and numbers at their ends

#[test]
fn an_instant_at_the_end_of_time_does_not_stop_the_other_device_for_good() {
    let (mut log, mut one, mut two) = with_schema();
    let last = Instant::from_micros(i64::MAX);
    must(&mut two, r#"[{:name "Boris"}]"#);
    let stated =
        one.transact_str(&format!(r#"[{{:name "Anna"}} [:db/add (transaction-tx) :db/txInstant #inst "{last}"]]"#));
    if stated.is_err() {
        return;
    }
    log.sync(&mut one);
    let rebased = log.try_sync(&mut two);
    assert!(rebased.is_ok(), "{}", rebased.unwrap_err());
}

#[test]
fn an_authored_instant_from_the_future_does_not_stop_later_merges() {
    let (mut log, mut one, mut two) = with_schema();
    let backup = log.0.clone();
    let mut forged = forged(&log.0, &[], 77);
    forged.origin.authored = Instant::from_micros(i64::MAX);
    log.0.push(forged);
    if log.try_sync(&mut two).is_err() {
        // Refused: a change is not authored after its transaction.
        return;
    }
    must(&mut two, r#"[{:name "Boris"}]"#);
    log.0 = backup;
    must(&mut one, r#"[{:name "Anna"}]"#);
    log.sync(&mut one);
    let rebased = log.try_sync(&mut two);
    assert!(rebased.is_ok(), "{}", rebased.unwrap_err());
}

#[test]
fn an_incoming_number_below_zero_is_refused() {
    for facts in [
        [Change::add(Entid::new(-1), Entid::new(37), Value::String("doc".into()))],
        [Change::add(Entid::new(65_536), Entid::new(4), Value::Ref(Entid::new(-1)))],
    ] {
        let (mut log, _, mut two) = with_schema();
        let forged = forged(&log.0, &facts, 77);
        log::codec::decode(&log::codec::encode(&forged)).expect("it passes the codec");
        log.0.push(forged);
        assert_eq!(log.try_sync(&mut two).map_err(|e| e.kind()), Err(ErrorKind::Damaged), "{facts:?}");
    }
}

#[test]
fn what_a_newer_version_brought_is_named_with_the_version() {
    let e = Entid::new(65_536);
    let refusal = |change: Change, carried: bool| {
        let (mut log, _, mut two) = with_schema();
        let mut forged = forged(&log.0, if carried { &[] } else { std::slice::from_ref(&change) }, 77);
        if carried {
            let (reason, detail) = (tolstoy_store::Reason::Schema, String::new());
            forged.displaced =
                Some(Displaced { reason, detail, unbound: Vec::new(), operations: Vec::new(), changes: vec![change] });
        }
        log.0.push(forged);
        let error = log.try_sync(&mut two).unwrap_err();
        (error.kind(), error.to_string())
    };
    let newer = [
        Change::add(e, Entid::new(3000), Value::Long(1)),
        Change::add(e, Entid::new(37), Value::Ref(Entid::new(3000))),
        Change::add(Entid::new(3000), Entid::new(37), Value::String("doc".into())),
    ];
    for change in newer {
        for carried in [false, true] {
            assert_eq!(
                refusal(change.clone(), carried),
                (
                    ErrorKind::NewerFormat,
                    "the log's transaction 268435458 uses 3000 of the schema, which format 3 brought; this version knows \
                     formats up to 2; update Tolstoy"
                        .to_owned()
                )
            );
        }
    }
    for number in [0, 41, 1000, 1999, 2012, 2999] {
        let (kind, _) = refusal(Change::add(e, Entid::new(number), Value::Long(1)), false);
        assert_eq!(kind, ErrorKind::Damaged, "{number}");
    }
}

#[test]
fn an_incoming_ref_to_a_transaction_that_is_not_there_is_refused() {
    let (mut log, _, mut two) = with_schema();
    let facts = [Change::add(Entid::new(65_536), Entid::new(4), Value::Ref(Entid::TX0.plus(1_000_000)))];
    let forged = forged(&log.0, &facts, 77);
    log.0.push(forged);
    assert_eq!(log.try_sync(&mut two).map_err(|e| e.kind()), Err(ErrorKind::Damaged));
}

#[test]
fn an_incoming_number_at_the_end_of_the_partition_does_not_end_the_store() {
    let (mut log, _, mut two) = with_schema();
    let facts = [Change::add(Entid::TX0.plus(-1), Entid::new(37), Value::String("last".into()))];
    let forged = forged(&log.0, &facts, 77);
    log.0.push(forged);
    must(&mut two, r#"[{:name "Boris"}]"#);
    let refused = log.try_sync(&mut two);
    if let Ok(rebased) = refused {
        assert_eq!(rebased.reapplied, 1);
        must(&mut two, r#"[{:name "Vera"}]"#);
    } else {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Damaged);
    }
}

#[test]
fn an_explanation_does_not_say_a_long_value_again() {
    let (mut log, mut one, mut two) = with_schema();
    for store in [&mut one, &mut two] {
        must(
            store,
            "[{:db/ident :key :db/valueType :db.type/string :db/cardinality :db.cardinality/one :db/unique :db.unique/value}]",
        );
    }
    log.settle(&mut one, &mut two);
    let long = "x".repeat(1 << 20);
    must(&mut one, &format!(r#"[{{:name "Anna" :key "{long}"}}]"#));
    must(&mut two, &format!(r#"[{{:name "Boris" :key "{long}"}}]"#));
    log.sync(&mut one);
    let detail = log.sync(&mut two).displaced.remove(0).detail;
    assert!(detail.len() < 10_000, "the carrier is twice as long as its change, and so may not fit a payload");
}

#[test]
fn hostile_lists_of_entities_cost_what_they_weigh() {
    // A log that says of a change of ours that it allocated all there is: a hundred bytes.
    let (mut log, _, mut two) = with_schema();
    let authored = must(&mut two, r#"[{:name "Boris"}]"#);
    let mut forged = forged(&log.0, &[], authored.origin.id.as_u128());
    forged.entids = vec![EntidRun { authored: Entid::USER0, current: Entid::USER0, count: 1 << 24 }];
    assert!(log::codec::encode(&forged).len() < 200);
    log.0.push(forged);
    let before = peak();
    let _: Result<_, Error> = log.try_sync(&mut two);
    let grown = peak() - before;
    assert!(grown < 64 << 10, "two hundred bytes made the process grow by {} MiB", grown >> 10);
}

/// The process's highest memory so far, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    line.and_then(|l| l.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

#[test]
fn a_hostile_carrier_moves_along_unharmed() {
    let (mut log, mut one, mut two) = with_schema();
    let backup = log.0.clone();
    let mut forged = forged(&log.0, &[], 77);
    // Placeholders that nobody lists, and entities that are nobody's.
    let name = entid(&one, "name");
    let changes = vec![
        Change::add(Entid::new(-1), name, Value::String("a".into())),
        Change::add(Entid::new(-9), Entid::new(-7), Value::Ref(Entid::new(i64::MIN))),
        Change::add(Entid::new(i64::MAX), name, Value::Ref(Entid::TX0.plus(-1))),
    ];
    forged.displaced = Some(Displaced {
        reason: Reason::Depends,
        detail: String::new(),
        operations: Vec::new(),
        unbound: Vec::new(),
        changes: changes.clone(),
    });
    log.0.push(forged);
    log.sync(&mut two);
    log.0 = backup;
    must(&mut one, r#"[{:name "Anna"}]"#);
    log.sync(&mut one);
    assert_eq!(log.sync(&mut two).carried, 1);
    let kept = main_of(&two).into_iter().find_map(|t| t.displaced).unwrap();
    let sorted = {
        let mut c = changes;
        c.sort();
        c
    };
    assert_eq!(kept.changes, sorted);
    log.settle(&mut one, &mut two);
}

// SQLite and text

#[test]
fn odd_values_survive_a_merge_and_the_wire() {
    let (mut log, mut one, mut two) = with_schema();
    let attribute = |name: &str, kind: &str, unique: &str| {
        format!("{{:db/ident :{name} :db/valueType :db.type/{kind} :db/cardinality :db.cardinality/many {unique}}}")
    };
    let identity = ":db/unique :db.unique/identity";
    let schema = [
        attribute("s", "string", identity),
        attribute("d", "double", identity),
        attribute("b", "bytes", identity),
        attribute("l", "long", identity),
        attribute("k", "keyword", ""),
    ]
    .concat();
    must(&mut one, &format!("[{schema}]"));
    log.settle(&mut one, &mut two);
    let odd = r#"[{:s ["" "a\u0000b" "a\u0000c" "a" "1"] :d [0.0 -0.0 1.0 9007199254740993.0 1e308 -1e-308] :l [0 1 9223372036854775807 -9223372036854775808]
        :b [#bytes "" #bytes "00" #bytes "31"] :k [:a :a/b :a.b/c :+ :*]}]"#;
    must(&mut one, odd);
    must(&mut two, odd);
    log.sync(&mut one);
    assert_eq!(log.sync(&mut two).empty, 1);
    log.settle(&mut one, &mut two);
    for transaction in main_of(&one) {
        assert_eq!(log::codec::decode(&log::codec::encode(&transaction)).unwrap(), transaction);
    }
}

// Same log, same facts: numbers

#[test]
fn the_author_and_the_receiver_allocate_the_same_numbers_next() {
    let (mut log, mut one, mut two) = with_schema();
    let mut three = device(3);
    must(&mut one, r#"[{:db/id "a" :name "Anna" :friend [{:name "B"} {:name "C"}]}]"#);
    must(&mut two, r#"[{:name "Anna" :ssn 4} {:name "D" :ssn 5}]"#);
    must(&mut one, r#"[{:name "E" :ssn 5}]"#);
    must(&mut two, r#"[[:db/retractEntity [:name "D"]]]"#);
    log.sync(&mut one);
    log.sync(&mut two);
    log.sync(&mut one);
    log.sync(&mut three);
    let next: Vec<Entid> =
        [&mut one, &mut two, &mut three].map(|s| must(s, r#"[{:db/id "z" :name "Z"}]"#).tempids["z"]).to_vec();
    assert_eq!(next[0], next[1]);
    assert_eq!(next[1], next[2]);
}

#[test]
fn a_failed_merge_leaves_no_trace() {
    let (mut log, mut one, mut two) = with_schema();
    must(&mut one, &format!(r#"[{{:name "Anna" :ssn 3}} {}]"#, FRIEND.replace(":friend", ":foe")));
    log.sync(&mut one);
    let good = log.0.clone();
    let damaged = forged(&log.0, &[Change::add(Entid::new(70_000), Entid::new(70_001), Value::Long(1))], 5);
    log.0.push(damaged);
    must(&mut two, r#"[{:name "Boris" :ssn 3}]"#);
    let (digest, main, schema) = (two.facts_digest().unwrap(), main_of(&two), two.schema().clone());
    assert_eq!(log.try_sync(&mut two).unwrap_err().kind(), ErrorKind::Damaged);
    assert_eq!((two.facts_digest().unwrap(), main_of(&two), two.schema().clone()), (digest, main, schema));
    assert!(two.side_timelines().unwrap().is_empty());
    let _: (Result<(), Error>, _) = (two.pass(|pass| pass.set_position(pass.basis(), POSITION)), (AGE, NAME, SSN));
    log.0 = good;
    log.settle(&mut one, &mut two);
}
