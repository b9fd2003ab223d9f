//! The link between a device and the hub, and all that can go wrong on it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tolstoy_sync::transport::{Body, MemoryBody, Request};
use tolstoy_sync::{Answer, TransportError};

use crate::dice::Dice;
use crate::world::{Hub, block_on};

/// How likely each fault is, in a thousand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Faults {
    /// A request is lost before it reaches the hub.
    pub lose_request: u64,
    /// The hub carries a request out, and the answer is lost.
    pub lose_answer: u64,
    /// The hub gets a request twice.
    pub repeat: u64,
    /// A streamed answer breaks off somewhere.
    pub cut: u64,
    /// An old push arrives once more, before the request.
    pub stale: u64,
    /// The link is dead for good after so many requests: what happens to a device that crashes, is closed or moves away.
    pub dead_after: Option<u64>,
}

impl Faults {
    /// A link that never fails.
    pub const NONE: Self = Self { lose_request: 0, lose_answer: 0, repeat: 0, cut: 0, stale: 0, dead_after: None };

    /// A bad link.
    pub const BAD: Self =
        Self { lose_request: 60, lose_answer: 120, repeat: 100, cut: 150, stale: 40, dead_after: None };
}

/// What went wrong on links.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LinkCounts {
    /// Requests that never reached the hub.
    pub lost_requests: u64,
    /// Pushes that were committed, and whose answer never arrived.
    pub lost_acknowledgements: u64,
    /// Requests that the hub got twice.
    pub repeated: u64,
    /// Streams that broke off.
    pub cut: u64,
    /// Old pushes that arrived again later.
    pub stale: u64,
}

/// A device's link to a hub.
pub struct Link<'w> {
    hub: &'w Mutex<Hub>,
    /// Pushes that were under way once.
    old: &'w Mutex<Vec<Bytes>>,
    dice: Dice,
    faults: Faults,
    /// What went wrong so far.
    pub counts: LinkCounts,
    requests: u64,
}

impl<'w> Link<'w> {
    /// A link to this hub with these faults, decided by these dice.
    pub fn new(hub: &'w Mutex<Hub>, old: &'w Mutex<Vec<Bytes>>, dice: Dice, faults: Faults) -> Self {
        Self { hub, old, dice, faults, counts: LinkCounts::default(), requests: 0 }
    }

    /// Carries a request to the hub and its answer back, or not.
    ///
    /// # Errors
    /// As the faults demand.
    pub fn carry(&mut self, request: Request) -> Result<Answer<MemoryBody>, TransportError> {
        self.requests += 1;
        if self.faults.dead_after.is_some_and(|after| self.requests > after) {
            return Err(TransportError::Unreachable("the link is dead".to_owned()));
        }
        if self.dice.chance(self.faults.lose_request) {
            self.counts.lost_requests += 1;
            return Err(TransportError::Broken("the request was lost".to_owned()));
        }
        self.redeliver()?;
        if let Request::Push(body) = &request {
            lock(self.old).push(body.clone());
        }
        let mut answer = lock(self.hub).serve(request.clone())?;
        if self.dice.chance(self.faults.repeat) {
            self.counts.repeated += 1;
            let second = lock(self.hub).serve(request)?;
            if self.dice.chance(500) {
                answer = second;
            }
        }
        if self.dice.chance(self.faults.lose_answer) {
            self.counts.lost_acknowledgements += u64::from(matches!(answer, Answer::Accepted(_)));
            return Err(TransportError::Broken("the answer was lost".to_owned()));
        }
        self.deliver(answer)
    }

    /// An old push may arrive again at any later time.
    fn redeliver(&mut self) -> Result<(), TransportError> {
        if self.dice.chance(self.faults.stale) {
            let old = self.dice.pick(&lock(self.old)).cloned();
            if let Some(body) = old {
                self.counts.stale += 1;
                lock(self.hub).serve(Request::Push(body))?;
            }
        }
        Ok(())
    }

    fn deliver(&mut self, answer: Answer<MemoryBody>) -> Result<Answer<MemoryBody>, TransportError> {
        Ok(match answer {
            Answer::Stream(body) => Answer::Stream(self.stream(body)?),
            Answer::Conflict(body) => Answer::Conflict(self.stream(body)?),
            other => other,
        })
    }

    /// The stream in pieces of its own, whole or cut.
    fn stream(&mut self, mut body: MemoryBody) -> Result<MemoryBody, TransportError> {
        let mut bytes = Vec::new();
        while let Some(piece) = block_on(body.next())? {
            bytes.extend_from_slice(&piece);
        }
        let cut = self.dice.chance(self.faults.cut);
        if cut {
            self.counts.cut += 1;
            let keep = self.dice.index(bytes.len());
            bytes.truncate(keep);
        }
        let mut rest = Bytes::from(bytes);
        let mut pieces = Vec::new();
        while !rest.is_empty() {
            let most = self.dice.between(1, 4_000);
            let piece = rest.split_to(rest.len().min(usize::try_from(most).unwrap_or(1)));
            pieces.push(Ok(piece));
        }
        if cut && self.dice.chance(500) {
            pieces.push(Err(TransportError::Broken("the stream was cut".to_owned())));
        }
        Ok(MemoryBody::new(pieces))
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
