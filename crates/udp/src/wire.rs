//! Moving batches over a connected socket, and what the network says in between.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use swapwire_core::{ErrorClass, RecvBatch, RecvError, SendError, classify_datagram};
use tokio::io::{Interest, Ready};
use tokio::net::UdpSocket;
use tokio::task::coop;
use tokio_util::sync::ReusableBoxFuture;

use crate::engine::{Engine, Peers};
use crate::options::Options;

/// Linux reports an ICMP error as `EPOLLERR` without `EPOLLIN`, and tokio's `poll_recv_ready` does not wake for that: a
/// client that asked a closed port would wait for ever.
const RECEIVABLE: Interest = Interest::READABLE.add(Interest::ERROR);

/// A connected socket that is moved by `E`.
pub(crate) struct Wire<E> {
    pub(crate) socket: Arc<UdpSocket>,
    pub(crate) engine: E,
    receivable: ReusableBoxFuture<'static, io::Result<Ready>>,
    /// The error behind the datagrams that were received last.
    pub(crate) recv_error: Option<io::Error>,
    /// The error behind the datagrams that were sent last.
    send_error: Option<io::Error>,
}

impl<E: Engine> Wire<E> {
    pub(crate) fn new(socket: std::net::UdpSocket, options: &Options) -> io::Result<Self> {
        let engine = E::new(&socket, Peers::One, options)?;
        let socket = Arc::new(UdpSocket::from_std(socket)?);
        let receivable = ReusableBoxFuture::new(receivable(Arc::clone(&socket)));
        Ok(Self { socket, engine, receivable, recv_error: None, send_error: None })
    }

    /// Registers the socket with the reactor anew. After an ICMP error tokio takes a socket to be writable for ever, and
    /// waiting for room would spin. A pending receive keeps the old registration until it is woken.
    pub(crate) fn renew(&mut self) -> io::Result<()> {
        let socket = SockRef::from(&*self.socket).try_clone()?;
        self.socket = Arc::new(UdpSocket::from_std(socket.into())?);
        Ok(())
    }

    /// Fills free slots of `batch`, at least one; it has one.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>, batch: &mut RecvBatch) -> Poll<Result<(), RecvError>> {
        let turn = ready!(coop::poll_proceed(cx));
        let before = batch.len();
        let done = loop {
            let received = match self.recv_error.take() {
                Some(error) => Err(error),
                None => self.engine.recv(&self.socket, batch),
            };
            match received {
                Ok(()) => break Ok(()),
                Err(error) if batch.len() > before => {
                    self.recv_error = told_once(error);
                    break Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.receivable.poll(cx))?;
                    self.receivable.set(receivable(Arc::clone(&self.socket)));
                }
                Err(error) if fatal(&error) => break Err(RecvError::Io(error)),
                Err(error) => break Err(RecvError::PeerNoise(error)),
            }
        };
        turn.made_progress();
        Poll::Ready(done)
    }

    /// Sends by `send`, which says how many messages went out, and why not more.
    pub(crate) fn poll_sending(
        &mut self,
        cx: &mut Context<'_>,
        mut send: impl FnMut(&UdpSocket, &mut E) -> (usize, io::Result<()>),
    ) -> Poll<Result<usize, SendError>> {
        let mut full = false;
        loop {
            ready!(self.socket.poll_send_ready(cx))?;
            let sent = match self.send_error.take() {
                Some(error) => (0, Err(error)),
                None => send(&self.socket, &mut self.engine),
            };
            match sent {
                (0, Err(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    if std::mem::replace(&mut full, true) {
                        self.renew()?;
                    }
                }
                (0, Err(error)) if fatal(&error) => return Poll::Ready(Err(SendError::Io(error))),
                (0, Err(error)) => return Poll::Ready(Err(SendError::PeerNoise(error))),
                (sent, outcome) => {
                    self.send_error = outcome.err().and_then(told_once);
                    return Poll::Ready(Ok(sent));
                }
            }
        }
    }
}

async fn receivable(socket: Arc<UdpSocket>) -> io::Result<Ready> {
    socket.ready(RECEIVABLE).await
}

/// The error, if it is one that the system tells once. What we or tokio found shows again.
fn told_once(error: io::Error) -> Option<io::Error> {
    error.raw_os_error().is_some().then_some(error)
}

/// Whether the socket is gone. Everything else is what the network says of one datagram.
fn fatal(error: &io::Error) -> bool {
    classify_datagram(error) == ErrorClass::ListenerFatal
}
