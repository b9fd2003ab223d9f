use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tempfile::TempDir;
use tolstoy_env::{Clock, Counting};
use tolstoy_proto::QuotaKind;

use super::*;
use crate::service::{Policy, SegmentUpload, SnapshotOutcome, SnapshotUpload};
use crate::storage::{Finding, Listener, MemoryStorage, PIECE, SqliteOptions, SqliteStorage, Storage, fsck};

/// A time that a test sets, in days.
#[derive(Default)]
struct Days(AtomicI64);

impl Clock for Days {
    fn now(&self) -> Instant {
        Instant::from_micros(self.0.load(Ordering::Relaxed) * MICROS_OF_A_DAY)
    }
}

/// Hears of nothing.
struct Nothing;

impl Listener for Nothing {
    fn found(&mut self, finding: Finding) {
        panic!("{finding:?}");
    }

    fn done(&mut self, _: u64, _: u64) {}
}

struct Hub {
    service: Service,
    days: Arc<Days>,
    directory: Option<TempDir>,
}

/// Services over both storages.
fn hubs(policy: Policy) -> Vec<Hub> {
    let directory = TempDir::new().unwrap();
    let sqlite = SqliteStorage::open(directory.path(), &SqliteOptions::default()).unwrap();
    let storages: [(Arc<dyn Storage>, Option<TempDir>); 2] =
        [(Arc::new(MemoryStorage::new()), None), (Arc::new(sqlite), Some(directory))];
    let hubs = storages.into_iter().map(|(storage, directory)| {
        let days = Arc::new(Days::default());
        let env = Env::new(days.clone(), Arc::new(Counting::from(1)));
        Hub { service: Service::new(storage, env).with_policy(policy), days, directory }
    });
    hubs.collect()
}

fn client() -> ClientId {
    ClientId::new(Uuid::from_u128(0xc11e))
}

