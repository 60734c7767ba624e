//! Binding: the addresses of a name, groups for workers, multicast groups.

use std::io;
#[cfg(target_os = "linux")]
use std::net::Ipv4Addr;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use socket2::{InterfaceIndexOrAddress, SockRef, Socket};
use swapwire_core::{BindError, Endpoint, OptionError, Place, Side};
use swapwire_socket::{Reach, bind_each, bind_first, reach, resolve, set_v6_only, v6_only_mistake};

use crate::options::{Options, set_reuse_port};
use crate::transport::PLACE;

/// An endpoint to bind, with its addresses and options.
pub(crate) struct Binder<'a> {
    endpoint: &'a Endpoint,
    pub(crate) addrs: Vec<SocketAddr>,
    pub(crate) options: Options,
}

impl<'a> Binder<'a> {
    pub(crate) async fn read(endpoint: &'a Endpoint) -> Result<Self, BindError> {
        let Place::Host { host, port } = endpoint.place() else { return Err(BindError::invalid(endpoint, PLACE)) };
        let options = Options::read(endpoint, Side::Bind).map_err(|error| BindError::option(endpoint, error))?;
        let addrs = resolve(host, *port).await.map_err(|error| BindError::from_io(endpoint, error))?;
        if let (Some(value), Some(reason)) = (options.v6_only, v6_only_mistake(host, &addrs)) {
            let (name, value) = ("v6_only".to_owned(), value.to_string());
            return Err(BindError::option(endpoint, OptionError::Value { name, value, reason }));
        }
        Ok(Self { endpoint, addrs, options })
    }

    /// A socket of the first address that can be bound.
    pub(crate) fn first(&self) -> Result<UdpSocket, BindError> {
        let first = bind_first(&self.addrs, |addr| self.open(addr, self.options.reuse_port));
        let first = first.map_err(|error| BindError::from_io(self.endpoint, error))?;
        self.options.tell_bound(self.endpoint, &SockRef::from(&first));
        Ok(first)
    }

    /// A socket of each address.
    pub(crate) fn each(&self) -> Result<Vec<UdpSocket>, BindError> {
        let open = |addr| {
            let socket = self.open(addr, self.options.reuse_port)?;
            let port = socket.local_addr()?.port();
            Ok((socket, port))
        };
        let each = bind_each(self.endpoint, &self.addrs, open);
        let each = each.map_err(|error| BindError::from_io(self.endpoint, error))?;
        if let Some(first) = each.first() {
            self.options.tell_bound(self.endpoint, &SockRef::from(first));
        }
        Ok(each)
    }

    /// The group of `members` that begins with `first`: on Linux, where the system shares datagrams among them by their
    /// senders. Elsewhere `first` alone, and where a datagram is for everybody who hears it: each of several would answer.
    pub(crate) fn group(&self, first: UdpSocket, members: usize) -> Result<Vec<UdpSocket>, BindError> {
        let join = || {
            let addr = first.local_addr()?;
            if members <= 1 || !cfg!(target_os = "linux") || reach(addr) != Reach::One {
                return Ok(Vec::new());
            }
            // It was bound exclusively, so that whoever else wants the place was refused, and shares from now on alone: Linux
            // takes a socket that says so after its bind into the group (`reuseport_add_sock`).
            set_reuse_port(SockRef::from(&first))?;
            (1..members).map(|_| self.open_member(addr)).collect::<io::Result<Vec<_>>>()
        };
        let others = join().map_err(|error| BindError::from_io(self.endpoint, error))?;
        Ok(std::iter::once(first).chain(others).collect())
    }

    fn open(&self, addr: SocketAddr, reuse_port: bool) -> io::Result<UdpSocket> {
        let socket = self.options.socket(addr)?;
        set_v6_only(&socket, addr, self.options.v6_only)?;
        if reuse_port {
            set_reuse_port(SockRef::from(&socket))?;
        }
        hear_own_groups(&socket, addr)?;
        socket.bind(&addr.into())?;
        if addr.ip().is_multicast() {
            self.join(&socket, addr)?;
        }
        Ok(socket.into())
    }

