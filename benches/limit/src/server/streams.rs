//! Connections: read what there is, answer it.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};

use anyhow::Context as _;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{MsgFlags, recv, send};

/// Bytes read at once, for all connections.
pub(super) const BUFFER: usize = 128 * 1024;

/// Events taken at once.
const EVENTS: usize = 256;

/// What stands for the listener, in place of a connection's descriptor.
const LISTENER: u64 = u64::MAX;

/// While nothing is left to be written, room to write is no news.
const READ: EpollFlags = EpollFlags::EPOLLIN.union(EpollFlags::EPOLLRDHUP).union(EpollFlags::EPOLLET);
const READ_AND_WRITE: EpollFlags = READ.union(EpollFlags::EPOLLOUT);

/// What is done with the bytes of one connection.
pub(super) trait Echo {
    /// Whether the connection has boundaries: a receive gives one message, of which each has a reply.
    const MESSAGES: bool = false;

    /// Puts what is left of earlier bytes at the front of `buffer`, where the next are to follow; how many these are.
    fn left(&self, buffer: &mut [u8]) -> usize {
        let _ = buffer;
        0
    }

    /// Receives into `buffer`; `None` is the end.
    fn receive(&mut self, socket: &OwnedFd, buffer: &mut [u8]) -> nix::Result<Option<usize>> {
        recv(socket.as_raw_fd(), buffer, MsgFlags::empty()).map(|len| (len > 0).then_some(len))
    }

    /// What is to be sent for `bytes`; `scratch` may hold it.
    fn answer<'a>(&mut self, bytes: &'a mut [u8], scratch: &'a mut Vec<u8>) -> nix::Result<&'a [u8]>;
}

/// The bytes themselves, in upper case.
pub(super) struct Plain;

impl Echo for Plain {
    fn answer<'a>(&mut self, bytes: &'a mut [u8], _: &'a mut Vec<u8>) -> nix::Result<&'a [u8]> {
        bytes.make_ascii_uppercase();
        Ok(bytes)
    }
}

struct Connection<E> {
    socket: OwnedFd,
    echo: E,
    /// What the client did not take as yet, at most [`BUFFER`]: until it does, nothing more is read.
    unsent: Vec<u8>,
}

/// Serves all connections that `accept` gives, until it fails, each with what `echo` makes.
pub(super) fn serve<E: Echo>(
    listener: &impl AsFd,
    accept: impl Fn() -> io::Result<OwnedFd>,
    echo: impl Fn() -> anyhow::Result<E>,
) -> anyhow::Result<()> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?;
    // By descriptor; the system bounds how many there are.
    let mut connections: Vec<Option<Connection<E>>> = Vec::new();
    let mut buffer = vec![0; BUFFER];
    let mut scratch = Vec::new();
    let mut events = [EpollEvent::empty(); EVENTS];
    loop {
        let count = match epoll.wait(&mut events, EpollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            count => count.context("wait")?,
        };
        for event in &events[..count] {
            if event.data() == LISTENER {
                match accept() {
                    Ok(socket) => {
                        let index = socket.as_raw_fd() as usize;
                        epoll.add(&socket, EpollEvent::new(interest::<E>(READ), index as u64))?;
                        connections.resize_with(connections.len().max(index + 1), || None);
                        connections[index] = Some(Connection { socket, echo: echo()?, unsent: Vec::new() });
                    }
                    Err(error)
                        if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionAborted) => {}
                    Err(error) => return Err(error).context("accept"),
                }
                continue;
            }
            let slot = &mut connections[event.data() as usize];
            let to_the_end = event.events().intersects(!(EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT));
            if let Some(connection) = slot
                && connection.serve(&epoll, &mut buffer, &mut scratch, to_the_end).is_err()
            {
                *slot = None;
            }
        }
    }
}

impl<E: Echo> Connection<E> {
    /// Answers what there is; an error ends the connection, and so does its end.
    fn serve(&mut self, epoll: &Epoll, buffer: &mut [u8], scratch: &mut Vec<u8>, to_the_end: bool) -> nix::Result<()> {
        if !self.unsent.is_empty() && !self.send_unsent(epoll)? {
            return Ok(());
        }
        loop {
            let left = self.echo.left(buffer);
            let len = match self.echo.receive(&self.socket, &mut buffer[left..]) {
                Err(Errno::EAGAIN) => return Ok(()),
                len => left + len?.ok_or(Errno::EPIPE)?,
            };
            let bytes = self.echo.answer(&mut buffer[..len], scratch)?;
            // Of a handshake, nothing may be due.
            let sent = if bytes.is_empty() { 0 } else { send_some(&self.socket, bytes)? };
            if sent < bytes.len() {
                self.unsent.extend_from_slice(&bytes[sent..]);
                return self.watch(epoll, READ_AND_WRITE);
            }
            // Less than asked for was all there was (epoll(7)): what comes later is a new event.
            if E::MESSAGES || len < buffer.len() && !to_the_end {
                return Ok(());
            }
        }
    }

    /// Whether all of it left.
    fn send_unsent(&mut self, epoll: &Epoll) -> nix::Result<bool> {
        let sent = send_some(&self.socket, &self.unsent)?;
        self.unsent.drain(..sent);
        if self.unsent.is_empty() {
            self.watch(epoll, READ)?;
        }
        Ok(self.unsent.is_empty())
    }

    fn watch(&self, epoll: &Epoll, flags: EpollFlags) -> nix::Result<()> {
        epoll.modify(&self.socket, &mut EpollEvent::new(interest::<E>(flags), self.socket.as_raw_fd() as u64))
    }
}

/// One message leaves others unread: the system is to tell of them again, but not while a reply waits.
fn interest<E: Echo>(flags: EpollFlags) -> EpollFlags {
    match E::MESSAGES {
        false => flags,
        true if flags.contains(EpollFlags::EPOLLOUT) => EpollFlags::EPOLLOUT,
        true => EpollFlags::EPOLLIN,
    }
}

fn send_some(socket: &OwnedFd, bytes: &[u8]) -> nix::Result<usize> {
    match send(socket.as_raw_fd(), bytes, MsgFlags::MSG_NOSIGNAL) {
        Err(Errno::EAGAIN) => Ok(0),
        sent => sent,
    }
}
