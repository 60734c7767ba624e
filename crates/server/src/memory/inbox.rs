//! Messages that were received together and are not handled.

use bytes::BytesMut;
use swapwire_core::RecvBatch;

use super::READ;

/// Messages that are received together, at most.
pub(crate) const MOST_TOGETHER: usize = 64;
/// What the slots for them take, at most, in bytes.
pub(crate) const TOGETHER: usize = 4 << 20;
/// Messages that may be longer than this are received one by one, until there are [`READ`] bytes of them: of slots that are so
/// long there would be too few.
pub(crate) const LARGEST_SLOT: usize = TOGETHER / 16 - 128;

/// Messages in slots, or one behind the other.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    slots: Option<RecvBatch>,
    bytes: BytesMut,
    /// Where those in `bytes` end.
    ends: Vec<usize>,
    /// How many are handled.
    handled: usize,
}

/// Where to receive into.
pub(crate) enum Space<'a> {
    /// Many at once.
    Slots(&'a mut RecvBatch),
    /// One behind what is there.
    Bytes(&'a mut BytesMut),
}

impl Inbox {
    /// Space for messages of at most `max_message` bytes.
    #[inline]
    pub(crate) fn space(&mut self, max_message: usize) -> Space<'_> {
        if max_message > LARGEST_SLOT {
            return Space::Bytes(&mut self.bytes);
        }
        if self.slots.as_ref().is_none_or(|slots| slots.slot_size() < max_message) {
            self.make_slots(max_message);
        }
        match &mut self.slots {
            Some(slots) => Space::Slots(slots),
            None => Space::Bytes(&mut self.bytes),
        }
    }

    #[cold]
    fn make_slots(&mut self, size: usize) {
        self.slots = Some(RecvBatch::new((TOGETHER / (size + 128)).clamp(1, MOST_TOGETHER), size));
    }

    /// One more was received behind the others, of so many bytes.
    pub(crate) fn push(&mut self, len: usize) {
        let start = self.ends.last().copied().unwrap_or(0);
        self.ends.push(start + len);
    }

    /// What was received last behind the others is no message.
    pub(crate) fn cut(&mut self) {
        self.bytes.truncate(self.ends.last().copied().unwrap_or(0));
    }

    /// Drops messages in slots that were cut off, or are longer than `max_message`, and gives the length of each to `dropped`, as
    /// far as it is known.
    #[inline]
    pub(crate) fn sift(&mut self, max_message: usize, mut dropped: impl FnMut(usize)) {
        let Some(slots) = &mut self.slots else { return };
        if slots.iter().any(|(meta, _)| meta.truncated || meta.len > max_message) {
            slots.retain(|meta| {
                let keep = !meta.truncated && meta.len <= max_message;
                if !keep {
                    dropped(meta.len.max(max_message + 1));
                }
                keep
            });
        }
    }

    /// Whether no more should be received before these are handled.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        if self.ends.is_empty() {
            return self.slots.as_ref().is_some_and(RecvBatch::is_full);
        }
        self.ends.len() >= MOST_TOGETHER || self.bytes.len() >= READ
    }

    /// The next one to be handled.
    #[inline]
    pub(crate) fn message(&self) -> Option<&[u8]> {
        if self.ends.is_empty() {
            return self.slots.as_ref()?.get(self.handled).map(|(_, message)| message);
        }
        let end = *self.ends.get(self.handled)?;
        Some(&self.bytes[self.start()..end])
    }

    fn start(&self) -> usize {
        self.handled.checked_sub(1).map_or(0, |before| self.ends[before])
    }

    /// The next one was handled.
    #[inline]
    pub(crate) fn pass(&mut self) {
        self.handled += 1;
    }

    /// Those that are not handled.
    fn rest(&self) -> impl Iterator<Item = &[u8]> {
        let slots = self.slots.iter().filter(|_| self.ends.is_empty());
        let in_slots = slots.flat_map(|slots| slots.iter().skip(self.handled).map(|(_, message)| message));
        let mut start = if self.ends.is_empty() { 0 } else { self.start() };
        let in_bytes = self.ends.iter().skip(self.handled).map(move |end| {
            let message = &self.bytes[start..*end];
            start = *end;
            message
        });
        in_slots.chain(in_bytes)
    }

    /// A copy of those that are not handled, in no more memory than they take.
    pub(crate) fn copy_rest(&self) -> Self {
        let mut copy = Self::default();
        copy.bytes.reserve(self.rest().map(<[u8]>::len).sum());
        copy.ends.reserve_exact(self.rest().count());
        for message in self.rest() {
            copy.bytes.extend_from_slice(message);
            copy.push(message.len());
        }
        copy
    }

    /// Takes those of `other` up; it is empty itself.
    pub(crate) fn take_up(&mut self, other: Self) {
        (self.bytes, self.ends, self.handled) = (other.bytes, other.ends, other.handled);
    }

    /// What its messages take in memory, in bytes. Slots are the worker's, but what is in them is not.
    pub(crate) fn memory(&self) -> usize {
        let slots = self.slots.as_ref().map_or(0, |slots| slots.iter().map(|(meta, _)| meta.len).sum());
        slots + self.bytes.capacity() + self.ends.capacity() * size_of::<usize>()
    }

    /// Forgets all messages.
    #[inline]
    pub(crate) fn clear(&mut self) {
        if let Some(slots) = &mut self.slots {
            slots.clear();
        }
        self.bytes.clear();
        self.ends.clear();
        self.handled = 0;
    }

    /// The same, and frees what has grown beyond `largest` bytes, but for slots.
    pub(crate) fn recycle(&mut self, largest: usize) {
        self.clear();
        if self.bytes.capacity() > largest {
            self.bytes = BytesMut::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive(inbox: &mut Inbox, max_message: usize, messages: &[&str]) {
        for message in messages {
            match inbox.space(max_message) {
                Space::Slots(slots) => slots.push_message(None, message.as_bytes()),
                Space::Bytes(bytes) => {
                    bytes.extend_from_slice(message.as_bytes());
                    inbox.push(message.len());
                }
            }
        }
    }

    fn messages(inbox: &mut Inbox) -> Vec<String> {
        let mut messages = Vec::new();
        while let Some(message) = inbox.message() {
            messages.push(String::from_utf8(message.to_vec()).unwrap());
            inbox.pass();
        }
        messages
    }

    #[test]
    fn messages_come_in_order_and_what_is_not_handled_can_be_moved() {
        for max_message in [8, LARGEST_SLOT, LARGEST_SLOT + 1, usize::MAX] {
            let mut inbox = Inbox::default();
            for _ in 0..2 {
                inbox.clear();
                assert_eq!(inbox.message(), None);
                receive(&mut inbox, max_message, &["a", "", "bc", "d"]);
                assert_eq!(inbox.message(), Some(b"a".as_slice()));
                inbox.pass();
                let mut moved = inbox.copy_rest();
                assert!(moved.memory() < 100, "{}", moved.memory());
                assert_eq!(messages(&mut moved), ["", "bc", "d"]);
                let mut again = Inbox::default();
                inbox.pass();
                again.take_up(inbox.copy_rest());
                assert_eq!(messages(&mut again), ["bc", "d"]);
                assert_eq!(messages(&mut inbox), ["", "bc", "d"][1..]);
            }
        }
    }

    #[test]
    fn what_is_received_together_is_bounded() {
        for max_message in [1, 1 << 10, 64 << 10, LARGEST_SLOT, LARGEST_SLOT + 1, 1 << 30] {
            let (mut inbox, mut count) = (Inbox::default(), 0);
            while !inbox.is_full() {
                receive(&mut inbox, max_message, &["x"]);
                count += 1;
            }
            assert!((16..=MOST_TOGETHER).contains(&count), "{count} of {max_message} bytes");
            if let Some(slots) = &inbox.slots {
                assert!(slots.slots() * slots.stride() <= TOGETHER);
            }
        }
        let mut inbox = Inbox::default();
        receive(&mut inbox, 1 << 20, &[&"x".repeat(READ - 1)]);
        assert!(!inbox.is_full());
        receive(&mut inbox, 1 << 20, &["x"]);
        assert!(inbox.is_full());
    }

    #[test]
    fn what_is_too_long_is_dropped_from_among_the_others() {
        let mut inbox = Inbox::default();
        receive(&mut inbox, 4, &["ab", "four", "longer", "c"]);
        let mut lens = Vec::new();
        inbox.sift(3, |len| lens.push(len));
        assert_eq!(lens, [4, 4]);
        assert_eq!(messages(&mut inbox), ["ab", "c"]);
        let mut inbox = Inbox::default();
        receive(&mut inbox, 1 << 20, &["ab"]);
        let Space::Bytes(bytes) = inbox.space(1 << 20) else { panic!() };
        bytes.extend_from_slice(b"too long");
        inbox.cut();
        receive(&mut inbox, 1 << 20, &["c"]);
        assert_eq!(messages(&mut inbox), ["ab", "c"]);
    }
}
