//! Checks of figures, garbage and snapshots.

use super::*;
use crate::storage::{LogCursor, PendingTrn, Removed, Snapshot, SnapshotId, Usage, loose_weight, weight};

fn usage(storage: &Shared, life: Life) -> Usage {
    read(storage, |txn| txn.usage(life)).unwrap()
}

fn put(storage: &Shared, life: Life, chunks: Vec<(ChunkId, Bytes)>) {
    write(storage, move |txn| chunks.iter().try_for_each(|(id, bytes)| txn.put_chunk(life, id, bytes)));
}

/// A pending transaction that names these chunks, which are here.
fn naming(n: u8, parent: TrnId, seq: u64, chunks: &[ChunkId]) -> Pending {
    Pending { id: trn(n), parent, seq: Seq(seq), base: Seq(0), chunks: chunks.to_vec() }
}

fn put_all(storage: &Shared, life: Life, all: Vec<Pending>) {
    write(storage, move |txn| all.iter().try_for_each(|pending| txn.put_pending(life, pending)));
}

/// Commits a transaction with these chunks, which are here.
fn commit(storage: &Shared, life: Life, id: TrnId, chunks: Vec<ChunkId>) {
    write(storage, move |txn| {
        let tip = txn.tip(life)?;
        let chain = tip.chain.extend(id, &chunks);
        txn.append(life, &Committed { id, seq: tip.seq.next(), parent: tip.id, chunks: chunks.clone(), chain })
    });
}

pub fn figures_say_what_a_life_holds(storage: &Shared) {
    let life = begin(storage, log(1));
    assert_eq!(usage(storage, life), Usage::default());
    write(storage, move |txn| {
        append(txn, life, &[1])?;
        txn.stamp(life, 77, "somebody")
    });
    let of = |n: u8| weight(&[chunk(n - 1).0, chunk(n).0]);
    let bytes = 20 + of(1);
    assert_eq!(usage(storage, life), Usage { bytes, fresh: bytes, snapshot: Seq(0), written: 77 });
    // Chunks by themselves, and a pending transaction, which is not fresh before it is committed.
    put(storage, life, vec![chunk(2), chunk(3)]);
    let pending = naming(2, trn(1), 2, &[chunk(2).0, chunk(3).0]);
    put_all(storage, life, vec![pending.clone()]);
    let more = 20 + of(3);
    let expected = Usage { bytes: bytes + more, fresh: bytes + 20, snapshot: Seq(0), written: 77 };
    // Chunks weigh more until a committed transaction takes them, however short they are.
    let loose = Usage { bytes: expected.bytes + 2 * loose_weight(0), ..expected };
    assert_eq!(usage(storage, life), loose);
    put(storage, life, vec![("empty".parse().unwrap(), Bytes::new())]);
    assert_eq!(usage(storage, life), Usage { bytes: loose.bytes + loose_weight(0), ..loose });
    write(storage, move |txn| txn.remove_loose(life, &"empty".parse().unwrap()));
    commit(storage, life, trn(2), pending.chunks);
    assert_eq!(usage(storage, life), Usage { fresh: bytes + more, ..expected });
    let listed = read(storage, |txn| txn.logs_by_id(log(0), log(255), 9)).unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].log, listed[0].life, listed[0].generation), (log(1), life, generation(1)));
    assert_eq!((listed[0].tip.id, listed[0].tip.seq), (trn(2), Seq(2)));
    assert_eq!((listed[0].usage, listed[0].writer.as_str()), (usage(storage, life), "somebody"));
}

pub fn figures_go_back_with_a_failed_job(storage: &Shared) {
    let life = begin(storage, log(1));
    write(storage, move |txn| {
        append(txn, life, &[1])?;
        txn.stamp(life, 5, "first")
    });
    put(storage, life, vec![chunk(9)]);
    put_all(storage, life, vec![naming(8, trn(1), 2, &[])]);
    let (before, listed) = (usage(storage, life), read(storage, |txn| txn.logs_by_age(None, 9)).unwrap());
    let failed = try_write(storage, move |txn| -> Result<(), StorageError> {
        append(txn, life, &[2, 3])?;
        txn.put_pending(life, &naming(7, trn(1), 2, &[chunk(1).0]))?;
        txn.remove_loose(life, &chunk(9).0)?;
        txn.remove_pending(life, trn(8), 9)?;
        txn.stamp(life, 6, "second")?;
        let snapshot = txn.begin_snapshot(life, &snapshot(1))?;
        txn.put_piece(snapshot, 0, &Bytes::from_static(b"x"))?;
        assert!(txn.end_snapshot(life, snapshot)?);
        Err(StorageError::Closed)
    });
    assert_eq!(failed, Err(StorageError::Closed));
    assert_eq!(usage(storage, life), before);
    assert_eq!(read(storage, |txn| txn.logs_by_age(None, 9)).unwrap(), listed);
    assert_eq!(read(storage, |txn| txn.has_chunk(life, &chunk(9).0)), Ok(true));
    assert!(read(storage, |txn| txn.pending(life, trn(8))).unwrap().is_some());
    assert_eq!(read(storage, |txn| txn.snapshots(life)), Ok(vec![]));
}

