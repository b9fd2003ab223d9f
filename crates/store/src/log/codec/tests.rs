#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use super::*;
use crate::error::ErrorKind;
use crate::log::{Field, Update};

fn unhex(parts: &[&str]) -> Vec<u8> {
    let digits: Vec<u32> = parts.concat().chars().filter_map(|c| c.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}

fn uuid(byte: u8) -> Uuid {
    Uuid::from_bytes([byte; 16])
}

fn keyword(text: &str) -> Value {
    Value::Keyword(Keyword::parse(text).unwrap())
}

/// A transaction in which every field has something.
fn whole() -> Transaction {
    let (e, a) = (Entid::new(65536), Entid::new(100));
    let tx = Entid::new(268_435_457);
    let fact = |v| Change::add(e, a, v);
    Transaction {
        tx,
        instant: Instant::from_micros(2_000_000),
        origin: Origin { id: uuid(1), device: uuid(2), authored: Instant::from_micros(1_000_000) },
        entids: vec![EntidRun { authored: Entid::new(65536), current: Entid::new(65538), count: 2 }],
        operations: Vec::new(),
        overwritten: vec![
            Overwrite { e, a, base: None, incoming: Some(Value::Long(5)), local: Value::Long(-6) },
            Overwrite { e, a, base: Some(Value::Boolean(true)), incoming: None, local: Value::Boolean(false) },
        ],
        displaced: Some(Displaced {
            reason: Reason::Depends,
            detail: "why".to_owned(),
            unbound: vec![Unbound { entid: Entid::new(65540), origin: uuid(3), authored: Entid::new(0) }],
            changes: vec![Change::retract(e, a, Value::Long(300))],
            operations: Vec::new(),
        }),
        said: Some(vec![Change::add(e, a, Value::Long(7))]),
        changes: vec![
            Change::add(Entid::new(1), Entid::new(37), Value::String("d\n".into())),
            Change::retract(e, a, keyword("a/b")),
            fact(Value::Ref(Entid::new(65537))),
            fact(keyword("c")),
            fact(Value::Long(i64::MIN)),
            fact(Value::Double(Double::new(1.5).unwrap())),
            fact(Value::String("ё".into())),
            fact(Value::Uuid(uuid(4))),
            fact(Value::Uri("u:".into())),
            fact(Value::Boolean(true)),
            fact(Value::Instant(Instant::from_micros(-1))),
            fact(Value::Bytes([0, 255].as_slice().into())),
            Change::add(tx, TX_INSTANT, Value::Instant(Instant::from_micros(2_000_000))),
        ],
    }
}

/// The payload of `whole()`, written by hand from `docs/format.md`. It never changes.
fn golden() -> Vec<u8> {
    unhex(&[
        "9a",
        "c410 01010101010101010101010101010101", // origin
        "c410 02020202020202020202020202020202", // device
        "ce000f4240",                            // authored
        "ce10000001",                            // tx
        "91 93 ce00010000 ce00010002 02",        // entids
        "9d",                                    // datoms
        "95 01 25 1b a2640a c3",
        "95 ce00010000 64 18 a3612f62 c2",
        "95 ce00010000 64 17 ce00010001 c3",
        "95 ce00010000 64 18 a163 c3",
        "95 ce00010000 64 19 d38000000000000000 c3",
        "95 ce00010000 64 1a cb3ff8000000000000 c3",
        "95 ce00010000 64 1b a2d191 c3",
        "95 ce00010000 64 1c c41004040404040404040404040404040404 c3",
        "95 ce00010000 64 1d a2753a c3",
        "95 ce00010000 64 1e c3 c3",
        "95 ce00010000 64 1f ff c3",
        "95 ce00010000 64 20 c40200ff c3",
        "95 ce10000001 03 1f ce001e8480 c3",
        "90",                                // operations
        "92",                                // overwritten
        "95 ce00010000 64 c0 921905 9219fa", // nothing, 5, -6
        "95 ce00010000 64 921ec3 c0 921ec2", // true, nothing, false
        "95 a7646570656e6473 a3776879",      // displaced: depends, why
        "91 93 ce00010004 c410 03030303030303030303030303030303 00",
        "91 95 ce00010000 64 19 cd012c c2",
        "90",
        "91 95 ce00010000 64 19 07 c3", // said
    ])
}

#[test]
fn a_payload_has_these_bytes() {
    assert_eq!(encode(&whole()), golden());
    assert_eq!(decode(&golden()).unwrap(), whole());
}

#[test]
fn a_carrier_without_unbound_entities_and_a_plain_transaction_have_these_bytes() {
    let mut plain = whole();
    (plain.entids, plain.overwritten, plain.displaced, plain.said) = (Vec::new(), Vec::new(), None, None);
    plain.changes.drain(..12);
    let bytes = unhex(&[
        "9a c410 01010101010101010101010101010101 c410 02020202020202020202020202020202 ce000f4240 ce10000001",
        "90 91 95 ce10000001 03 1f ce001e8480 c3 90 90 c0 c0",
    ]);
    assert_eq!(encode(&plain), bytes);
    assert_eq!(decode(&bytes).unwrap(), plain);
}

#[test]
fn a_fact_has_these_bytes_in_the_digest() {
    let bytes = fact_bytes(Entid::new(65536), Entid::new(100), &Value::Long(-33), Entid::new(268_435_457));
    assert_eq!(bytes, unhex(&["95 ce00010000 64 19 d0df ce10000001"]));
}

#[test]
fn an_extra_is_null_where_it_is_empty() {
    assert_eq!(encode_extra(&Extra::default()), None);
    assert_eq!(decode_extra(None).unwrap(), Extra::default());
    let Transaction { entids, operations, overwritten, displaced, changes, .. } = operating();
    for said in [None, Some(Vec::new()), Some(changes)] {
        let extra = Extra {
            entids: entids.clone(),
            operations: operations.clone(),
            overwritten: overwritten.clone(),
            displaced: displaced.clone(),
            said,
        };
        assert_eq!(decode_extra(encode_extra(&extra).as_deref()).unwrap(), extra);
    }
}

/// The golden payload with one stretch of its hex replaced.
fn with(from: &str, to: &str) -> Result<Transaction> {
    let hex: String = golden().iter().map(|b| format!("{b:02x}")).collect();
    let (from, to) = (from.replace(' ', ""), to.replace(' ', ""));
    assert_eq!(hex.matches(&from).count(), 1, "{from} stands once in the payload");
    decode(&unhex(&[&hex.replace(&from, &to)]))
}

#[test]
fn what_is_not_canonical_is_refused() {
    let kinds = [
        ("a longer integer", with("ce000f4240", "cf00000000000f4240")),
        ("datoms out of order", with("64 17 ce00010001 c3", "64 19 ff c3")),
        ("a datom twice", with("9d 95 01 25 1b a2640a c3", "9e 95 01 25 1b a2640a c3 95 01 25 1b a2640a c3")),
        ("no instant of its own", with("95 ce10000001 03 1f", "95 ce10000001 04 1f")),
        ("an unknown type", with("64 20 c40200ff", "64 21 c40200ff")),
        ("an unknown reason", with("a7646570656e6473", "a7646570656e6474")),
        ("negative zero", with("cb3ff8000000000000", "cb8000000000000000")),
        ("not a number", with("cb3ff8000000000000", "cb7ff8000000000000")),
        ("a keyword with a colon", with("a163", "a23a63")),
        ("bytes left over", decode(&[golden(), vec![0xc0]].concat())),
        (
            "a run cut in two",
            with("91 93 ce00010000 ce00010002 02", "92 93 ce00010000 ce00010002 01 93 ce00010001 ce00010003 01"),
        ),
        ("runs that leave the user partition", with("91 93 ce00010000", "91 93 ce10000000")),
    ];
    for (what, result) in kinds {
        assert_eq!(result.expect_err(what).kind(), ErrorKind::Damaged, "{what}");
    }
}

/// `whole()` with operations, in the carrier as well.
fn operating() -> Transaction {
    let (e, a) = (Entid::new(65536), Entid::new(100));
    let update = |update| Operation::Update { e, a, update };
    let mut transaction = whole();
    transaction.operations = vec![
        update(Update::Cas { old: None, new: Some(Value::Boolean(true)) }),
        update(Update::Cas { old: Some(Value::Ref(e)), new: None }),
        update(Update::Inc(Value::Long(-1))),
        update(Update::Inc(Value::Long(-1))),
        update(Update::Max(Value::Double(Double::new(1.5).unwrap()))),
        update(Update::Min(Value::Instant(Instant::from_micros(5)))),
        Operation::Call {
            name: Keyword::parse("my/f").unwrap(),
            args: vec![Value::Ref(Entid::new(65537)), Value::String("x".into())],
        },
        Operation::Call { name: Keyword::parse("my/g").unwrap(), args: Vec::new() },
        Operation::Unknown {
            kind: "push".to_owned(),
            fields: vec![
                Field::Entity(e),
                Field::Name("last".to_owned()),
                Field::Values(vec![Value::Long(7)]),
                Field::Value(None),
                Field::Value(Some(Value::Long(8))),
            ],
        },
    ];
    let carried = Operation::Update { e: Entid::new(-1), a, update: Update::Inc(Value::Long(1)) };
    transaction.displaced.as_mut().unwrap().operations = vec![carried];
    transaction
}

/// The operations of `operating()`, written by hand from `docs/format.md`. They never change.
const OPERATIONS: [&str; 10] = [
    "99",
    "95 a3636173 ce00010000 64 c0 921ec3",
    "95 a3636173 ce00010000 64 9217ce00010000 c0",
    "94 a3696e63 ce00010000 64 9219ff",
    "94 a3696e63 ce00010000 64 9219ff",
    "94 a36d6178 ce00010000 64 921acb3ff8000000000000",
    "94 a36d696e ce00010000 64 921f05",
    "93 a2666e a46d792f66 92 9217ce00010001 921ba178",
    "93 a2666e a46d792f67 90",
    "96 a470757368 ce00010000 a46c617374 91 921907 c0 921908",
];

#[test]
fn operations_have_these_bytes() {
    let hex = golden().iter().map(|b| format!("{b:02x}")).collect::<String>();
    let own = hex.replace("ce001e8480c390", &format!("ce001e8480c3{}", OPERATIONS.concat()));
    let all = own.replace("64 19 cd012c c2 90".replace(' ', "").as_str(), "6419cd012cc29194a3696e63ff64921901");
    let bytes = unhex(&[&all]);
    assert_eq!(encode(&operating()), bytes);
    assert_eq!(decode(&bytes).unwrap(), operating());
    let mentioned: Vec<i64> = operating().operations.iter().flat_map(Operation::mentions).map(Entid::get).collect();
    assert_eq!(mentioned.iter().filter(|e| **e == 65537).count(), 1);
    assert_eq!(mentioned.len(), 6 * 2 + 1 + 1 + 1);
}

#[test]
fn operations_that_are_none_are_refused() {
    let spoilt = |from: &str, to: &str| {
        let text = OPERATIONS.concat().replace(' ', "");
        let (from, to) = (from.replace(' ', ""), to.replace(' ', ""));
        assert_eq!(text.matches(&from).count(), 1, "{from} stands once");
        with("ce001e8480 c3 90", &format!("ce001e8480 c3 {}", text.replace(&from, &to)))
    };
    assert!(spoilt("a36d6178", "a36d6178").is_ok());
    let kinds = [
        ("cas without a value", spoilt("95 a3636173 ce00010000 64 c0 921ec3", "94 a3636173 ce00010000 64 c0")),
        ("max of nothing", spoilt("64 921acb3ff8000000000000", "64 c0")),
        ("an operation that is no array", spoilt("94 a36d696e ce00010000 64 921f05", "c0")),
        ("a kind that is no word", spoilt("94 a36d696e", "94 01")),
        ("nothing at all", spoilt("93 a2666e a46d792f67 90", "90")),
        ("a function without a name", spoilt("a46d792f66", "c0")),
        ("a function that is no keyword", spoilt("a46d792f66", "a43a6d2f66")),
        ("a value of three", spoilt("9217ce00010001", "9317ce0001000101")),
        ("a longer integer in a field", spoilt("96 a470757368 ce00010000", "96 a470757368 cf0000000000010000")),
        ("a field that is none", spoilt("a46c617374 91 921907", "c3 91 921907")),
    ];
    for (what, result) in kinds {
        assert_eq!(result.expect_err(what).kind(), ErrorKind::Damaged, "{what}");
    }
    let mut silent = operating();
    silent.said = None;
    assert_eq!(decode(&encode(&silent)).unwrap_err().kind(), ErrorKind::Damaged);
}

#[test]
fn the_version_is_the_least_that_can_say_it() {
    let plain = whole();
    assert_eq!(version(&plain), 1);
    let merge = Entid::new(2000);
    type Alter = fn(&mut Transaction, Change);
    let mention = |alter: Alter, change: Change| {
        let mut transaction = whole();
        alter(&mut transaction, change);
        version(&transaction)
    };
    let e = Entid::new(65536);
    let stated = Change::add(e, merge, Value::Long(1));
    let places: [(&str, Alter); 5] = [
        ("datoms", |t, c| t.changes.push(c)),
        ("said", |t, c| t.said = Some(vec![c])),
        ("displaced", |t, c| t.displaced.as_mut().unwrap().changes.push(c)),
        ("overwritten", |t, c| t.overwritten[0].a = c.a),
        ("an overwritten ref", |t, c| t.overwritten[0].base = Some(Value::Ref(c.a))),
    ];
    for (what, alter) in places {
        assert_eq!(mention(alter, stated.clone()), 2, "{what}");
    }
    let [(_, push), ..] = places;
    assert_eq!(mention(push, Change::add(merge, Entid::new(37), Value::Long(1))), 2);
    assert_eq!(mention(push, Change::add(e, Entid::new(37), Value::Ref(merge))), 2);
    // A number is not an entity, and what a version brings stays its own.
    assert_eq!(mention(push, Change::add(e, Entid::new(37), Value::Long(2000))), 1);
    assert_eq!(mention(push, Change::add(e, Entid::new(1999), Value::Long(1))), 1);
    assert_eq!(mention(push, Change::add(e, Entid::new(7001), Value::Long(1))), 7);
    let mut carrier = whole();
    carrier.displaced = operating().displaced;
    assert_eq!([version(&operating()), version(&carrier)], [2, 2]);
    let update = Update::Cas { old: None, new: Some(Value::Ref(Entid::new(7001))) };
    carrier.operations = vec![Operation::Update { e, a: e, update }];
    assert_eq!(version(&carrier), 7);
}

#[test]
fn a_claimed_length_is_not_believed() {
    assert!(decode(&unhex(&["99 c6ffffffff"])).is_err());
    assert!(decode(&unhex(&["ddffffffff"])).is_err());
    assert!(with("9d 95 01 25 1b", "ddffffffff 95 01 25 1b").is_err());
}

fn entids() -> impl Strategy<Value = Entid> {
    prop_oneof![1_i64..200, 65_536_i64..66_000, 268_435_456_i64..268_435_500, any::<i64>()].prop_map(Entid::new)
}

fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        entids().prop_map(Value::Ref),
        "[a-z]{1,9}(/[a-z]{1,9})?".prop_map(|k| keyword(&k)),
        any::<i64>().prop_map(Value::Long),
        any::<f64>().prop_filter_map("a number", |x| Double::new(x).map(Value::Double)),
        any::<String>().prop_map(|s| Value::String(s.into())),
        any::<[u8; 16]>().prop_map(|b| Value::Uuid(Uuid::from_bytes(b))),
        any::<String>().prop_map(|s| Value::Uri(s.into())),
        any::<bool>().prop_map(Value::Boolean),
        any::<i64>().prop_map(|n| Value::Instant(Instant::from_micros(n))),
        prop::collection::vec(any::<u8>(), 0..300).prop_map(|b| Value::Bytes(b.into())),
    ]
}

