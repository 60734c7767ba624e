//! Linux: many datagrams per system call, trains of them, and the local address of each.
//!
//! * Bound sockets switch `UDP_GRO` on at once. Connected ones do when datagrams of one size first arrive together: a client
//!   with one request under way never gets a train, and receives for less without.
//! * A bound socket has headers of its own, which know its batches; connected ones, of which a program has many, share
//!   those of the thread.

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd as _, AsRawFd as _};

use nix::sys::socket::{MsgFlags, SetSockOpt, recv, setsockopt, sockopt};
use swapwire_core::{Addr, Offload, RecvBatch, RecvMeta, SendBatch, SendEntry};
use swapwire_mmsg as mmsg;
use tokio::io::Interest;
use tokio::net::UdpSocket;

use crate::MAX_MESSAGE;
use crate::bound::Bound;
use crate::engine::{Engine, Peers, send_all, when_receivable};
use crate::options::{Options, unsupported};

thread_local! {
    static CONNECTED: RefCell<Calls> = const { RefCell::new(Calls::new(mmsg::Peers::One)) };
}

#[derive(Debug)]
struct Calls {
    receiver: mmsg::Receiver,
    sender: mmsg::Sender,
}

#[derive(Debug)]
pub(crate) struct Batched {
    /// Of a bound socket.
    calls: Option<Box<Calls>>,
    merging: mmsg::Merging,
    trains: Trains,
}

/// Whether trains are received as such.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trains {
    No,
    /// When datagrams arrive together.
    Perhaps,
    Yes,
}

impl Engine for Batched {
    fn new(socket: &std::net::UdpSocket, peers: Peers, options: &Options) -> io::Result<Self> {
        // Zero is its value already: the call tells whether the system has the option.
        let merging = mmsg::Merging::new(switch("gso", options.gso, || set(socket, sockopt::UdpGsoSegment, &0))?);
        if peers == Peers::One && options.gro.is_none() {
            return Ok(Self { calls: None, merging, trains: Trains::Perhaps });
        }
        let gro = switch("gro", options.gro, || set(socket, sockopt::UdpGroSegment, &true))?;
        let trains = if gro { Trains::Yes } else { Trains::No };
        if peers == Peers::One {
            return Ok(Self { calls: None, merging, trains });
        }
        let local = socket.local_addr()?;
        // Bound to a wildcard address: each datagram tells which local address it was sent to.
        if local.ip().is_unspecified() && local.is_ipv6() {
            set(socket, sockopt::Ipv6RecvPacketInfo, &true)?;
        } else if local.ip().is_unspecified() {
            set(socket, sockopt::Ipv4PacketInfo, &true)?;
        }
        let peers = if local.is_ipv6() { mmsg::Peers::Inet6 } else { mmsg::Peers::Inet };
        Ok(Self { calls: Some(Box::new(Calls::new(peers))), merging, trains })
    }

    fn recv(&mut self, socket: &UdpSocket, batch: &mut RecvBatch) -> io::Result<()> {
        when_receivable(socket, || {
            while !batch.is_full() {
                if receive_expected(socket, batch, self.trains == Trains::Yes)? {
                    return Err(nothing_waits());
                }
            }
            Ok(())
        })
    }

    fn recv_bound(&mut self, socket: &mut Bound, batch: &mut RecvBatch) -> io::Result<()> {
        let Some(calls) = &mut self.calls else { return Err(io::ErrorKind::NotConnected.into()) };
        socket.try_read(|socket| calls.receiver.recv_waiting(socket.as_fd(), batch))
    }

    fn send(&mut self, socket: &UdpSocket, batch: &SendBatch, from: usize) -> (usize, io::Result<()>) {
        let merging = &mut self.merging;
        send_all(batch, from, |next| match batch.get(next) {
            Some(last) if next + 1 == batch.len() && last.message.len() <= MAX_MESSAGE => {
                socket.try_send(last.message).map(|_| 1)
            }
            _ => CONNECTED.with_borrow_mut(|calls| {
                socket.try_io(Interest::WRITABLE, || calls.sender.send(socket.as_fd(), batch, next, merging))
            }),
        })
    }

