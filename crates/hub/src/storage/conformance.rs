//! What every storage must do. A storage's tests call [`storage_conformance!`](crate::storage_conformance) with a way to make an empty
//! one, and nothing else.
//!
//! Each check is a function over a fresh storage; it panics where the storage does wrong.

#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a check fails by panicking")]
#![allow(missing_docs, reason = "a check's name says what it checks")]

mod keeping;
mod tasks;

use std::sync::Arc;
use std::sync::mpsc;

use bytes::Bytes;
use tolstoy_proto::{ChainDigest, Chunk, ChunkId, Frame, Generation, LogId, RawFrame, Seq, TrnId};
use uuid::Uuid;

use super::{Committed, Life, LogRow, Pending, ReadTxn, Run, Storage, StorageError, Tip, WriteJob, WriteTxn};

pub use keeping::*;
pub use tasks::*;

/// Makes a `#[test]` of each check. `$make` gives a new empty storage and whatever must live as long:
/// `fn() -> (Arc<dyn Storage>, T)`.
#[macro_export]
macro_rules! storage_conformance {
    ($make:expr) => {
        $crate::storage_conformance!(@ $make =>
            a_log_that_was_never_written_is_unknown
            a_life_begins_and_ends_and_the_next_is_another
            a_chain_grows_in_order
            a_walk_starts_anywhere_and_ends_when_told
            runs_tell_what_a_walk_tells
            a_long_chain_is_whole_from_every_place
            chunks_are_kept_as_they_came
            a_transaction_finds_its_chunks_however_they_came
            a_chunk_that_is_here_stays
            pending_transactions_have_parents_and_children
            a_pending_transaction_that_is_committed_is_pending_no_more
            logs_and_lives_share_nothing
            a_life_that_ends_takes_nothing_of_another
            a_failed_job_leaves_nothing
            a_job_sees_what_earlier_ones_wrote
            a_read_sees_one_state
            writers_take_turns
            figures_say_what_a_life_holds
            figures_go_back_with_a_failed_job
            logs_are_listed_by_age_and_by_id
            loose_chunks_are_those_that_no_committed_transaction_took
            pending_transactions_and_loose_chunks_can_be_removed
            a_long_pending_transaction_is_removed_in_parts
            a_pending_transaction_that_comes_again_with_its_chunks_names_none
            a_loose_chunk_that_a_transaction_brought_again_stays
            what_ended_is_swept_in_steps_and_nothing_else
            snapshots_are_seen_when_they_are_whole
            a_snapshot_of_a_log_that_ended_is_gone
            tasks_are_kept_with_the_tree_of_their_hashes
            a_job_sees_the_tasks_that_it_put
            tasks_go_back_with_a_failed_job
            tasks_weigh_and_are_counted
            the_tasks_of_a_log_that_ended_are_gone
        );
    };
    (@ $make:expr => $($check:ident)*) => {
        $(
            #[test]
            fn $check() {
                let (storage, _kept) = $make;
                $crate::storage::conformance::$check(&storage);
            }
        )*
    };
}

type Shared = Arc<dyn Storage>;

/// Runs a job and waits for its end.
pub(crate) fn try_write<R: Send + 'static>(
    storage: &Shared,
    rules: impl FnMut(&mut dyn WriteTxn) -> Result<R, StorageError> + Send + 'static,
) -> Result<R, StorageError> {
    struct Job<R, F>(F, Option<R>, mpsc::Sender<Result<R, StorageError>>);
    impl<R: Send, F: FnMut(&mut dyn WriteTxn) -> Result<R, StorageError> + Send> WriteJob for Job<R, F> {
        fn run(&mut self, txn: &mut dyn WriteTxn) -> Result<(), StorageError> {
            self.1 = Some((self.0)(txn)?);
            Ok(())
        }
        fn done(self: Box<Self>, result: Result<(), StorageError>) {
            let Self(_, outcome, reply) = *self;
            reply.send(result.map(|()| outcome.unwrap())).unwrap();
        }
    }
    let (reply, answer) = mpsc::channel();
    storage.write(Box::new(Job(rules, None, reply)));
    answer.recv().unwrap()
}

