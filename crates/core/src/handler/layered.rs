//! Layers that cannot forget what the handler inside declares.

use std::future::Future;

use async_trait::async_trait;
use tower_layer::Layer;

use super::{Handler, HandlerProperties, SessionHandler};
use crate::{HandlerError, Reply, Request, Session};

/// What runs around the calls and the sessions of a handler: the easy way to write a layer.
///
/// [`Layered`] makes a handler of it and the handler inside, of the same kind or kinds. What the one inside
/// [declares](HandlerProperties) is passed on, but for what this may change.
///
/// ```
/// use swapwire_core::{
///     Handler, HandlerError, HandlerExt, HandlerLayer, LayerFn, Reply, Request, Session, SessionHandler, handler_fn, testing,
/// };
///
/// /// Answers nobody but the peers of one scheme.
/// struct Only(&'static str);
///
/// impl HandlerLayer for Only {
///     async fn handle<H: Handler>(
///         &self,
///         inner: &H,
///         request: Request<'_>,
///         reply: &mut Reply<'_>,
///     ) -> Result<(), HandlerError> {
///         match request.peer() {
///             Some(peer) if peer.to_string().starts_with(self.0) => inner.handle(request, reply).await,
///             _ => Ok(()),
///         }
///     }
///
///     async fn run<H: SessionHandler>(&self, inner: &H, session: Session) -> Result<(), HandlerError> {
///         if session.peer().to_string().starts_with(self.0) { inner.run(session).await } else { Ok(()) }
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), HandlerError> {
/// let echo = handler_fn(|request, reply| Ok(reply.send(request.message())?)).any_slicing();
/// let handler = echo.with_layer(LayerFn::new(|| Only("unix:")));
/// assert_eq!(testing::replies(&handler, "hello").await?.len(), 0);
/// # Ok(())
/// # }
/// ```
pub trait HandlerLayer: Send + Sync + 'static {
    /// What is declared of the whole, if the handler inside declares `inner`. The default passes it on, but that calls are
    /// [ready at once](HandlerProperties::ready_at_once): a layer that never waits itself returns `inner` as it is.
    fn properties(&self, inner: HandlerProperties) -> HandlerProperties {
        inner.with_ready_at_once(false)
    }

    /// One call: what this does around that of `inner`.
    fn handle<H: Handler>(
        &self,
        inner: &H,
        request: Request<'_>,
        reply: &mut Reply<'_>,
    ) -> impl Future<Output = Result<(), HandlerError>> + Send;

    /// One session: what this does around that of `inner`.
    fn run<H: SessionHandler>(
        &self,
        inner: &H,
        session: Session,
    ) -> impl Future<Output = Result<(), HandlerError>> + Send;
}

/// A handler inside a [`HandlerLayer`], and a handler of the same kind or kinds.
#[derive(Clone, Copy, Debug)]
pub struct Layered<L, H> {
    layer: L,
    inner: H,
}

impl<L, H> Layered<L, H> {
    /// `layer` around `inner`.
    pub const fn new(layer: L, inner: H) -> Self {
        Self { layer, inner }
    }
}

impl<L: HandlerLayer, H: Handler> Handler for Layered<L, H> {
    #[inline]
    fn handle(
        &self,
        request: Request<'_>,
        reply: &mut Reply<'_>,
    ) -> impl Future<Output = Result<(), HandlerError>> + Send {
        self.layer.handle(&self.inner, request, reply)
    }

    fn properties(&self) -> HandlerProperties {
        self.layer.properties(self.inner.properties())
    }
}

#[async_trait]
impl<L: HandlerLayer, H: SessionHandler> SessionHandler for Layered<L, H> {
    async fn run(&self, session: Session) -> Result<(), HandlerError> {
        self.layer.run(&self.inner, session).await
    }

    fn properties(&self) -> HandlerProperties {
        self.layer.properties(self.inner.properties())
    }
}

/// A [`Layer`] that makes a new [`HandlerLayer`] around each handler, by a closure.
#[derive(Clone, Copy)]
pub struct LayerFn<F>(F);

impl<F> LayerFn<F> {
    /// Asks `make` for each handler that is wrapped.
    pub const fn new(make: F) -> Self {
        Self(make)
    }
}

impl<F: Fn() -> L, L, H> Layer<H> for LayerFn<F> {
    type Service = Layered<L, H>;

    fn layer(&self, inner: H) -> Layered<L, H> {
        Layered::new((self.0)(), inner)
    }
}

impl<F> std::fmt::Debug for LayerFn<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LayerFn")
    }
}
