//! RFC 8785, and what it leaves open.

use proptest::prelude::*;
use tolstoy_tasks::json::{Json, Limits, Number, read};

const LIMITS: Limits = Limits { bytes: 1 << 20, depth: 32 };

fn canonical(text: &str) -> String {
    read(text, LIMITS).unwrap_or_else(|e| panic!("{text}: {e}")).canonical()
}

fn fault(text: &str) -> String {
    read(text, LIMITS).unwrap_err().to_string()
}

/// RFC 8785, section 3.2.2 to 3.2.4.
#[test]
fn the_rfcs_example() {
    let given = r#"{
        "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
        "literals": [null, true, false]
    }"#;
    let expected = r#"{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}"#;
    assert_eq!(canonical(given), expected);
}

/// RFC 8785, section 3.2.3: by UTF-16 code units.
#[test]
fn the_rfcs_order_of_keys() {
    let given = r#"{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One",
        "\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}"#;
    let values: Vec<String> = canonical(given).split(':').skip(1).map(|s| s.chars().take(9).collect()).collect();
    let expected =
        ["\"Carriage", "\"One\",\"\u{80}\"", "\"Control\"", "\"Latin Sm", "\"Euro Sig", "\"Emoji", "\"Hebrew L"];
    let found: Vec<&str> = values.iter().map(String::as_str).filter(|s| !s.starts_with(' ')).collect();
    assert_eq!(found, expected);
}

