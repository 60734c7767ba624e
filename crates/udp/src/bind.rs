//! Binding: the addresses of a name, groups for workers, multicast groups.

use std::io;
#[cfg(target_os = "linux")]
use std::net::Ipv4Addr;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use socket2::{InterfaceIndexOrAddress, SockRef, Socket};
use swapwire_core::{Endpoint, OptionError, Side};
use swapwire_socket::{HostOptions, Reach, reach, set_reuse_port, set_v6_only};

use crate::options::Options;

impl HostOptions for Options {
    const PLACE: &'static str = "UDP has hosts and ports; write udp://host:port";

    type Socket = UdpSocket;

    fn read(endpoint: &Endpoint, side: Side) -> Result<Self, OptionError> {
        Self::read(endpoint, side)
    }

    fn v6_only(&self) -> Option<bool> {
        self.v6_only
    }

    fn bind(&self, addr: SocketAddr) -> io::Result<UdpSocket> {
        self.open(addr, self.reuse_port)
    }

    /// On Linux, where the system shares datagrams among them by their senders. Elsewhere `first` alone, and where a datagram
    /// reaches every socket of the address: each of several would answer.
    fn group(&self, first: UdpSocket, members: usize) -> io::Result<Vec<UdpSocket>> {
        let addr = first.local_addr()?;
        if members <= 1 || !cfg!(target_os = "linux") || reach(addr) != Reach::One {
            return Ok(vec![first]);
        }
        // It was bound exclusively, so that a server that is there already was found. Only now it allows others: Linux
        // takes a socket that has the option set after its bind into the group (`reuseport_add_sock`).
        set_reuse_port(&SockRef::from(&first))?;
        let others = (1..members).map(|_| self.open_member(addr));
        std::iter::once(Ok(first)).chain(others).collect()
    }

    fn as_ref(socket: &UdpSocket) -> SockRef<'_> {
        socket.into()
    }

    fn tell_bound(&self, endpoint: &Endpoint, socket: &SockRef<'_>) {
        self.buffers.tell_bound(endpoint, socket);
    }
}

impl Options {
    fn open(&self, addr: SocketAddr, reuse_port: bool) -> io::Result<UdpSocket> {
        let socket = self.socket(addr)?;
        set_v6_only(&socket, addr, self.v6_only)?;
        if reuse_port {
            set_reuse_port(&SockRef::from(&socket))?;
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
        let index = self.interface_index()?.unwrap_or(scope);
        let joined = match addr.ip() {
            IpAddr::V4(group) => socket.join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(index)),
            IpAddr::V6(group) => socket.join_multicast_v6(&group, index),
        };
        joined.map_err(|error| {
            let text = format!("join the group {}: {error}; write interface=NAME to choose the network", addr.ip());
            io::Error::new(error.kind(), text)
        })
    }

    /// The number of the interface, where one is named.
    fn interface_index(&self) -> io::Result<Option<u32>> {
        #[cfg(target_os = "linux")]
        if let Some(name) = &self.interface {
            return Ok(Some(nix::net::if_::if_nametoindex(name.as_str())?));
        }
        Ok(None)
    }

    /// One more socket for `addr`, where others are bound. A broadcast datagram reaches all members of a group; the first
    /// answers it, so the others do not receive it.
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

/// By default a socket of Linux receives from all groups that any process of the host has joined (`ip(7)`,
/// `IP_MULTICAST_ALL`).
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
