//! Datagram sockets: many peers, messages with boundaries, in batches.

use std::io;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::task::{Context, Poll};

use crate::{Addr, Endpoint, ErrorClass, RecvBatch, SendBatch, Upkeep, classify_datagram};

/// A bound socket that receives messages from many peers and answers them.
///
/// It is poll-shaped and batch-shaped: one call moves up to a whole batch, so that a transport may use one system call for
/// many datagrams. Moving one datagram per call is a correct implementation. One owner receives and sends.
///
/// # Contract
/// 1. A datagram is received whole, or marked truncated; an empty one is a message (`testkit::laws::boundaries`).
/// 2. `poll_recv` returns `Ready(Ok(()))` with at least one datagram in the batch, or `Pending` with none
///    (`cancelled_recv`); behind the last one, where there [is a last](Arrivals::Fenced), `Ready(Ok(()))` with none. A wire
///    may keep a waker for each direction.
/// 3. `poll_send` sends entries in order, from index `from`, and returns how many it sent: at least one.
/// 4. An error of `poll_send` is about the entry at `from` alone: one that is too large (`too_large`), one whose peer is
///    gone (`dead_peer`). A full peer is [`io::ErrorKind::WouldBlock`] as an error, never `Pending`: `Pending` means that
///    the socket's own buffer is full (`slow_peer`, where [`isolated_peers`](crate::Capabilities::isolated_peers)).
/// 5. Errors that peers can provoke never make the socket unusable (`dead_peer`). What an error means is
///    [`DatagramSocket::classify`].
pub trait DatagramSocket: Send + 'static {
    /// The endpoint that reaches this socket; with the real port if 0 was asked for.
    fn local(&self) -> Endpoint;

    /// The same as an address, as requests carry it.
    fn local_addr(&self) -> Option<Addr> {
        Addr::of_endpoint(&self.local())
    }

    /// Receives up to a batch of datagrams into `batch`, which the caller has cleared.
    fn poll_recv(&mut self, cx: &mut Context<'_>, batch: &mut RecvBatch) -> Poll<io::Result<()>>;

    /// Sends the entries of `batch` from index `from` on; returns how many went out.
    fn poll_send(&mut self, cx: &mut Context<'_>, batch: &SendBatch, from: usize) -> Poll<io::Result<usize>>;

    /// The largest datagram it receives, in bytes: the least size of a slot of the [`RecvBatch`].
    fn max_message(&self) -> usize;

    /// The size of a slot that holds whatever one receive may give: a datagram of the largest size with one byte over, so
    /// that a larger one shows, or a whole train of them.
    fn slot_size(&self) -> usize {
        self.max_message() + 1
    }

    /// What it spares the system at present; see [`Offload`]. The default spares nothing.
    fn offload(&self) -> Offload {
        Offload::default()
    }

    /// Refuses further arrivals, for a drain; what is under way is still received. It may be called more than once. The default
    /// refuses nothing and is [`Arrivals::Unknown`]. A socket from which other processes or members of a group receive as well keeps
    /// the default: a filter (`SO_ATTACH_FILTER`, `socket(7)`) would swallow what the kernel gives to another member, and
    /// `shutdown(2)` is for all who have the socket.
    fn refuse_arrivals(&mut self) -> Arrivals {
        Arrivals::Unknown
    }

    /// Ready when every reply that was sent has reached the other side, where the wire knows; the server waits for it before it
    /// closes the socket in a drain (`testkit::laws::flush_reaches`). The default is ready at once: what was sent is with the
    /// system.
    ///
    /// # Errors
    /// It is not known of all of them, and never will be.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let _ = cx;
        Poll::Ready(Ok(()))
    }

    /// How many datagrams the system has dropped that were meant for this socket, since it was opened, as its receive
    /// buffer was full or they were damaged; behind the largest number comes 0. `None` where the system does not report it.
    /// It is read now and then, not for each datagram. The default is `None`.
    fn drops(&self) -> Option<u32> {
        None
    }

    /// Checks the place that it is bound to, as [`Listener::upkeep`](crate::Listener::upkeep) does. A `poll_recv` that was
    /// pending before must be polled again behind it. The default is `None`: there is nothing to look after.
    fn upkeep(&mut self) -> Option<Upkeep> {
        None
    }

    /// The most memory, in bytes, that the system keeps for datagrams that this socket has not received yet, as far as it
    /// tells; the memory of its receive buffer. The default is 0.
    fn queue_memory(&self) -> usize {
        0
    }

    /// What an error of `poll_recv` or `poll_send` means.
    fn classify(&self, error: &io::Error) -> ErrorClass {
        classify_datagram(error)
    }
}

/// What a datagram socket knows of arrivals once it [refuses](DatagramSocket::refuse_arrivals) them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Arrivals {
    /// Not which is the last one: a drain waits for a pause. So is UDP, and every socket that others may receive from as well.
    Unknown,
    /// Senders are refused or led elsewhere. `poll_recv` gives what was under way, and then `Ready(Ok(()))` with no datagram: the
    /// last one has been given (`testkit::laws::fenced_drain`).
    Fenced,
}

