//! The connected socket: one peer.

use std::fmt;
use std::io::{self, Read as _};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use socket2::SockRef;
use swapwire_core::{ErrorClass, MessageStream, RecvError, SendError, classify_datagram};
use tokio::io::{Interest, Ready};
use tokio::net::UdpSocket;
use tokio::task::coop;
use tokio_util::sync::ReusableBoxFuture;

use crate::MAX_MESSAGE;

/// Linux reports an ICMP error as `EPOLLERR` without `EPOLLIN`, and tokio's `poll_recv_ready` does not wake for that: a
/// client that asked a closed port would wait for ever.
const RECEIVABLE: Interest = Interest::READABLE.add(Interest::ERROR);

/// A socket that hears one peer alone (`udp(7)`, `connect(2)`). Datagrams have no end: receiving never gives `None`.
///
/// A message is received into a buffer of the link's own and copied, so that a small message that is kept for long does
/// not hold room for the largest one. Memory: 64 KiB from the first `poll_recv` on.
pub(crate) struct Connected {
    socket: Arc<UdpSocket>,
    receivable: ReusableBoxFuture<'static, io::Result<Ready>>,
    /// One byte more than the largest message, so that a larger one shows.
    buffer: Vec<u8>,
}

impl Connected {
    pub(crate) fn new(socket: UdpSocket) -> Self {
        let socket = Arc::new(socket);
        Self { receivable: ReusableBoxFuture::new(receivable(Arc::clone(&socket))), socket, buffer: Vec::new() }
    }

    /// Registers the socket with the reactor anew. After an ICMP error tokio takes a socket to be writable for ever, and
    /// waiting for room would spin. A pending receive keeps the old registration until it is woken.
    pub(crate) fn renew(&mut self) -> io::Result<()> {
        let socket = SockRef::from(&*self.socket).try_clone()?;
        self.socket = Arc::new(UdpSocket::from_std(socket.into())?);
        Ok(())
    }

    fn try_recv(&mut self) -> io::Result<usize> {
        match self.socket.try_recv(&mut self.buffer) {
            // `try_io` takes one interest at a time.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let buffer = &mut self.buffer;
                self.socket.try_io(Interest::ERROR, || (&*SockRef::from(&*self.socket)).read(buffer))
            }
            done => done,
        }
    }
}

async fn receivable(socket: Arc<UdpSocket>) -> io::Result<Ready> {
    socket.ready(RECEIVABLE).await
}

impl MessageStream for Connected {
    fn poll_recv(&mut self, cx: &mut Context<'_>, into: &mut BytesMut) -> Poll<Result<Option<usize>, RecvError>> {
        let turn = ready!(coop::poll_proceed(cx));
        self.buffer.resize(MAX_MESSAGE + 1, 0);
        loop {
            let done = match self.try_recv() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.receivable.poll(cx))?;
                    self.receivable.set(receivable(Arc::clone(&self.socket)));
                    continue;
                }
                Ok(len) if len > MAX_MESSAGE => Err(RecvError::TooLarge { len, max: MAX_MESSAGE }),
                Ok(len) => {
                    into.extend_from_slice(&self.buffer[..len]);
                    Ok(Some(len))
                }
                Err(error) if fatal(&error) => Err(RecvError::Io(error)),
                Err(error) => Err(RecvError::PeerNoise(error)),
            };
            turn.made_progress();
            return Poll::Ready(done);
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, message: &[u8]) -> Poll<Result<(), SendError>> {
        if message.len() > MAX_MESSAGE {
            return Poll::Ready(Err(SendError::TooLarge { len: message.len(), max: MAX_MESSAGE }));
        }
        let mut full = false;
        loop {
            ready!(self.socket.poll_send_ready(cx))?;
            match self.socket.try_send(message) {
                Ok(_) => return Poll::Ready(Ok(())),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if std::mem::replace(&mut full, true) {
                        self.renew()?;
                    }
                }
                Err(error) if fatal(&error) => return Poll::Ready(Err(SendError::Io(error))),
                Err(error) => return Poll::Ready(Err(SendError::PeerNoise(error))),
            }
        }
    }

    fn max_message(&self) -> usize {
        MAX_MESSAGE
    }
}

/// Whether the socket is gone. Everything else is what the network says of one datagram.
fn fatal(error: &io::Error) -> bool {
    classify_datagram(error) == ErrorClass::ListenerFatal
}

impl fmt::Debug for Connected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connected").field("socket", &self.socket).finish_non_exhaustive()
    }
}
