//! What a server needs of this crate and a handler must not have: the buffer that replies are gathered in.
//!
//! A [`Handler`](crate::Handler) sees a [`Reply`]: a view of the one call that it answers. The buffer behind it has the
//! replies of earlier calls, the framing of a connection and the limit of the call, and stays with the server:
//!
//! ```
//! use swapwire_core::server::Replies;
//! use swapwire_core::{Addr, Framing, Handler, HandlerError, Request};
//!
//! # use swapwire_core::handler_fn;
//! # let handler = handler_fn(|request, reply| Ok(reply.send(request.message())?));
//! # futures::FutureExt::now_or_never(async {
//! # let local = Addr::named("test", "here").unwrap();
//! let mut replies = Replies::new(Framing::Lines.encoder(1024));
//! let mut out = Vec::new();
//! for message in ["one", "two"] {
//!     let mut call = replies.call(1024, true);
//!     let result = handler.handle(Request::new(message.as_bytes(), None, &local), call.reply()).await;
//!     match call.end(result) {
//!         Ok(()) => replies.keep(),
//!         Err(_) => replies.discard(),
//!     }
//! }
//! replies.drain_into(&mut out);
//! assert_eq!(out, b"one\ntwo\n");
//! # }).unwrap();
//! ```

use std::ptr;

pub use crate::framing::without_line_end;
use crate::{FrameEncoder, Framing, HandlerError, Reply, ReplyBuf, ReplyError};

/// The replies of one call after the other, framed and one behind the other, in a buffer that is used again.
///
/// Bound: each call's limit; the server bounds what it [keeps](Self::keep) by looking at [`bytes`](Self::bytes).
#[derive(Debug)]
pub struct Replies {
    buf: Vec<u8>,
    /// Where this call's messages begin: before them may lie those of earlier calls.
    base: usize,
    /// Where each message but the last one ends in `buf`, framing included: most calls give one.
    ends: Vec<usize>,
    count: usize,
    encoder: FrameEncoder,
    limit: usize,
    /// What this call's messages have cost of the limit.
    used: usize,
    /// What the end of a line costs, where replies end as lines.
    line_end: usize,
    /// Replies that were refused since the server last asked.
    refused: u64,
    /// The length of the last one.
    refused_len: usize,
    /// How many bytes are enough, and how many while a refusal has not been looked at.
    enough: usize,
    enough_now: usize,
    close: bool,
    answerable: bool,
}

/// Replies that calls wanted to send and that were [refused](Replies::take_refused).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// How many.
    pub count: u64,
    /// The length of the last one, as far as it was written, in bytes.
    pub len: usize,
}

impl Replies {
    /// None yet, to be framed by `encoder`.
    pub fn new(encoder: FrameEncoder) -> Self {
        Self {
            buf: Vec::new(),
            base: 0,
            ends: Vec::new(),
            count: 0,
            encoder,
            limit: 0,
            used: 0,
            line_end: 0,
            refused: 0,
            refused_len: 0,
            enough: usize::MAX,
            enough_now: usize::MAX,
            close: false,
            answerable: true,
        }
    }

