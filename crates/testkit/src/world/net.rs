//! The network between devices and the hub, and all that can go wrong on it.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tolstoy_hub::service::Pull;
use tolstoy_proto::{ChunkId, Generation, LogId, TrnId};
use tolstoy_sync::transport::{Body, Request};
use tolstoy_sync::{Answer, Begin, Blob, Transport, TransportError};

use super::hub::{Hub, all_of, next_piece, with_body};
use crate::dice::Dice;
use crate::oracle::Heads;
use crate::plan::Faults;

/// What went wrong on links and to the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NetCounts {
    /// Requests that never reached the hub.
    pub lost_requests: u64,
    /// Pushes that were committed, and whose answer never arrived.
    pub lost_acknowledgements: u64,
    /// Requests that the hub got twice.
    pub repeated: u64,
    /// Requests that reached the hub after their sender had given them up, or again later.
    pub late: u64,
    /// Streams that broke off.
    pub cut: u64,
    /// Times that the hub lost its power.
    pub blackouts: u64,
    /// Snapshots that were not what their maker sent when the hub got them.
    pub spoiled: u64,
}

/// The hub, and what is on the way to it.
pub struct Net {
    hub: Hub,
    dice: Dice,
    /// Requests so far: the only time that a network has.
    now: u64,
    /// Requests that arrive later than anybody waits for.
    late: Vec<Late>,
    heads: BTreeMap<LogId, Heads>,
    /// The newest snapshot of each log that reached the hub.
    snapshots: BTreeMap<LogId, Vec<u8>>,
    /// Whether a snapshot was ever spoiled.
    is_spoiled: bool,
    /// What went wrong so far.
    pub counts: NetCounts,
    /// The first promise that the hub broke.
    broken: Option<String>,
}

struct Late {
    due: u64,
    log: LogId,
    request: Request,
}

impl Net {
    /// A network around this hub.
    pub fn new(hub: Hub, dice: Dice) -> Self {
        let (late, heads, counts) = (Vec::new(), BTreeMap::new(), NetCounts::default());
        Self { hub, dice, now: 0, late, heads, snapshots: BTreeMap::new(), is_spoiled: false, counts, broken: None }
    }

    /// The hub.
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// The hub, for its owner.
    pub fn hub_mut(&mut self) -> &mut Hub {
        &mut self.hub
    }

    /// What was seen of a log's HEAD.
    pub fn heads(&mut self, log: LogId) -> &mut Heads {
        self.heads.entry(log).or_default()
    }

    /// The first promise that the hub broke, if it broke any.
    pub fn broken(&mut self) -> Option<String> {
        self.broken.take()
    }

    /// Restores the backup of a hub in real files, or makes one where there is none. False where none was restored.
    ///
    /// # Errors
    /// Where it cannot be done.
    pub fn restore_backup(&mut self) -> Result<bool, String> {
        let logs: Vec<LogId> = self.heads.keys().copied().collect();
        let state = |hub: &Hub, log| hub.state(log).map_err(|e| e.to_string());
        let before = logs.iter().map(|log| state(&self.hub, *log)).collect::<Result<Vec<_>, _>>()?;
        if !self.hub.restore_backup()? {
            self.hub.back_up()?;
            return Ok(false);
        }
        for (log, before) in logs.into_iter().zip(before) {
            let now = state(&self.hub, log)?;
            // Of another life nothing that was seen is in it.
            let seen = if now.generation == before.generation { now.seq.0 } else { 0 };
            self.heads(log).restored(seen);
            self.look(log);
        }
        Ok(true)
    }

    /// Whether a snapshot was ever spoiled.
    pub fn is_spoiled(&self) -> bool {
        self.is_spoiled
    }

    /// The life that a log is in, where that can be told now.
    pub fn life(&self, log: LogId) -> Option<Generation> {
        self.hub.state(log).ok().and_then(|state| state.generation)
    }

    /// The hub keeps its power until it is next cut, and is started where it is off.
    pub fn keep_power(&mut self) {
        self.start();
        if let Some(disk) = self.hub.disk() {
            disk.keep_power();
        }
    }

    /// Wipes a log: its next write begins another life.
    ///
    /// # Errors
    /// Where the storage failed.
    pub fn wipe(&mut self, log: LogId) -> Result<(), String> {
        self.hub.delete(log).map_err(|e| e.to_string())?;
        self.heads(log).restored(0);
        self.look(log);
        Ok(())
    }