pub(crate) fn write<R: Send + 'static>(
    storage: &Shared,
    rules: impl FnMut(&mut dyn WriteTxn) -> Result<R, StorageError> + Send + 'static,
) -> R {
    try_write(storage, rules).unwrap()
}

fn read<R>(storage: &Shared, rules: impl Fn(&dyn ReadTxn) -> R) -> R {
    let mut found = None;
    storage
        .read(&mut |txn| {
            found = Some(rules(txn));
            Ok(())
        })
        .unwrap();
    found.unwrap()
}

fn log(n: u8) -> LogId {
    LogId::from_bytes([n; 16])
}

fn trn(n: u8) -> TrnId {
    TrnId::from_bytes([n; 16])
}

fn generation(number: u64) -> Generation {
    Generation { id: Uuid::from_u128(number.into()), number }
}

fn chunk(n: u8) -> (ChunkId, Bytes) {
    let bytes = Bytes::from(vec![n; 10]);
    // Both kinds of ids, by turns.
    let id = if n.is_multiple_of(2) { ChunkId::of(&bytes) } else { format!("plain-{n}").parse().unwrap() };
    (id, bytes)
}

fn begin(storage: &Shared, id: LogId) -> Life {
    write(storage, move |txn| txn.begin_life(id, generation(1)))
}

/// Commits transactions with these numbers, each with the chunks of its number and the one before.
fn append(txn: &mut dyn WriteTxn, life: Life, numbers: &[u8]) -> Result<(), StorageError> {
    for n in numbers {
        let tip = txn.tip(life)?;
        let chunks: Vec<ChunkId> = [n - 1, *n].map(|n| chunk(n).0).to_vec();
        for n in [n - 1, *n] {
            let (id, bytes) = chunk(n);
            txn.put_chunk(life, &id, &bytes)?;
        }
        let chain = tip.chain.extend(trn(*n), &chunks);
        txn.append(life, &Committed { id: trn(*n), seq: tip.seq.next(), parent: tip.id, chunks, chain })?;
    }
    Ok(())
}

fn ids(storage: &Shared, life: Life, after: u64, limit: usize) -> Vec<TrnId> {
    read(storage, |txn| txn.ids_after(life, Seq(after), limit).unwrap())
}

pub fn a_log_that_was_never_written_is_unknown(storage: &Shared) {
    assert_eq!(read(storage, |txn| txn.log(log(1))), Ok(LogRow::Never));
    write(storage, |txn| txn.end_life(log(1)));
    assert_eq!(read(storage, |txn| txn.log(log(1))), Ok(LogRow::Never));
}

pub fn a_life_begins_and_ends_and_the_next_is_another(storage: &Shared) {
    let first = begin(storage, log(1));
    assert_eq!(read(storage, |txn| txn.log(log(1))), Ok(LogRow::Living(first, generation(1))));
    write(storage, |txn| txn.end_life(log(1)));
    assert_eq!(read(storage, |txn| txn.log(log(1))), Ok(LogRow::Ended(1)));
    write(storage, |txn| txn.end_life(log(1)));
    assert_eq!(read(storage, |txn| txn.log(log(1))), Ok(LogRow::Ended(1)));
    let second = write(storage, |txn| txn.begin_life(log(1), generation(2)));
    assert_ne!(first, second);
    assert_eq!(read(storage, |txn| txn.log(log(1))), Ok(LogRow::Living(second, generation(2))));
}

pub fn a_chain_grows_in_order(storage: &Shared) {
    let life = begin(storage, log(1));
    assert_eq!(read(storage, |txn| txn.tip(life)), Ok(Tip::ROOT));
    write(storage, move |txn| append(txn, life, &[1, 2]));
    write(storage, move |txn| append(txn, life, &[3]));
    assert_eq!(ids(storage, life, 0, 10), [trn(1), trn(2), trn(3)]);
    assert_eq!(ids(storage, life, 1, 1), [trn(2)]);
    assert_eq!(ids(storage, life, 3, 10), []);
    assert_eq!(ids(storage, life, 0, 0), []);
    let chunks = |n: u8| vec![chunk(n - 1).0, chunk(n).0];
    let chain = (1..=3).fold(ChainDigest::ZERO, |chain, n| chain.extend(trn(n), &chunks(n)));
    let third = Committed { id: trn(3), seq: Seq(3), parent: trn(2), chunks: chunks(3), chain };
    assert_eq!(read(storage, |txn| txn.tip(life)), Ok(third.tip()));
    assert_eq!(read(storage, |txn| txn.committed(life, trn(3))), Ok(Some(third)));
    let first = read(storage, |txn| txn.committed(life, trn(1))).unwrap().unwrap();
    assert_eq!((first.parent, first.seq), (TrnId::ROOT, Seq(1)));
    assert_eq!(read(storage, |txn| txn.committed(life, trn(4))), Ok(None));
    assert_eq!(read(storage, |txn| txn.committed(life, TrnId::ROOT)), Ok(None));
}

