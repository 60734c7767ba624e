//! The transport.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use swapwire_core::{
    BindError, Bound, Capabilities, ConnectError, Endpoint, Link, OptionDoc, Shape, Side, Transport, Upgrade,
    UpgradeError, async_trait,
};

use crate::client::Client;
use crate::dial::{Below, Dialer};
use crate::options::{OPTIONS, Options};
use crate::socket::{Socket, SocketOptions};
use crate::{MAX_MESSAGE, SCHEME};

/// The transport of `nats://host:port/subject`, over the byte streams of another transport.
///
/// Its options are its own, those that a client has on the wire below, and, with [`with_tls`](Nats::with_tls), those that a client has
/// of TLS: `docs/options.md` of `swapwire` lists them.
///
/// Binding and connecting need a tokio runtime with time enabled, and whatever the wire below needs.
///
/// # Binding
/// A bind is a subscription, by a connection of its own. It is an error if no broker accepts it, unless `wait=true`, with which the
/// endpoint is unhealthy until one does. A subject can be bound often: without `queue` each subscriber gets every message, so a
/// group of more than one member needs it.
///
/// # Connecting
/// A link sends each message as a request with a reply subject of its own, and receives the replies. It stands on one connection;
/// when that breaks, the link is over.
#[derive(Clone)]
pub struct Nats {
    base: Arc<dyn Transport>,
    tls: Option<Arc<dyn Upgrade>>,
    options: Vec<OptionDoc>,
}

impl Nats {
    /// NATS over the byte streams of `base`: of its schemes, the first that has some.
    pub fn over(base: impl Transport) -> Self {
        Self { base: Arc::new(base), tls: None, options: Vec::new() }.with_options()
    }

    /// The same transport, which speaks TLS with a broker by `layer`: on the same stream, once the broker has said that it can.
    #[must_use]
    pub fn with_tls(self, layer: impl Upgrade) -> Self {
        Self { tls: Some(Arc::new(layer)), ..self }.with_options()
    }

    fn with_options(mut self) -> Self {
        let below = self.below().map(|below| below.options(OPTIONS).collect::<Vec<_>>());
        self.options = OPTIONS.iter().copied().chain(below.unwrap_or_default()).collect();
        self
    }

    fn below(&self) -> Result<Below, UpgradeError> {
        let schemes = self.base.schemes();
        let has_bytes = |scheme: &&Cow<'_, str>| self.base.capabilities(scheme).shape == Shape::ByteStream;
        let scheme = schemes.iter().find(has_bytes);
        let scheme =
            scheme.ok_or_else(|| UpgradeError::Invalid("the transport below has no byte streams".to_owned()))?;
        Ok(Below { base: Arc::clone(&self.base), scheme: scheme.clone().into_owned(), tls: self.tls.clone() })
    }

    fn read(&self, endpoint: &Endpoint, side: Side) -> Result<(Options, Dialer), UpgradeError> {
        endpoint.read_options().check(&self.options, side)?;
        Ok((Options::read(endpoint)?, Dialer::of(self.below()?, endpoint)?))
    }
}

#[async_trait]
impl Transport for Nats {
    fn schemes(&self) -> Vec<Cow<'static, str>> {
        vec![SCHEME.into()]
    }

    fn capabilities(&self, _scheme: &str) -> Capabilities {
        let mut capabilities = Capabilities::datagram(MAX_MESSAGE);
        capabilities.spoofable = false;
        capabilities.exclusive_bind = false;
        capabilities.stable_peers = false;
        capabilities
    }

    fn options(&self, _scheme: &str) -> &[OptionDoc] {
        &self.options
    }

    /// Files are read; no broker is asked.
    async fn check(&self, endpoint: &Endpoint) -> Result<(), BindError> {
        let (_, dialer) = self.read(endpoint, Side::Bind).map_err(|error| error.of_bind(&shown(endpoint)))?;
        dialer.check().await.map_err(|error| error.of_bind(endpoint))
    }

    async fn bind(&self, endpoint: &Endpoint) -> Result<Bound, BindError> {
        let mut group = self.bind_group(endpoint, 1).await?;
        group.pop().ok_or_else(|| BindError::invalid(endpoint, "nothing was bound"))
    }

    async fn bind_group(&self, endpoint: &Endpoint, members: usize) -> Result<Vec<Bound>, BindError> {
        let (options, dialer) = self.read(endpoint, Side::Bind).map_err(|error| error.of_bind(&shown(endpoint)))?;
        if members > 1 && options.queue.is_none() {
            let reason = format!(
                "each of {members} workers would get every message: add queue=NAME, which shares them, or serve with one worker"
            );
            return Err(BindError::invalid(endpoint, reason));
        }
        let dialer = Arc::new(dialer);
        let mut group = Vec::with_capacity(members);
        for _ in 0..members {
            let of = SocketOptions::of(&options);
            let bound = Socket::bind(
                Arc::clone(&dialer),
                options.subject.clone(),
                options.queue.clone(),
                local(endpoint, &options),
                of,
            );
            let bound = bound.await.map_err(|error| error.at(endpoint))?;
            group.push(Bound::Socket(Box::new(bound)));
        }
        Ok(group)
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<Link, ConnectError> {
        let (options, dialer) =
            self.read(endpoint, Side::Connect).map_err(|error| error.of_connect(&shown(endpoint)))?;
        let of = SocketOptions::of(&options);
        Client::connect(Arc::new(dialer), options.subject, endpoint.clone(), of).await
    }
}

/// What clients dial: the endpoint with its subject, without other options.
fn local(endpoint: &Endpoint, options: &Options) -> Endpoint {
    endpoint.clone().without_options().with_option("path", format_args!("/{}", options.subject))
}

/// The endpoint of an error, which may have been refused for a password in it.
fn shown(endpoint: &Endpoint) -> Endpoint {
    match endpoint.option("servers") {
        Some(servers) if servers.contains('@') => endpoint.clone().with_option("servers", "…"),
        _ => endpoint.clone(),
    }
}

impl fmt::Debug for Nats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Nats(over {})", self.base.schemes().join(", "))
    }
}
