//! Room for datagrams that are received together.

use crate::{Addr, RecvMeta};

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
    with_descriptors: usize,
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
        Self { bytes, slot_size, stride, metas, filled: 0, expected: usize::MAX, with_descriptors: 0 }
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
    /// stays where it is as long as the batch exists.
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

    /// Says of `count` datagrams that are filled in that they came with descriptors (`unix(7)`, `SCM_RIGHTS`) that the
    /// transport did not take.
    pub fn note_descriptors(&mut self, count: usize) {
        self.with_descriptors += count;
    }

    /// How many datagrams came with descriptors, which are closed, since the batch was emptied;
    /// where the system tells.
    #[inline]
    pub fn with_descriptors(&self) -> usize {
        self.with_descriptors
    }

    /// Empties all slots.
    #[inline]
    pub fn clear(&mut self) {
        self.filled = 0;
        self.with_descriptors = 0;
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

    /// As [`push`](RecvBatch::push), of `len` bytes without a sender, of which `tell` writes in place what else is known;
    /// what it writes as their length does not count.
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

    /// Forgets the filled slots of which `keep` says no, and moves those behind them up. Costs a copy of what moves.
    pub fn retain(&mut self, mut keep: impl FnMut(&RecvMeta) -> bool) {
        let mut kept = 0;
        for slot in 0..self.filled {
            if !keep(&self.metas[slot]) {
                continue;
            }
            if kept < slot {
                let (from, to) = (slot * self.stride, kept * self.stride);
                self.bytes.copy_within(from..from + self.metas[slot].len, to);
                self.metas[kept] = self.metas[slot];
            }
            kept += 1;
        }
        self.filled = kept;
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

    /// The datagrams in the filled slots, trains taken apart.
    pub fn datagrams(&self) -> impl Iterator<Item = (&RecvMeta, &[u8])> {
        self.iter().flat_map(|(meta, bytes)| meta.datagrams(bytes).map(move |datagram| (meta, datagram)))
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
    }

    #[test]
    fn what_is_kept_stays_whole_and_in_order() {
        let mut batch = RecvBatch::new(5, 300);
        for (i, len) in [300, 2, 0, 200, 1].into_iter().enumerate() {
            batch.push_message(None, &vec![b'a' + i as u8; len]);
        }
        batch.retain(|meta| meta.len % 100 != 2);
        let messages: Vec<_> = batch.iter().map(|(_, message)| (message.len(), message.first().copied())).collect();
        assert_eq!(messages, [(300, Some(b'a')), (0, None), (200, Some(b'd')), (1, Some(b'e'))]);
        batch.push_message(None, b"next");
        assert_eq!((batch.is_full(), batch.get(4).unwrap().1), (true, b"next".as_slice()));
        batch.retain(|_| false);
        assert!(batch.is_empty());
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
}
