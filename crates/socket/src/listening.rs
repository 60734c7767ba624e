//! Sockets that wait for connections.

use std::fmt;
use std::io;
#[cfg(unix)]
use std::os::fd::AsRawFd;

#[cfg(unix)]
use tokio::io::{Interest, unix::AsyncFd};
use tokio::net::{TcpListener, TcpStream};

/// A descriptor at which connections arrive, for a [`Listener`](swapwire_core::Listener): `W` is what a reactor watches.
///
/// It keeps two parts of that trait's contract. It joins the reactor of the runtime on which `accept` is first polled, which
/// need not be the one that bound it. And once the descriptor was shut down for reading, to refuse new connections, `accept`
/// gives those that wait and is then pending for good: tokio reports such a descriptor as ready for ever, and its own
/// `AsyncFd::async_io` does not come back from that.
///
/// `Listening<AsyncFd<S>>` is for any descriptor, as a socket or a named pipe. `Listening<TcpListener>` is for TCP: what
/// tokio's own listener accepts is known to be ready, so that the first read of a connection waits for no event.
///
/// # Cancel safety
/// `accept` is cancel safe: if it is dropped, no connection was taken.
///
/// # Panics
/// `accept` panics outside a tokio runtime that has its reactor enabled.
///
/// ```
/// # #[cfg(unix)] fn main() -> std::io::Result<()> {
/// use std::net::Shutdown;
/// use std::os::unix::net::{UnixListener, UnixStream};
///
/// use swapwire_socket::Listening;
/// use tokio::io::unix::AsyncFd;
///
/// # let path = std::env::temp_dir().join(format!("listening-{}", std::process::id()));
/// let socket = UnixListener::bind(&path)?; // no runtime is needed so far
/// socket.set_nonblocking(true)?;
/// let mut listening: Listening<AsyncFd<UnixListener>> = Listening::new(socket);
/// # tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(async {
/// let _client = UnixStream::connect(&path)?;
/// socket2::SockRef::from(listening.get_ref()).shutdown(Shutdown::Read)?; // `Listener::refuse_arrivals`
/// let (_stream, _peer) = listening.accept(UnixListener::accept).await?; // who waited
/// // Another `accept` would wait for ever.
/// # std::fs::remove_file(&path)
/// # })
/// # }
/// # #[cfg(not(unix))] fn main() {}
/// ```
pub struct Listening<W: Watch>(State<W>);

/// What a reactor watches, made of a socket that does not block.
pub trait Watch: Sized {
    /// The socket.
    type Socket;

    /// Joins the reactor of this runtime.
    ///
    /// # Errors
    /// The system's, with the socket: a later try may have more luck.
    fn watch(socket: Self::Socket) -> Result<Self, (Self::Socket, io::Error)>;
}

enum State<W: Watch> {
    Bound(W::Socket),
    Watched(W),
    /// Only while it changes.
    Changing,
}

impl<W: Watch> Listening<W> {
    /// Around a socket that does not block.
    pub const fn new(socket: W::Socket) -> Self {
        Self(State::Bound(socket))
    }

    fn watched(&mut self) -> io::Result<&W> {
        if let State::Bound(_) = self.0
            && let State::Bound(socket) = std::mem::replace(&mut self.0, State::Changing)
        {
            match W::watch(socket) {
                Ok(watched) => self.0 = State::Watched(watched),
                Err((socket, error)) => {
                    self.0 = State::Bound(socket);
                    return Err(error);
                }
            }
        }
        match &self.0 {
            State::Watched(watched) => Ok(watched),
            State::Bound(_) | State::Changing => unreachable!("it is watched by now"),
        }
    }
}

#[cfg(unix)]
impl<S: AsRawFd> Watch for AsyncFd<S> {
    type Socket = S;

    fn watch(socket: S) -> Result<Self, (S, io::Error)> {
        // Its successor is `unsafe`, for types that give away descriptors that they do not own.
        #[allow(deprecated, reason = "the safe constructor")]
        Self::try_with_interest(socket, Interest::READABLE).map_err(tokio::io::unix::AsyncFdTryNewError::into_parts)
    }
}

#[cfg(unix)]
impl<S: AsRawFd> Listening<AsyncFd<S>> {
    /// The descriptor.
    pub fn get_ref(&self) -> &S {
        match &self.0 {
            State::Bound(socket) => socket,
            State::Watched(socket) => socket.get_ref(),
            State::Changing => unreachable!("it does not change while it is borrowed"),
        }
    }

    /// The descriptor, which no reactor watches any more.
    pub fn into_inner(self) -> S {
        match self.0 {
            State::Bound(socket) => socket,
            State::Watched(socket) => socket.into_inner(),
            State::Changing => unreachable!("it does not change while it is borrowed"),
        }
    }

    /// Waits until `accept` gives something else than `WouldBlock`. For a descriptor that was shut down for reading, its
    /// `WouldBlock` or `InvalidInput` (`EINVAL`, `accept(2)`) means that nobody comes any more, and the wait has no end.
    ///
    /// # Errors
    /// What `accept` gives; the descriptor cannot be watched, or its runtime has ended.
    pub async fn accept<R>(&mut self, mut accept: impl FnMut(&S) -> io::Result<R>) -> io::Result<R> {
        use std::future::poll_fn;
        use std::io::ErrorKind::{InvalidInput, WouldBlock};
        use std::task::{Poll, ready};

        poll_fn(|cx| {
            let watched = self.watched()?;
            loop {
                let mut ready = ready!(watched.poll_read_ready(cx))?;
                // As of before the call: whoever came until then is found by it.
                let closed = ready.ready().is_read_closed();
                match accept(watched.get_ref()) {
                    Err(error) if closed && matches!(error.kind(), WouldBlock | InvalidInput) => return Poll::Pending,
                    Err(error) if error.kind() == WouldBlock => ready.clear_ready(),
                    done => return Poll::Ready(done),
                }
            }
        })
        .await
    }
}

impl Watch for TcpListener {
    type Socket = std::net::TcpListener;

    fn watch(socket: Self::Socket) -> Result<Self, (Self::Socket, io::Error)> {
        // A duplicate, because what cannot be registered is closed.
        match socket.try_clone().and_then(Self::from_std) {
            Ok(listener) => Ok(listener),
            Err(error) => Err((socket, error)),
        }
    }
}

impl Listening<TcpListener> {
    /// The socket, for its options.
    pub fn socket(&self) -> socket2::SockRef<'_> {
        match &self.0 {
            State::Bound(socket) => socket.into(),
            State::Watched(listener) => listener.into(),
            State::Changing => unreachable!("it does not change while it is borrowed"),
        }
    }

    /// Waits for a connection and takes it.
    ///
    /// # Errors
    /// The system's; the socket cannot be watched, or its runtime has ended.
    pub async fn accept(&mut self) -> io::Result<(TcpStream, std::net::SocketAddr)> {
        self.watched()?.accept().await
    }

    /// Another descriptor of the same socket.
    ///
    /// # Errors
    /// The system's; this one is watched already.
    pub fn try_clone(&self) -> io::Result<Self> {
        match &self.0 {
            State::Bound(socket) => socket.try_clone().map(Self::new),
            State::Watched(_) | State::Changing => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

impl<W: Watch<Socket: fmt::Debug> + fmt::Debug> fmt::Debug for Listening<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            State::Bound(socket) => f.debug_tuple("Listening").field(socket).finish(),
            State::Watched(watched) => f.debug_tuple("Listening").field(watched).finish(),
            State::Changing => f.write_str("Listening"),
        }
    }
}
