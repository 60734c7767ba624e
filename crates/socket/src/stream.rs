//! Stream sockets.

use std::fmt;
#[cfg(unix)]
use std::io::Write as _;
use std::io::{self, ErrorKind, IoSlice, Read as _};
use std::net::Shutdown;
#[cfg(unix)]
use std::os::fd::{AsFd, AsRawFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

#[cfg(unix)]
use crate::Descriptor;
use crate::pause::{Pauses, Way, may_pass};

/// After so many calls in a row that did not have to wait, a task yields to others; tokio's own sockets take as many.
const ROW: u8 = 128;

/// Whether a read that does not fill its buffer has emptied the socket, so that the next event tells of new bytes: so with
/// epoll and kqueue, edge-triggered (`epoll(7)`).
const EDGE_TRIGGERED: bool = cfg!(not(windows));

/// A connected stream socket, as the system and the reactor see it.
pub trait Registered: fmt::Debug + Send + Unpin + 'static {
    /// As `recv(2)`, if the reactor knows of something that arrived. A read that does not fill its buffer tells the reactor
    /// that nothing else waits.
    ///
    /// # Errors
    /// The system's and the reactor's. With `WouldBlock`, the reactor is to be waited for.
    fn try_recv(&mut self, into: &mut [u8]) -> io::Result<usize>;

    /// As `sendmsg(2)`, whatever the reactor has reported.
    ///
    /// # Errors
    /// The system's; its `WouldBlock` tells the reactor to wait for writability.
    fn try_write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize>;

    /// As `send(2)`.
    ///
    /// # Errors
    /// The same.
    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Ready when something may have arrived.
    ///
    /// # Errors
    /// The reactor's.
    fn poll_read_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Ready when it may be writable.
    ///
    /// # Errors
    /// The reactor's.
    fn poll_write_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// As `shutdown(2)` of the writing half.
    ///
    /// # Errors
    /// The system's.
    fn shutdown(&mut self) -> io::Result<()>;
}

/// A connected stream socket that asks the system before it asks the reactor: reading what has arrived, and writing where
/// the send buffer has space, cost the system call and little else. tokio's own sockets first look after the task's budget
/// and its waker, at each call, which was measured at 60 instructions each.
///
/// A count of its own keeps it fair: after 128 calls in a row that did not have to wait, a call returns `Pending` and wakes
/// its task at once.
///
/// An error that may pass, because the system has no memory to spare, is waited out: the call is made again after 10 ms,
/// for as long as the caller polls. So an error is the end of the connection. The runtime must have its timers enabled.
///
/// # Cancel safety
/// A call that is `Pending` has moved nothing.
#[derive(Debug)]
pub struct Stream<S> {
    io: S,
    row: u8,
    /// The last read did not fill its buffer: the reactor is to be asked first.
    drained: bool,
    pauses: Pauses,
}

impl<S: Registered> Stream<S> {
    /// Around a socket that does not block.
    pub const fn new(io: S) -> Self {
        Self { io, row: 0, drained: false, pauses: Pauses::new() }
    }

    /// Whether the task is to yield.
    #[inline(always)]
    fn is_due(&mut self, cx: &Context<'_>) -> bool {
        self.row += 1;
        let due = self.row > ROW;
        if due {
            self.row = 0;
            cx.waker().wake_by_ref();
        }
        due
    }

    fn poll_writing(
        &mut self,
        cx: &mut Context<'_>,
        write: impl Fn(&mut S) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        if self.is_due(cx) {
            return Poll::Pending;
        }
        loop {
            ready!(self.pauses.poll(Way::Write, cx));
            match write(&mut self.io) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.row = 0;
                    ready!(self.io.poll_write_ready(cx))?;
                }
                Err(error) if may_pass(&error) => self.pauses.begin(Way::Write),
                done => return Poll::Ready(done),
            }
        }
    }
}

impl<S: Registered> AsyncRead for Stream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.is_due(cx) {
            return Poll::Pending;
        }
        loop {
            ready!(this.pauses.poll(Way::Read, cx));
            if std::mem::take(&mut this.drained) {
                this.row = 0;
                ready!(this.io.poll_read_ready(cx))?;
            }
            let free = into.initialize_unfilled();
            let capacity = free.len();
            match this.io.try_recv(free) {
                Ok(len) => {
                    this.drained = EDGE_TRIGGERED && 0 < len && len < capacity;
                    into.advance(len);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => this.drained = true,
                Err(error) if may_pass(&error) => this.pauses.begin(Way::Read),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl<S: Registered> AsyncWrite for Stream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll_writing(cx, |io| io.try_write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_writing(cx, |io| io.try_write_vectored(buffers))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// There is no buffer of its own.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.get_mut().io.shutdown())
    }
}

impl Registered for TcpStream {
    fn try_recv(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut received = Err(ErrorKind::WouldBlock.into());
        let known = self.try_io(Interest::READABLE, || {
            received = (&*SockRef::from(&*self)).read(into);
            nothing_else_waits(&received, into.len())
        });
        received_or_known(received, known)
    }

    fn try_write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        Self::try_write_vectored(self, buffers)
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Self::try_write(self, bytes)
    }

    fn poll_read_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Self::poll_read_ready(self, cx)
    }

    fn poll_write_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Self::poll_write_ready(self, cx)
    }

    fn shutdown(&mut self) -> io::Result<()> {
        shut_down(&SockRef::from(&*self))
    }
}

#[cfg(unix)]
impl<S: AsFd + AsRawFd + fmt::Debug + Send + Unpin + 'static> Registered for Descriptor<S> {
    fn try_recv(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut received = Err(ErrorKind::WouldBlock.into());
        let known = self.try_read(|socket| {
            received = (&*SockRef::from(socket)).read(into);
            nothing_else_waits(&received, into.len())
        });
        received_or_known(received, known)
    }

    fn try_write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        Self::try_write(self, |socket| (&*SockRef::from(socket)).write_vectored(buffers))
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Self::try_write(self, |socket| (&*SockRef::from(socket)).write(bytes))
    }

    fn poll_read_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Self::poll_read_ready(self, cx)
    }

    fn poll_write_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Self::poll_write_ready(self, cx)
    }

    fn shutdown(&mut self) -> io::Result<()> {
        shut_down(&SockRef::from(self.get_ref()))
    }
}

/// `WouldBlock` where what was received says that the socket is empty.
fn nothing_else_waits(received: &io::Result<usize>, capacity: usize) -> io::Result<()> {
    match received {
        Ok(len) if EDGE_TRIGGERED && 0 < *len && *len < capacity => Err(ErrorKind::WouldBlock.into()),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Err(ErrorKind::WouldBlock.into()),
        _ => Ok(()),
    }
}

/// What was received; else what the reactor said, if that is not that it knows of nothing.
fn received_or_known(received: io::Result<usize>, known: io::Result<()>) -> io::Result<usize> {
    match (received, known) {
        (Err(nothing), Err(error)) if nothing.kind() == ErrorKind::WouldBlock => Err(error),
        (received, _) => received,
    }
}

fn shut_down(socket: &SockRef<'_>) -> io::Result<()> {
    match socket.shutdown(Shutdown::Write) {
        // The peer was faster.
        Err(error) if error.kind() == ErrorKind::NotConnected => Ok(()),
        done => done,
    }
}
