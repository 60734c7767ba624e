//! One connected socket, which never blocks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;

use anyhow::{Context as _, bail};
use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, UnixAddr, bind, socket};

use crate::Wire;

pub(super) fn connect(wire: &Wire) -> anyhow::Result<OwnedFd> {
    match wire {
        Wire::Tcp(to) => tcp(*to),
        Wire::Udp(to) => udp(*to),
        Wire::Unix(path) => unix(path),
        Wire::UnixDgram(path) => unix_dgram(path),
        Wire::UnixSeq(path) => unix_seq(path),
        Wire::Ws(_) => bail!("the client has no frames; swapwire bench has"),
    }
    .with_context(|| format!("connect {wire}"))
}

fn tcp(to: SocketAddr) -> anyhow::Result<OwnedFd> {
    let stream = TcpStream::connect(to)?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    Ok(stream.into())
}

fn udp(to: SocketAddr) -> anyhow::Result<OwnedFd> {
    let any = if to.is_ipv4() { IpAddr::from(Ipv4Addr::UNSPECIFIED) } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(to)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn unix(path: &Path) -> anyhow::Result<OwnedFd> {
    let stream = UnixStream::connect(path)?;
    stream.set_nonblocking(true)?;
    Ok(stream.into())
}

fn unix_dgram(path: &Path) -> anyhow::Result<OwnedFd> {
    let socket = UnixDatagram::unbound()?;
    bind(socket.as_raw_fd(), &UnixAddr::new_unnamed())?; // the system chooses a name, to which replies come
    socket.connect(path)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn unix_seq(path: &Path) -> anyhow::Result<OwnedFd> {
    let socket = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None)?;
    socket::connect(socket.as_raw_fd(), &UnixAddr::new(path)?)?;
    // The same flag on any socket.
    let stream = UnixStream::from(socket);
    stream.set_nonblocking(true)?;
    Ok(stream.into())
}