pub fn logs_are_listed_by_age_and_by_id(storage: &Shared) {
    const MINUTE: i64 = 60_000_000;
    let lives: Vec<Life> = (1..=6).map(|n| begin(storage, log(n))).collect();
    // Within a minute, the life that began last comes first.
    for (n, written) in [(0, 9), (1, 2), (2, 5), (3, 5), (4, 0), (5, 7)] {
        let life = lives[n];
        write(storage, move |txn| txn.stamp(life, written * MINUTE + 30 - n as i64, "w"));
    }
    write(storage, |txn| txn.end_life(log(6)));
    let ages = |after: Option<LogCursor>, limit| {
        let found = read(storage, |txn| txn.logs_by_age(after, limit)).unwrap();
        (found.iter().map(|log| log.log).collect::<Vec<_>>(), found.last().map(|log| log.cursor()))
    };
    assert_eq!(ages(None, 9).0, [log(1), log(4), log(3), log(2), log(5)]);
    let (first, cursor) = ages(None, 2);
    assert_eq!(first, [log(1), log(4)]);
    let (second, cursor) = ages(cursor, 2);
    assert_eq!(second, [log(3), log(2)]);
    let (third, cursor) = ages(cursor, 2);
    assert_eq!(third, [log(5)]);
    assert_eq!(ages(cursor, 2), (vec![], None));
    // A later upload moves a log up.
    let life = lives[4];
    write(storage, move |txn| txn.stamp(life, 10 * MINUTE, "w"));
    assert_eq!(ages(None, 2).0, [log(5), log(1)]);
    let ids = |from, to, limit| -> Vec<LogId> {
        let found = read(storage, |txn| txn.logs_by_id(log(from), log(to), limit)).unwrap();
        found.iter().map(|log| log.log).collect()
    };
    assert_eq!(ids(2, 9, 2), [log(2), log(3)]);
    assert_eq!(ids(4, 9, 9), [log(4), log(5)]);
    assert_eq!(ids(6, 9, 9), []);
    assert_eq!(read(storage, |txn| txn.totals()).unwrap().logs, 5);
    assert_eq!(read(storage, |txn| txn.log_of(lives[0])), Ok(Some(log(1))));
    assert_eq!(read(storage, |txn| txn.log_of(lives[5])), Ok(None));
}

/// What is loose, by the numbers of [`chunk`], and how often it is named.
fn loose(storage: &Shared, life: Life) -> Vec<(u8, u64)> {
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let page = read(storage, |txn| txn.loose_after(life, after.as_ref(), 2)).unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        for one in page {
            assert_eq!(one.bytes, 10);
            found.push(((0..=255).find(|n| chunk(*n).0 == one.id).unwrap(), one.named));
        }
    }
    found.sort_unstable();
    found
}

