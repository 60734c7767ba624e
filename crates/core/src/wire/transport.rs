//! Transports: the plugins.

use std::borrow::Cow;
#[cfg(unix)]
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    BindError, Capabilities, ConnectError, DatagramSocket, Endpoint, Link, Listener, OptionDoc, Side, WireLayers,
};

/// Knows how to bind and connect the endpoints of its schemes.
///
/// Implemented by transport crates and by third parties; called through a [`Registry`](crate::Registry).
///
/// # Contract
/// 1. `bind` and `connect` do nothing before the first poll: callers may race several (`testkit::laws::lazy_connect`).
/// 2. Dropping either half-way leaks nothing (`dropped_connect`, `dropped_bind`).
/// 3. An option that is not in [`Transport::options`] is an error that lists the known ones (`unknown_option`).
/// 4. Connecting where no server listens fails and names the endpoint; a datagram transport may succeed
///    (`connect_to_nobody`).
/// 5. A second bind of a bound place is [`BindError::AddrInUse`] (`second_bind`), and after the first is closed the
///    place can be bound again (`bind_again`).
///
/// # Implementing
/// `examples/custom_transport.rs` of the `swapwire` package is a whole one in about a hundred lines.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a `Transport`",
    label = "cannot bind and connect endpoints",
    note = "implement `Transport` for it, under `#[async_trait]`",
    note = "a wire layer (`Upgrade`) is not a transport: `Registry::with_layer` takes it, or `Stacked::new` with the transport below"
)]
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// The schemes it serves, in lower case.
    fn schemes(&self) -> Vec<Cow<'static, str>>;

    /// What the wires of `scheme` (one of its own) can do.
    fn capabilities(&self, scheme: &str) -> Capabilities;

    /// The options of `scheme`.
    fn options(&self, scheme: &str) -> &[OptionDoc] {
        let _ = scheme;
        &[]
    }

    /// Whether `endpoint` could be bound, as far as that shows without binding: its place and its options, names and files that it
    /// names. What is in use is not found. The default checks the names of the options alone.
    ///
    /// # Errors
    /// As of [`Transport::bind`].
    ///
    /// # Cancel safety
    /// Dropping it leaves nothing behind.
    async fn check(&self, endpoint: &Endpoint) -> Result<(), BindError> {
        let checked = endpoint.read_options().check(self.options(endpoint.scheme()), Side::Bind);
        checked.map_err(|error| BindError::option(endpoint, error))
    }

    /// Binds an endpoint.
    ///
    /// # Errors
    /// The endpoint does not fit, is taken, or the system refuses; nothing stays bound.
    ///
    /// # Cancel safety
    /// Dropping it leaves nothing bound.
    async fn bind(&self, endpoint: &Endpoint) -> Result<Bound, BindError>;

    /// Binds one place for several workers, each of which polls one member of the group on a runtime of its own; at least
    /// one member, at most `members`, which is at least 1; of sockets that another program opened, all. All members have the same
    /// [`Bound::local`].
    ///
    /// The group as a whole is exclusive, as one bind is: it is bound first without sharing, so that a second server is
    /// refused ([`BindError::AddrInUse`]). A member that is dropped may take the connections with it that wait in its
    /// queue, so the server closes all of them together.
    ///
    /// The default binds once: one worker serves the endpoint.
    ///
    /// # Errors
    /// As of [`Transport::bind`]; nothing stays bound.
    ///
    /// # Cancel safety
    /// Dropping it leaves nothing bound.
    async fn bind_group(&self, endpoint: &Endpoint, members: usize) -> Result<Vec<Bound>, BindError> {
        let _ = members;
        self.bind(endpoint).await.map(|bound| vec![bound])
    }

    /// Binds every place that `endpoint` names, each as a [group](Transport::bind_group): a host name may have several
    /// addresses. This is what a server binds; [`Transport::bind`] and [`Transport::bind_group`] bind one of them.
    ///
    /// With port 0 all of them have the same port, where one is free at all of them. An address that cannot be bound is
    /// left out, and the transport logs it, as long as one is left; one that is in use is an error.
    ///
    /// The default is one group: an endpoint names one place.
    ///
    /// # Errors
    /// As of [`Transport::bind`]; nothing stays bound.
    ///
    /// # Cancel safety
    /// Dropping it leaves nothing bound.
    async fn bind_all(&self, endpoint: &Endpoint, members: usize) -> Result<Vec<Vec<Bound>>, BindError> {
        self.bind_group(endpoint, members).await.map(|group| vec![group])
    }

    /// What is bound for `endpoint`, with the options of that alone: of a stack, what its layers stand on; else, which is the
    /// default, the endpoint itself. A server that serves a listener under another endpoint of the same base binds nothing: it
    /// takes the layers that it has [off](Listener::unstack), and puts the other [layers](Transport::layers) around it.
    fn base(&self, endpoint: &Endpoint) -> Endpoint {
        endpoint.clone()
    }

    /// The layers of `endpoint` over its [base](Transport::base), with what they need, as certificates, read anew. The default
    /// has none, and checks nothing.
    ///
    /// # Errors
    /// The endpoint does not fit, or what a layer needs cannot be used.
    ///
    /// # Cancel safety
    /// Dropping it leaves nothing behind.
    async fn layers(&self, endpoint: &Endpoint) -> Result<WireLayers, BindError> {
        let _ = endpoint;
        Ok(WireLayers::none())
    }

    /// Connects to an endpoint.
    ///
    /// # Errors
    /// The endpoint does not fit, no server listens there, or the system refuses.
    ///
    /// # Cancel safety
    /// Dropping it leaves nothing open.
    async fn connect(&self, endpoint: &Endpoint) -> Result<Link, ConnectError>;

    /// The scheme under which it [serves](Self::adopt) a socket that another program opened, if it serves such a one. The socket
    /// is looked at (`getsockopt(2)`, `SO_DOMAIN`, `SO_TYPE`, `SO_PROTOCOL`), and stays as it is. It is not known whether it
    /// listens. The default serves none.
    #[cfg(unix)]
    fn adopts(&self, socket: BorrowedFd<'_>) -> Option<Cow<'static, str>> {
        let _ = socket;
        None
    }

    /// Serves a socket that another program opened, bound and, where it has connections, made listen: a group for several
    /// workers, as [`Transport::bind_group`] gives. `endpoint` has the scheme that [`adopts`](Self::adopts) gave, the place that
    /// was asked for, which is not where the socket is bound, and options as of a bind. An option of what is done already is an
    /// error.
    ///
    /// The members are at the socket's real address. The other program may hold the socket as well, so the place is not looked
    /// after, and nothing is unlinked at the end. [`Listener::refuse_arrivals`] is never called of them. The default is an error.
    ///
    /// # Errors
    /// The options do not fit, or the system refuses. `socket` is a duplicate, and is closed.
    #[cfg(unix)]
    fn adopt(&self, endpoint: &Endpoint, socket: OwnedFd, members: usize) -> Result<Vec<Bound>, BindError> {
        let _ = (socket, members);
        Err(BindError::not_adopted(endpoint))
    }
}

