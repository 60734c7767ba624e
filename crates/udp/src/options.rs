//! The options of UDP endpoints.

use std::io;
#[cfg(unix)]
use std::net::UdpSocket;
use std::net::{IpAddr, SocketAddr};

#[cfg(target_os = "linux")]
use nix::sys::socket::{getsockopt, setsockopt, sockopt::UdpGroSegment};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use swapwire_core::{Endpoint, OptionDoc, OptionError, Side};
use swapwire_socket::{Buffers, Wanted};

/// The options of `udp:` endpoints.
///
/// Sizes are in bytes from 1 to 1 GiB. The system may set more or less than was asked for: Linux doubles a buffer's size
/// for its own bookkeeping and limits it to `net.core.rmem_max` and `net.core.wmem_max` (`socket(7)`). A reduced size is
/// logged once, when the endpoint is bound. A datagram that does not fit into the receive buffer is lost. `source` is an
/// address of this machine, of the family of the server's; each has local ports of its own.
///
/// `gso` and `gro` change what datagrams cost, never what they are: messages leave and arrive one by one for peers and
/// for users of this crate's sockets. Where the system has no `UDP_SEGMENT` or `UDP_GRO` (`udp(7)`, Linux
/// 4.18 and 5.0), the default is to go on without, and `true` is an error. What a bound socket does at present is told by
/// [`offload`](swapwire_core::DatagramSocket::offload): `gso` pauses after the system refused it. A connected socket
/// switches `gro` on when datagrams of one size first arrive together, or at once when the option says `true`.
pub const OPTIONS: &[OptionDoc] = &[
    OptionDoc::new(
        "reuse_port",
        "bool, default false",
        "share the port with other sockets that set it too",
        Side::Bind,
    ),
    OptionDoc::new("v6_only", "bool, default true", "an IPv6 address takes no IPv4 datagrams", Side::Bind),
    OptionDoc::new(
        "recv_buffer",
        "size, default 4MiB when binding, else 1MiB",
        "the system's receive buffer",
        Side::Both,
    ),
    OptionDoc::new("send_buffer", "size, default the system's", "the system's send buffer", Side::Both),
    OptionDoc::new(
        "source",
        "IP address, default the system's choice",
        "address of this machine to connect from",
        Side::Connect,
    ),
    OptionDoc::new("ttl", "1 to 255, default the system's", "routers a packet may cross", Side::Both),
    OptionDoc::new("broadcast", "bool, default false", "allow sending to broadcast addresses", Side::Both),
    #[cfg(target_os = "linux")]
    OptionDoc::new("interface", "name, default any", "the one network interface to use, as eth0", Side::Both),
    OptionDoc::new(
        "gso",
        "bool, default true",
        "successive datagrams of one size to one peer are sent as one (Linux)",
        Side::Both,
    ),
    OptionDoc::new(
        "gro",
        "bool, default true",
        "successive datagrams of one peer are received as one (Linux)",
        Side::Both,
    ),
];

/// The receive buffer of a bound socket that says nothing of it, in bytes. Measured on Linux 6.18 beside other work, in
/// 1.5 s of single datagrams: with 208 KiB 550 were dropped (64 peers with 16 of 64 B each under way); with 1 MiB 290 (1 KiB
/// each) and 2,963 (256 peers); with 2 MiB none and 133; with 4 MiB none. Memory is taken as datagrams arrive.
const SERVER_RECV_BUFFER: usize = 4 << 20;
/// The same of a client, which receives from one peer: with 256 replies of 1 KiB under way 208 KiB dropped some hundred,
/// and 1 MiB none.
const CLIENT_RECV_BUFFER: usize = 1 << 20;

/// The options of one endpoint, checked.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) reuse_port: bool,
    pub(crate) v6_only: Option<bool>,
    pub(crate) source: Option<IpAddr>,
    pub(crate) buffers: Buffers,
    ttl: Option<u32>,
    pub(crate) broadcast: bool,
    #[cfg(target_os = "linux")]
    pub(crate) interface: Option<String>,
    pub(crate) gso: Option<bool>,
    pub(crate) gro: Option<bool>,
}

