//! Tasks of ours and those of TaskChampion's own replicas, which Taskwarrior 3 is built on, are brought in step through a hub.

use std::collections::{BTreeMap, BTreeSet};

use taskchampion::storage::inmemory::InMemoryStorage;
use taskchampion::{Operations, Replica, Server, ServerConfig, Status, Tag, Task, Uuid};
use tempfile::TempDir;
use tolstoy_env::Env;
use tolstoy_hub::service::{Policy, VersionThreshold};
use tolstoy_hub::{Hub, HubHandle, Options};
use tolstoy_proto::taskchampion::ClientId;
use tolstoy_sync::{Access, EncryptionSecret, TaskChampionDriver, TaskChampionError};
use tolstoy_tasks::driver::{Answer, Driver, DriverErrorKind, Memory, Offer};
use tolstoy_tasks::json::Json;
use tolstoy_tasks::taskwarrior::{id_of, uuid_of};
use tolstoy_tasks::{Author, Document, Report, TaskId, reconcile};

const CLIENT: Uuid = Uuid::from_u128(0xea82_d570_3d7e_494a_a581_babe_65dc_7b3b);
const MILK: Uuid = Uuid::from_u128(0x296d_835e_8f85_4224_8f36_c612_cad1_b9f8);
const MONEY: Uuid = Uuid::from_u128(0x8c4f_ed9c_c0d2_40c2_936d_36fc_44e0_84a0);

/// A hub on a free port, that asks for a snapshot after so many versions.
async fn hub(room: &TempDir, versions: u64) -> HubHandle {
    let policy = Policy { snapshot_versions: VersionThreshold { versions, days: 14 }, ..Policy::default() };
    let hub = Hub::open(room.path(), Env::system(), Options { policy, ..Options::default() }).unwrap();
    HubHandle::start(hub, "127.0.0.1:0".parse().unwrap()).await.unwrap()
}

/// Somebody with Taskwarrior.
struct Theirs {
    replica: Replica<InMemoryStorage>,
    server: Box<dyn Server>,
}

impl Theirs {
    async fn with(hub: &HubHandle, secret: &str) -> Self {
        let encryption_secret = secret.as_bytes().to_vec();
        let config = ServerConfig::Remote { url: hub.url(), client_id: CLIENT, encryption_secret };
        Self { replica: Replica::new(InMemoryStorage::new()), server: config.into_server().await.unwrap() }
    }

    async fn of(hub: &HubHandle) -> Self {
        Self::with(hub, "secret").await
    }

    async fn sync(&mut self) {
        self.replica.sync(&mut self.server, false).await.unwrap();
    }

    async fn add(&mut self, id: Uuid, description: &str) {
        let mut operations = Operations::new();
        let mut task = self.replica.create_task(id, &mut operations).await.unwrap();
        task.set_status(Status::Pending, &mut operations).unwrap();
        task.set_description(description.to_owned(), &mut operations).unwrap();
        self.replica.commit_operations(operations).await.unwrap();
    }

    async fn edit(&mut self, id: Uuid, edit: impl FnOnce(&mut Task, &mut Operations)) {
        let (mut operations, mut task) = (Operations::new(), self.task(id).await);
        edit(&mut task, &mut operations);
        self.replica.commit_operations(operations).await.unwrap();
    }

    async fn set(&mut self, id: Uuid, property: &str, value: Option<&str>) {
        let value = value.map(str::to_owned);
        self.edit(id, |task, operations| task.set_value(property, value, operations).unwrap()).await;
    }

    async fn task(&mut self, id: Uuid) -> Task {
        self.replica.get_task(id).await.unwrap().unwrap_or_else(|| panic!("{id} is not there"))
    }

    /// All there is, as it is stored.
    async fn all(&mut self) -> BTreeMap<Uuid, BTreeMap<String, String>> {
        let all = self.replica.all_task_data().await.unwrap();
        let map = |task: &taskchampion::TaskData| task.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        all.iter().map(|(id, task)| (*id, map(task))).collect()
    }
}

/// Somebody with Tolstoy.
struct Ours {
    tasks: Memory,
    name: &'static str,
    url: String,
    driver: TaskChampionDriver,
}

fn driver(url: &str, secret: &str) -> TaskChampionDriver {
    let secret = EncryptionSecret::new(secret).unwrap();
    TaskChampionDriver::new(url.to_owned(), ClientId::new(CLIENT), &secret, &Access::default(), Env::system()).unwrap()
}

