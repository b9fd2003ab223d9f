//! Bytes from anywhere as a snapshot; shared with the fuzz target.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use tolstoy_edn::Instant;
use tolstoy_env::{Clock, Entropy, Env, NoEntropy};
use tolstoy_proto::coding::compress;
use tolstoy_proto::{
    BlobDigest, ChainDigest, End, Frame, Generation, LogState, Piece, Seq, Snapshot, Start, TrnId, encode_frame,
};
use tolstoy_store::{Entid, Store};
use tolstoy_sync::transport::{MemoryBody, Request};
use tolstoy_sync::{Answer, Begin, ErrorKind, MemoryTransport, Options, SyncReport};
use uuid::Uuid;

/// A snapshot of version 1, as it was written when there was no other. It opens for ever.
pub(crate) const GOOD: &[u8] = include_bytes!("../fixtures/snapshot-v1");
/// What a hub says of it.
pub(crate) fn told() -> Snapshot {
    Snapshot {
        id: "3505764c-00bb-84cc-bbbc-4b1c59aadb0d".parse().unwrap_or(TrnId::ROOT),
        seq: Seq(3),
        chain: "d9a0766aedf57bdea50b853f3a6553b8f0fa01d4103bad2332649d09e006872b".parse().unwrap_or(ChainDigest::ZERO),
        digest: BlobDigest::of(GOOD),
        bytes: GOOD.len() as u64,
    }
}
/// The facts that it leads to.
pub(crate) const FACTS: &str = "219e981758e7ac2ce040f4319a23ea15d91c58815454f33ed68c5a7b6c3e8b4d";

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Instant {
        Instant::from_micros(1_772_323_200_000_000)
    }
}

impl Entropy for Fixed {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        bytes.fill(7);
        Ok(())
    }
}

/// A new store that syncs with a hub whose log begins, and ends, with a snapshot of these bytes.
pub(crate) fn begin_with(bytes: &[u8]) -> (Store, Result<SyncReport, tolstoy_sync::Error>) {
    let env = Env::new(Arc::new(Fixed), Arc::new(Fixed));
    let mut store = Store::in_memory(env.clone()).expect("a store in memory");
    let Snapshot { id, seq, chain, .. } = told();
    let state = LogState { generation: Some(Generation { id: Uuid::from_u128(1), number: 1 }), head: id, seq, chain };
    let serve = |request| {
        let mut out = Vec::new();
        let start = Start { state, from: TrnId::ROOT, from_seq: Seq::ROOT, from_chain: ChainDigest::ZERO };
        encode_frame(&Frame::Start(start), &mut out);
        let mut end = ChainDigest::ZERO;
        if let Request::Pull { begin: Begin::Snapshot, .. } = request {
            let (digest, len) = (BlobDigest::of(bytes), bytes.len() as u64);
            encode_frame(&Frame::Snapshot(Snapshot { digest, bytes: len, ..told() }), &mut out);
            encode_frame(&Frame::Piece(Piece { bytes: Bytes::copy_from_slice(bytes) }), &mut out);
            end = chain;
        }
        encode_frame(&Frame::End(End { count: 0, chain: end }), &mut out);
        Ok(Answer::Stream(MemoryBody::new([Ok(out.into())])))
    };
    let options = Options::new(env, Arc::new(|_| Box::pin(std::future::ready(()))));
    let mut transport = MemoryTransport::new(serve);
    let mut context = Context::from_waker(Waker::noop());
    let report = match pin!(tolstoy_sync::sync(&mut store, &mut transport, &options)).poll(&mut context) {
        Poll::Ready(report) => report,
        Poll::Pending => panic!("nothing here waits"),
    };
    (store, report)
}

/// The store is empty, or holds what the good snapshot holds; whatever the bytes are, taken as they are and as records that
/// are still to be compressed.
pub(crate) fn check_snapshot(bytes: &[u8]) {
    let packed = compress(bytes, 1).unwrap_or_default();
    for bytes in [bytes, &[b"TLSN\x01\x00".as_slice(), &packed].concat()] {
        let (store, report) = begin_with(bytes);
        match report {
            Ok(report) if report.snapshot_unusable.is_none() => {
                let digest = store.facts_digest().expect("a digest");
                assert_eq!(BlobDigest(digest).to_string(), FACTS);
            }
            Ok(report) => {
                assert!(report.passes.iter().all(|pass| pass.received == 0));
                assert_eq!((store.basis(), store.last_positioned().ok()), (Entid::TX0, Some(None)));
            }
            Err(e) => assert_eq!((e.kind(), store.basis()), (ErrorKind::Damaged, Entid::TX0), "{e}"),
        }
    }
}
