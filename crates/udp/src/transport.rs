//! Binding and connecting.

use std::borrow::Cow;
use std::net::UdpSocket;
#[cfg(unix)]
use std::os::fd::{BorrowedFd, OwnedFd};

use async_trait::async_trait;
#[cfg(unix)]
use socket2::{Domain, Protocol, SockRef, Type};
use swapwire_core::{
    Addr, BindError, Bound, Capabilities, ConnInfo, ConnectError, Endpoint, Link, OptionDoc, Peer, Side, Transport,
};
use swapwire_socket::Binder;
#[cfg(unix)]
use swapwire_socket::{kind_of, refuse_options_of_opening};

use crate::dial::{Dialled, dial};
use crate::link::Connected;
use crate::open::Open;
use crate::options::Options;
use crate::server::Server;
use crate::{MAX_MESSAGE, OPTIONS};

#[cfg(all(target_os = "linux", not(swapwire_plain)))]
type Engine = crate::batched::Batched;
#[cfg(not(all(target_os = "linux", not(swapwire_plain))))]
type Engine = crate::plain::Plain;

/// The scheme of UDP endpoints.
pub const SCHEME: &str = "udp";

/// Options that hold from the opening of a socket on.
#[cfg(unix)]
const OPENING: &[&str] =
    if cfg!(target_os = "linux") { &["reuse_port", "v6_only", "interface"] } else { &["reuse_port", "v6_only"] };

/// The transport of `udp://host:port`. A value without state: all of them are equal.
///
/// Connecting needs a tokio runtime with I/O enabled, and so does the first poll of what was bound; without, they panic.
/// Binding needs a runtime only to resolve a name.
///
/// # Binding
/// A server listens on all addresses of a name ([`Transport::bind_all`]), with one port for all of them where 0 was asked
/// for. One that this machine does not have is left out and logged; one that is in use is an error. [`Transport::bind`] binds
/// the first that can be bound.
///
/// # Connecting
/// Nothing is sent, so that connecting succeeds where no server is; that none is there shows as
/// [`RecvError::PeerNoise`](swapwire_core::RecvError::PeerNoise) or
/// [`SendError::PeerNoise`](swapwire_core::SendError::PeerNoise) after a send, if at all.
///
/// Of a name, the first address is taken to which there is a route, with `source` the first of its family. If it refuses
/// (`ECONNREFUSED`, `EHOSTUNREACH`, `ENETUNREACH`, by ICMP) before anything was received, the link goes on with the next:
/// what was sent is sent again there, up to 64 messages of together 64 KiB. If more was sent, nothing is sent again: the
/// link goes on with the next address, and the refusal is told. An address that has refused nothing by the time of a send
/// 5 s after the first stays: from then on the link stays there, and a refusal is told. The link's [`ConnInfo`] names the
/// first.
///
/// A link to a multicast address, or with `broadcast=true` to a broadcast address, is not connected: it receives from any
/// host that sends to its port, as hosts that answer do so from addresses of their own. The application must tell them
/// apart.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Udp;

impl Udp {
    /// The transport.
    pub const fn new() -> Self {
        Self
    }
}

#[async_trait]
impl Transport for Udp {
    fn schemes(&self) -> Vec<Cow<'static, str>> {
        vec![SCHEME.into()]
    }

    fn capabilities(&self, _scheme: &str) -> Capabilities {
        Capabilities::datagram(MAX_MESSAGE)
    }

    fn options(&self, _scheme: &str) -> &[OptionDoc] {
        OPTIONS
    }

    async fn check(&self, endpoint: &Endpoint) -> Result<(), BindError> {
        Binder::<Options>::read(endpoint).await.map(drop)
    }

    async fn bind(&self, endpoint: &Endpoint) -> Result<Bound, BindError> {
        let binder = Binder::<Options>::read(endpoint).await?;
        server(endpoint, binder.first()?, &binder.options)
    }

    /// On Linux, where the system shares datagrams among the members by their senders (`SO_REUSEPORT`, `socket(7)`):
    /// `members` of them. Elsewhere, and on a multicast or broadcast address, one.
    async fn bind_group(&self, endpoint: &Endpoint, members: usize) -> Result<Vec<Bound>, BindError> {
        let binder = Binder::<Options>::read(endpoint).await?;
        binder.group(members)?.into_iter().map(|socket| server(endpoint, socket, &binder.options)).collect()
    }

    async fn bind_all(&self, endpoint: &Endpoint, members: usize) -> Result<Vec<Vec<Bound>>, BindError> {
        let binder = Binder::<Options>::read(endpoint).await?;
        let served = |socket| server(endpoint, socket, &binder.options);
        binder.groups(members)?.into_iter().map(|group| group.into_iter().map(served).collect()).collect()
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<Link, ConnectError> {
        let Dialled { socket, to, is_one, others, options } = dial(endpoint).await?;
        let failed = |error| ConnectError::from_io(endpoint, error);
        let local = socket.local_addr().map_err(failed)?;
        let info = ConnInfo::new(Peer::new(Addr::inet(to)), Addr::inet(local));
        Ok(if is_one {
            let link = Connected::<Engine>::new(socket, &options).map_err(failed)?;
            Link::messages(link.with_others(others, options), info)
        } else {
            Link::messages(Open::new(socket, to).map_err(failed)?, info)
        })
    }

    #[cfg(unix)]
    fn adopts(&self, socket: BorrowedFd<'_>) -> Option<Cow<'static, str>> {
        let (domain, kind, protocol) = kind_of(socket)?;
        let is_udp = protocol.is_none_or(|protocol| protocol == Protocol::UDP);
        (matches!(domain, Domain::IPV4 | Domain::IPV6) && kind == Type::DGRAM && is_udp).then_some(SCHEME.into())
    }

    /// One member. The size of its receive buffer, and whether it receives trains, stay as they are, unless the options say
    /// otherwise.
    #[cfg(unix)]
    fn adopt(&self, endpoint: &Endpoint, socket: OwnedFd, _members: usize) -> Result<Vec<Bound>, BindError> {
        refuse_options_of_opening(endpoint, OPENING)?;
        let mut options = Options::read(endpoint, Side::Bind).map_err(|error| BindError::option(endpoint, error))?;
        let socket = UdpSocket::from(socket);
        options.adopt(&socket).map_err(|error| BindError::from_io(endpoint, error))?;
        options.buffers.tell_bound(endpoint, &SockRef::from(&socket));
        Ok(vec![server(endpoint, socket, &options)?])
    }
}

fn server(endpoint: &Endpoint, socket: UdpSocket, options: &Options) -> Result<Bound, BindError> {
    let server = Server::<Engine>::new(socket, options);
    Ok(Bound::Socket(Box::new(server.map_err(|error| BindError::from_io(endpoint, error))?)))
}
