//! Handlers: what a server does.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use tower_layer::Layer;

use crate::{Addr, BoxError, Peer, Reply, Session};

/// Answers one message at a time: the per-message hot path.
///
/// Implemented by users, called by the server's loops with static dispatch: no box and no allocation per message. Shared
/// state lives in the handler; a handler knows nothing about earlier messages of the same peer (a [`SessionHandler`]
/// does).
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
/// A wrong one: it blocks the thread that serves everybody else. Wait with the runtime's own timers and sockets, or move
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
    /// unless the server is told otherwise. Of a handler that does not say so, such a reply is refused, counted and logged,
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

/// One message and where it came from. Borrowed: it lives as long as the call.
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

    /// Who sent it; `None` for a datagram from a socket without an address, which cannot be answered.
    pub const fn peer(&self) -> Option<&'a Peer> {
        self.peer
    }

    /// The local address it reached.
    pub const fn local(&self) -> &'a Addr {
        self.local
    }
}

/// Why a handler gave up: any error. It ends the session (on a datagram socket: drops the replies to this datagram) and is
/// counted and logged by the server.
pub struct HandlerError(BoxError);

impl HandlerError {
    /// The error inside.
    pub fn into_inner(self) -> BoxError {
        self.0
    }

    /// The error inside, if it is an `E`.
    pub fn downcast_ref<E: std::error::Error + 'static>(&self) -> Option<&E> {
        self.0.downcast_ref()
    }
}

impl<E: Into<BoxError>> From<E> for HandlerError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Runs a whole session: receives and sends whenever it likes. Its state is its local variables.
///
/// Works on every wire: on a datagram socket the server makes one session per peer, bounded in number, queue and idle
/// time.
///
/// # Contract
/// 1. The server calls `run` once for each session, beside the others: one that computes without waiting holds up those
///    that share its thread. (On a runtime of one thread they share a task as well; spawn one where that matters.)
/// 2. When `run` returns, the server flushes what was sent and closes the session gracefully.
/// 3. When the server drains, [`Session::draining`] resolves; a session that is still running at the drain deadline is
///    dropped.
/// 4. An error or a panic ends this session only.
///
/// # Implementing
/// ```
/// use swapwire_core::{HandlerError, Session, SessionHandler, async_trait};
///
/// struct Count;
///
/// #[async_trait]
/// impl SessionHandler for Count {
///     async fn run(&self, mut session: Session) -> Result<(), HandlerError> {
///         let mut count = 0_u64;
///         while let Some(_message) = session.recv().await? {
///             count += 1;
///             session.send(count.to_string()).await?;
///         }
///         Ok(())
///     }
/// }
/// ```
///
/// A wrong one: it never looks at [`Session::draining`], so every drain has to wait for its deadline and cut it.
///
/// ```no_run
/// # use swapwire_core::{HandlerError, Session, SessionHandler, async_trait};
/// # struct Wrong;
/// # #[async_trait]
/// # impl SessionHandler for Wrong {
/// async fn run(&self, mut session: Session) -> Result<(), HandlerError> {
///     loop {
///         session.send("tick").await?; // wrong: no end
///     }
/// }
/// # }
/// ```
#[async_trait]
pub trait SessionHandler: Send + Sync + 'static {
    /// Runs `session` to its end.
    async fn run(&self, session: Session) -> Result<(), HandlerError>;

    /// Whether this handler needs whole messages; see [`Handler::input`].
    fn input(&self) -> Input {
        Input::Messages
    }

    /// Whether it may send more than three times what it received, or 64 bytes for each message, to a peer whose address may
    /// be forged. One that does not say so and does it all the same gets [`SendError::Unproven`](crate::SendError::Unproven),
    /// until it [trusts](Session::trust_peer) the peer, except on a loopback address. See [`Handler::amplifies`].
    fn amplifies(&self) -> bool {
        false
    }
}

#[async_trait]
impl<H: SessionHandler + ?Sized> SessionHandler for Arc<H> {
    async fn run(&self, session: Session) -> Result<(), HandlerError> {
        (**self).run(session).await
    }

    fn input(&self) -> Input {
        (**self).input()
    }

    fn amplifies(&self) -> bool {
        (**self).amplifies()
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

/// What can be done with every handler.
pub trait HandlerExt: Sized {
    /// Wraps this handler in `layer`; the last one added runs first.
    fn with_layer<L: Layer<Self>>(self, layer: L) -> L::Service {
        layer.layer(self)
    }
}

impl<H> HandlerExt for H {}
