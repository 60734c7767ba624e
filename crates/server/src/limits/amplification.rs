//! The bound of what is sent to a peer that may be forged, so that no other host is flooded.

use swapwire_core::{Addr, Capabilities};

/// Whether what leaves a datagram socket at `local` may reach a host that sent nothing. On a loopback address (127.0.0.0/8,
/// `::1`) only this host asks and is answered (RFC 1122, section 3.2.1.3; RFC 4291, section 2.5.3). A wildcard is none,
/// whoever asks: a datagram that claims to come from loopback may be forged as any other.
pub(crate) fn can_flood(capabilities: &Capabilities, local: Option<Addr>) -> bool {
    capabilities.spoofable && !matches!(local, Some(Addr::Inet(addr)) if addr.ip().to_canonical().is_loopback())
}

/// What may be sent for a message of `len` bytes, in bytes.
#[inline(always)]
pub(crate) const fn earned(len: usize) -> usize {
    let thrice = len.saturating_mul(3);
    if thrice > 64 { thrice } else { 64 }
}

/// The bound of what one socket's handler sends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AmplificationBound {
    /// Whether there is one.
    pub(crate) holds: bool,
    /// Of any call, in bytes.
    max_reply: usize,
}

impl AmplificationBound {
    /// Of a socket at `local`.
    pub(crate) fn new(capabilities: &Capabilities, local: Option<Addr>, amplifies: bool, max_reply: usize) -> Self {
        Self { holds: can_flood(capabilities, local) && !amplifies, max_reply }
    }

    /// What may be replied to a message of `len` bytes, in bytes.
    #[inline(always)]
    pub(crate) fn of_call(&self, len: usize) -> usize {
        if self.holds { self.max_reply.min(earned(len)) } else { self.max_reply }
    }

    /// Whether it was this bound that refused a reply above `limit`.
    pub(crate) fn refused(&self, limit: usize) -> bool {
        self.holds && limit < self.max_reply
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_socket_on_loopback_can_flood_nobody() {
        let udp = Capabilities::datagram(65_507);
        let inet = |text: &str| text.parse().ok().map(Addr::Inet);
        for (local, floods) in [
            ("127.0.0.1:7", false),
            ("127.255.255.254:7", false),
            ("[::1]:7", false),
            ("[::ffff:127.0.0.1]:7", false),
            ("0.0.0.0:7", true),
            ("[::]:7", true),
            ("[::ffff:0.0.0.0]:7", true),
            ("192.0.2.1:7", true),
            ("[::ffff:192.0.2.1]:7", true),
            ("[fe80::1]:7", true),
            ("128.0.0.1:7", true),
        ] {
            assert!(inet(local).is_some());
            assert_eq!(can_flood(&udp, inet(local)), floods, "{local}");
        }
        assert!(can_flood(&udp, None) && can_flood(&udp, Addr::named("other", "127.0.0.1:7")));
        let mut known = udp;
        known.spoofable = false;
        assert!(!can_flood(&known, inet("0.0.0.0:7")));
    }

    #[test]
    fn a_message_earns_three_times_its_length_or_64_bytes() {
        for (len, most) in [(0, 64), (21, 64), (22, 66), (333, 999), (334, 1000), (usize::MAX, 1000)] {
            let bound = AmplificationBound { holds: true, max_reply: 1000 };
            assert_eq!((bound.of_call(len), bound.refused(most)), (most, most < 1000), "{len}");
            let none = AmplificationBound { holds: false, max_reply: 1000 };
            assert_eq!((none.of_call(len), none.refused(most)), (1000, false), "{len}");
        }
    }
}
