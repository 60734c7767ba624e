//! Sessions: one conversation with one peer.
//!
//! A session owns a wire, frames what goes over it and queues what is sent. It uses neither handlers nor replies.

mod calls;
mod config;
mod drain;
mod guard;
mod outbox;
mod read;
mod split;

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::{Sink, Stream};

pub(crate) use calls::{MessageFilter, Verdict};
pub use config::SessionConfig;
pub use drain::DrainToken;
pub use guard::{SessionFault, SessionGuard};
pub use split::{RawStream, SessionReader, SessionSender, SessionWriter};

pub(crate) use outbox::Inner;
use read::ReadState;

use crate::{Addr, ConnInfo, Link, Peer, RecvError, SendError, SessionId, TrySendError};

/// How far a session has come, for deadlines and statistics. Core reads no clock: to enforce a deadline, compare two of
/// these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Bytes received.
    pub received: u64,
    /// Messages received.
    pub messages: u64,
    /// Control messages received, of a wire with boundaries that tells
    /// ([`MessageStream::signs_of_life`](crate::MessageStream::signs_of_life)).
    pub signs: u64,
    /// Messages sent: of a wire with boundaries those that it took, of a byte stream those that were queued.
    pub messages_sent: u64,
    /// Bytes written to the wire.
    pub sent: u64,
    /// What is queued and not yet written, in bytes with overhead.
    pub unsent: usize,
    /// A frame has begun and not ended.
    pub partial: bool,
    /// What its buffers take in memory, in bytes: the queue, and what was received and not given out.
    pub memory: usize,
}

/// One conversation with one peer, on the server's or the client's side, over a byte stream with a
/// [`Framing`](crate::Framing) or over a wire with boundaries of its own.
///
/// # Contract
/// 1. Messages arrive and leave in order, whole.
/// 2. `Ok` from [`send`](Self::send) means queued within the bound, from [`flush`](Self::flush) given to the system.
///    Nothing here means that the peer has it.
/// 3. Nothing is spawned: queued messages are written while `recv`, `send`, `reserve`, `flush` or `shutdown` is being
///    awaited. After [`split`](Self::split), the writing half alone writes.
/// 4. A failed receive does not disturb sends, and the reverse.
/// 5. Dropping a client's session closes it at once: [`shutdown`](Self::shutdown) first, if what was sent matters. The
///    server flushes and closes gracefully after the handler returned.
///
/// # Bounds
/// One partial message of at most `max_message`, and a queue of at most `out_queue` plus one message for each concurrent
/// permit ([`SessionConfig`]). Buffers grow by doubling, and what is done with stays in them for a while: in memory, the
/// partial message with 8 KiB to read into takes up to four times that, the queue up to three times.
///
/// # Backpressure
/// A peer that does not read fills the queue; then `send` waits and `try_send` returns an error.
pub struct Session {
    pub(crate) owner: Arc<Owner>,
    pub(crate) read: ReadState,
}

/// Closes the wire when the last half of a session is dropped.
pub(crate) struct Owner(pub(crate) Arc<Inner>);

impl Drop for Owner {
    fn drop(&mut self) {
        if self.0.guarded.load(Relaxed) { self.0.close_queue() } else { self.0.abort() }
    }
}

impl Session {
    /// A session over `link`.
    pub fn new(link: Link, config: SessionConfig) -> Self {
        let read = ReadState::new(&link, &config);
        Self { owner: Arc::new(Owner(Arc::new(Inner::new(link, &config)))), read }
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.owner.0
    }

    /// The other end.
    pub fn peer(&self) -> &Peer {
        &self.inner().info.peer
    }

    /// What tells it from all other sessions of this process.
    pub fn id(&self) -> SessionId {
        let info = self.info();
        info.peer.session().unwrap_or_else(|| SessionId::between(Some(info.peer.addr()), &info.local))
    }

    /// This end.
    pub fn local(&self) -> &Addr {
        &self.inner().info.local
    }

    /// Both ends.
    pub fn info(&self) -> &ConnInfo {
        &self.inner().info
    }

    /// Declares that the peer's address is not forged, as it has proven for example by repeating a random number that was
    /// sent to it. On a wire whose senders may be forged, the limit of what it may be sent ends, and its session is no
    /// longer closed in favour of a new one. On other wires this does nothing.
    pub fn trust_peer(&self) {
        self.inner().trust_peer();
    }

    /// How far it has come.
    pub fn progress(&self) -> Progress {
        self.inner().progress()
    }

    /// Receives the next message; `None` is the end: the peer has ended its sending, or the server drains and no message
    /// is waiting (of a peer that never pauses, 1 MiB more is received). Writes what is queued meanwhile.
    ///
    /// # Errors
    /// See [`RecvError`]: after [`RecvError::TooLarge`] and [`RecvError::PeerNoise`] of a message wire the session goes
    /// on; after others the next call gives `None`. Sending is not affected.
    ///
    /// # Cancel safety
    /// Cancel safe: a partial message stays in the session.
    pub async fn recv(&mut self) -> Result<Option<Bytes>, RecvError> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, RecvError>> {
        let _ = self.owner.0.poll_write(cx);
        let received = self.read.poll_recv(&self.owner.0, cx);
        if self.owner.0.has_answers() {
            let _ = self.owner.0.poll_write(cx);
        }
        received
    }