    fn send_bound(&mut self, socket: &mut Bound, batch: &SendBatch, from: usize) -> (usize, io::Result<()>) {
        let Self { calls: Some(calls), merging, .. } = self else {
            return (0, Err(io::ErrorKind::NotConnected.into()));
        };
        send_all(batch, from, |next| {
            match socket.try_write(|socket| calls.sender.send(socket.as_fd(), batch, next, merging)) {
                Err(error) => send_unbound(socket.get_ref(), batch, next, error),
                sent => sent,
            }
        })
    }

    fn arrived_together(&mut self, socket: &UdpSocket) {
        if self.trains == Trains::Perhaps {
            let on = setsockopt(socket, sockopt::UdpGroSegment, &true).is_ok();
            self.trains = if on { Trains::Yes } else { Trains::No };
        }
    }

    fn drops(&self, socket: &UdpSocket) -> Option<u32> {
        mmsg::drops(socket.as_fd())
    }

    fn drops_bound(&self, socket: &Bound) -> Option<u32> {
        mmsg::drops(socket.get_ref().as_fd())
    }

    fn offload(&self) -> Offload {
        let mut offload = Offload::default();
        (offload.batched_receive, offload.batched_send) = (true, true);
        (offload.segmentation, offload.coalescing) = (self.merging.is_on(), self.trains == Trains::Yes);
        offload
    }
}

impl Calls {
    const fn new(peers: mmsg::Peers) -> Self {
        Self { receiver: mmsg::Receiver::new(peers, MAX_MESSAGE), sender: mmsg::Sender::new(peers, MAX_MESSAGE) }
    }
}

/// Sends an answer that cannot leave from the address that was asked, as that is the broadcast address of a network: a socket
/// for both families is told so of an IPv4 datagram, and the address of the interface is not.
#[cold]
fn send_unbound(socket: &std::net::UdpSocket, batch: &SendBatch, at: usize, error: io::Error) -> io::Result<usize> {
    let is_v6 = || socket.local_addr().is_ok_and(|addr| addr.is_ipv6());
    match batch.get(at) {
        Some(SendEntry { to: Addr::Inet(SocketAddr::V4(to)), local: Some(IpAddr::V4(_)), message, .. })
            if error.kind() == io::ErrorKind::NetworkUnreachable && is_v6() =>
        {
            socket.send_to(message, (to.ip().to_ipv6_mapped(), to.port())).map(|_| 1)
        }
        _ => Err(error),
    }
}

/// Clears the readiness, without the system call that would find nothing.
fn nothing_waits() -> io::Error {
    io::ErrorKind::WouldBlock.into()
}

/// Receives what is expected of a connected socket. Whether nothing else waits, or need be looked for.
fn receive_expected(socket: &UdpSocket, batch: &mut RecvBatch, trains: bool) -> io::Result<bool> {
    if batch.awaits() == 1 && !trains {
        return receive_one(socket, batch).map(|()| true);
    }
    let count = batch.awaits().max(1);
    let drained = CONNECTED.with_borrow_mut(|calls| calls.receiver.recv(socket.as_fd(), batch, count))?;
    Ok(drained || batch.awaits() == 0 || (trains && batch.awaits() <= behind_first(batch)))
}

/// How many datagrams of trains are not the first of theirs.
fn behind_first(batch: &RecvBatch) -> usize {
    batch.iter().map(|(meta, _)| meta.count() - 1).sum()
}

/// The one datagram that is expected, for less than a `recvmmsg` costs.
fn receive_one(socket: &UdpSocket, batch: &mut RecvBatch) -> io::Result<()> {
    let Some(slot) = batch.next_slot() else { return Ok(()) };
    let capacity = slot.len();
    let len = recv(socket.as_raw_fd(), slot, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_TRUNC)?;
    batch.push(RecvMeta::received(None, len, capacity, MAX_MESSAGE));
    Ok(())
}

/// Switches an option on unless it is not `wanted`. That it cannot be is an error only if it was asked for by name.
fn switch(name: &str, wanted: Option<bool>, on: impl FnOnce() -> io::Result<()>) -> io::Result<bool> {
    match wanted {
        Some(false) => Ok(false),
        Some(true) => on().map(|()| true).map_err(|_| unsupported(name)),
        None => Ok(on().is_ok()),
    }
}

fn set<O: SetSockOpt>(socket: &std::net::UdpSocket, option: O, value: &O::Val) -> io::Result<()> {
    Ok(setsockopt(socket, option, value)?)
}
