//! Looks at a place again and again: when the system tells of a change, when somebody asks, and now and then.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tolstoy_env::Env;

use super::notices::{Notices, Subscription};
use super::place::{Looker, Mark, Watched};

/// How often a place is looked at of which the system tells nothing.
const UNTOLD: Duration = Duration::from_secs(2);
/// A place that changes all the time is looked at this often.
const REST: Duration = Duration::from_millis(50);
/// After how long a place is looked at again that the system told something of: it tells when a file is written, and what a store
/// writes is seen only once it is on the disk, of which the system tells nothing.
const AFTER: [Duration; 3] = [Duration::from_millis(250), Duration::from_secs(1), Duration::from_secs(5)];

/// What was seen.
#[derive(Debug)]
pub(crate) struct Looked {
    pub(crate) watched: Watched,
    pub(crate) mark: Mark,
}

/// A place that is watched, until the value is dropped.
#[derive(Debug)]
pub(crate) struct Watcher {
    wake: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Watcher {
    /// Begins with a look.
    pub(crate) fn start(
        watched: Watched,
        env: &Env,
        every: Duration,
        notices: Arc<Notices>,
        to: mpsc::UnboundedSender<Looked>,
    ) -> Self {
        let wake = Arc::new(Notify::new());
        let looker = Looker::new(watched.clone(), env);
        let task = tokio::spawn(watch(watched, looker, every, notices, Arc::clone(&wake), to));
        Self { wake, task }
    }

    /// Looks now.
    pub(crate) fn look(&self) {
        self.wake.notify_one();
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Subscribed to the system's notices for as long as the value lives.
struct Subscribed {
    notices: Arc<Notices>,
    subscription: Option<Subscription>,
}

impl Drop for Subscribed {
    fn drop(&mut self) {
        if let Some(subscription) = &self.subscription {
            self.notices.forget(subscription);
        }
    }
}

async fn watch(
    watched: Watched,
    mut looker: Looker,
    every: Duration,
    notices: Arc<Notices>,
    wake: Arc<Notify>,
    to: mpsc::UnboundedSender<Looked>,
) {
    let mut subscribed = Subscribed { notices, subscription: None };
    let mut after = AFTER.iter();
    loop {
        // Before the look: so a change is seen by it, or told.
        subscribed.subscription = watched.interest().map(|interest| Subscription { interest, wake: Arc::clone(&wake) });
        let is_told = subscribed.subscription.as_ref().is_some_and(|subscription| subscribed.notices.ask(subscription));
        let looked = tokio::task::spawn_blocking(move || {
            let mark = looker.look();
            (looker, mark)
        });
        // The runtime is going down, or a look panicked, which is told where panics are.
        let Ok((back, mark)) = looked.await else { return };
        looker = back;
        if to.send(Looked { watched: watched.clone(), mark }).is_err() {
            return;
        }
        sleep(REST).await;
        let net = if is_told { every } else { every.min(UNTOLD) };
        tokio::select! {
            () = wake.notified() => after = AFTER.iter(),
            () = sleep(after.next().map_or(net, |again| net.min(*again))) => {}
        }
    }
}
