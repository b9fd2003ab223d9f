//! Places: what a hub holds for those who ask is bounded, and no client has more than its share.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::auth::TokenId;
use crate::rate::Address;

/// One client may hold a quarter of a gate.
const SHARE: usize = 4;

/// Whose a request is, where it is about how much of the hub one has.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Client {
    /// Nobody in particular: someone on this machine. All of them together may hold all there is.
    Anyone,
    /// Who holds a token.
    Token(TokenId),
    /// Who has an address.
    Address(Address),
}

/// A number of places, or of whatever is held: bodies, requests, bytes.
///
/// Who finds no room may wait. Those who wait are let in one client after the other, each in the order in which it asked,
/// as far as its share goes: a client that has its share holds up nobody. Where the next of them needs more than is free,
/// nobody passes it by.
#[derive(Debug)]
pub(crate) struct Gate {
    most: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    held: usize,
    clients: HashMap<Client, Own>,
    /// The clients that wait, the next one first.
    round: VecDeque<Client>,
    /// How many had to wait so far, though they had not their share.
    waited: u64,
}

/// How much others want of what a client holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Whether somebody waits who would be let in sooner if the client held less.
    pub(crate) is_now: bool,
    /// How many had to wait so far: where that grows, it was wanted meanwhile.
    pub(crate) so_far: u64,
}

impl Wanted {
    /// How much others want of both.
    pub(crate) fn and(self, other: Self) -> Self {
        Self { is_now: self.is_now || other.is_now, so_far: self.so_far + other.so_far }
    }
}

/// What a client has of a gate, and waits for. It is forgotten when that is nothing.
#[derive(Debug, Default)]
struct Own {
    held: usize,
    queue: VecDeque<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    weight: usize,
    place: oneshot::Sender<Place>,
}

impl Gate {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most: most.max(1), state: Mutex::default() })
    }

    /// The most that a client may hold. One that asks for more at once gets so much: it would wait for ever otherwise.
    fn share(&self, client: &Client) -> usize {
        match client {
            Client::Anyone => self.most,
            Client::Token(_) | Client::Address(_) => self.most.div_ceil(SHARE),
        }
    }

    /// So much for the client, until it is dropped; none where there is no room for it now, or others wait for what is
    /// left.
    pub(crate) fn try_take(self: &Arc<Self>, client: &Client, weight: usize) -> Option<Place> {
        let weight = weight.min(self.share(client));
        let mut state = self.state();
        self.has_room(&state, client, weight).then(|| self.give(&mut state, client, weight))
    }

    /// So much for the client, when there is room for it.
    pub(crate) async fn take(self: &Arc<Self>, client: &Client, weight: usize) -> Place {
        let weight = weight.min(self.share(client));
        let mut waiting = {
            let mut state = self.state();
            if self.has_room(&state, client, weight) {
                return self.give(&mut state, client, weight);
            }
            let (place, given) = oneshot::channel();
            let own = state.clients.entry(client.clone()).or_default();
            own.queue.push_back(Waiter { weight, place });
            if own.queue.len() == 1 {
                state.round.push_back(client.clone());
            }
            if self.next_of(&state, client).is_some() {
                state.waited += 1;
            }
            Waiting { gate: self, client, given }
        };
        match (&mut waiting.given).await {
            Ok(place) => place,
            // A gate keeps its waiters for as long as they wait.
            Err(_) => std::future::pending().await,
        }
    }

    /// How much others want of what this client holds.
    pub(crate) fn wanted(&self, client: &Client) -> Wanted {
        let state = self.state();
        let is_now = state.round.iter().any(|waits| waits == client || self.next_of(&state, waits).is_some());
        Wanted { is_now, so_far: state.waited }
    }

    /// What is held now.
    pub(crate) fn held(&self) -> usize {
        self.state().held
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_room(&self, state: &State, client: &Client, weight: usize) -> bool {
        let own = state.clients.get(client).map_or(0, |own| own.held);
        // Those who wait and have not their share wait for what is left in all.
        state.held.saturating_add(weight) <= self.most
            && own.saturating_add(weight) <= self.share(client)
            && !state.round.iter().any(|waits| self.next_of(state, waits).is_some())
    }

    /// What the client waits for next, where its share has room for it.
    fn next_of(&self, state: &State, client: &Client) -> Option<usize> {
        let own = state.clients.get(client)?;
        let weight = own.queue.front()?.weight;
        (own.held.saturating_add(weight) <= self.share(client)).then_some(weight)
    }

    fn give(self: &Arc<Self>, state: &mut State, client: &Client, weight: usize) -> Place {
        state.held += weight;
        state.clients.entry(client.clone()).or_default().held += weight;
        Place { gate: self.clone(), client: client.clone(), weight }
    }

    /// Lets in who can be let in.
    fn let_in(self: &Arc<Self>) {
        while let Some((waiter, place)) = self.next() {
            // One that has just gone drops its place here, which lets the next one in.
            let _ = waiter.send(place);
        }
    }

    fn next(self: &Arc<Self>) -> Option<(oneshot::Sender<Place>, Place)> {
        let mut state = self.state();
        let (at, weight) =
            state.round.iter().enumerate().find_map(|(at, client)| Some((at, self.next_of(&state, client)?)))?;
        if state.held.saturating_add(weight) > self.most {
            return None;
        }
        let client = state.round.remove(at)?;
        let own = state.clients.get_mut(&client)?;
        let waiter = own.queue.pop_front()?;
        let waits_on = !own.queue.is_empty();
        let place = self.give(&mut state, &client, weight);
        if waits_on {
            state.round.push_back(client);
        }
        Some((waiter.place, place))
    }
}

