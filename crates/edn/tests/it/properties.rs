//! Properties of all values and all texts.

use std::hash::{BuildHasher, RandomState};

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use tolstoy_edn::{BigInteger, Decimal, Instant, Keyword, Symbol, Uuid, Value};

use crate::check::{check_text, check_value};

fn any_name() -> impl Strategy<Value = String> {
    "([a-zA-Z*!_?$%&=<>][a-zA-Z0-9.*+!_?$%&=<>:#'-]{0,6}/)?[a-zA-Zäж漢*!_?$%&=<>][a-z0-9.+-]{0,6}"
}

fn any_scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Nil),
        any::<bool>().prop_map(Value::Boolean),
        any::<i64>().prop_map(Value::Integer),
        (0..3_i64).prop_map(Value::Integer),
        "-?[0-9]{1,30}".prop_map(|digits| Value::BigInteger(BigInteger::parse(&digits).unwrap())),
        any::<u64>().prop_map(|bits| Value::Float(f64::from_bits(bits))),
        (-9..9_i32).prop_map(|n| Value::Float(f64::from(n) / 2.0)),
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,9})?([eE][+-]?[0-9]{1,4})?"
            .prop_map(|digits| Value::Decimal(Decimal::parse(&digits).unwrap())),
        any::<char>().prop_map(Value::Char),
        (0..=0xff_u8).prop_map(|c| Value::Char(char::from(c))),
        any::<String>().prop_map(Value::from),
        "[\\x00-\\x7f]{0,8}".prop_map(Value::from),
        any_name().prop_filter_map("a literal", |name| Symbol::parse(&name)).prop_map(Value::Symbol),
        any_name().prop_map(|name| Value::Keyword(Keyword::parse(&name).unwrap())),
        any::<i64>().prop_map(|micros| Value::Instant(Instant::from_micros(micros))),
        any::<u128>().prop_map(|bits| Value::Uuid(Uuid::from_u128(bits))),
    ]
}

fn any_value() -> impl Strategy<Value = Value> {
    any_scalar().prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::List),
            vec(inner.clone(), 0..5).prop_map(Value::Vector),
            btree_set(inner.clone(), 0..5).prop_map(Value::Set),
            (btree_set(inner.clone(), 0..5), vec(inner.clone(), 5))
                .prop_map(|(keys, values)| Value::Map(keys.into_iter().zip(values).collect())),
            (
                "[a-z]{1,4}(/[a-z]{1,3})?"
                    .prop_filter("built in", |t| t != "inst" && t != "uuid" && Symbol::parse(t).is_some()),
                inner
            )
                .prop_map(|(tag, value)| Value::Tagged(Symbol::parse(&tag).unwrap(), Box::new(value))),
        ]
    })
}

/// Reverses all maps: another way to hold an equal value.
fn reversed(value: &Value) -> Value {
    let all = |values: &[Value]| values.iter().map(reversed).collect();
    match value {
        Value::List(v) => Value::List(all(v)),
        Value::Vector(v) => Value::Vector(all(v)),
        Value::Set(v) => Value::Set(v.iter().map(reversed).collect()),
        Value::Map(v) => Value::Map(v.iter().rev().map(|(k, v)| (reversed(k), reversed(v))).collect()),
        Value::Tagged(tag, v) => Value::Tagged(tag.clone(), Box::new(reversed(v))),
        scalar => scalar.clone(),
    }
}

/// Text made of the pieces that mean something to a reader.
fn any_edn_like() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[()\\[\\]{}]",
        "[#\"\\\\:;,/_.+Nme0-9 \n-]",
        "(#\\{|#_|##|##Inf|#inst \"|#uuid|\\\\u|\\\\newline|nil |:a/b |-1 |1\\.5|\"a\"|é|\u{a0}|\r\n)",
    ];
    vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn every_value_reads_back_equal(value in any_value()) {
        check_value(&value);
    }

    #[test]
    fn any_text_keeps_the_promises(text: String) {
        check_text(&text);
    }

    #[test]
    fn any_text_like_edn_keeps_the_promises(text in any_edn_like()) {
        check_text(&text);
    }

    #[test]
    fn any_written_value_cut_or_spoilt_keeps_the_promises(value in any_value(), at: prop::sample::Index, c: char) {
        let mut text = value.to_string();
        let at = text.floor_char_boundary(at.index(text.len()));
        check_text(&text[..at]);
        text.insert(at, c);
        check_text(&text);
    }

    #[test]
    fn equality_order_and_hash_agree(values in vec(any_value(), 3)) {
        let [a, b, c] = &values[..] else { unreachable!() };
        let hash = RandomState::new();
        let same = reversed(a);
        prop_assert_eq!(a, &same);
        prop_assert_eq!(a.cmp(b), same.cmp(b));
        prop_assert_eq!(hash.hash_one(a), hash.hash_one(&same));
        prop_assert_eq!(a.cmp(b), b.cmp(a).reverse());
        prop_assert_eq!(a == b, a.to_string() == b.to_string() || reversed(a).to_string() == b.to_string());
        if a <= b && b <= c {
            prop_assert!(a <= c);
        }
    }

    #[test]
    fn big_integers_are_ordered_as_numbers(a in -(1_i128 << 100)..1_i128 << 100, b: i64) {
        let big = |n: i128| BigInteger::parse(&n.to_string()).unwrap();
        prop_assert_eq!(big(a).cmp(&big(b.into())), a.cmp(&b.into()));
        prop_assert_eq!(big(b.into()).to_i64(), Some(b));
        prop_assert_eq!(big(a).to_i64(), i64::try_from(a).ok());
    }
}
