//! Scores by expressions.

use proptest::prelude::*;
use tolstoy_tasks::{Score, View};

use crate::common::{instant, task};

fn score(expression: &str) -> f64 {
    let tasks = [
        task(
            r#"{"id":"pb67wndxge8293xd","tags":["home","next"],"due":"2026-11-27T12:00:00Z","created_at":"2026-11-15T12:00:00Z","size":4,"x-y":1}"#,
        ),
        task(r#"{"id":"px6zrs3z46b8e5pg","blocked_by":["pb67wndxge8293xd"]}"#),
    ];
    let view = View::new(&tasks, instant("2026-11-25T12:00:00Z"));
    Score::parse(expression).unwrap_or_else(|e| panic!("{expression}: {e}")).of(&tasks[0], &view)
}

#[test]
fn expressions_are_arithmetic_over_the_task() {
    for (expression, expected) in [
        ("1 + 2 * 3", 7.0),
        ("(1 + 2) * 3", 9.0),
        ("10 - 4 - 3", 3.0),
        ("12 / 4 / 3", 1.0),
        ("-2 * -3", 6.0),
        ("--2", 2.0),
        ("1 / 0", 0.0),
        ("5 + 1 / 0", 5.0),
        ("due", 2.0),
        ("age", 10.0),
        ("tags", 2.0),
        ("blocking", 1.0),
        ("has(due) + has(wait)", 1.0),
        ("tag(next)*6+tag( home )", 7.0),
        ("is(blocking) + is(blocked) + is(ready)", 2.0),
        ("value(size) + value(due) + value(x-y)", 5.0),
        ("min(1, 2) + max(1, 2) * 10", 21.0),
        ("1.5", 1.5),
    ] {
        assert!((score(expression) - expected).abs() < 1e-9, "{expression}: {}", score(expression));
    }
    // Due in two days, blocks one, is tagged, ten days old.
    let expected = 8.0 + 8.0 + 6.0 + 10.0 / 90.0 + 0.2;
    assert!((score(Score::DEFAULT) - expected).abs() < 1e-9, "{}", score(Score::DEFAULT));
}

#[test]
fn what_is_no_expression_is_said() {
    for (bad, why) in [
        ("", "a number, a name or a parenthesis is expected at its end"),
        ("1 +", "a number, a name or a parenthesis is expected at its end"),
        ("1 2", "an operator is expected before \"2\""),
        ("urgency", "a number, a name or a parenthesis is expected before \"urgency\""),
        ("has", "`(` is expected at its end"),
        ("has(due", "`)` is expected at its end"),
        ("is(late)", "\"late\" is no state"),
        ("min(1)", "`,` is expected before \")\""),
        ("(1", "`)` is expected at its end"),
        ("1)", "an operator is expected before \")\""),
        ("1.2.3", "is expected before \"1.2.3\""),
        ("inf", "is expected before \"inf\""),
    ] {
        let told = Score::parse(bad).unwrap_err().to_string();
        assert!(told.contains(why), "{bad}: {told}");
    }
    assert!(Score::parse(&"(".repeat(2000)).unwrap_err().to_string().contains("nested more than 64"));
    assert!(Score::parse(&"1+".repeat(5000)).unwrap_err().to_string().contains("at most 4096 are read"));
}

proptest! {
    #[test]
    fn no_text_breaks_it(text in any::<String>(), like in "[-0-9+*/()., a-z]{0,40}") {
        let _ = Score::parse(&text);
        let _ = Score::parse(&like);
    }
}
