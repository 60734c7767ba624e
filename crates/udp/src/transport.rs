//! Binding and connecting.

use std::io;
use std::net::SocketAddr;

use async_trait::async_trait;
use swapwire_core::{
    Addr, BindError, Bound, Capabilities, ConnInfo, ConnectError, Endpoint, Link, OptionDoc, OptionError, Peer, Place,
    Side, Transport,
};
use tokio::net::{UdpSocket, lookup_host};

use crate::link::Connected;
use crate::options::{Options, set_reuse_port};
use crate::server::Server;
use crate::{MAX_MESSAGE, OPTIONS};

#[cfg(target_os = "linux")]
type Engine = crate::batched::Batched;
#[cfg(not(target_os = "linux"))]
type Engine = crate::plain::Plain;

/// The scheme of UDP endpoints.
pub const SCHEME: &str = "udp";

const PLACE: &str = "UDP has hosts and ports; write udp://host:port";

/// The transport of `udp://host:port`. A value without state: all of them are equal.
///
/// Both operations need a tokio runtime with I/O enabled; without, they panic.
///
/// # Binding
/// The addresses of a name are tried in order until one can be bound; the error is that of the last. One that is in use
/// ends the search, so that a second server is refused rather than bound to another address of the same name.
///
/// # Connecting
/// Nothing is sent, so that connecting to nobody succeeds; that nobody is there shows as
/// [`RecvError::PeerNoise`](swapwire_core::RecvError::PeerNoise) or
/// [`SendError::PeerNoise`](swapwire_core::SendError::PeerNoise) after something was sent, if at all. The addresses of a
/// name are tried in order until there is a route to one.
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
    fn schemes(&self) -> &[&'static str] {
        &[SCHEME]
    }

    fn capabilities(&self, _scheme: &str) -> Capabilities {
        Capabilities::datagram(MAX_MESSAGE)
    }

    fn options(&self, _scheme: &str) -> &[OptionDoc] {
        OPTIONS
    }

    async fn bind(&self, endpoint: &Endpoint) -> Result<Bound, BindError> {
        let server = Server::<Engine>::new(bind(endpoint).await?);
        Ok(Bound::Socket(Box::new(server.map_err(|error| BindError::from_io(endpoint, error))?)))
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<Link, ConnectError> {
        let socket = connect(endpoint).await?;
        let ends = || Ok((socket.peer_addr()?, socket.local_addr()?));
        let failed = |error| ConnectError::from_io(endpoint, error);
        let (peer, local) = ends().map_err(failed)?;
        let link = Connected::<Engine>::new(socket).map_err(failed)?;
        Ok(Link::messages(link, ConnInfo::new(Peer::new(Addr::inet(peer)), Addr::inet(local))))
    }
}

pub(crate) async fn bind(endpoint: &Endpoint) -> Result<UdpSocket, BindError> {
    let Place::Host { host, port } = endpoint.place() else { return Err(BindError::invalid(endpoint, PLACE)) };
    let options = Options::read(endpoint, Side::Bind).map_err(|error| BindError::option(endpoint, error))?;
    let failed = |error| BindError::from_io(endpoint, error);
    let mut addrs = resolve(host, *port).await.map_err(failed)?;
    if let Some(value) = options.v6_only {
        addrs.retain(SocketAddr::is_ipv6);
        if addrs.is_empty() {
            let reason = format!("{host} is not an IPv6 address; leave the option out, or write [::]");
            let (name, value) = ("v6_only".to_owned(), value.to_string());
            return Err(BindError::option(endpoint, OptionError::Value { name, value, reason }));
        }
    }
    let mut last = no_address();
    for addr in addrs {
        match open(addr, &options) {
            Ok(socket) => return Ok(socket),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(failed(error)),
            Err(error) => last = error,
        }
    }
    Err(failed(last))
}

fn open(addr: SocketAddr, options: &Options) -> io::Result<UdpSocket> {
    let socket = options.socket(addr)?;
    if addr.is_ipv6() {
        socket.set_only_v6(options.v6_only.unwrap_or(true))?;
    }
    if options.reuse_port {
        set_reuse_port(&socket)?;
    }
    socket.bind(&addr.into())?;
    UdpSocket::from_std(socket.into())
}

pub(crate) async fn connect(endpoint: &Endpoint) -> Result<UdpSocket, ConnectError> {
    let Place::Host { host, port } = endpoint.place() else { return Err(ConnectError::invalid(endpoint, PLACE)) };
    if *port == 0 {
        return Err(ConnectError::invalid(endpoint, "port 0 cannot be dialled; write the port of a server"));
    }
    let options = Options::read(endpoint, Side::Connect).map_err(|error| ConnectError::option(endpoint, error))?;
    let failed = |error| ConnectError::from_io(endpoint, error);
    let mut last = no_address();
    for addr in resolve(host, *port).await.map_err(failed)? {
        match dial(addr, &options) {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(failed(last))
}

/// `connect(2)` of a datagram socket sends nothing and never waits; it also picks the local address and port.
fn dial(addr: SocketAddr, options: &Options) -> io::Result<UdpSocket> {
    let socket = options.socket(addr)?;
    socket.connect(&addr.into())?;
    UdpSocket::from_std(socket.into())
}

async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let canonical = |addr: SocketAddr| match addr.ip().to_canonical() {
        ip if ip.is_ipv4() => SocketAddr::new(ip, port),
        _ => addr,
    };
    Ok(lookup_host((host, port)).await?.map(canonical).collect())
}

fn no_address() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the name has no address")
}
