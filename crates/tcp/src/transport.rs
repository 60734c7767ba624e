//! Binding and connecting.

use std::borrow::Cow;
use std::io;
use std::net::SocketAddr;
#[cfg(unix)]
use std::os::fd::{BorrowedFd, OwnedFd};

use async_trait::async_trait;
#[cfg(target_os = "linux")]
use nix::sys::socket::{setsockopt, sockopt};
use socket2::SockRef;
#[cfg(unix)]
use socket2::{Domain, Protocol, Type};
use swapwire_core::{
    Addr, BindError, Bound, Capabilities, ConnectError, Endpoint, Link, Listener, OptionDoc, OptionError, Peer, Side,
    Transport,
};
use swapwire_socket::{
    Binder, HostOptions, Reach, bind_source, reach, reachable_from, read_to_dial, resolve, set_reuse_port, set_v6_only,
    tell_backlog,
};
#[cfg(unix)]
use swapwire_socket::{kind_of, refuse_options_of_opening};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout_at};

use crate::OPTIONS;
use crate::listener::{Acceptor, link};
use crate::options::{Options, StreamOptions};

/// The scheme of TCP endpoints.
pub const SCHEME: &str = "tcp";

/// Options that hold from the opening of a listener on.
#[cfg(unix)]
const OPENING: &[&str] = &["backlog", "reuse_port", "v6_only"];

/// How often a connection that was connected to itself is tried again.
const SELF_CONNECTS: usize = 3;

/// The transport of `tcp://host:port`. A value without state: all of them are equal.
///
/// Accepting and connecting need a tokio runtime with I/O enabled, connecting also one with time enabled; without, they
/// panic. So does binding a name that must be resolved.
///
/// # Binding
/// A server listens on all addresses of a name ([`Transport::bind_all`]), with one port for all of them where 0 was asked
/// for. One that this machine does not have is left out and logged; one that is in use is an error. [`Transport::bind`] binds
/// the first that can be bound.
///
/// A multicast or broadcast address is an error: TCP connects two hosts.
///
/// A group for workers listens with `SO_REUSEPORT` (`socket(7)`) on Linux, where the system spreads connections by a hash
/// of their addresses; each member has a queue of its own, with the backlog of the endpoint. Its first member is bound and
/// listens without, so that a server that is there already is found; from then on, only a server of the same user with
/// `reuse_port=true` could join. Elsewhere the members share one listener.
///
/// With `reuse_port=true` several processes of one user listen on a port. When one of them drains, it takes what waits and leaves the
/// port at once, so that who comes is taken by another. A handshake that was under way at that moment is reset, unless
/// `net.ipv4.tcp_migrate_req` is 1. A listener that has its port alone drops what would begin a connection instead (Linux), until it is
/// closed: the client's system tries again after a second.
///
/// # Connecting
/// The addresses of a name, with `source` those of its family, are tried in order until one answers; the error is that of
/// the last. `connect_timeout` is for all of them together: each gets an equal part of what is left.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Tcp;

impl Tcp {
    /// The transport.
    pub const fn new() -> Self {
        Self
    }

    /// A listener around a socket that came from elsewhere, for example from a service manager (`sd_listen_fds(3)`).
    /// Its own options stay as they are; accepted connections get `TCP_NODELAY`.
    ///
    /// # Errors
    /// The socket is not a listening IP socket, or the system refuses.
    ///
    /// It belongs to the runtime on which it first accepts.
    pub fn listener_from_std(listener: std::net::TcpListener) -> io::Result<Box<dyn Listener>> {
        listener.set_nonblocking(true)?;
        Ok(Box::new(Acceptor::new(listener, StreamOptions::DEFAULT)?))
    }
}