prop_compose! {
    fn changes()(many in prop::collection::vec((entids(), entids(), values(), any::<bool>()), 0..20)) -> Vec<Change> {
        many.into_iter().map(|(e, a, v, added)| Change { e, a, v, added }).collect()
    }
}

fn fields() -> impl Strategy<Value = Field> {
    prop_oneof![
        entids().prop_map(Field::Entity),
        prop::option::of(values()).prop_map(Field::Value),
        any::<String>().prop_map(Field::Name),
        prop::collection::vec(values(), 0..3).prop_map(Field::Values),
    ]
}

fn updates() -> impl Strategy<Value = Update> {
    prop_oneof![
        (prop::option::of(values()), prop::option::of(values())).prop_map(|(old, new)| Update::Cas { old, new }),
        values().prop_map(Update::Inc),
        values().prop_map(Update::Max),
        values().prop_map(Update::Min),
    ]
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let operation = prop_oneof![
        (entids(), entids(), updates()).prop_map(|(e, a, update)| Operation::Update { e, a, update }),
        ("[a-z]{1,9}/[a-z]{1,9}", prop::collection::vec(values(), 0..3))
            .prop_map(|(name, args)| Operation::Call { name: Keyword::parse(&name).unwrap(), args }),
        ("[a-z]{4,9}", prop::collection::vec(fields(), 0..4))
            .prop_map(|(kind, fields)| Operation::Unknown { kind, fields }),
    ];
    prop::collection::vec(operation, 0..4)
}

