//! Datagram sockets: many peers, messages with boundaries, in batches.

use std::io;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::task::{Context, Poll};

use crate::class::classify_datagram;
use crate::{Addr, Endpoint, ErrorClass};

/// A bound socket that receives messages from many peers and answers them.
///
/// It is poll-shaped and batch-shaped: one call moves up to a whole batch, so that a transport may use one system call for
/// many datagrams. Moving one datagram per call is a correct implementation. One owner receives and sends.
///
/// # Contract
/// 1. A datagram is received whole, or marked truncated; an empty one is a message (`testkit::laws::boundaries`).
/// 2. `poll_recv` returns `Ready(Ok(()))` with at least one datagram in the batch, or `Pending` with none
///    (`cancelled_recv`). A wire may keep a waker for each direction.
/// 3. `poll_send` sends entries in order, from index `from`, and returns how many it sent: at least one.
/// 4. An error of `poll_send` is about the entry at `from` alone: one that is too large (`too_large`), one whose peer is
///    gone (`dead_peer`). A full peer is [`io::ErrorKind::WouldBlock`] as an error, never `Pending`: `Pending` means that
///    the socket itself has no room (`slow_peer`, where [`isolated_peers`](crate::Capabilities::isolated_peers)).
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

    /// What an error of `poll_recv` or `poll_send` means.
    fn classify(&self, error: &io::Error) -> ErrorClass {
        classify_datagram(error)
    }
}

/// What a datagram socket does by one call of the system for many datagrams. Where the system or the traffic forbids it,
/// a socket goes on without and says so here.
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
    /// The local IP address it was sent to, where the wire knows (`ip(7)`, `IP_PKTINFO`): the reply leaves from there.
    pub local: Option<IpAddr>,
    /// The slot holds a train: datagrams of this size, the last may be shorter (`udp(7)`, `UDP_GRO`).
    pub segment: Option<NonZeroUsize>,
    /// The datagram was larger than the slot; the server drops and counts it.
    pub truncated: bool,
}

impl RecvMeta {
    /// `len` bytes from `peer`.
    pub const fn new(peer: Option<Addr>, len: usize) -> Self {
        Self { peer, len, local: None, segment: None, truncated: false }
    }
}

/// Room for a batch of received datagrams: a fixed number of slots of a fixed size.
///
/// Memory: `slots × slot_size`, taken zeroed from the system, so that slots that are never used cost address space only.
#[derive(Debug)]
pub struct RecvBatch {
    bytes: Vec<u8>,
    slot_size: usize,
    metas: Vec<RecvMeta>,
    expected: usize,
}

impl RecvBatch {
    /// `slots` slots of `slot_size` bytes; both at least 1.
    pub fn new(slots: usize, slot_size: usize) -> Self {
        let (slots, slot_size) = (slots.max(1), slot_size.max(1));
        Self { bytes: vec![0; slots * slot_size], slot_size, metas: Vec::with_capacity(slots), expected: usize::MAX }
    }

    /// How many slots there are.
    pub fn slots(&self) -> usize {
        self.bytes.len() / self.slot_size
    }

    /// How many slots are filled.
    pub fn len(&self) -> usize {
        self.metas.len()
    }

    /// Whether no slot is filled.
    pub fn is_empty(&self) -> bool {
        self.metas.is_empty()
    }

    /// Whether no slot is free.
    pub fn is_full(&self) -> bool {
        self.len() == self.slots()
    }

    /// Says that no more than `count` messages, at least 1, are expected in this batch: replies to so many requests. A wire
    /// that has received so many need not look for more, and may give what waits beyond them with what arrives next. It
    /// holds until it is said anew; at first any number is expected.
    pub fn expect(&mut self, count: usize) {
        self.expected = count.max(1);
    }

    /// How many more are [expected](Self::expect).
    pub fn awaits(&self) -> usize {
        self.expected.saturating_sub(self.len())
    }

    /// Empties all slots.
    pub fn clear(&mut self) {
        self.metas.clear();
    }

    /// The next free slot, for a transport that receives one by one; `None` if all are filled. See [`RecvBatch::push`].
    pub fn next_slot(&mut self) -> Option<&mut [u8]> {
        let start = self.metas.len() * self.slot_size;
        self.bytes.get_mut(start..start + self.slot_size)
    }

    /// All free slots, for a transport that receives many at once.
    pub fn free_slots(&mut self) -> impl Iterator<Item = &mut [u8]> {
        let start = self.metas.len() * self.slot_size;
        self.bytes[start..].chunks_exact_mut(self.slot_size)
    }

