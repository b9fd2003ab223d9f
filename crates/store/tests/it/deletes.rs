//! Deletes that meet edits, numbers that look like entities and are none, and the end of the numbers.

use std::path::Path;

use tolstoy_edn::Value as Edn;
use tolstoy_env::Env;
use tolstoy_store::{Entid, ErrorKind, Reason, Rebased, Store};

use crate::common::*;
use crate::rebase::{FRIEND, Log, NAME, device, main_of, value, with_schema};

const HOME: &str =
    "{:db/ident :home :db/valueType :db.type/ref :db/cardinality :db.cardinality/many :db/isComponent true}";
const STREET: &str = "{:db/ident :street :db/valueType :db.type/string :db/cardinality :db.cardinality/one}";
const TEXT: &str = "{:db/ident :text :db/valueType :db.type/string :db/cardinality :db.cardinality/many}";

/// Two devices that share Anna, who has a home, and Boris.
fn whole_homes() -> (Log, Store, Store) {
    let (mut log, mut one, mut two) = with_schema();
    must(&mut one, &format!("[{HOME} {STREET} {TEXT}]"));
    must(&mut one, r#"[{:name "Anna" :age 20 :home {:street "s"}} {:name "Boris"}]"#);
    log.settle(&mut one, &mut two);
    (log, one, two)
}

/// The same, and one of them deleted her and synced.
fn homes() -> (Log, Store, Store) {
    let (mut log, mut one, two) = whole_homes();
    must(&mut one, r#"[[:db/retractEntity [:name "Anna"]]]"#);
    log.sync(&mut one);
    (log, one, two)
}

fn the(store: &Store, query: &str) -> i64 {
    let found = store.query(&format!("[:find ?x . :where {query}]"), &[]).unwrap().to_edn();
    found.as_i64().unwrap_or_else(|| panic!("{query} finds {found}"))
}

fn reasons(rebased: &Rebased) -> Vec<Reason> {
    rebased.displaced.iter().map(|d| d.reason).collect()
}

/// No entity has facts that lack the ones it began with.
fn no_skeleton(store: &Store, e: i64) {
    let facts: Vec<_> = store.datoms().unwrap().into_iter().filter(|d| d.e == Entid::new(e)).collect();
    assert_eq!(show(store, &facts), "");
    let refs = store.datoms().unwrap().into_iter().filter(|d| d.v.as_ref_entid() == Some(Entid::new(e))).count();
    assert_eq!(refs, 0, "something refers to {e}");
}

#[test]
fn an_edit_of_a_deleted_entitys_component_is_displaced() {
    let (mut log, mut one, mut two) = homes();
    let (anna, home) = (the(&two, "[?x :name \"Anna\"]"), the(&two, "[?x :street]"));
    must(&mut two, &format!("[[:db/add {home} :street \"t\"]]"));
    must(&mut two, r#"[[:db/add [:name "Anna"] :home "new"] {:db/id "new" :street "u"}]"#);
    must(&mut two, &format!("[[:db/add [:name \"Boris\"] :home {home}]]"));
    must(&mut two, r#"[[:db/add [:name "Boris"] :age 7]]"#);
    let rebased = log.sync(&mut two);
    assert_eq!(reasons(&rebased), [Reason::Deleted, Reason::Deleted, Reason::Deleted]);
    assert_eq!(rebased.reapplied, 1);
    log.settle(&mut one, &mut two);
    for e in [anna, home] {
        no_skeleton(&one, e);
    }
}

#[test]
fn what_was_made_in_a_displaced_edit_is_gone_with_it() {
    let (mut log, mut one, mut two) = homes();
    let new = must(&mut two, r#"[[:db/add [:name "Anna"] :home "new"] {:db/id "new" :street "u"}]"#).tempids["new"];
    must(&mut two, &format!("[[:db/add {new} :street \"v\"]]"));
    assert_eq!(reasons(&log.sync(&mut two)), [Reason::Deleted, Reason::Depends]);
    log.settle(&mut one, &mut two);
    assert_eq!(one.query("[:find [?s ...] :where [_ :street ?s]]", &[]).unwrap().to_edn().to_string(), "[]");
}

#[test]
fn who_restates_a_unique_identity_is_revived_and_can_be_edited_again() {
    let (mut log, mut one, mut two) = homes();
    let anna = the(&two, "[?x :name \"Anna\"]");
    must(&mut two, r#"[[:db/add [:name "Anna"] :age 21]]"#);
    must(&mut two, r#"[[:db/add [:name "Anna"] :name "Anne"]]"#);
    must(&mut two, r#"[[:db/add [:name "Anne"] :age 22]]"#);
    must(&mut two, r#"[[:db/add [:name "Boris"] :friend [:name "Anne"]]]"#);
    let rebased = log.sync(&mut two);
    assert_eq!((reasons(&rebased), rebased.reapplied), (vec![Reason::Deleted], 3));
    log.settle(&mut one, &mut two);
    assert_eq!(the(&one, "[?x :name \"Anne\"]"), anna);
    assert_eq!(value(&one, "Anne", ":age"), [Edn::Integer(22)]);
    assert_eq!(value(&one, "Boris", ":friend"), [Edn::Integer(anna)]);
}

/// A policy may leave nothing of the identity that the change states; then nobody is revived.
#[test]
fn an_identity_that_a_policy_leaves_out_revives_nobody() {
    for policy in ["first", "journal"] {
        let (mut log, mut one, mut two) = with_schema();
        must(&mut one, &format!("[[:db/add :name :db/merge :db.merge/{policy}]]"));
        must(&mut one, r#"[{:name "Anna" :age 20}]"#);
        log.settle(&mut one, &mut two);
        let anna = the(&two, "[?x :name \"Anna\"]");
        must(&mut one, r#"[[:db/retractEntity [:name "Anna"]]]"#);
        must(&mut two, r#"[[:db/add [:name "Anna"] :name "Anne"] [:db/add [:name "Anna"] :age 21]]"#);
        log.sync(&mut one);
        assert_eq!(reasons(&log.sync(&mut two)), [Reason::Deleted], "{policy}");
        log.settle(&mut one, &mut two);
        no_skeleton(&one, anna);
    }
}

/// Whoever comes first, no skeleton stays: an edit that comes in keeps its entity whole, and the delete waits in the journal.
#[test]
fn a_delete_of_what_was_edited_meanwhile_is_displaced() {
    for edit in [
        r#"[[:db/add [:name "Anna"] :age 21]]"#,
        r#"[[:db/add [:name "Anna"] :text "new"]]"#,
        r#"[[:db/add [:name "Anna"] :home "new"] {:db/id "new" :street "u"}]"#,
        r#"[{:name "Boris" :friend [:name "Anna"]}]"#,
    ] {
        let (mut log, mut one, mut two) = whole_homes();
        must(&mut two, edit);
        let before = two.datoms().unwrap().len();
        log.sync(&mut two);
        must(&mut one, r#"[[:db/retractEntity [:name "Anna"]]]"#);
        must(&mut one, r#"[[:db/add [:name "Boris"] :age 7]]"#);
        let rebased = log.sync(&mut one);
        assert_eq!((reasons(&rebased), rebased.reapplied), (vec![Reason::Deleted], 1), "{edit}");
        log.settle(&mut one, &mut two);
        // The delete's carrier, the other change's, and what that says.
        assert_eq!(two.datoms().unwrap().len(), before + 3, "{edit}");
    }
}

/// Of a component that was edited meanwhile the delete is displaced too: whoever it belongs to goes with it, or stays with it.
#[test]
fn a_delete_whose_component_was_edited_meanwhile_is_displaced() {
    let (mut log, mut one, mut two) = whole_homes();
    let (anna, home) = (the(&two, "[?x :name \"Anna\"]"), the(&two, "[?x :street]"));
    must(&mut two, &format!("[[:db/add {home} :street \"t\"]]"));
    log.sync(&mut two);
    must(&mut one, r#"[[:db/retractEntity [:name "Anna"]]]"#);
    assert_eq!(reasons(&log.sync(&mut one)), [Reason::Deleted]);
    log.settle(&mut one, &mut two);
    assert_eq!((the(&one, "[?x :name \"Anna\"]"), the(&one, "[?x :street \"t\"]")), (anna, home));
}

/// A retraction is no delete, whatever came in of the entity: something of it was left where it was made.
#[test]
fn a_retraction_of_what_was_edited_meanwhile_is_applied() {
    let (mut log, mut one, mut two) = whole_homes();
    must(&mut two, r#"[[:db/add [:name "Anna"] :name "Anne"] [:db/add [:name "Anna"] :text "new"]]"#);
    log.sync(&mut two);
    must(&mut one, r#"[[:db/retract [:name "Anna"] :age 20]]"#);
    let rebased = log.sync(&mut one);
    assert_eq!((reasons(&rebased), rebased.reapplied), (vec![], 1));
    log.settle(&mut one, &mut two);
    assert!(value(&two, "Anne", ":age").is_empty());
}

/// What both sides deleted is gone; what one deleted and the other only mentioned in what it deleted too, as well.
#[test]
fn deletes_of_both_sides_meet_without_a_word() {
    let (mut log, mut one, mut two) = whole_homes();
    let (anna, home) = (the(&two, "[?x :name \"Anna\"]"), the(&two, "[?x :street]"));
    must(&mut two, r#"[[:db/add [:name "Anna"] :age 30]]"#);
    must(&mut two, r#"[[:db/retractEntity [:name "Anna"]]]"#);
    log.sync(&mut two);
    must(&mut one, r#"[[:db/retractEntity [:name "Anna"]]]"#);
    assert_eq!(reasons(&log.sync(&mut one)), []);
    log.settle(&mut one, &mut two);
    for e in [anna, home] {
        no_skeleton(&one, e);
    }
}

#[test]
fn who_is_deleted_on_both_sides_and_made_again_on_one_is_new() {
    let (mut log, mut one, mut two) = homes();
    let anna = the(&two, "[?x :name \"Anna\"]");
    must(&mut two, r#"[[:db/retractEntity [:name "Anna"]]]"#);
    must(&mut two, r#"[{:name "Anna" :age 3}]"#);
    let rebased = log.sync(&mut two);
    assert_eq!((reasons(&rebased), rebased.empty, rebased.reapplied), (vec![], 1, 1));
    log.settle(&mut one, &mut two);
    assert_ne!(the(&one, "[?x :name \"Anna\"]"), anna);
    no_skeleton(&one, anna);
}

/// An entity that a local change made, that got into the log by another way and that was deleted there.
#[test]
fn an_edit_of_ones_own_entity_that_was_deleted_in_the_log_is_displaced() {
    let (mut log, mut one, mut two) = with_schema();
    let before = log.0.clone();
    must(&mut two, r#"[{:db/id "v" :name "Vera" :age 1}]"#);
    log.sync(&mut two);
    log.sync(&mut one);
    // The hub is restored; one writes something else first, supplies Vera under another number, and deletes her.
    let mut restored = Log(before);
    let mut three = device(3);
    restored.sync(&mut three);
    must(&mut three, r#"[{:name "Oleg"}]"#);
    restored.sync(&mut three);
    restored.sync(&mut one);
    must(&mut one, r#"[[:db/retractEntity [:name "Vera"]]]"#);
    restored.sync(&mut one);
    must(&mut two, r#"[[:db/add [:name "Vera"] :age 2]]"#);
    let rebased = restored.sync(&mut two);
    assert_eq!((reasons(&rebased), rebased.known), (vec![Reason::Deleted], 1));
    restored.settle(&mut one, &mut two);
    assert_eq!(one.query("[:find [?a ...] :where [_ :age ?a]]", &[]).unwrap().to_edn().to_string(), "[]");
}

/// Entities change their numbers in a merge; a text, a number or a UUID that looks like one stays what it is.
#[test]
fn strings_that_look_like_ids_stay_strings() {
    let (mut log, mut one, mut two) = with_schema();
    must(&mut one, &format!("[{TEXT}]"));
    log.settle(&mut one, &mut two);
    must(&mut one, r#"[{:name "Anna"} {:name "Boris"}]"#);
    let vera = must(&mut two, r#"[{:db/id "v" :name "Vera"}]"#).tempids["v"];
    let origin = must(&mut two, "[]").origin.id;
    let texts = format!(r#"["{vera}" "v" "[:name \"Vera\"]" ":name" "{origin}" "268435457" "#);
    must(&mut two, &format!(r#"[{{:name "{vera}" :age {} :text {texts}]}}]"#, vera.get()));
    must(&mut two, &format!("[[:db/add [:name \"{vera}\"] :friend {vera}]]"));
    log.sync(&mut one);
    let rebased = log.sync(&mut two);
    log.settle(&mut one, &mut two);
    let (_, now) = rebased.renamed.iter().copied().find(|(from, _)| *from == vera).unwrap();
    let name = vera.to_string();
    assert_eq!(value(&one, &name, ":age"), [Edn::Integer(vera.get())]);
    assert_eq!(value(&one, &name, ":friend"), [Edn::Integer(now.get())]);
    let found = value(&one, &name, ":text");
    assert_eq!(found.len(), 6);
    assert!(found.contains(&Edn::String(name.into())));
    assert!(found.contains(&Edn::String(origin.to_string().into())));
}

/// Makes the next new entity of a store be this one, as it would be after very many.
fn set_next(path: &Path, next: i64) {
    let sql = rusqlite::Connection::open(path).unwrap();
    sql.execute("UPDATE transactions SET next_entid = ?1 WHERE tx = (SELECT max(tx) FROM transactions)", [next])
        .unwrap();
}

#[test]
fn the_end_of_the_user_partition_fails_loudly() {
    let dir = tempfile::tempdir().unwrap();
    let paths = ["one.db", "two.db"].map(|name| dir.path().join(name));
    let last = Entid::TX0.get() - 1;
    let mut log = Log::default();
    let [mut one, mut two] = [0, 1].map(|n| {
        let mut store = Store::open_or_create(&paths[n], Env::repeatable(n as u64 + 1)).unwrap();
        if n == 0 {
            must(&mut store, &format!("[{NAME} {FRIEND}]"));
        }
        log.sync(&mut store);
        drop(store);
        set_next(&paths[n], last - 2);
        Store::open(&paths[n], Env::repeatable(n as u64 + 11)).unwrap()
    });
    must(&mut one, r#"[{:name "Anna"}]"#);
    for name in ["Boris", "Vera", "Oleg"] {
        must(&mut two, &format!("[{{:name \"{name}\"}}]"));
    }
    assert_eq!(the(&two, "[?x :name \"Oleg\"]"), last);
    // There is none left for what is new, and everything else goes on.
    assert_eq!(two.transact_str(r#"[{:name "Yuri"}]"#).unwrap_err().kind(), ErrorKind::Full);
    insta::assert_snapshot!(refused(&mut two, r#"[{:name "Yuri"}]"#), @"Full: the store has no entity numbers left (268 million are in use)");
    must(&mut two, &format!("[[:db/add {last} :friend {last}]]"));

    // Nor for what a merge has to give another number: nothing is changed, and what was there stays.
    log.sync(&mut one);
    let (main, digest) = (main_of(&two), two.facts_digest().unwrap());
    assert_eq!(log.try_sync(&mut two).unwrap_err().kind(), ErrorKind::Full);
    assert_eq!((main_of(&two), two.facts_digest().unwrap()), (main, digest));
    assert!(two.side_timelines().unwrap().is_empty());
}