    /// Begins a call that may reply at most `limit` bytes of messages; nothing if its sender is not `answerable`. Forgets
    /// the replies of the call before, unless they were [kept](Self::keep).
    #[inline]
    pub fn call(&mut self, limit: usize, answerable: bool) -> Call<'_> {
        self.begin(limit, answerable);
        let place = place(self);
        Call { reply: Reply::lent(self), place }
    }

    /// Keeps this call's replies when the next one begins, for [`drain_into`](Self::drain_into).
    #[inline]
    pub fn keep(&mut self) {
        self.base = self.buf.len();
    }

    /// Forgets this call's replies, as those of one that failed or was dropped; what was kept of earlier ones stays.
    #[inline]
    pub fn discard(&mut self) {
        self.empty();
        self.close = false;
    }

    /// Forgets this call's messages, and not that it closes.
    pub(crate) fn clear_messages(&mut self) {
        self.empty();
    }

    /// This call's messages, framing included.
    pub fn messages(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(self.base).chain(self.ends.iter().copied());
        starts.zip(self.ends()).map(|(start, end)| &self.buf[start..end])
    }

    /// How many messages this call replied.
    #[inline]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether this call replied nothing.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether this call ends the session.
    #[inline]
    pub fn closes(&self) -> bool {
        self.close
    }

    /// Bytes that it holds, framing included, of this call and of those it kept.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.buf.len()
    }

    /// From how many `bytes` on [`is_enough`](Self::is_enough) is true; at first it is never.
    pub fn set_enough(&mut self, bytes: usize) {
        (self.enough, self.enough_now) = (bytes, bytes);
    }

    /// Whether a server that keeps the replies of call after call should stop here: because of the [bytes](Self::bytes), or
    /// to look at what was [refused](Self::take_refused), for which it so need not ask behind each call.
    #[inline]
    pub fn is_enough(&self) -> bool {
        self.buf.len() >= self.enough_now
    }

    /// What it takes in memory, in bytes.
    pub fn memory(&self) -> usize {
        self.buf.capacity() + self.ends.capacity() * size_of::<usize>()
    }

    /// Moves the framed bytes of all messages, kept ones included, to the end of `out`; swaps where `out` is empty, so that
    /// nothing is copied.
    #[inline]
    pub fn drain_into(&mut self, out: &mut Vec<u8>) {
        if out.is_empty() {
            std::mem::swap(out, &mut self.buf);
        } else {
            out.extend_from_slice(&self.buf);
        }
        self.base = 0;
        self.empty();
    }

    /// What frames the messages; a server puts each connection's own in its place.
    #[inline]
    pub fn encoder_mut(&mut self) -> &mut FrameEncoder {
        &mut self.encoder
    }

    /// Empties it of everything, for another connection to use, and frees what has grown beyond `largest`: its buffer, in
    /// bytes, and the list of its messages, in entries.
    #[inline]
    pub fn recycle(&mut self, largest: usize) {
        self.base = 0;
        self.empty();
        if self.buf.capacity() > largest || self.ends.capacity() > largest {
            (self.buf, self.ends) = Default::default();
        }
    }

    /// Takes an empty buffer to write the next replies into, in exchange for its own, empty one: what was written last is
    /// nearest in the cache.
    ///
    /// # Panics
    /// If either holds anything.
    #[inline]
    pub fn exchange_buffer(&mut self, buffer: &mut Vec<u8>) {
        assert!(self.buf.is_empty() && buffer.is_empty(), "a buffer with replies in it");
        std::mem::swap(&mut self.buf, buffer);
    }

    #[inline(always)]
    pub(crate) fn begin(&mut self, limit: usize, answerable: bool) {
        self.discard();
        (self.limit, self.answerable) = (limit, answerable);
    }

    #[inline]
    pub(crate) fn write(&mut self, f: impl FnOnce(&mut ReplyBuf<'_>)) -> Result<(), ReplyError> {
        if !self.answerable {
            return Err(self.refuse(0));
        }
        let (start, capacity) = (self.buf.len(), self.remaining());
        self.encoder.begin(&mut self.buf);
        let from = self.buf.len();
        let unwinding = CutBack { buf: &mut self.buf, start };
        let mut out = ReplyBuf { buf: &mut *unwinding.buf, from, capacity, wanted: self.line_end };
        f(&mut out);
        // An empty message is a message too: without a cost, as many as one likes would fit.
        let cost = out.wanted.max(1);
        std::mem::forget(unwinding);
        if cost > capacity {
            self.buf.truncate(start);
            return Err(self.refuse(cost));
        }
        self.encoder.finish(&mut self.buf, start)?;
        if self.count > 0 {
            self.ends.push(start);
        }
        self.count += 1;
        self.used += cost;
        Ok(())
    }

    #[cold]
    fn refuse(&mut self, len: usize) -> ReplyError {
        self.refused += 1;
        (self.refused_len, self.enough_now) = (len, 0);
        match self.answerable {
            true => ReplyError::Full { len, limit: self.limit },
            false => ReplyError::NoReturnAddress,
        }
    }

    /// For servers of wires with boundaries, whose framing is [lines](crate::Framing::Lines): gives `message` without the
    /// end of its line. The replies that follow end as lines if it had one, and their ends count for the limit.
    #[inline(never)]
    pub fn answer_line<'m>(&mut self, message: &'m [u8]) -> &'m [u8] {
        let line = without_line_end(message);
        self.end_lines(line.len() < message.len());
        line
    }

    /// Whether the replies that follow end as lines, on a wire with boundaries.
    #[inline]
    pub(crate) fn end_lines(&mut self, ends: bool) {
        self.line_end = usize::from(ends);
        self.encoder.end_lines(ends);
    }

    /// Another one without framing, which takes what this call may still reply.
    pub(crate) fn fork(&self) -> Self {
        let mut fork = Self::new(Framing::Chunks.encoder(usize::MAX));
        fork.begin(self.remaining(), self.answerable);
        fork.line_end = self.line_end;
        fork
    }

    #[inline]
    pub(crate) fn close(&mut self) {
        self.close = true;
    }

    /// What this call may reply, in bytes.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// What is left of that, in bytes: a message costs its length, with the end of its [line](Self::answer_line), and an
    /// empty one a byte.
    #[inline]
    pub fn remaining(&self) -> usize {
        self.limit - self.used
    }

    /// Whether this call can reply at all.
    pub fn is_answerable(&self) -> bool {
        self.answerable
    }

    /// Whether a reply was [refused](Self::take_refused).
    #[inline]
    pub fn has_refused(&self) -> bool {
        self.refused > 0
    }

    /// The replies that were refused since this was last asked, as they were above the limit or their call was not
    /// answerable; whatever their handlers made of the error.
    pub fn take_refused(&mut self) -> Option<Refused> {
        self.enough_now = self.enough;
        let count = std::mem::take(&mut self.refused);
        (count > 0).then_some(Refused { count, len: self.refused_len })
    }

    /// Where each message ends among all its bytes, those that it kept included.
    #[inline]
    pub(crate) fn ends(&self) -> impl Iterator<Item = usize> {
        let ends = self.ends.iter().copied().chain(std::iter::once(self.buf.len()));
        ends.take(self.count)
    }

    #[inline]
    fn empty(&mut self) {
        self.buf.truncate(self.base);
        self.ends.clear();
        (self.count, self.used) = (0, 0);
    }
}

