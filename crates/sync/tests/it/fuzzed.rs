//! What must hold for any bytes that claim to be a log in the original client's format. The fuzz target `original`
//! includes this file as well.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use tolstoy_env::Env;
use tolstoy_proto::{
    ChainDigest, Chunk, ChunkId, End, Frame, LogState, Seq, Start, Transaction, TrnId, derive_trn, encode_frame,
};
use tolstoy_store::{Entid, Store};
use tolstoy_sync::transport::MemoryBody;
use tolstoy_sync::{Answer, MemoryTransport, Options};

/// Panics if a log breaks a promise: it is taken in, by every store alike, or refused with nothing changed. A line of the
/// text is a chunk, an empty line ends a transaction. True where it was taken in.
pub(crate) fn check_original(text: &[u8]) -> bool {
    let stream = stream(text);
    let [one, two] = [1, 2].map(|seed| {
        let mut store = Store::in_memory(Env::repeatable(seed)).unwrap();
        let before = (store.facts_digest().unwrap(), store.basis());
        let mut transport = MemoryTransport::new(|_| Ok(Answer::Stream(body(&stream))));
        let options = Options::new(Env::repeatable(9), Arc::new(|_| Box::pin(std::future::ready(()))));
        let result = now(tolstoy_sync::sync(&mut store, &mut transport, &options));
        let after = (store.facts_digest().unwrap(), store.basis());
        match result {
            Ok(_) => assert!(store.last_positioned().unwrap().is_none_or(|last| last == after.1)),
            Err(error) => {
                assert!(!error.to_string().is_empty());
                assert_eq!(after, before, "{error}");
            }
        }
        assert_eq!(store.side_timelines().unwrap(), []);
        after
    });
    assert_eq!(one, two);
    one.1 > Entid::TX0
}

fn body(stream: &Bytes) -> MemoryBody {
    MemoryBody::new(vec![Ok(stream.clone())])
}

/// The stream of frames that a hub makes of such a log.
fn stream(text: &[u8]) -> Bytes {
    let lines: Vec<&[u8]> = text.split(|b| *b == b'\n').collect();
    let logs = lines.split(|line| line.is_empty()).filter(|lines| !lines.is_empty());
    let (mut parent, mut seq, mut chain, mut count, mut frames) =
        (TrnId::ROOT, Seq::ROOT, ChainDigest::ZERO, 0, Vec::new());
    for lines in logs {
        let chunks: Vec<ChunkId> = (0..lines.len()).map(|n| format!("{count:08x}-{n:08x}").parse().unwrap()).collect();
        let id = derive_trn(parent, &chunks);
        (seq, chain, count) = (seq.next(), chain.extend(id, &chunks), count + 1);
        frames.push(Frame::Transaction(Transaction { id, seq, parent, chunks: chunks.clone() }));
        parent = id;
        let chunk = |(id, line): (ChunkId, &&[u8])| Frame::Chunk(Chunk { id, bytes: Bytes::copy_from_slice(line) });
        frames.extend(chunks.into_iter().zip(lines).map(chunk));
    }
    let state = LogState { head: parent, seq, chain, ..LogState::EMPTY };
    let start = Start { state, from: TrnId::ROOT, from_seq: Seq::ROOT, from_chain: ChainDigest::ZERO };
    let mut bytes = Vec::new();
    encode_frame(&Frame::Start(start), &mut bytes);
    for frame in frames {
        encode_frame(&frame, &mut bytes);
    }
    encode_frame(&Frame::End(End { count, chain }), &mut bytes);
    bytes.into()
}

/// Nothing here ever waits.
fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("a sync in memory waits for something"),
    }
}