#[async_trait]
impl Transport for Tcp {
    fn schemes(&self) -> Vec<Cow<'static, str>> {
        vec![SCHEME.into()]
    }

    fn capabilities(&self, _scheme: &str) -> Capabilities {
        Capabilities::byte_stream()
    }

    fn options(&self, _scheme: &str) -> &[OptionDoc] {
        OPTIONS
    }

    async fn check(&self, endpoint: &Endpoint) -> Result<(), BindError> {
        Binder::<Options>::read(endpoint).await.map(drop)
    }

    async fn bind(&self, endpoint: &Endpoint) -> Result<Bound, BindError> {
        bind(endpoint).await.map(bound)
    }

    async fn bind_group(&self, endpoint: &Endpoint, members: usize) -> Result<Vec<Bound>, BindError> {
        let group = Binder::<Options>::read(endpoint).await?.group(members)?;
        Ok(group.into_iter().map(bound).collect())
    }

    async fn bind_all(&self, endpoint: &Endpoint, members: usize) -> Result<Vec<Vec<Bound>>, BindError> {
        let groups = Binder::<Options>::read(endpoint).await?.groups(members)?;
        Ok(groups.into_iter().map(|group| group.into_iter().map(bound).collect()).collect())
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<Link, ConnectError> {
        let stream = connect(endpoint).await?;
        let ends = || Ok((stream.peer_addr()?, stream.local_addr()?));
        let (peer, local) = ends().map_err(|error| ConnectError::from_io(endpoint, error))?;
        Ok(link(stream, Peer::new(Addr::inet(peer)), local))
    }

    #[cfg(unix)]
    fn adopts(&self, socket: BorrowedFd<'_>) -> Option<Cow<'static, str>> {
        let (domain, kind, protocol) = kind_of(socket)?;
        let is_tcp = protocol.is_none_or(|protocol| protocol == Protocol::TCP);
        (matches!(domain, Domain::IPV4 | Domain::IPV6) && kind == Type::STREAM && is_tcp).then_some(SCHEME.into())
    }

    /// The members share one queue.
    #[cfg(unix)]
    fn adopt(&self, endpoint: &Endpoint, socket: OwnedFd, members: usize) -> Result<Vec<Bound>, BindError> {
        refuse_options_of_opening(endpoint, OPENING)?;
        let options = Options::read(endpoint, Side::Bind).map_err(|error| BindError::option(endpoint, error))?;
        let adopted = adopt(socket.into(), &options, members).map_err(|error| BindError::from_io(endpoint, error))?;
        if let Some(first) = adopted.first() {
            options.buffers.tell_bound(endpoint, &first.socket());
        }
        Ok(adopted.into_iter().map(bound).collect())
    }
}

#[cfg(unix)]
fn adopt(listener: std::net::TcpListener, options: &Options, members: usize) -> io::Result<Vec<Acceptor>> {
    listener.set_nonblocking(true)?;
    // Accepted connections inherit them.
    options.buffers.apply(&SockRef::from(&listener))?;
    Acceptor::new(listener, options.stream)?.share(members)
}

pub(crate) async fn bind(endpoint: &Endpoint) -> Result<Acceptor, BindError> {
    Binder::<Options>::read(endpoint).await?.first()
}

fn bound(acceptor: Acceptor) -> Bound {
    Bound::Listener(Box::new(acceptor))
}

impl HostOptions for Options {
    const PLACE: &'static str = "TCP has hosts and ports; write tcp://host:port";

    type Socket = Acceptor;

    fn read(endpoint: &Endpoint, side: Side) -> Result<Self, OptionError> {
        Self::read(endpoint, side)
    }

    fn v6_only(&self) -> Option<bool> {
        self.v6_only
    }

    fn mistake(addr: &SocketAddr) -> Option<String> {
        no_connections(addr)
    }

    fn bind(&self, addr: SocketAddr) -> io::Result<Acceptor> {
        listen(addr, self, self.reuse_port)
    }

    #[cfg(target_os = "linux")]
    fn group(&self, first: Acceptor, members: usize) -> io::Result<Vec<Acceptor>> {
        let addr = first.socket().local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
        if members > 1 && !self.reuse_port {
            // Set after listen(2): until then no other socket could bind, and the kernel makes a group of a listener when the
            // second one comes (`reuseport_add_sock`).
            set_reuse_port(&first.socket())?;
        }
        let others = (1..members).map(|_| listen(addr, self, true));
        std::iter::once(Ok(first)).chain(others).collect()
    }

    /// One socket for all.
    #[cfg(not(target_os = "linux"))]
    fn group(&self, first: Acceptor, members: usize) -> io::Result<Vec<Acceptor>> {
        first.share(members)
    }

    fn as_ref(acceptor: &Acceptor) -> SockRef<'_> {
        acceptor.socket()
    }

    fn tell_bound(&self, endpoint: &Endpoint, socket: &SockRef<'_>) {
        tell_backlog(endpoint, self.backlog);
        self.buffers.tell_bound(endpoint, socket);
    }
}

