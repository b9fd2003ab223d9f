//! What people see of an error.

use insta::assert_snapshot;
use tolstoy_edn::{Limits, Position, Span, locate, read_all, read_one, render_error};

fn shown(text: &str) -> String {
    read_one(text, &Limits::default()).expect_err(text).render("transact.edn", text)
}

#[test]
fn an_error_shows_its_line() {
    assert_snapshot!(shown("[[:db/add \"x\" :person/name \"Ivan\"]\n [:db/add \"x\"\t:person//age 3]]"), @r#"
    transact.edn:2:15: `:person//age` is no keyword: `/` may stand in it only once
       [:db/add "x"   :person//age 3]]
                      ^^^^^^^^^^^^
    "#);
    assert_snapshot!(shown("{:a 1\n :b 2\n :a 3}\n"), @r#"
    transact.edn:3:2: this key stands in the map already, at line 1, column 2
       :a 3}
       ^^
    "#);
    assert_snapshot!(shown("[:find ?x\r\n :where [?x :a 1/2]]\r\n"), @r#"
    transact.edn:2:16: `1/2` is no number: ratios are not EDN; write a decimal such as 0.5M, or a float
       :where [?x :a 1/2]]
                     ^^^
    "#);
    assert_snapshot!(shown("(1 2\n  [3 4)"), @r#"
    transact.edn:2:7: this `)` does not close the `[` of line 2, column 3
        [3 4)
            ^
    "#);
    assert_snapshot!(shown("[1 2\n [3 4\n"), @r#"
    transact.edn:2:2: this `[` is never closed: a `]` is missing
       [3 4
       ^
    "#);
    assert_snapshot!(shown("{:name \"Ivan"), @r#"
    transact.edn:1:8: this string is never closed: a `"` is missing
      {:name "Ivan
             ^
    "#);
    assert_snapshot!(shown("[\"a\\qb\"]"), @r#"
    transact.edn:1:4: `\q` is no escape: strings know \t \r \n \b \f \\ \" and \u with four hex digits
      ["a\qb"]
         ^^
    "#);
    assert_snapshot!(shown("[:a] [:b]"), @r#"
    transact.edn:1:6: one form was expected, and a vector follows it
      [:a] [:b]
           ^^^^
    "#);
    assert_snapshot!(shown(""), @r#"
    transact.edn:1:1: there is nothing to read here

      ^
    "#);
    assert_snapshot!(shown("{:born #inst \"2026-02-30\"}"), @r#"
    transact.edn:1:14: "2026-02-30" is no instant: write #inst "2026-11-21T20:02:00Z", a date that exists
      {:born #inst "2026-02-30"}
                   ^^^^^^^^^^^^
    "#);
    assert_snapshot!(shown("[\u{1b}[31m]"), @r#"
    transact.edn:1:2: `\u{1b}` is no symbol: `\u{1b}` cannot stand in it
      [␛[31m]
       ^
    "#);
}

#[test]
fn an_error_displays_cause_and_position() {
    let error = read_all("[1\n 2abc]", &Limits::default()).unwrap_err();
    assert_snapshot!(error, @r#"line 2, column 2: `2abc` is no number: `a` cannot follow a number directly"#);
}

#[test]
fn long_lines_are_cut_around_the_place() {
    let text = format!("[{} 1x {}]", "лев ".repeat(50), "abcdefghi ".repeat(20));
    assert_snapshot!(shown(&text), @r#"
    transact.edn:1:203: `1x` is no number: `x` cannot follow a number directly
      ...ев лев лев лев лев лев лев лев лев лев лев лев лев лев лев  1x abcdefghi abcdefghi abcdefghi abcdefg...
                                                                     ^^
    "#);
    let token = format!("[1{}]", "x".repeat(500));
    assert_snapshot!(shown(&token), @r#"
    transact.edn:1:2: `1xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...` is no number: `x` cannot follow a number directly
      [1xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...
       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    "#);
}

#[test]
fn a_span_over_lines_is_marked_on_its_first() {
    let text = "[1\n [:a\n  :b]]";
    assert_snapshot!(render_error("q", text, Span { start: 4, end: 13 }, "not a clause"), @r#"
    q:2:2: not a clause
       [:a
       ^^^
    "#);
    assert_snapshot!(render_error("q", text, Span { start: 999, end: 1 }, "past the end"), @r#"
    q:3:7: past the end
        :b]]
            ^
    "#);
}

#[test]
fn places_count_lines_and_characters() {
    let text = "ab\nлев\r\n\tx";
    let at = |offset| {
        let Position { line, column } = locate(text, offset);
        (line, column)
    };
    assert_eq!(
        [at(0), at(2), at(3), at(5), at(6), at(9), at(11), at(12), at(99)],
        [(1, 1), (1, 3), (2, 1), (2, 2), (2, 2), (2, 4), (3, 1), (3, 2), (3, 3)]
    );
}
