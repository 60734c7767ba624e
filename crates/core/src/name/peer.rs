//! The other end of a wire.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use crate::{Addr, SessionId};

/// The other end of a wire: its address, and what else the transport learnt about it.
///
/// Cloning is cheap: what was learnt is shared.
#[derive(Clone, Debug)]
pub struct Peer {
    addr: Addr,
    learnt: Option<Arc<Learnt>>,
    /// The number of its session; 0 if it has none.
    session: u64,
}

impl Peer {
    /// A peer of which only the address is known.
    pub const fn new(addr: Addr) -> Self {
        Self { addr, learnt: None, session: 0 }
    }

    /// The same peer, of which `value` is known as well; of two values of one type, [`Peer::get`] gives the later one. What
    /// was known before is kept: each layer of a stack adds what it learns.
    ///
    /// ```
    /// # use swapwire_core::{Addr, Credentials, Peer};
    /// # let addr = Addr::named("mem", "a").unwrap();
    /// let peer = Peer::new(addr).and(Credentials::new(0, 0, None)).and("of a layer above");
    /// assert_eq!(peer.get::<Credentials>().unwrap().uid, 0);
    /// assert_eq!(peer.get::<&str>(), Some(&"of a layer above"));
    /// ```
    #[must_use]
    pub fn and<T: Any + Send + Sync>(mut self, value: T) -> Self {
        let below = self.learnt.take();
        self.learnt = Some(Arc::new(Learnt { value: Box::new(value), below }));
        self
    }

    /// The same peer at another address, with all that is known of it: the client that a proxy speaks for.
    #[must_use]
    pub const fn at(mut self, addr: Addr) -> Self {
        self.addr = addr;
        self
    }

    /// Becomes the peer at `addr`, of which only that is known.
    #[inline]
    pub fn become_at(&mut self, addr: &Addr) {
        self.addr.become_copy(addr);
        self.learnt = None;
        self.session = 0;
    }

    /// For servers: begins a new session with this peer, which its clones have as well. What was its session is another one.
    pub fn begin_session(&mut self) {
        self.session = SessionId::next_number();
    }

    /// Its session; `None` where the server keeps none, as for message handlers on datagram sockets, and before one has begun.
    pub fn session(&self) -> Option<SessionId> {
        (self.session != 0).then(|| SessionId::numbered(self.session))
    }

    /// Its address.
    pub fn addr(&self) -> &Addr {
        &self.addr
    }

    /// What the transport, or a layer over it, learnt of type `T`; for example [`Credentials`].
    pub fn get<T: Any + Send + Sync>(&self) -> Option<&T> {
        let first = self.learnt.as_deref();
        std::iter::successors(first, |learnt| learnt.below.as_deref()).find_map(|learnt| learnt.value.downcast_ref())
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.addr.fmt(f)
    }
}

/// What one layer learnt about a peer, and what those below it did.
struct Learnt {
    value: Box<dyn Any + Send + Sync>,
    below: Option<Arc<Learnt>>,
}

impl fmt::Debug for Learnt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Learnt").field("below", &self.below).finish_non_exhaustive()
    }
}

/// The user, the group and the process at the other end of a Unix socket, as of the moment it connected (`SO_PEERCRED`,
/// `socket(7)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Credentials {
    /// The effective user id.
    pub uid: u32,
    /// The effective group id.
    pub gid: u32,
    /// The process id, where the system reports it. Advisory: it may be reused by another process.
    pub pid: Option<i32>,
}

impl Credentials {
    /// Credentials as the system reported them.
    pub const fn new(uid: u32, gid: u32, pid: Option<i32>) -> Self {
        Self { uid, gid, pid }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_each_layer_learnt_is_kept_and_the_last_of_a_type_is_given() {
        let below = Peer::new(Addr::named("mem", "a").unwrap()).and(1_u8).and("text");
        let peer = below.clone().and(2_u8).at(Addr::named("mem", "b").unwrap());
        assert_eq!((peer.get::<u8>(), below.get::<u8>()), (Some(&2), Some(&1)));
        assert_eq!(peer.get::<&str>(), Some(&"text"));
        assert_eq!(peer.get::<u64>(), None);
        assert_eq!((peer.to_string(), below.to_string()), ("mem:b".to_owned(), "mem:a".to_owned()));
    }
}
