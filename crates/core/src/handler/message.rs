//! Handlers of one message at a time.

use std::future::Future;
use std::sync::Arc;

use crate::{Addr, HandlerError, Peer, Reply};

/// Answers one message at a time: the per-message hot path.
///
/// Implemented by users, called by the server's loops with static dispatch: no box and no allocation per message. Shared
/// state lives in the handler; a handler knows nothing about earlier messages of the same peer (a
/// [`SessionHandler`](crate::SessionHandler) does).
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
pub trait Handler: Send + Sync + 'static {
    /// Answers `request` with none, one or many messages.
    fn handle(
        &self,
        request: Request<'_>,
        reply: &mut Reply<'_>,
    ) -> impl Future<Output = Result<(), HandlerError>> + Send;

    /// Whether this handler needs whole messages. A handler of messages that is bound to a byte stream without a framing
    /// is an error before the first connection. Layers forward it.
    fn input(&self) -> Input {
        Input::Messages
    }

    /// Whether every call is ready when it is polled first, as that of a handler that never waits. The server then gathers
    /// the replies of several calls in one place, which spares a copy of each. A call that waits all the same holds up the
    /// replies of the calls just before it on a stream; on a datagram socket it is dropped and counted as an error. Layers
    /// forward it, or say `false` if they wait.
    fn ready_at_once(&self) -> bool {
        false
    }

    /// Whether replies may be more than three times as long as the request (and longer than 64 bytes) even where the
    /// sender's address may be forged. Such a handler would amplify attacks, so on such wires it is bound to loopback
    /// unless the server is told otherwise. Of a handler that returns `false`, such a reply is refused, counted and logged,
    /// except on a loopback address. Layers forward it.
    fn amplifies(&self) -> bool {
        false
    }
}

/// What a handler accepts as a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// Whole messages: their boundaries matter.
    Messages,
    /// Any slicing of a stream of bytes gives the same result, as for an echo.
    AnySlicing,
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

    fn ready_at_once(&self) -> bool {
        (**self).ready_at_once()
    }

    fn input(&self) -> Input {
        (**self).input()
    }

    fn amplifies(&self) -> bool {
        (**self).amplifies()
    }
}