impl Ours {
    fn of(hub: &HubHandle, name: &'static str) -> Self {
        Self { tasks: Memory::default(), name, url: hub.url(), driver: driver(&hub.url(), "secret") }
    }

    fn author(&self) -> Author {
        Author { device: self.name.parse().unwrap(), now: Env::system().now() }
    }

    fn sync(&mut self) -> Report {
        let report = reconcile(&mut self.tasks, &mut self.driver).unwrap();
        assert!(report.in_step && report.refused.is_empty(), "{report:?}");
        assert!(report.troubles.values().all(Vec::is_empty), "{report:?}");
        report
    }

    /// The next sync is by a program that was started anew.
    fn restart(&mut self) {
        self.driver = driver(&self.url, "secret");
    }

    fn document(&mut self, id: TaskId) -> Document {
        match self.tasks.exchange(&[Offer::nothing(id)]).unwrap().answers.pop() {
            Some(Answer::Stands(Some(document))) => document,
            other => panic!("{id}: {other:?}"),
        }
    }

    fn edit(&mut self, id: TaskId, edit: impl FnOnce(&mut Document, &Author)) {
        let known = self.tasks.hashes().unwrap().tasks.contains_key(&id);
        let mut document = if known { self.document(id) } else { Document::new(id) };
        edit(&mut document, &self.author());
        self.tasks.exchange(&[Offer::of(document)]).unwrap();
    }

    fn set(&mut self, id: TaskId, property: &str, value: Option<&str>) {
        self.edit(id, |document, author| document.set(author, property, value.map(Json::from)).unwrap());
    }
}

