//! Connected wires: byte streams and message streams.

use std::cell::Cell;
use std::fmt;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{Addr, Framing, Peer, RecvBatch, RecvError, RecvMeta, SendBatch, SendError};

/// The longest buffer that a thread keeps for [`MessageStream::poll_recv_batch`], in bytes.
const LARGEST_BUFFER: usize = 1 << 20;

thread_local! {
    static RECV_BUFFER: Cell<BytesMut> = Cell::default();
}

/// A connected, ordered wire without boundaries. Every `AsyncRead + AsyncWrite` is one.
///
/// # Contract
/// 1. What is written arrives in order, whole, or the connection breaks (`testkit::laws::bulk`).
/// 2. `poll_shutdown` ends the writing half; the peer reads to the end and can still write (`half_close`).
/// 3. Reading returns 0 bytes only at the end (tokio's `AsyncRead`). On a wire with a good-bye
///    ([`Capabilities::says_goodbye`](crate::Capabilities::says_goodbye)) that is the peer's good-bye, and an end of the wire
///    below without it is [`UnexpectedEof`](std::io::ErrorKind::UnexpectedEof) (`truncation`).
/// 4. Dropping it closes it and wakes the peer (`close_wakes_recv`, `close_wakes_send`); what was flushed arrives
///    (`close_flushes`). A server drops it without `poll_shutdown` once it has read to the end, but on a wire with a good-bye,
///    where `poll_shutdown` says it, and a drop without it does not: what was sent is then not known to be all (`goodbye`).
/// 5. One task reads and one writes: each direction keeps one waker. A layer whose reading has to write (an answer of its
///    protocol) tries to, keeps what the wire below does not take, within a bound, and does not let the reader's waker take
///    the writer's place.
/// 6. What `poll_write` took arrives without a `poll_flush`: a session that waits for an answer reads, and does not flush
///    (`ping_pong`). What a layer took and the wire below did not, its reading gives to it.
/// 7. An error is the end of the connection. One that may pass (`ENOBUFS`, `ENOMEM`, `EINTR`;
///    [`classify_stream`](crate::classify_stream) calls them retryable) is waited out behind a `Pending`.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> ByteStream for T {}