/// Why no connection can be made to `addr`, if so: the system would accept a listener there, which waits for ever.
fn no_connections(addr: &SocketAddr) -> Option<String> {
    let kind = match reach(*addr) {
        Reach::One => return None,
        Reach::Group => "a multicast address",
        Reach::Everybody => "a broadcast address",
    };
    Some(format!("{} is {kind}, and TCP connects two hosts; write udp:// for datagrams to many", addr.ip()))
}

fn listen(addr: SocketAddr, options: &Options, reuse_port: bool) -> io::Result<Acceptor> {
    let socket = options.socket(addr)?;
    set_v6_only(&socket, addr, options.v6_only)?;
    // Elsewhere, with SO_REUSEADDR a second process can take the port over.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    if reuse_port {
        set_reuse_port(&SockRef::from(&socket))?;
    }
    socket.bind(&addr.into())?;
    socket.listen(options.backlog.backlog())?;
    Ok(Acceptor::new(socket.into(), options.stream)?.with_neighbours(options.reuse_port))
}

pub(crate) async fn connect(endpoint: &Endpoint) -> Result<TcpStream, ConnectError> {
    let (host, port, options) = read_to_dial::<Options>(endpoint)?;
    let failed = |error| ConnectError::from_io(endpoint, error);
    let late = |_| {
        let text = format!("no answer within {:?}", options.connect_timeout);
        io::Error::new(io::ErrorKind::TimedOut, text)
    };
    let deadline = Instant::now() + options.connect_timeout;
    let addrs = timeout_at(deadline, resolve(host, port)).await.map_err(late).flatten().map_err(failed)?;
    let addrs = reachable_from(options.source, addrs).map_err(failed)?;
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for (tried, addr) in addrs.iter().enumerate() {
        let now = Instant::now();
        let waiting = u32::try_from(addrs.len() - tried).unwrap_or(u32::MAX);
        let share = now + deadline.saturating_duration_since(now) / waiting;
        match timeout_at(share, dial(*addr, &options)).await.map_err(late).flatten() {
            Ok(stream) => {
                options.buffers.tell_dialled(endpoint, &SockRef::from(&stream));
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(match addrs.iter().find_map(no_connections) {
        Some(reason) => ConnectError::invalid(endpoint, reason),
        None => failed(last),
    })
}

async fn dial(addr: SocketAddr, options: &Options) -> io::Result<TcpStream> {
    for _ in 0..SELF_CONNECTS {
        let socket = options.socket(addr)?;
        options.stream.apply(&SockRef::from(&socket), addr)?;
        if let Some(source) = options.source {
            #[cfg(target_os = "linux")]
            setsockopt(&socket, sockopt::IpBindAddressNoPort, &true)?;
            bind_source(&socket, source)?;
        }
        let stream = TcpSocket::from_std_stream(socket.into()).connect(addr).await?;
        // Dialling a free port of this machine that the system also picks as the source meets itself (RFC 9293,
        // section 3.5, simultaneous open): no server listens there.
        if stream.local_addr()? != stream.peer_addr()? {
            return Ok(stream);
        }
    }
    Err(io::ErrorKind::ConnectionRefused.into())
}
