//! Replicas of TaskChampion's own crate, which Taskwarrior 3 is built on, share tasks through a hub.

use std::collections::BTreeMap;

use taskchampion::storage::inmemory::InMemoryStorage;
use taskchampion::{Operations, Replica, Server, ServerConfig, Status, Uuid};
use tempfile::TempDir;
use tolstoy_env::Env;
use tolstoy_hub::auth::{Logs, NewToken, Rights, TokenFile};
use tolstoy_hub::service::{Policy, VersionThreshold};
use tolstoy_hub::{Hub, HubHandle, Options};
use tolstoy_proto::taskchampion::ClientId;

const CLIENT: Uuid = Uuid::from_u128(0xea82_d570_3d7e_494a_a581_babe_65dc_7b3b);

/// A hub on a free port.
async fn hub(room: &TempDir, options: Options) -> HubHandle {
    let hub = Hub::open(room.path(), Env::system(), options).unwrap();
    HubHandle::start(hub, "127.0.0.1:0".parse().unwrap()).await.unwrap()
}

/// Low after so many versions.
fn snapshots_after(versions: u64) -> Options {
    let policy = Policy { snapshot_versions: VersionThreshold { versions, days: 14 }, ..Policy::default() };
    Options { policy, ..Options::default() }
}

struct Device {
    replica: Replica<InMemoryStorage>,
    server: Box<dyn Server>,
}

impl Device {
    async fn of(hub: &HubHandle) -> Self {
        Self { replica: Replica::new(InMemoryStorage::new()), server: server(hub, CLIENT).await }
    }

    async fn sync(&mut self) -> Result<(), taskchampion::Error> {
        self.replica.sync(&mut self.server, false).await
    }

    async fn add(&mut self, id: u128, description: &str) {
        let mut operations = Operations::new();
        let mut task = self.replica.create_task(Uuid::from_u128(id), &mut operations).await.unwrap();
        task.set_description(description.to_owned(), &mut operations).unwrap();
        task.set_status(Status::Pending, &mut operations).unwrap();
        self.replica.commit_operations(operations).await.unwrap();
    }

    async fn describe(&mut self, id: u128, description: &str) {
        let mut operations = Operations::new();
        let mut task = self.replica.get_task(Uuid::from_u128(id)).await.unwrap().unwrap();
        task.set_description(description.to_owned(), &mut operations).unwrap();
        self.replica.commit_operations(operations).await.unwrap();
    }

    async fn tasks(&mut self) -> BTreeMap<u128, String> {
        let all = self.replica.all_tasks().await.unwrap();
        all.into_iter().map(|(id, task)| (id.as_u128(), task.get_description().to_owned())).collect()
    }
}

async fn server(hub: &HubHandle, client_id: Uuid) -> Box<dyn Server> {
    let config = ServerConfig::Remote { url: hub.url(), client_id, encryption_secret: b"secret".to_vec() };
    config.into_server().await.unwrap()
}

fn told(tasks: &[(u128, &str)]) -> BTreeMap<u128, String> {
    tasks.iter().map(|(id, description)| (*id, (*description).to_owned())).collect()
}

#[tokio::test]
async fn replicas_share_their_tasks() {
    let room = TempDir::new().unwrap();
    let hub = hub(&room, Options::default()).await;
    let (mut laptop, mut phone) = (Device::of(&hub).await, Device::of(&hub).await);
    laptop.add(1, "buy milk").await;
    laptop.sync().await.unwrap();
    phone.add(2, "call Vera").await;
    phone.sync().await.unwrap();
    laptop.sync().await.unwrap();
    let both = told(&[(1, "buy milk"), (2, "call Vera")]);
    assert_eq!((laptop.tasks().await, phone.tasks().await), (both.clone(), both));
    // Other tasks, of another client.
    let mut other =
        Device { replica: Replica::new(InMemoryStorage::new()), server: server(&hub, Uuid::from_u128(7)).await };
    other.sync().await.unwrap();
    assert_eq!(other.tasks().await, told(&[]));
}

#[tokio::test]
async fn conflicts_are_merged_by_the_replicas() {
    let room = TempDir::new().unwrap();
    let hub = hub(&room, Options::default()).await;
    let mut devices = [Device::of(&hub).await, Device::of(&hub).await, Device::of(&hub).await];
    devices[0].add(1, "first").await;
    for device in &mut devices {
        device.sync().await.unwrap();
    }
    for round in 0..5_u128 {
        for (n, device) in (0_u128..).zip(&mut devices) {
            device.describe(1, &format!("round {round}, device {n}")).await;
            device.add(100 + round * 10 + n, &format!("{round} {n}")).await;
        }
        // Each but the first meets what it does not know.
        for device in &mut devices {
            device.sync().await.unwrap();
        }
    }
    for device in &mut devices {
        device.sync().await.unwrap();
    }
    let [one, two, three] = &mut devices;
    let tasks = one.tasks().await;
    assert_eq!(tasks.len(), 16);
    assert!(tasks[&1].starts_with("round 4"), "{tasks:?}");
    assert_eq!((two.tasks().await, three.tasks().await), (tasks.clone(), tasks));
}

#[tokio::test]
async fn a_new_replica_begins_with_a_snapshot() {
    let room = TempDir::new().unwrap();
    let hub = hub(&room, snapshots_after(3)).await;
    let mut laptop = Device::of(&hub).await;
    for n in 0..5 {
        laptop.add(n, &format!("task {n}")).await;
        laptop.sync().await.unwrap();
    }
    let tasks = laptop.tasks().await;
    let (version, _) = server(&hub, CLIENT).await.get_snapshot().await.unwrap().expect("the hub asked for a snapshot");
    assert_ne!(version, Uuid::nil());
    let mut phone = Device::of(&hub).await;
    phone.sync().await.unwrap();
    assert_eq!(phone.tasks().await, tasks);
}

