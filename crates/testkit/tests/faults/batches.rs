//! A message stream with one fault in its calls for batches. The other faulty streams have the default ones.

use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use swapwire_core::{MessageStream, RecvBatch, RecvError, SendBatch, SendError};

use crate::Fault;

pub(crate) struct FaultyBatches {
    io: Box<dyn MessageStream>,
    fault: Fault,
}

impl FaultyBatches {
    pub(crate) fn new(io: Box<dyn MessageStream>, fault: Fault) -> Self {
        Self { io, fault }
    }
}

impl MessageStream for FaultyBatches {
    fn poll_recv(&mut self, cx: &mut Context<'_>, into: &mut BytesMut) -> Poll<Result<Option<usize>, RecvError>> {
        self.io.poll_recv(cx, into)
    }

    fn poll_recv_batch(
        &mut self,
        cx: &mut Context<'_>,
        batch: &mut RecvBatch,
    ) -> Poll<Result<Option<usize>, RecvError>> {
        if self.fault != Fault::LosesTheEndOfABatch || batch.is_full() {
            return self.io.poll_recv_batch(cx, batch);
        }
        let mut whole = RecvBatch::new(batch.slots() - batch.len() + 1, 2000);
        let Some(received) = ready!(self.io.poll_recv_batch(cx, &mut whole))? else { return Poll::Ready(Ok(None)) };
        let kept = received.min(batch.slots() - batch.len());
        whole.iter().take(kept).for_each(|(_, message)| batch.push_message(None, message));
        Poll::Ready(Ok(Some(kept)))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, message: &[u8]) -> Poll<Result<(), SendError>> {
        self.io.poll_send(cx, message)
    }

    fn poll_send_batch(
        &mut self,
        cx: &mut Context<'_>,
        batch: &SendBatch,
        from: usize,
    ) -> Poll<Result<usize, SendError>> {
        let sent = ready!(self.io.poll_send_batch(cx, batch, from))?;
        let claims = self.fault == Fault::ClaimsTheWholeBatch;
        Poll::Ready(Ok(if claims { batch.len() - from } else { sent }))
    }

    fn max_message(&self) -> usize {
        self.io.max_message()
    }
}
