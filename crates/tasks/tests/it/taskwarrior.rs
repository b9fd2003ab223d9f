//! Taskwarrior's JSON: it comes in whole, and goes out as it came.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use tolstoy_tasks::json::{Json, Limits, Number, read};
use tolstoy_tasks::taskwarrior::{Foreign, from_map, id_of, to_taskwarrior, uuid_of};
use tolstoy_tasks::{Document, TaskId, resolve};
use uuid::Uuid;

use crate::common::{author, doc, instant, set, text};

const NOW: &str = "2026-11-25T12:00:00Z";
const UUID: &str = "296d835e-8f85-4224-8f36-c612cad1b9f8";
const OTHER: &str = "8c4fed9c-c0d2-40c2-936d-36fc44e084a0";

fn json(text: &str) -> Json {
    read(text, Limits { bytes: 1 << 20, depth: 40 }).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn taken(text: &str) -> Document {
    Foreign::read(json(text)).unwrap().onto(None).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn given(document: &Document) -> Json {
    to_taskwarrior(&document.task(), instant(NOW), &|_| None)
}

#[test]
fn each_attribute_has_its_place() {
    let document = taken(&format!(
        r#"{{"id":7,"uuid":"{UUID}","status":"completed","description":"Milk","entry":"20261101T080000Z",
            "modified":"20261120T080910Z","start":"20261102T080000Z","end":"20261103T080000Z","due":"20261126T093000Z",
            "wait":"20261120T000000Z","scheduled":"20261121T000000Z","until":"20270101T000000Z","project":"Home.Kitchen",
            "priority":"H","tags":["home","shop"],"depends":["{OTHER}"],"urgency":12.7,"estimate":3.50,
            "annotations":[{{"entry":"20261102T080500Z","description":"oat"}}],"snooze":"x"}}"#
    ));
    assert_eq!(
        document.to_json().exact(),
        format!(
            r#"{{"annotations":[{{"description":"oat","entry":"20261102T080500Z"}}],"blocked_by":["{}"],"created_at":"2026-11-01T08:00:00Z","depends":["{OTHER}"],"description":"Milk","done":"2026-11-03T08:00:00Z","due":"2026-11-26T09:30:00Z","estimate":3.50,"id":"{}","priority":"H","project":"Home.Kitchen","scheduled":"2026-11-21T00:00:00Z","start":"2026-11-02T08:00:00Z","tags":["home","shop"],"taskwarrior_snooze":"x","until":"2027-01-01T00:00:00Z","updated_at":"2026-11-20T08:09:10Z","uuid":"{UUID}","wait":"2026-11-20T00:00:00Z"}}"#,
            id_of(OTHER.parse().unwrap()),
            id_of(UUID.parse().unwrap()),
        )
    );
}

#[test]
fn ids_stay_what_they_are() {
    // For ever: tasks that were imported once are found again by these.
    assert_eq!(id_of(UUID.parse().unwrap()).as_str(), "e5c4eect4s6tgfz5");
    let ours: TaskId = "pb67wndxge8293xd".parse().unwrap();
    assert_eq!(uuid_of(ours).to_string(), "a6e6d3fd-fa88-88b2-88c2-f785974a38f0");
}

