//! Writers that race: whatever the interleaving, one chain, and every success in it.

use std::collections::HashSet;
use std::sync::Arc;
use std::thread;

use proptest::prelude::*;
use tolstoy_hub::SqliteOptions;
use tolstoy_hub::service::{HeadOutcome, PushOutcome, PutOutcome, Service, Upload};
use tolstoy_hub::storage::SqliteStorage;
use tolstoy_proto::v0::NewTransaction;
use tolstoy_proto::{LogState, TrnId};

use crate::common::{Pushing, check_stream, env, log};

fn id(writer: usize, n: usize) -> TrnId {
    TrnId(uuid::Uuid::from_u64_pair(100 + writer as u64, n as u64))
}

/// One writer of the 0.1 API: puts a transaction onto HEAD and moves HEAD there; gives what was acknowledged.
fn race_v0(service: &Service, writer: usize, rounds: usize) -> Vec<TrnId> {
    let mut won = Vec::new();
    for n in 0..rounds {
        let head = service.info(log(1)).unwrap().head;
        let new = NewTransaction { parent: head, chunks: Vec::new() };
        let put = service.v0_put_transaction(log(1), id(writer, n), new).wait().unwrap();
        if put == PutOutcome::Done && service.v0_put_head(log(1), id(writer, n)).wait().unwrap() == HeadOutcome::Done {
            won.push(id(writer, n));
        }
    }
    won
}

/// One writer of `/1`.
fn race_v1(service: &Service, writer: usize, rounds: usize) -> Vec<TrnId> {
    let mut won = Vec::new();
    for n in 0..rounds {
        let state = service.info(log(1)).unwrap();
        let push = Pushing::onto(&state).text(&format!("{writer} {n}")).text(&format!("{writer} {n} more"));
        let upload = Upload::from_frames(push.all()).unwrap();
        match service.push(log(1), upload).wait().unwrap() {
            PushOutcome::Done(..) => won.push(push.last.0),
            // Between reading the state and pushing, the first writer may have begun the log.
            PushOutcome::Conflict | PushOutcome::Generation(_) => {}
            other => panic!("{other:?}"),
        }
    }
    won
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn racing_writers_make_one_chain(
        kinds in proptest::collection::vec(any::<bool>(), 2..16),
        rounds in 1usize..6,
    ) {
        let directory = tempfile::TempDir::new().unwrap();
        let storage = SqliteStorage::open(directory.path(), &SqliteOptions::default()).unwrap();
        let service = Service::new(Arc::new(storage), env());
        let won: Vec<TrnId> = thread::scope(|scope| {
            let race = |(writer, new)| if new { race_v1(&service, writer, rounds) } else { race_v0(&service, writer, rounds) };
            let threads: Vec<_> =
                kinds.iter().copied().enumerate().map(|each| scope.spawn(move || race(each))).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        let stream = service.pull(log(1), &[]).unwrap().frames().unwrap();
        check_stream(&stream);
        let chain: HashSet<TrnId> = stream
            .iter()
            .filter_map(|frame| if let tolstoy_proto::Frame::Transaction(trn) = frame { Some(trn.id) } else { None })
            .collect();
        prop_assert!(!won.is_empty());
        prop_assert!(won.iter().all(|id| chain.contains(id)));
        // What no writer was told of is not there: HEAD is always somebody's success.
        prop_assert!(won.contains(&service.info(log(1)).unwrap_or(LogState::EMPTY).head));
    }
}
