//! The tasks of Taskwarrior's replicas as a driver, over a real hub. With TaskChampion's own replicas it is tested in `interop/`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};

use tolstoy_env::Env;
use tolstoy_proto::taskchampion::{CLIENT_ID, ClientId, GET_SNAPSHOT};
use tolstoy_sync::{Access, EncryptionSecret, TaskChampionDriver, TaskChampionError};
use tolstoy_tasks::driver::{Driver, DriverError, DriverErrorKind, Memory, Offer};
use tolstoy_tasks::{Document, reconcile};
use uuid::Uuid;

use crate::common::{author, doc, env, set, text};
use crate::hub::{RunningHub, SHARED};

static NEXT: AtomicU64 = AtomicU64::new(1);

/// A client that nobody has used.
fn client() -> ClientId {
    ClientId::new(Uuid::from_u64_pair(9, NEXT.fetch_add(1, Ordering::Relaxed)))
}

fn driver_with(hub: &RunningHub, client: ClientId, secret: &str, env: Env) -> TaskChampionDriver {
    let secret = EncryptionSecret::new(secret).unwrap();
    TaskChampionDriver::new(hub.url(), client, &secret, &Access::default(), env).unwrap()
}

fn driver(hub: &RunningHub, client: ClientId) -> TaskChampionDriver {
    driver_with(hub, client, "secret", env(NEXT.fetch_add(1, Ordering::Relaxed)))
}

mod conformance {
    use super::*;

    tolstoy_tasks::driver_conformance!({
        let client = client();
        (move || Box::new(driver(&SHARED, client)) as Box<dyn Driver>, ())
    });
}

