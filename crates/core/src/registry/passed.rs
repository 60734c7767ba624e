//! The transport of an endpoint that names sockets which another program opened.

use std::borrow::Cow;
use std::os::fd::AsFd as _;
use std::sync::Arc;

use async_trait::async_trait;

use super::source::{PassedSocket, SocketSource};
use super::taken::hold;
use super::{Base, Registry};
use crate::{
    BindError, Bound, Capabilities, ConnectError, Endpoint, Link, OptionDoc, Place, RegistryError, Side, Transport,
    WireLayers,
};

/// What one of the registry's transports makes of them.
struct Passed {
    /// As the endpoint says: `systemd`.
    scheme: String,
    place: Place,
    /// A group for each address.
    groups: Vec<Vec<PassedSocket>>,
    taker: Base,
}

impl Registry {
    /// The transport of the sockets that `source` has at `place`, and its scheme.
    pub(super) fn passed(&self, source: &dyn SocketSource, scheme: &str, place: &Place) -> Result<Base, RegistryError> {
        let wrong = |reason| RegistryError::Socket { scheme: scheme.to_owned(), reason };
        let groups = source.sockets(scheme, place).map_err(wrong)?;
        let mut taker: Option<Base> = None;
        for socket in groups.iter().flatten() {
            let found = self.taker(socket).ok_or_else(|| {
                let schemes: Vec<_> = self.transports.keys().map(|scheme| &**scheme).collect();
                wrong(format!("{} is of a kind that none of these serves: {}", socket.name(), schemes.join(", ")))
            })?;
            match &taker {
                Some((other, _)) if *other != found.0 => {
                    let (name, found) = (socket.name(), found.0);
                    let reason =
                        format!("{name} is for {found}, another one for {other}: give each kind a name of its own");
                    return Err(wrong(reason));
                }
                _ => taker = Some(found),
            }
        }
        let taker = taker.ok_or_else(|| wrong("it names no socket".to_owned()))?;
        let base = taker.0.clone();
        let passed = Passed { scheme: scheme.to_owned(), place: place.clone(), groups, taker };
        Ok((base, Arc::new(passed)))
    }

    /// The transport that serves such a socket, and the scheme under which it does.
    fn taker(&self, socket: &PassedSocket) -> Option<Base> {
        let mut transports = self.transports.values();
        transports.find_map(|transport| Some((transport.adopts(socket.as_fd())?.into_owned(), Arc::clone(transport))))
    }
}

impl Passed {
    /// Serves the sockets of one address: one by all workers, several by one each.
    fn adopt(&self, endpoint: &Endpoint, sockets: &[PassedSocket], members: usize) -> Result<Vec<Bound>, BindError> {
        let (scheme, transport) = &self.taker;
        let below = endpoint.clone().with_scheme(scheme);
        let members = if sockets.len() == 1 { members } else { 1 };
        let mut group = Vec::new();
        for socket in sockets {
            let in_use = || BindError::AddrInUse {
                endpoint: endpoint.clone(),
                reason: format!("{} is served already, and is served once", socket.name()),
            };
            let taken = socket.take().ok_or_else(in_use)?;
            let descriptor = taken.duplicate().map_err(|error| BindError::from_io(endpoint, error))?;
            let adopted = transport.adopt(&below, descriptor, members).map_err(|error| error.at(endpoint))?;
            group.extend(adopted.into_iter().map(|bound| hold(bound, &taken)));
        }
        Ok(group)
    }

    fn first(&self) -> &[PassedSocket] {
        self.groups.first().map_or(&[], Vec::as_slice)
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Transport for Passed {
    fn schemes(&self) -> Vec<Cow<'static, str>> {
        vec![self.scheme.clone().into()]
    }

    fn capabilities(&self, _: &str) -> Capabilities {
        self.taker.1.capabilities(&self.taker.0)
    }

    fn options(&self, _: &str) -> &[OptionDoc] {
        self.taker.1.options(&self.taker.0)
    }

    /// Its sockets are there, or there would be no such transport.
    async fn check(&self, endpoint: &Endpoint) -> Result<(), BindError> {
        let checked = endpoint.read_options().check(self.options(endpoint.scheme()), Side::Bind);
        checked.map_err(|error| BindError::option(endpoint, error))
    }

    async fn bind(&self, endpoint: &Endpoint) -> Result<Bound, BindError> {
        let group = self.adopt(endpoint, self.first().get(..1).unwrap_or_default(), 1)?;
        group.into_iter().next().ok_or_else(|| BindError::invalid(endpoint, "its transport bound nothing"))
    }

    async fn bind_group(&self, endpoint: &Endpoint, members: usize) -> Result<Vec<Bound>, BindError> {
        self.adopt(endpoint, self.first(), members)
    }

    async fn bind_all(&self, endpoint: &Endpoint, members: usize) -> Result<Vec<Vec<Bound>>, BindError> {
        self.groups.iter().map(|sockets| self.adopt(endpoint, sockets, members)).collect()
    }

    /// As it was written, whatever stands on it.
    fn base(&self, endpoint: &Endpoint) -> Endpoint {
        endpoint.clone().with_scheme(&*self.scheme)
    }

    async fn layers(&self, _: &Endpoint) -> Result<WireLayers, BindError> {
        Ok(WireLayers::none())
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<Link, ConnectError> {
        if *endpoint.place() == self.place {
            let reason = "it names a socket to serve; a client dials the address that the socket is bound to";
            return Err(ConnectError::invalid(endpoint, reason));
        }
        self.taker.1.connect(endpoint).await
    }

    fn adopts(&self, _: std::os::fd::BorrowedFd<'_>) -> Option<Cow<'static, str>> {
        None
    }

    fn adopt(&self, endpoint: &Endpoint, _: std::os::fd::OwnedFd, _: usize) -> Result<Vec<Bound>, BindError> {
        Err(BindError::not_adopted(endpoint))
    }
}
