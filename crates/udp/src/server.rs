//! The bound socket: many peers.

use std::io;
use std::task::{Context, Poll, ready};

use swapwire_core::{Addr, DatagramSocket, Endpoint, RecvBatch, SendBatch};
use tokio::net::UdpSocket;

use crate::engine::{Engine, Peers, is_would_block};
use crate::{MAX_MESSAGE, SCHEME};

/// A bound socket.
#[derive(Debug)]
pub(crate) struct Server<E> {
    socket: UdpSocket,
    local: Endpoint,
    engine: E,
}

impl<E: Engine> Server<E> {
    pub(crate) fn new(socket: UdpSocket) -> io::Result<Self> {
        let local = Addr::inet(socket.local_addr()?).to_endpoint(SCHEME).map_err(io::Error::other)?;
        Ok(Self { engine: E::new(&socket, Peers::Many)?, socket, local })
    }
}

impl<E: Engine> DatagramSocket for Server<E> {
    fn local(&self) -> Endpoint {
        self.local.clone()
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, batch: &mut RecvBatch) -> Poll<io::Result<()>> {
        if batch.is_full() {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidInput, "the batch has no free slot")));
        }
        let before = batch.len();
        loop {
            ready!(self.socket.poll_recv_ready(cx))?;
            match self.engine.recv(&self.socket, batch) {
                // An error after some datagrams is noise, or lasts and shows at the next call.
                _ if batch.len() > before => return Poll::Ready(Ok(())),
                blocked if is_would_block(&blocked) => {}
                done => return Poll::Ready(done),
            }
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, batch: &SendBatch, from: usize) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.socket.poll_send_ready(cx))?;
            match self.engine.send(&self.socket, batch, from) {
                (0, blocked) if is_would_block(&blocked) => {}
                (0, Err(error)) => return Poll::Ready(Err(error)),
                (sent, _) => return Poll::Ready(Ok(sent)),
            }
        }
    }

    fn max_message(&self) -> usize {
        MAX_MESSAGE
    }
}
