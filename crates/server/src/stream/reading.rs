//! The bytes of one read, and who owns the buffers that they are in.
//!
//! | state | the bytes are in | from | until |
//! | --- | --- | --- | --- |
//! | none: no buffers are held | nothing | the buffers are given back | the next read |
//! | [`Owner::Worker`] | the worker's buffers | a read | its handling ends; they are not kept across a wait, but for a call |
//! | [`Owner::Adopted`] | the connection's own input, beside the worker's other buffers | a read behind a large partial frame | what is left of it is kept |
//! | [`Owner::Connection`] | buffers of the connection's own, as large as what is in them | it waits within a read, or too many calls do | the replies are written |
//!
//! While a call waits, the first two are *lent* to it: what it has borrowed cannot be moved. How many are lent is counted
//! ([`BufferPool::lend`]), and beyond the bound a call gets buffers of the connection's own before it is polled first.

use std::ops::Range;

use crate::memory::{BufferPool, CallLoan, WorkerBuffers};

/// Which bytes are there to be cut into frames, in which buffers.
#[derive(Default)]
pub(crate) struct Reading {
    pub(crate) buffers: Option<Box<WorkerBuffers>>,
    /// Of the buffers, if there are any.
    pub(crate) owner: Owner,
    pub(crate) from: usize,
    pub(crate) to: usize,
    /// How many of them are new. None: the stream is at its end.
    pub(crate) new: usize,
}

/// Who owns the bytes that were read. What is the connection's has so many KiB of input.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Owner {
    #[default]
    Worker,
    Adopted(u32),
    Connection(u32),
}

impl Owner {
    /// Counts the worker's buffers as lent to a call that waits.
    pub(crate) fn lend(self, pool: &BufferPool) -> Option<CallLoan<'_>> {
        (!matches!(self, Self::Connection(_))).then(|| pool.lend())
    }

    /// What the connection keeps in memory while it waits, with replies in `out`.
    pub(crate) fn memory(self, out: &Vec<u8>) -> usize {
        match self {
            Self::Worker => out.len(),
            Self::Adopted(kib) => ((kib as usize) << 10) + out.len(),
            Self::Connection(kib) => ((kib as usize) << 10) + out.capacity(),
        }
    }
}

impl Reading {
    /// The bytes that are not cut into frames.
    #[inline(always)]
    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        self.buffers.as_mut().map_or(&mut [], |buffers| &mut buffers.input[self.from..self.to])
    }

    /// The bytes of replies that are to be written.
    #[inline(always)]
    pub(crate) fn queued(&self) -> usize {
        self.buffers.as_ref().map_or(0, |buffers| buffers.out.len() + buffers.replies.bytes())
    }

    /// The buffers that are held; the worker's, if none are.
    #[inline(always)]
    pub(crate) fn take(&mut self, pool: &BufferPool) -> &mut WorkerBuffers {
        self.buffers.get_or_insert_with(|| WorkerBuffers::take(pool))
    }

    /// As `take`, with the connection's own input in the place of the worker's, until it is [released](Self::release).
    pub(crate) fn adopt(&mut self, own: Vec<u8>, pool: &BufferPool) -> &mut WorkerBuffers {
        self.owner = Owner::Adopted(kib(&own));
        let buffers = self.take(pool);
        buffers.adopt(own);
        buffers
    }

    /// The input that was adopted, if one was.
    pub(crate) fn release(&mut self) -> Option<Vec<u8>> {
        let Owner::Adopted(_) = self.owner else { return None };
        self.owner = Owner::Worker;
        self.buffers.as_mut()?.release()
    }

    /// Gives back what is the worker's, and frees what is not.
    #[inline(always)]
    pub(crate) fn give(&mut self) {
        if let Some(buffers) = self.buffers.take() {
            self.owner = Owner::Worker;
            buffers.give();
        }
    }

    /// Gives the worker's buffers back and keeps copies of what is not done: the unread bytes, and `message`, which lies
    /// before them. Returns where the message is now.
    #[cold]
    pub(crate) fn detach(&mut self, message: Range<usize>, pool: &BufferPool) -> Range<usize> {
        let Some(buffers) = &mut self.buffers else { return message };
        if let Owner::Connection(_) = self.owner {
            return message;
        }
        let start = if message.is_empty() { self.from } else { message.start };
        buffers.detach(start, self.to, pool);
        self.owner = Owner::Connection(kib(&buffers.input));
        self.from -= start;
        self.to -= start;
        if message.is_empty() { 0..0 } else { 0..message.end - start }
    }
}

fn kib(buffer: &Vec<u8>) -> u32 {
    u32::try_from(buffer.capacity().div_ceil(1 << 10)).unwrap_or(u32::MAX)
}