impl Options {
    /// Reads the options of `endpoint` for `side`.
    pub(crate) fn read(endpoint: &Endpoint, side: Side) -> Result<Self, OptionError> {
        let reader = endpoint.read_options();
        reader.check(OPTIONS, side)?;
        let usual = if side == Side::Bind { SERVER_RECV_BUFFER } else { CLIENT_RECV_BUFFER };
        let size = |name| reader.get_in(name, 1..=1 << 30, "write a size from 1 to 1GiB");
        Ok(Self {
            reuse_port: reader.get("reuse_port")?.unwrap_or(false),
            v6_only: reader.get("v6_only")?,
            source: reader.get("source")?,
            buffers: Buffers {
                recv: Some(size("recv_buffer")?.map_or(Wanted::Usual(usual), Wanted::Asked)),
                send: size("send_buffer")?.map(Wanted::Asked),
            },
            ttl: reader.get_in("ttl", 1..=255, "write a number from 1 to 255")?,
            broadcast: reader.get("broadcast")?.unwrap_or(false),
            #[cfg(target_os = "linux")]
            interface: reader.get("interface")?,
            gso: reader.get("gso")?,
            gro: reader.get("gro")?,
        })
    }

    /// A socket that fits `addr`, with what holds on both sides set.
    pub(crate) fn socket(&self, addr: SocketAddr) -> io::Result<Socket> {
        let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        self.apply(&SockRef::from(&socket), addr)?;
        #[cfg(target_os = "linux")]
        if let Some(name) = &self.interface {
            let named = |error: io::Error| io::Error::new(error.kind(), format!("interface {name}: {error}"));
            socket.bind_device(Some(name.as_bytes())).map_err(named)?;
        }
        Ok(socket)
    }

    /// Sets what can be set of a socket at any time.
    fn apply(&self, socket: &SockRef<'_>, addr: SocketAddr) -> io::Result<()> {
        self.buffers.apply(socket)?;
        if let Some(ttl) = self.ttl {
            set_ttl(socket, addr, ttl)?;
        }
        if self.broadcast {
            socket.set_broadcast(true)?;
        }
        Ok(())
    }

    /// Prepares a bound socket that another program opened: what that has set stays as it is, but for what these ask.
    #[cfg(unix)]
    pub(crate) fn adopt(&mut self, socket: &UdpSocket) -> io::Result<()> {
        self.buffers.recv = self.buffers.recv.filter(|wanted| matches!(wanted, Wanted::Asked(_)));
        #[cfg(target_os = "linux")]
        self.adopt_gro(socket)?;
        socket.set_nonblocking(true)?;
        self.apply(&SockRef::from(socket), socket.local_addr()?)
    }

    /// A program that does not know of trains would take one for a datagram, so that the socket keeps what it has.
    #[cfg(target_os = "linux")]
    fn adopt_gro(&mut self, socket: &UdpSocket) -> io::Result<()> {
        let has = getsockopt(socket, UdpGroSegment).unwrap_or(false);
        if has && self.gro == Some(false) {
            setsockopt(socket, UdpGroSegment, &false)?;
        }
        self.gro = self.gro.or(Some(has));
        Ok(())
    }
}

fn set_ttl(socket: &SockRef<'_>, addr: SocketAddr, ttl: u32) -> io::Result<()> {
    // What goes to groups has a limit of its own (`ip(7)`, `IP_MULTICAST_TTL`), which is 1.
    if addr.is_ipv4() {
        socket.set_multicast_ttl_v4(ttl)?;
    } else {
        socket.set_multicast_hops_v6(ttl)?;
    }
    swapwire_socket::set_ttl(socket, addr, ttl)
}

/// Why an option that was asked for cannot be had.
pub(crate) fn unsupported(option: &str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, format!("this system has no {option}"))
}
