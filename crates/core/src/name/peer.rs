//! The other end of a wire.

use std::any::{Any, TypeId};
use std::fmt;
use std::sync::Arc;

use crate::{Addr, SessionId};

/// The other end of a wire: its address, and what else the transport learnt about it.
///
/// Cloning is cheap (the extensions are shared).
#[derive(Clone, Debug)]
pub struct Peer {
    addr: Addr,
    extensions: Option<Arc<Extensions>>,
    /// The number of its session; 0 if it has none.
    session: u64,
}

impl Peer {
    /// A peer of which only the address is known.
    pub const fn new(addr: Addr) -> Self {
        Self { addr, extensions: None, session: 0 }
    }

    /// The same peer with extensions.
    #[must_use]
    pub fn with_extensions(mut self, extensions: Extensions) -> Self {
        self.extensions = Some(Arc::new(extensions));
        self
    }

    /// Becomes the peer at `addr`, of which only that is known.
    #[inline]
    pub fn become_at(&mut self, addr: &Addr) {
        self.addr.become_copy(addr);
        self.extensions = None;
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

    /// What the transport learnt of type `T`, for example [`Credentials`].
    pub fn get<T: Any + Send + Sync>(&self) -> Option<&T> {
        self.extensions.as_ref()?.get()
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.addr.fmt(f)
    }
}

/// At most one value of each type, kept with a peer.
#[derive(Default)]
pub struct Extensions(Vec<(TypeId, Box<dyn Any + Send + Sync>)>);

impl Extensions {
    /// No values.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The same set with `value`, which replaces an earlier one of its type.
    #[must_use]
    pub fn with<T: Any + Send + Sync>(mut self, value: T) -> Self {
        self.0.retain(|(id, _)| *id != TypeId::of::<T>());
        self.0.push((TypeId::of::<T>(), Box::new(value)));
        self
    }

    /// The value of type `T`.
    pub fn get<T: Any + Send + Sync>(&self) -> Option<&T> {
        self.0.iter().find(|(id, _)| *id == TypeId::of::<T>()).and_then(|(_, value)| value.downcast_ref())
    }
}

impl fmt::Debug for Extensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Extensions({})", self.0.len())
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
    fn extensions_are_by_type() {
        let extensions = Extensions::new().with(1_u8).with(2_u8).with("text");
        let peer = Peer::new(Addr::named("mem", "a").unwrap()).with_extensions(extensions);
        assert_eq!(peer.get::<u8>(), Some(&2));
        assert_eq!(peer.get::<&str>(), Some(&"text"));
        assert_eq!(peer.get::<u64>(), None);
        assert_eq!(peer.to_string(), "mem:a");
    }
}
