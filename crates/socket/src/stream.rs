//! Stream sockets.

use std::fmt;
use std::io::{self, ErrorKind, IoSlice, Read as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};

use crate::pause::{Pauses, Way, may_pass};

/// After so many calls in a row that did not have to wait, a task lets others run; tokio's own sockets take as many.
const ROW: u8 = 128;

/// Whether a read that leaves room has emptied the socket, so that the next event tells of new bytes: so with epoll and
/// kqueue, edge-triggered (`epoll(7)`).
const EDGE_TRIGGERED: bool = cfg!(not(windows));

/// A connected stream socket of tokio's.
pub trait Registered: AsyncWrite + fmt::Debug + Send + Unpin + 'static {
    /// As `recv(2)`, whatever the reactor knows.
    ///
    /// # Errors
    /// The system's.
    fn recv(&self, into: &mut [u8]) -> io::Result<usize>;

    /// As [`tokio::net::TcpStream::try_io`].
    ///
    /// # Errors
    /// `WouldBlock` if the reactor knows of nothing; then `call` was not made. What `call` gives, otherwise; its `WouldBlock`
    /// tells the reactor to wait for news.
    fn try_io<R>(&self, interest: Interest, call: impl FnOnce() -> io::Result<R>) -> io::Result<R>;

    /// As [`tokio::net::TcpStream::try_write_vectored`].
    ///
    /// # Errors
    /// The system's.
    fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize>;

    /// As [`tokio::net::TcpStream::try_write`].
    ///
    /// # Errors
    /// The system's.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;

    /// As [`tokio::net::TcpStream::poll_read_ready`].
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// As [`tokio::net::TcpStream::poll_write_ready`].
    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// A connected stream socket that asks the system before it asks the reactor: reading what has arrived, and writing where
/// there is room, cost the system call and little else. tokio's own sockets first look after the task's budget and its
/// waker, at each call, which was measured at 60 instructions each.
///
/// Fairness is kept by a count of its own: after 128 calls in a row that did not have to wait, one says `Pending` and wakes
/// its task at once.
///
/// An error that may pass, because the system has no memory to spare, is waited out: the call is made again after 10 ms, for as
/// long as whoever waits has patience. So an error is the end of the connection. The runtime must have its timers enabled.
///
/// # Cancel safety
/// A call that is `Pending` has moved nothing.
#[derive(Debug)]
pub struct Stream<S> {
    io: S,
    row: u8,
    /// The last read left room: the reactor is to be asked first.
    drained: bool,
    pauses: Pauses,
}

impl<S: Registered> Stream<S> {
    /// Around a socket that does not block.
    pub const fn new(io: S) -> Self {
        Self { io, row: 0, drained: false, pauses: Pauses::new() }
    }

    /// Whether the task has had its share.
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
        write: impl Fn(&S) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        if self.is_due(cx) {
            return Poll::Pending;
        }
        loop {
            ready!(self.pauses.poll(Way::Write, cx));
            match write(&self.io) {
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
            let room = free.len();
            let mut read = None;
            let _ = this.io.try_io(Interest::READABLE, || {
                let result = read.insert(this.io.recv(free));
                // The reactor takes a short read for an empty socket, which spares the call that would find it so.
                match result {
                    Ok(len) if EDGE_TRIGGERED && 0 < *len && *len < room => Err(ErrorKind::WouldBlock.into()),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => Err(ErrorKind::WouldBlock.into()),
                    _ => Ok(()),
                }
            });
            match read {
                Some(Ok(len)) => {
                    this.drained = EDGE_TRIGGERED && 0 < len && len < room;
                    into.advance(len);
                    return Poll::Ready(Ok(()));
                }
                Some(Err(error)) if error.kind() != ErrorKind::WouldBlock => match may_pass(&error) {
                    true => this.pauses.begin(Way::Read),
                    false => return Poll::Ready(Err(error)),
                },
                // The reactor, or the system, knows of nothing.
                _ => this.drained = true,
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

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

macro_rules! registered {
    ($stream:ty) => {
        impl Registered for $stream {
            fn recv(&self, into: &mut [u8]) -> io::Result<usize> {
                (&*SockRef::from(self)).read(into)
            }

            fn try_io<R>(&self, interest: Interest, call: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
                <$stream>::try_io(self, interest, call)
            }

            fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
                <$stream>::try_write(self, bytes)
            }

            fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
                <$stream>::try_write_vectored(self, buffers)
            }

            fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                <$stream>::poll_read_ready(self, cx)
            }

            fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                <$stream>::poll_write_ready(self, cx)
            }
        }
    };
}

registered!(tokio::net::TcpStream);
#[cfg(unix)]
registered!(tokio::net::UnixStream);
