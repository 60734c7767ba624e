//! Which datagrams are handled: whole ones within the limit, from a source that can be answered.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use swapwire_core::{Addr, RecvMeta};

use crate::ServeContext;
use crate::context::OwnAddresses;
use crate::metrics::Incident;

/// Refuses datagrams that claim to come from one of our own sockets, which would answer each other for ever, and those that
/// claim to come from a multicast or broadcast address, or from port 0.
#[derive(Clone, Debug)]
pub(crate) struct SourceFilter {
    own: Option<Addr>,
    /// The port of `own`, or 0, from which nothing is answered.
    own_port: u16,
    ours: Arc<OwnAddresses>,
}

impl SourceFilter {
    /// Of a socket at `own`, one of `ours`.
    pub(crate) fn new(own: Option<Addr>, ours: &Arc<OwnAddresses>) -> Self {
        let own_port = match own {
            Some(Addr::Inet(own)) => own.port(),
            _ => 0,
        };
        Self { own, own_port, ours: Arc::clone(ours) }
    }

    /// What the socket is bound to.
    pub(crate) fn own(&self) -> Option<Addr> {
        self.own
    }

    /// Whether a datagram, or a train of them, is to be handled; one that is not is counted and told.
    #[inline(always)]
    pub(crate) fn admits(&self, meta: &RecvMeta, cx: &ServeContext) -> bool {
        let admitted = !meta.truncated && !self.refuses(meta);
        if !admitted {
            let incident = if meta.truncated { Incident::Truncated } else { Incident::Unanswerable };
            cx.incidents.note(incident, meta.count() as u64, meta.peer.as_ref(), "");
        }
        admitted
    }

    /// Whether it claims to come from a source that must not be answered.
    #[inline(always)]
    fn refuses(&self, meta: &RecvMeta) -> bool {
        match &meta.peer {
            Some(Addr::Inet(peer)) => {
                let port = peer.port();
                !can_be_answered(peer)
                    || ((port == self.own_port || self.ours.may_have(port)) && self.is_ours(peer, meta.local))
            }
            Some(peer) => Some(peer) == self.own.as_ref(),
            None => false,
        }
    }

    /// Whether a datagram that reached `local` claims to come from one of our sockets. One that is bound to all addresses
    /// has all that are known to be this machine's: those of loopback, and the one that was reached.
    #[cold]
    fn is_ours(&self, peer: &SocketAddr, local: Option<IpAddr>) -> bool {
        let own = match &self.own {
            Some(Addr::Inet(own)) => Some(own),
            _ => None,
        };
        let reached = local.or(own.map(SocketAddr::ip));
        let is = |ours: &SocketAddr| {
            let same = peer.ip() == ours.ip();
            let here = peer.ip().is_loopback() || Some(peer.ip()) == reached;
            peer.port() == ours.port() && (same || (ours.ip().is_unspecified() && here))
        };
        own.is_some_and(is) || self.ours.any(is)
    }
}

/// Whether a message is within the limit; one that is not is counted and told.
#[inline(always)]
pub(crate) fn fits(len: usize, meta: &RecvMeta, cx: &ServeContext) -> bool {
    let fits = len <= cx.limits.max_message;
    if !fits {
        cx.too_long(len, meta.peer.as_ref());
    }
    fits
}

/// Whether a source can be answered at all: not a group, a broadcast address, or port 0.
#[inline(always)]
fn can_be_answered(addr: &SocketAddr) -> bool {
    match addr {
        // 224.0.0.0/4 are groups, 240.0.0.0/4 is reserved, with 255.255.255.255 in it.
        SocketAddr::V4(addr) => addr.ip().octets()[0] < 224 && addr.port() != 0,
        SocketAddr::V6(addr) => addr.ip().octets()[0] != 0xff && addr.port() != 0,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn none_of_our_sockets_is_answered() {
        let addr = |text: &str| text.parse::<SocketAddr>().unwrap();
        let ours = Arc::<OwnAddresses>::default();
        ours.set(vec![addr("192.0.2.1:7"), addr("0.0.0.0:71"), addr("[::1]:9")]);
        let filter = SourceFilter::new(Some(Addr::Inet(addr("192.0.2.1:7"))), &ours);
        let refuses = |peer: &str, local: Option<&str>| {
            let mut meta = RecvMeta::new(Some(Addr::inet(addr(peer))), 1);
            meta.local = local.map(|ip| ip.parse().unwrap());
            filter.refuses(&meta)
        };
        for (peer, local, expected) in [
            ("192.0.2.1:7", None, true),
            ("[::ffff:192.0.2.1]:7", None, true),
            ("192.0.2.1:71", None, true),
            ("127.0.0.1:71", None, true),
            ("192.0.2.8:71", Some("192.0.2.8"), true),
            ("[::1]:9", None, true),
            ("192.0.2.2:7", None, false),
            ("192.0.2.2:71", None, false),
            ("192.0.2.1:8", None, false),
            ("127.0.0.1:7", None, false),
        ] {
            assert_eq!(refuses(peer, local), expected, "{peer} {local:?}");
        }
        let named = Addr::named("mem", "x").unwrap();
        let filter = SourceFilter::new(Some(named), &Arc::default());
        assert!(filter.refuses(&RecvMeta::new(Some(named), 1)));
        assert!(!filter.refuses(&RecvMeta::new(Addr::named("mem", "y"), 1)));
        assert!(!filter.refuses(&RecvMeta::new(None, 1)));
    }

    #[test]
    fn groups_and_nobody_are_not_answered() {
        for (text, expected) in [
            ("192.0.2.1:7", true),
            ("192.0.2.1:0", false),
            ("224.0.0.1:7", false),
            ("255.255.255.255:7", false),
            ("[2001:db8::1]:7", true),
            ("[ff02::1]:7", false),
            ("[::1]:0", false),
        ] {
            assert_eq!(can_be_answered(&text.parse().unwrap()), expected, "{text}");
        }
    }
}
