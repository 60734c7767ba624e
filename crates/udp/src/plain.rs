//! One datagram per system call, without control messages: every system has this.

use std::io::{self, IoSliceMut, Read as _};
use std::net::{IpAddr, SocketAddr};

use socket2::SockRef;
use swapwire_core::{Addr, Offload, RecvBatch, RecvMeta, SendBatch, SendEntry};
use tokio::net::UdpSocket;

use crate::MAX_MESSAGE;
use crate::engine::{Engine, Peers, send_all, when_receivable};
use crate::options::{Options, unsupported};

/// It cannot tell which local address was asked, and cannot answer from a given one.
#[derive(Debug)]
pub(crate) struct Plain {
    peers: Peers,
    v6: bool,
}

impl Engine for Plain {
    fn new(socket: &std::net::UdpSocket, peers: Peers, options: &Options) -> io::Result<Self> {
        for (name, wanted) in [("gso", options.gso), ("gro", options.gro)] {
            if wanted == Some(true) {
                return Err(unsupported(name));
            }
        }
        Ok(Self { peers, v6: socket.local_addr()?.is_ipv6() })
    }

    fn recv(&mut self, socket: &UdpSocket, batch: &mut RecvBatch) -> io::Result<()> {
        while let Some(slot) = batch.next_slot() {
            let meta = match self.peers {
                Peers::Many => recv_from(socket, slot)?,
                Peers::One => when_receivable(socket, Peers::One, || recv(socket, slot))?,
            };
            batch.push(meta);
        }
        Ok(())
    }

    fn send(&mut self, socket: &UdpSocket, batch: &SendBatch, from: usize) -> (usize, io::Result<()>) {
        send_all(batch, from, |next| match batch.get(next) {
            Some(entry) => self.send_one(socket, &entry).map(|()| 1),
            None => Ok(0),
        })
    }

    fn offload(&self) -> Offload {
        Offload::default()
    }
}

impl Plain {
    fn send_one(&self, socket: &UdpSocket, entry: &SendEntry<'_>) -> io::Result<()> {
        let len = entry.message.len();
        if len > MAX_MESSAGE {
            let text = format!("a datagram of {len} bytes is longer than the limit of {MAX_MESSAGE}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        match (self.peers, entry.local) {
            (Peers::One, _) => socket.try_send(entry.message)?,
            (Peers::Many, None) => socket.try_send_to(entry.message, destination(entry.to, self.v6)?)?,
            (Peers::Many, Some(_)) => {
                let text = "this system cannot choose the address to send from";
                return Err(io::Error::new(io::ErrorKind::Unsupported, text));
            }
        };
        Ok(())
    }
}

/// `to` as a socket of the given family takes it: an IPv6 socket reaches IPv4 peers by their mapped addresses.
fn destination(to: &Addr, v6: bool) -> io::Result<SocketAddr> {
    match to {
        Addr::Inet(SocketAddr::V4(addr)) if v6 => {
            Ok(SocketAddr::new(IpAddr::V6(addr.ip().to_ipv6_mapped()), addr.port()))
        }
        Addr::Inet(addr) if addr.is_ipv6() == v6 => Ok(*addr),
        Addr::Inet(_) => Err(io::Error::new(io::ErrorKind::InvalidInput, "an IPv4 socket cannot reach an IPv6 peer")),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "the peer has no IP address")),
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
    Ok(RecvMeta::received(None, len, room, MAX_MESSAGE))
}
