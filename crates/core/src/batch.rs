//! Batches: room for datagrams that are received together, and datagrams that are sent together.

use std::net::IpAddr;

use crate::{Addr, RecvMeta, Reply};

/// Room for a batch of received datagrams: a fixed number of slots of a fixed size.
///
/// Memory: `slots ×` [`stride`](RecvBatch::stride), taken zeroed from the system, so that slots that are never used cost
/// address space only.
#[derive(Debug)]
pub struct RecvBatch {
    bytes: Vec<u8>,
    slot_size: usize,
    stride: usize,
    /// One for each slot, of which the first [`filled`](Self::filled) count.
    metas: Box<[RecvMeta]>,
    filled: usize,
    expected: usize,
}

/// Slots of more than a few lines of the cache begin an odd number of lines apart: a power of two apart, all their first
/// lines would contend for the same places of it.
const fn stride(slot_size: usize) -> usize {
    const LINE: usize = 64;
    if slot_size < 4 * LINE { slot_size } else { (slot_size.div_ceil(LINE) | 1) * LINE }
}

impl RecvBatch {
    /// `slots` slots of `slot_size` bytes; both at least 1.
    pub fn new(slots: usize, slot_size: usize) -> Self {
        let (slots, slot_size) = (slots.max(1), slot_size.max(1));
        let stride = stride(slot_size);
        let (bytes, metas) = (vec![0; slots * stride], vec![RecvMeta::new(None, 0); slots].into_boxed_slice());
        Self { bytes, slot_size, stride, metas, filled: 0, expected: usize::MAX }
    }

    /// How many slots there are.
    #[inline]
    pub fn slots(&self) -> usize {
        self.metas.len()
    }

    /// How many bytes fit into a slot.
    #[inline]
    pub fn slot_size(&self) -> usize {
        self.slot_size
    }

