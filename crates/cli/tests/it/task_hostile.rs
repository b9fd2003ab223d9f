//! Foreign and hostile tasks: refused or kept safely, with words; and nobody crashes.

use crate::task::Tasks;

const ID: &str = "pb67wndxge8293xd";

/// Imports a text, and gives what was said. Whatever it is, the task that is here already stays as it is.
fn import(text: &str) -> String {
    let tasks = Tasks::new();
    tasks.ok(&["add", "here already"]);
    let before = tasks.ok(&["export"]);
    tasks.room.write("hostile.json", text);
    let ran = tasks.run(&["import", "hostile.json"]);
    assert!([0, 3, 4].contains(&ran.code), "{ran}");
    assert!(!ran.err.contains("panicked"), "{ran}");
    if ran.code != 0 {
        assert_eq!(tasks.ok(&["export"]), before);
        assert!(ran.err.len() < 2000, "{} bytes of message", ran.err.len());
    }
    // What was taken is kept, and shown without harm.
    let listed = tasks.ok(&["list", "@all"]);
    assert!(listed.contains("here already") && !listed.contains('\u{1b}'), "{listed}");
    tasks.ok(&["export", "--format", "taskwarrior"]);
    tasks.ok(&["next"]);
    tasks.tidy(&ran.to_string())
}

#[test]
fn refused_with_words() {
    let deep = format!("[{{\"id\":\"{ID}\",\"x\":{}{}}}]", "[".repeat(5000), "]".repeat(5000));
    let objects = format!("[{{\"id\":\"{ID}\",\"x\":{}1{}}}]", "{\"a\":".repeat(40), "}".repeat(40));
    let with = |rest: &str| format!("[{{\"id\":\"{ID}\",{rest}}}]");
    let told: Vec<String> = [
        r#"[{"id":"../../../etc/passwd"}]"#.to_owned(),
        r#"[{"id":"..\\..\\x"}]"#.to_owned(),
        r#"[{"id":""}]"#.to_owned(),
        r#"[{"id":7}]"#.to_owned(),
        r#"[{"id":"PB67WNDXGE8293XD"}]"#.to_owned(),
        r#"[{"description":"x"}]"#.to_owned(),
        "[7]".to_owned(),
        "[[[[]]]]".to_owned(),
        deep,
        objects,
        with(r#""description":"a","description":"b""#),
        with(r#""x":{"a":1,"a":2}"#),
        with(r#""tags":"home""#),
        with(r#""tags":[""]"#),
        with(r#""x":1e999999"#),
        with(r#""x":"\ud800""#),
        with(r#""x":NaN"#),
        with(r#""_clocks":7"#),
        with(r#""_clocks":{"due":"9999-12-31T23:59:59Z/0/x"}"#),
        with(r#""_journal":[{"property":"due"}]"#),
        with(r#""":1"#),
        "\u{0}".to_owned(),
    ]
    .iter()
    .map(|text| import(text))
    .collect();
    insta::assert_snapshot!("task-hostile", told.join("\n"));
}

#[test]
fn very_long_texts_are_refused_or_kept_whole() {
    let with = |bytes: usize| format!("[{{\"id\":\"{ID}\",\"description\":\"{}\"}}]", "x".repeat(bytes));
    let refused = import(&with(10 << 20));
    assert!(refused.contains("bytes; at most 1048576 can be kept") && refused.ends_with("exit 3"), "{refused}");
    let tags: Vec<String> = (0..2000).map(|n| format!("\"t{n}\"")).collect();
    let refused = import(&format!("[{{\"id\":\"{ID}\",\"tags\":[{}]}}]", tags.join(",")));
    assert!(refused.contains("at most 1000 can be kept"), "{refused}");
    let tasks = Tasks::new();
    tasks.room.write("long.json", &with(1_000_000));
    tasks.ok(&["import", "long.json"]);
    assert_eq!(tasks.ok(&["list"]).matches('x').count(), 1_000_000);
    tasks.ok(&["sync", "folder/"]);
    assert_eq!(tasks.ok(&["--at", "folder", "export"]), tasks.ok(&["export"]));
    let added = tasks.run(&["add", &"y".repeat(100_000)]);
    assert_eq!(added.code, 0, "{}", added.err);
}

#[test]
fn what_is_odd_is_kept_as_it_is() {
    for rest in [
        r#""due":"9999-12-31T23:59:59.999999Z""#,
        r#""due":"0000-01-01T00:00:00Z""#,
        r#""due":"+99999-01-01""#,
        r#""due":7,"wait":[],"done":"","recur":{},"blocked_by":"x","created_at":false"#,
        r#""updated_at":"9999-12-31T23:59:59.999999Z","description":"end of time""#,
        "\"blocked_by\":[\"pb67wndxge8293xd\",\"../x\",7]",
        r#""recur":"1w","due":"9999-12-31T00:00:00Z""#,
        r#""x":12345678901234567890123456789.000"#,
        "\"description\":\"\\u001b[31mred\\u0007 \\u202eback\"",
        r#""uuid":"not one","status":7,"depends":{},"end":[],"entry":1,"modified":null"#,
    ] {
        let tasks = Tasks::new();
        tasks.room.write("odd.json", &format!("[{{{rest},\"id\":\"{ID}\"}}]"));
        tasks.ok(&["import", "odd.json"]);
        let exported = tasks.ok(&["export"]);
        for command in
            [&["list", "@all"][..], &["next"], &["show", ID], &["export", "--format", "taskwarrior"], &["tags"]]
        {
            let out = tasks.ok(command);
            assert!(!out.contains('\u{1b}') && !out.contains('\u{7}'), "{rest}: {out}");
        }
        tasks.ok(&["sync", "folder/"]);
        assert_eq!(tasks.ok(&["--at", "folder", "export"]), exported, "{rest}");
        for edit in [&["done", ID][..], &["snooze", ID, "3d"], &["modify", ID, "due:9999-12-31", "x"], &["undo"]] {
            let ran = tasks.run(edit);
            assert!([0, 3, 4].contains(&ran.code) && !ran.err.contains("panicked"), "{rest}: {ran}");
        }
    }
}

#[test]
fn arguments_that_make_no_sense_are_said_to() {
    let mut tasks = Tasks::new();
    tasks.add(&["here already"]);
    let long = "(".repeat(10_000);
    for args in [
        &["add"][..],
        &["add", "due:99999-01-01", "x"],
        &["add", "due:10000y", "x"],
        &["modify", "../x", "y"],
        &["done"],
        &["show", ""],
        &["snooze", "zzz", "tomorrow"],
        &["list", "not"],
        &["list", &long],
        &["list", "id:../x"],
        &["list", "due.before:soon"],
        &["next", "--score", "1/"],
        &["export", "--format", "xml"],
        &["move", "--from", "a"],
        &["sync"],
        &["frobnicate"],
    ] {
        let ran = tasks.run(args);
        assert!([2, 3].contains(&ran.code) && !ran.err.is_empty() && ran.err.len() < 2000, "{args:?}: {ran}");
    }
    assert!(tasks.ok(&["list", "@all"]).ends_with("1 task\n"));
}
