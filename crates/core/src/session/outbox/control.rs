//! What the protocol of a wire with frames says of its own: answers to control frames, a good-bye, kinds of messages.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Wake, Waker};

use super::{Inner, Out, lock};
use crate::sync::AtomicWaker;
use crate::{Answer, FrameEncoder, Goodbye};

impl Inner {
    /// Messages are of the kind of the last one that was received.
    #[inline]
    pub(super) fn follow(&self, out: &mut Out) {
        if self.is_framed
            && let Some(encoder) = &mut out.encoder
        {
            encoder.follow(self.tag.load(Relaxed));
        }
    }

    /// Queues the answer to a control frame. Behind the peer's end the queue takes no more, but where a server says the
    /// good-bye: its handler may still have to reply to what came before.
    #[cold]
    pub(crate) fn answer(&self, tag: u8, payload: &[u8]) -> Answer {
        let mut out = lock(&self.out);
        let answer = out.answer(tag, payload);
        let ends = answer != Answer::GoesOn && !self.guarded.load(Relaxed);
        if ends {
            out.closed = true;
            out.goodbye(Goodbye::Done);
        }
        drop(out);
        self.answers.store(true, Relaxed);
        if ends {
            self.writable.notify_waiters();
        }
        answer
    }

    #[inline]
    pub(crate) fn has_answers(&self) -> bool {
        self.answers.load(Relaxed)
    }

    /// Writes the queue for the sake of an answer, from a task that reads. The task that writes, if there is one, is woken as
    /// well whenever the wire takes more.
    #[cold]
    pub(crate) fn write_answers(&self, cx: &mut Context<'_>) {
        let shared = self.both.get_or_init(Arc::default);
        let both = Waker::from(Arc::clone(shared));
        shared.reader.register(cx.waker());
        if let Some(writer) = self.driver.take().filter(|writer| !writer.will_wake(&both)) {
            shared.writer.register(&writer);
        }
        if self.poll_write(&mut Context::from_waker(&both)).is_ready() {
            self.driver.wake();
        }
    }

    /// Says good-bye, where that is a frame, behind everything that is queued; the queue takes no more.
    pub(crate) fn goodbye(&self, why: Goodbye<'_>) {
        let mut out = lock(&self.out);
        if self.is_framed {
            out.closed = true;
            out.goodbye(why);
            self.answers.store(true, Relaxed);
        }
    }

    /// How many messages left in another form than they should have; asked once.
    pub(crate) fn take_changed(&self) -> u64 {
        lock(&self.out).encoder.as_mut().map_or(0, FrameEncoder::take_changed)
    }
}

/// Wakes the task that reads and the one that writes.
#[derive(Default)]
pub(super) struct Both {
    reader: AtomicWaker,
    writer: AtomicWaker,
}

impl Wake for Both {
    fn wake(self: Arc<Self>) {
        self.reader.wake();
        self.writer.wake();
    }
}
