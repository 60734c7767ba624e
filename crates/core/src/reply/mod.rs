//! Replies: where a handler puts its answers.
//!
//! A reply uses the framing of its messages and the error of its handler; it uses no wire.

pub mod server;

use std::fmt;
use std::io;

use crate::{FrameError, Framing};
use server::Replies;

/// One call's sink for none, one or many reply messages: a view of the server's buffer, which is valid as long as the call.
///
/// Nothing here waits: `send` appends to the buffer, framed in place, and the server writes it when the call returns,
/// together with the other replies of the same read.
///
/// A view shows nothing but what its own call replied. The limit, the framing, the replies of other calls and the server's
/// buffer are out of its reach. A handler that puts another `Reply` in the place of the one it was lent loses what its call
/// replied, and [the call fails](crate::server::Replaced); two calls cannot exchange theirs, as neither outlives its call.
///
/// Bound: at most [`Reply::limit`] bytes of messages per call, of which an empty one counts as one (1 MiB unless
/// configured; on wires whose senders may be forged, three times the request or 64 bytes, unless the handler declares that
/// it [amplifies](crate::HandlerProperties::amplifies)).
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
///
/// A handler cannot keep what it was lent for another call:
///
/// ```compile_fail
/// # use std::sync::Mutex;
/// # use swapwire_core::{Handler, HandlerError, Reply, Request};
/// # struct Hostile(Mutex<Reply<'static>>);
/// # impl Handler for Hostile {
/// async fn handle(&self, _: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
///     std::mem::swap(reply, &mut self.0.lock().unwrap());
///     Ok(())
/// }
/// # }
/// ```
pub struct Reply<'a> {
    buffer: Buffer<'a>,
}

enum Buffer<'a> {
    Own(Box<Replies>),
    Lent(&'a mut Replies),
}

debug_as_text!(ReplyError);

/// Why a reply was not taken. The call may go on and send something shorter.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum ReplyError {
    /// The replies of this call would exceed its limit.
    #[error("reply: {len} bytes more would exceed the limit of {limit} for one call")]
    Full {
        /// The length of the refused message, as far as it was written; with the end of its line where it gets one.
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

impl Reply<'static> {
    /// A reply of at most `limit` bytes, without framing, that belongs to no call: for tests of handlers, and for
    /// layers (see [`Reply::fork`]).
    pub fn new(limit: usize) -> Self {
        let mut replies = Replies::new(Framing::Chunks.encoder(usize::MAX));
        replies.begin(limit, true);
        Self::own(replies)
    }

    fn own(replies: Replies) -> Self {
        Self { buffer: Buffer::Own(Box::new(replies)) }
    }
}

impl<'a> Reply<'a> {
    /// A view of the call that was begun.
    #[inline(always)]
    pub(crate) fn lent(replies: &'a mut Replies) -> Self {
        Self { buffer: Buffer::Lent(replies) }
    }

    #[inline(always)]
    pub(crate) fn replies(&self) -> &Replies {
        match &self.buffer {
            Buffer::Own(replies) => replies,
            Buffer::Lent(replies) => replies,
        }
    }

