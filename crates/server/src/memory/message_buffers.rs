//! The buffers of a worker thread for message streams, lent to whichever connection has a message.

use std::cell::Cell;

use bytes::BytesMut;
use swapwire_core::Framing;
use swapwire_core::server::Replies;

/// A buffer that grew beyond this is freed when it is returned.
const LARGEST: usize = 256 * 1024;

thread_local! {
    /// One is in use at a time, unless calls wait.
    static SPARE: Cell<Option<Box<MessageBuffers>>> = const { Cell::new(None) };
}

/// Everything that handling one message needs.
#[derive(Debug)]
pub(crate) struct MessageBuffers {
    pub(crate) message: BytesMut,
    /// What calls reply.
    pub(crate) replies: Replies,
    pub(crate) queue: MessageQueue,
}

impl MessageBuffers {
    /// Empty ones, for replies of at most `max_message` bytes each.
    pub(crate) fn take(max_message: usize) -> Box<Self> {
        let encoder = || Framing::Chunks.encoder(max_message);
        let mut buffers = SPARE.take().unwrap_or_else(|| {
            let (message, queue) = Default::default();
            Box::new(Self { message, replies: Replies::new(encoder()), queue })
        });
        if buffers.replies.encoder_mut().max() != max_message {
            *buffers.replies.encoder_mut() = encoder();
        }
        buffers
    }

    /// Returns them, whatever they hold.
    pub(crate) fn give(mut self: Box<Self>) {
        // So that replies of another connection do not end as lines.
        self.replies.answer_line(b"");
        self.replies.recycle(LARGEST);
        self.message.clear();
        if self.message.capacity() > LARGEST {
            self.message = BytesMut::new();
        }
        self.queue.clear();
        if self.queue.memory() > LARGEST {
            self.queue = MessageQueue::default();
        }
        SPARE.set(Some(self));
    }

    /// What they take in memory beside the queue, in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.message.capacity() + self.replies.memory()
    }
}

/// Replies that wait to be sent: at most `out_queue` and the replies of one call.
#[derive(Debug, Default)]
pub(crate) struct MessageQueue {
    bytes: Vec<u8>,
    /// Where each message ends in `bytes`.
    ends: Vec<usize>,
    sent: usize,
}

impl MessageQueue {
    /// The replies of one more call.
    pub(crate) fn push(&mut self, replies: &Replies) {
        for message in replies.messages() {
            self.bytes.extend_from_slice(message);
            self.ends.push(self.bytes.len());
        }
    }

    /// The next one to be sent.
    pub(crate) fn next(&self) -> Option<&[u8]> {
        let end = *self.ends.get(self.sent)?;
        Some(&self.bytes[self.start()..end])
    }

    /// The next one was sent, or is given up.
    pub(crate) fn pass(&mut self) {
        self.sent += 1;
    }

    /// Its bytes, those that were sent included.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.sent = 0;
    }

    /// A copy of what is not sent, in no more memory than it takes; this one is empty then.
    pub(crate) fn take_unsent(&mut self) -> Self {
        let start = self.start();
        let bytes = self.bytes[start..].to_vec();
        let ends = self.ends[self.sent..].iter().map(|end| end - start).collect();
        self.clear();
        Self { bytes, ends, sent: 0 }
    }

    pub(crate) fn memory(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * size_of::<usize>()
    }

    fn start(&self) -> usize {
        self.sent.checked_sub(1).map_or(0, |before| self.ends[before])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replies(messages: &[&str]) -> Replies {
        let mut replies = Replies::new(Framing::Chunks.encoder(1 << 20));
        let mut call = replies.call(1 << 20, true);
        messages.iter().try_for_each(|message| call.reply().send(message)).unwrap();
        call.end(Ok(())).unwrap();
        replies
    }

    #[test]
    fn what_is_not_sent_is_kept_and_nothing_else() {
        let mut queue = MessageQueue::default();
        queue.push(&replies(&["a", "", "bc"]));
        queue.push(&replies(&["d"]));
        assert_eq!(queue.next(), Some(b"a".as_slice()));
        queue.pass();
        let mut unsent = queue.take_unsent();
        assert_eq!(queue.next(), None);
        assert_eq!(unsent.memory(), 3 + 3 * size_of::<usize>());
        for message in ["", "bc", "d"] {
            assert_eq!(unsent.next(), Some(message.as_bytes()));
            unsent.pass();
        }
        assert_eq!(unsent.next(), None);
    }

    #[test]
    fn they_are_used_again_unless_they_are_large() {
        for (len, kept) in [(1000, true), (LARGEST + 1, false)] {
            let mut buffers = MessageBuffers::take(10);
            buffers.message.extend_from_slice(&vec![0; len]);
            buffers.queue.push(&replies(&[&"x".repeat(len)]));
            buffers.replies.answer_line(b"line\n");
            buffers.give();
            let mut again = MessageBuffers::take(20);
            assert!(again.message.is_empty() && again.queue.next().is_none());
            assert_eq!((again.message.capacity() >= len, again.queue.memory() >= len), (kept, kept));
            let mut call = again.replies.call(100, true);
            call.reply().send("0123456789 12345").unwrap();
            assert_eq!(call.reply().messages().collect::<Vec<_>>(), [b"0123456789 12345"]);
        }
    }
}