pub fn a_walk_starts_anywhere_and_ends_when_told(storage: &Shared) {
    let life = begin(storage, log(1));
    write(storage, move |txn| append(txn, life, &[1, 2, 3, 4]));
    let walk = |after: u64, most: usize| {
        read(storage, |txn| {
            let mut seen = Vec::new();
            txn.walk(life, Seq(after), &mut |trn, chunks| {
                let bytes: Vec<u8> = (0..trn.chunks.len()).map(|i| chunks.bytes(i).unwrap()[0]).collect();
                assert!(chunks.bytes(trn.chunks.len()).is_err());
                seen.push((trn.id, trn.parent, trn.seq.0, bytes));
                Ok(seen.len() < most)
            })
            .unwrap();
            seen
        })
    };
    assert_eq!(walk(0, 1), [(trn(1), TrnId::ROOT, 1, vec![0, 1])]);
    assert_eq!(walk(2, 9), [(trn(3), trn(2), 3, vec![2, 3]), (trn(4), trn(3), 4, vec![3, 4])]);
    assert_eq!(walk(4, 9), []);
    let failed = read(storage, |txn| txn.walk(life, Seq(0), &mut |_, _| Err(StorageError::Closed)));
    assert_eq!(failed, Err(StorageError::Closed));
}

pub fn runs_tell_what_a_walk_tells(storage: &Shared) {
    let life = begin(storage, log(1));
    // Chunks that come with their transaction, that came with an earlier one, that are large, that are named twice.
    let new = |n: u16| (ChunkId::of(&n.to_be_bytes()), Bytes::copy_from_slice(&n.to_be_bytes()));
    let large = |n: u16| (ChunkId::of(&[n as u8; 20_000]), Bytes::from(vec![n as u8; 20_000]));
    for job in 0..4u16 {
        write(storage, move |txn| {
            for n in job * 50..(job + 1) * 50 {
                let tip = txn.tip(life)?;
                let mut chunks = vec![new(n)];
                match n % 10 {
                    3 => chunks.push(large(n)),
                    5 => chunks.extend([new(n / 2), new(n)]),
                    7 => chunks.push(large(n - 4)),
                    _ => {}
                }
                for (id, bytes) in &chunks {
                    txn.put_chunk(life, id, bytes)?;
                }
                let chunks: Vec<ChunkId> = chunks.into_iter().map(|(id, _)| id).collect();
                let id = TrnId(Uuid::from_u64_pair(3, n.into()));
                let chain = tip.chain.extend(id, &chunks);
                txn.append(life, &Committed { id, seq: tip.seq.next(), parent: tip.id, chunks, chain })?;
            }
            Ok(())
        });
    }
    for after in (0..200).step_by(7) {
        let told = read(storage, |txn| {
            let (mut seqs, mut sent) = (Vec::new(), std::collections::HashMap::new());
            let mut frame = |frame: Frame| match frame {
                Frame::Transaction(trn) => seqs.push((trn.seq, trn.id, trn.parent, trn.chunks)),
                Frame::Chunk(chunk) => drop(sent.insert(chunk.id, chunk.bytes)),
                other => panic!("{other:?}"),
            };
            txn.runs(life, Seq(after), &mut |run| {
                match run {
                    Run::Frames(count, mut frames) => {
                        let mut seen = 0;
                        while let Some((raw, rest)) = RawFrame::split(frames).unwrap() {
                            seen += u64::from(raw.is_transaction());
                            frame(raw.to_frame().unwrap());
                            frames = rest;
                        }
                        assert_eq!(seen, count);
                    }
                    Run::Transaction(trn, chunks) => {
                        frame(Frame::Transaction(trn.clone()));
                        for (index, id) in trn.chunks.iter().enumerate() {
                            if chunks.came_with(index).is_none_or(|seq| seq.0 <= after) {
                                let bytes = Bytes::copy_from_slice(&chunks.bytes(index).unwrap());
                                frame(Frame::Chunk(Chunk { id: *id, bytes }));
                            }
                        }
                    }
                }
                Ok(true)
            })
            .unwrap();
            (seqs, sent)
        });
        let walked = read(storage, |txn| {
            let (mut seqs, mut sent) = (Vec::new(), std::collections::HashMap::new());
            txn.walk(life, Seq(after), &mut |trn, chunks| {
                seqs.push((trn.seq, trn.id, trn.parent, trn.chunks.clone()));
                for (index, id) in trn.chunks.iter().enumerate() {
                    sent.insert(*id, Bytes::copy_from_slice(&chunks.bytes(index).unwrap()));
                }
                Ok(true)
            })
            .unwrap();
            (seqs, sent)
        });
        assert_eq!((told.0.len() as u64, told), (200 - after, walked), "after {after}");
    }
}

