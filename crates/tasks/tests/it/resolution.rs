//! What becomes of two documents, by cases.

use tolstoy_tasks::{Document, resolve};

use crate::common::{author, doc, set};

fn both(a: &Document, b: &Document) -> Document {
    let resolved = resolve(a, b).unwrap();
    assert_eq!(resolve(b, a).unwrap(), resolved);
    assert_eq!(doc(&resolved.canonical()), resolved);
    assert_eq!(doc(&resolved.pretty()), resolved);
    resolved
}

fn value(document: &Document, property: &str) -> String {
    document.get(property).map_or_else(|| "nothing".to_owned(), |value| value.exact())
}

fn journal(document: &Document) -> Vec<String> {
    let line = |lost: tolstoy_tasks::Lost| {
        format!("{} {}", lost.property, lost.value.map_or_else(|| "removed".to_owned(), |value| value.exact()))
    };
    document.journal().into_iter().map(line).collect()
}

fn task() -> Document {
    let mut task = doc(r#"{"id":"pb67wndxge8293xd"}"#);
    let laptop = author("laptop", "2026-11-25T09:00:00Z");
    set(&mut task, &laptop, "description", "milk");
    set(&mut task, &laptop, "due", "2026-11-26");
    task.tag(&laptop, "home", true).unwrap();
    task.tag(&laptop, "shop", true).unwrap();
    task
}

#[test]
fn edits_of_different_properties_both_stand() {
    let (mut a, mut b) = (task(), task());
    set(&mut a, &author("laptop", "2026-11-25T10:00:00Z"), "description", "oat milk");
    set(&mut b, &author("phone", "2026-11-25T10:00:01Z"), "due", "2026-11-27");
    let resolved = both(&a, &b);
    assert_eq!(value(&resolved, "description"), "\"oat milk\"");
    assert_eq!(value(&resolved, "due"), "\"2026-11-27\"");
    assert_eq!(value(&resolved, "updated_at"), "\"2026-11-25T10:00:01Z\"");
    assert!(journal(&resolved).is_empty());
}

#[test]
fn of_two_edits_of_one_property_the_newer_stands_and_the_other_is_in_the_journal() {
    let (mut a, mut b) = (task(), task());
    set(&mut a, &author("laptop", "2026-11-25T10:00:00Z"), "description", "oat milk");
    set(&mut b, &author("phone", "2026-11-25T10:00:01Z"), "description", "soy milk");
    let resolved = both(&a, &b);
    assert_eq!(value(&resolved, "description"), "\"soy milk\"");
    assert_eq!(journal(&resolved), ["description \"oat milk\""]);
    // What the loser replaced is not lost: its author saw it.
    assert!(!resolved.canonical().contains("\"milk\""));
    // The next edit keeps the journal, and so does whoever has only one of the sides.
    let mut later = resolved.clone();
    set(&mut later, &author("laptop", "2026-11-25T11:00:00Z"), "description", "beer");
    assert_eq!(both(&later, &a), later);
    assert_eq!(both(&later, &b), later);
    assert_eq!(journal(&later), ["description \"oat milk\""]);
}

#[test]
fn a_value_that_was_replaced_knowingly_is_not_lost_however_late_it_comes() {
    let old = task();
    let mut new = task();
    for minute in 10..20 {
        set(
            &mut new,
            &author("laptop", &format!("2026-11-25T10:{minute}:00Z")),
            "description",
            &format!("milk {minute}"),
        );
    }
    let resolved = both(&old, &new);
    assert_eq!(resolved, new);
    assert!(journal(&resolved).is_empty());
}

#[test]
fn a_removal_and_an_edit_at_once_are_both_known() {
    let (mut a, mut b) = (task(), task());
    a.set(&author("laptop", "2026-11-25T10:00:01Z"), "due", None).unwrap();
    set(&mut b, &author("phone", "2026-11-25T10:00:00Z"), "due", "2026-11-28");
    let resolved = both(&a, &b);
    assert_eq!(value(&resolved, "due"), "nothing");
    assert_eq!(journal(&resolved), ["due \"2026-11-28\""]);

    let (mut a, mut b) = (task(), task());
    a.set(&author("laptop", "2026-11-25T10:00:00Z"), "due", None).unwrap();
    set(&mut b, &author("phone", "2026-11-25T10:00:01Z"), "due", "2026-11-28");
    assert_eq!(journal(&both(&a, &b)), ["due removed"]);
}

#[test]
fn the_same_edit_on_both_sides_loses_nothing() {
    let (mut a, mut b) = (task(), task());
    set(&mut a, &author("laptop", "2026-11-25T10:00:00Z"), "description", "soy milk");
    set(&mut b, &author("phone", "2026-11-25T10:00:01Z"), "description", "soy milk");
    assert!(journal(&both(&a, &b)).is_empty());
}

#[test]
fn tags_are_a_set_with_removals() {
    let (mut a, mut b) = (task(), task());
    a.tag(&author("laptop", "2026-11-25T10:00:00Z"), "home", false).unwrap();
    a.tag(&author("laptop", "2026-11-25T10:00:00Z"), "urgent", true).unwrap();
    b.tag(&author("phone", "2026-11-25T09:30:00Z"), "phone", true).unwrap();
    b.tag(&author("phone", "2026-11-25T09:30:00Z"), "shop", false).unwrap();
    let resolved = both(&a, &b);
    assert_eq!(resolved.tags().collect::<Vec<_>>(), ["phone", "urgent"]);
    // A removal does not come back with an old document, and a tag can be put on again.
    assert_eq!(both(&resolved, &task()), resolved);
    let mut again = resolved.clone();
    again.tag(&author("phone", "2026-11-25T11:00:00Z"), "home", true).unwrap();
    assert_eq!(both(&again, &resolved).tags().collect::<Vec<_>>(), ["home", "phone", "urgent"]);
}

#[test]
fn a_deletion_is_a_mark_that_travels_and_hides_no_edit() {
    let (mut a, mut b) = (task(), task());
    set(&mut a, &author("laptop", "2026-11-25T10:00:00Z"), "deleted", "2026-11-25T10:00:00Z");
    set(&mut b, &author("phone", "2026-11-25T10:00:01Z"), "description", "oat milk");
    let resolved = both(&a, &b);
    assert!(resolved.task().is_deleted());
    assert_eq!(value(&resolved, "description"), "\"oat milk\"");
    let mut back = resolved.clone();
    back.set(&author("phone", "2026-11-25T12:00:00Z"), "deleted", None).unwrap();
    assert!(both(&back, &a).task().is_open());
}

#[test]
fn documents_without_clocks_are_as_old_as_they_say() {
    let older = doc(
        r#"{"id":"pb67wndxge8293xd","description":"milk","note":"old","tags":["a"],"updated_at":"2026-11-25T09:00:00Z"}"#,
    );
    let newer =
        doc(r#"{"id":"pb67wndxge8293xd","description":"oat milk","tags":["b"],"updated_at":"2026-11-25T09:00:01Z"}"#);
    let resolved = both(&older, &newer);
    assert_eq!(value(&resolved, "description"), "\"oat milk\"");
    // That it is not in the newer says nothing.
    assert_eq!(value(&resolved, "note"), "\"old\"");
    assert_eq!(resolved.tags().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(journal(&resolved), ["description \"milk\""]);
    // Without a time they are the oldest there is, and ties go to the larger sum.
    let (a, b) = (doc(r#"{"id":"pb67wndxge8293xd","x":1}"#), doc(r#"{"id":"pb67wndxge8293xd","x":2}"#));
    assert_eq!(journal(&both(&a, &b)).len(), 1);
    assert_eq!(resolve(&a, &a).unwrap().canonical(), r#"{"id":"pb67wndxge8293xd","x":1}"#);
}

#[test]
fn a_client_without_clocks_that_keeps_them_is_understood() {
    let task = task();
    let edited = task.canonical().replace("\"milk\"", "\"oat milk\"").replace(",\"shop\"]", "]");
    let edited = edited.replace("\"due\":\"2026-11-26\",", "");
    let foreign = doc(&edited);
    assert_ne!(foreign, task);
    let resolved = both(&foreign, &task);
    assert_eq!(resolved, foreign);
    assert_eq!(value(&resolved, "description"), "\"oat milk\"");
    assert_eq!(value(&resolved, "due"), "nothing");
    assert_eq!(resolved.tags().collect::<Vec<_>>(), ["home"]);
    assert!(journal(&resolved).is_empty(), "it knew what it replaced");
}

#[test]
fn a_journal_that_someone_edited_is_read_by_its_values() {
    let (mut a, mut b) = (task(), task());
    set(&mut a, &author("laptop", "2026-11-25T10:00:00Z"), "description", "oat milk");
    set(&mut b, &author("phone", "2026-11-25T10:00:01Z"), "description", "soy milk");
    let text = both(&a, &b).canonical().replace("oat milk", "nut milk");
    assert_eq!(journal(&doc(&text)), ["description \"nut milk\""]);
}

#[test]
fn the_journal_is_bounded() {
    let mut all = task();
    for i in 0..40 {
        let mut other = task();
        set(&mut other, &author(&format!("device-{i}"), "2026-11-25T10:00:00Z"), "description", &format!("milk {i}"));
        all = both(&all, &other);
    }
    assert_eq!(journal(&all).len(), 15);
}

#[test]
fn two_tasks_are_not_one() {
    let other = doc(r#"{"id":"px6zrs3z46b8e5pg"}"#);
    assert!(resolve(&task(), &other).unwrap_err().to_string().contains("are two tasks"));
}

#[test]
fn what_is_too_large_together_is_refused_and_settled_by_an_edit() {
    let (mut a, mut b) = (task(), task());
    set(&mut a, &author("laptop", "2026-11-25T10:00:00Z"), "description", &"a".repeat(600_000));
    set(&mut b, &author("phone", "2026-11-25T10:00:01Z"), "description", &"b".repeat(600_000));
    let refusal = resolve(&a, &b).unwrap_err().to_string();
    assert!(refusal.contains("both sides together are too large"), "{refusal}");
    set(&mut a, &author("laptop", "2026-11-25T11:00:00Z"), "description", "short");
    assert_eq!(value(&both(&a, &b), "description"), "\"short\"");
}
