//! The bounded queue of outgoing messages.

use std::cell::Cell;
use std::collections::VecDeque;
use std::task::{Context, Poll, ready};

use crate::{Addr, Answer, FrameEncoder, FrameError, Goodbye, MessageStream, SendBatch, SendError};

/// What one queued message costs beside its bytes.
const MESSAGE_COST: usize = 64;
/// A peer that pings and does not read is owed no more than this, and one answer.
const MOST_BEFORE_ANSWER: usize = 4 * 1024;
/// An empty queue keeps at most this much memory.
const KEEP: usize = 16 * 1024;

/// Messages, and bytes of them, that are sent as one batch; a single longer one goes alone.
const MOST_BATCHED: usize = 64;
const MOST_BYTES: usize = 128 * 1024;

thread_local! {
    /// Taken while it is in use: a wire may itself be made of sessions.
    static BATCH: Cell<SendBatch> = const { Cell::new(SendBatch::new()) };
}

pub(super) struct Out {
    pub(super) bytes: Vec<u8>,
    /// How much of `bytes` is written.
    pub(super) written: usize,
    /// The lengths of the queued messages, on wires with boundaries.
    pub(super) lengths: VecDeque<usize>,
    pub(super) encoder: Option<FrameEncoder>,
    /// The last answer of the wire's protocol that found too much before it.
    pub(super) answer: Vec<u8>,
    /// Messages sent: those that a wire with boundaries took, or that were queued for a byte stream.
    pub(super) messages: u64,
    pub(super) limit: usize,
    pub(super) max_message: usize,
    pub(super) closed: bool,
    /// An error about one message that no call has returned yet.
    pub(super) failed: Option<SendError>,
}

impl Out {
    pub(super) fn queued(&self) -> usize {
        self.bytes.len() - self.written + MESSAGE_COST * self.lengths.len()
    }

    /// The bytes of queued messages, of which an empty one counts as one.
    pub(super) fn queued_messages(&self) -> usize {
        self.lengths.iter().map(|len| (*len).max(1)).sum()
    }

    pub(super) fn has_capacity(&self) -> bool {
        self.queued() < self.limit
    }

    #[inline(always)]
    pub(super) fn wrote(&mut self, len: usize) {
        self.written += len;
        if self.written == self.bytes.len() {
            self.bytes.clear();
            self.bytes.shrink_to(KEEP);
            self.written = 0;
            self.bytes.append(&mut self.answer);
        } else if self.written > self.bytes.len() / 4 {
            // Often enough that little lies idle, seldom enough that it costs three copied bytes for each written one.
            self.bytes.drain(..self.written);
            self.written = 0;
        }
    }

    pub(super) fn clear(&mut self) {
        (self.bytes, self.written, self.lengths, self.answer) = Default::default();
    }

    /// Answers a control frame. Behind more than [`MOST_BEFORE_ANSWER`] bytes only the last answer is kept.
    pub(super) fn answer(&mut self, tag: u8, payload: &[u8]) -> Answer {
        let is_short = self.queued() < MOST_BEFORE_ANSWER;
        let Some(encoder) = &mut self.encoder else { return Answer::GoesOn };
        let into = if is_short { &mut self.bytes } else { &mut self.answer };
        if !is_short {
            into.clear();
        }
        encoder.answer(tag, payload, into)
    }

    /// Says good-bye, behind everything that is queued, where that is a frame.
    pub(super) fn goodbye(&mut self, why: Goodbye<'_>) {
        if let Some(encoder) = &mut self.encoder {
            self.bytes.append(&mut self.answer);
            encoder.goodbye(why, &mut self.bytes);
        }
    }

    /// Sends the first message, or the first few as one batch, and forgets them; how many bytes the wire took. One that is refused for
    /// itself is lost, and the wire goes on.
    pub(super) fn poll_messages(
        &mut self,
        cx: &mut Context<'_>,
        wire: &mut dyn MessageStream,
        to: &Addr,
    ) -> Poll<Result<usize, SendError>> {
        let sent = ready!(self.poll_send(cx, wire, to));
        // An error is about the first one alone.
        let count = *sent.as_ref().unwrap_or(&1);
        let len = self.lengths.drain(..count).sum();
        let taken = match sent {
            Err(error @ (SendError::Io(_) | SendError::Closed)) => return Poll::Ready(Err(error)),
            Err(error) => {
                self.failed = Some(error);
                0
            }
            Ok(count) => {
                self.messages += count as u64;
                len
            }
        };
        self.wrote(len);
        Poll::Ready(Ok(taken))
    }

    /// Sends the first message, or the first few as one batch; how many went out.
    fn poll_send(
        &self,
        cx: &mut Context<'_>,
        wire: &mut dyn MessageStream,
        to: &Addr,
    ) -> Poll<Result<usize, SendError>> {
        let mut at = self.written;
        let mut messages = self.lengths.iter().map(|len| {
            at += len;
            &self.bytes[at - len..at]
        });
        if self.lengths.len() < 2 {
            return wire.poll_send(cx, messages.next().unwrap_or_default()).map_ok(|()| 1);
        }
        let mut batch = BATCH.take();
        batch.clear();
        for message in messages {
            if batch.len() == MOST_BATCHED || batch.bytes() + message.len() > MOST_BYTES && !batch.is_empty() {
                break;
            }
            batch.push(message, *to, None);
        }
        let sent = wire.poll_send_batch(cx, &batch, 0);
        if batch.bytes() <= MOST_BYTES {
            BATCH.set(batch);
        }
        sent
    }

    pub(super) fn push(&mut self, message: &[u8], end: &[u8]) -> Result<(), SendError> {
        if self.closed {
            return Err(SendError::Closed);
        }
        let len = message.len() + end.len();
        if len > self.max_message {
            return Err(SendError::TooLarge { len, max: self.max_message });
        }
        let start = self.bytes.len();
        match &mut self.encoder {
            Some(encoder) => {
                encoder.begin(&mut self.bytes);
                self.bytes.extend_from_slice(message);
                if !end.is_empty() {
                    self.bytes.extend_from_slice(end);
                }
                encoder.finish(&mut self.bytes, start).map_err(|error| match error {
                    FrameError::TooLarge { max, .. } => SendError::TooLarge { len: message.len(), max },
                    error => SendError::Frame(error),
                })?;
                self.messages += 1;
                Ok(())
            }
            None => {
                self.bytes.extend_from_slice(message);
                self.bytes.extend_from_slice(end);
                self.lengths.push_back(len);
                Ok(())
            }
        }
    }
}