prop_compose! {
    fn overwrites()(e in entids(), a in entids(), base in prop::option::of(values()),
                    incoming in prop::option::of(values()), local in values()) -> Overwrite {
        Overwrite { e, a, base, incoming, local }
    }
}

prop_compose! {
    fn displaced()(reason in prop::sample::select(Reason::ALL.to_vec()), detail in any::<String>(), changes in changes(),
                   operations in operations(), unbound in prop::collection::vec((entids(), any::<[u8; 16]>(), entids()), 0..3)) -> Displaced {
        let unbound = unbound.into_iter().map(|(entid, origin, authored)| {
            Unbound { entid, origin: Uuid::from_bytes(origin), authored }
        });
        Displaced { reason, detail, unbound: unbound.collect(), changes, operations }
    }
}

prop_compose! {
    fn transactions()(tx in 268_435_457_i64.., instant in any::<i64>(), origin in any::<([u8; 16], [u8; 16], i64)>(),
                      gaps in prop::collection::vec((2_i64..50, 65_536_i64..70_000, 1_i64..9), 0..4),
                      overwritten in prop::collection::vec(overwrites(), 0..3),
                      displaced in prop::option::of(displaced()), said in prop::option::of(changes()),
                      operations in operations(), mut changes in changes()) -> Transaction {
        let (tx, instant) = (Entid::new(tx), Instant::from_micros(instant));
        changes.retain(|c| c.e != tx);
        changes.push(Change::add(tx, TX_INSTANT, Value::Instant(instant)));
        changes.sort();
        changes.dedup();
        let mut next = Entid::USER0;
        let entids = gaps.into_iter().map(|(gap, current, count)| {
            let authored = next.plus(gap);
            next = authored.plus(count);
            EntidRun { authored, current: Entid::new(current), count }
        });
        let origin = Origin { id: Uuid::from_bytes(origin.0), device: Uuid::from_bytes(origin.1),
                              authored: Instant::from_micros(origin.2) };
        let said = said.or_else(|| (!operations.is_empty()).then(Vec::new));
        let said = said.map(|said| said.into_iter().collect::<std::collections::BTreeSet<_>>().into_iter().collect());
        Transaction { tx, instant, origin, entids: entids.collect(), operations, overwritten, displaced, said, changes }
    }
}

