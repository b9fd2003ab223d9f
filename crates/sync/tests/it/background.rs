//! The background syncer, with a real hub over HTTP.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use tolstoy_env::Env;
use tolstoy_hub::{Hub as RealHub, HubHandle};
use tolstoy_sync::{Access, Happened, Pair, Remote, Syncer, sync_blocking};

use super::*;

/// How long a test waits for what must come; it comes at once.
const PATIENCE: Duration = Duration::from_secs(60);

struct Served {
    runtime: tokio::runtime::Runtime,
    hub: Option<HubHandle>,
    url: String,
}

impl Served {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let hub = RealHub::in_memory(Env::repeatable(1000), tolstoy_hub::Options::default());
        let hub = runtime.block_on(HubHandle::start(hub, "127.0.0.1:0".parse().unwrap())).unwrap();
        let url = hub.url();
        Self { runtime, hub: Some(hub), url }
    }

    fn stop(&mut self) {
        if let Some(hub) = self.hub.take() {
            self.runtime.block_on(hub.stop()).unwrap();
        }
    }

    fn remote(&self) -> Remote {
        Remote { url: self.url.clone(), log: LogId(Uuid::from_u128(7)) }
    }
}

/// A store in a file that is kept in step, and what happens to it.
struct Kept {
    path: PathBuf,
    env: Env,
    syncer: Syncer,
    happened: Receiver<Happened>,
}

impl Kept {
    fn start(folder: &Path, n: u64, remote: Remote) -> Self {
        let path = folder.join(format!("{n}.db"));
        drop(Store::open_or_create(&path, Env::repeatable(n)).unwrap());
        let (tell, happened) = channel();
        let pair = Pair { store: path.clone(), remote, access: Access::default() };
        let options = Options::on_tokio(Env::repeatable(n + 100));
        let syncer = Syncer::start(&pair, options, move |what| tell.send(what).unwrap_or_default()).unwrap();
        Self { path, env: Env::repeatable(n + 200), syncer, happened }
    }

    fn store(&self) -> Store {
        Store::open(&self.path, self.env.clone()).unwrap()
    }

    /// Waits until this is so after a sync.
    fn until(&self, is: impl Fn(&Store) -> bool) {
        let store = self.store();
        while !is(&store) {
            if let Happened::Failed { error, .. } = self.happened.recv_timeout(PATIENCE).unwrap() {
                panic!("{error}");
            }
        }
    }
}

fn has(name: &str) -> impl Fn(&Store) -> bool {
    let query = format!("[:find ?e . :where [?e :name \"{name}\"]]");
    move |store| store.query(&query, &[]).is_ok_and(|found| !found.is_empty())
}

#[test]
fn two_stores_follow_each_other_without_being_asked() {
    let (mut served, folder) = (Served::start(), tempfile::tempdir().unwrap());
    let one = Kept::start(folder.path(), 1, served.remote());
    let two = Kept::start(folder.path(), 2, served.remote());
    must(&mut one.store(), SCHEMA);
    must(&mut one.store(), r#"[{:name "Anna"}]"#);
    two.until(has("Anna"));
    must(&mut two.store(), r#"[{:name "Vera"}]"#);
    one.until(has("Vera"));
    same(&one.store(), &two.store());
    one.syncer.stop();
    assert!(one.happened.iter().any(|what| matches!(what, Happened::Stopped)));
    two.syncer.stop();
    served.stop();
}

#[test]
fn a_hub_out_of_reach_is_told_and_tried_again() {
    let (mut served, folder) = (Served::start(), tempfile::tempdir().unwrap());
    let one = Kept::start(folder.path(), 1, served.remote());
    one.until(|_| true);
    served.stop();
    must(&mut one.store(), SCHEMA);
    let failed = one.happened.iter().find_map(|what| match what {
        Happened::Failed { error, again_in } => Some((error.kind(), again_in)),
        _ => None,
    });
    assert!(matches!(failed, Some((ErrorKind::Offline, _))), "{failed:?}");
    // Waking it is trying again at once; it also ends at once while it waits.
    one.syncer.wake();
    let again = one.happened.iter().find(|what| matches!(what, Happened::Failed { .. }));
    assert!(again.is_some());
    let store = one.store();
    drop(one.syncer);
    assert_eq!(store.last_positioned().unwrap(), None);
}

#[test]
fn a_sync_that_blocks_needs_no_runtime() {
    let (mut served, folder) = (Served::start(), tempfile::tempdir().unwrap());
    let mut one = Store::open_or_create(&folder.path().join("one.db"), Env::repeatable(1)).unwrap();
    must(&mut one, SCHEMA);
    let mut transport = tolstoy_sync::HttpTransport::new(served.remote()).unwrap();
    let report = sync_blocking(&mut one, &mut transport, &Options::on_tokio(Env::repeatable(2))).unwrap();
    assert_eq!(report.passes.len(), 1);
    served.stop();
}

#[test]
fn a_sync_that_is_dropped_leaves_both_whole() {
    let (hub, mut one, mut two) = two();
    must(&mut two, r#"[{:name "Vera"}]"#);
    sync(&mut two, &hub);
    // Dropped while it waits, before and after each request.
    for stop_at in 0..6 {
        must(&mut one, &format!(r#"[{{:name "Anna {stop_at}"}}]"#));
        let mut requests = 0;
        let mut transport = MemoryTransport::new(|request| {
            requests += 1;
            if requests > stop_at { Ok(later()) } else { hub.answer(request) }
        });
        let options = Options { sleep: Arc::new(|_| Box::pin(std::future::pending())), ..options() };
        let mut future = Box::pin(tolstoy_sync::sync(&mut one, &mut transport, &options));
        let polled = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        drop((polled, future));
    }
    sync(&mut one, &hub);
    sync(&mut two, &hub);
    same(&one, &two);
    assert_eq!(hub.state().seq, Seq(8));
}

/// The answer of a hub that has no time now.
fn later() -> Answer<MemoryBody> {
    let body = tolstoy_proto::ErrorBody::new(tolstoy_proto::ErrorKind::Busy, "later".to_owned());
    Answer::Later { after: Duration::from_secs(1), body }
}
