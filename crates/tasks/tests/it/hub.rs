//! Tasks on a hub: the driver that reaches them over HTTP, a real hub on a free port, and what lies between.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;
use tokio::runtime::Runtime;
use tolstoy_hub::{Hub, HubHandle, Options};
use tolstoy_proto::LogId;
use tolstoy_sync::{Access, HubDriver, Remote};
use tolstoy_tasks::driver::{Answer, Driver, DriverErrorKind, Memory, Offer, plan};
use tolstoy_tasks::{Digest, Document, TaskId, reconcile};
use uuid::Uuid;

use crate::common::{author, doc, env, set};

/// A running hub.
pub(crate) struct RunningHub {
    runtime: Runtime,
    handle: Option<HubHandle>,
    address: SocketAddr,
    directory: TempDir,
    next: AtomicU64,
}

impl RunningHub {
    pub(crate) fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let handle = serve(&runtime, &directory, "127.0.0.1:0".parse().unwrap());
        let address = handle.address();
        Self { runtime, handle: Some(handle), address, directory, next: AtomicU64::new(1) }
    }

    /// A log that nobody has used.
    pub(crate) fn log(&self) -> LogId {
        LogId(Uuid::from_u64_pair(7, self.next.fetch_add(1, Ordering::Relaxed)))
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn driver(&self, log: LogId) -> HubDriver {
        driver_at(self.address, log)
    }

    /// The hub is killed at this moment, and another started on what it left.
    pub(crate) fn kill(&mut self) {
        let left = tempfile::tempdir().unwrap();
        for name in ["hub.db", "hub.db-wal"] {
            fs::copy(self.directory.path().join(name), left.path().join(name)).unwrap();
        }
        self.stop();
        self.directory = left;
        self.handle = Some(serve(&self.runtime, &self.directory, self.address));
    }

    /// Another is started on what it left.
    pub(crate) fn restart(&mut self) {
        self.stop();
        self.handle = Some(serve(&self.runtime, &self.directory, self.address));
    }

    pub(crate) fn stop(&mut self) {
        if let Some(handle) = self.handle.take() {
            self.runtime.block_on(handle.stop()).unwrap();
        }
    }
}

fn serve(runtime: &Runtime, directory: &TempDir, address: SocketAddr) -> HubHandle {
    let hub = Hub::open(directory.path(), env(99), Options::default()).unwrap();
    runtime.block_on(HubHandle::start(hub, address)).unwrap()
}

fn driver_at(address: SocketAddr, log: LogId) -> HubDriver {
    HubDriver::new(Remote { url: format!("http://{address}"), log }, &Access::default()).unwrap()
}

/// One hub for the tests that need only a log of their own.
pub(crate) static SHARED: LazyLock<RunningHub> = LazyLock::new(RunningHub::start);

/// What lies between a driver and a hub, and counts.
#[derive(Default)]
struct Counts {
    requests: AtomicUsize,
    bytes: AtomicUsize,
}

impl Counts {
    /// How many requests, and how many bytes both ways, since the last time.
    fn take(&self) -> (usize, usize) {
        (self.requests.swap(0, Ordering::SeqCst), self.bytes.swap(0, Ordering::SeqCst))
    }
}

/// A way to the hub that counts what goes over it.
fn counted(to: SocketAddr) -> (SocketAddr, Arc<Counts>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, counts) = (listener.local_addr().unwrap(), Arc::<Counts>::default());
    let counting = counts.clone();
    thread::spawn(move || {
        for near in listener.incoming().map_while(Result::ok) {
            let far = TcpStream::connect(to).unwrap();
            let ways = [(near.try_clone().unwrap(), far.try_clone().unwrap(), true), (far, near, false)];
            for (mut from, mut to, is_asking) in ways {
                let counts = counting.clone();
                thread::spawn(move || {
                    let mut buffer = vec![0; 1 << 16];
                    while let Ok(length @ 1..) = from.read(&mut buffer) {
                        let piece = &buffer[..length];
                        let asks = piece.starts_with(b"GET ") || piece.starts_with(b"POST ");
                        counts.requests.fetch_add(usize::from(is_asking && asks), Ordering::SeqCst);
                        counts.bytes.fetch_add(length, Ordering::SeqCst);
                        if to.write_all(piece).is_err() {
                            break;
                        }
                    }
                    let _ = to.shutdown(Shutdown::Both);
                });
            }
        }
    });
    (address, counts)
}

