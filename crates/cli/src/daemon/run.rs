//! Carries out what the schedule decides: one loop that is told all that happens, and threads that sync.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until};
use tolstoy_edn::Instant as Wall;
use tolstoy_env::Env;

use super::config::Config;
use super::network::{Network, slept};
use super::notices::Notices;
use super::pair::{Ended, Follow, Pair};
use super::place::{Mark, Watched};
use super::schedule::{Chance, Now, Outcome, PairId, Problem, Rules, Schedule, StateName};
use super::socket::{Asked, Request};
use super::status::{MovedStatus, PairStatus, Status};
use super::watcher::{Looked, Watcher};
use crate::error::Failure;
use crate::settings::DaemonSettings;
use crate::signals::{Reloads, Signals};

/// How often it is looked whether the machine slept, or is on another network.
const TICK: Duration = Duration::from_secs(5);
/// No pause between looks or syncs is shorter, whatever the settings say.
const SHORTEST: Duration = Duration::from_millis(100);

/// What a daemon is begun with.
pub(crate) struct Start {
    pub(crate) env: Env,
    pub(crate) config: Config,
    pub(crate) settings: DaemonSettings,
    /// Reads the settings again.
    pub(crate) read_again: Box<dyn Fn() -> Result<(Config, DaemonSettings), Failure>>,
    /// What is asked on the socket.
    pub(crate) asked: mpsc::Receiver<Asked>,
}

/// A pair, and what watches it.
struct Kept {
    pair: Pair,
    /// What its places were like before the last sync that succeeded began.
    before: BTreeMap<Watched, Mark>,
    /// Who waits for its log to change.
    following: Option<JoinHandle<()>>,
    /// It is in the settings no more, and forgotten when its sync ends.
    dropped: bool,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.unfollow();
    }
}

/// A place that is watched, and what it was last seen to be like.
struct Place {
    watcher: Watcher,
    mark: Option<Mark>,
}

/// What a log was heard to do.
enum Heard {
    /// It is still the same.
    Same,
    Changed,
    /// Nothing can be heard.
    Lost(String),
}

struct Daemon {
    env: Env,
    settings: DaemonSettings,
    path: PathBuf,
    settings_error: Option<String>,
    schedule: Schedule,
    pairs: BTreeMap<PairId, Kept>,
    places: BTreeMap<Watched, Place>,
    next_id: u64,
    begun: Instant,
    since: Wall,
    syncs: JoinSet<(PairId, Option<Ended>)>,
    /// Which pair a sync is of, where it panics.
    ids: BTreeMap<tokio::task::Id, PairId>,
    stopping: watch::Sender<bool>,
    notices: Arc<Notices>,
    looked: mpsc::UnboundedSender<Looked>,
    heard: mpsc::UnboundedSender<(PairId, Heard)>,
    network: Network,
    last_tick: Wall,
}

/// Keeps all pairs in step, until a signal asks it to end. `ready` is called when it has begun.
///
/// # Errors
/// Where signals cannot be listened to.
pub(crate) async fn run(start: Start, ready: impl FnOnce()) -> Result<(), Failure> {
    let Start { env, config, settings, read_again, mut asked } = start;
    let mut signals = Signals::listen()?;
    let mut reloads = Reloads::listen()?;
    let (looked, mut looks) = mpsc::unbounded_channel();
    let (heard, mut hears) = mpsc::unbounded_channel();
    let mut daemon = Daemon::new(env, &config, settings, looked, heard);
    daemon.take(config);
    daemon.begin();
    ready();
    let mut tick = daemon.begun + TICK;
    loop {
        let wake = daemon.next().map_or(tick, |at| at.min(tick));
        tokio::select! {
            () = signals.next() => break,
            () = reloads.next() => {
                crate::manager::tell(crate::manager::State::Reloading);
                daemon.reload(read_again());
                crate::manager::tell(crate::manager::State::Ready);
            }
            Some(ended) = daemon.syncs.join_next_with_id() => daemon.ended(ended),
            Some(looked) = looks.recv() => daemon.looked(&looked),
            Some((id, heard)) = hears.recv() => daemon.heard(id, heard),
            Some((request, answer)) = asked.recv() => {
                if request == Request::Sync {
                    daemon.schedule.all_returned(daemon.now());
                    daemon.begin();
                }
                // Who asked may have gone.
                let _ = answer.send(serde_json::to_string(&daemon.status()).unwrap_or_default());
            }
            () = sleep_until(wake) => {
                if Instant::now() >= tick {
                    daemon.tick();
                    tick = Instant::now() + TICK;
                }
            }
        }
        daemon.begin();
    }
    daemon.stop(signals.next()).await;
    Ok(())
}

