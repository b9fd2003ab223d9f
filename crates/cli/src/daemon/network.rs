//! Whether this machine is on another network than before, or slept.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use tolstoy_edn::Instant;

/// Addresses that are nobody's, and so are reached, if at all, as all that is far away (RFC 5737, RFC 3849).
const FAR: [(&str, &str); 2] = [("0.0.0.0:0", "192.0.2.1:9"), ("[::]:0", "[2001:db8::1]:9")];

/// So much more time on the wall between two looks than there should be: the machine slept.
const SLEPT: Duration = Duration::from_secs(10);

/// Whether the machine slept between two looks that were to be so far apart. By the clock on the wall: many others stand still
/// meanwhile.
pub(crate) fn slept(before: Instant, now: Instant, apart: Duration) -> bool {
    let on_the_wall = u64::try_from(now.as_micros().saturating_sub(before.as_micros())).unwrap_or(0);
    Duration::from_micros(on_the_wall) > apart + SLEPT
}

/// The addresses that packets to far away would leave from; none where there is no way. No packet is sent to find out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Network([Option<IpAddr>; 2]);

impl Network {
    /// That of now.
    pub(crate) fn now() -> Self {
        Self(FAR.map(|(from, to)| {
            let socket = UdpSocket::bind(from).ok()?;
            socket.connect(to).ok()?;
            socket.local_addr().ok().map(|address: SocketAddr| address.ip())
        }))
    }

    /// Whether there is a way out, and another one than before.
    pub(crate) fn is_new_since(&self, before: &Self) -> bool {
        self.0.iter().zip(&before.0).any(|(now, before)| now.is_some() && now != before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_slept_has_more_time_on_the_wall() {
        let at = |seconds: i64| Instant::from_micros(seconds * 1_000_000);
        let apart = Duration::from_secs(5);
        // A busy machine, a night, a clock that is set back.
        let slept = [5, 14, 8 * 3600, -3600].map(|seconds| slept(at(0), at(seconds), apart));
        assert_eq!(slept, [false, false, true, false]);
    }

    #[test]
    fn only_a_way_that_was_not_there_is_new() {
        let [none, home, train] =
            [[None, None], [Some([192, 168, 0, 7].into()), None], [Some([10, 0, 0, 7].into()), None]].map(Network);
        assert!(home.is_new_since(&none) && train.is_new_since(&home));
        assert!(!none.is_new_since(&home) && !home.is_new_since(&home) && !none.is_new_since(&none));
        assert!(!Network::now().is_new_since(&Network::now()));
    }
}
