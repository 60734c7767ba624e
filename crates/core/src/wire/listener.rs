//! Listeners: where connections arrive.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;

use async_trait::async_trait;

use crate::{Endpoint, ErrorClass, Link, Peer, Upkeep, classify_accept};

/// Takes connections, one at a time. Implemented by transports, called by the server's accept loop.
///
/// # Contract
/// 1. [`Listener::local`] is what was really bound, and [`Listener::dial`] can be dialled
///    (`testkit::laws::local_is_dialable`).
/// 2. `accept` gives raw errors; it never sleeps, retries or logs. What an error means is [`Listener::classify`].
/// 3. `accept` does no handshake: that is the [`Incoming`]'s part (`stalled_handshake`).
/// 4. Dropping the listener closes it and frees the place (`bind_again`), and leaves accepted links open
///    (`listener_drop`).
/// 5. [`Listener::refuse_arrivals`] keeps the connections that already wait (`last_arrivals`); once they are accepted,
///    `accept` is pending and wakes nobody (`refused_accept_waits`).
/// 6. It belongs to the runtime on which it is first polled, which need not be the one that bound it (`bound_elsewhere`):
///    nothing is registered with a reactor before that. For a descriptor, `Listening` of the crate `swapwire-socket` keeps
///    this and what 5 says of `accept`.
///
/// Whoever wraps one forwards every method, those with a default included: `#[deny(clippy::missing_trait_methods)]` on the
/// implementation finds what is forgotten. Layers need not: `swapwire-stack` does it for them.
///
/// # Cancel safety
/// `accept` is cancel safe: if it is dropped, no connection was taken (`cancelled_accept`).
#[async_trait]
pub trait Listener: Send + 'static {
    /// Where it is bound, without options; with the real port if 0 was asked for.
    fn local(&self) -> Endpoint;

    /// What a client dials: [`Listener::local`], the default, with what else the client has to know, as the key that it is to
    /// trust.
    fn dial(&self) -> Endpoint {
        self.local()
    }

    /// Waits for the next connection and takes it.
    ///
    /// # Errors
    /// The system's error, as it is.
    async fn accept(&mut self) -> io::Result<Incoming>;

    /// Refuses new connections: from now on `accept` gives those that already wait, and then waits for ever. Called once,
    /// when the server drains: a listener that is closed with connections in its queue resets them.
    ///
    /// The default does nothing: a connection that comes between the last `accept` and the close may be reset.
    ///
    /// # Errors
    /// The system's error; the listener is as it was.
    fn refuse_arrivals(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Checks the place that it is bound to, where other processes can take that away, and repairs what can be repaired; a
    /// socket's file may be deleted. `None`, the default: there is nothing to check.
    ///
    /// The server calls it when it begins to serve, and then each half second until it drains, or until it gave `None`. It
    /// does not wait; an `accept` that waited before must be begun anew behind it.
    fn upkeep(&mut self) -> Option<Upkeep> {
        None
    }

    /// Whether it was bound with something that [`Listener::reload`] reads again. The same at any time; the default is that
    /// it was not.
    fn reloads(&self) -> bool {
        false
    }

    /// Begins to read again what was read from files when it was bound, certificates for example, for connections that come
    /// later. It does not wait, and [`Listener::upkeep`] tells what came of it. Called of each member of a group, on the
    /// runtime that it serves on, within a second of the request; never where there is nothing to [reload](Self::reloads).
    /// The default does nothing.
    fn reload(&mut self) {}

    /// The listener that wire layers stand on, taken out of them; what is left accepts nothing more and is dropped. `None`, the
    /// default: there are no layers. See [`Transport::base`](crate::Transport::base).
    fn unstack(&mut self) -> Option<Box<dyn Listener>> {
        None
    }

    /// What an error of `accept` means.
    fn classify(&self, error: &io::Error) -> ErrorClass {
        classify_accept(error)
    }

    /// Whether the members of its [group](crate::Transport::bind_group) take from one queue, as those of a duplicated
    /// descriptor do, rather than from one each. Then the member that is woken first would take everything, so the server
    /// passes what it took on to the member with the fewest: the [`Incoming`] must belong to no runtime before
    /// [`Incoming::establish`] is polled.
    fn shares_queue(&self) -> bool {
        false
    }
}

/// A connection that was taken and may still have a handshake before it.
///
/// The server finishes it in the session's own task under a deadline, so that a stalled handshake delays no other.
#[must_use = "a connection that is not established is closed"]
pub struct Incoming {
    peer: Peer,
    link: Pin<Box<dyn Future<Output = io::Result<Link>> + Send>>,
    renames: bool,
}

impl Incoming {
    /// A connection that needs no handshake.
    pub fn ready(link: Link) -> Self {
        Self::pending(link.info().peer.clone(), std::future::ready(Ok(link)))
    }

    /// A connection of `peer` whose handshake is `link`.
    pub fn pending(peer: Peer, link: impl Future<Output = io::Result<Link>> + Send + 'static) -> Self {
        Self { peer, link: Box::pin(link), renames: false }
    }

    /// The same connection, whose handshake tells on whose behalf the peer speaks: the link's peer has another address, and
    /// limits for each source are for that one.
    pub fn renaming(self) -> Self {
        Self { renames: true, ..self }
    }

    /// Whether the link's peer has another address.
    pub const fn renames(&self) -> bool {
        self.renames
    }

    /// The peer, as far as it is known before the handshake.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Runs the handshake.
    ///
    /// # Errors
    /// The handshake failed: this connection is over.
    ///
    /// # Cancel safety
    /// Not cancel safe: dropping it closes the connection.
    pub async fn establish(self) -> io::Result<Link> {
        self.link.await
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Incoming({})", self.peer)
    }
}

type Wrap = dyn Fn(Box<dyn Listener>) -> Box<dyn Listener> + Send + Sync;

/// The wire layers of an endpoint, with what they need, ready to stand on a listener that is bound already
/// ([`Transport::layers`](crate::Transport::layers)).
#[must_use = "they do nothing before they are put around a listener"]
pub struct WireLayers(Option<Box<Wrap>>);

impl WireLayers {
    /// No layers.
    pub const fn none() -> Self {
        Self(None)
    }

    /// Layers that `wrap` puts around a listener.
    pub fn new(wrap: impl Fn(Box<dyn Listener>) -> Box<dyn Listener> + Send + Sync + 'static) -> Self {
        Self(Some(Box::new(wrap)))
    }

    /// Puts them around `listener`.
    pub fn wrap(&self, listener: Box<dyn Listener>) -> Box<dyn Listener> {
        match &self.0 {
            Some(wrap) => wrap(listener),
            None => listener,
        }
    }
}

impl fmt::Debug for WireLayers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "WireLayers" } else { "WireLayers(none)" })
    }
}
