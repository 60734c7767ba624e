//! The transport.

use std::borrow::Cow;
use std::os::fd::{BorrowedFd, OwnedFd};

use async_trait::async_trait;
use socket2::{Domain, Type};
use swapwire_core::{BindError, Bound, Capabilities, ConnectError, Endpoint, Link, OptionDoc, Side, Transport};
use swapwire_socket::{kind_of, refuse_options_of_opening};

use crate::address::resolve;
use crate::datagram::MAX_MESSAGE;
use crate::failure::Failure;
use crate::kind::Kind;
use crate::options::{DATAGRAM_OPTIONS, Options};
use crate::{client, connect, datagram, listener};

const STREAM: &str = "unix";
const DATAGRAM: &str = "unix-dgram";
const SEQ: &str = "unix-seq";

/// Those that this system has.
const SCHEMES: &[&str] =
    if cfg!(any(target_os = "linux", target_os = "android")) { &[STREAM, DATAGRAM, SEQ] } else { &[STREAM, DATAGRAM] };

/// Options that hold from the opening of a socket on.
const OPENING: &[&str] = &["backlog", "mode", "group"];

/// Serves the schemes `unix` (byte streams), `unix-dgram` (datagrams of at most [`MAX_MESSAGE`] bytes) and, on Linux, `unix-seq`
/// (messages over a connection).
///
/// Binding and connecting make a few system calls and do not wait, except that connecting, but for datagrams, waits up to
/// `connect_timeout` while the listener's queue is full. What is bound shows its path as absolute and without the options
/// of the bind.
///
/// A group for workers is one listening socket with a descriptor for each member; the path is unlinked when the last of
/// them goes. A datagram socket has one member; in a drain, on Linux, later senders get `EPIPE`. A path is checked (`upkeep`); an
/// abstract name needs none.
///
/// # Errors
/// Binding a path: [`BindError::AddrInUse`] if a server is bound there or is about to be; [`BindError::Unusable`] if
/// something else is there, or the directory is missing or writable by all users; [`BindError::Invalid`] if the path is too
/// long; [`BindError::Io`] if the system refuses. Connecting, but for datagrams: [`ConnectError::Refused`] if the socket's file is
/// stale, [`ConnectError::Busy`] if the queue stayed full, [`ConnectError::Missing`] if there is no such file.
///
/// # Cancel safety
/// Dropping a bind or a connect leaves nothing bound and nothing open.
///
/// # Panics
/// When used outside a tokio runtime with I/O, but for binding a listener, which belongs to the runtime on which it first
/// accepts; a connect that has to wait also needs time.
#[derive(Clone, Debug, Default)]
pub struct Unix(());

impl Unix {
    /// The transport; it has no state.
    pub const fn new() -> Self {
        Self(())
    }
}

/// Whether what an endpoint says can be bound.
fn check(endpoint: &Endpoint, options: &[OptionDoc]) -> Result<(), Failure> {
    Options::read(endpoint, options, Side::Bind)?;
    resolve(endpoint).map(drop)
}

fn foreign(scheme: &str) -> Failure {
    if scheme == SEQ {
        return Failure::Invalid(format!("{SEQ} exists on Linux only; write {STREAM} or {DATAGRAM}"));
    }
    Failure::Invalid(format!("{scheme:?} is not a scheme of Unix sockets; write one of {}", SCHEMES.join(", ")))
}

/// The kind of sockets that a scheme connects.
fn kind(scheme: &str) -> Option<Kind> {
    match scheme {
        STREAM => Some(Kind::Bytes),
        #[cfg(any(target_os = "linux", target_os = "android"))]
        SEQ => Some(Kind::Messages),
        _ => None,
    }
}

#[async_trait]
impl Transport for Unix {
    fn schemes(&self) -> Vec<Cow<'static, str>> {
        SCHEMES.iter().map(|scheme| (*scheme).into()).collect()
    }

    fn capabilities(&self, scheme: &str) -> Capabilities {
        if scheme == DATAGRAM {
            let mut capabilities = Capabilities::datagram(MAX_MESSAGE);
            // unix(7), for Linux: "reliable and don't reorder datagrams".
            capabilities.reliable = cfg!(target_os = "linux");
            capabilities.ordered = cfg!(target_os = "linux");
            capabilities.spoofable = false;
            capabilities.isolated_peers = !cfg!(target_os = "linux");
            capabilities
        } else {
            kind(scheme).unwrap_or(Kind::Bytes).capabilities()
        }
    }

    fn options(&self, scheme: &str) -> &[OptionDoc] {
        if scheme == DATAGRAM { DATAGRAM_OPTIONS } else { kind(scheme).unwrap_or(Kind::Bytes).options() }
    }

    async fn check(&self, endpoint: &Endpoint) -> Result<(), BindError> {
        let checked = match (endpoint.scheme(), kind(endpoint.scheme())) {
            (DATAGRAM, _) | (_, Some(_)) => check(endpoint, self.options(endpoint.scheme())),
            (scheme, None) => Err(foreign(scheme)),
        };
        checked.map_err(|failure| failure.into_bind(endpoint))
    }

    async fn bind(&self, endpoint: &Endpoint) -> Result<Bound, BindError> {
        let mut group = self.bind_group(endpoint, 1).await?;
        group.pop().ok_or_else(|| BindError::invalid(endpoint, "nothing was bound"))
    }

    async fn bind_group(&self, endpoint: &Endpoint, members: usize) -> Result<Vec<Bound>, BindError> {
        let bound = match (endpoint.scheme(), kind(endpoint.scheme())) {
            (_, Some(kind)) => {
                listener::bind(kind, endpoint, members).map(|group| group.into_iter().map(Bound::Listener).collect())
            }
            (DATAGRAM, None) => datagram::bind(endpoint).map(|socket| vec![Bound::Socket(socket)]),
            (scheme, None) => Err(foreign(scheme)),
        };
        bound.map_err(|failure| failure.into_bind(endpoint))
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<Link, ConnectError> {
        let link = match (endpoint.scheme(), kind(endpoint.scheme())) {
            (_, Some(kind)) => connect::connect(kind, endpoint).await,
            (DATAGRAM, None) => client::connect(endpoint),
            (scheme, None) => Err(foreign(scheme)),
        };
        link.map_err(|failure| failure.into_connect(endpoint))
    }

    fn adopts(&self, socket: BorrowedFd<'_>) -> Option<Cow<'static, str>> {
        let (domain, kind, _) = kind_of(socket)?;
        let scheme = match kind {
            Type::STREAM => STREAM,
            Type::DGRAM => DATAGRAM,
            Type::SEQPACKET => SEQ,
            _ => return None,
        };
        (domain == Domain::UNIX && SCHEMES.contains(&scheme)).then_some(scheme.into())
    }

    fn adopt(&self, endpoint: &Endpoint, socket: OwnedFd, members: usize) -> Result<Vec<Bound>, BindError> {
        refuse_options_of_opening(endpoint, OPENING)?;
        let (scheme, socket) = (endpoint.scheme(), socket.into());
        let bound = match kind(scheme) {
            Some(kind) => listener::adopt(kind, endpoint, socket, members)
                .map(|group| group.into_iter().map(Bound::Listener).collect()),
            None if scheme == DATAGRAM => datagram::adopt(endpoint, socket).map(|socket| vec![Bound::Socket(socket)]),
            None => Err(foreign(scheme)),
        };
        bound.map_err(|failure| failure.into_bind(endpoint))
    }
}
