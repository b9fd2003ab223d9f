//! Chunks as they were recorded, and chunks that are none.

use std::collections::HashMap;

use tolstoy_edn::Keyword;
use tolstoy_store::{Double, Origin, Reason};

use super::*;

const TRANSCRIPT: &str = include_str!("../../../../hub/tests/fixtures/mentat-transcript.jsonl");

/// The transactions of the recorded log, in order: id, parent, chunks.
fn recorded() -> Vec<(TrnId, TrnId, Vec<ChunkId>, Vec<Bytes>)> {
    let mut chunks: HashMap<String, Bytes> = HashMap::new();
    let mut transactions = Vec::new();
    for line in TRANSCRIPT.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let (method, path) = (line["method"].as_str().unwrap(), line["path"].as_str().unwrap());
        let Some(body) = line["body"].as_str().filter(|_| method == "PUT") else { continue };
        if let Some((_, id)) = path.split_once("/chunks/") {
            chunks.insert(id.to_owned(), Bytes::copy_from_slice(body.as_bytes()));
        } else if let Some((_, id)) = path.split_once("/transactions/") {
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            let names: Vec<&str> = body["chunks"].as_array().unwrap().iter().map(|c| c.as_str().unwrap()).collect();
            transactions.push((
                id.parse().unwrap(),
                body["parent"].as_str().unwrap().parse().unwrap(),
                names.iter().map(|name| name.parse().unwrap()).collect(),
                names.iter().map(|name| chunks[*name].clone()).collect(),
            ));
        }
    }
    transactions
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn every_recorded_chunk_is_written_as_it_was_read() {
    let mut seen = 0;
    for (_, _, _, chunks) in recorded() {
        for chunk in chunks {
            let datom = Datom::read(&chunk).unwrap();
            assert_eq!(text(&datom.bytes()), text(&chunk));
            let (partitions, tx) = (datom.partitions.clone(), Entid::new(datom.tx));
            let change = datom.change().unwrap();
            let again = Datom { partitions, ..Datom::of(&change, tx).unwrap() };
            assert_eq!(text(&again.bytes()), text(&chunk));
            seen += 1;
        }
    }
    assert_eq!(seen, 143);
}

#[test]
fn recorded_transactions_are_foreign_after_the_bootstrap() {
    let mut numbers = Vec::new();
    for (id, parent, ids, chunks) in recorded() {
        let Joined { origin, payload: joined, .. } = join(id, parent, &ids, &chunks).unwrap();
        match read(origin, &joined).unwrap() {
            Incoming::Bootstrap(changes) => {
                assert_eq!((origin, changes.len()), (bootstrap::ORIGIN.id, 95));
                numbers.push(Entid::TX0);
            }
            Incoming::Foreign(foreign) => {
                assert_eq!(foreign.origin, foreign_origin(id));
                numbers.push(foreign.tx);
            }
            Incoming::Own(own) => panic!("{own:?}"),
        }
    }
    // The recorded log leaves 268435460 out: the change that would have had it turned out to be true already.
    assert_eq!(numbers, [0, 1, 2, 3, 5, 6].map(|n| Entid::TX0.plus(n)));
}

fn keyword(text: &str) -> Value {
    Value::Keyword(Keyword::parse(text).unwrap())
}

const TX: Entid = Entid::TX0.plus(4);
const PARENT: TrnId = TrnId::from_bytes([7; 16]);

/// A transaction of ours with these facts.
fn ours(facts: Vec<Change>) -> Transaction {
    let instant = Instant::from_micros(1_795_292_811_000_000);
    let mut changes = facts;
    changes.push(Change::add(TX, entids::TX_INSTANT, Value::Instant(instant)));
    changes.sort();
    Transaction {
        tx: TX,
        instant,
        origin: Origin { id: Uuid::from_u128(1), device: Uuid::from_u128(2), authored: instant },
        entids: vec![EntidRun { authored: Entid::new(65_536), current: Entid::new(65_540), count: 2 }],
        operations: Vec::new(),
        overwritten: Vec::new(),
        displaced: None,
        said: None,
        changes,
    }
}

fn e(n: i64) -> Entid {
    Entid::new(n)
}

