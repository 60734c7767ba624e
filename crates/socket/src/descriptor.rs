//! Sockets that the reactor watches for what arrives.

use std::fmt;
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// After so many writes in a row that did not have to wait, the reactor no longer watches for writability.
const ENOUGH: u16 = 1024;

/// A socket that does not block. It joins the reactor of the runtime on which it is first read from or waited for, and is
/// watched for readability; for writability as well from when a write had to wait until 1,024 in a row had not.
///
/// tokio's own sockets are watched for both from the start. On Linux a socket of UDP or of a Unix domain reports
/// writability each time that something it sent has been taken (`sock_def_write_space`, `unix_write_space`): a server with
/// one request under way at a time would be woken once more for each reply, for nothing.
///
/// # Cancel safety
/// A call that is `Pending` has done nothing.
///
/// # Panics
/// Reading and waiting panic outside a tokio runtime that has its reactor enabled.
pub struct Descriptor<S: AsRawFd> {
    state: State<S>,
    /// The task that waits for what arrives: a registration that is made anew forgets it.
    reader: Option<Waker>,
}

enum State<S: AsRawFd> {
    Unregistered(S),
    Registered {
        socket: AsyncFd<S>,
        /// How many more writes must not wait before writability is no longer watched for. 0: it is not.
        watched: u16,
    },
    /// Only while it changes.
    Changing,
}

impl<S: AsRawFd> Descriptor<S> {
    /// Around a socket that does not block.
    pub const fn new(socket: S) -> Self {
        Self { state: State::Unregistered(socket), reader: None }
    }

    /// The socket.
    pub fn get_ref(&self) -> &S {
        match &self.state {
            State::Unregistered(socket) => socket,
            State::Registered { socket, .. } => socket.get_ref(),
            State::Changing => unreachable!("it does not change while it is borrowed"),
        }
    }

    /// The socket, which no reactor watches any more.
    pub fn into_inner(self) -> S {
        match self.state {
            State::Unregistered(socket) => socket,
            State::Registered { socket, .. } => socket.into_inner(),
            State::Changing => unreachable!("it does not change while it is borrowed"),
        }
    }

    /// Calls `read` if the reactor has reported readiness.
    ///
    /// # Errors
    /// `WouldBlock` if the reactor knows of nothing; then `read` was not called. What `read` gives, otherwise; its
    /// `WouldBlock` tells the reactor to wait for news. What the system says where the socket cannot be registered.
    #[inline]
    pub fn try_read<R>(&mut self, read: impl FnOnce(&S) -> io::Result<R>) -> io::Result<R> {
        self.registered()?.try_io(Interest::READABLE, read)
    }

    /// Ready when something may have arrived.
    ///
    /// # Errors
    /// The socket cannot be registered, or its runtime has ended.
    #[inline]
    pub fn poll_read_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Poll::Ready(ready) = self.registered()?.poll_read_ready(cx) {
            return Poll::Ready(ready.map(drop));
        }
        if !self.reader.as_ref().is_some_and(|reader| reader.will_wake(cx.waker())) {
            self.reader = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Calls `write`.
    ///
    /// # Errors
    /// What `write` gives. With its `WouldBlock`, [`Self::poll_write_ready`] waits for writability.
    #[inline]
    pub fn try_write<R>(&mut self, write: impl FnOnce(&S) -> io::Result<R>) -> io::Result<R> {
        match &mut self.state {
            State::Registered { socket, watched } if *watched > 0 => {
                let written = socket.try_io(Interest::WRITABLE, write);
                *watched = if written.is_ok() { *watched - 1 } else { ENOUGH };
                if *watched == 0 {
                    // What was written is written: if it cannot be registered, the next wait gives the error.
                    let _ = self.watch(Interest::READABLE);
                }
                written
            }
            _ => write(self.get_ref()),
        }
    }

    /// Ready when it may be writable again, after [`Self::try_write`] said `WouldBlock`.
    ///
    /// # Errors
    /// The socket cannot be registered, or its runtime has ended.
    pub fn poll_write_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !matches!(self.state, State::Registered { watched: 1.., .. }) {
            self.watch(Interest::READABLE | Interest::WRITABLE)?;
        }
        match &self.state {
            State::Registered { socket, .. } => Poll::Ready(ready!(socket.poll_write_ready(cx)).map(drop)),
            _ => Poll::Ready(Err(ErrorKind::NotConnected.into())),
        }
    }

    #[inline]
    fn registered(&mut self) -> io::Result<&AsyncFd<S>> {
        if !matches!(self.state, State::Registered { .. }) {
            self.watch(Interest::READABLE)?;
        }
        match &self.state {
            State::Registered { socket, .. } => Ok(socket),
            _ => Err(ErrorKind::NotConnected.into()),
        }
    }

    /// Registers it, anew where it was. What is ready is reported again (`epoll_ctl(2)`, `EPOLL_CTL_ADD`).
    #[cold]
    fn watch(&mut self, interest: Interest) -> io::Result<()> {
        let socket = match std::mem::replace(&mut self.state, State::Changing) {
            State::Registered { socket, .. } => socket.into_inner(),
            State::Unregistered(socket) => socket,
            State::Changing => unreachable!("it does not change while it is borrowed"),
        };
        let watched = if interest.is_writable() { ENOUGH } else { 0 };
        // Its successor is `unsafe`, for types that give away descriptors that they do not own.
        #[allow(deprecated, reason = "the safe constructor")]
        let (state, registered) = match AsyncFd::try_with_interest(socket, interest) {
            Ok(socket) => (State::Registered { socket, watched }, Ok(())),
            Err(error) => {
                let (socket, error) = error.into_parts();
                (State::Unregistered(socket), Err(error))
            }
        };
        self.state = state;
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        registered
    }
}

impl<S: AsRawFd + fmt::Debug> fmt::Debug for Descriptor<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Descriptor").field(self.get_ref()).finish()
    }
}