pub fn a_long_chain_is_whole_from_every_place(storage: &Shared) {
    let id = |n: u16| TrnId(Uuid::from_u64_pair(9, n.into()));
    let (one, two) = (begin(storage, log(1)), begin(storage, log(2)));
    let grow = move |txn: &mut dyn WriteTxn, life: Life, count: u16| -> Result<(), StorageError> {
        for _ in 0..count {
            let tip = txn.tip(life)?;
            let bytes = Bytes::from(tip.seq.0.to_string());
            let chunks = vec![ChunkId::of(&bytes)];
            txn.put_chunk(life, &chunks[0], &bytes)?;
            let id = id(tip.seq.0 as u16 + 1);
            let chain = tip.chain.extend(id, &chunks);
            txn.append(life, &Committed { id, seq: tip.seq.next(), parent: tip.id, chunks, chain })?;
        }
        Ok(())
    };
    // Few at a time and many at once, by turns with another log.
    for count in [1, 1, 1, 20, 300, 1, 5, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1] {
        write(storage, move |txn| grow(txn, one, count));
        write(storage, move |txn| grow(txn, two, 1));
    }
    let all: Vec<TrnId> = (1..=339).map(id).collect();
    let mut chain = ChainDigest::ZERO;
    for after in 0..=340u16 {
        let tail = all.get(usize::from(after)..).unwrap_or_default();
        assert_eq!(ids(storage, one, after.into(), 1000), tail, "after {after}");
        assert_eq!(ids(storage, one, after.into(), 3), tail.get(..3).unwrap_or(tail));
    }
    for n in 1..=339 {
        let found = read(storage, |txn| txn.committed(one, id(n))).unwrap().unwrap();
        let bytes = Bytes::from((n - 1).to_string());
        chain = chain.extend(id(n), &[ChunkId::of(&bytes)]);
        assert_eq!((found.seq.0, found.chain), (n.into(), chain));
        assert_eq!(found.parent, if n == 1 { TrnId::ROOT } else { id(n - 1) });
        assert_eq!(read(storage, |txn| txn.is_committed(one, id(n))), Ok(true));
        assert_eq!(read(storage, |txn| txn.chunk(one, &ChunkId::of(&bytes))), Ok(Some(bytes)));
    }
    assert_eq!(read(storage, |txn| txn.is_committed(one, id(340))), Ok(false));
    let mut seen = Vec::new();
    storage
        .read(&mut |txn| {
            txn.walk(one, Seq(17), &mut |trn, chunks| {
                assert_eq!(*chunks.bytes(0).unwrap(), *(trn.seq.0 - 1).to_string().as_bytes());
                seen.push(trn.id);
                Ok(true)
            })
        })
        .unwrap();
    assert_eq!(seen, all[17..]);
    write(storage, |txn| txn.end_life(log(1)));
    assert_eq!(ids(storage, two, 0, 1000).len(), 17);
}

