//! Attributes that both sides of a merge defined or altered.

use insta::assert_snapshot;
use tolstoy_edn::{Keyword, Value as Edn};
use tolstoy_store::{Cardinality, Error, ErrorKind, Reason, Store, Unique};

use crate::common::*;
use crate::rebase::{Log, NAME, device, main_of, value, with_schema};

const TAG: &str = "{:db/ident :tag :db/valueType :db.type/string :db/cardinality :db.cardinality/one}";

fn theirs(names: &[&str]) -> Vec<Keyword> {
    names.iter().map(|name| Keyword::parse(name).unwrap()).collect()
}

fn attribute(store: &Store, ident: &str) -> tolstoy_store::Attribute {
    store.schema().attribute(entid(store, ident)).unwrap().clone()
}

/// A merge that has to be refused, and leave no trace.
fn stopped(log: &mut Log, store: &mut Store, names: &[&str]) -> Error {
    let (main, digest, schema) = (main_of(store), store.facts_digest().unwrap(), store.schema().clone());
    let error = log.try_sync_with(store, &theirs(names)).unwrap_err();
    assert_eq!((main_of(store), store.facts_digest().unwrap(), store.schema().clone()), (main, digest, schema));
    assert!(store.side_timelines().unwrap().is_empty());
    error
}

