//! Connected wires: byte streams and message streams.

use std::fmt;
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{Addr, Peer, RecvError, SendError};

/// A connected, ordered wire without boundaries. Every `AsyncRead + AsyncWrite` is one.
///
/// # Contract
/// 1. What is written arrives in order, whole, or the connection dies (`testkit::laws::bulk`).
/// 2. `poll_shutdown` ends the writing half; the peer reads to the end and can still write (`half_close`).
/// 3. Reading returns 0 bytes only at the end (tokio's `AsyncRead`).
/// 4. Dropping it closes it and wakes the peer (`close_wakes_recv`, `close_wakes_send`); what was flushed arrives
///    (`close_flushes`).
/// 5. One task reads and one writes: each direction keeps one waker.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> ByteStream for T {}

/// A connected wire that keeps the boundaries of messages: a connected datagram socket, an in-memory queue, a WebSocket.
///
/// # Contract
/// 1. A message arrives whole or not at all; an empty message is a message (`boundaries`).
/// 2. A message that is too large is an error, and the wire goes on (`too_large`).
/// 3. A failed receive does not disturb sends, and the reverse (`errors_stay_apart`).
/// 4. `poll_recv` that returns `Pending` has taken nothing (`cancelled_recv`).
/// 5. Dropping it closes it; where the wire can tell the peer, it does (`close_wakes_recv`).
/// 6. One task receives and one sends: each direction keeps one waker.
pub trait MessageStream: Send + Unpin + 'static {
    /// Appends exactly one message to `into` and returns its length; `None` is the end.
    ///
    /// The implementation reserves the room it needs; it never reserves more than [`MessageStream::max_message`] on a
    /// peer's word.
    ///
    /// # Errors
    /// [`RecvError::TooLarge`] and [`RecvError::PeerNoise`] leave the wire usable; others end it. `into` is unchanged.
    fn poll_recv(&mut self, cx: &mut Context<'_>, into: &mut BytesMut) -> Poll<Result<Option<usize>, RecvError>>;

    /// Sends `message` whole, or returns `Pending` having sent nothing.
    ///
    /// # Errors
    /// [`SendError::TooLarge`], [`SendError::Congested`] and [`SendError::PeerNoise`] leave the wire usable.
    fn poll_send(&mut self, cx: &mut Context<'_>, message: &[u8]) -> Poll<Result<(), SendError>>;

    /// Gives everything that was sent to the system. Wires without a buffer of their own are always done.
    ///
    /// # Errors
    /// The connection is over.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        let _ = cx;
        Poll::Ready(Ok(()))
    }

    /// Ends the sending half, flushing first; where the wire has no end of its own (datagrams), does nothing.
    ///
    /// # Errors
    /// The connection is over.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.poll_flush(cx)
    }

    /// The largest message this wire carries, in bytes.
    fn max_message(&self) -> usize;
}

/// Who talks to whom over a link.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnInfo {
    /// The other end.
    pub peer: Peer,
    /// This end.
    pub local: Addr,
}

impl ConnInfo {
    /// A link between `local` and `peer`.
    pub const fn new(peer: Peer, local: Addr) -> Self {
        Self { peer, local }
    }
}

/// A connected wire with its addresses: what connecting and accepting give.
#[non_exhaustive]
pub enum Link {
    /// No boundaries.
    Bytes {
        /// The stream.
        io: Box<dyn ByteStream>,
        /// Its two ends.
        info: ConnInfo,
    },
    /// Boundaries.
    Messages {
        /// The wire.
        io: Box<dyn MessageStream>,
        /// Its two ends.
        info: ConnInfo,
    },
}

impl Link {
    /// A link over a byte stream. Boxes once.
    pub fn bytes(io: impl ByteStream, info: ConnInfo) -> Self {
        Self::Bytes { io: Box::new(io), info }
    }

    /// A link over a message stream. Boxes once.
    pub fn messages(io: impl MessageStream, info: ConnInfo) -> Self {
        Self::Messages { io: Box::new(io), info }
    }

    /// Its two ends.
    pub fn info(&self) -> &ConnInfo {
        match self {
            Self::Bytes { info, .. } | Self::Messages { info, .. } => info,
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shape = match self {
            Self::Bytes { .. } => "Bytes",
            Self::Messages { .. } => "Messages",
        };
        write!(f, "Link::{shape}({} -> {})", self.info().local, self.info().peer)
    }
}
