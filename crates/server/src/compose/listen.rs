//! One endpoint of a composition.

use std::fmt;
use std::sync::Arc;

use swapwire_core::{Endpoint, EndpointError, Framing, Registry};

use crate::{IntoService, Limits, Service};

/// An endpoint to listen on, and what it has of its own, for [`ServerBuilder::listen`](crate::ServerBuilder::listen).
///
/// What is not set here is the server's. A text and an [`Endpoint`] convert into one with nothing of its own.
///
/// ```
/// use swapwire_core::{Framing, handler_fn};
/// use swapwire_server::{Listen, Server};
///
/// let echo = handler_fn(|request, reply| Ok(reply.send(request.message())?));
/// let ping = handler_fn(|_, reply| Ok(reply.send(b"pong")?));
/// let server = Server::builder()
///     .listen("udp://127.0.0.1:7000")
///     .listen(Listen::on("tcp://127.0.0.1:7001").handler(ping).framing(Framing::Lines))
///     .handler(echo);
/// # let _ = server;
/// ```
#[derive(Clone)]
#[must_use = "it does nothing before it is given to `ServerBuilder::listen`"]
pub struct Listen {
    pub(crate) endpoint: Result<Endpoint, EndpointError>,
    pub(super) name: Option<String>,
    pub(super) registry: Option<Registry>,
    pub(super) service: Option<Arc<dyn Service>>,
    pub(super) framing: Option<Framing>,
    pub(super) limits: Option<Arc<Adjust>>,
}

/// Makes the limits of a listener of those of its server.
type Adjust = dyn Fn(Limits) -> Limits + Send + Sync;

impl Listen {
    /// Listens on `endpoint`, a text or an [`Endpoint`]. A text that is none is an error of
    /// [`bind`](crate::ServerBuilder::bind). Of a host name, all addresses are served
    /// ([`Transport::bind_all`](swapwire_core::Transport::bind_all)).
    pub fn on<E: TryInto<Endpoint, Error: Into<EndpointError>>>(endpoint: E) -> Self {
        let endpoint = endpoint.try_into().map_err(Into::into);
        Self { endpoint, name: None, registry: None, service: None, framing: None, limits: None }
    }

    /// What it is called where listeners are told apart, as in numbers; no other listener has the same. At most 255 bytes, without
    /// control characters. Default: the endpoint as it was written, without its options.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Chooses its transport from this registry, instead of [the server's](crate::ServerBuilder::registry): for a layer with
    /// settings of its own, as a page.
    pub fn registry(mut self, registry: Registry) -> Self {
        self.registry = Some(registry);
        self
    }

    /// Serves this handler, instead of [the server's](crate::ServerBuilder::handler).
    pub fn handler<K>(mut self, handler: impl IntoService<K>) -> Self {
        self.service = Some(handler.into_service());
        self
    }

    /// Cuts byte streams by this framing, instead of [the server's](crate::ServerBuilder::framing).
    pub fn framing(mut self, framing: Framing) -> Self {
        self.framing = Some(framing);
        self
    }

    /// Serves it with the limits that `adjust` makes of [the server's](crate::ServerBuilder::limits). Those that are for the whole
    /// server stay as they are, or it is an error of [`bind`](crate::ServerBuilder::bind): `max_connections`, `max_handshakes`,
    /// `memory_budget` and `drain_timeout`. A `max_per_source` of its own counts the connections of this listener alone.
    ///
    /// ```
    /// use swapwire_server::Listen;
    ///
    /// let small = Listen::on("udp://127.0.0.1:7000").limits(|limits| limits.max_message(512));
    /// # let _ = small;
    /// ```
    pub fn limits(mut self, adjust: impl Fn(Limits) -> Limits + Send + Sync + 'static) -> Self {
        self.limits = Some(Arc::new(adjust));
        self
    }
}

impl<E: TryInto<Endpoint, Error: Into<EndpointError>>> From<E> for Listen {
    fn from(endpoint: E) -> Self {
        Self::on(endpoint)
    }
}

impl fmt::Debug for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("Listen");
        text.field("endpoint", &self.endpoint).field("has_handler", &self.service.is_some());
        text.field("name", &self.name).field("framing", &self.framing);
        text.field("has_limits", &self.limits.is_some()).finish()
    }
}
