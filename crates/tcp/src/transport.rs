//! Binding and connecting.

use std::io;
use std::net::SocketAddr;

use async_trait::async_trait;
#[cfg(target_os = "linux")]
use nix::sys::socket::{setsockopt, sockopt};
use socket2::SockRef;
use swapwire_core::{
    Addr, BindError, Bound, Capabilities, ConnectError, Endpoint, Link, Listener, OptionDoc, OptionError, Peer, Place,
    Side, Transport,
};
use swapwire_socket::{
    Reach, bind_each, bind_first, bind_source, reach, reachable_from, resolve, set_v6_only, v6_only_mistake,
};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout_at};

use crate::OPTIONS;
use crate::listener::{Acceptor, link};
use crate::options::{Options, StreamOptions, set_reuse_port};

/// The scheme of TCP endpoints.
pub const SCHEME: &str = "tcp";

const PLACE: &str = "TCP has hosts and ports; write tcp://host:port";

/// How often a connection that met itself is tried again.
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
/// listens without, so that who is there already is found; from then on, only a server of the same user that says
/// `reuse_port=true` could join. Elsewhere the members share one listener.
///
/// # Connecting
/// The addresses of a name, with `source` those of its family, are tried in order until one answers; the error is that of
/// the last. `connect_timeout` is for all of them together: each gets an equal share of what is left.
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
    fn schemes(&self) -> &[&'static str] {
        &[SCHEME]
    }

    fn capabilities(&self, _scheme: &str) -> Capabilities {
        Capabilities::byte_stream()
    }

    fn options(&self, _scheme: &str) -> &[OptionDoc] {
        OPTIONS
    }

    async fn bind(&self, endpoint: &Endpoint) -> Result<Bound, BindError> {
        bind(endpoint).await.map(|acceptor| Bound::Listener(Box::new(acceptor)))
    }

    async fn bind_group(&self, endpoint: &Endpoint, members: usize) -> Result<Vec<Bound>, BindError> {
        let group = bind_group(endpoint, members).await?;
        Ok(group.into_iter().map(|acceptor| Bound::Listener(Box::new(acceptor))).collect())
    }

    async fn bind_all(&self, endpoint: &Endpoint, members: usize) -> Result<Vec<Vec<Bound>>, BindError> {
        let bound = |acceptor| Bound::Listener(Box::new(acceptor));
        let groups = Binder::read(endpoint).await?.all(members)?;
        Ok(groups.into_iter().map(|group| group.into_iter().map(bound).collect()).collect())
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<Link, ConnectError> {
        let stream = connect(endpoint).await?;
        let ends = || Ok((stream.peer_addr()?, stream.local_addr()?));
        let (peer, local) = ends().map_err(|error| ConnectError::from_io(endpoint, error))?;
        Ok(link(stream, Peer::new(Addr::inet(peer)), local))
    }
}

pub(crate) async fn bind(endpoint: &Endpoint) -> Result<Acceptor, BindError> {
    Binder::read(endpoint).await?.first().map(|(acceptor, _)| acceptor)
}

pub(crate) async fn bind_group(endpoint: &Endpoint, members: usize) -> Result<Vec<Acceptor>, BindError> {
    let binder = Binder::read(endpoint).await?;
    let (first, addr) = binder.first()?;
    binder.others(first, addr, members).map_err(|error| BindError::from_io(endpoint, error))
}

/// An endpoint to bind, with its addresses and options.
pub(crate) struct Binder<'a> {
    endpoint: &'a Endpoint,
    pub(crate) addrs: Vec<SocketAddr>,
    options: Options,
}

impl<'a> Binder<'a> {
    pub(crate) async fn read(endpoint: &'a Endpoint) -> Result<Self, BindError> {
        let Place::Host { host, port } = endpoint.place() else { return Err(BindError::invalid(endpoint, PLACE)) };
        let options = Options::read(endpoint, Side::Bind).map_err(|error| BindError::option(endpoint, error))?;
        let addrs = resolve(host, *port).await.map_err(|error| BindError::from_io(endpoint, error))?;
        if let Some(reason) = addrs.iter().find_map(no_connections) {
            return Err(BindError::invalid(endpoint, reason));
        }
        if let (Some(value), Some(reason)) = (options.v6_only, v6_only_mistake(host, &addrs)) {
            let (name, value) = ("v6_only".to_owned(), value.to_string());
            return Err(BindError::option(endpoint, OptionError::Value { name, value, reason }));
        }
        Ok(Self { endpoint, addrs, options })
    }

    /// The first socket of one address, and what it is really bound to.
    fn first(&self) -> Result<(Acceptor, SocketAddr), BindError> {
        let first = bind_first(&self.addrs, |addr| self.listen(addr));
        let first = first.map_err(|error| BindError::from_io(self.endpoint, error))?;
        self.options.tell_bound(self.endpoint, &first.0.socket());
        Ok(first)
    }

