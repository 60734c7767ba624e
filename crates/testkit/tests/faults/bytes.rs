//! A byte stream with one fault.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::task::noop_waker_ref;
use swapwire_core::ByteStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::Fault;

pub(crate) struct FaultyBytes {
    io: Option<Box<dyn ByteStream>>,
    fault: Fault,
    /// What was written and not passed on.
    held: Vec<u8>,
    read: usize,
    dead: bool,
    shut: bool,
}

impl FaultyBytes {
    pub(crate) fn new(io: Box<dyn ByteStream>, fault: Fault) -> Self {
        Self { io: Some(io), fault, held: Vec::new(), read: 0, dead: false, shut: false }
    }

    fn io(&mut self) -> Pin<&mut Box<dyn ByteStream>> {
        Pin::new(self.io.as_mut().expect("it is there until the drop"))
    }

    fn poll_pass_on(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            let held = std::mem::take(&mut self.held);
            let poll = self.io().poll_write(cx, &held);
            self.held = held;
            self.held.drain(..ready!(poll)?);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for FaultyBytes {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        const FLIPPED: usize = 500_000;
        let this = self.get_mut();
        if this.fault == Fault::EndsAtAShortRead && buf.remaining() < 8 {
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let mut deaf = Context::from_waker(noop_waker_ref());
        let cx = if this.fault == Fault::ForgetsToWake { &mut deaf } else { cx };
        ready!(this.io().poll_read(cx, buf))?;
        let new = &mut buf.filled_mut()[before..];
        if this.fault == Fault::EndsInAReset && this.shut && new.is_empty() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if this.fault == Fault::FlipsABit
            && let Some(byte) = FLIPPED.checked_sub(this.read).and_then(|index| new.get_mut(index))
        {
            *byte ^= 1;
        }
        this.read += new.len();
        this.dead |= this.fault == Fault::DiesOfBadInput && new.contains(&0xff);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for FaultyBytes {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match this.fault {
            Fault::Hoards => {
                this.held.extend_from_slice(bytes);
                Poll::Ready(Ok(bytes.len()))
            }
            _ if this.dead => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            // Always one write behind.
            Fault::LosesTheTail => {
                ready!(this.poll_pass_on(cx))?;
                this.held.extend_from_slice(bytes);
                Poll::Ready(Ok(bytes.len()))
            }
            Fault::SwallowsWritesToTheDead => {
                Poll::Ready(Ok(ready!(this.io().poll_write(cx, bytes)).unwrap_or(bytes.len())))
            }
            _ => this.io().poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_pass_on(cx))?;
        this.io().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.fault == Fault::ShutdownDoesNothing {
            return Poll::Ready(Ok(()));
        }
        this.shut = true;
        this.io().poll_shutdown(cx)
    }
}

impl Drop for FaultyBytes {
    fn drop(&mut self) {
        if self.fault == Fault::SurvivesItsDrop {
            std::mem::forget(self.io.take());
        }
    }
}
