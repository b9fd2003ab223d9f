//! Cold start: a store that begins with a snapshot and the rest of the log.

use std::collections::HashMap;
use std::sync::Mutex;

use tolstoy_env::Env;
use tolstoy_hub::service::{Policy, Threshold};
use tolstoy_proto::{BlobDigest, Piece, Snapshot};
use tolstoy_store::{Timeline, Transaction as Logged};
use tolstoy_sync::{Offered, Outcome};

use super::*;

/// Wants a snapshot after so many transactions, badly.
pub(crate) fn hub_that_asks_after(transactions: u64) -> Hub {
    let never = Threshold { bytes: u64::MAX, transactions: u64::MAX };
    let policy =
        Policy { snapshot_low: never, snapshot_high: Threshold { transactions, ..never }, ..Policy::default() };
    let Hub { service, log, storage } = Hub::new();
    Hub { service: service.with_policy(policy), log, storage }
}

const MORE: &str = "[
  {:db/ident :n :db/valueType :db.type/long :db/cardinality :db.cardinality/one :db/index true}
  {:db/ident :tag :db/valueType :db.type/keyword :db/cardinality :db.cardinality/many}
  {:db/ident :friend :db/valueType :db.type/ref :db/cardinality :db.cardinality/many}
  {:db/ident :at :db/valueType :db.type/instant :db/cardinality :db.cardinality/one}
  {:db/ident :share :db/valueType :db.type/double :db/cardinality :db.cardinality/one}]";

