//! The rebase primitive, between stores that share a log in memory.

use tolstoy_edn::Keyword;
use tolstoy_env::Env;
use tolstoy_store::{Entid, Error, ErrorKind, Position, Reason, Rebased, Store, Timeline, Transaction, Value};
use uuid::Uuid;

use crate::common::{entid, facts, must};

/// A log that devices sync with: what the newest synced store has as main.
#[derive(Default)]
pub(crate) struct Log(pub(crate) Vec<Transaction>);

/// Any position does: the store does not interpret it.
pub(crate) const POSITION: Position = Position { id: Uuid::nil(), digest: [0; 32] };

pub(crate) fn device(n: u64) -> Store {
    Store::in_memory(Env::repeatable(n)).unwrap()
}

pub(crate) fn main_of(store: &Store) -> Vec<Transaction> {
    store.transactions(Timeline::MAIN, Entid::TX0, usize::MAX).unwrap()
}

impl Log {
    pub(crate) fn try_sync(&mut self, store: &mut Store) -> Result<Rebased, Error> {
        self.try_sync_with(store, &[])
    }

    pub(crate) fn try_sync_with(&mut self, store: &mut Store, theirs: &[Keyword]) -> Result<Rebased, Error> {
        let main = main_of(store);
        let same = main.iter().zip(&self.0).take_while(|(x, y)| x == y).count();
        let root = Entid::TX0.plus(same as i64);
        let incoming: Vec<Result<_, Error>> = self.0[same..].iter().map(|t| Ok((t.clone(), POSITION))).collect();
        let rebased = if incoming.is_empty() {
            Rebased::default()
        } else {
            store.pass(|pass| pass.rebase(root, theirs, incoming))?
        };
        self.0 = main_of(store);
        Ok(rebased)
    }

    pub(crate) fn sync(&mut self, store: &mut Store) -> Rebased {
        self.try_sync(store).unwrap()
    }

    /// Syncs both until they are the same, and shows the facts.
    pub(crate) fn settle(&mut self, one: &mut Store, two: &mut Store) -> String {
        for _ in 0..2 {
            self.sync(one);
            self.sync(two);
        }
        assert_eq!(one.facts_digest().unwrap(), two.facts_digest().unwrap());
        assert_eq!(main_of(one), main_of(two));
        facts(one)
    }
}

pub(crate) const NAME: &str = "{:db/ident :name :db/valueType :db.type/string :db/cardinality :db.cardinality/one :db/unique :db.unique/identity}";
pub(crate) const AGE: &str = "{:db/ident :age :db/valueType :db.type/long :db/cardinality :db.cardinality/one}";
pub(crate) const SSN: &str =
    "{:db/ident :ssn :db/valueType :db.type/long :db/cardinality :db.cardinality/one :db/unique :db.unique/value}";
pub(crate) const FRIEND: &str = "{:db/ident :friend :db/valueType :db.type/ref :db/cardinality :db.cardinality/many}";

/// Two devices that share a schema.
pub(crate) fn with_schema() -> (Log, Store, Store) {
    let (mut log, mut one, mut two) = (Log::default(), device(1), device(2));
    must(&mut one, &format!("[{NAME} {AGE} {SSN} {FRIEND}]"));
    log.sync(&mut one);
    log.sync(&mut two);
    (log, one, two)
}

pub(crate) fn value(store: &Store, name: &str, attribute: &str) -> Vec<tolstoy_edn::Value> {
    let query = format!("[:find [?v ...] :where [?e :name \"{name}\"] [?e {attribute} ?v]]");
    let tolstoy_edn::Value::Vector(values) = store.query(&query, &[]).unwrap().to_edn() else {
        panic!("no collection")
    };
    values
}

#[test]
fn attributes_with_other_entids_are_one_attribute_everywhere() {
    let (mut log, mut one, mut two) = (Log::default(), device(1), device(2));
    must(&mut one, &format!("[{NAME} {AGE} {{:name \"Grisha\" :age 30}}]"));
    must(&mut two, &format!("[{SSN} {FRIEND} {NAME} {{:name \"Grisha\" :ssn 123 :friend {{:name \"Vera\"}}}}]"));
    assert_ne!(entid(&one, "name"), entid(&two, "name"));
    log.settle(&mut one, &mut two);
    for store in [&one, &two] {
        assert_eq!(value(store, "Grisha", ":age"), [30.into()]);
        assert_eq!(value(store, "Grisha", ":ssn"), [123.into()]);
        assert_eq!(value(store, "Grisha", ":friend").len(), 1);
    }
}

