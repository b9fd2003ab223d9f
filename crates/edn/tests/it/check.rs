//! What must hold for any text. The fuzz target `edn_read` includes this file as well.

use tolstoy_edn::{Limits, ReadError, Value, pretty, read_all, read_one, render_error};

/// Panics if reading the text breaks a promise of the crate.
pub(crate) fn check_text(text: &str) {
    let limits = Limits::default();
    match read_all(text, &limits) {
        Ok(forms) => {
            for form in &forms {
                let own_text = form.span.of(text).expect("a span lies in the text, on character boundaries");
                let value = form.to_value();
                let again = read_one(own_text, &limits).expect("the text of a form is that form");
                assert_eq!(again.to_value(), value, "the text of a form is that form");
                check_value(&value);
            }
            if let Err(error) = read_one(text, &limits) {
                assert_ne!(forms.len(), 1, "read_one refuses one form: {error}");
                check_error(text, &error);
            }
        }
        Err(error) => {
            check_error(text, &error);
            read_one(text, &limits).expect_err("read_one accepts what read_all refuses");
        }
    }
}

/// Panics unless the value reads back equal from everything the crate writes for it.
pub(crate) fn check_value(value: &Value) {
    let text = value.to_string();
    let read = |text: &str| match read_one(text, &Limits::default()) {
        Ok(form) => form.to_value(),
        Err(error) => panic!("{}", error.render("written", text)),
    };
    let again = read(&text);
    assert_eq!(&again, value, "{text}");
    assert_eq!(again.to_string(), text);
    for width in [0, 20, 80] {
        let broken = pretty(value, width);
        assert_eq!(&read(&broken), value, "{broken}");
    }
}

fn check_error(text: &str, error: &ReadError) {
    error.span.of(text).expect("an error's span lies in the text, on character boundaries");
    assert!(error.span.start <= error.span.end);
    let rendered = error.render("t", text);
    let lines: Vec<&str> = rendered.split('\n').collect();
    let [head, line, carets] = lines[..] else { panic!("three lines: {rendered}") };
    assert!(head.starts_with(&format!("t:{}: ", error.at)), "{head}");
    assert!(carets.trim_start().bytes().all(|b| b == b'^') && carets.contains('^'), "{carets}");
    assert!(!line.chars().any(char::is_control), "{line:?}");
    assert_eq!(rendered, render_error("t", text, error.span, &error.kind.to_string()));
}