fn written(t: &Transaction) -> Vec<(ChunkId, Bytes)> {
    write(PARENT, t, e(65_542)).unwrap()
}

fn split(chunks: Vec<(ChunkId, Bytes)>) -> (Vec<ChunkId>, Vec<Bytes>) {
    chunks.into_iter().unzip()
}

/// What is read of these chunks.
fn read_all(ids: &[ChunkId], chunks: &[Bytes]) -> Result<Incoming, BadChunks> {
    let Joined { origin, payload: joined, .. } = join(TrnId::from_bytes([9; 16]), PARENT, ids, chunks)?;
    read(origin, &joined)
}

#[test]
fn a_transaction_of_ours_comes_back_whole() {
    let facts = vec![
        Change::add(e(65_540), e(65_536), Value::String("a \"quoted\" \u{1} line\n".into())),
        Change::add(e(65_540), e(65_537), Value::Double(Double::new(0.1 + 0.2).unwrap())),
        Change::add(e(65_540), e(65_538), Value::Instant(Instant::from_micros(-1))),
        Change::add(e(65_540), e(65_539), Value::Uuid(Uuid::from_u128(0xAB))),
        Change::retract(e(65_541), e(65_536), keyword("mood/calm")),
        Change::add(e(65_541), e(65_536), keyword("plain")),
        Change::add(e(65_541), e(65_537), Value::Ref(e(65_540))),
        // What the original has no number for: an attribute of ours, and a ref to one.
        Change::add(TX, e(2_007), Value::Uuid(Uuid::from_u128(5))),
        Change::add(e(65_536), e(65_538), Value::Ref(e(2_001))),
    ];
    let transaction = ours(facts);
    let chunks = written(&transaction);
    assert_eq!(chunks.len(), transaction.changes.len() - 2, "two datoms are beside");
    let shown: Vec<&str> = chunks.iter().map(|(_, bytes)| text(bytes)).collect();
    assert!(shown[0].starts_with(
        "{\"partitions\":{\":db.part/db\":{\"start\":0,\"end\":65535,\"allow_excision\":false,\"next_entid_to_allocate\":41},\
         \":db.part/tx\":{\"start\":268435456,\"end\":9223372036854775807,\"allow_excision\":false,\
         \"next_entid_to_allocate\":268435461},\":db.part/user\":{\"start\":65536,\"end\":268435455,\"allow_excision\":true,\
         \"next_entid_to_allocate\":65542}},\"e\":65540,\"a\":65536,\"v\":{\"String\":\"a \\\"quoted\\\" \\u0001 line\\n\"},\
         \"tx\":268435460,\"added\":true,\"tolstoy\":{\"version\":2,\"payload\":\""
    ));
    assert_eq!(
        shown[1..],
        [
            "{\"partitions\":null,\"e\":65540,\"a\":65537,\"v\":{\"Double\":0.30000000000000004},\"tx\":268435460,\"added\":true}",
            "{\"partitions\":null,\"e\":65540,\"a\":65538,\"v\":{\"Instant\":\"1969-12-31T23:59:59.999999Z\"},\"tx\":268435460,\"added\":true}",
            "{\"partitions\":null,\"e\":65540,\"a\":65539,\"v\":{\"Uuid\":\"00000000-0000-0000-0000-0000000000ab\"},\"tx\":268435460,\"added\":true}",
            "{\"partitions\":null,\"e\":65541,\"a\":65536,\"v\":{\"Keyword\":{\"namespace\":\"mood\",\"name\":\"calm\"}},\"tx\":268435460,\"added\":false}",
            "{\"partitions\":null,\"e\":65541,\"a\":65536,\"v\":{\"Keyword\":{\"namespace\":null,\"name\":\"plain\"}},\"tx\":268435460,\"added\":true}",
            "{\"partitions\":null,\"e\":65541,\"a\":65537,\"v\":{\"Ref\":65540},\"tx\":268435460,\"added\":true}",
            "{\"partitions\":null,\"e\":268435460,\"a\":3,\"v\":{\"Instant\":\"2026-11-21T20:26:51Z\"},\"tx\":268435460,\"added\":true}",
        ]
    );
    let (ids, bytes) = split(chunks.clone());
    assert!(ids.iter().all(|id| parse_uuid(id.as_str()).is_ok_and(|id| id.get_version_num() == 8)));
    let Incoming::Own(back) = read_all(&ids, &bytes).unwrap() else { panic!("it is ours") };
    assert_eq!(*back, transaction);
    assert_eq!(written(&back), chunks, "a retry is the same request");
}