/// Takes half a message back when the closure that writes it panics.
struct CutBack<'a> {
    buf: &'a mut Vec<u8>,
    start: usize,
}

impl Drop for CutBack<'_> {
    fn drop(&mut self) {
        self.buf.truncate(self.start);
    }
}

/// One call, and the view that its handler is lent.
#[derive(Debug)]
pub struct Call<'a> {
    reply: Reply<'a>,
    /// Whose view that was when the call began.
    place: usize,
}

impl<'a> Call<'a> {
    /// What the handler is lent.
    #[inline(always)]
    pub fn reply(&mut self) -> &mut Reply<'a> {
        &mut self.reply
    }

    /// Ends the call, of which the handler said `result`. After an error the server [discards](Replies::discard) what the
    /// call replied.
    ///
    /// # Errors
    /// The handler's; [`Replaced`] if another reply is in the place of the one it was lent.
    #[inline(always)]
    pub fn end(self, result: Result<(), HandlerError>) -> Result<(), HandlerError> {
        if place(self.reply.replies()) == self.place {
            // It is lent, so there is nothing to drop, which the compiler cannot know.
            std::mem::forget(self.reply);
            return result;
        }
        self.replaced(result)
    }

    #[cold]
    fn replaced(self, result: Result<(), HandlerError>) -> Result<(), HandlerError> {
        result.and(Err(Replaced.into()))
    }
}

/// No two that are there at once have the same, and a call's stays where it is until the call ends.
#[inline(always)]
fn place(replies: &Replies) -> usize {
    ptr::from_ref(replies).addr()
}

/// The handler put another [`Reply`] in the place of the one it was lent, so that its replies are not the call's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("handle: the handler replaced the reply that it was lent, and must send its replies into that one")]
#[non_exhaustive]
pub struct Replaced;

#[cfg(test)]
mod tests;
