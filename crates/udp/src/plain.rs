//! One datagram per system call, without control messages: every system has this.

use std::io;
use std::net::SocketAddr;

use swapwire_core::{Addr, RecvBatch, RecvMeta, SendBatch, SendEntry};
use tokio::net::UdpSocket;

use crate::MAX_MESSAGE;
use crate::server::{Engine, destination};

/// It cannot tell which local address was asked, and cannot answer from a given one.
#[derive(Debug)]
pub(crate) struct Plain {
    v6: bool,
}

impl Engine for Plain {
    fn new(_socket: &UdpSocket, local: SocketAddr) -> io::Result<Self> {
        Ok(Self { v6: local.is_ipv6() })
    }

    fn recv(&mut self, socket: &UdpSocket, batch: &mut RecvBatch) -> io::Result<()> {
        let before = batch.len();
        while let Some(slot) = batch.next_slot() {
            let room = slot.len();
            match socket.try_recv_from(slot) {
                Ok((len, peer)) => {
                    let mut meta = RecvMeta::new(Some(Addr::inet(peer)), len);
                    meta.truncated = len > MAX_MESSAGE || (len == room && room < MAX_MESSAGE);
                    batch.push(meta);
                }
                // A lost error is noise; one that lasts shows at the next call.
                Err(_) if batch.len() > before => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn send(&mut self, socket: &UdpSocket, batch: &SendBatch, from: usize) -> io::Result<usize> {
        let mut sent = 0;
        for entry in batch.iter_from(from) {
            match self.send_one(socket, &entry) {
                Ok(()) => sent += 1,
                Err(_) if sent > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(sent)
    }
}

impl Plain {
    fn send_one(&self, socket: &UdpSocket, entry: &SendEntry<'_>) -> io::Result<()> {
        if entry.local.is_some() {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "this system cannot choose the address to send from",
            ));
        }
        socket.try_send_to(entry.message, destination(entry.to, self.v6)?).map(|_| ())
    }
}
