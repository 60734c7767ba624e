//! The defaults: every transport and handler that the features switch on.

use swapwire_core::{ConnectError, Endpoint, EndpointError, Framing, Registry, Session, SessionConfig};
use swapwire_handlers::{Chargen, Chat, Daytime, Discard, Echo, Time, UppercaseEcho};
use swapwire_server::{
    BuildError, DrainReport, HandlerRegistry, IntoService, Listen, PerMessage, PerSession, Server, ServerBuilder, Split,
};

/// Every transport, every layer and every source of sockets that the features switch on. The `mem` network in it is its own: only this value and its
/// clones reach it.
pub fn default_registry() -> Registry {
    let registry = Registry::new();
    #[cfg(feature = "mem")]
    let registry = registry.with(swapwire_mem::MemNetwork::new());
    #[cfg(feature = "tcp")]
    let registry = registry.with(swapwire_tcp::Tcp::new());
    #[cfg(feature = "udp")]
    let registry = registry.with(swapwire_udp::Udp::new());
    #[cfg(all(feature = "unix", unix))]
    let registry = registry.with(swapwire_unix::Unix::new());
    #[cfg(feature = "nats")]
    let registry =
        registry.with(swapwire_nats::Nats::over(swapwire_tcp::Tcp::new()).with_tls(swapwire_tls::Tls::new()));
    #[cfg(all(feature = "systemd", target_os = "linux"))]
    let registry = registry.with_socket_source(swapwire_systemd::PassedSockets::new());
    #[cfg(feature = "proxy")]
    let registry = swapwire_stack::WithLayer::with_layer(registry, swapwire_proxy::Proxy::new());
    #[cfg(any(feature = "tls", feature = "tls-aws-lc"))]
    let registry = swapwire_stack::WithLayer::with_layer(registry, swapwire_tls::Tls::new());
    #[cfg(feature = "ws")]
    let registry = swapwire_stack::WithLayer::with_layer(registry, swapwire_ws::Ws::new()).with_alias("wss", "ws+tls");
    registry
}

/// The handlers of [`swapwire_handlers`] by name.
pub fn default_handlers() -> HandlerRegistry {
    HandlerRegistry::new()
        .with(UppercaseEcho::NAME, UppercaseEcho::DESCRIPTION, UppercaseEcho::default)
        .with(Echo::NAME, Echo::DESCRIPTION, Echo::default)
        .with(Discard::NAME, Discard::DESCRIPTION, Discard::default)
        .with(Chargen::NAME, Chargen::DESCRIPTION, || both(Chargen::default))
        .with(Daytime::NAME, Daytime::DESCRIPTION, || both(Daytime::default))
        .with(Time::NAME, Time::DESCRIPTION, || both(Time::default))
        .with(Chat::NAME, Chat::DESCRIPTION, Chat::default)
        .framed(Chat::NAME, Framing::Lines)
}

/// A protocol that sends at once on a stream and answers on a datagram socket.
fn both<H: swapwire_core::Handler + swapwire_core::SessionHandler>(make: fn() -> H) -> Split {
    Split::new(PerSession::new(make()), PerMessage::new(make()))
}

/// Starts composing a server with [`default_registry`].
pub fn server() -> ServerBuilder {
    Server::builder().registry(default_registry())
}

/// Serves `handler` on one endpoint with [`default_registry`], the default [`Limits`](swapwire_server::Limits), and no more:
/// the one-liner. For everything else there is [`server`].
///
/// `listen` is a text, an [`Endpoint`] or a [`Listen`], which can have a framing. A [`Handler`](swapwire_core::Handler) needs
/// one on byte streams, or `serve` is an error.
///
/// ```no_run
/// use swapwire::{Framing, Listen, handlers::UppercaseEcho};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), swapwire::BuildError> {
/// let report = swapwire::serve(Listen::on("tcp://127.0.0.1:8888").framing(Framing::Lines), UppercaseEcho).await?;
/// eprintln!("{report}");
/// # Ok(())
/// # }
/// ```
///
/// It installs no signal handler: it serves for ever, or until what it listens on has failed for good, which the report
/// says. A program that should drain when it is told to stop uses [`server`] with
/// [`Server::run_until`](swapwire_server::Server::run_until) or a [`ServerHandle`](swapwire_server::ServerHandle).
///
/// # Errors
/// The composition is wrong, or the endpoint cannot be bound.
///
/// # Cancel safety
/// Dropping it closes everything as soon as the runtime gets to it, without a drain.
pub async fn serve<K>(listen: impl Into<Listen>, handler: impl IntoService<K>) -> Result<DrainReport, BuildError> {
    Ok(server().listen(listen).handler(handler).bind().await?.await)
}

/// Connects to `endpoint` with [`default_registry`] and the default [`SessionConfig`]: byte streams arrive in chunks.
///
/// # Errors
/// The endpoint is malformed, no server listens there, or the system refuses.
///
/// # Cancel safety
/// Dropping it leaves nothing open.
pub async fn connect<E: TryInto<Endpoint, Error: Into<EndpointError>>>(endpoint: E) -> Result<Session, Error> {
    connect_with(&default_registry(), endpoint, SessionConfig::default()).await
}

/// Connects to `endpoint` with a registry and a configuration of your own.
///
/// # Errors
/// As [`connect`].
///
/// # Cancel safety
/// Dropping it leaves nothing open.
pub async fn connect_with<E: TryInto<Endpoint, Error: Into<EndpointError>>>(
    registry: &Registry,
    endpoint: E,
    config: SessionConfig,
) -> Result<Session, Error> {
    let endpoint = endpoint.try_into().map_err(|error| Error::Endpoint(registry.explain(error.into())))?;
    let link = registry.connect(&endpoint).await?;
    Ok(Session::new(link, config))
}

swapwire_core::debug_as_text!(Error);

/// Why [`connect`] failed.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text is not an endpoint.
    #[error(transparent)]
    Endpoint(EndpointError),
    /// The connection failed.
    #[error(transparent)]
    Connect(#[from] ConnectError),
}