/// A connected wire that keeps the boundaries of messages: a connected datagram socket, an in-memory queue, a WebSocket.
///
/// # Contract
/// 1. A message arrives whole or not at all; an empty message is a message (`boundaries`).
/// 2. A message that is too large is an error, and the wire goes on (`too_large`).
/// 3. A failed receive does not disturb sends, and the reverse (`errors_stay_apart`).
/// 4. `poll_recv` that returns `Pending` has taken nothing (`cancelled_recv`).
/// 5. Dropping it closes it; the peer sees the end, where the wire has one (`close_wakes_recv`).
/// 6. One task receives and one sends: each direction keeps one waker.
/// 7. The calls for batches move the same messages in the same order as those for single ones, and both may be used in
///    turn (`batched_recv`, `batched_send`).
/// 8. A wire that puts messages together itself, from a byte stream below, tells what it has of one
///    ([`partial`](Self::partial)).
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

    /// Receives up to a batch of messages into the free slots of `batch`, in order, and returns how many: at least one;
    /// `None` is the end. It does not wait for more than one, and need not look for more than are
    /// [expected](RecvBatch::expect). Without a free slot it returns 0 and has taken nothing.
    ///
    /// Each slot holds one message, so [`RecvMeta::segment`] is `None`; [`RecvMeta::peer`] is `None` too, as there is but
    /// one. A message that is longer than the slot, or than [`MessageStream::max_message`], is marked
    /// [truncated](RecvMeta::truncated), and the slot holds of its beginning what the wire kept. One that just fills the
    /// slot is whole, so slots may be as small as the messages that are expected.
    ///
    /// The default receives one message by [`MessageStream::poll_recv`] and copies it; it does not allocate once it is
    /// warm, but for messages of more than 1 MiB.
    ///
    /// # Errors
    /// As of [`MessageStream::poll_recv`], but [`RecvError::TooLarge`], which is the mark. `batch` is unchanged: an error
    /// after some messages is kept for the next call.
    ///
    /// # Cancel safety
    /// `Pending` has taken nothing.
    fn poll_recv_batch(
        &mut self,
        cx: &mut Context<'_>,
        batch: &mut RecvBatch,
    ) -> Poll<Result<Option<usize>, RecvError>> {
        if batch.is_full() {
            return Poll::Ready(Ok(Some(0)));
        }
        let mut buffer = RECV_BUFFER.take();
        let received = self.poll_recv(cx, &mut buffer);
        let received = received.map(|received| match received {
            Ok(Some(_)) => {
                batch.push_message(None, &buffer);
                Ok(Some(1))
            }
            Err(RecvError::TooLarge { .. }) => {
                batch.push(RecvMeta { truncated: true, ..RecvMeta::new(None, 0) });
                Ok(Some(1))
            }
            other => other,
        });
        if buffer.capacity() <= LARGEST_BUFFER {
            buffer.clear();
            RECV_BUFFER.set(buffer);
        }
        received
    }

    /// Sends messages of `batch` in order, from index `from` on, and returns how many: at least one, or `Pending` having
    /// sent none. If there is none at `from`, it returns 0.
    ///
    /// [`SendEntry::to`](crate::SendEntry::to) and [`SendEntry::local`](crate::SendEntry::local) are not looked at: a
    /// connected wire has one peer. The peer's address of the link's [`ConnInfo`] is a fitting value.
    ///
    /// The default sends one message by [`MessageStream::poll_send`].
    ///
    /// # Errors
    /// As of [`MessageStream::poll_send`], about the message at `from` alone; an error after some messages is kept for the
    /// next call. Where the wire stays usable, the caller goes on from there, or behind it.
    ///
    /// # Cancel safety
    /// What was sent is what was returned.
    fn poll_send_batch(
        &mut self,
        cx: &mut Context<'_>,
        batch: &SendBatch,
        from: usize,
    ) -> Poll<Result<usize, SendError>> {
        let Some(entry) = batch.get(from) else { return Poll::Ready(Ok(0)) };
        ready!(self.poll_send(cx, entry.message))?;
        Poll::Ready(Ok(1))
    }

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

    /// How many datagrams the system has dropped that were meant for this wire, as
    /// [`DatagramSocket::drops`](crate::DatagramSocket::drops). The default is `None`.
    fn drops(&self) -> Option<u32> {
        None
    }

    /// What a message takes in memory that has begun to arrive and is not whole, in bytes; `None` if there is none, or if the
    /// wire cannot tell. A server asks when [`poll_recv`](Self::poll_recv) is not ready: `frame_timeout` bounds how long a
    /// message may take, and `memory_budget` counts what it takes. The default is `None`, which is right where the system
    /// or a queue gives messages whole; there a slow message is waited for as the next one is, by `idle_timeout`.
    fn partial(&self) -> Option<usize> {
        None
    }

    /// How many control messages of the wire's own have arrived, as the pings of a WebSocket, which are no messages. A server asks
    /// when receiving is not ready: where it is another number than before, the peer is there, and `idle_timeout` begins anew.
    /// It bounds nothing else: a wire that answers them does so within a bound of its own. The default is 0.
    fn signs_of_life(&self) -> u64 {
        0
    }

    /// How many bytes of messages the peer may be sent now, where that is bounded because its address may be forged; an empty
    /// message counts as one. The default is `None`: it is not bounded.
    fn allowance(&self) -> Option<usize> {
        None
    }

    /// Messages were not sent for want of an [allowance](Self::allowance): how many, and the length of the last one. The
    /// default does nothing.
    fn note_withheld(&mut self, count: u64, len: usize) {
        let _ = (count, len);
    }

    /// The peer's address is not forged: see [`Session::trust_peer`](crate::Session::trust_peer). The default does nothing.
    fn trust_peer(&mut self) {}
}

/// The two ends of a link.
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
    /// Boundaries, by the frames of a protocol on a byte stream: a WebSocket. A server reads and writes it as it does a byte
    /// stream with a framing, many messages at once; the framing that is configured for byte streams is not used. Its
    /// shape is [`MessageStream`](crate::Shape::MessageStream).
    Framed {
        /// The stream. Shutting it down comes behind the good-bye of the framing.
        io: Box<dyn ByteStream>,
        /// How the wire's messages lie in it.
        framing: Framing,
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

    /// A link whose messages are frames of a byte stream.
    pub fn framed(io: Box<dyn ByteStream>, framing: Framing, info: ConnInfo) -> Self {
        Self::Framed { io, framing, info }
    }

    /// Its two ends.
    pub fn info(&self) -> &ConnInfo {
        match self {
            Self::Bytes { info, .. } | Self::Messages { info, .. } | Self::Framed { info, .. } => info,
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shape = match self {
            Self::Bytes { .. } => "Bytes",
            Self::Messages { .. } => "Messages",
            Self::Framed { .. } => "Framed",
        };
        write!(f, "Link::{shape}({} -> {})", self.info().local, self.info().peer)
    }
}
