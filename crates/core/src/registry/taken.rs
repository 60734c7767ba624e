//! What is bound of a socket that another program opened.

use std::future::pending;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;

use super::source::TakenSocket;
use crate::{
    Addr, Arrivals, Bound, DatagramSocket, Endpoint, ErrorClass, Incoming, Listener, Offload, RecvBatch, SendBatch,
    Upkeep,
};

/// The same, which holds `taken` as long as it is bound.
pub(super) fn hold(bound: Bound, taken: &Arc<TakenSocket>) -> Bound {
    let taken = Arc::clone(taken);
    match bound {
        Bound::Listener(io) => Bound::Listener(Box::new(TakenListener { io, refuses: false, _taken: taken })),
        Bound::Socket(io) => Bound::Socket(Box::new(TakenDatagramSocket { io, _taken: taken })),
    }
}

/// Others hold the socket as well: it is never shut down, and who waits in its queue when this one ends is theirs.
struct TakenListener {
    io: Box<dyn Listener>,
    refuses: bool,
    // Behind what it is for.
    _taken: Arc<TakenSocket>,
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Listener for TakenListener {
    fn local(&self) -> Endpoint {
        self.io.local()
    }

    fn dial(&self) -> Endpoint {
        self.io.dial()
    }

    async fn accept(&mut self) -> io::Result<Incoming> {
        if self.refuses { pending().await } else { self.io.accept().await }
    }

    fn refuse_arrivals(&mut self) -> io::Result<()> {
        self.refuses = true;
        Ok(())
    }

    fn upkeep(&mut self) -> Option<Upkeep> {
        self.io.upkeep()
    }

    fn reloads(&self) -> bool {
        self.io.reloads()
    }

    fn reload(&mut self) {
        self.io.reload();
    }

    fn unstack(&mut self) -> Option<Box<dyn Listener>> {
        None
    }

    fn classify(&self, error: &io::Error) -> ErrorClass {
        self.io.classify(error)
    }

    fn shares_queue(&self) -> bool {
        self.io.shares_queue()
    }
}

struct TakenDatagramSocket {
    io: Box<dyn DatagramSocket>,
    _taken: Arc<TakenSocket>,
}

#[deny(clippy::missing_trait_methods)]
impl DatagramSocket for TakenDatagramSocket {
    fn local(&self) -> Endpoint {
        self.io.local()
    }

    fn local_addr(&self) -> Option<Addr> {
        self.io.local_addr()
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, batch: &mut RecvBatch) -> Poll<io::Result<()>> {
        self.io.poll_recv(cx, batch)
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, batch: &SendBatch, from: usize) -> Poll<io::Result<usize>> {
        self.io.poll_send(cx, batch, from)
    }

    fn max_message(&self) -> usize {
        self.io.max_message()
    }

    fn slot_size(&self) -> usize {
        self.io.slot_size()
    }

    fn offload(&self) -> Offload {
        self.io.offload()
    }

    /// What the others are sent would be refused as well.
    fn refuse_arrivals(&mut self) -> Arrivals {
        Arrivals::Unknown
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.poll_flush(cx)
    }

    fn drops(&self) -> Option<u32> {
        self.io.drops()
    }

    fn upkeep(&mut self) -> Option<Upkeep> {
        self.io.upkeep()
    }

    fn queue_memory(&self) -> usize {
        self.io.queue_memory()
    }

    fn classify(&self, error: &io::Error) -> ErrorClass {
        self.io.classify(error)
    }
}