/// A log with what logs have: values that change and go, refs, renames, schema that is altered late, long texts, and what a
/// merge leaves.
fn busy(hub: &Hub) -> Store {
    let (mut one, mut two) = (device(1), device(2));
    must(&mut one, SCHEMA);
    must(&mut one, MORE);
    sync(&mut one, hub);
    sync(&mut two, hub);
    for n in 0..12 {
        must(
            &mut one,
            &format!(r#"[{{:name "p{n}" :n {n} :tag [:even :all] :share 0.5 :at #inst "2026-02-0{}"}}]"#, 1 + n % 9),
        );
    }
    must(&mut one, r#"[[:db/add [:name "p3"] :friend [:name "p4"]] [:db/retract [:name "p5"] :tag :even]]"#);
    must(&mut one, r#"[[:db/add [:name "p3"] :n 30] [:db/add [:name "p3"] :name "q3"]]"#);
    must(&mut one, &format!(r#"[{{:name "long" :text "{}"}}]"#, "long ".repeat(500)));
    must(&mut two, r#"[{:name "p7" :n 700} {:name "both" :n 1}]"#);
    must(&mut two, r#"[{:db/ident :late :db/valueType :db.type/string :db/cardinality :db.cardinality/many}]"#);
    sync(&mut one, hub);
    sync(&mut two, hub);
    must(&mut one, r#"[[:db/add :n :db/index false] [:db/add [:name "p1"] :n 11]]"#);
    must(&mut one, r#"[[:db/retract [:name "p9"] :n 9]]"#);
    sync(&mut one, hub);
    sync(&mut two, hub);
    sync(&mut one, hub);
    one
}

/// What a store holds of main: its transactions, and where they are in the log.
fn main_of(store: &Store) -> Vec<(Logged, Option<tolstoy_store::Position>)> {
    let log = store.transactions(Timeline::MAIN, Entid::new(0), usize::MAX).unwrap();
    log.into_iter().map(|t| (t.clone(), store.position(t.tx).unwrap())).collect()
}

/// Every row of a store's file, but for its own device's id.
fn rows(path: &std::path::Path) -> HashMap<String, Vec<String>> {
    let sql = rusqlite::Connection::open(path).unwrap();
    let tables = ["datoms", "transactions", "log", "chain", "meta"];
    let table = |name: &&str| {
        let mut statement = sql.prepare(&format!("SELECT * FROM {name}")).unwrap();
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| {
            let cells = (0..columns).map(|n| row.get::<_, rusqlite::types::Value>(n));
            Ok(format!("{:?}", cells.collect::<Result<Vec<_>, _>>()?))
        });
        let mut rows: Vec<String> =
            rows.unwrap().map(Result::unwrap).filter(|row| !row.contains("\"device\"")).collect();
        rows.sort();
        rows
    };
    tables.iter().map(|t| ((*t).to_owned(), table(t))).collect()
}

fn replayed(hub: &Hub) -> Store {
    let mut store = device(90);
    let options = Options { takes_snapshots: false, ..options() };
    let report = now(tolstoy_sync::sync(&mut store, &mut MemoryTransport::new(|r| hub.answer(r)), &options)).unwrap();
    assert!(report.passes.iter().all(|pass| pass.from_snapshot == 0));
    store
}

#[test]
fn a_store_that_begins_with_a_snapshot_is_the_one_that_replayed_everything() {
    let hub = hub_that_asks_after(15);
    let mut one = busy(&hub);
    let kept = hub.service.snapshots(hub.log).unwrap().snapshots;
    let seq = kept[0].seq.0;
    let all = hub.state().seq.0;
    assert!(seq > 15 && seq < all, "a snapshot of {seq} of {all}: the test needs a tail");
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let mut cold = Store::open_or_create(&path("cold"), Env::repeatable(50)).unwrap();
    let report = sync(&mut cold, &hub);
    assert_eq!((report.round_trips, report.passes.len()), (1, 1));
    let pass = &report.passes[0];
    assert_eq!(pass.outcome, Outcome::LocalFastForward);
    assert_eq!((pass.from_snapshot, pass.received), (seq, all));
    assert_eq!((report.snapshot_unusable, report.snapshot_offered), (None, None));

    let mut slow = Store::open_or_create(&path("slow"), Env::repeatable(51)).unwrap();
    let options = Options { takes_snapshots: false, ..options() };
    now(tolstoy_sync::sync(&mut slow, &mut MemoryTransport::new(|r| hub.answer(r)), &options)).unwrap();
    same(&cold, &slow);
    same(&cold, &one);
    assert_eq!(cold.schema(), slow.schema());
    let head = cold.position(cold.basis()).unwrap().unwrap();
    assert_eq!(head.digest, hub.state().chain.0);
    drop(slow);
    assert_eq!(rows(&path("cold")), rows(&path("slow")));

    // And it goes on as any other.
    must(&mut cold, r#"[{:name "p0" :n 1000} {:name "new" :friend [:name "q3"]}]"#);
    must(&mut one, r#"[{:name "p0" :text "also"}]"#);
    sync(&mut cold, &hub);
    sync(&mut one, &hub);
    sync(&mut cold, &hub);
    same(&cold, &one);
    assert_eq!(main_of(&cold), main_of(&one));
}

#[test]
fn a_store_makes_a_snapshot_when_the_hub_asks_and_says_so() {
    let hub = hub_that_asks_after(4);
    let mut one = device(1);
    must(&mut one, SCHEMA);
    assert_eq!(sync(&mut one, &hub).snapshot_offered, None);
    for name in ["Anna", "Vera", "Oleg"] {
        must(&mut one, &format!(r#"[{{:name "{name}"}}]"#));
    }
    let report = sync(&mut one, &hub);
    let kept = hub.service.snapshots(hub.log).unwrap().snapshots;
    let [snapshot] = kept.as_slice() else { panic!("{kept:?}") };
    assert_eq!(report.snapshot_offered, Some(Offered::Kept { transactions: 4, bytes: snapshot.bytes }));
    assert_eq!(report.passes.len(), 1);
    assert_eq!((snapshot.id, snapshot.seq), (hub.state().head, Seq(4)));
    // No longer wanted, and not made again.
    must(&mut one, r#"[{:name "Petr"}]"#);
    assert_eq!(sync(&mut one, &hub).snapshot_offered, None);
}

#[test]
fn a_snapshot_that_cannot_be_given_is_no_error() {
    let hub = hub_that_asks_after(1);
    let mut one = device(1);
    must(&mut one, SCHEMA);
    let report = sync_over(&mut one, |request| match request {
        Request::PutSnapshot(..) => Err(TransportError::Broken("the link is bad".into())),
        other => hub.answer(other),
    });
    let Some(Offered::Failed(why)) = report.unwrap().snapshot_offered else { panic!("it was taken") };
    assert!(why.contains("the link is bad"), "{why}");
    assert_eq!(one.last_positioned().unwrap(), Some(one.basis()));
    let options = Options { makes_snapshots: false, ..options() };
    must(&mut one, r#"[{:name "Anna"}]"#);
    let report = now(tolstoy_sync::sync(&mut one, &mut MemoryTransport::new(|r| hub.answer(r)), &options)).unwrap();
    assert_eq!(report.snapshot_offered, None);
    assert!(hub.service.snapshots(hub.log).unwrap().snapshots.is_empty());
}

#[test]
fn what_was_said_here_before_the_first_sync_is_merged_without_a_snapshot() {
    let hub = hub_that_asks_after(15);
    busy(&hub);
    let mut late = device(60);
    must(&mut late, SCHEMA);
    must(&mut late, r#"[{:name "p0" :text "mine"}]"#);
    let report = sync(&mut late, &hub);
    assert_eq!(report.passes[0].outcome, Outcome::Merge { follow_up: true });
    assert!(report.passes.iter().all(|pass| pass.from_snapshot == 0));
    same(&late, &replayed(&hub));
}

#[test]
fn what_another_process_says_meanwhile_is_not_lost() {
    let hub = hub_that_asks_after(15);
    busy(&hub);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let mut cold = Store::open_or_create(&path, Env::repeatable(70)).unwrap();
    let mut twin = Store::open(&path, Env::repeatable(71)).unwrap();
    let result = sync_over(&mut cold, |request| {
        let answer = hub.answer(request);
        if twin.basis() == Entid::TX0 {
            must(&mut twin, SCHEMA);
        }
        answer
    });
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Store);
    sync(&mut cold, &hub);
    same(&cold, &replayed(&hub));
}

// Snapshots that are not what they should be

/// A stream of the log in which the snapshot has these bytes, and says this of itself.
pub(crate) fn instead(hub: &Hub, bytes: &[u8], told: fn(Snapshot) -> Snapshot) -> MemoryBody {
    let mut out = Vec::new();
    for frame in frames_of(hub.stream(&[], Begin::Snapshot)) {
        match frame {
            Frame::Snapshot(was) => {
                let digest = BlobDigest::of(bytes);
                let snapshot = told(Snapshot { digest, bytes: bytes.len() as u64, ..was });
                encode_frame(&Frame::Snapshot(snapshot), &mut out);
                encode_frame(&Frame::Piece(Piece { bytes: Bytes::copy_from_slice(bytes) }), &mut out);
            }
            Frame::Piece(_) => {}
            other => encode_frame(&other, &mut out),
        }
    }
    MemoryBody::new([Ok(out.into())])
}

/// The log's newest snapshot.
pub(crate) fn snapshot_of(hub: &Hub) -> Vec<u8> {
    let frames = frames_of(hub.stream(&[], Begin::Snapshot)).into_iter();
    frames.flat_map(|frame| if let Frame::Piece(piece) = frame { piece.bytes.to_vec() } else { Vec::new() }).collect()
}

/// Begins a store with these bytes for a snapshot. Gives why they were of no use.
pub(crate) fn begun_with(hub: &Hub, bytes: &[u8], told: fn(Snapshot) -> Snapshot) -> (Store, Option<String>) {
    let mut cold = device(80);
    let report = sync_over(&mut cold, |request| match request {
        Request::Pull { begin: Begin::Snapshot, .. } => Ok(Answer::Stream(instead(hub, bytes, told))),
        other => hub.answer(other),
    });
    let report = report.unwrap_or_else(|e| panic!("{e}"));
    let in_snapshot = report.passes.iter().map(|pass| pass.from_snapshot).sum::<u64>();
    assert_eq!(in_snapshot == 0, report.snapshot_unusable.is_some());
    (cold, report.snapshot_unusable)
}

/// A short log with a snapshot.
fn short() -> (Hub, Store) {
    let hub = hub_that_asks_after(3);
    let mut one = device(1);
    must(&mut one, SCHEMA);
    must(&mut one, r#"[{:name "Anna" :text "a"}]"#);
    must(&mut one, r#"[{:name "Vera"} [:db/add [:name "Anna"] :text "b"]]"#);
    assert!(sync(&mut one, &hub).snapshot_offered.is_some());
    must(&mut one, r#"[{:name "Oleg"}]"#);
    sync(&mut one, &hub);
    (hub, one)
}

#[test]
fn damage_at_any_byte_leads_to_the_log_itself() {
    let (hub, one) = short();
    let good = snapshot_of(&hub);
    assert!(good.len() < 2_000, "{}", good.len());
    assert_eq!(begun_with(&hub, &good, |s| s).1, None);
    let mut harmless = 0;
    for at in 0..good.len() {
        for flip in [1 << (at % 8), 0xff] {
            let mut bad = good.clone();
            bad[at] ^= flip;
            let (cold, why) = begun_with(&hub, &bad, |s| s);
            harmless += u32::from(why.is_none());
            same(&cold, &one);
            assert_eq!(main_of(&cold), main_of(&one), "byte {at}");
        }
    }
    // A few bits of zstd's own headers mean nothing.
    assert!(harmless < 20, "{harmless} kinds of damage were not noticed");
    for len in 0..good.len() {
        let (cold, why) = begun_with(&hub, &good[..len], |s| s);
        assert!(why.is_some(), "{len} of {} bytes", good.len());
        same(&cold, &one);
    }
    let (cold, why) = begun_with(&hub, &[good.as_slice(), b"more"].concat(), |s| s);
    assert!(why.is_some());
    same(&cold, &one);
}

/// A snapshot of these records, compressed.
fn packed(records: &[u8]) -> Vec<u8> {
    [b"TLSN\x01\x00".as_slice(), &tolstoy_proto::coding::compress(records, 3).unwrap()].concat()
}

fn records_of(snapshot: &[u8]) -> Vec<u8> {
    tolstoy_proto::coding::decompress(&snapshot[6..], 1 << 20).unwrap()
}

#[test]
fn a_snapshot_that_says_what_is_not_so_is_of_no_use() {
    let (hub, one) = short();
    let good = snapshot_of(&hub);
    let records = records_of(&good);
    let end = records.len() - 41;
    assert_eq!(records[end], 0, "the end record");
    let first = 5 + u32::from_be_bytes(records[1..5].try_into().unwrap()) as usize;
    let other = {
        let other = hub_that_asks_after(3);
        let mut store = device(33);
        must(&mut store, SCHEMA);
        must(&mut store, r#"[{:name "Mallory" :text "a"}]"#);
        must(&mut store, r#"[{:name "Vera"}]"#);
        sync(&mut store, &other);
        snapshot_of(&other)
    };
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut records = records.clone();
        change(&mut records);
        packed(&records)
    };
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("another log's", other),
        ("no transactions", packed(&records[end..])),
        ("nothing", packed(b"")),
        ("the first transaction is missing", packed(&records[first..])),
        ("the first transaction twice", packed(&[&records[..first], &records].concat())),
        ("another count", with(&|r| r[end + 8] ^= 1)),
        ("another chain", with(&|r| r[end + 20] ^= 1)),
        ("something after the end", with(&|r| r.push(0))),
        ("no end", packed(&records[..end])),
        (
            "another text",
            with(&|r| {
                let at = r.windows(4).position(|w| w == b"Anna").unwrap();
                r[at] = b'H';
            }),
        ),
        ("a length of 256 MiB", with(&|r| r[1..5].copy_from_slice(&(256_u32 << 20).to_be_bytes()))),
        ("a length of 4 GiB", with(&|r| r[1..5].copy_from_slice(&u32::MAX.to_be_bytes()))),
        ("a record of another kind", with(&|r| r[0] = 9)),
        ("a newer version", [b"TLSN\x02\x00".as_slice(), &good[6..]].concat()),
        ("flags", [b"TLSN\x01\x01".as_slice(), &good[6..]].concat()),
        ("another format", [b"SQLite".as_slice(), &good[6..]].concat()),
        ("no bytes at all", Vec::new()),
        ("two frames", [good.as_slice(), &good[6..]].concat()),
    ];
    for (name, bytes) in cases {
        let (cold, why) = begun_with(&hub, &bytes, |s| s);
        assert!(why.is_some(), "{name}");
        same(&cold, &one);
        assert_eq!(main_of(&cold), main_of(&one), "{name}");
    }
    // The hub says something else of it than it is.
    let (cold, why) = begun_with(&hub, &good, |s| Snapshot { digest: BlobDigest([7; 32]), ..s });
    assert!(why.unwrap().contains("digest"));
    same(&cold, &one);
    // With another chain than it has, the rest does not follow either: the hub contradicts itself.
    let mut cold = device(81);
    let lied = sync_over(&mut cold, |request| match request {
        Request::Pull { begin: Begin::Snapshot, .. } => {
            Ok(Answer::Stream(instead(&hub, &good, |s| Snapshot { chain: ChainDigest([7; 32]), ..s })))
        }
        other => hub.answer(other),
    });
    assert_eq!(lied.unwrap_err().kind(), ErrorKind::Damaged);
    assert_eq!((cold.basis(), cold.last_positioned().unwrap()), (Entid::TX0, None));
}

#[test]
fn what_a_length_claims_is_not_allocated() {
    let (hub, one) = short();
    let records = records_of(&snapshot_of(&hub));
    let mut bad = records.clone();
    bad[1..5].copy_from_slice(&(250_u32 << 20).to_be_bytes());
    let before = peak();
    let (cold, why) = begun_with(&hub, &packed(&bad), |s| s);
    assert!(why.unwrap().contains("within a transaction"));
    assert!(peak() - before < 64 << 10, "{} MiB more", (peak() - before) >> 10);
    same(&cold, &one);
}

/// Whoever may write to a log may give its hub a snapshot of their own making, also of a log in the original's format.
#[test]
fn more_than_is_taken_in_ends_the_sync_and_changes_nothing() {
    let hub = hub_that_asks_after(3);
    let mut one = device(1);
    must(&mut one, SCHEMA);
    // Compressed it is nothing.
    must(&mut one, &format!(r#"[{{:name "Anna" :text "{}"}}]"#, "x".repeat(1 << 20)));
    must(&mut one, r#"[{:name "Vera"}]"#);
    assert!(sync(&mut one, &hub).snapshot_offered.is_some());
    assert!(snapshot_of(&hub).len() < 10_000);
    let cold = |max_bytes: u64| {
        let (mut store, mut begun) = (device(5), Vec::new());
        let serve = |request: Request| {
            if let Request::Pull { begin, .. } = &request {
                begun.push(*begin);
            }
            hub.answer(request)
        };
        let options = Options { max_bytes, ..options() };
        let result = now(tolstoy_sync::sync(&mut store, &mut MemoryTransport::new(serve), &options));
        (store, begun, result)
    };
    // The snapshot is short, and holds too much; then the log itself is too long.
    let (store, begun, result) = cold(300_000);
    let error = result.unwrap_err();
    assert_eq!((begun, error.kind()), (vec![Begin::Snapshot, Begin::Transactions], ErrorKind::Store));
    assert!(error.to_string().contains("more than 300000 bytes"), "{error}");
    assert_eq!((store.basis(), store.last_positioned().unwrap()), (Entid::TX0, None));
    let (store, begun, result) = cold(2 << 20);
    assert_eq!((begun, result.unwrap().snapshot_unusable), (vec![Begin::Snapshot], None));
    same(&store, &one);
}

#[test]
fn a_made_up_snapshot_does_not_decide_the_format_of_the_log() {
    let hub = Hub::new();
    let mut one = device(1);
    must(&mut one, SCHEMA);
    must(&mut one, r#"[{:name "Anna"}]"#);
    let original = Options { new_log: tolstoy_sync::NewLog::Original, ..options() };
    now(tolstoy_sync::sync(&mut one, &mut MemoryTransport::new(|r| hub.answer(r)), &original)).unwrap();
    let made_up = b"TLSN\x01\x00 made up";
    let LogState { head: id, seq, chain, .. } = hub.state();
    let mut cold = device(2);
    let report = sync_over(&mut cold, |request| match request {
        Request::Pull { begin: Begin::Snapshot, .. } => {
            let mut frames = frames_of(hub.stream(&[], Begin::Transactions));
            frames.truncate(1);
            let (digest, bytes) = (BlobDigest::of(made_up), made_up.len() as u64);
            frames.push(Frame::Snapshot(Snapshot { id, seq, chain, digest, bytes }));
            frames.push(Frame::Piece(Piece { bytes: Bytes::from_static(made_up) }));
            frames.push(Frame::End(tolstoy_proto::End { count: 0, chain }));
            let mut bytes = Vec::new();
            frames.iter().for_each(|frame| encode_frame(frame, &mut bytes));
            Ok(Answer::Stream(MemoryBody::new([Ok(bytes.into())])))
        }
        other => hub.answer(other),
    });
    assert!(report.unwrap().snapshot_unusable.is_some());
    same(&one, &cold);
}

#[test]
fn a_snapshot_out_of_place_is_refused() {
    let (hub, _) = short();
    // One that nobody asked for.
    let options = Options { takes_snapshots: false, ..options() };
    let good = snapshot_of(&hub);
    let mut cold = device(82);
    let mut unasked = MemoryTransport::new(|_| Ok(Answer::Stream(instead(&hub, &good, |s| s))));
    assert_eq!(now(tolstoy_sync::sync(&mut cold, &mut unasked, &options)).unwrap_err().kind(), ErrorKind::Damaged);
    // One that is longer than it said.
    let longer = sync_over(&mut cold, |request| match request {
        Request::Pull { begin: Begin::Snapshot, .. } => {
            Ok(Answer::Stream(instead(&hub, &good, |s| Snapshot { bytes: s.bytes - 1, ..s })))
        }
        other => hub.answer(other),
    });
    assert_eq!(longer.unwrap_err().kind(), ErrorKind::Damaged);
    assert_eq!(cold.basis(), Entid::TX0);
}

// Links that break

/// The first so many bytes of an answer, after which the link breaks.
fn cut(answer: Answer<MemoryBody>, keep: usize) -> Answered {
    let Answer::Stream(mut body) = answer else { return Ok(answer) };
    let mut bytes = Vec::new();
    while let Some(piece) = now(tolstoy_sync::Body::next(&mut body)).unwrap() {
        bytes.extend_from_slice(&piece);
    }
    bytes.truncate(keep);
    Ok(Answer::Stream(MemoryBody::new([Ok(bytes.into()), Err(TransportError::Broken("cut".into()))])))
}

#[test]
fn a_stream_that_is_cut_at_any_byte_is_taken_up_again() {
    let (hub, one) = short();
    let whole = {
        let mut body = hub.stream(&[], Begin::Snapshot);
        let mut len = 0;
        while let Some(piece) = now(tolstoy_sync::Body::next(&mut body)).unwrap() {
            len += piece.len();
        }
        len
    };
    let snapshot = snapshot_of(&hub).len();
    let (mut again, mut from_there) = (0, 0);
    for keep in 0..whole {
        let asked = Mutex::new(Vec::new());
        let mut cold = device(83);
        let report = sync_over(&mut cold, |request| {
            let Request::Pull { from, begin } = &request else { return hub.answer(request) };
            let is_first = asked.lock().unwrap().is_empty();
            asked.lock().unwrap().push((from.len(), *begin));
            let answer = hub.answer(request)?;
            if is_first { cut(answer, keep) } else { Ok(answer) }
        });
        let report = report.unwrap();
        assert_eq!(report.passes[0].from_snapshot, 3, "cut after {keep}");
        same(&cold, &one);
        match asked.into_inner().unwrap().as_slice() {
            [_, (0, Begin::Snapshot)] => again += 1,
            [_, (1, Begin::Transactions)] => from_there += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(again > snapshot && from_there > 100, "{again} {from_there}");
}

#[test]
fn a_link_that_never_carries_the_snapshot_carries_the_log() {
    let (hub, one) = short();
    let mut cold = device(84);
    let mut asked = 0;
    let report = sync_over(&mut cold, |request| match request {
        Request::Pull { begin: Begin::Snapshot, .. } => {
            asked += 1;
            cut(hub.answer(request)?, 400)
        }
        other => hub.answer(other),
    });
    let report = report.unwrap();
    assert_eq!((asked, report.passes[0].from_snapshot), (options().max_cuts + 1, 0));
    assert!(report.snapshot_unusable.unwrap().contains("broke each time"));
    same(&cold, &one);
}

#[test]
fn a_useless_snapshot_on_a_link_that_breaks_after_it_leads_to_the_log() {
    let (hub, one) = short();
    let mut cold = device(2);
    let report = sync_over(&mut cold, |request| match request {
        Request::Pull { begin: Begin::Snapshot, .. } => {
            let whole = frames_of(instead(&hub, b"TLSN\x01\x00 made up", |s| s));
            let mut bytes = Vec::new();
            whole.iter().take(3).for_each(|frame| encode_frame(frame, &mut bytes));
            Ok(Answer::Stream(MemoryBody::new([Ok(bytes.into())])))
        }
        Request::Pull { from, .. } if !from.is_empty() => Err(TransportError::Broken("cut".to_owned())),
        other => hub.answer(other),
    });
    assert!(report.unwrap().snapshot_unusable.is_some());
    same(&one, &cold);
}

#[test]
fn an_aborted_cold_start_leaves_no_trace() {
    let (hub, one) = short();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    drop(Store::open_or_create(&path, Env::repeatable(85)).unwrap());
    let before = rows(&path);
    let mut cold = Store::open(&path, Env::repeatable(85)).unwrap();
    // The rest, after the snapshot, does not fit: the whole pass fails, and so nothing of the snapshot stays.
    let mut bad = Vec::new();
    for frame in frames_of(hub.stream(&[], Begin::Snapshot)) {
        match frame {
            Frame::Transaction(t) => {
                encode_frame(&Frame::Transaction(Transaction { chunks: vec![ChunkId::of(&bogus())], ..t }), &mut bad);
                encode_frame(&Frame::Chunk(Chunk { id: ChunkId::of(&bogus()), bytes: bogus() }), &mut bad);
                break;
            }
            other => encode_frame(&other, &mut bad),
        }
    }
    let failed = sync_over(&mut cold, |request| match request {
        Request::Pull { from, .. } if from.is_empty() => {
            let pieces = [Ok(Bytes::from(bad.clone())), Err(TransportError::Broken("cut".into()))];
            Ok(Answer::Stream(MemoryBody::new(pieces)))
        }
        _ => Err(TransportError::Unreachable("gone".into())),
    });
    assert_eq!(failed.unwrap_err().kind(), ErrorKind::Store);
    assert_eq!((cold.basis(), cold.last_positioned().unwrap()), (Entid::TX0, None));
    drop(cold);
    assert_eq!(rows(&path), before);
    let mut cold = Store::open(&path, Env::repeatable(86)).unwrap();
    sync(&mut cold, &hub);
    same(&cold, &one);
}

fn frames_of(mut body: MemoryBody) -> Vec<Frame> {
    let mut decoder = FrameDecoder::new(Form::MessagePack);
    while let Some(piece) = now(tolstoy_sync::Body::next(&mut body)).unwrap() {
        decoder.feed(&piece);
    }
    std::iter::from_fn(|| decoder.next_frame().unwrap()).collect()
}

/// A chunk whose payload is no transaction.
fn bogus() -> Bytes {
    let mut chunk = b"TLST\x01\0\0\0\0\x01".to_vec();
    chunk.extend_from_slice(&[7; 16]);
    chunk.extend_from_slice(b"no transaction");
    chunk.into()
}
