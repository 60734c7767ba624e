//! Replies: where a handler puts its answers.

use std::fmt;
use std::io;

use crate::framing::without_line_end;
use crate::{FrameEncoder, FrameError, Framing};

/// One call's private, bounded sink for none, one or many reply messages.
///
/// Nothing here waits: `send` appends to a buffer, framed in place, and the server writes it when the call returns,
/// together with the other replies of the same read.
///
/// Bound: at most [`Reply::limit`] bytes of messages per call (1 MiB unless configured; on wires whose senders may be
/// forged, three times the request or 64 bytes, unless the handler declares that it
/// [amplifies](crate::Handler::amplifies)).
///
/// Testing a handler needs no server:
///
/// ```
/// use swapwire_core::{Addr, Reply, Request};
/// # use swapwire_core::{Handler, handler_fn};
/// # let handler = handler_fn(|request, reply| Ok(reply.send(request.message())?));
/// # futures::FutureExt::now_or_never(async {
/// let local = Addr::named("test", "here").unwrap();
/// let mut reply = Reply::new(1024);
/// handler.handle(Request::new(b"hello", None, &local), &mut reply).await?;
/// assert_eq!(reply.messages().collect::<Vec<_>>(), [b"hello"]);
/// # Ok::<(), swapwire_core::HandlerError>(())
/// # }).unwrap().unwrap();
/// ```
#[derive(Debug)]
pub struct Reply {
    buf: Vec<u8>,
    /// Where this call's messages begin: before them may lie those of earlier calls.
    base: usize,
    /// Where each message but the last one ends in `buf`, framing included: most calls give one.
    ends: Vec<usize>,
    count: usize,
    encoder: FrameEncoder,
    limit: usize,
    /// Message bytes in `buf`.
    used: usize,
    close: bool,
    answerable: bool,
}

debug_as_text!(ReplyError);

/// Why a reply was not taken. The call may go on and send something shorter.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum ReplyError {
    /// The replies of this call would exceed its limit.
    #[error("reply: {len} bytes more would exceed the limit of {limit} for one call")]
    Full {
        /// The length of the refused message, as far as it was written.
        len: usize,
        /// The limit for one call.
        limit: usize,
    },
    /// The framing cannot carry this message.
    #[error("reply: {0}")]
    Frame(#[from] FrameError),
    /// The sender has no address to answer to (an unbound Unix datagram socket).
    #[error("reply: the sender has no address to answer to")]
    NoReturnAddress,
}

impl Reply {
    /// A reply of at most `limit` bytes, without framing.
    pub fn new(limit: usize) -> Self {
        Self::framed(limit, Framing::Chunks.encoder(usize::MAX))
    }

    /// A reply of at most `limit` bytes, framed by `encoder`.
    pub fn framed(limit: usize, encoder: FrameEncoder) -> Self {
        Self {
            buf: Vec::new(),
            base: 0,
            ends: Vec::new(),
            count: 0,
            encoder,
            limit,
            used: 0,
            close: false,
            answerable: true,
        }
    }

    /// Appends one message: bytes or text, borrowed or owned.
    ///
    /// # Errors
    /// The message was not taken; earlier ones stay.
    #[inline]
    pub fn send(&mut self, message: impl AsRef<[u8]>) -> Result<(), ReplyError> {
        self.write(|out| out.put(message.as_ref()))
    }