    /// Declares the next free slot filled.
    ///
    /// # Panics
    /// If all slots are filled, or `meta.len` is more than the size of a slot.
    pub fn push(&mut self, meta: RecvMeta) {
        assert!(self.metas.len() < self.slots(), "all {} slots are filled", self.slots());
        assert!(meta.len <= self.slot_size, "{} bytes in a slot of {}", meta.len, self.slot_size);
        self.metas.push(meta);
    }

    /// Copies a message that is at hand into the next free slot; what does not fit is cut off, and marked so.
    ///
    /// # Panics
    /// If all slots are filled.
    pub fn push_message(&mut self, peer: Option<Addr>, message: &[u8]) {
        let len = message.len().min(self.slot_size);
        if let Some(slot) = self.next_slot() {
            slot[..len].copy_from_slice(&message[..len]);
        }
        self.push(RecvMeta { truncated: len < message.len(), ..RecvMeta::new(peer, len) });
    }

    /// The filled slot `index`.
    pub fn get(&self, index: usize) -> Option<(&RecvMeta, &[u8])> {
        let meta = self.metas.get(index)?;
        let start = index * self.slot_size;
        Some((meta, &self.bytes[start..start + meta.len]))
    }

    /// The filled slots.
    pub fn iter(&self) -> impl Iterator<Item = (&RecvMeta, &[u8])> {
        self.metas.iter().zip(self.bytes.chunks_exact(self.slot_size)).map(|(meta, slot)| (meta, &slot[..meta.len]))
    }
}

/// Datagrams to send, their bytes one behind the other, so that neighbours to one peer can leave as one segmented send.
#[derive(Debug, Default)]
pub struct SendBatch {
    bytes: Vec<u8>,
    entries: Vec<Stored>,
}

#[derive(Debug)]
struct Stored {
    end: usize,
    to: Addr,
    local: Option<IpAddr>,
}

/// One datagram of a [`SendBatch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SendEntry<'a> {
    /// Its bytes.
    pub message: &'a [u8],
    /// Where it goes.
    pub to: &'a Addr,
    /// The local IP address it should leave from, if that is not the system's choice.
    pub local: Option<IpAddr>,
}

impl SendBatch {
    /// No datagrams.
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), entries: Vec::new() }
    }

    /// Appends a datagram. The caller bounds the batch by [`SendBatch::len`] and [`SendBatch::bytes`].
    pub fn push(&mut self, message: &[u8], to: Addr, local: Option<IpAddr>) {
        self.bytes.extend_from_slice(message);
        self.entries.push(Stored { end: self.bytes.len(), to, local });
    }

    /// How many datagrams it holds.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The bytes of all its datagrams.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Forgets all datagrams and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
    }

    /// The datagram `index`.
    pub fn get(&self, index: usize) -> Option<SendEntry<'_>> {
        let stored = self.entries.get(index)?;
        let start = index.checked_sub(1).map_or(0, |before| self.entries[before].end);
        Some(SendEntry { message: &self.bytes[start..stored.end], to: &stored.to, local: stored.local })
    }

    /// The datagrams from `index` on.
    pub fn iter_from(&self, index: usize) -> impl Iterator<Item = SendEntry<'_>> {
        (index..self.entries.len()).filter_map(|i| self.get(i))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_keep_messages_apart() {
        let mut batch = RecvBatch::new(2, 4);
        batch.next_slot().unwrap()[..2].copy_from_slice(b"ab");
        batch.push(RecvMeta::new(None, 2));
        assert_eq!(batch.free_slots().count(), 1);
        batch.push(RecvMeta::new(None, 0));
        assert!(batch.next_slot().is_none());
        let messages: Vec<_> = batch.iter().map(|(_, message)| message.to_vec()).collect();
        assert_eq!(messages, [b"ab".to_vec(), Vec::new()]);
        assert_eq!(batch.get(0).unwrap().1, b"ab");

        let to = Addr::named("mem", "x").unwrap();
        let mut batch = RecvBatch::new(2, 4);
        batch.push_message(Some(to), b"abcd");
        assert!(!batch.is_full());
        batch.push_message(None, b"abcde");
        assert!(batch.is_full());
        let (whole, cut) = (batch.get(0).unwrap(), batch.get(1).unwrap());
        assert_eq!((whole.0.peer, whole.0.truncated, whole.1), (Some(to), false, b"abcd".as_slice()));
        assert_eq!((cut.0.peer, cut.0.truncated, cut.1), (None, true, b"abcd".as_slice()));

        let mut send = SendBatch::new();
        for message in ["a", "", "bc"] {
            send.push(message.as_bytes(), to, None);
        }
        let messages: Vec<_> = send.iter_from(1).map(|entry| entry.message).collect();
        assert_eq!(messages, [b"".as_slice(), b"bc"]);
    }
}
