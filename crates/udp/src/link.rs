//! The connected socket: one peer.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use swapwire_core::{MessageStream, RecvBatch, RecvError, RecvMeta, SendBatch, SendError};
use tokio::net::UdpSocket;

use crate::MAX_MESSAGE;
use crate::engine::Engine;
use crate::inbox::{Inbox, Message, messages, with_wide};
use crate::options::Options;
use crate::others::{Others, is_refusal};
use crate::wire::Wire;

/// A socket that receives from one peer alone (`udp(7)`, `connect(2)`). Datagrams have no end: receiving never gives `None`.
///
/// A batch is received into the caller's slots, unless trains may arrive. Trains, and what is asked for one by one, are
/// received through a batch of the thread's and copied, so that a small message that is kept for long does not hold memory
/// for the largest one. Memory: none of its own, but for the [`Inbox`].
pub(crate) struct Connected<E> {
    pub(crate) wire: Wire<E>,
    inbox: Inbox,
    /// Of a name with several addresses, until something is received, or long after something was sent.
    pub(crate) others: Option<Box<Others>>,
}

impl<E: Engine> Connected<E> {
    pub(crate) fn new(socket: std::net::UdpSocket, options: &Options) -> io::Result<Self> {
        Ok(Self { wire: Wire::new(socket, options)?, inbox: Inbox::default(), others: None })
    }

    /// With the addresses to go on with if this one refuses.
    pub(crate) fn with_others(mut self, addrs: Vec<SocketAddr>, options: Options) -> Self {
        self.others = (!addrs.is_empty()).then(|| Box::new(Others::new(addrs, options)));
        self
    }

    /// As [`Wire::poll_fill`]; an address that refuses is followed by the next.
    fn poll_fill(&mut self, cx: &mut Context<'_>, batch: &mut RecvBatch) -> Poll<Result<(), RecvError>> {
        loop {
            let filled = self.wire.poll_fill(cx, batch);
            let Some(others) = &mut self.others else { return filled };
            match filled {
                Poll::Pending => {
                    others.receiver = Some(cx.waker().clone());
                    return Poll::Pending;
                }
                Poll::Ready(Err(RecvError::PeerNoise(error))) => {
                    if !self.goes_on(&error) {
                        return Poll::Ready(Err(RecvError::PeerNoise(error)));
                    }
                }
                done => {
                    self.others = None;
                    return done;
                }
            }
        }
    }

    /// As [`Wire::poll_sending`]; an address that refuses is followed by the next. `sent` gives a message by its place among
    /// those that `send` sends.
    fn poll_sending<'a>(
        &mut self,
        cx: &mut Context<'_>,
        mut send: impl FnMut(&UdpSocket, &mut E) -> (usize, io::Result<()>),
        sent: impl Fn(usize) -> Option<&'a [u8]>,
    ) -> Poll<Result<usize, SendError>> {
        loop {
            let done = self.wire.poll_sending(cx, &mut send);
            let Some(others) = &mut self.others else { return done };
            match done {
                Poll::Pending => {
                    others.sender = Some(cx.waker().clone());
                    return Poll::Pending;
                }
                Poll::Ready(Ok(count)) => {
                    if others.note((0..count).filter_map(&sent)) {
                        self.others = None;
                    }
                    return Poll::Ready(Ok(count));
                }
                Poll::Ready(Err(SendError::PeerNoise(error))) => {
                    if !self.goes_on(&error) {
                        return Poll::Ready(Err(SendError::PeerNoise(error)));
                    }
                }
                done => return done,
            }
        }
    }

    /// Whether the error was mended by going on with the next address. If not all could be sent again, it is to be told.
    #[cold]
    fn goes_on(&mut self, error: &io::Error) -> bool {
        let Some(others) = self.others.as_mut().filter(|_| is_refusal(error)) else { return false };
        let Some((wire, is_whole)) = others.next() else {
            self.others = None;
            return false;
        };
        self.wire = wire;
        is_whole
    }

    /// Receives at least one datagram or train through the thread's batch: gives the first `most` messages to `give`, and
    /// keeps the others.
    fn poll_wide(
        &mut self,
        cx: &mut Context<'_>,
        expected: usize,
        most: usize,
        mut give: impl FnMut(Message<'_>),
    ) -> Poll<Result<(), RecvError>> {
        with_wide(|wide| {
            wide.expect(expected);
            ready!(self.poll_fill(cx, wide))?;
            self.notice(wide, 0);
            for (index, message) in messages(wide).enumerate() {
                if index < most { give(message) } else { self.inbox.put(message) }
            }
            Poll::Ready(Ok(()))
        })
    }

    /// Tells the engine if the datagrams in `batch` from `first` on may have been a train once.
    fn notice(&mut self, batch: &RecvBatch, first: usize) {
        if let (Some((one, _)), Some((other, _))) = (batch.get(first), batch.get(first + 1))
            && one.len == other.len
        {
            self.wire.engine.arrived_together(&self.wire.socket);
        }
    }
}

