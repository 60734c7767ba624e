//! The registry of transports, of layers that stand on them, and of sources of sockets that they serve.

#[cfg(unix)]
mod passed;
#[cfg(unix)]
mod source;
mod stack;
#[cfg(unix)]
mod taken;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::name::suggestion::listed;
use crate::{BindError, Bound, ConnectError, Endpoint, EndpointError, Link, Place, RegistryError, Transport, Upgrade};

#[cfg(unix)]
pub use source::{PassedSocket, SocketSource};
pub use stack::Compose;

/// A transport without layers, and the scheme of it that is meant.
type Base = (String, Arc<dyn Transport>);

/// Maps schemes to transports. An ordinary value: there is no global one.
///
/// With layers, it also makes the transport of a stack: `tls+proxy+tcp` is the layer `tls` over the layer `proxy` over the
/// transport `tcp`. A scheme that ends in a layer stands on `tcp` where a host and port follow, on `unix` where a path or an
/// abstract name does, and on `mem` where a name does.
#[derive(Clone, Default)]
pub struct Registry {
    transports: BTreeMap<Cow<'static, str>, Arc<dyn Transport>>,
    layers: BTreeMap<&'static str, Arc<dyn Upgrade>>,
    /// Of a part of a scheme, what it stands for.
    aliases: BTreeMap<&'static str, &'static str>,
    compose: Option<Compose>,
    #[cfg(unix)]
    sources: BTreeMap<Cow<'static, str>, Arc<dyn SocketSource>>,
}

impl Registry {
    /// No transports.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same registry with `transport` under each of its schemes. A later one replaces an earlier one.
    #[must_use]
    pub fn with(mut self, transport: impl Transport) -> Self {
        self.register(transport);
        self
    }

    /// Adds `transport` under each of its schemes. A later one replaces an earlier one.
    pub fn register(&mut self, transport: impl Transport) {
        let transport: Arc<dyn Transport> = Arc::new(transport);
        for scheme in transport.schemes() {
            self.transports.insert(scheme, Arc::clone(&transport));
        }
    }

    /// Adds a layer under its name, and what makes transports of layers: `swapwire_stack::WithLayer` has the call for users.
    /// A later layer replaces an earlier one of its name.
    pub fn register_layer(&mut self, layer: Arc<dyn Upgrade>, compose: Compose) {
        self.layers.insert(layer.name(), layer);
        self.compose = Some(compose);
    }

    /// The same registry with sockets of other programs under each scheme of `source`. A transport of the same scheme comes first,
    /// a later source replaces an earlier one.
    #[cfg(unix)]
    #[must_use]
    pub fn with_socket_source(mut self, source: impl SocketSource) -> Self {
        let source: Arc<dyn SocketSource> = Arc::new(source);
        for scheme in source.schemes() {
            self.sources.insert(scheme, Arc::clone(&source));
        }
        self
    }

    /// The schemes of sockets that other programs opened, in alphabetical order.
    #[cfg(unix)]
    pub fn socket_sources(&self) -> impl Iterator<Item = &str> {
        self.sources.keys().map(|scheme| &**scheme)
    }

    /// The same registry in which `name`, as a part of a scheme, stands for `layers`: `wss` for `ws+tls`. What is bound or
    /// connected has the whole name.
    #[must_use]
    pub fn with_alias(mut self, name: &'static str, layers: &'static str) -> Self {
        self.aliases.insert(name, layers);
        self
    }

    /// The registered schemes with their transports, in alphabetical order.
    pub fn schemes(&self) -> impl Iterator<Item = (&str, &dyn Transport)> {
        self.transports.iter().map(|(scheme, transport)| (&**scheme, transport.as_ref()))
    }

    /// The registered layers, in alphabetical order.
    pub fn layers(&self) -> impl Iterator<Item = &dyn Upgrade> {
        self.layers.values().map(AsRef::as_ref)
    }

    /// The transport of `endpoint`'s scheme, which is made of its layers if it is a stack. Where the endpoint names sockets of
    /// another program, it is the first transport, in alphabetical order of schemes, that serves such.
    ///
    /// # Errors
    /// An unknown scheme or layer, with the list of the known ones; layers that cannot stand on one another; sockets that are not
    /// there, or that nothing serves.
    pub fn transport(&self, endpoint: &Endpoint) -> Result<Arc<dyn Transport>, RegistryError> {
        match self.base(endpoint.scheme(), endpoint.place())? {
            Some((_, transport)) => Ok(transport),
            None => self.stack(endpoint.scheme(), endpoint.place()),
        }
    }

    /// The transport of a scheme without layers, if it is known.
    fn base(&self, scheme: &str, place: &Place) -> Result<Option<Base>, RegistryError> {
        if let Some(transport) = self.transports.get(scheme) {
            return Ok(Some((scheme.to_owned(), Arc::clone(transport))));
        }
        #[cfg(unix)]
        if let Some(source) = self.sources.get(scheme) {
            return self.passed(&**source, scheme, place).map(Some);
        }
        #[cfg(not(unix))]
        let _ = place;
        Ok(None)
    }

