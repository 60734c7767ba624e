//! The transport.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use swapwire_core::{
    BindError, Bound, Capabilities, ConnectError, Endpoint, Link, OptionDoc, Shape, Side, Transport, Upgrade,
    WireLayers, async_trait,
};
use tokio::time::{Instant, timeout_at};

use crate::listener::{Halves, StackedListener};

/// How long a client waits for the handshakes of all layers, without the option.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

const OWN_OPTION: OptionDoc = OptionDoc::new(
    "handshake_timeout",
    "time, default 10s",
    "how long the handshakes of all layers may take, once the wire below is connected",
    Side::Connect,
);

/// A transport of layers over another transport, for each of its schemes that has byte streams: `tls+unix` for `tls` over
/// `unix`.
///
/// Connecting needs a tokio runtime with time enabled; without, it panics.
pub struct Stacked {
    /// The upper one first.
    layers: Vec<Arc<dyn Upgrade>>,
    base: Arc<dyn Transport>,
    wires: Vec<Wire>,
}

/// One scheme of a stack.
struct Wire {
    scheme: String,
    /// That of the base.
    below: String,
    capabilities: Capabilities,
    options: Vec<OptionDoc>,
}

/// Why layers cannot stand on one another: what is wrong and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackError(String);

impl fmt::Display for StackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StackError {}

impl Stacked {
    /// `layer` over `base`, on each of its schemes that has byte streams.
    ///
    /// # Errors
    /// None has; or an option of the layer has the name of one of the base.
    pub fn new(layer: impl Upgrade, base: impl Transport) -> Result<Self, StackError> {
        let schemes = base.schemes().into_iter();
        let schemes: Vec<_> =
            schemes.filter(|scheme| matches!(base.capabilities(scheme).shape, Shape::ByteStream)).collect();
        if schemes.is_empty() {
            return Err(StackError(format!("{} needs a byte stream, and the transport below has none", layer.name())));
        }
        Self::compose(vec![Arc::new(layer)], schemes.iter().map(|scheme| &**scheme), Arc::new(base))
    }

    /// The same stack under `layer`.
    ///
    /// # Errors
    /// The stack gives no byte streams, has such a layer, or has an option of the same name.
    pub fn under(mut self, layer: impl Upgrade) -> Result<Self, StackError> {
        self.layers.insert(0, Arc::new(layer));
        Self::compose(self.layers, self.wires.iter().map(|wire| &*wire.below), self.base)
    }

    pub(crate) fn compose<'a>(
        layers: Vec<Arc<dyn Upgrade>>,
        schemes: impl IntoIterator<Item = &'a str>,
        base: Arc<dyn Transport>,
    ) -> Result<Self, StackError> {
        let wires = schemes.into_iter().map(|scheme| Wire::new(&layers, scheme, &*base)).collect::<Result<_, _>>()?;
        Ok(Self { layers, base, wires })
    }

    /// The wire of `scheme`. A stack that a registry made has one, whatever was written for it.
    fn wire(&self, scheme: &str) -> Option<&Wire> {
        match &*self.wires {
            [only] => Some(only),
            wires => wires.iter().find(|wire| wire.scheme == scheme),
        }
    }

    /// The servers' halves, the lowest first, and the endpoint below.
    async fn to_bind(&self, endpoint: &Endpoint) -> Result<(Halves, Endpoint), BindError> {
        let wire = self.wire(endpoint.scheme()).ok_or_else(|| BindError::invalid(endpoint, self.misplaced()))?;
        let options = endpoint.read_options();
        options.check(&wire.options, Side::Bind).map_err(|error| BindError::option(endpoint, error))?;
        let mut below = endpoint.clone().with_scheme(&*wire.below);
        let mut servers = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            let (own, others) = below.split_options(layer.options());
            let half = layer.server(&own.with_scheme(endpoint.scheme())).await;
            servers.insert(0, (layer.name(), half.map_err(|error| error.of_bind(endpoint))?));
            below = others;
        }
        Ok((Halves { scheme: wire.scheme.clone(), servers }, below))
    }

    fn misplaced(&self) -> String {
        format!("this transport serves {}", self.schemes().join(", "))
    }
}