pub fn loose_chunks_are_those_that_no_committed_transaction_took(storage: &Shared) {
    let life = begin(storage, log(1));
    assert_eq!(read(storage, |txn| txn.lives_with_uploads(None, 9)), Ok(vec![]));
    write(storage, move |txn| append(txn, life, &[1, 2]));
    assert_eq!(loose(storage, life), []);
    assert_eq!(read(storage, |txn| txn.lives_with_uploads(None, 9)), Ok(vec![]));
    put(storage, life, (1..=7).map(chunk).collect());
    assert_eq!(loose(storage, life), [(3, 0), (4, 0), (5, 0), (6, 0), (7, 0)]);
    let one = naming(8, trn(2), 3, &[chunk(3).0, chunk(4).0, chunk(4).0, chunk(1).0]);
    put_all(storage, life, vec![one.clone(), naming(9, trn(2), 3, &[chunk(4).0])]);
    assert_eq!(loose(storage, life), [(3, 1), (4, 3), (5, 0), (6, 0), (7, 0)]);
    // A push that names what is here, and leaves it out.
    write(storage, move |txn| {
        let chunks = vec![chunk(5).0, chunk(2).0];
        let tip = txn.tip(life)?;
        let chain = tip.chain.extend(trn(10), &chunks);
        txn.append(life, &Committed { id: trn(10), seq: Seq(3), parent: tip.id, chunks, chain })
    });
    assert_eq!(loose(storage, life), [(3, 1), (4, 3), (6, 0), (7, 0)]);
    commit(storage, life, one.id, one.chunks);
    assert_eq!(loose(storage, life), [(6, 0), (7, 0)]);
    assert_eq!(read(storage, |txn| txn.lives_with_uploads(None, 9)), Ok(vec![life]));
    assert_eq!(read(storage, |txn| txn.lives_with_uploads(Some(life), 9)), Ok(vec![]));
}

pub fn pending_transactions_and_loose_chunks_can_be_removed(storage: &Shared) {
    let life = begin(storage, log(1));
    write(storage, move |txn| append(txn, life, &[1]));
    let before = usage(storage, life);
    put(storage, life, vec![chunk(3), chunk(4)]);
    let all = vec![
        naming(5, trn(1), 2, &[chunk(3).0]),
        naming(6, trn(5), 3, &[chunk(3).0, chunk(4).0]),
        naming(7, trn(5), 3, &[chunk(0).0]),
    ];
    put_all(storage, life, all);
    let listed = |after, limit| -> Vec<TrnId> {
        let found = read(storage, |txn| txn.pending_after(life, after, limit)).unwrap();
        found.iter().map(|pending| pending.id).collect()
    };
    let six = PendingTrn { id: trn(6), parent: trn(5) };
    assert_eq!(read(storage, |txn| txn.pending_after(life, Some(trn(5)), 1)), Ok(vec![six]));
    assert_eq!(read(storage, |txn| txn.is_pending(life, trn(7))), Ok(true));
    assert_eq!(read(storage, |txn| txn.named_by(life, trn(6))), Ok(vec![chunk(3).0, chunk(4).0]));
    assert_eq!((listed(None, 2), listed(Some(trn(6)), 9)), (vec![trn(5), trn(6)], vec![trn(7)]));
    let child = |parent, after| read(storage, |txn| txn.pending_child(life, parent, after)).unwrap();
    assert_eq!((child(trn(1), None), child(trn(5), None)), (Some(trn(5)), Some(trn(6))));
    assert_eq!((child(trn(5), Some(trn(6))), child(trn(5), Some(trn(7)))), (Some(trn(7)), None));
    // A chunk that is named stays.
    write(storage, move |txn| txn.remove_loose(life, &chunk(3).0));
    let gone =
        write(storage, move |txn| Ok([txn.remove_pending(life, trn(5), 9)?, txn.remove_pending(life, trn(5), 9)?]));
    assert_eq!(gone, [weight(&[chunk(3).0]), 0].map(|bytes| Removed { bytes, is_gone: true }));
    assert_eq!(loose(storage, life), [(3, 1), (4, 1)]);
    assert_eq!(read(storage, |txn| txn.pending(life, trn(5))), Ok(None));
    assert_eq!(read(storage, |txn| txn.is_pending(life, trn(5))), Ok(false));
    assert_eq!(read(storage, |txn| txn.named_by(life, trn(5))), Ok(vec![]));
    assert!(read(storage, |txn| txn.pending(life, trn(6))).unwrap().is_some());
    write(storage, move |txn| {
        txn.remove_pending(life, trn(6), 9)?;
        txn.remove_pending(life, trn(7), 9)?;
        txn.remove_loose(life, &chunk(3).0)?;
        txn.remove_loose(life, &chunk(0).0)
    });
    assert_eq!(loose(storage, life), [(4, 0)]);
    assert_eq!(read(storage, |txn| txn.chunk(life, &chunk(3).0)), Ok(None));
    assert_eq!(read(storage, |txn| txn.chunk(life, &chunk(0).0)), Ok(Some(chunk(0).1)));
    assert_eq!(read(storage, |txn| txn.chunk(life, &chunk(4).0)), Ok(Some(chunk(4).1)));
    write(storage, move |txn| txn.remove_loose(life, &chunk(4).0));
    assert_eq!(usage(storage, life), Usage { fresh: before.fresh + 20, ..before });
    // What was removed may come again.
    put(storage, life, vec![chunk(3)]);
    assert_eq!(loose(storage, life), [(3, 0)]);
    commit(storage, life, trn(9), vec![chunk(3).0]);
    assert_eq!(loose(storage, life), []);
}

