//! Datagrams: each is whole, and may be lost, late or out of order.

use std::collections::VecDeque;
use std::os::fd::{AsRawFd as _, OwnedFd};

use anyhow::{Context as _, ensure};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::socket::{MsgFlags, recv, send};

use super::{Load, Meter, Report, WAIT_MS};
use crate::message::{self, Number};
use crate::mmsg::{Batch, Trains};

/// Datagrams per system call, at most.
const BATCH: usize = 64;

/// A request without a reply for so long is sent again.
const PATIENCE_NS: u64 = 200_000_000;

/// How soon a full queue of the server is tried again if no reply shows before that it has room.
const RETRY_MS: u8 = 1;

pub(super) struct Datagrams {
    epoll: Epoll,
    sockets: Vec<Socket>,
    /// Those whose requests found no room, in the order in which they were due: the first is tried whenever replies have
    /// come, which is cheaper than to be told of room, since the system tells all of them.
    blocked: VecDeque<usize>,
    pipeline: usize,
    /// What a reply should be.
    reply: Vec<u8>,
    requests: Batch,
    replies: Batch,
}

struct Socket {
    fd: OwnedFd,
    number: u32,
    /// The requests under way, or to be sent.
    slots: Vec<Slot>,
    /// Those to be sent, as indices.
    ready: Vec<usize>,
    /// Whether it is among the blocked.
    blocked: bool,
}

#[derive(Clone, Copy)]
struct Slot {
    /// Grows by the pipeline, so that it tells the slot.
    number: u32,
    /// `None` while it is to be sent.
    sent_at: Option<u64>,
}

impl Datagrams {
    pub(super) fn new(fds: Vec<OwnedFd>, load: Load, trains: Trains) -> anyhow::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let mut sockets = Vec::with_capacity(fds.len());
        for (index, fd) in fds.into_iter().enumerate() {
            epoll.add(&fd, EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, index as u64))?;
            let slots = (0..u32::try_from(load.pipeline)?).map(|number| Slot { number, sent_at: None }).collect();
            let ready = (0..load.pipeline).collect();
            sockets.push(Socket { fd, number: u32::try_from(index)?, slots, ready, blocked: false });
        }
        let request = message::request(load.size);
        let batch = load.pipeline.min(BATCH);
        let mut requests = Batch::new(batch, load.size, true, trains);
        for index in 0..batch {
            requests.set_len(index, load.size);
            requests.message(index).copy_from_slice(&request);
        }
        Ok(Self {
            epoll,
            blocked: VecDeque::with_capacity(sockets.len()),
            sockets,
            pipeline: load.pipeline,
            reply: request.to_ascii_uppercase(),
            requests,
            replies: Batch::new(batch, load.size + 1, true, trains),
        })
    }

    pub(super) fn run(mut self, mut meter: Meter) -> anyhow::Result<Report> {
        let mut next_look = PATIENCE_NS;
        for index in 0..self.sockets.len() {
            self.send_in_turn(index, meter.now)?;
        }
        let mut events = vec![EpollEvent::empty(); self.sockets.len()];
        loop {
            let wait = if self.blocked.is_empty() { WAIT_MS } else { RETRY_MS };
            let count = match self.epoll.wait(&mut events, wait) {
                Err(Errno::EINTR) => 0,
                count => count.context("wait")?,
            };
            meter.wake();
            for event in &events[..count] {
                let index = event.data() as usize;
                self.receive(index, &mut meter)?;
                self.send_in_turn(index, meter.now)?;
            }
            while let Some(&index) = self.blocked.front()
                && self.send(index, meter.now)?
            {
                self.sockets[index].blocked = false;
                self.blocked.pop_front();
            }
            if meter.now >= next_look {
                self.look_for_lost(&mut meter)?;
                next_look = meter.now + PATIENCE_NS / 4;
            }
            if meter.over() {
                return meter.report();
            }
        }
    }

    fn receive(&mut self, index: usize, meter: &mut Meter) -> anyhow::Result<()> {
        loop {
            let socket = &self.sockets[index];
            // Where nothing is under way, nothing is awaited; what comes late is read with the next reply.
            let asked = (self.pipeline - socket.ready.len()).min(self.replies.slots());
            let received = match asked {
                0 => return Ok(()),
                1 => recv(socket.fd.as_raw_fd(), self.replies.room(0), MsgFlags::empty()).map(|len| {
                    self.replies.set_len(0, len);
                    1
                }),
                _ => self.replies.recv(&socket.fd, asked, 0),
            };
            let count = match received {
                Err(Errno::EAGAIN) => return Ok(()),
                count => count.context("receive")?,
            };
            for reply in 0..count {
                self.answered(index, reply, meter)?;
            }
            if count < asked {
                return Ok(());
            }
        }
    }

    /// Counts a reply, unless it is the second one to its request.
    fn answered(&mut self, index: usize, reply: usize, meter: &mut Meter) -> anyhow::Result<()> {
        let socket = &mut self.sockets[index];
        let reply = self.replies.message(reply);
        let number = Number::read(reply).context("receive: a reply without a number")?;
        number.write(&mut self.reply);
        ensure!(number.connection == socket.number && *reply == *self.reply, "receive: a wrong reply");
        let at = number.message as usize % self.pipeline;
        let slot = &mut socket.slots[at];
        if slot.number == number.message
            && let Some(sent_at) = slot.sent_at.take()
        {
            meter.answered(sent_at);
            slot.number = slot.number.wrapping_add(self.pipeline as u32);
            socket.ready.push(at);
        }
        Ok(())
    }

    /// Sends what is ready, unless others wait already.
    fn send_in_turn(&mut self, index: usize, now: u64) -> anyhow::Result<()> {
        let wait = !self.blocked.is_empty() || !self.send(index, now)?;
        let socket = &mut self.sockets[index];
        if wait && !socket.blocked && !socket.ready.is_empty() {
            socket.blocked = true;
            self.blocked.push_back(index);
        }
        Ok(())
    }

    /// Sends what is ready; whether there was room for all.
    fn send(&mut self, index: usize, now: u64) -> anyhow::Result<bool> {
        let socket = &mut self.sockets[index];
        while !socket.ready.is_empty() {
            let count = socket.ready.len().min(self.requests.slots());
            for (i, &at) in socket.ready.iter().rev().take(count).enumerate() {
                let number = Number { connection: socket.number, message: socket.slots[at].number };
                number.write(self.requests.message(i));
            }
            let sent = match count {
                1 => send(socket.fd.as_raw_fd(), self.requests.message(0), MsgFlags::empty()).map(|_| 1),
                _ => self.requests.send(&socket.fd, 0..count),
            };
            let sent = match sent {
                Err(Errno::EAGAIN | Errno::ENOBUFS) => return Ok(false),
                sent => sent.context("send")?,
            };
            for at in socket.ready.drain(socket.ready.len() - sent..) {
                socket.slots[at].sent_at = Some(now);
            }
        }
        Ok(true)
    }

    fn look_for_lost(&mut self, meter: &mut Meter) -> anyhow::Result<()> {
        for index in 0..self.sockets.len() {
            let socket = &mut self.sockets[index];
            for (at, slot) in socket.slots.iter_mut().enumerate() {
                if slot.sent_at.is_some_and(|sent_at| meter.now - sent_at >= PATIENCE_NS) {
                    slot.sent_at = None;
                    socket.ready.push(at);
                    meter.resent += 1;
                }
            }
            if !socket.ready.is_empty() {
                self.send_in_turn(index, meter.now)?;
            }
        }
        Ok(())
    }
}