    /// A snapshot reaches the hub as something else: an earlier one of the log, or with a byte that is wrong.
    fn spoil(&mut self, log: LogId, id: TrnId, mut snapshot: Vec<u8>) -> Result<Answer<Pull>, TransportError> {
        let earlier = self.snapshots.get(&log).cloned().filter(|earlier| *earlier != snapshot);
        match earlier.filter(|_| self.dice.chance(600)) {
            Some(earlier) => snapshot = earlier,
            None => {
                let at = self.dice.index(snapshot.len());
                if let Some(byte) = snapshot.get_mut(at) {
                    *byte ^= 0x10;
                }
            }
        }
        self.counts.spoiled += 1;
        self.is_spoiled = true;
        self.start();
        let answer = self.hub.put_snapshot(log, id, &snapshot);
        if self.hub.is_off() {
            self.start();
            return Err(TransportError::Broken("the hub lost its power".to_owned()));
        }
        answer
    }

    /// Restores a backup of the hub, in which the logs have so many transactions.
    ///
    /// # Errors
    /// Where it cannot be done.
    pub fn restore(&mut self, logs: &[(LogId, u64)]) -> Result<(), String> {
        self.hub.restore(logs)?;
        for (log, seq) in logs {
            self.heads(*log).restored(*seq);
            self.look(*log);
        }
        Ok(())
    }

    /// Whatever is late arrives now.
    pub fn settle(&mut self) {
        for late in &mut self.late {
            late.due = self.now;
        }
        self.deliver_late();
    }

    fn deliver_late(&mut self) {
        let now = self.now;
        let (due, late) = std::mem::take(&mut self.late).into_iter().partition(|late| late.due <= now);
        self.late = late;
        for Late { log, request, .. } in due {
            self.counts.late += 1;
            // Nobody waits for the answer.
            let _ = self.serve(log, request);
        }
    }

    fn delay(&mut self, log: LogId, request: Request) {
        if !matches!(request, Request::Pull { .. }) {
            let due = self.now + self.dice.between(1, 30);
            self.late.push(Late { due, log, request });
        }
    }

    /// Carries a request out. A hub without power is started first, as its owner would.
    fn serve(&mut self, log: LogId, request: Request) -> Result<Answer<Pull>, TransportError> {
        self.start();
        let answer = self.hub.serve(log, request);
        if self.hub.is_off() {
            self.start();
            return Err(TransportError::Broken("the hub lost its power".to_owned()));
        }
        match &answer {
            Ok(Answer::Accepted(pushed)) => self.saw(log, Ok(pushed.state)),
            Ok(Answer::Stream(pull) | Answer::Conflict(pull)) => self.saw(log, Ok(*pull.state())),
            Ok(_) => {}
            Err(e) => self.break_promise(format!("the hub fails: {e}")),
        }
        answer
    }

    /// Starts the hub where its power is off; what it acknowledged must be there.
    fn start(&mut self) {
        if !self.hub.is_off() {
            return;
        }
        self.counts.blackouts += 1;
        if let Err(why) = self.hub.restart(self.dice.below(u64::MAX)) {
            return self.break_promise(format!("the hub cannot be started after a power loss: {why}"));
        }
        for log in self.heads.keys().copied().collect::<Vec<_>>() {
            self.look(log);
        }
    }

    fn look(&mut self, log: LogId) {
        let state = self.hub.state(log).map_err(|e| e.to_string());
        self.saw(log, state);
    }

    fn saw(&mut self, log: LogId, state: Result<tolstoy_proto::LogState, String>) {
        if let Err(why) = state.and_then(|state| self.heads(log).saw(&state)) {
            self.break_promise(why);
        }
    }

    fn break_promise(&mut self, why: String) {
        self.broken.get_or_insert(why);
    }
}

/// A device's link to the hub, for one log.
pub struct Link {
    net: Arc<Mutex<Net>>,
    log: LogId,
    dice: Dice,
    faults: Faults,
    /// Called before each request, when the device is between two passes.
    between: Box<dyn FnMut() + Send>,
}

impl Link {
    /// A link with these faults, decided by these dice.
    pub fn new(net: Arc<Mutex<Net>>, log: LogId, dice: Dice, faults: Faults) -> Self {
        Self { net, log, dice, faults, between: Box::new(|| {}) }
    }

    /// The same; `between` is called before each request.
    #[must_use]
    pub fn calling(self, between: impl FnMut() + Send + 'static) -> Self {
        Self { between: Box::new(between), ..self }
    }

    /// Lets others have a turn, or several.
    async fn pause(&mut self) {
        Turns(self.dice.weighted(&[40, 40, 20])).await;
    }

    async fn exchange(&mut self, request: Request) -> Result<Answer<Stream>, TransportError> {
        (self.between)();
        self.pause().await;
        let answer = self.carry(request);
        self.pause().await;
        answer
    }