fn text(document: &Document, property: &str) -> Option<String> {
    document.get(property).and_then(Json::as_str).map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_share_tasks_each_with_their_own_program() {
    let room = TempDir::new().unwrap();
    let hub = hub(&room, 100).await;
    let (mut vera, mut ivan) = (Theirs::of(&hub).await, Ours::of(&hub, "ivan"));

    vera.add(MONEY, "Get money").await;
    vera.add(MILK, "Buy milk").await;
    vera.edit(MILK, |task, operations| {
        task.add_tag(&"home".parse::<Tag>().unwrap(), operations).unwrap();
        task.add_dependency(MONEY, operations).unwrap();
        task.set_value("due", Some("1795651200".to_owned()), operations).unwrap();
        task.set_value("project", Some("Home".to_owned()), operations).unwrap();
        task.set_value("annotation_1793606700", Some("the oat one".to_owned()), operations).unwrap();
    })
    .await;
    vera.sync().await;
    assert_eq!(ivan.sync().came.len(), 2);
    let milk = ivan.document(id_of(MILK));
    assert_eq!(text(&milk, "description").as_deref(), Some("Buy milk"));
    assert_eq!(text(&milk, "due").as_deref(), Some("2026-11-26T00:00:00Z"));
    assert_eq!(text(&milk, "project").as_deref(), Some("Home"));
    assert_eq!(milk.tags().collect::<Vec<_>>(), ["home"]);
    assert_eq!(milk.get("blocked_by"), Some(&Json::Array(vec![Json::from(id_of(MONEY).as_str())])));

    // Ivan changes one of hers, and makes one of his own.
    let his = TaskId::mint(&Env::system()).unwrap();
    ivan.set(id_of(MILK), "description", Some("Buy oat milk"));
    ivan.edit(id_of(MILK), |document, author| document.tag(author, "shop", true).unwrap());
    ivan.set(his, "description", Some("Call Vera"));
    ivan.set(his, "snooze", Some("2026-11-30T00:00:00Z"));
    ivan.sync();
    vera.sync().await;
    let milk = vera.task(MILK).await;
    assert_eq!(milk.get_description(), "Buy oat milk");
    assert!(milk.has_tag(&"shop".parse().unwrap()) && milk.has_tag(&"home".parse().unwrap()));
    assert_eq!(milk.get_dependencies().collect::<Vec<_>>(), [MONEY]);
    assert_eq!(milk.get_annotations().map(|note| note.description).collect::<Vec<_>>(), ["the oat one"]);
    let call = vera.task(uuid_of(his)).await;
    assert_eq!((call.get_description(), call.get_status()), ("Call Vera", Status::Pending));
    assert_eq!(call.get_value("tolstoy_snooze"), Some("2026-11-30T00:00:00Z"));

    // One that no clock has seen, from another program.
    let plain = Document::parse(r#"{"id":"pb67wndxge8293xd","description":"Plain","done":true}"#).unwrap();
    ivan.tasks.exchange(&[Offer::of(plain.clone())]).unwrap();
    ivan.sync();
    vera.sync().await;
    let there = vera.task(uuid_of(plain.id())).await;
    assert_eq!((there.get_description(), there.get_status()), ("Plain", Status::Completed));
    assert_eq!(ivan.document(plain.id()), plain);

    // Vera gets it done, takes a tag and the project away, and deletes the other.
    vera.edit(MILK, |task, operations| {
        task.done(operations).unwrap();
        task.remove_tag(&"shop".parse().unwrap(), operations).unwrap();
        task.set_value("project", None, operations).unwrap();
    })
    .await;
    vera.edit(MONEY, |task, operations| task.set_status(Status::Deleted, operations).unwrap()).await;
    vera.sync().await;
    ivan.restart();
    ivan.sync();
    let milk = ivan.document(id_of(MILK));
    assert!(milk.task().is_done() && milk.get("project").is_none());
    assert_eq!((milk.tags().collect::<Vec<_>>(), milk.journal()), (vec!["home"], vec![]));
    assert!(ivan.document(id_of(MONEY)).get("deleted").is_some());

    // Ivan takes that back.
    ivan.set(id_of(MILK), "done", None);
    ivan.sync();
    vera.sync().await;
    assert_eq!(vera.task(MILK).await.get_status(), Status::Pending);

    // Nothing is left to do, for anybody.
    let before = vera.all().await;
    for _ in 0..2 {
        ivan.restart();
        let report = ivan.sync();
        assert!(report.came.is_empty() && report.went.is_empty(), "{report:?}");
        vera.sync().await;
    }
    assert_eq!(vera.all().await, before);
}

/// Who does something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Vera,
    Ivan,
    Olga,
}

/// All orders of syncs, of three people twice each.
fn orders() -> BTreeSet<Vec<usize>> {
    fn extend(order: &[usize], left: [usize; 3], all: &mut BTreeSet<Vec<usize>>) {
        if left == [0, 0, 0] {
            all.insert(order.to_vec());
        }
        for who in 0..3 {
            if left[who] > 0 {
                let (mut order, mut left) = (order.to_vec(), left);
                order.push(who);
                left[who] -= 1;
                extend(&order, left, all);
            }
        }
    }
    let mut all = BTreeSet::new();
    extend(&[], [2, 2, 2], &mut all);
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_apart_meet_in_every_order() {
    let all = orders();
    assert_eq!(all.len(), 90);
    for order in all {
        let room = TempDir::new().unwrap();
        let hub = hub(&room, 4).await;
        let mut vera = Theirs::of(&hub).await;
        let (mut ivan, mut olga) = (Ours::of(&hub, "ivan"), Ours::of(&hub, "olga"));
        vera.add(MILK, "Buy milk").await;
        vera.sync().await;
        ivan.sync();
        olga.sync();
        vera.sync().await;
        let milk = id_of(MILK);
        // Apart: each changes something alone, Ivan and Olga one thing both, and each makes a task.
        vera.set(MILK, "project", Some("Home")).await;
        vera.add(MONEY, "Get money").await;
        ivan.set(milk, "description", Some("Ivan's milk"));
        ivan.set(TaskId::mint(&Env::system()).unwrap(), "description", Some("Ivan's own"));
        olga.set(milk, "description", Some("Olga's milk"));
        olga.edit(milk, |document, author| document.tag(author, "olga", true).unwrap());
        for who in order.iter().map(|who| [Who::Vera, Who::Ivan, Who::Olga][*who]) {
            match who {
                Who::Vera => vera.sync().await,
                Who::Ivan => drop(ivan.sync()),
                Who::Olga => drop(olga.sync()),
            }
        }
        ivan.sync();
        olga.sync();
        vera.sync().await;
        ivan.sync();
        // All have the same.
        assert_eq!(ivan.tasks.hashes().unwrap(), olga.tasks.hashes().unwrap(), "{order:?}");
        assert_eq!(ivan.driver.hashes().unwrap(), ivan.tasks.hashes().unwrap(), "{order:?}");
        let there = ivan.document(milk);
        let theirs = vera.task(MILK).await;
        assert_eq!(theirs.get_description(), "Olga's milk", "{order:?}");
        assert_eq!(text(&there, "description").as_deref(), Some("Olga's milk"), "{order:?}");
        assert_eq!((theirs.get_value("project"), text(&there, "project").as_deref()), (Some("Home"), Some("Home")));
        assert!(theirs.has_tag(&"olga".parse().unwrap()) && there.tags().eq(["olga"]), "{order:?}");
        assert_eq!(vera.all().await.len(), 3);
        // What gave way is in the journal.
        let lost: Vec<_> = there.journal().into_iter().filter_map(|lost| lost.value).collect();
        assert_eq!(lost, [Json::from("Ivan's milk")], "{order:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_later_of_two_edits_of_one_attribute_stands_whoever_syncs_first() {
    for (is_vera_later, vera_first) in [(true, true), (true, false), (false, true), (false, false)] {
        let room = TempDir::new().unwrap();
        let hub = hub(&room, 100).await;
        let (mut vera, mut ivan) = (Theirs::of(&hub).await, Ours::of(&hub, "ivan"));
        vera.add(MILK, "Buy milk").await;
        vera.sync().await;
        ivan.sync();
        vera.sync().await;
        if is_vera_later {
            ivan.set(id_of(MILK), "description", Some("Ivan's"));
            // Taskwarrior's `modified` has whole seconds.
            tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
            vera.set(MILK, "description", Some("Vera's")).await;
        } else {
            vera.set(MILK, "description", Some("Vera's")).await;
            tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
            ivan.set(id_of(MILK), "description", Some("Ivan's"));
        }
        if vera_first {
            vera.sync().await;
            ivan.sync();
        } else {
            ivan.sync();
            vera.sync().await;
        }
        vera.sync().await;
        ivan.sync();
        vera.sync().await;
        let expected = if is_vera_later { "Vera's" } else { "Ivan's" };
        let what = format!("Vera later: {is_vera_later}, first: {vera_first}");
        assert_eq!(vera.task(MILK).await.get_description(), expected, "{what}");
        assert_eq!(text(&ivan.document(id_of(MILK)), "description").as_deref(), Some(expected), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_another_secret_reads_and_changes_nothing() {
    let room = TempDir::new().unwrap();
    let hub = hub(&room, 100).await;
    let mut vera = Theirs::of(&hub).await;
    vera.add(MILK, "Buy milk").await;
    vera.sync().await;
    let error = driver(&hub.url(), "guessed").hashes().unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().downcast_ref::<TaskChampionError>();
    assert_eq!((error.kind(), cause), (DriverErrorKind::Refused, Some(&TaskChampionError::Secret)));
    assert!(error.to_string().contains("secret"), "{error}");
    // And the other way round.
    let mut ivan = Ours::of(&hub, "ivan");
    ivan.sync();
    let mut stranger = Theirs::with(&hub, "guessed").await;
    assert!(stranger.replica.sync(&mut stranger.server, false).await.is_err());
    vera.sync().await;
    assert_eq!(vera.all().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_begins_with_the_other_s_snapshot() {
    let room = TempDir::new().unwrap();
    let hub = hub(&room, 3).await;
    let mut vera = Theirs::of(&hub).await;
    for n in 0..5 {
        vera.add(Uuid::from_u128(100 + n), &format!("task {n}")).await;
        vera.sync().await;
    }
    assert!(vera.server.get_snapshot().await.unwrap().is_some());
    let mut ivan = Ours::of(&hub, "ivan");
    assert_eq!(ivan.sync().came.len(), 5);
    for n in 0..5 {
        ivan.set(TaskId::mint(&Env::system()).unwrap(), "description", Some(&format!("Ivan's {n}")));
        ivan.sync();
    }
    let (version, _) = vera.server.get_snapshot().await.unwrap().unwrap();
    vera.sync().await;
    let mut olga = Theirs::of(&hub).await;
    olga.sync().await;
    assert_eq!(olga.all().await, vera.all().await);
    assert_eq!(olga.all().await.len(), 10);
    assert_ne!(version, Uuid::nil());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_taskwarrior_purges_comes_back_while_we_have_it() {
    let room = TempDir::new().unwrap();
    let hub = hub(&room, 100).await;
    let (mut vera, mut ivan) = (Theirs::of(&hub).await, Ours::of(&hub, "ivan"));
    vera.add(MILK, "Buy milk").await;
    vera.sync().await;
    ivan.sync();
    vera.sync().await;
    let mut operations = Operations::new();
    vera.replica.get_task_data(MILK).await.unwrap().unwrap().delete(&mut operations);
    vera.replica.commit_operations(operations).await.unwrap();
    vera.sync().await;
    ivan.sync();
    vera.sync().await;
    assert_eq!(vera.task(MILK).await.get_description(), "Buy milk");
}