impl Daemon {
    fn new(
        env: Env,
        config: &Config,
        settings: DaemonSettings,
        looked: mpsc::UnboundedSender<Looked>,
        heard: mpsc::UnboundedSender<(PairId, Heard)>,
    ) -> Self {
        let since = env.now();
        Self {
            schedule: Schedule::new(rules(&settings)),
            path: config.path.clone(),
            settings,
            settings_error: None,
            pairs: BTreeMap::new(),
            places: BTreeMap::new(),
            next_id: 0,
            begun: Instant::now(),
            since,
            syncs: JoinSet::new(),
            ids: BTreeMap::new(),
            stopping: watch::channel(false).0,
            notices: Notices::start(),
            looked,
            heard,
            network: Network::now(),
            last_tick: since,
            env,
        }
    }

    fn now(&self) -> Now {
        Now { elapsed: self.begun.elapsed(), wall: self.env.now() }
    }

    fn chance(&self) -> Chance {
        // Without randomness the pauses are the longest there can be.
        Chance(self.env.below(1 << 32).ok().and_then(|n| u32::try_from(n).ok()).unwrap_or(u32::MAX))
    }

    fn next(&self) -> Option<Instant> {
        self.schedule.next(self.now()).map(|at| self.begun + at)
    }

    /// Keeps the pairs that these settings name, and no others. Those that it has already go on as they are.
    fn take(&mut self, config: Config) {
        let now = self.now();
        self.path = config.path;
        let mut wanted = config.pairs;
        for (id, kept) in &mut self.pairs {
            let known = wanted.iter().position(|pair| *pair == kept.pair);
            kept.dropped = known.is_none();
            match known {
                Some(known) => drop(wanted.remove(known)),
                None => tracing::info!(id = id.0, "{}: not kept in step any more", title(&kept.pair)),
            }
        }
        self.forget_dropped();
        for pair in wanted {
            let id = PairId(self.next_id);
            self.next_id += 1;
            self.schedule.add(id, pair.keys(), now);
            tracing::info!(id = id.0, "{}: kept in step from now on", title(&pair));
            self.pairs.insert(id, Kept { pair, before: BTreeMap::new(), following: None, dropped: false });
        }
        let watched: Vec<Watched> = self.pairs.values().flat_map(|kept| kept.pair.watched()).collect();
        self.places.retain(|place, _| watched.contains(place));
        let every = self.settings.look.0.max(SHORTEST);
        for place in watched {
            self.places.entry(place.clone()).or_insert_with(|| Place {
                watcher: Watcher::start(place, &self.env, every, Arc::clone(&self.notices), self.looked.clone()),
                mark: None,
            });
        }
    }

    /// Forgets the pairs that are not wanted any more, and are not being synced.
    fn forget_dropped(&mut self) {
        let schedule = &mut self.schedule;
        self.pairs.retain(|id, kept| {
            let is_syncing = schedule.view(*id).is_some_and(|view| view.state == StateName::Syncing);
            let stays = !kept.dropped || is_syncing;
            if !stays {
                schedule.remove(*id);
            }
            stays
        });
    }

    fn reload(&mut self, read: Result<(Config, DaemonSettings), Failure>) {
        match read {
            Ok((config, settings)) => {
                self.settings_error = None;
                if settings != self.settings {
                    // Those that look are begun anew, at the pace of now.
                    self.places.clear();
                    self.schedule.set_rules(rules(&settings));
                    self.settings = settings;
                }
                self.take(config);
                self.schedule.all_returned(self.now());
                tracing::info!("the settings were read again");
            }
            Err(failure) => {
                tracing::error!(error = %failure.message, "the settings were not read again, and stay as they were");
                self.settings_error = Some(failure.message);
            }
        }
    }