impl<E: Engine> MessageStream for Connected<E> {
    fn poll_recv(&mut self, cx: &mut Context<'_>, into: &mut BytesMut) -> Poll<Result<Option<usize>, RecvError>> {
        let mut given = None;
        let mut give = |message: Message<'_>| {
            let len = message.bytes.len();
            given = Some(if message.truncated { Err(len) } else { Ok(len) });
            if !message.truncated {
                into.extend_from_slice(message.bytes);
            }
        };
        if self.inbox.take(&mut give).is_none() {
            ready!(self.poll_wide(cx, usize::MAX, 1, give))?;
        }
        Poll::Ready(match given {
            Some(Err(len)) => Err(RecvError::TooLarge { len, max: MAX_MESSAGE }),
            Some(Ok(len)) => Ok(Some(len)),
            // A receive that is ready has given something.
            None => Ok(Some(0)),
        })
    }

    fn poll_recv_batch(
        &mut self,
        cx: &mut Context<'_>,
        batch: &mut RecvBatch,
    ) -> Poll<Result<Option<usize>, RecvError>> {
        let before = batch.len();
        if batch.is_full() {
            return Poll::Ready(Ok(Some(0)));
        }
        if !self.inbox.is_empty() {
            while !batch.is_full() && self.inbox.take(|message| push(batch, message)).is_some() {}
        } else if self.wire.engine.offload().coalescing {
            let free = batch.slots() - before;
            ready!(self.poll_wide(cx, batch.awaits(), free, |message| push(batch, message)))?;
        } else {
            ready!(self.poll_fill(cx, batch))?;
            self.notice(batch, before);
        }
        Poll::Ready(Ok(Some(batch.len() - before)))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, message: &[u8]) -> Poll<Result<(), SendError>> {
        check_size(message)?;
        let send = |socket: &UdpSocket, _: &mut E| match socket.try_send(message) {
            Ok(_) => (1, Ok(())),
            Err(error) => (0, Err(error)),
        };
        self.poll_sending(cx, send, |_| Some(message)).map_ok(|_| ())
    }

    fn poll_send_batch(
        &mut self,
        cx: &mut Context<'_>,
        batch: &SendBatch,
        from: usize,
    ) -> Poll<Result<usize, SendError>> {
        let Some(first) = batch.get(from) else { return Poll::Ready(Ok(0)) };
        check_size(first.message)?;
        let send = |socket: &UdpSocket, engine: &mut E| engine.send(socket, batch, from);
        self.poll_sending(cx, send, |at| batch.get(from + at).map(|entry| entry.message))
    }

    fn max_message(&self) -> usize {
        MAX_MESSAGE
    }

    fn drops(&self) -> Option<u32> {
        self.wire.engine.drops(&self.wire.socket)
    }
}

fn push(batch: &mut RecvBatch, message: Message<'_>) {
    if message.truncated {
        // The slot holds the beginning of what the wire cut.
        let mut meta = RecvMeta::new(None, 0);
        meta.truncated = true;
        batch.push(meta);
    } else {
        batch.push_message(None, message.bytes);
    }
}

pub(crate) fn check_size(message: &[u8]) -> Result<(), SendError> {
    if message.len() > MAX_MESSAGE {
        return Err(SendError::TooLarge { len: message.len(), max: MAX_MESSAGE });
    }
    Ok(())
}

impl<E> fmt::Debug for Connected<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connected").field("socket", &self.wire.socket).finish_non_exhaustive()
    }
}
