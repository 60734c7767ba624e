//! The socket of a client of a multicast group or a broadcast address.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use swapwire_core::{ErrorClass, MessageStream, RecvError, SendError, classify_datagram};
use tokio::net::UdpSocket;

use crate::MAX_MESSAGE;
use crate::inbox::with_wide;
use crate::link::check_size;

/// A socket that is not connected: it sends to one address and receives from any, as hosts that answer do so from addresses
/// of their own. One datagram per system call. Memory: none of its own.
#[derive(Debug)]
pub(crate) struct Open {
    socket: UdpSocket,
    to: SocketAddr,
}

impl Open {
    pub(crate) fn new(socket: std::net::UdpSocket, to: SocketAddr) -> io::Result<Self> {
        Ok(Self { socket: UdpSocket::from_std(socket)?, to })
    }
}

impl MessageStream for Open {
    fn poll_recv(&mut self, cx: &mut Context<'_>, into: &mut BytesMut) -> Poll<Result<Option<usize>, RecvError>> {
        loop {
            ready!(self.socket.poll_recv_ready(cx))?;
            let received = with_wide(|wide| {
                // An empty batch has a slot, of one byte more than the largest datagram.
                let slot = wide.next_slot().unwrap_or_default();
                let len = self.socket.try_recv_from(slot)?.0;
                if len <= MAX_MESSAGE {
                    into.extend_from_slice(&slot[..len]);
                }
                Ok(len)
            });
            return Poll::Ready(match received {
                Ok(len) if len > MAX_MESSAGE => Err(RecvError::TooLarge { len, max: MAX_MESSAGE }),
                Ok(len) => Ok(Some(len)),
                Err(error) => match classify(error) {
                    Failure::Blocked => continue,
                    Failure::Fatal(error) => Err(RecvError::Io(error)),
                    Failure::Noise(error) => Err(RecvError::PeerNoise(error)),
                },
            });
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, message: &[u8]) -> Poll<Result<(), SendError>> {
        check_size(message)?;
        loop {
            ready!(self.socket.poll_send_ready(cx))?;
            return Poll::Ready(match self.socket.try_send_to(message, self.to) {
                Ok(_) => Ok(()),
                Err(error) => match classify(error) {
                    Failure::Blocked => continue,
                    Failure::Fatal(error) => Err(SendError::Io(error)),
                    Failure::Noise(error) => Err(SendError::PeerNoise(error)),
                },
            });
        }
    }

    fn max_message(&self) -> usize {
        MAX_MESSAGE
    }
}

enum Failure {
    Blocked,
    Fatal(io::Error),
    Noise(io::Error),
}

fn classify(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::WouldBlock => Failure::Blocked,
        _ if classify_datagram(&error) == ErrorClass::ListenerFatal => Failure::Fatal(error),
        _ => Failure::Noise(error),
    }
}