/// One has a string attribute in the log, two a long one of its own, in use.
fn contradicting() -> (Log, Store, Store) {
    let (mut log, mut one, mut two) = with_schema();
    must(&mut one, &format!("[{TAG}]"));
    must(&mut one, r#"[{:name "Anna" :tag "red"}]"#);
    must(&mut two, &format!("[{} {{:name \"Oleg\"}}]", TAG.replace("string", "long")));
    must(&mut two, r#"[{:name "Vera" :tag 7}]"#);
    must(&mut two, r#"[{:name "Vera" :age 30}]"#);
    must(&mut two, r#"[{:name "Boris" :age 5}]"#);
    log.sync(&mut one);
    (log, one, two)
}

#[test]
fn two_definitions_that_contradict_are_both_named() {
    let (mut log, _, mut two) = contradicting();
    let error = stopped(&mut log, &mut two, &[]);
    assert_eq!(error.kind(), ErrorKind::Definitions);
    assert_snapshot!(error.to_string(), @"both sides defined the attribute :tag, and differently: here it is :db.type/long one, in the log it is :db.type/string one; nothing was changed");
    assert_eq!(stopped(&mut log, &mut two, &["name", "tug"]).to_string(), error.to_string());
}

#[test]
fn theirs_displaces_the_local_definition_and_what_depends_on_it() {
    let (mut log, mut one, mut two) = contradicting();
    let rebased = log.try_sync_with(&mut two, &theirs(&["tag"])).unwrap();
    let displaced: Vec<_> = rebased.displaced.iter().map(|d| (d.reason, d.detail.as_str())).collect();
    // The definition, with Oleg, who came in the same transaction; Vera's tag, with Vera; and her age, since she was made there.
    let reasons: Vec<Reason> = displaced.iter().map(|d| d.0).collect();
    assert_eq!(reasons, [Reason::Schema, Reason::Depends, Reason::Depends]);
    assert_snapshot!(displaced[0].1, @"it defines :tag as :db.type/long one, which gave way to the log's definition, :db.type/string one");
    assert_eq!(rebased.reapplied, 1);
    log.settle(&mut one, &mut two);
    assert_eq!(attribute(&two, "tag").to_string(), ":db.type/string one");
    assert_eq!(value(&two, "Anna", ":tag"), [Edn::String("red".into())]);
    assert_eq!(value(&two, "Boris", ":age"), [Edn::Integer(5)]);
    let carriers: Vec<_> = main_of(&one).into_iter().filter_map(|t| t.displaced).collect();
    assert_eq!(carriers.len(), 3);
    // The attribute is one and the same unbound entity in the definition and in what used it.
    let (definition, used) = (&carriers[0], &carriers[1]);
    assert!(
        used.unbound
            .iter()
            .any(|u| definition.unbound.iter().any(|d| (d.origin, d.authored) == (u.origin, u.authored)))
    );
    must(&mut two, r#"[{:name "Vera" :tag "blue"}]"#);
}

#[test]
fn theirs_is_needed_for_each_attribute_that_contradicts() {
    let (mut log, mut one, mut two) = with_schema();
    let other = TAG.replace(":tag", ":other");
    must(&mut one, &format!("[{TAG} {other}]"));
    must(&mut two, &format!("[{}]", TAG.replace("/one", "/many")));
    must(&mut two, &format!("[{}]", other.replace("/one", "/many")));
    log.sync(&mut one);
    assert!(stopped(&mut log, &mut two, &["tag"]).to_string().contains(":other"));
    assert!(stopped(&mut log, &mut two, &["other"]).to_string().contains(":tag"));
    let rebased = log.try_sync_with(&mut two, &theirs(&["other", "tag"])).unwrap();
    assert_eq!(rebased.displaced.iter().map(|d| d.reason).collect::<Vec<_>>(), [Reason::Schema, Reason::Schema]);
    log.settle(&mut one, &mut two);
}

/// Who shares a name with whom depends on what a name is.
#[test]
fn an_identity_that_gave_way_names_nobody() {
    let (mut log, mut one, mut two) = (Log::default(), device(1), device(2));
    must(&mut one, &format!("[{NAME} {{:name \"Anna\"}}]"));
    must(&mut two, &format!("[{}]", NAME.replace("unique/identity", "unique/value")));
    let anna = must(&mut two, r#"[{:db/id "a" :name "Anna" :db/doc "another"}]"#).tempids["a"];
    must(&mut two, &format!("[[:db/add {anna} :db/doc \"a third\"]]"));
    log.sync(&mut one);
    assert_eq!(stopped(&mut log, &mut two, &[]).kind(), ErrorKind::Definitions);
    let rebased = log.try_sync_with(&mut two, &theirs(&["name"])).unwrap();
    assert_eq!(rebased.displaced.len(), 3);
    assert_eq!(rebased.renamed, []);
    log.settle(&mut one, &mut two);
}

#[test]
fn compatible_definitions_merge_and_the_later_one_stands() {
    let (mut log, mut one, mut two) = with_schema();
    let with = |more: &str| TAG.replace('}', &format!(" {more}}}"));
    must(&mut one, &format!("[{}]", with(":db/doc \"ours\"")));
    must(
        &mut two,
        &format!("[{}]", with(":db/doc \"yours\" :db/index true :db/noHistory true :db/merge :db.merge/first")),
    );
    log.sync(&mut one);
    let rebased = log.sync(&mut two);
    assert_eq!(rebased.displaced, []);
    log.settle(&mut one, &mut two);
    assert_eq!(attribute(&one, "tag").to_string(), ":db.type/string one index no-history merge-first");
    let docs = one.query("[:find ?d . :where [?e :db/ident :tag] [?e :db/doc ?d]]", &[]).unwrap();
    assert_eq!(docs.to_edn().to_string(), "\"yours\"");
}

/// Two devices made the same definition, and one went on with it: that is an alteration and no contradiction, in
/// whichever order they come.
#[test]
fn an_equal_definition_that_was_altered_since_is_no_contradiction() {
    for altered_first in [true, false] {
        let (mut log, mut one, mut two) = with_schema();
        for store in [&mut one, &mut two] {
            must(store, &format!("[{TAG}]"));
        }
        must(&mut one, r#"[{:name "Anna" :tag "red"}]"#);
        must(&mut one, "[[:db/add :tag :db/cardinality :db.cardinality/many]]");
        must(&mut one, r#"[{:name "Anna" :tag "blue"}]"#);
        must(&mut two, r#"[{:name "Vera" :tag "green"}]"#);
        let stores = if altered_first { [&mut one, &mut two] } else { [&mut two, &mut one] };
        for store in stores {
            let rebased = log.sync(store);
            assert_eq!((rebased.displaced, rebased.overwritten), (vec![], vec![]), "{altered_first}");
        }
        log.settle(&mut one, &mut two);
        assert_eq!(attribute(&two, "tag").cardinality(), Cardinality::Many);
        assert_eq!(value(&two, "Anna", ":tag").len(), 2);
        assert_eq!(value(&two, "Vera", ":tag").len(), 1);
    }
}

/// The hub was restored to before either definition, and another device supplies its own, as it was before the first merge.
#[test]
fn an_equal_definition_altered_since_meets_the_one_it_was_merged_with() {
    let (mut log, mut one, mut two) = with_schema();
    let mut backup = Log(log.0.clone());
    must(&mut one, &format!("[{TAG}]"));
    log.sync(&mut one);
    must(&mut two, &format!("[{TAG}]"));
    let made = main_of(&two);
    log.settle(&mut one, &mut two);
    must(&mut one, "[[:db/add :tag :db/cardinality :db.cardinality/many]]");
    must(&mut one, r#"[{:name "Anna" :tag ["red" "blue"]}]"#);
    backup.0 = made;
    assert_eq!(backup.sync(&mut one).displaced, []);
    backup.settle(&mut one, &mut two);
    assert_eq!(value(&two, "Anna", ":tag").len(), 2);
}

/// The definition was merged and not pushed: what the log says of it since stays in the next merge, as it would have in one.
#[test]
fn an_equal_definition_that_was_merged_once_undoes_no_alteration_in_the_next_merge() {
    for alteration in
        ["[[:db/add :tag :db/cardinality :db.cardinality/many]]", "[[:db/retract :tag :db/unique :db.unique/value]]"]
    {
        let (mut log, mut one, mut two) = with_schema();
        let unique = TAG.replace('}', " :db/unique :db.unique/value}");
        for store in [&mut one, &mut two] {
            must(store, &format!("[{unique}]"));
        }
        log.sync(&mut one);
        let pushed = log.0.clone();
        log.sync(&mut two);
        // That merge did not get to the log, and another did.
        log.0 = pushed;
        must(&mut one, alteration);
        log.sync(&mut one);
        let altered = attribute(&one, "tag");
        let rebased = log.sync(&mut two);
        assert_eq!((rebased.displaced, rebased.overwritten), (vec![], vec![]), "{alteration}");
        log.settle(&mut one, &mut two);
        assert_eq!(attribute(&two, "tag"), altered, "{alteration}");
    }
}

/// Definitions that differed when they were made and agree now are one.
#[test]
fn definitions_that_came_to_agree_are_no_contradiction() {
    let (mut log, mut one, mut two) = with_schema();
    must(&mut one, &format!("[{TAG}]"));
    must(&mut two, &format!("[{}]", TAG.replace("/one", "/many")));
    must(&mut one, "[[:db/add :tag :db/cardinality :db.cardinality/many]]");
    log.sync(&mut one);
    assert_eq!(log.sync(&mut two).displaced, []);
    log.settle(&mut one, &mut two);
    assert_eq!(attribute(&two, "tag").cardinality(), Cardinality::Many);
}

#[test]
fn alterations_of_both_sides_apply_one_after_the_other() {
    let (mut log, mut one, mut two) = with_schema();
    must(&mut one, "[[:db/add :age :db/cardinality :db.cardinality/many] [:db/add :age :db/doc \"years\"]]");
    must(&mut one, "[[:db/retract :ssn :db/unique :db.unique/value]]");
    must(&mut two, "[[:db/add :age :db/index true] [:db/add :age :db/doc \"Jahre\"]]");
    must(&mut two, "[[:db/add :ssn :db/unique :db.unique/identity]]");
    log.sync(&mut one);
    assert_eq!(log.sync(&mut two).displaced, []);
    log.settle(&mut one, &mut two);
    assert_eq!(attribute(&one, "age").to_string(), ":db.type/long many index");
    assert_eq!(attribute(&one, "ssn").unique(), Some(Unique::Identity));
}

#[test]
fn a_tightening_that_the_facts_no_longer_permit_is_displaced() {
    let (mut log, mut one, mut two) = with_schema();
    must(&mut one, r#"[{:db/id "a" :name "A" :age 1} {:db/id "b" :name "B" :age 1 :friend ["a" "b"]}]"#);
    must(&mut two, "[[:db/add :age :db/unique :db.unique/value]]");
    must(&mut two, "[[:db/add :friend :db/cardinality :db.cardinality/one]]");
    must(&mut two, r#"[{:name "C" :age 2}]"#);
    log.sync(&mut one);
    let rebased = log.sync(&mut two);
    let told: Vec<_> = rebased.displaced.iter().map(|d| format!("{}: {}", d.reason.word(), d.detail)).collect();
    assert_snapshot!(told.join("\n"), @r"
    schema: the attribute :age cannot become unique: 65540 and 65541 have the same value
    schema: the attribute :friend cannot become cardinality one: 65541 has several values
    ");
    assert_eq!(rebased.reapplied, 1);
    log.settle(&mut one, &mut two);
    assert_eq!(attribute(&one, "age").unique(), None);
}
