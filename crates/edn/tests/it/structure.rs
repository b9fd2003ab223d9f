//! Collections, tags, discards, places, limits.

use std::collections::HashSet;

use tolstoy_edn::{Form, FormKind, Limits, ReadErrorKind, Value, read_all, read_one};

fn read(text: &str) -> Form {
    read_one(text, &Limits::default()).unwrap_or_else(|e| panic!("{}", e.render("text", text)))
}

fn value(text: &str) -> Value {
    read(text).to_value()
}

fn fault(text: &str) -> ReadErrorKind {
    read_one(text, &Limits::default()).expect_err(text).kind
}

#[test]
fn collections_nest_and_keep_their_order() {
    let text = "(1, [2 #{3 nil}] {:b {} :a [()]})";
    assert_eq!(value(text).to_string(), "(1 [2 #{nil 3}] {:b {} :a [()]})");
    assert_eq!(value("[1\"a\"b(c)d{e f}#{g}:h]").to_string(), "[1 \"a\" b (c) d {e f} #{g} :h]");
}

#[test]
fn blanks_and_comments_separate() {
    assert_eq!(value("\u{feff};; head\r\n[1,,2\t3\u{a0}4 ; x ]\n5]; end").to_string(), "[1 2 3 4 5]");
    assert_eq!(value("[a;b\n;c\n]").to_string(), "[a]");
}

#[test]
fn discards_take_the_next_form() {
    for (text, expected) in [
        ("#_a b", "b"),
        ("[1 #_ 2 3 #_(4 5)]", "[1 3]"),
        ("[#_ #_ a b c]", "[c]"),
        ("[#_ #_ #_ a b c]", "[]"),
        ("{:a #_1 2 #_:b}", "{:a 2}"),
        ("#foo #_bar baz", "#foo baz"),
        ("[#_ ;c\n x #_#foo y]", "[]"),
        ("#_x [] #_y", "[]"),
    ] {
        assert_eq!(value(text).to_string(), expected, "{text}");
    }
    let many = format!("{}{}end", "#_ ".repeat(10_000), "x ".repeat(10_000));
    assert_eq!(value(&many).to_string(), "end");
    assert_eq!(fault("[1 #_]"), ReadErrorKind::NothingToDiscard { at_end: false });
    assert_eq!(fault("1 #_ #_ 2"), ReadErrorKind::NothingToDiscard { at_end: true });
    assert_eq!(fault("#_ x"), ReadErrorKind::Empty);
}

#[test]
fn tags_are_kept() {
    let form = read("#my.app/point [1 #b #c {}]");
    let (tag, inner) = form.as_tagged().unwrap();
    assert_eq!((tag.as_str(), inner.kind.describe()), ("my.app/point", "a vector"));
    assert_eq!(form.to_value().to_string(), "#my.app/point [1 #b #c {}]");
    assert_eq!(fault("[#a]"), ReadErrorKind::TagWithoutValue { at_end: false });
    assert_eq!(fault("# a"), ReadErrorKind::BadTag { token: String::new() });
    assert_eq!(fault("#1 a"), ReadErrorKind::BadTag { token: "1".into() });
    assert_eq!(fault("#a/b/c d"), ReadErrorKind::BadTag { token: "a/b/c".into() });
}

#[test]
fn brackets_must_match() {
    assert_eq!(fault("(]").to_string(), "this `]` does not close the `(` of line 1, column 1");
    assert_eq!(fault("\n #{1 )").to_string(), "this `)` does not close the `#{` of line 2, column 2");
    assert_eq!(fault(")"), ReadErrorKind::UnexpectedClose { close: ')' });
    assert_eq!(fault("[1] }"), ReadErrorKind::UnexpectedClose { close: '}' });
    assert_eq!(fault("{:a 1 :b]").to_string(), "this `]` does not close the `{` of line 1, column 1");
    assert_eq!(fault("{:a 1 :b}"), ReadErrorKind::KeyWithoutValue);
    assert_eq!(fault("{:a 1} :b"), ReadErrorKind::Trailing { found: "a keyword" });
}

