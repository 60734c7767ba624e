//! A message stream with one fault.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use swapwire_core::{MessageStream, RecvError, SendError};

use crate::Fault;

pub(crate) struct FaultyMessages {
    io: Box<dyn MessageStream>,
    fault: Fault,
    /// A message that another one overtakes.
    held: Option<Vec<u8>>,
    count: usize,
}

impl FaultyMessages {
    pub(crate) fn new(io: Box<dyn MessageStream>, fault: Fault) -> Self {
        Self { io, fault, held: None, count: 0 }
    }

    fn poll_pass_on(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        if let Some(held) = &self.held {
            ready!(self.io.poll_send(cx, held))?;
            self.held = None;
        }
        Poll::Ready(Ok(()))
    }
}

impl MessageStream for FaultyMessages {
    fn poll_recv(&mut self, cx: &mut Context<'_>, into: &mut BytesMut) -> Poll<Result<Option<usize>, RecvError>> {
        let before = into.len();
        let result = ready!(self.io.poll_recv(cx, into));
        self.count += 1;
        if self.fault == Fault::LosesWhatItTook && self.count.is_multiple_of(7) {
            into.truncate(before);
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(result)
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, message: &[u8]) -> Poll<Result<(), SendError>> {
        match self.fault {
            Fault::SwapsTwoMessages => {
                if self.held.is_none() {
                    self.held = Some(message.to_vec());
                    return Poll::Ready(Ok(()));
                }
                ready!(self.io.poll_send(cx, message))?;
                // Its room may be missing now; then it goes out with the flush.
                let _ = self.poll_pass_on(cx)?;
                Poll::Ready(Ok(()))
            }
            Fault::DropsEmptyMessages if message.is_empty() => Poll::Ready(Ok(())),
            Fault::TruncatesMessages => self.io.poll_send(cx, &message[..message.len().min(1000)]),
            Fault::OversizeIsFatal if message.len() > self.io.max_message() => {
                Poll::Ready(Err(SendError::Io(io::ErrorKind::InvalidInput.into())))
            }
            _ => self.io.poll_send(cx, message),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        ready!(self.poll_pass_on(cx))?;
        self.io.poll_flush(cx)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        ready!(self.poll_flush(cx))?;
        if self.fault == Fault::ShutdownDoesNothing { Poll::Ready(Ok(())) } else { self.io.poll_shutdown(cx) }
    }

    fn max_message(&self) -> usize {
        self.io.max_message()
    }
}
