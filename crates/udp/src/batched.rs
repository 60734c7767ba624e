//! Linux: many datagrams per system call, and the local address of each.
//!
//! * Receiving is `recvmmsg(2)`. Its headers hold raw pointers and so cannot live in a value that is `Send`; each thread
//!   keeps its own, made at first use. The system writes the length of addresses and control messages back into them
//!   and nix does not reset it, so headers serve one kind of socket, whose lengths are always the same. They never serve
//!   for sending: that would leave pointers to the senders' addresses behind.
//! * Sending merges neighbours of equal size to one peer into one segmented send (`UDP_SEGMENT`, `udp(7)`); others leave
//!   one by one. `sendmmsg(2)` is not used: nix's result reads addresses that only receiving initialises.

use std::cell::RefCell;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use nix::libc;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, MultiHeaders, RecvMsg, SockaddrIn, SockaddrIn6, SockaddrLike, recv, recvmmsg,
    setsockopt, sockopt,
};
use socket2::{MsgHdr, SockAddr, SockRef};
use swapwire_core::{Addr, RecvBatch, RecvMeta, SendBatch, SendEntry};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use crate::MAX_MESSAGE;
use crate::engine::{Engine, Peers, check_size, destination, mapped, when_receivable};

/// Datagrams per `recvmmsg` and segments per send, of which every Linux that segments takes 64 (`UDP_MAX_SEGMENTS`).
const BATCH: usize = 64;

/// Longer neighbours are not merged: a segment must fit into one packet, and this fits an Ethernet frame with IPv6.
const MAX_SEGMENT: usize = 1452;

/// After a merged send failed, so many datagrams leave one by one: a route with a smaller MTU, or a device without
/// checksum offload, would fail again.
const MERGE_PAUSE: u32 = 1024;

thread_local! {
    static V4: RefCell<MultiHeaders<SockaddrIn>> = RefCell::new(MultiHeaders::preallocate(BATCH, None));
    static V6: RefCell<MultiHeaders<SockaddrIn6>> = RefCell::new(MultiHeaders::preallocate(BATCH, None));
    static V4_ANY: RefCell<MultiHeaders<SockaddrIn>> =
        RefCell::new(MultiHeaders::preallocate(BATCH, Some(nix::cmsg_space!(libc::in_pktinfo))));
    static V6_ANY: RefCell<MultiHeaders<SockaddrIn6>> =
        RefCell::new(MultiHeaders::preallocate(BATCH, Some(nix::cmsg_space!(libc::in6_pktinfo))));
}

#[derive(Debug)]
pub(crate) struct Batched {
    peers: Peers,
    v6: bool,
    /// Bound to a wildcard address: each datagram tells which local address it was sent to.
    any: bool,
    /// What a `recvmmsg` gave, until the slots are free to be declared filled.
    metas: Vec<RecvMeta>,
    merge_pause: u32,
}

impl Engine for Batched {
    fn new(socket: &UdpSocket, peers: Peers) -> io::Result<Self> {
        let local = socket.local_addr()?;
        let (v6, any) = (local.is_ipv6(), peers == Peers::Many && local.ip().is_unspecified());
        if any && v6 {
            setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true)?;
        } else if any {
            setsockopt(socket, sockopt::Ipv4PacketInfo, &true)?;
        }
        Ok(Self { peers, v6, any, metas: Vec::with_capacity(BATCH), merge_pause: 0 })
    }

    fn recv(&mut self, socket: &UdpSocket, batch: &mut RecvBatch) -> io::Result<()> {
        when_receivable(socket, || {
            while !batch.is_full() {
                let drained = if self.peers == Peers::One && batch.awaits() == 1 {
                    receive_one(socket, batch)?;
                    true
                } else {
                    self.recv_some(socket, batch)?
                };
                if drained || batch.awaits() == 0 {
                    // Nothing waits any more, or need be looked for: this clears the readiness without another system
                    // call.
                    return Err(io::ErrorKind::WouldBlock.into());
                }
            }
            Ok(())
        })
    }

    fn send_some(&mut self, socket: &UdpSocket, batch: &SendBatch, from: usize) -> io::Result<usize> {
        let Some(entry) = batch.get(from) else { return Ok(0) };
        check_size(&entry)?;
        let (to, local) = match self.peers {
            Peers::Many => (Some(destination(entry.to, self.v6)?), entry.local),
            Peers::One => (None, None),
        };
        self.merge_pause = self.merge_pause.saturating_sub(1);
        let train = if self.merge_pause == 0 { train(batch, from, &entry, self.peers) } else { 1 };
        if train > 1 {
            let mut control = Control::new();
            control.segment(u16::try_from(entry.message.len()).unwrap_or(u16::MAX));
            control.source(local, self.v6)?;
            let slices: [IoSlice<'_>; BATCH] = std::array::from_fn(|i| {
                IoSlice::new(if i < train { batch.get(from + i).map_or(&[], |entry| entry.message) } else { &[] })
            });
            match send_with(socket, to, &slices[..train], &control) {
                Ok(()) => return Ok(train),
                Err(error) if forbids_merging(&error) => self.merge_pause = MERGE_PAUSE,
                Err(error) => return Err(error),
            }
        }
        match (to, local) {
            (None, _) => drop(socket.try_send(entry.message)?),
            (Some(to), None) => drop(socket.try_send_to(entry.message, to)?),
            (to, local) => {
                let mut control = Control::new();
                control.source(local, self.v6)?;
                send_with(socket, to, &[IoSlice::new(entry.message)], &control)?;
            }
        }
        Ok(1)
    }
}

