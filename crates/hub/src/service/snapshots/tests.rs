use tempfile::TempDir;
use tolstoy_env::Env;
use tolstoy_proto::v0::NewTransaction;

use super::*;
use crate::service::{HeadOutcome, Policy, PutOutcome};
use crate::storage::{MemoryStorage, SqliteOptions, SqliteStorage, Storage};

const LOG: LogId = LogId::from_bytes([1; 16]);

fn trn(n: u8) -> TrnId {
    TrnId::from_bytes([n; 16])
}

/// Services over both storages, whose log has four transactions of 100 bytes each, and may hold so many bytes.
fn services(quota: u64) -> (Vec<Service>, TempDir) {
    let directory = TempDir::new().unwrap();
    let sqlite = SqliteStorage::open(directory.path(), &SqliteOptions::default()).unwrap();
    let storages: [Arc<dyn Storage>; 2] = [Arc::new(MemoryStorage::new()), Arc::new(sqlite)];
    let services = storages.map(|storage| {
        let env = Env::repeatable(1);
        let policy = Policy { quota_bytes: Some(quota), ..Policy::default() };
        let service = Service::new(storage, env).with_policy(policy);
        for n in 1..=4 {
            let new = NewTransaction { parent: if n == 1 { TrnId::ROOT } else { trn(n - 1) }, chunks: vec![] };
            assert_eq!(service.v0_put_transaction(LOG, trn(n), new).wait(), Ok(PutOutcome::Done));
            assert_eq!(service.v0_put_head(LOG, trn(n)).wait(), Ok(HeadOutcome::Done));
        }
        service
    });
    (services.to_vec(), directory)
}

fn upload(bytes: &[u8]) -> SnapshotUpload {
    let mut upload = SnapshotUpload::new(None).unwrap();
    upload.take(bytes).unwrap();
    upload
}

/// Keeps a snapshot of so many bytes; gives the places of what is kept then, or the quota that it would pass.
fn keep(service: &Service, n: u8, bytes: usize) -> Result<Vec<u64>, Quota> {
    match service.keep_snapshot(LOG, trn(n), upload(&vec![n; bytes])).unwrap() {
        SnapshotOutcome::Done(kept) => Ok(kept.snapshots.iter().map(|snapshot| snapshot.seq.0).collect()),
        SnapshotOutcome::Quota(_, quota) => Err(quota),
        SnapshotOutcome::UnknownTransaction(state) => panic!("{state:?}"),
    }
}

fn used(service: &Service) -> u64 {
    service.usage(LOG).unwrap().unwrap().bytes
}

#[test]
fn a_snapshot_must_fit_beside_what_stays_when_it_comes() {
    let quota = |used| Quota { of: QuotaKind::Bytes, limit: 5_000, used };
    for service in services(5_000).0 {
        let room = |n: u8, bytes: usize| {
            let digest = BlobDigest::of(&vec![n; bytes]);
            match service.snapshot_room(LOG, trn(n), digest).unwrap() {
                SnapshotRoom::AtMost(most, _, _) => most,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(keep(&service, 1, 4_601), Err(quota(400)));
        assert_eq!((room(1, 9), keep(&service, 1, 2_000)), (4_600, Ok(vec![1])));
        // The one beside it stays.
        assert_eq!((room(2, 9), keep(&service, 2, 2_601)), (2_600, Err(quota(2_400))));
        assert_eq!(keep(&service, 2, 2_600), Ok(vec![2, 1]));
        assert_eq!((used(&service), room(3, 9)), (5_000, 2_000));
        // One that takes the place of another may be as long as that.
        assert_eq!(keep(&service, 2, 2_601), Err(quota(5_000)));
        assert_eq!(keep(&service, 2, 2_500), Ok(vec![2, 1]));
        assert_eq!((room(3, 9), keep(&service, 3, 2_101)), (2_100, Err(quota(4_900))));
        assert_eq!(keep(&service, 3, 2_100), Ok(vec![3, 2]));
        // What is here, or late, changes nothing, and needs no room.
        for (n, bytes) in [(3, 2_100), (2, 2_500), (1, 4_999)] {
            let digest = BlobDigest::of(&vec![n; bytes]);
            assert_eq!(service.snapshot_room(LOG, trn(n), digest), Ok(SnapshotRoom::Any));
            assert_eq!(keep(&service, n, bytes), Ok(vec![3, 2]));
        }
        let nowhere = service.snapshot_room(LOG, trn(9), BlobDigest::of(b"")).unwrap();
        assert_eq!(nowhere, SnapshotRoom::UnknownTransaction(service.info(LOG).unwrap()));
        assert_eq!(used(&service), 5_000);
    }
}

#[test]
fn snapshots_that_arrive_at_the_same_time_are_weighed_together() {
    for service in services(5_000).0 {
        let begun: Vec<(Life, SnapshotId, Snapshot)> = [(3, 3_000), (4, 3_000), (1, 100), (2, 100)]
            .map(|(n, bytes)| {
                let (digest, service) = (BlobDigest::of(&vec![n; bytes]).0, service.clone());
                let begun = service.clone().write(move |txn| begin(txn, &service, LOG, trn(n), digest, bytes as u64));
                match begun.wait().unwrap() {
                    Begun::Arriving(life, id, snapshot) => (life, id, snapshot),
                    Begun::Ended(outcome) => panic!("{outcome:?}"),
                }
            })
            .to_vec();
        let end = |at: usize| {
            let (life, id, snapshot) = begun[at];
            match service.end_snapshot(LOG, life, id, snapshot).wait().unwrap() {
                SnapshotOutcome::Done(kept) => Ok(kept.snapshots.iter().map(|kept| kept.seq.0).collect::<Vec<_>>()),
                other => Err(other),
            }
        };
        assert_eq!(end(0), Ok(vec![3]));
        assert!(matches!(end(1), Err(SnapshotOutcome::Quota(_, Quota { used: 3_400, .. }))));
        assert_eq!(end(2), Ok(vec![3, 1]));
        assert_eq!(end(3), Ok(vec![3, 2]));
        assert_eq!(used(&service), 3_500);
    }
}

#[test]
fn one_that_arrives_behind_newer_ones_is_let_go() {
    for service in services(50_000).0 {
        let digest = BlobDigest::of(b"late").0;
        let rules = service.clone();
        let begun = service.write(move |txn| begin(txn, &rules, LOG, trn(1), digest, 4)).wait().unwrap();
        let Begun::Arriving(life, id, snapshot) = begun else { panic!("it is not taken") };
        for n in [3, 4] {
            keep(&service, n, 10).unwrap();
        }
        let ended = service.end_snapshot(LOG, life, id, snapshot).wait().unwrap();
        let SnapshotOutcome::Done(kept) = ended else { panic!("{ended:?}") };
        assert_eq!(kept.snapshots.iter().map(|kept| kept.seq.0).collect::<Vec<_>>(), [4, 3]);
        assert_eq!(used(&service), 420);
    }
}