    /// The schemes without layers.
    fn bases(&self) -> impl Iterator<Item = &str> {
        let transports = self.transports.keys().map(|scheme| &**scheme);
        #[cfg(unix)]
        let transports = transports.chain(self.socket_sources());
        transports
    }

    /// The same error about a text that is not an endpoint, or, if its scheme is none of ours, that one: what is wrong behind
    /// an unknown scheme depends on what was meant.
    ///
    /// ```
    /// use swapwire_core::{Endpoint, Registry};
    /// let error = "tpc://:1".parse::<Endpoint>().unwrap_err();
    /// assert_eq!(Registry::new().explain(error).reason(), "unknown scheme \"tpc\"; known: none");
    /// ```
    #[must_use]
    pub fn explain(&self, error: EndpointError) -> EndpointError {
        match error.scheme().and_then(|scheme| self.unknown(&scheme)) {
            Some(unknown) => error.because(unknown.to_string()),
            None => error,
        }
    }

    /// Why `scheme` is none of ours: the first part of it that is unknown.
    fn unknown(&self, scheme: &str) -> Option<RegistryError> {
        let scheme = &*self.whole(scheme);
        let is_known = |part: &str| self.layers.contains_key(part) || self.bases().any(|scheme| scheme == part);
        if is_known(scheme) {
            return None;
        }
        // Without layers, "+" is a character like others.
        let part = if self.layers.is_empty() { scheme } else { scheme.split('+').find(|part| !is_known(part))? };
        let known = self.bases().chain(self.layers.keys().copied());
        let aliases = self.aliases.iter().filter(|(_, layers)| layers.split('+').all(is_known));
        let known = known.chain(aliases.map(|(name, _)| *name));
        Some(RegistryError::UnknownScheme { scheme: part.to_owned(), known: listed(known) })
    }

    /// The scheme with what its aliases stand for.
    fn whole<'a>(&self, scheme: &'a str) -> Cow<'a, str> {
        if self.aliases.is_empty() {
            return scheme.into();
        }
        let parts = scheme.split('+').map(|part| self.aliases.get(part).copied().unwrap_or(part));
        parts.collect::<Vec<_>>().join("+").into()
    }

    /// Binds `endpoint` with the transport of its scheme.
    ///
    /// # Errors
    /// As [`Transport::bind`], or the scheme is unknown.
    ///
    /// # Cancel safety
    /// Dropping it leaves nothing bound.
    pub async fn bind(&self, endpoint: &Endpoint) -> Result<Bound, BindError> {
        self.to_bind(endpoint)?.bind(endpoint).await
    }

    /// Binds `endpoint` for several workers with the transport of its scheme: [`Transport::bind_group`].
    ///
    /// # Errors
    /// As [`Transport::bind`], or the scheme is unknown.
    ///
    /// # Cancel safety
    /// Dropping it leaves nothing bound.
    pub async fn bind_group(&self, endpoint: &Endpoint, members: usize) -> Result<Vec<Bound>, BindError> {
        self.to_bind(endpoint)?.bind_group(endpoint, members).await
    }

    /// Binds every place that `endpoint` names with the transport of its scheme: [`Transport::bind_all`].
    ///
    /// # Errors
    /// As [`Transport::bind`], or the scheme is unknown.
    ///
    /// # Cancel safety
    /// Dropping it leaves nothing bound.
    pub async fn bind_all(&self, endpoint: &Endpoint, members: usize) -> Result<Vec<Vec<Bound>>, BindError> {
        self.to_bind(endpoint)?.bind_all(endpoint, members).await
    }

    fn to_bind(&self, endpoint: &Endpoint) -> Result<Arc<dyn Transport>, BindError> {
        self.transport(endpoint).map_err(|source| BindError::Registry { endpoint: endpoint.clone(), source })
    }

    /// Connects to `endpoint` with the transport of its scheme.
    ///
    /// # Errors
    /// As [`Transport::connect`], or the scheme is unknown.
    ///
    /// # Cancel safety
    /// Dropping it leaves nothing open.
    pub async fn connect(&self, endpoint: &Endpoint) -> Result<Link, ConnectError> {
        let missing = |source| ConnectError::Registry { endpoint: endpoint.clone(), source };
        self.transport(endpoint).map_err(missing)?.connect(endpoint).await
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.bases()).entries(self.layers.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_scheme_lists_the_known_ones() {
        let endpoint: Endpoint = "tpc://h:1".parse().unwrap();
        let error = Registry::new().transport(&endpoint).map(|_| ()).unwrap_err();
        assert_eq!(error.to_string(), "unknown scheme \"tpc\"; known: none");
    }
}