pub fn a_transaction_finds_its_chunks_however_they_came(storage: &Shared) {
    let life = begin(storage, log(1));
    let sized = |n: u8, size: usize| {
        let bytes = Bytes::from(vec![n; size]);
        (ChunkId::of(&bytes), bytes)
    };
    let plain: (ChunkId, Bytes) = ("plain".parse().unwrap(), Bytes::from_static(b"plain"));
    let earlier = [sized(1, 10), sized(2, 20_000), plain];
    let put = earlier.clone();
    write(storage, move |txn| put.iter().try_for_each(|(id, bytes)| txn.put_chunk(life, id, bytes)));
    let tiny: Vec<_> = (0..1500u32)
        .map(|n| {
            let bytes = Bytes::copy_from_slice(&n.to_be_bytes());
            (ChunkId::of(&bytes), bytes)
        })
        .collect();
    let mut new = vec![sized(3, 10), sized(4, 1_000_000), sized(5, 0), sized(6, 8000)];
    new.extend(tiny);
    new.extend((10..30).map(|n| sized(n, 7000)));
    let mut named: Vec<_> = new.iter().chain(&earlier).cloned().collect();
    // Some twice, and some that the transaction before brought.
    named.extend([named[0].clone(), named[1].clone(), named[10].clone(), earlier[1].clone()]);
    let last = vec![named[2].clone(), named[0].clone(), named[0].clone(), named[1400].clone(), earlier[0].clone()];
    let all = [named, last];
    let commit = all.clone();
    write(storage, move |txn| {
        for (index, named) in commit.iter().enumerate() {
            if index == 0 {
                new.iter().try_for_each(|(id, bytes)| txn.put_chunk(life, id, bytes))?;
            }
            let tip = txn.tip(life)?;
            let chunks: Vec<ChunkId> = named.iter().map(|(id, _)| *id).collect();
            let id = trn(index as u8 + 1);
            let chain = tip.chain.extend(id, &chunks);
            txn.append(life, &Committed { id, seq: tip.seq.next(), parent: tip.id, chunks, chain })?;
        }
        Ok(())
    });
    let mut visited = 0;
    storage
        .read(&mut |txn| {
            txn.walk(life, Seq(0), &mut |trn, chunks| {
                for (index, (id, bytes)) in all[visited].iter().enumerate() {
                    assert_eq!(trn.chunks[index], *id);
                    assert_eq!(*chunks.bytes(index).unwrap(), *bytes, "chunk {index}");
                    assert_eq!(txn.chunk(life, id).unwrap().unwrap(), bytes);
                }
                visited += 1;
                Ok(true)
            })
        })
        .unwrap();
    assert_eq!(visited, 2);
    write(storage, |txn| txn.end_life(log(1)));
    let again = write(storage, |txn| txn.begin_life(log(1), generation(2)));
    assert_eq!(read(storage, |txn| txn.has_chunk(again, &sized(2, 20_000).0)), Ok(false));
}

pub fn chunks_are_kept_as_they_came(storage: &Shared) {
    let life = begin(storage, log(1));
    let large = Bytes::from((0..100_000u32).flat_map(u32::to_le_bytes).collect::<Vec<_>>());
    let chunks = [
        chunk(1),
        chunk(2),
        (ChunkId::of(&large), large),
        ("z".repeat(64).parse().unwrap(), Bytes::new()),
        // The text of a digest's raw bytes must not be taken for the digest.
        ("a".repeat(32).parse().unwrap(), Bytes::from_static(b"text")),
        (ChunkId::from_digest(&[b'a'; 32]), Bytes::from_static(b"digest")),
    ];
    let put = chunks.clone();
    write(storage, move |txn| put.iter().try_for_each(|(id, bytes)| txn.put_chunk(life, id, bytes)));
    for (id, bytes) in &chunks {
        assert_eq!(read(storage, |txn| txn.chunk(life, id)), Ok(Some(bytes.clone())));
        assert_eq!(read(storage, |txn| txn.has_chunk(life, id)), Ok(true));
    }
    assert_eq!(read(storage, |txn| txn.chunk(life, &chunk(3).0)), Ok(None));
    assert_eq!(read(storage, |txn| txn.has_chunk(life, &chunk(3).0)), Ok(false));
}

pub fn a_chunk_that_is_here_stays(storage: &Shared) {
    let life = begin(storage, log(1));
    let (id, bytes) = chunk(1);
    for bytes in [bytes.clone(), Bytes::from_static(b"other")] {
        write(storage, move |txn| txn.put_chunk(life, &id, &bytes));
    }
    assert_eq!(read(storage, |txn| txn.chunk(life, &id)), Ok(Some(bytes)));
}