#[test]
fn a_carrier_comes_back_whole() {
    let mut carrier = ours(Vec::new());
    carrier.displaced = Some(log::Displaced {
        reason: Reason::Unique,
        detail: "taken".to_owned(),
        unbound: Vec::new(),
        operations: Vec::new(),
        // What the format cannot say as a datom can be displaced.
        changes: vec![Change::add(e(65_536), e(65_537), Value::Uri("urn:x".into()))],
    });
    let (ids, bytes) = split(written(&carrier));
    assert_eq!(bytes.len(), 1);
    let Incoming::Own(back) = read_all(&ids, &bytes).unwrap() else { panic!("it is ours") };
    assert_eq!(*back, carrier);
}

#[test]
fn a_foreign_transaction_is_told_again_under_its_origin() {
    let mut foreign = ours(vec![Change::add(e(65_536), e(65_537), Value::Long(7))]);
    foreign.origin.device = Uuid::nil();
    foreign.entids = vec![EntidRun { authored: e(65_536), current: e(65_536), count: 1 }];
    let (ids, bytes) = split(written(&foreign));
    assert!(
        text(&bytes[0]).ends_with(",\"added\":true,\"tolstoy\":{\"origin\":\"00000000-0000-0000-0000-000000000001\"}}")
    );
    let Incoming::Foreign(back) = read_all(&ids, &bytes).unwrap() else { panic!("it is foreign") };
    assert_eq!(back, Foreign { tx: TX, origin: Uuid::from_u128(1), changes: foreign.changes });
}

#[test]
fn what_the_format_cannot_say_is_refused_in_words() {
    let cases = [
        (Change::add(e(9), e(10), Value::Double(Double::new(f64::INFINITY).unwrap())), "an infinite double"),
        (Change::add(e(9), e(10), Value::Uri("urn:x".into())), "the type :db.type/uri"),
        (Change::add(e(9), e(10), Value::Bytes(vec![1].into())), "the type :db.type/bytes"),
        (Change::add(e(65_536), entids::VALUE_TYPE, Value::Ref(e(29))), "the type :db.type/uri"),
        (Change::add(e(65_536), entids::VALUE_TYPE, Value::Ref(e(32))), "the type :db.type/bytes"),
        (Change::add(e(65_536), entids::FULLTEXT, Value::Boolean(true)), "a full-text attribute"),
        (
            Change::add(e(9), e(10), Value::Instant(Instant::from_micros(253_402_300_800_000_000))),
            "an instant outside the years 0000 to 9999, +010000-01-01T00:00:00Z",
        ),
        (
            Change::add(e(9), e(10), Value::String("x".repeat(limits::MAX_CHUNK).into())),
            "a value, or a displaced change, that takes more than 16 MiB",
        ),
    ];
    for (change, why) in cases {
        assert_eq!(write(PARENT, &ours(vec![change]), e(65_542)).unwrap_err().to_string(), why);
    }
    let own = ours(vec![
        Change::add(e(65_540), entids::CARDINALITY, Value::Ref(entids::CARDINALITY_ONE)),
        Change::add(e(65_541), e(65_540), Value::Long(1)),
    ]);
    assert_eq!(write(PARENT, &own, e(65_542)), Err(Unsayable::OwnAttribute));
    let many = (0..MAX_CHUNKS as i64).map(|n| Change::add(e(65_536 + n), e(65_536), Value::Long(n))).collect();
    assert_eq!(write(PARENT, &ours(many), e(65_542)), Err(Unsayable::Chunks));
}