fn task(n: u8, description: &str) -> Document {
    let mut document = doc(&format!(r#"{{"id":"pb67wndxge8293x{}"}}"#, char::from(b'a' + n)));
    set(&mut document, &author("laptop", "2026-11-25T09:00:00Z"), "description", description);
    document
}

fn holding(documents: &[Document]) -> Memory {
    let mut memory = Memory::default();
    let offers: Vec<_> = documents.iter().cloned().map(Offer::of).collect();
    memory.exchange(&offers).unwrap();
    memory
}

fn in_step(here: &mut Memory, there: &mut TaskChampionDriver) -> (usize, usize) {
    let report = reconcile(here, there).unwrap();
    assert!(report.in_step && report.refused.is_empty() && report.troubles.values().all(Vec::is_empty), "{report:?}");
    (report.came.len(), report.went.len())
}

#[test]
fn two_devices_share_through_it_and_find_nothing_to_do_afterwards() {
    let client = client();
    let (mut laptop, mut phone) = (holding(&[task(0, "milk")]), holding(&[task(1, "bread")]));
    let (mut near, mut far) = (driver(&SHARED, client), driver(&SHARED, client));
    assert_eq!(in_step(&mut laptop, &mut near), (0, 1));
    assert_eq!(in_step(&mut phone, &mut far), (1, 1));
    assert_eq!(in_step(&mut laptop, &mut near), (1, 0));
    for _ in 0..2 {
        assert_eq!(in_step(&mut laptop, &mut near), (0, 0));
        assert_eq!(in_step(&mut phone, &mut driver(&SHARED, client)), (0, 0));
    }
    assert_eq!(laptop.hashes().unwrap(), phone.hashes().unwrap());
}

#[test]
fn edits_of_one_task_apart_meet() {
    let client = client();
    let mut laptop = holding(&[task(0, "milk")]);
    let mut phone = holding(&[]);
    let (mut near, mut far) = (driver(&SHARED, client), driver(&SHARED, client));
    in_step(&mut laptop, &mut near);
    in_step(&mut phone, &mut far);
    let (mut one, mut two) = (task(0, "milk"), task(0, "milk"));
    set(&mut one, &author("laptop", "2026-11-25T10:00:00Z"), "description", "oat milk");
    set(&mut one, &author("laptop", "2026-11-25T10:00:00Z"), "due", "2026-11-26");
    set(&mut two, &author("phone", "2026-11-25T10:00:01Z"), "description", "rice milk");
    laptop.exchange(&[Offer::of(one)]).unwrap();
    phone.exchange(&[Offer::of(two)]).unwrap();
    in_step(&mut laptop, &mut near);
    in_step(&mut phone, &mut far);
    in_step(&mut laptop, &mut near);
    assert_eq!(laptop.hashes().unwrap(), phone.hashes().unwrap());
    let both = laptop.list().unwrap().tasks.remove(0);
    assert_eq!((both.description(), both.get("due")), ("rice milk", text("2026-11-26").as_ref()));
}

fn cause(error: &DriverError) -> &TaskChampionError {
    std::error::Error::source(error).unwrap().downcast_ref().unwrap()
}

#[test]
fn another_secret_is_told_and_changes_nothing() {
    let client = client();
    let mut laptop = holding(&[task(0, "milk")]);
    in_step(&mut laptop, &mut driver(&SHARED, client));
    let mut stranger = driver_with(&SHARED, client, "another", env(1));
    let error = stranger.hashes().unwrap_err();
    assert_eq!((error.kind(), cause(&error)), (DriverErrorKind::Refused, &TaskChampionError::Secret));
    assert!(stranger.exchange(&[]).is_err());
    assert_eq!(in_step(&mut laptop, &mut driver(&SHARED, client)), (0, 0));
}

#[test]
fn a_hub_that_is_not_there_is_told_and_what_was_pulled_is_kept() {
    let mut hub = RunningHub::start();
    let client = client();
    let mut laptop = holding(&[task(0, "milk")]);
    let mut near = driver(&hub, client);
    in_step(&mut laptop, &mut near);
    hub.stop();
    let error = near.hashes().unwrap_err();
    assert_eq!(error.kind(), DriverErrorKind::Unavailable);
    hub.restart();
    assert_eq!(in_step(&mut laptop, &mut near), (0, 0));
}

#[test]
fn a_hub_that_lost_everything_gets_it_again() {
    let mut hub = RunningHub::start();
    let client = client();
    let mut laptop = holding(&[task(0, "milk"), task(1, "bread")]);
    in_step(&mut laptop, &mut driver(&hub, client));
    hub.stop();
    let empty = RunningHub::start();
    // A driver that is new finds nothing there, and what is here goes.
    assert_eq!(in_step(&mut laptop, &mut driver(&empty, client)), (0, 2));
    let mut phone = holding(&[]);
    assert_eq!(in_step(&mut phone, &mut driver(&empty, client)), (2, 0));
}

/// Whether the hub has a snapshot for this client.
fn has_snapshot(client: ClientId) -> bool {
    let mut hub = TcpStream::connect(SHARED.url().trim_start_matches("http://")).unwrap();
    let request = format!(
        "GET {GET_SNAPSHOT} HTTP/1.1\r\nHost: 127.0.0.1\r\n{CLIENT_ID}: {}\r\nConnection: close\r\n\r\n",
        client.expose()
    );
    hub.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    hub.read_to_end(&mut answer).unwrap();
    answer.starts_with(b"HTTP/1.1 200")
}

#[test]
fn a_snapshot_is_sent_where_it_is_wanted_and_begun_with() {
    let client = client();
    let (mut laptop, mut near) = (holding(&[task(0, "milk")]), driver(&SHARED, client));
    in_step(&mut laptop, &mut near);
    // The hub asks after a hundred versions.
    for n in 0..110_u32 {
        let mut edited = task(0, "milk");
        let at = format!("2026-11-25T10:{:02}:{:02}Z", n / 60, n % 60);
        set(&mut edited, &author("laptop", &at), "description", &format!("milk {n}"));
        laptop.exchange(&[Offer::of(edited)]).unwrap();
        in_step(&mut laptop, &mut near);
    }
    assert!(has_snapshot(client), "the hub asked for one");
    let mut phone = holding(&[]);
    assert_eq!(in_step(&mut phone, &mut driver(&SHARED, client)), (1, 0));
    assert_eq!(phone.hashes().unwrap(), laptop.hashes().unwrap());
}