fn pending(n: u8, parent: TrnId, seq: u64) -> Pending {
    Pending { id: trn(n), parent, seq: Seq(seq), base: Seq(0), chunks: vec![chunk(1).0, chunk(2).0] }
}

fn put_pending(storage: &Shared, life: Life, all: Vec<Pending>) {
    write(storage, move |txn| {
        for n in [1, 2] {
            let (id, bytes) = chunk(n);
            txn.put_chunk(life, &id, &bytes)?;
        }
        all.iter().try_for_each(|pending| txn.put_pending(life, pending))
    });
}

pub fn pending_transactions_have_parents_and_children(storage: &Shared) {
    let life = begin(storage, log(1));
    let (first, second) = (pending(1, TrnId::ROOT, 1), pending(2, trn(1), 2));
    put_pending(storage, life, vec![first.clone(), second.clone()]);
    for expected in [first, second] {
        let found = read(storage, |txn| txn.pending(life, expected.id));
        assert_eq!(found, Ok(Some(expected)));
    }
    let children = |parent| read(storage, |txn| txn.has_pending_child(life, parent)).unwrap();
    assert!(children(TrnId::ROOT) && children(trn(1)) && !children(trn(2)));
    assert_eq!(read(storage, |txn| txn.pending(life, trn(3))), Ok(None));
    assert_eq!(read(storage, |txn| txn.tip(life)), Ok(Tip::ROOT));
    assert_eq!(ids(storage, life, 0, 9), []);
    assert_eq!(read(storage, |txn| txn.committed(life, trn(1))), Ok(None));
}

pub fn a_pending_transaction_that_is_committed_is_pending_no_more(storage: &Shared) {
    let life = begin(storage, log(1));
    let first = pending(1, TrnId::ROOT, 1);
    put_pending(storage, life, vec![first.clone(), pending(2, trn(1), 2)]);
    let chain = ChainDigest::ZERO.extend(first.id, &first.chunks);
    let committed = Committed { id: first.id, seq: Seq(1), parent: TrnId::ROOT, chunks: first.chunks, chain };
    let append = committed.clone();
    write(storage, move |txn| txn.append(life, &append));
    assert_eq!(read(storage, |txn| txn.pending(life, trn(1))), Ok(None));
    assert_eq!(read(storage, |txn| txn.committed(life, trn(1))), Ok(Some(committed)));
    assert!(read(storage, |txn| txn.pending(life, trn(2))).unwrap().is_some());
    assert!(!read(storage, |txn| txn.has_pending_child(life, TrnId::ROOT)).unwrap());
}

pub fn logs_and_lives_share_nothing(storage: &Shared) {
    let (one, two) = (begin(storage, log(1)), begin(storage, log(2)));
    assert_ne!(one, two);
    write(storage, move |txn| append(txn, one, &[1, 2]));
    put_pending(storage, one, vec![pending(7, trn(2), 3)]);
    write(storage, move |txn| append(txn, two, &[1]));
    write(storage, |txn| txn.end_life(log(1)));
    let again = write(storage, |txn| txn.begin_life(log(1), generation(2)));
    assert!(again != one && again != two);
    assert_eq!(read(storage, |txn| txn.tip(again)), Ok(Tip::ROOT));
    assert_eq!(read(storage, |txn| txn.has_chunk(again, &chunk(1).0)), Ok(false));
    assert_eq!(read(storage, |txn| txn.pending(again, trn(7))), Ok(None));
    assert_eq!(ids(storage, two, 0, 9), [trn(1)]);
    assert_eq!(read(storage, |txn| txn.has_chunk(two, &chunk(1).0)), Ok(true));
    assert_eq!(read(storage, |txn| txn.has_chunk(two, &chunk(2).0)), Ok(false));
}

