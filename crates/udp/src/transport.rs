//! Binding and connecting.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use async_trait::async_trait;
use socket2::{SockRef, Socket};
use swapwire_core::{
    Addr, BindError, Bound, Capabilities, ConnInfo, ConnectError, Endpoint, Link, OptionDoc, OptionError, Peer, Place,
    Side, Transport,
};
use tokio::net::lookup_host;

use crate::link::Connected;
use crate::options::{Options, set_reuse_port};
use crate::server::Server;
use crate::{MAX_MESSAGE, OPTIONS};

#[cfg(all(target_os = "linux", not(swapwire_plain)))]
type Engine = crate::batched::Batched;
#[cfg(not(all(target_os = "linux", not(swapwire_plain))))]
type Engine = crate::plain::Plain;

/// The scheme of UDP endpoints.
pub const SCHEME: &str = "udp";

const PLACE: &str = "UDP has hosts and ports; write udp://host:port";

/// The transport of `udp://host:port`. A value without state: all of them are equal.
///
/// Connecting needs a tokio runtime with I/O enabled, and so does the first poll of what was bound; without, they panic.
/// Binding needs a runtime only to resolve a name.
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
        server(endpoint, bind(endpoint).await?)
    }

    /// On Linux, where the system shares datagrams among the members by their senders (`SO_REUSEPORT`, `socket(7)`):
    /// `members` of them. Elsewhere one.
    async fn bind_group(&self, endpoint: &Endpoint, members: usize) -> Result<Vec<Bound>, BindError> {
        let (first, options) = bind(endpoint).await?;
        let mut sockets = vec![first];
        if cfg!(target_os = "linux") {
            let others = join(&sockets[0], members, &options);
            sockets.extend(others.map_err(|error| BindError::from_io(endpoint, error))?);
        }
        sockets.into_iter().map(|socket| server(endpoint, (socket, options))).collect()
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<Link, ConnectError> {
        let (socket, options) = connect(endpoint).await?;
        let ends = || Ok((socket.peer_addr()?, socket.local_addr()?));
        let failed = |error| ConnectError::from_io(endpoint, error);
        let (peer, local) = ends().map_err(failed)?;
        let link = Connected::<Engine>::new(socket, &options).map_err(failed)?;
        Ok(Link::messages(link, ConnInfo::new(Peer::new(Addr::inet(peer)), Addr::inet(local))))
    }
}

fn server(endpoint: &Endpoint, (socket, options): (UdpSocket, Options)) -> Result<Bound, BindError> {
    let server = Server::<Engine>::new(socket, &options);
    Ok(Bound::Socket(Box::new(server.map_err(|error| BindError::from_io(endpoint, error))?)))
}

pub(crate) async fn bind(endpoint: &Endpoint) -> Result<(UdpSocket, Options), BindError> {
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
        match open(addr, &options, options.reuse_port) {
            Ok(socket) => return Ok((socket, options)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(failed(error)),
            Err(error) => last = error,
        }
    }
    Err(failed(last))
}

fn open(addr: SocketAddr, options: &Options, reuse_port: bool) -> io::Result<UdpSocket> {
    let socket = options.socket(addr)?;
    if addr.is_ipv6() {
        socket.set_only_v6(options.v6_only.unwrap_or(true))?;
    }
    if reuse_port {
        set_reuse_port(SockRef::from(&socket))?;
    }
    socket.bind(&addr.into())?;
    Ok(socket.into())
}

/// Binds the other `members` of a group to where `first` is bound, exclusively so far: it shares from now on alone, so that
/// whoever else wants the place was refused. (Linux takes a socket that says so after its bind into the group,
/// `reuseport_add_sock`.)
fn join(first: &UdpSocket, members: usize, options: &Options) -> io::Result<Vec<UdpSocket>> {
    if members <= 1 {
        return Ok(Vec::new());
    }
    set_reuse_port(SockRef::from(first))?;
    let addr = first.local_addr()?;
    (1..members).map(|_| open(addr, options, true)).collect()
}

pub(crate) async fn connect(endpoint: &Endpoint) -> Result<(UdpSocket, Options), ConnectError> {
    let Place::Host { host, port } = endpoint.place() else { return Err(ConnectError::invalid(endpoint, PLACE)) };
    if *port == 0 {
        return Err(ConnectError::invalid(endpoint, "port 0 cannot be dialled; write the port of a server"));
    }
    let options = Options::read(endpoint, Side::Connect).map_err(|error| ConnectError::option(endpoint, error))?;
    let failed = |error| ConnectError::from_io(endpoint, error);
    let mut last = no_address();
    for addr in resolve(host, *port).await.map_err(failed)? {
        match dial(addr, &options) {
            Ok(socket) => return Ok((socket, options)),
            Err(error) => last = error,
        }
    }
    Err(failed(last))
}

/// `connect(2)` of a datagram socket sends nothing and never waits; it also picks the local address and port.
fn dial(addr: SocketAddr, options: &Options) -> io::Result<UdpSocket> {
    let socket = options.socket(addr)?;
    if let Some(source) = options.source {
        bind_source(&socket, source, addr)?;
    }
    socket.connect(&addr.into())?;
    Ok(socket.into())
}

fn bind_source(socket: &Socket, source: IpAddr, to: SocketAddr) -> io::Result<()> {
    if source.is_ipv4() != to.is_ipv4() {
        let text = format!("no datagrams from source={source} to {}: one is IPv4 and the other IPv6", to.ip());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    socket.bind(&SocketAddr::new(source, 0).into()).map_err(|error| match error.kind() {
        io::ErrorKind::AddrNotAvailable => {
            io::Error::new(error.kind(), format!("source={source} is no address of this machine"))
        }
        _ => error,
    })
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
