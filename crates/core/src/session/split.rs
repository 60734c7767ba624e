//! The parts a session can be taken into.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::outbox::Inner;
use super::{Owner, ReadState};
use crate::{ByteStream, ConnInfo, Permit, Progress, RecvError, SendError, TrySendError};

/// The receiving half of a session. It does not write: that is the [`SessionWriter`]'s part, but for what the protocol of the
/// wire has to answer while the other half waits for nothing, as a ping.
pub struct SessionReader {
    owner: Arc<Owner>,
    read: ReadState,
}

impl SessionReader {
    pub(crate) fn new(owner: Arc<Owner>, read: ReadState) -> Self {
        Self { owner, read }
    }

    /// As [`Session::recv`](crate::Session::recv), without writing.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn recv(&mut self) -> Result<Option<Bytes>, RecvError> {
        poll_fn(|cx| {
            let received = self.read.poll_recv(&self.owner.0, cx);
            if self.owner.0.has_answers() {
                self.owner.0.write_answers(cx);
            }
            received
        })
        .await
    }

    /// Both ends.
    pub fn info(&self) -> &ConnInfo {
        &self.owner.0.info
    }
}

/// The sending half of a session. Its calls, and only they, write what is queued.
pub struct SessionWriter {
    owner: Arc<Owner>,
}

impl SessionWriter {
    pub(crate) fn new(owner: Arc<Owner>) -> Self {
        Self { owner }
    }

    /// As [`Session::reserve`](crate::Session::reserve).
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn reserve(&mut self) -> Result<Permit<'_>, SendError> {
        poll_fn(|cx| self.owner.0.poll_ready(cx)).await?;
        Ok(Permit { inner: &self.owner.0 })
    }

    /// As [`Session::send`](crate::Session::send).
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// If it is dropped before it is done, the message was not queued.
    pub async fn send(&mut self, message: impl AsRef<[u8]>) -> Result<(), SendError> {
        self.reserve().await?.send(message.as_ref())
    }

    /// Gives everything queued to the system.
    ///
    /// # Errors
    /// The connection is over, or an earlier message could not be sent.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn flush(&mut self) -> Result<(), SendError> {
        poll_fn(|cx| self.owner.0.poll_flush(cx)).await
    }

    /// Writes whatever [`SessionSender`]s queue, until the session closes. For a task that does nothing else.
    ///
    /// # Errors
    /// The connection is over, or a message could not be sent.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn drive(&mut self) -> Result<(), SendError> {
        poll_fn(|cx| {
            ready!(self.owner.0.poll_flush(cx))?;
            if self.owner.0.is_closed() { Poll::Ready(Ok(())) } else { Poll::Pending }
        })
        .await
    }

    /// Flushes and ends the sending half.
    ///
    /// # Errors
    /// The connection is over, or an earlier message could not be sent.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn shutdown(&mut self) -> Result<(), SendError> {
        poll_fn(|cx| self.owner.0.poll_shutdown(cx)).await
    }

    /// A sender for other tasks.
    pub fn sender(&self) -> SessionSender {
        SessionSender::new(Arc::clone(&self.owner.0))
    }
}

/// Pushes messages into a session's bounded queue from anywhere; the session's owner writes them. Cheap to clone.
/// Holding one does not keep the session open.
#[derive(Clone)]
pub struct SessionSender {
    inner: Arc<Inner>,
}

impl SessionSender {
    pub(crate) fn new(inner: Arc<Inner>) -> Self {
        Self { inner }
    }

    /// Queues one message if there is room.
    ///
    /// # Errors
    /// [`TrySendError::Full`] if there is none; the peer is slow: drop the message or the peer.
    pub fn try_send(&self, message: impl AsRef<[u8]>) -> Result<(), TrySendError> {
        if self.inner.try_push(message.as_ref())? { Ok(()) } else { Err(TrySendError::Full) }
    }

    /// Queues one message, waiting for room.
    ///
    /// # Errors
    /// The session is closed, or the message cannot be sent.
    ///
    /// # Cancel safety
    /// If it is dropped before it is done, the message was not queued.
    pub async fn send(&self, message: impl AsRef<[u8]>) -> Result<(), SendError> {
        let message = message.as_ref();
        loop {
            let mut writable = std::pin::pin!(self.inner.writable.notified());
            writable.as_mut().enable();
            if self.inner.try_push(message)? {
                return Ok(());
            }
            writable.await;
        }
    }

    /// How far the session has come.
    pub fn progress(&self) -> Progress {
        self.inner.progress()
    }

    /// Whether the session takes no more messages.
    pub fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }

    /// Both ends.
    pub fn info(&self) -> &ConnInfo {
        &self.inner.info
    }
}

/// A session's raw byte stream; what the session had received and not yet given out is read first.
pub struct RawStream {
    io: Box<dyn ByteStream>,
    ahead: BytesMut,
    inner: Arc<Inner>,
}

impl RawStream {
    pub(crate) fn new(io: Box<dyn ByteStream>, ahead: BytesMut, inner: Arc<Inner>) -> Self {
        Self { io, ahead, inner }
    }

    /// Both ends.
    pub fn info(&self) -> &ConnInfo {
        &self.inner.info
    }

    fn wrote(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(len)) = result {
            self.inner.counters.sent.fetch_add(len as u64, Relaxed);
        }
        result
    }
}

impl AsyncRead for RawStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            let before = buf.filled().len();
            ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
            self.inner.counters.received.fetch_add((buf.filled().len() - before) as u64, Relaxed);
        } else {
            let len = self.ahead.len().min(buf.remaining());
            buf.put_slice(&self.ahead[..len]);
            self.ahead.advance(len);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for RawStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.wrote(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.io).poll_write_vectored(cx, bytes);
        self.wrote(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

macro_rules! debug_by_info {
    ($($name:ident)*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let info = self.info();
                write!(f, "{}({} -> {})", stringify!($name), info.local, info.peer)
            }
        }
    )*};
}

debug_by_info!(SessionReader SessionSender RawStream);

impl fmt::Debug for SessionWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionWriter({})", self.owner.0.info.peer)
    }
}
