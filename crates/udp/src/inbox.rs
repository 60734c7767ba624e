//! Messages of a connected socket that were received and not yet asked for.

use std::cell::RefCell;

use swapwire_core::RecvBatch;

use crate::engine::SLOT;

/// Datagrams, or trains of them, that one receive through [`with_wide`] takes at most.
const WIDE: usize = 32;

/// An inbox that was larger than this gives its memory back when it is empty, in bytes.
const KEPT: usize = 1 << 17;

thread_local! {
    static BATCH: RefCell<RecvBatch> = RefCell::new(RecvBatch::new(WIDE, SLOT));
}

/// Lends the thread's batch, emptied: its slots have room for whatever arrives, trains included. Memory: about 2 MiB of
/// address space for each thread, of which as much is used as ever arrived together.
pub(crate) fn with_wide<T>(run: impl FnOnce(&mut RecvBatch) -> T) -> T {
    BATCH.with_borrow_mut(|batch| {
        batch.clear();
        batch.expect(usize::MAX);
        run(batch)
    })
}

/// One message, or the beginning of one that is too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) truncated: bool,
}

/// The messages of a batch, trains taken apart.
pub(crate) fn messages(batch: &RecvBatch) -> impl Iterator<Item = Message<'_>> {
    batch.datagrams().map(|(meta, bytes)| Message { bytes, truncated: meta.truncated })
}

/// What one receive gave beyond what was asked for: at most 32 trains of 64 KiB, but for the first message.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    bytes: Vec<u8>,
    messages: Vec<Kept>,
    /// The message that is due, and where it begins.
    next: usize,
    start: usize,
}

#[derive(Debug)]
struct Kept {
    end: usize,
    truncated: bool,
}

impl Inbox {
    pub(crate) fn is_empty(&self) -> bool {
        self.next == self.messages.len()
    }

    /// Keeps a message until it is [taken](Inbox::take).
    pub(crate) fn put(&mut self, message: Message<'_>) {
        self.bytes.extend_from_slice(message.bytes);
        self.messages.push(Kept { end: self.bytes.len(), truncated: message.truncated });
    }

    /// Gives the message that is due to `give`.
    pub(crate) fn take<T>(&mut self, give: impl FnOnce(Message<'_>) -> T) -> Option<T> {
        let kept = self.messages.get(self.next)?;
        let given = give(Message { bytes: &self.bytes[self.start..kept.end], truncated: kept.truncated });
        (self.next, self.start) = (self.next + 1, kept.end);
        if self.is_empty() {
            self.empty();
        }
        Some(given)
    }

    fn empty(&mut self) {
        if self.bytes.capacity() > KEPT {
            *self = Self::default();
        }
        self.bytes.clear();
        self.messages.clear();
        (self.next, self.start) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use swapwire_core::RecvMeta;

    use super::*;

    fn put(batch: &mut RecvBatch, bytes: &[u8], segment: usize) {
        batch.next_slot().unwrap()[..bytes.len()].copy_from_slice(bytes);
        let mut meta = RecvMeta::new(None, bytes.len());
        meta.segment = NonZeroUsize::new(segment);
        batch.push(meta);
    }

    #[test]
    fn trains_are_taken_apart_and_kept_in_order() {
        let mut batch = RecvBatch::new(4, 16);
        put(&mut batch, b"aabbc", 2);
        put(&mut batch, b"", 0);
        put(&mut batch, b"single", 0);
        put(&mut batch, b"dd", 2);
        let expected = [b"aa".as_slice(), b"bb", b"c", b"", b"single", b"dd"];
        let mut inbox = Inbox::default();
        for _ in 0..3 {
            messages(&batch).for_each(|message| inbox.put(message));
            for bytes in expected {
                assert!(!inbox.is_empty());
                assert_eq!(inbox.take(|message| message.bytes.to_vec()).unwrap(), bytes);
            }
            assert!(inbox.is_empty() && inbox.take(|_| ()).is_none());
        }
        let large = vec![7; KEPT + 1];
        inbox.put(Message { bytes: &large, truncated: true });
        assert!(inbox.take(|message| message.truncated && message.bytes == large).unwrap());
        assert_eq!(inbox.bytes.capacity(), 0);
    }
}
