//! The bound socket: many peers.

use std::io;
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use swapwire_core::{Addr, DatagramSocket, Endpoint, ErrorClass, Offload, RecvBatch, SendBatch, classify_datagram};
use tokio::net::UdpSocket;

use crate::engine::{Engine, Peers, SLOT, is_would_block};
use crate::options::Options;
use crate::{MAX_MESSAGE, SCHEME};

/// A bound socket.
#[derive(Debug)]
pub(crate) struct Server<E> {
    socket: Socket,
    local: Addr,
    endpoint: Endpoint,
    engine: E,
    queue_memory: usize,
}

/// It joins the reactor of the runtime on which it is first polled, which need not be the one that it was bound on.
#[derive(Debug)]
enum Socket {
    Bound(std::net::UdpSocket),
    Registered(UdpSocket),
    /// It could not be registered, and is closed.
    Lost,
}

impl<E: Engine> Server<E> {
    pub(crate) fn new(socket: std::net::UdpSocket, options: &Options) -> io::Result<Self> {
        let local = Addr::inet(socket.local_addr()?);
        let endpoint = local.to_endpoint(SCHEME).map_err(io::Error::other)?;
        let engine = E::new(&socket, Peers::Many, options)?;
        // As the system counts it, with what it needs for its own bookkeeping (`socket(7)`, `SO_RCVBUF`).
        let queue_memory = SockRef::from(&socket).recv_buffer_size()?;
        Ok(Self { socket: Socket::Bound(socket), local, endpoint, engine, queue_memory })
    }
}

impl Socket {
    fn registered(&mut self) -> io::Result<&UdpSocket> {
        if !matches!(self, Self::Registered(_)) {
            self.register()?;
        }
        match self {
            Self::Registered(socket) => Ok(socket),
            _ => Err(io::Error::new(io::ErrorKind::NotConnected, "the socket could not be registered and is closed")),
        }
    }

    #[cold]
    fn register(&mut self) -> io::Result<()> {
        match std::mem::replace(self, Self::Lost) {
            Self::Bound(socket) => *self = Self::Registered(UdpSocket::from_std(socket)?),
            other => *self = other,
        }
        Ok(())
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
        let socket = self.socket.registered()?;
        let before = batch.len();
        loop {
            ready!(socket.poll_recv_ready(cx))?;
            match self.engine.recv(socket, batch) {
                // An error after some datagrams is noise, or lasts and shows at the next call.
                _ if batch.len() > before => return Poll::Ready(Ok(())),
                blocked if is_would_block(&blocked) => {}
                done => return Poll::Ready(done),
            }
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, batch: &SendBatch, from: usize) -> Poll<io::Result<usize>> {
        let socket = self.socket.registered()?;
        loop {
            ready!(socket.poll_send_ready(cx))?;
            match self.engine.send(socket, batch, from) {
                (0, blocked) if is_would_block(&blocked) => {}
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
        match &self.socket {
            Socket::Registered(socket) => self.engine.drops(socket),
            _ => None,
        }
    }

    fn queue_memory(&self) -> usize {
        self.queue_memory
    }

    fn offload(&self) -> Offload {
        self.engine.offload()
    }

    fn classify(&self, error: &io::Error) -> ErrorClass {
        match self.socket {
            Socket::Lost => ErrorClass::ListenerFatal,
            _ => classify_datagram(error),
        }
    }
}
