//! A stream of which too much was read.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use swapwire_core::{ByteStream, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream that gives some bytes before those of the wire: what a layer has read behind its handshake. From then on it costs
/// one branch for each read, and keeps no buffer.
pub struct Prefixed<S = Box<dyn ByteStream>> {
    prefix: Bytes,
    io: S,
}

impl<S: ByteStream> Prefixed<S> {
    /// `io`, whose first bytes are `prefix`.
    pub const fn new(prefix: Bytes, io: S) -> Self {
        Self { prefix, io }
    }
}

#[deny(clippy::missing_trait_methods)]
impl<S: ByteStream> AsyncRead for Prefixed<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.prefix.is_empty() {
            return Pin::new(&mut this.io).poll_read(cx, into);
        }
        let len = this.prefix.len().min(into.remaining());
        into.put_slice(&this.prefix.split_to(len));
        if this.prefix.is_empty() {
            this.prefix = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

#[deny(clippy::missing_trait_methods)]
impl<S: ByteStream> AsyncWrite for Prefixed<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write_vectored(cx, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

impl<S> std::fmt::Debug for Prefixed<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prefixed").field("prefix", &self.prefix.len()).finish_non_exhaustive()
    }
}