/// RFC 8785, appendix B: the double with these bits, and its text.
#[test]
fn the_rfcs_numbers() {
    let vectors: [(u64, &str); 24] = [
        (0x0000_0000_0000_0000, "0"),
        (0x8000_0000_0000_0000, "0"),
        (0x0000_0000_0000_0001, "5e-324"),
        (0x8000_0000_0000_0001, "-5e-324"),
        (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
        (0xffef_ffff_ffff_ffff, "-1.7976931348623157e+308"),
        (0x4340_0000_0000_0000, "9007199254740992"),
        (0xc340_0000_0000_0000, "-9007199254740992"),
        (0x4430_0000_0000_0000, "295147905179352830000"),
        (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
        (0x44b5_2d02_c7e1_4af6, "1e+23"),
        (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23"),
        (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
        (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"),
        (0x444b_1ae4_d6e2_ef50, "1e+21"),
        (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
        (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
        (0x41b3_de43_5555_5553, "333333333.3333332"),
        (0x41b3_de43_5555_5554, "333333333.33333325"),
        (0x41b3_de43_5555_5555, "333333333.3333333"),
        (0x41b3_de43_5555_5556, "333333333.3333334"),
        (0x41b3_de43_5555_5557, "333333333.33333343"),
        (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
        (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
    ];
    for (bits, expected) in vectors {
        let double = f64::from_bits(bits);
        assert_eq!(Number::parse(&format!("{double:e}")).unwrap().canonical(), expected, "{bits:x}");
    }
}

#[test]
fn what_no_double_can_say_keeps_its_digits() {
    for (given, expected) in [
        ("9007199254740993", "9007199254740993"),
        // The same double, an integer of more than 17 digits, whichever way it is written.
        ("100000000000006016", "100000000000006020"),
        ("100000000.000006016e9", "100000000000006020"),
        ("100000000000006020", "100000000000006020"),
        ("100000000.000006017e9", "100000000000006017"),
        ("12345678901234567890123", "1.2345678901234567890123e+22"),
        ("0.1000000000000000055511151231257827", "0.1000000000000000055511151231257827"),
        ("1e400", "1e+400"),
        ("-1e-400", "-1e-400"),
        ("100e398", "1e+400"),
        ("1.0", "1"),
        ("10e-1", "1"),
        ("-0", "0"),
        ("-0.0e7", "0"),
        ("1e21", "1e+21"),
        ("100000000000000000000", "100000000000000000000"),
        ("9007199254740992.0", "9007199254740992"),
        ("295147905179352825856", "295147905179352830000"),
    ] {
        assert_eq!(canonical(given), expected, "{given}");
        assert_eq!(read(given, LIMITS).unwrap().exact(), given);
    }
    assert_ne!(read("9007199254740993", LIMITS).unwrap(), read("9007199254740992", LIMITS).unwrap());
    assert_eq!(read("[1.0]", LIMITS).unwrap(), read("[1]", LIMITS).unwrap());
}

#[test]
fn what_is_no_json_is_refused_where_it_stands() {
    assert_eq!(fault(""), "line 1, column 1: the text ends where a value is expected: it is cut off, or empty");
    assert_eq!(fault("{\"a\": 1,\n \"a\": 2}"), "line 2, column 2: the key \"a\" stands twice in one object");
    assert_eq!(fault(r#"{"a": 1, "\u0061": 2}"#), "line 1, column 10: the key \"a\" stands twice in one object");
    assert_eq!(fault("{\"é\": \"x"), "line 1, column 9: the text is cut off: a `\"` is missing");
    assert_eq!(fault("[1"), "line 1, column 3: the text is cut off: a `]` is missing");
    assert_eq!(fault("[1] 2"), "line 1, column 5: the JSON ends here, and something follows it");
    assert_eq!(fault("\"\\ud800\""), "line 1, column 2: half a surrogate pair is no character");
    assert_eq!(fault("\"\\ud800\\u0041\""), "line 1, column 2: half a surrogate pair is no character");
    assert_eq!(fault("\"\\udc00\""), "line 1, column 2: half a surrogate pair is no character");
    assert_eq!(fault("\"a\nb\""), "line 1, column 3: a control character must be escaped in a text");
    for bad in [
        "01",
        "+1",
        "1.",
        ".5",
        "1e",
        "--1",
        "1e+",
        "NaN",
        "nul",
        "[1,]",
        "{\"a\":1,}",
        "[,1]",
        "{a:1}",
        "'a'",
        "\"\\x\"",
        "\"\\u00g0\"",
        "\"\\u+123\"",
        "1e100001",
        "1e99999999999999999999",
        "[1 2]",
        "{\"a\" 1}",
    ] {
        assert!(read(bad, LIMITS).is_err(), "{bad}");
    }
    assert!(read(&"9".repeat(1001), LIMITS).is_err());
}

#[test]
fn depth_and_size_are_limited() {
    let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    assert!(read(&deep(32), LIMITS).is_ok());
    assert_eq!(fault(&deep(33)), "line 1, column 33: this is nested more than 32 levels deep");
    assert!(fault(&"[".repeat(1_000_000)).contains("nested more than 32"));
    assert!(fault(&" ".repeat((1 << 20) + 1)).contains("at most 1048576 are read"));
}

fn any_json() -> impl Strategy<Value = Json> {
    let scalar = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::Bool),
        "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,9})?([eE][+-]?[0-9]{1,3})?"
            .prop_map(|text| Json::Number(Number::parse(&text).unwrap())),
        any::<String>().prop_map(Json::String),
    ];
    scalar.prop_recursive(4, 30, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Json::Array),
            proptest::collection::btree_map(any::<String>(), inner, 0..5).prop_map(Json::Object),
        ]
    })
}

proptest! {
    #[test]
    fn canonical_and_exact_texts_read_back(value in any_json()) {
        let canonical = value.canonical();
        prop_assert_eq!(&read(&canonical, LIMITS).unwrap(), &value);
        prop_assert_eq!(read(&canonical, LIMITS).unwrap().canonical(), canonical);
        prop_assert_eq!(read(&value.exact(), LIMITS).unwrap().exact(), value.exact());
    }

    #[test]
    fn of_a_double_the_canonical_text_is_that_double(bits in any::<u64>()) {
        let double = f64::from_bits(bits);
        prop_assume!(double.is_finite());
        for text in [format!("{double:e}"), format!("{double:.17e}").replace("e-0", "e-")] {
            let text = Number::parse(&text).unwrap().canonical();
            let back: f64 = text.parse().unwrap();
            prop_assert!(back == double, "{} {}", text, double);
        }
    }

    #[test]
    fn no_text_breaks_the_reader(text in any::<String>(), cut in any::<usize>(), value in any_json()) {
        let _ = read(&text, LIMITS);
        let whole = value.canonical();
        let at = whole.char_indices().map(|(at, _)| at).nth(cut % whole.chars().count().max(1)).unwrap_or(0);
        let _ = read(&whole[..at], LIMITS);
    }
}