/// What a datagram socket does by one call of the system for many datagrams. Where the system or the traffic forbids it,
/// a socket goes on without, and the field is `false`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Offload {
    /// Many datagrams are received by one call (`recvmmsg(2)`).
    pub batched_receive: bool,
    /// Many datagrams are sent by one call (`sendmmsg(2)`).
    pub batched_send: bool,
    /// Neighbours of one size to one peer leave as one (`udp(7)`, `UDP_SEGMENT`).
    pub segmentation: bool,
    /// Datagrams of one size from one peer arrive as one train (`udp(7)`, `UDP_GRO`).
    pub coalescing: bool,
}

/// What is known about one received datagram, or one train of datagrams of equal size from one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecvMeta {
    /// The sender; `None` if it has no address (an unbound Unix datagram socket) and so cannot be answered.
    pub peer: Option<Addr>,
    /// Bytes received into the slot.
    pub len: usize,
    /// The local IP address it was sent to, where the wire reports it (`ip(7)`, `IP_PKTINFO`): the reply leaves from there.
    pub local: Option<IpAddr>,
    /// The slot holds a train: datagrams of this size, the last may be shorter (`udp(7)`, `UDP_GRO`).
    pub segment: Option<NonZeroUsize>,
    /// The datagram was larger than the slot, or than the wire carries; the server drops and counts it.
    pub truncated: bool,
}

impl RecvMeta {
    /// `len` bytes from `peer`.
    pub const fn new(peer: Option<Addr>, len: usize) -> Self {
        Self { peer, len, local: None, segment: None, truncated: false }
    }

    /// A datagram of which the system tells that it has `len` bytes, in a slot of `capacity` bytes, on a wire that carries at
    /// most `max`: what is longer than either is [truncated](Self::truncated).
    #[inline]
    pub const fn received(peer: Option<Addr>, len: usize, capacity: usize, max: usize) -> Self {
        let mut meta = Self::new(peer, if len < capacity { len } else { capacity });
        meta.truncated = len > capacity || len > max;
        meta
    }

    /// How many datagrams the slot holds: one, or as many as the train has.
    #[inline]
    pub fn count(&self) -> usize {
        self.segment.map_or(1, |segment| self.len.div_ceil(segment.get()).max(1))
    }

    /// Cuts the datagram that begins at `from` off the slot's `bytes`; also where the next one begins, if there is one. An
    /// empty slot holds an empty datagram.
    #[inline]
    pub fn cut<'a>(&self, bytes: &'a [u8], from: usize) -> (&'a [u8], Option<usize>) {
        cut(bytes, from, self.segment)
    }

    /// The datagrams in the slot's `bytes`; at least one.
    #[inline]
    pub fn datagrams<'a>(&self, bytes: &'a [u8]) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let (segment, mut next) = (self.segment, Some(0));
        std::iter::from_fn(move || {
            let (datagram, behind) = cut(bytes, next?, segment);
            next = behind;
            Some(datagram)
        })
    }
}

#[inline]
fn cut(bytes: &[u8], from: usize, segment: Option<NonZeroUsize>) -> (&[u8], Option<usize>) {
    let rest = &bytes[from..];
    match segment {
        Some(segment) if segment.get() < rest.len() => (&rest[..segment.get()], Some(from + segment.get())),
        _ => (rest, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_longer_than_its_slot_or_the_wire_is_truncated() {
        for (len, capacity, max, kept, truncated) in
            [(0, 1, 9, 0, false), (5, 5, 9, 5, false), (6, 5, 9, 5, true), (9, 10, 9, 9, false), (10, 10, 9, 10, true)]
        {
            let meta = RecvMeta::received(None, len, capacity, max);
            assert_eq!((meta.len, meta.truncated), (kept, truncated), "{len} in {capacity} of {max}");
        }
    }

    #[test]
    fn a_train_is_cut_into_datagrams_of_its_size_and_an_empty_slot_is_one_datagram() {
        let cases = [
            ("", 0, &[""][..]),
            ("", 3, &[""]),
            ("abc", 0, &["abc"]),
            ("abc", 3, &["abc"]),
            ("abc", 4, &["abc"]),
            ("abcd", 2, &["ab", "cd"]),
            ("abcde", 2, &["ab", "cd", "e"]),
            ("ab", 1, &["a", "b"]),
        ];
        for (bytes, segment, datagrams) in cases {
            let meta = RecvMeta { segment: NonZeroUsize::new(segment), ..RecvMeta::new(None, bytes.len()) };
            let found: Vec<_> = meta.datagrams(bytes.as_bytes()).collect();
            let expected: Vec<_> = datagrams.iter().map(|datagram| datagram.as_bytes()).collect();
            assert_eq!(found, expected, "{bytes:?} by {segment}");
            assert_eq!(meta.count(), datagrams.len(), "{bytes:?} by {segment}");
        }
    }
}
