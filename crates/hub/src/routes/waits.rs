//! Places for requests that wait: a bounded number of them, and no client has more than its share.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::auth::{Principal, TokenId};
use crate::connection::Peer;
use crate::rate::Address;

/// One client may hold a quarter of all places.
const SHARE: usize = 4;

/// Whose a request that waits is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Client {
    /// Nobody in particular: someone on this machine.
    Anyone,
    /// Who holds a token.
    Token(TokenId),
    /// Who has an address.
    Address(Address),
}

impl<S: Send + Sync> FromRequestParts<S> for Client {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<Peer>().map(|peer| peer.0.ip());
        Ok(match (parts.extensions.get::<Principal>(), peer) {
            (Some(Principal::Token(token)), _) => Self::Token(token.id.clone()),
            (Some(Principal::Open), Some(ip)) => Self::Address(ip.into()),
            _ => Self::Anyone,
        })
    }
}

/// The places.
#[derive(Debug)]
pub(crate) struct Waits {
    most: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    all: usize,
    by_client: HashMap<Client, usize>,
}

impl Waits {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most: most.max(1), held: Mutex::default() })
    }

    /// A place for the client, until it is dropped; none where there is none for it.
    pub(super) fn take(self: &Arc<Self>, client: &Client) -> Option<Waiting> {
        let mut held = self.held();
        let own = held.by_client.get(client).copied().unwrap_or(0);
        let share = if *client == Client::Anyone { self.most } else { self.most.div_ceil(SHARE) };
        if held.all >= self.most || own >= share {
            return None;
        }
        held.all += 1;
        held.by_client.insert(client.clone(), own + 1);
        Some(Waiting { waits: self.clone(), client: client.clone() })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place that is taken.
#[derive(Debug)]
pub(super) struct Waiting {
    waits: Arc<Waits>,
    client: Client,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut held = self.waits.held();
        held.all -= 1;
        match held.by_client.get_mut(&self.client) {
            Some(own) if *own > 1 => *own -= 1,
            _ => drop(held.by_client.remove(&self.client)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn address(n: u8) -> Client {
        Client::Address(std::net::IpAddr::from(Ipv4Addr::new(192, 0, 2, n)).into())
    }

    #[test]
    fn no_client_has_more_than_its_share_and_all_have_no_more_than_there_is() {
        let waits = Waits::new(8);
        let one = [waits.take(&address(1)), waits.take(&address(1))];
        assert!(one.iter().all(Option::is_some) && waits.take(&address(1)).is_none());
        let others: Vec<_> = (0..10).filter_map(|_| waits.take(&Client::Anyone)).collect();
        assert_eq!(others.len(), 6);
        assert!(waits.take(&address(2)).is_none());
        drop(one);
        assert!(waits.take(&address(1)).is_some());
        let two = [waits.take(&address(2)), waits.take(&address(2))];
        assert!(two.iter().all(Option::is_some));
        drop((others, two));
        let held = waits.held();
        assert!(held.all == 0 && held.by_client.is_empty());
    }
}