#[test]
fn an_identity_learnt_late_is_the_entity_from_its_first_mention() {
    let (mut log, mut one, mut two) = with_schema();
    must(&mut one, r#"[{:name "Anna" :age 20}]"#);
    let report = must(&mut two, r#"[{:db/id "x" :ssn 7} {:db/id "y" :ssn 8 :friend "x"}]"#);
    let x = report.tempids["x"];
    must(&mut two, &format!(r#"[[:db/add {x} :name "Anna"]]"#));
    log.sync(&mut one);
    let rebased = log.sync(&mut two);
    assert_eq!((rebased.reapplied, rebased.empty, rebased.displaced.len()), (1, 1, 0));
    log.settle(&mut one, &mut two);
    assert_eq!(value(&one, "Anna", ":ssn"), [7.into()]);
    assert_eq!(value(&one, "Anna", ":age"), [20.into()]);
}

#[test]
fn what_depends_on_a_displaced_change_is_displaced_with_it() {
    let (mut log, mut one, mut two) = with_schema();
    must(&mut one, r#"[{:name "Anna" :ssn 7}]"#);
    let boris = must(&mut two, r#"[{:db/id "b" :name "Boris" :ssn 7}]"#).tempids["b"];
    let vera = must(&mut two, &format!(r#"[{{:db/id "v" :name "Vera" :friend {boris}}}]"#)).tempids["v"];
    must(&mut two, &format!("[[:db/add {vera} :age 5]]"));
    must(&mut two, r#"[{:name "Oleg" :age 6}]"#);
    log.sync(&mut one);
    let rebased = log.sync(&mut two);
    let reasons: Vec<Reason> = rebased.displaced.iter().map(|d| d.reason).collect();
    assert_eq!(reasons, [Reason::Unique, Reason::Depends, Reason::Depends]);
    assert_eq!(rebased.reapplied, 1);
    log.settle(&mut one, &mut two);
    assert_eq!(value(&one, "Oleg", ":age"), [6.into()]);
    assert!(value(&one, "Boris", ":ssn").is_empty());
    let carriers: Vec<_> = main_of(&one).into_iter().filter_map(|t| t.displaced).collect();
    assert_eq!(carriers.len(), 3);
    // The placeholder is the same entity in both: allocated by the same change, under the same number.
    let boris_in = |n: usize| carriers[n].unbound.iter().find(|u| u.authored == boris).unwrap().origin;
    assert_eq!(boris_in(0), boris_in(1));
    assert!(carriers[0].changes.iter().any(|c| c.v == Value::Long(7) && c.e.get() < 0));
}

#[test]
fn carriers_move_along_in_later_merges() {
    let (mut log, mut one, mut two) = with_schema();
    must(&mut one, r#"[{:name "Anna" :ssn 7}]"#);
    must(&mut two, r#"[{:name "Boris" :ssn 7}]"#);
    log.sync(&mut one);
    let before = log.0.clone();
    log.sync(&mut two);
    // The push of the merge is lost, and the other device writes more.
    log.0 = before;
    must(&mut one, r#"[{:name "Oleg"}]"#);
    log.sync(&mut one);
    let rebased = log.sync(&mut two);
    assert_eq!((rebased.carried, rebased.displaced.len()), (1, 0));
    log.settle(&mut one, &mut two);
    assert_eq!(main_of(&one).iter().filter(|t| t.displaced.is_some()).count(), 1);
}

#[test]
fn an_edit_of_a_deleted_entity_is_displaced_unless_it_says_who_it_is() {
    let (mut log, mut one, mut two) = with_schema();
    must(&mut one, r#"[{:name "Anna" :age 20} {:name "Boris" :age 30} {:name "Vera" :age 40}]"#);
    log.settle(&mut one, &mut two);
    must(&mut one, r#"[[:db/retractEntity [:name "Anna"]] [:db/retractEntity [:name "Boris"]]]"#);
    must(&mut two, r#"[[:db/add [:name "Anna"] :age 21]]"#);
    must(&mut two, r#"[[:db/add [:name "Vera"] :friend [:name "Anna"]]]"#);
    must(&mut two, r#"[[:db/add [:name "Boris"] :name "Bob"]]"#);
    log.sync(&mut one);
    let rebased = log.sync(&mut two);
    let reasons: Vec<Reason> = rebased.displaced.iter().map(|d| d.reason).collect();
    assert_eq!(reasons, [Reason::Deleted, Reason::Deleted]);
    log.settle(&mut one, &mut two);
    assert!(value(&one, "Anna", ":age").is_empty());
    assert!(value(&one, "Vera", ":friend").is_empty());
    assert_eq!(value(&one, "Bob", ":name"), ["Bob".into()]);
}

#[test]
fn a_value_that_both_changed_is_recorded() {
    let (mut log, mut one, mut two) = with_schema();
    must(&mut one, r#"[{:name "Anna" :age 20}]"#);
    log.settle(&mut one, &mut two);
    must(&mut one, r#"[[:db/add [:name "Anna"] :age 21]]"#);
    must(&mut two, r#"[[:db/add [:name "Anna"] :age 22]]"#);
    must(&mut two, r#"[[:db/add [:name "Anna"] :age 23]]"#);
    log.sync(&mut one);
    let rebased = log.sync(&mut two);
    let listed: Vec<_> =
        rebased.overwritten.iter().map(|o| (o.base.clone(), o.incoming.clone(), o.local.clone())).collect();
    assert_eq!(listed, [(Some(Value::Long(20)), Some(Value::Long(21)), Value::Long(22))]);
    log.settle(&mut one, &mut two);
    assert_eq!(value(&one, "Anna", ":age"), [23.into()]);
    let recorded: Vec<_> = main_of(&one).into_iter().flat_map(|t| t.overwritten).collect();
    assert_eq!(recorded, rebased.overwritten);
}

#[test]
fn an_overwrite_is_still_recorded_after_a_second_merge() {
    let (mut log, mut one, mut two) = with_schema();
    must(&mut one, r#"[{:name "Anna" :age 20}]"#);
    log.settle(&mut one, &mut two);
    must(&mut one, r#"[[:db/add [:name "Anna"] :age 21]]"#);
    must(&mut two, r#"[[:db/add [:name "Anna"] :age 22]]"#);
    log.sync(&mut one);
    let before = log.0.clone();
    log.sync(&mut two);
    log.0 = before;
    must(&mut one, r#"[{:name "Oleg"}]"#);
    log.sync(&mut one);
    assert_eq!(log.sync(&mut two).overwritten, []);
    log.settle(&mut one, &mut two);
    assert_eq!(main_of(&one).iter().map(|t| t.overwritten.len()).sum::<usize>(), 1);
}

#[test]
fn a_change_that_came_back_under_other_numbers_is_known() {
    let (mut log, mut one, mut two) = with_schema();
    must(&mut one, r#"[{:name "Anna" :age 20}]"#);
    log.settle(&mut one, &mut two);
    let backup = log.0.clone();
    // Two hears of one's change; then the log is restored, a third device writes, and two supplies the change again.
    let oleg = must(&mut one, r#"[{:db/id "o" :name "Oleg" :age 1}]"#).tempids["o"];
    log.sync(&mut one);
    log.sync(&mut two);
    log.0 = backup;
    let mut three = device(3);
    log.sync(&mut three);
    must(&mut three, r#"[{:name "Yuri"} {:name "Petr"}]"#);
    log.sync(&mut three);
    log.sync(&mut two);
    // One has the change under its first number, and a further one that mentions its entity by that number.
    must(&mut one, &format!("[[:db/add {oleg} :age 2]]"));
    let rebased = log.sync(&mut one);
    assert_eq!((rebased.known, rebased.reapplied), (1, 1));
    log.settle(&mut one, &mut two);
    assert_eq!(value(&two, "Oleg", ":age"), [2.into()]);
    assert_eq!(value(&two, "Yuri", ":age"), []);
    assert_eq!(log.0.iter().map(|t| t.origin.id).collect::<std::collections::HashSet<_>>().len(), log.0.len());
}

#[test]
fn contradicting_definitions_stop_the_merge_and_change_nothing() {
    let (mut log, mut one, mut two) = (Log::default(), device(1), device(2));
    must(&mut one, &format!("[{AGE}]"));
    must(&mut two, "[{:db/ident :age :db/valueType :db.type/string :db/cardinality :db.cardinality/one}]");
    log.sync(&mut one);
    let (digest, main) = (two.facts_digest().unwrap(), main_of(&two));
    let error = log.try_sync(&mut two).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Definitions);
    insta::assert_snapshot!(error, @"both sides defined the attribute :age, and differently: here it is :db.type/string one, in the log it is :db.type/long one; nothing was changed");
    assert_eq!((two.facts_digest().unwrap(), main_of(&two)), (digest, main));
    must(&mut two, "[{:db/ident :shoe :db/valueType :db.type/long :db/cardinality :db.cardinality/one}]");
}

#[test]
fn unique_values_may_be_swapped() {
    let (mut log, mut one, mut two) = with_schema();
    must(&mut one, r#"[{:name "Anna" :ssn 1} {:name "Boris" :ssn 2}]"#);
    log.settle(&mut one, &mut two);
    must(&mut two, r#"[[:db/add [:name "Anna"] :ssn 2] [:db/add [:name "Boris"] :ssn 1]]"#);
    must(&mut one, r#"[{:name "Vera"}]"#);
    log.settle(&mut one, &mut two);
    assert_eq!(value(&one, "Anna", ":ssn"), [2.into()]);
    assert_eq!(value(&one, "Boris", ":ssn"), [1.into()]);
}

#[test]
fn refs_to_transactions_follow_them() {
    let (mut log, mut one, mut two) = with_schema();
    must(&mut one, r#"[{:name "Anna"}]"#);
    must(&mut two, r#"[{:name "Boris" :friend (transaction-tx)} [:db/add (transaction-tx) :name "the first"]]"#);
    must(&mut two, r#"[{:name "Vera" :friend [:name "the first"]}]"#);
    log.sync(&mut one);
    assert_eq!(log.sync(&mut two).reapplied, 2);
    log.settle(&mut one, &mut two);
    let tx = log.0.iter().find(|t| t.changes.iter().any(|c| c.e == t.tx && c.v == Value::String("the first".into())));
    let tx = tx.unwrap().tx;
    assert_eq!(value(&one, "Boris", ":friend"), [tx.get().into()]);
    assert_eq!(value(&one, "Vera", ":friend"), [tx.get().into()]);
}

#[test]
fn a_log_that_does_not_fit_is_refused_and_changes_nothing() {
    let (mut log, mut one, mut two) = with_schema();
    must(&mut one, r#"[{:name "Anna"}]"#);
    log.sync(&mut one);
    must(&mut one, r#"[{:name "Boris"}]"#);
    log.sync(&mut one);
    let good = log.0.clone();
    let last = good.len() - 1;
    let spoils: [fn(&mut Transaction, &Transaction); 4] = [
        |t, _| t.tx = t.tx.plus(1),
        |t, before| t.origin = before.origin,
        |t, before| t.changes.splice(0..0, before.facts().cloned().collect::<Vec<_>>()).for_each(drop),
        |t, before| t.instant = before.instant,
    ];
    let digest = two.facts_digest().unwrap();
    for spoil in spoils {
        log.0 = good.clone();
        let before = log.0[last - 1].clone();
        spoil(&mut log.0[last], &before);
        assert_eq!(log.try_sync(&mut two).unwrap_err().kind(), ErrorKind::Damaged);
        assert_eq!(two.facts_digest().unwrap(), digest);
    }
    log.0 = good;
    log.settle(&mut one, &mut two);
}

/// What is overwritten came in on top of what the local side knew, also where the log lost that and got it again by another way.
#[test]
fn an_overwritten_value_came_in_on_what_was_known() {
    let (mut log, mut one, mut two) = with_schema();
    must(&mut one, r#"[{:name "Anna" :age 1}]"#);
    log.settle(&mut one, &mut two);
    let before = log.0.clone();
    must(&mut two, r#"[[:db/add [:name "Anna"] :age 5]]"#);
    log.settle(&mut two, &mut one);
    let mut restored = Log(before);
    let mut three = device(3);
    restored.sync(&mut three);
    must(&mut three, r#"[{:name "Oleg"}]"#);
    restored.sync(&mut three);
    must(&mut one, r#"[[:db/add [:name "Anna"] :age 6]]"#);
    restored.sync(&mut one);
    must(&mut two, r#"[[:db/add [:name "Anna"] :age 7]]"#);
    let rebased = restored.sync(&mut two);
    let told: Vec<_> = rebased.overwritten.iter().map(|o| (o.base.clone(), o.incoming.clone())).collect();
    assert_eq!((rebased.known, told), (1, vec![(Some(Value::Long(5)), Some(Value::Long(6)))]));
}
