//! A byte stream that moves few bytes at a time.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::payload::splitmix;

/// A byte stream that moves between 1 and 7 bytes per call and is often not ready at first, as a seed decides: what is
/// cut into messages above it must not depend on how the bytes arrive.
#[derive(Debug)]
pub struct Sliced<S> {
    io: S,
    reads: Side,
    writes: Side,
}

#[derive(Debug)]
struct Side {
    state: u64,
    waited: bool,
}

impl Side {
    /// How many bytes this call may move, or that it is not ready and was woken.
    fn poll_allowance(&mut self, cx: &mut Context<'_>) -> Poll<usize> {
        let mut next = self.state;
        let random = splitmix(&mut next);
        if random.is_multiple_of(4) && !self.waited {
            self.waited = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(1 + (random >> 8) as usize % 7)
    }

    fn moved(&mut self) {
        splitmix(&mut self.state);
        self.waited = false;
    }
}

impl<S> Sliced<S> {
    /// Slices `io` as `seed` decides.
    pub const fn new(io: S, seed: u64) -> Self {
        let reads = Side { state: seed, waited: false };
        Self { io, reads, writes: Side { state: !seed, waited: false } }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Sliced<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let allowed = ready!(this.reads.poll_allowance(cx)).min(buf.remaining());
        let mut bytes = [0; 7];
        let mut slice = ReadBuf::new(&mut bytes[..allowed]);
        ready!(Pin::new(&mut this.io).poll_read(cx, &mut slice))?;
        buf.put_slice(slice.filled());
        this.reads.moved();
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Sliced<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let allowed = ready!(this.writes.poll_allowance(cx)).min(bytes.len());
        let len = ready!(Pin::new(&mut this.io).poll_write(cx, &bytes[..allowed]))?;
        this.writes.moved();
        Poll::Ready(Ok(len))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}