pub fn a_life_that_ends_takes_nothing_of_another(storage: &Shared) {
    let (short, kept) = (begin(storage, log(1)), begin(storage, log(2)));
    // Long chunks, which lie by themselves; beside them a chain long enough to be listed in every way.
    let long = |n: u8| Bytes::from(vec![n; 20_000]);
    write(storage, move |txn| (1..40).try_for_each(|n| txn.put_chunk(kept, &ChunkId::of(&long(n)), &long(n))));
    for n in 1..80 {
        write(storage, move |txn| append(txn, short, &[n]));
    }
    write(storage, |txn| txn.end_life(log(1)));
    let left =
        read(storage, |txn| (1..40).filter(|n| txn.chunk(kept, &ChunkId::of(&long(*n))).unwrap().is_some()).count());
    assert_eq!(left, 39);
}

pub fn a_failed_job_leaves_nothing(storage: &Shared) {
    let life = begin(storage, log(1));
    write(storage, move |txn| append(txn, life, &[1]));
    put_pending(storage, life, vec![pending(5, trn(1), 2)]);
    let doomed = move |txn: &mut dyn WriteTxn| -> Result<(), StorageError> {
        let (id, bytes) = chunk(9);
        txn.put_chunk(life, &id, &bytes)?;
        txn.put_pending(life, &pending(6, trn(5), 3))?;
        let tip = txn.tip(life)?;
        let chunks = vec![chunk(1).0, chunk(2).0];
        let chain = tip.chain.extend(trn(5), &chunks);
        txn.append(life, &Committed { id: trn(5), seq: Seq(2), parent: trn(1), chunks, chain })?;
        append(txn, life, &[8])?;
        txn.begin_life(log(2), generation(1))?;
        txn.end_life(log(1))?;
        txn.begin_life(log(1), generation(2))?;
        Err(StorageError::Full("for the test".to_owned()))
    };
    assert_eq!(try_write(storage, doomed), Err(StorageError::Full("for the test".to_owned())));
    assert_eq!(read(storage, |txn| txn.log(log(1))), Ok(LogRow::Living(life, generation(1))));
    assert_eq!(read(storage, |txn| txn.log(log(2))), Ok(LogRow::Never));
    assert_eq!(ids(storage, life, 0, 9), [trn(1)]);
    assert_eq!(read(storage, |txn| txn.pending(life, trn(5))), Ok(Some(pending(5, trn(1), 2))));
    assert_eq!(read(storage, |txn| txn.pending(life, trn(6))), Ok(None));
    assert_eq!(read(storage, |txn| txn.has_chunk(life, &chunk(9).0)), Ok(false));
    assert_eq!(read(storage, |txn| txn.has_chunk(life, &chunk(1).0)), Ok(true));
}

pub fn a_job_sees_what_earlier_ones_wrote(storage: &Shared) {
    let life = begin(storage, log(1));
    write(storage, move |txn| append(txn, life, &[1]));
    let seen = write(storage, move |txn| {
        append(txn, life, &[2])?;
        Ok((txn.tip(life)?.id, txn.chunk(life, &chunk(1).0)?, txn.has_chunk(life, &chunk(2).0)?))
    });
    assert_eq!(seen, (trn(2), Some(chunk(1).1), true));
}

pub fn a_read_sees_one_state(storage: &Shared) {
    let life = begin(storage, log(1));
    write(storage, move |txn| append(txn, life, &[1]));
    // Reads beside a writer: each sees a chain whose end is its tip.
    std::thread::scope(|scope| {
        let writer = storage.clone();
        scope.spawn(move || {
            for n in 2..50 {
                write(&writer, move |txn| append(txn, life, &[n]));
            }
        });
        for _ in 0..50 {
            read(storage, |txn| {
                let tip = txn.tip(life).unwrap();
                let ids = txn.ids_after(life, Seq(0), 1000).unwrap();
                assert_eq!((ids.len() as u64, ids.last()), (tip.seq.0, Some(&tip.id)));
            });
        }
    });
}

pub fn writers_take_turns(storage: &Shared) {
    let life = begin(storage, log(1));
    std::thread::scope(|scope| {
        for writer in 0..4u8 {
            let storage = storage.clone();
            scope.spawn(move || {
                for n in 0..25 {
                    write(&storage, move |txn| append(txn, life, &[1 + writer * 25 + n]));
                }
            });
        }
    });
    let mut all = ids(storage, life, 0, 1000);
    assert_eq!(read(storage, |txn| txn.tip(life)).unwrap().seq, Seq(100));
    all.sort();
    assert_eq!(all, (1..=100).map(trn).collect::<Vec<_>>());
}
