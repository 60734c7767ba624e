//! The registry of transports.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::name::suggestion::listed;
use crate::{BindError, Bound, ConnectError, Endpoint, EndpointError, Link, RegistryError, Transport};

/// Maps schemes to transports. An ordinary value: there is no global one.
#[derive(Clone, Default)]
pub struct Registry {
    transports: BTreeMap<&'static str, Arc<dyn Transport>>,
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

    /// The registered schemes with their transports, in alphabetical order.
    pub fn schemes(&self) -> impl Iterator<Item = (&'static str, &dyn Transport)> {
        self.transports.iter().map(|(scheme, transport)| (*scheme, transport.as_ref()))
    }

    /// The transport of `endpoint`'s scheme.
    ///
    /// # Errors
    /// An unknown scheme, with the list of the known ones.
    pub fn transport(&self, endpoint: &Endpoint) -> Result<&dyn Transport, RegistryError> {
        self.transports.get(endpoint.scheme()).map(AsRef::as_ref).ok_or_else(|| RegistryError::UnknownScheme {
            scheme: endpoint.scheme().to_owned(),
            known: listed(self.transports.keys().copied()),
        })
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
        match error.scheme() {
            Some(scheme) if !self.transports.contains_key(&*scheme) => {
                let known = listed(self.transports.keys().copied());
                let reason = RegistryError::UnknownScheme { scheme, known }.to_string();
                error.because(reason)
            }
            _ => error,
        }
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

    fn to_bind(&self, endpoint: &Endpoint) -> Result<&dyn Transport, BindError> {
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
        f.debug_set().entries(self.transports.keys()).finish()
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
