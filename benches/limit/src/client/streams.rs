//! Byte streams: replies come in order, in pieces of any size.

use std::os::fd::{AsRawFd as _, OwnedFd};

use anyhow::{Context as _, bail, ensure};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::socket::{MsgFlags, recv, send};

use super::{Load, Meter, Report, WAIT_MS};
use crate::message::{self, Number};

/// Bytes read at once, for all connections.
const BUFFER: usize = 128 * 1024;

/// While nothing is left to be written, room to write is no news.
const READ: EpollFlags = EpollFlags::EPOLLIN.union(EpollFlags::EPOLLRDHUP).union(EpollFlags::EPOLLET);
const READ_AND_WRITE: EpollFlags = READ.union(EpollFlags::EPOLLOUT);

pub(super) struct Streams {
    epoll: Epoll,
    connections: Vec<Connection>,
    pipeline: usize,
    size: usize,
    read: Vec<u8>,
    /// As many requests as may be under way on a connection.
    requests: Vec<u8>,
    /// One reply.
    reply: Vec<u8>,
}

struct Connection {
    socket: OwnedFd,
    number: u32,
    /// The first request that is not wholly written, how much of it is, and how many there are from it on.
    sent: u32,
    written: usize,
    owed: usize,
    /// Whether the rest waits for room.
    blocked: bool,
    /// The reply that comes next, and how much of it has come.
    answered: u32,
    read: usize,
    /// By the number of the message, modulo the pipeline: when it was due, which is when the one before was answered.
    due: Vec<u64>,
}

impl Streams {
    pub(super) fn new(sockets: Vec<OwnedFd>, load: Load) -> anyhow::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let mut connections = Vec::with_capacity(sockets.len());
        for (index, socket) in sockets.into_iter().enumerate() {
            epoll.add(&socket, EpollEvent::new(READ, index as u64))?;
            let number = u32::try_from(index)?;
            let due = vec![0; load.pipeline];
            let connection =
                Connection { socket, number, sent: 0, written: 0, owed: 0, blocked: false, answered: 0, read: 0, due };
            connections.push(connection);
        }
        let request = message::request(load.size);
        Ok(Self {
            epoll,
            connections,
            pipeline: load.pipeline,
            size: load.size,
            read: vec![0; BUFFER],
            requests: request.repeat(load.pipeline),
            reply: request.to_ascii_uppercase(),
        })
    }

    pub(super) fn run(mut self, mut meter: Meter) -> anyhow::Result<Report> {
        for index in 0..self.connections.len() {
            self.connections[index].owed = self.pipeline;
            self.write(index)?;
        }
        let mut events = vec![EpollEvent::empty(); self.connections.len()];
        loop {
            let count = match self.epoll.wait(&mut events, WAIT_MS) {
                Err(Errno::EINTR) => 0,
                count => count.context("wait")?,
            };
            meter.wake();
            for event in &events[..count] {
                let index = event.data() as usize;
                self.receive(index, &mut meter)?;
                ensure!(
                    !event.events().contains(EpollFlags::EPOLLRDHUP),
                    "receive: the server has closed the connection"
                );
                if self.connections[index].owed > 0 {
                    self.write(index)?;
                }
            }
            if meter.over() {
                return meter.report();
            }
        }
    }

    fn receive(&mut self, index: usize, meter: &mut Meter) -> anyhow::Result<()> {
        let connection = &mut self.connections[index];
        loop {
            let len = match recv(connection.socket.as_raw_fd(), &mut self.read, MsgFlags::empty()) {
                Ok(0) => bail!("receive: the server has closed the connection"),
                Err(Errno::EAGAIN) => return Ok(()),
                len => len.context("receive")?,
            };
            let mut rest = &self.read[..len];
            while !rest.is_empty() {
                Number { connection: connection.number, message: connection.answered }.write(&mut self.reply);
                let expected = &self.reply[connection.read..];
                let (piece, after) = rest.split_at(expected.len().min(rest.len()));
                ensure!(piece == &expected[..piece.len()], "receive: a wrong reply");
                connection.read += piece.len();
                let asked = connection.answered != connection.sent || connection.read <= connection.written;
                ensure!(asked, "receive: a reply to nothing");
                rest = after;
                if connection.read == self.size {
                    let due = &mut connection.due[connection.answered as usize % self.pipeline];
                    meter.answered(std::mem::replace(due, meter.now));
                    connection.answered = connection.answered.wrapping_add(1);
                    connection.read = 0;
                    connection.owed += 1;
                }
            }
            // Less than asked for was all there was (epoll(7)): what comes later is a new event.
            if len < self.read.len() {
                return Ok(());
            }
        }
    }

    fn write(&mut self, index: usize) -> anyhow::Result<()> {
        let connection = &mut self.connections[index];
        for (request, message) in self.requests.chunks_exact_mut(self.size).take(connection.owed).zip(connection.sent..)
        {
            Number { connection: connection.number, message }.write(request);
        }
        let bytes = &self.requests[connection.written..connection.owed * self.size];
        let len = match send(connection.socket.as_raw_fd(), bytes, MsgFlags::MSG_NOSIGNAL) {
            Err(Errno::EAGAIN) => 0,
            len => len.context("send")?,
        };
        let done = connection.written + len;
        connection.sent = connection.sent.wrapping_add((done / self.size) as u32);
        connection.owed -= done / self.size;
        connection.written = done % self.size;
        if connection.blocked != (connection.owed > 0) {
            connection.blocked = !connection.blocked;
            let interest = if connection.blocked { READ_AND_WRITE } else { READ };
            self.epoll.modify(&connection.socket, &mut EpollEvent::new(interest, index as u64))?;
        }
        Ok(())
    }
}
