//! The message stream: a bounded queue each way.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use swapwire_core::{Capabilities, MessageStream, RecvBatch, RecvError, SendBatch, SendError};
use tokio::sync::mpsc;
use tokio_util::sync::PollSender;

use crate::datagram::poll_batch;

/// The largest message, in bytes.
const MAX_MESSAGE: usize = 1 << 20;
/// Messages in flight each way, before the sender waits: at most 16 MiB.
const QUEUE: usize = 16;

pub(crate) const CAPABILITIES: Capabilities = {
    let mut capabilities = Capabilities::message_stream(MAX_MESSAGE);
    capabilities.half_close = true;
    capabilities
};

/// One end. Closing the sender's queue is the end of that direction.
pub(crate) struct Seq {
    sender: PollSender<Bytes>,
    receiver: mpsc::Receiver<Bytes>,
    shut: bool,
}

pub(crate) fn pair() -> (Seq, Seq) {
    let ((a, from_a), (b, from_b)) = (mpsc::channel(QUEUE), mpsc::channel(QUEUE));
    let end = |sender, receiver| Seq { sender: PollSender::new(sender), receiver, shut: false };
    (end(a, from_b), end(b, from_a))
}

impl Seq {
    fn broken(&self) -> SendError {
        if self.shut { SendError::Closed } else { SendError::Io(io::ErrorKind::BrokenPipe.into()) }
    }
}

impl MessageStream for Seq {
    fn poll_recv(&mut self, cx: &mut Context<'_>, into: &mut BytesMut) -> Poll<Result<Option<usize>, RecvError>> {
        let message = ready!(self.receiver.poll_recv(cx));
        if let Some(message) = &message {
            into.extend_from_slice(message);
        }
        Poll::Ready(Ok(message.map(|message| message.len())))
    }

    fn poll_recv_batch(
        &mut self,
        cx: &mut Context<'_>,
        batch: &mut RecvBatch,
    ) -> Poll<Result<Option<usize>, RecvError>> {
        poll_batch(&mut self.receiver, cx, batch, |message| (None, message)).map(Ok)
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, message: &[u8]) -> Poll<Result<(), SendError>> {
        if message.len() > MAX_MESSAGE {
            return Poll::Ready(Err(SendError::TooLarge { len: message.len(), max: MAX_MESSAGE }));
        }
        ready!(self.sender.poll_reserve(cx)).map_err(|_| self.broken())?;
        let sent = self.sender.send_item(Bytes::copy_from_slice(message));
        Poll::Ready(sent.map_err(|_| self.broken()))
    }

    fn poll_send_batch(
        &mut self,
        cx: &mut Context<'_>,
        batch: &SendBatch,
        from: usize,
    ) -> Poll<Result<usize, SendError>> {
        let mut sent = 0;
        for entry in batch.iter_from(from) {
            match self.poll_send(cx, entry.message) {
                Poll::Ready(Ok(())) => sent += 1,
                // The next call meets it again, as its first.
                _ if sent > 0 => break,
                other => return other.map_ok(|()| 0),
            }
        }
        Poll::Ready(Ok(sent))
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.shut = true;
        self.sender.abort_send();
        self.sender.close();
        Poll::Ready(Ok(()))
    }

    fn max_message(&self) -> usize {
        MAX_MESSAGE
    }
}
