//! Encrypted logs: what devices can do with keys, and what a hub cannot do without.

use std::sync::Mutex;

use tolstoy_sync::{Offered, Secrets};

use super::snapshots::{hub_that_asks_after, instead, snapshot_of};
use super::*;

fn keys(numbers: &[u8]) -> Arc<Keyring> {
    keys_of(LogId(Uuid::from_u128(7)), numbers)
}

fn keys_of(log: LogId, bytes: &[u8]) -> Arc<Keyring> {
    let line = |(number, byte): (usize, &u8)| format!("key {number} {}\n", format!("{byte:02x}").repeat(32));
    let text: String = (1..).zip(bytes).map(line).collect();
    Arc::new(Keyring::new(log, &Secrets::parse(&text).unwrap()).unwrap())
}

fn try_seal(store: &mut Store, hub: &Hub, keys: &Arc<Keyring>) -> Result<SyncReport, Error> {
    sync_with(store, Some(keys), |request| hub.answer(request))
}

fn seal(store: &mut Store, hub: &Hub, keys: &Arc<Keyring>) -> SyncReport {
    try_seal(store, hub, keys).unwrap_or_else(|e| panic!("{:?}: {e}", e.kind()))
}

fn refused(result: Result<SyncReport, Error>, kind: ErrorKind) -> String {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    error.to_string()
}

/// Two devices that share a schema through an encrypted log.
fn sealed_two() -> (Hub, Store, Store, Arc<Keyring>) {
    let (hub, mut one, mut two, keys) = (Hub::new(), device(1), device(2), keys(&[1]));
    must(&mut one, SCHEMA);
    seal(&mut one, &hub, &keys);
    seal(&mut two, &hub, &keys);
    (hub, one, two, keys)
}