    /// How far apart slots begin, in bytes: at least [`slot_size`](RecvBatch::slot_size), less than 128 more.
    #[inline]
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// The memory of all slots, filled ones included, for a transport that describes it to the system once for many
    /// calls: slot `i` is the [`slot_size`](RecvBatch::slot_size) bytes from `i ×` [`stride`](RecvBatch::stride) on. It
    /// stays where it is as long as the batch lives.
    #[inline]
    pub fn memory(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// How many slots are filled.
    #[inline]
    pub fn len(&self) -> usize {
        self.filled
    }

    /// Whether no slot is filled.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Whether no slot is free.
    #[inline]
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
    #[inline]
    pub fn awaits(&self) -> usize {
        self.expected.saturating_sub(self.len())
    }

    /// Empties all slots.
    #[inline]
    pub fn clear(&mut self) {
        self.filled = 0;
    }

    /// The next free slot, for a transport that receives one by one; `None` if all are filled. See [`RecvBatch::push`].
    #[inline]
    pub fn next_slot(&mut self) -> Option<&mut [u8]> {
        let start = self.filled * self.stride;
        self.bytes.get_mut(start..start + self.slot_size)
    }

    /// All free slots, for a transport that receives many at once.
    pub fn free_slots(&mut self) -> impl Iterator<Item = &mut [u8]> {
        let (start, size) = (self.filled * self.stride, self.slot_size);
        self.bytes[start..].chunks_exact_mut(self.stride).map(move |slot| &mut slot[..size])
    }

    /// Declares the next free slot filled.
    ///
    /// # Panics
    /// If all slots are filled, or `meta.len` is more than the size of a slot.
    #[inline]
    pub fn push(&mut self, meta: RecvMeta) {
        self.push_with(meta.len, |filled| *filled = meta);
    }

    /// As [`push`](RecvBatch::push), of `len` bytes from nobody, of which `tell` writes in place what else is known; what it
    /// writes as their length does not count.
    ///
    /// # Panics
    /// As of [`push`](RecvBatch::push).
    #[inline]
    pub fn push_with(&mut self, len: usize, tell: impl FnOnce(&mut RecvMeta)) {
        let slots = self.metas.len();
        let Some(meta) = self.metas.get_mut(self.filled) else { panic!("all {slots} slots are filled") };
        assert!(len <= self.slot_size, "{len} bytes in a slot of {}", self.slot_size);
        (meta.peer, meta.local, meta.segment, meta.truncated) = (None, None, None, false);
        tell(meta);
        meta.len = len;
        self.filled += 1;
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
    #[inline]
    pub fn get(&self, index: usize) -> Option<(&RecvMeta, &[u8])> {
        let meta = self.metas[..self.filled].get(index)?;
        let start = index * self.stride;
        Some((meta, &self.bytes[start..start + meta.len]))
    }

    /// The filled slots.
    pub fn iter(&self) -> impl Iterator<Item = (&RecvMeta, &[u8])> {
        self.metas[..self.filled]
            .iter()
            .zip(self.bytes.chunks_exact(self.stride))
            .map(|(meta, slot)| (meta, &slot[..meta.len]))
    }
}

/// Datagrams to send, their bytes one behind the other, so that neighbours to one peer can leave as one segmented send.
#[derive(Debug, Default)]
pub struct SendBatch {
    bytes: Vec<u8>,
    entries: Vec<Stored>,
    /// Neighbours that go the same way share one.
    ways: Vec<Way>,
}

#[derive(Clone, Copy, Debug)]
struct Stored {
    end: usize,
    way: usize,
}

#[derive(Debug)]
struct Way {
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
        Self { bytes: Vec::new(), entries: Vec::new(), ways: Vec::new() }
    }

    /// Appends a datagram. The caller bounds the batch by [`SendBatch::len`] and [`SendBatch::bytes`].
    #[inline]
    pub fn push(&mut self, message: &[u8], to: Addr, local: Option<IpAddr>) {
        self.bytes.extend_from_slice(message);
        if self.ways.last().is_none_or(|way| way.to != to || way.local != local) {
            self.ways.push(Way { to, local });
        }
        self.entries.push(Stored { end: self.bytes.len(), way: self.ways.len() - 1 });
    }

    /// Says where the replies go that [`push_kept`](SendBatch::push_kept) appends from now on.
    #[inline]
    pub fn direct(&mut self, to: &Addr, local: Option<IpAddr>) {
        // Neighbours that go the same way share it, and so can leave as a train.
        if self.ways.last().is_none_or(|way| way.to != *to || way.local != local) {
            self.ways.push(Way { to: *to, local });
        }
    }

    /// Appends a call's replies, which go where was [said](SendBatch::direct) last, and whose bytes stay in `reply` until
    /// [`take_bytes`](SendBatch::take_bytes). Either all datagrams of a batch are gathered so, from one [`Reply`] that
    /// [keeps](Reply::keep) them, or none.
    ///
    /// # Panics
    /// If it was not said.
    #[inline]
    pub fn push_kept(&mut self, reply: &Reply) {
        let way = self.ways.len().checked_sub(1).expect("replies go somewhere");
        match reply.len() {
            0 => {}
            1 => self.entries.push(Stored { end: reply.bytes(), way }),
            _ => self.entries.extend(reply.ends().map(|end| Stored { end, way })),
        }
    }

    /// Takes the bytes of all datagrams out of `reply`, without a copy. What it holds besides is lost.
    ///
    /// # Panics
    /// If it has fewer than the datagrams need.
    pub fn take_bytes(&mut self, reply: &mut Reply) {
        self.bytes.clear();
        reply.drain_into(&mut self.bytes);
        assert!(self.entries.last().is_none_or(|last| last.end <= self.bytes.len()), "datagrams without bytes");
    }

    /// Appends all datagrams of `other`.
    pub fn append(&mut self, other: &Self) {
        other.iter_from(0).for_each(|entry| self.push(entry.message, *entry.to, entry.local));
    }

    /// How many datagrams it holds.
    #[inline]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it holds none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The bytes of all its datagrams.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// All its datagrams, one behind the other.
    #[inline]
    pub fn contents(&self) -> &[u8] {
        &self.bytes
    }

    /// Where in [`contents`](SendBatch::contents) the datagram `index` begins; the end if there is none.
    #[inline]
    pub fn offset(&self, index: usize) -> usize {
        match index.checked_sub(1) {
            None => 0,
            Some(before) => self.entries.get(before).map_or(self.bytes.len(), |stored| stored.end),
        }
    }

    /// Forgets all datagrams and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
        self.ways.clear();
    }