/// A transport that several own: a stack stands on the one that a registry has.
#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<T: Transport + ?Sized> Transport for Arc<T> {
    fn schemes(&self) -> Vec<Cow<'static, str>> {
        (**self).schemes()
    }

    fn capabilities(&self, scheme: &str) -> Capabilities {
        (**self).capabilities(scheme)
    }

    fn options(&self, scheme: &str) -> &[OptionDoc] {
        (**self).options(scheme)
    }

    async fn check(&self, endpoint: &Endpoint) -> Result<(), BindError> {
        (**self).check(endpoint).await
    }

    async fn bind(&self, endpoint: &Endpoint) -> Result<Bound, BindError> {
        (**self).bind(endpoint).await
    }

    async fn bind_group(&self, endpoint: &Endpoint, members: usize) -> Result<Vec<Bound>, BindError> {
        (**self).bind_group(endpoint, members).await
    }

    async fn bind_all(&self, endpoint: &Endpoint, members: usize) -> Result<Vec<Vec<Bound>>, BindError> {
        (**self).bind_all(endpoint, members).await
    }

    fn base(&self, endpoint: &Endpoint) -> Endpoint {
        (**self).base(endpoint)
    }

    async fn layers(&self, endpoint: &Endpoint) -> Result<WireLayers, BindError> {
        (**self).layers(endpoint).await
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<Link, ConnectError> {
        (**self).connect(endpoint).await
    }

    #[cfg(unix)]
    fn adopts(&self, socket: BorrowedFd<'_>) -> Option<Cow<'static, str>> {
        (**self).adopts(socket)
    }

    #[cfg(unix)]
    fn adopt(&self, endpoint: &Endpoint, socket: OwnedFd, members: usize) -> Result<Vec<Bound>, BindError> {
        (**self).adopt(endpoint, socket, members)
    }
}

/// What a bind gives: connections arrive at a listener, datagrams at a socket.
///
/// It may be moved to another runtime before it is first polled, and stays with the runtime on which that happens.
#[non_exhaustive]
pub enum Bound {
    /// For byte streams and message streams.
    Listener(Box<dyn Listener>),
    /// For datagrams.
    Socket(Box<dyn DatagramSocket>),
}

impl Bound {
    /// What was really bound.
    pub fn local(&self) -> Endpoint {
        match self {
            Self::Listener(listener) => listener.local(),
            Self::Socket(socket) => socket.local(),
        }
    }

    /// What a client dials: [`Listener::dial`], or [`Bound::local`] of a socket.
    pub fn dial(&self) -> Endpoint {
        match self {
            Self::Listener(listener) => listener.dial(),
            Self::Socket(socket) => socket.local(),
        }
    }
}

impl std::fmt::Debug for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bound({})", self.local())
    }
}