#[test]
fn nothing_stands_twice_in_a_map_or_set() {
    for (text, span) in [
        ("{:a 1 :b 2 :a 3}", "11"),
        ("{1 1 \"1\" 2 1 3}", "11"),
        ("{{:a 1 :b 2} 1 {:b 2 :a 1} 2}", "15"),
        ("#{##NaN 1 ##NaN}", "10"),
        ("#{(1) [1] #x 1 (1)}", "15"),
        ("#{#{1 2} 3 #{2 1} 3}", "11"),
    ] {
        let error = read_one(text, &Limits::default()).expect_err(text);
        assert_eq!(error.span.start.to_string(), span, "{text}: {error}");
    }
    assert_eq!(value("#{1 1N 1.0 1M \"1\" \\1 0.0 -0.0 [1] (1)}").to_string().len(), 38);
    let wide: String = (0..1000).map(|i| format!(":k{i} {i} ")).collect();
    assert_eq!(read(&format!("{{{wide}}}")).as_map().unwrap().len(), 1000);
    assert!(matches!(fault(&format!("{{{wide} :k7 0}}")), ReadErrorKind::DuplicateKey { first } if first.line == 1));
}

#[test]
fn maps_as_keys_of_maps_are_compared_in_reasonable_time() {
    // Each level holds the level below twice: a comparison that re-sorts at each level would take hours.
    let mut text = "0".to_owned();
    let mut other = "1".to_owned();
    for level in 0..12 {
        let next = format!("{{{text} 1 {other} 2 :level {level}}}");
        other = format!("{{{other} 2 {text} 1 :other {level}}}");
        text = next;
    }
    let twice = read_one(&format!("#{{{text} {text}}}"), &Limits::default()).unwrap_err();
    assert!(matches!(twice.kind, ReadErrorKind::DuplicateElement { .. }));
    assert_ne!(value(&text), value(&other));
}

#[test]
fn maps_are_equal_whatever_the_order_of_their_pairs() {
    let (a, b) = (value("{:a 1 :b {2 3, 4 5}}"), value("{:b {4 5, 2 3} :a 1}"));
    assert_eq!(a, b);
    assert!(HashSet::from([a.clone()]).contains(&b));
    assert_eq!(a.to_string(), "{:a 1 :b {2 3 4 5}}");
    assert_ne!(a, value("{:a 1 :b {2 3, 4 6}}"));
}

#[test]
fn every_form_knows_its_place() {
    let text = "[:é  {x \"a\\n\"} #_z #inst \"2026\"]";
    fn places<'t>(form: &Form, text: &'t str, into: &mut Vec<&'t str>) {
        into.push(form.span.of(text).unwrap());
        match &form.kind {
            FormKind::Vector(forms) => forms.iter().for_each(|form| places(form, text, into)),
            FormKind::Map(pairs) => pairs.iter().for_each(|(k, v)| {
                places(k, text, into);
                places(v, text, into);
            }),
            _ => {}
        }
    }
    let mut found = Vec::new();
    places(&read(&format!(" {text} ")), &format!(" {text} "), &mut Vec::new());
    places(&read(text), text, &mut found);
    assert_eq!(found, [text, ":é", "{x \"a\\n\"}", "x", "\"a\\n\"", "#inst \"2026\""]);
}

#[test]
fn accessors_answer_only_for_their_kind() {
    let forms = read_all("?x :k [1] (2) {3 4} #{5} \"s\" true 1.5 nil", &Limits::default()).unwrap();
    let count = |matches: fn(&Form) -> bool| forms.iter().filter(|form| matches(form)).count();
    assert_eq!(count(|f| f.as_variable().is_some()), 1);
    assert_eq!(count(|f| f.as_symbol().is_some()), 1);
    assert_eq!(count(|f| f.as_keyword().is_some()), 1);
    assert_eq!(count(|f| f.as_vector().is_some()), 1);
    assert_eq!(count(|f| f.as_list().is_some()), 1);
    assert_eq!(count(|f| f.as_sequence().is_some()), 2);
    assert_eq!(count(|f| f.as_map().is_some()), 1);
    assert_eq!(count(|f| f.as_set().is_some()), 1);
    assert_eq!(count(|f| f.as_str() == Some("s")), 1);
    assert_eq!(count(|f| f.as_bool() == Some(true)), 1);
    assert_eq!(count(|f| f.as_f64() == Some(1.5)), 1);
    assert_eq!(count(Form::is_nil), 1);
}