proptest! {
    #[test]
    fn any_transaction_comes_back_as_it_was(transaction in transactions()) {
        prop_assert_eq!(decode(&encode(&transaction)).unwrap(), transaction);
    }

    #[test]
    fn no_change_takes_more_than_its_bound(changes in changes()) {
        let mut out = Writer(Vec::new());
        out.changes(&changes);
        prop_assert!(out.0.len() <= size_bound(changes.iter()) + 5);
    }

    #[test]
    fn no_intent_takes_more_than_its_bound(operations in operations(), said in changes()) {
        let mut out = Writer(Vec::new());
        out.operations(&operations);
        out.said(Some(&said));
        prop_assert!(out.0.len() <= intent_bound(&operations, said.iter()) + 5);
    }

    #[test]
    fn any_bytes_are_refused_or_are_the_one_payload(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(transaction) = decode(&bytes) {
            prop_assert_eq!(encode(&transaction), bytes);
        }
    }

    #[test]
    fn damaged_payloads_are_refused_or_are_another(
        transaction in transactions(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>(),
    ) {
        let mut bytes = encode(&transaction);
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        if let Ok(transaction) = decode(&bytes) {
            prop_assert_eq!(encode(&transaction), bytes.clone());
        }
        // What a store keeps beside the datoms is read with the same care.
        let _ = decode_extra(Some(&bytes));
    }
}