pub fn a_long_pending_transaction_is_removed_in_parts(storage: &Shared) {
    let life = begin(storage, log(1));
    write(storage, move |txn| append(txn, life, &[1]));
    let before = usage(storage, life);
    put(storage, life, (3..=8).map(chunk).collect());
    let long: Vec<ChunkId> = [3, 4, 5, 6, 7, 3].map(|n| chunk(n).0).to_vec();
    put_all(storage, life, vec![naming(5, trn(1), 2, &long), naming(6, trn(1), 2, &[chunk(4).0, chunk(8).0])]);
    let loaded = usage(storage, life);
    let mut bytes = 0;
    for calls in 1.. {
        let Removed { bytes: more, is_gone } = write(storage, move |txn| txn.remove_pending(life, trn(5), 2));
        bytes += more;
        assert_eq!(usage(storage, life), Usage { bytes: loaded.bytes - bytes, ..loaded });
        // What names a chunk is never counted twice, and the transaction is there until the last part.
        let left = read(storage, |txn| txn.named_by(life, trn(5))).unwrap();
        assert!(left.len() + 2 * calls <= long.len() || is_gone, "call {calls} left {}", left.len());
        let names = |n: u8| left.iter().filter(|id| **id == chunk(n).0).count() as u64;
        let others = |n: u8| u64::from([4, 8].contains(&n));
        assert_eq!(loose(storage, life), (3..=8).map(|n| (n, names(n) + others(n))).collect::<Vec<_>>());
        assert_eq!(read(storage, |txn| txn.is_pending(life, trn(5))), Ok(!is_gone));
        if is_gone {
            break;
        }
    }
    assert_eq!(bytes, weight(&long));
    // The same again later is as new.
    put_all(storage, life, vec![naming(5, trn(1), 2, &long)]);
    assert_eq!(usage(storage, life), loaded);
    for n in [5, 6] {
        while !write(storage, move |txn| txn.remove_pending(life, trn(n), 4)).is_gone {}
    }
    write(storage, move |txn| (3..=8).try_for_each(|n| txn.remove_loose(life, &chunk(n).0)));
    assert_eq!(usage(storage, life), Usage { fresh: before.fresh + 60, ..before });
    // A log may end meanwhile.
    put(storage, life, vec![chunk(3), chunk(4)]);
    put_all(storage, life, vec![naming(5, trn(1), 2, &[chunk(3).0, chunk(4).0, chunk(3).0])]);
    write(storage, move |txn| txn.remove_pending(life, trn(5), 2));
    write(storage, |txn| txn.end_life(log(1)));
    sweep(storage);
    assert_eq!(read(storage, |txn| txn.to_sweep()).unwrap(), crate::storage::Swept::default());
}

pub fn a_pending_transaction_that_comes_again_with_its_chunks_names_none(storage: &Shared) {
    let life = begin(storage, log(1));
    put(storage, life, (2..=5).map(chunk).collect());
    let (one, other) = (vec![chunk(2).0, chunk(4).0, chunk(3).0, chunk(2).0], vec![chunk(4).0]);
    put_all(storage, life, vec![naming(1, TrnId::ROOT, 1, &one), naming(9, trn(1), 2, &other)]);
    // As a push commits it, with the bytes of some of its chunks.
    let chunks = one.clone();
    write(storage, move |txn| {
        for n in [2, 4] {
            let (id, bytes) = chunk(n);
            txn.put_chunk(life, &id, &bytes)?;
        }
        let chain = ChainDigest::ZERO.extend(trn(1), &chunks);
        let parent = TrnId::ROOT;
        txn.append(life, &Committed { id: trn(1), seq: Seq(1), parent, chunks: chunks.clone(), chain })
    });
    // A storage may keep the chunks that were there beside those that came; nobody but the other names them.
    let left = loose(storage, life);
    let allowed: [(u8, u64); 3] = [(2, 0), (4, 1), (5, 0)];
    assert!(left.contains(&(5, 0)) && left.iter().all(|one| allowed.contains(one)), "{left:?}");
    assert_eq!(read(storage, |txn| txn.pending(life, trn(1))), Ok(None));
    for n in 2..=5 {
        assert_eq!(read(storage, |txn| txn.chunk(life, &chunk(n).0)), Ok(Some(chunk(n).1)), "chunk {n}");
    }
}