#[test]
fn chunks_that_are_none_are_refused_in_words() {
    let head = "{\"partitions\":{},\"e\":268435460,\"a\":3,\"v\":{\"Instant\":\"2026-11-21T20:26:51Z\"},\"tx\":268435460,\"added\":true}";
    let with = |v: &str| format!("{{\"e\":65536,\"a\":65537,\"v\":{v},\"tx\":268435460,\"added\":true}}");
    let cases: Vec<(Vec<String>, &str)> = vec![
        (vec![], "there are none"),
        (vec![with("{\"Long\":1}")], "the first has no partitions"),
        (vec![head.to_owned(), with("{\"Long\":1}").replace("268435460", "268435461")], "of different transactions"),
        (vec![head.to_owned(), with("{\"Long\":9223372036854775808}")], "is no datom"),
        (vec![head.to_owned(), with("{\"Long\":1.5}")], "is no datom"),
        (vec![head.to_owned(), with("{\"Double\":null}")], "is no datom"),
        (vec![head.to_owned(), with("{\"Bytes\":\"00\"}")], "unknown variant `Bytes`"),
        (vec![head.to_owned(), with("{\"Long\":1,\"Ref\":1}")], "is no datom"),
        (vec![head.to_owned(), with("7")], "is no datom"),
        (vec![head.to_owned(), with("{\"Instant\":\"2026\"}")], "\"2026\" is no instant"),
        (vec![head.to_owned(), with("{\"Instant\":\"2026-11-21T20:26:51+01:00\"}")], "is no instant"),
        (vec![head.to_owned(), with("{\"Uuid\":\"x\"}")], "\"x\" is no UUID"),
        (
            vec![head.to_owned(), with("{\"Keyword\":{\"namespace\":\"a b\",\"name\":\"c\"}}")],
            "is no name of a keyword",
        ),
        (vec![head.to_owned(), with("{\"Long\":1}").replace("\"added\":true", "\"added\":1")], "is no datom"),
        (vec![head.to_owned(), "{\"e\":1}".to_owned()], "missing field"),
        (vec![head.to_owned(), "{".repeat(100_000)], "is no datom"),
        (vec![head.replace(":true}", ":true,\"tolstoy\":{}}")], "is no datom"),
        (vec![head.replace(":true}", ":true,\"tolstoy\":{\"origin\":\"X\"}}")], "not a UUID"),
    ];
    for (chunks, why) in cases {
        let chunks: Vec<Bytes> = chunks.into_iter().map(Bytes::from).collect();
        let ids: Vec<ChunkId> = (0..chunks.len()).map(|n| format!("chunk-{n}").parse().unwrap()).collect();
        let error = read_all(&ids, &chunks).unwrap_err().to_string();
        assert!(error.contains(why), "{error}\nlacks {why}");
    }
    let further = head.replace(":true}", ":true,\"somebody\":{\"elses\":[1,2,{}]}}");
    let read = read_all(&["a".parse().unwrap()], &[Bytes::from(further)]).unwrap();
    assert!(matches!(read, Incoming::Foreign(_)), "further keys are ignored");
}

#[test]
fn what_we_wrote_cannot_be_altered() {
    let transaction = ours(vec![
        Change::add(e(65_540), e(65_536), Value::Long(1)),
        Change::add(e(65_541), e(65_536), Value::Long(2)),
    ]);
    let (ids, bytes) = split(written(&transaction));
    let altered =
        |from: &str, to: &str| -> Vec<Bytes> { bytes.iter().map(|b| Bytes::from(text(b).replace(from, to))).collect() };
    assert!(read_all(&ids, &altered("{\"Long\":2}", "{\"Long\":3}")).is_err());
    // One who writes ids as we do still has to write what we would.
    let error = |chunks: Vec<Bytes>| {
        let ids: Vec<ChunkId> = (0..).zip(&chunks).map(|(n, b)| chunk_id(PARENT, n, b)).collect();
        read_all(&ids, &chunks).unwrap_err().to_string()
    };
    let mut swapped = bytes.clone();
    swapped.swap(1, 2);
    assert!(error(swapped).contains("not in order"));
    assert!(error(bytes[..2].to_vec()).contains("another instant"));
    assert!(error(altered("\"a\":65536", "\"a\":2000")).contains("wrong side"));
    assert!(error(altered("268435460", "268435459")).contains("of another transaction"));
    assert!(error(altered("\"version\":1", "\"version\":9")).contains("format 9"));
    assert!(error(altered("\"payload\":\"", "\"payload\":\"!")).contains("is no datom"));
}
