//! The bound socket: many peers.

use std::io;
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use swapwire_core::{Addr, DatagramSocket, Endpoint, Offload, RecvBatch, SendBatch};

use crate::bound::Bound;
use crate::engine::{Engine, Peers, SLOT, is_would_block};
use crate::options::Options;
use crate::{MAX_MESSAGE, SCHEME};

/// A bound socket.
#[derive(Debug)]
pub(crate) struct Server<E> {
    socket: Bound,
    local: Addr,
    endpoint: Endpoint,
    engine: E,
    queue_memory: usize,
}

impl<E: Engine> Server<E> {
    pub(crate) fn new(socket: std::net::UdpSocket, options: &Options) -> io::Result<Self> {
        let local = Addr::inet(socket.local_addr()?);
        let endpoint = local.to_endpoint(SCHEME).map_err(io::Error::other)?;
        let engine = E::new(&socket, Peers::Many, options)?;
        // As the system counts it, with what it needs for its own bookkeeping (`socket(7)`, `SO_RCVBUF`).
        let queue_memory = SockRef::from(&socket).recv_buffer_size()?;
        Ok(Self { socket: Bound::new(socket), local, endpoint, engine, queue_memory })
    }
}

impl<E: Engine> DatagramSocket for Server<E> {
    fn local(&self) -> Endpoint {
        self.endpoint.clone()
    }

    fn local_addr(&self) -> Option<Addr> {
        Some(self.local)
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, batch: &mut RecvBatch) -> Poll<io::Result<()>> {
        if batch.is_full() {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidInput, "the batch has no free slot")));
        }
        let before = batch.len();
        loop {
            ready!(self.socket.poll_read_ready(cx))?;
            match self.engine.recv_bound(&mut self.socket, batch) {
                // An error after some datagrams is noise, or lasts and shows at the next call.
                _ if batch.len() > before => return Poll::Ready(Ok(())),
                blocked if is_would_block(&blocked) => {}
                done => return Poll::Ready(done),
            }
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, batch: &SendBatch, from: usize) -> Poll<io::Result<usize>> {
        loop {
            match self.engine.send_bound(&mut self.socket, batch, from) {
                (0, blocked) if is_would_block(&blocked) => ready!(self.socket.poll_write_ready(cx))?,
                (0, Err(error)) => return Poll::Ready(Err(error)),
                (sent, _) => return Poll::Ready(Ok(sent)),
            }
        }
    }

    fn max_message(&self) -> usize {
        MAX_MESSAGE
    }

    fn slot_size(&self) -> usize {
        SLOT
    }

    fn drops(&self) -> Option<u32> {
        self.engine.drops_bound(&self.socket)
    }

    fn queue_memory(&self) -> usize {
        self.queue_memory
    }

    fn offload(&self) -> Offload {
        self.engine.offload()
    }
}
