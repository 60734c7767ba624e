//! Handlers of either kind behind one object-safe face.
//!
//! Erasure happens around the loop, not inside it: a virtual call for each connection or socket, none for each message.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use swapwire_core::{
    Capabilities, DatagramSocket, Framing, Handler, Input, Link, SessionHandler, Shape, Stateful, StatefulHandler,
};

use crate::datagram::serve_datagrams;
use crate::drain::Succession;
use crate::peers::serve_peers;
use crate::stream::{serve_bytes, serve_messages, serve_session};
use crate::{ServeContext, SessionEnd};

/// Serves whole links and sockets: the object-safe twin of [`Handler`] and [`SessionHandler`].
///
/// [`IntoService`] makes one of every handler; write your own only to serve a wire in another way.
#[async_trait]
pub trait Service: Send + Sync + 'static {
    /// Whether it can serve such wires with such a framing. Asked before the first connection.
    ///
    /// # Errors
    /// What is wrong and what would be right, for people.
    fn check(&self, capabilities: &Capabilities, framing: &Framing) -> Result<(), String>;

    /// As [`HandlerProperties::amplifies`](swapwire_core::HandlerProperties::amplifies).
    fn amplifies(&self) -> bool;

    /// What it leaves to the service that follows it on a datagram socket. The default, nothing, is for one whose
    /// [`serve_socket`](Self::serve_socket) is its own: a running server does not give such a socket another handler.
    fn succession(&self) -> Succession {
        Succession::None
    }

    /// Serves one connection to its end, and closes it.
    ///
    /// # Cancel safety
    /// Dropping it cuts the session.
    async fn serve_link(self: Arc<Self>, link: Link, cx: Arc<ServeContext>) -> SessionEnd;

    /// Serves one datagram socket until the drain is over, and returns how many calls or sessions were cut.
    ///
    /// # Errors
    /// The socket can never work again.
    ///
    /// # Cancel safety
    /// Dropping it cuts what is under way.
    async fn serve_socket(&self, socket: Box<dyn DatagramSocket>, cx: &ServeContext) -> io::Result<u64>;
}

/// A message handler as a [`Service`].
#[derive(Debug)]
pub struct PerMessage<H>(Arc<H>);

/// A session handler as a [`Service`].
#[derive(Debug)]
pub struct PerSession<H>(Arc<H>);

impl<H> PerMessage<H> {
    /// Wraps `handler`.
    pub fn new(handler: H) -> Self {
        Self(Arc::new(handler))
    }
}

impl<H> PerSession<H> {
    /// Wraps `handler`.
    pub fn new(handler: H) -> Self {
        Self(Arc::new(handler))
    }
}

fn check_input(input: Input, capabilities: &Capabilities, framing: &Framing) -> Result<(), String> {
    if input == Input::Messages && capabilities.shape == Shape::ByteStream && !framing.boundaries() {
        return Err(
            "the handler needs whole messages, and a byte stream has none: choose a framing (lines, length, …)"
                .to_owned(),
        );
    }
    Ok(())
}

#[async_trait]
impl<H: Handler> Service for PerMessage<H> {
    fn check(&self, capabilities: &Capabilities, framing: &Framing) -> Result<(), String> {
        check_input(self.0.properties().input, capabilities, framing)
    }

    fn amplifies(&self) -> bool {
        self.0.properties().amplifies
    }

    fn succession(&self) -> Succession {
        Succession::Calls
    }

    // As `async_trait` writes it, but for the future around the loop, which would double what an idle session keeps.
    fn serve_link<'c>(
        self: Arc<Self>,
        link: Link,
        cx: Arc<ServeContext>,
    ) -> Pin<Box<dyn Future<Output = SessionEnd> + Send + 'c>>
    where
        Self: 'c,
    {
        let handler = Arc::clone(&self.0);
        match link {
            Link::Bytes { io, info, .. } => Box::pin(serve_bytes(handler, io, None, info, cx)),
            Link::Framed { io, framing, info, .. } => Box::pin(serve_bytes(handler, io, Some(&framing), info, cx)),
            Link::Messages { io, info, .. } => Box::pin(async move { serve_messages(&*handler, io, info, &cx).await }),
            _ => Box::pin(std::future::ready(SessionEnd::Handshake)),
        }
    }

    async fn serve_socket(&self, socket: Box<dyn DatagramSocket>, cx: &ServeContext) -> io::Result<u64> {
        serve_datagrams(Arc::clone(&self.0), socket, cx).await
    }
}

