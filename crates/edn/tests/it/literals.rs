//! Tables of literals: what each text reads as, and how that is written.

use tolstoy_edn::{Limits, Value, read_one};

fn written(text: &str) -> Result<String, String> {
    read_one(text, &Limits::default()).map(|form| form.to_value().to_string()).map_err(|e| e.kind.to_string())
}

#[track_caller]
fn all_read(table: &[(&str, &str)]) {
    for (text, expected) in table {
        assert_eq!(written(text).as_deref(), Ok(*expected), "{text:?}");
    }
}

#[track_caller]
fn all_refused(table: &[(&str, &str)]) {
    for (text, cause) in table {
        let message = written(text).expect_err(text);
        assert!(message.contains(cause), "{text:?}: {message}");
    }
}

#[test]
fn numbers() {
    all_read(&[
        ("0", "0"),
        ("-0", "0"),
        ("+7", "7"),
        ("9223372036854775807", "9223372036854775807"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("9223372036854775808", "9223372036854775808N"),
        ("-9223372036854775809", "-9223372036854775809N"),
        ("1N", "1N"),
        ("-0N", "0N"),
        ("1.5", "1.5"),
        ("-0.0", "-0.0"),
        ("1e3", "1000.0"),
        ("1E+3", "1000.0"),
        ("1.25e-3", "0.00125"),
        ("1e300", "1e300"),
        ("5e-324", "5e-324"),
        ("0.1", "0.1"),
        ("1M", "1M"),
        ("+1.50M", "1.50M"),
        ("-0.0M", "0.0M"),
        ("-1.5e+03M", "-1.5E3M"),
        ("1e-999999999999M", "1E-999999999999M"),
        ("1e0M", "1M"),
        ("##Inf", "##Inf"),
        ("##-Inf", "##-Inf"),
        ("##NaN", "##NaN"),
    ]);
    all_refused(&[
        ("1/2", "ratios"),
        ("007", "cannot begin with a zero"),
        ("-01", "cannot begin with a zero"),
        (".5", "a digit must stand before the point"),
        ("1.", "a digit must follow the point"),
        ("1.e5", "a digit must follow the point"),
        ("1e", "a digit must follow the exponent's"),
        ("1e999", "too large"),
        ("1.5N", "only an integer can end in N"),
        ("0x1F", "`x` cannot follow a number directly"),
        ("1abc", "`a` cannot follow a number directly"),
        ("1Mx", "`x` cannot follow a number directly"),
        ("1..2", "a digit must follow the point"),
        ("-1-", "`-` cannot follow a number directly"),
        ("##inf", "##Inf"),
    ]);
}

#[test]
fn strings() {
    all_read(&[
        (r#""""#, r#""""#),
        (r#""a\nb\t\r\\\"""#, r#""a\nb\t\r\\\"""#),
        ("\"a\nb\"", r#""a\nb""#),
        (r#""\b\f""#, r#""\u0008\u000c""#),
        (r#""\u0041\u00e9""#, "\"Aé\""),
        (r#""\ud83d\ude00!""#, "\"😀!\""),
        (r#""\u202e""#, r#""\u202e""#),
        ("\"\u{e0001}\"", r#""\udb40\udc01""#),
        ("\"лев 😀\"", "\"лев 😀\""),
    ]);
    let form = read_one(r#""\n""#, &Limits::default()).unwrap();
    assert_eq!(form.as_str(), Some("\n"));
    all_refused(&[
        (r#""\x""#, r"`\x` is no escape"),
        (r#""\u12g4""#, r"`\u12` is no escape"),
        (r#""\u+123""#, r"`\u` is no escape"),
        (r#""\ud83d""#, "surrogate"),
        (r#""\ud83d\n""#, "surrogate"),
        (r#""\ud83dA""#, "surrogate"),
        (r#""\ude00\ud83d""#, "surrogate"),
        (r#""\é""#, r"`\é` is no escape"),
    ]);
}

#[test]
fn characters() {
    let read = |text: &str| read_one(text, &Limits::default()).unwrap().to_value();
    for (text, c) in [
        (r"\a", 'a'),
        (r"\newline", '\n'),
        (r"\return", '\r'),
        (r"\space", ' '),
        (r"\tab", '\t'),
        (r"\formfeed", '\u{c}'),
        (r"\backspace", '\u{8}'),
        (r"\u0041", 'A'),
        (r"\u", 'u'),
        (r"\\", '\\'),
        (r"\(", '('),
        ("\\\"", '"'),
        (r"\;", ';'),
        (r"\,", ','),
        (r"\é", 'é'),
        ("\\😀", '😀'),
    ] {
        assert_eq!(read(text), Value::Char(c), "{text}");
    }
    assert_eq!(written(r"[\] \[]").unwrap(), r"[\] \[]");
    all_refused(&[
        (r"\", "no character"),
        (r"\ a", "no character"),
        (r"\ab", "no character"),
        (r"\a\b", r"`\a\b` is no character"),
        (r"\ud800", "no character"),
    ]);
}

#[test]
fn names() {
    for text in [
        "nil",
        "true",
        "false",
        "a",
        "/",
        ".",
        "-",
        "+",
        "+foo",
        "-foo",
        ".foo",
        "<=",
        "!=",
        "?x",
        "$",
        "$in",
        "%",
        "&",
        "_",
        "*",
        "=",
        "a.b/c-d",
        "a'",
        "nil?",
        "truely",
        "foo/nil",
        "a#",
        "a:b",
        "имя",
        ":a",
        ":db/ident",
        ":person/_friend",
        ":1",
        ":a/1",
        ":a.b.c/d-e_f",
        ":<=",
        ":a#b",
        ":-",
    ] {
        assert_eq!(written(text).as_deref(), Ok(text));
    }
    all_refused(&[
        (":", "a part of the name is empty"),
        ("::a", "it cannot begin with `:`"),
        (":/", "a part of the name is empty"),
        (":a/", "a part of the name is empty"),
        (":/a", "a part of the name is empty"),
        (":a/b/c", "only once"),
        ("a/b/c", "only once"),
        ("//", "is empty"),
        ("a/1", "it cannot begin with `1`"),
        ("a@b", "`@` cannot stand in it"),
        ("a\\b", "cannot stand in it"),
        ("a\u{200b}b", r"`\u{200b}` cannot stand in it"),
        ("|", "`|` cannot stand in it"),
    ]);
}

#[test]
fn instants_and_uuids() {
    all_read(&[
        (r#"#inst "2026""#, r#"#inst "2026-01-01T00:00:00Z""#),
        (r#"#inst"2026-11-21T20:02:01.5+02:00""#, r#"#inst "2026-11-21T18:02:01.500Z""#),
        (r#"#inst #_ x "1969-12-31T23:59:59.9999999Z""#, r#"#inst "1969-12-31T23:59:59.999999Z""#),
        (r#"#uuid "F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6""#, r#"#uuid "f81d4fae-7dec-11d0-a765-00a0c91e6bf6""#),
    ]);
    all_refused(&[
        (r#"#inst "2026-02-30""#, "\"2026-02-30\" is no instant"),
        ("#inst 2026", "an integer is no instant"),
        (r#"#uuid "f81d4fae""#, "\"f81d4fae\" is no UUID"),
        (r#"#uuid "f81d4fae7dec11d0a76500a0c91e6bf6""#, "is no UUID"),
        (r#"#uuid "{81d4fae-7dec-11d0-a765-00a0c91e6bf}""#, "is no UUID"),
        ("#uuid :a", "a keyword is no UUID"),
    ]);
}

#[test]
fn what_clojure_has_and_edn_has_not() {
    all_refused(&[
        ("'a", "the quote `'` is Clojure"),
        ("`a", "not EDN"),
        ("~a", "not EDN"),
        ("@a", "not EDN"),
        ("^:a b", "not EDN"),
        ("#\"a\"", "regular expression"),
        ("#(a)", "function"),
        ("#'a", "var quote"),
        ("#?(:clj 1)", "reader conditional"),
        ("#=(a)", "evaluation"),
        ("#!/bin/sh", "script line"),
        ("#:a{:b 1}", "map namespace"),
        ("#^a b", "metadata"),
    ]);
}