    /// The datagram `index`.
    #[inline]
    pub fn get(&self, index: usize) -> Option<SendEntry<'_>> {
        self.entries.get(index).map(|stored| self.entry(self.offset(index), *stored))
    }

    /// How many datagrams from `index` on can leave as one segmented send: all go the same way and have the size of the
    /// first, only the last may be shorter, and none is empty. At most `most`, and so many that they are no more than
    /// `bytes` together, but always the first; 0 if there is none.
    #[inline]
    pub fn train(&self, index: usize, most: usize, bytes: usize) -> usize {
        let Some((first, next)) = self.entries.get(index..).and_then(<[_]>::split_first) else { return 0 };
        let start = self.offset(index);
        let size = first.end - start;
        let (mut count, mut end) = (1, first.end);
        for stored in next {
            let len = stored.end - end;
            if stored.way != first.way || len == 0 || len > size || count >= most || stored.end - start > bytes {
                break;
            }
            (count, end) = (count + 1, stored.end);
            if len < size {
                break;
            }
        }
        count
    }

    /// The datagrams from `index` on.
    #[inline]
    pub fn iter_from(&self, index: usize) -> impl Iterator<Item = SendEntry<'_>> {
        let mut start = self.offset(index);
        self.entries.get(index..).unwrap_or_default().iter().map(move |stored| {
            let entry = self.entry(start, *stored);
            start = stored.end;
            entry
        })
    }

    fn entry(&self, start: usize, stored: Stored) -> SendEntry<'_> {
        let way = &self.ways[stored.way];
        SendEntry { message: &self.bytes[start..stored.end], to: &way.to, local: way.local }
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
        assert_eq!(send.iter_from(4).count(), 0);
        assert!(send.get(3).is_none());
    }

    #[test]
    fn slots_of_every_size_are_apart() {
        for size in [1, 63, 255, 256, 1500, 4096, 65_508, 65_536] {
            let mut batch = RecvBatch::new(3, size);
            assert!(batch.stride() >= size && batch.stride() < size + 128, "{size}: {}", batch.stride());
            assert_eq!((batch.slots(), batch.slot_size(), batch.free_slots().count()), (3, size, 3));
            for slot in 0..3_u8 {
                batch.next_slot().unwrap().fill(slot);
                batch.push(RecvMeta::new(None, size));
            }
            let stride = batch.stride();
            for slot in 0..3_u8 {
                let at = usize::from(slot) * stride;
                assert!(batch.get(usize::from(slot)).unwrap().1.iter().all(|byte| *byte == slot));
                assert!(batch.memory()[at..at + size].iter().all(|byte| *byte == slot));
            }
        }
    }

    #[test]
    fn neighbours_of_one_size_that_go_the_same_way_are_a_train() {
        let (one, two) = (Addr::named("mem", "1").unwrap(), Addr::named("mem", "2").unwrap());
        let local = Some("127.0.0.1".parse().unwrap());
        let entries = [
            (2, one, None),
            (2, one, None),
            (1, one, None),
            (1, one, None),
            (1, one, local),
            (1, two, local),
            (0, two, local),
            (0, two, local),
            (3, one, None),
            (4, one, None),
        ];
        let mut batch = SendBatch::new();
        for _ in 0..2 {
            batch.clear();
            for (size, to, local) in entries {
                batch.push(&[7; 4][..size], to, local);
            }
            for (entry, (size, to, local)) in batch.iter_from(0).zip(entries) {
                assert_eq!((entry.message.len(), *entry.to, entry.local), (size, to, local));
            }
            let trains: Vec<_> = (0..11).map(|index| batch.train(index, 64, 100)).collect();
            assert_eq!(trains, [3, 2, 2, 1, 1, 1, 1, 1, 1, 1, 0]);
            assert_eq!((batch.train(0, 2, 100), batch.train(0, 1, 100), batch.train(0, 0, 0)), (2, 1, 1));
            assert_eq!((batch.train(0, 64, 5), batch.train(0, 64, 4), batch.train(0, 64, 3)), (3, 2, 1));
            assert_eq!((batch.offset(3), batch.offset(10), batch.offset(99), batch.contents().len()), (5, 15, 15, 15));
        }
    }
}
