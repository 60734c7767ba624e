//! One connected socket, which never blocks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;

use anyhow::Context as _;
use nix::sys::socket::{UnixAddr, bind};

use crate::Wire;

pub(super) fn connect(wire: &Wire) -> anyhow::Result<OwnedFd> {
    match wire {
        Wire::Tcp(to) => tcp(*to),
        Wire::Udp(to) => udp(*to),
        Wire::Unix(path) => unix(path),
        Wire::UnixDgram(path) => unix_dgram(path),
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