impl State {
    /// Forgets the client where it has nothing and waits for nothing.
    fn tidy(&mut self, client: &Client) {
        let Some(own) = self.clients.get(client) else { return };
        if own.queue.is_empty() {
            if own.held == 0 {
                self.clients.remove(client);
            }
            self.round.retain(|waits| waits != client);
        }
    }
}

/// One that waits. Where it is dropped before it was let in, it waits no more.
struct Waiting<'a> {
    gate: &'a Arc<Gate>,
    client: &'a Client,
    given: oneshot::Receiver<Place>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.given.is_terminated() {
            return;
        }
        self.given.close();
        let late = self.given.try_recv();
        let mut state = self.gate.state();
        if let Some(own) = state.clients.get_mut(self.client) {
            own.queue.retain(|waiter| !waiter.place.is_closed());
        }
        state.tidy(self.client);
        drop(state);
        drop(late);
        // Those behind it may need less.
        self.gate.let_in();
    }
}

/// What a client holds of a gate, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    gate: Arc<Gate>,
    client: Client,
    weight: usize,
}

impl Place {
    /// Holds so much from now on, even where that is more than there is: what is held is counted.
    pub(crate) fn set(&mut self, weight: usize) {
        let weight = weight.min(self.gate.share(&self.client));
        let before = std::mem::replace(&mut self.weight, weight);
        self.gate.change(&self.client, before, weight);
    }

    /// How much others want of it.
    pub(crate) fn wanted(&self) -> Wanted {
        self.gate.wanted(&self.client)
    }
}

impl Gate {
    fn change(self: &Arc<Self>, client: &Client, before: usize, after: usize) {
        let mut state = self.state();
        state.held = state.held.saturating_sub(before) + after;
        if let Some(own) = state.clients.get_mut(client) {
            own.held = own.held.saturating_sub(before) + after;
        }
        state.tidy(client);
        let waited_for = !state.round.is_empty();
        drop(state);
        if waited_for && after < before {
            self.let_in();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.gate.change(&self.client, self.weight, 0);
    }
}

#[cfg(test)]
mod tests;
