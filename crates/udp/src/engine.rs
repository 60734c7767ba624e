//! What bound and connected sockets have in common: moving datagrams between the system and a batch.

use std::io;
use std::net::{IpAddr, SocketAddr};

use swapwire_core::{Addr, RecvBatch, SendBatch, SendEntry};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use crate::MAX_MESSAGE;

/// Whom a socket talks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peers {
    /// Everybody: datagrams carry addresses.
    Many,
    /// The one that it is connected to: no address is looked at, and none is reported.
    One,
}

/// How datagrams are moved. Neither direction allocates once it is warm.
pub(crate) trait Engine: Send + Unpin + Sized + 'static {
    /// For a socket that has its local address.
    fn new(socket: &UdpSocket, peers: Peers) -> io::Result<Self>;

    /// Fills free slots of `batch` until all are filled, or until an error; what was filled before an error stays.
    /// `WouldBlock` means that nothing waits any more, and that the socket's readiness was cleared.
    fn recv(&mut self, socket: &UdpSocket, batch: &mut RecvBatch) -> io::Result<()>;

    /// Sends the entry of `batch` at `from`, which exists, and perhaps those behind it, by one system call; returns how
    /// many. `WouldBlock` means that the socket has no room, and that its readiness was cleared.
    fn send_some(&mut self, socket: &UdpSocket, batch: &SendBatch, from: usize) -> io::Result<usize>;

    /// Sends the entries of `batch` from `from` on, until an error; returns how many went out.
    fn send(&mut self, socket: &UdpSocket, batch: &SendBatch, from: usize) -> (usize, io::Result<()>) {
        let mut next = from;
        while next < batch.len() {
            match self.send_some(socket, batch, next) {
                Ok(count) => next += count,
                Err(error) => return (next - from, Err(error)),
            }
        }
        (next - from, Ok(()))
    }
}

pub(crate) fn is_would_block<T>(result: &io::Result<T>) -> bool {
    matches!(result, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

/// Runs `receive` if the socket has something to tell; its `WouldBlock` clears the readiness. `try_io` takes one interest
/// at a time, and an ICMP error may come as [`Interest::ERROR`] alone.
pub(crate) fn when_receivable<T>(socket: &UdpSocket, mut receive: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let received = socket.try_io(Interest::READABLE, &mut receive);
    if is_would_block(&received) { socket.try_io(Interest::ERROR, receive) } else { received }
}

/// Refuses what no peer could be sure to receive, though IPv6 would carry it.
pub(crate) fn check_size(entry: &SendEntry<'_>) -> io::Result<()> {
    let len = entry.message.len();
    if len > MAX_MESSAGE {
        let text = format!("a datagram of {len} bytes is longer than the limit of {MAX_MESSAGE}");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    Ok(())
}

/// `to` as a socket of the given family takes it: an IPv6 socket reaches IPv4 peers by their mapped addresses.
pub(crate) fn destination(to: &Addr, v6: bool) -> io::Result<SocketAddr> {
    match to {
        Addr::Inet(SocketAddr::V4(addr)) if v6 => Ok(SocketAddr::new(mapped(IpAddr::V4(*addr.ip())), addr.port())),
        Addr::Inet(addr) if addr.is_ipv6() == v6 => Ok(*addr),
        Addr::Inet(_) => Err(io::Error::new(io::ErrorKind::InvalidInput, "an IPv4 socket cannot reach an IPv6 peer")),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "the peer has no IP address")),
    }
}

/// `ip` as an IPv6 socket writes it.
pub(crate) fn mapped(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => IpAddr::V6(ip.to_ipv6_mapped()),
        v6 => v6,
    }
}
