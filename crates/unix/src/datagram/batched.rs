//! Linux: many datagrams per system call.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::net::UnixDatagram;

use swapwire_core::{Offload, RecvBatch, SendBatch};
use swapwire_mmsg::{Merging, Peers, Receiver, Sender};

use super::MAX_MESSAGE;

/// How the datagrams of a bound socket are moved.
pub(super) struct Moves {
    receiver: Receiver,
    sender: Sender,
}

impl Moves {
    pub(super) fn new() -> Self {
        Self { receiver: Receiver::new(Peers::Unix, MAX_MESSAGE), sender: Sender::new(Peers::Unix, MAX_MESSAGE) }
    }

    /// Fills free slots of `batch` until all are filled, or until an error. `WouldBlock` means that the
    /// reactor is to be asked next.
    pub(super) fn recv(&mut self, socket: &UnixDatagram, batch: &mut RecvBatch) -> io::Result<()> {
        self.receiver.recv_waiting(socket.as_fd(), batch)
    }

    /// Sends entries of `batch` from `from` on, where there is one; how many. The error is about that one. Past tokio's
    /// readiness: it would remember one peer's full queue as the socket's own.
    pub(super) fn send(&mut self, socket: BorrowedFd<'_>, batch: &SendBatch, from: usize) -> io::Result<usize> {
        self.sender.send(socket, batch, from, &mut Merging::new(false))
    }

    pub(super) fn offload() -> Offload {
        let mut offload = Offload::default();
        (offload.batched_receive, offload.batched_send) = (true, true);
        offload
    }
}
