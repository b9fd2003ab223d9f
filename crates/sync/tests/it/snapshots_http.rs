//! Cold start over HTTP, with the real hub.

use std::sync::Arc;

use tolstoy_env::Env;
use tolstoy_hub::service::{Policy, Threshold};
use tolstoy_hub::{Hub, HubHandle};
use tolstoy_proto::LogId;
use tolstoy_store::Store;
use tolstoy_sync::{HttpTransport, Offered, Options, Outcome, Remote, SyncReport};
use uuid::Uuid;

const PEOPLE: u64 = 60;
const LETTERS: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// A hub in a folder that wants a snapshot after so many transactions.
async fn hub(dir: &std::path::Path, transactions: u64, limit: u64) -> HubHandle {
    let wanted = Threshold { bytes: u64::MAX, transactions };
    let policy = Policy { snapshot_low: wanted, snapshot_high: wanted, snapshot_limit: limit, ..Policy::default() };
    let options = tolstoy_hub::Options { policy, ..tolstoy_hub::Options::default() };
    let hub = Hub::open(dir, Env::system(), options).unwrap();
    HubHandle::start(hub, "127.0.0.1:0".parse().unwrap()).await.unwrap()
}

async fn sync(store: &mut Store, hub: &HubHandle, dir: &std::path::Path) -> SyncReport {
    let remote = Remote { url: hub.url(), log: LogId(Uuid::from_u128(3)) };
    let mut options = Options::new(Env::system(), Arc::new(|pause| Box::pin(tokio::time::sleep(pause))));
    options.spool_dir = Some(dir.to_owned());
    tolstoy_sync::sync(store, &mut HttpTransport::new(remote).unwrap(), &options).await.unwrap()
}

/// A store with people whose texts do not compress, so that a snapshot has many pieces.
fn people() -> Store {
    let mut store = Store::in_memory(Env::system()).unwrap();
    store.transact_str(super::SCHEMA).unwrap();
    let mut state = 7_u64;
    for n in 1..PEOPLE {
        let text: String = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(LETTERS[(state >> 33) as usize % LETTERS.len()])
        })
        .take(200_000)
        .collect();
        store.transact_str(&format!(r#"[{{:name "p{n}" :text "{text}"}}]"#)).unwrap();
    }
    store
}

#[tokio::test]
async fn a_new_device_begins_with_a_snapshot_of_many_pieces() {
    let dir = tempfile::tempdir().unwrap();
    let hub = hub(&dir.path().join("hub"), PEOPLE, 1 << 30).await;
    let mut one = people();
    let report = sync(&mut one, &hub, dir.path()).await;
    let Some(Offered::Kept { transactions, bytes }) = report.snapshot_offered else { panic!("{report:?}") };
    assert_eq!(transactions, PEOPLE);
    assert!(bytes > 5 << 20, "{bytes} bytes fit into memory, and no file was used");
    one.transact_str(r#"[{:name "last"}]"#).unwrap();
    sync(&mut one, &hub, dir.path()).await;

    let mut cold = Store::in_memory(Env::system()).unwrap();
    let report = sync(&mut cold, &hub, dir.path()).await;
    assert_eq!((report.round_trips, report.passes[0].outcome), (1, Outcome::LocalFastForward));
    assert_eq!((report.passes[0].from_snapshot, report.passes[0].received), (PEOPLE, PEOPLE + 1));
    assert_eq!(cold.facts_digest().unwrap(), one.facts_digest().unwrap());
    assert_eq!(cold.position(cold.basis()).unwrap(), one.position(one.basis()).unwrap());
    hub.stop().await.unwrap();
}

#[tokio::test]
async fn a_hub_that_does_not_take_the_snapshot_is_synced_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let hub = hub(&dir.path().join("hub"), PEOPLE, 1_000).await;
    let mut one = people();
    let report = sync(&mut one, &hub, dir.path()).await;
    assert!(matches!(report.snapshot_offered, Some(Offered::Failed(_))), "{report:?}");
    // It is not made again with each push.
    one.transact_str(r#"[{:name "last"}]"#).unwrap();
    assert_eq!(sync(&mut one, &hub, dir.path()).await.snapshot_offered, None);
    assert_eq!(one.last_positioned().unwrap(), Some(one.basis()));
    let mut cold = Store::in_memory(Env::system()).unwrap();
    assert_eq!(sync(&mut cold, &hub, dir.path()).await.passes[0].received, PEOPLE + 1);
    hub.stop().await.unwrap();
}
