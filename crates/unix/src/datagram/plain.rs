//! One datagram per system call: every system has this.

use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixDatagram;

use socket2::SockRef;
use swapwire_core::{Addr, Offload, RecvBatch, RecvMeta, SendBatch};

use super::MAX_MESSAGE;
use crate::address::{from_system, to_system};

/// How the datagrams of a bound socket are moved.
pub(super) struct Moves {
    // For slots that could not show that a datagram is too large. Empty until one is seen.
    spare: Vec<u8>,
}

impl Moves {
    pub(super) fn new() -> Self {
        Self { spare: Vec::new() }
    }

    /// Fills free slots of `batch` until all are filled, or until an error. `WouldBlock` means that nothing waits any more.
    pub(super) fn recv(&mut self, socket: &UnixDatagram, batch: &mut RecvBatch) -> io::Result<()> {
        while let Some(slot) = batch.next_slot() {
            match self.receive(socket, slot) {
                Ok(meta) => batch.push(meta),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn receive(&mut self, socket: &UnixDatagram, slot: &mut [u8]) -> io::Result<RecvMeta> {
        let (len, peer) = if slot.len() > MAX_MESSAGE {
            socket.recv_from(slot)?
        } else {
            self.spare.resize(MAX_MESSAGE + 1, 0);
            let (len, peer) = socket.recv_from(&mut self.spare)?;
            let fits = len.min(slot.len());
            slot[..fits].copy_from_slice(&self.spare[..fits]);
            (len, peer)
        };
        let peer = from_system(&peer.into());
        let peer = (!peer.is_unnamed()).then_some(Addr::Unix(peer));
        Ok(RecvMeta::received(peer, len, slot.len(), MAX_MESSAGE))
    }

    /// Sends the entry of `batch` at `from`, where there is one. Past tokio's readiness: it would remember one peer's full
    /// queue as the socket's own.
    pub(super) fn send(&mut self, socket: BorrowedFd<'_>, batch: &SendBatch, from: usize) -> io::Result<usize> {
        let Some(entry) = batch.get(from) else { return Ok(0) };
        let Addr::Unix(to) = entry.to else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not the address of a Unix socket"));
        };
        let to = to_system(to)?;
        loop {
            match SockRef::from(&socket).send_to(entry.message, &to) {
                Ok(_) => return Ok(1),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    pub(super) fn offload() -> Offload {
        Offload::default()
    }
}