pub fn a_loose_chunk_that_a_transaction_brought_again_stays(storage: &Shared) {
    let life = begin(storage, log(1));
    put(storage, life, (0..=4).map(chunk).collect());
    // Brought again by transactions: some that lie far back by now, some of the newest.
    write(storage, move |txn| append(txn, life, &[1, 2]));
    for n in 10..60 {
        write(storage, move |txn| append(txn, life, &[n]));
    }
    write(storage, move |txn| append(txn, life, &[4]));
    for n in 0..=4 {
        write(storage, move |txn| txn.remove_loose(life, &chunk(n).0));
        assert_eq!(read(storage, |txn| txn.chunk(life, &chunk(n).0)), Ok(Some(chunk(n).1)), "chunk {n}");
    }
    for n in 60..90 {
        write(storage, move |txn| append(txn, life, &[n]));
    }
    let mut seen = 0;
    storage
        .read(&mut |txn| {
            txn.walk(life, Seq(0), &mut |trn, chunks| {
                for (index, id) in trn.chunks.iter().enumerate() {
                    assert_eq!(chunks.bytes(index).unwrap()[..], txn.chunk(life, id).unwrap().unwrap());
                }
                seen += 1;
                Ok(true)
            })
        })
        .unwrap();
    assert_eq!(seen, 83);
}

/// Sweeps until nothing is left, a few rows at a time.
pub(super) fn sweep(storage: &Shared) -> u64 {
    let mut steps = 0;
    loop {
        let swept = write(storage, |txn| txn.sweep(3));
        steps += 1;
        assert!(steps < 10_000, "sweeping does not end");
        if !swept.more {
            return steps;
        }
    }
}

pub fn what_ended_is_swept_in_steps_and_nothing_else(storage: &Shared) {
    let (one, two) = (begin(storage, log(1)), begin(storage, log(2)));
    let large = |n: u8| {
        let bytes = Bytes::from(vec![n; 100_000]);
        (ChunkId::of(&bytes), bytes)
    };
    for n in 1..=40 {
        // By turns, so that their rows lie among each other.
        for life in [one, two] {
            write(storage, move |txn| {
                let (id, bytes) = large(n);
                txn.put_chunk(life, &id, &bytes)?;
                append(txn, life, &[n])
            });
        }
    }
    for life in [one, two] {
        put(storage, life, vec![chunk(99)]);
        put_all(storage, life, vec![naming(50, trn(40), 41, &[chunk(99).0]), naming(51, trn(50), 42, &[])]);
        write(storage, move |txn| {
            let snapshot = txn.begin_snapshot(life, &snapshot(10))?;
            txn.put_piece(snapshot, 0, &Bytes::from_static(b"0123456789"))?;
            txn.end_snapshot(life, snapshot)
        });
    }
    let kept = usage(storage, two);
    write(storage, |txn| txn.end_life(log(1)));
    let again = write(storage, |txn| txn.begin_life(log(1), generation(2)));
    write(storage, move |txn| append(txn, again, &[1]));
    sweep(storage);
    assert_eq!(read(storage, |txn| txn.to_sweep()).unwrap(), crate::storage::Swept::default());
    assert_eq!(read(storage, |txn| txn.totals()).unwrap().ended, 0);
    for (life, last) in [(two, 40), (again, 1)] {
        assert_eq!(ids(storage, life, 0, 99), (1..=last).map(trn).collect::<Vec<_>>());
        for n in 0..=last {
            assert_eq!(read(storage, |txn| txn.chunk(life, &chunk(n).0)), Ok(Some(chunk(n).1)), "{life:?} {n}");
        }
    }
    for n in 1..=40 {
        assert_eq!(read(storage, |txn| txn.chunk(two, &large(n).0)), Ok(Some(large(n).1)));
    }
    assert_eq!(usage(storage, two), kept);
    assert_eq!(read(storage, |txn| txn.snapshots(two)).unwrap().len(), 1);
    assert!(read(storage, |txn| txn.pending(two, trn(51))).unwrap().is_some());
    assert_eq!(read(storage, |txn| txn.log(log(1))), Ok(LogRow::Living(again, generation(2))));
    write(storage, |txn| txn.end_life(log(1)));
    sweep(storage);
    assert_eq!(read(storage, |txn| txn.log(log(1))), Ok(LogRow::Ended(2)), "the tombstone stays");
}

