//! The options of TCP endpoints.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use swapwire_core::{Endpoint, OptionDoc, OptionError, Side};
use swapwire_socket::{Buffers, Wanted, set_ttl};

/// The options of `tcp:` endpoints.
///
/// Sizes are in bytes from 1 to 1 GiB. The system may give more or less than was asked: Linux doubles a buffer's size
/// for its own bookkeeping and cuts it at `net.core.rmem_max` and `net.core.wmem_max` (`socket(7)`), and the backlog at
/// `net.core.somaxconn` (`listen(2)`). What was cut is logged once, when the endpoint is bound. `keepalive` is both
/// the silence before the first probe and the time between probes, in whole seconds (`tcp(7)`, `TCP_KEEPIDLE` and
/// `TCP_KEEPINTVL`).
///
/// `source` is an address of this machine, of the family of the server's. Each has local ports of its own, so that a client
/// that has used up those of one can go on from another. On Linux the port is chosen with the connection
/// (`IP_BIND_ADDRESS_NO_PORT`, `ip(7)`): one port serves connections to several servers, as it does without the option.
pub const OPTIONS: &[OptionDoc] = &[
    OptionDoc::new("backlog", "number, default 1024", "connections that may wait to be accepted", Side::Bind),
    OptionDoc::new(
        "reuse_port",
        "bool, default false",
        "share the port with other sockets that set it too",
        Side::Bind,
    ),
    OptionDoc::new("v6_only", "bool, default true", "an IPv6 address takes no IPv4 connections", Side::Bind),
    OptionDoc::new("nodelay", "bool, default true", "send small segments at once", Side::Both),
    OptionDoc::new(
        "keepalive",
        "time, default off",
        "time without data before the first probe, and between probes",
        Side::Both,
    ),
    OptionDoc::new("recv_buffer", "size, default the system's", "the system's receive buffer", Side::Both),
    OptionDoc::new("send_buffer", "size, default the system's", "the system's send buffer", Side::Both),
    OptionDoc::new("ttl", "1 to 255, default the system's", "routers a packet may cross", Side::Both),
    #[cfg(target_os = "linux")]
    OptionDoc::new(
        "user_timeout",
        "time, default off",
        "time after which a connection with unacknowledged bytes is closed",
        Side::Both,
    ),
    OptionDoc::new(
        "source",
        "IP address, default the system's choice",
        "address of this machine to connect from",
        Side::Connect,
    ),
    OptionDoc::new("connect_timeout", "time, default 10s", "time after which connecting fails", Side::Connect),
];

const BACKLOG: usize = 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// What is applied to every connected socket, accepted or dialled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamOptions {
    nodelay: bool,
    keepalive: Option<Duration>,
    ttl: Option<u32>,
    #[cfg(target_os = "linux")]
    user_timeout: Option<Duration>,
}

/// The options of one endpoint, checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) backlog: Wanted,
    pub(crate) reuse_port: bool,
    pub(crate) v6_only: Option<bool>,
    pub(crate) connect_timeout: Duration,
    pub(crate) source: Option<IpAddr>,
    pub(crate) stream: StreamOptions,
    pub(crate) buffers: Buffers,
}

impl Options {
    /// Reads the options of `endpoint` for `side`.
    pub(crate) fn read(endpoint: &Endpoint, side: Side) -> Result<Self, OptionError> {
        let reader = endpoint.read_options();
        reader.check(OPTIONS, side)?;
        let backlog = reader.get_in("backlog", 1..=i32::MAX.unsigned_abs(), "write a number from 1 to 2147483647")?;
        let size = |name| reader.get_in(name, 1..=1 << 30, "write a size from 1 to 1GiB");
        let keepalive = reader.get_in(
            "keepalive",
            Duration::from_secs(1)..=Duration::from_secs(32_767),
            "write a time from 1s to 32767s, or leave it out for none",
        )?;
        let millis = Duration::from_millis(1)..=LONGEST;
        Ok(Self {
            backlog: backlog.map_or(Wanted::Usual(BACKLOG), |backlog| Wanted::Asked(backlog as usize)),
            reuse_port: reader.get("reuse_port")?.unwrap_or(false),
            v6_only: reader.get("v6_only")?,
            connect_timeout: reader
                .get_in("connect_timeout", millis.clone(), "write a time from 1ms to 24h")?
                .unwrap_or(CONNECT_TIMEOUT),
            source: reader.get("source")?,
            buffers: Buffers::asked(size("recv_buffer")?, size("send_buffer")?),
            stream: StreamOptions {
                nodelay: reader.get("nodelay")?.unwrap_or(true),
                keepalive,
                ttl: reader.get_in("ttl", 1..=255, "write a number from 1 to 255")?,
                #[cfg(target_os = "linux")]
                user_timeout: reader.get_in("user_timeout", millis, "write a time from 1ms to 24h")?,
            },
        })
    }

    /// A socket that fits `addr`, with the buffers set: the system takes their sizes into account only before
    /// `listen(2)` and `connect(2)` (`tcp(7)`).
    pub(crate) fn socket(&self, addr: SocketAddr) -> io::Result<Socket> {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        self.buffers.apply(&SockRef::from(&socket))?;
        Ok(socket)
    }
}

impl StreamOptions {
    /// What holds without options.
    pub(crate) const DEFAULT: Self = Self {
        nodelay: true,
        keepalive: None,
        ttl: None,
        #[cfg(target_os = "linux")]
        user_timeout: None,
    };

    /// Applies them to a socket of the family of `addr`.
    pub(crate) fn apply(&self, socket: &SockRef<'_>, addr: SocketAddr) -> io::Result<()> {
        socket.set_tcp_nodelay(self.nodelay)?;
        if let Some(time) = self.keepalive {
            socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(time).with_interval(time))?;
        }
        if let Some(ttl) = self.ttl {
            set_ttl(socket, addr, ttl)?;
        }
        #[cfg(target_os = "linux")]
        if let Some(time) = self.user_timeout {
            socket.set_tcp_user_timeout(Some(time))?;
        }
        Ok(())
    }
}