impl Batched {
    /// One `recvmmsg`. Returns whether it took all that waited.
    pub(crate) fn recv_some(&mut self, socket: &UdpSocket, batch: &mut RecvBatch) -> io::Result<bool> {
        let (peers, metas) = (self.peers, &mut self.metas);
        let drained = match (self.v6, self.any) {
            (false, false) => V4.with_borrow_mut(|headers| receive(socket, peers, headers, batch, metas)),
            (true, false) => V6.with_borrow_mut(|headers| receive(socket, peers, headers, batch, metas)),
            (false, true) => V4_ANY.with_borrow_mut(|headers| receive(socket, peers, headers, batch, metas)),
            (true, true) => V6_ANY.with_borrow_mut(|headers| receive(socket, peers, headers, batch, metas)),
        }?;
        for meta in metas.drain(..) {
            batch.push(meta);
        }
        Ok(drained)
    }
}

/// The one datagram that is expected, for less than a `recvmmsg` costs.
fn receive_one(socket: &UdpSocket, batch: &mut RecvBatch) -> io::Result<()> {
    use std::os::fd::AsRawFd as _;
    let Some(slot) = batch.next_slot() else { return Ok(()) };
    let room = slot.len();
    let len = recv(socket.as_raw_fd(), slot, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_TRUNC)?;
    let mut meta = RecvMeta::new(None, len.min(room));
    meta.truncated = len > room.min(MAX_MESSAGE);
    batch.push(meta);
    Ok(())
}