#[test]
fn a_text_that_only_wants_more_is_incomplete() {
    let incomplete = |text: &str| read_all(text, &Limits::default()).is_err_and(|error| error.is_incomplete());
    for text in ["[", "[1 {:a", "{:a 1 :b", "\"abc", "\"abc\\", "\"\\u00", "#{", "#foo", "#foo #_bar", "#_", "(1 ;)"] {
        assert!(incomplete(text), "{text}");
    }
    for text in ["", "1", "[1]", "(]", "[1 #_]", "[#foo]", "\"\\x", "1abc", ")", "\\", "#"] {
        assert!(!incomplete(text), "{text}");
    }
}

#[test]
fn one_keyword_text_is_shared() {
    let forms = read_all(":person/name :x :person/name", &Limits::default()).unwrap();
    let [first, _, again] = &forms[..] else { panic!("three forms") };
    let text = |form: &Form| form.as_keyword().unwrap().as_str().as_ptr();
    assert_eq!(text(first), text(again));
}

#[test]
fn depth_is_limited() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let limits = Limits { max_depth: 3, ..Limits::default() };
    assert!(read_one(&nested(3), &limits).is_ok());
    let error = read_one(&nested(4), &limits).unwrap_err();
    assert_eq!((error.kind, error.span.start), (ReadErrorKind::TooDeep { limit: 3 }, 3));
    assert!(read_one("{[#a b] 1}", &limits).is_ok());
    assert!(read_one("{[#a #b c] 1}", &limits).is_err());
    assert!(read_all("[[[]]] [[[]]] #a 1 #a 2 #a 3 #a 4", &limits).is_ok());
    assert_eq!(fault(&"[".repeat(1_000_000)), ReadErrorKind::TooDeep { limit: 128 });
    assert_eq!(fault(&"#a ".repeat(1_000_000)), ReadErrorKind::TooDeep { limit: 128 });
}

#[test]
fn the_deepest_values_fit_a_stack() {
    let limits = Limits { max_depth: u32::MAX, ..Limits::default() };
    let deepest = Limits::DEEPEST as usize;
    for (open, close) in [("[", "]"), ("#{", "}"), ("{1 ", "}"), ("{", " 1}"), ("#a ", "")] {
        let inner = if open == "{" { "0" } else { "" };
        let inner = if close.is_empty() || open == "{1 " { "0" } else { inner };
        let text = format!("{}{inner}{}", open.repeat(deepest), close.repeat(deepest));
        let form = read_one(&text, &limits).unwrap_or_else(|e| panic!("{e}"));
        let value = form.to_value();
        assert_eq!(value, value.clone());
        assert_eq!(value.to_string(), text);
        assert!(tolstoy_edn::pretty(&value, 10).len() >= text.len());
        let deeper = format!("{open}{text}{close}");
        assert_eq!(read_one(&deeper, &limits).unwrap_err().kind, ReadErrorKind::TooDeep { limit: Limits::DEEPEST });
    }
}

#[test]
fn size_is_limited() {
    let limits = Limits { max_bytes: 5, ..Limits::default() };
    assert!(read_one("[123]", &limits).is_ok());
    let error = read_one("[1234]", &limits).unwrap_err();
    assert_eq!(error.kind, ReadErrorKind::TooLarge { bytes: 6, limit: 5 });
    assert_eq!(error.to_string(), "line 1, column 1: the text is 6 bytes long; at most 5 are read");
}
