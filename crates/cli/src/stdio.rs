//! The standard streams. A process that shares them may have made them non-blocking (`O_NONBLOCK` belongs to the open file,
//! not to a process: `open(2)`): reading and writing wait all the same, and nothing is cut.

use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::thread;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::mpsc;

/// What is read at once.
const PIECE: usize = 64 << 10;
/// No more than this can be written to a pipe that has room without waiting (`PIPE_BUF`, `pipe(7)`).
#[cfg(unix)]
const AT_ONCE: usize = 4096;

/// One of the two outputs, without a buffer: a write waits until there is room for some of it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Output {
    Stdout,
    Stderr,
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        system::write(*self, bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output {
    /// Whether `len` bytes can be written now without waiting, unless another process fills a pipe at this moment.
    pub(crate) fn has_room(self, len: usize) -> bool {
        system::has_room(self, len)
    }
}

/// The standard input, read by a thread of its own, which is at most two pieces ahead. A thread that waits for input does
/// not hold up the end of the process.
#[derive(Debug)]
pub(crate) struct Stdin {
    pieces: mpsc::Receiver<io::Result<Vec<u8>>>,
    piece: Vec<u8>,
    taken: usize,
}

impl Stdin {
    /// Begins to read.
    ///
    /// # Errors
    /// The thread could not be started.
    pub(crate) fn new() -> io::Result<Self> {
        let (to, pieces) = mpsc::channel(1);
        thread::Builder::new().name("input".to_owned()).spawn(move || {
            let mut buffer = vec![0; PIECE];
            loop {
                let read = system::read(&mut buffer);
                let last = !matches!(read, Ok(1..));
                let piece = read.map(|len| buffer[..len].to_vec());
                if to.blocking_send(piece).is_err() || last {
                    return;
                }
            }
        })?;
        Ok(Self { pieces, piece: Vec::new(), taken: 0 })
    }
}

impl AsyncRead for Stdin {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.taken == self.piece.len() {
            // The thread ends after an empty piece or an error: the end.
            let Some(piece) = ready!(self.pieces.poll_recv(cx)) else { return Poll::Ready(Ok(())) };
            (self.piece, self.taken) = (piece?, 0);
        }
        let rest = &self.piece[self.taken..];
        let len = rest.len().min(to.remaining());
        to.put_slice(&rest[..len]);
        self.taken += len;
        Poll::Ready(Ok(()))
    }
}

#[cfg(unix)]
mod system {
    use std::io;
    use std::os::fd::{AsFd, BorrowedFd};
    use std::thread::sleep;
    use std::time::Duration;

    use nix::errno::Errno;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    use super::{AT_ONCE, Output};

    pub(super) fn write(to: Output, bytes: &[u8]) -> io::Result<usize> {
        with(to, |fd| waiting(fd, PollFlags::POLLOUT, || nix::unistd::write(fd, bytes)))
    }

    pub(super) fn read(buffer: &mut [u8]) -> io::Result<usize> {
        let stdin = io::stdin();
        let fd = stdin.as_fd();
        waiting(fd, PollFlags::POLLIN, || nix::unistd::read(fd, buffer))
    }

    pub(super) fn has_room(to: Output, len: usize) -> bool {
        len <= AT_ONCE
            && with(to, |fd| {
                let mut polled = [PollFd::new(fd, PollFlags::POLLOUT)];
                poll(&mut polled, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
            })
    }

    fn with<T>(to: Output, act: impl FnOnce(BorrowedFd<'_>) -> T) -> T {
        match to {
            Output::Stdout => act(io::stdout().as_fd()),
            Output::Stderr => act(io::stderr().as_fd()),
        }
    }

    /// Repeats `act` until it need not wait.
    fn waiting(fd: BorrowedFd<'_>, what: PollFlags, mut act: impl FnMut() -> nix::Result<usize>) -> io::Result<usize> {
        loop {
            match act() {
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => {
                    let mut polled = [PollFd::new(fd, what)];
                    let ready = poll(&mut polled, PollTimeout::NONE);
                    let unknown = polled[0].revents().is_some_and(|got| got.contains(PollFlags::POLLNVAL));
                    if unknown || ready.is_err_and(|error| error != Errno::EINTR) {
                        // A system that cannot wait for this kind of file.
                        sleep(Duration::from_millis(10));
                    }
                }
                done => return done.map_err(io::Error::from),
            }
        }
    }
}

#[cfg(not(unix))]
mod system {
    use std::io::{self, Read as _, Write as _};

    use super::Output;

    pub(super) fn write(to: Output, bytes: &[u8]) -> io::Result<usize> {
        match to {
            Output::Stdout => io::stdout().write_all(bytes).and_then(|()| io::stdout().flush()),
            Output::Stderr => io::stderr().write_all(bytes),
        }
        .map(|()| bytes.len())
    }

    pub(super) fn read(buffer: &mut [u8]) -> io::Result<usize> {
        io::stdin().read(buffer)
    }

    pub(super) fn has_room(_: Output, _: usize) -> bool {
        false
    }
}