    fn carry(&mut self, request: Request) -> Result<Answer<Stream>, TransportError> {
        let dice = &mut self.dice;
        let [lose, late, repeat, unanswered] =
            [self.faults.lose, self.faults.late, self.faults.repeat, self.faults.unanswered]
                .map(|rate| dice.chance(rate));
        let (second, spoil) = (dice.chance(500), dice.chance(self.faults.spoil));
        let mut net = lock(&self.net);
        net.now += 1;
        net.deliver_late();
        if lose || late {
            net.counts.lost_requests += 1;
            if late {
                net.delay(self.log, request);
            }
            return Err(TransportError::Broken("the request was lost".to_owned()));
        }
        if let Request::PutSnapshot(id, snapshot) = &request {
            let bytes = all_of(snapshot)?;
            if spoil {
                return with_body(net.spoil(self.log, *id, bytes)?, |_| {
                    Err(TransportError::Broken("a body".to_owned()))
                });
            }
            net.snapshots.insert(self.log, bytes);
        }
        let mut answer = net.serve(self.log, request.clone())?;
        if repeat {
            net.counts.repeated += 1;
            if second {
                answer = net.serve(self.log, request)?;
            } else {
                net.delay(self.log, request);
            }
        }
        if unanswered {
            net.counts.lost_acknowledgements += u64::from(matches!(answer, Answer::Accepted(_)));
            return Err(TransportError::Broken("the answer was lost".to_owned()));
        }
        let start = net.hub.starts();
        drop(net);
        with_body(answer, |pull| Ok(self.stream(pull, start)))
    }

    fn stream(&mut self, pull: Pull, start: u64) -> Stream {
        let cut = self.dice.chance(self.faults.cut);
        // Half of them in the first piece, which of a short log is the only one.
        let left = if self.dice.chance(500) { 0 } else { self.dice.between(0, 4) };
        let dice = Dice::new(self.dice.below(u64::MAX), 0);
        Stream {
            net: self.net.clone(),
            pull,
            start,
            ended: false,
            cut_after: cut.then_some(left),
            dice,
            rest: Bytes::new(),
        }
    }
}

impl Transport for Link {
    type Body = Stream;

    async fn pull(&mut self, from: &[TrnId], begin: Begin) -> Result<Answer<Stream>, TransportError> {
        self.exchange(Request::Pull { from: from.to_vec(), begin }).await
    }

    async fn push(&mut self, body: Bytes) -> Result<Answer<Stream>, TransportError> {
        self.exchange(Request::Push(body)).await
    }

    async fn put_chunk(&mut self, id: &ChunkId, bytes: Bytes) -> Result<Answer<Stream>, TransportError> {
        self.exchange(Request::PutChunk(*id, bytes)).await
    }

    async fn put_snapshot(&mut self, id: TrnId, snapshot: Blob) -> Result<Answer<Stream>, TransportError> {
        self.exchange(Request::PutSnapshot(id, snapshot)).await
    }
}

/// The body of an answer on its way, in pieces of any length. It is read from the hub as it is taken.
pub struct Stream {
    net: Arc<Mutex<Net>>,
    pull: Pull,
    /// Which start of the hub it belongs to.
    start: u64,
    ended: bool,
    /// After how many of the hub's pieces it breaks off, in the middle of the next.
    cut_after: Option<u64>,
    dice: Dice,
    /// What the hub sent and was not taken yet.
    rest: Bytes,
}

impl Stream {
    fn refill(&mut self) -> Result<bool, TransportError> {
        let mut net = lock(&self.net);
        if net.hub.starts() != self.start || net.hub.is_off() {
            return Err(TransportError::Broken("the hub went away".to_owned()));
        }
        let piece = next_piece(&mut self.pull, &mut self.ended);
        let Some(mut piece) = piece.inspect_err(|e| net.break_promise(format!("a stream fails: {e}")))? else {
            return Ok(false);
        };
        match &mut self.cut_after {
            Some(0) => {
                net.counts.cut += 1;
                piece.truncate(self.dice.index(piece.len()));
                self.ended = true;
            }
            Some(left) => *left -= 1,
            None => {}
        }
        self.rest = piece;
        Ok(true)
    }
}

impl Body for Stream {
    async fn next(&mut self) -> Result<Option<Bytes>, TransportError> {
        Turns(self.dice.weighted(&[80, 20])).await;
        while self.rest.is_empty() {
            if !self.refill()? {
                let broken = self.cut_after == Some(0) && self.dice.chance(500);
                return if broken { Err(TransportError::Broken("the stream was cut".to_owned())) } else { Ok(None) };
            }
        }
        let most = usize::try_from(self.dice.between(1, 4_000)).unwrap_or(1);
        Ok(Some(self.rest.split_to(self.rest.len().min(most))))
    }
}

/// Waits until the one who waits was asked so often.
pub(super) struct Turns(pub(super) usize);

impl Future for Turns {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        match self.0.checked_sub(1) {
            Some(left) => {
                self.0 = left;
                Poll::Pending
            }
            None => Poll::Ready(()),
        }
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