fn segment(text: &str) -> Segment {
    Segment::short(Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

fn base() -> TrnId {
    TrnId(Uuid::from_u128(0xba5e))
}

impl Hub {
    fn add(&self, parent: TrnId, text: &str) -> (TrnId, Option<Urgency>) {
        match self.service.add_version(client(), parent, segment(text)).wait().unwrap() {
            AddVersion::Added(id, wanted) => (id, wanted),
            refused => panic!("{refused:?}"),
        }
    }

    fn child(&self, parent: TrnId) -> ChildVersion {
        self.service.child_version(client(), parent).unwrap()
    }

    fn snapshot(&self, version: TrnId, bytes: &[u8]) {
        let mut upload = SnapshotUpload::new(None).unwrap();
        upload.take(bytes).unwrap();
        let kept = self.service.keep_snapshot(client().log(), version, upload).unwrap();
        assert!(matches!(kept, SnapshotOutcome::Done(_)));
    }

    /// Nothing is wrong with the file.
    fn check(self) {
        if let Some(directory) = self.directory {
            drop(self.service);
            fsck(directory.path(), &mut Nothing).unwrap();
        }
    }
}

fn found(id: TrnId, parent: TrnId, text: &str) -> ChildVersion {
    let segment = VersionBytes::Whole(Bytes::copy_from_slice(text.as_bytes()));
    ChildVersion::Found(Version { id, parent, segment })
}

#[test]
fn versions_are_one_chain() {
    for hub in hubs(Policy::default()) {
        assert_eq!(hub.child(TrnId::ROOT), ChildVersion::None);
        assert_eq!(hub.child(base()), ChildVersion::None);
        let (one, _) = hub.add(TrnId::ROOT, "one");
        let (two, _) = hub.add(one, "two");
        assert!(one != two && one.0.get_version_num() == 7);
        for stale in [TrnId::ROOT, one, base()] {
            let refused = hub.service.add_version(client(), stale, segment("late")).wait().unwrap();
            assert_eq!(refused, AddVersion::Conflict(two));
        }
        assert_eq!(hub.child(TrnId::ROOT), found(one, TrnId::ROOT, "one"));
        assert_eq!(hub.child(one), found(two, one, "two"));
        assert_eq!(hub.child(two), ChildVersion::None);
        assert_eq!(hub.child(base()), ChildVersion::Gone);
        let other = ClientId::new(Uuid::from_u128(7));
        assert_eq!(hub.service.child_version(other, TrnId::ROOT).unwrap(), ChildVersion::None);
        hub.check();
    }
}

#[test]
fn a_log_may_begin_above_a_base() {
    for hub in hubs(Policy::default()) {
        let (one, wanted) = hub.add(base(), "one");
        assert_eq!(wanted, Some(Urgency::High), "nobody new can begin without a snapshot");
        let (two, wanted) = hub.add(one, "two");
        assert_eq!(wanted, None);
        assert_eq!(hub.child(base()), found(one, base(), "one"));
        assert_eq!(hub.child(one), found(two, one, "two"));
        assert_eq!(hub.child(TrnId::ROOT), ChildVersion::Gone);
        // The base is no version: nobody knows what it stands for.
        assert_eq!(hub.service.snapshot_place(client(), base()), Ok(SnapshotPlace::Nowhere));
        let refused = hub.service.add_version(client(), base(), segment("late")).wait().unwrap();
        assert_eq!(refused, AddVersion::Conflict(two));
        hub.check();
    }
}

#[test]
fn a_deleted_log_begins_anew() {
    for hub in hubs(Policy::default()) {
        let (one, _) = hub.add(TrnId::ROOT, "one");
        hub.service.delete(client().log()).wait().unwrap();
        assert_eq!(hub.child(one), ChildVersion::None);
        let (again, _) = hub.add(one, "two");
        assert_eq!(hub.child(one), found(again, one, "two"));
        assert_eq!(hub.service.info(client().log()).unwrap().generation.unwrap().number, 2);
        hub.check();
    }
}

#[test]
fn a_long_version_is_many_chunks() {
    for hub in hubs(Policy::default()) {
        let bytes: Vec<u8> = (0..3 * PIECE + 5).map(|n| (n / 1000) as u8).collect();
        let mut upload = SegmentUpload::new(None).unwrap();
        upload.take(&bytes).unwrap();
        let added = hub.service.add_version(client(), TrnId::ROOT, upload.finish().unwrap()).wait().unwrap();
        let AddVersion::Added(id, _) = added else { panic!("{added:?}") };
        let ChildVersion::Found(version) = hub.child(TrnId::ROOT) else { panic!("no version") };
        let VersionBytes::Chunks(chunks, length) = version.segment else { panic!("not in chunks") };
        assert_eq!((version.id, chunks.len(), length), (id, 4, bytes.len() as u64));
        let read = chunks.iter().map(|chunk| hub.service.v0_chunk(client().log(), chunk).unwrap().unwrap());
        assert_eq!(read.collect::<Vec<_>>().concat(), bytes);
        hub.check();
    }
}

#[test]
fn a_snapshot_is_wanted_after_versions_and_more_after_half_as_many_again() {
    for hub in hubs(Policy::default()) {
        let (mut parent, mut asked) = (TrnId::ROOT, Vec::new());
        for n in 1..=260 {
            let (id, wanted) = hub.add(parent, "version");
            parent = id;
            asked.push(wanted);
            if n == 155 {
                hub.snapshot(id, b"snapshot");
            }
        }
        let expected = (1..=260).map(|n| match if n > 155 { n - 155 } else { n } {
            150.. => Some(Urgency::High),
            100.. => Some(Urgency::Low),
            _ => None,
        });
        assert_eq!(asked, expected.collect::<Vec<_>>());
    }
}

#[test]
fn a_snapshot_is_wanted_after_days_of_the_log_and_of_the_snapshot() {
    for hub in hubs(Policy::default()) {
        hub.days.0.store(20_000, Ordering::Relaxed);
        let (one, wanted) = hub.add(TrnId::ROOT, "one");
        assert_eq!(wanted, None);
        let mut parent = one;
        let mut after = |days: i64| {
            hub.days.0.store(20_000 + days, Ordering::Relaxed);
            let (id, wanted) = hub.add(parent, "more");
            parent = id;
            (id, wanted)
        };
        assert_eq!(after(13).1, None);
        assert_eq!(after(14).1, Some(Urgency::Low));
        assert_eq!(after(20).1, Some(Urgency::Low));
        let (id, wanted) = after(21);
        assert_eq!(wanted, Some(Urgency::High));
        hub.snapshot(id, b"snapshot");
        assert_eq!(after(34).1, None);
        assert_eq!(after(35).1, Some(Urgency::Low));
        assert_eq!(after(42).1, Some(Urgency::High));
        assert_eq!(after(1).1, None, "a clock that was set back");
    }
}

#[test]
fn a_quota_holds() {
    for hub in hubs(Policy { quota_transactions: Some(2), ..Policy::default() }) {
        let (one, _) = hub.add(base(), "one");
        let refused = hub.service.add_version(client(), one, segment("two")).wait().unwrap();
        assert_eq!(refused, AddVersion::Quota(Quota { of: QuotaKind::Transactions, limit: 2, used: 2 }));
        assert_eq!(hub.child(one), ChildVersion::None);
    }
    for hub in hubs(Policy { quota_bytes: Some(300), ..Policy::default() }) {
        let (one, _) = hub.add(TrnId::ROOT, "one");
        let refused = hub.service.add_version(client(), one, segment(&"x".repeat(200))).wait().unwrap();
        assert_eq!(refused, AddVersion::Quota(Quota { of: QuotaKind::Bytes, limit: 300, used: 167 }));
    }
}

#[test]
fn a_snapshot_has_its_place() {
    for hub in hubs(Policy::default()) {
        let place = |version| hub.service.snapshot_place(client(), version).unwrap();
        assert_eq!(place(TrnId::ROOT), SnapshotPlace::Nowhere);
        let (one, _) = hub.add(TrnId::ROOT, "one");
        let (two, _) = hub.add(one, "two");
        assert_eq!(
            (place(one), place(two)),
            (SnapshotPlace::Wanted(SnapshotRoom::Any), SnapshotPlace::Wanted(SnapshotRoom::Any))
        );
        assert_eq!((place(TrnId::ROOT), place(base())), (SnapshotPlace::Nowhere, SnapshotPlace::Nowhere));
        assert_eq!(hub.service.newest_snapshot(client()).unwrap(), None);
        hub.snapshot(one, b"first");
        assert_eq!((place(one), place(two)), (SnapshotPlace::Late, SnapshotPlace::Wanted(SnapshotRoom::Any)));
        hub.snapshot(two, b"second");
        assert_eq!((place(one), place(two)), (SnapshotPlace::Late, SnapshotPlace::Late));
        let (id, told) = hub.service.newest_snapshot(client()).unwrap().unwrap();
        assert_eq!((told.id, told.bytes), (two, 6));
        assert_eq!(hub.service.piece(id, 0).unwrap().unwrap(), &b"second"[..]);
    }
}