#[test]
fn what_has_no_uuid_is_refused() {
    for (text, why) in [
        ("[]", "a task is a JSON object, not an array"),
        ("{}", "`uuid` is missing"),
        (r#"{"uuid":7}"#, "`uuid`: 7 is no UUID"),
        (r#"{"uuid":"../x"}"#, "`uuid`: \"../x\" is no UUID"),
        (r#"{"uuid":"296d835e8f8542248f36c612cad1b9f8"}"#, "`uuid`: \"296d835e8f8542248f36c612cad1b9f8\" is no UUID"),
        (&format!(r#"{{"uuid":"{UUID}","tags":[7]}}"#), "`tags` has a number in it; tags are texts"),
    ] {
        assert_eq!(Foreign::read(json(text)).unwrap_err().to_string(), why);
    }
}

#[test]
fn templates_are_hidden_and_come_back() {
    let template = format!(
        r#"{{"description":"Water","due":"20261126T093000Z","entry":"20261101T080000Z","mask":"+-","recur":"weekly","status":"recurring","uuid":"{UUID}"}}"#
    );
    let document = taken(&template);
    assert!(document.task().is_done() && document.get("recur").is_none());
    assert_eq!(given(&document).exact(), template);
    assert!(Foreign::read(json(&template)).unwrap().is_template());
}

#[test]
fn a_task_of_ours_that_recurs_comes_back_as_it_was() {
    let mut document =
        doc(r#"{"id":"pb67wndxge8293xd","due":"2026-11-26T09:30:00Z","updated_at":"2026-11-01T08:00:00Z"}"#);
    let who = author("laptop", "2026-11-20T08:00:00.5Z");
    for (name, value) in
        [("recur", "1w"), ("recur_from", "2026-11-26T09:30:00+00:00[UTC]"), ("snooze", "2026-11-30T00:00:00Z")]
    {
        set(&mut document, &who, name, value);
    }
    document.tag(&who, "home", true).unwrap();
    let out = given(&document);
    assert!(
        out.exact().contains(r#""recur":"1w","snooze""#)
            || out.exact().contains(r#""recur":"1w","status":"recurring""#),
        "{}",
        out.exact()
    );
    let back = Foreign::read(out).unwrap();
    // Here it is as it was, instants of less than a second included; elsewhere it is the same to the second.
    assert_eq!(back.onto(Some(&document)).unwrap(), document);
    let elsewhere = back.onto(None).unwrap();
    assert_eq!(elsewhere.id(), document.id());
    for name in ["due", "recur", "recur_from", "snooze", "done"] {
        assert_eq!(elsewhere.get(name), document.get(name), "{name}");
    }
}

#[test]
fn a_later_export_takes_the_place_of_an_earlier_one_and_no_edit_is_lost() {
    let task = |modified: &str, more: &str| {
        Foreign::read(json(&format!(r#"{{"uuid":"{UUID}","modified":"{modified}","status":"pending"{more}}}"#)))
            .unwrap()
    };
    let first =
        task("20261120T080000Z", r#","description":"Milk","due":"20261126T093000Z","size":3,"tags":["home","shop"]"#);
    let second = task("20261121T080000Z", r#","description":"Oat milk","tags":["home","cold"]"#);
    let mut here = first.onto(None).unwrap();
    assert_eq!(first.onto(Some(&here)).unwrap(), here, "twice is once");

    let updated = second.onto(Some(&here)).unwrap();
    assert_eq!(updated.get("description"), text("Oat milk").as_ref());
    assert_eq!((updated.get("due"), updated.get("size")), (None, None));
    assert_eq!(updated.tags().collect::<Vec<_>>(), ["cold", "home"]);
    assert_eq!(updated.journal(), [], "nothing was lost: it was replaced");
    assert_eq!(resolve(&here, &updated).unwrap(), updated, "an edit grows");
    assert_eq!(first.onto(Some(&updated)).unwrap(), updated, "the earlier one is known");

    // A device edits in between: what it wrote stands where it is newer, and is kept where it is not.
    set(&mut here, &author("laptop", "2026-11-22T08:00:00Z"), "description", "Rice milk");
    set(&mut here, &author("laptop", "2026-11-20T09:00:00Z"), "due", "2026-12-01");
    here.tag(&author("laptop", "2026-11-20T09:00:00Z"), "cheap", true).unwrap();
    let both = second.onto(Some(&here)).unwrap();
    assert_eq!(both.get("description"), text("Rice milk").as_ref());
    assert_eq!(both.get("due"), text("2026-12-01").as_ref(), "Taskwarrior did not know of it");
    assert_eq!(both.tags().collect::<Vec<_>>(), ["cheap", "cold", "home"]);
    let lost: Vec<_> = both.journal().into_iter().map(|lost| (lost.property, lost.value)).collect();
    assert_eq!(lost, [("description".to_owned(), text("Oat milk"))]);
    assert_eq!(second.onto(Some(&both)).unwrap(), both, "twice is once");
}

#[test]
fn a_replica_s_map_is_the_same_task() {
    let map = [
        ("status", "pending"),
        ("description", "Milk"),
        ("entry", "1762000000"),
        ("modified", "1762000001.5"),
        ("due", "soon"),
        ("tag_home", ""),
        ("tags", "home,shop"),
        ("annotation_1762000002", "oat"),
        ("annotation_x", "kept"),
        ("estimate", "1762000000"),
        (&format!("dep_{OTHER}"), ""),
    ];
    let map = map.map(|(key, value)| (key.to_owned(), value.to_owned())).into_iter().collect();
    let task = from_map(UUID.parse().unwrap(), map);
    assert_eq!(
        task.exact(),
        format!(
            r#"{{"annotation_x":"kept","annotations":[{{"description":"oat","entry":"20251101T122642Z"}}],"depends":["{OTHER}"],"description":"Milk","due":"soon","entry":"20251101T122640Z","estimate":"1762000000","modified":"20251101T122641Z","status":"pending","tags":["home"],"uuid":"{UUID}"}}"#
        )
    );
}

/// Names that an attribute of a user may have, such as mean something to us too.
fn any_name() -> impl Strategy<Value = String> {
    let ours = select(vec![
        "snooze",
        "recur_from",
        "done",
        "deleted",
        "last_done",
        "blocked_by",
        "created_at",
        "updated_at",
        "_clocks",
        "_journal",
        "taskwarrior_recur",
        "taskwarrior_done",
        "taskwarrior_taskwarrior_done",
        "tolstoy_x",
        "mask",
        "imask",
        "parent",
        "project",
        "priority",
    ]);
    prop_oneof![ours.prop_map(str::to_owned), "[a-z][a-z0-9_.]{0,8}"]
}

fn any_date() -> impl Strategy<Value = String> {
    (0_i64..=9999, 1..=12, 1..=28, 0..24, 0..60, 0..60)
        .prop_map(|(y, mo, d, h, mi, s)| format!("{y:04}{mo:02}{d:02}T{h:02}{mi:02}{s:02}Z"))
}

fn any_value() -> impl Strategy<Value = Json> {
    prop_oneof![
        "\\PC{0,12}".prop_map(Json::String),
        any_date().prop_map(Json::String),
        any::<bool>().prop_map(Json::Bool),
        any::<i64>().prop_map(|n| Json::Number(Number::parse(&n.to_string()).unwrap())),
        "[1-9][0-9]{0,3}\\.[0-9]{1,3}".prop_map(|n| Json::Number(Number::parse(&n).unwrap())),
        Just(json(r#"[{"a":[null,1.50]}]"#)),
    ]
}

prop_compose! {
    fn any_task()(
        (uuid, status) in (any::<u128>(), select(vec!["pending", "completed", "deleted", "recurring", "wishful"])),
        dates in btree_map(select(vec!["entry", "modified", "start", "end", "due", "wait", "scheduled", "until"]), any_date(), 0..8),
        (description, recur) in (option::of("\\PC{1,20}"), option::of(select(vec!["weekly", "P1M", "3days"]))),
        tags in vec("[a-z]{1,6}", 0..4),
        depends in vec(any::<u128>(), 0..3),
        notes in vec((any_date(), "\\PC{0,12}"), 0..3),
        udas in btree_map(any_name(), any_value(), 0..6),
    ) -> BTreeMap<String, Json> {
        let known = ["uuid", "id", "urgency", "status", "tags", "depends", "annotations", "description", "recur"];
        let is_known = |name: &str| known.contains(&name) || name.starts_with("tolstoy_") && name != "tolstoy_x"
            || ["entry", "modified", "start", "end", "due", "wait", "scheduled", "until"].contains(&name);
        let mut task: BTreeMap<String, Json> = udas.into_iter().filter(|(name, _)| !is_known(name)).collect();
        let mut put = |name: &str, value: Json| drop(task.insert(name.to_owned(), value));
        let texts = |texts: Vec<String>| Json::Array(texts.into_iter().map(Json::String).collect());
        let as_uuid = |n: u128| uuid::Builder::from_random_bytes(n.to_be_bytes()).into_uuid().to_string();
        put("uuid", Json::String(as_uuid(uuid)));
        let waits = dates.get("wait").is_some_and(|wait| &**wait > "20261125T120000Z");
        put("status", Json::from(if status == "pending" && waits { "waiting" } else { status }));
        dates.into_iter().for_each(|(name, date)| put(name, Json::String(date)));
        description.into_iter().for_each(|description| put("description", Json::String(description)));
        recur.into_iter().for_each(|recur| put("recur", Json::from(recur)));
        let tags: std::collections::BTreeSet<String> = tags.into_iter().collect();
        if !tags.is_empty() {
            put("tags", texts(tags.into_iter().collect()));
        }
        if !depends.is_empty() {
            put("depends", texts(depends.into_iter().map(as_uuid).collect()));
        }
        if !notes.is_empty() {
            let note = |(entry, description)| Json::Object(BTreeMap::from([
                ("entry".to_owned(), Json::String(entry)),
                ("description".to_owned(), Json::String(description)),
            ]));
            put("annotations", Json::Array(notes.into_iter().map(note).collect()));
        }
        task
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn what_comes_goes_out_as_it_came(task in any_task()) {
        let task = Json::Object(task);
        let document = Foreign::read(task.clone()).unwrap().onto(None).unwrap();
        prop_assert_eq!(given(&document).exact(), task.exact());
        // Through the text of a document too, and once more is nothing new.
        let read_back = Document::parse(&document.canonical()).unwrap();
        prop_assert_eq!(&read_back, &document);
        prop_assert_eq!(Foreign::read(task).unwrap().onto(Some(&document)).unwrap(), document);
    }

    #[test]
    fn exports_of_two_times_in_any_order_come_to_the_same_values(a in any_task(), b in any_task(), minute in 1..59_u32) {
        let at = |task: &BTreeMap<String, Json>, time: &str| {
            let mut task = task.clone();
            task.insert("uuid".to_owned(), Json::from(UUID));
            task.insert("modified".to_owned(), Json::from(time));
            Foreign::read(Json::Object(task)).unwrap()
        };
        let (a, b) = (at(&a, "20261120T080000Z"), at(&b, &format!("20261120T08{minute:02}00Z")));
        let both = b.onto(Some(&a.onto(None).unwrap())).unwrap();
        prop_assert_eq!(given(&both).exact(), given(&b.onto(None).unwrap()).exact());
        prop_assert_eq!(both.journal(), []);
    }

    #[test]
    fn ids_of_ours_come_back(seed in any::<u64>()) {
        let id = TaskId::mint(&crate::common::env(seed)).unwrap();
        prop_assert_eq!(id_of(uuid_of(id)), id);
        let uuid = uuid_of(id);
        prop_assert_eq!(uuid.get_version_num(), 8);
        prop_assert_eq!(Uuid::parse_str(&uuid.to_string()).unwrap(), uuid);
    }
}
