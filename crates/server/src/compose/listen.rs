//! One endpoint of a composition.

use std::fmt;
use std::sync::Arc;

use swapwire_core::{Endpoint, EndpointError, Framing};

use crate::{IntoService, Service};

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
    pub(super) endpoint: Result<Endpoint, EndpointError>,
    pub(super) service: Option<Arc<dyn Service>>,
    pub(super) framing: Option<Framing>,
}

impl Listen {
    /// Listens on `endpoint`, a text or an [`Endpoint`]. A text that is none is an error of
    /// [`bind`](crate::ServerBuilder::bind). Of a host name, all addresses are served
    /// ([`Transport::bind_all`](swapwire_core::Transport::bind_all)).
    pub fn on<E: TryInto<Endpoint, Error: Into<EndpointError>>>(endpoint: E) -> Self {
        Self { endpoint: endpoint.try_into().map_err(Into::into), service: None, framing: None }
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
        text.field("framing", &self.framing).finish()
    }
}