    /// Joins the group `addr`: on the interface that the options name, or that the address has as its scope, or that the
    /// routes to the group lead to.
    fn join(&self, socket: &Socket, addr: SocketAddr) -> io::Result<()> {
        let scope = match addr {
            SocketAddr::V6(addr) => addr.scope_id(),
            SocketAddr::V4(_) => 0,
        };
        let index = self.interface()?.unwrap_or(scope);
        let joined = match addr.ip() {
            IpAddr::V4(group) => socket.join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(index)),
            IpAddr::V6(group) => socket.join_multicast_v6(&group, index),
        };
        joined.map_err(|error| {
            let text = format!("join the group {}: {error}; interface=NAME says on which network", addr.ip());
            io::Error::new(error.kind(), text)
        })
    }

    /// The number of the interface, where one is named.
    fn interface(&self) -> io::Result<Option<u32>> {
        #[cfg(target_os = "linux")]
        if let Some(name) = &self.options.interface {
            return Ok(Some(nix::net::if_::if_nametoindex(name.as_str())?));
        }
        Ok(None)
    }

    /// One more socket for `addr`, where others are bound. A datagram to everybody reaches all members of a group; at the
    /// first it is answered, so these do not hear it.
    /// The system counts it as dropped at each of these, and has no other count of what did not fit into their buffers: that
    /// one is told rather than none.
    fn open_member(&self, addr: SocketAddr) -> io::Result<UdpSocket> {
        let socket = self.open(addr, true)?;
        #[cfg(target_os = "linux")]
        if addr.ip().is_unspecified() {
            SockRef::from(&socket).attach_filter(&TO_THIS_HOST)?;
        }
        Ok(socket)
    }
}

/// A filter of packets (`socket(7)`, `SO_ATTACH_FILTER`) that takes those that were sent to this host alone
/// (`packet(7)`, `PACKET_HOST`). To the loopback interface its own broadcast address is one of the host's.
#[cfg(target_os = "linux")]
const TO_THIS_HOST: [socket2::SockFilter; 9] = {
    const fn step(code: u32, jumps: (u8, u8), operand: u32) -> socket2::SockFilter {
        socket2::SockFilter::new(code as u16, jumps.0, jumps.1, operand)
    }
    use libc::{BPF_ABS, BPF_ALU, BPF_AND, BPF_B, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W, SKF_NET_OFF};
    const KIND: u32 = (libc::SKF_AD_OFF + libc::SKF_AD_PKTTYPE) as u32;
    // Of the IPv4 header (RFC 791, section 3.1).
    const VERSION: u32 = SKF_NET_OFF as u32;
    const DESTINATION: u32 = VERSION + 16;
    [
        step(BPF_LD | BPF_W | BPF_ABS, (0, 0), KIND),
        step(BPF_JMP | BPF_JEQ | BPF_K, (0, 6), libc::PACKET_HOST as u32),
        step(BPF_LD | BPF_B | BPF_ABS, (0, 0), VERSION),
        step(BPF_ALU | BPF_AND | BPF_K, (0, 0), 0xf0),
        step(BPF_JMP | BPF_JEQ | BPF_K, (0, 2), 0x40),
        step(BPF_LD | BPF_W | BPF_ABS, (0, 0), DESTINATION),
        step(BPF_JMP | BPF_JEQ | BPF_K, (1, 0), Ipv4Addr::new(127, 255, 255, 255).to_bits()),
        step(BPF_RET | BPF_K, (0, 0), u32::MAX),
        step(BPF_RET | BPF_K, (0, 0), 0),
    ]
};

/// By default a socket of Linux hears the groups that anybody on the host has joined (`ip(7)`, `IP_MULTICAST_ALL`).
#[cfg(target_os = "linux")]
fn hear_own_groups(socket: &Socket, addr: SocketAddr) -> io::Result<()> {
    if addr.is_ipv6() {
        // Linux 4.20 has it; without, it is as it was.
        let _ = socket.set_multicast_all_v6(false);
    }
    socket.set_multicast_all_v4(false)
}

#[cfg(not(target_os = "linux"))]
fn hear_own_groups(_: &Socket, _: SocketAddr) -> io::Result<()> {
    Ok(())
}