#[tokio::test]
async fn a_replica_moves_to_another_hub_with_what_it_knows() {
    let (old_room, new_room) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let old = hub(&old_room, Options::default()).await;
    let mut laptop = Device::of(&old).await;
    laptop.add(1, "old").await;
    laptop.sync().await.unwrap();
    // The new hub has no versions: the first one there has a parent that it does not know.
    let new = hub(&new_room, Options::default()).await;
    laptop.server = server(&new, CLIENT).await;
    laptop.add(2, "new").await;
    laptop.sync().await.unwrap();
    // It asked for a snapshot at once, so that others can begin there.
    let mut phone = Device::of(&new).await;
    phone.sync().await.unwrap();
    assert_eq!(phone.tasks().await, told(&[(1, "old"), (2, "new")]));
    phone.add(3, "from the phone").await;
    phone.sync().await.unwrap();
    // A replica that is not empty asks for no snapshot, and for what lies below the base: that is gone.
    let mut late = Device::of(&new).await;
    late.add(4, "too early").await;
    assert!(format!("{:?}", late.sync().await.unwrap_err()).contains("410"));
    laptop.sync().await.unwrap();
    let all = told(&[(1, "old"), (2, "new"), (3, "from the phone")]);
    assert_eq!((laptop.tasks().await, phone.tasks().await), (all.clone(), all));
}

#[tokio::test]
async fn long_histories_go_through() {
    let room = TempDir::new().unwrap();
    let hub = hub(&room, Options::default()).await;
    let mut laptop = Device::of(&hub).await;
    // Versions of up to a million bytes each, which a hub keeps in several chunks.
    let long = |n: u128| (0..400_000_u128).map(|at| char::from(b'a' + ((at * at + n) % 23) as u8)).collect::<String>();
    for n in 0..4 {
        laptop.add(n, &long(n)).await;
    }
    laptop.sync().await.unwrap();
    let mut phone = Device::of(&hub).await;
    phone.sync().await.unwrap();
    assert_eq!(phone.tasks().await, laptop.tasks().await);
}

#[tokio::test]
async fn replicas_go_on_after_a_restart_of_the_hub() {
    let room = TempDir::new().unwrap();
    let first = hub(&room, Options::default()).await;
    let mut laptop = Device::of(&first).await;
    laptop.add(1, "before").await;
    laptop.sync().await.unwrap();
    first.stop().await.unwrap();
    laptop.add(2, "meanwhile").await;
    assert!(laptop.sync().await.is_err(), "there is no hub");
    let second = hub(&room, Options::default()).await;
    laptop.server = server(&second, CLIENT).await;
    laptop.sync().await.unwrap();
    let mut phone = Device::of(&second).await;
    phone.sync().await.unwrap();
    assert_eq!(phone.tasks().await, told(&[(1, "before"), (2, "meanwhile")]));
}

#[tokio::test]
async fn a_closed_hub_knows_its_clients() {
    let room = TempDir::new().unwrap();
    let known = ClientId::new(CLIENT);
    let new = NewToken { name: Some("laptop".into()), rights: Rights::READ_WRITE, logs: Logs::All, expires: None };
    let token = TokenFile::of(room.path()).create_client(known, new, &Env::system()).unwrap();
    let hub = hub(&room, Options::default()).await;
    let mut laptop = Device::of(&hub).await;
    laptop.add(1, "mine").await;
    laptop.sync().await.unwrap();
    let mut stranger =
        Device { replica: Replica::new(InMemoryStorage::new()), server: server(&hub, Uuid::from_u128(7)).await };
    stranger.add(2, "not mine").await;
    let refused = stranger.sync().await.unwrap_err();
    assert!(format!("{refused:?}").contains("403"), "{refused:?}");
    TokenFile::of(room.path()).revoke(&token.id).unwrap();
    hub.reloader().reload().unwrap();
    laptop.add(3, "late").await;
    let refused = laptop.sync().await.unwrap_err();
    assert!(format!("{refused:?}").contains("403"), "{refused:?}");
}

#[tokio::test]
async fn nothing_is_lost_where_many_sync_at_once() {
    let room = TempDir::new().unwrap();
    let hub = hub(&room, snapshots_after(5)).await;
    let local = tokio::task::LocalSet::new();
    let all = local
        .run_until(async {
            let mut writers = Vec::new();
            for writer in 0..4_u128 {
                let mut device = Device::of(&hub).await;
                writers.push(tokio::task::spawn_local(async move {
                    for n in 0..6 {
                        device.add(writer * 100 + n, &format!("{writer} {n}")).await;
                        // Two conflicts with one answer look like another history: the replica tries again.
                        while device.sync().await.is_err() {
                            tokio::task::yield_now().await;
                        }
                    }
                    device
                }));
            }
            let mut devices = Vec::new();
            for writer in writers {
                devices.push(writer.await.unwrap());
            }
            let mut all = Vec::new();
            for device in &mut devices {
                device.sync().await.unwrap();
                all.push(device.tasks().await);
            }
            all
        })
        .await;
    assert_eq!(all[0].len(), 24);
    assert!(all.iter().all(|tasks| *tasks == all[0]));
}