impl Wire {
    fn new(layers: &[Arc<dyn Upgrade>], below: &str, base: &dyn Transport) -> Result<Self, StackError> {
        let names = layers.iter().map(|layer| layer.name()).chain([below]);
        let scheme = names.collect::<Vec<_>>().join("+");
        let mut capabilities = base.capabilities(below);
        let of = |name, docs: &[OptionDoc]| docs.iter().map(|doc| (name, *doc)).collect::<Vec<_>>();
        // Those of the upper layers come first, as in the scheme.
        let mut options = of(below, base.options(below));
        options.push(("every stack", OWN_OPTION));
        let mut lower = below;
        for (index, layer) in layers.iter().enumerate().rev() {
            let name = layer.name();
            if layers[index + 1..].iter().any(|lower| lower.name() == name) {
                return Err(StackError(format!("{name} stands in it twice")));
            }
            if capabilities.shape != Shape::ByteStream {
                let shape = capabilities.shape;
                return Err(StackError(format!("{name} needs a byte stream, and {lower} gives a {shape} wire")));
            }
            for doc in layer.options() {
                if let Some((other, _)) = options.iter().find(|(_, known)| known.name == doc.name) {
                    return Err(StackError(format!("{name} and {other} both have an option {:?}", doc.name)));
                }
            }
            options.splice(..0, of(name, layer.options()));
            capabilities = layer.capabilities(capabilities);
            lower = name;
        }
        let options = options.into_iter().map(|(_, doc)| doc).collect();
        Ok(Self { scheme, below: below.to_owned(), capabilities, options })
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Transport for Stacked {
    fn schemes(&self) -> Vec<Cow<'static, str>> {
        self.wires.iter().map(|wire| wire.scheme.clone().into()).collect()
    }

    fn capabilities(&self, scheme: &str) -> Capabilities {
        self.wire(scheme).or(self.wires.first()).map_or(Capabilities::byte_stream(), |wire| wire.capabilities)
    }

    fn options(&self, scheme: &str) -> &[OptionDoc] {
        self.wire(scheme).map_or(&[], |wire| &wire.options)
    }

    async fn check(&self, endpoint: &Endpoint) -> Result<(), BindError> {
        let (_, below) = self.to_bind(endpoint).await?;
        self.base.check(&below).await.map_err(|error| error.at(endpoint))
    }

    async fn bind(&self, endpoint: &Endpoint) -> Result<Bound, BindError> {
        let (halves, below) = self.to_bind(endpoint).await?;
        let bound = self.base.bind(&below).await.map_err(|error| error.at(endpoint))?;
        StackedListener::around(bound, &Arc::new(halves), endpoint)
    }

    async fn bind_group(&self, endpoint: &Endpoint, members: usize) -> Result<Vec<Bound>, BindError> {
        let (halves, below) = self.to_bind(endpoint).await?;
        let group = self.base.bind_group(&below, members).await.map_err(|error| error.at(endpoint))?;
        let halves = Arc::new(halves);
        group.into_iter().map(|bound| StackedListener::around(bound, &halves, endpoint)).collect()
    }

    async fn bind_all(&self, endpoint: &Endpoint, members: usize) -> Result<Vec<Vec<Bound>>, BindError> {
        let (halves, below) = self.to_bind(endpoint).await?;
        let groups = self.base.bind_all(&below, members).await.map_err(|error| error.at(endpoint))?;
        let halves = Arc::new(halves);
        let wrap = |group: Vec<Bound>| {
            group.into_iter().map(|bound| StackedListener::around(bound, &halves, endpoint)).collect()
        };
        groups.into_iter().map(wrap).collect()
    }

    fn base(&self, endpoint: &Endpoint) -> Endpoint {
        let Some(wire) = self.wire(endpoint.scheme()) else { return endpoint.clone() };
        let below = endpoint.clone().with_scheme(&*wire.below);
        let below = self.layers.iter().fold(below, |below, layer| below.split_options(layer.options()).1);
        self.base.base(&below)
    }

    async fn layers(&self, endpoint: &Endpoint) -> Result<WireLayers, BindError> {
        let (halves, below) = self.to_bind(endpoint).await?;
        let (halves, inner) = (Arc::new(halves), self.base.layers(&below).await?);
        Ok(WireLayers::new(move |listener| StackedListener::over(inner.wrap(listener), &halves)))
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<Link, ConnectError> {
        let wire = self.wire(endpoint.scheme()).ok_or_else(|| ConnectError::invalid(endpoint, self.misplaced()))?;
        let options = endpoint.read_options();
        let wrong = |error| ConnectError::option(endpoint, error);
        options.check(&wire.options, Side::Connect).map_err(wrong)?;
        let limit = options.get(OWN_OPTION.name).map_err(wrong)?.unwrap_or(HANDSHAKE_TIMEOUT);
        let mut below = endpoint.clone().with_scheme(&*wire.below).without_option(OWN_OPTION.name);
        let mut clients = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            let (own, others) = below.split_options(layer.options());
            let half = layer.client(&own.with_scheme(endpoint.scheme())).await;
            clients.push((layer.name(), half.map_err(|error| error.of_connect(endpoint))?));
            below = others;
        }
        let mut link = self.base.connect(&below).await.map_err(|error| error.at(endpoint))?;
        let deadline = Instant::now() + limit;
        for (layer, client) in clients.into_iter().rev() {
            let failed = |source| ConnectError::Handshake { endpoint: endpoint.clone(), layer, source };
            let Link::Bytes { io, info } = link else { return Err(ConnectError::invalid(endpoint, no_bytes(layer))) };
            let late = |_| {
                let text = format!("the handshake was not done within {limit:?}: handshake_timeout is for all layers");
                io::Error::new(io::ErrorKind::TimedOut, text)
            };
            let connected = timeout_at(deadline, client.connect(io, info)).await;
            link = connected.map_err(late).flatten().map_err(failed)?;
        }
        Ok(link)
    }

    /// Layers are stacked on the transport of a socket, and do not serve one themselves.
    #[cfg(unix)]
    fn adopts(&self, _: std::os::fd::BorrowedFd<'_>) -> Option<Cow<'static, str>> {
        None
    }

    #[cfg(unix)]
    fn adopt(&self, endpoint: &Endpoint, _: std::os::fd::OwnedFd, _: usize) -> Result<Vec<Bound>, BindError> {
        Err(BindError::not_adopted(endpoint))
    }
}

/// Why `layer` cannot go on: what is below is not what it said.
pub(crate) fn no_bytes(layer: &str) -> String {
    format!("{layer} needs a byte stream, and what is below gave another wire, against its capabilities")
}

impl fmt::Debug for Stacked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stacked({})", self.schemes().join(", "))
    }
}
