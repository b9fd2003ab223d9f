//! The journal: what waits, what settling does, and what becomes of settlements in merges.

use insta::assert_snapshot;
use tolstoy_edn::{Keyword, Limits};
use tolstoy_store::{Entry, Error, ErrorKind, Reason, Settling, Standing, State, Store, TxReport, Value};
use uuid::Uuid;

use crate::common::*;
use crate::rebase::{AGE, Log, NAME, device, main_of, value, with_schema};

fn entries(store: &Store) -> Vec<Entry> {
    let mut entries = Vec::new();
    let seen = store.journal(|entry| {
        entries.push(entry);
        Ok::<_, Error>(())
    });
    seen.unwrap();
    entries
}

/// The one entry there is.
fn entry(store: &Store) -> Entry {
    let mut entries = entries(store);
    assert_eq!(entries.len(), 1);
    entries.remove(0)
}

fn states(store: &Store) -> Vec<&'static str> {
    entries(store).iter().map(|e| e.state().word()).collect()
}

/// What applying an entry would transact, and what is known against it.
fn proposed(store: &Store, entry: &Entry) -> String {
    let proposal = store.proposal(entry).unwrap();
    let against: String = proposal.obstacles.iter().map(|why| format!("\n; {why}")).collect();
    format!("{}{against}", proposal.to_text())
}

fn apply(store: &mut Store, id: Uuid) -> Result<TxReport, Error> {
    store.settle(id, Settling::Apply, false)
}

fn apply_as(store: &mut Store, id: Uuid, text: &str) -> Result<TxReport, Error> {
    let form = tolstoy_edn::read_one(text, &Limits::default()).unwrap();
    store.settle(id, Settling::ApplyAs(&form), false)
}

fn drop_it(store: &mut Store, id: Uuid) -> TxReport {
    store.settle(id, Settling::Drop, false).unwrap()
}

/// A settlement that has to be refused, and change nothing.
fn refused(store: &mut Store, settle: impl FnOnce(&mut Store) -> Result<TxReport, Error>) -> String {
    let (facts, main) = (store.facts_digest().unwrap(), main_of(store));
    let error = settle(store).unwrap_err();
    assert_eq!((store.facts_digest().unwrap(), main_of(store)), (facts, main));
    format!("{:?}: {error}", error.kind())
}

