//! Documents from outside: what is kept, and what is refused, with which words.

use tolstoy_tasks::json::Json;
use tolstoy_tasks::{Document, MAX_BYTES};

use crate::common::{author, doc, refusal, set};

const EXAMPLE: &str = r#"{"description":"example description","id":"pb67wndxge8293xd","tags":["test"]}"#;

#[test]
fn the_example_of_the_interchange_format_stays_as_it_is() {
    let document = doc(EXAMPLE);
    assert_eq!(document.canonical(), EXAMPLE);
    assert_eq!(document.hash().to_string(), "24eb1aa5bed5ffddfc5b9d6af53ca804ad495ae00e8e7368149780a25bdb7561");
}

#[test]
fn unknown_properties_are_kept_exactly() {
    let text = r#"{"id":"pb67wndxge8293xd","big":123456789012345678901234567890,"deep":{"a":[1,{"b":null}]},"due":42,"f":1.50,"k":9007199254740993,"neg":-0.0,"blocked_by":"x","":1}"#;
    assert!(refusal(text).contains("a name has 1 to 256 bytes"));
    let text = text.replace(r#","":1"#, "");
    let document = doc(&text);
    assert_eq!(document.get("big").unwrap().exact(), "123456789012345678901234567890");
    assert_eq!(document.get("f").unwrap().exact(), "1.50");
    assert_eq!(document.get("neg").unwrap().exact(), "-0.0");
    assert_eq!(document.get("due").unwrap().exact(), "42");
    assert_eq!(document.task().instant("due"), None);
    assert_eq!(document.task().blocked_by().count(), 0);
    let pretty = document.pretty();
    for kept in ["1.50", "123456789012345678901234567890", "9007199254740993", r#"{"a":[1,{"b":null}]}"#, "-0.0"] {
        assert!(pretty.contains(kept), "{pretty}");
    }
    assert_eq!(doc(&pretty), document);
    assert_eq!(doc(&document.canonical()), document);
}

#[test]
fn what_is_refused_says_why() {
    let with = |property: &str| format!(r#"{{"id":"pb67wndxge8293xd",{property}}}"#);
    for (text, why) in [
        ("[]".to_owned(), "a task is a JSON object, not an array"),
        ("{}".to_owned(), "`id` is missing"),
        (r#"{"id":7}"#.to_owned(), "`id` is a number; an id is a text"),
        (
            r#"{"id":"../x"}"#.to_owned(),
            "\"../x\" is no id of a task: that is 16 characters of 23456789abcdefghkmnpqrstwxyz",
        ),
        (
            r#"{"id":"pb67wndxge8293xd","a":1,"a":2}"#.to_owned(),
            "line 1, column 32: the key \"a\" stands twice in one object",
        ),
        (with(r#""tags":"home""#), "`tags` is a text; tags are an array of texts"),
        (with(r#""tags":null"#), "`tags` is null; tags are an array of texts"),
        (with(r#""tags":["a",1]"#), "`tags` has a number in it; tags are texts"),
        (with(r#""tags":[""]"#), "the tag \"\": a tag has 1 to 256 bytes"),
        (with(r#""_clocks":[]"#), "`_clocks` is an array, not an object"),
        (
            with(r#""_clocks":{"due":"yesterday"}"#),
            "`_clocks` of \"due\": \"yesterday\" is no stamp; was it written by a newer version?",
        ),
        (with(r#""_clocks":{"tags":"x"}"#), "`_clocks`: `tags` has an object of tags with a stamp each"),
        (with(r#""_clocks":{"id":"2026-01-01T00:00:00Z/0/a/-"}"#), "`_clocks`: \"id\" is no property with a history"),
        (with(r#""_journal":{}"#), "`_journal` is an object, not an array"),
        (with(r#""_journal":[1]"#), "`_journal`: an entry is an object of `property`, `clock` and `value`"),
        (
            with(r#""_journal":[{"property":"a","clock":"2026-01-01T00:00:00Z/0/a/-","x":1}]"#),
            "`_journal`: an entry is an object of `property`, `clock` and `value`",
        ),
        (with(r#""x":"\ud800""#), "line 1, column 31: half a surrogate pair is no character"),
        (r#"{"id":"pb67wndxge8293xd""#.to_owned(), "line 1, column 25: the text is cut off: a `}` is missing"),
    ] {
        assert_eq!(refusal(&text), why, "{text}");
    }
}

#[test]
fn stamps_have_one_text_each() {
    for bad in [
        "2026-01-01/0/a/-",
        "2026-01-01T00:00:00.000Z/0/a/-",
        "2026-01-01T01:00:00+01:00/0/a/-",
        "+012026-01-01T00:00:00Z/0/a/-",
        "2026-01-01T00:00:00Z/00/a/-",
        "2026-01-01T00:00:00Z/4294967296/a/-",
        "2026-01-01T00:00:00Z/-1/a/-",
        "2026-01-01T00:00:00Z/0//-",
        "2026-01-01T00:00:00Z/0/A/-",
        "2026-01-01T00:00:00Z/0/a/",
        "2026-01-01T00:00:00Z/0/a",
        "2026-01-01T00:00:00Z/0/a/1234567",
        "2026-01-01T00:00:00Z/0/a/1234567G",
        "2026-01-01T00:00:00Z/0/a/+1234567",
        "2026-01-01T00:00:00Z/0/a/1234567F",
        "2026-01-01T00:00:00Z/0/a/12345678/",
        "2026-01-01T00:00:00Z/+0/a/-",
    ] {
        let text = format!(r#"{{"id":"pb67wndxge8293xd","_clocks":{{"due":"{bad}"}}}}"#);
        assert!(refusal(&text).contains("is no stamp"), "{bad}");
    }
}

#[test]
fn sizes_are_limited() {
    let of = |n: usize| format!(r#"{{"id":"pb67wndxge8293xd","description":"{}"}}"#, "x".repeat(n));
    assert!(Document::parse(&of(MAX_BYTES - 100)).is_ok());
    assert!(refusal(&of(MAX_BYTES)).contains("bytes; at most 1048576 can be kept"));
    assert!(refusal(&of(10 << 20)).contains("bytes long; at most 2097152 are read"));

    let deep = |n: usize| format!(r#"{{"id":"pb67wndxge8293xd","x":{}{}}}"#, "[".repeat(n), "]".repeat(n));
    assert!(Document::parse(&deep(31)).is_ok());
    assert!(refusal(&deep(32)).contains("nested more than 32 levels deep"));

    let many: Vec<String> = (0..1001).map(|i| format!("\"p{i}\":1")).collect();
    let json = format!(r#"{{"id":"pb67wndxge8293xd",{}}}"#, many.join(","));
    let whole = tolstoy_tasks::json::read(&json, tolstoy_tasks::json::Limits { bytes: 1 << 20, depth: 32 }).unwrap();
    assert!(Document::from_json(whole).unwrap_err().to_string().contains("1001 properties; at most 1000"));

    let mut document = doc(EXAMPLE);
    let who = author("a", "2026-11-25T12:00:00Z");
    document.set(&who, "description", Some(Json::from("y".repeat(MAX_BYTES)))).unwrap();
    assert!(document.check().unwrap_err().to_string().contains("at most 1048576"));
}

#[test]
fn dates_at_the_ends_of_time_are_kept() {
    for (date, is_date) in [
        ("9999-12-31T23:59:59.999999Z", true),
        ("0000-01-01", true),
        ("9999-12-31T23:59:59-23:59", false),
        ("+010000-01-01T00:00:00Z", false),
        ("2026-02-30", false),
        ("2026", false),
        ("soon", false),
    ] {
        let document = doc(&format!(r#"{{"id":"pb67wndxge8293xd","due":"{date}","updated_at":"{date}"}}"#));
        assert_eq!(document.get("due"), Some(&Json::from(date)));
        assert_eq!(document.task().instant("due").is_some(), is_date, "{date}");
        assert_eq!(doc(&document.canonical()), document);
    }
}

#[test]
fn an_edit_wins_whatever_the_clocks_say() {
    let mut document = doc(r#"{"id":"pb67wndxge8293xd","due":"a","updated_at":"9999-12-31T23:59:59Z"}"#);
    let who = author("a", "2026-11-25T12:00:00Z");
    set(&mut document, &who, "due", "b");
    assert_eq!(document.get("updated_at"), Some(&Json::from("9999-12-31T23:59:59Z")));
    assert!(document.canonical().contains(r#""due":["9999-12-31T23:59:59Z/1/a/"#), "{}", document.canonical());
    assert_eq!(document.get("due"), Some(&Json::from("b")));
}

#[test]
fn at_the_end_of_time_an_edit_is_refused() {
    let end = "9999-12-31T23:59:59.999999Z/4294967295/z/ffffffff";
    // The sum is not that of the value: it stands, with a stamp of its own sum, whose clock is the last there is.
    let mut document = doc(&format!(r#"{{"id":"pb67wndxge8293xd","due":"a","_clocks":{{"due":"{end}"}}}}"#));
    assert_eq!(doc(&document.canonical()), document);
    let before = document.clone();
    let who = author("a", "2026-11-25T12:00:00Z");
    let refusal = document.set(&who, "due", None).unwrap_err().to_string();
    assert!(refusal.contains("\"due\" cannot be changed: its clock stands at the end of the year 9999"), "{refusal}");
    assert_eq!(document, before);
}

#[test]
fn what_cannot_be_edited_is_said() {
    let who = author("a", "2026-11-25T12:00:00Z");
    let mut document = doc(EXAMPLE);
    for name in ["", "id", "tags", "updated_at", "_clocks", "_journal"] {
        assert!(document.set(&who, name, None).is_err(), "{name}");
    }
    assert!(document.tag(&who, "", true).is_err());
    // What is so already leaves no trace.
    document.set(&who, "description", Some(Json::from("example description"))).unwrap();
    document.set(&who, "due", None).unwrap();
    document.tag(&who, "test", true).unwrap();
    document.tag(&who, "other", false).unwrap();
    assert_eq!(document.canonical(), EXAMPLE);
}

/// Many things said of one property: thousands of values that were lost, all of them the one that stands, or thousands of stamps.
#[test]
#[allow(clippy::disallowed_methods, reason = "how long it takes is what is tested")]
fn a_long_history_costs_what_its_text_does() {
    let stands = "x".repeat(100_000);
    let mut stamped = doc(r#"{"id":"pb67wndxge8293xd"}"#);
    set(&mut stamped, &author("a", "2026-11-25T12:00:00Z"), "description", &stands);
    let (_, sum) = stamped.canonical().split_once("/0/a/").map(|(a, b)| (a.to_owned(), b[..8].to_owned())).unwrap();
    let times = || (0..8000).map(|n| format!("2020-01-01T00:00:00Z/{n}/b/{sum}"));
    let lost: Vec<String> = times().map(|clock| format!(r#"{{"property":"description","clock":"{clock}"}}"#)).collect();
    let replaced: Vec<String> = times().map(|clock| format!("\"{clock}\"")).collect();
    for (name, said) in [("_journal", lost.join(",")), ("_clocks", replaced.join(","))] {
        let said = if name == "_journal" { format!("[{said}]") } else { format!(r#"{{"description":[{said}]}}"#) };
        let text = format!(r#"{{"id":"pb67wndxge8293xd","description":"{stands}","{name}":{said}}}"#);
        let begun = std::time::Instant::now();
        let document = Document::parse(&text).unwrap();
        let took = begun.elapsed();
        assert!(took < std::time::Duration::from_millis(1500), "{name}: {took:?}");
        assert!(document.canonical().len() < 102_000, "{name}: what is kept is the newest");
    }
}

#[test]
fn what_is_taken_can_be_read_again() {
    let long = |property: &str| {
        let numbers: Vec<String> = (0..1200).map(|_| format!("1.{}", "0".repeat(990))).collect();
        doc(&format!(r#"{{"id":"pb67wndxge8293xd","{property}":[{}]}}"#, numbers.join(",")))
    };
    // Each is less than 2 MiB as it is written, and little as canonical JSON; both together are more.
    let together = tolstoy_tasks::resolve(&long("a"), &long("b")).unwrap_err().to_string();
    assert!(together.contains("bytes as it is written; at most 2097152"), "{together}");
    // Numbers that are longer when they are written out.
    let short = format!(r#"{{"id":"pb67wndxge8293xd","a":[{}1]}}"#, "1e20,".repeat(90_000));
    assert!(refusal(&short).contains("at most 1048576"));
    let many: Vec<String> = (0..1001).map(|n| format!("\"p{n}\":1")).collect();
    let many = format!(r#"{{"id":"pb67wndxge8293xd",{}}}"#, many.join(","));
    assert!(refusal(&many).contains("1001 properties; at most 1000"));
}
