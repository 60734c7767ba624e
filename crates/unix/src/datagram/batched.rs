//! Linux: many datagrams per system call.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::net::UnixDatagram;

use swapwire_core::{Offload, RecvBatch, SendBatch};
use swapwire_mmsg::{Merging, Peers, Receiver, Sender};
use swapwire_socket::Again;

use super::MAX_MESSAGE;

/// How the datagrams of a bound socket are moved.
pub(super) struct Moves {
    receiver: Receiver,
    sender: Sender,
    again: Again,
}

impl Moves {
    pub(super) fn new() -> Self {
        Self {
            receiver: Receiver::new(Peers::Unix, MAX_MESSAGE),
            sender: Sender::new(Peers::Unix, MAX_MESSAGE),
            again: Again::new(),
        }
    }

    /// Fills free slots of `batch` until all are filled, or until an error. `WouldBlock` means that nothing waits any more, and that the
    /// reactor is to be asked next.
    pub(super) fn recv(&mut self, socket: &UnixDatagram, batch: &mut RecvBatch) -> io::Result<()> {
        let before = batch.len();
        while !batch.is_full() {
            let drained = match self.receiver.recv(socket.as_fd(), batch, usize::MAX) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => true,
                drained => drained?,
            };
            if drained {
                let again = self.again.after(batch.len() - before);
                return if again { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) };
            }
        }
        Ok(())
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
