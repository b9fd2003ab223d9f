//! Resolution is a join: of documents of clients with clocks, without, and of hostile ones.

use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;
use tolstoy_tasks::json::Json;
use tolstoy_tasks::{Document, resolve};

use crate::common::{author, doc};

const NAMES: [&str; 4] = ["description", "due", "x", "done"];
const TAGS: [&str; 3] = ["a", "b", "c"];

fn any_value() -> impl Strategy<Value = Json> {
    prop_oneof![
        (0..4_i64).prop_map(|n| Json::Number(n.into())),
        Just(Json::Null),
        "[a-c]{0,2}".prop_map(Json::String),
        Just(Json::Array(vec![])),
    ]
}

/// Few instants, so that there are ties; the ends of time among them.
fn any_instant() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => (0..4_u8).prop_map(|s| format!("2026-11-25T12:00:0{s}Z")),
        1 => Just("9999-12-31T23:59:59.999999Z".to_owned()),
        1 => Just("0000-01-01T00:00:00Z".to_owned()),
    ]
}

fn any_clock() -> impl Strategy<Value = String> {
    let counter = prop_oneof![8 => 0..3_u32, 1 => Just(u32::MAX)];
    (any_instant(), counter, "[ab-]").prop_map(|(instant, counter, device)| format!("{instant}/{counter}/{device}"))
}

/// A stamp, whose sum seldom is right; or of one of the values.
fn any_stamp() -> impl Strategy<Value = Json> {
    (any_clock(), prop_oneof![Just("-".to_owned()), "[0f]{8}", (0..4_u8).prop_map(sum_of)])
        .prop_map(|(clock, sum)| Json::String(format!("{clock}/{sum}")))
}

/// The sum of a small number, found in what the crate itself writes.
fn sum_of(n: u8) -> String {
    let mut document = doc(r#"{"id":"pb67wndxge8293xd"}"#);
    document.set(&author("a", "2026-11-25T12:00:00Z"), "x", Some(Json::Number(i64::from(n).into()))).unwrap();
    let text = document.canonical();
    let stamp = text.split("\"x\":\"").nth(1).unwrap().split('"').next().unwrap();
    stamp.rsplit('/').next().unwrap().to_owned()
}

/// Anything that a document may say.
fn hostile() -> impl Strategy<Value = Document> {
    let name = || proptest::sample::select(&NAMES[..]).prop_map(str::to_owned);
    let tag = || proptest::sample::select(&TAGS[..]).prop_map(str::to_owned);
    let tag_stamp = (any_clock(), any::<bool>())
        .prop_map(|(clock, on)| Json::String(format!("{clock}/{}", if on { '+' } else { '-' })));
    let stamps = prop_oneof![any_stamp(), vec(any_stamp(), 0..18).prop_map(Json::Array)];
    let entry = (name(), any_stamp(), proptest::option::of(any_value())).prop_map(|(property, clock, value)| {
        let mut entry = vec![("property".to_owned(), Json::String(property)), ("clock".to_owned(), clock)];
        entry.extend(value.map(|value| ("value".to_owned(), value)));
        Json::Object(entry.into_iter().collect())
    });
    (
        btree_map(name(), any_value(), 0..4),
        proptest::option::of(btree_set(tag(), 0..3)),
        btree_map(name(), stamps, 0..4),
        btree_map(tag(), tag_stamp, 0..3),
        vec(entry, 0..4),
        proptest::option::of(prop_oneof![any_instant().prop_map(Json::String), any_value()]),
    )
        .prop_map(|(mut members, tags, mut clocks, tag_clocks, journal, updated_at)| {
            clocks.insert("tags".to_owned(), Json::Object(tag_clocks));
            members.insert("id".to_owned(), Json::from("pb67wndxge8293xd"));
            members.insert("_clocks".to_owned(), Json::Object(clocks));
            members.insert("_journal".to_owned(), Json::Array(journal));
            if let Some(tags) = tags {
                members.insert("tags".to_owned(), Json::Array(tags.into_iter().map(Json::String).collect()));
            }
            members.extend(updated_at.map(|updated_at| ("updated_at".to_owned(), updated_at)));
            Document::from_json(Json::Object(members)).unwrap()
        })
}

#[derive(Debug, Clone)]
enum Edit {
    Set(&'static str, Option<Json>),
    Tag(&'static str, bool),
}

type EditBy = (&'static str, u8, Edit);

fn any_edit() -> impl Strategy<Value = EditBy> {
    let edit = prop_oneof![
        (proptest::sample::select(&NAMES[..]), proptest::option::of(any_value())).prop_map(|(n, v)| Edit::Set(n, v)),
        (proptest::sample::select(&TAGS[..]), any::<bool>()).prop_map(|(tag, on)| Edit::Tag(tag, on)),
    ];
    (proptest::sample::select(&["a", "b", "c"][..]), 0..6_u8, edit)
}

fn apply(document: &mut Document, (device, second, edit): &EditBy) {
    let who = author(device, &format!("2026-11-25T12:00:0{second}Z"));
    // What is at the end of time cannot be edited.
    let _ = match edit {
        Edit::Set(name, value) => document.set(&who, name, value.clone()),
        Edit::Tag(tag, on) => document.tag(&who, tag, *on),
    };
}

/// A hostile or an empty document, and honest edits of it.
fn any_document() -> impl Strategy<Value = Document> {
    let base = prop_oneof![Just(doc(r#"{"id":"pb67wndxge8293xd"}"#)), hostile()];
    (base, vec(any_edit(), 0..8)).prop_map(|(mut document, edits)| {
        edits.iter().for_each(|edit| apply(&mut document, edit));
        document
    })
}

fn join(a: &Document, b: &Document) -> Document {
    resolve(a, b).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn it_is_commutative(a in any_document(), b in any_document()) {
        prop_assert_eq!(join(&a, &b), join(&b, &a));
    }

    #[test]
    fn it_is_associative(a in any_document(), b in any_document(), c in any_document()) {
        prop_assert_eq!(join(&a, &join(&b, &c)), join(&join(&a, &b), &c));
    }

    #[test]
    fn it_is_idempotent(a in any_document(), b in any_document()) {
        prop_assert_eq!(&join(&a, &a), &a);
        let both = join(&a, &b);
        prop_assert_eq!(&join(&both, &a), &both);
        prop_assert_eq!(&join(&both, &b), &both);
    }

    #[test]
    fn what_is_written_reads_back(a in any_document(), b in any_document()) {
        let both = join(&a, &b);
        for document in [&a, &both] {
            prop_assert_eq!(&doc(&document.canonical()), document);
            prop_assert_eq!(&doc(&document.pretty()), document);
            prop_assert_eq!(doc(&document.canonical()).hash(), document.hash());
        }
        prop_assert_eq!(a == b, a.hash() == b.hash());
    }

    #[test]
    fn an_edit_grows(before in any_document(), edits in vec(any_edit(), 1..20)) {
        let mut after = before.clone();
        edits.iter().for_each(|edit| apply(&mut after, edit));
        prop_assert_eq!(join(&before, &after), after);
    }

    #[test]
    fn no_text_breaks_it(text in any::<String>(), a in any_document(), at in any::<prop::sample::Index>(), with in any::<char>()) {
        let _ = Document::parse(&text);
        let mut mangled: Vec<char> = a.canonical().chars().collect();
        let at = at.index(mangled.len());
        mangled[at] = with;
        if let Ok(document) = Document::parse(&mangled.into_iter().collect::<String>()) {
            prop_assert_eq!(&doc(&document.canonical()), &document);
        }
    }
}