#[test]
fn what_is_settled_on_one_device_is_settled_on_the_other() {
    let (hub, mut one, mut two, keys) = sealed_two();
    must(
        &mut one,
        "[{:db/ident :badge :db/valueType :db.type/long :db/cardinality :db.cardinality/one :db/unique :db.unique/value}]",
    );
    seal(&mut one, &hub, &keys);
    seal(&mut two, &hub, &keys);
    must(&mut one, r#"[{:name "Anna" :badge 7}]"#);
    must(&mut two, r#"[{:name "Vera" :badge 7}]"#);
    for _ in 0..2 {
        seal(&mut one, &hub, &keys);
        seal(&mut two, &hub, &keys);
    }
    let entry = |store: &Store| {
        let mut found = Vec::new();
        let seen = store.journal(|entry| {
            found.push((entry.id(), entry.settled_by));
            Ok::<_, tolstoy_store::Error>(())
        });
        seen.unwrap();
        assert_eq!(found.len(), 1);
        found.remove(0)
    };
    let (id, _) = entry(&one);
    assert_eq!((one.waiting().unwrap(), two.waiting().unwrap()), (1, 1));
    let form = tolstoy_edn::read_one(r#"[{:name "Vera" :badge 8}]"#, &tolstoy_edn::Limits::default()).unwrap();
    let report = one.settle(id, tolstoy_store::Settling::ApplyAs(&form), false).unwrap();
    seal(&mut one, &hub, &keys);
    seal(&mut two, &hub, &keys);
    same(&one, &two);
    assert_eq!(two.waiting().unwrap(), 0);
    assert_eq!(entry(&two), (id, vec![report.tx]));
}

#[test]
fn two_devices_merge_through_a_hub_that_reads_nothing() {
    let (hub, mut one, mut two, keys) = sealed_two();
    let seen = Mutex::new(Vec::new());
    let listen = |request: Request| {
        if let Request::Push(body) | Request::PutChunk(_, body) = &request {
            seen.lock().unwrap().extend_from_slice(body);
        }
        hub.answer(request)
    };
    must(&mut one, r#"[{:name "Anna" :text "a secret of Anna's"}]"#);
    must(&mut two, &format!(r#"[{{:name "Vera" :text "a secret of Vera's {}"}}]"#, "x".repeat(3 << 20)));
    sync_with(&mut one, Some(&keys), listen).unwrap();
    sync_with(&mut two, Some(&keys), listen).unwrap();
    sync_with(&mut one, Some(&keys), listen).unwrap();
    same(&one, &two);
    let seen = seen.into_inner().unwrap();
    assert!(seen.len() > 3 << 20);
    for word in [&b"secret"[..], b"Anna", b"Vera", b"name", b"TLST", &[b'x'; 8]] {
        assert!(!seen.windows(word.len()).any(|w| w == word), "the hub saw {word:?}");
    }
}

#[test]
fn a_push_whose_answer_was_lost_is_the_same_request_again() {
    let (hub, mut one, _, keys) = sealed_two();
    must(&mut one, r#"[{:name "Anna"}]"#);
    let pushed = Mutex::new(Vec::new());
    let lose = |request: Request| {
        if let Request::Push(body) = &request {
            pushed.lock().unwrap().push(body.clone());
        }
        hub.answer(request)?;
        Err(TransportError::Broken("lost".to_owned()))
    };
    refused(sync_with(&mut one, Some(&keys), lose), ErrorKind::Offline);
    refused(sync_with(&mut one, Some(&keys), lose), ErrorKind::Offline);
    let pushed = pushed.into_inner().unwrap();
    assert!(pushed.len() == 2 && pushed[0] == pushed[1]);
    assert_eq!(seal(&mut one, &hub, &keys).passes.len(), 1);
    assert_eq!(hub.state().seq, Seq(2));
}

#[test]
fn without_the_key_nothing_is_read_and_nothing_is_changed() {
    let (hub, mut one, _, keys1) = sealed_two();
    let mut stranger = device(3);
    must(&mut stranger, SCHEMA);
    let before = (stranger.facts_digest().unwrap(), hub.state());
    assert!(refused(try_sync(&mut stranger, &hub), ErrorKind::Key).contains("no key was given"));
    refused(try_seal(&mut stranger, &hub, &keys(&[2])), ErrorKind::Key);
    refused(try_seal(&mut stranger, &hub, &keys_of(LogId(Uuid::from_u128(8)), &[1])), ErrorKind::Damaged);
    assert_eq!((stranger.facts_digest().unwrap(), hub.state()), before);
    // Nor does a store that knows the log forget that it is encrypted.
    must(&mut one, r#"[{:name "Anna"}]"#);
    assert!(refused(try_sync(&mut one, &hub), ErrorKind::Key).contains("no key was given"));
    assert_eq!(hub.state(), before.1);
    seal(&mut one, &hub, &keys1);
}

#[test]
fn a_log_in_clear_is_refused_where_a_key_is_given() {
    let (hub, mut one, _) = two();
    must(&mut one, r#"[{:name "Anna"}]"#);
    let state = hub.state();
    refused(try_seal(&mut one, &hub, &keys(&[1])), ErrorKind::Key);
    let mut fresh = device(3);
    must(&mut fresh, SCHEMA);
    refused(try_seal(&mut fresh, &hub, &keys(&[1])), ErrorKind::Key);
    assert_eq!(hub.state(), state);
}

#[test]
fn after_a_rotation_the_new_key_is_needed_and_the_old_one_is_not_believed() {
    let (hub, mut one, mut two, old) = sealed_two();
    let new = keys(&[1, 2]);
    must(&mut one, r#"[{:name "Anna"}]"#);
    seal(&mut one, &hub, &new);
    assert!(refused(try_seal(&mut two, &hub, &old), ErrorKind::Key).contains("its key 2"));
    seal(&mut two, &hub, &new);
    same(&one, &two);
    let mut fresh = device(3);
    seal(&mut fresh, &hub, &new);
    same(&one, &fresh);

    // Whoever has the old key and the hub's help writes behind the new one, as a hub could that shows it an older HEAD.
    let mut thief = device(4);
    let state = hub.state();
    let at_old_head = |request: Request| match request {
        Request::Pull { .. } => Ok(Answer::Stream(hub.first(1))),
        _ => Err(TransportError::Broken("kept back".to_owned())),
    };
    sync_with(&mut thief, Some(&old), at_old_head).unwrap();
    must(&mut thief, r#"[{:name "Mallory"}]"#);
    let forged = Mutex::new(None);
    let take = |request: Request| {
        if let Request::Push(body) = &request {
            *forged.lock().unwrap() = Some(body.clone());
        }
        Err(TransportError::Broken("kept".to_owned()))
    };
    refused(sync_with(&mut thief, Some(&old), take), ErrorKind::Offline);
    let frames = decode(&forged.into_inner().unwrap().unwrap());
    // To a store that was at the old HEAD when the rotation came, and to one that has it already.
    for store in [&mut fresh, &mut two] {
        must(store, r#"[{:name "Oleg"}]"#);
        let answer = |_| Ok(Answer::Conflict(hub.fork(1, &frames, state)));
        let error = refused(sync_with(store, Some(&new), answer), ErrorKind::Damaged);
        assert!(error.contains("key 1"), "{error}");
    }
}

#[test]
fn a_hub_cannot_give_a_transaction_another_ones_place() {
    let (hub, mut one, mut two, keys) = sealed_two();
    let pushes = Mutex::new(Vec::new());
    let keep = |request: Request| {
        if let Request::Push(body) = &request {
            pushes.lock().unwrap().push(decode(body));
        }
        hub.answer(request)
    };
    // Both are written for the place after the schema; the first wins it.
    must(&mut one, r#"[{:name "Anna"}]"#);
    must(&mut two, r#"[{:name "Vera"}]"#);
    sync_with(&mut one, Some(&keys), keep).unwrap();
    sync_with(&mut two, Some(&keys), keep).unwrap();
    let pushes = pushes.into_inner().unwrap();
    let (won, lost) = (&pushes[0], &pushes[1]);
    let state = hub.state();
    // The one that lost, under the name of the one that won, so that what follows seems to follow it.
    let swapped: Vec<Frame> = lost
        .iter()
        .map(|frame| match (frame, &won[1]) {
            (Frame::Transaction(lost), Frame::Transaction(won)) => {
                Frame::Transaction(Transaction { id: won.id, ..lost.clone() })
            }
            (frame, _) => frame.clone(),
        })
        .collect();
    let mut fresh = device(3);
    let error = refused(
        sync_with(&mut fresh, Some(&keys), |_| Ok(Answer::Stream(hub.fork(1, &swapped, state)))),
        ErrorKind::Damaged,
    );
    assert!(error.contains("has not the name"), "{error}");
    // What was pushed in its own name in its own place is a fork, which a hub can always show to who knows no better.
    sync_with(&mut fresh, Some(&keys), |_| Ok(Answer::Stream(hub.fork(1, lost, state)))).unwrap();
    assert_ne!(fresh.facts_digest().unwrap(), one.facts_digest().unwrap());
}

fn decode(body: &Bytes) -> Vec<Frame> {
    let mut decoder = FrameDecoder::new(Form::MessagePack);
    decoder.feed(body);
    std::iter::from_fn(|| decoder.next_frame().unwrap()).collect()
}

impl Hub {
    /// The frames of the log's first transactions.
    fn beginning(&self, transactions: usize) -> Vec<Frame> {
        let mut body = self.stream(&[], Begin::Transactions);
        let mut bytes = Vec::new();
        while let Some(piece) = now(tolstoy_sync::Body::next(&mut body)).unwrap() {
            bytes.extend_from_slice(&piece);
        }
        let mut seen = 0;
        let frames = decode(&bytes.into()).into_iter();
        let wanted = frames.filter(|f| matches!(f, Frame::Transaction(_) | Frame::Chunk(_))).take_while(|frame| {
            seen += usize::from(matches!(frame, Frame::Transaction(_)));
            seen <= transactions
        });
        wanted.collect()
    }

    /// A stream of the log's first transactions, as if there were no others.
    fn first(&self, transactions: usize) -> MemoryBody {
        self.fork(transactions, &[], self.state())
    }

    /// A stream of the log's first transactions and these others.
    fn fork(&self, transactions: usize, others: &[Frame], state: LogState) -> MemoryBody {
        let body = others.iter().filter(|f| matches!(f, Frame::Transaction(_) | Frame::Chunk(_))).cloned();
        let frames: Vec<Frame> = self.beginning(transactions).into_iter().chain(body).collect();
        let (mut chain, mut count) = (ChainDigest::ZERO, 0);
        let mut bytes = Vec::new();
        let start = Start { state, from: TrnId::ROOT, from_seq: Seq::ROOT, from_chain: ChainDigest::ZERO };
        encode_frame(&Frame::Start(start), &mut bytes);
        for frame in &frames {
            if let Frame::Transaction(t) = frame {
                chain = chain.extend(t.id, &t.chunks);
                count += 1;
            }
            encode_frame(frame, &mut bytes);
        }
        encode_frame(&Frame::End(tolstoy_proto::End { count, chain }), &mut bytes);
        MemoryBody::new([Ok(bytes.into())])
    }
}

#[test]
fn a_new_device_begins_with_a_sealed_snapshot_across_a_rotation() {
    let hub = hub_that_asks_after(4);
    let (mut one, old, new) = (device(1), keys(&[1]), keys(&[1, 2, 3]));
    must(&mut one, SCHEMA);
    must(&mut one, r#"[{:name "Anna" :text "a secret of Anna's"}]"#);
    seal(&mut one, &hub, &old);
    must(&mut one, r#"[{:name "Vera" :text "a secret of Vera's"}]"#);
    must(&mut one, r#"[{:name "Oleg"}]"#);
    let report = seal(&mut one, &hub, &new);
    assert!(matches!(report.snapshot_offered, Some(Offered::Kept { transactions: 4, .. })), "{report:?}");
    let snapshot = snapshot_of(&hub);
    assert!(snapshot.starts_with(b"TLSF"));
    must(&mut one, r#"[{:name "Petr"}]"#);
    seal(&mut one, &hub, &new);

    let mut cold = device(2);
    let report = seal(&mut cold, &hub, &new);
    assert_eq!((report.passes[0].from_snapshot, report.passes[0].received), (4, 5));
    assert_eq!(report.snapshot_unusable, None);
    same(&one, &cold);
    assert_eq!(cold.position(cold.basis()).unwrap(), one.position(one.basis()).unwrap());
    assert_eq!(cold.note("sealed").unwrap(), one.note("sealed").unwrap());
    must(&mut cold, r#"[{:name "Ivan"}]"#);
    seal(&mut cold, &hub, &new);
    seal(&mut one, &hub, &new);
    same(&one, &cold);

    // Without the newest key the snapshot is of no use, and neither is the log.
    let mut stranger = device(3);
    assert!(refused(try_seal(&mut stranger, &hub, &old), ErrorKind::Key).contains("its key"));
    assert!(refused(try_sync(&mut stranger, &hub), ErrorKind::Key).contains("no key was given"));
    assert_eq!(stranger.basis(), Entid::TX0);
}

#[test]
fn a_sealed_snapshot_that_was_altered_or_is_in_clear_is_of_no_use() {
    let hub = hub_that_asks_after(2);
    let (mut one, keys) = (device(1), keys(&[1]));
    must(&mut one, SCHEMA);
    must(&mut one, r#"[{:name "Anna"}]"#);
    seal(&mut one, &hub, &keys);
    let good = snapshot_of(&hub);
    let clear = {
        let hub = hub_that_asks_after(2);
        let mut other = device(1);
        must(&mut other, SCHEMA);
        must(&mut other, r#"[{:name "Anna"}]"#);
        sync(&mut other, &hub);
        snapshot_of(&hub)
    };
    let altered = (0..good.len()).step_by(3).map(|at| {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        bad
    });
    let cut = (1..good.len()).step_by(3).map(|len| good[..len].to_vec());
    for bytes in altered.chain(cut).chain([clear]) {
        let mut cold = device(2);
        let report = sync_with(&mut cold, Some(&keys), |request| match request {
            Request::Pull { begin: Begin::Snapshot, .. } => Ok(Answer::Stream(instead(&hub, &bytes, |s| s))),
            other => hub.answer(other),
        });
        assert!(report.unwrap().snapshot_unusable.is_some());
        same(&one, &cold);
    }
}

/// What a hub makes up does not decide what the log is written in.
#[test]
fn a_made_up_snapshot_in_clear_does_not_hide_that_the_log_is_encrypted() {
    let hub = hub_that_asks_after(2);
    let (mut one, keys) = (device(1), keys(&[1]));
    must(&mut one, SCHEMA);
    must(&mut one, r#"[{:name "Anna"}]"#);
    seal(&mut one, &hub, &keys);
    let mut stranger = device(3);
    let result = sync_over(&mut stranger, |request| match request {
        Request::Pull { begin: Begin::Snapshot, .. } => {
            Ok(Answer::Stream(instead(&hub, b"TLSN\x01\x00 made up", |s| s)))
        }
        other => hub.answer(other),
    });
    assert!(refused(result, ErrorKind::Key).contains("no key was given"));
}