fn receive<S>(
    socket: &UdpSocket,
    peers: Peers,
    headers: &mut MultiHeaders<S>,
    batch: &mut RecvBatch,
    metas: &mut Vec<RecvMeta>,
) -> io::Result<bool>
where
    S: SockaddrLike + Copy + Into<SocketAddr>,
{
    use std::os::fd::AsRawFd as _;
    let count = (batch.slots() - batch.len()).min(BATCH);
    let mut free = batch.free_slots();
    let mut slices: [[IoSliceMut<'_>; 1]; BATCH] =
        std::array::from_fn(|_| [IoSliceMut::new(free.next().unwrap_or_default())]);
    let messages = recvmmsg(socket.as_raw_fd(), headers, slices[..count].iter_mut(), MsgFlags::MSG_DONTWAIT, None)?;
    metas.clear();
    metas.extend(messages.map(|message| meta(&message, peers)));
    Ok(metas.len() < count)
}

fn meta<S: SockaddrLike + Copy + Into<SocketAddr>>(message: &RecvMsg<'_, '_, S>, peers: Peers) -> RecvMeta {
    let peer = message.address.filter(|_| peers == Peers::Many);
    let mut meta = RecvMeta::new(peer.map(|addr| Addr::inet(addr.into())), message.bytes);
    meta.truncated = message.flags.contains(MsgFlags::MSG_TRUNC) || message.bytes > MAX_MESSAGE;
    meta.local = message.cmsgs().ok().and_then(|mut messages| messages.find_map(|message| asked(&message)));
    meta
}

/// The local address that was asked, where an answer can leave from it.
fn asked(message: &ControlMessageOwned) -> Option<IpAddr> {
    let ip = match message {
        // Of a broadcast or multicast, `ipi_spec_dst` is the address of the interface.
        ControlMessageOwned::Ipv4PacketInfo(info) => Ipv4Addr::from(info.ipi_spec_dst.s_addr.to_ne_bytes()).into(),
        ControlMessageOwned::Ipv6PacketInfo(info) => IpAddr::from(info.ipi6_addr.s6_addr).to_canonical(),
        _ => return None,
    };
    (!ip.is_multicast() && !ip.is_unspecified() && ip != IpAddr::V4(Ipv4Addr::BROADCAST)).then_some(ip)
}

/// How many entries from `from` on, of which `first` is the first, can leave as one segmented send: all of them of one
/// size, of which the last may be shorter.
fn train(batch: &SendBatch, from: usize, first: &SendEntry<'_>, peers: Peers) -> usize {
    let size = first.message.len();
    if size == 0 || size > MAX_SEGMENT {
        return 1;
    }
    let mut count = 1;
    for entry in batch.iter_from(from + 1).take(BATCH.min(MAX_MESSAGE / size) - 1) {
        let len = entry.message.len();
        let together = peers == Peers::One || (entry.to == first.to && entry.local == first.local);
        if len == 0 || len > size || !together {
            break;
        }
        count += 1;
        if len < size {
            break;
        }
    }
    count
}

/// Whether the error may be about the merged send alone; other ones meet single datagrams too, or were told once.
fn forbids_merging(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EIO | libc::EMSGSIZE | libc::EOPNOTSUPP))
}

/// Sends to `to`, or to the peer that the socket is connected to.
fn send_with(socket: &UdpSocket, to: Option<SocketAddr>, slices: &[IoSlice<'_>], control: &Control) -> io::Result<()> {
    let to = to.map(SockAddr::from);
    let message = MsgHdr::new().with_buffers(slices).with_control(control.bytes());
    let message = match &to {
        Some(to) => message.with_addr(to),
        None => message,
    };
    socket.try_io(Interest::WRITABLE, || SockRef::from(socket).sendmsg(&message, 0)).map(|_| ())
}

/// Control messages for `sendmsg(2)`, in the layout of `cmsg(3)`.
struct Control {
    bytes: [u8; Self::ROOM],
    len: usize,
}

impl Control {
    const HEADER: usize = align(size_of::<libc::cmsghdr>());
    const ROOM: usize = 2 * Self::HEADER + align(size_of::<libc::in6_pktinfo>()) + align(size_of::<u16>());

    fn new() -> Self {
        Self { bytes: [0; Self::ROOM], len: 0 }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn segment(&mut self, size: u16) {
        self.push(libc::SOL_UDP, libc::UDP_SEGMENT, &[&size.to_ne_bytes()]);
    }

    /// `in_pktinfo` (`ip(7)`) and `in6_pktinfo` (`ipv6(7)`) with the interface left to the system.
    fn source(&mut self, local: Option<IpAddr>, v6: bool) -> io::Result<()> {
        const ANY_INTERFACE: [u8; 4] = [0; 4];
        match local {
            None => {}
            Some(ip) if v6 => {
                if let IpAddr::V6(ip) = mapped(ip) {
                    self.push(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &[&ip.octets(), &ANY_INTERFACE]);
                }
            }
            Some(IpAddr::V4(ip)) => {
                self.push(libc::IPPROTO_IP, libc::IP_PKTINFO, &[&ANY_INTERFACE, &ip.octets(), &[0; 4]]);
            }
            Some(IpAddr::V6(_)) => {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "an IPv4 socket has no IPv6 address"));
            }
        }
        Ok(())
    }

    fn push(&mut self, level: i32, kind: i32, data: &[&[u8]]) {
        let end = Self::HEADER + data.iter().map(|part| part.len()).sum::<usize>();
        let mut at = self.len;
        let parts = [&end.to_ne_bytes()[..], &level.to_ne_bytes(), &kind.to_ne_bytes()];
        for part in parts.into_iter().chain(data.iter().copied()) {
            self.bytes[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        self.len += align(end);
    }
}

const fn align(len: usize) -> usize {
    len.next_multiple_of(size_of::<usize>())
}