/// A snapshot of so many bytes at transaction 1.
fn snapshot(bytes: u64) -> Snapshot {
    Snapshot { tip: Tip { id: trn(1), seq: Seq(1), chain: ChainDigest::ZERO }, digest: [7; 32], bytes }
}

pub fn snapshots_are_seen_when_they_are_whole(storage: &Shared) {
    let life = begin(storage, log(1));
    write(storage, move |txn| append(txn, life, &[1]));
    let before = usage(storage, life);
    let begin = |seq: u64, bytes: u64| -> SnapshotId {
        let snapshot = Snapshot { tip: Tip { seq: Seq(seq), ..snapshot(0).tip }, ..snapshot(bytes) };
        write(storage, move |txn| txn.begin_snapshot(life, &snapshot))
    };
    let list = || read(storage, |txn| txn.snapshots(life)).unwrap();
    let first = begin(1, 7);
    write(storage, move |txn| append(txn, life, &[2]));
    for (place, piece) in [(0, "abc"), (1, "defg")] {
        write(storage, move |txn| txn.put_piece(first, place, &Bytes::from_static(piece.as_bytes())));
    }
    assert_eq!(list(), []);
    let fresh = usage(storage, life).fresh - before.fresh;
    assert!(write(storage, move |txn| txn.end_snapshot(life, first)));
    assert!(!write(storage, move |txn| txn.end_snapshot(life, first)), "it is whole already");
    assert_eq!(list(), [(first, snapshot(7))]);
    let after = usage(storage, life);
    assert_eq!((after.bytes, after.fresh, after.snapshot), (before.bytes + fresh + 7, fresh, Seq(1)));
    let piece = |id, place| read(storage, |txn| txn.piece(id, place)).unwrap();
    assert_eq!(piece(first, 0).unwrap(), "abc");
    assert_eq!(piece(first, 1).unwrap(), "defg");
    assert_eq!(piece(first, 2), None);
    // One that was never ended, and one of an older place: neither is the newest.
    let (halved, older) = (begin(5, 1), begin(0, 9));
    assert!(write(storage, move |txn| txn.end_snapshot(life, older)));
    assert_eq!(list().iter().map(|(id, _)| *id).collect::<Vec<_>>(), [first, older]);
    assert_eq!(usage(storage, life), Usage { bytes: after.bytes + 9, ..after });
    for id in [halved, older] {
        write(storage, move |txn| txn.drop_snapshot(life, id));
    }
    assert_eq!(usage(storage, life), after);
    sweep(storage);
    assert_eq!(list(), [(first, snapshot(7))]);
    write(storage, move |txn| txn.put_piece(halved, 0, &Bytes::from_static(b"late")));
    assert!(!write(storage, move |txn| txn.end_snapshot(life, halved)));
    assert_eq!((piece(halved, 0), piece(first, 0).unwrap()), (None, Bytes::from_static(b"abc")));
}

pub fn a_snapshot_of_a_log_that_ended_is_gone(storage: &Shared) {
    let life = begin(storage, log(1));
    write(storage, move |txn| append(txn, life, &[1]));
    let arriving = write(storage, move |txn| txn.begin_snapshot(life, &snapshot(6)));
    write(storage, move |txn| txn.put_piece(arriving, 0, &Bytes::from_static(b"abc")));
    write(storage, |txn| txn.end_life(log(1)));
    let again = write(storage, |txn| txn.begin_life(log(1), generation(2)));
    write(storage, move |txn| txn.put_piece(arriving, 1, &Bytes::from_static(b"def")));
    for life in [life, again] {
        assert!(!write(storage, move |txn| txn.end_snapshot(life, arriving)));
        assert_eq!(read(storage, |txn| txn.snapshots(life)), Ok(vec![]));
    }
    sweep(storage);
    assert_eq!(
        read(storage, |txn| Ok::<_, StorageError>((txn.piece(arriving, 0)?, txn.piece(arriving, 1)?))),
        Ok((None, None))
    );
}
