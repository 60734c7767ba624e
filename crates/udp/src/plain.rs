//! One datagram per system call, without control messages: every system has this.

use std::io::{self, IoSliceMut, Read as _};
use std::net::{IpAddr, SocketAddr};

use socket2::SockRef;
use swapwire_core::{Addr, Offload, RecvBatch, RecvMeta, SendBatch, SendEntry};
use tokio::net::UdpSocket;

use crate::MAX_MESSAGE;
use crate::bound::{Bound, recv_from, send_to};
use crate::engine::{Engine, Peers, send_all, when_receivable};
use crate::options::{Options, unsupported};

/// It cannot tell which local address was asked, and cannot answer from a given one.
#[derive(Debug)]
pub(crate) struct Plain {
    v6: bool,
}

impl Engine for Plain {
    fn new(socket: &std::net::UdpSocket, _: Peers, options: &Options) -> io::Result<Self> {
        for (name, wanted) in [("gso", options.gso), ("gro", options.gro)] {
            if wanted == Some(true) {
                return Err(unsupported(name));
            }
        }
        Ok(Self { v6: socket.local_addr()?.is_ipv6() })
    }

    fn recv(&mut self, socket: &UdpSocket, batch: &mut RecvBatch) -> io::Result<()> {
        while let Some(slot) = batch.next_slot() {
            let meta = when_receivable(socket, || recv(socket, slot))?;
            batch.push(meta);
        }
        Ok(())
    }

    fn recv_bound(&mut self, socket: &mut Bound, batch: &mut RecvBatch) -> io::Result<()> {
        while let Some(slot) = batch.next_slot() {
            let (len, peer) = recv_from(socket, slot)?;
            let mut meta = RecvMeta::new(Some(Addr::inet(peer)), len);
            meta.truncated = len > MAX_MESSAGE || (len == slot.len() && len < MAX_MESSAGE);
            batch.push(meta);
        }
        Ok(())
    }

    fn send(&mut self, socket: &UdpSocket, batch: &SendBatch, from: usize) -> (usize, io::Result<()>) {
        each(batch, from, |entry| socket.try_send(entry.message))
    }

    fn send_bound(&mut self, socket: &mut Bound, batch: &SendBatch, from: usize) -> (usize, io::Result<()>) {
        each(batch, from, |entry| match entry.local {
            None => send_to(socket, entry.message, destination(entry.to, self.v6)?),
            Some(_) => {
                let text = "this system cannot choose the address to send from";
                Err(io::Error::new(io::ErrorKind::Unsupported, text))
            }
        })
    }

    fn offload(&self) -> Offload {
        Offload::default()
    }
}

/// Sends the entries of `batch` from `from` on by `send`, until an error.
fn each(
    batch: &SendBatch,
    from: usize,
    mut send: impl FnMut(&SendEntry<'_>) -> io::Result<usize>,
) -> (usize, io::Result<()>) {
    send_all(batch, from, |next| {
        let Some(entry) = batch.get(next) else { return Ok(0) };
        let len = entry.message.len();
        if len > MAX_MESSAGE {
            let text = format!("a datagram of {len} bytes is longer than the limit of {MAX_MESSAGE}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        send(&entry).map(|_| 1)
    })
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

/// A byte beside the slot shows whether the datagram is longer.
fn recv(socket: &UdpSocket, slot: &mut [u8]) -> io::Result<RecvMeta> {
    let mut more = [0];
    let capacity = slot.len();
    let len = (&*SockRef::from(socket)).read_vectored(&mut [IoSliceMut::new(slot), IoSliceMut::new(&mut more)])?;
    Ok(RecvMeta::received(None, len, capacity, MAX_MESSAGE))
}
