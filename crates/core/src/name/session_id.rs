//! What tells sessions apart.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::Addr;

/// Tells one session from all others of this process, those that have ended included. It means nothing to other processes, and
/// nothing after a restart.
///
/// * On a byte stream or a message stream: one for each connection, so that peers without a name, as most clients of Unix
///   sockets, differ.
/// * On a datagram socket with a session handler: one for each session that the server keeps for a peer. A peer whose session
///   has ended (idle, or closed to make room) gets a new one with its next message.
/// * On a datagram socket with a message handler the server keeps nothing about peers, so it is made of the two addresses: the
///   same for all messages from one address to one local address, for as long as the process runs. Who forges an address gets
///   that address's. Senders without an address (unbound Unix datagram sockets) cannot be told apart and share one for each
///   local address.
///
/// Made of addresses, it is a keyed hash of 127 bits (two of SipHash, with random keys): nobody can choose addresses that
/// collide.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId([u64; 2]);

impl SessionId {
    /// That of the session with this number.
    pub(crate) const fn numbered(number: u64) -> Self {
        Self([0, number])
    }

    /// A number that no session of this process has.
    pub(crate) fn next_number() -> u64 {
        static BEGUN: AtomicU64 = AtomicU64::new(0);
        BEGUN.fetch_add(1, Relaxed) + 1
    }

    /// That of all that goes from `peer` to `local`.
    #[cold]
    pub(crate) fn between(peer: Option<&Addr>, local: &Addr) -> Self {
        static KEYS: OnceLock<[RandomState; 2]> = OnceLock::new();
        let keys = KEYS.get_or_init(Default::default);
        let [first, second] = keys.each_ref().map(|key| key.hash_one((peer, local)));
        // Numbered ones have a zero here.
        Self([first | 1, second])
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [0, number] => write!(f, "SessionId({number})"),
            [first, second] => write!(f, "SessionId({first:016x}{second:016x})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Peer, Request, UnixAddr};

    #[test]
    fn sessions_differ_though_their_peers_look_alike() {
        let unnamed = Addr::Unix(UnixAddr::UNNAMED);
        let (mut first, mut second) = (Peer::new(unnamed), Peer::new(unnamed));
        let of = |peer: &Peer| Request::new(b"", Some(peer), &unnamed).session();
        assert_eq!(of(&first), of(&second), "nothing is known of either");
        first.begin_session();
        second.begin_session();
        assert_ne!(of(&first), of(&second));
        assert_eq!(of(&first), of(&first.clone()));
        let before = of(&first);
        first.begin_session();
        assert_ne!(of(&first), before);
    }

    #[test]
    fn on_a_datagram_socket_both_addresses_tell() {
        let addr = |port| Addr::inet(([127, 0, 0, 1], port).into());
        let (one, other) = (Peer::new(addr(1)), Peer::new(addr(2)));
        let of = |peer: Option<&Peer>, local| Request::new(b"", peer, &addr(local)).session();
        assert_eq!(of(Some(&one), 7), of(Some(&one.clone()), 7));
        assert_ne!(of(Some(&one), 7), of(Some(&other), 7));
        assert_ne!(of(Some(&one), 7), of(Some(&one), 8));
        assert_eq!(of(None, 7), of(None, 7));
        assert_ne!(of(None, 7), of(Some(&one), 7));
    }

    #[test]
    fn a_peer_that_becomes_another_has_no_session() {
        let mut peer = Peer::new(Addr::Unix(UnixAddr::UNNAMED));
        peer.begin_session();
        assert!(peer.session().is_some());
        peer.become_at(&Addr::Unix(UnixAddr::UNNAMED));
        assert!(peer.session().is_none());
    }
}