#[async_trait]
impl<H: SessionHandler> Service for PerSession<H> {
    fn check(&self, capabilities: &Capabilities, framing: &Framing) -> Result<(), String> {
        if !capabilities.stable_peers {
            return Err(
                "the handler needs sessions, and here each request has another address: use a message handler".into()
            );
        }
        check_input(self.0.properties().input, capabilities, framing)
    }

    fn amplifies(&self) -> bool {
        self.0.properties().amplifies
    }

    fn succession(&self) -> Succession {
        Succession::Sessions
    }

    async fn serve_link(self: Arc<Self>, link: Link, cx: Arc<ServeContext>) -> SessionEnd {
        serve_session(&*self.0, link, &cx).await
    }

    async fn serve_socket(&self, socket: Box<dyn DatagramSocket>, cx: &ServeContext) -> io::Result<u64> {
        serve_peers(Arc::clone(&self.0), socket, cx).await
    }
}

/// Two services under one name: one for connections, one for datagram sockets. For protocols that speak first on a stream
/// and answer on a datagram, as daytime (RFC 867).
pub struct Split {
    stream: Arc<dyn Service>,
    datagram: Arc<dyn Service>,
}

impl Split {
    /// `stream` serves connections, `datagram` serves datagram sockets.
    pub fn new<K, L>(stream: impl IntoService<K>, datagram: impl IntoService<L>) -> Self {
        Self { stream: stream.into_service(), datagram: datagram.into_service() }
    }
}

#[async_trait]
impl Service for Split {
    fn check(&self, capabilities: &Capabilities, framing: &Framing) -> Result<(), String> {
        match capabilities.shape {
            Shape::Datagram => self.datagram.check(capabilities, framing),
            _ => self.stream.check(capabilities, framing),
        }
    }

    fn amplifies(&self) -> bool {
        self.datagram.amplifies()
    }

    fn succession(&self) -> Succession {
        self.datagram.succession()
    }

    async fn serve_link(self: Arc<Self>, link: Link, cx: Arc<ServeContext>) -> SessionEnd {
        Arc::clone(&self.stream).serve_link(link, cx).await
    }

    async fn serve_socket(&self, socket: Box<dyn DatagramSocket>, cx: &ServeContext) -> io::Result<u64> {
        self.datagram.serve_socket(socket, cx).await
    }
}

impl std::fmt::Debug for Split {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Split")
    }
}

/// Every [`Handler`], every [`SessionHandler`], every [`StatefulHandler`] and every `Arc<dyn Service>`. `Kind` selects
/// which; a type that is more than one kind of handler needs [`PerMessage`] or [`PerSession`] around it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler",
    label = "cannot serve messages or sessions",
    note = "implement `Handler` (one message at a time), `StatefulHandler` (with a state for each session) or `SessionHandler` (a whole \
            session) for it",
    note = "a closure becomes a handler by `handler_fn(|request, reply| ...)`, or by `handler_fn_async` if it waits",
    note = "a handler that is shared is given as an `Arc`, not as a reference or a `Box`"
)]
pub trait IntoService<Kind> {
    /// The service.
    fn into_service(self) -> Arc<dyn Service>;
}

/// The kind of [`Handler`]s.
#[derive(Debug)]
pub enum MessageKind {}

/// The kind of [`SessionHandler`]s.
#[derive(Debug)]
pub enum SessionKind {}

/// The kind of [`StatefulHandler`]s.
#[derive(Debug)]
pub enum StatefulKind {}

/// The kind of what is a [`Service`] already.
#[derive(Debug)]
pub enum ServiceKind {}

impl<H: Handler> IntoService<MessageKind> for H {
    fn into_service(self) -> Arc<dyn Service> {
        Arc::new(PerMessage::new(self))
    }
}

impl<H: SessionHandler> IntoService<SessionKind> for H {
    fn into_service(self) -> Arc<dyn Service> {
        Arc::new(PerSession::new(self))
    }
}

impl<H: StatefulHandler> IntoService<StatefulKind> for H {
    fn into_service(self) -> Arc<dyn Service> {
        Arc::new(PerSession::new(Stateful::new(self)))
    }
}

impl<S: Service> IntoService<ServiceKind> for S {
    fn into_service(self) -> Arc<dyn Service> {
        Arc::new(self)
    }
}

impl IntoService<ServiceKind> for Arc<dyn Service> {
    fn into_service(self) -> Arc<dyn Service> {
        self
    }
}