    #[inline(always)]
    fn replies_mut(&mut self) -> &mut Replies {
        match &mut self.buffer {
            Buffer::Own(replies) => replies,
            Buffer::Lent(replies) => replies,
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
    /// The message was not taken; earlier ones stay, as they do if `f` panics.
    #[inline]
    pub fn write(&mut self, f: impl FnOnce(&mut ReplyBuf<'_>)) -> Result<(), ReplyError> {
        self.replies_mut().write(f)
    }

    /// Ends the session once these replies are sent. On a datagram socket it does nothing.
    pub fn close(&mut self) {
        self.replies_mut().close();
    }

    /// Takes back what this call replied so far, and [`close`](Self::close). (A codec of one's own has framed those messages
    /// all the same.)
    pub fn clear(&mut self) {
        self.replies_mut().discard();
    }

    /// The bound of this call, in bytes of messages.
    pub fn limit(&self) -> usize {
        self.replies().limit()
    }

    /// Whether the sender can be answered at all.
    pub fn is_answerable(&self) -> bool {
        self.replies().is_answerable()
    }

    /// How many messages it holds.
    pub fn len(&self) -> usize {
        self.replies().len()
    }

    /// Whether it holds no message.
    pub fn is_empty(&self) -> bool {
        self.replies().is_empty()
    }

    /// The messages, with the framing of the connection; those of a [new](Reply::new) or [forked](Self::fork) reply have
    /// none.
    pub fn messages(&self) -> impl Iterator<Item = &[u8]> {
        self.replies().messages()
    }

    /// Whether [`Reply::close`] was called.
    #[inline]
    pub fn closes(&self) -> bool {
        self.replies().closes()
    }

    /// An empty reply for a layer that looks at what a call replies before it is sent, on any wire: without framing,
    /// with the room that is left in this one. [`append`](Self::append) passes on what it holds. Allocates.
    ///
    /// ```
    /// use swapwire_core::{Handler, HandlerError, Reply, Request};
    ///
    /// /// Numbers the replies of each call.
    /// struct Numbered<H>(H);
    ///
    /// impl<H: Handler> Handler for Numbered<H> {
    ///     async fn handle(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
    ///         let mut inner = reply.fork();
    ///         self.0.handle(request, &mut inner).await?;
    ///         for (number, message) in inner.messages().enumerate() {
    ///             reply.send(&[number.to_string().as_bytes(), b" ", message].concat())?;
    ///         }
    ///         if inner.closes() {
    ///             reply.close();
    ///         }
    ///         Ok(())
    ///     }
    /// }
    /// # let handler = Numbered(swapwire_core::handler_fn(|_, reply| Ok(reply.send(b"hello")?)));
    /// # let (mut reply, local) = (Reply::new(100), swapwire_core::Addr::named("test", "here").unwrap());
    /// # let call = handler.handle(Request::new(b"", None, &local), &mut reply);
    /// # futures::FutureExt::now_or_never(call).unwrap().unwrap();
    /// # assert_eq!(reply.messages().collect::<Vec<_>>(), [b"0 hello"]);
    /// ```
    pub fn fork(&self) -> Reply<'static> {
        Reply::own(self.replies().fork())
    }

    /// Appends the messages of a [fork](Self::fork), and closes if it does.
    ///
    /// # Errors
    /// A message was not taken, as one that the framing cannot carry; those before it stay, and nothing behind it is taken.
    pub fn append(&mut self, fork: &Reply<'_>) -> Result<(), ReplyError> {
        fork.messages().try_for_each(|message| self.send(message))?;
        if fork.closes() {
            self.close();
        }
        Ok(())
    }
}

impl fmt::Debug for Reply<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Reply");
        debug.field("messages", &self.len()).field("limit", &self.limit()).field("closes", &self.closes());
        debug.finish_non_exhaustive()
    }
}

/// The message that is being written in place; see [`Reply::write`]. Also an [`io::Write`] and a [`fmt::Write`].
#[derive(Debug)]
pub struct ReplyBuf<'a> {
    pub(crate) buf: &'a mut Vec<u8>,
    pub(crate) from: usize,
    pub(crate) capacity: usize,
    /// The length the message would have without the limit, with the end of its line where it gets one.
    pub(crate) wanted: usize,
}

impl ReplyBuf<'_> {
    /// Appends bytes. Above the limit it takes none, and the whole message is refused in the end.
    #[inline]
    pub fn put(&mut self, bytes: &[u8]) {
        self.wanted = self.wanted.saturating_add(bytes.len());
        if self.wanted <= self.capacity {
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
    fn messages_keep_their_boundaries() {
        let mut reply = Reply::new(10);
        for message in ["a", "", "bc"] {
            reply.send(message.as_bytes()).unwrap();
        }
        assert_eq!(reply.messages().collect::<Vec<_>>(), [b"a".as_slice(), b"", b"bc"]);
        assert_eq!(reply.len(), 3);
    }

    #[test]
    fn a_fork_has_the_room_that_is_left_and_no_framing() {
        let mut replies = Replies::new(Framing::Lines.encoder(100));
        let mut call = replies.call(5, true);
        let reply = call.reply();
        reply.send(b"ab").unwrap();
        let mut fork = reply.fork();
        assert_eq!((fork.limit(), fork.is_answerable(), fork.len()), (3, true, 0));
        assert!(fork.send(b"long").is_err());
        fork.send(b"\n").unwrap();
        fork.close();
        assert!(matches!(reply.append(&fork), Err(ReplyError::Frame(_))));
        assert!(!reply.closes() && reply.len() == 1);
        fork.clear();
        assert!(!fork.closes() && fork.is_empty());
        fork.send(b"c").unwrap();
        fork.send(b"d").unwrap();
        fork.close();
        reply.append(&fork).unwrap();
        call.end(Ok(())).unwrap();
        assert!(replies.closes());
        assert_eq!(replies.messages().collect::<Vec<_>>(), [b"ab\n".as_slice(), b"c\n", b"d\n"]);
        assert!(matches!(replies.call(5, false).reply().fork().send(b""), Err(ReplyError::NoReturnAddress)));
    }
}
