//! The bound socket: many peers.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll, ready};

use swapwire_core::{Addr, DatagramSocket, Endpoint, RecvBatch, SendBatch};
use tokio::net::UdpSocket;

use crate::{MAX_MESSAGE, SCHEME};

/// How datagrams are moved between the system and a batch. Neither direction allocates once it is warm.
pub(crate) trait Engine: Send + Sized + 'static {
    /// For a socket that is bound to `local`.
    fn new(socket: &UdpSocket, local: SocketAddr) -> io::Result<Self>;

    /// Fills free slots of `batch`, at least one, until all are filled or nothing waits. `WouldBlock` means that nothing
    /// waited, and that the socket's readiness was cleared.
    fn recv(&mut self, socket: &UdpSocket, batch: &mut RecvBatch) -> io::Result<()>;

    /// Sends entries of `batch` from `from` on and returns how many, at least one. `WouldBlock` means that the socket
    /// has no room, and that its readiness was cleared.
    fn send(&mut self, socket: &UdpSocket, batch: &SendBatch, from: usize) -> io::Result<usize>;
}

/// A bound socket.
#[derive(Debug)]
pub(crate) struct Server<E> {
    socket: UdpSocket,
    local: Endpoint,
    engine: E,
}

impl<E: Engine> Server<E> {
    pub(crate) fn new(socket: UdpSocket) -> io::Result<Self> {
        let addr = socket.local_addr()?;
        let local = Addr::inet(addr).to_endpoint(SCHEME).map_err(io::Error::other)?;
        Ok(Self { engine: E::new(&socket, addr)?, socket, local })
    }
}

impl<E: Engine> DatagramSocket for Server<E> {
    fn local(&self) -> Endpoint {
        self.local.clone()
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, batch: &mut RecvBatch) -> Poll<io::Result<()>> {
        if batch.len() == batch.slots() {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidInput, "the batch has no free slot")));
        }
        loop {
            ready!(self.socket.poll_recv_ready(cx))?;
            match self.engine.recv(&self.socket, batch) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, batch: &SendBatch, from: usize) -> Poll<io::Result<usize>> {
        if from >= batch.len() {
            return Poll::Ready(Ok(0));
        }
        loop {
            ready!(self.socket.poll_send_ready(cx))?;
            match self.engine.send(&self.socket, batch, from) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }

    fn max_message(&self) -> usize {
        MAX_MESSAGE
    }
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