    /// A group of `members` for each address.
    pub(crate) fn all(&self, members: usize) -> Result<Vec<Vec<Acceptor>>, BindError> {
        let firsts = self.each()?.into_iter();
        let groups: io::Result<_> = firsts.map(|(first, addr)| self.others(first, addr, members)).collect();
        groups.map_err(|error| BindError::from_io(self.endpoint, error))
    }

    /// The first socket of each address.
    fn each(&self) -> Result<Vec<(Acceptor, SocketAddr)>, BindError> {
        let listen = |addr| self.listen(addr).map(|(acceptor, addr)| ((acceptor, addr), addr.port()));
        let each = bind_each(self.endpoint, &self.addrs, listen);
        let each = each.map_err(|error| BindError::from_io(self.endpoint, error))?;
        if let Some((first, _)) = each.first() {
            self.options.tell_bound(self.endpoint, &first.socket());
        }
        Ok(each)
    }

    fn listen(&self, addr: SocketAddr) -> io::Result<(Acceptor, SocketAddr)> {
        listen(addr, &self.options, self.options.reuse_port)
    }

    /// The group that begins with `first`.
    #[cfg(target_os = "linux")]
    fn others(&self, first: Acceptor, addr: SocketAddr, members: usize) -> io::Result<Vec<Acceptor>> {
        let mut group = vec![first];
        if members > 1 && !self.options.reuse_port {
            // Set after listen(2): until then nobody else could bind, and the kernel makes a group of a listener when the
            // second one comes (`reuseport_add_sock`).
            group[0].open_group()?;
        }
        for _ in 1..members {
            group.push(listen(addr, &self.options, true)?.0);
        }
        Ok(group)
    }

    /// The group that begins with `first`: one socket for all.
    #[cfg(not(target_os = "linux"))]
    fn others(&self, first: Acceptor, _: SocketAddr, members: usize) -> io::Result<Vec<Acceptor>> {
        first.share(members)
    }
}

/// Why nobody can be connected to at `addr`, if so: the system would let a listener wait there for ever.
fn no_connections(addr: &SocketAddr) -> Option<String> {
    let kind = match reach(*addr) {
        Reach::One => return None,
        Reach::Group => "a multicast address",
        Reach::Everybody => "a broadcast address",
    };
    Some(format!("{} is {kind}, and TCP connects two hosts; write udp:// for datagrams to many", addr.ip()))
}

fn listen(addr: SocketAddr, options: &Options, reuse_port: bool) -> io::Result<(Acceptor, SocketAddr)> {
    let socket = options.socket(addr)?;
    set_v6_only(&socket, addr, options.v6_only)?;
    // Elsewhere SO_REUSEADDR lets a second process take the port over.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    if reuse_port {
        set_reuse_port(&SockRef::from(&socket))?;
    }
    socket.bind(&addr.into())?;
    socket.listen(options.backlog())?;
    let listener = std::net::TcpListener::from(socket);
    let addr = listener.local_addr()?;
    Ok((Acceptor::new(listener, options.stream)?, addr))
}

pub(crate) async fn connect(endpoint: &Endpoint) -> Result<TcpStream, ConnectError> {
    let Place::Host { host, port } = endpoint.place() else { return Err(ConnectError::invalid(endpoint, PLACE)) };
    if *port == 0 {
        return Err(ConnectError::invalid(endpoint, "port 0 cannot be dialled; write the port of a server"));
    }
    let options = Options::read(endpoint, Side::Connect).map_err(|error| ConnectError::option(endpoint, error))?;
    let failed = |error| ConnectError::from_io(endpoint, error);
    let late = |_| {
        let text = format!("no answer within {:?}", options.connect_timeout);
        io::Error::new(io::ErrorKind::TimedOut, text)
    };
    let deadline = Instant::now() + options.connect_timeout;
    let addrs = timeout_at(deadline, resolve(host, *port)).await.map_err(late).flatten().map_err(failed)?;
    let addrs = reachable_from(options.source, addrs).map_err(failed)?;
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for (tried, addr) in addrs.iter().enumerate() {
        let now = Instant::now();
        let waiting = u32::try_from(addrs.len() - tried).unwrap_or(u32::MAX);
        let share = now + deadline.saturating_duration_since(now) / waiting;
        match timeout_at(share, dial(*addr, &options)).await.map_err(late).flatten() {
            Ok(stream) => {
                options.tell_dialled(endpoint, &SockRef::from(&stream));
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
        // section 3.5, simultaneous open): nobody listens there.
        if stream.local_addr()? != stream.peer_addr()? {
            return Ok(stream);
        }
    }
    Err(io::ErrorKind::ConnectionRefused.into())
}