    /// Begins the syncs that are due.
    fn begin(&mut self) {
        let now = self.now();
        for id in self.schedule.begin(now) {
            let Some(kept) = self.pairs.get_mut(&id) else { continue };
            kept.unfollow();
            let (pair, env, stopping) = (kept.pair.clone(), self.env.clone(), self.stopping.subscribe());
            tracing::debug!(id = id.0, "{}: syncing", title(&pair));
            let sync = self.syncs.spawn_blocking(move || (id, pair.sync(&env, stopping)));
            self.ids.insert(sync.id(), id);
        }
    }

    fn ended(&mut self, ended: Result<(tokio::task::Id, (PairId, Option<Ended>)), tokio::task::JoinError>) {
        let (id, ended) = match ended {
            Ok((task, (id, ended))) => {
                self.ids.remove(&task);
                (id, ended)
            }
            // The panic's message is told where panics are.
            Err(error) => match self.ids.remove(&error.id()) {
                Some(id) => {
                    (id, Some(Ended { outcome: Outcome::Failed(panicked()), before: Vec::new(), follow: None }))
                }
                None => return,
            },
        };
        let Some(ended) = ended else { return };
        let (now, chance) = (self.now(), self.chance());
        let Some(kept) = self.pairs.get_mut(&id) else { return };
        let before = self.schedule.view(id).and_then(|view| view.problem.cloned());
        tell(id, &kept.pair, before.as_ref(), &ended.outcome);
        if matches!(ended.outcome, Outcome::InStep { .. }) {
            kept.before = ended.before.into_iter().collect();
        }
        self.schedule.ended(id, ended.outcome, now, chance);
        if let Some(follow) = ended.follow {
            kept.following = Some(tokio::spawn(listen(id, follow, self.heard.clone())));
        }
        // What changed meanwhile, the sync's own writes too, is seen now.
        for watched in kept.pair.watched() {
            if let Some(place) = self.places.get(&watched) {
                place.watcher.look();
            }
        }
        self.forget_dropped();
    }

    fn looked(&mut self, looked: &Looked) {
        let now = self.now();
        let Some(place) = self.places.get_mut(&looked.watched) else { return };
        let was = place.mark.replace(looked.mark);
        let is_gone = |mark: Mark| matches!(mark, Mark::Absent | Mark::Unreadable);
        let is_back = was.is_some_and(is_gone) && !is_gone(looked.mark);
        for (id, kept) in &self.pairs {
            if !kept.pair.watched().contains(&looked.watched) {
                continue;
            }
            if is_back {
                self.schedule.returned(*id, now);
            }
            let differs = looked.mark != Mark::Nothing && kept.before.get(&looked.watched) != Some(&looked.mark);
            // To who failed only what is new is news: all is other than at a success that there was not.
            let failed = self.schedule.view(*id).is_some_and(|view| view.problem.is_some());
            if differs && (was != Some(looked.mark) || !failed) {
                self.schedule.changed(*id, now);
            }
        }
    }

    fn heard(&mut self, id: PairId, heard: Heard) {
        let (now, chance) = (self.now(), self.chance());
        match heard {
            Heard::Same => self.schedule.heard(id),
            Heard::Changed => {
                self.schedule.heard(id);
                self.schedule.changed(id, now);
            }
            Heard::Lost(why) => {
                tracing::debug!(why, id = id.0, "it does not tell of its changes");
                self.schedule.unheard(id, now, chance);
            }
        }
    }

    /// Whether the machine slept, or is on another network.
    fn tick(&mut self) {
        let now = self.now();
        let network = Network::now();
        if slept(self.last_tick, now.wall, TICK) {
            tracing::info!("the machine slept, or its clock was set: all pairs are looked at");
            self.schedule.all_returned(now);
        } else if network.is_new_since(&self.network) {
            tracing::info!("the network is another one: all pairs are looked at");
            self.schedule.all_returned(now);
        }
        self.network = network;
        self.last_tick = now.wall;
    }

    /// Lets what is under way end. A second signal ends the process at once.
    async fn stop(&mut self, again: impl Future<Output = ()>) {
        crate::manager::tell(crate::manager::State::Stopping);
        self.stopping.send_replace(true);
        let drained = async { while self.syncs.join_next().await.is_some() {} };
        tokio::select! {
            () = drained => tracing::info!("stopped"),
            () = tokio::time::sleep(self.settings.drain.0) => {
                tracing::warn!("stopped; syncs that did not end in time are left as whole as a kill leaves them");
            }
            () = again => {}
        }
    }

