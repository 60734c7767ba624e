//! One datagram per system call: every system has this.

use std::io::{self, IoSliceMut, Read as _};

use socket2::SockRef;
use swapwire_core::{RecvBatch, RecvMeta, SendBatch};
use tokio::net::UnixDatagram;

use crate::datagram::MAX_MESSAGE;

/// One datagram. A byte beside the slot shows whether it is longer than that. Descriptors that came with it are closed by the
/// system, which this call gives no room for them.
pub(super) fn receive(socket: &UnixDatagram, slot: &mut [u8]) -> io::Result<usize> {
    let mut more = [0];
    (&*SockRef::from(socket)).read_vectored(&mut [IoSliceMut::new(slot), IoSliceMut::new(&mut more)])
}

/// What is expected, into free slots of `batch`, until an error. `WouldBlock` means that nothing waits any more, or need be
/// looked for.
pub(super) fn receive_many(socket: &UnixDatagram, batch: &mut RecvBatch) -> io::Result<()> {
    while let Some(slot) = batch.next_slot() {
        let capacity = slot.len();
        let len = receive(socket, slot)?;
        batch.push(RecvMeta::received(None, len, capacity, MAX_MESSAGE));
        if batch.awaits() == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
    }
    Ok(())
}

/// The entry of `batch` at `from`, where there is one.
pub(super) fn send_many(socket: &UnixDatagram, batch: &SendBatch, from: usize) -> io::Result<usize> {
    let Some(entry) = batch.get(from) else { return Ok(0) };
    SockRef::from(socket).send(entry.message).map(|_| 1)
}
