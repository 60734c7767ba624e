//! Datagrams: every socket has a bounded inbox.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use swapwire_core::{
    Addr, Capabilities, ConnInfo, DatagramSocket, Endpoint, Link, MessageStream, Peer, RecvBatch, RecvError, SendBatch,
    SendError,
};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::hub::{Claim, Held, Hub};
use crate::names::{DATAGRAM, Name};

/// The largest datagram, in bytes.
const MAX_MESSAGE: usize = 65_536;
/// Datagrams in one inbox: at most 16 MiB.
const INBOX: usize = 256;

/// Nothing is lost without an error to the sender, nothing overtakes, and names cannot be forged.
pub(crate) const CAPABILITIES: Capabilities = {
    let mut capabilities = Capabilities::datagram(MAX_MESSAGE);
    capabilities.reliable = true;
    capabilities.ordered = true;
    capabilities.spoofable = false;
    capabilities
};

/// Where one socket receives.
#[derive(Clone)]
pub(crate) struct Inbox {
    sender: mpsc::Sender<Datagram>,
    /// A connected socket receives from this one alone.
    only: Option<Name>,
}

struct Datagram {
    from: Addr,
    bytes: Bytes,
}

fn inbox(only: Option<Name>) -> (Inbox, mpsc::Receiver<Datagram>) {
    let (sender, receiver) = mpsc::channel(INBOX);
    (Inbox { sender, only }, receiver)
}

/// A socket that is bound to `name`; `None` if it is taken.
pub(crate) fn bind(hub: &Arc<Hub>, name: Name, local: Endpoint) -> Option<MemSocket> {
    let (inbox, receiver) = inbox(None);
    Some(MemSocket { claim: hub.take(name, Held::Inbox(inbox))?, local, receiver })
}

/// A socket that is connected to `server`; `None` if no socket has that name.
pub(crate) fn connect(hub: &Arc<Hub>, server: Name) -> Option<Link> {
    hub.inbox(server)?;
    let (inbox, receiver) = inbox(Some(server));
    let claim = hub.take(hub.client(DATAGRAM), Held::Inbox(inbox))?;
    let info = ConnInfo::new(Peer::new(server.addr()), claim.name.addr());
    Some(Link::messages(MemClient { claim, server, receiver }, info))
}

impl Claim {
    fn send(&self, to: Name, message: &[u8]) -> io::Result<()> {
        if message.len() > MAX_MESSAGE {
            let text = format!("a datagram of {} bytes is longer than the limit of {MAX_MESSAGE}", message.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let inbox = self.hub.inbox(to).filter(|inbox| inbox.only.is_none_or(|only| only == self.name));
        let inbox = inbox.ok_or(io::ErrorKind::ConnectionRefused)?;
        let datagram = Datagram { from: self.name.addr(), bytes: Bytes::copy_from_slice(message) };
        inbox.sender.try_send(datagram).map_err(|error| match error {
            TrySendError::Full(_) => io::ErrorKind::WouldBlock.into(),
            TrySendError::Closed(_) => io::ErrorKind::ConnectionRefused.into(),
        })
    }
}

/// Receives what waits in `queue` into the free slots of `batch`, at least one message, and returns how many; `None` if the
/// queue has ended.
pub(crate) fn poll_batch<T>(
    queue: &mut mpsc::Receiver<T>,
    cx: &mut Context<'_>,
    batch: &mut RecvBatch,
    split: impl Fn(T) -> (Option<Addr>, Bytes),
) -> Poll<Option<usize>> {
    let before = batch.len();
    while !batch.is_full() {
        let next = if batch.len() == before { ready!(queue.poll_recv(cx)) } else { queue.try_recv().ok() };
        let Some(next) = next else { break };
        let (from, bytes) = split(next);
        batch.push_message(from, &bytes);
    }
    let received = batch.len() - before;
    Poll::Ready((received > 0 || batch.is_full()).then_some(received))
}

/// A bound socket.
pub(crate) struct MemSocket {
    claim: Claim,
    local: Endpoint,
    receiver: mpsc::Receiver<Datagram>,
}

impl DatagramSocket for MemSocket {
    fn local(&self) -> Endpoint {
        self.local.clone()
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, batch: &mut RecvBatch) -> Poll<io::Result<()>> {
        // The network keeps a sender for as long as the name is held, and it is held by this socket.
        poll_batch(&mut self.receiver, cx, batch, |Datagram { from, bytes }| (Some(from), bytes)).map(|_| Ok(()))
    }

    fn poll_send(&mut self, _: &mut Context<'_>, batch: &SendBatch, from: usize) -> Poll<io::Result<usize>> {
        let mut sent = 0;
        for entry in batch.iter_from(from) {
            match self.claim.send(Name::at(entry.to), entry.message) {
                Ok(()) => sent += 1,
                Err(error) if sent == 0 => return Poll::Ready(Err(error)),
                // The next call meets it again, as its first.
                Err(_) => break,
            }
        }
        Poll::Ready(Ok(sent))
    }

    fn max_message(&self) -> usize {
        MAX_MESSAGE
    }
}

/// A client's socket. It finds the server by name at each datagram, so a server that comes back is reached again.
struct MemClient {
    claim: Claim,
    server: Name,
    receiver: mpsc::Receiver<Datagram>,
}

impl MessageStream for MemClient {
    fn poll_recv(&mut self, cx: &mut Context<'_>, into: &mut BytesMut) -> Poll<Result<Option<usize>, RecvError>> {
        let datagram = ready!(self.receiver.poll_recv(cx));
        if let Some(datagram) = &datagram {
            into.extend_from_slice(&datagram.bytes);
        }
        Poll::Ready(Ok(datagram.map(|datagram| datagram.bytes.len())))
    }

    fn poll_recv_batch(
        &mut self,
        cx: &mut Context<'_>,
        batch: &mut RecvBatch,
    ) -> Poll<Result<Option<usize>, RecvError>> {
        poll_batch(&mut self.receiver, cx, batch, |datagram| (None, datagram.bytes)).map(Ok)
    }

    fn poll_send(&mut self, _: &mut Context<'_>, message: &[u8]) -> Poll<Result<(), SendError>> {
        if message.len() > MAX_MESSAGE {
            return Poll::Ready(Err(SendError::TooLarge { len: message.len(), max: MAX_MESSAGE }));
        }
        Poll::Ready(self.claim.send(self.server, message).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => SendError::Congested,
            _ => SendError::PeerNoise(error),
        }))
    }

    fn max_message(&self) -> usize {
        MAX_MESSAGE
    }
}
