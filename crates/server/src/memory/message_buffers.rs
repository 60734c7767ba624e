//! The buffers of a worker thread for message streams, lent to whichever connection has messages.

use std::cell::{Cell, RefCell};

use swapwire_core::server::Replies;
use swapwire_core::{Framing, SendBatch};

use super::inbox::Inbox;

/// A buffer that grew beyond this is freed when it is returned.
const LARGEST: usize = 256 * 1024;
/// How many idle ones a thread keeps beside the first, with nothing but their slots. One is in use at a time, unless calls
/// wait.
const KEEP: usize = 4;

thread_local! {
    /// The one that is used nearly always.
    static FIRST: Cell<Option<Box<MessageBuffers>>> = const { Cell::new(None) };
    /// At most [`KEEP`] more.
    #[expect(clippy::vec_box, reason = "boxes move between here and connections")]
    static MORE: RefCell<Vec<Box<MessageBuffers>>> = const { RefCell::new(Vec::new()) };
}

/// Everything that handling the messages of one turn needs.
#[derive(Debug)]
pub(crate) struct MessageBuffers {
    pub(crate) inbox: Inbox,
    /// What calls reply.
    pub(crate) replies: Replies,
    /// Replies that leave together: at most `out_queue` and the replies of one call.
    pub(crate) out: SendBatch,
    /// A connection's own, and not the worker's.
    own: bool,
}

impl MessageBuffers {
    fn new(max_message: usize) -> Box<Self> {
        let replies = Replies::new(Framing::Chunks.encoder(max_message));
        Box::new(Self { inbox: Inbox::default(), replies, out: SendBatch::new(), own: false })
    }

    /// Empty ones, for replies of at most `max_message` bytes each.
    pub(crate) fn take(max_message: usize) -> Box<Self> {
        let spare = FIRST.take().or_else(|| MORE.with_borrow_mut(Vec::pop));
        let mut buffers = spare.unwrap_or_else(|| Self::new(max_message));
        if buffers.replies.encoder_mut().max() != max_message {
            *buffers.replies.encoder_mut() = Framing::Chunks.encoder(max_message);
        }
        buffers
    }

    /// Returns them, whatever they hold. A connection's own are freed.
    pub(crate) fn give(mut self: Box<Self>) {
        if self.own {
            return;
        }
        // So that replies of another connection do not end as lines.
        self.replies.answer_line(b"");
        self.recycle(LARGEST);
        if let Some(mut other) = FIRST.replace(Some(self)) {
            MORE.with_borrow_mut(|more| {
                if more.len() < KEEP {
                    other.recycle(0);
                    more.push(other);
                }
            });
        }
    }

    /// Empties them, and frees what has grown beyond `largest`, but for slots.
    fn recycle(&mut self, largest: usize) {
        self.replies.recycle(largest);
        self.inbox.recycle(largest);
        self.out.clear();
        if self.out.memory() > largest {
            self.out = SendBatch::new();
        }
    }

    /// Whether they are a connection's own.
    pub(crate) fn are_own(&self) -> bool {
        self.own
    }

    /// Becomes a connection's own ones, which hold what is not handled and what is not sent and no more, so that a call that waits
    /// keeps no more than it needs. The worker's go back.
    #[cold]
    pub(crate) fn detach(self: &mut Box<Self>, max_message: usize) {
        let mut own = Self::new(max_message);
        own.own = true;
        own.inbox = self.inbox.copy_rest();
        own.out = self.out.take_from(0);
        std::mem::replace(self, own).give();
    }

    /// What they take in memory beside the replies that leave together, in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.inbox.memory() + self.replies.memory()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::inbox::Space;
    use swapwire_core::Addr;

    #[test]
    fn they_are_used_again_unless_they_are_large() {
        for (len, kept) in [(1000, true), (LARGEST + 1, false)] {
            let mut buffers = MessageBuffers::take(10);
            let Space::Bytes(bytes) = buffers.inbox.space(1 << 20) else { panic!() };
            bytes.extend_from_slice(&vec![0; len]);
            buffers.inbox.push(len);
            buffers.out.push(&vec![0; len], Addr::named("test", "here").unwrap(), None);
            buffers.replies.answer_line(b"line\n");
            buffers.give();
            let mut again = MessageBuffers::take(20);
            assert!(again.inbox.message().is_none() && again.out.is_empty());
            assert_eq!((again.inbox.memory() >= len, again.out.memory() >= len), (kept, kept));
            let mut call = again.replies.call(100, true);
            call.reply().send("0123456789 12345").unwrap();
            assert_eq!(call.reply().messages().collect::<Vec<_>>(), [b"0123456789 12345"]);
        }
    }

    #[test]
    fn what_is_detached_is_freed_and_the_workers_go_back() {
        let mut buffers = MessageBuffers::take(1 << 10);
        let Space::Slots(slots) = buffers.inbox.space(1 << 10) else { panic!() };
        ["a", "b", "c"].iter().for_each(|message| slots.push_message(None, message.as_bytes()));
        buffers.inbox.pass();
        buffers.detach(1 << 10);
        assert!(buffers.are_own() && buffers.memory() < 200);
        assert_eq!(buffers.inbox.message(), Some(b"b".as_slice()));
        let workers = MessageBuffers::take(1 << 10);
        assert!(!workers.are_own() && workers.inbox.message().is_none());
        workers.give();
        buffers.give();
        assert!(!MessageBuffers::take(1 << 10).are_own());
    }
}