/// Two devices in step, after the first took Anna's number for Boris, who was displaced by it on the second.
fn boris() -> (Log, Store, Store) {
    let (mut log, mut one, mut two) = with_schema();
    must(&mut one, r#"[{:name "Anna" :ssn 7}]"#);
    must(&mut two, r#"[{:name "Boris" :ssn 7 :friend {:name "Vera" :age 5}}]"#);
    log.sync(&mut one);
    assert_eq!(log.sync(&mut two).displaced[0].reason, Reason::Unique);
    log.sync(&mut one);
    (log, one, two)
}

/// Two devices in step where both set the age of Anna, which was 1: the first to 2, the second to 3.
fn ages(policy: &str) -> (Log, Store, Store) {
    let (mut log, mut one, mut two) = with_schema();
    if !policy.is_empty() {
        must(&mut one, &format!("[[:db/add :age :db/merge :db.merge/{policy}]]"));
    }
    must(&mut one, r#"[{:name "Anna" :age 1}]"#);
    log.settle(&mut one, &mut two);
    must(&mut one, r#"[[:db/add [:name "Anna"] :age 2]]"#);
    must(&mut two, r#"[[:db/add [:name "Anna"] :age 3]]"#);
    log.settle(&mut one, &mut two);
    (log, one, two)
}

#[test]
fn a_displaced_change_waits_on_every_device_until_it_is_settled_on_one() {
    let (mut log, mut one, mut two) = boris();
    let id = entry(&two).id();
    for store in [&one, &two] {
        assert_eq!((entry(store).id(), entry(store).state(), store.waiting().unwrap()), (id, State::Waits, 1));
    }
    assert_snapshot!(proposed(&one, &entry(&one)), @r#"
    [[:db/add "new1" :name "Boris"]
     [:db/add "new1" :ssn 7]
     [:db/add "new1" :friend "new2"]
     [:db/add "new2" :name "Vera"]
     [:db/add "new2" :age 5]]
    "#);
    assert_snapshot!(refused(&mut one, |s| apply(s, id)), @r#"Refused: :ssn 7 is unique and belongs to entity 65540, so entity 65541 cannot take it, in [:db/add "new1" :ssn 7]"#);
    let text = proposed(&one, &entry(&one)).replace(":ssn 7", ":ssn 8");
    let report = apply_as(&mut one, id, &text).unwrap();
    assert_eq!(entry(&one).settled_by, [report.tx]);
    assert_eq!((states(&one), one.waiting().unwrap()), (vec!["settled"], 0));
    assert_eq!(states(&two), ["waiting"]);
    log.settle(&mut one, &mut two);
    assert_eq!(states(&two), ["settled"]);
    assert_eq!(value(&two, "Boris", ":ssn"), [8.into()]);
    assert_eq!(value(&two, "Vera", ":age"), [5.into()]);
}

#[test]
fn what_is_settled_is_settled_once_unless_somebody_says_again() {
    let (_, _, mut two) = boris();
    let id = entry(&two).id();
    let first = drop_it(&mut two, id);
    assert_eq!(first.datoms.len(), 2, "its instant and the settlement");
    let said = refused(&mut two, |s| s.settle(id, Settling::Drop, false));
    assert_eq!(said, format!("Refused: {id} is settled already, by transaction {}", first.tx));
    let form = tolstoy_edn::read_one(r#"[{:name "Boris"}]"#, &Limits::default()).unwrap();
    let second = two.settle(id, Settling::ApplyAs(&form), true).unwrap();
    assert_eq!(entry(&two).settled_by, [first.tx, second.tx]);
}

#[test]
fn a_settlement_that_is_retracted_makes_it_wait_again() {
    let (mut log, mut one, mut two) = boris();
    let id = entry(&two).id();
    let tx = drop_it(&mut two, id).tx;
    log.settle(&mut one, &mut two);
    must(&mut one, &format!("[[:db/retract {tx} :db.journal/settles #uuid \"{id}\"]]"));
    log.settle(&mut one, &mut two);
    assert_eq!((states(&one), states(&two)), (vec!["waiting"], vec!["waiting"]));
    drop_it(&mut two, id);
    assert_eq!(states(&two), ["settled"]);
}

#[test]
fn only_a_transaction_settles() {
    let (_, _, mut two) = boris();
    let id = entry(&two).id();
    must(&mut two, &format!("[{{:name \"Oleg\" :db.journal/settles #uuid \"{id}\"}}]"));
    assert_eq!(states(&two), ["waiting"]);
}

#[test]
fn what_is_no_entry_cannot_be_settled() {
    let (_, _, mut two) = boris();
    let other = main_of(&two)[0].origin.id;
    for id in [other, Uuid::from_u128(5)] {
        assert_eq!(refused(&mut two, |s| apply(s, id)), format!("Input: the journal has no entry {id}"));
    }
    let id = entry(&two).id();
    assert_eq!(two.entries(&id.to_string()[..35]).unwrap().len(), 1);
    assert_eq!(two.entries(&other.to_string()).unwrap(), []);
    assert_eq!(two.entries("xyz").unwrap_err().kind(), ErrorKind::Input);
}

#[test]
fn two_that_drop_an_entry_have_both_said_so() {
    let (mut log, mut one, mut two) = boris();
    let id = entry(&two).id();
    drop_it(&mut one, id);
    drop_it(&mut two, id);
    log.sync(&mut one);
    let rebased = log.sync(&mut two);
    assert_eq!((rebased.reapplied, rebased.displaced.len()), (1, 0));
    log.settle(&mut one, &mut two);
    assert_eq!(entry(&one).settled_by.len(), 2);
    assert_eq!(states(&two), ["settled"]);
}

#[test]
fn what_two_apply_happens_once() {
    let (mut log, mut one, mut two) = with_schema();
    must(&mut one, r#"[{:name "Anna" :ssn 7 :age 1}]"#);
    log.settle(&mut one, &mut two);
    must(&mut one, r#"[{:name "Vera" :ssn 8}]"#);
    must(&mut two, r#"[[:db/inc [:name "Anna"] :age 10] [:db/add [:name "Anna"] :ssn 8]]"#);
    log.settle(&mut one, &mut two);
    let id = entry(&one).id();
    assert_snapshot!(proposed(&one, &entry(&one)), @r#"
    [[:db/add [:name "Anna"] :ssn 8]
     [:db/inc [:name "Anna"] :age 10]]
    "#);
    let text = r#"[[:db/inc [:name "Anna"] :age 10]]"#;
    apply_as(&mut one, id, text).unwrap();
    apply_as(&mut two, id, text).unwrap();
    log.sync(&mut one);
    let displaced = log.sync(&mut two).displaced;
    assert_eq!(displaced[0].reason, Reason::Operation);
    assert!(
        displaced[0].detail.starts_with(&format!("it applies {id}, which transaction ")),
        "{}",
        displaced[0].detail
    );
    log.settle(&mut one, &mut two);
    assert_eq!(value(&one, "Anna", ":age"), [11.into()]);
    assert_eq!(states(&one), ["settled", "waiting"]);
    // Somebody looks at it, and means it.
    let second = entries(&one)[1].clone();
    assert_snapshot!(proposed(&one, &second).replace(&id.to_string(), "ID"), @r#"
    [[:db/add (transaction-tx) :db.journal/settles #uuid "ID"]
     [:db/inc [:name "Anna"] :age 10]]
    "#);
    apply(&mut one, second.id()).unwrap();
    log.settle(&mut one, &mut two);
    assert_eq!(value(&two, "Anna", ":age"), [21.into()]);
    assert_eq!(states(&two), ["settled", "settled"]);
}

#[test]
fn a_drop_elsewhere_displaces_an_application() {
    let (mut log, mut one, mut two) = boris();
    let id = entry(&two).id();
    drop_it(&mut one, id);
    apply_as(&mut two, id, r#"[{:name "Boris"}]"#).unwrap();
    log.sync(&mut one);
    assert_eq!(log.sync(&mut two).displaced[0].reason, Reason::Operation);
    log.settle(&mut one, &mut two);
    assert_eq!(states(&one), ["settled", "waiting"]);
    assert_eq!(value(&one, "Boris", ":ssn"), []);
}

#[test]
fn a_settlement_survives_rebases_of_the_entry_that_it_is_about() {
    // The log gets what two has only at the end: until then two rebases its carrier and the settlement again and again.
    let (mut log, mut one, mut two) = with_schema();
    must(&mut one, r#"[{:name "Anna" :ssn 7}]"#);
    must(&mut two, r#"[{:name "Boris" :ssn 7}]"#);
    log.sync(&mut one);
    let pushed = log.0.clone();
    log.sync(&mut two);
    let entry_tx = entry(&two).transaction.tx;
    let id = entry(&two).id();
    apply_as(&mut two, id, r#"[{:name "Boris" :ssn 8}]"#).unwrap();
    log.0 = pushed;
    for n in 0..3 {
        must(&mut one, &format!("[{{:name \"n{n}\"}}]"));
        log.sync(&mut one);
        let pushed = log.0.clone();
        let rebased = log.sync(&mut two);
        assert_eq!((rebased.carried, rebased.reapplied, rebased.displaced.len()), (1, 1, 0));
        log.0 = pushed;
        assert_eq!((entry(&two).id(), states(&two)), (id, vec!["settled"]));
    }
    assert_ne!(entry(&two).transaction.tx, entry_tx);
    log.settle(&mut two, &mut one);
    assert_eq!(states(&one), ["settled"]);
    assert_eq!(value(&one, "Boris", ":ssn"), [8.into()]);
}

#[test]
fn an_application_that_is_displaced_lets_both_wait() {
    let (mut log, mut one, mut two) = boris();
    let id = entry(&two).id();
    apply_as(&mut two, id, r#"[{:name "Boris" :ssn 8}]"#).unwrap();
    must(&mut one, r#"[{:name "Oleg" :ssn 8}]"#);
    log.sync(&mut one);
    assert_eq!(log.sync(&mut two).displaced[0].reason, Reason::Unique);
    log.settle(&mut one, &mut two);
    assert_eq!(states(&one), ["waiting", "waiting"]);
    // Settling the second settles the first as well, since that is what it says.
    let second = entries(&one)[1].clone();
    let text = proposed(&one, &second).replace(":ssn 8", ":ssn 9");
    apply_as(&mut one, second.id(), &text).unwrap();
    assert_eq!(states(&one), ["settled", "settled"]);
}

#[test]
fn an_overwritten_value_is_noted_and_comes_back_where_it_is_applied() {
    let (mut log, mut one, mut two) = ages("");
    let noted = entry(&one);
    assert_eq!((noted.state(), one.waiting().unwrap()), (State::Noted, 0));
    assert_eq!((noted.values[0].standing, &noted.values[0].now[..]), (Standing::Noted, &[Value::Long(3)][..]));
    assert_snapshot!(proposed(&one, &noted), @r#"[[:db/add [:name "Anna"] :age 2]]"#);
    apply(&mut one, noted.id()).unwrap();
    log.settle(&mut one, &mut two);
    assert_eq!(value(&two, "Anna", ":age"), [2.into()]);
    assert_eq!(states(&two), ["settled"]);
}

#[test]
fn a_value_of_the_policy_journal_waits_until_it_is_applied_or_changed() {
    let (mut log, mut one, mut two) = ages("journal");
    assert_eq!(value(&one, "Anna", ":age"), [2.into()]);
    let waits = entry(&one);
    assert_eq!((waits.state(), waits.values[0].standing), (State::Waits, Standing::Waits));
    assert_snapshot!(proposed(&one, &waits), @r#"[[:db/add [:name "Anna"] :age 3]]"#);
    apply(&mut one, waits.id()).unwrap();
    log.settle(&mut one, &mut two);
    assert_eq!((value(&two, "Anna", ":age"), states(&two)), (vec![3.into()], vec!["settled"]));

    let (mut log, mut one, mut two) = ages("journal");
    must(&mut two, r#"[[:db/add [:name "Anna"] :age 9]]"#);
    log.settle(&mut one, &mut two);
    assert_eq!((states(&one), one.waiting().unwrap()), (vec!["moot"], 0));
    let id = entry(&one).id();
    assert_eq!(
        refused(&mut one, |s| apply(s, id)),
        format!("Refused: {id} cannot be applied as it is: all its values have changed since")
    );
    drop_it(&mut one, id);
    assert_eq!(states(&one), ["settled"]);
}

#[test]
fn under_first_the_local_value_can_be_applied() {
    let (_, mut one, _) = ages("first");
    let noted = entry(&one);
    assert_eq!((noted.state(), value(&one, "Anna", ":age")), (State::Noted, vec![2.into()]));
    apply(&mut one, noted.id()).unwrap();
    assert_eq!(value(&one, "Anna", ":age"), [3.into()]);
}

#[test]
fn a_value_that_the_other_side_retracted_is_retracted() {
    let (mut log, mut one, mut two) = with_schema();
    must(&mut one, r#"[{:name "Anna" :age 1}]"#);
    log.settle(&mut one, &mut two);
    must(&mut one, r#"[[:db/retract [:name "Anna"] :age 1]]"#);
    must(&mut two, r#"[[:db/add [:name "Anna"] :age 3]]"#);
    log.settle(&mut one, &mut two);
    let noted = entry(&one);
    assert_snapshot!(proposed(&one, &noted), @r#"[[:db/retract [:name "Anna"] :age 3]]"#);
    apply(&mut one, noted.id()).unwrap();
    assert_eq!(value(&one, "Anna", ":age"), []);
}

#[test]
fn what_depends_is_applied_after_what_it_depends_on() {
    let (mut log, mut one, mut two) = with_schema();
    must(&mut one, r#"[{:name "Anna" :ssn 7}]"#);
    let made = must(&mut two, r#"[{:db/id "b" :name "Boris" :ssn 7} {:db/id "x" :age 40}]"#).tempids;
    let (boris, nameless) = (made["b"], made["x"]);
    must(&mut two, &format!(r#"[{{:name "Vera" :friend {boris}}}]"#));
    must(&mut two, &format!(r#"[{{:name "Oleg" :friend {nameless}}}]"#));
    log.settle(&mut one, &mut two);
    let [first, vera, oleg] = entries(&one).try_into().unwrap();
    let tidy = |text: String| {
        text.replace(&first.id().to_string(), "FIRST").replace(&first.id().simple().to_string()[..8], "FIRST8")
    };
    assert_snapshot!(tidy(proposed(&one, &vera)), @r#"
    [[:db/add "new1" :name "Vera"]
     [:db/add "new1" :friend [:name "Boris"]]]
    ; it mentions the entity [:name "Boris"] that the displaced change FIRST8 made, and there is none: apply that first, or put another in its place
    "#);
    assert_snapshot!(tidy(proposed(&one, &oleg)), @r#"
    [[:db/add "new1" :name "Oleg"]
     [:db/add "new1" :friend "65541 of FIRST"]]
    ; it mentions an entity that the displaced change FIRST8 made, and no identity tells which it is: apply that first, then put the entity in the place of "65541 of FIRST"
    "#);
    for id in [vera.id(), oleg.id()] {
        refused(&mut one, |s| apply(s, id));
    }
    // A text that stands for somebody must not become somebody new.
    let text = proposed(&one, &oleg);
    assert_snapshot!(refused(&mut one, |s| apply_as(s, oleg.id(), &text)), @"Refused: put the entity that is meant in the place of this text");
    let report = apply_as(&mut one, first.id(), r#"[{:name "Boris" :ssn 8} {:db/id "x" :age 40}]"#).unwrap();
    apply(&mut one, vera.id()).unwrap();
    let text = text.replace(&format!("\"65541 of {}\"", first.id()), &report.tempids["x"].to_string());
    apply_as(&mut one, oleg.id(), &text).unwrap();
    log.settle(&mut one, &mut two);
    assert_eq!(states(&two), ["settled"; 3]);
    let friend = "[:find ?n . :where [?v :name \"Vera\"] [?v :friend ?b] [?b :name ?n]]";
    assert_eq!(two.query(friend, &[]).unwrap().to_edn().as_str(), Some("Boris"));
}

#[test]
fn what_was_deleted_does_not_come_back_as_a_skeleton() {
    let (mut log, mut one, mut two) = with_schema();
    must(&mut one, r#"[{:name "Anna" :age 1}]"#);
    log.settle(&mut one, &mut two);
    must(&mut one, r#"[[:db/retractEntity [:name "Anna"]]]"#);
    must(&mut two, r#"[[:db/add [:name "Anna"] :age 2]]"#);
    log.settle(&mut one, &mut two);
    let entry = entry(&one);
    assert_eq!(entry.transaction.displaced.as_ref().unwrap().reason, Reason::Deleted);
    assert_snapshot!(proposed(&one, &entry), @r"
    [[:db/add 65540 :age 2]]
    ; it mentions entity 65540, which was deleted: state its identity again too, or put another in its place
    ");
    refused(&mut one, |s| apply(s, entry.id()));
    apply_as(&mut one, entry.id(), r#"[{:name "Anna" :age 2}]"#).unwrap();
    log.settle(&mut one, &mut two);
    assert_eq!(value(&two, "Anna", ":age"), [2.into()]);
}

#[test]
fn of_a_sum_it_is_the_difference_that_is_applied() {
    let (mut log, mut one, mut two) = with_schema();
    must(&mut one, "[[:db/add :age :db/merge :db.merge/sum]]");
    must(&mut one, r#"[{:name "Anna" :ssn 7 :age 10}]"#);
    log.settle(&mut one, &mut two);
    must(&mut one, r#"[[:db/add [:name "Anna"] :age 20] {:name "Vera" :ssn 8}]"#);
    must(&mut two, r#"[[:db/add [:name "Anna"] :age 15] [:db/add [:name "Anna"] :ssn 8]]"#);
    log.settle(&mut one, &mut two);
    let entry = entry(&one);
    assert_snapshot!(proposed(&one, &entry), @r#"
    [[:db/add [:name "Anna"] :ssn 8]
     [:db/inc [:name "Anna"] :age 5]]
    "#);
    let text = proposed(&one, &entry).replace(":ssn 8", ":ssn 9");
    apply_as(&mut one, entry.id(), &text).unwrap();
    assert_eq!(value(&one, "Anna", ":age"), [25.into()]);
}

#[test]
fn operations_and_retractions_are_applied_as_they_were_meant() {
    let (mut log, mut one, mut two) = with_schema();
    must(&mut one, r#"[{:name "Anna" :age 1 :friend {:name "Vera"}}]"#);
    log.settle(&mut one, &mut two);
    must(&mut one, r#"[[:db/add [:name "Anna"] :age 5]]"#);
    must(&mut two, r#"[[:db/cas [:name "Anna"] :age 1 2] [:db/retract [:name "Anna"] :friend [:name "Vera"]]]"#);
    log.settle(&mut one, &mut two);
    let entry = entry(&one);
    assert_snapshot!(proposed(&one, &entry), @r#"
    [[:db/retract [:name "Anna"] :friend [:name "Vera"]]
     [:db/cas [:name "Anna"] :age 1 2]]
    "#);
    assert_snapshot!(refused(&mut one, |s| apply(s, entry.id())), @r#"Refused: :age of 65540 is 5, not 1 as :db/cas expects, in [:db/cas [:name "Anna"] :age 1 2]"#);
    must(&mut one, r#"[[:db/add [:name "Anna"] :age 1]]"#);
    apply(&mut one, entry.id()).unwrap();
    assert_eq!((value(&one, "Anna", ":age"), value(&one, "Anna", ":friend")), (vec![2.into()], vec![]));
}

#[test]
fn a_definition_that_gave_way_can_have_another_name() {
    let (mut log, mut one, mut two) = (Log::default(), device(1), device(2));
    must(&mut one, &format!("[{NAME} {AGE}]"));
    must(&mut one, r#"[{:name "Vera" :age 1}]"#);
    must(&mut two, &format!("[{NAME} {}]", AGE.replace("long", "string")));
    must(&mut two, r#"[{:name "Anna" :age "old"}]"#);
    log.sync(&mut one);
    log.try_sync_with(&mut two, &[Keyword::parse("age").unwrap()]).unwrap();
    log.settle(&mut one, &mut two);
    let [definition, anna] = entries(&one).try_into().unwrap();
    assert_snapshot!(proposed(&one, &definition), @r#"
    [[:db/add "new1" :db/ident :age]
     [:db/add "new1" :db/valueType :db.type/string]
     [:db/add "new1" :db/cardinality :db.cardinality/one]]
    "#);
    let said = refused(&mut one, |s| apply(s, definition.id()));
    assert!(said.starts_with("Refused: the attribute :age has facts, so its type cannot be changed"), "{said}");
    assert_snapshot!(proposed(&one, &anna), @r#"
    [[:db/add "new1" :age "old"]
     [:db/add "new1" :name "Anna"]]
    "#);
    let text = proposed(&one, &definition).replace(":db/ident :age", ":db/ident :age/words");
    apply_as(&mut one, definition.id(), &text).unwrap();
    let text = proposed(&one, &anna).replace(":age", ":age/words");
    apply_as(&mut one, anna.id(), &text).unwrap();
    log.settle(&mut one, &mut two);
    assert_eq!(value(&two, "Anna", ":age/words"), ["old".into()]);
    assert_eq!(states(&two), ["settled", "settled"]);
}

#[test]
fn facts_about_a_displaced_transaction_are_about_the_one_that_applied_it() {
    let (mut log, mut one, mut two) = with_schema();
    must(&mut one, r#"[{:name "Anna" :ssn 7}]"#);
    let tx = must(&mut two, r#"[{:name "Boris" :ssn 7} {:db/id (transaction-tx) :age 1}]"#).tx;
    must(&mut two, &format!("[[:db/add {tx} :db/doc \"a guess\"]]"));
    log.settle(&mut one, &mut two);
    let [boris, doc] = entries(&one).try_into().unwrap();
    assert!(proposed(&one, &boris).contains("[:db/add (transaction-tx) :age 1]"), "{}", proposed(&one, &boris));
    refused(&mut one, |s| apply(s, doc.id()));
    let text = proposed(&one, &boris).replace(":ssn 7", ":ssn 8");
    let applied = apply_as(&mut one, boris.id(), &text).unwrap().tx;
    assert_eq!(proposed(&one, &doc), format!("[[:db/add {applied} :db/doc \"a guess\"]]"));
    apply(&mut one, doc.id()).unwrap();
}

#[test]
fn a_long_log_is_walked_in_order_and_found_by_its_index() {
    let (mut log, mut one, mut two) = with_schema();
    let numbers: Vec<String> = (0..150).map(|n| format!("{{:name \"a{n}\" :ssn {n}}}")).collect();
    must(&mut one, &format!("[{}]", numbers.join(" ")));
    for n in 0..150 {
        must(&mut two, &format!("[{{:name \"b{n}\" :ssn {n}}}]"));
        must(&mut two, &format!("[{{:name \"c{n}\" :age {n}}}]"));
    }
    log.settle(&mut one, &mut two);
    let all = entries(&one);
    assert_eq!(all.len(), 150);
    assert!(all.is_sorted_by(|x, y| x.transaction.tx < y.transaction.tx));
    assert_eq!(all, entries(&two));
    let mut proposals = 0;
    let asked = one.journal(|entry| {
        proposals += one.proposal(&entry)?.forms.len();
        assert_eq!(one.entries(&entry.id().to_string())?, [entry]);
        Ok::<_, Error>(())
    });
    asked.unwrap();
    assert_eq!(proposals, 300, "a name and a number each");
    let stopped = one.journal(|_| Err::<(), _>(Error::new(ErrorKind::Full, "enough")));
    assert_eq!(stopped.unwrap_err().to_string(), "enough");
}
