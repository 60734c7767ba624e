//! A datagram socket of a group.

use std::io;
use std::task::{Context, Poll};

use swapwire_core::{
    Addr, Arrivals, Bound, DatagramSocket, Endpoint, ErrorClass, Offload, RecvBatch, SendBatch, Upkeep,
};

use super::{Drain, Member};

/// What ends in a drain stays open until the whole group has ended: if it were closed, the system would spread its peers,
/// and some of the others', over members that do not know them.
pub(crate) struct GroupSocket {
    /// There until it is dropped.
    socket: Option<Box<dyn DatagramSocket>>,
    local: Endpoint,
    member: Member,
    drain: Drain,
}

impl GroupSocket {
    pub(crate) fn new(socket: Box<dyn DatagramSocket>, member: Member, drain: Drain) -> Self {
        Self { local: socket.local(), socket: Some(socket), member, drain }
    }
}

fn gone() -> io::Error {
    io::ErrorKind::NotConnected.into()
}

impl DatagramSocket for GroupSocket {
    fn local(&self) -> Endpoint {
        self.local.clone()
    }

    fn local_addr(&self) -> Option<Addr> {
        self.socket.as_ref().and_then(|socket| socket.local_addr())
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, batch: &mut RecvBatch) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Some(socket) => socket.poll_recv(cx, batch),
            None => Poll::Ready(Err(gone())),
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, batch: &SendBatch, from: usize) -> Poll<io::Result<usize>> {
        match &mut self.socket {
            Some(socket) => socket.poll_send(cx, batch, from),
            None => Poll::Ready(Err(gone())),
        }
    }

    fn max_message(&self) -> usize {
        self.socket.as_ref().map_or(0, |socket| socket.max_message())
    }

    fn slot_size(&self) -> usize {
        self.socket.as_ref().map_or(1, |socket| socket.slot_size())
    }

    fn offload(&self) -> Offload {
        self.socket.as_ref().map_or_else(Offload::default, |socket| socket.offload())
    }

    fn refuse_arrivals(&mut self) -> Arrivals {
        self.socket.as_mut().map_or(Arrivals::Unknown, |socket| socket.refuse_arrivals())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Some(socket) => socket.poll_flush(cx),
            None => Poll::Ready(Err(gone())),
        }
    }

    fn drops(&self) -> Option<u32> {
        self.socket.as_ref().and_then(|socket| socket.drops())
    }

    fn upkeep(&mut self) -> Option<Upkeep> {
        self.socket.as_mut().and_then(|socket| socket.upkeep())
    }

    fn queue_memory(&self) -> usize {
        self.socket.as_ref().map_or(0, |socket| socket.queue_memory())
    }

    fn classify(&self, error: &io::Error) -> ErrorClass {
        self.socket.as_ref().map_or(ErrorClass::ListenerFatal, |socket| socket.classify(error))
    }
}

impl Drop for GroupSocket {
    fn drop(&mut self) {
        // One that failed before a drain gives its peers to the others.
        if let Some(socket) = self.socket.take().filter(|_| self.drain.has_begun()) {
            self.member.keep(Bound::Socket(socket));
        }
    }
}
