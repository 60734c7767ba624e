//! A byte stream with faults.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf as _, Bytes};
use swapwire_core::ByteStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::FaultKind;
use super::queue::Delayed;
use super::turn::{Fate, Turn, Way};
use super::wire::Wire;

/// Bytes on their way to the reader, at the most; besides what the wire itself holds.
const ON_THE_WAY: usize = 64 * 1024;
/// Bytes that are taken from the wire at once.
const READ: usize = 4096;

/// What the wire gave.
enum Arrival {
    Bytes(Bytes),
    End,
    Error(io::Error),
}

pub(super) struct FaultyBytes {
    /// `None` once it was reset.
    io: Option<Box<dyn ByteStream>>,
    reads: Turn,
    writes: Turn,
    /// Whoever waits, for a reset that the other direction meets.
    reader: Option<Waker>,
    writer: Option<Waker>,
    arriving: Delayed<Arrival>,
    has_ended: bool,
    was_cut: bool,
    delays: bool,
}

impl FaultyBytes {
    pub(super) fn new(io: Box<dyn ByteStream>, mut wire: Wire) -> Self {
        let writes = Turn::new(wire.fork(), Way::Out);
        let delays = !wire.faults().latency.end.is_zero();
        Self {
            io: Some(io),
            reads: Turn::new(wire, Way::In),
            writes,
            reader: None,
            writer: None,
            arriving: Delayed::new(ON_THE_WAY, false),
            has_ended: false,
            was_cut: false,
            delays,
        }
    }

    fn reset(&mut self) -> io::Error {
        self.io = None;
        self.arriving = Delayed::new(ON_THE_WAY, false);
        self.reads.wire.tell(FaultKind::Reset);
        [self.reader.take(), self.writer.take()].into_iter().flatten().for_each(Waker::wake);
        io::ErrorKind::ConnectionReset.into()
    }

    /// Takes from the wire what it has, as long as there is room for it on the way.
    fn fetch(&mut self, cx: &mut Context<'_>) {
        let Some(io) = &mut self.io else { return };
        while !self.has_ended && self.arriving.has_room() {
            let mut bytes = [0; READ];
            let mut into = ReadBuf::new(&mut bytes);
            let arrival = match Pin::new(&mut *io).poll_read(cx, &mut into) {
                Poll::Pending => return,
                Poll::Ready(Ok(())) if into.filled().is_empty() => Arrival::End,
                Poll::Ready(Ok(())) => Arrival::Bytes(Bytes::copy_from_slice(into.filled())),
                Poll::Ready(Err(error)) => Arrival::Error(error),
            };
            let len = if let Arrival::Bytes(bytes) = &arrival { bytes.len() } else { 0 };
            self.has_ended = !matches!(arrival, Arrival::Bytes(_));
            self.arriving.push(arrival, len, &mut self.reads.wire);
        }
    }

    /// Reads what was on its way and has arrived; at most `most` bytes.
    fn poll_arrived(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>, most: usize) -> Poll<io::Result<()>> {
        self.fetch(cx);
        match ready!(self.arriving.poll_pop(cx)) {
            Arrival::Bytes(mut bytes) => {
                let len = bytes.len().min(most);
                buf.put_slice(&bytes[..len]);
                bytes.advance(len);
                if !bytes.is_empty() {
                    let rest = bytes.len();
                    self.arriving.push_front(Arrival::Bytes(bytes), rest);
                }
                Poll::Ready(Ok(()))
            }
            Arrival::End => {
                self.arriving.push_front(Arrival::End, 0);
                Poll::Ready(Ok(()))
            }
            Arrival::Error(error) => {
                self.arriving.push_front(Arrival::End, 0);
                Poll::Ready(Err(error))
            }
        }
    }
}

fn keep(kept: &mut Option<Waker>, cx: &Context<'_>) {
    match kept {
        Some(kept) => kept.clone_from(cx.waker()),
        None => *kept = Some(cx.waker().clone()),
    }
}

/// Reads at most `most` bytes.
fn poll_some(
    io: &mut Box<dyn ByteStream>,
    cx: &mut Context<'_>,
    buf: &mut ReadBuf<'_>,
    most: usize,
) -> Poll<io::Result<()>> {
    if most >= buf.remaining() {
        return Pin::new(io).poll_read(cx, buf);
    }
    let mut bytes = [0; READ];
    let mut some = ReadBuf::new(&mut bytes[..most.min(READ)]);
    ready!(Pin::new(io).poll_read(cx, &mut some))?;
    buf.put_slice(some.filled());
    Poll::Ready(Ok(()))
}

impl AsyncRead for FaultyBytes {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        keep(&mut this.reader, cx);
        let next = ready!(this.reads.poll(cx));
        let Some(io) = &mut this.io else { return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())) };
        match next.fate {
            Fate::Resets => return Poll::Ready(Err(this.reset())),
            Fate::Ends => {
                // Its fate stays: it has ended.
                if !std::mem::replace(&mut this.was_cut, true) {
                    this.reads.wire.tell(FaultKind::EndedEarly);
                }
                return Poll::Ready(Ok(()));
            }
            Fate::Goes => {}
        }
        let most = next.most.min(buf.remaining());
        let before = buf.filled().len();
        if this.delays || !this.arriving.is_empty() {
            ready!(this.poll_arrived(cx, buf, most))?;
        } else {
            ready!(poll_some(io, cx, buf, most))?;
        }
        let len = buf.filled().len() - before;
        this.reads.wire.tell(if len == 0 { FaultKind::PeerEnded } else { FaultKind::Read(len) });
        this.reads.is_done();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for FaultyBytes {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        keep(&mut this.writer, cx);
        let next = ready!(this.writes.poll(cx));
        let Some(io) = &mut this.io else { return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())) };
        if next.fate == Fate::Resets {
            return Poll::Ready(Err(this.reset()));
        }
        let len = ready!(Pin::new(io).poll_write(cx, &bytes[..bytes.len().min(next.most)]))?;
        this.writes.wire.tell(FaultKind::Wrote(len));
        this.writes.is_done();
        Poll::Ready(Ok(len))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().io {
            Some(io) => Pin::new(io).poll_flush(cx),
            None => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().io {
            Some(io) => Pin::new(io).poll_shutdown(cx),
            None => Poll::Ready(Ok(())),
        }
    }
}
