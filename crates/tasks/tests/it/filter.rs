//! The filter language.

use proptest::prelude::*;
use tolstoy_tasks::{Filter, Task, View};

use crate::common::{calendar, instant, task};

const NOW: &str = "2026-11-25T12:00:00Z";

fn tasks() -> Vec<Task> {
    [
        r#"{"id":"pb67wndxge8293xd","description":"Buy milk","tags":["home","shop"],"due":"2026-11-25T20:00:00Z","project":"house","size":3,"urgent":true}"#,
        r#"{"id":"px6zrs3z46b8e5pg","description":"Paint the Fence","tags":["home"],"due":"2026-11-20","blocked_by":["pb67wndxge8293xd"],"project":"garden","size":10}"#,
        r#"{"id":"wbyzkrrrp7xb2rps","description":"Call Anna","wait":"2026-12-01","recur":"1w","project":null}"#,
        r#"{"id":"c6yx4mdzxm9cz7nm","description":"Old milk","done":"2026-11-01T00:00:00Z","due":"2026-10-01"}"#,
        r#"{"id":"dmnrx9gmdxhneq2x","description":"Gone","deleted":"2026-11-01T00:00:00Z","done":true}"#,
        r#"{"id":"tzthweareg9r6y5p","description":"Later","snooze":"2026-11-26"}"#,
    ]
    .map(task)
    .to_vec()
}

fn try_filter(words: &[&str]) -> Result<String, String> {
    let tasks = tasks();
    let view = View::new(&tasks, instant(NOW));
    let filter = Filter::parse(words, &calendar(NOW, "Europe/Berlin")).map_err(|e| e.to_string())?;
    let found = tasks.iter().filter(|task| filter.matches(task, &view)).map(|task| task.id().as_str()[..2].to_owned());
    Ok(found.collect::<Vec<_>>().join(" "))
}

fn filter(text: &str) -> String {
    try_filter(&text.split(' ').collect::<Vec<_>>()).unwrap_or_else(|e| panic!("{text}: {e}"))
}

#[test]
fn words_say_which_tasks() {
    for (text, expected) in [
        ("id:pb6", "pb"),
        ("id:p", "pb px"),
        ("+home", "pb px"),
        ("+home -shop", "px"),
        ("-home @open", "wb tz"),
        ("milk", "pb c6"),
        ("MILK", "pb c6"),
        ("/he f/", ""),
        ("wbyz", "wb"),
        ("project:garden", "px"),
        ("project:", "wb c6 dm tz"),
        ("project:any", "pb px"),
        ("project.has:ARD", "px"),
        ("size:3", "pb"),
        ("size:3.0", "pb"),
        ("size.after:3", "px"),
        ("size.before:10", "pb"),
        ("urgent:true", "pb"),
        ("due:any", "pb px c6"),
        ("due:2026-11-25", "pb"),
        ("due:today", "pb"),
        ("due:2026-11-25T20:00:00Z", "pb"),
        ("due.before:today", "px c6"),
        ("due.before:eod", "pb px c6"),
        ("due.after:today", ""),
        ("due.after:now", "pb"),
        ("blocked_by:pb67wndxge8293xd", "px"),
        ("tags:home", "pb px"),
        ("@open", "pb px wb tz"),
        ("@done", "c6"),
        ("@deleted", "dm"),
        ("@waiting", "wb"),
        ("@snoozed", "tz"),
        ("@blocked", "px"),
        ("@blocking", "pb"),
        ("@recurring", "wb"),
        ("@overdue", "px"),
        ("@ready", "pb"),
        ("@all", "pb px wb c6 dm tz"),
        ("@done or @deleted", "c6 dm"),
        ("not @open", "c6 dm"),
        ("not not @open", "pb px wb tz"),
        ("+home and +shop", "pb"),
        ("( +shop or @done ) milk", "pb c6"),
        ("(+shop or (@done)) milk", "pb c6"),
        ("not (+home or @done) @all", "wb dm tz"),
        ("10:30", ""),
        ("http://example.org", ""),
    ] {
        assert_eq!(filter(text), expected, "{text}");
    }
    assert_eq!(try_filter(&[]).unwrap(), "pb px wb c6 dm tz");
    assert_eq!(try_filter(&["due.before:fri 09:30", "/he fe/"]).unwrap(), "px");
}

#[test]
fn what_is_no_filter_is_said() {
    for (words, why) in [
        (&["@opne"][..], "\"@opne\" is no state: there are @open @done @deleted"),
        (&["id:../x"], "\"../x\" begins no task's id"),
        (&["id:"], "\"\" begins no task's id"),
        (&["due.before:soonish"], "due.before: \"soonish\" is no date: write"),
        (&["due.until:eod"], "\"due.until\": what comes after the point is before, after or has"),
        (&["(", "milk"], "a parenthesis is never closed"),
        (&["milk", ")"], "\")\": this parenthesis closes nothing"),
        (&["not"], "`not` stands before a word"),
        (&["or"], "a word is missing"),
        (&["milk", "or"], "a word is missing"),
        (&["()"], "a word is missing"),
    ] {
        let told = try_filter(words).unwrap_err();
        assert!(told.contains(why), "{words:?}: {told}");
    }
    assert!(try_filter(&["(".repeat(100_000).as_str()]).unwrap_err().contains("nested more than 64 levels"));
    assert!(try_filter(&vec!["not"; 100_000]).is_err());
}

proptest! {
    #[test]
    fn no_words_break_it(words in proptest::collection::vec(any::<String>(), 0..4), like in proptest::collection::vec("[()@+/a-z:.-]{0,8}|or|not|and", 0..12)) {
        let _ = try_filter(&words.iter().map(String::as_str).collect::<Vec<_>>());
        let _ = try_filter(&like.iter().map(String::as_str).collect::<Vec<_>>());
    }
}
