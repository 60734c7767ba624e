//! Linux: many datagrams per system call, by headers that the thread's clients share.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};

use nix::sys::socket::{MsgFlags, recv};
use swapwire_core::{RecvBatch, RecvMeta, SendBatch};
use swapwire_mmsg::{Merging, Peers, Receiver, Sender};
use tokio::net::UnixDatagram;

use crate::datagram::MAX_MESSAGE;

thread_local! {
    static RECEIVER: RefCell<Receiver> = const { RefCell::new(Receiver::new(Peers::OneUnix, MAX_MESSAGE)) };
    static SENDER: RefCell<Sender> = const { RefCell::new(Sender::new(Peers::OneUnix, MAX_MESSAGE)) };
}

/// One datagram; the length says whether it is longer than the slot (`recv(2)`, `MSG_TRUNC`). Descriptors that came with it
/// are closed by the system, which this call gives no room for them.
pub(super) fn receive(socket: &UnixDatagram, slot: &mut [u8]) -> io::Result<usize> {
    Ok(recv(socket.as_raw_fd(), slot, MsgFlags::MSG_TRUNC)?)
}

/// What is expected, into free slots of `batch`, until an error. `WouldBlock` means that nothing waits any more, or need be
/// looked for.
pub(super) fn receive_many(socket: &UnixDatagram, batch: &mut RecvBatch) -> io::Result<()> {
    while !batch.is_full() {
        let drained = match batch.next_slot().map(|slot| slot.len()) {
            // For less than a `recvmmsg` costs.
            Some(capacity) if batch.awaits() == 1 => {
                let len = receive(socket, batch.next_slot().unwrap_or_default())?;
                batch.push(RecvMeta::received(None, len, capacity, MAX_MESSAGE));
                true
            }
            _ => {
                let count = batch.awaits().max(1);
                RECEIVER.with_borrow_mut(|receiver| receiver.recv(socket.as_fd(), batch, count))?
            }
        };
        if drained || batch.awaits() == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
    }
    Ok(())
}

/// Entries of `batch` from `from` on, where there is one; how many left. The error is about that one.
pub(super) fn send_many(socket: &UnixDatagram, batch: &SendBatch, from: usize) -> io::Result<usize> {
    SENDER.with_borrow_mut(|sender| sender.send(socket.as_fd(), batch, from, &mut Merging::new(false)))
}
