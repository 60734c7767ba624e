//! Handlers of one message at a time.

use std::future::Future;
use std::sync::Arc;

use super::HandlerProperties;
use crate::{Addr, HandlerError, Peer, Reply, SessionId};

/// Answers one message at a time: the per-message hot path.
///
/// Implemented by users, called by the server's loops with static dispatch: no box and no allocation per message. Shared
/// state lives in the handler; a handler knows nothing about earlier messages of the same peer (a
/// [`SessionHandler`](crate::SessionHandler) does; [`Request::session`] tells whose message it is).
///
/// # Contract
/// 1. The server calls `handle` once for each message, and never polls a call again after dropping it.
/// 2. Messages of one stream session are handled one after the other, in order. Datagrams, and messages of different
///    sessions, may be handled at the same time and in any order.
/// 3. Replies leave when `handle` returns `Ok`, or before, while it waits.
/// 4. An error or a panic ends this session only; on a datagram socket, it drops this datagram's replies only.
/// 5. The [`Reply`] is lent for this call. A handler that puts another one in its place [fails](crate::server::Replaced).
///
/// # Cancel safety
/// A call is dropped half-way when its session ends, at a deadline, or when a drain runs out of time.
///
/// # Implementing
/// ```
/// use swapwire_core::{Handler, HandlerError, Reply, Request};
///
/// struct Shout;
///
/// impl Handler for Shout {
///     async fn handle(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
///         reply.send(request.message().to_ascii_uppercase())?;
///         Ok(())
///     }
/// }
/// ```
///
/// It is called on the runtime that serves the connection or the socket, so `tokio::spawn` within it starts a task there: on
/// a server with workers, on that worker's, and the task is cut when the worker ends.
///
/// A wrong one: it blocks the thread that serves all other peers. Wait with the runtime's own timers and sockets, or move
/// the work to `spawn_blocking`.
///
/// ```no_run
/// # use swapwire_core::{Handler, HandlerError, Reply, Request};
/// # struct Wrong;
/// impl Handler for Wrong {
///     async fn handle(&self, _: Request<'_>, _: &mut Reply<'_>) -> Result<(), HandlerError> {
///         std::thread::sleep(std::time::Duration::from_secs(1)); // wrong
///         Ok(())
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a `Handler`",
    label = "cannot answer one message at a time",
    note = "implement `Handler` for it, or make one of a closure: `handler_fn(|request, reply| ...)`, or `handler_fn_async` if it waits",
    note = "a `SessionHandler` or a `StatefulHandler` is not a `Handler`; a server takes all three"
)]
pub trait Handler: Send + Sync + 'static {
    /// Answers `request` with none, one or many messages.
    fn handle(
        &self,
        request: Request<'_>,
        reply: &mut Reply<'_>,
    ) -> impl Future<Output = Result<(), HandlerError>> + Send;

    /// What it declares of itself; the default is [`HandlerProperties::new`]. Layers pass it on ([`HandlerLayer`] does).
    ///
    /// [`HandlerLayer`]: crate::HandlerLayer
    fn properties(&self) -> HandlerProperties {
        HandlerProperties::new()
    }
}

/// One message and where it came from. Borrowed: it is valid as long as the call.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    message: &'a [u8],
    peer: Option<&'a Peer>,
    local: &'a Addr,
}

impl<'a> Request<'a> {
    /// A message that `peer` sent to `local`.
    pub const fn new(message: &'a [u8], peer: Option<&'a Peer>, local: &'a Addr) -> Self {
        Self { message, peer, local }
    }

    /// The bytes.
    pub const fn message(&self) -> &'a [u8] {
        self.message
    }

    /// The sender; `None` for a datagram from a socket without an address, which cannot be answered.
    pub const fn peer(&self) -> Option<&'a Peer> {
        self.peer
    }

    /// The session it belongs to: the same for all messages of one connection, and different from those of all others.
    /// [`SessionId`] says what that is on a datagram socket. There it may cost two hashes of the addresses each time it is
    /// asked for.
    pub fn session(&self) -> SessionId {
        let known = self.peer.and_then(Peer::session);
        known.unwrap_or_else(|| SessionId::between(self.peer.map(Peer::addr), self.local))
    }

    /// The local address it reached.
    pub const fn local(&self) -> &'a Addr {
        self.local
    }
}

impl<H: Handler> Handler for Arc<H> {
    fn handle(
        &self,
        request: Request<'_>,
        reply: &mut Reply<'_>,
    ) -> impl Future<Output = Result<(), HandlerError>> + Send {
        (**self).handle(request, reply)
    }

    fn properties(&self) -> HandlerProperties {
        (**self).properties()
    }
}
