//! Tasks that are shared with Taskwarrior: a document in a task of a replica comes back exactly, with what Taskwarrior changed.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;
use tolstoy_tasks::taskwarrior::{
    TaskMap, from_replica, id_of, is_held, to_replica, uuid_in_replica, uuid_of, written_at,
};
use tolstoy_tasks::{Author, Document, TaskId, resolve};
use uuid::Uuid;

use crate::common::{author, doc, instant, set, text};

const ID: &str = "pb67wndxge8293xd";
const THEIRS: &str = "296d835e-8f85-4224-8f36-c612cad1b9f8";
const OTHER: &str = "8c4fed9c-c0d2-40c2-936d-36fc44e084a0";

fn uuid(text: &str) -> Uuid {
    text.parse().unwrap()
}

fn map(of: &[(&str, &str)]) -> TaskMap {
    of.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn given(document: &Document) -> TaskMap {
    to_replica(document, None, &|_| None)
}

fn taken(document: &Document, map: &TaskMap) -> Document {
    from_replica(uuid_in_replica(document), map).unwrap_or_else(|e| panic!("{map:?}: {e}"))
}

fn laptop(second: u32) -> Author {
    author("laptop", &format!("2026-11-25T09:00:{second:02}.5Z"))
}

/// A task of ours with all that Taskwarrior knows of.
fn full() -> Document {
    let mut document = doc(&format!(
        r#"{{"id":"{ID}","created_at":"2026-11-01T08:00:00.25Z","updated_at":"2026-11-01T08:00:00.25Z","size":3.50,"blocked_by":["{}"],"annotations":[{{"entry":"20261102T080500Z","description":"oat"}},{{"entry":"20261102T080500Z","description":"fresh"}}]}}"#,
        id_of(uuid(OTHER))
    ));
    for (name, value) in [("description", "Milk"), ("due", "2026-11-26"), ("snooze", "2026-11-30T00:00:00Z")] {
        set(&mut document, &laptop(1), name, value);
    }
    document.tag(&laptop(2), "home", true).unwrap();
    document.tag(&laptop(2), "shop", true).unwrap();
    document
}

#[test]
fn taskwarrior_sees_what_it_knows_of_and_the_rest_is_beside() {
    let document = full();
    let mut seen = to_replica(&document, None, &|id| (id == id_of(uuid(OTHER))).then(|| uuid(OTHER)));
    assert_eq!(seen.remove("tolstoy_document"), Some(document.to_json().exact()));
    let expected = map(&[
        ("annotation_1793606700", "oat"),
        ("annotation_1793606701", "fresh"),
        (&format!("dep_{OTHER}"), "x"),
        ("depends", OTHER),
        ("description", "Milk"),
        ("due", "1795651200"),
        ("entry", "1793520000"),
        ("modified", "1795597202"),
        ("size", "3.50"),
        ("status", "pending"),
        ("tag_home", "x"),
        ("tag_shop", "x"),
        ("tags", "home,shop"),
        ("tolstoy_snooze", "2026-11-30T00:00:00Z"),
    ]);
    assert_eq!(seen, expected);
}

#[test]
fn what_taskwarrior_does_not_change_comes_back_exactly() {
    let document = full();
    assert_eq!(taken(&document, &given(&document)), document);
    assert!(is_held(&document, uuid_of(document.id()), &given(&document)));
}

#[test]
fn what_taskwarrior_changes_is_an_edit_that_knew_the_rest() {
    let before = full();
    let mut changed = given(&before);
    changed.extend(map(&[
        ("description", "Oat milk"),
        ("tag_cold", "x"),
        ("modified", "1795600000"),
        ("priority", "H"),
    ]));
    changed.extend(map(&[("status", "completed"), ("end", "1795600000")]));
    for gone in ["due", "tag_shop", "annotation_1793606700"] {
        changed.remove(gone);
    }
    let after = taken(&before, &changed);
    assert_eq!(after.get("description"), text("Oat milk").as_ref());
    assert_eq!(after.get("due"), None);
    assert_eq!(after.get("done"), text("2026-11-25T09:46:40Z").as_ref());
    assert_eq!(after.get("updated_at"), text("2026-11-25T09:46:40Z").as_ref());
    assert_eq!(after.tags().collect::<Vec<_>>(), ["cold", "home"]);
    // What it did not touch is as exact as it was.
    for same in ["created_at", "size", "snooze"] {
        assert_eq!(after.get(same), before.get(same), "{same}");
    }
    assert_eq!(after.journal(), [], "it knew what it replaced");
    assert_eq!(resolve(&before, &after).unwrap(), after, "an edit grows");
    // A clock that is behind changes nothing about that.
    changed.insert("modified".to_owned(), "1".to_owned());
    assert_eq!(taken(&before, &changed).get("description"), text("Oat milk").as_ref());
}

#[test]
fn an_edit_of_ours_meanwhile_is_resolved_with_it() {
    let before = full();
    let mut changed = given(&before);
    changed.extend(map(&[("description", "Oat milk"), ("modified", "1795597230")]));
    let mut ours = before.clone();
    set(&mut ours, &laptop(50), "description", "Rice milk");
    set(&mut ours, &laptop(3), "due", "2026-11-27");
    let both = resolve(&taken(&before, &changed), &ours).unwrap();
    assert_eq!((both.get("description"), both.get("due")), (text("Rice milk").as_ref(), text("2026-11-27").as_ref()));
    assert_eq!(both.journal().len(), 1, "Oat milk");
}

#[test]
fn a_removal_by_taskwarrior_is_one_of_what_it_wrote_itself_too() {
    let theirs = map(&[("description", "Milk"), ("project", "Home"), ("modified", "1795590000"), ("tag_a", "x")]);
    let here = from_replica(uuid(THEIRS), &theirs).unwrap();
    assert_eq!(here.id(), id_of(uuid(THEIRS)));
    let mut held = to_replica(&here, Some(&theirs), &|_| None);
    held.remove("project");
    held.remove("tag_a");
    held.insert("modified".to_owned(), "1795590001".to_owned());
    let after = from_replica(uuid(THEIRS), &held).unwrap();
    let both = resolve(&here, &after).unwrap();
    assert_eq!((both.get("project"), both.tags().count()), (None, 0));
    assert_eq!(both.journal(), []);
}

#[test]
fn another_s_document_or_none_is_told() {
    let document = full();
    for (bad, why) in [("{", "cut off"), ("{\"id\":\"wbyzkrrrp7xb2rps\"}", "of another task"), ("7", "a JSON object")] {
        let mut map = given(&document);
        map.insert("tolstoy_document".to_owned(), bad.to_owned());
        let refusal = from_replica(uuid_of(document.id()), &map).unwrap_err().to_string();
        assert!(refusal.contains(why) && refusal.contains("tolstoy_document"), "{refusal}");
    }
}

#[test]
fn when_it_was_written_is_known_of_each_attribute() {
    let document = full();
    for (attribute, at) in [
        ("description", "2026-11-25T09:00:01.5Z"),
        ("tolstoy_snooze", "2026-11-25T09:00:01.5Z"),
        ("tag_home", "2026-11-25T09:00:02.5Z"),
        ("size", "2026-11-01T08:00:00.25Z"),
        ("modified", "2026-11-25T09:00:02.5Z"),
    ] {
        assert_eq!(written_at(&document, attribute), instant(at), "{attribute}");
    }
}

fn any_map() -> impl Strategy<Value = TaskMap> {
    let names = select(vec![
        "status",
        "description",
        "entry",
        "modified",
        "start",
        "end",
        "due",
        "wait",
        "scheduled",
        "until",
        "recur",
        "mask",
        "parent",
        "project",
        "priority",
        "tags",
        "depends",
        "id",
        "uuid",
        "urgency",
        "tag_home",
        "tag_",
        "dep_",
        "dep_x",
        "dep_8c4fed9c-c0d2-40c2-936d-36fc44e084a0",
        "annotation_5",
        "annotation_x",
        "annotations",
        "done",
        "deleted",
        "tolstoy_snooze",
        "tolstoy_recur_from",
        "blocked_by",
        "created_at",
        "updated_at",
        "_clocks",
        "x",
    ]);
    let values = prop_oneof![
        select(vec![
            "pending",
            "completed",
            "deleted",
            "recurring",
            "waiting",
            "x",
            "",
            "1795597202",
            "99999999999999"
        ])
        .prop_map(str::to_owned),
        (0_i64..4_000_000_000).prop_map(|second| second.to_string()),
        "\\PC{0,12}",
    ];
    btree_map(names.prop_map(str::to_owned), values, 0..14)
}

/// Edits of a document of ours, of properties that mean something to Taskwarrior too.
fn any_document() -> impl Strategy<Value = Document> {
    let names = select(vec![
        "description",
        "due",
        "wait",
        "snooze",
        "recur",
        "recur_from",
        "done",
        "deleted",
        "last_done",
        "created_at",
        "end",
        "start",
        "status",
        "depends",
        "entry",
        "modified",
        "annotations",
        "tag_x",
        "dep_x",
        "tags_",
        "uuid",
        "urgency",
        "taskwarrior_done",
        "tolstoy_done",
        "tolstoy_document",
        "blocked_by",
        "project",
        "annotation_7",
    ]);
    let values = select(vec![
        r#""2026-11-26""#,
        r#""2026-11-26T09:30:00.5Z""#,
        r#""0001-01-01T00:00:00Z""#,
        r#""1w""#,
        r#""""#,
        "true",
        "false",
        "null",
        "3.50",
        r#"["pb67wndxge8293xd"]"#,
        r#"["8c4fed9c-c0d2-40c2-936d-36fc44e084a0"]"#,
        r#""recurring""#,
        r#"[{"entry":"20261102T080500Z","description":"a"}]"#,
        r#"[{"a":[null,1.50]}]"#,
        r#""1795597202""#,
        "[]",
    ]);
    let edit = (names, values, 0..50_u32, any::<bool>());
    (vec(edit, 0..12), any::<u64>(), any::<bool>()).prop_map(|(edits, seed, listed)| {
        let id = TaskId::mint(&crate::common::env(seed)).unwrap();
        let tags = if listed { r#","tags":["b"]"# } else { "" };
        let mut document = doc(&format!(r#"{{"id":"{id}"{tags}}}"#));
        for (name, value, second, on) in edits {
            let json = tolstoy_tasks::json::read(value, tolstoy_tasks::json::Limits { bytes: 999, depth: 9 }).unwrap();
            document.set(&laptop(second), name, on.then_some(json)).unwrap();
            document.tag(&laptop(second), name, on).unwrap();
        }
        document
    })
}

/// What a replica's other attributes are: what is not ours, and the document, aside.
fn attributes(map: &TaskMap) -> BTreeMap<&str, &str> {
    let all = map.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    all.filter(|(name, _)| *name != "tolstoy_document").collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// Hashes are stable: without that, bringing places in step would never end.
    #[test]
    fn any_document_comes_back_exactly(document in any_document(), known in any::<bool>()) {
        let know = |id: TaskId| (known && id == id_of(uuid(OTHER))).then(|| uuid(OTHER));
        let map = to_replica(&document, None, &know);
        prop_assert_eq!(taken(&document, &map), document.clone());
        prop_assert!(is_held(&document, uuid_in_replica(&document), &map));
        // Once more, for a replica that knows more by now.
        let again = to_replica(&document, Some(&map), &|id| (id == id_of(uuid(OTHER))).then(|| uuid(OTHER)));
        prop_assert_eq!(taken(&document, &again), document);
    }

    #[test]
    fn any_task_of_a_replica_is_a_document_that_stays_what_it_is(before in any_map(), after in any_map()) {
        let Ok(document) = from_replica(uuid(THEIRS), &before) else { return Ok(()) };
        let held = to_replica(&document, Some(&before), &|_| None);
        prop_assert_eq!(&from_replica(uuid(THEIRS), &held).unwrap(), &document);
        // Held once, it is written as it is.
        prop_assert_eq!(&to_replica(&document, Some(&held), &|_| None), &held);
        // Whatever is written over it.
        let mut changed = held.clone();
        changed.retain(|name, _| name == "tolstoy_document");
        changed.extend(after);
        let Ok(edited) = from_replica(uuid(THEIRS), &changed) else { return Ok(()) };
        let held = to_replica(&edited, Some(&changed), &|_| None);
        prop_assert_eq!(&from_replica(uuid(THEIRS), &held).unwrap(), &edited);
        prop_assert_eq!(resolve(&document, &edited).unwrap(), edited.clone());
        let again = to_replica(&edited, Some(&held), &|_| None);
        prop_assert_eq!(attributes(&again), attributes(&held));
    }
}
