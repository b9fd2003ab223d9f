//! Whether this machine is on another network than before.

use std::net::{IpAddr, SocketAddr, UdpSocket};

/// Addresses that are nobody's, and so are reached, if at all, as all that is far away (RFC 5737, RFC 3849).
const FAR: [(&str, &str); 2] = [("0.0.0.0:0", "192.0.2.1:9"), ("[::]:0", "[2001:db8::1]:9")];

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
    fn only_a_way_that_was_not_there_is_new() {
        let [none, home, train] =
            [[None, None], [Some([192, 168, 0, 7].into()), None], [Some([10, 0, 0, 7].into()), None]].map(Network);
        assert!(home.is_new_since(&none) && train.is_new_since(&home));
        assert!(!none.is_new_since(&home) && !home.is_new_since(&home) && !none.is_new_since(&none));
        assert!(!Network::now().is_new_since(&Network::now()));
    }
}