    /// Appends one message that `f` writes in place.
    ///
    /// ```
    /// # use swapwire_core::Reply;
    /// let mut reply = Reply::new(1024);
    /// reply.write(|out| {
    ///     out.put(b"hello");
    ///     out.as_mut().make_ascii_uppercase();
    /// })?;
    /// assert_eq!(reply.messages().next(), Some(b"HELLO".as_slice()));
    /// # Ok::<(), swapwire_core::ReplyError>(())
    /// ```
    ///
    /// # Errors
    /// The message was not taken; earlier ones stay.
    #[inline]
    pub fn write(&mut self, f: impl FnOnce(&mut ReplyBuf<'_>)) -> Result<(), ReplyError> {
        if !self.answerable {
            return Err(ReplyError::NoReturnAddress);
        }
        let start = self.buf.len();
        self.encoder.begin(&mut self.buf);
        let from = self.buf.len();
        let mut out = ReplyBuf { buf: &mut self.buf, from, room: self.limit - self.used, wanted: 0 };
        f(&mut out);
        let wanted = out.wanted;
        let len = self.buf.len() - from;
        if wanted > len {
            self.buf.truncate(start);
            return Err(ReplyError::Full { len: wanted, limit: self.limit });
        }
        if let Err(error) = self.encoder.finish(&mut self.buf, start) {
            return Err(self.refused(error));
        }
        if self.count > 0 {
            self.ends.push(start);
        }
        self.count += 1;
        self.used += len;
        Ok(())
    }

    /// What an error of the framing means: only the room for [lines](Self::answer_line) is less than the encoder's limit.
    #[cold]
    fn refused(&self, error: FrameError) -> ReplyError {
        match error {
            FrameError::TooLarge { len, max } if max < self.encoder.max() => {
                ReplyError::Full { len: usize::try_from(len).unwrap_or(usize::MAX), limit: self.limit }
            }
            error => ReplyError::Frame(error),
        }
    }

    /// For servers of wires with boundaries, whose framing is [lines](Framing::Lines): gives `message` without the end of its
    /// line. The replies that follow end as lines if it had one, and take at most `room` bytes with their ends.
    #[inline(never)]
    pub fn answer_line<'m>(&mut self, message: &'m [u8], room: usize) -> &'m [u8] {
        let line = without_line_end(message);
        self.encoder.follow(line.len() < message.len(), room);
        line
    }

    /// Ends the session once these replies are sent. On a datagram socket it does nothing.
    pub fn close(&mut self) {
        self.close = true;
    }

    /// The bound of this call, in bytes of messages.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Whether the sender can be answered at all.
    pub fn is_answerable(&self) -> bool {
        self.answerable
    }

    /// How many messages it holds.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether it holds no message.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The messages, framing included.
    pub fn messages(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(self.base).chain(self.ends.iter().copied());
        starts.zip(self.ends()).map(|(start, end)| &self.buf[start..end])
    }

    /// Whether [`Reply::close`] was called.
    #[inline]
    pub fn closes(&self) -> bool {
        self.close
    }

    /// Empties it for the next call, whose limit is `limit`, and keeps the memory; what it [keeps](Self::keep) of earlier
    /// calls stays.
    #[inline]
    pub fn reset(&mut self, limit: usize, answerable: bool) {
        self.empty();
        (self.limit, self.close, self.answerable) = (limit, false, answerable);
    }

    /// What frames its messages; a server puts each connection's own in its place.
    #[inline]
    pub fn encoder_mut(&mut self) -> &mut FrameEncoder {
        &mut self.encoder
    }

    /// Empties it of everything, for another connection to use, and frees its buffer if that has grown beyond `largest`
    /// bytes.
    #[inline]
    pub fn recycle(&mut self, largest: usize) {
        self.base = 0;
        self.empty();
        if self.buf.capacity() > largest {
            self.buf = Vec::new();
        }
    }

    /// Keeps this call's replies for [`drain_into`](Self::drain_into) when it is [reset](Self::reset) for the next call: for
    /// handlers whose calls are [ready at once](crate::Handler::ready_at_once).
    #[inline]
    pub fn keep(&mut self) {
        self.base = self.buf.len();
    }

    /// Bytes that it holds, framing included, of this call and of those it kept.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.buf.len()
    }

    /// What it takes in memory, in bytes.
    pub fn memory(&self) -> usize {
        self.buf.capacity() + self.ends.capacity() * size_of::<usize>()
    }

    /// Where each message ends among [all its bytes](Self::bytes), those that it kept included.
    #[inline]
    pub fn ends(&self) -> impl Iterator<Item = usize> {
        let ends = self.ends.iter().copied().chain(std::iter::once(self.buf.len()));
        ends.take(self.count)
    }

    /// Moves the framed bytes of all messages, kept ones included, to the end of `out`; swaps where `out` is empty, so that nothing is copied.
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

    #[inline]
    fn empty(&mut self) {
        self.buf.truncate(self.base);
        self.ends.clear();
        (self.count, self.used) = (0, 0);
    }
}

/// The message that is being written in place; see [`Reply::write`]. Also an [`io::Write`] and a [`fmt::Write`].
#[derive(Debug)]
pub struct ReplyBuf<'a> {
    buf: &'a mut Vec<u8>,
    from: usize,
    room: usize,
    /// The length the message would have without the limit.
    wanted: usize,
}

impl ReplyBuf<'_> {
    /// Appends bytes. Above the limit it takes none, and the whole message is refused in the end.
    #[inline]
    pub fn put(&mut self, bytes: &[u8]) {
        self.wanted = self.wanted.saturating_add(bytes.len());
        if self.wanted <= self.room {
            self.buf.extend_from_slice(bytes);
        }
    }
}

impl AsMut<[u8]> for ReplyBuf<'_> {
    #[inline]
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.buf[self.from..]
    }
}

impl io::Write for ReplyBuf<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.put(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Write for ReplyBuf<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.put(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_holds_and_earlier_messages_stay() {
        let mut reply = Reply::framed(5, Framing::Lines.encoder(100));
        reply.send(b"abc").unwrap();
        assert!(matches!(reply.send(b"def"), Err(ReplyError::Full { len: 3, limit: 5 })));
        let partly = reply.write(|out| {
            out.put(b"d");
            out.put(b"ef");
        });
        assert!(matches!(partly, Err(ReplyError::Full { len: 3, .. })));
        assert!(matches!(reply.send(b"\n"), Err(ReplyError::Frame(_))));
        reply.send(b"de").unwrap();
        let mut out = Vec::new();
        reply.drain_into(&mut out);
        assert_eq!(out, b"abc\nde\n");
        reply.reset(1, false);
        assert!(matches!(reply.send(b""), Err(ReplyError::NoReturnAddress)));
    }

    #[test]
    fn messages_keep_their_boundaries() {
        let mut reply = Reply::new(10);
        for message in ["a", "", "bc"] {
            reply.send(message.as_bytes()).unwrap();
        }
        assert_eq!(reply.messages().collect::<Vec<_>>(), [b"a".as_slice(), b"", b"bc"]);
        assert_eq!(reply.len(), 3);
    }
}