/// A task with an id that is spread like those that are minted.
fn spread(n: usize) -> Document {
    let alphabet = b"23456789abcdefghkmnpqrstwxyz";
    let mut left = (n as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    let character = |_| {
        let digit = (left % 28) as usize;
        left /= 28;
        char::from(alphabet[digit])
    };
    let id: String = (0..16).map(character).collect();
    let text = format!(r#"{{"id":"{id}","description":"task {n}","created_at":"2026-11-25T09:00:00Z"}}"#);
    Document::parse(&text).unwrap()
}

fn fill(driver: &mut dyn Driver, tasks: std::ops::Range<usize>) {
    let offers: Vec<Offer> = tasks.map(|n| Offer::of(spread(n))).collect();
    for batch in offers.chunks(1000) {
        let answers = driver.exchange(batch).unwrap().answers;
        assert!(answers.iter().all(|answer| matches!(answer, Answer::Stands(Some(_)))));
    }
}

#[test]
fn a_sync_where_nothing_differs_is_one_request_and_a_first_one_few() {
    let hub = &*SHARED;
    let (address, counts) = counted(hub.address);
    let (mut local, mut upstream) = (Memory::default(), driver_at(address, hub.log()));
    assert!(reconcile(&mut local, &mut upstream).unwrap().in_step);
    assert_eq!(counts.take().0, 1);
    fill(&mut local, 0..10_000);
    let report = reconcile(&mut local, &mut upstream).unwrap();
    assert!(report.in_step && report.went.len() == 10_000 && report.came.is_empty());
    let (requests, _) = counts.take();
    // It asks what differs, sends ten times a thousand, and asks again.
    assert_eq!(requests, 12);
    assert!(reconcile(&mut local, &mut upstream).unwrap().in_step);
    let (requests, bytes) = counts.take();
    assert!(requests == 1 && bytes < 1500, "{requests} {bytes}");
    // Another device takes them: one look at the root, all hashes, ten times a thousand, and a look again.
    let mut other = Memory::default();
    assert_eq!(reconcile(&mut other, &mut upstream).unwrap().came.len(), 10_000);
    assert_eq!(counts.take().0, 13);
    assert_eq!(other.hashes().unwrap(), local.hashes().unwrap());
}

#[test]
fn a_change_among_a_hundred_thousand_tasks_costs_kilobytes() {
    let hub = &*SHARED;
    let (address, counts) = counted(hub.address);
    let log = hub.log();
    let (mut local, mut upstream) = (Memory::default(), driver_at(address, log));
    fill(&mut local, 0..100_000);
    fill(&mut upstream, 0..100_000);
    assert_eq!(upstream.differences(&local.hashes().unwrap().tasks).unwrap().tasks, BTreeMap::new());
    counts.take();
    for (changes, most) in [(1, 16_000), (20, 160_000)] {
        for n in 0..changes {
            let mut document = spread(n * 4099 + changes);
            set(&mut document, &author("phone", "2026-11-25T10:00:00Z"), "description", "changed");
            hub.driver(log).exchange(&[Offer::of(document)]).unwrap();
        }
        let report = reconcile(&mut local, &mut upstream).unwrap();
        assert!(report.in_step && report.came.len() == changes && report.went.is_empty());
        let (requests, bytes) = counts.take();
        assert!(requests <= 6 && bytes < most, "{changes} changes cost {requests} requests and {bytes} bytes");
    }
    assert_eq!(upstream.hashes().unwrap(), local.hashes().unwrap());
}

#[test]
fn what_differs_is_what_a_plan_says() {
    let hub = &*SHARED;
    let log = hub.log();
    let mut upstream = hub.driver(log);
    fill(&mut upstream, 0..3000);
    let all = upstream.hashes().unwrap().tasks;
    let mut cases: Vec<BTreeMap<TaskId, tolstoy_tasks::Hash>> = vec![all.clone(), BTreeMap::new()];
    // Some are missing, some are others, some are new; in one part of the tree, or all over it.
    for (step, shift) in [(1, 7), (3, 100), (50, 3), (997, 1), (2999, 5)] {
        let mut theirs = all.clone();
        for (n, id) in all.keys().enumerate().filter(|(n, _)| n % step == 0 && n % shift != 0) {
            match n % 3 {
                0 => drop(theirs.remove(id)),
                1 => drop(theirs.insert(*id, doc(r#"{"id":"pb67wndxge8293xd"}"#).hash())),
                _ => drop(theirs.insert(spread(n + 10_000).id(), spread(n).hash())),
            }
        }
        cases.push(theirs);
    }
    let of_a_branch: BTreeMap<_, _> =
        all.iter().filter(|(id, _)| !id.as_str().starts_with("zx")).map(|(id, hash)| (*id, *hash)).collect();
    cases.push(of_a_branch);
    for theirs in cases {
        let found = upstream.differences(&theirs).unwrap();
        assert_eq!(found.tasks, plan(&theirs, &all));
    }
    // Ids that begin alike to the last characters.
    let close: Vec<Document> = (0..200)
        .map(|n: usize| {
            let alphabet = "23456789abcdefghkmnpqrstwxyz";
            let character = |place: usize| &alphabet[place..=place];
            doc(&format!(r#"{{"id":"pb67wndxge8293{}{}"}}"#, character(n / 28), character(n % 28)))
        })
        .collect();
    let mut upstream = hub.driver(hub.log());
    upstream.exchange(&close.iter().cloned().map(Offer::of).collect::<Vec<_>>()).unwrap();
    let mut theirs = upstream.hashes().unwrap().tasks;
    let gone = close[77].id();
    theirs.remove(&gone);
    theirs.insert(close[150].id(), close[0].hash());
    let expected = BTreeMap::from([(gone, Some(close[77].hash())), (close[150].id(), Some(close[150].hash()))]);
    assert_eq!(upstream.differences(&theirs).unwrap().tasks, expected);
}

#[test]
fn who_waits_hears_when_a_task_changes() {
    let hub = &*SHARED;
    let log = hub.log();
    let mut upstream = hub.driver(log);
    fill(&mut upstream, 0..3);
    let known = Digest::of(&upstream.hashes().unwrap().tasks);
    assert!(!upstream.wait(known, Duration::from_millis(300)).unwrap());
    assert!(upstream.wait(Digest::default(), Duration::from_secs(60)).unwrap());
    let mut other = hub.driver(log);
    let writing = thread::spawn(move || {
        thread::sleep(Duration::from_millis(300));
        fill(&mut other, 3..4);
    });
    assert!(upstream.wait(known, Duration::from_secs(60)).unwrap());
    writing.join().unwrap();
    // It may be called, and dropped, where a runtime is at work.
    Runtime::new().unwrap().block_on(async {
        let mut upstream = hub.driver(log);
        assert_eq!(upstream.hashes().unwrap().tasks.len(), 4);
    });
}

#[test]
fn a_hub_that_is_not_there_or_refuses_is_told_of() {
    let nowhere = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = driver_at(nowhere, SHARED.log()).hashes().unwrap_err();
    assert_eq!(error.kind(), DriverErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("the hub cannot be reached"), "{error}");
    // One that is no hub.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut link in listener.incoming().map_while(Result::ok) {
            let _ = link.read(&mut [0; 4096]);
            say(link, "hi");
        }
    });
    let mut driver = driver_at(address, SHARED.log());
    for error in [
        driver.hashes().unwrap_err(),
        driver.differences(&BTreeMap::new()).unwrap_err(),
        driver.exchange(&[Offer::of(spread(1))]).unwrap_err(),
    ] {
        assert_eq!(error.kind(), DriverErrorKind::NoPlace, "{error}");
        assert!(error.to_string().contains("is not a Tolstoy hub"), "{error}");
    }
    // A log of others' clients.
    let foreign =
        "3a1f0b52-6c1d-4a57-9f0e-5d1c2b7a9e10".parse::<tolstoy_proto::taskchampion::ClientId>().unwrap().log();
    let error = SHARED.driver(foreign).exchange(&[Offer::of(spread(1))]).unwrap_err();
    assert_eq!(error.kind(), DriverErrorKind::Refused, "{error}");
    assert!(error.to_string().contains("TaskChampion"), "{error}");
}

/// Answers a request with this body. What is left of the request is read, since closing a connection before that may take the answer
/// back.
fn say(mut link: TcpStream, body: &str) {
    let length = body.len();
    let _ = write!(link, "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
    let _ = link.shutdown(Shutdown::Write);
    let _ = link.set_read_timeout(Some(Duration::from_secs(5)));
    let _ = io::copy(&mut link, &mut io::sink());
}

/// What answers each request with what `answer` makes of its path.
fn liar(answer: impl Fn(&str) -> String + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut link in listener.incoming().map_while(Result::ok) {
            let mut request = [0; 4096];
            let length = link.read(&mut request).unwrap_or_default();
            let head = String::from_utf8_lossy(&request[..length]).into_owned();
            say(link, &answer(head.split(' ').nth(1).unwrap_or_default()));
        }
    });
    address
}

#[test]
fn a_tree_that_is_none_is_no_answer() {
    let node = |tasks: usize| format!(r#""digest":"{}","tasks":{tasks}"#, "1".repeat(64));
    let root = format!(r#"{{"":{{{},"nodes":{{"2":{{{}}}}}}}}}"#, node(3), node(3));
    let below = format!(r#"{{"2":{{{},"nodes":{{"22":{{{}}}}}}},{}"#, node(3), node(3), &root[1..]);
    let outside = format!(r#"{{"":{{{},"nodes":{{"33":{{{}}}}}}}}}"#, node(3), node(3));
    let elsewhere = format!(
        r#"{{"2":{{{},"hashes":{{"{}":"{}"}}}}}}"#,
        node(1),
        spread(1).id().as_str().replace('2', "3"),
        "1".repeat(64)
    );
    let mine: BTreeMap<_, _> = (0..100).map(|n| (spread(n).id(), spread(n).hash())).collect();
    for (first, then, why) in [
        // It would be asked for ever.
        (root.clone(), below, "which it was not asked about"),
        (root.clone(), "{}".to_owned(), "tells nothing of the nodes"),
        ("{}".to_owned(), "{}".to_owned(), "tells nothing of the nodes"),
        (outside, "{}".to_owned(), "are not below it"),
        (root, elsewhere, "does not begin with"),
    ] {
        let (asked, case) = (AtomicUsize::new(0), format!("{first} {then}"));
        let address = liar(move |_| {
            let asked = asked.fetch_add(1, Ordering::SeqCst);
            assert!(asked < 50, "it is asked for ever");
            if asked == 0 { first.clone() } else { then.clone() }
        });
        let found = driver_at(address, SHARED.log()).differences(&mine);
        let error = found.map(|found| found.tasks.len()).expect_err(&case);
        assert!(error.to_string().contains(why), "{case}: {error}");
        assert_eq!(error.kind(), DriverErrorKind::NoPlace, "{error}");
    }
}

/// A digest that is not that of the tasks: a mistake of the hub's, or a lie. Who follows it is not told of a change for ever.
#[test]
fn what_is_followed_is_what_the_hub_said() {
    let digest = Digest([0x11; 32]);
    let address = liar(move |_| format!(r#"{{"":{{"digest":"{digest}","tasks":0,"hashes":{{}}}}}}"#));
    let mut local = Memory::default();
    let report = reconcile(&mut local, &mut driver_at(address, SHARED.log())).unwrap();
    assert!(report.in_step && report.there == Some(digest), "{report:?}");
    // And of one that is right.
    fill(&mut local, 0..3);
    let mut upstream = SHARED.driver(SHARED.log());
    let report = reconcile(&mut local, &mut upstream).unwrap();
    assert_eq!(report.there, Some(Digest::of(&local.hashes().unwrap().tasks)));
}

#[test]
fn two_who_sync_at_once_while_a_hub_is_killed_lose_nothing() {
    let mut hub = RunningHub::start();
    let log = hub.log();
    let mut devices: Vec<(Memory, HubDriver)> = (0..2).map(|_| (Memory::default(), hub.driver(log))).collect();
    let task = doc(r#"{"id":"pb67wndxge8293xd","description":"milk"}"#);
    for round in 0..6 {
        // Both edit the one task, and one each of their own.
        for (n, (local, _)) in devices.iter_mut().enumerate() {
            let offer = [Offer::of(task.clone())];
            let Some(Answer::Stands(Some(mut document))) = local.exchange(&offer).unwrap().answers.pop() else {
                panic!()
            };
            let who = author(["laptop", "phone"][n], &format!("2026-11-25T10:0{round}:0{n}Z"));
            set(&mut document, &who, &format!("from {n} in {round}"), "x");
            local.exchange(&[Offer::of(document), Offer::of(spread(round * 2 + n))]).unwrap();
        }
        thread::scope(|scope| {
            for (local, upstream) in &mut devices {
                scope.spawn(move || assert!(reconcile(local, upstream).is_ok()));
            }
        });
        hub.kill();
        if round % 2 == 0 {
            // What was answered is there.
            let there = hub.driver(log).hashes().unwrap().tasks;
            assert!(devices.iter_mut().all(|(local, _)| {
                let here = local.hashes().unwrap().tasks;
                here.keys().all(|id| there.contains_key(id))
            }));
        }
    }
    for (local, upstream) in &mut devices {
        reconcile(local, upstream).unwrap();
    }
    let [(one, upstream), (two, _)] = &mut devices[..] else { panic!() };
    assert!(reconcile(one, upstream).unwrap().in_step && reconcile(two, upstream).unwrap().in_step);
    assert!(reconcile(one, upstream).unwrap().in_step);
    assert_eq!(one.hashes().unwrap(), two.hashes().unwrap());
    assert_eq!(one.hashes().unwrap().tasks.len(), 13);
    let Some(Answer::Stands(Some(document))) = one.exchange(&[Offer::nothing(task.id())]).unwrap().answers.pop() else {
        panic!()
    };
    for round in 0..6 {
        assert!((0..2).all(|n| document.get(&format!("from {n} in {round}")).is_some()), "{}", document.canonical());
    }
}
