//! One datagram per system call, without control messages: every system has this.

use std::io::{self, IoSliceMut, Read as _};

use socket2::SockRef;
use swapwire_core::{Addr, RecvBatch, RecvMeta, SendBatch};
use tokio::net::UdpSocket;

use crate::MAX_MESSAGE;
use crate::engine::{Engine, Peers, check_size, destination, when_receivable};

/// It cannot tell which local address was asked, and cannot answer from a given one.
#[derive(Debug)]
pub(crate) struct Plain {
    peers: Peers,
    v6: bool,
}

impl Engine for Plain {
    fn new(socket: &UdpSocket, peers: Peers) -> io::Result<Self> {
        Ok(Self { peers, v6: socket.local_addr()?.is_ipv6() })
    }

    fn recv(&mut self, socket: &UdpSocket, batch: &mut RecvBatch) -> io::Result<()> {
        while let Some(slot) = batch.next_slot() {
            let meta = match self.peers {
                Peers::Many => recv_from(socket, slot)?,
                Peers::One => when_receivable(socket, || recv(socket, slot))?,
            };
            batch.push(meta);
        }
        Ok(())
    }

    fn send_some(&mut self, socket: &UdpSocket, batch: &SendBatch, from: usize) -> io::Result<usize> {
        let Some(entry) = batch.get(from) else { return Ok(0) };
        check_size(&entry)?;
        match (self.peers, entry.local) {
            (Peers::One, _) => socket.try_send(entry.message)?,
            (Peers::Many, None) => socket.try_send_to(entry.message, destination(entry.to, self.v6)?)?,
            (Peers::Many, Some(_)) => {
                let text = "this system cannot choose the address to send from";
                return Err(io::Error::new(io::ErrorKind::Unsupported, text));
            }
        };
        Ok(1)
    }
}

fn recv_from(socket: &UdpSocket, slot: &mut [u8]) -> io::Result<RecvMeta> {
    let (len, peer) = socket.try_recv_from(slot)?;
    let mut meta = RecvMeta::new(Some(Addr::inet(peer)), len);
    meta.truncated = len > MAX_MESSAGE || (len == slot.len() && len < MAX_MESSAGE);
    Ok(meta)
}

/// A byte beside the slot shows whether the datagram is longer.
fn recv(socket: &UdpSocket, slot: &mut [u8]) -> io::Result<RecvMeta> {
    let mut more = [0];
    let room = slot.len();
    let len = (&*SockRef::from(socket)).read_vectored(&mut [IoSliceMut::new(slot), IoSliceMut::new(&mut more)])?;
    let mut meta = RecvMeta::new(None, len.min(room));
    meta.truncated = len > room.min(MAX_MESSAGE);
    Ok(meta)
}