    /// Waits until the queue has room and reserves it for one message.
    ///
    /// # Errors
    /// The session is closed, or an earlier message could not be sent.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is queued before [`Permit::send`].
    pub async fn reserve(&mut self) -> Result<Permit<'_>, SendError> {
        poll_fn(|cx| self.owner.0.poll_ready(cx)).await?;
        Ok(Permit { inner: &self.owner.0 })
    }

    /// Queues one message, waiting for room: [`reserve`](Self::reserve) and [`Permit::send`].
    ///
    /// # Errors
    /// See [`SendError`]; also the error of an earlier message, if no call has returned it.
    ///
    /// # Cancel safety
    /// If it is dropped before it is done, the message was not queued; it is never torn.
    pub async fn send(&mut self, message: impl AsRef<[u8]>) -> Result<(), SendError> {
        self.reserve().await?.send(message)
    }

    /// Queues one message if there is room.
    ///
    /// # Errors
    /// [`TrySendError::Full`] if there is none.
    pub fn try_send(&mut self, message: impl AsRef<[u8]>) -> Result<(), TrySendError> {
        if self.inner().try_push(message.as_ref())? { Ok(()) } else { Err(TrySendError::Full) }
    }

    /// Gives everything queued to the system.
    ///
    /// # Errors
    /// The connection is over, or an earlier message could not be sent.
    ///
    /// # Cancel safety
    /// Cancel safe: what was not yet written stays queued.
    pub async fn flush(&mut self) -> Result<(), SendError> {
        poll_fn(|cx| self.owner.0.poll_flush(cx)).await
    }

    /// Flushes and ends the sending half; receiving goes on. A wire without half-close just flushes.
    ///
    /// # Errors
    /// The connection is over, or an earlier message could not be sent.
    ///
    /// # Cancel safety
    /// Cancel safe: a second call continues.
    pub async fn shutdown(&mut self) -> Result<(), SendError> {
        poll_fn(|cx| self.owner.0.poll_shutdown(cx)).await
    }

    /// A sender that other tasks can keep to push messages; bounded by the session's queue.
    pub fn sender(&self) -> SessionSender {
        SessionSender::new(Arc::clone(self.inner()))
    }

    /// Two halves for two tasks. From then on the writing half alone writes.
    pub fn split(self) -> (SessionReader, SessionWriter) {
        (SessionReader::new(Arc::clone(&self.owner), self.read), SessionWriter::new(self.owner))
    }

    /// Waits until the server drains: finish what is begun and return. A client's session never drains.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub fn draining(&self) -> impl Future<Output = ()> + Send + 'static {
        let token = self.read.draining();
        async move {
            match token {
                Some(token) => token.begun().await,
                None => std::future::pending().await,
            }
        }
    }

    /// The raw byte stream, after what is queued was written; bytes that were received and not yet taken are read first. Its
    /// end is the caller's: where the wire [has a good-bye](crate::Capabilities::says_goodbye), shutting the stream down says
    /// it, and dropping it does not.
    ///
    /// # Errors
    /// The wire has boundaries ([`io::ErrorKind::Unsupported`]), or the queue could not be written.
    ///
    /// # Cancel safety
    /// Not cancel safe: dropping it closes the session.
    pub async fn into_byte_stream(mut self) -> io::Result<RawStream> {
        self.flush().await.map_err(io::Error::other)?;
        let Some(io) = self.inner().take_bytes() else {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "this wire has messages, not a byte stream"));
        };
        Ok(RawStream::new(io, self.read.take_ahead(), Arc::clone(self.inner())))
    }

    /// For servers: keeps the wire when the session is dropped, to flush and close it gracefully.
    pub fn guard(&self) -> SessionGuard {
        self.inner().guarded.store(true, Relaxed);
        SessionGuard::new(Arc::clone(self.inner()))
    }
}

impl Stream for Session {
    type Item = Result<Bytes, RecvError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_recv(cx).map(Result::transpose)
    }
}

impl<T: AsRef<[u8]>> Sink<T> for Session {
    type Error = SendError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.inner().poll_ready(cx)
    }

    fn start_send(self: Pin<&mut Self>, message: T) -> Result<(), SendError> {
        self.inner().push(message.as_ref())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.inner().poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.inner().poll_shutdown(cx)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({} -> {})", self.local(), self.peer())
    }
}

/// Room for one message in a session's queue.
#[must_use = "a permit that is not used gives its room back"]
pub struct Permit<'a> {
    pub(crate) inner: &'a Inner,
}

impl Permit<'_> {
    /// Queues one message. Does not wait and cannot be torn.
    ///
    /// # Errors
    /// The message is too large or cannot be framed, or the session was closed meanwhile.
    pub fn send(self, message: impl AsRef<[u8]>) -> Result<(), SendError> {
        self.inner.push(message.as_ref())
    }
}

impl fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Permit")
    }
}

#[cfg(test)]
mod batch_tests;
#[cfg(test)]
mod tests;
