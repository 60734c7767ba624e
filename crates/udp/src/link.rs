//! The connected socket: one peer.

use std::fmt;
use std::io;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use swapwire_core::{MessageStream, RecvBatch, RecvError, RecvMeta, SendBatch, SendError};
use tokio::net::UdpSocket;

use crate::MAX_MESSAGE;
use crate::engine::Engine;
use crate::wire::Wire;

/// Slots of the inbox. That the second one stays empty tells that nothing else waits, which it would take another system
/// call to find out.
const INBOX: usize = 2;

/// A socket that hears one peer alone (`udp(7)`, `connect(2)`). Datagrams have no end: receiving never gives `None`.
///
/// A single message is received into an inbox of the link's own and copied, so that a small message that is kept for long
/// does not hold room for the largest one. Memory: 128 KiB from the first `poll_recv` on; batches need none.
pub(crate) struct Connected<E> {
    pub(crate) wire: Wire<E>,
    /// Its slots have one byte more than the largest message, so that a larger one shows.
    inbox: Option<RecvBatch>,
    /// The slot of the inbox that is due.
    due: usize,
}

impl<E: Engine> Connected<E> {
    pub(crate) fn new(socket: UdpSocket) -> io::Result<Self> {
        Ok(Self { wire: Wire::new(socket)?, inbox: None, due: 0 })
    }
}

impl<E: Engine> MessageStream for Connected<E> {
    fn poll_recv(&mut self, cx: &mut Context<'_>, into: &mut BytesMut) -> Poll<Result<Option<usize>, RecvError>> {
        let inbox = self.inbox.get_or_insert_with(|| RecvBatch::new(INBOX, MAX_MESSAGE + 1));
        loop {
            if let Some((meta, message)) = inbox.get(self.due) {
                self.due += 1;
                if meta.truncated {
                    return Poll::Ready(Err(RecvError::TooLarge { len: meta.len, max: MAX_MESSAGE }));
                }
                into.extend_from_slice(message);
                return Poll::Ready(Ok(Some(message.len())));
            }
            inbox.clear();
            self.due = 0;
            ready!(self.wire.poll_fill(cx, inbox))?;
        }
    }

    fn poll_recv_batch(
        &mut self,
        cx: &mut Context<'_>,
        batch: &mut RecvBatch,
    ) -> Poll<Result<Option<usize>, RecvError>> {
        if batch.is_full() {
            return Poll::Ready(Ok(Some(0)));
        }
        let before = batch.len();
        // What an earlier single receive took besides its own comes first.
        match self.inbox.as_ref().and_then(|inbox| inbox.get(self.due)) {
            Some((meta, message)) => {
                self.due += 1;
                if meta.truncated {
                    let mut meta = RecvMeta::new(None, 0);
                    meta.truncated = true;
                    batch.push(meta);
                } else {
                    batch.push_message(None, message);
                }
            }
            None => ready!(self.wire.poll_fill(cx, batch))?,
        }
        Poll::Ready(Ok(Some(batch.len() - before)))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, message: &[u8]) -> Poll<Result<(), SendError>> {
        check_size(message)?;
        let sent = self.wire.poll_sending(cx, |socket, _| match socket.try_send(message) {
            Ok(_) => (1, Ok(())),
            Err(error) => (0, Err(error)),
        });
        sent.map_ok(|_| ())
    }

    fn poll_send_batch(
        &mut self,
        cx: &mut Context<'_>,
        batch: &SendBatch,
        from: usize,
    ) -> Poll<Result<usize, SendError>> {
        let Some(first) = batch.get(from) else { return Poll::Ready(Ok(0)) };
        check_size(first.message)?;
        self.wire.poll_sending(cx, |socket, engine| engine.send(socket, batch, from))
    }

    fn max_message(&self) -> usize {
        MAX_MESSAGE
    }
}

fn check_size(message: &[u8]) -> Result<(), SendError> {
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
