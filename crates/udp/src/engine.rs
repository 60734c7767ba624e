//! What bound and connected sockets have in common: moving datagrams between the system and a batch.

use std::io;

use swapwire_core::{Offload, RecvBatch, SendBatch};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use crate::MAX_MESSAGE;
use crate::bound::Bound;
use crate::options::Options;

/// Room for a train: what the length in the header of an IPv6 packet can tell, and one more.
pub(crate) const SLOT: usize = 65_536;

const _: () = assert!(SLOT > MAX_MESSAGE, "a datagram that is too large shows");

/// Whom a socket talks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peers {
    /// Any peer: datagrams carry addresses.
    Many,
    /// The one that it is connected to: no address is looked at, and none is reported.
    One,
}

/// How datagrams are moved. Neither direction allocates once it is warm.
pub(crate) trait Engine: Send + Unpin + Sized + 'static {
    /// For a socket that has its local address, and is not registered with a reactor yet.
    fn new(socket: &std::net::UdpSocket, peers: Peers, options: &Options) -> io::Result<Self>;

    /// Fills free slots of `batch` until all are filled, or until an error; what was filled before an error stays.
    /// `WouldBlock` means that nothing waits any more, or need be looked for, and that the socket's readiness was cleared.
    fn recv(&mut self, socket: &UdpSocket, batch: &mut RecvBatch) -> io::Result<()>;

    /// The same of the socket of a server.
    fn recv_bound(&mut self, socket: &mut Bound, batch: &mut RecvBatch) -> io::Result<()>;

    /// Sends the entries of `batch` from `from` on, until an error; returns how many went out. `WouldBlock` means that the
    /// socket has no room, and that its readiness was cleared.
    fn send(&mut self, socket: &UdpSocket, batch: &SendBatch, from: usize) -> (usize, io::Result<()>);

    /// The same from the socket of a server.
    fn send_bound(&mut self, socket: &mut Bound, batch: &SendBatch, from: usize) -> (usize, io::Result<()>);

    /// Datagrams of one size arrived together: their sender may send trains, which can be received as such from now on.
    fn arrived_together(&mut self, socket: &UdpSocket) {
        let _ = socket;
    }

    /// What the system dropped before it was received; see [`swapwire_core::DatagramSocket::drops`].
    fn drops(&self, socket: &UdpSocket) -> Option<u32> {
        let _ = socket;
        None
    }

    /// The same of the socket of a server.
    fn drops_bound(&self, socket: &Bound) -> Option<u32> {
        let _ = socket;
        None
    }

    /// What it spares the system. Where it says `coalescing`, each slot is to have room for a train ([`SLOT`]).
    fn offload(&self) -> Offload;
}

/// Sends by `send_some`, which gets an index and returns how many went out, until an error.
pub(crate) fn send_all(
    batch: &SendBatch,
    from: usize,
    mut send_some: impl FnMut(usize) -> io::Result<usize>,
) -> (usize, io::Result<()>) {
    let mut next = from;
    while next < batch.len() {
        match send_some(next) {
            Ok(count) => next += count,
            Err(error) => return (next - from, Err(error)),
        }
    }
    (next - from, Ok(()))
}

pub(crate) fn is_would_block<T>(result: &io::Result<T>) -> bool {
    matches!(result, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

/// Runs `receive` if the connected socket has something to tell; its `WouldBlock` clears the readiness. `try_io` takes one
/// interest at a time, and an ICMP error may come as [`Interest::ERROR`] alone.
pub(crate) fn when_receivable<T>(socket: &UdpSocket, mut receive: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let received = socket.try_io(Interest::READABLE, &mut receive);
    if is_would_block(&received) { socket.try_io(Interest::ERROR, receive) } else { received }
}