    fn status(&self) -> Status {
        let now = self.now();
        Status {
            pid: std::process::id(),
            since: self.since.to_string(),
            settings: self.path.display().to_string(),
            settings_error: self.settings_error.clone(),
            pairs: self
                .pairs
                .iter()
                .filter(|(_, kept)| !kept.dropped)
                .filter_map(|(id, kept)| self.pair_status(*id, &kept.pair, now))
                .collect(),
        }
    }

    fn pair_status(&self, id: PairId, pair: &Pair, now: Now) -> Option<PairStatus> {
        let view = self.schedule.view(id)?;
        let at = |elapsed: Duration| {
            let ahead = i64::try_from(elapsed.saturating_sub(now.elapsed).as_micros()).unwrap_or(i64::MAX);
            Wall::from_micros(now.wall.as_micros().saturating_add(ahead)).to_string()
        };
        Some(PairStatus {
            kind: pair.kind().to_owned(),
            places: pair.sides(),
            state: view.state.word().to_owned(),
            since: view.since.to_string(),
            synced: view.synced.map(|at| at.to_string()),
            in_step_since: view.in_step_since.map(|at| at.to_string()),
            failures: view.failures,
            error: view.problem.map(|problem| problem.word.to_owned()),
            message: view.problem.map(|problem| problem.message.clone()),
            hint: view.problem.and_then(|problem| problem.hint.clone()),
            next: view.next.map(at),
            remarks: view.remarks.to_vec(),
            moved: MovedStatus { came: view.moved.came, went: view.moved.went },
        })
    }
}

impl Kept {
    fn unfollow(&mut self) {
        if let Some(following) = self.following.take() {
            following.abort();
        }
    }
}

fn rules(settings: &DaemonSettings) -> Rules {
    Rules {
        concurrent: settings.concurrent_syncs,
        settle: settings.settle.0,
        recheck: settings.recheck.0.max(SHORTEST),
        retry: settings.retry.0.max(SHORTEST),
    }
}

/// Waits for a log to change, and says what it hears.
async fn listen(id: PairId, follow: Follow, to: mpsc::UnboundedSender<(PairId, Heard)>) {
    // Nobody listens where the daemon stops.
    let heard = |heard| drop(to.send((id, heard)));
    match follow.changes(|| heard(Heard::Same)).await {
        Ok(()) => heard(Heard::Changed),
        Err(error) => heard(Heard::Lost(error.to_string())),
    }
}

/// What the log calls a pair.
fn title(pair: &Pair) -> String {
    let [here, there] = pair.sides();
    format!("{} {here} with {there}", pair.kind())
}

fn panicked() -> Problem {
    Problem {
        may_pass: false,
        word: "failed",
        message: "the sync ended in a way that it never should".to_owned(),
        hint: Some("this is a mistake in tolstoy: the daemon's log has what to report".to_owned()),
    }
}

/// Tells what came of a sync, where that is news. `before` is why the last one failed.
fn tell(id: PairId, pair: &Pair, before: Option<&Problem>, outcome: &Outcome) {
    let (id, title) = (id.0, title(pair));
    match outcome {
        Outcome::InStep { moved, remarks } => {
            if before.is_some() {
                tracing::info!(id, "{title}: in step again");
            }
            if let Some(moved) = pair.in_words(*moved) {
                tracing::info!(id, "{title}: {moved}");
            }
            for remark in remarks {
                tracing::debug!(id, "{title}: look at {remark}");
            }
        }
        Outcome::Failed(problem) => {
            let is_news = before.is_none_or(|before| before.message != problem.message);
            let Problem { may_pass, word: error, message, hint } = problem;
            let hint = hint.as_deref().unwrap_or_default();
            match (is_news, may_pass) {
                (true, true) => tracing::warn!(id, error, "{title}: waiting: {message}"),
                (true, false) => tracing::error!(id, error, hint, "{title}: stuck: {message}"),
                (false, _) => tracing::debug!(id, error, "{title}: again: {message}"),
            }
        }
    }
}
