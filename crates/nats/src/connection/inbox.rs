//! Messages that wait to be received.

use std::collections::VecDeque;

/// What each message counts, beside its bytes.
const COST: usize = 64;

/// A queue of messages, bounded in bytes, without an allocation for each.
#[derive(Debug)]
pub(crate) struct Inbox {
    /// Of each that waits: what its reply goes to, and the message; from `start` on.
    bytes: Vec<u8>,
    start: usize,
    queue: VecDeque<Entry>,
    /// What waits takes at most so much, or is one message.
    most: usize,
    weight: usize,
    /// How many were dropped, as there was no room.
    pub(crate) dropped: u32,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    from: u8,
    kind: Kind,
    len: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Whole,
    /// It was above the bound of one message, and is empty here.
    Truncated,
    /// No message: nobody subscribes to the subject of a request.
    NoResponders,
    /// No message: the broker does not take a request, and says why.
    Denied,
}

/// One message that waited.
pub(crate) struct Received<'a> {
    /// Where a reply goes to, as an address has it; empty without one.
    pub(crate) from: &'a [u8],
    pub(crate) kind: Kind,
    pub(crate) message: &'a [u8],
}

impl Inbox {
    pub(crate) fn new(most: usize) -> Self {
        Self { bytes: Vec::new(), start: 0, queue: VecDeque::new(), most, weight: 0, dropped: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Adds a message from `scheme:reply`, or drops and counts it.
    pub(crate) fn push(&mut self, scheme: &[u8], reply: &[u8], kind: Kind, message: &[u8]) {
        let from = if reply.is_empty() { 0 } else { scheme.len() + reply.len() };
        let (len, Ok(from)) = (message.len(), u8::try_from(from)) else { return };
        let weight = COST + usize::from(from) + len;
        if self.weight + weight > self.most && !self.is_empty() {
            self.dropped = self.dropped.wrapping_add(1);
            return;
        }
        self.make_room(usize::from(from) + len);
        if from > 0 {
            self.bytes.extend_from_slice(scheme);
            self.bytes.extend_from_slice(reply);
        }
        self.bytes.extend_from_slice(message);
        self.weight += weight;
        self.queue.push_back(Entry { from, kind, len });
    }

    /// Moves what waits to the front rather than grow, and never grows far beyond the bound.
    fn make_room(&mut self, more: usize) {
        if self.bytes.capacity() - self.bytes.len() >= more {
            return;
        }
        if self.start >= self.bytes.len() / 2 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        let len = self.bytes.len();
        if len * 2 > self.most {
            self.bytes.reserve_exact(more.max(self.most.saturating_sub(len)));
        }
    }

    /// What the next one is.
    pub(crate) fn next_kind(&self) -> Option<Kind> {
        self.queue.front().map(|entry| entry.kind)
    }

    /// The next message, which is gone with this.
    pub(crate) fn pop(&mut self) -> Option<Received<'_>> {
        if self.start > 0 && self.queue.is_empty() {
            self.bytes.clear();
            self.start = 0;
        }
        let Entry { from, kind, len } = self.queue.pop_front()?;
        let whole = &self.bytes[self.start..self.start + usize::from(from) + len];
        self.start += whole.len();
        self.weight -= COST + whole.len();
        let (from, message) = whole.split_at(usize::from(from));
        Some(Received { from, kind, message })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(inbox: &mut Inbox, message: &[u8]) {
        inbox.push(b"nats:", b"r", Kind::Whole, message);
    }

    #[test]
    fn messages_come_out_as_they_went_in() {
        let mut inbox = Inbox::new(1 << 20);
        for round in 0_u8..200 {
            for number in 0..=round % 7 {
                inbox.push(b"nats:", &vec![b'r'; usize::from(number)], Kind::Whole, &vec![round; usize::from(round)]);
            }
            for number in 0..=round % 7 {
                let Received { from, kind, message } = inbox.pop().unwrap();
                assert_eq!((from.len(), kind), (if number == 0 { 0 } else { 5 + usize::from(number) }, Kind::Whole));
                assert_eq!(message, vec![round; usize::from(round)]);
            }
            assert!(inbox.pop().is_none() && inbox.is_empty() && inbox.weight == 0);
        }
        assert!(inbox.bytes.capacity() < 4096, "{}", inbox.bytes.capacity());
    }

    #[test]
    fn what_is_above_the_bound_is_dropped_and_counted_and_memory_stays_within_it() {
        let most = 100_000;
        let mut inbox = Inbox::new(most);
        for _ in 0..20 {
            for _ in 0..1000 {
                push(&mut inbox, &[7; 500]);
            }
            for _ in 0..50 {
                inbox.pop().unwrap();
            }
            assert!(inbox.weight <= most && inbox.bytes.capacity() <= 2 * most, "{}", inbox.bytes.capacity());
        }
        let kept = 100_000 / (500 + 6 + COST) as u32;
        assert_eq!(inbox.dropped, 20 * 1000 - kept - 19 * 50);
    }

    #[test]
    fn one_message_is_always_admitted() {
        let mut inbox = Inbox::new(100);
        push(&mut inbox, &[1; 1000]);
        push(&mut inbox, &[2; 1]);
        assert_eq!((inbox.pop().unwrap().message.len(), inbox.dropped, inbox.is_empty()), (1000, 1, true));
    }
}
