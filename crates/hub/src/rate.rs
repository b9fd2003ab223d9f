//! How many requests a token or an address may send.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Askers that are remembered in one generation of a [`Limiter`].
const REMEMBERED: usize = 32 << 10;

/// Requests in a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// So many in a second, for as long as one likes. At least 1.
    pub per_second: u32,
    /// So many at once, after a pause. At least 1.
    pub burst: u32,
}

impl Rate {
    /// So many in a second, and those of ten seconds at once; no limit where it is 0.
    pub const fn per_second(per_second: u32) -> Option<Self> {
        if per_second == 0 { None } else { Some(Self { per_second, burst: per_second.saturating_mul(10) }) }
    }
}

/// Lets each asker through as often as its rate says.
///
/// A bucket holds `burst` requests and fills again at `per_second`. All that is kept of it is when it will be full. Buckets
/// are remembered in two generations; where the young one is full, the old one is forgotten, with the buckets in it that
/// nobody asked for since. So memory is bounded, and who is forgotten gains one burst, which costs a flood from many
/// thousands of other addresses.
#[derive(Debug)]
pub(crate) struct Limiter<K> {
    rate: Option<Rate>,
    full_at: Mutex<Generations<K>>,
}

#[derive(Debug)]
struct Generations<K> {
    young: HashMap<K, Duration>,
    old: HashMap<K, Duration>,
}

impl<K: Eq + Hash> Limiter<K> {
    pub(crate) fn new(rate: Option<Rate>) -> Self {
        Self { rate, full_at: Mutex::new(Generations { young: HashMap::new(), old: HashMap::new() }) }
    }

    /// Counts a request at `now`, a time since some fixed moment; where there are too many, gives the pause after which
    /// the next one is let through.
    pub(crate) fn admit(&self, asker: K, now: Duration) -> Result<(), Duration> {
        let Some(rate) = self.rate else { return Ok(()) };
        let each = Duration::from_secs(1) / rate.per_second.max(1);
        let burst = each * rate.burst.max(1);
        let mut known = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known.young.get(&asker).or_else(|| known.old.get(&asker)).copied().unwrap_or_default();
        let full_at = before.max(now) + each;
        let (admitted, full_at) = match full_at.checked_sub(now + burst) {
            None | Some(Duration::ZERO) => (Ok(()), full_at),
            Some(pause) => (Err(pause), before),
        };
        if known.young.len() >= REMEMBERED && !known.young.contains_key(&asker) {
            known.old = std::mem::take(&mut known.young);
        }
        known.young.insert(asker, full_at);
        admitted
    }
}

/// Whom a limit by address is about: an IPv4 address, or the /64 of an IPv6 address, which is one customer's at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Address(IpAddr);

impl From<IpAddr> for Address {
    fn from(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self(ip.into()),
            IpAddr::V6(ip) => {
                let [a, b, c, d, ..] = ip.segments();
                Self(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into())
            }
        }
    }
}

/// Counts the connections of each address.
#[derive(Debug, Clone)]
pub(crate) struct Connections {
    limit: usize,
    open: Arc<Mutex<HashMap<Address, usize>>>,
}

/// A connection's place among those of its address; free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Counted {
    address: Address,
    open: Arc<Mutex<HashMap<Address, usize>>>,
}

impl Connections {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), open: Arc::default() }
    }

    /// A place for one more connection; none where its address has too many.
    pub(crate) fn admit(&self, address: Address) -> Option<Counted> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(address).or_default();
        if *count >= self.limit {
            return None;
        }
        *count += 1;
        Some(Counted { address, open: self.open.clone() })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_burst_and_then_one_after_another() {
        let limiter = Limiter::new(Some(Rate { per_second: 10, burst: 3 }));
        let now = 5000 * MS;
        for _ in 0..3 {
            assert_eq!(limiter.admit("a", now), Ok(()));
        }
        assert_eq!(limiter.admit("a", now), Err(100 * MS));
        assert_eq!(limiter.admit("a", now + 60 * MS), Err(40 * MS));
        // Others have buckets of their own, and a refusal costs nothing.
        assert_eq!(limiter.admit("b", now), Ok(()));
        assert_eq!(limiter.admit("a", now + 100 * MS), Ok(()));
        assert_eq!(limiter.admit("a", now + 100 * MS), Err(100 * MS));
        // A long pause fills the bucket, and no further.
        for _ in 0..3 {
            assert_eq!(limiter.admit("a", now + 60_000 * MS), Ok(()));
        }
        assert!(limiter.admit("a", now + 60_000 * MS).is_err());
    }

    #[test]
    fn over_any_second_the_rate_holds() {
        let limiter = Limiter::new(Some(Rate { per_second: 7, burst: 5 }));
        let admitted = (0..10_000u32).filter(|ms| limiter.admit((), *ms * MS).is_ok()).count();
        assert!((5 + 69..=5 + 70).contains(&admitted), "{admitted}");
    }

    #[test]
    fn without_a_rate_there_is_no_limit() {
        let limiter = Limiter::new(Rate::per_second(0));
        assert!((0..10_000).all(|_| limiter.admit((), Duration::ZERO).is_ok()));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_busy_are_not_forgotten() {
        let limiter = Limiter::new(Some(Rate { per_second: 1, burst: 1 }));
        assert!(limiter.admit(u32::MAX, Duration::ZERO).is_ok());
        for asker in 0..5 * u32::try_from(REMEMBERED).unwrap() {
            assert!(limiter.admit(asker, Duration::ZERO).is_ok());
            if asker % 1000 == 0 {
                assert!(limiter.admit(u32::MAX, Duration::ZERO).is_err(), "{asker}");
            }
        }
        let known = limiter.full_at.lock().unwrap();
        assert!(known.young.len() + known.old.len() <= 2 * REMEMBERED);
    }

    #[test]
    fn addresses_of_one_network_are_one() {
        let address = |text: &str| Address::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(address("2001:db8:1:2::1"), address("2001:db8:1:2:ffff::9"));
        assert_ne!(address("2001:db8:1:2::1"), address("2001:db8:1:3::1"));
        assert_ne!(address("192.0.2.1"), address("192.0.2.2"));
        assert_eq!(address("::ffff:192.0.2.1"), address("192.0.2.1"));
    }

    #[test]
    fn an_address_has_so_many_connections() {
        let connections = Connections::new(2);
        let address = |text: &str| Address::from(text.parse::<IpAddr>().unwrap());
        let first = connections.admit(address("192.0.2.1")).unwrap();
        let _second = connections.admit(address("192.0.2.1")).unwrap();
        assert!(connections.admit(address("192.0.2.1")).is_none());
        assert!(connections.admit(address("192.0.2.2")).is_some());
        drop(first);
        assert!(connections.admit(address("192.0.2.1")).is_some());
        assert_eq!(connections.open.lock().unwrap().len(), 1);
    }
}
